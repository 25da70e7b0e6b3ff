"""SimpleLLM: a decoder-only language model, small enough to train on two cores in a minute.

How it is told where a token stands is its position scheme's work: `simplellm/schemes/`.

How a call goes, for ``model(ids, attention_mask=..., cache=...)``:

1. ``forward`` works on a copy of the cache, so that a call that fails leaves the cache as it was.
2. ``_prepare`` checks the arguments, and finds three things for the new tokens: which keys each
   query may attend to (``visible_keys``), at which positions they are (given, or counted from the
   mask and the cached positions), and their vectors (``input_embedding``, where an absolute scheme
   adds positions).
3. ``_contexts`` asks the scheme for the rotations of queries and keys and for the attention bias,
   and gives each block its ``AttentionContext`` of mask, bias and rotations.
4. Each ``Block`` attends (queries, keys and values; rotations; cached keys and values before the
   new ones; scores plus bias; softmax), then applies its two-layer network.
5. The last norm and the output projection make logits; with ``padding_idx`` PAD's is lowered.
   Only now the caller's cache takes the new tokens.
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
    AttentionContext,
    CausalSelfAttention,
    causal_mask,
    check_segment_ids,
    reset_linear,
    visible_keys,
)
from .cache import KeyValueCache, check_cache
from .checkpoints import check_fits, fill, read_checkpoint, refused, unwrapped, write_checkpoint
from .checks import check_bool, check_ids, check_int, check_positions
from .config import ADDED_SETTINGS
from .config import POSITIONS as POSITIONS
from .config import SimpleLLMConfig as SimpleLLMConfig
from .generation import check_prompt, check_sampling, choose
from .loss import next_token_loss as next_token_loss
from .schemes import POSITION_SCHEMES
from .vocabulary import PAD


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
        self,
        x: Tensor,
        context: AttentionContext,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """x ``(batch, seq_len, d_model)`` to the same shape."""
        attended = self.attention(self.attention_norm(x), context, cache=cache, layer=layer)
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
        scheme: The :class:`~simplellm.schemes.PositionScheme`.
        input_embedding: An :class:`InputEmbedding`, or, where positions live in attention or
            nowhere, token rows and dropout alone. Either has ``token_embedding``.
        embedding_norm: The ``nn.LayerNorm`` of the input vectors, with ``embedding_norm``; or None.
        position_bias: The trained attention bias of ``"t5"``, one for all blocks; or None.
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
        self.scheme = POSITION_SCHEMES[config.position](config)
        self.input_embedding = self.scheme.input_embedding(**factory)
        self.embedding_norm = (
            nn.LayerNorm(config.d_model, **factory) if config.embedding_norm else None
        )
        self.position_bias = self.scheme.bias_module(**factory)
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
        if self.embedding_norm is not None:
            self.embedding_norm.reset_parameters()
        if self.position_bias is not None:
            self.position_bias.reset_parameters()  # type: ignore[operator]
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
                and ``ids`` together; no token attends to the others. Left at None, what the cache
                remembers of its own tokens holds on, and all new ones are real.
            segment_ids: ``(batch, seq_len)``, integer: which of the texts packed into a row each
                token belongs to. A token attends to its own text only. Not with a cache.
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
        x, contexts = self._prepare(ids, positions, attention_mask, segment_ids, grown)
        for layer, block in enumerate(self.blocks):
            x = block(x, contexts[layer], grown, layer)  # (batch, seq_len, d_model)
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
        """The attention weights of every head of every block.

        Args:
            ids, positions, attention_mask, segment_ids: As in ``forward``.

        Returns:
            ``(n_layers, batch, n_heads, queries, keys)``, without gradient; each row sums to 1.
        """
        with torch.no_grad():
            x, contexts = self._prepare(ids, positions, attention_mask, segment_ids, None)
            weights = []
            for block, context in zip(self.blocks, contexts, strict=True):
                normed = block.attention_norm(x)  # type: ignore[operator]
                weights.append(block.attention.weights(normed, context))  # type: ignore
                x = block(x, context)
        return torch.stack(weights)

    def _prepare(
        self,
        ids: Tensor,
        positions: Tensor | None,
        attention_mask: Tensor | None,
        segment_ids: Tensor | None,
        cache: KeyValueCache | None,
    ) -> tuple[Tensor, list[AttentionContext]]:
        """The input vectors ``(batch, seq_len, d_model)``, and the context of each block."""
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
            self._check_causal("be used with a cache")
        cached = KeyValueCache(self.config.n_layers) if cache is None else cache
        mask = cached.extended_mask(attention_mask, ids)  # (batch, tokens), or None
        visible = visible_keys(
            seq_len,
            mask,
            segment_ids,
            before=len(cached),
            causal=self.config.causal,
            device=ids.device,
        )  # (batch or 1, 1, queries, keys), or None
        if positions is None:
            if segment_ids is not None and visible is not None:
                # As many places on as there are real tokens of the same text before.
                before = causal_mask(seq_len, seq_len, ids.device)
                positions = ((visible.squeeze(1) & before).sum(-1) - 1).clamp(min=0)
            elif mask is not None or cached.positions is not None:
                positions = cached.next_positions(mask, seq_len, ids.device).expand(batch, -1)
        x = self.input_embedding(ids, start=len(cached), positions=positions)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if positions is None:
            start = len(cached)
            query_positions = torch.arange(start, start + seq_len, device=ids.device).unsqueeze(0)
        else:
            check_positions(positions, x)
            rows = positions if positions.dim() == 2 else positions.unsqueeze(0)
            query_positions = rows.long()  # (batch or 1, seq_len)
        cached_positions = cached.cached_positions(ids.device)  # (batch or 1, cached)
        # One row of positions stands for all; a batch may also be empty.
        n_rows = len(query_positions) if len(cached_positions) == 1 else len(cached_positions)
        query_positions = query_positions.expand(n_rows, -1)
        key_positions = torch.cat((cached_positions.expand(n_rows, -1), query_positions), dim=1)
        if cache is not None:
            counted = positions is None and cache.positions is None
            cache.positions, cache.mask = None if counted else key_positions, mask
            cache.claim(self)
        return x, self._contexts(query_positions, key_positions, visible, x.dtype)

    def _contexts(
        self,
        query_positions: Tensor,
        key_positions: Tensor,
        visible: Tensor | None,
        dtype: torch.dtype,
    ) -> list[AttentionContext]:
        """The mask, the scheme's bias and its rotations, for each block.

        Args:
            query_positions: ``(batch or 1, queries)``.
            key_positions: ``(batch or 1, keys)``, cached ones and those of the queries.
            visible: ``(batch or 1, 1, queries, keys)``, or None for the causal mask.
            dtype: Of the vectors.
        """
        rotations = self.scheme.rotations(query_positions)  # (batch or 1, 1, queries, pairs)
        if rotations is not None:
            # Once for all blocks: each would convert them itself.
            pairs = torch.complex128 if dtype == torch.float64 else torch.complex64
            rotations = rotations.to(pairs)
        # (batch or 1, heads, queries, keys)
        bias = self.scheme.bias(query_positions, key_positions, self.position_bias)
        if bias is not None:
            if visible is None:
                queries, keys = query_positions.shape[1], key_positions.shape[1]
                visible = causal_mask(queries, keys, bias.device)
            bias = bias.to(dtype).masked_fill(~visible, -math.inf)
        context = AttentionContext(visible, bias, rotations)
        return [
            self.scheme.in_block(layer, context, query_positions)
            for layer in range(self.config.n_layers)
        ]

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
        self._check_causal("generate")
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

    def _check_causal(self, what: str) -> None:
        """Refuse what only a model can do whose tokens do not see what comes later."""
        if not self.config.causal:
            raise ValueError(
                f"causal must be True for a model to {what}, got False: its tokens attend to those "
                "behind them, which are not known yet. Build it with causal=True."
            )

    def _check_length(self, longest: int, max_new_tokens: int) -> None:
        """Refuse, before anything is generated, what needs positions that the model lacks."""
        if max_new_tokens < 0:
            raise ValueError(f"max_new_tokens must be at least 0, got {max_new_tokens}.")
        needed = longest + max_new_tokens - 1  # the last new token is returned and never read
        rows = self.scheme.max_positions(self.input_embedding)
        if rows is not None and max_new_tokens and needed > rows:
            raise ValueError(
                f"{longest} prompt tokens and max_new_tokens = {max_new_tokens} need {needed} "
                f"positions, more than max_seq_len = {rows}: a learned table "
                "has no rows past its end. Ask for fewer tokens, shorten the prompt, or use "
                "another position scheme."
            )

    def _sizes(self) -> dict[str, Any]:
        """Rows of both tables, from themselves: either may have been replaced by a longer one."""
        positions = getattr(self.input_embedding, "pos_embedding", None)
        return {
            "vocab_size": self.input_embedding.token_embedding.vocab_size,
            "max_seq_len": (positions or self.config).max_seq_len,
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
            path, [f.name for f in dataclasses.fields(SimpleLLMConfig)], ADDED_SETTINGS
        )
        with refused(path):
            settings = SimpleLLMConfig(**config)
            check_fits(weights, cls(settings, device="meta"))
        model = cls(settings, device=device)
        with refused(path):
            fill(model, weights)
        return model
