"""LearnedPositionalEmbedding: each promise of the contract, lines 1 and 6 to 10."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from simplellm import LearnedPositionalEmbedding

quick = settings(max_examples=40, deadline=None, database=None)

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
INTEGERS = [
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
]


def zeros(batch: int, seq_len: int, d_model: int, dtype: torch.dtype | None = None) -> Tensor:
    """Added to zeros, the position rows are what comes out."""
    return torch.zeros(batch, seq_len, d_model, dtype=dtype)


def numbered(max_seq_len: int, d_model: int) -> LearnedPositionalEmbedding:
    """Row p holds the number p + 1 throughout, so that an output says which rows it used."""
    module = LearnedPositionalEmbedding(max_seq_len, d_model)
    rows = torch.arange(1.0, max_seq_len + 1)[:, None].expand(-1, d_model)
    module.embedding.weight.data.copy_(rows)
    return module


# -- 1. initialisation, and the attributes of the interface ---------------------------------------


def looks_like_normal(table: Tensor, std: float) -> bool:
    """Mean, spread and shape as N(0, std) would have them, each within 5 standard errors."""
    z, n = table.detach().double().flatten() / std, table.numel()
    # The share within one std is 0.683 for a normal and 0.577 for a uniform of equal spread.
    return bool(
        z.mean().abs() < 5 / math.sqrt(n)
        and (z.std() - 1).abs() < 5 / math.sqrt(2 * n)
        and ((z.abs() < 1).double().mean() - 0.6827).abs() < 5 * 0.4654 / math.sqrt(n)
        and z.abs().max() > 3
    )


def test_the_table_starts_from_a_normal_distribution_of_std_0_02() -> None:
    torch.manual_seed(0)
    assert looks_like_normal(LearnedPositionalEmbedding(500, 256).embedding.weight, 0.02)


def test_init_std_sets_the_tables_spread() -> None:
    torch.manual_seed(1)
    module = LearnedPositionalEmbedding(500, 128, init_std=0.5)
    assert looks_like_normal(module.embedding.weight, 0.5)
    module.reset_parameters()
    assert looks_like_normal(module.embedding.weight, 0.5)


def test_the_attributes_are_those_of_the_interface() -> None:
    module = LearnedPositionalEmbedding(16, 8)
    assert isinstance(module.embedding, nn.Embedding)
    assert module.embedding.weight.shape == (16, 8)
    assert [name for name, _ in module.named_parameters()] == ["embedding.weight"]
    assert list(module.state_dict()) == ["embedding.weight"]
    with pytest.raises(TypeError):
        LearnedPositionalEmbedding(16, 8, 0.5)


# -- what it adds, and what learns ----------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_row_p_is_added_at_position_p_of_every_sequence(batch: int) -> None:
    # The batch axis is 5 long too once: a table indexed by it would still have the right shape.
    out = numbered(9, 6)(torch.full((batch, 5, 6), 10.0))
    assert (out == torch.arange(11.0, 16.0)[None, :, None]).all()
    assert out.shape == (batch, 5, 6)


def test_any_width_will_do_also_an_odd_one() -> None:
    assert LearnedPositionalEmbedding(9, 7)(zeros(2, 3, 7)).shape == (2, 3, 7)


def test_gradients_reach_only_the_rows_used() -> None:
    module = LearnedPositionalEmbedding(6, 4)
    x = zeros(3, 2, 4).requires_grad_()
    module(x, start=1).sum().backward()
    grad = module.embedding.weight.grad
    assert grad is not None and x.grad is not None
    assert (grad == torch.tensor([0.0, 3, 3, 0, 0, 0])[:, None]).all()  # once per sequence
    assert (x.grad == 1).all()


def test_gradients_of_explicit_positions_add_up() -> None:
    module = LearnedPositionalEmbedding(6, 4)
    module(zeros(2, 3, 4), positions=torch.tensor([[5, 5, 0], [0, 5, 2]])).sum().backward()
    grad = module.embedding.weight.grad
    assert grad is not None
    assert (grad == torch.tensor([2.0, 0, 1, 0, 0, 3])[:, None]).all()


def test_an_untrained_row_does_not_move() -> None:
    module = LearnedPositionalEmbedding(6, 4)
    before = module.embedding.weight.detach().clone()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (module(zeros(2, 3, 4)) - 1).square().sum().backward()
        optimizer.step()
    assert torch.equal(module.embedding.weight[3:], before[3:])
    assert (module.embedding.weight[:3] != before[:3]).all()


# -- 6. length ------------------------------------------------------------------------------------


@quick
@given(max_seq_len=st.integers(1, 20), data=st.data())
def test_up_to_max_seq_len_every_window_fits(max_seq_len: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, max_seq_len))
    seq_len = data.draw(st.integers(0, max_seq_len - start))
    out = numbered(max_seq_len, 4)(zeros(2, seq_len, 4), start=start)
    assert out.shape == (2, seq_len, 4)
    assert (out == torch.arange(start + 1.0, start + seq_len + 1)[None, :, None]).all()


@quick
@given(max_seq_len=st.integers(1, 20), start=st.integers(0, 60), seq_len=st.integers(0, 60))
def test_past_the_end_is_an_error_that_names_both_numbers(
    max_seq_len: int, start: int, seq_len: int
) -> None:
    module = LearnedPositionalEmbedding(max_seq_len, 4)
    if start + seq_len <= max_seq_len:
        module(zeros(1, seq_len, 4), start=start)
        return
    with pytest.raises(ValueError) as caught:
        module(zeros(1, seq_len, 4), start=start)
    message = str(caught.value)
    assert f"start + seq_len = {start} + {seq_len} " in message
    assert f"max_seq_len = {max_seq_len}:" in message
    assert message.endswith(
        "Shorten the sequence, build a longer table, or use PositionalEncoding."
    )


@pytest.mark.parametrize("start", [10, 11, 1000])
def test_an_empty_slice_is_never_broadcast_in_silence(start: int) -> None:
    # weight[10:11] of a table of 10 has no rows, and adding it to one token would give none.
    with pytest.raises(ValueError, match=f"{start} \\+ 1 is more than max_seq_len = 10"):
        LearnedPositionalEmbedding(10, 4)(zeros(1, 1, 4), start=start)


def test_one_row_left_is_not_broadcast_over_two_tokens() -> None:
    # weight[9:11] of a table of 10 is one row, which would broadcast without an error.
    with pytest.raises(ValueError, match=r"9 \+ 2 is more than max_seq_len = 10"):
        LearnedPositionalEmbedding(10, 4)(zeros(1, 2, 4), start=9)


# -- 7. positions ---------------------------------------------------------------------------------


@quick
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5), start=st.integers(0, 7))
def test_chunked_equals_whole(lengths: list[int], start: int) -> None:
    module = LearnedPositionalEmbedding(32, 6)
    x = torch.randn(2, sum(lengths), 6)
    chunks, done = [], 0
    for length in lengths:
        chunks.append(module(x[:, done : done + length], start=start + done))
        done += length
    assert torch.equal(torch.cat(chunks, dim=1), module(x, start=start))


@quick
@given(positions=st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_explicit_positions_choose_the_rows(positions: list[int]) -> None:
    chosen = torch.tensor(positions)
    out = numbered(10, 4)(zeros(2, len(positions), 4), positions=chosen)
    assert (out == (chosen + 1.0)[None, :, None]).all()


def test_positions_may_be_one_row_each() -> None:
    each = torch.tensor([[3, 0, 9], [1, 1, 2]])
    out = numbered(10, 4)(zeros(2, 3, 4), positions=each)
    assert (out == (each + 1.0)[:, :, None]).all()


def test_counting_explicitly_equals_the_default_bit_for_bit() -> None:
    module, x = LearnedPositionalEmbedding(10, 6), torch.randn(2, 4, 6)
    assert torch.equal(module(x, positions=torch.arange(3, 7)), module(x, start=3))


@pytest.mark.parametrize("start", [0, 7, 1000, -5, None])
def test_positions_win_over_start(start: Any) -> None:
    out = numbered(10, 4)(zeros(1, 3, 4), start=start, positions=torch.tensor([2, 5, 1]))
    assert out[0, :, 0].tolist() == [3.0, 6.0, 2.0]


@quick
@given(
    bad=st.sampled_from([-(2**40), -3, -1, 10, 11, 2**40]),
    row=st.integers(0, 1),
    column=st.integers(0, 2),
)
def test_a_position_out_of_range_is_named(bad: int, row: int, column: int) -> None:
    positions = torch.tensor([[0, 9, 5], [1, 2, 3]])
    positions[row, column] = bad
    with pytest.raises(IndexError) as caught:
        LearnedPositionalEmbedding(10, 4)(zeros(2, 3, 4), positions=positions)
    message = str(caught.value)
    assert "positions must be" in message
    assert message.endswith(
        f"got {bad} at positions[{row}, {column}]. A learned table has no row for it."
    )
    assert "max_seq_len = 10" in message


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_positions_may_have_any_integer_dtype(dtype: torch.dtype) -> None:
    module = numbered(10, 4)
    good = torch.tensor([0, 9, 4]).to(dtype)
    assert module(zeros(1, 3, 4), positions=good)[0, :, 0].tolist() == [1.0, 10.0, 5.0]
    bad = torch.tensor([0, 9, 100]).to(dtype)
    with pytest.raises(IndexError, match=r"got 100 at positions\[2\]"):
        module(zeros(1, 3, 4), positions=bad)


# -- 8. dtype and device --------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [None, torch.arange(5)], ids=["slice", "lookup"])
@pytest.mark.parametrize("of_tokens", DTYPES, ids=str)
@pytest.mark.parametrize("of_table", DTYPES, ids=str)
def test_the_output_has_the_tokens_dtype(
    of_table: torch.dtype, of_tokens: torch.dtype, positions: Tensor | None
) -> None:
    module = LearnedPositionalEmbedding(10, 6, dtype=of_table)
    assert module.embedding.weight.dtype == of_table
    out = module(zeros(1, 5, 6, of_tokens), positions=positions)
    assert out.dtype == of_tokens
    assert torch.equal(out[0], module.embedding.weight[:5].to(of_tokens))


# -- 10. no shared state --------------------------------------------------------------------------


def test_a_checkpoint_of_another_length_is_refused() -> None:
    # A learned row has no formula behind it: it cannot be made up, and none may be dropped.
    with pytest.raises(RuntimeError, match="size mismatch"):
        LearnedPositionalEmbedding(12, 6).load_state_dict(
            LearnedPositionalEmbedding(10, 6).state_dict()
        )


def test_hooks_of_the_table_run_as_pruning_needs_them() -> None:
    """Pruning recomputes the table in a hook before each use; without it a second step fails."""
    module = LearnedPositionalEmbedding(8, 4)
    prune.random_unstructured(module.embedding, "weight", amount=0.5)
    for _ in range(2):
        module(torch.zeros(1, 8, 4)).sum().backward()


def test_a_table_that_is_watched_gives_the_same_rows_whatever_the_default_device() -> None:
    module, x = LearnedPositionalEmbedding(10, 6), torch.randn(2, 4, 6)
    plain = module(x, start=3)
    module.embedding.register_forward_hook(lambda *args: None)
    with torch.device("meta"):  # stands for `torch.set_default_device("cuda")`
        watched = module(x, start=3)
    assert torch.equal(watched, plain)


def test_a_grown_or_shrunk_table_takes_what_it_has_rows_for() -> None:
    learned = LearnedPositionalEmbedding(8, 4)
    for size in (12, 6):
        learned.embedding.weight = torch.nn.Parameter(torch.ones(size, 4))
        assert learned.max_seq_len == size and f"max_seq_len={size}" in repr(learned)
        assert learned(torch.zeros(1, size, 4)).sum() == size * 4
        with pytest.raises(ValueError, match=f"max_seq_len = {size}"):
            learned(torch.zeros(1, size + 1, 4))


def test_a_table_of_width_one_is_not_broadcast() -> None:
    learned = LearnedPositionalEmbedding(8, 4)
    learned.embedding = torch.nn.Embedding(8, 1)
    with pytest.raises(ValueError, match="1 wide, but d_model = 4"):
        learned(torch.zeros(1, 3, 4))
