"""What the tests of the built site share: the site on a local server, one browser, its pages.

They read `_build/html` and never build it, so that what is tested is what `make book` left there.
"""

from __future__ import annotations

import functools
import http.server
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import playwright.sync_api
import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
for folder in (ROOT, ROOT / "_ext"):  # tools.browser, and the extensions under test
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

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


def pytest_generate_tests(metafunc):
    """Give every page (chapter, page with a heatmap) a test of its own."""
    pages = _pages()
    for name, chosen in {
        "page_path": pages,
        "chapter_path": [p for p in pages if _source_of(p)],
        "heatmap_path": [p for p in pages if "simplellm-heatmap" in (SITE / p).read_text("utf-8")],
    }.items():
        if name in metafunc.fixturenames:
            # an unbuilt site must fail, not be skipped for want of pages
            nothing = [] if pages else [pytest.param(None, id="site-not-built")]
            metafunc.parametrize(name, chosen or nothing)


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


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep connections open: a page is some twenty files

    def guess_type(self, path):
        # a host may call a notebook what it is, and then a browser shows it unless told to save it
        return "application/json" if str(path).endswith(".ipynb") else super().guess_type(path)

    def log_message(self, *args):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a page that is left early closes its connections


@pytest.fixture(scope="session")
def site_url(site):
    """The address of the built site on a local server, without a trailing slash."""
    handler = functools.partial(_Quiet, directory=str(site))
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """One Chromium for the whole session."""
    from tools.browser import LAUNCH_ARGS, find_browser

    with playwright.sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=find_browser(), args=LAUNCH_ARGS)
        yield chromium
        chromium.close()


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


def _settle(page) -> None:
    page.wait_for_load_state("load")
    page.evaluate(
        """async () => {
            document.querySelectorAll('details').forEach(d => { d.open = true; });
            const late = new Promise((_, fail) => setTimeout(fail, 10000, 'MathJax never started'));
            if (window.MathJax) await Promise.race([MathJax.startup?.promise, late]);
            await document.fonts.ready;
            // on a busy machine the theme's own transitions are still under way
            await Promise.all(document.getAnimations()
                .filter(a => a.effect.getComputedTiming().endTime < 5000)
                .map(a => a.finished.catch(() => null)));
            const frame = () => new Promise(done => requestAnimationFrame(done));
            await frame(); await frame();
        }"""
    )


@pytest.fixture
def settle():
    """`settle(page)` after a `goto`: fonts and formulas stand, every fold is open."""
    return _settle


# ---- one load of a page, shared by the tests that look at what it did


@dataclass
class Visit:
    """What one load of a page did."""

    origin: str
    requests: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    thrown: list[str] = field(default_factory=list)
    facts: dict = field(default_factory=dict)

    def files(self) -> set[Path]:
        """The files of the site that the page loaded."""
        own = (u.removeprefix(self.origin) for u in self.requests if u.startswith(self.origin))
        return {SITE / unquote(urlsplit(u).path).lstrip("/") for u in own}


# What a visit notes about the page once it stands.
FACTS = r"""() => {
    const all = (root, selector) => [...root.querySelectorAll(selector)];
    const prose = document.querySelector('.bd-content').cloneNode(true);
    all(prose, 'pre, code, script, style, mjx-container, [data-state]').forEach(n => n.remove());
    return {
        untypeset: [
            ...all(document, '.math').filter(m => !m.querySelector('mjx-container')),
            ...all(document, 'mjx-merror'),
        ].map(m => m.textContent)
            .concat(prose.textContent.match(/\\[([]|\$\$|\\(frac|begin|mathrm)\b/g) || []),
        dead: all(document, '.simplellm-heatmap[data-state]:not([data-live])').map(h => h.id),
    };
}"""


@pytest.fixture(scope="session")
def _visits():
    return {}


@pytest.fixture(params=["http-light", "http-dark", "file-light"])
def visit(request, page_path, site_url, browser, _visits) -> Visit:
    """One load of `page_path`: over http in light and in dark, and from the disk."""
    key = request.param, page_path
    if key not in _visits:
        scheme, theme = request.param.split("-")
        seen = Visit(origin=site_url if scheme == "http" else SITE.as_uri())
        context = browser.new_context(color_scheme=theme, viewport={"width": 1280, "height": 900})
        page = context.new_page()

        def on_response(response):
            if response.status >= 400:
                seen.failures.append(f"{response.url}: {response.status}")

        def on_console(message):
            if message.type in ("error", "warning"):
                seen.console.append(f"{message.type}: {message.text}")

        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("requestfailed", lambda r: seen.failures.append(f"{r.url}: {r.failure}"))
        page.on("response", on_response)
        page.on("console", on_console)
        page.on("pageerror", lambda error: seen.thrown.append(str(error)))
        page.goto(f"{seen.origin}/{page_path}")
        try:
            _settle(page)
        except playwright.sync_api.Error as error:  # noted once, not waited for in every test
            seen.thrown.append(error.message)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")  # what loads late, loads now
        page.wait_for_load_state("networkidle")
        seen.facts = page.evaluate(FACTS)
        context.close()
        _visits[key] = seen
    return _visits[key]
