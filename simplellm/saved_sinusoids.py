"""Comparison of a checkpoint's sinusoidal table with the formula, for the error that refuses it.

Only loading comes here, so nothing needs to be fast. On the CPU whatever the default device.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .conventions import Convention
from .identify import ROWS, allowed, best, identify, rounding_of, search


def first_difference(saved: Tensor, convention: Convention, length: int) -> tuple[int, int] | None:
    """Return row and column of the largest error of a table; None if rounding explains all.

    Args:
        saved: ``(rows, d_model)``, floating point, from the first token's row on.
        convention: What the rows are to follow.
        length: Rows of the whole table, where the convention asks for it.
    """
    rows, d_model = saved.shape
    places = torch.arange(rows, device="cpu")
    exact = convention.rows(places, d_model, length)
    limit = allowed(convention, places, d_model, length) * convention.factor(d_model)
    for dtype in (saved.dtype, torch.bfloat16, torch.float16):
        # A number that this dtype can hold may have been rounded to it, and cast back since.
        # Rounding keeps the order, so the limits are rounded the same way.
        rounded = saved.to(dtype)
        low, high = (exact - limit).to(dtype), (exact + limit).to(dtype)
        holds = rounded.to(saved.dtype) == saved
        if bool((holds & (low <= rounded) & (rounded <= high)).all()):
            return None
    error = (saved.to(torch.float64) - exact).abs()
    return divmod(int((error - limit).argmax()), d_model)


def what_differs(saved: Tensor, convention: Convention, length: int) -> str:
    """Describe how a saved table differs from that of a convention, and what to do about it.

    Args:
        saved: ``(rows, d_model)``, floating point, any numbers.
        convention: That of the module that reads the table.
        length: Rows of that module's table.

    Returns:
        One or two sentences.
    """
    rows = saved[:ROWS].to(torch.float64)
    if not bool(rows.isfinite().all()):
        return "Some of them are NaN or infinite."
    if bool((rows == 0).all(dim=1).any()):
        return _with_zeros(saved)
    matches = best(search(rows, rounding_of(saved), like=convention), like=convention)
    if not matches:
        if len(saved) == 1:
            return "One row is too little to tell how it was made."
        return f"No convention explains them: {identify(saved).why}."
    if any(match.convention == convention for match in matches):
        return (
            "They are as close as the rounding of the saved numbers lets one see: made with "
            "very nearly the same base and amplitude, or rounded in another way."
        )
    nearest = [
        m.convention for m in matches if m.unlike(convention) == matches[0].unlike(convention)
    ]
    taken = [c for c in nearest if first_difference(saved[:ROWS], c, len(saved)) is None]
    found = (taken or nearest)[0]
    about = "" if taken else "about "
    sized = {"base": found.base, "amplitude": found.factor(saved.shape[1])}
    if replace(found, base=1.0, amplitude=1.0) == replace(convention, base=1.0, amplitude=1.0):
        own = {"base": convention.base, "amplitude": convention.factor(saved.shape[1])}
        numbers = [f"{k} = {about}{v:.10g}" for k, v in sized.items() if v != own[k]]
        return f"The checkpoint's table has {', '.join(numbers)}. Build the module with the same."
    names = f" (as in {', '.join(found.names)})" if found.names else ""
    return (
        f"The checkpoint's table is {found!r}{names}. Build the module with "
        f"convention={found.code}."
    )


def _with_zeros(saved: Tensor) -> str:
    """What to do with a table of which some rows are zero."""
    found = identify(saved)
    if found.convention is None:
        return f"Some of its rows are zero, and of the others: {found.why}."
    names = f" (as in {', '.join(found.convention.names)})" if found.convention.names else ""
    begin = found.first_row
    cut = f" and cut the rows before: state_dict[key] = state_dict[key][:, {begin}:]"
    return (
        f"Row {found.zero_rows[0]} of it is zero, for padding, and the rest is "
        f"{found.convention!r}{names}. Build the module with convention={found.convention.code}"
        f"{cut if begin else ''}."
    )
