"""Records: small, stable, checked when read; and the interval over seeds."""

from __future__ import annotations

import json
import math
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import simplellm
from simplellm.experiments import EXPERIMENTS
from simplellm.records import (
    Record,
    RecordError,
    dump_records,
    files,
    final_scores,
    holm,
    load,
    make_record,
    mean_and_interval,
    mean_and_range,
    read_records,
    settings_key,
    shipped_records,
    t_probability,
    t_quantile,
)

quick = settings(max_examples=60, deadline=None, database=None)

RUN = {
    "experiment": "copy",
    "arm": "none",
    "stage": "final",
    "seed": 3,
    "lr": 0.1 / 3,
    "tied": None,
}
RESULT = {
    "losses": [[0, 2.772588722], [10, 1.5]],
    "scores": {"accuracy": 2 / 3, "by_length": [1, 0.5], "at": {"32": [1.0, 2.0], "64": 3}},
    "seconds": 1.23456789,
}


def record(**changes: Any) -> Record:
    return make_record({**RUN, **changes}, RESULT)


# -- writing --------------------------------------------------------------------------------------


def test_measured_floats_have_six_digits_and_settings_have_all() -> None:
    values = json.loads(record().to_line())
    assert values["losses"] == [[0, 2.77259], [10, 1.5]]
    assert values["scores"]["accuracy"] == 0.666667
    assert values["seconds"] == 1.23457
    assert values["run"]["lr"] == 0.1 / 3


@quick
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_moves_a_number_by_at_most_half_a_unit_of_the_sixth_digit(value: float) -> None:
    (found,) = make_record(RUN, {**RESULT, "scores": {"x": value}}).scores.values()
    assert found == pytest.approx(value, rel=5.001e-6, abs=5e-324)


@quick
@given(
    scores=st.dictionaries(
        st.text(),
        st.floats() | st.integers() | st.lists(st.floats()) | st.lists(st.lists(st.floats())),
    )
)
def test_a_line_written_again_is_the_same_line(scores: dict[str, Any]) -> None:
    line = make_record(RUN, {**RESULT, "scores": scores}).to_line()
    assert "\n" not in line
    assert Record.from_line(line).to_line() == line


def test_a_line_is_compact_and_its_names_are_sorted() -> None:
    line = record().to_line()
    assert ": " not in line and ", " not in line
    names = list(json.loads(line))
    assert names == sorted(names)


def test_a_number_that_is_not_finite_is_null_and_read_as_nan() -> None:
    made = make_record(RUN, {**RESULT, "losses": [[0, math.inf]], "scores": {"x": [math.nan, 1]}})
    assert json.loads(made.to_line())["losses"] == [[0, None]]
    assert math.isnan(made.losses[0][1])
    assert math.isnan(made.scores["x"][0])


def test_numbers_of_numpy_and_torch_are_taken() -> None:
    scores = {
        "a": numpy.float32(0.5),
        "b": numpy.int64(3),
        "c": torch.tensor(0.25),
        "d": numpy.arange(3),
        "e": torch.ones(2, 2),
    }
    found = make_record(RUN, {**RESULT, "scores": scores}).scores
    assert found == {"a": 0.5, "b": 3, "c": 0.25, "d": [0, 1, 2], "e": [[1, 1], [1, 1]]}


def test_versions_name_what_a_result_may_depend_on_and_nothing_else() -> None:
    assert sorted(record().versions) == ["machine", "numpy", "python", "simplellm", "torch"]
    assert record().versions["simplellm"] == simplellm.__version__
    assert record().versions["torch"] == torch.__version__


def test_the_versions_are_those_of_this_machine() -> None:
    python, numpy_, machine = sys.version.split()[0], numpy.__version__, platform.machine()
    found = record().versions
    assert (found["python"], found["numpy"], found["machine"]) == (python, numpy_, machine)


def test_a_text_is_written_as_it_is() -> None:
    assert '"arm":"√d, größer"' in record(arm="√d, größer").to_line()


def test_records_stand_in_the_order_of_arm_stage_seed_and_rate() -> None:
    settings: list[dict[str, Any]] = [
        {"arm": "a", "stage": "select", "seed": 2, "lr": 0.1},
        {"arm": "a", "stage": "select", "seed": 2, "lr": 0.3},
        {"arm": "a", "stage": "final", "seed": 0, "lr": 0.2},
        {"arm": "a", "stage": "final", "seed": 1, "lr": 0.1},
        {"arm": "b", "stage": "select", "seed": 0, "lr": 0.1},
        {"experiment": "zero", "arm": "a", "stage": "select"},
    ]
    made = [record(**given) for given in settings]
    for some in ({"lr": 0.2}, {"seed": 1, "lr": 0.1}, {"seed": 3}, {"seed": 3, "lr": 0.1}):
        named: dict[str, Any] = {"experiment": "zero", "arm": "b", "stage": "final", **some}
        made.append(make_record(named, RESULT))  # without a seed or a rate: before all others
    lines = dump_records(reversed(made)).decode().splitlines()
    assert lines == [one.to_line() for one in made]


def test_a_file_does_not_depend_on_the_order_in_which_runs_finished() -> None:
    made = [record(arm=arm, seed=seed) for arm in "ba" for seed in (10, 9)]
    assert dump_records(made) == dump_records(reversed(made))
    lines = [json.loads(line)["run"] for line in dump_records(made).decode().splitlines()]
    assert [(run["arm"], run["seed"]) for run in lines] == [
        ("a", 9),
        ("a", 10),
        ("b", 9),
        ("b", 10),
    ]


def test_a_run_is_written_once() -> None:
    with pytest.raises(RecordError, match=f"two records have the key {record().key}"):
        dump_records([record(), record()])


# -- the key --------------------------------------------------------------------------------------


def test_the_key_is_the_same_on_every_machine_and_in_every_order() -> None:
    # By hand: printf '{"a": 1, "b": [0.5, null]}' | sha256sum
    assert settings_key({"b": (0.5, None), "a": 1}) == "c949e8e6f8eac39c"
    assert settings_key({"a": 1, "b": [0.5, None]}) == settings_key({"b": (0.5, None), "a": 1})


def test_a_setting_that_json_cannot_hold_has_no_key_and_no_line() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        settings_key({"lr": math.nan})
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(record(), run={**RUN, "lr": math.nan}).to_line()


@pytest.mark.parametrize("name", sorted(RUN))
def test_every_setting_changes_the_key(name: str) -> None:
    value = RUN[name]
    other = "select" if name == "stage" else f"{value}x" if isinstance(value, str) else 0.5
    assert record(**{name: other}).key != record().key


# -- reading --------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = [record(seed=seed) for seed in range(3)]
    (tmp_path / "copy.jsonl").write_bytes(dump_records(made))
    assert read_records(tmp_path / "copy.jsonl") == made


def test_a_folder_is_read_by_its_jsonl_files_alone(tmp_path: Path) -> None:
    for name, run in (("b.jsonl", record(seed=1)), ("a.jsonl", record(seed=2))):
        (tmp_path / name).write_bytes(dump_records([run]))
    (tmp_path / "notes.txt").write_text("not a record")
    (tmp_path / ".parts").mkdir()
    assert read_records(tmp_path) == [record(seed=2), record(seed=1)]


def test_an_empty_file_holds_no_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    assert read_records(tmp_path) == []


def test_a_path_where_nothing_is_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no records at .*nowhere"):
        read_records(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, ["'schema'", "must be 1", "got 2", "another version"]),
        ({"schema": True}, ["'schema'", "must be 1", "got True"]),
        ({"arm": 3}, ["'arm'", "text", "got 3"]),
        ({"arm": ""}, ["'arm'", "not empty", "got ''"]),
        ({"stage": "test"}, ["'stage'", "'select' or 'final'", "got 'test'"]),
        ({"stage": "select"}, ["'stage'", "run.stage", "'final'", "got 'select'"]),
        ({"experiment": "sort"}, ["'experiment'", "run.experiment", "'copy'", "got 'sort'"]),
        ({"run": []}, ["'run' must be an object with named fields, got []"]),
        ({"versions": {"machine": 3}}, ["'versions.machine' must be a text, got 3"]),
        ({"versions": {"torch": "2"}}, ["'versions.machine'", "text", "got None"]),
        ({"losses": 3}, ["'losses' must be a list of pairs [step, loss], got 3"]),
        ({"losses": [[0, 1.0], [1]]}, ["'losses'", "pairs [step, loss]", "got [1]"]),
        ({"losses": [[1, "x"]]}, ["'losses' must be a list of pairs [step, loss], got [1, 'x']"]),
        ({"losses": [[0.5, 1.0]]}, ["'losses'", "got [0.5, 1.0]"]),
        ({"losses": [[True, 1.0]]}, ["'losses'", "got [True, 1.0]"]),
        ({"scores": {"a": "x"}}, ["'scores.a' must be a number, or a list or object of numbers"]),
        ({"scores": {"a": {"b": [True]}}}, ["'scores.a.b.0'", "number", "got True"]),
        ({"scores": {"a": [[[1]]]}}, ["'scores.a.0.0'", "got [1]"]),
        ({"seconds": None}, ["'seconds' must be a number of at least 0, got None"]),
        ({"seconds": "1"}, ["'seconds'", "at least 0", "got '1'"]),
        ({"seconds": -1}, ["'seconds'", "at least 0", "got -1"]),
        ({"key": "abc"}, ["'key'", "hash of the settings", record().key, "got 'abc'"]),
        ({"run": {**RUN, "seed": 4}}, ["'key'", record(seed=4).key, f"got '{record().key}'"]),
        ({"colour": 1, "shape": 2}, ["has an unknown field 'colour', 'shape'."]),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named_by_file_line_field_and_value(
    changes: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    good = record(seed=9).to_line()
    bad = json.dumps({**json.loads(record().to_line()), **changes})
    (tmp_path / "copy.jsonl").write_text(f"{good}\n{bad}\n")
    with pytest.raises(RecordError) as caught:
        read_records(tmp_path)
    for word in ["copy.jsonl, line 2: ", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", [n for n in json.loads(record().to_line()) if n != "schema"])
def test_a_field_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    values = json.loads(record().to_line())
    del values[name]
    (tmp_path / "copy.jsonl").write_text(json.dumps(values))
    with pytest.raises(RecordError, match=rf"copy\.jsonl, line 1: lacks field '{name}'"):
        read_records(tmp_path)


@pytest.mark.parametrize("line", ['{"schema":1', "", '{"schema":NaN}', "[1]", "\u2028"])
def test_a_line_that_is_no_object_is_named(line: str, tmp_path: Path) -> None:
    text = f"{record().to_line()}\n{line}\n"
    (tmp_path / "copy.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"copy\.jsonl, line 2: "):
        read_records(tmp_path)


def test_a_number_that_json_does_not_have_is_named() -> None:
    with pytest.raises(RecordError, match=r"NaN is no number of JSON; .* is null here"):
        Record.from_line('{"seconds":NaN}')


def test_a_file_cut_in_the_middle_of_a_line_is_refused(tmp_path: Path) -> None:
    data = dump_records([record(seed=seed) for seed in range(2)])
    (tmp_path / "copy.jsonl").write_bytes(data[:-20])
    with pytest.raises(RecordError, match=r"line 2: not a line of JSON"):
        read_records(tmp_path)


def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "copy.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match=r"copy\.jsonl: not UTF-8"):
        read_records(tmp_path)


def test_a_run_that_stands_twice_is_named_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(dump_records([record()]))
    (tmp_path / "b.jsonl").write_bytes(dump_records([record()]))
    with pytest.raises(RecordError) as caught:
        read_records(tmp_path)
    assert "b.jsonl, line 1" in str(caught.value) and "a.jsonl, line 1" in str(caught.value)
    assert str(caught.value).endswith("a run is counted once. Delete one of the two lines.")


def test_a_result_without_scores_is_refused() -> None:
    with pytest.raises(RecordError, match="training returned no scores"):
        make_record(RUN, {"losses": [], "seconds": 1})


@pytest.mark.parametrize(
    ("settings", "result", "words"),
    [
        (RUN, {"scores": {}}, "record of copy/none: training returned no losses, seconds."),
        (
            {"arm": "a"},
            RESULT,
            "record of None/a: field 'experiment' must be a text that is not empty",
        ),
        (
            {"experiment": "e"},
            RESULT,
            "e/None: field 'arm' must be a text that is not empty, got ''",
        ),
        (
            {"experiment": "e", "arm": "a"},
            RESULT,
            "'stage' must be a text that is not empty, got ''",
        ),
        (RUN, {**RESULT, "scores": {"a": {"b": 1j}}}, "scores.a.b holds 1j of type complex"),
        (RUN, {**RESULT, "losses": [[0, 1j]]}, "losses holds 1j of type complex, no number."),
    ],
)
def test_what_cannot_become_a_record_is_named(
    settings: dict[str, Any], result: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecordError) as caught:
        make_record(settings, result)
    assert words in str(caught.value)


def test_a_run_is_recorded_as_its_settings_are_and_may_take_no_time() -> None:
    class Described:
        def to_dict(self) -> dict[str, Any]:
            return RUN

    given: Any = Described()
    assert make_record(given, RESULT) == record()
    assert make_record(RUN, {**RESULT, "seconds": 0}).seconds == 0


def test_a_line_that_is_no_json_is_shown() -> None:
    with pytest.raises(RecordError, match=r"""^record: not a line of JSON \(.*\): '\{"half'\.$"""):
        Record.from_line('{"half')


def test_a_line_that_comes_from_nowhere_is_called_a_record() -> None:
    with pytest.raises(RecordError, match=r"^record: must be an object with named fields, got 3\."):
        Record.from_line("3")


@pytest.mark.parametrize(
    ("length", "shown"), [(60, "'" + "x" * 58 + "'"), (61, "'" + "x" * 56 + "…")]
)
def test_a_long_value_is_shown_by_its_beginning(length: int, shown: str) -> None:
    line = json.dumps({**json.loads(record().to_line()), "losses": "x" * (length - 2)})
    with pytest.raises(RecordError) as caught:
        Record.from_line(line)
    assert str(caught.value).endswith(f"got {shown}.")


# -- what is shipped ------------------------------------------------------------------------------


def test_every_shipped_record_is_read_and_stands_in_the_file_of_its_experiment() -> None:
    shipped = shipped_records()
    assert {each.experiment for each in shipped} == set(EXPERIMENTS)
    for name in EXPERIMENTS:
        assert load(name) == [each for each in shipped if each.experiment == name]


def test_what_is_not_shipped_is_answered_with_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"'nothing'; it has addition, alibi_1200, .*sweep run"
    ):
        load("nothing")
    monkeypatch.setattr(files, "_shipped_files", list)
    with pytest.raises(
        FileNotFoundError, match=r"it has none\. `python -m simplellm\.sweep run` makes"
    ):
        load("nothing")


def test_a_record_in_the_file_of_another_experiment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sort.jsonl").write_bytes(dump_records([record()]))
    monkeypatch.setattr(files, "_shipped_files", lambda: [tmp_path / "sort.jsonl"])
    with pytest.raises(RecordError, match=r"sort\.jsonl: holds a record of 'copy'"):
        load("sort")


# -- the interval ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "degrees", "printed"),
    [  # Student's table as every statistics book prints it
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 4, 2.776),
        (0.975, 9, 2.262),
        (0.975, 30, 2.042),
        (0.975, 120, 1.980),
        (0.95, 5, 2.015),
        (0.995, 4, 4.604),
        (0.9, 10, 1.372),
    ],
)
def test_the_quantile_is_that_of_the_printed_tables(
    probability: float, degrees: int, printed: float
) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(printed, abs=6e-4)


@quick
@given(probability=st.floats(0.001, 0.999), degrees=st.integers(1, 60))
def test_the_density_up_to_the_quantile_has_the_probability(
    probability: float, degrees: int
) -> None:
    # Independently: the density from the gamma function, integrated from 0 by Simpson's rule.
    quantile = t_quantile(probability, degrees)
    t = numpy.linspace(0, quantile, 200_001)
    scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    density = math.exp(scale) / math.sqrt(degrees * math.pi)
    density = density * (1 + t**2 / degrees) ** (-(degrees + 1) / 2)
    weights = numpy.ones(len(t))
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    integral = float(weights @ density) * (t[1] - t[0]) / 3
    assert 0.5 + integral == pytest.approx(probability, abs=1e-9)


def test_the_quantile_has_closed_forms_at_one_and_two_degrees() -> None:
    for p in (0.01, 0.3, 0.5, 0.8, 0.9995):
        assert t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-9, abs=1e-12)
        two = (2 * p - 1) / math.sqrt(2 * p * (1 - p))
        assert t_quantile(p, 2) == pytest.approx(two, rel=1e-9, abs=1e-12)


def test_with_many_degrees_the_quantile_is_the_normal_one() -> None:
    assert t_quantile(0.975, 100_000) == pytest.approx(1.959964, abs=5e-5)


def test_the_interval_of_five_seeds_is_that_worked_by_hand() -> None:
    # Mean 3, squares of deviations 10, s = √2.5, times 2.7764451 / √5.
    mean, half_width = mean_and_interval([1, 2, 3, 4, 5])
    assert mean == 3 and type(mean) is type(half_width) is float
    assert half_width == pytest.approx(1.9632432, abs=1e-6)


def test_the_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    draws = numpy.random.default_rng(0).normal(7, 3, size=(4, 20_000))
    for confidence in (0.5, 0.95):
        mean, half_width = mean_and_interval(draws, confidence)
        held = (abs(mean - 7) <= half_width).mean()
        assert held == pytest.approx(confidence, abs=0.01)  # 3 standard errors at 0.5


def test_curves_have_an_interval_at_every_point() -> None:
    curves = numpy.random.default_rng(0).normal(size=(5, 3, 2))
    mean, half_width = mean_and_interval(curves)
    assert mean.shape == half_width.shape == (3, 2)
    alone = mean_and_interval(curves[:, 2, 1])
    assert (mean[2, 1], half_width[2, 1]) == pytest.approx(alone)


def test_numbers_of_few_digits_are_averaged_with_many() -> None:
    assert mean_and_interval(numpy.full(2, 60_000, numpy.float16))[0] == 60_000


def test_one_seed_has_no_interval() -> None:
    mean, half_width = mean_and_interval([2.5])
    assert mean == 2.5 and math.isnan(half_width)
    assert numpy.isnan(mean_and_interval([[1.0, 2.0]])[1]).all()


def test_a_diverged_seed_is_not_hidden() -> None:
    assert all(map(math.isnan, mean_and_interval([1.0, math.nan, 2.0])))


@quick
@given(probability=st.floats(0.001, 0.999), degrees=st.integers(1, 60))
def test_the_distribution_function_undoes_the_quantile(probability: float, degrees: int) -> None:
    found = t_probability(t_quantile(probability, degrees), degrees)
    assert found == pytest.approx(probability, abs=1e-10)


@pytest.mark.parametrize(
    ("t", "degrees", "known"),
    [
        (0.0, 4, 0.5),
        (1.0, 1, 0.75),  # Cauchy's: 1/2 + atan(1) / π
        (-1.0, 1, 0.25),
        (1.0, 2, 0.5 + 1 / (2 * math.sqrt(3))),
        (2.0, 4, 0.5 + 0.5 * (2 / math.sqrt(8)) * (1 + 0.25)),  # sine (1 + cosine² / 2)
        (2.776, 4, 0.975),
        (12.706, 1, 0.975),
        (1.96, 100_000, 0.975),
        (math.inf, 4, 1.0),
        (-math.inf, 4, 0.0),
    ],
)
def test_the_distribution_function_has_its_known_values(t: float, degrees: int, known) -> None:
    assert t_probability(t, degrees) == pytest.approx(known, abs=2e-5)


def test_the_probability_of_what_is_no_number_is_none() -> None:
    assert math.isnan(t_probability(math.nan, 4))


@quick
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_range_of_accuracies_stays_between_their_bounds(values: list[float]) -> None:
    mean, low, high = mean_and_range(values)
    assert 0 <= low <= high <= 1
    assert low - 1e-12 <= mean <= high + 1e-12
    assert low in values and high in values


def test_the_range_of_five_seeds_holds_the_median_as_often_as_it_says() -> None:
    # Of a lopsided distribution near its bound, where Student's interval passes 1.
    draws = numpy.random.default_rng(0).beta(8, 0.5, size=(5, 20_000))
    _, low, high = mean_and_range(draws)
    median = float(numpy.median(numpy.random.default_rng(1).beta(8, 0.5, size=1_000_000)))
    assert ((low <= median) & (median <= high)).mean() == pytest.approx(1 - 2**-4, abs=0.01)
    mean, half_width = mean_and_interval(draws)
    assert (mean + half_width > 1).mean() > 0.5


def test_one_seed_has_no_range_and_a_diverged_one_is_not_hidden() -> None:
    mean, low, high = mean_and_range([0.5])
    assert mean == 0.5 and math.isnan(low) and math.isnan(high)
    assert all(map(math.isnan, mean_and_range([0.5, math.nan])))


def test_curves_have_a_range_at_every_point() -> None:
    curves = numpy.random.default_rng(0).uniform(size=(5, 3, 2))
    whole = mean_and_range(curves)
    assert [a.shape for a in whole] == [(3, 2)] * 3
    assert [a[2, 1] for a in whole] == pytest.approx(mean_and_range(curves[:, 2, 1]))


@pytest.mark.parametrize(
    ("p_values", "survive"),
    [
        ([], []),
        ([0.05], [True]),
        ([0.051], [False]),
        ([0.025, 0.05], [True, True]),
        ([0.026, 0.001], [True, True]),
        ([0.026, 0.026], [False, False]),
        ([0.01, 0.04, 0.03, 0.005], [True, False, False, True]),  # worked in many textbooks
        ([math.nan, 0.02], [False, True]),
        ([math.nan, 0.03], [False, False]),  # what cannot be tested was asked all the same
        ([0.0, 0.0, 1.0], [True, True, False]),
    ],
)
def test_holm_compares_the_smallest_p_with_the_strictest_limit(p_values, survive) -> None:
    assert holm(p_values) == survive


@quick
@given(p_values=st.lists(st.floats(0, 1), max_size=12), level=st.floats(0.01, 0.2))
def test_holm_lies_between_bonferroni_and_no_correction(p_values, level: float) -> None:
    survives = holm(p_values, level)
    for p, kept in zip(p_values, survives, strict=True):
        assert kept or p > level / len(p_values)  # Bonferroni's survive
        assert not kept or p <= level
    kept = [p for p, k in zip(p_values, survives, strict=True) if k]
    lost = [p for p, k in zip(p_values, survives, strict=True) if not k]
    assert not kept or not lost or max(kept) <= min(lost)


def test_holm_is_wrong_about_any_of_many_true_hypotheses_as_seldom_as_it_says() -> None:
    chance = numpy.random.default_rng(0)
    wrong = [any(holm(chance.uniform(size=20).tolist())) for _ in range(4000)]
    assert numpy.mean(wrong) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_and_range([]), ["values", "(0,)"]),
        (lambda: holm([0.1], 5), ["level", "5", "between 0 and 1"]),
        (lambda: t_probability(1.0, 0), ["degrees", "0", "at least 1"]),
        (lambda: mean_and_interval([]), ["values", "(0,)"]),
        (lambda: mean_and_interval(3.0), ["values", "()"]),
        (lambda: mean_and_interval([1, 2], 95), ["confidence", "95", "between 0 and 1"]),
        (lambda: mean_and_interval([1], 0), ["confidence", "0", "between 0 and 1"]),
        (lambda: mean_and_interval([1], 1), ["confidence", "got 1; as in 0.95"]),
        (lambda: t_quantile(1.0, 3), ["probability", "1.0", "between 0 and 1"]),
        (lambda: t_quantile(0.0, 3), ["probability", "0.0", "between 0 and 1"]),
        (lambda: t_quantile(0.9, 0), ["degrees", "0", "at least 1"]),
        (lambda: t_quantile(0.9, 1.5), ["degrees", "1.5", "whole number"]),  # type: ignore[arg-type]
    ],
)
def test_a_bad_argument_is_named_with_its_limit(call: Any, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


# -- scores by arm ---------------------------------------------------------------------------------


def test_scores_are_gathered_by_arm_in_the_order_of_seeds() -> None:
    def one(arm: str, seed: int, stage: str = "final") -> Record:
        scores = {"loss": seed / 10, "curve": [seed, None], "count": 7}
        run = {**RUN, "arm": arm, "seed": seed, "stage": stage}
        return make_record(run, {**RESULT, "scores": scores})

    given = [one("b", 2), one("a", 1), one("b", 0), one("b", 100, "select"), one("b", 1)]
    losses = final_scores(given, "loss")
    assert {arm: values.tolist() for arm, values in losses.items()} == {
        "b": [0.0, 0.1, 0.2],
        "a": [0.1],
    }
    curves = final_scores(given, "curve")["b"]
    assert curves.shape == (3, 2) and curves[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert numpy.isnan(curves[:, 1]).all()
    assert final_scores(given, "count")["b"].dtype == numpy.float64


def test_a_score_that_was_not_measured_is_answered_with_those_that_were() -> None:
    with pytest.raises(KeyError, match=r"score must be one of accuracy, at, by_length.*'speed'"):
        final_scores([record()], "speed")


def test_scores_of_two_experiments_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="of one experiment, got copy and sort"):
        final_scores([record(), record(experiment="sort")], "accuracy")


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        record().key = "abc"  # type: ignore[misc]
    assert replace(record(), seconds=2.0).seconds == 2.0


def test_a_setting_has_one_key_whatever_numeric_type_it_has() -> None:
    assert settings_key({"seed": numpy.int64(1), "lr": numpy.float64(0.1)}) == settings_key(
        {"seed": 1, "lr": 0.1}
    )
