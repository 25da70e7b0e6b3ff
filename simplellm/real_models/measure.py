"""What all-MiniLM-L6-v2 does with its positions, measured: every function returns plain numbers.

They are what the records hold (`simplellm/real_models/make.py` writes them), so each can be asked
again by whoever has the weights.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from ..similarity import mean_pair_cosine
from .arms import position_arms
from .minilm import MiniLM, normed_parts, score_terms

#: Rows of the token table by what they stand for, as `vocab.txt` has them.
SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
FREQUENT = {"the": 1996, "of": 1997}
UNUSED = [*range(1, 100), *range(104, 999)]  # [unused0] to [unused993]
FIRST_WORD = 1996  # "the"; before it are signs and single characters
PREVIOUS_TOKEN_HEAD = 2  # of the first layer
PAIRS = 4000


def rms(x: Tensor) -> float:
    """The root of the mean square of all entries."""
    return float(x.square().mean().sqrt())


def share(position: float, token: float) -> float:
    """The position's share of the energy of both, from their RMS."""
    return position**2 / (position**2 + token**2)


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(0)


def spread(norms: Tensor) -> dict[str, float]:
    """The mean, standard deviation and extremes of the norms of rows."""
    return {
        "mean": float(norms.mean()),
        "std": float(norms.std()),
        "min": float(norms.min()),
        "max": float(norms.max()),
    }


def _pair_cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a, b, dim=1).mean())


def sizes(model: MiniLM, ids: Tensor) -> dict[str, Any]:
    """Measure how large tokens and positions are, and which rows of the tables stand out.

    Args:
        model: The model.
        ids: Passages of a text, ``(batch, seq_len)``, for what depends on the tokens that occur.

    Returns:
        RMS is the root mean square of a table's entries, a share is that of the energy (the mean
        square) of token and position together, a norm is that of a row.
    """
    tokens, positions = model.token_table.double(), model.position_table.double()
    d_model = tokens.shape[1]
    token, position = rms(tokens), rms(positions)
    varying = rms(_centred(positions)), rms(_centred(tokens))
    in_text = tokens[ids[:, 1:-1].flatten()]  # without [CLS] and [SEP]
    norms = tokens.norm(dim=1)
    unused = tokens[UNUSED]
    ranks = norms[FIRST_WORD:].argsort().argsort().double()
    rank_of_id = torch.arange(len(ranks), dtype=torch.float64)
    groups = {"0": (0, 1), "1-127": (1, 128), "128-255": (128, 256), "256-511": (256, 512)}
    return {
        "token_rms": token,
        "position_rms": position,
        "token_by_position": token / position,
        "position_share": {
            "whole tables": share(position, token),
            "of what varies": share(*varying),
            "if tokens were times √d": share(position, token * math.sqrt(d_model)),
            "if positions were sinusoids": share(math.sqrt(0.5), token),
        },
        "position_share_in_text": {
            f"rows {name}": share(rms(positions[start:end]), rms(in_text))
            for name, (start, end) in groups.items()
        },
        "mean_row_share_of_token_energy": float(tokens.mean(0).square().mean() / token**2),
        "token_norms": spread(norms),
        "norms_of_rows": {n: float(norms[i]) for n, i in (SPECIAL | FREQUENT).items()},
        "mean_norm_of_ids": {
            "1996-2999 (frequent)": float(norms[1996:3000].mean()),
            "25000-28999 (rare)": float(norms[25_000:29_000].mean()),
        },
        "rank_correlation_of_id_and_norm": float(
            torch.corrcoef(torch.stack((rank_of_id, ranks)))[0, 1]
        ),
        "unused_rows": {
            "count": len(UNUSED),
            "norm": spread(unused.norm(dim=1)),
            "norm_of_words": spread(norms[FIRST_WORD:]),
            "pair_cosine": mean_pair_cosine(unused),
            "rms": rms(unused),
            "rms_about_their_mean": rms(_centred(unused)),
        },
        "pair_cosine_of_token_rows": mean_pair_cosine(tokens),
        "cosines": _cosines(in_text, positions[:128]),
        "position_norms": positions.norm(dim=1).tolist(),
    }


def _cosines(words: Tensor, rows: Tensor) -> dict[str, float]:
    """How like two sums of word and row are, by what they have in common; rows from 1 on."""
    chance = torch.Generator().manual_seed(0)
    first, other = torch.randint(len(words), (2, PAIRS), generator=chance)
    here, there = torch.randint(1, len(rows), (2, PAIRS), generator=chance)
    differ = (words[first] != words[other]).any(1) & (here != there)
    first, other, here, there = first[differ], other[differ], here[differ], there[differ]
    a, b, p, q = words[first], words[other], rows[here], rows[there]
    return {
        "two words at one place": _pair_cosine(a + p, b + p),
        "one word at two places": _pair_cosine(a + p, a + q),
        "two words at two places": _pair_cosine(a + p, b + q),
        "two words": _pair_cosine(a, b),
        "two rows": _pair_cosine(p, q),
    }


def scaled_token_arms(model: MiniLM, seq_len: int) -> dict[str, Tensor]:
    """Make rows that have the effect of a factor before the tokens.

    The LayerNorm after the sum takes out any common factor. So tokens times f beside rows and type
    as they are is the same as tokens as they are beside rows and type by f.
    """
    rows = model.position_table[:seq_len]
    kind = model.embeddings.token_type_embeddings.weight[0].detach()
    factors = {"√d": math.sqrt(rows.shape[1]), "2": 2.0, "0.5": 0.5}
    return {f"tokens times {name}": (rows + kind) / f - kind for name, f in factors.items()}


def effect_of_arms(
    model: MiniLM, ids: Tensor, following: Tensor, names: Collection[str] = ()
) -> dict[str, dict[str, float]]:
    """Measure what other positions do to the embeddings of passages.

    Args:
        model: The model.
        ids: Passages, ``(batch, seq_len)``.
        following: The passage that follows each, of the same shape.
        names: Of the arms; all by default.

    Returns:
        By arm: "cosine", the mean over the passages of the cosine with their embedding as trained;
        "least", the smallest; "right", in how many of the passages the one that follows is the most
        alike of all that follow one, both with the arm's positions.
    """
    arms = position_arms(model.position_table, ids.shape[1])
    arms |= scaled_token_arms(model, ids.shape[1])
    own = model(ids).embedding
    found = {}
    for name in names or arms:
        first, second = (model(texts, rows=arms[name]).embedding for texts in (ids, following))
        cosines = (first * own).sum(1)
        right = (first @ second.T).argmax(1) == torch.arange(len(ids))
        found[name] = {
            "cosine": float(cosines.mean()),
            "least": float(cosines.min()),
            "right": int(right.sum()),
        }
    return found


def _to_neighbour(attention: Tensor, offset: int) -> Tensor:
    """Mean attention to the token ``offset`` further on, ``(..., query, key)`` to ``(...)``."""
    return attention.diagonal(offset, -2, -1).mean(-1)


NEIGHBOUR_ARMS = (
    "as trained",
    "all zero",
    "all row 5",
    "row 0 zero, rest in place",
    "row 0 kept, rest shift 128",
)


def heads(model: MiniLM, ids: Tensor) -> dict[str, Any]:
    """Measure which heads look at the token before or after, and at the first.

    Returns:
        By arm of ``NEIGHBOUR_ARMS``: "before" and "after", each ``[layer][head]``, the mean
        attention to the neighbour, and "first", ``[layer]``, that to the first token.
    """
    arms = position_arms(model.position_table, ids.shape[1])
    found = {}
    for name in NEIGHBOUR_ARMS:
        attention = model(ids, rows=arms[name]).attention
        found[name] = {
            "before": [_to_neighbour(a, -1).mean(0).tolist() for a in attention],
            "after": [_to_neighbour(a, 1).mean(0).tolist() for a in attention],
            "first": [float(a[..., 0].mean()) for a in attention],
        }
    return found


def first_layer_terms(model: MiniLM, ids: Tensor) -> dict[str, Any]:
    """Measure what content and place have to do with the first layer's scores.

    Returns:
        "shares", those of all heads together and of each head; "to_the_token_before", of each head,
        with place left in query and key as named; "energy", the mean square length of the parts
        that enter the layer.
    """
    energies: list[Mapping[str, float]] = []
    before = []
    for head in range(model.config.num_attention_heads):
        cut = score_terms(model, ids, head)
        energies.append(cut.energies())
        before.append(
            {
                name: float(_to_neighbour(attention, -1).mean())
                for name, attention in without_place(model, ids, head).items()
            }
        )
    total = {name: sum(e[name] for e in energies) for name in energies[0]}
    parts = normed_parts(model, ids)
    return {
        "shares": {"all heads": _shares(total), "head": [_shares(e) for e in energies]},
        "to_the_token_before": before,
        "energy": {n: float(part.square().sum(-1).mean()) for n, part in parts.items()},
    }


def _shares(energies: Mapping[str, float]) -> dict[str, float]:
    whole = sum(energies.values())
    return {name: energy / whole for name, energy in energies.items()}


def without_place(model: MiniLM, ids: Tensor, head: int) -> dict[str, Tensor]:
    """Compute the attention of a head of the first layer with position taken out of its scores.

    Args:
        model: The model.
        ids: Token ids, ``(batch, seq_len)``.
        head: Which, counted from 0.

    Returns:
        By what is left, each ``(batch, query, key)``.
    """
    cut = score_terms(model, ids, head)
    both, content = ("content", "place"), ("content",)
    return {
        "as trained": cut.attention(both, both),
        "no place in the query": cut.attention(content, both),
        "no place in the key": cut.attention(both, content),
        "no place in either": cut.attention(content, content),
        "place alone": cut.attention(("place",), ("place",)),
    }


def sentence(model: MiniLM, ids: Tensor, tokens: list[str]) -> dict[str, Any]:
    """Measure the attention of the previous-token head on one sentence, with and without place."""
    cut = score_terms(model, ids, PREVIOUS_TOKEN_HEAD)
    arms = without_place(model, ids, PREVIOUS_TOKEN_HEAD)
    return {
        "tokens": tokens,
        "ids": ids[0].tolist(),
        # What is below a part in 10 000 is none that one could see.
        "attention": {n: a[0].double().round(decimals=4).tolist() for n, a in arms.items()},
        "scores": {n: t[0].tolist() for n, t in {**cut.terms, "rest": cut.rest}.items()},
        "shares": cut.shares(),
    }


def neighbours(
    model: MiniLM, pieces: Mapping[int, str], words: Collection[str], count: int = 4
) -> dict[str, list[list[str | float]]]:
    """Find the rows of the token table that point most nearly where that of a word does.

    Args:
        model: The model.
        pieces: What each token is, by its id.
        words: Each of them one token.
        count: How many neighbours, the word itself not among them.

    Returns:
        By word, pairs of a piece and its cosine, nearest first.
    """
    units = torch.nn.functional.normalize(model.token_table.double(), dim=1)
    ids = {piece: i for i, piece in pieces.items()}
    found = {}
    for word in words:
        cosines = units @ units[ids[word]]
        cosines[ids[word]] = -2  # below every cosine
        best = cosines.topk(count)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found[word] = [[pieces[i], cosine] for i, cosine in pairs]
    return found


def order(model: MiniLM, pairs: Collection[tuple[Tensor, Tensor]]) -> dict[str, list[float]]:
    """Measure how like the embeddings of the same tokens in two orders are.

    Args:
        model: The model.
        pairs: Of texts, each of ids ``(1, seq_len)``, with the same tokens in both.

    Returns:
        The cosine of each pair, as trained and without positions.
    """
    found: dict[str, list[float]] = {"as trained": [], "all zero": []}
    for one, other in pairs:
        nothing = torch.zeros(one.shape[1], model.config.hidden_size)
        for name, rows in (("as trained", None), ("all zero", nothing)):
            a, b = model(one, rows=rows).embedding, model(other, rows=rows).embedding
            found[name].append(float((a * b).sum()))
    return found
