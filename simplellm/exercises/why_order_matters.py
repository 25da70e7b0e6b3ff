"""The exercises of the chapter Why order matters that have an answer."""

import math
from typing import Any

import torch

from ..experiments import MICROSCOPE, POSITION_ARMS
from ..model import SimpleLLM, SimpleLLMConfig
from .judging import Array, Choice, Exercise, Number

IDS = (103, 50_257)  # of the text the exercise names, and of GPT-2


def count(arm: str = "none", biases: bool = True, **changes: Any) -> int:
    """How many parameters the microscope has; the reader's random numbers are left alone."""
    settings = {**MICROSCOPE, **POSITION_ARMS[arm], "d_model": 128, **changes}
    with torch.random.fork_rng(devices=[]):
        model = SimpleLLM(SimpleLLMConfig(vocab_size=19, **settings))
    named = model.named_parameters()
    return sum(p.numel() for name, p in named if biases or not name.endswith("bias"))


EXERCISES: tuple[Exercise, ...] = (
    Array(
        label="ex-order-loss",
        answer=lambda: [math.log(n) for n in IDS],
        within=0.01,
        right="Knowing nothing costs ln V: 488 times the ids, and a little over twice the price.",
        mistakes=(
            (
                lambda: [math.log2(n) for n in IDS],
                "That is in bits. The loss is in nats: take the natural logarithm.",
            ),
            (
                lambda: [math.log10(n) for n in IDS],
                "That is the logarithm to the base 10. The loss takes the natural one.",
            ),
            (
                lambda: [-math.log(n) for n in IDS],
                "That is ln(1/V), the logarithm of the probability. The loss is minus it.",
            ),
            (
                lambda: list(IDS),
                "Those are the perplexities, e to the loss. The loss is their logarithm.",
            ),
            (
                lambda: [1 / n for n in IDS],
                "That is the probability of each id. The loss is minus its logarithm.",
            ),
            (
                lambda: [math.log(n) for n in reversed(IDS)],
                "The right two numbers, the other way round: the small vocabulary first.",
            ),
        ),
    ),
    Number(
        label="ex-order-count",
        answer=count,
        whole=True,
        unit="parameters",
        right="Matrices of d × d hold nearly all of it, and they grow with the square of d.",
        mistakes=(
            (
                lambda: 2 * count(d_model=64),
                "Twice as many as before: but a matrix of d × d has four times as many entries.",
            ),
            (
                lambda: 4 * count(d_model=64),
                "Four times as many as before: but the tables, norms and biases grow with d alone.",
            ),
            (
                lambda: count(d_model=64),
                "That is the microscope as it was, 64 wide. Double its width.",
            ),
            (
                lambda: count() / count(d_model=64),
                "That is the factor by which it grew. How many parameters are that?",
            ),
            (
                lambda: count("learned"),
                "A table of positions is among them, and this model has none.",
            ),
            (
                lambda: count(tie_weights=True),
                "One table of 19 rows is missing: the output has a matrix of its own here.",
            ),
            (
                lambda: count(biases=False),
                "The biases are missing: each matrix inside a block and each norm has one.",
            ),
            (
                lambda: count(n_layers=1),
                "That is one block. The microscope has two.",
            ),
        ),
    ),
    Choice(
        label="ex-order-seven",
        answer="beginning",
        right="An average of few vectors betrays how few they are; an average of many does not.",
        why={
            "end": "There every query averages over many tokens, and the averages of 25 and of 26 "
            "are hardly different. Print the hits of the first four places beside those of the "
            "last four.",
            "everywhere": "It would then know the place, and hit it each time. Print the share of "
            "hits place by place.",
            "nowhere": "It does beat chance: print the share of hits place by place.",
        },
    ),
)
