"""Claims about this layer that one meets in print, each with a computed verdict.

A claim is data: the sentence, where one meets it, a function that measures it from the book's
records or from the package itself, and a rule that says when it is true. :func:`judge` measures
and applies the rule; nobody types a verdict.
"""

from __future__ import annotations

from . import layer, scaling, trained, waves
from .claim import CHAPTERS, Claim, Finding, Judged, find, judge, shown
from .rules import Above, Below, Between, Outcome, Rule, Verdict, verdict
from .table import ClaimsStrip, ClaimsTable

__all__ = [
    "CHAPTERS",
    "CLAIMS",
    "Above",
    "Below",
    "Between",
    "Claim",
    "ClaimsStrip",
    "ClaimsTable",
    "Finding",
    "Judged",
    "Outcome",
    "Rule",
    "Verdict",
    "find",
    "judge",
    "shown",
    "verdict",
]

#: All claims, in the order of the chapters.
CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (*scaling.CLAIMS, *waves.CLAIMS, *trained.CLAIMS, *layer.CLAIMS),
        key=lambda claim: claim.chapter,
    )
)
