"""Claims about the sinusoidal encoding that follow from its formula."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..positional_encoding import PositionalEncoding
from ..sinusoids import (
    frequencies,
    offset_kernel,
    shift_rotation,
    sinusoidal_encoding,
    wavelengths,
)
from .claim import EXACT, Claim, Measured
from .rules import Above, Below, Between

_CHAPTER = "04_sinusoidal_frequencies"
_WHY = "05_why_sinusoids_work"


def _longest() -> Measured:
    return {f"width {d}": wavelengths(d)[-1].item() / (2 * math.pi * 10_000) for d in (4, 64, 512)}


def _own_frequency() -> Measured:
    return {f"width {d}": len(set(frequencies(d).tolist())) / d for d in (64, 512)}


def _slow_first() -> Measured:
    lengths = wavelengths(64)
    return {"width 64": (lengths[0] / lengths[-1]).item()}


def _third_entry() -> Measured:
    return {f"width {d}": sinusoidal_encoding(1, d)[2].item() for d in (4, 8)}


def _ten_thousand() -> Measured:
    def distance(d: int) -> float:
        first, later = sinusoidal_encoding([0, 10_000], d)
        return (first - later).norm().item()

    return {f"width {d}": distance(d) for d in (2, 64, 512)}


def _margin() -> Measured:
    def least(d: int) -> float:
        # |PE(p) - PE(q)|² is d minus twice their dot product, which depends on p - q alone.
        squares = d - 2 * offset_kernel(torch.arange(1, 5000), d)
        return squares.min().clamp(min=0).sqrt().item()

    return {f"width {d}": least(d) for d in (2, 4, 8, 64, 512)}


def _margin_by_base() -> Measured:
    def least(base: float) -> float:
        squares = 64 - 2 * offset_kernel(torch.arange(1, 5000), 64, base)
        return squares.min().clamp(min=0).sqrt().item()

    return {f"base {base:,}": least(base) for base in (100, 1000)}


def _slower_half() -> Measured:
    """Noisy rows are read as the nearest clean one: by all pairs, and by the faster half."""

    def worse(d: int, length: int, draws: int) -> float:
        generator = torch.Generator().manual_seed(0)
        rows = sinusoidal_encoding(range(length), d)
        here = torch.arange(length)
        errors = {d: 0.0, d // 2: 0.0}
        for _ in range(draws):
            # 1 in each of 64 columns; a wider row tolerates more.
            noise = torch.randn(rows.shape, generator=generator, dtype=torch.float64)
            seen = rows + math.sqrt(d / 64) * noise
            for columns in errors:
                # All rows are equally long, so the nearest has the largest product.
                read = (seen[:, :columns] @ rows[:, :columns].T).argmax(1)
                errors[columns] += (read - here).abs().double().mean().item()
        # Two digits: which of two rows is nearer may hang on a processor's rounding.
        return float(f"{errors[d // 2] / errors[d]:.2g}")

    return {
        "width 64, 128 positions": worse(64, 128, 60),
        "width 512, 128 positions": worse(512, 128, 40),
        "width 512, 1,024 positions": worse(512, 1024, 4),
    }


def _order_of_columns() -> Measured:
    table = sinusoidal_encoding(range(256), 64)
    halves = torch.cat((table[:, 0::2], table[:, 1::2]), dim=1)
    return {"width 64": (table @ table.T - halves @ halves.T).abs().max().item()}


def _tensor2tensor() -> Measured:
    d = 512
    # Its exponents run to 1 instead of (d - 2) / d.
    other = 10_000.0 ** -(torch.arange(d // 2, dtype=torch.float64) / (d / 2 - 1))

    def difference(length: int) -> float:
        p = torch.arange(length, dtype=torch.float64)[:, None]
        angles, others = p * frequencies(d), p * other
        sines = (angles.sin() - others.sin()).abs().max()
        return torch.maximum(sines, (angles.cos() - others.cos()).abs().max()).item()

    return {"positions 0 to 2": difference(3), "positions 0 to 2,047": difference(2048)}


def _low_precision() -> Measured:
    positions, d = 2048, 64
    exact = sinusoidal_encoding(range(positions), d)

    def error(dtype: torch.dtype) -> float:
        steps = torch.arange(0, d, 2).to(dtype)
        turns = torch.exp(steps * (-math.log(10_000.0) / d))
        angles = torch.arange(positions).to(dtype)[:, None] * turns
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)
        return (table.double() - exact).abs().max().item()

    def rounded(dtype: torch.dtype) -> float:
        layer = PositionalEncoding(d, positions)
        zeros = torch.zeros(1, positions, d, dtype=dtype)
        return (layer(zeros)[0].double() - exact).abs().max().item()

    errors = {
        "angles in float32": error(torch.float32),
        "angles in fp16": error(torch.float16),
        "angles in bf16": error(torch.bfloat16),
        "exact, then rounded to bf16": rounded(torch.bfloat16),
    }
    # One digit: the next ones differ between processors.
    return {name: float(f"{e:.1g}") for name, e in errors.items()}


def _rotation() -> Measured:
    rows = sinusoidal_encoding(range(5000), 64)

    def error(k: int) -> float:
        turned = rows[: 5000 - k] @ shift_rotation(k, 64).T
        return (turned - rows[k:]).abs().max().item()

    return {f"k = {k:,}": error(k) for k in (1, 7, 1000)}


def _column_by_itself() -> Measured:
    p = torch.arange(5000, dtype=torch.float64)

    def unexplained(pair: int, k: int = 2) -> float:
        turn = frequencies(64)[pair]
        x, y = (p * turn).sin(), ((p + k) * turn).sin()
        left = y - x * (x @ y / (x @ x))
        return (left.pow(2).sum() / y.pow(2).sum()).item()

    return {"k = 2, first sine": unexplained(0), "k = 2, fifth sine": unexplained(4)}


def _offset_only() -> Measured:
    rows = sinusoidal_encoding(range(2000), 64)
    offsets = (0, 1, 10, 100)
    worst = [
        ((rows[: 2000 - k] * rows[k:]).sum(1) - offset_kernel(k, 64)).abs().max().item()
        for k in offsets
    ]
    return {"offsets 0, 1, 10, 100": max(worst)}


def _rising() -> Measured:
    def share(d: int) -> float:
        return (offset_kernel(range(129), d).diff() > 0).double().mean().item()

    return {f"width {d}": share(d) for d in (64, 128, 512)}


def _orthogonal() -> Measured:
    def share(angles: Tensor) -> float:
        sine, cosine = angles.sin(), angles.cos()
        alike = (sine * cosine).sum(0) / (sine.norm(dim=0) * cosine.norm(dim=0))
        return (alike.abs() < 0.1).double().mean().item()

    turns = frequencies(64)
    whole = 2 * math.pi * torch.arange(64, dtype=torch.float64)[:, None] / 64
    return {
        "64 positions": share(torch.arange(64)[:, None] * turns),
        "1,024 positions": share(torch.arange(1024)[:, None] * turns),
        "a whole turn of each pair": share(whole.expand(64, 32)),
    }


def _row_length() -> Measured:
    def spread(d: int) -> float:
        lengths = sinusoidal_encoding(range(2000), d).norm(dim=1)
        return (lengths - math.sqrt(d / 2)).abs().max().item()

    return {f"width {d}": spread(d) for d in (64, 512)}


def _turned_by_adding() -> Measured:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(256, 64, generator=generator, dtype=torch.float64) * 0.02 * 8
    moved = tokens + sinusoidal_encoding(5, 64)
    return {"width 64": (moved.norm(dim=1) / tokens.norm(dim=1)).mean().item()}


def _read_back() -> Measured:
    """Linear maps from the sum to its parts, fitted to half of all pairs, read on the rest."""
    d, kinds, places = 64, 64, 64
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(kinds, d, generator=generator, dtype=torch.float64) * 0.02 * math.sqrt(d)
    rows = sinusoidal_encoding(range(places), d)
    token, place = torch.cartesian_prod(torch.arange(kinds), torch.arange(places)).T
    x = tokens[token] + rows[place]  # (4096, 64)
    order = torch.randperm(len(x), generator=generator)
    seen, new = order.chunk(2)

    def right(part: Tensor, wanted: Tensor) -> float:
        mean = part.mean(0)
        centred = x - x[seen].mean(0)
        a = centred[seen]
        read = centred[new] @ torch.linalg.solve(a.T @ a, a.T @ (part[wanted[seen]] - mean))
        nearest = torch.cdist(read + mean, part).argmin(1)
        return (nearest == wanted[new]).double().mean().item()

    return {"the token": right(tokens, token), "the place": right(rows, place)}


#: The claims about the sinusoidal encoding.
CLAIMS = (
    Claim(
        key="wavelengths",
        text="The wavelengths run from 2π to 10000 · 2π.",
        made="Vaswani et al. 2017, section 3.5, and most tutorials after it",
        number="longest wavelength over 10000 · 2π",
        measure=_longest,
        rule=Above(0.99),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Wavelengths",
        instead="They run up to 2π·10000^((d−2)/d), which is 47,117 positions at width 64.",
    ),
    Claim(
        key="own-frequency",
        text="Each dimension has a frequency of its own.",
        made="tutorials; corrected in BERT-pytorch #18, DeepCTR #379, maxjcohen/transformer #62",
        number="different frequencies over columns",
        measure=_own_frequency,
        rule=Above(0.99),
        scale=EXACT,
        chapter=_CHAPTER,
        section="The formula, line by line",
        instead="Each pair of columns has: a sine and a cosine share one frequency.",
    ),
    Claim(
        key="slow-first",
        text="The first dimensions change slowly, the last ones fast.",
        made="figure captions and lecture notes",
        number="wavelength of the first pair over that of the last",
        measure=_slow_first,
        rule=Above(1.0),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Wavelengths",
        instead="The first pair turns once in 6.28 positions; the last is the slow one.",
    ),
    Claim(
        key="worked-example",
        text="With eight columns, the third entry at position 1 is 0.01.",
        made="a worked example that is handed on in tutorials",
        number="third entry of the row at position 1",
        measure=_third_entry,
        rule=Between(0.0095, 0.0105),
        scale=EXACT,
        chapter=_CHAPTER,
        section="The formula, line by line",
        instead="That is the entry at width 4. Frequencies depend on the width.",
    ),
    Claim(
        key="repeats",
        text="The encoding repeats after 10,000 positions.",
        made="questions and answers on the constant 10000",
        number="distance between the rows at 0 and at 10,000",
        measure=_ten_thousand,
        rule=Below(0.01),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Bounded, deterministic, unique",
        instead="It never repeats on whole positions; a single pair has no whole period.",
    ),
    Claim(
        key="unique",
        text="Every position has a row of its own, clearly apart from all others.",
        made="nearly every text on the encoding",
        number="least distance between two of 5,000 rows",
        measure=_margin,
        rule=Above(0.1),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Bounded, deterministic, unique",
        instead="Unique always, clearly apart from a width of 8 on. At width 2, positions 710 "
        "apart are nearly the same.",
    ),
    Claim(
        key="base",
        text="With a smaller base than 10,000 positions would become confusable.",
        made="answers to “why 10000?”",
        number="least distance between two of 5,000 rows, width 64",
        measure=_margin_by_base,
        rule=Below(0.1),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Why 10,000?",
        instead="At this width a smaller base keeps rows further apart. What it gives up is a slow "
        "hand for long texts.",
    ),
    Claim(
        key="bounded",
        text="Every row has the same length, at any position.",
        made="textbooks, as “bounded”",
        number="largest deviation of a row's length from √(d/2), 2,000 rows",
        measure=_row_length,
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Bounded, deterministic, unique",
        instead="That length is √(d/2), whatever the word.",
    ),
    Claim(
        key="whole-row-works",
        text="Most of a row is at work in telling the position.",
        made="implied by every heatmap that shows many positions",
        number="reading error without the slower half of the pairs, over that of the whole row",
        measure=_slower_half,
        rule=Above(1.5),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Which hands tell the position?",
        instead="In a short text the slower half hardly moves, and a noisy position is read nearly "
        "as well without it. In a long one it is needed.",
    ),
    Claim(
        key="interleaved",
        text="Sines and cosines must alternate; half and half is another encoding.",
        made="questions about tensor2tensor's order of columns",
        number="largest difference in any dot product of two rows",
        measure=_order_of_columns,
        rule=Above(1e-6),
        scale=EXACT,
        chapter=_CHAPTER,
        section="The formula, line by line",
        instead="The order of columns changes no dot product, so a model cannot tell.",
    ),
    Claim(
        key="tensor2tensor",
        text="tensor2tensor's table is the paper's with its columns in another order.",
        made="ports and comparisons of implementations",
        number="largest difference, columns in the same order, width 512",
        measure=_tensor2tensor,
        rule=Below(0.01),
        scale=EXACT,
        chapter="09_silent_bug_lab",
        section="The values, and what a layer says of itself",
        instead="Its frequencies differ too. A test at small positions cannot see it.",
    ),
    Claim(
        key="low-precision",
        text="The table may be computed in the precision the model runs in.",
        made="half-precision code; mended in gpt-neox #1003 and transformers #25681",
        number="largest error in a table of 2,048 rows",
        measure=_low_precision,
        rule=Below(0.01),
        scale=EXACT,
        chapter="08_the_input_layer",
        section="A table in a buffer",
        instead="Compute the angles in float64 or float32 and round the result.",
    ),
    Claim(
        key="rotation",
        text="PE(p+k) is a linear function of PE(p), the same for every p.",
        made="Vaswani et al. 2017, section 3.5",
        number="largest error of one rotation, 5,000 positions",
        measure=_rotation,
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_WHY,
        section="One step turns every hand by its own angle",
        instead="Exact: each pair turns by k times its frequency. That a model uses it is another "
        "claim.",
    ),
    Claim(
        key="column-alone",
        text="Each column at p+k is a linear function of the same column at p.",
        made="a misreading of the rotation, asked about on statistics sites",
        number="share of a sine's variation that the same sine k earlier leaves unexplained",
        measure=_column_by_itself,
        rule=Below(0.01),
        scale=EXACT,
        chapter=_WHY,
        section="One shadow is not enough",
        instead="The pair is; one sine alone is not, because it does not know its cosine.",
    ),
    Claim(
        key="offset-only",
        text="The dot product of two rows depends on their offset only.",
        made="texts on relative positions",
        number="largest deviation from the kernel of the offset, 2,000 positions",
        measure=_offset_only,
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_WHY,
        section="What a dot product sees",
        instead="True of the rows. Attention puts trained matrices between them.",
    ),
    Claim(
        key="monotone",
        text="The further apart two positions, the smaller their dot product.",
        made="captions of similarity plots",
        number="share of offsets up to 128 from which the next one is more similar",
        measure=_rising,
        rule=Below(0.01),
        scale=EXACT,
        chapter=_WHY,
        section="What a dot product sees",
        instead="It falls at first and then goes up and down.",
    ),
    Claim(
        key="orthogonal",
        text="The sine and the cosine columns are orthogonal.",
        made="textbooks and answers on why both are there",
        number="share of pairs whose two columns have a cosine below 0.1",
        measure=_orthogonal,
        rule=Above(0.95),
        scale="computed, width 64",
        chapter=_WHY,
        section="Sine and cosine: a right angle, in the long run",
        instead="Over whole turns. Within a short text most pairs make none.",
    ),
    Claim(
        key="adding-rotates",
        text="Adding the encoding rotates the word's vector.",
        made="a mixture of adding and rotary positions, met in answers",
        number="length of token plus position over length of the token; a rotation keeps it",
        unit="times",
        measure=_turned_by_adding,
        rule=Between(0.999, 1.001),
        scale="256 random tokens of std 0.02 · √64",
        chapter=_WHY,
        section="Why add, and not concatenate?",
        instead="Adding shifts all words at one place by one vector. The rotation relates PE(p) "
        "to PE(p+k), and RoPE rotates queries and keys.",
    ),
    Claim(
        key="sum-loses",
        text="Adding mixes word and place beyond recovery; one would have to concatenate.",
        made="a question asked of every course",
        number="share read back from the sum by a linear map, on combinations it was not fitted to",
        measure=_read_back,
        rule=Below(0.9),
        scale="64 random tokens, 64 places, width 64",
        chapter=_WHY,
        section="What a probe finds",
        instead="Both can be read out of the sum, as long as neither is far smaller.",
    ),
)
