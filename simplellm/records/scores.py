"""The scores of an experiment: by arm and seed, their mean, its interval, and tests of many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
    array = _with_seeds(values)
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


def mean_and_range(values: Any) -> tuple[Any, Any, Any]:
    """Compute the mean over seeds with the lowest and the highest seed, for scores with bounds.

    An accuracy lies between 0 and 1. Student's interval does not know that: near a bound, where
    the seeds are anything but normal, it passes it. The range of the seeds never does, assumes
    nothing about their distribution, and means something when all of them are 1. It holds the
    median of the distribution with probability 1 - 2^(1 - n), which is 94 % with five seeds.

    Args:
        values: ``(n,)`` numbers, one a seed, or ``(n, …)`` with the seeds along the first axis.

    Returns:
        Mean, lowest and highest: three floats, or three arrays of shape ``(…)``. One seed has no
        range, so with n = 1 both ends are nan; where a value is nan, so are all three.

    Raises:
        ValueError: If there are no values.

    Example:
        >>> mean, low, high = mean_and_range([0.9, 1.0, 0.98])
        >>> f"{mean:.2f} ({low} to {high})"
        '0.96 (0.9 to 1.0)'

    Source: Thompson 1936, "On confidence ranges for the median and other expectation
    distributions for populations of unknown distribution form", for the probability.
    """
    array = _with_seeds(values)
    mean, low, high = array.mean(axis=0), array.min(axis=0), array.max(axis=0)
    if len(array) == 1:
        low, high = numpy.full_like(mean, math.nan), numpy.full_like(mean, math.nan)
    return (mean, low, high) if array.ndim > 1 else (float(mean), float(low), float(high))


def _with_seeds(values: Any) -> NDArray[numpy.float64]:
    array = numpy.asarray(values, dtype=numpy.float64)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"values must hold a number for each seed, got shape {array.shape}.")
    return array


def holm(p_values: Sequence[float], level: float = 0.05) -> list[bool]:
    """Say which of many tests survive Holm's correction for their number.

    The smallest p is held against level / m, with m tests, the next against level / (m - 1), and
    so on until one is too large; that one and all after it do not survive. Then the probability
    that any of the surviving ones is an accident is at most ``level``, however the tests depend
    on each other.

    Args:
        p_values: One for each test. A p that is nan never survives, and counts as a test.
        level: Of the whole family, between 0 and 1.

    Returns:
        For each test, in the order given, whether it survives.

    Raises:
        ValueError: If ``level`` is not between 0 and 1.

    Example:
        >>> holm([0.04, 0.001, 0.02])  # 0.001 < 0.05 / 3, 0.02 < 0.05 / 2, 0.04 < 0.05
        [True, True, True]
        >>> holm([0.04, 0.001, 0.03])  # 0.03 > 0.05 / 2
        [False, True, False]

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}; as in 0.05.")
    order = sorted(range(len(p_values)), key=lambda i: (math.isnan(p_values[i]), p_values[i]))
    survives = [False] * len(p_values)
    for done, i in enumerate(order):
        if not p_values[i] <= level / (len(p_values) - done):
            break
        survives[i] = True
    return survives


def t_probability(t: float, degrees: int) -> float:
    """Compute Student's distribution function: the probability that T is at most ``t``.

    The inverse of `t_quantile`.

    Args:
        t: Any number; infinity gives 1, minus infinity 0, and nan gives nan.
        degrees: Degrees of freedom, a whole number of at least 1.

    Returns:
        A probability, to about 12 digits after the point.

    Raises:
        ValueError: If ``degrees`` is outside its range.

    Example:
        >>> f"{t_probability(2.776, 4):.3f}"
        '0.975'

    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
    """
    _check_degrees(degrees)
    central = _central_probability(math.atan(abs(t) / math.sqrt(degrees)), degrees)
    return (1 + math.copysign(central, t)) / 2


def _check_degrees(degrees: int) -> None:
    if degrees < 1 or degrees != int(degrees):
        raise ValueError(f"degrees must be a whole number of at least 1, got {degrees}.")


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
    _check_degrees(degrees)
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
