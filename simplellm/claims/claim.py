"""Claims, the numbers that are measured for them, and their verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..experiments import MICROSCOPE
from ..printing import prints_anywhere
from ..records import Record, final_scores, load, mean_and_interval
from .rules import Outcome, Rule, Verdict, verdict

#: One number for each seed, or one number where chance plays no part; by condition.
Measured = Mapping[str, float | NDArray[np.float64]]

#: The chapters' names in the table, by file.
CHAPTERS = {
    "01_from_text_to_vectors": "1 From text to vectors",
    "02_why_order_matters": "2 Why order matters",
    "03_scaling_by_sqrt_d_model": "3 Scaling by √d_model",
    "04_sinusoidal_frequencies": "4 Sinusoidal frequencies",
    "05_why_sinusoids_work": "5 Why sinusoids work",
    "06_learned_positions": "6 Learned positions",
    "07_learned_versus_fixed": "7 Learned versus fixed",
    "08_the_input_layer": "8 The input layer",
    "09_silent_bug_lab": "9 The silent-bug lab",
    "10_into_the_model": "10 Into the model",
    "11_beyond_absolute_positions": "11 Beyond absolute positions",
    "13_real_models": "13 Does it hold",
}

#: The scale of what is computed.
EXACT = "computed, no training"
#: The scale of the experiments on tasks.
TASK = "about 100,000 parameters, 32 positions, random symbols, 5 seeds"
#: The scale of the experiments on text.
TEXT = "about 100,000 parameters, 64 positions, text, 5 seeds"


@dataclass(frozen=True, kw_only=True)
class InModel:
    """What a model that people use says to a claim: one number, and a rule that decides.

    It has no part in the verdict: one model, trained once, has no interval over seeds.

    Attributes:
        model: Its name.
        number: What the measured number is, in words.
        measure: Computes it, from what the package has of the model.
        rule: Says whether the sentence is true there.
        section: The heading that shows it, in the chapter on such models.
        unit: The number's unit, if it has one.
    """

    model: str
    number: str
    measure: Callable[[], float]
    rule: Rule
    section: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence one meets, and how this book finds out whether it is true.

    Attributes:
        key: Names it in links: lower-case letters, digits and hyphens.
        text: The sentence.
        made: Where one meets it.
        number: What the measured number is, in words.
        unit: Its unit, if it has one.
        measure: Computes the numbers, by condition.
        rule: Decides for each condition.
        scale: The size of what was measured.
        chapter: The notebook that shows it, a key of ``CHAPTERS``.
        section: The heading there, if one section shows it.
        instead: The sentence that is true instead, or a condition to add.
        elsewhere: What others measured, with the source; it has no part in the verdict.
        in_models: What models that people use say to it.
    """

    key: str
    text: str
    made: str
    number: str
    measure: Callable[[], Measured]
    rule: Rule
    scale: str
    chapter: str
    section: str = ""
    unit: str = ""
    instead: str = ""
    elsewhere: str = ""
    in_models: tuple[InModel, ...] = ()

    def __post_init__(self) -> None:
        if self.chapter not in CHAPTERS:
            raise ValueError(
                f"chapter must be one of {', '.join(CHAPTERS)}, got {self.chapter!r} in the claim "
                f"{self.key!r}."
            )


@dataclass(frozen=True)
class Finding:
    """What was measured for one condition of a claim.

    Attributes:
        condition: Under which it was measured.
        values: One for each seed, or one.
        mean, half_width: Of Student's t interval; the half width is 0 where there is one number
            and chance plays no part.
        outcome: That of the claim's rule for the interval.
    """

    condition: str
    values: tuple[float, ...]
    mean: float
    half_width: float
    outcome: Outcome

    def number(self, unit: str = "") -> str:
        """Format the mean with its interval, without digits that the interval makes meaningless.

        Example:
            >>> Finding("text", (0.38, 0.4, 0.39), 0.39123, 0.0248, Outcome.TRUE).number("nats")
            '0.391 ± 0.025 nats'
        """
        tail = f" {unit}" if unit else ""
        if len(self.values) == 1:
            return f"{shown(self.mean)}{tail}"
        if math.isnan(self.half_width):
            return f"{shown(self.mean)} ± none{tail}"
        if self.half_width < 1e-6:
            return f"{shown(self.mean)} ± 0{tail}"
        digits = min(3, max(0, 1 - math.floor(math.log10(self.half_width))))
        mean = f"{self.mean + 0.0:.{digits}f}".replace("-", "−")
        return f"{mean} ± {self.half_width:.{digits}f}{tail}"


@dataclass(frozen=True)
@prints_anywhere
class Judged:
    """A claim with what was measured and the verdict that follows.

    Attributes:
        claim: As it was given.
        findings: What was measured, by condition.
        verdict: What the rule makes of them.
        in_models: What each of the claim's models says; its name is the finding's condition.
    """

    claim: Claim
    findings: tuple[Finding, ...]
    verdict: Verdict
    in_models: tuple[Finding, ...] = ()

    def conditions(self, outcome: Outcome) -> list[str]:
        """Return the conditions that have this outcome."""
        return [f.condition for f in self.findings if f.outcome is outcome]

    @property
    def under(self) -> str:
        """The conditions under which the claim holds, in words; empty where there are none."""
        if self.verdict is not Verdict.HOLDS_IF:
            return ""
        true = self.conditions(Outcome.TRUE)
        others = [f.condition for f in self.findings if f.outcome is not Outcome.TRUE]
        if len(true) > 2 and len(others) < len(true):
            return f"in {len(true)} of {len(self.findings)}, not: {'; '.join(others)}"
        return "; ".join(true)

    def said_by(self, model: Finding) -> str:
        """Say whether the sentence is true in a model that people use: "also in", "not in" …"""
        true_here = self.verdict in (Verdict.HOLDS, Verdict.HOLDS_IF)
        also = "also in" if true_here else "but in"
        word = {Outcome.TRUE: also, Outcome.FALSE: "not in", Outcome.OPEN: "open in"}
        return f"{word[model.outcome]} {model.condition}"

    @property
    def words(self) -> str:
        """The verdict in words; where it depends on a condition, with the conditions."""
        if self.under.startswith("in "):
            return f"holds {self.under}"
        return f"{self.verdict}: {self.under}" if self.under else str(self.verdict)

    def __repr__(self) -> str:
        return f"{self.claim.text} – {self.words}"


def find(
    condition: str, values: float | NDArray[np.float64], rule: Rule, confidence: float = 0.95
) -> Finding:
    """Apply a rule to the numbers of one condition.

    Args:
        condition: Its name.
        values: One number, or ``(seeds,)``.
        rule: What decides.
        confidence: Of the interval over the seeds.

    Example:
        >>> from simplellm.claims import Below
        >>> find("text", 0.5, Below(1.0)).outcome
        <Outcome.TRUE: 'true'>
    """
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    exact = np.ndim(values) == 0
    mean, half = (float(array[0]), 0.0) if exact else mean_and_interval(array, confidence)
    return Finding(condition, tuple(array.tolist()), mean, half, rule.outcome(mean, half))


def judge(claim: Claim, confidence: float = 0.95) -> Judged:
    """Measure a claim and apply its rule.

    Args:
        claim: What to judge.
        confidence: Of the intervals over seeds, between 0 and 1.

    Returns:
        The claim, a finding for each condition, and the verdict.

    Example:
        >>> from simplellm.claims import CLAIMS
        >>> judge(CLAIMS[0]).verdict in Verdict
        True
    """
    findings = tuple(
        find(condition, values, claim.rule, confidence)
        for condition, values in _measured(claim).items()
    )
    in_models = tuple(find(m.model, m.measure(), m.rule) for m in claim.in_models)
    return Judged(claim, findings, verdict(f.outcome for f in findings), in_models)


@cache
def _measured(claim: Claim) -> Measured:
    return claim.measure()


# -- what measuring functions share ----------------------------------------------------------------


@cache
def records(experiment: str) -> list[Record]:
    """Load the records of an experiment, once."""
    return load(experiment)


@cache
def scores(experiment: str, score: str = "loss") -> Mapping[str, NDArray[np.float64]]:
    """Return the scores of each arm of an experiment, as `final_scores` does, loaded once.

    Arms that have no such score are left out.
    """
    found = [r for r in records(experiment) if r.stage == "final" and score in r.scores]
    return final_scores(found, score)


def microscope(**changes: Any) -> dict[str, Any]:
    """Return the settings of the book's small model, with changes."""
    return {**MICROSCOPE, **changes}


def shown(number: float) -> str:
    """Format a number for the table: three digits, and no rounding noise.

    Example:
        >>> shown(47117.3), shown(0.22627), shown(-0.0), shown(3e-13)
        ('47,117', '0.226', '0', 'below 1e-6')
    """
    if math.isnan(number):
        return "none"
    if number < 0:
        return f"−{shown(-number)}"
    if 0 < abs(number) < 1e-6:
        return "below 1e-6"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number else "0"
