"""The formula itself, against values derived by other means: mpmath at 40 digits, and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from simplellm import (
    frequencies,
    offset_kernel,
    shift_rotation,
    sinusoidal_encoding,
    wavelengths,
)
from simplellm.sinusoids import rounded_encoding

quick = settings(max_examples=40, deadline=None, database=None)

EVEN_WIDTHS = st.integers(1, 24).map(lambda half: 2 * half)
BASES = st.sampled_from([2.0, 100.0, 10_000.0, 500_000.0])
ANY_POSITION = st.floats(-100_000, 100_000, allow_nan=False)


def exact_encoding(position: float, d_model: int, base: float = 10_000.0) -> list[float]:
    """One row of the table at 40 digits, rounded to float64 only at the end."""
    row: list[float] = []
    with mpmath.workdps(40):
        for pair in range(d_model // 2):
            exponent = mpmath.mpf(2 * pair) / d_model
            angle = mpmath.mpf(position) / mpmath.mpf(base) ** exponent
            row += [float(mpmath.sin(angle)), float(mpmath.cos(angle))]
    return row


def as_row(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def low_precision_default() -> Iterator[None]:
    """What a reader's notebook may have set before calling us."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    yield
    torch.set_default_dtype(before)


# -- frequencies and wavelengths ------------------------------------------------------------------


@quick
@given(d_model=EVEN_WIDTHS, base=BASES)
def test_frequency_of_pair_i_is_base_to_the_minus_2i_over_d_model(
    d_model: int, base: float
) -> None:
    with mpmath.workdps(40):
        exact = [
            float(mpmath.mpf(base) ** (-mpmath.mpf(2 * pair) / d_model))
            for pair in range(d_model // 2)
        ]
    torch.testing.assert_close(frequencies(d_model, base), as_row(exact), rtol=1e-14, atol=0)


@quick
@given(d_model=EVEN_WIDTHS)
def test_there_is_one_frequency_for_each_pair_of_columns(d_model: int) -> None:
    assert frequencies(d_model).shape == (d_model // 2,)
    assert wavelengths(d_model).shape == (d_model // 2,)


def test_the_first_pair_turns_by_one_radian_and_each_next_one_slower() -> None:
    values = frequencies(64)
    assert values[0] == 1.0
    assert (values.diff() < 0).all()


@quick
@given(d_model=EVEN_WIDTHS, base=BASES)
def test_a_pair_has_turned_once_after_its_wavelength(d_model: int, base: float) -> None:
    turns = wavelengths(d_model, base) * frequencies(d_model, base)
    torch.testing.assert_close(turns, torch.full_like(turns, 2 * math.pi), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("d_model", "longest"), [(4, 628), (20, 25_014), (64, 47_117), (512, 60_611)]
)
def test_the_longest_wavelength_stays_below_two_pi_times_base(d_model: int, longest: int) -> None:
    last = wavelengths(d_model)[-1].item()
    assert round(last) == longest
    assert last < 2 * math.pi * 10_000


@pytest.mark.parametrize(
    ("d_model", "seq_len", "pairs"),
    [(64, 128, 11), (64, 1024, 18), (512, 128, 84), (512, 1024, 142)],
)
def test_most_pairs_never_turn_once_within_a_text(d_model: int, seq_len: int, pairs: int) -> None:
    assert int((wavelengths(d_model) <= seq_len).sum()) == pairs


# -- the encoding ---------------------------------------------------------------------------------


def test_columns_are_interleaved_sine_then_cosine() -> None:
    row = sinusoidal_encoding(1, 8)
    by_hand = [f(10.0**-pair) for pair in range(4) for f in (math.sin, math.cos)]
    torch.testing.assert_close(row, as_row(by_hand), rtol=0, atol=1e-15)
    # The entry printed wrongly elsewhere as 0.01, which is d_model = 4's.
    assert round(row[2].item(), 4) == 0.0998
    assert round(sinusoidal_encoding(1, 4)[2].item(), 4) == 0.01


def test_position_zero_is_zeros_and_ones() -> None:
    assert sinusoidal_encoding(0, 6).tolist() == [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("position", [100_000, -100_000, 99_999.5, 8191])
@pytest.mark.parametrize("d_model", [2, 64, 512])
def test_the_encoding_is_exact_at_position_100_000(position: float, d_model: int) -> None:
    exact = as_row(exact_encoding(position, d_model))
    torch.testing.assert_close(sinusoidal_encoding(position, d_model), exact, rtol=0, atol=1e-10)


@quick
@given(position=ANY_POSITION, d_model=EVEN_WIDTHS, base=BASES)
def test_positions_may_be_fractional_or_negative(
    position: float, d_model: int, base: float
) -> None:
    exact = as_row(exact_encoding(position, d_model, base))
    got = sinusoidal_encoding(position, d_model, base)
    torch.testing.assert_close(got, exact, rtol=0, atol=1e-10)


def test_a_python_float_keeps_all_its_digits() -> None:
    # 100 000.1 has no float32 of its own: the nearest is 0.0016 away, which a sine shows in full.
    exact = as_row(exact_encoding(100_000.1, 4))
    for given_as in (100_000.1, [100_000.1], torch.tensor(100_000.1, dtype=torch.float64)):
        got = sinusoidal_encoding(given_as, 4).reshape(4)
        torch.testing.assert_close(got, exact, rtol=0, atol=1e-10)
    turned = offset_kernel(100_000.1, 2).item()
    assert turned == pytest.approx(math.cos(100_000.1), abs=1e-10)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 0), (2, 3, 4)])
def test_positions_of_any_shape_get_one_more_axis(shape: tuple[int, ...]) -> None:
    positions = torch.arange(math.prod(shape)).reshape(shape)
    encoded = sinusoidal_encoding(positions, 6)
    assert encoded.shape == (*shape, 6)
    flat = [exact_encoding(p, 6) for p in positions.flatten().tolist()]
    expected = torch.tensor(flat, dtype=torch.float64).reshape(*shape, 6)
    torch.testing.assert_close(encoded, expected, rtol=0, atol=1e-12)


def test_a_number_a_sequence_and_a_tensor_say_the_same() -> None:
    from_tensor = sinusoidal_encoding(torch.tensor([0, 7, 9]), 8)
    assert torch.equal(sinusoidal_encoding([0, 7, 9], 8), from_tensor)
    assert torch.equal(sinusoidal_encoding((0, 7, 9), 8), from_tensor)
    assert torch.equal(sinusoidal_encoding(7, 8), from_tensor[1])


@quick
@given(position=ANY_POSITION, d_model=EVEN_WIDTHS)
def test_each_pair_lies_on_the_unit_circle(position: float, d_model: int) -> None:
    row = sinusoidal_encoding(position, d_model)
    lengths = row.reshape(-1, 2).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-14)
    assert row.norm().item() == pytest.approx(math.sqrt(d_model / 2), rel=1e-12)
    assert row.abs().max() <= 1


@quick
@given(position=ANY_POSITION, d_model=EVEN_WIDTHS)
def test_a_negative_position_mirrors_the_sines_only(position: float, d_model: int) -> None:
    there, back = sinusoidal_encoding(position, d_model), sinusoidal_encoding(-position, d_model)
    assert torch.equal(there[0::2], -back[0::2])
    assert torch.equal(there[1::2], back[1::2])


def test_position_zero_does_not_come_back_at_ten_thousand() -> None:
    table = sinusoidal_encoding([0, 1, 10_000], 64)
    assert (table[2] - table[0]).norm().item() == pytest.approx(7.80, abs=0.005)
    assert (table[1] - table[0]).norm().item() == pytest.approx(1.47, abs=0.005)


# -- the rotation ---------------------------------------------------------------------------------


@quick
@given(position=ANY_POSITION, k=st.floats(-1000, 1000), d_model=EVEN_WIDTHS, base=BASES)
def test_one_rotation_moves_every_position_by_k(
    position: float, k: float, d_model: int, base: float
) -> None:
    moved = shift_rotation(k, d_model, base) @ as_row(exact_encoding(position, d_model, base))
    with mpmath.workdps(40):
        target = mpmath.mpf(position) + mpmath.mpf(k)
    # mpf all the way: position + k in float64 would round.
    exact = as_row(exact_encoding(target, d_model, base))
    torch.testing.assert_close(moved, exact, rtol=0, atol=1e-10)


def test_the_rotation_of_one_pair_is_the_textbook_matrix() -> None:
    cos, sin = math.cos(3.0), math.sin(3.0)
    expected = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
    torch.testing.assert_close(shift_rotation(3, 2), expected, rtol=0, atol=1e-15)


@quick
@given(k=st.floats(-1000, 1000), j=st.floats(-1000, 1000), d_model=EVEN_WIDTHS)
def test_rotations_are_orthogonal_and_add_up(k: float, j: float, d_model: int) -> None:
    identity = torch.eye(d_model, dtype=torch.float64)
    rotation = shift_rotation(k, d_model)
    torch.testing.assert_close(rotation @ rotation.T, identity, rtol=0, atol=1e-13)
    both = shift_rotation(k, d_model) @ shift_rotation(j, d_model)
    torch.testing.assert_close(both, shift_rotation(k + j, d_model), rtol=0, atol=1e-11)
    assert torch.equal(shift_rotation(0, d_model), identity)


def test_no_pair_leaks_into_another() -> None:
    rotation = shift_rotation(3, 8)
    assert rotation.shape == (8, 8)
    of_its_pair = torch.block_diag(*torch.ones(4, 2, 2)).bool()
    assert (rotation[~of_its_pair] == 0).all()
    assert (rotation[of_its_pair] != 0).all()


# -- the dot product ------------------------------------------------------------------------------


@quick
@given(
    position=st.integers(-100_000, 100_000),
    offset=st.integers(-100_000, 100_000),
    d_model=EVEN_WIDTHS,
    base=BASES,
)
def test_the_dot_product_depends_on_the_offset_only(
    position: int, offset: int, d_model: int, base: float
) -> None:
    here = as_row(exact_encoding(position, d_model, base))
    there = as_row(exact_encoding(position + offset, d_model, base))
    kernel = offset_kernel(offset, d_model, base)
    assert (here @ there).item() == pytest.approx(kernel.item(), abs=1e-9)
    assert torch.equal(kernel, offset_kernel(-offset, d_model, base))


def test_the_kernel_is_half_the_width_at_offset_zero_and_never_more() -> None:
    kernel = offset_kernel(torch.arange(-500, 501), 128)
    assert kernel.shape == (1001,)
    assert kernel[500] == 64.0
    assert kernel.max() == 64.0


def test_the_kernel_is_not_monotone() -> None:
    falls = offset_kernel(torch.arange(13), 128).diff()
    assert (falls[:11] < 0).all()
    assert falls[11] > 0  # from offset 11 to 12, the first rise


# -- what all five share --------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "frequencies": frequencies,
    "wavelengths": wavelengths,
    "sinusoidal_encoding": lambda *a, **k: sinusoidal_encoding([1, 2], *a, **k),
    "shift_rotation": lambda *a, **k: shift_rotation(3, *a, **k),
    "offset_kernel": lambda *a, **k: offset_kernel([1, 2], *a, **k),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())


@every_function
def test_the_base_is_ten_thousand_unless_given(function: Callable[..., Tensor]) -> None:
    assert torch.equal(function(16), function(16, 10_000))
    assert torch.equal(function(16), function(16, base=10_000.0))
    assert not torch.equal(function(16), function(16, 9_999.0))


@every_function
def test_results_are_float64_whatever_the_default_dtype(
    function: Callable[..., Tensor], low_precision_default: None
) -> None:
    low = function(16)
    torch.set_default_dtype(torch.float64)
    assert low.dtype == torch.float64
    assert torch.equal(low, function(16))


def test_fractions_do_not_depend_on_the_default_dtype(low_precision_default: None) -> None:
    got = sinusoidal_encoding([1000.1], 4)[0]
    torch.testing.assert_close(got, as_row(exact_encoding(1000.1, 4)), rtol=0, atol=1e-12)


def test_the_callers_positions_are_left_as_they_were() -> None:
    positions = torch.tensor([1.0, 2.5], dtype=torch.float64)
    sinusoidal_encoding(positions, 4)
    offset_kernel(positions, 4)
    assert positions.tolist() == [1.0, 2.5]


@every_function
@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"d_model": 7}, ValueError, ["d_model", "7", "even", "6 or 8"]),
        ({"d_model": 0}, ValueError, ["d_model", "0", "at least 1"]),
        ({"d_model": -4}, ValueError, ["d_model", "-4", "at least 1"]),
        ({"d_model": 4.0}, TypeError, ["d_model", "4.0", "float", "int"]),
        ({"d_model": True}, TypeError, ["d_model", "True", "bool", "int"]),
        ({"d_model": "8"}, TypeError, ["d_model", "'8'", "str", "int"]),
        ({"d_model": 8, "base": 0}, ValueError, ["base", "0", "positive"]),
        ({"d_model": 8, "base": -2.5}, ValueError, ["base", "-2.5", "positive"]),
        ({"d_model": 8, "base": math.inf}, ValueError, ["base", "inf", "finite"]),
        ({"d_model": 8, "base": math.nan}, ValueError, ["base", "nan", "finite"]),
        ({"d_model": 8, "base": "10000"}, TypeError, ["base", "'10000'", "str", "number"]),
        ({"d_model": 8, "base": True}, TypeError, ["base", "True", "bool", "number"]),
    ],
    ids=str,
)
def test_bad_arguments_are_named_with_value_and_limit(
    function: Callable[..., Tensor],
    kwargs: dict[str, object],
    error: type[Exception],
    words: list[str],
) -> None:
    with pytest.raises(error) as caught:
        function(**kwargs)
    for word in words:
        assert word in str(caught.value)


def test_the_advice_for_d_model_one_is_not_twice_the_same() -> None:
    with pytest.raises(ValueError, match="got 1") as caught:
        frequencies(1)
    assert "2 or 2" not in str(caught.value)


def test_rounding_where_libraries_round_gives_their_errors() -> None:
    """As the survey measured at width 512: 4e-4 to 5,000, 0.12 after half within 512."""
    near, early = torch.arange(5000), torch.arange(512)
    exact = sinusoidal_encoding(near, 512)
    assert 2e-4 < float((rounded_encoding(near, 512) - exact).abs().max()) < 6e-4
    halved = rounded_encoding(early, 512, rates=torch.float16) - exact[:512]
    assert 0.11 < float(halved.abs().max()) < 0.13
    coarse = rounded_encoding(early, 512, angles=torch.bfloat16) - exact[:512]
    assert float(coarse.abs().max()) > 0.5


def test_rounded_angles_that_are_infinite_give_no_number() -> None:
    far = rounded_encoding(70_000, 4, angles=torch.float16)
    assert far[:2].isnan().all() and far[2:].isfinite().all()
    with pytest.raises(ValueError, match="d_model must be even"):
        rounded_encoding(1, 3)
