"""Experiments that cost nothing, for the tests of the sweep; workers import them by this name.

Every execution leaves a file in `marks`: `KEY.N`, where N counts the executions of that run, with
the number of the worker's process in it. N goes into the record, so that a test can tell which
execution a record came from.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from simplellm.records import Record, settings_key
from simplellm.sweep import main
from simplellm.sweep.workers import work


@dataclass(frozen=True, kw_only=True)
class FakeRun:
    experiment: str
    arm: str
    stage: str = "final"
    seed: int = 0
    steps: int = 10
    lr: float = 0.1
    does: str = ""  # "fail" or "die" or "die once"
    naps: float = 0.0  # seconds
    marks: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def key(self) -> str:
        return settings_key(self.to_dict())


@dataclass(frozen=True, kw_only=True)
class FakeExperiment:
    """Each arm tries `rates`, the rate nearest to its best one wins; then `seeds` final runs."""

    name: str
    title: str = "an experiment"
    arms: Mapping[str, float]  # the best learning rate by arm
    rates: tuple[float, ...] = ()
    seeds: int = 2
    settings: Mapping[str, Any]

    def run(self, **settings: Any) -> FakeRun:
        return FakeRun(experiment=self.name, **{**self.settings, **settings})

    def selection_runs(self, records: Iterable[Any] = ()) -> list[FakeRun]:
        return [
            self.run(arm=arm, stage="select", seed=-1, lr=lr)
            for arm in self.arms
            for lr in self.rates
        ]

    def final_runs(self, records: list[Record]) -> list[FakeRun]:
        wanted = {run.key for run in self.selection_runs()}
        assert {record.key for record in records} == wanted, "incomplete, or not of today"
        chosen = {}
        for arm, best in self.arms.items():
            rates = [record.run["lr"] for record in records if record.arm == arm]
            chosen[arm] = min(rates, key=lambda lr: abs(lr - best)) if rates else best
        return [
            self.run(arm=arm, lr=chosen[arm], seed=seed)
            for arm in self.arms
            for seed in range(self.seeds)
        ]


def mark(run: FakeRun) -> int:
    """Leave a mark of this execution; return how many there were before."""
    for count in itertools.count():
        try:
            # "x" fails where the file is there, so two executions never share a number.
            with Path(run.marks, f"{run.key}.{count}").open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            continue
        return count
    raise AssertionError


def executions(marks: Path, key: str) -> int:
    return len(list(marks.glob(f"{key}.*")))


def fake_train(run: FakeRun) -> dict[str, Any]:
    count = mark(run) if run.marks else 0
    time.sleep(run.naps)
    if run.does == "fail":
        raise ArithmeticError(f"the loss of seed {run.seed} is no number")
    if run.does == "die" or (run.does == "die once" and not count):
        os.kill(os.getpid(), signal.SIGKILL)
    return {
        "losses": [[step, 1 / (3 + step)] for step in range(0, min(run.steps, 20), 5)],
        "scores": {
            "accuracy": run.seed / 3,
            "by_length": [run.lr, 0.5],
            "execution": count,
            "threads": torch.get_num_threads(),
        },
        "seconds": run.steps / 1000,
    }


class FrailPool:
    """A pool in this process: of those at work the run that started first ends first.

    If its worker is to die, all that are at work die with it, and nothing starts before a restart.

    Args:
        deaths: How often a worker dies of a run, by the run's key.
        late: Where a worker puts its record before it dies.
        lost: The key of a run that the pool itself loses.
    """

    per_worker = 1

    def __init__(
        self, deaths: Mapping[str, int], *, late: Path | None = None, lost: str = ""
    ) -> None:
        self.deaths = Counter(deaths)
        self.late, self.lost = late, lost
        self.broken = False
        self.restarts = 0
        self.started: Counter[str] = Counter()
        self.at_work: dict[Future[Any], tuple[Any, FakeRun]] = {}
        self.together: list[int] = []  # how many were at work when one of them ended

    def count(self) -> int:
        return 3

    def submit(self, train: Any, run: FakeRun) -> Future[Any]:
        if self.broken:
            raise BrokenExecutor
        self.started[run.key] += 1
        future: Future[Any] = Future()
        self.at_work[future] = (train, run)
        return future

    def wait(self, running: Any, timeout: float, return_when: str) -> Any:
        # Not before all have ended, and not for ever: a cluster that grows gets work.
        assert return_when == FIRST_COMPLETED and 0 < timeout < 60
        assert set(running) == set(self.at_work)
        if not self.at_work:
            return SimpleNamespace(done=set())
        self.together.append(len(self.at_work))
        future, (train, run) = next(iter(self.at_work.items()))
        if self.deaths[run.key]:
            self.deaths[run.key] -= 1
            if self.late is not None:
                work(train, run, str(self.late))
            self.broken = True
            for one in self.at_work:
                one.set_exception(BrokenExecutor())
            self.at_work.clear()
        else:
            del self.at_work[future]
            if run.key == self.lost:
                future.set_exception(OSError("the scheduler left"))
            else:
                future.set_result(work(train, run, None))
        return SimpleNamespace(done={future})

    def restart(self) -> None:
        self.broken = False
        self.restarts += 1


def many(marks: str, naps: float = 0.02) -> dict[str, FakeExperiment]:
    """Two experiments of 4 selection and 20 final runs each."""
    settings = {"marks": marks, "naps": naps}
    return {
        name: FakeExperiment(
            name=name, arms={"a": 0.1, "b": 0.3}, rates=(0.1, 0.3), seeds=10, settings=settings
        )
        for name in ("one", "two")
    }


if __name__ == "__main__":
    # By its name, so that workers import the functions instead of unpacking copies of them.
    from tests import sweep_fakes

    marks, naps, *arguments = sys.argv[1:]
    sys.exit(main(arguments, sweep_fakes.many(marks, float(naps)), sweep_fakes.fake_train))
