"""The colours of the book, read from the one place they are written in: ``heatmap.css``."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def stylesheet() -> str:
    """The text of ``heatmap.css``."""
    return files("simplellm").joinpath("heatmap", "heatmap.css").read_text(encoding="utf-8")


def colors(name: str, *, dark: bool = False) -> list[str]:
    """The colours of a custom property of the stylesheet, as ``#rrggbb`` strings.

    Args:
        name: Such as ``"ink"``, ``"diverging"`` or ``"sequential"``, without its two dashes.
        dark: Take the value for dark pages.

    Raises:
        KeyError: If the stylesheet has no such property.

    Example:
        >>> len(colors("diverging"))
        11
    """
    light_block, dark_block = stylesheet().split('[data-theme="dark"] {', 1)
    block = dark_block.split("}", 1)[0] if dark else light_block
    found = re.search(rf"--{re.escape(name)}:([^;]*);", block)
    if not found:
        raise KeyError(f"heatmap.css names no colour --{name}")
    return re.findall(r"#[0-9a-f]{6}", found.group(1))
