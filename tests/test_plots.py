"""The look of figures that several chapters share."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from simplellm import plots
from simplellm.model import POSITIONS


def test_every_scheme_has_a_look_that_no_other_has_without_its_colour() -> None:
    assert set(plots.SCHEMES) == set(POSITIONS)
    looks = {(look["linestyle"], look["marker"]) for look in plots.SCHEMES.values()}
    assert len(looks) == len(POSITIONS)
    assert len({look["marker"] for look in plots.SCHEMES.values()}) == len(POSITIONS)


def test_a_curve_is_the_mean_with_its_interval_around_it() -> None:
    axes = Figure().subplots()
    plots.curve(axes, [1, 2, 3], [5.0, 6.0, 7.0], [0.5, 0.25, 0.125], "rope")
    (line,), (band,) = axes.lines, axes.collections
    assert line.get_xydata().tolist() == [[1, 5], [2, 6], [3, 7]]
    assert line.get_linestyle() == "--" and line.get_label() == "rope"
    edges = band.get_paths()[0].vertices
    for x, low, high in ((1, 4.5, 5.5), (2, 5.75, 6.25), (3, 6.875, 7.125)):
        there = edges[np.isclose(edges[:, 0], x), 1]
        assert there.min() == pytest.approx(low) and there.max() == pytest.approx(high)


def test_a_style_that_is_given_wins_over_the_schemes() -> None:
    axes = Figure().subplots()
    plots.curve(axes, [1, 2], [1.0, 1.0], [0.0, 0.0], "learned", linestyle=":", color="black")
    assert axes.lines[0].get_linestyle() == ":" and axes.lines[0].get_color() == "black"


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        ([str(p) for p in range(-32, 32)], ["-30", "-20", "-10", "0", "10", "20", "30"]),
        ([str(p) for p in range(100, 109)], ["100", "102", "104", "106", "108"]),
        ([str(p) for p in range(-3, 4)], ["-3", "-2", "-1", "0", "1", "2", "3"]),
        ([str(16 * p) for p in range(16)], ["0", "48", "96", "144", "192", "240"]),
        (list("abcdefghijkl"), ["a", "c", "e", "g", "i", "k"]),
    ],
    ids=lambda words: words[0],
)
def test_where_few_labels_have_room_the_round_ones_are_written(
    labels: list[str], written: list[str]
) -> None:
    assert [labels[i] for i in plots.ticks(labels, 7)] == written
