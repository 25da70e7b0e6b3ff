"""Rotary positions: queries and keys are rotated by their positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from ..relative_positions import rotations_at
from .scheme import PositionScheme

if TYPE_CHECKING:
    from ..attention import AttentionContext


class Rope(PositionScheme):
    """Rotary positions ("RoPE"): a query's score with a key depends on their distance.

    With ``rotary_share`` below 1 only the first columns of each head are rotated ("partial RoPE"),
    and the others compare content alone. The frequencies run over the columns that are rotated.

    Source: Su et al. 2021, "RoFormer"; partial rotation as in Black et al. 2022, "GPT-NeoX-20B",
    section 2.1.
    """

    settings = frozenset({"base", "rotary_share"})

    @property
    def rotated(self) -> int:
        """Number of columns of each head that are rotated."""
        return round(self.config.rotary_share * self.config.d_model / self.config.n_heads)

    def check(self) -> None:
        config = self.config
        head_dim = config.d_model // config.n_heads
        share = config.rotary_share
        if share == 1:
            if head_dim % 2:
                raise ValueError(
                    f"d_model / n_heads must be even for rotary positions, got {config.d_model} / "
                    f"{config.n_heads} = {head_dim}: they turn pairs of columns."
                )
        elif self.rotated % 2 or not self.rotated or abs(self.rotated - share * head_dim) > 1e-3:
            shares = [f"{columns / head_dim:g}" for columns in range(2, head_dim + 1, 2)]
            way_out = f"It may be {', '.join(shares)}." if shares else "Take heads of 2 columns."
            raise ValueError(
                f"rotary_share must make an even number of the {head_dim} columns of each head, "
                f"got {share:g} of them = {share * head_dim:g}: rotary positions turn pairs of "
                f"columns. {way_out}"
            )

    def rotations(self, positions: Tensor) -> Tensor:
        # (batch, 1, tokens, rotated / 2): the 1 is for the heads.
        return rotations_at(positions.unsqueeze(1), self.rotated, self.config.base)


class EveryFourth(Rope):
    """Rotary positions in three blocks of four, and something else in the fourth.

    The fourth blocks have the numbers 3, 7, 11 and so on, counted from 0. A subclass says what they
    do.

    Attributes:
        fourth: What they are, for the message about a model that has none.
    """

    fourth: ClassVar[str]

    def check(self) -> None:
        config = self.config
        if config.n_layers < 4:
            raise ValueError(
                f'n_layers must be at least 4 with position = "{config.position}", got '
                f"{config.n_layers}: no block would be {self.fourth}. Take more blocks, "
                'or position = "rope".'
            )
        super().check()

    def in_block(
        self, layer: int, context: AttentionContext, positions: Tensor
    ) -> AttentionContext:
        return context if (layer + 1) % 4 else self.in_fourth(context, positions)

    def in_fourth(self, context: AttentionContext, positions: Tensor) -> AttentionContext:
        """The context of a fourth block, from that of the others and the queries' positions."""
        raise NotImplementedError
