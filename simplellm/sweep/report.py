"""The words of a sweep: its progress, and the tables of experiments and of scores."""

from __future__ import annotations

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

from ..records import Record, RunLike, mean_and_interval
from .interface import ExperimentLike
from .queue import State


def write(stream: TextIO | None, text: str) -> None:
    """Write and flush; a sweep of hours does not end because nobody is there to read."""
    if stream is None or stream.closed:
        return
    with contextlib.suppress(OSError):  # a reader that left, a full disk
        stream.write(text)
        stream.flush()


class Progress:
    """Lines on a stream; on a terminal the last one is rewritten, elsewhere it comes seldom.

    Args:
        stream: Where they go; None for nowhere.
    """

    SECONDS = 30.0  # between two lines where they stay

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.terminal = stream is not None and not stream.closed and stream.isatty()
        self.current = ""  # the line that the next one rewrites
        self.next_time = 0.0

    def update(self, text: str, *, last: bool = False) -> None:
        """Write how far the sweep is, in place of what the last update wrote."""
        if self.terminal:
            padding = " " * max(0, len(self.current) - len(text))
            write(self.stream, f"\r{text}{padding}" + ("\n" if last else ""))
            self.current = "" if last else text
        elif last or time.monotonic() >= self.next_time:
            self.next_time = time.monotonic() + self.SECONDS
            write(self.stream, text + "\n")

    def line(self, text: str) -> None:
        """Write a line that stays."""
        if self.current:
            write(self.stream, "\r" + " " * len(self.current) + "\r")
            self.current = ""
        write(self.stream, text + "\n")


def progress_of(state: State, running: Collection[RunLike], workers: int) -> str:
    """Return in one line how many runs are done, and an estimate of the time that is left."""
    rates = state.seconds_per_step()
    waiting = state.queue.waiting
    left = sum(run.steps * rates[run.experiment] for run in waiting)
    # On average a run that has started is half done.
    left += sum(run.steps * rates[run.experiment] for run in running) / 2
    done = len(state.done)
    text = f"{done}/{len(state.plan.runs)} runs"
    if done and (running or waiting):
        text += f", about {duration(left / workers)} left"
    if selecting := len(state.plan.selecting):
        text += f", and then the final runs of {selecting} experiments"
    if state.failures:
        text += f", {len(state.failures)} FAILED"
    return text


def duration(seconds: float) -> str:
    """Return a duration in its two largest units.

    Example:
        >>> duration(135)
        '2 min 15 s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def summary(records: Iterable[Record]) -> str:
    """Tabulate the final records: per experiment and arm, seeds, rate, scores and seconds.

    Args:
        records: Of any experiments and stages.

    Returns:
        One table an experiment; a score is its mean over seeds ± the half width of the 95 %
        interval of `simplellm.records.mean_and_interval`.
    """
    by_experiment: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        arms = by_experiment[record.experiment]
        if record.stage == "final":
            arms[record.arm].append(record)
    return "\n".join(
        f"{experiment}\n{_scores_of(arms) if arms else 'no final records yet'}\n"
        for experiment, arms in by_experiment.items()
    )


def _scores_of(arms: Mapping[str, Sequence[Record]]) -> str:
    """Return the table of one experiment, a row for each arm."""
    scores = {arm: [_scalars(record.scores) for record in group] for arm, group in arms.items()}
    names = list(dict.fromkeys(n for group in scores.values() for one in group for n in one))
    rows = [["arm", "seeds", "lr", *names, "seconds"]]
    for arm, group in arms.items():
        rates = sorted({float(record.run["lr"]) for record in group if "lr" in record.run})
        cells = [
            _with_interval([one[name] for one in scores[arm] if name in one]) for name in names
        ]
        seconds = math.fsum(record.seconds for record in group)
        chosen = ", ".join(f"{rate:g}" for rate in rates) or "–"
        rows.append([arm, str(len(group)), chosen, *cells, f"{seconds:.0f}"])
    return _table(rows)


def _scalars(scores: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the single numbers among the scores; those of an inner dict as outer.inner."""
    found: dict[str, float] = {}
    for name, score in scores.items():
        if isinstance(score, dict):
            found |= _scalars(score, f"{prefix}{name}.")
        elif isinstance(score, (int, float)):
            found[prefix + name] = float(score)
    return found


def _with_interval(values: list[float]) -> str:
    if not values:
        return "–"
    mean, half_width = mean_and_interval(values)
    return f"{mean:.4g} ± " + ("–" if math.isnan(half_width) else f"{half_width:.2g}")


def listing(experiments: Mapping[str, ExperimentLike], records: Iterable[Record]) -> str:
    """Tabulate the experiments, and how many of their runs have a record.

    Args:
        experiments: By name.
        records: Of any experiments.
    """
    by_key = {record.key: record for record in records}
    rows = [["experiment", "selection", "final"]]
    for name, experiment in experiments.items():
        selection = experiment.selection_runs(by_key.values())
        found = [by_key[run.key] for run in selection if run.key in by_key]
        final = "after selection"
        if len(found) == len(selection):
            runs = experiment.final_runs(found)
            final = f"{sum(run.key in by_key for run in runs)}/{len(runs)}"
        rows.append([name, f"{len(found)}/{len(selection)}" if selection else "–", final])
    lines = _table(rows).split("\n")
    titles = ["", *(experiment.title for experiment in experiments.values())]
    return "\n".join(f"{line}  {title}".rstrip() for line, title in zip(lines, titles, strict=True))


def _table(rows: list[list[str]]) -> str:
    """Align columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{row[0]:<{widths[0]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
