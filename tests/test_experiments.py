"""The book's sweep: fair by construction."""

from __future__ import annotations

import math
from typing import Any

import pytest

from simplellm.experiments import EXPERIMENTS, LADDER, SEEDS, SELECTION_SEED, SHORT, Experiment
from simplellm.model import SimpleLLMConfig
from simplellm.training import Data, Run

every_experiment = pytest.mark.parametrize("name", sorted(EXPERIMENTS))


class FakeRecord:
    """What choosing a rate needs of a record."""

    def __init__(self, run: Run, loss: float | None) -> None:
        self.key, self.scores = run.key, {"loss": loss}


def finals(experiment: Experiment) -> list[Run]:
    return experiment.final_runs(selected(experiment))


def selected(experiment: Experiment, best: float | None = None) -> list[Any]:
    """Records of all selection runs, by which a rate is the best of every arm."""
    best = best or experiment.rates[len(experiment.rates) // 2]
    fakes: list[Any] = []
    while len(runs := experiment.selection_runs(fakes)) > len(fakes):
        fakes = [FakeRecord(run, abs(math.log(run.lr / best))) for run in runs]
    return fakes


def test_no_two_runs_of_the_sweep_are_the_same() -> None:
    runs = [run for e in EXPERIMENTS.values() for run in [*e.selection_runs(), *finals(e)]]
    assert len({run.key for run in runs}) == len(runs)


@every_experiment
def test_every_run_can_be_built(name: str) -> None:
    for run in finals(EXPERIMENTS[name]):
        assert run.experiment == name
        if run.seed == 0:
            SimpleLLMConfig(vocab_size=Data(run).vocab_size, **run.model)


@every_experiment
def test_every_arm_has_the_same_budget_and_the_same_seeds(name: str) -> None:
    runs = finals(EXPERIMENTS[name])
    assert len({(run.steps, run.batch, run.seq_len, run.task) for run in runs}) == 1
    for arm in EXPERIMENTS[name].arms:
        seeds = tuple(run.seed for run in runs if run.arm == arm)
        assert seeds == EXPERIMENTS[name].seeds and len(seeds) >= 3


@every_experiment
def test_rates_are_chosen_on_a_seed_that_is_not_reported(name: str) -> None:
    for run in EXPERIMENTS[name].selection_runs():
        assert run.seed == SELECTION_SEED and run.stage == "select"
    assert SELECTION_SEED not in SEEDS


def test_each_arm_is_given_the_rate_with_its_lowest_loss() -> None:
    experiment = EXPERIMENTS["copy"]
    slow, middle, fast = experiment.rates
    chosen = (slow, middle, fast, slow, middle, fast, slow, middle)
    best = dict(zip(experiment.arms, chosen, strict=True))
    fakes: list[Any] = [
        FakeRecord(run, 0.5 if run.lr == best[run.arm] else 0.9)
        for run in experiment.selection_runs()
    ]
    assert experiment.chosen_rates(fakes) == best
    assert {(run.arm, run.lr) for run in experiment.final_runs(fakes)} == set(best.items())


@pytest.mark.parametrize("lost", [math.nan, None])
def test_a_run_that_diverged_is_never_chosen(lost: float | None) -> None:
    experiment = EXPERIMENTS["copy"]
    fakes: list[Any] = [
        FakeRecord(run, 9.0 if run.lr == experiment.rates[0] else lost)
        for run in experiment.selection_runs()
    ]
    assert set(experiment.chosen_rates(fakes).values()) == {experiment.rates[0]}


def test_a_missing_selection_run_is_named() -> None:
    experiment = EXPERIMENTS["copy"]
    fakes: list[Any] = [FakeRecord(run, 1.0) for run in experiment.selection_runs()[1:]]
    with pytest.raises(ValueError, match=r"copy has no record of .* 'none' at lr = 0\.003"):
        experiment.final_runs(fakes)


def ladder() -> Experiment:
    return EXPERIMENTS["alibi_300"]


@pytest.mark.parametrize("best", LADDER)
def test_no_rate_is_chosen_at_an_end_of_those_tried_unless_the_ladder_ends(best: float) -> None:
    fakes = selected(ladder(), best)
    tried = [run.lr for run in ladder().selection_runs(fakes) if run.arm == "4 heads"]
    assert tried == sorted(tried) and set(SHORT) <= set(tried)
    assert ladder().chosen_rates(fakes)["4 heads"] == best
    assert best in LADDER[:: len(LADDER) - 1] or tried[0] < best < tried[-1]


def test_of_equal_rates_the_smallest_is_chosen() -> None:
    losses = {1e-3: 0.9, 2e-3: 0.506, 5e-3: 0.5, 1e-2: 0.509, 2e-2: 0.7}
    runs = ladder().selection_runs()
    fakes: list[Any] = []
    while len(runs := ladder().selection_runs(fakes)) > len(fakes):
        fakes = [FakeRecord(run, losses[run.lr]) for run in runs]
    assert set(ladder().chosen_rates(fakes).values()) == {2e-3}


def test_arms_with_a_rate_of_their_own_choose_nothing() -> None:
    experiment = EXPERIMENTS["rope_rates"]
    assert experiment.selection_runs() == []
    runs = experiment.final_runs([])
    assert {(run.arm, run.lr) for run in runs} == {("0.003", 3e-3), ("0.01", 1e-2), ("0.03", 3e-2)}
    assert len(runs) == 60


def test_matched_arms_swap_sizes_and_nothing_else() -> None:
    arms = {arm: dict(setting["model"]) for arm, setting in EXPERIMENTS["text"].arms.items()}
    small = {**arms["learned"], "position": "sinusoidal", "position_rms": 0.02}
    large = {**arms["sinusoidal"], "position": "learned", "position_rms": math.sqrt(0.5)}
    assert arms["sinusoidal, small"] == small and arms["learned, large"] == large
