"""A search that answers: an index of sections, terms and names, made while the book is built.

Sphinx's own lists pages, each word once, and reads pages again to show a sentence, which a browser
does not allow from the disk. Here an entry is a section, a term of the glossary or a public name,
with its text; search/book_search.js ranks entries with MiniSearch and shows the sentence that was
found. The index arrives when something is asked (search/minisearch.js is dist/umd/index.js of
minisearch 7.2.0 on npm, as it is).
"""

import hashlib
import html
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

from _ext.book_checks import BuiltPage
from tools.chapters import chapter_map

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "search"
SCRIPT = "book_search.js"
INDEX = "book_search_index.js"
STYLE_OR_SCRIPT = re.compile(r"<(style|script)\b.*?</\1>", re.DOTALL)


def words_of_formula(tex: str) -> str:
    r"""`\sqrt{d_{\text{model}}}` as somebody would type it: sqrt d_model."""
    tex = re.sub(r"\\(?:text|mathrm|mathbf|left|right|d?frac|begin|end)\b", " ", tex)
    tex = re.sub(r"_\{\s*\{?(\w+)\}?\s*\}", r"_\1", tex.replace("\\", " "))
    return re.sub(r"[{}&$^]+|\s+", " ", tex)


def is_entry(node: nodes.Node) -> bool:
    """A section with a heading (what an exercise holds is one without), or a public name."""
    titled = isinstance(node, nodes.section) and isinstance(node.children[0], nodes.title)
    return titled or isinstance(node, addnodes.desc)


def text_of(node: nodes.Node, *, code: bool = False) -> str:
    """The prose of a node, or its code and what it printed, without the entries inside of it."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, (nodes.math, nodes.math_block)):
        return "" if code else words_of_formula(node.astext())
    if isinstance(node, nodes.raw):
        if code or node.get("format") != "html":
            return ""
        seen = STYLE_OR_SCRIPT.sub(" ", node.astext())
        return html.unescape(re.sub(r"<[^>]*>", " ", seen))
    if isinstance(node, nodes.literal_block):
        return f"{node.astext()} " if code else ""
    if isinstance(node, (nodes.comment, nodes.system_message, addnodes.index)):
        return ""
    inside = [text_of(child, code=code) for child in node.children if not is_entry(child)]
    if isinstance(node, nodes.Inline):
        return "".join(inside)
    if isinstance(node, nodes.TextElement):
        return "" if code else "".join(inside) + " "
    return " ".join(inside) + " "


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def entry(place: str, title: str, kind: str, children: list[nodes.Node]) -> dict:
    own = [child for child in children if not is_entry(child)]
    code = " ".join(text_of(child, code=True) for child in own)
    return {
        "place": place,
        "title": title,
        "kind": kind,
        "text": one_line(" ".join(map(text_of, own))),
        # Found by, and never quoted: each word once is a third of it.
        "code": " ".join(dict.fromkeys(re.findall(r"\w+", code))),
    }


def entries_of(doctree: nodes.document, page: str) -> list[dict]:
    """Sections, terms and names of a page, in its order."""
    entries = []
    for section in filter(is_entry, doctree.findall(nodes.section)):
        heading, *children = section.children
        first = isinstance(section.parent, nodes.document)
        place, kind = ("", "page") if first else (section["ids"][0], "section")
        entries.append(entry(place, one_line(text_of(heading)), kind, children))
    for item in doctree.findall(nodes.definition_list_item):
        meaning = item.children[-1]
        for term in item.findall(nodes.term):
            if term["ids"] and isinstance(meaning, nodes.definition):
                entries.append(entry(term["ids"][0], one_line(text_of(term)), "term", [meaning]))
    for desc in doctree.findall(addnodes.desc):
        for signature in desc.children[:-1]:
            if signature["ids"]:
                name = signature["ids"][0].removeprefix("simplellm.")
                entries.append(entry(signature["ids"][0], name, "name", desc.children[-1].children))
    return [{"page": page, **found} for found in entries]


def collect(app, doctree, docname):
    if app.builder.name == "html":
        app.book_search[docname] = entries_of(doctree, docname)


def write_index(app, exception):
    """The index and its scripts, for the search page; with every page's name as readers know it."""
    if exception or app.builder.name != "html":
        return
    found = app.book_search
    for page in sorted(app.env.found_docs - found.keys()):  # of a build before this one
        found[page] = entries_of(app.env.get_doctree(page), page)
    numbers = {f"chapters/{chapter.file}": chapter.number for chapter in chapters(app)}
    pages = {
        page: f"{numbers[page]} {title.astext()}" if page in numbers else title.astext()
        for page, title in sorted(app.env.titles.items())
    }
    entries = [entry for page in sorted(found) for entry in found[page]]
    index = {"pages": pages, "chapters": [*numbers], "entries": entries}
    for dead in dead_entries(Path(app.outdir), entries):
        log.warning("the search would lead to %s, which is not there", dead, type="book")
    static = Path(app.outdir, "_static")
    text = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
    (static / INDEX).write_text(f"window.bookSearchIndex = {text};\n", encoding="utf-8")
    # Or a browser would keep the one that it has.
    version = hashlib.sha256(text.encode()).hexdigest()[:8]
    asking = Path(app.outdir, "search.html")
    text = asking.read_text("utf-8").replace(f'{SCRIPT}"', f'{SCRIPT}?v={version}"')
    asking.write_text(text, encoding="utf-8")
    for file in FOLDER.iterdir():
        (static / file.name).write_bytes(file.read_bytes())


def dead_entries(site: Path, entries: list[dict]) -> list[str]:
    """Pages and places of the index that are not in the built site."""
    ids: dict[str, set[str]] = {}
    dead = []
    for found in entries:
        file = f"{found['page']}.html"
        path = site / file
        if file not in ids:
            ids[file] = {"", *BuiltPage(path.read_text("utf-8")).ids} if path.is_file() else set()
        if found["place"] not in ids[file]:
            dead.append(f"{file}#{found['place']}")
    return dead


def chapters(app) -> list:
    try:
        return chapter_map.load(Path(app.srcdir))
    except (OSError, ValueError):
        return []  # which the map itself says


def setup(app):
    app.book_search = {}
    app.connect("doctree-resolved", collect)
    app.connect("build-finished", write_index, priority=800)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
