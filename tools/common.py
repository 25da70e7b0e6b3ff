"""What the tools share: where things are, how they speak, stamps and the lock."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no make there as a rule, and then no lock
    fcntl = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parent.parent

CELL_TIMEOUT = 120  # seconds for one notebook cell: what is slower must not be committed


def say(who: str, text: str) -> None:
    """Print one line at once, so that it stands before whatever a child process prints."""
    print(f"[{who}] {text}", flush=True)


def digest(root: Path, names: Iterable[str]) -> str:
    """Hash the files and folders `names` under `root`: their paths and their bytes.

    A name may be a glob. One that matches nothing counts as absent, so that its appearance counts.
    """
    files = set()
    for name in names:
        for path in root.glob(name):
            files.update(path.rglob("*") if path.is_dir() else [path])
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
    """Return what a stamp says, or "" where there is none."""
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
    """One worker at a time per lock file; a second one says so and waits.

    The lock also belongs to every child started with `run(..., lock=lock)`. So when make is killed
    and its pip lives on, the next make waits for that pip to end and does not work against it.
    """

    def __init__(self, path: Path, who: str) -> None:
        """Take the lock at `path`, waiting for it where somebody has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("a")
        if fcntl is None:
            return
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(who, "another make, or what a killed one left running, is at work here; waiting")
            fcntl.flock(self.file, fcntl.LOCK_EX)

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
    inherited = (lock.file.fileno(),) if lock and fcntl else ()
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, pass_fds=inherited, check=False
    ).returncode


def seconds_since(start: float) -> str:
    """Return the wall time since `time.monotonic()` gave `start`, for a person to read."""
    return f"{time.monotonic() - start:.1f} s"


def main_guard(main) -> None:  # type: ignore[no-untyped-def]
    """Run a tool's main; an interrupt ends it with one line instead of a traceback."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
