"""How a convention is read off numbers: each step of `identify` by numbers that can be counted."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from simplellm import Convention, identify
from simplellm.conventions import CONVENTIONS
from simplellm.identify import (
    ORDERS,
    Match,
    _base,
    _difference,
    _first_position,
    _is_turning,
    _longest_run,
    _rates,
    _turn,
    best,
    search,
)


def exact(says: Convention, length: int = 64, d_model: int = 16, begin: int = 0) -> Tensor:
    return says.rows(torch.arange(begin, begin + length), d_model, length)


# ---- pairs of columns as hands of a clock


@pytest.mark.parametrize(("columns", "cosines_first"), ORDERS)
def test_a_pair_of_columns_is_a_hand_whose_angle_is_the_position_times_the_rate(
    columns: str, cosines_first: bool
) -> None:
    says = Convention(columns, cosines_first=cosines_first, base=100.0)
    turn = _turn(exact(says, 5, 8), says)
    rates = torch.tensor([100 ** (-pair / 4) for pair in range(4)], dtype=torch.float64)
    angles = torch.arange(5, dtype=torch.float64)[:, None] * rates
    assert torch.allclose(turn, torch.polar(torch.ones_like(angles), angles))
    assert torch.allclose(_rates(_turn(exact(says, 50, 8), says)), rates)


def test_rates_are_those_of_least_squares() -> None:
    angles = torch.tensor([0.0, 0.1, 0.5, 0.6]).double()
    (rate,) = _rates(torch.polar(torch.ones(4).double(), angles)[:, None])
    # Weights -3, -1, 1, 3 over 2: (3 * 0.6 + 0.5 - 0.1) / 2 over 5.
    assert float(rate) == pytest.approx(0.22)
    (rate,) = _rates(torch.polar(torch.ones(9).double(), 3.0 * torch.arange(9).double())[:, None])
    assert float(rate) == pytest.approx(3.0)  # nearly half a turn at each step
    (rate,) = _rates(torch.polar(torch.ones(9).double(), -2.0 * torch.arange(9).double())[:, None])
    assert float(rate) == pytest.approx(-2.0)


def test_hands_turn_if_all_have_one_length_give_or_take_a_twentieth() -> None:
    lengths = torch.ones(10, 10, dtype=torch.complex128)
    for off, turning in (
        (0.0, True),
        (0.049, True),
        (0.052, False),
        (-0.049, True),
        (-0.052, False),
    ):
        turn = 3 * lengths.clone()
        turn[4, 5] *= 1j * (1 + off)
        assert _is_turning(turn) is turning


# ---- base, fastest rate and first position


@pytest.mark.parametrize("base", [0.001, 37.0, 10_000.0])
@pytest.mark.parametrize("stretch", [1.0, 0.3, math.tau])
def test_base_and_fastest_rate_are_those_of_the_rates(base: float, stretch: float) -> None:
    for says in (Convention(base=base), Convention(base=base, exponents="i/(d/2-1)")):
        rates = stretch * says.rates(16)[0]
        assert _base(rates, says.exponents, True) == pytest.approx((base, stretch))
        if stretch == 1:
            assert _base(rates, says.exponents, False) == pytest.approx((base, 1.0))


def test_a_base_is_the_nearest_with_each_pair_weighted_by_its_square() -> None:
    """Of logarithms: two pairs besides the first, of exponents 1/3 and 2/3."""
    rates = torch.tensor([1.0, 0.5, 0.1]).double()
    w, x, y = [0.25, 0.01], [1 / 3, 2 / 3], [math.log(0.5), math.log(0.1)]
    slope = sum(a * b * c for a, b, c in zip(w, x, y, strict=True))
    slope /= sum(a * b * b for a, b in zip(w, x, strict=True))
    assert _base(rates, "2i/d", False) == pytest.approx((math.exp(-slope), 1.0))
    # With the fastest rate free, all three pairs count, about their weighted means.
    w, x, y = [1, *w], [0, *x], [0, *y]
    mean = sum(a * b for a, b in zip(w, x, strict=True)) / sum(w)
    height = sum(a * c for a, c in zip(w, y, strict=True)) / sum(w)
    slope = sum(a * (b - mean) * (c - height) for a, b, c in zip(w, x, y, strict=True))
    slope /= sum(a * (b - mean) ** 2 for a, b in zip(w, x, strict=True))
    expected = math.exp(-slope), math.exp(height - slope * mean)
    assert _base(rates, "2i/d", True) == pytest.approx(expected)


def test_pairs_that_do_not_turn_say_nothing_of_the_base() -> None:
    rates = torch.tensor([1.0, 0.5, 0.0, -0.1]).double()
    assert _base(rates, "2i/d", False) == pytest.approx((16.0, 1.0))  # of exponent 1/4
    assert _base(torch.tensor([1.0]).double(), "2i/d", False) is None
    assert _base(torch.tensor([1.0, 0.0]).double(), "i/(d/2-1)", False) is None
    assert _base(torch.tensor([-1.0, 0.5]).double(), "i/(d/2-1)", False) == pytest.approx((2, 1))
    assert _base(torch.tensor([1.0, 1e-305]).double(), "2i/d", False) is None  # exp(1404)
    assert _base(torch.tensor([1e30, 1e30]).double(), "2i/d", True) is None


@pytest.mark.parametrize("position", [0, 1, 7, 250, 20_000, -3])
@pytest.mark.parametrize("size", [1.0, 0.02, 30.0])
def test_the_first_position_is_found_whatever_the_size(position: int, size: float) -> None:
    rates = Convention().rates(64)[0]
    angles = position * rates
    row = size * torch.polar(torch.ones_like(angles), angles)
    assert _first_position(row / row.abs(), rates) == position
    if size >= 1:
        assert _first_position(row, rates) == position


def test_a_hand_that_does_not_turn_knows_no_position() -> None:
    rates = torch.tensor([1.0, 0.0]).double()
    row = torch.polar(torch.ones(2).double(), torch.tensor([2.0, 0.3]).double())
    assert _first_position(row, rates) == 2
    assert _first_position(torch.ones(2, dtype=torch.complex128), rates) == 0


# ---- the search


def test_a_table_is_searched_at_any_length_of_the_whole() -> None:
    says = CONVENTIONS["tape"]
    rows = exact(says, 200)
    found = best(search(rows[:50], 1e-6, length=200))
    assert [match.convention for match in found] == [says] and found[0].exact
    assert says not in [match.convention for match in search(rows[:50], 1e-6)]


def test_rows_a_little_off_match_loosely_or_not_at_all() -> None:
    rows = exact(Convention(amplitude=0.5))
    rows[3, 4] += 0.004
    assert search(rows, 1e-6) == []
    (found,) = best(search(rows, 1e-6, loose=0.01))[:1]
    assert not found.exact and found.difference == pytest.approx(0.004, rel=0.02)
    assert found.convention == Convention(amplitude=0.5)
    assert search(rows, 1e-6, loose=0.007) == []  # of the size, which is a half


def test_what_is_exact_puts_aside_what_is_near() -> None:
    rows = exact(Convention(base=10_050.0), 64, 16)
    found = search(rows, 1e-6, loose=0.5)
    assert Convention(base=10_050.0) in [match.convention for match in found]
    assert all(match.exact and match.difference < 1e-5 for match in found)
    assert len(found) == len({match.convention for match in found})


def test_a_convention_to_compare_with_lends_its_base_and_comes_first() -> None:
    says = Convention("halves", base=77.0, first=3)
    (row,) = exact(says, 1, 16)
    alone = [match.convention for match in search(row[None], 1e-6)]
    assert says not in alone
    found = best(search(row[None], 1e-6, like=says), like=says)
    assert found[0].convention == says
    assert [m.unlike(says) for m in found] == sorted(m.unlike(says) for m in found)


def test_the_best_take_least_to_say() -> None:
    simple, other, long = (
        Match(says, 0.0, True)
        for says in (Convention(), Convention("halves"), Convention(base=12.0))
    )
    assert best([long, simple, other]) == [simple, other]
    assert best([]) == []
    assert best([simple, long], like=Convention(base=12.0)) == [long, simple]


@pytest.mark.parametrize("amplitude", [1.0, 0.3, 12.5, 0.123456, 0.12345678, "d^-0.5"])
def test_an_amplitude_is_said_with_as_few_digits_as_explain_the_rows(
    amplitude: float | str,
) -> None:
    (found,) = best(search(exact(Convention(amplitude=amplitude)), 1e-6))
    size = found.convention.amplitude
    if isinstance(amplitude, str):
        assert size == amplitude
    else:
        assert size == pytest.approx(amplitude, rel=2e-6)
        assert len(f"{size:.12g}") <= len(f"{amplitude:.6g}")


def test_a_size_has_a_name_where_it_is_one() -> None:
    for amplitude in ("d^-0.5", "(2/d)^0.5"):
        says = Convention("halves", amplitude=amplitude, base=500.0)
        assert identify(says.table(64, 24)).convention == says


# ---- what is said of whole tables


@pytest.mark.parametrize(
    ("good", "run"),
    [
        ([True] * 4, (0, 4)),
        ([False, True, True, False, True, True, True], (4, 7)),
        ([True, True, False, True, True], (0, 2)),
        ([False, True], (1, 2)),
        ([True, False, False], (0, 1)),
    ],
)
def test_the_longest_run_is_the_first_of_those(good: list[bool], run: tuple[int, int]) -> None:
    assert _longest_run(torch.tensor(good)) == run


def test_a_difference_is_over_all_rows_that_count() -> None:
    says = Convention(amplitude=2.0)
    rows = exact(says, 10_000, 4, begin=-3)
    good = torch.ones(len(rows), dtype=torch.bool)
    assert _difference(rows, good, 3, says, 1e-6) == (pytest.approx(0, abs=1e-12), True)
    rows[5000, 1] += 0.5
    assert _difference(rows, good, 3, says, 1e-6) == (pytest.approx(0.5), False)
    good[5000] = False
    assert _difference(rows, good, 3, says, 1e-6) == (pytest.approx(0, abs=1e-12), True)
    rows[9000, 1] += 5e-3  # what float32 makes of an angle of 9000, twice as large
    assert _difference(rows, good, 3, says, 1e-6) == (pytest.approx(5e-3), True)
    rows[90, 1] -= 5e-3
    assert _difference(rows, good, 3, says, 1e-6) == (pytest.approx(5e-3), False)
    rows[90, 1] += 5e-3
    rows[100, 2] += 0.01
    assert _difference(rows, good, 3, says, 1e-2) == (pytest.approx(0.01), True)  # coarse numbers


def test_the_nearest_convention_is_named_with_where_it_is_off() -> None:
    table = Convention("halves", amplitude=0.5).table(64, 16)
    table[17, 5] += 0.03
    found = identify(table)
    assert re.fullmatch(
        r"the nearest convention is halves, .*amplitude 0\.5, and row 17, column 5 is off by "
        r"0\.03: more than float32 explains \(trained sinusoids, or frequencies in half "
        r"precision\?\)",
        found.why,
    )
    assert found.difference == pytest.approx(0.03, rel=0.01)


def test_why_no_convention_is_near_is_said() -> None:
    chance = torch.Generator().manual_seed(0)
    for columns in (16, 15):
        noise = torch.randn(64, columns, generator=chance)
        assert identify(noise).why == (
            "no way to pair its columns gives sin² + cos² the same in every row, as sinusoids do: "
            "learned or random numbers, or another function of the position"
        )
    rates = torch.tensor([1.0, 2.7, 0.4, 1.9]).double()
    angles = torch.arange(64)[:, None] * rates
    turning = torch.stack((angles.cos(), angles.sin()), 2).flatten(1)
    assert identify(turning).why == "its columns turn in pairs, at rates that no base explains"
    assert identify(turning).difference >= 0.5


@pytest.mark.parametrize("odd", [3, 33])
def test_the_first_of_an_odd_width_is_that_of_a_known_convention(odd: int) -> None:
    says = replace(CONVENTIONS["fairseq"], first=1)
    found = identify(says.table(60, odd))
    assert says in (found.convention, *found.candidates)
