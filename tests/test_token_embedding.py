"""TokenEmbedding: each promise of the contract, lines 1 to 3 and 8 to 10."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from simplellm import (
    InputEmbedding,
    LearnedPositionalEmbedding,
    PositionalEncoding,
    SimpleLLM,
    SimpleLLMConfig,
    TokenEmbedding,
)
from simplellm.row_lookup import is_observed

quick = settings(max_examples=40, deadline=None, database=None)

IDS = torch.tensor([[1, 15, 234, 89, 2]])  # the running example; 1 is BOS, 2 is EOS


def ones(vocab_size: int, d_model: int, **kwargs: object) -> TokenEmbedding:
    """A table of ones, so that the arithmetic of the layer is what comes out."""
    tokens = TokenEmbedding(vocab_size, d_model, **kwargs)
    nn.init.ones_(tokens.embedding.weight)
    return tokens


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


# -- 1. initialisation ----------------------------------------------------------------------------


def test_the_table_starts_from_a_normal_distribution_of_std_0_02() -> None:
    torch.manual_seed(0)
    assert looks_like_normal(TokenEmbedding(500, 256).embedding.weight, 0.02)


@pytest.mark.parametrize("init_std", [0.001, 0.125, 1, 3.0])
def test_init_std_sets_the_tables_spread(init_std: float) -> None:
    torch.manual_seed(1)
    tokens = TokenEmbedding(500, 128, init_std=init_std)
    assert looks_like_normal(tokens.embedding.weight, init_std)
    tokens.reset_parameters()
    assert looks_like_normal(tokens.embedding.weight, init_std)


def test_init_std_zero_gives_a_table_of_zeros() -> None:
    assert not TokenEmbedding(5, 4, init_std=0).embedding.weight.any()


def test_skip_init_works() -> None:
    tokens = nn.utils.skip_init(TokenEmbedding, 256, 8)
    assert tokens.embedding.weight.shape == (256, 8)


def test_the_attributes_are_those_of_the_interface() -> None:
    tokens = TokenEmbedding(256, 64)
    assert isinstance(tokens.embedding, nn.Embedding)
    assert tokens.embedding.weight.shape == (256, 64)
    assert tokens.d_model == 64
    assert [name for name, _ in tokens.named_parameters()] == ["embedding.weight"]
    assert list(tokens.state_dict()) == ["embedding.weight"]


# -- 2. scale -------------------------------------------------------------------------------------


@quick
@given(d_model=st.integers(1, 700), double=st.booleans())
def test_the_output_is_scaled_by_exactly_the_root_of_d_model(d_model: int, double: bool) -> None:
    dtype = torch.float64 if double else torch.float32
    out = ones(4, d_model, dtype=dtype)(torch.tensor([[3, 0]]))
    assert out.shape == (1, 2, d_model)
    assert (out == torch.tensor(d_model**0.5, dtype=dtype)).all()


@quick
@given(d_model=st.integers(1, 700), times=st.integers(1, 4))
def test_the_gradient_is_scaled_by_exactly_the_root_of_d_model(d_model: int, times: int) -> None:
    tokens = ones(4, d_model, dtype=torch.float64)
    tokens(torch.tensor([[3] * times])).sum().backward()
    grad = tokens.embedding.weight.grad
    assert grad is not None
    torch.testing.assert_close(
        grad[3], torch.full_like(grad[3], times * d_model**0.5), rtol=1e-15, atol=0
    )
    assert not grad[:3].any()  # gradients reach only the rows used


@pytest.mark.parametrize("d_model", [1, 6, 64])
def test_scale_false_switches_it_off_for_output_and_gradient(d_model: int) -> None:
    tokens = ones(4, d_model, scale=False)
    out = tokens(torch.tensor([[3, 0]]))
    out.sum().backward()
    grad = tokens.embedding.weight.grad
    assert grad is not None
    assert (out == 1).all()
    assert grad[:, 0].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_a_lookup_is_a_product_with_one_hot_rows() -> None:
    tokens = TokenEmbedding(256, 64, dtype=torch.float64)
    one_hot = nn.functional.one_hot(IDS, 256).double()
    expected = one_hot @ tokens.embedding.weight * 8.0  # √64
    assert torch.equal(tokens(IDS), expected)


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        TokenEmbedding(10, 4, False)


# -- 3. special tokens ----------------------------------------------------------------------------


def train(tokens: TokenEmbedding, optimizer: torch.optim.Optimizer, ids: Tensor) -> None:
    for _ in range(5):
        optimizer.zero_grad()
        (tokens(ids) - 1).square().sum().backward()
        optimizer.step()


def test_special_tokens_are_ordinary_rows_by_default() -> None:
    tokens = TokenEmbedding(256, 64)
    before = tokens.embedding.weight.detach().clone()
    assert before[:3].any(dim=1).all()  # PAD, BOS and EOS have vectors of their own ...
    assert len(before[:3].unique(dim=0)) == 3
    train(tokens, torch.optim.SGD(tokens.parameters(), lr=0.01), torch.tensor([[0, 1, 2]]))
    assert (tokens.embedding.weight[:3] != before[:3]).any(dim=1).all()  # ... and learn
    assert torch.equal(tokens.embedding.weight[3:], before[3:])


@pytest.mark.parametrize("padding_idx", [0, 3, 9])
def test_padding_idx_gives_a_row_of_zeros_at_initialisation_and_after_reset(
    padding_idx: int,
) -> None:
    tokens = TokenEmbedding(10, 4, padding_idx=padding_idx)
    tokens.embedding.weight.data.fill_(5.0)
    tokens.reset_parameters()
    for table in (TokenEmbedding(10, 4, padding_idx=padding_idx), tokens):
        zero_rows = (table.embedding.weight == 0).all(dim=1).nonzero().flatten()
        assert zero_rows.tolist() == [padding_idx]
    assert tokens.embedding.weight.requires_grad


def test_the_padding_row_is_zero_again_after_the_meta_device() -> None:
    tokens = TokenEmbedding(10, 4, padding_idx=3, device="meta").to_empty(device="cpu")
    tokens.embedding.weight.data.fill_(5.0)
    tokens.reset_parameters()
    assert not tokens.embedding.weight[3].any()
    assert tokens.embedding.weight[2].all()


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
        (torch.optim.Adam, {"weight_decay": 0.1}),
        (torch.optim.AdamW, {"weight_decay": 0.1}),
    ],
)
def test_the_padding_row_stays_zero_through_training(
    optimizer: type[torch.optim.Optimizer], options: dict[str, float]
) -> None:
    tokens = TokenEmbedding(10, 4, padding_idx=3)
    before = tokens.embedding.weight.detach().clone()
    trained = optimizer(tokens.parameters(), lr=0.1, **options)
    train(tokens, trained, torch.tensor([[3, 1, 3, 2]]))
    assert not tokens.embedding.weight[3].any()
    assert not tokens(torch.tensor([[3]])).any()
    assert (tokens.embedding.weight[1:3] != before[1:3]).all()


# -- 8. dtype and device --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_output_has_the_tables_dtype(dtype: torch.dtype) -> None:
    assert TokenEmbedding(10, 4, dtype=dtype)(torch.tensor([[1]])).dtype == dtype
    assert TokenEmbedding(10, 4).to(dtype)(torch.tensor([[1]])).dtype == dtype


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


def test_transforms_of_torch_func_work() -> None:
    tokens = TokenEmbedding(10, 4)
    params = dict(tokens.named_parameters())

    def total(params: dict[str, Tensor], ids: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(tokens, params, (ids,))
        return out.sum()

    ids = torch.tensor([[[1, 2]], [[3, 3]]])
    grads = torch.func.vmap(torch.func.grad(total), in_dims=(None, 0))(params, ids)
    per_row = grads["embedding.weight"].sum(-1) / (4 * 2.0)  # √4 = 2
    assert per_row[0].tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert per_row[1].tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 0]


# -- 9. bad input ---------------------------------------------------------------------------------
# Every single call that is refused stands in _ext/contracts, for the contract page as well,
# and is held in test_contracts.py.


@quick
@given(
    bad=st.sampled_from([-(2**40), -7, -1, 10, 11, 255, 2**40]),
    row=st.integers(0, 2),
    column=st.integers(0, 4),
)
def test_an_id_out_of_range_is_named_with_the_place_where_it_stands(
    bad: int, row: int, column: int
) -> None:
    ids = torch.arange(15).reshape(3, 5) % 10
    ids[row, column] = bad
    with pytest.raises(IndexError) as caught:
        TokenEmbedding(10, 4)(ids)
    message = str(caught.value)
    assert f"got {bad} " in message
    assert message.endswith(
        f" at ids[{row}, {column}]. Was the text encoded with another vocabulary?"
    )
    assert "vocab_size = 10" in message


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_an_id_out_of_range_is_named_in_any_integer_dtype(dtype: torch.dtype) -> None:
    ids = torch.tensor([[1, 2], [3, 100]]).to(dtype)
    with pytest.raises(IndexError, match=r"got 100 at ids\[1, 1\]"):
        TokenEmbedding(100, 4)(ids)


def test_the_first_and_the_last_id_are_fine() -> None:
    assert TokenEmbedding(10, 4)(torch.tensor([[0, 9]])).shape == (1, 2, 4)


def test_another_index_error_is_passed_on_as_it_is() -> None:
    class Broken(nn.Embedding):
        def forward(self, input: Tensor) -> Tensor:
            raise IndexError("something else")

    tokens = TokenEmbedding(10, 4)
    tokens.embedding = Broken(10, 4)
    with pytest.raises(IndexError, match="something else"):
        tokens(torch.tensor([[1]]))


def test_the_limit_follows_a_table_that_has_been_resized() -> None:
    tokens = TokenEmbedding(10, 4)
    tokens.embedding = nn.Embedding(12, 4)
    assert tokens(torch.tensor([[11]])).shape == (1, 1, 4)
    with pytest.raises(IndexError, match="vocab_size = 12"):
        tokens(torch.tensor([[12]]))


# -- 10. no shared state --------------------------------------------------------------------------


@pytest.mark.parametrize("everywhere", [False, True], ids=["module hook", "global hook"])
def test_a_hook_that_keeps_the_rows_keeps_them_unscaled(everywhere: bool) -> None:
    tokens = TokenEmbedding(256, 64)
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: object, output: Tensor) -> None:
        if isinstance(module, nn.Embedding):
            kept.append(output)

    handle = (
        register_module_forward_hook(keep)
        if everywhere
        else tokens.embedding.register_forward_hook(keep)
    )
    try:
        out = tokens(IDS)
    finally:
        handle.remove()
    assert torch.equal(kept[0], tokens.embedding.weight[IDS])
    assert torch.equal(out, kept[0] * 8.0)


@pytest.mark.parametrize(
    "kind", ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"]
)
def test_a_hook_of_any_kind_alone_is_seen(kind: str) -> None:
    table = nn.Embedding(5, 4)
    assert not is_observed(table)
    getattr(table, f"register_{kind}")(lambda *args: None)
    assert is_observed(table)


# Torch remarks that integer inputs have no gradient, which is so for every embedding.
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_backward_hooks_on_the_table_work() -> None:
    tokens = TokenEmbedding(256, 64)
    seen: list[Tensor] = []
    tokens.embedding.register_full_backward_hook(lambda module, gin, gout: seen.append(gout[0]))
    tokens.embedding.register_full_backward_pre_hook(lambda module, gout: seen.append(gout[0]))
    tokens(IDS).sum().backward()
    assert len(seen) == 2
    assert all((grad == 8.0).all() for grad in seen)  # √64


def test_a_table_that_hands_out_tensors_it_keeps_is_not_scaled_under_its_hands() -> None:
    class Remembers(nn.Embedding):
        def forward(self, input: Tensor) -> Tensor:
            if not hasattr(self, "rows"):
                self.rows = super().forward(input)
            return self.rows

    tokens = TokenEmbedding(256, 64)
    tokens.embedding = Remembers(256, 64)
    with torch.no_grad():
        first = tokens(IDS).clone()
        assert torch.equal(tokens(IDS), first)


# ---- state that was changed from outside


def test_a_grown_or_shrunk_table_tells_its_own_size() -> None:
    tokens = TokenEmbedding(50, 16)
    for size in (60, 40):
        tokens.embedding.weight = torch.nn.Parameter(torch.ones(size, 16))
        assert tokens.vocab_size == size and f"vocab_size={size}" in repr(tokens)
        assert tokens(torch.tensor([[size - 1]])).shape == (1, 1, 16)
        with pytest.raises(IndexError, match=rf"vocab_size = {size}, got 70 at ids\[0, 1\]"):
            tokens(torch.tensor([[size - 1, 70]]))


def test_a_repr_names_a_size_only_where_the_table_names_another() -> None:
    assert repr(TokenEmbedding(50, 16)).startswith("TokenEmbedding(\n  scale=True, init_std=0.02\n")
    learned = repr(LearnedPositionalEmbedding(8, 4, init_std=0.5))
    assert learned.startswith("LearnedPositionalEmbedding(\n  init_std=0.5\n")


def test_a_checkpoint_loads_where_the_table_has_lost_its_padding_row() -> None:
    tokens = TokenEmbedding(5, 4, padding_idx=2)
    tokens.embedding.weight = nn.Parameter(torch.ones(2, 4))
    tokens.load_state_dict(tokens.state_dict())
    assert tokens.embedding.weight.all()


def test_a_checkpoint_loads_where_the_table_was_replaced_by_something_without_rows() -> None:
    tokens = TokenEmbedding(5, 4, padding_idx=2)
    tokens.embedding = nn.Identity()
    assert tokens.load_state_dict({}).missing_keys == []


def test_a_table_of_another_width_is_refused_with_both_widths() -> None:
    tokens = TokenEmbedding(50, 16)
    tokens.embedding = torch.nn.Embedding(50, 8)
    with pytest.raises(ValueError, match="8 wide, but d_model = 16"):
        tokens(torch.tensor([[1]]))


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_the_padding_row_stays_zero_through_loading(assign: bool, nested: bool) -> None:
    tokens = TokenEmbedding(5, 4, padding_idx=2)
    other = TokenEmbedding(5, 4, init_std=1.0)
    wanted = other.embedding.weight.detach().clone()
    wanted[2] = 0
    module, source = (
        (torch.nn.Sequential(tokens), torch.nn.Sequential(other)) if nested else (tokens, other)
    )
    way_out = r"row 2 is not zero; .*\. To keep the row, build the module without padding_idx\.$"
    with pytest.warns(UserWarning, match=way_out):
        module.load_state_dict(source.state_dict(), strict=False, assign=assign)
    assert torch.equal(tokens.embedding.weight, wanted)


@pytest.mark.parametrize(
    "ids", [[1, 2], [[1, 2], [3, 4]], np.array([1, 2]), np.array([[1, 2], [3, 4]]), [], 3,
            [[1], [2, 3]], [torch.tensor([1]), torch.tensor([2, 3])]], ids=str
)  # fmt: skip
def test_the_way_out_for_ids_that_are_no_tensor_works(ids: Any) -> None:
    tokens = TokenEmbedding(5, 4)
    with pytest.raises(TypeError, match="ids must be a tensor") as error:
        tokens(ids)
    way_out = re.search(r"torch\..*(?=\.$)", str(error.value))
    assert way_out is not None
    assert tokens(eval(way_out[0])).dim() == 3


@pytest.mark.parametrize("kind", [np.float32, Fraction, Decimal, torch.tensor, np.array])
def test_a_number_of_any_type_is_a_number(kind: Any) -> None:
    tokens = TokenEmbedding(
        np.int64(5), torch.tensor(4), init_std=kind(0.5), padding_idx=np.uint8(1)
    )
    assert type(tokens.init_std) is float and tokens.init_std == 0.5
    assert type(tokens.d_model) is int and tokens.d_model == 4


@pytest.mark.parametrize("value", ["0.5", True, np.True_, 1j, torch.tensor(True)], ids=repr)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="init_std must be a number"):
        TokenEmbedding(5, 4, init_std=value)
    with pytest.raises(TypeError, match="vocab_size must be an int"):
        TokenEmbedding(value, 4)


def test_the_package_does_without_torchs_private_names() -> None:
    # All that is read of modules by a private name; without them, nothing but the speed changes.
    code = """
import torch, torch.nn.modules.module as private
del private._has_any_global_hook
import simplellm

class Without(torch.nn.Embedding):
    def __getattribute__(self, name):
        if "_hooks" in name and name.startswith(("_forward", "_backward")) and hidden:
            raise AttributeError(name)
        return super().__getattribute__(name)

hidden = False
tokens, positions = simplellm.TokenEmbedding(5, 4), simplellm.LearnedPositionalEmbedding(8, 4)
ids = torch.tensor([[1, 2]])
assert torch.equal(tokens(ids), tokens.embedding.weight[ids] * 2)
assert torch.equal(positions(torch.zeros(1, 2, 4))[0], positions.embedding.weight[:2])
from simplellm import row_lookup
row_lookup.nn.Embedding = Without  # so that its type gives no answer before the names are asked for
hidden = True
assert row_lookup.is_observed(Without(5, 4))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def model_with_pad(tie_weights: bool = True) -> SimpleLLM:
    config = SimpleLLMConfig(
        *(9, 8), n_layers=1, n_heads=2, max_seq_len=8, padding_idx=2, tie_weights=tie_weights
    )
    return SimpleLLM(config)


@pytest.mark.parametrize("tie_weights", [True, False])
def test_a_models_own_checkpoint_loads_without_a_word(tie_weights: bool, tmp_path: Path) -> None:
    saved, other = model_with_pad(tie_weights), model_with_pad(tie_weights)
    saved.save(tmp_path / "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_state_dict(saved.state_dict())
        loaded = SimpleLLM.load(tmp_path / "model.pt")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(other.eval()(ids), saved.eval()(ids))
    assert torch.equal(loaded.eval()(ids), saved(ids))


@pytest.mark.parametrize("assign", [False, True])
def test_a_tied_heads_padding_row_is_zero_after_loading(assign: bool) -> None:
    model = model_with_pad()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    key = "input_embedding.token_embedding.embedding.weight"
    state[key][2] = 1.0
    with pytest.warns(UserWarning, match="row 2 is not zero") as said:
        model.load_state_dict(state, assign=assign)
    assert len(said) == 1
    assert not model.output_weight[2].any()
    assert torch.equal(model.output_weight[3:], state[key][3:])


@pytest.mark.filterwarnings("ignore")  # torch.compile's own
@pytest.mark.parametrize(
    ("layer", "x", "kwargs"),
    [
        (lambda: TokenEmbedding(5, 4), torch.tensor([[1.7, 2.2]]), {}),
        (lambda: InputEmbedding(5, 4, 8, 0.0), torch.tensor([[1.7, 2.2]]), {}),
        (lambda: InputEmbedding(5, 4, 8, 0.0), torch.tensor([[1, 2]]), {"start": -5}),
        *(
            (kind, x, kwargs)
            for kind in (lambda: PositionalEncoding(4, 8), lambda: LearnedPositionalEmbedding(8, 4))
            for x, kwargs in [
                (torch.zeros(1, 2, 4), {"start": -5}),
                (torch.zeros(1, 2, 4).long(), {}),
                (torch.zeros(1, 2, 1), {}),
            ]
        ),
    ],
)
def test_checks_hold_under_compile_export_and_func(layer: Any, x: Any, kwargs: Any) -> None:
    module = layer()
    with pytest.raises((TypeError, ValueError)) as eager:
        module(x, **kwargs)
    ways = [
        lambda: torch.compile(module, backend="eager")(x, **kwargs),
        lambda: torch.export.export(module, (x,), kwargs),
        lambda: torch.func.functional_call(module, dict(module.state_dict()), (x,), kwargs),
        lambda: torch.func.vmap(lambda one: module(one, **kwargs))(x[None]),
    ]
    for way in ways:
        torch.compiler.reset()
        with pytest.raises(Exception) as error:
            way()
        assert type(error.value) is type(eager.value) or str(eager.value) in str(error.value)


@pytest.mark.filterwarnings("ignore")  # torch.compile's own
@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize(
    ("layer", "x", "kwargs"),
    [
        (lambda: TokenEmbedding(5, 4), torch.tensor([1, 2]), {}),
        (lambda: TokenEmbedding(5, 4), 3, {}),
        (lambda: InputEmbedding(5, 4, 8, 0.0), torch.tensor([[1, 2]]), {"start": 1.5}),
        (lambda: LearnedPositionalEmbedding(8, 4), torch.zeros(1, 9, 4), {}),
        (lambda: LearnedPositionalEmbedding(8, 4), torch.zeros(1, 3, 4), {"start": 6}),
        *(
            (kind, x, kwargs)
            for kind in (lambda: PositionalEncoding(4, 8), lambda: LearnedPositionalEmbedding(8, 4))
            for x, kwargs in [
                (torch.zeros(1, 2, 4), {"start": -5}),
                (torch.zeros(1, 2, 4), {"start": 1.5}),
                (torch.zeros(1, 2, 4), {"start": torch.tensor([1, 2])}),
                (torch.zeros(2, 4), {}),
                (torch.zeros(1, 2, 6), {}),
                (torch.zeros(1, 2, 4), {"positions": torch.tensor([1, 2, 3])}),
            ]
        ),
    ],
)
def test_one_graph_fails_with_the_words_of_the_plain_call(
    layer: Any, x: Any, kwargs: Any, dynamic: bool | None
) -> None:
    # Its error is torch's own, which quotes ours, and with symbols for sizes it would quote none.
    module = layer()
    with pytest.raises((TypeError, ValueError)) as eager:
        module(x, **kwargs)
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, dynamic=dynamic, backend="eager")
    with pytest.raises(Exception) as error:
        compiled(x, **kwargs)
    assert str(eager.value) in str(error.value)


@pytest.mark.filterwarnings("ignore")  # torch.compile's own
@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (lambda: TokenEmbedding(5, 4), lambda n: torch.ones(1, n).long()),
        (lambda: InputEmbedding(5, 4, 64, 0.0), lambda n: torch.ones(1, n).long()),
        (lambda: InputEmbedding(5, 4, 64, 0.0, True), lambda n: torch.ones(1, n).long()),
        (lambda: PositionalEncoding(4, 64), lambda n: torch.zeros(1, n, 4)),
        (lambda: LearnedPositionalEmbedding(64, 4), lambda n: torch.zeros(1, n, 4)),
    ],
)
def test_the_checks_cost_no_recompilation_and_no_graph_break(layer: Any, x: Any) -> None:
    torch.compiler.reset()
    graphs: list[Any] = []

    def counted(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    module = layer()
    compiled = torch.compile(module, fullgraph=True, backend=counted)
    takes_start = not isinstance(module, TokenEmbedding)
    for step in range(2, 12):  # every call another length and another start
        kwargs = {"start": 2 * step} if takes_start else {}
        assert torch.equal(compiled(x(step), **kwargs), module(x(step), **kwargs))
    assert len(graphs) == 2  # fixed sizes once, then symbols for what has changed


@pytest.mark.filterwarnings("ignore")  # torch.func.jvp's own
@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (lambda: PositionalEncoding(4, 8), torch.randn(3, 2, 5, 4)),
        (lambda: LearnedPositionalEmbedding(8, 4), torch.randn(3, 2, 5, 4)),
        (lambda: TokenEmbedding(6, 4), torch.randint(6, (3, 2, 5))),
        (lambda: InputEmbedding(6, 4, 8, 0.0), torch.randint(6, (3, 2, 5))),
    ],
)
def test_each_layer_works_under_vmap_and_jvp(layer: Any, x: torch.Tensor) -> None:
    module = layer()
    wanted = torch.stack([module(one) for one in x])
    assert torch.equal(torch.func.vmap(module)(x), wanted)
    # Layers are sums, and linear in their tables: the derivative along v is the change by v.
    table = dict(module.named_parameters())
    tangent = {name: torch.ones_like(value) for name, value in table.items()}

    def run(state: Any, x: torch.Tensor) -> Any:
        return torch.func.functional_call(module, state, (x,))

    if x.is_floating_point():
        out, change = torch.func.jvp(lambda x: run(table, x), (x[0],), (torch.ones_like(x[0]),))
        assert torch.equal(out, wanted[0]) and (change == 1).all()
    if table:
        out, change = torch.func.jvp(lambda state: run(state, x[0]), (table,), (tangent,))
        scale = 1.0 if isinstance(module, LearnedPositionalEmbedding) else 2.0  # √4
        assert torch.equal(out, wanted[0]) and (change == scale).all()


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([[1], [2, 3]], "pads the short ones with id 0"),
        ([torch.tensor([1]), torch.tensor([2, 3])], "pads the short ones with id 0"),
        ([[[1, 2]]], "nested 3 deep"),
        ([[[1], [2, 3]]], "nested 3 deep"),
        ([[1, 2], [3, None]], r"got list\.$"),
        (None, r"got NoneType\.$"),
    ],
)
def test_what_is_said_of_ids_in_other_containers(ids: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        TokenEmbedding(5, 4)(ids)
