"""WebKit (GTK's, a relative of Safari) by its own WebKitWebDriver, in a display that nobody sees.

WebKitWebDriver speaks the W3C's WebDriver over HTTP, for which the standard library is enough. It
knows no BiDi and no printing, and it does not report the console: that is why the pages bring a
script that keeps what went wrong (pages.py).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

from tools.machine.browser import find_webkit

from .base import PATIENCE, Engine, PageError, Program, fonts, key_actions, mouse_actions, until

# MiniBrowser's own tool bar keeps the window from being narrower than 447 px. With next to nothing
# in it, a page can be as narrow as a phone.
NARROW_TOOL_BAR = """* {
    min-width: 0; min-height: 0; padding: 0; margin: 0; border-width: 0; font-size: 1px;
}"""


def free_port() -> int:
    """A port that nobody has at the moment: WebKitWebDriver does not choose one by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class WebKit(Engine):
    """A MiniBrowser in an Xvfb of its own, with a home of its own: `folder`."""

    name = "webkit"

    def __init__(self, folder: Path, theme: str = "light") -> None:
        found = find_webkit()
        config, self.downloads = folder / "config", folder / "downloads"
        self.downloads.mkdir()
        (config / "gtk-3.0").mkdir(parents=True)
        (config / "gtk-3.0" / "gtk.css").write_text(NARROW_TOOL_BAR, "utf-8")
        (config / "user-dirs.dirs").write_text(f'XDG_DOWNLOAD_DIR="{self.downloads}"\n', "utf-8")
        self.programs: list[Program] = []
        self.session = ""
        try:
            env = {
                **os.environ,
                **fonts(),
                "DISPLAY": self._display(found.xvfb, folder),
                "GDK_BACKEND": "x11",
                "GTK_THEME": "Adwaita:dark" if theme == "dark" else "Adwaita",
                "HOME": str(folder),
                "XDG_CONFIG_HOME": str(config),
                "XDG_DATA_HOME": str(folder / "data"),
                "XDG_CACHE_HOME": str(folder / "cache"),
            }
            self._start_driver(found.driver, folder, env)
            options = {"binary": found.browser, "args": ["--automation"]}
            timeouts = {"script": PATIENCE * 1000, "pageLoad": PATIENCE * 1000}
            wanted = {"webkitgtk:browserOptions": options, "timeouts": timeouts}
            made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self.session = f"/session/{made['sessionId']}"
            self.version = made["capabilities"]["browserVersion"]
        except BaseException:
            self.close()
            raise

    def _display(self, xvfb: str, folder: Path) -> str:
        """Start an X server that takes the first free number, and say which."""
        ours, its = os.pipe()
        command = [xvfb, "-displayfd", str(its), "-screen", "0", "2000x1400x24"]
        command += ["-nolisten", "tcp"]
        try:
            self.programs.append(Program(command, folder / "xvfb.log", {**os.environ}, (its,)))
        finally:
            os.close(its)
        with os.fdopen(ours) as said:
            return f":{said.readline().strip()}"  # the whole line: Xvfb ends if it cannot write

    def _start_driver(self, driver: str, folder: Path, env: dict[str, str]) -> None:
        for _ in range(5):  # somebody else may take the port first
            self.port = free_port()
            command = [driver, "--host=127.0.0.1", f"--port={self.port}"]
            program = Program(command, folder / "driver.log", env)
            with contextlib.suppress(RuntimeError):
                until(lambda p=program: p.said() is not None and self._listens(), "webkit: driver")
                self.programs.append(program)
                return
            program.end()
        raise RuntimeError(program.log.read_text("utf-8"))

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._ask("GET", "/status")["ready"])
        return False

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE + 10)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.load(answer)["value"]
        finally:
            connection.close()
        if answer.status != 200:
            raise PageError(f"{path}: {value['error']}: {value['message']}")
        return value

    def _post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", f"{self.session}/{path}", body)

    def navigate(self, url: str) -> None:
        self._post("url", url=url)

    def evaluate(self, expression: str) -> Any:
        script = (
            "const done = arguments[0];"
            f"(async () => JSON.stringify(await ({expression})))()"
            ".then(value => done([value ?? null]), error => done([null, String(error)]));"
        )
        value, *error = self._post("execute/async", script=script, args=[])
        if error:
            raise PageError(error[0])
        return None if value is None else json.loads(value)

    def press(self, *strokes: str) -> None:
        self._post("actions", actions=key_actions(strokes))

    def mouse(self, x: int, y: int, click: bool = False) -> None:
        self._post("actions", actions=mouse_actions(x, y, click))

    def resize(self, width: int, height: int) -> None:
        bar = self.evaluate("outerHeight - innerHeight")
        self._post("window/rect", width=width, height=height + bar)
        self.wait_for(f"innerWidth === {width} && innerHeight === {height}")

    def reported(self) -> list[str]:
        return []

    def screenshot(self) -> bytes:
        return base64.b64decode(self._ask("GET", f"{self.session}/screenshot"))

    def close(self) -> None:
        if self.session:
            with contextlib.suppress(OSError, PageError, ValueError):
                self._ask("DELETE", self.session)
        for program in reversed(self.programs):
            program.end()
