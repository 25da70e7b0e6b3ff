"""Models small enough to compare number by number, for the tests of cache, packing, generation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from simplellm import SimpleLLM, SimpleLLMConfig
from simplellm.cache import KeyValueCache
from simplellm.config import POSITIONS

every_scheme = pytest.mark.parametrize("position", POSITIONS)


def model(position: str = "sinusoidal", **changes: Any) -> SimpleLLM:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 16}
    if position in ("nope_every_4", "two_bases"):
        sizes["n_layers"] = 4
    config = SimpleLLMConfig(40, **{**sizes, "init_std": 0.3, **changes}, position=position)
    return SimpleLLM(config).double().eval()


def prompt(batch: int, seq_len: int) -> Tensor:
    return torch.randint(3, 40, (batch, seq_len), generator=torch.Generator().manual_seed(0))


def filled(module: SimpleLLM, ids: Tensor, **more: Any) -> KeyValueCache:
    cache = KeyValueCache(module.config.n_layers)
    module(ids, cache=cache, **more)
    return cache


def same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() < 1e-9)
