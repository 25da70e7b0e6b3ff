"""RoPE in three blocks of four, and no positions in the fourth."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ..attention import AttentionContext
from .rope import EveryFourth


class NopeEvery4(EveryFourth):
    """Rotary positions with every fourth block without positions ("RNoPE", "iRoPE").

    The blocks with numbers 3, 7, 11 and so on, counted from 0, compare queries and keys by content
    alone, at any distance.

    Source: Yang et al. 2025, "Rope to Nope and Back Again"; the interval as in SmolLM3.
    """

    fourth = "without positions"

    def in_fourth(self, context: AttentionContext, positions: Tensor) -> AttentionContext:
        return dataclasses.replace(context, rotations=None)
