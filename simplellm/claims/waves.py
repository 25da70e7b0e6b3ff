"""Claims about the sinusoidal encoding that follow from its formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..sinusoids import (
    frequencies,
    offset_kernel,
    shift_rotation,
    sinusoidal_encoding,
    wavelengths,
)
from .claim import DRAWN, EXACT, MODEL_WIDTHS, WIDTHS, Claim, Measured, Source, drawn
from .rules import Above, Below, Between
from .sources import BORGI, WHY_10000, issue, vaswani

_CHAPTER = "04_sinusoidal_frequencies"
_WHY = "05_why_sinusoids_work"


def _at_widths(number: Callable[[int], float]) -> Callable[[], Measured]:
    """Ask a formula at every width."""
    return lambda: {f"width {d:,}": number(d) for d in WIDTHS}


def _longest(d: int) -> float:
    return wavelengths(d)[-1].item() / (2 * math.pi * 10_000)


def _own_frequency(d: int) -> float:
    return len(set(frequencies(d).tolist())) / d


def _slow_first(d: int) -> float:
    lengths = wavelengths(d)
    return (lengths[0] / lengths[-1]).item()


def _third_entry() -> Measured:
    return {"width 8": sinusoidal_encoding(1, 8)[2].item()}


def _least_distance(offsets: range, d: int, base: float = 10_000.0) -> float:
    """The least distance between two rows so many positions apart."""
    # |PE(p) - PE(q)|² is d minus twice their dot product, which depends on p - q alone.
    squares = d - 2 * offset_kernel(torch.as_tensor(offsets), d, base)
    return squares.min().clamp(min=0).sqrt().item()


def _back_to_an_earlier_row(d: int) -> float:
    return _least_distance(range(1, 10_001), d)  # from row 10,000 to each before it


def _margin(d: int) -> float:
    return _least_distance(range(1, 5000), d)


def _margin_by_base() -> Measured:
    return {
        f"base {base:,}, width {d:,}": _least_distance(range(1, 5000), d, base)
        for base in (100, 1000)
        for d in WIDTHS
    }


def _idle_hands(d: int, length: int = 128, noise: float = 0.1) -> float:
    """Mean error of the best pair that completes no turn, over that of the best that does.

    A position is read from one pair alone: the position whose two columns are nearest to those
    that are seen, after noise of a tenth.
    """
    rows = torch.polar(
        torch.ones((), dtype=torch.float64),
        frequencies(d)[:, None] * torch.arange(length, dtype=torch.float64),
    ).to(torch.complex64)  # (pairs, length): the hands
    where = torch.arange(length)
    errors = []
    for first in range(0, len(rows), 64):  # (64, length, length) at a time
        hands = rows[first : first + 64]
        seen = hands + noise * math.sqrt(2) * torch.randn_like(hands)
        # Nearest of points on a circle: the largest dot product.
        read = torch.view_as_real(seen) @ torch.view_as_real(hands).mT
        errors.append((read.argmax(-1) - where).abs().double().mean(-1))
    error = torch.cat(errors)
    idle = wavelengths(d) > length
    return (error[idle].min() / error[~idle].min()).item()


def _reading_hands() -> Measured:
    return {f"width {d:,}": drawn(partial(_idle_hands, d)) for d in WIDTHS}


def _halves(d: int, trained: bool) -> float:
    """Change of attention's scores when sines and cosines fill two halves, relatively."""
    order = torch.cat((torch.arange(0, d, 2), torch.arange(1, d, 2)))
    rows = sinusoidal_encoding(range(32), d).float()
    tokens = torch.randn(32, d)
    query, key = torch.randn(2, d, 16)

    def scores(x: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (x @ query) @ (x @ key).T

    before = scores(tokens + rows, query, key)
    if not trained:  # weights are drawn alike for every column: these are as likely as those
        tokens, query, key = tokens[:, order], query[order], key[order]
    after = scores(tokens + rows[:, order], query, key)
    return ((after - before).norm() / before.norm()).item()


def _order_of_columns() -> Measured:
    def largest(trained: bool) -> float:
        return max(_halves(d, trained) for d in WIDTHS)

    return {
        "a model trained with that order": drawn(partial(largest, False)),
        "a model trained with the other": drawn(partial(largest, True)),
    }


def _tensor2tensor(d: int) -> float:
    # Its exponents run to 1 instead of (d - 2) / d.
    other = 10_000.0 ** -(torch.arange(d // 2, dtype=torch.float64) / (d / 2 - 1))
    p = torch.arange(2048, dtype=torch.float64)[:, None]
    angles, others = p * frequencies(d), p * other
    sines = (angles.sin() - others.sin()).abs().max()
    return torch.maximum(sines, (angles.cos() - others.cos()).abs().max()).item()


def _low_precision() -> Measured:
    positions, d = 2048, 64
    exact = sinusoidal_encoding(range(positions), d)

    def error(dtype: torch.dtype) -> float:
        steps = torch.arange(0, d, 2).to(dtype)
        turns = torch.exp(steps * (-math.log(10_000.0) / d))
        angles = torch.arange(positions).to(dtype)[:, None] * turns
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)
        return (table.double() - exact).abs().max().item()

    kinds = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    # One digit: the next ones differ between processors.
    return {name: float(f"{error(dtype):.1g}") for name, dtype in kinds.items()}


def _rotation(d: int) -> float:
    where = range(0, 5000, 100)

    def error(k: int) -> float:
        turned = sinusoidal_encoding(where, d) @ shift_rotation(k, d).T
        return (turned - sinusoidal_encoding([p + k for p in where], d)).abs().max().item()

    return max(map(error, (1, 10, 100, 1000)))


def _column_by_itself(d: int) -> float:
    turns = frequencies(d)[:64]  # the fast ones, of which the worst is one
    p = torch.arange(2000, dtype=torch.float64)[:, None]
    x, y = (p * turns).sin(), ((p + 1) * turns).sin()
    left = y - x * ((x * y).sum(0) / x.pow(2).sum(0))
    return (left.pow(2).sum(0) / y.pow(2).sum(0)).max().item()


def _offset_only(d: int) -> float:
    starts = torch.arange(0, 2000, 50)

    def deviation(k: int) -> float:
        dots = (sinusoidal_encoding(starts, d) * sinusoidal_encoding(starts + k, d)).sum(1)
        return (dots - offset_kernel(k, d)).abs().max().item()

    return max(map(deviation, (1, 10, 100, 1000)))


def _rising(d: int) -> float:
    return (offset_kernel(range(129), d).diff() > 0).double().mean().item()


def _orthogonal(d: int) -> float:
    angles = torch.arange(2048, dtype=torch.float64)[:, None] * frequencies(d)
    sine, cosine = angles.sin(), angles.cos()
    alike = (sine * cosine).sum(0) / (sine.norm(dim=0) * cosine.norm(dim=0))
    return (alike.abs() < 0.1).double().mean().item()


def _row_length(d: int) -> float:
    lengths = sinusoidal_encoding(range(0, 5000, 50), d).norm(dim=1)
    return (lengths - math.sqrt(d / 2)).abs().max().item()


def _turned_by_adding() -> Measured:
    def ratio(d: int) -> float:
        tokens = torch.randn(256, d, dtype=torch.float64) * 0.02 * math.sqrt(d)
        moved = tokens + sinusoidal_encoding(5, d)
        return (moved.norm(dim=1) / tokens.norm(dim=1)).mean().item()

    return {f"width {d:,}": drawn(partial(ratio, d)) for d in WIDTHS}


def _read_back(d: int, part: int) -> float:
    """A linear map from the sum to its token or place, fitted to half of all pairs.

    It is read on the other half: the nearest of 64 rows.
    """
    kinds, places = 64, 64
    tokens = torch.randn(kinds, d, dtype=torch.float64) * 0.02 * math.sqrt(d)
    parts = (tokens, sinusoidal_encoding(range(places), d))
    wanted = torch.cartesian_prod(torch.arange(kinds), torch.arange(places))
    x = parts[0][wanted[:, 0]] + parts[1][wanted[:, 1]]  # (4096, d)
    seen, new = torch.randperm(len(x)).chunk(2)
    rows, which = parts[part], wanted[:, part]
    mean, centred = rows.mean(0), x - x[seen].mean(0)
    # By the covariance, because there may be more columns than 64 + 64 rows can span.
    a, y = centred[seen], rows[which[seen]] - mean
    read = centred[new] @ torch.linalg.pinv(a.T @ a, hermitian=True) @ (a.T @ y)
    nearest = torch.cdist(read + mean, rows).argmin(1)
    return (nearest == which[new]).double().mean().item()


def _both_read_back() -> Measured:
    return {
        f"the {name}, width {d}": drawn(partial(_read_back, d, part))
        for part, name in enumerate(("token", "place"))
        for d in MODEL_WIDTHS
    }


#: The claims about the sinusoidal encoding.
CLAIMS = (
    Claim(
        key="wavelengths",
        text="The wavelengths run from 2π to 10000 · 2π.",
        sources=(
            vaswani(
                "section 3.5",
                "The wavelengths form a geometric progression from 2π to 10000 · 2π.",
            ),
        ),
        number="longest wavelength over 10000 · 2π",
        measure=_at_widths(_longest),
        rule=Above(0.99),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Wavelengths",
        instead="They run up to 2π·10000^((d−2)/d). That is 47,117 positions at width 64, and "
        "within one per cent of the round number from width 1,834 on.",
    ),
    Claim(
        key="own-frequency",
        text="Each dimension has a frequency of its own.",
        sources=(
            issue("shenweichen/DeepCTR", 379, what="code that gave each column its own"),
            issue("jadore801120/attention-is-all-you-need-pytorch", 32, what="the same"),
            issue("maxjcohen/transformer", 62, what="the same"),
        ),
        number="different frequencies over columns",
        measure=_at_widths(_own_frequency),
        rule=Above(0.99),
        scale=EXACT,
        chapter=_CHAPTER,
        section="The formula, line by line",
        instead="Each pair of columns has: a sine and a cosine share one frequency.",
    ),
    Claim(
        key="slow-first",
        text="The first dimensions change slowly, the last ones fast.",
        sources=(
            Source(
                "a course's page on positional encoding",
                "https://thanh31596.github.io/data/data5000/positional-encoding-visualization.html",
                "Lower dimensions (e.g., 0, 2): Change slowly across positions",
            ),
        ),
        number="wavelength of the first pair over that of the last",
        measure=_at_widths(_slow_first),
        rule=Above(1.0),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Wavelengths",
        instead="The first pair turns once in 6.28 positions; the last is the slow one.",
    ),
    Claim(
        key="worked-example",
        text="With eight columns, the third entry at position 1 is 0.01.",
        number="third entry of the row at position 1",
        measure=_third_entry,
        rule=Between(0.0095, 0.0105),
        scale=EXACT,
        chapter=_CHAPTER,
        section="The formula, line by line",
        instead="It is sin(0.1). The entry at width 4 is sin(0.01): frequencies depend on the "
        "width.",
    ),
    Claim(
        key="repeats",
        text="10,000 is the longest input: after that many positions the rows come again.",
        sources=(
            issue("pytorch/tutorials", 2402, "represents the maximum effective input length"),
        ),
        number="distance from row 10,000 to the nearest row before it",
        measure=_at_widths(_back_to_an_earlier_row),
        rule=Below(0.01),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Bounded, deterministic, unique",
        instead="No row comes again on whole positions, and 10,000 is no limit. The constant sets "
        "the slowest wavelength.",
    ),
    Claim(
        key="unique",
        text="Every position has a row of its own, clearly apart from all others.",
        sources=(
            Source(
                "documentation of lucid, sinusoidal_embedding",
                "https://chanlumerico.github.io/lucid/api/lucid.nn.functional/sinusoidal_embedding",
                "uniquely identify each position even at large sequence lengths",
            ),
            Source("A. Borgi's blog", f"{BORGI}/pe-sinusoidal/", "never have the same PE vector"),
        ),
        number="least distance between two of 5,000 rows",
        measure=_at_widths(_margin),
        rule=Above(0.1),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Bounded, deterministic, unique",
        instead="The narrowest of these widths is enough. At width 4 the margin is 0.0444, and at "
        "width 2 positions 710 apart are nearly the same.",
    ),
    Claim(
        key="base",
        text="With a smaller base than 10,000 positions would become confusable.",
        sources=(replace(WHY_10000, says="just to make sure the full cycle is extremely large"),),
        number="least distance between two of 5,000 rows",
        measure=_margin_by_base,
        rule=Below(0.1),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Why 10,000?",
        instead="From width 8 on a smaller base keeps these rows apart, and at width 64 farther "
        "apart than 10,000 does. What it gives up is a slow hand for long texts.",
    ),
    Claim(
        key="bounded",
        text="Every row has the same length, at any position.",
        number="largest deviation of a row's length from √(d/2), up to position 5,000",
        measure=_at_widths(_row_length),
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_CHAPTER,
        section="Bounded, deterministic, unique",
        instead="That length is √(d/2), whatever the word.",
    ),
    Claim(
        key="whole-row-works",
        text="In a short text only the fast columns tell the position.",
        sources=(
            replace(WHY_10000, says="about half the channels […] are basically constant"),
            Source(
                "V. Kosar's blog",
                "https://vaclavkosar.com/ml/transformer-positional-embeddings-and-encodings",
                "thus only first dimensions carry information",
            ),
        ),
        number="error of the best pair that completes no turn in 128 positions, over that of the "
        "best that does, each read alone with noise of 0.1",
        unit="times",
        measure=_reading_hands,
        rule=Above(1.0),
        scale=DRAWN,
        chapter=_CHAPTER,
        section="Which hands tell the position?",
        instead="A pair that turns often is ambiguous on its own. The pairs just too slow for one "
        "turn locate a position best; only the slowest of all stand still.",
    ),
    Claim(
        key="interleaved",
        text="Whether sines and cosines alternate or fill two halves does not matter.",
        sources=(
            issue("tensorflow/tensor2tensor", 391, "I think this does not matter"),
            issue("tensorflow/tensor2tensor", 1925, "just different orderings"),
        ),
        number="largest change of attention's scores over the widths, relative",
        measure=_order_of_columns,
        rule=Below(1e-4),
        scale=DRAWN,
        chapter=_CHAPTER,
        section="The formula, line by line",
        instead="A model that is trained with either order cannot know which it was. A model that "
        "is trained already depends on its own.",
    ),
    Claim(
        key="tensor2tensor",
        text="tensor2tensor's table is the paper's with its columns in another order.",
        sources=(
            issue(
                "tensorflow/tensor2tensor",
                1925,
                "just different orderings of the same set of channels",
            ),
        ),
        number="largest difference, columns in the same order, 2,048 positions",
        measure=_at_widths(_tensor2tensor),
        rule=Below(0.01),
        scale=EXACT,
        chapter="09_silent_bug_lab",
        section="The values, and what a layer says of itself",
        instead="Its frequencies differ too. A test at small positions cannot see it.",
    ),
    Claim(
        key="low-precision",
        text="The table may be computed in the precision the model runs in.",
        sources=(
            issue(
                "huggingface/transformers",
                24261,
                "no reason to think that you can’t compute rotary embed[ding]s in half-precision",
            ),
            issue("EleutherAI/gpt-neox", 1003, what="code that did, and its error"),
        ),
        number="largest error in a table of 2,048 rows, width 64, angles in that precision",
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
        sources=(vaswani("section 3.5", "can be represented as a linear function of PE_pos"),),
        number="largest error of one rotation for k of 1, 10, 100 and 1,000, up to position 5,000",
        measure=_at_widths(_rotation),
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_WHY,
        section="One step turns every hand by its own angle",
        instead="It is exact: each pair turns by k times its frequency. Whether a model uses it is "
        "another claim.",
    ),
    Claim(
        key="column-alone",
        text="Each column at p+k is a linear function of the same column at p.",
        number="share of a sine's variation that the same sine one position earlier leaves "
        "unexplained, in the worst column",
        measure=_at_widths(_column_by_itself),
        rule=Below(0.01),
        scale=EXACT,
        chapter=_WHY,
        section="One shadow is not enough",
        instead="The pair is; one sine alone is not, because it does not know its cosine.",
    ),
    Claim(
        key="offset-only",
        text="The dot product of two rows depends on their offset only.",
        sources=(
            Source(
                "A. Borgi's blog",
                f"{BORGI}/pe-sinusoidal/",
                "depends only on the distance pos₁ − pos₂",
            ),
        ),
        number="largest deviation from the kernel of the offset, for offsets of 1 to 1,000",
        measure=_at_widths(_offset_only),
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_WHY,
        section="What a dot product sees",
        instead="That is true of the rows. Attention puts trained matrices between them.",
    ),
    Claim(
        key="monotone",
        text="The further apart two positions, the smaller their dot product.",
        sources=(
            replace(
                WHY_10000,
                says="the distance is a monotonically increasing function of the position",
            ),
        ),
        number="share of offsets up to 128 from which the next one is more similar",
        measure=_at_widths(_rising),
        rule=Below(0.01),
        scale=EXACT,
        chapter=_WHY,
        section="What a dot product sees",
        instead="It falls at first and then goes up and down: from offset 5 on at width 64, 43 at "
        "512, 131 at 2,048 and 244 at 4,096.",
    ),
    Claim(
        key="orthogonal",
        text="The sine and the cosine columns are orthogonal.",
        number="share of pairs whose two columns have a cosine below 0.1, over 2,048 positions",
        measure=_at_widths(_orthogonal),
        rule=Above(0.95),
        scale=EXACT,
        chapter=_WHY,
        section="Sine and cosine: a right angle, in the long run",
        instead="The columns of a pair are over whole turns, and the slow pairs make none.",
    ),
    Claim(
        key="adding-rotates",
        text="Adding the encoding rotates the word's vector.",
        number="length of token plus position over length of the token; a rotation keeps it",
        unit="times",
        measure=_turned_by_adding,
        rule=Between(0.999, 1.001),
        scale=f"256 random tokens of std 0.02 · √d, {DRAWN}",
        chapter=_WHY,
        section="Why add, and not concatenate?",
        instead="Adding shifts all words at one place by one vector. The rotation relates PE(p) "
        "to PE(p+k), and RoPE rotates queries and keys.",
    ),
    Claim(
        key="sum-loses",
        text="Adding mixes word and place beyond recovery; one would have to concatenate.",
        number="share read back from the sum by a linear map, on combinations it was not fitted to",
        measure=_both_read_back,
        rule=Below(0.9),
        share=True,
        scale=f"64 random tokens, 64 places, {DRAWN}",
        chapter=_WHY,
        section="What a probe finds",
        instead="With columns enough for both, each can be read out of the sum, as long as neither "
        "is far smaller. Eight columns are too few for 64 tokens.",
    ),
)
