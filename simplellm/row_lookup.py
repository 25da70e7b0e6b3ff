"""Lookup in an ``nn.Embedding``, as token tables and learned position tables share it."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from .checks import first_outside

try:
    from torch.nn.modules.module import _has_any_global_hook
except ImportError:  # a private name, which any release of torch may change

    def _has_any_global_hook() -> Any:
        return True  # there may be one: the rows are copied, which is slower and right


def size_of(table: nn.Embedding) -> tuple[int, int]:
    """Return a table's number of rows and width, of the weight that it has now."""
    weight = table.weight
    if isinstance(weight, Tensor) and weight.dim() == 2:
        rows, width = weight.shape
        return rows, width
    return table.num_embeddings, table.embedding_dim  # a quantised table's weight is a method


def size_if_changed(name: str, table: nn.Embedding) -> str:
    """Return the number of rows for a repr, "" if the table's own repr gives the same."""
    rows = size_of(table)[0]
    return "" if rows == table.num_embeddings else f"{name}={rows}, "


def check_width(width: int, d_model: int) -> None:
    """Check that a table, which may have been replaced, still has the module's width."""
    if width != d_model:
        raise ValueError(
            f"the table's rows are {width} wide, but d_model = {d_model}: replace the table by "
            f"one of width {d_model}, or build a module of d_model = {width}."
        )


def zero_padding_row(table: nn.Module, _: object = None) -> None:
    """Zero the row of ``padding_idx`` after a checkpoint was loaded, with a warning.

    A hook to run after ``load_state_dict``.
    """
    index, weight = getattr(table, "padding_idx", None), getattr(table, "weight", None)
    if index is None or not isinstance(weight, Tensor) or weight.is_meta:
        return
    if not -len(weight) <= index < len(weight):  # a table that has shrunk
        return
    with torch.no_grad():
        if weight[index].count_nonzero():
            warnings.warn(
                f"the checkpoint's row {index} is not zero; padding_idx = {index} makes it zero. "
                "To keep the row, build the module without padding_idx.",
                stacklevel=2,
            )
            weight[index] = 0.0


def look_up(
    table: nn.Embedding,
    indices: Tensor,
    name: str,
    size_name: str,
    hint: str,
    *,
    observed: bool = True,
) -> Tensor:
    """Look up the rows of ``table`` at ``indices``; the error names an index without a row.

    ``observed`` as :func:`is_observed` says: where it is False, no hook waits for the call.

    Raises:
        IndexError: On CPU, if an index is below 0 or not below the number of rows.
    """
    try:
        # A module's call runs hooks; where there are none its forward is the same, a fifth sooner.
        rows: Tensor = table(indices) if observed else table.forward(indices)
        return rows
    except IndexError:
        # The lookup checks the range anyway, so the good path pays nothing for this message.
        size = size_of(table)[0]
        try:
            found = first_outside(indices, size)
        except RuntimeError:  # under vmap a tensor has no values to look at
            found = None
        if found is None:
            raise
        bad, place = found
        raise IndexError(
            f"{name} must be at least 0 and below {size_name} = {size}, got {bad} "
            f"at {name}{list(place)}. {hint}"
        ) from None


def is_observed(table: nn.Embedding) -> bool:
    """Return whether a hook or a subclass may see or change what the lookup does.

    If not, nobody but the caller holds the rows, and reading the weight is as good as looking up.
    """
    try:
        return type(table) is not nn.Embedding or bool(
            table._forward_hooks
            or table._forward_pre_hooks
            or table._backward_hooks
            or table._backward_pre_hooks
            or _has_any_global_hook()  # type: ignore[no-untyped-call]
        )
    except AttributeError:  # private names, as above
        return True
