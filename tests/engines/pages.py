"""The built book as the engines get it, over http and from the disk.

WebKit's driver does not report the console; Firefox does not report what is missing on the disk. So
the engines get a copy of the book in which every page begins with a script that keeps what went
wrong; all but the pages are links to the book itself. A server could put that script in on the
way, but not into what is opened from the disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..page_server import PageServer

LOG = """<script>
window.wentWrong = [];
addEventListener('error', event => wentWrong.push(event.target === window
    ? event.message : `${event.target.src || event.target.href} was not loaded`), true);
addEventListener('unhandledrejection', event => wentWrong.push(String(event.reason)));
{
    const error = console.error;
    console.error = (...words) => {
        wentWrong.push(words.map(String).join(' '));
        error.apply(console, words);
    };
}
</script>"""


def with_log(page: str) -> str:
    """A page with the script before everything else in it."""
    head = re.search(r"<head[^>]*>", page) or re.search(r"<!doctype[^>]*>", page, re.I)
    at = head.end() if head else 0
    return page[:at] + LOG + page[at:]


def copy_with_log(book: Path, folder: Path) -> None:
    """Copy the pages of a book with the script; link all else."""
    folder.mkdir()
    for entry in book.iterdir():
        place = folder / entry.name
        if entry.suffix == ".html":
            place.write_text(with_log(entry.read_text("utf-8")), "utf-8")
        elif entry.is_dir() and next(entry.rglob("*.html"), None):
            copy_with_log(entry, place)
        else:
            place.symlink_to(entry)


@dataclass(frozen=True)
class Book:
    """The pages on a server, and on the disk."""

    server: PageServer
    folder: Path

    def url(self, page: str, scheme: str = "http") -> str:
        """The address of a page."""
        return f"{self.server.url if scheme == 'http' else self.folder.as_uri()}/{page}"
