"""axe finds nothing.

In loads of its own: axe fetches the style sheets again, which would disturb the console check.
"""

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

# off by default, as experimental: what is written on a control must be part of its name
OPTIONS = {"rules": {"label-content-name-mismatch": {"enabled": True}}}


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_axe_finds_nothing(theme, width, page_path, site_url, new_page, settle):
    page = new_page(theme, width=width)
    page.goto(f"{site_url}/{page_path}")
    settle(page)
    page.wait_for_timeout(350)  # the theme gives scroll boxes their tab stop up to 300 ms later
    found = Axe().run(page, options=OPTIONS).response["violations"]
    assert [(v["id"], n["target"], n["html"][:120]) for v in found for n in v["nodes"]] == []


def test_every_picture_says_what_it_shows(page_path, site):
    """axe accepts any text; the default for a notebook's picture is its file name."""
    soup = BeautifulSoup((site / page_path).read_text("utf-8"), "html.parser")
    texts = [img.get("alt", "").strip() for img in soup.select("article img")]
    assert [t for t in texts if len(t.split()) < 3 or t.endswith((".png", ".svg", ".jpg"))] == []
