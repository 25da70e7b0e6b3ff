"""The queue of a sweep: which runs there are, which of them are left, which one starts next.

All of it is frozen: a change makes a new object. So Ctrl-C, which may come between any two lines,
finds the state before a change or after it, never half of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..records import Record, RunLike, settings_key
from .interface import ExperimentLike, Failure, SweepError, name_of

#: How often a worker may die of a run. It is tried again by itself; one that kills its worker every
#: time (it may need more memory than there is) must not be tried for ever.
MOST_DEATHS = 3


@dataclass(frozen=True)
class Plan:
    """The runs that today's experiments ask for, as far as they are known.

    Attributes:
        runs: All runs known so far, by key.
        selecting: Experiments whose final runs wait for their selection runs.
        undecided: Experiments whose `final_runs` raised an error.
    """

    runs: Mapping[str, RunLike] = field(default_factory=dict)
    selecting: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()

    def with_runs(self, runs: Iterable[RunLike]) -> Plan:
        """Return the plan with more runs.

        Raises:
            SweepError: If a run's key is not the hash of its settings, or two runs are the same.
        """
        known = dict(self.runs)
        for run in runs:
            if run.key != settings_key(run.to_dict()):
                raise SweepError(f"{name_of(run)}: its key {run.key!r} is no hash of its settings.")
            if run.key in known:
                raise SweepError(f"{name_of(run)} is there twice, with the same settings.")
            known[run.key] = run
        return replace(self, runs=known)

    def is_stale(self, record: Record) -> bool:
        """Return whether a record of one of the plan's experiments belongs to no run.

        While an experiment's final runs are not known, nobody can tell which final records are
        stale, so none is.
        """
        if record.experiment in self.selecting | self.undecided and record.stage == "final":
            return False
        return record.key not in self.runs


@dataclass(frozen=True)
class Queue:
    """The runs that have not started.

    Attributes:
        pending: Runs to start, by key.
        retries: Runs whose worker died, to be tried again with no other run at the same time:
            then it is known which run a worker died of.
        deaths: How often a worker died, by the run's key.
    """

    pending: Mapping[str, RunLike] = field(default_factory=dict)
    retries: tuple[RunLike, ...] = ()
    deaths: Mapping[str, int] = field(default_factory=dict)

    @property
    def waiting(self) -> tuple[RunLike, ...]:
        """All runs that have not started."""
        return (*self.retries, *self.pending.values())

    def with_runs(self, runs: Iterable[RunLike]) -> Queue:
        """Return the queue with more runs to start."""
        return replace(self, pending={**self.pending, **{run.key: run for run in runs}})

    def may_start(self, running: Collection[RunLike], most: int) -> bool:
        """Return whether another run may start now.

        Args:
            running: The runs that have started and not ended.
            most: How many may run at once.
        """
        if self.retries:
            return not running
        if not self.pending or any(run.key in self.deaths for run in running):
            return False
        return len(running) < most

    def next(self, rates: Mapping[str, float]) -> tuple[RunLike, Queue]:
        """Return the run that starts next, and the queue without it.

        A retry comes first, then selection runs, because final runs wait for them; among these
        the longest, because a long run that starts last keeps one worker busy and the others idle.

        Args:
            rates: Seconds per step, by experiment.
        """
        if self.retries:
            return self.retries[0], replace(self, retries=self.retries[1:])
        run = max(
            self.pending.values(),
            key=lambda run: (run.stage == "select", run.steps * rates[run.experiment]),
        )
        left = {key: other for key, other in self.pending.items() if key != run.key}
        return run, replace(self, pending=left)

    def after_death_of(self, run: RunLike) -> Queue:
        """Return the queue after a run's worker died: it is tried again unless that was too often.

        Args:
            run: A run that had started.
        """
        deaths = {**self.deaths, run.key: self.deaths.get(run.key, 0) + 1}
        again = (run,) if deaths[run.key] < MOST_DEATHS else ()
        return replace(self, deaths=deaths, retries=(*self.retries, *again))


@dataclass(frozen=True)
class State:
    """What a sweep knows at one moment.

    Attributes:
        records: Of all finished runs, by key; those of other settings as well.
        plan: The runs that there are.
        queue: The runs that have not started.
        ran: Number of runs that finished in this sweep.
        failures: What failed in this sweep.
    """

    records: Mapping[str, Record] = field(default_factory=dict)
    plan: Plan = Plan()
    queue: Queue = Queue()
    ran: int = 0
    failures: tuple[Failure, ...] = ()

    @property
    def done(self) -> list[Record]:
        """The records of the plan's runs."""
        return [self.records[key] for key in self.plan.runs if key in self.records]

    def with_experiment(self, name: str, experiment: ExperimentLike) -> State:
        """Return the state with an experiment's selection runs; its final runs are not known."""
        plan = replace(self.plan, selecting=self.plan.selecting | {name})
        return replace(self, plan=plan)._with_runs(experiment.selection_runs())

    def with_selection_runs(self, experiment: ExperimentLike) -> State:
        """Return the state with the selection runs that the records call for by now."""
        runs = experiment.selection_runs(self.records.values())
        return self._with_runs(run for run in runs if run.key not in self.plan.runs)

    def with_final_runs(self, name: str, runs: Iterable[RunLike]) -> State:
        """Return the state with the final runs that an experiment has chosen."""
        plan = replace(self.plan, selecting=self.plan.selecting - {name})
        return replace(self, plan=plan)._with_runs(runs)

    def without_final_runs(self, name: str) -> State:
        """Return the state in which an experiment has failed to choose its final runs."""
        selecting, undecided = self.plan.selecting - {name}, self.plan.undecided | {name}
        return replace(self, plan=replace(self.plan, selecting=selecting, undecided=undecided))

    def with_record(self, record: Record) -> State:
        """Return the state after a run has finished."""
        return replace(self, records={**self.records, record.key: record}, ran=self.ran + 1)

    def with_failure(self, failure: Failure) -> State:
        """Return the state after something has failed."""
        return replace(self, failures=(*self.failures, failure))

    def selection_records(self, experiment: ExperimentLike) -> list[Record] | None:
        """Return the records of an experiment's selection runs, None while one is missing."""
        keys = [run.key for run in experiment.selection_runs(self.records.values())]
        if any(key not in self.records for key in keys):
            return None
        return [self.records[key] for key in keys]

    def seconds_per_step(self) -> dict[str, float]:
        """Return each experiment's mean over its finished runs; over all runs where it has none."""
        seconds: dict[str, float] = defaultdict(float)
        steps: dict[str, int] = defaultdict(int)
        for record in self.done:
            seconds[record.experiment] += record.seconds
            steps[record.experiment] += self.plan.runs[record.key].steps
        overall = sum(seconds.values()) / max(sum(steps.values()), 1) or 1.0
        return {
            name: (seconds[name] / steps[name] if steps[name] else 0.0) or overall
            for name in {run.experiment for run in self.plan.runs.values()}
        }

    def _with_runs(self, runs: Iterable[RunLike]) -> State:
        """Return the state with more runs, of which those without a record are queued."""
        runs = list(runs)
        queue = self.queue.with_runs(run for run in runs if run.key not in self.records)
        return replace(self, plan=self.plan.with_runs(runs), queue=queue)
