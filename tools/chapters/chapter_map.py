"""The map of the book: the content of chapters/map.yml.

Three things on the pages come from that one file, so that no two of them can disagree: the line
"You need this first" in every chapter and the table of chapters on the first page
(prerequisites.py), and the map above that (_ext/draw_map.py). Titles come from the notebooks.
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
