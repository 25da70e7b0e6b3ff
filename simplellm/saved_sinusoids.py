"""Comparison of a checkpoint's sinusoidal table with the formula, for the error that refuses it.

Only loading comes here, so nothing needs to be fast. On the CPU whatever the default device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .sinusoids import frequencies, sinusoidal_encoding

#: Rows that are compared; of a longer table the first ones are enough.
ROWS = 4096


def _rounding_of(saved: Tensor) -> float:
    """How far, relative to itself, a number of the table may be from the one that was computed.

    Goes by the numbers, not by the dtype: a table may have been rounded once and cast back.
    """
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(saved.to(dtype).to(saved.dtype), saved):
            return torch.finfo(dtype).eps / 2
    return 1e-6


def first_difference(saved: Tensor, base: float, amplitude: float) -> tuple[int, int] | None:
    """Return position and column of the largest error of a table; None if rounding explains all.

    Args:
        saved: ``(length, d_model)``, floating point, from position 0 on.
        base, amplitude: Those of the formula.
    """
    length, d_model = saved.shape
    positions = torch.arange(length, device="cpu")
    exact = amplitude * sinusoidal_encoding(positions, d_model, base)
    # Tables elsewhere are often computed in float32: their frequencies are rounded once, and
    # the error grows with the position. Another base or column order is off by far more.
    allowed = 1e-6 + 2.0**-22 * positions.to(torch.float64).unsqueeze(-1)
    allowed = allowed * amplitude
    for dtype in (saved.dtype, torch.bfloat16, torch.float16):
        # A number that this dtype can hold may have been rounded to it, and cast back since.
        # Rounding keeps the order, so the limits are rounded the same way.
        rounded = saved.to(dtype)
        low, high = (exact - allowed).to(dtype), (exact + allowed).to(dtype)
        holds = rounded.to(saved.dtype) == saved
        if bool((holds & (low <= rounded) & (rounded <= high)).all()):
            return None
    error = (saved.to(torch.float64) - exact).abs()
    return divmod(int((error - allowed).argmax()), d_model)


def what_differs(saved: Tensor, base: float, amplitude: float) -> str:
    """Describe how a saved table differs from that of ``base`` and ``amplitude``.

    Args:
        saved: ``(length, d_model)``, floating point.
        base, amplitude: Those of the module that reads the table.

    Returns:
        One or two sentences.
    """
    saved = saved[:ROWS]
    relative = _rounding_of(saved)
    as_saved, saved = saved, saved.to(torch.float64)
    half = saved.shape[1] // 2
    orders = {
        "": (saved[:, 0::2], saved[:, 1::2]),
        "cosines before sines in each pair": (saved[:, 1::2], saved[:, 0::2]),
        "all sines before all cosines": (saved[:, :half], saved[:, half:]),
        "all cosines before all sines": (saved[:, half:], saved[:, :half]),
    }
    for order, (sines, cosines) in orders.items():
        found = _fit(torch.complex(cosines, sines), relative, base, amplitude)
        if found is None:
            continue
        own, foreign = found
        foreign += [order] if order else []
        if not own and not foreign:
            return (
                "They are as close as the rounding of the saved numbers lets one see: made with "
                "very nearly the same base and amplitude, or rounded in another way."
            )
        exactly = _accepted(as_saved, own, base, amplitude)
        if exactly:
            numbers = [f"{name} = {value:.10g}" for name, value in exactly.items()]
        else:
            numbers = [f"{name} = about {value:.5g}" for name, value in own.items()]
        text = f"The checkpoint's table has {', '.join(numbers + foreign)}."
        if foreign:
            return f"{text} This module cannot compute such a table."
        return f"{text} Build the module with the same."
    if len(saved) == 1:
        return "One row is too little to tell how it was made."
    return "No other base, amplitude, first position or column order explains them."


def _fit(
    turn: Tensor, relative: float, base: float, amplitude: float
) -> tuple[dict[str, float], list[str]] | None:
    """What makes the rows ``cosine + i · sine``, ``(length, d_model / 2)``; None if nothing simple.

    Returns:
        The arguments of the module that differ, and what it has no argument for.
    """
    length, pairs = turn.shape
    d_model = 2 * pairs
    size = float(turn.abs().square().mean().sqrt())
    if not 0 < size < math.inf:  # zeros, or a NaN somewhere
        return None
    count = torch.arange(length, dtype=torch.float64, device="cpu").unsqueeze(-1)
    rates = _rates(turn) if length > 1 else frequencies(d_model, base)
    first = _first_position(turn[0], rates)
    places = first + count
    # Tables are often computed in float32: their frequencies are rounded once, and the error
    # grows with the position.
    allowed = relative + 1e-6 + 2.0**-22 * places.abs()

    def explains(trial: Tensor, size: float) -> bool:
        off = (torch.polar(torch.full_like(places * trial, size), places * trial) - turn).abs()
        return bool((off <= 1.5 * allowed * size + 2.0**-25).all())  # 1.5: two parts, and the fit

    def with_base(trial: float) -> Tensor:
        return frequencies(d_model, trial)

    own: dict[str, float] = {}
    foreign = []
    if explains(with_base(base), size):
        rates = with_base(base)
    else:
        fitted = _base(rates)
        if fitted is not None and explains(with_base(fitted), size):
            rates = with_base(fitted)
            own["base"] = fitted
        elif explains(rates, size):
            foreign.append("other frequencies than a base gives")
        else:
            return None
    if not explains(rates, amplitude):
        own["amplitude"] = size
    if first:
        foreign.append(f"first position {first} (this module: 0, or start={first} when called)")
    return own, foreign


def _rates(turn: Tensor) -> Tensor:
    """Radians per position of each pair: the line through its unwrapped angles, least squares."""
    steps = (turn[1:] * turn[:-1].conj()).angle()  # each within half a turn
    angles = torch.cat((torch.zeros_like(steps[:1]), steps.cumsum(0)))
    count = torch.arange(len(turn), dtype=torch.float64, device="cpu").unsqueeze(-1)
    count -= count.mean()
    return (count * angles).sum(0) / count.square().sum()


def _base(rates: Tensor) -> float | None:
    """The base whose frequencies are nearest to the rates, least squares over all rows."""
    pairs = len(rates)
    exponents = torch.arange(pairs, dtype=torch.float64, device="cpu") / pairs
    turning = (rates > 0) & (exponents > 0)
    if not turning.any():
        return None
    rates, exponents = rates[turning], exponents[turning]
    # A change of ln(base) moves the angle at position p by p · rate · exponent: the weights of the
    # pairs' own estimates. The slowest pairs hardly move, and rounding blurs them most.
    weights = (rates * exponents).square()
    logarithm = float((weights * (-rates.log() / exponents)).sum() / weights.sum())
    return math.exp(logarithm) if abs(logarithm) < 700 else None


def _first_position(row: Tensor, rates: Tensor) -> int:
    """The position whose angles are nearest to those of the first row, whatever its size."""
    # The fastest pair knows it up to whole turns only, a slow one roughly: ask each, then compare.
    guesses = row.angle() / rates
    guesses = guesses[guesses.abs() < 1e6].round()  # leaves out pairs that do not turn
    guesses = torch.cat((guesses.new_zeros(1), guesses))
    angles = guesses.unsqueeze(-1) * rates
    off = (torch.polar(torch.ones_like(angles), angles) - row).abs().amax(-1)
    return int(guesses[off.argmin()])


def _accepted(
    saved: Tensor, own: dict[str, float], base: float, amplitude: float
) -> dict[str, float] | None:
    """The numbers with as few digits as will do, so that a module built with them takes the table.

    A base of 8999.98, fitted, was 9000.
    """
    for digits in range(1, 11):
        trial = {name: float(f"{value:.{digits}g}") for name, value in own.items()}
        module = {"base": base, "amplitude": amplitude, **trial}
        if first_difference(saved, **module) is None:
            return trial
    return None
