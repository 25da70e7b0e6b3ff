"""The exercises of the chapter From text to ids to vectors that have an answer."""

import torch
from torch import Tensor

from ..model import SimpleLLM, SimpleLLMConfig, next_token_loss
from ..vocabulary import Vocabulary
from .judging import Array, Exercise, Function, Number

CAFE = "naïve café ☕"
BATCH = ((1, 15, 15, 2, 0, 0), (1, 89, 15, 234, 7, 30))


def _rows_with_gradient(tied: bool) -> int:
    """How many rows of a table of 256 one training step on the batch reaches."""
    with torch.random.fork_rng(devices=[]):  # the reader's own numbers stay as they were
        model = SimpleLLM(SimpleLLMConfig(256, 8, 1, 1, 8, tie_weights=tied))
    ids = torch.tensor(BATCH)
    loss = next_token_loss(model(ids[:, :-1]), ids[:, 1:])
    table = model.input_embedding.token_embedding.embedding.weight
    (gradient,) = torch.autograd.grad(loss, table)
    return int((gradient != 0).any(1).sum())


def _distinct(ids: Tensor) -> int:
    return len(set(ids.flatten().tolist()))


def grow(table: Tensor, size: int) -> Tensor:
    """The table with new rows at its end, each the mean of the old ones."""
    return torch.cat((table, table.mean(0).expand(size - len(table), -1)))


def _tables() -> list[tuple[Tensor, int]]:
    """Tables to enlarge by one row, by several and by none."""
    draw = torch.Generator().manual_seed(0)
    return [
        (torch.randn(old, width, generator=draw), new)
        for old, width, new in ((5, 4, 6), (7, 3, 12), (4, 2, 4))
    ]


EXERCISES: tuple[Exercise, ...] = (
    Array(
        label="ex-text-shape",
        answer=(8, 32, 64),
        right="Each id becomes one row of the table; the size of the vocabulary leaves no trace.",
        mistakes=(
            ((8, 32, 1000), "That is the shape of the one-hot vectors, before the product."),
            ((8, 1000, 64), "A row is taken for each of the 32 ids, not for each known token."),
            ((32, 64), "That is one text. The batch has 8, and its axis comes first."),
            ((8, 64), "That would be one row for each text; there is one for each id."),
            ((8, 32), "That is the shape of the ids. Each of them becomes a row of 64 numbers."),
            ((8, 64, 32), "The width of a row is the last axis: (batch, seq_len, d_model)."),
        ),
    ),
    Number(
        label="ex-text-bytes",
        answer=lambda: len(Vocabulary.bytes().encode(CAFE, bos=True, eos=True)),
        whole=True,
        unit="ids",
        right="ï and é take two bytes each and ☕ three; BOS and EOS add two more.",
        mistakes=(
            (lambda: len(CAFE), "Those are the characters; three of them take several bytes."),
            (
                lambda: len(CAFE) + 2,
                "Those are the characters with BOS and EOS; three of them take several bytes.",
            ),
            (lambda: len(CAFE.encode()), "Those are the bytes; BOS and EOS are missing."),
            (lambda: len(CAFE.encode()) + 1, "One is missing: BOS comes first and EOS last."),
        ),
    ),
    Number(
        label="ex-text-gradient",
        answer=lambda: _rows_with_gradient(tied=False),
        whole=True,
        unit="rows",
        right="Rows 1, 7, 15, 89 and 234: each was read where something was to be said after it.",
        mistakes=(
            (
                lambda: _rows_with_gradient(tied=True),
                "That is the tied model, whose head compares with every row. This one is untied.",
            ),
            (
                lambda: _distinct(torch.tensor(BATCH)),
                "So many different ids are in the batch, and at so many places something is "
                "asked. A row counts once, and only if something is asked after it.",
            ),
            (
                lambda: _distinct(torch.tensor(BATCH)[:, :-1]),
                "Those are all ids that are read. After PAD and after EOS the target is PAD, which "
                "the loss ignores.",
            ),
            (
                lambda: _distinct(torch.tensor(BATCH)[:, 1:]) - 1,
                "Those are the targets, and they reach the head. The table is reached by what is "
                "read.",
            ),
        ),
    ),
    Function(
        label="ex-text-grow",
        reference=grow,
        inputs=_tables,
        takes="a table and its new number of rows",
        right="Old rows stay bit for bit, or the model forgets; the mean is an unremarkable guess.",
        mistakes=(
            (
                lambda table, size: torch.cat(
                    (table, torch.zeros(size - len(table), table.shape[1]))
                ),
                "The new rows are zero. Take the mean of the old ones.",
            ),
            (
                lambda table, size: torch.cat(
                    (table, table.mean(1)[:, None].expand(-1, table.shape[1])[: size - len(table)])
                ),
                "The mean goes over the rows, the first axis: one number for each column.",
            ),
            (
                lambda table, size: torch.cat(
                    (table, table.mean().expand(size - len(table), table.shape[1]))
                ),
                "The new rows hold the mean of all numbers. Take it column by column: dim=0.",
            ),
            (
                lambda table, size: torch.cat((table, table[-1:].expand(size - len(table), -1))),
                "The new rows repeat the last old one. Take the mean of all old rows.",
            ),
            (
                lambda table, size: torch.cat((table.mean(0).expand(size - len(table), -1), table)),
                "The new rows come first, so every old id finds another row. Append them.",
            ),
            (
                lambda table, size: torch.cat((table, table.mean(0)[None])),
                "That adds one row, whatever the new number of rows.",
            ),
        ),
    ),
)
