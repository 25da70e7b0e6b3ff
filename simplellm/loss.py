"""The next-token loss, and messages for targets in the layout of other libraries."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .checks import INTEGER_DTYPES, first_outside
from .vocabulary import PAD


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean cross-entropy over the targets that are not PAD, in nats per token.

    Nothing is shifted here: the inputs are ``ids[:, :-1]`` and the targets ``ids[:, 1:]``. The
    target at the end of a text that others are packed behind is PAD, because what follows it
    there is another text.

    Args:
        logits: ``(batch, seq_len, vocab_size)``, floating point.
        targets: ``(batch, seq_len)``, integer: what follows each token, PAD where nothing is
            asked.

    Returns:
        A scalar, in the dtype of the logits.

    What takes the values of targets is checked on the CPU only, and not while ``torch.compile``,
    ``torch.export`` or ``torch.func`` is tracing.

    Raises:
        TypeError: If logits are no floating-point tensor or targets no integer one.
        ValueError: If the shapes or devices differ, or every target is PAD.
        IndexError: If a target is no id; the message has it and its place.

    Example:
        >>> next_token_loss(torch.zeros(1, 2, 8), torch.tensor([[5, 0]]))  # ln 8
        tensor(2.0794)
    """
    _check(logits, targets)
    targets = targets.long()  # cross_entropy takes no int32, and some unsigned dtypes no ==
    if _is_known((targets == PAD).all()):
        raise ValueError(
            f"targets must hold something beside PAD = {PAD}, got shape {tuple(targets.shape)} "
            "without: there is no loss."
        )
    try:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)
    except IndexError:
        # The loss checks the range anyway, so the good path pays nothing for this message.
        found = first_outside(targets, logits.shape[-1])
        if found is None:
            raise
        bad, place = found
        hint = (
            f"PAD = {PAD} is what is not asked here: targets.masked_fill(targets == {bad}, {PAD})."
            if bad < 0
            else "Was the text encoded with another vocabulary?"
        )
        raise IndexError(
            f"targets must be at least 0 and below vocab_size = {logits.shape[-1]}, got {bad} at "
            f"targets{list(place)}. {hint}"
        ) from None


def _is_known(condition: Tensor) -> bool:
    """Whether a condition holds and may be looked at: not on a GPU, which we would wait for."""
    if torch.compiler.is_compiling() or condition.device.type != "cpu":
        return False
    try:
        return bool(condition)
    except RuntimeError:  # torch.func.vmap: one answer for each slice
        return False


def _check(logits: object, targets: object) -> None:
    """Check that logits and targets fit each other, by dtypes and shapes only."""
    for name, value in (("logits", logits), ("targets", targets)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}.")
    assert isinstance(logits, Tensor) and isinstance(targets, Tensor)
    if not logits.is_floating_point():
        swapped = " Swap the two: logits come first." if targets.is_floating_point() else ""
        raise TypeError(f"logits must be floating point, got dtype {logits.dtype}.{swapped}")
    if targets.dtype not in INTEGER_DTYPES:
        hint = "targets.argmax(-1) makes ids of one-hot rows" if targets.dim() == 3 else ".long()"
        raise TypeError(f"targets must be integers, got dtype {targets.dtype}. Convert: {hint}.")
    if logits.dim() != 3 or logits.shape[:2] != targets.shape:
        raise ValueError(
            f"targets must have shape (batch, seq_len) as logits (batch, seq_len, vocab_size) do, "
            f"got {tuple(targets.shape)} and logits {tuple(logits.shape)}."
            f"{_hint(tuple(logits.shape), tuple(targets.shape))}"
        )
    if logits.device != targets.device:
        raise ValueError(
            f"targets must be on the device of the logits, {logits.device}, got {targets.device}. "
            "Move them: targets.to(logits.device)."
        )


def _hint(logits: tuple[int, ...], targets: tuple[int, ...]) -> str:
    """Return a hint at the layout that a pair of shapes comes from, or ""."""
    if targets == logits:
        return " One-hot rows become ids: targets.argmax(-1)."
    if len(logits) == 2:
        return " Leave both as the model and the text give them, not flattened."
    if len(logits) != 3 or len(targets) != 2:
        return ""
    if (logits[0], logits[2]) == targets:
        return " Is the vocabulary in the middle? Pass logits.transpose(1, 2)."
    if (logits[1], logits[0]) == targets:
        return " One of the two is transposed: pass targets.T."
    if logits[0] == targets[0] and abs(logits[1] - targets[1]) == 1:
        return (
            " They are one apart: read ids[:, :-1] and ask for ids[:, 1:]; nothing is shifted here."
        )
    return ""
