"""The command line of the sweep: list, run, summary."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..records import Record, shipped_records
from .folder import Folder
from .interface import ExperimentLike, SweepError, Train
from .report import duration, listing, summary, write
from .runner import run_sweep
from .workers import BACKENDS

#: The folder of the records.
DEFAULT_OUT = Path("sweep-results")
#: The message after Ctrl-C.
INTERRUPTED = "interrupted; run the same command again to go on\n"


def main(
    arguments: Sequence[str] | None = None,
    experiments: Mapping[str, ExperimentLike] | None = None,
    train: Train | None = None,
) -> int:
    """Do what the command line says and return the exit status.

    Args:
        arguments: Those of the process by default.
        experiments, train: The book's by default.

    Returns:
        0, 1 if a run failed, 2 if the command cannot be done, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    if experiments is None:
        from ..experiments import EXPERIMENTS

        experiments = EXPERIMENTS
    if unknown := [name for name in options.experiments if name not in experiments]:
        there = ", ".join(experiments)
        write(sys.stderr, f"no such experiment: {', '.join(unknown)}. There are: {there}.\n")
        return 2
    chosen = {name: experiments[name] for name in options.experiments or experiments}
    try:
        return _run(chosen, train, options) if options.command == "run" else _print(chosen, options)
    except KeyboardInterrupt:  # before the first run, or a second time while records are gathered
        write(sys.stderr, INTERRUPTED)
        return 130
    except (SweepError, ValueError, OSError) as error:
        write(sys.stderr, f"{error}\n")
        return 2


def _run(experiments: Mapping[str, ExperimentLike], train: Train | None, options: Any) -> int:
    if train is None:
        from ..training import train as train_a_run

        train = train_a_run
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
    took = duration(time.monotonic() - started)
    write(
        sys.stderr,
        f"{outcome.ran} runs in {took}, {outcome.known} done before, {len(outcome.failed)} failed; "
        f"records in {options.out}\n",
    )
    if outcome.interrupted:
        write(sys.stderr, INTERRUPTED)
    for what, why in outcome.failed:
        write(sys.stderr, f"FAILED {what}: {why.strip().splitlines()[-1]}\n")
    return outcome.status


def _print(experiments: Mapping[str, ExperimentLike], options: Any) -> int:
    """Print the table of the experiments or of their scores."""
    records, place = _records_of(options.out)
    if options.command == "list":
        text = listing(experiments, records) + "\n"
    else:
        text = summary(r for r in records if r.experiment in experiments) or "none yet\n"
    try:
        print(f"records: {place}\n\n{text}", end="", flush=True)
    except BrokenPipeError:  # as `| head` leaves it: nobody reads the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _records_of(out: Path | None) -> tuple[list[Record], str]:
    """Return the records asked for, and where they are."""
    if out is None and not DEFAULT_OUT.is_dir():
        return shipped_records(), "shipped with the package"
    out = out or DEFAULT_OUT
    return list(Folder(out).records().values()), str(out)


def _parser() -> argparse.ArgumentParser:
    from .. import sweep

    parser = argparse.ArgumentParser(
        prog="python -m simplellm.sweep",
        description=sweep.__doc__,
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
        if name == "run":
            _add_options_of_run(command)
        else:
            command.add_argument("--out", type=Path, metavar="DIR", help=found)
    return parser


def _add_options_of_run(command: argparse.ArgumentParser) -> None:
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
