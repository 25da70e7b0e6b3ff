"""Claims about the input layer as a part: shapes, tying, dropout, memory, order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..attention import AttentionContext, CausalSelfAttention
from ..input_embedding import InputEmbedding
from ..model import Block, SimpleLLM, SimpleLLMConfig, next_token_loss
from ..padding import positions_from_mask
from ..positional_encoding import PositionalEncoding
from .claim import DRAWN, EXACT, MODEL_WIDTHS, WIDTHS, Claim, Measured, Source, drawn, scores
from .rules import Above, Below, Between
from .sources import issue, vaswani

_LAYER = "08_the_input_layer"
_MODEL = "10_into_the_model"
_HEADS = ("head of its own", "tied head")
_PRESS = "https://arxiv.org/abs/1608.05859"


def _order_seen(masked: bool, blocks: int) -> float:
    """How much any word's answer changes when all words are shuffled, relatively.

    Without a block it is attention alone.
    """
    n = 8
    visible = torch.ones(1, 1, n, n, dtype=torch.bool)
    context = AttentionContext(visible=visible.tril() if masked else visible)
    config = SimpleLLMConfig(19, 64, max(blocks, 1), 4, n)
    layers: list[nn.Module] = [Block(config) for _ in range(blocks)]
    if not blocks:
        layers = [CausalSelfAttention(64, 4)]

    def answers(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x, context)
        return x

    x, order = torch.randn(1, n, 64), torch.randperm(n)
    before, after = answers(x)[:, order], answers(x[:, order])
    return ((after - before).norm(dim=-1) / before.norm(dim=-1)).max().item()


def _sees_order() -> Measured:
    def largest(masked: bool) -> float:
        return max(_order_seen(masked, blocks) for blocks in (0, 1, 2))

    with torch.no_grad():
        return {
            "no mask": drawn(partial(largest, False)),
            "causal mask": drawn(partial(largest, True)),
        }


def _shapes_fit() -> Measured:
    table = PositionalEncoding(16, 32).pe.transpose(0, 1)  # (32, 1, 16), as in sequence-first code
    x = torch.zeros(4, 8, 16)
    wrong = x + table[: x.size(0)]  # (4, 8, 16): no error, the right shape
    differences = ((a - b).abs().max().item() for a, b in itertools.pairwise(wrong[0]))
    return {"rows taken along the batch": max(differences)}


def _rows_reached() -> Measured:
    """Share of the rows of a token table that a batch does not name and that get a gradient."""

    def share(tied: bool) -> float:
        model = SimpleLLM(SimpleLLMConfig(200, 32, 1, 2, 32, tie_weights=tied))
        ids = torch.randint(3, 100, (4, 17))
        table = model.input_embedding.token_embedding.embedding.weight
        (grad,) = torch.autograd.grad(next_token_loss(model(ids[:, :-1]), ids[:, 1:]), table)
        return (grad[100:] != 0).any(1).double().mean().item()

    return {head: drawn(partial(share, head == "tied head")) for head in _HEADS}


def _saving(blocks: int, vocab_size: int = 50_257) -> float:
    """The least share of all parameters that tying saves, over the widths."""

    def parameters(d: int, tied: bool) -> int:
        with torch.device("meta"):  # shapes without numbers
            config = SimpleLLMConfig(vocab_size, d, 1, 2, 1, position="none", tie_weights=tied)
            model = SimpleLLM(config)
        block = sum(p.numel() for p in model.blocks.parameters())
        return sum(p.numel() for p in model.parameters()) + (blocks - 1) * block

    return min(1 - parameters(d, True) / parameters(d, False) for d in WIDTHS)


def _savings() -> Measured:
    depths = {"2 blocks": 2, "12 blocks": 12, "32 blocks": 32}
    return {name: _saving(blocks) for name, blocks in depths.items()}


def _cost_of_tying() -> Measured:
    loss = scores("tying_start")
    return {
        f"{kind}, table from {std}": loss[f"tied, {kind}, std {std}, gain 1"]
        - loss[f"untied, {kind}, std {std}, gain 1"]
        for kind in ("sinusoidal", "learned")
        for std in ("0.02", "d^-1/2")
    }


def _ends(d: int, scale: bool) -> float:
    """The gradient that reaches a tied table from the head, over that from the input."""
    model = SimpleLLM(SimpleLLMConfig(500, d, 2, 4, 64, scale=scale))
    table = model.input_embedding.token_embedding.embedding.weight
    ids = torch.randint(3, 500, (4, 33))
    targets = ids[:, 1:]
    # The head's part: the same logits from rows that do not know the table.
    kept: list[Tensor] = []
    hook = model.norm.register_forward_hook(lambda *call: kept.append(call[-1]))
    whole = torch.autograd.grad(next_token_loss(model(ids[:, :-1]), targets), table)[0]
    hook.remove()
    logits = nn.functional.linear(kept[0].detach(), table)
    head = torch.autograd.grad(next_token_loss(logits, targets), table)[0]
    return (head.norm() / (whole - head).norm()).item()


def _both_ends() -> Measured:
    return {
        f"{'with' if scale else 'without'} the factor, width {d}": drawn(partial(_ends, d, scale))
        for scale in (False, True)
        for d in MODEL_WIDTHS
    }


#: The amounts of dropout, and the kinds of windows they were trained on.
_DROPOUT = ("0.1", "0.3", "0.1 everywhere")
_WINDOWS = {"aligned": "fixed windows", "random": "random crops"}


def _of_dropout(measure: Callable[[str], NDArray[np.float64]]) -> Measured:
    return {
        f"dropout {dropout}, {name}": measure(f"{dropout}, {windows}")
        for windows, name in _WINDOWS.items()
        for dropout in _DROPOUT
    }


def _gap() -> Measured:
    """Test loss minus loss on the text it was trained on, at each arm's best step."""
    test, seen = scores("dropout_crops"), scores("dropout_crops", "loss_aligned")
    return _of_dropout(lambda arm: test[arm] - seen[arm])


def _gap_closed() -> Measured:
    """By how much dropout lessens the gap, each against the same windows without."""
    test, seen = scores("dropout_crops"), scores("dropout_crops", "loss_aligned")

    def closed(arm: str) -> NDArray[np.float64]:
        control = f"0, {arm.rsplit(', ', 1)[1]}"
        lessened: NDArray[np.float64] = (test[control] - seen[control]) - (test[arm] - seen[arm])
        return lessened

    return _of_dropout(closed)


def _places_memorised() -> Measured:
    """Loss on the trained text, its windows moved, minus loss on the windows as trained."""
    moved = scores("dropout_crops", "loss_shifted")
    aligned = scores("dropout_crops", "loss_aligned")
    return {
        f"dropout {arm}": moved[f"{arm}, aligned"] - aligned[f"{arm}, aligned"] for arm in _DROPOUT
    }


def _megabytes() -> Measured:
    number = PositionalEncoding(2, 1).pe.element_size()  # bytes
    return {f"5,000 rows, width {d:,}": 5000 * d * number / 1e6 for d in WIDTHS}


def _padding() -> Measured:
    """What padding changes in the vectors of the running example's tokens."""
    torch.manual_seed(0)  # the tokens' rows cancel
    layer = InputEmbedding(256, 64, 16, 0.0).eval()
    ids = torch.tensor([[1, 15, 234, 89, 2]])
    pads = torch.zeros(1, 3, dtype=torch.long)
    right, left = torch.cat((ids, pads), 1), torch.cat((pads, ids), 1)
    alone = layer(ids)
    positions = positions_from_mask(left != 0)

    def change(x: Tensor) -> float:
        return (x - alone).abs().max().item()

    return {
        "on the right": change(layer(right)[:, :5]),
        "on the left": change(layer(left)[:, 3:]),
        "on the left, positions_from_mask": change(layer(left, positions=positions)[:, 3:]),
    }


def _padding_changes() -> Measured:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return _padding()


def _special_rows() -> Measured:
    def length(padding_idx: int | None) -> float:
        layer = InputEmbedding(256, 64, 8, 0.0, padding_idx=padding_idx)
        return layer.token_embedding(torch.tensor([[0]])).norm().item()

    return {
        "by default": drawn(lambda: length(None)),
        "padding_idx=0": drawn(lambda: length(0)),
    }


#: The claims about the input layer as a part.
CLAIMS = (
    Claim(
        key="attention-blind",
        text="Attention without positions cannot see the order of the words.",
        sources=(
            Source(
                "M. Brenndoerfer's handbook",
                "https://mbrenndoerfer.com/writing/position-problem-self-attention-word-order",
                "self-attention has no notion of order",
            ),
        ),
        number="largest change of a word's answer when 8 words are shuffled, relative, in "
        "attention alone and in one and two blocks",
        measure=_sees_order,
        rule=Below(1e-4),
        scale=f"width 64, {DRAWN}",
        chapter="02_why_order_matters",
        section="What the causal mask leaks",
        instead="Without a mask it cannot. With a causal mask each word sees which words came "
        "before it; in one layer only the last word is blind to their order.",
    ),
    Claim(
        key="shapes-fit",
        text="If the output has the right shape, the positions are right.",
        number="largest difference between what two neighbouring words are given; 0 is wrong",
        measure=_shapes_fit,
        rule=Above(0.01),
        scale=f"4 texts of 8 words, width 16, {EXACT}",
        chapter="09_silent_bug_lab",
        section="The test that everybody writes",
        instead="A table indexed along the batch gives every word of a text the same position, "
        "and raises nothing. Test values.",
        elsewhere="Met in code: songyangco/GETNext #2, tanjimin/C.Origami #42.",
    ),
    Claim(
        key="rows-reached",
        text="Only the rows of tokens in the batch get a gradient.",
        sources=(
            Source(
                "PaddlePaddle's guide, on sparse update",
                "https://www.paddlepaddle.org.cn/documentation/docs/en/api_guides/low_level/layers/"
                "sparse_update_en.html",
                "the process of backward update is only to update the two lines",
            ),
        ),
        number="share of the other rows that get one",
        measure=_rows_reached,
        rule=Below(0.001),
        share=True,
        scale=f"200 ids, {DRAWN}",
        chapter="01_from_text_to_vectors",
        section="Gradients reach only the rows that were used",
        instead="That is true of the look-up. With a tied head every row is also an output and "
        "gets one.",
    ),
    Claim(
        key="special-zero",
        text="PAD has a vector of zeros.",
        sources=(
            issue(
                "facebookresearch/fairseq",
                38,
                "nn.Embedding then automatically replaces this index with zeros",
            ),
        ),
        number="length of PAD's row in a new layer",
        measure=_special_rows,
        rule=Below(1e-6),
        scale=f"width 64, {DRAWN}",
        chapter="01_from_text_to_vectors",
        section="PAD, BOS and EOS",
        instead="By default PAD is a row like any other. `padding_idx` makes it zero and keeps it.",
        elsewhere="pytorch #6495: an initialisation of one's own undoes it.",
    ),
    Claim(
        key="padding",
        text="Padding does not change what the real tokens are given.",
        number="largest change in the vectors of five tokens, with three PAD",
        measure=_padding_changes,
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_LAYER,
        section="Lengths, chunks and padding",
        instead="On the left it does, unless positions count from the first real token.",
        elsewhere="Met in code: nnsight #672, unsloth #3699.",
    ),
    Claim(
        key="free-table",
        text="The fixed table costs no memory.",
        number="size of the stored table in float32",
        unit="MB",
        measure=_megabytes,
        rule=Below(0.001),
        scale=EXACT,
        chapter=_LAYER,
        section="What it stores",
        instead="It has no parameters and no optimiser state, but it takes 4·T·d bytes.",
    ),
    Claim(
        key="tying-saves",
        text="Tying the head to the token table saves parameters.",
        sources=(
            Source(
                "Press and Wolf 2017, abstract", _PRESS, "less than half of their original size"
            ),
        ),
        number="share of all parameters that is saved, 50,257 ids, least over widths 8 to 4,096",
        measure=_savings,
        rule=Above(0.05),
        scale=EXACT,
        chapter=_MODEL,
        section="One table at both ends",
        instead="It saves V·d of them, which is much in a shallow or narrow model and little in a "
        "large one.",
    ),
    Claim(
        key="tying-free",
        text="Tying costs no quality.",
        sources=(
            Source("Press and Wolf 2017, abstract", _PRESS, "without harming their performance"),
        ),
        number="loss tied minus loss untied from the same spread of the table, after 300 steps",
        unit="nats",
        measure=_cost_of_tying,
        rule=Below(0.01),
        trained=True,
        scale="about 100,000 parameters without the tables, pieces of words, 5 seeds",
        chapter=_MODEL,
        section="One table at both ends",
        instead="From a spread of 0.02 it costs much, from 1/√d little or nothing, at equal steps.",
        elsewhere="Qwen3 ties its models up to 4 billion parameters and unties from 8 billion on "
        "(its report).",
    ),
    Claim(
        key="both-ends",
        text="A tied table learns from both ends alike.",
        number="gradient from the head over gradient from the input",
        unit="times",
        measure=_both_ends,
        rule=Between(0.5, 2.0),
        scale=f"models of 2 blocks, {DRAWN}",
        chapter=_MODEL,
        section="One table at both ends",
        instead="At first the head teaches it more strongly, and most of all without the factor.",
        elsewhere="Press and Wolf 2017, abstract: a tied table evolves more like the output's than "
        "like the input's.",
    ),
    Claim(
        key="dropout-reduces",
        text="Dropout on the sum reduces overfitting.",
        sources=(vaswani("section 6.2", "dropout is very helpful in avoiding over-fitting"),),
        number="gap between new and trained text without dropout minus the gap with it",
        unit="nats",
        measure=_gap_closed,
        rule=Above(0.05),
        trained=True,
        scale="about 100,000 parameters, 20,000 characters, each at its best step, 5 seeds",
        chapter=_LAYER,
        section="What dropout does to memorised places",
        instead="If every model is stopped at its best step, dropout lets it train longer, and on "
        "fixed windows the gap is no narrower. Cut the windows at random first.",
        elsewhere="Vaswani et al. 2017 vary all dropout at once: perplexity 5.77 at 0, 4.92 at "
        "0.1, 4.95 at 0.2.",
    ),
    Claim(
        key="dropout-prevents",
        text="Dropout on the sum prevents overfitting.",
        sources=(vaswani("section 6.2", "avoiding over-fitting"),),
        number="loss on new text minus loss on trained text",
        unit="nats",
        measure=_gap,
        rule=Below(0.1),
        trained=True,
        scale="about 100,000 parameters, 20,000 characters, each at its best step, 5 seeds",
        chapter=_LAYER,
        section="What dropout does to memorised places",
        instead="Cut the windows at random; no dropout does that.",
    ),
    Claim(
        key="dropout-places",
        text="Dropout on the sum keeps a model from memorising which token stood where.",
        number="loss on trained text with its windows moved minus loss as trained",
        unit="nats",
        measure=_places_memorised,
        rule=Below(0.1),
        trained=True,
        scale="about 100,000 parameters, 20,000 characters, each at its best step, 5 seeds",
        chapter=_LAYER,
        section="What dropout does to memorised places",
        instead="Windows cut at random places keep it from that, with dropout or without.",
    ),
)
