"""Argument checks shared by the functions and modules of this package.

Each error names the argument, the value it had, the limit, and what to do. The checks look at
Python numbers, shapes and dtypes, and so hold under `torch.compile`, `torch.export` and
`torch.func` too, at no cost to the traced program. Values are read only of tensors on the CPU, so
no check waits for a GPU, and not where a transform hides them.

With `fullgraph=True` torch.compile wraps every error into its own `Unsupported`; it quotes ours as
long as the text holds numbers and no symbols, which is what `shown` is for.
"""

from __future__ import annotations

import math
import operator
from decimal import Decimal
from numbers import Real

import torch
from torch import Tensor

#: The integer dtypes of ids and positions.
INTEGER_DTYPES = frozenset(
    # uint16 and uint32 too: tokenised corpora are often stored in them.
    {torch.uint8, torch.uint16, torch.uint32, torch.uint64}
    | {torch.int8, torch.int16, torch.int32, torch.int64}
)


def _python_number(value: object) -> object:
    """The Python number inside a NumPy scalar or a tensor without axes; else the value itself."""
    if isinstance(value, (int, float, complex, str)):
        # torch.compile takes a number for a symbol, which it cannot ask for attributes.
        return value
    if getattr(value, "shape", None) != ():
        return value
    if isinstance(value, Tensor) and value.is_meta:
        return value
    return value.item()  # type: ignore[attr-defined]


def shown(value: object) -> object:
    """Convert a value for an error message: while tracing, a symbol becomes its number.

    torch.compile shows the text of an error only if it can make it, and it cannot print symbols.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, torch.SymInt)):
        return operator.index(value)
    if isinstance(value, (float, torch.SymFloat)):
        return float(value)
    return value


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    """Return a shape for an error message, as numbers also while tracing."""
    return tuple([operator.index(size) for size in tensor.shape])


def check_positive_int(name: str, value: object) -> int:
    """Check that an argument is a positive integer, and return it as an int."""
    number = check_int(name, value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {shown(value)}.")
    return number


def check_int(name: str, value: object) -> int:
    """Check that an argument is an integer of any type but bool, and return it as an int."""
    # torch.SymInt is a length that torch.export keeps dynamic.
    if isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool):
        return value  # type: ignore[return-value]
    number = _python_number(value)
    if isinstance(number, (int, torch.SymInt)) and not isinstance(number, bool):
        return number  # type: ignore[return-value]
    if isinstance(number, (bool, float, complex, Tensor)) or not hasattr(number, "__index__"):
        raise TypeError(
            f"{name} must be an int, got {shown(value)!r} of type {type(value).__name__}."
        )
    try:
        return operator.index(number)
    except TypeError:
        raise TypeError(
            f"{name} must be an int, got {value!r} of type {type(value).__name__}."
        ) from None


def check_number(name: str, value: object) -> float:
    """Check that an argument is a real number of any type but bool, and return it as a float."""
    if isinstance(value, (float, torch.SymInt, torch.SymFloat)):
        # NumPy's float64 is a float too, but a checkpoint may hold Python's own numbers only.
        return float(value) if type(value).__module__ == "numpy" else value  # type: ignore[return-value]
    number = _python_number(value)
    if isinstance(number, bool) or not isinstance(number, (Real, Decimal)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}.")
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf  # type: ignore[operator]


def check_bool(name: str, value: object) -> None:
    """Check that an argument is a bool: no other value is taken for its truth."""
    if not isinstance(value, bool):
        raise TypeError(
            f"{name} must be True or False, got {value!r} of type {type(value).__name__}."
        )


def check_even_d_model(d_model: object) -> int:
    """Check that d_model is even, a sine and a cosine for each frequency; return it as an int."""
    width = check_positive_int("d_model", d_model)
    if width % 2:
        raise ValueError(
            f"d_model must be even, got {width}: each frequency needs a sine and a cosine "
            f"column. Use {f'{width - 1} or ' if width > 1 else ''}{width + 1}."
        )
    return width


def check_dtype(dtype: torch.dtype | None) -> None:
    """Check that a dtype is floating point: an integer table has neither sines nor gradients."""
    if dtype is None:
        return
    if not isinstance(dtype, torch.dtype):  # NumPy's, or a name
        raise TypeError(
            f"dtype must be a torch.dtype such as torch.float32, got {dtype!r} of type "
            f"{type(dtype).__name__}."
        )
    if not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point dtype, got {dtype}.")


def check_base(base: object) -> float:
    """Check that the base of the frequencies is positive and finite; return it as a float."""
    number = check_number("base", base)
    # A chained comparison, not math.isfinite: torch.compile may hold base as a symbol.
    if not 0 < number < math.inf:
        raise ValueError(f"base must be positive and finite, got {base}; the paper uses 10000.")
    return number


def check_init_std(init_std: object) -> float:
    """Check that a standard deviation is finite and not negative; return it as a float."""
    number = check_number("init_std", init_std)
    if not 0 <= number < math.inf:
        raise ValueError(f"init_std must be finite and at least 0, got {init_std}.")
    return number


def check_positive_number(name: str, value: object) -> float:
    """Check that an argument is a positive, finite number; return it as a float."""
    number = check_number(name, value)
    # A chained comparison, not math.isfinite: torch.compile may hold the value as a symbol.
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}.")
    return number


def check_dropout(dropout: object, name: str = "dropout") -> float:
    """Check that a dropout probability is in [0, 1): 1 would zero every output; return a float."""
    number = check_number(name, dropout)
    if not 0.0 <= number < 1.0:
        raise ValueError(
            f"{name} must be at least 0 and below 1, got {dropout}. It is the share of entries "
            "set to zero in training; 0 switches it off."
        )
    return number


def _how_to_make_ids(ids: object) -> str:
    """What turns a list, an array or a text into ids that the next check takes; "" if unknown."""
    if isinstance(ids, int):
        return " Wrap them: torch.tensor([[ids]])."
    items = ids.reshape(-1).tolist() if hasattr(ids, "reshape") else ids
    first, depth = items, 0
    while isinstance(first, (list, tuple)) and first:
        first, depth = first[0], depth + 1
    if isinstance(first, (str, bytes)):
        return " Encode the text first, with the vocabulary the model was trained with."
    if torch.compiler.is_compiling():  # which cannot try torch.tensor(ids)
        return ""
    if depth > 2:
        return f" They are nested {depth} deep, two are needed: one list for each sequence."
    if isinstance(items, (list, tuple)) and items and all(isinstance(i, Tensor) for i in items):
        if all(i.dim() == 1 and i.shape == items[0].shape for i in items):
            return " Stack the rows: torch.stack(tuple(ids))."
        if all(i.dim() == 1 for i in items):
            return (
                " The rows have different lengths. This pads the short ones with id 0: "
                "torch.nn.utils.rnn.pad_sequence(list(ids), batch_first=True)."
            )
        return ""
    try:
        made = torch.tensor(ids)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        if (
            isinstance(items, (list, tuple))
            and all(isinstance(row, (list, tuple)) for row in items)
            and len({len(row) for row in items}) > 1
        ):
            return (
                " The rows have different lengths. This pads the short ones with id 0: "
                "torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], "
                "batch_first=True)."
            )
        return ""
    if made.dim() > 2:
        return f" They have {made.dim()} axes, two are needed."
    # A list without numbers would become a tensor of floats.
    dtype = "" if made.dtype in INTEGER_DTYPES else ", dtype=torch.long"
    if made.dim() < 2 and hasattr(ids, "reshape"):
        # A list of arrays is slow to convert, or cannot be.
        return f" Wrap them: torch.tensor(ids{dtype}).reshape(1, -1)."
    axes = {0: "[[ids]]", 1: "[ids]", 2: "ids"}[made.dim()]
    return f" Wrap them: torch.tensor({axes}{dtype})."


def check_ids(ids: object) -> None:
    """Check that token ids are an integer tensor of shape (batch, seq_len)."""
    if not isinstance(ids, Tensor):
        raise TypeError(
            f"ids must be a tensor of shape (batch, seq_len), got {type(ids).__name__}."
            f"{_how_to_make_ids(ids)}"
        )
    if ids.dtype not in INTEGER_DTYPES:
        raise TypeError(f"ids must be integers, got dtype {ids.dtype}. Convert them: ids.long().")
    if ids.dim() != 2:
        hint = " Add the batch axis: ids.unsqueeze(0)." if ids.dim() == 1 else ""
        raise ValueError(
            f"ids must have shape (batch, seq_len), got {_sizes(ids)}, "
            f"which has {ids.dim()} dimensions.{hint}"
        )


def check_mask(mask: object, name: str = "mask") -> None:
    """Check that a mask is a bool or integer tensor of 0 and 1, of shape (batch, seq_len)."""
    if not isinstance(mask, Tensor):
        raise TypeError(
            f"{name} must be a tensor of shape (batch, seq_len), got {type(mask).__name__}."
        )
    if mask.dtype != torch.bool and mask.dtype not in INTEGER_DTYPES:
        raise TypeError(
            f"{name} must be bool or integer, got dtype {mask.dtype}. Convert it: {name}.bool()."
        )
    if mask.dim() != 2:
        raise ValueError(f"{name} must have shape (batch, seq_len), got {_sizes(mask)}.")
    # Reading the values of a GPU tensor would wait for the GPU.
    if mask.dtype == torch.bool or mask.device.type != "cpu" or torch.compiler.is_compiling():
        return
    try:
        other = bool(((mask != 0) & (mask != 1)).any())
    except RuntimeError:  # under vmap a tensor has no values to look at
        return
    if other:
        raise ValueError(
            f"{name} must hold only 0 and 1, got values from {int(mask.long().min())} to "
            f"{int(mask.long().max())}. Compare ids with PAD to make one: {name} = ids != pad_id."
        )


def check_vectors(x: object, d_model: int) -> None:
    """Check that x is a floating-point tensor of shape (batch, seq_len, d_model)."""
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
            f"x must have shape (batch, seq_len, d_model), got {_sizes(x)}, which has "
            f"{x.dim()} dimensions."
        )
    if x.shape[-1] != d_model:
        raise ValueError(
            f"the last dimension of x must be d_model = {d_model}, got {_sizes(x)[-1]} in shape "
            f"{_sizes(x)}."
        )


def check_start(start: object) -> int:
    """Check that start is an integer of at least 0; return it as an int."""
    if type(start) is int and start >= 0:  # nearly always: each step of generation passes here
        return start
    if isinstance(start, Tensor):
        raise TypeError(
            f"start must be an int, got a tensor of shape {_sizes(start)}. Read it, which "
            "waits for its device: start.item(); or give each token its place with positions."
        )
    number = check_int("start", start)
    if number < 0:
        raise ValueError(
            f"start must be at least 0, got {shown(start)}. It is the number of positions that "
            "come before this chunk."
        )
    return number


def check_positions(positions: object, x: Tensor) -> None:
    """Check that explicit positions are integers, of shape (seq_len,) or (batch, seq_len)."""
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
    # Size by size: while tracing they are symbols, which no set can hold.
    fits = positions.dim() in (1, 2) and positions.shape[-1] == seq_len
    if not fits or (positions.dim() == 2 and positions.shape[0] != batch):
        raise ValueError(
            f"positions must have shape (seq_len,) = {_sizes(x)[1:2]} or (batch, seq_len) = "
            f"{_sizes(x)[:2]}, got {_sizes(positions)}."
        )


def first_outside(indices: Tensor, size: int) -> tuple[int, tuple[int, ...]] | None:
    """Find the first index outside [0, size): the index and its place in the tensor, or None.

    Reads the values, so call it only once something has gone wrong, or on CPU.
    """
    indices = indices.long()  # some unsigned dtypes cannot be compared
    outside = ((indices < 0) | (indices >= size)).nonzero()
    if not len(outside):
        return None
    place = tuple(outside[0].tolist())
    return int(indices[place]), place
