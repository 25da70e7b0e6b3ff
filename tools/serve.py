"""Serve the built book on this machine alone: python tools/serve.py [--check] [PORT].

--check only asks whether the port is free, so that `make serve` can say so before it builds.
"""

from __future__ import annotations

import argparse
import errno
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.common import ROOT, main_guard

HOST = "127.0.0.1"  # a book under construction is nobody else's business


class Handler(SimpleHTTPRequestHandler):
    """Static files, never from the browser's cache, and without a log line for each success."""

    # Some systems' registries say text/plain for these, and a browser then refuses the script.
    extensions_map = {  # noqa: RUF012 (the base class declares it so)
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
    }

    def end_headers(self) -> None:
        """Make a reload show what was just rebuilt."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what went wrong only."""
        if str(getattr(code, "value", code)) >= "400":
            super().log_request(code, size)


def port_number(text: str) -> int:
    """Read a port from the command line."""
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise SystemExit(
        f"PORT={text} is not a port: give a number from 1024 to 65535, or 0 for any free one."
    )


def open_server(port: int, folder: Path) -> ThreadingHTTPServer:
    """Bind the port, or end with a message that names the way out."""
    try:
        return ThreadingHTTPServer((HOST, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "in use" if error.errno == errno.EADDRINUSE else "reserved for the administrator"
        other = port + 1 if 1024 <= port < 65535 else 8001
        raise SystemExit(
            f"Port {port} is {why} on this machine.\n"
            f"Choose another: make serve PORT={other}   (PORT=0 takes any free one)"
        ) from None


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", nargs="?", default="8000")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--folder", type=Path, default=ROOT / "_build" / "html")
    arguments = parser.parse_args()
    with open_server(port_number(arguments.port), arguments.folder) as server:
        if arguments.check:
            return 0
        if not (arguments.folder / "index.html").is_file():
            raise SystemExit(f"There is no book in {arguments.folder} yet: make book")
        print(f"The book is at http://{HOST}:{server.server_port}/  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nstopped", flush=True)
    return 0


if __name__ == "__main__":
    main_guard(main)
