"""The workers of a sweep: this process, processes of this machine, or a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..records import RunLike, make_record
from .folder import put
from .interface import SweepError, Train

#: The kinds of workers; the first is the default.
BACKENDS = ("processes", "dask", "serial")

# Seeds are set for a whole process, so two runs in two threads of one would disturb each other.
_one_at_a_time = threading.Lock()


class Result(NamedTuple):
    """What a worker returns of a run.

    Attributes:
        finished: Whether the run has a record.
        text: The record as a line of JSON, or the traceback of what was raised.
    """

    finished: bool
    text: str


def work(train: Train, run: RunLike, parts: str | None) -> Result:
    """Train one run, in a worker.

    Args:
        train: Takes the run and returns losses, scores and seconds.
        run: What to train.
        parts: Folder in which the worker writes the record, so that a finished run is safe even
            if the sweep has ended; None where the worker may not share the disk.

    Returns:
        The record's line, or the traceback of what training raised.
    """
    with _one_at_a_time:
        torch.set_num_threads(1)
        try:
            line = make_record(run, train(run)).to_line()
            if parts is not None:
                put(Path(parts) / f"{run.key}.json", line.encode())
        except Exception:
            return Result(False, traceback.format_exc())
    return Result(True, line)


class Workers(ABC):
    """Where runs are trained: one interface for every backend.

    Args:
        executor: Takes the runs.
        parts: Where workers write finished runs; None where they may not share the disk.
    """

    per_worker = 1  # runs that each worker is given at once

    def __init__(self, executor: Executor, parts: Path | None) -> None:
        self.executor = executor
        self.parts = None if parts is None else str(parts)

    def submit(self, train: Train, run: RunLike) -> Future[Result]:
        """Start a run; the future holds what `work` returns."""
        return self.executor.submit(work, train, run, self.parts)

    @abstractmethod
    def count(self) -> int:
        """Return how many workers there are now."""

    @abstractmethod
    def restart(self) -> None:
        """Replace the workers after one of them has died."""


class _AtOnce(Executor):
    """An executor that calls at once, in this thread: a breakpoint in the training stops there."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Serial(Workers):
    """This process, for a debugger.

    Args:
        parts: Where finished runs are written.
    """

    def __init__(self, parts: Path) -> None:
        super().__init__(_AtOnce(), parts)

    def count(self) -> int:
        return 1

    def restart(self) -> None:
        raise AssertionError("there is no worker that could die")


class Processes(Workers):
    """joblib's pool of processes (loky), which never forks, and reports that a process died.

    Its executor is used directly, not through joblib.Parallel, which takes all tasks up front,
    while here final runs appear as results come in; and which gives up as a whole when one worker
    dies. Each process is given one run at once, so that it is known which runs a dying one may
    have had.

    Args:
        jobs: Number of processes.
        parts: Where they write finished runs.
    """

    def __init__(self, jobs: int, parts: Path) -> None:
        super().__init__(_start_processes(jobs), parts)
        self.jobs = jobs

    def count(self) -> int:
        return self.jobs

    def restart(self) -> None:
        self.close()
        self.executor = _start_processes(self.jobs)

    def close(self) -> None:
        """End the processes, and the runs that they have started."""
        executor: Any = self.executor
        executor.shutdown(wait=True, kill_workers=True)


def _start_processes(jobs: int) -> Any:
    try:
        from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]
    except ImportError as error:
        raise SweepError(
            f"the sweep needs joblib ({error}); install it: pip install 'simplellm[sweep]'."
        ) from None
    return ProcessPoolExecutor(
        jobs,
        initializer=prepare_process,
        initargs=(os.getpid(),),
        env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},  # read before torch is imported
    )


def prepare_process(parent: int) -> None:
    """Prepare a process: leave Ctrl-C to the parent, use one thread, end when the parent does.

    Args:
        parent: Number of the parent process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    if os.name == "posix":  # elsewhere the parent's number stays when the parent is gone
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)  # an orphan would slow down the sweep that resumes


class Dask(Workers):
    """A Dask cluster, through the executor of its client.

    The client is used directly, not through joblib's Dask backend, for the reasons that
    `Processes` has; and because the scheduler by itself moves the runs of a lost worker to another.

    Args:
        client: A connected `distributed.Client`.
        parts: Where workers write finished runs; None where they may not share the disk.
    """

    per_worker = 2  # so that none waits for the network

    def __init__(self, client: Any, parts: Path | None) -> None:
        # Not pure: a run that failed once is run again when it is submitted again.
        super().__init__(client.get_executor(pure=False), parts)
        self.client = client

    def count(self) -> int:
        return max(1, len(self.client.nthreads()))

    def restart(self) -> None:
        raise SweepError("the Dask cluster is gone; run the same command again to go on.")


@contextlib.contextmanager
def start_workers(backend: str, jobs: int, scheduler: str | None, parts: Path) -> Iterator[Workers]:
    """Start the workers of a backend, and end them with the block, however it ends.

    Args:
        backend: One of `BACKENDS`.
        jobs: How many to start on this machine.
        scheduler: Address of a Dask scheduler that has its own workers.
        parts: Where finished runs are written.

    Raises:
        SweepError: If the backend's library is not installed, or no scheduler answers.
    """
    if backend == "serial":
        yield Serial(parts)
    elif backend == "processes":
        with contextlib.closing(Processes(jobs, parts)) as processes:
            yield processes
    elif scheduler is None:
        with _local_cluster(jobs) as client:
            yield Dask(client, parts)
    else:
        with _connect(scheduler) as client:
            # Its workers may not see this disk, or see another one at this path.
            yield Dask(client, None)


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise SweepError(
            f"backend 'dask' needs dask.distributed ({error}); install it: "
            "pip install 'simplellm[dask]'."
        ) from None


def _connect(scheduler: str) -> Any:
    """Return a client of a cluster that runs already; it disconnects when its block ends."""
    try:
        return _distributed().Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SweepError(f"no Dask scheduler answers at {scheduler} ({error}).") from None


@contextlib.contextmanager
def _local_cluster(jobs: int) -> Iterator[Any]:
    """Start a cluster on this machine, yield its client, and end the cluster with the block."""
    distributed = _distributed()
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
