"""Finding things: contents, the map of chapters, what comes first, the next page, the search."""

import posixpath
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from _ext import draw_map
from tools.chapters import chapter_map, install_cell

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = chapter_map.load(ROOT)
FIRST_PAGE = "chapters/00_start_here.html"
PAGES = {chapter.number: f"chapters/{chapter.file}.html" for chapter in CHAPTERS}


def contents() -> list[str]:
    """The pages in the order of _toc.yml."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    found = [toc["root"]]

    def walk(entries):
        for entry in entries:
            found.append(entry["file"])
            walk(entry.get("sections", []))

    for part in toc["parts"]:
        walk(part["chapters"])
    return [f"{name}.html" for name in found]


def target(link, page: str) -> str:
    """The page that a link on a page leads to."""
    path = link["href"].partition("#")[0]
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page


@pytest.fixture
def first_page(new_page, site_url, settle):
    """`first_page(theme=…, width=…)`: the page with the map, opened."""

    def opened(**options):
        page = new_page(**options)
        page.goto(f"{site_url}/{FIRST_PAGE}")
        if options.get("java_script_enabled", True):
            settle(page)
        return page

    return opened


# ---- the contents


def test_contents_number_each_chapter_and_mark_the_core_path(page_path, soup):
    links = {target(link, page_path): link for link in soup.select("nav.bd-links a.internal")}
    for chapter in CHAPTERS:
        shown = [str(chapter.number), chapter.title]
        words = [*shown, "●", "(core path)"] if chapter.core else shown
        link = links[PAGES[chapter.number]]
        assert list(link.stripped_strings) == words
        unspoken = [mark.get_text() for mark in link.select('[aria-hidden="true"]')]
        unseen = [text.get_text(strip=True) for text in link.select(".visually-hidden")]
        assert (unspoken, unseen) == ((["●"], ["(core path)"]) if chapter.core else ([], []))


def test_contents_start_with_the_first_page_under_the_caption(soup_of):
    caption = soup_of(FIRST_PAGE).select_one("nav.bd-links .caption")
    assert caption.get_text(strip=True) == "The book"
    assert target(caption.find_next("a"), FIRST_PAGE) == FIRST_PAGE


ORDER = contents()
NEIGHBOURS = dict(zip(ORDER, zip([None, *ORDER], [*ORDER[1:], None], strict=False), strict=True))


@pytest.mark.parametrize("page", ORDER)
def test_previous_and_next_follow_the_contents(page, soup_of):
    links = [
        soup_of(page).select_one(f".prev-next-area a.{k}") for k in ("left-prev", "right-next")
    ]
    assert tuple(link and target(link, page) for link in links) == NEIGHBOURS[page]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: PAGES[chapter.number])
def test_chapter_links_what_you_need_first(chapter, soup_of):
    page = PAGES[chapter.number]
    (line,) = (
        p for p in soup_of(page).select("article p") if "You need this first:" in p.get_text()
    )
    links = {target(link, page) for link in line.select('a[href*=".html"]')}
    wanted = {PAGES[number] for number in chapter.needs + chapter.helps}
    assert wanted <= links
    assert links - wanted <= {p for p in links if p.startswith("chapters/reference/")}  # terms


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: PAGES[chapter.number])
def test_outline_names_what_people_get_wrong(chapter, soup_of):
    outline = soup_of(PAGES[chapter.number]).select("#pst-page-toc-nav a, nav.page-toc a")
    assert "#what-people-get-wrong" in [link["href"] for link in outline]


def test_first_page_says_how_to_install_what_the_first_cell_asks_for(soup_of):
    said = soup_of(FIRST_PAGE).select_one("#install-it").get_text()
    asked = install_cell.WITHOUT_ADDRESS.replace('"\n        "', "")
    for line in ("make lab", "python -m pip wheel --no-deps .", "simplellm-*.whl"):
        assert line in said and line in asked


# ---- the map of chapters

BOXES = """() => [...document.querySelectorAll('.concept-map li')].map(li => {
    const r = li.getBoundingClientRect();
    return {number: li.querySelector('.number').textContent, left: r.left, right: r.right,
        top: r.top + scrollY, bottom: r.bottom + scrollY,
        spills: li.scrollHeight > li.clientHeight + 1 || li.scrollWidth > li.clientWidth + 1};
})"""
LINES = """() => [...document.querySelectorAll('.concept-map line:not(.core)')].map(line => {
    const at = line.getScreenCTM();
    return ['x1', 'y1', 'x2', 'y2'].map(end => line[end].baseVal.value
        + (end[0] === 'x' ? at.e : at.f + scrollY));
})"""


HIDDEN_LINES = """() => [...document.querySelectorAll('.concept-map line:not(.helps)')]
  .filter(line => {
    line.scrollIntoView({block: 'center'});
    const at = line.getScreenCTM(), part = (one, two) => 0.75 * one + 0.25 * two;
    const end = name => line[name].baseVal.value;
    const x = part(end('x1'), end('x2')) + at.e, y = part(end('y1'), end('y2')) + at.f;
    return !document.elementsFromPoint(x, y).includes(line);
}).length"""


def overlap(one, other):
    """Whether two boxes have a point in common."""
    return (
        one["left"] < other["right"]
        and other["left"] < one["right"]
        and one["top"] < other["bottom"]
        and other["top"] < one["bottom"]
    )


def test_map_is_a_list_of_all_chapters_in_words(first_page):
    page = first_page()
    items = page.get_by_role("navigation", name="Map of the chapters").get_by_role("listitem")
    assert items.count() == len(CHAPTERS)
    for chapter, item in zip(CHAPTERS, items.all(), strict=True):
        words = item.text_content()
        assert f"{chapter.number} {chapter.title}" in words
        assert ("(core path)" in words) == chapter.core
        assert f"{chapter.read} min" in words
        for wanted in (*chapter.teaches, *(str(number) for number in chapter.needs)):
            assert wanted in words


def test_each_box_leads_to_its_chapter(first_page, site_url):
    page = first_page(java_script_enabled=False)
    page.wait_for_load_state("load")
    for chapter in CHAPTERS:
        box = page.locator(".concept-map li").filter(has_text=chapter.title)
        if PAGES[chapter.number] == FIRST_PAGE:
            assert box.locator("[aria-current=page]").count() == 1
            continue
        box.click(position={"x": 8, "y": 8})  # a corner, where no text stands
        page.wait_for_url(f"{site_url}/{PAGES[chapter.number]}")
        page.go_back()


@pytest.mark.parametrize("width", [1280, 1000, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_keyboard_walks_the_map_in_the_order_of_the_numbers(theme, width, first_page):
    page = first_page(theme=theme, width=width)
    page.locator(".concept-map a").first.focus()
    for chapter in CHAPTERS[1:]:
        at = page.evaluate(
            """() => {
                const e = document.activeElement, s = getComputedStyle(e, '::after');
                const r = e.closest('li')?.getBoundingClientRect();
                return {text: e.textContent, ring: s.outlineStyle + ' ' + s.outlineWidth,
                    seen: r && r.top < innerHeight && r.bottom > 0};
            }"""
        )
        assert at["text"] == f"{chapter.number} {chapter.title}"
        assert at["ring"] == "solid 2px"
        assert at["seen"]
        page.keyboard.press("Tab")


@pytest.mark.parametrize("width", [1280, 1000])
def test_map_draws_boxes_apart_and_arrows_between_them(width, first_page):
    page = first_page(width=width)
    boxes, lines = page.evaluate(BOXES), page.evaluate(LINES)
    assert [box["number"] for box in boxes if box["spills"]] == []
    for at, one in enumerate(boxes):
        assert [o["number"] for o in boxes[:at] if overlap(one, o)] == []
    assert bool(lines) == bool(draw_map.arrows(CHAPTERS))
    assert page.evaluate(HIDDEN_LINES) == 0
    for x1, y1, x2, y2 in lines:
        inside = {  # the line, less what touches an edge
            "left": min(x1, x2) + 2,
            "right": max(x1, x2) - 2,
            "top": min(y1, y2) + 2,
            "bottom": max(y1, y2) - 2,
        }
        for low, high in (("left", "right"), ("top", "bottom")):
            if inside[low] > inside[high]:  # it has no width, or no height
                inside[low] = inside[high] = (inside[low] + inside[high]) / 2
        assert [box["number"] for box in boxes if overlap(inside, box)] == []


def test_map_is_one_column_on_a_phone_and_says_needs_in_words(first_page):
    page = first_page(width=360)
    boxes = page.evaluate(BOXES)
    tops = [box["top"] for box in boxes]
    assert tops == sorted(tops)
    assert all(box["left"] >= 0 and box["right"] <= 360 and not box["spills"] for box in boxes)
    assert page.locator(".concept-map svg:visible").count() == 0
    for chapter, item in zip(CHAPTERS, page.locator(".concept-map li").all(), strict=True):
        for number in chapter.needs:
            assert str(number) in item.locator(".first").inner_text()


@pytest.mark.opened("light", of="sample")
def test_map_is_on_paper(paper, visit):
    if visit.path == FIRST_PAGE:
        assert paper.locator(".concept-map li:visible").count() == len(CHAPTERS)


# ---- the search

IN_VIEW = """words => [...document.querySelectorAll('article mark')].some(mark => {
    const r = mark.getBoundingClientRect();
    const text = mark.closest('p, li, td, th, dt, dd, h1, h2, h3, h4, pre').textContent;
    return r.height > 0 && r.top >= 0 && r.bottom <= innerHeight
        && words.every(word => text.toLowerCase().includes(word.toLowerCase()));
})"""


def search(page, origin, words):
    """Search from the first page with the keyboard alone, and wait for the answer."""
    page.goto(f"{origin}/{FIRST_PAGE}")
    page.keyboard.press("Control+k")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    page.locator(".search-summary", has_text="found").wait_for(timeout=30_000)


def choose(page, wanted):
    """Press the arrow until the focus is on the result that leads to a page, and then Enter."""
    for _ in range(60):
        at = page.evaluate(
            "(e => e.closest('#search-results') ? e.href : '')(document.activeElement)"
        )
        if wanted in at:
            page.keyboard.press("Enter")
            page.wait_for_url(f"**/{wanted}*")
            return
        page.keyboard.press("ArrowDown")
    pytest.fail(f"no result leads to {wanted}")


# What students type, and where it is answered: the page, and a place on it where there is one.
ANSWERS = {
    "why multiply by sqrt": "03_scaling_by_sqrt_d_model",
    "rope": "glossary.html#term-RoPE",
    "max length error": "08_the_input_layer.html#errors-that-say-what-to-do",
    "padding": "glossary.html#term-padding",
    "tied weights": "glossary.html#term-weight-tying",
    "what is d_model": "glossary.html#term-d_model",
    "sin or cos first": "04_sinusoidal_frequencies.html#why-a-sine-and-a-cosine",
    "extrapolate": "glossary.html#term-extrapolation",
    "bf16": "glossary.html#term-bfloat16",
    "dropout where": "08_the_input_layer.html#dropout-once-on-the-sum",
    "10,000": "04_sinusoidal_frequencies.html#why-10-000",
    "10000": "04_sinusoidal_frequencies.html#why-10-000",
    "√d": "03_scaling_by_sqrt_d_model",
    "rotary": "glossary.html#term-rotary-position-embedding",
    "learned vs sinusoidal": "07_learned_versus_fixed",
    "ALiBi": "glossary.html#term-ALiBi",
    "left padding": "glossary.html#term-left-padding",
    "wavelength formula": "04_sinusoidal_frequencies.html#the-formula-line-by-line",
    "unused rows gradient": "01_from_text_to_vectors.html#what-the-optimiser",
    "what the causal mask leaks": "02_why_order_matters.html#what-the-causal-mask-leaks",
    "sinusoidal_encoding": "#simplellm.sinusoidal_encoding",
    "Vocabulary.encode": "#simplellm.Vocabulary.encode",
    "install": "00_start_here.html#install-it",
    "pip": "00_start_here.html#install-it",
    "misconceptions": "#what-people-get-wrong",
}


def results_of(page):
    return page.locator("#search-results li > a").evaluate_all("all => all.map(a => a.href)")


@pytest.mark.parametrize("words", ANSWERS)
def test_what_students_type_is_answered_among_the_first_three(words, site, new_page):
    page = new_page()
    page.goto(f"{site.as_uri()}/search.html?{urlencode({'q': words})}")
    page.locator(".search-summary", has_text="found").wait_for(timeout=30_000)
    assert [url for url in results_of(page)[:3] if ANSWERS[words] in url]


def test_number_of_results_is_said_and_the_first_has_the_focus(site, new_page):
    page = new_page()
    search(page, site.as_uri(), "odometer")
    summary = page.locator("#search-results [role=status]")
    assert summary.inner_text().startswith(f"{len(results_of(page))} place")
    assert page.evaluate("document.activeElement.href") == results_of(page)[0]


def test_search_without_an_answer_says_so_and_offers_the_index(site, new_page):
    page = new_page()
    search(page, site.as_uri(), "zzyzx")
    assert page.locator("#search-results li").count() == 0
    assert page.locator("#search-results [role=status]").inner_text().startswith("Nothing found")
    page.locator("#search-results a").click()
    page.wait_for_url("**/genindex.html")


def test_words_of_a_search_are_text_and_never_markup(site, new_page):
    page = new_page()
    page.goto(f"{site.as_uri()}/search.html?{urlencode({'q': '<i>dropout</i> &amp;'})}")
    page.locator(".search-summary", has_text="found").wait_for(timeout=30_000)
    assert "<i>dropout</i> &amp;" in page.locator(".search-summary").inner_text()
    assert page.locator("#search-results i").count() == 0


@pytest.mark.parametrize(
    ("scheme", "words", "wanted"),
    [
        ("http", "ALiBi", PAGES[11]),
        ("file", "causal mask", PAGES[2]),
        ("file", "fairseq", PAGES[3]),
        ("http", "weight decay", PAGES[6]),
    ],
)
def test_search_opens_the_chapter_at_the_place(
    words, wanted, scheme, site, site_url, new_page, settle
):
    page, thrown = new_page(), []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    search(page, site_url if scheme == "http" else site.as_uri(), words)
    choose(page, wanted)
    page.wait_for_function(IN_VIEW, arg=words.split(), timeout=20_000)
    assert thrown == []


def test_search_for_a_heading_opens_the_section(site, new_page, settle):
    page = new_page()
    search(page, site.as_uri(), "What the causal mask leaks")
    page.locator('#search-results a[href*="#what-the-causal-mask-leaks"]').click()
    settle(page)
    heading = page.locator("#what-the-causal-mask-leaks h2")
    assert 0 <= heading.bounding_box()["y"] < 900


def test_results_show_the_words_where_they_stand_without_fetching_a_page(site, new_page):
    page, asked = new_page(), []
    search(page, site.as_uri(), "wavelength")
    page.on("request", lambda request: asked.append(request.url))
    marks = page.locator("#search-results .excerpt mark").all_inner_texts()
    assert len(marks) >= 10 and all(mark.lower().startswith("wavelength") for mark in marks)
    assert asked == []


@pytest.mark.parametrize("words", ["position", "token", "width", "frac", "color", "d_model"])
def test_marking_what_was_searched_breaks_nothing(words, site, new_page, settle):
    """Sphinx marks texts everywhere; styles, formulas and heatmaps must be out of its reach."""
    page = new_page()
    page.goto(f"{site.as_uri()}/genindex.html")
    page.evaluate("words => localStorage.setItem('sphinx_highlight_terms', words)", words)
    page.goto(f"{site.as_uri()}/{PAGES[3]}")
    page.wait_for_timeout(100)
    settle(page)
    wrong = page.evaluate(
        """() => ({
            styles: [...document.querySelectorAll('style, script')].filter(e => e.children.length),
            formulas: document.querySelectorAll('math :is(mark, span), merror').length,
            heatmaps: document.querySelectorAll('[data-state]:not([data-live])').length,
            inside: document.querySelectorAll('[data-state] mark').length,
        })"""
    )
    assert wrong == {"styles": [], "formulas": 0, "heatmaps": 0, "inside": 0}


def test_escape_takes_the_marks_away(site, new_page):
    page = new_page()
    search(page, site.as_uri(), "wavelength")
    choose(page, PAGES[4])
    page.wait_for_function(IN_VIEW, arg=["wavelength"], timeout=20_000)
    page.keyboard.press("Escape")
    assert page.locator("article mark").count() == 0
