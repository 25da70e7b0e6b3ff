"""What each class promises, as cases: one list for the contract pages and for the tests.

The build runs every case and shows what came out (`book_contracts.py`); the tests run the same
cases and hold them to what is expected here. So a page cannot say what no test has seen, and a
case that stops holding turns a test red and stops the build.

A call is kept as the text a reader could type, with the names of `NAMES` in reach.
"""

from __future__ import annotations

import copy
import io
import math
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
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
        """Make the call, and return what the error says.

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


# ---- what works ----------------------------------------------------------------------------------


def difference(got: Tensor, wanted: Tensor) -> str:
    """SAME, or how two outputs differ."""
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return f"{got.dtype} {tuple(got.shape)} instead of {wanted.dtype} {tuple(wanted.shape)}"
    if torch.equal(got, wanted):
        return SAME
    return f"numbers up to {(got.double() - wanted.double()).abs().max():.1g} off"


def near(got: Tensor, wanted: Tensor) -> str:
    """CLOSE, or how two outputs differ: for sums that are added up in another order."""
    if got.shape == wanted.shape and (got - wanted).abs().max() < 1e-5:
        return CLOSE
    return difference(got, wanted)


def lengths(other: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor) -> str:
    """Whether another form of a module computes the same, at two lengths."""
    found = [difference(other(part), module(part)) for part in (x, x[:, :2])]
    return next((text for text in found if text != SAME), SAME)


def compiled(module: nn.Module, x: Tensor) -> str:
    # "eager" runs the graph as it was recorded: whether it is one graph needs no C++ compiler.
    torch.compiler.reset()
    return lengths(torch.compile(module, fullgraph=True, backend="eager"), module, x)


def exported(module: nn.Module, x: Tensor) -> str:
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq_len", max=16)}
    program = torch.export.export(module, (torch.cat([x] * 3),), dynamic_shapes=(free,))
    return lengths(program.module(), module, x)


def under_autocast(module: nn.Module, x: Tensor) -> str:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = module(x)
    return difference(got, module(x))


def in_chunks(module: nn.Module, x: Tensor) -> str:
    chunks = [module(x[:, :2], start=0), module(x[:, 2:], start=2)]
    return difference(torch.cat(chunks, dim=1), module(x))


def at_positions(module: nn.Module, x: Tensor) -> str:
    return difference(module(x, positions=torch.arange(x.shape[1])), module(x))


def past_the_end(module: nn.Module, x: Tensor) -> str:
    far = module(x, start=1000)
    return difference(far, x + PositionalEncoding(x.shape[2], 1005).pe[:, 1000:])


def saved_and_loaded(module: nn.Module, x: Tensor) -> str:
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(module)
    for tensor in other.state_dict().values():
        tensor.zero_()
    other.load_state_dict(torch.load(file, weights_only=True))
    return difference(other(x), module(x))


def copied(module: nn.Module, x: Tensor) -> str:
    twins = (copy.deepcopy(module), pickle.loads(pickle.dumps(module)))
    found = [difference(twin(x), module(x)) for twin in twins]
    return next((text for text in found if text != SAME), SAME)


def reset_from_meta(module: nn.Module, x: Tensor) -> str:
    """What fresh memory holds is replaced: drawn from the same seed, the tables are the same."""
    other = copy.deepcopy(module).to("meta").to_empty(device="cpu")
    for made in (other, module):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made.reset_parameters()
    return difference(other(x), module(x))


def in_cached_pieces(module: nn.Module, ids: Tensor) -> str:
    cache = KeyValueCache(module.config.n_layers)
    pieces = [module(piece, cache=cache) for piece in (ids[:, :2], ids[:, 2:])]
    return near(torch.cat(pieces, dim=1), module(ids))


def padded_on_the_left(module: nn.Module, ids: Tensor) -> str:
    padded = torch.nn.functional.pad(ids, (3, 0), value=7)  # no PAD: only the mask can hide it
    mask = torch.arange(padded.shape[1]).expand_as(padded) >= 3
    return near(module(padded, attention_mask=mask)[:, 3:], module(ids))


def packed_in_a_row(module: nn.Module, ids: Tensor) -> str:
    packed, texts = torch.cat((ids, ids[:, 1:]), dim=1), torch.tensor([[0] * 5 + [1] * 4])
    logits = module(packed, segment_ids=texts.expand(len(ids), -1))
    return near(logits, torch.cat((module(ids), module(ids[:, 1:])), dim=1))


def with_rows_selected(module: nn.Module, ids: Tensor) -> str:
    both = torch.cat((ids, ids.flip(1)))
    cache = KeyValueCache(module.config.n_layers)
    module(both[:, :3], cache=cache)
    beams = both[[1, 1, 0]]
    return near(module(beams[:, 3:], cache=cache.select([1, 1, 0])), module(beams)[:, 3:])


def in_one_file(module: nn.Module, ids: Tensor) -> str:
    with tempfile.TemporaryDirectory() as folder:
        module.save(Path(folder, "model.pt"))
        other = type(module).load(Path(folder, "model.pt"))
    return difference(other.eval()(ids), module(ids))


def any_integers(module: nn.Module, ids: Tensor) -> str:
    ids = ids % 128  # what the shortest of them can hold
    found = [difference(module(ids.to(dtype)), module(ids)) for dtype in INTEGERS]
    return next((text for text in found if text != SAME), SAME)


COMPILE = Ability("`torch.compile(…, fullgraph=True)`", compiled, slow=True)
EXPORT = Ability(
    "`torch.export.export`, batch and length (up to 16) left open", exported, slow=True
)
AUTOCAST = Ability("`torch.autocast` to bfloat16", under_autocast)
SAVE = Ability(
    "`torch.save` of the `state_dict`, and `torch.load(…, weights_only=True)`", saved_and_loaded
)
COPY = Ability("`copy.deepcopy` and `pickle`", copied)
META = Ability("`to_empty` on the meta device, then `reset_parameters()`", reset_from_meta)
CHUNKS = Ability("two chunks, the second with `start=2`", in_chunks)
POSITIONS = Ability("`positions=torch.arange(seq_len)`", at_positions)
INTEGER_IDS = Ability("ids of any integer dtype, 8 to 64 bits, signed or not", any_integers)
CACHE = Ability("two pieces that share a `KeyValueCache`", in_cached_pieces, outcome=CLOSE)
PADDED = Ability(
    "other ids on the left, hidden by `attention_mask`", padded_on_the_left, outcome=CLOSE
)
SEGMENTS = Ability(
    "two texts packed into a row, told apart by `segment_ids`", packed_in_a_row, outcome=CLOSE
)
SELECT = Ability(
    "rows of a `KeyValueCache` repeated and reordered by `select`",
    with_rows_selected,
    outcome=CLOSE,
)
ONE_FILE = Ability("`save`, and `SimpleLLM.load`", in_one_file)
PAST = Ability("`start=1000`, past the table: the rows of a longer table", past_the_end)


# ---- what is refused -----------------------------------------------------------------------------

V, T, X, R = ValueError, TypeError, IndexError, RuntimeError

BAD_IDS = (
    refuse("{0}(torch.zeros(1, 2))", T, "ids", "float32", "integers", ".long()"),
    refuse("{0}(torch.zeros(1, 2, dtype=torch.bool))", T, "ids", "bool", "integers"),
    refuse("{0}(torch.zeros(1, 2, dtype=torch.complex64))", T, "ids", "complex64", "integers"),
    refuse("{0}([[1, 2]])", T, "ids", "list", "(batch, seq_len)", "torch.tensor(ids)"),
    refuse("{0}([1, 2])", T, "ids", "list", "(batch, seq_len)", "torch.tensor([ids])"),
    refuse("{0}(None)", T, "ids", "NoneType", "tensor"),
    refuse("{0}(torch.tensor(3))", V, "ids", "()", "0 dim", "(batch, seq_len)"),
    refuse("{0}(torch.tensor([3, 4]))", V, "ids", "(2,)", "1 dim", "unsqueeze(0)"),
    refuse("{0}(torch.zeros(1, 2, 3).long())", V, "ids", "(1, 2, 3)", "3 dim"),
    refuse("{0}(torch.tensor([[1, 10]]))", X, "ids[0, 1]", "got 10", "vocab_size = 10"),
    refuse("{0}(torch.tensor([[-1, 9]]))", X, "ids[0, 0]", "got -1", "vocab_size = 10"),
)

BAD_VECTORS = (
    refuse("{0}([[1.0]])", T, "x", "list", "tensor", "(batch, seq_len, d_model)"),
    refuse("{0}(torch.zeros(1, 3, 6).long())", T, "x", "int64", "floating point"),
    refuse("{0}(torch.zeros(3, 6))", V, "x", "(3, 6)", "2 dim", "(batch, seq_len, d_model)"),
    refuse("{0}(torch.zeros(1, 1, 3, 6))", V, "x", "(1, 1, 3, 6)", "4 dim"),
    refuse("{0}(torch.zeros(1, 3, 8))", V, "x", "d_model = 6", "got 8", "(1, 3, 8)"),
    refuse("{0}(torch.zeros(1, 3, 1))", V, "x", "d_model = 6", "got 1", "(1, 3, 1)"),
    refuse("{0}(torch.zeros(1, 3, 6), start=-1)", V, "start", "-1", "at least 0"),
    refuse("{0}(torch.zeros(1, 3, 6), start=1.5)", T, "start", "1.5", "float", "int"),
    refuse("{0}(torch.zeros(1, 3, 6), start=True)", T, "start", "True", "bool", "int"),
    refuse("{0}(torch.zeros(1, 3, 6), start=None)", T, "start", "None", "NoneType", "int"),
    refuse("{0}(torch.zeros(1, 3, 6), positions=[0, 1, 2])", T, "positions", "list", "tensor"),
    refuse("{0}(torch.zeros(1, 3, 6), positions=torch.zeros(3))", T, "positions", "float32", "int"),
    refuse(
        "{0}(torch.zeros(1, 3, 6), positions=torch.zeros(3).bool())",
        *(T, "positions", "bool", "int"),
    ),
    refuse(
        "{0}(torch.zeros(2, 3, 6), positions=torch.arange(4))",
        *(V, "positions", "(4,)", "(3,)", "(2, 3)"),
    ),
    refuse(
        "{0}(torch.zeros(2, 3, 6), positions=torch.arange(1))",
        *(V, "positions", "(1,)", "(3,)", "(2, 3)"),
    ),
    refuse(
        "{0}(torch.zeros(2, 3, 6), positions=torch.zeros(3, 2).long())",
        *(V, "positions", "(3, 2)", "(2, 3)"),
    ),
    refuse(
        "{0}(torch.zeros(2, 3, 6), positions=torch.tensor(1))",
        *(V, "positions", "()", "(3,)", "(2, 3)"),
    ),
    refuse(
        "{0}(torch.zeros(2, 3, 6), positions=torch.zeros(2, 3, 6).long())",
        *(V, "positions", "(2, 3, 6)"),
    ),
)


def called(cases: tuple[Refusal, ...], instance: str) -> tuple[Refusal, ...]:
    """The cases for a module of this name."""
    return tuple(Refusal(c.call.format(instance), c.error, c.words) for c in cases)


TOKEN_EMBEDDING = Contract(
    name="TokenEmbedding",
    instance="tokens",
    made="TokenEmbedding(256, 64)",
    argument="ids",
    sample="torch.tensor([[1, 15, 234, 89, 2]])",
    shapes=("()", "(5,)", "(1, 5)", "(3, 5)", "(3, 5, 2)", "(3, 0)", "(0, 5)"),
    small="TokenEmbedding(10, 4)",
    arguments=(
        refuse("TokenEmbedding(0, 4)", V, "vocab_size", "0", "at least 1"),
        refuse("TokenEmbedding(-3, 4)", V, "vocab_size", "-3", "at least 1"),
        refuse("TokenEmbedding(2.5, 4)", T, "vocab_size", "2.5", "float", "int"),
        refuse("TokenEmbedding(True, 4)", T, "vocab_size", "True", "bool", "int"),
        refuse("TokenEmbedding(10, 0)", V, "d_model", "0", "at least 1"),
        refuse("TokenEmbedding(10, -1)", V, "d_model", "-1", "at least 1"),
        refuse("TokenEmbedding(10, '4')", T, "d_model", "'4'", "str", "int"),
        refuse("TokenEmbedding(10, None)", T, "d_model", "None", "NoneType", "int"),
        refuse("TokenEmbedding(10, 4, scale=8.0)", T, "scale", "8.0", "True or False"),
        refuse("TokenEmbedding(10, 4, init_std=-0.5)", V, "init_std", "-0.5", "at least 0"),
        refuse("TokenEmbedding(10, 4, init_std=math.inf)", V, "init_std", "inf", "finite"),
        refuse("TokenEmbedding(10, 4, init_std=math.nan)", V, "init_std", "nan", "finite"),
        refuse("TokenEmbedding(10, 4, init_std='1')", T, "init_std", "'1'", "str", "number"),
        refuse("TokenEmbedding(10, 4, init_std=True)", T, "init_std", "True", "bool", "number"),
        refuse("TokenEmbedding(10, 4, padding_idx=10)", V, "padding_idx", "10", "vocab_size = 10"),
        refuse("TokenEmbedding(10, 4, padding_idx=-1)", V, "padding_idx", "-1", "at least 0"),
        refuse("TokenEmbedding(10, 4, padding_idx=1.0)", T, "padding_idx", "1.0", "float", "int"),
        refuse("TokenEmbedding(10, 4, dtype=torch.int64)", T, "dtype", "int64", "floating"),
    ),
    inputs=called(BAD_IDS, "tokens"),
    abilities=(INTEGER_IDS, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)

POSITIONAL_ENCODING = Contract(
    name="PositionalEncoding",
    instance="positions",
    made="PositionalEncoding(64, 128)",
    argument="x",
    sample="torch.linspace(-1, 1, 5 * 64).reshape(1, 5, 64)",
    shapes=(
        "(64,)",
        "(5, 64)",
        "(1, 5, 64)",
        "(3, 5, 64)",
        "(3, 200, 64)",
        "(3, 5, 32)",
        "(1, 3, 5, 64)",
        "(3, 0, 64)",
        "(0, 5, 64)",
    ),
    small="PositionalEncoding(6, 10)",
    arguments=(
        refuse(
            "PositionalEncoding(7, 10)", V, "d_model", "7", "even", "sine and a cosine", "6 or 8"
        ),
        refuse("PositionalEncoding(0, 10)", V, "d_model", "0", "at least 1"),
        refuse("PositionalEncoding(-2, 10)", V, "d_model", "-2", "at least 1"),
        refuse("PositionalEncoding(6.0, 10)", T, "d_model", "6.0", "float", "int"),
        refuse("PositionalEncoding(6, 0)", V, "max_seq_len", "0", "at least 1"),
        refuse("PositionalEncoding(6, -10)", V, "max_seq_len", "-10", "at least 1"),
        refuse("PositionalEncoding(6, 10.0)", T, "max_seq_len", "10.0", "float", "int"),
        refuse("PositionalEncoding(6, True)", T, "max_seq_len", "True", "bool", "int"),
        refuse("PositionalEncoding(6, 10, base=0.0)", V, "base", "0.0", "positive"),
        refuse("PositionalEncoding(6, 10, base=-1)", V, "base", "-1", "positive"),
        refuse("PositionalEncoding(6, 10, base=math.inf)", V, "base", "inf", "finite"),
        refuse("PositionalEncoding(6, 10, base=math.nan)", V, "base", "nan", "finite"),
        refuse("PositionalEncoding(6, 10, base=None)", T, "base", "None", "NoneType", "number"),
        refuse("PositionalEncoding(6, 10, amplitude=0.0)", V, "amplitude", "0.0", "positive"),
        refuse("PositionalEncoding(6, 10, amplitude=math.nan)", V, "amplitude", "nan", "finite"),
        refuse("PositionalEncoding(6, 10, amplitude='1')", T, "amplitude", "'1'", "str", "number"),
        refuse("PositionalEncoding(6, 10, dtype=torch.int64)", T, "dtype", "int64", "floating"),
    ),
    inputs=called(BAD_VECTORS, "positions"),
    loading=(
        refuse(
            "PositionalEncoding(8, 16).load_state_dict("
            "PositionalEncoding(8, 16, base=500.0).state_dict())",
            *(R, "pe", "other numbers", "base = 10000", "base = 500", "strict=False"),
        ),
        refuse(
            "PositionalEncoding(8, 16).load_state_dict("
            "PositionalEncoding(8, 16, amplitude=0.02).state_dict())",
            *(R, "pe", "other numbers", "amplitude = 1", "strict=False"),
        ),
        refuse(
            "PositionalEncoding(8, 16).load_state_dict({'pe': torch.zeros(16, 8)})",
            *(R, "pe", "(16, 8)", "d_model = 8", "unsqueeze(0)"),
        ),
        refuse(
            "PositionalEncoding(8, 16).load_state_dict("
            "{'pe': torch.ones(1, 16, 8, dtype=torch.int64)})",
            *(R, "pe", "int64", "fractions"),
        ),
        refuse("PositionalEncoding(8, 16).load_state_dict({})", R, "Missing key", "pe"),
    ),
    abilities=(CHUNKS, POSITIONS, PAST, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)

LEARNED = Contract(
    name="LearnedPositionalEmbedding",
    instance="learned",
    made="LearnedPositionalEmbedding(128, 64)",
    argument="x",
    sample="torch.linspace(-1, 1, 5 * 64).reshape(1, 5, 64)",
    shapes=(
        "(64,)",
        "(5, 64)",
        "(1, 5, 64)",
        "(3, 5, 64)",
        "(3, 200, 64)",
        "(3, 5, 32)",
        "(1, 3, 5, 64)",
        "(3, 0, 64)",
        "(0, 5, 64)",
    ),
    small="LearnedPositionalEmbedding(10, 6)",
    arguments=(
        refuse("LearnedPositionalEmbedding(0, 6)", V, "max_seq_len", "0", "at least 1"),
        refuse("LearnedPositionalEmbedding(-10, 6)", V, "max_seq_len", "-10", "at least 1"),
        refuse("LearnedPositionalEmbedding(10.0, 6)", T, "max_seq_len", "10.0", "float", "int"),
        refuse("LearnedPositionalEmbedding(True, 6)", T, "max_seq_len", "True", "bool", "int"),
        refuse("LearnedPositionalEmbedding(10, 0)", V, "d_model", "0", "at least 1"),
        refuse("LearnedPositionalEmbedding(10, -6)", V, "d_model", "-6", "at least 1"),
        refuse("LearnedPositionalEmbedding(10, '6')", T, "d_model", "'6'", "str", "int"),
        refuse(
            "LearnedPositionalEmbedding(10, 6, init_std=-1.0)",
            *(V, "init_std", "-1.0", "at least 0"),
        ),
        refuse(
            "LearnedPositionalEmbedding(10, 6, init_std=math.inf)",
            *(V, "init_std", "inf", "finite"),
        ),
        refuse(
            "LearnedPositionalEmbedding(10, 6, init_std=None)",
            *(T, "init_std", "None", "NoneType", "number"),
        ),
        refuse(
            "LearnedPositionalEmbedding(10, 6, dtype=torch.int64)",
            *(T, "dtype", "int64", "floating"),
        ),
    ),
    inputs=called(
        (
            *BAD_VECTORS,
            refuse("{0}(torch.zeros(1, 11, 6))", V, "0 + 11", "max_seq_len = 10", "PositionalEnc"),
            refuse("{0}(torch.zeros(1, 3, 6), start=8)", V, "8 + 3", "max_seq_len = 10"),
            refuse(
                "{0}(torch.zeros(1, 3, 6), positions=torch.tensor([0, 10, 2]))",
                *(X, "positions[1]", "got 10", "max_seq_len = 10"),
            ),
            refuse(
                "{0}(torch.zeros(1, 3, 6), positions=torch.tensor([0, -1, 2]))",
                *(X, "positions[1]", "got -1", "at least 0"),
            ),
        ),
        "learned",
    ),
    loading=(
        refuse(
            "LearnedPositionalEmbedding(12, 6).load_state_dict("
            "LearnedPositionalEmbedding(10, 6).state_dict())",
            *(R, "size mismatch", "[10, 6]", "[12, 6]"),
        ),
    ),
    abilities=(CHUNKS, POSITIONS, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)

INPUT_EMBEDDING = Contract(
    name="InputEmbedding",
    instance="layer",
    made="InputEmbedding(256, 64, 128, 0.1)",
    variants={"learned": "InputEmbedding(256, 64, 128, 0.1, use_learned_pe=True)"},
    argument="ids",
    sample="torch.tensor([[1, 15, 234, 89, 2]])",
    shapes=("()", "(5,)", "(1, 5)", "(3, 5)", "(3, 200)", "(3, 5, 2)", "(3, 0)", "(0, 5)"),
    small="InputEmbedding(10, 8, 16, 0.1)",
    small_variants={"learned": "InputEmbedding(10, 8, 16, 0.1, use_learned_pe=True)"},
    arguments=(
        refuse("InputEmbedding(0, 8, 16, 0.1)", V, "vocab_size", "0", "at least 1"),
        refuse("InputEmbedding(9.5, 8, 16, 0.1)", T, "vocab_size", "9.5", "float", "int"),
        refuse("InputEmbedding(10, 7, 16, 0.1)", V, "d_model", "7", "even"),
        refuse("InputEmbedding(10, 0, 16, 0.1)", V, "d_model", "0", "at least 1"),
        refuse("InputEmbedding(10, 0, 16, 0.1, True)", V, "d_model", "0", "at least 1"),
        refuse("InputEmbedding(10, 8, 0, 0.1)", V, "max_seq_len", "0", "at least 1"),
        refuse("InputEmbedding(10, 8, -1, 0.1, True)", V, "max_seq_len", "-1", "at least 1"),
        refuse("InputEmbedding(10, 8, 16, 1.0)", V, "dropout", "1.0", "at least 0 and below 1"),
        refuse("InputEmbedding(10, 8, 16, 1)", V, "dropout", "got 1.", "at least 0 and below 1"),
        refuse("InputEmbedding(10, 8, 16, 1.5)", V, "dropout", "1.5", "at least 0 and below 1"),
        refuse("InputEmbedding(10, 8, 16, -0.1)", V, "dropout", "-0.1", "at least 0 and below 1"),
        refuse("InputEmbedding(10, 8, 16, math.nan)", V, "dropout", "nan", "at least 0 and below"),
        refuse("InputEmbedding(10, 8, 16, '0.1')", T, "dropout", "'0.1'", "str", "number"),
        refuse("InputEmbedding(10, 8, 16, None)", T, "dropout", "None", "NoneType", "number"),
        refuse("InputEmbedding(10, 8, 16, True)", T, "dropout", "True", "bool", "number"),
        refuse("InputEmbedding(10, 8, 16, 0.1, 'yes')", T, "use_learned_pe", "'yes'", "str"),
        refuse("InputEmbedding(10, 8, 16, 0.1, scale=8.0)", T, "scale", "8.0", "True or False"),
        refuse(
            "InputEmbedding(10, 8, 16, 0.1, dtype=torch.int64)", T, "dtype", "int64", "floating"
        ),
        refuse("InputEmbedding(10, 8, 16, 0.1, padding_idx=10)", V, "padding_idx", "vocab_size"),
        refuse("InputEmbedding(10, 8, 16, 0.1, init_std=-1)", V, "init_std", "-1", "at least 0"),
        refuse("InputEmbedding(10, 8, 16, 0.1, base=0)", V, "base", "0", "positive"),
        refuse(
            "InputEmbedding(10, 8, 16, 0.1, True, base=5.0)",
            *(V, "base", "5.0", "10000", "learned"),
        ),
        refuse(
            "InputEmbedding(10, 8, 16, 0.1, position_rms=0.0)",
            *(V, "position_rms", "0.0", "positive"),
        ),
    ),
    inputs=called(
        (
            *BAD_IDS,
            refuse("{0}(torch.tensor([[1, 2]]), start=-2)", V, "start", "-2", "at least 0"),
            refuse("{0}(torch.tensor([[1, 2]]), start=0.5)", T, "start", "0.5", "int"),
            refuse(
                "{0}(torch.tensor([[1, 2]]), positions=torch.arange(3))",
                *(V, "positions", "(3,)", "(2,)", "(1, 2)"),
            ),
            refuse(
                "{0}(torch.tensor([[1, 2]]), positions=torch.zeros(2))",
                *(T, "positions", "float32", "integers"),
            ),
        ),
        "layer",
    ),
    abilities=(INTEGER_IDS, CHUNKS, POSITIONS, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)

SIMPLE_LLM = Contract(
    name="SimpleLLM",
    instance="model",
    made="SimpleLLM(SimpleLLMConfig(259, 64, 1, 4, 128))",
    variants={
        how: f"SimpleLLM(SimpleLLMConfig(259, 64, 1, 4, 128, {argument}))"
        for how, argument in {
            "learned": "position='learned'",
            "rope": "position='rope'",
            "alibi": "position='alibi'",
            "t5": "position='t5'",
            "none": "position='none'",
            "untied": "tie_weights=False",
        }.items()
    },
    argument="ids",
    sample="torch.tensor([[1, 15, 234, 89, 2]])",
    shapes=("()", "(5,)", "(1, 5)", "(3, 5)", "(3, 200)", "(3, 5, 2)", "(3, 0)", "(0, 5)"),
    small="SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16))",
    small_variants={
        "learned": "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='learned'))",
        "t5": "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='t5'))",
    },
    arguments=(
        refuse("SimpleLLMConfig(3, 8, 1, 2, 16)", V, "vocab_size", "at least 4", "got 3", "EOS"),
        refuse("SimpleLLMConfig(0, 8, 1, 2, 16)", V, "vocab_size", "0", "at least 1"),
        refuse("SimpleLLMConfig(9.5, 8, 1, 2, 16)", T, "vocab_size", "9.5", "float", "int"),
        refuse("SimpleLLMConfig(10, 0, 1, 2, 16)", V, "d_model", "0", "at least 1"),
        refuse("SimpleLLMConfig(10, 7, 1, 1, 16)", V, "d_model", "7", "even", "6 or 8"),
        refuse("SimpleLLMConfig(10, '8', 1, 2, 16)", T, "d_model", "'8'", "str", "int"),
        refuse("SimpleLLMConfig(10, 8, 0, 2, 16)", V, "n_layers", "0", "at least 1"),
        refuse("SimpleLLMConfig(10, 8, True, 2, 16)", T, "n_layers", "True", "bool", "int"),
        refuse("SimpleLLMConfig(10, 8, 1, 0, 16)", V, "n_heads", "0", "at least 1"),
        refuse("SimpleLLMConfig(10, 8, 1, 3, 16)", V, "n_heads", "d_model = 8", "got 3"),
        refuse("SimpleLLMConfig(10, 8, 1, 2, 0)", V, "max_seq_len", "0", "at least 1"),
        refuse("SimpleLLMConfig(10, 8, 1, 2, None)", T, "max_seq_len", "None", "NoneType", "int"),
        refuse("SimpleLLMConfig(10, 8, 1, 2, 16, 1.0)", V, "dropout", "1.0", "below 1"),
        refuse("SimpleLLMConfig(10, 8, 1, 2, 16, '0.1')", T, "dropout", "'0.1'", "str", "number"),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, block_dropout=-0.1)",
            *(V, "block_dropout", "-0.1", "at least 0"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='rotary')",
            *(V, "position", "'rotary'", "none, sinusoidal, learned, rope, alibi, t5"),
        ),
        refuse(
            "SimpleLLMConfig(10, 6, 1, 2, 16, position='rope')",
            *(V, "d_model / n_heads", "even", "6 / 2 = 3"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, tie_weights='yes')",
            *(T, "tie_weights", "'yes'", "True or False"),
        ),
        refuse("SimpleLLMConfig(10, 8, 1, 2, 16, scale=8.0)", T, "scale", "8.0", "True or False"),
        refuse("SimpleLLMConfig(10, 8, 1, 2, 16, init_std=-1)", V, "init_std", "-1", "at least 0"),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position_rms=0.0)",
            *(V, "position_rms", "0.0", "positive"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='rope', position_rms=0.1)",
            *(V, "position_rms", "None", "'rope'", "0.1"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, padding_idx=10)",
            *(V, "padding_idx", "vocab_size = 10", "got 10"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, padding_idx=1.0)",
            *(T, "padding_idx", "1.0", "float", "int"),
        ),
        refuse("SimpleLLMConfig(10, 8, 1, 2, 16, base=0)", V, "base", "0", "positive"),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='t5', base=500.0)",
            *(V, "base", "10000", "'t5'", "500.0"),
        ),
        refuse("SimpleLLM(10)", T, "config", "SimpleLLMConfig", "int"),
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16), dtype=torch.int64)",
            *(T, "dtype", "int64", "floating"),
        ),
    ),
    inputs=called(
        (
            *BAD_IDS,
            refuse(
                "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='learned'))"
                "(torch.zeros(1, 17).long())",
                *(V, "0 + 17", "max_seq_len = 16"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), positions=torch.arange(3))",
                *(V, "positions", "(3,)", "(2,)", "(1, 2)"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), positions=torch.zeros(2))",
                *(T, "positions", "float32", "integers"),
            ),
            refuse("{0}(torch.tensor([[3, 4]]), positions=[0, 1])", T, "positions", "list"),
            refuse(
                "{0}(torch.tensor([[3, 4]]), attention_mask=torch.ones(1, 3).bool())",
                *(V, "attention_mask", "(1, 2)", "(1, 3)", "cache"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), attention_mask=torch.ones(1, 2))",
                *(T, "attention_mask", "float32", ".bool()"),
            ),
            refuse("{0}(torch.tensor([[3, 4]]), segment_ids=[[0, 1]])", T, "segment_ids", "list"),
            refuse(
                "{0}(torch.tensor([[3, 4]]), segment_ids=torch.zeros(1, 2))",
                *(T, "segment_ids", "float32", ".long()"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), segment_ids=torch.tensor([0, 1]))",
                *(V, "segment_ids", "(1, 2)", "(2,)", "expand_as(ids)"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), segment_ids=torch.tensor([[0, 1]]), "
                "cache=KeyValueCache(1))",
                *(V, "segment_ids", "None with a cache"),
            ),
        ),
        "model",
    ),
    caching=(
        refuse("model(torch.tensor([[5]]), cache=[])", T, "cache", "KeyValueCache", "list"),
        refuse(
            "model(torch.tensor([[5]]), cache=KeyValueCache(2))",
            *(V, "cache", "n_layers = 1", "got 2", "KeyValueCache(1)"),
        ),
        refuse(
            "model(torch.tensor([[5], [6]]), cache=cached(model))",
            *(V, "cache", "2, got 1", "cache.select(rows)"),
        ),
        refuse(
            "model(torch.tensor([[5]]), cache=cached(SimpleLLM(model.config)))",
            *(V, "cache", "filled by this model", "2 tokens of another"),
        ),
        refuse("KeyValueCache(0)", V, "n_layers", "at least 1", "got 0"),
        refuse("KeyValueCache(1).select([0])", V, "cache", "empty"),
        refuse("cached(model).select([0, 1])", X, "rows", "batch = 1", "got 1", "rows[1]"),
        refuse("cached(model).select([True])", T, "rows", "bool", "nonzero()"),
        refuse("cached(model).select([[0]])", V, "rows", "(new_batch,)", "(1, 1)"),
    ),
    losses=(
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.zeros(1, 2).long())",
            *(V, "targets", "PAD = 0", "(1, 2)"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.tensor([[-100, 5]]))",
            *(X, "targets[0, 0]", "got -100", "vocab_size = 8", "masked_fill"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.tensor([[5, 8]]))",
            *(X, "targets[0, 1]", "got 8", "vocab_size = 8"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.zeros(1, 2))",
            *(T, "targets", "float32", "integers"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 8, 2), torch.tensor([[5, 6]]))",
            *(V, "targets", "(1, 2)", "(1, 8, 2)", "transpose(1, 2)"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 3, 8), torch.tensor([[5, 6]]))",
            *(V, "targets", "(1, 2)", "(1, 3, 8)", "one apart"),
        ),
        refuse("next_token_loss([[0.0]], torch.tensor([[5]]))", T, "logits", "tensor", "list"),
    ),
    generation=(
        refuse("model.generate([[3, 4]], 5)", T, "ids", "list", "tensor"),
        refuse("model.generate(torch.tensor([3, 4]), 5)", V, "ids", "(2,)", "unsqueeze(0)"),
        refuse("model.generate(torch.tensor([[3, 10]]), 5)", X, "ids[0, 1]", "vocab_size = 10"),
        refuse("model.generate(torch.zeros(1, 0).long(), 5)", V, "ids", "(1, 0)", "BOS"),
        refuse("model.generate('once', 5)", T, "ids", "str", "Encode the text"),
        refuse(
            "model.generate(torch.tensor([[3, 0]]), 5)",
            *(V, "ids[0, 1]", "PAD = 0", "attention_mask=ids != 0"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature=1.0, generator=0)",
            *(T, "generator", "torch.Generator", "int", "manual_seed"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), -1)", V, "max_new_tokens", "-1"),
        refuse("model.generate(torch.tensor([[3, 4]]), 2.5)", T, "max_new_tokens", "2.5", "int"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature=-1.0)",
            *(V, "temperature", "-1.0", "at least 0"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature='1')",
            *(T, "temperature", "'1'", "number"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature=math.inf)",
            *(V, "temperature", "inf", "finite"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, top_k=0)", V, "top_k", "0", "at least 1"),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, top_k=1.5)", T, "top_k", "1.5", "int"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, eos_id=10)",
            *(V, "eos_id", "vocab_size = 10", "got 10"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, eos_id=0)",
            *(V, "eos_id", "not PAD = 0", "got 0"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, eos_id='2')", T, "eos_id", "'2'", "int"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, attention_mask=torch.ones(1, 3).bool())",
            *(V, "attention_mask", "(1, 2)", "(1, 3)"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, attention_mask=[[1, 1]])",
            *(T, "attention_mask", "tensor", "list"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, use_cache=1)", T, "use_cache", "1"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, attention_mask=torch.tensor([[1, 0]]))",
            *(V, "attention_mask", "padding on the left"),
        ),
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='learned'))"
            ".generate(torch.tensor([[3, 4]]), 16)",
            *(V, "2 prompt tokens", "max_new_tokens = 16", "17", "max_seq_len = 16"),
        ),
    ),
    loading=(
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16)).load_state_dict("
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, tie_weights=False)).state_dict())",
            *(R, "Unexpected key", "output.weight"),
        ),
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, tie_weights=False)).load_state_dict("
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16)).state_dict())",
            *(R, "Missing key", "output.weight"),
        ),
        refuse("SimpleLLM.load('missing.pt')", FileNotFoundError, "missing.pt"),
        refuse("SimpleLLM.load(os.devnull)", V, os.devnull, "empty"),
        refuse("SimpleLLM.load('.')", V, "SimpleLLM.save", "folder"),
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16)).save('nowhere/model.pt')",
            *(FileNotFoundError, "path", "model.pt", "make it first"),
        ),
    ),
    abilities=(
        *(INTEGER_IDS, POSITIONS, CACHE, SELECT, PADDED, SEGMENTS, COMPILE, EXPORT),
        *(META, SAVE, ONE_FILE, COPY),
    ),
)

CONTRACTS = {
    c.name: c for c in (TOKEN_EMBEDDING, POSITIONAL_ENCODING, LEARNED, INPUT_EMBEDDING, SIMPLE_LLM)
}
