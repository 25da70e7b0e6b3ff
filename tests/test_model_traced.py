"""The model says and computes the same where its calls are traced: compile, export, vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simplellm.cache import KeyValueCache
from tests.small_models import every_scheme, model, prompt, same

MASK = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
TEXTS = torch.tensor([[3, 3, 3, 4, 4], [3, 4, 4, 4, 4]])


class Masked(nn.Module):
    """A model as it is called with padding, and with packed texts and padding."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids: Tensor, mask: Tensor, texts: Tensor) -> Tensor:
        padded = self.module(ids, attention_mask=mask)
        return torch.cat((padded, self.module(ids, attention_mask=mask, segment_ids=texts)), -1)


def compiled(module: nn.Module, *_: Tensor) -> Callable[..., Any]:
    torch.compiler.reset()
    return torch.compile(module, fullgraph=True, backend="eager")  # type: ignore[no-any-return]


def exported(module: nn.Module, *inputs: Tensor) -> Callable[..., Any]:
    return torch.export.export(module, inputs).module()


def mapped(module: nn.Module, *_: Tensor) -> Callable[..., Any]:
    def call(*inputs: Tensor) -> Any:
        rows = [value.unsqueeze(1) for value in inputs]  # each row as a batch of one
        return torch.func.vmap(module)(*rows).squeeze(1)

    return call


@every_scheme
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap calls attention row by row
@pytest.mark.parametrize("way", [compiled, exported, mapped])
@torch.no_grad()
def test_masks_and_packed_texts_are_traced(position: str, way: Callable[..., Any]) -> None:
    module, inputs = Masked(model(position)), (prompt(2, 5), MASK, TEXTS)
    assert same(way(module, *inputs)(*inputs), module(*inputs))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ids": torch.zeros(2, 5)}, "TypeError", "ids must be integers, got dtype torch.float32"),
        ({"ids": torch.zeros(5).long()}, "ValueError", r"ids must have shape \(batch, seq_len\)"),
        ({"mask": torch.ones(2, 4).int()}, "ValueError", "attention_mask must have shape"),
        ({"mask": torch.ones(2, 5)}, "TypeError", "attention_mask must be bool or integer"),
        ({"texts": torch.ones(2, 4).int()}, "ValueError", "segment_ids must have the shape of ids"),
        ({"texts": torch.ones(2, 5)}, "TypeError", "segment_ids must be integers"),
    ],
)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("way", [compiled, exported, mapped])
def test_shapes_and_dtypes_are_checked_while_tracing(
    change: dict[str, Tensor], error: str, message: str, way: Callable[..., Any]
) -> None:
    if way is mapped and next(iter(change.values())).dim() != 2:
        pytest.skip("the mapped axis is the one that is missing")
    given = {"ids": prompt(2, 5), "mask": MASK, "texts": TEXTS, **change}
    module = Masked(model())
    # torch wraps what is raised while it traces, and keeps its words.
    with pytest.raises(Exception, match=message) as raised:
        way(module, *given.values())(*given.values())
    assert error in repr(raised.getrepr()) or raised.type.__name__ == error


@torch.no_grad()
def test_pieces_that_share_a_cache_are_compiled() -> None:
    module, ids, cache = model("rope"), prompt(2, 6), KeyValueCache(2)
    run = compiled(module)
    parts = [run(piece, cache=cache) for piece in ids.split([4, 1, 1], dim=1)]
    assert same(torch.cat(parts, dim=1), module(ids)) and len(cache) == 6
