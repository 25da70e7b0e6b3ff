"""SimpleLLM: a decoder-only language model, small enough to train on two cores in a minute.

Six ways to tell it where a token stands: two at the input (`sinusoidal`, `learned`), three in
attention (`rope`, `alibi`, `t5`), and `none`.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import CausalSelfAttention, KeyValueCache, Reach, reset_linear
from .checkpoints import check_fits, fill, read_checkpoint, refused, write_checkpoint
from .checks import (
    check_base,
    check_bool,
    check_dropout,
    check_even_d_model,
    check_ids,
    check_init_std,
    check_int,
    check_mask,
    check_positions,
    check_positive_int,
    check_positive_number,
)
from .input_embedding import InputEmbedding
from .loss import next_token_loss as next_token_loss
from .plain import plain
from .positions import positions_from_mask
from .relative_positions import RelativePositionBias, alibi_bias, rotary_turns
from .sinusoids import DEFAULT_BASE
from .token_embedding import TokenEmbedding
from .vocabulary import PAD

ABSOLUTE = ("sinusoidal", "learned")
POSITIONS = ("none", *ABSOLUTE, "rope", "alibi", "t5")


@dataclass(frozen=True)
class SimpleLLMConfig:
    """Everything it takes to build a :class:`SimpleLLM`; checked when it is made.

    Args:
        vocab_size: Number of token ids; the first three are PAD, BOS and EOS.
        d_model: Width of the vectors.
        n_layers: Number of blocks.
        n_heads: Number of attention heads; divides ``d_model``.
        max_seq_len: Number of positions in a table; only ``"learned"`` ends there.
        dropout: Share of entries set to zero in training: after the input, in attention, and
            after each half of a block.
        position: How the model is told where a token stands: ``"none"``, ``"sinusoidal"``,
            ``"learned"``, ``"rope"``, ``"alibi"`` or ``"t5"``.
        tie_weights: Use the token table as the output projection too.
        scale: Multiply token rows by √d_model on the way in. The projection is never scaled.
        init_std: Standard deviation the token table starts from.
        position_rms: Root mean square that an absolute scheme's rows start from; None for what
            each has by itself (see :class:`InputEmbedding`).
        padding_idx: Token id whose row stays zero, and whose logit is masked for that; None for
            an ordinary row.
        base: The constant the paper sets to 10 000; for ``"sinusoidal"`` and ``"rope"``.
        block_dropout: Dropout inside the blocks, where it is not to be that of the input.

    Raises:
        TypeError, ValueError: For each bad argument, by name.

    Example:
        >>> config = SimpleLLMConfig(vocab_size=259, d_model=64, n_layers=2, n_heads=4,
        ...                          max_seq_len=128, dropout=0.0, position="rope")
        >>> SimpleLLMConfig(259, 64, 2, 4, 128, 0.0, position="rotary")
        Traceback (most recent call last):
            ...
        ValueError: position must be one of none, sinusoidal, learned, rope, alibi, t5, got ...
    """

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    max_seq_len: int
    dropout: float = 0.0
    position: str = "sinusoidal"
    tie_weights: bool = True
    scale: bool = True
    init_std: float = 0.02
    position_rms: float | None = None
    padding_idx: int | None = None
    base: float = DEFAULT_BASE
    block_dropout: float | None = None

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            object.__setattr__(self, setting.name, plain(getattr(self, setting.name)))
        for name in ("vocab_size", "d_model", "n_layers", "n_heads", "max_seq_len"):
            check_positive_int(name, getattr(self, name))
        check_dropout(self.dropout)
        if self.block_dropout is not None:
            check_dropout(self.block_dropout, "block_dropout")
        if self.position not in POSITIONS:
            raise ValueError(
                f"position must be one of {', '.join(POSITIONS)}, got {self.position!r}."
            )
        check_bool("tie_weights", self.tie_weights)
        check_bool("scale", self.scale)
        check_init_std(self.init_std)
        check_base(self.base)
        if self.vocab_size < 4:
            raise ValueError(
                f"vocab_size must be at least 4, got {self.vocab_size}: ids 0, 1 and 2 are PAD, "
                "BOS and EOS."
            )
        if self.d_model % self.n_heads:
            raise ValueError(
                f"n_heads must divide d_model = {self.d_model}, got {self.n_heads}: each head has "
                "the width d_model / n_heads."
            )
        if self.position == "sinusoidal":
            check_even_d_model(self.d_model)
        if self.position == "rope" and (self.d_model // self.n_heads) % 2:
            raise ValueError(
                f"d_model / n_heads must be even for rotary positions, got {self.d_model} / "
                f"{self.n_heads} = {self.d_model // self.n_heads}: they turn pairs of columns."
            )
        if self.position_rms is not None:
            check_positive_number("position_rms", self.position_rms)
            if self.position not in ABSOLUTE:
                raise ValueError(
                    f"position_rms must be None with position = {self.position!r}, got "
                    f"{self.position_rms}: nothing is added at the input."
                )
        if self.base != DEFAULT_BASE and self.position not in ("sinusoidal", "rope"):
            raise ValueError(
                f"base must be left at {DEFAULT_BASE:g} with position = {self.position!r}, got "
                f"{self.base}: it has no frequencies."
            )
        if self.padding_idx is not None:
            check_int("padding_idx", self.padding_idx)
            if not 0 <= self.padding_idx < self.vocab_size:
                raise ValueError(
                    f"padding_idx must be at least 0 and below vocab_size = {self.vocab_size}, "
                    f"got {self.padding_idx}."
                )


class TokensOnly(nn.Module):
    """Token rows, then dropout: the input of a model that is told about positions elsewhere.

    Takes the arguments of :class:`InputEmbedding`'s forward, and adds no positions.
    """

    def __init__(self, token_embedding: TokenEmbedding, dropout: float) -> None:
        super().__init__()
        self.token_embedding = token_embedding
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Draw the token table anew."""
        self.token_embedding.reset_parameters()

    def forward(self, ids: Tensor, *, start: int = 0, positions: Tensor | None = None) -> Tensor:
        """ids ``(batch, seq_len)`` to ``(batch, seq_len, d_model)``."""
        return self.dropout(self.token_embedding(ids))


class Block(nn.Module):
    """Attention, then a two-layer network for each token; each reads a normalised copy and adds.

    Source: the pre-norm order of Radford et al. 2019 ("GPT-2"), section 2.3.
    """

    def __init__(self, config: SimpleLLMConfig, **factory: Any) -> None:
        super().__init__()
        d_model = config.d_model
        dropout = config.dropout if config.block_dropout is None else config.block_dropout
        self.attention_norm = nn.LayerNorm(d_model, **factory)
        self.attention = CausalSelfAttention(d_model, config.n_heads, dropout, **factory)
        self.mlp_norm = nn.LayerNorm(d_model, **factory)
        self.widen = nn.Linear(d_model, 4 * d_model, **factory)
        self.narrow = nn.Linear(4 * d_model, d_model, **factory)
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Restore the initial state of all parts."""
        for part in (self.attention_norm, self.attention, self.mlp_norm):
            part.reset_parameters()
        reset_linear(self.widen)
        reset_linear(self.narrow)

    def forward(
        self, x: Tensor, reach: Reach, cache: KeyValueCache | None = None, layer: int = 0
    ) -> Tensor:
        """x ``(batch, seq_len, d_model)`` to the same shape."""
        attended = self.attention(self.attention_norm(x), reach, cache=cache, layer=layer)
        x = x + self.dropout(attended)
        return x + self.dropout(self.narrow(F.gelu(self.widen(self.mlp_norm(x)))))


class SimpleLLM(nn.Module):
    """A decoder-only language model around the input layer of this book.

    Args:
        config: What to build.
        device: Device of parameters and buffers.
        dtype: Floating-point dtype of parameters and buffers.

    Attributes:
        config: As given.
        input_embedding: An :class:`InputEmbedding`, or, where positions live in attention or
            nowhere, token rows and dropout alone. Either has ``token_embedding``.
        blocks: An ``nn.ModuleList`` of the blocks.
        norm: The last ``nn.LayerNorm``.
        output: An ``nn.Linear`` without bias, ``d_model`` to ``vocab_size``; None with tied
            weights, where the token table is read instead, so that nothing can untie them.

    Shape:
        ids ``(batch, seq_len)`` to logits ``(batch, seq_len, vocab_size)``.

    Raises:
        TypeError, ValueError, IndexError: As its parts, for each bad argument by name.

    Example:
        >>> config = SimpleLLMConfig(vocab_size=259, d_model=64, n_layers=2, n_heads=4,
        ...                          max_seq_len=128, dropout=0.0)
        >>> model = SimpleLLM(config)
        >>> ids = torch.tensor([[1, 15, 234, 89, 2]])
        >>> model(ids).shape
        torch.Size([1, 5, 259])
        >>> model.generate(ids, max_new_tokens=3).shape
        torch.Size([1, 8])

    Source: Vaswani et al. 2017; pre-norm blocks and the tied head as in Radford et al. 2019.
    """

    def __init__(
        self,
        config: SimpleLLMConfig,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not isinstance(config, SimpleLLMConfig):
            raise TypeError(
                f"config must be a SimpleLLMConfig, got {type(config).__name__}. "
                "Make one: SimpleLLMConfig(vocab_size, d_model, n_layers, n_heads, max_seq_len)."
            )
        super().__init__()
        self.config = config
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        tokens: dict[str, Any] = {
            "scale": config.scale,
            "init_std": config.init_std,
            "padding_idx": config.padding_idx,
        }
        self.input_embedding: InputEmbedding | TokensOnly
        if config.position in ABSOLUTE:
            self.input_embedding = InputEmbedding(
                config.vocab_size,
                config.d_model,
                config.max_seq_len,
                config.dropout,
                use_learned_pe=config.position == "learned",
                base=config.base,
                position_rms=config.position_rms,
                **tokens,
                **factory,
            )
        else:
            self.input_embedding = TokensOnly(
                TokenEmbedding(config.vocab_size, config.d_model, **tokens, **factory),
                config.dropout,
            )
        # One table for all blocks, as in T5.
        self.position_bias = (
            RelativePositionBias(config.n_heads, **factory) if config.position == "t5" else None
        )
        self.blocks = nn.ModuleList(Block(config, **factory) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model, **factory)
        self.output = (
            None
            if config.tie_weights
            else nn.Linear(config.d_model, config.vocab_size, bias=False, **factory)
        )
        if self.output is not None:
            reset_linear(self.output)

    def reset_parameters(self) -> None:
        """Restore the initial state of every part."""
        self.input_embedding.reset_parameters()
        for block in self.blocks:
            block.reset_parameters()  # type: ignore[operator]
        self.norm.reset_parameters()
        if self.position_bias is not None:
            self.position_bias.reset_parameters()
        if self.output is not None:
            reset_linear(self.output)

    @property
    def output_weight(self) -> Tensor:
        """The projection to logits, ``(vocab_size, d_model)``: the token table where tied."""
        if self.output is not None:
            return self.output.weight
        return self.input_embedding.token_embedding.embedding.weight

    def forward(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Logits of the next token, at every token.

        Args:
            ids: ``(batch, seq_len)``, integer.
            positions: ``(seq_len,)`` or ``(batch, seq_len)``, integer. Left at None they count
                from 0, from the cache's end, or from each row's first real token.
            attention_mask: ``(batch, tokens)``, True or 1 at real tokens, over the cache's tokens
                and ``ids`` together; nobody looks at the others.
            cache: Tokens read before; those of ``ids`` are added to it.

        Returns:
            ``(batch, seq_len, vocab_size)``.
        """
        # Tokens are added to a copy, so that a call that fails leaves the cache as it was.
        grown = None if cache is None else cache.copy()
        x, reach = self._read(ids, positions, attention_mask, grown)
        for layer, block in enumerate(self.blocks):
            x = block(x, reach, grown, layer)  # (batch, seq_len, d_model)
        x = self.norm(x)
        # Called as a module, so that hooks, wrappers and quantisation of an untied head count.
        logits = F.linear(x, self.output_weight) if self.output is None else self.output(x)
        if self.config.padding_idx is not None:
            # A tied PAD row would be trained by the softmax through the projection. With its
            # logit fixed it gets no gradient from there either. That far below all others its
            # probability is 0 in float32, and means and smoothed losses stay numbers.
            lowest = logits.detach().amin(-1, keepdim=True) - 104
            is_pad = torch.arange(logits.shape[-1], device=logits.device) == self.config.padding_idx
            logits = torch.where(is_pad, lowest, logits)
        if cache is not None and grown is not None:
            cache.become(grown)
        return logits

    def attention_weights(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Where every head of every block looks.

        Args:
            ids, positions, attention_mask: As in ``forward``.

        Returns:
            ``(n_layers, batch, n_heads, queries, keys)``, without gradient; each row sums to 1.
        """
        with torch.no_grad():
            x, reach = self._read(ids, positions, attention_mask, None)
            seen = []
            for block in self.blocks:
                seen.append(block.attention.weights(block.attention_norm(x), reach))  # type: ignore
                x = block(x, reach)
        return torch.stack(seen)

    def _read(
        self,
        ids: Tensor,
        positions: Tensor | None,
        attention_mask: Tensor | None,
        cache: KeyValueCache | None,
    ) -> tuple[Tensor, Reach]:
        """The input vectors ``(batch, seq_len, d_model)``, and what each token may look at."""
        if not torch.compiler.is_compiling():
            check_ids(ids)
        start = 0 if cache is None else len(cache)
        batch, seq_len = ids.shape
        if attention_mask is not None:
            check_mask(attention_mask, "attention_mask")
            if tuple(attention_mask.shape) != (batch, start + seq_len):
                raise ValueError(
                    f"attention_mask must have shape (batch, tokens) = ({batch}, "
                    f"{start + seq_len}), got {tuple(attention_mask.shape)}. It covers what the "
                    "cache holds and ids together."
                )
            if positions is None:
                positions = positions_from_mask(attention_mask)[:, start:]
        x = self.input_embedding(ids, start=start, positions=positions)
        if positions is None:
            here = torch.arange(start, start + seq_len, device=ids.device).unsqueeze(0)
        else:
            check_positions(positions, x)
            here = positions.long() if positions.dim() == 2 else positions.long().unsqueeze(0)
        before = here[:, :0] if cache is None or cache.positions is None else cache.positions
        if before.shape[0] != here.shape[0]:
            rows = max(before.shape[0], here.shape[0])
            before, here = before.expand(rows, -1), here.expand(rows, -1)
        everywhere = torch.cat((before, here), dim=1)  # (batch or 1, tokens)
        if cache is not None:
            cache.positions = everywhere
        return x, self._reach(here, everywhere, attention_mask, x.dtype)

    def _reach(
        self, here: Tensor, everywhere: Tensor, attention_mask: Tensor | None, dtype: torch.dtype
    ) -> Reach:
        """What queries at positions ``here`` may see of keys at positions ``everywhere``."""
        config = self.config
        turns = None
        if config.position == "rope":
            # (batch or 1, 1, seq_len, head_dim / 2): the 1 is for the heads.
            turns = rotary_turns(here.unsqueeze(1), config.d_model // config.n_heads, config.base)
            turns = turns.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
        queries, keys = here.shape[1], everywhere.shape[1]
        biased = config.position in ("alibi", "t5")
        if attention_mask is None and queries == keys and not biased:
            return Reach(turns=turns)
        # Who is seen is decided by order in the sequence, not by position: the queries are the
        # last of the keys.
        ones = torch.ones(queries, keys, dtype=torch.bool, device=here.device)
        visible = ones.tril(keys - queries)[None, None]  # (1, 1, queries, keys)
        if attention_mask is not None:
            # Padding sees itself, because a softmax over nothing is not a number.
            itself = visible & ~ones.tril(keys - queries - 1)
            visible = (visible & attention_mask.bool()[:, None, None, :]) | itself
        if not biased:
            return Reach(visible=visible, turns=turns)
        distance = here.unsqueeze(2) - everywhere.unsqueeze(1)  # (batch or 1, queries, keys)
        if self.position_bias is None:
            # What stands ahead, by explicit positions, is as far as what stands behind: a negative
            # distance would be a bonus.
            bias = alibi_bias(distance.abs(), config.n_heads)
        else:
            bias = self.position_bias(distance)
        return Reach(visible, bias.to(dtype).masked_fill(~visible, -math.inf))

    @torch.no_grad()
    def generate(
        self,
        ids: Tensor,
        max_new_tokens: int,
        *,
        temperature: float = 0.0,
        use_cache: bool = True,
        eos_id: int | None = None,
        attention_mask: Tensor | None = None,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Continue each row of ids; dropout is off meanwhile.

        Args:
            ids: ``(batch, seq_len)``, at least one token each; prompts of different lengths are
                padded on the left.
            max_new_tokens: How many tokens to add.
            temperature: 0 takes the likeliest token; 1 draws from the model's distribution.
            use_cache: Keep keys and values instead of reading everything again for each token.
            eos_id: Stop a row after this id, and stop when all rows have. A row that has stopped
                goes on repeating it.
            attention_mask: ``(batch, seq_len)``, 0 at left padding and 1 at tokens.
            top_k: Draw from this many likeliest tokens only.
            generator: Source of randomness for ``temperature`` above 0.

        Returns:
            ``(batch, seq_len + new)``, int64: ids with the new ones appended. PAD is never among
            those.

        Raises:
            ValueError: If the text would need positions that a learned table does not have;
                raised before anything is generated. Also for each bad argument, by name.
        """
        check_bool("use_cache", use_cache)
        self._check_generate(ids, max_new_tokens, temperature, eos_id, attention_mask, top_k)
        was_training = self.training
        self.eval()
        try:
            return self._continue(
                ids.long(), max_new_tokens, temperature, use_cache, eos_id, attention_mask, top_k,
                generator,
            )  # fmt: skip
        finally:
            self.train(was_training)

    def _continue(
        self,
        ids: Tensor,
        max_new_tokens: int,
        temperature: float,
        use_cache: bool,
        eos_id: int | None,
        mask: Tensor | None,
        top_k: int | None,
        generator: torch.Generator | None,
    ) -> Tensor:
        cache = KeyValueCache(self.config.n_layers) if use_cache else None
        done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        unread = ids
        for _ in range(max_new_tokens):
            logits = self(unread, attention_mask=mask, cache=cache)[:, -1]  # (batch, vocab_size)
            logits[:, PAD] = -math.inf
            new = _choose(logits, temperature, top_k, generator)  # (batch, 1)
            if eos_id is not None:
                new = new.masked_fill(done.unsqueeze(1), eos_id)
                done |= new.squeeze(1) == eos_id
            ids = torch.cat((ids, new), dim=1)
            if mask is not None:
                mask = torch.cat((mask, torch.ones_like(mask[:, :1])), dim=1)
            unread = ids if cache is None else new
            if eos_id is not None and bool(done.all()):
                break
        return ids

    def _check_generate(
        self,
        ids: Tensor,
        max_new_tokens: int,
        temperature: float,
        eos_id: int | None,
        mask: Tensor | None,
        top_k: int | None,
    ) -> None:
        check_ids(ids)
        check_int("max_new_tokens", max_new_tokens)
        if max_new_tokens < 0:
            raise ValueError(f"max_new_tokens must be at least 0, got {max_new_tokens}.")
        if ids.shape[1] == 0:
            raise ValueError(
                f"ids must hold at least one token per row, got shape {tuple(ids.shape)}. Begin "
                "with BOS to generate from nothing."
            )
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
            raise TypeError(f"temperature must be a number, got {temperature!r}.")
        if not 0.0 <= temperature < math.inf:
            raise ValueError(f"temperature must be finite and at least 0, got {temperature}.")
        if top_k is not None:
            check_positive_int("top_k", top_k)
        if eos_id is not None:
            check_int("eos_id", eos_id)
            if not 0 <= eos_id < self.config.vocab_size or eos_id == PAD:
                raise ValueError(
                    f"eos_id must be at least 0, below vocab_size = {self.config.vocab_size} and "
                    f"not PAD = {PAD}, got {eos_id}."
                )
        longest = ids.shape[1]
        if mask is not None:
            check_mask(mask, "attention_mask")
            if mask.shape != ids.shape:
                raise ValueError(
                    f"attention_mask must have the shape of ids, {tuple(ids.shape)}, got "
                    f"{tuple(mask.shape)}."
                )
            real = mask.long()
            if not bool(((real.diff(dim=1) >= 0).all(1) & (real[:, -1] == 1)).all()):
                raise ValueError(
                    "attention_mask must be 0 at padding on the left and 1 from the first token "
                    "to the end of each row: the next token follows the last column."
                )
            longest = int(real.sum(1).max())
        # The last new token is returned and never read.
        needed = longest + max_new_tokens - 1
        if self.config.position == "learned" and needed > self.config.max_seq_len:
            raise ValueError(
                f"{longest} prompt tokens and max_new_tokens = {max_new_tokens} need {needed} "
                f"positions, more than max_seq_len = {self.config.max_seq_len}: a learned table "
                "has no rows past its end. Ask for fewer tokens, shorten the prompt, or use "
                "another position scheme."
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write configuration and weights to one file, in one step or not at all."""
        write_checkpoint(path, dataclasses.asdict(self.config), self.state_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "cpu") -> SimpleLLM:
        """Read what :meth:`save` wrote; nothing in the file is executed.

        Each weight comes back in the dtype it was saved in, and names that a wrapper has made
        longer (``module.``, ``_orig_mod.``) are understood.

        Raises:
            OSError: If there is no such file, or it cannot be read.
            ValueError: If the file holds something else; says what.
        """
        config, weights = read_checkpoint(
            path, [f.name for f in dataclasses.fields(SimpleLLMConfig)]
        )
        with refused(path):
            settings = SimpleLLMConfig(**config)
            check_fits(weights, cls(settings, device="meta"))
        model = cls(settings, device=device)
        with refused(path):
            fill(model, weights)
        return model


def _choose(
    logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None
) -> Tensor:
    """One id per row, ``(batch, 1)``: the likeliest, or drawn."""
    if temperature == 0.0:
        return logits.argmax(-1, keepdim=True)
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    weights = (logits / temperature).softmax(-1)
    return torch.multinomial(weights, 1, generator=generator)
