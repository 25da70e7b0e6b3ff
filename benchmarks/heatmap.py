"""How fast the heatmap answers, in Chromium: reported, never asserted.

    python -m benchmarks.heatmap

For 128 × 128 and 512 × 512 numbers, medians with 95th percentiles in milliseconds:

- paint after navigation: from the start of the navigation to the frame after the first drawing;
- compute and draw: everything that one moved slider costs the page's thread;
- input to frame: from the slider's event until the frame that shows it is done. A screen at 60 Hz
  shows a frame every 16.7 ms, so that is what one frame takes however fast the code is.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from simplellm.heatmap import EncodingExplorer
from tools.machine.browser import chromium

LOADS = 30
MOVES = 200

NOTE_PAINT = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(SELECTOR)) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); }));
}).observe(document, { subtree: true, childList: true, attributes: true });
"""


def watch(selector: str) -> str:
    """A script to run before a page: sets window.painted when the first such element is painted."""
    return NOTE_PAINT.replace("SELECTOR", json.dumps(selector))


# A heatmap has been drawn when its canvas has got its height.
WATCH = watch(".simplellm-heatmap canvas[style]")

MOVE = """async (moves) => {
  const { heatmap } = document.querySelector('.simplellm-heatmap');
  const slider = document.querySelector('.simplellm-heatmap [name=base]');
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = { work: [], frame: [] };
  for (let i = 0; i < moves; i++) {
    await frame();
    slider.value = i % Number(slider.max);
    const start = performance.now();
    slider.dispatchEvent(new Event('input'));
    times.work.push(performance.now() - start);
    await frame();
    times.frame.push(performance.now() - start);
  }
  return times;
}"""


def percentiles(times: list[float]) -> str:
    """Median and 95th percentile, in milliseconds."""
    p95 = statistics.quantiles(times, n=20)[-1]
    return f"{statistics.median(times):.1f} ({p95:.1f})"


def page_with(browser: Browser, folder: Path, size: int) -> tuple[Page, list[float]]:
    """A page with one heatmap, loaded many times, and the time to its first paint each time."""
    file = folder / f"{size}.html"
    explorer = EncodingExplorer(d_model=size, positions=size)
    file.write_text(f"<!doctype html><meta charset='utf-8'>{explorer.html()}", encoding="utf-8")
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.add_init_script(WATCH)
    times = []
    for _ in range(LOADS):
        page.goto(file.as_uri())
        page.wait_for_function("() => window.painted")
        times.append(page.evaluate("window.painted"))
    return page, times


def main() -> None:
    """Print the table."""
    print("| numbers | paint after navigation | compute and draw | input to frame |")
    print("|---|---|---|---|")
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        for size in (128, 512):
            page, paints = page_with(browser, Path(folder), size)
            times = page.evaluate(MOVE, MOVES)
            cells = [percentiles(t) for t in (paints, times["work"], times["frame"])]
            print(f"| {size} × {size} | " + " | ".join(cells) + " |", flush=True)
        print(
            f"\nMedians (95th percentiles) in ms; Chromium {browser.version}, 1 device pixel a CSS"
        )
        print(f"pixel; {LOADS} loads, {MOVES} moves of the base slider.")


if __name__ == "__main__":
    main()
