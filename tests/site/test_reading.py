"""What readers do: keyboard, search, dark mode, paper, download, no JavaScript."""

import io
import zipfile

import pytest
from PIL import Image

from tools.chapters import solutions
from tools.machine.common import ROOT

FIRST_PAGE = "chapters/00_start_here.html"
GROUND = "getComputedStyle(document.body).backgroundColor"
THEME = "document.documentElement.dataset.theme"


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_a_word_of_the_book(scheme, site, site_url, new_page):
    page, complaints = new_page(), []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.goto(f"{site_url if scheme == 'http' else site.as_uri()}/{FIRST_PAGE}")
    page.keyboard.press("Control+k")
    page.keyboard.type("wavelength")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=wavelength*")
    result = page.locator("#search-results li a").first
    result.wait_for(timeout=10_000)
    page.wait_for_load_state("networkidle")
    assert complaints == []
    result.click()
    page.wait_for_url("**/chapters/**")
    assert "wavelength" in page.locator("article").inner_text().lower()


# ---- the keyboard

STOP = """async () => {
    const e = document.activeElement;
    if (!e || e === document.body) return null;
    // a transition may bring the element or its ring in
    await Promise.all(document.getAnimations().map(a => a.finished.catch(() => null)));
    const r = e.getBoundingClientRect(), s = getComputedStyle(e);
    return {
        name: e.outerHTML.slice(0, 200),
        shows: r.width > 0 && r.height > 0 && r.bottom > 0 && r.top < innerHeight
            && s.visibility === 'visible',
        ring: (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0)
            || s.boxShadow !== 'none',
    };
}"""


def focus_stops(page, limit=60):
    """Press Tab until the focus leaves the page; say of each stop whether it and its ring show."""
    stops = []
    while len(stops) < limit:
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None or stop in stops[:1]:
            break
        stops.append(stop)
    return stops


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_tab_shows_where_it_is(theme, site_url, new_page, settle):
    page = new_page(theme)
    page.goto(f"{site_url}/{FIRST_PAGE}")
    settle(page)
    stops = focus_stops(page)
    reached = " ".join(stop["name"] for stop in stops)
    parts = "#main-content", "search-button", "reference internal", "theme-switch", "<summary"
    assert [part for part in parts if part not in reached] == []
    assert [stop["name"] for stop in stops if not stop["shows"]] == []
    assert [stop["name"] for stop in stops if not stop["ring"]] == []


def test_skip_link_shows_and_leads_to_the_text(site_url, new_page, settle):
    page = new_page()
    page.goto(f"{site_url}/{FIRST_PAGE}")
    settle(page)
    page.keyboard.press("Tab")
    assert page.evaluate(STOP)["shows"]
    assert page.locator("#pst-skip-link a").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_fold_opens_from_the_keyboard(site_url, new_page):
    page = new_page()
    page.goto(f"{site_url}/{FIRST_PAGE}")
    fold = page.locator("details.admonition").first
    assert not fold.evaluate("d => d.open")
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("d => d.open")


def test_what_scrolls_in_a_fold_gets_its_tab_stop_when_it_is_opened(site_url, new_page):
    page = new_page(width=360)
    page.goto(f"{site_url}/chapters/13_real_models.html")
    boxes = page.locator("details.solution:not([open])").first.locator("pre")
    assert not boxes.evaluate_all("all => all.some(box => box.hasAttribute('tabindex'))")
    page.locator("details.solution").first.evaluate("fold => { fold.open = true; }")
    page.evaluate("() => new Promise(done => setTimeout(done, 100))")
    opened = page.locator("details.solution").first.locator("pre")
    wide, stops = opened.evaluate_all(
        "all => [all.map(b => b.scrollWidth > b.clientWidth), all.map(b => b.tabIndex === 0)]"
    )
    assert any(wide)
    assert stops == wide


# ---- light and dark


def test_theme_switch_changes_the_page_and_is_remembered(site_url, new_page, settle):
    page = new_page("light")
    page.goto(f"{site_url}/{FIRST_PAGE}")
    settle(page)
    light = page.evaluate(GROUND)
    for _ in range(3):  # the switch walks through light, dark and automatic
        page.locator(".theme-switch-button").first.click()
        if page.evaluate(THEME) == "dark":
            break
    dark = page.evaluate(GROUND)
    assert dark != light
    page.reload()
    settle(page)
    assert (page.evaluate(THEME), page.evaluate(GROUND)) == ("dark", dark)


@pytest.mark.parametrize(
    ("system", "kept", "theme"),
    [
        ("dark", {}, "dark"),
        ("light", {}, "light"),
        ("dark", {"mode": "auto", "theme": "light"}, "dark"),  # read in the day, and again at night
        ("light", {"mode": "dark", "theme": "dark"}, "dark"),
        ("dark", {"mode": "light", "theme": "light"}, "light"),
    ],
)
def test_first_paint_has_the_readers_colours(system, kept, theme, site_url, new_page):
    """Before the theme's own script, which stands at the end of a page and here never comes."""
    page = new_page(system)
    page.route("**/pydata-sphinx-theme.js*", lambda route: route.abort())
    page.add_init_script(f"Object.assign(localStorage, {kept})")
    page.goto(f"{site_url}/{FIRST_PAGE}")
    pixel = Image.open(io.BytesIO(page.screenshot())).convert("L").getpixel((640, 60))
    assert ("light" if pixel > 127 else "dark") == theme


@pytest.mark.opened("dark", of="sample with heatmap")
def test_no_light_card_around_a_heatmap_in_the_dark(visit):
    cards = visit.page.evaluate(
        "[...document.querySelectorAll('.simplellm-heatmap')]"
        ".map(h => getComputedStyle(h.parentElement).backgroundColor)"
    )
    assert set(cards) == {"rgba(0, 0, 0, 0)"}


# ---- taking it along


@pytest.mark.opened("light", of="chapter")
def test_source_downloads_as_committed(visit, source_of):
    button = visit.page.locator(".dropdown-download-buttons button").first
    button.click()
    with visit.page.expect_download() as waiting:
        visit.page.locator("a.btn-download-source-button").click()
    if button.get_attribute("aria-expanded") == "true":
        button.click()  # closed again
    source = source_of(visit.path)
    assert waiting.value.suggested_filename == source.name
    assert waiting.value.path().read_bytes() == source.read_bytes()


def unpacked(download) -> dict[str, bytes]:
    with zipfile.ZipFile(download.path()) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.opened("disk", of="sample")
def test_source_is_saved_from_the_disk_and_not_shown(visit, source_of):
    source = source_of(visit.path)
    if source is None:
        pytest.skip("nobody wrote this page, so there is no source to save")
    button = visit.page.locator(".dropdown-download-buttons button").first
    button.click()
    before = visit.page.url
    with visit.page.expect_download() as waiting:
        visit.page.locator("a.btn-download-source-button").click()
    if button.get_attribute("aria-expanded") == "true":
        button.click()  # closed again
    assert waiting.value.suggested_filename == f"{source.name}.zip"
    assert unpacked(waiting.value) == {source.name: source.read_bytes()}
    assert visit.page.url == before


def test_worksheets_are_saved_from_the_disk_and_from_a_server(new_page, site, site_url):
    sheets = solutions.worksheets(ROOT)
    for origin in (site.as_uri(), site_url):
        page, start = new_page(), f"{origin}/chapters/reference/teaching.html"
        page.goto(start)
        links = page.locator(".worksheets a")
        assert links.count() == len(sheets) + 1
        for at in (0, 1, len(sheets)):  # (a browser asks before it saves ten files of one page)
            with page.expect_download() as waiting:
                links.nth(at).click()
            name = waiting.value.suggested_filename
            if at == 0:
                assert unpacked(waiting.value) == {f"worksheets/{n}": t for n, t in sheets.items()}
            elif origin == site_url:
                assert waiting.value.path().read_bytes() == sheets[name]
            else:
                sheet = name.removesuffix(".zip")
                assert unpacked(waiting.value) == {sheet: sheets[sheet]}
        assert page.url == start


def test_every_source_and_worksheet_has_its_zip(site):
    offered = [
        path
        for folder in ("_sources", "worksheets")
        for kind in ("*.ipynb", "*.md")
        for path in (site / folder).rglob(kind)
    ]
    assert len(offered) > len(solutions.worksheets(ROOT))
    for path in offered:
        with zipfile.ZipFile(f"{path}.zip") as archive:
            assert archive.namelist() == [path.name]
            assert archive.read(path.name) == path.read_bytes()


@pytest.mark.opened("light", of="heatmap")
@pytest.mark.opened("dark", of="sample with heatmap")
def test_paper_shows_pictures_for_heatmaps(paper):
    for heatmap in paper.locator(".simplellm-heatmap").all():
        assert heatmap.locator("img").first.is_visible()
        controls = "canvas:visible, input:visible, select:visible, button:visible"
        assert heatmap.locator(controls).count() == 0


@pytest.mark.opened("light", "dark", of="sample")
def test_paper_is_white_and_without_the_frame(paper):
    assert paper.evaluate(GROUND) in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    frame = ".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .copybtn"
    assert [part for part in paper.locator(frame).all() if part.is_visible()] == []


@pytest.mark.opened("light", of="notebook")
def test_paper_shows_what_folds_hide(paper):
    hidden = paper.evaluate(
        """[...document.querySelectorAll('details.admonition')].filter(
            d => ![...d.children].some(c => c.tagName !== 'SUMMARY' && c.offsetHeight > 0
                && c.checkVisibility({contentVisibilityAuto: true}))
        ).map(d => d.textContent)"""
    )
    assert hidden == []


# ---- without JavaScript


@pytest.mark.opened("plain", of="sample")
def test_page_reads_without_javascript(visit):
    assert visit.page.locator("h1:visible").count() == 1
    if visit.path not in ("search.html", "genindex.html"):  # which have no text of their own
        assert len(visit.page.locator("article").inner_text()) > 200


@pytest.mark.opened("plain", of="sample with heatmap")
def test_without_scripts_a_page_says_what_is_missing(visit):
    words = visit.page.locator("article .no-script")
    assert words.is_visible() and "still pictures" in words.inner_text()


@pytest.mark.opened("plain", of="sample with heatmap")
def test_heatmaps_are_pictures_without_javascript(visit):
    for heatmap in visit.page.locator(".simplellm-heatmap").all():
        assert heatmap.locator("img").first.bounding_box()["height"] > 50
        assert heatmap.inner_text().strip(), "the key numbers"


@pytest.mark.opened("light", of="page")
def test_every_card_of_a_page_has_its_controls(visit):
    """Also the second of a kind: the page keeps one script, which stands before it."""
    cards = "[...document.querySelectorAll('.simplellm-card')]"
    assert (
        visit.page.evaluate(f"{cards}.filter(c => c.dataset.live === undefined).map(c => c.id)")
        == []
    )
    tables = f"{cards}.filter(c => c.dataset.kind === 'table')"
    assert (
        visit.page.evaluate(f"{tables}.filter(c => !c.querySelector('.controls input')).length")
        == 0
    )


# ---- what is said beside a picture

OUT_OF_SIGHT = """([words, controls]) => [...document.querySelectorAll(words)].flatMap(said => {
    const root = said.closest('.simplellm-heatmap, .simplellm-card');
    return [...root.querySelectorAll(controls)].filter(control => {
        control.focus();
        const box = said.getBoundingClientRect(), own = control.getBoundingClientRect();
        const header = document.querySelector('.bd-header-article').getBoundingClientRect();
        return box.top < header.bottom - 1 || box.bottom > own.top || own.bottom > innerHeight + 1;
    }).map(control => `${root.id}: ${control.name || control.textContent}`);
})"""
BELOW = ".goto :is(input, select), .actions button"


@pytest.mark.parametrize(("width", "height"), [(1280, 620), (360, 740)])
def test_what_a_heatmap_says_is_in_sight_of_every_control_below_it(
    heatmap_path, width, height, site, new_page, settle
):
    page = new_page(width=width, height=height)
    page.goto(f"{site.as_uri()}/{heatmap_path}")
    settle(page)
    assert page.evaluate(OUT_OF_SIGHT, [".words", BELOW]) == []


@pytest.mark.parametrize(("width", "height"), [(1280, 620), (360, 740)])
def test_sentence_of_a_sign_is_in_sight_of_every_sign(width, height, site, new_page, settle):
    page = new_page(width=width, height=height)
    page.goto(f"{site.as_uri()}/chapters/14_what_is_true.html")
    settle(page)
    assert page.evaluate(OUT_OF_SIGHT, ["#claims-strip .room", ".cells a"]) == []
