"""Build the book into _build/html, from scratch, and only when something it is made of changed.

From scratch, because an incremental Sphinx build after a failed one passes: the page that raised
the warning is not read again. The stamp is removed first and written last, so that a build which
failed or was killed is never taken for a finished one.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from tools.machine.common import (
    ROOT,
    digest,
    locked,
    log,
    main_guard,
    read_stamp,
    run,
    seconds_since,
    write_atomically,
)

INPUTS = [
    "chapters",
    "simplellm",  # the reference pages are made from its docstrings
    "_ext",
    "_static",
    "_config.yml",
    "_toc.yml",
    "*.bib",
    "*.md",
    "requirements.txt",  # another version of the theme is another site
    "constraints.txt",
    "tools/chapters/address.py",
    "tools/build_book.py",
    "tools/chapters/chapter_map.py",
    "tools/chapters/prerequisites.py",
    "tools/chapters/solutions.py",
]

# -W -n: a warning or an unresolved reference is an error; --keep-going: show all of them at once.
# Not by its script, whose place and name differ between systems.
# Without the garbage collector: it goes through all pages again and again, and takes a third of the
# time to find nothing; the memory, 1.8 instead of 0.9 GB at most, goes with the process. And
# without a grammar of addresses, which jsonschema compiles where it is installed and nobody uses.
JUPYTER_BOOK = (
    "import gc, sys; gc.disable(); sys.modules['rfc3987_syntax'] = None; "
    "from jupyter_book.cli.main import main; main(prog_name='jupyter-book')"
)
BUILD = ["-c", JUPYTER_BOOK, "build", ".", "-W", "-n", "--keep-going", "-q"]


def build(root: Path = ROOT, command: list[str] | None = None) -> int:
    """Build the book under `root` where it is not up to date; return the exit status."""
    out = root / "_build"
    stamp = out / "book.stamp"
    with locked(root / ".make" / "book.lock", "book") as lock:
        key = digest(root, INPUTS)  # before the build: what changes meanwhile is built next time
        if read_stamp(stamp) == key and (out / "html" / "index.html").is_file():
            log("book", "_build/html is up to date")
            return 0
        start = time.monotonic()
        log("book", "building _build/html from the committed outputs")
        stamp.unlink(missing_ok=True)
        for old in ("html", ".doctrees", "jupyter_execute"):
            shutil.rmtree(out / old, ignore_errors=True)
        if command is None:
            command = [sys.executable, *BUILD]
        status = run(command, cwd=root, lock=lock)
        if status == 0 and not (out / "html" / "index.html").is_file():
            log("book", "the build ended well but made no _build/html/index.html")
            status = 1
        if status:
            log("book", f"the build failed after {seconds_since(start)}; the reasons are above")
            return status
        write_atomically(stamp, key.encode())
        log("book", f"built after {seconds_since(start)}: _build/html/index.html")
        return 0


if __name__ == "__main__":
    main_guard(build)
