"""Run every check of the project, in the order a contributor meets them; report all that fail.

    python -m tools.run_tests [STEP,STEP ...]        (without names: all)

A failed step does not stop the others, so one run shows everything there is to fix. The exit
status is 0 only when every step that was asked for ran and passed. A step that keeps one core busy
and needs no other is started first, in parallel with the others, and reported in its turn.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tools.machine.browser import ENGINES, HEADLESS
from tools.machine.common import CELL_TIMEOUT, ROOT, log, main_guard, run, way_in

PYTHON = [sys.executable, "-m"]
PYTEST = [*PYTHON, "pytest"]
# Two processes, a whole file in each: a notebook's cells share one kernel, a file's tests what is
# made once for it. The files with most tests come first,
PARALLEL = ["-n", "2", "--dist", "loadfile"]
# or they come in the order in which tests/conftest.py puts them: those that take longest first.
LONGEST_FIRST = [*PARALLEL, "--no-loadscope-reorder"]
# Two processes, whole groups in each: the tests of one opened page share it.
BY_PAGE = ["-n", "2"]
NBVAL = [
    "--nbval",  # strict: every text output is compared
    *("-p", "tests.close_heatmaps"),  # and a heatmap's numbers as numbers
    "--nbval-current-env",
    "--nbval-sanitize-with=tests/sanitize.cfg",
    f"--nbval-cell-timeout={CELL_TIMEOUT}",
    "-Wdefault",  # what Jupyter's own libraries deprecate is no fault of a chapter
]


@dataclass(frozen=True)
class Step:
    """One check: its name, what it does, and a command or a function that returns a status."""

    name: str
    what: str
    how: list[str] | Callable[[], int]
    needs: tuple[str, ...] = ()  # steps without which this one means nothing
    parallel: bool = False  # a command to start at once, while the steps before it run


def may_install() -> bool:
    """Whether this is root on a Debian."""
    return bool(hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"))


def install(name: str) -> bool:
    """Install the packages of a browser."""
    packages = ENGINES[name].packages
    log("test", f"{name}: apt-get install {' '.join(packages)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    command = ["apt-get", "-qq", "-y", "install", "--no-install-recommends", *packages]
    if run(["apt-get", "-qq", "update"]) or run(command):
        log("test", f"{name}: apt-get failed; install {' and '.join(packages)} by hand")
        return False
    return True


def there(name: str, *, chosen: bool = False) -> bool | None:
    """See that there is a browser; as root on Debian install one, unless a certain one was chosen.

    Prints what is used or how to get it. False: it could not be installed; None: nobody tried.
    """
    try:
        log("test", f"{name}: {ENGINES[name].where()}")
        return True
    except RuntimeError as error:
        if chosen or not may_install():
            log("test", f"{name}: NOT TESTED. {error}")
            return None
    return install(name) and there(name, chosen=True)


def have_browser() -> int:
    """See that there is a Chromium, and as root on Debian that it is the one without a window."""
    chosen = bool(os.environ.get("CHROMIUM"))
    if not chosen and may_install() and not any(map(shutil.which, HEADLESS)):
        install("chromium")
        chosen = True  # where that failed, a whole browser does as well
    return 0 if there("chromium", chosen=chosen) else 1


def engines() -> int:
    """Print which engines there are, and run the tests in them."""
    named = os.environ.get("ENGINES", "").replace(",", " ").split()
    unknown = sorted({*named} - {*ENGINES})
    if unknown:
        log("test", f"ENGINES names {', '.join(unknown)}; there are {', '.join(ENGINES)}")
        return 1
    for name in ENGINES:
        if named and name not in named:
            log("test", f"{name}: left out, as ENGINES={','.join(named)} says")
        elif there(name) is False:
            others = ",".join(other for other in ENGINES if other != name)
            log("test", f"to go without it: ENGINES={others}")
            return 1
    return run([*PYTEST, "tests/engines", *BY_PAGE])


STEPS = [
    # The browser first: whoever has none should not learn it after five minutes.
    Step("chromium", "is there a browser?", have_browser),
    Step("style", "ruff check, notebooks too", [*PYTHON, "ruff", "check"]),
    Step("format", "ruff format --check", [*PYTHON, "ruff", "format", "--check"]),
    Step("spelling", "codespell", [*PYTHON, "codespell_lib"]),
    Step("types", "mypy on simplellm", [*PYTHON, "mypy"]),
    Step(
        "unit",
        "unit and property tests, and the examples in docstrings",
        [
            *PYTEST,
            "--doctest-modules",
            "simplellm",
            "tests",
            "--ignore=tests/site",
            "--ignore=tests/engines",
            "--ignore=tests/live",
            *LONGEST_FIRST,
        ],
    ),
    Step(
        "notebooks",
        "every chapter executed and compared with what is committed",
        [*PYTEST, *NBVAL, *PARALLEL, "chapters"],
    ),
    Step(
        "live",
        "the chapters in JupyterLab and Notebook 7, with a kernel",
        [*PYTEST, "tests/live", *BY_PAGE],
        needs=("chromium",),
    ),
    Step(
        "book",
        "the site, every warning an error",
        [sys.executable, "-m", "tools.build_book"],
        parallel=True,
    ),
    Step(
        "browser",
        "the built site in a real browser",
        [*PYTEST, "tests/site", *BY_PAGE],
        needs=("chromium", "book"),
    ),
    Step(
        "engines",
        "the site's main promises in Chromium, Firefox and WebKit",
        engines,
        needs=("chromium", "book"),
    ),
]


def aside(command: list[str]) -> tuple[int, float, str]:
    """Run a command without showing anything; return its status, its seconds and its output."""
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, time.monotonic() - start, done.stdout


def run_steps(steps: list[Step]) -> dict[str, tuple[str, float, str]]:
    """Run the steps in order; return for each (verdict, seconds, a word on it)."""
    results: dict[str, tuple[str, float, str]] = {}
    with ThreadPoolExecutor() as threads:
        started = {
            step.name: threads.submit(aside, step.how)
            for step in steps
            if step.parallel and not callable(step.how)
        }
        for number, step in enumerate(steps, 1):
            missing = [name for name in step.needs if results.get(name, ("ok",))[0] != "ok"]
            if missing:
                results[step.name] = ("not run", 0.0, f"needs {' and '.join(missing)}")
                continue
            print(f"\n=== {number}/{len(steps)} {step.name}: {step.what}", flush=True)
            if step.name in started:
                status, seconds, output = started[step.name].result()
                print(output, end="", flush=True)
            else:
                start = time.monotonic()
                status = step.how() if callable(step.how) else run(step.how)
                seconds = time.monotonic() - start
            if status == 0:
                results[step.name] = ("ok", seconds, "")
            else:
                again = f"exit status {status}; alone: {way_in('test', '', step.name)}"
                results[step.name] = ("FAILED", seconds, again)
            print(f"=== {step.name}: {results[step.name][0]} after {seconds:.1f} s", flush=True)
    return results


def summary(results: dict[str, tuple[str, float, str]], total: float) -> str:
    """Tabulate what `run_steps` returned after `total` seconds (less than all steps together)."""
    lines = ["", "=== summary"]
    for name, (verdict, seconds, word) in results.items():
        lines.append(f"  {verdict:8}{name:10}{seconds:8.1f} s  {word}".rstrip())
    verdicts = [verdict for verdict, _, _ in results.values()]
    counts = ", ".join(
        f"{verdicts.count(kind)} {kind}" for kind in ("ok", "FAILED", "not run") if kind in verdicts
    )
    return "\n".join([*lines, f"  {counts}; {total:.0f} s in all"])


def choose(names: list[str]) -> list[Step]:
    """Return the steps named, with what they need, in their usual order; all where none is."""
    known = {step.name: step for step in STEPS}
    wanted = {name for argument in names for name in argument.replace(",", " ").split()}
    unknown = sorted(wanted - set(known))
    if unknown:
        raise SystemExit(f"no such step: {', '.join(unknown)}. There are: {', '.join(known)}")
    for name in list(wanted):
        wanted.update(known[name].needs)
    return [step for step in STEPS if not wanted or step.name in wanted]


def main() -> int:
    """Run the steps named on the command line, or all."""
    start = time.monotonic()
    results = run_steps(choose(sys.argv[1:]))
    print(summary(results, time.monotonic() - start), flush=True)
    return 0 if all(verdict == "ok" for verdict, _, _ in results.values()) else 1


if __name__ == "__main__":
    main_guard(main)
