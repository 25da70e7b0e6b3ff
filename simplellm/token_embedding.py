"""Token ids to vectors: a table, looked up and scaled."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .checks import (
    check_bool,
    check_dtype,
    check_ids,
    check_init_std,
    check_int,
    check_positive_int,
)
from .row_lookup import (
    check_width,
    is_observed,
    look_up,
    size_if_changed,
    size_of,
    zero_padding_row,
)


def _zero_padding_row(module: TokenEmbedding, _: object) -> None:
    zero_padding_row(module.embedding)


class TokenEmbedding(nn.Module):
    """Looks up one row per token id and multiplies it by √d_model.

    PAD, BOS and EOS are ordinary rows with vectors of their own, unless ``padding_idx`` asks for
    a row of zeros.

    Args:
        vocab_size: Number of ids; they run from 0 to ``vocab_size - 1``.
        d_model: Width of each row.
        scale: Multiply by √d_model. Switch it off to see what it does.
        init_std: Standard deviation of the normal distribution the table starts from.
        padding_idx: Id whose row is zero and stays zero through initialisation, training and
            loading: a checkpoint's other row is made zero, with a warning.
        device: Device of the table.
        dtype: Floating-point dtype of the table.

    Attributes:
        embedding: The table, an ``nn.Embedding`` of shape ``(vocab_size, d_model)``.
        vocab_size: Number of rows the table has now, also after it has grown.
        d_model: Width of each row.

    Shape:
        ids ``(batch, seq_len)``, any integer dtype, to ``(batch, seq_len, d_model)`` in the
        table's dtype.

    Raises:
        TypeError: If ids are no integer tensor, or an argument has the wrong type.
        ValueError: If ids are not ``(batch, seq_len)``, or an argument is out of its range.
        IndexError: On CPU, if an id is below 0 or not below ``vocab_size``; names the id and
            its place.

    Example:
        >>> tokens = TokenEmbedding(vocab_size=256, d_model=64)
        >>> ids = torch.tensor([[1, 15, 234, 89, 2]])
        >>> tokens(ids).shape
        torch.Size([1, 5, 64])
        >>> torch.equal(tokens(ids)[0, 2], tokens.embedding.weight[234] * 8.0)  # √64 = 8
        True

    Source: Vaswani et al. 2017, section 3.4.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        *,
        scale: bool = True,
        init_std: float = 0.02,
        padding_idx: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        vocab_size = check_positive_int("vocab_size", vocab_size)
        d_model = check_positive_int("d_model", d_model)
        check_bool("scale", scale)
        init_std = check_init_std(init_std)
        check_dtype(dtype)
        if padding_idx is not None:
            padding_idx = check_int("padding_idx", padding_idx)
            if not 0 <= padding_idx < vocab_size:
                raise ValueError(
                    f"padding_idx must be at least 0 and below vocab_size = {vocab_size}, "
                    f"got {padding_idx}."
                )
        super().__init__()
        self.d_model = d_model
        self.scale = scale
        self.init_std = init_std
        self.embedding = nn.Embedding(
            vocab_size, d_model, padding_idx=padding_idx, device=device, dtype=dtype
        )
        # On the table too, which may be loaded by itself; on the module for a table put in later.
        self.embedding.register_load_state_dict_post_hook(zero_padding_row)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_zero_padding_row)  # type: ignore[no-untyped-call]
        self.reset_parameters()

    @property
    def vocab_size(self) -> int:
        """Number of rows the table has now."""
        return size_of(self.embedding)[0]

    def reset_parameters(self) -> None:
        """Draw the table anew from N(0, init_std); the padding row, if any, becomes zero."""
        nn.init.normal_(self.embedding.weight, mean=0.0, std=self.init_std)
        if self.embedding.padding_idx is not None:
            with torch.no_grad():
                self.embedding.weight[self.embedding.padding_idx].zero_()

    def forward(self, ids: Tensor) -> Tensor:
        """ids ``(batch, seq_len)`` to ``(batch, seq_len, d_model)``."""
        check_ids(ids)
        if ids.dtype not in (torch.int32, torch.int64):  # all that nn.Embedding takes
            ids = ids.long()
        table = self.embedding  # asked for once: nn.Module looks its parts up slowly
        observed = torch.compiler.is_compiling() or is_observed(table)
        hint = "Was the text encoded with another vocabulary?"
        # (batch, seq_len, d_model)
        rows = look_up(table, ids, "ids", "vocab_size", hint, observed=observed)
        check_width(rows.shape[-1], self.d_model)
        if not self.scale:
            return rows
        if observed:
            return rows * math.sqrt(self.d_model)
        # The lookup has just made these rows and nobody else has seen them: scaling them in place
        # saves the time to make and fill another tensor of the output's size.
        return rows.mul_(math.sqrt(self.d_model))

    def extra_repr(self) -> str:
        text = f"scale={self.scale}, init_std={self.init_std}"
        return size_if_changed("vocab_size", self.embedding) + text
