"""Causal multi-head attention."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cache import KeyValueCache as KeyValueCache
from .cache import check_cache
from .checks import INTEGER_DTYPES, check_dropout, check_positive_int, check_vectors
from .relative_positions import rotate


@dataclass(frozen=True)
class AttentionContext:
    """What attention is given besides the vectors: mask, attention bias, rotations.

    Attributes:
        visible: ``(batch or 1, 1, queries, keys)``, bool, the mask: True where a query may attend
            to a key; None for the causal mask of as many queries as keys.
        bias: ``(batch or 1, n_heads, queries, keys)``, added to the scores; None for none. Where
            it is given it holds ``-inf`` at what is not visible.
        rotations: ``(batch or 1, 1, queries, pairs)``, complex: by what queries and keys are
            rotated; None where they are not.
    """

    visible: Tensor | None = None
    bias: Tensor | None = None
    rotations: Tensor | None = None


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """The causal mask, ``(queries, keys)``, bool: True at keys that come no later than the query.

    The queries are the last of the keys.

    Example:
        >>> causal_mask(2, 3, torch.device("cpu"))
        tensor([[ True,  True, False],
                [ True,  True,  True]])
    """
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def visible_keys(
    queries: int,
    mask: Tensor | None,
    segment_ids: Tensor | None = None,
    *,
    before: int = 0,
    causal: bool = True,
    device: torch.device,
) -> Tensor | None:
    """The attention mask: which keys each query may attend to, ``(batch or 1, 1, queries, keys)``.

    Decided by order in the sequence, not by position: the queries are the last of the keys.

    Args:
        queries: Number of queries.
        mask: ``(batch, keys)``, bool, True at real tokens; None for all.
        segment_ids: ``(batch, queries)``, integer: which text each token belongs to; None for one.
        before: Number of keys that come before the first query.
        causal: Whether a query attends to no key that comes after it.
        device: Of the result.

    Returns:
        None where that is the causal mask of as many queries as keys.

    Example:
        >>> texts = torch.tensor([[0, 0, 1]])
        >>> visible_keys(3, None, texts, device=texts.device).int()
        tensor([[[[1, 0, 0],
                  [1, 1, 0],
                  [0, 0, 1]]]], dtype=torch.int32)
    """
    if causal and mask is None and segment_ids is None and not before:
        return None
    earlier = causal_mask(queries, before + queries, device)[None, None]  # (1, 1, queries, keys)
    visible = earlier if causal else torch.ones_like(earlier)
    if mask is not None:
        visible = visible & mask[:, None, None, :]
    if segment_ids is not None:
        texts = segment_ids.long()
        visible = visible & (texts.unsqueeze(2) == texts.unsqueeze(1)).unsqueeze(1)
        if mask is not None:
            visible = visible & mask[:, None, :, None]
    # Padding sees itself, because a softmax over nothing is not a number.
    return visible | (earlier & ~earlier.tril(before - 1)) if mask is not None else visible


def check_segment_ids(segment_ids: object, ids: Tensor) -> None:
    """Refuse segment ids that are no integers, or not one for each of ``ids``."""
    if not isinstance(segment_ids, Tensor):
        raise TypeError(
            f"segment_ids must be a tensor of shape (batch, seq_len), got "
            f"{type(segment_ids).__name__}. Wrap them: torch.tensor(segment_ids)."
        )
    if segment_ids.dtype not in INTEGER_DTYPES:
        raise TypeError(
            f"segment_ids must be integers, got dtype {segment_ids.dtype}. Convert them: "
            "segment_ids.long()."
        )
    if tuple(segment_ids.shape) != tuple(ids.shape):
        hint = " Repeat them: segment_ids.expand_as(ids)." if segment_ids.dim() == 1 else ""
        raise ValueError(
            f"segment_ids must have the shape of ids, {tuple(ids.shape)}, got "
            f"{tuple(segment_ids.shape)}.{hint}"
        )
    if segment_ids.device != ids.device:
        raise ValueError(
            f"segment_ids must be on the device of ids, {ids.device}, got {segment_ids.device}. "
            "Move them: segment_ids.to(ids.device)."
        )


def reset_linear(linear: nn.Linear) -> None:
    """Draw a matrix from Glorot's uniform distribution and set its bias to zero.

    It keeps the size of what flows through the same at every width.

    Source: Glorot and Bengio 2010, section 4.2.1.
    """
    nn.init.xavier_uniform_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


class CausalSelfAttention(nn.Module):
    """Causal self-attention with several heads: a token attends to itself and to those before it.

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
        d_model = check_positive_int("d_model", d_model)
        n_heads = check_positive_int("n_heads", n_heads)
        dropout = check_dropout(dropout)
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
        context: AttentionContext | None = None,
        *,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attend from each token of x to itself and to those before it.

        Args:
            x: ``(batch, seq_len, d_model)``, floating point.
            context: Mask, attention bias and rotations; None for the causal mask alone.
            cache: Tokens read before, to which those of x are added when all is computed.
            layer: Which block of the cache is this module's.

        Returns:
            ``(batch, seq_len, d_model)``.

        Raises:
            TypeError, ValueError, IndexError: If x are no such vectors, or cache holds no tokens
                that those of x can follow; the cache stays as it was.
        """
        check_vectors(x, self.n_heads * self.head_dim)
        context = context or AttentionContext()
        query, key = self._queries_and_keys(x, context)
        value = self._heads(self.value(x))  # (batch, n_heads, seq_len, head_dim)
        if cache is not None:
            check_cache(cache)
            key, value = cache.extended(layer, key, value)
        mask = context.visible if context.bias is None else context.bias
        if mask is None and key.shape[2] != x.shape[1]:
            # The kernel's own causal mask begins at the first key; the queries are the last keys.
            mask = causal_mask(x.shape[1], key.shape[2], x.device)
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=mask is None,
        )  # (batch, n_heads, seq_len, head_dim)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        if cache is not None:
            cache.store(layer, key, value)
        return attended  # (batch, seq_len, d_model)

    def weights(self, x: Tensor, context: AttentionContext | None = None) -> Tensor:
        """The attention weights themselves, which the fused kernel never shows.

        Args:
            x: ``(batch, seq_len, d_model)``.
            context: As in ``forward``.

        Returns:
            ``(batch, n_heads, queries, keys)``; each row sums to 1.
        """
        context = context or AttentionContext()
        query, key = self._queries_and_keys(x, context)
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim)
        if context.bias is not None:
            scores = scores + context.bias
        else:
            visible = context.visible
            if visible is None:
                visible = causal_mask(x.shape[1], x.shape[1], x.device)
            scores = scores.masked_fill(~visible, -math.inf)
        return scores.softmax(-1)

    def _queries_and_keys(self, x: Tensor, context: AttentionContext) -> tuple[Tensor, Tensor]:
        query, key = self._heads(self.query(x)), self._heads(self.key(x))
        if context.rotations is not None:
            query, key = rotate(query, context.rotations), rotate(key, context.rotations)
        return query, key

    def _heads(self, x: Tensor) -> Tensor:
        """``(batch, seq_len, d_model)`` to ``(batch, n_heads, seq_len, head_dim)``."""
        return x.view(*x.shape[:2], self.n_heads, self.head_dim).transpose(1, 2)

    def extra_repr(self) -> str:
        return f"n_heads={self.n_heads}, head_dim={self.head_dim}, dropout={self.dropout:g}"
