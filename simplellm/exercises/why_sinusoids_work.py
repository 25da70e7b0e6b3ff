"""The exercises of the chapter Why sinusoids work that have an answer."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ..sinusoids import frequencies, offset_kernel, shift_rotation, sinusoidal_encoding
from .judging import Choice, Exercise, Function, Number


def _first_rise(d_model: int) -> int:
    """The smallest offset that is more similar than the one before it."""
    rises = offset_kernel(torch.arange(500), d_model).diff() > 0
    return int(rises.nonzero()[0, 0]) + 1


def _shift(row: Tensor, k: float) -> Tensor:
    return shift_rotation(k, len(row)) @ row


def _shift_as_halves(row: Tensor, k: float) -> Tensor:
    """The mistake of taking the first half of the columns for sines, the second for cosines."""
    angle, half = k * frequencies(len(row)), len(row) // 2
    sine, cosine = row[:half], row[half:]
    return torch.cat(
        (
            sine * angle.cos() + cosine * angle.sin(),
            cosine * angle.cos() - sine * angle.sin(),
        )
    )


def _shift_with_one_angle(row: Tensor, k: float) -> Tensor:
    """As if every pair turned by k radians."""
    sine, cosine, angle = row[0::2], row[1::2], torch.tensor(float(k), dtype=torch.float64)
    later = (
        sine * angle.cos() + cosine * angle.sin(),
        cosine * angle.cos() - sine * angle.sin(),
    )
    return torch.stack(later, dim=-1).flatten()


def _rows_and_steps() -> Iterable[tuple[Tensor, float]]:
    for position, k, d_model in ((5, 3, 8), (40, -7, 64), (1_234, 100, 16), (2.5, 0.5, 4)):
        yield sinusoidal_encoding(position, d_model), k


def _positions_needed(k: int, d_model: int = 64) -> int:
    """The smallest number of positions from which a fit by pairs finds the rotation by ``k``."""
    turn = shift_rotation(k, d_model)
    pairs = [slice(c, c + 2) for c in range(0, d_model, 2)]
    for n in range(1, 97):
        before = sinusoidal_encoding(torch.arange(n) * (96 // n), d_model)
        after = before @ turn.T
        fits = (
            torch.linalg.lstsq(before[:, c], after[:, c], driver="gelsd").solution.T for c in pairs
        )
        if all(torch.allclose(fit, turn[c, c]) for fit, c in zip(fits, pairs, strict=True)):
            return n
    raise AssertionError("no fit by pairs found the rotation")


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-why-turn",
        answer=lambda: math.degrees(5 * frequencies(64)[8].item()),
        unit="degrees",
        right="Only the step counts: 5 positions turn this pair by 5ω, from 100 as from anywhere.",
        mistakes=(
            (
                lambda: 5 * frequencies(64)[8].item(),
                "That is the angle in radians; times 180/π it is in degrees.",
            ),
            (
                lambda: math.degrees(105 * frequencies(64)[8].item()),
                "That is all it has turned since position 0; asked are the last 5 positions.",
            ),
            (
                lambda: math.degrees(105 * frequencies(64)[8].item()) % 360,
                "That is where the hand points at 105; asked is how far it moves from 100 to 105.",
            ),
            (
                lambda: math.degrees(5 * frequencies(64)[4].item()),
                "The exponent is 2i/d, and i counts pairs: 16/64 for pair 8, not 8/64.",
            ),
            (
                lambda: math.degrees(5 * frequencies(64)[16].item()),
                "The exponent is 2i/d, and i counts pairs, not columns: 16/64 for pair 8.",
            ),
            (
                lambda: math.degrees(6 * frequencies(64)[8].item()),
                "From 100 to 105 it is five steps, not six.",
            ),
            (
                lambda: 5 * frequencies(64)[8].item() / math.tau,
                "That is a share of a turn; times 360 it is in degrees.",
            ),
            (
                lambda: math.degrees(frequencies(64)[8].item()),
                "That is the angle of one position; here there are five.",
            ),
        ),
    ),
    Choice(
        label="ex-why-blind",
        answer="order",
        right="K(k) = K(-k): a bare product is the same whichever of the two comes first.",
        why={
            "distance": "The product is K(q − p), which changes with the offset, so it says "
            "something about the distance, though it does not fall steadily.",
            "sameness": "It is d/2 for two equal positions and smaller for any two others, so it "
            "does tell you that.",
        },
    ),
    Function(
        label="ex-why-shift",
        reference=_shift,
        inputs=_rows_and_steps,
        within=1e-4,  # so that a row may be turned in float32
        takes="row and k",
        right="The step needs the row and k alone: no position goes in, and R_k is all there is.",
        mistakes=(
            (lambda row, k: row, "The row comes back as it was: no pair has turned."),
            (
                lambda row, k: _shift(row, -k),
                "It turns backwards, to the position k before. With the sine first, the minus sign "
                "belongs to the new cosine.",
            ),
            (
                lambda row, k: row + sinusoidal_encoding(k, len(row)),
                "That adds PE(k). Rows do not add up like positions: a step is a rotation.",
            ),
            (
                _shift_as_halves,
                "It takes the first half for sines and the second for cosines; here they "
                "alternate: row[0::2] and row[1::2].",
            ),
            (
                _shift_with_one_angle,
                "It turns every pair by k radians. Pair i turns by k times its own frequency.",
            ),
        ),
    ),
    Number(
        label="ex-why-first-rise",
        answer=lambda: _first_rise(1024),
        whole=True,
        unit="positions",
        right="Nearness falls in waves at this width too; a wider row only falls for longer.",
        mistakes=(
            (
                lambda: _first_rise(1024) - 1,
                "That is the offset before the rise. Entry k − 1 of diff is K(k) − K(k − 1).",
            ),
            (
                lambda: _first_rise(1024) + 1,
                "That is one too far: there it rises for the second time.",
            ),
            (
                lambda: _first_rise(512),
                "That is the answer for 512 columns, half as many as asked. Is it d_model / 2 that "
                "went into offset_kernel?",
            ),
            (1, "Offset 0 is a row with itself, the most similar of all; 1 lies below it."),
        ),
    ),
    Number(
        label="ex-why-fewer",
        answer=lambda: _positions_needed(8),
        whole=True,
        unit="positions",
        right="A hand at two angles fixes a turn; more positions say the same again.",
        mistakes=(
            (
                1,
                "From one position many 2 × 2 blocks lead to the same goal, and least squares "
                "takes the smallest, which is no rotation.",
            ),
            (64, "The *full* matrix would need that many. Here each pair is fitted by itself."),
            (4, "A block holds four numbers, and each position gives two equations."),
            (96, "That is how many were used. Halve it, and again, until the fit breaks."),
        ),
    ),
)
