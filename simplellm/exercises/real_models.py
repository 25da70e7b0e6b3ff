"""The exercises of chapters/12_real_models.ipynb that have an answer."""

import math

from ..sinusoids import frequencies
from .judging import Exercise, Number


def step(d_model: int) -> float:
    """How far a row stands from the next: the tip of each hand moves along a chord."""
    return float((2 * (frequencies(d_model) / 2).sin()).norm())


def narrowest(longer_than: float) -> int:
    """The smallest width whose step is longer."""
    return next(d_model for d_model in range(2, 1_000, 2) if step(d_model) > longer_than)


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-real-models-step",
        answer=lambda: step(4),
        right="A tip moves along a chord, 2 sin(ω/2), and the fast hand's is nearly all of it.",
        mistakes=(
            (
                lambda: float(frequencies(4).norm()),
                "Those are the arcs. The rows are as far apart as the *chords*, 2 sin(ω/2).",
            ),
            (
                lambda: step(4) / 2,
                "A chord is twice the sine of half the angle: the factor 2 is missing.",
            ),
            (
                lambda: float(frequencies(4).sin().norm()),
                "So far do the sines move from row 0 to row 1. The cosines move as well.",
            ),
        ),
    ),
    Number(
        label="ex-real-models-width",
        answer=lambda: narrowest(2),
        whole=True,
        unit="columns",
        right="Every hand adds to the square of a step, so steps grow more slowly than widths.",
        mistakes=(
            (
                lambda: narrowest(2) // 2,
                "So many pairs it takes. Each of them has two columns.",
            ),
            (
                lambda: narrowest(math.sqrt(2)),
                "There the *square* of the step passes 2. Take the root, then compare.",
            ),
            (
                lambda: narrowest(2) - 1,
                "The next one is even, and a table's width must be.",
            ),
        ),
    ),
)
