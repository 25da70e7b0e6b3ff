"""Which convention made a table of positions: what the numbers themselves say of it.

Nothing here is fast, and nothing needs to be. On the CPU whatever the default device.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import get_args

import torch
from torch import Tensor

from .conventions import CONVENTIONS, Columns, Convention, Exponents, OfWidth
from .printing import prints_anywhere
from .sinusoids import DEFAULT_BASE
from .survey import followers

#: Rows that are searched; of a longer table the first ones are enough.
ROWS = 4096

#: Ways to put sines and cosines into columns: the columns, and whether cosines come first.
ORDERS: tuple[tuple[Columns, bool], ...] = (
    ("interleaved", False),
    ("interleaved", True),
    ("halves", False),
    ("halves", True),
)
SHARED_RATES: tuple[Exponents, ...] = ("2i/d", "i/(d/2-1)", "4i/d")


@dataclass(frozen=True)
class Match:
    """A convention that explains a table.

    Attributes:
        convention: It, with its first position that of the first row searched.
        difference: Largest difference of the table from it.
        exact: Whether arithmetic in float32, and the rounding of the table, explain that much.
    """

    convention: Convention
    difference: float
    exact: bool

    @property
    def words(self) -> int:
        """How much it takes to say it: the numbers' digits, and whatever is rare."""
        says = self.convention
        words = 0 if says.base == DEFAULT_BASE else digits_of(says.base)
        words += says.exponents not in ("2i/d", "i/(d/2-1)")
        if isinstance(says.fastest, str):
            words += 1
        elif says.fastest != 1.0:
            words += 1 + min(digits_of(says.fastest), digits_of(says.fastest / math.tau))
        return words + says.normalised

    def unlike(self, other: Convention) -> int:
        """In how many arguments its convention differs from another."""
        return sum(
            getattr(self.convention, field.name) != getattr(other, field.name)
            for field in fields(Convention)
        )


@dataclass(frozen=True, repr=False)
@prints_anywhere
class Identification:
    """What :func:`identify` found out about a table.

    Attributes:
        convention: The convention that made it; None if none is known or several would do.
        difference: Largest difference of the table from the convention, or from the nearest one.
        first_row: The row that the first token gets: the one after the last row of zeros that
            stands at the beginning (a padding row), else 0.
        zero_rows: Rows that are zero.
        candidates: The conventions that explain it, where several do.
        libraries: Classes that follow the convention, as measured by ``tools/survey``.
        why: Why there is no one convention; "" if there is.

    Example:
        >>> identify(Convention(columns="halves").table(100, 64)).convention
        halves, base 10000
    """

    convention: Convention | None
    difference: float
    first_row: int = 0
    zero_rows: tuple[int, ...] = ()
    candidates: tuple[Convention, ...] = ()
    libraries: tuple[str, ...] = ()
    why: str = ""

    def __repr__(self) -> str:
        lines = []
        if self.convention is not None:
            lines.append(f"{self.convention!r}: largest difference {self.difference:.2g}")
            if self.convention.names:
                lines.append(f"known as {', '.join(self.convention.names)}")
            if self.zero_rows:
                rows = ", ".join(map(str, self.zero_rows[:4]))
                more = ", …" if len(self.zero_rows) > 4 else ""
                lines.append(
                    f"zeros in row {rows}{more}; the first token gets row {self.first_row}"
                )
            if self.libraries:
                shown = "; ".join(self.libraries[:4])
                more = f"; and {len(self.libraries) - 4} more" if len(self.libraries) > 4 else ""
                lines.append(f"used by {shown}{more}")
        elif self.candidates:
            lines.append(f"undecided: {self.why}")
            lines += [f"  {candidate!r}" for candidate in self.candidates[:8]]
            if len(self.candidates) > 8:
                lines.append(f"  … and {len(self.candidates) - 8} more")
        else:
            lines.append(f"unknown: {self.why}")
        return "\n".join(lines)


def identify(table: Tensor) -> Identification:
    """Find out which convention made a table of positions, and who else follows it.

    Base, first position, amplitude, columns and exponents are read off the numbers. Half
    precision, a row of zeros for padding, and a slice from anywhere are no hindrance.

    Args:
        table: ``(length, d_model)``, or with one axis of size 1 before or after the length;
            floating point, any dtype.

    Returns:
        An :class:`Identification`, which prints itself. Of a learned, random or trained table, and
        of one that several conventions explain, it says so, and why.

    Raises:
        TypeError: If it is no tensor or not floating point.
        ValueError: If it has another shape, holds NaN or infinity, or is on the meta device.

    Example:
        >>> identify(Convention.named("m2m100").table(1024, 64).half()).convention
        halves, exponents i/(d/2-1), base 10000, first position 2
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch...>
        >>> identify(torch.randn(512, 64)).convention is None
        True

    Source: the conventions are those that ``tools/survey`` measured.
    """
    rows = _checked(table)
    zero = (rows == 0).all(dim=1)
    zero_rows = tuple(zero.nonzero().flatten().tolist())
    if len(zero_rows) == len(rows):
        return Identification(None, math.nan, 0, zero_rows, why="all its rows are zero")
    begin, end = _longest_run(~zero)
    part = rows[begin:end]
    relative = rounding_of(table.detach().cpu())
    found = best(search(part[:ROWS], relative, length=len(part)))
    if not found:
        turned = best(search(rows[:, :ROWS].T, relative, length=rows.shape[1]))
        if len(turned) == 1 and len(rows) > 2:
            why = f"its positions are in the columns: they follow {turned[0].convention!r}. Turn it"
            return Identification(None, turned[0].difference, 0, why=f"{why} with table.T")
        why, difference = _why_unknown(part[:ROWS], len(part))
        return Identification(None, difference, begin, zero_rows, why=why)
    difference, agrees = _difference(rows, ~zero, begin, found[0].convention, relative)
    if len(found) > 1:
        many = tuple(match.convention for match in found)
        why = f"{len(part)} row{'s' * (len(part) > 1)} of width {rows.shape[1]} fit {len(many)}"
        why += " conventions. Give more rows, or a wider table"
        return Identification(None, difference, begin, zero_rows, many, why=why)
    convention = found[0].convention
    if not agrees:
        why = f"part of it is {convention!r}, and other rows are off by {difference:.2g}"
        return Identification(None, difference, begin, zero_rows, why=why)
    return Identification(convention, difference, begin, zero_rows, libraries=followers(convention))


def _checked(table: object) -> Tensor:
    """The rows in float64 on the CPU, ``(length, d_model)``."""
    if not isinstance(table, Tensor):
        raise TypeError(
            f"table must be a tensor, got a {type(table).__name__}: torch.as_tensor(table) makes "
            "one of an array."
        )
    if not table.is_floating_point():
        raise TypeError(
            f"table must be floating point, got {table.dtype}: positions are sinusoids."
        )
    shape = tuple(table.shape)
    if table.dim() == 3 and 1 in shape[:2]:
        table = table.squeeze(0) if shape[0] == 1 else table.squeeze(1)
    if table.dim() != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise ValueError(
            f"table must have shape (length, d_model), d_model at least 2, got {shape}. Take one "
            "sequence of a batch: table[0]."
        )
    if table.is_meta:
        raise ValueError("table must hold numbers, got one on the meta device: load it first.")
    rows = table.detach().cpu().to(torch.float64)
    if not bool(rows.isfinite().all()):
        row, column = divmod(int((~rows.isfinite()).flatten().int().argmax()), rows.shape[1])
        raise ValueError(
            f"table must be finite, got {rows[row, column]:g} in row {row}, column {column}."
        )
    return rows


def rounding_of(saved: Tensor) -> float:
    """How far, relative to itself, a number of the table may be from the one that was computed.

    Goes by the numbers, not by the dtype: a table may have been rounded once and cast back.
    """
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(saved.to(dtype).to(saved.dtype), saved):
            return torch.finfo(dtype).eps / 2
    return 1e-6


def allowed(convention: Convention, places: Tensor, d_model: int, length: int) -> Tensor:
    """What arithmetic in float32 may be off by at amplitude 1, in rows ``places``.

    Tables are often computed in float32: their frequencies are rounded once, and the error grows
    with the angle. Another base or column order is off by far more.
    """
    sines, cosines = convention.rates(d_model, length)
    fastest = max(1.0, float(sines.max()), float(cosines.max()) if len(cosines) else 0.0)
    return 1e-6 + 2.0**-22 * fastest * (places + convention.first).abs().unsqueeze(-1)


def search(
    rows: Tensor,
    relative: float,
    *,
    length: int | None = None,
    like: Convention | None = None,
    loose: float | None = None,
) -> list[Match]:
    """Find every convention that explains rows.

    Args:
        rows: ``(length, d_model)``, float64, finite, none of them zero.
        relative: How coarsely they are rounded, see :func:`rounding_of`.
        length: Rows of the whole table, where these are only its beginning.
        like: A convention whose base is tried too.
        loose: A difference, relative to the amplitude, that is good enough where nothing explains
            the rows exactly.
    """
    length = len(rows) if length is None else length
    found: list[Match] = []
    for stage in (_fitting(rows, like), _known(like)):
        for trials in stage:
            found += [m for m in (_judged(t, rows, length, relative, loose) for t in trials) if m]
        if like is None and any(match.exact and match.words == 0 for match in found):
            break  # whatever else explains them takes more to say
    if any(match.exact for match in found):
        found = [match for match in found if match.exact]
    return list({match.convention: match for match in found}.values())


def best(found: Iterable[Match], like: Convention | None = None) -> list[Match]:
    """The matches that take least to say; with `like`, all, most in common with it first."""
    found = sorted(found, key=lambda match: match.words)
    if like is not None:
        return sorted(found, key=lambda match: (match.unlike(like), match.words))
    return [match for match in found if match.words == found[0].words]


def digits_of(number: float) -> int:
    """Significant digits of a number, and one more for an unlikely size: few are likelier."""
    return len(f"{number:.12e}".partition("e")[0].strip("0.").replace(".", "")) + (
        not 1e-5 < number < 1e6
    )


def _bases(like: Convention | None) -> list[float]:
    return sorted({10_000.0, 1000.0, 100_000.0} | ({like.base} if like else set()))


def _fitting(rows: Tensor, like: Convention | None) -> Iterator[list[Convention]]:
    """Conventions whose base, first position and fastest rate were read off rows of even width.

    Each list is of one kind, from the simplest to the one with most digits.
    """
    length, d_model = rows.shape
    if d_model % 2:
        return
    for (columns, cosines_first), exponents in itertools.product(ORDERS, SHARED_RATES):
        plain = Convention(columns, exponents, cosines_first=cosines_first)
        turn = _turn(rows, plain)
        if length == 1:
            for base in _bases(like):
                trial = replace(plain, base=base)
                first = _first_position(turn[0], trial.rates(d_model)[0])
                yield [replace(trial, first=first)]
        elif exponents != "4i/d" and _is_turning(turn):
            yield from _fitted(turn, plain)


def _known(like: Convention | None) -> Iterator[list[Convention]]:
    """Conventions that somebody follows, and those one would guess."""
    for known in dict.fromkeys([*CONVENTIONS.values(), *([like] if like else [])]):
        for first in {0, 1, 2, known.first}:
            yield [replace(known, first=first, amplitude=1.0)]
    for columns, cosines_first in ORDERS:
        for exponents in get_args(Exponents):
            for base, first in itertools.product(_bases(like), (0, 1, 2)):
                yield [Convention(columns, exponents, base, first, cosines_first)]


def _unit_rows(trial: Convention, count: int, d_model: int, length: int) -> Tensor | None:
    """The first rows of a convention of amplitude 1; None if it says nothing of the width."""
    try:
        return trial.rows(torch.arange(count, device="cpu"), d_model, length)
    except ValueError:
        return None


def _judged(
    trial: Convention, rows: Tensor, length: int, relative: float, loose: float | None
) -> Match | None:
    """The match of a convention of amplitude 1, its amplitude fitted; None if rows differ."""
    d_model = rows.shape[1]

    def differs(unit: Tensor, size: float) -> tuple[float, bool]:
        off = (rows[: len(unit)] - size * unit).abs()
        places = torch.arange(len(unit), dtype=torch.float64, device="cpu")
        limit = 1.5 * (relative + allowed(trial, places, d_model, length)) * size + 2.0**-25
        return float(off.max()), bool((off <= limit).all())

    def is_good(largest: float, exact: bool, size: float) -> bool:
        return exact or (loose is not None and largest < loose * size)

    size, unit, sizes = 0.0, None, []
    for count in sorted({min(len(rows), 8), min(len(rows), 64), len(rows)}):
        unit = _unit_rows(trial, count, d_model, length)
        if unit is None:
            return None
        size = float((rows[:count] * unit).sum() / unit.square().sum())
        if not 0 < size < math.inf:
            return None
        # Where arithmetic was coarse, a fitted size explains less than the one that was meant.
        sizes = [f for f in _factors(trial, d_model) if abs(f / size - 1) < 0.1] + [size]
        if not any(is_good(*differs(unit, one), one) for one in sizes):
            return None
    assert unit is not None
    # Said as simply as it can be: 1, a rule, the fewest digits, all of them.
    said: list[float | OfWidth] = [1.0, "d^-0.5", "(2/d)^0.5"]
    said += [float(f"{size:.{digits}g}") for digits in range(1, 7)]
    matches = []
    for amplitude in [*said, size]:
        convention = replace(trial, amplitude=amplitude)
        factor = convention.factor(d_model)
        largest, exact = differs(unit, factor)
        if is_good(largest, exact, factor):
            matches.append(Match(convention, largest, exact))
    return next((match for match in matches if match.exact), matches[0])


def _factors(trial: Convention, d_model: int) -> list[float]:
    """The sizes that have a name, as numbers."""
    return [replace(trial, amplitude=a).factor(d_model) for a in (1.0, *get_args(OfWidth))]


# ---- fitting


def _turn(rows: Tensor, convention: Convention) -> Tensor:
    """Each pair of columns as ``cosine + i · sine``, ``(length, d_model / 2)``."""
    half = rows.shape[1] // 2
    if convention.columns == "halves":
        one, two = rows[:, :half], rows[:, half:]
    else:
        one, two = rows[:, 0::2], rows[:, 1::2]
    return torch.complex(one, two) if convention.cosines_first else torch.complex(two, one)


def _is_turning(turn: Tensor) -> bool:
    """Whether all pairs of all rows have one length, give or take 5 %."""
    lengths = turn.abs()
    return bool((lengths - lengths.mean()).abs().max() <= 0.05 * lengths.mean())


def _fitted(turn: Tensor, plain: Convention) -> Iterator[list[Convention]]:
    """Base, first position and fastest rate by least squares, said with few and with all digits."""
    d_model = 2 * turn.shape[1]
    rates = _rates(turn)
    for fastest in (False, True):
        numbers = _base(rates, plain.exponents, fastest)
        if numbers is None:
            continue
        base, stretch = numbers
        trials = []
        for digits in (1, 2, 3, 4, 5, 6, 7, 9):
            said = [float(f"{number:.{digits}g}") for number in (base, stretch)]
            trial = replace(plain, base=said[0], fastest=said[1])
            first = _first_position(turn[0], trial.rates(d_model)[0])
            trials.append(replace(trial, first=first))
        yield list(dict.fromkeys(trials))


def _rates(turn: Tensor) -> Tensor:
    """Radians per position of each pair: the line through its unwrapped angles, least squares."""
    steps = (turn[1:] * turn[:-1].conj()).angle()  # each within half a turn
    angles = torch.cat((torch.zeros_like(steps[:1]), steps.cumsum(0)))
    count = torch.arange(len(turn), dtype=torch.float64, device="cpu").unsqueeze(-1)
    count -= count.mean()
    return (count * angles).sum(0) / count.square().sum()


def _base(rates: Tensor, exponents: Exponents, fastest: bool) -> tuple[float, float] | None:
    """Base, and on request the fastest rate, whose rates are nearest, by least squares."""
    pairs = len(rates)
    steps = max(pairs - 1, 1) if exponents == "i/(d/2-1)" else pairs
    exponent = torch.arange(pairs, dtype=torch.float64, device="cpu") / steps
    turning = rates > 0
    rates, exponent = rates[turning], exponent[turning]
    if not (exponent > 0).any():
        return None
    # A change of ln(rate) moves the angle at position p by p · rate: the weights of the pairs' own
    # estimates. The slowest pairs hardly move, and rounding blurs them most.
    weights, logs = rates.square(), rates.log()
    mean = (weights * exponent).sum() / weights.sum() if fastest else torch.zeros((), device="cpu")
    height = (weights * logs).sum() / weights.sum() if fastest else torch.zeros((), device="cpu")
    spread = exponent - mean
    slope = float((weights * spread * (logs - height)).sum() / (weights * spread.square()).sum())
    stretch = float(height - slope * mean)
    if not abs(slope) < 700 or not abs(stretch) < 50:
        return None
    return math.exp(-slope), math.exp(stretch)


def _first_position(row: Tensor, rates: Tensor) -> int:
    """The position whose angles are nearest to those of the first row, whatever its size."""
    # The fastest pair knows it up to whole turns only, a slow one roughly: ask each, then compare.
    guesses = row.angle() / rates
    guesses = guesses[guesses.abs() < 1e6].round()  # leaves out pairs that do not turn
    guesses = torch.cat((guesses.new_zeros(1), guesses))
    angles = guesses.unsqueeze(-1) * rates
    off = (torch.polar(torch.ones_like(angles), angles) - row).abs().amax(-1)
    return int(guesses[off.argmin()])


# ---- what identify says


def _longest_run(good: Tensor) -> tuple[int, int]:
    """Begin and end of the longest run of True."""
    edges = torch.nn.functional.pad(good.float(), (1, 1)).diff()
    begins, ends = (edges == 1).nonzero().flatten(), (edges == -1).nonzero().flatten()
    longest = int((ends - begins).argmax())
    return int(begins[longest]), int(ends[longest])


def _difference(
    rows: Tensor, good: Tensor, begin: int, convention: Convention, relative: float
) -> tuple[float, bool]:
    """Largest difference of all rows but the zero ones, and whether rounding explains it."""
    length, d_model = rows.shape
    size, largest, agrees = convention.factor(d_model), 0.0, True
    for start in range(0, length, ROWS):
        places = (
            torch.arange(start, min(start + ROWS, length), dtype=torch.float64, device="cpu")
            - begin
        )
        kept = good[start : start + ROWS]
        whole = int(good.sum())
        off = (rows[start : start + ROWS] - convention.rows(places, d_model, whole)).abs()[kept]
        if off.numel():
            limit = relative + allowed(convention, places[kept], d_model, whole)
            largest = max(largest, float(off.max()))
            agrees &= bool((off <= 1.5 * limit * size + 2.0**-25).all())
    return largest, agrees


def _why_unknown(rows: Tensor, whole: int) -> tuple[str, float]:
    """Why no convention explains the rows, and how far the nearest one is."""
    length, d_model = rows.shape
    nearest, difference = None, math.inf
    trials = itertools.chain(_fitting(rows[:512], None), _known(None))
    for trial in itertools.chain.from_iterable(trials):
        unit = _unit_rows(trial, min(length, 512), d_model, whole)
        if unit is not None:
            size = float((rows[:512] * unit).sum() / unit.square().sum())
            off = float((rows[:512] - size * unit).abs().max()) / size if size > 0 else math.inf
            if off < difference:
                nearest, difference = replace(trial, amplitude=size), off
    if nearest is not None and difference < 0.5:
        size = nearest.factor(d_model)
        error = (rows - nearest.rows(torch.arange(length, device="cpu"), d_model, whole)).abs()
        row, column = divmod(int(error.argmax()), d_model)
        largest = float(error.max())
        near = replace(nearest, amplitude=float(f"{size:.3g}"))
        return (
            f"the nearest convention is {near!r}, and row {row}, column {column} is off by "
            f"{largest:.2g}: more than float32 explains (trained sinusoids, or frequencies in half "
            "precision?)"
        ), largest
    even = ORDERS if d_model % 2 == 0 else ()
    turns = [_turn(rows, Convention(columns, cosines_first=first)) for columns, first in even]
    spread = min(
        ((turn.abs().amax() - turn.abs().amin()) / turn.abs().mean() for turn in turns),
        default=torch.tensor(math.inf),
    )
    if float(spread) > 0.1:
        return (
            "no way to pair its columns gives sin² + cos² the same in every row, as sinusoids do: "
            "learned or random numbers, or another function of the position"
        ), difference
    return "its columns turn in pairs, at rates that no base explains", difference
