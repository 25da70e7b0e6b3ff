"""One line in _config.yml says where the book is public; everything points there, or nowhere.

The book is built twice, in copies: with an address that nobody has, and with none.
"""

import re
import shutil
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image, ImageColor

import simplellm
from _ext.book_pages import finish
from simplellm.palette import colors
from tools import build_book
from tools.chapters import install_cell
from tools.chapters.address import read_address

ROOT = Path(__file__).resolve().parents[2]
BOOK = "https://github.com/example/simplellm-book"
PUBLIC = "https://example.github.io/simplellm-book/"
ELSEWHERE = ("colab.research", "mybinder", "github.io", BOOK)


# Two chapters and a page of the reference: what an address does is the same for every page, and the
# whole book twice takes minutes.
CONTENTS = """\
format: jb-book
root: chapters/00_start_here
parts:
- caption: The book
  chapters:
  - file: chapters/04_sinusoidal_frequencies
- caption: Reference
  chapters:
  - file: chapters/reference/glossary
"""
# Links into the rest of the book lead nowhere here, which is no error.
COMMAND = [sys.executable, *(option for option in build_book.BUILD if option != "-W")]


def built(tree: Path, address: str) -> Path:
    """A part of the book in `tree`, built after its one line was changed."""
    made = shutil.ignore_patterns(".*", "_build", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=made, dirs_exist_ok=True)
    (tree / "_toc.yml").write_text(CONTENTS, "utf-8")
    config = (ROOT / "_config.yml").read_text("utf-8")
    config, lines = re.subn(r'(?m)^  url: ".*"', f'  url: "{address}"', config)
    assert lines == 1, "the address must stand in one line"
    (tree / "_config.yml").write_text(config, "utf-8")
    assert build_book.build(tree, COMMAND) == 0
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The book with an address: its folder."""
    return built(tmp_path_factory.mktemp("public"), BOOK)


@pytest.fixture(scope="module")
def private_tree(tmp_path_factory):
    """The book without an address: its folder."""
    return built(tmp_path_factory.mktemp("private"), "")


@pytest.fixture(scope="module")
def pages(tree):
    """The pages of the book with an address, {path below the site: soup}; the front door too."""
    return read(tree / "_build" / "html")


@pytest.fixture(scope="module")
def private(private_tree):
    """The pages of the book without one."""
    return read(private_tree / "_build" / "html")


def read(site: Path) -> dict[str, BeautifulSoup]:
    found = (f for f in sorted(site.rglob("*.html")) if "_static" not in f.parts)
    texts = {f.relative_to(site).as_posix(): f.read_text("utf-8") for f in found}
    assert len(texts) > 3, "a book without chapters would pass everything below"
    return {path: BeautifulSoup(text, "html.parser") for path, text in texts.items()}


def notebooks(tree: Path) -> list[str]:
    """The chapters that were built from notebooks, as paths without an ending."""
    sources = (tree / "_build" / "html").glob("chapters/*.html")
    stems = [f"chapters/{f.stem}" for f in sources]
    return [stem for stem in stems if (tree / f"{stem}.ipynb").is_file()]


def buttons(soup: BeautifulSoup) -> dict[str, str]:
    """Where the buttons of the header lead, by what they say."""
    links = soup.select(".article-header-buttons a")
    return {link.get_text(" ", strip=True): link["href"] for link in links}


def meta(soup: BeautifulSoup, name: str) -> str:
    """The content of a meta tag, which must stand once."""
    (tag,) = soup.select(f'meta[name="{name}"], meta[property="{name}"]')
    return tag["content"]


# ---- with an address


def test_launch_buttons_open_the_page_s_own_notebook(tree, pages):
    assert notebooks(tree)
    for stem in notebooks(tree):
        found = buttons(pages[f"{stem}.html"])
        path = f"{stem}.ipynb"  # below the root of the repository; it exists there
        colab = f"https://colab.research.google.com/github/example/simplellm-book/blob/main/{path}"
        binder = "https://mybinder.org/v2/gh/example/simplellm-book/main?urlpath=lab/tree/"
        assert found["Colab"] == colab
        assert found["Binder"] == binder + path


def test_page_that_is_no_notebook_has_no_launch_button(pages):
    assert not {"Colab", "Binder"} & buttons(pages["search.html"]).keys()


def test_repository_button_leads_to_the_repository(tree, pages):
    for stem in notebooks(tree):
        assert buttons(pages[f"{stem}.html"])["Repository"] == BOOK


def test_issue_button_opens_a_form_with_the_page_filled_in(tree, pages):
    for stem in notebooks(tree):
        url = urlsplit(buttons(pages[f"{stem}.html"])["Open issue"])
        assert f"https://{url.netloc}{url.path}" == f"{BOOK}/issues/new"
        query = parse_qs(url.query)
        form = ROOT / ".github" / "ISSUE_TEMPLATE" / query.pop("template")[0]
        ids = {part.get("id") for part in yaml.safe_load(form.read_text("utf-8"))["body"]}
        assert query.keys() <= ids, "GitHub fills a field in by its id"
        assert query == {"place": [f"{stem}.html"]}


def test_every_page_names_its_own_public_address(pages):
    for path, soup in pages.items():
        wanted = PUBLIC + (path if path != "index.html" else "")
        assert [link["href"] for link in soup.select('link[rel="canonical"]')] == [wanted]
        assert meta(soup, "og:url") == wanted


def test_preview_says_what_the_page_says(tree, pages):
    for stem in notebooks(tree):
        soup = pages[f"{stem}.html"]
        source = nbformat.read(tree / f"{stem}.ipynb", as_version=4)
        title = source.cells[0].source.partition("\n")[0].removeprefix("# ")
        assert meta(soup, "og:title") == title
        assert meta(soup, "og:description") == source.metadata.myst.html_meta.description
        assert meta(soup, "og:site_name") in soup.title.string


def test_every_page_shows_the_card(tree, pages):
    for soup in pages.values():
        image = meta(soup, "og:image")
        assert image.startswith(PUBLIC)
        with Image.open(tree / "_build" / "html" / image.removeprefix(PUBLIC)) as card:
            assert card.format == "PNG"
            size = meta(soup, "og:image:width"), meta(soup, "og:image:height")
            assert card.size == tuple(map(int, size)) == (1200, 630)
        assert meta(soup, "twitter:card") == "summary_large_image"


def test_card_holds_the_encoding_s_own_values(tree):
    """In the colours of the book's scale for signed values, linearly between its stops."""
    table = simplellm.sinusoidal_encoding(range(36), 100)
    stops = np.array([ImageColor.getrgb(colour) for colour in colors("diverging")])
    places = np.linspace(-1, 1, len(stops))
    with Image.open(tree / "_build" / "html" / "_static" / "social-card.png") as card:
        card = card.convert("RGB")
        for position in range(36):
            for column in range(100):
                value = table[position, column].item()
                wanted = [np.interp(value, places, channel) for channel in stops.T]
                seen = card.getpixel((12 * column + 6, 12 * position + 6))
                assert seen == pytest.approx(wanted, abs=0.6), (position, column)


def test_sitemap_lists_every_written_page_and_no_other(tree, pages):
    text = (tree / "_build" / "html" / "sitemap.xml").read_text("utf-8")
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    places = ElementTree.fromstring(text.encode()).iterfind(f"{space}url/{space}loc")
    listed = [place.text for place in places]
    written = pages.keys() - {"index.html", "search.html", "genindex.html"}
    assert listed == [PUBLIC + path for path in sorted(written)]


def test_install_cell_fetches_the_package_from_the_repository(tree):
    """As `make refresh` writes it; executing every chapter again would take minutes."""
    for stem in notebooks(tree):
        notebook = nbformat.read(tree / f"{stem}.ipynb", as_version=4)
        install_cell.write(notebook, read_address(tree))
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        assert f'"simplellm": "{BOOK}/archive/refs/heads/main.zip"' in first.source


def test_buttons_open_without_a_request_and_without_a_word_on_the_console(tree, new_page):
    page, seen, said = new_page(), [], []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tree / "_build" / "html" / f"{notebooks(tree)[0]}.html").as_uri())
    page.wait_for_load_state("networkidle")
    colab = page.locator(".dropdown-launch-buttons a", has_text="Colab")
    assert not colab.is_visible()
    page.locator(".dropdown-launch-buttons > button").click()
    assert colab.is_visible()
    assert [url for url in seen if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []


# ---- without


def test_without_an_address_there_is_no_button(private):
    for path, soup in private.items():
        assert not {"Colab", "Binder", "Repository", "Open issue"} & buttons(soup).keys(), path
        assert soup.select(".dropdown-launch-buttons, .dropdown-source-buttons") == []


def test_without_an_address_nothing_points_to_one(private):
    for path, soup in private.items():
        assert soup.select('link[rel="canonical"], meta[property^="og:"]') == [], path
        assert soup.select('meta[name^="twitter:"], meta[property^="twitter:"]') == [], path
        links = [link["href"] for link in soup.select("[href]")]
        assert [link for link in links if any(word in link for word in ELSEWHERE)] == [], path
        assert all(links), f"{path} has a link that leads nowhere"


def test_without_an_address_there_is_no_sitemap_and_no_card(private_tree):
    site = private_tree / "_build" / "html"
    assert not (site / "sitemap.xml").exists()
    assert not (site / "_static" / "social-card.png").exists()


# ---- either way


@pytest.mark.parametrize("book", ["pages", "private"])
def test_every_page_has_a_description_of_its_own(book, request):
    soups = request.getfixturevalue(book)
    descriptions = {path: meta(soup, "description") for path, soup in soups.items()}
    assert [d for d in descriptions.items() if not 50 <= len(d[1]) <= 160] == []
    assert len(set(descriptions.values())) == len(descriptions)


def test_install_cell_is_not_on_the_page(pages, private):
    for soups in (pages, private):
        for path, soup in soups.items():
            assert "find_spec" not in soup.get_text(), path


def test_canonical_link_is_no_request(caplog):
    head = f'<link rel="canonical" href="{PUBLIC}a.html"><meta property="og:image" content="x">'
    finish(f"<html><head>{head}</head><body></body></html>", "a")
    assert caplog.records == []
