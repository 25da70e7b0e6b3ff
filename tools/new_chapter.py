"""Start a chapter: a small executed page to the book's pattern, and its place in the contents.

    python -m tools.new_chapter 15_my_topic "My topic"

The page is a real one. It claims one small thing, measures it, and passes every check unchanged;
replace it section by section, and it can be checked at every step on the way. CONTRIBUTING.md says
what belongs in each section. Labels are made from the file's name, so that no two chapters clash.
With the page comes the module that judges the answers to its exercises. Both are copies of
tools/template.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.machine.common import ROOT, log, main_guard, run, way_in, write_atomically

USAGE = (
    'make chapter FILE=15_my_topic TITLE="My topic"'
    if os.environ.get("MAKELEVEL")
    else 'python tools/book.py chapter 15_my_topic "My topic"'
)
NAME = re.compile(r"(?P<number>\d\d)_(?P<words>[a-z][a-z0-9]*(?:_[a-z0-9]+)*)")
IN_CONTENTS = re.compile(r"(?P<indent>\s*)- file: chapters/(?P<number>\d\d)_")
IN_MAP = re.compile(r"^- file: (?P<number>\d\d)_", re.MULTILINE)

# ---- the page ------------------------------------------------------------------------------------

# A notebook and its judge as they are committed, with a name, a title and labels of their own.
TEMPLATE = Path(__file__).with_name("template")
OWN_NAME, OWN_TITLE, OWN_SLUG = "99_my_topic", "My topic", "my-topic"

# What chapters/map.yml says about it; the two numbers are measured.
ENTRY = """\
- file: 99_my_topic
  core: false
  also: Python, the sine function, and the length of a vector
  helps: [0]
  teaches: [the distance between neighbours]
  takes: how far apart two rows of the encoding stand
  read: 1
  run: 1
"""


def page(slug: str, title: str) -> NotebookNode:
    """Return the new chapter, not yet executed and still without its install cell."""

    def renamed(text: str) -> str:
        return text.replace(OWN_SLUG, slug).replace(OWN_TITLE, title)

    notebook = nbformat.read(TEMPLATE / "chapter.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = renamed(cell.source)
    about = notebook.metadata.myst.html_meta
    about.description = renamed(about.description)
    return notebook


def exercises(name: str, slug: str) -> str:
    """Return the module that judges the exercises of the new chapter."""
    text = (TEMPLATE / "exercises.py").read_text(encoding="utf-8")
    return text.replace(OWN_NAME, name).replace(OWN_SLUG, slug)


# ---- its place -----------------------------------------------------------------------------------


def check(root: Path, name: str, title: str) -> tuple[int, str]:
    """Return the number and the slug of a chapter that can be made.

    Raises:
        ValueError: it cannot; the message says why and what to do.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(
            f"FILE is {name!r}; it must be two digits and lower-case words joined by _, without a "
            f"folder and without .ipynb.\n  {USAGE}"
        )
    if not title.strip() or "\n" in title.strip():
        raise ValueError(f"TITLE is {title!r}; give the chapter a title of one line.\n  {USAGE}")
    if (root / "chapters" / f"{name}.ipynb").exists():
        raise ValueError(f"chapters/{name}.ipynb exists already; edit it, or choose another name.")
    slug = match["words"].replace("_", "-")
    for path in sorted((root / "chapters").glob("*.ipynb")):
        if path.name.startswith(match["number"]):
            raise ValueError(f"the number {match['number']} is taken by {path.name}.")
        if f":keyprefix: {slug}-\\n" in path.read_text(encoding="utf-8"):
            raise ValueError(f"{path.name} uses the prefix {slug}- already; choose other words.")
    if judge(root, match["words"]).exists():
        raise ValueError(
            f"simplellm/exercises/{match['words']}.py exists already; choose other words."
        )
    return int(match["number"]), slug


def judge(root: Path, words: str) -> Path:
    """Return the path of the module that judges a chapter's exercises."""
    return root / "simplellm" / "exercises" / f"{words}.py"


def with_line(contents: str, name: str, number: int) -> str:
    """Return _toc.yml with a line for the chapter, in the order of the numbers.

    Raises:
        ValueError: the contents list no numbered chapter to insert it at.
    """
    lines = contents.splitlines()
    entries = [(at, found) for at, line in enumerate(lines) if (found := IN_CONTENTS.match(line))]
    if not entries:
        raise ValueError(
            f"_toc.yml lists no numbered chapter; add the line - file: chapters/{name} by hand."
        )
    after = [(at, found) for at, found in entries if int(found["number"]) > number]
    at, neighbor = after[0] if after else (entries[-1][0] + 1, entries[-1][1])
    lines.insert(at, f"{neighbor['indent']}- file: chapters/{name}")
    return "\n".join(lines) + "\n"


def with_entry(text: str, name: str, number: int) -> str:
    """Return chapters/map.yml with an entry for the chapter, in the order of the numbers."""
    after = [found.start() for found in IN_MAP.finditer(text) if int(found["number"]) > number]
    at = after[0] if after else len(text)
    return text[:at] + ENTRY.replace(OWN_NAME, name) + text[at:]


def create(root: Path, name: str, title: str) -> int:
    """Write and execute the chapter, list it, measure it and check it; return the exit status."""
    contents, chapter_map = root / "_toc.yml", root / "chapters" / "map.yml"
    path = root / "chapters" / f"{name}.ipynb"
    number, slug = check(root, name, title)
    module = judge(root, slug.replace("-", "_"))
    listed = with_line(contents.read_text(encoding="utf-8"), name, number)
    done = False
    try:
        write_atomically(module, exercises(name, slug).encode())
        write_atomically(path, nbformat.writes(page(slug, title.strip())).encode())
        done = run([sys.executable, "-m", "tools.refresh", str(path)], cwd=root) == 0
    finally:
        if not done:
            path.unlink(missing_ok=True)
            module.unlink(missing_ok=True)
    if not done:
        log("chapter", "the new page did not run (see above), so nothing was added")
        return 1
    write_atomically(contents, listed.encode())
    entry = with_entry(chapter_map.read_text(encoding="utf-8"), name, number)
    write_atomically(chapter_map, entry.encode())
    log("chapter", f"added chapters/{name}.ipynb, executed, and its line in _toc.yml")
    log("chapter", f"added {module.relative_to(root)}, which judges its exercises")
    if run([sys.executable, "-m", "tools.measure_chapters", "--run", str(path)], cwd=root):
        return 1
    if run([sys.executable, "-m", "tools.chapters.notebook_rules", str(path)], cwd=root):
        log(
            "chapter",
            "the page breaks the rules above; is there a number in the title, or is it very long?",
        )
        return 1
    log("chapter", f"next: {way_in('lab')}, and fill it as CONTRIBUTING.md says")
    return 0


def main() -> int:
    """Make the chapter named on the command line: its file and its title."""
    if len(sys.argv) != 3:
        sys.exit(f"Give a file name and a title.\n  {USAGE}")
    try:
        return create(ROOT, *sys.argv[1:])
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main_guard(main)
