"""The survey of libraries: its records belong to its table, and its probes work offline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import simplellm.survey as module
from simplellm import Convention, identify
from simplellm.survey import RECORDS, Surveyed, followers, relative, size_of, survey
from tools.survey import probe
from tools.survey.__main__ import classes
from tools.survey.probe import Probe, record
from tools.survey.taking import Taker

ROWS = classes()


def test_every_line_of_the_table_pins_a_version_and_names_a_class_once() -> None:
    assert len({(row["package"], row["name"]) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert re.fullmatch(r"[\w.]+", row["version"]), row
        assert row["take"] or row["ask"].startswith("not run: "), row
        if row["take"]:
            compile(row["make"] or "0", "make", "eval")
            compile(row["ask"], "ask", "eval")


def test_there_is_a_record_for_every_line_and_no_other() -> None:
    listed = {(row["package"], row["version"], row["name"]) for row in ROWS}
    assert {(one.package, one.version, one.name) for one in survey()} == listed


def test_what_was_not_run_says_why_and_holds_no_number() -> None:
    for one in survey():
        assert one.was_run != one.why.startswith("not run: ")
        assert one.was_run or one.convention is None
        assert one.convention is not None or one.why


def test_a_record_says_what_differs_from_the_paper_and_nothing_else() -> None:
    for line in RECORDS.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)["convention"]
        if said is not None:
            plain = Convention()
            assert all(getattr(plain, name) != value for name, value in said.items())


def test_identify_names_the_classes_that_follow_what_it_found() -> None:
    table = Convention.named("m2m100").table(100, 64)
    named = identify(table).libraries
    assert any("M2M100" in name for name in named) and any("fair-esm" in name for name in named)
    assert followers(Convention(base=37.0)) == ()


def test_a_follower_is_said_with_its_package_version_and_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [
        {"convention": {"first": 2}, "package": "a", "version": "1", "name": "Two"},
        {"convention": {"columns": "halves"}, "package": "b", "version": "2", "name": "Halves"},
        {"convention": None, "package": "c", "version": "3", "name": "Other", "why": "learned"},
        {"convention": {}, "package": "d", "version": "4", "name": "Paper"},
    ]
    known = tuple(module._read({"measured": {"rows": 1}, **line}) for line in lines)
    monkeypatch.setattr(module, "survey", lambda: known)
    assert known[0].convention == Convention(first=2) and known[0].measured == {"rows": 1}
    assert known[2].convention is None and known[2].why == "learned"
    assert followers(Convention(first=2)) == ("a 1: Two",)
    assert followers(Convention()) == ("d 4: Paper",)
    # Rows that begin elsewhere go by the rest of what they say.
    assert followers(Convention(first=77)) == ("a 1: Two", "d 4: Paper")
    assert followers(Convention("halves", first=5)) == ("b 2: Halves",)
    assert followers(Convention("halves", base=9.0)) == ()


# ---- taking a class out of its file


def test_a_class_is_taken_with_what_it_uses_and_without_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "pack" / "sub").mkdir(parents=True)
    (tmp_path / "pack" / "sub" / "base.py").write_text("class Base:\n    twice = 2\n")
    (tmp_path / "pack" / "layer.py").write_text(
        "import math, a_package_nobody_has\n"
        "from a_package_nobody_has import checked\n"
        "from .sub.base import Base\n"
        "TURN = math.tau\n"
        "def half(x):\n    return x / Base.twice\n"
        "@checked\n"
        "class Layer(Base):\n    def turn(self) -> checked:\n        return half(TURN)\n"
        "raise SystemExit('the file itself is not executed')\n"
    )
    taker = Taker(tmp_path)
    assert taker.take("pack/layer.py", "Layer")().turn() == pytest.approx(3.14159, abs=1e-5)
    assert taker.missing == {"checked"}
    with pytest.raises(LookupError, match=r"layer\.py does not define Other"):
        taker.take("pack/layer.py", "Other")


class Adds(torch.nn.Module):
    """A layer as a library might have it: tensor2tensor's rows from position 2 on, times √d."""

    def __init__(self, d: int, n: int) -> None:
        super().__init__()
        self.d = d
        self.register_buffer("pe", Convention.named("fairseq").table(n, d))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.d**0.5 * x + self.pe[: x.shape[1]]


def test_a_probe_measures_what_a_layer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WIDTH", 128)  # a quarter of the width takes a tenth of the time
    found = record(Probe(Adds, "C(d, n)", "m(x)"))
    assert found["convention"] == {"columns": "halves", "exponents": "i/(d/2-1)", "first": 2}
    measured = found["measured"]
    assert measured["error to 5000"] < 1e-6
    assert measured["past the end"].startswith("RuntimeError")
    assert measured["odd width"] == "last column zero; as the convention says"
    assert measured["state_dict"] == ["pe"] and measured["trained"] == []
    assert measured["factor on the input"] == measured["sqrt(d)"] == 8.0
    assert measured["gradient to the input"] == 8.0
    assert measured["both sentences of a batch get the same rows"] is True
    assert measured["float16"]["error"] == pytest.approx(2.4e-4, rel=0.1)
    assert measured["float16, then float32"]["error"] == measured["float16"]["error"]
    assert measured["known again"] == {"half precision": True, "slice": True}


class AddsToLengthFirst(Adds):
    """The same on (length, batch, d), which takes a batch in front without a word."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.pe[: x.shape[0]].unsqueeze(1)


def test_a_probe_gives_a_batch_in_front_to_what_wants_it_second() -> None:
    measured = record(Probe(AddsToLengthFirst, "C(d, n)", "m(x.transpose(0, 1))"))["measured"]
    assert measured["batch axis"] == 1
    assert measured["batch first"] == "one row a sentence"
    assert "batch first" not in record(Probe(Adds, "C(d, n)", "m(x)"))["measured"]


class GoesOn(torch.nn.Module):
    """A layer that is built for no length, so that nothing ends."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d = d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Convention().table(x.shape[1], self.d)


def test_only_what_has_an_end_and_is_called_is_asked_past_it() -> None:
    assert record(Probe(GoesOn, "C(d)", "m(x)"))["measured"]["past the end"] == "no table"
    assert "past the end" not in record(Probe(Adds, "C(d, n)", "m.pe"))["measured"]


def test_an_error_is_a_share_of_the_size_of_the_rows() -> None:
    small = Convention(amplitude="d^-0.5")
    one = Surveyed("p", "1", "n", small, {"a": 0.01, "b": {"error": 0.02}, "c": "TimeoutError: x"})
    assert one.error("a") == pytest.approx(0.01 * 512**0.5, rel=1e-3)
    assert one.error("b") == pytest.approx(0.02 * 512**0.5, rel=1e-3)
    assert one.error("c") is None and one.error("d") is None
    assert size_of(Convention()) == pytest.approx(1.0)
    assert size_of(Convention(normalised=True)) == pytest.approx(0.1 * 2**0.5, rel=0.1)


def test_records_of_rotations_name_what_was_measured() -> None:
    assert {one.kind for one in relative()} == {"rotation", "bias"}
    for one in relative():
        key = "scores" if one.kind == "rotation" else "nearest 8 steps"
        assert all(key in one.cast[dtype] for dtype in ("float16", "bfloat16"))
        assert (one.layout in ("interleaved", "halves")) == (one.kind == "rotation")
        assert 0 < one.error < 0.01
