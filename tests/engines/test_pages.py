"""Pages of the book in Chromium, Firefox and WebKit: clean, painted, exact, and not too wide.

Each is opened once in an engine and in each way; `visit` is what was seen there. Which pages those
are is said in conftest.py; PAGES=all in the environment takes every page.
"""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import Visit, heatmaps_of

pytestmark = pytest.mark.browser


def table(heatmap: dict, key: str) -> np.ndarray:
    """Numbers of a heatmap, in rows and columns."""
    return np.array(heatmap[key].split(), dtype=float).reshape(heatmap["shape"])


def wrong_numbers(visit: Visit) -> list[tuple[str, str]]:
    """The heatmaps that show, or painted, other numbers than the package has."""
    wrong = []
    for heatmap in visit.heatmaps:
        exact = heatmaps_of(visit.page)[heatmap["id"]].values()
        limit = 1e-6 * max(1, np.abs(exact).max())
        for key in ("values", "painted"):
            if np.abs(table(heatmap, key) - exact).max() >= limit:
                wrong.append((heatmap["id"], key))
    return wrong


def not_painted(visit: Visit) -> list[str]:
    """The heatmaps that are dead or blank; paper and ink alone are fewer than twenty colours."""
    return [h["id"] for h in visit.heatmaps if not h["shape"] or h["colours"] < 20]


@pytest.mark.opened("http", "file")
def test_page_has_no_error(visit):
    assert visit.errors == []


@pytest.mark.opened("http", "file")
def test_every_heatmap_is_painted(visit):
    assert not_painted(visit) == []
    assert [h["id"] for h in visit.heatmaps] == list(heatmaps_of(visit.page))


@pytest.mark.opened("http")
def test_every_heatmap_shows_the_package_s_numbers(visit):
    assert wrong_numbers(visit) == []


@pytest.mark.opened("http")
def test_everything_fits_on_a_desk(visit):
    assert visit.wide == []


@pytest.mark.opened("http")
def test_everything_fits_on_a_phone(visit):
    assert visit.narrow == []
