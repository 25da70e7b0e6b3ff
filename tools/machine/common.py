"""What the tools share: where things are, how they speak, stamps and the lock.

The standard library alone: the set-up needs this before there is an environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

WINDOWS = sys.platform == "win32"
if WINDOWS:
    import msvcrt
else:
    import fcntl

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"

CELL_TIMEOUT = 120  # seconds for one notebook cell: what is slower must not be committed


def python_in(venv: Path) -> Path:
    """Return where a virtual environment keeps its Python."""
    return venv / ("Scripts/python.exe" if WINDOWS else "bin/python")


def way_in(command: str, option: str = "", value: str = "") -> str:
    """Return what a person types for a command: make's words under make, else book.py's.

    `way_in("serve", "port", "8001")` is `make serve PORT=8001` where make started us, and
    `python tools/book.py serve --port 8001` elsewhere. An option without a name is an argument
    to book.py and make's ONLY.
    """
    if os.environ.get("MAKELEVEL"):  # make sets it for all that it runs
        words = ["make", command]
        words += [f"{(option or 'only').upper()}={shlex.quote(value)}"] if value else []
    else:
        words = ["python", "tools/book.py", command, *([f"--{option}"] if option else [])]
        words += [value] if value else []
    return " ".join(words)


def log(who: str, text: str) -> None:
    """Print one line and flush, so that it comes before whatever a child process prints."""
    print(f"[{who}] {text}", flush=True)


def digest(root: Path, names: Iterable[str], without: Iterable[str] = ()) -> str:
    """Hash the files and folders `names` under `root`: their paths and their bytes.

    A name may be a glob. One that matches nothing counts as absent, so that its appearance counts.
    The files that `without` names, globs too, are left out.
    """
    files = set()
    for name in names:
        for path in root.glob(name):
            files.update(path.rglob("*") if path.is_dir() else [path])
    files.difference_update(*(root.glob(name) for name in without))
    total = hashlib.sha256()
    for path in sorted(files):
        inside = path.relative_to(root)
        # Caches, checkpoints and the like are written by programs, not by an author.
        passing = any(part == "__pycache__" or part.startswith(".") for part in inside.parts)
        if path.is_file() and not passing:
            total.update(inside.as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def read_stamp(path: Path) -> str:
    """Return the content of a stamp, or "" where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader, or a kill, sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Lock:
    """A lock file: one process holds it at a time; a second one reports that and waits.

    The lock goes with the process, however it ends. Where there is flock it also belongs to every
    child started with `**lock.to_child`: when a set-up is killed and its pip lives on, the next
    set-up waits for that pip to end and does not work against it. On Windows no child inherits it.
    """

    def __init__(self, path: Path, who: str) -> None:
        """Take the lock at `path`, waiting for it where somebody has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("a", encoding="utf-8")
        if not self._take():
            log(who, "another command, or what a killed one left running, is at work here; waiting")
            while not self._take():
                time.sleep(0.2)

    def _take(self) -> bool:
        try:
            if WINDOWS:
                self.file.seek(0)  # the lock is on the byte from here on, be there one or not
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    @property
    def to_child(self) -> dict[str, Any]:
        """What `subprocess` needs to hand the lock on."""
        return {} if WINDOWS else {"pass_fds": (self.file.fileno(),)}

    def release(self) -> None:
        """Give the lock back; children that still hold it keep it."""
        self.file.close()


@contextlib.contextmanager
def locked(path: Path, who: str) -> Iterator[Lock]:
    """Hold the lock at `path` for the length of a with block."""
    lock = Lock(path, who)
    try:
        yield lock
    finally:
        lock.release()


def run(command: list[str], *, cwd: Path = ROOT, lock: Lock | None = None) -> int:
    """Run a command with the terminal's output and no input; return its exit status."""
    inherited = lock.to_child if lock else {}
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, check=False, **inherited
    ).returncode


def seconds_since(start: float) -> str:
    """Return the wall time since `time.monotonic()` gave `start`, for a person to read."""
    return f"{time.monotonic() - start:.1f} s"


def speak_utf8() -> None:
    """Print UTF-8, here and in every child, whatever this console or pipe was set to."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # The first for files and pipes, the second because it would win over the first.
    os.environ.update(PYTHONUTF8="1", PYTHONIOENCODING="utf-8")


def main_guard(main) -> None:  # type: ignore[no-untyped-def]
    """Run a tool's main; an interrupt ends it with one line instead of a traceback."""
    speak_utf8()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
