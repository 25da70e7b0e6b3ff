"""What was measured with the weights of real models, as shipped: JSON files and a table.

Every record says under "source" which file of which package it was measured from, with its sha256
and licence, and under "made_by" what makes it again. Numbers are rounded to four significant
digits, which are the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from torch import Tensor

from .safetensors import SafetensorsError, read_safetensors

MADE_BY = "python -m simplellm.real_models.make"
TABLE = "minilm_positions"  # the name of the record and of the tensor in it


class BrokenRecordError(ValueError):
    """A file of the package is not as it was shipped; the message says what was found."""


def _folder() -> Traversable:
    """The folder of the records."""
    return resources.files(__package__) / "records"


def record_names() -> list[str]:
    """The names of all records, sorted."""
    names = [file.name for file in _folder().iterdir()]
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def read_record(name: str) -> dict[str, Any]:
    """Read a record that is shipped with the package.

    Args:
        name: One of `record_names`.

    Returns:
        What it holds: "source", "made_by", "what" (a sentence), and the numbers.

    Raises:
        FileNotFoundError: If there is none of that name; the message lists those there are.
        BrokenRecordError: If it is no record.

    Example:
        >>> read_record("minilm_positions")["source"]["licence"]
        'Apache-2.0'
    """
    file = _folder() / f"{name}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"the package has no record {name!r}; it has {', '.join(record_names())}."
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenRecordError(f"{name}.json is no JSON ({error}). {AGAIN}") from None
    if not isinstance(record, dict) or "source" not in record:
        raise BrokenRecordError(f"{name}.json says nothing of its source. {AGAIN}")
    return record


AGAIN = f"Install the package again, or make the record: {MADE_BY} --write"


def position_table() -> Tensor:
    """Read the table of positions of all-MiniLM-L6-v2, as shipped: no weights are needed.

    It is rounded to float16, which changes no row by more than a part in 2000. Where it comes from
    and under which licence is in ``read_record("minilm_positions")``.

    Returns:
        Shape ``(512, 384)``, float32: the row that is added to the token at each position.

    Raises:
        BrokenRecordError: If the file is missing, or its shape, dtype or sha256 is another.

    Example:
        >>> table = position_table()
        >>> table.shape
        torch.Size([512, 384])
        >>> table[[0, 1, 127]].norm(dim=1).round(decimals=2)
        tensor([2.3600, 0.4900, 0.6900])
    """
    expected = read_record(TABLE)["table"]
    name = f"{TABLE}.safetensors"
    with resources.as_file(_folder() / name) as path:
        if not path.is_file():
            raise BrokenRecordError(f"{name} is missing. {AGAIN}")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected["sha256"]:
            raise BrokenRecordError(
                f"{name} has the sha256 {found}, and {expected['sha256']} was expected. {AGAIN}"
            )
        try:
            table = read_safetensors(path, [TABLE])[TABLE]
        except (SafetensorsError, KeyError) as error:
            raise BrokenRecordError(f"{error.args[0]} {AGAIN}") from None
    shape, dtype = list(table.shape), str(table.dtype).removeprefix("torch.")
    if shape != expected["shape"] or dtype != expected["dtype"]:
        raise BrokenRecordError(
            f"{name} holds {dtype} of shape {shape}, and {expected['dtype']} of shape "
            f"{expected['shape']} was expected. {AGAIN}"
        )
    return table.float()
