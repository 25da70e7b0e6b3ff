"""The exercises of the chapter Start here that have an answer."""

import math

from ..sinusoids import sinusoidal_encoding
from .judging import Choice, Exercise, Function, Number

D_MODEL, ID, POSITION = 8, 234, 2  # of the number that ex-one-number asks for
SINE = math.sin(POSITION)
# A row of sines and cosines, (64,): its root mean square is the same at every position and width.
POSITION_SIZE = sinusoidal_encoding([POSITION], 64)[0].pow(2).mean().sqrt().item()

EXERCISES: tuple[Exercise, ...] = (
    Function(
        label="ex-one-number",
        reference=lambda entry: (
            entry * math.sqrt(D_MODEL) + sinusoidal_encoding([POSITION], D_MODEL)[0, 0].item()
        ),
        inputs=lambda: [(0.0,), (0.02,), (-0.05,), (1.0,)],
        takes="the table's entry",
        right="Every number of the layer's output is an entry times √d, plus one sine or cosine.",
        mistakes=(
            (
                lambda entry: entry + SINE,
                "You used the entry as it is in the table; the layer scales it by √8 first.",
            ),
            (
                lambda entry: entry * D_MODEL + SINE,
                "The entry is multiplied by 8, the width; the factor is the width's square root.",
            ),
            (
                lambda entry: (entry + SINE) * math.sqrt(D_MODEL),
                "The sum is scaled. The layer scales the token alone, and then adds the position.",
            ),
            (
                lambda entry: entry * math.sqrt(D_MODEL) + math.sin(POSITION + 1),
                "That is the sine at position 3. Positions count from 0, so 234 is at 2.",
            ),
            (
                lambda entry: entry * math.sqrt(D_MODEL) + math.sin(ID),
                "That is the sine of the id. The position is added: where 234 is, not which "
                "token it is.",
            ),
            (
                lambda entry: entry * math.sqrt(D_MODEL) + math.sin(math.radians(POSITION)),
                "That is the sine of 2 degrees. The angle is in radians.",
            ),
            (
                lambda entry: entry * math.sqrt(D_MODEL),
                "That is the token's part alone. The layer adds the position's.",
            ),
            (
                lambda entry: entry * math.sqrt(D_MODEL) + math.cos(POSITION),
                "That is the cosine, which is in column 1. Column 0 holds the sine.",
            ),
        ),
    ),
    Choice(
        label="ex-order",
        answer="token",
        right="Token rows go where the ids go; position rows stay, and the sum is a new one.",
        why={
            "position": "A position row belongs to a place and not to a word: the first row is "
            "the same, whichever id comes first.",
            "both": "If both were reversed, the output would be the reverse, and no model could "
            "tell the two orders apart. Compare `layer(ids.flip(1))` with `x.flip(1)`.",
            "neither": "The layer looks a row up for each id. In another order the ids get the "
            "same rows, in the other order.",
        },
    ),
    Number(
        label="ex-std",
        answer=lambda: POSITION_SIZE / math.sqrt(64),
        right="std · √d = √½, so std is 1/√(2d): the wider the model, the smaller.",
        mistakes=(
            (
                lambda: POSITION_SIZE,
                "The token rows must be this large when they *leave* the layer, after the factor.",
            ),
            (
                lambda: POSITION_SIZE / 64,
                "You divided by the width; the layer multiplies by the width's square root.",
            ),
            (
                1 / math.sqrt(64),
                "That gives token rows of size 1. The position rows are smaller: a sine's mean "
                "square is one half.",
            ),
            (
                0.5 / math.sqrt(64),
                "One half is the *mean square* of a position row; its size is the root of that.",
            ),
            (
                lambda: POSITION_SIZE**2 / 64,
                "That is the square of it, the variance. Take the root.",
            ),
            (
                lambda: POSITION_SIZE * math.sqrt(64),
                "You multiplied by √64. The layer does that; the table has to be so much smaller.",
            ),
            (0.02, "That is the spread a table starts from today; tokens are then too small."),
        ),
    ),
)
