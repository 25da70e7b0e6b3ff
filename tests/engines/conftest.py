"""What the tests of the three engines share: a running engine, the book as it gets it, visits.

ENGINES=firefox,webkit in the environment names the engines to use; what is named must be there.
Without it, Chromium must be there, and the others are skipped where they are not.

PAGES=all opens every page in every engine, over http and from the disk. Without it Firefox and
WebKit open the chapters with heatmaps and one page of each sort over http, and one of each sort
from the disk; Chromium opens four of them, as tests/site looks at every page in it.
"""

from __future__ import annotations

import functools
import html
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from simplellm.heatmap import Interactive, from_html
from tests.page_js import DOES_NOT_FIT, HEATMAPS, MEETS_HEATMAPS, STANDS
from tests.page_server import serving
from tools.machine.browser import ENGINES
from tools.machine.common import ROOT

from .base import Engine
from .chromium import Chromium
from .firefox import Firefox
from .pages import Book, copy_with_log
from .webkit import WebKit

DRIVERS: dict[str, type[Engine]] = {"chromium": Chromium, "firefox": Firefox, "webkit": WebKit}
SITE = ROOT / "_build" / "html"
# Every page but the front door, which only forwards.
PAGES = sorted(
    path
    for path in (file.relative_to(SITE).as_posix() for file in SITE.rglob("*.html"))
    if not path.startswith(("_static/", "_sources/")) and path != "index.html"
)


def sort_of(page: str) -> str:
    """What a page is one of: the chapters, the API, the contracts; or only itself."""
    kind = re.match(r"chapters/(\d|reference/(?:api|contract)_)", page)
    return re.sub(r"\d", "chapter", kind[1]) if kind else page


def chosen(engine: str, scheme: str) -> list[str]:
    """The pages that an engine opens in one of the two ways."""
    wanted = os.environ.get("PAGES", "")
    if wanted not in ("", "all"):
        raise pytest.UsageError(f"PAGES={wanted}: it can be all, or is left out for a choice")
    if wanted:
        return PAGES
    samples = {sort_of(page): page for page in PAGES}  # the last: `api_training` has long names
    if engine == "chromium":
        sorts = ("chapter", "reference/api_", "chapters/reference/heatmaps.html", "search.html")
        return [samples[sort] for sort in sorts if sort in samples]
    with_heatmaps = [p for p in PAGES if sort_of(p) == "chapter" and scheme == "http"]
    with_heatmaps = [p for p in with_heatmaps if MARK in (SITE / p).read_text("utf-8")]
    return sorted({*samples.values(), *with_heatmaps})


MARK = 'class="simplellm-heatmap"'


@functools.cache
def heatmaps_of(page: str) -> dict[str, Interactive]:
    """The heatmaps of a page as the package makes them from what is in it, by their ids."""
    text = re.sub(r"(?s)<script.*?</script>", "", (SITE / page).read_text("utf-8"))
    start = r'<div class="simplellm-heatmap"[^>]*? data-state='
    states = re.findall(start + r"""("[^"]*"|'[^']*')""", text)
    maps = [from_html(f'{MARK} data-state="{escape(s)}"') for s in states]
    return {f"heatmap-{heatmap.state['name']}": heatmap for heatmap in maps}


def escape(attribute: str) -> str:
    """An attribute's value in quotes of either kind, for quotes of one kind."""
    return html.escape(html.unescape(attribute[1:-1]))


# ---- each test in each engine, and what is said of pages about each page


def pytest_generate_tests(metafunc):
    if "engine_name" in metafunc.fixturenames and "visit" not in metafunc.fixturenames:
        metafunc.parametrize("engine_name", DRIVERS, scope="session")
    if "visit" in metafunc.fixturenames:
        # an unbuilt site must fail, not be skipped for want of pages
        visits = [
            pytest.param((engine, scheme, page), id=f"{engine}-{scheme}-{page}")
            for engine in DRIVERS
            for scheme in metafunc.definition.get_closest_marker("opened").args
            for page in chosen(engine, scheme) or ["site-not-built"]
        ]
        metafunc.parametrize("visit", visits, indirect=True, scope="session")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "opened(*schemes): `visit` is a page in an engine, over http or from file"
    )


def group_of(test_id: str) -> str:
    """An engine, and what it is used for: the pages over http, those from the disk, or the rest."""
    found = re.search(rf"\[({'|'.join(DRIVERS)})(-http|-file)?", test_id)
    return found[0] if found else test_id


def pytest_xdist_make_scheduler(config, log):
    """Few browsers at a time, and few starts."""
    from tools.machine.groups import ByGroup

    return ByGroup(config, log, group_of)


# ---- engines

VERSIONS: dict[str, str] = {}  # of the engines that ran


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput["engines"] = VERSIONS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    VERSIONS.update(getattr(node, "workeroutput", {}).get("engines", {}))


def pytest_terminal_summary(terminalreporter):
    """Say in which engines the book was tested, and in which it was not."""
    terminalreporter.section("engines")
    for name in DRIVERS:
        terminalreporter.line(f"{name}: {VERSIONS.get(name, 'NOT TESTED')}")


def wanted(name: str) -> None:
    """Skip where an engine is not to be had; fail where it has to be."""
    named = os.environ.get("ENGINES", "").replace(",", " ").split()
    if named and name not in named:
        pytest.skip(f"ENGINES={' '.join(named)} leaves {name} out")
    try:
        ENGINES[name].find()
    except RuntimeError as error:
        if name in named or name == "chromium":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def start(tmp_path_factory) -> Iterator[Callable[..., Engine]]:
    """`start("webkit")`: that engine, running, with a page of 1280 by 900; one at a time."""
    running: dict[tuple[str, str], Engine] = {}

    def started(name: str, theme: str = "light") -> Engine:
        if (name, theme) not in running:
            wanted(name)
            while running:
                running.popitem()[1].close()
            running[name, theme] = DRIVERS[name](tmp_path_factory.mktemp(name), theme)
        engine = running[name, theme]
        VERSIONS[name] = engine.version
        engine.resize(1280, 900)
        return engine

    yield started
    while running:
        running.popitem()[1].close()


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Iterator[Book]:
    """The book, each page with the script that keeps what goes wrong."""
    if not (SITE / "index.html").is_file():
        pytest.fail("There is no _build/html/index.html. Run `make book` first.", pytrace=False)
    folder = tmp_path_factory.mktemp("pages") / "html"
    copy_with_log(SITE, folder)
    with serving(folder) as server:
        yield Book(server, folder)


@pytest.fixture
def engine(start, engine_name) -> Engine:
    """A running engine, with a page of 1280 by 900."""
    return start(engine_name)


# ---- visits: a page, opened once, for the tests that look at it


@dataclass
class Visit:
    """What a page showed of itself: wide, with its heatmaps; and as narrow as a phone."""

    page: str
    errors: list[str]
    heatmaps: list[dict]
    wide: list[str]  # what does not fit at 1280 px
    narrow: list[str]  # and at 360


def look(engine: Engine, book: Book, page: str, scheme: str = "http") -> Visit:
    """Open a page and note what there is to see. From the disk it looks as it does over http."""
    book.server.refused.clear()
    engine.goto(book.url(page, scheme))
    engine.call(MEETS_HEATMAPS)
    engine.call(STANDS)
    heatmaps = engine.call(HEATMAPS)
    errors = engine.errors() + book.server.refused
    if scheme == "file":
        return Visit(page, errors, heatmaps, [], [])
    wide = engine.call(DOES_NOT_FIT)
    engine.resize(360, 740)
    engine.call(STANDS)
    return Visit(page, errors, heatmaps, wide, engine.call(DOES_NOT_FIT))


@pytest.fixture(scope="session")
def visit(request, start, book) -> Visit:
    """A page in an engine."""
    name, scheme, page = request.param
    return look(start(name), book, page, scheme)
