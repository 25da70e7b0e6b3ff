"""Read tensors of a model.bin of CTranslate2, the format of faster-whisper.

Source: CTranslate2's own writer, https://github.com/OpenNMT/CTranslate2, python/ctranslate2/specs/
model_spec.py, of binary version 6.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

import torch
from torch import Tensor

from .binary import FormatError, Reader, tensor_of

VERSION = 6
DTYPES = {
    0: torch.float32,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.float16,
    5: torch.bfloat16,
}


def read_ctranslate2(
    path: str | os.PathLike[str], names: Iterable[str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors named of a model.bin.

    Args:
        path: The file.
        names: Of tensors, such as "decoder/embeddings/weight".

    Returns:
        The tensors by name, in the dtype of the file; and its other names for tensors, such as that
        of a tied head.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If it has no tensor of a name.
        FormatError: If it is of another version, was cut, or a tensor of an unknown dtype.
    """
    file = Reader(path)
    if (version := file.number("I")) != VERSION:
        raise FormatError(
            f"{file.name} is no model.bin of version {VERSION}: it begins with the number "
            f"{version}."
        )
    file.text("H")  # whose model it is
    file.number("I")  # and in which revision
    places = {}
    for _ in range(file.number("I")):
        name = file.text("H")
        shape = tuple([file.number("I") for _ in range(file.number("B"))])
        kind, size = file.number("B"), file.number("I")
        if kind not in DTYPES:
            raise FormatError(f"{file.name}, tensor {name!r}: its dtype has the number {kind}.")
        if size != (needed := math.prod(shape) * DTYPES[kind].itemsize):
            raise FormatError(
                f"{file.name}, tensor {name!r}: {shape} of {DTYPES[kind]} take {needed} bytes, and "
                f"{size} are announced."
            )
        places[name] = shape, DTYPES[kind], file.at, size
        file.take(size)
    others = {}
    for _ in range(file.number("I")):
        other = file.text("H")
        others[other] = file.text("H")
    found = {}
    for name in names:
        if name not in places:
            raise KeyError(f"{file.name} has no tensor {name!r}; it has {len(places)} others.")
        shape, dtype, at, size = places[name]
        found[name] = tensor_of(file.take(size, at), dtype, shape)
    return found, others
