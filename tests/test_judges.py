"""A judge is never wrong: every exercise that wants a function is attacked, and so are the numbers.

What a reader's function may do is listed here once. Each attack is tried on every exercise of the
book that wants a function, those that are written later as well.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from simplellm.exercises import Array, Choice, Function, Number, check, exercises
from simplellm.exercises._answers import described, one_line

Answer = Callable[..., Any]
Attack = Callable[[Answer, list[tuple[Any, ...]]], Answer]

FUNCTIONS = {label: each for label, each in exercises().items() if isinstance(each, Function)}


def tensors(arguments: tuple[Any, ...]) -> list[torch.Tensor]:
    return [one for one in arguments if isinstance(one, torch.Tensor)]


def then(change: Callable[[Any], Any]) -> Attack:
    """Change what the right function returns; a check returns nothing that could be changed."""

    def attack(right: Answer, inputs: list[tuple[Any, ...]]) -> Answer:
        if right(*copy.deepcopy(inputs[0])) is None:
            pytest.skip("")
        return lambda *arguments: change(right(*arguments))

    return attack


def fill(number: float) -> Attack:
    def attack(right: Answer, inputs: list[tuple[Any, ...]]) -> Answer:
        def answer(*arguments: Any) -> Any:
            for one in tensors(arguments):
                one.fill_(number)
            return arguments[0]

        return answer

    return attack


def in_place(right: Answer, inputs: list[tuple[Any, ...]]) -> Answer:
    """Write the result into the argument where it fits, and return the argument."""

    def answer(*arguments: Any) -> Any:
        value = right(*arguments)
        first = arguments[0]
        if isinstance(first, torch.Tensor) and first.shape == getattr(value, "shape", None):
            return first.copy_(value)
        return value

    return answer


def spoiling(right: Answer, inputs: list[tuple[Any, ...]]) -> Answer:
    """Right, and its arguments are zero afterwards."""

    def answer(*arguments: Any) -> Any:
        value = right(*arguments)
        value = value.clone() if isinstance(value, torch.Tensor) else value
        for one in tensors(arguments):
            one.zero_()
        return value

    return answer


def leaving(setting: Callable[[], Any]) -> Attack:
    """Right, and then something is set for everybody."""

    def attack(right: Answer, inputs: list[tuple[Any, ...]]) -> Answer:
        def answer(*arguments: Any) -> Any:
            try:
                return right(*arguments)
            finally:
                setting()

        return answer

    return attack


def leave() -> None:
    raise SystemExit


def draw() -> None:
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)


def warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("careful", stacklevel=1)


class Callable_:
    """An object that can be called, and has no name."""

    def __init__(self, function: Answer) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def always(value: Any) -> Attack:
    """A function that gives the same for everything."""
    return lambda right, inputs: lambda *arguments: value


def as_tensor(value: Any) -> torch.Tensor:
    return torch.as_tensor(value).detach().double()


def in_place_without_return(right: Answer, inputs: list[tuple[Any, ...]]) -> Answer:
    change = in_place(right, inputs)
    return then(lambda value: None)(change, inputs)


WRONG: dict[str, Attack] = {
    "zero": always(0.0),
    "nothing": always(None),
    "a truth": always(True),
    "a constant": lambda right, inputs: always(right(*copy.deepcopy(inputs[0])))(right, inputs),
    "fills with zeros": fill(0),
    "fills with threes": fill(3),
    "its first argument": lambda right, inputs: lambda *arguments: arguments[0],
    "a copy of it": lambda right, inputs: lambda *arguments: copy.deepcopy(arguments[0]),
    "all its arguments": lambda right, inputs: lambda *arguments: arguments,
    "in place, returns nothing": in_place_without_return,
    "zeros in its shape": then(lambda value: torch.zeros(as_tensor(value).shape)),
    "nearly": then(lambda value: as_tensor(value) + 0.01),
    "one axis more": then(lambda value: as_tensor(value)[None]),
    "not finite": then(lambda value: as_tensor(value) * float("nan")),
    "a text": then(str),
    "prints": then(print),
    "raises": lambda right, inputs: lambda *arguments: 1 / 0,
    "fails": lambda right, inputs: lambda *arguments: pytest.fail("no"),
    "exits": leaving(leave),
    "takes nothing": lambda right, inputs: lambda: right(*inputs[0]),
    "takes too much": lambda right, inputs: lambda a, b, c, d, e: right(a),
    "yields": lambda right, inputs: lambda *arguments: (yield right(*arguments)),
    "a class": lambda right, inputs: Callable_,
}

RIGHT: dict[str, Attack] = {
    "itself": lambda right, inputs: right,
    "in place": in_place,
    "spoils its arguments": spoiling,
    "as an array": then(lambda value: as_tensor(value).numpy()),
    "as a list": then(lambda value: as_tensor(value).tolist()),
    "in float64": then(as_tensor),
    "in float32": then(lambda value: as_tensor(value).float()),
    "with a gradient": then(lambda value: as_tensor(value).requires_grad_()),
    "an object": lambda right, inputs: Callable_(right),
    "a partial": lambda right, inputs: functools.partial(right),
    "prints too": leaving(lambda: print("looking")),
    "warns": leaving(warn),
    "draws": leaving(draw),
    "in another dtype": leaving(lambda: torch.set_default_dtype(torch.float64)),
    "without gradients": leaving(lambda: torch.set_grad_enabled(False)),
}


def verdicts(exercise: Function, attacks: dict[str, Attack]) -> dict[str, str | None]:
    """What is said to each attack that can be made on an exercise; it leaves no trace."""
    said = {}
    for name, attack in attacks.items():
        try:
            answer = attack(exercise.reference, list(exercise.inputs()))
        except pytest.skip.Exception:
            continue
        before = state()
        said[name] = exercise.judge(answer)
        assert state() == before, name
    return said


def state() -> tuple[Any, ...]:
    """What an answer may change for everybody."""
    return (
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        np.random.get_state()[1].tobytes(),  # type: ignore[union-attr]
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("label", FUNCTIONS)
def test_no_wrong_function_is_called_right(label: str) -> None:
    said = verdicts(FUNCTIONS[label], WRONG)
    assert [name for name, reason in said.items() if reason is None] == []
    assert len(said) > 10


@pytest.mark.parametrize("label", FUNCTIONS)
def test_no_right_function_is_called_wrong(label: str) -> None:
    said = verdicts(FUNCTIONS[label], RIGHT)
    assert {name: reason for name, reason in said.items() if reason} == {}
    assert len(said) > 7


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


# What readers set for a whole notebook; several at once, because every exercise is judged in each.
READERS: dict[str, list[Callable[[], Any]]] = {
    "float64, no gradients, NumPy raises": [
        in_float64,
        torch.no_grad,
        lambda: np.errstate(all="raise"),
    ],
    "inference, another device": [torch.inference_mode, lambda: torch.device("meta")],
}


@pytest.mark.parametrize("reader", READERS)
def test_what_the_reader_has_set_changes_no_verdict(
    reader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, exercise in exercises().items():
        if isinstance(exercise, Function):
            right, wrong = exercise.reference, (lambda *arguments: 0.5)
        elif isinstance(exercise, Choice):
            right, wrong = exercise.answer, "?"
        else:
            right = exercise.answer() if callable(exercise.answer) else exercise.answer
            wrong = -1e9
        with contextlib.ExitStack() as settings:
            for setting in READERS[reader]:
                settings.enter_context(setting())
            check(label, right)
            check(label, wrong)
        first, second = capsys.readouterr().out.splitlines()
        assert (first[:6], second[:8]) == ("Right.", "Not yet."), label


# ---- numbers -------------------------------------------------------------------------------------

SHARE = Number(label="ex-a", answer=0.81, share=True, right="Kept.", mistakes=((0.9, "One only."),))


@pytest.mark.parametrize(
    "answer",
    [
        Fraction(81, 100),
        Decimal("0.81"),
        np.float16(0.81),
        np.array(0.81),
        torch.tensor(0.81, dtype=torch.bfloat16),
        torch.nn.Parameter(torch.tensor([0.81])),
        [Fraction(81, 100)],
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_whatever_float_takes_is_a_number(answer: Any) -> None:
    assert SHARE.judge(answer) is None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((2, 301), "a point, 2.301; one that groups thousands is left out, 2301"),
        (81, "81 is right as a percentage; the exercise wants a share"),
        ("81%", "As a share that is 0.81"),
        ("81 %", "As a share that is 0.81"),
        ("0.81", "without quotes: 0.81"),
        ("0,81", "with a point and without quotes: 0.81"),
        ((0, 81), "a decimal one is a point, 0.81."),
        ((0, 181), "a decimal one is a point, 0.181."),
        ((2, 99), "a decimal one is a point, 2.99."),
        ((2, 100), "a decimal one is a point, 2.100; one that groups thousands is left out, 2100."),
        (90, "90 percent is 0.9. One only."),
        (50, "50 percent is 0.5. 0.5 is too small."),
        (-0.81, "The sign of -0.81 is wrong."),
        (lambda: 0.81, "Call it, and hand in what it returns."),
        (float("nan"), "Your answer is nan, not a finite number"),
        (-float("inf"), "Your answer is -inf, not a finite number"),
    ],
)
def test_a_slip_hears_what_it_is(answer: Any, says: str) -> None:
    reason = SHARE.judge(answer)
    assert reason is not None
    assert says in reason
    assert "too large" not in reason


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (1, "1 is too large."),
        (1.5, "A share is at most 1; 1.5 percent is 0.015. 0.015 is too small."),
        (100, "A share is at most 1; 100 percent is 1. 1 is too large."),
        (101, "101 is too large."),
    ],
)
def test_what_may_be_a_percentage_is_judged_as_one(answer: float, says: str) -> None:
    assert SHARE.judge(answer) == says


def test_a_number_of_its_own_above_one_is_no_percentage() -> None:
    assert Number(label="ex-a", answer=2.0, right="Two.").judge(50) == "50 is too large."


def test_a_percentage_of_what_is_no_share_hears_the_unit() -> None:
    assert Number(label="ex-a", answer=2.0, unit="rows", right="Two.").judge("3 %") == (
        "'3 %' is not a number; the exercise wants a number (rows). "
        "Write it without the sign and the quotes, in the unit that is asked for."
    )


def test_a_count_may_come_with_the_rounding_of_a_float() -> None:
    count = Number(label="ex-a", answer=3, whole=True, right="Three.", unit="rows")
    assert count.judge(2.9999999999999996) is None  # math.log(1000, 10)
    assert count.judge(3.01) == "3.01 is not whole; the exercise wants a whole number (rows)."


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([25, 75], "Those are percentages, and right as such. Divide by 100: shares are wanted."),
        ([1.5, 75], "Those look like percentages. The exercise wants shares, numbers from 0 to 1."),
        ([1, 1], "2 of 2 numbers are off, the first at index 0: 1."),
        ([0.25, 1.75], "1 of 2 numbers is off, at index 1: 1.75."),
        ([0.75, 0.25], "The right numbers, in another order."),
        ([-0.25, -0.75], "The right numbers, with the other sign."),
        ([[0.25, 0.75]], "The shape is (1, 2) and should be (2,)."),
    ],
)
def test_shares_in_a_row_may_not_be_percentages(answer: Any, says: str) -> None:
    assert Array(label="ex-a", answer=[0.25, 0.75], share=True, right="Kept.").judge(answer) == says


def test_small_shares_are_known_as_percentages_from_one_on() -> None:
    small = Array(label="ex-a", answer=[0.001, 0.015], share=True, right="Kept.")
    assert "percentages, and right as such" in str(small.judge([0.1, 1.5]))
    assert "percentages" not in str(replace(small, answer=[0.01, 0.0]).judge([1.0, 0.0]))


def test_how_far_off_a_number_may_be_does_not_grow_with_it() -> None:
    two = Array(label="ex-a", answer=[1000.0, 1.0], within=1e-3, right="Kept.")
    assert two.judge([1000.01, 1.0]) == "1 of 2 numbers is off, at index 0: 1000.01."
    assert two.judge([1000.01, 5]) == "2 of 2 numbers are off, the first at index 0: 1000.01."
    assert two.judge([1000.0009, 5]) == "1 of 2 numbers is off, at index 1: 5."
    assert two.judge([1000.0009, 1.0009]) is None


def test_where_no_number_is_right_none_is_wanted() -> None:
    gap = Function(
        label="ex-a",
        reference=lambda x: [float("nan"), x],
        inputs=lambda: [(1.0,)],
        right="Kept.",
    )
    assert gap.judge(lambda x: (np.nan, x)) is None
    assert gap.judge(lambda x: (np.nan, 2.0)) == "Given 1: 1 of 2 numbers is off, at index 1: 2."


def test_rows_and_columns_may_be_exchanged_or_all_out_of_order() -> None:
    table = Array(label="ex-a", answer=[[1, 2], [3, 4]], right="Kept.")
    assert table.judge([[4, 2], [3, 1]]) == "The right numbers, in another order."
    assert table.judge([[1, 2], [3, 5]]) == "1 of 4 numbers is off, at index (1, 1): 5."
    wide = Array(label="ex-a", answer=[[1, 2]], right="Kept.")
    assert wide.judge([[1], [2]]) == "The right numbers, with rows and columns exchanged."
    assert wide.judge([[1], [3]]) == "The shape is (2, 1) and should be (1, 2)."


@pytest.mark.parametrize("pair", [5, 9, 11, 20])
def test_wavelength_of_a_pair_nearby_hears_what_is_wrong_with_it(pair: int, capsys) -> None:
    check("ex-wavelength", 2 * np.pi * 10_000 ** (2 * pair / 64))
    said = capsys.readouterr().out
    assert said.startswith("Not yet.") and "pair" in said
    assert f"pair {pair}" in said.lower() or f"{2 * pair}/64" in said


def test_two_answers_are_not_pythons_own_error(capsys: pytest.CaptureFixture[str]) -> None:
    check("ex-wavelength", 111, 7)
    assert "a decimal one is a point, 111.7" in capsys.readouterr().out
    check("ex-text-shape", 8, 32, 64)
    assert "Several numbers go into one list" in capsys.readouterr().out


@pytest.mark.parametrize("label", [None, 3, ["ex-base"], torch.zeros(2)], ids=repr)
def test_what_is_no_label_is_called_so(label: Any) -> None:
    with pytest.raises(KeyError, match="is no exercise of this book"):
        check(label, 3)


def test_a_question_with_dots_is_not_answered(capsys: pytest.CaptureFixture[str]) -> None:
    check("ex-base", ...)
    assert capsys.readouterr().out.startswith("Not answered yet.")


def test_a_console_without_the_letters_is_written_to_all_the_same() -> None:
    written = io.BytesIO()
    console = io.TextIOWrapper(written, "cp1252", write_through=True)
    with contextlib.redirect_stdout(console):
        check("ex-std", 0.0884)  # its sentence has a root in it
    assert written.getvalue().startswith(b"Right. std ")


def test_a_masked_entry_is_no_number() -> None:
    two = Array(label="ex-a", answer=[1.0, 999.0], right="Kept.")
    assert "nan" in str(two.judge(np.ma.array([1.0, 999.0], mask=[False, True])))


def test_the_right_value_is_computed_before_the_answer_runs() -> None:
    rows = Function(
        label="ex-a",
        reference=lambda rows: rows[0],
        inputs=lambda: [([2.0, 1.0],), ([3.0, 1.0],)],
        right="The first.",
    )
    assert rows.judge(lambda rows: rows.pop()) == "Given [2, 1]: 1 is off."
    assert rows.judge(lambda rows: rows.pop(0)) is None


def test_an_answer_is_interrupted_and_everything_is_as_before() -> None:
    before = state()

    def stopped(entry: float) -> float:
        draw()
        torch.set_default_dtype(torch.float64)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("ex-one-number", stopped)
    assert state() == before


def test_chunks_that_are_no_chunks_are_seen() -> None:
    chunks = FUNCTIONS["ex-layer-chunks"]
    at_once = chunks.judge(lambda layer, ids, size: layer(ids))
    assert "feeds the layer 10 at once, and the size is 4" in str(at_once)
    by_ones = chunks.judge(
        lambda layer, ids, size: torch.cat(
            [layer(ids[:, at : at + 1], start=at) for at in range(ids.shape[1])], dim=1
        )
    )
    assert "feeds the layer 1 at once, and the size is 4" in str(by_ones)


@pytest.mark.parametrize("label", ["ex-bugs-shared", "ex-bugs-bfloat16"])
def test_a_check_that_returns_its_verdict_hears_how_a_check_says_no(label: str) -> None:
    assert "a check says no by a failing assert" in str(FUNCTIONS[label].judge(lambda make: False))
    assert str(FUNCTIONS[label].judge("my_check")).startswith("'my_check' cannot be called; the")


# ---- how an answer is named ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ([1.0, 2], "[1, 2]"),
        ((1.0,), "(1,)"),
        ((1, (2.5, None)), "(1, (2.5, None))"),
        ([0] * 20, f"[{', '.join(['0'] * 20)}]"),
        ([0] * 21, "a list of 21"),
        ((1e-5,) * 10, "a tuple of 10"),
        (torch.arange(3), "[0, 1, 2]"),
        (np.array(2.0), "2"),
        (torch.zeros(3, 20), "a tensor of shape (3, 20)"),
        (np.zeros(21), "an array of shape (21,)"),
        (torch.zeros(2, device="meta"), "a tensor of shape (2,)"),
        (True, "True"),
        (2j, "2j"),
        ("two\n  words", "'two\\n words'"),
        ("x" * 58, f"'{'x' * 58}'"),
        ("x" * 59, f"'{'x' * 58}…"),
        (10**15 - 1, "999999999999999"),
        (-(10**15), "a number of more than 15 digits"),
        (1e15, "1e+15"),
        (1 / 3, "0.333333"),
        (-float("inf"), "-inf"),
        (Fraction(1, 2), "0.5"),
        (lambda: 0, "a lambda"),
        (len, "the function len"),
        (leave, "the function leave"),
        (Decimal, "the class Decimal"),
        ({}, "a dict"),
        (object(), "an object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_is_named_in_a_few_words(value: Any, named: str) -> None:
    assert described(value) == named


def test_a_text_from_elsewhere_becomes_one_line_before_a_full_stop() -> None:
    assert one_line(" MAX:\n  reached.. ") == "MAX: reached"
    assert one_line("MAX:") == "MAX"
    assert one_line("x" * 120) == "x" * 120
    assert one_line("x" * 121) == "x" * 119 + "…"
