"""What in a notebook's code redraws an output: found in its syntax, whatever name it goes by.

Two kinds of names are followed through the whole notebook: functions that redraw (`clear_output`
imported, renamed or assigned), and handles on a display, whose `update` redraws.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from IPython.core.inputtransformer2 import TransformerManager

REDRAWS = {"clear_output", "update_display", "ProgressBar"}
SHOWS = {"display"}
HANDLES = {"DisplayHandle"}
STEADY_BARS = {"auto", "notebook", "autonotebook"}  # of tqdm: widgets, or text where there are none


def parse(source: str) -> ast.Module:
    """Parse a cell, magics and the bodies of cell magics included; a broken one has no code."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])
    for call in list(ast.walk(tree)):
        if isinstance(call, ast.Call) and last_name(call.func) == "run_cell_magic":
            body = call.args[-1]
            if isinstance(body, ast.Constant) and isinstance(body.value, str):
                tree.body += parse(body.value).body
    return tree


def last_name(node: ast.AST) -> str:
    """Return `c` of `a.b.c` and of `c`, else ""."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def path(node: ast.AST) -> str:
    """Return `self.handle` of `self.handle[0]`: what a name or a place in an object is known by."""
    while isinstance(node, ast.Subscript | ast.Starred):
        node = node.value
    if isinstance(node, ast.Attribute):
        return f"{path(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def bindings(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield (target, value) for everything that gives a value a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from pairs(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield node.target, node.value
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.target, node.iter
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield node.optional_vars, node.context_expr


def pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield what is bound to what in `a, b = x, y`; all to all where that is not known."""
    lists = ast.Tuple | ast.List
    if isinstance(target, lists) and isinstance(value, lists):
        if len(target.elts) == len(value.elts):
            for one, other in zip(target.elts, value.elts, strict=True):
                yield from pairs(one, other)
            return
    yield target, value


class Names:
    """The names of a notebook that are bound to functions which redraw, and to display handles."""

    def __init__(self, trees: list[ast.Module]) -> None:
        """Read the imports, then follow assignments until nothing new is learnt."""
        self.known = {name: name for name in REDRAWS | SHOWS | HANDLES}  # by their own names
        self.handles: set[str] = set()
        for tree in trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("IPython"):
                    for alias in node.names:
                        if alias.name in REDRAWS | SHOWS | HANDLES and alias.asname:
                            self.known[alias.asname] = alias.name
        bound = [pair for tree in trees for pair in bindings(tree)]
        before = -1
        while before != len(self.known) + len(self.handles):
            before = len(self.known) + len(self.handles)
            for target, value in bound:
                function = self.function(value)
                if function and isinstance(target, ast.Name):
                    self.known[target.id] = function
                if self.makes_handle(value):
                    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
                    self.handles.update(filter(None, map(path, parts)))

    def function(self, node: ast.AST) -> str:
        """Return which of the functions a name or an attribute is, else ""."""
        if isinstance(node, ast.Attribute):
            return node.attr if node.attr in REDRAWS | SHOWS | HANDLES else ""
        return self.known.get(node.id, "") if isinstance(node, ast.Name) else ""

    def makes_handle(self, value: ast.AST) -> bool:
        """Whether a value is a handle, or holds or hands on one."""
        if path(value) in self.handles:
            return True
        if isinstance(value, ast.Call):
            called = self.function(value.func)
            if called in SHOWS and any(key.arg == "display_id" for key in value.keywords):
                return True
            if called in HANDLES:
                return True
        inside: list[ast.expr] = []
        if isinstance(value, ast.List | ast.Tuple | ast.Set):
            inside = value.elts
        elif isinstance(value, ast.Dict):
            inside = value.values
        elif isinstance(value, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            inside = [value.elt]
        elif isinstance(value, ast.DictComp):
            inside = [value.value]
        elif isinstance(value, ast.IfExp):
            inside = [value.body, value.orelse]
        elif isinstance(value, ast.Call):  # handles.values(), zip(handles, x), next(handles)
            inside = [*value.args, *([value.func] if isinstance(value.func, ast.Attribute) else [])]
        elif isinstance(value, ast.Attribute):
            inside = [value.value]
        return any(map(self.makes_handle, inside))


def redrawn_by(tree: ast.AST, names: Names) -> str:
    """Return what in a cell redraws an output, as it is called there, or ""."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, rest = alias.name.partition(".")
                if top == "tqdm" and rest not in STEADY_BARS:
                    return f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom):
            top, _, rest = (node.module or "").partition(".")
            steady = rest in STEADY_BARS or (
                not rest and all(alias.name in STEADY_BARS for alias in node.names)
            )
            if top == "tqdm" and not steady:
                return f"from {node.module} import {node.names[0].name}"
        elif isinstance(node, ast.Name | ast.Attribute):
            if isinstance(node.ctx, ast.Load) and names.function(node) in REDRAWS:
                return names.function(node)
            if isinstance(node, ast.Attribute) and node.attr == "update":
                if names.makes_handle(node.value):
                    return f"{path(node.value) or 'display(…)'}.update"
        elif isinstance(node, ast.Call) and names.function(node.func) in SHOWS:
            if any(key.arg == "update" for key in node.keywords):
                return "display(…, update=…)"
    return ""


def find(sources: list[str]) -> list[str]:
    """Return for each code cell of a notebook what in it redraws an output, "" where nothing does.

    Args:
        sources: The cells in order. A handle made in one may be used in another.
    """
    trees = [parse(source) for source in sources]
    names = Names(trees)
    return [redrawn_by(tree, names) for tree in trees]
