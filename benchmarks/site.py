"""How heavy the pages are and how soon they stand: reported, never asserted.

    python -m benchmarks.site

Builds the book once from nothing, then loads every chapter in Chromium from a local server.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import statistics
import threading
import time
from collections import Counter

from playwright.sync_api import Browser

from benchmarks.heatmap import WATCH
from tools import build_book
from tools.machine.browser import chromium
from tools.machine.common import ROOT

SITE = ROOT / "_build" / "html"
LOADS = 10
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


def paint_times(browser: Browser, url: str) -> list[float]:
    """Milliseconds from navigation to the first heatmap's frame, each in a new context."""
    times = []
    for _ in range(LOADS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(url)
        page.wait_for_function("() => window.painted")
        times.append(page.evaluate("window.painted"))
        context.close()
    return times


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
    print("| page | first load, kB without fonts | of which | fonts, kB | heatmap painted, ms |")
    print("|---|---|---|---|---|")
    with chromium() as browser:
        for file in sorted((SITE / "chapters").glob("*.html")):
            origin = f"http://127.0.0.1:{server.server_port}"
            sizes = weigh(browser, origin, f"chapters/{file.name}")
            fonts = sizes.pop("fonts", 0)
            parts = ", ".join(f"{kind} {size / 1000:.0f}" for kind, size in sizes.most_common())
            paints = paint_times(browser, f"{origin}/chapters/{file.name}")
            print(
                f"| {file.stem} | {sizes.total() / 1000:.0f} | {parts} | {fonts / 1000:.0f} | "
                f"{statistics.median(paints):.0f} ({max(paints):.0f}) |"
            )
    server.shutdown()


if __name__ == "__main__":
    main()
