"""Draws the chapters as a map.

The map is an ordered list of links in the order of the numbers, which is what a keyboard and a
screen reader meet. Style lays the list out as a map where there is room, and as a list with a line
along the core path on a phone. The lines between the boxes are decoration (`aria-hidden`): each
box has in words what it needs. All of it is still, and works without JavaScript.
"""

import itertools
from html import escape

from tools.chapters.chapter_map import Chapter
from tools.chapters.prerequisites import in_words

COLUMNS, SPINE, SIDES = 3, 1, (0, 2)  # the core path is in the middle, the others beside it
BOX = 28  # width of a box, in percent of the map
GAP = 9  # pixels from a box to the edge of its row, as the style has them
CORE = '<span class="core-mark" aria-hidden="true">●</span>'
KEY = (
    '<p class="key">The thick line is the core path. An arrow leads from a chapter to one that'
    " needs it; a dashed arrow, to one where it helps.</p>"
)
CORE_IN_WORDS = '<span class="visually-hidden"> (core path)</span>'


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


def middle(place, rows):
    """The middle of a box in percent of the map's width and height."""
    row, column = place
    return (column + 0.5) * 100 / COLUMNS, (row + 0.5) * 100 / rows


def route(start, end, rows):
    """The corners of an arrow from box to box, in percent, through the gutters between them."""
    (x0, y0), (x1, y1) = middle(start, rows), middle(end, rows)
    # A box at a side is left and reached on its inner side.
    inward = {0: 1, COLUMNS - 1: -1}
    out = inward.get(start[1]) or (1 if x1 > x0 else -1)
    into = inward.get(end[1]) or -out
    begin, finish = (x0 + out * BOX / 2, y0), (x1 + into * BOX / 2, y1)
    if y0 == y1 and SPINE in (start[1], end[1]):
        return [begin, finish]
    gutter = x1 + into * 50 / COLUMNS
    if SPINE not in (start[1], end[1]) and start[1] != end[1]:  # across the core path, above a row
        other, gap = x0 + out * 50 / COLUMNS, end[0] * 100 / rows
        return [begin, (other, y0), (other, gap), (gutter, gap), (gutter, y1), finish]
    return [begin, (gutter, y0), (gutter, y1), finish]


def lines(corners, kind):
    """An arrow as SVG; lines, because a path cannot be given in percent."""
    return "".join(
        f'<line class="{kind}" x1="{x0:.2f}%" y1="{y0:.2f}%" x2="{x1:.2f}%" y2="{y1:.2f}%"'
        + (' marker-end="url(#concept-map-head)"' if (x1, y1) == corners[-1] else "")
        + "/>"
        for (x0, y0), (x1, y1) in itertools.pairwise(corners)
    )


def short(start, kind, rows):
    """An arrow to the box right below: it bridges the gap, whatever height the boxes have."""
    x, edge = middle(start, rows)[0], (start[0] + 1) * 100 / rows
    return (
        f'<svg x="{x:.2f}%" y="{edge:.2f}%"><line class="{kind}" y1="{-GAP}" y2="{GAP}"'
        ' marker-end="url(#concept-map-head)"/></svg>'
    )


def is_right_below(start, end):
    return start[1] == end[1] and end[0] == start[0] + 1


def arrow(start, end, kind, rows):
    if is_right_below(start, end):
        return short(start, kind, rows)
    return lines(route(start, end, rows), kind)


def drawing(chapters, at, rows):
    """The lines between the boxes: the core path, then the arrows."""
    path = [at[c.number] for c in chapters if c.core]
    (x, top), (_, bottom) = middle(path[0], rows), middle(path[-1], rows)
    core = f'<line class="core" x1="{x:.2f}%" y1="{top:.2f}%" x2="{x:.2f}%" y2="{bottom:.2f}%"/>'
    drawn = "".join(arrow(at[start], at[end], kind, rows) for start, end, kind in arrows(chapters))
    return (
        '<svg aria-hidden="true" focusable="false"><defs>'
        '<marker id="concept-map-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9"'
        ' markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs>' + core + drawn + "</svg>"
    )


def in_numbers(chapter):
    """Return what a box has to say about what comes first, in a few words."""
    parts = []
    if chapter.needs:
        parts.append(f"needs {in_words([str(n) for n in chapter.needs])}")
    if chapter.helps:
        helps = "help" if len(chapter.helps) > 1 else "helps"
        parts.append(f"{in_words([str(n) for n in chapter.helps])} {helps}")
    return "; ".join(parts) or "needs no other"


def box(chapter, place, target, here):
    title = f'<span class="number">{chapter.number}</span> {escape(chapter.title)}'
    name = (
        f'<span class="name" aria-current="page">{title}</span>'
        if here
        else f'<a class="name" href="{escape(target)}">{title}</a>'
    )
    facts = f'{chapter.read} min<span class="first"> · {in_numbers(chapter)}</span>'
    facts += " · you are here" if here else ""
    mark = CORE + CORE_IN_WORDS if chapter.core else ""
    # The comma belongs to its idea: a line that begins with one looks like a mistake.
    said = [*(f"{escape(idea)}," for idea in chapter.teaches[:-1]), escape(chapter.teaches[-1])]
    ideas = " ".join(f"<span>{idea}</span>" for idea in said)
    return (
        f'<li class="{"core" if chapter.core else "aside"}"'
        f' style="--row:{place[0] + 1};--column:{place[1] + 1}">'
        f'<p class="title">{name}{mark}</p><p class="ideas">{ideas}</p>'
        f'<p class="facts">{facts}</p></li>'
    )


def draw(chapters, here, uri):
    """The map as HTML; `uri(name)` gives the link to a page from the page `here`."""
    at = places(chapters)
    rows = 1 + max(row for row, _ in at.values())
    boxes = "".join(
        box(c, at[c.number], uri(f"chapters/{c.file}"), f"chapters/{c.file}" == here)
        for c in chapters
    )
    return (
        '<nav class="concept-map" id="concept-map" aria-label="Map of the chapters">'
        f'<div class="field">{drawing(chapters, at, rows)}'
        f"<ol>{boxes}</ol></div>{KEY}</nav>"
    )
