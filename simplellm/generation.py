"""Choosing the next token, and what is wrong with a prompt of other people's habits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .checks import check_ids, check_int, check_mask, check_number, check_positive_int
from .vocabulary import PAD


def choose(
    logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None
) -> Tensor:
    """One id per row, ``(batch, 1)``: the likeliest, or drawn.

    Args:
        logits: ``(batch, vocab_size)``; ``-inf`` at what is never chosen.
        temperature: 0 for the likeliest; else logits are divided by it.
        top_k: Draw from this many likeliest ids only; None for all.
        generator: Source of randomness, on the device of the logits.

    Example:
        >>> choose(torch.tensor([[0.0, 2.0, 1.0]]), temperature=0.0, top_k=None, generator=None)
        tensor([[1]])
    """
    if temperature == 0.0:
        return logits.argmax(-1, keepdim=True)
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    # Counted from the largest no logit overflows, however small the temperature is. Its limits
    # are those of the dtype, in which a smaller one is 0 and 0 / 0 is not a number.
    wide = logits if logits.dtype == torch.float64 else logits.float()
    limits = torch.finfo(wide.dtype)
    wide = wide - wide.amax(-1, keepdim=True)
    weights = (wide / min(max(temperature, limits.tiny), limits.max)).softmax(-1)
    return torch.multinomial(weights, 1, generator=generator)


def check_prompt(ids: Tensor, mask: Tensor | None) -> int:
    """Refuse a prompt that no next token can follow.

    Returns:
        The number of real tokens in the longest row.
    """
    check_ids(ids)
    if ids.shape[1] == 0:
        raise ValueError(
            f"ids must hold at least one token per row, got shape {tuple(ids.shape)}. Begin "
            "with BOS to generate from nothing."
        )
    if mask is None:
        places = (ids.long() == PAD).nonzero()
        if len(places):
            row, column = places[0].tolist()
            raise ValueError(
                f"ids must hold no PAD = {PAD} without attention_mask, got it at ids[{row}, "
                f"{column}]: the model would read it as a token. Put padding on the left and say "
                "where it is: attention_mask=ids != 0."
            )
        return ids.shape[1]
    check_mask(mask, "attention_mask")
    if mask.shape != ids.shape:
        raise ValueError(
            f"attention_mask must have the shape of ids, {tuple(ids.shape)}, got "
            f"{tuple(mask.shape)}."
        )
    real = mask.long()
    if not bool(((real.diff(dim=1) >= 0).all(1) & (real[:, -1] == 1)).all()):
        raise ValueError(
            "attention_mask must be 0 at padding on the left and 1 from the first token "
            "to the end of each row: the next token follows the last column."
        )
    return max(real.sum(1).tolist(), default=0)


def check_sampling(
    temperature: object,
    top_k: object,
    eos_id: object,
    generator: object,
    vocab_size: int,
    device: torch.device,
) -> tuple[float, int | None, int | None]:
    """Refuse what says how to choose, where it cannot be.

    Returns:
        temperature, top_k and eos_id as Python's own numbers.
    """
    number = check_number("temperature", temperature)
    if not 0.0 <= number < math.inf:
        raise ValueError(f"temperature must be finite and at least 0, got {temperature}.")
    if top_k is not None:
        top_k = check_positive_int("top_k", top_k)
    if eos_id is not None:
        eos_id = check_int("eos_id", eos_id)
        if not 0 <= eos_id < vocab_size or eos_id == PAD:
            raise ValueError(
                f"eos_id must be at least 0, below vocab_size = {vocab_size} and "
                f"not PAD = {PAD}, got {eos_id}."
            )
    if generator is not None:
        if not isinstance(generator, torch.Generator):
            raise TypeError(
                f"generator must be a torch.Generator, got {type(generator).__name__}. "
                "Make one: torch.Generator().manual_seed(0)."
            )
        if generator.device.type != device.type:
            raise ValueError(
                f"generator must be on the device of ids, {device}, got {generator.device}. "
                f"Make one there: torch.Generator('{device}')."
            )
    return number, top_k, eos_id
