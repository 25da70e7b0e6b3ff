"""Run the experiments of the book, resume what was interrupted, and sum up the records.

    python -m simplellm.sweep list                      what there is, and what is done
    python -m simplellm.sweep run [EXPERIMENT ...]      run it, or what is left of it
    python -m simplellm.sweep summary [EXPERIMENT ...]  mean ± 95 % interval over seeds

Runs are independent, so each goes to a process of its own kind: one torch thread, one run at a
time. They are handed out one by one, longest first, those that choose a learning rate before all
others, and an experiment's final runs join the queue when its last choice is made: no worker
waits for another.

A finished run is put as one file, written under another name and then renamed, into
`OUT/.parts/`; at the end these files are gathered into `OUT/EXPERIMENT.jsonl`. So the sweep may be
killed at any moment: what was finished is found again, and only what was not is run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

import torch
from filelock import FileLock, Timeout

from .files import TEMPORARY, write_atomically
from .records import (
    Record,
    RunLike,
    dump_records,
    make_record,
    mean_and_interval,
    read_records,
    settings_key,
    shipped_records,
    versions,
)

BACKENDS = ("processes", "dask", "serial")
DEFAULT_OUT = Path("sweep-results")
PARTS = ".parts"
# A run whose worker dies is tried again by itself; one that kills its worker every time (it may
# need more memory than there is) must not go round for ever.
MOST_DEATHS = 3

Train = Callable[[Any], Mapping[str, Any]]


class SweepError(RuntimeError):
    """A sweep that cannot start; the message says what to do."""


class ExperimentLike(Protocol):
    """What a sweep needs to know of an experiment."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    def selection_runs(self) -> Sequence[RunLike]:
        """Return the runs that choose a learning rate for each arm; there may be none."""

    def final_runs(self, records: list[Record]) -> Sequence[RunLike]:
        """Return the runs to report, given the records of the selection runs."""


@dataclass
class Outcome:
    """What came of a sweep.

    Attributes:
        ran: How many runs finished now.
        known: How many had finished before.
        failed: What failed: a name each, and the traceback.
        stale: Records that belong to no run of today.
        interrupted: Whether Ctrl-C ended it.
    """

    ran: int = 0
    known: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    stale: list[Record] = field(default_factory=list)
    interrupted: bool = False

    @property
    def status(self) -> int:
        """The exit status of the command."""
        return 130 if self.interrupted else 1 if self.failed else 0


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
    out = Path(out)
    with _locked(out):
        sweep = _Sweep(experiments, train, out, prune, stream or sys.stderr)
        sweep.find()
        try:
            if sweep.pending:  # a pool takes seconds to start
                with _pool(backend, jobs, scheduler, sweep.parts) as pool:
                    sweep.work(pool)
        except KeyboardInterrupt:
            sweep.outcome.interrupted = True
        finally:
            sweep.gather()
        return sweep.outcome


# -- the queue -------------------------------------------------------------------------------------


class _Sweep:
    """The runs that are left, the records that are there, and the way from one to the other."""

    def __init__(
        self,
        experiments: Mapping[str, ExperimentLike],
        train: Train,
        out: Path,
        prune: bool,
        stream: TextIO | None,
    ) -> None:
        self.experiments = dict(experiments)
        self.train = train
        self.out = out
        self.parts = out / PARTS
        self.prune = prune
        self.say = _Progress(stream)
        self.outcome = Outcome()
        self.records: dict[str, Record] = {}
        self.runs: dict[str, RunLike] = {}  # all of today's that are known so far
        self.pending: dict[str, RunLike] = {}
        self.alone: list[str] = []  # to be tried again with nothing beside them
        self.deaths: Counter[str] = Counter()
        self.selecting: set[str] = set()  # experiments whose final runs are not known yet
        self.unclear: set[str] = set()  # experiments that could not name their final runs

    def find(self) -> None:
        """Read what is finished, clean up after a kill, and queue what is left."""
        for leftover in [*self.out.glob(f".*{TEMPORARY}"), *self.parts.glob(f".*{TEMPORARY}")]:
            leftover.unlink(missing_ok=True)
        self.records = {record.key: record for record in read_records(self.out)}
        self.read_parts()
        for name, experiment in self.experiments.items():
            self.add(experiment.selection_runs())
            self.selecting.add(name)
        for name in self.experiments:
            self.add_final_runs(name)
        self.outcome.known = sum(key in self.records for key in self.runs)
        of_today = versions()
        others = sum(
            self.records[key].versions != of_today for key in self.runs if key in self.records
        )
        if others:
            self.say.line(f"{others} finished runs were made with other versions; they are kept.")

    def add(self, runs: Iterable[RunLike]) -> None:
        """Queue the runs that have no record."""
        for run in runs:
            if run.key != settings_key(run.to_dict()):
                raise SweepError(f"{_name(run)}: its key {run.key!r} is no hash of its settings.")
            if run.key in self.runs:
                raise SweepError(f"{_name(run)} is there twice, with the same settings.")
            self.runs[run.key] = run
            if run.key not in self.records:
                self.pending[run.key] = run

    def add_final_runs(self, name: str) -> None:
        """Queue an experiment's final runs if all that they depend on is there."""
        if name not in self.selecting:
            return
        experiment = self.experiments[name]
        chosen_from = [self.records.get(run.key) for run in experiment.selection_runs()]
        records = [record for record in chosen_from if record is not None]
        if len(records) < len(chosen_from):
            return
        self.selecting.discard(name)
        try:
            runs = list(experiment.final_runs(records))
        except Exception:  # one experiment's mistake is not the others'
            self.unclear.add(name)
            self.fail(f"the final runs of {name}", traceback.format_exc())
        else:
            self.add(runs)

    def next(self) -> RunLike:
        """Take the run that should start now: selection first, then the longest."""
        rates = self.seconds_per_step()
        run = max(
            self.pending.values(),
            key=lambda run: (run.stage == "select", run.steps * rates[run.experiment]),
        )
        return self.pending.pop(run.key)

    def work(self, pool: _Pool) -> None:
        """Hand out runs until none is left."""
        running: dict[Future[Any], RunLike] = {}
        while self.pending or self.alone or running:
            broken = not self.hand_out(pool, running)
            self.report(running.values(), pool)
            # Not for ever, so that a cluster that grows in the meantime gets work.
            finished = list(wait(running, timeout=10, return_when=FIRST_COMPLETED).done)
            while finished:
                future = finished.pop()
                run = running.pop(future)
                try:
                    fine, text = future.result()
                except BrokenExecutor:
                    broken = True
                    self.died(run)
                except Exception:  # of the cluster: what training raises comes as a text
                    self.fail(_settings(run), traceback.format_exc())
                else:
                    self.finish(run, fine, text)
                if broken and not finished:
                    finished = list(running)  # one dead worker is the end of the whole pool
            if broken:
                pool.restart()
        self.report((), pool)
        for name in self.selecting:
            self.say.line(
                f"{name}: its final runs have to wait for the selection runs that failed."
            )

    def has_room(self, pool: _Pool, running: dict[Future[Any], RunLike]) -> bool:
        """Whether a run may start: one whose worker died has nothing beside it."""
        if self.alone:
            return not running
        if not self.pending or any(run.key in self.deaths for run in running.values()):
            return False
        return len(running) < pool.width() * pool.each

    def hand_out(self, pool: _Pool, running: dict[Future[Any], RunLike]) -> bool:
        """Start as many runs as there is room for; False if the pool turns out to be broken."""
        while self.has_room(pool, running):
            run = self.runs[self.alone.pop()] if self.alone else self.next()
            try:
                running[pool.submit(self.train, run)] = run
            except BrokenExecutor:
                self.pending[run.key] = run  # it never started
                return False
        return True

    def died(self, run: RunLike) -> None:
        """Queue a run whose worker died, unless it was finished or dies of itself."""
        part = self.parts / f"{run.key}.json"
        if part.exists():
            self.finish(run, True, part.read_text(encoding="utf-8"))
            return
        self.deaths[run.key] += 1
        if self.deaths[run.key] < MOST_DEATHS:
            self.say.line(f"the worker of {_name(run)} died; it is run again.")
            self.alone.append(run.key)
        else:
            self.fail(
                _settings(run),
                f"Its worker died {MOST_DEATHS} times. Is there enough memory?",
            )

    def finish(self, run: RunLike, fine: bool, text: str) -> None:
        """Take what a worker sent: a record's line, or a traceback."""
        if not fine:
            self.fail(_settings(run), text)
            return
        record = Record.from_line(text, _name(run))
        part = self.parts / f"{run.key}.json"
        if not part.exists():  # the worker may be on another machine
            _put(part, text.encode())
        self.records[run.key] = record
        self.outcome.ran += 1
        self.add_final_runs(run.experiment)

    def fail(self, what: str, why: str) -> None:
        """Report at once, and remember for the exit status."""
        self.outcome.failed.append((what, why))
        self.say.line(f"FAILED {what}\n{why.rstrip()}")

    def gather(self) -> None:
        """Write the records into one file an experiment, and only then remove the parts."""
        # Again, because a worker that Ctrl-C ended may have finished a run as the last thing.
        parts = self.read_parts()
        by_experiment: dict[str, list[Record]] = defaultdict(list)
        for record in self.records.values():
            by_experiment[record.experiment].append(record)
        for name, records in by_experiment.items():
            kept = self.without_stale(name, records)
            data = dump_records(kept)
            path = self.out / f"{name}.jsonl"
            if not path.exists() or path.read_bytes() != data:
                _put(path, data)
        for part in [*parts, *self.parts.glob(f".*{TEMPORARY}")]:
            part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or never made
            self.parts.rmdir()

    def read_parts(self) -> list[Path]:
        """Take the finished runs that are not gathered yet; return their files."""
        parts = sorted(self.parts.glob("[!.]*.json"))
        for record in _read_parts(parts):
            self.records.setdefault(record.key, record)  # one that is gathered already stays
        return parts

    def without_stale(self, name: str, records: list[Record]) -> list[Record]:
        """Report the records that belong to no run of today; drop them if asked to."""
        if name not in self.experiments:
            return records  # not asked for now
        stale = [record for record in records if record.key not in self.runs]
        if name in self.selecting or name in self.unclear:
            # Its final runs are not known yet, so nobody can tell which of them are stale.
            stale = [record for record in stale if record.stage == "select"]
        if not stale:
            return records
        self.outcome.stale += stale
        word = "left out" if self.prune else "kept; leave them out with --prune"
        self.say.line(f"{name}: {len(stale)} records belong to no run of today ({word}).")
        gone = {record.key for record in stale} if self.prune else set()
        return [record for record in records if record.key not in gone]

    # -- how long it takes ------------------------------------------------------------------------

    def seconds_per_step(self) -> dict[str, float]:
        """The rate of each experiment, from its finished runs; of all, where it has none."""
        seconds: dict[str, float] = defaultdict(float)
        steps: dict[str, int] = defaultdict(int)
        for key, record in self.records.items():
            if key in self.runs:
                seconds[record.experiment] += record.seconds
                steps[record.experiment] += self.runs[key].steps
        overall = sum(seconds.values()) / max(sum(steps.values()), 1) or 1.0
        return {
            name: (seconds[name] / steps[name] if steps[name] else 0.0) or overall
            for name in self.experiments
        }

    def report(self, running: Iterable[RunLike], pool: _Pool) -> None:
        """Show how far the sweep is."""
        running = list(running)
        rates = self.seconds_per_step()
        done = sum(key in self.records for key in self.runs)
        ahead = [self.runs[key] for key in self.alone] + list(self.pending.values())
        left = sum(run.steps * rates[run.experiment] for run in ahead)
        left += sum(run.steps * rates[run.experiment] for run in running) / 2  # half done, say
        text = f"{done}/{len(self.runs)} runs"
        if done and (running or ahead):
            text += f", about {_duration(left / pool.width())} left"
        if waiting := len(self.selecting):
            text += f", and then the final runs of {waiting} experiments"
        if self.outcome.failed:
            text += f", {len(self.outcome.failed)} FAILED"
        self.say.progress(text, last=not running and not ahead)


# -- the workers -----------------------------------------------------------------------------------

# Seeds are set for a whole process, so two runs in two threads of one would disturb each other.
_one_at_a_time = threading.Lock()


def _work(train: Train, run: RunLike, parts: str | None) -> tuple[bool, str]:
    """Train one run in a worker: (True, the record's line) or (False, a traceback).

    The worker writes the line itself where it shares the disk: then a finished run is safe even
    if nobody is left to take it.
    """
    with _one_at_a_time:
        torch.set_num_threads(1)
        try:
            line = make_record(run, train(run)).to_line()
            if parts is not None:
                _put(Path(parts) / f"{run.key}.json", line.encode())
        except Exception:
            return False, traceback.format_exc()
    return True, line


def _prepare_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, compute on one thread, and end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    if os.name == "posix":  # elsewhere the parent's number stays when the parent is gone
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)  # an orphan would slow down the sweep that resumes


class _Pool(Protocol):
    """Something that runs work elsewhere."""

    def submit(self, train: Train, run: RunLike) -> Future[Any]:
        """Start a run; the future holds what `_work` returns."""

    def width(self) -> int:
        """How many workers there are."""

    def restart(self) -> None:
        """Go on after a worker died."""

    @property
    def each(self) -> int:
        """How many runs to hand to each worker."""


class _Serial:
    """No pool at all: a breakpoint in the training stops here."""

    each = 1

    def __init__(self, parts: Path) -> None:
        self.parts = str(parts)

    def submit(self, train: Train, run: RunLike) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(_work(train, run, self.parts))
        return future

    def width(self) -> int:
        return 1

    def restart(self) -> None:
        raise AssertionError("there is no worker that could die")


class _Processes:
    """joblib's pool of processes (loky): it starts afresh, never forks, and says when one died.

    Its executor is used directly, not through joblib.Parallel, which takes all tasks up front,
    while here final runs appear as results come in; and which gives up as a whole when one worker
    dies.
    """

    each = 1  # so that it is known which runs a dying worker may have had

    def __init__(self, jobs: int, parts: Path) -> None:
        self.jobs = jobs
        self.parts = str(parts)
        self.executor = self.start()

    def start(self) -> Any:
        try:
            from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]
        except ImportError as error:
            raise SweepError(
                f"the sweep needs joblib ({error}); install it: pip install 'simplellm[sweep]'."
            ) from None
        return ProcessPoolExecutor(
            self.jobs,
            initializer=_prepare_worker,
            initargs=(os.getpid(),),
            env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},  # read before torch is imported
        )

    def submit(self, train: Train, run: RunLike) -> Future[Any]:
        return self.executor.submit(_work, train, run, self.parts)

    def width(self) -> int:
        return self.jobs

    def restart(self) -> None:
        self.executor.shutdown(wait=True, kill_workers=True)
        self.executor = self.start()

    def close(self) -> None:
        self.executor.shutdown(wait=True, kill_workers=True)


class _Dask:
    """A Dask cluster, by way of the executor that its client offers.

    The client is used directly, not through joblib's Dask backend, for the same reasons as above;
    and because the scheduler by itself moves the runs of a lost worker to another.
    """

    each = 2  # so that none waits for the network

    def __init__(self, client: Any, parts: Path | None) -> None:
        self.client = client
        self.parts = None if parts is None else str(parts)
        # Not pure: a run that failed once is run again when it is submitted again.
        self.executor: Executor = client.get_executor(pure=False)

    def submit(self, train: Train, run: RunLike) -> Future[Any]:
        return self.executor.submit(_work, train, run, self.parts)

    def width(self) -> int:
        return max(1, len(self.client.nthreads()))

    def restart(self) -> None:
        raise SweepError("the Dask cluster is gone; run the same command again to go on.")


@contextlib.contextmanager
def _pool(backend: str, jobs: int, scheduler: str | None, parts: Path) -> Iterator[_Pool]:
    """Start the workers, and end them with the block, however it ends."""
    if backend == "serial":
        yield _Serial(parts)
    elif backend == "processes":
        processes = _Processes(jobs, parts)
        try:
            yield processes
        finally:
            processes.close()
    else:
        with _dask_client(jobs, scheduler) as client:
            # Workers on other machines may not see the disk, or see another one at this path.
            yield _Dask(client, parts if scheduler is None else None)


@contextlib.contextmanager
def _dask_client(jobs: int, scheduler: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine."""
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise SweepError(
            f"backend 'dask' needs dask.distributed ({error}); install it: "
            "pip install 'simplellm[dask]'."
        ) from None
    if scheduler is not None:
        try:
            client = distributed.Client(scheduler, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SweepError(f"no Dask scheduler answers at {scheduler} ({error}).") from None
        with client:
            yield client
        return
    import dask

    # Ctrl-C reaches every process of a terminal; the workers leave it to this one.
    ignore = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with (
        dask.config.set({"distributed.worker.preload": [ignore]}),
        distributed.LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


# -- files -----------------------------------------------------------------------------------------


def _put(path: Path, data: bytes) -> None:
    """Write a file whose folder may not be there yet, as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def _read_parts(parts: Iterable[Path]) -> Iterator[Record]:
    """Read finished runs that are not gathered yet."""
    for part in parts:
        with contextlib.suppress(FileNotFoundError):  # a sweep at work gathered it just now
            yield Record.from_line(part.read_text(encoding="utf-8"), f"{PARTS}/{part.name}")


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second sweep out of the folder; the lock goes with the process, however it ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise SweepError(f"out must be a folder, got {out}: a file is in the way.") from None
    # Beside the lock, because Windows lets nobody read a file that is locked.
    holder = out / ".lock.process"
    lock = FileLock(out / ".lock", timeout=0.2)  # the time to see that the file has just gone
    try:
        lock.acquire()
    except Timeout:
        try:
            process = holder.read_text(encoding="utf-8")
        except OSError:
            process = "unknown"
        raise SweepError(
            f"another sweep (process {process}) is at work in {out}. Wait for it, or choose "
            "another folder with --out."
        ) from None
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        if os.name == "posix":  # elsewhere an open file has to stay, and goes with the lock
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


# -- words -----------------------------------------------------------------------------------------


def _tell(stream: TextIO | None, text: str) -> None:
    """Write and flush; a sweep of hours does not end because nobody is there to hear of it."""
    if stream is None or stream.closed:
        return
    with contextlib.suppress(OSError):  # a reader that left, a full disk
        stream.write(text)
        stream.flush()


class _Progress:
    """Lines on a stream; on a terminal the last one is rewritten, elsewhere it comes seldom."""

    SECONDS = 30.0  # between two lines where they stay

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.terminal = stream is not None and not stream.closed and stream.isatty()
        self.shown = ""
        self.next_time = 0.0

    def progress(self, text: str, *, last: bool = False) -> None:
        if self.terminal:
            padding = " " * max(0, len(self.shown) - len(text))
            _tell(self.stream, f"\r{text}{padding}" + ("\n" if last else ""))
            self.shown = "" if last else text
        elif last or time.monotonic() >= self.next_time:
            self.next_time = time.monotonic() + self.SECONDS
            _tell(self.stream, text + "\n")

    def line(self, text: str) -> None:
        if self.shown:
            _tell(self.stream, "\r" + " " * len(self.shown) + "\r")
            self.shown = ""
        _tell(self.stream, text + "\n")


def _name(run: RunLike) -> str:
    return f"{run.experiment}/{run.arm} ({run.stage}, seed {run.seed}, lr {run.lr:g})"


def _settings(run: RunLike) -> str:
    return f"{_name(run)}: {run.to_dict()}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _table(rows: list[list[str]]) -> str:
    """Align columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{row[0]:<{widths[0]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _scalars(scores: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The single numbers among the scores; those of an inner dict as outer.inner."""
    found: dict[str, float] = {}
    for name, score in scores.items():
        if isinstance(score, dict):
            found |= _scalars(score, f"{prefix}{name}.")
        elif isinstance(score, (int, float)):
            found[prefix + name] = float(score)
    return found


def summary(records: Iterable[Record]) -> str:
    """Tabulate the final records: per experiment and arm, seeds, rate, scores and seconds.

    Args:
        records: Of any experiments and stages.

    Returns:
        One table an experiment; a score is its mean over seeds ± the half width of the 95 %
        interval of `simplellm.records.mean_and_interval`.
    """
    by_experiment: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        arms = by_experiment[record.experiment]
        if record.stage == "final":
            arms[record.arm].append(record)
    blocks = []
    for experiment, arms in by_experiment.items():
        scores = {arm: [_scalars(record.scores) for record in group] for arm, group in arms.items()}
        names = list(dict.fromkeys(n for group in scores.values() for one in group for n in one))
        rows = [["arm", "seeds", "lr", *names, "seconds"]]
        for arm, group in arms.items():
            rates = sorted({float(record.run["lr"]) for record in group if "lr" in record.run})
            row = [arm, str(len(group)), ", ".join(f"{rate:g}" for rate in rates) or "–"]
            for name in names:
                row.append(_with_interval([one[name] for one in scores[arm] if name in one]))
            rows.append([*row, f"{math.fsum(record.seconds for record in group):.0f}"])
        table = _table(rows) if len(rows) > 1 else "no final records yet"
        blocks.append(f"{experiment}\n{table}\n")
    return "\n".join(blocks)


def _with_interval(values: list[float]) -> str:
    if not values:
        return "–"
    mean, half_width = mean_and_interval(values)
    return f"{mean:.4g} ± " + ("–" if math.isnan(half_width) else f"{half_width:.2g}")


def listing(experiments: Mapping[str, ExperimentLike], records: Iterable[Record]) -> str:
    """Tabulate the experiments, and how many of their runs have a record."""
    by_key = {record.key: record for record in records}
    rows = [["experiment", "selection", "final"]]
    for name, experiment in experiments.items():
        selection = experiment.selection_runs()
        found = [by_key[run.key] for run in selection if run.key in by_key]
        final = "after selection"
        if len(found) == len(selection):
            runs = experiment.final_runs(found)
            final = f"{sum(run.key in by_key for run in runs)}/{len(runs)}"
        rows.append([name, f"{len(found)}/{len(selection)}" if selection else "–", final])
    lines = _table(rows).split("\n")
    titles = ["", *(experiment.title for experiment in experiments.values())]
    return "\n".join(f"{line}  {title}".rstrip() for line, title in zip(lines, titles, strict=True))


# -- the command -----------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simplellm.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    found = f"folder of the records (default: {DEFAULT_OUT} if there is one, else the shipped ones)"
    for name, text in (
        ("list", "show the experiments and how many of their runs are done"),
        ("run", "run what is not done yet; the same command again resumes"),
        ("summary", "show mean ± 95 %% interval over seeds, by experiment and arm"),
    ):
        command = commands.add_parser(name, help=text, description=text.replace("%%", "%"))
        command.add_argument(
            "experiments", nargs="*", metavar="EXPERIMENT", help="all where none is named"
        )
        if name != "run":
            command.add_argument("--out", type=Path, metavar="DIR", help=found)
            continue
        command.add_argument(
            "--out",
            type=Path,
            default=DEFAULT_OUT,
            metavar="DIR",
            help="folder of the records (default: %(default)s)",
        )
        command.add_argument(
            "--jobs",
            type=int,
            default=2,
            metavar="N",
            help="processes, one thread each (default: %(default)s)",
        )
        command.add_argument(
            "--backend",
            choices=BACKENDS,
            default=BACKENDS[0],
            help="where to run: joblib's processes, a Dask cluster, or, for a debugger, in this "
            "process (default: %(default)s)",
        )
        command.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="of a Dask cluster whose workers have simplellm and --nthreads 1, as "
            "tcp://host:8786; without it one of N workers is started here",
        )
        command.add_argument(
            "--prune",
            action="store_true",
            help="leave out records that belong to no run of today (default: report and keep)",
        )
    return parser


def main(
    arguments: Sequence[str] | None = None,
    experiments: Mapping[str, ExperimentLike] | None = None,
    train: Train | None = None,
) -> int:
    """Do what the command line says and return the exit status.

    Args:
        arguments: Those of the process by default.
        experiments, train: The book's by default.
    """
    options = _parser().parse_args(arguments)
    if experiments is None:
        from .experiments import EXPERIMENTS

        experiments = EXPERIMENTS
    if train is None:
        from .training import train as train_a_run

        train = train_a_run
    unknown = [name for name in options.experiments if name not in experiments]
    if unknown:
        there = ", ".join(experiments)
        _tell(sys.stderr, f"no such experiment: {', '.join(unknown)}. There are: {there}.\n")
        return 2
    chosen = {n: experiments[n] for n in options.experiments or experiments}
    try:
        if options.command == "run":
            return _run(chosen, train, options)
        records, place = _records_of(options.out)
    except KeyboardInterrupt:  # before the first run, or a second time while records are gathered
        _tell(sys.stderr, "interrupted; run the same command again to go on\n")
        return 130
    except (SweepError, ValueError, OSError) as error:
        _tell(sys.stderr, f"{error}\n")
        return 2
    if options.command == "list":
        text = listing(chosen, records) + "\n"
    else:
        text = summary(r for r in records if r.experiment in chosen) or "none yet\n"
    try:
        print(f"records: {place}\n\n{text}", end="", flush=True)
    except BrokenPipeError:  # as `| head` leaves it: nobody reads the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(experiments: Mapping[str, ExperimentLike], train: Train, options: Any) -> int:
    started = time.monotonic()
    outcome = run_sweep(
        experiments,
        train,
        options.out,
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
        prune=options.prune,
    )
    took = _duration(time.monotonic() - started)
    _tell(
        sys.stderr,
        f"{outcome.ran} runs in {took}, {outcome.known} done before, {len(outcome.failed)} failed; "
        f"records in {options.out}\n",
    )
    if outcome.interrupted:
        _tell(sys.stderr, "interrupted; run the same command again to go on\n")
    for what, why in outcome.failed:
        _tell(sys.stderr, f"FAILED {what}: {why.strip().splitlines()[-1]}\n")
    return outcome.status


def _records_of(out: Path | None) -> tuple[list[Record], str]:
    """Return the records asked for, and where they are; what is not gathered yet as well."""
    if out is None and not DEFAULT_OUT.is_dir():
        return shipped_records(), "shipped with the package"
    out = out or DEFAULT_OUT
    records = {record.key: record for record in read_records(out)}
    for record in _read_parts(sorted((out / PARTS).glob("[!.]*.json"))):
        records.setdefault(record.key, record)
    return list(records.values()), str(out)


if __name__ == "__main__":
    # By its name, so that workers import what they are sent instead of unpacking a copy.
    from simplellm.printing import print_anywhere
    from simplellm.sweep import main as named_main

    print_anywhere()
    sys.exit(named_main())
