"""A folder on a local server, for tests that ask a browser about the pages in it."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep connections open: a page is some twenty files

    def guess_type(self, path):
        # a host may call a notebook what it is, and then a browser shows it unless told to save it
        return "application/json" if str(path).endswith(".ipynb") else super().guess_type(path)

    def log_message(self, *args):
        pass

    def log_request(self, code="-", size="-"):
        if str(getattr(code, "value", code)) >= "400":
            self.server.refused.append(f"{self.path}: {code}")


class PageServer(http.server.ThreadingHTTPServer):
    """Files from a folder, on any free port of this machine; what it had to refuse is kept."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.refused: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # a page that is left early closes its connections


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[PageServer]:
    """Serve a folder for the length of a with block."""
    with PageServer(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
