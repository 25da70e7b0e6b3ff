"""The exercises of the chapter The input layer, whole, that have an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..input_embedding import InputEmbedding
from ..padding import positions_from_mask
from .judging import Array, Exercise, Function, Number

TABLE_BYTES = 2048 * 1024 * 4  # 2,048 positions, width 1,024, float32


def left_padded_masks() -> list[tuple[Any, ...]]:
    """Masks of left-padded batches; one has no padding at all."""
    masks = (
        [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]],
        [[0, 1]],
        [[1, 1, 1]],
        [[0, 0, 0, 1], [0, 0, 1, 1]],
    )
    return [(torch.tensor(mask),) for mask in masks]


def layer_and_chunks() -> list[tuple[Any, ...]]:
    """Layers, ids, and sizes of chunks, of which some leave a shorter one at the end."""
    return [
        (_layer_for_chunks(length, size), torch.arange(2 * length).view(2, length), size)
        for length, size in ((10, 4), (8, 3), (5, 1), (6, 6))
    ]


def _layer_for_chunks(length: int, size: int) -> Any:
    """A layer that refuses other chunks: fed all at once, it gives the right output as well."""

    def look(layer: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        chunk = (args[0] if args else options["ids"]).shape[-1]
        layer.fed += chunk  # on the layer, so that every copy counts for itself
        if chunk > size or (chunk < size and layer.fed < length):
            raise ValueError(f"it feeds the layer {chunk} at once, and the size is {size}")

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer: Any = InputEmbedding(vocab_size=32, d_model=8, max_seq_len=16, dropout=0.0)
    layer.fed = 0
    layer.register_forward_pre_hook(look, with_kwargs=True)
    return layer


def _joined(layer: InputEmbedding, chunks: Iterator[tuple[int, Tensor]]) -> Tensor:
    return torch.cat([layer(chunk, start=start) for start, chunk in chunks], dim=1)


EXERCISES: tuple[Exercise, ...] = (
    Array(
        label="ex-layer-shapes",
        answer=((3, 7, 64), (1, 7, 64), (3, 7, 64)),
        within=0.1,
        right="Only the lookup adds an axis; the slice has a batch axis of 1 and is broadcast.",
        mistakes=(
            (
                ((3, 7, 64), (3, 7, 64), (3, 7, 64)),
                "The slice holds one row for each position and no copy for each text.",
            ),
            (
                ((3, 7, 64), (7, 64), (3, 7, 64)),
                "A slice keeps its axes: the first, of length 1, is that of the batch.",
            ),
            (
                ((3, 7, 64), (1, 128, 64), (3, 7, 64)),
                "That is the whole table; the layer adds the first seq_len rows of it.",
            ),
            (
                ((3, 7, 64), (1, 7, 64), (3, 14, 64)),
                "The rows are added to each other and not laid one after the other.",
            ),
        ),
    ),
    Number(
        label="ex-layer-twice",
        answer=lambda: (1 - 0.2) ** 2,
        share=True,
        right="Two masks multiply: the entry must be kept by both.",
        mistakes=(
            (0.8, "That is the share that one dropout keeps; the token meets two."),
            (0.6, "Adding up what the two drop counts entries that both of them drop twice."),
            (lambda: 1 - (1 - 0.2) ** 2, "That is the share that is lost."),
            (0.2, "That is the share that one dropout loses; the token meets two."),
            (0.04, "That is the share that *both* drop; one of them is enough to lose it."),
        ),
    ),
    Number(
        label="ex-layer-bytes",
        answer=lambda: 4 * TABLE_BYTES,
        whole=True,
        unit="bytes",
        right="A trained number comes four times: value, gradient, two moments; a buffer's once.",
        mistakes=(
            (TABLE_BYTES, "Those are the values alone, which is all that a buffer would need."),
            (2 * TABLE_BYTES, "Values and gradients: Adam keeps two moments of each gradient."),
            (3 * TABLE_BYTES, "Three of the four: values, gradients, and *two* moments."),
            (4 * TABLE_BYTES / 2**20, "That many MiB, which is right. The answer is in bytes."),
            (4 * TABLE_BYTES / 1e6, "That many MB, which is right. The answer is in bytes."),
            (TABLE_BYTES // 4, "That counts numbers; a float32 takes four bytes."),
        ),
    ),
    Function(
        label="ex-layer-mask",
        reference=positions_from_mask,
        inputs=left_padded_masks,
        takes="a mask",
        right="Count the real tokens up to each place, less one, and never below zero.",
        mistakes=(
            (
                lambda mask: torch.arange(mask.shape[1]).expand(mask.shape),
                "Those are the places in the batch; PADs in front move them.",
            ),
            (
                lambda mask: mask.cumsum(-1),
                "The first real token gets 1; positions begin at 0.",
            ),
            (
                lambda mask: mask.cumsum(-1) - 1,
                "The PADs get -1, and a learned table has no row for that.",
            ),
        ),
    ),
    Function(
        label="ex-layer-chunks",
        reference=lambda layer, ids, size: layer.forward(ids),  # past what watches the chunks
        inputs=layer_and_chunks,
        takes="a layer, ids and a size",
        within=0.0,
        right="start is the number of tokens that came before, and chunked equals whole.",
        mistakes=(
            (
                lambda layer, ids, size: _joined(layer, ((0, c) for c in ids.split(size, 1))),
                "Every chunk begins at position 0 again: pass start.",
            ),
            (
                lambda layer, ids, size: _joined(layer, enumerate(ids.split(size, 1))),
                "That start counts chunks; it should count tokens.",
            ),
            (
                lambda layer, ids, size: _joined(
                    layer, ((n * c.shape[1], c) for n, c in enumerate(ids.split(size, 1)))
                ),
                "The last chunk is shorter, so its own length does not say what came before it.",
            ),
        ),
    ),
)
