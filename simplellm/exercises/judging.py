"""What an answer to an exercise can be, and how it is judged.

An exercise knows its right answer by computing it, and the mistakes that learners make by name:
for each there is a reason that helps, not only a "no". All kinds are judged by the same method,
:meth:`Exercise.judge`, which returns None for a right answer and otherwise the reason why not.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._answers import (
    as_array,
    as_number,
    computed,
    described,
    difference,
    does_not_take,
    formatted,
    numbers_of,
    ragged,
    same,
    sentence,
    slip,
    with_arguments,
)

#: A number, or a function that computes it on demand: importing the book's exercises costs
#: nothing then, and an answer that can be computed is not typed.
Value = float | Callable[[], float]
#: A tensor, an array or nested lists of numbers; or a function that computes them.
Values = Any


@dataclass(frozen=True, kw_only=True)
class Exercise(ABC):
    """One exercise with an answer that can be judged.

    Attributes:
        label: The label of its directive in the chapter, as ``"ex-wavelength"``.
        right: What is printed after a right answer: the sentence to remember.
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
        share: Whether it is a share, from 0 to 1; a percentage is recognized.
        unit: What the number counts or measures, as "positions".
        mistakes: Pairs of a wrong number (or a function that computes it) and the reason to print.

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
    share: bool = False
    unit: str = ""
    mistakes: Sequence[tuple[Value, str]] = ()

    @property
    def expects(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        unit = self.unit or ("a share" if self.share else "")
        return f"{kind} ({unit})" if unit else kind

    def _near(self, answer: float, value: Value) -> bool:
        wanted = float(computed(value))
        if self.whole and wanted == round(wanted):
            return abs(answer - wanted) <= min(1e-6, 1e-12 * abs(wanted))  # a float's own rounding
        allowed = self.within * abs(wanted) if self.absolute is None else self.absolute
        return abs(answer - wanted) <= allowed

    def _known(self, number: float) -> str | None:
        """Return the reason for a known mistake; "" for the right number, None for any other."""
        if self._near(number, self.answer):
            return ""
        return next((reason for wrong, reason in self.mistakes if self._near(number, wrong)), None)

    def judge(self, answer: Any) -> str | None:
        wanted = f"the exercise wants {self.expects}."
        number = as_number(answer)
        if number is None:
            hint = slip(answer, self.share)
            return f"{sentence(described(answer))} is not a number; {wanted}{hint}"
        known = self._known(number)
        if known is not None:
            return known or None
        if math.isnan(number) or (math.isinf(number) and not isinstance(answer, int)):
            return f"Your answer is {number}, not a finite number; {wanted}"
        if self.share and 1 < number <= 100:
            return self._percentage(number)
        shown = described(number if math.isfinite(number) else answer)
        right = float(computed(self.answer))
        if number and self._near(-number, right):
            return f"The sign of {shown} is wrong."
        if self.whole and math.isfinite(number) and number != round(number):
            return f"{shown} is not whole; {wanted}"
        return f"{sentence(shown)} is {'too small' if number < right else 'too large'}."

    def _percentage(self, number: float) -> str:
        """Return the reason for a number above 1 where a share is asked for."""
        reason = self.judge(number / 100)
        if reason is None:
            wanted = "the exercise wants a share, a number from 0 to 1: divide it by 100."
            return f"{formatted(number)} is right as a percentage; {wanted}"
        share = formatted(number / 100)
        return f"A share is at most 1; {formatted(number)} percent is {share}. {reason}"


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
        shown, wanted = sentence(described(answer)), f"the exercise wants {self.expects}."
        if not isinstance(answer, str):
            return f"{shown} is not a word; {wanted}"
        word = _word(answer)
        if word == _word(self.answer):
            return None
        for other, reason in self.why.items():
            if word == _word(other):
                return reason
        return f"{shown} is not among the answers; {wanted}"


@dataclass(frozen=True, kw_only=True)
class Array(Exercise):
    """An exercise whose answer is a tensor, an array, or a list or tuple of numbers.

    Attributes:
        answer: The right numbers, or a function that computes them.
        within: How far off each may be, in the numbers' own unit.
        share: Whether they are shares, from 0 to 1; percentages are recognized.
        mistakes: Pairs of wrong numbers (or a function that computes them) and the reason to print.

    Example:
        >>> shape = Array(
        ...     label="ex-shape", answer=(1, 5, 64), right="One row of 64 for each id.",
        ...     mistakes=(((5, 64), "The batch axis is missing."),),
        ... )
        >>> shape.judge(np.zeros((1, 5, 64)).shape)
        >>> shape.judge((5, 64))
        'The batch axis is missing.'
        >>> shape.judge([1, 5, 63])
        '1 of 3 numbers is off, at index 2: 63.'
    """

    answer: Values
    within: float = 1e-4
    share: bool = False
    mistakes: Sequence[tuple[Values, str]] = ()

    @property
    def expects(self) -> str:
        shape = _numbers(self.answer).shape
        if len(shape) == 1:
            return f"{shape[0]} numbers (a tensor, an array, a list or a tuple)"
        return f"a tensor, an array or nested lists of shape {shape}"

    def judge(self, answer: Any) -> str | None:
        given = as_array(answer)
        if given is None:
            return self._unread(answer)
        right = _numbers(self.answer)
        if same(given, right, self.within):
            return None
        for wrong, reason in self.mistakes:
            if same(given, as_array(computed(wrong)), self.within):
                return reason
        if not np.isfinite(given).all():
            return f"There is nan or inf in it; the exercise wants finite numbers: {self.expects}."
        if given.shape == right.shape:
            return self._related(given, right)
        if given.size == right.size and given.ndim == right.ndim == 2:
            if same(given.T, right, self.within):
                return "The right numbers, with rows and columns exchanged."
        return sentence(difference(given, right, self.within))

    def _unread(self, answer: Any) -> str:
        wanted = f"the exercise wants {self.expects}."
        shown = sentence(described(answer))
        if ragged(answer):
            for wrong, reason in self.mistakes:
                if _same_parts(answer, computed(wrong), self.within):
                    return reason
            return f"The lists in it have different lengths; {wanted}"
        if isinstance(answer, (list, tuple)) and answer:
            return f"{shown} holds something that is no number; {wanted}"
        hint = " Hand in a list of it, in order." if _can_be_listed(answer) else ""
        return f"{shown} holds no numbers; {wanted}{hint or slip(answer, self.share)}"

    def _related(self, given: NDArray[np.float64], right: NDArray[np.float64]) -> str:
        """Return the reason for wrong numbers of the right shape that are no known mistake."""
        if self.share and (given > 1).any() and same(given / 100, right, self.within):
            return "Those are percentages, and right as such. Divide by 100: shares are wanted."
        if self.share and (given > 1).all():
            return "Those look like percentages. The exercise wants shares, numbers from 0 to 1."
        if same(np.sort(given, axis=None), np.sort(right, axis=None), self.within):
            return "The right numbers, in another order."
        if same(-given, right, self.within):
            return "The right numbers, with the other sign."
        return sentence(difference(given, right, self.within))


@dataclass(frozen=True, kw_only=True)
class Function(Exercise):
    """An exercise whose answer is a function, compared with a reference on several inputs.

    Attributes:
        reference: The function that is right.
        inputs: Makes the tuples of arguments on which the two are compared, anew for each.
        within: How far off each number may be.
        mistakes: Pairs of a broken function and the reason to print for one that does the same.
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
        'Given 1 and 4 it raises ZeroDivisionError: float division by zero.'
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
        cases = computed(lambda: list(self.inputs()))
        refused = self._refused(answer, cases[0])
        if refused is not None:
            return refused
        # Before the answer runs: what it does to anything cannot change what is right.
        right = self._returned(self.reference, cases)
        given = []
        first = None
        for arguments, wanted in zip(cases, right, strict=True):
            numbers = numbers_of(answer, arguments)
            if isinstance(numbers, str):
                return first or f"{with_arguments(arguments)} {numbers}"
            given.append(numbers)
            if first is None and not same(numbers, wanted, self.within):
                words = difference(numbers, wanted, self.within)
                first = f"{with_arguments(arguments)}: {words}"
        if first is None:
            return None
        for broken, reason in self.mistakes:
            wrong = self._returned(broken, cases)
            if all(same(one, other, self.within) for one, other in zip(given, wrong, strict=True)):
                return reason
        return first

    def _refused(self, answer: Any, arguments: tuple[Any, ...]) -> str | None:
        """Why an answer is not called at all."""
        if not callable(answer):
            wanted = f"the exercise wants {self.expects}, without brackets."
            return f"{sentence(described(answer))} cannot be called; {wanted}"
        misfit = does_not_take(answer, arguments)
        if misfit is None:
            return None
        count = f"{len(arguments)} argument{'s' if len(arguments) > 1 else ''}"
        return f"The exercise calls it with {count}, and it cannot be called so: {misfit}."

    def _returned(
        self, function: Callable[..., Any], cases: Sequence[tuple[Any, ...]]
    ) -> list[NDArray[np.float64]]:
        """What a function of the book returns for all of the inputs."""
        return [_numbers(partial(function, *copy.deepcopy(arguments))) for arguments in cases]


def _numbers(value: Any) -> NDArray[np.float64]:
    """The numbers of a value of the book, or of what computes it."""
    array = as_array(computed(value))
    assert array is not None, "the book's own answers are numbers"
    return array


def _same_parts(one: Sequence[Any], other: Any, within: float) -> bool:
    """Whether two lists of lists are the same where they are no arrays: of different lengths."""
    if not ragged(other) or len(one) != len(other):
        return False
    arrays = [as_array(part) for part in one]
    return all(
        array is not None and same(array, as_array(part), within)
        for array, part in zip(arrays, other, strict=True)
    )


def _word(text: str) -> str:
    """A word as it is compared: capitals, spaces, quotes and a full stop do not matter."""
    return " ".join(text.casefold().strip(" \t\n\r\"'.").split())


def _can_be_listed(answer: Any) -> bool:
    """Whether it gives its parts one by one, as a generator or a set does."""
    return isinstance(answer, Iterable) and not (
        isinstance(answer, (str, bytes)) or hasattr(answer, "__array__")
    )
