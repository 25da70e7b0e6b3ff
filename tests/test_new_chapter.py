"""`make chapter` adds a page that passes every check as it stands, and one line in the contents."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tools import new_chapter
from tools.chapters import notebook_rules as rules

ROOT = Path(__file__).parent.parent
NAME, TITLE = "98_a_chapter_from_the_scaffold", "Scaling by √d_model"
JUDGE = f"simplellm/exercises/{NAME[3:]}.py"

CONTENTS = """\
# One line a chapter.
format: jb-book
root: chapters/00_start_here
chapters:
- file: chapters/02_order
- file: chapters/04_sinusoidal_frequencies
- file: reference/glossary
"""


def command(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},  # the tree's package, not the repository's
        capture_output=True,
        text=True,
        check=False,
    )


# ---- in a copy of the tree -----------------------------------------------------------------------


LEFT_BEHIND = {"_build", "__pycache__", ".hypothesis", ".pytest_cache"}


def files(tree: Path) -> dict[str, bytes]:
    """What stands in a tree, but for what Python and its tests leave behind."""
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and not LEFT_BEHIND.intersection(path.parts)
    }


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A copy of what the scaffold reads and writes, with a chapter made in it; as it was before."""
    tree = tmp_path_factory.mktemp("tree")
    folders, settings = (
        ("chapters", "simplellm", "tools"),
        ("_config.yml", "_toc.yml", "pyproject.toml"),
    )
    for name in (*folders, *settings, "tests/sanitize.cfg", "tests/test_exercises.py"):
        (tree / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    before = files(tree)
    made = command(tree, "-m", "tools.new_chapter", NAME, TITLE)
    assert made.returncode == 0, made.stdout + made.stderr
    return tree, before


@pytest.fixture
def tree(trees: tuple[Path, dict[str, bytes]]) -> Path:
    return trees[0]


@pytest.fixture
def notebook(tree: Path) -> NotebookNode:
    return nbformat.read(tree / "chapters" / f"{NAME}.ipynb", as_version=4)


def test_new_chapter_keeps_every_rule(notebook: NotebookNode) -> None:
    assert [problem for rule in rules.RULES for problem in rule(notebook)] == []


def test_new_chapter_begins_with_its_title(notebook: NotebookNode) -> None:
    assert notebook.cells[0].source.startswith(f"# {TITLE}\n")


def test_page_and_judge_are_added_and_listed_in_three(trees: tuple[Path, dict[str, bytes]]) -> None:
    tree, before = trees
    after = files(tree)
    assert after.keys() - before.keys() == {f"chapters/{NAME}.ipynb", JUDGE}
    first_page, chapter_map = "chapters/00_start_here.ipynb", "chapters/map.yml"
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"_toc.yml", first_page, chapter_map}
    assert f"({NAME}.ipynb)".encode() in after[first_page]
    assert f"- file: {NAME}\n".encode() in after[chapter_map]
    added = set(after["_toc.yml"].splitlines()) - set(before["_toc.yml"].splitlines())
    assert [line.strip() for line in added] == [f"- file: chapters/{NAME}".encode()]


def test_new_chapter_gives_the_same_bytes_when_refreshed(tree: Path) -> None:
    again = command(tree, "-m", "tools.refresh", "--execute", f"chapters/{NAME}.ipynb")
    assert f"unchanged chapters/{NAME}.ipynb" in again.stdout, again.stdout + again.stderr


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=" ".join)
def test_new_chapter_is_in_style(tree: Path, check: list[str]) -> None:
    done = command(tree, "-m", "ruff", *check, "--no-cache", f"chapters/{NAME}.ipynb", JUDGE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_exercises_of_a_new_chapter_keep_every_promise(tree: Path) -> None:
    """What tests/test_exercises.py asks of every chapter, it asks of this one."""
    words = NAME[3:]
    those = f"{words} or ex-{words.replace('_', '-')}"
    done = command(tree, "-m", "pytest", "-v", "tests/test_exercises.py", "-k", those)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"graded_executed_and_checked[{words}] PASSED" in done.stdout
    assert f"known_mistake_hears_exactly_its_reason[{those.split()[-1]}-step] PASSED" in done.stdout


def test_second_chapter_of_that_name_is_refused(tree: Path) -> None:
    before = (tree / "_toc.yml").read_bytes()
    done = command(tree, "-m", "tools.new_chapter", NAME, TITLE)
    assert done.returncode != 0
    assert f"chapters/{NAME}.ipynb exists already" in done.stderr
    assert (tree / "_toc.yml").read_bytes() == before


# ---- names, numbers, labels ----------------------------------------------------------------------


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book of one chapter, which was made with the scaffold."""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "simplellm" / "exercises").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text(CONTENTS, encoding="utf-8")
    nbformat.write(new_chapter.page("order", "Order"), tmp_path / "chapters" / "02_order.ipynb")
    return tmp_path


BAD_NAMES = """
    scaling 3_scaling 03_ 03-scaling 03_Scaling 03_größe 03_2_scaling 03_scaling__twice
    03_scaling.ipynb chapters/03_scaling ../03_scaling
"""


@pytest.mark.parametrize("name", ["", *BAD_NAMES.split()])
def test_bad_file_name_is_refused_with_an_example(book: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"FILE is .* two digits and lower-case words") as error:
        new_chapter.check(book, name, TITLE)
    assert repr(name) in str(error.value)
    assert new_chapter.USAGE in str(error.value)


@pytest.mark.parametrize("title", ["", "  ", "two\nlines"])
def test_bad_title_is_refused(book: Path, title: str) -> None:
    with pytest.raises(ValueError, match=r"TITLE is .* a title of one line"):
        new_chapter.check(book, "03_scaling", title)


def test_existing_file_is_refused(book: Path) -> None:
    with pytest.raises(ValueError, match=r"02_order\.ipynb exists already"):
        new_chapter.check(book, "02_order", TITLE)


def test_taken_number_is_refused(book: Path) -> None:
    with pytest.raises(ValueError, match=r"the number 02 is taken by 02_order\.ipynb"):
        new_chapter.check(book, "02_scaling", TITLE)


def test_taken_words_are_refused(book: Path) -> None:
    with pytest.raises(ValueError, match=r"02_order\.ipynb uses the prefix order- already"):
        new_chapter.check(book, "03_order", TITLE)


def test_words_of_another_module_are_refused(book: Path) -> None:
    (book / "simplellm" / "exercises" / "judging.py").write_text("")
    with pytest.raises(ValueError, match=r"/judging\.py exists already; choose other words"):
        new_chapter.check(book, "03_judging", TITLE)


def test_page_that_does_not_run_leaves_nothing(book: Path) -> None:
    # There is no tools/refresh.py in this book, so executing fails.
    assert new_chapter.create(book, "03_scaling", TITLE) == 1
    assert [path.name for path in (book / "chapters").iterdir()] == ["02_order.ipynb"]
    assert list((book / "simplellm" / "exercises").iterdir()) == []
    assert (book / "_toc.yml").read_text(encoding="utf-8") == CONTENTS


@pytest.mark.parametrize(
    ("number", "before"),
    [
        (1, "- file: chapters/02_order"),
        (3, "- file: chapters/04_sinusoidal_frequencies"),
        (12, "- file: reference/glossary"),
    ],
)
def test_line_stands_in_the_order_of_numbers(number: int, before: str) -> None:
    line = f"- file: chapters/{number:02d}_new"
    contents = new_chapter.with_line(CONTENTS, f"{number:02d}_new", number)
    assert contents == CONTENTS.replace(before, f"{line}\n{before}")


def test_line_is_indented_like_its_neighbours() -> None:
    parts = "parts:\n- caption: One\n  chapters:\n  - file: chapters/02_order\n"
    assert new_chapter.with_line(parts, "03_new", 3) == parts + "  - file: chapters/03_new\n"


def test_contents_without_a_chapter_are_refused() -> None:
    with pytest.raises(ValueError, match=r"add the line - file: chapters/03_new by hand"):
        new_chapter.with_line("root: chapters/00_start_here\n", "03_new", 3)


@pytest.mark.parametrize(
    ("number", "before"), [(1, "- file: 02_order"), (3, "- file: 04_sinusoidal_frequencies")]
)
def test_entry_stands_in_the_order_of_numbers(number: int, before: str) -> None:
    text = "chapters:\n- file: 02_order\n  needs: [1]\n- file: 04_sinusoidal_frequencies\n"
    entry = new_chapter.ENTRY.replace(new_chapter.OWN_NAME, "a")
    assert new_chapter.with_entry(text, "a", number) == text.replace(before, entry + before)
    assert new_chapter.with_entry(text, "a", 12) == text + entry


def labels(notebook: NotebookNode) -> set[str]:
    """What must stand once in a book: labels, heatmap names, prefixes of bibliographies."""
    text = "\n".join(cell.source for cell in notebook.cells)
    return set(re.findall(r'(?::label: |:keyprefix: |\bname="|\{cite:t\}`)([\w-]+)', text))


def test_two_chapters_share_no_label() -> None:
    one, other = (labels(new_chapter.page(slug, TITLE)) for slug in ("scaling", "scaling-twice"))
    assert len(one) == len(other) == 8
    assert not one & other


def test_nothing_of_the_template_is_left() -> None:
    text = nbformat.writes(new_chapter.page("scaling", TITLE))
    text += new_chapter.exercises("03_scaling", "scaling")
    own = (new_chapter.OWN_NAME, new_chapter.OWN_TITLE, new_chapter.OWN_SLUG)
    assert [word for word in own if word in text] == []


def test_the_template_has_not_been_run() -> None:
    """It is run in the chapter that is made from it; until then it is as short as its sources."""
    notebook = nbformat.read(new_chapter.TEMPLATE / "chapter.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
