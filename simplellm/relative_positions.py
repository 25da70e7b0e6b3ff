"""Positions inside attention: rotary angles, ALiBi's slopes and T5's buckets.

An absolute scheme adds something to each token's vector before the first block. The three here
change how a query scores a key instead, and what they change depends only on how far apart the
two stand.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .checks import check_positive_int
from .sinusoids import DEFAULT_BASE, frequencies


def rotations_at(positions: Tensor, head_dim: int, base: float = DEFAULT_BASE) -> Tensor:
    """The rotations of rotary positions: one complex number for each position and pair of columns.

    The angles are those of the sinusoids: pair ``i`` is rotated by ``base ** (-2 * i / head_dim)``
    radians per position. The rotation by an angle a is ``cos a + i sin a``.

    Args:
        positions: Any shape, integer.
        head_dim: Width of one head, or number of its columns that are rotated; even.
        base: The constant the paper sets to 10 000.

    Returns:
        Shape ``(*positions.shape, head_dim / 2)``, of magnitude 1; complex128, or complex64 on
        a device that has no float64.

    Raises:
        ValueError: If ``head_dim`` is odd or not positive, or ``base`` is not positive and finite.

    Example:
        >>> rotations_at(torch.tensor([0, 1]), head_dim=4).imag
        tensor([[0.0000, 0.0000],
                [0.8415, 0.0100]], dtype=torch.float64)

    Source: Su et al. 2021, "RoFormer", section 3.4.2.
    """
    head_dim = check_positive_int("head_dim", head_dim)
    if head_dim % 2:
        raise ValueError(
            f"head_dim must be even, got {head_dim}: rotary positions turn pairs of columns."
        )
    # Apple's GPUs have neither float64 nor complex128: computed on the CPU and sent over.
    on_cpu = positions.device.type == "mps"
    counted = positions.cpu() if on_cpu else positions
    rates = frequencies(head_dim, base).to(counted.device, non_blocking=True)
    angles = counted.to(torch.float64).unsqueeze(-1) * rates  # (..., head_dim / 2)
    rotations = torch.complex(angles.cos(), angles.sin())
    return rotations.to(torch.complex64).to(positions.device) if on_cpu else rotations


def rotate(x: Tensor, rotations: Tensor) -> Tensor:
    """Rotate each pair of columns ``(2i, 2i + 1)`` of queries or keys by its angle.

    Args:
        x: ``(..., head_dim)``, queries or keys.
        rotations: ``(..., pairs)``, complex, as :func:`rotations_at` gives them. Columns past
            the last pair stay as they are ("partial RoPE").

    Returns:
        The shape and dtype of x. Lengths of pairs do not change.

    Example:
        >>> quarter = torch.tensor([1j])
        >>> rotate(torch.tensor([3.0, 4.0, 5.0]), quarter)
        tensor([-4.,  3.,  5.])

    Source: Su et al. 2021, "RoFormer", section 3.4.2.
    """
    columns = 2 * rotations.shape[-1]
    if columns < x.shape[-1]:
        return torch.cat((rotate(x[..., :columns], rotations), x[..., columns:]), dim=-1)
    # A pair read as one complex number is rotated by one multiplication. There is no short
    # complex dtype that every device multiplies, so shorter floats take the way by float32.
    wide = x if x.dtype == torch.float64 else x.float()
    pairs = torch.view_as_complex(wide.reshape(*x.shape[:-1], x.shape[-1] // 2, 2))
    rotations = rotations.to(pairs.dtype)
    return torch.view_as_real(pairs * rotations).flatten(-2).to(x.dtype)  # (..., head_dim)


def alibi_slopes(n_heads: int) -> Tensor:
    """ALiBi's slopes: how fast the penalty of each head grows with distance.

    For a power of two they are the geometric sequence that starts at ``2 ** (-8 / n_heads)`` and
    has that same ratio. For other numbers of heads: the slopes of the power of two below, then
    every other slope of the power of two above, which is the authors' own rule.

    Returns:
        Shape ``(n_heads,)``, float64, in units of score per position.

    Raises:
        TypeError, ValueError: If ``n_heads`` is no int of at least 1.

    Example:
        >>> alibi_slopes(4)
        tensor([0.2500, 0.0625, 0.0156, 0.0039], dtype=torch.float64)

    Source: Press et al. 2022, "Train Short, Test Long", section 3 and its published code.
    """
    n_heads = check_positive_int("n_heads", n_heads)
    below = 2 ** (n_heads.bit_length() - 1)
    slopes = [2.0 ** (-8.0 * (i + 1) / below) for i in range(below)]
    between = [2.0 ** (-8.0 * (i + 1) / (2 * below)) for i in range(0, 2 * below, 2)]
    return torch.tensor((slopes + between)[:n_heads], dtype=torch.float64)


def alibi_bias(distance: Tensor, n_heads: int) -> Tensor:
    """ALiBi's attention bias: minus slope times distance.

    Args:
        distance: ``(batch, queries, keys)``, position of the query minus position of the key.
        n_heads: Number of heads.

    Returns:
        ``(batch, n_heads, queries, keys)``, float32.

    Example:
        >>> alibi_bias(torch.tensor([[[0, 1, 2]]]), n_heads=1) * 256
        tensor([[[[ 0., -1., -2.]]]])

    Source: Press et al. 2022, "Train Short, Test Long", section 3.
    """
    slopes = alibi_slopes(n_heads).to(torch.float32).to(distance.device)
    return slopes.view(1, -1, 1, 1) * -distance.unsqueeze(1)


class RelativePositionBias(nn.Module):
    """T5's bias: a trained number per head and bucket of distances, added to the scores.

    Half of the buckets hold one distance each, 0, 1, 2 and so on; the other half share what lies
    between them and ``max_distance``, wider and wider. Everything farther falls into the last.

    Args:
        n_heads: Number of heads.
        n_buckets: Number of buckets; even.
        max_distance: Distance from which on everything is in the last bucket.
        device: Device of the table.
        dtype: Floating-point dtype of the table.

    Attributes:
        embedding: The table, an ``nn.Embedding`` of shape ``(n_buckets, n_heads)``.

    Shape:
        distance ``(batch, queries, keys)``, integer, to ``(batch, n_heads, queries, keys)``.

    Raises:
        ValueError: If ``n_buckets`` is odd, or ``max_distance`` leaves the far half empty.

    Example:
        >>> bias = RelativePositionBias(n_heads=4)
        >>> bias.buckets(torch.tensor([0, 1, 15, 16, 17, 19, 127, 128, 5000]))
        tensor([ 0,  1, 15, 16, 16, 17, 31, 31, 31])
        >>> bias(torch.zeros(1, 3, 3, dtype=torch.int64)).shape
        torch.Size([1, 4, 3, 3])

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.1.
    """

    def __init__(
        self,
        n_heads: int,
        *,
        n_buckets: int = 32,
        max_distance: int = 128,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        n_heads = check_positive_int("n_heads", n_heads)
        n_buckets = check_positive_int("n_buckets", n_buckets)
        max_distance = check_positive_int("max_distance", max_distance)
        if n_buckets % 2:
            raise ValueError(
                f"n_buckets must be even, got {n_buckets}: half of them hold one each."
            )
        if max_distance <= n_buckets // 2:
            raise ValueError(
                f"max_distance must be more than n_buckets / 2 = {n_buckets // 2}, "
                f"got {max_distance}."
            )
        super().__init__()
        self.n_buckets = n_buckets
        self.max_distance = max_distance
        self.embedding = nn.Embedding(n_buckets, n_heads, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew from N(0, 0.02)."""
        nn.init.normal_(self.embedding.weight, mean=0.0, std=0.02)

    def buckets(self, distance: Tensor) -> Tensor:
        """The bucket of each distance; what lies ahead (a negative distance) counts as 0."""
        half = self.n_buckets // 2
        ratio = self.max_distance / half
        # The far buckets begin at half * ratio ** (j / half), j = 0, 1, ...; a whole distance
        # belongs to the last one that begins at or before it. The little that is taken off keeps
        # a bound that is whole, such as half itself, from being rounded up past itself.
        starts = [math.ceil(half * ratio ** (j / half) - 1e-9) for j in range(half)]
        bounds = torch.tensor([*range(1, half), *starts], device=distance.device)
        return torch.bucketize(distance.clamp(min=0), bounds, right=True)

    def forward(self, distance: Tensor) -> Tensor:
        """distance ``(batch, queries, keys)`` to ``(batch, n_heads, queries, keys)``."""
        bias: Tensor = self.embedding(self.buckets(distance))  # (batch, queries, keys, n_heads)
        return bias.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return f"n_buckets={self.n_buckets}, max_distance={self.max_distance}"
