"""The checks that the whole package shares: what they take, what they refuse, and the way out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from simplellm import checks

# -- numbers --------------------------------------------------------------------------------------


class Three:
    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), torch.tensor(3), np.array(3), Three()]
)
def test_a_whole_number_of_any_type_becomes_an_int(value: Any) -> None:
    number = checks.check_positive_int("n", value)
    assert type(number) is int and number == 3


@pytest.mark.parametrize("value", [0, 3, np.int64(0), np.uint8(3)])
def test_a_start_of_any_type_becomes_an_int(value: Any) -> None:
    start = checks.check_start(value)
    assert type(start) is int and start == value


@pytest.mark.parametrize(
    "value", [0.5, np.float64(0.5), np.float32(0.5), Fraction(1, 2), Decimal("0.5"), np.array(0.5)]
)
def test_a_number_of_any_type_becomes_a_float(value: Any) -> None:
    for check in (checks.check_base, checks.check_init_std, checks.check_dropout):
        number = check(value)
        assert type(number) is float and number == 0.5
    assert type(checks.check_positive_number("lr", value)) is float


def test_the_ends_of_the_ranges_and_what_is_left_out_pass() -> None:
    assert checks.check_init_std(0) == checks.check_dropout(0) == 0
    assert checks.check_positive_int("n", 1) == 1
    assert checks.check_even_d_model(2) == 2
    checks.check_dtype(None)
    checks.check_dtype(torch.float16)


@pytest.mark.parametrize(("sign", "limit"), [(1, math.inf), (-1, -math.inf)])
def test_a_number_too_large_for_a_float_is_infinite(sign: int, limit: float) -> None:
    assert checks.check_number("n", sign * 10**400) == limit


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: checks.check_int("n", 1.5), TypeError, "n must be an int, got 1.5 of type float"),
        (lambda: checks.check_int("n", True), TypeError, "n must be an int, got True of type bool"),
        (lambda: checks.check_int("n", np.True_), TypeError, "n must be an int"),
        (lambda: checks.check_positive_int("n", "1"), TypeError, "n must be an int, got '1'"),
        (
            lambda: checks.check_int("n", np.array([1, 2])),  # has __index__, and cannot
            *(TypeError, r"n must be an int, got array\(\[1, 2\]\) of type ndarray"),
        ),
        (
            lambda: checks.check_int("n", torch.zeros((), dtype=torch.int64, device="meta")),
            *(TypeError, "n must be an int, got tensor.* of type Tensor"),
        ),
        (
            lambda: checks.check_number("n", "1"),
            TypeError,
            "n must be a number, got '1' of type str",
        ),
        (
            lambda: checks.check_bool("n", 1),
            TypeError,
            "n must be True or False, got 1 of type int",
        ),
        (lambda: checks.check_even_d_model(1), ValueError, r"d_model must be even.*Use 2\."),
        (lambda: checks.check_even_d_model(9), ValueError, r"d_model must be even.*Use 8 or 10\."),
        (lambda: checks.check_even_d_model(0), ValueError, "d_model must be at least 1, got 0"),
        (lambda: checks.check_base("e"), TypeError, "base must be a number"),
        (
            lambda: checks.check_base(math.inf),
            ValueError,
            "base must be positive and finite, got inf",
        ),
        (
            lambda: checks.check_dtype(torch.int8),
            *(TypeError, r"dtype must be a floating-point dtype, got torch\.int8"),
        ),
        (lambda: checks.check_base(0), ValueError, "base must be positive and finite, got 0"),
        (lambda: checks.check_init_std("e"), TypeError, "init_std must be a number"),
        (lambda: checks.check_init_std(math.inf), ValueError, "init_std must be finite .* got inf"),
        (lambda: checks.check_positive_number("lr", "e"), TypeError, "lr must be a number"),
        (lambda: checks.check_positive_number("lr", 0), ValueError, "lr must be positive .* got 0"),
        (lambda: checks.check_positive_number("lr", math.inf), ValueError, "lr .* finite, got inf"),
        (lambda: checks.check_dropout("e"), TypeError, "dropout must be a number"),
        (
            lambda: checks.check_dropout(1, "block_dropout"),
            *(ValueError, "block_dropout must be .* below 1, got 1.* entries set to .* switches"),
        ),
        (lambda: checks.check_dropout(-0.1), ValueError, "dropout must be at least 0 .* got -0.1"),
        (lambda: checks.check_start("e"), TypeError, "start must be an int, got 'e'"),
        (
            lambda: checks.check_start(np.int64(-1)),
            *(ValueError, r"start must be at least 0, got -1\. .* that come before this chunk"),
        ),
        (
            lambda: checks.check_start(torch.tensor([1, 2])),
            *(TypeError, r"start .* got a tensor of shape \(2,\).* which waits .*start\.item\(\)"),
        ),
    ],
)
def test_a_bad_number_is_named_with_value_type_and_limit(
    call: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"^{words}"):
        call()


# -- ids ------------------------------------------------------------------------------------------

ROWS = [torch.tensor([1, 2]), torch.tensor([3, 4])]


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (3, [[3]]),
        (3.0, [[3]]),
        (np.int64(3), [[3]]),
        (np.array(3), [[3]]),
        ([1, 2], [[1, 2]]),
        ((1, 2), [[1, 2]]),
        (np.array([1, 2], dtype=np.int16), [[1, 2]]),
        (np.array([]), [[]]),
        ([], [[]]),
        ([[]], [[]]),
        ([[1, 2]], [[1, 2]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ([[1], [2, 3]], [[1, 0], [2, 3]]),
        ([(1, 2, 3), (4,)], [[1, 2, 3], [4, 0, 0]]),
        (ROWS, [[1, 2], [3, 4]]),
        (ROWS[:1], [[1, 2]]),
        ([ROWS[0], torch.tensor([5])], [[1, 2], [5, 0]]),
    ],
    ids=str,
)
def test_the_way_out_for_ids_makes_a_tensor_of_the_same_ids(ids: Any, wanted: Any) -> None:
    with pytest.raises(TypeError, match=r"^ids must be a tensor of shape \(batch, seq_len\)") as e:
        checks.check_ids(ids)
    # After what is wrong, a sentence that ends in the call to make.
    found = re.search(
        r" got \w+\.( The rows have different lengths\.)? (Wrap|Stack|This).*: (torch\..*)\.$",
        str(e.value),
    )
    assert found is not None
    made = eval(found[3])
    checks.check_ids(made)
    assert made.tolist() == wanted
    assert bool(found[1]) == any(0 in row for row in wanted)  # 0 is what pads
    if isinstance(ids, np.ndarray) and ids.size:
        assert made.dtype == torch.from_numpy(ids).dtype


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (
            "dog",
            r"got str\. Encode the text first, with the vocabulary the model was trained with\.",
        ),
        (["dog"], r"got list\. Encode the text first"),
        (np.array(["dog"]), r"got ndarray\. Encode the text first"),
        ([[b"dog"]], r"got list\. Encode the text first"),
        ([[[1, 2]]], r"got list\. They are nested 3 deep, two are needed"),
        (np.zeros((1, 2, 3)), r"got ndarray\. They have 3 axes, two are needed"),
        (None, r"got NoneType\.$"),
        ({1, 2}, r"got set\.$"),
        ({1: 2}, r"got dict\.$"),
        ([[1, 2], [3, None]], r"got list\.$"),
        ([[1, 2], 3], r"got list\.$"),
        ([torch.zeros(2, 2), torch.zeros(2, 2)], r"got list\.$"),
        ([torch.tensor([1]), torch.tensor(2)], r"got list\.$"),
    ],
    ids=str,
)
def test_where_no_call_makes_ids_none_is_named(ids: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        checks.check_ids(ids)


@pytest.mark.parametrize(
    ("ids", "error", "words"),
    [
        (torch.zeros(1, 2), TypeError, r"got dtype torch\.float32\. Convert them: ids\.long\(\)"),
        (
            torch.tensor([1, 2]),
            ValueError,
            r"1 dimensions\. Add the batch axis: ids\.unsqueeze\(0\)",
        ),
        (torch.tensor(1), ValueError, r"got \(\), which has 0 dimensions\.$"),
        (torch.zeros(1, 2, 3).long(), ValueError, r"got \(1, 2, 3\), which has 3 dimensions\.$"),
    ],
    ids=str,
)
def test_a_tensor_that_holds_no_rows_of_ids_is_named(
    ids: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"^ids must .*{words}"):
        checks.check_ids(ids)


# -- masks, vectors, positions --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.int32], ids=str)
def test_a_mask_of_zeros_and_ones_passes(dtype: torch.dtype) -> None:
    checks.check_mask(torch.tensor([[0, 1, 1], [0, 0, 1]]).to(dtype))
    checks.check_mask(torch.zeros(2, 0, dtype=dtype))


def test_no_value_is_read_of_a_mask_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "any", lambda self: pytest.fail("it would wait for a GPU"))
    checks.check_mask(torch.ones(1, 2, dtype=torch.int64, device="meta"))


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        ([[1, 0]], TypeError, r"be a tensor of shape \(batch, seq_len\), got list"),
        (torch.ones(1, 2), TypeError, r"bool or integer, got dtype .*float32\. .*: mask\.bool\(\)"),
        (torch.ones(2).bool(), ValueError, r"shape \(batch, seq_len\), got \(2,\)"),
        (torch.ones(1, 2, 3).bool(), ValueError, r"got \(1, 2, 3\)"),
        (
            torch.tensor([[0, 1, 3]]),
            ValueError,
            r"0 and 1, got values from 0 to 3\. .*mask = ids !=",
        ),
        (torch.tensor([[-1, 1]]), ValueError, "got values from -1 to 1"),
        (torch.tensor([[0, 2]]).to(torch.uint8), ValueError, "got values from 0 to 2"),
    ],
    ids=str,
)
def test_what_is_no_mask_is_refused_by_its_name(
    mask: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"^mask must .*{words}"):
        checks.check_mask(mask)
    with pytest.raises(error, match=r"^attention_mask must "):
        checks.check_mask(mask, "attention_mask")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: checks.check_vectors(torch.ones(1, 2, 3).long(), 3),
            r"x must be floating point, got .*int64\. .* not to ids: look the ids up first\.$",
        ),
        (
            lambda: checks.check_positions([1], torch.ones(1, 1, 3)),
            r"positions must be a tensor, got list\. Wrap them: torch\.tensor\(positions\)\.$",
        ),
        (
            lambda: checks.check_positions(torch.ones(1), torch.ones(1, 1, 3)),
            r"positions must be int.* For fractional .* call simplellm\.sinusoidal_encoding\.$",
        ),
    ],
)
def test_vectors_and_positions_of_another_type_are_shown_the_way_out(
    call: Callable[[], object], words: str
) -> None:
    with pytest.raises(TypeError, match=f"^{words}"):
        call()


def test_positions_are_one_row_for_all_sequences_or_one_each() -> None:
    x = torch.zeros(2, 3, 6)
    for shape in ((3,), (2, 3)):
        checks.check_positions(torch.zeros(shape).long(), x)
    for shape in ((2,), (1, 3), (3, 3), (3, 2), (1, 2, 3)):
        with pytest.raises(
            ValueError, match=re.escape(f"(3,) or (batch, seq_len) = (2, 3), got {shape}")
        ):
            checks.check_positions(torch.zeros(shape).long(), x)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.uint64], ids=str)
def test_the_first_index_outside_is_found_with_its_place(dtype: torch.dtype) -> None:
    indices = torch.tensor([[0, 9], [12, 10]]).to(dtype)
    assert checks.first_outside(indices, 9) == (9, (0, 1))
    assert checks.first_outside(indices, 10) == (12, (1, 0))
    assert checks.first_outside(indices, 13) is None
    assert checks.first_outside(torch.tensor([0, -1]), 13) == (-1, (1,))
