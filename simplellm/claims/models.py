"""Claims about models that people use, and what such models say to the other claims.

Each number is computed from what the package has of them: MiniLM's table of positions, and the
records of what was measured with their weights.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

from ..real_models import position_table, read_record
from ..training import measure_rows
from .claim import Claim, InModel, Measured, Source
from .rules import Above, Below, Between
from .sources import BORGI

_CIRCLES = "A trained table is five circles"
_HEAD = "The head that looks one token back"
_SIZES = "Who drowns whom"
_UNUSED = "Rows that training never reached"
_EDGE = "Past the edge"

_CHAPTER = "13_real_models"
_SCALE = "all-MiniLM-L6-v2, 23 million parameters, 64 passages of 48 tokens, one checkpoint"

#: How the share of position is called in the records, with the factor put in or without.
_AS_TRAINED, _WITH_FACTOR = "whole tables", "if tokens were times √d"


@cache
def _ordinary_rows() -> dict[str, Any]:
    """What the book measures of every trained table, of MiniLM's rows but the first and last."""
    return measure_rows(position_table()[4:-4])


def _share(model: str, which: str) -> float:
    """The share that positions have in the energy of token and position together."""
    if model == "MiniLM":
        return float(read_record("minilm_sizes")["position_share"][which])
    if model == "e5-small":
        return float(read_record("e5_tables")["positions"]["share"][which])
    return float(read_record("whisper_tables")["decoder_positions"]["share"][which])


def _shares(which: str, rule: Above | Between, number: str) -> tuple[InModel, ...]:
    return tuple(
        InModel(
            model=model,
            number=number,
            measure=partial(_share, model, which),
            rule=rule,
            section=_SIZES,
        )
        for model in ("MiniLM", "e5-small", "Whisper's decoder")
    )


def _minilm(number: str, measure: Any, rule: Above | Below | Between, section: str) -> InModel:
    return InModel(model="MiniLM", number=number, measure=measure, rule=rule, section=section)


def _without_positions() -> float:
    return float(min(read_record("minilm_words")["cosines"]["all zero"]))


def _cosine(arm: str) -> float:
    """The mean cosine of MiniLM's embeddings with those as trained, under other positions."""
    return float(read_record("minilm_arms")["arms"][arm]["cosine"])


def _found_again() -> float:
    first_layer = read_record("minilm_first_layer")["to_the_token_before"]
    return float(max(head["place alone"] for head in first_layer))


def _unused() -> float:
    return float(read_record("minilm_sizes")["unused_rows"]["pair_cosine"])


def _whisper(part: str, arm: str) -> float:
    """What an arm adds to the loss of Whisper's transcripts, in nats per token."""
    arms = read_record("whisper_runs")[part]
    return float(arms[arm]["loss"] - arms["as trained"]["loss"])


def _far_text() -> float:
    """What text 16,000 positions away costs SmolLM2, over not having it."""
    gaps = read_record("smollm2_runs")["gaps"]
    return float(gaps["loss"][gaps["gap"].index(16_000)] - gaps["alone"]["loss"])


def _stored_formula() -> float:
    """MB that Whisper's encoder keeps for sinusoids, in float32."""
    return 4 * math.prod(read_record("whisper_tables")["encoder_positions"]["shape"]) / 1e6


#: What models say to claims of other chapters, by the claim's key.
IN_MODELS: dict[str, tuple[InModel, ...]] = {
    "attention-blind": (
        _minilm(
            "least cosine of a sentence with its own words in another order, without positions",
            _without_positions,
            Above(0.9999),
            _HEAD,
        ),
    ),
    "drowned": _shares(
        _AS_TRAINED, Above(0.5), "the position's share of the energy, without a factor"
    ),
    "balance": _shares(
        _WITH_FACTOR, Between(0.2, 0.8), "the position's share of the energy, with the factor"
    ),
    "only-a-size": (
        _minilm(
            "cosine of embeddings with those before, once the factor is put in",
            lambda: _cosine("tokens times √d"),
            Above(0.99),
            _SIZES,
        ),
    ),
    "sum-loses": (
        _minilm(
            "attention to the token before, by place alone, read from the sum by one head",
            _found_again,
            Below(0.9),
            _HEAD,
        ),
    ),
    "learns-waves": (
        _minilm(
            "correlation of the table's similarities with those of sinusoids",
            lambda: float(_ordinary_rows()["correlation_with_sinusoid"]),
            Above(0.3),
            _CIRCLES,
        ),
    ),
    "neighbours-alike": (
        _minilm(
            "mean similarity of neighbours, centred",
            lambda: float(_ordinary_rows()["cosine_by_lag"][1]),
            Above(0.3),
            _CIRCLES,
        ),
    ),
    "unused-rows-stay": (
        _minilm(
            "mean cosine of two of 994 rows that are kept free; as drawn it would be 0",
            _unused,
            Below(0.1),
            _UNUSED,
        ),
    ),
    "sinusoids-longer": (
        InModel(
            model="Whisper's encoder",
            number="loss on rows past the trained 1,500 minus loss on those trained",
            measure=partial(_whisper, "encoder", "from 1500"),
            rule=Below(0.05),
            section=_EDGE,
            unit="nats",
        ),
    ),
    "rope-longer": (
        InModel(
            model="SmolLM2",
            number="loss with text 16,000 positions away minus loss without that text",
            measure=_far_text,
            rule=Below(0.05),
            section=_EDGE,
            unit="nats",
        ),
    ),
    "shift-breaks": (
        InModel(
            model="Whisper's decoder",
            number="loss with every row shifted by one minus loss as trained",
            measure=partial(_whisper, "decoder", "shift 1"),
            rule=Above(0.05),
            section=_EDGE,
            unit="nats",
        ),
    ),
    "free-table": (
        InModel(
            model="Whisper's encoder",
            number="size of its stored sinusoids in float32",
            measure=_stored_formula,
            rule=Below(0.001),
            section=_SIZES,
            unit="MB",
        ),
    ),
}


def _shifted() -> Measured:
    return {
        "every row": _cosine("shift 1"),
        "row 0 kept, the others shifted": _cosine("row 0 kept, rest shift 1"),
    }


def _continued() -> Measured:
    return {
        f"five waves, from row {start}": _cosine(f"row 0 kept, rest 5 waves from {start}")
        for start in (512, 777, 1000, 2000, 5000)
    }


CLAIMS = (
    Claim(
        key="shift-breaks",
        text="Shift its learned positions by one, and a model's output changes.",
        sources=(Source("Sinha et al. 2022, abstract", "https://arxiv.org/abs/2210.12574"),),
        number="mean cosine of embeddings with those as trained, rows shifted by one",
        measure=_shifted,
        rule=Below(0.99),
        scale=_SCALE,
        chapter=_CHAPTER,
        section="Row 0 is a mark, not a place",
        instead="It does if row 0 is shifted with them, because that row marks the first token. "
        "The other rows may move.",
    ),
    Claim(
        key="table-ends",
        text="A learned table cannot be continued past its last row.",
        sources=(
            Source(
                "A. Borgi's blog",
                f"{BORGI}/pe-learned/",
                "Cannot generalise beyond the training length",
            ),
        ),
        number="mean cosine of embeddings with those as trained, rows that the table has not",
        measure=_continued,
        rule=Below(0.9),
        scale=_SCALE,
        chapter=_CHAPTER,
        section="A formula in the table's place",
        instead="MiniLM's can, by the waves that its rows are, in texts of 48 tokens. Whether a "
        "longer text is then read well was not tried.",
    ),
)
