"""Instant feedback on the book's exercises: right, or why not.

Each chapter's exercises are in the module of this package that has the chapter's name.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from typing import Any

import numpy as np

from ..printing import printable
from ._answers import described, slip
from .judging import Array, Choice, Exercise, Function, Number

__all__ = ["Array", "Choice", "Exercise", "Function", "Number", "check", "exercises"]


@cache
def exercises() -> dict[str, Exercise]:
    """Return all exercises of the book that can be checked, by label.

    Raises:
        ValueError: If two exercises have the same label.
    """
    found: dict[str, Exercise] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name == "judging" or module.name.startswith("_"):
            continue
        chapter = importlib.import_module(f"{__name__}.{module.name}")
        for exercise in chapter.EXERCISES:
            if exercise.label in found:
                raise ValueError(f"two exercises are labelled {exercise.label!r}; rename one.")
            found[exercise.label] = exercise
    return found


def check(label: str, answer: Any = None, *more: Any) -> None:
    """Check an answer to an exercise, and print whether it is right or why it is wrong.

    Args:
        label: The exercise's label, as in the cell below the exercise.
        answer: What you found; with None, the kind of answer that is wanted is printed.
        more: Nothing. An answer with a decimal comma arrives here, which the message explains.

    Raises:
        KeyError: If there is no exercise with this label; names the nearest.

    Example:
        >>> check("ex-wavelength", None)
        Not answered yet. It wants a number (positions), in place of None.
        >>> from simplellm import wavelengths
        >>> check("ex-wavelength", wavelengths(64)[10])
        Right. ...
        >>> check("ex-wavelength", 111,7)
        Not yet. That is 2 answers. ... a decimal one is a point, 111.7.
    """
    known = exercises()
    if not isinstance(label, str) or label not in known:
        near = difflib.get_close_matches(str(label), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" There are {len(known)} with an answer."
        raise KeyError(f"label {described(label)} is no exercise of this book.{hint}")
    exercise = known[label]
    if more:
        hint = slip((answer, *more), share=False) or " Several numbers go into one list: [1, 2]."
        wanted = f"The exercise wants {exercise.expects}."
        print(printable(f"Not yet. That is {1 + len(more)} answers. {wanted}{hint}"))
        return
    if answer is None or answer is Ellipsis:
        print(printable(f"Not answered yet. It wants {exercise.expects}, in place of None."))
        return
    with np.errstate(all="ignore"):  # the reader may have asked for errors
        reason = exercise.judge(answer)
    print(printable(f"Right. {exercise.right}" if reason is None else f"Not yet. {reason}"))
