"""Each module of the heatmap's script on its own: imported by a bare page that holds no heatmap."""

from __future__ import annotations

import re

import numpy as np
import pytest

from simplellm.heatmap import EncodingExplorer, Heatmap, SentenceExplorer, code, script
from simplellm.input_embedding import InputEmbedding

pytestmark = pytest.mark.browser

PAGE = "http://heatmap.test"  # nobody's: every request is answered here
DECLARED = re.compile(r"^(?:export )?(?:function|class|const) (\w+)", re.MULTILINE)
STATES = {
    "encoding": EncodingExplorer(d_model=8, positions=6).state,
    "grid": Heatmap([[1.0, -2.0], [3.0, 4.0]], title="Four", name="four").state,
    "frames": Heatmap(
        np.ones((3, 2, 2)), title="Twelve", name="twelve", row_labels=["a", "b"]
    ).state,
    "sentence": SentenceExplorer(InputEmbedding(259, 8, 12, 0.1), "ab").state,
}


@pytest.fixture
def part(new_page):
    """`part("words", "number(1234.5, 5)")`: an expression in which a module's names stand."""
    page = new_page()

    def answer(route):
        path = route.request.url.removeprefix(f"{PAGE}/")
        kind = "text/javascript" if path.endswith(".js") else "text/html"
        body = code.part(path.removesuffix(".js")) if path else "<!doctype html><title>A</title>"
        route.fulfill(body=body, content_type=kind)

    page.route(f"{PAGE}/**", answer)
    page.goto(f"{PAGE}/")

    def ask(name, expression, given=None):
        return page.evaluate(
            """async ([url, expression, given]) => {
                const part = await import(url);
                const names = Object.keys(part).filter(name => name !== 'default');
                return new Function(...names, 'given', `return (${expression});`)(
                    ...names.map(name => part[name]), given);
            }""",
            [f"{PAGE}/{name}.js", expression, given],
        )

    return ask


@pytest.mark.parametrize("name", code.PARTS)
def test_part_stands_alone(part, name):
    assert part(name, "true")  # what it imports, others export


@pytest.mark.parametrize("name", code.PARTS)
def test_part_imports_what_it_uses_and_no_more(name):
    head, text = [], []
    for line in code.part(name).split("\n"):
        (head if line.startswith("import ") else text).append(line)
    used = re.sub(r"//.*|/\*\*[\s\S]*?\*/", "", "\n".join(text))
    imported = {word for line in head for word in re.findall(r"\w+", line[: line.index("}")])}
    imported.discard("import")
    assert all(re.search(rf"\b{word}\b", used) for word in imported)
    elsewhere = {
        n for part in code.PARTS if part != name for n in DECLARED.findall(code.part(part))
    }
    called = set(re.findall(r"(?<![\w.`])(?:new )?(\w+)\(", used))
    own = set(re.findall(r"(?:const|let|function) \[?\{?(\w+)", used))
    methods = set(re.findall(r"^  (\w+)\(.*\) \{$", used, re.MULTILINE))
    assert (called & elsewhere) - own - methods <= imported


def test_parts_are_joined_after_what_they_import():
    for at, name in enumerate(code.PARTS):
        imported = re.findall(r'^import .* from "\./(\w+)\.js";$', code.part(name), re.MULTILINE)
        assert set(imported) <= set(code.PARTS[:at]), name
        assert code.part(name).count("\nimport ") == len(imported), "an import takes one line"


def test_no_name_stands_in_two_parts():
    names = [name for part in code.PARTS for name in DECLARED.findall(code.part(part))]
    assert len(names) == len(set(names)) > 50


def test_joined_script_is_readable_and_light():
    lines = script().split("\n")
    assert len(script().encode()) < 60_000
    assert not [line for line in lines if re.match(r"(import|export) ", line)]
    left = [line for line in lines[1:] if re.match(r" *(//|/\*)", line)]
    assert left == [], "whole lines of comment stay in the package"
    # else only indentation is taken out: each line of code stands as it is written, in its order
    written = "\n".join(map(code.part, code.PARTS[:-1])).replace("export ", "").split("\n")
    rest = iter([line.lstrip(" ") for line in written])
    body = [line for line in lines[2:-3] if line]
    assert all(line in rest for line in body)
    assert len(body) > 1000


@pytest.mark.parametrize("name", code.PARTS)
def test_no_string_goes_over_lines_whose_indentation_is_left_out(name):
    assert [line for line in code.part(name).splitlines() if line.count("`") % 2] == []


@pytest.mark.parametrize("name", code.PARTS)
def test_no_part_asks_which_kind_a_source_is(name):
    assert "instanceof" not in code.part(name)
    assert name == "sources" or not re.search(r"\b(Encoding|Grid|Sentence)\b", code.part(name))


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [(1234.5, 5, "1,234.5"), (-0.5, 3, "−0.500"), (0, 3, "0"), (2e-9, 3, "2.00·10^−9")],
)
def test_words_write_a_number_as_people_do(part, value, digits, written):
    assert part("words", "number(given[0], given[1])", [value, digits]) == written


def test_colour_gives_both_ends_and_the_middle_a_colour_of_their_own(part):
    assert part("colour", "Array.from(lookupTable(['#000000', '#ffffff'])).length") == 4 * 257
    assert part("colour", "[-2, 0, 2, 9].map(v => shade({low: -2, high: 2}, v))") == [
        0,
        128,
        256,
        256,
    ]


def test_pens_write_what_is_drawn_as_svg(part):
    drawn = part(
        "pens",
        "(pen => { pen.text('a < b', 1, 2, '#123456'); return pen.source(9, 8); })(new SvgPen())",
    )
    assert "a &lt; b</text>" in drawn and 'viewBox="0 0 9 8"' in drawn


@pytest.mark.parametrize("kind", STATES)
def test_source_answers_all_that_it_is_asked(part, kind):
    asked = """(source => ({
        cell: source.describe(0, 0), whole: source.summary(), shape: source.shape,
        plot: source.rowPlot(0, 1).curves.length, title: source.columnTitle(0),
        longest: source.longest('r', 'c', 'v'), margin: source.leftMargin(0),
        same: source.changed(given, {}) === source, follows: source.follow(source, 1),
        walks: source.walks, hand: source.hand,
        step: source.walks && source.step(0), stands: source.walks && source.standsAt(0),
    }))(makeSource(given))"""
    said = part("sources", asked, STATES[kind])
    assert said["shape"] == {"encoding": [6, 8], "sentence": [4, 8]}.get(kind, [2, 2])
    assert said["plot"] == (3 if kind == "encoding" else 2)  # sine, cosine and the pinned row
    assert said["hand"] == (kind == "encoding")
    assert said["same"] and said["follows"] == 1
    assert said["step"] == {"encoding": {"row": 1}, "grid": False}.get(kind, {"frame": 1})


def test_source_that_changes_is_another_one(part):
    change = "((s) => [s.shape, s.changed(given, {positions: 9}).shape])(makeSource(given))"
    assert part("sources", change, STATES["encoding"]) == [[6, 8], [9, 8]]


def test_read_out_compares_with_the_pinned_row(part):
    source = """{ shape: [2, 2], rowAxis: {name: 'row'}, valueAxis: {},
        describe: () => 'a cell', value: (r, c) => [[3, 4], [0, 0]][r][c] }"""
    assert part("readout", f"sentence({source}, {{row: 0, column: 0}}, null)") == "a cell"
    said = part("readout", f"sentence({source}, {{row: 0, column: 0}}, 1)")
    assert "against pinned row 1: offset −1, distance 5.00" in said


SOURCE = """({
    shape: [40, 30], rowAxis: {name: 'row'}, columnAxis: {name: 'column'}, frames: null,
    constructor: {keys: []}, follow: (before, column) => column,
})"""


def test_state_brings_what_is_out_of_range_into_it(part):
    moved = f"""(() => {{
        const source = {SOURCE}, view = new View(source, {{}});
        const said = view.set({{ row: 99, column: -1, pin: 40 }}, source, source);
        return [said, view.row, view.column, view.pin];
    }})()"""
    assert part("state", moved) == [
        "The pinned row 40 is gone: there are only 40 now.",
        39,
        0,
        None,
    ]


def test_address_gives_back_the_state_that_it_carries(part):
    there_and_back = f"changesIn(addressOf('heatmap-a', given), 'heatmap-a', {{}}, {SOURCE})"
    state = {"kind": "grid", "rows": 40, "cols": 30, "row": 3, "column": 4, "pin": 5, "zoom": 2}
    found = part("state", there_and_back, state)
    assert {key: found[key] for key in ("row", "column", "pin", "zoom")} == {
        "row": 3,
        "column": 4,
        "pin": 5,
        "zoom": 2,
    }
    assert part("state", f"changesIn('#heatmap-b?row=3', 'heatmap-a', {{}}, {SOURCE})") is None


def test_layout_keeps_the_heatmap_s_full_width_on_a_narrow_page(part):
    source = "{ hand: false, leftMargin: () => 76, valueAxis: {low: -1, high: 1, diverging: true} }"
    wide, narrow = part("drawing", f"[1000, 360].map(w => layOut(w, {source}))")
    assert narrow["row"]["y"] > narrow["cells"]["y"] + narrow["cells"]["h"]  # below each other
    assert narrow["cells"]["x"] + narrow["cells"]["w"] == 352
    assert wide["row"]["x"] > wide["cells"]["x"] + wide["cells"]["w"]  # beside


def test_controls_show_the_state_and_set_it(part):
    control = """(() => {
        const set = [], host = { state: () => ({ n: 3 }), set: change => set.push(change) };
        const controls = new Controls(host);
        const input = controls.range('n', { min: 0, max: 9 }).querySelector('input');
        controls.show();
        const shown = input.value;
        input.value = 7;
        input.dispatchEvent(new Event('input'));
        return [shown, input.getAttribute('aria-valuetext'), set];
    })()"""
    assert part("controls", control) == ["3", "3", [{"n": 7}]]


def test_hands_find_the_cell_under_the_pointer(part):
    host = """{
        boxes: { cells: {x: 10, y: 20, w: 100, h: 50} },
        view: { window: {row: 2, column: 3, w: 10, h: 5} },
    }"""
    cell = f"cellAt({host}, {{ offsetX: 25, offsetY: 69 }})"
    assert part("hands", cell) == {"row": 6, "column": 4}
    assert part("hands", f"cellAt({host}, {{ offsetX: 5, offsetY: 5 }})") is None
