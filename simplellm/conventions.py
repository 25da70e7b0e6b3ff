"""Conventions of sinusoidal positions: one formula for what libraries compute under one name.

Between the sentence "sines and cosines of different frequencies" and a table of numbers lie a dozen
choices. A :class:`Convention` says them, and computes the table that follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from .checks import check_base, check_bool, check_int, check_positive_int, check_positive_number
from .printing import prints_anywhere
from .sinusoids import DEFAULT_BASE, Positions

Columns: TypeAlias = Literal["interleaved", "halves", "summed"]
Exponents: TypeAlias = Literal["2i/d", "i/(d/2-1)", "4i/d", "j/d", "2j/d"]
OfWidth: TypeAlias = Literal["d^-0.5", "(2/d)^0.5"]
OfLength: TypeAlias = Literal["d/length"]

#: Exponents that give each column a rate of its own, also the two of a pair.
OWN_RATES = ("j/d", "2j/d")


@dataclass(frozen=True, repr=False)
@prints_anywhere
class Convention:
    """One way to turn positions into sinusoids: columns, frequencies, first position, size.

    Column by column the angle is ``fastest · position / base ** exponent``. Left alone, every
    argument is the paper's. Two conventions are equal where they say the same; two that say it
    differently may still give the same numbers (``4i/d`` is ``2i/d`` with the base squared).

    Args:
        columns: ``"interleaved"`` (sine, cosine, sine, …), ``"halves"`` (all sines, then all
            cosines) or ``"summed"`` (sine plus cosine of one angle in each column).
        exponents: Of pair i, ``"2i/d"`` (the paper), ``"i/(d/2-1)"`` (tensor2tensor: the last
            pair's is exactly 1) or ``"4i/d"``; of column j of the interleaved order, where the
            cosine of a pair has another rate than its sine, ``"j/d"`` or ``"2j/d"``.
        base: The constant the paper sets to 10 000. Below 1 positions are multiplied where the
            paper divides: ``1e-4`` multiplies by ``10 000 ** exponent``.
        first: The position whose row the first token gets.
        cosines_first: Whether cosines stand where the paper has sines.
        amplitude: What the rows are multiplied by: a number, or ``"d^-0.5"`` or ``"(2/d)^0.5"``.
        fastest: Radians per position of the first pair: a number (``2π`` where lengths of waves
            are counted in whole turns), or ``"d/length"``, by which time absolute position
            encoding (tAPE) stretches the angles.
        normalised: Whether the mean of the whole table is subtracted, and what is left divided by
            ten standard deviations, as PatchTST does. Rows then depend on the length.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no such convention; names the argument and what it may be.

    Example:
        >>> Convention(columns="halves", exponents="i/(d/2-1)", first=2)
        halves, exponents i/(d/2-1), base 10000, first position 2
        >>> Convention(columns="halves").table(2, 4)  # shape (length, d_model)
        tensor([[0.0000, 0.0000, 1.0000, 1.0000],
                [0.8415, 0.0100, 0.5403, 0.9999]])

    Source: Vaswani et al. 2017, section 3.5; which library follows which convention was measured
    by ``tools/survey``.
    """

    columns: Columns = "interleaved"
    exponents: Exponents = "2i/d"
    base: float = DEFAULT_BASE
    first: int = 0
    cosines_first: bool = False
    amplitude: float | OfWidth = 1.0
    fastest: float | OfLength = 1.0
    normalised: bool = False

    def __post_init__(self) -> None:
        _check_choice("columns", self.columns, get_args(Columns))
        _check_choice("exponents", self.exponents, get_args(Exponents))
        numbers: dict[str, object] = {"base": check_base(self.base)}
        numbers["first"] = check_int("first", self.first)
        for name, words in (("amplitude", get_args(OfWidth)), ("fastest", get_args(OfLength))):
            value = getattr(self, name)
            if isinstance(value, str):
                _check_choice(name, value, words, "a number or ")
            else:
                numbers[name] = check_positive_number(name, value)
        check_bool("cosines_first", self.cosines_first)
        check_bool("normalised", self.normalised)
        for name, number in numbers.items():  # plain Python numbers, so that equal ones hash alike
            object.__setattr__(self, name, number)
        if self.columns == "summed" and self.exponents not in OWN_RATES:
            raise ValueError(
                f"exponents = {self.exponents!r} are for pairs of columns, and columns = 'summed' "
                f"has none: exponents must be one of {OWN_RATES}."
            )
        if self.columns == "summed" and self.cosines_first:
            raise ValueError(
                "cosines_first = True says nothing where columns = 'summed': leave it out."
            )

    @property
    def needs_length(self) -> bool:
        """Whether a row depends on how long the table is."""
        return self.normalised or self.fastest == "d/length"

    def factor(self, d_model: int) -> float:
        """What rows of this width are multiplied by, as a number."""
        if self.amplitude == "d^-0.5":
            return d_model**-0.5
        if self.amplitude == "(2/d)^0.5":
            return (2.0 / d_model) ** 0.5
        return float(self.amplitude)

    def rates(self, d_model: int, length: int | None = None) -> tuple[Tensor, Tensor]:
        """Compute the radians per position of each sine and of each cosine.

        Args:
            d_model: Width of the encoding; odd where a convention says what to do with it, see
                :meth:`rows`.
            length: Rows of the whole table, where the rates depend on it.

        Returns:
            Two tensors, float64: for the sines, from the first on, and for the cosines. They are
            the same where a pair shares its rate.

        Example:
            >>> sines, cosines = Convention(exponents="j/d").rates(4)
            >>> sines.tolist(), cosines.round(decimals=4).tolist()
            ([1.0, 0.01], [0.1, 0.001])
        """
        d_model = check_positive_int("d_model", d_model)
        if self._pads(d_model):
            return self.rates(d_model - 1, length)
        # On the CPU whatever the default device: Apple's GPUs have no float64.
        if self.columns == "summed":
            sines = cosines = torch.arange(d_model, dtype=torch.float64, device="cpu") / d_model
        else:
            pairs = torch.arange((d_model + 1) // 2, dtype=torch.float64, device="cpu")
            if self.exponents == "i/(d/2-1)":
                sines = cosines = pairs / max(len(pairs) - 1, 1)
            elif self.exponents in OWN_RATES:
                sines, cosines = 2.0 * pairs / d_model, (2.0 * pairs + 1.0) / d_model
            else:
                sines = cosines = 2.0 * pairs / d_model
            cosines = cosines[: d_model // 2]  # an odd width ends with a sine
        if self.exponents in ("4i/d", "2j/d"):
            sines, cosines = 2.0 * sines, 2.0 * cosines
        sines, cosines = torch.pow(self.base, -sines), torch.pow(self.base, -cosines)
        stretch = self.fastest
        if stretch == "d/length":
            stretch = d_model / self._length(length)
        return (sines, cosines) if stretch == 1.0 else (stretch * sines, stretch * cosines)

    def rows(self, positions: Positions, d_model: int, length: int | None = None) -> Tensor:
        """Compute the rows that tokens get: whole, fractional or negative positions.

        Args:
            positions: A number, a sequence of numbers or a tensor of any shape; 0 is the first
                token, whose row is that of position ``first``.
            d_model: Width of the rows. Of an odd one, libraries make two usable things: the last
                sine has no cosine (exponents that are divided by d), or the width below and a
                column of zeros (``"i/(d/2-1)"`` and cosines first in halves). Other odd widths are
                refused.
            length: Rows of the whole table; needed where a row depends on it.

        Returns:
            Shape ``(*positions.shape, d_model)``, float64, on the device of ``positions``.

        Raises:
            ValueError: If ``d_model`` is not positive or an odd one that nobody computes, or
                ``length`` is missing.

        Example:
            >>> Convention(first=2).rows(0, 4)
            tensor([ 0.9093, -0.4161,  0.0200,  0.9998], dtype=torch.float64)
        """
        d_model = check_positive_int("d_model", d_model)
        if isinstance(positions, Tensor):
            p = positions.to(torch.float64)
        else:
            # Asked for at once: by way of the default dtype a float would lose half its digits.
            p = torch.as_tensor(positions, dtype=torch.float64)
        rows = self._waves(p, d_model, length)
        if self.normalised:
            whole = torch.arange(self._length(length), dtype=torch.float64, device=p.device)
            table = self._waves(whole, d_model, length)
            rows = (rows - table.mean()) / (10.0 * table.std())
        factor = self.factor(d_model)
        return rows if factor == 1.0 else factor * rows

    def table(self, length: int, d_model: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Compute the rows of the first ``length`` tokens, in float64, and round them once.

        Args:
            length: Number of rows.
            d_model: Width, as for :meth:`rows`.
            dtype: Floating-point dtype of the table.

        Returns:
            Shape ``(length, d_model)``.

        Raises:
            ValueError: As :meth:`rows`.

        Example:
            >>> Convention.named("whisper").table(1500, 384).shape
            torch.Size([1500, 384])
        """
        length = check_positive_int("length", length)
        return self.rows(torch.arange(length, device="cpu"), d_model, length).to(dtype)

    @classmethod
    def named(cls, name: str) -> Convention:
        """Return the convention of a name in :data:`CONVENTIONS`.

        Raises:
            ValueError: If there is no such name; lists those there are.

        Example:
            >>> Convention.named("fairseq").first
            2
        """
        if name not in CONVENTIONS:
            raise ValueError(
                f"convention = {name!r} is no known name. Known are {', '.join(CONVENTIONS)}; "
                "say any other with Convention(…)."
            )
        return CONVENTIONS[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Its names in :data:`CONVENTIONS`."""
        return tuple(name for name, known in CONVENTIONS.items() if known == self)

    @property
    def changes(self) -> dict[str, str | float | bool]:
        """The arguments that are not the paper's."""
        plain = Convention()
        return {
            field.name: getattr(self, field.name)
            for field in fields(Convention)
            if getattr(self, field.name) != getattr(plain, field.name)
        }

    @property
    def code(self) -> str:
        """The expression that makes it, with the arguments that are not the paper's."""
        given = [f"{name}={value!r}" for name, value in self.changes.items()]
        return f"Convention({', '.join(given)})"

    def _pads(self, d_model: int) -> bool:
        """Whether this width is made of the width below and a column of zeros."""
        if d_model % 2 == 0 or self.columns == "summed":
            return False
        zeros = self.columns == "halves" and (
            self.exponents == "i/(d/2-1)" or (self.cosines_first and self.exponents == "2i/d")
        )
        ends_with_a_sine = not self.cosines_first and self.exponents != "i/(d/2-1)"
        if d_model == 1 or not (zeros or ends_with_a_sine):
            raise ValueError(
                f"d_model must be even for this convention, got {d_model}: no library says what "
                f"the last column holds. Use {f'{d_model - 1} or ' if d_model > 1 else ''}"
                f"{d_model + 1}."
            )
        return zeros

    def _waves(self, p: Tensor, d_model: int, length: int | None) -> Tensor:
        """Sines and cosines in their columns, ``(*p.shape, d_model)``, of amplitude 1."""
        if self._pads(d_model):
            return torch.nn.functional.pad(self._waves(p, d_model - 1, length), (0, 1))
        # Without waiting: .to() alone would block the host until the GPU has caught up.
        sine_rates, cosine_rates = (
            rates.to(p.device, non_blocking=True) for rates in self.rates(d_model, length)
        )
        p = (p + self.first if self.first else p).unsqueeze(-1)
        sines, cosines = (p * sine_rates).sin(), (p * cosine_rates).cos()
        if self.columns == "summed":
            return sines + cosines
        one, two = (cosines, sines) if self.cosines_first else (sines, cosines)
        if self.columns == "halves":
            return torch.cat((one, two), dim=-1)
        if d_model % 2:  # a cosine that is cut off again
            two = torch.nn.functional.pad(two, (0, 1))
        # Stacking on a new last axis and flattening it interleaves: sin, cos, sin, cos, ...
        return torch.stack((one, two), dim=-1).flatten(-2)[..., :d_model]

    def _length(self, length: int | None) -> int:
        if length is None:
            what = "normalised = True" if self.normalised else "fastest = 'd/length'"
            raise ValueError(
                f"length must be given where {what}: each row depends on how many there are."
            )
        return check_positive_int("length", length)

    def __repr__(self) -> str:
        said: list[str] = [self.columns]
        if self.columns == "summed":
            said = ["sine and cosine summed"]
        if self.cosines_first:
            said.append("cosines first")
        if self.exponents != "2i/d":
            said.append(f"exponents {self.exponents}")
        if self.base < 1.0:
            said.append(f"base {self.base:g} (positions times {1 / self.base:g} ** exponent)")
        else:
            said.append(f"base {self.base:g}")
        if self.first:
            said.append(f"first position {self.first}")
        if self.fastest == "d/length":
            said.append("angles times d/length")
        elif self.fastest != 1.0:
            turns = self.fastest == math.tau
            said.append(f"angles times {'2π' if turns else format(self.fastest, 'g')}")
        if self.normalised:
            said.append("normalised over its length")
        if self.amplitude != 1.0:
            size = self.amplitude if isinstance(self.amplitude, str) else f"{self.amplitude:g}"
            said.append(f"amplitude {size}")
        return ", ".join(said)


def _check_choice(name: str, value: object, known: tuple[str, ...], also: str = "") -> None:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} = {value!r} must be {also}one of {', '.join(map(repr, known))}.")


_T2T = Convention(columns="halves", exponents="i/(d/2-1)")
_HALVES = Convention(columns="halves")

#: Conventions by the names of what made them known; one convention may have several names.
CONVENTIONS: dict[str, Convention] = {
    "paper": Convention(),
    "tensor2tensor": _T2T,
    "whisper": _T2T,
    "fairseq": replace(_T2T, first=2),
    "m2m100": replace(_T2T, first=2),
    "seamless-m4t": replace(_T2T, first=1),
    "marian": _HALVES,
    "musicgen": replace(_T2T, cosines_first=True),
    "diffusers-unet": replace(_HALVES, cosines_first=True),
    "x-transformers": replace(_HALVES, amplitude="d^-0.5"),
    "mlx": replace(_T2T, amplitude="(2/d)^0.5"),
    "nemo": Convention(amplitude="d^-0.5"),
    "curated-transformers": Convention(amplitude="(2/d)^0.5"),
    "linformer-pytorch": replace(_HALVES, base=100_000.0),
    "pytorch-forecasting": Convention(exponents="2j/d"),
    "torch-transformers": replace(_HALVES, exponents="2j/d"),
    "time-series-transformer": Convention(exponents="j/d", base=1000.0),
    "convtimenet": Convention(columns="summed", exponents="j/d"),
    "depthcharge": replace(_T2T, base=100_000.0, fastest=math.tau),
    "coqui-tts": Convention(base=1 / 10_000.0),
    "tape": Convention(fastest="d/length"),
    "patchtst": Convention(normalised=True),
}
