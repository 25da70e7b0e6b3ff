"""What a page does not use is not sent: rules, custom properties, animations, glyphs, pixels."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sphinx.errors import ExtensionError

from _ext import book_pictures, book_styles, book_tab_stops

PAGE = '<main><p class="lead" id="top" data-kind="a">text</p><script>add("late")</script></main>'


def left_of(style: str, page: str = PAGE) -> str:
    """What is left of a style sheet, on one line."""
    nodes = book_styles.read(style, book_styles.words_of(page))
    return book_styles.written(nodes, book_styles.used_names(nodes, page)).replace("\n", "")


@pytest.mark.parametrize(
    "used",
    [
        "main{color:red}",
        "MAIN > p.lead{color:red}",
        ".lead::before,#top:hover{color:red}",
        ".late{color:red}",  # a script sets it
        "[data-kind=a]{color:red}",
        "p:not(.absent){color:red}",
        ":is(.absent, p){color:red}",  # more than is used, but never less
        ":root{color:red}",
        "*{color:red}",
        "@media print{main{color:red}}",
        "@supports (display: grid){@media print{main{color:red}}}",
        '@font-face{font-family:"a";src:url(a.woff)}',
        "/*! whose work it is */",
    ],
)
def test_rule_that_a_page_can_use_stays(used):
    assert left_of(used).replace(" ", "") == used.replace(" ", "")


@pytest.mark.parametrize(
    "unused",
    [
        "article{color:red}",
        "main .absent{color:red}",
        "p.lead.absent{color:red}",
        "#text{color:red}",  # a word that the page shows is no name in it
        "[data-absent]{color:red}",
        "@media print{.absent{color:red}}",
        "/* a note */",
        "@keyframes turn{from{color:red}}",
        "p{--a:1;--b:var(--a)}",  # read by nothing but one another
    ],
)
def test_what_no_page_can_use_goes(unused):
    assert left_of(unused) == ""


def test_selector_that_no_page_can_use_leaves_its_list():
    assert left_of("p,.absent,main{color:red}") == "p,main{color:red}"


def test_custom_property_is_kept_for_a_rule_a_style_or_a_script_that_reads_it():
    style = "p{--a:1;--b:var(--a);--c:2;--d:3;--e:4;color:var( --b)}"
    page = PAGE + '<p style="color:var(--c)"></p><script>set("--d")</script>'
    assert left_of(style, page) == style.replace("--e:4;", "")


def test_animation_that_a_kept_rule_names_stays():
    turn = "@keyframes turn{from{color:var(--a)}}"
    assert left_of(f"p{{--a:1;animation:1s turn}}{turn}") == f"p{{--a:1;animation:1s turn}}{turn}"
    assert left_of(f".absent{{animation:1s turn}}{turn}") == ""


def test_text_that_looks_like_css_is_left_alone():
    style = 'p::after{content:"a; .b{} --c:1";background:url("data:a;b,c")}'
    assert left_of(style) == style


# ---- a site


STYLES = {
    "_static/theme/a.css": '@import "../basic.css";\np{background:url("../a.svg")}.absent{top:0}',
    "_static/basic.css": "main{top:1px}",
    "_static/b.css": "p{left:2px}",
    "_static/book_math.css": "math{top:3px}",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, text in {
        **STYLES,
        "_static/a.js": "add('late')",
        "index.html": "<html><body></body></html>",
        "one.html": page_of("", "theme/a.css?v=1", "b.css"),
        "in/two.html": page_of("../", "theme/a.css?v=1", "book_math.css?v=2", "b.css"),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def page_of(up: str, *sheets: str) -> str:
    links = "".join(f'<link href="{up}_static/{name}" rel="stylesheet"/>\n' for name in sheets)
    script = f'<script src="{up}_static/a.js"></script>'
    return f"<html><head>\n{links}</head><body>{PAGE}{script}</body></html>"


def sheets_of(site: Path, page: str) -> list[str]:
    return [match[1] for match in book_styles.LINK.finditer((site / page).read_text())]


def test_pages_share_one_style_sheet_in_the_order_of_its_parts(site):
    book_styles.join_style_sheets(site)
    assert sheets_of(site, "one.html") == ["_static/styles.css"]
    assert sheets_of(site, "in/two.html") == ["../_static/styles.css", "../_static/book_math.css"]
    style = (site / "_static/styles.css").read_text().split("\n")
    assert style == ["main{top:1px}", 'p{background:url("a.svg")}', "p{left:2px}"]
    left = {file.relative_to(site / "_static").as_posix() for file in site.rglob("*.css")}
    assert left == {"styles.css", "book_math.css"}


def test_changed_style_sheet_has_another_address(site):
    """A reader's browser may keep the one that it has under this address."""
    book_styles.join_style_sheets(site)
    before = (site / "one.html").read_text()
    for name, text in STYLES.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text.replace("2px", "5px"))
    (site / "in/two.html").write_text(page_of("../", "theme/a.css?v=1", "b.css"))  # built again
    book_styles.join_style_sheets(site)
    assert (site / "one.html").read_text() != before
    assert sheets_of(site, "one.html") == ["_static/styles.css"]
    assert "left:5px" in (site / "_static/styles.css").read_text()


def test_joining_what_is_joined_changes_nothing(site):
    book_styles.join_style_sheets(site)
    before = {file: file.read_bytes() for file in site.rglob("*.*")}
    book_styles.join_style_sheets(site)
    assert {file: file.read_bytes() for file in site.rglob("*.*")} == before


def test_page_with_a_style_sheet_of_its_own_is_refused_by_name(site):
    (site / "_static/c.css").write_text("p{}")
    (site / "one.html").write_text(page_of("", "c.css"))
    with pytest.raises(ExtensionError, match=r"c\.css"):
        book_styles.join_style_sheets(site)


def test_broken_style_sheet_is_refused_by_name(site):
    (site / "_static/b.css").write_text("p{color:red}\n}")
    with pytest.raises(ExtensionError, match=r"b\.css is no style sheet"):
        book_styles.join_style_sheets(site)


# ---- icons


def square():
    pen = TTGlyphPen(None)
    for move, *points in ((pen.moveTo, (0, 0)), (pen.lineTo, (0, 9)), (pen.lineTo, (9, 0))):
        move(*points)
    pen.closePath()
    return pen.glyph()


def test_icons_come_inside_the_style_sheet_and_only_those_it_writes(tmp_path):
    names = [".notdef", "one", "two", "three"]
    font = FontBuilder(1000)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({0xF001: "one", 0xF002: "two", 0xF003: "three"})
    font.setupGlyf({name: square() for name in names})
    font.setupHorizontalMetrics({name: (500, 0) for name in names})
    font.setupHorizontalHeader()
    font.setupPost()
    (tmp_path / "_static").mkdir()
    font.save(tmp_path / "_static" / "icons.ttf")
    face = '@font-face{font-family:"I";src:url("icons.woff2"),url("icons.ttf")}'
    rules = 'a::before{content:"\\f001"}b::before{content:"\uf003"}'
    style = book_styles.with_icons_inside(face + rules, tmp_path)
    data = base64.b64decode(style.partition("base64,")[2].partition(")")[0])
    assert sorted(TTFont(io.BytesIO(data)).getBestCmap()) == [0xF001, 0xF003]
    assert "url(icons" not in style and 'url("icons' not in style


# ---- pictures


@given(
    st.integers(1, 9).flatmap(
        lambda width: st.lists(
            st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=width, max_size=width),
            min_size=1,
            max_size=9,
        )
    )
)
def test_smaller_picture_has_the_same_pixels(rows):
    picture = np.array(rows, dtype=np.uint8)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    webp = book_pictures.as_webp(png.getvalue())
    if webp is not None:
        assert len(webp) < len(png.getvalue())
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(webp)).convert("RGBA")), picture)


def test_pages_show_the_smaller_pictures(tmp_path):
    wide = (
        Image.effect_noise((40, 40), 9).convert("RGB").resize((400, 40), Image.Resampling.NEAREST)
    )
    (tmp_path / "_images").mkdir()
    wide.save(tmp_path / "_images" / "a.png")
    inside = base64.b64encode((tmp_path / "_images" / "a.png").read_bytes()).decode()
    (tmp_path / "page.html").write_text(
        f'<img src="_images/a.png"/><img src="data:image/png;base64,{inside}"/> _images/b.png'
    )
    book_pictures.shrink_pictures(tmp_path)
    page = (tmp_path / "page.html").read_text()
    assert [file.name for file in (tmp_path / "_images").iterdir()] == ["a.webp"]
    assert '<img src="_images/a.webp"/><img src="data:image/webp;base64,' in page
    assert page.endswith("_images/b.png")
    data = base64.b64decode(page.rpartition("base64,")[2].partition('"')[0])
    for webp in (io.BytesIO(data), tmp_path / "_images" / "a.webp"):
        assert np.array_equal(np.asarray(Image.open(webp).convert("RGB")), np.asarray(wide))


def test_picture_that_would_grow_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(book_pictures, "WEBP", {"quality": 100})  # lossy: dots become long
    (tmp_path / "_images").mkdir()
    (tmp_path / "page.html").write_text('<img src="_images/a.png"/>')
    Image.effect_noise((64, 64), 90).convert("1").save(tmp_path / "_images" / "a.png")
    before = (tmp_path / "_images" / "a.png").read_bytes()
    book_pictures.shrink_pictures(tmp_path)
    assert (tmp_path / "_images" / "a.png").read_bytes() == before
    assert (tmp_path / "page.html").read_text() == '<img src="_images/a.png"/>'


# ---- tab stops of what scrolls

THEME = (
    'q(["pre"].join(", ")).forEach(e=>{e.tabIndex=e.scrollWidth>e.clientWidth?0:-1})},'
    't=_(e,300);window.addEventListener("resize",t)'
)


def test_closed_folds_are_not_measured_and_opened_ones_are():
    assert book_tab_stops.with_stops_in_open_folds_only(THEME) == (
        'q(["pre"].join(", ")).forEach(e=>{e.closest("details:not([open])")||'
        "(e.tabIndex=e.scrollWidth>e.clientWidth?0:-1)})},"
        't=_(e,300);document.addEventListener("toggle",e,!0);window.addEventListener("resize",t)'
    )


@pytest.mark.parametrize("times", [0, 2])
def test_another_script_of_the_theme_stops_the_build(times):
    with pytest.raises(ExtensionError, match=f"sets tab stops {times} times"):
        book_tab_stops.with_stops_in_open_folds_only(times * THEME)
