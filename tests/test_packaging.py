"""The package as somebody else installs it: complete, and in need of torch and numpy alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

import simplellm
from simplellm.heatmap import code
from tools.chapters.address import read_address

ROOT = Path(__file__).parent.parent
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel made from it: so it holds what a wheel needs."""
    folder = tmp_path_factory.mktemp("distributions")
    # From a copy: building in place would leave build/ in the tree, and take stale files from it.
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    left_behind = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "simplellm", source / "simplellm", ignore=left_behind)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return archive, wheel


@pytest.fixture(scope="module")
def wheel(distributions: tuple[Path, Path]) -> Path:
    return distributions[1]


def test_both_distributions_pass_twine_check(distributions: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2, done.stdout


def test_source_distribution_holds_the_package_its_readme_and_its_licence(
    distributions: tuple[Path, Path],
) -> None:
    with tarfile.open(distributions[0]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert package_files() | {"pyproject.toml", "README.md", "LICENSE"} <= held


def package_files() -> set[str]:
    """Every file of the package, as a path below the repository."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "simplellm").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == package_files()
    assert {f"simplellm/heatmap/js/{name}.js" for name in code.PARTS} <= held
    assert {"simplellm/heatmap/heatmap.css", "simplellm/py.typed"} <= held


def test_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = archive.read(name).decode()
    assert f"\nVersion: {simplellm.__version__}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert "\nLicense-Expression: BSD-3-Clause AND PSF-2.0 AND Apache-2.0\n" in metadata
    assert re.findall(r"\nLicense-File: (\S+)(?=\n)", metadata) == [
        "LICENSE",
        "simplellm/texts/LICENSE.txt",
        "simplellm/real_models/records/LICENSE.txt",
    ]
    address = read_address(ROOT)
    urls = dict(re.findall(r"\nProject-URL: (\w+), (\S+)", metadata))
    assert urls.get("Repository", "") == address.repository, "run make refresh"
    assert urls.get("Documentation", "") == address.site, "run make refresh"
    required = re.findall(r"\nRequires-Dist: (\S+)(?=\n)", metadata)  # those without an extra
    assert sorted(re.split(r"[<>=]", name)[0] for name in required) == ["numpy", "torch"]


IMPORT = """
import importlib.abc, sys
sys.path.insert(0, sys.argv[1])
import numpy, torch
before = set(sys.modules)

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in before and top != "simplellm" and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by this test)", name=name)
for top in ("matplotlib", "ipywidgets", "IPython", "PIL", "anywidget"):
    assert top not in before, f"torch or numpy brought {top}"
sys.meta_path.insert(0, Missing())

import simplellm
print(simplellm.__file__)
ids = torch.tensor([[1, 15, 234, 89, 2]])
print(tuple(simplellm.InputEmbedding(1000, 64, 128, 0.0)(ids).shape))
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(tops - set(sys.stdlib_module_names) - {"simplellm"}))
"""


def test_import_needs_torch_and_numpy_only(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(tmp_path / "site")],
        capture_output=True,
        text=True,
        cwd=tmp_path,  # not the repository, whose simplellm/ would be found first
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, shape, others = done.stdout.splitlines()
    assert Path(file).is_relative_to(tmp_path), "the wheel was not what was imported"
    assert shape == "(1, 5, 64)"
    assert others == "[]"


# ---- the pinned set ------------------------------------------------------------------------------


def pins(name: str) -> dict[str, str]:
    """Return {package: version} of a requirements file, names as indexes normalise them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {re.sub(r"[-_.]+", "-", key).lower(): value for key, value in PINNED.findall(text)}


def test_every_requirement_is_pinned_and_torch_stands_first() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        lines = [line for line in lines if line.strip() and not line.startswith(("#", "-"))]
        assert [line for line in lines if not PINNED.match(line)] == []
        assert not [line for line in lines if "+" in line], "a local version is not on any index"
    assert next(iter(pins("requirements.txt"))) == "torch"


def test_pins_lie_in_the_ranges_the_package_names() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = pins("constraints.txt") | pins("requirements.txt") | pins("requirements-dev.txt")
    for text in chain(project["dependencies"], *project["optional-dependencies"].values()):
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[requirement.name]), text


def test_no_package_is_pinned_twice() -> None:
    names = [
        name
        for file in ("requirements.txt", "requirements-dev.txt", "constraints.txt")
        for name in pins(file)
    ]
    assert sorted(names) == sorted(set(names))


PYTHONS = ("3.11.0", "3.12.0", "3.13.0", "3.14.0")


def test_every_pinned_package_takes_every_python_that_the_book_names() -> None:
    """Debian 12 has Python 3.11.2: "3.11" must hold from its first release on."""
    from packaging.specifiers import SpecifierSet

    files = ("constraints.txt", "requirements.txt", "requirements-dev.txt")
    pinned = {name for file in files for name in pins(file)}
    refused, seen = [], 0
    for found in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.name).lower()
        if name in pinned:
            seen += 1
            takes = SpecifierSet(found.metadata.get("Requires-Python") or "")
            refused += [f"{name} wants {takes}" for python in PYTHONS if python not in takes]
    assert seen > len(pinned) / 2
    assert refused == []


def test_the_pythons_named_are_those_that_are_tested_on_the_code_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    assert re.findall(r"3\.\d+", matrix) == named == [text[:4] for text in PYTHONS]
    assert project["requires-python"] == f">={named[0]}"
