"""Read a safetensors file: the tensors of a checkpoint, by name, with nothing executed.

The format is eight bytes that hold the length of the header, a header in JSON that says of each
tensor its dtype, its shape and where its bytes lie, and the bytes. Unlike a pickle it can hold no
code, so a file from anywhere can be opened. Only what is asked for is read.

Source: the format's description, https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

#: The dtypes that are read here, by the names the format gives them.
DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
}
#: The format's own limit, so that a broken length does not fill the memory.
LONGEST_HEADER = 100_000_000


class SafetensorsError(ValueError):
    """A file is not what the format says; the message names the file and what was found."""


def read_safetensors(
    path: str | os.PathLike[str], names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """Read tensors of a safetensors file, all of them or those named.

    Args:
        path: The file.
        names: Names of tensors; all by default. The bytes of the others are not read.

    Returns:
        The tensors by name, in the order asked for, or else that of the file. They are copies: the
        file may go.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If the file has no tensor of a name; the message says what it has.
        SafetensorsError: If it is no safetensors file, or has been cut, or a tensor is of a dtype
            that is not in ``DTYPES``.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "table.safetensors")
        ...     _ = path.write_bytes(as_safetensors({"table": torch.eye(2)}))
        ...     read_safetensors(path)
        {'table': tensor([[1., 0.],
                [0., 1.]])}
    """
    path = Path(path)
    with path.open("rb") as file:
        header, start = _read_header(path, file)
        found = {}
        for name in header if names is None else names:
            if name not in header:
                some = ", ".join(list(header)[:3])
                raise KeyError(
                    f"{path.name} has no tensor {name!r}; it has {len(header)}: {some} …"
                )
            found[name] = _read_tensor(path, file, start, name, header[name])
    return found


def _read_header(path: Path, file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Read and check the header: what it says of each tensor, and where their bytes begin."""
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    if len(first) < 8:
        raise SafetensorsError(
            f"{path.name} is no safetensors file: it has {size} bytes, and the length of the "
            "header alone takes 8."
        )
    length = int.from_bytes(first, "little")
    if length > min(size - 8, LONGEST_HEADER):
        raise SafetensorsError(
            f"{path.name} is no safetensors file, or was cut: its first 8 bytes announce a header "
            f"of {length} bytes, and {size - 8} follow (at most {LONGEST_HEADER} are allowed)."
        )
    try:
        header = json.loads(file.read(length).decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are both
        raise SafetensorsError(
            f"{path.name} is no safetensors file: its header is no JSON ({error})."
        ) from None
    if not isinstance(header, dict):
        raise SafetensorsError(
            f"{path.name} is no safetensors file: its header is no JSON object but a "
            f"{type(header).__name__}."
        )
    header.pop("__metadata__", None)  # texts for people
    _check_offsets(path, header, size - 8 - length)
    return header, 8 + length


def _check_offsets(path: Path, header: dict[str, Any], size: int) -> None:
    """Check that each entry is whole, and that together they fill the bytes without a gap."""
    spans = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
            raise SafetensorsError(
                f"{path.name}, tensor {name!r}: the header needs its dtype, shape and "
                f"data_offsets, and says {entry!r}."
            )
        shape, offsets = entry["shape"], entry["data_offsets"]
        if not _sizes(shape):
            raise SafetensorsError(
                f"{path.name}, tensor {name!r}: its shape must be a list of sizes, got {shape!r}."
            )
        if not _sizes(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= size:
            raise SafetensorsError(
                f"{path.name}, tensor {name!r}: its data_offsets must be two numbers that rise and "
                f"lie in the {size} bytes after the header, got {offsets!r}. The file may have "
                "been cut."
            )
        spans.append((offsets[0], offsets[1], name))
    end = 0
    for begin, stop, name in sorted(spans):
        if begin != end:
            raise SafetensorsError(
                f"{path.name}, tensor {name!r}: its bytes begin at {begin}, those before it end at "
                f"{end}; tensors must follow one another without gaps."
            )
        end = stop
    if end != size:
        raise SafetensorsError(
            f"{path.name}: the tensors take {end} bytes, and {size} follow the header."
        )


def _sizes(numbers: object) -> bool:
    """Whether this is a list of whole numbers from 0 on."""
    return isinstance(numbers, list) and all(type(n) is int and n >= 0 for n in numbers)


def _read_tensor(
    path: Path, file: BinaryIO, start: int, name: str, entry: Mapping[str, Any]
) -> Tensor:
    """Read the bytes of one tensor."""
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise SafetensorsError(
            f"{path.name}, tensor {name!r}: its dtype is {entry['dtype']!r}, and this reader knows "
            f"{', '.join(DTYPES)}."
        )
    shape, (begin, stop) = entry["shape"], entry["data_offsets"]
    needed = math.prod(shape) * dtype.itemsize
    if stop - begin != needed:
        raise SafetensorsError(
            f"{path.name}, tensor {name!r}: {shape} of {entry['dtype']} take {needed} bytes, and "
            f"its data_offsets {begin} to {stop} hold {stop - begin}."
        )
    if not needed:
        return torch.empty(shape, dtype=dtype)
    file.seek(start + begin)
    data = bytearray(needed)
    if file.readinto(data) != needed:  # type: ignore[attr-defined]
        raise SafetensorsError(f"{path.name}, tensor {name!r}: the file was cut while it was read.")
    return torch.frombuffer(data, dtype=dtype).reshape(shape)


def as_safetensors(tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None) -> bytes:
    """Make the bytes of a safetensors file.

    Args:
        tensors: By name, each of a dtype in ``DTYPES``.
        texts: What the file is to say about itself, for people.

    Returns:
        The file, the same bytes for the same tensors.

    Raises:
        ValueError: If a tensor is of another dtype.

    Example:
        >>> len(as_safetensors({"a": torch.zeros(100)}))  # 8 + the header + 400
        472
    """
    known = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": dict(texts)} if texts else {}
    data = b""
    for name, tensor in tensors.items():
        if tensor.dtype not in known:
            raise ValueError(
                f"tensor {name!r} is {tensor.dtype}, and only {', '.join(DTYPES)} are written. "
                "Convert it first."
            )
        own = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": known[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(own)],
        }
        data += own
    written = json.dumps(header, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)  # so that the tensors begin at a multiple of 8
    return len(written).to_bytes(8, "little") + written + data
