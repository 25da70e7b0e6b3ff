"""The chapters as a map on the first page; their numbers and the core path wherever they appear.

Where a page has an empty `<div id="concept-map"></div>`, the map of chapters/map.yml is drawn. In a
notebook that element is invisible: JupyterLab strips SVG and styles from a page's prose, and the
table below the map has the same content, with links.

The map is an ordered list of links in the order of the numbers, which is what a keyboard and a
screen reader meet. Style lays the list out as a map where there is room, and as a list with a line
along the core path on a phone. The lines between the boxes are decoration (`aria-hidden`): each
box has in words what it needs. All of it is still, and works without JavaScript.
"""

import functools
import itertools
import posixpath
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup
from sphinx.util import logging

from _ext import book_pages
from tools.chapters import chapter_map

log = logging.getLogger(__name__)

COLUMNS, SPINE = 3, chapter_map.SPINE
BOX = 28  # width of a box, in percent of the map
GAP = 9  # pixels from a box to the edge of its row, as the style has them
CORE = '<span class="core-mark" aria-hidden="true">●</span>'
KEY = (
    '<p class="key">The thick line is the core path. An arrow leads from a chapter to one that'
    " needs it; a dashed arrow, to one where it helps.</p>"
)
CORE_IN_WORDS = '<span class="visually-hidden"> (core path)</span>'


# ---- the map


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


def drawing(chapters, places, rows):
    """The lines between the boxes: the core path, then the arrows."""
    path = [places[c.number] for c in chapters if c.core]
    (x, top), (_, bottom) = middle(path[0], rows), middle(path[-1], rows)
    core = f'<line class="core" x1="{x:.2f}%" y1="{top:.2f}%" x2="{x:.2f}%" y2="{bottom:.2f}%"/>'
    arrows = "".join(
        arrow(places[start], places[end], kind, rows)
        for start, end, kind in chapter_map.arrows(chapters)
    )
    return (
        '<svg aria-hidden="true" focusable="false"><defs>'
        '<marker id="concept-map-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9"'
        ' markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs>' + core + arrows + "</svg>"
    )


def in_numbers(chapter):
    """Return what a box has to say about what comes first, in a few words."""
    parts = []
    if chapter.needs:
        parts.append(f"needs {chapter_map.in_words([str(n) for n in chapter.needs])}")
    if chapter.helps:
        helps = "help" if len(chapter.helps) > 1 else "helps"
        parts.append(f"{chapter_map.in_words([str(n) for n in chapter.helps])} {helps}")
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
    places = chapter_map.places(chapters)
    rows = 1 + max(row for row, _ in places.values())
    boxes = "".join(
        box(c, places[c.number], uri(f"chapters/{c.file}"), f"chapters/{c.file}" == here)
        for c in chapters
    )
    return (
        '<nav class="concept-map" id="concept-map" aria-label="Map of the chapters">'
        f'<div class="field">{drawing(chapters, places, rows)}'
        f"<ol>{boxes}</ol></div>{KEY}</nav>"
    )


# ---- on the pages


def piece(html):
    return BeautifulSoup(html, "html.parser")


class Marks:
    """A page fix of book_pages: draws the map, and marks chapters in the frame around a page."""

    def __init__(self, builder, chapters):
        self.builder = builder
        self.chapters = chapters
        self.by_page = {f"chapters/{chapter.file}": chapter for chapter in chapters}

    def __call__(self, soup, page):
        self.draw_the_map(soup, page)
        self.put_the_first_page_under_its_caption(soup)
        self.mark_the_contents(soup, page)
        self.number_the_neighbours(soup, page)
        self.say_which_chapter(soup, page)
        self.say_what_the_dot_means(soup, page)

    def chapter_at(self, link, page):
        target = link.get("href", "").partition("#")[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        name = page if not target else path.removesuffix(".html")
        return self.by_page.get(name)

    def draw_the_map(self, soup, page):
        for place in soup.select("div#concept-map"):
            uri = functools.partial(self.builder.get_relative_uri, page)
            place.replace_with(piece(draw(self.chapters, page, uri)))

    def put_the_first_page_under_its_caption(self, soup):
        """The theme sets it above the caption of the part it belongs to."""
        for home in soup.select("ul.bd-sidenav__home-link"):
            part = home.find_next_sibling("ul")
            if part:
                part.insert(0, home.find("li").extract())
                home.decompose()

    def mark_the_contents(self, soup, page):
        for link in soup.select("nav.bd-links a.reference.internal"):
            chapter = self.chapter_at(link, page)
            if chapter is None:
                continue
            mark = CORE + CORE_IN_WORDS if chapter.core else ""
            title = f'<span class="number">{chapter.number}</span>'
            title += f'<span class="title">{escape(link.get_text(" ", strip=True))}{mark}</span>'
            link.clear()
            link.append(piece(title))
            link["class"] = [*link["class"], "chapter"]
        for part in soup.select("nav.bd-links ul.bd-sidenav"):
            if part.select_one(".core-mark"):
                key = f'<p class="core-key" aria-hidden="true">{CORE} core path</p>'
                part.insert_after(piece(key))

    def number_the_neighbours(self, soup, page):
        for link in soup.select(".prev-next-area > a"):
            chapter, title = self.chapter_at(link, page), link.select_one(".prev-next-title")
            if chapter and title:
                title.insert(0, f"{chapter.number} ")

    def say_which_chapter(self, soup, page):
        chapter, heading = self.by_page.get(page), soup.select_one("article h1")
        if chapter and heading:
            note = soup.new_tag("p", attrs={"class": "chapter-number"})
            note.string = f"Chapter {chapter.number}" + (" · core path" if chapter.core else "")
            heading.insert_before(note)

    def say_what_the_dot_means(self, soup, page):
        """● in a table of chapters is a mark for the eye; add it in words."""
        for cell in soup.select("article table td:first-child"):
            text = cell.find(string=lambda text: text.lstrip().startswith("● "))
            if text:
                mark = piece(CORE + CORE_IN_WORDS)
                text.insert_before(mark)
                text.replace_with(text.lstrip()[1:])


def read_the_map(app):
    if app.builder.format != "html":
        return
    root = Path(app.srcdir)
    try:
        chapters = chapter_map.load(root)
    except (OSError, ValueError) as error:
        log.warning("%s", error, type="book", subtype="map")
        return
    for file in set(chapter_map.listed(root)) ^ {chapter.file for chapter in chapters}:
        log.warning(
            "%s must stand in both _toc.yml and %s, or in neither",
            file,
            chapter_map.MAP,
            type="book",
            subtype="map",
        )
    fixes = [fix for fix in book_pages.FIXES if not isinstance(fix, Marks)]
    book_pages.FIXES[:] = [Marks(app.builder, chapters), *fixes]


def setup(app):
    app.connect("builder-inited", read_the_map)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
