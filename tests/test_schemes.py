"""Position schemes: what only some do, and what it takes to add one."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simplellm import SimpleLLM, SimpleLLMConfig
from simplellm.attention import AttentionContext
from simplellm.cache import KeyValueCache
from simplellm.relative_positions import rotate, rotations_at
from simplellm.schemes import POSITION_SCHEMES
from simplellm.schemes.alibi import Alibi
from tests.small_models import filled, model, prompt, same

# -- every fourth block without positions ----------------------------------------------------------


def by_hand(module: SimpleLLM, ids: Tensor, without: set[int], base: float | None = None) -> Tensor:
    """Logits of a rotary model whose blocks of some numbers have other rotations, or none."""
    x = module.input_embedding(ids)
    for layer, block in enumerate(module.blocks):
        rotations: Tensor | None = rotations_at(torch.arange(ids.shape[1]), 8)[None, None]
        if layer in without:
            rotations = None
            if base is not None:
                rotations = rotations_at(torch.arange(ids.shape[1]), 8, base)[None, None]
        x = block(x, AttentionContext(rotations=rotations))
    return torch.as_tensor(module.norm(x) @ module.output_weight.T)


@pytest.mark.parametrize(("n_layers", "without"), [(4, {3}), (7, {3}), (9, {3, 7})])
def test_blocks_3_and_7_compare_by_content_alone_and_the_others_are_rotary(
    n_layers: int, without: set[int]
) -> None:
    module, ids = model("nope_every_4", n_layers=n_layers), prompt(2, 9)
    assert same(module(ids), by_hand(module, ids, without))
    assert not same(module(ids), by_hand(module, ids, set()))


def test_a_block_without_positions_does_not_see_where_its_tokens_are() -> None:
    module, ids = model("nope_every_4"), prompt(1, 8)
    apart = torch.tensor([0, 3, 4, 9, 10, 20, 21, 40])
    with torch.no_grad():
        _, near = module._prepare(ids, None, None, None, None)
        x, far = module._prepare(ids, apart, None, None, None)
        answers = [
            [block.attention(x, contexts[i]) for i, block in enumerate(module.blocks)]
            for contexts in (near, far)
        ]
    alike = [same(a, b) for a, b in zip(*answers, strict=True)]
    assert alike == [False, False, False, True]


def test_fewer_than_four_blocks_have_no_fourth() -> None:
    message = (
        '^n_layers must be at least 4 with position = "nope_every_4", got 3: no block would be '
        'without positions. Take more blocks, or position = "rope".$'
    )
    with pytest.raises(ValueError, match=message):
        model("nope_every_4", n_layers=3)


# -- two bases -------------------------------------------------------------------------------------


def test_blocks_3_and_7_have_a_base_of_a_million() -> None:
    module, ids = model("two_bases", n_layers=9), prompt(2, 9)
    assert same(module(ids), by_hand(module, ids, {3, 7}, base=1e6))
    assert not same(module(ids), by_hand(module, ids, {3}, base=1e6))
    with pytest.raises(ValueError, match="got 3: no block would be of the larger base"):
        model("two_bases", n_layers=3)


# -- the buckets of T5 -----------------------------------------------------------------------------


def test_distances_from_the_largest_one_on_share_the_last_bucket() -> None:
    module = model("t5", max_distance=24)
    buckets = module.position_bias.buckets  # type: ignore[union-attr, operator]
    found = buckets(torch.arange(200))  # type: ignore[operator]
    assert (found[24:] == 31).all() and found[23] < 31
    assert model("t5").position_bias.max_distance == 128  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_distance": 0}, "^max_distance must be at least 1, got 0"),
        ({"max_distance": 16}, "^max_distance must be more than n_buckets / 2 = 16, got 16"),
        (
            {"max_distance": 24, "position": "rope"},
            "^max_distance must be left at 128 with position = 'rope', got 24: it has no buckets",
        ),
    ],
)
def test_a_largest_distance_that_cannot_be_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(**{"position": "t5", **changes})


# -- both sides ------------------------------------------------------------------------------------


def test_without_mask_and_positions_the_outputs_move_with_the_inputs() -> None:
    module, ids = model("none", causal=False), prompt(2, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    assert same(module(ids[:, order]), module(ids)[:, order])
    assert not same(model("none")(ids[:, order]), model("none")(ids)[:, order])


@pytest.mark.parametrize("position", ["sinusoidal", "learned", "rope", "alibi", "none"])
def test_a_model_of_both_sides_reads_padded_and_packed_texts_as_each_alone(position: str) -> None:
    module, ids = model(position, causal=False), prompt(1, 9)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1]])
    assert same(module(ids, attention_mask=mask)[:, 2:], module(ids[:, 2:]))
    texts = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 1]])
    packed = module(ids, segment_ids=texts)
    assert same(packed[:, :4], module(ids[:, :4])) and same(packed[:, 4:], module(ids[:, 4:]))
    assert torch.allclose(module.attention_weights(ids).sum(-1), torch.ones(1).double())


def test_a_model_of_both_sides_neither_generates_nor_remembers() -> None:
    module, ids = model("rope", causal=False), prompt(1, 4)
    with pytest.raises(ValueError, match=r"^causal must be True for a model to generate, got F"):
        module.generate(ids, 1)
    with pytest.raises(ValueError, match=r"^causal must be True .* be used with a cache, got F"):
        module(ids, cache=KeyValueCache(2))
    with pytest.raises(ValueError, match=r'^causal must be True with position = "t5", got False'):
        model("t5", causal=False)


# -- partial rotation ------------------------------------------------------------------------------


def test_columns_past_the_rotated_ones_stay_and_the_others_have_all_the_rates() -> None:
    x, places = torch.randn(5, 16).double(), torch.tensor([0, 1, 7, 100, 5000])
    rotated = rotate(x, rotations_at(places, 4, base=500.0))
    assert torch.equal(rotated[:, 4:], x[:, 4:])
    # GPT-NeoX: the rates of a head of 4 columns, from 1 down to 1 / sqrt(base).
    for pair, rate in enumerate((1.0, 1 / math.sqrt(500.0))):
        a, b = x[:, 2 * pair], x[:, 2 * pair + 1]
        cos, sin = (places.double() * rate).cos(), (places.double() * rate).sin()
        assert torch.allclose(rotated[:, 2 * pair], a * cos - b * sin, atol=1e-12)
        assert torch.allclose(rotated[:, 2 * pair + 1], a * sin + b * cos, atol=1e-12)


@pytest.mark.parametrize("position", ["rope", "nope_every_4"])
@pytest.mark.parametrize(("share", "columns"), [(0.25, 2), (0.5, 4), (0.75, 6), (1, 8)])
def test_a_share_of_the_columns_of_each_head_is_rotated(
    position: str, share: float, columns: int
) -> None:
    module = model(position, rotary_share=share)  # heads of 8 columns
    x, contexts = module._prepare(prompt(1, 6), None, None, None, None)
    attention = module.blocks[0].attention
    for before, after in zip(
        attention._queries_and_keys(x, AttentionContext()),
        attention._queries_and_keys(x, contexts[0]),
        strict=True,
    ):
        changed = (before != after)[:, :, 1:].any(0).any(0).any(0)
        assert changed.tolist() == [True] * columns + [False] * (8 - columns)


def test_a_partly_rotary_model_reads_in_pieces_what_it_reads_whole() -> None:
    module, ids = model("rope", rotary_share=0.25), prompt(2, 9)
    cache = filled(module, ids[:, :4])
    assert same(module(ids[:, 4:], cache=cache), module(ids)[:, 4:])
    moved = module(ids, positions=torch.arange(100, 109))
    assert same(moved, module(ids))  # scores hang on distances alone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rotary_share": 0},
            "^rotary_share must be above 0 and at most 1, got 0: it is the share",
        ),
        ({"rotary_share": 1.5}, "^rotary_share must be above 0 and at most 1, got 1.5"),
        ({"rotary_share": math.nan}, "^rotary_share must be above 0 and at most 1, got nan"),
        (
            {"rotary_share": 0.3},
            r"^rotary_share must make an even number of the 8 columns of each head, got 0.3 of "
            r"them = 2.4: .* pairs of columns. It may be 0.25, 0.5, 0.75, 1\.$",
        ),
        ({"rotary_share": 0.125}, r"got 0.125 of them = 1: "),
        (
            {"rotary_share": 0.5, "position": "t5"},
            "^rotary_share must be left at 1 with position = 't5', got 0.5: it rotates nothing.$",
        ),
        (
            {"rotary_share": 0.5, "d_model": 12},
            r"got 0.5 of them = 1.5: .* It may be 0.666667\.$",
        ),
        (
            {"rotary_share": 0.5, "d_model": 4},
            r"the 1 columns of each head.* Take heads of 2 columns",
        ),
    ],
)
def test_a_share_that_cannot_be_rotated_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**{"position": "rope", **changes})


def test_every_share_that_an_error_offers_is_taken() -> None:
    for columns in range(2, 49, 2):
        share = float(f"{columns / 48:g}")
        assert model("rope", d_model=192, rotary_share=share).scheme.rotated == columns


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "meant"),
    [("rotary_share", 1), ("max_distance", 128), ("causal", True), ("embedding_norm", False)],
)
def test_a_checkpoint_from_before_a_setting_loads_and_means_what_it_meant(
    setting: str, meant: object, tmp_path: Path
) -> None:
    module, ids, path = model("rope"), prompt(1, 5), tmp_path / "model.pt"
    module.save(path)
    content = torch.load(path, weights_only=True)
    assert content["config"].pop(setting) == meant
    torch.save(content, path)
    assert getattr(SimpleLLM.load(path).config, setting) == meant
    assert same(SimpleLLM.load(path)(ids), module(ids))


@pytest.mark.parametrize(
    ("position", "share"), [("rope", 0.25), ("nope_every_4", 0.5), ("nope_every_4", 1.0)]
)
def test_a_saved_model_comes_back_with_its_scheme(
    position: str, share: float, tmp_path: Path
) -> None:
    module, ids = model(position, rotary_share=share), prompt(1, 5)
    module.save(tmp_path / "model.pt")
    assert same(SimpleLLM.load(tmp_path / "model.pt")(ids), module(ids))


# -- one more --------------------------------------------------------------------------------------


class AlibiEvery2(Alibi):
    """ALiBi in every second block, and nothing in the others."""

    def in_block(self, layer: int, context: AttentionContext, _: Tensor) -> AttentionContext:
        return context if layer % 2 else dataclasses.replace(context, bias=None)


def test_a_new_scheme_is_a_class_and_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POSITION_SCHEMES, "alibi_every_2", AlibiEvery2)
    config = SimpleLLMConfig(40, 32, 2, 4, 16, init_std=0.3, position="alibi_every_2")
    module, ids = SimpleLLM(config).double().eval(), prompt(2, 7)
    assert same(module(ids[:, 5:], cache=filled(module, ids[:, :5])), module(ids)[:, 5:])
    assert module.generate(ids, 4).shape == (2, 11)
    weights = module.attention_weights(ids)
    alibi = model("alibi")
    alibi.load_state_dict(module.state_dict())
    none = model("none")
    none.load_state_dict(module.state_dict())
    assert same(weights[0], none.attention_weights(ids)[0])
    assert not same(weights[1], none.attention_weights(ids)[1])


def test_an_unknown_scheme_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match=f"position must be one of {', '.join(POSITION_SCHEMES)}"):
        model("rotary")
