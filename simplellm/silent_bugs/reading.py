"""Read off a layer which convention it follows."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor

from .variants import Convention, Maker, NotApplicableError, Subject

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


def read_off(make: Maker) -> Convention:
    """The convention that a layer follows, as far as its numbers say it."""
    layer = make().eval()
    learned = _has_a_table_for_positions(make)
    unread = Convention(positions="learned" if learned else "not read", scale=None)
    try:
        rows = layer.position_rows(layer.max_seq_len)
        scale = _tokens_are_scaled(layer)
        moved = moved_by(layer)
    except Exception:  # no sum, or it fails in a way that a promise will report
        return unread
    if learned or "rows" in moved:
        return Convention(positions="learned", scale=scale)
    try:
        wider = make(d_model=32).eval().position_rows(layer.max_seq_len)
    except Exception:  # one width is what there is
        wider = None
    found = fit(rows, wider) or Convention(positions="not recognised")
    return replace(found, scale=scale, learned_scalar="scalar" in moved)


def _tokens_are_scaled(layer: Subject) -> bool:
    ids = torch.arange(3, layer.vocab_size)[None, : layer.max_seq_len]
    rows, table = layer.token_rows(ids), layer.token_table.detach()[ids]
    return float(rows.norm() / table.norm()) > layer.d_model**0.25  # nearer to √d than to 1


def _has_a_table_for_positions(make: Maker) -> bool:
    """Whether something learned grows with the number of positions."""
    short, long = (
        [
            parameter.shape
            for parameter in make(max_seq_len=n).parameters()
            if parameter.requires_grad
        ]
        for n in (64, 80)
    )
    return short != long


def moved_by(layer: Subject) -> set[str]:
    """What learned numbers do to position rows, seen by changing them, one parameter at a time.

    A ``"scalar"`` multiplies all rows, a ``"bias"`` is added to each of them, and ``"rows"`` change
    in some other way. It is empty where rows are computed, or are no part of a sum.
    """
    found: set[str] = set()
    try:
        table, rows = layer.token_table, layer.position_rows(layer.max_seq_len).double()
        for parameter in layer.parameters():
            if parameter is table or not parameter.requires_grad:
                continue
            kept = parameter.detach().clone()
            with torch.no_grad():
                parameter.add_(torch.rand_like(parameter) + 0.5)
                change = layer.position_rows(len(rows)).double() - rows
                parameter.copy_(kept)
            largest = float(change.abs().max())
            if largest < 1e-6:
                continue
            size = rows.pow(2).sum()
            stretched = rows * ((change * rows).sum() / size) if size else change
            if (change - change.mean(dim=0)).abs().max() < 1e-4 * largest:
                found.add("bias")
            elif parameter.numel() == 1 and (change - stretched).abs().max() < 1e-4 * largest:
                found.add("scalar")
            else:
                found.add("rows")
    except NotApplicableError:
        pass
    return found
