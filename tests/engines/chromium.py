"""Chromium by Playwright, as in the other tests of the site."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import playwright.sync_api

from tools.machine.browser import chromium

from .base import PATIENCE, Engine, PageError, fonts, until


class Chromium(Engine):
    """The Chromium that tools/machine/browser.py finds."""

    name = "chromium"

    def __init__(self, folder: Path, theme: str = "light") -> None:
        self.open = ExitStack()
        browser = self.open.enter_context(chromium(variables=fonts()))
        self.version = browser.version
        self.downloads = folder
        self.saved: dict[str, playwright.sync_api.Download] = {}
        self.wrong: list[str] = []
        self.page = browser.new_context(color_scheme=theme).new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda r: self.wrong.append(f"{r.url}: {r.failure}"))
        self.page.on("download", lambda file: self.saved.update({file.suggested_filename: file}))

    def _on_console(self, message: playwright.sync_api.ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(message.text)

    def navigate(self, url: str) -> None:
        self.wrong.clear()
        self.page.goto(url)

    def evaluate(self, expression: str) -> Any:
        try:
            return self.page.evaluate(expression)
        except playwright.sync_api.Error as error:
            raise PageError(error.message) from None

    def press(self, *strokes: str) -> None:
        for stroke in strokes:
            self.page.keyboard.press(stroke)

    def mouse(self, x: int, y: int, click: bool = False) -> None:
        self.page.mouse.move(x, y)
        if click:
            self.page.mouse.click(x, y)

    def resize(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def reported(self) -> list[str]:
        return list(self.wrong)

    def screenshot(self) -> bytes:
        return self.page.screenshot()

    def downloaded(self, name: str) -> bytes:
        def there() -> playwright.sync_api.Download | None:
            self.page.evaluate("0")
            return self.saved.get(name)

        return until(there, f"{self.name}: {name} is saved").path().read_bytes()

    def close(self) -> None:
        self.open.close()
