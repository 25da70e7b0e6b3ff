"""ALiBi: a penalty on distance, another one in each head."""

from __future__ import annotations

from torch import Tensor, nn

from ..relative_positions import alibi_bias
from .scheme import PositionScheme, distances


class Alibi(PositionScheme):
    """ALiBi ("attention with linear biases"): each head takes its slope times the distance off.

    Source: Press et al. 2022, "Train Short, Test Long".
    """

    def bias(
        self, query_positions: Tensor, key_positions: Tensor, module: nn.Module | None
    ) -> Tensor:
        # What stands ahead, by explicit positions, is as far as what stands behind: a negative
        # distance would be a bonus.
        distance = distances(query_positions, key_positions).abs()
        return alibi_bias(distance, self.config.n_heads)
