"""What the loss refuses, and where it can be traced."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simplellm.model import next_token_loss

IDS = torch.tensor([[3, 4, 5], [6, 7, 0]])
LOGITS = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("logits", "targets", "error", "words"),
    [
        (LOGITS, IDS.masked_fill(IDS == 0, -100), IndexError, r"got -100 at targets\[1, 2\].*PAD"),
        (LOGITS, IDS + 5, IndexError, r"below vocab_size = 9, got 9 at targets\[0, 1\]"),
        (LOGITS, IDS.float(), TypeError, r"targets must be integers, got .*float32.*\.long\(\)"),
        (LOGITS, LOGITS.softmax(-1), TypeError, r"one-hot.*|argmax\(-1\)"),
        (LOGITS, torch.ones_like(LOGITS).long(), ValueError, r"argmax\(-1\)"),
        (LOGITS, IDS[:, :2], ValueError, r"\(2, 2\).*one apart.*ids\[:, 1:\]"),
        (LOGITS.transpose(1, 2), IDS, ValueError, r"transpose\(1, 2\)"),
        (LOGITS, IDS.T, ValueError, r"targets\.T"),
        (LOGITS.flatten(0, 1), IDS.flatten(), ValueError, "not flattened"),
        (IDS, LOGITS, TypeError, "Swap the two"),
        (LOGITS, IDS.tolist(), TypeError, "targets must be a tensor, got list"),
    ],
)
def test_targets_of_other_habits_are_refused_with_the_way_out(
    logits: Tensor, targets: Tensor, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        next_token_loss(logits, targets)


def test_the_loss_is_one_graph() -> None:
    torch.compiler.reset()
    one = torch.compile(next_token_loss, fullgraph=True, backend="eager")
    assert torch.equal(one(LOGITS, IDS), next_token_loss(LOGITS, IDS))


def test_the_loss_of_each_slice_under_vmap() -> None:
    logits, targets = LOGITS.unsqueeze(1), IDS.unsqueeze(1)
    each = torch.func.vmap(next_token_loss)(logits, targets)
    for i in range(2):
        assert torch.allclose(each[i], next_token_loss(logits[i], targets[i]))
