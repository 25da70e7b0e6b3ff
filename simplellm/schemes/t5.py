"""T5's relative positions: a trained bias for each bucket of distances."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..relative_positions import RelativePositionBias
from .scheme import PositionScheme, distances


class T5(PositionScheme):
    """T5's relative position bias: one trained table of buckets and heads for all blocks.

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.1.
    """

    def bias_module(self, **factory: Any) -> RelativePositionBias:
        return RelativePositionBias(self.config.n_heads, **factory)

    def bias(
        self, query_positions: Tensor, key_positions: Tensor, module: nn.Module | None
    ) -> Tensor:
        assert module is not None  # as bias_module made it
        bias: Tensor = module(distances(query_positions, key_positions))
        return bias
