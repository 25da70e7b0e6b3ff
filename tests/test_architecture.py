"""What may import what: the table at the top of CONTRIBUTING.md, held to the imports themselves."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (?P<part>\w+) \| (?P<modules>(?:`\w+` ?)+) \| (?P<imports>[\w, ]*)\|$", re.M)


def table() -> dict[str, tuple[set[str], set[str]]]:
    """Each part of the package, with its modules and the parts that it may import."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {
        row["part"]: (
            set(re.findall(r"\w+", row["modules"])),
            set(re.findall(r"\w+", row["imports"])) | {row["part"]},
        )
        for row in ROW.finditer(text)
    }


def modules(folder: str) -> dict[str, Path]:
    """Every module of a package, by its dotted name."""
    found = {}
    for path in (ROOT / folder).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


class WithoutTypes(ast.NodeTransformer):
    """Leaves out what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.If | None:
        for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if for_types else node


def imports_of(name: str, path: Path, known: set[str], *, types: bool = True) -> set[str]:
    """The known modules that a module imports, wherever in it; without types, as it runs."""
    found = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree: ast.AST = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree if types else WithoutTypes().visit(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return found & known - {name}


PARTS = table()
PACKAGE = modules("simplellm")
PART_OF = {module: part for part, (names, _) in PARTS.items() for module in names}


def short(module: str) -> str:
    """`claims` for simplellm.claims.rules: what the table calls it."""
    return module.split(".")[1]


def test_every_module_is_in_one_part() -> None:
    listed = [module for names, _ in PARTS.values() for module in names]
    assert sorted(listed) == sorted({short(module) for module in PACKAGE if "." in module})


@pytest.mark.parametrize("module", [module for module in PACKAGE if "." in module])
def test_a_module_imports_what_its_part_may(module: str) -> None:
    allowed = PARTS[PART_OF[short(module)]][1]
    # `import simplellm` itself is asked for its version, and brings what every user has
    imported = imports_of(module, PACKAGE[module], set(PACKAGE) - {"simplellm"})
    assert {PART_OF[short(other)] for other in imported} <= allowed


def test_nothing_imports_in_a_circle() -> None:
    # a package's __init__ gathers what its modules define, so within a package there is no order
    names = {short(module) for module in PACKAGE if "." in module}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for module, path in PACKAGE.items():
        if "." in module:
            known = set(PACKAGE) - {"simplellm"}
            others = {short(other) for other in imports_of(module, path, known, types=False)}
            graph[short(module)] |= others - {short(module)}
    assert set(TopologicalSorter(graph).static_order()) == names


FOLDERS = {
    "simplellm": {"simplellm"},
    "tools.machine": {"tools.machine"},
    "tools.chapters": {"tools.chapters", "tools.machine", "simplellm"},
    "tools": {"tools", "tools.chapters", "tools.machine", "simplellm"},
    "_ext": {"_ext", "tools.chapters", "tools.machine", "simplellm"},
}
EVERYWHERE = {**PACKAGE, **modules("tools"), **modules("_ext"), **modules("tests")}


def folder_of(module: str) -> str:
    """The longest of FOLDERS that a module is in."""
    inside = [folder for folder in FOLDERS if f"{module}.".startswith(f"{folder}.")]
    return max(inside, key=len, default=module)


@pytest.mark.parametrize("module", [m for m in EVERYWHERE if folder_of(m) in FOLDERS])
def test_a_folder_imports_what_it_may(module: str) -> None:
    imported = imports_of(module, EVERYWHERE[module], set(EVERYWHERE))
    packages = {"tools", "_ext"}  # `from tools import x` names the package as well
    assert {folder_of(o) for o in imported - packages} <= FOLDERS[folder_of(module)]


def test_an_import_is_found_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def f():\n    from ..tables import look\nfrom . import rules\nimport a.b")
    known = {"a.tables", "a.claims.rules", "a.b", "a.c"}
    assert imports_of("a.claims.x", file, known) == {"a.tables", "a.claims.rules", "a.b"}
    file.write_text("import a.b\nif TYPE_CHECKING:\n    import a.c\nif a:\n    import a.tables")
    assert imports_of("a.claims.x", file, known) == {"a.b", "a.c", "a.tables"}
    assert imports_of("a.claims.x", file, known, types=False) == {"a.b", "a.tables"}
