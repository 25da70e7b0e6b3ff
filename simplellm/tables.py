"""Looking rows up in an ``nn.Embedding``: what token and learned position tables share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from .checks import first_outside


def look_up(table: nn.Embedding, indices: Tensor, name: str, size_name: str, hint: str) -> Tensor:
    """The rows of ``table`` at ``indices``; an index that has none is named, with its place.

    Raises:
        IndexError: On CPU, if an index is below 0 or not below the number of rows.
    """
    try:
        rows: Tensor = table(indices)
        return rows
    except IndexError:
        # The lookup checks the range anyway, so the good path pays nothing for this message.
        found = first_outside(indices, table.num_embeddings)
        if found is None:
            raise
        bad, place = found
        raise IndexError(
            f"{name} must be at least 0 and below {size_name} = {table.num_embeddings}, got {bad} "
            f"at {name}{list(place)}. {hint}"
        ) from None


def is_observed(table: nn.Embedding) -> bool:
    """Whether a hook or a subclass may see or change what the lookup does.

    If not, nobody but the caller holds the rows, and reading the weight is as good as looking up.
    """
    return type(table) is not nn.Embedding or bool(
        table._forward_hooks
        or table._forward_pre_hooks
        or table._backward_hooks
        or table._backward_pre_hooks
        or _has_any_global_hook()  # type: ignore[no-untyped-call]
    )
