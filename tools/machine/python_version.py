"""Run or import this first: it ends with a clear message where Python is too old for the rest.

In a syntax that old Pythons still read, or the message would be a SyntaxError.
"""

# ruff: noqa: UP032
import sys

OLDEST = (3, 11)

if sys.version_info < OLDEST:
    sys.exit(
        "Python {}.{} ({}) is too old: the book needs Python {}.{} or newer.\n"
        "Install a newer one, or name one you have: python3.12 tools/book.py ... "
        "(or make ... PYTHON=python3.12)".format(
            sys.version_info[0], sys.version_info[1], sys.executable, OLDEST[0], OLDEST[1]
        )
    )
