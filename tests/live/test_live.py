"""The chapters as notebooks, in JupyterLab and in Notebook 7, with a kernel behind them.

A few chapters in which every kind of heatmap and control is met; with LIVE=all in the environment,
JupyterLab is given every chapter but for the tests marked `of_each_kind`. The tests share one page
for a chapter and a host: a test may move cursors and sliders, and leaves the theme as it found it.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Locator, expect

from tools.chapters import solutions

from .conftest import Heatmap

pytestmark = pytest.mark.browser


# ---- before and after the run


def test_before_it_is_run_each_heatmap_shows_its_still_picture(notebook):
    assert not notebook.trusted_before  # or the page would say nothing about a downloaded chapter
    assert len(notebook.stills) == notebook.committed_heatmaps
    for still in notebook.stills:
        assert still["pixels"] > 0 and still["shown"] and not still["live"]
        assert len(still["alt"]) > 40


# The Markdown as it is shown, and how many answers can be opened in it.
BOXES = """() => [...document.querySelectorAll('.jp-MarkdownCell .jp-Cell-inputArea')]
    .map(area => area.querySelector('.myst, .jp-RenderedMarkdown'))
    .map(shown => [shown?.textContent ?? '', shown?.querySelectorAll('details:not([open])').length])
"""


def test_boxes_and_exercises_are_set_as_on_the_site(notebook):
    """No directive stands there as text, and every answer in a box is folded."""
    notebook.page.wait_for_function("() => document.querySelector('.myst .katex, .myst h2')")
    shown = notebook.page.evaluate(BOXES)
    assert [text for text, _ in shown if re.search(r"[:`]{3}|\{(admonition|exercise)", text)] == []
    markdown = [c for c in notebook.committed if c["cell_type"] == "markdown"]
    said = "\n".join("".join(cell["source"]) for cell in markdown)
    dropdowns = len(re.findall(r"(?m)^:class:.*\bdropdown\b", said))
    assert sum(folded or 0 for _, folded in shown) == dropdowns
    assert dropdowns > 0 or not notebook.has_exercises


def test_exercises_have_the_numbers_that_they_have_on_the_site(notebook):
    shown = [text.strip() for text, _ in notebook.page.evaluate(BOXES)]
    said = "\n".join("".join(cell["source"]) for cell in notebook.committed)
    numbers = re.findall(r"(?m)^:enumerator: (\S+)$", said)
    titles = [re.match(r"Exercise (\d+\.\d+) ?\([A-Z]", text) for text in shown]
    assert [title[1] for title in titles if title] == numbers
    assert len(numbers) >= 4 or not notebook.has_exercises


def test_solutions_are_closed_before_and_after_all_is_run_and_open_with_a_click(notebook):
    if not notebook.has_exercises:
        pytest.skip("a reference page has no exercises")
    cells = nbformat.from_dict({"cells": notebook.committed, "metadata": {}})
    belongs = solutions.in_solution(cells)
    # Of a solution only the cell in which it begins stays, and nothing stands in that.
    inside = [now and before for now, before in zip(belongs, [False, *belongs], strict=False)]
    assert notebook.hidden == inside
    assert notebook.hidden_after == inside
    first = inside.index(True)
    notebook.ask(f"notebook.scrollToItem({first - 1})")
    opening, answer = (
        notebook.page.locator(f".jp-Cell[data-windowed-list-index='{at}']")
        for at in (first - 1, first)
    )
    expect(answer).to_be_hidden()
    opening.locator(".jp-showHiddenCellsButton").click()
    expect(answer).to_be_visible()
    notebook.ask(f"cells[{first - 1}].headingCollapsed = true")
    expect(answer).to_be_hidden()


def test_every_cell_runs_without_an_error(notebook):
    code = [cell for cell in notebook.ran if cell["cell_type"] == "code"]
    errors = [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
    assert [f"{e['ename']}: {e['evalue']}" for e in errors] == []
    # Jupyter goes no further after an error; every cell has its number where there was none.
    assert all(isinstance(cell["execution_count"], int) for cell in code)


def test_after_the_run_each_heatmap_is_live(notebook):
    expect(notebook.page.locator(".simplellm-heatmap:not([data-live=''])")).to_have_count(0)
    assert len(notebook.heatmaps()) >= notebook.committed_heatmaps  # a lab may add one
    for heatmap in notebook.heatmaps():
        heatmap.root.scroll_into_view_if_needed()
        expect(heatmap.canvas).to_be_visible()
        expect(heatmap.root.locator(".still")).to_be_hidden()
        colours = heatmap.call(
            """new Set(new Uint32Array(h.canvas.getContext('2d')
                .getImageData(0, 0, h.canvas.width, h.canvas.height).data.buffer)).size"""
        )
        assert colours > 20, f"{heatmap.name} is blank"


# ---- the heatmaps under the reader's hands


def test_arrow_keys_move_the_cursor_and_not_the_selected_cell(notebook):
    press = notebook.page.keyboard.press
    for heatmap in notebook.heatmaps():
        heatmap.canvas.focus()
        place = notebook.selection
        press("Control+Home")
        press("Home")
        assert heatmap.cursor == (0, 0), heatmap.name
        for key, cursor in {
            "ArrowDown": (1, 0),
            "ArrowRight": (1, 1),
            "ArrowUp": (0, 1),
            "ArrowLeft": (0, 0),
        }.items():
            press(key)
            assert notebook.selection == place, f"{heatmap.name}: {key}"
            assert heatmap.cursor == cursor, f"{heatmap.name}: {key}"
        expect(heatmap.canvas).to_be_focused()


@pytest.mark.of_each_kind
def test_a_letter_on_any_control_changes_no_cell(notebook):
    if not notebook.heatmaps():
        pytest.skip("this chapter has no heatmap")
    heatmap = notebook.heatmaps()[0]
    heatmap.root.get_by_role("button", name="Table").click()
    controls = heatmap.root.locator("canvas, button, select, input, .data")
    assert controls.count() > 8
    for control in controls.all():
        control.focus()
        place = notebook.selection
        notebook.page.keyboard.press("b")  # in a notebook: a new cell below
        assert notebook.selection == place, control.evaluate("e => e.outerHTML")
    heatmap.root.get_by_role("button", name="Table").click()


def test_going_to_a_cell_changes_the_read_out(notebook):
    for heatmap in notebook.heatmaps():
        heatmap.call("h.set({ row: 1, column: 1 })")
        before = heatmap.readout
        field = heatmap.root.locator(".goto").locator("select, input").first
        if field.evaluate("e => e.localName") == "select":
            field.select_option(index=0)
        else:
            field.fill("0")
            field.press("Enter")
        expect(heatmap.root.locator(".readout")).not_to_have_text(before)
        assert heatmap.cursor[0] == 0, heatmap.name


def test_sliders_and_text_of_a_heatmap_change_its_read_out(notebook):
    place, seen = None, 0
    for heatmap in notebook.heatmaps():
        heatmap.call("h.set({ row: 2, column: 2 })")
        for control in heatmap.root.locator("[name=base], [name=frame], [name=text]").all():
            seen += 1
            before = heatmap.readout
            control.focus()
            place = notebook.selection
            if control.get_attribute("type") == "text":
                notebook.page.keyboard.press("Control+A")
                notebook.page.keyboard.type("baxd dogs")
            else:
                at_end = control.evaluate("e => e.value === e.max")
                notebook.page.keyboard.press("ArrowLeft" if at_end else "ArrowRight")
            expect(heatmap.root.locator(".readout")).not_to_have_text(before)
            assert notebook.selection == place
    assert seen or not notebook.heatmaps(), "a chapter with heatmaps opens with a slider"


# ---- the live lab: Python draws


def labs_picture(lab: Locator) -> str:
    """The picture of a lab, byte by byte: its address would change for the same picture too."""
    return lab.evaluate(
        """async lab => {
            const heatmap = lab.querySelector('.simplellm-heatmap')?.heatmap;
            if (heatmap) return heatmap.canvas.toDataURL();
            const { src } = lab.querySelector('.widget-image');
            const bytes = new Uint8Array(await (await fetch(src)).arrayBuffer());
            return Array.from(bytes, byte => String.fromCharCode(byte)).join('');
        }"""
    )


def slide_with_mouse(slider: Locator) -> None:
    track = slider.locator(".noUi-target").bounding_box()
    handle = slider.locator(".noUi-handle").bounding_box()
    middle = track["x"] + track["width"] / 2
    share = 0.8 if handle["x"] + handle["width"] / 2 < middle else 0.2
    slider.locator(".noUi-target").click(
        position={"x": share * track["width"], "y": track["height"] / 2}
    )


def slide_with_keys(slider: Locator) -> None:
    handle = slider.locator(".noUi-handle")
    at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    handle.press("ArrowLeft" if at_end else "ArrowRight")


def type_after_a_click(box: Locator) -> None:
    box.click()
    box.press("x")


def type_at_the_end(box: Locator) -> None:
    box.press("End")
    box.press("y")


def choose_another(box: Locator) -> None:
    box.select_option(index=(box.evaluate("e => e.selectedIndex") + 1) % box.locator("*").count())


# What a lab may be driven with; for each, by mouse and by keyboard alone.
HANDS = {
    ".widget-slider": (slide_with_mouse, slide_with_keys),
    ".widget-text input": (type_after_a_click, type_at_the_end),
    ".widget-checkbox input": (Locator.click, lambda box: box.press("Space")),
    ".widget-dropdown select": (choose_another, choose_another),
}


@pytest.mark.parametrize("hand", ["mouse", "keyboard"])
def test_every_control_of_the_live_lab_changes_its_picture(notebook, hand):
    if not notebook.has_lab:
        pytest.skip("this chapter has no live lab")
    labs = notebook.page.locator(f".jp-OutputArea-output:has({', '.join(HANDS)})")
    expect(labs).to_have_count(1)
    lab = labs.first
    lab.scroll_into_view_if_needed()
    moved = 0
    for selector, hands in HANDS.items():
        for control in lab.locator(selector).all():
            notebook.settle()
            before = labs_picture(lab)
            control.scroll_into_view_if_needed()
            use = hands[hand == "keyboard"]
            use(control)
            label = control.evaluate("e => e.closest('.widget-inline-hbox').textContent")
            notebook.until(
                lambda before=before: labs_picture(lab) != before,
                f"{label!r} by {hand} leaves the picture as it was",
            )
            if "checkbox" in selector:
                use(control)  # back: without it a slider may have nothing to change
            moved += 1
    assert moved
    notebook.settle()


def test_python_answers_a_heatmap_that_it_hears(notebook):
    listening = f".jp-OutputArea-output:has(.simplellm-heatmap):not(:has({', '.join(HANDS)}))"
    answer = notebook.page.locator(f"{listening} .widget-html")  # not a lab's, which is driven
    if not answer.count():
        pytest.skip("no heatmap of this chapter has Python listening")
    heatmap = Heatmap(answer.locator("xpath=..").locator(".simplellm-heatmap"))
    before = answer.inner_text()
    heatmap.canvas.press("Shift+ArrowDown")
    expect(answer).not_to_have_text(before)
    assert str(heatmap.cursor[0]) in answer.inner_text()


# ---- the page as a whole


@pytest.mark.of_each_kind
def test_the_heatmaps_follow_the_theme(notebook):
    def choose(theme: str, light: str) -> None:
        notebook.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
        )
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-light", light)

    heatmaps = notebook.heatmaps()
    light = [heatmap.call("h.canvas.toDataURL()") for heatmap in heatmaps]
    choose("JupyterLab Dark", "false")
    try:
        for heatmap, picture in zip(heatmaps, light, strict=True):
            # What is off the screen is not laid out, and drawn only once it is.
            heatmap.root.scroll_into_view_if_needed()
            expect(heatmap.root).to_have_attribute("data-theme", "dark")
            expect(heatmap.root).to_have_css("background-color", "rgb(20, 23, 27)")
            notebook.until(
                lambda h=heatmap, light=picture: h.call("h.canvas.toDataURL()") != light,
                f"{heatmap.name} is not drawn anew",
            )
    finally:
        choose("JupyterLab Light", "true")
    for heatmap in heatmaps:
        expect(heatmap.root).to_have_attribute("data-theme", "light")


def test_the_page_asked_no_other_host(notebook):
    # The last test: it looks back on everything that the others did to the page.
    own = urlsplit(notebook.url).netloc
    assert any(urlsplit(url).scheme == "ws" for url in notebook.requests)  # the kernel's
    asked = {url for url in notebook.requests if not url.startswith(("data:", "blob:"))}
    assert [url for url in sorted(asked) if urlsplit(url).netloc != own] == []
