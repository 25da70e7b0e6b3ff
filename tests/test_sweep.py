"""The sweep: nothing finished is lost, nothing is counted twice, whatever kills it and when."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
import torch

from simplellm import sweep
from simplellm.records import Record, RecordError, make_record, read_records
from simplellm.sweep import (
    Outcome,
    SweepError,
    folder,
    main,
    queue,
    report,
    run_sweep,
    runner,
    workers,
)
from simplellm.sweep import command as command_line
from simplellm.sweep.folder import PARTS
from simplellm.sweep.queue import State
from tests.sweep_fakes import FakeExperiment, FakeRun, FrailPool, executions, fake_train, many

ROOT = Path(__file__).parent.parent
PATIENCE = 120  # seconds; a loaded machine is not a failure


def experiment(name: str = "one", **changes: Any) -> FakeExperiment:
    """Two arms, two rates, two seeds: 4 selection runs, then 4 final ones."""
    fresh = FakeExperiment(name=name, arms={"a": 0.1, "b": 0.3}, rates=(0.1, 0.3), settings={})
    return replace(fresh, **changes)


def swept(
    out: Path, *experiments: FakeExperiment, train: Any = fake_train, **options: Any
) -> tuple[Outcome, str]:
    """Sweep in this process unless told otherwise; return the outcome and what was said."""
    stream = io.StringIO()
    named = {each.name: each for each in experiments}
    outcome = run_sweep(named, train, out, **{"backend": "serial", "stream": stream, **options})
    return outcome, stream.getvalue()


def all_runs(*experiments: FakeExperiment) -> list[FakeRun]:
    """Every run, with the rates chosen by hand: each arm's best is among them."""
    return [
        run
        for each in experiments
        for run in (
            *each.selection_runs(),
            *(
                each.run(arm=arm, lr=best, seed=seed)
                for arm, best in each.arms.items()
                for seed in range(each.seeds)
            ),
        )
    ]


def keys(items: Any) -> list[str]:
    return sorted(item.key for item in items)


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*")}


# -- what a sweep leaves --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("processes")
    outcome, said = swept(out, experiment("one"), experiment("two"), backend="processes")
    assert outcome.status == 0, said
    return out


@pytest.mark.slow
def test_every_run_has_one_record_after_a_sweep_over_processes(by_processes: Path) -> None:
    assert keys(read_records(by_processes)) == keys(all_runs(experiment("one"), experiment("two")))


@pytest.mark.slow
def test_nothing_but_one_file_an_experiment_is_left_in_the_folder(by_processes: Path) -> None:
    assert files(by_processes) == {"one.jsonl", "two.jsonl"}
    for name in ("one", "two"):
        assert {r.experiment for r in read_records(by_processes / f"{name}.jsonl")} == {name}


@pytest.mark.slow
def test_every_worker_computes_on_one_thread(by_processes: Path) -> None:
    assert {record.scores["threads"] for record in read_records(by_processes)} == {1}


@pytest.mark.slow
def test_final_runs_have_the_rate_that_selection_chose_for_their_arm(by_processes: Path) -> None:
    final = [record for record in read_records(by_processes) if record.stage == "final"]
    assert {(record.arm, record.run["lr"]) for record in final} == {("a", 0.1), ("b", 0.3)}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["serial", "dask"])
def test_another_backend_leaves_the_same_bytes(
    backend: str, by_processes: Path, tmp_path: Path
) -> None:
    outcome, said = swept(tmp_path, experiment("one"), experiment("two"), backend=backend, jobs=2)
    assert outcome.status == 0, said
    for name in ("one.jsonl", "two.jsonl"):
        assert (tmp_path / name).read_bytes() == (by_processes / name).read_bytes()


def test_a_cluster_given_by_address_needs_no_shared_disk(tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,  # to start them takes no time, and the protocol is the same
        protocol="tcp",
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        written: list[str] = []
        original = workers.Dask.__init__

        def watched(self: Any, client: Any, parts: Path | None) -> None:
            written.append(str(parts))
            original(self, client, parts)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workers.Dask, "__init__", watched)
            outcome, said = swept(
                tmp_path / "cluster",
                experiment("one"),
                backend="dask",
                scheduler=cluster.scheduler_address,
            )
    assert outcome.status == 0, said
    assert written == ["None"], "workers must not be told a path of this machine"
    swept(tmp_path / "here", experiment("one"))
    by_cluster, here = (tmp_path / place / "one.jsonl" for place in ("cluster", "here"))
    assert by_cluster.read_bytes() == here.read_bytes()


def test_a_second_sweep_runs_nothing_and_changes_no_byte(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    tried = experiment(settings={"marks": str(marks)})
    first, _ = swept(tmp_path / "out", tried)
    before = (tmp_path / "out" / "one.jsonl").read_bytes()
    second, _ = swept(tmp_path / "out", tried)
    assert (first.ran, first.known, second.ran, second.known) == (8, 0, 0, 8)
    assert all(executions(marks, run.key) == 1 for run in all_runs(tried))
    assert (tmp_path / "out" / "one.jsonl").read_bytes() == before


def test_selection_runs_come_first_and_then_the_longest(tmp_path: Path) -> None:
    order: list[FakeRun] = []

    def watched(run: FakeRun) -> dict[str, Any]:
        order.append(run)
        return fake_train(run)

    short, long = experiment("short"), experiment("long", settings={"steps": 90})
    plain = experiment("plain", rates=(), settings={"steps": 50})
    swept(tmp_path, short, plain, long, train=watched)
    assert [run.stage for run in order] == ["select"] * 8 + ["final"] * 12
    for stage in ("select", "final"):
        steps = [run.steps for run in order if run.stage == stage]
        assert steps == sorted(steps, reverse=True)


def test_a_cluster_of_this_machine_has_one_thread_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    asked: list[dict[str, Any]] = []
    ignored: list[object] = []
    original = distributed.LocalCluster

    def without_processes(**options: Any) -> Any:
        asked.append(options)
        return original(**{**options, "processes": False})

    monkeypatch.setattr(distributed, "LocalCluster", without_processes)
    monkeypatch.setattr(signal, "signal", lambda *given: ignored.append(given))
    with workers.start_workers("dask", 3, None, tmp_path) as pool:
        assert isinstance(pool, workers.Dask)
        assert list(pool.client.nthreads().values()) == [1, 1, 1]
        assert (pool.count(), pool.parts) == (3, str(tmp_path))
        run = FakeRun(experiment="e", arm="a")
        assert pool.submit(fake_train, run).result()[0]
        assert files(tmp_path) == {f"{run.key}.json"}
    assert asked[0]["processes"] is True
    # Ctrl-C reaches every process of a terminal, and the sweep ends the workers.
    assert set(ignored) == {(signal.SIGINT, signal.SIG_IGN)}


def test_a_scheduler_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    def refuse(address: str, **options: Any) -> None:
        assert address == "tcp://host:1" and 0 < options["timeout"] < 60
        raise OSError("refused")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(SweepError, match=r"no Dask scheduler answers at tcp://host:1 \(refused\)"):
        swept(tmp_path, experiment(), backend="dask", scheduler="tcp://host:1")


def test_a_cluster_that_is_gone_ends_the_sweep_with_what_to_do() -> None:
    client = SimpleNamespace(nthreads=dict, get_executor=lambda pure: None)
    pool = workers.Dask(client, None)
    assert pool.count() == 1, "before the first worker has come"
    with pytest.raises(SweepError, match=r"^the Dask cluster is gone; run the same .* go on\.$"):
        pool.restart()


def test_a_pool_that_lost_a_worker_ends_the_others_and_starts_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []

    class Executor:
        def __init__(self, jobs: int, **options: Any) -> None:
            self.number = len(started)
            started.append({"jobs": jobs, "ended": None, **options})

        def submit(self, work: Any, *given: Any) -> Any:
            return self.number, work(*given)

        def shutdown(self, **options: bool) -> None:
            started[self.number]["ended"] = options

    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", Executor)
    run = FakeRun(experiment="e", arm="a")
    at_once = {"wait": True, "kill_workers": True}
    with workers.start_workers("processes", 5, None, tmp_path) as pool:
        assert pool.count() == 5
        number, (fine, line) = cast(Any, pool.submit(fake_train, run))
        assert (number, fine) == (0, True)
        assert (tmp_path / f"{run.key}.json").read_text() == line
        pool.restart()
        assert started[0]["ended"] == at_once
        assert cast(Any, pool.submit(fake_train, run))[0] == 1 and started[1]["ended"] is None
    assert started[1]["ended"] == at_once
    for one in started:
        assert (one["jobs"], one["initargs"]) == (5, (os.getpid(),))
        assert one["env"] == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        assert one["initializer"] is workers.prepare_process


@pytest.mark.skipif(os.name != "posix", reason="a parent's number says nothing")
def test_a_worker_leaves_ctrl_c_to_its_parent_and_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    ended: list[tuple[int, bool]] = []
    done = threading.Event()

    def end(status: int) -> None:
        ended.append((status, threading.current_thread().daemon))
        done.set()

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(time, "sleep", lambda seconds: done.wait(min(seconds, 0.01)))
    parents = iter([7, 7, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    try:
        torch.set_num_threads(2)
        workers.prepare_process(7)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert torch.get_num_threads() == 1
        assert done.wait(30) and ended == [(1, True)]
        assert next(parents, None) is None
    finally:
        signal.signal(signal.SIGINT, before)
        torch.set_num_threads(threads)


def test_the_longest_is_the_one_that_takes_longest(tmp_path: Path) -> None:
    order: list[str] = []

    def watched(run: FakeRun) -> dict[str, Any]:
        order.append(run.experiment)
        pace = {"quick": 0.001, "heavy": 0.01}[run.experiment]
        return {**fake_train(run), "seconds": pace * run.steps}

    quick, heavy = (experiment(n, settings={"steps": s}) for n, s in (("quick", 9), ("heavy", 8)))
    swept(tmp_path, quick, heavy, train=watched)
    assert order[8:] == ["heavy"] * 4 + ["quick"] * 4  # the selection has shown it


def test_a_change_makes_a_new_state_and_leaves_the_one_that_an_interrupt_may_find() -> None:
    tried = experiment()
    before = State().with_experiment("one", tried)
    selection = before.plan.runs.values()
    run, left = before.queue.next(before.seconds_per_step())
    after = replace(before, queue=left).with_record(make_record(run, fake_train(run)))
    assert (len(before.queue.pending), before.ran, dict(before.records)) == (4, 0, {})
    assert (len(after.queue.pending), after.ran, keys(after.done)) == (3, 1, [run.key])
    assert before.selection_records(tried) is after.selection_records(tried) is None
    final = after.with_final_runs("one", all_runs(tried)[4:])
    assert (len(final.queue.pending), len(final.plan.runs), len(selection)) == (7, 8, 4)
    assert not final.plan.selecting and after.plan.selecting == {"one"}


# -- kills ----------------------------------------------------------------------------------------


def start(marks: Path, naps: float, *arguments: object) -> subprocess.Popen[str]:
    """Start the command over the fake experiments, in a process group of its own."""
    command = [sys.executable, "-m", "tests.sweep_fakes", str(marks), str(naps)]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something holds, or the process has ended."""
    end = time.monotonic() + PATIENCE
    while not what() and (process is None or process.poll() is None):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def count(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def processes_of(marks: Path) -> set[int]:
    return {int(text) for path in marks.iterdir() if (text := path.read_text())}


def finished(out: Path) -> dict[str, Record]:
    """What stands in the folder just now, gathered or not; a half-written record raises."""
    records = {record.key: record for record in read_records(out)}
    for part in (out / PARTS).glob("[!.]*"):
        if part.suffix == ".json":
            record = Record.from_line(part.read_text())
            records.setdefault(record.key, record)
    return records


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    marks, out = tmp_path / "marks", tmp_path / "out"
    marks.mkdir()
    out.mkdir()
    return marks, out


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_killed_at_any_moment_it_resumes_and_loses_and_repeats_nothing(
    places: tuple[Path, Path],
) -> None:
    marks, out = places
    chance = random.Random(4)
    naps = 0.06
    expected = all_runs(*many(str(marks), naps).values())
    safe: dict[str, Record] = {}  # what was finished when somebody was killed
    executed: dict[str, int] = {}  # how often, by then
    halfway = 0
    for _ in range(3):
        process = start(marks, naps, "run", "--out", out)
        wanted = count(marks, "*") + chance.randrange(1, 14)
        wait_for(lambda: count(marks, "*") >= wanted, process)  # noqa: B023
        time.sleep(chance.uniform(0, naps))
        process.kill()
        process.communicate()
        wait_for(lambda: not any(map(alive, processes_of(marks))))
        now = finished(out)
        assert now.keys() >= safe.keys(), "a finished run was lost"
        for key in now.keys() - safe.keys():
            safe[key], executed[key] = now[key], executions(marks, key)
        halfway += 0 < len(now) < len(expected)
    assert halfway >= 2, "the kills came too early or too late to mean anything"

    process = start(marks, naps, "run", "--out", out)
    before = processes_of(marks)
    wait_for(lambda: len(processes_of(marks) - before) > 1, process)
    with contextlib.suppress(ProcessLookupError):
        os.kill(max(processes_of(marks) - before), signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said

    records = read_records(out)
    assert files(out) == {"one.jsonl", "two.jsonl"}
    assert keys(records) == keys(expected)  # each once
    for record in records:
        if record.key in safe:
            assert record == safe[record.key]
            assert executions(marks, record.key) == executed[record.key], "it was run again"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no process group to interrupt")
@pytest.mark.parametrize("backend", ["processes", "dask"])
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    backend: str, places: tuple[Path, Path]
) -> None:
    marks, out = places
    process = start(marks, 0.1, "run", "--out", out, "--backend", backend)
    wait_for(lambda: count(out, f"{PARTS}/[!.]*") >= 3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    assert not any(map(alive, processes_of(marks)))
    assert 3 <= len(read_records(out)) < 48
    assert files(out) <= {"one.jsonl", "two.jsonl"}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_a_run_whose_worker_dies_is_run_again_and_one_that_kills_it_is_given_up(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    marks, out = places
    monkeypatch.setattr(queue, "MOST_DEATHS", 2)
    base = FakeExperiment(name="good", arms={"a": 0.1}, seeds=3, settings={"marks": str(marks)})
    once = replace(base, name="once", seeds=1, settings={**base.settings, "does": "die once"})
    always = replace(base, name="always", seeds=1, settings={**base.settings, "does": "die"})
    outcome, said = swept(out, once, always, base, backend="processes")
    assert keys(read_records(out)) == keys(all_runs(once, base))
    (failure,) = outcome.failed
    assert "always/a" in failure[0] and "died 2 times" in failure[1]
    assert outcome.status == 1
    assert said.count("FAILED") >= 1 and "once/a" in said


# -- the same without processes: a pool that dies when it is told to ------------------------------

SIX = experiment(rates=(), seeds=3, settings={"steps": 60_000})  # seconds each: 60


def swept_by(
    pool: FrailPool, out: Path, patch: pytest.MonkeyPatch, tried: FakeExperiment = SIX, **more: Any
) -> tuple[Outcome, str]:
    patch.setattr(runner, "start_workers", lambda *_: contextlib.nullcontext(pool))
    patch.setattr(runner, "wait", pool.wait)
    return swept(out, tried, **more)


def test_runs_whose_worker_died_are_run_again_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = FrailPool({SIX.run(arm="a", seed=0).key: 1})
    outcome, said = swept_by(pool, tmp_path, monkeypatch)
    # Three die together; one of them did it, so each is tried with nothing beside it.
    assert pool.together == [3, 1, 1, 1, 3, 2, 1] and pool.restarts == 1
    assert (outcome.status, outcome.ran) == (0, 6)
    assert keys(read_records(tmp_path)) == keys(all_runs(SIX))
    for seed in range(3):
        assert f"the worker of one/a (final, seed {seed}, lr 0.1) died; it is run again.\n" in said


def test_each_worker_is_given_as_many_runs_as_its_pool_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = FrailPool({})
    pool.per_worker = 2
    swept_by(pool, tmp_path, monkeypatch, experiment(rates=(), seeds=4))
    assert pool.together == [6, 6, 6, 5, 4, 3, 2, 1]


def test_a_run_that_kills_its_worker_three_times_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = SIX.run(arm="b", lr=0.3, seed=1)
    pool = FrailPool({deadly.key: 99})
    outcome, _ = swept_by(pool, tmp_path, monkeypatch)
    assert pool.started[deadly.key] == 3
    ((what, why),) = outcome.failed
    assert what == f"one/b (final, seed 1, lr 0.3): {deadly.to_dict()}"
    assert why == "Its worker died 3 times. Is there enough memory?"
    assert (outcome.status, outcome.ran) == (1, 5)


def test_a_run_that_was_finished_when_its_worker_died_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SIX.run(arm="a", seed=0)
    pool = FrailPool({done.key: 1}, late=tmp_path / PARTS)
    outcome, _ = swept_by(pool, tmp_path, monkeypatch)
    assert pool.started[done.key] == 1
    assert (outcome.status, outcome.ran) == (0, 6)


def test_a_pool_that_is_broken_before_a_run_starts_costs_no_run_a_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = FrailPool({})
    pool.broken = True
    outcome, said = swept_by(pool, tmp_path, monkeypatch)
    assert (outcome.status, outcome.ran, pool.restarts) == (0, 6, 1) and "died" not in said


def test_what_a_worker_elsewhere_finished_is_safe_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe = []

    def look(run: FakeRun) -> dict[str, Any]:
        safe.append(count(tmp_path / PARTS, "[!.]*.json"))
        return fake_train(run)

    swept_by(FrailPool({}), tmp_path, monkeypatch, train=look)
    assert safe == [0, 1, 2, 3, 4, 5]


def test_an_error_of_the_cluster_is_the_failure_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = SIX.run(arm="a", seed=1)
    outcome, _ = swept_by(FrailPool({}, lost=lost.key), tmp_path, monkeypatch)
    ((what, why),) = outcome.failed
    assert what.startswith("one/a (final, seed 1, lr 0.1)") and "the scheduler left" in why
    assert outcome.ran == 5


# -- what was left behind -------------------------------------------------------------------------


def put_part(out: Path, run: FakeRun, **changes: Any) -> Record:
    (out / PARTS).mkdir(exist_ok=True)
    record = make_record(run, {**fake_train(run), **changes})
    (out / PARTS / f"{run.key}.json").write_text(record.to_line())
    return record


def test_a_finished_run_that_was_not_gathered_is_not_run_again(places: tuple[Path, Path]) -> None:
    marks, out = places
    tried = experiment(settings={"marks": str(marks)})
    run = tried.selection_runs()[0]
    record = put_part(out, replace(run), seconds=77)
    before = executions(marks, run.key)
    outcome, _ = swept(out, tried)
    assert outcome.known == 1
    assert executions(marks, run.key) == before
    assert record in read_records(out)


def test_a_kill_between_gathering_and_tidying_counts_nothing_twice(tmp_path: Path) -> None:
    swept(tmp_path, experiment())
    before = (tmp_path / "one.jsonl").read_bytes()
    put_part(tmp_path, experiment().selection_runs()[0], seconds=77)
    swept(tmp_path, experiment())
    assert (tmp_path / "one.jsonl").read_bytes() == before
    assert files(tmp_path) == {"one.jsonl"}


def test_half_written_files_of_a_killed_sweep_are_removed(tmp_path: Path) -> None:
    (tmp_path / PARTS).mkdir()
    (tmp_path / PARTS / ".abc.json.1.tmp").write_text('{"half')
    (tmp_path / ".one.jsonl.1.tmp").write_text('{"half')
    swept(tmp_path, experiment())
    assert files(tmp_path) == {"one.jsonl"}


def test_a_write_that_is_cut_off_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"old")

    def cut(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(OSError, match="no space left"):
        folder.put(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == {"one.jsonl"}


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    (tmp_path / PARTS).mkdir()
    (tmp_path / PARTS / "abc.json").write_text('{"half')
    with pytest.raises(RecordError, match=r"abc\.json.*not a line of JSON"):
        swept(tmp_path, experiment())


def test_a_second_sweep_of_the_same_folder_is_refused(tmp_path: Path) -> None:
    refusals: list[str] = []

    def meddle(run: FakeRun) -> dict[str, Any]:
        with pytest.raises(SweepError) as caught:
            swept(tmp_path, experiment("two"))
        refusals.append(str(caught.value))
        return fake_train(run)

    outcome, said = swept(tmp_path, experiment(), train=meddle)
    assert outcome.status == 0, said
    assert len(refusals) == 8
    assert f"process {os.getpid()}" in refusals[0] and "--out" in refusals[0]
    assert swept(tmp_path, experiment("two"))[0].ran == 8  # free again


def test_a_sweep_at_work_shows_hidden_files_only_and_says_whose_they_are(tmp_path: Path) -> None:
    seen: set[str] = set()
    out = tmp_path / "a" / "folder"

    def look(run: FakeRun) -> dict[str, Any]:
        seen.update(files(out))
        assert (out / ".lock.process").read_text() == str(os.getpid())
        return fake_train(run)

    outcome, said = swept(out, experiment(rates=()), train=look)
    assert outcome.status == 0, said
    assert seen and all(name.startswith(".") for name in seen)


def test_a_second_sweep_is_refused_also_where_nobody_knows_the_first(tmp_path: Path) -> None:
    refusals: list[str] = []

    def meddle(run: FakeRun) -> dict[str, Any]:
        (tmp_path / ".lock.process").unlink(missing_ok=True)
        with pytest.raises(SweepError) as caught:
            swept(tmp_path, experiment("two"))
        refusals.append(str(caught.value))
        return fake_train(run)

    swept(tmp_path, experiment(rates=(), arms={"a": 0.1}, seeds=1), train=meddle)
    assert "another sweep (process unknown) is at work" in refusals[0]


def test_a_file_that_is_right_is_not_written_again(tmp_path: Path) -> None:
    swept(tmp_path, experiment())
    before = (tmp_path / "one.jsonl").stat()
    swept(tmp_path, experiment(), experiment("two"))
    after = (tmp_path / "one.jsonl").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_is_not_gathered_stays_where_gathering_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.suffix == ".jsonl":
            raise OSError("no space left")
        path.write_bytes(data)

    monkeypatch.setattr(folder, "write_atomically", full)
    with pytest.raises(OSError, match="no space left"):
        swept(tmp_path, experiment())
    assert len(finished(tmp_path)) == 8


def test_a_run_computes_on_one_thread_in_this_process_too(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        swept(tmp_path, experiment())
    finally:
        torch.set_num_threads(threads)
    assert {record.scores["threads"] for record in read_records(tmp_path)} == {1}


# -- changed settings -----------------------------------------------------------------------------


def test_records_of_other_settings_are_reported_and_kept(tmp_path: Path) -> None:
    swept(tmp_path, experiment(settings={"steps": 5}))
    outcome, said = swept(tmp_path, experiment(settings={"steps": 6}))
    assert outcome.ran == 8
    assert len(outcome.stale) == 8
    assert "one: 8 records belong to no run of today (kept; leave them out with --prune).\n" in said
    assert len(read_records(tmp_path)) == 16


def test_prune_leaves_them_out(tmp_path: Path) -> None:
    swept(tmp_path, experiment(settings={"steps": 5}), experiment("two"))
    today = experiment(settings={"steps": 6})
    outcome, said = swept(tmp_path, today, prune=True)
    assert "one: 8 records belong to no run of today (left out).\n" in said
    assert keys(outcome.stale) == keys(all_runs(experiment(settings={"steps": 5})))
    # An experiment that was not asked for is not touched.
    assert keys(read_records(tmp_path)) == keys(all_runs(today, experiment("two")))


def test_prune_spares_final_records_while_nobody_knows_the_final_runs(tmp_path: Path) -> None:
    swept(tmp_path, experiment())
    wider = experiment(rates=(0.1, 0.3, 0.9))

    def fails(run: FakeRun) -> dict[str, Any]:
        raise ArithmeticError

    swept(tmp_path, wider, train=fails, prune=True)
    assert len(read_records(tmp_path)) == 8


def test_what_is_stale_is_told_of_every_experiment(tmp_path: Path) -> None:
    for steps in (5, 6):
        pair = [experiment(name, settings={"steps": steps}) for name in ("one", "two")]
        outcome, _ = swept(tmp_path, *pair)
    assert Counter(record.experiment for record in outcome.stale) == {"one": 8, "two": 8}


def test_a_selection_of_other_settings_is_stale_also_while_final_runs_are_unknown(
    tmp_path: Path,
) -> None:
    swept(tmp_path, experiment(settings={"steps": 5}))

    def fails(run: FakeRun) -> dict[str, Any]:
        raise ArithmeticError

    swept(tmp_path, experiment(settings={"steps": 6}), train=fails, prune=True)
    assert [record.stage for record in read_records(tmp_path)] == ["final"] * 4


def test_only_selection_records_of_today_choose_the_rate(tmp_path: Path) -> None:
    swept(tmp_path, experiment(settings={"steps": 5}))
    # FakeExperiment.final_runs refuses any but its own.
    assert swept(tmp_path, experiment(settings={"steps": 6}))[0].status == 0


def test_records_made_with_other_versions_are_mentioned(tmp_path: Path) -> None:
    swept(tmp_path, experiment())
    path = tmp_path / "one.jsonl"
    path.write_text(re.sub(r'"torch":"[^"]*"', '"torch":"0.4"', path.read_text(), count=3))
    outcome, said = swept(tmp_path, experiment())
    assert outcome.ran == 0
    assert "3 finished runs were made with other versions" in said


# -- failures -------------------------------------------------------------------------------------


def test_a_failing_run_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    bad = experiment("bad", rates=(), settings={"does": "fail"})
    outcome, said = swept(tmp_path, bad, experiment("one"))
    assert outcome.status == 1
    assert len(outcome.failed) == 4
    assert "FAILED bad/a (final, seed 0, lr 0.1)" in said
    assert "'does': 'fail'" in said
    assert "ArithmeticError: the loss of seed 0 is no number" in said
    assert "Traceback" in said and "\n\n" not in said
    assert keys(read_records(tmp_path)) == keys(all_runs(experiment("one")))


def test_a_failed_run_is_tried_again_by_the_next_sweep(tmp_path: Path) -> None:
    attempts: Counter[str] = Counter()

    def fails_once(run: FakeRun) -> dict[str, Any]:
        attempts[run.key] += 1
        if attempts[run.key] == 1 and run.seed == 1:
            raise ArithmeticError
        return fake_train(run)

    first, _ = swept(tmp_path, experiment(), train=fails_once)
    second, _ = swept(tmp_path, experiment(), train=fails_once)
    assert (first.status, second.status) == (1, 0)
    assert (first.ran, second.ran) == (6, 2)


def test_without_all_selection_records_no_final_run_starts(tmp_path: Path) -> None:
    def fails(run: FakeRun) -> dict[str, Any]:
        if run.stage == "select" and run.lr == 0.3 and run.experiment == "one":
            raise ArithmeticError
        return fake_train(run)

    outcome, said = swept(tmp_path, experiment("one"), experiment("two"), train=fails)
    assert outcome.status == 1
    assert Counter(record.experiment for record in read_records(tmp_path)) == {"one": 2, "two": 8}
    assert "one: its final runs have to wait" in said


class Undecided(FakeExperiment):
    def final_runs(self, records: list[Record]) -> list[FakeRun]:
        raise ZeroDivisionError("no rate is best")


def test_an_experiment_that_cannot_choose_does_not_stop_the_others(tmp_path: Path) -> None:
    undecided = Undecided(name="odd", arms={"a": 0.1}, rates=(0.1,), settings={})
    outcome, said = swept(tmp_path, undecided, experiment("one"))
    assert outcome.status == 1
    assert "the final runs of odd" in said and "no rate is best" in said
    assert Counter(r.experiment for r in read_records(tmp_path)) == {"odd": 1, "one": 8}


def test_an_experiment_that_cannot_choose_keeps_its_final_records_and_waits_for_no_run(
    tmp_path: Path,
) -> None:
    decided = FakeExperiment(name="odd", arms={"a": 0.1}, rates=(0.1,), settings={})
    swept(tmp_path, decided)
    before = read_records(tmp_path)
    undecided = Undecided(name="odd", arms={"a": 0.1}, rates=(0.1,), settings={})
    outcome, said = swept(tmp_path, undecided, experiment("one"), prune=True)
    assert len(before) == 3 and read_records(tmp_path / "odd.jsonl") == before
    assert not outcome.stale and "have to wait" not in said


def test_a_result_that_is_no_record_is_the_failure_of_its_run(tmp_path: Path) -> None:
    def odd(run: FakeRun) -> dict[str, Any]:
        return {**fake_train(run), "scores": {"accuracy": "good"}}

    outcome, said = swept(tmp_path, experiment(), train=odd)
    assert outcome.status == 1
    assert "scores.accuracy" in said and "'good'" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "threads"}, ["backend", "'threads'", "processes, dask"]),
        ({"jobs": 0}, ["jobs", "0", "at least 1"]),
        ({"scheduler": "tcp://host:1"}, ["scheduler", "'serial'", "'dask'"]),
    ],
)
def test_a_bad_option_is_named_with_its_limit(
    options: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(SweepError) as caught:
        swept(tmp_path, experiment(), **options)
    for word in words:
        assert word in str(caught.value)


def test_two_runs_with_the_same_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"one/a .* is there twice"):
        swept(tmp_path, experiment(rates=(0.1, 0.1)))


def test_a_key_that_is_no_hash_of_the_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRun, "key", "1234")
    with pytest.raises(SweepError, match=r"'1234' is no hash of its settings"):
        swept(tmp_path, experiment())


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [
        ("processes", "joblib.externals.loky", "simplellm[sweep]"),
        ("dask", "distributed", "simplellm[dask]"),
    ],
)
def test_a_missing_library_is_named_with_how_to_install_it(
    backend: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SweepError) as caught:
        swept(tmp_path, experiment(), backend=backend)
    assert extra in str(caught.value)


# -- progress -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_few_lines_and_a_terminal_one_that_is_rewritten(tmp_path: Path) -> None:
    _, log = swept(tmp_path / "a", experiment(seeds=20))
    terminal = Terminal()
    swept(tmp_path / "b", experiment(seeds=20), stream=terminal)
    assert len(log.splitlines()) == 2
    assert log.splitlines()[-1] == "44/44 runs"
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().count("\r") > 40
    assert terminal.getvalue().rstrip().endswith("44/44 runs")


def test_time_left_is_that_of_finished_runs_by_their_steps(tmp_path: Path) -> None:
    # 2 final runs of 60 000 steps at 1 ms each, of which one is done, leave one minute.
    terminal = Terminal()
    tried = experiment(rates=(), arms={"a": 0.1}, seeds=4, settings={"steps": 60_000})
    swept(tmp_path, tried, stream=terminal)
    lefts = re.findall(r"(\d)/4 runs, about (.*?) left", terminal.getvalue())
    # Two wait and one is running, of which half is taken to be done; and so on.
    assert lefts == [("1", "2 min 30 s"), ("2", "1 min 30 s"), ("3", "30 s")]


def test_time_left_is_shared_by_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    swept_by(FrailPool({}), tmp_path, monkeypatch, stream=terminal)
    # One of six is done, two wait, three are half done: 3.5 minutes for three workers.
    assert "\r1/6 runs, about 1 min 10 s left" in terminal.getvalue()


def test_each_experiment_has_its_own_pace_and_at_first_that_of_all(tmp_path: Path) -> None:
    def train(run: FakeRun) -> dict[str, Any]:
        return {**fake_train(run), "seconds": {"one": 60, "two": 180}[run.experiment]}

    terminal = Terminal()
    pair = [
        experiment(name, rates=(), arms={"a": 0.1}, settings={"steps": 9})
        for name in ("one", "two")
    ]
    swept(tmp_path, *pair, train=train, stream=terminal)
    lefts = re.findall(r"(\d)/4 runs, about (.*?) left", terminal.getvalue())
    # Nobody knows before the third has run that "two" takes three minutes.
    assert lefts == [("1", "2 min 30 s"), ("2", "1 min 30 s"), ("3", "1 min 30 s")]


def test_progress_says_what_failed_and_what_cannot_begin(tmp_path: Path) -> None:
    def fails(run: FakeRun) -> dict[str, Any]:
        return fake_train(run) if run.lr == 0.1 or run.arm == "b" else {}

    terminal = Terminal()
    swept(tmp_path, experiment(), train=fails, stream=terminal)
    assert screen(terminal.getvalue())[-3:-1] == [
        "3/4 runs, and then the final runs of 1 experiments, 1 FAILED",
        "one: its final runs have to wait for the selection runs that failed.",
    ]


def screen(written: str) -> list[str]:
    """What a terminal shows: a carriage return goes back, what follows is written over."""
    rows = []
    for row in written.split("\n"):
        shown = ""
        for text in row.split("\r"):
            shown = text + shown[len(text) :]
        rows.append(shown.rstrip())
    return rows


def test_a_terminal_shows_no_rest_of_a_longer_line() -> None:
    terminal = Terminal()
    progress = report.Progress(terminal)
    progress.update("10 runs, one minute left")
    progress.update("9 runs")
    assert screen(terminal.getvalue()) == ["9 runs"]
    progress.line("news")
    progress.update("8 runs", last=True)
    progress.line("end")
    assert screen(terminal.getvalue()) == ["news", "8 runs", "end", ""]


def test_a_log_gets_a_line_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    progress = report.Progress(log)
    for second in (100, 110, 129, 130, 159, 161):
        monkeypatch.setattr(time, "monotonic", lambda now=second: now)
        progress.update(f"at {second}")
    progress.update("end", last=True)
    assert log.getvalue() == "at 100\nat 130\nat 161\nend\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (135, "2 min 15 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    monkeypatch.chdir(tmp_path)
    experiments = {each.name: each for each in (experiment("one"), experiment("two"))}

    def call(*arguments: str) -> int:
        return main(list(arguments), experiments, fake_train)

    yield call


def test_run_list_and_summary_tell_one_story(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("run", "two", "--backend", "serial") == 0
    assert files(tmp_path) == {"sweep-results", "sweep-results/two.jsonl"}
    assert "8 runs in" in capsys.readouterr().err
    assert command("list") == 0
    listed = capsys.readouterr().out
    assert re.search(r"^one +0/4 +after selection +an experiment$", listed, re.MULTILINE)
    assert re.search(r"^two +4/4 +4/4 +an experiment$", listed, re.MULTILINE)
    assert command("summary") == 0
    summed = capsys.readouterr().out
    assert "one" not in summed
    # Seeds 0 and 1 score 0 and 1/3: mean 1/6, s = 1/√18, t = 12.706, so ± 12.706/6.
    assert re.search(r"^a +2 +0\.1 +0\.1667 ± 2\.1 ", summed, re.MULTILINE)


def test_summary_sees_runs_that_are_not_gathered_yet(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "sweep-results"
    out.mkdir()
    put_part(out, experiment("one").run(arm="a", lr=0.1, seed=1))
    assert command("summary") == 0
    assert re.search(r"^a +1 +0\.1 +0\.3333 ± – ", capsys.readouterr().out, re.MULTILINE)


def test_summary_counts_final_records_only_and_opens_inner_scores(tmp_path: Path) -> None:
    runs = [FakeRun(experiment="e", arm="a", seed=seed) for seed in range(3)]
    result = {"losses": [], "scores": {"at": {"32": 1, "64": 0.5}, "curve": [1, 2]}, "seconds": 2}
    records = [make_record(run, result) for run in runs]
    records.append(make_record(FakeRun(experiment="e", arm="b", stage="select"), result))
    assert sweep.summary(records).splitlines() == [
        "e",
        "arm  seeds   lr  at.32    at.64  seconds",
        "a        3  0.1  1 ± 0  0.5 ± 0        6",
    ]


def test_an_unknown_experiment_is_answered_with_those_there_are(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("run", "three", "two", "four") == 2
    assert capsys.readouterr().err == "no such experiment: three, four. There are: one, two.\n"


def test_a_sweep_that_cannot_start_says_why_in_one_line(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("run", "--jobs", "0") == 2
    assert capsys.readouterr().err == "jobs must be at least 1, got 0.\n"


def test_a_damaged_file_is_named_by_file_and_line(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command("run", "--backend", "serial")
    path = tmp_path / "sweep-results" / "two.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    values = json.loads(lines[4])
    values["seconds"] = -1
    lines[4] = json.dumps(values) + "\n"
    path.write_text("".join(lines))
    capsys.readouterr()
    assert command("run", "--backend", "serial") == 2
    assert capsys.readouterr().err == (
        "two.jsonl, line 5: field 'seconds' must be a number of at least 0, got -1.\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["summary", "--help"]])
def test_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "python -m simplellm.sweep" in capsys.readouterr().out


def test_a_file_in_place_of_the_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("words")
    for out in ("README.md", "README.md/deeper"):
        assert main(["run", "--out", str(tmp_path / out)], {}, lambda run: {}) == 2
        assert "out must be a folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"'{sys.executable}' -m simplellm.sweep summary | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "r" and done.stderr == ""


class Left:
    """A stream whose reader has gone."""

    closed = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize("kind", ["left", "closed", "none"])
def test_a_sweep_goes_on_when_nobody_hears_of_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", {"left": Left(), "closed": closed, "none": None}[kind])
    out = str(tmp_path / "out")
    one = {"one": experiment()}
    command = ["run", "--out", out, "--backend", "serial"]
    assert main(command, one, fake_train) == 0
    assert len(read_records(tmp_path / "out")) == 8
    assert main(["run", "other", "--out", out], one, fake_train) == 2


@pytest.mark.parametrize("error", [PermissionError, NotADirectoryError, OSError])
def test_files_that_cannot_be_read_are_said_in_one_line(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> None:
        raise error("no way in")

    monkeypatch.setattr(folder, "read_records", refuse)
    assert main(["list", "--out", "anywhere"], {}, fake_train) == 2
    assert capsys.readouterr().err == "no way in\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the command asks of `run_sweep`, which runs nothing and answers with the last item."""
    calls: list[Any] = []

    def record(*given: Any, **options: Any) -> Outcome:
        calls.append((given, options))
        return Outcome(ran=3, known=4, failed=[("one/a", "Traceback\n  …\nKeyError: 1\n")])

    monkeypatch.setattr(command_line, "run_sweep", record)
    monkeypatch.chdir(tmp_path)
    return calls


def test_the_book_is_swept_by_two_processes_where_nothing_else_is_said(asked: list[Any]) -> None:
    from simplellm.experiments import EXPERIMENTS
    from simplellm.training import train

    main(["run"])
    ((experiments, by, out), options) = asked[0]
    assert (experiments, by, out) == (EXPERIMENTS, train, Path("sweep-results"))
    assert options == {"jobs": 2, "backend": "processes", "scheduler": None, "prune": False}


def test_every_option_reaches_the_sweep(asked: list[Any]) -> None:
    words = "run two --out there --jobs 5 --backend dask --scheduler tcp://host:1 --prune"
    experiments = {name: experiment(name) for name in ("one", "two")}
    main(words.split(), experiments, fake_train)
    ((chosen, _, out), options) = asked[0]
    assert (list(chosen), out) == (["two"], Path("there"))
    assert options == {"jobs": 5, "backend": "dask", "scheduler": "tcp://host:1", "prune": True}


def test_the_end_of_a_sweep_is_summed_up(
    asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--out", "there"]) == 1
    assert capsys.readouterr().err == (
        "3 runs in 0 s, 4 done before, 1 failed; records in there\nFAILED one/a: KeyError: 1\n"
    )


def test_help_says_what_there_is_and_what_holds_without_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def told(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        printed = capsys.readouterr().out
        assert bool(arguments) or str(sweep.__doc__) in printed
        return " ".join(printed.split())

    assert told().startswith("usage: python -m simplellm.sweep [-h] COMMAND")
    for command, text in {
        "list": "show the experiments and how many of their runs are done",
        "run": "run what is not done yet; the same command again resumes",
        "summary": "show mean ± 95 % interval over seeds",
    }.items():
        assert f" {command} {text}" in told() and f" {text}" in told(command)
        assert re.search(r"EXPERIMENT .*all where none is named", told(command))
    assert "--out DIR" in told("list") and "sweep-results if there is one" in told("summary")
    run = told("run")
    for option, default in {
        "--out DIR": "sweep-results",
        "--jobs N": "2",
        "--backend {processes,dask,serial}": "processes",
        "--prune": "report and keep",
    }.items():
        assert re.search(rf"{option} [^()]*\(default: {default}\)", run), option
    assert "a Dask cluster, or, for a debugger, in this process" in run
    assert "--scheduler ADDRESS of a Dask cluster whose workers have simplellm" in run
    assert "as tcp://host:8786; without it one of N workers is started here" in run


def test_a_command_is_needed_and_its_options_are_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, said in {
        "": "required: COMMAND",
        "run --jobs many": "invalid int value: 'many'",
        "run --backend threads": "invalid choice: 'threads'",
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(words.split())
        assert ended.value.code == 2 and said in capsys.readouterr().err


def test_progress_and_reports_go_to_standard_error(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("run", "one", "--backend", "serial") == 0
    said = capsys.readouterr()
    assert said.out == "" and "8/8 runs\n8 runs in 0 s, 0 done before, 0 failed" in said.err


def test_the_records_shown_are_those_of_the_folder_or_the_shipped_ones(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("summary") == 0
    assert capsys.readouterr().out == "records: shipped with the package\n\nnone yet\n"
    swept(tmp_path / "there", experiment())
    command("list", "--out", "there")
    assert "records: there\n\nexperiment" in capsys.readouterr().out
    swept(tmp_path / "sweep-results", experiment())
    command("list")
    assert "records: sweep-results\n" in capsys.readouterr().out


def test_a_list_says_how_far_each_experiment_is() -> None:
    whole, begun, fresh = experiment("whole", seeds=1), experiment("begun"), experiment("fresh")
    plain = replace(experiment("plain", rates=()), title="without a choice")
    runs = [*all_runs(whole), *begun.selection_runs()[1:], *all_runs(plain)[:3]]
    done = [make_record(run, fake_train(run)) for run in runs]
    named = {each.name: each for each in (whole, begun, fresh, plain)}
    assert sweep.listing(named, done).splitlines() == [
        "experiment  selection            final",
        "whole             4/4              2/2  an experiment",
        "begun             3/4  after selection  an experiment",
        "fresh             0/4  after selection  an experiment",
        "plain               –              3/4  without a choice",
    ]


def test_a_summary_has_a_table_for_each_experiment_and_a_dash_where_nothing_is() -> None:
    def one(name: str, arm: str, scores: dict[str, Any], **settings: Any) -> Record:
        run = {"experiment": name, "arm": arm, "stage": "final", **settings}
        return make_record(run, {"losses": [], "scores": scores, "seconds": 1.4})

    select = FakeRun(experiment="three", arm="a", stage="select")
    records = [
        one("one", "a", {"loss": 0.123456}, lr=0.01, seed=0),
        one("two", "long name", {"at": 5, "by": {"all": 1, "at": {"3": 2}}}),
        one("one", "b", {"other": 1}, lr=0.1, seed=0),
        one("one", "b", {"other": 3}, lr=0.03, seed=1),
        make_record(select, fake_train(select)),
    ]
    assert sweep.summary(records).split("\n") == [
        "one",
        "arm  seeds         lr        loss   other  seconds",
        "a        1       0.01  0.1235 ± –       –        1",
        "b        2  0.03, 0.1           –  2 ± 13        3",
        "",
        "two",
        "arm        seeds  lr     at  by.all  by.at.3  seconds",
        "long name      1   –  5 ± –   1 ± –    2 ± –        1",
        "",
        "three",
        "no final records yet",
        "",
    ]


@pytest.mark.parametrize("moment", ["training", "reading"])
def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on_in_this_process_too(
    moment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(run: FakeRun) -> dict[str, Any]:
        if run.stage == "final":
            raise KeyboardInterrupt
        return fake_train(run)

    def reading(_: object) -> None:
        raise KeyboardInterrupt

    if moment == "reading":
        monkeypatch.setattr(folder, "read_records", reading)
    words = ["run", "--backend", "serial", "--out", str(tmp_path)]
    assert main(words, {"one": experiment()}, interrupted) == 130
    said = capsys.readouterr().err
    assert said.endswith("interrupted; run the same command again to go on\n")
    assert files(tmp_path) == ({"one.jsonl"} if moment == "training" else set())
    monkeypatch.undo()
    assert len(read_records(tmp_path)) == (4 if moment == "training" else 0)


def test_a_pipe_that_is_closed_ends_the_command_quietly(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert command("list") == 0
        monkeypatch.undo()
