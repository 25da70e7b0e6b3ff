"""The exercises of the chapter Into the model that have an answer."""

import math
from typing import Any

import torch

from ..model import SimpleLLM, SimpleLLMConfig
from .judging import Choice, Exercise, Number

WIDTH, COSINE = 512, 0.9  # of ex-model-own


def count(blocks: int = 2, **changes: Any) -> int:
    """How many parameters a model has; the reader's random numbers are left alone."""
    config = SimpleLLMConfig(256, 64, blocks, 4, 128, **changes)
    with torch.random.fork_rng(devices=[]):
        return sum(p.numel() for p in SimpleLLM(config).parameters())


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-model-parameters",
        answer=count,
        whole=True,
        unit="parameters",
        right="One table at both ends, two blocks, one last norm, and nothing for the positions.",
        mistakes=(
            (
                lambda: count(tie_weights=False),
                "The table is counted twice. Tied, the head has no matrix of its own.",
            ),
            (
                lambda: count(position="learned"),
                "The position rows are counted. Sinusoids are a buffer: nothing trains them.",
            ),
            (
                lambda: count(position="learned", tie_weights=False),
                "The position rows are counted, which nothing trains, and the table twice.",
            ),
            (
                lambda: count(tie_weights=False) - count(),
                "So many an untied head adds. How many has the tied model?",
            ),
            (lambda: count(blocks=1), "That is the model with one block; it has two."),
            (
                lambda: count() - 2 * 64,
                "The last norm is missing: a gain and a shift of 64 each.",
            ),
            (
                lambda: count() - 2 * 4 * 64,
                "The biases of attention are missing: one of 64 for each of four matrices.",
            ),
        ),
    ),
    Number(
        label="ex-model-own",
        answer=lambda: math.sqrt(WIDTH) * COSINE,
        within=0.08,  # the cosine is said to be *about* 0.9
        right="s d cos with s = 1/√d is √d cos: it grows with the width, and so does the loss.",
        mistakes=(
            (
                lambda: 0.02 * WIDTH * COSINE,
                "That is with a spread of 0.02. This table starts from 1/√d.",
            ),
            (
                lambda: math.sqrt(WIDTH),
                "That is s d. The vector and the row do not point the same way: times the cosine.",
            ),
            (
                lambda: WIDTH * COSINE,
                "That is d cos. The row has the length s√d and the vector √d: the spread s is "
                "missing.",
            ),
            (
                lambda: COSINE,
                "You took both for unit vectors. Here the row has length 1 and the vector √d: "
                "that is what the last norm makes of it.",
            ),
        ),
    ),
    Choice(
        label="ex-model-alibi",
        answer="t5",
        right="T5 has a number for distance 3; ALiBi can only prefer near to far.",
        why={
            "alibi": "Its loss stays near that of a model without positions: a penalty that grows "
            "with the distance cannot prefer the third to the second.",
            "both": "One of the two losses stays far from zero. Print them.",
            "neither": "One of the two losses is close to zero. Print them.",
        },
    ),
)
