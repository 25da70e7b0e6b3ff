"""Everything a reader, a teacher or a contributor does, on every system: --help lists it.

The one file that is started by a Python we do not know. Its syntax is one that old versions
read: they would stop with a SyntaxError, not with a message about the version that it takes.
"""

# ruff: noqa: E402
import os
import sys

# A file started by its path imports from its own folder; these imports start at the top.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from tools.machine import python_version  # noqa: F401 (ends here where Python is too old)

# isort: split
from tools.commands import main
from tools.machine.common import main_guard

if __name__ == "__main__":
    main_guard(main)
