"""Claims, the numbers that are measured for them, and their verdicts.

Who says it
    A claim is a sentence that somebody made: it has sources that can be opened. One that has none
    is a guess that readers make, and is shown in a group of its own.

Conditions
    They are chosen by a rule that was written down before the numbers were looked at:

    - A formula is asked at every width of ``WIDTHS``; where a whole model has to be built, at
      every width of ``MODEL_WIDTHS``.
    - Trained models are asked with every arm, on every task and at every place past the edge that
      the sentence speaks of and that has been trained. A task that both sides of a comparison
      solve is left out, because it cannot tell them apart.
    - A condition that the sentence excludes, that makes it true by definition, or that is about
      something else is none.

Chance
    Whatever is drawn or trained is measured with five seeds at least and shown with its spread. A
    condition of trained models is decided only if its p survives Holm's correction for all of
    them (:func:`judge_all`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..experiments import MICROSCOPE
from ..printing import prints_anywhere
from ..records import Record, final_scores, holm, load, mean_and_interval, mean_and_range
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

#: The widths at which a formula is asked: the smallest with four pairs, that of this book's small
#: model, of Vaswani et al. 2017, and two of models in use.
WIDTHS = (8, 64, 512, 2048, 4096)
#: The widths at which a model of two blocks is built.
MODEL_WIDTHS = (8, 64, 512)
#: How often what is drawn at random is drawn.
DRAWS = 5

#: The scale of what is computed.
EXACT = "computed, no chance in it"
#: The scale of what is drawn and not trained.
DRAWN = f"drawn {DRAWS} times, not trained"
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


@dataclass(frozen=True)
class Source:
    """A place where a sentence was made, which a reader can open.

    Attributes:
        where: Its name, with the section, table or comment.
        url: Its address.
        says: The words there.
    """

    where: str
    url: str
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence that somebody made, and how this book finds out whether it is true.

    Attributes:
        key: Names it in links: lower-case letters, digits and hyphens.
        text: The sentence, in our words.
        sources: Where it was made. Without one it is a guess that readers make.
        number: What the measured number is, in words.
        unit: Its unit, if it has one.
        measure: Computes the numbers, by condition.
        rule: Decides for each condition.
        share: Whether the number is a share, from 0 to 1: it is then shown with the range of the
            seeds, because Student's interval may leave these bounds.
        trained: Whether the seeds are trained models, so that the claim takes part in Holm's
            correction.
        scale: The size of what was measured.
        chapter: The notebook that shows it, a key of ``CHAPTERS``.
        section: The heading there, if one section shows it.
        instead: The sentence that is true instead, or a condition to add.
        elsewhere: What others measured, with the source; it has no part in the verdict.
        in_models: What models that people use say to it.
    """

    key: str
    text: str
    sources: tuple[Source, ...] = ()
    number: str
    measure: Callable[[], Measured]
    rule: Rule
    scale: str
    chapter: str
    section: str = ""
    unit: str = ""
    share: bool = False
    trained: bool = False
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
        mean: Of the seeds.
        low, high: The ends of Student's t interval, or of the seeds' range where the number is a
            share; both are the number itself where chance plays no part.
        outcome: That of the claim's rule.
        p: One-sided, against the rule's threshold, on the side of the outcome; where that is
            open, on the side of the mean. 0 where chance plays no part.
        lost: Whether Holm's correction left it open.
        share: Whether the number is a share, so that the ends are the seeds' range.
    """

    condition: str
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    outcome: Outcome
    p: float = 0.0
    lost: bool = False
    share: bool = False

    def number(self, unit: str = "") -> str:
        """Format the mean with its spread, without digits that the spread makes meaningless.

        Example:
            >>> from simplellm.claims import Above
            >>> seeds = np.array([0.38, 0.4, 0.39])
            >>> find("text", seeds, Above(0.0)).number("nats")
            '0.390 ± 0.025 nats'
            >>> find("text", seeds, Above(0.0), share=True).number()
            '0.390 (0.380 to 0.400)'
        """
        tail = f" {unit}" if unit else ""
        half = (self.high - self.low) / 2
        if len(self.values) == 1:
            return f"{shown(self.mean)}{tail}"
        if math.isnan(half):
            return f"{shown(self.mean)} ± none{tail}"
        if half < 1e-6 and self.share:
            return f"{shown(self.mean)} in every seed{tail}"
        if half < 1e-6:
            return f"{shown(self.mean)} ± 0{tail}"
        digits = min(3, max(0, 1 - math.floor(math.log10(half))))

        def rounded(number: float) -> str:
            return f"{number + 0.0:.{digits}f}".replace("-", "−")

        if self.share:
            return f"{rounded(self.mean)} ({rounded(self.low)} to {rounded(self.high)}){tail}"
        return f"{rounded(self.mean)} ± {rounded(half)}{tail}"


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
        if len(true) <= 2:
            return "; ".join(true)
        count = f"in {len(true)} of {len(self.findings)}"
        return f"{count}, not: {'; '.join(others)}" if len(others) <= 2 else count

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
    condition: str,
    values: float | NDArray[np.float64],
    rule: Rule,
    confidence: float = 0.95,
    *,
    share: bool = False,
) -> Finding:
    """Apply a rule to the numbers of one condition.

    Args:
        condition: Its name.
        values: One number, or ``(seeds,)``.
        rule: What decides.
        confidence: Of the interval over the seeds; the range of the seeds has its own.
        share: Whether the numbers are shares, whose spread is the range of the seeds.

    Example:
        >>> from simplellm.claims import Below
        >>> find("text", 0.5, Below(1.0)).outcome
        <Outcome.TRUE: 'true'>
    """
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    mean = float(array.mean())
    if np.ndim(values) == 0:
        return Finding(condition, (mean,), mean, mean, mean, rule.outcome(mean))
    if share:
        _, low, high = mean_and_range(array)
    else:
        _, half = mean_and_interval(array, confidence)
        low, high = mean - half, mean + half
    outcome, p = rule.outcome(low, high), math.nan
    if len(array) > 1:
        error = float(array.std(ddof=1)) / math.sqrt(len(array))
        side = rule.outcome(mean) if outcome is Outcome.OPEN else outcome
        p = rule.p_value(mean, error, len(array) - 1, side)
    return Finding(condition, tuple(array.tolist()), mean, low, high, outcome, p, share=share)


def judge(claim: Claim, confidence: float = 0.95) -> Judged:
    """Measure a claim and apply its rule, to it alone.

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
        find(condition, values, claim.rule, confidence, share=claim.share)
        for condition, values in _measured(claim).items()
    )
    in_models = tuple(find(m.model, m.measure(), m.rule) for m in claim.in_models)
    return Judged(claim, findings, verdict(f.outcome for f in findings), in_models)


def judge_all(claims: Iterable[Claim], level: float = 0.05) -> tuple[Judged, ...]:
    """Judge claims together: what is decided of trained models survives Holm's correction.

    Among many conditions some pass their threshold by accident. All conditions of the claims on
    trained models are one family, decided or not; a decided one whose p does not survive is open.

    Args:
        claims: What to judge.
        level: The probability, at most, that any decided condition is an accident.

    Example:
        >>> from simplellm.claims import CLAIMS
        >>> judged = judge_all(claim for claim in CLAIMS if claim.trained)
        >>> all(f.outcome == "open" for j in judged for f in j.findings if f.lost)
        True
    """
    judged = [judge(claim) for claim in claims]
    family = [f for j in judged if j.claim.trained for f in j.findings]
    survives = iter(holm([f.p for f in family], level))

    def corrected(one: Judged) -> Judged:
        if not one.claim.trained:
            return one
        findings = tuple(
            f
            if next(survives) or f.outcome is Outcome.OPEN
            # Both ends are as they were measured; only the decision is taken back.
            else replace(f, outcome=Outcome.OPEN, lost=True)
            for f in one.findings
        )
        return replace(one, findings=findings, verdict=verdict(f.outcome for f in findings))

    return tuple(map(corrected, judged))


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


def drawn(measure: Callable[[], float]) -> NDArray[np.float64]:
    """Measure what is drawn at random with ``DRAWS`` seeds, and leave torch's own chance alone.

    Example:
        >>> drawn(lambda: torch.rand(()).item()).shape
        (5,)
    """
    found = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(DRAWS):
            torch.manual_seed(seed)
            found.append(measure())
    return np.array(found)


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
