"""T5's relative positions: a trained bias for each bucket of distances."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..relative_positions import RelativePositionBias
from .scheme import PositionScheme, distances


class T5(PositionScheme):
    """T5's relative position bias: one trained table of buckets and heads for all blocks.

    These are the buckets of T5's decoder, where nothing lies ahead.

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.1.
    """

    settings = frozenset({"max_distance"})

    def check(self) -> None:
        if not self.config.causal:
            raise ValueError(
                'causal must be True with position = "t5", got False: its buckets count what lies '
                "behind a token, and what lies ahead would all be in the first."
            )
        self.bias_module(device="meta")  # which checks max_distance

    def bias_module(self, **factory: Any) -> RelativePositionBias:
        config = self.config
        return RelativePositionBias(config.n_heads, max_distance=config.max_distance, **factory)

    def bias(
        self, query_positions: Tensor, key_positions: Tensor, module: nn.Module | None
    ) -> Tensor:
        assert module is not None  # as bias_module made it
        bias: Tensor = module(distances(query_positions, key_positions))
        return bias
