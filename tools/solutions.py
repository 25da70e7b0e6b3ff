"""The solutions in a notebook: folded for who runs it, left out for who hands it out.

    python tools/solutions.py [FOLDER]      (all worksheets; by default into _build/worksheets)

On the site a solution opens with a click (_ext/book_pages.py). JupyterLab, Notebook 7 and VS Code
show every cell, and the answer would stand right below its question; `make refresh` therefore marks
the cells of a solution as folded, in the metadata that these programs share.

A worksheet is a chapter without its solutions and without outputs, with a cell for an answer below
each exercise. The site has one for every chapter (_ext/book_worksheets.py).
"""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tools import chapter_map
from tools.common import ROOT, main_guard, say, write_atomically

START, END, ASKED = "{solution-start}", "{solution-end}", "{exercise-end}"
# A folded cell shows its first line, and the first line of an answer in words often is the answer.
COVER = "<!-- The solution in words -->"
FOLDED = {"source_hidden": True, "outputs_hidden": True}
ANSWER = "# Your answer"


def in_solution(notebook: NotebookNode) -> list[bool]:
    """Say for every cell whether it belongs to a solution, its first and last cell too."""
    inside = False
    belongs = []
    for cell in notebook.cells:
        text = cell.source if cell.cell_type == "markdown" else ""
        inside = inside or START in text
        belongs.append(inside)
        inside = inside and END not in text
    return belongs


def _says_something(cell: NotebookNode) -> bool:
    """Whether a cell of Markdown has words of its own, beside where a solution starts and ends."""
    lines = [line.strip() for line in cell.source.splitlines()]
    return any(line and not line.startswith(("`", ":", COVER)) for line in lines)


def fold(notebook: NotebookNode) -> None:
    """Mark what a solution says as folded, and nothing else, in place."""
    for cell, belongs in zip(notebook.cells, in_solution(notebook), strict=True):
        view = dict(cell.metadata.pop("jupyter", {}))
        for key in FOLDED:
            view.pop(key, None)
        if belongs and cell.cell_type == "code":
            view |= FOLDED
        elif belongs and _says_something(cell):
            view["source_hidden"] = True
            if START not in cell.source and not cell.source.startswith(COVER):
                cell.source = f"{COVER}\n\n{cell.source}"
        if view:
            cell.metadata["jupyter"] = view


def worksheet(notebook: NotebookNode) -> NotebookNode:
    """Return a copy to hand out: no solution, no output, and a cell for every answer."""
    copy = deepcopy(notebook)
    kept = [
        cell for cell, belongs in zip(copy.cells, in_solution(copy), strict=True) if not belongs
    ]
    copy.cells = []
    for cell, below in zip(kept, [*kept[1:], None], strict=True):
        copy.cells.append(cell)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        elif ASKED in cell.source and (below is None or "check(" not in below.source):
            copy.cells.append(new_code_cell(ANSWER, id=f"{cell.id}-answer"))
    return copy


def worksheets(root: Path = ROOT) -> dict[str, bytes]:
    """Return the worksheet of every chapter, by the name of its file."""
    found = {}
    for name in chapter_map.listed(root):
        notebook = nbformat.read(root / "chapters" / f"{name}.ipynb", as_version=4)
        found[f"{name}.ipynb"] = (nbformat.writes(worksheet(notebook)).rstrip("\n") + "\n").encode()
    return found


def main() -> int:
    """Write all worksheets into a folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "worksheets"
    folder.mkdir(parents=True, exist_ok=True)
    made = worksheets()
    for name, text in made.items():
        write_atomically(folder / name, text)
    say("worksheets", f"{len(made)} chapters without solutions, in {folder}")
    return 0


if __name__ == "__main__":
    main_guard(main)
