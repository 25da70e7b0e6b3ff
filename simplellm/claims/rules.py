"""Rules that decide whether a claim is true, each as a sentence and as code; and the verdicts.

A rule is one object with one threshold, so that the sentence a reader sees and the comparison that
is computed cannot drift apart. A number with an interval passes only if its whole interval does,
and its p says how firmly.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..records import t_probability


class Outcome(StrEnum):
    """The result of a rule for one number."""

    TRUE = "true"
    FALSE = "not true"
    OPEN = "open"


class Verdict(StrEnum):
    """The result of a claim over all of its conditions."""

    HOLDS = "holds"
    HOLDS_IF = "holds if"
    FAILS = "does not hold"
    OPEN = "not settled here"


@dataclass(frozen=True)
class Rule(ABC):
    """A rule for a number with its unit and, where seeds differ, its interval."""

    @abstractmethod
    def margins(self, number: float) -> tuple[float, ...]:
        """How far a number is inside of each threshold; below 0 where it is outside."""

    @abstractmethod
    def _sentence(self, unit: str) -> str:
        """The rule, to go on after "True where the number is "."""

    def sentence(self, unit: str = "") -> str:
        """Return the rule in words.

        Example:
            >>> Above(0.9).sentence()
            'True where the number is above 0.9.'
        """
        return f"True where the number is {self._sentence(f' {unit}' if unit else '')}."

    def _inside(self, margin: float) -> bool:
        """Whether a margin makes the sentence true; at a threshold it does not."""
        return margin > 0

    def outcome(self, low: float, high: float | None = None) -> Outcome:
        """Judge a number, or the interval from ``low`` to ``high``; nan leaves it open.

        Example:
            >>> Above(0.9).outcome(0.95), Above(0.9).outcome(0.85, 1.05)
            (<Outcome.TRUE: 'true'>, <Outcome.OPEN: 'open'>)
        """
        high = low if high is None else high
        if math.isnan(low) or math.isnan(high):
            return Outcome.OPEN
        ends = list(zip(self.margins(low), self.margins(high), strict=True))
        if all(self._inside(margin) for end in ends for margin in end):
            return Outcome.TRUE
        outside = any(not any(map(self._inside, end)) for end in ends)
        return Outcome.FALSE if outside else Outcome.OPEN

    def p_value(self, mean: float, error: float, degrees: int, outcome: Outcome) -> float:
        """Compute the one-sided p of a mean against the rule's threshold.

        It is the probability of a mean that far beyond the threshold, or farther, if the true one
        were at the threshold. Inside of two thresholds the larger p counts, because both have to
        be held; outside, that of the threshold that was passed.

        Args:
            mean: Over the seeds.
            error: Its standard error, s / √n.
            degrees: Degrees of freedom, n - 1.
            outcome: The side on which it is tested: ``TRUE`` or ``FALSE``.

        Example:
            >>> f"{Above(0.0).p_value(2.776, 1.0, 4, Outcome.TRUE):.3f}"
            '0.025'
        """
        sign = 1 if outcome is Outcome.TRUE else -1
        found = [_beyond(sign * margin, error, degrees) for margin in self.margins(mean)]
        return max(found) if outcome is Outcome.TRUE else min(found)


def _beyond(distance: float, error: float, degrees: int) -> float:
    """P(T is at least the distance over its error); where all seeds are equal, 0 or 1."""
    if error > 0:
        return t_probability(-distance / error, degrees)
    return math.nan if math.isnan(distance) or math.isnan(error) else float(distance < 0)


@dataclass(frozen=True)
class Above(Rule):
    """True above a threshold; not true at it."""

    threshold: float

    def margins(self, number: float) -> tuple[float, ...]:
        """The number minus the threshold."""
        return (number - self.threshold,)

    def _sentence(self, unit: str) -> str:
        return f"above {_formatted(self.threshold)}{unit}"


@dataclass(frozen=True)
class Below(Rule):
    """True below a threshold; not true at it."""

    threshold: float

    def margins(self, number: float) -> tuple[float, ...]:
        """The threshold minus the number."""
        return (self.threshold - number,)

    def _sentence(self, unit: str) -> str:
        return f"below {_formatted(self.threshold)}{unit}"


@dataclass(frozen=True)
class Between(Rule):
    """True from the lowest to the highest number, both included."""

    lowest: float
    highest: float

    def margins(self, number: float) -> tuple[float, ...]:
        """How far it is above the lowest, and how far below the highest."""
        return number - self.lowest, self.highest - number

    def _inside(self, margin: float) -> bool:
        return margin >= 0

    def _sentence(self, unit: str) -> str:
        return f"from {_formatted(self.lowest)} to {_formatted(self.highest)}{unit}"


def verdict(outcomes: Iterable[Outcome]) -> Verdict:
    """Combine the outcomes of a claim's conditions into its verdict.

    A claim holds if it does under all conditions, and holds *if* where it does under some. Where
    it is true under none, one open condition is enough to leave it unsettled.

    Args:
        outcomes: One for each condition.

    Raises:
        ValueError: If there is no outcome; a claim without a measurement has no verdict.

    Example:
        >>> verdict([Outcome.TRUE, Outcome.FALSE])
        <Verdict.HOLDS_IF: 'holds if'>
    """
    found = set(outcomes)
    if not found:
        raise ValueError("outcomes is empty: a claim needs at least one measured condition.")
    if found == {Outcome.TRUE}:
        return Verdict.HOLDS
    if Outcome.TRUE in found:
        return Verdict.HOLDS_IF
    return Verdict.OPEN if Outcome.OPEN in found else Verdict.FAILS


def _formatted(number: float) -> str:
    """A threshold in full, without an exponent."""
    return f"{number:,.9f}".rstrip("0").rstrip(".")
