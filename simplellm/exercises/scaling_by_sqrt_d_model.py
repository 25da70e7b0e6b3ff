"""The exercises of the chapter Scaling by √d_model that have an answer."""

import math

from .judging import Array, Choice, Exercise, Number

STD, WIDTH = 0.02, 768
SINUSOID = math.sqrt(0.5)  # root mean square of a sinusoidal row
FACTORS = (1.0, math.sqrt(WIDTH))  # without and with

# An InputEmbedding of this width whose position rows hold a fifth of the energy.
SHARE, SHARE_WIDTH = 1 / 5, 256


def spread(token_energy: float, factor: float = SHARE_WIDTH) -> float:
    """The spread that gives token rows this mean square after the factor √d."""
    return math.sqrt(token_energy / factor)


EXERCISES: tuple[Exercise, ...] = (
    Array(
        label="ex-scaling-ratio",
        answer=lambda: [STD * factor / SINUSOID for factor in FACTORS],
        within=0.005,
        right="s√2 without the factor and s√(2d) with it: 0.02 does not balance, even at 768.",
        mistakes=(
            (
                lambda: [STD * factor for factor in FACTORS],
                "That is the size of the token rows. Divide it by that of a sinusoidal row, √½.",
            ),
            (
                lambda: [STD * factor / 0.5 for factor in FACTORS],
                "One half is the mean *square* of a sinusoidal row; its size is the root of that.",
            ),
            (
                lambda: [SINUSOID / (STD * factor) for factor in FACTORS],
                "That is position over token; the ratio of the chapter is token over position.",
            ),
            (
                lambda: [STD * factor / SINUSOID for factor in reversed(FACTORS)],
                "The right two numbers, the other way round: first without the factor.",
            ),
            (
                lambda: [STD / SINUSOID, STD * WIDTH / SINUSOID],
                "The factor is the square root of the width, and not the width.",
            ),
        ),
    ),
    Number(
        label="ex-scaling-share",
        answer=lambda: spread(0.5 * (1 / SHARE - 1)),
        right="Shares are shares of squares: s² d has to be four times one half.",
        mistakes=(
            (
                lambda: spread(0.5 * (1 / SHARE - 1), factor=1),
                "So large must the rows *leave* the layer: s² d = 2. Divide by d to get s².",
            ),
            (
                lambda: spread(0.5 * SHARE / (1 - SHARE)),
                "There the *token* holds one fifth, and the position four.",
            ),
            (
                lambda: spread(0.5),
                "There both hold one half. The position is to hold one fifth of the sum.",
            ),
            (
                lambda: spread(0.5 / SHARE),
                "There the position has a fifth of the token's energy. It is to have a fifth of "
                "the sum of both.",
            ),
            (
                lambda: spread(0.5 * (1 / SHARE - 1) ** 2),
                "There the position is a fifth of the sum of *sizes*; energies are squares.",
            ),
            (
                lambda: 0.5 * (1 / SHARE - 1) / SHARE_WIDTH,
                "That is s², the square of the spread.",
            ),
        ),
    ),
    Choice(
        label="ex-scaling-faster",
        answer="table",
        right="Eight times the steps do what the factor does: it is a learning rate as well.",
        why={
            "start": "The table started from the same 0.02; only its rate was changed.",
            "both": "One of the two was left as it was: the table started from the same 0.02.",
            "neither": "Compare the steps to a loss of 0.1: the changed model keeps up with the "
            "scaled one.",
        },
    ),
    Choice(
        label="ex-scaling-norm",
        answer="no",
        right="The norm sees one row, the sum, and gives it a length; who is in it stays the same.",
        why={
            "yes": "Look at the two similarities: a length of 1 per column changes neither. The "
            "loud summand is as loud in the normalised row.",
            "partly": "Taking off the mean moves the third digit; of the two words a thousandth "
            "was left, and a thousandth it stays.",
        },
    ),
)
