"""Find the browsers that the tests drive; start the one that most of them use, quietly.

Chromium shows everything; Firefox and WebKit show whether the book's main promises hold there too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # whoever only looks for a browser needs no Playwright
    from playwright.sync_api import Browser, Playwright

# The same engine without a window to draw: it opens a page of the book in 0.6 of the time.
HEADLESS = ("chromium-headless-shell", "chrome-headless-shell")
# Names under which Debian, Fedora, Arch, Google and Homebrew put the browser on PATH.
NAMES = (
    *HEADLESS,
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
)

# Where their installers put it on systems that do not add it to PATH, below a folder of the
# environment or from the root.
PLACES = (
    ("ProgramFiles", "Google/Chrome/Application/chrome.exe"),
    ("ProgramFiles(x86)", "Google/Chrome/Application/chrome.exe"),
    ("LocalAppData", "Google/Chrome/Application/chrome.exe"),
    ("LocalAppData", "Chromium/Application/chrome.exe"),
    ("ProgramFiles(x86)", "Microsoft/Edge/Application/msedge.exe"),
    ("", "/Applications/Chromium.app/Contents/MacOS/Chromium"),
    ("", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)

HOW_TO_GET_ONE = """\
No Chromium was found, and the browser tests need one.
  Debian:          sudo apt-get install chromium-headless-shell
                   (as root, `make test` does this itself)
  Ubuntu:          sudo apt-get install chromium
  Fedora:          sudo dnf install chromium
  macOS:           brew install --cask chromium
  Windows:         Chrome and Edge are found where their installers put them
  anywhere:        the environment variable CHROMIUM=/path/to/chromium"""

HOW_TO_GET_FIREFOX = """\
No Firefox was found.
  Debian:          sudo apt-get install firefox-esr   (as root, `make test` does this itself)
  Fedora, Ubuntu:  sudo dnf install firefox, sudo snap install firefox
  macOS:           brew install --cask firefox
  anywhere:        FIREFOX=/path/to/firefox make test"""

HOW_TO_GET_WEBKIT = """\
No WebKitGTK with its driver and a display for it was found.
  Debian, Ubuntu:  sudo apt-get install webkit2gtk-driver xvfb
                   (as root on Debian, `make test` does this itself)
  elsewhere:       WebKitWebDriver and Xvfb on PATH, and MiniBrowser where WebKitGTK puts it"""

# A browser under test should talk to the page and to nobody else: every switch here turns off
# something that would otherwise look up a host or wait for a network.
LAUNCH_ARGS: list[str] = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    # Chromium refuses to run as root with its sandbox on; continuous integration runs as root.
    LAUNCH_ARGS.append("--no-sandbox")


def _find(variable: str, names: tuple[str, ...]) -> str | None:
    """Return the program that an environment variable names, else the first of these on PATH."""
    chosen = os.environ.get(variable, "").strip()
    if not chosen:
        return next(filter(None, map(shutil.which, names)), None)
    found = shutil.which(chosen)
    if found is None:
        raise RuntimeError(
            f"{variable}={chosen} is not a program that can be run. "
            f"Give the path of a {variable.title()} or leave {variable} out."
        )
    return found


def find_browser() -> str:
    """Return the path of a Chromium: `$CHROMIUM` first, then the usual names on PATH, then places.

    Raises:
        RuntimeError: there is none; the message says how to get one.
    """
    places = [
        os.path.join(os.environ.get(folder, ""), place)
        for folder, place in PLACES
        if not folder or os.environ.get(folder)
    ]
    found = _find("CHROMIUM", (*NAMES, *places))
    if found is None:
        raise RuntimeError(HOW_TO_GET_ONE)
    return found


def find_firefox() -> str:
    """Return the path of a Firefox: `$FIREFOX` first, then the usual names on PATH.

    Raises:
        RuntimeError: there is none, or this is Windows; the message says how to get one.
    """
    if os.name == "nt":
        raise RuntimeError(
            "The tests of other engines than Chromium have not been made for Windows."
        )
    found = _find("FIREFOX", ("firefox-esr", "firefox"))
    if found is None:
        raise RuntimeError(HOW_TO_GET_FIREFOX)
    return found


class WebKitPrograms(NamedTuple):
    """What it takes to drive WebKitGTK: its driver, its browser, and a display."""

    driver: str
    browser: str
    xvfb: str


# MiniBrowser is not on PATH, for it is not for daily use: Debian, then Arch, then Fedora.
MINI_BROWSERS = ("lib/*/webkit2gtk-4.1", "lib/webkit2gtk-4.1", "libexec/webkit2gtk-4.1")


def find_webkit() -> WebKitPrograms:
    """Return the paths of WebKitGTK's driver and browser, and of Xvfb.

    Raises:
        RuntimeError: one of them is missing; the message says how to get it.
    """
    driver, xvfb = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    browsers = [f for where in MINI_BROWSERS for f in Path("/usr").glob(f"{where}/MiniBrowser")]
    if not (driver and browsers and xvfb):
        raise RuntimeError(HOW_TO_GET_WEBKIT)
    return WebKitPrograms(driver, str(browsers[0]), xvfb)


@dataclass(frozen=True)
class EngineSource:
    """How an engine is looked for, and the packages of Debian that bring it."""

    find: Callable[[], str | WebKitPrograms]  # raises RuntimeError, with the way to get it
    packages: tuple[str, ...]

    def where(self) -> str:
        """The path of its browser."""
        found = self.find()
        return found.browser if isinstance(found, WebKitPrograms) else found


ENGINES = {
    "chromium": EngineSource(find_browser, HEADLESS[:1]),
    "firefox": EngineSource(find_firefox, ("firefox-esr",)),
    "webkit": EngineSource(find_webkit, ("webkit2gtk-driver", "xvfb")),
}


@contextmanager
def chromium(
    driver: Playwright | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Browser]:
    """Start that Chromium, without a window, for the length of a with block.

    Args:
        driver: A Playwright that runs already; without one, one is started.
        variables: Its environment variables, in addition to those of this process.
    """
    with contextlib.ExitStack() as stack:
        if driver is None:
            from playwright.sync_api import sync_playwright

            driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(
            executable_path=find_browser(),
            args=LAUNCH_ARGS,
            env={**os.environ, **(variables or {})},
        )
        stack.callback(browser.close)
        yield browser


if __name__ == "__main__":
    try:
        print(find_browser())
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
