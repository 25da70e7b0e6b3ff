"""Claims about multiplying token rows by √d_model, and about how tables start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from ..input_embedding import InputEmbedding
from ..model import SimpleLLM, SimpleLLMConfig, next_token_loss
from .claim import (
    DRAWN,
    MODEL_WIDTHS,
    TASK,
    TEXT,
    WIDTHS,
    Claim,
    Measured,
    Source,
    drawn,
    scores,
)
from .rules import Above, Below, Between
from .sources import EMBEDDINGS, LEARNING, issue

_CHAPTER = "03_scaling_by_sqrt_d_model"
#: Every combination of kind of position and start that was trained on the task.
_KINDS, _STARTS = ("sinusoidal", "learned"), {"0.02": "0.02", "d^-1/2": "1/√d", "1": "1"}


def _size(rows: torch.Tensor) -> float:
    return rows.detach().pow(2).mean().sqrt().item()


#: How the token tables of code bases that multiply by √d_model start: half the width of a uniform
#: distribution, or the spread of a normal one, by the table's width.
_UNIFORM: dict[str, Callable[[int], float]] = {
    "U(−0.1, 0.1), PyTorch's tutorial": lambda d: 0.1,
    "Xavier, Annotated Transformer": lambda d: math.sqrt(6 / (10_000 + d)),  # of 10,000 ids
}
_NORMAL: dict[str, Callable[[int], float]] = {
    "std 1/√d, tensor2tensor": lambda d: d**-0.5,
    "std 1, nn.Embedding": lambda d: 1.0,
    "std 0.02, GPT-2's": lambda d: 0.02,
}


def _balance() -> Measured:
    def ratio(d: int, start: str) -> float:
        layer = InputEmbedding(256, d, 128, 0.0).token_embedding
        with torch.no_grad():
            if start in _UNIFORM:
                limit = _UNIFORM[start](d)
                layer.embedding.weight.uniform_(-limit, limit)
            else:
                layer.embedding.weight.normal_(std=_NORMAL[start](d))
        return _size(layer(torch.arange(256)[None])) / math.sqrt(0.5)

    return {
        f"{start}, width {d:,}": drawn(partial(ratio, d, start))
        for start in (*_NORMAL, *_UNIFORM)
        for d in WIDTHS
    }


def _unscaled_accuracy() -> Measured:
    accuracy = scores("scaling", "accuracy")
    # At a start of 1 the tokens are the larger part, so nothing can drown them.
    return {
        f"start of {_STARTS[start]}": accuracy[f"sinusoidal, {start}, not scaled"]
        for start in ("0.02", "d^-1/2")
    }


def _gain_of_scaling() -> Measured:
    text, pieces, task = scores("scaling_text"), scores("scaling_alibi"), scores("scaling")
    found = {
        f"text, {kind}": text[f"{kind}, not scaled"] - text[f"{kind}, scaled"] for kind in _KINDS
    }
    found["text in pieces, ALiBi"] = pieces["not scaled"] - pieces["scaled"]
    for kind in _KINDS:
        for arm, start in _STARTS.items():
            found[f"symbol 3 back, {kind}, start of {start}"] = (
                task[f"{kind}, {arm}, not scaled"] - task[f"{kind}, {arm}, scaled"]
            )
    return found


def _share_of_the_start() -> Measured:
    loss = scores("balance")
    usual, both = loss["small, usual rate"], loss["8 times larger, 8 times faster"]
    share: NDArray[np.float64] = (usual - loss["8 times larger, usual rate"]) / (usual - both)
    faster: NDArray[np.float64] = (usual - loss["small, 8 times faster"]) / (usual - both)
    return {"alone": share, "on top of a faster table": 1 - faster}


def _gradients(d: int, position: str, tied: bool, at_table: bool) -> float:
    """Length of the loss's gradient at the token table, or behind the layer."""
    config = SimpleLLMConfig(256, d, 2, 4, 128, position=position, tie_weights=tied, scale=True)
    model = SimpleLLM(config)
    outputs: list[torch.Tensor] = []
    model.input_embedding.register_forward_hook(lambda *call: outputs.append(call[-1]))
    ids = torch.randint(3, 256, (4, 33))
    loss = next_token_loss(model(ids[:, :-1]), ids[:, 1:])
    table = model.input_embedding.token_embedding.embedding.weight
    (gradient,) = torch.autograd.grad(loss, table if at_table else outputs[0])
    return gradient.norm().item()


def _gradient_growth() -> Measured:
    _, small, large = MODEL_WIDTHS

    def growth(position: str, tied: bool, at_table: bool) -> NDArray[np.float64]:
        wide, narrow = (
            drawn(partial(_gradients, d, position, tied, at_table)) for d in (large, small)
        )
        return wide / narrow

    return {
        f"{position}, {head}: {place}": growth(
            position, head == "tied head", place == "at the table"
        )
        for position in _KINDS
        for head in ("head of its own", "tied head")
        for place in ("at the table", "behind the layer")
    }


def _movement() -> Measured:
    def moved(d: int, scale: bool) -> float:
        layer = InputEmbedding(256, d, 8, 0.0, scale=scale).token_embedding
        ids = torch.arange(256)[:, None]
        before = layer(ids).detach()
        (layer(ids) * torch.randn(256, 1, d)).sum().backward()
        table = layer.embedding.weight
        assert table.grad is not None
        with torch.no_grad():  # Adam's first step: every entry by the rate, along its sign
            table -= 1e-3 * table.grad.sign()
        return _size(layer(ids) - before)

    def further(d: int) -> float:
        return moved(d, True) / moved(d, False)

    return {f"width {d:,}, first step of Adam": drawn(partial(further, d)) for d in WIDTHS}


def _first_loss() -> Measured:
    def excess(d: int, std: float, tied: bool) -> float:
        model = SimpleLLM(
            SimpleLLMConfig(1000, d, 2, 4, 64, init_std=std, scale=False, tie_weights=tied)
        ).eval()
        ids = torch.randint(3, 1000, (4, 65))
        with torch.no_grad():
            return next_token_loss(model(ids[:, :-1]), ids[:, 1:]).item() - math.log(1000)

    def largest(std: float, tied: bool) -> float:
        return max(excess(d, std, tied) for d in MODEL_WIDTHS)

    return {
        f"std {std:g}, {head}": drawn(partial(largest, std, head == "tied head"))
        for std in (0.02, 1.0)
        for head in ("head of its own", "tied head")
    }


def _normal_lead() -> Measured:
    loss = scores("initialisation")
    return {"text": loss["uniform"] - loss["normal"]}


#: The claims about scaling and initialisation.
CLAIMS = (
    Claim(
        key="balance",
        text="Multiplying by √d_model balances tokens and positions.",
        sources=(
            issue("khirotaka/SAnD", 3, "so I wanted to adjust the magnitude"),
            Source(
                "DeepLearning.AI community 28521",
                f"{LEARNING}/week-4-exercise-5-encoder-why-need-to-scale-the-embedding-by-sqrt-d"
                "/28521",
                "avoid the positional encoding vectors dominate the embedding",
            ),
            issue("Kyubyong/transformer", 130, "to adjust weight of"),
        ),
        number="size of token rows over size of sinusoids, with the factor, in a new layer",
        measure=_balance,
        rule=Between(0.5, 2.0),
        scale=f"a new layer, {DRAWN}",
        chapter=_CHAPTER,
        section="Two sizes",
        instead="It depends on the start. From a spread s the ratio is s·√(2d): with 1/√d that is "
        "1.41 at every width. With 0.02 it is balanced from width 313 to 5,000, with U(−0.1, 0.1) "
        "from 38 to 600 (1.15 at the tutorial's 200), with Xavier's for 10,000 ids from 667 on, "
        "and with 1 at no width above 2.",
        elsewhere="tensor2tensor and fairseq start from 1/√d and multiply; GPT-2 starts from 0.02 "
        "and does not (their sources).",
    ),
    Claim(
        key="drowned",
        text="Without √d_model the positions drown the tokens, and the model cannot learn.",
        sources=(
            Source(
                "DeepLearning.AI community 890839",
                f"{LEARNING}/why-scale-up-embeddings-by-d-model-instead-of-scaling-down-positional-"
                "encodings/890839",
                "would dominate and drown out the token semantics",
            ),
        ),
        number="accuracy without the factor, with sinusoids, at the rate that suits it",
        measure=_unscaled_accuracy,
        rule=Below(0.9),
        share=True,
        trained=True,
        scale=TASK,
        chapter=_CHAPTER,
        section="What training makes of it",
        instead="In a new layer sinusoids do drown tokens of 0.02. At a rate that suits it, the "
        "table grows out of that within the first steps.",
    ),
    Claim(
        key="scaling-helps",
        text="Multiplying by √d_model makes a model learn better.",
        sources=(
            issue("keras-team/keras-io", 655, "found effective during research"),
            Source(
                "DeepLearning.AI community 19640",
                f"{LEARNING}/scaling-the-embedding-outcome-in-the-encoder/19640",
                "worked well",
            ),
        ),
        number="loss without the factor minus loss with it, after 200 steps (text) or 150 (task)",
        unit="nats",
        measure=_gain_of_scaling,
        rule=Above(0.01),
        trained=True,
        scale="about 100,000 parameters, 64 positions of text or 32 symbols (ALiBi: 228,096 "
        "parameters and pieces of words), 5 seeds",
        chapter=_CHAPTER,
        section="Balance, or learning rate?",
        instead="Early in training it helps with sinusoids, and with a small learned table it does "
        "harm. Name the positions, the start, the rate and the step.",
        elsewhere="Gemma multiplies by √d with rotary positions, where there is nothing to balance "
        "(its source).",
    ),
    Claim(
        key="balance-is-why",
        text="√d_model helps mostly because it balances.",
        sources=(
            Source(
                "DeepLearning.AI community 19640",
                f"{LEARNING}/scaling-the-embedding-outcome-in-the-encoder/19640",
                "most possible one is about the balancing",
            ),
        ),
        number="share of the gain of both that a table brings which merely starts 8 times larger",
        measure=_share_of_the_start,
        rule=Above(0.5),
        trained=True,
        scale=f"{TEXT}; sinusoids, 600 steps",
        chapter=_CHAPTER,
        section="Balance, or learning rate?",
        instead="Either half of the factor can stand in for the other. A larger start alone brings "
        "more than half of the gain. A faster table brings all of it, and the start adds none.",
    ),
    Claim(
        key="only-a-size",
        text="The factor only makes the vectors larger; training does not see it.",
        sources=(
            replace(
                EMBEDDINGS,
                says="accomplishes nothing because the model could counteract any […] scaling",
            ),
        ),
        number="how far one step moves the token rows, with the factor over without",
        unit="times",
        measure=_movement,
        rule=Between(0.9, 1.1),
        scale=f"one step, 256 rows, {DRAWN}",
        chapter="10_into_the_model",
        section="What √d really is",
        instead="Under Adam the factor is also a learning rate for the table, √d times larger.",
    ),
    Claim(
        key="stable-gradients",
        text="√d_model keeps gradients from changing with the size of the model.",
        sources=(
            replace(
                EMBEDDINGS,
                says="worked with ever larger models […] smaller loss gradients",
            ),
            issue("harvardnlp/annotated-transformer", 121, "for numerical stability"),
        ),
        number="length of the loss's gradient at width 512 over that at 64, with the factor",
        unit="times",
        measure=_gradient_growth,
        rule=Between(0.67, 1.5),
        scale=f"models of 2 blocks, random ids, {DRAWN}",
        chapter=_CHAPTER,
        section="What the factor does to the gradient",
        instead="At the table the gradient grows with the width. Name the place and the model.",
    ),
    Claim(
        key="first-loss",
        text="Before training the loss is about ln V.",
        sources=(
            Source(
                "F. Skogh's blog, on cross-entropy",
                "https://filipskogh.com/blog/ml/2023/08/16/cross-entropy.html",
                "know what the loss value should start on",
            ),
            Source(
                "I. Bull's course on language models",
                "https://llms.ianbull.com/06-training/watching-it-learn.html",
                "The initial loss of ~6.39 corresponds to random guessing",
            ),
        ),
        number="first loss minus ln V, the largest over widths 8, 64 and 512, 1,000 ids, no factor",
        unit="nats",
        measure=_first_loss,
        rule=Below(1.0),
        scale=f"models of 2 blocks, {DRAWN}",
        chapter="10_into_the_model",
        section="The first loss",
        instead="It is, if the logits start small. Those of a tied head do not where its table "
        "starts from a spread of 1, the default of `nn.Embedding`.",
    ),
    Claim(
        key="normal-start",
        text="The token table should be drawn from a normal distribution.",
        number="loss of a uniform start minus loss of a normal one of the same spread",
        unit="nats",
        measure=_normal_lead,
        rule=Above(0.01),
        trained=True,
        scale=TEXT,
        chapter="01_from_text_to_vectors",
        section="What the rows start as",
        instead="Of the shape these five seeds show nothing, at one spread and one rate.",
        elsewhere="Kocmi and Bojar 2017 (arXiv 1711.09160), four tasks: no significant difference "
        "between random starts as long as the variance is low.",
    ),
)
