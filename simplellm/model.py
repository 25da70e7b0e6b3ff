"""SimpleLLM: a decoder-only language model, small enough to train on two cores in a minute.

Six ways to tell it where a token stands: two at the input (`sinusoidal`, `learned`), three in
attention (`rope`, `alibi`, `t5`), and `none`.
"""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import (
    CausalSelfAttention,
    Reach,
    check_segment_ids,
    reset_linear,
    triangle,
    visible_keys,
)
from .cache import KeyValueCache, check_cache
from .checkpoints import check_fits, fill, read_checkpoint, refused, unwrapped, write_checkpoint
from .checks import check_bool, check_ids, check_int, check_mask, check_positions
from .config import ABSOLUTE
from .config import POSITIONS as POSITIONS
from .config import SimpleLLMConfig as SimpleLLMConfig
from .generation import check_prompt, check_sampling, choose
from .input_embedding import InputEmbedding
from .loss import next_token_loss as next_token_loss
from .relative_positions import RelativePositionBias, alibi_bias, rotary_turns
from .token_embedding import TokenEmbedding
from .vocabulary import PAD


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
        segment_ids: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Logits of the next token, at every token.

        Args:
            ids: ``(batch, seq_len)``, integer.
            positions: ``(seq_len,)`` or ``(batch, seq_len)``, integer. Left at None they count
                from 0, from each row's first real token, or on from its last one in the cache,
                and anew in each segment.
            attention_mask: ``(batch, tokens)``, True or 1 at real tokens, over the cache's tokens
                and ``ids`` together; nobody looks at the others. Left at None, what the cache
                remembers of its own tokens holds on, and all new ones are real.
            segment_ids: ``(batch, seq_len)``, integer: which of the texts packed into a row each
                token belongs to. A token looks at its own text only. Not with a cache.
            cache: Tokens read before by this model; those of ``ids`` are added to it once all is
                computed.

        Returns:
            ``(batch, seq_len, vocab_size)``.

        Raises:
            TypeError, ValueError, IndexError: For each bad argument, by name; the cache stays as
                it was.
        """
        # Tokens are added to a copy, so that a call that fails leaves the cache as it was.
        grown = None
        if cache is not None:
            check_cache(cache)
            grown = cache.copy()
        x, reach = self._read(ids, positions, attention_mask, segment_ids, grown)
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
        segment_ids: Tensor | None = None,
    ) -> Tensor:
        """Where every head of every block looks.

        Args:
            ids, positions, attention_mask, segment_ids: As in ``forward``.

        Returns:
            ``(n_layers, batch, n_heads, queries, keys)``, without gradient; each row sums to 1.
        """
        with torch.no_grad():
            x, reach = self._read(ids, positions, attention_mask, segment_ids, None)
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
        segment_ids: Tensor | None,
        cache: KeyValueCache | None,
    ) -> tuple[Tensor, Reach]:
        """The input vectors ``(batch, seq_len, d_model)``, and what each token may look at."""
        check_ids(ids)
        batch, seq_len = ids.shape
        if segment_ids is not None:
            check_segment_ids(segment_ids, ids)
            if cache is not None:
                raise ValueError(
                    "segment_ids must be None with a cache, whose tokens are all of one text: "
                    "read packed texts without a cache, or each with a cache of its own."
                )
        if cache is not None:
            cache.check(self, self.config.n_layers, batch)
        start = 0 if cache is None else len(cache)
        mask = self._whole_mask(ids, attention_mask, cache)  # (batch, tokens), or None
        visible = visible_keys(seq_len, mask, segment_ids, before=start, device=ids.device)
        held = KeyValueCache(self.config.n_layers) if cache is None else cache
        if positions is None:
            if segment_ids is not None and visible is not None:
                # As many places on as there are real tokens of the same text before.
                positions = (visible.squeeze(1).sum(-1) - 1).clamp(min=0)
            elif mask is not None or held.positions is not None:
                positions = held.next_positions(mask, seq_len, ids.device).expand(batch, -1)
        x = self.input_embedding(ids, start=start, positions=positions)
        if positions is None:
            here = torch.arange(start, start + seq_len, device=ids.device).unsqueeze(0)
        else:
            check_positions(positions, x)
            here = positions.long() if positions.dim() == 2 else positions.long().unsqueeze(0)
        before = held.held_positions(ids.device)
        if before.shape[0] != here.shape[0]:
            rows = here.shape[0] if before.shape[0] == 1 else before.shape[0]
            before, here = before.expand(rows, -1), here.expand(rows, -1)
        everywhere = torch.cat((before, here), dim=1)  # (batch or 1, tokens)
        if cache is not None:
            counted = positions is None and cache.positions is None
            cache.positions, cache.mask = None if counted else everywhere, mask
            cache.claim(self)
        return x, self._reach(here, everywhere, visible, x.dtype)

    def _whole_mask(
        self, ids: Tensor, attention_mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor | None:
        """Which of the cache's tokens and of ``ids`` are real, bool; None for all."""
        if attention_mask is None:
            if cache is None or cache.mask is None:
                return None
            return torch.cat((cache.mask, torch.ones_like(ids, dtype=torch.bool)), dim=1)
        check_mask(attention_mask, "attention_mask")
        wanted = (ids.shape[0], ids.shape[1] + (0 if cache is None else len(cache)))
        if tuple(attention_mask.shape) != wanted:
            raise ValueError(
                f"attention_mask must have shape (batch, tokens) = {wanted}, got "
                f"{tuple(attention_mask.shape)}. It covers what the cache holds and ids together."
            )
        if attention_mask.device != ids.device:
            raise ValueError(
                f"attention_mask must be on the device of ids, {ids.device}, got "
                f"{attention_mask.device}. Move it: attention_mask.to(ids.device)."
            )
        return attention_mask.bool()

    def _reach(
        self, here: Tensor, everywhere: Tensor, visible: Tensor | None, dtype: torch.dtype
    ) -> Reach:
        """What queries at positions ``here`` see of keys at positions ``everywhere``."""
        config = self.config
        turns = None
        if config.position == "rope":
            # (batch or 1, 1, seq_len, head_dim / 2): the 1 is for the heads.
            turns = rotary_turns(here.unsqueeze(1), config.d_model // config.n_heads, config.base)
            turns = turns.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
        if config.position not in ("alibi", "t5"):
            return Reach(visible=visible, turns=turns)
        distance = here.unsqueeze(2) - everywhere.unsqueeze(1)  # (batch or 1, queries, keys)
        if self.position_bias is None:
            # What stands ahead, by explicit positions, is as far as what stands behind: a negative
            # distance would be a bonus.
            bias = alibi_bias(distance.abs(), config.n_heads)
        else:
            bias = self.position_bias(distance)
        if visible is None:
            queries, keys = distance.shape[1:]
            visible = triangle(queries, keys, here.device)
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
        longest = check_prompt(ids, attention_mask)
        table = self.input_embedding.token_embedding
        temperature, top_k, eos_id = check_sampling(
            temperature, top_k, eos_id, generator, table.vocab_size, ids.device
        )
        max_new_tokens = check_int("max_new_tokens", max_new_tokens)
        self._check_length(longest, max_new_tokens)
        modes = [(module, module.training) for module in self.modules()]
        try:
            self.eval()
            return self._continue(
                ids.long(), max_new_tokens, temperature, use_cache, eos_id, attention_mask, top_k,
                generator,
            )  # fmt: skip
        finally:
            # Each by itself: a part may have been frozen in evaluation while the rest trains.
            for module, training in modes:
                module.training = training

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
            new = choose(logits, temperature, top_k, generator)  # (batch, 1)
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

    def _check_length(self, longest: int, max_new_tokens: int) -> None:
        """Refuse, before anything is generated, what needs positions that the model lacks."""
        if max_new_tokens < 0:
            raise ValueError(f"max_new_tokens must be at least 0, got {max_new_tokens}.")
        needed = longest + max_new_tokens - 1  # the last new token is returned and never read
        rows = self._sizes()["max_seq_len"]
        if self.config.position == "learned" and max_new_tokens and needed > rows:
            raise ValueError(
                f"{longest} prompt tokens and max_new_tokens = {max_new_tokens} need {needed} "
                f"positions, more than max_seq_len = {rows}: a learned table "
                "has no rows past its end. Ask for fewer tokens, shorten the prompt, or use "
                "another position scheme."
            )

    def _sizes(self) -> dict[str, Any]:
        """Rows of both tables, from themselves: either may have been replaced by a longer one."""
        layer = self.input_embedding
        rows = layer.pos_embedding.max_seq_len if isinstance(layer, InputEmbedding) else None
        return {
            "vocab_size": layer.token_embedding.vocab_size,
            "max_seq_len": self.config.max_seq_len if rows is None else rows,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write configuration and weights to one file, in one step or not at all.

        The configuration has the sizes that the tables have now.

        Raises:
            ValueError: If :meth:`load` could not build this model again, because parts of it were
                replaced; says which.
            OSError: If the file cannot be written.
        """
        weights = unwrapped(self.state_dict())
        try:
            config = dataclasses.replace(self.config, **self._sizes())
            check_fits(weights, type(self)(config, device="meta"))
        except ValueError as error:
            raise ValueError(
                f"this model cannot be loaded again from {os.fspath(path)!r} and was not saved: "
                f"{error} Save model.state_dict() with torch.save instead."
            ) from error
        write_checkpoint(path, dataclasses.asdict(config), weights)

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
