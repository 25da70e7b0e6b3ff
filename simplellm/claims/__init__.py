"""Claims about this layer that one meets in print, each with a computed verdict.

A claim is data: the sentence, where one meets it, a function that measures it from the book's
records or from the package itself, and a rule that says when it is true. :func:`judge` measures
and applies the rule; nobody types a verdict.
"""

from __future__ import annotations

from dataclasses import replace

from . import layer, models, scaling, trained, waves
from .claim import CHAPTERS, Claim, Finding, InModel, Judged, find, judge, shown
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
    "InModel",
    "Judged",
    "Outcome",
    "Rule",
    "Verdict",
    "find",
    "judge",
    "shown",
    "verdict",
]

_ALL = (*scaling.CLAIMS, *waves.CLAIMS, *trained.CLAIMS, *layer.CLAIMS, *models.CLAIMS)

#: All claims, in the order of the chapters.
CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (replace(claim, in_models=models.IN_MODELS.get(claim.key, ())) for claim in _ALL),
        key=lambda claim: claim.chapter,
    )
)
