"""Input layers that are right, each in its own way: a check that refuses one is wrong itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..conventions import Convention
from ..input_embedding import InputEmbedding
from .variants import LayerConvention, LearnedTextbook, Textbook, Variant, by_name


class Halves(Textbook):
    """All sines, then all cosines."""

    def table(self) -> Tensor:
        angles = self.angles()
        return torch.cat((angles.sin(), angles.cos()), dim=-1).float()


class OtherBase(Textbook):
    """Base 500."""

    def rates(self) -> Tensor:
        return 500.0 ** (-torch.arange(0, self.d_model, 2, dtype=torch.float64) / self.d_model)


class DeclaredRates(Halves):
    """tensor2tensor's frequencies, under their own name."""

    def rates(self) -> Tensor:
        pairs = self.d_model // 2
        return 10_000.0 ** (-torch.arange(pairs, dtype=torch.float64) / max(pairs - 1, 1))


class Float32Recipe(Textbook):
    """Frequencies by way of exp and log, in float32, as in much teaching code."""

    def angles(self) -> Tensor:
        steps = torch.arange(0, self.d_model, 2).float()
        rates = torch.exp(steps * (-math.log(10_000.0) / self.d_model))
        return torch.arange(self.max_seq_len).float()[:, None] * rates


class UnitTokens(Textbook):
    """A table that starts from N(0, 1), and no factor."""

    def __init__(self, vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> None:
        super().__init__(vocab_size, d_model, max_seq_len, dropout)
        nn.init.normal_(self.embedding.weight)

    def tokens(self, ids: Tensor) -> Tensor:
        return self.embedding(ids)


class NotSaved(Textbook):
    """A buffer that stays out of checkpoints."""

    def keep_positions(self) -> None:
        self.register_buffer("pe", self.table(), persistent=False)


class NoTable(Textbook):
    """Rows computed when they are needed, in float64; there is no end to them."""

    def keep_positions(self) -> None:
        pass

    def positions(self, x: Tensor, start: int) -> Tensor:
        places = torch.arange(start, start + x.shape[1], dtype=torch.float64, device=x.device)
        angles = places[:, None] * self.rates().to(x.device)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).to(x.dtype)


class FrozenParameter(Textbook):
    """The table as a parameter without a gradient."""

    def keep_positions(self) -> None:
        self.pe = nn.Parameter(self.table(), requires_grad=False)


class LearnedUnscaled(LearnedTextbook):
    """Two learned tables and no factor, as in GPT-2."""

    def tokens(self, ids: Tensor) -> Tensor:
        return self.embedding(ids)


class PaddingToken(Textbook):
    """The PAD token has a row of zeros, which is what padding_idx is for."""

    def __init__(self, vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> None:
        super().__init__(vocab_size, d_model, max_seq_len, dropout)
        self.embedding = nn.Embedding(vocab_size, d_model, padding_idx=0)


def _learned(vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> InputEmbedding:
    return InputEmbedding(vocab_size, d_model, max_seq_len, dropout, use_learned_pe=True)


CORRECT = by_name(
    (
        Variant("textbook", Textbook, "The paper's layer, step by step."),
        Variant(
            "learned textbook",
            LearnedTextbook,
            "The same with a learned table of positions.",
            LayerConvention("learned"),
        ),
        Variant("InputEmbedding", InputEmbedding, "This package's layer, with sinusoids."),
        Variant(
            "learned positions",
            _learned,
            "This package's layer, with a learned table.",
            LayerConvention("learned"),
        ),
        Variant(
            "halves",
            Halves,
            "All sines, then all cosines.",
            LayerConvention(Convention(columns="halves")),
        ),
        Variant("base 500", OtherBase, "Another base.", LayerConvention(Convention(base=500.0))),
        Variant(
            "other rates",
            DeclaredRates,
            "tensor2tensor's frequencies and columns, and it says so.",
            LayerConvention(Convention(columns="halves", exponents="i/(d/2-1)")),
        ),
        Variant("float32 recipe", Float32Recipe, "Frequencies by way of exp and log in float32."),
        Variant(
            "unit tokens",
            UnitTokens,
            "A table of standard deviation 1 and no factor.",
            LayerConvention(scale=False),
        ),
        Variant("not saved", NotSaved, "The buffer stays out of checkpoints."),
        Variant("no table", NoTable, "Rows are computed when needed; they never end."),
        Variant("frozen parameter", FrozenParameter, "A parameter without a gradient."),
        Variant(
            "two tables",
            LearnedUnscaled,
            "Two learned tables and no factor, as in GPT-2.",
            LayerConvention("learned", scale=False),
        ),
        Variant("padding token", PaddingToken, "PAD has a row of zeros."),
    )
)
"""The right layers by name, each a :class:`~simplellm.silent_bugs.variants.Variant`."""
