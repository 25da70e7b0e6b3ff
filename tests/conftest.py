"""What all tests share."""

from __future__ import annotations

import functools
import os
import signal
import sys
from pathlib import Path

# Before torch is imported: two processes with two spinning threads each are many times slower on
# two cores than two with one, and sums come out in one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# A shell that runs the tests in the background leaves SIGINT ignored, and what is started from here
# would inherit that. Tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a loaded machine is not a failure, and timings belong to benchmarks. Derandomised:
# a commit passes or fails for everybody alike.
settings.register_profile("book", deadline=None, derandomize=True)
settings.load_profile("book")

# The files whose tests take longest, longest first: two processes that take a file each then end
# together. The sweep alone takes more than a third of the time of all, with few tests.
LONGEST = (
    "test_sweep.py",
    "test_new_chapter.py",
    "test_input_embedding.py",
    "test_notebooks.py",
    "test_packaging.py",
    "test_results.py",
    "test_claims.py",
    "test_exercises.py",
    "test_silent_bugs.py",
)
ORDER = {name: place for place, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and leave the order of the others and within each."""
    here = Path(__file__).parent
    items.sort(key=lambda i: ORDER.get(i.path.name, len(ORDER)) if i.path.parent == here else 99)


@pytest.fixture(autouse=True)
def _nothing_is_traced_in_a_mutant(monkeypatch):
    """Skip what traces the package while mutmut runs the tests.

    It puts a wrapper around every function, and torch.compile and torch.export cannot see through
    that: the test would fail in every mutant, and in none.
    """
    if "mutmut" in sys.modules:
        import torch  # the tests of the site need none

        skip = functools.partial(pytest.skip, "mutmut's wrappers cannot be traced")
        monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: skip())
        monkeypatch.setattr(torch.export, "export", lambda *args, **kwargs: skip())
