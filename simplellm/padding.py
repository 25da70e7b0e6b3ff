"""Positions of the tokens of a padded batch."""

from __future__ import annotations

from torch import Tensor

from .checks import check_mask


def positions_from_mask(mask: Tensor) -> Tensor:
    """Compute positions from a padding mask: the first real token of each row has position 0.

    Needed for left padding, where the index of a token is not its position in the text. Padding
    before the text is given position 0, padding after it the position of the last real token:
    any valid number will do, because attention masks those places.

    Args:
        mask: Shape ``(batch, seq_len)``, bool or integer; True or 1 at real tokens, False or 0
            at padding.

    Returns:
        Shape ``(batch, seq_len)``, int64, in positions.

    Raises:
        TypeError: If the mask is no bool or integer tensor.
        ValueError: If it is not ``(batch, seq_len)``, or (checked on CPU) holds anything but 0
            and 1.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
        >>> positions_from_mask(mask)
        tensor([[0, 0, 0, 1, 2],
                [0, 1, 2, 3, 4]])

    Source: the convention of decoder-only models that generate from left-padded batches.
    """
    check_mask(mask)
    return (mask.long().cumsum(-1) - 1).clamp(min=0)
