"""The exercises of the chapter Positions today that have an answer."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ..sinusoids import frequencies
from ..stretching import stretched_rates
from .judging import Exercise, Function, Number

# A local block of Gemma 4, and the cache of DeepSeek-V3.
HEAD, WINDOW = 256, 512
BLOCKS, TOKENS, BYTES = 61, 128_000, 2
HEADS, CONTENT, ROTARY, VALUE, LATENT = 128, 128, 64, 128, 512


def going_round(rates: Tensor, positions: int) -> int:
    """How many pairs go round at least once within so many positions."""
    return int((positions * rates / (2 * math.pi) >= 1).sum())


def gigabytes(numbers: int, tokens: int = TOKENS) -> float:
    """A cache that holds so many numbers for each token in each block."""
    return BLOCKS * tokens * numbers * BYTES / 1e9


def shipped(rates: Tensor, factor: float, trained: int) -> Tensor:
    """YaRN's rates with a ramp that is linear in the logarithm of the turns."""
    turns = trained * rates / (2 * math.pi)
    kept = (turns.log() / math.log(32)).clamp(0, 1)
    return rates * (kept + (1 - kept) / factor)


def swapped(rates: Tensor, factor: float, trained: int) -> Tensor:
    """The same with the two ends of the ramp taken for each other."""
    turns = trained * rates / (2 * math.pi)
    kept = 1 - (turns.log() / math.log(32)).clamp(0, 1)
    return rates * (kept + (1 - kept) / factor)


def in_radians(rates: Tensor, factor: float, trained: int) -> Tensor:
    """The same with radians where turns belong."""
    kept = ((trained * rates).log() / math.log(32)).clamp(0, 1)
    return rates * (kept + (1 - kept) / factor)


def heads() -> list[tuple[Any, ...]]:
    """Rates, factors and trained lengths of two shapes."""
    return [(frequencies(64, 150_000), 32, 4_096), (frequencies(32, 10_000), 4, 2_048)]


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-today-turns",
        answer=lambda: going_round(frequencies(HEAD, 10_000), WINDOW),
        whole=True,
        unit="pairs",
        right="In a window the slower pairs hardly turn, and compare content.",
        mistakes=(
            (
                lambda: going_round(frequencies(HEAD, 10_000), 512 * 7),
                "Those make a seventh of a turn and more. A turn has 2π radians, not one.",
            ),
            (
                lambda: int((WINDOW * frequencies(HEAD, 10_000) >= 1).sum()),
                "Those turn by one radian. A whole turn has 2π.",
            ),
            (
                lambda: going_round(frequencies(HEAD, 1_000_000), WINDOW),
                "That is base 1,000,000, the global blocks'. Local ones have 10,000.",
            ),
            (
                lambda: 2 * going_round(frequencies(HEAD, 10_000), WINDOW),
                "So many columns. Two of them make a pair.",
            ),
        ),
    ),
    Number(
        label="ex-today-cache",
        answer=lambda: gigabytes(LATENT + ROTARY),
        unit="GB",
        right="576 numbers for a token and block, whatever the number of heads.",
        mistakes=(
            (
                lambda: gigabytes(LATENT),
                "That is the latent alone. The rotary key, 64 numbers, is kept as well.",
            ),
            (
                lambda: gigabytes(LATENT + ROTARY) / 2,
                "A number in bfloat16 takes two bytes.",
            ),
            (
                lambda: gigabytes(HEADS * (CONTENT + ROTARY + VALUE)),
                "That is the cache of 128 plain heads. Here a latent stands for all of them.",
            ),
            (
                lambda: gigabytes(LATENT + HEADS * ROTARY),
                "The rotary key is one for all heads, so it is kept once.",
            ),
            (
                lambda: gigabytes(LATENT + ROTARY) / BLOCKS,
                "That is one block. Each of the 61 has a cache of its own.",
            ),
        ),
    ),
    Function(
        label="ex-today-ramp",
        reference=shipped,
        inputs=heads,
        within=1e-5,
        takes="rates, a factor and a trained length",
        right="Linear in the logarithm of the turns is linear in the number of the pair.",
        mistakes=(
            (
                lambda rates, factor, trained: stretched_rates(
                    rates, "yarn", factor, trained, 10_000
                ),
                "That is the paper's ramp, linear in the turns. Take their logarithm.",
            ),
            (
                swapped,
                "The ends are swapped: pairs that turn often keep their rates.",
            ),
            (
                in_radians,
                "The bounds count turns: divide the angle at the trained length by 2π.",
            ),
            (
                lambda rates, factor, trained: rates / factor,
                "That interpolates every pair. The fast ones keep their rates.",
            ),
        ),
    ),
)
