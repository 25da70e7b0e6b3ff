"""Texts packed into one row are read as if each had a row of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from simplellm.attention import KeyValueCache
from simplellm.vocabulary import PAD
from tests.small_models import every_scheme, model, prompt, same

TEXTS = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2, 2], [7, 7, 7, 7, 7, 7, 7, -3, -3, 4]])


def separately(module: Any, ids: Tensor, texts: Tensor, real: Tensor) -> Tensor:
    """The logits of each text in a row of its own, put where its tokens stand."""
    logits = torch.zeros(*ids.shape, 40, dtype=torch.float64)
    for row in range(len(ids)):
        for text in texts[row].unique():
            place = (texts[row] == text) & real[row]
            logits[row, place] = module(ids[row, place].unsqueeze(0))[0]
    return logits


@every_scheme
def test_packed_equals_separate(position: str) -> None:
    module, ids = model(position), prompt(2, 10)
    want = separately(module, ids, TEXTS, torch.ones_like(ids).bool())
    assert same(module(ids, segment_ids=TEXTS), want)


@every_scheme
def test_packed_equals_separate_with_padding(position: str) -> None:
    module, ids = model(position), prompt(2, 10)
    real = torch.ones_like(ids).bool()
    real[0, :2], real[1, 8:], real[1, 3] = False, False, False  # both ends, and within a text
    ids = ids.masked_fill(~real, PAD)
    logits = module(ids, segment_ids=TEXTS, attention_mask=real)
    want = separately(module, ids, TEXTS, real)
    assert same(logits[real], want[real]) and logits.isfinite().all()


@every_scheme
def test_packed_equals_separate_where_texts_interleave(position: str) -> None:
    module, ids = model(position), prompt(1, 8)
    texts = torch.tensor([[0, 1, 0, 1, 1, 0, 0, 1]], dtype=torch.uint8)
    want = separately(module, ids, texts, torch.ones_like(ids).bool())
    assert same(module(ids, segment_ids=texts), want)


@every_scheme
def test_one_text_is_what_no_segments_are(position: str) -> None:
    module, ids = model(position), prompt(2, 6)
    assert same(module(ids, segment_ids=torch.zeros_like(ids)), module(ids))


def test_positions_that_are_given_stand() -> None:
    module, ids, texts = model("learned"), prompt(1, 6), torch.tensor([[0, 0, 0, 1, 1, 1]])
    places = torch.tensor([5, 6, 7, 2, 3, 4])
    logits = module(ids, segment_ids=texts, positions=places)
    for part in (slice(0, 3), slice(3, 6)):
        assert same(logits[:, part], module(ids[:, part], positions=places[part]))


@every_scheme
def test_the_weights_shown_stay_in_the_text_and_padding_sees_itself_only(position: str) -> None:
    module, ids = model(position), prompt(2, 10)
    real = torch.ones_like(ids).bool()
    real[0, 4:] = False
    weights = module.attention_weights(ids, segment_ids=TEXTS, attention_mask=real)
    other = TEXTS.unsqueeze(2) != TEXTS.unsqueeze(1)  # (batch, queries, keys)
    assert not weights[:, other.unsqueeze(1).expand(-1, 4, -1, -1)].any()
    assert (weights[:, 0, :, 4:].diagonal(offset=4, dim1=-2, dim2=-1) == 1).all()
    assert torch.allclose(weights.sum(-1), torch.ones(()).double())


@pytest.mark.parametrize(
    ("segment_ids", "error", "message"),
    [
        ([[0, 0, 1]], TypeError, "segment_ids must be a tensor .* got list. Wrap them"),
        (torch.zeros(1, 3), TypeError, r"float32\. Convert them: segment_ids\.long\(\)\.$"),
        (torch.zeros(1, 3).bool(), TypeError, "segment_ids must be integers, got dtype torch.bool"),
        (torch.zeros(1, 4).int(), ValueError, r"the shape of ids, \(1, 3\), got \(1, 4\)\.$"),
        (
            torch.zeros(3).int(),
            ValueError,
            r"\(3,\)\. Repeat them: segment_ids\.expand_as\(ids\)\.$",
        ),
        (
            torch.zeros(1, 3, device="meta").int(),
            ValueError,
            r"of ids, cpu, got meta\. Move them: segment_ids\.to\(ids\.device\)\.$",
        ),
    ],
)
def test_segments_that_fit_no_ids_are_refused(
    segment_ids: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model()(prompt(1, 3), segment_ids=segment_ids)


def test_segments_and_a_cache_are_refused_together() -> None:
    cache = KeyValueCache(2)
    message = "^segment_ids must be None with a cache, .* text: read packed texts .* of its own.$"
    with pytest.raises(ValueError, match=message):
        model()(prompt(1, 3), segment_ids=torch.zeros(1, 3).int(), cache=cache)
    assert len(cache) == 0
