"""Still pictures in one style: a light card that is legible on light and dark pages.

Needs matplotlib (``pip install simplellm[plots]``).
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
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
        if row_labels is not None and len(row_labels) <= 24:
            axes.set_yticks(range(len(row_labels)), row_labels)
        if column_labels is not None and len(column_labels) <= 16:
            axes.set_xticks(range(len(column_labels)), column_labels)
        return to_png(figure)


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
