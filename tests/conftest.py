"""What all tests share."""

from __future__ import annotations

import os
import signal

# Before torch is imported: two processes with two spinning threads each are many times slower on
# two cores than two with one, and sums come out in one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# A shell that runs the tests in the background leaves SIGINT ignored, and what is started from here
# would inherit that. Tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a loaded machine is not a failure, and timings belong to benchmarks. Derandomised:
# a commit passes or fails for everybody alike.
settings.register_profile("book", deadline=None, derandomize=True)
settings.load_profile("book")
