"""Writing files as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

#: The suffix of a file while it is written.
TEMPORARY = ".tmp"


def write_atomically(path: Path, data: bytes) -> None:
    """Put a file in place as a whole: a kill or a power cut leaves the old one or the new one.

    Args:
        path: The file, in a folder that exists.
        data: All of it.

    Raises:
        FileNotFoundError: If there is no such folder.
        IsADirectoryError: If the path is a folder itself.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path {str(path)!r} is in no folder yet: make it first.")
    if path.is_dir():
        raise IsADirectoryError(f"path {str(path)!r} is a folder: name a file in it.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
