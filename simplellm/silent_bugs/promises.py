"""What an input layer promises, each promise with a measurement that can find it broken.

A promise is a check: called with a :class:`~simplellm.silent_bugs.variants.Maker`, it raises
AssertionError where the layer breaks it. Shapes are the first promise, and the one that says least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..printing import prints_anywhere
from .variants import Maker, NotApplicableError, Subject

LONG = 512  #: Positions: past 256, where bfloat16 stops counting, and past any block


@dataclass(frozen=True)
class Measured:
    """How far a layer is from a promise.

    Attributes:
        deviation: 0 where the promise is kept exactly.
        what: What the deviation is, or what happened.
    """

    deviation: float
    what: str


@dataclass(frozen=True)
@prints_anywhere
class Promise:
    """Something that every input layer should do, whatever its convention.

    Attributes:
        name: Short, as it stands in tables.
        sentence: The promise.
        measure: Measures a layer's distance from it; raises
            :class:`~simplellm.silent_bugs.variants.NotApplicableError` where it says nothing.
        limit: The largest deviation that is rounding or chance.

    Example:
        >>> from simplellm.silent_bugs import CORRECT, MUTANTS, PROMISES
        >>> PROMISES["chunks"](CORRECT["textbook"].make)
        >>> PROMISES["chunks"](MUTANTS["start ignored"].make)
        Traceback (most recent call last):
            ...
        AssertionError: chunks: largest difference between chunks and whole: 2
    """

    name: str
    sentence: str
    measure: Callable[[Maker], Measured]
    limit: float

    def kept(self, measured: Measured) -> bool:
        """Whether a measured deviation is within the limit; NaN is not."""
        return measured.deviation <= self.limit

    def __call__(self, make: Maker) -> None:
        """Check one kind of layer.

        Raises:
            AssertionError: If it breaks the promise.
        """
        try:
            measured = self.measure(make)
        except NotApplicableError:
            return
        if not self.kept(measured):
            raise AssertionError(f"{self.name}: {measured.what}: {measured.deviation:.2g}")

    def __repr__(self) -> str:
        return f"{self.name}: {self.sentence}"


def _largest(difference: Tensor) -> float:
    return float(difference.detach().double().abs().max()) if difference.numel() else 0.0


def _broken(what: str) -> Measured:
    return Measured(math.inf, what)


def _train(layer: Subject, steps: int = 3, rate: float = 0.01, decay: float = 0.1) -> None:
    """A few steps on random targets, with weight decay, over every position.

    By hand, because building the first optimiser of torch takes longer than all other checks.
    """
    layer.train()
    for _ in range(steps):
        layer.zero_grad()
        out = layer(layer.ids(2, layer.max_seq_len))
        if out.requires_grad:
            (out - torch.randn(out.shape)).pow(2).sum().backward()
        with torch.no_grad():
            for parameter in layer.parameters():
                if parameter.grad is not None:
                    parameter.mul_(1 - rate * decay).sub_(rate * parameter.grad)
    layer.eval()


def shapes(make: Maker) -> Measured:
    """Shape, dtype and finite values, for several sizes, in training and in evaluation."""
    wrong = 0
    for d_model, max_seq_len in ((16, 64), (8, 10)):
        layer = make(d_model=d_model, max_seq_len=max_seq_len, dropout=0.1)
        for training in (True, False):
            layer.train(training)
            for batch, seq_len in ((1, 1), (2, 5), (7, 3), (3, max_seq_len)):
                out = layer(layer.ids(batch, seq_len))
                good = out.shape == (batch, seq_len, d_model) and out.dtype == torch.float32
                wrong += not (good and bool(out.isfinite().all()))
    return Measured(wrong, "outputs of another shape or dtype")


def own_sentence(make: Maker) -> Measured:
    """A sentence alone against the same sentence in a batch."""
    layer = make().eval()
    ids = layer.ids(4, 10)
    together = layer(ids)
    alone = torch.cat([layer(row[None]) for row in ids])
    return Measured(_largest(together - alone), "largest difference a neighbour makes")


def distinct(make: Maker) -> Measured:
    """Positions that share their row with another, told by one word said everywhere."""
    layer = make(max_seq_len=LONG).eval()
    rows = layer(torch.full((1, LONG), 7))[0].detach().double()
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(math.inf)
    lost = int((distances.min(dim=1).values < 1e-4 * min(1.0, make.says.amplitude)).sum())
    return Measured(lost, f"of {LONG} positions share their row with another")


def formula(make: Maker) -> Measured:
    """Position rows against the formula the layer says it follows."""
    expected = make.says.formula(LONG, 16)
    rows = make(max_seq_len=LONG).position_rows(LONG)
    off = _largest(rows - expected) / make.says.amplitude
    return Measured(off, "largest difference from the formula")


def token_scale(make: Maker) -> Measured:
    """Length of a token row in the output over its length in the table."""
    worst, shown = 0.0, 1.0
    for d_model in (16, 36):
        layer = make(d_model=d_model)
        ids = layer.ids(1, 40)  # one sentence: that neighbours mix is another promise
        given = layer.token_rows(ids)
        wanted = make.says.factor(d_model) * layer.token_table.detach()[ids]
        off = _largest(given - wanted) / _largest(wanted)
        if off > worst:
            worst, shown = off, float(given.norm() / wanted.norm())
    return Measured(worst, f"token rows are {shown:.2g} times as long as they say; largest error")


def gradient(make: Maker) -> Measured:
    """What the token table receives from a given gradient at the output."""
    layer = make()
    layer.position_rows(1)  # a layer that normalises has a gradient of its own
    ids = layer.ids(4, 10)
    upstream = torch.randn(4, 10, 16)
    out = layer(ids)
    table = layer.token_table
    wanted = torch.zeros(table.shape).index_add_(0, ids.flatten(), upstream.flatten(0, 1))
    wanted = wanted * make.says.factor(16)
    received = None
    if out.requires_grad:
        (received,) = torch.autograd.grad(out, table, upstream, allow_unused=True)
    given = torch.zeros_like(wanted) if received is None else received
    return Measured(_largest(given - wanted) / _largest(wanted), "share of the gradient amiss")


def training(make: Maker) -> Measured:
    """Which position rows have moved after a few steps: all learned ones, no computed one."""
    layer = make(max_seq_len=24)
    before = layer.position_rows(24)
    _train(layer)
    after = layer.position_rows(24)
    if make.says.learned_scalar:  # it may stretch the rows, and do nothing else
        before, after = before.double(), after.double()
        after = after * (after * before).sum() / after.pow(2).sum()
    moved = (after - before).abs().amax(dim=1)
    if make.says.positions == "learned":
        stuck = int((moved < 1e-6).sum())
        return Measured(stuck, "of 24 learned rows have not moved")
    return Measured(_largest(moved), "largest change of a computed row")


def checkpoint(make: Maker) -> Measured:
    """A layer against a new one that has loaded its checkpoint."""
    layer, other = make().eval(), make().eval()
    ids = layer.ids(2, 20)
    before = len(list(other.parameters()))
    other.load_state_dict(layer.state_dict())
    if (after := len(list(other.parameters()))) != before:
        return _broken(f"loading makes {after} parameters of {before}: what was shared came apart")
    return Measured(_largest(layer(ids) - other(ids)), "largest difference after loading")


def moves(make: Maker) -> Measured:
    """Whether everything the layer needs comes along to another device."""
    layer = make().to("meta")
    ids = torch.zeros(2, 5, dtype=torch.long, device="meta")
    try:
        stayed = layer(ids).device.type != "meta"
    except (RuntimeError, NotImplementedError):  # tensors on two devices
        return _broken("something stays behind when the layer is moved")
    return Measured(stayed, "outputs on the old device")


def chunks(make: Maker) -> Measured:
    """A sequence as a whole against the same in chunks."""
    layer = make().eval()
    if not layer.takes_start:
        raise NotApplicableError("it cannot be told where a chunk starts")
    ids = layer.ids(2, 40)
    whole = layer(ids)
    worst = 0.0
    for size in (1, 7, 20):
        parts = [layer(ids[:, at : at + size], start=at) for at in range(0, 40, size)]
        worst = max(worst, _largest(torch.cat(parts, dim=1) - whole))
    return Measured(worst, "largest difference between chunks and whole")


def after_the_last(make: Maker) -> Measured:
    """Past the end: an error, or the rows that a longer table holds."""
    short, long = make(max_seq_len=16).eval(), make(max_seq_len=32)
    attempts = [(20, 0)] + ([(1, 16), (2, 17)] if short.takes_start else [])
    worst = 0.0
    for length, start in attempts:
        ids = torch.full((2, length), 7)
        try:
            out = short(ids, start=start)
        except Exception:  # any refusal is a clear word
            continue
        if out.shape != (2, length, 16):
            return _broken(f"past the end {tuple(ids.shape)} ids give shape {tuple(out.shape)}")
        if make.says.positions == "learned":
            return _broken("past the end a learned table answers with rows it does not have")
        rows = short.position_rows(length, start=start)
        worst = max(worst, _largest(rows - long.position_rows(length, start=start)))
    return Measured(worst, "largest difference from a longer table")


def dropout(make: Maker) -> Measured:
    """In training an entry is zero with probability p, and otherwise 1 / (1 - p) as large."""
    p = 0.25
    layer = make(dropout=p)
    if not layer.takes_dropout:
        raise NotApplicableError("it has no dropout")
    ids = layer.ids(32, 64)
    kept = layer.eval()(ids) / (1 - p)
    given = layer.train()(ids)
    neither = torch.minimum(given.abs(), (given - kept).abs())
    if _largest(neither) > 0.02:
        return Measured(_largest(neither), "largest distance from 0 and from x / (1 − p)")
    share = float((given == 0).double().mean())
    return Measured(abs(share - p), f"share of zeros {share:.2g} in place of {p:.2g}; off by")


def steady(make: Maker) -> Measured:
    """The same question twice, in evaluation."""
    layer = make(dropout=0.25).eval()
    ids = layer.ids(2, 10)
    first = layer(ids)
    answer = first.detach().clone()
    worst = max(_largest(layer(ids) - answer) for _ in range(2))
    layer(layer.ids(2, 10))  # an answer may share its memory with the next one
    worst = max(worst, _largest(first - answer))
    return Measured(worst, "largest difference when asked again")


def no_sharing(make: Maker) -> Measured:
    """What training one layer does to another."""
    layer, other = make(max_seq_len=24), make(max_seq_len=24).eval()
    ids = other.ids(2, 24)
    before = other(ids).detach().clone()
    _train(layer)
    return Measured(_largest(other(ids) - before), "largest change of a layer nobody trained")


def low_precision(make: Maker) -> Measured:
    """In bfloat16: the exact rows, rounded once."""
    layer = make(max_seq_len=LONG).to(torch.bfloat16).eval()
    out = layer(layer.ids(1, 5))
    if out.dtype != torch.bfloat16:
        return _broken(f"a layer in bfloat16 returns {str(out.dtype).removeprefix('torch.')}")
    if make.says.positions == "learned":
        return Measured(0.0, "returns bfloat16")
    expected = make.says.formula(LONG, 16)
    size = 2.0 ** math.ceil(math.log2(make.says.amplitude))  # rounding goes by powers of two
    off = _largest(layer.position_rows(LONG).double() - expected) / size
    return Measured(off, "largest difference from the formula")


SHAPES = Promise("shapes", "The output has the shape, the dtype and finite numbers.", shapes, 0)
"""The test that everybody writes: shape, dtype, finite values."""

PROMISES = {
    promise.name: promise
    for promise in (
        Promise(
            "own sentence",
            "A sentence comes out the same alone and in a batch.",
            own_sentence,
            1e-5,
        ),
        Promise("distinct", "No two positions have the same row.", distinct, 0),
        # Frequencies in float32 are off by one unit in the last place, times the position.
        Promise("formula", "Position rows follow the formula they name.", formula, 3e-4),
        Promise("token scale", "Token rows are as long as the layer says.", token_scale, 1e-4),
        Promise("gradient", "The token table receives its gradient.", gradient, 1e-4),
        Promise("training", "Training moves what is learned, and nothing else.", training, 1e-6),
        Promise("checkpoint", "A checkpoint brings the layer back.", checkpoint, 0),
        Promise("moves", "All of the layer moves to another device.", moves, 0),
        Promise("chunks", "A sequence in chunks equals the whole.", chunks, 1e-5),
        Promise(
            "after the last",
            "Past the end: an error, or what a longer table holds.",
            after_the_last,
            1e-5,
        ),
        # Over six standard deviations of a share of 32,768 entries.
        Promise("dropout", "Dropout acts once, on the sum.", dropout, 0.02),
        Promise("steady", "In evaluation the answer stays the same.", steady, 0),
        Promise("no sharing", "Training one layer leaves others alone.", no_sharing, 0),
        # Half a unit in the last place of bfloat16 below 1 is 2 ** -9.
        Promise("low precision", "In bfloat16: exact rows, rounded once.", low_precision, 0.0025),
    )
}
"""The promises by name. As checks they catch every mutant and refuse no correct layer."""
