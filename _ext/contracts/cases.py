"""What a contract is made of: calls that raise, and things that work.

A call is kept as the text a reader could type, with the names of `NAMES` in reach.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from simplellm import (
    InputEmbedding,
    LearnedPositionalEmbedding,
    PositionalEncoding,
    SimpleLLM,
    SimpleLLMConfig,
    TokenEmbedding,
)
from simplellm.cache import KeyValueCache
from simplellm.loss import next_token_loss


def cached(model: nn.Module) -> KeyValueCache:
    """A cache with which a model has read one row of two tokens."""
    cache = KeyValueCache(model.config.n_layers)
    model(torch.tensor([[3, 4]]), cache=cache)
    return cache


NAMES: dict[str, Any] = {
    "cached": cached,
    "math": math,
    "next_token_loss": next_token_loss,
    "os": os,
    "torch": torch,
    "InputEmbedding": InputEmbedding,
    "KeyValueCache": KeyValueCache,
    "LearnedPositionalEmbedding": LearnedPositionalEmbedding,
    "PositionalEncoding": PositionalEncoding,
    "SimpleLLM": SimpleLLM,
    "SimpleLLMConfig": SimpleLLMConfig,
    "TokenEmbedding": TokenEmbedding,
}

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)

SAME = "the same numbers, bit for bit"
CLOSE = "the same numbers, to 0.00001"


@dataclass(frozen=True)
class Refusal:
    """A call that raises: the error's type, and words its message holds."""

    call: str
    error: type[Exception]
    words: tuple[str, ...]

    def message(self, **names: Any) -> str:
        """Make the call, and return the error's message.

        Raises:
            AssertionError: If there is no error, or one of another type.
        """
        try:
            eval(self.call, {**NAMES, **names})
        except Exception as error:
            if type(error) is not self.error:
                raise AssertionError(f"{self.call} raises {error!r}") from error
            return str(error)
        raise AssertionError(f"{self.call} raises nothing")

    def __str__(self) -> str:
        return self.call


def refuse(call: str, error: type[Exception], *words: str) -> Refusal:
    return Refusal(call, error, words)


@dataclass(frozen=True)
class Ability:
    """Something that works: what is done, how, and what comes of it."""

    label: str
    run: Callable[[nn.Module, Tensor], str]
    slow: bool = False  # the tests run it, the build takes their word: half a minute is too long
    outcome: str = SAME

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class Contract:
    """All cases of one class."""

    name: str
    instance: str  # what a module is called in the calls below
    made: str  # the call that makes one
    argument: str  # what forward takes
    sample: str  # one of the right shape and dtype
    shapes: tuple[str, ...]  # of arguments of every rank, also such that are refused
    small: str  # the call that makes the module which the refused inputs meet
    arguments: tuple[Refusal, ...]
    inputs: tuple[Refusal, ...]
    abilities: tuple[Ability, ...]
    loading: tuple[Refusal, ...] = ()
    generation: tuple[Refusal, ...] = ()
    caching: tuple[Refusal, ...] = ()
    losses: tuple[Refusal, ...] = ()
    variants: dict[str, str] = field(default_factory=dict)  # of `made`: other ways, by name
    small_variants: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def make(call: str) -> Any:
    """What a call makes, from a fixed seed that leaves the caller's alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return eval(call, dict(NAMES))


V, T, X, R = ValueError, TypeError, IndexError, RuntimeError


def called(cases: tuple[Refusal, ...], instance: str) -> tuple[Refusal, ...]:
    """The cases for a module of this name."""
    return tuple(Refusal(c.call.format(instance), c.error, c.words) for c in cases)


# A sample of what comes in, and the shapes of the table: also such that are refused.
IDS = "torch.tensor([[1, 15, 234, 89, 2]])"
ID_SHAPES = ("()", "(5,)", "(1, 5)", "(3, 5)", "(3, 200)", "(3, 5, 2)", "(3, 0)", "(0, 5)")
VECTORS = "torch.linspace(-1, 1, 5 * 64).reshape(1, 5, 64)"
VECTOR_SHAPES = (
    *("(64,)", "(5, 64)", "(1, 5, 64)", "(3, 5, 64)", "(3, 200, 64)"),
    *("(3, 5, 32)", "(1, 3, 5, 64)", "(3, 0, 64)", "(0, 5, 64)"),
)
