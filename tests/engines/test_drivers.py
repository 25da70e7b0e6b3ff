"""The drivers themselves: what the checks look for is seen in every engine, and nothing is left."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import ImageFont

from tests.page_js import DOES_NOT_FIT
from tests.page_server import serving
from tools.machine.common import ROOT

from .base import PageError, fonts, until
from .conftest import SITE, look
from .pages import Book, with_log
from .test_pages import not_painted, wrong_numbers

# ---- what goes wrong on a page is seen

WRONG = {
    "console": "<script>console.error('marked', 1)</script>",
    "thrown": "<script>throw new Error('marked')</script>",
    "thrown-later": "<script>setTimeout(() => { throw new Error('marked'); }, 50)</script>",
    "promise": "<script>Promise.reject(new Error('marked'))</script>",
    "missing-script": "<script src='marked.js'></script>",
    "missing-picture": "<img src='marked.png' alt=''>",
}


@pytest.fixture
def show(engine, tmp_path):
    """`show("<p>…", "http")`: a page of these words in the engine."""
    with serving(tmp_path) as server:
        numbers = itertools.count()  # a name twice might come from the browser's cache

        def open_page(body: str, scheme: str = "http") -> None:
            name = f"page-{next(numbers)}.html"
            head = '<head><title>A page</title><link rel="icon" href="data:,"></head>'
            page = f'<!doctype html><html lang="en">{head}{body}</html>'
            (tmp_path / name).write_text(with_log(page), "utf-8")
            engine.goto(f"{server.url if scheme == 'http' else tmp_path.as_uri()}/{name}")

        yield open_page
        engine.navigate("about:blank")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("kind", WRONG)
def test_error_is_seen(engine, show, kind, scheme):
    show(WRONG[kind], scheme)
    until(engine.errors, "the error is seen")
    # what a script of the disk throws is told to nobody in full, by WebKit not even to its page
    assert re.search("marked|^Script error", "\n".join(engine.errors()), re.M)
    show("<script>console.log('fine'); console.warn('nearly fine')</script>", scheme)
    assert engine.errors() == []  # the last page's are gone


@pytest.mark.browser
def test_page_without_the_log_is_not_taken_for_a_clean_one(engine, tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html><title>x</title>", "utf-8")
    engine.goto((tmp_path / "page.html").as_uri())
    assert engine.errors() == ["the page keeps no errors"]


@pytest.mark.browser
def test_what_does_not_fit_is_seen(engine, show):
    box = '<body class="bd-content"><p style="background: #eee; {}">Words and words</p>'
    engine.resize(360, 740)
    show(box.format(""))
    assert engine.evaluate("innerWidth") == 360
    assert engine.call(DOES_NOT_FIT) == []
    for style in ("width: 400px", "height: 8px"):
        show(box.format(style))
        assert engine.call(DOES_NOT_FIT) != []


@pytest.mark.browser
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own fonts only")
@pytest.mark.parametrize("family", ["system-ui", "sans-serif"])
def test_words_are_as_wide_as_in_the_tests_fonts(engine, show, family):
    words = "Words, numbers: 0123"
    font = ImageFont.truetype(Path(fonts()["FONTCONFIG_FILE"]).parent / "DejaVuSans.ttf", 100)
    show(f"<span style='font: 100px {family}; white-space: nowrap'>{words}</span>")
    width = engine.evaluate("document.querySelector('span').getBoundingClientRect().width")
    assert width == pytest.approx(font.getlength(words), rel=0.02)


CHAPTER = "chapters/04_sinusoidal_frequencies.html"


@pytest.mark.browser
def test_wrong_number_and_blank_canvas_are_seen(engine, tmp_path):
    """A chapter whose script has one number wrong by 1e-5 and does not draw."""
    page = (SITE / CHAPTER).read_text("utf-8")
    spoil = r"""<script>addEventListener('load', () => {
        const [first, second] = document.querySelectorAll('.simplellm-heatmap');
        const { source } = first.heatmap, right = source.value.bind(source);
        source.value = (row, column) => right(row, column) + (row === 3 && column === 5) * 1e-5;
        const empty = () => {
            const { canvas } = second.heatmap, ink = canvas.getContext('2d');
            for (const way in ink) if (/^(fill|stroke|draw|put)\w*$/.test(way)
                && typeof ink[way] === 'function') ink[way] = () => {};
            canvas.width += 0;  // which empties it
        };
        if (second.heatmap) empty();  // or as soon as it is mounted
        else new MutationObserver(empty).observe(second, { attributeFilter: ['data-live'] });
    })</script>"""
    folder = tmp_path / "html"
    folder.mkdir()
    for entry in SITE.iterdir():
        if entry.name != "chapters":
            (folder / entry.name).symlink_to(entry)
    (folder / "chapters").mkdir()
    for entry in (SITE / "chapters").iterdir():  # Firefox looks at the next one ahead of time
        if entry.name not in CHAPTER:
            (folder / "chapters" / entry.name).symlink_to(entry)
    (folder / CHAPTER).write_text(with_log(page.replace("</head>", f"{spoil}</head>", 1)), "utf-8")
    with serving(folder) as server:
        seen = look(engine, Book(server, folder), CHAPTER)
    assert wrong_numbers(seen) == [("heatmap-explorer", "values")]
    assert not_painted(seen) == ["heatmap-odometer"]
    assert seen.errors == []


@pytest.mark.browser
def test_keys_and_mouse_reach_the_page(engine, show):
    show("<input autofocus><select><option>a</option><option>b</option></select><p>x</p>")
    engine.focus("input")
    engine.press(*"+1b", "Shift+a", "Tab")
    engine.wait_for("document.activeElement.localName === 'select'")
    assert engine.evaluate("document.querySelector('input').value").lower() == "+1ba"
    engine.evaluate("void (document.querySelector('p').onclick = e => { window.hit = e.detail; })")
    engine.click("p")
    engine.wait_for("window.hit === 1")


@pytest.mark.browser
def test_throwing_expression_raises_and_a_promise_is_waited_for(engine, show):
    show("<p>x</p>")
    with pytest.raises(PageError, match="no luck"):
        engine.evaluate("(() => { throw new Error('no luck'); })()")
    assert engine.evaluate("new Promise(done => setTimeout(done, 50, [1, null, 'ä']))") == [
        1,
        None,
        "ä",
    ]


# ---- nothing outlives the tests

KEEP = """
import sys, time
from pathlib import Path
from tests.engines.base import Program
program = Program(["sh", "-c", sys.argv[2]], Path(sys.argv[1]), {"PATH": "/usr/bin:/bin"})
print("started", flush=True)
time.sleep(600)
"""
# A program with a child in its group, and one that left it, as browsers have them.
FAMILY = "sleep 600 & echo $!; setsid sleep 600 & echo $!; echo $$; wait"


def alive(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the orphans are collected on Linux")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_programs_end_with_the_tests_however_those_end(tmp_path, sign):
    command = [sys.executable, "-c", KEEP, str(tmp_path / "log"), FAMILY]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as us:
        assert us.stdout.readline() == b"started\n"
        said = Path(tmp_path / "log")
        until(lambda: len(re.findall(r"\d+", said.read_text())) == 3, "the family has started")
        family = [int(number) for number in said.read_text().split()]
        assert all(alive(process) for process in family)
        us.send_signal(sign)
        us.communicate(timeout=60)
    until(lambda: not any(alive(process) for process in family), "the family is gone")
