"""What all tests share."""

from __future__ import annotations

import functools
import os
import signal
import sys

# Before torch is imported: two processes with two spinning threads each are many times slower on
# two cores than two with one, and sums come out in one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

# A shell that runs the tests in the background leaves SIGINT ignored, and what is started from here
# would inherit that. Tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a loaded machine is not a failure, and timings belong to benchmarks. Derandomised:
# a commit passes or fails for everybody alike.
settings.register_profile("book", deadline=None, derandomize=True)
settings.load_profile("book")


@pytest.fixture(autouse=True)
def _nothing_is_traced_in_a_mutant(monkeypatch):
    """Skip what traces the package while mutmut runs the tests.

    It puts a wrapper around every function, and torch.compile and torch.export cannot see through
    that: the test would fail in every mutant, and in none.
    """
    if "mutmut" in sys.modules:
        skip = functools.partial(pytest.skip, "mutmut's wrappers cannot be traced")
        monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: skip())
        monkeypatch.setattr(torch.export, "export", lambda *args, **kwargs: skip())
