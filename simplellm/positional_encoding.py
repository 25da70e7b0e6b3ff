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
from .sinusoids import DEFAULT_BASE, frequencies, sinusoidal_encoding


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
        device: Device of the table.
        dtype: Floating-point dtype of the table.

    Attributes:
        pe: The table, a buffer of shape ``(1, max_seq_len, d_model)``.
        max_seq_len: Number of positions the table holds now.
        d_model, base, amplitude: As given.

    Shape:
        x ``(batch, seq_len, d_model)`` to the same shape and dtype.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``d_model`` is odd, x has the wrong shape, or ``start`` is negative.

    Example:
        >>> positions = PositionalEncoding(d_model=4, max_seq_len=128)
        >>> positions(torch.zeros(1, 3, 4))[0, 2]
        tensor([ 0.9093, -0.4161,  0.0200,  0.9998])
        >>> positions(torch.zeros(1, 500, 4)).shape  # past the table, the formula goes on
        torch.Size([1, 500, 4])

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
        self.base = base
        self.amplitude = amplitude
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
        if positions is None:
            start = check_start(start)
        else:
            check_positions(positions, x)
        if positions is not None:
            rows = self._rows(positions)  # (seq_len, d_model) or (batch, seq_len, d_model)
        elif (end := start + x.shape[1]) <= self.max_seq_len:
            rows = self.pe[:, start:end, :]  # (1, seq_len, d_model), a view
        else:
            rows = self._rows(torch.arange(start, end, device=self.pe.device))
        return x + rows.to(x.dtype)

    def _rows(self, positions: Tensor) -> Tensor:
        """What the table holds, or would hold, at any positions: ``(*positions.shape, d_model)``.

        By way of float32 in every case, so that a row is the same number to the last bit whether
        it was stored or is computed now.
        """
        # Apple's GPUs have no float64: the formula is computed beside them and the rows sent over.
        place = torch.device("cpu") if positions.device.type == "mps" else positions.device
        exact = self._exact(positions.to(place))
        return exact.to(torch.float32).to(device=positions.device, dtype=self.pe.dtype)

    def _exact(self, positions: Tensor) -> Tensor:
        """The formula at any positions, ``(*positions.shape, d_model)``, float64."""
        rows = sinusoidal_encoding(positions, self.d_model, self.base)
        return rows if self.amplitude == 1.0 else self.amplitude * rows

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
            hint = ""
            if saved.shape[-1:] == (self.d_model,) and saved.dim() == 2:
                hint = " Add the batch axis: state_dict[key] = state_dict[key].unsqueeze(0)."
            elif saved.shape[1:] == (1, self.d_model):
                hint = (
                    " It has the length first: state_dict[key] = state_dict[key].transpose(0, 1)."
                )
            return (
                f"has shape {tuple(saved.shape)} in the checkpoint; this module needs "
                f"(1, any length, d_model = {self.d_model}).{hint}"
            )
        if not saved.is_floating_point():
            return f"has dtype {saved.dtype} in the checkpoint; a table of sinusoids has fractions."
        if saved.is_meta:
            return None
        positions = torch.arange(min(saved.shape[1], self.max_seq_len), device="cpu")
        exact = self._exact(positions)
        saved = saved[0, : len(positions)].detach().cpu()
        # Tables elsewhere are often computed in float32: their frequencies are rounded once, and
        # the error grows with the position. Another base or column order is off by far more.
        allowed = 1e-6 + 2.0**-22 * positions.to(torch.float64).unsqueeze(-1)
        allowed = allowed * self.amplitude
        for dtype in (saved.dtype, torch.bfloat16, torch.float16):
            # A number that this dtype can hold may have been rounded to it, and cast back since.
            # Rounding keeps the order, so the limits are rounded the same way.
            rounded = saved.to(dtype)
            low, high = (exact - allowed).to(dtype), (exact + allowed).to(dtype)
            holds = rounded.to(saved.dtype) == saved
            if bool((holds & (low <= rounded) & (rounded <= high)).all()):
                return None
        error = (saved.to(torch.float64) - exact).abs()
        position, column = divmod(int((error - allowed).argmax()), self.d_model)
        return (
            f"holds other numbers than this module computes: {saved[position, column]:.6g} at "
            f"position {position}, column {column}, where base = {self.base:g}, amplitude = "
            f"{self.amplitude:g} and interleaved columns give {exact[position, column]:.6g}. "
            f"{self._what_differs(saved.to(torch.float64))} To load it all the same, delete this "
            "key and pass strict=False."
        )

    def _what_differs(self, saved: Tensor) -> str:
        """In which numbers the saved rows, ``(length, d_model)``, were made another way."""
        half = self.d_model // 2
        orders = {
            "": (saved[:, 0::2], saved[:, 1::2]),
            "cosines before sines in each pair": (saved[:, 1::2], saved[:, 0::2]),
            "all sines before all cosines": (saved[:, :half], saved[:, half:]),
            "all cosines before all sines": (saved[:, half:], saved[:, :half]),
        }
        short = any(
            torch.equal(saved.to(dtype).to(saved.dtype), saved)
            for dtype in (torch.bfloat16, torch.float16)
        )
        tolerance = 0.01 if short else 0.001  # of the amplitude; above what rounding does
        for order, (sines, cosines) in orders.items():
            found = self._fit(sines, cosines, tolerance)
            if found is not None and (order or any(found)):
                own, foreign = found
                foreign += [order] if order else []
                text = f"The checkpoint's table has {', '.join(own + foreign)}."
                if foreign:
                    return f"{text} This module cannot compute such a table."
                return f"{text} Build the module with the same."
        return "No other base, amplitude, first position or column order explains them."

    def _fit(
        self, sines: Tensor, cosines: Tensor, tolerance: float
    ) -> tuple[list[str], list[str]] | None:
        """What makes ``(length, d_model / 2)`` sines and cosines, or None if nothing simple does.

        Returns:
            What this module has an argument for, and what it has none for.
        """
        size = float((sines**2 + cosines**2).mean().sqrt())
        if len(sines) < 2 or not 0 < size < float("inf"):
            return None
        # The angle from each row to the next is the frequency, the first row's angle its position.
        turn = torch.complex(cosines, sines)
        rates = (turn[1:] * turn[:-1].conj()).sum(0).angle()
        if not rates[0] > 0:
            return None
        first = round(float(turn[0, 0].angle() / rates[0]))
        places = first + torch.arange(len(sines), dtype=torch.float64).unsqueeze(-1)

        def explains(trial: Tensor) -> bool:
            off = (
                torch.polar(torch.tensor(size, dtype=torch.float64), places * trial) - turn
            ).abs()
            return bool((off <= tolerance * size).all())

        own, foreign = [], []
        if not explains(frequencies(self.d_model, self.base)):
            base = (
                float(rates[1]) ** (-self.d_model / 2) if len(rates) > 1 and rates[1] > 0 else 0.0
            )
            if 0 < base < float("inf") and explains(frequencies(self.d_model, base)):
                own.append(f"base = {base:.5g}")
            elif explains(rates):
                foreign.append("other frequencies than a base gives")
            else:
                return None
        if abs(size / self.amplitude - 1) > 1e-3:
            own.append(f"amplitude = {size:.4g}")
        if first:
            foreign.append(f"first position {first} (this module: 0, or start={first} when called)")
        return own, foreign

    def extra_repr(self) -> str:
        text = f"d_model={self.d_model}, max_seq_len={self.max_seq_len}, base={self.base:g}"
        return text if self.amplitude == 1.0 else f"{text}, amplitude={self.amplitude:g}"
