"""Rules that decide whether a claim is true, each as a sentence and as code; and the verdicts.

A rule is one object with one threshold, so that the sentence a reader sees and the comparison that
is computed cannot drift apart. A number with an interval passes only if its whole interval does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


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
    def _places(self, low: float, high: float) -> tuple[bool, bool]:
        """Whether the interval lies on the true side, and whether it lies on the other."""

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

    def outcome(self, mean: float, half_width: float = 0.0) -> Outcome:
        """Judge the interval ``mean ± half_width``; what is not a number leaves it open.

        Example:
            >>> Above(0.9).outcome(0.95, 0.01), Above(0.9).outcome(0.95, 0.1)
            (<Outcome.TRUE: 'true'>, <Outcome.OPEN: 'open'>)
        """
        if math.isnan(mean) or math.isnan(half_width):
            return Outcome.OPEN
        true, false = self._places(mean - half_width, mean + half_width)
        return Outcome.TRUE if true else Outcome.FALSE if false else Outcome.OPEN


@dataclass(frozen=True)
class Above(Rule):
    """True above a threshold; not true at it."""

    threshold: float

    def _places(self, low: float, high: float) -> tuple[bool, bool]:
        return low > self.threshold, high <= self.threshold

    def _sentence(self, unit: str) -> str:
        return f"above {_formatted(self.threshold)}{unit}"


@dataclass(frozen=True)
class Below(Rule):
    """True below a threshold; not true at it."""

    threshold: float

    def _places(self, low: float, high: float) -> tuple[bool, bool]:
        return high < self.threshold, low >= self.threshold

    def _sentence(self, unit: str) -> str:
        return f"below {_formatted(self.threshold)}{unit}"


@dataclass(frozen=True)
class Between(Rule):
    """True from the lowest to the highest number, both included."""

    lowest: float
    highest: float

    def _places(self, low: float, high: float) -> tuple[bool, bool]:
        inside = low >= self.lowest and high <= self.highest
        return inside, high < self.lowest or low > self.highest

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
