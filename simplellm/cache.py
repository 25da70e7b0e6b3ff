"""What attention remembers of the tokens it has read, so that generation reads none twice."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .checks import INTEGER_DTYPES, check_mask, check_positive_int, first_outside


class KeyValueCache:
    """Keys and values of the tokens read so far, for every block, so that none is read twice.

    A call that fails or is interrupted leaves it as it was.

    Args:
        n_layers: Number of blocks of the model that will fill it.

    Attributes:
        keys, values: One tensor ``(batch, n_heads, tokens, head_dim)`` per block, or None before
            the first token.
        positions: ``(batch or 1, tokens)``, int64, where the tokens stand; None while they count
            from 0.
        mask: ``(batch, tokens)``, bool, True at real tokens; None while all are.

    Raises:
        TypeError, ValueError: If ``n_layers`` is no int of at least 1.

    Example:
        >>> cache = KeyValueCache(n_layers=2)
        >>> len(cache)
        0
    """

    positions: Tensor | None
    mask: Tensor | None

    def __init__(self, n_layers: int) -> None:
        # Keys and values of a block are one entry, which is replaced in one step.
        self._blocks: list[tuple[Tensor, Tensor] | None]
        self._blocks = [None] * check_positive_int("n_layers", n_layers)
        self.positions = None
        self.mask = None
        self._model: weakref.ref[nn.Module] | None = None

    @property
    def keys(self) -> list[Tensor | None]:
        return [None if block is None else block[0] for block in self._blocks]

    @property
    def values(self) -> list[Tensor | None]:
        return [None if block is None else block[1] for block in self._blocks]

    def __len__(self) -> int:
        return 0 if self._blocks[0] is None else self._blocks[0][0].shape[2]

    def extended(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """One block's keys and values with new ones behind them; what it holds stays as it is.

        Args:
            layer: Which block.
            key, value: ``(batch, n_heads, tokens, head_dim)``.

        Raises:
            IndexError: If there is no such block.
            ValueError: If the new ones differ from what the block holds in anything but their
                number of tokens.
        """
        check_layer(layer, len(self._blocks))
        block = self._blocks[layer]
        if block is None:
            return key, value
        old = block[0]
        self._check_batch(key.shape[0])
        for name, has, new in (
            ("n_heads", old.shape[1], key.shape[1]),
            ("head_dim", old.shape[3], key.shape[3]),
            ("dtype", old.dtype, key.dtype),
            ("device", old.device, key.device),
        ):
            if has != new:
                raise ValueError(
                    f"cache must hold keys of {name} = {new}, as the new ones are, got {has}: they "
                    f"were made another way. {_anew(len(self._blocks))}"
                )
        return torch.cat((old, key), dim=2), torch.cat((block[1], value), dim=2)

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Take what :meth:`extended` gave, in one step."""
        self._blocks[layer] = (key, value)

    def select(self, rows: Tensor | Sequence[int]) -> KeyValueCache:
        """Reorder, repeat or drop rows of the batch, in place, as a beam search needs.

        Args:
            rows: Which row each new row is a copy of: integers, ``(new_batch,)``.

        Returns:
            This cache.

        Raises:
            TypeError: If rows are no integers.
            ValueError: If they have another shape, or the cache holds no tokens yet.
            IndexError: If there is no such row (checked for a list or on the CPU); the cache
                stays as it was.

        Example:
            >>> cache = KeyValueCache(n_layers=1)
            >>> cache.store(0, torch.zeros(2, 4, 3, 8), torch.zeros(2, 4, 3, 8))
            >>> cache.select([1, 1, 0]).keys[0].shape
            torch.Size([3, 4, 3, 8])
        """
        first = next((block for block in self._blocks if block is not None), None)
        if first is None:
            raise ValueError("cache must hold tokens before rows are selected, got an empty one.")
        batch, device = first[0].shape[0], first[0].device
        index = _as_rows(rows)
        found = first_outside(index, batch) if index.device.type == "cpu" else None
        if found is not None:
            raise IndexError(
                f"rows must be at least 0 and below the cache's batch = {batch}, got {found[0]} at "
                f"rows[{found[1][0]}]."
            )
        index = index.to(device=device, dtype=torch.long)
        chosen = self.copy()
        chosen._blocks = [b if b is None else (b[0][index], b[1][index]) for b in self._blocks]
        # One row of positions stands for all.
        if self.positions is not None and self.positions.shape[0] == batch:
            chosen.positions = self.positions[index]
        if self.mask is not None:
            chosen.mask = self.mask[index]
        self.become(chosen)
        return self

    def extended_mask(self, attention_mask: Tensor | None, ids: Tensor) -> Tensor | None:
        """The mask over the cache's tokens and new ones, ``(batch, tokens)``, bool; None for all.

        Args:
            attention_mask: ``(batch, tokens)`` over both, True or 1 at real tokens; None if all new
                ones are real.
            ids: ``(batch, seq_len)``, the new ones.

        Raises:
            TypeError, ValueError: If it is no such mask, or on another device than ids.
        """
        if attention_mask is None:
            if self.mask is None:
                return None
            return torch.cat((self.mask, torch.ones_like(ids, dtype=torch.bool)), dim=1)
        check_mask(attention_mask, "attention_mask")
        wanted = (ids.shape[0], ids.shape[1] + len(self))
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

    def next_positions(self, mask: Tensor | None, seq_len: int, device: torch.device) -> Tensor:
        """The positions of new tokens: behind the last real token of each row.

        Args:
            mask: ``(batch, tokens)`` over the cache's tokens and the new ones; None if all are
                real.
            seq_len: Number of new tokens.
            device: Of the result.

        Returns:
            ``(batch or 1, seq_len)``, int64. Padding has the position of the real token before
            it, or 0.
        """
        tokens = len(self)
        cached = self.cached_positions(device)  # (batch or 1, tokens)
        if mask is None:
            last = cached[:, -1:] if tokens else cached.new_full((1, 1), -1)
            return last + torch.arange(1, seq_len + 1, device=device)
        old, new = mask[:, :tokens].long(), mask[:, tokens:].long()
        last = torch.full_like(mask[:, :1], -1, dtype=torch.long)
        if tokens:
            column = (old * torch.arange(1, tokens + 1, device=device)).argmax(1, keepdim=True)
            there = cached.expand(len(mask), -1).gather(1, column)
            last = torch.where(old.any(1, keepdim=True), there, last)
        return (last + new.cumsum(1)).clamp(min=0)

    def cached_positions(self, device: torch.device) -> Tensor:
        """The positions of the tokens that were read, ``(batch or 1, tokens)``."""
        if self.positions is not None:
            return self.positions
        return torch.arange(len(self), device=device).unsqueeze(0)

    def copy(self) -> KeyValueCache:
        """Another cache of the same tokens; what one is given later, the other does not see."""
        other = KeyValueCache(len(self._blocks))
        vars(other).update(vars(self))
        other._blocks = list(self._blocks)
        return other

    def become(self, other: KeyValueCache) -> None:
        """Hold what another cache holds, in one step that nothing can interrupt."""
        vars(self).update(vars(other))

    def claim(self, model: nn.Module) -> None:
        """Remember whose tokens these are."""
        if not torch.compiler.is_compiling():  # which can make no weak reference
            self._model = weakref.ref(model)

    def check(self, model: nn.Module, n_layers: int, batch: int) -> None:
        """Refuse to go on where these are not the tokens of ``batch`` rows read by ``model``.

        Raises:
            ValueError: Says what differs.
        """
        if len(self._blocks) != n_layers:
            raise ValueError(
                f"cache must have n_layers = {n_layers} as the model does, got "
                f"{len(self._blocks)}. {_anew(n_layers)}"
            )
        # While tracing a weak reference cannot be followed.
        if self._model is not None and not torch.compiler.is_compiling():
            if self._model() is not model:
                raise ValueError(
                    f"cache must be new or filled by this model, got one that holds {len(self)} "
                    f"tokens of another. {_anew(n_layers)}"
                )
        tokens = [0 if block is None else block[0].shape[2] for block in self._blocks]
        if any(number != tokens[0] for number in tokens):
            raise ValueError(
                f"cache must hold equally many tokens in every block, got {tokens}: some blocks "
                f"were called alone. {_anew(n_layers)}"
            )
        self._check_batch(batch)

    def _check_batch(self, batch: int) -> None:
        held = next((block[0].shape[0] for block in self._blocks if block is not None), batch)
        if held != batch:
            raise ValueError(
                f"cache must hold as many rows as are read now, {batch}, got {held}. Repeat, "
                "reorder or drop some with cache.select(rows), or begin with a new cache."
            )

    def __getstate__(self) -> dict[str, Any]:
        # A reference to a model has no meaning in a file, or beside another copy of the model.
        return {**vars(self), "_model": None}

    def __repr__(self) -> str:
        return f"KeyValueCache(n_layers={len(self._blocks)}, tokens={len(self)})"


def check_layer(layer: int, n_layers: int) -> None:
    """Refuse the number of a block that a cache does not have."""
    if not 0 <= layer < n_layers:
        raise IndexError(
            f"layer must be at least 0 and below the cache's n_layers = {n_layers}, got {layer}."
        )


def check_cache(cache: object) -> None:
    """Refuse what is no cache at all."""
    if not isinstance(cache, KeyValueCache):
        raise TypeError(
            f"cache must be a KeyValueCache, got {type(cache).__name__}. "
            "Make one: KeyValueCache(n_layers)."
        )


def _anew(n_layers: int) -> str:
    return f"Begin with a new one: KeyValueCache({n_layers})."


def _as_rows(rows: object) -> Tensor:
    """Row numbers as an integer tensor ``(new_batch,)``."""
    if isinstance(rows, Tensor):
        index = rows
    else:
        try:
            index = torch.as_tensor(rows)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"rows must be a list or tensor of integers, got {rows!r} of type "
                f"{type(rows).__name__}."
            ) from None
        if not index.numel():  # a list of nothing becomes a tensor of floats
            index = index.long()
    if index.dtype not in INTEGER_DTYPES:
        hint = " Number them: rows.nonzero().flatten()." if index.dtype == torch.bool else ""
        raise TypeError(f"rows must be integers, got dtype {index.dtype}.{hint}")
    if index.dim() != 1:
        raise ValueError(f"rows must have shape (new_batch,), got {tuple(index.shape)}.")
    return index
