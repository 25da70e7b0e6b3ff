"""What a claim measures: by closed forms, by made-up records, and as the chapter shows it."""

from __future__ import annotations

import html
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Callable

import nbformat
import numpy as np
import pytest
from numpy.typing import NDArray

from simplellm.claims import (
    CLAIMS,
    Above,
    Below,
    Claim,
    Outcome,
    find,
    layer,
    models,
    scaling,
    trained,
)
from simplellm.claims import claim as claim_module
from simplellm.claims.table import MARKS, link
from simplellm.real_models import read_record
from tools.machine.common import ROOT

BY_KEY = {claim.key: claim for claim in CLAIMS}


def rows_of_the_chapter() -> dict[str, str]:
    """The text of each row of the table in *What is true*, as it is committed."""
    notebook = nbformat.read(ROOT / "chapters" / "14_what_is_true.ipynb", as_version=4)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    source = "\n".join("".join(o.get("data", {}).get("text/html", "")) for o in outputs)
    rows = re.findall(r'(?s)<tr role="row" id="claim-([\w-]+)"(.*?)</tr>', source)
    return {key: html.unescape(re.sub("<[^>]*>", "", f"<{row}")) for key, row in rows}


SHOWN = rows_of_the_chapter()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_chapter_shows_what_is_measured_now(claim: Claim) -> None:
    findings = [find(name, values, claim.rule) for name, values in claim.measure().items()]
    words = (
        f"{MARKS[f.outcome]}{f.outcome}: {f.condition} {f.number(claim.unit)}" for f in findings
    )
    assert f"{claim.number}{''.join(words)}Scale: " in SHOWN[claim.key]


def turning_once(width: int, length: int) -> float:
    """Share of the pairs whose wavelength fits into a text."""
    pairs = width // 2
    return sum(2 * math.pi * 10_000 ** (i / pairs) <= length for i in range(pairs)) / pairs


def apart(offset: int, width: int, base: float = 10_000.0) -> float:
    """Distance between two rows, from their angles."""
    pairs = width // 2
    angles = (offset * base ** (-i / pairs) for i in range(pairs))
    return math.sqrt(sum(2 - 2 * math.cos(angle) for angle in angles))


# Claim, condition, and its number by a formula that shares nothing with the measurement.
CLOSED = (
    ("wavelengths", "width 4", 10_000 ** (-2 / 4)),
    ("wavelengths", "width 512", 10_000 ** (-2 / 512)),
    ("own-frequency", "width 64", 1 / 2),
    ("slow-first", "width 64", 10_000 ** (-62 / 64)),
    ("worked-example", "width 4", math.sin(0.01)),
    ("worked-example", "width 8", math.sin(0.1)),
    ("repeats", "width 2", apart(10_000, 2)),
    ("repeats", "width 64", apart(10_000, 64)),
    ("unique", "width 2", apart(710, 2)),
    ("unique", "width 4", min(apart(k, 4) for k in range(1, 5000))),
    ("base", "base 100", min(apart(k, 64, 100.0) for k in range(1, 5000))),
    ("whole-row-works", "width 64, 128 positions", turning_once(64, 128)),
    ("whole-row-works", "width 512, 1,024 positions", turning_once(512, 1024)),
    ("column-alone", "k = 2, first sine", math.sin(2) ** 2),
    ("free-table", "5,000 × 512", 4 * 5000 * 512 / 1e6),
    ("free-table", "131,072 × 4,096", 4 * 131_072 * 4096 / 1e6),
    ("special-zero", "padding_idx=0", 0.0),
    ("special-zero", "by default", 0.02 * 64),  # a spread times √64 twice, so roughly
    ("balance", "std 1/√d, width 64", math.sqrt(2)),
    ("balance", "std 0.02, width 512", 0.02 * math.sqrt(2 * 512)),
    ("only-a-size", "width 64, first step of Adam", math.sqrt(64)),
)


@pytest.mark.parametrize(("key", "condition", "expected"), CLOSED)
def test_measured_number_agrees_with_a_closed_form(key, condition: str, expected: float) -> None:
    rough = {"special-zero": 0.2, "balance": 0.03, "column-alone": 2e-3}.get(key, 1e-7)
    found = BY_KEY[key].measure()[condition]
    assert found == pytest.approx(expected, rel=rough, abs=1e-9)


def test_shares_are_asked_of_the_records_of_three_models() -> None:
    tables = {
        "MiniLM": read_record("minilm_sizes")["position_share"],
        "e5-small": read_record("e5_tables")["positions"]["share"],
        "Whisper's decoder": read_record("whisper_tables")["decoder_positions"]["share"],
    }
    for which in ("whole tables", "if tokens were times √d"):
        said = models._shares(which, Above(0.5), "a share")
        assert [one.model for one in said] == list(tables)
        for one in said:
            assert one.measure() == tables[one.model][which]
            assert (one.number, one.rule) == ("a share", Above(0.5))
            assert one.section == "Who drowns whom"


def test_what_is_said_of_minilm_is_said_with_its_name_and_place() -> None:
    said = models._minilm("a cosine", lambda: 0.5, Below(1.0), "Past the edge")
    assert (said.model, said.number, said.section) == ("MiniLM", "a cosine", "Past the edge")
    assert said.measure() == 0.5 and said.rule == Below(1.0)


# ---- records that nobody measured

Scores = Callable[..., dict[str, NDArray[np.float64]]]


def put(monkeypatch, made: Scores) -> None:
    for module in (layer, scaling, trained):
        monkeypatch.setattr(module, "scores", made)


def drawn(factor: float) -> Scores:
    """Records of any size, alike in all seeds, and of no two arms alike."""

    def scores(experiment: str, score: str = "loss") -> dict[str, NDArray[np.float64]]:
        found = {}
        for arm, real in claim_module.scores(experiment, score).items():
            chance = np.random.default_rng(zlib.crc32(f"{experiment} {score} {arm}".encode()))
            found[arm] = factor * np.broadcast_to(chance.uniform(1, 2, real.shape[1:]), real.shape)
        return found

    return scores


RECORDED = [c for c in CLAIMS if "5 seeds" in c.scale and c.key != "loss-is-judge"]


@pytest.mark.parametrize("claim", RECORDED, ids=lambda claim: claim.key)
def test_records_can_turn_every_condition_either_way(claim: Claim, monkeypatch) -> None:
    seen = defaultdict(set)
    for factor in (0, 1e3, -1e3):
        put(monkeypatch, drawn(factor))
        for name, values in claim.measure().items():
            seen[name].add(find(name, values, claim.rule).outcome)
    assert seen and all(outcomes == {Outcome.TRUE, Outcome.FALSE} for outcomes in seen.values())


# Claim, condition, experiment, score: the arm whose higher number speaks for the claim, and the
# one whose higher number speaks against it.
EVIDENCE = (
    ("scaling-helps", "ALiBi", "scaling_alibi", "loss", "not scaled", "scaled"),
    ("scaling-helps", "learned", "scaling_text", "loss", "learned, not scaled", "learned, scaled"),
    ("normal-start", "text", "initialisation", "loss", "uniform", "normal"),
    ("learned-better", "5 back", "token_back", "accuracy", "learned", "sinusoidal"),
    ("sinusoids-on-text", "usual sizes", "text", "loss", "learned", "sinusoidal"),
    ("sinusoids-on-text", "both small", "text", "loss", "learned", "sinusoidal, small"),
    ("learned-sooner", "copy, both large", "copy", "steps_to_0.1", "sinusoidal", "learned, large"),
    ("tying-free", "learned", "tying", "loss", "untied, learned", "tied, learned"),
    ("offsets-free", "learned", "text", "loss", "learned", "learned, random offsets"),
    ("none-is-close", "to learned", "text", "loss", "learned", "none"),
    ("no-length-limit", "text, from 80", "text", "loss_by_position", "none", "sinusoidal"),
    ("dropout-reduces", "dropout 0.1", "dropout", "loss", "0", "0.1"),
    ("dropout-reduces", "dropout 0.1", "dropout", "loss_aligned", "0.1", "0"),
)


@pytest.mark.parametrize("row", EVIDENCE, ids=lambda row: f"{row[0]}: {row[1]}")
def test_a_claim_is_judged_by_the_arms_it_names(row, monkeypatch) -> None:
    key, condition, *which, speaks_for, speaks_against = row
    outcomes = []
    for raised in (speaks_for, speaks_against):

        def made(*asked: str, raised: str = raised) -> dict[str, NDArray[np.float64]]:
            found = drawn(0)(*asked)
            if (*asked, "loss")[:2] == tuple(which):
                found[raised] = found[raised] + 1.0
            return found

        put(monkeypatch, made)
        claim = BY_KEY[key]
        outcomes.append(find(condition, claim.measure()[condition], claim.rule).outcome)
    assert outcomes == [Outcome.TRUE, Outcome.FALSE]


def test_only_schemes_that_clearly_read_better_are_asked_whether_they_find_places(
    monkeypatch,
) -> None:
    five = np.ones(5)
    made = {
        ("text", "accuracy"): {
            "learned": 0.5 * five,
            "rope": 0.6 * five,
            "alibi": 0.5 * five,  # as good, and no better
            "t5": np.array([0.4, 0.8, 0.4, 0.8, 0.4]),  # better on average, not clearly
        },
        ("lookup", "accuracy"): {
            "learned": 0.9 * five,
            "rope": 0.75 * five,
            "alibi": five,
            "t5": five,
        },
    }
    put(monkeypatch, lambda *which: made[which])
    (measured,) = BY_KEY["loss-is-judge"].measure().items()
    assert measured[0] == "RoPE" and measured[1] == pytest.approx(-0.15 * five)


@pytest.mark.parametrize("scheme", ["sinusoidal", "rope"])
def test_each_scheme_is_asked_the_same_past_its_edge(scheme: str, monkeypatch) -> None:
    texts = {"text": "A sentence.", "made": "here", "instead": "Another.", "elsewhere": "There."}
    claim = trained._beyond(scheme, "a-key", **texts)
    assert (claim.key, *(getattr(claim, name) for name in texts)) == ("a-key", *texts.values())
    theirs = BY_KEY["sinusoids-longer" if scheme == "sinusoidal" else "rope-longer"]
    assert (claim.number, claim.scale) == (theirs.number, theirs.scale)
    assert claim.rule.outcome(0.049) is Outcome.TRUE and claim.rule.outcome(0.051) is Outcome.FALSE
    assert link(claim) == link(theirs)

    def made(experiment: str, score: str) -> dict[str, NDArray[np.float64]]:
        """Right on trained positions, wrong on as many after them, whatever comes then."""
        trained_on = 32 if experiment == "extrapolation" else 64
        right = np.full((5, 200), np.nan)
        right[:, 3:trained_on], right[:, trained_on : 2 * trained_on] = 1.0, 0.25
        return {scheme: right}

    put(monkeypatch, made)
    assert all(lost == pytest.approx(0.75) for lost in claim.measure().values())
