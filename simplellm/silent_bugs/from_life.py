"""Silent bugs as released libraries had them: each passes every test of shapes.

They were met in 2026 in libraries that many people use well, and stand here without the libraries'
names: a mistake that came that far is one that anybody makes. Most are faults only for whoever
expects something else. ``met`` says where each was seen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .mutants import LEARNED, LowPrecision, TrainedTable
from .variants import LearnedTextbook, Textbook, Variant, by_name


class BaseMultiplied(Textbook):
    """The position times the power of the base, where the formula divides."""

    def rates(self) -> Tensor:
        return 1 / super().rates()


class Reshaped(Textbook):
    """Computed with the batch second, and put back by a reshape where a transpose belongs."""

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        x = self.tokens(ids.T)  # (seq_len, batch, d_model)
        x = x + self.positions(ids[..., None], start)[:, None]
        return self.dropout(x).reshape(*ids.shape, self.d_model)


class SumWithoutGradient(Textbook):
    """The addition stands under ``torch.no_grad``, with the tokens inside."""

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        with torch.no_grad():
            x = self.tokens(ids)
            x = x + self.positions(x, start)
        return self.dropout(x)


class FrequenciesInABuffer(Textbook):
    """Keeps the frequencies and not the table: a change of dtype rounds what is multiplied."""

    frequencies: Tensor

    def keep_positions(self) -> None:
        self.register_buffer("frequencies", self.rates().float())

    def positions(self, x: Tensor, start: int) -> Tensor:
        end = start + x.shape[1]
        if end > self.max_seq_len:
            raise ValueError(f"start + seq_len = {end} is more than {self.max_seq_len}.")
        places = torch.arange(start, end, device=x.device, dtype=torch.float32)
        angles = places[:, None] * self.frequencies.float()
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).to(x.dtype)


class StartsAtTwo(Textbook):
    """Positions begin behind the padding index, and the paper's name stands on the table."""

    def angles(self) -> Tensor:
        positions = torch.arange(2, self.max_seq_len + 2, dtype=torch.float64)
        return positions[:, None] * self.rates()


class PaddedTable(LearnedTextbook):
    """The table is rounded up to a multiple of 64, and nobody guards the rows that were added."""

    def keep_positions(self) -> None:
        super().keep_positions()
        trained = self.place.weight.detach().clone()
        self.place = nn.Embedding(-(-self.max_seq_len // 64) * 64, self.d_model)
        with torch.no_grad():
            self.place.weight.zero_()
            self.place.weight[: self.max_seq_len] = trained


class UntiedByLoading(Textbook):
    """Table and output projection are one parameter until a checkpoint is loaded by assignment."""

    def __init__(self, vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> None:
        super().__init__(vocab_size, d_model, max_seq_len, dropout)
        self.output = nn.Linear(d_model, vocab_size, bias=False)
        self.output.weight = self.embedding.weight

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # What load_state_dict(assign=True) does: a parameter for each name in the file.
        for name in ("embedding", "output"):
            self.get_submodule(name).weight = nn.Parameter(state[f"{prefix}{name}.weight"].clone())
        super()._load_from_state_dict(state, prefix, *rest)


FROM_LIFE = by_name(
    (
        Variant(
            "base multiplied",
            BaseMultiplied,
            "Position × 10000^(2i/d): every column turns at least as fast as the first.",
            met="a toolkit for speech synthesis, version 0.28",
            hint="Are neighbours more alike than strangers?",
        ),
        Variant(
            "reshaped",
            Reshaped,
            "A reshape instead of a transpose: words of one sentence land in another.",
            met="a library of protein models, version 1.1; with a batch of one nothing shows",
            hint="Does a sentence give the same rows when other sentences are in its batch?",
        ),
        Variant(
            "sum under no_grad",
            SumWithoutGradient,
            "The sum is made under no_grad: nothing before it is ever trained.",
            met="a library for forecasting, version 1.8",
            hint="What gradient does the token table receive?",
        ),
        Variant(
            "trained sinusoids",
            TrainedTable,
            "The sinusoids are exact at the start, and every step moves them.",
            met="two models of a library of transformers, version 5.24",
            hint="Train a few steps. What has moved that should not?",
        ),
        Variant(
            "rounded rates",
            FrequenciesInABuffer,
            "A change of dtype rounds the frequencies, and .float() keeps the rounding.",
            met="a library for learning on graphs, version 2.8, and others",
            hint="Convert the layer and look at a position far out.",
        ),
        Variant(
            "angles in bfloat16",
            LowPrecision,
            "Position and angle are computed in bfloat16: many positions share a row.",
            met="a hub of Keras models, version 0.32, in mixed precision",
            hint="Convert the layer to bfloat16 and look at position 300.",
        ),
        Variant(
            "starts at 2",
            StartsAtTwo,
            "The first token gets row 2. A checkpoint with another start fits it by its shape.",
            met="translation models whose positions begin at padding_idx + 1",
            hint="Compare the position rows with the formula.",
        ),
        Variant(
            "padded table",
            PaddedTable,
            "Rows that were added to round the size up are read without an error.",
            met="tables resized to a multiple of 64, as guides to speed advise",
            says=LEARNED,
            hint="Go past the end of the table.",
        ),
        Variant(
            "untied by loading",
            UntiedByLoading,
            "After loading, table and output projection are two parameters.",
            met="PyTorch 2.13, load_state_dict(assign=True) on a tied model",
            hint="Count the parameters before and after a checkpoint is loaded.",
        ),
    )
)
"""The silent bugs of libraries by name, each a :class:`~simplellm.silent_bugs.variants.Variant`."""
