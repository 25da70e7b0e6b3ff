"""Every public name has its entry; names, terms and heatmaps lead where they say."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pytest
from docutils import nodes
from docutils.utils import new_document

import simplellm
from _ext import book_heatmap_index, book_links
from _ext.contracts import CONTRACTS
from _ext.contracts.cases import make

ROOT = Path(__file__).resolve().parents[2]
PAGES = "chapters/reference/"
SMALL_PICTURES_LIMIT = 300_000  # bytes, in all


def target_of(page, link):
    """(page, anchor) that a link leads to."""
    url = urlsplit(urljoin(page, link["href"]))
    return url.path, unquote(url.fragment)


@pytest.fixture(scope="session")
def anchors(site):
    """Every id of every page of the reference: {page: ids}."""
    return {
        f.relative_to(site).as_posix(): set(re.findall(r'\bid="([^"]+)"', f.read_text("utf-8")))
        for f in site.glob(f"{PAGES}*.html")
    }


# ---- API


def modules():
    """Every module of the package, but for the answers to the chapters' exercises."""
    found = (m.name for m in pkgutil.walk_packages(simplellm.__path__, "simplellm."))
    return [m for m in found if not m.startswith("simplellm.exercises.") or m.endswith(".judging")]


def public_names(module):
    """What a module defines without an underscore: classes, functions, constants."""
    source = Path(importlib.util.find_spec(module).origin).read_text("utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names = [node.name]
        elif isinstance(node, ast.AnnAssign):
            names = [node.target.id]
        elif isinstance(node, ast.Assign):
            names = [n.id for n in ast.walk(ast.Tuple(node.targets)) if isinstance(n, ast.Name)]
        else:
            names = []
        yield from (n for n in names if not n.startswith("_"))


@pytest.mark.parametrize("module", modules())
def test_every_public_name_has_an_entry(module, anchors):
    entries = set().union(*(ids for page, ids in anchors.items() if "/api_" in page))
    parts = module.split(".")
    packages = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    missing = [
        name for name in public_names(module) if not {f"{p}.{name}" for p in packages} & entries
    ]
    assert missing == [], f"add `.. api:: {module}` to a page of chapters/reference/"


def test_names_of_the_top_are_called_as_they_are_imported(anchors):
    entries = set().union(*anchors.values())
    assert [n for n in simplellm.__all__ if f"simplellm.{n}" not in entries] == []


def test_every_entry_of_the_top_has_an_example_and_its_code(site, soup_of):
    for page in site.glob(f"{PAGES}api_*.html"):
        for entry in soup_of(page.relative_to(site)).select("dl.py > dt.sig[id]"):
            if entry["id"].removeprefix("simplellm.") in simplellm.__all__:
                box = entry.parent
                assert ">>>" in box.get_text(), entry["id"]
                assert "source-code" in (box.find_next_sibling() or {}).get("class", [])


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_an_entry(scheme, site, site_url, new_page):
    page = new_page()
    origin = site_url if scheme == "http" else site.as_uri()
    page.goto(f"{origin}/search.html?q=sinusoidal_encoding")
    entry = page.locator('#search-results a[href*="#simplellm.sinusoidal_encoding"]').first
    # a list that still grows moves from under the click
    page.locator("#search-results .search-summary").filter(has_text=re.compile(".")).wait_for()
    entry.click()
    page.wait_for_url(f"**/{PAGES}api_mathematics.html*")


# ---- code names


def imports_of(notebook):
    """The names that a chapter's cells import from the package."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", []):
            for line in cell.source.splitlines():
                if re.match(r"from simplellm[\w.]* import [\w, ]+$", line):
                    module = line.split()[1]
                    names = line.partition(" import ")[2].split(", ")
                    yield from (f"{module}.{name.split()[0]}" for name in names)


def test_every_name_a_chapter_imports_leads_to_its_entry(chapter_path, soup_of, source_of, anchors):
    source = source_of(chapter_path)
    if source.suffix != ".ipynb":
        return
    links = soup_of(chapter_path).select("pre a.code-link")
    reached = [target_of(chapter_path, link) for link in links]
    assert [place for page, place in reached if place not in anchors[page]] == []
    entries = set().union(*anchors.values())
    wanted = {name for name in imports_of(source) if name in entries}
    wanted |= {n for n in imports_of(source) if n.removeprefix("simplellm.") in simplellm.__all__}
    assert wanted <= {place for _, place in reached} | {"simplellm.exercises.check"}


def test_a_chapter_that_uses_the_package_links_into_its_code(chapter_path, source_of, soup_of):
    source = source_of(chapter_path)
    if source.suffix == ".ipynb" and list(imports_of(source)):
        assert soup_of(chapter_path).select("pre a.code-link")


def test_most_chapters_use_the_package():
    using = [f for f in (ROOT / "chapters").glob("*.ipynb") if list(imports_of(f))]
    assert len(using) > 5


def test_inline_names_lead_to_their_entry(chapter_path, soup_of, anchors):
    links = soup_of(chapter_path).select("article a.reference:has(> code)")
    for link in links:
        page, place = target_of(chapter_path, link)
        if link.get_text(strip=True).removesuffix("()") in simplellm.__all__:
            assert place in anchors[page]
            assert place == f"simplellm.{link.get_text(strip=True).removesuffix('()')}"
        assert link.find_parent(["h1", "h2", "h3"]) is None


def test_linked_code_is_copied_as_it_was_written(chapter_path, soup_of, source_of):
    source = source_of(chapter_path)
    if source.suffix != ".ipynb":
        return
    written = {c.source.strip() for c in nbformat.read(source, 4).cells if c.cell_type == "code"}
    for block in soup_of(chapter_path).select(".cell_input pre:has(a.code-link)"):
        assert block.get_text().strip() in written


OBJECTS = {
    "simplellm.InputEmbedding": "class",
    "simplellm.SimpleLLM": "class",
    "simplellm.SimpleLLM.generate": "method",
    "simplellm.frequencies": "function",
    "simplellm.training.fit": "function",
    "simplellm.plots": "module",
    "simplellm.plots.use_style": "function",
}


class Entry:
    def __init__(self, objtype):
        self.objtype = objtype


def uses(code):
    tree = ast.parse(code)
    names = book_links.Names([tree], {n: Entry(kind) for n, kind in OBJECTS.items()})
    lines = code.splitlines()
    return [(lines[line - 1][start:end], full) for line, start, end, full in names.uses(tree)]


def test_names_in_code_are_found_once_a_cell_by_what_they_were_imported_as():
    code = "from simplellm.training import fit as train\nx = train(1)\ntrain(2)"
    assert uses(code) == [("fit", "simplellm.training.fit")]
    code = "from simplellm import plots\nplots.use_style()\nplots.use_style()"
    assert uses(code) == [
        ("plots", "simplellm.plots"),
        ("plots.use_style", "simplellm.plots.use_style"),
    ]
    assert uses("fit(1)\nInputEmbedding(2)") == []  # somebody else's, as far as the page says


def test_methods_are_found_by_what_their_object_was_made_of():
    code = "from simplellm import SimpleLLM\nm = SimpleLLM(c)\nm.generate(1)\nm.other()\nm"
    assert uses(code) == [
        ("SimpleLLM", "simplellm.SimpleLLM"),
        ("m.generate", "simplellm.SimpleLLM.generate"),
    ]


def test_a_name_that_is_given_to_something_else_is_linked_only_where_it_is_called():
    code = "from simplellm import frequencies\n"
    again = "frequencies = frequencies(8)\nprint(frequencies.sum())"
    tree = ast.parse(code), ast.parse(again)
    names = book_links.Names(tree, {n: Entry(kind) for n, kind in OBJECTS.items()})
    assert names.uses(tree[1]) == [(1, 14, 25, "simplellm.frequencies")]


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("InputEmbedding", "simplellm.InputEmbedding"),
        ("InputEmbedding()", "simplellm.InputEmbedding"),
        ("simplellm.training.fit", "simplellm.training.fit"),
        ("SimpleLLM.generate", "simplellm.SimpleLLM.generate"),
        ("plots", None),  # a module is meant only where it is imported, or called in full
        ("simplellm.plots", "simplellm.plots"),
        ("fit", None),  # not at the top, and this page does not import it
        ("InputEmbedding(8)", None),
        ("generate", None),
        ("x", None),
    ],
)
def test_inline_code_is_a_name_only_if_it_is_exactly_one(text, full):
    names = book_links.Names([], {n: Entry(kind) for n, kind in OBJECTS.items()})
    assert book_links.full_name(text, names) == full


def test_links_stand_around_whole_tokens():
    html = '<div><pre><span></span><span class="n">a</span><span class="o">&lt;</span>'
    html += '<span class="n">plots</span><span class="o">.</span><span class="n">go</span>\n</pre>'
    linked = book_links.with_links(html, [(2, 10, "x.html#y")])
    inside = '<span class="n">plots</span><span class="o">.</span><span class="n">go</span>'
    assert f'<a class="code-link" href="x.html#y">{inside}</a>\n' in linked
    assert linked.count("<a ") == linked.count("</a>") == 1


# ---- terms


def test_every_term_is_explained_in_a_chapter(soup_of):
    page = f"{PAGES}glossary.html"
    meanings = soup_of(page).select("dl.glossary > dd")
    assert len(meanings) >= 45
    for meaning in meanings:
        first = meaning.find("p").get_text()
        assert 5 <= len(first.split()) <= 60, first
        assert [a for a in meaning.select("a") if target_of(page, a)[0].startswith("chapters/")]


def test_terms_are_linked_once_a_page_in_running_text_only(page_path, soup, anchors):
    links = soup.select("a.glossary-term")
    places = [target_of(page_path, link) for link in links]
    assert len(set(places)) == len(places)
    for link, (page, place) in zip(links, places, strict=True):
        assert page == f"{PAGES}glossary.html" and place in anchors[page]
        assert link.find_parent(["h1", "h2", "h3", "h4", "code", "pre", "figcaption"]) is None
        assert len(link.find_parents("a")) == 0
        assert link["title"]


def test_every_chapter_has_terms(site):
    without = [
        f.name for f in site.glob("chapters/*.html") if "glossary-term" not in f.read_text("utf-8")
    ]
    assert without == []


TERMS = ["attention", "attention score", "attention head", "frequency", "token", "BOS"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Two frequencies and a frequency", ["frequencies", "frequency"]),
        ("the attention score of an attention head", ["attention score", "attention head"]),
        ("attention scores", ["attention scores"]),
        ("Tokens, a token", ["Tokens", "token"]),
        ("one tokeniser, subtoken, token-wise", []),
        ("BOS and bos", ["BOS"]),
    ],
)
def test_terms_are_found_in_their_forms_the_longest_first(text, found):
    pattern = book_links.finder(TERMS)
    assert [match[0] for match in pattern.finditer(text)] == found


def test_no_link_inside_a_title_or_code():
    document = new_document("a")
    section, title, literal = nodes.section(), nodes.title("", "token"), nodes.literal("", "token")
    document += section
    section += [title, nodes.paragraph("", "", literal, nodes.Text(" token"))]
    inside = [
        book_links.is_inside(text, (*book_links.NO_LINK_IN, *book_links.CODE))
        for text in document.findall(nodes.Text)
    ]
    assert inside == [True, True, False]


def test_no_link_inside_a_link_that_was_written_in_html():
    paragraph = nodes.paragraph("", "one ")
    paragraph += [nodes.raw("", '<a href="#x">', format="html"), nodes.Text("token")]
    paragraph += [nodes.raw("", "</a>", format="html"), nodes.Text(" token")]
    texts = [n for n in paragraph.findall(nodes.Text) if not isinstance(n.parent, nodes.raw)]
    assert [book_links.is_in_written_link(text) for text in texts] == [False, True, False]


# ---- bibliography, heatmaps, contracts


def test_bibliography_lists_every_source(soup_of):
    keys = re.findall(r"^@\w+\{(.+),$", (ROOT / "chapters/references.bib").read_text(), re.M)
    listed = soup_of(f"{PAGES}bibliography.html").select(".citation-list > [id]")
    assert len(listed) == len(keys) > 30


def test_index_leads_to_every_heatmap(chapter_path, soup_of):
    index = f"{PAGES}heatmaps.html"
    links = [target_of(index, a) for a in soup_of(index).select("ul.heatmap-index a")]
    assert len(links) > 10
    heatmaps = [tag["id"] for tag in soup_of(chapter_path).select(".simplellm-heatmap")]
    assert sorted(place for page, place in links if page == chapter_path) == sorted(heatmaps)


def test_small_pictures_are_small(soup_of):
    pictures = soup_of(f"{PAGES}heatmaps.html").select("ul.heatmap-index img")
    assert len({p["src"] for p in pictures}) > len(pictures) / 2
    assert sum(len(p["src"]) for p in pictures) < SMALL_PICTURES_LIMIT


def test_a_small_picture_is_made_of_the_heatmaps_own_numbers():
    from io import BytesIO

    from PIL import Image

    from simplellm.heatmap import Heatmap
    from simplellm.palette import colors

    heatmap = Heatmap([[-1.0, 1.0]], title="Two", name="two")
    image = Image.open(BytesIO(book_heatmap_index.small_picture(heatmap))).convert("RGB")
    ends = [colors("diverging")[0], colors("diverging")[-1]]
    corners = [image.getpixel((0, 0)), image.getpixel((image.width - 1, image.height - 1))]
    for colour, end in zip(corners, ends, strict=True):
        wanted = [int(end[i : i + 2], 16) for i in (1, 3, 5)]
        assert max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) < 8


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_page_shows_every_case_with_its_message(name, soup_of):
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    soup = soup_of(f"{PAGES}contract_{stem}.html")
    contract = CONTRACTS[name]
    terms = soup.select("dl.refusals > dt")
    shown = {
        dt.get_text(" ", strip=True): " ".join(dt.find_next_sibling("dd").get_text().split())
        for dt in terms
    }
    module = make(contract.small)
    parts = ("arguments", "inputs", "generation", "caching", "losses", "loading")
    cases = [case for part in parts for case in getattr(contract, part)]
    for case in cases:
        said = " ".join(case.message(**{contract.instance: module}).split())
        assert shown[case.call] == f"{case.error.__name__}: {said}"
    assert len(terms) == len(cases)
    assert len(soup.select("table.contract")) >= 4
