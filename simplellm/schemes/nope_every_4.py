"""RoPE in three blocks of four, and no positions in the fourth."""

from __future__ import annotations

import dataclasses

from ..attention import AttentionContext
from .rope import Rope


class NopeEvery4(Rope):
    """Rotary positions with every fourth block without positions ("RNoPE", "iRoPE").

    The blocks with numbers 3, 7, 11 and so on, counted from 0, compare queries and keys by content
    alone, at any distance.

    Source: Yang et al. 2025, "Rope to Nope and Back Again"; the interval as in SmolLM3.
    """

    def check(self) -> None:
        if self.config.n_layers < 4:
            raise ValueError(
                f'n_layers must be at least 4 with position = "nope_every_4", got '
                f"{self.config.n_layers}: no block would be without positions. Take more blocks, "
                'or position = "rope".'
            )
        super().check()

    def in_block(self, layer: int, context: AttentionContext) -> AttentionContext:
        return context if (layer + 1) % 4 else dataclasses.replace(context, rotations=None)
