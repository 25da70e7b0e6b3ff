"""Take one class or function out of an unpacked package, with as little else as it needs.

A package's import wants far more than a formula of ten lines: compilers, data sets, GPUs. So the
definition is executed as it stands in its file, with the names of that file that it uses. Nothing
is rewritten; a name that cannot be had (a base class of another framework, a type checker's
annotation) is an empty class, and is listed.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class Taker:
    """Takes definitions out of the files under one folder.

    Args:
        root: Where the package was unpacked.

    Attributes:
        missing: Names that could not be had.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.missing: set[str] = set()
        self._spaces: dict[Path, dict[str, Any]] = {}

    def take(self, file: str, name: str) -> Any:
        """The object that `file`, seen from the root, calls `name`."""
        path = self.root / file
        if path not in self._spaces:
            name_of_it = f"taken.{file}"  # some files ask sys.modules for themselves
            self._spaces[path] = {"__name__": name_of_it, "__builtins__": builtins}
            sys.modules[name_of_it] = _Lazy(self, file)
        space = self._spaces[path]
        if name not in space:
            self._define(path, name, space)
        return space[name]

    def _define(self, path: Path, name: str, space: dict[str, Any]) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # under `try: import …` or `if TYPE_CHECKING:` too
        nodes = [
            n
            for top in tree.body
            for n in (
                [top]
                if not hasattr(top, "body") or isinstance(top, ast.ClassDef | ast.FunctionDef)
                else ast.walk(top)
            )
        ]
        node = next((n for n in nodes if name in _binds(n)), None)
        if node is None:
            space[name] = self._from_stars(path, tree, name)
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            space[name] = self._imported(path, node, name)
            return
        space[name] = None  # a definition may name itself
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            kept = [d for d in node.decorator_list if self._has(path, d, space)]
            node.decorator_list = kept
        self._has(path, node, space)
        module = ast.parse("from __future__ import annotations")
        module.body.append(node)
        exec(compile(ast.fix_missing_locations(module), str(path), "exec"), space)

    def _from_stars(self, path: Path, tree: ast.Module, name: str) -> Any:
        """What `from … import *` brings, where it is the package's own file."""
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                target = self._file(path, node)
                if target:
                    with contextlib.suppress(LookupError):
                        return self.take(str(target.relative_to(self.root)), name)
        raise LookupError(f"{path.name} does not define {name}")

    def _has(self, path: Path, node: ast.AST, space: dict[str, Any]) -> bool:
        """Whether every name under a node could be had; defines them."""
        known = True
        for used in ast.walk(node):
            if not isinstance(used, ast.Name):
                continue
            if used.id not in space and not hasattr(builtins, used.id):
                try:
                    self._define(path, used.id, space)
                except LookupError:
                    continue  # a local name
            known &= used.id not in self.missing
        return known

    def _imported(self, path: Path, node: ast.Import | ast.ImportFrom, name: str) -> Any:
        alias = next(a for a in node.names if (a.asname or a.name.split(".")[0]) == name)
        try:
            if isinstance(node, ast.ImportFrom) and (module := self._file(path, node, alias.name)):
                return _Lazy(self, str(module.relative_to(self.root)))
            if isinstance(node, ast.ImportFrom) and (target := self._file(path, node)):
                return self.take(str(target.relative_to(self.root)), alias.name)
            one = ast.Module([type(node)(**{**dict(ast.iter_fields(node)), "names": [alias]})], [])
            space: dict[str, Any] = {}
            exec(compile(ast.fix_missing_locations(one), "import", "exec"), space)
            return space[name]
        except Exception:
            self.missing.add(name)
            return type(name, (), {})

    def _file(self, path: Path, node: ast.ImportFrom, name: str = "") -> Path | None:
        """The file of the package that an import reads from, or that it imports by name."""
        own = path.relative_to(self.root).parts[0]
        if not node.level and (node.module or "").split(".")[0] != own:
            return None  # another package, put beside it
        folder = path.parent if node.level else self.root
        for _ in range(node.level - 1):
            folder = folder.parent
        target = folder.joinpath(*(node.module or "").split("."), name)
        for file in (target.with_suffix(".py"), target / "__init__.py"):
            if file.is_file() and file.is_relative_to(self.root):
                return file
        return None


class _Lazy(ModuleType):
    """A file as a module, of which nothing is executed before it is asked for."""

    def __init__(self, taker: Taker, file: str) -> None:
        super().__init__(f"taken.{file}")
        self._take = lambda name: taker.take(file, name)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._take(name)
        except LookupError as error:
            raise AttributeError(str(error)) from None


def _binds(node: ast.AST) -> set[str]:
    """The names that a statement gives a meaning."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.split(".")[0] for a in node.names}
    if isinstance(node, ast.Assign):
        return {t.id for t in node.targets if isinstance(t, ast.Name)}
    return set()
