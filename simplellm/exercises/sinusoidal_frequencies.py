"""The exercises of the chapter Sinusoidal frequencies that have an answer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..sinusoids import frequencies, sinusoidal_encoding, wavelengths
from .judging import Exercise, Function, Number

WIDTH, LENGTH, PART = 64, 512, 1 / 8  # of ex-base


def largest_power(part: float, length: int = LENGTH) -> float:
    """The largest power of ten, as a base, at which every hand makes this part of a turn."""
    powers = (10.0**k for k in range(1, 9))
    return max(base for base in powers if length / wavelengths(WIDTH, base)[-1] >= part)


def halves() -> list[tuple[Any, ...]]:
    """Tables of two shapes, all sines first and all cosines after them."""
    tables = (sinusoidal_encoding(range(5), 8), sinusoidal_encoding([3, 70], 12))
    return [(torch.cat((rows[:, 0::2], rows[:, 1::2]), dim=1),) for rows in tables]


def interleaved(table: Tensor) -> Tensor:
    """Interleave sines and cosines: each sine is followed by its cosine."""
    return torch.stack(table.chunk(2, dim=1), dim=-1).flatten(1)


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-wavelength",
        answer=lambda: wavelengths(64)[10].item(),
        unit="positions",
        right="The wavelength of pair i is 2π · 10000^(2i/d): for pair 10 the exponent is 20/64.",
        mistakes=(
            (
                lambda: frequencies(64)[10].item(),
                "That is the frequency, in radians per position; the wavelength is 2π over it.",
            ),
            (
                lambda: wavelengths(64)[5].item(),
                "The exponent is 2i/d, and i counts pairs: 20/64 for pair 10, not 10/64.",
            ),
            (
                lambda: wavelengths(64)[10].item() / math.tau,
                "A hand turns once when its angle has grown by 2π: the factor 2π is missing.",
            ),
            (
                lambda: wavelengths(64)[20].item(),
                "That is pair 20. Pair 10 is in the columns 20 and 21: its exponent is 20/64.",
            ),
            (
                lambda: wavelengths(64)[9].item(),
                "That is pair 9. Pairs count from 0: the fastest is pair 0, and its λ is 2π.",
            ),
            (
                lambda: wavelengths(64)[11].item(),
                "That is pair 11. Pairs count from 0, and the exponent of pair 10 is 20/64.",
            ),
            (
                lambda: wavelengths(64)[10].item() / 2,
                "That is half a turn. A hand is back where it was when its angle has grown by 2π.",
            ),
            (
                lambda: 360 * wavelengths(64)[10].item() / math.tau,
                "That takes a turn for 360. The angle ωp is in radians, so a turn is 2π.",
            ),
            (
                lambda: 1 / wavelengths(64)[10].item(),
                "That is how much of a turn one position is; the wavelength is one over it.",
            ),
        ),
    ),
    Number(
        label="ex-base",
        answer=lambda: largest_power(PART),
        whole=True,
        right="A smaller base has faster hands; the paper's leaves the slowest almost still.",
        mistakes=(
            (
                lambda: math.log10(largest_power(PART)),
                "That is the exponent. The base is ten to this power.",
            ),
            (
                lambda: largest_power(PART) * 10,
                "There the slowest hand makes a tenth of a turn; an eighth is wanted.",
            ),
            (
                lambda: 10_000,
                "There the slowest hand makes about a hundredth of a turn; an eighth is wanted.",
            ),
            (
                lambda: largest_power(1),
                "There every hand completes a turn; a larger base still leaves an eighth.",
            ),
        ),
    ),
    Function(
        label="ex-interleave",
        reference=interleaved,
        inputs=halves,
        takes="a table (rows, columns)",
        right="Sine i moves from column i to 2i, and cosine i from i + d/2 to 2i + 1.",
        mistakes=(
            (
                lambda table: table,
                "Nothing has moved. Splitting the last axis into (2, d/2) or into (d/2, 2) and "
                "joining it again gives back the same order: stack, or transpose, in between.",
            ),
            (
                lambda table: torch.cat((table[:, 0::2], table[:, 1::2]), dim=1),
                "That is the way back: it separates columns that were side by side.",
            ),
            (
                lambda table: torch.stack(table.chunk(2, dim=1)[::-1], dim=-1).flatten(1),
                "Each pair has its cosine first. Column 2i is the sine.",
            ),
            (
                lambda table: torch.stack(table.chunk(2, dim=1), dim=-1),
                "The pairs are right and still an axis of their own: flatten the last two.",
            ),
        ),
    ),
)
