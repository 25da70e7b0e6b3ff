"""axe finds nothing, in a text of any colour and on a phone; and every picture has its words."""

import pytest
from axe_playwright_python.sync_playwright import Axe

# Most of axe's time would go into the contrast of thousands of elements that look alike. Those
# that agree in all that contrast depends on (colours, size, weight, every ground behind them) agree
# in contrast too, so one of each sort is measured. axe does not judge a single character, nor what
# is hidden or out of sight: those are sorts of their own, or one could stand for all. What is
# positioned may lie over anything, so it and what is in it are compared among themselves only.
ONE_OF_EACH_SORT = """() => {
    const grounds = new Map(), sorts = new Set();
    const behind = (e) => {
        if (!e) return '';
        if (!grounds.has(e)) {
            const s = getComputedStyle(e);
            const moved = s.transform !== 'none' || !['static', 'relative'].includes(s.position);
            const own = [s.backgroundColor, s.backgroundImage, s.opacity, s.filter,
                s.mixBlendMode, moved ? grounds.size : ''].join();
            grounds.set(e, `${behind(e.parentElement)}|${own}`);
        }
        return grounds.get(e);
    };
    for (const e of document.querySelectorAll('body *')) {
        const text = [...e.childNodes].map(n => n.nodeType === 3 ? n.data : '').join('').trim();
        if (!text) continue;
        const { color, fontSize, fontWeight, textShadow, display } = getComputedStyle(e);
        const { left, right, width, height } = e.getBoundingClientRect();
        const seen = e.checkVisibility({ visibilityProperty: true }) && width > 1 && height > 1
            && left >= 0 && right <= innerWidth;
        const sort = [text.length > 1, seen, color, fontSize, fontWeight, textShadow, display,
            behind(e)].join();
        if (sorts.has(sort)) e.dataset.measured = 'elsewhere';
        sorts.add(sort);
    }
    axe.configure({ rules: [{ id: 'color-contrast', selector: ':not([data-measured])' }] });
}"""

OPTIONS = {
    "resultTypes": ["violations"],
    # off by default, as experimental: what is written on a control must be part of its name
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}


# Of axe's rules those that look at colours; all others find the same in light and in dark.
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}


def violations(page, **options) -> list[tuple]:
    """What axe finds: the rule, where, and the start of the element."""
    page.evaluate(Axe().axe_script)
    page.evaluate(ONE_OF_EACH_SORT)
    found = page.evaluate(
        "async options => (await axe.run(options)).violations", {**OPTIONS, **options}
    )
    return [(v["id"], n["target"], n["html"][:120]) for v in found for n in v["nodes"]]


@pytest.mark.opened("light", of="notebook or sample")
@pytest.mark.opened("phone", of="sample with heatmap")
def test_axe_finds_nothing(visit):
    # the theme gives scroll boxes their tab stop up to 300 ms late
    visit.page.wait_for_timeout(350)
    assert violations(visit.page) == []


@pytest.mark.opened("dark", of="sample")
def test_axe_finds_no_pale_text_in_the_dark(visit):
    assert violations(visit.page, **COLOURS) == []


@pytest.mark.parametrize(
    "pale",
    [
        '<span style="color: #bbb">token</span>',
        '<span style="background: #333">token</span>',
        '<span style="opacity: 0.3">token</span>',
        '<b style="background: #333"><span>token</span></b>',
        '<span style="color: #bbb">(</span><span style="color: #bbb">token</span>',
        '<span style="color: #bbb; display: none">a b</span><span style="color: #bbb">token</span>',
        '<span style="background: #333">word <span>token</span></span>',
        '<a href="#a" style="color: #bbb">token</a>',
    ],
    ids="colour ground opacity behind after-one-character after-a-hidden-one nested link".split(),
)
@pytest.mark.parametrize("block", ["pre", "p"])
def test_axe_sees_one_pale_text_among_many(pale, block, new_page):
    page = new_page()
    same = "<span>word</span> " * 20
    page.set_content(
        '<html lang="en"><title>t</title><main><h1>t</h1>'
        f"<{block}>{same}{pale} {same}</{block}><{block}>{same}</{block}></main>"
    )
    assert "token" in "".join(html for rule, _, html in violations(page) if "contrast" in rule)
    assert page.locator("[data-measured]").count() > 50  # nearly all others are spared


def test_every_picture_says_what_it_shows(soup):
    """axe accepts any text; the default for a notebook's picture is its file name."""
    texts = [img.get("alt", "").strip() for img in soup.select("article img")]
    assert [t for t in texts if len(t.split()) < 3 or t.endswith((".png", ".svg", ".jpg"))] == []
