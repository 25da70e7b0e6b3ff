"""Draw the logo, the favicon and the stripe under each title: each cell its true value.

Not an extension: run it by hand after changing it (`python -m _ext.draw_marks`).
"""

import math
from pathlib import Path

import numpy as np

from simplellm.palette import colors

STATIC = Path(__file__).resolve().parent.parent / "_static"
STOPS = np.array([[int(c[at : at + 2], 16) for at in (1, 3, 5)] for c in colors("diverging")])


def value(position: int, column: int, d_model: int, base: float) -> float:
    angle = position / base ** (2 * (column // 2) / d_model)
    return math.cos(angle) if column % 2 else math.sin(angle)


def colour(v: float) -> str:
    """The colour of a value from -1 to 1 on the palette's diverging scale."""
    at = np.linspace(-1, 1, len(STOPS))
    return "#" + "".join(f"{round(np.interp(v, at, channel)):02x}" for channel in STOPS.T)


def table(
    d_model: int, positions: range, base: float, cell: int, radius: float, shape: str = ""
) -> str:
    """Columns run to the right, positions run down."""
    width, height = d_model * cell, len(positions) * cell
    rects = "".join(
        f'<path fill="{colour(value(p, c, d_model, base))}" '
        f'd="M{c * cell} {row * cell}h{cell}v{cell}h-{cell}z"/>'
        for row, p in enumerate(positions)
        for c in range(d_model)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"{shape}>'
        f'<clipPath id="c"><rect width="{width}" height="{height}" rx="{radius}"/></clipPath>'
        f'<g clip-path="url(#c)" shape-rendering="crispEdges">{rects}</g></svg>\n'
    )


if __name__ == "__main__":
    # Small bases, so that even these few positions show fast and slow columns.
    (STATIC / "logo.svg").write_text(table(36, range(12), 200.0, 6, 4), encoding="utf-8")
    (STATIC / "favicon.svg").write_text(table(8, range(8), 50.0, 4, 4), encoding="utf-8")
    # One row of the book's own table: position 37 of 64 columns.
    stretch = ' preserveAspectRatio="none"'
    (STATIC / "stripe.svg").write_text(
        table(64, range(37, 38), 10000.0, 8, 0, stretch), encoding="utf-8"
    )
