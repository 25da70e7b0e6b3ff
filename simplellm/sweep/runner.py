"""The loop of a sweep: find what is left, run it, gather the records."""

from __future__ import annotations

import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from ..records import Record, RunLike, versions
from .folder import Folder, put, with_parts
from .interface import (
    ExperimentLike,
    Failure,
    Outcome,
    SweepError,
    Train,
    name_of,
    settings_of,
)
from .queue import State
from .report import Progress, progress_of
from .workers import BACKENDS, Result, Workers, start_workers


def run_sweep(
    experiments: Mapping[str, ExperimentLike],
    train: Train,
    out: str | Path,
    *,
    jobs: int = 2,
    backend: str = "processes",
    scheduler: str | None = None,
    prune: bool = False,
    stream: TextIO | None = None,
) -> Outcome:
    """Run what is left of the experiments and gather the records in ``out``.

    Args:
        experiments: By name.
        train: Takes a run and returns losses, scores and seconds; it must be importable where the
            workers are.
        out: Folder of the records; made where it is missing.
        jobs: Number of processes; a Dask cluster given by address has its own number of workers.
        backend: "processes" (joblib's), "dask", or "serial": in this process, for a debugger.
        scheduler: Address of a Dask scheduler; without it a cluster of ``jobs`` workers is started
            on this machine. Start its workers with ``--nthreads 1``.
        prune: Leave records out that belong to no run of today, as after a change of settings.
            Otherwise they are kept.
        stream: Where progress and reports go; standard error by default.

    Returns:
        What ran, what failed, what is stale. A run that fails does not stop the others.

    Raises:
        SweepError: If another sweep is at work in ``out``, two runs have the same settings, the
            backend is unknown or not installed, or no worker can be reached.
        RecordError: If ``out`` holds a file that is damaged.
    """
    if backend not in BACKENDS:
        raise SweepError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}.")
    if jobs < 1:
        raise SweepError(f"jobs must be at least 1, got {jobs}.")
    if scheduler is not None and backend != "dask":
        raise SweepError(f"scheduler is {scheduler!r} but backend is {backend!r}; use 'dask'.")
    folder = Folder(Path(out))
    with folder.locked():
        sweep = Sweep(dict(experiments), train, folder, Progress(stream or sys.stderr))
        known = sweep.find()
        interrupted = False
        try:
            if sweep.state.queue.pending:  # workers take seconds to start
                with start_workers(backend, jobs, scheduler, folder.parts) as workers:
                    sweep.work(workers)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            stale = sweep.gather(prune)
        state = sweep.state
        return Outcome(state.ran, known, state.failures, stale, interrupted)


@dataclass
class Sweep:
    """A sweep at work. Only its state changes, and always as a whole.

    Args:
        experiments: By name.
        train: Takes a run and returns losses, scores and seconds.
        folder: Where the records are.
        progress: Where progress and reports go.
        state: What is known now.
    """

    experiments: Mapping[str, ExperimentLike]
    train: Train
    folder: Folder
    progress: Progress
    state: State = field(default_factory=State)

    def find(self) -> int:
        """Read what is finished, tidy up after a kill, and queue what is left.

        Returns:
            How many runs had finished before.
        """
        self.folder.remove_unfinished()
        self.state = State(self.folder.records())
        for name, experiment in self.experiments.items():
            self.state = self.state.with_experiment(name, experiment)
        for name in self.experiments:
            self.add_final_runs(name)
        done, of_today = self.state.done, versions()
        if others := sum(record.versions != of_today for record in done):
            self.progress.line(
                f"{others} finished runs were made with other versions; they are kept."
            )
        return len(done)

    def add_final_runs(self, name: str) -> None:
        """Queue an experiment's final runs once all of its selection runs have a record."""
        if name not in self.state.plan.selecting:
            return
        experiment = self.experiments[name]
        self.state = self.state.with_selection_runs(experiment)
        records = self.state.selection_records(experiment)
        if records is None:
            return
        try:
            runs = list(experiment.final_runs(records))
        except Exception:  # one experiment's mistake is not the others'
            self.state = self.state.without_final_runs(name)
            self.fail(f"the final runs of {name}", traceback.format_exc())
        else:
            self.state = self.state.with_final_runs(name, runs)

    def work(self, workers: Workers) -> None:
        """Hand out runs until none is left."""
        running: dict[Future[Result], RunLike] = {}
        while self.state.queue.waiting or running:
            broken = not self.hand_out(workers, running)
            self.report(running.values(), workers)
            # Not for ever, so that a cluster that grows in the meantime gets work.
            done = wait(running, timeout=10, return_when=FIRST_COMPLETED).done
            if self.take(done, running) or broken:
                self.take(list(running), running)  # one dead worker is the end of the whole pool
                workers.restart()
        self.report((), workers)
        for name in self.state.plan.selecting:
            self.progress.line(
                f"{name}: its final runs have to wait for the selection runs that failed."
            )

    def hand_out(self, workers: Workers, running: dict[Future[Result], RunLike]) -> bool:
        """Start as many runs as there is room for; return whether the workers take them."""
        while self.state.queue.may_start(running.values(), workers.count() * workers.per_worker):
            run, queue = self.state.queue.next(self.state.seconds_per_step())
            try:
                running[workers.submit(self.train, run)] = run
            except BrokenExecutor:
                return False  # it never started, and stays in the queue
            self.state = replace(self.state, queue=queue)
        return True

    def take(self, done: Iterable[Future[Result]], running: dict[Future[Result], RunLike]) -> bool:
        """Take the results of runs that have ended; return whether a worker died."""
        died = False
        for future in done:
            run = running.pop(future)
            try:
                result = future.result()
            except BrokenExecutor:
                died = True
                self.take_death(run)
            except Exception:  # of the cluster: what training raises comes as a text
                self.fail(settings_of(run), traceback.format_exc())
            else:
                self.take_result(run, *result)
        return died

    def take_result(self, run: RunLike, finished: bool, text: str) -> None:
        """Take what a worker returned of a run: a record's line, or a traceback."""
        if not finished:
            self.fail(settings_of(run), text)
            return
        record = Record.from_line(text, name_of(run))
        part = self.folder.part_of(run.key)
        if not part.exists():  # the worker may be on another machine
            put(part, text.encode())
        self.state = self.state.with_record(record)
        self.add_final_runs(run.experiment)

    def take_death(self, run: RunLike) -> None:
        """Queue a run again whose worker died, unless it had finished or is given up."""
        part = self.folder.part_of(run.key)
        if part.exists():
            self.take_result(run, True, part.read_text(encoding="utf-8"))
            return
        queue = self.state.queue.after_death_of(run)
        self.state = replace(self.state, queue=queue)
        if run in queue.retries:
            self.progress.line(f"the worker of {name_of(run)} died; it is run again.")
        else:
            deaths = queue.deaths[run.key]
            self.fail(settings_of(run), f"Its worker died {deaths} times. Is there enough memory?")

    def fail(self, what: str, why: str) -> None:
        """Report a failure at once, and keep it for the exit status."""
        self.state = self.state.with_failure(Failure(what, why))
        self.progress.line(f"FAILED {what}\n{why.rstrip()}")

    def report(self, running: Iterable[RunLike], workers: Workers) -> None:
        """Write how far the sweep is."""
        running = list(running)
        text = progress_of(self.state, running, workers.count())
        self.progress.update(text, last=not running and not self.state.queue.waiting)

    def gather(self, prune: bool) -> list[Record]:
        """Write the records into one file an experiment, and only then remove the parts.

        Args:
            prune: Leave stale records out.

        Returns:
            The records that belong to no run of the experiments.
        """
        # Again, because a worker that Ctrl-C ended may have finished a run as the last thing.
        parts = self.folder.part_files()
        by_experiment: dict[str, list[Record]] = defaultdict(list)
        for record in with_parts(self.state.records, parts).values():
            by_experiment[record.experiment].append(record)
        stale: list[Record] = []
        for name, records in by_experiment.items():
            old = self.stale_of(name, records, prune)
            stale += old
            dropped = {record.key for record in old} if prune else set()
            self.folder.write(name, [r for r in records if r.key not in dropped])
        self.folder.remove_parts(parts)
        return stale

    def stale_of(self, name: str, records: Iterable[Record], prune: bool) -> list[Record]:
        """Return, and report, an experiment's records that belong to none of its runs."""
        if name not in self.experiments:
            return []  # not asked for now
        stale = [record for record in records if self.state.plan.is_stale(record)]
        if stale:
            fate = "left out" if prune else "kept; leave them out with --prune"
            self.progress.line(f"{name}: {len(stale)} records belong to no run of today ({fate}).")
        return stale
