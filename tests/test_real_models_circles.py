"""Circles in a table: the formula's are found, made ones too, and none where there are none."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simplellm import sinusoidal_encoding, wavelengths
from simplellm.real_models.circles import (
    effective_rank,
    fit_waves,
    pair_energies,
    roughness,
    similarity_by_offset,
    turning_circles,
)


def made_of_circles(
    periods: list[float], rows: int = 400, d_model: int = 40, noise: float = 0.0, first: int = 0
) -> Tensor:
    """Circles of radius 1 in planes that lie askew across all columns, about a common centre."""
    chance = torch.Generator().manual_seed(0)
    spread = torch.randn(d_model, d_model, generator=chance, dtype=torch.float64)
    askew, _ = torch.linalg.qr(spread)
    positions = torch.arange(first, first + rows, dtype=torch.float64)
    angles = positions[:, None] * math.tau / torch.tensor(periods, dtype=torch.float64)
    flat = torch.stack((angles.cos(), angles.sin()), -1).flatten(1)
    table = flat @ askew[: flat.shape[1]] + torch.linspace(-1, 1, d_model, dtype=torch.float64)
    return table + noise * torch.randn(table.shape, generator=chance, dtype=torch.float64)


def strangers(rows: int = 400, d_model: int = 40) -> Tensor:
    return torch.randn(rows, d_model, generator=torch.Generator().manual_seed(1))


# ---- circles -------------------------------------------------------------------------------------


def test_the_sinusoidal_table_gives_its_own_wavelengths() -> None:
    table = sinusoidal_encoding(range(600), 8, base=100)
    found = turning_circles(table, energy=1)
    assert [c.period for c in found] == pytest.approx(wavelengths(8, base=100).tolist(), rel=1e-6)
    assert [c.size for c in found] == pytest.approx([1] * 4, abs=1e-6)


def test_a_table_made_of_three_circles_gives_their_three_periods() -> None:
    found = turning_circles(made_of_circles([7.5, 31, 200]))
    assert [c.period for c in found] == pytest.approx([7.5, 31, 200], rel=1e-6)
    assert [c.counted_period for c in found] == pytest.approx([7.5, 31, 200], rel=1e-6)
    assert max(c.unevenness for c in found) < 1e-6


def test_three_circles_are_found_under_noise() -> None:
    found = turning_circles(made_of_circles([7.5, 31, 200], noise=0.05), energy=0.9)
    assert [c.period for c in found] == pytest.approx([7.5, 31, 200], rel=0.02)


def test_a_table_without_order_has_no_circle() -> None:
    assert turning_circles(strangers()) == []
    weak = turning_circles(strangers(), least_size=0)
    assert weak and max(c.size for c in weak) < 0.5


def test_shuffled_rows_have_no_circle() -> None:
    table = made_of_circles([7.5, 31, 200])
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(2))
    assert turning_circles(table[order]) == []


def test_a_hand_stands_where_its_period_says() -> None:
    for first in (0, 37):
        for circle in turning_circles(made_of_circles([7.5, 31, 200], first=first), first=first):
            even = torch.arange(first, first + 400).double() * math.tau / circle.period
            off = (circle.angles - even + math.pi) % math.tau - math.pi
            assert off.abs().max() < 1e-6


@pytest.mark.parametrize("radius", [1.0, 0.03, 50.0])
def test_a_hand_has_the_radius_by_root_two(radius: float) -> None:
    for circle in turning_circles(radius * made_of_circles([7.5, 31, 200])):
        assert circle.hand.abs().mean() == pytest.approx(radius / math.sqrt(2), rel=1e-6)
        assert circle.axis.norm() == pytest.approx(1)


def test_turns_are_counted_from_the_first_row() -> None:
    (circle,) = turning_circles(made_of_circles([8], rows=401))
    assert circle.turns[0] == 0
    assert circle.turns[[8, 80, 400]].tolist() == pytest.approx([1, 10, 50], abs=1e-6)


def test_other_rows_are_placed_by_the_same_plane() -> None:
    table = made_of_circles([7.5, 31, 200])
    for circle in turning_circles(table[100:], first=100):
        assert torch.allclose(circle.place(table[100:]), circle.hand)
        before = circle.place(table[:100])  # rows that it has not seen
        assert torch.allclose(before.abs(), circle.hand.abs().mean(), rtol=1e-6)


def test_a_spiral_has_the_size_by_which_a_step_stretches_it() -> None:
    grows = 1.03 ** torch.arange(60, dtype=torch.float64)
    (circle,) = turning_circles(made_of_circles([9], rows=60) * grows[:, None], energy=1)
    assert circle.period == pytest.approx(9, rel=1e-6)
    assert circle.size == pytest.approx(1.03, rel=1e-6)


def test_turning_the_columns_changes_no_circle() -> None:
    table = made_of_circles([7.5, 31], noise=0.02)
    askew, _ = torch.linalg.qr(strangers(40, 40).double())
    for one, other in zip(turning_circles(table), turning_circles(table @ askew), strict=True):
        assert one.period == pytest.approx(other.period, rel=1e-6)
        assert torch.allclose(one.hand, other.hand * (one.hand[0] / other.hand[0]), atol=1e-6)
        assert torch.allclose(one.angles, other.angles, atol=1e-6)


def test_a_circle_says_what_it_is() -> None:
    (circle,) = turning_circles(made_of_circles([8], rows=400))
    assert repr(circle) == "Circle(period=8, size=1.000, unevenness=0.00)"


# ---- waves ---------------------------------------------------------------------------------------


def test_waves_of_a_made_table_are_its_own_and_go_on_past_its_end() -> None:
    table = made_of_circles([7.5, 31, 200], rows=1000)
    fitted = fit_waves(table[:300], 3)
    assert fitted.periods.tolist() == pytest.approx([7.5, 31, 200], rel=1e-3)
    assert fitted.explained == pytest.approx(1, abs=1e-5)
    assert torch.allclose(fitted.at(range(1000)), table, atol=0.02)


def test_waves_count_positions_from_the_first_row_they_are_given() -> None:
    table = made_of_circles([7.5, 31], first=500)
    fitted = fit_waves(table[:100], 2, first=500)
    assert torch.allclose(fitted.at([500, 503, 650]), table[[0, 3, 150]], atol=1e-2)
    assert fitted.at([500.5]).shape == (1, 40)
    assert torch.equal(fitted.at(torch.tensor([503])), fitted.at([503.0]))
    assert torch.equal(fitted.at(range(3)), fitted.at([0.0, 1.0, 2.0]))
    far = [123_456.7]  # float32 has no such number
    assert torch.equal(fitted.at(far), fitted.at(torch.tensor(far, dtype=torch.float64)))
    assert fit_waves(table[:6], 2, first=500).explained <= 1 + 1e-9  # as few as there may be


def test_a_single_direction_of_any_size_has_waves() -> None:
    wave = 1e-3 * (torch.arange(60).double() * math.tau / 12).sin()[:, None]
    for table in (wave, torch.cat((wave, wave), 1)):
        fitted = fit_waves(table, 1)
        assert fitted.periods.item() == pytest.approx(12, rel=1e-3)
        assert fitted.explained == pytest.approx(1, abs=1e-5)


def test_each_further_wave_explains_more() -> None:
    table = made_of_circles([7.5, 31, 200], noise=0.1)
    explained = [fit_waves(table[:80], waves).explained for waves in (1, 2, 3, 4)]
    assert explained == sorted(explained)
    assert 0.3 < explained[0] < 0.6 and 0.8 < explained[2] < 1


def test_waves_explain_little_of_a_table_without_order() -> None:
    assert fit_waves(strangers(200), 2).explained < 0.1


# ---- how rows differ -----------------------------------------------------------------------------


def test_circles_of_one_radius_share_the_energy_equally() -> None:
    energies = pair_energies(made_of_circles([8, 20, 50, 100]))
    assert energies[:4].tolist() == pytest.approx([0.25] * 4, abs=1e-6)
    assert energies[4:].abs().max() < 1e-12
    assert effective_rank(made_of_circles([8, 20, 50, 100])) == pytest.approx(8, abs=1e-3)


def test_energies_sum_to_one_less_an_odd_last_direction() -> None:
    assert float(pair_energies(strangers(50, 40)).sum()) == pytest.approx(1)
    last = torch.linalg.svdvals(strangers(50, 7).double() - strangers(50, 7).double().mean(0))
    left = 1 - float(pair_energies(strangers(50, 7)).sum())
    assert left == pytest.approx(float(last[-1] ** 2 / last.square().sum()))


def test_the_similarity_of_sinusoids_is_the_mean_cosine_of_the_turns() -> None:
    table = sinusoidal_encoding(range(100), 16)
    turns = torch.tensor([0.0, 1, 5]).double()[:, None] * math.tau / wavelengths(16)
    assert torch.allclose(similarity_by_offset(table, [0, 1, 5]), turns.cos().mean(1))
    assert similarity_by_offset(table, []).shape == (0,)


def test_roughness_is_one_of_strangers_and_two_when_each_row_is_the_opposite() -> None:
    assert roughness(strangers(2000)) == pytest.approx(1, abs=0.03)
    assert roughness(torch.tensor([[1.0], [-1.0]] * 50)) == pytest.approx(2)
    assert roughness(torch.linspace(0, 1, 1000)[:, None]) < 1e-4


@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_neither_scale_nor_centre_of_a_table_matters(scale: float, shift: float) -> None:
    table = made_of_circles([7.5, 31], rows=120)
    moved = table * scale + shift
    assert roughness(moved) == pytest.approx(roughness(table), rel=1e-6)
    assert effective_rank(moved) == pytest.approx(effective_rank(table), rel=1e-6)
    for one, other in zip(turning_circles(table), turning_circles(moved), strict=True):
        assert one.period == pytest.approx(other.period, rel=1e-6)


def test_no_more_directions_are_taken_than_asked_for() -> None:
    table = made_of_circles([7.5, 31, 200])
    assert len(turning_circles(table)) == 3 > len(turning_circles(table, directions=2))


def test_few_rows_are_enough_and_fewer_are_refused() -> None:
    two = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert pair_energies(two).tolist() == pytest.approx([1])
    assert similarity_by_offset(two, [1]).tolist() == pytest.approx([0])
    with pytest.raises(ValueError, match="table"):
        pair_energies(two[:1])
    assert isinstance(turning_circles(strangers(4, 2)), list)
    with pytest.raises(ValueError, match="table"):
        turning_circles(strangers(3, 2))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda table: similarity_by_offset(table, [1.0]), "offset must be an int"),
        (lambda table: turning_circles(table, first=0.5), "first must be an int"),
        (lambda table: turning_circles(table, energy="all"), "energy must be"),
        (lambda table: turning_circles(table, least_size="none"), "least_size must be"),
        (lambda table: turning_circles(table, directions=1.5), "directions must be an int"),
        (lambda table: fit_waves(table, 1.5), "waves must be an int"),
        (lambda table: fit_waves(table, 1, first="0"), "first must be an int"),
    ],
)
def test_what_is_no_number_is_refused_by_name(call: Callable[[Tensor], object], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        call(strangers())


def test_a_table_that_cannot_be_looked_at_is_refused_in_a_sentence() -> None:
    for analyse in (effective_rank, roughness, turning_circles):
        with pytest.raises(ValueError, match=r"^table has equal rows: nothing in it tells two pos"):
            analyse(torch.ones(9, 4))
    with pytest.raises(ValueError, match=r"^table must be finite; it holds an infinity or a nan"):
        effective_rank(torch.full((9, 4), math.inf))
    with pytest.raises(ValueError, match=r"^table has equal rows: nothing in it tells two pos"):
        fit_waves(torch.ones(9, 4), 1)
    with pytest.raises(ValueError, match=r"9 rows, and 4 waves .* fit fewer waves or more rows\."):
        fit_waves(strangers(9), 4)
    with pytest.raises(ValueError, match="least_size must be at least 0 and finite, got inf"):
        turning_circles(strangers(), least_size=math.inf)


# ---- bad input -----------------------------------------------------------------------------------

ANALYSES: list[Callable[[Tensor], object]] = [
    pair_energies,
    effective_rank,
    roughness,
    turning_circles,
    lambda table: similarity_by_offset(table, [1]),
    lambda table: fit_waves(table, 1),
]


@pytest.mark.parametrize("analyse", ANALYSES)
def test_what_is_no_table_is_refused_by_name(analyse: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"table must be a tensor .* got list"):
        analyse([[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"of shape \(positions, d_model\), got .* \(3,\)"):
        analyse(torch.zeros(3))
    with pytest.raises(ValueError, match=r"must be floating point, .* got torch\.int64"):
        analyse(torch.zeros(9, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"at least \d rows, got 1"):
        analyse(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="must be finite"):
        analyse(torch.full((9, 3), torch.nan))


@pytest.mark.parametrize("analyse", [a for a in ANALYSES if a is not ANALYSES[4]])
def test_equal_rows_are_refused(analyse: Callable[[Tensor], object]) -> None:
    with pytest.raises(ValueError, match="table has equal rows"):
        analyse(torch.ones(9, 3))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: turning_circles(t, energy=0), "energy must be above 0 and at most 1, got 0"),
        (lambda t: turning_circles(t, energy=1.1), "energy must be above 0 and at most 1, got 1.1"),
        (lambda t: turning_circles(t, least_size=-1), "least_size must be at least 0 .* got -1"),
        (lambda t: turning_circles(t, directions=0), "directions must be at least 1, got 0"),
        (lambda t: similarity_by_offset(t, [9]), "offsets must be from 0 to 8 for 9 rows, got 9"),
        (lambda t: similarity_by_offset(t, [-1]), "offsets must be from 0 to 8 for 9 rows, got -1"),
        (lambda t: fit_waves(t, 4), "table has 9 rows, and 4 waves need more than 9"),
        (lambda t: fit_waves(t, 0), "waves must be at least 1, got 0"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(
    call: Callable[[Tensor], object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        call(strangers(9, 3))
