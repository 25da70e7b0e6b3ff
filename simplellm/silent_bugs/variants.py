"""What is put to the test: input layers, the right ones and the broken ones, behind one face.

A check never sees a class. It is given a :class:`Maker`, asks it for layers of any size, and gets
:class:`Subject` objects, which behave alike whatever stands inside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from ..conventions import Convention
from ..printing import prints_anywhere

#: Ids below it are often special (PAD, BOS, EOS), and a special row may be zero on purpose.
FIRST_ORDINARY_ID = 3

#: The convention of a layer that says nothing else.
PAPER = Convention()

#: What stands in the place of a convention.
NoFormula: TypeAlias = Literal["learned", "not recognised", "not read"]

Call = Callable[[nn.Module, Tensor, int], Tensor]


class NotApplicableError(Exception):
    """A promise says nothing about this layer; the message says why."""


class NotReadError(NotApplicableError):
    """A promise cannot be judged, because nobody said what the layer follows."""


@dataclass(frozen=True)
@prints_anywhere
class LayerConvention:
    """What a layer says of itself.

    Other columns or another base are no mistake. A mistake is to do something else than what one
    says, so a check that is fair asks what a layer says before it compares.

    Attributes:
        positions: The :class:`~simplellm.Convention` of its sinusoids; or ``"learned"``, ``"not
            recognised"`` (rows of no known formula) or ``"not read"`` (there were none to read).
        scale: Whether token rows are multiplied by √d_model; None where that was not read.
        learned_scalar: Whether a learned number multiplies the rows.

    Raises:
        ValueError: If there is no such convention.

    Example:
        >>> from simplellm import Convention
        >>> LayerConvention(Convention(columns="halves"))
        sinusoidal, halves, base 10000, tokens × √d
    """

    positions: Convention | NoFormula = PAPER
    scale: bool | None = True
    learned_scalar: bool = False

    def __post_init__(self) -> None:
        known = get_args(NoFormula)
        if not isinstance(self.positions, Convention) and self.positions not in known:
            raise ValueError(
                f"positions = {self.positions!r} must be a Convention or one of {known}."
            )

    @property
    def is_sinusoidal(self) -> bool:
        """Whether its positions follow a formula."""
        return isinstance(self.positions, Convention)

    @property
    def amplitude(self) -> float:
        """What all rows are multiplied by, at the width 16 at which layers are judged."""
        return self.positions.factor(16) if isinstance(self.positions, Convention) else 1.0

    def factor(self, d_model: int) -> float:
        """What token rows are multiplied by.

        Raises:
            NotReadError: If that was not read.
        """
        if self.scale is None:
            raise NotReadError(
                "the factor of its tokens was not read; say it: says=LayerConvention(…)"
            )
        return math.sqrt(d_model) if self.scale else 1.0

    def formula(self, length: int, d_model: int, *, start: int = 0) -> Tensor:
        """The position rows that sinusoids of this convention have, ``(length, d_model)``, float64.

        Args:
            length: Number of rows.
            d_model: Width.
            start: Number of tokens before the first row.

        Raises:
            NotApplicableError: If positions are learned.
            NotReadError: If they were not read or not recognised.

        Example:
            >>> LayerConvention(Convention(columns="halves")).formula(2, 4)[1]
            tensor([0.8415, 0.0100, 0.5403, 1.0000], dtype=torch.float64)
        """
        if self.positions == "learned":
            raise NotApplicableError("learned positions follow no formula")
        if not isinstance(self.positions, Convention):
            raise NotReadError(f"its formula was {self.positions}; say it: says=LayerConvention(…)")
        return self.positions.rows(torch.arange(start, start + length), d_model, length)

    def __repr__(self) -> str:
        number = ["times a learned number"] * self.learned_scalar
        tokens = (
            [] if self.scale is None else ["tokens × √d" if self.scale else "tokens as they are"]
        )
        if not isinstance(self.positions, Convention):
            positions = "learned positions" if self.positions == "learned" else self.positions
            return ", ".join([positions, *number, *tokens])
        said = f"sinusoidal, {self.positions!r}"
        if self.positions.exponents == "4i/d":  # the same numbers, said in two ways
            said += f" (or exponents 2i/d, base {self.positions.base**2:g})"
        return ", ".join([said, *number, *tokens])


def plain_call(module: nn.Module, ids: Tensor, start: int) -> Tensor:
    """How a layer is called that takes ``start`` as `InputEmbedding` does."""
    return module(ids, start=start)


class Subject(nn.Module):
    """An input layer under test, whatever its class is called and however it wants to be called.

    Args:
        inner: The module.
        says: Its convention.
        vocab_size, d_model, max_seq_len, dropout: What it was made with.
        call: Calls the module: ``call(inner, ids, start)``.
        takes_start: Whether ``start`` reaches the module.
        takes_dropout: Whether ``dropout`` did.

    Attributes:
        token_table: The table of token rows, ``(vocab_size, d_model)``.

    Shape:
        ids ``(batch, seq_len)`` to ``(batch, seq_len, d_model)``.

    Example:
        >>> from simplellm.silent_bugs import CORRECT
        >>> layer = CORRECT["textbook"].make(d_model=4)
        >>> layer.position_rows(2)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])
    """

    def __init__(
        self,
        inner: nn.Module,
        says: LayerConvention,
        *,
        vocab_size: int,
        d_model: int,
        max_seq_len: int,
        dropout: float,
        call: Call = plain_call,
        takes_start: bool = True,
        takes_dropout: bool = True,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.says = says
        self.vocab_size = vocab_size
        self.d_model = d_model
        self.max_seq_len = max_seq_len
        self.p = dropout
        self.call = call
        self.takes_start = takes_start
        self.takes_dropout = takes_dropout

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        """Ids ``(batch, seq_len)`` to vectors; ``start`` is the number of tokens before them."""
        if start and not self.takes_start:
            raise NotApplicableError("it cannot be told where a sequence starts")
        return self.call(self.inner, ids, start)

    @property
    def token_table(self) -> Tensor:
        """The table of token rows: the first parameter of shape ``(vocab_size, d_model)``."""
        for parameter in self.parameters():
            if tuple(parameter.shape) == (self.vocab_size, self.d_model):
                return parameter
        raise NotApplicableError(
            f"no parameter has the shape (vocab_size, d_model) = ({self.vocab_size}, "
            f"{self.d_model}) of a token table"
        )

    def ids(self, batch: int, seq_len: int) -> Tensor:
        """Random ordinary ids, ``(batch, seq_len)``."""
        return torch.randint(FIRST_ORDINARY_ID, self.vocab_size, (batch, seq_len))

    @contextmanager
    def _at_rest(self, tokens: bool) -> Iterator[None]:
        """In evaluation mode, without gradients, and on request with a token table of zeros."""
        was_training = self.training
        table = self.token_table
        kept = table.detach().clone()
        self.eval()
        try:
            with torch.no_grad():
                if not tokens:
                    table.zero_()
                yield
        finally:
            with torch.no_grad():
                table.copy_(kept)
            self.train(was_training)

    def position_rows(self, length: int, *, start: int = 0) -> Tensor:
        """What the layer adds at positions ``start … start + length - 1``, ``(length, d_model)``.

        Measured, not read: it is what comes out while the token table is zero.

        Raises:
            NotApplicableError: If the output is no sum of a token row and a position row.
        """
        self._needs_sum()
        with self._at_rest(tokens=False):
            return self(torch.full((1, length), FIRST_ORDINARY_ID), start=start)[0]

    def token_rows(self, ids: Tensor) -> Tensor:
        """What the layer returns for ids ``(batch, seq_len)``, less its position rows."""
        rows = self.position_rows(ids.shape[1])
        with self._at_rest(tokens=True):
            return self(ids) - rows

    def _needs_sum(self) -> None:
        """Refuse a layer that normalises or mixes: its output cannot be taken apart."""
        # Two words at two places: in a sum, they differ by the same vector at both. In one call,
        # so that a layer with a memory or with the wrong axis still counts as a sum.
        with self._at_rest(tokens=True):
            first, second = self(torch.tensor([[3, 3], [5, 5]])).double()
        difference = first - second
        rounding = 1e-4 if self.token_table.dtype in (torch.float32, torch.float64) else 0.06
        if not torch.allclose(difference[0], difference[1], atol=rounding, rtol=0):
            raise NotApplicableError("its output is no plain sum of token and position")


@dataclass(frozen=True)
class Maker:
    """Makes layers of one kind, in any size.

    Attributes:
        build: ``build(vocab_size, d_model, max_seq_len, dropout)`` returns the module.
        says: The convention it is held to.
        call: How the module is called: ``call(module, ids, start)``.
        takes_start, takes_dropout, takes_length: Whether the module has a use for them.
    """

    build: Callable[[int, int, int, float], nn.Module]
    says: LayerConvention = LayerConvention()
    call: Call = plain_call
    takes_start: bool = True
    takes_dropout: bool = True
    takes_length: bool = True

    def __call__(
        self,
        vocab_size: int = 50,
        d_model: int = 16,
        max_seq_len: int = 64,
        dropout: float = 0.0,
    ) -> Subject:
        """A new layer, in training mode."""
        return Subject(
            self.build(vocab_size, d_model, max_seq_len, dropout),
            self.says,
            vocab_size=vocab_size,
            d_model=d_model,
            max_seq_len=max_seq_len,
            dropout=dropout,
            call=self.call,
            takes_start=self.takes_start,
            takes_dropout=self.takes_dropout,
        )


@dataclass(frozen=True)
@prints_anywhere
class Variant:
    """One way to build the input layer, right or broken.

    Attributes:
        name: Short, as it stands in tables.
        build: The class, or a function with the same arguments.
        what: What is special about it, in a line. Of a mutant: what is wrong.
        says: What the layer says of itself.
        met: Where it was met.
        hint: For a mutant: where to look, without giving the check away.
        forget: Clears what instances of the class share, before each check.
    """

    name: str
    build: Callable[[int, int, int, float], nn.Module]
    what: str
    says: LayerConvention = LayerConvention()
    met: str = ""
    hint: str = ""
    forget: Callable[[], None] = lambda: None

    @property
    def make(self) -> Maker:
        """What a check is given."""
        self.forget()
        return Maker(self.build, self.says)

    def __repr__(self) -> str:
        return f"{self.name}: {self.what}"


def by_name(variants: tuple[Variant, ...]) -> dict[str, Variant]:
    """Variants under their names; a name that comes twice is refused."""
    named = {variant.name: variant for variant in variants}
    if len(named) != len(variants):
        raise ValueError("two variants have the same name.")
    return named


class Textbook(nn.Module):
    """The input layer as textbooks write it, cut into the steps at which it can go wrong.

    Each step is a method, so that a broken layer differs from this one in one short method.

    Args:
        vocab_size: Number of token ids.
        d_model: Width; even.
        max_seq_len: Number of positions in the table.
        dropout: Share of entries set to zero in training.
    """

    pe: Tensor

    def __init__(self, vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> None:
        super().__init__()
        self.d_model = d_model
        self.max_seq_len = max_seq_len
        self.embedding = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.keep_positions()

    def rates(self) -> Tensor:
        """Radians per position, ``(d_model / 2,)``."""
        exponents = torch.arange(0, self.d_model, 2, dtype=torch.float64) / self.d_model
        return 10_000.0**-exponents

    def angles(self) -> Tensor:
        """Position times rate, ``(max_seq_len, d_model / 2)``."""
        positions = torch.arange(self.max_seq_len, dtype=torch.float64)
        return positions[:, None] * self.rates()

    def table(self) -> Tensor:
        """All position rows, ``(max_seq_len, d_model)``."""
        angles = self.angles()
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).float()

    def keep_positions(self) -> None:
        """Store the table."""
        self.register_buffer("pe", self.table())

    def tokens(self, ids: Tensor) -> Tensor:
        """Token rows, ``(batch, seq_len, d_model)``."""
        return self.embedding(ids) * math.sqrt(self.d_model)

    def positions(self, x: Tensor, start: int) -> Tensor:
        """Position rows for x, ``(seq_len, d_model)``."""
        end = start + x.shape[1]
        if end > self.max_seq_len:
            raise ValueError(
                f"start + seq_len = {end} is more than max_seq_len = {self.max_seq_len}. Shorten "
                "the sequence or build a longer table."
            )
        return self.pe[start:end]

    def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
        """Ids ``(batch, seq_len)`` to ``(batch, seq_len, d_model)``."""
        x = self.tokens(ids)
        x = x + self.positions(x, start)
        return self.dropout(x)


class LearnedTextbook(Textbook):
    """The same with a learned table of positions."""

    def keep_positions(self) -> None:
        self.place = nn.Embedding(self.max_seq_len, self.d_model)
        nn.init.normal_(self.place.weight, std=0.02)

    def positions(self, x: Tensor, start: int) -> Tensor:
        return self.place(torch.arange(start, start + x.shape[1], device=x.device))
