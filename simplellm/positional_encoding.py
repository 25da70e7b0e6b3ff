"""Positions as sinusoids: a table computed from a formula, kept in a buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .checks import (
    check_base,
    check_dtype,
    check_even_d_model,
    check_positions,
    check_positive_int,
    check_positive_number,
    check_start,
    check_vectors,
)
from .conventions import Convention
from .saved_sinusoids import first_difference, what_differs
from .sinusoids import DEFAULT_BASE


class PositionalEncoding(nn.Module):
    """Adds the sinusoidal row of each position.

    The table is a function of its shape: nothing in it is trained, a checkpoint cannot change it,
    and past its end the formula goes on. Values are computed in float64 and stored as float32
    (rounded once more if the module's dtype is a shorter one).

    Args:
        d_model: Width of each row; even.
        max_seq_len: Number of positions kept in the table.
        base: The constant the paper sets to 10 000.
        amplitude: Largest value of a sine; 1 in the paper. With it the rows have root mean square
            ``amplitude / √2``. It is what separates the *kind* of an encoding from its *size*.
        convention: Another code base's choice of columns, frequencies and first position: a
            :class:`~simplellm.Convention`, or the name of one, as ``"fairseq"``. It says base and
            amplitude too. Where a row depends on the length, the length is ``max_seq_len``.
        device: Device of the table.
        dtype: Floating-point dtype of the table.

    Attributes:
        pe: The table, a buffer of shape ``(1, max_seq_len, d_model)``.
        max_seq_len: Number of positions the table holds now.
        d_model: As given.
        convention: What it computes, as a :class:`~simplellm.Convention`.
        base, amplitude: Those of the convention, as numbers.

    Shape:
        x ``(batch, seq_len, d_model)`` to the same shape and dtype.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``d_model`` is odd, there is no such convention, base or amplitude are given
            beside one, x has the wrong shape, or ``start`` is negative.

    Example:
        >>> positions = PositionalEncoding(d_model=4, max_seq_len=128)
        >>> positions(torch.zeros(1, 3, 4))[0, 2]
        tensor([ 0.9093, -0.4161,  0.0200,  0.9998])
        >>> positions(torch.zeros(1, 500, 4)).shape  # past the table, the formula goes on
        torch.Size([1, 500, 4])
        >>> theirs = PositionalEncoding(d_model=4, max_seq_len=128, convention="fairseq")
        >>> theirs.pe[0, 0]  # sines, then cosines; the first token gets position 2
        tensor([ 9.0930e-01,  2.0000e-04, -4.1615e-01,  1.0000e+00])

    Source: Vaswani et al. 2017, section 3.5.
    """

    pe: Tensor

    def __init__(
        self,
        d_model: int,
        max_seq_len: int,
        *,
        base: float = DEFAULT_BASE,
        amplitude: float = 1.0,
        convention: Convention | str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        d_model = check_even_d_model(d_model)
        max_seq_len = check_positive_int("max_seq_len", max_seq_len)
        base = check_base(base)
        amplitude = check_positive_number("amplitude", amplitude)
        check_dtype(dtype)
        super().__init__()
        self.d_model = d_model
        self.convention = _convention(convention, base, amplitude)
        self.base = self.convention.base
        self.amplitude = self.convention.factor(d_model)
        # A buffer travels with the module and its checkpoints, and no optimiser sees it.
        self.register_buffer("pe", torch.empty(1, max_seq_len, d_model, device=device, dtype=dtype))
        self.reset_parameters()

    @property
    def max_seq_len(self) -> int:
        """Number of positions the table holds now."""
        return self.pe.shape[1]

    def reset_parameters(self) -> None:
        """Compute the table anew, as after ``to_empty()``."""
        if not self.pe.is_meta:
            self.pe.copy_(self._rows(torch.arange(self.max_seq_len, device=self.pe.device)))

    def forward(self, x: Tensor, *, start: int = 0, positions: Tensor | None = None) -> Tensor:
        """Add the rows of positions ``start … start + seq_len - 1``, or of ``positions``.

        Args:
            x: ``(batch, seq_len, d_model)``, floating point.
            start: Number of positions that come before ``x``, as when decoding with a cache.
            positions: ``(seq_len,)`` or ``(batch, seq_len)``, integer, also negative or past the
                table; wins over ``start``.
        """
        check_vectors(x, self.d_model)
        if positions is not None:
            check_positions(positions, x)
            rows = self._rows(positions)  # (seq_len, d_model) or (batch, seq_len, d_model)
        else:
            start = check_start(start)
            end = start + x.shape[1]
            pe = self.pe  # asked for once: nn.Module looks its parts up slowly
            if end <= pe.shape[1]:
                rows = pe[:, start:end]  # (1, seq_len, d_model), a view
            else:
                rows = self._rows(torch.arange(start, end, device=pe.device))
        # Not .to() alone: where it has nothing to do, it still takes a third of the sum's time.
        return x + (rows if rows.dtype == x.dtype else rows.to(x.dtype))

    def _rows(self, positions: Tensor) -> Tensor:
        """What the table holds, or would hold, at any positions: ``(*positions.shape, d_model)``.

        By way of float32 in every case, so that a row is the same number to the last bit whether
        it was stored or is computed now.
        """
        # Apple's GPUs have no float64: the formula is computed on the CPU and the rows copied.
        place = torch.device("cpu") if positions.device.type == "mps" else positions.device
        exact = self._exact(positions.to(place))
        return exact.to(torch.float32).to(device=positions.device, dtype=self.pe.dtype)

    def _exact(self, positions: Tensor) -> Tensor:
        """The formula at any positions, ``(*positions.shape, d_model)``, float64."""
        return self.convention.rows(positions, self.d_model, self.max_seq_len)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PositionalEncoding:
        # .half().float() would leave rounded numbers in a float32 table. The formula is at hand,
        # so a table that has changed dtype is computed again.
        # So is one that has left the meta device, where it had no memory.
        dtype, was_meta = self.pe.dtype, self.pe.is_meta
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.pe.dtype != dtype or was_meta:
            self.reset_parameters()
        return self

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # The table is a function of its shape, so a checkpoint has nothing to give it. It can
        # only show that the model was trained with other numbers, which must not pass in silence.
        saved = state_dict.get(prefix + "pe")
        if isinstance(saved, Tensor):
            if self.pe.is_meta and local_metadata.get("assign_to_params_buffers", False):
                self.pe = torch.empty_like(self.pe, device=saved.device)
            refusal = self._why_another_table(saved)
            if refusal:
                error_msgs.append(f"{prefix}pe {refusal}")
            # Computed again, because after to_empty() it holds nothing yet.
            self.reset_parameters()
            state_dict = {**state_dict, prefix + "pe": self.pe}
        else:
            # After to_empty() the table holds whatever was in memory, and no key will replace it.
            # With assign=True a module may still be on the meta device: go where the rest goes.
            devices = (v.device for v in state_dict.values() if isinstance(v, Tensor))
            device = next((d for d in devices if d.type != "meta"), None)
            if self.pe.is_meta and local_metadata.get("assign_to_params_buffers", False) and device:
                self.pe = torch.empty_like(self.pe, device=device)
            self.reset_parameters()
        # Everything but the table loads as usual: hooks, a subclass's parameters, stray keys.
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def _why_another_table(self, saved: Tensor) -> str | None:
        """Why the saved table cannot come from this formula, or None if it can."""
        if saved.dim() != 3 or saved.shape[0] != 1 or saved.shape[2] != self.d_model:
            way_out = self._how_to_turn(tuple(saved.shape))
            return (
                f"has shape {tuple(saved.shape)} in the checkpoint; this module needs (1, any "
                f"length, d_model = {self.d_model}).{way_out}"
            )
        if not saved.is_floating_point():
            return f"has dtype {saved.dtype} in the checkpoint; a table of sinusoids has fractions."
        if saved.is_meta:
            return None
        rows = saved[0].detach().cpu()
        own = (self.convention, self.max_seq_len)
        place = first_difference(rows[: self.max_seq_len], *own)
        if place is None:
            return None
        position, column = place
        square = rows.shape[0] == rows.shape[1]
        if square and first_difference(rows.T[: self.max_seq_len], *own) is None:
            reason = "They are transposed: state_dict[key] = state_dict[key].mT."
        else:
            reason = what_differs(rows, *own)
        wanted = self._exact(torch.tensor(position, device="cpu"))[column]
        return (
            f"holds other numbers than this module computes: {rows[position, column]:.6g} at "
            f"position {position}, column {column}, where {self._said()} give {wanted:.6g}. "
            f"{reason} To load it all the same, delete this key and pass strict=False."
        )

    def _said(self) -> str:
        """What the layer computes, for an error."""
        if self.convention == Convention(base=self.base, amplitude=self.amplitude):
            return f"base = {self.base:g}, amplitude = {self.amplitude:g} and interleaved columns"
        return f"the rows of its convention ({self.convention!r})"

    def _how_to_turn(self, shape: tuple[int, ...]) -> str:
        """What makes a table of another layout ``(1, length, d_model)``; "" if nothing does."""
        match shape:
            case (_, width) if width == self.d_model:
                text, turn = "It has no batch axis", ".unsqueeze(0)"
            case (_, 1, width) if width == self.d_model:
                text, turn = "It has the length first", ".transpose(0, 1)"
            case (width, _) if width == self.d_model:
                text, turn = "It is transposed and has no batch axis", ".T.unsqueeze(0)"
            case (1, width, _) if width == self.d_model:
                text, turn = "It is transposed", ".mT"
            case (1, 1, _, width) if width == self.d_model:
                text, turn = "It has one axis more", ".squeeze(0)"
            case _:
                return ""
        return f" {text}: state_dict[key] = state_dict[key]{turn}."

    def extra_repr(self) -> str:
        text = f"d_model={self.d_model}, max_seq_len={self.max_seq_len}"
        if self.convention != Convention(base=self.base, amplitude=self.amplitude):
            return f"{text}, convention={self.convention.code}"
        text = f"{text}, base={self.base:g}"
        return text if self.amplitude == 1.0 else f"{text}, amplitude={self.amplitude:g}"


def _convention(given: object, base: float, amplitude: float) -> Convention:
    """What a layer computes, said as a whole or by its base and amplitude."""
    if given is None:
        return Convention(base=base, amplitude=amplitude)
    if isinstance(given, str):
        given = Convention.named(given)
    if not isinstance(given, Convention):
        raise TypeError(
            f"convention must be a Convention or the name of one, got {given!r} of type "
            f"{type(given).__name__}."
        )
    for name, value, default in (("base", base, DEFAULT_BASE), ("amplitude", amplitude, 1.0)):
        if value != default:
            raise ValueError(
                f"{name} = {value:g} is given beside convention = {given.code}, which has a {name} "
                f"of its own: say it there, Convention(…, {name}={value:g})."
            )
    return given
