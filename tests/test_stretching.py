"""RoPE stretched past the trained length."""

from __future__ import annotations

import math

import pytest
import torch

from simplellm.relative_positions import rotations_at
from simplellm.sinusoids import frequencies
from simplellm.stretching import WAYS, stretch, stretched_rates
from tests.small_models import model, prompt, same

RATES = frequencies(64, 10_000.0)


def stretched(by: str, factor: float = 4, trained: int = 2048) -> torch.Tensor:
    return stretched_rates(RATES, by, factor, trained, 10_000.0)


def test_interpolated_positions_are_those_between_the_trained_ones() -> None:
    places = torch.tensor([0, 4, 8, 400])
    interpolated = torch.exp(1j * places[:, None] * stretched("interpolation"))
    assert torch.allclose(interpolated, rotations_at(places // 4, 64), atol=1e-12)


def test_a_larger_base_leaves_the_fastest_pair_and_slows_the_slowest_by_the_factor() -> None:
    slower = RATES / stretched("ntk")
    assert slower[0] == 1 and math.isclose(slower[-1], 4, rel_tol=1e-12)
    assert (slower.diff() > 0).all()
    # By the paper's own form: the base times 4 ** (64 / 62).
    base = 10_000 * 4 ** (64 / 62)
    assert torch.allclose(stretched("ntk"), base ** (-torch.arange(0, 64, 2).double() / 64))


def test_yarn_keeps_pairs_of_32_turns_interpolates_those_of_one_and_ramps_between() -> None:
    turns = 2048 * RATES / (2 * math.pi)
    slower = RATES / stretched("yarn")
    assert torch.allclose(slower[turns > 32], torch.tensor(1.0).double())
    assert torch.allclose(slower[turns < 1], torch.tensor(4.0).double())
    for pair in ((turns < 32) & (turns > 1)).nonzero().flatten():
        ramp = (turns[pair] - 1) / 31
        expected = (1 - ramp) * RATES[pair] / 4 + ramp * RATES[pair]
        assert math.isclose(stretched("yarn")[pair], expected, rel_tol=1e-12)


@pytest.mark.parametrize("by", WAYS)
def test_texts_of_the_trained_length_are_stretched_by_nothing(by: str) -> None:
    assert torch.allclose(stretched(by, factor=1), RATES)


@pytest.mark.parametrize(("by", "temperature"), [("none", 1.0), ("ntk", 1.0), ("yarn", 1.2965)])
def test_yarn_alone_sharpens_the_scores(by: str, temperature: float) -> None:
    module, ids = model("rope"), prompt(1, 9)
    stretch(module, by, 4, trained=16)
    rotations = module.scheme.rotations(torch.arange(9)[None])
    assert rotations is not None
    # (0.1 ln 4 + 1) squared: both a query and a key are longer by the root.
    assert rotations.abs().square().flatten()[5].item() == pytest.approx(temperature, abs=1e-4)
    assert module(ids).shape == (1, 9, 40)


def test_a_model_that_is_stretched_by_nothing_says_what_it_said() -> None:
    module, ids = model("rope", rotary_share=0.5), prompt(2, 9)
    before = module(ids)
    stretch(module, "none", 4, trained=16)
    assert same(module(ids), before)


def test_a_stretched_model_sees_distances_alone() -> None:
    module, ids = model("rope"), prompt(1, 9)
    before = module(ids)
    stretch(module, "yarn", 4, trained=16)
    moved = module(ids, positions=torch.arange(50, 59))
    assert same(module(ids), moved) and not same(module(ids), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "linear"}, "^by must be one of none, interpolation, ntk, yarn, got 'linear'"),
        ({"factor": 0.5}, "^factor must be at least 1, got 0.5: texts that are not longer"),
        ({"trained": 0}, "^trained must be at least 1, got 0"),
    ],
)
def test_what_no_rates_can_be_made_of_is_refused(change: dict[str, object], message: str) -> None:
    given = {"by": "yarn", "factor": 4, "trained": 16, "base": 10_000.0, **change}
    with pytest.raises(ValueError, match=message):
        stretched_rates(RATES, **given)  # type: ignore[arg-type]


def test_one_pair_has_no_larger_base() -> None:
    with pytest.raises(ValueError, match=r'^by must not be "ntk" for one pair'):
        stretched_rates(torch.ones(1), "ntk", 4, 16, 10_000.0)


def test_other_positions_and_stretched_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="unstretched, got 'alibi' with Alibi"):
        stretch(model("alibi"), "yarn", 4, trained=16)
    module = model("rope")
    stretch(module, "ntk", 4, trained=16)
    with pytest.raises(ValueError, match="unstretched, got 'rope' with StretchedRope"):
        stretch(module, "yarn", 4, trained=16)
