"""The bench on classes of every kind: each gets a right verdict, or a reason and a way out."""

import functools

import pytest
import torch
from torch import Tensor, nn

from simplellm import Convention
from simplellm.silent_bugs import LayerConvention, bench
from tests.bench_fakes import PLAIN, Adds, Factorised, sinusoids

# ---- constructors


def test_arguments_by_position_alone_are_given_by_position() -> None:
    class Positional(Adds):
        def __init__(self, d_model: int, max_len: int, shade: float = 0.5, /, *, loud: bool = True):
            super().__init__(d_model, max_len)
            assert loud is False and shade == expected

    expected = 0.5
    assert bench(Positional, loud=False).says == PLAIN
    expected = 0.25
    report = bench(Positional, loud=False, shade=expected)
    assert report.says == PLAIN
    assert report.broken == report.not_judged == report.crashed == () == report.notes


def test_arguments_by_name_alone_are_found() -> None:
    class ByName(Adds):
        def __init__(self, *, max_len: int, embed_dim: int) -> None:
            super().__init__(embed_dim, max_len)

    report = bench(ByName)
    assert report.says == PLAIN and report.broken == report.not_judged == ()


WIDTHS = """d_model embedding_dim embed_dim size channels num_hiddens input_dim input_size width
    model_dim embedding_size encoding_dim out_channels""".split()
LENGTHS = """max_len num_positions max_seq_length max_sequence_length seq_length length
    max_tokens""".split()
CALLED = """
class Called(Adds):
    def __init__(self, {width}, {length}, {dropout}=0.1):
        super().__init__({width}, {length})
        self.drop = nn.Dropout({dropout})

    def forward(self, x, start=0):
        return self.drop(super().forward(x, start))
"""


@pytest.mark.parametrize(
    ("width", "length", "dropout"),
    [
        *((width, "max_len", "dropout") for width in WIDTHS),
        *(("d_model", length, "dropout") for length in LENGTHS),
        ("d_model", "max_len", "dropout_p"),
    ],
)
def test_names_that_classes_in_use_give_their_sizes_are_known(width, length, dropout) -> None:
    space: dict[str, type] = {"Adds": Adds, "nn": nn}
    exec(CALLED.format(width=width, length=length, dropout=dropout), space)
    report = bench(space["Called"])
    assert report.says == PLAIN
    assert report.broken == report.not_judged == report.notes == ()


@pytest.mark.parametrize("name", ["vocab_size", "num_embeddings", "num_embed", "ntoken"])
def test_names_that_classes_in_use_give_their_vocabulary_are_known(name: str) -> None:
    space: dict[str, type] = {"Factorised": Factorised}
    exec(
        f"class Called(Factorised):\n"
        f"    def __init__(self, {name}, d_model, max_len):\n"
        f"        super().__init__({name}, d_model, max_len)",
        space,
    )
    report, plain = bench(space["Called"]), bench(Factorised)
    assert report.findings == plain.findings and report.notes == plain.notes


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


class Coloured(Adds):
    def __init__(self, d_model: int, colour: str, config: int = 0, max_len: int = 600) -> None:
        super().__init__(d_model // (config != 1), max_len)


class TwoMore(Adds):
    def __init__(self, d_model: int, colour: str, shade: int, max_len: int = 600) -> None:
        super().__init__(d_model, max_len)


class Configured(Adds):
    def __init__(self, colour: str, cfg: int) -> None:
        super().__init__(16)


def fails(*sizes: object) -> nn.Module:
    raise KeyError("x")


BUILD = "build=lambda vocab_size, d_model, max_seq_len, dropout: "
REFUSALS = (
    (
        {"layer_class": Coloured},
        TypeError,
        "Coloured needs the argument 'colour', which is not one of the names known for a size. "
        f"Pass it to bench by name, or say how to build one: {BUILD}Coloured(colour=…)",
    ),
    (
        {"layer_class": TwoMore},
        TypeError,
        "TwoMore needs the arguments 'colour' and 'shade', none of which is a name known for a "
        "size. Pass them to bench by name, or say how to build one: "
        f"{BUILD}TwoMore(colour=…, shade=…)",
    ),
    (
        {"layer_class": Configured},
        TypeError,
        "Configured needs the arguments 'colour' and 'cfg', none of which is a name known for a "
        "size. A config holds sizes, and the bench needs several: "
        f"{BUILD}Configured(colour=…, cfg=…)",
    ),
    (
        {"layer_class": Coloured, "colour": "", "config": 1},
        ValueError,
        "Coloured raises ZeroDivisionError: integer division or modulo by zero. Pass other "
        f"arguments by name, or say how to build one: {BUILD}Coloured(…)",
    ),
    (
        {"layer_class": Adds, "build": fails},
        ValueError,
        "build raises KeyError: 'x'. It must take vocab_size, d_model, max_seq_len, dropout = "
        "(97, 16, 64, 0.0).",
    ),
    (
        {"layer_class": Adds, "build": lambda d: Adds(d)},
        TypeError,
        "build raises TypeError: <lambda>() takes 1 positional argument but 4 were given. It must "
        "take vocab_size, d_model, max_seq_len, dropout = (97, 16, 64, 0.0).",
    ),
    (
        {"layer_class": Adds, "build": fails, "colour": 1, "shade": 2},
        TypeError,
        "colour, shade: with build= nothing else reaches the constructor. Write it into build.",
    ),
    (
        {"layer_class": Adds, "max_len": True},
        TypeError,
        "max_len = True is no size: it must be a whole number. Leave it out.",
    ),
    (
        {"layer_class": Adds, "max_len": 0},
        ValueError,
        "max_len = 0 is no size: it must be at least 1. Leave it out.",
    ),
    (
        {"layer_class": Adds, "d_model": 32},
        ValueError,
        "d_model = 32: the bench builds Adds in several sizes and sets d_model itself. Leave it "
        "out.",
    ),
    (
        {"layer_class": Factorised, "vocab_size": 40},
        ValueError,
        "vocab_size = 40: the bench builds Factorised in several sizes and sets vocab_size itself. "
        "Leave it out.",
    ),
    (
        {"layer_class": lambda d_model: d_model},
        TypeError,
        "<lambda> returns a int, not a module. Wrap it in an nn.Module whose forward adds it to "
        "its input.",
    ),
    (
        {"layer_class": Adds(16)},
        TypeError,
        "bench builds layers of several sizes: give it the class Adds, not one layer, or say how "
        f"to build one: {BUILD}…",
    ),
    ({"layer_class": "Adds"}, TypeError, "bench wants a class, got a str."),
    (
        {"layer_class": Adds, "call": 3},
        TypeError,
        "call = 3 must be a function, or be left out.",
    ),
    (
        {"layer_class": Adds, "says": "halves"},
        TypeError,
        "says = 'halves' must be a LayerConvention, or be left out.",
    ),
)


@pytest.mark.parametrize(("given", "kind", "words"), REFUSALS)
def test_what_is_refused_is_named_with_its_value_and_the_way_out(given, kind, words: str) -> None:
    with pytest.raises(kind) as refusal:
        bench(**given)
    assert str(refusal.value) == words


def test_sizes_that_only_a_class_can_judge_are_left_to_it() -> None:
    class Optional(Adds):
        def __init__(self, d_model: int, max_len: object) -> None:
            super().__init__(d_model, 600)
            assert max_len is None

    assert bench(Optional, max_len=None).says == PLAIN
    assert bench(Adds, max_len=1).crashed == ("shapes",)  # the least that is a size


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
    assert report.says == LayerConvention("learned" if learned else Convention(), scale=False)
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
    assert unsaid.findings["chunks"].why == (
        "call= makes no use of start; if the module has one, pass it on"
    )
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


def test_channels_first_gets_the_hint_that_runs() -> None:
    class ChannelsFirst(Adds):
        def forward(self, x: Tensor) -> Tensor:  # (batch, d_model, seq_len)
            if x.shape[2] > len(self.pe):
                raise ValueError("too long")
            return x + self.pe.T[:, : x.shape[2]]

    first = bench(ChannelsFirst)
    assert first.kept == first.broken == ()
    hint = repr(first).partition("call=")[2].partition("\n")[0]
    second = bench(ChannelsFirst, call=eval(hint))
    assert second.says == PLAIN and second.broken == ()


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
    assert second.says == LayerConvention("learned", scale=False) and second.broken == ()
