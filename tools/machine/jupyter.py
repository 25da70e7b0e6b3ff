"""A Jupyter server of its own, and notebooks in it, for the live tests and the benchmarks.

Everything a server reads or writes lies in a folder given to it: copies of the notebooks, its
settings, its home. So nothing is saved back, and nothing of the user's own set-up is seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.machine.common import ROOT, WINDOWS

if TYPE_CHECKING:
    from playwright.sync_api import Page

# For each host: the module that starts it, and the address of a notebook. JupyterLab remembers
# which notebooks were open; a workspace of its own for each keeps them apart.
HOSTS = {
    "lab": ("jupyterlab", "lab/workspaces/{stem}/tree/chapters/{stem}.ipynb"),
    "notebook": ("notebook", "notebooks/chapters/{stem}.ipynb"),
}

FLAGS = [
    "--no-browser",
    "--port=0",  # a free one; the server writes down which
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.allow_root=True",  # continuous integration runs as root
    "--IdentityProvider.token=",
    # Should the tests be killed, so that nobody ends the server: it ends itself.
    "--MappingKernelManager.cull_idle_timeout=300",
    "--MappingKernelManager.cull_connected=True",
    "--ServerApp.shutdown_no_activity_timeout=300",
    # Ask nobody outside for anything.
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    # `window.jupyterapp`: what the menus do, and what the notebook holds, without guessing at it.
    "--LabApp.expose_app_in_browser=True",
    "--JupyterNotebookApp.expose_app_in_browser=True",
]

SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "checkForUpdates": False,
        "doNotDisturbMode": True,  # a notification would lie over what is clicked
        "fetchNews": "false",
    },
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/extensionmanager-extension/plugin": {"enabled": False},
}

START = 60  # seconds for a server or an opened notebook to be ready
RUN = 300  # seconds for all cells of a chapter


@contextmanager
def serve(host: str, folder: Path, notebooks: list[Path]) -> Iterator[str]:
    """Run a server in `folder`, with copies of notebooks, for the length of a with block.

    Args:
        host: `"lab"` or `"notebook"`.
        folder: where the server may read and write; it need not exist.
        notebooks: they are copied into it.

    Yields:
        The address of the server.

    Raises:
        RuntimeError: it did not start; the message ends with its log.
    """
    chapters, settings = folder / "root" / "chapters", folder / "config/lab/user-settings"
    chapters.mkdir(parents=True)
    (folder / "home").mkdir()
    for notebook in notebooks:
        shutil.copy(notebook, chapters)
    for name, values in SETTINGS.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    own = ("JUPYTER", "IPYTHON", "XDG_", "MPL")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(own)} | {
        "USERPROFILE" if WINDOWS else "HOME": str(folder / "home"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),  # the list of trusted notebooks
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": str(ROOT),
    }
    with (folder / "server.log").open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", HOSTS[host][0], *FLAGS],
            cwd=folder / "root",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt reaches the tests, and they end it
        )
    try:
        yield _address(server, folder, host)
    finally:
        _end(server)


def _address(server: subprocess.Popen[bytes], folder: Path, host: str) -> str:
    """Wait until a server has written down where it will listen, and listens there."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        # Its name holds the server's process id, which on Windows is not that of what we started.
        for note in (folder / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError):  # not written to its end
                server_info = json.loads(note.read_text(encoding="utf-8"))
                # jupyter_server 2.21 writes it before its event loop begins, and listens in there.
                socket.create_connection(("127.0.0.1", server_info["port"]), timeout=5).close()
                return server_info["url"]
        time.sleep(0.1)
    log = (folder / "server.log").read_text("utf-8")[-3000:]
    raise RuntimeError(f"the {host} server did not start:\n{log}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server; a kernel ends with its server."""
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        if WINDOWS:
            server.kill()
        else:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


# ---- a notebook in a host

# The open notebook: N its widget, with N.content.widgets its cells.
N = "jupyterapp.shell.currentWidget"


def open_notebook(page: Page, host: str, url: str, stem: str) -> None:
    """Open a notebook of the server at `url`, and wait until its kernel is ready."""
    page.goto(url + HOSTS[host][1].format(stem=stem))
    page.wait_for_function(
        f"""() => window.jupyterapp && {N}?.content?.model?.cells.length
            && {N}.sessionContext.session?.kernel?.status === 'idle'""",
        timeout=START * 1000,
    )


def run_all_cells(page: Page) -> None:
    """Run the open notebook from its first cell to its last, or to the first error."""
    page.evaluate(
        """() => {
            window.done = false;
            jupyterapp.commands.execute('notebook:run-all-cells')
                .finally(() => { window.done = true; });
        }"""
    )
    page.wait_for_function("() => window.done", timeout=RUN * 1000)
