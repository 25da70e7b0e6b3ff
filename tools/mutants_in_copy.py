"""Change a copy of the package one thing at a time, and see which change no test notices.

    python -m tools.mutants_in_copy RESULT [MUTANT ...]     (tools/mutants.py starts it there)

mutmut makes the mutants and mypy refuses some. For the rest mutmut would start pytest anew each
time; here pytest collects the tests once, and each mutant gets a fork of that process, which runs
the tests that reach the mutated function until one fails. That takes a tenth of the time.
"""

from __future__ import annotations

import doctest
import gc
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import mutmut.__main__ as mutmut
import pytest
from mutmut.mutation import trampoline

WORKERS = os.cpu_count() or 1


def make(typed: bool) -> tuple[list[str], set[str]]:
    """Write the mutants into ./mutants; return their names and those that mypy refuses."""
    Path("mutants").mkdir()
    trampoline.set_mutant_under_test("mutant_generation")
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(WORKERS)
    refused = set(mutmut.filter_mutants_with_type_checker()) if typed else set()
    found, _ = mutmut.collect_source_file_mutation_data(mutant_names=())
    return [name for _, name, _ in found], refused


def look_once_at_an_example() -> None:
    """Have doctest pass over mutants: each has its function's docstring, hundreds of times."""
    find = doctest.DocTestFinder.find

    def once(self: doctest.DocTestFinder, *args: Any, **options: Any) -> list[doctest.DocTest]:
        found = find(self, *args, **options)
        return [test for test in found if not re.search(r"__mutmut_\d+$", test.name)]

    doctest.DocTestFinder.find = once  # type: ignore[method-assign]


class Forks:
    """A plugin that takes the place of pytest's loop over the tests."""

    def __init__(self, names: list[str], folder: Path, result: Path) -> None:
        """Try the mutants with these names; children leave their notes in the folder."""
        self.names, self.folder, self.result = names, folder, result
        known = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        self.verdicts: dict[str, str] = known.get("verdicts", {})  # of a run that was stopped
        self.left_out: list[str] = []
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice a failure of this process's test."""
        self.failed = self.failed or report.failed

    def passes(self, item: pytest.Item) -> bool:
        """Run one test."""
        self.failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.failed

    def child(self, session: pytest.Session, seconds: float) -> int:
        """Fork; in the child, see to it that it ends, writes nothing, and shares no folder."""
        pid = os.fork()
        if not pid:
            os.setsid()  # so that what its tests have started can be ended with it
            signal.alarm(int(60 + 30 * seconds))
            used = time.process_time()
            limit = int(used + 10 + 4 * seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            folders = session.config._tmp_path_factory  # type: ignore[attr-defined]
            folders._basetemp, folders._given_basetemp = None, self.folder / f"{os.getpid()}"
        return pid

    def look(self, session: pytest.Session) -> dict[str, tuple[float, list[str]]]:
        """Return for every test its processor time and the functions that it reaches."""
        note = self.folder / "reached.json"
        if not self.child(session, 600):
            found, reached = {}, set[str]()
            trampoline.record_trampoline_hit = lambda name, caller=None: reached.add(name)
            trampoline.set_mutant_under_test("stats")
            for item in session.items:
                reached.clear()
                start = time.process_time()
                if self.passes(item):
                    found[item.nodeid] = (time.process_time() - start, sorted(reached))
            note.write_text(json.dumps(found), encoding="utf-8")
            os._exit(0)
        os.wait()
        return json.loads(note.read_text(encoding="utf-8"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Look which tests reach which function, then fork for each mutant."""
        import torch._dynamo  # noqa: F401 (many tests come to it, and it takes a second)

        gc.collect()
        gc.freeze()  # or a child's collections copy every page of what it shares
        seen = self.look(session)
        self.left_out = [item.nodeid for item in session.items if item.nodeid not in seen]
        reaching: dict[str, list[pytest.Item]] = defaultdict(list)
        # The quickest first; a test that has caught a mutant of a function moves to its front.
        for item in sorted(session.items, key=lambda item: seen.get(item.nodeid, (0,))[0]):
            for function in seen.get(item.nodeid, (0, []))[1]:
                reaching[function].append(item)
        running: dict[int, str] = {}
        for name in self.names:
            if name in self.verdicts:
                continue
            tests = reaching[name.partition("__mutmut_")[0]]
            if not tests:
                self.verdicts[name] = "survived"
                continue
            while len(running) >= WORKERS:
                self.end_one(running, reaching)
            pid = self.child(session, sum(seen[item.nodeid][0] for item in tests))
            if not pid:
                self.try_one(name, tests)
            running[pid] = name
        while running:
            self.end_one(running, reaching)
        return True

    def try_one(self, name: str, tests: list[pytest.Item]) -> None:
        """In a child: run the tests until one fails, and end."""
        status = 1
        try:
            trampoline.set_mutant_under_test(name)
            caught = next((item for item in tests if not self.passes(item)), None)
            if caught is None:
                status = 0
            else:
                note = self.folder / f"{os.getpid()}.txt"
                note.write_text(caught.nodeid, encoding="utf-8")
        finally:
            os._exit(status)

    def keep(self) -> None:
        """Write down what is known, as a whole or not at all."""
        note = {"verdicts": self.verdicts, "left out": self.left_out}
        new = self.result.with_suffix(".new")
        new.write_text(json.dumps(note), encoding="utf-8")
        new.replace(self.result)

    def end_one(self, running: dict[int, str], reaching: dict[str, list[pytest.Item]]) -> None:
        """Wait for a child and take down what became of its mutant."""
        pid, status = os.wait()
        name = running.pop(pid)
        self.verdicts[name] = "killed" if status else "survived"
        self.keep()
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shutil.rmtree(self.folder / f"{pid}", ignore_errors=True)
        note = self.folder / f"{pid}.txt"
        if note.is_file():
            caught = note.read_text(encoding="utf-8")
            tests = reaching[name.partition("__mutmut_")[0]]
            tests.sort(key=lambda item: item.nodeid != caught)
            note.unlink()


def main() -> int:
    """Try the mutants that are named, or all; write {mutant: verdict} and what was left out."""
    result, names = Path(sys.argv[1]), sys.argv[2:]
    found, refused = make(typed=not names)
    folder = Path("notes").absolute()
    folder.mkdir()
    forks = Forks([name for name in names or found if name not in refused], folder, result)
    settings = mutmut.config()
    os.chdir("mutants")
    look_once_at_an_example()
    trampoline.set_mutant_under_test("")
    arguments = [*settings.pytest_add_cli_args, *settings.pytest_add_cli_args_test_selection]
    status = pytest.main(["-q", "-s", "--rootdir=.", *arguments], plugins=[forks])
    forks.verdicts.update(dict.fromkeys(refused, "types"))
    forks.keep()
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
