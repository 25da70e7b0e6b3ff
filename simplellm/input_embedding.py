"""The first layer of a transformer: token ids to position-aware vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .checks import check_bool, check_dropout, check_positive_number
from .learned_positional_embedding import LearnedPositionalEmbedding
from .positional_encoding import PositionalEncoding
from .sinusoids import DEFAULT_BASE
from .token_embedding import TokenEmbedding


class InputEmbedding(nn.Module):
    """Token rows, plus position rows, then dropout: in that order, dropout once on the sum.

    Args:
        vocab_size: Number of token ids.
        d_model: Width of the model; even, unless positions are learned.
        max_seq_len: Number of positions in the table.
        dropout: Share of entries set to zero in training; at least 0 and below 1.
        use_learned_pe: Learn the positions instead of computing them from sinusoids.
        scale: Multiply token rows by √d_model.
        init_std: Standard deviation the token table starts from.
        padding_idx: Token id whose row is zero and stays zero. Positions are added to it all the
            same: masking padding is attention's work.
        base: The constant the paper sets to 10 000. It belongs to the sinusoids: with
            ``use_learned_pe`` it must be left alone.
        position_rms: Root mean square that the position rows start from. Left at None it is what
            each kind has by itself: 1/√2 for sinusoids, 0.02 for a learned table. Setting it
            separates the kind of an encoding from its size.
        device: Device of tables and buffers.
        dtype: Floating-point dtype of tables and buffers.

    Attributes:
        token_embedding: A :class:`TokenEmbedding`.
        pos_embedding: A :class:`PositionalEncoding` or a :class:`LearnedPositionalEmbedding`.
        dropout: An ``nn.Dropout``.

    Shape:
        ids ``(batch, seq_len)``, any integer dtype, to ``(batch, seq_len, d_model)``.

    Raises:
        TypeError, ValueError, IndexError: As its three parts, for each bad argument by name.

    Example:
        >>> layer = InputEmbedding(vocab_size=256, d_model=64, max_seq_len=128, dropout=0.1)
        >>> ids = torch.tensor([[1, 15, 234, 89, 2]])
        >>> layer(ids).shape
        torch.Size([1, 5, 64])

    Source: Vaswani et al. 2017, sections 3.4, 3.5 and 5.4.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        max_seq_len: int,
        dropout: float,
        use_learned_pe: bool = False,
        *,
        scale: bool = True,
        init_std: float = 0.02,
        padding_idx: int | None = None,
        base: float = DEFAULT_BASE,
        position_rms: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        dropout = check_dropout(dropout)
        check_bool("use_learned_pe", use_learned_pe)
        if use_learned_pe and base != DEFAULT_BASE:
            raise ValueError(
                f"base must be left at {DEFAULT_BASE:g} with use_learned_pe=True, got {base}: a "
                "learned table has no frequencies."
            )
        if position_rms is not None:
            position_rms = check_positive_number("position_rms", position_rms)
        super().__init__()
        self.token_embedding = TokenEmbedding(
            vocab_size,
            d_model,
            scale=scale,
            init_std=init_std,
            padding_idx=padding_idx,
            device=device,
            dtype=dtype,
        )
        self.pos_embedding: PositionalEncoding | LearnedPositionalEmbedding
        if use_learned_pe:
            init = {} if position_rms is None else {"init_std": position_rms}
            self.pos_embedding = LearnedPositionalEmbedding(
                max_seq_len, d_model, **init, device=device, dtype=dtype
            )
        else:
            # A sine of amplitude 1 has root mean square 1/√2.
            amplitude = 1.0 if position_rms is None else position_rms * math.sqrt(2)
            self.pos_embedding = PositionalEncoding(
                d_model, max_seq_len, base=base, amplitude=amplitude, device=device, dtype=dtype
            )
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Restore the initial state of both tables, or of the table and the buffer."""
        self.token_embedding.reset_parameters()
        self.pos_embedding.reset_parameters()

    def forward(self, ids: Tensor, *, start: int = 0, positions: Tensor | None = None) -> Tensor:
        """ids ``(batch, seq_len)`` to ``(batch, seq_len, d_model)``.

        Args:
            ids: ``(batch, seq_len)``, integer.
            start: Number of positions that come before ``ids``, as when decoding with a cache.
            positions: ``(seq_len,)`` or ``(batch, seq_len)``, integer; wins over ``start``.
        """
        x = self.token_embedding(ids)  # (batch, seq_len, d_model)
        x = self.pos_embedding(x, start=start, positions=positions)  # same shape
        return self.dropout(x)
