"""The broken layers are broken, the right ones are right, and grader and bench tell them apart."""

from __future__ import annotations

import doctest
import importlib
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from simplellm import Convention, InputEmbedding, LearnedPositionalEmbedding, PositionalEncoding
from simplellm import sinusoidal_encoding as encoding
from simplellm.silent_bugs import (
    CORRECT,
    FROM_LIFE,
    MUTANTS,
    PROMISES,
    SHAPES,
    LayerConvention,
    Maker,
    NotApplicableError,
    Report,
    Variant,
    bench,
    grade,
)

BROKEN = {**MUTANTS, **FROM_LIFE}
every_mutant = pytest.mark.parametrize("name", BROKEN)
every_correct_layer = pytest.mark.parametrize("name", CORRECT)


@pytest.fixture(scope="module")
def reference() -> Report:
    return grade(PROMISES.values(), BROKEN)


@pytest.mark.parametrize(
    "module",
    ["", ".bench", ".grader", ".promises", ".reading", ".variants"],
    ids=lambda name: name[1:],
)
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(
        importlib.import_module(f"simplellm.silent_bugs{module}"),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert result.attempted and not result.failed


# ---- the done-when of the grader


def test_reference_checks_catch_every_mutant(reference: Report) -> None:
    assert reference.alive == ()
    assert len(reference.mutants) >= 14


def test_reference_checks_raise_no_false_alarm(reference: Report) -> None:
    assert {name: where for name, where in reference.false_alarms.items() if where} == {}
    assert {name: where for name, where in reference.crashes.items() if where} == {}
    assert reference.trusted == tuple(PROMISES)


def test_dropout_is_told_by_the_entries_that_are_neither_kept_nor_dropped(
    reference: Report,
) -> None:
    words = reference.catches["dropout"]["dropout twice"]
    assert words.startswith("dropout: largest distance from 0 and from x / (1 − p): ")


def test_every_reference_check_is_there_for_a_mutant(reference: Report) -> None:
    assert reference.matrix().any(axis=0).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_verdict_of_the_reference_checks_hangs_on_the_seed(reference: Report, seed: int) -> None:
    for name, promise in PROMISES.items():
        for group in (BROKEN, CORRECT):
            for key, variant in group.items():
                torch.manual_seed(seed)
                try:
                    verdict = promise.kept(promise.measure(variant.make))
                except NotApplicableError:
                    verdict = True
                assert verdict == (key not in reference.catches[name]), (name, key)


UNTIED = "loading makes 2 parameters of 1: what was shared came apart"
# Promise, mutant, and how far it must be off: 4 is √16 and 6 is √36, the widths that are asked.
DEVIATIONS = (
    ("own sentence", "batch axis", "largest difference a neighbour makes: 2"),
    ("distinct", "restarting blocks", f"of 512 positions share their row with another: {512:.2g}"),
    ("formula", "scale on position", f"largest difference from the formula: {4 - 1}"),
    ("formula", "sum thrown away", "largest difference from the formula: 1"),
    (
        "token scale",
        "scale missing",
        f"token rows are {1 / 6:.2g} times as long as they say; largest error: {1 - 1 / 6:.2g}",
    ),
    ("gradient", "scale missing", f"share of the gradient amiss: {1 - 1 / 4}"),
    ("gradient", "detached", "share of the gradient amiss: 1"),
    ("training", "padding position", "of 24 learned rows have not moved: 1"),
    ("training", "unregistered", "of 24 learned rows have not moved: 24"),
    ("moves", "unregistered", "something stays behind when the layer is moved: inf"),
    ("chunks", "start ignored", "largest difference between chunks and whole: 2"),
    ("after the last", "empty slice", "past the end (2, 1) ids give shape (2, 0, 16): inf"),
    (
        "after the last",
        "clamped",
        "past the end a learned table answers with rows it does not have: inf",
    ),
    ("checkpoint", "untied by loading", f"{UNTIED}: inf"),
    ("low precision", "table left behind", "a layer in bfloat16 returns float32: inf"),
    ("low precision", "scale on position", "largest difference from the formula: 3"),
)


@pytest.mark.parametrize(("promise", "mutant", "words"), DEVIATIONS)
def test_a_promise_says_what_it_measured_and_how_much(promise, mutant: str, words: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError) as refusal:
        PROMISES[promise](BROKEN[mutant].make)
    assert str(refusal.value) == f"{promise}: {words}"


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        ("shapes", "outputs of another shape or dtype"),
        ("training", "largest change of a computed row"),
        ("checkpoint", "largest difference after loading"),
        ("moves", "outputs on the old device"),
        ("after the last", "largest difference from a longer table"),
        ("dropout", f"share of zeros {0.25:.2g} in place of {0.25:.2g}; off by"),
        ("steady", "largest difference when asked again"),
        ("no sharing", "largest change of a layer nobody trained"),
        ("token scale", "token rows are 1 times as long as they say; largest error"),
    ],
)
def test_a_promise_that_is_kept_says_what_was_compared(promise: str, words: str) -> None:
    torch.manual_seed(0)
    measured = {**PROMISES, "shapes": SHAPES}[promise].measure(CORRECT["textbook"].make)
    assert measured.what == words


def test_shapes_count_every_size_and_mode_that_comes_out_wrong() -> None:
    class Short(nn.Module):
        """Right alone, and for one word; a column is missing, the dtype or the numbers are off."""

        def __init__(self, vocab_size: int, d_model: int, length: int, dropout: float) -> None:
            super().__init__()
            self.d_model, self.length = d_model, length

        def forward(self, ids: Tensor, *, start: int = 0) -> Tensor:
            out = torch.zeros(*ids.shape, self.d_model)
            if ids.shape[1] == self.length:
                return out[..., 1:]
            if ids.shape[1] == 5 and self.training:
                return out.double()
            return out / 0 if ids.shape == (7, 3) else out

    # Two widths; the whole length twice, the dtype in training alone, not a number twice.
    assert SHAPES.measure(Maker(Short)).deviation == 2 * (2 + 1 + 2)


# ---- the mutants


@every_mutant
def test_mutant_passes_the_tests_of_shapes(name: str) -> None:
    SHAPES(BROKEN[name].make)


@every_mutant
@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(1, 6),
    seq_len=st.integers(1, 12),
    half=st.integers(1, 8),
    training=st.booleans(),
)
def test_mutant_has_the_right_shape_for_any_size(
    name: str, batch: int, seq_len: int, half: int, training: bool
) -> None:
    layer = BROKEN[name].build(20, 2 * half, 12, 0.5).train(training)
    ids = torch.randint(0, 20, (batch, seq_len))
    assert layer(ids).shape == (batch, seq_len, 2 * half)
    assert layer(ids).dtype == torch.float32


def run(name: str, ids: Tensor | None = None, dropout: float = 0.0, long: int = 64) -> tuple:
    """A mutant, ids, and what `InputEmbedding` makes of the same ids with the same tokens."""
    torch.manual_seed(0)
    layer = BROKEN[name].build(50, 16, long, dropout)
    right = InputEmbedding(50, 16, long, dropout)
    right.token_embedding.embedding.weight.data.copy_(layer.embedding.weight)
    ids = torch.randint(3, 50, (4, 20)) if ids is None else ids
    return layer, ids, right(ids)


def differs_from_the_right_layer(name: str) -> bool:
    """By more than half of what a position row is."""
    layer, ids, expected = run(name)
    return bool((layer(ids) - expected).abs().max() > 0.5)


def survivors(name: str) -> Tensor:
    """What dropout multiplies the entries of the sum by, in training."""
    layer, ids, _ = run(name, torch.full((64, 20), 7), dropout=0.5)
    return layer.train()(ids).detach() / layer.eval()(ids).detach()


def bfloat16_row(name: str, position: int) -> Tensor:
    layer, ids, _ = run(name, torch.full((1, 400), 7), long=400)
    return layer.to(torch.bfloat16)(ids)[0, position]


def step(layer: nn.Module, ids: Tensor) -> None:
    """One step of training, with a gradient of 1 everywhere."""
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(ids).sum().backward()
    optimizer.step()


def trained_table_moves() -> bool:
    layer, ids, _ = run("trained table")
    before = layer.pe.detach().clone()
    step(layer, ids)
    return not torch.equal(layer.pe, before)


def chunk_at_20_is_chunk_at_0() -> bool:
    layer, ids, _ = run("start ignored")
    return torch.equal(layer(ids, start=20), layer(ids))


def second_answer_differs() -> bool:
    layer, ids, _ = run("remembers")
    return not torch.allclose(layer(ids), layer(ids), atol=0.1)


def answers_differ_in_evaluation() -> bool:
    layer, ids, _ = run("dropout always", dropout=0.5)
    return not torch.equal(layer.eval()(ids), layer(ids))


def loaded_layer_differs() -> bool:
    (layer, ids, _), other = run("unregistered"), MUTANTS["unregistered"].build(50, 16, 64, 0.0)
    other.load_state_dict(layer.state_dict())
    return not torch.equal(layer(ids), other(ids))


def training_one_changes_the_other() -> bool:
    one, other = (MUTANTS["shared rows"].build(50, 16, 64, 0.0) for _ in range(2))
    ids = torch.full((1, 5), 7)
    before = other(ids).detach().clone()
    step(one, ids)
    return not torch.equal(other(ids), before)


def row_0_never_moves() -> bool:
    layer, ids, _ = run("padding position")
    before = layer.place.weight.detach().clone()
    step(layer, ids)
    moved = (layer.place.weight != before).any(dim=1)
    return bool(not moved[0] and moved[1:20].all())


def past_the_end_all_rows_are_one() -> bool:
    layer, ids, _ = run("clamped", torch.full((1, 70), 7))
    return torch.equal(layer(ids)[0, 63:], layer(ids)[0, 69:].expand(7, 16))


def table_stays_in_float32() -> bool:
    layer, ids, _ = run("table left behind")
    return layer.to(torch.bfloat16)(ids).dtype == torch.float32


def nothing_reaches_the_table() -> bool:
    layer, ids, _ = run("detached")
    return not layer(ids).requires_grad


def token_row_is_table_row(name: str) -> bool:
    layer, ids, _ = run(name)
    layer.pe.zero_()
    return torch.equal(layer(ids), layer.embedding(ids))


def neighbours_are_strangers() -> bool:
    """Columns that turn by thousands of radians a step: the next row is like no other."""
    rows = run("base multiplied")[0].pe.double()
    return bool(abs(torch.cosine_similarity(rows[:-1], rows[1:]).mean()) < 0.3)


def a_word_lands_in_another_sentence() -> bool:
    """Sentence 0 says one word only, and yet its output changes with what sentence 1 says."""
    ids = torch.full((2, 4), 7)
    layer, ids, _ = run("reshaped", ids)
    before = layer(ids)[0]
    ids[1] = 9
    return not torch.equal(layer(ids)[0], before)


def float16_and_back_is_off() -> bool:
    """By far more than rounding a value of at most 1 to float16 could be."""
    layer, ids, expected = run("rounded rates", torch.full((1, 400), 7), long=400)
    off = (layer.half().float()(ids) - expected.half().float()).abs().max()
    return bool(off > 50 * 2**-11)


def rows_of_nothing_past_the_end() -> bool:
    layer, ids, _ = run("padded table", torch.full((1, 60), 7), long=50)
    return torch.equal(layer(ids)[0, 50:], layer.tokens(ids)[0, 50:])


def loading_parts_what_was_one() -> bool:
    layer, _, _ = run("untied by loading")
    one = layer.embedding.weight is layer.output.weight
    layer.load_state_dict(layer.state_dict())
    return one and layer.embedding.weight is not layer.output.weight


# What is wrong with each, seen directly and without the reference checks.
WITNESSES: dict[str, Callable[[], bool]] = {
    # One word everywhere: all places of a sentence come out the same.
    "batch axis": lambda: torch.equal(
        *(run("batch axis", torch.full((2, 9), 7))[0](torch.full((2, 9), 7))[1, [0, 8]])
    ),
    "doubled exponent": lambda: differs_from_the_right_layer("doubled exponent"),
    "borrowed rates": lambda: differs_from_the_right_layer("borrowed rates"),
    "sine for cosine": lambda: run("sine for cosine")[0].pe[0, 0] == 1.0,  # sin 0 = 0
    "swapped sizes": lambda: differs_from_the_right_layer("swapped sizes"),
    "restarting blocks": lambda: torch.equal(*run("restarting blocks")[0].pe[[0, 32]]),
    "low precision": lambda: torch.equal(
        bfloat16_row("low precision", 257), bfloat16_row("low precision", 256)
    ),
    "scale missing": lambda: token_row_is_table_row("scale missing"),
    "scale on position": lambda: token_row_is_table_row("scale on position"),
    "scale on the sum": lambda: differs_from_the_right_layer("scale on the sum"),
    # No entry is ever zero: positions are not dropped. (At position 0 every sine is zero itself.)
    "dropout on tokens": lambda: bool((survivors("dropout on tokens")[:, 1:] != 0).all()),
    # With one dropout of 0.5 every entry is 0 or doubled.
    "dropout twice": lambda: bool(
        ((survivors("dropout twice") - 2).abs() > 0.01)[survivors("dropout twice") != 0].any()
    ),
    "dropout always": answers_differ_in_evaluation,
    "trained table": trained_table_moves,
    "table left behind": table_stays_in_float32,
    "start ignored": chunk_at_20_is_chunk_at_0,
    "remembers": second_answer_differs,
    "empty slice": lambda: run("empty slice")[0](torch.tensor([[7]]), start=64).shape == (1, 0, 16),
    "clamped": past_the_end_all_rows_are_one,
    "padding position": row_0_never_moves,
    "unregistered": loaded_layer_differs,
    "shared rows": training_one_changes_the_other,
    "detached": nothing_reaches_the_table,
    "sum thrown away": lambda: torch.equal(
        *run("sum thrown away")[0](torch.full((1, 9), 7))[0, [0, 8]]
    ),
    "base multiplied": neighbours_are_strangers,
    "reshaped": a_word_lands_in_another_sentence,
    "sum under no_grad": lambda: not run("sum under no_grad")[0](torch.tensor([[7]])).requires_grad,
    "trained sinusoids": trained_table_moves,
    "rounded rates": float16_and_back_is_off,
    "angles in bfloat16": lambda: torch.equal(
        bfloat16_row("angles in bfloat16", 257), bfloat16_row("angles in bfloat16", 256)
    ),
    "starts at 2": lambda: torch.equal(
        run("starts at 2")[0].pe[0], run("trained table")[0].pe.detach()[2]
    ),
    "padded table": rows_of_nothing_past_the_end,
    "untied by loading": loading_parts_what_was_one,
}


@every_mutant
def test_mutant_really_behaves_wrongly(name: str) -> None:
    assert WITNESSES[name]()


@every_mutant
def test_mutant_says_what_is_wrong_where_it_was_met_and_where_to_look(name: str) -> None:
    mutant = BROKEN[name]
    assert len(name) <= 18  # what a heatmap shows of a label
    assert mutant.what.endswith(".") and len(mutant.what) < 90
    assert mutant.met and mutant.hint.endswith((".", "?"))
    assert repr(mutant) == f"{name}: {mutant.what}"


def test_mutants_and_correct_layers_have_different_names() -> None:
    assert len(BROKEN) == len(MUTANTS) + len(FROM_LIFE)
    assert not set(BROKEN) & set(CORRECT)


# ---- the correct layers, and what is compared with


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("textbook", encoding(range(40), 16)),
        ("base 500", encoding(range(40), 16, base=500.0)),
        ("halves", encoding(range(40), 16)[:, [*range(0, 16, 2), *range(1, 16, 2)]]),
    ],
)
def test_convention_formula_equals_the_package_s(name: str, rows: Tensor) -> None:
    assert torch.allclose(CORRECT[name].says.formula(40, 16), rows, atol=1e-12)


@given(
    half=st.integers(1, 12),
    base=st.floats(2.0, 1e6),
    length=st.integers(1, 20),
)
@settings(max_examples=30, deadline=None)
def test_formula_and_package_agree_for_any_width_and_base(
    half: int, base: float, length: int
) -> None:
    formula = LayerConvention(Convention(base=base)).formula(length, 2 * half)
    assert torch.allclose(formula, encoding(range(length), 2 * half, base), atol=1e-9)


def test_tensor2tensor_s_slowest_pair_turns_by_one_over_the_base() -> None:
    rows = LayerConvention(Convention(exponents="i/(d/2-1)")).formula(2, 8)
    assert rows[1, -2].item() == pytest.approx(math.sin(1e-4))


@every_correct_layer
def test_output_is_token_rows_plus_position_rows(name: str) -> None:
    layer = CORRECT[name].make().eval()
    ids = layer.ids(3, 20)
    parts = layer.token_rows(ids) + layer.position_rows(20)
    assert torch.allclose(layer(ids), parts, atol=1e-6)


@every_correct_layer
@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_a_layer_as_it_was(name: str, training: bool) -> None:
    layer = CORRECT[name].make().train(training)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.position_rows(7)
    layer.token_rows(layer.ids(1, 4))
    assert layer.training is training
    for key, value in layer.state_dict().items():
        assert torch.equal(value, before[key])


# ---- the grader


def shapes_only(make: Maker) -> None:
    layer = make()
    assert layer(layer.ids(2, 5)).shape == (2, 5, 16)


def always_no(make: Maker) -> None:
    raise AssertionError("no")


def paper_only(make: Maker) -> None:
    rows = make().position_rows(64)
    assert torch.allclose(rows.double(), encoding(range(64), 16), atol=1e-3), "another formula"


def crashing(make: Maker) -> None:
    make().no_such_thing  # noqa: B018


def one_seed(make: Maker) -> None:
    seen.append(torch.rand(1).item())


seen: list[float] = []


def test_tests_of_shapes_catch_nothing() -> None:
    report = grade(shapes_only)
    assert set(report.alive) == set(MUTANTS)
    assert report.summary == f"0 of {len(MUTANTS)} mutants caught, {len(MUTANTS)} alive; " + (
        "0 false alarms"
    )


def test_each_mutant_alive_is_reported_with_its_hint() -> None:
    text = repr(grade(shapes_only))
    for mutant in MUTANTS.values():
        assert f"  {mutant.name}: {mutant.hint}" in text


def test_a_check_that_always_says_no_catches_nothing() -> None:
    report = grade([always_no])
    assert set(report.false_alarms["always_no"]) == set(CORRECT)
    assert report.trusted == () and set(report.alive) == set(MUTANTS)
    assert "False alarm" in repr(report)


def test_a_false_alarm_names_the_layer_and_the_words() -> None:
    report = grade([paper_only])
    others = {"halves", "base 500", "other rates"}
    learned = {"learned textbook", "learned positions", "two tables"}
    assert set(report.false_alarms["paper_only"]) == others | learned
    assert report.caught["doubled exponent"] == ()  # not trusted
    assert "doubled exponent" in report.catches["paper_only"]
    assert "paper_only on 'learned textbook' and 5 more: another formula" in repr(report)


def test_a_crash_is_no_catch_and_is_reported() -> None:
    report = grade([crashing, PROMISES["chunks"]])
    assert len(report.crashes["crashing"]) == len(MUTANTS) + len(CORRECT)
    assert report.catches["crashing"] == {}
    assert report.caught["start ignored"] == ("chunks",)  # the other check still counts
    assert "AttributeError" in repr(report) and report.summary.endswith("1 check crashed")


def test_a_check_that_crashes_on_some_mutants_keeps_its_other_catches() -> None:
    def half(make: Maker) -> None:
        layer = make()
        if layer.says.positions == "learned":
            rows = layer.position_rows(2)
            if rows[0].abs().max() == 0:
                raise RuntimeError("a zero row")
            return
        assert torch.allclose(layer.position_rows(9).double(), layer.says.formula(9, 16), atol=0.01)

    report = grade(half)
    assert set(report.crashes["half"]) == {"padding position"}
    assert report.caught["sine for cosine"] == ("half",)


def test_verdicts_do_not_depend_on_the_company_or_the_order() -> None:
    some = [PROMISES[name] for name in ("no sharing", "training", "distinct")]
    forth, back = grade(some), grade(some[::-1])
    for promise in some:
        alone = grade(promise)
        for report in (forth, back):
            assert report.catches[promise.name] == alone.catches[promise.name]


def made_up_report() -> Report:
    """Six checks: three good ones, one with two false alarms, one that crashes, an idle one."""

    def variant(name: str) -> Variant:
        return Variant(name, MUTANTS["clamped"].build, "wrong", hint=f"see {name}")

    return Report(
        checks=("one", "two", "three", "alarms", "crashes", "idle"),
        mutants={name: variant(name) for name in ("by all", "by two", "by none")},
        correct={name: variant(name) for name in ("right", "right too")},
        catches={
            "one": {"by all": "no", "by two": "no"},
            "two": {"by all": "no", "by two": "no"},
            "three": {"by all": "no"},
            "alarms": {"by none": "no"},
            "crashes": {"by none": "no"},
            "idle": {},
        },
        false_alarms={
            **{name: {} for name in ("one", "two", "three", "crashes", "idle")},
            "alarms": {"right": "off by 1", "right too": "off by 2"},
        },
        crashes={
            **{name: {} for name in ("one", "two", "alarms", "idle")},
            "three": {"by two": "KeyError: 'x'"},
            "crashes": {"right": "ValueError: oh"},
        },
    )


def test_report_prints_who_catches_what_and_why_the_rest_does_not_count() -> None:
    expected = """
mutant   caught by
by all   one, two and 1 more
by two   one, two
by none  — alive

Where to look:
  by none: see by none

False alarm, so its catches do not count:
  alarms on 'right' and 1 more: off by 1

Crashed, which is no catch (a check says no by a failing assert):
  three on 'by two': KeyError: 'x'
  crashes on 'right': ValueError: oh

2 of 3 mutants caught, 1 alive; 2 false alarms; 2 checks crashed
"""
    assert repr(made_up_report()) == expected.strip("\n")


def test_matrix_says_which_trusted_check_catches_which_mutant() -> None:
    found = made_up_report().matrix()
    assert found.dtype == bool
    assert found.tolist() == [
        [True, True, True, False, False, False],
        [True, True, False, False, False, False],
        [False] * 6,
    ]
    nothing = grade(shapes_only, mutants={}, correct={})
    assert nothing.matrix().shape == (0, 1) and nothing.matrix().dtype == bool
    assert repr(nothing) == "mutant  caught by\n\n0 of 0 mutants caught, 0 alive; 0 false alarms"


def test_what_a_check_says_and_what_stops_it_are_kept_in_its_words() -> None:
    right = {"right": CORRECT["textbook"]}

    def silent(make: Maker) -> None:
        raise AssertionError

    def stops(make: Maker) -> None:
        raise KeyError("x")

    def does_not_apply(make: Maker) -> None:
        raise NotApplicableError("nothing to say")

    report = grade([silent, stops, does_not_apply, shapes_only], mutants=right, correct={})
    assert report.catches["silent"] == {"right": "an assertion failed"}
    assert report.crashes["stops"] == {"right": "KeyError: 'x'"}
    assert report.catches["does_not_apply"] == report.crashes["does_not_apply"] == {}
    assert report.summary == "1 of 1 mutants caught, 0 alive; 0 false alarms; 1 check crashed"
    assert grade(silent, mutants={}, correct=right).summary.endswith("; 1 false alarm")


def test_grading_uses_its_own_random_numbers() -> None:
    seen.clear()
    state = torch.get_rng_state()
    grade(one_seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(set(seen)) == 1


def test_two_checks_of_one_name_are_told_apart() -> None:
    report = grade([lambda make: None] * 3)
    assert report.checks == ("<lambda>", "<lambda> (2)", "<lambda> (3)")
    assert report.matrix().shape == (len(MUTANTS), 3)


def test_what_is_no_function_is_refused_with_a_way_out() -> None:
    with pytest.raises(TypeError, match=r"must be a function of `make`, got NoneType.*brackets"):
        grade([None])  # type: ignore[list-item]


def test_the_grader_takes_mutants_of_one_s_own() -> None:
    mine = {"mine": Variant("mine", MUTANTS["batch axis"].build, "wrong", hint="look")}
    assert grade(PROMISES["own sentence"], mutants=mine).alive == ()


# ---- the bench, on conventions met elsewhere, written anew


class DropoutInside(nn.Module):
    """Vectors in, dropout behind the sum, a buffer (1, max_len, d): a well-known lesson's way."""

    def __init__(self, d_model: int, dropout: float, max_len: int = 5000) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        rates = torch.exp(torch.arange(0, d_model, 2) * -(math.log(10_000.0) / d_model))
        angles = torch.arange(max_len).unsqueeze(1) * rates
        pe = torch.zeros(1, max_len, d_model)
        pe[0, :, 0::2], pe[0, :, 1::2] = angles.sin(), angles.cos()
        self.register_buffer("pe", pe)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x + self.pe[:, : x.size(1)])


class BatchSecond(nn.Module):
    """(seq_len, batch, d_model), with a buffer (max_len, 1, d): right, on such data."""

    def __init__(self, d_model: int, dropout: float = 0.1, max_len: int = 5000) -> None:
        super().__init__()
        self.inside = DropoutInside(d_model, dropout, max_len)
        self.inside.pe = self.inside.pe.transpose(0, 1).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        return self.inside.dropout(x + self.inside.pe[: x.size(0)])


class ConcatenatedSinusoids(nn.Module):
    """Sines, then cosines, with exponents i / (d / 2 - 1); an offset for decoding."""

    def __init__(self, embedding_dim: int, max_length: int = 1024) -> None:
        super().__init__()
        half = embedding_dim // 2
        rates = torch.exp(torch.arange(half).double() * -(math.log(10_000.0) / (half - 1)))
        angles = torch.arange(max_length)[:, None] * rates
        self.register_buffer("weights", torch.cat([angles.sin(), angles.cos()], 1).float())

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        if offset + x.size(1) > len(self.weights):
            raise ValueError("too long")
        return x + self.weights[offset : offset + x.size(1)]


class TwoTables(nn.Module):
    """Token and position tables of one spread, no factor, dropout; one argument, a config."""

    def __init__(self, config: dict[str, int], dropout: float = 0.0) -> None:
        super().__init__()
        self.wte = nn.Embedding(config["vocab"], config["width"])
        self.wpe = nn.Embedding(config["block"], config["width"])
        self.drop = nn.Dropout(dropout)
        for table in (self.wte, self.wpe):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, idx: Tensor) -> Tensor:
        places = torch.arange(idx.size(1), device=idx.device)
        return self.drop(self.wte(idx) + self.wpe(places))


class NormalisedSum(nn.Module):
    """Words, positions and segments, normalised, then dropout; explicit position ids."""

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int = 512,
        hidden_dropout_prob: float = 0.1,
        type_vocab_size: int = 2,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocab_size, hidden_size)
        self.places = nn.Embedding(max_position_embeddings, hidden_size)
        self.segments = nn.Embedding(type_vocab_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(hidden_dropout_prob)

    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        if position_ids is None:
            position_ids = torch.arange(input_ids.size(1), device=input_ids.device)
        x = self.words(input_ids) + self.places(position_ids)
        return self.dropout(self.norm(x + self.segments(torch.zeros_like(input_ids))))


def two_tables(vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> nn.Module:
    return TwoTables({"vocab": vocab_size, "width": d_model, "block": max_seq_len}, dropout)


def test_bench_reads_a_module_with_dropout_inside() -> None:
    report = bench(DropoutInside)
    assert report.says == LayerConvention(scale=False)
    assert report.broken == report.crashed == ()
    assert report.not_applicable == ("chunks",)
    assert "dropout" in report.kept


def test_bench_tells_a_batch_second_module_from_its_misuse() -> None:
    right, wrong = bench(BatchSecond, batch_first=False), bench(BatchSecond, batch_first=True)
    assert right.broken == right.crashed == ()
    assert {"own sentence", "distinct"} <= set(wrong.broken)
    assert wrong.says.positions == "not recognised" and "batch_first=False" in repr(wrong)
    assert "shapes" in wrong.kept  # which is why nobody notices


def test_bench_recognises_tensor2tensor_s_sinusoids() -> None:
    report = bench(ConcatenatedSinusoids)
    assert report.says == LayerConvention(
        Convention(columns="halves", exponents="i/(d/2-1)"), scale=False
    )
    assert report.broken == report.crashed == ()
    assert report.not_applicable == ("dropout",)
    assert "chunks" in report.kept
    held = bench(
        ConcatenatedSinusoids, says=LayerConvention(Convention(columns="halves"), scale=False)
    )
    assert held.broken == ("formula", "low precision") and held.stated


def test_bench_takes_a_constructor_of_any_kind() -> None:
    report = bench(TwoTables, build=two_tables)
    assert report.says == LayerConvention("learned", scale=False)
    assert report.broken == report.crashed == ()
    assert report.not_applicable == ("formula", "chunks")


def test_bench_leaves_out_what_a_normalised_sum_cannot_show() -> None:
    report = bench(NormalisedSum)
    assert report.broken == report.crashed == ()
    assert set(report.not_applicable) == {"formula", "token scale", "gradient", "training"}
    assert "no plain sum" in report.findings["token scale"].why
    assert {"own sentence", "chunks", "dropout", "after the last"} <= set(report.kept)


@pytest.mark.parametrize("layer_class", [PositionalEncoding, LearnedPositionalEmbedding])
def test_bench_keeps_the_package_s_position_modules(layer_class: type[nn.Module]) -> None:
    report = bench(layer_class)
    assert report.broken == report.crashed == ()


@every_mutant
def test_bench_finds_a_broken_promise_in_every_mutant(name: str) -> None:
    mutant = BROKEN[name]
    mutant.forget()
    report = bench(mutant.build, says=mutant.says)
    assert report.broken
    assert "shapes" in report.kept
    # Moving one of the layers that share their rows moves the rows of all others.
    assert not report.crashed or name == "shared rows"


@every_correct_layer
def test_bench_finds_none_in_a_correct_layer(name: str) -> None:
    variant = CORRECT[name]
    report = bench(variant.build, says=variant.says)
    assert report.broken == report.crashed == ()


def test_bench_takes_another_way_of_calling() -> None:
    class RowsOnly(nn.Module):
        def __init__(self, d_model: int, max_len: int) -> None:
            super().__init__()
            self.register_buffer("rows", encoding(range(max_len), d_model).float())

        def forward(self, x: Tensor) -> Tensor:
            return self.rows[: x.shape[1]].expand(x.shape)

    alone = bench(RowsOnly)
    added = bench(RowsOnly, call=lambda module, x, start: x + module(x))
    assert "x + module(x)" in repr(alone) and alone.broken == ()
    assert {"token scale", "gradient", "formula"} <= set(added.kept)


def test_bench_names_the_argument_it_cannot_guess() -> None:
    class Odd(nn.Module):
        def __init__(self, d_model: int, colour: str) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(TypeError, match=r"Odd needs the argument 'colour'.*build=lambda"):
        bench(Odd)
    assert "distinct" in bench(Odd, colour="blue").broken


def test_bench_reports_a_crash_as_one() -> None:
    class Raises(nn.Module):
        def __init__(self, d_model: int) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("not\ntoday")

    report = bench(Raises)
    assert "shapes" in report.crashed and report.kept == report.broken == ()
    assert report.says.positions == "not read" and "forward raises RuntimeError" in repr(report)
    assert report.findings["shapes"].why == "RuntimeError: not"


def test_bench_prints_bounds_where_digits_would_differ_between_machines() -> None:
    report = bench(DropoutInside)
    assert report.findings["formula"].why in ("to 1e-5", "to 1e-4")
    assert report.findings["steady"].why == "exactly"
    assert repr(report).splitlines()[-1] == "14 kept, 0 broken, 1 not applicable"
