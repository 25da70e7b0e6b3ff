"""Causal multi-head attention, and the cache that lets generation reuse what it has computed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_dropout, check_positive_int
from .relative_positions import rotate


@dataclass(frozen=True)
class Reach:
    """What each query of a batch may look at, and how far that is; the same for every block.

    Attributes:
        visible: ``(batch or 1, 1, queries, keys)``, bool; None where it is the plain lower
            triangle of as many queries as keys.
        bias: ``(batch or 1, n_heads, queries, keys)``, added to the scores; None for none. Where
            it is given it holds ``-inf`` at what is not visible.
        turns: ``(batch or 1, 1, queries, head_dim / 2)``, complex: what the rotary scheme turns
            queries and keys by; None for the other schemes.
    """

    visible: Tensor | None = None
    bias: Tensor | None = None
    turns: Tensor | None = None


def reset_linear(linear: nn.Linear) -> None:
    """Draw a matrix from Glorot's uniform distribution and set its bias to zero.

    It keeps the size of what flows through the same at every width.

    Source: Glorot and Bengio 2010, section 4.2.1.
    """
    nn.init.xavier_uniform_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


class KeyValueCache:
    """Keys and values of the tokens read so far, for every block, so that none is read twice.

    Attributes:
        keys, values: One tensor ``(batch, n_heads, tokens, head_dim)`` per block, or None before
            the first token.
        positions: ``(batch or 1, tokens)``, where the tokens stand; None before the first.

    Example:
        >>> cache = KeyValueCache(n_layers=2)
        >>> len(cache)
        0
    """

    def __init__(self, n_layers: int) -> None:
        check_positive_int("n_layers", n_layers)
        self.keys: list[Tensor | None] = [None] * n_layers
        self.values: list[Tensor | None] = [None] * n_layers
        self.positions: Tensor | None = None

    def __len__(self) -> int:
        return 0 if self.positions is None else self.positions.shape[1]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append one block's new keys and values; return all it has."""
        old_key, old_value = self.keys[layer], self.values[layer]
        if old_key is not None and old_value is not None:
            key, value = torch.cat((old_key, key), dim=2), torch.cat((old_value, value), dim=2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def copy(self) -> KeyValueCache:
        """Another cache of the same tokens; what one is given later, the other does not see."""
        other = KeyValueCache(len(self.keys))
        other.keys, other.values = list(self.keys), list(self.values)
        other.positions = self.positions
        return other

    def become(self, other: KeyValueCache) -> None:
        """Hold what another cache holds, in one step that nothing can interrupt."""
        vars(self).update(vars(other))

    def __repr__(self) -> str:
        return f"KeyValueCache(n_layers={len(self.keys)}, tokens={len(self)})"


class CausalSelfAttention(nn.Module):
    """Every token asks those before it, and itself, and mixes what they answer.

    Args:
        d_model: Width of the vectors.
        n_heads: Number of heads; divides ``d_model``.
        dropout: Share of attention weights set to zero in training.
        device: Device of the parameters.
        dtype: Floating-point dtype of the parameters.

    Attributes:
        query, key, value, output: Four ``nn.Linear(d_model, d_model)``.
        n_heads, head_dim: Number of heads and the width of each.

    Shape:
        x ``(batch, seq_len, d_model)`` to the same shape.

    Raises:
        ValueError: If ``n_heads`` does not divide ``d_model``.

    Example:
        >>> attention = CausalSelfAttention(d_model=64, n_heads=4)
        >>> attention(torch.zeros(2, 5, 64)).shape
        torch.Size([2, 5, 64])

    Source: Vaswani et al. 2017, section 3.2.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        dropout: float = 0.0,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive_int("d_model", d_model)
        check_positive_int("n_heads", n_heads)
        check_dropout(dropout)
        if d_model % n_heads:
            raise ValueError(
                f"n_heads must divide d_model = {d_model}, got {n_heads}: each head has the width "
                "d_model / n_heads."
            )
        super().__init__()
        self.n_heads = n_heads
        self.head_dim = d_model // n_heads
        self.dropout = dropout
        self.query = nn.Linear(d_model, d_model, device=device, dtype=dtype)
        self.key = nn.Linear(d_model, d_model, device=device, dtype=dtype)
        self.value = nn.Linear(d_model, d_model, device=device, dtype=dtype)
        self.output = nn.Linear(d_model, d_model, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all four matrices anew from Glorot's uniform distribution; biases become zero."""
        for linear in (self.query, self.key, self.value, self.output):
            reset_linear(linear)

    def forward(
        self,
        x: Tensor,
        reach: Reach | None = None,
        *,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attend from x to what was before it and itself.

        Args:
            x: ``(batch, seq_len, d_model)``, floating point.
            reach: What may be seen; None for the plain triangle, without positions.
            cache: Tokens read before, to which those of x are added.
            layer: Which block of the cache is this module's.
        """
        reach = reach or Reach()
        query, key = self._queries_and_keys(x, reach)
        value = self._heads(self.value(x))  # (batch, n_heads, seq_len, head_dim)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        mask = reach.visible if reach.bias is None else reach.bias
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=mask is None,
        )  # (batch, n_heads, seq_len, head_dim)
        return self.output(mixed.transpose(1, 2).flatten(2))  # (batch, seq_len, d_model)

    def weights(self, x: Tensor, reach: Reach | None = None) -> Tensor:
        """The attention weights themselves, which the fused kernel never shows.

        Args:
            x: ``(batch, seq_len, d_model)``.
            reach: As in ``forward``.

        Returns:
            ``(batch, n_heads, queries, keys)``; each row sums to 1.
        """
        reach = reach or Reach()
        query, key = self._queries_and_keys(x, reach)
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim)
        if reach.bias is not None:
            scores = scores + reach.bias
        else:
            seq_len = x.shape[1]
            visible = reach.visible
            if visible is None:
                visible = torch.ones(seq_len, seq_len, dtype=torch.bool, device=x.device).tril()
            scores = scores.masked_fill(~visible, -math.inf)
        return scores.softmax(-1)

    def _queries_and_keys(self, x: Tensor, reach: Reach) -> tuple[Tensor, Tensor]:
        query, key = self._heads(self.query(x)), self._heads(self.key(x))
        if reach.turns is not None:
            query, key = rotate(query, reach.turns), rotate(key, reach.turns)
        return query, key

    def _heads(self, x: Tensor) -> Tensor:
        """``(batch, seq_len, d_model)`` to ``(batch, n_heads, seq_len, head_dim)``."""
        return x.view(*x.shape[:2], self.n_heads, self.head_dim).transpose(1, 2)

    def extra_repr(self) -> str:
        return f"n_heads={self.n_heads}, head_dim={self.head_dim}, dropout={self.dropout:g}"
