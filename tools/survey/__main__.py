"""Measure the classes of `classes.txt` again; outside the tests, because it downloads packages.

    python -m tools.survey [PACKAGE ...]      all packages, or those named

Each package is unpacked into a folder of its own, without what it depends on, and the folder is
deleted again. The class runs in a process of its own, on this environment's PyTorch. Records of
the packages that were measured replace theirs in `simplellm/survey.jsonl`; the others stay.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from simplellm.survey import RECORDS
from tools.machine.common import ROOT
from tools.survey.probe import MARK

CLASSES = Path(__file__).parent / "classes.txt"
FIELDS = ("package", "file", "name", "take", "make", "ask")
MINUTES = 5


def classes() -> list[dict[str, str]]:
    """The table, one dictionary a line; `package` and `version` apart."""
    lines = CLASSES.read_text(encoding="utf-8").splitlines()
    rows = []
    for line in lines:
        if line and not line.startswith("#"):
            row = dict(zip(FIELDS, (field.strip() for field in line.split(" |", 5)), strict=True))
            row["package"], _, row["beside"] = row["package"].partition(" + ")
            row["package"], _, row["version"] = row["package"].partition("==")
            rows.append(row)
    return sorted(rows, key=lambda row: (row["package"].lower(), row["name"]))


def unpacked(requirements: list[str], folder: str) -> str:
    """Install packages alone into a folder; return what went wrong, or ""."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
    ]
    done = subprocess.run(
        [*pip, "--no-deps", "--target", folder, *requirements],
        capture_output=True,
        text=True,
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["failed"])[-1]


def measured(rows: list[dict[str, str]], folder: str) -> list[dict[str, Any]]:
    """The records of a package's classes, from a process of its own."""
    trouble = "ended early"
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tools.survey.probe", folder],
            input=json.dumps(rows),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60 * MINUTES * len(rows),
        )
        lines = done.stdout.splitlines()
        if done.returncode:
            trouble = (done.stderr.strip().splitlines() or [trouble])[-1][:200]
    except subprocess.TimeoutExpired:
        lines, trouble = [], f"took more than {MINUTES} minutes a class"
    answers = [json.loads(line.removeprefix(MARK)) for line in lines if line.startswith(MARK)]
    return answers + [_not_run(trouble)] * (len(rows) - len(answers))


def _not_run(why: str) -> dict[str, Any]:
    return {"convention": None, "measured": {}, "why": f"not run: {why}"}


def survey(names: Iterable[str]) -> int:
    """Measure the packages named, or all; return how many classes could not be run."""
    wanted = {name.lower() for name in names}
    rows = classes()
    unknown = wanted - {row["package"].lower() for row in rows}
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: not in {CLASSES.relative_to(ROOT)}. Add a line.")
    lines = RECORDS.read_text(encoding="utf-8").splitlines() if RECORDS.exists() else []
    old = [json.loads(line) for line in lines]
    records = {(one["package"], one["name"]): one for one in old}
    failed = 0
    for (package, version), group in groupby(rows, lambda row: (row["package"], row["version"])):
        if wanted and package.lower() not in wanted:
            continue
        several = list(group)
        with tempfile.TemporaryDirectory() as folder:
            pins = [f"{package}=={version}", *filter(None, {row["beside"] for row in several})]
            trouble = unpacked(pins, folder) if several[0]["take"] else ""
            if trouble or not several[0]["take"]:
                reasons = [trouble or row["ask"].removeprefix("not run: ") for row in several]
                answers = [_not_run(reason) for reason in reasons]
            else:
                answers = measured(several, folder)
            for row, answer in zip(several, answers, strict=True):
                who = {key: row[key] for key in ("package", "version", "name", "file")}
                records[package, row["name"]] = who | answer
                failed += not answer["measured"]
                print(f"{package} {version} {row['name']}: {answer['convention']} {answer['why']}")
        _write(rows, records)
    return failed


def _write(rows: list[dict[str, str]], records: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Write the records of the table's classes, in its order."""
    order = [(row["package"], row["name"]) for row in rows]
    lines = [json.dumps(records[key], ensure_ascii=False) for key in order if key in records]
    RECORDS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    survey(sys.argv[1:])
