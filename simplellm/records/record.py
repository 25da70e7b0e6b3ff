"""The record of one run: its fields, its line of JSON, and the checks of what is read."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Protocol

import numpy
import torch

from ..plain import plain

#: The version of the fields; it grows whenever one is added, dropped or changes its meaning.
SCHEMA = 1
#: Significant digits of measured floats.
DIGITS = 6
#: The stages of an experiment.
STAGES = ("select", "final")
#: The names in a record's ``versions``.
VERSIONS = ("machine", "numpy", "python", "simplellm", "torch")


class RecordError(ValueError):
    """A record, or a file of records, that is damaged or not of this schema."""


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
        """Return all settings as JSON values."""


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
        if "null" in line:  # most lines have none, and are read twice as fast without a look
            for name in ("losses", "scores", "seconds"):
                values[name] = _read(values[name])
        return cls(**values)


def settings_key(settings: Mapping[str, Any]) -> str:
    """Hash settings to 16 hexadecimal digits, whatever their order.

    Args:
        settings: JSON values by name; a tuple counts as the list that JSON makes of it.

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
    return _hash_of(plain(settings))


def _hash_of(settings: Mapping[str, Any]) -> str:
    """The key of settings that are JSON values already."""
    text = json.dumps(settings, sort_keys=True, allow_nan=False)
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
    """Return the versions that a result may depend on; nothing that names a machine."""
    from .. import __version__

    return {
        "machine": platform.machine(),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "simplellm": __version__,
        "torch": str(torch.__version__),
    }


# -- as JSON ---------------------------------------------------------------------------------------


def _compact(values: Any) -> str:
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON; a number that is not finite is null here")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _written(value: Any, where: str) -> Any:
    """Convert what is measured to JSON values: floats rounded, those not finite None."""
    if value is None or isinstance(value, (bool, str)):
        return value  # for the check, which refuses it and names its place
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
    """Invert `_written`, but for what was rounded: None becomes nan."""
    if value is None:
        return math.nan
    if isinstance(value, dict):
        return {name: _read(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_read(inner) for inner in value]
    return value


#: The types that a number of a record has, as JSON is read: no bool, which is an int to Python.
_NUMBERS = (float, int, type(None))


# -- checks ----------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBERS


def _check(values: Any, where: str) -> None:
    """Refuse what is not a record of this schema; ``where`` opens the message."""
    try:
        _check_names(values)
        _check_settings(values)
        _check_measured(values)
        _check_agreement(values)
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def _refusal(name: str, wanted: str, value: Any) -> RecordError:
    return RecordError(f"field '{name}' must be {wanted}, got {_short(value)}.")


def _check_names(values: Any) -> None:
    if not isinstance(values, dict):
        raise RecordError(f"must be an object with named fields, got {_short(values)}.")
    if values.get("schema") != SCHEMA or isinstance(values["schema"], bool):
        raise RecordError(
            f"field 'schema' must be {SCHEMA}, got {_short(values.get('schema'))}. The record was "
            "written by another version of simplellm; run the sweep again with this one."
        )
    names = {field.name for field in fields(Record)}
    for problem, found in (("lacks", names - set(values)), ("has an unknown", set(values) - names)):
        if found:
            raise RecordError(f"{problem} field {', '.join(map(repr, sorted(found)))}.")


def _check_settings(values: dict[str, Any]) -> None:
    for name in ("key", "experiment", "arm", "stage"):
        if not isinstance(values[name], str) or not values[name]:
            raise _refusal(name, "a text that is not empty", values[name])
    if values["stage"] not in STAGES:
        raise _refusal("stage", " or ".join(map(repr, STAGES)), values["stage"])
    for name in ("run", "versions", "scores"):
        if not isinstance(values[name], dict):
            raise _refusal(name, "an object with named fields", values[name])
    for name in VERSIONS:
        if not isinstance(values["versions"].get(name), str):
            raise _refusal(f"versions.{name}", "a text", values["versions"].get(name))


def _check_measured(values: dict[str, Any]) -> None:
    wanted = "a list of pairs [step, loss]"
    if not isinstance(values["losses"], list):
        raise _refusal("losses", wanted, values["losses"])
    for pair in values["losses"]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))):
            raise _refusal("losses", wanted, pair)
        if not isinstance(pair[0], int):
            raise _refusal("losses", wanted, pair)
    for name, score in values["scores"].items():
        _check_score(f"scores.{name}", score, 2)
    seconds = values["seconds"]
    if seconds is None or not _is_number(seconds) or seconds < 0:
        raise _refusal("seconds", "a number of at least 0", seconds)


def _check_score(name: str, score: Any, deeper: int) -> None:
    if _is_number(score):
        return
    if isinstance(score, list) and deeper and all(map(_is_number, score)):
        return
    if not isinstance(score, (list, dict)) or not deeper:
        raise _refusal(name, "a number, or a list or object of numbers", score)
    items = score.items() if isinstance(score, dict) else enumerate(score)
    for inner_name, inner in items:
        _check_score(f"{name}.{inner_name}", inner, deeper - 1)


def _check_agreement(values: dict[str, Any]) -> None:
    """Refuse a record whose fields are not those of its run."""
    for name in ("experiment", "arm", "stage"):
        if values["run"].get(name) != values[name]:
            raise _refusal(name, f"run.{name}, {values['run'].get(name)!r}", values[name])
    if values["key"] != (key := _hash_of(values["run"])):
        raise _refusal("key", f"the hash of the settings in 'run', '{key}'", values["key"])
