"""The look of figures that several chapters share."""

from __future__ import annotations

import functools
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from simplellm import plots
from simplellm.heatmap import Heatmap, from_html
from simplellm.model import POSITIONS

CHAPTERS = Path(__file__).resolve().parents[1] / "chapters"


def test_every_scheme_has_a_look_that_no_other_has_without_its_colour() -> None:
    assert set(plots.SCHEMES) == set(POSITIONS)
    looks = {(look["linestyle"], look["marker"]) for look in plots.SCHEMES.values()}
    assert len(looks) == len(POSITIONS)
    assert len({look["marker"] for look in plots.SCHEMES.values()}) == len(POSITIONS)


def test_a_curve_is_the_mean_with_its_interval_around_it() -> None:
    axes = Figure().subplots()
    plots.curve(axes, [1, 2, 3], [5.0, 6.0, 7.0], [0.5, 0.25, 0.125], "rope")
    (line,), (band,) = axes.lines, axes.collections
    assert line.get_xydata().tolist() == [[1, 5], [2, 6], [3, 7]]
    assert line.get_linestyle() == "--" and line.get_label() == "rope"
    edges = band.get_paths()[0].vertices
    for x, low, high in ((1, 4.5, 5.5), (2, 5.75, 6.25), (3, 6.875, 7.125)):
        there = edges[np.isclose(edges[:, 0], x), 1]
        assert there.min() == pytest.approx(low) and there.max() == pytest.approx(high)


def test_a_style_that_is_given_wins_over_the_schemes() -> None:
    axes = Figure().subplots()
    plots.curve(axes, [1, 2], [1.0, 1.0], [0.0, 0.0], "learned", linestyle=":", color="black")
    assert axes.lines[0].get_linestyle() == ":" and axes.lines[0].get_color() == "black"


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        ([str(p) for p in range(-32, 32)], ["-30", "-20", "-10", "0", "10", "20", "30"]),
        ([str(p) for p in range(100, 109)], ["100", "102", "104", "106", "108"]),
        ([str(p) for p in range(-3, 4)], ["-3", "-2", "-1", "0", "1", "2", "3"]),
        ([str(16 * p) for p in range(16)], ["0", "48", "96", "144", "192", "240"]),
        (list("abcdefghijkl"), ["a", "c", "e", "g", "i", "k"]),
    ],
    ids=lambda words: words[0],
)
def test_where_few_labels_have_room_the_round_ones_are_written(
    labels: list[str], written: list[str]
) -> None:
    assert [labels[i] for i in plots.ticks(labels, 7)] == written


# ---- stills: no word runs out of the picture or over another


def committed_heatmaps() -> list:
    found = []
    for notebook in sorted(CHAPTERS.glob("*.ipynb")):
        for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                html = "".join(output.get("data", {}).get("text/html", ""))
                if 'class="simplellm-heatmap"' in html:
                    heatmap = from_html(html)
                    name = f"{notebook.stem[:2]}-{heatmap.state['name']}"
                    found.append(pytest.param(heatmap, id=name))
    return found


NAMES = [f"a name of {n} letters".ljust(n, "x") for n in range(40)]
HARD = {
    "long title": {"title": "A title that says a great deal " * 9, "shape": (3, 4)},
    "one long word": {"title": "x" * 200, "shape": (3, 4)},
    "dollars": {"title": "From $5 to $6 and \\frac{", "shape": (3, 4)},
    "many long names": {"shape": (40, 40), "row_labels": NAMES, "column_labels": NAMES},
    "few long names": {"shape": (12, 3), "row_labels": NAMES[28:], "column_labels": NAMES[37:]},
    "long axes": {"shape": (3, 4), "rows": "row " * 40, "columns": "column " * 40},
    "long value": {"shape": (3, 4), "value": "a value with a name " * 9, "unit": "units"},
    "many frames": {"shape": (40, 3, 4), "frames": "case", "frame_labels": NAMES},
    "one cell": {"shape": (1, 1)},
    "large": {"shape": (2000, 500)},
    "gaps": {"shape": (5, 5), "gap": True},
    "close values": {"shape": (2, 2), "offset": 1e9},
}


def hard_heatmap(shape, title="A title", gap=False, offset=0.0, **options) -> Heatmap:
    values = offset + np.arange(float(math.prod(shape))).reshape(shape)
    if gap:
        values[0, 0] = np.nan
    return Heatmap(values, title=title, name="hard", **options)


ALL = [
    *committed_heatmaps(),
    *(pytest.param(hard_heatmap(**options), id=name) for name, options in HARD.items()),
]


def corners(text: Text) -> np.ndarray:
    """The four corners of a text as it is drawn, leaning or not."""
    box = Text.get_window_extent(text)
    angle = math.radians(text.get_rotation() % 90)
    if not angle:
        return np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]])
    # A box of w by h that leans has an extent of w cos + h sin by w sin + h cos.
    cos, sin = math.cos(angle), math.sin(angle)
    w, h = np.linalg.solve([[cos, sin], [sin, cos]], [box.width, box.height])
    middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
    across, up = np.array([cos, sin]) * w / 2, np.array([-sin, cos]) * h / 2
    return middle + np.array([-across - up, across - up, across + up, -across + up])


def words_of(figure: Figure) -> list[Text]:
    """What is drawn: matplotlib also keeps labels of ticks beyond the ends of an axis."""
    found = list(figure.texts)
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        found += [axis.label, axis.offsetText]
        found += [label for tick in ticks for label in (tick.label1, tick.label2)]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two rectangles share more than an edge: no line separates them."""
    for first, second in ((a[0], a[1]), (a[1], a[2]), (b[0], b[1]), (b[1], b[2])):
        axis = np.array([first[1] - second[1], second[0] - first[0]])
        if not axis.any():
            return False
        axis = axis / np.linalg.norm(axis)
        if (a @ axis).max() <= (b @ axis).min() + 1 or (b @ axis).max() <= (a @ axis).min() + 1:
            return False
    return True


@functools.cache
def drawn(heatmap) -> Figure:
    with plots.still_style():
        figure = heatmap.figure()
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("heatmap", ALL)
def test_no_word_of_a_still_runs_out_of_it_or_over_another(heatmap) -> None:
    figure = drawn(heatmap)
    with plots.still_style():
        boxes = [(text.get_text(), corners(text)) for text in words_of(figure)]
    width, height = plots.STILL_PIXELS
    for text, box in boxes:
        assert box[:, 0].min() >= -0.5 and box[:, 0].max() <= width + 0.5, text
        assert box[:, 1].min() >= -0.5 and box[:, 1].max() <= height + 0.5, text
    over = [(a[0], b[0]) for a, b in itertools.combinations(boxes, 2) if overlap(a[1], b[1])]
    assert over == []


@pytest.mark.parametrize("heatmap", ALL)
def test_ticks_of_a_still_stand_at_whole_rows_and_columns(heatmap) -> None:
    axes = drawn(heatmap).axes[0]
    for axis, size in zip((axes.yaxis, axes.xaxis), heatmap.values().shape, strict=True):
        at = axis.get_ticklocs()
        assert len(at) and all(place == int(place) and 0 <= place < size for place in at)
        assert all(label.get_text() for label in axis.get_ticklabels())


def test_names_that_have_room_are_all_written() -> None:
    names = ["shapes", "own sentence", "distinct", "formula", "token scale", "gradient"] * 2
    figure = hard_heatmap((12, 12), row_labels=names, column_labels=names).figure()
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == names
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
