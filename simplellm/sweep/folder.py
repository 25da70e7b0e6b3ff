"""The folder of a sweep: its lock, the finished runs in it, and the records gathered from them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..files import TEMPORARY, write_atomically
from ..records import Record, dump_records, read_records
from .interface import SweepError

#: The folder of finished runs that are not gathered yet.
PARTS = ".parts"


@dataclass(frozen=True)
class Folder:
    """The files of a sweep: `EXPERIMENT.jsonl`, and one file for each run not gathered yet.

    Args:
        path: The folder; it need not exist yet.
    """

    path: Path

    @property
    def parts(self) -> Path:
        """The folder of finished runs that are not gathered yet."""
        return self.path / PARTS

    def part_of(self, key: str) -> Path:
        """Return the file of one finished run, whether it exists or not."""
        return self.parts / f"{key}.json"

    def part_files(self) -> list[Path]:
        """Return the files of finished runs that are not gathered yet."""
        return sorted(self.parts.glob("[!.]*.json"))

    def records(self) -> dict[str, Record]:
        """Read all records by key, those of finished runs that are not gathered yet as well.

        Raises:
            FileNotFoundError: If there is no such folder.
            RecordError: If a file is damaged; the message names it.
        """
        gathered = {record.key: record for record in read_records(self.path)}
        return with_parts(gathered, self.part_files())

    def write(self, experiment: str, records: Iterable[Record]) -> None:
        """Write an experiment's records, unless its file holds exactly these already."""
        data = dump_records(records)
        path = self.path / f"{experiment}.jsonl"
        if not path.exists() or path.read_bytes() != data:
            put(path, data)

    def remove_unfinished(self) -> None:
        """Remove the half-written files of a sweep that was killed."""
        for folder in (self.path, self.parts):
            for leftover in folder.glob(f".*{TEMPORARY}"):
                leftover.unlink(missing_ok=True)

    def remove_parts(self, parts: Iterable[Path]) -> None:
        """Remove the files of runs that are gathered now, and their folder if it is empty."""
        for part in [*parts, *self.parts.glob(f".*{TEMPORARY}")]:
            part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or never made
            self.parts.rmdir()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second sweep out of the folder until the block or the process ends.

        Raises:
            SweepError: If another sweep holds the lock, or a file has the folder's name.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise SweepError(
                f"out must be a folder, got {self.path}: a file is in the way."
            ) from None
        # A second file, because Windows lets nobody read a file that is locked.
        holder = self.path / ".lock.process"
        lock = FileLock(self.path / ".lock", timeout=0.2)  # the file may be removed just now
        try:
            lock.acquire()
        except Timeout:
            raise SweepError(
                f"another sweep (process {_process_in(holder)}) is at work in {self.path}. Wait "
                "for it, or choose another folder with --out."
            ) from None
        try:
            holder.write_text(str(os.getpid()), encoding="utf-8")
            yield
        finally:
            holder.unlink(missing_ok=True)
            if os.name == "posix":  # elsewhere an open file has to stay, and goes with the lock
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()


def put(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all, and make its folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def with_parts(records: Mapping[str, Record], parts: Iterable[Path]) -> dict[str, Record]:
    """Return records by key, completed by those in the files of finished runs.

    A kill between gathering and tidying leaves a run in both places: what is gathered stays.
    """
    merged = dict(records)
    for part in parts:
        with contextlib.suppress(FileNotFoundError):  # a sweep at work gathered it just now
            text = part.read_text(encoding="utf-8")
            record = Record.from_line(text, f"{PARTS}/{part.name}")
            merged.setdefault(record.key, record)
    return merged


def _process_in(holder: Path) -> str:
    """Return the number of the process that holds the lock, "unknown" if nobody knows it."""
    try:
        return holder.read_text(encoding="utf-8")
    except OSError:
        return "unknown"
