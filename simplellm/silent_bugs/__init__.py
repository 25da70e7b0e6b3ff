"""Input layers that are broken and look whole, and what it takes to catch them.

A *mutant* is an input layer with one mistake that no test of shapes can see. :func:`grade` says
which of them a set of checks catches; :func:`bench` says which promises any class keeps.

Example:
    >>> report = grade(SHAPES)
    >>> report.summary
    '0 of 24 mutants caught, 24 alive; 0 false alarms'
    >>> grade(PROMISES.values()).alive
    ()
    >>> grade(PROMISES.values(), FROM_LIFE).alive
    ()
"""

from .bench import BenchReport, Finding, bench
from .correct import CORRECT
from .from_life import FROM_LIFE
from .grader import Check, Report, grade
from .mutants import MUTANTS
from .promises import PROMISES, SHAPES, Measured, Promise
from .variants import LayerConvention, Maker, NotApplicableError, Subject, Textbook, Variant

__all__ = [
    "CORRECT",
    "FROM_LIFE",
    "MUTANTS",
    "PROMISES",
    "SHAPES",
    "BenchReport",
    "Check",
    "Finding",
    "LayerConvention",
    "Maker",
    "Measured",
    "NotApplicableError",
    "Promise",
    "Report",
    "Subject",
    "Textbook",
    "Variant",
    "bench",
    "grade",
]
