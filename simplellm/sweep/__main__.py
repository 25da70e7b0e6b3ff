"""The command `python -m simplellm.sweep`."""

from __future__ import annotations

import sys

from ..printing import print_anywhere
from .command import main

if __name__ == "__main__":
    print_anywhere()
    sys.exit(main())
