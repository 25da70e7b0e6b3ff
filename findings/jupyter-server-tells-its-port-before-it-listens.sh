#!/usr/bin/env bash
# jupyter_server 2.21.1 (Python 3.11): a program starts a server with --port=0 and waits for the file
# jpserver-PID.json in the runtime folder, which holds the address, before it connects.
#
# A guess: the file is the sign that the server stands. It names the port that the system gave, which
# only a socket that is bound can know, so whoever reads it can connect.
#
# What it does: the port is found by binding a socket and closing it again; the file is written while
# the application starts; and the server binds and listens in a callback of its event loop, which
# begins after that. Whoever connects as soon as the file is whole is refused. How often depends on
# the machine: most times here, and rarely for a program that polls every tenth of a second, which
# is how it makes a test fail once in some runs.
#
# Output seen:
#   jupyter_server 2.21.1: of 8 starts, connecting was refused after 7, and worked within 0.5 s
#   afterwards in 8
# (The first number varies; the check is that it is not 0.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check jupyter_server==2.21.1 \
  2> pip.log || { cat pip.log; exit 1; }

cat > connect.py <<'PY'
import json
import os
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

STARTS = 8


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def start(number: int) -> tuple[bool, bool]:
    """Whether connecting worked as soon as the file was whole, and half a second later at most."""
    runtime = Path(f"runtime-{number}")
    runtime.mkdir()
    flags = ["--no-browser", "--port=0", "--ServerApp.ip=127.0.0.1", "--ServerApp.allow_root=True"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", *flags],
        env={**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime), "HOME": os.getcwd()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and server.poll() is None:
            for file in runtime.glob("jpserver-*.json"):
                try:
                    port = json.loads(file.read_text())["port"]
                except ValueError:
                    continue  # not written to its end
                at_once, until = connects(port), time.monotonic() + 0.5
                while not (later := connects(port)) and time.monotonic() < until:
                    time.sleep(0.01)
                return at_once, later
        raise SystemExit("no file with the address in a minute")
    finally:
        server.terminate()
        server.wait()


outcomes = [start(number) for number in range(STARTS)]
refused = sum(not at_once for at_once, _ in outcomes)
later = sum(later for _, later in outcomes)
print(
    f"jupyter_server {version('jupyter_server')}: of {STARTS} starts, connecting was refused after "
    f"{refused}, and worked within 0.5 s afterwards in {later}"
)
raise SystemExit(0 if refused else 1)
PY
env/bin/python connect.py
