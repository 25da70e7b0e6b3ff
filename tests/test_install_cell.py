"""Notebooks fetch what they lack on Colab and nowhere else; one line says from where."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import refresh
from tools.chapters import install_cell
from tools.chapters.address import Address, address_of, in_citation, in_pyproject, read_address

ROOT = Path(__file__).parent.parent
BOOK = "https://github.com/example/simplellm-book"
SITE = "https://example.github.io/simplellm-book/"
SET, UNSET = address_of(BOOK, "main", ""), Address()

# What a chapter may import and find on Colab: part of its image for years.
COLAB_HAS = {"torch", "numpy", "matplotlib", "ipywidgets", "IPython", "tqdm", "PIL"}
COLAB_HAS |= {"tokenizers", "joblib"}  # transformers and scikit-learn bring them


# ---- what the cell does --------------------------------------------------------------------------


class Machine:
    """A machine where only some packages are installed; it notes what the cell does to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, installed: set[str], colab: bool) -> None:
        self.commands: list[list[str]] = []
        self.widgets = 0

        def find(name: str, package: str | None = None) -> ModuleSpec | None:
            return ModuleSpec(name, None) if name in installed else None

        def run(command: list[str], *, check: bool) -> None:
            assert check, "a failed installation must not pass in silence"
            self.commands.append(command)

        def enable() -> None:
            self.widgets += 1

        monkeypatch.setattr("importlib.util.find_spec", find)
        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.delitem(sys.modules, "google.colab", raising=False)
        if colab:
            output = types.SimpleNamespace(enable_custom_widget_manager=enable)
            module: Any = types.ModuleType("google.colab")
            module.output = output
            google: Any = types.ModuleType("google")
            google.colab = module
            monkeypatch.setitem(sys.modules, "google", google)
            monkeypatch.setitem(sys.modules, "google.colab", module)

    def runs(self, address: Address) -> None:
        exec(compile(install_cell.source(address), "cell", "exec"), {})


def requested(command: list[str]) -> list[str]:
    """What a pip command asks for, less its options."""
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    return [word for word in command[4:] if not word.startswith("-")]


def test_on_colab_the_missing_packages_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, COLAB_HAS, colab=True)
    machine.runs(SET)
    (command,) = machine.commands
    assert requested(command) == [f"{BOOK}/archive/refs/heads/main.zip", "anywidget", "psygnal"]


def test_colab_keeps_its_own_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, COLAB_HAS, colab=True)
    machine.runs(SET)
    (command,) = machine.commands
    assert "--no-deps" in command, "or pip may replace what the package depends on"
    assert not {"-U", "--upgrade", "--force-reinstall", "-I", "--ignore-installed"} & set(command)
    assert not [name for name in requested(command) if "torch" in name or "numpy" in name]


def test_on_colab_a_second_run_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = COLAB_HAS | {"simplellm", *install_cell.COLAB_LACKS}
    machine = Machine(monkeypatch, everything, colab=True)
    machine.runs(SET)
    assert machine.commands == []
    assert machine.widgets == 1  # a restarted kernel needs it again


@pytest.mark.parametrize("address", [SET, UNSET], ids=["set", "unset"])
def test_elsewhere_with_the_package_it_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], address: Address
) -> None:
    machine = Machine(monkeypatch, {"simplellm"}, colab=False)  # anywidget may be missing
    machine.runs(address)
    assert (machine.commands, machine.widgets) == ([], 0)
    assert capfd.readouterr() == ("", "")


def test_elsewhere_without_the_package_it_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, COLAB_HAS, colab=False)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package simplellm") as error:
        machine.runs(SET)
    assert f'%pip install "simplellm[notebook] @ {SET.archive}"' in str(error.value)
    assert machine.commands == []


@pytest.mark.parametrize("colab", [True, False])
def test_without_an_address_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, colab: bool
) -> None:
    machine = Machine(monkeypatch, COLAB_HAS, colab=colab)
    with pytest.raises(ModuleNotFoundError, match=r"no public address yet") as error:
        machine.runs(UNSET)
    assert "`make lab`" in str(error.value)
    assert "%pip install --no-deps simplellm-*.whl" in str(error.value)
    assert "http" not in str(error.value)


def test_extra_named_in_the_message_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "notebook" in project["optional-dependencies"]


def imported(notebook: NotebookNode) -> set[str]:
    """The packages that a notebook's cells import."""
    found = set()
    for cell in notebook.cells:
        for node in ast.walk(ast.parse(cell.source if cell.cell_type == "code" else "")):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "chapters").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_colab_has_or_gets_all_that_a_chapter_imports(path: Path) -> None:
    names = imported(nbformat.read(path, as_version=4)) - {"google"}
    others = names - set(sys.stdlib_module_names) - COLAB_HAS - set(install_cell.COLAB_LACKS)
    assert others == {"simplellm"}, "name what Colab lacks in tools/chapters/install_cell.py"


# ---- where it stands -----------------------------------------------------------------------------


def chapter() -> NotebookNode:
    title, code = new_markdown_cell("# A", id="a"), new_code_cell("import simplellm", id="b")
    return new_notebook(cells=[title, code])


@pytest.mark.parametrize("address", [SET, UNSET], ids=["set", "unset"])
def test_it_is_the_first_code_cell_and_the_title_stays_first(address: Address) -> None:
    notebook = chapter()
    install_cell.write(notebook, address)
    assert [cell.id for cell in notebook.cells] == ["a", install_cell.ID, "b"]
    assert notebook.cells[1].source == install_cell.source(address)


def test_writing_it_again_replaces_it() -> None:
    notebook, other = chapter(), chapter()
    install_cell.write(notebook, UNSET)
    install_cell.write(notebook, SET)
    install_cell.write(other, SET)
    assert notebook == other


def test_notebook_without_the_package_gets_none() -> None:
    notebook = new_notebook(cells=[new_code_cell("import math  # not simplellm", id="a")])
    install_cell.write(notebook, SET)
    assert [cell.id for cell in notebook.cells] == ["a"]


# ---- the address ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "site"),
    [
        ("", ""),
        (BOOK, SITE),
        ("https://github.com/Example/Book", "https://example.github.io/Book/"),
        ("https://github.com/Example/example.github.io", "https://example.github.io/"),
    ],
)
def test_site_is_where_github_pages_puts_the_repository(repository: str, site: str) -> None:
    assert address_of(repository, "main", "").site == site


@pytest.mark.parametrize("site", ["https://book.example.org", "https://book.example.org/"])
def test_site_of_ones_own_wins(site: str) -> None:
    assert address_of(BOOK, "main", site).site == "https://book.example.org/"


BAD = """
    github.com/a/b http://github.com/a/b https://github.com/a https://github.com/a/b/
    https://github.com/a/b.git https://github.com/a/b/tree/main https://gitlab.com/a/b
    git@github.com:a/b
"""


@pytest.mark.parametrize("repository", BAD.split())
def test_bad_repository_is_refused_with_the_form(repository: str) -> None:
    with pytest.raises(ValueError, match=r"https://github\.com/OWNER/NAME") as error:
        address_of(repository, "main", "")
    assert repr(repository) in str(error.value)


@pytest.mark.parametrize("site", ["book.example.org", "http://a.org", "https://a.org/?b", "https:"])
def test_bad_site_is_refused_with_the_form(site: str) -> None:
    with pytest.raises(ValueError, match=r"html: baseurl: .* https://HOST/FOLDER/"):
        address_of(BOOK, "main", site)


def test_branch_goes_into_the_archive() -> None:
    assert address_of(BOOK, "next", "").archive == f"{BOOK}/archive/refs/heads/next.zip"


# ---- other files ---------------------------------------------------------------------------------

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_pyproject_names_the_address_while_there_is_one() -> None:
    text = in_pyproject(PYPROJECT, SET)
    urls = {"Repository": BOOK, "Issues": f"{BOOK}/issues", "Documentation": SITE}
    with_urls, without = tomllib.loads(text), tomllib.loads(in_pyproject(text, UNSET))
    assert with_urls["project"].pop("urls") == urls
    assert with_urls == without


def test_citation_names_the_address_while_there_is_one() -> None:
    text = in_citation(CITATION, SET)
    with_urls, without = yaml.safe_load(text), yaml.safe_load(in_citation(text, UNSET))
    assert (with_urls.pop("repository-code"), with_urls.pop("url")) == (BOOK, SITE)
    assert with_urls == without


@pytest.mark.parametrize("rewrite", [in_pyproject, in_citation])
@pytest.mark.parametrize("address", [SET, UNSET], ids=["set", "unset"])
def test_files_are_stable_when_written_twice(rewrite: Any, address: Address) -> None:
    text = rewrite(PYPROJECT if rewrite is in_pyproject else CITATION, address)
    assert rewrite(text, address) == text


def test_committed_files_are_current() -> None:
    address = read_address(ROOT)
    assert in_pyproject(PYPROJECT, address) == PYPROJECT, "run make refresh"
    assert in_citation(CITATION, address) == CITATION, "run make refresh"


def test_refresh_writes_a_file_only_when_the_address_changed(tmp_path: Path) -> None:
    for name, text in (("pyproject.toml", PYPROJECT), ("CITATION.cff", CITATION)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    refresh.write_address(tmp_path, SET)
    assert BOOK in (tmp_path / "CITATION.cff").read_text(encoding="utf-8")
    before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    refresh.write_address(tmp_path, SET)
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before
