"""The style and the script of a heatmap, as a page and a running notebook get them.

The script is its modules in ``js/``, joined. Each says what it imports, so that it can be read, and
tested, on its own.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from ..palette import with_colors

# What a module imports stands before it. The last is for a kernel only; conventions.js, which few
# pages need, is a script of its own.
PARTS = (
    "words dom colour pens sources state readout drawing controls hands actions element live"
).split()
_NOT_JOINED = re.compile(
    r"^import .*\n"  # what it names stands above
    r"|^ *//.*\n|^ */\*\*[\s\S]*?\*/\n"  # whole lines of comment: a reader has them in the package
    r"|^export (?=function|class|const)"
    r"|^ +",  # a seventh of the script; no string of it goes over several lines
    re.MULTILINE,
)


@cache
def stylesheet() -> str:
    """The text of ``heatmap.css``, with the palette's colours."""
    style = files("simplellm").joinpath("heatmap", "heatmap.css").read_text(encoding="utf-8")
    return with_colors(style)


@cache
def part(name: str) -> str:
    """The text of one module."""
    return files("simplellm").joinpath("heatmap", "js", f"{name}.js").read_text(encoding="utf-8")


def needed(name: str) -> str:
    """The element of a script that few heatmaps need; it stands before the script of all."""
    return f'<script class="simplellm-{name}-code">{part(name)}</script>'


def _joined(names: list[str]) -> str:
    return "\n".join(_NOT_JOINED.sub("", part(name)).strip("\n") + "\n" for name in names)


def module() -> str:
    """The script as one ES module, whose default export is a front end for anywidget."""
    return part("conventions") + _joined(PARTS)


def script() -> str:
    """The script as a classic one, which mounts every heatmap of its page.

    Classic, because module scripts do not run from ``file://``; and twice, because a page built
    from several outputs carries the script once, before its later heatmaps are parsed.
    """
    return (
        "// simplellm/heatmap/js, which explains itself there\n"
        f"(() => {{\n{_joined(PARTS[:-1])}\nmountAll();\n"
        'document.addEventListener("DOMContentLoaded", mountAll);\n})();'
    )
