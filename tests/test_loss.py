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
        (
            LOGITS,
            IDS.masked_fill(IDS == 0, -100),
            IndexError,
            r"got -100 at targets\[1, 2\]\. PAD = 0 .*targets\.masked_fill\(targets == -100, 0\)",
        ),
        (
            LOGITS,
            IDS + 5,
            IndexError,
            r"vocab_size = 9, got 9 at targets\[0, 1\]\. Was .* another vocabulary\?$",
        ),
        (LOGITS, IDS * 0, ValueError, r"PAD = 0, got shape \(2, 3\) without: there is no loss\.$"),
        (LOGITS, IDS.float(), TypeError, r"integers, got .*float32\. Convert: \.long\(\)\.$"),
        (
            LOGITS,
            LOGITS.softmax(-1),
            TypeError,
            r"Convert: targets\.argmax\(-1\) makes ids of one-hot rows\.$",
        ),
        (
            LOGITS,
            torch.ones_like(LOGITS).long(),
            ValueError,
            r"\. One-hot rows become ids: targets\.argmax\(-1\)\.$",
        ),
        (
            LOGITS,
            torch.ones(2, 4).long(),
            ValueError,
            r"got \(2, 4\) and logits \(2, 3, 9\)\. They are one apart: .* shifted here\.$",
        ),
        (
            LOGITS.transpose(1, 2),
            IDS,
            ValueError,
            r"\. Is the vocabulary in the middle\? Pass logits\.transpose\(1, 2\)\.$",
        ),
        (LOGITS, IDS.T, ValueError, r"\. One of the two is transposed: pass targets\.T\.$"),
        (LOGITS.flatten(0, 1), IDS.flatten(), ValueError, r"\. Leave both .*, not flattened\.$"),
        # Shapes of no known habit.
        (LOGITS, IDS[:, :1], ValueError, r"got \(2, 1\) and logits \(2, 3, 9\)\.$"),
        (LOGITS, IDS[:, 0], ValueError, r"got \(2,\) and logits \(2, 3, 9\)\.$"),
        (LOGITS.unsqueeze(3), torch.ones(2, 9).long(), ValueError, r"logits \(2, 3, 9, 1\)\.$"),
        (IDS, LOGITS, TypeError, r"\. Swap the two: logits come first\.$"),
        (IDS, IDS, TypeError, r"logits must be floating point, got dtype torch\.int64\.$"),
        (LOGITS, IDS.tolist(), TypeError, "^targets must be a tensor, got list"),
        (LOGITS.tolist(), IDS, TypeError, "^logits must be a tensor, got list"),
        (
            LOGITS,
            IDS.to("meta"),
            ValueError,
            r"logits, cpu, got meta\. Move them: targets\.to\(logits\.device\)\.$",
        ),
    ],
)
def test_targets_of_other_habits_are_refused_with_the_way_out(
    logits: Tensor, targets: Tensor, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        next_token_loss(logits, targets)


def test_values_are_not_looked_at_on_a_device_that_would_have_to_be_waited_for() -> None:
    there = next_token_loss(LOGITS.to("meta"), IDS.to("meta"))  # reading a value here raises
    assert there.device.type == "meta" and there.shape == ()


def test_the_loss_is_one_graph() -> None:
    torch.compiler.reset()
    one = torch.compile(next_token_loss, fullgraph=True, backend="eager")
    assert torch.equal(one(LOGITS, IDS), next_token_loss(LOGITS, IDS))


def test_the_loss_of_each_slice_under_vmap() -> None:
    logits, targets = LOGITS.unsqueeze(1), IDS.unsqueeze(1)
    each = torch.func.vmap(next_token_loss)(logits, targets)
    for i in range(2):
        assert torch.allclose(each[i], next_token_loss(logits[i], targets[i]))
