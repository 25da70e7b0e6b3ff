"""Make or bring up to date the virtual environment .venv, with the standard library alone.

Safe to interrupt anywhere: while it works, the marker .make/setup.running exists; whoever finds it
later throws the half-made environment away and starts again. The stamp inside .venv is written
last and names what was installed, so that a second call has nothing to do.
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.machine import python_version  # noqa: F401 (first: what follows needs Python 3.11)
from tools.machine.common import (
    ROOT,
    WINDOWS,
    Lock,
    digest,
    locked,
    log,
    main_guard,
    python_in,
    read_stamp,
    run,
    seconds_since,
    way_in,
    write_atomically,
)

INPUTS = ["requirements.txt", "requirements-dev.txt", "constraints.txt", "pyproject.toml"]


def python_of(venv: Path) -> str:
    """Return "3.11" for an environment made with Python 3.11, "" for one that does not run."""
    if not os.access(python_in(venv), os.X_OK):  # also false for a dangling link
        return ""
    for line in read_stamp(venv / "pyvenv.cfg").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "version":
            return ".".join(value.strip().split(".")[:2])
    return ""


def plan(venv: Path, marker: Path, key: str, python: str) -> tuple[str, str]:
    """Decide what is to be done: (action, why), the action nothing, update, create or refuse.

    `python` is the version asked for, "" where any will do that is there.

    `create` deletes what is in `venv`. That is done to an environment we made, or one that
    cannot run; one that somebody else made (it has no stamp) is only ever added to.
    """
    if marker.exists():
        return "create", "the last set-up was interrupted"
    if not venv.exists():
        return "create", "there is none yet"
    if not python_of(venv):
        return "create", "the one here does not run"
    stamp = read_stamp(venv / ".stamp")
    if python and python_of(venv) != python:
        why = f"the one here has Python {python_of(venv)}, you chose {python}"
        return "create" if stamp else "refuse", why
    if stamp.partition(" ")[2] not in ("", str(venv)):
        return "create", "this folder was moved, and an environment cannot move with it"
    if stamp == f"{key} {venv}":
        return "nothing", "it is up to date"
    return (
        "update",
        "what it should hold has changed" if stamp else "it was not made by this set-up",
    )


def explain(pip_errors: str) -> str:
    """Return in one line what most likely stopped pip, given what it wrote to stderr."""
    low = pip_errors.lower()
    if "no space left" in low:
        return "The disk is full: everything together needs about 2 GB."
    offline = ("retrying", "connection", "name resolution", "name or service", "network", "proxy")
    if any(word in low for word in offline):
        return "The package index cannot be reached. Check the network (or the proxy)."
    if "no matching distribution found for torch" in low:
        return (
            f"There is no such PyTorch for Python {sys.version_info[0]}.{sys.version_info[1]} on "
            f"this machine ({platform.system()} {platform.machine()}); it comes for Linux, for "
            "Windows on Intel and AMD, and for Macs with Apple's own chips.\nIf yours is one of "
            f"these, name another Python: {way_in('...', 'python', 'python3.12')}"
        )
    return "pip's own message is above."


def pip_install(venv: Path, lock: Lock, *arguments: str) -> None:
    """Run pip in the environment; on failure stop with its words and what they mean."""
    command = [str(python_in(venv)), "-m", "pip", "install", "--no-input"]
    command += ["--disable-pip-version-check", *arguments]
    if not sys.stdout.isatty():
        command.append("--quiet")  # a log needs no progress bars; errors still show
    errors = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        **lock.to_child,
    ) as pip:
        assert pip.stderr is not None
        for line in pip.stderr:
            if "is ignored: it is neither a file nor a directory" in line:
                continue  # a local index that lacks a package; one line per package
            sys.stderr.write(line)
            sys.stderr.flush()
            errors.append(line)
    if pip.returncode:
        sys.exit(
            f"\nThe set-up stopped: pip could not install what is needed.\n"
            f"{explain(''.join(errors))}\nThen run the same command again; it starts over cleanly."
        )


def install(venv: Path, lock: Lock) -> None:
    """Install everything into an environment that exists."""
    index = os.environ.get("TORCH_INDEX_URL", "").strip()
    if index:
        torch = next(
            line
            for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
            if line.startswith("torch==")
        )
        log("setup", f"installing {torch} from TORCH_INDEX_URL")
        # Without its dependencies: that index may hold other versions of them than the pinned ones.
        pip_install(venv, lock, "--no-deps", "--index-url", index, torch)
    log("setup", "installing the pinned packages (the first time: several minutes, about 2 GB)")
    pip_install(venv, lock, "-r", "requirements-dev.txt")
    log("setup", "installing simplellm itself, from this folder")
    pip_install(venv, lock, "--no-deps", "--no-build-isolation", "-e", ".")


def main(root: Path = ROOT, *, chosen: bool = False) -> int:
    """Bring .venv up to date, doing nothing where it is.

    Args:
        root: The folder of the book.
        chosen: Whether this Python was asked for; else an environment of another one will do.
    """
    venv, marker = root / ".venv", root / ".make" / "setup.running"
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with locked(root / ".make" / "setup.lock", "setup") as lock:
        key = digest(root, INPUTS)
        action, why = plan(venv, marker, key, here if chosen else "")
        if action == "nothing":
            return 0
        if action == "refuse":
            sys.exit(
                f"{venv} was not made by this set-up, and {why}. Move it away, then try again."
            )
        if action == "create" and WINDOWS and Path(sys.prefix) == venv:
            sys.exit(
                f"{venv} must be made again: {why}. Windows removes no program that is running, so "
                "start this with a Python from outside of it, as in: py tools/book.py setup"
            )
        start = time.monotonic()
        marker.touch()
        if action == "create":
            log("setup", f"making the environment .venv with Python {here}: {why}")
            shutil.rmtree(venv, ignore_errors=True)
            # The base interpreter: this one may be the very environment that was just removed.
            base = getattr(sys, "_base_executable", None) or sys.executable
            if run([base, "-m", "venv", str(venv)], lock=lock):
                sys.exit(
                    "\nThe set-up stopped: Python could not make a virtual environment.\n"
                    "On Debian and Ubuntu: sudo apt-get install python3-venv, then try again."
                )
        else:
            log("setup", f"bringing the environment .venv up to date: {why}")
            (venv / ".stamp").unlink(missing_ok=True)
        try:
            install(venv, lock)
        except SystemExit:
            # pip refused or had no network, and said so: what was there before is still sound.
            # A kill or an interrupt, on the other hand, may leave half a package, and the marker.
            if action == "update":
                marker.unlink()
            raise
        write_atomically(venv / ".stamp", f"{key} {venv}\n".encode())
        marker.unlink()
        log("setup", f"ready after {seconds_since(start)}")
    return 0


if __name__ == "__main__":
    main_guard(lambda: main(chosen="--chosen" in sys.argv[1:]))
