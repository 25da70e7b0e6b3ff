"""InputEmbedding: the contract's promises about the layer as a whole, lines 1 to 10."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from simplellm import (
    InputEmbedding,
    LearnedPositionalEmbedding,
    PositionalEncoding,
    TokenEmbedding,
    sinusoidal_encoding,
)
from tools.machine.compiler import MISSING, find_compiler

quick = settings(max_examples=30, deadline=None, database=None)

IDS = torch.tensor([[1, 15, 234, 89, 2]])  # the running example; 1 is BOS, 2 is EOS

both_kinds = pytest.mark.parametrize("use_learned_pe", [False, True], ids=["sinusoidal", "learned"])

needs_a_compiler = pytest.mark.skipif(
    find_compiler() is None, reason=f"torch.compile's default backend writes C++; {MISSING}"
)


def table_of_ones(use_learned_pe: bool = False, dropout: float = 0.0) -> InputEmbedding:
    """Ones in every learned table, so that the arithmetic of the layer is what comes out."""
    layer = InputEmbedding(256, 64, 16, dropout, use_learned_pe)
    for table in layer.parameters():
        nn.init.ones_(table)
    return layer


# -- the interface --------------------------------------------------------------------------------


def test_the_attributes_are_those_of_the_interface() -> None:
    layer = InputEmbedding(256, 64, 16, 0.25)
    assert isinstance(layer.token_embedding, TokenEmbedding)
    assert isinstance(layer.pos_embedding, PositionalEncoding)
    assert isinstance(layer.dropout, nn.Dropout)
    assert layer.dropout.p == 0.25
    assert [name for name, _ in layer.named_children()] == [
        "token_embedding",
        "pos_embedding",
        "dropout",
    ]
    learned = InputEmbedding(256, 64, 16, 0.1, True)
    assert isinstance(learned.pos_embedding, LearnedPositionalEmbedding)


def test_arguments_go_by_the_names_of_the_interface() -> None:
    layer = InputEmbedding(
        vocab_size=256, d_model=64, max_seq_len=16, dropout=0.1, use_learned_pe=False
    )
    assert layer.token_embedding.embedding.weight.shape == (256, 64)
    assert layer.pos_embedding.pe.shape == (1, 16, 64)
    with pytest.raises(TypeError):
        InputEmbedding(256, 64, 16, 0.1, False, False)
    with pytest.raises(TypeError):
        InputEmbedding(256, 64, 16)


@both_kinds
def test_every_part_is_in_the_state_dict_under_its_name(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.1, use_learned_pe)
    positions = "pos_embedding.embedding.weight" if use_learned_pe else "pos_embedding.pe"
    assert list(layer.state_dict()) == ["token_embedding.embedding.weight", positions]
    trained = [name for name, _ in layer.named_parameters()]
    assert ("pos_embedding.embedding.weight" in trained) == use_learned_pe
    assert len(trained) == 1 + use_learned_pe


# -- tokens, then positions, then dropout ---------------------------------------------------------


def test_the_output_is_scaled_tokens_plus_sinusoids() -> None:
    out = table_of_ones()(IDS)
    # Tokens are scaled before the positions join: √64 = 8, and the sinusoids keep amplitude 1.
    expected = 8.0 + sinusoidal_encoding(torch.arange(5), 64).float()
    torch.testing.assert_close(out[0], expected, rtol=0, atol=1e-6)


def test_the_output_is_scaled_tokens_plus_learned_rows() -> None:
    assert (table_of_ones(use_learned_pe=True)(IDS) == 9.0).all()


@both_kinds
def test_tokens_then_positions_then_dropout(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.5, use_learned_pe)
    seen: list[tuple[str, Tensor, Tensor]] = []
    for name, part in layer.named_children():
        part.register_forward_hook(
            lambda module, args, out, name=name: seen.append((name, args[0], out))
        )
    torch.manual_seed(0)
    out = layer(IDS)
    names, inputs, outputs = zip(*seen, strict=True)
    assert names == ("token_embedding", "pos_embedding", "dropout")  # each once
    assert inputs[0] is IDS
    assert torch.equal(inputs[1], layer.token_embedding.embedding.weight[IDS] * 8.0)
    rows = layer.pos_embedding(torch.zeros(1, 5, 64))
    assert torch.equal(inputs[2], inputs[1] + rows)
    assert out is outputs[2]


@both_kinds
def test_dropout_falls_once_and_on_the_sum(use_learned_pe: bool) -> None:
    layer = table_of_ones(use_learned_pe, dropout=0.25).train()
    whole = table_of_ones(use_learned_pe)(torch.zeros(64, 16, dtype=torch.int64))
    torch.manual_seed(0)
    out = layer(torch.zeros(64, 16, dtype=torch.int64))
    dropped = out == 0
    # An entry is nothing or the whole sum / (1 - p). Dropout on one part would leave the other
    # standing; two layers of it would drop 0.4375 and divide twice.
    torch.testing.assert_close(out[~dropped], (whole / 0.75)[~dropped])
    assert (whole != 0).all()
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.01)


@both_kinds
def test_evaluation_drops_nothing(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.9, use_learned_pe).eval()
    assert torch.equal(layer(IDS), layer.pos_embedding(layer.token_embedding(IDS)))


# -- 1. initialisation ----------------------------------------------------------------------------


@both_kinds
def test_both_tables_start_from_std_0_02(use_learned_pe: bool) -> None:
    torch.manual_seed(0)
    layer = InputEmbedding(500, 256, 300, 0.0, use_learned_pe)
    for table in layer.parameters():
        assert table.std().item() == pytest.approx(0.02, rel=0.02)
        assert abs(table.mean().item()) < 5 * 0.02 / math.sqrt(table.numel())


@both_kinds
def test_reset_parameters_restores_every_part_after_the_meta_device(use_learned_pe: bool) -> None:
    layer = InputEmbedding(500, 256, 300, 0.0, use_learned_pe, padding_idx=0, device="meta")
    assert all(tensor.is_meta for tensor in layer.state_dict().values())
    layer.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in layer.state_dict().values():
            tensor.fill_(7.0)  # what fresh memory may hold
    layer.reset_parameters()
    for table in layer.parameters():
        assert table.std().item() == pytest.approx(0.02, rel=0.02)
    assert not layer.token_embedding.embedding.weight[0].any()
    if not use_learned_pe:
        assert torch.equal(layer.pos_embedding.pe, PositionalEncoding(256, 300).pe)


def test_reset_parameters_calls_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, called = InputEmbedding(10, 4, 5, 0.0), []
    for name in ("token_embedding", "pos_embedding"):
        part = getattr(layer, name)
        monkeypatch.setattr(part, "reset_parameters", lambda name=name: called.append(name))
    layer.reset_parameters()
    assert sorted(called) == ["pos_embedding", "token_embedding"]


# -- 2 and 3. options reach the part they belong to -----------------------------------------------


@both_kinds
def test_scale_false_switches_the_factor_off(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.0, use_learned_pe, scale=False)
    tokens = layer.token_embedding.embedding.weight[IDS]
    assert torch.equal(layer(IDS), layer.pos_embedding(tokens))


def test_the_gradient_at_the_table_is_scaled_by_the_root_of_d_model() -> None:
    for scale, factor in ((True, 8.0), (False, 1.0)):  # √64 = 8
        layer = InputEmbedding(256, 64, 16, 0.0, scale=scale)
        layer(torch.tensor([[7, 7, 9]])).sum().backward()
        grad = layer.token_embedding.embedding.weight.grad
        assert grad is not None
        used = torch.zeros(256)
        used[7], used[9] = 2 * factor, factor
        assert (grad == used[:, None]).all()


def test_init_std_sets_the_token_tables_spread_only() -> None:
    torch.manual_seed(0)
    layer = InputEmbedding(500, 256, 300, 0.0, True, init_std=0.5)
    assert layer.token_embedding.embedding.weight.std().item() == pytest.approx(0.5, rel=0.02)
    assert layer.pos_embedding.embedding.weight.std().item() == pytest.approx(0.02, rel=0.02)


@both_kinds
def test_position_rms_is_the_size_that_position_rows_start_from(use_learned_pe: bool) -> None:
    torch.manual_seed(0)
    layer = InputEmbedding(50, 64, 300, 0.0, use_learned_pe, position_rms=0.3)
    rows = layer(torch.zeros(1, 300, dtype=torch.int64)) - layer.token_embedding(
        torch.tensor([[0]])
    )
    assert rows.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.02)
    layer.reset_parameters()
    again = layer(torch.tensor([[0] * 300])) - layer.token_embedding(torch.tensor([[0]]))
    assert again.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.02)


def test_special_tokens_are_ordinary_rows_by_default() -> None:
    layer = InputEmbedding(256, 64, 16, 0.0)
    assert layer.token_embedding.embedding.padding_idx is None
    assert layer.token_embedding.embedding.weight[:3].any(dim=1).all()


@both_kinds
def test_the_padding_row_stays_zero_through_training(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.1, use_learned_pe, padding_idx=0)
    sinusoids = None if use_learned_pe else layer.pos_embedding.pe.clone()
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(4):
        optimizer.zero_grad()
        (layer(torch.tensor([[0, 0, 1, 15, 2]])) - 1).square().sum().backward()
        optimizer.step()
    assert not layer.token_embedding.embedding.weight[0].any()
    assert not layer.token_embedding(torch.tensor([[0]])).any()
    if sinusoids is not None:
        assert torch.equal(layer.pos_embedding.pe, sinusoids)


def test_base_reaches_the_sinusoids() -> None:
    layer = InputEmbedding(10, 8, 6, 0.0, base=500.0)
    expected = sinusoidal_encoding(torch.arange(6), 8, 500.0).float()
    assert torch.equal(layer.pos_embedding.pe[0], expected)


# -- 5. checkpoints -------------------------------------------------------------------------------


def test_a_checkpoint_of_another_length_loads() -> None:
    long, short = InputEmbedding(10, 8, 12, 0.0), InputEmbedding(10, 8, 6, 0.0)
    ids = torch.tensor([[1, 5, 9, 2, 2, 2, 3, 4]])
    short.load_state_dict(long.state_dict())
    assert short.pos_embedding.pe.shape == (1, 6, 8)
    assert torch.equal(short(ids), long(ids))


def test_a_checkpoint_with_another_base_is_refused_by_the_name_of_its_key() -> None:
    layer, other = InputEmbedding(10, 8, 6, 0.0), InputEmbedding(10, 8, 6, 0.0, base=500.0)
    with pytest.raises(RuntimeError, match=r"pos_embedding\.pe .*base"):
        layer.load_state_dict(other.state_dict())


def test_a_learned_checkpoint_does_not_pass_for_a_sinusoidal_one_or_the_other_way() -> None:
    layer, other = InputEmbedding(10, 8, 6, 0.0), InputEmbedding(10, 8, 6, 0.0, True)
    for into, state in ((layer, other.state_dict()), (other, layer.state_dict())):
        with pytest.raises(RuntimeError) as caught:
            into.load_state_dict(state)
        assert "Missing key" in str(caught.value)
        assert "Unexpected key" in str(caught.value)


@both_kinds
def test_a_module_from_the_meta_device_is_completed_by_its_checkpoint(use_learned_pe: bool) -> None:
    trained = InputEmbedding(256, 64, 16, 0.0, use_learned_pe)
    emptied = InputEmbedding(256, 64, 16, 0.0, use_learned_pe, device="meta")
    emptied.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in emptied.state_dict().values():
            tensor.fill_(7.0)  # what fresh memory may hold
    emptied.load_state_dict(trained.state_dict())
    assert torch.equal(emptied(IDS), trained(IDS))
    assigned = InputEmbedding(256, 64, 16, 0.0, use_learned_pe, device="meta")
    assigned.load_state_dict(trained.state_dict(), assign=True)
    assert torch.equal(assigned(IDS), trained(IDS))


# -- 6 and 7. length and positions ----------------------------------------------------------------


@both_kinds
@quick
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    start=st.integers(0, 7),
    max_seq_len=st.integers(1, 32),
)
def test_chunked_equals_whole(
    use_learned_pe: bool, lengths: list[int], start: int, max_seq_len: int
) -> None:
    layer = InputEmbedding(50, 8, 32 if use_learned_pe else max_seq_len, 0.3, use_learned_pe)
    layer.eval()
    ids = torch.randint(0, 50, (2, sum(lengths)))
    chunks, done = [], 0
    for length in lengths:
        chunks.append(layer(ids[:, done : done + length], start=start + done))
        done += length
    assert torch.equal(torch.cat(chunks, dim=1), layer(ids, start=start))


@both_kinds
def test_decoding_token_by_token_equals_the_whole(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.1, use_learned_pe).eval()
    steps = [layer(IDS[:, p : p + 1], start=p) for p in range(5)]
    assert torch.equal(torch.cat(steps, dim=1), layer(IDS))


@both_kinds
@pytest.mark.parametrize("start", [0, 3, -1])
def test_positions_win_over_start(use_learned_pe: bool, start: int) -> None:
    layer = InputEmbedding(256, 64, 16, 0.0, use_learned_pe)
    positions = torch.tensor([4, 4, 0, 15, 7])
    expected = layer.pos_embedding(layer.token_embedding(IDS), positions=positions)
    assert torch.equal(layer(IDS, start=start, positions=positions), expected)
    assert torch.equal(layer(IDS, positions=positions[None]), expected)
    assert not torch.equal(layer(IDS), expected)


def test_past_the_table_the_formula_goes_on() -> None:
    short, long = InputEmbedding(256, 64, 3, 0.0), InputEmbedding(256, 64, 99, 0.0)
    short.token_embedding.load_state_dict(long.token_embedding.state_dict())
    assert torch.equal(short(IDS, start=7), long(IDS, start=7))
    assert torch.equal(short(IDS), long(IDS))


def test_past_a_learned_table_both_numbers_are_named() -> None:
    layer = InputEmbedding(256, 64, 16, 0.0, True)
    assert layer(IDS, start=11).shape == (1, 5, 64)
    with pytest.raises(ValueError, match=r"12 \+ 5 is more than max_seq_len = 16"):
        layer(IDS, start=12)


# -- 8. dtype and device --------------------------------------------------------------------------


@both_kinds
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str
)
def test_dtype_and_to_reach_every_part(use_learned_pe: bool, dtype: torch.dtype) -> None:
    built = InputEmbedding(256, 64, 16, 0.1, use_learned_pe, dtype=dtype)
    moved = InputEmbedding(256, 64, 16, 0.1, use_learned_pe).to(dtype)
    for layer in (built, moved):
        assert {tensor.dtype for tensor in layer.state_dict().values()} == {dtype}
        assert layer(IDS).dtype == dtype
    assert built.to("meta")(IDS.to("meta")).is_meta


@both_kinds
@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16], ids=str)
def test_works_under_autocast(use_learned_pe: bool, low: torch.dtype) -> None:
    layer = InputEmbedding(256, 64, 16, 0.0, use_learned_pe)
    with torch.autocast("cpu", dtype=low):
        out = layer(IDS)
    assert torch.equal(out, layer(IDS))
    out.sum().backward()
    assert all(table.grad is not None for table in layer.parameters())


@both_kinds
@pytest.mark.filterwarnings("ignore")  # torch.compile's own
@pytest.mark.parametrize("dynamic", [None, True])
def test_there_is_no_graph_break(use_learned_pe: bool, dynamic: bool | None) -> None:
    torch.compiler.reset()
    layer = InputEmbedding(256, 64, 16, 0.0, use_learned_pe)
    compiled = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    calls: list[tuple[Tensor, dict[str, Any]]] = [
        (IDS, {}),
        (IDS.expand(3, 5)[:, :4], {}),
        (IDS.to(torch.int16), {}),
        (IDS, {"start": 3}),
        (IDS[:, :1], {"start": 4}),
        (IDS, {"positions": torch.tensor([0, 0, 1, 2, 15])}),
    ]
    if not use_learned_pe:
        calls.append((IDS, {"start": 14}))
    for ids, kwargs in calls:
        assert torch.equal(compiled(ids, **kwargs), layer(ids, **kwargs))


@needs_a_compiler
@both_kinds
@pytest.mark.filterwarnings("ignore")  # torch.compile's own
def test_the_compiled_layer_computes_the_same(use_learned_pe: bool) -> None:
    torch.compiler.reset()
    layer = InputEmbedding(256, 64, 16, 0.0, use_learned_pe, padding_idx=0)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True)
    ids = torch.tensor([[0, 0, 7, 9], [7, 7, 7, 0]])
    grads = []
    for function in (layer, compiled):
        layer.zero_grad()
        out = function(ids)
        out.square().sum().backward()
        grads.append([table.grad.clone() for table in layer.parameters()])
        torch.testing.assert_close(out, layer(ids), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-6)
    assert not grads[1][0][0].any()  # the padding row


@both_kinds
@pytest.mark.filterwarnings("ignore")  # torch.export's own
def test_exports_with_dynamic_batch_and_length_up_to_max_seq_len(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.1, use_learned_pe).eval()
    batch, seq_len = torch.export.Dim("batch"), torch.export.Dim("seq_len", max=16)
    exported = torch.export.export(
        layer, (IDS.expand(3, 5).contiguous(),), dynamic_shapes=({0: batch, 1: seq_len},)
    ).module()
    for shape in ((1, 1), (1, 16), (4, 16), (7, 2), (2, 1)):
        ids = torch.randint(0, 256, shape)
        assert torch.equal(exported(ids), layer(ids))


@both_kinds
@pytest.mark.filterwarnings("ignore")  # torch.export's own
def test_exports_with_explicit_positions(use_learned_pe: bool) -> None:
    layer = InputEmbedding(256, 64, 16, 0.1, use_learned_pe).eval()
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq_len", max=16)}
    exported = torch.export.export(
        layer,
        (torch.zeros(3, 5, dtype=torch.int64),),
        {"positions": torch.zeros(3, 5, dtype=torch.int64)},
        dynamic_shapes={"ids": free, "positions": free},
    ).module()
    for shape in ((1, 1), (4, 16)):
        ids, positions = torch.randint(0, 256, shape), torch.randint(0, 16, shape)
        assert torch.equal(exported(ids, positions=positions), layer(ids, positions=positions))


@both_kinds
def test_many_layers_can_run_as_one_with_vmap(use_learned_pe: bool) -> None:
    layers = [InputEmbedding(256, 64, 16, 0.0, use_learned_pe) for _ in range(3)]
    params, buffers = torch.func.stack_module_state(layers)

    def run(params: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        out: Tensor = torch.func.functional_call(layers[0], (params, buffers), (IDS,))
        return out

    together = torch.func.vmap(run)(params, buffers)
    assert torch.equal(together, torch.stack([layer(IDS) for layer in layers]))


class LargeTensors(TorchDispatchMode):
    """Counts the storages of at least ``size`` bytes that the operations inside bring about."""

    def __init__(self, size: int, known: list[Tensor]) -> None:
        super().__init__()
        self.size = size
        self.kept = list(known)  # alive, so that no address is used twice
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.untyped_storage().nbytes() >= self.size:
            addresses = {kept.untyped_storage().data_ptr() for kept in self.kept}
            if out.untyped_storage().data_ptr() not in addresses:
                self.count += 1
                self.kept.append(out)
        return out


@both_kinds
def test_evaluation_makes_one_tensor_of_the_outputs_size_beside_the_output(
    use_learned_pe: bool,
) -> None:
    layer = InputEmbedding(256, 64, 16, 0.1, use_learned_pe).eval()
    ids = torch.randint(0, 256, (300, 16))  # larger than any table
    with (
        torch.no_grad(),
        LargeTensors(300 * 16 * 64 * 4, list(layer.state_dict().values())) as made,
    ):
        layer(ids)
    assert made.count <= 2


# -- 9. bad input ---------------------------------------------------------------------------------
# Every single call that is refused stands in _ext/contracts, for the contract page as well,
# and is held in test_contracts.py.


def test_sizes_may_be_numpy_integers() -> None:
    layer = InputEmbedding(np.int64(10), np.int32(8), np.int64(16), 0.1)
    assert layer(torch.tensor([[1]])).shape == (1, 1, 8)


@pytest.mark.parametrize("dropout", [0, 0.0, 0.999])
def test_the_ends_of_the_range_of_dropout(dropout: float) -> None:
    assert InputEmbedding(10, 8, 16, dropout)(torch.tensor([[1]])).shape == (1, 1, 8)


def test_a_learned_layer_may_have_an_odd_width() -> None:
    assert InputEmbedding(10, 7, 16, 0.1, True)(torch.tensor([[1]])).shape == (1, 1, 7)
