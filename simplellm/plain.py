"""Conversion of numbers and strings of any library to Python's own types, which JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy
from torch import Tensor


def plain(value: Any) -> Any:
    """Convert a value to Python's own types.

    A setting often comes from an array, a table or an option parser. As numpy's ``int8`` it would
    overflow in the first product, and no JSON and no safe unpickler takes it.

    Args:
        value: A number or text of any library, or a list, tuple, array, tensor or mapping of such.

    Returns:
        bool, int, float or str; a list of those for a sequence, a dict for a mapping; anything
        else as it is, for a check to refuse.

    Example:
        >>> plain({"width": numpy.int8(64), "rates": (Decimal("0.5"), numpy.float32(2))})
        {'width': 64, 'rates': [0.5, 2.0]}
    """
    if isinstance(value, (bool, numpy.bool_)):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, (Real, Decimal)):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)  # the text itself, also of a member of an Enum
    if isinstance(value, (numpy.ndarray, Tensor)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {plain(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
