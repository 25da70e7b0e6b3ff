"""The bench on what classes learn and how they behave: one fault is one finding."""

import functools

import pytest
import torch
from torch import Tensor, nn

from simplellm import Convention
from simplellm.silent_bugs import LayerConvention, bench
from tests.bench_fakes import PLAIN, Adds, Factorised, sinusoids

# ---- what is learned


class OneNumber(Adds):
    """Three places for one learned number; only one of them multiplies the rows."""

    def __init__(self, d_model: int, max_len: int, on: str) -> None:
        super().__init__(d_model, max_len)
        self.number, self.on = nn.Parameter(torch.ones(1)), on

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        rows = super().forward(torch.zeros_like(x), start)
        if self.on == "rows":
            return x + self.number * rows
        return self.number * x + rows if self.on == "tokens" else x + rows


@pytest.mark.parametrize("on", ["rows", "tokens", "nothing"])
def test_a_learned_number_is_said_where_it_multiplies_the_rows(on: str) -> None:
    report = bench(OneNumber, on=on)
    assert report.says == LayerConvention(scale=False, learned_scalar=on == "rows")
    assert report.broken == ()


def test_a_number_that_is_not_trained_is_no_learned_one() -> None:
    class Frozen(OneNumber):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, max_len, on="rows")
            self.number.requires_grad_(False)

    report = bench(Frozen)
    assert report.says == PLAIN and report.broken == ()


@pytest.mark.parametrize("kind", ["two rows more", "a gain for each column", "frequencies"])
def test_rows_that_are_learned_in_another_way_are_no_computed_rows_that_move(kind: str) -> None:
    class Learned(nn.Module):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__()
            size = {"two rows more": (max_len + 2, d_model), "a gain for each column": (d_model,)}
            start = torch.rand(size.get(kind, (d_model // 2,))) + 0.1
            self.learned = nn.Parameter(start)
            self.register_buffer("pe", sinusoids(max_len, d_model))

        def forward(self, x: Tensor) -> Tensor:
            rows = self.pe[: x.shape[1]]
            if len(rows) < x.shape[1]:
                raise ValueError("too long")
            if kind == "two rows more":
                return x + self.learned[2 : x.shape[1] + 2]
            if kind == "a gain for each column":
                return x + rows * self.learned
            angles = torch.arange(x.shape[1], device=x.device)[:, None] * self.learned
            return x + torch.cat([angles.sin(), angles.cos()], 1)

    report = bench(Learned)
    assert report.says == LayerConvention("learned", scale=False)
    assert report.broken == report.crashed == ()
    assert report.not_judged == (() if kind == "two rows more" else ("training",))
    if report.not_judged:
        assert report.findings["training"].why == (
            "its rows share learned numbers and cannot move one by one"
        )


def test_one_number_that_bends_the_rows_is_none_that_stretches_them() -> None:
    class Paced(nn.Module):
        def __init__(self, d_model: int) -> None:
            super().__init__()
            self.pace = nn.Parameter(torch.tensor(0.37))
            self.rates = 10_000.0 ** -(torch.arange(0, d_model, 2) / d_model)

        def forward(self, x: Tensor) -> Tensor:
            turned = torch.arange(x.shape[1])[:, None] * self.pace * self.rates
            return x + torch.cat([turned.sin(), turned.cos()], 1)

    assert bench(Paced).says == LayerConvention("learned", scale=False)


# ---- habits


def test_a_learned_vector_for_all_positions_is_no_computed_row_that_moves() -> None:
    class Biased(Adds):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, max_len)
            self.bias = nn.Parameter(torch.randn(d_model))

        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return super().forward(x, start) + self.bias

    report = bench(Biased)
    assert report.broken == () and "training" in report.not_judged
    assert report.findings["training"].why == "a learned vector is added to every row"


def test_rows_behind_a_learned_zero_are_told_from_a_learned_table() -> None:
    class Closed(Adds):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, max_len)
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return x + self.gate * super().forward(torch.zeros_like(x), start)

    report = bench(Closed)
    assert report.says == LayerConvention("not recognised", scale=False, learned_scalar=True)
    assert report.broken == ("distinct",)


def test_a_buffer_in_bfloat16_breaks_the_formula_and_nothing_else() -> None:
    class Rounded(Adds):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, max_len)
            self.pe = self.pe.bfloat16()

    report = bench(Rounded)
    assert report.says == PLAIN
    assert report.broken == ("formula",) and report.crashed == report.not_judged == ()


def test_writing_into_the_input_is_said_and_spoils_no_verdict() -> None:
    class InPlace(Adds):
        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return x.add_(super().forward(torch.zeros_like(x), start)).view_as(x)

    class Whole(Factorised):
        def __init__(self, vocab_size: int, d_model: int, max_len: int) -> None:
            super().__init__(vocab_size, d_model, max_len)
            self.table = nn.Embedding(vocab_size + 1, d_model)

        def forward(self, ids: Tensor) -> Tensor:
            return self.table(ids.add_(1)) + self.pe[: ids.shape[1]]

    for layer_class in (InPlace, Whole):
        report = bench(layer_class)
        assert "it changes its input in place" in report.notes
        assert {"own sentence", "steady", "distinct"} <= set(report.kept)
    assert bench(InPlace).broken == () and bench(Adds).notes == ()


def test_a_module_that_adds_its_whole_table_is_told_what_to_change() -> None:
    class Entire(Adds):
        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return x + self.pe

    report = bench(Entire)
    (said,) = report.notes
    assert said.startswith("its forward raises RuntimeError: The size of tensor")
    way_out = "; it takes 64 tokens, the whole length, and no fewer: cut its table to its input"
    assert said.endswith(way_out)
    assert report.crashed == ("shapes",) and report.kept == report.broken == ()


def test_chance_in_evaluation_is_one_fault_and_not_five() -> None:
    class Noisy(Adds):
        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return nn.functional.dropout(super().forward(x, start), 0.1)

    report = bench(Noisy)
    assert report.broken == ("steady",)
    assert report.notes == ("asked again, it answers otherwise",)
    assert report.findings["checkpoint"].why == "asked again, it answers otherwise"
    assert {"own sentence", "checkpoint", "no sharing"} <= set(report.not_judged)


def test_nothing_is_read_off_a_module_that_counts_its_calls() -> None:
    class Streams(Adds):
        at = 0

        def forward(self, x: Tensor) -> Tensor:
            self.at += x.shape[1]
            return super().forward(x, self.at - x.shape[1])

    report = bench(Streams, build=lambda v, d, n, p: Streams(d))
    assert report.says == LayerConvention("not read", scale=None)
    assert "asked again" in repr(report) and "steady" in report.broken
    assert {"formula", "token scale"} <= set(report.not_judged)


def test_an_answer_that_the_next_call_overwrites_is_not_steady() -> None:
    class Reuses(Adds):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, max_len)
            self.out = torch.zeros(0)

        def forward(self, x: Tensor) -> Tensor:
            if self.out.shape != x.shape:
                self.out = torch.zeros(x.shape, device=x.device, dtype=x.dtype)
            self.out.detach_().copy_(super().forward(x))
            return self.out

    assert "steady" in bench(Reuses).broken


@pytest.mark.parametrize("batch_first", [True, False])
def test_an_axis_that_was_taken_for_the_other_is_said(batch_first: bool) -> None:
    class Turned(Adds):
        def forward(self, x: Tensor) -> Tensor:
            rows = self.pe[: x.shape[0 if batch_first else 1]]
            return x + (rows[:, None] if batch_first else rows)

    axis = "first" if batch_first else "second"
    said = f"it takes the {axis} axis for the positions: try batch_first={not batch_first}"
    assert said in bench(Turned, batch_first=batch_first).notes
    by_build = bench(Turned, batch_first=batch_first, build=lambda v, d, n, p: Turned(d, n))
    by_call = bench(Turned, batch_first=batch_first, call=lambda module, x, start: module(x))
    assert said in by_build.notes and said in by_call.notes
    assert said not in bench(Turned, batch_first=not batch_first).notes


def test_what_was_measured_of_a_promise_that_is_kept_is_kept_too() -> None:
    findings = bench(Adds).findings
    for name in bench(Adds).kept:
        measured = findings[name].measured
        assert measured is not None and findings[name].promise.kept(measured)


def test_a_class_without_a_name_is_called_by_its_kind() -> None:
    assert bench(functools.partial(Adds, max_len=700)).name == "partial"


def test_a_deviation_without_a_size_is_said_without_one() -> None:
    class Loses(Adds):
        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return super().forward(x, start).detach()

    whys = {finding.why for finding in bench(Loses).findings.values()}
    assert not any("inf" in why for why in whys)
    assert bench(Loses).findings["gradient"].verdict == "broken"


def test_a_table_rounded_up_is_no_fixed_length() -> None:
    class Powers(Adds):
        """As many rows as the next power of two, and at least 64."""

        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, max(64, 2 ** (max_len - 1).bit_length()))

    assert "after the last" not in bench(Powers).not_judged


def test_a_fixed_length_is_said_unless_the_rows_go_on() -> None:
    class Fixed(Adds):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, 700)

    class Computed(nn.Module):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__()
            self.d_model = d_model

        def forward(self, x: Tensor) -> Tensor:
            return x + sinusoids(x.shape[1], self.d_model)

    assert bench(Fixed).findings["after the last"].why == (
        "the length asked for does not reach it; pass it on with build="
    )
    assert "after the last" in bench(Computed).kept


# ---- what the first line says


def test_the_same_numbers_are_said_in_both_ways() -> None:
    doubled, paper = (
        LayerConvention(Convention(exponents="4i/d")),
        LayerConvention(Convention(base=1e8)),
    )
    assert torch.equal(doubled.formula(9, 16), paper.formula(9, 16)) or torch.allclose(
        doubled.formula(9, 16), paper.formula(9, 16), atol=1e-12
    )
    assert "exponents 4i/d, base 10000 (or exponents 2i/d, base 1e+08)" in repr(doubled)


def test_nothing_is_said_of_tokens_where_nothing_was_read() -> None:
    class Normalised(Adds):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.layer_norm(super().forward(x), x.shape[2:])

    class Raises(Adds):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("not today")

    for layer_class in (Normalised, Raises):
        assert "tokens" not in repr(bench(layer_class)).partition("\n")[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("positions", "sine"),
        ("positions", "halves"),
        ("positions", None),
    ],
)
def test_a_convention_that_there_is_not_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} = "):
        LayerConvention(**{field: value})


@pytest.mark.parametrize("amplitude", [1e-5, 30.0])
def test_a_verdict_on_rows_does_not_hang_on_their_size(amplitude: float) -> None:
    class Sized(Adds):
        def __init__(self, d_model: int, max_len: int, base: float) -> None:
            super().__init__(d_model, max_len)
            rates = base ** -(torch.arange(0, d_model, 2).double() / d_model)
            turned = torch.arange(max_len)[:, None] * rates
            rows = torch.stack([turned.sin(), turned.cos()], 2).flatten(1)
            self.pe = (amplitude * rows).float()

        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return 0.001 * x + super().forward(torch.zeros_like(x), start)

    says = LayerConvention(Convention(amplitude=amplitude), scale=False)
    right = bench(Sized, says=says, base=10_000.0)
    assert {"formula", "distinct"} <= set(right.kept)
    assert "formula" in bench(Sized, says=says, base=9_000.0).broken
