"""What the tests of the built site share: the site on a local server, one browser, its pages.

They read `_build/html` and never build it, so that what is tested is what `make book` left there.
"""

from __future__ import annotations

import contextlib
import functools
import html
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import playwright.sync_api
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page

from tests.page_js import MEETS_HEATMAPS
from tests.page_server import serving
from tools.machine.browser import chromium
from tools.machine.fonts import SETS, environment

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"

NOT_BUILT = "The site is not built: there is no _build/html/index.html. Run `make book` first."


# ---- which pages there are


def _pages() -> list[str]:
    """Every page as a path below the site, without the front door (it only forwards)."""
    found = (f.relative_to(SITE) for f in SITE.rglob("*.html"))
    return sorted(
        f.as_posix()
        for f in found
        if f.parts[0] not in ("_static", "_sources") and f.as_posix() != "index.html"
    )


def _source_of(page: str) -> Path | None:
    """The committed file behind a page; None for generated pages such as the search."""
    stem = ROOT / page.removesuffix(".html")
    return next(
        (f for f in (stem.with_suffix(".ipynb"), stem.with_suffix(".md")) if f.is_file()), None
    )


HEATMAP = '<div class="simplellm-heatmap"'


def _sort_of(page: str) -> str:
    """What a page is like: every chapter with a heatmap of its kind, every page of an API."""
    if page.startswith("chapters/reference/"):
        return re.sub(r"(api|contract)_.*", r"\1", page)
    text = html.unescape((SITE / page).read_text("utf-8"))
    kinds = re.findall(r'"kind":\s*"(\w+)"|class="simplellm-(claims)', text)
    return str(sorted(set(kinds))) if _source_of(page) else page


@functools.cache  # asked for every test, and answered from all pages
def _kinds_of_pages() -> dict[str, list[str]]:
    """The pages by what is asked of them.

    All; those that somebody wrote; the notebooks; those with a heatmap; and a sample: one page of
    every sort, for what the pages of a sort have in common.
    """
    pages = _pages()
    sample = {_sort_of(page): page for page in reversed(pages)}
    notebooks = [p for p in pages if (source := _source_of(p)) and source.suffix == ".ipynb"]
    heatmaps = [p for p in pages if HEATMAP in (SITE / p).read_text("utf-8")]
    return {
        "page": pages,
        "chapter": [p for p in pages if _source_of(p)],
        "notebook": notebooks,
        "heatmap": heatmaps,
        "sample": sorted(sample.values()),
        "sample with heatmap": sorted({*heatmaps} & {*sample.values()}),
        "notebook or sample": sorted({*notebooks, *sample.values()}),
    }


# ---- one test a page, one load for all tests that look at a page in one way


@dataclass(frozen=True)
class Way:
    """A way to open a page."""

    scheme: str = "http"  # or "file", from the disk
    theme: str = "light"
    width: int = 1280
    height: int = 900
    scripts: bool = True
    slowed: int = 1  # how many times slower than this machine
    fonts: str = "dejavu"  # one of tools.machine.fonts.SETS: a machine's own must not matter
    late: bool = True  # note too what loads late; not where only looks and jumps are tested


WAYS = {
    "light": Way(),
    "dark": Way(theme="dark"),
    "disk": Way(scheme="file"),
    "phone": Way(width=360, height=740),
    "slow": Way(slowed=4, late=False),
    "plain": Way(scripts=False),
    "liberation": Way(fonts="liberation", late=False),
    "noto": Way(fonts="noto", late=False),
}


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        'opened(*ways, of="page"): `visit` is each page (or each of another kind of pages, as '
        "_kinds_of_pages names them), opened in these ways; marked twice, in both",
    )


def pytest_generate_tests(metafunc):
    """Give every page (chapter, page with a heatmap) a test of its own, in each way asked for."""
    if not {"visit", "page_path", "chapter_path", "heatmap_path"} & set(metafunc.fixturenames):
        return
    pages = _kinds_of_pages()
    # an unbuilt site must fail, not be skipped for want of pages
    nothing = [] if pages["page"] else [pytest.param(None, id="site-not-built")]
    for kind, chosen in pages.items():
        if f"{kind}_path" in metafunc.fixturenames:
            metafunc.parametrize(f"{kind}_path", chosen or nothing)
    if "visit" in metafunc.fixturenames:
        visits = [
            pytest.param((way, page), id=f"{way}-{page}")
            for opened in metafunc.definition.iter_markers("opened")
            for way in opened.args
            for page in pages[opened.kwargs.get("of", "page")]
        ]
        metafunc.parametrize("visit", visits or nothing, indirect=True, scope="session")


# The part of a test's id that names a page, and a way to open it where there is one.
SHARED = re.compile(rf"\[(?:.*-)??((?:(?:{'|'.join(WAYS)})-)?[\w/]+\.html)\]$")


def group_of(test_id: str) -> str:
    """What a test shares with others: two builds of the book, or a page; alone, its own id."""
    if "/test_addresses.py::" in test_id:
        return "test_addresses.py"
    found = SHARED.search(test_id)
    return found[1] if found else test_id


def pytest_xdist_make_scheduler(config, log):
    """All tests of one page, opened in one way, run in one process and so share one load."""
    from tools.machine.groups import ByGroup

    return ByGroup(config, log, group_of)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents and "site" in item.fixturenames:
            item.add_marker("browser")


@pytest.fixture
def source_of():
    """`source_of(page_path)`: the committed file behind a page, or None."""
    return _source_of


# ---- the site and the browser


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    if not (SITE / "index.html").is_file():
        pytest.fail(NOT_BUILT, pytrace=False)
    return SITE


@pytest.fixture(scope="session")
def site_url(site):
    """The address of the built site on a local server, without a trailing slash."""
    with serving(site) as server:
        yield server.url


def pytest_report_header():
    """With which fonts the layout is tested, and why not with the others."""
    return [f"fonts: {said}" for said in (_fonts(name)[1] for name in SETS)]


@functools.cache
def _fonts(name: str) -> tuple[dict[str, str], str]:
    """The variables that give a browser a set of fonts, and a word on it; none if it is missing."""
    try:
        return environment(name), name
    except RuntimeError as error:
        return {}, f"NOT TESTED with {name}: {error}"


@pytest.fixture(scope="session")
def browser_with():
    """`browser_with(fonts)`: one Chromium for each set of fonts, for the whole session."""
    with contextlib.ExitStack() as stack:
        driver = stack.enter_context(playwright.sync_api.sync_playwright())

        @functools.cache
        def browser_with(fonts):
            variables, said = _fonts(fonts)
            if not variables and fonts != Way.fonts:
                # in continuous integration a missing set is a fault, not a word in the summary
                needed = os.environ.get("CI") and sys.platform == "linux"
                (pytest.fail if needed else pytest.skip)(said)
            return stack.enter_context(chromium(driver, variables))

        yield browser_with


@pytest.fixture(scope="session")
def browser(browser_with):
    """The Chromium that most tests use."""
    return browser_with(Way.fonts)


@pytest.fixture
def new_page(browser):
    """`new_page(theme="dark", width=360)`: a page of its own context, closed after the test."""
    contexts = []

    def make(theme="light", width=1280, height=900, **context_options):
        size = {"width": width, "height": height}
        contexts.append(browser.new_context(color_scheme=theme, viewport=size, **context_options))
        return contexts[-1].new_page()

    yield make
    for context in contexts:
        context.close()


FOLDS = """open => {
    window.folds ??= [...document.querySelectorAll('details:not([open])')];
    window.folds.forEach(fold => { fold.open = open; });
}"""


FRAMES = """async () => {
    const frame = () => new Promise(done => requestAnimationFrame(done));
    await frame(); await frame();
}"""


def _settle(page) -> None:
    page.wait_for_load_state("load")
    page.evaluate(FOLDS, True)
    page.evaluate(MEETS_HEATMAPS)
    page.evaluate(
        """async () => {
            await document.fonts.ready;
            // on a busy machine the theme's own transitions are still under way
            await Promise.all(document.getAnimations()
                .filter(a => a.effect.getComputedTiming().endTime < 5000)
                .map(a => a.finished.catch(() => null)));
        }"""
    )
    page.evaluate(FRAMES)


@pytest.fixture
def settle():
    """`settle(page)` after a `goto`: fonts stand, every fold is open."""
    return _settle


# How far what one sees has jumped so far: the parts of what browsers call layout shift.
JUMPS = """() => {
    const seen = [];
    const what = source => (source.node?.outerHTML ?? '').slice(0, 90);
    const note = entries => entries.filter(entry => !entry.hadRecentInput)
        .forEach(entry => seen.push([entry.value, ...entry.sources.map(what)]));
    const observer = new PerformanceObserver(list => note(list.getEntries()));
    observer.observe({type: 'layout-shift', buffered: true});
    window.jumps = () => { note(observer.takeRecords()); return seen; };
}"""


def _watch_jumps(page) -> None:
    page.add_init_script(f"({JUMPS})()")


def _jumps_of(page) -> list:
    page.evaluate(FRAMES)
    return page.evaluate("window.jumps()")


@pytest.fixture
def jumps_of():
    """`jumps_of(page)`: [how far, what, …] of each jump, on a page given to `jumps_of.watch`."""
    _jumps_of.watch = _watch_jumps
    return _jumps_of


# What a visit notes about the page once it stands.
FACTS = r"""() => {
    const all = (root, selector) => [...root.querySelectorAll(selector)];
    const prose = document.querySelector('.bd-content').cloneNode(true);
    all(prose, 'pre, code, script, style, math, [data-state]').forEach(n => n.remove());
    return {
        untypeset: [
            ...all(document, '.math').filter(m => !m.querySelector('math')),
            ...all(document, 'merror'),
        ].map(m => m.textContent)
            .concat(prose.textContent.match(/\\[([]|\$\$|\\(frac|begin|mathrm)\b/g) || []),
        dead: all(document, '.simplellm-heatmap[data-state]:not([data-live])').map(h => h.id),
    };
}"""


class Visit:
    """A page opened in one way, with every fold open, and what its load did.

    The notes end when the page stands: what a test does to the page afterwards is not in them. The
    tests of a visit share its page, so each leaves the page as it found it.
    """

    def __init__(self, browser: Browser, origin: str, path: str, way: Way) -> None:
        self.path, self.origin, self.way = path, origin, way
        self.requests: list[str] = []
        self.ended = 0  # of these
        self.failures: list[str] = []
        self.console: list[str] = []
        self.thrown: list[str] = []
        self.facts: dict = {}
        self.jumps: list = []
        self.context = browser.new_context(
            color_scheme=way.theme,
            viewport={"width": way.width, "height": way.height},
            java_script_enabled=way.scripts,
        )
        self.page = self.context.new_page()
        listeners = {
            "request": lambda request: self.requests.append(request.url),
            "requestfinished": self._on_end,
            "requestfailed": self._on_failure,
            "response": self._on_response,
            "console": self._on_console,
            "pageerror": lambda error: self.thrown.append(str(error)),
        }
        for event, listener in listeners.items():
            self.page.on(event, listener)
        if way.slowed > 1:
            slow = self.context.new_cdp_session(self.page)
            slow.send("Emulation.setCPUThrottlingRate", {"rate": way.slowed})
        _watch_jumps(self.page)
        self.page.goto(f"{origin}/{path}")
        if way.scripts:
            # before the folds are opened, which moves what stands below them
            self.jumps = _jumps_of(self.page)
            if way.slowed > 1:  # it has loaded
                slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
            self._stand()
        for event, listener in listeners.items():
            self.page.remove_listener(event, listener)

    def _stand(self) -> None:
        try:
            _settle(self.page)
        except playwright.sync_api.Error as error:  # noted once, not waited for in every test
            self.thrown.append(error.message)
        if not self.way.late:
            return
        self.page.evaluate("scrollTo(0, document.body.scrollHeight)")  # what loads late, loads now
        self._wait_until_quiet()
        self.facts = self.page.evaluate(FACTS)
        self.page.evaluate("scrollTo(0, 0)")

    def _wait_until_quiet(self) -> None:
        """Nothing under way, and nothing new in a tenth of a second ("networkidle" waits half)."""
        for _ in range(100):
            before = len(self.requests)
            self.page.wait_for_timeout(100)
            if len(self.requests) == before and self.ended >= before:
                return
        self.thrown.append("still loading after ten seconds")

    def _on_end(self, request) -> None:
        self.ended += 1

    def _on_failure(self, request) -> None:
        self.ended += 1
        self.failures.append(f"{request.url}: {request.failure}")

    def _on_response(self, response) -> None:
        if response.status >= 400:
            self.failures.append(f"{response.url}: {response.status}")

    def _on_console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.console.append(f"{message.type}: {message.text}")

    def files(self) -> set[Path]:
        """The files of the site that the page loaded."""
        own = (u.removeprefix(self.origin) for u in self.requests if u.startswith(self.origin))
        return {SITE / unquote(urlsplit(u).path).lstrip("/") for u in own}


@pytest.fixture(scope="session")
def visit(request, site, site_url, browser_with) -> Iterator[Visit]:
    """A page opened in one of the ways that the test's mark `opened` names."""
    way, path = request.param
    origin = site_url if WAYS[way].scheme == "http" else site.as_uri()
    opened = Visit(browser_with(WAYS[way].fonts), origin, path, WAYS[way])
    yield opened
    opened.context.close()


@pytest.fixture
def paper(visit) -> Iterator[Page]:
    """The page of a visit as it is printed: as wide as paper, folds as the page has them."""
    page = visit.page
    page.evaluate(FOLDS, False)
    page.set_viewport_size({"width": 760, "height": 900})
    page.emulate_media(media="print")
    yield page
    page.emulate_media(media="null")
    page.set_viewport_size({"width": visit.way.width, "height": visit.way.height})
    page.evaluate(FOLDS, True)


# ---- what stands in a file


@functools.lru_cache(maxsize=4)  # the tests of one page come one after the other
def _parsed(file: Path) -> BeautifulSoup:
    return BeautifulSoup(file.read_text("utf-8"), "html.parser")


@pytest.fixture(scope="session")
def soup_of(site):
    """`soup_of(page)`: a page as it lies on the disk, parsed; to be read, not changed."""
    return lambda page: _parsed(site / page)


@pytest.fixture
def soup(page_path, soup_of) -> BeautifulSoup:
    """The page of a test that is given one, parsed."""
    return soup_of(page_path)
