"""What an answer to an exercise can be, and how it is judged.

An exercise knows its right answer by computing it, and the mistakes that learners make by name:
for each there is a reason that helps, not only a "no". All kinds are judged by the same method,
:meth:`Exercise.judge`, which returns None for a right answer and otherwise says why it is wrong.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

# A value, or a function that computes it when somebody asks: importing the book's exercises costs
# nothing then, and an answer that can be computed is not typed.
Value = float | Callable[[], float]
Values = Any  # a tensor, an array or nested lists of numbers; or a function that computes them


@dataclass(frozen=True, kw_only=True)
class Exercise(ABC):
    """One exercise with an answer that can be judged.

    Attributes:
        label: The label of its directive in the chapter, as ``"ex-wavelength"``.
        right: What is said about a right answer: the sentence to keep.
    """

    label: str
    right: str

    @property
    @abstractmethod
    def expects(self) -> str:
        """What kind of answer is wanted, to go on after "It wants "."""

    @abstractmethod
    def judge(self, answer: Any) -> str | None:
        """None for a right answer; otherwise a sentence or two on what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Number(Exercise):
    """An exercise whose answer is one number.

    Attributes:
        answer: The right number, or a function that computes it.
        within: How far off an answer may be, as a share of the right one.
        absolute: How far off it may be in the number's own unit; takes the place of ``within``.
        whole: Whether it is a count, of which only the exact one is right.
        unit: What the number counts or measures, as "positions".
        mistakes: Pairs of a wrong number (or a function that computes it) and what to say to it.

    Example:
        >>> turns = Number(
        ...     label="ex-turns", answer=lambda: 2 * math.pi, unit="positions",
        ...     right="A hand of frequency 1 turns once in 2π positions.",
        ...     mistakes=((1.0, "That is its frequency."),),
        ... )
        >>> turns.judge(6.28)
        >>> turns.judge(1)
        'That is its frequency.'
        >>> turns.judge(3)
        '3 is too small.'
    """

    answer: Value
    within: float = 0.01
    absolute: float | None = None
    whole: bool = False
    unit: str = ""
    mistakes: Sequence[tuple[Value, str]] = ()

    @property
    def expects(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} ({self.unit})" if self.unit else kind

    def _near(self, answer: float, value: Value) -> bool:
        wanted = float(_computed(value))
        if self.whole:
            return answer == wanted
        allowed = self.within * abs(wanted) if self.absolute is None else self.absolute
        return abs(answer - wanted) <= allowed

    def judge(self, answer: Any) -> str | None:
        number = _as_number(answer)
        if number is None:
            return f"{_shown(answer)} is not a number; the exercise wants {self.expects}."
        if self._near(number, self.answer):
            return None
        for wrong, reason in self.mistakes:
            if self._near(number, wrong):
                return reason
        if not math.isfinite(number):
            return (
                f"{number} is not a number that can be checked; the exercise wants {self.expects}."
            )
        size = "too small" if number < _computed(self.answer) else "too large"
        return f"{number:.6g} is {size}."


@dataclass(frozen=True, kw_only=True)
class Choice(Exercise):
    """An exercise whose answer is one of a few words.

    Attributes:
        answer: The right word.
        why: For each other word, why it is not the one.

    Example:
        >>> half = Choice(
        ...     label="ex-half", answer="cosine", right="Odd columns hold the cosine.",
        ...     why={"sine": "Even columns hold the sine, and 5 is odd."},
        ... )
        >>> half.expects
        "one of 'cosine', 'sine'"
        >>> half.judge("Cosine ")
        >>> half.judge("sine")
        'Even columns hold the sine, and 5 is odd.'
    """

    answer: str
    why: Mapping[str, str]

    @property
    def expects(self) -> str:
        return f"one of {', '.join(repr(word) for word in sorted([self.answer, *self.why]))}"

    def judge(self, answer: Any) -> str | None:
        if not isinstance(answer, str):
            return f"{_shown(answer)} is not a word; the exercise wants {self.expects}."
        word = answer.strip().lower()
        if word == self.answer.lower():
            return None
        for other, reason in self.why.items():
            if word == other.lower():
                return reason
        return f"{_shown(answer)} is not among the answers; the exercise wants {self.expects}."


@dataclass(frozen=True, kw_only=True)
class Array(Exercise):
    """An exercise whose answer is a tensor, an array, or a list or tuple of numbers.

    Attributes:
        answer: The right numbers, or a function that computes them.
        within: How far off each may be, in the numbers' own unit.
        mistakes: Pairs of wrong numbers (or a function that computes them) and what to say.

    Example:
        >>> shape = Array(
        ...     label="ex-shape", answer=(1, 5, 64), right="One row of 64 for each id.",
        ...     mistakes=(((5, 64), "The batch axis is missing."),),
        ... )
        >>> shape.judge(torch.zeros(1, 5, 64).shape)
        >>> shape.judge((5, 64))
        'The batch axis is missing.'
        >>> shape.judge([1, 5, 63])
        '1 of 3 numbers are off, the first at (2,): 63.'
    """

    answer: Values
    within: float = 1e-4
    mistakes: Sequence[tuple[Values, str]] = ()

    @property
    def expects(self) -> str:
        right = _as_array(_computed(self.answer))
        assert right is not None
        shape = right.shape
        if len(shape) == 1:
            return f"{shape[0]} numbers (a tensor, an array, a list or a tuple)"
        return f"a tensor, an array or nested lists of shape {shape}"

    def judge(self, answer: Any) -> str | None:
        given = _as_array(answer)
        if given is None:
            return f"{_shown(answer)} holds no numbers; the exercise wants {self.expects}."
        right = _as_array(_computed(self.answer))
        assert right is not None
        if _same(given, right, self.within):
            return None
        for wrong, reason in self.mistakes:
            if _same(given, _as_array(_computed(wrong)), self.within):
                return reason
        return _difference(given, right, self.within)


@dataclass(frozen=True, kw_only=True)
class Function(Exercise):
    """An exercise whose answer is a function, compared with a reference on several inputs.

    Attributes:
        reference: The function that is right.
        inputs: Makes the tuples of arguments on which the two are compared, anew for each.
        within: How far off each number may be.
        mistakes: Pairs of a broken function and what to say to one that gives the same.
        takes: The arguments it is called with, as "positions and d_model".

    Example:
        >>> scale = Function(
        ...     label="ex-scale", reference=lambda x, d: x * math.sqrt(d),
        ...     inputs=lambda: [(1.0, 4), (2.0, 9)], right="Times the square root of the width.",
        ...     mistakes=((lambda x, d: x * d, "That is the width and not its square root."),),
        ... )
        >>> scale.judge(lambda x, d: d**0.5 * x)
        >>> scale.judge(lambda x, d: d * x)
        'That is the width and not its square root.'
        >>> scale.judge(lambda x, d: x / 0)
        'With the arguments (1.0, 4) it raises ZeroDivisionError: float division by zero.'
    """

    reference: Callable[..., Any]
    inputs: Callable[[], Iterable[tuple[Any, ...]]]
    within: float = 1e-5
    mistakes: Sequence[tuple[Callable[..., Any], str]] = ()
    takes: str = ""

    @property
    def expects(self) -> str:
        return f"a function of {self.takes}" if self.takes else "a function"

    def judge(self, answer: Any) -> str | None:
        if not callable(answer):
            wanted = f"the exercise wants {self.expects}, without brackets."
            return f"{_shown(answer)} cannot be called; {wanted}"
        wrong = self._first_difference(answer, self.reference)
        if wrong is None:
            return None
        for broken, reason in self.mistakes:
            if self._first_difference(answer, broken) is None:
                return reason
        return wrong

    def _first_difference(self, one: Callable[..., Any], other: Callable[..., Any]) -> str | None:
        for arguments in self.inputs():
            with_these = f"With the arguments {_shown(arguments)}"
            try:
                given = one(*arguments)
            except Exception as error:  # the reader's code may do anything
                return f"{with_these} it raises {type(error).__name__}: {error}."
            given, right = _as_array(given), _as_array(other(*arguments))
            if given is None:
                return f"{with_these} it returns no numbers. Is there a return?"
            assert right is not None
            if not _same(given, right, self.within):
                return f"{with_these}: {_difference(given, right, self.within)}"
        return None


def _computed(value: Any) -> Any:
    return value() if callable(value) else value


def _as_number(answer: Any) -> float | None:
    """The number in an answer, or None; True and False are none, a tensor of one entry is."""
    array = _as_array(answer)
    return float(array.item()) if array is not None and array.size == 1 else None


def _as_array(answer: Any) -> NDArray[np.float64] | None:
    """The numbers in an answer as an array, or None where there are none."""
    if isinstance(answer, torch.Tensor):
        if answer.is_complex():
            return None
        answer = answer.detach().cpu().double().numpy()
    elif isinstance(answer, (list, tuple)) and any(isinstance(a, torch.Tensor) for a in answer):
        parts = [_as_array(part) for part in answer]
        if any(part is None for part in parts):
            return None
        answer = parts
    try:
        array = np.asarray(answer)
    except (TypeError, ValueError):  # rows of different lengths, a tensor on another device
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _same(given: NDArray[np.float64], wanted: NDArray[np.float64] | None, within: float) -> bool:
    return (
        wanted is not None
        and given.shape == wanted.shape
        and bool(np.allclose(given, wanted, rtol=0, atol=within, equal_nan=True))
    )


def _difference(given: NDArray[np.float64], right: NDArray[np.float64], within: float) -> str:
    """A word on how two arrays that are not the same differ; the right numbers stay unsaid."""
    if given.shape != right.shape:
        return f"the shape is {given.shape} and should be {right.shape}."
    off = ~np.isclose(given, right, rtol=0, atol=within, equal_nan=True)
    first = tuple(int(i) for i in np.argwhere(off)[0])
    if not first:
        return f"{given.item():.6g} is off."
    return f"{off.sum()} of {off.size} numbers are off, the first at {first}: {given[first]:.6g}."


def _shown(answer: Any, limit: int = 60) -> str:
    """An answer as it may stand in a message: in one line, and not a screenful."""
    text = " ".join(repr(answer).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
