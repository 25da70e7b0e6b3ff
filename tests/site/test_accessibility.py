"""axe finds nothing, in a text of any colour and on a phone; and every picture has its words."""

import pytest
from axe_playwright_python.sync_playwright import Axe

# Most of axe's time would go into the contrast of thousands of tokens in code listings. Tokens
# that agree in all that contrast depends on (colours, size, weight, every ground behind them)
# agree in contrast too, so in each listing one of each sort is measured. axe does not judge a
# single character: those are a sort of their own, or one could stand for all.
ONE_TOKEN_OF_EACH_SORT = """() => {
    for (const listing of document.querySelectorAll('pre')) {
        const sorts = new Set();
        for (const token of listing.querySelectorAll('span')) {
            const grounds = [];
            for (let e = token; e !== listing.parentElement; e = e.parentElement) {
                const { backgroundColor, backgroundImage, opacity, filter } = getComputedStyle(e);
                grounds.push(backgroundColor, backgroundImage, opacity, filter);
            }
            const { color, fontSize, fontWeight, textShadow, display } = getComputedStyle(token);
            const judged = token.textContent.trim().length > 1;
            const sort = [judged, color, fontSize, fontWeight, textShadow, display, ...grounds];
            if (sorts.has(sort.join())) token.dataset.measured = 'elsewhere';
            sorts.add(sort.join());
        }
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
    page.evaluate(ONE_TOKEN_OF_EACH_SORT)
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
    ],
    ids=["colour", "ground", "opacity", "ground-behind", "after-one-character"],
)
def test_axe_sees_one_pale_token_among_many(pale, new_page):
    page = new_page()
    same = "<span>word</span> " * 20
    page.set_content(
        '<html lang="en"><title>t</title><main><h1>t</h1>'
        f"<pre>{same}{pale} {same}</pre><pre>{same}</pre></main>"
    )
    assert ["color-contrast"] == [rule for rule, _, html in violations(page) if "token" in html]
    assert page.locator("[data-measured]").count() == 39 + 19


def test_every_picture_says_what_it_shows(soup):
    """axe accepts any text; the default for a notebook's picture is its file name."""
    texts = [img.get("alt", "").strip() for img in soup.select("article img")]
    assert [t for t in texts if len(t.split()) < 3 or t.endswith((".png", ".svg", ".jpg"))] == []
