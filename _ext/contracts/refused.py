"""What is refused, by argument: one list of bad values for each kind of argument.

A class lists which of its arguments is of which kind, and each value becomes a call of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .cases import NAMES, Refusal, T, V, X, refuse


@dataclass(frozen=True)
class Bad:
    """A value that an argument may not have: the error's type, and parts of its message."""

    value: str  # as one types it
    error: type[Exception]
    words: tuple[str, ...]


def wrong(limit: str, *values: str) -> tuple[Bad, ...]:
    """Values of the right type that are out of the limit."""
    return tuple(Bad(value, V, (limit,)) for value in values)


def no(wanted: str, *values: str) -> tuple[Bad, ...]:
    """Values of a wrong type, which the message names."""
    return tuple(Bad(v, T, (wanted, type(eval(v, dict(NAMES))).__name__)) for v in values)


COUNT = (*wrong("at least 1", "0", "-3"), *no("int", "2.5", "True", "'4'", "None"))
EVEN = (*COUNT, Bad("7", V, ("even", "sine and a cosine", "6 or 8")))
FLAG = tuple(Bad(value, T, ("True or False",)) for value in ("8.0", "'yes'"))
FINITE = (*wrong("finite", "math.inf", "math.nan"), *no("number", "'1'", "True"))
AT_LEAST_0 = (*wrong("at least 0", "-0.5", "-1"), *FINITE)
POSITIVE = (*wrong("positive", "0.0", "-1"), *FINITE)
SHARE_OR_NONE = (
    *wrong("at least 0 and below 1", "1.0", "1", "1.5", "-0.1", "math.nan"),
    *no("number", "'0.1'", "True"),
)
SHARE = (*SHARE_OR_NONE, *no("number", "None"))
ID = (
    *wrong("vocab_size = 10", "10"),
    *wrong("at least 0", "-1"),
    *no("int", "1.0", "True"),
)
CONVENTION = (*wrong("no known name", "'mine'"), *no("Convention", "3", "True"))
FLOAT_DTYPE = (Bad("torch.int64", T, ("floating",)), *no("torch.dtype", "'float32'"))


def each(function: str, good: str, **kinds: tuple[Bad, ...]) -> Iterator[Refusal]:
    """Yield a call with good arguments but for one, for every bad value of every argument."""
    keywords = ast.parse(f"f({good})", mode="eval").body.keywords  # type: ignore[attr-defined]
    arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
    for name, kind in kinds.items():
        for bad in kind:
            call = ", ".join(f"{k}={v}" for k, v in {**arguments, name: bad.value}.items())
            said = str(eval(bad.value, dict(NAMES))) if bad.value[0] != "'" else bad.value
            yield refuse(f"{function}({call})", bad.error, name, said, *bad.words)


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
