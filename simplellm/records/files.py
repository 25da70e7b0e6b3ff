"""Files of records: the bytes of one, those of a folder, and those shipped with the package."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from .record import STAGES, Record, RecordError


def read_records(path: str | Path) -> list[Record]:
    """Read and check a file of records, or every `*.jsonl` of a folder.

    Args:
        path: A file, or a folder that is not searched any deeper.

    Returns:
        The records, in the order of file names and lines.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        RecordError: If a line is not a record; the message names file, line, field and value.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no records at {path}: neither a file nor a folder is there.")
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return _read_files(files)


def load(experiment: str) -> list[Record]:
    """Read the records of an experiment that are shipped with the package.

    Args:
        experiment: The name of the experiment.

    Returns:
        Its records, sorted by arm, stage, seed and learning rate.

    Raises:
        FileNotFoundError: If the package has no records of it; the message lists what it has.
        RecordError: As `read_records` does.
    """
    shipped = {file.name.removesuffix(".jsonl"): file for file in _shipped_files()}
    if experiment not in shipped:
        raise FileNotFoundError(
            f"the package ships no records of {experiment!r}; it has "
            f"{', '.join(sorted(shipped)) or 'none'}. "
            "`python -m simplellm.sweep run` makes those of any experiment."
        )
    records = _read_files([shipped[experiment]])
    for record in records:
        if record.experiment != experiment:
            raise RecordError(
                f"{experiment}.jsonl: holds a record of {record.experiment!r}, key {record.key}."
            )
    return records


def shipped_records() -> list[Record]:
    """Read all records that are shipped with the package."""
    return _read_files(_shipped_files())


def dump_records(records: Iterable[Record]) -> bytes:
    """Return the bytes of a file: one line a record, sorted by arm, stage, seed and learning rate.

    Raises:
        RecordError: If two records have the same key.
    """
    ordered = sorted(records, key=_order)
    seen: set[str] = set()
    for record in ordered:
        if record.key in seen:
            raise RecordError(f"two records have the key {record.key}; a run is counted once.")
        seen.add(record.key)
    return "".join(record.to_line() + "\n" for record in ordered).encode()


def _order(record: Record) -> tuple[Any, ...]:
    run = record.run
    return (
        record.experiment,
        record.arm,
        STAGES.index(record.stage),
        run.get("seed", 0),
        run.get("lr", 0.0),
        record.key,
    )


def _shipped_files() -> list[Traversable]:
    folder = resources.files("simplellm") / "results"
    if not folder.is_dir():
        return []
    files = [file for file in folder.iterdir() if file.name.endswith(".jsonl")]
    return sorted(files, key=lambda file: file.name)


def _read_files(files: Iterable[Traversable]) -> list[Record]:
    records: list[Record] = []
    places: dict[str, str] = {}
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecordError(f"{file.name}: not UTF-8 ({error}).") from None
        # Not splitlines(): a text in the settings may hold other line breaks, JSON's is "\n".
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            if not text:
                break
            where = f"{file.name}, line {number}"
            record = Record.from_line(line, where)
            if record.key in places:
                raise RecordError(
                    f"{where}: field 'key' is {record.key!r}, as in {places[record.key]}; a run "
                    "is counted once. Delete one of the two lines."
                )
            places[record.key] = where
            records.append(record)
    return records
