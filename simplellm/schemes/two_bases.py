"""RoPE in three blocks of four, and RoPE with a larger base in the fourth."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ..attention import AttentionContext
from ..relative_positions import rotations_at
from .rope import EveryFourth


class TwoBases(EveryFourth):
    """Rotary positions with two bases: the fourth blocks turn by a base 100 times larger.

    The models that do this also let the other blocks see a window of near tokens alone; here all
    see everything, so that nothing but the base differs.

    Source: Gemma Team 2025, "Gemma 3 Technical Report", section 2: 10,000 in local and 1,000,000
    in global layers.
    """

    fourth = "of the larger base"

    def in_fourth(self, context: AttentionContext, positions: Tensor) -> AttentionContext:
        rotations = rotations_at(positions.unsqueeze(1), self.rotated, 100 * self.config.base)
        return dataclasses.replace(context, rotations=rotations)
