"""Rotary turns, ALiBi's slopes and T5's buckets, against derivations that share no code."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from simplellm.relative_positions import (
    RelativePositionBias,
    alibi_bias,
    alibi_slopes,
    rotate,
    rotations_at,
)

quick = settings(max_examples=40, deadline=None, database=None)


# -- rotary ----------------------------------------------------------------------------------------


@quick
@given(position=st.integers(0, 100_000), half=st.integers(1, 8))
def test_each_pair_is_turned_by_its_frequency_times_the_position(position: int, half: int) -> None:
    head_dim = 2 * half
    x = torch.randn(head_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, rotations_at(torch.tensor(position), head_dim))
    for i in range(half):
        angle = position * 10_000 ** (-2 * i / head_dim)
        a, b = x[2 * i].item(), x[2 * i + 1].item()
        want = (
            a * math.cos(angle) - b * math.sin(angle),
            a * math.sin(angle) + b * math.cos(angle),
        )
        assert turned[2 * i : 2 * i + 2].tolist() == pytest.approx(want, abs=1e-9)


@quick
@given(p=st.integers(0, 5000), q=st.integers(0, 5000), shift=st.integers(-5000, 5000))
def test_the_score_of_two_turned_vectors_depends_on_their_distance_only(
    p: int, q: int, shift: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    query, key = torch.randn(2, 16, dtype=torch.float64, generator=generator)

    def score(a: int, b: int) -> float:
        turns = rotations_at(torch.tensor([a, b]), 16)
        return float(rotate(query, turns[0]) @ rotate(key, turns[1]))

    assert score(p, q) == pytest.approx(score(p + shift, q + shift), abs=1e-9)


def test_position_zero_is_not_turned() -> None:
    x = torch.randn(2, 4, 3, 8)
    assert torch.equal(rotate(x, rotations_at(torch.zeros(3, dtype=torch.int64), 8)), x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_rotation_keeps_the_dtype_and_rounds_once(dtype: torch.dtype) -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
    turns = rotations_at(torch.tensor([0, 700, 1999]), 8)
    exact = rotate(x.double(), turns)
    turned = rotate(x, turns)
    assert turned.dtype == dtype
    allowed = torch.finfo(dtype).eps * 4 + 1e-6 * (dtype == torch.float32)
    assert (turned.double() - exact).abs().max() <= allowed


@pytest.mark.parametrize(
    ("head_dim", "message"),
    [(7, "^head_dim must be even, got 7"), (0, "^head_dim must be at least 1, got 0")],
)
def test_a_head_that_has_no_pairs_is_refused_by_name(head_dim: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rotations_at(torch.tensor([0]), head_dim)


# What transformers 5.24.0 makes of the vector 1 … 8 at position 5, base 10,000.
TURNED_IN_HALVES = [5.0783, -1.1214, 2.6464, 3.96, 0.4594, 6.2243, 7.1412, 8.0199]  # Llama
TURNED_IN_PAIRS = [2.2015, -0.3916, 0.715, 4.9486, 4.6939, 6.2424, 6.9599, 8.0349]  # GPT-J


def test_pairs_of_neighbours_are_turned_as_gpt_j_turns_them() -> None:
    turned = rotate(torch.arange(1.0, 9.0), rotations_at(torch.tensor(5), 8))
    assert turned.tolist() == pytest.approx(TURNED_IN_PAIRS, abs=1e-4)


def test_llama_turns_the_same_pairs_in_other_columns() -> None:
    """Its pair i is in columns i and i + d/2, ours in 2i and 2i + 1."""
    halves = torch.arange(8).reshape(2, 4)
    x = torch.arange(1.0, 9.0)[halves.T.flatten()]
    turned = rotate(x, rotations_at(torch.tensor(5), 8)).reshape(4, 2).T.flatten()
    assert turned.tolist() == pytest.approx(TURNED_IN_HALVES, abs=1e-4)


# -- ALiBi -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_heads", "exponents"),
    [
        (1, [8]),
        (2, [4, 8]),
        (4, [2, 4, 6, 8]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        # Not a power of two: those of 4 heads, then the first and third of 8.
        (6, [2, 4, 6, 8, 1, 3]),
        (3, [4, 8, 2]),
    ],
)
def test_the_slopes_are_those_of_the_paper(n_heads: int, exponents: list[float]) -> None:
    assert alibi_slopes(n_heads).tolist() == [2.0**-e for e in exponents]


def test_slopes_are_exact_to_float64() -> None:
    want = [2.0 ** (-0.5 * (i + 1)) for i in range(16)]
    assert alibi_slopes(16).tolist() == pytest.approx(want, rel=1e-15)


def test_no_heads_have_no_slopes() -> None:
    with pytest.raises(ValueError, match=r"^n_heads must be at least 1, got 0"):
        alibi_slopes(0)


def test_the_penalty_grows_by_the_slope_with_each_position() -> None:
    distance = torch.tensor([[[0, 1, 7], [3, 2, 9]]])
    bias = alibi_bias(distance, 4)
    assert bias.shape == (1, 4, 2, 3) and bias.dtype == torch.float32
    for head, slope in enumerate((2**-2, 2**-4, 2**-6, 2**-8)):
        assert torch.equal(bias[0, head], -slope * distance[0].float())


@pytest.mark.parametrize(
    ("n_heads", "slopes"),
    [
        # Bloom and MPT in transformers 5.24.0, and x-transformers 2.31.10
        (12, [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]),
        # Bloom in transformers 5.24.0
        (20, [0.707107, 0.5, 0.353553, 0.25, 0.176777, 0.125, 0.088388, 0.0625]),
    ],
)
def test_first_slopes_are_those_of_libraries_where_heads_are_no_power_of_two(
    n_heads: int, slopes: list[float]
) -> None:
    assert alibi_slopes(n_heads)[:8].tolist() == pytest.approx(slopes, abs=1e-6)


@pytest.mark.parametrize(
    ("n_heads", "slopes"),
    [
        (12, [0.707107, 0.353553, 0.176777, 0.088388]),
        (20, [0.840896, 0.594604, 0.420448, 0.297302]),
    ],
)
def test_last_slopes_are_those_of_libraries_where_heads_are_no_power_of_two(
    n_heads: int, slopes: list[float]
) -> None:
    assert alibi_slopes(n_heads)[-4:].tolist() == pytest.approx(slopes, abs=1e-6)


# -- T5 --------------------------------------------------------------------------------------------


@quick
@given(
    distance=st.integers(-50, 5000),
    half=st.integers(1, 24),
    reach=st.integers(1, 500),
)
def test_a_bucket_is_the_formula_of_the_paper(distance: int, half: int, reach: int) -> None:
    n_buckets, max_distance = 2 * half, half + reach
    n = max(distance, 0)
    if n < half:
        want = n
    else:
        steps = half * math.log(n / half) / math.log(max_distance / half)
        # Just at a bound the logarithm may fall on either side of a whole number.
        if abs(steps - round(steps)) < 1e-9:
            steps = round(steps)
        want = min(half + math.floor(steps), n_buckets - 1)
    bias = RelativePositionBias(2, n_buckets=n_buckets, max_distance=max_distance)
    assert int(bias.buckets(torch.tensor(distance))) == want


@pytest.mark.parametrize(("half", "factor"), [(5, 2), (4, 2), (3, 3), (8, 2)])
def test_a_far_bucket_begins_at_its_bound_where_that_is_whole(half: int, factor: int) -> None:
    # Bounds half, half * factor, half * factor ** 2, …: 5, 10, 20, 40, 80 of 160. Computed in
    # floating point 80 is a little more than 80, and without care would count as below its bound.
    bias = RelativePositionBias(1, n_buckets=2 * half, max_distance=half * factor**half)
    for j in range(half):
        bound = half * factor**j
        assert bias.buckets(torch.tensor([bound - 1, bound])).tolist() == [half + j - 1, half + j]


# Where each bucket begins in T5 of transformers 5.24.0, asked at every distance.
@pytest.mark.parametrize(
    ("n_buckets", "max_distance", "begins"),
    [
        (32, 128, [*range(17), 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]),
        (16, 64, [*range(9), 11, 14, 18, 23, 30, 39, 50]),
        (8, 20, [*range(5), 6, 9, 14]),
    ],
)
def test_buckets_begin_where_those_of_a_library_do(
    n_buckets: int, max_distance: int, begins: list[int]
) -> None:
    bias = RelativePositionBias(1, n_buckets=n_buckets, max_distance=max_distance)
    buckets = bias.buckets(torch.arange(4000))
    assert [int((buckets == b).nonzero()[0]) for b in range(n_buckets)] == begins
    assert bool((buckets.diff() >= 0).all())


def test_each_distance_is_given_the_number_of_its_bucket() -> None:
    bias = RelativePositionBias(3, n_buckets=8, max_distance=20)
    with torch.no_grad():
        bias.embedding.weight.copy_(torch.arange(24.0).reshape(8, 3))
    out = bias(torch.tensor([[[0, 1], [3, 500]]]))
    assert out.shape == (1, 3, 2, 2)
    assert out[0, :, 0, 0].tolist() == [0.0, 1.0, 2.0]  # bucket 0, one number per head
    assert out[0, :, 1, 1].tolist() == [21.0, 22.0, 23.0]  # the last bucket


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_buckets": 7}, "n_buckets must be even, got 7"),
        (
            {"n_buckets": 32, "max_distance": 16},
            r"^max_distance must be more than n_buckets / 2 = 16, got 16\.$",
        ),
        ({"n_heads": 0}, "^n_heads must be at least 1, got 0"),
        ({"n_buckets": 0}, "^n_buckets must be at least 1, got 0"),
        ({"max_distance": 0}, "^max_distance must be at least 1, got 0"),
    ],
)
def test_buckets_that_cannot_be_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RelativePositionBias(**{"n_heads": 4, **options})


def test_the_table_starts_as_that_of_t5_does() -> None:
    torch.manual_seed(0)
    bias = RelativePositionBias(400)
    assert bias.embedding.weight.shape == (32, 400) and bias.max_distance == 128
    assert bias.embedding.weight.mean().abs() < 1e-3
    assert bias.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)


class WithoutDouble(TorchDispatchMode):
    """Refuses what Apple's GPUs refuse, as their driver does."""

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for value in made if isinstance(made, (tuple, list)) else [made]:
            wide = isinstance(value, Tensor) and value.dtype in (torch.float64, torch.complex128)
            if wide and value.device.type == "mps":
                raise TypeError(f"mps has no {value.dtype}, which {function} asks for")
        return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_scheme_asks_a_device_without_float64_for_it(dtype: torch.dtype) -> None:
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def there(*shape: int, dtype: torch.dtype) -> Tensor:
        on_meta = torch.zeros(shape, device="meta", dtype=dtype)
        return FakeTensor(mode, on_meta, torch.device("mps"))  # type: ignore[no-untyped-call]

    with mode, WithoutDouble():
        places = there(2, 1, 5, dtype=torch.int64)
        turns = rotations_at(places, head_dim=4)
        turned = rotate(there(2, 3, 5, 4, dtype=dtype), turns)
        assert (turned.device.type, turned.dtype) == ("mps", dtype)
        assert turns.dtype == torch.complex64
        assert alibi_bias(places, n_heads=3).device.type == "mps"
        with pytest.raises(TypeError, match="mps has no"):
            places.double()
