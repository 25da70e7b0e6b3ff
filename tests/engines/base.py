"""One way to ask three browsers: what the checks need of a browser, and nothing more.

An engine shows one page. A driver (chromium.py, firefox.py, webkit.py) brings the methods that are
its own; all others stand here, once. In JavaScript one gives an expression, and gets its value
as JSON; a promise is waited for.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tools.machine.fonts import environment

T = TypeVar("T")

PATIENCE = 120  # seconds for anything that takes a second on a quiet machine

# The keys that have no character: what the W3C's WebDriver, and so BiDi, call them.
KEYS = {
    "Shift": "\ue008",
    "Control": "\ue009",
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "End": "\ue010",
    "Home": "\ue011",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}


@functools.cache
def fonts() -> dict[str, str]:
    """The variables with which a browser has the fonts of one set, not those of the machine."""
    return environment("dejavu") if sys.platform == "linux" else {}


class PageError(Exception):
    """JavaScript that a check had evaluated threw, or the browser refused a command."""


def until(what: Callable[[], T | None], why: str, seconds: float = PATIENCE) -> T:
    """Ask again until there is an answer; fail with `why`."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{why}: not after {seconds} s")
        time.sleep(0.03)


class Program:
    """A program that ends with us: see keeper.py. What it says is in the file `log`."""

    def __init__(
        self, command: list[str], log: Path, env: dict[str, str], keep_open: tuple[int, ...] = ()
    ) -> None:
        keeper = [sys.executable, "-I", str(Path(__file__).with_name("keeper.py"))]
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*keeper, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=env,
                pass_fds=keep_open,
                start_new_session=True,
            )

    def said(self) -> str:
        """All its output so far; an error where it has ended by itself."""
        said = self.log.read_text("utf-8", errors="replace")
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args[3]} ended:\n{said[-2000:]}")
        return said

    def end(self) -> None:
        """End it and what it started, and wait until they are gone."""
        self.process.stdin.close()
        self.process.wait(PATIENCE)


class Engine(ABC):
    """A running browser with one page; the page is as wide and high as `resize` said last."""

    name: str
    version: str
    downloads: Path  # where it puts what the page saves

    # ---- what each driver brings

    @abstractmethod
    def navigate(self, url: str) -> None:
        """Open an address and wait for the page's load event."""

    @abstractmethod
    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page. Raises PageError if it throws."""

    @abstractmethod
    def press(self, *strokes: str) -> None:
        """Press and release keys, each a character, a name, or several: "Control+k"."""

    @abstractmethod
    def mouse(self, x: int, y: int, click: bool = False) -> None:
        """Move the mouse to a point of the page on view; press and release its button there."""

    @abstractmethod
    def resize(self, width: int, height: int) -> None:
        """Make the page so wide and so high, in CSS pixels."""

    @abstractmethod
    def reported(self) -> list[str]:
        """The errors that the browser itself has reported since the last `navigate`."""

    @abstractmethod
    def screenshot(self) -> bytes:
        """What is to be seen, a PNG."""

    @abstractmethod
    def close(self) -> None:
        """End the browser and everything that was started for it."""

    # ---- what follows from it

    def goto(self, url: str) -> None:
        """Open an address afresh, also where only what follows # differs from the last one."""
        self.navigate("about:blank")
        self.navigate(url)

    def errors(self) -> list[str]:
        """What the page wrote to the console as an error, threw, or could not load.

        A page of the tests keeps that itself (pages.py), since no browser reports all of it; and
        what a browser reports, the page may not see.
        """
        kept = self.evaluate("window.wentWrong")  # first: reports arrive before the answer
        return [*self.reported(), *(["the page keeps no errors"] if kept is None else kept)]

    def call(self, function: str, *arguments: object) -> Any:
        """What a JavaScript function returns."""
        return self.evaluate(f"({function})(...{json.dumps(arguments)})")

    def wait_for(self, expression: str, seconds: float = PATIENCE) -> Any:
        """The value of an expression, once it is true. A page that is just leaving has none."""

        def ask() -> Any:
            try:
                return self.evaluate(expression)
            except PageError:
                return None

        return until(ask, f"{self.name}: {expression}", seconds)

    def type(self, text: str) -> None:
        """Press the key of each character."""
        self.press(*text)

    def focus(self, selector: str, words: str = "") -> None:
        """Put the keyboard on the first such element that has these words."""
        find = f"({FIRST})(...{json.dumps([selector, words])})"
        self.wait_for(f"{find} && ({find}.focus(), document.activeElement === {find})")

    def click(self, selector: str, words: str = "", right: float = 0.5) -> None:
        """Click the first such element that has these words, once it can be hit.

        It is hit in the middle of its height, and at a share of its width.
        """
        arguments = json.dumps([selector, words, right])
        x, y = self.wait_for(f"({POINT})(...{arguments})")
        self.mouse(x, y, click=True)

    def downloaded(self, name: str) -> bytes:
        """The file that the page saved under a name."""
        file = self.downloads / name

        def whole() -> bool:
            return (
                file.exists() and file.stat().st_size > 0 and not [*self.downloads.glob("*.part")]
            )

        until(whole, f"{self.name}: {name} is saved")
        return file.read_bytes()


FIRST = """(selector, words) => [...document.querySelectorAll(selector)]
    .find(element => element.textContent.includes(words))"""

# Where to click an element: nothing if something else lies there, as a menu that is moving away.
POINT = f"""(selector, words, right) => {{
    const element = ({FIRST})(selector, words);
    if (!element) return null;
    element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
    const {{ left, top, width, height }} = element.getBoundingClientRect();
    const [x, y] = [left + width * right, top + height / 2].map(Math.floor);
    return element.contains(document.elementFromPoint(x, y)) ? [x, y] : null;
}}"""


def key_actions(strokes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Strokes as WebDriver and BiDi want them: each key goes down, and up again."""
    actions = []
    for stroke in strokes:
        keys = [KEYS.get(key, key) for key in (stroke.split("+") if len(stroke) > 1 else [stroke])]
        actions += [{"type": "keyDown", "value": key} for key in keys]
        actions += [{"type": "keyUp", "value": key} for key in reversed(keys)]
    return [{"type": "key", "id": "keyboard", "actions": actions}]


def mouse_actions(x: int, y: int, click: bool) -> list[dict[str, Any]]:
    """A movement of the mouse as WebDriver and BiDi want it, with a click or without."""
    actions: list[dict[str, Any]] = [{"type": "pointerMove", "x": x, "y": y}]
    if click:
        actions += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
    return [{"type": "pointer", "id": "mouse", "actions": actions}]
