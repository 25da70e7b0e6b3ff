"""Read tensors and settings of a GGUF file, the format of llama.cpp.

Source: the format's description, https://github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .binary import (
    BLOCK,
    Q4_1_BYTES,
    Q4_BYTES,
    Q8_BYTES,
    FormatError,
    Reader,
    from_q4_0,
    from_q4_1,
    from_q8_0,
    tensor_of,
)

#: Of the settings, by the number of their type; 8 is a text, 9 a list.
FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
F32, F16 = 0, 1
#: Of those stored in blocks, by number: the name, bytes of a block, and what decodes them.
BLOCKS = {
    2: ("Q4_0", Q4_BYTES, from_q4_0),
    3: ("Q4_1", Q4_1_BYTES, from_q4_1),
    8: ("Q8_0", Q8_BYTES, from_q8_0),
}


def read_gguf(
    path: str | os.PathLike[str], names: Iterable[str] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the settings of a GGUF file, and the tensors named.

    Args:
        path: The file.
        names: Of tensors; all by default.

    Returns:
        The settings by name, such as "general.architecture"; and the tensors, in float32, by name.
        The last axis is the one whose numbers lie next to one another.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If it has no tensor of a name.
        FormatError: If it is no GGUF of version 2 or 3, was cut, or a tensor is stored in another
            way than F32, F16, Q4_0, Q4_1 or Q8_0.
    """
    file = Reader(path)
    if (magic := file.take(4)) != b"GGUF":
        raise FormatError(f"{file.name} is no GGUF file: it begins with {magic!r}.")
    if (version := file.number("I")) not in (2, 3):
        raise FormatError(f"{file.name} is a GGUF of version {version}; 2 and 3 are read.")
    tensors, settings = file.number("Q"), {}
    for _ in range(file.number("Q")):
        name = file.text("Q")
        settings[name] = _value(file, file.number("I"))
    infos = {}
    for _ in range(tensors):
        name, axes = file.text("Q"), file.number("I")
        shape = tuple(reversed([file.number("Q") for _ in range(axes)]))
        infos[name] = shape, file.number("I"), file.number("Q")
    align = int(settings.get("general.alignment", 32))
    start = -(-file.at // align) * align
    found = {}
    for name in infos if names is None else names:
        if name not in infos:
            raise KeyError(f"{file.name} has no tensor {name!r}; it has {len(infos)} others.")
        found[name] = _tensor(file, name, start, *infos[name])
    return settings, found


def _value(file: Reader, kind: int) -> Any:
    if kind == 8:
        return file.text("Q")
    if kind == 9:
        inner, count = file.number("I"), file.number("Q")
        return [_value(file, inner) for _ in range(count)]
    if kind not in FORMS:
        raise FormatError(f"{file.name}: a setting before byte {file.at} is of type {kind}.")
    return file.number(FORMS[kind])


def _tensor(
    file: Reader, name: str, start: int, shape: tuple[int, ...], kind: int, offset: int
) -> Tensor:
    count = math.prod(shape)
    if kind in (F32, F16):
        dtype = torch.float32 if kind == F32 else torch.float16
        data = file.take(count * dtype.itemsize, start + offset)
        return tensor_of(data, dtype, shape).float()
    if kind not in BLOCKS or count % BLOCK:
        known = {F32: "F32", F16: "F16"} | {number: way[0] for number, way in BLOCKS.items()}
        raise FormatError(
            f"{file.name}, tensor {name!r}: it is stored in the way {kind}, shape {shape}; read "
            f"are {', '.join(f'{number} ({way})' for number, way in known.items())}."
        )
    _, size, decode = BLOCKS[kind]
    return decode(file.take(count // BLOCK * size, start + offset), shape)
