"""What every layer promises alike: no shared state, nothing changed, nothing read from a device.

What a single call does or refuses is in the contracts (test_contracts.py), and what only one class
does in the file of that class.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simplellm import (
    InputEmbedding,
    LearnedPositionalEmbedding,
    PositionalEncoding,
    TokenEmbedding,
)

IDS = torch.tensor([[1, 15, 234, 89, 3]])
VECTORS = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
PLACED: list[dict[str, Any]] = [{}, {"start": 4}, {"positions": torch.tensor([3, 0, 4, 4, 9])}]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with settings of its own, an input, and the ways to call it."""

    make: Callable[..., nn.Module]
    given: Tensor
    calls: list[dict[str, Any]] = field(default_factory=lambda: PLACED)

    def outputs(self, module: nn.Module, given: Tensor | None = None) -> list[Tensor]:
        return [module(self.given if given is None else given, **call) for call in self.calls]


def tokens(**more: Any) -> nn.Module:
    return TokenEmbedding(256, 8, init_std=0.5, padding_idx=3, **more)


def both(learned: bool) -> Callable[..., nn.Module]:
    def make(**more: Any) -> nn.Module:
        return InputEmbedding(256, 8, 10, 0.0, learned, scale=False, padding_idx=3, **more)

    return make


LAYERS = {
    "tokens": Layer(tokens, IDS, [{}]),
    "unscaled tokens": Layer(lambda **more: tokens(scale=False, **more), IDS, [{}]),
    "sinusoids": Layer(
        lambda **more: PositionalEncoding(8, 10, base=500.0, **more),
        VECTORS,
        [*PLACED, {"start": 20}, {"positions": torch.tensor([3, -1, 4, 99, 0])}],
    ),
    "learned": Layer(
        lambda **more: LearnedPositionalEmbedding(10, 8, init_std=0.5, **more), VECTORS
    ),
    "input": Layer(both(learned=False), IDS),
    "input, learned": Layer(both(learned=True), IDS),
}
every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


def same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def wipe(module: nn.Module) -> None:
    """Overwrite everything a module holds."""
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.fill_(7.0)


@every_layer
def test_two_instances_share_nothing(layer: Layer) -> None:
    one, other = layer.make(), layer.make()
    before = layer.outputs(other)
    wipe(one)
    one.eval()
    assert same(layer.outputs(other), before) and other.training
    torch.manual_seed(0)
    third = layer.make()
    torch.manual_seed(0)
    assert same(layer.outputs(layer.make()), layer.outputs(third))


def by_torch_save(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


@every_layer
@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), by_torch_save],
    ids=["deepcopy", "pickle", "torch.save"],
)
def test_a_copy_computes_the_same_and_shares_no_memory(layer: Layer, copied: Any) -> None:
    module = layer.make()
    before, twin = layer.outputs(module), copied(module)
    assert same(layer.outputs(twin), before) and repr(twin) == repr(module)
    for made in (twin, module):  # of its settings too: what a reset draws is drawn alike
        torch.manual_seed(0)
        made.reset_parameters()
    before = layer.outputs(module)
    assert same(layer.outputs(twin), before)
    wipe(twin)
    assert same(layer.outputs(module), before)


@every_layer
@pytest.mark.parametrize("grad", [True, False])
def test_the_forward_pass_changes_neither_its_input_nor_the_table(layer: Layer, grad: bool) -> None:
    module, given = layer.make(), layer.given.clone()
    held = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with torch.set_grad_enabled(grad):
        outputs, again = layer.outputs(module, given), layer.outputs(module, given)
    assert same(outputs, again)
    for out in (*outputs, *again):
        out.detach().zero_()
    assert torch.equal(given, layer.given)
    assert all(torch.equal(tensor, held[name]) for name, tensor in module.state_dict().items())


@every_layer
@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (0, 0)], ids=str)
def test_an_empty_batch_or_sequence_gives_an_empty_output(
    layer: Layer, shape: tuple[int, int]
) -> None:
    module = layer.make()
    given = layer.given.new_zeros((*shape, *layer.given.shape[2:]))
    for call in layer.calls:
        if "positions" in call:
            call = {"positions": call["positions"][: shape[1]]}
        out = module(given, **call)
        assert out.shape == (*shape, 8)
        if out.requires_grad:
            out.sum().backward()
    gradients = [table.grad for table in module.parameters() if table.grad is not None]
    assert not any(gradient.any() for gradient in gradients)


@every_layer
def test_the_forward_pass_reads_no_values(layer: Layer) -> None:
    # A tensor on the meta device has none: anything that would wait for a GPU's answer raises.
    module = layer.make(device="meta")
    for call in layer.calls:
        on_meta = {k: v.to("meta") if isinstance(v, Tensor) else v for k, v in call.items()}
        out = module(layer.given.to("meta"), **on_meta)
        assert out.is_meta and out.shape == (1, 5, 8)


@every_layer
def test_memory_that_was_never_filled_is_filled_by_reset_parameters(layer: Layer) -> None:
    module = layer.make(device="meta")
    assert all(tensor.is_meta for tensor in module.state_dict().values())
    module.to_empty(device="cpu")
    wipe(module)
    torch.manual_seed(0)
    module.reset_parameters()
    fresh = layer.make()
    torch.manual_seed(0)
    fresh.reset_parameters()
    assert same(layer.outputs(module), layer.outputs(fresh))
    assert all(parameter.requires_grad for parameter in module.parameters())


@every_layer
def test_what_comes_after_the_input_is_keyword_only(layer: Layer) -> None:
    with pytest.raises(TypeError):
        layer.make()(layer.given, 2)
