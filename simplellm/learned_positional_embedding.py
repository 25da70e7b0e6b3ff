"""Positions as a trained table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .checks import (
    check_dtype,
    check_init_std,
    check_positions,
    check_positive_int,
    check_start,
    check_vectors,
    shown,
)
from .row_lookup import check_width, is_observed, look_up, size_if_changed, size_of


class LearnedPositionalEmbedding(nn.Module):
    """Adds one trained row per position.

    There is a row for each of ``max_seq_len`` positions and none beyond: a longer sequence is an
    error, not a guess.

    Args:
        max_seq_len: Number of positions that have a row.
        d_model: Width of each row.
        init_std: Standard deviation of the normal distribution the table starts from.
        device: Device of the table.
        dtype: Floating-point dtype of the table.

    Attributes:
        embedding: The table, an ``nn.Embedding`` of shape ``(max_seq_len, d_model)``.
        max_seq_len: Number of rows the table has now, also after it has grown.
        d_model: As given.

    Shape:
        x ``(batch, seq_len, d_model)`` to the same shape and dtype.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If x has the wrong shape, ``start`` is negative, or ``start + seq_len`` is
            more than ``max_seq_len``; names both numbers.
        IndexError: On CPU, if an explicit position has no row; names it.

    Example:
        >>> positions = LearnedPositionalEmbedding(max_seq_len=128, d_model=64)
        >>> positions(torch.zeros(2, 5, 64)).shape
        torch.Size([2, 5, 64])
        >>> positions(torch.zeros(1, 129, 64))
        Traceback (most recent call last):
            ...
        ValueError: start + seq_len = 0 + 129 is more than max_seq_len = 128: ...

    Source: Gehring et al. 2017, "Convolutional Sequence to Sequence Learning", section 3.1.
    """

    def __init__(
        self,
        max_seq_len: int,
        d_model: int,
        *,
        init_std: float = 0.02,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        max_seq_len = check_positive_int("max_seq_len", max_seq_len)
        d_model = check_positive_int("d_model", d_model)
        init_std = check_init_std(init_std)
        check_dtype(dtype)
        super().__init__()
        self.d_model = d_model
        self.init_std = init_std
        self.embedding = nn.Embedding(max_seq_len, d_model, device=device, dtype=dtype)
        self.reset_parameters()

    @property
    def max_seq_len(self) -> int:
        """Number of rows the table has now."""
        return size_of(self.embedding)[0]

    def reset_parameters(self) -> None:
        """Draw the table anew from N(0, init_std)."""
        nn.init.normal_(self.embedding.weight, mean=0.0, std=self.init_std)

    def forward(self, x: Tensor, *, start: int = 0, positions: Tensor | None = None) -> Tensor:
        """Add the rows of positions ``start … start + seq_len - 1``, or of ``positions``.

        Args:
            x: ``(batch, seq_len, d_model)``, floating point.
            start: Number of positions that come before ``x``, as when decoding with a cache.
            positions: ``(seq_len,)`` or ``(batch, seq_len)``, integer; wins over ``start``.
        """
        check_vectors(x, self.d_model)
        table = self.embedding  # asked for once: nn.Module looks its parts up slowly
        size, width = size_of(table)
        if width != self.d_model:
            check_width(width, self.d_model)
        if positions is not None:
            check_positions(positions, x)
        else:
            start = check_start(start)
            end = start + x.shape[1]
            if end > size:
                raise ValueError(
                    f"start + seq_len = {shown(start)} + {shown(x.shape[1])} is more than "
                    f"max_seq_len = {size}: a learned table has no rows past its end. Shorten the "
                    "sequence, build a longer table, or use PositionalEncoding."
                )
            if not (torch.compiler.is_compiling() or is_observed(table)):
                # The rows are contiguous already: a view of them needs no copy.
                rows = table.weight[start:end]
                return x + (rows if rows.dtype == x.dtype else rows.to(x.dtype))
            positions = torch.arange(start, end, device=x.device)
        hint = "A learned table has no row for it."
        # (seq_len, d_model) or (batch, seq_len, d_model)
        rows = look_up(table, positions.long(), "positions", "max_seq_len", hint)
        return x + rows.to(x.dtype)

    def extra_repr(self) -> str:
        return size_if_changed("max_seq_len", self.embedding) + f"init_std={self.init_std}"
