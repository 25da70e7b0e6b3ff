"""The exercises of the chapter Learned positions that have an answer."""

import math

from .judging import Choice, Exercise, Number

TOKENS, POSITIONS, WIDTH = 50_257, 1_024, 768  # of the smallest GPT-2
RATE, DECAY, LEFT = 0.01, 0.1, 0.1  # of ex-learned-decay


def steps(each: float, left: float = LEFT) -> float:
    """After how many steps a number that loses the share ``each`` in one has the share ``left``."""
    return math.log(left) / math.log(1 - each)


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-learned-cost",
        answer=TOKENS / POSITIONS,
        unit="times as large",
        right="The width cancels: a table is as large as it has rows, and words outnumber places.",
        mistakes=(
            (POSITIONS / TOKENS, "That is the share of the position table; turn it round."),
            (
                TOKENS * WIDTH,
                "That is how many parameters the token table has. How many times as large is it?",
            ),
            (
                (TOKENS - POSITIONS) * WIDTH,
                "That is how many *more* parameters the token table has. How many *times* as many?",
            ),
            (TOKENS - POSITIONS, "So many *more* rows it has. How many *times* as many?"),
            (TOKENS / WIDTH, "That is rows over columns of one table. Compare the two tables."),
        ),
    ),
    Number(
        label="ex-learned-decay",
        answer=lambda: steps(RATE * DECAY),
        unit="steps",
        right="The row keeps 1 − ηλ of itself at each step, whatever the loss does.",
        mistakes=(
            (
                lambda: steps(DECAY),
                "There each step takes a tenth. The decay is multiplied by the learning rate.",
            ),
            (
                lambda: steps(RATE),
                "There each step takes a hundredth, the learning rate. The decay is missing.",
            ),
            (
                (1 - LEFT) / (RATE * DECAY),
                "That takes the same *amount* at each step. It is the same share of what is left.",
            ),
            (
                1 / (RATE * DECAY),
                "By then 1/e of the row is left, about 37 %.",
            ),
            (
                lambda: steps(RATE * DECAY, left=0.5),
                "By then half of the row is left.",
            ),
            (
                lambda: steps(RATE * DECAY, left=0.9),
                "By then the row has lost a tenth; it is to have only a tenth left.",
            ),
        ),
    ),
    Choice(
        label="ex-learned-grow",
        answer="noise",
        right="The new rows are as they were drawn, 0.02 of noise, until training reaches them.",
        why={
            "zeros": "They would be zero only if you had set them so: a new table is drawn from "
            "N(0, 0.02²). Print the standard deviation of these rows.",
            "row 47": "Nothing copies the last row onwards; that would be an idea of its own.",
            "the pattern": "A table has no formula to go on with. That is what a sinusoid has.",
        },
    ),
    Choice(
        label="ex-learned-noise",
        answer="no",
        right="The moves are hardly more alike than the rows: training itself left them different.",
        why={
            "most": "Then the moves, from which the first noise is taken off, would be nearly "
            "alike at lag 7. Compare them.",
            "all": "Then the moves would have a similarity of 1 at lag 7. They have about half.",
        },
    ),
    Number(
        label="ex-learned-first",
        answer=3,
        whole=True,
        unit="place",
        right="Only place 3 looks for the first token, and that one is not where it should be.",
        mistakes=(
            (0, "That is the token that keeps its row. Which place has to find it?"),
            (1, "Nothing is asked there: it has no symbol 3 places back."),
            (4, "That is the position it is at. Its place in the window is one less."),
            (31, "It is on row 32, which is untrained: that answer is lost in both cases."),
        ),
    ),
)
