"""How heavy the pages are and how soon they stand: reported, never asserted.

    python -m benchmarks.site

Builds the book once from nothing, then loads every chapter in Chromium from a local server: for its
weight; and some times over at full speed and at a quarter of it, for the time until the first
heatmap is painted, the longest task (while it runs, nothing answers), the time that tasks block
past 50 ms each, and the layout shift.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import statistics
import threading
import time
from collections import Counter
from typing import Any

from playwright.sync_api import Browser

from benchmarks.heatmap import WATCH
from tools import build_book
from tools.machine.browser import chromium
from tools.machine.common import ROOT

SITE = ROOT / "_build" / "html"
LOADS = 5
FONTS = (".woff", ".woff2", ".ttf")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server without a log."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def copyfile(self, source: object, outputfile: object) -> None:
        """A page that is closed while it loads is no fault."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().copyfile(source, outputfile)  # type: ignore[arg-type,misc]


def weigh(browser: Browser, origin: str, page_path: str) -> Counter[str]:
    """Uncompressed bytes of a first load, by what they are."""
    context = browser.new_context()
    page = context.new_page()
    urls: set[str] = set()
    page.on("request", lambda request: urls.add(request.url.split("?")[0].split("#")[0]))
    page.goto(f"{origin}/{page_path}", wait_until="networkidle")
    context.close()
    sizes: Counter[str] = Counter()
    for url in urls:
        if not url.startswith(origin):
            continue  # data: and blob: are part of the page
        file = SITE / url.removeprefix(origin).lstrip("/")
        kind = "fonts" if file.suffix in FONTS else file.suffix.lstrip(".")
        sizes["maths" if "book_math" in url else kind] += file.stat().st_size
    return sizes


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


def median_times(browser: Browser, url: str) -> str:
    """The cells of one page: medians of loads at full speed and at a quarter of it in turn."""
    found: dict[int, list[dict[str, float]]] = {1: [], 4: []}
    for _ in range(LOADS):
        for slowed, loads in found.items():
            loads.append(times(browser, url, slowed))

    def middle(slowed: int, name: str) -> float:
        return statistics.median(load[name] for load in found[slowed])

    cells = [f"{middle(1, 'painted'):.0f}"]
    cells += [f"{middle(4, name):.0f}" for name in ("painted", "longest", "blocked")]
    return " | ".join([*cells, f"{middle(4, 'shift'):.3f}"])


def main() -> None:
    """Print build time and the table of pages."""
    (SITE.parent / "book.stamp").unlink(missing_ok=True)  # or an up-to-date book is not built
    start = time.perf_counter()
    if build_book.build():
        raise SystemExit("the book does not build")
    print(f"build from nothing: {time.perf_counter() - start:.1f} s\n")
    handler = functools.partial(Quiet, directory=str(SITE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("Times in ms, medians; 4×: on a processor of a quarter of the speed.\n")
    print(
        "| page | kB | of which | painted | painted, 4× | longest task, 4× | blocked, 4× | shift |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with chromium() as browser:
        for file in sorted((SITE / "chapters").glob("*.html")):
            origin = f"http://127.0.0.1:{server.server_port}"
            sizes = weigh(browser, origin, f"chapters/{file.name}")
            parts = ", ".join(f"{kind} {size / 1000:.0f}" for kind, size in sizes.most_common())
            cells = median_times(browser, f"{origin}/chapters/{file.name}")
            print(f"| {file.stem} | {sizes.total() / 1000:.0f} | {parts} | {cells} |")
    server.shutdown()


if __name__ == "__main__":
    main()
