"""Which broken layers do your checks catch?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..printing import prints_anywhere
from .correct import CORRECT
from .mutants import MUTANTS
from .variants import Maker, NotApplicableError, Variant

Check = Callable[[Maker], Any]


@dataclass(frozen=True)
@prints_anywhere
class Report:
    """What a set of checks is worth.

    Attributes:
        checks: Their names.
        mutants, correct: What they were tried on, by name.
        catches: For each check, the mutants on which it raised AssertionError, and with what words.
        false_alarms: For each check, the correct layers on which it did so.
        crashes: For each check, the layers on which it raised anything else.
    """

    checks: tuple[str, ...]
    mutants: Mapping[str, Variant]
    correct: Mapping[str, Variant]
    catches: Mapping[str, Mapping[str, str]] = field(repr=False)
    false_alarms: Mapping[str, Mapping[str, str]] = field(repr=False)
    crashes: Mapping[str, Mapping[str, str]] = field(repr=False)

    @cached_property
    def trusted(self) -> tuple[str, ...]:
        """The checks that are quiet on every correct layer; only their catches count.

        Otherwise ``assert False`` would be the best check of all.
        """
        return tuple(
            name
            for name in self.checks
            if not self.false_alarms[name] and not set(self.crashes[name]) & set(self.correct)
        )

    @cached_property
    def caught(self) -> dict[str, tuple[str, ...]]:
        """For each mutant, the trusted checks that catch it."""
        return {
            mutant: tuple(name for name in self.trusted if mutant in self.catches[name])
            for mutant in self.mutants
        }

    @cached_property
    def alive(self) -> tuple[str, ...]:
        """The mutants that nobody catches."""
        return tuple(mutant for mutant, by in self.caught.items() if not by)

    def matrix(self) -> NDArray[np.bool_]:
        """Whether a check catches a mutant, ``(mutants, checks)``; untrusted ones catch nothing."""
        return np.array(
            [[check in by for check in self.checks] for by in self.caught.values()], dtype=bool
        ).reshape(len(self.mutants), len(self.checks))

    @property
    def summary(self) -> str:
        """The score in a line."""
        alarms = sum(map(len, self.false_alarms.values()))
        n = len(self.mutants)
        text = f"{n - len(self.alive)} of {n} mutants caught, {len(self.alive)} alive"
        text += f"; {alarms} false alarm{'s' if alarms != 1 else ''}"
        broken = sum(map(bool, self.crashes.values()))
        return text + (f"; {broken} check{'s' if broken != 1 else ''} crashed" if broken else "")

    def __repr__(self) -> str:
        width = max([6, *map(len, self.mutants)])
        lines = [f"{'mutant':{width}}  caught by"]
        for mutant, by in self.caught.items():
            names = ", ".join(by[:2]) + (f" and {len(by) - 2} more" if len(by) > 2 else "")
            lines.append(f"{mutant:{width}}  {names or '— alive'}")
        if self.alive:
            lines += ["", "Where to look:"]
            lines += [f"  {mutant}: {self.mutants[mutant].hint}" for mutant in self.alive]
        for title, found in (
            ("False alarm, so its catches do not count:", self.false_alarms),
            ("Crashed, which is no catch (a check says no by a failing assert):", self.crashes),
        ):
            shown = [(name, where) for name, where in found.items() if where]
            if shown:
                lines += ["", title]
            for name, where in shown:
                first, message = next(iter(where.items()))
                more = f" and {len(where) - 1} more" if len(where) > 1 else ""
                lines.append(f"  {name} on {first!r}{more}: {message}")
        return "\n".join([*lines, "", self.summary])


def grade(
    checks: Check | Iterable[Check],
    mutants: Mapping[str, Variant] = MUTANTS,
    correct: Mapping[str, Variant] = CORRECT,
) -> Report:
    """Try checks on layers that are broken and on layers that are right.

    A check is a function of one argument, a :class:`~simplellm.silent_bugs.variants.Maker`. It
    makes layers with it, looks at what they do, and says no by a failing ``assert``. Any other
    exception is no verdict but a crash, and reported as one.

    Args:
        checks: One check or several; each is called by its ``name`` or ``__name__``.
        mutants: Broken layers by name; a good set of checks catches all of them.
        correct: Right layers by name; a check that refuses one raises a false alarm.

    Returns:
        A :class:`Report`, which prints itself as a table.

    Raises:
        TypeError: If a check cannot be called.

    Example:
        >>> def in_a_batch(make):
        ...     layer = make()
        ...     ids = layer.ids(4, 10)
        ...     assert torch.allclose(layer(ids)[3], layer(ids[3:])[0], atol=1e-5)
        >>> report = grade(in_a_batch)
        >>> report.caught["batch axis"]
        ('in_a_batch',)
        >>> report.summary
        '2 of 24 mutants caught, 22 alive; 0 false alarms'
    """
    listed: list[Check] = [checks] if callable(checks) else list(checks)
    catches: dict[str, dict[str, str]] = {}
    false_alarms: dict[str, dict[str, str]] = {}
    crashes: dict[str, dict[str, str]] = {}
    for check in listed:
        if not callable(check):
            raise TypeError(
                f"a check must be a function of `make`, got {type(check).__name__}. Pass the "
                "function itself, without brackets."
            )
        name = _name(check, taken=catches)
        catches[name], false_alarms[name], crashes[name] = {}, {}, {}
        for variants, refused in ((mutants, catches[name]), (correct, false_alarms[name])):
            for key, variant in variants.items():
                try:
                    _run(check, variant)
                except AssertionError as error:
                    refused[key] = str(error) or "an assertion failed"
                except Exception as error:  # the reader's code may do anything
                    crashes[name][key] = f"{type(error).__name__}: {error}"
    return Report(tuple(catches), dict(mutants), dict(correct), catches, false_alarms, crashes)


def _run(check: Check, variant: Variant) -> None:
    """One check on one layer, with random numbers that do not depend on what ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            check(variant.make)
        except NotApplicableError:  # the check asked for what this layer does not have
            return


def _name(check: Check, taken: Mapping[str, object]) -> str:
    name = str(getattr(check, "name", None) or getattr(check, "__name__", type(check).__name__))
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    return unique
