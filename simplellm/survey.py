"""What shipped libraries compute as sinusoidal positions: the records of ``tools/survey``.

Each class was taken out of the installed package and run. The records are committed beside this
file; ``make survey`` measures them again.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .conventions import Convention

#: One JSON object a line, one line a class.
RECORDS = Path(__file__).parent / "survey.jsonl"


@dataclass(frozen=True)
class Surveyed:
    """One class or function, as it was run.

    Attributes:
        package, version: As a package index calls them.
        name: The class or function, and in brackets which of several uses.
        convention: What its rows follow; None if it follows none, or was not run.
        measured: What was measured, by name; empty if it was not run.
        why: Why it was not run, or follows no convention; "" otherwise.
    """

    package: str
    version: str
    name: str
    convention: Convention | None
    measured: dict[str, Any]
    why: str = ""

    @property
    def was_run(self) -> bool:
        """Whether there are measurements."""
        return bool(self.measured)


@functools.cache
def survey() -> tuple[Surveyed, ...]:
    """Read the records, in the order of packages and names.

    Example:
        >>> any(one.package == "transformers" for one in survey())
        True
    """
    lines = RECORDS.read_text(encoding="utf-8").splitlines() if RECORDS.exists() else []
    return tuple(_read(json.loads(line)) for line in lines)


def _read(record: dict[str, Any]) -> Surveyed:
    said = record.pop("convention")
    return Surveyed(convention=None if said is None else Convention(**said), **record)


def followers(convention: Convention) -> tuple[str, ...]:
    """The surveyed classes that follow a convention: ``package version: name``.

    Rows that begin elsewhere than any library's, as a slice does, go by the rest of what they say.

    Args:
        convention: As :func:`simplellm.identify` finds it.

    Example:
        >>> [name for name in followers(Convention.named("musicgen")) if "demucs" in name]
        ['demucs 4.1.0: create_sin_embedding']
    """
    known = [(one, one.convention) for one in survey() if one.convention is not None]
    same = [one for one, says in known if says == convention]
    if not same:
        begun = replace(convention, first=0)
        same = [one for one, says in known if replace(says, first=0) == begun]
    return tuple(f"{one.package} {one.version}: {one.name}" for one in same)
