"""The mathematics of sinusoidal positions, as pure functions: no module, no state.

Everything here is computed and returned in float64, because it is the reference that the
modules, the browser and the chapters are checked against.

One frequency is shared by a *pair* of columns: column ``2i`` holds its sine, column ``2i + 1``
its cosine (Vaswani et al. 2017, "Attention Is All You Need", section 3.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from .checks import check_base, check_even_d_model

#: A number, a sequence of numbers, or a tensor.
Positions: TypeAlias = Tensor | Sequence[float] | float

#: The constant of Vaswani et al. 2017, section 3.5.
DEFAULT_BASE = 10_000.0


def _angles(positions: Positions, d_model: int, base: float) -> Tensor:
    """Position times frequency, ``(*positions.shape, d_model / 2)``, on the device of positions."""
    if isinstance(positions, Tensor):
        p = positions.to(torch.float64)
    else:
        # Asked for at once: by way of the default dtype a Python float would lose half its digits.
        p = torch.as_tensor(positions, dtype=torch.float64)
    # Without waiting: .to() alone would block the host until the GPU has caught up.
    rates = frequencies(d_model, base).to(p.device, non_blocking=True)
    return p.unsqueeze(-1) * rates


def frequencies(d_model: int, base: float = DEFAULT_BASE) -> Tensor:
    """Compute the angular frequency of each pair of columns, fastest first.

    Pair ``i`` turns by ``base ** (-2 * i / d_model)`` radians per position.

    Args:
        d_model: Width of the encoding; even and positive.
        base: The constant the paper sets to 10 000; positive.

    Returns:
        Shape ``(d_model / 2,)``, float64, radians per position.

    Raises:
        ValueError: If ``d_model`` is odd or not positive, or ``base`` is not positive and finite.

    Example:
        >>> frequencies(4)
        tensor([1.0000, 0.0100], dtype=torch.float64)

    Source: Vaswani et al. 2017, section 3.5.
    """
    d_model = check_even_d_model(d_model)
    base = check_base(base)
    # On the CPU whatever the default device: Apple's GPUs have no float64.
    pairs = torch.arange(d_model // 2, dtype=torch.float64, device="cpu")  # (d_model / 2,)
    return torch.pow(float(base), -2.0 * pairs / d_model)


def wavelengths(d_model: int, base: float = DEFAULT_BASE) -> Tensor:
    """Compute the wavelength of each pair of columns: positions until it has turned once.

    They run from 2π to ``2π * base ** ((d_model - 2) / d_model)``; ``2π * base`` itself is
    never reached.

    Args:
        d_model: Width of the encoding; even and positive.
        base: The constant the paper sets to 10 000; positive.

    Returns:
        Shape ``(d_model / 2,)``, float64, in positions.

    Raises:
        ValueError: As :func:`frequencies`.

    Example:
        >>> wavelengths(4).round(decimals=3)
        tensor([  6.2830, 628.3190], dtype=torch.float64)

    Source: Vaswani et al. 2017, section 3.5.
    """
    return 2.0 * math.pi / frequencies(d_model, base)


def sinusoidal_encoding(positions: Positions, d_model: int, base: float = DEFAULT_BASE) -> Tensor:
    """Compute the sinusoidal encoding of positions: whole, fractional or negative.

    Args:
        positions: A number, a sequence of numbers or a tensor of any shape, in positions.
        d_model: Width of the encoding; even and positive.
        base: The constant the paper sets to 10 000; positive.

    Returns:
        Shape ``(*positions.shape, d_model)``, float64: sines in the even columns, cosines in the
        odd ones. On the device of ``positions``.

    Raises:
        ValueError: As :func:`frequencies`.

    Example:
        >>> sinusoidal_encoding([0, 2], d_model=4)
        tensor([[ 0.0000,  1.0000,  0.0000,  1.0000],
                [ 0.9093, -0.4161,  0.0200,  0.9998]], dtype=torch.float64)

    Source: Vaswani et al. 2017, section 3.5.
    """
    angles = _angles(positions, d_model, base)  # (..., d_model / 2)
    # Stacking on a new last axis and flattening it interleaves: sin, cos, sin, cos, ...
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)  # (..., d_model)


def rounded_encoding(
    positions: Positions,
    d_model: int,
    base: float = DEFAULT_BASE,
    *,
    rates: torch.dtype = torch.float32,
    angles: torch.dtype = torch.float32,
) -> Tensor:
    """Compute the sinusoidal encoding as libraries do, with numbers that are rounded on the way.

    Most compute in float32: the frequencies as an exponential, times the position. Where those are
    cast to half precision, or the product is taken in it, the rows are off by more; how they are
    off differs.

    Args:
        positions, d_model, base: As for :func:`sinusoidal_encoding`.
        rates: The frequencies are rounded to this dtype.
        angles: Position times frequency is rounded to this dtype.

    Returns:
        Shape ``(*positions.shape, d_model)``, float32. Infinite angles (past 65 504 in float16)
        give NaN.

    Raises:
        ValueError: As :func:`frequencies`.

    Example:
        >>> far = sinusoidal_encoding(100_000, 64)
        >>> float((rounded_encoding(100_000, 64) - far).abs().max()) < 0.01
        True
        >>> float((rounded_encoding(100_000, 64, rates=torch.float16) - far).abs().max()) > 1.0
        True

    Source: the recipes are those that ``tools/survey`` met.
    """
    d_model = check_even_d_model(d_model)
    p = torch.as_tensor(positions).to(torch.float32).unsqueeze(-1)
    pairs = torch.arange(0, d_model, 2, dtype=torch.float32, device=p.device)
    steps = torch.exp(pairs * (-math.log(check_base(base)) / d_model)).to(rates).to(torch.float32)
    turned = (p * steps).to(angles).to(torch.float32)
    return torch.stack((turned.sin(), turned.cos()), dim=-1).flatten(-2)


def shift_rotation(k: float, d_model: int, base: float = DEFAULT_BASE) -> Tensor:
    """Compute the matrix that moves every encoding by ``k`` positions, whatever the position.

    ``shift_rotation(k, d) @ sinusoidal_encoding(p, d)`` equals ``sinusoidal_encoding(p + k, d)``.
    It is block-diagonal: each pair of columns is rotated by its own angle, ``k`` times its
    frequency.

    Args:
        k: Number of positions to move by; any sign, fractional allowed.
        d_model: Width of the encoding; even and positive.
        base: The constant the paper sets to 10 000; positive.

    Returns:
        Shape ``(d_model, d_model)``, float64, orthogonal.

    Raises:
        ValueError: As :func:`frequencies`.

    Example:
        >>> moved = shift_rotation(3, 8) @ sinusoidal_encoding(5, 8)
        >>> torch.allclose(moved, sinusoidal_encoding(8, 8))
        True

    Source: the identity behind the remark in Vaswani et al. 2017, section 3.5.
    """
    angles = k * frequencies(d_model, base)  # (d_model / 2,)
    cos, sin = angles.cos(), angles.sin()
    # The pair is (sin, cos), not (cos, sin), so the minus sign is in the lower row.
    blocks = torch.stack((torch.stack((cos, sin), -1), torch.stack((-sin, cos), -1)), -2)
    return torch.block_diag(*blocks)  # type: ignore[no-untyped-call]


def offset_kernel(offsets: Positions, d_model: int, base: float = DEFAULT_BASE) -> Tensor:
    """Compute the dot product of two encodings whose positions differ by ``offsets``.

    It depends on nothing but the offset: the sum over pairs of ``cos(offset * frequency)``.

    Args:
        offsets: A number, a sequence of numbers or a tensor of any shape, in positions.
        d_model: Width of the encoding; even and positive.
        base: The constant the paper sets to 10 000; positive.

    Returns:
        The shape of ``offsets``, float64; ``d_model / 2`` at offset 0.

    Raises:
        ValueError: As :func:`frequencies`.

    Example:
        >>> offset_kernel([0, 1, -1], d_model=4)
        tensor([2.0000, 1.5403, 1.5403], dtype=torch.float64)

    Source: follows from cos(a - b) = cos a cos b + sin a sin b.
    """
    return _angles(offsets, d_model, base).cos().sum(-1)
