"""How heavy the pages are and how soon they stand: reported, never asserted.

    python -m benchmarks.site

Builds the book once from nothing, then loads every chapter in Chromium from a local server: for its
weight; and some times over at full speed and at a quarter of it, for the time until the first
heatmap is painted, the longest task (while it runs, nothing answers), the time that tasks block
past 50 ms each, and the layout shift. In the same turns, so that a busy moment of the machine meets
them all, what there would be instead of a chapter:

- stock: its notebook, built by Jupyter Book with the settings that it brings;
- its first heatmap alone on a page, and the same numbers by plotly, all in one file
  (`pip install -r requirements-bench.txt`).
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from playwright.sync_api import Browser

from benchmarks.heatmap import watch
from simplellm.heatmap import Interactive, from_html
from simplellm.palette import colors
from tools import build_book
from tools.machine.browser import chromium
from tools.machine.common import ROOT

SITE = ROOT / "_build" / "html"
INSTEAD_OF = ROOT / "chapters" / "04_sinusoidal_frequencies.ipynb"
LOADS = 5
SPEEDS = (1, 4)  # the processor slowed so many times
FONTS = (".woff", ".woff2", ".ttf")
# Ours has been drawn; plotly has put the picture of the numbers into its SVG.
WATCH = watch(".simplellm-heatmap canvas[style], .heatmaplayer image")

# What Jupyter Book is told for a chapter of exercises with sources, and nothing else.
STOCK = """\
title: Stock
execute: {execute_notebooks: "off"}
bibtex_bibfiles: [references.bib]
sphinx: {extra_extensions: [sphinx_exercise]}
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server without a log."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def copyfile(self, source: object, outputfile: object) -> None:
        """A page that is closed while it loads is no fault."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().copyfile(source, outputfile)  # type: ignore[arg-type,misc]


class Page(NamedTuple):
    """A page to measure, and the folder that a server shows."""

    name: str
    folder: Path
    path: str


# ---- what there would be instead


def first_heatmap(notebook: Path) -> Interactive:
    """The first heatmap among the outputs of a notebook."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", ()):
            html = output.get("data", {}).get("text/html", "")
            if "data-state" in html:
                return from_html(html)
    raise ValueError(f"{notebook.name} has no heatmap in its outputs.")


def plotly(heatmap: Interactive, file: Path) -> None:
    """The numbers of a heatmap by plotly, with its script in the page."""
    import plotly.graph_objects as go

    stops = colors("diverging")
    scale = [[at / (len(stops) - 1), color] for at, color in enumerate(stops)]
    figure = go.Figure(go.Heatmap(z=heatmap.values(), colorscale=scale, zmin=-1, zmax=1))
    figure.update_layout(title=heatmap.state["title"], yaxis={"autorange": "reversed"})
    figure.write_html(file, include_plotlyjs=True)


def stock_book(folder: Path) -> Page:
    """The chapter built by Jupyter Book with the settings that it brings, into a folder."""
    shutil.copy(INSTEAD_OF, folder)
    shutil.copy(INSTEAD_OF.with_name("references.bib"), folder)
    (folder / "_config.yml").write_text(STOCK, encoding="utf-8")
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: {INSTEAD_OF.stem}\n", "utf-8")
    # It warns of the links to chapters that are not there.
    command = [sys.executable, "-c", build_book.JUPYTER_BOOK, "build", ".", "-q"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return Page(f"{INSTEAD_OF.stem}, stock", folder / "_build" / "html", f"{INSTEAD_OF.stem}.html")


def instead(folder: Path) -> list[Page]:
    """Pages in place of a chapter, made in a folder."""
    heatmap = first_heatmap(INSTEAD_OF)
    text = f"<!doctype html><meta charset='utf-8'>{heatmap.html()}"
    (folder / "alone.html").write_text(text, encoding="utf-8")
    pages = [Page("its first heatmap alone", folder, "alone.html")]
    if importlib.util.find_spec("plotly"):
        plotly(heatmap, folder / "plotly.html")
        pages.append(Page("its numbers, plotly", folder, "plotly.html"))
    else:
        print("plotly is not installed, so not measured: pip install -r requirements-bench.txt\n")
    (folder / "stock").mkdir()
    return [stock_book(folder / "stock"), *pages]


# ---- measured


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server that shows a folder, for the length of a with block."""
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def weigh(browser: Browser, origin: str, page: Page) -> tuple[Counter[str], set[str]]:
    """Uncompressed bytes of a first load, by what they are; and what it asks other hosts for."""
    context = browser.new_context()
    tab = context.new_page()
    urls: set[str] = set()
    tab.on("request", lambda request: urls.add(request.url.split("?")[0].split("#")[0]))
    tab.goto(f"{origin}/{page.path}", wait_until="networkidle")
    context.close()
    sizes: Counter[str] = Counter()
    for url in urls:
        if not url.startswith(origin):
            continue  # data: and blob: are part of the page
        file = page.folder / url.removeprefix(origin).lstrip("/")
        kind = "fonts" if file.suffix in FONTS else file.suffix.lstrip(".")
        if file.is_file():  # a stock page asks for some that are not there
            sizes["maths" if "book_math" in url else kind] += file.stat().st_size
    return sizes, {url for url in urls if url.startswith("http") and not url.startswith(origin)}


NOTE_TASKS = """
window.tasks = [];
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) tasks.push(entry.duration);
}).observe({ type: 'longtask', buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""


def times(browser: Browser, url: str, slowed: int) -> dict[str, float]:
    """What a load in a new context took, in milliseconds, on a processor slowed so many times."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(NOTE_TASKS + WATCH)
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowed})
    page.goto(url)
    page.wait_for_timeout(300 * slowed)
    found: dict[str, Any] = page.evaluate("({ painted: window.painted ?? NaN, tasks, shift })")
    context.close()
    tasks = found.pop("tasks")
    return {
        **found,
        "longest": max(tasks, default=0.0),
        "blocked": sum(task - 50 for task in tasks),
    }


def measure(browser: Browser, pages: list[Page]) -> None:
    """Print the table of pages, and what was asked of other hosts."""
    with contextlib.ExitStack() as stack:
        folders = {page.folder for page in pages}
        origins = {folder: stack.enter_context(served(folder)) for folder in folders}
        weights = {page: weigh(browser, origins[page.folder], page) for page in pages}
        loads: dict[Page, dict[int, list[dict[str, float]]]]
        loads = {page: {slowed: [] for slowed in SPEEDS} for page in pages}
        for _ in range(LOADS):
            for page in pages:
                for slowed in SPEEDS:
                    url = f"{origins[page.folder]}/{page.path}"
                    loads[page][slowed].append(times(browser, url, slowed))

    print("Times in ms, medians at full speed / at a quarter of it.\n")
    print("| page | kB | of which | painted | longest task | blocked | shift |")
    print("|---|---|---|---|---|---|---|")
    for page in pages:
        sizes, outside = weights[page]
        parts = ", ".join(f"{kind} {size / 1000:.0f}" for kind, size in sizes.most_common())
        cells = [page.name, f"{sizes.total() / 1000:.0f}{' + ?' if outside else ''}", parts]
        for name, digits in (("painted", 0), ("longest", 0), ("blocked", 0), ("shift", 3)):
            of_each = [statistics.median(load[name] for load in loads[page][s]) for s in SPEEDS]
            cells.append(" / ".join(f"{middle:.{digits}f}" for middle in of_each))
        print(f"| {' | '.join(cells)} |")
    for page in pages:
        if outside := weights[page][1]:
            print(f"\n{page.name}: the browser reaches no other host, so what the page asks of")
            print("them is neither weighed nor run:", ", ".join(sorted(outside)))


def main() -> None:
    """Print build time and the table of pages."""
    (SITE.parent / "book.stamp").unlink(missing_ok=True)  # or an up-to-date book is not built
    start = time.perf_counter()
    if build_book.build():
        raise SystemExit("the book does not build")
    print(f"build from nothing: {time.perf_counter() - start:.1f} s\n")
    files = sorted((SITE / "chapters").glob("*.html"))
    chapters = [Page(file.stem, SITE, f"chapters/{file.name}") for file in files]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        measure(browser, chapters + instead(Path(folder)))


if __name__ == "__main__":
    main()
