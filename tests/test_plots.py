"""The look of figures that several chapters share."""

from __future__ import annotations

import functools
import io
import itertools
import json
import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from simplellm import plots
from simplellm.heatmap import Heatmap, from_html
from simplellm.model import POSITIONS
from simplellm.palette import colors

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


def test_the_interval_of_a_curve_is_a_pale_band_of_its_colour_without_an_edge() -> None:
    axes = Figure().subplots()
    plots.curve(axes, [1, 2], [5, 6], [1, 1], "rope")
    (line,), (band,) = axes.lines, axes.collections
    assert to_hex(band.get_facecolor()[0]) == to_hex(line.get_color()) == plots.FIRST
    assert 0 < band.get_alpha() < 0.3 and band.get_linewidth() == 0
    assert line.get_marker() == "^" and 1 < line.get_linewidth() < line.get_markersize() < 5


def test_figures_of_pyplot_get_the_look_of_the_book() -> None:
    with matplotlib.rc_context():
        plots.use_style()
        axes = Figure().subplots()
        axes.set_title("A finding")
        axes.plot([1, 2])
        assert axes.get_title(loc="left") == "A finding" and not axes.spines.top.get_visible()
        assert axes.lines[0].get_color() == plots.FIRST


@pytest.mark.parametrize("diverging", [True, False])
def test_scale_runs_through_the_colours_of_the_book_with_one_in_the_middle(diverging) -> None:
    stops = colors("diverging" if diverging else "sequential")
    scale = plots.colormap(diverging)
    assert [to_hex(scale(end)) for end in (0.0, 1.0)] == [stops[0], stops[-1]]
    assert scale.N % 2 == 1
    if diverging:
        assert to_hex(scale(0.5)) == stops[len(stops) // 2]


def drawn_cells(values, limits) -> tuple:
    figure = Figure()
    axes = figure.subplots()
    plots.cells(axes, np.array(values), "row", "column", "value", limits)
    return axes, axes.images[0], figure.axes[1]


def test_cells_are_drawn_one_by_one_between_named_axes() -> None:
    axes, picture, bar = drawn_cells([[1.0, 2.0, 3.0]], (0.5, 4.0))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("column →", "← row")
    assert bar.get_ylabel() == "value" and picture.get_clim() == bar.get_ylim() == (0.5, 4.0)
    beside, between = bar.get_position(), bar.get_position().x0 - axes.get_position().x1
    assert 0 < between < 0.03 and beside.width < 0.06
    assert picture.get_interpolation() == "nearest" and axes.get_aspect() == "auto"
    assert not any(spine.get_visible() for spine in axes.spines.values())
    assert picture.get_cmap() == plots.colormap(False) and axes.patch.get_hatch() is None


@pytest.mark.parametrize(
    ("limits", "diverging"), [((-1, 1), True), ((0, 1), False), ((-1, 0), False)]
)
def test_scale_of_cells_diverges_only_around_zero(limits, diverging) -> None:
    _, picture, _ = drawn_cells([[0.5]], limits)
    assert picture.get_cmap() == plots.colormap(diverging)


def test_cell_without_a_value_is_hatched_and_the_bar_says_so() -> None:
    axes, _, bar = drawn_cells([[1.0, np.nan, 3.0]], (1.0, 3.0))
    assert bar.get_ylabel() == "value · hatched: no value" and axes.patch.get_hatch() == "////"
    assert to_hex(axes.patch.get_facecolor()) == "#ffffff"
    assert to_hex(axes.patch.get_edgecolor()) == plots.MUTED


@pytest.mark.parametrize(
    ("values", "extend"),
    [
        ([0.0 - 1 / 600, 1 + 1 / 600], "neither"),
        ([0.0 - 1 / 500, 1 + 1 / 600], "min"),
        ([0.0 - 1 / 600, 1 + 1 / 500], "max"),
        ([0.0 - 1 / 500, 1 + 1 / 500], "both"),
    ],
)
def test_bar_ends_in_a_point_where_a_value_lies_half_a_colour_beyond(values, extend) -> None:
    for start in (0.0, 2.0):
        _, _, bar = drawn_cells([[start + value for value in values]], (start, start + 1.0))
        assert bar._colorbar.extend == extend


def test_a_figure_becomes_a_small_picture_in_its_own_colours() -> None:
    with plots.still_style():
        figure = hard_heatmap((1, 2)).figure()
        png = plots.to_png(figure)
        assert plots.to_png(figure) == png
    picture = Image.open(io.BytesIO(png))
    assert (picture.format, picture.size, picture.mode) == ("PNG", plots.STILL_PIXELS, "P")
    assert 64 < len(picture.getcolors()) <= 128
    low, high = (picture.convert("RGB").getpixel((x, 150)) for x in (150, 400))
    for seen, meant in ((low, colors("sequential")[0]), (high, colors("sequential")[-1])):
        assert np.abs(np.array(seen) - [int(meant[i : i + 2], 16) for i in (1, 3, 5)]).max() < 8


def test_title_and_note_begin_at_the_left_edge_in_their_inks() -> None:
    with plots.still_style():
        figure = hard_heatmap((3, 1, 2), frames="case").figure()
    (title, note), (width, height) = figure.texts, plots.STILL_PIXELS
    for text, ink, size in ((title, plots.INK, 11), (note, plots.MUTED, 8.5)):
        assert text.get_position()[0] == 8 / width and text.get_verticalalignment() == "top"
        assert (text.get_color(), text.get_fontsize()) == (ink, size)
    assert title.get_position()[1] == 1 - 6 / height
    assert 11 < (title.get_position()[1] - note.get_position()[1]) * height < 22


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [
        ("one two three", 2, ["one two", "three"]),
        ("one two three four five six", 2, ["one two", "three…"]),
        ("one two three four five six", 3, ["one two", "three", "four fi…"]),
        ("one two three", 1, ["one t…"]),
        ("one incomprehensible", 1, ["one in…"]),
        ("incomprehensible", 3, ["incom…"]),
        ("", 3, []),
    ],
)
def test_text_wraps_into_lines_and_is_cut_where_there_are_too_many(text, most, lines) -> None:
    wrapped = plots._wrapped(text, 60, 10, most)
    assert wrapped == lines
    assert all(plots._text_width(line, 10) <= 60 for line in wrapped)


def test_a_text_that_just_fits_is_left_whole() -> None:
    width = plots._text_width("one two", 10)
    assert plots._clipped("one two", width) == "one two"
    assert plots._wrapped("one two three", width, 10, 2) == ["one two", "three"]
    assert plots._clipped("one two three", plots._text_width("one two…", 10)) == "one two…"
    assert plots._clipped("one two", 0) == "…"


def test_names_with_exactly_their_room_have_room() -> None:
    assert plots._have_room([0, 2], [10.0, 99.0, 14.0], 6.0)
    assert not plots._have_room([0, 2], [10.0, 99.0, 14.0], 5.9)
    assert plots._have_room([1], [10.0, 99.0], 1.0)


def test_a_still_is_made_where_a_dollar_is_a_dollar() -> None:
    with plots.still_style():
        look = plots.matplotlib.rcParams
        assert look["text.parse_math"] is False and look["axes.titlesize"] == 11
        assert look["axes.titlelocation"] == "left"


def test_small_whole_numbers_have_an_interval_too() -> None:
    axes = Figure().subplots()
    counts = np.array([1, 250], dtype=np.uint8), np.array([2, 10], dtype=np.uint8)
    plots.curve(axes, [0, 1], *counts, "a name of no scheme")
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (-1, 260)
    assert (axes.lines[0].get_linewidth(), axes.lines[0].get_markersize()) == (1.4, 4.5)


def test_width_of_a_text_grows_with_its_size_and_a_dollar_is_a_letter() -> None:
    (line,) = plots._wrapped("one two three", 60, 20, 1)
    assert plots._text_width(line, 10) < 60 / 1.5 < plots._text_width(line, 20) <= 60
    assert plots._text_width("$5 to $6", 10) > plots._text_width("5 to 6", 10)


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
        ([str(p) for p in range(30)], ["0", "5", "10", "15", "20", "25"]),
        (["7"], ["7"]),
        (list("abcdefghijkl"), ["a", "c", "e", "g", "i", "k"]),
    ],
    ids=lambda words: words[0],
)
def test_where_few_labels_have_room_the_round_ones_are_written(
    labels: list[str], written: list[str]
) -> None:
    assert [labels[i] for i in plots.ticks(labels, 7)] == written


def test_the_still_of_a_lab_is_the_drawn_figure() -> None:
    shown = (np.array([[1.0, 2.0]]), "A title", "row", "column", "value", (1.0, 2.0))
    names = {"row_labels": ["only"], "column_labels": ["left", "right"], "note": "A note."}
    for options in ({}, names):
        with plots.still_style():
            drawn_again = plots.to_png(plots.still_figure(*shown, **options))
        assert plots.still(*shown, **options) == drawn_again
    assert plots.still(*shown) != drawn_again


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
    for axes in figure.axes:
        found += [child for child in axes.get_children() if isinstance(child, Text)]
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


# ---- stills: which names are written, and how


def names_of(n: int) -> list[str]:
    """So many different names, each too wide for a column."""
    return [f"namenamen{i:03}" for i in range(n)]


def axes_of(rows: int, columns: int, row_labels=None, column_labels=None):
    names = {"row_labels": row_labels, "column_labels": column_labels}
    figure = drawn(hard_heatmap((rows, columns), **names))
    return figure.axes[0]


def written(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def sizes(axis) -> set[float]:
    return {label.get_fontsize() for label in axis.get_ticklabels()}


@pytest.mark.parametrize(
    ("n", "size", "step"), [(18, 10, 1), (19, 7.5, 1), (25, 7.5, 1), (26, 10, 2), (40, 10, 3)]
)
def test_names_of_rows_shrink_before_every_second_is_left_out(n, size, step) -> None:
    names = names_of(n)
    axis = axes_of(n, 4, row_labels=names).yaxis
    assert written(axis) == names[::step] and sizes(axis) == {size}
    assert axis.get_ticklocs().tolist() == list(range(0, n, step))


def test_names_of_rows_shrink_where_leaning_names_of_columns_take_their_room() -> None:
    names = names_of(15)
    assert sizes(axes_of(15, 8, names, ["a"] * 8).yaxis) == {10}
    axes = axes_of(15, 8, names, names_of(8))
    assert written(axes.yaxis) == names and sizes(axes.yaxis) == {7.5}


@pytest.mark.parametrize("n", [12, 13, 60, 500])
def test_rows_without_names_are_numbered_at_round_places_twelve_at_most(n) -> None:
    axis = axes_of(n, 4).yaxis
    step = {12: 1, 13: 2, 60: 5, 500: 50}[n]
    assert written(axis) == [str(i) for i in range(0, n, step)] and sizes(axis) == {10}


@pytest.mark.parametrize("n", [16, 17, 60, 500])
def test_columns_without_names_are_numbered_at_round_places_sixteen_at_most(n) -> None:
    axis = axes_of(4, n).xaxis
    step = {16: 1, 17: 2, 60: 5, 500: 50}[n]
    assert written(axis) == [str(i) for i in range(0, n, step)]
    assert axis.get_ticklocs().tolist() == list(range(0, n, step))


@pytest.mark.parametrize("n", [5, 20, 30])
def test_wide_names_of_columns_lean_and_end_at_their_columns(n) -> None:
    names = names_of(n)
    axis = axes_of(3, n, column_labels=names).xaxis
    assert written(axis) == names and axis.get_ticklocs().tolist() == list(range(n))
    for label in axis.get_ticklabels():
        assert label.get_rotation() == 40 and label.get_rotation_mode() == "anchor"
        assert label.get_horizontalalignment() == "right"


@pytest.mark.parametrize(
    "names",
    [names_of(4), names_of(34), names_of(60), ["ab"] * 60, list("abcdefghij") * 20],
    ids=["few", "many", "more", "short", "letters"],
)
def test_upright_names_of_columns_leave_a_gap_and_no_more_would_have_room(names) -> None:
    axes = axes_of(3, len(names), column_labels=names)
    at = axes.xaxis.get_ticklocs().tolist()
    pitch = axes.get_window_extent().width / len(names)
    widths = [plots._text_width(name, 10) for name in names]

    def gaps(step: int) -> list[float]:
        pairs = itertools.pairwise(range(0, len(names), step))
        return [step * pitch - (widths[i] + widths[j]) / 2 for i, j in pairs]

    step = int(at[1])
    assert at == list(range(0, len(names), step)) and written(axes.xaxis) == names[::step]
    assert not any(label.get_rotation() for label in axes.xaxis.get_ticklabels())
    assert min(gaps(step)) >= 10 and len(at) <= 60
    if step > 1:
        # The picture is a little wider or narrower once its names stand.
        closer = range(0, len(names), step - 1)
        assert min(gaps(step - 1)) < 10 + step / 2 or len(closer) > 60


def test_a_name_too_long_for_the_margin_is_cut_and_says_so() -> None:
    axes = axes_of(3, 3, ["y" * 60] * 3, ["z" * 60] * 3)
    for axis, letter in ((axes.yaxis, "y"), (axes.xaxis, "z")):
        for label in written(axis):
            assert set(label[:-1]) == {letter} and label.endswith("…")
            longer = label[:-1] + letter + "…"
            assert plots._text_width(label, 10) <= 130 < plots._text_width(longer, 10)
