"""Everything a reader, a teacher or a contributor does, on every system: --help lists it.

The one file that is started by a Python we do not know. In a syntax that old ones read, or they
would say SyntaxError where they should say which Python it takes.
"""

# ruff: noqa: E402
import os
import sys

# A file that is started by its path looks for imports beside itself; these start at the top.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from tools.machine import python_version  # noqa: F401 (ends here where Python is too old)

# isort: split
from tools.commands import main
from tools.machine.common import main_guard

if __name__ == "__main__":
    main_guard(main)
