"""Measure how long the chapters take, and write it where readers see it.

    python -m tools.measure_chapters [NOTEBOOK ...]          (reading; without names: all chapters)
    python -m tools.measure_chapters --run [NOTEBOOK ...]    (execute them too, and time that)

The numbers go into chapters/map.yml. From it the line "You need this first" is written into these
chapters, and the table into the first page. Without names this also brings to the pages whatever
else was edited in the map.

Reading is counted, not clocked: WORDS_A_MINUTE words of prose, with an allowance in words for what
is looked at rather than read. What a page folds away is not counted (answers, solutions, code that
is hidden), and neither is the time that an exercise takes to solve. Running is the processor time
of a fresh kernel for all cells: chapters compute on one thread, so that is what a clock shows on a
machine that does nothing else, and it changes little on one that does.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.chapters import chapter_map, prerequisites
from tools.chapters.markdown_cells import parts
from tools.chapters.solutions import in_solution
from tools.machine.common import ROOT, log, main_guard, write_atomically

WORDS_A_MINUTE = 200
# In words: what one looks at takes time as well. A judgement, not a measurement.
CODE_LINE, FORMULA, PICTURE = 4, 40, 60

HIDDEN_INPUT = {"remove-cell", "hide-cell", "remove-input", "hide-input"}
HIDDEN_OUTPUT = {"remove-cell", "hide-cell", "remove-output", "hide-output"}

WORD = re.compile(r"[^\W_][\w'’]*")


# ---- reading -------------------------------------------------------------------------------------


def words(notebook: NotebookNode) -> int:
    """Return the words a reader meets in a chapter, with the allowance for what is no prose."""
    count = 0
    for cell, folded in zip(notebook.cells, in_solution(notebook), strict=True):
        if folded:
            continue
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "markdown":
            for part in parts(cell.source):
                if part.kind == "display" and not part.folded:
                    count += FORMULA
                elif part.kind != "picture" and not part.folded:
                    count += len(WORD.findall(part.text or ""))
        elif cell.cell_type == "code":
            if not tags & HIDDEN_INPUT:
                count += CODE_LINE * sum(bool(line.strip()) for line in cell.source.splitlines())
            if not tags & HIDDEN_OUTPUT:
                count += PICTURE * sum(
                    bool({"image/png", "text/html"} & set(output.get("data", {})))
                    for output in cell.outputs
                )
    return count


def minutes(count: int) -> int:
    """Return the minutes for so many words, from ten on in steps of five."""
    exact = count / WORDS_A_MINUTE
    return max(1, round(exact)) if exact < 10 else 5 * round(exact / 5)


# ---- running -------------------------------------------------------------------------------------


def processor_time() -> float:
    """Return the seconds of processor time that ended child processes have used so far."""
    try:
        import resource
    except ImportError:  # Windows does not keep the account; a clock has to do
        return time.monotonic()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds(path: Path) -> int:
    """Execute a chapter in a fresh kernel and return the processor time that took."""
    from tools import refresh

    notebook = refresh.read(path)
    with tempfile.TemporaryDirectory() as profile:
        refresh.prepare_worker(profile)
        start = processor_time()
        refresh.execute(notebook, path.parent, path.name)
        return max(1, round(processor_time() - start))


# ---- writing -------------------------------------------------------------------------------------


def with_numbers(text: str, file: str, **numbers: int) -> str:
    """Return the text of the map with these numbers in the entry of a chapter.

    Raises:
        ValueError: the map has no such entry, or the entry no such line.
    """
    entry = re.search(rf"(?ms)^- file: {re.escape(file)}$.*?(?=^- file: |\Z)", text)
    if not entry:
        raise ValueError(f"{chapter_map.MAP} has no entry for {file}; add one, as the others are.")
    changed = entry[0]
    for key, number in numbers.items():
        changed, found = re.subn(rf"(?m)^  {key}: \d+", f"  {key}: {number}", changed)
        if not found:
            raise ValueError(f"{chapter_map.MAP}: the entry of {file} has no line `{key}:`.")
    return text[: entry.start()] + changed + text[entry.end() :]


def rewrite(path: Path, pattern: re.Pattern[str], replacement: str) -> bool:
    """Put a text in the place of the one match of a pattern in a notebook's prose.

    Returns whether the notebook has changed.

    Raises:
        ValueError: there is no such place, or more than one.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "markdown" and pattern.search(cell.source)
    ]
    if len(cells) != 1 or len(pattern.findall(cells[0].source)) != 1:
        raise ValueError(
            f"{path.name} must have one place for this line, in a text cell:\n  {replacement}"
        )
    (cell,) = cells
    source = pattern.sub(lambda _: replacement, cell.source)
    if source == cell.source:
        return False
    cell.source = source
    write_atomically(path, (nbformat.writes(notebook).rstrip("\n") + "\n").encode())
    return True


def write_pages(root: Path, files: list[str]) -> None:
    """Write the map's entries into these chapters, and into the first page's table."""
    chapters = chapter_map.load(root)
    for chapter in (chapter for chapter in chapters if chapter.file in files):
        path = root / "chapters" / f"{chapter.file}.ipynb"
        if rewrite(path, prerequisites.LINE, prerequisites.line(chapter, chapters)):
            log("measure", f"rewritten chapters/{path.name}: what is needed first, and the times")
    if rewrite(root / chapter_map.FIRST_PAGE, prerequisites.TABLE, prerequisites.table(chapters)):
        log("measure", f"rewritten {chapter_map.FIRST_PAGE}: the table of chapters")


def measure(root: Path, files: list[str], run: bool) -> None:
    """Measure these chapters, and bring the map and all pages up to date."""
    path = root / chapter_map.MAP
    for file in files:
        source = root / "chapters" / f"{file}.ipynb"
        numbers = {"read": minutes(words(nbformat.read(source, as_version=4)))}
        if run:
            took = seconds(source)
            log("measure", f"chapters/{source.name} ran for {took} s")
            known = next(c for c in chapter_map.load(root) if c.file == file)
            # a measurement that gives the same words changes nothing
            if prerequisites.run_text(took) != prerequisites.run_text(known.run):
                numbers["run"] = took
        text = path.read_text(encoding="utf-8")
        changed = with_numbers(text, file, **numbers)
        if changed != text:
            write_atomically(path, changed.encode())
            log("measure", f"{chapter_map.MAP}: {file} {numbers}")
    write_pages(root, files)


def main() -> int:
    """Measure the notebooks named, or all chapters in the map."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", action="store_true", help="execute and time them too")
    parser.add_argument("notebooks", nargs="*", type=Path)
    options = parser.parse_args()
    try:
        names = [path.stem for path in options.notebooks]
        measure(ROOT, names or [c.file for c in chapter_map.load(ROOT)], options.run)
    except ValueError as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    main_guard(main)
