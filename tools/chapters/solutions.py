"""The solutions in a notebook: folded for who runs it, left out for who hands it out.

    python -m tools.chapters.solutions [FOLDER]      (all worksheets, into _build/worksheets)

On the site a solution opens with a click (_ext/book_pages.py). JupyterLab and Notebook 7 show every
cell, and the answer would be right below its question. `make refresh` therefore puts each
solution under a heading that is collapsed. (To hide the source and the outputs of its cells is not
enough: a hidden source shows its first line, and a cell that is run shows its outputs again. What
is under a collapsed heading stays hidden, also when all cells are run, and one click opens it.)

A worksheet is a chapter without its solutions and without outputs, with a cell for an answer below
each exercise: for text below what is to be proved or explained, for code below the rest. It does
not mention solutions, and its links lead to the other worksheets; the book's pages it links to only
where they have a public address. The site has one for every chapter (_ext/book_worksheets.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from tools.chapters import chapter_map
from tools.chapters.address import read_address
from tools.machine.common import ROOT, log, main_guard, write_atomically

START, END = "{solution-start}", "{solution-end}"
ASK, ASKED = "{exercise-start}", "{exercise-end}"
# Headings for the notebook alone: to MyST, here and in JupyterLab, a line after % is a comment. A
# solution lasts until the next heading of its level or above, so every exercise has one as well.
# Neither shows in JupyterLab's table of contents.
EXERCISE = '% <h4 class="jp-toc-ignore">Exercise</h4>'
SOLUTION = '% <h5 class="jp-toc-ignore">Solution</h5>'
COLLAPSED = "jp-MarkdownHeadingCollapsed"
HIDDEN = ("source_hidden", "outputs_hidden")
ANSWER = "# Your answer"
# A double click opens it. MyST shows a comment nowhere, and Markdown an empty cell as a hint.
WRITTEN_ANSWER = "**Your answer**\n\n<!-- Write here; for a test by code, add a cell below. -->"
# The first lines of an exercise, and its number after them, where it has one.
HEAD = re.compile(r"(\{exercise-start\}[^\n]*\n:label: \S+\n)(?::enumerator: \S+\n)?")
WRITTEN = re.compile(r"\{exercise-start\}\s*(?:Recall|Prove|Explore)\b")
# Sentences of a chapter about its solutions, and those of a worksheet in their place.
SENTENCES = (
    (
        re.compile(r"Try each before you open its solution\b[^.]*\."),
        "Answer each in the cell below it.",
    ),
    (re.compile(r"\bIn a notebook, `check` says\b"), "`check` says"),
)
# [words](page) or [words](page#place), a page of this book.
LINK = re.compile(
    r"(?<!!)\[(?P<words>(?:[^\[\]]|\[[^\[\]]*\])*)\]"
    r"\((?P<page>(?![a-z]+:)[^()\s#]+)\.(?:md|ipynb)(?P<place>#[^()\s]*)?\)"
)


def in_solution(notebook: NotebookNode) -> list[bool]:
    """Return for every cell whether it belongs to a solution, its first and last cell too."""
    inside = False
    belongs = []
    for cell in notebook.cells:
        text = cell.source if cell.cell_type == "markdown" else ""
        inside = inside or START in text
        belongs.append(inside)
        inside = inside and END not in text
    return belongs


def fold(notebook: NotebookNode) -> None:
    """Put every solution under a collapsed heading, and fold nothing else, in place."""
    for cell in notebook.cells:
        view = {k: v for k, v in cell.metadata.pop("jupyter", {}).items() if k not in HIDDEN}
        if view:
            cell.metadata["jupyter"] = view
        cell.metadata.pop(COLLAPSED, None)
        if cell.cell_type != "markdown":
            continue
        if START in cell.source:
            cell.metadata[COLLAPSED] = True
        for mark, heading in ((ASK, EXERCISE), (START, SOLUTION)):
            if mark in cell.source and not cell.source.startswith(heading):
                cell.source = f"{heading}\n\n{cell.source}"


def number(notebook: NotebookNode, chapter: int) -> None:
    """Number a chapter's exercises by their order, 4.1, 4.2 and so on, in place."""
    asked = [
        cell for cell in notebook.cells if cell.cell_type == "markdown" and HEAD.search(cell.source)
    ]
    for place, cell in enumerate(asked, 1):
        cell.source = HEAD.sub(rf"\1:enumerator: {chapter}.{place}\n", cell.source, count=1)


HEADING = re.compile(r"^#{1,4} ", re.MULTILINE)


def seen_when_folded(notebook: NotebookNode) -> list[str]:
    """Return the parts of solutions outside of their folds, and the foreign cells inside them."""
    problems = []
    inside = [*in_solution(notebook), False]
    for at, cell in enumerate(notebook.cells):
        if not inside[at]:
            continue
        words = [line for line in cell.source.splitlines() if not line.startswith(("`", ":", "%"))]
        if START in cell.source and cell.cell_type == "markdown" and any(map(str.strip, words)):
            problems.append(
                f"cell {at + 1}: a solution begins here, and its words are seen before it is "
                "opened; move them to the next cell"
            )
        below = notebook.cells[at + 1] if at + 1 < len(notebook.cells) else None
        if below is not None and not inside[at + 1]:
            text = below.source if below.cell_type == "markdown" else ""
            if not text.startswith(EXERCISE) and not HEADING.match(text):
                problems.append(
                    f"cell {at + 2}: it is below a solution and would be folded with it; begin "
                    "it with a heading (## or ###), or move it up"
                )
    return problems


def _lead_to(site: str, names: list[str]) -> Callable[[re.Match[str]], str]:
    """Return the replacement of a link in a worksheet: to a worksheet, to the site, or words."""

    def link(found: re.Match[str]) -> str:
        if found["page"] in names:
            return found[0]
        if not site:
            return found["words"]
        return f"[{found['words']}]({site}chapters/{found['page']}.html{found['place'] or ''})"

    return link


def worksheet(notebook: NotebookNode, site: str = "", names: Iterable[str] = ()) -> NotebookNode:
    """Return a copy to hand out: no solution, no output, and a cell for every answer.

    Args:
        notebook: The chapter.
        site: Where the book is public, with a slash at the end; "" where it is not.
        names: The chapters that there are worksheets of, without `.ipynb`.
    """
    copy = deepcopy(notebook)
    kept = [
        cell for cell, belongs in zip(copy.cells, in_solution(copy), strict=True) if not belongs
    ]
    link = _lead_to(site, list(names))
    copy.cells = []
    for cell, below in zip(kept, [*kept[1:], None], strict=True):
        copy.cells.append(cell)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            continue
        judged = below is not None and below.cell_type == "code" and "check(" in below.source
        if ASKED in cell.source and not judged:
            name = f"{cell.id}-answer"
            answer = (
                new_markdown_cell(WRITTEN_ANSWER, id=name)
                if WRITTEN.search(cell.source)
                else new_code_cell(ANSWER, id=name)
            )
            copy.cells.append(answer)
        for sentence, instead in SENTENCES:
            cell.source = sentence.sub(instead, cell.source)
        cell.source = LINK.sub(link, cell.source)
    return copy


def worksheets(root: Path = ROOT) -> dict[str, bytes]:
    """Return the worksheet of every chapter, by the name of its file."""
    found = {}
    names = chapter_map.listed(root)
    site = read_address(root).site
    for name in names:
        notebook = nbformat.read(root / "chapters" / f"{name}.ipynb", as_version=4)
        sheet = worksheet(notebook, site, names)
        found[f"{name}.ipynb"] = (nbformat.writes(sheet).rstrip("\n") + "\n").encode()
    return found


def main() -> int:
    """Write all worksheets into a folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "worksheets"
    folder.mkdir(parents=True, exist_ok=True)
    made = worksheets()
    for name, text in made.items():
        write_atomically(folder / name, text)
    log("worksheets", f"{len(made)} chapters without solutions, in {folder}")
    return 0


if __name__ == "__main__":
    main_guard(main)
