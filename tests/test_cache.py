"""The cache: what it holds is what would be computed again, whatever happens to its rows."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from simplellm.attention import AttentionContext, CausalSelfAttention, KeyValueCache
from simplellm.vocabulary import PAD
from tests.small_models import every_scheme, filled, model, prompt, same

# -- rows ------------------------------------------------------------------------------------------


@every_scheme
@pytest.mark.parametrize("rows", [[2, 0, 1], [1, 1, 0, 2, 1], [2], [0, 0, 0]])
@pytest.mark.parametrize("padded", [False, True])
def test_selected_rows_go_on_as_if_they_had_been_read(
    position: str, rows: list[int], padded: bool
) -> None:
    module, ids, new = model(position), prompt(3, 6), prompt(len(rows), 3)
    mask = torch.arange(6) >= torch.tensor([[0], [2], [5]]) if padded else None
    cache = filled(module, ids, attention_mask=mask)
    assert cache.select(rows) is cache
    whole = torch.cat((ids[rows], new), dim=1)
    mask = None if mask is None else torch.cat((mask[rows], torch.ones_like(new).bool()), dim=1)
    want = module(whole, attention_mask=mask)[:, 6:]
    assert same(module(new, cache=cache), want)


def test_rows_may_come_as_a_tensor_an_array_or_none_at_all() -> None:
    module, ids = model(), prompt(3, 4)
    for rows in (torch.tensor([2, 0], dtype=torch.uint8), np.array([2, 0]), (2, 0)):
        assert same(filled(module, ids).select(rows).keys[1], filled(module, ids[[2, 0]]).keys[1])
    assert filled(module, ids).select([]).keys[0].shape == (0, 4, 4, 8)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0, 2], IndexError, r"rows must be .* below the cache's batch = 2, got 2 at rows\[1\]"),
        (torch.tensor([-1]), IndexError, r"rows must be at least 0 .* got -1 at rows\[0\]"),
        ([0.0, 1.0], TypeError, r"^rows must be integers, got dtype torch\.float32\.$"),
        (
            torch.tensor([True, False]),
            TypeError,
            r"^rows must be integers, .*bool\. Number them: rows\.nonzero\(\)\.flatten\(\)\.$",
        ),
        ([[0], [1]], ValueError, r"rows must have shape \(new_batch,\), got \(2, 1\)"),
        (1, ValueError, r"rows must have shape \(new_batch,\), got \(\)"),
        ("01", TypeError, "rows must be a list or tensor of integers, got '01' of type str"),
        (None, TypeError, "rows must be a list or tensor of integers, got None"),
    ],
)
def test_rows_that_are_none_are_refused_and_leave_the_cache(
    rows: Any, error: type[Exception], message: str
) -> None:
    module, ids = model(), prompt(2, 6)
    cache = filled(module, ids[:, :3])
    with pytest.raises(error, match=message):
        cache.select(rows)
    assert same(module(ids[:, 3:], cache=cache), module(ids)[:, 3:])


def test_an_empty_cache_has_no_rows_to_select() -> None:
    with pytest.raises(ValueError, match=r"^cache must hold tokens before .* got an empty one\.$"):
        KeyValueCache(2).select([0])


def test_a_block_that_has_read_nothing_has_no_rows_to_lose() -> None:
    cache = KeyValueCache(2)
    cache.store(1, torch.arange(2.0).view(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
    keys = cache.select([1, 0]).keys
    assert keys[0] is None and keys[1] is not None and keys[1].flatten().tolist() == [1.0, 0.0]


# -- padding and positions -------------------------------------------------------------------------


@every_scheme
@pytest.mark.parametrize("sizes", [[5, 1, 1, 1], [5, 3], [2, 3, 3]])
def test_left_padding_is_said_once_and_each_row_goes_on_as_if_alone(
    position: str, sizes: list[int]
) -> None:
    module, ids, lengths = model(position), prompt(3, 8), [5, 3, 1]
    mask = torch.arange(5) >= 5 - torch.tensor(lengths).unsqueeze(1)
    ids[:, :5] = ids[:, :5].masked_fill(~mask, PAD)
    cache, parts, read = KeyValueCache(module.config.n_layers), [], 0
    for piece in ids.split(sizes, dim=1):
        read += piece.shape[1]
        told = mask[:, :read] if read <= 5 else None
        parts.append(module(piece, cache=cache, attention_mask=told))
    together = torch.cat(parts, dim=1)
    for row, length in enumerate(lengths):
        alone = module(ids[row : row + 1, 5 - length :])
        assert same(together[row : row + 1, 5 - length :], alone)


@every_scheme
def test_padding_between_texts_that_grow_unevenly_is_passed_over(position: str) -> None:
    module, ids = model(position), prompt(1, 7)
    # The second call pads this row on the right, as a batch of other lengths would.
    cache = filled(module, ids[:, :3])
    padded = torch.cat((ids[:, 3:5], torch.tensor([[PAD]])), dim=1)
    module(padded, cache=cache, attention_mask=torch.tensor([[1, 1, 1, 1, 1, 0]]))
    assert same(module(ids[:, 5:], cache=cache), module(ids)[:, 5:])


def test_a_full_learned_table_can_wait_behind_padding() -> None:
    module, ids = model("learned"), prompt(1, 16)
    cache = filled(module, ids)
    mask = torch.tensor([[1] * 16 + [0]])
    assert module(torch.tensor([[PAD]]), cache=cache, attention_mask=mask).isfinite().all()


@every_scheme
def test_positions_that_were_given_are_counted_on_from(position: str) -> None:
    module, ids, places = model(position), prompt(2, 6), torch.arange(4, 10)
    cache = filled(module, ids[:, :4], positions=places[:4])
    assert same(module(ids[:, 4:], cache=cache), module(ids, positions=places)[:, 4:])


def test_places_and_padding_are_kept_where_they_cannot_be_counted_only() -> None:
    module, ids = model(), prompt(2, 4)
    cache = filled(module, ids)
    assert cache.positions is None and cache.mask is None
    cache = filled(module, ids, positions=torch.arange(4) + 3)
    assert cache.positions is not None and cache.positions.tolist() == [[3, 4, 5, 6]]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_rows_that_part_late_or_join_late_go_on_as_if_alone(batch: int) -> None:
    module, ids = model(), prompt(batch, 4)
    cache = filled(module, ids[:, :2])
    mask = torch.ones(batch, 3).bool()
    mask[-1, 2] = False  # the last row pauses
    module(ids[:, 2:3], cache=cache, attention_mask=mask)
    ids[-1, 2:3] = ids[-1, 3:4]
    out = module(ids[:, 3:], cache=cache, positions=torch.tensor([9]))
    for row in range(batch):
        length = 4 - (row == batch - 1)
        places = torch.tensor([*range(length - 1), 9])
        alone = module(ids[row : row + 1, :length], positions=places)
        assert same(out[row : row + 1], alone[:, -1:])


@every_scheme
def test_a_piece_without_tokens_changes_nothing(position: str) -> None:
    module, ids = model(position), prompt(3, 3)
    cache = filled(module, ids[:, :0], positions=torch.arange(0))
    assert len(cache) == 0 and same(module(ids, cache=cache), module(ids))


# -- calls that cannot be --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache", "error", "message"),
    [
        (
            [],
            TypeError,
            r"cache must be a KeyValueCache, got list. Make one: KeyValueCache\(n_layers\)\.$",
        ),
        (True, TypeError, "cache must be a KeyValueCache, got bool"),
        (KeyValueCache(1), ValueError, r"n_layers = 2 .* got 1\. Begin .*KeyValueCache\(2\)"),
        (KeyValueCache(3), ValueError, "cache must have n_layers = 2 as the model does, got 3"),
    ],
)
def test_another_cache_is_refused_with_the_way_out(
    cache: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model()(prompt(1, 3), cache=cache)


@pytest.mark.parametrize(
    ("change", "batch", "message"),
    [
        ("rows", 3, r"read now, 3, got 2\. Repeat, reorder .*cache.select.* with a new cache\.$"),
        ("model", 2, r"filled by this model, got one that holds 3 tokens .*KeyValueCache\(2\)"),
        ("dtype", 2, "keys of dtype = torch.float32, as the new ones are, got torch.float64"),
        ("device", 2, "keys of device = meta, as the new ones are, got cpu"),
        ("heads", 2, r"keys of n_heads = 4, as the new ones are, got 2: .*KeyValueCache\(2\)"),
        ("head_dim", 2, "keys of head_dim = 8, as the new ones are, got 4"),
        ("alone", 2, r"many tokens in every block, got \[4, 3\]: .*KeyValueCache\(2\)"),
        ("first", 2, r"equally many tokens in every block, got \[1, 0\]"),
    ],
)
def test_tokens_that_cannot_be_followed_are_refused_and_kept(
    change: str, batch: int, message: str
) -> None:
    sizes = {"heads": {"n_heads": 2}, "head_dim": {"d_model": 16}}.get(change, {})
    module, ids = model(**sizes), prompt(batch, 2)
    cache = KeyValueCache(2) if change == "first" else filled(module, prompt(2, 3))
    if change == "model":
        module = copy.deepcopy(module)
    elif change == "dtype":
        module.float()
    elif change == "device":
        module, ids = module.to("meta"), ids.to("meta")
    elif sizes:  # a file does not say which model a cache was filled by
        module, cache = model(), pickle.loads(pickle.dumps(cache))
    elif change in ("alone", "first"):
        module.blocks[0].attention(torch.zeros(2, 1, 32).double(), cache=cache, layer=0)
    before = [cache.keys[0], cache.values[1], len(cache)]
    with pytest.raises(ValueError, match=message):
        module(ids, cache=cache)
    assert all(
        a is b for a, b in zip(before, [cache.keys[0], cache.values[1], len(cache)], strict=True)
    )


@pytest.mark.parametrize("how", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_copy_goes_on_where_the_cache_was(how: Any) -> None:
    module, ids = model("rope"), prompt(2, 6)
    with torch.no_grad():
        cache = filled(module, ids[:, :3])
        other = how(cache)
        module(ids[:, :1], cache=cache)
        assert len(other) == 3
        assert same(module(ids[:, 3:], cache=other), module(ids)[:, 3:])


def test_a_cache_does_not_keep_a_model_alive() -> None:
    module = model()
    there = weakref.ref(module)
    with torch.no_grad():  # the graph would keep the parameters
        cache = filled(module, prompt(1, 2))
    del module
    assert there() is None and len(cache) == 2


# -- attention alone -------------------------------------------------------------------------------


def attention() -> CausalSelfAttention:
    torch.manual_seed(0)
    return CausalSelfAttention(8, 2).double().eval()


@pytest.mark.parametrize("context", [None, AttentionContext()])
def test_attention_alone_reads_in_pieces_what_it_reads_whole(
    context: AttentionContext | None,
) -> None:
    # A piece as long as a head is wide, and as many tokens in all as the vectors are.
    module, x, cache = attention(), torch.randn(2, 8, 8).double(), KeyValueCache(1)
    parts = [module(piece, context, cache=cache) for piece in x.split([1, 4, 3], dim=1)]
    assert same(torch.cat(parts, dim=1), module(x)) and len(cache) == 8


def test_a_cache_has_at_least_one_block() -> None:
    with pytest.raises(ValueError, match=r"^n_layers must be at least 1, got 0"):
        KeyValueCache(0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("part", ["query", "key", "value", "output"])
def test_attention_that_ends_early_leaves_the_cache_as_it_was(
    part: str, error: type[BaseException]
) -> None:
    module, x, cache = attention(), torch.randn(2, 5, 8).double(), KeyValueCache(1)
    module(x[:, :2], cache=cache)

    def stop(*_: Any) -> None:
        raise error

    hook = module.get_submodule(part).register_forward_hook(stop)
    with pytest.raises(error):
        module(x[:, 2:], cache=cache)
    hook.remove()
    assert same(module(x[:, 2:], cache=cache), module(x)[:, 2:])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layer": 1}, IndexError, "layer must be at least 0 .* n_layers = 1, got 1"),
        ({"layer": -1}, IndexError, "layer must be at least 0 .* got -1"),
        ({"cache": {}}, TypeError, "cache must be a KeyValueCache, got dict"),
        ({"x": torch.zeros(3, 1, 8).double()}, ValueError, "rows as are read now, 3, got 2"),
        ({"x": torch.zeros(2, 1, 6).double()}, ValueError, "d_model = 8, got 6"),
        ({"x": torch.zeros(2, 8).double()}, ValueError, r"x must have shape .* got \(2, 8\)"),
    ],
)
def test_attention_alone_says_what_cannot_follow(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    module, cache = attention(), KeyValueCache(1)
    module(torch.zeros(2, 2, 8).double(), cache=cache)
    request = {"x": torch.zeros(2, 1, 8).double(), "cache": cache, **change}
    with pytest.raises(error, match=message):
        module(request.pop("x"), **request)
    assert len(cache) == 2
