"""Which heatmaps nbval takes for the same: what differs in the last bits alone."""

import html
import json

import numpy as np
import pytest

from simplellm.heatmap import Heatmap
from tests.close_heatmaps import STATE, with_states_of

VALUES = np.random.default_rng(0).normal(size=(2, 5, 7))


def shown(values: np.ndarray = VALUES, **others: object) -> str:
    return Heatmap(values, title="Numbers", name="numbers", **others).html()


def state_of(page: str) -> dict:
    return json.loads(html.unescape(STATE.search(page)[0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_heatmap_that_differs_in_the_last_bits_is_the_committed_one(dtype) -> None:
    committed = shown(VALUES.astype(dtype))
    fresh = shown(np.nextafter(VALUES.astype(dtype), dtype(9)))
    assert state_of(fresh) != state_of(committed)
    assert state_of(with_states_of(fresh, committed)) == state_of(committed)


@pytest.mark.parametrize(
    "fresh",
    [
        shown(VALUES + 1e-3),
        shown(VALUES[:, :, :6]),
        shown(VALUES, rows="line"),
        shown(VALUES, frame=1),
        shown(np.where(VALUES > 1, np.nan, VALUES)),
    ],
    ids=["a number", "the shape", "a word", "the frame", "a gap"],
)
def test_heatmap_that_differs_otherwise_is_compared_as_it_is(fresh) -> None:
    assert with_states_of(fresh, shown()) == fresh
