"""The exercises of the chapter The silent-bug lab that have an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import isgenerator
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..silent_bugs import CORRECT, MUTANTS, PROMISES, Maker, Report, grade
from ._answers import called, one_line
from .judging import Exercise, Function, Number


@dataclass(frozen=True, kw_only=True)
class Catch(Function):
    """An exercise whose answer is a check that catches certain mutants.

    Attributes:
        mutants: Their names.
        mistakes: Pairs of a check that misses them and the reason to print for one like it.

    Example:
        >>> catch = EXERCISES[1]
        >>> catch.judge(lambda make: None)
        'It says no to nothing: a check says no by a failing assert.'
        >>> catch.judge(catch.reference)
    """

    mutants: tuple[str, ...]

    @property
    def expects(self) -> str:
        return "a check: a function of make"

    def judge(self, answer: Any) -> str | None:
        refused = self._refused(answer, (CORRECT["textbook"].make,))
        if refused is not None:
            return refused
        said: set[bool] = set()
        report = grade(_apart(answer, said))
        verdicts = _verdicts(report)
        if self._done(report):
            return None
        (name,) = report.checks
        if said and not report.catches[name] and not report.crashes[name]:
            return (
                "It returns its verdict, which nobody hears: a check says no by a failing assert."
            )
        for broken, reason in self.mistakes:
            if _known_verdicts(broken) == verdicts:
                return reason
        for where, what in (
            (report.crashes[name], "it crashes"),
            (report.false_alarms[name], "it gives a false alarm"),
        ):
            for layer, message in where.items():
                return f"On the layer {layer!r} {what}: {one_line(message)}."
        left = next(mutant for mutant in self.mutants if mutant in report.alive)
        return f"The mutant {left!r} is still alive. {MUTANTS[left].hint}"

    def _done(self, report: Report) -> bool:
        (name,) = report.checks
        return not set(self.mutants) & set(report.alive) and not report.crashes[name]


def _apart(check: Callable[..., Any], said: set[bool]) -> Callable[[Maker], None]:
    """The check, kept away from the reader's settings; what it returns is remembered."""

    def in_a_clean_room(make: Maker) -> None:
        value = called(check, (make,))
        if isinstance(value, bool):
            said.add(value)
        if isgenerator(value):
            raise TypeError("it yields, so nothing of it has run; a check just ends")

    return in_a_clean_room


def _verdicts(report: Report) -> tuple[frozenset[str], ...]:
    (name,) = report.checks
    groups = (report.catches, report.false_alarms, report.crashes)
    return tuple(frozenset(group[name]) for group in groups)


@cache
def _known_verdicts(broken: Callable[..., Any]) -> tuple[frozenset[str], ...]:
    return _verdicts(grade(_apart(broken, set())))


def _step(layer: Any) -> None:
    """One step of training, over a few words and positions."""
    ids = layer.ids(2, 9)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    loss = layer(ids).sum()
    if loss.requires_grad:
        loss.backward()
    optimizer.step()


def alone(make: Maker) -> None:
    """Training one layer leaves another as it was."""
    one, other = make(), make()
    ids = other.ids(2, 9)
    before = other.eval()(ids).detach().clone()
    _step(one)
    after = other(ids)
    # A layer with a memory gives another answer each time, and that is another bug.
    assert torch.equal(before, after), "a layer that nobody trained has changed"


def _trains_both(make: Maker) -> None:
    one, other = make(), make()
    ids = other.ids(2, 9)
    before = other.eval()(ids).detach().clone()
    _step(other)
    assert torch.equal(before, other(ids))
    assert one is not other


def _compares_the_trained(make: Maker) -> None:
    one = make()
    ids = one.ids(2, 9)
    before = one(ids).detach().clone()
    _step(one)
    assert not torch.equal(before, one(ids))


def in_bfloat16(make: Maker) -> None:
    """In bfloat16 the layer returns bfloat16, and rows that were rounded once."""
    layer = make(max_seq_len=512).to(torch.bfloat16).eval()
    assert layer(layer.ids(1, 5)).dtype == torch.bfloat16
    if layer.says.is_sinusoidal:
        rows, exact = layer.position_rows(512).double(), layer.says.formula(512, 16)
        assert (rows - exact).abs().max() < 0.004


def _only_dtype(make: Maker) -> None:
    layer = make(max_seq_len=512).to(torch.bfloat16).eval()
    assert layer(layer.ids(1, 5)).dtype == torch.bfloat16


def _short_of_257(make: Maker) -> None:
    layer = make(max_seq_len=24).to(torch.bfloat16).eval()
    assert layer(layer.ids(1, 5)).dtype == torch.bfloat16
    if layer.says.is_sinusoidal:
        rows, exact = layer.position_rows(24).double(), layer.says.formula(24, 16)
        assert (rows - exact).abs().max() < 0.1


def _of_the_paper_alone(make: Maker) -> None:
    layer = make(max_seq_len=512).to(torch.bfloat16).eval()
    rows = layer.position_rows(512).double()
    assert (rows - CORRECT["textbook"].says.formula(512, 16)).abs().max() < 0.004


@cache
def _caught() -> NDArray[np.bool_]:
    """Whether a promise catches a mutant, ``(mutants, promises)``."""
    return grade(list(PROMISES.values())).matrix()


def _fewest(caught: NDArray[np.bool_]) -> int:
    """The size of the smallest set of columns of which each row has one."""
    columns = range(caught.shape[1])
    return next(
        size
        for size in range(1, len(columns) + 1)
        if any(caught[:, each].any(axis=1).all() for each in combinations(columns, size))
    )


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-bugs-rows",
        answer=4,
        whole=True,
        unit="different rows",
        right="One row for each sentence: all its tokens share it, so their order is lost.",
        mistakes=(
            (10, "That is a right layer: one row for each of the 10 places. Which axis is sliced?"),
            (
                40,
                "That would be one row for each token of the batch; rows are shared along an axis.",
            ),
            (1, "That is a single sentence. With four, the slice has as many rows as the batch."),
        ),
    ),
    Catch(
        label="ex-bugs-shared",
        mutants=("shared rows",),
        reference=alone,
        inputs=lambda: [(variant.make,) for variant in CORRECT.values()],
        right="Two layers, one trained, the other looked at: that is what sharing cannot survive.",
        mistakes=(
            (lambda make: None, "It says no to nothing: a check says no by a failing assert."),
            (
                _trains_both,
                "It trains the layer that it looks at, and training changes every layer. Train "
                "one and look at the other.",
            ),
            (
                _compares_the_trained,
                "It catches layers that do not learn. Sharing shows in the layer that you did "
                "*not* train.",
            ),
        ),
    ),
    Number(
        label="ex-bugs-survive",
        answer=lambda: (1 - 0.1) ** 2,
        absolute=0.004,
        share=True,
        unit="a share",
        right="It must survive twice: (1 − p)². What is left is 1/(1 − p)² times as large.",
        mistakes=(
            (0.9, "That is one dropout. A token entry passes two, one after the other."),
            (0.8, "The second one drops a tenth of what is left, and not a tenth of everything."),
            (0.99, "That is the share that is not dropped by both; one of them is enough."),
            (0.19, "That is the share that is lost."),
            (
                lambda: 1 / (1 - 0.1) ** 2,
                "So many times as large are the entries that survive. How many of them do?",
            ),
        ),
    ),
    Catch(
        label="ex-bugs-bfloat16",
        mutants=("low precision", "table left behind"),
        reference=in_bfloat16,
        inputs=lambda: [(variant.make,) for variant in CORRECT.values()],
        right="Another dtype asks two questions: does all of the layer go along, and who rounds?",
        mistakes=(
            (lambda make: None, "It says no to nothing: a check says no by a failing assert."),
            (
                _only_dtype,
                "The dtype of the output tells that a table was left behind. To see who counts in "
                "bfloat16, look at the rows.",
            ),
            (
                _short_of_257,
                "Up to 256 bfloat16 holds every whole number, and small angles are nearly right. "
                "Go further out, with a tolerance of half a hundredth.",
            ),
            (
                _of_the_paper_alone,
                "It refuses layers with other columns or another base: compare with "
                "layer.says.formula, and leave learned ones out.",
            ),
        ),
    ),
    Number(
        label="ex-bugs-smallest",
        answer=lambda: _fewest(_caught()),
        whole=True,
        unit="checks",
        right="Half of the checks catch all; the other half say what is wrong.",
        mistakes=(
            (lambda: _caught().shape[1], "That is all of them, and most bugs are caught twice."),
            (
                lambda: int((_caught().sum(axis=1) == 1).sum()),
                "That is how many bugs only one check catches, and some share that check.",
            ),
            (
                lambda: len(_caught()),
                "That is the number of bugs. One check may catch many of them.",
            ),
            (
                lambda: _fewest(_caught()) - 1,
                "Every set of that size leaves a bug alive. Ask of your set: grade(...).alive.",
            ),
        ),
    ),
)
