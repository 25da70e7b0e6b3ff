"""Argument checks shared by the functions and modules of this package.

Each error names the argument, the value it had, the limit, and what to do. The checks look at
Python numbers, shapes and dtypes, and at values only of tensors on the CPU, so they never wait for
a GPU; the forward passes leave them out while `torch.compile` or `torch.export` is tracing, where
shapes are symbols.
"""

from __future__ import annotations

import math
from numbers import Integral

import torch
from torch import Tensor

INTEGER_DTYPES = frozenset(
    # uint16 and uint32 too: tokenised corpora are often stored in them.
    {torch.uint8, torch.uint16, torch.uint32, torch.uint64}
    | {torch.int8, torch.int16, torch.int32, torch.int64}
)


def check_positive_int(name: str, value: object) -> None:
    """Refuse anything but a whole number of at least 1."""
    check_int(name, value)
    if value < 1:  # type: ignore[operator]
        raise ValueError(f"{name} must be at least 1, got {value}.")


def check_int(name: str, value: object) -> None:
    """Refuse anything that is not a whole number; True and False are not numbers here."""
    # torch.SymInt stands for a length that torch.export keeps open.
    if isinstance(value, bool) or not isinstance(value, (Integral, torch.SymInt)):
        raise TypeError(f"{name} must be an int, got {value!r} of type {type(value).__name__}.")


def check_bool(name: str, value: object) -> None:
    """Refuse anything but True and False: a string or a number here is a mistake, not a yes."""
    if not isinstance(value, bool):
        raise TypeError(
            f"{name} must be True or False, got {value!r} of type {type(value).__name__}."
        )


def check_even_d_model(d_model: object) -> None:
    """Refuse a width that cannot hold a sine and a cosine column for each frequency."""
    check_positive_int("d_model", d_model)
    if d_model % 2:  # type: ignore[operator]
        raise ValueError(
            f"d_model must be even, got {d_model}: each frequency needs a sine and a cosine "
            f"column. Use {f'{d_model - 1} or ' if d_model > 1 else ''}{d_model + 1}."  # type: ignore[operator]
        )


def check_dtype(dtype: torch.dtype | None) -> None:
    """Refuse a table of whole numbers: it could hold neither sines nor gradients."""
    if dtype is not None and not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point dtype, got {dtype}.")


def check_base(base: object) -> None:
    """Refuse a base that gives no frequencies."""
    if isinstance(base, bool) or not isinstance(base, (int, float)):
        raise TypeError(f"base must be a number, got {base!r} of type {type(base).__name__}.")
    # A chained comparison, not math.isfinite: torch.compile may hold base as a symbol.
    if not 0 < base < math.inf:
        raise ValueError(f"base must be positive and finite, got {base}; the paper uses 10000.")


def check_init_std(init_std: object) -> None:
    """Refuse a standard deviation that is no number, negative or infinite."""
    if isinstance(init_std, bool) or not isinstance(init_std, (int, float)):
        raise TypeError(
            f"init_std must be a number, got {init_std!r} of type {type(init_std).__name__}."
        )
    if not (math.isfinite(init_std) and init_std >= 0):
        raise ValueError(f"init_std must be finite and at least 0, got {init_std}.")


def check_positive_number(name: str, value: object) -> None:
    """Refuse anything but a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}.")
    # A chained comparison, not math.isfinite: torch.compile may hold the value as a symbol.
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}.")


def check_dropout(dropout: object, name: str = "dropout") -> None:
    """Refuse a probability outside [0, 1); 1 would silence the layer for good."""
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)):
        raise TypeError(
            f"{name} must be a number, got {dropout!r} of type {type(dropout).__name__}."
        )
    if not 0.0 <= dropout < 1.0:
        raise ValueError(
            f"{name} must be at least 0 and below 1, got {dropout}. It is the share of entries "
            "set to zero in training; 0 switches it off."
        )


def check_ids(ids: object) -> None:
    """Refuse token ids that are no integer tensor of shape (batch, seq_len)."""
    if not isinstance(ids, Tensor):
        raise TypeError(
            f"ids must be a tensor of shape (batch, seq_len), got {type(ids).__name__}. "
            "Wrap them: torch.tensor([ids])."
        )
    if ids.dtype not in INTEGER_DTYPES:
        raise TypeError(f"ids must be integers, got dtype {ids.dtype}. Convert them: ids.long().")
    if ids.dim() != 2:
        hint = " Add the batch axis: ids.unsqueeze(0)." if ids.dim() == 1 else ""
        raise ValueError(
            f"ids must have shape (batch, seq_len), got {tuple(ids.shape)}, "
            f"which has {ids.dim()} dimensions.{hint}"
        )


def check_mask(mask: object, name: str = "mask") -> None:
    """Refuse a mask that is no bool or integer tensor of 0 and 1, (batch, seq_len)."""
    if not isinstance(mask, Tensor):
        raise TypeError(
            f"{name} must be a tensor of shape (batch, seq_len), got {type(mask).__name__}."
        )
    if mask.dtype != torch.bool and mask.dtype not in INTEGER_DTYPES:
        raise TypeError(
            f"{name} must be bool or integer, got dtype {mask.dtype}. Convert it: {name}.bool()."
        )
    if mask.dim() != 2:
        raise ValueError(f"{name} must have shape (batch, seq_len), got {tuple(mask.shape)}.")
    # Reading the values of a GPU tensor would wait for the GPU.
    readable = mask.device.type == "cpu" and not torch.compiler.is_compiling()
    if readable and ((mask != 0) & (mask != 1)).any():
        raise ValueError(
            f"{name} must hold only 0 and 1, got values from {int(mask.long().min())} to "
            f"{int(mask.long().max())}. Compare ids with PAD to make one: {name} = ids != pad_id."
        )


def check_vectors(x: object, d_model: int) -> None:
    """Refuse anything but floating-point vectors of shape (batch, seq_len, d_model)."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"x must be a tensor of shape (batch, seq_len, d_model), got {type(x).__name__}."
        )
    if not x.is_floating_point():
        raise TypeError(
            f"x must be floating point, got dtype {x.dtype}. Positions are added to vectors, not "
            "to ids: look the ids up first."
        )
    if x.dim() != 3:
        raise ValueError(
            f"x must have shape (batch, seq_len, d_model), got {tuple(x.shape)}, which has "
            f"{x.dim()} dimensions."
        )
    if x.shape[-1] != d_model:
        raise ValueError(
            f"the last dimension of x must be d_model = {d_model}, got {x.shape[-1]} in shape "
            f"{tuple(x.shape)}."
        )


def check_start(start: object) -> None:
    """Refuse a start that is no whole number or negative."""
    check_int("start", start)
    if start < 0:  # type: ignore[operator]
        raise ValueError(
            f"start must be at least 0, got {start}. It is the number of positions that come "
            "before this chunk."
        )


def check_positions(positions: object, x: Tensor) -> None:
    """Refuse explicit positions that are no integers or do not fit x."""
    if not isinstance(positions, Tensor):
        raise TypeError(
            f"positions must be a tensor, got {type(positions).__name__}. "
            "Wrap them: torch.tensor(positions)."
        )
    if positions.dtype not in INTEGER_DTYPES:
        raise TypeError(
            f"positions must be integers, got dtype {positions.dtype}. For fractional positions "
            "call simplellm.sinusoidal_encoding."
        )
    batch, seq_len = x.shape[:2]
    if tuple(positions.shape) not in {(seq_len,), (batch, seq_len)}:
        raise ValueError(
            f"positions must have shape (seq_len,) = ({seq_len},) or (batch, seq_len) = "
            f"({batch}, {seq_len}), got {tuple(positions.shape)}."
        )


def first_outside(indices: Tensor, size: int) -> tuple[int, tuple[int, ...]] | None:
    """The first index outside [0, size) and where it stands, or None.

    Reads the values, so call it only once something has gone wrong, or on CPU.
    """
    indices = indices.long()  # some unsigned dtypes cannot be compared
    outside = ((indices < 0) | (indices >= size)).nonzero()
    if not len(outside):
        return None
    place = tuple(outside[0].tolist())
    return int(indices[place]), place
