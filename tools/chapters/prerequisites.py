"""What a chapter needs first, in words: the line in each chapter, and the table on the first page.

Both are written into the notebooks by tools/measure_chapters.py, from chapters/map.yml.
"""

from __future__ import annotations

import re

from tools.chapters.chapter_map import FIRST_PAGE, Chapter

# In a chapter: one line, up to "to run."; what follows on the line is the author's.
LINE = re.compile(
    r"^\*\*You need(?: this first)?:\*\* .*?\*\*Time:\*\* .*?\bto run\.", re.MULTILINE
)
TABLE = re.compile(r"^\| chapter \|.*\n(?:\|.*(?:\n|\Z))+", re.MULTILINE)


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
