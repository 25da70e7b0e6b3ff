"""Solutions: folded where a notebook is run, and left out of what is handed to a class."""

from __future__ import annotations

import ast
import builtins
import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.chapters import notebook_rules, solutions
from tools.chapters.solutions import fold, in_solution, number, worksheet

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))

OPENING = "```{solution-start} ex-a\n:class: dropdown\n```"
CLOSING = "```{solution-end}\n```"


def notebook(*cells: NotebookNode) -> NotebookNode:
    return nbformat.from_dict(new_notebook(cells=list(cells)))


def chapter() -> NotebookNode:
    """A question with a check, its solution, and a question without."""
    out = [new_output("stream", text="6\n")]
    return notebook(
        new_markdown_cell(
            "# A\n\n```{exercise-start} Recall\n```\n\nWhat?\n\n```{exercise-end}\n```"
        ),
        new_code_cell('check("ex-a", None)', execution_count=1, outputs=out),
        new_markdown_cell(OPENING),
        new_code_cell("print(2 * 3)", execution_count=2, outputs=out),
        new_markdown_cell(f"Six, of course.\n\n{CLOSING}"),
        new_markdown_cell("```{exercise-start} Explore\n```\n\nWhy?\n\n```{exercise-end}\n```"),
        new_markdown_cell(OPENING),
        new_code_cell("print(3 * 2)", execution_count=3, outputs=out),
        new_markdown_cell(CLOSING),
        new_markdown_cell("## Live lab"),
        new_code_cell("print(6)", execution_count=4, outputs=out),
    )


def test_a_solution_goes_from_its_first_cell_to_its_last() -> None:
    assert [at for at, inside in enumerate(in_solution(chapter())) if inside] == [2, 3, 4, 6, 7, 8]


def test_a_solution_may_be_one_cell() -> None:
    one = notebook(
        new_markdown_cell("A"),
        new_markdown_cell(f"{OPENING}\n\nSix.\n\n{CLOSING}"),
        new_markdown_cell("B"),
    )
    assert in_solution(one) == [False, True, False]


def test_code_that_mentions_a_solution_opens_none() -> None:
    assert in_solution(notebook(new_code_cell('"{solution-start}"'))) == [False]


def level(cell: NotebookNode) -> int:
    """The level of the highest heading in a cell of Markdown as JupyterLab reads it, or 7."""
    if cell.cell_type != "markdown":
        return 7
    fences = re.compile(r"^(`{3,}).*?^\1", re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(#+) |<h(\d)", fences.sub("", cell.source), re.MULTILINE)
    return min([7, *(len(marks) or int(number) for marks, number in found)])


def seen(notebook: NotebookNode) -> list[bool]:
    """Say for every cell whether JupyterLab shows it: what a collapsed heading covers, it does not.

    The heading's own cell stays, and all goes on at the next heading of its level or above.
    """
    shown, covered = [], 7
    for cell in notebook.cells:
        if level(cell) <= covered and level(cell) < 7:
            covered = 7
        shown.append(covered == 7)
        if covered == 7 and cell.metadata.get("jp-MarkdownHeadingCollapsed"):
            covered = level(cell)
    return shown


def beside_directives(cell: NotebookNode) -> str:
    """What a cell says beside the lines of its directives and comments."""
    lines = cell.source.splitlines()
    return "".join(line for line in lines if not line.startswith(("`", ":", "%")))


def test_folded_is_what_a_solution_says_and_nothing_else() -> None:
    folded = chapter()
    assert all(seen(folded))
    fold(folded)
    assert [at for at, shown in enumerate(seen(folded)) if not shown] == [3, 4, 7, 8]


def test_folding_again_changes_nothing() -> None:
    once = chapter()
    fold(once)
    twice = deepcopy(once)
    fold(twice)
    assert twice == once


def test_what_is_no_solution_any_more_opens_again() -> None:
    moved = chapter()
    fold(moved)
    moved.cells[2].source = "# Another section"
    fold(moved)
    assert all(seen(moved)[:5])


def test_other_settings_of_a_cell_are_kept() -> None:
    one = notebook(
        new_code_cell("1", metadata={"jupyter": {"other": 1, "source_hidden": True}, "tags": ["a"]})
    )
    fold(one)
    assert one.cells[0].metadata == {"jupyter": {"other": 1}, "tags": ["a"]}


def test_open_solution_breaks_a_rule_and_a_folded_one_does_not() -> None:
    one = chapter()
    assert any("run make refresh" in said for said in notebook_rules.folded(one))
    fold(one)
    assert notebook_rules.folded(one) == []


def test_words_beside_the_opening_of_a_solution_break_a_rule() -> None:
    one = chapter()
    one.cells[6].source += "\n\nBecause of this:"
    fold(one)
    (said,) = notebook_rules.folded(one)
    assert said.startswith("cell 7: a solution begins here, and its words are seen")


def test_a_cell_that_would_be_folded_with_a_solution_breaks_a_rule() -> None:
    one = chapter()
    one.cells[9].source = "Now for something else."
    fold(one)
    (said,) = notebook_rules.folded(one)
    assert said.startswith("cell 10: it is below a solution and would be folded with it")


def asking(*numbers: str) -> NotebookNode:
    """A notebook of exercises with these numbers, "" for none, and a cell between them."""
    cells = []
    for place, written in enumerate(numbers):
        line = written and f":enumerator: {written}\n"
        text = f"```{{exercise-start}} Recall\n:label: ex-{place}\n{line}```\n\nWhat is 4.1?"
        cells += [new_markdown_cell(text, id=f"a{place}"), new_code_cell("4.1", id=f"b{place}")]
    return notebook(*cells)


@pytest.mark.parametrize("numbers", [("", ""), ("4.2", "4.1"), ("3.1", "3.2"), ("4.1", "")])
def test_exercises_are_numbered_by_chapter_in_their_order(numbers: tuple[str, str]) -> None:
    one = asking(*numbers)
    assert notebook_rules.numbered(one) or numbers == ("3.1", "3.2")
    number(one, 4)
    assert one == asking("4.1", "4.2")
    assert notebook_rules.numbered(one) == []


def test_worksheet_asks_everything_and_answers_nothing() -> None:
    sheet = worksheet(chapter())
    assert [cell.source.split("\n")[-1] for cell in sheet.cells] == [
        "```",
        'check("ex-a", None)',
        "```",
        solutions.WRITTEN_ANSWER.split("\n")[-1],
        "## Live lab",
        "print(6)",
    ]
    assert not any(cell.get("outputs") for cell in sheet.cells)
    nbformat.validate(sheet)


@pytest.mark.parametrize(
    ("grade", "kind"),
    [
        ("Recall", "markdown"),
        ("Prove", "markdown"),
        ("Explore", "markdown"),
        ("Apply", "code"),
        ("Build", "code"),
        ("Mend", "code"),
    ],
)
def test_what_is_told_is_answered_in_text_and_what_is_made_in_code(grade: str, kind: str) -> None:
    asked = f"```{{exercise-start}} {grade}\n:label: ex-b\n```\n\nWhy?\n\n```{{exercise-end}}\n```"
    below = worksheet(notebook(new_markdown_cell(asked), new_code_cell("x = 1"))).cells[1]
    assert below.cell_type == kind
    assert "Your answer" in below.source


def test_exercise_with_a_check_gets_no_second_place_for_its_answer() -> None:
    sheet = worksheet(chapter())
    assert sum("Your answer" in cell.source for cell in sheet.cells) == 1


LINKS = "See [one](01_a.ipynb#here), [page [2]](reference/b.md#there), [out](https://a.org/c.md)."


def test_worksheet_links_to_worksheets_and_to_pages_that_are_public() -> None:
    one = notebook(new_markdown_cell(LINKS))
    (cell,) = worksheet(one, "https://a.org/book/", ["01_a"]).cells
    assert cell.source == LINKS.replace(
        "(reference/b.md#there)", "(https://a.org/book/chapters/reference/b.html#there)"
    )


def test_worksheet_names_a_page_that_is_not_public_without_a_link() -> None:
    (cell,) = worksheet(notebook(new_markdown_cell(LINKS)), "", ["01_a"]).cells
    assert cell.source == LINKS.replace("[page [2]](reference/b.md#there)", "page [2]")


def test_worksheet_leaves_the_chapter_as_it_was() -> None:
    one = chapter()
    before = deepcopy(one)
    worksheet(one)
    assert one == before


# ---- the book's ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_answer_of_the_book_shows_before_it_is_opened(path: Path) -> None:
    """Of a solution one cell is left, and it says nothing; of all else every cell is seen."""
    chapter = nbformat.read(path, as_version=4)
    said = [
        beside_directives(cell) if belongs else None
        for cell, belongs, shown in zip(
            chapter.cells, in_solution(chapter), seen(chapter), strict=True
        )
        if shown
    ]
    assert {text for text in said if text is not None} == {""}
    assert said.count(None) == in_solution(chapter).count(False)


def test_every_chapter_has_a_worksheet() -> None:
    assert set(solutions.worksheets(ROOT)) == {path.name for path in CHAPTERS}


@pytest.fixture(scope="module")
def sheets() -> dict[str, NotebookNode]:
    made = solutions.worksheets(ROOT)
    return {name: nbformat.reads(text.decode(), as_version=4) for name, text in made.items()}


def headings(sheet: NotebookNode) -> set[str]:
    """The names that JupyterLab gives the headings of a notebook."""
    text = "\n".join(cell.source for cell in sheet.cells if cell.cell_type == "markdown")
    return {line.replace(" ", "-") for line in re.findall(r"(?m)^#+ (.+)$", text)}


def test_every_link_in_a_worksheet_leads_somewhere(sheets: dict[str, NotebookNode]) -> None:
    for name, sheet in sheets.items():
        for cell in sheet.cells:
            if cell.cell_type != "markdown":
                continue
            # also of pictures, definitions and HTML; a place in the page itself begins with #
            targets = re.findall(r"\]\(([^()\s]+)", cell.source)
            targets += re.findall(r"(?m)^\[[^\]]+\]:\s*(\S+)", cell.source)
            targets += re.findall(r"(?:href|src)=[\"']([^\"']+)", cell.source)
            assert not re.search(r"\{(?:ref|doc|numref|download)\}`", cell.source)
            for target in targets:
                path, _, place = target.partition("#")
                if path and not re.match(r"https?://", path):
                    assert path in sheets, f"{name}: {target}"
                    assert not place or place in headings(sheets[path]), f"{name}: {target}"


def test_worksheet_does_not_speak_of_solutions_it_has_not(sheets: dict[str, NotebookNode]) -> None:
    for name, sheet in sheets.items():
        text = "\n".join(cell.source for cell in sheet.cells if cell.cell_type == "markdown")
        exercises = text.partition("\n## Exercises\n")[2].partition("\n## ")[0]
        assert exercises.strip(), name
        said = re.sub(r"```\{exercise-start\}.*?```\{exercise-end\}", "", exercises, flags=re.S)
        assert "olution" not in said, name
        assert "In a notebook," not in said, name


def names(cells: list[NotebookNode], kind: type[ast.expr_context]) -> set[str]:
    """The names that code cells load or bind."""
    found: set[str] = set()
    for cell in cells:
        for part in ast.walk(ast.parse(cell.source)):
            if isinstance(part, ast.Name) and isinstance(part.ctx, kind):
                found.add(part.id)
            if kind is ast.Store and isinstance(part, ast.FunctionDef | ast.ClassDef | ast.arg):
                found.add(part.arg if isinstance(part, ast.arg) else part.name)
            if kind is ast.Store and isinstance(part, ast.ExceptHandler) and part.name:
                found.add(part.name)
            if kind is ast.Store and isinstance(part, ast.Import | ast.ImportFrom):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in part.names}
    return found


def unknown(sheet: NotebookNode) -> set[str]:
    """What the code of a worksheet uses and nothing in it makes."""
    code = [cell for cell in sheet.cells if cell.cell_type == "code"]
    return names(code, ast.Load) - names(code, ast.Store) - set(dir(builtins))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_worksheet_needs_nothing_that_only_a_solution_makes(path: Path) -> None:
    sheet = worksheet(nbformat.read(path, as_version=4))
    nbformat.validate(sheet)
    assert unknown(sheet) == set()
    assert not any("{solution" in cell.source for cell in sheet.cells)


def test_a_name_that_only_a_solution_makes_is_seen() -> None:
    one = chapter()
    one.cells[1].source = "one = 1"
    one.cells[3].source = "six = 6"
    one.cells[-1].source = "print(six)"
    assert unknown(worksheet(one)) == {"six"}
