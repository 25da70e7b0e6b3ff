"""The map of the book agrees with its pages, and every time in it was measured."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from _ext import draw_map
from simplellm import claims
from tools import measure_chapters
from tools.chapters import chapter_map, prerequisites
from tools.chapters.chapter_map import Chapter

ROOT = Path(__file__).parent.parent

CORE_PATH = {0, 1, 2, 3, 4, 5, 7, 13}
LONGEST = 25  # minutes of reading; what is longer folds away or moves to another page

CHAPTERS = chapter_map.load(ROOT)
AGAIN = "run python -m tools.measure_chapters"


@pytest.fixture(scope="module")
def notebooks() -> dict[str, NotebookNode]:
    return {
        chapter.file: nbformat.read(ROOT / "chapters" / f"{chapter.file}.ipynb", as_version=4)
        for chapter in CHAPTERS
    }


def prose(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=[c.file for c in CHAPTERS])

# ---- the book's own map --------------------------------------------------------------------------


def test_contents_and_map_list_the_same_chapters_in_one_order() -> None:
    assert chapter_map.listed(ROOT) == [chapter.file for chapter in CHAPTERS]


def test_core_path_is_marked() -> None:
    numbers = {chapter.number for chapter in CHAPTERS}
    assert {chapter.number for chapter in CHAPTERS if chapter.core} == CORE_PATH & numbers


@each_chapter
def test_line_in_a_chapter_is_the_one_of_the_map(
    chapter: Chapter, notebooks: dict[str, NotebookNode]
) -> None:
    found = prerequisites.LINE.findall(prose(notebooks[chapter.file]))
    assert found == [prerequisites.line(chapter, CHAPTERS)], AGAIN


@each_chapter
def test_reading_time_is_counted(chapter: Chapter, notebooks: dict[str, NotebookNode]) -> None:
    count = measure_chapters.words(notebooks[chapter.file])
    assert chapter.read == measure_chapters.minutes(count), AGAIN
    assert chapter.read <= LONGEST


@each_chapter
def test_chapter_words_its_ideas_as_the_map_does(
    chapter: Chapter, notebooks: dict[str, NotebookNode]
) -> None:
    text = prose(notebooks[chapter.file]).lower()
    assert [idea for idea in chapter.teaches if idea.lower() not in text] == []


def test_table_on_the_first_page_is_the_one_of_the_map(
    notebooks: dict[str, NotebookNode],
) -> None:
    found = prerequisites.TABLE.findall(prose(notebooks["00_start_here"]))
    assert found == [prerequisites.table(CHAPTERS)], AGAIN


# ---- reading a map -------------------------------------------------------------------------------

ENTRY: dict[str, Any] = {"core": False, "takes": "t", "teaches": [], "read": 1, "run": 1}


def book(root: Path, *entries: dict[str, Any], notebook: str = "# A title\n\nText.") -> Path:
    """A book whose map has these entries, and a notebook for each."""
    (root / "chapters").mkdir(exist_ok=True)
    lines = ["# A comment.", "chapters:"]
    for entry in entries:
        facts = {"file": "01_one", **ENTRY, **entry}
        lines += [f"- file: {facts.pop('file')}"]
        lines += [f"  {key}: {str(value).lower()}" for key, value in facts.items()]
    (root / chapter_map.MAP).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for entry in entries:
        path = root / "chapters" / f"{entry.get('file', '01_one')}.ipynb"
        if path.parent.name == "chapters":
            nbformat.write(new_notebook(cells=[new_markdown_cell(notebook)]), path)
    return root


def test_title_is_the_notebook_s_first_heading(tmp_path: Path) -> None:
    (chapter,) = chapter_map.load(book(tmp_path, {"file": "04_four"}))
    assert (chapter.title, chapter.number) == ("A title", 4)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"need": [0]}], "01_one has 'need', which is none of also, core,"),
        ([{"file": "one"}], "file is 'one'; it must be a chapter's name"),
        ([{"needs": [2]}, {"file": "02_two"}], "01_one names chapter 2, which is not an earlier"),
        ([{"helps": [7]}], "01_one names chapter 7, which is not an earlier"),
        ([{"needs": [1]}], "01_one names chapter 1, which is not an earlier"),
        ([{"file": "02_two"}, {}], "in the order of their numbers"),
        ([{}, {"file": "01_other"}], "in the order of their numbers"),
    ],
)
def test_map_that_contradicts_itself_is_refused(
    tmp_path: Path, entries: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        chapter_map.load(book(tmp_path, *entries))


def test_entry_without_a_notebook_is_refused(tmp_path: Path) -> None:
    book(tmp_path, {})
    (tmp_path / "chapters" / "01_one.ipynb").unlink()
    with pytest.raises(ValueError, match=r"there is no chapters/01_one\.ipynb; remove it here"):
        chapter_map.load(tmp_path)


def test_entry_that_lacks_something_is_refused(tmp_path: Path) -> None:
    path = book(tmp_path, {}) / chapter_map.MAP
    path.write_text(path.read_text("utf-8").replace("  takes: t\n", ""), "utf-8")
    with pytest.raises(ValueError, match="01_one lacks 'takes'"):
        chapter_map.load(tmp_path)


# ---- words ---------------------------------------------------------------------------------------


def chapter(number: int, **facts: Any) -> Chapter:
    given_facts = {**ENTRY, "teaches": (), **facts}
    return Chapter(file=f"{number:02d}_c", title=f"T{number}", **given_facts)


def test_line_links_what_is_needed_and_says_the_rest_in_words() -> None:
    book = [chapter(1), chapter(2), chapter(3)]
    last = chapter(4, needs=(1, 2), helps=(3,), also="patience", read=20, run=12)
    assert prerequisites.line(last, [*book, last]) == (
        "**You need this first:** [T1](01_c.ipynb) and [T2](02_c.ipynb); patience; [T3](03_c.ipynb)"
        " helps. **Time:** about 20 minutes to read and 15 seconds to run."
    )


@given(st.integers(0, 3600))
def test_line_is_found_again_whatever_it_says(run: int) -> None:
    text = prerequisites.line(chapter(1, also="nothing. Really", run=run), [])
    page = f"Before.\n\n{text} The rest. It takes no time to run.\n\nAfter."
    assert prerequisites.LINE.findall(page) == [text]


@given(st.integers(0, 3600))
def test_time_to_run_is_rounded_to_what_another_machine_may_need(run: int) -> None:
    text = prerequisites.run_text(run)
    number, unit = text.replace("a minute", "1 minutes").split()
    said = int(number) * {"seconds": 1, "minutes": 60}[unit]
    assert abs(said - run) <= (5 if unit == "seconds" else 30)
    assert unit == "minutes" or said >= run  # seconds are rounded up


def test_the_claims_call_chapters_by_number_and_by_words_of_their_title() -> None:
    """Their table has little room, so a word may be left out, and no other may stand there."""
    chapters = {chapter.file: chapter for chapter in CHAPTERS}
    for file, words in claims.CHAPTERS.items():
        number, *short = words.split()
        assert int(number) == chapters[file].number
        title = iter(chapters[file].title.replace(",", "").split())
        assert all(word in title for word in short), words


# ---- counting ------------------------------------------------------------------------------------

PICTURE = new_output("display_data", data={"image/png": "aGk="})


def counted(*cells: NotebookNode) -> int:
    return measure_chapters.words(new_notebook(cells=list(cells)))


def code(source: str, *tags: str, outputs: tuple[NotebookNode, ...] = ()) -> NotebookNode:
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=list(outputs))


@given(st.lists(st.from_regex(r"[a-zé]+('s|-[a-z]+)?", fullmatch=True), max_size=30))
def test_prose_counts_its_words(words: list[str]) -> None:
    hyphens = sum(word.count("-") for word in words)  # both halves are read
    assert counted(new_markdown_cell(" ".join(words))) == len(words) + hyphens


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("See [two words](a/long/path_to.ipynb).", 3),
        ('<a href="#heatmap-one?d_model=64">two words</a>', 2),
        (":::{admonition} A question\n:class: dropdown\n\nAn answer.\n:::", 2),
        (":::{admonition} A title\n:class: tip\n\nA text.\n:::", 4),
        ("```{bibliography}\n:filter: docname in docnames\n```", 0),
        (
            "```{exercise-start} Recall\n:label: ex-a\n```\nCompute it.\n```{exercise-end}\n```",
            2,
        ),
        ("One\n\n$$\nx = \\frac{a}{b}\n$$\n\ntwo", 2 + measure_chapters.FORMULA),
    ],
)
def test_what_is_not_read_is_not_counted(text: str, count: int) -> None:
    assert counted(new_markdown_cell(text)) == count


def test_code_and_pictures_have_an_allowance_where_they_show() -> None:
    line, picture = measure_chapters.CODE_LINE, measure_chapters.PICTURE
    assert counted(code("a = 1\n\nb = 2", outputs=(PICTURE,))) == 2 * line + picture
    assert counted(code("a = 1", "hide-input", outputs=(PICTURE,))) == picture
    assert counted(code("a = 1", "remove-output", outputs=(PICTURE,))) == line
    assert counted(code("a = 1", "remove-cell", outputs=(PICTURE,))) == 0


def test_folded_solution_costs_nothing() -> None:
    start = new_markdown_cell(
        "```{solution-start} ex-a\n:class: dropdown\n```\n\nThree more words."
    )
    end = new_markdown_cell("And some words.\n\n```{solution-end}\n```")
    answer = code("a = 1", outputs=(PICTURE,))
    assert counted(start, answer, end) == 0
    assert counted(start, answer, end, new_markdown_cell("Two words.")) == 2


@given(st.integers(0, 20_000))
def test_minutes_are_within_the_step_they_are_rounded_to(count: int) -> None:
    exact, said = count / measure_chapters.WORDS_A_MINUTE, measure_chapters.minutes(count)
    assert abs(said - exact) <= (0.5 if 1 <= exact < 9.5 else 2.5)
    assert said >= 1


# ---- writing -------------------------------------------------------------------------------------


def test_numbers_go_into_one_entry_and_nothing_else(tmp_path: Path) -> None:
    path = book(tmp_path, {}, {"file": "02_two"}) / chapter_map.MAP
    text = path.read_text("utf-8")
    changed = measure_chapters.with_numbers(text, "02_two", read=20, run=7)
    first, second = text.split("- file: 02_two")
    kept, written = changed.split("- file: 02_two")
    assert kept == first
    assert written == second.replace("read: 1", "read: 20").replace("run: 1", "run: 7")


def test_chapter_without_an_entry_is_named(tmp_path: Path) -> None:
    text = (book(tmp_path, {}) / chapter_map.MAP).read_text("utf-8")
    with pytest.raises(ValueError, match="no entry for 03_three; add one"):
        measure_chapters.with_numbers(text, "03_three", read=1)


PAGE = """\
# Start here

**You need:** nothing. **Time:** typed by hand, a year to run. The rest stays.

| chapter | old |
|---|---|
| gone | gone |

After it."""


def test_measuring_writes_map_line_and_table_and_then_rests(tmp_path: Path) -> None:
    first = {"file": "00_start_here", "core": True, "also": "courage", "read": 9, "run": 3}
    book(tmp_path, first, notebook=PAGE)
    measure_chapters.measure(tmp_path, ["00_start_here"], run=False)
    (entry,) = chapter_map.load(tmp_path)
    text = nbformat.read(tmp_path / chapter_map.FIRST_PAGE, as_version=4).cells[0].source
    assert (entry.read, entry.run) == (1, 3)  # two dozen words; not run, so not touched
    assert prerequisites.line(entry, [entry]) + " The rest stays.\n" in text
    assert text.endswith(prerequisites.table([entry]) + "\nAfter it.")
    before = {path: path.read_bytes() for path in (tmp_path / "chapters").iterdir()}
    measure_chapters.measure(tmp_path, ["00_start_here"], run=False)
    assert before == {path: path.read_bytes() for path in (tmp_path / "chapters").iterdir()}


def test_chapter_without_a_place_for_its_line_is_named(tmp_path: Path) -> None:
    book(tmp_path, {"also": "courage"})
    with pytest.raises(ValueError, match=r"01_one\.ipynb must have one place for this line"):
        measure_chapters.measure(tmp_path, ["01_one"], run=False)


# ---- the drawing ---------------------------------------------------------------------------------


@st.composite
def books(draw: st.DrawFn) -> list[Chapter]:
    """Maps of any kind: the first chapter on the core path, each one building on earlier ones."""
    chapters = [chapter(0, core=True)]
    for number in range(1, draw(st.integers(1, 14))):
        earlier = st.lists(st.integers(0, number - 1), max_size=3, unique=True)
        needs = draw(earlier)
        helps = [n for n in draw(earlier) if n not in needs]
        core = draw(st.booleans())
        if core:  # the path is read from its beginning, so what it needs stands on it
            needs, helps = ([n for n in group if chapters[n].core] for group in (needs, helps))
        chapters.append(chapter(number, core=core, needs=tuple(needs), helps=tuple(helps)))
    return chapters


@given(books())
def test_no_two_boxes_share_a_place_and_the_core_path_goes_straight_down(
    chapters: list[Chapter],
) -> None:
    places = draw_map.places(chapters)
    assert len(set(places.values())) == len(places) == len(chapters)
    path = [places[c.number] for c in chapters if c.core]
    assert path == [(row, draw_map.SPINE) for row in range(len(path))]
    sides = {places[c.number][1] for c in chapters if not c.core}
    assert sides <= set(draw_map.SIDES)


@given(books())
def test_whoever_follows_the_drawing_has_read_what_a_chapter_needs(chapters: list[Chapter]) -> None:
    core = [c.number for c in chapters if c.core]
    ways = set(itertools.pairwise(core))
    ways |= {(start, end) for start, end, _ in draw_map.arrows(chapters)}
    for one in chapters:
        read, grown = {one.number}, True
        while grown:
            more = {start for start, end in ways if end in read} - read
            read, grown = read | more, bool(more)
        assert set(one.needs + one.helps) <= read


def test_arrow_that_follows_from_others_is_not_drawn() -> None:
    path = [chapter(n, core=True) for n in range(3)]
    chapters = [*path, chapter(3, needs=(0, 2)), chapter(4, needs=(1, 3), helps=(0,))]
    assert draw_map.arrows(chapters) == [(2, 3, "needs"), (3, 4, "needs")]


@given(books())
def test_no_arrow_runs_through_a_box(chapters: list[Chapter]) -> None:
    """However tall the boxes are: each may fill its row."""
    places = draw_map.places(chapters)
    rows = 1 + max(row for row, _ in places.values())
    half_width, half_height = draw_map.BOX / 2, 50 / rows
    for start, end, _ in draw_map.arrows(chapters):
        if draw_map.is_right_below(places[start], places[end]):
            continue  # it stands in the gap between two rows
        corners = draw_map.route(places[start], places[end], rows)
        for (x0, y0), (x1, y1) in itertools.pairwise(corners):
            assert x0 == pytest.approx(x1) or y0 == pytest.approx(y1)
            for place in places.values():
                x, y = draw_map.middle(place, rows)
                apart = max(min(x0, x1) - x, x - max(x0, x1)) >= half_width - 1e-6
                assert apart or max(min(y0, y1) - y, y - max(y0, y1)) >= half_height - 1e-6
