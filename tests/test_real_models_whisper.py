"""Whisper in plain PyTorch: against torch's own layers, and the sound that it hears."""

from __future__ import annotations

import io
import math
import shutil
import struct
import subprocess
import wave
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simplellm.real_models import Whisper, WhisperConfig, log_mel, whisper
from simplellm.real_models import whisper_runs as runs
from simplellm.real_models.tables import halves
from simplellm.sinusoids import sinusoidal_encoding

SMALL = WhisperConfig(vocab_size=40, d_model=24, n_layers=2, n_heads=3, frames=10, max_seq_len=12)
IDS = torch.tensor([[2, 7, 9, 3, 11], [5, 8, 8, 29, 0]])


@pytest.fixture
def model() -> Whisper:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Whisper(SMALL)
        for parameter in made.parameters():  # LayerNorms and biases too
            nn.init.normal_(parameter, std=0.3)
    return made.eval().requires_grad_(False)


@pytest.fixture
def frames(model: Whisper) -> Tensor:
    mel = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(1))
    out: Tensor = model.encoder(mel)
    return out


def torchs(layer: nn.Module, own: nn.Module) -> nn.Module:
    """Give torch's layer the weights of ours."""
    names = {
        "self_attn.in_proj_": "self_attention.linear_0.",
        "self_attn.out_proj.": "self_attention.linear_1.",
        "norm1.": "self_attention.layer_norm.",
        "linear1.": "ffn.linear_0.",
        "linear2.": "ffn.linear_1.",
    }
    state = own.state_dict()
    if isinstance(layer, nn.TransformerDecoderLayer):
        names |= {"norm2.": "attention.layer_norm.", "norm3.": "ffn.layer_norm."}
        names |= {"multihead_attn.out_proj.": "attention.linear_2."}
        for kind in ("weight", "bias"):
            parts = [state[f"attention.linear_{i}.{kind}"] for i in (0, 1)]
            state[f"both.{kind}"] = torch.cat(parts)
        names |= {"multihead_attn.in_proj_": "both."}
    else:
        names |= {"norm2.": "ffn.layer_norm."}
    theirs = {a + kind: state[b + kind] for a, b in names.items() for kind in ("weight", "bias")}
    layer.load_state_dict(theirs)
    return layer.eval()


def test_the_encoder_is_torchs_own_behind_two_convolutions(model: Whisper) -> None:
    mel = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(2))
    encoder = model.encoder
    gelu = nn.functional.gelu
    x = gelu(encoder.conv2(gelu(encoder.conv1(mel)))).transpose(1, 2)
    x = x + encoder.position_encodings.encodings
    for own in encoder.layers:
        layer = nn.TransformerEncoderLayer(
            24, 3, 96, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        x = torchs(layer, own)(x)
    assert torch.allclose(encoder.layer_norm(x), encoder(mel), atol=1e-5)


def test_the_decoder_is_torchs_own_with_a_tied_head(model: Whisper, frames: Tensor) -> None:
    decoder = model.decoder
    x = decoder.embeddings(IDS) + decoder.position_encodings.encodings[:5]
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    for own in decoder.layers:
        layer = nn.TransformerDecoderLayer(
            24, 3, 96, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        x = torchs(layer, own)(x, frames, tgt_mask=mask)
    logits, attention = decoder(IDS, frames)
    first = torchs(
        nn.TransformerDecoderLayer(24, 3, 96, dropout=0, batch_first=True), decoder.layers[0]
    )
    entering = first.norm1(decoder.embeddings(IDS) + decoder.position_encodings.encodings[:5])
    looks = first.self_attn(*[entering] * 3, attn_mask=mask, average_attn_weights=False)[1]
    assert torch.allclose(attention[0], looks, atol=1e-5)
    assert torch.allclose(decoder.layer_norm(x) @ decoder.embeddings.weight.T, logits, atol=1e-4)
    for weights in attention:
        assert weights.shape == (2, 3, 5, 5)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 5))
        assert not weights.triu(1).any()


def test_rows_take_the_place_of_the_tables(model: Whisper, frames: Tensor) -> None:
    table = model.decoder.position_encodings.encodings
    logits, _ = model.decoder(IDS, frames)
    assert torch.equal(model.decoder(IDS, frames, rows=table[:5])[0], logits)
    assert not torch.allclose(model.decoder(IDS, frames, rows=table[1:6])[0], logits, atol=0.1)
    many = torch.zeros(1, 13, dtype=torch.long)
    with pytest.raises(
        ValueError, match=r"13 positions, and the table has 12 rows\. Cut the text, or"
    ):
        model.decoder(many, frames[:1])


def test_rows_take_the_place_of_the_encoders_sinusoids(model: Whisper) -> None:
    mel = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(3))
    own, rows = model.encoder(mel), torch.randn(10, 24)
    moved = model.encoder(mel, rows)
    assert not torch.allclose(moved, own, atol=0.1)
    model.encoder.position_encodings.encodings.copy_(rows)
    assert torch.equal(model.encoder(mel), moved)


def test_two_convolutions_of_three_frames_and_as_many_layers_as_asked_for(model: Whisper) -> None:
    encoder = model.encoder
    assert encoder.conv1.kernel_size == encoder.conv2.kernel_size == (3,)
    assert len(encoder.layers) == len(model.decoder.layers) == 2


def test_tokens_may_be_scaled_and_fill_the_table(model: Whisper, frames: Tensor) -> None:
    ids = torch.arange(12)[None]  # as many as there are rows
    logits, _ = model.decoder(ids, frames[:1], token_scale=2.0)
    other, _ = model.decoder(
        ids,
        frames[:1],
        rows=model.decoder.position_encodings.encodings + model.decoder.embeddings(ids),
    )
    assert torch.allclose(logits, other, atol=1e-4)


#: What a decoder that has learned nothing else writes after the start: each token in its turn.
SAID = [[5, 6, 3, 7, 7], [8, 9, 9, 3, 7]]


@pytest.fixture
def says(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[list[int]], Tensor]]:
    """The tokens and rows that the decoder is asked with; 3 is the end."""
    asked: list[tuple[list[list[int]], Tensor]] = []

    def forward(ids: Tensor, frames: Tensor, *, rows: Tensor) -> tuple[Tensor, list[Tensor]]:
        asked.append((ids.tolist(), rows))
        following = [said[(ids.shape[1] - 2) % 5] for said in SAID]
        logits = torch.zeros(2, ids.shape[1], 40)
        logits[:, :-1, 11] = logits[range(2), -1, following] = 1.0
        return logits, []

    monkeypatch.setattr(model.decoder, "forward", forward)
    for name, token in {"START": 1, "NO_TIMES": 2, "END": 3}.items():
        monkeypatch.setattr(whisper, name, token)
    return asked


def test_it_writes_to_the_end_of_each_sound_and_no_further(
    model: Whisper, frames: Tensor, says: list[tuple[list[list[int]], Tensor]]
) -> None:
    assert model.transcribe(frames) == [[1, 2, 5, 6, 3], [1, 2, 8, 9, 9, 3]]
    assert [ids[0] for ids, _ in says] == [[1, 2, 5, 6, 3][:n] for n in (2, 3, 4, 5)]


def test_what_does_not_end_is_cut(
    model: Whisper,
    frames: Tensor,
    says: list[tuple[list[list[int]], Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert model.transcribe(frames, longest=2) == [[1, 2, 5, 6], [1, 2, 8, 9]]
    monkeypatch.setattr(whisper, "END", 30)
    says.clear()
    assert [len(text) for text in model.transcribe(frames)] == [42, 42] and len(says) == 40


def test_it_writes_with_the_rows_that_are_given(
    model: Whisper, frames: Tensor, says: list[tuple[list[list[int]], Tensor]]
) -> None:
    table, other = model.decoder.position_encodings.encodings, torch.randn(20, 24)
    for rows, given in ((table, {}), (other, {"rows": other})):
        says.clear()
        model.transcribe(frames, **given)
        for ids, used in says:
            assert torch.equal(used, rows[: len(ids[0])])


def test_each_parameter_has_a_name_in_the_file(model: Whisper) -> None:
    names = {whisper.file_name(name) for name in model.state_dict()}
    assert len(names) == len(model.state_dict())
    assert {
        "encoder/conv1/weight",
        "encoder/position_encodings/encodings",
        "decoder/embeddings/weight",
        "decoder/layer_1/attention/layer_norm/beta",
        "decoder/layer_0/ffn/linear_1/bias",
        "decoder/layer_norm/gamma",
    } <= names


# ---- sound ---------------------------------------------------------------------------------------


def test_mel_bands_are_triangles_of_area_one() -> None:
    filters = whisper.mel_filters()
    assert filters.shape == (80, 201) and filters.min() == 0
    assert (filters.sum(1)[20:] * 40).tolist() == pytest.approx([1] * 60, abs=0.1)  # 40 Hz a bin
    tops = filters.argmax(1)
    assert (tops.diff() >= 0).all() and tops[-1] * 40 == pytest.approx(7699, abs=40)


def test_mel_bands_are_even_below_1000_hz_and_rise_by_equal_factors_above() -> None:
    """Edges from the formula of Slaney: 15 mels are 1000 Hz, 27 more a factor of 6.4."""

    def hertz(mel: float) -> float:
        return mel * 1000 / 15 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * math.log(8) / math.log(6.4)
    edges = [hertz(top * i / 81) for i in range(82)]
    filters = whisper.mel_filters()
    for band in (0, 10, 30, 60, 79):
        low, middle, high = edges[band : band + 3]
        for place in range(201):
            rising, falling = (
                (40 * place - low) / (middle - low),
                (high - 40 * place) / (high - middle),
            )
            expected = 2 / (high - low) * max(0, min(rising, falling))
            assert filters[band, place].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_a_tone_is_loudest_in_its_band_and_where_it_sounds() -> None:
    tone = (torch.arange(16_000) * math.tau * 1000 / 16_000).sin()
    for later in (0, 100):
        mel = log_mel(tone, later)
        assert mel.shape == (80, 3000)
        begin = 2 * later
        loud = mel.max(0).values > 0
        assert loud[begin + 5 : begin + 95].all() and not loud[: max(0, begin - 5)].any()
        assert not loud[begin + 105 :].any()
        band = int(mel[:, begin + 50].argmax())
        assert whisper.mel_filters()[band, 25] > 0  # 25 times 40 Hz


@pytest.mark.parametrize(("seconds", "later"), [(31, 0), (20, 501), (1, -1)])
def test_a_sound_that_does_not_end_in_time_is_refused(seconds: int, later: int) -> None:
    said = rf"within 30 s, got {seconds}\.0 s, begun after {later * 0.02:.1f} s\. Cut it\."
    with pytest.raises(ValueError, match=said):
        log_mel(torch.zeros(seconds * 16_000), later)


def test_half_a_minute_is_heard_whole_and_silence_is_eight_decades_below() -> None:
    sound = torch.randn(480_000, generator=torch.Generator().manual_seed(0)) / 10
    assert torch.equal(log_mel(sound), log_mel(sound, 0)) and log_mel(sound).shape == (80, 3000)
    mel = log_mel(sound[:160_000])
    assert mel.max() - mel.min() == pytest.approx(2)  # of logarithms over four


def test_without_a_speaker_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(runs.SpeakerError, match=r"espeak-ng, .* apt-get install espeak-ng"):
        runs.spoken("Hello.")


# ---- what is measured ----------------------------------------------------------------------------


def test_arms_of_the_decoder_are_rows_for_each_position() -> None:
    table = torch.randn(448, 384, generator=torch.Generator().manual_seed(0))
    arms = runs.decoder_arms(table, 10)
    for name, options in arms.items():
        rows = options.get("rows", table[:10])
        assert rows.shape == (10, 384), name
        if name.startswith("row 0 kept"):
            assert torch.equal(rows[0], table[0])
    assert torch.equal(arms["shift 8"]["rows"], table[8:18])
    assert torch.equal(arms["row 0 kept, rest shift 8"]["rows"][1:], table[9:18])
    assert torch.equal(arms["row 0 at place 5"]["rows"][5], table[0])
    assert torch.equal(arms["row 0 at place 5"]["rows"][[0, 4, 6]], table[[1, 5, 6]])
    own = arms["row 1 at row 0's length in its place"]["rows"]
    assert own[0].norm() == pytest.approx(float(table[0].norm()), rel=1e-5)
    assert torch.cosine_similarity(own[0], table[1], dim=0) == pytest.approx(1, abs=1e-5)
    assert torch.equal(own[1:], table[1:10])


def test_an_arm_of_the_decoder_is_what_its_name_says() -> None:
    table = 3 * torch.randn(448, 6, generator=torch.Generator().manual_seed(0))
    table[1] *= 100
    arms = runs.decoder_arms(table, 10)
    rest = arms["row 0 times 0.25"]["rows"][1:]
    for name, options in arms.items():
        number = name.rsplit(" ", 1)[-1]
        if name.startswith("shift"):
            assert torch.equal(options["rows"], table[int(number) : int(number) + 10])
        elif name.startswith("row 0 kept, rest shift"):
            assert torch.equal(options["rows"][1:], table[int(number) + 1 : int(number) + 10])
        elif name.startswith("row 0 times"):
            assert torch.equal(options["rows"][0], float(number) * table[0])
            assert torch.equal(options["rows"][1:], table[1:10])
    assert arms["as trained"] == {}
    assert torch.equal(arms["row 0 at place 1"]["rows"], table[[1, 0, *range(2, 10)]])
    assert not arms["all zero"]["rows"].any()
    assert torch.equal(arms["row 0 kept, rest all row 5"]["rows"], table[[0] + [5] * 9])
    mean = arms["row 0 kept, rest the mean row"]["rows"][1:]
    assert torch.allclose(mean, (table.sum(0) - table[0]) / 447, atol=1e-4)
    formula = sinusoidal_encoding(range(1, 10), 6).float()
    waves = arms["row 0 kept, rest sinusoids of its RMS"]["rows"][1:]
    assert waves.square().mean() == pytest.approx(float(table[1:].square().mean()), rel=1e-4)
    assert torch.allclose(waves / waves[0, 0], formula / formula[0, 0], atol=1e-5)
    assert arms["tokens times √d"] == {"token_scale": math.sqrt(6)}
    assert torch.allclose(arms["positions times √d"]["rows"], table[:10] * math.sqrt(6))
    assert torch.equal(rest, table[1:10])


def test_chance_in_an_arm_is_that_of_its_seed() -> None:
    table = 3 * torch.randn(12, 200, generator=torch.Generator().manual_seed(0))
    first = runs.decoder_arms(table, 12)
    torch.rand(1)  # another state of the global generator
    again = runs.decoder_arms(table, 12)
    orders = {"shuffled": [], "any rows": []}  # type: dict[str, list[list[int]]]
    for name, options in first.items():
        if "seed" in name:
            assert torch.equal(options["rows"], again[name]["rows"]), name
            place = (options["rows"][1:, None] == table).all(2).nonzero()[:, 1].tolist()
            for kind in orders:
                if kind in name:  # each of the other rows once: there are just as many
                    assert sorted(place) == list(range(1, 12))
                    orders[kind].append(place)
            if "noise" in name:
                assert not place
                size = table[1:].square().mean().sqrt()
                assert options["rows"][1:].std() == pytest.approx(float(size), rel=0.1)
    for found in orders.values():
        assert len(set(map(tuple, found))) == len(runs.SEEDS)


def test_only_the_last_rows_of_each_text_are_new() -> None:
    table = torch.ones(448, 384)
    rows = runs.with_new_last_rows(table, 9, [5, 8], 2, 0)
    changed = (rows != 1).any(-1)
    assert [row.nonzero().flatten().tolist() for row in changed] == [[3, 4], [6, 7]]
    assert rows[changed].std() == pytest.approx(0.02, rel=0.1)


def test_an_outcome_is_over_the_tokens_that_were_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "END", 7)
    texts = [[1, 2, 3, 4], [1, 2, 5]]
    logits = torch.zeros(2, 4, 8)
    logits[0, 1, 3] = logits[0, 2, 0] = 100.0  # 3 is expected, 4 is not
    found = runs.outcome(logits, texts)
    assert found["clips"] == pytest.approx([50, math.log(8)])
    assert found["loss"] == pytest.approx((0 + 100 + math.log(8)) / 3)
    assert found["same"] == pytest.approx(1 / 3)


def test_arms_of_the_encoder_are_the_formula_moved_and_laid_out_otherwise() -> None:
    table = halves(1500, 384).float()
    arms = runs.encoder_arms(table)
    assert {arm.shape for arm in arms.values()} == {(1500, 384)}
    assert torch.allclose(arms["from 500"][:1000], table[500:], atol=1e-6)
    assert torch.allclose(arms["from 500"][1000:], halves(2000, 384)[1500:].float())
    assert torch.equal(arms["rolled by 500"][-500:], table[:500])
    woven = arms["sines and cosines interleaved"]
    assert torch.equal(woven[:, 0::2], table[:, :192])
    assert torch.equal(woven[:, 1::2], table[:, 192:])
    paper = arms["exponents over d/2"]
    assert torch.allclose(paper[:, 5].double(), sinusoidal_encoding(range(1500), 384)[:, 10])
    assert 0.001 < (paper - table).abs().max() < 2.01


def test_an_arm_of_the_encoder_is_what_its_name_says() -> None:
    table = halves(1500, 4).float()
    arms = runs.encoder_arms(table)
    assert torch.equal(arms["as trained"], table) and not arms["all zero"].any()
    assert torch.allclose(arms["the mean row"], table.double().mean(0).float(), atol=1e-6)
    assert torch.equal(arms["reversed"], table[torch.arange(1499, -1, -1)])
    for name, factor in {"0.1": 0.1, "0.5": 0.5, "2": 2, "√d": 2}.items():
        assert torch.allclose(arms[f"times {name}"], table * factor)
    order = (arms["shuffled, seed 0"][:, None] == table).all(2).nonzero()[:, 1]
    assert sorted(order.tolist()) == list(range(1500)) != order.tolist()
    noise = arms["noise, seed 0"]
    assert noise.square().mean() == pytest.approx(0.5, rel=0.05)  # as large as the sinusoids
    torch.rand(1)  # another state of the global generator
    again = runs.encoder_arms(table)
    assert torch.equal(again["shuffled, seed 0"], arms["shuffled, seed 0"])
    assert torch.equal(again["noise, seed 0"], noise)


def test_whole_numbers_of_16_bits_are_kept_of_sounds() -> None:
    data = runs._sixteen_bits([torch.tensor([0.5, -1.0]), torch.tensor([2**-15, 0.7e-15])])
    assert struct.unpack("<4h", data) == (16_384, -32_768, 1, 0)


def test_what_the_speaker_writes_is_read_at_16_khz(monkeypatch: pytest.MonkeyPatch) -> None:
    tone = (torch.arange(2205) * math.tau * 100 / 22_050).sin() / 2
    header = io.BytesIO()
    with wave.open(header, "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", ""))
        file.writeframes(b"")  # to a pipe no length can be written
    written = header.getvalue() + (tone * 2**15).round().short().numpy().tobytes() + b"\0"
    asked = []

    def run(command: list[str], **options: Any) -> Any:
        asked.append((command, options))
        return SimpleNamespace(stdout=written)

    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    expected = (torch.arange(1600) * math.tau * 100 / 16_000).sin() / 2
    assert torch.allclose(runs.spoken("Hello."), expected, atol=1e-3)
    command = ["espeak-ng", "-v", "en-us", "-s", "150", "--stdout", "Hello."]
    assert asked == [(command, {"capture_output": True, "check": True})]


def test_the_speakers_version_is_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> Any:
        assert command == ["espeak-ng", "--version"]
        assert options == {"capture_output": True, "check": True, "text": True}
        return SimpleNamespace(stdout="eSpeak NG text-to-speech: 1.51  Data at: /usr/lib\n")

    monkeypatch.setattr(subprocess, "run", run)
    assert runs.version_of_speaker() == "eSpeak NG text-to-speech: 1.51"


def test_all_that_the_new_rate_can_hold_is_kept() -> None:
    high = (torch.arange(2205) * math.tau * 7990 / 22_050).sin()
    found = runs.resampled(high, 22_050, 16_000)
    assert torch.allclose(found, (torch.arange(1600) * math.tau * 7990 / 16_000).sin(), atol=2e-3)
    assert len(runs.resampled(torch.zeros(2207), 22_050, 16_000)) == 1601


def test_the_same_sound_has_the_same_samples_in_another_rate() -> None:
    tone = (torch.arange(2205) * math.tau * 100 / 22_050).sin()
    found = runs.resampled(tone, 22_050, 16_000)
    expected = (torch.arange(1600) * math.tau * 100 / 16_000).sin()
    assert torch.allclose(found, expected, atol=1e-4)
