"""Numbers on their way into a heatmap: what it takes, how the page holds them, and their scale."""

from __future__ import annotations

import base64
import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 2048
MAX_VALUES = 1 << 20
LARGEST, LEAST = 1e150, 1e-150  #: Squares of these are still numbers, in Python and in the browser


def encode(array: NDArray[Any]) -> str:
    """An array as base64 of its bytes, little-endian on every machine."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def decode(text: str, dtype: str) -> NDArray[np.float64]:
    """The numbers of such a text, in float64 and in one row."""
    raw = np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<"))
    return raw.astype(np.float64)


def check_words(**words: object) -> None:
    """Raise TypeError for an argument that is no text."""
    for argument, word in words.items():
        if not isinstance(word, str):
            hint = " Decode it first." if isinstance(word, bytes) else ""
            raise TypeError(
                f"{argument} must be a str, got {word!r} of type {type(word).__name__}.{hint}"
            )


def place_in(argument: str, index: object, size: int) -> int:
    """A row, column, frame or pin as a plain int (so that JSON takes it) within its axis."""
    try:
        place = operator.index(index)  # type: ignore[arg-type]
    except TypeError:
        place = None
    if place is None or isinstance(index, bool):
        raise TypeError(f"{argument} must be an int, got {index!r} of type {type(index).__name__}.")
    if not 0 <= place < size:
        raise ValueError(f"{argument} must be at least 0 and below {size}, got {place}.")
    return place


def as_floats(values: Any) -> NDArray[np.float64]:
    """Values in float64, what is masked as NaN, or an error that says what is wrong."""
    if hasattr(values, "detach"):  # a tensor, possibly with a gradient, on a GPU or in bfloat16
        if values.is_complex():
            raise TypeError(
                f"values must be real numbers, got dtype {values.dtype}. Show values.real, "
                "values.imag or values.abs()."
            )
        if values.is_meta:
            raise ValueError("values are a tensor on the device meta, which holds no numbers.")
        values = values.detach().cpu()
        values = values.dequantize() if values.is_quantized else values.to_dense()
        if values.is_floating_point():
            values = values.double()  # NumPy has no bfloat16
        values = values.numpy()
    parts = (np.ndarray, list, tuple)
    if isinstance(values, (list, tuple)) and any(
        isinstance(part, parts) or hasattr(part, "detach") for part in values
    ):
        # Part by part: NumPy drops masks within a list, and takes no tensor with gradient.
        arrays = [as_floats(part) for part in values]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise ValueError(f"values are ragged: their parts have the shapes {sorted(shapes)}.")
        return np.stack(arrays)
    array = np.ma.asarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"values must be real numbers, got dtype {array.dtype}; NaN stands for no value."
        )
    floats = np.ma.filled(array.astype(np.float64), np.nan)
    if array.dtype.kind in "iu" and np.nanmax(np.abs(floats), initial=0.0) > 2.0**53:
        raise ValueError(
            "values hold whole numbers beyond 2**53, where float64 no longer tells neighbours "
            "apart. Subtract what they have in common."
        )
    return np.asarray(floats)


def as_frames(values: Any) -> NDArray[np.float64]:
    """Values as ``(frames, rows, columns)`` in float64, or an error that says what is wrong."""
    array = as_floats(values)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3:
        raise ValueError(
            f"values must have shape (rows, columns) or (frames, rows, columns), got {array.shape}."
        )
    if array.size == 0:
        raise ValueError(f"values are empty: shape {array.shape} holds no number to show.")
    if array.size > MAX_VALUES or max(array.shape[1:]) > MAX_SIDE:
        raise ValueError(
            f"values of shape {array.shape} hold {array.size} numbers; a page shows at most "
            f"{MAX_VALUES}, with {MAX_SIDE} rows and columns. Show a part, or every n-th row."
        )
    infinite = np.isinf(array)
    if infinite.any():
        first = tuple(int(i) for i in np.argwhere(infinite)[0])
        raise ValueError(
            f"values hold {int(infinite.sum())} infinite entries, the first at "
            f"(frame, row, column) = {first}. A colour cannot show them: make them NaN, which is "
            "shown as no value, or replace them."
        )
    if np.isnan(array).all():
        raise ValueError("values are all NaN or masked: there is no number to show.")
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    largest, span = max(-low, high), high - low
    if largest > LARGEST or 0 < largest < LEAST or 0 < span < LEAST:
        raise ValueError(
            f"values run from {low!r} to {high!r}: numbers beyond ±{LARGEST:g}, or closer together "
            f"than {LEAST:g}, cannot be drawn. Divide or multiply them first."
        )
    return array


def stored_form(array: NDArray[np.float64]) -> NDArray[Any]:
    """The same numbers in float32, which halves the page, or in float64 where it would be seen."""
    with np.errstate(over="ignore", under="ignore"):
        short = array.astype(np.float32)
        off = np.nan_to_num(np.abs(short - array))  # NaN stays NaN in both
    size = np.nan_to_num(np.abs(array))
    spans = [np.nanmax(f) - np.nanmin(f) for f in array if not np.isnan(f).all()]
    least = min((span for span in spans if span > 0), default=math.inf)
    seen = (off > 5e-7) | (off > 1e-6 * size) | (off > 1e-4 * least)
    return array if seen.any() else short


def scale_limits(
    array: NDArray[np.float64], limits: tuple[float, float] | None
) -> tuple[float, float]:
    """Where the colour scale begins and ends: as asked for, or as the data decide."""
    if limits is not None:
        try:
            low, high = map(float, limits)
        except (TypeError, ValueError) as error:
            raise TypeError(f"limits must be two numbers (low, high), got {limits!r}.") from error
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"limits must be finite with low < high, got ({low}, {high}).")
        if max(-low, high) > LARGEST or high - low < LEAST:
            raise ValueError(
                f"limits must lie within ±{LARGEST:g} and {LEAST:g} apart, got ({low}, {high})."
            )
        if low < 0 < high and low != -high:
            raise ValueError(
                f"limits on both sides of zero must be symmetric, got ({low}, {high}): the middle "
                "of the colour scale means zero."
            )
        return low, high
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    if low == high >= 0:
        return low, low + max(1.0, low)  # 1e20 + 1 would be 1e20 again
    # Around zero, -1e9 and -1e9 - 1 would have one colour.
    if low >= 0 or (low < high < 0 and -low > 8 * (high - low)):
        return low, high
    high = max(-low, high)
    return -high, high
