"""Bring your own: which promises does a class keep that nobody here has written?"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..printing import prints_anywhere
from .promises import PROMISES, SHAPES, Measured, Promise
from .reading import fit
from .variants import Call, Convention, Maker, NotApplicableError, Subject

# What other people call it. The first name that a constructor has is taken.
ARGUMENTS = {
    "vocab_size": ("vocab_size", "num_embeddings", "n_vocab", "vocab", "ntoken", "num_tokens",
        "num_embed"),
    "d_model": (
        "d_model", "embedding_dim", "embed_dim", "hidden_size", "n_embd", "emb_size", "dim",
        "size", "channels", "num_hiddens", "input_dim", "input_size", "width", "model_dim",
        "embedding_size", "encoding_dim", "out_channels",
    ),
    "max_seq_len": (
        "max_seq_len", "max_len", "maxlen", "max_position_embeddings", "block_size",
        "context_length", "n_positions", "max_length", "seq_len",
        "num_positions", "max_seq_length", "max_sequence_length", "seq_length", "length",
        "max_tokens",
    ),
    "dropout": ("dropout", "dropout_prob", "hidden_dropout_prob", "drop_rate", "dropout_rate",
        "dropout_p", "p"),
}  # fmt: skip
STARTS = ("start", "offset", "start_pos", "past_length", "past_key_values_length")
POSITIONS = ("positions", "position_ids")


@dataclass(frozen=True)
class Finding:
    """One promise and what became of it.

    Attributes:
        promise: The promise.
        verdict: ``"kept"``, ``"broken"``, ``"not applicable"``, ``"not judged"`` or ``"crashed"``.
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
        notes: What went wrong or was left alone, and what to do about it.
    """

    name: str
    says: Convention
    stated: bool
    findings: dict[str, Finding]
    notes: tuple[str, ...] = ()

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
    def not_judged(self) -> tuple[str, ...]:
        """The promises that could not be measured fairly; the finding says why."""
        return self._with("not judged")

    @property
    def crashed(self) -> tuple[str, ...]:
        """The promises that could not be measured, because the class raised."""
        return self._with("crashed")

    def __repr__(self) -> str:
        lines = [
            f"{self.name}, {'held to' if self.stated else 'read as'}: {self.says}",
            *self.notes,
        ]
        width = max(map(len, self.findings))
        for name, finding in self.findings.items():
            lines.append(f"{name:{width}}  {finding.verdict:14}  {finding.why}".rstrip())
        counts = [f"{len(self.kept)} kept", f"{len(self.broken)} broken"]
        counts.append(f"{len(self.not_applicable)} not applicable")
        if self.not_judged:
            counts.append(f"{len(self.not_judged)} not judged")
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
            be understood by its names. What it makes is given ids, or vectors if it
            has no token table.
        call: ``call(module, ids_or_vectors, start)``, for a forward that wants to be called in
            another way.
        arguments: Further arguments for the constructor.

    Returns:
        A :class:`BenchReport`, which prints itself as a table.

    Raises:
        ValueError: If a size given is not positive.
        TypeError: If it is given a module in place of a class, or the constructor
            needs an argument that nobody gives; names it.

    Example:
        >>> from simplellm import PositionalEncoding
        >>> report = bench(PositionalEncoding)
        >>> report.broken
        ()
        >>> report.says
        sinusoidal, interleaved, base 10000, tokens as they are
    """
    if isinstance(layer_class, nn.Module):
        raise TypeError(
            "bench builds layers of several sizes: give it the class "
            f"{type(layer_class).__name__}, not one layer, or say how to build one: "
            "build=lambda vocab_size, d_model, "
            "max_seq_len, dropout: …"
        )
    for name, value in arguments.items():
        size = any(name in ARGUMENTS[kind] for kind in ("vocab_size", "d_model", "max_seq_len"))
        if size and isinstance(value, int) and value < 1:
            raise ValueError(f"{name} = {value} is no size: it must be at least 1. Leave it out.")
    make = _maker(layer_class, batch_first, build, call, arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trouble = _trouble(make)
        held_to = says
        if held_to is None:
            held_to = Convention(positions="not read") if trouble else _read_off(make)
        make = replace(make, says=held_to)
        unset = _unset(layer_class, arguments) if build is None else ()
        reasons = _not_judged(make, unset, bool(call))
        findings = {}
        for promise in (SHAPES, *PROMISES.values()):
            finding = _finding(promise, make)
            if promise.name in reasons and finding.verdict != "crashed":
                finding = Finding(promise, "not judged", None, reasons[promise.name])
            of_the_rest = finding.verdict == "broken" and promise is not SHAPES
            if trouble and (finding.verdict == "kept" or of_the_rest):
                finding = Finding(promise, "not judged", None, "its output cannot be used")
            findings[promise.name] = finding
        notes = [trouble] if trouble else []
        if unset:
            notes.append(
                f"left at their defaults: {', '.join(unset)}; pass them by name, or build="
            )
        if not trouble and batch_first and findings["own sentence"].verdict == "broken":
            other = _maker(layer_class, False, build, call, arguments)
            if _finding(PROMISES["own sentence"], other).verdict == "kept":
                notes.append("it takes the first axis for the positions: try batch_first=False")
    name = getattr(layer_class, "__name__", type(layer_class).__name__)
    return BenchReport(name, held_to, says is not None, findings, tuple(notes))


def _trouble(make: Maker) -> str:
    """Why the output of a layer cannot be used, and what to do about it; empty if it can."""
    try:
        layer = make().eval()
        with torch.no_grad():
            out = layer(layer.ids(2, 5))
    except Exception as error:
        message = str(error).partition("\n")[0]
        return f"its forward raises {type(error).__name__}: {message}"
    if not isinstance(out, Tensor):
        get = "[0]"
        if isinstance(out, dict):
            get = f"[{next(iter(out), '…')!r}]"
        elif is_dataclass(out) and fields(out):
            get = f".{fields(out)[0].name}"
        kind = type(out).__name__
        return f"its forward returns a {kind}: try call=lambda module, x, start: module(x){get}"
    if tuple(out.shape) in ((5, 16), (1, 5, 16)):
        return "it returns rows alone: try call=lambda module, x, start: x + module(x)"
    if tuple(out.shape) != (2, 5, 16):
        return f"for (2, 5) ids it returns {tuple(out.shape)}, not (2, 5, 16)"
    return ""


def _not_judged(make: Maker, unset: tuple[str, ...], own_call: bool) -> dict[str, str]:
    """The promises that cannot be measured fairly, and why."""
    reasons = {}
    named = f" ({', '.join(unset)}?)" if unset else ""
    if unset and not make.takes_length:
        reasons["after the last"] = f"no argument is known for its length{named}"
    try:
        layer = make()
        ids = layer.ids(2, 40)
        if unset and not make.takes_dropout:
            reasons["dropout"] = f"no argument is known for its dropout{named}"
            if not torch.equal(layer(ids), layer(ids)):
                for name in ("gradient", "training"):
                    reasons[name] = f"it is random in training, from an argument unknown{named}"
        layer.eval()
        if own_call and make.takes_start and torch.equal(layer(ids, start=3), layer(ids)):
            reasons["chunks"] = "call= makes no use of start"
            reasons.setdefault("after the last", "call= makes no use of start")
    except Exception:  # a promise will report it
        pass
    return reasons


def _unset(layer_class: Callable[..., Any], given: dict[str, Any]) -> tuple[str, ...]:
    """The arguments of a constructor that are left at their defaults."""
    known = {*_argument_names(layer_class, given).values(), *given}
    return tuple(
        name
        for name, parameter in inspect.signature(layer_class).parameters.items()
        if name not in known and parameter.default is not inspect.Parameter.empty
    )


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
            built = build(vocab_size, d_model, max_seq_len, dropout)
            table = (vocab_size, d_model)
            whole = any(tuple(p.shape) == table for p in built.parameters())
            return built if whole else _Vectors(vocab_size, d_model, built)
        sizes = {
            "vocab_size": vocab_size,
            "d_model": d_model,
            "max_seq_len": max_seq_len,
            "dropout": dropout,
        }
        module = layer_class(**{own: sizes[name] for name, own in names.items()}, **arguments)
        return _Vectors(vocab_size, d_model, module) if vectors else module

    trial = construct(50, 16, 64, 0.0)
    inner_trial = trial.behind if isinstance(trial, _Vectors) else trial
    forward = inspect.signature(inner_trial.forward).parameters
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
        if isinstance(module, _Vectors):
            x = module.embedding(x)
            inner = module.behind
        out = (call or own_call)(inner, x, start)
        return out if batch_first else out.transpose(0, 1)

    return Maker(
        construct,
        call=call_with_ids,
        takes_start=bool(call or start_name or positions_name),
        takes_dropout=bool(build or "dropout" in names),
        takes_length=bool(build or "max_seq_len" in names),
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
        rows = layer.position_rows(layer.max_seq_len)
        scale = _tokens_are_scaled(layer)
    except Exception:  # no sum, or it fails in a way that a promise will report
        return Convention(
            positions="learned" if _has_positions_to_learn(layer) else "not read", scale=False
        )
    try:
        wider = make(d_model=32).eval().position_rows(layer.max_seq_len)
    except Exception:  # one width is what there is
        wider = None
    found = None if _has_positions_to_learn(layer) else fit(rows, wider)
    if found is None:
        learned = _has_positions_to_learn(layer)
        return Convention(positions="learned" if learned else "not recognised", scale=scale)
    scalar = any(p.requires_grad and p.numel() == 1 for p in layer.parameters())
    return replace(found, scale=scale, learned_scalar=scalar)


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
