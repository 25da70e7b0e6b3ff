"""SimpleLLM: every scheme, one parameter for a tied table, and generation that may be cached."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from simplellm import InputEmbedding, SimpleLLM, SimpleLLMConfig
from simplellm.attention import AttentionContext, KeyValueCache
from simplellm.model import POSITIONS, next_token_loss
from simplellm.vocabulary import EOS, PAD

quick = settings(max_examples=15, deadline=None, database=None)
every_scheme = pytest.mark.parametrize("position", POSITIONS)


def model(position: str = "sinusoidal", **changes: Any) -> SimpleLLM:
    """A small model whose logits are spread out, so that the likeliest token is no tie."""
    torch.manual_seed(0)
    settings = {
        "vocab_size": 40,
        "d_model": 32,
        "n_layers": 4 if position in ("nope_every_4", "two_bases") else 2,
        "n_heads": 4,
        "max_seq_len": 16,
        "position": position,
        "init_std": 0.3,
        **changes,
    }
    return SimpleLLM(SimpleLLMConfig(**settings)).eval()


def prompt(batch: int, seq_len: int, seed: int = 0) -> Tensor:
    return torch.randint(3, 40, (batch, seq_len), generator=torch.Generator().manual_seed(seed))


# -- forward ---------------------------------------------------------------------------------------


@every_scheme
def test_ids_become_logits(position: str) -> None:
    assert model(position)(prompt(2, 5)).shape == (2, 5, 40)


@every_scheme
@pytest.mark.parametrize("padding_idx", [None, PAD])
def test_no_logit_depends_on_a_later_id(position: str, padding_idx: int | None) -> None:
    module, ids = model(position, padding_idx=padding_idx), prompt(1, 10)
    changed = ids.clone()
    changed[0, 6:] = 39
    before, after = module(ids), module(changed)
    assert torch.allclose(before[0, :6], after[0, :6], atol=1e-5)


@pytest.mark.parametrize("position", ["sinusoidal", "learned", "rope", "alibi", "t5"])
def test_every_scheme_but_none_tells_the_order_of_what_came_before(position: str) -> None:
    ids = prompt(1, 6)
    swapped = ids[:, [2, 1, 0, 3, 4, 5]]
    # One block: with more, the causal mask alone tells something of the order.
    one = model(position, n_layers=1)
    assert not torch.allclose(one(ids)[0, -1], one(swapped)[0, -1], atol=1e-4)


def test_without_positions_one_block_does_not_know_the_order() -> None:
    ids = prompt(1, 6)
    one = model("none", n_layers=1)
    assert torch.allclose(one(ids)[0, -1], one(ids[:, [2, 1, 0, 3, 4, 5]])[0, -1], atol=1e-5)


@pytest.mark.parametrize("position", ["rope", "alibi", "t5", "none"])
def test_relative_schemes_do_not_see_where_the_window_starts(position: str) -> None:
    module, ids = model(position), prompt(2, 9)
    for dtype, allowed in ((torch.float32, 1e-4), (torch.float64, 1e-10)):
        module.to(dtype)
        moved = module(ids, positions=torch.arange(500, 509))
        assert torch.allclose(module(ids), moved, atol=allowed)


@every_scheme
def test_positions_by_row_are_positions_of_each_row(position: str) -> None:
    ids = prompt(2, 5)
    rows = torch.tensor([[0, 1, 2, 3, 4], [3, 4, 6, 7, 11]])
    both = model(position)(ids, positions=rows)
    for i in range(2):
        alone = model(position)(ids[i : i + 1], positions=rows[i])
        assert torch.allclose(both[i], alone[0], atol=1e-5)


@every_scheme
def test_the_weights_shown_agree_with_what_a_token_may_see(position: str) -> None:
    module = model(position)
    weights, n_layers = module.attention_weights(prompt(3, 7)), module.config.n_layers
    assert weights.shape == (n_layers, 3, 4, 7, 7)
    assert torch.allclose(weights.sum(-1), torch.ones(n_layers, 3, 4, 7))
    assert not weights.triu(1).any()


@every_scheme
def test_the_weights_are_those_of_what_each_block_reads(position: str) -> None:
    module, ids, places = model(position), prompt(2, 5), torch.tensor([2, 3, 5, 6, 9])
    read: list[Tensor] = []
    for block in module.blocks:
        block.register_forward_pre_hook(lambda _m, given: read.append(given[0]))
    module(ids, positions=places)
    module.attention_weights(ids, positions=places)
    n_layers = module.config.n_layers
    assert len(read) == 2 * n_layers and not torch.allclose(read[0], read[1], atol=1e-3)
    assert all(torch.allclose(read[i], read[i + n_layers], atol=1e-5) for i in range(n_layers))


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (
            torch.ones(2, 4).bool(),
            ValueError,
            r"attention_mask must have shape .*\(2, 5\), got \(2, 4\)",
        ),
        (torch.ones(2, 5), TypeError, "^attention_mask must be bool or integer"),
        (
            torch.ones(2, 5, device="meta").bool(),
            ValueError,
            "^attention_mask must be on the device of ids, cpu, got meta",
        ),
    ],
)
def test_a_mask_that_fits_no_ids_is_refused(
    mask: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model()(prompt(2, 5), attention_mask=mask)


@every_scheme
def test_all_is_computed_on_the_device_of_the_model_and_in_its_dtype(position: str) -> None:
    config = model(position, padding_idx=PAD, tie_weights=False).config
    module = SimpleLLM(config, device="meta", dtype=torch.float64)
    tensors = [*module.parameters(), *module.buffers()]
    assert {(tensor.device.type, tensor.dtype) for tensor in tensors} == {("meta", torch.float64)}
    ids, mask = prompt(3, 4).to("meta"), torch.ones(3, 7, device="meta").bool()
    cache = KeyValueCache(config.n_layers)
    for more in ({}, {"cache": cache}, {"attention_mask": mask[:, :4]}, {"segment_ids": ids}):
        assert module(ids, **more).device.type == "meta"
    # On with padding, then without, then with places that are given.
    assert module(ids[:, :3], cache=cache, attention_mask=mask).device.type == "meta"
    assert module(ids, cache=cache).device.type == "meta"
    assert module(ids, cache=cache, positions=ids).device.type == "meta" and len(cache) == 15
    places = KeyValueCache(config.n_layers)
    module(ids, cache=places, positions=ids)
    assert module(ids, cache=places).device.type == "meta"
    cache.select(ids[:2, 0])
    assert [key.shape[0] for key in cache.keys if key is not None] == [2] * config.n_layers
    assert module.attention_weights(ids).device.type == "meta"


def test_each_half_of_a_block_adds_to_what_it_reads_normalised() -> None:
    block, x = model().double().blocks[0], torch.randn(2, 5, 32).double()
    want = x + block.attention(block.attention_norm(x))
    wide = block.widen(block.mlp_norm(want))
    want = want + block.narrow(wide * (1 + torch.erf(wide / math.sqrt(2))) / 2)
    for cache in (None, KeyValueCache(1)):
        assert torch.allclose(block(x, AttentionContext(), cache), want, atol=1e-12)


@every_scheme
def test_what_the_configuration_says_of_the_input_reaches_it(position: str) -> None:
    module = model(position, dropout=0.5, block_dropout=0.25, scale=False, padding_idx=5)
    tokens = module.input_embedding.token_embedding
    assert module.input_embedding.dropout.p == 0.5 and tokens.scale is False
    assert tokens.embedding.weight.std().item() == pytest.approx(0.3, rel=0.1)
    assert not tokens.embedding.weight[5].any()
    block = module.blocks[0]
    assert block.dropout.p == 0.25 and block.attention.dropout == 0.25
    assert model(position, dropout=0.5).blocks[0].attention.dropout == 0.5


@pytest.mark.parametrize("position", ["sinusoidal", "rope"])
def test_the_base_is_that_of_the_configuration(position: str) -> None:
    ids = prompt(1, 6)
    slow, fast = model(position)(ids), model(position, base=20.0)(ids)
    assert not torch.allclose(slow, fast, atol=1e-3)


@pytest.mark.parametrize("position", ["sinusoidal", "learned"])
def test_rows_of_positions_start_from_the_size_asked_for(position: str) -> None:
    layer = model(position, position_rms=0.7).input_embedding
    assert isinstance(layer, InputEmbedding)
    rows = layer(torch.full((1, 16), PAD)) - layer.token_embedding(torch.full((1, 16), PAD))
    assert rows.square().mean().sqrt().item() == pytest.approx(0.7, rel=0.1)


@every_scheme
def test_every_parameter_gets_a_gradient(position: str) -> None:
    for tied in (True, False):
        trained = model(position, tie_weights=tied)
        next_token_loss(trained(prompt(4, 16)), prompt(4, 16, seed=1)).backward()
        for name, parameter in trained.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


# -- generation ------------------------------------------------------------------------------------


@every_scheme
@quick
@given(data=st.data())
def test_the_cache_changes_nothing(position: str, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 8))
    new = data.draw(st.integers(0, 9 if position == "learned" else 30))
    ids = prompt(2, length, seed=data.draw(st.integers(0, 99)))
    module = model(position)
    cached = module.generate(ids, new)
    assert torch.equal(cached, module.generate(ids, new, use_cache=False))
    assert cached.shape == (2, length + new)


@every_scheme
def test_cached_logits_are_the_logits(position: str) -> None:
    module, ids = model(position), prompt(2, 14)
    whole = module(ids)
    for sizes in ([1] * 14, [5, 1, 8], [14], [9, 5]):
        cache = KeyValueCache(module.config.n_layers)
        parts = [module(piece, cache=cache) for piece in ids.split(sizes, dim=1)]
        assert (torch.cat(parts, dim=1) - whole).abs().max() < 1e-5
        assert len(cache) == 14


@every_scheme
@quick
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4), use_cache=st.booleans())
def test_a_left_padded_batch_is_each_prompt_alone(
    position: str, lengths: list[int], use_cache: bool
) -> None:
    module, longest = model(position), max(lengths)
    ids = prompt(len(lengths), longest)
    mask = torch.arange(longest) >= longest - torch.tensor(lengths).unsqueeze(1)
    batch = module.generate(
        ids.masked_fill(~mask, PAD), 8, attention_mask=mask, use_cache=use_cache
    )
    for row, length in enumerate(lengths):
        alone = module.generate(ids[row : row + 1, longest - length :], 8)
        assert torch.equal(batch[row, longest:], alone[0, length:])


def test_with_a_cache_no_token_is_read_twice_and_without_one_all_are() -> None:
    module, read = model(), []
    module.blocks[0].register_forward_pre_hook(lambda _m, given: read.append(given[0].shape[1]))
    module.generate(prompt(1, 4), 3)
    module.generate(prompt(1, 4), 3, use_cache=False)
    assert read == [4, 1, 1, 4, 5, 6]


@pytest.mark.parametrize("position", [p for p in POSITIONS if p != "learned"])
def test_generation_goes_on_past_the_table_where_the_scheme_allows_it(position: str) -> None:
    module, ids = model(position), prompt(1, 10)
    long = module.generate(ids, 30)  # max_seq_len is 16
    longer_table = model(position, max_seq_len=64)
    assert torch.equal(long, longer_table.generate(ids, 30))


def test_a_learned_table_that_is_too_short_is_said_before_anything_is_generated() -> None:
    module, ids = model("learned"), prompt(1, 10)
    assert module.generate(ids, 7).shape == (1, 17)  # the 17th token is never read
    with pytest.raises(ValueError, match=r"10 prompt tokens.* = 8 need 17 .*max_seq_len = 16"):
        module.generate(ids, 8)


def test_padding_does_not_count_as_length() -> None:
    ids = prompt(1, 16)
    mask = torch.arange(16).unsqueeze(0) >= 12
    assert model("learned").generate(ids, 13, attention_mask=mask).shape == (1, 29)


@every_scheme
def test_generation_never_says_pad(position: str) -> None:
    module = model(position)
    with torch.no_grad():  # PAD would win everywhere
        module.input_embedding.token_embedding.embedding.weight[PAD] *= 100
    hot = torch.Generator().manual_seed(0)
    assert (module(prompt(3, 4)).argmax(-1) == PAD).any()
    assert not (module.generate(prompt(3, 4), 12) == PAD).any()
    assert not (module.generate(prompt(3, 4), 12, temperature=5.0, generator=hot) == PAD).any()


def test_without_eos_id_generation_does_not_stop() -> None:
    module, ids = model(), prompt(1, 3)
    free = module.generate(ids, 12)
    said = int(free[0, 5])
    stopped = module.generate(ids, 12, eos_id=said)
    assert free.shape == (1, 15)
    end = 3 + free[0, 3:].tolist().index(said) + 1
    assert stopped.tolist() == free[:, :end].tolist()


def test_a_row_that_has_ended_repeats_its_end_until_all_have() -> None:
    module, ids = model(), prompt(6, 3)
    free = module.generate(ids, 12)
    eos = int(free[0, 4])
    out = module.generate(ids, 12, eos_id=eos)
    for row in range(6):
        new = free[row, 3:].tolist()
        kept = new[: new.index(eos) + 1] if eos in new else new
        got = out[row, 3:].tolist()
        assert got[: len(kept)] == kept[: len(got)]
        assert set(got[len(kept) :]) <= {eos}


def test_sampling_is_repeatable_and_follows_the_temperature() -> None:
    module, ids = model(), prompt(64, 4)
    draws = [
        module.generate(ids, 1, temperature=t, generator=torch.Generator().manual_seed(3))
        for t in (1.0, 1.0, 1e-4)
    ]
    assert torch.equal(draws[0], draws[1])
    greedy = module.generate(ids, 1)
    assert torch.equal(draws[2], greedy) and not torch.equal(draws[0], greedy)


def test_top_k_draws_from_the_likeliest_only() -> None:
    module, ids = model(), prompt(64, 4)
    logits = module(ids)[:, -1]
    logits[:, PAD] = -math.inf
    likeliest = logits.topk(3).indices
    new = module.generate(ids, 1, temperature=50.0, top_k=3)[:, -1:]
    assert (new == likeliest).any(1).all()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_draws_every_one_of_the_likeliest(k: int) -> None:
    module, ids = model(), prompt(1, 4).repeat(256, 1)
    logits = module(ids[:1])[0, -1]
    logits[PAD] = -math.inf
    new = module.generate(ids, 1, temperature=1e3, top_k=k)[:, -1]  # all nearly as likely
    assert set(new.tolist()) == set(logits.topk(k).indices.tolist())


def test_generating_leaves_the_mode_as_it_was() -> None:
    module = model(dropout=0.5).train()
    a, b = module.generate(prompt(1, 4), 8), module.generate(prompt(1, 4), 8)
    assert module.training and torch.equal(a, b)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"max_new_tokens": -1}, ValueError, "max_new_tokens must be at least 0, got -1"),
        ({"max_new_tokens": 2.5}, TypeError, "max_new_tokens must be an int, got 2.5"),
        ({"temperature": -1.0}, ValueError, "temperature must be finite and at least 0, got -1"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
        ({"eos_id": PAD}, ValueError, "eos_id must be .* not PAD = 0, got 0"),
        ({"eos_id": 40}, ValueError, "eos_id must be .* below vocab_size = 40.*got 40"),
        ({"ids": torch.zeros(1, 0, dtype=torch.int64)}, ValueError, "at least one token per row"),
        ({"ids": torch.zeros(1, 3)}, TypeError, "ids must be integers"),
        (
            {"attention_mask": torch.tensor([[1, 1, 0, 0]])},
            ValueError,
            r"^attention_mask must be 0 .* first token to the end of each row: .* last column\.$",
        ),
        ({"attention_mask": torch.tensor([[1, 0, 1, 1]])}, ValueError, "0 at padding on the left"),
        ({"attention_mask": torch.tensor([[0, 0, 0, 0]])}, ValueError, "0 at padding on the left"),
        (
            {"attention_mask": torch.ones(1, 3).long()},
            ValueError,
            r"shape of ids, \(1, 4\), got \(1, 3\)",
        ),
        ({"attention_mask": [[1, 1, 1, 1]]}, TypeError, "attention_mask must be a tensor.*list"),
        ({"attention_mask": torch.ones(1, 4)}, TypeError, "attention_mask must be bool or integer"),
        ({"attention_mask": torch.tensor([[0, 1, 2, 1]])}, ValueError, "only 0 and 1.* to 2"),
        ({"use_cache": 1}, TypeError, "use_cache must be"),
    ],
)
def test_bad_requests_are_refused_by_name(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    request: dict[str, Any] = {"ids": prompt(1, 4), "max_new_tokens": 2, **changes}
    with pytest.raises(error, match=message):
        model().generate(request.pop("ids"), request.pop("max_new_tokens"), **request)


# -- tying -----------------------------------------------------------------------------------------


def count(module: SimpleLLM) -> int:
    return sum(p.numel() for p in module.parameters())


def test_a_tied_table_is_counted_once() -> None:
    assert count(model(tie_weights=False)) - count(model()) == 40 * 32
    names = [name for name, _ in model().named_parameters() if "embedding" in name]
    assert names == ["input_embedding.token_embedding.embedding.weight"]


@pytest.mark.parametrize("how", ["assign", "to_empty"])
def test_two_names_for_one_parameter_come_loose_in_pytorch(how: str) -> None:
    """What chapter 10 warns of; the model's head has no parameter of its own, so it stays tied."""
    device = "meta" if how == "to_empty" else "cpu"
    tied = nn.ModuleDict(
        {"table": nn.Embedding(5, 3, device=device), "head": nn.Linear(3, 5, False, device)}
    )
    tied["head"].weight = tied["table"].weight
    if how == "assign":
        weights = {name: value.clone() for name, value in tied.state_dict().items()}
        tied.load_state_dict(weights, assign=True)
    else:
        tied.to_empty(device="cpu")
    assert tied["head"].weight is not tied["table"].weight


@pytest.mark.parametrize(
    "how", ["to", "deepcopy", "save", "meta", "reset", "assign", "assign from meta"]
)
def test_it_is_still_tied_after(how: str, tmp_path: Path) -> None:
    module = model()
    if how == "to":
        module = module.to(torch.float64)
    elif how == "deepcopy":
        module = copy.deepcopy(module)
    elif how == "save":
        module.save(tmp_path / "model.pt")
        module = SimpleLLM.load(tmp_path / "model.pt")
    elif how == "meta":
        module = SimpleLLM(module.config, device="meta").to_empty(device="cpu")
        module.reset_parameters()
    elif how.startswith("assign"):
        weights = model().state_dict()
        module = SimpleLLM(module.config, device="meta" if how.endswith("meta") else "cpu").eval()
        module.load_state_dict(weights, assign=True)
    else:
        module.reset_parameters()
    table = module.input_embedding.token_embedding.embedding.weight
    assert module.output_weight is table and count(module) == count(model())
    before = module(prompt(1, 3))
    with torch.no_grad():
        table[30] += 1.0  # an id the prompt does not hold: only the projection can show it
    assert 30 not in prompt(1, 3)
    changed = (module(prompt(1, 3)) != before).any(1).squeeze(0)
    assert changed.nonzero().flatten().tolist() == [30]


def test_the_projection_is_the_table_itself_unscaled_and_without_bias() -> None:
    module, ids = model(), prompt(2, 4)
    kept: list[Tensor] = []
    module.norm.register_forward_hook(lambda _m, _i, out: kept.append(out))
    logits = module(ids)
    table = module.input_embedding.token_embedding.embedding.weight
    assert torch.allclose(logits, torch.einsum("bsd,vd->bsv", kept[0], table), atol=1e-5)
    untied = model(tie_weights=False)
    assert untied.output is not None and untied.output.bias is None


def test_the_padding_row_stays_zero_through_tied_training() -> None:
    module = model(padding_idx=PAD, init_std=0.02).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2, weight_decay=0.1)
    ids = torch.cat((torch.zeros(4, 3, dtype=torch.int64), prompt(4, 9)), dim=1)
    for _ in range(5):
        optimizer.zero_grad()
        loss = next_token_loss(module(ids[:, :-1]), ids[:, 1:])
        loss.backward()
        optimizer.step()
    assert math.isfinite(loss.item())
    table = module.input_embedding.token_embedding.embedding.weight
    assert not table[PAD].any() and table[PAD + 1 :].any(1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_masked_logit_is_finite_and_so_is_every_loss(dtype: torch.dtype) -> None:
    logits = model(padding_idx=PAD).to(dtype)(prompt(2, 4))
    assert logits.dtype == dtype and logits.isfinite().all()
    assert not logits.float().softmax(-1)[..., PAD].any()
    assert (logits[..., PAD] < logits[..., PAD + 1 :].amin(-1) - 100).all()
    assert logits.log_softmax(-1).isfinite().all() and abs(logits.mean().item()) < 20
    flat, targets = logits.float().flatten(0, 1), prompt(2, 4).flatten()
    plain, smoothed = (F.cross_entropy(flat, targets, label_smoothing=e) for e in (0.0, 0.1))
    assert abs(smoothed - plain) < 2


# -- starting and keeping --------------------------------------------------------------------------


@every_scheme
def test_the_first_loss_of_a_narrow_model_is_near_ln_v(position: str) -> None:
    for tied in (True, False):
        module = model(position, d_model=32, init_std=0.02, vocab_size=500, tie_weights=tied)
        ids = torch.randint(3, 500, (8, 16), generator=torch.Generator().manual_seed(4))
        loss = next_token_loss(module(ids[:, :-1]), ids[:, 1:]).item()
        assert loss == pytest.approx(math.log(500), abs=0.6)


@every_scheme
def test_reset_parameters_restores_a_model_made_on_meta(position: str) -> None:
    config = model(position, tie_weights=False, init_std=0.02).config
    module = SimpleLLM(config, device="meta").to_empty(device="cpu")
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.data.fill_(math.nan)
    module.reset_parameters()
    for name, tensor in module.state_dict().items():
        assert tensor.isfinite().all(), name
    table = module.input_embedding.token_embedding.embedding.weight
    assert table.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.filterwarnings("ignore:.*quantiz.*", "ignore:.*deprecated.*")
def test_dynamic_quantisation_takes_every_linear_layer_of_an_untied_model() -> None:
    module, ids = model(tie_weights=False), prompt(2, 6)
    small = torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=torch.qint8)
    assert not [part for part in small.modules() if type(part) is nn.Linear]
    # Eight bits keep the order of the likeliest, and about the numbers.
    want, got = module(ids), small(ids)
    assert (got - want).abs().max() < 0.05 * (want.max() - want.min())
    cache = KeyValueCache(2)
    parts = [small(piece, cache=cache) for piece in ids.split([4, 2], dim=1)]
    assert torch.cat(parts, dim=1).shape == want.shape
    assert small.generate(ids, 2).shape == (2, 8)


def test_hooks_on_an_untied_head_are_called() -> None:
    module = model(tie_weights=False)
    assert module.output is not None
    module.output.register_forward_hook(lambda _m, _i, out: out * 0)
    assert not module(prompt(1, 3)).any()


def test_alibi_gives_no_bonus_to_what_stands_ahead() -> None:
    places = torch.tensor([[9, 0, 5]])
    bias = model("alibi").scheme.bias(places, places, None)
    assert bias is not None and (bias <= 0).all()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_call_that_ends_early_leaves_the_cache_as_it_was(error: type[BaseException]) -> None:
    module, ids, cache = model(), prompt(2, 6), KeyValueCache(2)
    module(ids[:, :3], cache=cache)

    def stop(*_: Any) -> None:
        raise error

    hook = module.blocks[1].register_forward_hook(stop)
    with pytest.raises(error):
        module(ids[:, 3:5], cache=cache)
    hook.remove()
    assert len(cache) == 3
    assert (module(ids[:, 3:], cache=cache) - module(ids)[:, 3:]).abs().max() < 1e-5


# -- configuration ---------------------------------------------------------------------------------

CONFIG = SimpleLLMConfig(40, d_model=32, n_layers=2, n_heads=4, max_seq_len=16)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"position": "rotary"}, ValueError, "position must be one of none, .*, got 'rotary'"),
        (
            {"position": "t6"},
            ValueError,
            "one of none, sinusoidal, learned, rope, alibi, t5, nope_every_4, two_bases, got",
        ),
        ({"n_heads": 5}, ValueError, r"divide d_model = 32, got 5: .* width d_model / n_heads\.$"),
        ({"n_heads": 0}, ValueError, "^n_heads must be at least 1, got 0"),
        ({"max_seq_len": 0}, ValueError, "^max_seq_len must be at least 1, got 0"),
        ({"scale": 1}, TypeError, "^scale must be True or False, got 1"),
        ({"d_model": 33, "n_heads": 3}, ValueError, "d_model must be even, got 33"),
        (
            {"d_model": 20, "n_heads": 4, "position": "rope"},
            ValueError,
            r"d_model / n_heads must be even .* got 20 / 4 = 5:",
        ),
        ({"vocab_size": 3}, ValueError, r"vocab_size must be at least 4, got 3: .*BOS and EOS\.$"),
        ({"n_layers": 0}, ValueError, "n_layers must be at least 1, got 0"),
        ({"dropout": 1.0}, ValueError, "dropout must be at least 0 and below 1, got 1.0"),
        ({"block_dropout": 2}, ValueError, "block_dropout must be at least 0 and below 1, got 2"),
        ({"tie_weights": "yes"}, TypeError, "tie_weights must be True or False, got 'yes'"),
        ({"padding_idx": 1.5}, TypeError, "^padding_idx must be an int, got 1.5"),
        ({"padding_idx": 40}, ValueError, "padding_idx must be .* below vocab_size = 40, got 40"),
        ({"base": 500.0, "position": "t5"}, ValueError, "base must be left at 10000 .*'t5'"),
        (
            {"position_rms": 0.1, "position": "rope"},
            ValueError,
            "position_rms must be left at None with position = 'rope', got 0.1",
        ),
        ({"position_rms": 0.0}, ValueError, "position_rms must be positive and finite, got 0.0"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        # The configuration itself, before anything is built from it.
        SimpleLLMConfig(**{**dataclasses.asdict(CONFIG), **changes})


def test_the_smallest_vocabulary_has_one_id_beside_the_special_ones() -> None:
    assert model(vocab_size=4)(prompt(1, 3) * 0 + 3).shape == (1, 3, 4)


def test_a_model_is_built_from_a_configuration_only() -> None:
    message = r"got dict\. Make one: SimpleLLMConfig\(vocab_size, .*, n_heads, max_seq_len\)\.$"
    with pytest.raises(TypeError, match=message):
        SimpleLLM(dataclasses.asdict(model().config))  # type: ignore[arg-type]


def test_a_configuration_cannot_be_changed_behind_the_model() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        model().config.d_model = 64  # type: ignore[misc]


# -- the loss --------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_what_is_not_pad() -> None:
    logits = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(5))
    targets = torch.tensor([[4, PAD, 8], [PAD, PAD, EOS]])
    each = [
        -F.log_softmax(logits[b, s], -1)[targets[b, s]].item()
        for b in range(2)
        for s in range(3)
        if targets[b, s] != PAD
    ]
    assert next_token_loss(logits, targets).item() == pytest.approx(sum(each) / 3, abs=1e-6)


def test_a_loss_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="targets must hold something beside PAD = 0"):
        next_token_loss(torch.zeros(1, 2, 5), torch.zeros(1, 2, dtype=torch.int64))


@pytest.mark.parametrize("position", ["sinusoidal", "rope"])
def test_input_vectors_are_normalised_where_that_is_asked_for(position: str) -> None:
    torch.manual_seed(0)
    config = SimpleLLMConfig(40, 32, 2, 4, 16, position=position, embedding_norm=True)
    model, ids = SimpleLLM(config), torch.randint(3, 40, (2, 9))
    assert model.embedding_norm is not None
    seen: list[torch.Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model(ids)
    (x,) = seen
    assert torch.allclose(x.mean(-1), torch.zeros(()), atol=1e-5)
    assert torch.allclose(x.var(-1, unbiased=False), torch.ones(()), atol=0.05)
    with torch.no_grad():
        model.embedding_norm.weight.fill_(3.0)
    model.reset_parameters()
    assert (model.embedding_norm.weight == 1).all()
    assert SimpleLLM(SimpleLLMConfig(40, 32, 2, 4, 16)).embedding_norm is None
