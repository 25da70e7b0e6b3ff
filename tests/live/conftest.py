"""What the live tests share: a real Jupyter server, and the chapters run in it once.

Everything a server reads or writes lies in a temporary folder: copies of the chapters, its
settings, its home. So nothing is saved back, and nothing of the user's own set-up is seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, TimeoutError, sync_playwright

from tools.browser import LAUNCH_ARGS, find_browser

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))

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


def start(host: str, folder: Path, notebooks: list[Path]) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server in `folder`, with copies of notebooks; return it with its address."""
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
        "HOME": str(folder / "home"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),  # which notebooks are trusted stands here
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": str(ROOT),
    }
    log = folder / "server.log"
    with log.open("wb") as output:
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
        deadline = time.monotonic() + START
        note = folder / "runtime" / f"jpserver-{server.pid}.json"
        while time.monotonic() < deadline and server.poll() is None:
            try:
                return server, json.loads(note.read_text(encoding="utf-8"))["url"]
            except (OSError, ValueError):  # not written yet, or not to its end
                time.sleep(0.1)
        raise RuntimeError(f"the {host} server did not start:\n{log.read_text('utf-8')[-3000:]}")
    except BaseException:
        end(server)
        raise


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server; a kernel ends with its server."""
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="session")
def address_of(tmp_path_factory) -> Iterator[Callable[[str], str]]:
    """`address_of("lab")`: the address of a running server, started when first asked for."""
    servers: dict[str, tuple[subprocess.Popen[bytes], str]] = {}

    def address(host: str) -> str:
        if host not in servers:
            servers[host] = start(host, tmp_path_factory.mktemp(host), CHAPTERS)
        return servers[host][1]

    try:
        yield address
    finally:
        for server, _ in servers.values():
            end(server)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole session, which finds no host but this machine."""
    here_only = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=find_browser(), args=[*LAUNCH_ARGS, here_only]
        )
        yield chromium
        chromium.close()


# ---- a chapter in a host

# The open notebook: N its widget, with N.content.widgets its cells.
N = "jupyterapp.shell.currentWidget"

# The committed heatmaps as an untrusted notebook shows them.
STILLS = """async () => {
    const found = [];
    for (const root of document.querySelectorAll('.simplellm-heatmap')) {
        root.scrollIntoView();  // what is far off the screen is not laid out
        for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
        const image = root.querySelector('img');
        await image?.decode().catch(() => null);
        const box = image?.getBoundingClientRect();
        found.push({
            pixels: image?.naturalWidth ?? 0,
            shown: !!image?.checkVisibility() && box.width > 200 && box.height > 100,
            alt: image?.alt ?? '',
            live: 'live' in root.dataset || root.querySelector('canvas') !== null,
        });
    }
    return found;
}"""


class Heatmap:
    """One heatmap in a notebook, and short ways to ask it."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.canvas = root.locator("canvas")

    def call(self, expression: str):
        """Evaluate a JavaScript expression in which `h` is the heatmap and `root` its element."""
        return self.root.evaluate(f"root => {{ const h = root.heatmap; return {expression}; }}")

    @property
    def name(self) -> str:
        return self.root.get_attribute("id") or ""

    @property
    def readout(self) -> str:
        return self.root.locator(".readout").inner_text()

    @property
    def cursor(self) -> tuple[int, int]:
        return tuple(self.call("[h.state().row, h.state().column]"))


class Notebook:
    """A chapter, opened in a host and run from its first cell to its last."""

    def __init__(self, page: Page, host: str, url: str, chapter: Path) -> None:
        self.page, self.url = page, url
        self.requests: list[str] = []
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.goto(url + HOSTS[host][1].format(stem=chapter.stem))
        page.wait_for_function(
            f"""() => window.jupyterapp && {N}?.content?.model?.cells.length
                && {N}.sessionContext.session?.kernel?.status === 'idle'""",
            timeout=START * 1000,
        )
        # What the host has opened: somebody may be writing the file in the repository by now.
        self.committed: list[dict] = self.ask("cells.map(cell => cell.model.toJSON())")
        self.trusted_before: bool = self.ask("cells.some(cell => cell.model.trusted)")
        with contextlib.suppress(TimeoutError):  # then a test says how many there are
            page.wait_for_function(
                "n => document.querySelectorAll('.simplellm-heatmap').length >= n",
                arg=self.committed_heatmaps,
            )
        self.stills: list[dict] = page.evaluate(STILLS)
        page.evaluate(
            """() => {
                window.done = false;
                jupyterapp.commands.execute('notebook:run-all-cells')
                    .finally(() => { window.done = true; });
            }"""
        )
        page.wait_for_function("() => window.done", timeout=RUN * 1000)
        self.ran: list[dict] = self.ask("cells.map(cell => cell.model.toJSON())")

    @property
    def committed_heatmaps(self) -> int:
        outputs = (o for cell in self.committed for o in cell.get("outputs", []))
        html = ("".join(o.get("data", {}).get("text/html", "")) for o in outputs)
        return sum('class="simplellm-heatmap"' in text for text in html)

    @property
    def has_lab(self) -> bool:
        return any("import ipywidgets" in "".join(cell["source"]) for cell in self.committed)

    def ask(self, expression: str):
        """Evaluate JavaScript in which `notebook` is the notebook and `cells` are its cells."""
        return self.page.evaluate(
            f"() => {{ const notebook = {N}.content, cells = notebook.widgets;"
            f" return {expression}; }}"
        )

    @property
    def selection(self) -> list:
        """Where the notebook itself stands: its selected cell, its mode, how many cells it has."""
        return self.ask("[notebook.activeCellIndex, notebook.mode, cells.length]")

    def heatmaps(self) -> list[Heatmap]:
        """The heatmaps that are live."""
        return [Heatmap(r) for r in self.page.locator(".simplellm-heatmap[data-live='']").all()]

    def until(self, true: Callable[[], bool], otherwise: str) -> None:
        """Wait until something is true; fail with a word on it where it never is."""
        deadline = time.monotonic() + 10
        while not true():
            assert time.monotonic() < deadline, otherwise
            self.page.wait_for_timeout(50)

    def settle(self) -> None:
        """Wait until the kernel has nothing left to do and the picture of a lab stays."""
        self.page.wait_for_function(
            f"""async () => {{
                const idle = () => {N}.sessionContext.session.kernel.status === 'idle';
                const pictures = () => [...document.querySelectorAll('.widget-image')]
                    .map(image => image.src).join();
                const before = pictures();
                if (!idle()) return false;
                await new Promise(done => setTimeout(done, 200));
                return idle() && pictures() === before;
            }}"""
        )


RUNS = [
    pytest.param((host, chapter), id=f"{host}-{chapter.stem}")
    for host in HOSTS
    for chapter in CHAPTERS
]


@pytest.fixture(scope="session", params=RUNS)
def notebook(request, browser: Browser, address_of) -> Iterator[Notebook]:
    """One chapter that was run in one host; its tests share the page."""
    host, chapter = request.param
    context = browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    opened = None
    try:
        opened = Notebook(context.new_page(), host, address_of(host), chapter)
        yield opened
    finally:
        if opened:
            opened.page.evaluate(f"{N}.sessionContext.shutdown()")  # the kernel's memory
        context.close()
