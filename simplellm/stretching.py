"""RoPE past the trained length: other rates for a model that has been trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .checks import check_positive_int, check_positive_number
from .model import SimpleLLM
from .schemes.rope import Rope
from .sinusoids import frequencies

#: The ways to stretch the rates; by the first they stay as they are.
WAYS = ("none", "interpolation", "ntk", "yarn")
#: YaRN's bounds: turns within the trained length below which a pair is interpolated, and above
#: which it keeps its rate.
SLOW, FAST = 1.0, 32.0


def stretched_rates(rates: Tensor, by: str, factor: float, trained: int, base: float) -> Tensor:
    """The rates of rotary pairs for texts that are longer than those trained on.

    - ``"none"``: the rates as they were.
    - ``"interpolation"``: every rate over the factor, so that no angle is new.
    - ``"ntk"``: a larger base, by which the slowest pair is as much slower and the fastest stays.
    - ``"yarn"``: pairs that turn often within the trained length keep their rates, slow ones are
      interpolated, with a ramp in between.

    Args:
        rates: ``(pairs,)``, radians per position, from the fastest down.
        by: One of ``WAYS``.
        factor: By how much longer the texts are; at least 1.
        trained: Number of positions trained on.
        base: The base of the rates.

    Returns:
        ``(pairs,)``, radians per position.

    Raises:
        TypeError, ValueError: For each bad argument, by name.

    Example:
        >>> rates = torch.tensor([1.0, 0.01])
        >>> stretched_rates(rates, "interpolation", 4, trained=64, base=10_000)
        tensor([0.2500, 0.0025])

    Source: Chen et al. 2023 (interpolation); Peng et al. 2024, "YaRN", sections 3.1 and 3.2.
    """
    if by not in WAYS:
        raise ValueError(f"by must be one of {', '.join(WAYS)}, got {by!r}.")
    check_positive_int("trained", trained)
    if check_positive_number("factor", factor) < 1:
        raise ValueError(f"factor must be at least 1, got {factor}: texts that are not longer.")
    if by == "none":
        return rates
    if by == "interpolation":
        return rates / factor
    if by == "ntk":
        columns = 2 * len(rates)
        if columns == 2:
            raise ValueError('by must not be "ntk" for one pair, whose rate no base changes.')
        larger = base * factor ** (columns / (columns - 2))
        return frequencies(columns, larger).to(rates)
    turns = trained * rates / (2 * math.pi)
    kept = ((turns - SLOW) / (FAST - SLOW)).clamp(0, 1)
    return kept * rates + (1 - kept) * rates / factor


class StretchedRope(Rope):
    """Rotary positions whose rates were stretched after training; :func:`stretch` puts them in."""

    def __init__(self, scheme: Rope, by: str, factor: float, trained: int) -> None:
        super().__init__(scheme.config)
        base = self.config.base
        rates = frequencies(self.rotated, base)
        self.rates = stretched_rates(rates, by, factor, trained, base)
        # YaRN sharpens the scores: queries and keys are both longer by this.
        self.length = 0.1 * math.log(factor) + 1 if by == "yarn" else 1.0

    def rotations(self, positions: Tensor) -> Tensor:
        angles = positions.unsqueeze(1).to(torch.float64).unsqueeze(-1) * self.rates
        return self.length * torch.complex(angles.cos(), angles.sin())


def stretch(model: SimpleLLM, by: str, factor: float, trained: int) -> None:
    """Stretch the rotary positions of a trained model, in place; on the CPU.

    Args:
        model: A model with ``position = "rope"``.
        by, factor, trained: As in :func:`stretched_rates`.

    Raises:
        ValueError: If the model's positions are no plain rotary ones, or for a bad argument.

    Example:
        >>> from simplellm import SimpleLLMConfig
        >>> model = SimpleLLM(SimpleLLMConfig(50, 32, 1, 2, 16, position="rope"))
        >>> stretch(model, "yarn", 4, trained=16)
        >>> model(torch.zeros(1, 64, dtype=torch.long)).shape
        torch.Size([1, 64, 50])

    Source: Peng et al. 2024, "YaRN: Efficient Context Window Extension of Large Language Models".
    """
    if type(model.scheme) is not Rope:
        raise ValueError(
            f'model must have position = "rope", unstretched, got {model.config.position!r} with '
            f"{type(model.scheme).__name__}."
        )
    model.scheme = StretchedRope(model.scheme, by, factor, trained)
