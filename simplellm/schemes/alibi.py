"""ALiBi: a penalty on distance, another one in each head."""

from __future__ import annotations

from torch import Tensor, nn

from ..relative_positions import alibi_bias
from .scheme import PositionScheme


class Alibi(PositionScheme):
    """ALiBi ("attention with linear biases"): each head takes its slope times the distance off.

    Source: Press et al. 2022, "Train Short, Test Long".
    """

    def bias(self, distance: Tensor, module: nn.Module | None) -> Tensor:
        # What stands ahead, by explicit positions, is as far as what stands behind: a negative
        # distance would be a bonus.
        return alibi_bias(distance.abs(), self.config.n_heads)
