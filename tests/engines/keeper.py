"""Run a program for as long as our standard input is open, then end it and all that it started.

    python keeper.py PROGRAM [ARGUMENT ...]

The tests hold the other end of that pipe. The system closes it when they end, in whatever way: at
the last test, after an error, by Ctrl-C, or killed. So no browser and no display outlives them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
PATIENCE = 3  # seconds to end by oneself
GIVE_UP = 30  # seconds, after which the system must be too busy to end what was killed


def children() -> list[int]:
    """Our children: the program, and on Linux whatever below it lost its parent."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):  # none on other systems
        with contextlib.suppress(OSError):  # it has just ended
            _name, _, rest = file.read_text().rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                found.append(int(file.parent.name))
    return found


def none_left(seconds: float) -> bool:
    """Collect what ended; whether no child is left after at most so many seconds."""
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.02)
    except ChildProcessError:
        return True
    return False


def clear_up(group: int) -> None:
    """End a process group and our children, kindly at first; wait until they are gone."""
    start = time.monotonic()
    while time.monotonic() < start + GIVE_UP:
        sign = signal.SIGTERM if time.monotonic() < start + PATIENCE else signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, sign)
        for child in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, sign)
        if none_left(0.5):
            return


def main() -> None:
    """Start the program, wait for the end of either side, and clear up."""
    # Ctrl-C reaches every program of the terminal; this one is needed until the tests have ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # A driver that is killed leaves its browser behind, and that becomes a child of ours.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    program = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, close_fds=False
    )
    over = threading.Event()

    def then_over(wait: Callable[[], object]) -> None:
        wait()
        over.set()

    for wait in (
        sys.stdin.buffer.read,
        # WNOWAIT: the number stays taken, so that killpg cannot hit a stranger.
        lambda: os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT),
    ):
        threading.Thread(target=then_over, args=(wait,), daemon=True).start()
    over.wait()
    clear_up(program.pid)
    os._exit(0)  # one of the threads may still be waiting for its side


if __name__ == "__main__":
    main()
