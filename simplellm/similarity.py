"""How alike rows are: cosines of every two rows of a table."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def mean_pair_cosine(rows: Tensor) -> float:
    """Compute the mean cosine of two different rows, over all pairs.

    Args:
        rows: ``(rows, columns)``, floating point; at least two.

    Example:
        >>> import torch
        >>> mean_pair_cosine(torch.tensor([[1.0, 0], [0, 1], [0, 2]]))
        0.3333333432674408
    """
    units = F.normalize(rows, dim=1)
    count = len(units)
    return float((units.sum(0).square().sum() - count) / (count * (count - 1)))


def centred_cosine(rows: Tensor) -> Tensor:
    """Compute the cosine between any two rows after subtracting their mean, ``(rows, rows)``."""
    rows = F.normalize(rows - rows.mean(0), dim=1)
    return rows @ rows.T
