"""What is read off a layer: each number of it, on layers that say nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from simplellm import Convention
from simplellm.silent_bugs.reading import _tokens_are_scaled, fit, moved_by, read_off
from simplellm.silent_bugs.variants import NotApplicableError

ROWS = Convention().table(12, 16)


class Rows(nn.Module):
    """As much of a layer as is read: tokens, rows, and learned numbers that change the rows."""

    vocab_size, d_model, max_seq_len = 20, 16, 12

    def __init__(self, change: Callable[[Tensor, nn.ParameterDict], Tensor], **learned: Tensor):
        super().__init__()
        self.token_table = nn.Parameter(torch.randn(20, 16))
        self.learned = nn.ParameterDict(learned)
        self.change = change
        self.times = torch.ones(20, 1)

    def token_rows(self, ids: Tensor) -> Tensor:
        return self.token_table.detach()[ids] * self.times[ids]

    def position_rows(self, length: int) -> Tensor:
        return self.change(ROWS[:length], self.learned).detach()


# ---- what learned numbers do to the rows

SCALAR, VECTOR, TABLE = torch.tensor(0.5), torch.zeros(16), torch.zeros(12, 16)
KINDS = {
    "none": (lambda rows, own: rows, {"unused": SCALAR}, set()),
    "scalar": (lambda rows, own: rows * own["gain"], {"gain": SCALAR}, {"scalar"}),
    "bias": (lambda rows, own: rows + own["bias"], {"bias": VECTOR}, {"bias"}),
    "one bias": (lambda rows, own: rows + own["bias"], {"bias": SCALAR}, {"bias"}),
    "rows": (lambda rows, own: rows + own["table"], {"table": TABLE}, {"rows"}),
    "columns": (lambda rows, own: rows * own["gains"], {"gains": VECTOR}, {"rows"}),
    "bent": (lambda rows, own: rows ** (1 + own["gain"].round()), {"gain": SCALAR}, {"rows"}),
    "both": (
        lambda rows, own: own["gain"] * rows + own["bias"],
        {"unused": SCALAR, "gain": SCALAR, "bias": VECTOR},
        {"scalar", "bias"},
    ),
}


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("kind", KINDS)
def test_learned_numbers_are_told_by_how_they_change_the_rows(kind: str, size: float) -> None:
    change, learned, expected = KINDS[kind]
    layer = Rows(lambda rows, own: size * change(rows, own), **learned)
    assert moved_by(layer) == expected
    for name, value in layer.learned.items():  # as it was before
        assert torch.equal(value, learned[name])


def test_a_frozen_number_and_the_tokens_are_not_tried() -> None:
    layer = Rows(lambda rows, own: rows * own["gain"] + layer.token_table.sum(), gain=SCALAR)
    layer.learned["gain"].requires_grad_(False)
    assert moved_by(layer) == set()


def test_rows_of_zeros_can_be_moved_too() -> None:
    assert moved_by(Rows(lambda rows, own: 0 * rows + own["bias"], bias=VECTOR)) == {"bias"}
    assert moved_by(Rows(lambda rows, own: rows * own["gate"], gate=0 * SCALAR)) == {"scalar"}


def test_where_rows_are_no_part_of_a_sum_nothing_is_moved() -> None:
    def refuses(rows: Tensor, own: nn.ParameterDict) -> Tensor:
        raise NotApplicableError("no sum")

    assert moved_by(Rows(refuses, gain=SCALAR)) == set()


# ---- tokens


@pytest.mark.parametrize(
    ("times", "scaled"),
    [
        ({}, False),
        (dict.fromkeys(range(20), 4.0), True),
        (dict.fromkeys(range(20), 2.0), False),  # as near to 1 as to √16
        (dict.fromkeys(range(20), 2.01), True),
        (dict.fromkeys(range(3), 1000.0), False),  # ids that may be special
        ({3: 1000.0}, True),
        ({14: 1000.0}, True),
        ({15: 1000.0}, False),  # no longer than the layer takes
    ],
)
def test_tokens_from_the_third_on_say_whether_they_are_scaled(
    times: dict[int, float], scaled: bool
) -> None:
    layer = Rows(lambda rows, own: rows)
    for token, factor in times.items():
        layer.times[token] = factor
    assert _tokens_are_scaled(layer) is scaled


# ---- rows of two widths


@pytest.mark.parametrize("size", [0.05, 1.0, 20.0])
def test_a_wider_table_may_be_off_by_a_hundredth_of_its_size(size: float) -> None:
    rows, wider = (Convention().table(64, width) for width in (16, 32))
    for off, found in ((0.008, Convention()), (0.015, None)):
        amiss = wider.clone()
        amiss[5, 3] += off
        assert fit(rows, size * amiss) == found
    assert fit(rows, 0 * wider) is None


def test_rows_that_hang_on_the_length_or_begin_before_0_are_none_that_is_known() -> None:
    for says in (Convention(normalised=True), Convention(first=-2)):
        assert fit(says.table(64, 16)) is None
    assert fit(Convention(fastest="d/length").table(64, 16)) == Convention(fastest=0.25)


def test_of_conventions_that_fit_the_simplest_is_read() -> None:
    assert fit(Convention(base=100.0).table(64, 16)) == Convention(base=100.0)
    assert fit(Convention("halves", "4i/d", base=100.0).table(64, 16)) == Convention("halves")


# ---- a layer as a whole


def test_what_cannot_be_asked_for_rows_is_not_read() -> None:
    class Fails(Rows):
        def position_rows(self, length: int) -> Tensor:
            raise RuntimeError("not today")

    for learned, positions in (({}, "not read"), ({"table": TABLE}, "learned")):

        def make(
            d_model: int = 16, max_seq_len: int = 12, learned: dict[str, Tensor] = learned
        ) -> nn.Module:
            own = {name: value.repeat(max_seq_len, 1) for name, value in learned.items()}
            return Fails(lambda rows, own: rows, **own)

        read = read_off(make)  # type: ignore[arg-type]
        assert read.positions == positions and read.scale is None


def test_a_layer_of_one_width_is_read_while_it_is_evaluated() -> None:
    class Evaluated(Rows):
        def position_rows(self, length: int) -> Tensor:
            return super().position_rows(length) * (0 if self.training else 1)

    def make(d_model: int = 16, max_seq_len: int = 12) -> nn.Module:
        if d_model != 16:
            raise ValueError("d_model must be 16")
        return Evaluated(lambda rows, own: rows)

    read = read_off(make)  # type: ignore[arg-type]
    assert read.positions == Convention() and read.scale is False
    assert not read.learned_scalar


def test_both_widths_say_which_exponents_there_are() -> None:
    """Of width 16 the rows are also the paper's in halves, which takes less to say."""
    says = Convention("halves", "i/(d/2-1)", base=10_000 ** (7 / 8))
    assert fit(says.table(12, 16)) == Convention("halves")

    class Wide(Rows):
        def __init__(self, d_model: int = 16, max_seq_len: int = 12) -> None:
            super().__init__(lambda rows, own: rows)
            self.d_model = d_model

        def position_rows(self, length: int) -> Tensor:
            return says.table(length, self.d_model)

    found = read_off(Wide).positions  # type: ignore[arg-type]
    assert isinstance(found, Convention) and found.exponents == "i/(d/2-1)"
    assert found.base == pytest.approx(says.base, rel=1e-4)
