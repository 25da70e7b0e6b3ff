"""Mutation testing: does a test fail where the package does something else?

    python tools/mutants.py [MODULE ...]     (attention, claims/rules, ...; without names: all)

mutmut changes one thing at a time in a module (a mutant) and runs the tests of that module. A
mutant that no test notices has survived: a test is missing, or the change means nothing. Those that
mean nothing are listed in tests/equivalent_mutants.toml, each with its reason.

What mutmut leaves alone: what stands outside of functions, and functions with a decorator. What
traces the package (torch.compile, torch.export) is skipped, because nothing can be traced through
the wrapper that mutmut puts around every function: see tests/conftest.py.

A whole run takes hours, so it is no part of `make test`. What was measured is kept in .make/mutants
and measured again only when the module or its tests have changed: stop it and go on as you like.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.common import ROOT, digest, main_guard, say, seconds_since, write_atomically

# Texts and broken classes: nobody promises that a hint reads as it does.
CATALOGUES = (
    "simplellm/exercises/",
    "simplellm/silent_bugs/mutants",
    "simplellm/silent_bugs/variants",
    "simplellm/silent_bugs/correct",
)
JUDGES = (
    "simplellm/exercises/kinds",
    "simplellm/exercises/_answers",
)  # beside the catalogues of exercises: what judges them

# Which tests answer for a module where their names do not say so.
TESTS = {
    "checks": ["test_token_embedding", "test_learned_*", "test_positional_*", "test_input_*"],
    "tables": ["test_token_embedding", "test_learned_*", "test_input_embedding"],
    "saved_sinusoids": ["test_positional_*"],
    "positions": ["test_positions_from_mask"],
    "model": ["test_model", "test_segments"],
    "config": ["test_model"],
    "checkpoints": ["test_model"],
    "files": ["test_model", "test_vocabulary"],
    "plain": ["test_model", "test_records", "test_tasks"],
    "byte_pairs": ["test_vocabulary"],
    "palette": ["test_plots", "test_heatmap"],
    "live_heatmap": ["test_heatmap"],
    "records": ["test_records", "test_experiments", "test_results"],
    "experiments": ["test_experiments", "test_results"],
    "claims": ["test_claims*"],
    "exercises": ["test_exercises", "test_judges"],
    "silent_bugs": ["test_silent_bugs*", "test_bench*"],
}

COPIED = ["_ext", "chapters", "tests", "tools", "simplellm", "*.toml", "*.txt", "*.md", "*.yml"]
COPIED += ["*.cff", "LICENSE", "Makefile"]

CONFIGURATION = """

[tool.mutmut]
source_paths = ["simplellm"]
only_mutate = [{module}]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-m", "not slow"]
pytest_add_cli_args_test_selection = {tests}
also_copy = {copied}
# PyTorch's threads do not outlive a fork: the tests run in children of a process that ran none.
process_isolation = "forkserver"
type_check_command = ["python", "-m", "mypy", "simplellm", "--output", "json",
  "--disable-error-code", "unused-ignore", "--cache-dir", {cache}]
"""

# What mutmut's exit codes say (its own table has a line for each signal and platform).
VERDICTS = {0: "survived", 5: "survived", 33: "survived", 37: "types", 34: "skipped"}

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
        if path.name != "__init__.py" and (stem in JUDGES or not stem.startswith(CATALOGUES)):
            found.append(path)
    return found


def name_of(module: Path) -> str:
    """Return "claims/rules" for simplellm/claims/rules.py."""
    return module.relative_to(ROOT / "simplellm").with_suffix("").as_posix()


def tests_of(module: Path) -> list[str]:
    """Return the test files that answer for a module."""
    name = name_of(module)
    patterns = TESTS.get(name.partition("/")[0], [f"test_{name}*"])
    files = {path for pattern in patterns for path in (ROOT / "tests").glob(f"{pattern}.py")}
    if not files:
        sys.exit(f"no tests are known for {name}: name them in TESTS of tools/mutants.py")
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def equivalents() -> list[dict[str, str]]:
    """Return the changes that mean nothing: module, what stood, what stands instead, why."""
    text = (ROOT / "tests" / "equivalent_mutants.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["mutant"]


def changed_lines(diff: str, sign: str) -> str:
    """Return the lines that a diff takes away ("-") or brings ("+"), without their margins."""
    lines = [line[1:].strip() for line in diff.splitlines()[2:] if line.startswith(sign)]
    return "\n".join(lines)


def measure(module: Path, key: str) -> dict:
    """Run mutmut on one module in a copy of the project; return what became of its mutants."""
    start = time.monotonic()
    tests = tests_of(module)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for pattern in COPIED:
            for path in ROOT.glob(pattern):
                if path.is_dir():
                    shutil.copytree(path, tree / path.name)
                else:
                    shutil.copy2(path, tree)
        with (tree / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(
                CONFIGURATION.format(
                    module=json.dumps(module.relative_to(ROOT).as_posix()),
                    tests=json.dumps(tests),
                    copied=json.dumps([p.name for p in tree.iterdir()]),
                    cache=json.dumps(str(ROOT / ".make" / "mutants" / "mypy")),
                )
            )
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            [sys.executable, "-m", "mutmut", "run"],
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        meta = tree / "mutants" / f"{module.relative_to(ROOT).as_posix()}.meta"
        codes = json.loads(meta.read_text("utf-8"))["exit_code_by_key"] if meta.is_file() else {}
        if done.returncode or None in codes.values() or not meta.is_file():
            output = (done.stdout + done.stderr).replace("\r", "\n").splitlines()
            print("\n".join(output[-60:]))
            sys.exit(f"mutmut did not get through {name_of(module)}: its last words stand above")
        verdicts = {name: VERDICTS.get(code, "killed") for name, code in codes.items()}
        survivors = [name for name, verdict in verdicts.items() if verdict == "survived"]
        diffs = subprocess.run(
            [sys.executable, "-c", SURVIVORS],
            cwd=tree,
            input=json.dumps([module.relative_to(ROOT).as_posix(), survivors]),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return {
        "key": key,
        "seconds": time.monotonic() - start,
        "counts": Counter(verdicts.values()),
        "survivors": json.loads(diffs),
    }


def result_of(module: Path) -> dict:
    """Return what became of a module's mutants, from .make/mutants where nothing has changed."""
    store = ROOT / ".make" / "mutants" / f"{name_of(module).replace('/', '.')}.json"
    inputs = [module.relative_to(ROOT).as_posix(), *tests_of(module), "requirements*.txt"]
    key = digest(ROOT, [*inputs, "tests/conftest.py", "tools/mutants.py"])
    if store.is_file():
        known = json.loads(store.read_text(encoding="utf-8"))
        if known["key"] == key:
            return known
    start = time.monotonic()
    result = measure(module, key)
    write_atomically(store, json.dumps(result, indent=1).encode())
    say("mutants", f"{name_of(module)}: measured in {seconds_since(start)}")
    return result


def main() -> int:
    """Measure the modules named, or all; print the survivors and the table."""
    known = {name_of(path): path for path in modules()}
    names = [name.removeprefix("simplellm/").removesuffix(".py") for name in sys.argv[1:]]
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"no such module: {', '.join(unknown)}. There are: {', '.join(known)}")
    excused = equivalents()
    rows, low = [], []
    for name in names or known:
        result = result_of(known[name])
        counts, equivalent = Counter(result["counts"]), 0
        for diff in result["survivors"].values():
            change = {"was": changed_lines(diff, "-"), "becomes": changed_lines(diff, "+")}
            if any({**change, "module": name}.items() <= entry.items() for entry in excused):
                equivalent += 1
            else:
                print(f"\n{name}:\n- {change['was']}\n+ {change['becomes']}")
        noticed = counts["killed"] + counts["types"]
        survived = counts["survived"] - equivalent
        share = noticed / max(1, noticed + survived)
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
