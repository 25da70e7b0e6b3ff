"""What to put in the place of a model's positions: moved, shuffled, taken out, or by a formula.

An *arm* is a table of rows, one for each position of a text, that is added instead of the model's
own. All are made of the model's own table of positions; where chance is in it, the seed is in the
arm's name.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_positive_int
from ..sinusoids import sinusoidal_encoding
from .circles import fit_waves

#: Rows 0 to 3 and the last are no ordinary places, so nothing is fitted to them.
FIRST_FITTED, LAST_FITTED = 4, 125
SEEDS = (0, 1, 2, 3)


def position_arms(table: Tensor, seq_len: int) -> dict[str, Tensor]:
    """Make the rows of every arm.

    Args:
        table: The model's table of positions, ``(positions, d_model)``, at least 506 rows.
        seq_len: Positions of a text, at most 112.

    Returns:
        By name, each ``(seq_len, d_model)``, float32. "as trained" is the table's own beginning;
        names that begin with "row 0 kept" have its first row.

    Raises:
        TypeError: If ``seq_len`` is no int.
        ValueError: If the table is too short or the text too long.

    Example:
        >>> from simplellm.real_models import position_table
        >>> arms = position_arms(position_table(), 48)
        >>> arms["shift 1"].shape
        torch.Size([48, 384])
    """
    check_positive_int("seq_len", seq_len)
    if len(table) < 506 or seq_len > len(table) - 400:
        raise ValueError(
            f"table must have at least 506 rows, and 400 more than seq_len, got {len(table)} rows "
            f"and seq_len = {seq_len}."
        )
    table = table.float()
    arms = {"as trained": table[:seq_len]}
    rest = table[1:seq_len]
    for by in (1, 8, 64, 128, 256, 400):
        arms[f"shift {by}"] = table[by : by + seq_len]
    for by in (1, 8, 64, 128, 400):
        arms[f"row 0 kept, rest shift {by}"] = _after(table, table[1 + by : by + seq_len])
    far = table[401 : 400 + seq_len]
    same_mean = far - far.mean(0) + rest.mean(0)
    arms["row 0 kept, rest shift 400, their mean as in place"] = _after(table, same_mean)
    arms["row 0 zero, rest in place"] = torch.cat((torch.zeros_like(table[:1]), rest))
    arms["all zero"] = torch.zeros_like(table[:seq_len])
    arms["all row 5"] = table[5].expand(seq_len, -1)
    arms["reversed"] = table[:seq_len].flip(0)
    arms["row 0 kept, rest the mean row"] = _after(table, table[1:].mean(0).expand_as(rest))
    for seed in SEEDS:
        chance = torch.Generator().manual_seed(seed)
        order = torch.randperm(seq_len - 1, generator=chance)
        arms[f"row 0 kept, rest shuffled, seed {seed}"] = _after(table, rest[order])
        any_rows = 1 + torch.randperm(len(table) - 1, generator=chance)[: seq_len - 1]
        arms[f"row 0 kept, rest any rows, seed {seed}"] = _after(table, table[any_rows])
        noise = torch.randn(rest.shape, generator=chance) * _rms(rest)
        arms[f"row 0 kept, rest noise, seed {seed}"] = _after(table, noise)
    formula = sinusoidal_encoding(range(seq_len), table.shape[1]).float()
    arms["sinusoids"] = formula
    arms["sinusoids of the table's RMS"] = formula * (_rms(table) / _rms(formula))
    own = sinusoidal_encoding(range(1, seq_len), table.shape[1]).float()
    arms["row 0 kept, rest sinusoids of its RMS"] = _after(table, own * (_rms(rest) / _rms(own)))
    return arms | _directions(table, seq_len) | _waves(table, seq_len)


def _after(table: Tensor, rows: Tensor) -> Tensor:
    """The table's first row, and others after it."""
    return torch.cat((table[:1], rows))


def _rms(rows: Tensor) -> float:
    return float(rows.square().mean().sqrt())


def _directions(table: Tensor, seq_len: int) -> dict[str, Tensor]:
    """The rows with all but the few directions left out in which the table varies most."""
    fitted = table[FIRST_FITTED:-FIRST_FITTED].double()
    mean = fitted.mean(0)
    _, _, basis = torch.linalg.svd(fitted - mean, full_matrices=False)
    arms = {}
    for count in (2, 4, 6, 8, 10, 12):
        kept = basis[:count]
        rows = mean + (table[1:seq_len].double() - mean) @ kept.T @ kept
        arms[f"row 0 kept, rest in {count} directions"] = _after(table, rows.float())
    return arms


def _waves(table: Tensor, seq_len: int) -> dict[str, Tensor]:
    """The rows of a formula with a few waves, in place and past the table's end."""
    arms = {}
    for count in (1, 2, 3, 4, 5, 6):
        fitted = fit_waves(table[FIRST_FITTED : LAST_FITTED + 1], count, first=FIRST_FITTED)
        starts = (1, 512, 777, 1000, 2000, 5000) if count == 5 else (1,)
        for start in starts:
            places = range(start, start + seq_len - 1)
            name = f"row 0 kept, rest {count} wave{'s' * (count > 1)}" + (
                f" from {start}" if start > 1 else ""
            )
            arms[name] = _after(table, fitted.at(places).float())
    last = len(table) - 1 - FIRST_FITTED - 2
    whole = fit_waves(table[FIRST_FITTED : last + 1], 5, first=FIRST_FITTED)
    arms["row 0 kept, rest 5 waves of the whole table"] = _after(
        table, whole.at(range(1, seq_len)).float()
    )
    return arms
