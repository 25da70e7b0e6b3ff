"""Read the convention of sinusoids off their rows."""

from __future__ import annotations

import itertools
import math
from typing import Literal, cast

import torch
from torch import Tensor

from .variants import Convention

Columns = Literal["interleaved", "halves"]


def fit(rows: Tensor, wider: Tensor | None = None) -> Convention | None:
    """The convention that position rows follow, or None if they follow none that is known.

    Frequencies and base of one width can be said in more than one way: rows of a second width
    tell them apart. Exponents are called doubled where the base would else be the square of 10 000.

    Args:
        rows: Position rows from the first on, ``(length, d_model)``.
        wider: The same of another width.

    Example:
        >>> fit(Convention(base=500, first=2).formula(64, 16))
        sinusoidal, interleaved, base 500, first position 2, tokens × √d
    """
    found = [c for c in _candidates(rows.double()) if wider is None or _same(c, wider.double())]
    # A round number is the likelier base.
    return min(found, key=lambda c: (len(f"{c.base:.5g}".strip("0.")), c.first), default=None)


def _same(says: Convention, rows: Tensor) -> bool:
    exact = says.formula(*rows.shape)
    factor = float((rows * exact).sum() / exact.pow(2).sum())  # an amplitude may go with the width
    return factor > 0 and bool((rows - factor * exact).abs().max() < 0.01 * factor)


def _candidates(rows: Tensor) -> list[Convention]:
    length, d_model = rows.shape
    pairs = d_model // 2
    if length < 8 or d_model < 4 or d_model % 2 or not rows.isfinite().all():
        return []
    found = []
    for columns, cosines_first in itertools.product(("interleaved", "halves"), (False, True)):
        one, two = (
            (rows[:, 0::2], rows[:, 1::2])
            if columns == "interleaved"
            else (rows[:, :pairs], rows[:, pairs:])
        )
        turning = torch.complex(one, two) if cosines_first else torch.complex(two, one)
        amplitude = float(turning.abs().mean())
        if amplitude < 1e-8 or (turning.abs() - amplitude).abs().max() > 0.02 * amplitude:
            continue
        step = (turning[1:] * turning[:-1].conj()).sum(0)
        rates = step.angle()
        if abs(float(rates[0]) - 1) > 1e-3 or bool((rates[1:] <= 0).any()):
            continue
        first = round(float(turning[0, 0].angle() / rates[0]))
        for frequencies in ("paper", "tensor2tensor", "doubled"):
            steps = {"paper": pairs, "tensor2tensor": pairs - 1, "doubled": pairs / 2}[frequencies]
            base = math.exp(-float(rates[1].log()) * steps)
            rounded = float(f"{base:.2g}")
            base = rounded if abs(base / rounded - 1) < 1e-3 else base
            if frequencies == "doubled" and base != 10_000:
                continue
            if frequencies == "paper" and base == 1e8:
                continue
            says = Convention(
                columns=cast(Columns, columns),
                frequencies=frequencies,
                base=base,
                first=first,
                cosines_first=cosines_first,
                amplitude=1.0 if abs(amplitude - 1) < 1e-3 else float(f"{amplitude:.6g}"),
            )
            if first >= 0 and (rows - says.formula(length, d_model)).abs().max() < 0.01 * amplitude:
                found.append(says)
    return found
