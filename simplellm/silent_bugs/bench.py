"""Bring your own: which promises does a class keep that nobody here has written?"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..printing import prints_anywhere
from .promises import PROMISES, SHAPES, Measured, Promise
from .variants import Call, Convention, Maker, NotApplicableError, Subject

# What other people call it. The first name that a constructor has is taken.
ARGUMENTS = {
    "vocab_size": ("vocab_size", "num_embeddings", "n_vocab", "vocab", "ntoken", "num_tokens"),
    "d_model": (
        "d_model", "embedding_dim", "embed_dim", "hidden_size", "n_embd", "emb_size", "dim",
    ),
    "max_seq_len": (
        "max_seq_len", "max_len", "maxlen", "max_position_embeddings", "block_size",
        "context_length", "n_positions", "max_length", "seq_len",
    ),
    "dropout": ("dropout", "dropout_prob", "hidden_dropout_prob", "drop_rate", "dropout_rate", "p"),
}  # fmt: skip
STARTS = ("start", "offset", "start_pos", "past_length", "past_key_values_length")
POSITIONS = ("positions", "position_ids")


@dataclass(frozen=True)
class Finding:
    """One promise and what became of it.

    Attributes:
        promise: The promise.
        verdict: ``"kept"``, ``"broken"``, ``"not applicable"`` or ``"crashed"``.
        measured: The deviation; None where nothing could be measured.
        why: What was measured, or why nothing was.
    """

    promise: Promise
    verdict: str
    measured: Measured | None
    why: str


@dataclass(frozen=True)
@prints_anywhere
class BenchReport:
    """Which promises a class keeps.

    Attributes:
        name: The class.
        says: The convention it was held to.
        stated: Whether you gave that convention; otherwise it was read off the layer.
        findings: One for each promise, by name.
    """

    name: str
    says: Convention
    stated: bool
    findings: dict[str, Finding]

    def _with(self, verdict: str) -> tuple[str, ...]:
        return tuple(name for name, f in self.findings.items() if f.verdict == verdict)

    @property
    def kept(self) -> tuple[str, ...]:
        """The promises it keeps."""
        return self._with("kept")

    @property
    def broken(self) -> tuple[str, ...]:
        """The promises it breaks."""
        return self._with("broken")

    @property
    def not_applicable(self) -> tuple[str, ...]:
        """The promises that say nothing about it."""
        return self._with("not applicable")

    @property
    def crashed(self) -> tuple[str, ...]:
        """The promises that could not be measured, because the class raised."""
        return self._with("crashed")

    def __repr__(self) -> str:
        lines = [f"{self.name}, {'held to' if self.stated else 'read as'}: {self.says}"]
        width = max(map(len, self.findings))
        for name, finding in self.findings.items():
            lines.append(f"{name:{width}}  {finding.verdict:14}  {finding.why}".rstrip())
        counts = [f"{len(self.kept)} kept", f"{len(self.broken)} broken"]
        counts.append(f"{len(self.not_applicable)} not applicable")
        if self.crashed:
            counts.append(f"{len(self.crashed)} crashed")
        return "\n".join([*lines, ", ".join(counts)])


def bench(
    layer_class: Callable[..., nn.Module],
    *,
    says: Convention | None = None,
    batch_first: bool = True,
    build: Callable[[int, int, int, float], nn.Module] | None = None,
    call: Call | None = None,
    **arguments: Any,
) -> BenchReport:
    """Put any class on the bench: a whole input layer, or a module that adds positions to vectors.

    What the class calls its sizes is found by name (``d_model``, ``embed_dim``, ``n_embd``, …). A
    class without a vocabulary is taken for one that adds positions: it gets vectors, from a token
    table before it.

    Args:
        layer_class: The class, or a function that returns a module.
        says: The convention it is held to. Left at None it is read off the layer, as well as that
            can be done: sinusoids are recognised, and anything that is none of the known ones is
            held to the paper's.
        batch_first: Whether it wants ``(batch, seq_len)``; otherwise ``(seq_len, batch)``.
        build: ``build(vocab_size, d_model, max_seq_len, dropout)``, for a constructor that cannot
            be understood by its names. What it makes is given ids.
        call: ``call(module, ids_or_vectors, start)``, for a forward that wants to be called in
            another way.
        arguments: Further arguments for the constructor.

    Returns:
        A :class:`BenchReport`, which prints itself as a table.

    Raises:
        TypeError: If the constructor needs an argument that nobody gives; names it.

    Example:
        >>> from simplellm import PositionalEncoding
        >>> report = bench(PositionalEncoding)
        >>> report.broken
        ()
        >>> report.says
        sinusoidal, interleaved, base 10000, tokens as they are
    """
    make = _maker(layer_class, batch_first, build, call, arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        held_to = says if says is not None else _read_off(make)
        make = Maker(make.build, held_to, make.call, make.takes_start, make.takes_dropout)
        findings = {
            promise.name: _finding(promise, make) for promise in (SHAPES, *PROMISES.values())
        }
    name = getattr(layer_class, "__name__", type(layer_class).__name__)
    return BenchReport(name, held_to, says is not None, findings)


def _finding(promise: Promise, make: Maker) -> Finding:
    torch.manual_seed(0)
    try:
        measured = promise.measure(make)
    except NotApplicableError as reason:
        return Finding(promise, "not applicable", None, str(reason))
    except Exception as error:  # somebody else's class may do anything
        message = str(error).partition("\n")[0]
        return Finding(promise, "crashed", None, f"{type(error).__name__}: {message}")
    if promise.kept(measured):
        return Finding(promise, "kept", measured, _at_most(measured.deviation))
    size = "" if math.isinf(measured.deviation) else f": {measured.deviation:.2g}"
    return Finding(promise, "broken", measured, f"{measured.what}{size}")


def _at_most(deviation: float) -> str:
    """A small deviation as a bound: its digits differ from one processor to the next."""
    if deviation == 0:
        return "exactly"
    return f"to {10.0 ** math.ceil(math.log10(deviation)):.0e}".replace("e-0", "e-")


class _Vectors(nn.Module):
    """A token table, and behind it a module that takes vectors."""

    def __init__(self, vocab_size: int, d_model: int, behind: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.behind = behind


def _maker(
    layer_class: Callable[..., nn.Module],
    batch_first: bool,
    build: Callable[[int, int, int, float], nn.Module] | None,
    call: Call | None,
    arguments: dict[str, Any],
) -> Maker:
    names = {} if build else _argument_names(layer_class, arguments)
    vectors = build is None and "vocab_size" not in names

    def construct(vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> nn.Module:
        if build:
            return build(vocab_size, d_model, max_seq_len, dropout)
        sizes = {
            "vocab_size": vocab_size,
            "d_model": d_model,
            "max_seq_len": max_seq_len,
            "dropout": dropout,
        }
        module = layer_class(**{own: sizes[name] for name, own in names.items()}, **arguments)
        return _Vectors(vocab_size, d_model, module) if vectors else module

    forward = inspect.signature(construct(50, 16, 64, 0.0).forward).parameters
    if vectors:
        forward = inspect.signature(construct(50, 16, 64, 0.0).behind.forward).parameters  # type: ignore[union-attr]
    start_name = next((name for name in STARTS if name in forward), None)
    positions_name = next((name for name in POSITIONS if name in forward), None)

    def own_call(module: nn.Module, x: Tensor, start: int) -> Tensor:
        if start_name:
            return module(x, **{start_name: start})
        if positions_name and start:
            length = x.shape[1 if batch_first else 0]
            places = torch.arange(start, start + length, device=x.device)
            return module(x, **{positions_name: places})
        return module(x)

    def call_with_ids(module: nn.Module, ids: Tensor, start: int) -> Tensor:
        inner = module
        x = ids if batch_first else ids.T
        if vectors:
            x = module.embedding(x)  # type: ignore[operator]
            inner = module.behind  # type: ignore[assignment]
        out = (call or own_call)(inner, x, start)
        return out if batch_first else out.transpose(0, 1)

    return Maker(
        construct,
        call=call_with_ids,
        takes_start=bool(call or start_name or positions_name),
        takes_dropout=bool(build or "dropout" in names),
    )


def _argument_names(layer_class: Callable[..., Any], given: dict[str, Any]) -> dict[str, str]:
    """For each size, the name that this constructor has for it."""
    parameters = inspect.signature(layer_class).parameters
    names = {}
    for size, candidates in ARGUMENTS.items():
        found = next((name for name in candidates if name in parameters), None)
        if found and found not in given:
            names[size] = found
    for parameter in parameters.values():
        needed = parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        )
        if needed and parameter.name not in names.values() and parameter.name not in given:
            raise TypeError(
                f"{getattr(layer_class, '__name__', layer_class)} needs the argument "
                f"{parameter.name!r}, and it is not one of the names known for a size. Pass it to "
                "bench by name, or say how to build one: build=lambda vocab_size, d_model, "
                "max_seq_len, dropout: …"
            )
    return names


def _read_off(make: Maker) -> Convention:
    """The convention that a layer comes nearest to."""
    layer = make().eval()
    try:
        rows = layer.position_rows(layer.max_seq_len).double()
    except Exception:  # no sum, or it fails in a way that a promise will report
        return Convention(positions="learned" if _has_positions_to_learn(layer) else "sinusoidal")
    candidates = [
        Convention(),
        Convention(columns="halves"),
        Convention(frequencies="tensor2tensor"),
        Convention(columns="halves", frequencies="tensor2tensor"),
    ]
    errors = [
        float((rows - c.formula(layer.max_seq_len, layer.d_model)).abs().max()) for c in candidates
    ]
    nearest = candidates[errors.index(min(errors))]
    scale = _tokens_are_scaled(layer)
    if min(errors) > 0.01:
        learned = _has_positions_to_learn(layer)
        return Convention(positions="learned" if learned else "sinusoidal", scale=scale)
    return Convention(columns=nearest.columns, frequencies=nearest.frequencies, scale=scale)


def _tokens_are_scaled(layer: Subject) -> bool:
    ids = torch.arange(3, layer.vocab_size)[None, : layer.max_seq_len]
    rows, table = layer.token_rows(ids), layer.token_table.detach()[ids]
    return float(rows.norm() / table.norm()) > layer.d_model**0.25  # nearer to √d than to 1


def _has_positions_to_learn(layer: Subject) -> bool:
    table = layer.token_table
    return any(
        p.requires_grad and p is not table and layer.max_seq_len in p.shape
        for p in layer.parameters()
    )
