"""positions_from_mask: where each token of a padded batch stands (contract, lines 7 and 9)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simplellm import InputEmbedding, LearnedPositionalEmbedding, positions_from_mask

quick = settings(max_examples=60, deadline=None, database=None)

MASKS = st.integers(0, 8).flatmap(
    lambda length: st.lists(
        st.lists(st.booleans(), min_size=length, max_size=length), min_size=1, max_size=4
    )
)


def counted(row: list[bool]) -> list[int]:
    """Counting by hand: how many real tokens have been seen, less one, but never below zero."""
    seen, positions = 0, []
    for real in row:
        seen += real
        positions.append(max(seen - 1, 0))
    return positions


@quick
@given(rows=MASKS)
def test_positions_count_the_real_tokens_before(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows, dtype=torch.bool).reshape(len(rows), -1)
    positions = positions_from_mask(mask)
    assert positions.dtype == torch.int64
    assert positions.shape == mask.shape
    assert positions.tolist() == [counted(row) for row in rows]


@quick
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_a_left_padded_text_starts_at_position_zero(lengths: list[int]) -> None:
    longest = max(lengths)
    rows = [[0] * (longest - n) + [1] * n for n in lengths]
    mask = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), longest)
    for row, n in zip(positions_from_mask(mask), lengths, strict=True):
        assert row[longest - n :].tolist() == list(range(n))
        assert not row[: longest - n].any()


def test_right_padding_leaves_the_positions_of_the_text_alone() -> None:
    assert positions_from_mask(torch.tensor([[1, 1, 1, 0, 0]])).tolist() == [[0, 1, 2, 2, 2]]


@pytest.mark.parametrize("use_learned_pe", [False, True])
def test_a_left_padded_text_gets_the_vectors_it_has_alone(use_learned_pe: bool) -> None:
    layer = InputEmbedding(10, 8, 5, 0.0, use_learned_pe).eval()
    text = torch.tensor([[4, 7, 2]])
    padded = torch.tensor([[0, 0, 4, 7, 2], [5, 6, 4, 7, 2]])
    mask = padded != 0
    out = layer(padded, positions=positions_from_mask(mask))
    assert torch.equal(out[0, 2:], layer(text)[0])
    assert torch.equal(out[1], layer(padded[1:])[0])


@quick
@given(rows=MASKS)
def test_every_place_has_a_row_in_a_learned_table(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows, dtype=torch.bool).reshape(len(rows), -1)
    table = LearnedPositionalEmbedding(max(mask.shape[1], 1), 4)
    assert table(torch.zeros(*mask.shape, 4), positions=positions_from_mask(mask)).isfinite().all()


@pytest.mark.parametrize(
    "dtype",
    [
        torch.bool,
        torch.uint8,
        torch.uint16,
        torch.uint32,
        torch.uint64,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
    ],
    ids=str,
)
def test_the_mask_may_be_bool_or_any_integer_dtype(dtype: torch.dtype) -> None:
    mask = torch.tensor([[0, 1, 1], [1, 0, 1]])
    assert positions_from_mask(mask.to(dtype)).tolist() == [[0, 0, 1], [0, 0, 1]]
    if dtype != torch.bool:
        with pytest.raises(ValueError, match=r"mask must hold only 0 and 1, got .*2"):
            positions_from_mask((mask * 2).to(dtype))


def test_a_long_row_counts_past_255() -> None:
    # A sum in the mask's own uint8 would start again at 256.
    mask = torch.ones(1, 300, dtype=torch.uint8)
    assert positions_from_mask(mask)[0].tolist() == list(range(300))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (0, 0)], ids=str)
def test_an_empty_mask_gives_no_positions(shape: tuple[int, int]) -> None:
    assert positions_from_mask(torch.empty(shape, dtype=torch.bool)).shape == shape


def test_the_mask_is_left_as_it_was() -> None:
    mask = torch.tensor([[0, 1, 1]])
    positions_from_mask(mask).add_(5)
    assert mask.tolist() == [[0, 1, 1]]


def test_the_values_are_read_on_cpu_only() -> None:
    mask = torch.ones(2, 3, dtype=torch.int64, device="meta")  # reading a value here raises
    assert positions_from_mask(mask).shape == (2, 3)


@pytest.mark.filterwarnings("ignore")  # torch.compile's own
def test_it_compiles_without_a_graph_break() -> None:
    torch.compiler.reset()
    compiled = torch.compile(positions_from_mask, fullgraph=True, backend="eager")
    assert compiled(torch.tensor([[0, 1, 1]])).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        ([[0, 1]], TypeError, ["mask", "list", "tensor", "(batch, seq_len)"]),
        (None, TypeError, ["mask", "NoneType", "tensor"]),
        (torch.ones(1, 2), TypeError, ["mask", "float32", "bool or integer", "mask.bool()"]),
        (torch.ones(2).long(), ValueError, ["mask", "(2,)", "(batch, seq_len)"]),
        (torch.ones(1, 1, 2).bool(), ValueError, ["mask", "(1, 1, 2)", "(batch, seq_len)"]),
        (torch.tensor([[0, 5]]), ValueError, ["mask", "0 to 5", "only 0 and 1", "pad_id"]),
        (torch.tensor([[-1, 1]]), ValueError, ["mask", "-1 to 1", "only 0 and 1"]),
    ],
    ids=["list", "None", "float", "1-D", "3-D", "ids", "negative"],
)
def test_a_bad_mask_is_named_with_value_and_limit(
    mask: Any, error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        positions_from_mask(mask)
    for word in words:
        assert word in str(caught.value)


def test_it_works_under_vmap() -> None:
    masks = torch.tensor([[[0, 1, 1]], [[1, 1, 1]]])
    wanted = torch.stack([positions_from_mask(mask) for mask in masks])
    assert torch.equal(torch.func.vmap(positions_from_mask)(masks), wanted)
