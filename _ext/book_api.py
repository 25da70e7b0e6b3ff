"""API pages: every public name of a module, from its docstring, with its code folded below it.

`.. api:: simplellm.sinusoids` (inside an `{eval-rst}` block, where autodoc is at home) documents
the module. What can be imported from the top is called as it is imported there; what has a
docstring is shown with it, a constant with its `#:` comment.
"""

import ast
import importlib
import inspect
import re
import textwrap

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from _ext import book_pages

# ---- which names there are


class Name:
    """A public name of a module: what it is, and the lines of its code."""

    def __init__(self, name, node, value):
        self.name, self.node, self.value = name, node, value
        self.is_code = isinstance(node, (ast.ClassDef, ast.FunctionDef))


def public_names(module: str) -> list[Name]:
    """Every name that a module defines without an underscore, in the order of its file."""
    loaded = importlib.import_module(module)
    found = []
    for node in ast.parse(inspect.getsource(loaded)).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names = [node.name]
        elif isinstance(node, ast.AnnAssign):
            names = [node.target.id]
        elif isinstance(node, ast.Assign):
            names = [t.id for target in node.targets for t in getattr(target, "elts", [target])]
        else:
            continue
        found += [Name(n, node, getattr(loaded, n)) for n in names if not n.startswith("_")]
    return found


def called(module: str, name: str) -> str:
    """The full name as one imports it: from the outermost package that offers it."""
    parts, value = module.split("."), getattr(importlib.import_module(module), name)
    for length in range(1, len(parts)):
        package = importlib.import_module(".".join(parts[:length]))
        if name in getattr(package, "__all__", ()) and getattr(package, name) is value:
            return f"{package.__name__}.{name}"
    return f"{module}.{name}"


def comment_at(module: str, name: str) -> list[str]:
    """Return the lines of the `#:` comment at a constant, as autodoc reads it."""
    analyzer = ModuleAnalyzer.for_module(module)
    analyzer.analyze()
    return analyzer.attr_docs.get(("", name), [])


def code_of(module: str, node) -> str:
    """The code of a class or function without its docstring, which is on the page already."""
    lines = inspect.getsource(importlib.import_module(module)).splitlines()
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    skipped = set()
    for part in ast.walk(node):
        body = getattr(part, "body", None)
        if not isinstance(part, (ast.ClassDef, ast.FunctionDef)) or len(body) < 2:
            continue
        if ast.get_docstring(part) is not None:
            skipped |= set(range(body[0].lineno, body[0].end_lineno + 1))
            if not lines[body[0].end_lineno].strip():
                skipped.add(body[0].end_lineno + 1)
    kept = [lines[n - 1] for n in range(first, node.end_lineno + 1) if n not in skipped]
    return textwrap.dedent("\n".join(kept))


def namespace(module: str) -> dict[str, str]:
    """The package's names in the code of a module: {name: full name}."""
    loaded = importlib.import_module(module)
    return {
        name: called(value.__module__, value.__name__)
        for name, value in vars(loaded).items()
        if getattr(value, "__module__", "").startswith("simplellm") and hasattr(value, "__name__")
    }


# ---- how they are shown


def directive_for(module: str, name: Name) -> list[str]:
    full = called(module, name.name)
    if not name.is_code:
        value = repr(name.value)
        short = len(value) <= 60 and " object at 0x" not in value and "function" not in value
        lines = [f".. py:data:: {name.name}", f"   :module: {full.rpartition('.')[0]}"]
        lines += [f"   :value: {value}"] if short else []
        return [*lines, "", *(f"   {line}" for line in comment_at(module, name.name)), ""]
    kind = "autoclass" if isinstance(name.value, type) else "autofunction"
    if isinstance(name.value, type) and issubclass(name.value, BaseException):
        kind = "autoexception"
    members = ["   :members:"] if isinstance(name.value, type) else []
    return [f".. {kind}:: {full}", *members, ""]


class Api(SphinxDirective):
    """`.. api:: simplellm.sinusoids`"""

    required_arguments = 1

    def run(self):
        module = self.arguments[0]
        box = nodes.section()  # to be emptied again: autodoc may want to add sections
        box.document = self.state.document
        names = public_names(module)
        # A function may be called like its module, and then the name means the function.
        taken = any(called(module, name.name) == module for name in names)
        index = ["   :no-index:"] if taken else []
        self.parse([f".. automodule:: {module}", "   :no-members:", *index, ""], box)
        for name in names:
            self.parse(directive_for(module, name), box)
            if name.is_code:
                box += self.folded(module, name)
        return box.children

    def parse(self, lines, box):
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), 0, box)

    def folded(self, module, name):
        text = code_of(module, name.node)
        block = nodes.literal_block(text, text, language="python", namespace=namespace(module))
        title = f"The code of {name.name}"
        return nodes.admonition(
            "", nodes.title("", title), block, classes=["dropdown", "source-code"]
        )


# ---- names in docstrings


def resolve_name(app, env, node, contnode):
    """Find a name of ours that Sphinx looks for in the wrong module, if it is the only one."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    python = env.get_domain("py")
    ours = {o.docname + o.node_id: n for n, o in python.objects.items() if not o.aliased}
    ours = [name for name in ours.values() if name.endswith(f".{target}")]
    if len(ours) != 1:
        return None
    page = node.get("refdoc", env.docname)
    return python.resolve_xref(env, page, app.builder, "obj", ours[0], node, contnode)


def keep_colons(app, what, name, obj, options, lines):
    """Napoleon takes what is before a colon in a property's first line for its type."""
    if what == "property" and lines:
        lines[:1] = lines[0].replace(": ", ":\n", 1).split("\n")


def shorten_defaults(app, what, name, obj, options, signature, return_annotation):
    """`<factory>` and `<function f at 0x…>` are no Python: Sphinx would not parse the line."""
    return signature and re.sub(r"<[^<>]*>", "...", signature), return_annotation


# ---- the finished page


def make_signatures_lines(soup, page):
    """axe `definition-list`: Sphinx writes the lines of a long signature as a list of meanings."""
    for lines in soup.select("dt.sig > dl"):
        lines.name, lines["class"] = "div", "sig-lines"
        for line in lines.find_all("dd", recursive=False):
            line.name = "div"


def name_folds_in_the_sidebar(soup, page):
    """axe `summary-name`: the arrow that unfolds a group of pages has no words."""
    for arrow in soup.select("#pst-primary-sidebar summary:has(> .toctree-toggle)"):
        group = arrow.find_parent("li").find("a").get_text(" ", strip=True)
        arrow["aria-label"] = f"Pages of {group}"


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", shorten_defaults)
    app.connect("missing-reference", resolve_name)
    book_pages.FIXES += [make_signatures_lines, name_folds_in_the_sidebar]
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
