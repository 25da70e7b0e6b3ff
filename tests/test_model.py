"""SimpleLLM: six schemes, one parameter for a tied table, and generation that may be cached."""

from __future__ import annotations

import copy
import dataclasses
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from simplellm import InputEmbedding, SimpleLLM, SimpleLLMConfig
from simplellm.attention import KeyValueCache
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
        "n_layers": 2,
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
def test_no_logit_depends_on_a_later_id(position: str) -> None:
    ids = prompt(1, 10)
    changed = ids.clone()
    changed[0, 6:] = 39
    before, after = model(position)(ids), model(position)(changed)
    assert torch.allclose(before[0, :6], after[0, :6], atol=1e-5)


@pytest.mark.parametrize("position", [p for p in POSITIONS if p != "none"])
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
    ids = prompt(2, 9)
    moved = model(position)(ids, positions=torch.arange(500, 509))
    assert torch.allclose(model(position)(ids), moved, atol=1e-4)


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
    weights = model(position).attention_weights(prompt(3, 7))
    assert weights.shape == (2, 3, 4, 7, 7)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 4, 7))
    assert not weights.triu(1).any()


def test_a_mask_of_another_length_is_refused_with_both_shapes() -> None:
    with pytest.raises(
        ValueError, match=r"attention_mask must have shape .*\(2, 5\), got \(2, 4\)"
    ):
        model()(prompt(2, 5), attention_mask=torch.ones(2, 4, dtype=torch.bool))


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
        cache = KeyValueCache(2)
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
            "0 at padding on the left",
        ),
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


@every_scheme
def test_save_and_load_give_the_same_logits(position: str, tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.float64):
        module = model(position, padding_idx=PAD, tie_weights=False).to(dtype)
        module.save(tmp_path / "model.pt")
        loaded = SimpleLLM.load(tmp_path / "model.pt").eval()
        assert loaded.config == module.config
        assert torch.equal(loaded(prompt(2, 5)), module(prompt(2, 5)))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt was not written by SimpleLLM\.save"):
        SimpleLLM.load(tmp_path / "other.pt")


def a_checkpoint() -> dict[str, Any]:
    module = model()
    return {"config": dataclasses.asdict(module.config), "state_dict": dict(module.state_dict())}


@pytest.mark.parametrize("kind", ["text", "empty", "half", "zip", "pickle", "weights", "future"])
def test_whatever_else_a_file_holds_is_refused_with_its_path(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    model().save(path)
    data, content = path.read_bytes(), a_checkpoint()
    whole = {"text": b"hello\n", "empty": b"", "half": data[: len(data) // 2]}
    whole |= {"zip": b"PK\x05\x06" + bytes(18), "pickle": b"\x80\x04N."}
    if kind in whole:
        path.write_bytes(whole[kind])
    else:
        torch.save(content["state_dict"] if kind == "weights" else content | {"version": 2}, path)
    with pytest.raises(ValueError, match=r"model\.pt was not written by SimpleLLM\.save"):
        SimpleLLM.load(path)


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("config", {"extra": 1}, "unknown 'extra'"),
        ("config", {"scale": None}, "scale must be True or False"),
        ("config", {"d_model": 64}, r"has shape \(40, 32\).*\(40, 64\)"),
        ("state_dict", {"norm.extra": torch.zeros(2)}, "norm.extra is unknown"),
        ("state_dict", {"norm.weight": torch.zeros(2).long()}, "norm.weight must be .* floats"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(
    part: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    content = a_checkpoint()
    content[part] |= changes
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt .*{words}"):
        SimpleLLM.load(tmp_path / "model.pt")


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_file_without_a_version_loads_with_any_wrappers_prefix(
    prefix: str, tmp_path: Path
) -> None:
    content = a_checkpoint()
    content["state_dict"] = {prefix + n: v for n, v in content["state_dict"].items()}
    torch.save(content, tmp_path / "model.pt")
    assert torch.equal(
        SimpleLLM.load(tmp_path / "model.pt").eval()(prompt(1, 4)), model()(prompt(1, 4))
    )


def test_mixed_dtypes_come_back_as_they_were_saved(tmp_path: Path) -> None:
    module = model()
    module.blocks[0].to(torch.bfloat16)
    module.save(tmp_path / "model.pt")
    loaded = SimpleLLM.load(tmp_path / "model.pt").state_dict()
    assert {n: v.dtype for n, v in loaded.items()} == {
        n: v.dtype for n, v in module.state_dict().items()
    }


def test_numbers_of_any_type_save_and_load(tmp_path: Path) -> None:
    module = model(d_model=np.int8(32), init_std=np.float32(0.5), dropout=Fraction(1, 4))
    module.save(tmp_path / "model.pt")
    loaded = SimpleLLM.load(tmp_path / "model.pt").config
    assert loaded == module.config and type(loaded.d_model) is int and loaded.dropout == 0.25


def test_a_model_whose_tables_have_grown_is_saved_as_it_is(tmp_path: Path) -> None:
    module, ids = model("learned", padding_idx=0), prompt(1, 20)
    layer = module.input_embedding
    assert isinstance(layer, InputEmbedding)
    layer.pos_embedding.embedding.weight = nn.Parameter(torch.randn(24, 32))
    layer.token_embedding.embedding.weight = nn.Parameter(torch.randn(50, 32))
    with torch.no_grad():
        layer.token_embedding.embedding.weight[0] = 0.0
    module.save(tmp_path / "model.pt")
    loaded = SimpleLLM.load(tmp_path / "model.pt").eval()
    assert torch.equal(loaded(ids + 10), module(ids + 10))
    assert (loaded.config.vocab_size, loaded.config.max_seq_len) == (50, 24)


def test_a_model_that_load_could_not_build_is_not_saved(tmp_path: Path) -> None:
    module = model(tie_weights=False)
    module.norm = nn.RMSNorm(32)  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"model\.pt' and was not saved: .*norm.bias is missing"):
        module.save(tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


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
    reach = model("alibi")._reach(*[torch.tensor([[9, 0, 5]])] * 2, None, torch.float32)
    assert reach.bias is not None and (reach.bias <= 0).all()


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


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"position": "rotary"}, ValueError, "position must be one of none, .*, got 'rotary'"),
        ({"n_heads": 5}, ValueError, "n_heads must divide d_model = 32, got 5"),
        ({"d_model": 33, "n_heads": 3}, ValueError, "d_model must be even, got 33"),
        (
            {"d_model": 20, "n_heads": 4, "position": "rope"},
            ValueError,
            r"d_model / n_heads must be even .* got 20 / 4 = 5",
        ),
        ({"vocab_size": 3}, ValueError, "vocab_size must be at least 4, got 3"),
        ({"n_layers": 0}, ValueError, "n_layers must be at least 1, got 0"),
        ({"dropout": 1.0}, ValueError, "dropout must be at least 0 and below 1, got 1.0"),
        ({"block_dropout": 2}, ValueError, "block_dropout must be at least 0 and below 1, got 2"),
        ({"tie_weights": "yes"}, TypeError, "tie_weights must be True or False, got 'yes'"),
        ({"padding_idx": 40}, ValueError, "padding_idx must be .* below vocab_size = 40, got 40"),
        ({"base": 500.0, "position": "t5"}, ValueError, "base must be left at 10000 .*'t5'"),
        (
            {"position_rms": 0.1, "position": "rope"},
            ValueError,
            "position_rms must be None with position = 'rope', got 0.1",
        ),
        ({"position_rms": 0.0}, ValueError, "position_rms must be positive and finite, got 0.0"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model(**changes)


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
