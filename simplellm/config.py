"""Everything it takes to build a SimpleLLM, checked when it is made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .checks import (
    check_base,
    check_bool,
    check_dropout,
    check_init_std,
    check_int,
    check_number,
    check_positive_int,
    check_positive_number,
)
from .plain import plain
from .schemes import POSITION_SCHEMES
from .sinusoids import DEFAULT_BASE

#: The names of the position schemes.
POSITIONS = tuple(POSITION_SCHEMES)

#: Settings that came after the first checkpoints, with what those meant.
ADDED_SETTINGS = {
    "rotary_share": 1.0,
    "max_distance": 128,
    "causal": True,
    "embedding_norm": False,
}

#: Settings that only some schemes read, and why the others do not.
_OF_SOME_SCHEMES = {
    "position_rms": "nothing is added at the input",
    "base": "it has no frequencies",
    "rotary_share": "it rotates nothing",
    "max_distance": "it has no buckets",
}


@dataclass(frozen=True)
class SimpleLLMConfig:
    """Everything it takes to build a :class:`~simplellm.SimpleLLM`; checked when it is made.

    Args:
        vocab_size: Number of token ids; the first three are PAD, BOS and EOS.
        d_model: Width of the vectors.
        n_layers: Number of blocks.
        n_heads: Number of attention heads; divides ``d_model``.
        max_seq_len: Number of positions in a table; only ``"learned"`` ends there.
        dropout: Share of entries set to zero in training: after the input, in attention, and
            after each half of a block.
        position: How the model is told where a token stands: ``"none"``, ``"sinusoidal"``,
            ``"learned"``, ``"rope"``, ``"alibi"``, ``"t5"``; ``"nope_every_4"``, which is
            ``"rope"`` with every fourth block without positions; or ``"two_bases"``, which is
            ``"rope"`` with a base 100 times larger in every fourth block.
        tie_weights: Use the token table as the output projection too.
        scale: Multiply token rows by √d_model on the way in. The projection is never scaled.
        init_std: Standard deviation the token table starts from.
        position_rms: Root mean square that an absolute scheme's rows start from; None for what
            each has by itself (see :class:`InputEmbedding`).
        padding_idx: Token id whose row stays zero, and whose logit is masked for that; None for
            an ordinary row.
        base: The constant the paper sets to 10 000; for ``"sinusoidal"`` and rotary positions.
        block_dropout: Dropout inside the blocks, where it is not to be that of the input.
        rotary_share: Share of each head's columns that rotary positions rotate; above 0, at most 1.
        max_distance: Distance from which on all keys share the last bucket of ``"t5"``.
        causal: Whether a token attends only to itself and to those before it, as a model that
            generates must; otherwise it attends to all ("bidirectional", as in BERT).
        embedding_norm: Whether the input vectors are normalised before the first block, as in BERT
            and BLOOM.

    Raises:
        TypeError, ValueError: For each bad argument, by name.

    Example:
        >>> config = SimpleLLMConfig(vocab_size=259, d_model=64, n_layers=2, n_heads=4,
        ...                          max_seq_len=128, dropout=0.0, position="rope")
        >>> SimpleLLMConfig(259, 64, 2, 4, 128, 0.0, position="rotary")
        Traceback (most recent call last):
            ...
        ValueError: position must be one of none, sinusoidal, learned, rope, alibi, t5, ...
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
    rotary_share: float = 1.0
    max_distance: int = 128
    causal: bool = True
    embedding_norm: bool = False

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            object.__setattr__(self, setting.name, plain(getattr(self, setting.name)))
        for name in ("vocab_size", "d_model", "n_layers", "n_heads", "max_seq_len", "max_distance"):
            check_positive_int(name, getattr(self, name))
        check_dropout(self.dropout)
        if self.block_dropout is not None:
            check_dropout(self.block_dropout, "block_dropout")
        if self.position not in POSITION_SCHEMES:
            raise ValueError(
                f"position must be one of {', '.join(POSITION_SCHEMES)}, got {self.position!r}."
            )
        check_bool("tie_weights", self.tie_weights)
        check_bool("scale", self.scale)
        check_bool("causal", self.causal)
        check_bool("embedding_norm", self.embedding_norm)
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
        if self.position_rms is not None:
            check_positive_number("position_rms", self.position_rms)
        if not 0 < check_number("rotary_share", self.rotary_share) <= 1:
            raise ValueError(
                f"rotary_share must be above 0 and at most 1, got {self.rotary_share}: it is the "
                "share of each head's columns that are rotated."
            )
        scheme = POSITION_SCHEMES[self.position](self)
        scheme.check()
        defaults = {setting.name: setting.default for setting in dataclasses.fields(self)}
        for name, reason in _OF_SOME_SCHEMES.items():
            value, default = getattr(self, name), defaults[name]
            if value != default and name not in scheme.settings:
                left = default if default is None else f"{default:g}"
                raise ValueError(
                    f"{name} must be left at {left} with position = {self.position!r}, got "
                    f"{value}: {reason}."
                )
        if self.padding_idx is not None:
            check_int("padding_idx", self.padding_idx)
            if not 0 <= self.padding_idx < self.vocab_size:
                raise ValueError(
                    f"padding_idx must be at least 0 and below vocab_size = {self.vocab_size}, "
                    f"got {self.padding_idx}."
                )
