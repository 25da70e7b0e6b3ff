"""The records that the book's figures are drawn from: whole, current, and repeatable."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import simplellm
from simplellm.experiments import EXPERIMENTS, Experiment
from simplellm.records import Record, final_scores, load, t_quantile
from simplellm.training import Run, fit, train

FOLDER = Path(simplellm.__file__).parent / "results"

every_experiment = pytest.mark.parametrize("name", sorted(EXPERIMENTS))


@cache
def records(name: str) -> tuple[Record, ...]:
    return tuple(load(name))


def record(name: str, arm: str, seed: int = 0) -> Record:
    (found,) = (r for r in records(name) if (r.stage, r.arm, r.run["seed"]) == ("final", arm, seed))
    return found


@pytest.fixture
def one_thread() -> None:
    torch.set_num_threads(1)


def made_now() -> Mapping[str, Experiment]:
    """The experiments made again: those at hand are as old as the import, a mutant is younger."""
    spec = importlib.util.find_spec("simplellm.experiments")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Mapping[str, Experiment] = module.EXPERIMENTS
    return made


# -- whole and current -----------------------------------------------------------------------------


@every_experiment
def test_there_is_one_record_of_each_run_and_none_of_another(name: str) -> None:
    experiment = made_now()[name]
    wanted = [
        *experiment.selection_runs(records(name)),
        *experiment.final_runs(records(name)),
    ]
    assert Counter(r.key for r in records(name)) == Counter(run.key for run in wanted)


def test_every_file_of_records_belongs_to_an_experiment() -> None:
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == set(EXPERIMENTS)


def test_the_records_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.jsonl")) < 6_000_000


@every_experiment
def test_every_arm_has_a_finite_score_for_every_seed(name: str) -> None:
    for arm, losses in final_scores(records(name), "loss").items():
        seeds = len(EXPERIMENTS[name].seeds)
        assert losses.shape == (seeds,) and np.isfinite(losses).all(), arm


def test_rows_that_no_text_reached_end_up_alike_where_the_table_is_tied() -> None:
    cosine = final_scores(records("unused_rows"), "table_cosine")
    moved = final_scores(records("unused_rows"), "table_moved")
    spread = final_scores(records("unused_rows"), "table_spread")
    for decay in ("no decay", "decay 0.1"):
        assert cosine[f"tied, {decay}"].min() > 0.98
        assert np.abs(cosine[f"untied, {decay}"]).max() < 0.01
    assert (moved["untied, no decay"] == 0).all()
    assert (spread["tied, decay 0.1"] < spread["tied, no decay"]).all()


def test_rows_that_are_off_together_are_read_and_rows_that_are_not_are_lost() -> None:
    scores = records("recipes")

    def of(name: str) -> NDArray[np.float64]:
        return final_scores(scores, name)["sinusoidal"]

    for recipe in ("float16_rates", "bfloat16_rates", "bfloat16_angles"):
        assert (of(f"{recipe}_error") > 1.9).all()  # all as wrong as rows can be
    assert of("float32_error").max() < 0.01
    assert np.abs(of("float32_accuracy") - of("exact_accuracy")).max() < 1e-3
    assert of("float16_rates_accuracy").min() > 0.99
    assert of("bfloat16_rates_accuracy").min() > 0.99
    assert of("bfloat16_angles_accuracy").max() < 0.2


# -- repeatable ------------------------------------------------------------------------------------

QUICK = [("stripes", "learned"), ("token_back", "rope")]
SAMPLE = [
    ("lookup", "sinusoidal"),
    ("extrapolation", "learned, random offsets"),
    ("addition", "t5"),
    ("copy", "alibi"),
    ("initialisation", "uniform"),
    ("scaling", "learned, 1, scaled"),
    ("size_text", "sinusoidal, large, factor"),
    ("alibi_300", "16 heads"),
    ("masked", "rope"),
    ("rotary_kinds", "two bases"),
    ("tying_start", "tied, learned, std d^-1/2, gain d^-1/2"),
]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("name", "arm"), [*QUICK, *(pytest.param(*each, marks=pytest.mark.slow) for each in SAMPLE)]
)
def test_the_first_fifty_steps_are_those_of_the_record(name: str, arm: str) -> None:
    kept = record(name, arm)
    losses = fit(Run.from_dict(kept.run), stop=50).losses
    begin, compared = 0, 0
    for end, mean in kept.losses:
        if end > 50:
            break
        # What differs between kinds of CPU is the last digits, and it grows with the steps.
        assert np.mean(losses[begin:end]) == pytest.approx(mean, rel=2e-3), f"up to step {end}"
        begin, compared = end, compared + 1
    assert compared  # the longer a run, the fewer of its points lie within fifty steps


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("name", "arm"), [("stripes", "learned"), ("token_back", "learned")])
def test_a_whole_run_falls_where_its_arm_does(name: str, arm: str) -> None:
    scores = np.log(final_scores(records(name), "loss")[arm])
    again = np.log(train(Run.from_dict(record(name, arm).run))["scores"]["loss"])
    # Where one more run of the arm is to be expected, with 99 % confidence.
    reach = t_quantile(0.995, len(scores) - 1) * scores.std(ddof=1) * np.sqrt(1 + 1 / len(scores))
    assert abs(again - scores.mean()) < max(reach, 0.1)
