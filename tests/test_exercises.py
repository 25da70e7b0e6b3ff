"""Exercises: judged as promised, graded, and met in their chapters with a question and an answer.

The first part is about the judges, on exercises made here. The second holds every exercise of the
book to them. The third reads the chapters: what stands there is what a reader meets.
"""

from __future__ import annotations

import ast
import importlib
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from simplellm.exercises import Array, Choice, Exercise, Function, Number, check, exercises

quick = settings(max_examples=60, deadline=None, database=None)
few = settings(max_examples=20, deadline=None, database=None)

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: abs(x) > 1e-3)
SAID = "Keep this."


def computed(value: Any) -> Any:
    return value() if callable(value) else value


def number(answer: Any = 2.0, **options: Any) -> Number:
    return Number(label="ex-a", answer=answer, right=SAID, **options)


# ---- the judges ----------------------------------------------------------------------------------


@quick
@given(right=NUMBERS, within=st.floats(1e-6, 0.5), off=st.floats(0, 2), up=st.booleans())
def test_number_is_right_within_its_share_and_never_further_off(
    right: float, within: float, off: float, up: bool
) -> None:
    assume(abs(off - 1) > 1e-6)  # not on the edge itself, where rounding decides
    given_ = right + (1 if up else -1) * off * within * abs(right)
    assert (number(right, within=within).judge(given_) is None) == (off < 1)


@quick
@given(right=st.floats(-10, 10), off=st.floats(0, 2), up=st.booleans())
def test_number_that_may_be_zero_is_right_within_its_own_unit(
    right: float, off: float, up: bool
) -> None:
    assume(abs(off - 1) > 1e-6)
    exercise = number(right, absolute=0.1)
    assert (exercise.judge(right + (0.1 if up else -0.1) * off) is None) == (off < 1)


@quick
@given(right=st.integers(-(10**9), 10**9), off=st.integers(-5, 5))
def test_of_a_count_only_the_exact_one_is_right(right: int, off: int) -> None:
    assert (number(right, whole=True).judge(right + off) is None) == (off == 0)


def test_number_on_the_edge_is_right() -> None:
    assert number(2.0, absolute=0.5).judge(2.5) is None
    assert number(4.0).judge(4.03) is None  # whole by chance, and no count
    assert number(0, whole=True).judge(0) is None


def test_a_count_may_be_off_by_the_rounding_of_a_float_alone() -> None:
    assert number(1000, whole=True).judge(999.9999999999999) is None
    assert number(3, whole=True).judge(3.0000005) is not None
    assert number(10**13, whole=True).judge(10**13 + 1) == "10000000000001 is too large."


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([3.0], "3 is too large."),
        (10**400, "A number of more than 15 digits is too large."),
        (-(10**400), "A number of more than 15 digits is too small."),
        (0, "0 is too small."),
        (True, "True is not a number; the exercise wants a number."),
    ],
)
def test_what_is_said_names_the_number(wrong: Any, says: str) -> None:
    assert number(2.0).judge(wrong) == says


@quick
@given(right=NUMBERS, given_=NUMBERS)
def test_number_unknown_is_called_too_small_or_too_large(right: float, given_: float) -> None:
    reason = number(right).judge(given_)
    assume(reason is not None)
    assert "sign" in str(reason) or str(reason).endswith(
        "is too small." if given_ < right else "is too large."
    )


@pytest.mark.parametrize(
    "two",
    [2, 2.0, np.float32(2), np.int64(2), np.array([2.0]), torch.tensor(2), torch.tensor([[2.0]])],
    ids=repr,
)
def test_number_may_come_as_any_kind_of_number(two: Any) -> None:
    assert number(2.0).judge(two) is None


def test_number_that_still_has_a_gradient_is_a_number() -> None:
    assert number(2.0).judge(torch.tensor(2.0, requires_grad=True)) is None


@pytest.mark.parametrize("wrong", [True, "2", None, [], [1, 2], {2}, 2j, torch.zeros(0)], ids=repr)
def test_what_is_no_number_is_called_so(wrong: Any) -> None:
    assert "is not a number; the exercise wants a number" in str(number(2.0).judge(wrong))


def test_right_answer_is_right_although_a_mistake_is_near() -> None:
    assert number(2.0, mistakes=((2.001, "Near."),)).judge(2.0) is None


def test_first_known_mistake_that_fits_is_named() -> None:
    exercise = number(2.0, mistakes=((3.0, "First."), (3.001, "Second.")))
    assert exercise.judge(3.0) == "First."


WORDS = Choice(label="ex-b", answer="cosine", right=SAID, why={"sine": "That is the even column."})


@quick
@given(
    spaces=st.tuples(*[st.text(" \t\n", max_size=3)] * 2), big=st.lists(st.booleans(), min_size=6)
)
def test_choice_does_not_mind_capitals_and_spaces(spaces: tuple[str, str], big: list[bool]) -> None:
    def typed(word: str) -> str:
        letters = (c.upper() if up else c for c, up in zip(word, big, strict=False))
        return spaces[0] + "".join(letters) + word[len(big) :] + spaces[1]

    assert WORDS.judge(typed("cosine")) is None
    assert WORDS.judge(typed("sine")) == WORDS.why["sine"]


def test_word_that_is_not_among_the_answers_is_named() -> None:
    wanted = "the exercise wants one of 'cosine', 'sine'."
    assert WORDS.judge("tangent") == f"'tangent' is not among the answers; {wanted}"
    assert WORDS.judge(3) == f"3 is not a word; {wanted}"


def test_choice_does_not_mind_quotes_and_a_full_stop() -> None:
    two = Choice(label="ex-b", answer="token row", right=SAID, why={})
    assert two.judge('"Token  row".') is None
    assert two.judge("tokenrow") is not None


@quick
@given(st.text())
def test_word_outside_the_choice_is_never_right_and_hears_the_options(word: str) -> None:
    assume("".join(filter(str.isalpha, word.lower())) not in ("cosine", "sine"))
    assert "one of 'cosine', 'sine'" in str(WORDS.judge(word))


ROWS = st.lists(st.floats(-100, 100), min_size=1, max_size=6)


@quick
@given(rows=ROWS, data=st.data(), off=st.floats(0, 2))
def test_array_is_right_only_if_every_number_is(
    rows: list[float], data: st.DataObject, off: float
) -> None:
    assume(abs(off - 1) > 1e-6)
    exercise = Array(label="ex-c", answer=rows, right=SAID, within=0.1)
    changed = list(rows)
    at = data.draw(st.integers(0, len(rows) - 1))
    changed[at] += 0.1 * off
    reason = exercise.judge(changed)
    assert (reason is None) == (off < 1)
    if reason is not None and len(rows) > 1:
        off_by_one = f"1 of {len(rows)} numbers is off, at index {at}: "
        # By chance it is as if two had been exchanged, or the sign of one had been lost.
        assert reason.startswith((off_by_one, "The right numbers"))


@quick
@given(rows=ROWS)
def test_array_may_come_as_any_kind_of_array(rows: list[float]) -> None:
    exercise = Array(label="ex-c", answer=rows, right=SAID)
    tensors = [torch.tensor(x, dtype=torch.float64) for x in rows]
    for same in (rows, tuple(rows), np.array(rows), torch.stack(tensors), tensors):
        assert exercise.judge(same) is None


class Series:
    """What NumPy can read although it is no array: pandas and its like."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array([0.25, 2.5])


@pytest.mark.parametrize(
    "answer",
    [
        torch.tensor([0.25, 2.5]).to_sparse(),
        np.array([Fraction(1, 4), Decimal("2.5")]),
        Series(),
    ],
    ids=["sparse", "objects", "readable by NumPy"],
)
def test_array_of_an_unusual_kind_is_read(answer: Any) -> None:
    assert Array(label="ex-c", answer=[0.25, 2.5], right=SAID).judge(answer) is None


def test_array_is_read_in_full_and_in_full_precision() -> None:
    thirds = Array(label="ex-c", answer=[1 / 3] * 100, within=1e-12, right=SAID)
    assert thirds.judge(torch.full((100,), 1 / 3, dtype=torch.float64)) is None
    assert Array(label="ex-c", answer=list(range(100)), right=SAID).judge(range(100)) is None


def test_hidden_entry_is_right_where_no_number_is() -> None:
    gap = Array(label="ex-c", answer=[1.0, math.nan], right=SAID)
    assert gap.judge(np.ma.array([1.0, 999.0], mask=[False, True])) is None
    assert gap.judge(np.ma.array([2.0, 999.0], mask=[False, True])) is not None


def test_array_of_another_shape_hears_both_shapes() -> None:
    deep = Array(label="ex-c", answer=np.zeros((1, 2, 3)), right=SAID)
    assert deep.judge(np.zeros((3, 2, 1))) == "The shape is (3, 2, 1) and should be (1, 2, 3)."
    exercise = Array(label="ex-c", answer=np.zeros((2, 3)), right=SAID)
    assert exercise.judge(np.zeros((4, 2))) == "The shape is (4, 2) and should be (2, 3)."


@pytest.mark.parametrize(
    "wrong",
    ["a", ["a"], {}, object(), len, [2j], {1, 2}, iter([1, 2]), torch.zeros(2, device="meta")],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_holds_no_numbers_is_called_so(wrong: Any) -> None:
    exercise = Array(label="ex-c", answer=[1.0, 2.0], right=SAID)
    reason = str(exercise.judge(wrong))
    assert re.search(
        r"holds (no numbers|something that is no number); the exercise wants 2", reason
    )


def test_lists_of_different_lengths_are_called_so() -> None:
    lower = ([[1], [3, 4]], "The lower half alone.")
    exercise = Array(label="ex-c", answer=[[1, 2], [3, 4]], right=SAID, mistakes=[lower])
    assert exercise.judge([[1], [3, 4]]) == "The lower half alone."
    for other in ([[1], [3, 5]], [[1], [3, 4], [5]], [[1, 2], [3]]):
        assert "different lengths; the exercise wants" in str(exercise.judge(other))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({1, 2}, "A set holds no numbers; {}. Hand in a list of it, in order."),
        ("ab", "'ab' holds no numbers; {}."),
        ("0.5", "'0.5' holds no numbers; {}. Write it without quotes: 0.5."),
        (np.array(["1", "2"]), "An array of shape (2,) holds no numbers; {}."),
        (np.array([True, False]), "An array of shape (2,) holds no numbers; {}."),
        (torch.tensor([True, False]), "A tensor of shape (2,) holds no numbers; {}."),
        (torch.tensor([1 + 0j, 2]), "A tensor of shape (2,) holds no numbers; {}."),
        (memoryview(b"12"), "A memoryview holds no numbers; {}. Hand in a list of it, in order."),
        (range(10**6 + 1), "A range holds no numbers; {}. Hand in a list of it, in order."),
        (object(), "An object holds no numbers; {}."),
        ([["a"], [1], [1, 2]], "[['a'], [1], [1, 2]] holds something that is no number; {}."),
        ([], "The shape is (0,) and should be (2,)."),
        ([1, math.nan], "There is nan or inf in it; the exercise wants finite numbers: {}."),
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_is_no_array_hears_why_and_what_is_wanted(wrong: Any, says: str) -> None:
    exercise = Array(label="ex-c", answer=[1.0, 2.0], right=SAID)
    wanted = "2 numbers (a tensor, an array, a list or a tuple)"
    finite = says.startswith("There")
    said = says.format(wanted if finite else f"the exercise wants {wanted}")
    assert exercise.judge(wrong) == said


DOUBLE = Function(
    label="ex-d",
    reference=lambda x: 2 * x,
    inputs=lambda: [(1.0,), (torch.arange(3.0),)],
    right=SAID,
    mistakes=((lambda x: x + 1, "That adds one: right for 1 alone."),),
)


def test_function_is_right_if_it_is_on_all_inputs() -> None:
    assert DOUBLE.judge(lambda x: x + x) is None
    assert DOUBLE.judge(lambda x: 1 + x) == "That adds one: right for 1 alone."
    assert DOUBLE.judge(lambda x: 3 * x) == "Given 1: 3 is off."


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raising(error: BaseException) -> Callable[..., Any]:
    def answer(*arguments: Any) -> None:
        raise error

    return answer


async def later(x: Any) -> Any:
    return x


def test_the_first_input_that_differs_is_named_with_all_its_arguments() -> None:
    total = Function(
        label="ex-d",
        reference=lambda x, y, z: [x + y + z, 0.0],
        inputs=lambda: [(1, 2, 3), (4, 5, 6)],
        right=SAID,
    )
    assert total.judge(lambda x, y, z: [6, z - 3]) == (
        "Given 4, 5 and 6: 2 of 2 numbers are off, the first at index 0: 6."
    )
    assert total.judge(lambda x, y: 0) == (
        "The exercise calls it with 3 arguments, and it cannot be called so: "
        "too many positional arguments."
    )
    assert "calls it with 2 arguments" in str(replace(total, inputs=lambda: [(1, 2)]).judge(abs))


def test_reference_that_spoils_its_arguments_spoils_none_of_the_answers() -> None:
    last = Function(
        label="ex-d", reference=lambda x: x.pop(), inputs=lambda: [([2.0, 1.0],)], right=SAID
    )
    assert last.judge(lambda x: x[1]) is None


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (raising(ValueError("two\n lines.")), "Given 1 it raises ValueError: two lines."),
        (raising(KeyError()), "Given 1 it raises KeyError."),
        (raising(ValueError("x" * 108)), f"Given 1 it raises ValueError: {'x' * 108}."),
        (raising(ValueError("x" * 109)), f"Given 1 it raises ValueError: {'x' * 107}…."),
        (raising(Silent()), "Given 1 it raises Silent."),
        (raising(SystemExit()), "Given 1 it raises RuntimeError: SystemExit."),
        (raising(SystemExit(3)), "Given 1 it raises RuntimeError: SystemExit 3."),
        (lambda: 1, "The exercise calls it with 1 argument, and it cannot be called so: too many"),
        (lambda x: None, "Given 1 it returns nothing. Is there a return?"),
        (print, "Given 1 it prints and returns nothing. End it with return in place of print."),
        (lambda x: "2", "Given 1 it returns '2', and no numbers."),
        (lambda x: [[1, 2], [3]], "Given 1 it returns lists of different lengths."),
        (lambda x: (yield x), "Given 1 it returns a generator. Write return in place of yield."),
        (later, "Given 1 it returns a coroutine. Write def in place of async def."),
        (2.0, "2 cannot be called; the exercise wants a function, without brackets."),
        ("f", "'f' cannot be called; the exercise wants a function, without brackets."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_function_that_cannot_be_compared_hears_why(broken: Any, reason: str) -> None:
    assert str(DOUBLE.judge(broken)).startswith(reason)


def test_what_a_function_prints_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    reason = DOUBLE.judge(lambda x: print("looking at", x, flush=True))
    assert capsys.readouterr().out == "looking at 1.0\n"
    assert "prints and returns nothing" in str(reason)


@pytest.mark.parametrize(("written", "number"), [(3, "3"), (None, "0")])
def test_a_stream_says_how_much_was_written(
    written: int | None, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "write", lambda text: written)
    assert DOUBLE.judge(lambda x: sys.stdout.write("abc")) == f"Given 1: {number} is off."


def test_unknown_label_is_refused_and_the_nearest_named() -> None:
    label = next(iter(exercises()))
    with pytest.raises(KeyError, match=re.escape(f"Did you mean {label!r}?")):
        check(f"{label}e", 1)


# ---- every exercise of the book ------------------------------------------------------------------

ALL = exercises()
each = pytest.mark.parametrize("label", ALL)


def settled(exercise: Exercise) -> Exercise:
    """The same exercise, with its values computed once."""
    if isinstance(exercise, Number | Array):
        mistakes = tuple((computed(wrong), reason) for wrong, reason in exercise.mistakes)
        return replace(exercise, answer=computed(exercise.answer), mistakes=mistakes)
    return exercise


def right_answer(exercise: Exercise) -> Any:
    if isinstance(exercise, Function):
        return exercise.reference
    assert isinstance(exercise, Number | Array | Choice)
    return computed(exercise.answer)


def known_mistakes(exercise: Exercise) -> list[tuple[Any, str]]:
    if isinstance(exercise, Choice):
        return list(exercise.why.items())
    if isinstance(exercise, Function):
        return list(exercise.mistakes)
    assert isinstance(exercise, Number | Array)
    return [(computed(wrong), reason) for wrong, reason in exercise.mistakes]


def test_there_are_exercises() -> None:
    assert ALL, "nothing is registered: everything below would pass without looking at anything"


@each
def test_right_answer_is_right(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(label, right_answer(ALL[label]))
    assert capsys.readouterr().out == f"Right. {ALL[label].right}\n"


@each
def test_known_mistake_hears_exactly_its_reason(label: str) -> None:
    exercise = settled(ALL[label])
    for wrong, reason in known_mistakes(exercise):
        assert exercise.judge(wrong) == reason


@each
def test_learners_get_reasons(label: str) -> None:
    """At least two mistakes are known, and no two of them are told the same."""
    reasons = [reason for _, reason in known_mistakes(settled(ALL[label]))]
    assert len(reasons) >= 2
    assert len(set(reasons)) == len(reasons)


@each
def test_what_is_said_is_a_sentence_in_a_line(label: str) -> None:
    exercise = ALL[label]
    for said in (exercise.right, *(reason for _, reason in known_mistakes(settled(exercise)))):
        assert re.fullmatch(r"\S.*[.?!]", said), said  # a line break matches no dot
        assert len(said) <= 240, said
        assert not said.startswith(("Right", "Not yet")), said  # check() says that itself


def nonsense() -> Iterator[Any]:
    yield from ("?", b"?", "", True, [], {}, object(), [[1], [1, 2]], ["a", 1], 10**400, 1j)
    yield from (torch.tensor([1j]), np.complex64(2j), 10**5000, -(10**400), range(0), {1: 2})
    yield from (b"2", memoryview(b"2"), np.datetime64("2020"), np.timedelta64(3), slice(3))
    yield from (
        torch.zeros(2, device="meta"),
        torch.ones(3) > 0,
        torch.rand(4, 5, 6),
        Unprintable(),
    )
    yield from (itself(), Unprintable(), (x for x in "ab"), iter(()), Exception, type, check)
    yield from (float("nan"), float("inf"), torch.zeros(0), torch.zeros(2, 2, 2), np.array("a"))
    yield from (lambda: 1 / 0, lambda *anything: None, lambda *anything: "?", len, int)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError

    def __float__(self) -> float:
        raise RuntimeError


def itself() -> list[Any]:
    """A list that holds itself."""
    one: list[Any] = []
    one.append(one)
    return one


@each
def test_nonsense_gets_words_and_no_traceback(
    label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for answer in nonsense():
        check(label, answer)
        said = capsys.readouterr().out
        assert re.fullmatch(r"Not yet\. [A-Z0-9'\[(-].{10,}[.?!]\n", said), answer
        assert not re.search(r"tensor\(|array\(|<.* at 0x", said), answer


@few
@given(
    label=st.sampled_from(sorted(ALL)),
    junk=st.recursive(
        st.text() | st.binary() | st.booleans() | st.dates(),
        lambda inner: st.lists(inner, min_size=1) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_junk_is_never_right(label: str, junk: Any) -> None:
    exercise = ALL[label]
    assume(not (isinstance(exercise, Choice) and isinstance(junk, str)))
    assert exercise.judge(junk)


@each
def test_question_says_what_kind_of_answer_it_wants(
    label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check(label, None)
    wanted = f"Not answered yet. It wants {ALL[label].expects}, in place of None.\n"
    assert capsys.readouterr().out == wanted


@pytest.mark.parametrize("label", [x for x in ALL if isinstance(ALL[x], Number)])
def test_number_of_the_book_is_never_right_further_off_than_it_may_be(label: str) -> None:
    exercise = settled(ALL[label])
    assert isinstance(exercise, Number)
    right = exercise.answer
    assert isinstance(right, int | float)
    assert exercise.absolute is not None or right != 0, "a share of zero is zero: give absolute="
    may = 1.0 if exercise.whole else exercise.absolute or exercise.within * abs(right)
    assert exercise.whole or may <= 0.1 * abs(right) or exercise.absolute is not None

    @few
    @given(off=st.floats(1.001, 50), up=st.booleans())
    def further(off: float, up: bool) -> None:
        assert exercise.judge(right + (off if up else -off) * may) is not None

    further()


@pytest.mark.parametrize("label", [x for x in ALL if isinstance(ALL[x], Array)])
def test_array_of_the_book_is_never_right_with_one_number_further_off(label: str) -> None:
    exercise = settled(ALL[label])
    assert isinstance(exercise, Array)
    right = np.asarray(torch.as_tensor(exercise.answer), dtype=np.float64)

    @few
    @given(at=st.integers(0, right.size - 1), off=st.floats(1.001, 50), up=st.booleans())
    def further(at: int, off: float, up: bool) -> None:
        changed = right.copy()
        changed.flat[at] += (off if up else -off) * exercise.within
        assert exercise.judge(changed) is not None

    further()


@pytest.mark.parametrize("label", [x for x in ALL if type(ALL[x]) is Function])
def test_function_of_the_book_is_asked_the_same_each_time(label: str) -> None:
    exercise = ALL[label]
    assert isinstance(exercise, Function)
    first, second = (
        [exercise.reference(*arguments) for arguments in exercise.inputs()] for _ in range(2)
    )
    assert len(first) >= 2, "one input is not enough to tell a rule from a coincidence"
    for one, other in zip(first, second, strict=True):
        assert Array(label=label, answer=one, right=SAID, within=0).judge(other) is None


@each
def test_judging_leaves_the_readers_random_numbers_alone(label: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    check(label, right_answer(ALL[label]))
    check(label, "?")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


# ---- in the chapters -----------------------------------------------------------------------------

ROOT = Path(__file__).parent.parent
CHAPTERS = {path.stem[3:]: path for path in sorted((ROOT / "chapters").glob("[0-9][0-9]_*.ipynb"))}
# From recall to open-ended. Whoever can do a later one has little trouble with those before.
GRADES = {"Recall": 0, "Apply": 1, "Prove": 2, "Explore": 2, "Build": 2, "Mend": 2}

START = re.compile(r"```\{exercise-start\} *(?P<grade>.*)\n:label: (?P<label>\S+)\n")


def judged_in(words: str) -> dict[str, Exercise]:
    """The exercises that a chapter's module judges, by label."""
    module = importlib.import_module(f"simplellm.exercises.{words}")
    return {exercise.label: exercise for exercise in module.EXERCISES}


def printed(cell: NotebookNode) -> str:
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def checks(cell: NotebookNode) -> list[tuple[str, ast.expr]]:
    """The calls of check in a code cell: the label, and the answer as it is written."""
    return [
        (call.args[0].value, call.args[1])
        for call in ast.walk(ast.parse(cell.source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "check"
        and isinstance(call.args[0], ast.Constant)
    ]


def typed(answer: ast.expr) -> bool:
    """Whether an answer holds nothing that was computed: numbers and words alone."""
    return not any(isinstance(part, ast.Name) for part in ast.walk(answer))


def parts(notebook: NotebookNode, label: str) -> tuple[NotebookNode, list[NotebookNode]]:
    """What stands right below an exercise, and the code of its solution."""
    cells = notebook.cells
    start = next(i for i, cell in enumerate(cells) if f":label: {label}\n" in cell.source)
    end = next(i for i in range(start, len(cells)) if "```{exercise-end}" in cells[i].source)
    opening = f"```{{solution-start}} {label}\n"
    first = next((i for i, cell in enumerate(cells) if opening in cell.source), None)
    if first is None:
        return cells[end + 1], []
    last = next(i for i in range(first, len(cells)) if "```{solution-end}" in cells[i].source)
    return cells[end + 1], [cell for cell in cells[first:last] if cell.cell_type == "code"]


def faults(notebook: NotebookNode, judged: dict[str, Exercise]) -> list[str]:
    """What is wrong with a chapter's exercises, as a reader meets them."""
    found = [START.search(c.source) for c in notebook.cells if c.cell_type == "markdown"]
    asked = {match["label"]: match["grade"].strip() for match in found if match}
    wrong = [f"{label}: {grade!r} is no grade" for label, grade in asked.items()]
    wrong = [each for each, grade in zip(wrong, asked.values(), strict=True) if grade not in GRADES]
    steps = [GRADES[grade] for grade in asked.values() if grade in GRADES]
    if len(asked) < 4:
        wrong.append(f"{len(asked)} exercises; a chapter has at least four")
    if steps != sorted(steps) or 0 not in steps or 2 not in steps:
        wrong.append(f"the grades are {list(asked.values())}; from recall to open-ended, please")
    if len(judged) < 2:
        wrong.append(f"{len(judged)} exercises have a check; at least two, please")
    wrong += [f"{label}: judged, and not in the chapter" for label in judged if label not in asked]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if sum("from simplellm.exercises import check" in cell.source for cell in code) != 1:
        wrong.append("check is imported once, in the first cell that needs it")
    for label in asked:
        below, solution = parts(notebook, label)
        if not solution:
            wrong.append(f"{label}: no code in its solution; a solution has been executed")
        wrong += [
            f"{label}: its solution was not executed"
            for cell in solution
            if cell.execution_count is None
        ]
        if label not in judged:
            continue
        question = checks(below) if below.cell_type == "code" else []
        if [(name, ast.unparse(answer)) for name, answer in question] != [(label, "None")]:
            wrong.append(f'{label}: the cell below it should say check("{label}", None)')
        elif printed(below) != f"Not answered yet. It wants {judged[label].expects}, " + (
            "in place of None.\n"
        ):
            wrong.append(f"{label}: the unanswered check says something else today")
        answered = [
            (cell, answer) for cell in solution for name, answer in checks(cell) if name == label
        ]
        if not answered:
            wrong.append(f"{label}: its solution does not check its answer")
        for cell, answer in answered:
            if typed(answer):
                wrong.append(f"{label}: {ast.unparse(answer)} is typed; hand in what was computed")
            if f"Right. {judged[label].right}" not in printed(cell).splitlines():
                wrong.append(f"{label}: the solution's answer is not printed as right")
    return wrong


def test_there_are_chapters() -> None:
    assert CHAPTERS, "no chapters: everything below would pass without looking at anything"


@pytest.mark.parametrize("words", CHAPTERS)
def test_exercises_of_a_chapter_are_graded_executed_and_checked(words: str) -> None:
    notebook = nbformat.read(CHAPTERS[words], as_version=4)
    assert faults(notebook, judged_in(words)) == []


def test_every_chapter_has_its_module_and_every_module_its_chapter() -> None:
    modules = {path.stem for path in (ROOT / "simplellm" / "exercises").glob("[!_]*.py")}
    assert modules - {"judging"} == set(CHAPTERS)


def test_a_label_stands_once_in_the_book() -> None:
    text = [path.read_text(encoding="utf-8") for path in CHAPTERS.values()]
    labels = re.findall(r":label: (ex-[\w-]+)", "\n".join(text))
    assert sorted(labels) == sorted(set(labels))


# ---- would it be seen? ---------------------------------------------------------------------------

GOOD_JUDGED: dict[str, Exercise] = {
    "ex-n": Number(label="ex-n", answer=4.0, right="Four.", unit="hands"),
    "ex-w": Choice(label="ex-w", answer="sine", right="The sine.", why={"cosine": "No."}),
}


def good() -> NotebookNode:
    """A chapter's exercises as they should be, two of them judged."""
    cells: list[NotebookNode] = []

    def code(source: str, text: str = "") -> None:
        count = 1 + sum(cell.cell_type == "code" for cell in cells)
        outputs = [new_output("stream", text=text)] if text else []
        cells.append(new_code_cell(source, execution_count=count, outputs=outputs))

    for grade, label in (("Recall", "n"), ("Apply", "w"), ("Prove", "p"), ("Explore", "e")):
        start = f"```{{exercise-start}} {grade}\n:label: ex-{label}\n```\n\nHow many?\n\n"
        cells.append(new_markdown_cell(start + "```{exercise-end}\n```"))
        exercise = GOOD_JUDGED.get(f"ex-{label}")
        if exercise is not None:
            load = "from simplellm.exercises import check\n\n" if label == "n" else ""
            says = f"Not answered yet. It wants {exercise.expects}, in place of None.\n"
            code(f'{load}check("ex-{label}", None)  # your answer', says)
        opening = f"```{{solution-start}} ex-{label}\n:class: dropdown\n```"
        cells.append(new_markdown_cell(opening))
        if exercise is None:
            code("print(1 + 1)", "2\n")
        else:
            code(f'print(found)\ncheck("ex-{label}", found)', f"4\nRight. {exercise.right}\n")
        cells.append(new_markdown_cell("So it is.\n\n```{solution-end}\n```"))
    return nbformat.from_dict(new_notebook(cells=cells))


def test_good_exercises_have_no_fault() -> None:
    assert faults(good(), GOOD_JUDGED) == []


Break = Callable[[NotebookNode], None]


def change(old: str, new: str) -> Break:
    def broken(notebook: NotebookNode) -> None:
        (cell,) = (cell for cell in notebook.cells if old in cell.source)
        cell.source = cell.source.replace(old, new)

    return broken


def say(at: int, text: str) -> Break:
    """Let the code cell of this number print something else."""

    def broken(notebook: NotebookNode) -> None:
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        code[at].outputs[0].text = text

    return broken


def leave_out(first: int, end: int) -> Break:
    def broken(notebook: NotebookNode) -> None:
        del notebook.cells[first:end]

    return broken


def not_executed(notebook: NotebookNode) -> None:
    next(c for c in notebook.cells if c.source.startswith("print(1 + 1)")).execution_count = None


BROKEN: list[tuple[str, Break]] = [
    ("3 exercises; a chapter has at least four", leave_out(10, 14)),
    ("from recall to open-ended", change("} Explore", "} Apply")),
    ("is no grade", change("} Explore", "} Dream")),
    ("from recall to open-ended", change("} Recall", "} Prove")),
    ("ex-n: judged, and not in the chapter", change(":label: ex-n\n", ":label: ex-m\n")),
    ("check is imported once", change("import check\n\n", "import exercises\n\n")),
    ("ex-w: the cell below it should say", leave_out(6, 7)),
    ("ex-w: the cell below it should say", change('check("ex-w", None)', 'check("ex-w", 4)')),
    ("ex-n: the unanswered check says something else", say(0, "Not answered yet.\n")),
    ("ex-n: its solution does not check", change('check("ex-n", found)', "found")),
    ("ex-n: 4.0 is typed", change('check("ex-n", found)', 'check("ex-n", 4.0)')),
    ("ex-n: the solution's answer is not printed", say(1, "Not yet. 3 is too small.\n")),
    ("ex-n: the solution's answer is not printed", say(1, "Right. Another sentence.\n")),
    ("ex-p: no code in its solution", leave_out(12, 13)),
    ("ex-p: its solution was not executed", not_executed),
]


@pytest.mark.parametrize(
    ("fault", "broken"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_fault_is_seen(fault: str, broken: Break) -> None:
    notebook = good()
    broken(notebook)
    assert any(fault in said for said in faults(notebook, GOOD_JUDGED))


def test_too_few_checks_are_seen() -> None:
    one = {"ex-n": GOOD_JUDGED["ex-n"]}
    assert any("1 exercises have a check" in said for said in faults(good(), one))
