"""The exercises of the chapter What is true that have an answer."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..records import t_quantile
from .judging import Choice, Exercise, Number


def _half_width(seeds: int) -> float:
    """Half width of a 95 % interval over standard deviations."""
    return t_quantile(0.975, seeds - 1) / math.sqrt(seeds)


def _fewest(halves: Callable[[int], bool]) -> int:
    return next(n for n in range(5, 1000) if halves(n))


def _ratio(spread: float) -> float:
    """Size of token rows over that of sinusoids, with the factor, at width 256."""
    return spread * math.sqrt(2 * 256)


EXERCISES: tuple[Exercise, ...] = (
    Choice(
        label="ex-true-outcome",
        answer="open",
        right="The interval reaches over the threshold, so five seeds do not say on which side "
        "the mean of all seeds lies.",
        why={
            "true": "The mean is above the threshold, but the interval begins below it.",
            "not true": "For that the whole interval would have to lie at or below the threshold. "
            "A claim that is not shown is not yet a false one.",
        },
    ),
    Number(
        label="ex-true-start",
        answer=lambda: _ratio(0.05 / math.sqrt(3)),
        right="A uniform start of half width a has the spread a/√3, and the ratio is s·√(2d).",
        unit="times",
        mistakes=(
            (lambda: _ratio(0.05), "0.05 is half the width of the distribution, not its spread."),
            (
                lambda: _ratio(0.05 / math.sqrt(3)) / 16,
                "That is the ratio without the factor, which is 16 here.",
            ),
            (
                lambda: _ratio(0.05 / math.sqrt(3)) / math.sqrt(2),
                "That is the size of the token row. Sinusoids have a root mean square of √(1/2).",
            ),
        ),
    ),
    Number(
        label="ex-true-seeds",
        answer=lambda: _fewest(lambda n: _half_width(n) <= _half_width(5) / 2),
        whole=True,
        unit="seeds",
        right="The root asks for four times as many; Student's t falls as well, so fewer do.",
        mistakes=(
            (
                lambda: _fewest(lambda n: 1 / math.sqrt(n) <= 1 / math.sqrt(5) / 2),
                "That is the root alone. With more seeds Student's t falls as well.",
            ),
            (
                10,
                "The interval shrinks with the root of the number of seeds, not with the number.",
            ),
            (
                lambda: _fewest(lambda n: _half_width(n) <= _half_width(5) / 2) - 1,
                "Close: with these it is a little more than half. Compute t for each number.",
            ),
        ),
    ),
)
