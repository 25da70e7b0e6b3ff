"""Small tasks in which position decides the answer.

Ids 0, 1 and 2 are PAD, BOS and EOS as in `simplellm.vocabulary`; symbols start at 3. A causal
model predicts ``targets[:, t]`` from ``ids[:, :t + 1]``, so nothing needs shifting. PAD targets are
not scored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from .checks import check_positive_int
from .vocabulary import BOS, PAD

#: The id of the first symbol, after PAD, BOS and EOS.
FIRST = 3


class Batch(NamedTuple):
    """Inputs and targets of a model, each ``(batch, seq_len)``, int64."""

    ids: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Task(ABC):
    """Base class of the tasks.

    Attributes:
        name: The name in ``TASKS``.
        vocab_size: Number of ids, PAD, BOS and EOS among them.
        seq_len: Length of ids and targets.
        answers: Number of symbols an answer is among.
        chance: Accuracy of guessing among them, 1 / answers.
        any_length: Whether ``sample`` can make other lengths than ``seq_len``.
    """

    name: ClassVar[str]
    any_length: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in fields(self):
            # As Python's own number: one of 8 bits would overflow in the first product.
            number = check_positive_int(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, int(number))

    @property
    @abstractmethod
    def vocab_size(self) -> int: ...

    @property
    @abstractmethod
    def seq_len(self) -> int: ...

    @property
    @abstractmethod
    def answers(self) -> int: ...

    @property
    def chance(self) -> float:
        """Accuracy of guessing among the answers, which knows nothing of the place either."""
        return 1 / self.answers

    def sample(self, batch: int, generator: torch.Generator, length: int | None = None) -> Batch:
        """Draw examples.

        Args:
            batch: Number of sequences.
            generator: Decides the draw; on CPU.
            length: Another length than ``seq_len``, for the tasks that have none of their own.
        """
        batch = check_positive_int("batch", batch)
        if not isinstance(generator, torch.Generator):
            raise TypeError(
                f"generator must be a torch.Generator, got {type(generator).__name__}. "
                "Make one: torch.Generator().manual_seed(0)."
            )
        length = self.seq_len if length is None else check_positive_int("length", length)
        if length != self.seq_len and not self.any_length:
            raise ValueError(
                f"length must be {self.seq_len} in {self}, got {length}. Only "
                f"{', '.join(n for n, kind in TASKS.items() if kind.any_length)} can be sampled "
                "at another length; for other sizes make another task."
            )
        return self._draw(batch, generator, length)

    @abstractmethod
    def _draw(self, batch: int, generator: torch.Generator, length: int) -> Batch: ...


@dataclass(frozen=True)
class Copy(Task):
    """Copy n symbols.

    Layout: BOS, n symbols, a separator, then the answer, which the model reads as it goes on.

    Args:
        n: Number of symbols.
        symbols: Number of different symbols.

    Example:
        >>> ids, targets = Copy(n=3, symbols=5).sample(1, torch.Generator().manual_seed(0))
        >>> ids.tolist(), targets.tolist()
        ([[1, 7, 7, 6, 8, 7, 7]], [[0, 0, 0, 0, 7, 7, 6]])
    """

    name: ClassVar[str] = "copy"
    n: int = 16
    symbols: int = 16

    @property
    def vocab_size(self) -> int:
        return FIRST + self.symbols + 1

    @property
    def seq_len(self) -> int:
        return 2 * self.n + 1

    @property
    def answers(self) -> int:
        return self.symbols

    def _draw(self, batch: int, generator: torch.Generator, length: int) -> Batch:
        given = _symbols(self.symbols, (batch, self.n), generator)
        return _continued([BOS, given, FIRST + self.symbols], self._answer(given))

    def _answer(self, given: Tensor) -> Tensor:
        return given


@dataclass(frozen=True)
class Reverse(Copy):
    """Reverse n symbols; otherwise as `Copy`.

    Args:
        n: Number of symbols.
        symbols: Number of different symbols.

    Example:
        >>> ids, targets = Reverse(n=3, symbols=5).sample(1, torch.Generator().manual_seed(0))
        >>> ids.tolist(), targets.tolist()
        ([[1, 7, 7, 6, 8, 6, 7]], [[0, 0, 0, 0, 6, 7, 7]])
    """

    name: ClassVar[str] = "reverse"

    def _answer(self, given: Tensor) -> Tensor:
        return given.flip(1)


@dataclass(frozen=True)
class Sort(Copy):
    """Sort n symbols, the smallest first; otherwise as `Copy`.

    Symbols may occur more than once: 16 different ones of 16 would always have the same answer.
    The place in the answer alone helps (the first is small), so models without positions are well
    above chance.

    Args:
        n: Number of symbols.
        symbols: Number of different symbols.

    Example:
        >>> ids, targets = Sort(n=3, symbols=5).sample(1, torch.Generator().manual_seed(0))
        >>> ids.tolist(), targets.tolist()
        ([[1, 7, 7, 6, 8, 6, 7]], [[0, 0, 0, 0, 6, 7, 7]])
    """

    name: ClassVar[str] = "sort"

    def _answer(self, given: Tensor) -> Tensor:
        return given.sort(dim=1).values


@dataclass(frozen=True)
class TokenBack(Task):
    """Recall at every position the symbol k positions before; unscored where there is none.

    Args:
        k: How far back.
        seq_len: Length in training; can be sampled at any other length above k.
        symbols: Number of different symbols.

    Example:
        >>> ids, targets = TokenBack(k=2, seq_len=5).sample(1, torch.Generator().manual_seed(0))
        >>> ids.tolist(), targets.tolist()
        ([[15, 18, 8, 3, 6]], [[0, 0, 15, 18, 8]])
    """

    name: ClassVar[str] = "token_back"
    any_length: ClassVar[bool] = True
    k: int = 5
    seq_len: int = 32
    symbols: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_length("seq_len", self.seq_len)

    def _check_length(self, name: str, length: int) -> None:
        if length <= self.k:
            raise ValueError(
                f"{name} must be above k = {self.k}, got {length}: no place has a token k back."
            )

    @property
    def vocab_size(self) -> int:
        return FIRST + self.symbols

    @property
    def answers(self) -> int:
        return self.symbols

    def _draw(self, batch: int, generator: torch.Generator, length: int) -> Batch:
        self._check_length("length", length)
        ids = _symbols(self.symbols, (batch, length), generator)
        targets = torch.full_like(ids, PAD)
        targets[:, self.k :] = ids[:, : -self.k]
        return Batch(ids, targets)


@dataclass(frozen=True)
class PositionLookup(Task):
    """Look up the symbol at the position that a query names.

    Layout: n symbols, then queries. There is a query token for each of the n positions, and its
    target is the symbol there. A query may be at any position after the symbols, so the distance
    to its answer varies: the absolute position is needed. No BOS, because a token that always
    comes first lets a causal model count: its share of an average over t + 1 tokens gives t.

    Args:
        n: Number of symbols; they have the positions 0 to n - 1.
        symbols: Number of different symbols.
        queries: Number of queries, drawn independently.

    Example:
        >>> task = PositionLookup(n=3, symbols=5, queries=2)  # ids 8, 9, 10 ask for 0, 1, 2
        >>> ids, targets = task.sample(1, torch.Generator().manual_seed(0))
        >>> ids.tolist(), targets.tolist()
        ([[7, 7, 6, 8, 9]], [[0, 0, 0, 7, 7]])
    """

    name: ClassVar[str] = "position_lookup"
    n: int = 10
    symbols: int = 16
    queries: int = 10

    @property
    def vocab_size(self) -> int:
        return FIRST + self.symbols + self.n

    @property
    def seq_len(self) -> int:
        return self.n + self.queries

    @property
    def answers(self) -> int:
        return self.symbols

    def _draw(self, batch: int, generator: torch.Generator, length: int) -> Batch:
        given = _symbols(self.symbols, (batch, self.n), generator)
        asked = torch.randint(self.n, (batch, self.queries), generator=generator)
        ids = torch.cat([given, FIRST + self.symbols + asked], dim=1)
        return Batch(ids, torch.cat([torch.full_like(given, PAD), given.gather(1, asked)], dim=1))


@dataclass(frozen=True)
class Addition(Task):
    """Add two numbers, most significant digit first.

    Layout: BOS, the digits of a, plus, the digits of b, equals, then the sum, which has one digit
    more. Numbers are padded with zeros to a fixed width. The first digit of the sum is 0 or 1, so
    a guess that knows its place is above chance there.

    Args:
        digits: Digits of a and of b; at most 17.

    Example:
        >>> task = Addition(digits=2)  # the digit 0 is id 3; plus is 13, equals 14
        >>> ids, targets = task.sample(1, torch.Generator().manual_seed(0))
        >>> ids.tolist(), targets.tolist()
        ([[1, 7, 12, 13, 6, 3, 14, 3, 10]], [[0, 0, 0, 0, 0, 0, 3, 10, 12]])
    """

    name: ClassVar[str] = "addition"
    digits: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.digits > 17:
            raise ValueError(f"digits must be at most 17, got {self.digits}: sums are int64.")

    @property
    def vocab_size(self) -> int:
        return FIRST + 12

    @property
    def seq_len(self) -> int:
        return 3 * self.digits + 3

    @property
    def answers(self) -> int:
        return 10

    def _draw(self, batch: int, generator: torch.Generator, length: int) -> Batch:
        terms = torch.randint(10, (2, batch, self.digits), generator=generator)
        powers = 10 ** torch.arange(self.digits, -1, -1)  # of the sum's digits
        total = (terms * powers[1:]).sum(dim=(0, 2))  # (batch,)
        answer = total.unsqueeze(1) // powers % 10
        plus, equals = FIRST + 10, FIRST + 11
        a, b = FIRST + terms
        return _continued([BOS, a, plus, b, equals], FIRST + answer)


@dataclass(frozen=True)
class PositionModulo(Task):
    """Predict at every position t the symbol of t mod m, whatever the input is.

    Args:
        modulus: m.
        seq_len: Length in training; can be sampled at any other length.
        symbols: Number of different symbols read, drawn at random.

    Example:
        >>> task = PositionModulo(modulus=2, seq_len=5)
        >>> ids, targets = task.sample(1, torch.Generator().manual_seed(0))
        >>> ids.tolist(), targets.tolist()
        ([[15, 18, 8, 3, 6]], [[3, 4, 3, 4, 3]])
    """

    name: ClassVar[str] = "position_modulo"
    any_length: ClassVar[bool] = True
    modulus: int = 7
    seq_len: int = 32
    symbols: int = 16

    @property
    def vocab_size(self) -> int:
        return FIRST + max(self.symbols, self.modulus)

    @property
    def answers(self) -> int:
        return self.modulus

    def _draw(self, batch: int, generator: torch.Generator, length: int) -> Batch:
        ids = _symbols(self.symbols, (batch, length), generator)
        return Batch(ids, (FIRST + torch.arange(length) % self.modulus).repeat(batch, 1))


#: The classes of the tasks.
KINDS = (Copy, Reverse, TokenBack, PositionLookup, Sort, Addition, PositionModulo)
#: The class of each task, by name.
TASKS: dict[str, type[Task]] = {kind.name: kind for kind in KINDS}


def task(name: str, **options: int) -> Task:
    """Make a task from its name.

    Args:
        name: A key of ``TASKS``.
        options: The arguments of its class.

    Raises:
        ValueError: If there is no such task, or an option's value is out of range.
        TypeError: If the task has no such option.

    Example:
        >>> task("token_back", k=3)
        TokenBack(k=3, seq_len=32, symbols=16)
    """
    if name not in TASKS:
        raise ValueError(f"name must be one of {', '.join(TASKS)}, got {name!r}.")
    known = [field.name for field in fields(TASKS[name])]
    for option in options:
        if option not in known:
            raise TypeError(f"{name} has no option {option!r}; it takes {', '.join(known)}.")
    return TASKS[name](**options)


def _symbols(number: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw symbols uniformly."""
    return torch.randint(FIRST, FIRST + number, shape, generator=generator)


def _continued(prompt: list[Tensor | int], answer: Tensor) -> Batch:
    """Join a prompt and its answer; inputs and targets are one position apart.

    A number in the prompt is repeated in every row.
    """
    rows = len(answer)
    parts = [torch.full((rows, 1), p) if isinstance(p, int) else p for p in prompt]
    whole = torch.cat([*parts, answer], dim=1)
    targets = whole[:, 1:].clone()
    targets[:, : -answer.shape[1]] = PAD
    return Batch(whole[:, :-1], targets)
