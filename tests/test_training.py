"""One description of a run gives one set of numbers, always the same."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from simplellm.model import SimpleLLM
from simplellm.training import (
    MEASURES,
    Data,
    Run,
    Trained,
    build_model,
    centred_cosine,
    fit,
    learning_rate,
    steps_to,
    thin,
    train,
)

quick = settings(max_examples=30, deadline=None, database=None)


def run(**changes: Any) -> Run:
    model = {"d_model": 16, "n_layers": 1, "n_heads": 2, "max_seq_len": 48, "position": "learned"}
    given: dict[str, Any] = {
        "experiment": "test",
        "arm": "one",
        "task": "token_back",
        "task_options": {"k": 2, "seq_len": 12},
        "model": {**model, **changes.pop("model", {})},
        "batch": 4,
        "steps": 4,
        "lr": 3e-3,
        "measures": {"test": {}},
        **changes,
    }
    return Run(**given)


# -- descriptions ----------------------------------------------------------------------------------


def test_a_run_survives_json() -> None:
    described = run(measures={"offsets": {"offsets": [0, 5]}})
    again = Run.from_dict(json.loads(json.dumps(described.to_dict())))
    assert again == described and again.key == described.key


def test_every_setting_changes_the_key() -> None:
    changes: dict[str, Any] = {
        "experiment": "other",
        "arm": "other",
        "stage": "select",
        "seed": 1,
        "task": "copy",
        "task_options": {"k": 3},
        "model": {"position": "none"},
        "table": "uniform",
        "seq_len": 65,
        "batch": 5,
        "steps": 5,
        "lr": 1e-3,
        "warmup": 51,
        "clip": None,
        "table_lr": 2.0,
        "offsets": 1,
        "windows": "aligned",
        "measures": {},
    }
    assert set(changes) == {field.name for field in dataclasses.fields(Run)}
    keys = {run().key} | {run(**{name: value}).key for name, value in changes.items()}
    assert len(keys) == len(changes) + 1


def test_the_order_in_which_settings_are_written_does_not_change_the_key() -> None:
    one = run(task_options={"k": 2, "seq_len": 12})
    assert one.key == run(task_options={"seq_len": 12, "k": 2}).key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive and finite, got 0.0"),
        ({"stage": "last"}, "stage must be 'select' or 'final', got 'last'"),
        ({"table": "cauchy"}, "table must be 'normal' or 'uniform', got 'cauchy'"),
        ({"measures": {"speed": {}}}, "measures must be among test, .*, got speed"),
    ],
)
def test_a_run_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(**changes)


# -- data ------------------------------------------------------------------------------------------


def test_data_and_initialisation_depend_on_the_seed_and_on_nothing_else() -> None:
    def first(seed: int) -> tuple[Tensor, Tensor]:
        torch.rand(seed + 3)  # what was drawn before must not matter
        data = Data(run(seed=seed))
        model = build_model(data.run, data)
        return data.train_batch()[0], model.blocks[0].widen.weight.detach()  # type: ignore

    for a, b in zip(first(1), first(1), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(first(1), first(2), strict=True):
        assert not torch.equal(a, b)


def test_the_selection_round_is_judged_on_other_data_than_the_final_one() -> None:
    for task in ("token_back", "text"):
        options = {"task": task, "task_options": {}, "seq_len": 32}
        select, final = (Data(run(stage=stage, **options)) for stage in ("select", "final"))
        rows = [
            {tuple(row) for row in data.test_batch(None, 64)[0].tolist()}
            for data in (select, final)
        ]
        assert not rows[0] & rows[1]


def test_text_is_judged_on_text_that_training_never_sees() -> None:
    data = Data(run(task="text", task_options={}, seq_len=32))
    trained = {tuple(block) for block in data.train_blocks.tolist()}
    judged = {tuple(block) for block in data.test_blocks.tolist()}
    assert len(judged) > 30 and not trained & judged


def test_random_offsets_move_whole_windows_and_reach_both_ends() -> None:
    data = Data(run(offsets=3, batch=64))
    _, _, positions = data.train_batch()
    assert positions is not None and positions.shape == (64, 12)
    assert (positions.diff(dim=1) == 1).all()
    assert set(positions[:, 0].tolist()) == {0, 1, 2, 3}


def test_a_smaller_text_is_the_start_of_the_larger() -> None:
    options = {"task": "text", "seq_len": 32}
    whole = Data(run(task_options={}, **options))
    small = Data(run(task_options={"size": 20_000}, **options))
    assert 19_000 < small.train_blocks.numel() <= 20_000
    assert torch.equal(small.train_blocks, whole.train_blocks[: len(small.train_blocks)])
    assert torch.equal(small.test_blocks, whole.test_blocks)


# -- training --------------------------------------------------------------------------------------


def test_the_same_run_gives_the_same_numbers() -> None:
    first, second = train(run()), train(run())
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_training_learns() -> None:
    losses = fit(run(steps=150, batch=32, lr=1e-2, model={"d_model": 32})).losses
    assert losses[0] > math.log(16) - 0.3
    assert losses[-1] < 0.7 * losses[0]


def test_on_step_sees_the_model_before_each_step_and_after_the_last() -> None:
    seen: list[tuple[int, float]] = []

    def keep(step: int, model: SimpleLLM) -> None:
        seen.append((step, model.norm.weight.sum().item()))

    shown: list[tuple[int, int]] = []
    trained = fit(run(), on_step=keep, progress=lambda step, steps, _: shown.append((step, steps)))
    assert [step for step, _ in seen] == [0, 1, 2, 3, 4]
    assert seen[0][1] == 16.0 and len({weight for _, weight in seen}) == 5
    assert shown == [(1, 4), (2, 4), (3, 4), (4, 4)] and not trained.model.training


def test_the_factor_on_the_table_moves_the_table_alone() -> None:
    def moved(factor: float) -> tuple[float, float]:
        described = run(table_lr=factor, steps=1, warmup=1)
        before = build_model(described, Data(described)).state_dict()
        after = fit(described).model.state_dict()
        change = {name: (after[name] - before[name]).abs().max().item() for name in before}
        return change["input_embedding.token_embedding.embedding.weight"], change["norm.weight"]

    (table, other), (faster, same) = moved(1.0), moved(8.0)
    # Adam's first step is the learning rate, whatever the gradient.
    assert table == pytest.approx(3e-3, rel=1e-3) and faster == pytest.approx(8 * 3e-3, rel=1e-3)
    assert other == same


def test_a_uniform_table_has_the_same_spread_and_an_edge() -> None:
    described = run(table="uniform", task="text", task_options={}, model={"d_model": 64})
    table = build_model(described, Data(described)).input_embedding.token_embedding.embedding.weight
    assert table.std().item() == pytest.approx(0.02, rel=0.03)
    assert table.abs().max().item() <= 0.02 * math.sqrt(3)


def test_the_learning_rate_rises_falls_and_ends_at_a_tenth() -> None:
    described = run(steps=200, warmup=50)
    rates = [learning_rate(step, described) for step in range(201)]
    assert rates[0] == 1 / 50 and max(rates) == rates[49] == 1.0
    assert rates[:50] == sorted(rates[:50]) and rates[49:] == sorted(rates[49:], reverse=True)
    assert rates[200] == pytest.approx(0.1)
    assert rates[125] == pytest.approx(0.55)  # half of the way down the cosine


@quick
@given(st.lists(st.floats(0, 10), min_size=1, max_size=400))
def test_thinned_losses_keep_the_mean(losses: list[float]) -> None:
    points = thin(losses)
    assert len(points) <= 30 and points[-1][0] == len(losses)
    begin, total = 0.0, 0.0
    for end, mean in points:
        total += (end - begin) * mean
        begin = end
    assert total == pytest.approx(sum(losses), abs=1e-6)


def test_steps_to_counts_a_mean_of_ten() -> None:
    assert steps_to([1.0] * 20 + [0.0] * 30, 0.1) == 30
    assert steps_to([0.0] * 9, 0.1) is None
    assert steps_to([1.0] * 50, 0.1) is None


# -- measures --------------------------------------------------------------------------------------


class Oracle(torch.nn.Module):
    """Knows the answer of "two back" where a position is below 20, and is wrong from there on."""

    config = run().model

    def forward(self, ids: Tensor, *, positions: Tensor | None = None) -> Tensor:
        if positions is None:
            positions = torch.arange(ids.shape[1])
        said = torch.full_like(ids, 3)
        said[:, 2:] = ids[:, :-2]
        said = torch.where(positions < 20, said, torch.full_like(ids, 1))
        return torch.nn.functional.one_hot(said, 19) * 100.0


def oracle() -> Trained:
    described = run(model={"position": "rope"})
    return Trained(described, Oracle(), [], Data(described), 0.0)  # type: ignore[arg-type]


def test_measures_are_per_position_and_skip_what_is_not_asked() -> None:
    scores = MEASURES["length"](oracle(), length=30)
    assert scores["accuracy_by_position"] == [None, None] + [1.0] * 18 + [0.0] * 10
    assert scores["loss_by_position"][2:20] == pytest.approx([0.0] * 18)
    assert min(scores["loss_by_position"][20:]) > 50


def test_offsets_shift_positions_and_not_the_text() -> None:
    scores = MEASURES["offsets"](oracle(), offsets=[0, 8, 13, 20])
    assert scores["accuracy_by_offset"] == pytest.approx([1.0, 1.0, 0.5, 0.0])


def test_shifted_windows_are_measured_on_the_training_text() -> None:
    described = run(task="text", task_options={"size": 3000}, seq_len=32, measures={"shift": {}})
    scores = train(described)["scores"]
    assert scores["loss_aligned"] > 0 and scores["loss_shifted"] > 0


def test_centred_cosine_is_the_correlation_of_rows_around_their_mean() -> None:
    rows = torch.tensor([[3.0, 0.0], [1.0, 0.0], [2.0, 1.0], [2.0, -1.0]])
    want = torch.tensor([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1.0]])
    assert torch.allclose(centred_cosine(rows), want)


def test_positions_of_a_scheme_without_rows_are_refused() -> None:
    described = run(model={"position": "rope"}, steps=1, measures={"positions": {}})
    with pytest.raises(ValueError, match="only a learned table has rows"):
        train(described)
