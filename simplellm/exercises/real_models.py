"""The exercises of the chapter on models that people use that have an answer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..real_models import position_table, turning_circles
from .judging import Choice, Exercise, Function, Number


@lru_cache(maxsize=1)
def periods() -> tuple[float, ...]:
    """The counted periods of the circles of MiniLM's table."""
    circles = turning_circles(position_table()[4:-4], first=4)
    return tuple(circle.counted_period for circle in circles)


def factor() -> float:
    """The geometric mean of the factors from one period to the next."""
    return (periods()[-1] / periods()[0]) ** (1 / (len(periods()) - 1))


def twins(table: Tensor) -> Tensor:
    """The ids of rows that point where another row does, once the mean row is out."""
    units = torch.nn.functional.normalize(table - table.mean(0), dim=1)
    alike = units @ units.T
    alike.fill_diagonal_(-1)
    return (alike.amax(1) > 0.99).nonzero().flatten()


def with_the_mean(table: Tensor) -> Tensor:
    """The same without taking the mean row out: the mistake that finds twins everywhere."""
    units = torch.nn.functional.normalize(table, dim=1)
    alike = units @ units.T
    alike.fill_diagonal_(-1)
    return (alike.amax(1) > 0.99).nonzero().flatten()


def with_itself(table: Tensor) -> Tensor:
    """The same with each row compared with itself too."""
    return torch.arange(len(table))


def tables() -> list[tuple[Any, ...]]:
    """Tables with a large mean row, in which some rows are nearly the same."""
    made = []
    for seed, ids in ((0, [3, 7, 20]), (1, [0, 1]), (2, [4, 5, 22, 23])):
        chance = torch.Generator().manual_seed(seed)
        table = torch.randn(24, 16, generator=chance)
        table[ids] = table[ids[0]] + 0.01 * torch.randn(len(ids), 16, generator=chance)
        made.append((table + 30 * torch.randn(16, generator=chance),))
    return made


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-real-models-factor",
        answer=factor,
        right="Four steps lead from the first period to the fifth, so it is a fourth root.",
        mistakes=(
            (
                lambda: (periods()[-1] / periods()[0]) ** (1 / 5),
                "Five periods have four steps between them: take the fourth root.",
            ),
            (lambda: periods()[-1] / periods()[0], "That is all four steps together."),
            (lambda: (periods()[-1] - periods()[0]) / 4, "That is a difference, not a factor."),
        ),
    ),
    Number(
        label="ex-real-models-base",
        answer=lambda: factor() ** 5,
        within=0.03,
        right="With five pairs the rate falls by base^(1/5) from one to the next.",
        mistakes=(
            (
                lambda: factor() ** 4,
                "That is how far the slowest of five is from the fastest. The exponents are i/5, "
                "from 0 to 4/5, so the base itself is one step further.",
            ),
            (
                lambda: factor() ** 10,
                "There are ten columns, but five pairs: the rate falls by base^(1/5) a pair.",
            ),
            (factor, "That is base^(1/5)."),
        ),
    ),
    Choice(
        label="ex-real-models-wrong",
        answer="wrong rows",
        right="In all four seeds: a row of another place is worse than one that says nothing.",
        why={
            "no places": "Compare the cosines again: the smaller one belongs to the larger change.",
            "no difference": "They differ by far more than the seeds of one arm do.",
        },
    ),
    Function(
        label="ex-real-models-twins",
        reference=twins,
        inputs=tables,
        takes="a table",
        right="Once the mean row is out, twins stand out: nothing else is above 0.99.",
        mistakes=(
            (with_the_mean, "The mean row is still in: with it, every row is like every other."),
            (with_itself, "Every row is like itself. Leave that one out."),
        ),
    ),
)
