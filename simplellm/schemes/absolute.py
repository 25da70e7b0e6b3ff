"""Absolute positions: a row for each, added to the token rows at the input."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from ..checks import check_even_d_model
from ..input_embedding import InputEmbedding
from .scheme import PositionScheme


class Absolute(PositionScheme):
    """Absolute positions, added at the input: what both kinds of rows have in common."""

    learned: ClassVar[bool]

    def input_embedding(self, **factory: Any) -> InputEmbedding:
        config = self.config
        return InputEmbedding(
            config.vocab_size,
            config.d_model,
            config.max_seq_len,
            config.dropout,
            use_learned_pe=self.learned,
            scale=config.scale,
            init_std=config.init_std,
            padding_idx=config.padding_idx,
            base=config.base,
            position_rms=config.position_rms,
            **factory,
        )


class Sinusoidal(Absolute):
    """Sinusoidal positions: fixed rows of sines and cosines, which go on past the table.

    Source: Vaswani et al. 2017, section 3.5.
    """

    learned = False
    settings = frozenset({"base", "position_rms"})

    def check(self) -> None:
        check_even_d_model(self.config.d_model)


class Learned(Absolute):
    """Learned positions: trained rows, none past the end of their table.

    Source: Gehring et al. 2017, "Convolutional Sequence to Sequence Learning", section 3.1.
    """

    learned = True
    settings = frozenset({"position_rms"})

    def max_positions(self, input_embedding: nn.Module) -> int | None:
        # The table's own number: it may have been replaced by a longer one.
        assert isinstance(input_embedding, InputEmbedding)
        return input_embedding.pos_embedding.max_seq_len
