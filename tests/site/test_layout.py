"""Whatever fonts a reader has and however wide the window is, everything fits and nothing jumps.

A page is loaded once with each set of fonts (of the pages of the reference that are alike, one for
all stands in the sets after the first) and then made as wide as each of WIDTHS: phones, small
windows, tablets, and 1280 at twice its size (640).
"""

from pathlib import Path

import pytest

from tools.machine.fonts import SETS

WIDTHS = (320, 360, 390, 480, 500, 640, 720, 768, 1000, 1280, 1920)
WRONG = (Path(__file__).parent / "layout.js").read_text("utf-8")
JUMP = 0.02  # a layout shift that a reader hardly sees; 0.1 is what is widely called good

# What measures itself when the width changes does so in the next frames.
STILL = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"""


def wrong_at(page, widths=WIDTHS):
    """What does not fit, at each width where something does not."""
    before, found = page.viewport_size, {}
    page.emulate_media(reduced_motion="reduce")  # or sidebars are still on their way out
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(STILL)
        found[width] = page.evaluate(WRONG)
    page.set_viewport_size(before)
    page.emulate_media(reduced_motion="null")
    return {width: wrong for width, wrong in found.items() if wrong}


@pytest.mark.opened("light", of="page")
@pytest.mark.opened("liberation", "noto", of="notebook")
def test_everything_fits_at_every_width(visit):
    assert wrong_at(visit.page) == {}


@pytest.mark.opened("light", of="sample with heatmap")
def test_everything_fits_with_text_of_twice_its_size(visit):
    visit.page.evaluate("document.documentElement.style.fontSize = '200%'")
    wrong = wrong_at(visit.page, (500, 1280))
    visit.page.evaluate("document.documentElement.style.fontSize = ''")
    assert wrong == {}


@pytest.mark.opened("light", of="page")
@pytest.mark.opened("liberation", "noto", of="notebook")
@pytest.mark.opened("slow", of="sample with heatmap")
def test_nothing_jumps_while_the_page_loads(visit):
    assert sum(value for value, *_ in visit.jumps) <= JUMP, visit.jumps


def test_printed_table_scrolls_beside_the_names_of_its_rows(site_url, new_page):
    page = new_page(width=360)
    page.goto(f"{site_url}/chapters/07_learned_versus_fixed.html")
    table = page.locator("pre:has(.row-name)").filter(has_text="66 to 79")
    places = """(table, scrolled) => {
        table.scrollLeft = scrolled;
        return [...table.querySelectorAll('.row-name')].map(n => n.getBoundingClientRect().left);
    }"""
    at_first = table.evaluate(places, 0)
    assert len(at_first) == 6
    assert table.evaluate(places, 160) == at_first
    assert table.evaluate("table => table.scrollLeft") == 160


# In each formula one of the elements that show the same; those of a kind get the same font.
ONE_OF_A_KIND = """() => {
    for (const formula of document.querySelectorAll('.math > math')) {
        const kinds = new Set();
        for (const e of formula.querySelectorAll('*')) {
            const kind = [e.tagName, e.children.length ? '' : e.textContent].join();
            if (!kinds.has(kind) && !e.children.length) e.dataset.kind = kinds.size;
            kinds.add(kind);
        }
    }
}"""


@pytest.mark.opened("light", of="chapter")
@pytest.mark.opened("plain", of="sample")
def test_every_formula_is_drawn_in_the_books_own_font(visit):
    """Without a script too; most machines have no font for mathematics."""
    if visit.page.locator(".math > math").count():
        visit.page.evaluate(ONE_OF_A_KIND)
        assert set(used_fonts(visit.page, ".math [data-kind]")) == {"Book Math"}


@pytest.mark.parametrize("fonts", SETS)
def test_a_browser_has_the_fonts_of_its_set_and_no_others(fonts, browser_with):
    page = browser_with(fonts).new_page()
    others = ", ".join(f"'{one.sans}'" for name, one in SETS.items() if name != fonts)
    families = {"system-ui": "sans", "Charter": "sans", "monospace": "mono", "serif": "serif"}
    for family, kind in families.items():
        page.set_content(f'<p style="font-family: {others}, {family}">Words</p>')
        assert used_fonts(page, "p") == [getattr(SETS[fonts], kind)]
    page.close()


def used_fonts(page, selector):
    """The families that the words of the elements are really drawn with."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    nodes = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": selector})["nodeIds"]
    found = {
        font["familyName"]
        for node in nodes
        for font in session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    }
    session.detach()
    return sorted(found)


# ---- the checks themselves: each sees what it is for

BOX = "width: 200px; border: 1px solid"


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("the page scrolls sideways", '<div style="width: 2500px">wide</div>'),
        ("beyond the page", '<div style="width: 2500px">wide</div>'),
        ("beyond the page", '<main style="overflow: hidden"><p style="width: 2500px">a</p></main>'),
        ("beyond the page", '<main class="bd-content"><p style="margin-left: -40px">a</p></main>'),
        ("beyond the page", "<math><mtext>" + "long" * 400 + "</mtext></math>"),
        ("spills over its width", f'<div style="{BOX}">{"long" * 20}</div>'),
        ("spills over its height", f'<div style="{BOX}; height: 1em">{"word " * 30}</div>'),
        ("spills over its height", f'<ul><li style="{BOX}; height: 9px"><p>a</p></li></ul>'),
        ("cut its width", f'<button style="{BOX}; overflow: hidden">{"long" * 20}</button>'),
        ("cut its width", f'<p style="{BOX}; overflow: clip">{"long" * 20}</p>'),
        ("cut its height", f'<p style="{BOX}; height: 1em; overflow: hidden">{"word " * 30}</p>'),
    ],
)
def test_what_does_not_fit_is_seen(said, body, new_page):
    page = new_page()
    page.set_content(body)
    assert any(one.startswith(said) for one in wrong_at(page)[320])


@pytest.mark.parametrize(
    "body",
    [
        "<p>" + "word " * 500 + "</p>",
        f'<div style="{BOX}">{"word " * 30}</div>',
        f'<div style="{BOX}; overflow: auto"><p style="width: 2500px">scrolls</p></div>',
        '<pre style="overflow: auto; background: #eee"><span>' + "long" * 200 + "</span></pre>",
        '<p style="position: absolute; clip-path: inset(50%); width: 1px; overflow: hidden">for'
        " screen readers alone</p>",
        '<div style="position: fixed; left: 120%; visibility: hidden">a closed sidebar</div>',
    ],
    ids=["lines", "box", "scrolling", "code", "unseen", "closed"],
)
def test_what_fits_is_let_pass(body, new_page):
    page = new_page()
    page.set_content(body)
    assert wrong_at(page) == {}


def test_a_check_at_one_width_sees_what_is_wrong_at_that_width_alone(new_page):
    page = new_page()
    style = "@media (width: 720px) { p { width: 900px } }"
    page.set_content(f"<style>{style}</style><p>a</p>")
    assert list(wrong_at(page)) == [720]


def test_a_jump_is_seen(site_url, new_page, jumps_of):
    """What stands above the text grows after it was painted."""
    page = new_page()
    jumps_of.watch(page)
    page.goto(f"{site_url}/chapters/00_start_here.html")
    before = sum(value for value, *_ in jumps_of(page))
    page.evaluate("document.querySelector('article h1').style.height = '400px'")
    assert sum(value for value, *_ in jumps_of(page)) > before + JUMP
