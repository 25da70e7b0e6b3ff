"""How an answer is read, called and named in a message: what the kinds of exercise share.

Readers hand in anything, and their code may do anything. What it does to the state of torch, numpy
and random stays in :func:`apart`, and what it does to its arguments stays in their copies.
"""

from __future__ import annotations

import copy
import inspect
import math
import random
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

# float() takes some of these as well.
TEXT, TRUTH = (str, bytes, bytearray, memoryview), (bool, np.bool_)
OTHER = (complex, np.complexfloating, np.datetime64, np.timedelta64)


# ---- reading -------------------------------------------------------------------------------------


def as_number(answer: Any) -> float | None:
    """Return an answer as a float, or None: whatever ``float()`` takes but strings and bools.

    A tensor, an array or a list with one entry is a number too. A whole number that is too long
    for a float comes back as infinity, with its sign.
    """
    if isinstance(answer, (torch.Tensor, np.ndarray, list, tuple)):
        array = as_array(answer)
        return float(array.item()) if array is not None and array.size == 1 else None
    if isinstance(answer, (*TEXT, *TRUTH, *OTHER)):
        return None
    try:
        return float(answer)
    except OverflowError:
        return math.inf if answer > 0 else -math.inf
    except Exception:  # the reader's object may do anything
        return None


def as_array(answer: Any) -> NDArray[np.float64] | None:
    """Return a copy of an answer as an array, or None where it holds no array of numbers."""
    try:
        return _read(answer)
    except Exception:  # a list that holds itself, a tensor without numbers (meta)
        return None


def _read(answer: Any) -> NDArray[np.float64] | None:
    if isinstance(answer, torch.Tensor):
        if answer.is_complex() or answer.dtype == torch.bool:
            return None
        dense = answer.detach().dequantize() if answer.is_quantized else answer.detach()
        dense = dense if dense.layout == torch.strided else dense.to_dense()
        return np.array(dense.cpu().double().numpy())
    if isinstance(answer, range) and len(answer) > 10**6:  # takes no room, but its numbers would
        return None
    if isinstance(answer, (list, tuple, range)):
        parts = [_read(part) for part in answer]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or len({part.shape for part in known}) > 1:
            return None
        return np.array(known, dtype=np.float64)
    if isinstance(answer, np.ma.MaskedArray):  # what is hidden is no number
        return np.array(np.ma.filled(answer.astype(np.float64), np.nan))
    if isinstance(answer, np.ndarray) or (hasattr(answer, "__array__") and np.ndim(answer)):
        array = np.asarray(answer)
        if array.dtype.kind == "O":
            return _read(array.tolist())
        return array.astype(np.float64) if array.dtype.kind in "iuf" else None
    number = as_number(answer)
    return None if number is None else np.array(number)


def ragged(answer: Any) -> bool:
    """Return whether an answer is a list whose items differ in shape, so that it is no array."""
    if not isinstance(answer, (list, tuple)):
        return False
    parts = [as_array(part) for part in answer]
    known = {part.shape for part in parts if part is not None}
    return all(part is not None for part in parts) and len(known) > 1


def same(given: NDArray[np.float64], wanted: NDArray[np.float64] | None, within: float) -> bool:
    """Return whether two arrays have the same shape and numbers within a tolerance."""
    return (
        wanted is not None
        and given.shape == wanted.shape
        and bool(np.allclose(given, wanted, rtol=0, atol=within, equal_nan=True))
    )


def difference(given: NDArray[np.float64], right: NDArray[np.float64], within: float) -> str:
    """Describe how two arrays differ, without giving the right numbers away."""
    if given.shape != right.shape:
        return f"the shape is {given.shape} and should be {right.shape}."
    off = ~np.isclose(given, right, rtol=0, atol=within, equal_nan=True)
    first = tuple(int(i) for i in np.argwhere(off)[0])
    if not first:
        return f"{formatted(given.item())} is off."
    place = first[0] if len(first) == 1 else first
    if off.sum() == 1:
        return f"1 of {off.size} numbers is off, at index {place}: {formatted(given[first])}."
    many = f"{off.sum()} of {off.size} numbers are off"
    return f"{many}, the first at index {place}: {formatted(given[first])}."


# ---- in words ------------------------------------------------------------------------------------


def formatted(number: float) -> str:
    """Format a number for a sentence."""
    whole = math.isfinite(number) and number == round(number) and abs(number) < 1e15
    return str(round(number)) if whole else f"{number:.6g}"


def described(value: Any, limit: int = 60) -> str:
    """Describe a value for a sentence: in one line, short, and without a tensor's repr."""
    if isinstance(value, (list, tuple)):
        text = _listed(value) if len(value) <= limit // 3 else ""
        return text if 0 < len(text) <= limit else f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, (torch.Tensor, np.ndarray)):
        kind = "a tensor" if isinstance(value, torch.Tensor) else "an array"
        array = as_array(value) if math.prod(value.shape) <= limit else None
        text = described(array.tolist(), limit) if array is not None else ""
        return text if text[:1] not in ("", "a") else f"{kind} of shape {tuple(value.shape)}"
    if value is None or isinstance(value, (bool, str, bytes, complex)):
        text = " ".join(repr(value).split())
        return text if len(text) <= limit else f"{text[: limit - 1]}…"
    if isinstance(value, (int, np.integer)) and abs(int(value)) >= 10**15:
        return "a number of more than 15 digits"
    number = as_number(value)
    if number is not None:
        return formatted(number)
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type)):
        kind = "class" if isinstance(value, type) else "function"
        return "a lambda" if value.__name__ == "<lambda>" else f"the {kind} {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _listed(values: Sequence[Any]) -> str:
    try:
        inside = ", ".join(map(described, values))
    except RecursionError:  # it holds itself
        return ""
    comma = "," if isinstance(values, tuple) and len(values) == 1 else ""
    return f"[{inside}]" if isinstance(values, list) else f"({inside}{comma})"


def sentence(text: str) -> str:
    """Capitalize the first letter of a text."""
    return text[:1].upper() + text[1:]


def with_arguments(arguments: Sequence[Any]) -> str:
    """The beginning of a sentence on what a function does with these."""
    *others, last = map(described, arguments)
    many = f"{', '.join(others)} and {last}" if others else last
    return f"Given {many}"


# ---- calling -------------------------------------------------------------------------------------


@contextmanager
def apart() -> Iterator[None]:
    """Torch as it starts, on the CPU; random numbers, dtype, modes and filters as before after it.

    So an answer is judged the same whatever its reader has set, and whatever it sets itself.
    """
    dtype = torch.get_default_dtype()
    drawn, numpy_drawn = random.getstate(), np.random.get_state()
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.device("cpu"),
        warnings.catch_warnings(),
        np.errstate(all="warn"),
    ):
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            random.setstate(drawn)
            np.random.set_state(numpy_drawn)


def computed(value: Any) -> Any:
    """A value of the book, or what the function gives that computes it."""
    if not callable(value):
        return value
    with apart():
        warnings.simplefilter("ignore")  # the reader's filter may turn one into an error
        return value()


def called(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """What a function returns for copies of these arguments.

    Raises:
        Exception: Whatever it raises; what is no Exception (``exit()``) comes as RuntimeError.
    """
    with apart():
        try:
            return function(*copy.deepcopy(arguments))
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise RuntimeError(f"{type(error).__name__} {error}".strip()) from error


class _Heard:
    """A stream that passes everything on and remembers whether there was anything."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.anything = stream, False

    def write(self, text: str) -> int:
        self.anything = True
        return int(self.stream.write(text) or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def numbers_of(function: Callable[..., Any], arguments: Sequence[Any]) -> NDArray[np.float64] | str:
    """The numbers that a reader's function returns, or why there are none.

    The reason goes on after "Given 1.0 ", and ends with a full stop.
    """
    heard = _Heard(sys.stdout)
    try:
        with redirect_stdout(heard):
            value = called(function, arguments)
    except Exception as error:
        return f"it raises {error_of(error)}."
    if value is None and heard.anything:
        return "it prints and returns nothing. End it with return in place of print."
    if value is None:
        return "it returns nothing. Is there a return?"
    if inspect.isgenerator(value):
        return "it returns a generator. Write return in place of yield."
    if inspect.iscoroutine(value):
        value.close()
        return "it returns a coroutine. Write def in place of async def."
    array = as_array(value)
    if array is None and ragged(value):
        return "it returns lists of different lengths."
    return f"it returns {described(value)}, and no numbers." if array is None else array


def does_not_take(function: Callable[..., Any], arguments: Sequence[Any]) -> str | None:
    """Why a function cannot be called with these; None where it can, or where nobody knows."""
    try:
        signature = inspect.signature(function)
    except Exception:  # some builtins have none, and the reader's object may do anything
        return None
    try:
        signature.bind(*arguments)
    except TypeError as error:
        return str(error)
    return None


def error_of(error: BaseException, limit: int = 120) -> str:
    """Return an exception's type and message, in one line and without a full stop."""
    try:
        says = str(error)
    except Exception:  # the reader's own exception
        says = ""
    return one_line(f"{type(error).__name__}: {says}", limit)


def one_line(text: str, limit: int = 120) -> str:
    """Shorten a text from elsewhere to one line, without its full stop."""
    line = " ".join(text.split())
    return (line if len(line) <= limit else f"{line[: limit - 1]}…").rstrip(" :.")


# ---- slips of the pen ----------------------------------------------------------------------------

TYPED = re.compile(r"(?P<number>[-+]?\d+(?:[.,]\d+)?)\s*(?P<percent>%|percent|per cent)?")


def slip(answer: Any, share: bool) -> str:
    """How a number that was written as no number is written; "" where nobody knows.

    Args:
        answer: What was handed in.
        share: Whether a share is asked for, so that a percentage is a hundred times too much.
    """
    if isinstance(answer, tuple) and len(answer) == 2 and all(type(x) is int for x in answer):
        whole, rest = answer
        point = f" Python takes a comma between numbers: a decimal one is a point, {whole}.{rest}"
        thousands = f"; one that groups thousands is left out, {whole}{rest}"
        return f"{point}{thousands if whole and rest > 99 else ''}."
    if callable(answer):
        return " Call it, and hand in what it returns."
    typed = TYPED.fullmatch(answer.strip()) if isinstance(answer, str) else None
    if typed is None:
        return ""
    number = Fraction(typed["number"].replace(",", "."))
    if typed["percent"] and share:
        return f" As a share that is {float(number / 100):.12g}; write it without quotes."
    if typed["percent"]:
        return " Write it without the sign and the quotes, in the unit that is asked for."
    point = "with a point and " if "," in typed["number"] else ""
    return f" Write it {point}without quotes: {float(number):.12g}."
