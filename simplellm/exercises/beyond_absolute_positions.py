"""The exercises of the chapter Beyond absolute positions that have an answer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..relative_positions import RelativePositionBias, alibi_slopes, rotate, rotations_at
from .judging import Array, Exercise, Function

HEADS = 8
BUCKETS = (15, 20, 25, 30)


def bucket_of(distances: int = 1_000) -> Tensor:
    """The bucket of each distance from 0 on."""
    with torch.random.fork_rng(devices=[]):  # its biases are drawn, and looked at by nobody
        return RelativePositionBias(1).buckets(torch.arange(distances))


def sizes() -> list[int]:
    """How many distances share each of the buckets asked for."""
    return [int((bucket_of() == bucket).sum()) for bucket in BUCKETS]


def begins() -> list[int]:
    """The first distance in each of them."""
    return [int((bucket_of() == bucket).nonzero()[0]) for bucket in BUCKETS]


def queries() -> list[tuple[Any, ...]]:
    """Queries of two widths, and how far back each is to look."""
    return [(torch.linspace(-1, 1, width), back) for width, back in ((16, 3), (8, 1), (16, 0))]


def turned(query: Tensor, by: int) -> Tensor:
    """The query turned as RoPE turns one at this position."""
    return rotate(query, rotations_at(torch.tensor(by), query.shape[-1]))


EXERCISES: tuple[Exercise, ...] = (
    Array(
        label="ex-beyond-slopes",
        answer=lambda: alibi_slopes(HEADS),
        within=1e-6,
        right="With 8 heads the slopes are halved from head to head, and the reach is doubled.",
        mistakes=(
            (
                lambda: 2.0 ** -torch.arange(HEADS),
                "Heads are counted from 1 in 2^(−8h/H), so that the first slope is not 1.",
            ),
            (
                lambda: alibi_slopes(HEADS).flip(0),
                "The right slopes, from the last head to the first.",
            ),
            (
                lambda: 1 / alibi_slopes(HEADS),
                "Those are the distances at which the weight has fallen to 1/e: one over a slope.",
            ),
            (
                lambda: -alibi_slopes(HEADS),
                "The slopes themselves are positive; the score *subtracts* slope times distance.",
            ),
            (
                lambda: 2.0 ** (-8 * torch.arange(1, HEADS + 1)),
                "The exponent is divided by the number of heads: −8h/H, and here H is 8.",
            ),
        ),
    ),
    Array(
        label="ex-beyond-buckets",
        answer=sizes,
        within=0.1,
        right="Half of the buckets hold one distance each; the others widen as they go out.",
        mistakes=(
            (begins, "Those are the distances at which the buckets begin. How wide are they?"),
            (
                lambda: [1, 7, 7, 7],
                "There the far half is cut into equal pieces. Its steps are of equal *ratio*.",
            ),
            (
                lambda: [size - 1 for size in sizes()],
                "One too few each: from the first to the last, both count.",
            ),
            (
                lambda: [size + 1 for size in sizes()],
                "One too many each: the next bucket's first distance is not its own.",
            ),
        ),
    ),
    Function(
        label="ex-beyond-aim",
        reference=lambda query, back: turned(query, -back),
        inputs=queries,
        within=1e-4,
        takes="a query and a distance",
        right="One fixed rotation aims a head at one distance, wherever the query stands.",
        mistakes=(
            (
                lambda query, back: turned(query, back),
                "Turned forward, it aims at the key that far *ahead*, which the mask hides.",
            ),
            (
                lambda query, back: query,
                "As it stands, the query is the key, and its score is highest at distance 0.",
            ),
            (
                lambda query, back: -query,
                "The opposite of the key has its *lowest* score at distance 0.",
            ),
        ),
    ),
)
