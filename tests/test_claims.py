"""What is true: verdicts are computed by the rule one reads, and the table shows all of them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import simplellm.claims as claims
from simplellm.cards import code
from simplellm.claims import (
    CHAPTERS,
    CLAIMS,
    Above,
    Below,
    Between,
    Claim,
    ClaimsStrip,
    ClaimsTable,
    Finding,
    Judged,
    Outcome,
    Rule,
    Source,
    Verdict,
    find,
    judge,
    judge_all,
    layer,
    scaling,
    shown,
    trained,
    verdict,
)
from simplellm.claims import claim as claim_module
from simplellm.claims.claim import DRAWN
from simplellm.claims.models import IN_MODELS
from simplellm.claims.table import GROUPS, LOST, link
from simplellm.records import mean_and_interval, t_quantile
from tools.machine.browser import chromium
from tools.machine.common import ROOT

quick = settings(max_examples=100, deadline=None, database=None)

NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 4))
HALVES = st.floats(0, 1e3).map(lambda x: round(x, 4))
JUDGED = judge_all(CLAIMS)
every_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)


@st.composite
def rules(draw) -> Rule:
    low, high = sorted((draw(NUMBERS), draw(NUMBERS)))
    return draw(st.sampled_from([Above(low), Below(low), Between(low, high)]))


# ---- rules


@quick
@given(mean=NUMBERS, half=HALVES, t=NUMBERS)
def test_above_is_true_only_of_a_whole_interval_above(mean: float, half: float, t: float) -> None:
    outcome = Above(t).outcome(mean - half, mean + half)
    wanted = Outcome.TRUE if mean - half > t else Outcome.OPEN
    assert outcome == (Outcome.FALSE if mean + half <= t else wanted)


@quick
@given(mean=NUMBERS, half=HALVES, t=NUMBERS)
def test_below_is_above_in_a_mirror(mean: float, half: float, t: float) -> None:
    low, high = mean - half, mean + half
    assert Below(t).outcome(low, high) is Above(-t).outcome(-high, -low)


@quick
@given(mean=NUMBERS, half=HALVES, low=NUMBERS, width=HALVES)
def test_between_is_neither_above_nor_below(
    mean: float, half: float, low: float, width: float
) -> None:
    high = low + width
    ends = mean - half, mean + half
    outcome = Between(low, high).outcome(*ends)
    outside = {Above(high).outcome(*ends), Below(low).outcome(*ends)}
    if outcome is Outcome.TRUE:
        assert Outcome.TRUE not in outside
    assert (outcome is Outcome.FALSE) == (Outcome.TRUE in outside)


@quick
@given(rule=rules(), mean=NUMBERS, half=HALVES, wider=HALVES)
def test_more_doubt_can_only_open_what_was_settled(
    rule: Rule, mean: float, half: float, wider: float
) -> None:
    before = rule.outcome(mean - half, mean + half)
    after = rule.outcome(mean - half - wider, mean + half + wider)
    assert after in (before, Outcome.OPEN)


@quick
@given(rule=rules(), mean=NUMBERS)
def test_number_without_an_interval_is_never_open(rule: Rule, mean: float) -> None:
    assert rule.outcome(mean) is not Outcome.OPEN


@quick
@given(rule=rules(), mean=NUMBERS)
def test_what_is_not_a_number_is_open(rule: Rule, mean: float) -> None:
    assert rule.outcome(math.nan) is rule.outcome(mean, math.nan) is Outcome.OPEN


@quick
@given(rule=rules(), mean=NUMBERS, error=st.floats(0.01, 10), degrees=st.integers(1, 20))
def test_interval_of_95_percent_decides_where_p_is_below_2_5(
    rule: Rule, mean: float, error: float, degrees: int
) -> None:
    half = t_quantile(0.975, degrees) * error
    outcome = rule.outcome(mean - half, mean + half)
    for side in (Outcome.TRUE, Outcome.FALSE):
        p = rule.p_value(mean, error, degrees, side)
        assume(abs(p - 0.025) > 1e-6)
        assert (outcome is side) == (p < 0.025)


def test_p_of_equal_seeds_is_nothing_or_all() -> None:
    for outcome, p in ((Outcome.TRUE, 0.0), (Outcome.FALSE, 1.0)):
        assert Above(1.0).p_value(2.0, 0.0, 4, outcome) == p
        assert Below(1.0).p_value(0.0, 0.0, 4, outcome) == p
        assert Between(0.0, 1.0).p_value(0.5, 0.0, 4, outcome) == p
    assert Between(0.0, 1.0).p_value(2.0, 0.0, 4, Outcome.FALSE) == 0.0
    assert math.isnan(Above(0.0).p_value(math.nan, 1.0, 4, Outcome.TRUE))


def test_between_needs_both_thresholds_and_fails_at_one() -> None:
    rule = Between(0.0, 10.0)
    near = Above(0.0).p_value(1.0, 1.0, 4, Outcome.TRUE)
    assert rule.p_value(1.0, 1.0, 4, Outcome.TRUE) == near  # the threshold that is nearer
    beyond = Above(10.0).p_value(12.0, 1.0, 4, Outcome.TRUE)
    assert rule.p_value(12.0, 1.0, 4, Outcome.FALSE) == beyond  # the one that was passed


def thresholds(rule: Rule, unit: str = "") -> list[float]:
    """The numbers in a rule's sentence: all that a reader knows of it."""
    sentence = rule.sentence(unit).removesuffix(f"{unit}.")
    return [float(n.replace(",", "")) for n in re.findall(r"-?[\d,]+(?:\.\d+)?", sentence)]


def judged_by_its_sentence(rule: Rule, unit: str, number: float) -> bool:
    """Read a rule's sentence and apply it, without looking at the rule."""
    sentence, numbers = rule.sentence(unit), thresholds(rule, unit)
    if " above " in sentence:
        return number > numbers[0]
    if " below " in sentence:
        return number < numbers[0]
    assert " from " in sentence
    return numbers[0] <= number <= numbers[1]


@quick
@given(rule=rules(), number=NUMBERS, unit=st.sampled_from(["", "nats", "MB"]))
def test_sentence_says_what_the_code_does(rule: Rule, number: float, unit: str) -> None:
    assert (rule.outcome(number) is Outcome.TRUE) == judged_by_its_sentence(rule, unit, number)


@quick
@given(rule=rules(), offset=st.sampled_from([-1e-3, 0.0, 1e-3]))
def test_sentence_says_what_the_code_does_at_the_threshold(rule: Rule, offset: float) -> None:
    for threshold in thresholds(rule):
        number = round(threshold + offset, 4)
        assert (rule.outcome(number) is Outcome.TRUE) == judged_by_its_sentence(rule, "", number)


def test_sentence_of_a_number_without_a_unit_ends_with_the_number() -> None:
    assert Above(0.9).sentence() == "True where the number is above 0.9."
    assert Between(1000.0, 2000.5).sentence() == "True where the number is from 1,000 to 2,000.5."


# ---- verdicts


@quick
@given(outcomes=st.lists(st.sampled_from(list(Outcome)), min_size=1))
def test_verdict_says_how_many_conditions_are_true(outcomes: list[Outcome]) -> None:
    true = outcomes.count(Outcome.TRUE)
    found = verdict(outcomes)
    assert (found is Verdict.HOLDS) == (true == len(outcomes))
    assert (found is Verdict.HOLDS_IF) == (0 < true < len(outcomes))
    assert (found is Verdict.OPEN) == (true == 0 and Outcome.OPEN in outcomes)
    assert (found is Verdict.FAILS) == (set(outcomes) == {Outcome.FALSE})


def test_claim_without_a_measurement_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least one measured condition"):
        verdict([])


@quick
@given(values=st.lists(NUMBERS, min_size=2, max_size=8), confidence=st.floats(0.5, 0.99))
def test_seeds_are_judged_by_their_interval(values: list[float], confidence: float) -> None:
    found = find("a", np.array(values), Above(0.0), confidence)
    mean, half = mean_and_interval(values, confidence)
    assert found.mean == pytest.approx(mean) and found.values == tuple(values)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    assert found.outcome is Above(0.0).outcome(found.low, found.high)


@quick
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_shares_are_judged_by_their_range(values: list[float]) -> None:
    found = find("a", np.array(values), Above(0.5), share=True)
    assert (found.low, found.high) == (min(values), max(values))
    assert found.outcome is Above(0.5).outcome(min(values), max(values))


def test_one_seed_settles_nothing() -> None:
    assert find("a", np.array([5.0]), Above(0.0)).outcome is Outcome.OPEN
    assert find("a", 5.0, Above(0.0)).outcome is Outcome.TRUE  # no seed: no chance in it


def test_more_confidence_is_a_wider_interval_and_may_leave_a_claim_open() -> None:
    claim = of_seeds("a", a=[1.0, 2.0, 3.0])
    claim = replace(claim, rule=Above(1.0))
    (narrow,), (wide,) = judge(claim, 0.5).findings, judge(claim).findings
    assert narrow.high - narrow.low < 2 < wide.high - wide.low
    assert (narrow.outcome, wide.outcome) == (Outcome.TRUE, Outcome.OPEN)
    assert all(isinstance(value, float) for value in find("whole", 5, Above(0.0)).values)


def made_up(**conditions: float) -> Judged:
    return judge(replace(CLAIMS[0], measure=lambda: conditions, rule=Above(0.0)))


def test_words_name_the_conditions_or_the_exceptions() -> None:
    assert made_up(a=1, b=1).words == "holds"
    assert made_up(a=-1).words == "does not hold"
    assert made_up(a=1, b=-1).words == "holds if: a"
    assert made_up(a=1, b=1, c=1, d=-1).words == "holds in 3 of 4, not: d"
    assert made_up(a=1, b=1, c=1, d=-1, e=-1, f=-1).words == "holds in 3 of 6"


# ---- many conditions


def of_seeds(key: str, trained: bool = True, **seeds: list[float]) -> Claim:
    return replace(
        CLAIMS[0],
        key=key,
        rule=Above(0.0),
        share=False,
        trained=trained,
        measure=lambda: {name: np.array(values) for name, values in seeds.items()},
    )


WEAK = [0.5, 1.0, 2.0, 2.5, 0.4]  # p is 0.015
FIRM = [1.0, 1.01, 0.99, 1.02, 0.98]


def outcomes(judged: tuple[Judged, ...]) -> list[str]:
    return [str(f.outcome) for j in judged for f in j.findings]


def test_what_one_test_decides_many_may_leave_open() -> None:
    weak = of_seeds("weak", a=WEAK)
    assert outcomes(judge_all([weak])) == ["true"]
    both = judge_all([weak, of_seeds("firm", a=FIRM, b=FIRM, c=FIRM, d=FIRM)])
    assert outcomes(both) == ["true"] * 5  # the firm ones leave the weak one alone in the end
    unsettled = of_seeds("open", **{name: [1.0, -1.0, 2.0, -2.0, 0.1] for name in "abcd"})
    first, other = judge_all([weak, unsettled])
    assert first.findings[0].outcome is Outcome.OPEN and first.findings[0].lost
    assert first.verdict is Verdict.OPEN and judge(weak).verdict is Verdict.HOLDS
    assert not any(f.lost for f in other.findings)  # open by themselves


def test_what_is_not_trained_is_no_part_of_the_family() -> None:
    drawn = of_seeds("drawn", trained=False, **dict.fromkeys("abcdefgh", WEAK))
    weak = of_seeds("weak", a=WEAK)
    assert outcomes(judge_all([drawn, weak])) == ["true"] * 9


def test_a_lower_level_decides_less() -> None:
    assert outcomes(judge_all([of_seeds("weak", a=WEAK)], level=0.01)) == ["open"]


def test_correction_only_opens_what_was_decided() -> None:
    for one in JUDGED:
        for before, after in zip(judge(one.claim).findings, one.findings, strict=True):
            assert replace(after, outcome=before.outcome, lost=False) == before
            assert after.outcome in (before.outcome, Outcome.OPEN)
            assert after.lost == (after.outcome is not before.outcome)


# ---- who says it


@every_claim
def test_claim_has_sources_that_open_or_is_a_guess(claim: Claim) -> None:
    for source in claim.sources:
        assert source.where and source.where == source.where.strip()
        address = urlsplit(source.url)
        assert address.scheme == "https" and "." in address.netloc
        assert address.path.strip("/") and not re.search(r"\s", source.url)
    assert len({(s.url, s.says) for s in claim.sources}) == len(claim.sources)


@every_claim
def test_paper_that_says_it_is_in_the_bibliography(claim: Claim) -> None:
    bibliography = (ROOT / "chapters" / "references.bib").read_text(encoding="utf-8")
    for source in claim.sources:
        if "arxiv.org" in source.url or "openreview.net" in source.url:
            assert f"{{{source.url}}}" in bibliography, source
            assert re.search(r" (et al\.|and \w+) \d{4}, ", source.where), source


def test_sentences_with_a_source_come_before_guesses() -> None:
    made = [bool(claim.sources) for claim in CLAIMS]
    assert made == sorted(made, reverse=True) and set(made) == {True, False}
    for group in (True, False):
        chapters = [c.chapter for c in CLAIMS if bool(c.sources) is group]
        assert chapters == sorted(chapters)


# ---- every claim of the book


def far_on_each_side(rule: Rule) -> tuple[float, float]:
    """A number for which a rule's sentence is true, and one for which it is not."""
    numbers = [*thresholds(rule), *(t + d for t in thresholds(rule) for d in (-1e6, 1e6))]
    sides = {judged_by_its_sentence(rule, "", n): n for n in numbers}
    return sides[True], sides[False]


@every_claim
def test_verdict_follows_from_the_measurement_and_from_nothing_else(claim: Claim) -> None:
    true, false = far_on_each_side(claim.rule)
    wide = np.array([-1e9, 1e9])
    for measured, wanted in (
        ({"a": true}, Verdict.HOLDS),
        ({"a": false}, Verdict.FAILS),
        ({"a": true, "b": false}, Verdict.HOLDS_IF),
        ({"a": false, "b": wide}, Verdict.OPEN),
    ):
        found = judge(replace(claim, measure=lambda measured=measured: measured))
        assert found.verdict is wanted


@every_claim
def test_claim_is_measured_in_numbers_with_five_seeds_where_there_are_seeds(claim: Claim) -> None:
    found = judge(claim).findings
    assert found
    assert all(len(f.values) in (1, 5, 20) and np.isfinite(f.values).all() for f in found)
    seeds = claim.trained or DRAWN in claim.scale
    assert seeds == all(len(f.values) >= 5 for f in found)
    assert claim.trained == ("5 seeds" in claim.scale)
    assert not claim.share or all(0 <= v <= 1 for f in found for v in f.values)


@every_claim
def test_measuring_twice_gives_the_same_and_leaves_chance_alone(claim: Claim) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    once, twice = claim.measure(), claim.measure()
    assert torch.equal(torch.get_rng_state(), state)
    assert list(once) == list(twice)
    assert all(np.array_equal(once[name], twice[name]) for name in once)


RECORDED = ((scaling, "drowned"), (trained, "sinusoids-on-text"), (layer, "tying-free"))


@pytest.mark.parametrize(("module", "key"), RECORDED, ids=[key for _, key in RECORDED])
def test_other_records_give_another_verdict(module, key: str, monkeypatch) -> None:
    claim = next(c for c in CLAIMS if c.key == key)
    before = judge(claim)
    real = claim_module.scores
    monkeypatch.setattr(
        module, "scores", lambda *which: {arm: -v for arm, v in real(*which).items()}
    )
    claim_module._measured.cache_clear()
    try:
        after = judge(claim)
    finally:
        monkeypatch.undo()
        claim_module._measured.cache_clear()
    turned = {Outcome.TRUE: Outcome.FALSE, Outcome.FALSE: Outcome.TRUE, Outcome.OPEN: Outcome.OPEN}
    assert [f.outcome for f in after.findings] == [turned[f.outcome] for f in before.findings]


def test_keys_stand_once_and_are_fit_for_links() -> None:
    keys = [claim.key for claim in CLAIMS]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", key) for key in keys)


def test_no_sentence_is_said_twice() -> None:
    texts = [claim.text for claim in CLAIMS]
    assert len(set(texts)) == len(texts)


@every_claim
def test_claim_is_a_sentence_with_a_better_one_beside_it(claim: Claim) -> None:
    assert claim.text.endswith(".") and claim.instead.endswith(".")
    assert claim.text != claim.instead
    assert claim.number and claim.scale


def headings(chapter: str) -> set[str]:
    notebook = nbformat.read(ROOT / "chapters" / f"{chapter}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return set(re.findall(r"(?m)^#{2,} (.+?)\s*$", text))


@every_claim
def test_link_leads_to_a_section_that_is_there(claim: Claim) -> None:
    path, _, place = link(claim).partition("#")
    assert (ROOT / "chapters" / path).is_file()
    assert not claim.section or claim.section in headings(claim.chapter)
    assert unquote(place) == claim.section.replace(" ", "-")  # as JupyterLab names a heading
    assert link(replace(claim, section="")) == path


def test_unknown_chapter_is_refused_by_name() -> None:
    with pytest.raises(
        ValueError, match=r"of 01\w+, 02\w+, .*, got '13_none' in the claim 'balance'"
    ):
        replace(next(c for c in CLAIMS if c.key == "balance"), chapter="13_none")


# What the book sets out to put to a test, chapter by chapter, and what people get wrong in print.
SUBJECTS = {
    "how a table starts: normal or uniform": {"normal-start"},
    "which rows get a gradient": {"rows-reached"},
    "PAD's row": {"special-zero"},
    "attention and order; what the mask leaks": {"attention-blind", "none-is-close"},
    "√d: balance, drowning, gradients, the learning rate": {
        *("balance", "drowned", "scaling-helps", "balance-is-why", "stable-gradients"),
        "only-a-size",
    },
    "wavelengths": {"wavelengths", "own-frequency", "slow-first", "worked-example"},
    "bounded and unique, with what margin": {"bounded", "unique", "repeats"},
    "why 10000": {"base"},
    "which hands tell the position": {"whole-row-works"},
    "the order of columns, and other frequencies": {"interleaved", "tensor2tensor"},
    "precision": {"low-precision"},
    "the rotation, and what it is not": {"rotation", "column-alone", "adding-rotates"},
    "the dot product": {"offset-only", "monotone"},
    "sine and cosine at right angles": {"orthogonal"},
    "adding and not concatenating": {"sum-loses"},
    "what a learned table comes to look like": {"learns-waves", "neighbours-alike"},
    "rows without training": {"unused-rows-stay", "every-row-trained"},
    "learned against fixed": {
        *("learned-better", "nearly-identical", "sinusoids-on-text", "learned-sooner"),
    },
    "random offsets and their price": {"offsets-repair", "offsets-free"},
    "longer texts": {
        *("sinusoids-longer", "no-length-limit", "rope-longer"),
        *("alibi-longer", "t5-longer"),
    },
    "two judges": {"loss-is-judge"},
    "dropout": {"dropout-reduces", "dropout-prevents", "dropout-places"},
    "memory": {"free-table"},
    "padding": {"padding"},
    "the batch axis": {"shapes-fit"},
    "tying": {"tying-saves", "tying-free", "both-ends"},
    "the first loss": {"first-loss"},
    "models that people use": {"shift-breaks", "table-ends"},
}


def test_each_subject_of_the_book_has_its_claims_and_each_claim_its_subject() -> None:
    listed = list(itertools.chain.from_iterable(SUBJECTS.values()))
    assert sorted(listed) == sorted(claim.key for claim in CLAIMS)


def test_every_chapter_with_claims_of_its_own_is_in_the_table() -> None:
    assert {claim.chapter for claim in CLAIMS} == set(CHAPTERS)


# ---- numbers


@quick
@given(number=st.floats(-1e7, 1e7))
def test_number_is_shown_to_three_digits(number: float) -> None:
    text = shown(number).replace("−", "-").replace(",", "")
    if text.startswith(("below", "-below")):
        assert abs(number) < 1e-6
    else:
        assert math.isclose(float(text), number, rel_tol=5e-3, abs_tol=0)


@quick
@given(values=st.lists(st.floats(-100, 100), min_size=2, max_size=5))
def test_interval_is_shown_around_its_mean(values: list[float]) -> None:
    found = find("a", np.array(values), Above(0.0))
    wide = (found.high - found.low) / 2
    assume(wide > 1e-3)
    mean, half = found.number("nats").removesuffix(" nats").replace("−", "-").split(" ± ")
    assert abs(float(mean) - found.mean) <= max(5.1e-4, 0.06 * wide)
    assert abs(float(half) - wide) <= max(5.1e-4, 0.06 * wide)


NUMBERS_SHOWN = (
    ((0.38, 0.4, 0.39), 0.39123, 0.0248, "0.391 ± 0.025"),
    ((1.0, 2.0), -0.39123, 0.248, "−0.39 ± 0.25"),
    ((1.0, 2.0), -0.0, 0.1, "0.00 ± 0.10"),
    ((1.0, 2.0), 12.34, 1.04, "12.3 ± 1.0"),
    ((1.0, 2.0), 1234.6, 10.4, "1235 ± 10"),
    ((1.0, 2.0), -0.00001, 0.0001, "−0.000 ± 0.000"),
    ((1.0, 2.0), 0.5, 1.1e-6, "0.500 ± 0.000"),
    ((1.0, 2.0), 0.5, 9e-7, "0.5 ± 0"),
    ((1.0, 2.0), 0.5, math.nan, "0.5 ± none"),
    ((0.5,), 0.5, 0.0, "0.5"),
    ((0.5,), -1234.5, math.nan, "−1,234"),
)


@pytest.mark.parametrize(("values", "mean", "half", "text"), NUMBERS_SHOWN)
def test_digits_that_an_interval_makes_meaningless_are_left_out(values, mean, half, text) -> None:
    found = Finding("a", values, mean, mean - half, mean + half, Outcome.OPEN)
    assert found.number() == text
    assert found.number("nats") == f"{text} nats"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.36, 0.82), "0.59 (0.36 to 0.82)"),
        ((0.998, 1.0), "0.999 (0.998 to 1.000)"),
        ((1.0, 1.0), "1 in every seed"),
        ((0.0, 0.0), "0 in every seed"),
    ],
)
def test_share_is_shown_with_its_lowest_and_highest_seed(values, text: str) -> None:
    assert find("a", np.array(values), Above(0.5), share=True).number() == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0.0, "0"), (-0.0, "0"), (1e-6, "1e-06"), (9e-7, "below 1e-6"), (-9e-7, "−below 1e-6")),
        *((999.4, "999"), (1000.0, "1,000"), (-47117.3, "−47,117"), (1.0, "1"), (math.nan, "none")),
    ],
)
def test_number_is_shown_without_noise(number: float, text: str) -> None:
    assert shown(number) == text


# ---- strip and table


class Page(HTMLParser):
    """What stands in the HTML: elements, texts, ids, links, and the text of each row by its id."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.rows: dict[str, str] = {}
        self._row = ""
        self._open: list[str] = []
        self.feed(source)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._open.append(tag)
        self.elements.append((tag, {name: str(value or "") for name, value in attrs}))
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if values.get("href"):
            self.links.append(str(values["href"]))
        if tag == "tr":
            self._row = values.get("id") or ""

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)
        if self._row and "tr" in self._open:
            self.rows[self._row] = self.rows.get(self._row, "") + data


STRIP, TABLE = ClaimsStrip(JUDGED, title="All"), ClaimsTable(JUDGED)


def test_table_holds_every_claim_with_its_number_rule_and_verdict() -> None:
    rows = Page(TABLE.html()).rows
    assert list(rows) == [f"claim-{claim.key}" for claim in CLAIMS]
    for judged in JUDGED:
        text, claim = rows[f"claim-{judged.claim.key}"], judged.claim
        for said in (claim.number, claim.scale, claim.elsewhere):
            assert said.replace("`", "") in text
        for source in claim.sources:
            assert f"{source.where}: “{source.says}”" in text if source.says else source.where
        assert ("a guess readers make" in text) == (not claim.sources)
        assert claim.rule.sentence(claim.unit) in text
        assert str(judged.verdict) in text and judged.under in text
        for f in judged.findings:
            assert f"{f.condition} {f.number(claim.unit)}{LOST if f.lost else ''}" in text
    assert LOST in "".join(rows.values())


def test_table_says_in_which_models_people_use_a_claim_is_met_again() -> None:
    rows = Page(TABLE.html()).rows
    met = [judged for judged in JUDGED if judged.in_models]
    assert {judged.claim.key for judged in met} == set(IN_MODELS)
    for judged in met:
        text = rows[f"claim-{judged.claim.key}"]
        for said, found in zip(judged.claim.in_models, judged.in_models, strict=True):
            number = found.number(said.unit)
            assert f"{judged.said_by(found)}: {said.number} {number}" in text
            assert f"({judged.said_by(found)}: {number}, {said.number})" in repr(
                ClaimsTable([judged])
            )


@pytest.mark.parametrize(
    ("verdict", "number", "words"),
    [
        (Verdict.HOLDS, 1.0, "also in Model"),
        (Verdict.HOLDS_IF, 1.0, "also in Model"),
        (Verdict.HOLDS, -1.0, "not in Model"),
        (Verdict.FAILS, -1.0, "not in Model"),
        (Verdict.FAILS, 1.0, "but in Model"),
        (Verdict.OPEN, 1.0, "but in Model"),
        (Verdict.FAILS, math.nan, "open in Model"),
    ],
)
def test_a_model_people_use_says_whether_the_sentence_is_true_there(
    verdict: Verdict, number: float, words: str
) -> None:
    found = find("Model", number, Above(0.0))
    assert replace(WHOLE, verdict=verdict).said_by(found) == words


def test_a_model_people_use_has_no_part_in_the_verdict() -> None:
    claim = next(claim for claim in CLAIMS if claim.key == "drowned")
    assert claim.in_models
    assert judge(replace(claim, in_models=())).verdict is judge(claim).verdict


WHOLE = Judged(
    Claim(
        key="whole",
        text="A `sentence`.",
        sources=(
            Source("Somebody", "https://example.org/a?b=1&c=2", "Words & more"),
            Source("Another", "https://example.org/d"),
        ),
        number="a number",
        unit="nats",
        measure=dict,
        rule=Above(0.0),
        scale="small",
        chapter="01_from_text_to_vectors",
        section="PAD, BOS and EOS",
        instead="Another one.",
        elsewhere="Alike.",
    ),
    (
        find("here", 1.5, Above(0.0)),
        replace(find("there", -2.0, Above(0.0)), lost=True),
        find("nowhere", math.nan, Above(0.0)),
    ),
    Verdict.HOLDS_IF,
)
BARE = Judged(
    replace(WHOLE.claim, sources=(), unit="", section="", instead="", elsewhere=""),
    WHOLE.findings[:1],
    Verdict.HOLDS,
)
CAPTION = """A number after ± is half a 95 % interval over five seeds; in brackets are the lowest
and the highest seed of a share. A number with neither has no chance in it, or is of one model that
people use. ✓ true, ✗ not true, ? open: what the rule says under each condition.""".replace(
    "\n", " "
)


def test_row_is_read_out_in_the_order_of_its_columns() -> None:
    page = Page(ClaimsTable([WHOLE, BARE]).html())
    assert page.texts == [
        *(CAPTION, *(c.head for c in ClaimsTable.columns)),
        *("A ", "sentence", ".", "Say instead:", " Another one."),
        *("Somebody", ": “Words & more”", "Another", "a number"),
        *("✓", "true: ", "here ", "1.5 nats", "✗", "not true: ", "there ", "−2 nats", LOST),
        *("?", "open: ", "nowhere ", "none nats", "Scale: small."),
        *("Measured by others:", " Alike.", "◐", " ", "holds if", "here"),
        *("True where the number is above 0 nats.", "1 From text to vectors: PAD, BOS and EOS"),
        *("A ", "sentence", ".", "a guess readers make", "a number"),
        *("✓", "true: ", "here ", "1.5"),
        *("Scale: small.", "✓", " ", "holds", "True where the number is above 0."),
        "1 From text to vectors",
    ]
    tags = [tag for tag, _ in page.elements]
    assert tags.count("code") == 2 and tags.count("p") == 8 + 5  # nothing empty in the second
    agreed = Judged(replace(WHOLE.claim), WHOLE.findings[:1], Verdict.HOLDS)
    assert "Add:" in Page(ClaimsTable([agreed]).html()).texts


def test_many_conditions_are_folded_under_how_many_are_true() -> None:
    def shown_with(number: int) -> list[str]:
        names = [str(i) for i in range(number)]
        return Page(ClaimsTable([made_up(**{n: int(n) - 3 for n in names})]).html()).texts

    assert not any("conditions" in text for text in shown_with(6)[1:])
    assert "true under 3 of 7 conditions" in shown_with(7)


def test_strip_is_read_out_by_group_and_chapter_what_holds_first() -> None:
    label = "A `sentence`. "
    other = replace(BARE, claim=replace(BARE.claim, chapter="02_why_order_matters"))
    made = Judged(WHOLE.claim, WHOLE.findings[:1], Verdict.HOLDS)
    assert Page(ClaimsStrip([WHOLE, made, BARE, other]).html()).texts == [
        *("The verdicts", "✓", " holds", "◐", " holds if"),
        *("✗", " does not hold", "?", " not settled here"),
        *("Each sign leads to its row in the table of claims.", GROUPS[True]),
        *("1 From text to vectors", "✓", f"{label}Holds.", "◐", f"{label}Holds if: here."),
        *(GROUPS[False], "1 From text to vectors", "✓", f"{label}Holds."),
        *("2 Why order matters", "✓", f"{label}Holds."),
    ]
    assert repr(ClaimsStrip([BARE], title="One")) == (
        "One: each sign leads to its row in the table of claims."
    )
    assert repr(ClaimsTable([WHOLE, BARE])) == (
        "◐ A `sentence`. – holds if: here. a number: here 1.5 nats; there −2 nats"
        f"{LOST}; nowhere none nats.\n✓ A `sentence`. – holds. a number: here 1.5."
    )


def test_stylesheet_and_script_find_what_they_ask_for() -> None:
    elements = Page(ClaimsStrip(JUDGED).html() + ClaimsTable([*JUDGED, WHOLE]).html()).elements
    classes = {name for _, values in elements for name in values.get("class", "").split()}
    styled = set(
        re.findall(r"\.([a-z][\w-]*)", re.sub(r"(?s)/\*.*?\*/", "", code("card") + code("claims")))
    )
    not_here = {"controls", "count"}  # the script makes them
    not_here |= {"scroll"}  # of cards that are wider than their page
    not_here |= {"bd-content", "cell_output", "text_html", "vscode-dark", "vscode-high-contrast"}
    assert styled - not_here <= classes
    roots = [
        values for _, values in elements if values.get("class") == "simplellm-card simplellm-claims"
    ]
    assert [(r["data-kind"], r["id"]) for r in roots] == [
        ("strip", "claims-strip"),
        ("table", "claims"),
    ]
    rows = [values for tag, values in elements if tag == "tr" and "id" in values]
    said = [(str(j.verdict), CHAPTERS[j.claim.chapter]) for j in [*JUDGED, WHOLE]]
    assert [(r["data-verdict"], r["data-chapter"]) for r in rows] == said
    heads = [values for tag, values in elements if tag == "th" and values["scope"] == "col"]
    sortable = ["data-sortable" in values for values in heads]
    assert sortable == [column.sortable for column in ClaimsTable.columns]


def test_table_is_one_to_a_screen_reader_even_where_it_is_shown_as_cards() -> None:
    elements = Page(ClaimsTable([WHOLE]).html()).elements
    roles = [(tag, values["role"]) for tag, values in elements if "role" in values]
    assert roles == [
        *(("table", "table"), ("thead", "rowgroup"), ("tr", "row")),
        *[("th", "columnheader")] * 5,
        *(("tbody", "rowgroup"), ("tr", "row"), ("th", "rowheader")),
        *[("td", "cell")] * 4,
    ]
    labels = [values["data-label"] for _, values in elements if "data-label" in values]
    assert labels == [column.head for column in ClaimsTable.columns]
    assert [values["scope"] for tag, values in elements if tag == "th"] == [*["col"] * 5, "row"]


def test_signs_are_for_the_eye_and_have_their_words_beside_them() -> None:
    for element in (STRIP, TABLE):
        for tag, values in Page(element.html()).elements:
            kind = values.get("class", "").split()[:1]
            if tag == "span" and kind in (["sign"], ["outcome"]):
                assert values["aria-hidden"] == "true"
    links = [v for tag, v in Page(ClaimsStrip([WHOLE]).html()).elements if tag == "a"]
    assert [v["title"] for v in links] == ["A `sentence`. Holds if: here."]
    assert set(TABLE._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_strip_leads_to_every_row_of_the_table() -> None:
    assert sorted(Page(STRIP.html()).links) == sorted(f"#claim-{c.key}" for c in CLAIMS)


def test_no_id_stands_twice_on_the_page() -> None:
    ids = Page(STRIP.html() + TABLE.html()).ids
    assert len(set(ids)) == len(ids)


def test_table_links_to_the_sections() -> None:
    chapter = "13_real_models.ipynb"
    links: list[str] = []
    for claim in CLAIMS:
        links += [source.url for source in claim.sources]
        links += [f"{chapter}#{m.section.replace(' ', '-')}" for m in claim.in_models]
        links.append(link(claim))
    assert Page(TABLE.html()).links == links


@pytest.mark.parametrize("element", [STRIP, TABLE], ids=["strip", "table"])
def test_the_same_claims_give_the_same_bytes(element: ClaimsStrip | ClaimsTable) -> None:
    again = type(element)(judge_all(CLAIMS))
    if isinstance(element, ClaimsStrip):
        again.title = element.title
    assert again._repr_mimebundle_() == element._repr_mimebundle_()


@pytest.mark.parametrize("element", [STRIP, TABLE], ids=["strip", "table"])
def test_page_needs_nothing_from_elsewhere(element: ClaimsStrip | ClaimsTable) -> None:
    source = re.sub(r'href="https://[^"]*"', "", element.html())  # nothing but links to follow
    assert "://" not in source and "url(" not in source and "@import" not in source
    assert "fetch(" not in source and "import(" not in source


def test_text_of_a_claim_cannot_become_markup() -> None:
    odd = '<b>"x" & y</b>'
    claim = replace(
        CLAIMS[0],
        text=odd,
        sources=(Source(odd, f"https://example.org/{odd}", odd),),
        number=odd,
        instead=odd,
        measure=lambda: {odd: 1.0},
    )
    judged = judge(claim)
    for element in (ClaimsStrip([judged], title=odd), ClaimsTable([judged])):
        assert odd not in element.html()
        assert "&lt;b&gt;" in element.html()


def test_hosts_without_html_read_every_verdict_as_text() -> None:
    lines = TABLE._repr_mimebundle_()["text/plain"].splitlines()
    assert len(lines) == len(CLAIMS)
    assert all(
        j.claim.text in line and j.words in line for j, line in zip(JUDGED, lines, strict=True)
    )


@pytest.mark.parametrize("kind", [ClaimsStrip, ClaimsTable])
def test_nothing_to_show_is_refused(kind) -> None:
    with pytest.raises(ValueError, match="judged is empty"):
        kind([])


def test_light_and_dark_define_the_same_colours() -> None:
    blocks = re.findall(r"\{([^{}]*--ink:[^{}]*)\}", code("card"))
    names = [re.findall(r"--[\w-]+(?=:)", block) for block in blocks]
    assert len(names) == 3 and names[0] == names[1] == names[2]


def committed_outputs() -> list[str]:
    notebook = nbformat.read(ROOT / "chapters" / "14_what_is_true.ipynb", as_version=4)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    html = ["".join(o.get("data", {}).get("text/html", "")) for o in outputs]
    return [text for text in html if "simplellm-claims" in text]


def test_chapter_shows_the_strip_and_the_table_of_today() -> None:
    """nbval leaves script and style out; here they are compared."""
    strip, table = committed_outputs()
    for output, names in (
        (strip, ("card", "claims", "strip")),
        (table, ("card", "claims", "table")),
    ):
        for name in names:
            assert f'simplellm-{name}-code">{code(name)}</' in output
    assert Page(strip).links == Page(STRIP.html()).links
    assert list(Page(table).rows) == list(Page(TABLE.html()).rows)


# ---- in a browser


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    page: Path = tmp_path_factory.mktemp("claims") / "page.html"
    page.write_text(
        '<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Claims</title></head>'
        f"<body><main><h1>Claims</h1>{STRIP.html()}{TABLE.html()}</main></body></html>",
        encoding="utf-8",
    )
    return page.as_uri()


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser, address):
    opened = browser.new_page()
    opened.goto(address)
    yield opened
    opened.close()


VISIBLE = "[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden).map(r => r.id)"


def ids(judged: Iterable[Judged]) -> list[str]:
    return [f"claim-{j.claim.key}" for j in judged]


@pytest.mark.browser
@pytest.mark.parametrize("wanted", list(Verdict))
def test_filter_by_verdict_shows_those_and_says_how_many(page, wanted: Verdict) -> None:
    page.get_by_label("Verdict", exact=True).select_option(str(wanted))
    some = [j for j in JUDGED if j.verdict is wanted]
    assert page.evaluate(VISIBLE) == ids(some)
    assert page.get_by_role("status").inner_text() == f"{len(some)} of {len(JUDGED)} claims"


@pytest.mark.browser
def test_filter_by_who_says_it_shows_the_guesses(page) -> None:
    page.get_by_label("Made by").select_option(GROUPS[False])
    assert page.evaluate(VISIBLE) == ids([j for j in JUDGED if not j.claim.sources])


# What the strip's line says, and the place of the focus among the signs.
LINE = "#claims-strip .said"
AT = "[...document.querySelectorAll('#claims-strip .cells a')].indexOf(document.activeElement)"


def sentence(judged: Judged) -> str:
    return f"{judged.claim.text} {judged.words[0].upper()}{judged.words[1:]}."


def in_strip() -> list[Judged]:
    """The claims in the order of the strip's signs."""
    return sorted(
        JUDGED,
        key=lambda j: (not j.claim.sources, j.claim.chapter, list(Verdict).index(j.verdict)),
    )


@pytest.mark.browser
def test_strip_is_one_tab_stop_and_arrows_walk_all_its_signs(page) -> None:
    page.keyboard.press("Tab")
    for at, judged in enumerate(in_strip()):
        assert page.evaluate(AT) == at
        assert page.locator(LINE).inner_text() == sentence(judged)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    first = in_strip()[0].claim.chapter
    second_line = next(i for i, j in enumerate(in_strip()) if j.claim.chapter != first)
    assert page.evaluate(AT) == second_line
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#claims') !== null")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(AT) == second_line


@pytest.mark.browser
def test_strip_says_what_the_mouse_is_on_and_returns_to_what_has_the_focus(page) -> None:
    signs = page.locator("#claims-strip .cells a")
    page.keyboard.press("Tab")
    signs.nth(5).hover()
    assert page.locator(LINE).inner_text() == sentence(in_strip()[5])
    page.get_by_role("heading").hover()
    assert page.locator(LINE).inner_text() == sentence(in_strip()[0])
    signs.nth(5).click()
    assert page.url.endswith(f"#claim-{in_strip()[5].claim.key}")


@pytest.mark.browser
def test_first_tap_reads_and_the_second_follows(browser, address) -> None:
    context = browser.new_context(has_touch=True, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(address)
    sign = page.locator("#claims-strip .cells a").nth(-1)
    sign.tap()
    assert page.url == address
    line = page.locator(LINE)
    assert line.inner_text() == sentence(in_strip()[-1])
    assert 0 <= line.bounding_box()["y"] < sign.bounding_box()["y"]
    sign.tap()
    assert page.url.endswith(f"#claim-{in_strip()[-1].claim.key}")
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
def test_no_sentence_of_the_strip_moves_what_stands_below(browser, address, width) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(address)
    height = "document.querySelector('#claims-strip').offsetHeight"
    heights = {page.evaluate(height)}
    page.keyboard.press("Tab")
    for _ in JUDGED:
        heights.add(page.evaluate(height))
        page.keyboard.press("ArrowRight")
    assert len(heights) == 1
    page.close()


@pytest.mark.browser
def test_filters_are_taken_together_and_undone_together(page) -> None:
    chapter = CHAPTERS["07_learned_versus_fixed"]
    page.get_by_label("Chapter").select_option(chapter)
    page.get_by_label("Search").fill("TEXT sinusoids")
    shown_ids = page.evaluate(VISIBLE)
    assert "claim-sinusoids-on-text" in shown_ids
    of_chapter = [j for j in JUDGED if CHAPTERS[j.claim.chapter] == chapter]
    assert 0 < len(shown_ids) < len(of_chapter) and set(shown_ids) < set(ids(of_chapter))
    page.get_by_role("button", name="Show all").click()
    assert page.evaluate(VISIBLE) == ids(JUDGED)


@pytest.mark.browser
@pytest.mark.parametrize("column", [c.head for c in ClaimsTable.columns if c.sortable])
def test_column_sorts_both_ways_from_the_keyboard_and_says_so(page, column: str) -> None:
    button = page.get_by_role("button", name=column, exact=True)
    head = page.locator(f'th[data-name="{column}"]')
    assert head.get_attribute("aria-sort") == "none"
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    up = page.evaluate(VISIBLE)
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    down = page.evaluate(VISIBLE)
    assert sorted(up) == sorted(down) == sorted(ids(JUDGED))
    by = {
        "Claim": lambda j: j.claim.text.lower(),
        "Verdict": lambda j: list(Verdict).index(j.verdict),
    }
    if column == "Verdict":
        order = {f"claim-{j.claim.key}": by[column](j) for j in JUDGED}
        assert [order[i] for i in up] == sorted(order.values())
        assert [order[i] for i in down] == sorted(order.values(), reverse=True)
    else:
        assert up != ids(JUDGED) or column == "Shown in"
        assert up[0] != down[0]


@pytest.mark.browser
def test_address_keeps_the_choice(page, address) -> None:
    page.get_by_label("Verdict", exact=True).select_option("holds if")
    page.get_by_label("Search").fill("table")
    page.get_by_role("button", name="Claim", exact=True).click()
    before, url = page.evaluate(VISIBLE), page.url
    assert url.startswith(f"{address}#claims?")
    page.goto("about:blank")
    page.goto(url)
    assert page.evaluate(VISIBLE) == before
    assert page.get_by_label("Search").input_value() == "table"


@pytest.mark.browser
def test_link_to_a_row_that_is_filtered_out_brings_it_back(page) -> None:
    page.get_by_label("Search").fill("no claim says this")
    assert page.evaluate(VISIBLE) == []
    page.locator('a[href="#claim-wavelengths"]').click()
    page.wait_for_function("!document.getElementById('claim-wavelengths').hidden")
    assert page.locator("#claim-wavelengths").is_visible()


@pytest.mark.browser
def test_rubbish_in_the_address_leaves_the_table_whole(page, address) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for rubbish in (
        "#claims?verdict=maybe&sort=Colour",
        "#claims?%",
        "#%E0%A4%A",
        "#claims?chapter=99",
        "#claims?find=%E0%A4%A",
    ):
        page.goto("about:blank")
        page.goto(address + rubbish)
        assert page.evaluate(VISIBLE) == ids(JUDGED)
    assert errors == []


@pytest.mark.browser
def test_table_reads_without_a_script(browser, address) -> None:
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(address)
    assert plain.locator("tbody tr").count() == len(CLAIMS)
    assert plain.locator("input, select, button").count() == 0  # no control that does nothing
    assert plain.get_by_text("True where the number is").first.is_visible()
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_axe_finds_nothing_and_nothing_is_too_wide(browser, address, theme, width) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(address)
    opened.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.evaluate(axe.axe_script)
    found = opened.evaluate("async () => (await axe.run()).violations")
    assert [(v["id"], v["nodes"][0]["html"][:100]) for v in found] == []
    opened.close()


@pytest.mark.browser
def test_on_a_phone_each_part_of_a_card_says_what_it_is(browser, address) -> None:
    opened = browser.new_page(viewport={"width": 360, "height": 800})
    opened.goto(address)
    before = "td => getComputedStyle(td, '::before').content"
    cells = opened.locator("#claim-balance td").all()
    assert [cell.evaluate(before).strip('"') for cell in cells] == [
        c.head for c in ClaimsTable.columns[1:]
    ]
    tops = [cell.bounding_box()["y"] for cell in cells]
    assert tops == sorted(tops) and len(set(tops)) == len(tops)
    opened.close()


def test_public_names_are_all_there() -> None:
    assert all(hasattr(claims, name) for name in claims.__all__)
    assert isinstance(Finding("a", (1.0,), 1.0, 1.0, 1.0, Outcome.TRUE).number(), str)
