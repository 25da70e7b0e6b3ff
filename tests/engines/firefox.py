"""Firefox by WebDriver BiDi, which is built into it: no driver of its own, no patched browser.

Playwright drives only a Firefox of its own making, and Debian has no geckodriver. BiDi is the
W3C's successor of both: JSON over one WebSocket, answers and events alike.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import websocket

from tools.machine.browser import find_firefox

from .base import PATIENCE, Engine, PageError, Program, fonts, key_actions, mouse_actions, until

# A fresh profile. Firefox itself switches off updates, first-run pages and the like when it is
# remote-controlled. Whatever asks another host meets a proxy that is not there.
PREFERENCES: dict[str, object] = {
    "browser.download.folderList": 2,  # the folder of browser.download.dir
    "browser.download.alwaysOpenPanel": False,
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1",
}
COLOR_SCHEME = "layout.css.prefers-color-scheme.content-override"
READABLE = "security.sandbox.content.read_path_whitelist"
EVENTS = ["log.entryAdded", "network.fetchError", "network.responseCompleted"]


class Firefox(Engine):
    """A Firefox without a window, in a profile of its own below `folder`."""

    name = "firefox"

    def __init__(self, folder: Path, theme: str = "light") -> None:
        profile, self.downloads = folder / "profile", folder / "downloads"
        profile.mkdir()
        self.downloads.mkdir()
        preferences = {
            **PREFERENCES,
            "browser.download.dir": str(self.downloads),
            COLOR_SCHEME: 0 if theme == "dark" else 1,
        }
        if fonts():
            # A page's process may read files of the system's font folders, and no others: the names
            # of our fonts would be known, and every letter drawn as a box with its number.
            preferences[READABLE] = f"{Path(fonts()['FONTCONFIG_FILE']).parent}/"
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in preferences.items()]
        (profile / "user.js").write_text("\n".join(lines), "utf-8")
        command = [find_firefox(), "--headless", "--no-remote", "--profile", str(profile)]
        command += ["--remote-debugging-port", "0", "about:blank"]
        self.numbers = itertools.count(1)
        self.wrong: list[str] = []
        # Firefox refuses to start as root in a home that belongs to somebody else.
        env = {**os.environ, **fonts(), "HOME": str(folder)}
        self.program = Program(command, folder / "firefox.log", env)
        try:
            address = until(self._address, "firefox: says where it listens")
            self.socket = websocket.create_connection(
                f"{address}/session",
                timeout=PATIENCE,
                suppress_origin=True,  # Firefox answers programs, and no page of any origin
            )
            session = self.command("session.new", capabilities={})
            self.version = session["capabilities"]["browserVersion"]
            # The first tab has no focus, so in it focus, blur and change never arrive.
            tab = self.command("browsingContext.create", type="tab")
            self.context = tab["context"]
            self.command("session.subscribe", events=EVENTS, contexts=[self.context])
        except BaseException:
            self.close()
            raise

    def _address(self) -> str | None:
        said = re.search(r"WebDriver BiDi listening on (ws://\S+)", self.program.said())
        return said and said[1]

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; note the events that come before it."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = json.loads(self.socket.recv())
            if message.get("type") == "event":
                self._note(message["method"], message["params"])
            elif message.get("id") == number:
                if message["type"] == "error":
                    raise PageError(f"{method}: {message['error']}: {message['message']}")
                return message["result"]
        raise TimeoutError(f"firefox: no answer to {method} after {PATIENCE} s")

    def _note(self, event: str, what: dict[str, Any]) -> None:
        if event == "log.entryAdded":
            if what["level"] == "error":
                self.wrong.append(what["text"] or json.dumps(what.get("args")))
        elif event == "network.fetchError":
            self.wrong.append(f"{what['request']['url']}: {what['errorText']}")
        elif what["response"]["status"] >= 400:
            self.wrong.append(f"{what['request']['url']}: {what['response']['status']}")

    def navigate(self, url: str) -> None:
        self.wrong.clear()
        self.command("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        answer = self.command(
            "script.evaluate",
            # BiDi describes values by type; as one text of JSON they arrive as they are.
            expression=f"(async () => JSON.stringify(await ({expression})))()",
            target={"context": self.context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise PageError(answer["exceptionDetails"]["text"])
        result = answer["result"]
        return json.loads(result["value"]) if result["type"] == "string" else None

    def press(self, *strokes: str) -> None:
        self._act(key_actions(strokes))

    def mouse(self, x: int, y: int, click: bool = False) -> None:
        self._act(mouse_actions(x, y, click))

    def _act(self, actions: list[dict[str, Any]]) -> None:
        self.command("input.performActions", context=self.context, actions=actions)

    def resize(self, width: int, height: int) -> None:
        viewport = {"width": width, "height": height}
        self.command("browsingContext.setViewport", context=self.context, viewport=viewport)

    def reported(self) -> list[str]:
        return list(self.wrong)

    def screenshot(self) -> bytes:
        taken = self.command("browsingContext.captureScreenshot", context=self.context)
        return base64.b64decode(taken["data"])

    def close(self) -> None:
        with contextlib.suppress(AttributeError, OSError, websocket.WebSocketException):
            self.socket.close()
        self.program.end()
