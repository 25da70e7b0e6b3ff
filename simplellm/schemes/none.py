"""No positions: what is left of order is what the causal mask tells."""

from __future__ import annotations

from .scheme import PositionScheme


class NoPositions(PositionScheme):
    """No positions at all ("NoPE").

    Source: Haviv et al. 2022, "Transformer Language Models without Positional Encodings Still Learn
    Positional Information".
    """
