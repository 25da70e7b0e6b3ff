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
    judge_all,
    layer,
    models,
    scaling,
    trained,
)
from simplellm.claims import claim as claim_module
from simplellm.claims.claim import Source
from simplellm.claims.table import FOLDED, LOST, MARKS, link
from simplellm.experiments import EXPERIMENTS
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
JUDGED = judge_all(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_chapter_shows_what_is_measured_now(claim: Claim) -> None:
    (findings,) = (j.findings for j in JUDGED if j.claim.key == claim.key)
    words = (
        f"{MARKS[f.outcome]}{f.outcome}: {f.condition} {f.number(claim.unit)}"
        f"{LOST if f.lost else ''}"
        for f in findings
    )
    true = sum(f.outcome is Outcome.TRUE for f in findings)
    fold = f"true under {true} of {len(findings)} conditions" if len(findings) > FOLDED else ""
    assert f"{claim.number}{fold}{''.join(words)}Scale: " in SHOWN[claim.key]


def apart(offset: int, width: int, base: float = 10_000.0) -> float:
    """Distance between two rows, from their angles."""
    pairs = width // 2
    angles = (offset * base ** (-i / pairs) for i in range(pairs))
    return math.sqrt(sum(2 - 2 * math.cos(angle) for angle in angles))


# Claim, condition, and its number by a formula that shares nothing with the measurement.
CLOSED = (
    ("wavelengths", "width 64", 10_000 ** (-2 / 64)),
    ("wavelengths", "width 4,096", 10_000 ** (-2 / 4096)),
    ("own-frequency", "width 64", 1 / 2),
    ("slow-first", "width 64", 10_000 ** (-62 / 64)),
    ("worked-example", "width 8", math.sin(0.1)),
    ("repeats", "width 8", min(apart(k, 8) for k in range(1, 10_001))),
    ("unique", "width 8", min(apart(k, 8) for k in range(1, 5000))),
    ("base", "base 100, width 64", min(apart(k, 64, 100.0) for k in range(1, 5000))),
    ("column-alone", "width 512", math.sin(1) ** 2),
    ("free-table", "5,000 rows, width 512", 4 * 5000 * 512 / 1e6),
    ("tying-saves", "32 blocks", 50_257 / (2 * 50_257 + 32 * 12 * 4096)),
    ("special-zero", "padding_idx=0", 0.0),
    ("special-zero", "by default", 0.02 * 64),  # a spread times √64 twice, so roughly
    ("balance", "std 1/√d, tensor2tensor, width 64", math.sqrt(2)),
    ("balance", "std 0.02, GPT-2's, width 512", 0.02 * math.sqrt(2 * 512)),
    ("balance", "U(−0.1, 0.1), PyTorch's tutorial, width 64", 0.1 / math.sqrt(3) * math.sqrt(128)),
    (
        "balance",
        "Xavier, Annotated Transformer, width 512",
        math.sqrt(2 / 10_512) * math.sqrt(1024),
    ),
    ("only-a-size", "width 512, first step of Adam", math.sqrt(512)),
)


@pytest.mark.parametrize(("key", "condition", "expected"), CLOSED)
def test_measured_number_agrees_with_a_closed_form(key, condition: str, expected: float) -> None:
    rough = {
        **{"special-zero": 0.2, "balance": 0.03, "column-alone": 2e-3},
        **{"only-a-size": 1e-5, "tying-saves": 0.01},
    }.get(key, 1e-7)
    found = np.mean(BY_KEY[key].measure()[condition])
    assert found == pytest.approx(expected, rel=rough, abs=1e-9)


def test_hand_that_completes_no_turn_reads_best_as_a_simulation_of_its_own_finds() -> None:
    chance, where = np.random.default_rng(0), np.arange(128)
    error = []
    for pair in range(32):
        angles = where * 10_000 ** (-pair / 32)
        hands = np.stack((np.sin(angles), np.cos(angles)), axis=1)
        seen = hands + chance.normal(0, 0.1, (20, 128, 2))
        read = ((seen[:, :, None] - hands) ** 2).sum(-1).argmin(-1)
        error.append(np.abs(read - where).mean())
    idle = [2 * math.pi * 10_000 ** (pair / 32) > 128 for pair in range(32)]
    best = min(e for e, i in zip(error, idle, strict=True) if i)
    ratio = best / min(e for e, i in zip(error, idle, strict=True) if not i)
    assert np.mean(BY_KEY["whole-row-works"].measure()["width 64"]) == pytest.approx(ratio, rel=0.2)
    assert error.index(best) == idle.index(True)  # the first of them is the best


@pytest.mark.parametrize(
    ("start", "lowest", "highest"),
    [  # the widths that the sentence to say instead names, from s·√(2d)
        (lambda d: 0.02, 313, 5000),
        (lambda d: 0.1 / math.sqrt(3), 38, 600),
        (lambda d: math.sqrt(2 / (10_000 + d)), 667, 10_000),
    ],
)
def test_starts_are_balanced_at_the_widths_that_are_named(start, lowest: int, highest: int) -> None:
    rule = BY_KEY["balance"].rule
    inside = [
        d
        for d in range(1, 10_001)
        if rule.outcome(round(start(d) * math.sqrt(2 * d), 9)) is Outcome.TRUE
    ]
    assert (inside[0], inside[-1]) == (lowest, highest)


def test_text_comes_within_a_percent_of_the_round_wavelength_from_the_named_width_on() -> None:
    assert 10_000 ** (-2 / 1834) > 0.99 > 10_000 ** (-2 / 1832)


@pytest.mark.parametrize(("width", "first"), [(64, 5), (512, 43), (2048, 131), (4096, 244)])
def test_dot_product_rises_for_the_first_time_at_the_offset_that_is_named(width, first) -> None:
    dots = [
        sum(math.cos(k * 10_000 ** (-2 * i / width)) for i in range(width // 2)) for k in range(250)
    ]
    assert next(k for k in range(249) if dots[k + 1] > dots[k]) == first


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


# The others are shares of a gain, which do not grow with the records, or ask who reads better.
RECORDED = [c for c in CLAIMS if c.trained and c.key not in ("balance-is-why", "loss-is-judge")]


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
    ("scaling-helps", "text in pieces, ALiBi", "scaling_alibi", "loss", "not scaled", "scaled"),
    (
        "scaling-helps",
        "text, learned",
        "scaling_text",
        "loss",
        "learned, not scaled",
        "learned, scaled",
    ),
    ("normal-start", "text", "initialisation", "loss", "uniform", "normal"),
    ("learned-better", "5 back", "token_back", "accuracy", "learned", "sinusoidal"),
    (
        "sinusoids-on-text",
        "usual recipes",
        "size_text",
        "loss",
        "learned, small, no factor",
        "sinusoidal, large, factor",
    ),
    (
        "sinusoids-on-text",
        "both small, no factor",
        "size_text",
        "loss",
        "learned, small, no factor",
        "sinusoidal, small, no factor",
    ),
    ("learned-sooner", "copy, both large", "copy", "steps_to_0.1", "sinusoidal", "learned, large"),
    (
        "tying-free",
        "learned, table from d^-1/2",
        "tying_start",
        "loss",
        "untied, learned, std d^-1/2, gain 1",
        "tied, learned, std d^-1/2, gain 1",
    ),
    ("offsets-free", "learned", "text", "loss", "learned", "learned, random offsets"),
    ("none-is-close", "to learned", "text", "loss", "learned", "none"),
    ("no-length-limit", "text", "text", "loss_by_position", "none", "sinusoidal"),
    (
        "dropout-reduces",
        "dropout 0.1, random crops",
        "dropout_crops",
        "loss",
        "0, random",
        "0.1, random",
    ),
    (
        "dropout-reduces",
        "dropout 0.1, random crops",
        "dropout_crops",
        "loss_aligned",
        "0.1, random",
        "0, random",
    ),
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


def test_whoever_reads_better_is_asked_whether_it_finds_places_better(monkeypatch) -> None:
    five = np.ones(5)
    schemes = ("sinusoidal", "rope", "alibi", "t5", "none")
    reads = {"learned": 2.0 * five, **{scheme: 2.5 * five for scheme in schemes}, "rope": five}
    finds = {"learned": 0.9 * five, **{scheme: five for scheme in schemes}, "rope": 0.75 * five}
    solved = {arm: five for arm in reads}
    early, late = (("lookup_200", "accuracy"), ("lookup_600", "accuracy"))
    made = {("text",): reads, early: finds, late: solved}
    put(monkeypatch, lambda *which: made[which])
    measured = BY_KEY["loss-is-judge"].measure()
    names = ("sinusoids", "RoPE", "ALiBi", "T5 bias", "no positions")
    # What all solve tells nobody apart.
    assert set(measured) == {f"{name}, 200 steps" for name in names}
    # One reads better and finds less, the other finds more and reads less.
    assert measured["RoPE, 200 steps"] == pytest.approx(-0.15 * five)
    assert measured["ALiBi, 200 steps"] == pytest.approx(-0.1 * five)


def test_task_that_both_sides_solve_is_no_evidence(monkeypatch) -> None:
    def made(experiment: str, score: str) -> dict[str, NDArray[np.float64]]:
        learned = 1.0 if experiment in ("copy", "sort") else 0.5
        sinusoidal = 0.995 if experiment == "copy" else 0.5
        return {"learned": np.full(5, learned), "sinusoidal": np.full(5, sinusoidal)}

    put(monkeypatch, made)
    for key in ("learned-better", "nearly-identical"):
        measured = BY_KEY[key].measure()
        assert "copy" not in measured and measured["sort"] == pytest.approx(0.5)
        assert measured["text"] == pytest.approx(0.0)


def test_share_of_the_start_is_that_of_the_whole_gain(monkeypatch) -> None:
    arms = {
        "small, usual rate": 3.0,
        "8 times larger, 8 times faster": 1.0,
        "8 times larger, usual rate": 2.5,
        "small, 8 times faster": 1.25,
    }
    put(monkeypatch, lambda *which: {arm: np.full(5, v) for arm, v in arms.items()})
    alone, on_top = BY_KEY["balance-is-why"].measure().values()
    assert alone == pytest.approx(0.25) and on_top == pytest.approx(0.125)


@pytest.mark.parametrize("scheme", ["sinusoidal", "rope", "alibi", "t5"])
def test_each_scheme_is_asked_the_same_past_its_edge(scheme: str, monkeypatch) -> None:
    texts = {
        "text": "A sentence.",
        "sources": (Source("here", "https://example.org"),),
        "instead": "Another.",
        "elsewhere": "There.",
    }
    claim = trained._beyond(scheme, "a-key", **texts)
    assert (claim.key, *(getattr(claim, name) for name in texts)) == ("a-key", *texts.values())
    theirs = BY_KEY["sinusoids-longer" if scheme == "sinusoidal" else f"{scheme}-longer"]
    assert (claim.number, claim.scale) == (theirs.number, theirs.scale)
    assert claim.rule.outcome(0.049) is Outcome.TRUE and claim.rule.outcome(0.051) is Outcome.FALSE
    assert link(claim) == link(theirs)

    def made(experiment: str, score: str) -> dict[str, NDArray[np.float64]]:
        """Right on trained positions, wrong on as many after them, whatever comes then."""
        trained_on = 64 if "text" in experiment else 32
        right = np.full((5, 200), np.nan)
        right[:, 3:trained_on], right[:, trained_on : 2 * trained_on] = 1.0, 0.25
        return dict.fromkeys([scheme, *EXPERIMENTS[experiment].arms], right)

    put(monkeypatch, made)
    assert all(lost == pytest.approx(0.75) for lost in claim.measure().values())
