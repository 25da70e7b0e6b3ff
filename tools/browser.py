"""Find the Chromium that the browser tests drive, and start it quietly."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # whoever only looks for a browser needs no Playwright
    from playwright.sync_api import Browser, Playwright

# Names under which Debian, Fedora, Arch, Google and Homebrew put the same browser on PATH.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

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
  Debian, Ubuntu:  sudo apt-get install chromium      (as root, `make test` does this itself)
  Fedora:          sudo dnf install chromium
  macOS:           brew install --cask chromium
  Windows:         Chrome and Edge are found where their installers put them
  anywhere:        the environment variable CHROMIUM=/path/to/chromium"""

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


def find_browser() -> str:
    """Return the path of a Chromium: `$CHROMIUM` first, then the usual names on PATH, then places.

    Raises:
        RuntimeError: there is none; the message says how to get one.
    """
    chosen = os.environ.get("CHROMIUM", "").strip()
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise RuntimeError(
                f"CHROMIUM={chosen} is not a program that can be run. "
                "Give the path of a Chromium or leave CHROMIUM out."
            )
        return found
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    for folder, place in PLACES:
        if not folder or os.environ.get(folder):
            found = shutil.which(os.path.join(os.environ.get(folder, ""), place))
            if found:
                return found
    raise RuntimeError(HOW_TO_GET_ONE)


@contextmanager
def chromium(
    driver: Playwright | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Browser]:
    """Start that Chromium, without a window, for the length of a with block.

    Args:
        driver: A Playwright that runs already; without one, one is started.
        variables: What its environment has beside this process's own.
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
