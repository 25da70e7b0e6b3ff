"""Causal attention and its cache."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from simplellm.attention import (
    AttentionContext,
    CausalSelfAttention,
    KeyValueCache,
    reset_linear,
    visible_keys,
)


def attention(d_model: int = 8, n_heads: int = 2) -> CausalSelfAttention:
    torch.manual_seed(0)
    return CausalSelfAttention(d_model, n_heads).double().eval()


def test_it_is_the_formula_written_out_with_loops() -> None:
    module = attention()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    out = module(x)
    with torch.no_grad():
        q, k, v = module.query(x), module.key(x), module.value(x)
        for b in range(2):
            for i in range(5):
                mixed = []
                for h in (slice(0, 4), slice(4, 8)):
                    scores = [float(q[b, i, h] @ k[b, j, h]) / math.sqrt(4) for j in range(i + 1)]
                    total = sum(math.exp(s) for s in scores)
                    shares = [math.exp(s) / total for s in scores]
                    mixed.append(sum(share * v[b, j, h] for j, share in enumerate(shares)))
                want = module.output(torch.cat(mixed))
                assert torch.allclose(out[b, i], want, atol=1e-12)


def test_no_token_sees_a_later_one() -> None:
    module = attention()
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    changed = x.clone()
    changed[0, 4:] += 1.0
    before, after = module(x), module(changed)
    assert torch.equal(before[0, :4], after[0, :4])
    assert not torch.allclose(before[0, 4], after[0, 4])


def test_without_positions_the_order_of_what_came_before_does_not_matter() -> None:
    module = attention()
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    shuffled = x[:, [3, 0, 4, 1, 2, 5]]
    assert torch.allclose(module(x)[0, 5], module(shuffled)[0, 5], atol=1e-12)


def test_the_weights_shown_are_the_weights_used() -> None:
    module = attention()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    bias = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    triangle = torch.ones(5, 5, dtype=torch.bool).tril()
    for context in (
        None,
        AttentionContext(visible=triangle[None, None]),
        AttentionContext(triangle[None, None], bias.masked_fill(~triangle, -math.inf)),
    ):
        weights = module.weights(x, context)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 5, dtype=torch.float64))
        value = module.value(x).view(2, 5, 2, 4).transpose(1, 2)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        assert torch.allclose(module(x, context), module.output(mixed), atol=1e-12)


def test_the_cache_holds_every_key_in_order() -> None:
    module = attention()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    whole, parts = KeyValueCache(1), KeyValueCache(1)
    module(x, cache=whole)
    for piece in x.split([2, 1, 2], dim=1):
        module(piece, AttentionContext(), cache=parts)
    key, value = parts.keys[0], parts.values[0]
    assert key is not None and value is not None and whole.keys[0] is not None
    assert torch.allclose(key, whole.keys[0]) and torch.allclose(value, whole.values[0])


def test_without_padding_texts_or_tokens_before_the_causal_mask_is_left_to_the_kernel() -> None:
    here = torch.device("cpu")
    assert visible_keys(3, None, device=here) is None
    behind = visible_keys(2, None, before=1, device=here)
    assert behind is not None and behind.tolist() == [[[[True, True, False], [True, True, True]]]]


def test_dropout_takes_weights_away_in_training_only() -> None:
    torch.manual_seed(0)
    module, x = CausalSelfAttention(8, 2, dropout=0.5), torch.randn(1, 6, 8)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


@pytest.mark.parametrize(
    ("d_model", "n_heads", "message"),
    [
        (8, 3, r"^n_heads must divide d_model = 8, got 3: .* the width d_model / n_heads\.$"),
        (0, 1, "^d_model must be at least 1, got 0"),
        (8, 0, "^n_heads must be at least 1, got 0"),
    ],
)
def test_heads_must_divide_the_width(d_model: int, n_heads: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CausalSelfAttention(d_model, n_heads)


def test_glorot_spread_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(300, 500)
    reset_linear(linear)
    limit = math.sqrt(6 / (300 + 500))
    assert linear.weight.abs().max() <= limit
    assert linear.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    assert not linear.bias.any()
