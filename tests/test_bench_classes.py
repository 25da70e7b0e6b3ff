"""The bench on classes of every kind: each gets a right verdict, or a reason and a way out."""

import functools
import math

import pytest
import torch
from torch import Tensor, nn

from simplellm import sinusoidal_encoding
from simplellm.silent_bugs import Convention, bench

PLAIN = Convention(scale=False)


def sinusoids(length: int, d_model: int) -> Tensor:
    return sinusoidal_encoding(range(length), d_model).float()


class Adds(nn.Module):
    """Adds the paper's rows to vectors, and refuses what is too long."""

    def __init__(self, d_model: int, max_len: int = 5000) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoids(max_len, d_model))

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        if start + x.shape[1] > len(self.pe):
            raise ValueError("too long")
        return x + self.pe[start : start + x.shape[1]]


# ---- constructors


def test_arguments_by_position_alone_are_given_by_position() -> None:
    class Positional(Adds):
        def __init__(self, d_model: int, max_len: int, shade: float = 0.5, /, *, loud: bool = True):
            super().__init__(d_model, max_len)
            assert loud is False and shade == 0.25

    report = bench(Positional, loud=False, shade=0.25)
    assert report.says == PLAIN
    assert report.broken == report.not_judged == report.crashed == () == report.notes


def test_arguments_by_name_alone_are_found() -> None:
    class ByName(Adds):
        def __init__(self, *, max_len: int, embed_dim: int) -> None:
            super().__init__(embed_dim, max_len)

    report = bench(ByName)
    assert report.says == PLAIN and report.broken == report.not_judged == ()


def test_arguments_swallowed_by_a_constructor_lead_to_build() -> None:
    class Swallows(Adds):
        def __init__(self, **kwargs: int) -> None:
            super().__init__(kwargs["d_model"], kwargs["length"])

    class Defaults(Adds):
        def __init__(self, **kwargs: int) -> None:
            super().__init__(kwargs.get("d_model", 512), kwargs.get("length", 64))

    with pytest.raises(ValueError, match=r"Swallows raises KeyError: 'd_model'.*build=lambda"):
        bench(Swallows)
    report = bench(Defaults)
    assert "no argument is known for its width: build=lambda" in repr(report)
    assert report.kept == () == report.broken[1:]  # shapes alone, which says no more than the truth
    report = bench(Swallows, build=lambda v, d, n, p: Swallows(d_model=d, length=n))
    assert report.says == PLAIN and report.broken == () and report.not_judged == ("dropout",)
    assert "build= sets no dropout" in report.findings["dropout"].why


def test_all_arguments_that_are_missing_are_named_with_the_way_out() -> None:
    class Three(Adds):
        def __init__(self, d_model: int, colour: str, shade: float, tone: int) -> None:
            super().__init__(d_model)

    with pytest.raises(TypeError) as refusal:
        bench(Three, shade=0.5)
    words = str(refusal.value)
    assert "'colour' and 'tone'" in words and "'shade'" not in words
    assert "Three(colour=…, tone=…)" in words and "by name" in words
    assert "distinct" in bench(Three, shade=0.5, colour="blue", tone=3).kept


def test_a_config_leads_to_build_and_not_to_one_size() -> None:
    class FromConfig(Adds):
        def __init__(self, config: dict[str, int]) -> None:
            super().__init__(config["width"], config["length"])

    with pytest.raises(TypeError, match=r"several: build=lambda .*FromConfig\(config=…\)$"):
        bench(FromConfig)
    report = bench(FromConfig, config={"width": 512, "length": 64})
    assert "no argument is known for its width: build=lambda" in repr(report)
    assert set(report.kept) <= {"shapes"}


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_constructor_that_asks_which_axis_is_first_is_told(batch_first: bool) -> None:
    class EitherWay(Adds):
        def __init__(self, d_model: int, max_len: int, batch_first: bool = False) -> None:
            super().__init__(d_model, max_len)
            self.batch_first = batch_first

        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            if self.batch_first:
                return super().forward(x, start)
            return super().forward(x.transpose(0, 1), start).transpose(0, 1)

    report = bench(EitherWay, batch_first=batch_first)
    assert report.says == PLAIN
    assert report.broken == report.not_judged == () == report.notes


@pytest.mark.parametrize("value", [16.0, "16", True, float("nan")])
def test_what_is_no_whole_number_is_refused_as_a_size(value: object) -> None:
    with pytest.raises(TypeError, match=r"max_len = .* is no size: it must be a whole number"):
        bench(Adds, max_len=value)


def test_a_size_that_the_bench_varies_cannot_be_given() -> None:
    with pytest.raises(ValueError, match="d_model = 32: the bench builds Adds in several sizes"):
        bench(Adds, d_model=32)


def test_what_a_constructor_cannot_take_is_said_with_its_own_words() -> None:
    class Divides(Adds):
        def __init__(self, d_model: int, groups: int = 4) -> None:
            super().__init__(d_model + 0 * (1 // groups))

    with pytest.raises(ValueError, match=r"Divides raises ZeroDivisionError.*by name"):
        bench(Divides, groups=0)
    with pytest.raises(TypeError, match=r"Divides raises TypeError.*'colour'"):
        bench(Divides, colour="blue")
    with pytest.raises(TypeError, match="groups: with build= nothing else reaches"):
        bench(Divides, build=lambda v, d, n, p: Divides(d), groups=2)


def test_what_is_no_class_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match=r"returns a Tensor, not a module. Wrap it"):
        bench(lambda length, dim: sinusoids(length, dim))
    with pytest.raises(TypeError, match="wants a class, got a str"):
        bench("Adds")
    for name in ("build", "call", "says"):
        with pytest.raises(TypeError, match=f"{name} = 3 must be a"):
            bench(Adds, **{name: 3})
    assert bench(functools.partial(Adds, max_len=600)).says == PLAIN


# ---- where the end is


class Inside(nn.Module):
    """Its length is nobody's argument."""

    LENGTH = 700

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoids(self.LENGTH, d_model))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[: x.shape[1]]


class Clamped(Inside):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[torch.arange(x.shape[1]).clamp(max=self.LENGTH - 1)]


class Shortens(Inside):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, : self.LENGTH])


class LearnedInside(Inside):
    def __init__(self, d_model: int) -> None:
        super().__init__(d_model)
        self.pe = nn.Parameter(torch.randn(self.LENGTH, d_model))


@pytest.mark.parametrize("layer_class", [Inside, Clamped, Shortens, LearnedInside])
@pytest.mark.parametrize("by_build", [False, True])
def test_an_end_that_nobody_sets_is_not_judged(layer_class, by_build: bool) -> None:
    build = (lambda v, d, n, p: layer_class(d)) if by_build else None
    report = bench(layer_class, build=build)
    learned = layer_class is LearnedInside
    assert report.says == Convention(positions="learned" if learned else "sinusoidal", scale=False)
    assert report.broken == report.crashed == ()
    assert set(report.not_judged) == {"after the last"} | ({"dropout"} if by_build else set())
    assert "does not reach it; pass it on with build=" in report.findings["after the last"].why


def test_rows_without_an_end_are_judged() -> None:
    class Endless(nn.Module):
        def __init__(self, d_model: int) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x + sinusoids(x.shape[1], x.shape[2]).to(x)

    report = bench(Endless)
    assert "after the last" in report.kept and report.not_judged == ()


def test_a_table_too_short_for_what_is_asked_is_not_judged_far_out() -> None:
    class Caps(Adds):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, min(max_len, 100))

    report = bench(Caps)
    assert set(report.not_judged) == {"distinct", "formula", "low precision"}
    assert "512 positions: ValueError" in report.findings["distinct"].why
    assert report.broken == report.crashed == ()


def test_an_argument_of_its_own_fixes_what_hangs_on_it() -> None:
    class Drops(Adds):
        def __init__(self, d_model: int, max_len: int = 600, dropout: float = 0.1) -> None:
            super().__init__(d_model, max_len)
            self.dropout = nn.Dropout(dropout)

        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return self.dropout(super().forward(x, start))

    report = bench(Drops, max_len=550, dropout=0.3)
    assert report.broken == report.crashed == ()
    assert set(report.not_judged) == {"after the last", "dropout", "gradient", "training"}
    assert bench(Drops).not_judged == ()
    report = bench(Drops, build=lambda v, d, n, p: Drops(d, n))  # p is forgotten
    assert {"dropout", "gradient", "training"} <= set(report.not_judged) and report.broken == ()


# ---- calls


def test_a_start_that_a_call_passes_on_and_the_module_ignores_is_a_fault() -> None:
    class Deaf(Adds):
        def forward(self, x: Tensor, begin: int = 0) -> Tensor:
            return super().forward(x)

    heard = bench(Deaf, call=lambda module, x, start: module(x, begin=start))
    assert heard.broken == ("chunks",)
    unsaid = bench(Deaf, call=lambda module, x, start: module(x))
    assert unsaid.broken == () and unsaid.not_judged == ("chunks",)
    assert "makes no use of start" in unsaid.findings["chunks"].why
    right = bench(Adds, call=lambda module, x, start: module(x, start))
    assert right.not_judged == right.broken == ()


def test_a_learned_table_is_not_blamed_for_a_start_that_nobody_passed_on() -> None:
    class Learned(nn.Module):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__()
            self.rows = nn.Embedding(max_len, d_model)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.rows(torch.arange(x.shape[1], device=x.device))

    report = bench(Learned, call=lambda module, x, start: module(x))
    assert report.broken == () and report.not_judged == ("chunks",)


def test_a_forward_that_wants_more_gets_the_hint_how_it_is_called() -> None:
    class Masked(Adds):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return super().forward(x) * mask[..., None]

    assert "say how it is called: call=lambda" in repr(bench(Masked))
    whole = bench(Masked, call=lambda m, x, start: m(x, torch.ones_like(x[..., 0])))
    assert whole.says == PLAIN and whole.broken == ()


@pytest.mark.parametrize("out", ["tuple", "rows", "second"])
def test_length_first_gets_hints_that_run(out: str) -> None:
    class LengthFirst(Adds):
        def forward(self, x: Tensor):
            rows = self.pe[: len(x)]
            if out == "rows":
                return rows
            whole = x + rows[:, None]
            return (whole, rows) if out == "tuple" else (rows, whole)

    first = bench(LengthFirst, batch_first=False)
    assert first.kept == () and first.says.positions == "not read"
    hint = repr(first).partition("call=")[2].partition("\n")[0]
    second = bench(LengthFirst, batch_first=False, call=eval(hint))
    assert second.says == PLAIN and second.broken == ()


def test_the_wrong_axis_is_seen_from_both_sides() -> None:
    assert "try batch_first=True" in repr(bench(Adds, batch_first=False))


# ---- whole layers


class Factorised(nn.Module):
    """A narrow table of tokens and a map to the model's width."""

    def __init__(self, vocab_size: int, d_model: int, max_len: int) -> None:
        super().__init__()
        self.narrow = nn.Embedding(vocab_size, 5)
        self.widen = nn.Linear(5, d_model, bias=False)
        self.register_buffer("pe", sinusoids(max_len, d_model))

    def forward(self, ids: Tensor) -> Tensor:
        if ids.shape[1] > len(self.pe):
            raise ValueError("too long")
        return self.widen(self.narrow(ids)) + self.pe[: ids.shape[1]]


class Hashed(Factorised):
    """Holds nothing that is as long as the vocabulary."""

    def __init__(self, vocab_size: int, d_model: int, max_len: int) -> None:
        super().__init__(11, d_model, max_len)

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids % 11)


@pytest.mark.parametrize("layer_class", [Factorised, Hashed])
@pytest.mark.parametrize("by_build", [False, True])
def test_a_whole_layer_without_a_plain_table_is_given_ids(layer_class, by_build: bool) -> None:
    build = (lambda v, d, n, p: layer_class(v, d, n)) if by_build else None
    report = bench(layer_class, build=build)
    assert report.broken == report.crashed == ()
    assert {"own sentence", "distinct", "steady", "checkpoint"} <= set(report.kept)
    assert {"token scale", "gradient"} <= set(report.not_applicable)
    assert "token table" in report.findings["gradient"].why
    header = repr(report).partition("\n")[0]
    assert (
        header == f"{layer_class.__name__}: its convention was not read"
        and report.says.scale is None
    )


def test_a_position_table_with_a_vocabulary_s_argument_is_not_taken_for_tokens() -> None:
    class Positions(nn.Embedding):
        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(torch.arange(ids.shape[1], device=ids.device))

    first = bench(Positions)
    assert first.kept == () and "rows alone: try build=lambda" in repr(first)
    second = bench(
        Positions,
        build=lambda vocab_size, d_model, max_seq_len, dropout: Positions(max_seq_len, d_model),
        call=lambda module, x, start: x + module(x),
    )
    assert second.says == Convention(positions="learned", scale=False) and second.broken == ()


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
    assert report.says == Convention(scale=False, learned_scalar=on == "rows")
    assert report.broken == ()


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
    assert report.says == Convention(positions="learned", scale=False)
    assert report.broken == report.crashed == ()
    assert report.not_judged == (() if kind == "two rows more" else ("training",))


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
    assert "learned vector" in report.findings["training"].why


def test_rows_behind_a_learned_zero_are_told_from_a_learned_table() -> None:
    class Closed(Adds):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__(d_model, max_len)
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return x + self.gate * super().forward(torch.zeros_like(x), start)

    report = bench(Closed)
    assert report.says == Convention(positions="not recognised", scale=False, learned_scalar=True)
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
    assert "the whole length, and no fewer: cut its table" in repr(report)
    assert report.crashed == ("shapes",) and report.kept == report.broken == ()


def test_chance_in_evaluation_is_one_fault_and_not_five() -> None:
    class Noisy(Adds):
        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            return nn.functional.dropout(super().forward(x, start), 0.1)

    report = bench(Noisy)
    assert report.broken == ("steady",)
    assert {"own sentence", "checkpoint", "no sharing"} <= set(report.not_judged)


def test_nothing_is_read_off_a_module_that_counts_its_calls() -> None:
    class Streams(Adds):
        at = 0

        def forward(self, x: Tensor) -> Tensor:
            self.at += x.shape[1]
            return super().forward(x, self.at - x.shape[1])

    report = bench(Streams, build=lambda v, d, n, p: Streams(d))
    assert report.says == Convention(positions="not read", scale=None)
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


# ---- what the first line says


def test_the_same_numbers_are_said_in_both_ways() -> None:
    doubled, paper = Convention(frequencies="doubled"), Convention(base=1e8)
    assert torch.equal(doubled.formula(9, 16), paper.formula(9, 16)) or torch.allclose(
        doubled.formula(9, 16), paper.formula(9, 16), atol=1e-12
    )
    assert "exponents doubled, base 10000 (or the paper's, base 1e+08)" in repr(doubled)


def test_nothing_is_said_of_tokens_where_nothing_was_read() -> None:
    class Normalised(Adds):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.layer_norm(super().forward(x), x.shape[2:])

    class Raises(Adds):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("not today")

    for layer_class in (Normalised, Raises):
        assert "tokens" not in repr(bench(layer_class)).partition("\n")[0]
    assert math.isclose(Convention().factor(16), 4)
