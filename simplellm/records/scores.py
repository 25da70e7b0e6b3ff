"""The scores of an experiment: by arm and seed, and their mean with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy
from numpy.typing import NDArray

from .record import Record


def final_scores(records: Iterable[Record], score: str) -> dict[str, NDArray[numpy.float64]]:
    """Return the scores of each arm of an experiment, by seed.

    Args:
        records: Those of one experiment, as `load` gives them; selection runs are left out.
        score: Name of the score.

    Returns:
        For each arm ``(seeds,)``, or ``(seeds, …)`` where the score is a list; nan where nothing
        was scored. Arms keep the order of the records; seeds are sorted.

    Raises:
        KeyError: If a record has no such score; the message lists those it has.
        ValueError: If the records are of several experiments.

    Example:
        >>> from simplellm.records import load
        >>> accuracy = final_scores(load("extrapolation"), "accuracy")
        >>> accuracy["learned"].shape
        (5,)
    """
    found: dict[str, dict[int, Any]] = {}
    experiments = set()
    for record in records:
        experiments.add(record.experiment)
        if len(experiments) > 1:
            raise ValueError(
                f"records must be of one experiment, got {' and '.join(sorted(experiments))}."
            )
        if record.stage != "final":
            continue
        if score not in record.scores:
            raise KeyError(
                f"score must be one of {', '.join(sorted(record.scores))} in {record.experiment}, "
                f"arm {record.arm!r}, got {score!r}."
            )
        found.setdefault(record.arm, {})[record.run["seed"]] = record.scores[score]
    return {
        arm: numpy.array([value for _, value in sorted(seeds.items())], dtype=numpy.float64)
        for arm, seeds in found.items()
    }


def mean_and_interval(values: Any, confidence: float = 0.95) -> tuple[Any, Any]:
    """Compute the mean over seeds and the half width of Student's t confidence interval.

    The interval is mean ± t · s / √n, with the sample standard deviation s (n − 1 in its
    denominator) and the quantile t of Student's distribution with n − 1 degrees of freedom. It
    takes the seeds as independent draws from one normal distribution.

    Args:
        values: ``(n,)`` numbers, one a seed, or ``(n, …)`` with the seeds along the first axis.
        confidence: Share of such intervals that hold the true mean, between 0 and 1.

    Returns:
        Mean and half width: two floats, or two arrays of shape ``(…)``. One seed says nothing
        about the spread between seeds, so with n = 1 the half width is nan; where a value is
        nan, so are both.

    Raises:
        ValueError: If there are no values, or ``confidence`` is not between 0 and 1.

    Example:
        >>> mean, half_width = mean_and_interval([1.0, 2.0, 3.0])
        >>> f"{mean:.3f} ± {half_width:.3f}"  # t is 4.303, s is 1, n is 3
        '2.000 ± 2.484'

    Source: Student 1908; for the quantile see `t_quantile`.
    """
    array = numpy.asarray(values, dtype=numpy.float64)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"values must hold a number for each seed, got shape {array.shape}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}; as in 0.95.")
    n = len(array)
    mean = array.mean(axis=0)
    if n == 1:
        half_width = numpy.full_like(mean, math.nan)
    else:
        t = t_quantile((1 + confidence) / 2, n - 1)
        half_width = t * array.std(axis=0, ddof=1) / math.sqrt(n)
    return (mean, half_width) if array.ndim > 1 else (float(mean), float(half_width))


def t_quantile(probability: float, degrees: int) -> float:
    """Compute a quantile of Student's t distribution: it stays below with this probability.

    With whole degrees of freedom the distribution is a finite sum in the angle
    atan(t / √degrees), which grows with t; the angle is found by halving its range.

    Args:
        probability: Between 0 and 1.
        degrees: Degrees of freedom, a whole number of at least 1.

    Returns:
        The quantile, to about 12 digits.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> f"{t_quantile(0.975, 4):.3f}"
        '2.776'

    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability must be between 0 and 1, got {probability}.")
    if degrees < 1 or degrees != int(degrees):
        raise ValueError(f"degrees must be a whole number of at least 1, got {degrees}.")
    wanted = abs(2 * probability - 1)  # P(|T| < t)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        if _central_probability(angle, degrees) < wanted:
            low = angle
        else:
            high = angle
    return math.copysign(math.sqrt(degrees) * math.tan((low + high) / 2), probability - 0.5)


def _central_probability(angle: float, degrees: int) -> float:
    """P(|T| < √degrees · tan(angle)) for Student's T."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    # The terms cosine^(first), cosine^(first + 2), … up to degrees - 2, each with its factor.
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(1 if odd else 0, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
