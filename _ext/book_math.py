"""Formulas are set while the book is built: each is MathML, and no script runs on the page.

Browsers draw MathML themselves, and read it to a screen reader. So nothing is typeset late and
moves the text around it, and there is no hidden copy that makes a page wider than a phone. The font
comes with the page (tools/math_font.py), because most machines have none for mathematics.
"""

import html
import re
from functools import cache
from pathlib import Path

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

log = logging.getLogger(__name__)

STYLE = Path(__file__).parent / "math" / "book_math.css"
SPLIT = re.compile(r"\s*\\begin\{split\}(.*)\\end\{split\}\s*", re.DOTALL)  # MyST's own wrapper
CONVERTER = LatexToMathML()


@cache
def characters_of_the_font() -> set[int]:
    """Return the characters that the style sheet lists for its font."""
    declared = re.search(r"unicode-range: ([^;]+);", STYLE.read_text("utf-8"))
    found: set[int] = set()
    for part in declared[1].split(", "):
        first, _, last = part.removeprefix("U+").partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


def to_mathml(tex: str, *, display: bool) -> str:
    """A formula as MathML.

    Raises:
        ValueError: it cannot be set, or wants a character that the font does not have.
    """
    lines = SPLIT.fullmatch(tex)
    if lines:  # lines that are aligned have & or \\
        aligned = "&" in lines[1] or r"\\" in lines[1]
        tex = rf"\begin{{aligned}}{lines[1]}\end{{aligned}}" if aligned else lines[1]
    try:
        mathml = CONVERTER.convert_with_local_state(tex.strip(), displaystyle=display)
    except LatexError as error:
        raise ValueError(f"this formula cannot be set: {tex.strip()!r}: {error}") from error
    text = html.unescape(re.sub(r"<[^>]*>", "", mathml))
    missing = sorted({c for c in text if ord(c) not in characters_of_the_font()} - {"\n"})
    if missing:
        raise ValueError(
            f"this formula needs {' '.join(missing)}, which its font does not have: "
            f"{tex.strip()!r}. Add it to CHARACTERS in tools/math_font.py and make the font again."
        )
    return mathml


def written(self, node, *, display):
    try:
        return to_mathml(node.astext(), display=display)
    except ValueError as error:
        log.warning("%s", error, location=node, type="book", subtype="math")
        return f"<code>{html.escape(node.astext())}</code>"


def visit_inline(self, node):
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate"))
    self.body.append(written(self, node, display=False) + "</span>")
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        number = "".join(str(node["number"]))
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(written(self, node, display=True) + "</div>\n")
    raise nodes.SkipNode


def bring_the_style(app, pagename, templatename, context, doctree):
    """Only where there are formulas: it holds a font, which is made ready before a line is laid."""
    if doctree is not None and next(doctree.findall(is_math), None):
        app.add_css_file(STYLE.name)
        app.add_js_file(None, body="document.fonts?.load('1em \"Book Math\"');")


def is_math(node):
    return isinstance(node, (nodes.math, nodes.math_block))


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    app.config.html_static_path.append(str(STYLE.parent))
    app.connect("html-page-context", bring_the_style)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
