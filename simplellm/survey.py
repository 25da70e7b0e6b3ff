"""What shipped libraries compute as sinusoidal positions: the records of ``tools/survey``.

Each class was taken out of the installed package and run. The records are committed beside this
file; ``make survey`` measures them again.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .conventions import Convention

#: One JSON object a line, one line a class.
RECORDS = Path(__file__).parent / "survey.jsonl"
#: The same for rotations (RoPE) and ALiBi's biases, as ``tools/survey/relative.py`` writes it.
RELATIVE = Path(__file__).parent / "relative.jsonl"


@dataclass(frozen=True)
class Surveyed:
    """One class or function, as it was run.

    Attributes:
        package, version: As a package index calls them.
        name: The class or function, and in brackets which of several uses.
        convention: What its rows follow; None if it follows none, or was not run.
        measured: What was measured, by name; empty if it was not run.
        why: Why it was not run, or follows no convention; "" otherwise.
        file: Where the package defines it.
    """

    package: str
    version: str
    name: str
    convention: Convention | None
    measured: dict[str, Any]
    why: str = ""
    file: str = ""

    @property
    def was_run(self) -> bool:
        """Whether there are measurements."""
        return bool(self.measured)

    def error(self, name: str) -> float | None:
        """An error that was measured, as a share of the size of the rows; None if there is none.

        Example:
            >>> one = next(one for one in survey() if one.package == "x-transformers")
            >>> 0.004 < one.error("error at 100000") < 0.006
            True
        """
        value = self.measured.get(name)
        value = value.get("error") if isinstance(value, dict) else value
        if not isinstance(value, float) or self.convention is None:
            return None
        return value / size_of(self.convention)


@functools.cache
def size_of(convention: Convention, d_model: int = 512) -> float:
    """How large the sines of a convention are: 1 in the paper's.

    Example:
        >>> round(size_of(Convention(amplitude="d^-0.5")), 4) == round(512**-0.5, 4)
        True
    """
    rows = convention.table(512, d_model, dtype=torch.float64)
    return math.sqrt(2.0) * float(rows.square().mean().sqrt())


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


@dataclass(frozen=True)
class Relative:
    """A rotation (RoPE) or a bias (ALiBi) of a library, as it was run on 4,096 positions.

    Attributes:
        package, version: As a package index calls them.
        name: The class or function.
        kind: ``"rotation"`` or ``"bias"``.
        layout: Of a rotation, which columns are a pair: ``"interleaved"`` or ``"halves"``.
        error: Largest error in float32: of a rotated vector of standard normal numbers; of a
            bias, of the step from one key to the next, in slopes.
        cast: By dtype, and by dtype and ``", then float32"``: what a cast of the module leaves. Of
            a rotation the largest error of "vectors" and of "scores" of near vectors, as a share
            of their lengths; of a bias that of the "nearest 8 steps".
        compile, export: ``"same"`` if the traced one gives the same, else the error's name.
    """

    package: str
    version: str
    name: str
    kind: str
    layout: str
    error: float
    cast: dict[str, dict[str, float]]
    compile: str
    export: str


@functools.cache
def relative() -> tuple[Relative, ...]:
    """Read the records of rotations and biases.

    Example:
        >>> sorted({one.kind for one in relative()})
        ['bias', 'rotation']
    """
    found = []
    for line in RELATIVE.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        casts = {key: record.pop(key) for key in list(record) if key.startswith(("float16", "bfl"))}
        found.append(Relative(cast=casts, **{"layout": ""} | record))
    return tuple(found)


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
