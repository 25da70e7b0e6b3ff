"""The map of the book: the content of chapters/map.yml, and the words that are made from it.

Three things on the pages come from that one file, so that no two of them can disagree: the line
"You need this first" in every chapter, the table of chapters on the first page, and the map above
it (_ext/book_map.py draws it). Titles come from the notebooks.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import yaml

MAP = "chapters/map.yml"
FIRST_PAGE = "chapters/00_start_here.ipynb"
NAME = re.compile(r"(\d\d)_\w+")

# In a chapter: one line, up to "to run."; what follows on the line is the author's.
LINE = re.compile(
    r"^\*\*You need(?: this first)?:\*\* .*?\*\*Time:\*\* .*?\bto run\.", re.MULTILINE
)
TABLE = re.compile(r"^\| chapter \|.*\n(?:\|.*(?:\n|\Z))+", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Chapter:
    """One chapter, as chapters/map.yml describes it."""

    file: str
    title: str
    core: bool
    takes: str
    teaches: tuple[str, ...]
    read: int  # minutes
    run: int  # seconds
    needs: tuple[int, ...] = ()
    helps: tuple[int, ...] = ()
    also: str = ""

    @property
    def number(self) -> int:
        """The number that the file's name begins with."""
        return int(self.file[:2])


# ---- reading -------------------------------------------------------------------------------------


def title_of(path: Path) -> str:
    """Return the title of a notebook: its first heading."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join(cells[0]["source"])
    return text.partition("\n")[0].removeprefix("# ").strip()


def _chapter(entry: dict[str, Any], root: Path) -> Chapter:
    known = {field.name for field in dataclasses.fields(Chapter)} - {"title"}
    file = str(entry.get("file", ""))
    if not NAME.fullmatch(file):
        raise ValueError(
            f"{MAP}: file is {file!r}; it must be a chapter's name, without folder and ending."
        )
    for key in entry.keys() - known:
        raise ValueError(f"{MAP}: {file} has {key!r}, which is none of {', '.join(sorted(known))}.")
    for key in ("core", "takes", "teaches", "read", "run"):
        if key not in entry:
            raise ValueError(f"{MAP}: {file} lacks {key!r}.")
    path = root / "chapters" / f"{file}.ipynb"
    if not path.is_file():
        raise ValueError(f"{MAP}: there is no {path.relative_to(root).as_posix()}; remove it here.")
    lists = {key: tuple(entry.get(key, ())) for key in ("needs", "helps", "teaches")}
    return Chapter(**{**entry, **lists, "title": title_of(path)})


def load(root: Path) -> list[Chapter]:
    """Return the chapters of the book under `root`, in reading order.

    Raises:
        ValueError: the file contradicts itself or the folder; the message says where.
    """
    entries = yaml.safe_load((root / MAP).read_text(encoding="utf-8"))["chapters"]
    chapters = [_chapter(entry, root) for entry in entries]
    numbers = [chapter.number for chapter in chapters]
    if numbers != sorted(set(numbers)):
        raise ValueError(
            f"{MAP}: the chapters must stand in the order of their numbers, each once."
        )
    for chapter in chapters:
        for other in chapter.needs + chapter.helps:
            if other not in numbers or other >= chapter.number:
                raise ValueError(
                    f"{MAP}: {chapter.file} names chapter {other}, which is not an earlier one."
                )
    return chapters


def listed(root: Path) -> list[str]:
    """Return the chapters in the order of _toc.yml, by file name; other pages are left out."""
    contents = (root / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"(?m)^[\s-]*(?:root|file): chapters/(\d\d_\w+)\s*$", contents)


# ---- words ---------------------------------------------------------------------------------------


def run_text(seconds: int) -> str:
    """Return in words how long the cells run, rounded, because the next machine is another."""
    if seconds <= 45:
        return f"{max(5, -(-seconds // 5) * 5)} seconds"
    minutes = round(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def link(chapter: Chapter) -> str:
    """Return a link from one chapter's notebook to another chapter."""
    return f"[{chapter.title}]({chapter.file}.ipynb)"


def in_words(items: list[str]) -> str:
    """Join items as a sentence does: a; a and b; a, b and c."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def first_needed(chapter: Chapter, chapters: list[Chapter]) -> str:
    """Return in Markdown what a chapter builds on, with links."""
    by_number = {other.number: other for other in chapters}
    parts = []
    if chapter.needs:
        parts.append(in_words([link(by_number[number]) for number in chapter.needs]))
    if chapter.also:
        parts.append(chapter.also)
    if chapter.helps:
        verb = "helps" if len(chapter.helps) == 1 else "help"
        parts.append(f"{in_words([link(by_number[number]) for number in chapter.helps])} {verb}")
    return "; ".join(parts)


def line(chapter: Chapter, chapters: list[Chapter]) -> str:
    """Return the line of a chapter with what it needs and how long it takes."""
    return (
        f"**You need this first:** {first_needed(chapter, chapters)}. "
        f"**Time:** about {chapter.read} minutes to read and {run_text(chapter.run)} to run."
    )


def table(chapters: list[Chapter]) -> str:
    """Return the table of chapters for the first page."""
    rows = ["| chapter | what you take from it | needs |", "|---|---|---|"]
    for chapter in chapters:
        mark = "● " if chapter.core else ""
        name = chapter.title if f"chapters/{chapter.file}.ipynb" == FIRST_PAGE else link(chapter)
        needs = ", ".join(map(str, chapter.needs)) or "–"
        rows.append(f"| {mark}{chapter.number} {name} | {chapter.takes} | {needs} |")
    return "\n".join(rows) + "\n"


# ---- the drawing ---------------------------------------------------------------------------------

SPINE, SIDES = 1, (0, 2)  # columns: the core path in the middle, the others left and right of it


def places(chapters: list[Chapter]) -> dict[int, tuple[int, int]]:
    """Return the row and the column at which the map shows each chapter.

    The core path goes straight down the middle. Another chapter is next to the last chapter it
    builds on, or below it where that one is at a side itself, or further down where the place is
    taken.
    """
    found = {
        chapter.number: (row, SPINE)
        for row, chapter in enumerate(chapter for chapter in chapters if chapter.core)
    }
    for chapter in chapters:
        if chapter.core:
            continue
        behind = [found[number] for number in chapter.needs + chapter.helps] or [(0, SPINE)]
        row = max(row + (column != SPINE) for row, column in behind)
        aside = max(((row, column) for row, column in behind if column != SPINE), default=None)
        sides = (aside[1],) if aside else SIDES
        taken = set(found.values())
        free = {
            side: next(at for at in range(row, row + 99) if (at, side) not in taken)
            for side in sides
        }
        side = min(free, key=lambda side: (free[side], -side))
        found[chapter.number] = (free[side], side)
    return found


def arrows(chapters: list[Chapter]) -> list[tuple[int, int, str]]:
    """Return what the map draws between chapters: (from, to, "needs" or "helps").

    The core path is a line of its own. What follows from the rest of the drawing is left out: who
    comes from chapter 4 along the path has read chapter 3.
    """
    core = [chapter.number for chapter in chapters if chapter.core]
    before: dict[int, set[int]] = {}  # all that has been read once a chapter is reached
    drawn = []
    for chapter in chapters:
        if chapter.core:
            before[chapter.number] = set(core[: core.index(chapter.number)])
            continue
        named = {number: "helps" for number in chapter.helps}
        named |= {number: "needs" for number in chapter.needs}
        implied = set().union(*(before[number] for number in named))
        drawn += [(n, chapter.number, named[n]) for n in sorted(named) if n not in implied]
        before[chapter.number] = implied | set(named)
    return drawn
