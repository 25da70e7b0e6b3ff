"""What a reader does in Chromium, Firefox and WebKit, with keys, mouse and links; and the dark."""

from __future__ import annotations

import copy
import csv
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from simplellm.claims import CLAIMS
from simplellm.sinusoids import sinusoidal_encoding
from tests.page_js import MEETS_HEATMAPS, STANDS

from .base import FIRST, Engine, until
from .conftest import heatmaps_of

pytestmark = pytest.mark.browser

FIRST_PAGE = "chapters/00_start_here.html"
EXPLORER = "chapters/04_sinusoidal_frequencies.html"
CLAIMS_PAGE = "chapters/14_what_is_true.html"


class Live:
    """A heatmap on a page that is open."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine, self.selector = engine, f"#heatmap-{name}"

    def call(self, expression: str):
        """Evaluate JavaScript in which `h` is the heatmap and `root` its element."""
        return self.engine.call(
            f"s => {{ const root = document.querySelector(s), h = root.heatmap;"
            f" return {expression}; }}",
            self.selector,
        )

    def part(self, selector: str) -> str:
        return f"{self.selector} {selector}"

    @property
    def state(self) -> dict:
        return self.call("h.state()")

    def becomes(self, **state: object) -> None:
        """Wait until the state is so: a key or a click may arrive after the driver has answered."""
        until(lambda: {**self.state, **state} == self.state, f"{self.selector} becomes {state}")

    @property
    def readout(self) -> str:
        return self.call("root.querySelector('.readout').textContent")

    @property
    def picture(self) -> str:
        return self.call("h.canvas.toDataURL()")

    @property
    def values(self) -> np.ndarray:
        rows, columns, text = self.call(
            "[...h.source.shape, Array.from({length: h.source.shape[0] * h.source.shape[1]},"
            " (_, i) => h.value(Math.floor(i / h.source.shape[1]), i % h.source.shape[1]))"
            ".join(' ')]"
        )
        return np.array(text.split(), dtype=float).reshape(rows, columns)


def encoding(state: dict) -> np.ndarray:
    """What the package has for a state of the explorer."""
    table = sinusoidal_encoding(range(state["positions"]), state["d_model"], state["base"])
    if state["columns"] == "halves":
        return np.concatenate((table[:, 0::2], table[:, 1::2]), axis=1)
    return table.numpy()


def open_page(engine: Engine, url: str) -> None:
    """Open a page, with the mouse where nothing is, and wait until it stands."""
    engine.mouse(0, 0)
    engine.goto(url)
    engine.call(MEETS_HEATMAPS)
    engine.call(STANDS)


@pytest.fixture
def explorer(engine, book) -> Live:
    """The explorer of chapter 4 as its page shows it at first."""
    url = book.url(EXPLORER)
    if engine.evaluate("location.href.split('#')[0]") != url:
        open_page(engine, url)
    live = Live(engine, "explorer")
    engine.mouse(0, 0)
    live.call(
        "h.set({ d_model: 64, positions: 128, base: 10000, columns: 'interleaved',"
        " row: 37, column: 20, zoom: 1, pin: null })"
    )
    return live


# ---- controls


def test_slider_follows_the_keys(engine, explorer):
    before = explorer.picture
    engine.focus(explorer.part("[name=base]"))
    engine.press("ArrowLeft")
    explorer.becomes(base=5000)
    assert explorer.picture != before
    assert np.abs(explorer.values - encoding(explorer.state)).max() < 1e-6


def test_slider_follows_the_mouse(engine, explorer):
    engine.click(explorer.part("[name=positions]"), right=0.8)
    until(lambda: explorer.state["positions"] != 128, "the slider moves")
    limits = explorer.call("['min', 'max'].map(e => +root.querySelector('[name=positions]')[e])")
    share = (explorer.state["positions"] - limits[0]) / (limits[1] - limits[0])
    assert share == pytest.approx(0.8, abs=0.1)  # a thumb is wide
    assert np.abs(explorer.values - encoding(explorer.state)).max() < 1e-6


def test_select_follows_the_keys(engine, explorer):
    before = explorer.picture
    engine.focus(explorer.part("[name=columns]"))
    engine.press("ArrowDown")
    explorer.becomes(columns="halves")
    assert explorer.picture != before
    assert np.abs(explorer.values - encoding(explorer.state)).max() < 1e-6


def test_arrows_move_the_cursor_and_the_read_out_says_the_package_s_number(engine, explorer):
    engine.focus(explorer.part("canvas"))
    for stroke, row, column in [
        ("ArrowDown", 38, 20),
        ("ArrowRight", 38, 21),
        ("Shift+ArrowUp", 28, 21),
        ("ArrowLeft", 28, 20),
        ("Home", 28, 0),
        ("Control+End", 127, 0),
    ]:
        engine.press(stroke)
        explorer.becomes(row=row, column=column)
        said = explorer.readout.replace("−", "-")
        assert said.startswith(f"position {row} · column {column} ")
        value = float(re.search(r"value ([+-][\d.]+)$", said)[1])
        assert value == pytest.approx(encoding(explorer.state)[row, column], abs=5e-4)


def test_click_puts_the_cursor(engine, explorer):
    cells = explorer.call("h.boxes.cells")
    engine.click(explorer.part("canvas"))  # brings it into view
    left, top = explorer.call("(({ left, top }) => [left, top])(h.canvas.getBoundingClientRect())")
    x, y = left + cells["x"] + cells["w"] * 10.5 / 64, top + cells["y"] + cells["h"] * 100.5 / 128
    engine.mouse(round(x), round(y), click=True)
    engine.mouse(0, 0)
    explorer.becomes(row=100, column=10)


def test_typed_number_moves_the_cursor(engine, explorer):
    engine.click(explorer.part("[name=goto-position]"))
    engine.press(*"100", "Enter")
    explorer.becomes(row=100)


def test_play_walks_and_pause_stops(engine, explorer):
    engine.click(explorer.part(".actions button"), "Play")
    until(lambda: explorer.state["row"] > 38, "Play walks")
    engine.click(explorer.part(".actions button"), "Pause")
    engine.wait_for(f"({FIRST})('{explorer.part('.actions button')}', 'Play') !== undefined")
    stopped = explorer.state["row"]
    engine.evaluate("new Promise(done => setTimeout(done, 400))")  # three steps
    assert explorer.state["row"] == stopped


def test_pin_compares_two_positions(engine, explorer):
    engine.focus(explorer.part("canvas"))
    engine.press("p", "ArrowDown", "ArrowDown", "ArrowDown")
    explorer.becomes(pin=37, row=40)
    a, b = encoding(explorer.state)[[40, 37]]
    said = explorer.readout
    assert "against pinned position 37: offset +3," in said
    assert f"distance {np.linalg.norm(a - b):.2f}" in said
    assert f"dot product +{a @ b:.2f}" in said
    engine.press("p")
    explorer.becomes(pin=None)
    assert "pinned" not in explorer.readout


def test_typed_sentence_is_what_the_layer_gives(engine, book):
    open_page(engine, book.url(FIRST_PAGE))
    live = Live(engine, "sentence")
    engine.focus(live.part("[name=text]"))
    engine.press("Control+a")
    engine.type("So it is")
    live.becomes(text="So it is")
    exact = copy.deepcopy(heatmaps_of(FIRST_PAGE)["heatmap-sentence"])
    exact.state["text"] = "So it is"
    assert np.abs(live.values - exact.values()).max() < 1e-6


# ---- links


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (FIRST_PAGE, "sentence"),
        (EXPLORER, "base"),
        ("chapters/05_why_sinusoids_work.html", "kernel"),
        ("chapters/09_silent_bug_lab.html", "wrong-tables"),
    ],
)
def test_copied_link_opens_the_same_view_at_the_heatmap(engine, book, page, name):
    open_page(engine, book.url(page))
    live = Live(engine, name)
    live.call("h.set({ row: 2, column: 1, frame: 0, pin: 1 })")
    before = live.state
    engine.focus(live.part(".actions button"), "Copy link")
    engine.press("Enter")
    engine.wait_for(f"document.querySelector('{live.part('.message')}').textContent !== ''")
    link = engine.evaluate("location.href")
    assert f"#heatmap-{name}?" in link
    open_page(engine, link)
    assert live.state == before
    assert (before["row"], before["column"], before["pin"]) == (2, 1, 1)
    assert live.call("root.getBoundingClientRect().top") == pytest.approx(64, abs=5)


# ---- taking it away


@pytest.fixture
def saved(engine, explorer):
    """`saved("CSV")`: the file that this button of the explorer saves."""

    def save(kind: str) -> bytes:
        engine.click(explorer.part(".actions button"), kind)
        return engine.downloaded(f"heatmap-explorer.{kind.lower()}")

    return save


def test_csv_holds_the_package_s_numbers(saved, explorer):
    rows = list(csv.reader(io.StringIO(saved("CSV").decode())))
    values = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    assert np.abs(values - encoding(explorer.state)).max() < 1e-6


def test_png_is_the_canvas(saved, explorer):
    picture = Image.open(io.BytesIO(saved("PNG")))
    assert list(picture.size) == explorer.call("[h.canvas.width, h.canvas.height]")
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_svg_is_well_formed_and_names_its_axes(saved):
    words = " ".join(ET.fromstring(saved("SVG")).itertext())
    assert all(word in words for word in ("position", "column"))


# ---- the table of claims, the search


def test_claims_are_sorted_both_ways(engine, book):
    open_page(engine, book.url(CLAIMS_PAGE))
    rows = "[...document.querySelectorAll('.simplellm-claims tbody tr')].map(row => row.id)"
    heads = ".simplellm-claims th[data-name=Claim]"
    before = engine.evaluate(rows)
    engine.click(f"{heads} button")
    engine.wait_for(f"document.querySelector('{heads}').ariaSort === 'ascending'")
    up = engine.evaluate(rows)
    engine.focus(f"{heads} button")
    engine.press("Enter")
    engine.wait_for(f"document.querySelector('{heads}').ariaSort === 'descending'")
    assert engine.evaluate(rows) == up[::-1]
    texts = {f"claim-{claim.key}": claim.text for claim in CLAIMS}
    assert sorted(up) == sorted(before) == sorted(texts)
    assert up != before
    # Where signs stand in the alphabet is the browser's affair.
    letters = [texts[row].lower() for row in up if texts[row][0].isalpha()]
    assert letters == sorted(letters, key=lambda text: text[0])


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_a_word_of_the_book(engine, book, scheme):
    open_page(engine, book.url(FIRST_PAGE, scheme))
    engine.press("Control+k")
    engine.wait_for("document.activeElement?.name === 'q'")
    engine.press(*"wavelength", "Enter")
    engine.wait_for("location.pathname.endsWith('/search.html')")
    engine.wait_for("document.querySelector('.search-summary')?.textContent.includes('found')")
    assert engine.errors() == []
    engine.click("#search-results li a")
    engine.wait_for(
        "location.pathname.includes('/chapters/') && !!document.querySelector('article')"
    )
    assert "wavelength" in engine.evaluate("document.querySelector('article').innerText").lower()


# ---- in the dark


# How bright the page and the grounds of its heatmaps are, from 0 to 1.
BRIGHTNESS = """() => [document.body, ...document.querySelectorAll('.simplellm-heatmap')].map(e => {
    const [r, g, b] = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
})"""


def test_page_and_heatmaps_are_dark_where_the_system_is(start, engine_name, book):
    pictures = []
    for theme in ("light", "dark"):
        engine = start(engine_name, theme)
        open_page(engine, book.url(EXPLORER))
        grounds = engine.call(BRIGHTNESS)
        assert len(grounds) > 3
        assert all(g < 0.2 if theme == "dark" else g > 0.8 for g in grounds), (theme, grounds)
        assert engine.errors() == []
        pictures.append(Live(engine, "explorer").picture)
    assert pictures[0] != pictures[1]
