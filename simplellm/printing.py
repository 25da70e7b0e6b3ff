"""Text that can be printed anywhere: what a console cannot write is spelled out.

The package prints mathematics (√, ×, π). A console or a pipe may have none of these: on Windows a
pipe often has the 256 characters of code page 1252, and Python then stops at the first other one.
The stream belongs to the caller, so it is left as it is and the text is adapted.
"""

from __future__ import annotations

import codecs
import functools
import sys
import unicodedata
from typing import Any, TypeVar

#: The name of the error handler, for `str.encode` and for streams.
SPELLED = "simplellm.spelled"

#: The ASCII spelling, which all code pages have, of each character.
SPELLINGS = {
    **{"√": "sqrt ", "×": "x", "·": "*", "−": "-", "–": "-", "—": "-", "±": "+-", "½": "1/2"},
    **{"π": "pi", "λ": "lambda", "ω": "omega", "η": "eta", "ε": "epsilon", "σ": "sigma"},
    **{"α": "alpha", "β": "beta", "θ": "theta", "δ": "delta", "Δ": "Delta", "∞": "infinity"},
    **{"≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "→": "->", "←": "<-", "…": "...", "∑": "sum "},
    **{"²": "^2", "³": "^3", "¼": "1/4", "¾": "3/4", "⁻": "^-", "¹": "^1"},
    **{"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " ", "\u202f": " "},
    **{"✓": "[holds]", "◐": "[holds if]", "✗": "[does not hold]", "•": "-"},
}


def _spell(character: str) -> str:
    if character in SPELLINGS:
        return SPELLINGS[character]
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or character.encode("ascii", "backslashreplace").decode()  # é is e, ☕ is \u2615


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spell, error.object[error.start : error.end])), error.end


codecs.register_error(SPELLED, _spell_out)


def printable(text: str) -> str:
    """Return a text as standard output can write it.

    Args:
        text: Any text.

    Returns:
        The text itself where the output has all its characters (with UTF-8 always); otherwise each
        one that it lacks is spelled out in ASCII.

    Example:
        >>> printable("tokens × √d")  # here there are both
        'tokens × √d'
        >>> "tokens × √d".encode("cp1252", SPELLED).decode("cp1252")
        'tokens × sqrt d'
        >>> "tokens × √d".encode("ascii", SPELLED).decode("ascii")
        'tokens x sqrt d'
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, SPELLED).decode(encoding)


#: A class.
Class = TypeVar("Class", bound=type)


def prints_anywhere(cls: Class) -> Class:
    """Decorate a class whose `repr` is made to be printed, so that every output can write it."""
    own: Any = cls.__dict__["__repr__"]

    @functools.wraps(own)
    def representation(self: object) -> str:
        return printable(own(self))

    cls.__repr__ = representation  # type: ignore[method-assign, assignment]
    return cls


def print_anywhere() -> None:
    """Let this process print any text; for a command, whose output is its own."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=SPELLED)
