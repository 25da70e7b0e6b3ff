"""The heatmap in a real browser: exact numbers, and controls that do what they say.

Each test opens a page that holds one heatmap and nothing else, from the disk, so that what is
tested is the output of one notebook cell.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
import xml.etree.ElementTree as ET
from functools import cache

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from simplellm import InputEmbedding
from simplellm.heatmap import EncodingExplorer, Heatmap, SentenceExplorer, code
from simplellm.heatmap.code import stylesheet

FRAMES = np.random.default_rng(0).normal(size=(3, 5, 4)) * 100

pytestmark = pytest.mark.browser


def encoding() -> EncodingExplorer:
    return EncodingExplorer(d_model=64, positions=128, row=37, column=20)


def frames() -> Heatmap:
    return Heatmap(
        FRAMES,
        title="Random numbers",
        name="grid",
        rows="head",
        columns="step",
        frames="layer",
        frame_labels=["first", "second", "third"],
        row_labels=["a", "b", "c", "d", "e"],
        row=1,
        column=2,
    )


def layer() -> InputEmbedding:
    torch.manual_seed(0)
    return InputEmbedding(259, 16, 24, 0.1).eval()


def sentence() -> SentenceExplorer:
    return SentenceExplorer(layer(), "the dog bites a man")


KINDS = {"encoding": encoding, "grid": frames, "sentence": sentence}


@cache
def page_part(kind: str) -> str:
    """What a cell puts out for one kind: drawn once, for it is the same in every test."""
    return KINDS[kind]().html()


class Live:
    """One heatmap on a page of its own, and short ways to ask it."""

    def __init__(self, page, root="simplellm-heatmap"):
        self.page = page
        self.root = page.locator(f".{root}")
        self.canvas = self.root.locator("canvas")

    def call(self, expression: str):
        """Evaluate a JavaScript expression in which `h` is the heatmap and `root` its element."""
        return self.root.evaluate(f"root => {{ const h = root.heatmap; return {expression}; }}")

    @property
    def state(self) -> dict:
        return self.call("h.state()")

    @property
    def readout(self) -> str:
        return self.root.locator(".readout").inner_text()

    @property
    def message(self) -> str:
        return self.root.locator(".message").inner_text()

    def picture(self) -> str:
        return self.call("h.canvas.toDataURL()")

    def values(self) -> np.ndarray:
        rows, columns = self.call("h.source.shape")
        return self.numbers(
            f"Array.from({{length: {rows * columns}}},"
            f" (_, i) => h.value(Math.floor(i / {columns}), i % {columns}))"
        )

    def painted(self) -> np.ndarray:
        """The numbers that were turned into colours."""
        return self.numbers("h.paint.numbers")

    def numbers(self, expression: str) -> np.ndarray:
        """A list of numbers, row by row, as a table: one text, for many numbers come slowly."""
        text = self.call(f"Array.from({expression}).join(' ')")
        return np.array(text.split(), dtype=float).reshape(self.call("h.source.shape"))

    def slide(self, name: str, value) -> None:
        """Set a control to a value and tell it, as a hand on the slider would."""
        self.root.locator(f"[name={name}]").evaluate(
            "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }",
            value,
        )

    def point(self, right: float, down: float, box: str = "cells") -> tuple[float, float]:
        """Where on the page a share of one of the plots is."""
        self.canvas.scroll_into_view_if_needed()
        b, frame = self.call(f"h.boxes.{box}"), self.canvas.bounding_box()
        return frame["x"] + b["x"] + right * b["w"], frame["y"] + b["y"] + down * b["h"]


@pytest.fixture
def show(new_page, tmp_path):
    """`show("grid", theme="dark")` or `show(heatmap)`: the heatmap, live, on a page of its own."""

    def open_page(heatmap="encoding", theme="light", address="", edit=lambda html: html, **options):
        html = page_part(heatmap) if isinstance(heatmap, str) else heatmap.html()
        file = tmp_path / "page.html"
        file.write_text(
            f'<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>One heatmap</title>'
            f"<body><main><h1>One heatmap</h1>{edit(html)}</main>",
            encoding="utf-8",
        )
        page = new_page(theme=theme, **options)
        page.goto(file.as_uri() + address)
        return Live(page)

    return open_page


# ---- exact


@pytest.mark.parametrize("columns", ["interleaved", "halves"])
@pytest.mark.parametrize(
    ("d_model", "positions", "base"), [(4, 16, 10_000), (64, 300, 100), (512, 512, 10_000)]
)
def test_browser_computes_the_package_s_numbers(show, d_model, positions, base, columns):
    live = show(encoding())
    live.call(f"h.set({dict(d_model=d_model, positions=positions, base=base, columns=columns)})")
    exact = EncodingExplorer(d_model, positions, base, columns).values()
    assert np.abs(live.values() - exact).max() < 1e-6
    assert np.abs(live.painted() - exact).max() < 1e-6


def test_longest_table_is_exact_to_its_last_row(show):
    live = show(EncodingExplorer(d_model=8, positions=2048))
    assert (
        np.abs(live.painted() - EncodingExplorer(d_model=8, positions=2048).values()).max() < 1e-6
    )


def test_given_numbers_arrive_at_full_precision_in_every_frame(show):
    live = show("grid")
    for frame in range(3):
        live.slide("frame", frame)
        assert np.abs(live.values() - FRAMES[frame]).max() < 1e-6
        assert np.abs(live.painted() - FRAMES[frame]).max() < 1e-4  # colours need no more


def test_typed_sentence_is_what_the_layer_gives(show):
    live, text = show("sentence"), "Maß 5 €"
    live.root.get_by_label("your sentence", exact=True).fill(text)
    ids = torch.tensor([[1, *(byte + 3 for byte in text.encode()), 2]])
    expected = layer()(ids)[0].detach().numpy()
    assert np.abs(live.values() - expected).max() < 1e-6
    live.slide("frame", 0)
    tokens = layer().token_embedding(ids)[0].detach().numpy()
    assert np.abs(live.values() - tokens).max() < 1e-6


def test_sentence_without_room_says_what_it_leaves_out(show):
    live = show("sentence")
    live.root.get_by_label("your sentence", exact=True).fill("x" * 30)
    assert live.state["rows"] == 24
    assert "8 bytes at the end" in live.root.locator(".summary").inner_text()


def test_readout_names_position_column_pair_wavelength_and_value(show):
    assert show("encoding").readout == (
        "position 37 · column 20 (sine of pair 10) · wavelength 111.7 positions · value +0.873"
    )


CLOSE = {
    "billions": 1e9 + np.arange(4.0),
    "minus billions": -1e9 - np.arange(4.0),
    "about one": 1 + 1e-8 * np.arange(4),
    "tiny": 1e-140 * np.arange(4),
}


@pytest.mark.parametrize("values", CLOSE.values(), ids=CLOSE)
def test_values_that_lie_close_together_are_told_apart(show, values):
    live = show(Heatmap(values[None], title="Close", name="close"))
    assert live.values().tolist() == [values.tolist()]
    said = set()
    for column in range(4):
        live.call(f"h.set({{column: {column}}})")
        said.add(live.readout.split("value ")[1])
    assert len(said) == 4
    drawn = live.call("Array.from(new Uint32Array(h.paint.pixels.data.buffer))")
    assert len(set(drawn)) == 4


MASKED = np.ma.array([[1.0, 999.0, 3.0], [4.0, 5.0, 6.0]], mask=[[0, 1, 0], [0, 0, 0]])


def test_what_is_masked_has_no_value_anywhere(show):
    live = show(Heatmap(MASKED, title="Gaps", name="gaps", column=1))
    assert live.readout == "row 0 · column 1 · value no value"
    assert live.call("h.paint.pixels.data[4 + 3]") == 0  # clear: the hatching shows through
    assert live.call("h.paint.pixels.data[3]") == 255
    assert "value: 1.00 to 6.00" in live.root.locator(".summary").inner_text()
    assert "1 cell without a value" in live.root.locator(".summary").inner_text()
    live.call("h.set({pin: 1})")
    assert "where both have a value (2 of 3), distance 4.24" in live.readout  # √(3² + 3²)
    rows = list(csv.reader(io.StringIO(saved(live, "CSV").decode())))
    assert rows[1] == ["0", "1", "", "3"]
    assert b"NaN" not in saved(live, "SVG")
    live.root.get_by_role("button", name="Table").click()
    assert live.root.locator("td[aria-current]").inner_text() == "no value"


def test_curves_of_values_beyond_the_scale_stay_in_their_frames(show):
    values = [[-3.0, 0.5, 9.0], [0.2, 0.1, -0.4]]
    live = show(Heatmap(values, title="Far", name="far", limits=(-1, 1), row=0, column=2))
    drawn = ET.fromstring(saved(live, "SVG"))
    lines = [line.get("points") for line in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    points = [[tuple(map(float, xy.split(","))) for xy in line.split()] for line in lines]
    flat = [line for line in points if len(line) == 2 and line[0][1] == line[1][1]]  # of the axis
    levels = {line[0][1] for line in flat}
    curves = [line for line in points if len(line) == 3]  # along the row
    assert curves
    for curve in curves:
        heights = [y for _, y in curve]
        assert min(levels) <= min(heights) and max(heights) <= max(levels)
        assert min(heights) in levels and max(heights) in levels  # at the edge, and not left out


@pytest.mark.parametrize(
    ("limits", "ends"),
    [
        (None, ["−3.00", "+3.00"]),
        ((-1, 1), ["≤ −1.00", "≥ +1.00"]),
        ((-2, 2), ["−2.00", "≥ +2.00"]),
        ((-3, 3), ["−3.00", "+3.00"]),
    ],
)
def test_legend_marks_the_ends_that_values_lie_beyond(show, limits, ends):
    live = show(Heatmap([[-1.5, 0.1, 3.0]], title="Ends", name="ends", limits=limits))
    words = list(ET.fromstring(saved(live, "SVG")).itertext())
    assert set(ends) <= {*words}
    assert sum(word.startswith(("≤", "≥")) for word in words) == sum(e[0] in "≤≥" for e in ends)


def test_numbers_in_cells_do_not_run_into_each_other(show):
    numbers = [[123456.7, 1234567.8, -9999999.1] * 5] * 3
    live = show(Heatmap(numbers, title="Long numbers", name="long"))
    words = list(ET.fromstring(saved(live, "SVG")).itertext())
    assert not [word for word in words if word in ("123456.7", "1234567.8")]


# ---- every control changes what is shown


@pytest.mark.parametrize(
    ("kind", "name", "value", "key", "expected"),
    [
        ("encoding", "d_model", "128", "d_model", 128),
        ("encoding", "positions", "200", "positions", 200),
        ("encoding", "base", "0", "base", 10),
        ("encoding", "columns", "halves", "columns", "halves"),
        ("encoding", "zoom", "4", "zoom", 4),
        ("grid", "frame", "2", "frame", 2),
        ("grid", "goto-head", "4", "row", 4),
        ("grid", "goto-step", "3", "column", 3),
        ("sentence", "frame", "0", "frame", 0),
        ("sentence", "text", "man bites dog", "text", "man bites dog"),
        ("sentence", "zoom", "2", "zoom", 2),
    ],
)
def test_control_changes_state_and_picture(show, kind, name, value, key, expected):
    live = show(kind)
    before = live.picture()
    if name.startswith("goto-") and live.root.locator(f"input[name={name}]").count():
        live.root.locator(f"[name={name}]").fill(value)
        live.page.keyboard.press("Enter")
    else:
        live.slide(name, value)
    assert live.state[key] == expected
    assert live.picture() != before


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_is_tried_above_or_below(show, kind):
    tried = {
        "encoding": "d_model positions base columns zoom goto-position goto-column goto-pair "
        "goto-wavelength",
        "grid": "frame goto-head goto-step",
        "sentence": "text frame zoom goto-position goto-column",
    }[kind]
    live = show(kind)
    names = live.root.locator("input, select").evaluate_all("all => all.map(e => e.name)")
    assert sorted(names) == sorted(tried.split())
    buttons = set(live.root.locator("button").all_inner_texts())
    assert buttons <= {
        "Pin position",
        "Pin head",
        "Play",
        "Copy link",
        "Table",
        "PNG",
        "SVG",
        "CSV",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_has_a_name_that_can_be_spoken(show, kind):
    controls = show(kind).root.locator("input, select").all()
    assert controls
    for control in controls:
        assert control.evaluate("c => c.labels.length === 1 && c.labels[0].innerText.trim() !== ''")


def test_change_of_width_keeps_the_pair_and_half_under_the_cursor(show):
    live = show("encoding")
    for name, value, column in [("columns", "halves", 10), ("d_model", "16", 7)]:
        live.slide(name, value)
        assert live.state["column"] == column  # pair 10, then the last pair there is
        assert "sine of pair" in live.readout


@pytest.mark.parametrize(
    ("field", "value", "cell"),
    [
        ("position", "100", {"row": 100, "column": 20}),
        ("column", "63", {"row": 37, "column": 63}),
        ("pair", "3", {"row": 37, "column": 6}),
        ("wavelength", "100", {"row": 37, "column": 20}),  # 111.7 is nearer than 83.8
        ("wavelength", "6.283", {"row": 37, "column": 0}),
    ],
)
def test_go_to_moves_the_cursor(show, field, value, cell):
    live = show("encoding")
    live.root.locator(f"[name=goto-{field}]").fill(value)
    live.page.keyboard.press("Enter")
    assert {key: live.state[key] for key in cell} == cell


def test_go_to_past_the_last_position_lengthens_the_table(show):
    live = show("encoding")
    field = live.root.locator("[name=goto-position]")
    field.fill("1004")
    field.press("Enter")
    assert live.message == "The table now has 1,005 positions."
    assert (live.state["row"], live.state["rows"]) == (1004, 1005)
    field.fill("7")
    field.press("Enter")
    assert (live.state["row"], live.state["rows"]) == (7, 1005)


def test_go_to_outside_says_the_limits(show):
    live = show("encoding")
    live.root.locator("[name=goto-position]").fill("5000")
    live.page.keyboard.press("Enter")
    assert live.message == "position runs from 0 to 2,047; 5,000 is not in it, so this is 2,047."
    assert live.state["row"] == 2047
    live.root.locator("[name=goto-column]").fill("64")
    live.page.keyboard.press("Enter")
    assert live.message == "column runs from 0 to 63; 64 is not in it, so this is 63."
    live.root.locator("[name=goto-wavelength]").fill("1")
    live.page.keyboard.press("Enter")
    assert "wavelength runs from 6.283 to 47,117" in live.message


def test_go_to_a_wavelength_says_which_is_nearest(show):
    live = show("encoding")
    live.root.locator("[name=goto-wavelength]").fill("100")
    live.page.keyboard.press("Enter")
    assert live.message == "The wavelength nearest to 100.0 is 111.7 positions."


def test_enter_goes_to_the_same_place_again(show):
    live = show("encoding")
    field = live.root.locator("[name=goto-position]")
    field.fill("5")
    field.press("Enter")
    live.canvas.press("Control+End")
    field.press("Enter")
    assert live.state["row"] == 5


def test_pin_compares_two_positions(show):
    live = show("encoding")
    live.root.get_by_role("button", name="Pin position").click()
    live.root.locator("[name=goto-position]").fill("40")
    live.page.keyboard.press("Enter")
    a, b = encoding().values()[[40, 37]]
    said = live.readout
    assert "against pinned position 37: offset +3," in said
    assert f"distance {np.linalg.norm(a - b):.2f}" in said
    assert f"dot product +{a @ b:.2f}" in said
    assert f"hands {np.degrees(3 * 10_000 ** (-20 / 64)):.2f}° apart" in said
    assert f"cosine +{a @ b / 32:.3f}" in said
    live.root.get_by_role("button", name="Unpin").click()
    assert "pinned" not in live.readout


def test_named_rows_are_compared_by_value_only(show):
    live = show("grid")
    live.root.get_by_role("button", name="Pin head").click()
    live.slide("goto-head", "3")
    said = live.readout.replace("−", "-")
    a, b = FRAMES[0][3, 2], FRAMES[0][1, 2]
    assert said.endswith(f"against pinned head b: {b:+.3g} there, difference {a - b:+.3g}")


@pytest.mark.parametrize(("kind", "key"), [("encoding", "row"), ("grid", "frame")])
def test_play_walks_and_pause_stops(show, kind, key):
    live = show(kind)
    live.page.clock.install()  # the page's time is what the test says, on a busy machine too
    live.page.clock.pause_at(time.time() + 3600)
    before = live.state[key]
    live.root.get_by_role("button", name="Play").click()
    live.page.clock.run_for(200)
    assert live.state[key] == before + 1
    live.root.get_by_role("button", name="Pause").click()
    live.page.clock.run_for(2000)
    assert live.state[key] == before + 1


def test_play_is_slower_where_less_motion_is_asked_for(show):
    live = show("encoding", reduced_motion="reduce")
    live.page.clock.install()
    live.page.clock.pause_at(time.time() + 3600)
    live.root.get_by_role("button", name="Play").click()
    live.page.clock.run_for(500)  # four steps at the usual pace
    assert live.state["row"] == 37
    live.page.clock.run_for(500)
    assert live.state["row"] == 38


def test_table_holds_the_values_around_the_cursor(show):
    live = show("grid")
    button = live.root.get_by_role("button", name="Table")
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    current = live.root.locator("td[aria-current]")
    assert current.inner_text().replace("−", "-") == f"{FRAMES[0][1, 2]:+.3g}"
    live.slide("frame", 1)
    assert current.inner_text().replace("−", "-") == f"{FRAMES[1][1, 2]:+.3g}"
    button.click()
    assert not live.root.locator("table").is_visible()


# ---- taking it away


def saved(live: Live, name: str) -> bytes:
    with live.page.expect_download() as download:
        live.root.get_by_role("button", name=name).click()
    assert download.value.suggested_filename.endswith(f".{name.lower()}")
    with open(download.value.path(), "rb") as file:
        return file.read()


def test_csv_holds_every_value_at_full_precision(show):
    rows = list(csv.reader(io.StringIO(saved(show("encoding"), "CSV").decode())))
    values = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    assert np.abs(values - encoding().values()).max() < 1e-12


def test_png_is_the_canvas(show):
    live = show("encoding")
    picture = Image.open(io.BytesIO(saved(live, "PNG")))
    assert list(picture.size) == live.call("[h.canvas.width, h.canvas.height]")


def test_svg_is_well_formed_and_names_its_axes(show):
    root = ET.fromstring(saved(show("encoding"), "SVG"))
    words = " ".join(root.itertext())
    assert all(word in words for word in ("position", "column", "pair 10 (0 to 31)"))
    (cells, _legend) = root.findall("{http://www.w3.org/2000/svg}image")
    assert cells.get("href").startswith("data:image/png;base64,")


def test_labels_that_count_from_another_number_are_written_at_round_ones(show):
    places = [str(p) for p in range(-32, 32)]
    live = show(
        Heatmap(np.eye(64), title="Around 0", name="around", rows="p", columns="q", value="same",
                row_labels=places, column_labels=places)
    )  # fmt: skip
    words = ET.fromstring(saved(live, "SVG")).itertext()
    written = [int(word) for word in words if re.fullmatch(r"-?\d+", word)]
    assert {-30, -20, -10, 0, 10, 20, 30} <= set(written)
    assert not {-27, -22, 8} & set(written)  # the panels also write their ends


def test_labels_that_count_between_whole_numbers_are_written_as_they_are(show):
    halves = [str(i + 0.5) for i in range(64)]
    live = show(
        Heatmap(np.eye(64), title="Halves", name="halves", rows="p", columns="q", value="same",
                row_labels=halves, column_labels=halves)
    )  # fmt: skip
    assert {"10.5", "20.5"} <= set(ET.fromstring(saved(live, "SVG")).itertext())


# ---- linkable


def test_link_restores_exactly_this_view(show):
    live = show("encoding", permissions=["clipboard-read", "clipboard-write"])
    live.call(
        "h.set({d_model: 32, positions: 77, base: 500, columns: 'halves', row: 5, column: 9,"
        " zoom: 2, pin: 3})"
    )
    live.root.get_by_role("button", name="Copy link").click()
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap .message').textContent !== ''"
    )
    address = live.page.evaluate("location.hash")
    again = show("encoding", address=address)
    assert again.state == live.state
    assert again.picture() == live.picture()


def test_link_shows_the_same_view_whatever_was_done_before(show):
    live = show("encoding")
    live.page.evaluate(
        """() => document.querySelector('h1').insertAdjacentHTML(
            'afterend', '<a href="#heatmap-explorer?base=100&row=3">a view</a>')"""
    )
    link = live.page.get_by_role("link", name="a view")
    link.click()
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').heatmap.state().base === 100"
    )
    first = live.state
    live.call("h.set({pin: 7, zoom: 4, d_model: 8, base: 10, row: 50})")
    live.root.get_by_role("button", name="Play").click()
    link.click()  # the address does not change
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').heatmap.state().base === 100"
    )
    assert live.state == first
    assert live.root.get_by_role("button", name="Play").count() == 1  # stopped


def test_link_restores_a_window_that_was_moved(show):
    live = show("encoding", address="#heatmap-explorer?zoom=8&row=64&column=32")
    for _ in range(20):
        live.canvas.press("ArrowDown")
    address = "#heatmap-explorer?" + live.call(
        "new URLSearchParams(Object.entries(h.state()).filter(([, v]) => v !== null)).toString()"
    )
    again = show("encoding", address=address)
    assert again.picture() == live.picture()


def test_question_mark_in_a_sentence_survives_a_link(show):
    assert show("sentence", address="#heatmap-sentence?text=Who?").state["text"] == "Who?"


def test_link_carries_a_sentence(show):
    live = show("sentence", address="#heatmap-sentence?text=a%20%26%20%C3%9F%3F&frame=0")
    assert live.state["text"] == "a & ß?"
    assert live.state["frame"] == 0


def test_link_within_the_page_moves_a_live_heatmap(show):
    live = show("encoding")
    live.page.evaluate("location.hash = '#heatmap-explorer?row=3&column=4&d_model=16'")
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').heatmap.state().d_model === 16"
    )
    assert (live.state["row"], live.state["column"]) == (3, 4)


@pytest.mark.parametrize(
    "query", ["d_model=7", "d_model=1e9", "columns=zigzag", "base=-3", "positions=0.5"]
)
def test_broken_link_says_so_and_shows_the_page_as_it_was(show, query):
    live = show("encoding", address=f"#heatmap-explorer?{query}")
    assert "could not be read" in live.message
    assert live.state["d_model"] == 64
    assert live.readout.startswith("position 37 · column 20")


def test_link_out_of_range_is_brought_into_it(show):
    live = show("encoding", address="#heatmap-explorer?row=9999&column=-4&zoom=3&frame=2&x=y")
    assert (live.state["row"], live.state["column"], live.state["zoom"]) == (127, 0, 1)


GROWS = """<p id="above">above</p><script>
    window.grow = (pixels) => { document.getElementById('above').style.height = `${pixels}px`; };
    document.documentElement.style.scrollPaddingTop = '64px';
</script>"""
TOP = "root.getBoundingClientRect().top"


def between(html: str) -> str:
    return GROWS + "<p>words</p>" * 40 + html + "<p>words</p>" * 60


def settled(live: Live) -> None:
    live.page.evaluate("() => new Promise(f => requestAnimationFrame(() => setTimeout(f, 50)))")


@pytest.mark.parametrize("width", [360, 1280])
def test_link_lands_at_the_heatmap(show, width):
    live = show("encoding", address="#heatmap-explorer?row=3", edit=between, width=width)
    settled(live)
    assert abs(live.call(TOP) - 64) <= 5


def test_link_stays_at_the_heatmap_while_the_page_above_it_grows(show):
    live = show("encoding", address="#heatmap-explorer?row=3", edit=between)
    for height in (700, 40):
        live.page.evaluate(f"grow({height})")
        settled(live)
        assert abs(live.call(TOP) - 64) <= 5
    live.page.mouse.wheel(0, -150)  # from now on the reader says where the page stands
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').getBoundingClientRect().top > 150"
    )
    live.page.evaluate("document.body.append(document.createElement('hr'))")
    settled(live)
    assert live.call(TOP) > 150


def test_link_opens_the_fold_in_which_the_heatmap_stands(show):
    def folded(html):
        return f"{GROWS}<details><summary>more</summary>{between(html)}</details>"

    live = show("encoding", address="#heatmap-explorer?row=3", edit=folded)
    settled(live)
    assert abs(live.call(TOP) - 64) <= 5


# ---- mounted when it comes near


def far_apart(html: str) -> str:
    """The heatmap, and another one below some screens of words."""
    words = "<p>words</p>" * 150
    far = Heatmap(np.eye(2), title="Far down", name="far").html()
    return GROWS + html + words + far + words


def mounted(page) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('.simplellm-heatmap[data-live]')].map(r => r.id)"
    )


FAR = "document.getElementById('heatmap-far')"


def test_a_heatmap_far_down_keeps_its_still_until_it_comes_near(show):
    page = show("encoding", edit=far_apart).page
    settled(Live(page))
    assert mounted(page) == ["heatmap-explorer"]
    assert page.evaluate(f"{FAR}.querySelector('img').checkVisibility()")
    top = page.evaluate(f"{FAR}.getBoundingClientRect().top")
    assert top > 3 * 900
    page.evaluate(f"scrollTo(0, {top - 2.5 * 900})")  # a screen and a half below the window
    settled(Live(page))
    assert mounted(page) == ["heatmap-explorer"]
    page.evaluate(f"scrollTo(0, {top - 1.5 * 900})")
    page.wait_for_function(f"() => {FAR}.dataset.live === ''")


def test_what_is_read_stays_where_it_is_when_a_heatmap_above_is_mounted(show):
    page = show("encoding", edit=far_apart).page
    # Past it in one jump, and then back until it is near, above the window.
    bottom = page.evaluate(f"{FAR}.getBoundingClientRect().bottom")
    page.evaluate(f"scrollTo(0, {bottom + 2500})")
    settled(Live(page))
    assert mounted(page) == ["heatmap-explorer"]
    page.evaluate(f"scrollTo(0, {bottom + 500})")
    last = "document.querySelector('main > p:last-child').getBoundingClientRect().top"
    before = page.evaluate(last)
    page.wait_for_function(f"() => {FAR}.dataset.live === ''")
    settled(Live(page))
    assert page.evaluate(last) == pytest.approx(before, abs=2)


@pytest.mark.parametrize("when", ["at first", "later"])
def test_a_link_to_a_heatmap_far_down_mounts_it_and_lands_there(show, when):
    link = "#heatmap-far?row=1&column=1"
    page = show("encoding", edit=far_apart, address=link if when == "at first" else "").page
    if when == "later":
        page.evaluate(f"() => {{ location.hash = '{link}'; }}")
    page.wait_for_function(f"() => {FAR}.heatmap?.state().row === 1")
    settled(Live(page))
    assert abs(page.evaluate(f"{FAR}.getBoundingClientRect().top") - 64) <= 5


# ---- mouse, touch, keyboard


def test_hover_reads_and_leaving_restores(show):
    live = show("encoding")
    live.page.mouse.move(*live.point(0.5 / 64, 10.5 / 128))
    assert live.readout.startswith("position 10 · column 0 ")
    live.page.mouse.move(0, 0)
    assert live.readout.startswith("position 37 · column 20 ")


def test_click_puts_the_cursor(show):
    live = show("encoding")
    live.page.mouse.click(*live.point(63.5 / 64, 127.5 / 128))
    live.page.mouse.move(0, 0)
    assert (live.state["row"], live.state["column"]) == (127, 63)


@pytest.mark.parametrize(("box", "key"), [("row", "column"), ("column", "row")])
def test_click_on_a_curve_moves_the_linked_cursor(show, box, key):
    live = show("encoding")
    live.page.mouse.click(*live.point(0.999, 0.5, box))
    live.page.mouse.move(0, 0)
    assert live.state[key] == {"column": 63, "row": 127}[key]


def test_tap_reads(show):
    live = show("encoding", has_touch=True, width=360)
    live.page.touchscreen.tap(*live.point(0.5 / 64, 0.5 / 128))
    assert live.readout.startswith("position 0 · column 0 ")


def test_drag_moves_the_cursor_along(show):
    live = show("encoding")
    live.page.mouse.move(*live.point(0.1, 0.1))
    live.page.mouse.down()
    live.page.mouse.move(*live.point(0.999, 0.999), steps=3)
    live.page.mouse.up()
    assert (live.state["row"], live.state["column"]) == (127, 63)


@pytest.mark.parametrize(
    ("key", "row", "column"),
    [
        ("ArrowDown", 38, 20),
        ("ArrowUp", 36, 20),
        ("ArrowLeft", 37, 19),
        ("ArrowRight", 37, 21),
        ("Shift+ArrowDown", 47, 20),
        ("Shift+ArrowRight", 37, 30),
        ("PageDown", 47, 20),
        ("PageUp", 27, 20),
        ("Home", 37, 0),
        ("End", 37, 63),
        ("Control+Home", 0, 20),
        ("Control+End", 127, 20),
    ],
)
def test_key_moves_the_cursor(show, key, row, column):
    live = show("encoding")
    live.canvas.press(key)
    assert (live.state["row"], live.state["column"]) == (row, column)
    assert live.readout.startswith(f"position {row} · column {column} ")


def test_keys_pin_and_zoom(show):
    live = show("encoding")
    live.canvas.press("p")
    assert live.state["pin"] == 37
    live.canvas.press("+")
    live.canvas.press("+")
    assert live.state["zoom"] == 4
    live.canvas.press("-")
    assert live.state["zoom"] == 2


def test_cursor_stops_at_the_edges(show):
    live = show("encoding")
    for key in ("Control+Home", "ArrowUp", "Home", "ArrowLeft"):
        live.canvas.press(key)
    assert (live.state["row"], live.state["column"]) == (0, 0)


def test_keys_do_not_reach_the_notebook(show):
    live = show("encoding")
    live.page.evaluate(
        """() => {
            window.leaked = [];
            document.addEventListener('keydown', (event) => leaked.push(event.key));
        }"""
    )
    live.canvas.press("ArrowDown")
    live.root.locator("select[name=d_model]").press("ArrowDown")
    assert live.page.evaluate("leaked") == []
    free = live.root.locator("input, select, button, canvas, .data").evaluate_all(
        "all => all.filter(e => e.dataset.lmSuppressShortcuts !== 'true').map(e => e.outerHTML)"
    )
    assert free == []


def test_zoom_shows_a_window_around_the_cursor(show):
    live = show("encoding")
    live.slide("zoom", "8")
    window = live.call("h.view.window")
    assert (window["h"], window["w"]) == (16, 8)
    assert window["row"] <= 37 < window["row"] + 16
    assert window["column"] <= 20 < window["column"] + 8


def test_click_in_a_zoomed_view_leaves_the_cell_under_the_mouse(show):
    live = show("encoding")
    live.slide("zoom", "4")
    place = live.point(0.9, 0.9)
    cells = set()
    for _ in range(3):
        live.page.mouse.click(*place)
        cells.add((live.state["row"], live.state["column"]))
    assert len(cells) == 1


def test_keys_push_a_zoomed_view_along(show):
    live = show("encoding")
    live.slide("zoom", "8")
    for _ in range(30):
        live.canvas.press("ArrowDown")
    window = live.call("h.view.window")
    assert window["row"] + window["h"] - 1 == live.state["row"] == 67


def test_small_grid_has_no_zoom(show):
    live = show("grid")
    live.canvas.press("+")
    assert live.state["zoom"] == 1
    assert "zoom" not in live.root.locator(".help").inner_text()


def test_cursor_returns_when_a_longer_sentence_makes_room_again(show):
    live = show("sentence")
    live.call("h.set({row: 9, pin: 12})")
    field = live.root.get_by_label("your sentence", exact=True)
    field.fill("a")
    assert live.state["row"] == 2
    assert live.state["pin"] is None
    assert live.message == "The pinned position 12 is gone: there are only 3 now."
    field.fill("a longer sentence")
    assert live.state["row"] == 9


def test_words_stand_above_the_picture(show):
    live = show("encoding", height=720)
    readout, canvas = live.root.locator(".readout").bounding_box(), live.canvas.bounding_box()
    assert readout["y"] + readout["height"] <= canvas["y"]


SIZES = pytest.mark.parametrize(("width", "height"), [(1280, 620), (360, 740)])
HIDDEN_BY_WORDS = """h => [...h.querySelectorAll('.goto :is(input, select), .actions button')]
    .filter(control => {
        const words = h.querySelector('.words').getBoundingClientRect();
        return control.getBoundingClientRect().top < words.bottom - 1;
    }).map(control => control.textContent || control.name)"""


@SIZES
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_is_in_the_window_with_the_control_that_has_the_focus(
    show, kind, width, height
):
    live = show(kind, width=width, height=height)
    controls = live.root.locator(".goto :is(input, select), .actions button").count()
    live.canvas.focus()
    for _ in range(controls):
        live.page.keyboard.press("Tab")
        at = live.page.evaluate(
            """() => [document.querySelector('.words'), document.activeElement].map(e => {
                const {top, bottom} = e.getBoundingClientRect(); return [top, bottom]; })"""
        )
        (top, bottom), (focus_top, focus_bottom) = at
        assert 0 <= top and bottom <= focus_top and focus_bottom <= height, at


def test_words_that_stay_never_cover_a_control_below(show):
    live = show("encoding", width=360, height=740)
    live.root.locator("[name=goto-position]").focus()
    for _ in range(40):
        live.page.mouse.wheel(0, 60)
        live.page.wait_for_timeout(10)
        assert live.root.evaluate(HIDDEN_BY_WORDS) == []


def test_drawn_hand_says_degrees_and_how_far_two_hands_are_apart(show):
    live = show("encoding")
    live.canvas.press("p")
    live.canvas.press("Shift+ArrowDown")  # from position 37 to 47
    drawn = saved(live, "SVG").decode()
    turn = np.degrees(10_000 ** (-20 / 64))  # of pair 10, in a step
    assert f">at {47 * turn % 360:.0f}°<" in drawn
    assert f">{10 * turn:.1f}° apart<" in drawn


def test_whole_numbers_are_written_whole(show):
    live = show("encoding")
    written = live.root.locator("label", has_text="base").locator(".room > span")
    said = []
    for step in (3, 8, 9):
        live.slide("base", str(step))
        said.append(written.inner_text())
    assert said == ["100", "5,000", "10,000"]


@pytest.mark.parametrize(("columns", "shown"), [(15, 15), (64, 8)])
def test_table_shows_a_row_whole_or_the_columns_around_the_cursor(show, columns, shown):
    values = np.arange(20.0 * columns).reshape(20, columns)
    live = show(Heatmap(values, title="t", name="t", column=columns - 1), width=360)
    live.root.get_by_role("button", name="Table").click()
    data = live.root.locator(".data")
    assert data.locator("thead th").count() == shown
    before = data.locator("tbody th").first.bounding_box()["x"]
    data.evaluate("data => { data.scrollLeft = 90; }")
    assert data.evaluate("data => data.scrollLeft") == 90
    assert data.locator("tbody th").first.bounding_box()["x"] == pytest.approx(before, abs=1)


def test_tab_reaches_every_control_with_a_visible_ring(show):
    live = show("encoding")
    seen = []
    for _ in range(20):
        live.page.keyboard.press("Tab")
        ring = live.page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
                const name = e === document.body ? '' : e.name || e.textContent || e.tagName;
                return [name, s.outlineStyle, parseFloat(s.outlineWidth)]; }"""
        )
        if not ring[0]:
            break
        assert ring[1] != "none" and ring[2] >= 2, ring
        seen.append(ring[0])
    assert len(seen) == 5 + 1 + 4 + 7  # controls, canvas, fields, buttons


# ---- looks


@pytest.mark.parametrize("kind", KINDS)
def test_dark_page_gets_dark_colours_at_once(show, kind):
    live = show(kind)
    light = live.picture()
    live.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').dataset.theme === 'dark'"
    )
    assert live.picture() != light
    assert live.call("getComputedStyle(root).backgroundColor") == "rgb(20, 23, 27)"


@pytest.mark.parametrize(
    ("page_says", "theme"),
    [
        ("document.body.dataset.jpThemeLight = 'false'", "dark"),
        ("document.body.className = 'vscode-dark'", "dark"),
        ("document.body.className = 'vscode-light'", "light"),
        ("document.documentElement.setAttribute('theme', 'dark')", "dark"),
    ],
)
def test_other_hosts_themes_are_followed(show, page_says, theme):
    live = show("encoding", theme=None, edit=lambda html: html)
    live.page.evaluate("delete document.documentElement.dataset.theme")
    live.page.evaluate(page_says)
    live.page.wait_for_function(
        f"() => document.querySelector('.simplellm-heatmap').dataset.theme === '{theme}'"
    )


@pytest.mark.parametrize("kind", ["encoding", "grid"])
@pytest.mark.parametrize("width", [360, 1280])
def test_canvas_has_its_room_before_it_is_drawn(show, kind, width):
    live = show(kind, width=width)
    settled(live)
    drawn = live.canvas.evaluate("canvas => canvas.clientHeight")
    before = live.canvas.evaluate("c => { c.style.height = ''; return c.clientHeight; }")
    assert before == drawn


def test_canvas_is_as_sharp_as_the_screen(show):
    live = show("encoding", device_scale_factor=2)
    assert live.call("h.canvas.width / h.canvas.clientWidth") == pytest.approx(2, abs=0.01)


def test_cells_keep_hard_edges(show):
    checker = Heatmap(np.indices((4, 4)).sum(0) % 2 * 2.0 - 1, title="x", name="checker")
    live = show(checker, device_scale_factor=1)
    colours = live.call(
        """(() => { const b = h.boxes.cells, c = h.canvas.getContext('2d');
            const y = Math.round(b.y + b.h * 0.875) + 12;
            const row = c.getImageData(b.x + 1, y, b.w - 2, 1).data;
            const seen = {};
            for (let i = 0; i < row.length; i += 4) {
              const key = [row[i], row[i + 1], row[i + 2]].join();
              seen[key] = (seen[key] || 0) + 1;
            }
            return seen; })()"""
    )
    # Two colours only, but for the column of pixels in which an edge falls between two.
    strays = sum(n for n in colours.values() if n <= 3)
    assert len([n for n in colours.values() if n > 3]) == 2
    assert strays <= 4


@pytest.mark.parametrize("width", [360, 640, 1280])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_scrolls_sideways(show, kind, width):
    live = show(kind, width=width)
    live.root.get_by_role("button", name="Table").click()
    assert live.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_jumps_when_the_script_runs(show, width):
    watch = """<script>
        window.shift = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.shift += entry.value;
        }).observe({ type: 'layout-shift', buffered: true });
    </script>"""
    live = show("encoding", width=width, edit=lambda html: watch + html + "<p>below</p>" * 30)
    live.page.wait_for_timeout(300)
    assert live.page.evaluate("window.shift") < 0.01


def uneven() -> Heatmap:
    """Names of every length, and frames too: the shortest are on view at first."""
    names = ["a", "a name", "a name that goes on for quite a while"]
    return Heatmap(
        np.arange(-27.0, 27.0).reshape(3, 3, 6) * 1e5,
        title="Uneven names",
        name="uneven",
        rows="a kind of thing",
        row_labels=names,
        column_labels=["b", "W" * 24, *"cdef"],
        frame_labels=names[::-1],
        frame=2,
        unit="units of something",
    )


UNEVEN = {**KINDS, "uneven": uneven, "billions": lambda: Heatmap(
    1e9 + np.arange(99.0).reshape(9, 11), title="Close", name="close")}  # fmt: skip


@pytest.mark.parametrize("width", [360, 700, 1280])
@pytest.mark.parametrize("kind", UNEVEN)
def test_nothing_jumps_when_the_cursor_moves(show, kind, width):
    live = show(UNEVEN[kind](), width=width, edit=lambda html: f"{html}<p id=below>below</p>")
    tops = live.call(
        """(() => {
            const end = document.querySelector('#below');
            const below = () => [h.canvas, h.tableBox.previousSibling, h.summary, end]
                .map(e => Math.round(e.getBoundingClientRect().top)).join();
            const seen = new Set([below()]);
            const [rows, columns] = h.source.shape;
            const frames = h.source.frames ? h.source.frames.count : 1;
            for (const pin of [null, rows - 1])
                for (let frame = 0; frame < frames; frame++)
                    for (let row = 0; row < rows; row += Math.ceil(rows / 9))
                        for (let column = 0; column < columns; column += Math.ceil(columns / 9)) {
                            h.set({frame, row, column, pin});
                            seen.add(below());
                        }
            h.say('position runs from 0 to 127; 300 is not in it, so this is 127.');
            seen.add(below());
            return [...seen]; })()"""
    )
    assert len(tops) == 1, tops


# What a screen reader is told: every change within a live region, and none that is switched off.
LISTEN = """root => {
    window.told = [];
    const selector = '[aria-live=polite], [role=status], output';
    new MutationObserver((changes) => {
        for (const { target } of changes) {
            const element = target.nodeType === 1 ? target : target.parentElement;
            const region = element?.closest(selector);
            if (region) told.push(element.textContent);
        }
    }).observe(root, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.parametrize("kind", KINDS)
def test_cursor_move_is_told_once_and_no_move_is_not_told(show, kind):
    live = show(kind)
    assert live.root.locator("[aria-live], [role=status], output").count() == 1
    live.root.evaluate(LISTEN)
    live.call("h.set({row: 0, column: 1})")
    assert live.page.evaluate("told") == [live.readout]
    live.canvas.press("ArrowUp")  # the edge: nothing has changed
    assert live.page.evaluate("told.length") == 1


def test_zoom_is_told(show):
    live = show("encoding")
    live.root.evaluate(LISTEN)
    live.canvas.press("+")
    assert live.page.evaluate("told") == ["Zoom 2×: 64 of 128 positions, 32 of 64 columns."]
    assert live.message == "Zoom 2×: 64 of 128 positions, 32 of 64 columns."


@pytest.mark.parametrize(("kind", "end"), [("encoding", "position 40"), ("grid", "layer: first")])
def test_play_tells_where_it_ended_and_no_step(show, kind, end):
    live = show(kind)
    live.page.clock.install()
    live.page.clock.pause_at(time.time() + 3600)
    live.root.evaluate(LISTEN)
    live.root.get_by_role("button", name="Play").click()
    live.page.clock.run_for(120 * 3)
    assert live.page.evaluate("told") == []
    live.root.get_by_role("button", name="Pause").click()
    assert live.page.evaluate("told") == [f"Paused at {end}."]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(show, kind, theme):
    live = show(kind, theme=theme)
    live.root.get_by_role("button", name="Table").click()
    found = Axe().run(live.page).response["violations"]
    assert found == [], json.dumps([[v["id"], v["nodes"][0]["html"]] for v in found], indent=1)


def test_hidden_heatmap_draws_once_it_is_shown(show):
    live = show("encoding", edit=lambda html: f'<div id="tab" hidden>{html}</div>')
    live.page.evaluate("document.getElementById('tab').hidden = false")
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').heatmap.boxes !== undefined"
    )


# ---- without, and with something wrong


@pytest.mark.parametrize("kind", KINDS)
def test_without_javascript_there_is_a_picture_with_its_numbers(show, kind):
    live = show(kind, java_script_enabled=False)
    assert live.root.locator("img").is_visible()
    for fact in KINDS[kind]().facts():
        assert fact in live.root.locator("figcaption").inner_text()
    assert live.root.locator("input, select, button").count() == 0  # no dead control


def test_paper_gets_the_picture(show):
    live = show("encoding", theme="dark")
    live.page.emulate_media(media="print")
    assert live.root.locator(".still img").is_visible()
    assert not live.canvas.is_visible()
    assert live.call("getComputedStyle(root).backgroundColor") == "rgb(255, 255, 255)"


def broken(change):
    """An edit of the page that changes the state the way `change` does."""

    def edit(html):
        from html import escape, unescape

        data = re.search(r'data-state="([^"]*)"', html).group(1)
        state = json.loads(unescape(data))
        change(state)
        return html.replace(data, escape(json.dumps(state)))

    return edit


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("encoding", lambda s: s.update(d_model=7), "d_model must be even, got 7"),
        ("encoding", lambda s: s.update(positions=10**6), "positions must be a whole number"),
        ("encoding", lambda s: s.update(base=0), "base must be positive"),
        ("grid", lambda s: s.update(shape=[3, 5, 5]), "values hold 60 numbers"),
        (
            "grid",
            lambda s: s.update(values="AADAfwAAwH8=", shape=[1, 1, 2], dtype="float32"),
            "values hold no number",
        ),
        (
            "grid",
            lambda s: s.update(values="AACAfwAAAAA=", shape=[1, 1, 2], dtype="float32"),
            "values hold infinity",
        ),
    ],
)
def test_impossible_state_says_so_and_keeps_the_picture(show, kind, change, words):
    live = show(kind, edit=broken(change))
    assert words in live.root.get_by_role("alert").inner_text()
    assert live.root.locator(".still img").is_visible()
    assert live.canvas.count() == 0


def test_script_in_every_cell_mounts_each_heatmap_once(show):
    def twice(html):
        return html + frames().html()

    page = show("encoding", edit=twice).page
    assert page.locator(".simplellm-heatmap").count() == 2
    assert page.locator("canvas").count() == 2


# ---- replaced and taken away


@pytest.fixture
def widget(new_page):
    """The front end of LiveHeatmap in a bare page: `model.show(state)` is what Python does."""

    def open_page(heatmap):
        page = new_page()
        page.set_content(f"<html data-theme='light'><style>{stylesheet()}</style><main></main>")
        page.evaluate(
            """async ([source, state]) => {
                const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
                const { default: { render } } = await import(url);
                const listeners = new Set();
                window.views = [];
                window.model = {
                    state,
                    get: () => window.model.state,
                    set: (key, view) => views.push(view),
                    save_changes: () => {},
                    on: (event, listener) => listeners.add(listener),
                    off: (event, listener) => listeners.delete(listener),
                    show: (next) => { window.model.state = next; listeners.forEach(f => f()); },
                };
                window.cleanUp = render({ model, el: document.querySelector('main') });
            }""",
            [code.module(), heatmap.state],
        )
        return Live(page)

    return open_page


def test_theme_is_followed_after_another_state_was_shown(widget):
    live = widget(encoding())
    live.page.evaluate("state => model.show(state)", frames().state)
    light = live.picture()
    live.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').dataset.theme === 'dark'"
    )
    assert live.picture() != light


def test_what_played_is_silent_after_another_state_was_shown(widget):
    live = widget(encoding())
    live.page.clock.install()
    live.page.clock.pause_at(time.time() + 3600)
    live.root.get_by_role("button", name="Play").click()
    live.page.clock.run_for(250)
    assert live.page.evaluate("views.length") == 2
    live.page.evaluate("state => model.show(state)", frames().state)
    live.page.clock.run_for(2000)
    assert live.page.evaluate("views.length") == 2
    assert live.root.locator("canvas").count() == 1


def test_cleaned_up_widget_does_nothing_any_more(widget):
    live = widget(encoding())
    live.page.clock.install()
    live.page.clock.pause_at(time.time() + 3600)
    live.root.get_by_role("button", name="Play").click()
    live.page.evaluate("cleanUp()")
    live.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    live.page.evaluate("location.hash = '#heatmap-explorer?row=3'")
    live.page.clock.run_for(2000)
    assert live.page.evaluate("views.length") == 0
    assert live.state["row"] == 37
    assert live.call("root.dataset.theme") == "light"


def test_theme_may_change_while_the_heatmap_is_off_the_page(show):
    live = show("encoding")
    problems = []
    live.page.on("pageerror", lambda error: problems.append(str(error)))
    live.page.evaluate(
        """async () => {
            const root = document.querySelector('.simplellm-heatmap');
            const place = root.parentElement;
            root.remove();
            document.documentElement.dataset.theme = 'dark';
            await new Promise(done => setTimeout(done, 50));
            place.append(root);
        }"""
    )
    live.page.wait_for_function(
        "() => document.querySelector('.simplellm-heatmap').dataset.theme === 'dark'"
    )
    assert problems == []
    assert live.call("h.paint.colors.paper") == "#14171b"


def test_print_does_not_cut_a_heatmap(show):
    live = show("encoding", edit=lambda html: f"<div style='height: 800px'></div>{html}")
    live.page.emulate_media(media="print")
    assert live.call("getComputedStyle(root).breakInside") == "avoid"
