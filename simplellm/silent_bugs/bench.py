"""Bring your own: which promises does a class keep that nobody here has written?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..printing import prints_anywhere
from .adapting import HOW_TO_BUILD, Adapted, Build, Vectors, adapt, same, watched
from .promises import LONG, PROMISES, SHAPES, Measured, Promise
from .reading import moved_by, read_off
from .variants import Call, LayerConvention, Maker, NotApplicableError, NotReadError, Subject

#: What compares two answers: it says nothing of a layer that never answers twice alike.
COMPARED = ("own sentence", "formula", "token scale", "checkpoint", "chunks", "after the last",
    "no sharing", "low precision")  # fmt: skip
FAR = 20_000  #: Past the tables of nearly all classes that set their length themselves


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
        says: The convention it was held to, ``"not read"`` or ``"not recognised"`` included.
        stated: Whether you gave that convention; otherwise it was read off the layer.
        findings: One for each promise, by name.
        notes: What went wrong or was left alone, and what to do about it.
    """

    name: str
    says: LayerConvention
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
        lines = [f"{self.name}, {'held to' if self.stated else 'read as'}: {self.says}"]
        if not self.stated and self.says.positions == "not read":
            lines = [f"{self.name}: its convention was not read"]
        lines += self.notes
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
    says: LayerConvention | None = None,
    batch_first: bool = True,
    build: Build | None = None,
    call: Call | None = None,
    **arguments: Any,
) -> BenchReport:
    """Put any class on the bench: a whole input layer, or a module that adds positions to vectors.

    What the class calls its sizes is found by name (``d_model``, ``embed_dim``, ``n_embd``, …). A
    class without a vocabulary is taken for one that adds positions: it gets vectors, from a token
    table before it.

    Args:
        layer_class: The class, or a function that returns a module.
        says: The convention it is held to. Left at None it is read off the layer. Sinusoids that
            :class:`~simplellm.Convention` can say are recognised; of others the formula is not
            judged.
        batch_first: Whether it wants ``(batch, seq_len)``; otherwise ``(seq_len, batch)``.
        build: ``build(vocab_size, d_model, max_seq_len, dropout)``, for a constructor that cannot
            be understood by its names. What it makes is given ids if it holds something for each
            id or answers to ids, and otherwise vectors.
        call: ``call(module, ids_or_vectors, start)``, for a forward that wants to be called in
            another way.
        arguments: Further arguments for the constructor. A constructor's own ``batch_first`` gets
            the bench's.

    Returns:
        A :class:`BenchReport`, which prints itself as a table.

    Raises:
        ValueError: If a size given is not positive, or the constructor raises.
        TypeError: If it is given a module in place of a class, a size that is no whole number, or
            the constructor needs arguments that nobody gives; names them.

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
            f"{HOW_TO_BUILD}…"
        )
    if not callable(layer_class):
        raise TypeError(f"bench wants a class, got a {type(layer_class).__name__}.")
    for name, value in (("build", build), ("call", call)):
        if value is not None and not callable(value):
            raise TypeError(f"{name} = {value!r} must be a function, or be left out.")
    if not isinstance(says, LayerConvention | None):
        raise TypeError(f"says = {says!r} must be a LayerConvention, or be left out.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        adapted = adapt(layer_class, batch_first, build, call, arguments)
        make = adapted.make
        trouble = _trouble(make, batch_first, getattr(layer_class, "__name__", "…"))
        notes = [trouble] if trouble else _habits(make)
        restless = not trouble and not _answers_alike(make)
        if restless:
            notes.append("asked again, it answers otherwise")
        if trouble and not adapted.knows_width:
            notes.append(f"no argument is known for its width: {HOW_TO_BUILD}…")
        if adapted.unset:
            notes.append(
                f"left at their defaults: {', '.join(adapted.unset)}; pass them by name, or build="
            )
        held_to = says
        if held_to is None:
            unread = LayerConvention("not read", scale=None)
            held_to = unread if trouble or restless else read_off(make)
        make = replace(make, says=held_to)
        reasons = {} if trouble else _not_judged(adapted, make)
        if call and not trouble and not _makes_use_of_start(make):
            make = replace(make, takes_start=False)
            reasons["chunks"] = "call= makes no use of start; if the module has one, pass it on"
        findings = {}
        for promise in (SHAPES, *PROMISES.values()):
            finding = _finding(promise, make)
            if trouble and promise is not SHAPES and finding.verdict != "not applicable":
                finding = Finding(promise, "not judged", None, "its output cannot be used")
            if restless and promise.name in COMPARED and finding.verdict == "broken":
                finding = Finding(promise, "not judged", None, "asked again, it answers otherwise")
            # "It has no dropout", "it has no start": that is what could not be seen.
            applies = finding.verdict != "not applicable" or promise.name in ("chunks", "dropout")
            if promise.name in reasons and applies:
                finding = Finding(promise, "not judged", None, reasons[promise.name])
            findings[promise.name] = finding
        if not trouble and findings["own sentence"].verdict == "broken":
            other = adapt(layer_class, not batch_first, build, call, arguments).make
            if _finding(PROMISES["own sentence"], other).verdict == "kept":
                axis = "first" if batch_first else "second"
                notes.append(
                    f"it takes the {axis} axis for the positions: try batch_first={not batch_first}"
                )
    name = getattr(layer_class, "__name__", type(layer_class).__name__)
    return BenchReport(name, held_to, says is not None, findings, tuple(notes))


def _trouble(make: Maker, batch_first: bool, name: str) -> str:
    """Why the output of a layer cannot be used, and what to do about it; empty if it can."""
    try:
        layer = make().eval()
        ids = layer.ids(2, 5)
        with torch.no_grad():
            out = layer(ids)
            out = out.clone() if isinstance(out, Tensor) else out
            other = layer(ids % 40 + 5)
    except Exception as error:
        message = str(error).partition("\n")[0]
        more = ""
        if isinstance(error, TypeError):
            more = "; say how it is called: call=lambda module, x, start: module(x, …)"
        elif _takes_channels_first(make):
            turned = "module(x.transpose(1, 2)).transpose(1, 2)"
            return f"it takes (batch, d_model, seq_len): try call=lambda module, x, start: {turned}"
        elif _runs(make, 64):
            more = (
                "; it takes 64 tokens, the whole length, and no fewer: cut its table to its input"
            )
        return f"its forward raises {type(error).__name__}: {message}{more}"
    if not isinstance(out, Tensor):
        return (
            f"its forward returns a {type(out).__name__}: "
            f"try call=lambda module, x, start: module(x){_part(out)}"
        )
    shape = tuple(out.shape)
    if shape in ((5, 16), (1, 5, 16)) or (shape == (2, 5, 16) and torch.equal(out, other)):
        hint = "call=lambda module, x, start: x + module(x)"
        if shape == (5, 16) and not batch_first:
            hint += "[:, None]"
        if not isinstance(layer.inner, Vectors):
            hint = f"{HOW_TO_BUILD}{name}(…), {hint}"
        return f"it returns rows alone: try {hint}"
    if shape != (2, 5, 16):
        return f"for (2, 5) ids it returns {shape}, not (2, 5, 16)"
    return ""


def _runs(make: Maker, length: int) -> bool:
    try:
        layer = make(max_seq_len=length).eval()
        layer(layer.ids(2, length))
    except Exception:
        return False
    return True


def _takes_channels_first(make: Maker) -> bool:
    layer = make().eval()
    if not isinstance(layer.inner, Vectors):
        return False
    x = layer.inner.embedding(layer.ids(2, 5)).transpose(1, 2)
    try:
        return layer.inner.behind(x).shape == x.shape
    except Exception:
        return False


def _part(out: Any) -> str:
    """How to get at the vectors in an output of several parts."""
    if isinstance(out, dict):
        parts = {f"[{key!r}]": value for key, value in out.items()}
    elif is_dataclass(out):
        parts = {f".{field.name}": getattr(out, field.name) for field in fields(out)}
    else:
        parts = (
            {f"[{i}]": out[i] for i in range(len(out))} if isinstance(out, (tuple, list)) else {}
        )
    vectors = (key for key, v in parts.items() if isinstance(v, Tensor) and v.numel() == 2 * 5 * 16)
    return next(vectors, next(iter(parts), "…"))


def _habits(make: Maker) -> list[str]:
    """What a caller should know and no promise says."""
    layer = make().eval()
    _, changed = watched(layer, layer.ids(2, 5))
    return ["it changes its input in place"] if changed else []


def _answers_alike(make: Maker, training: bool = False, dropout: float = 0.0) -> bool:
    """Whether the same question gets the same answer."""
    layer = make(dropout=dropout).train(training)
    ids = layer.ids(64, 5)
    with torch.no_grad():
        first = layer(ids).clone()
        return torch.equal(layer(ids), first)


def _not_judged(adapted: Adapted, make: Maker) -> dict[str, str]:
    """The promises that cannot be measured fairly, and why."""
    reasons: dict[str, str] = {}
    numbers = {
        name: value
        for name, value in adapted.unset.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    length = _perhaps(name for name, value in numbers.items() if value > 1)
    share = _perhaps(name for name, value in numbers.items() if 0 <= value < 1)
    if too_short := _too_short(make):
        why = f"{too_short}, for its length is fixed{length}; set it with build="
        reasons |= dict.fromkeys(("distinct", "formula", "low precision"), why)
    if _length_is_fixed(make):
        why = f"the length asked for does not reach it{length}; pass it on with build="
        reasons["after the last"] = why
    if _answers_alike(make):
        random = not _answers_alike(make, training=True)
        acts = not _answers_alike(make, training=True, dropout=0.25)
        if random:
            why = f"it is random in training though dropout = 0 was asked{share}"
            reasons |= dict.fromkeys(("gradient", "training"), f"{why}; set it with build=")
        if not make.takes_dropout and (random or share):
            reasons["dropout"] = f"no argument is known for its dropout{share}; set it with build="
        elif adapted.by_build and (random or not acts):
            reasons["dropout"] = "build= sets no dropout; if the class has one, pass it on"
    if make.says.positions != "learned" and "bias" in moved_by(make()):
        reasons["training"] = "a learned vector is added to every row"
    learned = [p.numel() for p in make(max_seq_len=24).parameters() if p.requires_grad]
    if make.says.positions == "learned" and sum(n >= 24 * 16 for n in learned) < 2:
        reasons["training"] = "its rows share learned numbers and cannot move one by one"
    return reasons


def _perhaps(names: Iterable[str]) -> str:
    """Arguments that may be the one that was looked for."""
    listed = ", ".join(names)
    return f" ({listed}?)" if listed else ""


def _too_short(make: Maker) -> str:
    """Why a layer takes no long sequence, though one was asked for; empty if it does."""
    layer = make(max_seq_len=LONG).eval()
    try:
        with torch.no_grad():
            out = layer(layer.ids(1, LONG))
    except Exception as error:
        return f"{LONG} positions: {type(error).__name__}"
    return "" if out.shape == (1, LONG, 16) else f"{LONG} positions come out as {out.shape[1]}"


def _length_is_fixed(make: Maker) -> bool:
    """Whether a layer ends somewhere else than at the length that was asked for."""
    short, long = make(max_seq_len=16).eval(), make(max_seq_len=32).eval()

    def held(module: Subject) -> list[torch.Size]:
        return [t.shape for t in (*module.parameters(), *module.buffers())]

    # A table that is rounded up may be as long for 16 as for 32, and not for LONG.
    if held(short) != held(long) or held(short) != held(make(max_seq_len=LONG)):
        return False
    if make.says.positions == "learned":
        return True
    try:
        rows, longer = short.position_rows(20), long.position_rows(20)
    except Exception:  # it ends there, or has no rows to compare
        return not make.takes_length
    if rows.shape != longer.shape or not torch.allclose(rows, longer, atol=1e-5):
        return False
    try:
        rows = short.position_rows(FAR)
        last = make.says.formula(1, 16, start=FAR - 1)
        return len(rows) != FAR or bool((rows[-1] - last).abs().max() > 0.05)
    except Exception:  # it ends between, or its formula is not known
        return True


def _makes_use_of_start(make: Maker) -> bool:
    """Whether a start reaches the module, or changes what comes out."""
    layer = make().eval()
    ids = layer.ids(2, 5)
    try:
        with torch.no_grad():
            if not torch.equal(layer(ids, start=3), layer(ids)):
                return True
        at_0, at_3 = watched(layer, ids)[0], watched(layer, ids, start=3)[0]
    except Exception:  # the start has reached something
        return True
    return len(at_0) != len(at_3) or not all(map(same, at_0, at_3))


def _finding(promise: Promise, make: Maker) -> Finding:
    torch.manual_seed(0)
    try:
        measured = promise.measure(make)
    except NotReadError as reason:
        return Finding(promise, "not judged", None, str(reason))
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
