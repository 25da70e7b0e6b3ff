"""Execute notebooks and rewrite them, so that what is committed is what the code gives today.

    python -m tools.refresh [NOTEBOOK ...]        (without names: all of chapters/)

Before it is executed, a notebook that imports simplellm gets today's install cell, its exercises
are numbered by chapter, and the cells of its solutions are marked as folded. Without names, the
address of the repository is also written wherever else it is needed (tools/chapters/address.py).

What is written depends on the notebook's cells and their results alone: no times, no versions of
the day, no random ids. So a second run gives the same bytes, and a diff shows what really changed.
(Only a cell tagged nbval-ignore-output may differ: it is tagged because its numbers vary.)
A notebook that raises is reported with its cell and stays as it was.

A chapter whose code cells and outputs are those of its last refresh, with the same package, is not
executed: its heatmaps get today's script and style (tools/restamp.py), which is all that can have
changed. `--execute` executes it all the same; so does whatever follows `make clean`.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ipykernel.kernelspec
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets import Instance

from tools import restamp
from tools.chapters import install_cell, solutions
from tools.chapters.address import WRITTEN, Address, read_address
from tools.machine.common import (
    CELL_TIMEOUT,
    ROOT,
    digest,
    log,
    main_guard,
    read_stamp,
    seconds_since,
    write_atomically,
)

WORKERS = 2  # every notebook computes on one thread, and a small laptop has two cores

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {  # as Jupyter writes it, less the version of the Python that happened to run
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# What editors and runners leave in a cell about one run or one screen.
PASSING = ("execution", "ExecuteTime", "collapsed", "scrolled", "outputExpanded")
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


class FailedError(Exception):
    """A notebook did not run to its end."""


class ThisEnvironment(KernelSpecManager):
    """Knows one kernel, that of the running Python; one installed for the user is not looked at."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return it, whatever name is asked for."""
        del kernel_name
        return KernelSpec(
            resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict()
        )


class ThisKernel(AsyncKernelManager):
    """Starts the kernel of this environment."""

    kernel_spec_manager = Instance(ThisEnvironment, args=())


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook and give an id, the same one each time, to every cell that lacks its own."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    if raw.get("nbformat") != 4:
        raise FailedError(f"{path}: only notebooks of format 4 can be refreshed.")
    raw["nbformat_minor"] = max(5, raw.get("nbformat_minor", 0))
    seen: set[str] = set()
    for index, cell in enumerate(raw["cells"]):
        name = cell.get("id")
        while not name or name in seen:
            name = f"{name or 'cell'}-{index}"
        cell["id"] = name
        seen.add(name)
    return nbformat.reads(json.dumps(raw), as_version=4)


def execute(notebook: nbformat.NotebookNode, folder: Path, name: str) -> None:
    """Run all cells in a fresh kernel started in `folder`; their outputs land in `notebook`.

    Raises:
        FailedError: a cell raised or ran too long; the message names the notebook and the cell.
    """
    at = [0]

    def started(cell: nbformat.NotebookNode, cell_index: int) -> None:
        del cell
        at[0] = cell_index

    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisKernel,
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(folder)}},
        allow_errors=False,
        record_timing=False,
        store_widget_state=False,
        on_cell_start=started,
    )
    try:
        # The kernel's own notices go nowhere; what a cell writes to stderr is still an output.
        client.execute(stderr=subprocess.DEVNULL)
    except CellExecutionError as error:
        why = f"{error.ename}: {error.evalue}"
    except CellTimeoutError:
        why = f"it ran longer than {CELL_TIMEOUT} seconds"
    except DeadKernelError:
        why = "the kernel died (out of memory?)"
    else:
        return
    source = notebook.cells[at[0]].source.strip().partition("\n")[0]
    raise FailedError(f"{name}, cell {at[0] + 1} ({source!r}): {why}")


def join_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Join stream outputs that follow each other: where the kernel cut them is a matter of time."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            joined.append(output)
    return joined


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Take out of an executed notebook all that does not follow from its cells, in place."""
    notebook.metadata["kernelspec"] = dict(KERNELSPEC)
    notebook.metadata["language_info"] = dict(LANGUAGE_INFO)
    notebook.metadata.pop("widgets", None)
    models: dict[str, str] = {}
    count = 0
    for cell in notebook.cells:
        for key in PASSING:
            cell.metadata.pop(key, None)
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:  # a cell without code is never counted
            count += 1
            cell.execution_count = count
        cell.outputs = join_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
            if output.output_type == "stream":
                output.text = ADDRESS.sub("at 0xADDR", output.text)
            if output.output_type == "error":
                # The frames name files of this machine; what a page needs is the last line.
                output.traceback = [f"{output.ename}: {output.evalue}"]
            data = output.get("data", {})
            if "text/plain" in data:
                data["text/plain"] = ADDRESS.sub("at 0xADDR", data["text/plain"])
            if WIDGET_VIEW in data:
                model = data[WIDGET_VIEW]["model_id"]
                data[WIDGET_VIEW]["model_id"] = models.setdefault(model, f"{len(models):032x}")


# Whatever decides what an executed cell puts out; the scripts in it are written without executing.
MADE_OF = ("simplellm", "requirements*.txt", "constraints.txt", "tools/refresh.py")
SCRIPTS = ("simplellm/heatmap/js/*.js", "simplellm/cards/*.js", "simplellm/claims/*.js")
SCRIPTS += ("simplellm/in_the_wild/*.js",)


def key_of(notebook: nbformat.NotebookNode, root: Path) -> str:
    """Hash the code cells of a notebook, with their outputs, and all that they were made of.

    Of a heatmap its data counts: the rest is written anew wherever it is another.
    """
    cells = copy.deepcopy([cell for cell in notebook.cells if cell.cell_type == "code"])
    for cell in cells:
        for output in cell.outputs:
            restamp.without_stamps(output.get("data", {}))
    made_of = [digest(root, MADE_OF, without=SCRIPTS), sys.version, sys.platform]
    return hashlib.sha256(json.dumps([cells, made_of], sort_keys=True).encode()).hexdigest()


def refresh(path: Path, address: Address, anew: bool = False) -> tuple[str, bool]:
    """Bring one notebook up to date and rewrite it where it changed: (a line, whether it ran).

    Args:
        path: Its file.
        address: Where the book is public.
        anew: Execute it even if nothing changed since it was executed last.
    """
    start = time.monotonic()
    name = os.path.relpath(path)
    try:
        notebook = read(path)
        install_cell.write(notebook, address)
        solutions.fold(notebook)
        if chapter := re.match(r"\d+(?=_)", path.name):
            solutions.number(notebook, int(chapter[0]))
        stamp = ROOT / "_build" / "refreshed" / f"{path.stem}.stamp"
        in_book = path.resolve().parent == ROOT / "chapters"
        known = in_book and not anew and read_stamp(stamp) == key_of(notebook, ROOT)
        if known:
            restamp.restamp_outputs(notebook)
        else:
            execute(notebook, path.resolve().parent, name)
        normalise(notebook)
        nbformat.validate(notebook)
    except FailedError as error:
        return f"FAILED {error}", False
    except (ValueError, nbformat.ValidationError) as error:  # not JSON, or not a notebook
        return f"FAILED {name}: {error}", False
    new = restamp.as_written(notebook)
    changed = new != path.read_bytes()
    if changed:
        write_atomically(path, new)
    if in_book:
        write_atomically(stamp, key_of(read(path), ROOT).encode())
    what = "rewritten" if changed else "unchanged"
    how = ", nothing to execute" if known else ""
    return f"{what} {name} ({seconds_since(start)}{how})", True


def write_address(root: Path, address: Address) -> None:
    """Write the address into the files that name it and are no notebooks."""
    for name, rewrite in WRITTEN.items():
        path = root / name
        old = path.read_text(encoding="utf-8")
        new = rewrite(old, address)
        if new != old:
            write_atomically(path, new.encode())
            log("refresh", f"rewritten {name}: the address in _config.yml has changed")


def prepare_worker(profile: str) -> None:
    """Set what a kernel inherits from a worker."""
    os.environ["IPYTHONDIR"] = profile  # empty: the user's own start-up files change no page
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # or every kernel warns on stderr
    asyncio.set_event_loop(asyncio.new_event_loop())


def main() -> int:
    """Refresh the notebooks named, or all chapters."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--execute", action="store_true", help="even where nothing changed")
    options = parser.parse_args()
    named = options.notebooks
    paths = restamp.chapters(named)
    try:
        address = read_address(ROOT)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if not named:
        write_address(ROOT, address)
    log("refresh", f"{len(paths)} notebook(s), {WORKERS} at a time")
    failed = 0
    with (
        tempfile.TemporaryDirectory() as profile,
        ProcessPoolExecutor(WORKERS, initializer=prepare_worker, initargs=(profile,)) as workers,
    ):
        for line, ran in workers.map(
            refresh, paths, itertools.repeat(address), itertools.repeat(options.execute)
        ):
            log("refresh", line)
            failed += not ran
    if failed:
        log("refresh", f"{failed} of {len(paths)} failed and were left as they were")
    return 1 if failed else 0


if __name__ == "__main__":
    main_guard(main)
