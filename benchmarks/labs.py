"""How fast the live labs answer: processor time of Python for one change of one control.

    python -m benchmarks.labs [CHAPTER ...]      (a part of a name; without any: every chapter)

Each chapter runs in a process of its own, on one thread: its cells but for the solutions, up to the
lab at its end. Then every control of the lab is changed several times, and the processor time from
the change until Python has set the new picture is measured. Not measured is what carries the
picture to the browser and shows it. Reported beside a target, never asserted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from tools.chapters.solutions import in_solution
from tools.machine.common import ROOT, main_guard
from tools.machine.timing import print_table

TARGET = 100.0  # milliseconds: what still feels like an answer at once
CHANGES = 8  # of each control
LAB = "## Live lab"
SHOWS = ("Image", "HTML")  # widgets that have a value and are no controls


def cells_of(path: Path) -> tuple[list[str], list[str]]:
    """The code of a chapter before its lab, and of the lab; both empty if it has none."""
    notebook = nbformat.read(path, as_version=4)
    lab = [cell.source.startswith(LAB) for cell in notebook.cells]
    if not any(lab):
        return [], []
    start = lab.index(True)
    code = [
        (at, cell.source)
        for at, (cell, folded) in enumerate(zip(notebook.cells, in_solution(notebook), strict=True))
        if cell.cell_type == "code" and not folded
    ]
    return [text for at, text in code if at < start], [text for at, text in code if at > start]


def values(control: Any) -> Iterator[tuple[str, Any]]:
    """The changes of a control, without end: which of its traits is set, and to what.

    Neighbours and far values in turn, as a hand gives them; none equals the one before.
    """
    if hasattr(control, "view"):
        for row in itertools.cycle((3, 90, 4, 60, 17)):
            yield "view", {**control.view, "row": row}
    elif hasattr(control, "options"):
        options = list(control.options)
        first = control.index
        for step in itertools.count(1):
            yield "index", (first + step) % len(options)
    elif isinstance(control.value, bool):
        for on in itertools.cycle((not control.value, control.value)):
            yield "value", on
    elif isinstance(control.value, str):
        text = control.value
        for more in itertools.cycle(("x", "xy", "x y", "")):
            yield "value", text + more
    else:
        step = getattr(control, "step", 1)
        shares = itertools.cycle((0.2, 0.8, 0.5, 0.05, 0.95, 0.35))
        low, high = control.min, control.max
        while True:
            low, high = control.min, control.max  # a lab may set a slider's end by another one
            at = low + step * round(next(shares) * (high - low) / step)
            # A logarithmic slider's ends are exponents.
            yield "value", type(control.value)(control.base**at if hasattr(control, "base") else at)


def controls(widget: Any) -> Iterator[Any]:
    """What a hand can move in a widget and in what it holds, where Python answers."""
    for child in getattr(widget, "children", ()):
        yield from controls(child)
    # A heatmap is a control only where somebody listens to it.
    listens = getattr(widget, "_trait_notifiers", {}).get("view")
    if listens or (hasattr(widget, "value") and type(widget).__name__ not in SHOWS):
        yield widget


def measure(path: Path) -> dict[str, list[float]]:
    """Run a chapter up to its lab and change each control; milliseconds of each change."""
    import torch
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    torch.set_num_threads(1)
    before, lab = cells_of(path)
    os.chdir(path.parent)
    shell = InteractiveShell.instance()
    shell.colors = "nocolor"
    found: list[Any] = []
    for text in before + lab:
        with capture_output() as said:
            run = shell.run_cell(text)
        if not run.success:
            raise RuntimeError(f"{path.name}: a cell failed.\n{text}\n{said.stdout}{said.stderr}")
        if text in lab and run.result is not None:
            found += controls(run.result)
    times: dict[str, list[float]] = {}
    for control in found:
        name = getattr(control, "description", "") or "cursor"
        times[name] = []
        # The first change of a control warms up what it alone needs, and is measured like the rest.
        for trait, value in itertools.islice(values(control), CHANGES):
            began = time.process_time()
            setattr(control, trait, value)
            times[name].append(1000 * (time.process_time() - began))
    return times


def main() -> int:
    """Measure every chapter in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="a part of a chapter's name")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return 0
    print("## The live labs, measured\n")
    print(f"Processor time of one thread, in ms; {CHANGES} changes of each control.", flush=True)
    rows = []
    paths = sorted((ROOT / "chapters").glob("*.ipynb"))
    for path in paths:
        wanted = not options.chapters or any(part in path.name for part in options.chapters)
        if not wanted or not cells_of(path)[1]:
            continue
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.labs", "--one", str(path)],
            cwd=ROOT,
            env={**os.environ, "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return done.returncode
        times = json.loads(done.stdout.splitlines()[-1])
        every = [each for of_one in times.values() for each in of_one]
        slowest = max(times, key=lambda name: statistics.median(times[name]))
        middle = statistics.median(times[slowest])
        rows.append(
            [path.stem, str(len(every)), f"{statistics.median(every):.0f}", f"{max(every):.0f}"]
        )
        rows[-1] += [slowest, f"{middle:.0f}", f"≤ {TARGET:.0f}"]
        rows[-1] += ["met" if max(middle, statistics.median(every)) <= TARGET else "**missed**"]
    head = ["chapter", "changes", "median", "worst", "slowest control", "its median", "target", ""]
    print_table("One change of one control", head, rows)
    return 0


if __name__ == "__main__":
    main_guard(main)
