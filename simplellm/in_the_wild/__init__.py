"""Encodings in the wild, as a page shows them: what was surveyed, and a finder of conventions."""

from __future__ import annotations

from .finder import ConventionFinder
from .table import RelativeTable, SurveyTable, is_the_papers

__all__ = ["ConventionFinder", "RelativeTable", "SurveyTable", "is_the_papers"]
