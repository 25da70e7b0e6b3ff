"""The chapters' map, numbers and core path, wherever a page shows them.

Where a page has an empty `<div id="concept-map"></div>`, the map of chapters/map.yml is drawn
(draw_map.py). In a notebook that element is invisible: JupyterLab strips SVG and styles from a
page's prose, and the table below the map has the same content, with links.
"""

import functools
import posixpath
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup
from sphinx.util import logging

from _ext import book_pages
from _ext.draw_map import CORE, CORE_IN_WORDS, draw
from tools.chapters import chapter_map

log = logging.getLogger(__name__)


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
