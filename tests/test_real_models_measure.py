"""What is measured of MiniLM, on a small one: every number by another way."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simplellm.real_models import MiniLM, MiniLMConfig, measure, score_terms

SIZES = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 8}
IDS = torch.tensor([[101, 2000, 2017, 2500, 2017, 102], [101, 3000, 2001, 2002, 25_001, 102]])


@pytest.fixture(scope="module")
def model() -> MiniLM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = MiniLM(MiniLMConfig(**SIZES, num_hidden_layers=2))
        for parameter in made.parameters():  # LayerNorms and biases too
            nn.init.normal_(parameter, mean=0.1, std=0.3)
        made.embeddings.word_embeddings.weight.data *= torch.linspace(1, 2, 30_522)[:, None]
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def found(model: MiniLM) -> dict[str, Any]:
    return measure.sizes(model, IDS)


def rms(x: Tensor) -> float:
    return math.sqrt(float((x**2).sum()) / x.numel())


def share(position: float, token: float) -> Any:
    return pytest.approx(position**2 / (position**2 + token**2))


def test_a_share_is_of_the_energy() -> None:
    assert measure.share(3, 4) == 0.36


def test_rms_shares_and_the_mean_row_are_of_whole_tables(
    model: MiniLM, found: dict[str, Any]
) -> None:
    tokens, positions = model.token_table.double(), model.position_table.double()
    token, position = rms(tokens), rms(positions)
    assert found["token_rms"] == pytest.approx(token)
    assert found["position_rms"] == pytest.approx(position)
    assert found["token_by_position"] == pytest.approx(token / position)
    varying = [math.sqrt(float(t.var(0, correction=0).mean())) for t in (positions, tokens)]
    assert found["position_share"] == {
        "whole tables": share(position, token),
        "of what varies": share(*varying),
        "if tokens were times √d": share(position, token * math.sqrt(12)),
        "if positions were sinusoids": share(math.sqrt(0.5), token),
    }
    mean = tokens.mean(0)
    assert found["mean_row_share_of_token_energy"] == pytest.approx(rms(mean) ** 2 / token**2)
    assert found["position_norms"] == pytest.approx((positions**2).sum(1).sqrt().tolist())


def test_shares_in_a_text_are_of_its_tokens_without_the_special_ones(
    model: MiniLM, found: dict[str, Any]
) -> None:
    words = [2000, 2017, 2500, 2017, 3000, 2001, 2002, 25_001]
    token = rms(torch.stack([model.token_table[i].double() for i in words]))
    positions = model.position_table.double()
    assert found["position_share_in_text"] == {
        "rows 0": share(rms(positions[0]), token),
        "rows 1-127": share(rms(positions[1:128]), token),
        "rows 128-255": share(rms(positions[128:256]), token),
        "rows 256-511": share(rms(positions[256:]), token),
    }


def test_rows_that_stand_out_are_named_with_their_norms(
    model: MiniLM, found: dict[str, Any]
) -> None:
    norms = (model.token_table.double() ** 2).sum(1).sqrt()
    ids = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    assert found["norms_of_rows"] == {
        name: pytest.approx(float(norms[i])) for name, i in {**ids, "the": 1996, "of": 1997}.items()
    }

    def spread(some: Tensor) -> Any:
        mean, std = float(some.mean()), float(some.std())
        return pytest.approx(
            {"mean": mean, "std": std, "min": float(some.min()), "max": float(some.max())}
        )

    assert found["token_norms"] == spread(norms)
    assert found["mean_norm_of_ids"] == {
        "1996-2999 (frequent)": pytest.approx(float(norms[1996:3000].sum()) / 1004),
        "25000-28999 (rare)": pytest.approx(float(norms[25_000:29_000].sum()) / 4000),
    }
    order = norms[1996:].argsort().tolist()
    ranks = torch.empty(len(order), dtype=torch.float64)
    ranks[order] = torch.arange(len(order)).double()
    off = (ranks - torch.arange(len(order))).square().sum()
    spearman = 1 - 6 * float(off) / (len(order) * (len(order) ** 2 - 1))
    assert found["rank_correlation_of_id_and_norm"] == pytest.approx(spearman)
    assert spearman > 0.1  # later rows are the longer here
    unused = torch.cat((model.token_table[1:100], model.token_table[104:999])).double()
    about = found["unused_rows"]
    assert about["count"] == 994
    assert about["norm"] == spread((unused**2).sum(1).sqrt())
    assert about["norm_of_words"] == spread(norms[1996:])
    assert about["rms"] == pytest.approx(rms(unused))
    assert about["rms_about_their_mean"] == pytest.approx(rms(unused - unused.mean(0)))

    def pair_cosine(rows: Tensor) -> float:
        units = rows / rows.norm(dim=1, keepdim=True)
        count = len(rows)
        return float((units.sum(0) ** 2).sum() - count) / (count * (count - 1))

    assert about["pair_cosine"] == pytest.approx(pair_cosine(unused), abs=1e-9)
    whole = pair_cosine(model.token_table.double())
    assert found["pair_cosine_of_token_rows"] == pytest.approx(whole, abs=1e-9)


def test_cosines_of_sums_are_of_what_they_have_in_common() -> None:
    """Words and rows along axes of their own, and one that all share: every cosine is known."""
    axes = torch.eye(7, dtype=torch.float64)
    words, rows = 2 * axes[:4] + axes[6], axes[[0, 4, 5]] + axes[6]
    rows[0] = 9.0  # row 0 is no ordinary place
    assert measure._cosines(words, rows) == {
        "two words at one place": pytest.approx(5 / 9),
        "one word at two places": pytest.approx(8 / 9),
        "two words at two places": pytest.approx(4 / 9),
        "two words": pytest.approx(1 / 5),
        "two rows": pytest.approx(1 / 2),
    }
    uneven = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    first = measure._cosines(uneven, uneven)
    torch.rand(1)  # another state of the global generator
    assert measure._cosines(uneven, uneven) == first


def test_tokens_times_a_factor_are_other_rows(model: MiniLM) -> None:
    arms = measure.scaled_token_arms(model, 6)
    assert list(arms) == ["tokens times √d", "tokens times 2", "tokens times 0.5"]
    for name, rows in arms.items():
        factor = {"√d": math.sqrt(12), "2": 2, "0.5": 0.5}[name.rsplit(" ", 1)[1]]
        embeddings = model.embeddings
        sums = (
            embeddings.word_embeddings(IDS) * factor
            + model.position_table[:6]
            + embeddings.token_type_embeddings.weight[0]
        )
        # The LayerNorm takes out the common factor, but for its epsilon.
        assert torch.allclose(embeddings(IDS, rows), embeddings.LayerNorm(sums), atol=1e-5)


def few_arms(table: Tensor, seq_len: int) -> dict[str, Tensor]:
    shifts = range(0, 3 * len(measure.NEIGHBOUR_ARMS), 3)
    return {
        name: table[by : by + seq_len]
        for name, by in zip(measure.NEIGHBOUR_ARMS, shifts, strict=True)
    }


def test_an_arm_is_measured_by_embeddings_and_by_what_follows(
    model: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "position_arms", few_arms)
    following = IDS.clone()
    following[0, 3], following[1, 2] = 7, 9
    found = measure.effect_of_arms(model, IDS, following)
    assert list(found)[:2] == ["as trained", "all zero"] and "tokens times 2" in found
    own = model(IDS).embedding
    for name, by in (("all zero", 3), ("all row 5", 6)):
        rows = model.position_table[by : by + 6]
        one, other = model(IDS, rows=rows).embedding, model(following, rows=rows).embedding
        cosines = [float(a @ b) for a, b in zip(one, own, strict=True)]
        best = [max(range(2), key=lambda i, a=a: float(a @ other[i])) for a in one]
        assert found[name] == {
            "cosine": pytest.approx(sum(cosines) / 2, abs=1e-6),
            "least": pytest.approx(min(cosines), abs=1e-6),
            "right": sum(i == b for i, b in enumerate(best)),
        }
    swapped = measure.effect_of_arms(model, IDS, following.flip(0), names=["as trained"])
    assert list(swapped) == ["as trained"]
    assert found["as trained"]["right"] == 2 and swapped["as trained"]["right"] == 0


def test_attention_to_neighbours_and_the_first_is_a_mean_over_queries(
    model: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "position_arms", few_arms)
    found = measure.heads(model, IDS)
    assert list(found) == list(measure.NEIGHBOUR_ARMS)
    for name, by in (("as trained", 0), ("all zero", 3)):
        layers = model(IDS, rows=model.position_table[by : by + 6]).attention
        for number, layer in enumerate(layers):
            for head in range(3):
                looks = layer[:, head]
                before = [looks[:, q, q - 1] for q in range(1, 6)]
                after = [looks[:, q, q + 1] for q in range(5)]
                assert found[name]["before"][number][head] == pytest.approx(
                    float(torch.stack(before).mean()), rel=1e-5
                )
                assert found[name]["after"][number][head] == pytest.approx(
                    float(torch.stack(after).mean()), rel=1e-5
                )
            first = float(layer[:, :, :, 0].sum()) / layer[:, :, :, 0].numel()
            assert found[name]["first"][number] == pytest.approx(first, rel=1e-5)


def test_the_first_layers_terms_are_shared_out_by_head_and_over_all(model: MiniLM) -> None:
    found = measure.first_layer_terms(model, IDS)
    cuts = [score_terms(model, IDS, head) for head in range(3)]
    energies = [cut.energies() for cut in cuts]
    for head, cut in enumerate(cuts):
        assert found["shares"]["head"][head] == pytest.approx(cut.shares())
        looks = found["to_the_token_before"][head]
        whole = model(IDS).attention[0][:, head]
        before = torch.stack([whole[:, q, q - 1] for q in range(1, 6)]).mean()
        assert looks["as trained"] == pytest.approx(float(before), rel=1e-4)
    whole = sum(sum(e.values()) for e in energies)
    assert found["shares"]["all heads"] == pytest.approx(
        {name: sum(e[name] for e in energies) / whole for name in energies[0]}
    )
    parts = measure.normed_parts(model, IDS)
    assert found["energy"] == {
        name: pytest.approx(float((part**2).sum()) / 12) for name, part in parts.items()
    }


def test_place_is_taken_out_of_query_key_or_both(model: MiniLM) -> None:
    cut, found = score_terms(model, IDS, 1), measure.without_place(model, IDS, 1)
    both, content = ("content", "place"), ("content",)
    for name, query, key in (
        ("as trained", both, both),
        ("no place in the query", content, both),
        ("no place in the key", both, content),
        ("no place in either", content, content),
        ("place alone", ("place",), ("place",)),
    ):
        assert torch.equal(found.pop(name), cut.attention(query, key))
    assert not found


def test_a_sentence_is_looked_at_by_the_previous_token_head(model: MiniLM) -> None:
    tokens = "[CLS] a b c b [SEP]".split()
    found = measure.sentence(model, IDS[:1], tokens)
    cut = score_terms(model, IDS[:1], 2)
    assert found["tokens"] == tokens and found["ids"] == IDS[0].tolist()
    assert found["shares"] == cut.shares()
    scores = {**cut.terms, "rest": cut.rest}
    assert found["scores"] == {name: term[0].tolist() for name, term in scores.items()}
    for name, attention in measure.without_place(model, IDS[:1], 2).items():
        shown = torch.tensor(found["attention"][name], dtype=torch.float64)
        assert torch.allclose(shown, attention[0].double(), atol=5.01e-5)
        assert torch.equal(shown, (shown * 10_000).round() / 10_000)
