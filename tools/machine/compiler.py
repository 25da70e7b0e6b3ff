"""Whether torch.compile can work here: its default backend on a CPU writes C++ and compiles it."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

MISSING = "no C++ compiler ($CXX, c++, g++, clang++) was found, or no Python.h (python3-dev)"


def find_compiler() -> str | None:
    """Return the C++ compiler that torch.compile would take, or None where it could not use it."""
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return None
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next((name for name in names if name and shutil.which(name)), None)
