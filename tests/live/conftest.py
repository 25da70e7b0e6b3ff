"""What the live tests share: real Jupyter servers, and the chapters run in them once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, TimeoutError

from simplellm.heatmap import from_html
from tools.machine.browser import chromium
from tools.machine.common import ROOT
from tools.machine.jupyter import HOSTS, N, open_notebook, run_all_cells, serve

CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
CHAPTERS += sorted((ROOT / "chapters" / "reference").glob("*.ipynb"))
CARD = 'class="simplellm-card [^"]*" data-kind="([^"]*)"'


@pytest.fixture(scope="session")
def address_of(tmp_path_factory) -> Iterator[Callable[[str], str]]:
    """`address_of("lab")`: the address of a running server, started when first asked for."""
    addresses: dict[str, str] = {}
    with contextlib.ExitStack() as servers:

        def address(host: str) -> str:
            if host not in addresses:
                server = serve(host, tmp_path_factory.mktemp(host), CHAPTERS)
                addresses[host] = servers.enter_context(server)
            return addresses[host]

        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole session."""
    with chromium() as started:
        yield started


# ---- a chapter in a host

# The committed heatmaps as an untrusted notebook shows them.
STILLS = """async () => {
    const found = [];
    for (const root of document.querySelectorAll('.simplellm-heatmap')) {
        root.scrollIntoView();  // what is far off the screen is not laid out
        for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
        const image = root.querySelector('img');
        await image?.decode().catch(() => null);
        const box = image?.getBoundingClientRect();
        found.push({
            pixels: image?.naturalWidth ?? 0,
            shown: !!image?.checkVisibility() && box.width > 200 && box.height > 100,
            alt: image?.alt ?? '',
            live: 'live' in root.dataset || root.querySelector('canvas') !== null,
        });
    }
    return found;
}"""


class Heatmap:
    """One heatmap in a notebook, and short ways to ask it."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.canvas = root.locator("canvas")

    def call(self, expression: str):
        """Evaluate a JavaScript expression in which `h` is the heatmap and `root` its element."""
        return self.root.evaluate(f"root => {{ const h = root.heatmap; return {expression}; }}")

    @property
    def name(self) -> str:
        return self.root.get_attribute("id") or ""

    @property
    def readout(self) -> str:
        return self.root.locator(".readout").inner_text()

    @property
    def cursor(self) -> tuple[int, int]:
        return tuple(self.call("[h.state().row, h.state().column]"))


class Notebook:
    """A chapter, opened in a host and run from its first cell to its last."""

    def __init__(self, page: Page, host: str, url: str, chapter: Path) -> None:
        self.page, self.url = page, url
        self.has_exercises = chapter.stem[:2].isdigit()  # a reference page has none
        self.requests: list[str] = []
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        open_notebook(page, host, url, chapter.stem)
        # What the host has opened: somebody may be writing the file in the repository by now.
        self.committed: list[dict] = self.ask("cells.map(cell => cell.model.toJSON())")
        self.trusted_before: bool = self.ask("cells.some(cell => cell.model.trusted)")
        # A collapsed heading hides what stands under it as soon as all headings are known.
        page.wait_for_function(
            f"() => {N}.content.widgets.every(c => !c.headingCollapsed || c.numberChildNodes)"
        )
        self.hidden: list[bool] = self.ask("cells.map(cell => cell.isHidden)")
        with contextlib.suppress(TimeoutError):  # then a test says how many there are
            page.wait_for_function(
                "n => document.querySelectorAll('.simplellm-heatmap').length >= n",
                arg=self.committed_heatmaps,
            )
        self.stills: list[dict] = page.evaluate(STILLS)
        run_all_cells(page)
        self.hidden_after: list[bool] = self.ask("cells.map(cell => cell.isHidden)")
        self.ran: list[dict] = self.ask("cells.map(cell => cell.model.toJSON())")

    @property
    def committed_heatmaps(self) -> int:
        outputs = (o for cell in self.committed for o in cell.get("outputs", []))
        html = ("".join(o.get("data", {}).get("text/html", "")) for o in outputs)
        return sum('class="simplellm-heatmap"' in text for text in html)

    @property
    def has_lab(self) -> bool:
        return any("import ipywidgets" in "".join(cell["source"]) for cell in self.committed)

    def ask(self, expression: str):
        """Evaluate JavaScript in which `notebook` is the notebook and `cells` are its cells."""
        return self.page.evaluate(
            f"() => {{ const notebook = {N}.content, cells = notebook.widgets;"
            f" return {expression}; }}"
        )

    @property
    def selection(self) -> list:
        """Where the notebook itself stands: its selected cell, its mode, how many cells it has."""
        return self.ask("[notebook.activeCellIndex, notebook.mode, cells.length]")

    def heatmaps(self) -> list[Heatmap]:
        """The heatmaps that are live."""
        return [Heatmap(r) for r in self.page.locator(".simplellm-heatmap[data-live='']").all()]

    def until(self, true: Callable[[], bool], otherwise: str) -> None:
        """Wait until something is true; fail with a word on it where it never is."""
        deadline = time.monotonic() + 10
        while not true():
            assert time.monotonic() < deadline, otherwise
            self.page.wait_for_timeout(50)

    def settle(self) -> None:
        """Wait until the kernel has nothing left to do and the picture of a lab stays."""
        self.page.wait_for_function(
            f"""async () => {{
                const idle = () => {N}.sessionContext.session.kernel.status === 'idle';
                const shown = '.widget-image, .jupyter-widgets .simplellm-heatmap';
                const pictures = () => [...document.querySelectorAll(shown)]
                    .map(picture => picture.src ?? picture.dataset.state).join();
                const before = pictures();
                if (!idle()) return false;
                await new Promise(done => setTimeout(done, 200));
                return idle() && pictures() === before;
            }}"""
        )


# ---- which chapters a test needs


def _outputs(chapter: Path) -> list[str]:
    """What a chapter shows as HTML."""
    cells = json.loads(chapter.read_text("utf-8"))["cells"]
    outputs = (o for cell in cells for o in cell.get("outputs", []))
    return ["".join(o.get("data", {}).get("text/html", "")) for o in outputs]


def _heatmaps(chapter: Path) -> set[str]:
    """Which kinds of heatmap a chapter has: encoding, grid, sentence, conventions."""
    html = _outputs(chapter)
    return {from_html(text).state["kind"] for text in html if 'class="simplellm-heatmap"' in text}


def _kinds(chapter: Path) -> set[str]:
    """What a chapter has of what a host may treat in its own way: heatmaps, cards, controls."""
    source = chapter.read_text("utf-8")
    return {
        *_heatmaps(chapter),
        *(kind for text in _outputs(chapter) for kind in re.findall(CARD, text)),
        *re.findall(r"widgets\.(\w*Slider|Text|Checkbox|Dropdown)\(", source),
        *re.findall(r"LiveHeatmap(?=\()", source),
    }


def one_of_each(kinds: Callable[[Path], set[str]]) -> list[Path]:
    """A few chapters in which everything is met that some chapter has of these kinds."""
    left = {chapter: kinds(chapter) for chapter in CHAPTERS}
    chosen = []
    while any(left.values()):
        richest = max(left, key=lambda chapter: len(left[chapter]))  # the first of equals
        chosen.append(richest)
        left = {chapter: kinds - left[richest] for chapter, kinds in left.items()}
    return sorted(chosen)


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "of_each_kind: never every chapter, even with LIVE=all: the promise is about the heatmap's "
        "code and the host, which are the same in all",
    )


@cache  # asked for every test, and answered from eight megabytes of notebooks
def chapters_in(host: str, few: bool) -> list[Path]:
    """A few chapters; with LIVE=all in the environment all in JupyterLab.

    nbval runs every chapter in a kernel anyway. What is left to see in a host (its frame, its keys,
    its widgets) is the same for every chapter that has these parts. The two hosts are built from
    the same parts, so Notebook 7 is given the heatmaps alone, which Jupyter knows nothing about.
    """
    if host == "notebook":
        return one_of_each(_heatmaps)
    return CHAPTERS if os.environ.get("LIVE") == "all" and not few else one_of_each(_kinds)


def pytest_generate_tests(metafunc):
    """Give each of the chapters in a host a test of its own."""
    if "notebook" not in metafunc.fixturenames:
        return
    few = metafunc.definition.get_closest_marker("of_each_kind") is not None
    runs = [
        pytest.param((host, chapter), id=f"{host}-{chapter.stem}")
        for host in HOSTS
        for chapter in chapters_in(host, few)
    ]
    metafunc.parametrize("notebook", runs, indirect=True, scope="session")


def group_of(test_id: str) -> str:
    """The host and the chapter that a test is about."""
    names = [f"{host}-{chapter.stem}" for host in HOSTS for chapter in CHAPTERS]
    return next((name for name in names if f"[{name}" in test_id), test_id)


def pytest_xdist_make_scheduler(config, log):
    """All tests of one run chapter go to one process and so share the run."""
    from tools.machine.groups import ByGroup

    return ByGroup(config, log, group_of)


@pytest.fixture(scope="session")
def notebook(request, browser: Browser, address_of) -> Iterator[Notebook]:
    """One chapter that was run in one host; its tests share the page."""
    host, chapter = request.param
    context = browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    opened = None
    try:
        opened = Notebook(context.new_page(), host, address_of(host), chapter)
        yield opened
    finally:
        if opened:
            opened.page.evaluate(f"{N}.sessionContext.shutdown()")  # the kernel's memory
        context.close()
