"""The palette: the colours of the book, read from the one place they are written in."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def _palette() -> dict[str, dict[str, str]]:
    """For "light" and "dark": each custom property with its value, as ``palette.css`` has them."""
    text = files("simplellm").joinpath("palette.css").read_text(encoding="utf-8")
    return {
        theme: dict(re.findall(r"--([\w-]+): ([^;]*);", block))
        for theme, block in re.findall(r"\.(light|dark) \{([^}]*)\}", text)
    }


def colors(name: str, *, dark: bool = False) -> list[str]:
    """The colours of one name in the palette, as ``#rrggbb`` strings: one, or the stops of a scale.

    Args:
        name: Such as ``"ink"``, ``"diverging"`` or ``"sequential"``.
        dark: Take the value for dark pages.

    Raises:
        KeyError: If the palette has no such colour.

    Example:
        >>> len(colors("diverging"))
        11
    """
    values = _palette()["dark" if dark else "light"]
    if name not in values:
        raise KeyError(f"palette.css names no colour --{name}, only {', '.join(values)}")
    return values[name].split()


def with_colors(style: str) -> str:
    """A style sheet with the palette's colours where it says ``@colors light;`` or ``dark;``.

    It gets those that it uses in ``var(--name)``, and those that it names there:
    ``@colors dark first second;``.

    Raises:
        KeyError: If it names a colour that the palette lacks.

    Example:
        >>> print(with_colors("p { @colors light; background: var(--paper); }"))
        p { --paper: #ffffff; background: var(--paper); }
    """
    used = set(re.findall(r"var\(--([\w-]+)\)", style))

    def declared(found: re.Match[str]) -> str:
        indentation, theme, named = found[1], found[2], found[3].split()
        values = _palette()[theme]
        for name in named:
            colors(name)
        chosen = [name for name in values if name in used or name in named]
        return indentation + f"\n{indentation}".join(f"--{n}: {values[n]};" for n in chosen)

    return re.sub(r"((?:(?<=\n) *)?)@colors (light|dark)((?: [\w-]+)*);", declared, style)
