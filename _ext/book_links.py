"""Links that nobody writes: code names to their API page, terms to the glossary.

Inline code that is exactly a public name leads to its entry: a name that is exported by the
package itself, or one that this page's own code imports (`fit`, on a page with
`from simplellm.training import fit`), or a dotted one. In a code cell the first use of each name
does. A term of the glossary leads there from its first place in the running text of a page.

sphinx-codeautolink does the cells elsewhere; version 0.19 stops at the untitled sections of
sphinx-exercise, and links every use, which is many stops for whoever walks by keyboard.
"""

import ast
import re
from html import escape, unescape

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

PACKAGE = "simplellm"
PYTHON = ("ipython3", "python")
GLOSSARY = "chapters/reference/glossary"
# Pages that are lists themselves: a link in every line would help nobody.
NO_TERMS = (
    GLOSSARY,
    "chapters/reference/bibliography",
    "chapters/reference/course_map",
    "chapters/reference/heatmaps",
)
NO_LINK_IN = (
    nodes.title,
    nodes.subtitle,
    nodes.rubric,
    nodes.reference,
    nodes.caption,
    nodes.term,
    nodes.raw,
    nodes.citation,
    nodes.label,
    addnodes.pending_xref,
    addnodes.desc_signature,
    addnodes.toctree,
)
CODE = (nodes.literal, nodes.literal_block, nodes.doctest_block, nodes.math, nodes.math_block)


def is_inside(node, kinds):
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def is_in_written_link(node):
    """Whether the author wrote a link around it in HTML, of which docutils sees start and end."""
    before = node.parent[: node.parent.index(node)]
    html = "".join(n.astext() for n in before if isinstance(n, nodes.raw))
    return len(re.findall(r"<a\b", html)) > html.count("</a>")


# ---- code names


def parsed(block) -> ast.Module | None:
    """The code of a cell, or None where it is not Python alone (a magic, a shell command)."""
    try:
        return ast.parse(block.astext())
    except SyntaxError:
        return None


class Names:
    """The objects that the names in the code of one page are bound to."""

    def __init__(self, trees, objects):
        self.objects = objects
        self.known = {}  # {name: full name}
        self.bound = set()  # names that are also bound to something else on this page
        for tree in trees:
            for node in ast.walk(tree):
                self.read(node)
        for tree in trees:
            for node in ast.walk(tree):
                self.read_instances(node)

    def read(self, node):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for name in node.names:
                self.known[name.asname or name.name] = f"{node.module}.{name.name}"
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith(PACKAGE):
                    self.known[name.asname or PACKAGE] = name.name if name.asname else PACKAGE
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self.bound.add(node.id)
        elif isinstance(node, ast.arg):
            self.bound.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            self.bound.add(node.name)

    def read_instances(self, node):
        """`model = SimpleLLM(config)`: then `model.generate` is `SimpleLLM.generate`."""
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            kind = self.full(node.value.func)
            target = node.targets[0]
            if kind and self.objects[kind].objtype == "class" and isinstance(target, ast.Name):
                self.known.setdefault(target.id, f"{kind}#")  # an instance, not a name of its own

    def path(self, node) -> str:
        if isinstance(node, ast.Name):
            return self.known.get(node.id, "")
        if isinstance(node, ast.Attribute):
            before = self.path(node.value).removesuffix("#")
            return f"{before}.{node.attr}" if before else ""
        return ""

    def full(self, node) -> str | None:
        """Return the documented object that a name, or a dotted one, is bound to."""
        found = self.path(node)
        return found if found in self.objects else None

    def uses(self, tree) -> list[tuple[int, int, int, str]]:
        """(line, first column, last column, full name) of the first use of each."""
        called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        found = []
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                for name in node.names:
                    full = f"{node.module}.{name.name}"
                    if full in self.objects:
                        found.append(
                            (name.lineno, name.col_offset, name.col_offset + len(name.name), full)
                        )
            elif isinstance(node, (ast.Name, ast.Attribute)):
                full = self.full(node)
                shadowed = isinstance(node, ast.Name) and node.id in self.bound
                on_one_line = isinstance(node.ctx, ast.Load) and node.lineno == node.end_lineno
                if full and on_one_line and (id(node) in called or not shadowed):
                    found.append((node.lineno, node.col_offset, node.end_col_offset, full))
        first = {}
        for use in sorted(found):
            first.setdefault(use[3], use)
        return sorted(first.values())


def full_name(text: str, names: Names) -> str | None:
    """The documented object that a piece of inline code names, or None."""
    name = text.removesuffix("()")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", name):
        return None
    first, dot, rest = name.partition(".")
    imported = names.known.get(first, "").removesuffix("#")
    candidates = [name, f"{PACKAGE}.{name}"]
    if imported and (dot or not names.known[first].endswith("#")):
        candidates.insert(0, imported + dot + rest)
    for full in candidates:
        if full.startswith(PACKAGE + ".") and full in names.objects:
            # `token_embedding` is an attribute more often than the module of that name
            if names.objects[full].objtype != "module" or full in (name, imported):
                return full
    return None


class LinkNames(SphinxPostTransform):
    """Names in inline code become links; names in code cells are noted for the writer."""

    default_priority = 5  # before Sphinx resolves references (10)

    def run(self, **kwargs):
        objects = self.env.domaindata["py"]["objects"]
        blocks = [
            (block, tree)
            for block in self.document.findall(nodes.literal_block)
            if block.get("language") in PYTHON and (tree := parsed(block)) is not None
        ]
        page = Names([tree for block, tree in blocks if "namespace" not in block], objects)
        self.link_inline(page)
        if self.app.builder.format == "html":
            for block, tree in blocks:
                names = page
                if "namespace" in block:  # an API page: the code of one module
                    names = Names([], objects)
                    names.known = block["namespace"]
                block["code_links"] = [self.placed(block, use) for use in names.uses(tree)]

    def link_inline(self, names):
        for code in list(self.document.findall(nodes.literal)):
            full = full_name(code.astext(), names)
            if is_inside(code, NO_LINK_IN) or is_in_written_link(code):
                continue
            if full:
                link = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=full, refexplicit=True
                )
                code.replace_self(link)
                link += code

    def placed(self, block, use):
        """(first character, last character, address) of a use within its block."""
        line, start, end, full = use
        lines = block.astext().splitlines(keepends=True)
        # ast counts bytes, a page counts characters
        text = lines[line - 1].encode()
        before = sum(map(len, lines[: line - 1]))
        start, end = (before + len(text[:column].decode()) for column in (start, end))
        found = self.env.domaindata["py"]["objects"][full]
        uri = self.app.builder.get_relative_uri(self.env.docname, found.docname)
        return start, end, f"{uri}#{found.node_id}"


def with_links(html: str, links) -> str:
    """Highlighted code with a link around each of these stretches of its characters."""
    starts = {start: address for start, _, address in links}
    ends = {end for _, end, _ in links}
    head, pre, rest = html.partition("<pre>")
    made, position, depth = [], 0, 0
    for part in re.split(r"(<[^>]*>)", rest):
        if part.startswith("<"):
            closes = part.startswith("</")
            if not closes and position in starts and part != "<span></span>":
                made.append(f'<a class="code-link" href="{escape(starts.pop(position))}">')
                depth = 1
            made.append(part)
            if closes and position in ends and depth:
                made.append("</a>")
                depth = 0
        else:
            made.append(part)
            position += len(unescape(part))
    return head + pre + "".join(made)


def visit_literal_block(translator, node):
    """As Sphinx writes it, and with the links."""
    try:
        type(translator).visit_literal_block(translator, node)
    except nodes.SkipNode:
        if node.get("code_links"):
            translator.body[-1] = with_links(translator.body[-1], node["code_links"])
        raise


def depart_literal_block(translator, node):
    type(translator).depart_literal_block(translator, node)


# ---- terms


def glossary(env) -> dict[str, tuple[str, str, str]]:
    """{term as it is written: (page, anchor, definition)}."""
    if GLOSSARY not in env.all_docs:
        return {}
    found = {}
    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        meaning = item.next_node(nodes.definition).next_node(nodes.paragraph).astext()
        for term in item.findall(nodes.term):
            found[term.astext()] = (GLOSSARY, term["ids"][0], meaning)
    return found


def pattern_for(term: str) -> str:
    """A term in the singular or the plural; a name with capitals inside is not to be bent."""
    words = re.escape(term).replace(r"\ ", r"\s+")
    if term.endswith("y") and not term.endswith("ey"):
        return words[:-1] + "(?:y|ies)"
    if term.endswith("ix"):
        return words[:-2] + "(?:ix|ices)"
    return words + "(?:s|es)?"


def finder(terms) -> re.Pattern:
    """One pattern for all terms, the longest first; acronyms are matched as they are written."""
    parts = []
    for term in sorted(terms, key=lambda t: (-len(t), t)):
        flag = "" if re.search(r"[A-Z]", term[1:]) else "i"
        parts.append(f"(?{flag}:{pattern_for(term)})" if flag else f"(?:{pattern_for(term)})")
    return re.compile(r"(?<![\w-])(?:" + "|".join(f"({p})" for p in parts) + r")(?![\w-])")


class LinkTerms(SphinxPostTransform):
    """The first use of each term on a page becomes a link to the glossary."""

    default_priority = 600  # when every other link is in place

    def run(self, **kwargs):
        if self.env.docname in NO_TERMS or self.app.builder.format != "html":
            return
        terms = glossary(self.env)
        if not terms:
            return
        ordered = sorted(terms, key=lambda t: (-len(t), t))
        pattern = finder(terms)
        done = set()
        for text in list(self.document.findall(nodes.Text)):
            if is_inside(text, (*NO_LINK_IN, *CODE)) or not is_inside(text, nodes.paragraph):
                continue
            if is_in_written_link(text):
                continue
            made, rest = [], text.astext()
            position = 0
            for match in pattern.finditer(rest):
                term = ordered[match.lastindex - 1]
                page, anchor, meaning = terms[term]
                if anchor in done:
                    continue
                done.add(anchor)
                made.append(nodes.Text(rest[position : match.start()]))
                uri = self.app.builder.get_relative_uri(self.env.docname, page)
                made.append(
                    nodes.reference(
                        "",
                        match[0],
                        internal=True,
                        refuri=f"{uri}#{anchor}",
                        reftitle=meaning,
                        classes=["glossary-term"],
                    )
                )
                position = match.end()
            if made:
                made.append(nodes.Text(rest[position:]))
                text.parent.replace(text, made)


def setup(app):
    app.add_post_transform(LinkNames)
    app.add_node(
        nodes.literal_block, override=True, html=(visit_literal_block, depart_literal_block)
    )
    app.add_post_transform(LinkTerms)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
