"""PositionalEncoding: each promise of the contract, lines 1 and 4 to 10."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from simplellm import PositionalEncoding, sinusoidal_encoding

quick = settings(max_examples=40, deadline=None, database=None)

EVEN_WIDTHS = st.integers(1, 12).map(lambda half: 2 * half)
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
State = dict[str, Any]


def exact_rows(positions: list[int], d_model: int, base: float = 10_000.0) -> Tensor:
    """The formula at 40 digits, rounded to float64 only at the end: ``(len, d_model)``."""
    rows: list[list[float]] = []
    with mpmath.workdps(40):
        rates = [mpmath.mpf(base) ** (-mpmath.mpf(2 * i) / d_model) for i in range(d_model // 2)]
        for position in positions:
            row: list[float] = []
            for rate in rates:
                row += [float(mpmath.sin(position * rate)), float(mpmath.cos(position * rate))]
            rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def zeros(batch: int, seq_len: int, d_model: int, dtype: torch.dtype | None = None) -> Tensor:
    """Added to zeros, the position rows are what comes out."""
    return torch.zeros(batch, seq_len, d_model, dtype=dtype)


# -- 1. initialisation, and the attributes of the interface ---------------------------------------


def test_the_attributes_are_those_of_the_interface() -> None:
    module = PositionalEncoding(8, 16)
    assert module.pe.shape == (1, 16, 8)
    assert module.pe.dtype == torch.float32
    assert (module.d_model, module.max_seq_len) == (8, 16)
    with pytest.raises(TypeError):
        PositionalEncoding(8, 16, 500.0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reset_parameters_restores_the_buffer_after_to_empty_on_the_meta_device(
    dtype: torch.dtype,
) -> None:
    module = PositionalEncoding(8, 16, base=500.0, device="meta", dtype=dtype)
    assert module.pe.is_meta
    module.to_empty(device="cpu")
    module.pe.fill_(7.0)  # what fresh memory may hold
    module.reset_parameters()
    assert torch.equal(module.pe, PositionalEncoding(8, 16, base=500.0, dtype=dtype).pe)


def test_the_base_can_be_chosen() -> None:
    expected = exact_rows(list(range(16)), 8, 500.0).float()
    torch.testing.assert_close(PositionalEncoding(8, 16, base=500).pe[0], expected)


@pytest.mark.parametrize("amplitude", [0.02 * math.sqrt(2), 0.5, 3.0])
def test_the_amplitude_multiplies_every_row_before_it_is_rounded(amplitude: float) -> None:
    module = PositionalEncoding(16, 10, amplitude=amplitude)
    exact = amplitude * sinusoidal_encoding(torch.arange(40), 16)
    assert torch.equal(module.pe[0], exact[:10].float())
    longer = module(torch.zeros(1, 40, 16))
    assert torch.equal(longer[0], exact.float())
    assert module.pe.square().mean().sqrt().item() == pytest.approx(amplitude / math.sqrt(2))


# -- 4. table accuracy ----------------------------------------------------------------------------


@pytest.mark.parametrize("d_model", [2, 64, 512])
def test_the_table_is_within_1e_6_of_the_formula_at_position_100_000(d_model: int) -> None:
    exact = exact_rows([100_000], d_model)[0]
    if d_model <= 64:  # a longer table of 512 columns would be 200 MB
        stored = PositionalEncoding(d_model, 100_001).pe[0, -1]
        assert stored.dtype == torch.float32
        assert (stored.double() - exact).abs().max() < 1e-6
    further = PositionalEncoding(d_model, 1)(zeros(1, 1, d_model), start=100_000)[0, 0]
    assert further.dtype == torch.float32
    assert (further.double() - exact).abs().max() < 1e-6


def test_the_whole_table_is_the_formula_rounded_to_float32() -> None:
    table = PositionalEncoding(32, 3000).pe[0].double()
    exact = exact_rows(list(range(0, 3000, 7)), 32)
    # Half the spacing of float32 below 1.
    assert (table[::7] - exact).abs().max() <= 2**-25 + 1e-12


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_row_p_is_added_at_position_p_of_every_sequence(batch: int) -> None:
    # The batch axis is 5 long too once: a table indexed by it would still have the right shape.
    expected = exact_rows(list(range(5)), 6).float().expand(batch, 5, 6)
    torch.testing.assert_close(PositionalEncoding(6, 9)(zeros(batch, 5, 6)), expected)


def test_the_encoding_is_added_to_what_is_there() -> None:
    x = torch.randn(2, 5, 6)
    module = PositionalEncoding(6, 9)
    assert torch.equal(module(x), x + module.pe[:, :5, :])


def test_a_float64_module_holds_the_same_numbers() -> None:
    # One table for every dtype: rounded to float32 first, whatever comes after.
    table = PositionalEncoding(32, 300).pe
    assert torch.equal(PositionalEncoding(32, 300, dtype=torch.float64).pe, table.double())
    assert torch.equal(PositionalEncoding(32, 300).double().pe, table.double())
    assert torch.equal(PositionalEncoding(32, 300, dtype=torch.float16).pe, table.half())


# -- 5. buffer ------------------------------------------------------------------------------------


def test_pe_is_in_the_state_dict_and_not_among_the_parameters() -> None:
    module = PositionalEncoding(8, 16)
    assert list(module.state_dict()) == ["pe"]
    assert list(module.parameters()) == []
    assert [name for name, _ in module.named_buffers()] == ["pe"]


def test_pe_has_no_gradient() -> None:
    module = PositionalEncoding(8, 16)
    x = zeros(2, 5, 8).requires_grad_()
    module(x).sum().backward()
    assert not module.pe.requires_grad
    assert module.pe.grad is None
    assert x.grad is not None and (x.grad == 1).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pe_moves_with_to(dtype: torch.dtype) -> None:
    model = nn.Sequential(PositionalEncoding(8, 16))
    assert model.to(dtype)[0].pe.dtype == dtype
    assert model.to("meta")[0].pe.is_meta


def test_no_optimiser_and_no_weight_decay_moves_pe() -> None:
    model = nn.Sequential(PositionalEncoding(8, 16), nn.Linear(8, 8))
    before = model[0].pe.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(2, 5, 8)).square().sum().backward()
        optimizer.step()
    assert torch.equal(model[0].pe, before)


@quick
@given(d_model=EVEN_WIDTHS, own=st.integers(1, 20), saved=st.integers(1, 20))
def test_a_checkpoint_of_another_length_loads_and_the_module_keeps_its_own(
    d_model: int, own: int, saved: int
) -> None:
    module = PositionalEncoding(d_model, own)
    before = module.pe.clone()
    result = module.load_state_dict(PositionalEncoding(d_model, saved).state_dict())
    assert result.missing_keys == result.unexpected_keys == []
    assert torch.equal(module.pe, before)
    assert module.max_seq_len == own


def concatenated(table: Tensor) -> Tensor:
    return torch.cat((table[..., 0::2], table[..., 1::2]), dim=-1)


def cosine_first(table: Tensor) -> Tensor:
    return table.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)


def tensor2tensor(table: Tensor) -> Tensor:
    """Its frequencies end at 1 / 10 000 itself: the exponent is i / (d / 2 - 1)."""
    _, length, d_model = table.shape
    rates = 10_000.0 ** -(torch.arange(d_model // 2, dtype=torch.float64) / (d_model // 2 - 1))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).reshape(table.shape).to(table.dtype)


def one_position_late(table: Tensor) -> Tensor:
    return table.roll(-1, dims=1)


def with_a_nan(table: Tensor) -> Tensor:
    table = table.clone()
    table[0, 3, 2] = math.nan
    return table


OTHER_TABLES = {
    "concatenated columns": concatenated,
    "cosine first": cosine_first,
    "tensor2tensor's frequencies": tensor2tensor,
    "one position late": one_position_late,
    "scaled": lambda table: table * 0.5,
    "zeros": torch.zeros_like,
    "a NaN": with_a_nan,
}


def refusal(module: PositionalEncoding, state: State, strict: bool = True) -> str:
    """The message with which a checkpoint is refused; the table must come through unchanged."""
    before = module.pe.clone()
    with pytest.raises(RuntimeError) as caught:
        module.load_state_dict(state, strict=strict)
    assert torch.equal(module.pe, before)
    return str(caught.value)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("own", [8, 16, 40])
@pytest.mark.parametrize("other", OTHER_TABLES.values(), ids=OTHER_TABLES.keys())
def test_a_checkpoint_with_other_numbers_is_refused(other: Any, own: int, strict: bool) -> None:
    saved = other(PositionalEncoding(64, 16).pe)
    message = refusal(PositionalEncoding(64, own), {"pe": saved}, strict)
    for word in ("pe", "other numbers", "base = 10000", "position"):
        assert word in message
    assert message.endswith(" To load it all the same, delete this key and pass strict=False.")
    # The paper's exponents with base 13459 give it too: 10 000 ** (32 / 31). This is likelier.
    theirs = "with convention=Convention(exponents='i/(d/2-1)'). To load"
    assert (theirs in message) == (other is tensor2tensor)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("base", [100.0, 9_000.0, 10_500.0, 20_000.0, 500_000.0])
def test_a_checkpoint_with_another_base_is_refused(base: float, dtype: torch.dtype) -> None:
    saved = PositionalEncoding(64, 128, base=base, dtype=dtype)
    for own in (torch.float32, torch.bfloat16):
        message = refusal(PositionalEncoding(64, 128, dtype=own), saved.state_dict())
        found = re.search(r"The checkpoint's table has base = ([\d.e+]+)\. Build", message)
        assert found is not None
        assert float(found[1]) == base
        assert "base = 10000" in message


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("d_model", "length"), [(4, 3), (16, 40), (64, 128), (32, 700)])
@pytest.mark.parametrize("base", [2.5, 777.0, 9_876.5, 1e6])
def test_a_module_built_as_the_refusal_says_loads_the_checkpoint(
    base: float, d_model: int, length: int, dtype: torch.dtype
) -> None:
    amplitude = 0.3
    state = PositionalEncoding(
        d_model, length, base=base, amplitude=amplitude, dtype=dtype
    ).state_dict()
    message = refusal(PositionalEncoding(d_model, length), state)
    found = dict(re.findall(r"(base|amplitude) = ([\d.e+]+)[,.] ?", message.split("table has")[1]))
    if not found:  # too coarse to tell exactly, and the message says so
        assert dtype in (torch.bfloat16, torch.float16) and "about" in message
        return
    numbers = {name: float(value) for name, value in found.items()}
    PositionalEncoding(d_model, length, **numbers).load_state_dict(state)


@pytest.mark.parametrize("amplitude", [0.02, 1.001, 2.0])
def test_a_checkpoint_with_another_amplitude_is_refused(amplitude: float) -> None:
    saved = PositionalEncoding(64, 128, amplitude=amplitude)
    message = refusal(PositionalEncoding(64, 128), saved.state_dict())
    assert "amplitude = 1 " in message
    again = PositionalEncoding(64, 40, amplitude=amplitude)
    again.load_state_dict(saved.state_dict())
    assert torch.equal(again.pe, saved.pe[:, :40])


@pytest.mark.parametrize(
    ("dtype", "d_model", "length"), [(torch.float16, 8, 16), (torch.bfloat16, 16, 32)], ids=str
)
def test_rounding_excuses_no_more_than_itself(
    dtype: torch.dtype, d_model: int, length: int
) -> None:
    # So close a base that few numbers round to another neighbour: they are other numbers still.
    own = PositionalEncoding(d_model, length, dtype=dtype)
    close = PositionalEncoding(d_model, length, base=10_001.0, dtype=dtype)
    assert 0 < int((own.pe != close.pe).sum()) < 10
    message = refusal(own, close.state_dict())
    assert (
        ". They are as close as the rounding of the saved numbers lets one see: made with"
        in message
    )
    assert "with very nearly the same base and amplitude, or rounded in another way. To" in message


@pytest.mark.parametrize("off_by", [1e-4, -1e-3, 0.5])
def test_the_refusal_points_at_the_number_that_differs(off_by: float) -> None:
    # Further on in the table, what rounding excuses is more than the smallest of these.
    saved = PositionalEncoding(8, 3000).pe.clone()
    right = saved[0, 11, 5].item()
    saved[0, 11, 5] += off_by
    message = refusal(PositionalEncoding(8, 3000), {"pe": saved})
    assert f"{saved[0, 11, 5].item():.6g} at position 11, column 5" in message
    assert f"{right:.6g}" in message


def test_a_refused_checkpoint_loads_the_way_the_message_says() -> None:
    model = nn.Sequential(PositionalEncoding(8, 16), nn.Linear(8, 8))
    other = nn.Sequential(PositionalEncoding(8, 16, base=500.0), nn.Linear(8, 8))
    state = other.state_dict()
    with pytest.raises(RuntimeError, match=r"0\.pe"):
        model.load_state_dict(state)
    del state["0.pe"]
    model.load_state_dict(state, strict=False)
    assert torch.equal(model[1].weight, other[1].weight)
    assert torch.equal(model[0].pe, PositionalEncoding(8, 16).pe)


@pytest.mark.parametrize("own", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("once", "back"),
    [(dtype, dtype) for dtype in DTYPES]
    + [(dtype, torch.float32) for dtype in (torch.bfloat16, torch.float16)]
    + [(dtype, torch.float64) for dtype in DTYPES[1:]],
    ids=str,
)
def test_a_table_that_was_rounded_once_and_cast_back_is_accepted(
    once: torch.dtype, back: torch.dtype, own: torch.dtype
) -> None:
    rounded = exact_rows(list(range(300)), 16).to(once).to(back)[None]
    module = PositionalEncoding(16, 300, dtype=own)
    before = module.pe.clone()
    module.load_state_dict({"pe": rounded})
    assert torch.equal(module.pe, before)  # its own, not the rounded one


def float32_recipe(base: float, d_model: int = 512) -> Tensor:
    """As many print it: frequencies and angles in float32, off by more the further on."""
    rates = torch.exp(torch.arange(0, d_model, 2) * (-math.log(base) / d_model))
    angles = torch.arange(5000)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).reshape(1, 5000, d_model)


@pytest.mark.parametrize("amplitude", [1.0, 100.0])
def test_a_table_by_the_usual_float32_recipe_is_accepted(amplitude: float) -> None:
    recipe = amplitude * float32_recipe(10_000.0)
    module = PositionalEncoding(512, 5000, amplitude=amplitude)
    before = module.pe.clone()
    assert (recipe - before).abs().max() > 1e-4 * amplitude
    module.load_state_dict({"pe": recipe})
    assert torch.equal(module.pe, before)


@pytest.mark.parametrize(("amplitude", "words"), [(1.0, "."), (100.0, ", amplitude = ")])
def test_a_table_by_the_usual_float32_recipe_with_another_base_is_understood(
    amplitude: float, words: str
) -> None:
    saved = amplitude * float32_recipe(500.0, 64)
    assert f"has base = 500{words}" in refusal(PositionalEncoding(64, 5000), {"pe": saved})


def test_a_checkpoints_tensor_is_not_taken_over() -> None:
    saved = PositionalEncoding(8, 16).pe.clone()
    for assign in (True, False):
        module = PositionalEncoding(8, 16)
        module.load_state_dict({"pe": saved}, assign=assign)
        before = module.pe.clone()
        saved.mul_(-1).mul_(-1)
        assert module.pe.data_ptr() != saved.data_ptr()
        assert torch.equal(module.pe, before)


@pytest.mark.parametrize(
    "shape", [(16, 8), (16, 1, 8), (1, 16, 6), (2, 16, 8), (1, 1, 16, 8), (8,)], ids=str
)
def test_a_table_of_another_layout_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    message = refusal(PositionalEncoding(8, 16), {"pe": torch.zeros(shape)})
    assert str(shape) in message
    assert "d_model = 8" in message
    hopeless = shape in ((1, 16, 6), (2, 16, 8), (8,))  # the others are told how to turn it
    assert message.endswith("d_model = 8).") == hopeless


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
def test_a_table_of_integers_is_refused(dtype: torch.dtype) -> None:
    assert "pe" in refusal(PositionalEncoding(8, 16), {"pe": torch.ones(1, 16, 8, dtype=dtype)})


def test_a_missing_table_is_missed_unless_strict_is_off() -> None:
    module = PositionalEncoding(8, 16)
    assert "Missing key" in refusal(module, {})
    assert module.load_state_dict({}, strict=False).missing_keys == ["pe"]


def test_a_key_that_belongs_nowhere_is_reported() -> None:
    module = PositionalEncoding(8, 16)
    state = {"pe": module.pe, "embedding.weight": torch.zeros(16, 8)}
    assert "Unexpected key" in refusal(module, state)
    result = module.load_state_dict(state, strict=False)
    assert result.unexpected_keys == ["embedding.weight"]


def test_a_subclass_moves_what_it_adds() -> None:
    class WithChild(PositionalEncoding):
        def __init__(self) -> None:
            super().__init__(8, 16)
            self.child = nn.Linear(2, 2)

    module = WithChild().double()
    assert module.child.weight.dtype == torch.float64
    module.to_empty(device="meta", recurse=False)
    assert module.pe.is_meta and not module.child.weight.is_meta


def test_load_hooks_run() -> None:
    module, ran = PositionalEncoding(8, 16), []
    module.register_load_state_dict_pre_hook(lambda *args: ran.append("before"))
    module.register_load_state_dict_post_hook(lambda *args: ran.append("after"))
    module.load_state_dict(module.state_dict())
    assert ran == ["before", "after"]


def test_a_checkpoint_completes_a_module_that_was_built_on_the_meta_device() -> None:
    state = PositionalEncoding(8, 16).state_dict()
    expected = PositionalEncoding(8, 20).pe
    assigned = PositionalEncoding(8, 20, device="meta")
    assigned.load_state_dict(state, assign=True)
    assert torch.equal(assigned.pe, expected)
    emptied = PositionalEncoding(8, 20, device="meta").to_empty(device="cpu")
    emptied.pe.fill_(7.0)  # what fresh memory may hold
    emptied.load_state_dict(state)
    assert torch.equal(emptied.pe, expected)


class WithGain(PositionalEncoding):
    def __init__(self, device: str = "cpu") -> None:
        super().__init__(8, 16, device=device)
        self.gain = nn.Parameter(torch.ones(1, device=device))


def test_a_subclass_loads_what_it_adds() -> None:
    trained, fresh = WithGain(), WithGain()
    trained.gain.data.fill_(3.0)
    fresh.load_state_dict(trained.state_dict())
    assert fresh.gain.item() == 3.0
    with pytest.raises(RuntimeError, match="size mismatch for gain"):
        fresh.load_state_dict({"pe": fresh.pe, "gain": torch.ones(2)})


def test_a_table_that_is_missing_goes_where_the_rest_of_its_module_goes() -> None:
    stray = torch.empty(1, device="meta")
    module = WithGain("meta")
    module.load_state_dict({"stray": stray, "gain": torch.ones(1)}, strict=False, assign=True)
    assert torch.equal(module.pe, PositionalEncoding(8, 16).pe)
    module = WithGain("meta")
    module.load_state_dict({"stray": stray}, strict=False, assign=True)  # nowhere to go
    assert module.pe.is_meta


@pytest.mark.filterwarnings("ignore")  # torch's own, which advises assign=True
@pytest.mark.parametrize("with_table", [True, False])
def test_without_assign_a_module_stays_on_the_meta_device(with_table: bool) -> None:
    state = {**({"pe": PositionalEncoding(8, 16).pe} if with_table else {}), "gain": torch.ones(1)}
    module = WithGain("meta")
    module.load_state_dict(state, strict=False)
    assert module.pe.is_meta


@pytest.fixture
def another_default_device() -> Iterator[None]:
    """Stands for `torch.set_default_device("cuda")`, as in many notebooks."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def test_loading_and_computing_do_not_depend_on_the_default_device(
    another_default_device: None,
) -> None:
    module = PositionalEncoding(8, 16, device="cpu")
    module.load_state_dict(PositionalEncoding(8, 20, device="cpu").state_dict())
    x = torch.zeros(1, 20, 8, device="cpu")
    expected = exact_rows_on_cpu()
    assert torch.equal(module(x)[0], expected)
    assert torch.equal(module(x, positions=torch.arange(20, device="cpu"))[0], expected)
    other = PositionalEncoding(8, 16, base=500.0, device="cpu")
    assert "has base = 500." in refusal(module, other.state_dict())


def exact_rows_on_cpu() -> Tensor:
    with torch.device("cpu"):
        return exact_rows(list(range(20)), 8).float()


# -- 6. length ------------------------------------------------------------------------------------


@quick
@given(d_model=EVEN_WIDTHS, max_seq_len=st.integers(1, 20), data=st.data())
def test_up_to_max_seq_len_the_table_is_sliced(
    d_model: int, max_seq_len: int, data: st.DataObject
) -> None:
    seq_len = data.draw(st.integers(0, max_seq_len))
    module = PositionalEncoding(d_model, max_seq_len)
    module.pe.copy_(torch.arange(module.pe.numel()).reshape(module.pe.shape))
    assert torch.equal(module(zeros(1, seq_len, d_model)), module.pe[:, :seq_len, :])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("base", [10_000.0, 500.0])
def test_past_the_table_come_the_rows_a_longer_table_would_hold(
    dtype: torch.dtype, base: float
) -> None:
    short = PositionalEncoding(16, 5, base=base, dtype=dtype)
    longer = PositionalEncoding(16, 3000, base=base, dtype=dtype)
    for start, seq_len in [(0, 6), (4, 2), (5, 1), (5, 7), (2990, 10), (0, 3000)]:
        rows = short(zeros(1, seq_len, 16, dtype), start=start)
        assert rows.dtype == dtype
        assert torch.equal(rows, longer.pe[:, start : start + seq_len, :])


def test_going_past_the_table_leaves_it_as_it_was() -> None:
    module = PositionalEncoding(8, 4)
    module(zeros(1, 9, 8))
    assert module.pe.shape == (1, 4, 8)
    assert module.max_seq_len == 4


# -- 7. positions ---------------------------------------------------------------------------------


@quick
@given(
    d_model=EVEN_WIDTHS,
    max_seq_len=st.integers(1, 12),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    start=st.integers(0, 8),
)
def test_chunked_equals_whole(
    d_model: int, max_seq_len: int, lengths: list[int], start: int
) -> None:
    module = PositionalEncoding(d_model, max_seq_len)
    x = torch.randn(2, sum(lengths), d_model)
    chunks, done = [], 0
    for length in lengths:
        chunks.append(module(x[:, done : done + length], start=start + done))
        done += length
    assert torch.equal(torch.cat(chunks, dim=1), module(x, start=start))


@quick
@given(start=st.integers(0, 30), seq_len=st.integers(0, 8))
def test_start_moves_the_window(start: int, seq_len: int) -> None:
    # Past the end of a table of 10 an empty slice would broadcast, or raise.
    out = PositionalEncoding(6, 10)(zeros(2, seq_len, 6), start=start)
    expected = exact_rows(list(range(start, start + seq_len)), 6).float().reshape(seq_len, 6)
    assert out.shape == (2, seq_len, 6)
    torch.testing.assert_close(out, expected.expand(2, seq_len, 6), rtol=0, atol=1e-7)


@pytest.mark.parametrize("start", [9, 10, 11, 1000])
def test_one_token_at_and_past_the_end_gets_a_row(start: int) -> None:
    out = PositionalEncoding(6, 10)(zeros(1, 1, 6), start=start)
    assert out.shape == (1, 1, 6)
    torch.testing.assert_close(out[0], exact_rows([start], 6).float(), rtol=0, atol=1e-7)


@quick
@given(
    positions=st.lists(st.integers(-1_000_000, 1_000_000), min_size=1, max_size=6),
    d_model=EVEN_WIDTHS,
)
def test_explicit_positions_may_be_any_integer(positions: list[int], d_model: int) -> None:
    module = PositionalEncoding(d_model, 10)
    out = module(zeros(1, len(positions), d_model), positions=torch.tensor(positions))
    torch.testing.assert_close(
        out[0].double(), exact_rows(positions, d_model), rtol=0, atol=2**-25 + 1e-9
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_explicit_positions_equal_the_table_bit_for_bit(dtype: torch.dtype) -> None:
    module = PositionalEncoding(64, 2000, dtype=dtype)
    shuffled = torch.randperm(2000)
    for of_tokens in (dtype, torch.float64):
        out = module(zeros(1, 2000, 64, of_tokens), positions=shuffled)
        assert torch.equal(out[0], module.pe[0, shuffled].to(of_tokens))


def test_positions_may_be_one_row_for_all_or_one_row_each() -> None:
    module = PositionalEncoding(6, 10)
    one = torch.tensor([3, 0, 12])
    each = torch.tensor([[3, 0, 12], [-1, -1, 2]])
    assert torch.equal(
        module(zeros(2, 3, 6), positions=one), module(zeros(2, 3, 6), positions=one.expand(2, 3))
    )
    out = module(zeros(2, 3, 6), positions=each)
    expected = torch.stack([exact_rows(row, 6) for row in each.tolist()]).float()
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("start", [0, 7, -5, None])
def test_positions_win_over_start(start: Any) -> None:
    module = PositionalEncoding(6, 10)
    positions = torch.tensor([2, 5, 1])
    out = module(zeros(1, 3, 6), start=start, positions=positions)
    assert torch.equal(out[0], module.pe[0, positions])


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_positions_of_any_integer_dtype_give_the_same_rows(dtype: torch.dtype) -> None:
    module = PositionalEncoding(6, 10)
    positions = torch.tensor([0, 9, 100])
    out = module(zeros(1, 3, 6), positions=positions.to(dtype))
    assert torch.equal(out, module(zeros(1, 3, 6), positions=positions))


# -- 8. dtype and device --------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [None, torch.arange(5)], ids=["table", "formula"])
@pytest.mark.parametrize("of_tokens", DTYPES, ids=str)
@pytest.mark.parametrize("of_table", DTYPES, ids=str)
def test_the_output_has_the_tokens_dtype(
    of_table: torch.dtype, of_tokens: torch.dtype, positions: Tensor | None
) -> None:
    module = PositionalEncoding(6, 10, dtype=of_table)
    assert module(zeros(1, 5, 6, of_tokens), positions=positions).dtype == of_tokens
    if positions is None:
        assert module(zeros(1, 15, 6, of_tokens)).dtype == of_tokens


def half_spacing(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Half the distance between neighbours of ``values`` in ``dtype``: the least rounding error."""
    _, exponent = torch.frexp(values)
    digits = {torch.bfloat16: 8, torch.float16: 11}[dtype]
    smallest = math.log2(torch.finfo(dtype).smallest_normal) + 1
    return 2.0 ** (exponent.double().clamp(min=smallest) - digits - 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_low_precision_the_table_is_the_rounded_exact_value(dtype: torch.dtype) -> None:
    positions = [*range(64), 257, 2048, 4095]  # bfloat16 has no 257, float16 no 4095
    exact = exact_rows(positions, 64)
    allowed = half_spacing(exact, dtype) + 2**-25  # once to float32, once more to the short one
    built = PositionalEncoding(64, 4096, dtype=dtype)
    moved = PositionalEncoding(64, 4096).to(dtype)
    cast = PositionalEncoding(64, 4096)(zeros(1, 4096, 64, dtype))
    computed = PositionalEncoding(64, 2, dtype=dtype)(zeros(1, 4096, 64, dtype))
    given_explicitly = PositionalEncoding(64, 2)(
        zeros(1, len(positions), 64, dtype), positions=torch.tensor(positions)
    )
    for rows in (built.pe, moved.pe, cast, computed):
        assert ((rows[0, positions].double() - exact).abs() <= allowed).all()
    assert ((given_explicitly[0].double() - exact).abs() <= allowed).all()


def test_all_rows_of_a_bfloat16_table_are_distinct() -> None:
    # Computed in bfloat16 only 769 of 4096 would be.
    assert len(PositionalEncoding(64, 4096, dtype=torch.bfloat16).pe[0].unique(dim=0)) == 4096


@pytest.mark.parametrize("through", [torch.bfloat16, torch.float16], ids=str)
def test_a_detour_through_low_precision_leaves_no_trace(through: torch.dtype) -> None:
    model = nn.Sequential(PositionalEncoding(8, 100))
    expected = model[0].pe.clone()
    assert torch.equal(model.to(through).float()[0].pe, expected)


@pytest.mark.parametrize("positions", [None, torch.arange(20)], ids=["range", "explicit"])
@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_changes_no_bit_of_the_encoding(
    low: torch.dtype, positions: Tensor | None
) -> None:
    module, x = PositionalEncoding(64, 10), torch.randn(1, 20, 64)
    expected = module(x, positions=positions)
    with torch.autocast("cpu", dtype=low):
        got = module(x, positions=positions)
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)


class WaitsForTheDevice(TorchDispatchMode):
    """Collects what would make the host wait for a GPU: values read, blocking copies across."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = str(func)
        if "_local_scalar_dense" in name or "nonzero" in name:
            self.seen.append(name)
        if "_to_copy" in name and not kwargs.get("non_blocking", False):
            if args[0].device != result.device:
                self.seen.append(name)
        return result


@pytest.mark.parametrize(
    ("seq_len", "positions"),
    [(5, None), (20, None), (5, torch.arange(5, device="meta"))],
    ids=["table", "past it", "explicit"],
)
def test_the_forward_pass_never_waits_for_the_device(
    seq_len: int, positions: Tensor | None
) -> None:
    # The meta device stands in for a GPU: it has no values, so reading one raises.
    module = PositionalEncoding(6, 10, device="meta")
    x = torch.zeros(2, seq_len, 6, device="meta")
    with WaitsForTheDevice() as waits:
        out = module(x, positions=positions)
    assert out.is_meta and out.shape == x.shape
    assert waits.seen == []


@pytest.mark.filterwarnings("ignore")  # torch.compile's own
@pytest.mark.parametrize("dynamic", [None, True])
def test_the_formula_compiles_without_a_graph_break(dynamic: bool | None) -> None:
    torch.compiler.reset()
    for base in (10_000.0, 500.0):  # the second one makes dynamo treat the base as a variable
        module = PositionalEncoding(6, 10, base=base)
        compiled = torch.compile(module, fullgraph=True, dynamic=dynamic, backend="eager")
        assert torch.equal(compiled(zeros(1, 20, 6)), module(zeros(1, 20, 6)))
        positions = torch.tensor([3, -1, 40])
        assert torch.equal(
            compiled(zeros(1, 3, 6), positions=positions),
            module(zeros(1, 3, 6), positions=positions),
        )


# -- 10. no shared state --------------------------------------------------------------------------


def test_a_dtype_without_fractions_is_refused() -> None:
    with pytest.raises(TypeError, match=r"dtype must be a floating-point dtype, got torch\.int64"):
        PositionalEncoding(4, 8, dtype=torch.int64)


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_checkpoint_without_the_table_leaves_no_memory_in_it(
    assign: bool, dtype: torch.dtype
) -> None:
    wanted = PositionalEncoding(8, 16, dtype=dtype).pe
    module = PositionalEncoding(8, 16, dtype=dtype, device="meta").to_empty(device="cpu")
    assert torch.equal(module.pe, wanted)
    module.pe.fill_(7.0)  # as to_empty() on a module with memory may leave it
    module.load_state_dict({}, strict=False, assign=assign)
    assert torch.equal(module.pe, wanted)


def test_one_row_is_placed_by_the_frequencies_of_the_module() -> None:
    saved = sinusoidal_encoding([7], 16, 500.0)[None]
    assert "is interleaved, base 500, first position 7. " in refusal(
        PositionalEncoding(16, 40, base=500.0), {"pe": saved}
    )


EXACT = sinusoidal_encoding(torch.arange(40), 16)
FALLING = torch.arange(40.0).double()[:, None] * torch.linspace(1, 0.1, 8).double()  # evenly


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (sinusoidal_encoding(torch.arange(40), 16, 500.0), "has base = 500."),
        (sinusoidal_encoding(torch.arange(40), 16, 10_001.0), "has base = 10001."),
        (sinusoidal_encoding(torch.arange(2), 16, 500.0), "has base = 500."),
        (sinusoidal_encoding(torch.arange(40), 16, 500.0).bfloat16(), "has base = 500."),
        (3 * EXACT, "has amplitude = 3."),
        (1.001 * EXACT, "has amplitude = 1.001."),
        (
            sinusoidal_encoding(torch.arange(1, 41), 16),
            "is interleaved, base 10000, first position 1. Build the module with convention=",
        ),
        (
            EXACT.view(40, 8, 2).flip(-1).flatten(1),
            "is interleaved, cosines first, base 10000. Build",
        ),
        (EXACT.view(40, 8, 2).mT.flatten(1), "is halves, base 10000 (as in marian). Build"),
        (
            EXACT.view(40, 8, 2).flip(-1).mT.flatten(1),
            "is halves, cosines first, base 10000 (as in diffusers-unet). Build",
        ),
        (
            sinusoidal_encoding(torch.arange(5, 45), 16).view(40, 8, 2).flip(-1).flatten(1),
            "with convention=Convention(first=5, cosines_first=True). To load",
        ),
        (
            EXACT.sin(),
            ". No convention explains them: ",
        ),
        (
            sinusoidal_encoding(torch.arange(100, 140), 16, 500.0),
            "is interleaved, base 500, first position 100. Build",
        ),
        (2 * sinusoidal_encoding(torch.arange(40), 16, 9_000.0), "base = 9000, amplitude = 2."),
        (
            2 * sinusoidal_encoding(torch.arange(100, 140), 16, 500.0),
            "with convention=Convention(base=500.0, first=100, amplitude=2.0). To load",
        ),
        (
            0 * EXACT,
            " Some of its rows are zero, and of the others: all its rows are zero. To load",
        ),
        (
            torch.stack((FALLING.sin(), FALLING.cos()), dim=-1).flatten(1),
            "its columns turn in pairs, at rates that no base explains. To load",
        ),
        (2 * EXACT[:1], "has amplitude = 2."),
        (EXACT[:1].view(1, 8, 2).mT.flatten(1), "is halves, base 10000 (as in marian). Build"),
        (EXACT[7:8], "is interleaved, base 10000, first position 7. Build"),
        (EXACT[:1].cos(), ". One row is too little to tell how it was made. To load"),
        (EXACT[:16].T, ". They are transposed: state_dict[key] = state_dict[key].mT. To load"),
    ],
)
def test_a_refused_checkpoint_says_what_differs(saved: Tensor, words: str) -> None:
    message = refusal(PositionalEncoding(16, 40), {"pe": saved.float()[None]})
    assert words in message


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (EXACT, ". It has no batch axis: "),
        (EXACT[:, None], ". It has the length first: "),
        (EXACT.T, ". It is transposed and has no batch axis: "),
        (EXACT.T[None], ". It is transposed: "),
        (EXACT[None, None], ". It has one axis more: "),
    ],
)
def test_a_table_of_another_layout_loads_the_way_the_message_says(
    saved: Tensor, words: str
) -> None:
    module, key, state_dict = PositionalEncoding(16, 40), "pe", {"pe": saved}
    message = refusal(module, state_dict)
    assert words in message
    exec(message.split(": ")[-1].rstrip("."), None, locals())
    module.load_state_dict(state_dict)


@pytest.mark.parametrize("amplitude", [0.5, 2.0])
def test_a_repr_names_the_amplitude_where_it_is_not_1(amplitude: float) -> None:
    plain = "PositionalEncoding(d_model=8, max_seq_len=16, base=500"
    assert repr(PositionalEncoding(8, 16, base=500)) == f"{plain})"
    module = PositionalEncoding(8, 16, base=500, amplitude=amplitude)
    assert repr(module) == f"{plain}, amplitude={amplitude:g})"
