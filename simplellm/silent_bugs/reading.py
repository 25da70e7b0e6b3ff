"""Read off a layer which convention it follows."""

from __future__ import annotations

import torch
from torch import Tensor

from ..conventions import Convention
from ..identify import rounding_of, search
from .variants import LayerConvention, Maker, NotApplicableError, Subject

#: A difference, relative to the amplitude, at which rows still follow a convention, if badly.
LOOSE = 0.01


def fit(rows: Tensor, wider: Tensor | None = None) -> Convention | None:
    """The convention that position rows follow, or None if they follow none that is known.

    As :func:`simplellm.identify` finds it, but rows may be a little off: whether they are precise
    is for a promise to judge. Frequencies and base of one width can be said in more than one way:
    rows of a second width tell them apart.

    Args:
        rows: Position rows from the first on, ``(length, d_model)``.
        wider: The same of another width.

    Example:
        >>> fit(Convention(base=500, first=2).table(64, 16))
        interleaved, base 500, first position 2
    """
    length, d_model = rows.shape
    if length < 8 or d_model < 4 or d_model % 2 or not rows.isfinite().all():
        return None
    if bool((rows == 0).all(dim=1).any()):
        return None
    found = [
        match
        for match in search(rows.double(), rounding_of(rows), loose=LOOSE)
        if not match.convention.needs_length
        and match.convention.first >= 0
        and match.convention.factor(d_model) > 1e-8
        if wider is None or _same(match.convention, wider.double())
    ]
    found.sort(key=lambda match: (match.words, match.difference))
    return found[0].convention if found else None


def _same(says: Convention, rows: Tensor) -> bool:
    length, d_model = rows.shape
    exact = says.rows(torch.arange(length), d_model)
    factor = float((rows * exact).sum() / exact.pow(2).sum())  # an amplitude may go with the width
    return factor > 0 and bool(
        (rows - factor * exact).abs().max() < LOOSE * factor * says.factor(d_model)
    )


def read_off(make: Maker) -> LayerConvention:
    """The convention that a layer follows, as far as its numbers say it."""
    layer = make().eval()
    learned = _has_a_table_for_positions(make)
    unread = LayerConvention("learned" if learned else "not read", scale=None)
    try:
        rows = layer.position_rows(layer.max_seq_len)
        scale = _tokens_are_scaled(layer)
        moved = moved_by(layer)
    except Exception:  # no sum, or it fails in a way that a promise will report
        return unread
    if learned or "rows" in moved:
        return LayerConvention("learned", scale=scale)
    try:
        wider = make(d_model=32).eval().position_rows(layer.max_seq_len)
    except Exception:  # one width is what there is
        wider = None
    return LayerConvention(
        fit(rows, wider) or "not recognised",
        scale=scale,
        learned_scalar="scalar" in moved,
    )


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
