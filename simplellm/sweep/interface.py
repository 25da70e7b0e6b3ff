"""What a sweep takes and returns: experiments, the function that trains, the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..records import Record, RunLike

#: Takes a run and returns its losses, scores and seconds.
Train = Callable[[Any], Mapping[str, Any]]


class SweepError(RuntimeError):
    """A sweep that cannot start; the message says what to do."""


class ExperimentLike(Protocol):
    """What a sweep needs to know of an experiment; `simplellm.experiments.Experiment` has it."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    def selection_runs(self, records: Iterable[Record] = ()) -> Sequence[RunLike]:
        """Return the runs that choose a learning rate for each arm; there may be none.

        The records of those that have finished may call for more.
        """

    def final_runs(self, records: list[Record]) -> Sequence[RunLike]:
        """Return the runs to report, given the records of the selection runs."""


class Failure(NamedTuple):
    """Something that failed in a sweep.

    Attributes:
        what: A run with its settings, or an experiment's choice of final runs.
        why: A traceback, or a sentence.
    """

    what: str
    why: str


@dataclass(frozen=True)
class Outcome:
    """The result of a sweep.

    Attributes:
        ran: Number of runs that finished in this sweep.
        known: Number of runs that had finished before.
        failed: What failed, and why.
        stale: Records that belong to no run of today's settings.
        interrupted: Whether Ctrl-C ended it.
    """

    ran: int = 0
    known: int = 0
    failed: Sequence[Failure] = ()
    stale: Sequence[Record] = ()
    interrupted: bool = False

    @property
    def status(self) -> int:
        """The exit status of the command."""
        return 130 if self.interrupted else 1 if self.failed else 0


def name_of(run: RunLike) -> str:
    """Return a run's experiment, arm, stage, seed and learning rate, as messages name it."""
    return f"{run.experiment}/{run.arm} ({run.stage}, seed {run.seed}, lr {run.lr:g})"


def settings_of(run: RunLike) -> str:
    """Return a run's name and all of its settings, as a failure reports it."""
    return f"{name_of(run)}: {run.to_dict()}"
