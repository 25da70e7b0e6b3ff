"""Records: what one run of an experiment left, as one line of JSON that is checked when read.

A record holds every setting of its run, the versions it ran with, and what was measured, so that
a figure can be drawn, and the run repeated, from the record alone. Its key is a hash of its
settings: the same settings have the same key on every machine.

Files are JSON lines (`*.jsonl`). Keys are sorted, there are no spaces, and measured floats are
rounded to 6 significant digits, so a file is small and equal records are equal bytes. A number
that is not finite, as a diverged loss, is written as null, because JSON has no word for it, and
read as nan. Settings are never rounded: they decide the key.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol

import numpy
import torch
from numpy.typing import NDArray

from .plain import plain

SCHEMA = 1  # counted up whenever a field is added, dropped or given another meaning
DIGITS = 6
STAGES = ("select", "final")
VERSIONS = ("machine", "numpy", "python", "simplellm", "torch")


class RecordError(ValueError):
    """A record, or a file of records, that is not what it says it is."""


class RunLike(Protocol):
    """What a record needs to know of a run; `simplellm.training.Run` has it."""

    @property
    def experiment(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def key(self) -> str: ...
    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain JSON values."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished run: its settings, its versions, and what was measured.

    Args:
        schema: Version of this list of fields.
        key: ``settings_key(run)``.
        experiment, arm, stage: As in ``run``; stage is "select" where a learning rate is chosen on
            a validation seed of its own, "final" for what is reported.
        run: Every setting, by name.
        versions: Of Python, torch, numpy and simplellm, and the machine's architecture.
        losses: Pairs of step and training loss, thinned.
        scores: A number by name, or a list or dict of numbers, one more level deep at most.
        seconds: Wall time of the training.

    Example:
        >>> run = {"experiment": "copy", "arm": "none", "stage": "final", "seed": 0, "lr": 0.003}
        >>> record = make_record(run, {"losses": [[0, 2.7725887]], "scores": {}, "seconds": 1})
        >>> record.losses
        [[0, 2.77259]]
        >>> Record.from_line(record.to_line()) == record
        True
    """

    schema: int
    key: str
    experiment: str
    arm: str
    stage: str
    run: dict[str, Any]
    versions: dict[str, str]
    losses: list[list[Any]]
    scores: dict[str, Any]
    seconds: float

    def to_line(self) -> str:
        """Return the record as one line of JSON, without the line break."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("losses", "scores", "seconds"):
            values[name] = _written(values[name], name)
        return _compact(values)

    @classmethod
    def from_line(cls, line: str, where: str = "record") -> Record:
        """Read and check one line; ``where`` opens the message of a RecordError."""
        try:
            values = json.loads(line, parse_constant=_refuse_constant)
        except ValueError as error:
            raise RecordError(f"{where}: not a line of JSON ({error}): {_short(line)}.") from None
        _check(values, where)
        for name in ("losses", "scores", "seconds"):
            values[name] = _read(values[name])
        return cls(**values)


def settings_key(settings: Mapping[str, Any]) -> str:
    """Hash settings to 16 hexadecimal digits, whatever their order.

    Args:
        settings: Plain JSON values by name; a tuple counts as the list that JSON makes of it.

    Returns:
        The first 16 digits of the SHA-256 of the settings as JSON with sorted names.

    Raises:
        TypeError, ValueError: If JSON cannot hold a value.

    Example:
        >>> settings_key({"seed": 1, "lr": 0.1}) == settings_key({"lr": 0.1, "seed": 1})
        True
        >>> settings_key({"seed": 1, "lr": 0.1})
        '2ccbe222bdf95db8'
    """
    text = json.dumps(plain(settings), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_record(run: RunLike | Mapping[str, Any], result: Mapping[str, Any]) -> Record:
    """Join a run and what training returned to a record, rounded and checked.

    Args:
        run: A run, or its settings by name.
        result: ``losses``, ``scores`` and ``seconds``; numbers of numpy and tensors of one
            element are taken as well.

    Returns:
        The record, equal to what is read after writing it.

    Raises:
        RecordError: If a field is missing or holds what a record cannot.
    """
    settings = plain(run if isinstance(run, Mapping) else run.to_dict())
    where = f"record of {settings.get('experiment')}/{settings.get('arm')}"
    missing = {"losses", "scores", "seconds"} - set(result)
    if missing:
        raise RecordError(f"{where}: training returned no {', '.join(sorted(missing))}.")
    record = Record(
        schema=SCHEMA,
        key=settings_key(settings),
        experiment=settings.get("experiment", ""),
        arm=settings.get("arm", ""),
        stage=settings.get("stage", ""),
        run=settings,
        versions=versions(),
        losses=result["losses"],
        scores=result["scores"],
        seconds=result["seconds"],
    )
    return Record.from_line(record.to_line(), where)


def versions() -> dict[str, str]:
    """Return what a result may depend on besides its settings; nothing that names a machine."""
    from . import __version__

    return {
        "machine": platform.machine(),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "simplellm": __version__,
        "torch": str(torch.__version__),
    }


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


def final_scores(records: Iterable[Record], score: str) -> dict[str, NDArray[numpy.float64]]:
    """What each arm of an experiment scored, seed by seed.

    Args:
        records: Those of one experiment, as `load` gives them; selection runs are left out.
        score: Name of the score.

    Returns:
        For each arm ``(seeds,)``, or ``(seeds, …)`` where the score is a list; nan where nothing
        was scored. Arms stand in the order in which they come, seeds in theirs.

    Raises:
        KeyError: If a record has no such score; the message lists those it has.
        ValueError: If the records are of several experiments.

    Example:
        >>> accuracy = final_scores(load("extrapolation"), "accuracy")
        >>> accuracy["learned"].shape
        (5,)
    """
    found: dict[str, dict[int, Any]] = {}
    experiments = set()
    for record in records:
        experiments.add(record.experiment)
        if len(experiments) > 1:
            raise ValueError(
                f"records must be of one experiment, got {' and '.join(sorted(experiments))}."
            )
        if record.stage != "final":
            continue
        if score not in record.scores:
            raise KeyError(
                f"score must be one of {', '.join(sorted(record.scores))} in {record.experiment}, "
                f"arm {record.arm!r}, got {score!r}."
            )
        found.setdefault(record.arm, {})[record.run["seed"]] = record.scores[score]
    return {
        arm: numpy.array([value for _, value in sorted(seeds.items())], dtype=numpy.float64)
        for arm, seeds in found.items()
    }


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


def mean_and_interval(values: Any, confidence: float = 0.95) -> tuple[Any, Any]:
    """Average over seeds, with the half width of Student's t interval.

    The interval is mean ± t · s / √n, with the sample standard deviation s (n − 1 in its
    denominator) and the quantile t of Student's distribution with n − 1 degrees of freedom. It
    takes the seeds as independent draws from one normal distribution.

    Args:
        values: ``(n,)`` numbers, one a seed, or ``(n, …)`` with the seeds along the first axis.
        confidence: Share of such intervals that hold the true mean, between 0 and 1.

    Returns:
        Mean and half width: two floats, or two arrays of shape ``(…)``. One seed says nothing
        about the spread between seeds, so with n = 1 the half width is nan; where a value is
        nan, so are both.

    Raises:
        ValueError: If there are no values, or ``confidence`` is not between 0 and 1.

    Example:
        >>> mean, half_width = mean_and_interval([1.0, 2.0, 3.0])
        >>> f"{mean:.3f} ± {half_width:.3f}"  # t is 4.303, s is 1, n is 3
        '2.000 ± 2.484'

    Source: Student 1908; for the quantile see `t_quantile`.
    """
    array = numpy.asarray(values, dtype=numpy.float64)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"values must hold a number for each seed, got shape {array.shape}.")
    _check_confidence(confidence)
    n = len(array)
    mean = array.mean(axis=0)
    if n == 1:
        half_width = numpy.full_like(mean, math.nan)
    else:
        t = t_quantile((1 + confidence) / 2, n - 1)
        half_width = t * array.std(axis=0, ddof=1) / math.sqrt(n)
    return (mean, half_width) if array.ndim > 1 else (float(mean), float(half_width))


def t_quantile(probability: float, degrees: int) -> float:
    """Return the number that Student's t stays below with this probability.

    With whole degrees of freedom the distribution is a finite sum in the angle
    atan(t / √degrees), which grows with t; the angle is found by halving its range.

    Args:
        probability: Between 0 and 1.
        degrees: Degrees of freedom, a whole number of at least 1.

    Returns:
        The quantile, to about 12 digits.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> f"{t_quantile(0.975, 4):.3f}"
        '2.776'

    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability must be between 0 and 1, got {probability}.")
    if degrees < 1 or degrees != int(degrees):
        raise ValueError(f"degrees must be a whole number of at least 1, got {degrees}.")
    wanted = abs(2 * probability - 1)  # P(|T| < t)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        if _central_probability(angle, degrees) < wanted:
            low = angle
        else:
            high = angle
    return math.copysign(math.sqrt(degrees) * math.tan((low + high) / 2), probability - 0.5)


# -- inside ----------------------------------------------------------------------------------------


def _central_probability(angle: float, degrees: int) -> float:
    """P(|T| < √degrees · tan(angle)) for Student's T."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    # The terms cosine^(first), cosine^(first + 2), … up to degrees - 2, each with its factor.
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(1 if odd else 0, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}; as in 0.95.")


def _compact(values: Any) -> str:
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON; a number that is not finite is null here")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


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


def _written(value: Any, where: str) -> Any:
    """What is measured, as JSON holds it: plain, rounded, null for what is not finite."""
    if value is None or isinstance(value, (bool, str)):
        return value  # for the check, which refuses it and knows where it stands
    if isinstance(value, (torch.Tensor, numpy.ndarray)):
        value = value.tolist()
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {name: _written(inner, f"{where}.{name}") for name, inner in value.items()}
    if isinstance(value, Sequence):
        return [_written(inner, where) for inner in value]
    raise RecordError(f"{where} holds {_short(value)} of type {type(value).__name__}, no number.")


def _read(value: Any) -> Any:
    """The inverse, but for what was rounded."""
    if value is None:
        return math.nan
    if isinstance(value, dict):
        return {name: _read(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_read(inner) for inner in value]
    return value


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _check(values: Any, where: str) -> None:
    """Refuse what is not a record of this schema."""
    if not isinstance(values, dict):
        raise RecordError(f"{where}: must be an object with named fields, got {_short(values)}.")
    if values.get("schema") != SCHEMA or isinstance(values["schema"], bool):
        raise RecordError(
            f"{where}: field 'schema' must be {SCHEMA}, got {_short(values.get('schema'))}. The "
            "record was written by another version of simplellm; run the sweep again with this one."
        )
    names = {field.name for field in fields(Record)}
    for problem, found in (("lacks", names - set(values)), ("has an unknown", set(values) - names)):
        if found:
            raise RecordError(f"{where}: {problem} field {', '.join(map(repr, sorted(found)))}.")

    def refuse(name: str, wanted: str, value: Any) -> RecordError:
        return RecordError(f"{where}: field '{name}' must be {wanted}, got {_short(value)}.")

    for name in ("key", "experiment", "arm", "stage"):
        if not isinstance(values[name], str) or not values[name]:
            raise refuse(name, "a text that is not empty", values[name])
    if values["stage"] not in STAGES:
        raise refuse("stage", " or ".join(map(repr, STAGES)), values["stage"])
    for name in ("run", "versions", "scores"):
        if not isinstance(values[name], dict):
            raise refuse(name, "an object with named fields", values[name])
    for name in VERSIONS:
        if not isinstance(values["versions"].get(name), str):
            raise refuse(f"versions.{name}", "a text", values["versions"].get(name))
    if not isinstance(values["losses"], list):
        raise refuse("losses", "a list of pairs [step, loss]", values["losses"])
    for pair in values["losses"]:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], int)
            and _is_number(pair[0])
            and _is_number(pair[1])
        ):
            raise refuse("losses", "a list of pairs [step, loss]", pair)
    for name, score in values["scores"].items():
        _check_score(f"scores.{name}", score, 2, refuse)
    seconds = values["seconds"]
    if seconds is None or not _is_number(seconds) or seconds < 0:
        raise refuse("seconds", "a number of at least 0", seconds)
    for name in ("experiment", "arm", "stage"):
        if values["run"].get(name) != values[name]:
            raise refuse(name, f"run.{name}, {values['run'].get(name)!r}", values[name])
    if values["key"] != (key := settings_key(values["run"])):
        raise refuse("key", f"the hash of the settings in 'run', '{key}'", values["key"])


def _check_score(name: str, score: Any, deeper: int, refuse: Any) -> None:
    if _is_number(score):
        return
    if not isinstance(score, (list, dict)) or not deeper:
        raise refuse(name, "a number, or a list or object of numbers", score)
    items = score.items() if isinstance(score, dict) else enumerate(score)
    for inner_name, inner in items:
        _check_score(f"{name}.{inner_name}", inner, deeper - 1, refuse)


def _shipped_files() -> list[Traversable]:
    folder = resources.files(__package__) / "results"
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
