"""Serve the built book on this machine alone: python -m tools.serve [--folder FOLDER] [PORT]."""

from __future__ import annotations

import argparse
import errno
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tools.machine.common import ROOT, WINDOWS, main_guard, way_in

FOLDER = ROOT / "_build" / "html"
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


class Server(ThreadingHTTPServer):
    """Takes a port that is free, and no other."""

    # On Windows the option means "though somebody else has it"; elsewhere, "though I just had it".
    allow_reuse_address = not WINDOWS


def port_number(text: str) -> int:
    """Read a port from the command line."""
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise SystemExit(
        f"{text!r} is not a port: give a number from 1024 to 65535, or 0 for any free one."
    )


def open_server(port: int, folder: Path) -> Server:
    """Bind the port, or end with a message that names the way out."""
    try:
        return Server((HOST, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "in use" if error.errno == errno.EADDRINUSE else "reserved for the administrator"
        other = port + 1 if 1024 <= port < 65535 else 8001
        raise SystemExit(
            f"Port {port} is {why} on this machine.\n"
            f"Choose another: {way_in('serve', 'port', str(other))}   (0 takes any free one)"
        ) from None


def see_port(port: int, folder: Path = FOLDER) -> None:
    """End with a message where the port is not free, before anything is built for it."""
    open_server(port, folder).server_close()


def serve(port: int, folder: Path = FOLDER) -> int:
    """Serve until interrupted."""
    with open_server(port, folder) as server:
        if not (folder / "index.html").is_file():
            raise SystemExit(f"There is no book in {folder} yet: {way_in('book')}")
        print(f"The book is at http://{HOST}:{server.server_port}/  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nstopped", flush=True)
    return 0


def main() -> int:
    """Serve the site at the address that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", nargs="?", default="8000")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    return serve(port_number(arguments.port), arguments.folder)


if __name__ == "__main__":
    main_guard(main)
