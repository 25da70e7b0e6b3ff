"""Still pictures in one style: a light card that is legible on light and dark pages.

Needs matplotlib (``pip install simplellm[plots]``).
"""

from __future__ import annotations

import io
import itertools
import math
import re
from contextlib import AbstractContextManager
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from .palette import colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STILL_PIXELS = (720, 360)

#: Sine and cosine, token and position, first and second: the same two inks as in the heatmaps.
#: They differ in lightness as well as in hue; give the second a dash or another marker besides.
FIRST = colors("first")[0]
SECOND = colors("second")[0]
INK = colors("ink")[0]
MUTED = colors("muted")[0]
FAINT = colors("faint")[0]

#: Each position scheme looks the same in every figure. Absolute schemes are solid and those inside
#: attention dashed; markers differ too, so no figure needs its colours.
SCHEMES: dict[str, dict[str, Any]] = {
    "none": {"color": MUTED, "linestyle": ":", "marker": "x"},
    "sinusoidal": {"color": FIRST, "linestyle": "-", "marker": "o"},
    "learned": {"color": SECOND, "linestyle": "-", "marker": "s"},
    "rope": {"color": FIRST, "linestyle": "--", "marker": "^"},
    "alibi": {"color": SECOND, "linestyle": "--", "marker": "v"},
    "t5": {"color": INK, "linestyle": "-.", "marker": "D"},
    "nope_every_4": {"color": FIRST, "linestyle": (0, (6, 1, 1, 1, 1, 1)), "marker": "P"},
    "two_bases": {"color": SECOND, "linestyle": (0, (6, 1, 2, 1)), "marker": "X"},
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
    # 257 shades, an odd number, so that zero has one of its own: as in heatmap/js/colour.js.
    return LinearSegmentedColormap.from_list(f"simplellm-{name}", colors(name), N=257)


def cells(
    axes: Axes,
    values: NDArray[np.float64],
    rows: str,
    columns: str,
    value: str,
    limits: tuple[float, float],
) -> None:
    """Draw values ``(rows, columns)`` as cells with a labelled colour bar; NaN is hatched.

    The bar has a pointed end where values lie beyond it.
    """
    low, high = limits
    near = (high - low) / 512  # half a colour: float32 alone does not make a point
    under, over = (values < low - near).any(), (values > high + near).any()
    extend = ("both" if over else "min") if under else ("max" if over else "neither")
    if np.isnan(values).any():
        axes.patch.set(facecolor="white", edgecolor=MUTED, hatch="////")
        value += " · hatched: no value"
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
    axes.figure.colorbar(picture, ax=axes, label=value, extend=extend, fraction=0.05, pad=0.02)


def still_style() -> AbstractContextManager[None]:
    """The look of a still while it is made and drawn; a dollar in a name is a dollar."""
    return matplotlib.rc_context({**STYLE, "text.parse_math": False, "axes.titlesize": 11})


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
    note: str = "",
) -> bytes:
    """The still picture of a heatmap: a small PNG, the same bytes for the same numbers."""
    names = {"row_labels": row_labels, "column_labels": column_labels}
    with still_style():
        figure = still_figure(values, title, rows, columns, value, limits, note=note, **names)
        return to_png(figure)


def still_figure(
    values: NDArray[np.float64],
    title: str,
    rows: str,
    columns: str,
    value: str,
    limits: tuple[float, float],
    *,
    row_labels: list[str] | None = None,
    column_labels: list[str] | None = None,
    note: str = "",
) -> Figure:
    """The still picture of a heatmap, to be drawn by :func:`to_png` inside :func:`still_style`.

    No word of it runs out of the picture or over another: the title and the note below it wrap,
    names that do not fit side by side lean, and names that do not fit at all give way to every
    second, every third.
    """
    with still_style():
        width, height = STILL_PIXELS
        figure = Figure(figsize=(width / 100, height / 100), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        top = 6.0
        for text, size, ink, most in ((title, 11, INK, 3), (note, 8.5, MUTED, 2)):
            for line in _wrapped(text, width - 16, size, most):
                figure.text(8 / width, 1 - top / height, line, va="top", size=size, color=ink)
                top += 1.75 * size
        engine = figure.get_layout_engine()
        engine.set(rect=(0, 0, 1, 1 - (top + 2) / height))  # type: ignore[union-attr, call-arg]
        cells(axes, values, rows, columns, value, limits)
        _write_names(figure, axes, row_labels, column_labels)
        # The names of the axes, now that it is known how much room they have.
        box = axes.get_window_extent()
        bar = figure.axes[1]
        wrapped = False
        for label, room in (
            (axes.xaxis.label, box.width),
            (axes.yaxis.label, box.height),
            (bar.yaxis.label, box.height),
        ):
            text = "\n".join(_wrapped(label.get_text(), room, 10, 2))
            wrapped |= text != label.get_text()
            label.set_text(text)
        if not wrapped:
            figure.set_layout_engine("none")  # all has its place already: drawing need not ask
        return figure


def _write_names(
    figure: Figure, axes: Axes, row_labels: list[str] | None, column_labels: list[str] | None
) -> None:
    """Write names at rows and columns: as many as have room once the others have theirs."""
    n_rows, n_columns = (round(abs(b - a)) for a, b in (axes.get_ylim(), axes.get_xlim()))
    rows = [_clipped(label, 130) for label in row_labels or map(str, range(n_rows))]
    columns = [_clipped(label, 130) for label in column_labels or map(str, range(n_columns))]

    def write_rows(room: float) -> None:
        small = row_labels is not None and n_rows * 15 > room >= n_rows * 11
        most = int(room // (11 if small else 15))
        at = ticks(rows, max(1, most if row_labels else min(most, 12)))
        axes.set_yticks(at, [rows[i] for i in at], fontsize=7.5 if small else 10)

    # What has room is asked of the layout alone: to draw as well takes half as long again.
    place = figure.get_layout_engine().execute  # type: ignore[union-attr]

    axes.set_xticks([])
    write_rows(STILL_PIXELS[1] - 90.0)
    place(figure)
    pitch = axes.get_window_extent().width / n_columns
    written = [_text_width(label, 10) + 10 for label in columns]
    lean = False
    at = list(range(n_columns))
    if max(written) > pitch or column_labels is None:
        # Numbers and letters may be left out; names lean, where that leaves room for all.
        short = max(written) <= 50
        lean = not short and pitch >= 19
        if not lean:
            step = math.ceil(n_columns / (60 if column_labels else 16))
            while not _have_room(at := _every(columns, step), written, pitch):
                step += 1
    axes.set_xticks(at, [columns[i] for i in at])
    if lean:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    place(figure)
    write_rows(axes.get_window_extent().height)
    place(figure)


def _have_room(at: list[int], written: list[float], pitch: float) -> bool:
    """Whether the names at some places, so many pixels wide each, leave a gap between them."""
    return all((written[i] + written[j]) / 2 <= (j - i) * pitch for i, j in itertools.pairwise(at))


@lru_cache(4096)  # numbers at rows and columns are the same ones every time
def _text_width(text: str, size: float) -> float:
    """How many pixels of a still a text takes, at a size in points."""
    font = FontProperties(size=size)
    size_of = _renderer().get_text_width_height_descent
    return float(size_of(text, font, ismath=False)[0])  # type: ignore[no-untyped-call]


@cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, 100.0)  # type: ignore[no-untyped-call]


def _clipped(text: str, pixels: float, size: float = 10, end: str = "…") -> str:
    """A text in at most so many pixels, with a sign that there is more of it."""
    if _text_width(text, size) <= pixels:
        return text
    while text and _text_width(text + end, size) > pixels:
        text = text[:-1]
    return text.rstrip() + end


def _wrapped(text: str, pixels: float, size: float, most: int) -> list[str]:
    """A text as lines of at most so many pixels; what needs more lines than `most` is cut.

    Example:
        >>> _wrapped("one two three", 60, 10, 2)
        ['one two', 'three']
    """
    lines: list[str] = []
    for word in text.split():
        if lines and _text_width(f"{lines[-1]} {word}", size) <= pixels:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_clipped(line, pixels, size) for line in lines]


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
    return _every(labels, math.ceil(len(labels) / most))


def _every(labels: list[str], step: int) -> list[int]:
    """Places at steps at least so large, at the round ones of labels that count on."""
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
