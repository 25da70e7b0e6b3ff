"""The bench on conventions of real libraries, written anew, and on classes that need a hint."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from simplellm import Convention
from simplellm.silent_bugs import PROMISES, BenchReport, LayerConvention, bench
from simplellm.silent_bugs.bench import Finding
from simplellm.silent_bugs.promises import Measured
from simplellm.silent_bugs.reading import fit


def rows_of(
    length: int,
    d_model: int,
    *,
    over: str = "d/2",
    base: float = 10_000.0,
    first: int = 0,
    halves: bool = False,
    cosines_first: bool = False,
    factor: float = 1.0,
) -> Tensor:
    """Rows in float32, by way of tensors: nothing in common with `Convention.formula`."""
    pairs = d_model // 2
    steps = {"d/2": pairs, "d/2-1": pairs - 1, "d/4": pairs / 2}[over]
    rates = torch.exp(torch.arange(pairs) * (-torch.tensor(base).log() / steps))
    angles = torch.arange(first, first + length).float()[:, None] * rates
    two = [angles.sin(), angles.cos()]
    if cosines_first:
        two.reverse()
    return factor * (torch.cat(two, 1) if halves else torch.stack(two, 2).flatten(1))


T2T = "i/(d/2-1)"
# Library and class; how its rows are made; what the bench has to say.
LIBRARIES = {
    "diffusers SinusoidalPositionalEmbedding": ({}, {}),
    "gluonts SinusoidalPositionalEmbedding": ({"halves": True}, {"columns": "halves"}),
    "allennlp SinusoidalPositionalEncoding": (
        {"halves": True, "over": "d/2-1"},
        {"columns": "halves", "exponents": T2T},
    ),
    "fair-esm SinusoidalPositionalEmbedding": (
        {"halves": True, "over": "d/2-1", "first": 2},
        {"columns": "halves", "exponents": T2T, "first": 2},
    ),
    "transformers SeamlessM4T": (
        {"halves": True, "over": "d/2-1", "first": 1},
        {"columns": "halves", "exponents": T2T, "first": 1},
    ),
    "demucs create_sin_embedding": (
        {"halves": True, "over": "d/2-1", "cosines_first": True},
        {"columns": "halves", "exponents": T2T, "cosines_first": True},
    ),
    "coqui-tts timestep_embedding": (
        {"halves": True, "cosines_first": True},
        {"columns": "halves", "cosines_first": True},
    ),
    "time-series-transformer's base": ({"base": 1000.0}, {"base": 1000.0}),
    "linformer-pytorch's base": (
        {"base": 100_000.0, "halves": True},
        {"base": 100_000.0, "columns": "halves"},
    ),
    "curated-transformers, (2/d)^0.5": ({"factor": -2.0}, {"amplitude": "(2/d)^0.5"}),
    "coqui-tts wavegrad": ({"factor": 0.0002}, {"amplitude": 0.0002}),
    "x-transformers, d^-0.5": (
        {"factor": -1.0, "halves": True},
        {"amplitude": "d^-0.5", "columns": "halves"},
    ),
    "exponents doubled, as in the mutant": ({"over": "d/4"}, {"exponents": "4i/d"}),
    "espnet ScaledPositionalEncoding": ({}, {"learned_scalar": True}),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_bench_says_what_a_library_does_and_finds_nothing_broken(name: str) -> None:
    made, said = LIBRARIES[name]

    class Adds(nn.Module):
        def __init__(self, encoding_dim: int, max_tokens: int = 5000, dropout_p: float = 0.1):
            super().__init__()
            own = dict(made)
            factor = own.pop("factor", 1.0)
            own["factor"] = (-factor / encoding_dim) ** 0.5 if factor < 0 else factor
            self.register_buffer("pe", rows_of(max_tokens, encoding_dim, **own))
            self.alpha = nn.Parameter(torch.tensor(1.0)) if "learned_scalar" in said else 1.0
            self.dropout = nn.Dropout(dropout_p)

        def forward(self, x: Tensor, start: int = 0) -> Tensor:
            if start + x.shape[1] > len(self.pe):
                raise ValueError("too long")
            return self.dropout(x + self.alpha * self.pe[start : start + x.shape[1]])

    report = bench(Adds)
    scalar = {"learned_scalar": True} if "learned_scalar" in said else {}
    formula = Convention(**{name: value for name, value in said.items() if name not in scalar})
    assert report.says == LayerConvention(formula, scale=False, **scalar)
    assert report.broken == report.crashed == report.not_judged == ()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [0.02, 0.7, 1.0])
def test_a_random_table_follows_no_convention(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(64, 16, generator=generator) * size
    assert fit(rows) is None and fit(rows / rows.view(64, 8, 2).norm(dim=2).repeat(1, 2)) is None


def test_a_base_is_fitted_whatever_it_is() -> None:
    for base in (37.0, 500.0, 12_345.0, 1e6):
        found = fit(rows_of(64, 16, base=base), rows_of(64, 32, base=base))
        assert found is not None and found.base == pytest.approx(base, rel=2e-3)
        assert found.exponents == "2i/d"


@pytest.mark.parametrize(("length", "width"), [(8, 16), (64, 4)])
def test_few_rows_and_narrow_ones_are_enough(length: int, width: int) -> None:
    assert fit(rows_of(length, width)) == Convention()


@pytest.mark.parametrize(
    "rows",
    [
        rows_of(7, 16),
        rows_of(64, 2),
        rows_of(64, 16)[:, :15],
        rows_of(64, 16).index_fill(1, torch.tensor(3), float("nan")),
        rows_of(64, 16).index_fill(1, torch.tensor(3), float("inf")),
        rows_of(64, 16).index_fill(0, torch.tensor(9), 0.0),  # one row amiss
        rows_of(64, 16, first=-1),
        1e-9 * rows_of(64, 16),
        -rows_of(64, 16),
        rows_of(64, 16).flip(0),
        rows_of(64, 16).index_fill(1, torch.tensor(2), 0.0).index_fill(1, torch.tensor(3), 1.0),
        rows_of(64, 16) + 0.012 * torch.ones(64, 16),
        1.1 * rows_of(64, 16)[:, :8].repeat(1, 2),
    ],
    ids=lambda rows: f"{tuple(rows.shape)}",
)
def test_rows_amiss_or_too_few_follow_no_convention(rows: Tensor) -> None:
    assert fit(rows) is None


def test_numbers_of_a_convention_are_rounded_where_float32_cannot_tell() -> None:
    for base in (10_004.0, 9_996.0, 10_020.0):
        found = fit(rows_of(64, 16, base=base))
        assert found is not None and found.base == pytest.approx(base, rel=3e-5)
    for factor in (1.0005, 0.9995, 1.002, 0.998):
        found = fit(factor * rows_of(64, 16))
        assert found is not None and found.amplitude == pytest.approx(factor, rel=1e-5)
    noisy = fit(rows_of(64, 16) + 0.001 * torch.ones(64, 16))
    assert noisy is not None and noisy.base == 10_000.0


def test_rows_of_two_widths_must_agree_but_for_their_size() -> None:
    rows, wider = rows_of(64, 16), rows_of(64, 32)
    assert fit(rows, wider) == fit(rows, 0.5 * wider) == fit(rows, 3 * wider) == Convention()
    for other in (rows_of(64, 32, base=9_000.0), -wider, wider.roll(1, 1), 1.05 * wider + 0.03):
        assert fit(rows, other) is None


class Adds(nn.Module):
    def __init__(self, d_model: int, longest: int = 5000, forget: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("pe", rows_of(longest, d_model))
        self.dropout = nn.Dropout(forget)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x + self.pe[: x.shape[1]])


def test_an_unknown_argument_is_named_and_what_hangs_on_it_not_judged() -> None:
    report = bench(Adds)
    assert "longest, forget" in repr(report)
    assert {"after the last", "dropout", "gradient"} <= set(report.not_judged)
    assert report.broken == ()


@dataclass
class Output:
    hidden: Tensor


@pytest.mark.parametrize("wrap", [lambda x: (x,), lambda x: {"out": x}, Output])
def test_a_hint_followed_to_the_letter_runs(wrap) -> None:
    class Wraps(Adds):
        def forward(self, x: Tensor):
            return wrap(super().forward(x))

    first = bench(Wraps, longest=64, forget=0.0)
    assert first.kept == () and first.says.positions == "not read"
    hint = repr(first).partition("call=")[2].partition("\n")[0]
    second = bench(Wraps, longest=64, forget=0.0, call=eval(hint))
    assert second.says == LayerConvention(scale=False)
    assert second.broken == () and "chunks" in second.not_judged


def test_rows_alone_get_the_hint_that_adds_them() -> None:
    class Rows(Adds):
        def forward(self, x: Tensor) -> Tensor:
            return self.pe[: x.shape[1]]

    first = bench(Rows)
    assert first.kept == ()
    hint = repr(first).partition("call=")[2].partition("\n")[0]
    assert bench(Rows, call=eval(hint)).says == LayerConvention(scale=False)


def test_a_broken_promise_is_said_with_its_size() -> None:
    held_to = LayerConvention(Convention(cosines_first=True), scale=False)
    found = bench(Adds, longest=600, forget=0.0, says=held_to).findings["formula"]
    assert found.verdict == "broken" and found.measured is not None
    # From a cosine to the sine of the same angle it is √2 at most.
    assert found.why == f"largest difference from the formula: {2**0.5:.2g}"
    kept = bench(Adds, longest=600, forget=0.0).findings
    assert kept["steady"].why == "exactly" and kept["shapes"].why == "exactly"


def test_build_takes_a_module_on_vectors() -> None:
    report = bench(Adds, build=lambda vocab, d_model, length, p: Adds(d_model, length, p))
    assert report.says == LayerConvention(scale=False) and report.broken == ()


def test_an_instance_and_a_size_of_zero_are_refused_in_words() -> None:
    with pytest.raises(TypeError, match="give it the class Adds"):
        bench(Adds(16))
    with pytest.raises(ValueError, match="size = 0"):
        bench(Adds, size=0)


@pytest.mark.parametrize(("factor", "scaled"), [(1.0, False), (2.8, True), (4.0, True)])
def test_tokens_scaled_by_the_root_are_told_from_tokens_as_they_are(
    factor: float, scaled: bool
) -> None:
    """At width 16 the root is 4, and 2.8 is nearer to it than to 1, as ratios go."""

    class Whole(nn.Module):
        def __init__(self, vocab_size: int, d_model: int) -> None:
            super().__init__()
            self.table = nn.Embedding(vocab_size, d_model)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.table(ids)
            return x * factor + rows_of(x.shape[1], x.shape[2])

    assert bench(Whole).says.scale is scaled


# ---- what a report says


def test_report_prints_a_line_for_each_promise_and_counts_them() -> None:
    found = {
        "kept": Finding(PROMISES["chunks"], "kept", Measured(0.0, "of it"), "exactly"),
        "lost": Finding(PROMISES["steady"], "broken", Measured(2.0, "largest"), "largest: 2"),
        "not said": Finding(PROMISES["moves"], "not applicable", None, ""),
    }
    report = BenchReport("Mine", LayerConvention(), False, found, ("a note", "another one"))
    table = """a note
another one
kept      kept            exactly
lost      broken          largest: 2
not said  not applicable
1 kept, 1 broken, 1 not applicable"""
    said = "sinusoidal, interleaved, base 10000, tokens × √d"
    assert repr(report) == f"Mine, read as: {said}\n{table}"
    assert repr(replace(report, stated=True)) == f"Mine, held to: {said}\n{table}"
    unread = LayerConvention("not read", scale=None)
    silent = replace(report, says=unread)
    assert repr(silent) == f"Mine: its convention was not read\n{table}"
    assert repr(replace(silent, stated=True)) == f"Mine, held to: not read\n{table}"
    others = {
        "open": Finding(PROMISES["chunks"], "not judged", None, "why"),
        "stops": Finding(PROMISES["chunks"], "crashed", None, "KeyError: 1"),
    }
    last = "1 kept, 1 broken, 1 not applicable, 1 not judged, 1 crashed"
    whole = replace(report, findings=found | others)
    assert repr(whole).endswith(f"KeyError: 1\n{last}")
    assert (whole.not_judged, whole.crashed) == (("open",), ("stops",))


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (None, "…"),
        ("words", "…"),
        ((), "…"),
        ((torch.zeros(2), torch.zeros(3)), "[0]"),
        ([1, torch.zeros(2, 5, 16), torch.zeros(2, 5, 16)], "[1]"),
        ({"mask": torch.zeros(2), "out": torch.zeros(5, 2, 16)}, "['out']"),
        (Output(torch.zeros(2, 5, 16)), ".hidden"),
    ],
    ids=lambda value: getattr(type(value), "__name__", ""),
)
def test_an_output_of_parts_is_said_with_the_part_to_take(answer: object, part: str) -> None:
    class Answers(Adds):
        def forward(self, x: Tensor) -> object:
            return answer

    assert bench(Answers, longest=64, forget=0.0).notes == (
        f"its forward returns a {type(answer).__name__}: "
        f"try call=lambda module, x, start: module(x){part}",
    )


class WholeLayer(nn.Module):
    """Takes ids, and leaves to others what it makes of them."""

    def __init__(self, vocab_size: int, d_model: int, max_seq_len: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, d_model)
        self.register_buffer("pe", rows_of(max_seq_len, d_model))


class WholeRaises(WholeLayer):
    def forward(self, ids: Tensor) -> Tensor:
        raise RuntimeError("not\ntoday")


class Raises(Adds):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("not\ntoday")


class WholeRows(WholeLayer):
    def forward(self, ids: Tensor) -> Tensor:
        return self.pe[: ids.shape[1]]


class Narrow(Adds):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :8]


class WantsMask(Adds):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x)


SIZES = "vocab_size, d_model, max_seq_len, dropout"
TROUBLES = (
    (Raises, "its forward raises RuntimeError: not"),
    (WholeRaises, "its forward raises RuntimeError: not"),
    (
        WholeRows,
        f"it returns rows alone: try build=lambda {SIZES}: WholeRows(…), "
        "call=lambda module, x, start: x + module(x)",
    ),
    (Narrow, "for (2, 5) ids it returns (2, 5, 8), not (2, 5, 16)"),
    (
        WantsMask,
        "its forward raises TypeError: WantsMask.forward() missing 1 required positional argument: "
        "'mask'; say how it is called: call=lambda module, x, start: module(x, …)",
    ),
)


@pytest.mark.parametrize(("layer_class", "words"), TROUBLES)
def test_what_cannot_be_used_is_said_once_and_nothing_else_is_judged(layer_class, words) -> None:
    report = bench(layer_class)
    assert report.notes[0] == words
    assert "asked again" not in repr(report) and "in place" not in repr(report)
    judged = {name: f for name, f in report.findings.items() if name != "shapes"}
    assert {f.verdict for f in judged.values()} <= {"not judged", "not applicable"}
    assert {f.why for f in judged.values() if f.verdict == "not judged"} <= {
        "its output cannot be used"
    }
    assert report.findings["shapes"].verdict in ("broken", "crashed")


def test_reasons_name_the_argument_that_may_be_it_and_the_way_out() -> None:
    class Switches(Adds):
        def __init__(
            self,
            d_model: int,
            flag: bool = True,
            one: int = 1,
            two: int = 2,
            zero: float = 0.0,
            word: str = "a",
            longest: int = 5000,
            forget: float = 0.1,
        ):
            super().__init__(d_model, longest, forget)

    random = "it is random in training though dropout = 0 was asked (zero, forget?); "
    random += "set it with build="
    report = bench(Switches)
    whys = {name: finding.why for name, finding in report.findings.items()}
    assert whys["after the last"] == (
        "the length asked for does not reach it (two, longest?); pass it on with build="
    )
    assert whys["dropout"] == (
        "no argument is known for its dropout (zero, forget?); set it with build="
    )
    assert whys["gradient"] == whys["training"] == random
    assert report.notes == (
        "left at their defaults: flag, one, two, zero, word, longest, forget; pass them by name, "
        "or build=",
    )
    short = bench(Switches, build=lambda v, d, n, p: Adds(d, 100, 0.1)).findings
    for name in ("distinct", "formula", "low precision"):
        assert short[name].why.endswith("for its length is fixed; set it with build=")
    assert short["dropout"].why == "build= sets no dropout; if the class has one, pass it on"


def test_a_sequence_that_comes_out_shorter_is_said_with_both_lengths() -> None:
    class Cuts(nn.Module):
        def __init__(self, d_model: int) -> None:
            super().__init__()
            self.register_buffer("pe", rows_of(100, d_model))

        def forward(self, x: Tensor) -> Tensor:
            return x[:, :100] + self.pe[: x.shape[1]]

    assert bench(Cuts).findings["distinct"].why == (
        "512 positions come out as 100, for its length is fixed; set it with build="
    )
