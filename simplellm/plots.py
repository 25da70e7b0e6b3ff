"""Still pictures in one style: a light card that is legible on light and dark pages.

Needs matplotlib (``pip install simplellm[plots]``).
"""

from __future__ import annotations

import io
import itertools
import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from .palette import colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STILL_PIXELS = (720, 360)

# Sine and cosine, token and position, first and second: the same two inks as in the heatmaps.
# They differ in lightness as well as in hue; give the second a dash or another marker besides.
FIRST = colors("first")[0]
SECOND = colors("second")[0]
INK = colors("ink")[0]
MUTED = colors("muted")[0]
FAINT = colors("faint")[0]

# Each position scheme looks the same in every figure. Absolute schemes are solid and those inside
# attention dashed; markers differ too, so no figure needs its colours.
SCHEMES: dict[str, dict[str, Any]] = {
    "none": {"color": MUTED, "linestyle": ":", "marker": "x"},
    "sinusoidal": {"color": FIRST, "linestyle": "-", "marker": "o"},
    "learned": {"color": SECOND, "linestyle": "-", "marker": "s"},
    "rope": {"color": FIRST, "linestyle": "--", "marker": "^"},
    "alibi": {"color": SECOND, "linestyle": "--", "marker": "v"},
    "t5": {"color": INK, "linestyle": "-.", "marker": "D"},
}

STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.prop_cycle": cycler(color=[FIRST, SECOND, INK, MUTED]),
    "legend.frameon": False,
}


def use_style() -> None:
    """Give every figure that pyplot draws from now on the look of the book."""
    matplotlib.rcParams.update(STYLE)


def curve(
    axes: Axes,
    x: ArrayLike,
    mean: ArrayLike,
    half_width: ArrayLike,
    label: str,
    **style: Any,
) -> None:
    """Draw a mean over seeds as a line, and its interval as a band around it.

    Args:
        axes: Where to draw.
        x: ``(n,)``.
        mean, half_width: ``(n,)``, as `records.mean_and_interval` gives them.
        label: For the legend. The name of a scheme brings that scheme's look with it.
        style: What matplotlib's ``plot`` takes; wins over the scheme's look.
    """
    middle, half = np.asarray(mean, dtype=float), np.asarray(half_width, dtype=float)
    look = {"markersize": 4.5, "linewidth": 1.4, **SCHEMES.get(label, {}), **style}
    (line,) = axes.plot(np.asarray(x), middle, label=label, **look)
    axes.fill_between(
        np.asarray(x), middle - half, middle + half, color=line.get_color(), alpha=0.15, linewidth=0
    )


@cache
def colormap(diverging: bool) -> LinearSegmentedColormap:
    """The scale for signed values (zero in the middle), or for magnitudes."""
    name = "diverging" if diverging else "sequential"
    # 257 shades, an odd number, so that zero has one of its own: as in heatmap.js.
    return LinearSegmentedColormap.from_list(f"simplellm-{name}", colors(name), N=257)


def cells(
    axes: Axes,
    values: NDArray[np.float64],
    rows: str,
    columns: str,
    value: str,
    limits: tuple[float, float],
) -> None:
    """Draw values ``(rows, columns)`` as cells with a labelled colour bar."""
    low, high = limits
    picture = axes.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        cmap=colormap(low < 0 < high),
        vmin=low,
        vmax=high,
    )
    axes.set_xlabel(f"{columns} →")
    axes.set_ylabel(f"← {rows}")
    axes.spines[:].set_visible(False)
    axes.figure.colorbar(picture, ax=axes, label=value, fraction=0.05, pad=0.02)


def still(
    values: NDArray[np.float64],
    title: str,
    rows: str,
    columns: str,
    value: str,
    limits: tuple[float, float],
    *,
    row_labels: list[str] | None = None,
    column_labels: list[str] | None = None,
) -> bytes:
    """The still picture of a heatmap: a small PNG, the same bytes for the same numbers."""
    with matplotlib.rc_context(STYLE):
        width, height = STILL_PIXELS
        figure = Figure(figsize=(width / 100, height / 100), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
        cells(axes, values, rows, columns, value, limits)
        # Every name where there is room, else every second, every third: a number in its place
        # would be read as the name.
        for labels, most, set_ticks in (
            (row_labels, 24, axes.set_yticks),
            (column_labels, 16, axes.set_xticks),
        ):
            if labels is not None:
                at = ticks(labels, most)
                set_ticks(at, [labels[i] for i in at])
        return to_png(figure)


def ticks(labels: list[str], most: int) -> list[int]:
    """Choose the labels of an axis that are written, where not all have room.

    Args:
        labels: One for each row or column, in order, at least one.
        most: How many have room.

    Returns:
        Their places from 0, at equal steps; of labels that count on, as positions from -32 on do,
        those of the round ones.

    Example:
        >>> ticks([str(p) for p in range(-5, 6)], 5)
        [0, 5, 10]
        >>> ticks(list("abcdef"), 3)
        [0, 2, 4]
    """
    step = math.ceil(len(labels) / most)
    first = int(labels[0]) if re.fullmatch(r"-?\d+", labels[0]) else None
    if first is None or labels != [str(first + i) for i in range(len(labels))]:
        return list(range(0, len(labels), step))
    round_steps = (factor * 10**power for power in itertools.count() for factor in (1, 2, 5))
    step = next(each for each in round_steps if each >= step)
    return [i for i in range(len(labels)) if (first + i) % step == 0]


def to_png(figure: Figure) -> bytes:
    """A figure as a small PNG, the same bytes for the same figure; a live lab shows it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    # The picture is stored twice in a notebook: a palette is a third of the bytes. Coverage, not
    # frequency, chooses it, or the rare colours at the ends of the scale would turn grey.
    pixels = Image.fromarray(drawn).convert("RGB")
    pixels = pixels.quantize(128, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    pixels.save(out, "PNG", optimize=True)
    return out.getvalue()
