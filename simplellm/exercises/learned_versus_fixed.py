"""The exercises of the chapter Learned versus fixed that have an answer."""

from functools import cache

from ..records import final_scores, load
from .judging import Array, Exercise, Number

ROWS, TRAINED, WIDTH = 256, 32, 64
BACK, WINDOW = 3, 128


@cache
def accuracy(first: int, end: int) -> float:
    """Mean accuracy of the recorded sinusoidal model over the positions first to end - 1."""
    scores = final_scores(load("extrapolation"), "accuracy_by_position")["sinusoidal"]
    return float(scores[:, first:end].mean())


def first_with_two() -> int:
    """The first position from which the row three back is also that of an earlier place."""
    return next(
        p
        for p in range(BACK, WINDOW)
        if (p - BACK) % TRAINED in {place % TRAINED for place in range(p - BACK)}
    )


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-versus-parameters",
        answer=ROWS * WIDTH,
        whole=True,
        unit="parameters",
        right="A row for each position that could be asked for, used or not.",
        mistakes=(
            (
                TRAINED * WIDTH,
                "Only that many are ever trained. The table has a row for each of 256 positions.",
            ),
            (ROWS + WIDTH, "Each of 256 rows has 64 numbers: multiply."),
            (
                4 * ROWS * WIDTH,
                "That is how many numbers training holds for it, or how many bytes the table "
                "takes. The parameters are a quarter of that.",
            ),
            (2 * ROWS * WIDTH, "One table of positions is enough: the output has none."),
        ),
    ),
    Array(
        label="ex-versus-average",
        answer=lambda: [accuracy(3, 40), accuracy(32, 40)],
        within=0.005,
        share=True,
        right="29 positions that were trained hide 8 that were not: name the window you score.",
        mistakes=(
            (
                lambda: [accuracy(0, 40), accuracy(32, 40)],
                "The first has positions 0 to 2 in it, which have no symbol three back.",
            ),
            (
                lambda: [accuracy(3, 39), accuracy(32, 39)],
                "One position is missing: a slice leaves out its end, so 39 takes 40.",
            ),
            (
                lambda: [(accuracy(3, 32) + accuracy(32, 40)) / 2, accuracy(32, 40)],
                "The first is the mean of two means. The window has 29 positions of one kind and "
                "8 of the other, and each counts once.",
            ),
            (
                lambda: [accuracy(32, 40), accuracy(3, 40)],
                "The right two numbers, the other way round: the whole window first.",
            ),
            (
                lambda: [accuracy(3, 32), accuracy(32, 40)],
                "The first is that of the trained positions. The window reaches on to 39.",
            ),
        ),
    ),
    Number(
        label="ex-versus-wrap",
        answer=first_with_two,
        whole=True,
        right="From there on two places carry the row that is wanted; nothing tells them apart.",
        mistakes=(
            (
                TRAINED,
                "There a row stands for the second time: the asking place's own. But three back "
                "is 29, whose row has stood once only.",
            ),
            (
                TRAINED - 1,
                "That is the last position before the wrap; every row has stood once.",
            ),
            (
                TRAINED + BACK + 1,
                "Almost: at 36 three back is 33, whose row stands at 1 too. Look one earlier.",
            ),
            (
                2 * TRAINED,
                "From there on a row stands *three* times. Look for the second.",
            ),
        ),
    ),
)
