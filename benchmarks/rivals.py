"""The same picture with the same slider, by four hands: reported, never asserted.

    pip install -r requirements-bench.txt
    python -m benchmarks.rivals

512 × 512 numbers of the sinusoidal encoding, and a slider over its base, in 16 steps:

- simplellm: this book's heatmap, which computes in the browser;
- plotly: 16 frames computed beforehand, all in the page;
- bokeh: computed in the browser by a CustomJS callback;
- ipywidgets + matplotlib: a kernel draws into one figure and sends a PNG, in a real JupyterLab.

The first three are one file each, opened from the disk. All candidates take turns, so that a busy
moment of the machine meets them all.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
from playwright.sync_api import Browser, Page

from simplellm import sinusoidal_encoding
from simplellm.heatmap import EncodingExplorer
from simplellm.palette import colors
from tools.machine import jupyter
from tools.machine.browser import chromium

SIZE = 512
BASES = np.logspace(1, 6, 16)
LOADS = 10
ROUNDS = 5
MOVES = 20  # in each round

# Runs before the page. `drawn` is when a picture last reached the page: drawn on a canvas there, as
# a PNG from a canvas (plotly; that its decoding takes a moment more is in its favour), or as the
# loaded image of a widget. `painted` is when the frame that first shows one is done.
WATCH = """
window.drawn = 0;
const now = () => { window.drawn = performance.now(); };
const { drawImage } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.drawImage = function (...all) {
  if (this.canvas.isConnected) now();
  return drawImage.apply(this, all);
};
const { toDataURL } = HTMLCanvasElement.prototype;
HTMLCanvasElement.prototype.toDataURL = function (...all) {
  now();
  return toDataURL.apply(this, all);
};
document.addEventListener('load', ({ target }) => {
  if (target.matches?.('.widget-image')) now();
}, true);
window.frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
(async () => {
  while (!window.drawn) await frame();
  await frame();
  window.painted = performance.now();
})();
"""

# Moves the slider up and down by steps; `step(i)` is the candidate's own way to step `i` of 16.
MOVE = """async ([moves, stepping]) => {
  const step = eval(stepping);
  const times = [];
  for (let i = 0; i < moves; i++) {
    await frame();
    const start = performance.now();
    step(1 + i % 15, i);
    do await frame(); while (window.drawn < start && performance.now() < start + 5000);
    times.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 30));
  }
  return times;
}"""

OURS = """(i) => {
  const slider = document.querySelector('[name=base]');
  slider.value = Number(slider.value) === i ? 0 : i;
  slider.dispatchEvent(new Event('input'));
}"""
PLOTLY = """(i) => Plotly.animate(document.querySelector('.js-plotly-plot'), [String(i)],
  { mode: 'immediate', frame: { duration: 0, redraw: true }, transition: { duration: 0 } })"""
BOKEH = "(i) => { Bokeh.documents[0].get_model_by_name('base').value = i; }"
# The keys that a slider of ipywidgets knows: up for fifteen moves, then down for fifteen.
WIDGETS = """(_, i) => {
  const handle = document.querySelector('.noUi-handle');
  const at = Number(handle.getAttribute('aria-valuenow'));
  window.down = at === 15 || (window.down && at > 0);
  const key = window.down ? 'ArrowLeft' : 'ArrowRight';
  handle.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
}"""

KERNEL = f"""\
import io

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from simplellm import sinusoidal_encoding

bases = np.logspace(1, 6, 16)
figure = Figure(figsize=(6, 6))
drawn = figure.subplots().imshow(np.zeros(({SIZE}, {SIZE})), cmap="RdBu", vmin=-1, vmax=1)
slider = widgets.IntSlider(description="base", max=15)
picture = widgets.Image(format="png")


def draw(change=None):
    drawn.set_data(sinusoidal_encoding(range({SIZE}), {SIZE}, bases[slider.value]).numpy())
    file = io.BytesIO()
    figure.savefig(file, format="png")
    picture.value = file.getvalue()


slider.observe(draw, names="value")
draw()
widgets.VBox([slider, picture])
"""


def table(base: float) -> np.ndarray:
    """The picture: positions down, columns across."""
    return sinusoidal_encoding(range(SIZE), SIZE, base).numpy().astype(np.float32)


def ours(file: Path) -> None:
    """The heatmap of this book, with everything that belongs to it."""
    html = EncodingExplorer(d_model=SIZE, positions=SIZE).html()
    file.write_text(f"<!doctype html><meta charset='utf-8'>{html}", encoding="utf-8")


def plotly(file: Path) -> None:
    """A frame for each base, as plotly's own examples do it."""
    import plotly.graph_objects as go

    scale = [[i / 10, color] for i, color in enumerate(colors("diverging"))]
    frames = [
        go.Frame(name=str(i), data=[go.Heatmap(z=table(base))]) for i, base in enumerate(BASES)
    ]
    show = {"mode": "immediate", "frame": {"duration": 0}, "transition": {"duration": 0}}
    steps = [{"method": "animate", "label": f.name, "args": [[f.name], show]} for f in frames]
    first = go.Heatmap(z=table(BASES[0]), colorscale=scale, zmin=-1, zmax=1)
    figure = go.Figure(first, frames=frames)
    figure.update_layout(
        sliders=[{"steps": steps}], yaxis={"autorange": "reversed"}, width=800, height=800
    )
    figure.write_html(file, include_plotlyjs=True, auto_play=False)


def bokeh(file: Path) -> None:
    """The numbers are computed in a callback, as in our heatmap."""
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, CustomJS, LinearColorMapper, Slider
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    source = ColumnDataSource({"image": [table(BASES[0])]})
    plot = figure(width=800, height=800, x_range=(0, SIZE), y_range=(SIZE, 0))
    palette = colors("diverging")
    plot.image(
        image="image",
        x=0,
        y=0,
        dw=SIZE,
        dh=SIZE,
        source=source,
        color_mapper=LinearColorMapper(palette=palette, low=-1, high=1),
    )
    compute = """
        const d = 512, values = source.data.image[0], base = bases[cb_obj.value];
        for (let c = 0; c < d; c++) {
            const frequency = base ** (-2 * Math.floor(c / 2) / d);
            const f = c % 2 ? Math.cos : Math.sin;
            for (let p = 0; p < d; p++) values[p * d + c] = f(p * frequency);
        }
        source.change.emit();
    """
    slider = Slider(name="base", title="base", start=0, end=15, value=0, step=1)
    arguments = {"source": source, "bases": BASES.tolist()}
    slider.js_on_change("value", CustomJS(args=arguments, code=compute))
    file.write_text(file_html(column(slider, plot), INLINE), encoding="utf-8")


def load(browser: Browser, url: str) -> Page:
    """Open a page and wait until it shows its picture."""
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.add_init_script(WATCH)
    page.goto(url)
    page.wait_for_function("() => window.painted", timeout=60_000)
    return page


@contextmanager
def lab_page(browser: Browser, folder: Path) -> Iterator[Page]:
    """Run the widgets' notebook in a JupyterLab, for the length of a with block."""
    notebook = folder / "rival.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(KERNEL)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), notebook)
    with jupyter.serve("lab", folder / "lab", [notebook]) as url:
        page = browser.new_page(viewport={"width": 1000, "height": 1000})
        page.add_init_script(WATCH)
        jupyter.open_notebook(page, "lab", url, notebook.stem)
        jupyter.run_all_cells(page)
        page.wait_for_selector(".widget-image")
        yield page


def summary(times: list[float]) -> str:
    """Median and 95th percentile, in milliseconds."""
    return f"{statistics.median(times):.0f} ({statistics.quantiles(times, n=20)[-1]:.0f})"


def measure(browser: Browser, folder: Path) -> None:
    """Print the table."""
    writers = {"simplellm": ours, "plotly": plotly, "bokeh": bokeh}
    stepping = {"simplellm": OURS, "plotly": PLOTLY, "bokeh": BOKEH}
    files = {name: folder / f"{name}.html" for name in writers}
    for name, write in writers.items():
        write(files[name])
    paints: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(LOADS):
        for name, file in files.items():
            page = load(browser, file.as_uri())
            paints[name].append(page.evaluate("window.painted"))
            page.close()

    pages = {name: load(browser, file.as_uri()) for name, file in files.items()}
    lab = "ipywidgets + matplotlib"
    stepping[lab] = WIDGETS
    with lab_page(browser, folder) as pages[lab]:
        frames: dict[str, list[float]] = {name: [] for name in pages}
        for _ in range(ROUNDS):
            for name, page in pages.items():
                page.bring_to_front()
                frames[name] += page.evaluate(MOVE, [MOVES, stepping[name]])
        fetched = pages[lab].evaluate(
            "performance.getEntriesByType('resource').reduce((n, e) => n + e.decodedBodySize, 0)"
        )

    print("| | page, MB | navigation to painted, ms | input to frame, ms |")
    print("|---|---|---|---|")
    for name, file in files.items():
        size = f"{file.stat().st_size / 1e6:.2f}"
        print(f"| {name} | {size} | {summary(paints[name])} | {summary(frames[name])} |")
    print(f"| {lab} | {fetched / 1e6:.1f} (JupyterLab) | needs a kernel | {summary(frames[lab])} |")
    print(f"\nMedians (95th percentiles); {SIZE} × {SIZE} numbers, Chromium {browser.version},")
    print(
        f"{LOADS} loads from the disk, {ROUNDS * MOVES} moves each, in turn. A frame takes 16.7 ms"
    )
    print("on a screen at 60 Hz, so about that is the least that input to frame can be.")


def main() -> int:
    """Measure, or say what is missing."""
    missing = [name for name in ("plotly", "bokeh") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"not measured: {' and '.join(missing)} not installed; to have the comparison:")
        print("    pip install -r requirements-bench.txt")
        return 0
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        measure(browser, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
