"""The exercises of the chapter What is true that have an answer."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..records import t_quantile
from .judging import Choice, Exercise, Function, Number


def _half_width(seeds: int) -> float:
    """Half width of a 95 % interval over standard deviations."""
    return t_quantile(0.975, seeds - 1) / math.sqrt(seeds)


def _fewest(halves: Callable[[int], bool]) -> int:
    return next(n for n in range(5, 1000) if halves(n))


def _outcome(low: float, high: float, threshold: float) -> int:
    return 1 if low > threshold else -1 if high <= threshold else 0


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
    Function(
        label="ex-true-above",
        reference=_outcome,
        inputs=lambda: [
            (0.2, 0.4, 0.1),
            (-0.4, -0.2, 0.1),
            (0.0, 0.4, 0.1),
            (0.05, 0.11, 0.1),
            (0.1, 0.1, 0.1),
            (-1.0, 0.1, 0.1),
        ],
        right="True, not true and open: a rule for intervals has three answers.",
        takes="low, high and threshold",
        mistakes=(
            (
                lambda low, high, threshold: 1 if (low + high) / 2 > threshold else -1,
                "That judges the mean and forgets the interval.",
            ),
            (
                lambda low, high, threshold: 1 if low > threshold else -1,
                "An interval that straddles the threshold is neither true nor not true.",
            ),
            (
                lambda low, high, threshold: (
                    1 if low >= threshold else -1 if high < threshold else 0
                ),
                "A number at the threshold is not above it.",
            ),
        ),
    ),
)
