"""Checkpoints: a model's configuration and weights in one file, checked when it is read."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .files import write_atomically

#: The name of the format, in every file.
FORMAT = "simplellm model"
#: The version of the format. Older files have the same two parts and no version.
VERSION = 1

#: Prefixes that wrappers such as DataParallel put before the names in a state_dict.
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})


def write_checkpoint(
    path: str | os.PathLike[str], config: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> None:
    """Write a checkpoint: configuration and weights in one file, atomically.

    Args:
        path: The file, in a folder that exists.
        config: Numbers, strings, booleans and lists of them, by name.
        weights: Tensors by name, of any floating-point dtypes; wrappers' names are left out.
    """
    file = io.BytesIO()
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": dict(config),
        "state_dict": unwrapped(weights),
    }
    torch.save(content, file)
    write_atomically(Path(path), file.getvalue())


def read_checkpoint(
    path: str | os.PathLike[str], names: Iterable[str], added: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a checkpoint's configuration and weights without executing anything in it.

    Args:
        path: The file.
        names: What the configuration has to hold, no more and no less.
        added: Those that older files may lack, with the value that such a file means.

    Raises:
        ValueError: If the file is not a checkpoint of this format; the message says why.
        OSError: If it cannot be read.
    """
    with refused(path):
        held = _unpickled(path)
        _check_content(held)
        config = {**(added or {}), **held["config"]}
        for problem, found in (
            ("lacks", [name for name in names if name not in config]),
            ("has the unknown", sorted(map(repr, set(config) - set(names)))),
        ):
            if found:
                raise ValueError(f"its config {problem} {', '.join(found)}.")
        return config, unwrapped(held["state_dict"])


@contextlib.contextmanager
def refused(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error about a file's content into a ValueError that names the file."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{os.fspath(path)} was not written by SimpleLLM.save, or is damaged: {error}"
        ) from error


def unwrapped(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip the prefixes that wrappers such as DataParallel put before a state_dict's names.

    Raises:
        ValueError: If two names become one.

    Example:
        >>> list(unwrapped({"module._orig_mod.norm.weight": torch.ones(4)}))
        ['norm.weight']
    """
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        short = ".".join(part for part in name.split(".") if part not in WRAPPERS)
        if short in found:
            raise ValueError(f"it holds {short} twice, once as {name}.")
        found[short] = value
    return found


def check_fits(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    """Check that weights have the names and shapes of a model's parameters.

    The model may be on the meta device, where it costs no memory.

    Raises:
        ValueError: Names what is missing, what is unknown, and whose shape is another.
    """
    wanted = dict(model.named_parameters())
    wrong = [f"{name} is missing" for name in wanted if name not in weights]
    wrong += [f"{name} is unknown" for name in weights if name not in model.state_dict()]
    for name, parameter in wanted.items():
        if name in weights and weights[name].shape != parameter.shape:
            wrong.append(
                f"{name} has shape {tuple(weights[name].shape)}, its config asks for "
                f"{tuple(parameter.shape)}"
            )
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"its weights do not fit its config: {'; '.join(wrong[:5])}{more}.")


def fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights into a model, each in the dtype it was saved in."""
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if name in weights:
            value.data = value.data.to(weights[name].dtype)
    model.load_state_dict(weights)


def _unpickled(path: str | os.PathLike[str]) -> Any:
    """Read a file of torch.save that holds only Python's own values and tensors."""
    if Path(path).is_dir():
        raise ValueError("it is a folder.")
    data = Path(path).read_bytes()
    if not data:
        raise ValueError("it is empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that are refused in the next line
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # each kind of wrong file has an error of its own
        # Not torch's words, which advise to let the file execute what it likes.
        if not data.startswith((b"PK", b"\x80")):
            reason = f"it begins with {data[:12]!r}, as no checkpoint does."
        elif data.startswith(b"\x80"):
            reason = "it is a pickle of something else, or cut short."
        elif not zipfile.is_zipfile(io.BytesIO(data)):
            reason = f"it ends early, after {len(data)} bytes."
        elif not any(name.endswith("data.pkl") for name in _names(data)):
            reason = "it is a zip archive of something else."
        else:
            reason = (
                "it holds more than plain values and tensors, or a part of it is damaged. A whole "
                "model that was pickled is not loaded, because that would execute what it says: "
                "save it again with model.save."
            )
        raise ValueError(reason) from error


def _names(archive: bytes) -> list[str]:
    try:
        return zipfile.ZipFile(io.BytesIO(archive)).namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return []


def _check_content(held: object) -> None:
    """Refuse what is no checkpoint of this version."""
    if not isinstance(held, dict):
        raise ValueError(f"it holds a {type(held).__name__}, not config and state_dict.")
    version = held.get("version", VERSION)
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(
            f"its version is {version!r}, and this package reads {VERSION}: install the simplellm "
            "that wrote it."
        )
    if held.get("format", FORMAT) != FORMAT:
        raise ValueError(f"it says that it is {held['format']!r}, not {FORMAT!r}.")
    if set(held) - {"format", "version"} != {"config", "state_dict"}:
        alone = bool(held) and all(isinstance(value, Tensor) for value in held.values())
        raise ValueError(
            "it holds no config and state_dict"
            + (", but weights alone: build the model and call load_state_dict." if alone else ".")
        )
    for part in ("config", "state_dict"):
        if not isinstance(held[part], dict) or not all(isinstance(n, str) for n in held[part]):
            raise ValueError(f"its {part} must be a dict by name, got {type(held[part]).__name__}.")
    for name, value in held["state_dict"].items():
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.is_meta:
            what = f"{value.dtype} on {value.device}" if isinstance(value, Tensor) else repr(value)
            raise ValueError(f"its {name} must be a tensor of floats, got {what}.")
