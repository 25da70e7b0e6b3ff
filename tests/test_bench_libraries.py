"""The bench on classes of real libraries, written anew in their shape, verdict by verdict.

Each keeps its library's layout of forward, names of arguments and buffers, and faults. What each
computes was measured on the library itself.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from simplellm import Convention
from simplellm.silent_bugs import LayerConvention, bench

T2T = "i/(d/2-1)"


def angles(length: int, rates: Tensor, first: int = 0) -> Tensor:
    return torch.arange(first, first + length)[:, None].float() * rates


def paper_rates(d_model: int, base: float = 10_000.0) -> Tensor:
    return torch.exp(torch.arange(0, d_model, 2).float() * -(math.log(base) / d_model))


def t2t_rates(d_model: int) -> Tensor:
    return torch.exp(torch.arange(d_model // 2).float() * -(math.log(1e4) / (d_model // 2 - 1)))


def interleaved(length: int, d_model: int) -> Tensor:
    pe = torch.zeros(length, d_model)
    pe[:, 0::2] = angles(length, paper_rates(d_model)).sin()
    pe[:, 1::2] = angles(length, paper_rates(d_model)).cos()
    return pe


class EspnetPositionalEncoding(nn.Module):
    """espnet: tokens times the root, a table that is no buffer and grows, rows behind dropout."""

    def __init__(self, d_model: int, dropout_rate: float, max_len: int = 5000) -> None:
        super().__init__()
        self.d_model = d_model
        self.xscale = math.sqrt(d_model)
        self.dropout = nn.Dropout(p=dropout_rate)
        self.pe: Tensor | None = None
        self.extend_pe(torch.tensor(0.0).expand(1, max_len))

    def extend_pe(self, x: Tensor) -> None:
        if self.pe is None or self.pe.size(1) < x.size(1):
            self.pe = interleaved(x.size(1), self.d_model)[None]
        self.pe = self.pe.to(device=x.device, dtype=x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        self.extend_pe(x)
        return self.dropout(x * self.xscale + self.pe[:, : x.size(1)])


class EspnetScaledPositionalEncoding(EspnetPositionalEncoding):
    """espnet: a learned number before the rows, none before the tokens."""

    def __init__(self, d_model: int, dropout_rate: float, max_len: int = 5000) -> None:
        super().__init__(d_model, dropout_rate, max_len)
        self.alpha = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        self.extend_pe(x)
        return self.dropout(x + self.alpha * self.pe[:, : x.size(1)])


class EolePositionalEncoding(nn.Module):
    """eole: one more argument without a default, sizes in another order, a limit it keeps."""

    def __init__(self, dropout: float, dim: int, enc_type: str, max_len: int = 5000) -> None:
        super().__init__()
        if enc_type == "SinusoidalInterleaved":
            pe = interleaved(max_len, dim)
        else:
            turned = angles(max_len, t2t_rates(dim))
            pe = torch.cat([turned.sin(), turned.cos()], 1)
        self.register_buffer("pe", pe.unsqueeze(1))  # (max_len, 1, dim)
        self.dropout = nn.Dropout(p=dropout)
        self.dim = dim

    def forward(self, emb: Tensor, step: int | None = None) -> Tensor:
        pe, step = self.pe.transpose(0, 1), step or 0
        emb = emb * math.sqrt(self.dim)
        if step + emb.size(1) > pe.size(1):
            raise ValueError(f"Sequence is {step + emb.size(1)}, limited to {pe.size(1)}")
        return self.dropout(emb + pe[:, step : step + emb.size(1)])


class EsmSinusoidalPositionalEmbedding(nn.Module):
    """fair-esm: rows alone, for ids, from the row behind the padding's on; the table grows."""

    def __init__(self, embed_dim: int, padding_idx: int) -> None:
        super().__init__()
        self.embed_dim, self.padding_idx = embed_dim, padding_idx
        self.register_buffer("_float_tensor", torch.FloatTensor(1))
        self.weights: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        bsz, seq_len = x.shape
        length = self.padding_idx + 1 + seq_len
        if self.weights is None or length > self.weights.size(0):
            turned = angles(length, t2t_rates(self.embed_dim))
            self.weights = torch.cat([turned.sin(), turned.cos()], 1)
        self.weights = self.weights.type_as(self._float_tensor)
        mask = x.ne(self.padding_idx).long()
        positions = mask.cumsum(1) * mask + self.padding_idx
        return self.weights.index_select(0, positions.view(-1)).view(bsz, seq_len, -1)


class FunasrSinusoidalPositionEncoder(nn.Module):
    """funasr: throws both arguments away, begins at 1, computes in the dtype of the input."""

    def __init__(self, d_model: int = 80, dropout_rate: float = 0.1) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        _, timesteps, input_dim = x.size()
        positions = torch.arange(1, timesteps + 1, device=x.device, dtype=x.dtype)[:, None]
        increment = math.log(10_000) / (input_dim / 2 - 1)
        steps = torch.arange(input_dim // 2, device=x.device, dtype=x.dtype)
        scaled = positions * torch.exp(steps * -increment)
        return x + torch.cat([scaled.sin(), scaled.cos()], 1)[None].type(x.dtype)


class ScaledSinusoidalEmbedding(nn.Module):
    """x-transformers: rows alone times a learned number; the frequencies are the buffer."""

    def __init__(self, dim: int, theta: float = 10_000) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1) * dim**-0.5)
        self.register_buffer("inv_freq", paper_rates(dim, theta), persistent=False)

    def forward(self, x: Tensor, pos: Tensor | None = None, offset: int = 0) -> Tensor:
        if pos is None:
            pos = torch.arange(x.shape[1], device=x.device) + offset
        emb = torch.einsum("i, j -> i j", pos.type_as(self.inv_freq), self.inv_freq)
        return torch.cat((emb.sin(), emb.cos()), dim=-1) * self.scale


class OptLearnedPositionalEmbedding(nn.Embedding):
    """transformers, OPT: a table of two rows more, positions counted from the mask."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        self.offset = 2
        super().__init__(num_embeddings + self.offset, embedding_dim)

    def forward(self, attention_mask: Tensor, past_key_values_length: int = 0) -> Tensor:
        mask = attention_mask.long()
        positions = mask.cumsum(1) * mask - 1
        return super().forward(positions + past_key_values_length + self.offset)


class ForecastingPositionalEncoder(nn.Module):
    """pytorch-forecasting: length first, the gradient cut, each column a rate of its own."""

    def __init__(self, d_model: int, max_seq_len: int = 160) -> None:
        super().__init__()
        self.d_model = d_model
        pe = torch.zeros(max_seq_len, d_model)
        for pos in range(max_seq_len):
            for i in range(0, d_model, 2):
                pe[pos, i] = math.sin(pos / 10_000 ** (2 * i / d_model))
                pe[pos, i + 1] = math.cos(pos / 10_000 ** (2 * (i + 1) / d_model))
        self.register_buffer("pe", pe.unsqueeze(0))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            seq_len = x.size(0)
            x = x * math.sqrt(self.d_model)
            return x + self.pe[:, :seq_len].view(seq_len, 1, self.d_model)


class EvodiffPositionalEncoding(nn.Module):
    """evodiff: reshapes where it means to transpose."""

    def __init__(self, d_model: int, max_len: int = 2048) -> None:
        super().__init__()
        self.register_buffer("pe", interleaved(max_len, d_model)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(x.shape[1], x.shape[0], x.shape[2])
        x = x + self.pe[: x.size(0)]
        return x.reshape(x.shape[1], x.shape[0], x.shape[2])


class DistilbertEmbeddings(nn.Module):
    """transformers, DistilBERT: sinusoids in a table that is trained, a sum that is normalised."""

    def __init__(self, vocab_size: int, dim: int, max_position_embeddings: int, dropout: float):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, dim, padding_idx=0)
        self.position_embeddings = nn.Embedding(max_position_embeddings, dim)
        self.position_embeddings.weight.data.copy_(interleaved(max_position_embeddings, dim))
        self.LayerNorm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        ids = torch.arange(max_position_embeddings).expand((1, -1))
        self.register_buffer("position_ids", ids, persistent=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.word_embeddings(input_ids)
        x = x + self.position_embeddings(self.position_ids[:, : input_ids.size(1)])
        return self.dropout(self.LayerNorm(x))


def opt(vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> nn.Module:
    return OptLearnedPositionalEmbedding(max_seq_len, d_model)


# Class; how it is put on the bench; what it is read as; what is broken; what is not judged.
CASES = [
    (EspnetPositionalEncoding, {}, LayerConvention(), (), ()),
    (
        EspnetScaledPositionalEncoding,
        {},
        LayerConvention(scale=False, learned_scalar=True),
        (),
        (),
    ),
    (EolePositionalEncoding, {"enc_type": "SinusoidalInterleaved"}, LayerConvention(), (), ()),
    (
        EolePositionalEncoding,
        {
            "enc_type": "SinusoidalConcat",
            "call": lambda module, x, start: module(x, step=start),
        },
        LayerConvention(Convention(columns="halves", exponents=T2T)),
        (),
        (),
    ),
    (
        EsmSinusoidalPositionalEmbedding,
        {"padding_idx": 1, "call": lambda module, x, start: x + module(x[..., 0])},
        LayerConvention(Convention(columns="halves", exponents=T2T, first=2), scale=False),
        (),
        ("chunks",),
    ),
    (
        FunasrSinusoidalPositionEncoder,
        {},
        LayerConvention(Convention(columns="halves", exponents=T2T, first=1), scale=False),
        ("dropout", "low precision"),
        (),
    ),
    (
        ScaledSinusoidalEmbedding,
        {"call": lambda module, x, start: x + module(x, offset=start)},
        LayerConvention(
            Convention(columns="halves", amplitude="d^-0.5"), learned_scalar=True, scale=False
        ),
        ("low precision",),
        (),
    ),
    (
        OptLearnedPositionalEmbedding,
        {
            "build": opt,
            "call": lambda module, x, start: x + module(torch.ones_like(x[..., 0]), start),
        },
        LayerConvention("learned", scale=False),
        (),
        ("dropout",),
    ),
    (
        ForecastingPositionalEncoder,
        {"batch_first": False},
        LayerConvention(Convention(exponents="2j/d")),
        ("gradient",),
        (),
    ),
    (
        EvodiffPositionalEncoding,
        {},
        LayerConvention(scale=False),
        ("own sentence",),
        (),
    ),
    (
        DistilbertEmbeddings,
        {},
        LayerConvention("learned", scale=None),
        (),
        (),
    ),
]


@pytest.mark.parametrize(
    ("layer_class", "how", "says", "broken", "not_judged"),
    CASES,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_library_s_class_gets_its_verdicts(layer_class, how, says, broken, not_judged) -> None:
    report = bench(layer_class, **how)
    assert report.says == says
    assert report.broken == broken and report.not_judged == not_judged
    assert report.crashed == ()


# ---- conventions that have no name here


def multiplied(length: int, d_model: int) -> Tensor:
    """coqui-tts, generic: the position times what it is to be divided by."""
    return pairwise(angles(length, 1 / paper_rates(d_model)))


def wavelengths(length: int, d_model: int) -> Tensor:
    """depthcharge: 2 pi p / wavelength, from 1 to 1e5; sines, then cosines."""
    pairs = d_model // 2
    turned = angles(length, 2 * math.pi / 1e5 ** (torch.arange(pairs) / (pairs - 1)))
    return torch.cat([turned.sin(), turned.cos()], 1)


def own_cosines(length: int, d_model: int) -> Tensor:
    """time-series-transformer: base 1000, and each column has a rate of its own."""
    turned = angles(length, 1000.0 ** -(torch.arange(d_model) / d_model))
    turned[:, 0::2], turned[:, 1::2] = turned[:, 0::2].sin(), turned[:, 1::2].cos()
    return turned


def normalised(length: int, d_model: int) -> Tensor:
    """PatchTST (tsai, neuralforecast, transformers): less the mean, by ten standard deviations."""
    table = pairwise(angles(length, paper_rates(d_model)))
    table = table - table.mean()
    return table / (table.std() * 10)


def by_length(length: int, d_model: int) -> Tensor:
    """tsai's tAPE: the angle times d / length."""
    return pairwise(angles(length, paper_rates(d_model) * d_model / length))


def summed(length: int, d_model: int) -> Tensor:
    """sktime convtimenet: sine and cosine in one column."""
    turned = angles(length, 10_000.0 ** -(torch.arange(d_model) / d_model))
    return turned.sin() + turned.cos()


def two_axes(length: int, d_model: int) -> Tensor:
    """timm: half of the columns for one axis, half for another one."""
    rates = paper_rates(d_model // 2)
    row, column = angles(length, rates), torch.arange(length)[:, None] % 8 * rates
    return torch.cat([row.sin(), row.cos(), column.sin(), column.cos()], 1)


def pairwise(turned: Tensor) -> Tensor:
    return torch.stack([turned.sin(), turned.cos()], 2).flatten(1)


def adding(rows) -> type[nn.Module]:
    """A layer that adds rows."""

    class Adds(nn.Module):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__()
            self.register_buffer("pe", rows(max_len, d_model).float())

        def forward(self, x: Tensor) -> Tensor:
            if x.shape[1] > len(self.pe):
                raise ValueError("too long")
            return x + self.pe[: x.shape[1]]

    return Adds


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (wavelengths, Convention.named("depthcharge")),
        (own_cosines, Convention.named("time-series-transformer")),
        (summed, Convention.named("convtimenet")),
    ],
)
def test_a_convention_of_one_library_is_recognised_and_judged(rows, says: Convention) -> None:
    report = bench(adding(rows))
    assert report.says == LayerConvention(says, scale=False)
    assert "formula" in report.kept


@pytest.mark.parametrize("rows", [multiplied, normalised, by_length, two_axes])
def test_rows_that_multiply_or_depend_on_the_length_are_not_recognised(rows) -> None:
    report = bench(adding(rows))
    assert report.says == LayerConvention("not recognised", scale=False)
    assert "formula" in report.not_judged and report.crashed == ()
    assert set(report.broken) <= {"distinct"}
