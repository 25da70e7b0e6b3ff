"""What the built files say; and that the checks in `_ext` which keep them so do bite."""

import inspect
import json
import logging
import re

import pytest
from bs4 import BeautifulSoup

from _ext import book_api, book_chapter_marks, book_checks, book_math, book_pages


def test_every_link_leads_somewhere(site):
    assert book_checks.broken_links(site) == []


def test_noted_elements_are_those_that_a_walk_over_the_page_finds(soup):
    modules = (book_pages, book_api, book_chapter_marks)
    asked = re.compile(r"soup\.select(?:_one)?\(\s*(['\"])(.+?)\1\s*\)")
    selectors = {m[2] for module in modules for m in asked.finditer(inspect.getsource(module))}
    assert len(selectors) > 20
    page = book_pages.Page(soup)
    for selector in [*selectors, "[role]", "main p, h1 > a"]:
        assert page.select(selector) == soup.select(selector), selector


def test_live_widgets_leave_nothing_behind(soup):
    assert soup.select('script[type*="jupyter.widget"], .widget-subarea') == []
    boxes = soup.select(".cell_output")
    assert [b for b in boxes if not b.get_text(strip=True) and not b.find(["img", "svg"])] == []


@pytest.mark.parametrize("kind", ["script", "style"])
def test_heatmap_code_stands_once(kind, soup):
    wanted = 1 if soup.select(".simplellm-heatmap") else 0
    assert len(soup.select(f"{kind}.simplellm-heatmap-code")) == wanted


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Right. The wavelength is 2π · 10000^(2i/d): for pair 10 the exponent is 20/64.\n", True),
        ("– A claim.\n  What to say instead.\n", True),
        ("std 0.02      1.0\nstd 1       50.0\n", False),
    ],
)
def test_output_of_sentences_takes_new_lines_and_a_table_scrolls(text, sentences):
    output = f'<div class="cell_output"><div class="output stream"><pre>{text}</pre></div></div>'
    html = book_pages.finish(f"<html><head></head><body>{output}</body></html>", "a/page")
    assert ('<pre class="sentences">' in html) == sentences


TABLE = """\
nats                        64          65    66 to 79
sinusoidal         1.50 ± 0.10 2.37 ± 0.14 3.46 ± 0.14
sinusoidal, small  2.09 ± 0.14 2.35 ± 0.12 2.98 ± 0.07
       right word  1.00 ± 0.14 2.00 ± 0.12 2.00 ± 0.07
at all: none of the numbers above is one of the paper's
"""


def test_names_of_a_wide_printed_tables_rows_stay_and_its_text_is_the_same():
    output = f'<div class="cell_output"><div class="output stream"><pre>{TABLE}</pre></div></div>'
    html = book_pages.finish(f"<html><head></head><body>{output}</body></html>", "a/page")
    table = BeautifulSoup(html, "html.parser").pre
    assert table.get_text() == TABLE
    names = [name.get_text() for name in table.select(".row-name")]
    assert [name.strip() for name in names] == [
        *("nats", "sinusoidal", "sinusoidal, small", "right word", "at all:")
    ]
    assert [len(name) for name in names] == [17, 17, 17, 17, len("at all: ")]


def test_styles_stand_before_what_they_style(soup):
    """After it, they come into force when a reader sees it already, and it jumps."""
    assert soup.body.select("style") == []


def test_the_logo_stands_once_and_keeps_its_place(soup):
    logos = soup.select("img.logo__image")
    assert [bool(logo.get("width") and logo.get("height")) for logo in logos] == [True]


@pytest.mark.parametrize(
    ("tex", "drawn"),
    [
        (r"\frac{1}{2}", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"),
        (r"\begin{split}a + b\end{split}", "<mi>a</mi><mo>+</mo><mi>b</mi>"),
        (r"\begin{split}a &= b \\ &= c\end{split}", "<mtr>"),
    ],
    ids=["fraction", "one line", "two lines"],
)
def test_a_formula_is_mathml(tex, drawn):
    mathml = book_math.to_mathml(tex, display=True)
    assert mathml.startswith('<math display="block"') and drawn in mathml


@pytest.mark.parametrize(
    ("tex", "why"),
    [
        (r"\nosuchthing", "nosuchthing"),
        (r"\frac{1}", "frac"),
        ("a漢", "漢"),  # the font has none, so it would come from any other
        (r"\mathfrak{g}", "𝔤"),
    ],
)
def test_a_formula_that_would_not_look_right_stops_the_build(tex, why):
    with pytest.raises(ValueError, match="formula") as caught:
        book_math.to_mathml(tex, display=False)
    assert why in str(caught.value)


def test_every_id_stands_once(soup):
    """A repeated id sends a link to the wrong place."""
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert sorted({i for i in ids if ids.count(i) > 1}) == []


def test_no_committed_output_is_an_error(chapter_path, site, source_of):
    source = source_of(chapter_path)
    if source.suffix == ".ipynb":
        assert book_checks.unexpected_errors(json.loads(source.read_text("utf-8"))) == []


# ---- the checks themselves: each sees what it is for


@pytest.fixture
def warnings_about():
    """`warnings_about(head=…, body=…)`: what the build would say about such a page."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    book_pages.log.logger.addHandler(handler)

    def finish(head="", body=""):
        book_pages.finish(f"<html><head>{head}</head><body>{body}</body></html>", "a/page")
        return said

    yield finish
    book_pages.log.logger.removeHandler(handler)


@pytest.mark.parametrize(
    "outside",
    [
        '<script src="https://example.org/a.js"></script>',
        '<link rel="stylesheet" href="//example.org/a.css">',
        '<img alt="a" src="http://example.org/a.png">',
        "<style>@font-face { src: url('https://example.org/a.woff2') }</style>",
        '<style>@import "https://example.org/a.css";</style>',
    ],
)
def test_build_warns_about_another_host(outside, warnings_about):
    assert len(warnings_about(head=outside)) == 1


def test_build_lets_links_and_inline_pictures_pass(warnings_about):
    picture = "data:image/svg+xml;utf8,xmlns=http://www.w3.org/2000/svg"
    body = f'<a href="https://example.org">read</a><img alt="a" src="{picture}">'
    assert warnings_about(head="<style>a { background: url(x.svg) }</style>", body=body) == []


def test_build_warns_when_heatmaps_carry_different_code(warnings_about):
    one, two = (f'<script class="simplellm-heatmap-code">{n}</script>' for n in (1, 2))
    assert len(warnings_about(body=one + one + two)) == 1


def test_build_warns_about_a_fold_that_would_not_fold(warnings_about):
    assert len(warnings_about(body='<div class="admonition toggle">answer</div>')) == 1


@pytest.mark.parametrize(
    "link",
    [
        "b.html",
        "b.html#here",
        "b.html?q=1#here",
        "#top",
        "b.html#heatmap-1?d_model=64",
        "https://example.org/x",
    ],
)
def test_link_checker_lets_pass(link, tmp_path):
    assert broken(link, tmp_path) == []


@pytest.mark.parametrize(
    "link", ["b.html#nowhere", "#nowhere", "c.html", "../b.html", "/b.html", "folder/"]
)
def test_link_checker_sees(link, tmp_path):
    assert [found for _, found, _ in broken(link, tmp_path)] == [link]


def broken(link, folder):
    (folder / "folder").mkdir()
    (folder / "a.html").write_text(f'<p id="top"><a href="{link}">x</a></p>')
    (folder / "b.html").write_text('<p id="here"></p><div id="heatmap-1"></div>')
    return book_checks.broken_links(folder)


def test_error_check_sees_an_error_but_not_an_expected_one():
    error = {"output_type": "error", "ename": "ValueError", "evalue": "too long"}
    cell = {"cell_type": "code", "metadata": {}, "outputs": [error]}
    expected = {**cell, "metadata": {"tags": ["raises-exception"]}}
    found = book_checks.unexpected_errors({"cells": [cell, expected]})
    assert found == ["cell 0: ValueError: too long"]


def test_exercises_are_numbered_by_chapter(site):
    shown = {
        page.stem[:2]: re.findall(
            r'"caption-number">Exercise (\d+)\.(\d+) ', page.read_text("utf-8")
        )
        for page in (site / "chapters").glob("[0-9]*.html")
    }
    assert len(shown) == len(list((site.parents[1] / "chapters").glob("[0-9]*.ipynb")))
    for chapter, numbers in shown.items():
        wanted = [(str(int(chapter)), str(place + 1)) for place in range(len(numbers))]
        assert numbers == wanted and len(numbers) >= 4
