"""Write today's scripts, style sheets and still pictures into committed notebooks; run no cell.

    python -m tools.restamp [NOTEBOOK ...]        (without names: all of chapters/)

A heatmap's output holds the data it was made from, so it is made again from itself. Of a card (the
table of claims, say) the scripts and the style sheets are replaced. Nothing else is touched, and on
a tree where nothing changed every file keeps its bytes.

Stills take the time: each is kept in _build/stills, and drawn again when its data, or anything that
draws it, is another. What this cannot see is a change of the numbers: `make refresh` executes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import nbformat

from simplellm import cards
from simplellm.heatmap import Interactive, from_html
from tools.chapters.notebook_rules import HEATMAP
from tools.machine.common import ROOT, digest, log, main_guard, seconds_since, write_atomically

STILLS = ROOT / "_build" / "stills"
# What draws a still: not the scripts.
DRAWS = (
    "simplellm/*.py",
    "simplellm/heatmap/*.py",
    "simplellm/heatmap/*.css",
    "requirements.txt",
    "constraints.txt",
)
WORKERS = 2  # a small laptop has two cores
CARDS = re.compile(
    rf'(<(style|script) class="simplellm-({"|".join(cards.CODE)})-code">).*?(</\2>)', re.DOTALL
)


def chapters(named: Iterable[Path] = ()) -> list[Path]:
    """The notebooks named, or all of the book."""
    paths = list(named) or sorted(
        path
        for path in (ROOT / "chapters").rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    )
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise SystemExit(f"no such notebook: {', '.join(missing)}")
    return paths


def as_written(notebook: nbformat.NotebookNode) -> bytes:
    """The bytes of a notebook's file."""
    return (nbformat.writes(notebook).rstrip("\n") + "\n").encode()


@cache
def _drawn_by() -> str:
    return digest(ROOT, DRAWS)


def still(heatmap: Interactive) -> bytes:
    """The still of a heatmap, drawn if it was not drawn before."""
    state = json.dumps([type(heatmap).__name__, heatmap.state, _drawn_by()], sort_keys=True)
    kept = STILLS / f"{hashlib.sha256(state.encode()).hexdigest()}.png"
    if not kept.is_file():
        write_atomically(kept, heatmap.picture())
    return kept.read_bytes()


def restamp_outputs(notebook: nbformat.NotebookNode) -> int:
    """Make the heatmaps of a notebook again, in place; return how many outputs became others."""
    changed = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            page = data.get("text/html", "")
            fresh: dict[str, str] = {}
            if HEATMAP in page:
                heatmap = from_html(page)
                fresh = heatmap.mimebundle(still(heatmap))
            elif 'class="simplellm-card-code"' in page:
                fresh = {"text/html": _with_code_of_cards(page)}
            new = {kind: text for kind, text in fresh.items() if kind in data}
            changed += any(data[kind] != text for kind, text in new.items())
            data.update(new)
    return changed


def _with_code_of_cards(page: str) -> str:
    return CARDS.sub(lambda found: f"{found[1]}{cards.code(found[3])}{found[4]}", page)


def without_stamps(data: dict[str, str]) -> None:
    """Take out of an output's data what restamping would write, in place."""
    page = data.get("text/html", "")
    if HEATMAP in page:
        data["text/html"] = json.dumps(from_html(page).state)
        data.pop("image/png", None)
    else:
        data["text/html"] = CARDS.sub("", page)


def restamp(path: Path) -> str:
    """Restamp one file and rewrite it where it changed; return a line to print."""
    start = time.monotonic()
    old = path.read_bytes()
    notebook = nbformat.reads(old.decode("utf-8"), as_version=nbformat.NO_CONVERT)
    changed = restamp_outputs(notebook)
    name = os.path.relpath(path)
    if not changed:
        return f"unchanged {name} ({seconds_since(start)})"
    write_atomically(path, as_written(notebook))
    return f"rewritten {name}: {changed} output(s) ({seconds_since(start)})"


def main() -> int:
    """Restamp the notebooks named, or all chapters."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path)
    paths = chapters(parser.parse_args().notebooks)
    with ProcessPoolExecutor(min(WORKERS, len(paths))) as workers:
        for line in workers.map(restamp, paths):
            log("restamp", line)
    return 0


if __name__ == "__main__":
    main_guard(main)
