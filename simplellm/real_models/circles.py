"""Circles in a table of positions: is a learned table sinusoidal after all?

A sinusoidal encoding is a set of hands: in each pair of columns the rows go round a circle, by
the same angle a step. A learned table has no such pairs of columns, but it may have such *planes*,
lying askew across all columns. This module finds them in any table, learned or not:

- :func:`pair_energies` and :func:`effective_rank`: in how few directions the rows differ;
- :func:`turning_circles`: planes in which one step is a turn, each with its period and its hand;
- :func:`fit_waves`: the formula that is nearest to the table, which goes on past its end;
- :func:`similarity_by_offset` and :func:`roughness`: how like its neighbours a row is.

All is computed in float64. A plane is given by a complex vector; its phase and direction of turning
are fixed, so two machines draw the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_int, check_number, check_positive_int


def _rows(table: object, at_least: int = 2) -> Tensor:
    """Check that a table is a matrix of finite numbers, and return it in float64."""
    if not isinstance(table, Tensor):
        raise TypeError(
            f"table must be a tensor of shape (positions, d_model), got {type(table).__name__}."
        )
    if table.dim() != 2 or not table.is_floating_point():
        raise ValueError(
            "table must be floating point, of shape (positions, d_model), got "
            f"{table.dtype} of shape {tuple(table.shape)}."
        )
    if len(table) < at_least:
        raise ValueError(f"table must have at least {at_least} rows, got {len(table)}.")
    rows = table.detach().to(torch.float64)
    if not bool(rows.isfinite().all()):
        raise ValueError("table must be finite; it holds an infinity or a nan.")
    return rows


def _singular(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean row, singular values and directions ``(k, d_model)`` of what varies in rows."""
    mean = rows.mean(0)
    _, values, directions = torch.linalg.svd(rows - mean, full_matrices=False)
    return mean, values, directions


def pair_energies(table: Tensor) -> Tensor:
    """Compute the share of the rows' variation that each pair of singular directions holds.

    The mean row is taken out first: it is the same for all positions. A circle of its own radius
    and nothing else in its plane fills one pair; circles of equal radius may be mixed.

    Args:
        table: Rows of positions, ``(positions, d_model)``, floating point.

    Returns:
        Shares, ``(min(positions, d_model) // 2,)``, float64, largest first. They sum to 1 (less the
        last direction, if their number is odd).

    Raises:
        TypeError: If ``table`` is no tensor.
        ValueError: If it is no matrix of finite numbers with two rows, or all rows are equal.

    Example:
        >>> from simplellm import sinusoidal_encoding
        >>> pair_energies(sinusoidal_encoding(range(400), 4)).round(decimals=2)
        tensor([0.6100, 0.3900], dtype=torch.float64)
    """
    energies = _energies(_rows(table))
    even = len(energies) // 2 * 2
    return energies[:even].reshape(-1, 2).sum(1)


def _energies(rows: Tensor) -> Tensor:
    """Return the share of each singular direction in what varies in the rows."""
    energies = _singular(rows)[1] ** 2
    if not energies.sum() > 0:
        raise ValueError("table has equal rows: nothing in it tells two positions apart.")
    return energies / energies.sum()


def effective_rank(table: Tensor) -> float:
    """Compute in how many directions the rows differ: exp of the entropy of the energies.

    Args:
        table: As for :func:`pair_energies`.

    Returns:
        1 when all rows lie on a line, ``d_model`` when no direction is preferred.

    Raises:
        TypeError, ValueError: As :func:`pair_energies`.

    Example:
        >>> circle = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
        >>> round(effective_rank(circle), 3)
        2.0

    Source: Roy and Vetterli 2007, "The effective rank", section 2, with the squares of the singular
    values as shares.
    """
    shares = _energies(_rows(table))
    shares = shares[shares > 0]
    return float((-(shares * shares.log()).sum()).exp())


def similarity_by_offset(table: Tensor, offsets: Sequence[int]) -> Tensor:
    """Compute the mean cosine of rows that are ``offsets`` apart.

    Args:
        table: As for :func:`pair_energies`. Nothing is taken out of it.
        offsets: In positions, from 0 to the number of rows less 1.

    Returns:
        Shape ``(len(offsets),)``, float64.

    Raises:
        TypeError: As :func:`pair_energies`.
        ValueError: If an offset leaves no pair of rows.

    Example:
        >>> from simplellm import sinusoidal_encoding
        >>> similarity_by_offset(sinusoidal_encoding(range(50), 4), [0, 1]).round(decimals=4)
        tensor([1.0000, 0.7701], dtype=torch.float64)
    """
    rows = torch.nn.functional.normalize(_rows(table), dim=1)
    means = []
    for offset in offsets:
        if not 0 <= check_int("offset", offset) < len(rows):
            raise ValueError(
                f"offsets must be from 0 to {len(rows) - 1} for {len(rows)} rows, got {offset}."
            )
        means.append((rows[: len(rows) - offset] * rows[offset:]).sum(1).mean())
    return torch.stack(means) if means else rows.new_zeros(0)


def roughness(table: Tensor) -> float:
    """Compute how far neighbours lie apart, as a share of how far two strangers do.

    The mean squared distance of a row to the next, by that of two rows drawn at random: 0 for a
    table that does not change, 1 when neighbours are strangers.

    Args:
        table: As for :func:`pair_energies`.

    Raises:
        TypeError, ValueError: As :func:`pair_energies`.

    Example:
        >>> from simplellm import sinusoidal_encoding
        >>> round(roughness(sinusoidal_encoding(range(512), 384)), 2)
        0.05
    """
    rows = _rows(table)
    variance = (rows - rows.mean(0)).square().sum(1).mean()
    if not variance > 0:
        raise ValueError("table has equal rows: nothing in it tells two positions apart.")
    return float((rows[1:] - rows[:-1]).square().sum(1).mean() / (2 * variance))


@dataclass(frozen=True, eq=False)
class Circle:
    """A plane of a table in which one step is a turn.

    Attributes:
        period: Positions until the hand has turned once, by the step that fits all rows best.
        size: By how much one step stretches the hand, as a factor: 1 for a circle, below 1 for a
            spiral inwards.
        hand: Where each row stands in the plane, ``(positions,)``, complex128. Its angle is counted
            so that it is nearest to ``position * 2π / period``. On a true circle its absolute value
            is the radius by √2, in the table's units, because the axis has length 1.
        axis: What makes a hand of a row, ``(d_model,)``, complex128: ``row @ axis - centre``.
        centre: What the plane turns about, as the axis sees it.
    """

    period: float
    size: float
    hand: Tensor
    axis: Tensor
    centre: complex

    @property
    def angles(self) -> Tensor:
        """The angle of each row, ``(positions,)``, float64, in radians, from -π to π."""
        return self.hand.angle()

    @property
    def turns(self) -> Tensor:
        """How often the hand has turned since the first row, ``(positions,)``, float64."""
        # From one row to the next by less than half a turn, whichever way.
        steps = (self.hand[1:] * self.hand[:-1].conj()).angle() / math.tau
        return torch.cat((steps.new_zeros(1), steps.cumsum(0)))

    @property
    def counted_period(self) -> float:
        """Positions a turn took on average: the steps by the turns that were counted.

        Steps of about half a turn cannot be counted: nobody sees which way the hand went.
        """
        turns = float(self.turns[-1])
        return (len(self.hand) - 1) / turns if turns else math.inf

    @property
    def unevenness(self) -> float:
        """Standard deviation of the distance from the centre by its mean: 0 for a true circle."""
        radius = self.hand.abs()
        return float(radius.std() / radius.mean())

    def place(self, rows: Tensor) -> Tensor:
        """Compute where other rows stand in the plane, ``(n, d_model)`` to ``(n,)``, complex128."""
        return rows.to(self.axis.dtype) @ self.axis - self.centre

    def __repr__(self) -> str:
        return (
            f"Circle(period={self.period:.4g}, size={self.size:.3f}, "
            f"unevenness={self.unevenness:.2f})"
        )


def turning_circles(
    table: Tensor,
    *,
    first: int = 0,
    energy: float = 0.95,
    directions: int = 24,
    least_size: float = 0.9,
) -> list[Circle]:
    """Find the planes of a table in which each step is a turn by the same angle.

    One matrix is fitted that takes each row to the next, together with a constant row, by least
    squares, in the few directions that hold most of the variation. Each pair of complex eigenvalues
    is a plane that the matrix turns: their angle is the turn of one step, their size what is left
    of the hand after it. Rows without order have such pairs too, but of size 0.1 or 0.2: what is
    left of them after a step is nothing that one could call a turn.

    Args:
        table: Rows of successive positions, ``(positions, d_model)``, floating point. Leave out
            rows that are no places, such as the first and the last of a learned table.
        first: The position of the first row; the hands' angles count from position 0.
        energy: Share of the variation that the directions are to hold, above 0 and at most 1.
            Those with less than a part in 10¹² of the largest are noise, and left out.
        directions: At most so many are taken, however little they hold: a matrix in as many
            directions as there are rows would fit any table.
        least_size: Circles below this size are left out.

    Returns:
        The circles, by period, shortest first.

    Raises:
        TypeError: If ``table`` is no tensor.
        ValueError: If it is no matrix of finite numbers with four rows, all rows are equal, or
            ``energy``, ``directions`` or ``least_size`` is out of range.

    Example:
        >>> from simplellm import sinusoidal_encoding
        >>> turning_circles(sinusoidal_encoding(range(400), 4, base=400), energy=1)
        [Circle(period=6.283, size=1.000, unevenness=0.00),
         Circle(period=125.7, size=1.000, unevenness=0.00)]

    Source: dynamic mode decomposition, Schmid 2010, section 2, of one long run.
    """
    rows = _rows(table, at_least=4)
    check_int("first", first)
    check_positive_int("directions", directions)
    if not 0 < check_number("energy", energy) <= 1:
        raise ValueError(f"energy must be above 0 and at most 1, got {energy}.")
    if not 0 <= check_number("least_size", least_size) < math.inf:
        raise ValueError(f"least_size must be at least 0 and finite, got {least_size}.")
    shares = _energies(rows)
    mean, _, basis = _singular(rows)
    enough = int((shares.cumsum(0) < energy - 1e-12).sum()) + 1
    noise = int((shares > 1e-12 * shares[0]).sum())
    basis = basis[: min(enough, directions, noise)]
    places = (rows - mean) @ basis.T  # (positions, few)
    # As rows: places[t] @ step + constant is nearest to places[t + 1]. Without the constant a
    # circle would have to be centred on the mean row, which it is only if it ends where it began.
    one = torch.ones(len(rows) - 1, 1, dtype=torch.float64)
    fitted = torch.linalg.lstsq(
        torch.cat((places[:-1], one), 1), places[1:], driver="gelsd"
    ).solution
    step, constant = fitted[:-1], fitted[-1]
    eigenvalues, eigenvectors = torch.linalg.eig(step)
    circles = []
    for value, vector in zip(eigenvalues, eigenvectors.T, strict=True):
        # Of each pair the one that turns on; a real one turns nothing.
        if float(value.imag) > 1e-9 and float(value.abs()) >= least_size:
            axis = basis.T.to(vector.dtype) @ vector
            # Where a step leads back to the same place: c = value * c + constant.
            centre = mean.to(axis.dtype) @ axis + constant.to(axis.dtype) @ vector / (1 - value)
            hand = rows.to(axis.dtype) @ axis - centre
            phase = _phase(hand, float(value.angle()), first)
            period = math.tau / float(value.angle())
            about = complex(phase * centre)
            circles.append(Circle(period, float(value.abs()), phase * hand, phase * axis, about))
    return sorted(circles, key=lambda circle: circle.period)


def _phase(hand: Tensor, turn: float, first: int) -> Tensor:
    """Find the phase that brings a hand nearest to an even one: an eigenvector may have any."""
    angles = turn * torch.arange(first, first + len(hand), dtype=torch.float64)
    lag = (hand * torch.polar(torch.ones_like(angles), -angles)).sum()
    return lag.conj() / lag.abs()


@dataclass(frozen=True, eq=False)
class Waves:
    """A formula for positions: a constant row and a few waves, each with two rows of its own.

    Attributes:
        frequencies: ``(waves,)``, float64, radians per position, fastest first.
        coefficients: ``(1 + 2 * waves, d_model)``, float64: the constant row, then a row for the
            cosine and one for the sine of each wave.
        explained: Share of the variation of the rows it was fitted on, 1 if it is all.
    """

    frequencies: Tensor
    coefficients: Tensor
    explained: float

    @property
    def periods(self) -> Tensor:
        """Positions until each wave begins again, ``(waves,)``."""
        return math.tau / self.frequencies

    def at(self, positions: Tensor | Sequence[float]) -> Tensor:
        """Compute the rows of positions: any, also past those it was fitted on.

        Args:
            positions: ``(n,)``, in positions; whole, fractional or negative.

        Returns:
            Shape ``(n, d_model)``, float64.
        """
        places = torch.as_tensor(positions, dtype=torch.float64)
        return _wave_columns(places, self.frequencies) @ self.coefficients


def _wave_columns(positions: Tensor, frequencies: Tensor) -> Tensor:
    """A column of ones, and a cosine and a sine of each frequency: ``(n, 1 + 2 * waves)``."""
    angles = positions[:, None] * frequencies
    pairs = torch.stack((angles.cos(), angles.sin()), -1).flatten(1)
    return torch.cat((torch.ones_like(positions)[:, None], pairs), 1)


def fit_waves(table: Tensor, waves: int, *, first: int = 0) -> Waves:
    """Fit a few waves to a table: the sinusoidal formula that is nearest to its rows.

    The frequencies are found one after another, each the one that explains most of what is left;
    after each, all are moved until none can be bettered. For given frequencies the rows are those
    of least squares. A wave may be up to four times as long as the stretch it is fitted on.

    Args:
        table: Rows of successive positions, ``(positions, d_model)``, floating point.
        waves: How many, at least 1; the rows must be more than ``2 * waves + 1``.
        first: The position of the first row.

    Raises:
        TypeError: If ``table`` is no tensor.
        ValueError: If it is no matrix of finite numbers, has too few rows, or all are equal.

    Example:
        >>> from simplellm import sinusoidal_encoding
        >>> fitted = fit_waves(sinusoidal_encoding(range(100), 4, base=64), 2)
        >>> fitted.periods.round(decimals=2)
        tensor([ 6.2800, 50.2700], dtype=torch.float64)
        >>> beyond = sinusoidal_encoding([1000], 4, base=64)
        >>> torch.allclose(fitted.at([1000]), beyond, atol=1e-3)
        True

    Source: greedy matching of sinusoids, as in Smith and Serra 1987 (PARSHL), with one set of
    frequencies for all columns.
    """
    rows = _rows(table)
    check_positive_int("waves", waves)
    check_int("first", first)
    if len(rows) <= 2 * waves + 1:
        raise ValueError(
            f"table has {len(rows)} rows, and {waves} waves need more than {2 * waves + 1}: fit "
            "fewer waves or more rows."
        )
    mean, values, basis = _singular(rows)
    if not values[0] > 0:
        raise ValueError("table has equal rows: nothing in it tells two positions apart.")
    count = len(rows)
    positions = torch.arange(first, first + count, dtype=torch.float64)
    places = (rows - mean) @ basis.T  # the same rows in fewer columns; nothing is lost
    grid = torch.logspace(
        math.log10(math.tau / (4 * count)), math.log10(0.98 * math.pi), 600, dtype=torch.float64
    ).tolist()
    found: list[float] = []
    for _ in range(waves):
        found.append(min(grid, key=lambda rate: _unexplained(places, positions, [*found, rate])))
        _settle(found, places, positions, grid[1] / grid[0])
    frequencies = torch.tensor(sorted(found, reverse=True), dtype=torch.float64)
    columns = _wave_columns(positions, frequencies)
    coefficients = torch.linalg.lstsq(columns, rows, driver="gelsd").solution
    left = (rows - columns @ coefficients).square().sum()
    return Waves(frequencies, coefficients, 1 - float(left / values.square().sum()))


def _unexplained(places: Tensor, positions: Tensor, frequencies: list[float]) -> float:
    """What waves of these frequencies leave of the places, whatever their rows."""
    columns = _wave_columns(positions, torch.tensor(frequencies, dtype=torch.float64))
    basis, _ = torch.linalg.qr(columns)
    return float(places.square().sum() - (basis.T @ places).square().sum())


def _settle(found: list[float], places: Tensor, positions: Tensor, ratio: float) -> None:
    """Move each frequency in turn to where least is left, until nothing is gained any more."""
    before = _unexplained(places, positions, found)
    for _ in range(40):
        for wave, rate in enumerate(found):
            others = found[:wave], found[wave + 1 :]

            def left(rate: float, others: tuple[list[float], list[float]] = others) -> float:
                return _unexplained(places, positions, [*others[0], rate, *others[1]])

            moved = _lowest(left, rate / ratio, rate * ratio)
            if left(moved) < left(rate):
                found[wave] = moved
        now = _unexplained(places, positions, found)
        if before - now <= 1e-9 * before:
            return
        before = now


def _lowest(value: Callable[[float], float], low: float, high: float) -> float:
    """Find where a function of one number is lowest between two limits, by golden section."""
    golden = (math.sqrt(5) - 1) / 2
    while high / low - 1 > 1e-7:
        near, far = high - golden * (high - low), low + golden * (high - low)
        if value(near) <= value(far):
            high = far
        else:
            low = near
    return (low + high) / 2
