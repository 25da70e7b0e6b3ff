"""Send of the theme's style sheets what a page can use, as one file; and of its icons the same.

The theme, Bootstrap and the extensions bring half a megabyte of rules, of which a page matches a
tenth, and an icon font of a thousand glyphs for some thirty that appear. When all pages are written
this reads which elements, classes, ids and attributes stand in them, or are words of their scripts
(which may set them later), and drops the rules that need another; then the custom properties,
animations and glyphs that nothing else uses. What it cannot judge it keeps.
"""

import base64
import hashlib
import io
import logging
import posixpath
import re
from pathlib import Path

import tinycss2
from fontTools import subset
from sphinx.errors import ExtensionError

from simplellm.palette import with_colors

JOINED = "_static/styles.css"
OWN = "book_math.css"  # a font: only for the pages that have formulas

WORD = re.compile(r"[A-Za-z_-][\w-]*")
TAG = re.compile(r"<([a-zA-Z][\w-]*)([^>]*)>")
ATTRIBUTE = re.compile(r'([\w:-]+)(?:="([^"]*)")?')
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL)
LINK = re.compile(r'<link href="([^"?]*\.css)(?:\?[^"]*)?" rel="stylesheet"[^>]*/>\s*')
SOURCE = re.compile(r'<script\b[^>]* src="([^"?]*\.js)')
URL = re.compile(r"""url\(\s*(["']?)(?!data:)([^"')]+)\1\s*\)""")
GROUPS = ("container", "layer", "media", "supports")

# Bootstrap's script names every component there is. What it sets on ours, a menu and tips:
BOOTSTRAP = "bootstrap.js"
BOOTSTRAP_SETS = {
    *("show", "showing", "hiding", "fade", "active", "disabled", "data-popper-placement"),
    *("tooltip", "tooltip-arrow", "tooltip-inner", "bs-tooltip-auto"),
}

# A style sheet, read: a rule is its head and what stands in its braces; what is not looked into (a
# declaration, @font-face) is its text.
Node = str | tuple[str, list["Node"]]


# ---- what is on the pages


def words_of(html: str) -> set[str]:
    """Elements, classes, ids and attributes of a page, and every word of its own scripts."""
    words = set()
    for _, code in SCRIPT.findall(html):
        words.update(WORD.findall(code))
    for element, attributes in TAG.findall(html):
        words.add(element.lower())
        for name, value in ATTRIBUTE.findall(attributes):
            words.add(name.lower())
            if name in ("class", "id"):
                words.update(value.split())
    return words


def files_in(html: str, pattern: re.Pattern, page: str) -> list[str]:
    """The files below the site's root that the first group of a pattern finds in a page."""
    found = (match[1] for match in pattern.finditer(html))
    return [posixpath.normpath(posixpath.join(posixpath.dirname(page), url)) for url in found]


# ---- which rules those can meet


def parts(tokens: list, separator: str) -> list[list]:
    """Cut a list of tokens at every comma, or semicolon."""
    found: list[list] = [[]]
    for token in tokens:
        if token.type == "literal" and token.value == separator:
            found.append([])
        else:
            found[-1].append(token)
    return found


def needs(selector: list) -> set[str]:
    """Elements, classes, ids and attributes without which a selector meets nothing.

    What stands in `:not(...)`, `:is(...)` and their like does not count: it may be absent.
    """
    names, before = set(), ""
    for token in selector:
        if token.type == "hash" or (token.type == "ident" and before == "."):
            names.add(token.value)
        elif token.type == "ident" and before != ":":
            names.add(token.lower_value)
        elif token.type == "[] block":
            names.add(next(part.lower_value for part in token.content if part.type == "ident"))
        before = token.value if token.type == "literal" else ""
    return names


def text(tokens: list) -> str:
    return tinycss2.serialize(tokens).strip()


def read(sheet: str | list, words: set[str]) -> list[Node]:
    """A style sheet without the rules that need something that is not among the words.

    Raises:
        ValueError: it is no valid CSS.
    """
    nodes: list[Node] = []
    for rule in tinycss2.parse_rule_list(sheet, skip_whitespace=True):
        if rule.type == "error":
            raise ValueError(rule.message)
        if rule.type == "qualified-rule":
            selectors = [part for part in parts(rule.prelude, ",") if needs(part) <= words]
            if selectors:
                inside = [text(part) for part in parts(rule.content, ";")]
                nodes.append((",".join(map(text, selectors)), [*filter(None, inside)]))
        elif rule.type == "at-rule" and rule.lower_at_keyword in GROUPS and rule.content:
            inside = read(rule.content, words)
            if inside:
                nodes.append((f"@{rule.at_keyword} {text(rule.prelude)}", inside))
        elif rule.type != "comment" or rule.value.startswith("!"):  # whose work it is
            nodes.append(rule.serialize())
    return nodes


# ---- what only those rules used


def leaves(nodes: list[Node]) -> list[str]:
    """The declarations, and whatever else was not looked into, of a style sheet."""
    found = []
    for node in nodes:
        found += [node] if isinstance(node, str) else leaves(node[1])
    return found


def custom_property(declaration: str) -> str | None:
    """The custom property that a declaration sets."""
    name = re.match(r"(--[\w-]+)\s*:", declaration)
    return name and name[1]


def used_names(nodes: list[Node], elsewhere: str) -> set[str]:
    """Custom properties that are read, and animations that run."""
    declarations = leaves(nodes)
    read_by: dict[str | None, set[str]] = {}
    for declaration in declarations:
        names = re.findall(r"var\(\s*(--[\w-]+)", declaration)
        read_by.setdefault(custom_property(declaration), set()).update(names)
    used, new = set(), read_by.get(None, set()) | set(re.findall(r"--[\w-]+", elsewhere))
    while new:
        used |= new
        new = set().union(*(read_by.get(name, set()) for name in new)) - used
    for declaration in declarations:
        if re.match(r"(-webkit-)?animation", declaration):
            used.update(WORD.findall(declaration))
    return used


def is_used(leaf: str, used: set[str]) -> bool:
    """Whether a custom property or an animation is used; all else is."""
    frames = re.match(r"@(?:-webkit-)?keyframes\s+([\w-]+)", leaf)
    name = custom_property(leaf) or (frames and frames[1])
    return name is None or name in used


def written(nodes: list[Node], used: set[str]) -> str:
    """A style sheet as text, without the custom properties and animations that are not used."""
    lines = []
    for node in nodes:
        if isinstance(node, str):
            lines += [node] if is_used(node, used) else []
        elif any(isinstance(part, tuple) for part in node[1]):
            lines.append(f"{node[0]}{{\n{written(node[1], used)}\n}}")
        elif inside := [part for part in node[1] if is_used(part, used)]:
            lines.append(f"{node[0]}{{{';'.join(inside)}}}")
    return "\n".join(lines)


# ---- icons


def characters(style: str) -> set[int]:
    """The characters of private use, as icons are, that a style sheet writes."""
    escaped = {int(code, 16) for code in re.findall(r"\\([0-9a-fA-F]{4,6})", style)}
    return {code for code in escaped | {*map(ord, style)} if 0xE000 <= code < 0xF900}


def cut_font(file: Path, wanted: set[int]) -> str:
    """A part of a font, as a data: address, so that it is there when its page is first drawn."""
    options = subset.Options(flavor="woff", layout_features=[], hinting=False)
    logging.getLogger(subset.__name__).setLevel(logging.WARNING)  # it tells of every table
    out = io.BytesIO()
    with subset.load_font(str(file), options) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=wanted & {*font.getBestCmap()})
        cutter.subset(font)
        subset.save_font(font, out, options)
    return "data:font/woff;base64," + base64.b64encode(out.getvalue()).decode()


def with_icons_inside(style: str, root: Path) -> str:
    """Put into each @font-face of the icons the glyphs that the style sheet writes."""

    def replace(face: re.Match) -> str:
        file = next((url for _, url in URL.findall(face[0]) if url.endswith(".ttf")), None)
        if file is None:
            return face[0]
        source = cut_font(root / "_static" / file, characters(style))
        return re.sub(r"src:[^;}]*", lambda _: f'src:url({source}) format("woff")', face[0])

    return re.sub(r"@font-face\s*\{[^}]*\}", replace, style)


# ---- one style sheet for all pages


def sheet(root: Path, file: str) -> str:
    """A style sheet with what it imports, and its addresses as they are seen from _static."""

    def seen_from_static(url: str) -> str:
        return posixpath.relpath(posixpath.join(posixpath.dirname(file), url), "_static")

    style = with_colors((root / file).read_text("utf-8"))
    style = re.sub(
        r'@import\s+"([^":]+)"\s*;',
        lambda found: sheet(root, posixpath.normpath(f"{posixpath.dirname(file)}/{found[1]}")),
        style,
    )
    return URL.sub(lambda found: f'url("{seen_from_static(found[2])}")', style)


def joined(root: Path, files: list[str], pages: list[str], scripts: list[str]) -> str:
    """One style sheet in place of several, for pages (as text) that run these scripts (files)."""
    code = [(root / script).read_text("utf-8") for script in scripts if BOOTSTRAP not in script]
    words = BOOTSTRAP_SETS.union(*map(words_of, pages), *map(WORD.findall, code))
    nodes: list[Node] = []
    for file in files:
        try:
            nodes += read(sheet(root, file), words)
        except ValueError as error:
            raise ExtensionError(f"{file} is no style sheet: {error}") from error
    style = written(nodes, used_names(nodes, " ".join([*pages, *code])))
    return with_icons_inside(style, root)


def join_style_sheets(root: Path) -> None:
    """Give all pages of a built site one style sheet in the place of those they link to.

    Raises:
        ExtensionError: a page links to one that others do not, or one is no valid CSS.
    """
    pages = {f: f.read_text("utf-8") for f in root.rglob("*.html") if "_static" not in f.parts}
    linked, scripts = set(), set()
    for file, html in pages.items():
        here = file.relative_to(root).as_posix()
        # what a build before this one has joined is in no folder any more
        linked.add(tuple(f for f in files_in(html, LINK, here) if not f.endswith((JOINED, OWN))))
        scripts.update(files_in(html, SOURCE, here))
    files = max(linked, key=len)
    if not files:
        return  # no page was written
    if strange := {*sum(linked, ())} - {*files}:
        raise ExtensionError(f"not every page links to {sorted(strange)}: join these by themselves")
    style = joined(root, files, [*pages.values()], sorted(scripts))
    (root / JOINED).write_text(style, encoding="utf-8")
    version = hashlib.sha256(style.encode()).hexdigest()[:8]
    for file, html in pages.items():
        up = "../" * (len(file.relative_to(root).parts) - 1)
        link = f'<link href="{up}{JOINED}?v={version}" rel="stylesheet"/>\n'
        if first := LINK.search(html):  # the front door has none
            start, rest = html[: first.start()], html[first.start() :]
            rest = LINK.sub(lambda found: found[0] if OWN in found[0] else "", rest)
            file.write_text(start + link + rest, encoding="utf-8")
    for file in (root / "_static").rglob("*.css"):
        if file not in (root / JOINED, root / "_static" / OWN):
            file.unlink()  # it is in the other


def join_at_the_end(app, exception):
    if exception is None and app.builder.name == "html":
        join_style_sheets(Path(app.outdir))


def setup(app):
    # when all pages and files are there, and before unused files are dropped and links checked
    app.connect("build-finished", join_at_the_end, priority=850)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
