"""Claims that are made about this layer, each with a computed verdict.

A claim is data: the sentence, the sources that make it, a function that measures it from the book's
records or from the package itself, and a rule that says when it is true. :func:`judge_all` measures
and applies the rules; nobody types a verdict. How claims, conditions and seeds are chosen is
written down in `simplellm.claims.claim`.
"""

from __future__ import annotations

from dataclasses import replace

from . import layer, models, scaling, trained, waves
from .claim import (
    CHAPTERS,
    Claim,
    Finding,
    InModel,
    Judged,
    Source,
    find,
    judge,
    judge_all,
    shown,
)
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
    "Source",
    "Verdict",
    "find",
    "judge",
    "judge_all",
    "shown",
    "verdict",
]

_ALL = (*scaling.CLAIMS, *waves.CLAIMS, *trained.CLAIMS, *layer.CLAIMS, *models.CLAIMS)

#: All claims: first those that somebody made, then guesses of readers, each in the order of the
#: chapters.
CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (replace(claim, in_models=models.IN_MODELS.get(claim.key, ())) for claim in _ALL),
        key=lambda claim: (not claim.sources, claim.chapter),
    )
)
