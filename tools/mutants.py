"""Mutation testing: does a test fail where the package does something else?

    python -m tools.mutants [NAME ...]     (modules: attention, claims/rules, ...; topics: layer,
                                            decoder, ...; without names: all)

mutmut changes one thing at a time in a module (a mutant) and runs the tests of that module. A
mutant that no test notices has survived: a test is missing, or the change means nothing. Those that
mean nothing are listed in tests/equivalent_mutants.toml, each with its reason.

What mutmut leaves alone: code outside of functions, and functions with a decorator. What
traces the package (torch.compile, torch.export) is skipped, because nothing can be traced through
the wrapper that mutmut puts around every function: see tests/conftest.py.

A whole run takes hours, so it is no part of `make test`. What was measured is kept in
.make/mutants: stop it and go on as you like. When a module has changed, all of its mutants are
tried again; when only its tests have, those that had survived (delete .make/mutants to try every
one). Modules that the same tests answer for share one run, because mypy and a first run of the
tests come before it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tools.machine.common import ROOT, digest, log, main_guard, seconds_since, write_atomically

# Texts and broken classes: nobody promises that a hint reads as it does.
CATALOGUES = (
    "simplellm/exercises/",
    "simplellm/silent_bugs/mutants",
    "simplellm/silent_bugs/variants",
    "simplellm/silent_bugs/correct",
    "simplellm/silent_bugs/from_life",
)
JUDGES = (
    "simplellm/exercises/judging",
    "simplellm/exercises/_answers",
)  # in the folder of the exercises' catalogues: the code that judges answers

# Modules that one set of tests answers for, by topic (the first pattern that fits a module counts).
TOPICS: dict[str, tuple[list[str], list[str]]] = {
    "layer": (
        "checks conventions identify row_lookup *_embedding positional_encoding".split()
        + "saved_sinusoids sinusoids survey".split(),
        "checks contracts conventions identify survey every_layer".split()
        + "input_* learned_* positional_* sinusoids token_*".split(),
    ),
    "decoder": (
        "attention cache checkpoints config files generation loss model".split()
        + "padding *positions schemes/*".split(),
        "attention cache checkpoints generation loss model *positions* schemes segments".split(),
    ),
    "text": (["byte_pairs", "corpus", "vocabulary"], ["corpus", "vocabulary"]),
    "runs": (
        ["experiments", "plain", "records/*", "similarity", "stretching", "tasks", "training"],
        ["experiments", "records", "results", "stretching", "tasks", "training"],
    ),
    "sweep": (["sweep/*"], ["sweep"]),
    "pictures": (
        ["cards*", "heatmap/*", "in_the_wild/*", "palette", "plots", "printing"],
        ["cards", "heatmap", "in_the_wild", "plots", "printing"],
    ),
    "claims": (["claims/*"], ["claims*"]),
    "weights": (["real_models/*"], ["real_models*"]),
    "exercises": (["exercises/*"], ["exercises", "judges"]),
    "bench": (["silent_bugs/*"], ["silent_bugs*", "bench*"]),
}

COPIED = ["_ext", "chapters", "tests", "tools", "simplellm", "*.toml", "*.txt", "*.md", "*.yml"]
COPIED += ["*.cff", "LICENSE", "Makefile"]

CONFIGURATION = """

[tool.mutmut]
source_paths = ["simplellm"]
only_mutate = {modules}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-m", "not slow"]
pytest_add_cli_args_test_selection = {tests}
also_copy = {copied}
"""

TYPE_CHECK = """
type_check_command = ["python", "-m", "mypy", "simplellm", "--output", "json",
  "--disable-error-code", "unused-ignore", "--cache-dir", {cache}]
"""

SURVIVORS = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
path, names = json.load(sys.stdin)
print(json.dumps({name: get_diff_for_mutant(name, path=path) for name in names}))
"""


def modules() -> list[Path]:
    """Return the modules of the package that have something to mutate."""
    found = []
    for path in sorted((ROOT / "simplellm").rglob("*.py")):
        stem = path.relative_to(ROOT).with_suffix("").as_posix()
        if path.stem.startswith("__"):
            continue  # what gathers names, and what starts a command
        if stem in JUDGES or not stem.startswith(CATALOGUES):
            found.append(path)
    return found


def name_of(module: Path) -> str:
    """Return "claims/rules" for simplellm/claims/rules.py."""
    return module.relative_to(ROOT / "simplellm").with_suffix("").as_posix()


def topic_of(module: Path) -> str:
    """Return the topic of a module."""
    name = name_of(module)
    for topic, (patterns, _) in TOPICS.items():
        if any(fnmatch(name, pattern) for pattern in patterns):
            return topic
    sys.exit(f"no tests are known for {name}: give it a topic in TOPICS of tools/mutants.py")


def tests_of(topic: str) -> list[str]:
    """Return the test files that answer for the modules of a topic."""
    folder = ROOT / "tests"
    files = {path for name in TOPICS[topic][1] for path in folder.glob(f"test_{name}.py")}
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def equivalents() -> list[dict[str, str]]:
    """Return the equivalent mutants: module, the lines before and after the change, and why."""
    text = (ROOT / "tests" / "equivalent_mutants.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["mutant"]


def changed_lines(diff: str, sign: str) -> str:
    """Return the lines that a diff takes away ("-") or brings ("+"), without their margins."""
    lines = [line[1:].strip() for line in diff.splitlines()[2:] if line.startswith(sign)]
    return "\n".join(lines)


def prepare(tree: Path, modules: list[Path], typed: bool) -> None:
    """Copy the project into a folder, with what mutmut is to do there."""
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            if path.is_dir():
                shutil.copytree(path, tree / path.name)
            else:
                shutil.copy2(path, tree)
    cache = ROOT / ".make" / "mutants" / "mypy"
    text = CONFIGURATION.format(
        modules=json.dumps([path.relative_to(ROOT).as_posix() for path in modules]),
        tests=json.dumps(tests_of(topic_of(modules[0]))),
        copied=json.dumps([path.name for path in tree.iterdir()]),
    )
    if typed:
        text += TYPE_CHECK.format(cache=json.dumps(str(cache)))
    with (tree / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(text)


def measure(modules: list[Path], names: list[str]) -> dict[Path, dict[str, Any]]:
    """Run mutmut in a copy of the project; return each module's verdicts and survivors.

    Without names all mutants are tried, with mypy before the tests; mutants that are named have
    passed mypy already.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        prepare(tree, modules, typed=not names)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        inputs = [path.relative_to(ROOT).as_posix() for path in modules]
        key = digest(ROOT, [*inputs, *tests_of(topic_of(modules[0]))])
        note = ROOT / ".make" / "mutants" / f"running-{key[:12]}{'-again' if names else ''}.json"
        command = [sys.executable, "-m", "tools.mutants_in_copy", str(note), *names]
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode:
            print("\n".join(done.stdout.splitlines()[-60:]))
            sys.exit(f"{name_of(modules[0])}: no result; the last output is above")
        measured = json.loads(note.read_text(encoding="utf-8"))
        for test in measured["left out"]:
            log("mutants", f"left out, because it fails where nothing is changed: {test}")
        results = {}
        for module in modules:
            stem = module.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
            verdicts = {
                name: verdict
                for name, verdict in measured["verdicts"].items()
                if name.rpartition(".")[0] == stem
            }
            survivors = [name for name, verdict in verdicts.items() if verdict == "survived"]
            diffs = subprocess.run(
                [sys.executable, "-c", SURVIVORS],
                cwd=tree,
                input=json.dumps([module.relative_to(ROOT).as_posix(), survivors]),
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            results[module] = {"counts": Counter(verdicts.values()), "survivors": json.loads(diffs)}
    note.unlink()
    return results


def store_of(module: Path) -> Path:
    """Return the file that keeps what became of a module's mutants."""
    return ROOT / ".make" / "mutants" / f"{name_of(module).replace('/', '.')}.json"


def results_of(modules: list[Path]) -> dict[Path, dict[str, Any]]:
    """Return what became of the mutants of modules that the same tests answer for."""
    tests = digest(ROOT, [*tests_of(topic_of(modules[0])), "tests/conftest.py"])
    results: dict[Path, dict[str, Any]] = {}
    new, again = [], []
    for module in modules:
        code = digest(ROOT, [module.relative_to(ROOT).as_posix(), "requirements-mutants.txt"])
        store = store_of(module)
        known = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {}
        if known.get("code") != code:
            known = {"code": code}
            new.append(module)
        elif known["tests"] != tests and known["survivors"]:
            again.append(module)
        results[module] = {**known, "tests": tests}
    names = [name for module in again for name in results[module]["survivors"]]
    for some, tried in ((new, []), (again, names)):
        if not some:
            continue
        start = time.monotonic()
        for module, found in measure(some, tried).items():
            counts = Counter(results[module].get("counts", {}))
            del counts["survived"]  # these are the mutants that were tried again
            results[module].update(found, counts=counts + found["counts"])
            write_atomically(store_of(module), json.dumps(results[module], indent=1).encode())
        measured = ", ".join(map(name_of, some))
        log("mutants", f"{measured}: measured in {seconds_since(start)}")
    return results


def main() -> int:
    """Measure the modules named, or all; print the survivors and the table."""
    known = {name_of(path): path for path in modules()}
    names = []
    for word in sys.argv[1:]:
        name = word.removeprefix("simplellm/").removesuffix(".py")
        of_topic = [other for other, path in known.items() if topic_of(path) == name]
        names += [name] if name in known else of_topic or [name]
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"no such module: {', '.join(unknown)}. There are: {', '.join(known)}")
    excused = equivalents()
    results = {}
    for topic in TOPICS:
        if chosen := [known[name] for name in names or known if topic_of(known[name]) == topic]:
            results.update(results_of(chosen))
    rows, low = [], []
    for name in names or known:
        result = results[known[name]]
        counts, equivalent = Counter(result["counts"]), 0
        for diff in result["survivors"].values():
            change = {"was": changed_lines(diff, "-"), "becomes": changed_lines(diff, "+")}
            if any({**change, "module": name}.items() <= entry.items() for entry in excused):
                equivalent += 1
            else:
                print(f"\n{name}:\n- {change['was']}\n+ {change['becomes']}")
        noticed = counts["killed"] + counts["types"]
        survived = counts["survived"] - equivalent
        share = noticed / (noticed + survived) if noticed + survived else 1.0
        rows.append((name, counts["killed"], counts["types"], survived, equivalent, share))
        if share < 0.9:
            low.append(name)
    print(f"\n{'module':34}{'tests':>7}{'mypy':>7}{'survived':>10}{'equivalent':>12}{'killed':>9}")
    for name, killed, types, survived, equivalent, share in rows:
        print(f"{name:34}{killed:7}{types:7}{survived:10}{equivalent:12}{share:9.1%}")
    if low:
        print(f"\nunder 90 %: {', '.join(low)}")
    return 1 if low else 0


if __name__ == "__main__":
    main_guard(main)
