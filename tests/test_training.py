"""One description of a run gives one set of numbers, always the same."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import time
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from simplellm.model import SimpleLLM, next_token_loss
from simplellm.sinusoids import frequencies
from simplellm.stretching import StretchedRope, stretched_rates
from simplellm.training import (
    MEASURES,
    Data,
    Run,
    Trained,
    build_model,
    centred_cosine,
    fit,
    learning_rate,
    mean_pair_cosine,
    progress_bar,
    steps_to,
    thin,
    train,
)
from simplellm.vocabulary import BOS, EOS, PAD

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
        "weight_decay": 0.1,
        "last_gain": 0.5,
        "keep_best": 2,
        "stretch": {"by": "ntk", "factor": 2, "steps": 1},
    }
    assert set(changes) == {field.name for field in dataclasses.fields(Run)}
    keys = {run().key} | {run(**{name: value}).key for name, value in changes.items()}
    assert len(keys) == len(changes) + 1


def test_an_added_setting_that_is_left_alone_changes_no_key() -> None:
    assert "weight_decay" not in run(weight_decay=0.0).to_dict()
    decayed = run(weight_decay=0.1)
    assert decayed.to_dict()["weight_decay"] == 0.1 and decayed.key != run().key
    assert Run.from_dict(decayed.to_dict()) == decayed


def test_the_order_in_which_settings_are_written_does_not_change_the_key() -> None:
    one = run(task_options={"k": 2, "seq_len": 12})
    assert one.key == run(task_options={"seq_len": 12, "k": 2}).key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive and finite, got 0.0"),
        ({"stage": "last"}, "stage must be 'select' or 'final', got 'last'"),
        ({"table_lr": -1.0}, "table_lr must be positive and finite, got -1.0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
        ({"last_gain": 0.0}, "last_gain must be positive and finite, got 0.0"),
        ({"keep_best": -1}, "keep_best must be at least 0, got -1"),
        ({"stretch": {"by": "ntk"}}, "stretch must have by, factor and steps, got by"),
        ({"windows": "none"}, "windows must be 'random' or 'aligned', got 'none'"),
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


@pytest.mark.parametrize("options", [{"offsets": 30}, {"task": "text", "windows": "aligned"}])
def test_no_draw_is_left_to_what_was_drawn_before(options: dict[str, Any]) -> None:
    described = run(task_options={}, seq_len=32, **options)
    batches = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        batches.append(Data(described).train_batch())
    for first, second in zip(*batches, strict=True):
        assert first is second is None or torch.equal(first, second)  # type: ignore[arg-type]


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
    judged = {tuple(block) for half in data.test_blocks.values() for block in half.tolist()}
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
    assert len(Data(run(task_options={"size": 20}, **options)).train_blocks) == 1
    assert 19_000 < small.train_blocks.numel() <= 20_000
    assert torch.equal(small.train_blocks, whole.train_blocks[: len(small.train_blocks)])
    assert torch.equal(small.test_blocks["final"], whole.test_blocks["final"])


def test_a_text_may_be_read_in_byte_pairs_and_has_no_other_option() -> None:
    pairs = Data(run(task="text", task_options={"bpe": 270}, seq_len=32))
    assert pairs.vocab_size == pairs.vocabulary.vocab_size == 270 and pairs.seq_len == 32
    with pytest.raises(
        ValueError, match="be among bos, bpe, bytes, corpus, masked, size, got word, words"
    ):
        Data(run(task="text", task_options={"size": 99, "word": 1, "words": 2}))


def test_a_text_may_be_read_in_bytes() -> None:
    read = Data(run(task="text", task_options={"bytes": True}, seq_len=32))
    assert read.vocab_size == 3 + 256 and read.vocabulary.kind == "bytes"
    with pytest.raises(ValueError, match="must have bpe or bytes, got both"):
        Data(run(task="text", task_options={"bytes": True, "bpe": 270}))


@pytest.mark.parametrize(("windows", "least", "most"), [("aligned", 64, 64), ("random", 0, 12)])
def test_aligned_windows_stand_at_fixed_places_and_random_ones_do_not(
    windows: str, least: int, most: int
) -> None:
    options = {"task": "text", "task_options": {}, "seq_len": 32, "batch": 64}
    data = Data(run(windows=windows, **options))
    places = {tuple(row) for row in data.train_blocks.unfold(1, 33, 32).flatten(0, 1).tolist()}
    ids, targets, positions = data.train_batch()
    assert positions is None and torch.equal(ids[:, 1:], targets[:, :-1])
    rows = torch.cat([ids, targets[:, -1:]], dim=1)
    assert rows.shape == (64, 33)
    assert least <= sum(tuple(row) in places for row in rows.tolist()) <= most


def test_a_text_is_judged_from_its_beginning_to_its_end() -> None:
    data = Data(run(task="text", task_options={}, seq_len=32))
    whole = data.test_batch(32, 10_000)[0]
    few, targets = data.test_batch(None, 3)
    assert len(whole) > 256 == len(data.test_batch()[0])
    assert torch.equal(few[0], whole[0]) and torch.equal(few[-1], whole[-1]) and len(few) == 3
    assert torch.equal(few[:, 1:], targets[:, :-1])
    assert data.test_batch(16)[0].shape == (256, 16)
    exactly = data.test_batch(32, len(whole))[0]
    assert torch.equal(exactly, whole)


@pytest.mark.parametrize("task", ["token_back", "text"])
def test_the_same_examples_judge_every_seed(task: str) -> None:
    options = {"task": task, "task_options": {}, "seq_len": 32}
    one, other = (Data(run(seed=seed, **options)) for seed in (0, 1))
    one.train_batch()
    assert torch.equal(one.test_batch()[0], other.test_batch()[0])
    assert len(one.test_batch()[0]) == 256 and one.test_batch(40)[0].shape[1] == 40


def test_bos_stands_before_each_window_and_what_is_asked_stays_the_same() -> None:
    def batch(**options: Any) -> tuple[Tensor, Tensor]:
        return Data(run(task="text", task_options=options, seq_len=32)).train_batch()[:2]

    (ids, targets), (after_bos, asked) = batch(), batch(bos=True)
    assert torch.equal(after_bos[:, 1:], ids) and (after_bos[:, 0] == BOS).all()
    assert torch.equal(asked[:, 1:], targets) and (asked[:, 0] == PAD).all()


def test_what_is_hidden_is_asked_for_and_nothing_else() -> None:
    data = Data(run(task="text", task_options={"masked": True}, seq_len=32, batch=64))
    for ids, asked in (data.train_batch()[:2], data.test_batch()):
        assert torch.equal(ids == EOS, asked != PAD)
        assert 0.1 < (ids == EOS).float().mean() < 0.2
    whole = Data(run(task="text", task_options={}, seq_len=32)).test_batch()[0]
    ids, asked = data.test_batch()
    assert torch.equal(torch.where(ids == EOS, asked, ids), whole)
    assert torch.equal(data.test_batch()[0], ids)


def test_a_longer_training_has_a_text_of_its_own() -> None:
    data = Data(run(task="text", task_options={"corpus": "django"}, seq_len=64))
    assert data.train_blocks.numel() > 5_400_000 > 6000 * 28 * 64 / 2  # read less than twice
    with pytest.raises(ValueError, match=r"^corpus must be one of python, django, got 'bible'"):
        Data(run(task="text", task_options={"corpus": "bible"}))


def test_longer_windows_are_as_many_times_fewer() -> None:
    data = Data(run(batch=8))
    assert data.train_batch(longer=4)[0].shape == (2, 48)
    text = Data(run(task="text", task_options={}, seq_len=32, batch=8))
    assert text.train_batch(longer=4)[0].shape == (2, 128)
    assert text.train_batch(longer=16)[0].shape == (1, 512)


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


def test_the_last_gain_starts_where_it_was_asked_to() -> None:
    described = run(last_gain=0.125)
    data = Data(described)
    model, usual = build_model(described, data), build_model(run(), data)
    assert (model.norm.weight == 0.125).all()
    different = [
        name
        for (name, one), other in zip(
            model.state_dict().items(), usual.state_dict().values(), strict=True
        )
        if not torch.equal(one, other)
    ]
    assert different == ["norm.weight"]


def test_the_weights_kept_are_those_of_the_step_with_the_lowest_loss() -> None:
    # At this rate the last steps are worse than some before.
    described = run(steps=60, lr=1.0, keep_best=3, warmup=1)
    losses: dict[int, float] = {}

    def look(step: int, model: SimpleLLM) -> None:
        if step and step % 3 == 0:
            ids, targets = data.test_batch(stage="select")
            with torch.no_grad():
                losses.setdefault(step, next_token_loss(model(ids), targets).item())

    data = Data(described)
    trained = fit(described, on_step=look)
    assert len(losses) == 20
    best = min(losses, key=lambda step: losses[step])
    assert trained.best_step == best and best < 60
    assert train(described)["scores"]["best_step"] == best
    ids, targets = data.test_batch(stage="select")
    assert next_token_loss(trained.model(ids), targets).item() == pytest.approx(losses[best])
    assert fit(run()).best_step is None


def test_a_stretched_model_is_the_trained_one_with_other_rates_and_may_train_on() -> None:
    def ended(**stretch: Any) -> SimpleLLM:
        options = {"k": 2, "seq_len": 12}
        return fit(run(model={"position": "rope"}, task_options=options, stretch=stretch)).model

    plain, stretched = ended(), ended(by="yarn", factor=4, steps=0)
    further = ended(by="yarn", factor=4, steps=2)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, stretched.state_dict()[name])
    assert not torch.equal(plain.norm.weight, further.norm.weight)
    for model in (stretched, further):
        assert isinstance(model.scheme, StretchedRope)
        expected = stretched_rates(frequencies(8, 10_000.0), "yarn", 4, 12, 10_000.0)
        assert torch.equal(model.scheme.rates, expected)


def test_the_learning_rate_rises_falls_and_ends_at_a_tenth() -> None:
    described = run(steps=200, warmup=50)
    rates = [learning_rate(step, described) for step in range(201)]
    assert rates[0] == 1 / 50 and max(rates) == rates[49] == 1.0
    assert rates[:50] == sorted(rates[:50]) and rates[49:] == sorted(rates[49:], reverse=True)
    assert rates[200] == pytest.approx(0.1)
    assert rates[125] == pytest.approx(0.55)  # half of the way down the cosine
    assert learning_rate(5, run(steps=5, warmup=4)) == pytest.approx(0.1)
    assert learning_rate(4, run(steps=4, warmup=4)) == 1.0


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


def test_steps_to_asks_for_less_than_the_limit() -> None:
    assert steps_to([0.5] * 12, 0.5) is None and steps_to([0.5] * 12, 0.6) == 10
    assert steps_to([1.0, 0.0, 0.0], 0.6, window=2) == 2


def test_thinned_losses_are_means_over_equal_stretches() -> None:
    assert thin([1.0, 2.0, 3.0]) == [[1, 1.0], [2, 2.0], [3, 3.0]]
    assert thin([float(i) for i in range(60)], points=3) == [[20, 9.5], [40, 29.5], [60, 49.5]]
    assert len(thin([0.0] * 400)) == 30


def test_a_run_that_is_stopped_begins_as_the_whole_one() -> None:
    whole = fit(run()).losses
    assert fit(run(), stop=2).losses == whole[:2] and fit(run(), stop=9).losses == whole


def test_random_offsets_train_rows_that_no_window_from_the_start_reaches() -> None:
    def trained_rows(offsets: int) -> int:
        described = run(offsets=offsets, batch=64)
        name = "input_embedding.pos_embedding.embedding.weight"
        before = build_model(described, Data(described)).state_dict()[name]
        return int((fit(described).model.state_dict()[name] != before).any(dim=1).sum())

    assert (trained_rows(0), trained_rows(30)) == (12, 42)


def test_a_gradient_is_clipped_to_the_norm_that_was_asked_for() -> None:
    def moved(clip: float | None) -> float:
        described = run(steps=2, warmup=1, clip=clip)
        before = build_model(described, Data(described)).state_dict()["norm.weight"]
        return float((fit(described).model.state_dict()["norm.weight"] - before).norm())

    # Far below Adam's epsilon of 1e-8 a step is smaller than the learning rate.
    assert moved(None) == moved(1e6) > 10 * moved(1e-9)


def test_training_keeps_its_numbers_and_tells_its_steps() -> None:
    told: list[tuple[int, int, float]] = []
    begin = time.perf_counter()
    kept = train(run(steps=3), progress=lambda *step: told.append(step))
    assert 0 < kept["seconds"] < time.perf_counter() - begin
    assert [step for step, _, _ in told] == [1, 2, 3]
    assert [mean for _, mean in kept["losses"]] == [loss for _, _, loss in told]
    assert set(kept["scores"]) == {"steps_to_0.1", "loss", "accuracy"}
    assert kept["scores"]["steps_to_0.1"] is None


def test_a_run_says_from_when_on_its_loss_was_small(monkeypatch: pytest.MonkeyPatch) -> None:
    done = oracle(losses=(0.5,) * 10 + (0.05,) * 10, measures={"length": {"length": 15}})
    monkeypatch.setattr("simplellm.training.fit", lambda *_, **__: done)
    scores = train(done.run)["scores"]
    assert scores["steps_to_0.1"] == 19  # the mean of one 0.5 and nine 0.05 is 0.095
    assert len(scores["loss_by_position"]) == 15


def test_a_bar_shows_the_step_and_the_loss_and_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []

    class Bar:
        def __init__(self, **options: object) -> None:
            self.n = 0
            told.append(options)

        def set_postfix(self, *, loss: str, refresh: bool) -> None:
            told.append((loss, refresh))

        def update(self, steps: int) -> None:
            self.n += steps
            told.append(self.n)

        def close(self) -> None:
            told.append("closed")

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    show = progress_bar("reading")
    for step, loss in ((1, 2.71828), (2, 1.5), (4, 0.25)):
        show(step, 4, loss)
    options = {"total": 4, "desc": "reading", "leave": False}
    first, second, last = (("2.718", False), ("1.500", False), ("0.250", False))
    assert told == [options, first, 1, second, 2, last, 4, "closed"]
    progress_bar()(1, 2, 0.5)
    assert told[8] == {"total": 2, "desc": "training", "leave": False}


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


def oracle(seq_len: int = 12, losses: tuple[float, ...] = (), **changes: Any) -> Trained:
    options = {"k": 2, "seq_len": seq_len}
    described = run(model={"position": "rope"}, task_options=options, **changes)
    return Trained(described, Oracle(), list(losses), Data(described), 0.0)  # type: ignore[arg-type]


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


def test_recipes_are_read_in_place_of_the_first_rows_and_put_back() -> None:
    trained = fit(run(model={"position": "sinusoidal"}, steps=2, offsets=500))
    place = trained.model.input_embedding.pos_embedding
    before = place.pe.clone()
    scores = MEASURES["recipes"](trained, offset=70_000)
    assert torch.equal(place.pe, before)
    at = MEASURES["offsets"](trained, offsets=[70_000])
    assert scores["exact_loss"] == pytest.approx(at["loss_by_offset"][0], abs=1e-5)
    assert scores["exact_error"] == 0 < scores["float32_error"] < 0.01
    rates = 10_000.0 ** -(torch.arange(0, 32, 2, dtype=torch.float64) / 32)
    off = (rates.half().double() - rates).abs().max() * 70_000
    assert scores["float16_rates_error"] > min(1.0, float(off))
    assert scores["bfloat16_angles_loss"] != scores["exact_loss"]
    learned = fit(run(model={"position": "learned"}, steps=1))
    with pytest.raises(ValueError, match="must not ask for recipes with position = 'learned'"):
        MEASURES["recipes"](learned, offset=1)


def test_rows_without_training_are_measured_as_their_numbers_say() -> None:
    described = run(
        task="text",
        task_options={"bytes": True},
        seq_len=32,
        steps=3,
        model={"tie_weights": False},
        measures={"unused": {}},
    )
    trained = fit(described)
    found = MEASURES["unused"](trained)
    data, model, start = trained.data, trained.model, build_model(described, trained.data)
    never = [i for i in range(data.vocab_size) if not (data.train_blocks == i).any()]
    assert found["unused_count"] == len(never) > 1
    for name, table in {
        "output": lambda of: of.output_weight,
        "table": lambda of: of.input_embedding.token_embedding.embedding.weight,
    }.items():
        rows, before = (table(of).detach()[never].double() for of in (model, start))
        ways = [float((a - b).norm() / b.norm()) for a, b in zip(rows, before, strict=True)]
        assert found[f"{name}_moved"] == pytest.approx(sum(ways) / len(ways), rel=1e-4, abs=1e-7)
        for when, some in {"": rows, "_at_start": before}.items():
            lengths = [float(row.norm()) for row in some]
            assert found[f"{name}_norm{when}"] == pytest.approx(sum(lengths) / len(lengths))
            spread = math.sqrt(float(some.var(0, correction=0).mean()))
            assert found[f"{name}_spread{when}"] == pytest.approx(spread, rel=1e-4)
    way = (model.output_weight - start.output_weight).detach()[never].mean(0)
    seen: list[Tensor] = []
    model.norm.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    model(data.test_batch(sequences=64)[0])
    (projected,) = seen
    against = torch.cosine_similarity(way, projected.mean((0, 1)), dim=0)
    assert found["against_hidden"] == pytest.approx(float(against), abs=1e-5)


def unused_rows(**changes: Any) -> dict[str, Any]:
    described = run(
        **{"task": "text", "task_options": {"bytes": True}, "seq_len": 32, "lr": 1e-2, "warmup": 1}
        | {"steps": 20, "measures": {"unused": {}}}
        | changes
    )
    scores: dict[str, Any] = train(described)["scores"]
    return scores


def test_rows_that_no_text_reaches_stay_in_a_table_of_their_own() -> None:
    scores = unused_rows(model={"tie_weights": False})
    assert scores["table_moved"] == 0
    assert scores["table_cosine"] == scores["table_cosine_at_start"] == pytest.approx(0, abs=0.02)
    assert scores["output_moved"] > 0.1  # no row of the projection is left alone


def test_rows_that_no_text_reaches_are_pushed_one_way_in_a_tied_table() -> None:
    scores = unused_rows(model={"tie_weights": True, "scale": False})
    for name in ("moved", "cosine", "norm", "spread"):
        assert scores[f"table_{name}"] == scores[f"output_{name}"]
    assert scores["table_cosine"] > 0.8 and scores["table_norm"] > scores["table_norm_at_start"]
    assert scores["against_hidden"] < -0.5


def test_decay_shrinks_what_nothing_else_moves() -> None:
    options = {"weight_decay": 0.1, "steps": 20}
    scores = unused_rows(model={"tie_weights": False}, **options)
    rates = [learning_rate(step, run(warmup=1, **options)) for step in range(20)]
    left = math.prod(1 - 0.1 * 1e-2 * rate for rate in rates)
    assert scores["table_moved"] == pytest.approx(1 - left, rel=1e-3)
    for name in ("norm", "spread"):
        ratio = scores[f"table_{name}"] / scores[f"table_{name}_at_start"]
        assert ratio == pytest.approx(left, rel=1e-3)


def test_unused_rows_are_those_that_the_training_text_never_has() -> None:
    described = run(task="text", task_options={"bytes": True}, seq_len=32, steps=1)
    seen = set(Data(described).train_blocks.flatten().tolist())
    assert unused_rows(steps=1)["unused_count"] == 259 - len(seen)
    with pytest.raises(ValueError, match="must not ask for unused with task = 'token_back'"):
        MEASURES["unused"](fit(run(steps=1)))


def test_the_mean_cosine_of_pairs_leaves_out_a_row_with_itself() -> None:
    assert mean_pair_cosine(torch.tensor([[1.0, 0], [0, 2], [3, 0]])) == pytest.approx(1 / 3)


def test_centred_cosine_is_the_correlation_of_rows_around_their_mean() -> None:
    rows = torch.tensor([[3.0, 0.0], [1.0, 0.0], [2.0, 1.0], [2.0, -1.0]])
    want = torch.tensor([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1.0]])
    assert torch.allclose(centred_cosine(rows), want)


def test_a_measure_has_what_the_oracle_knows() -> None:
    assert MEASURES["test"](oracle(seq_len=20)) == {"loss": pytest.approx(0), "accuracy": 1.0}
    losses = MEASURES["offsets"](oracle(), offsets=[0, 20])["loss_by_offset"]
    assert losses == pytest.approx([0, 100])


@pytest.mark.parametrize(("position", "positions"), [("learned", 40), ("rope", 60)])
def test_a_learned_table_is_read_to_its_end_and_no_further(position: str, positions: int) -> None:
    described = run(model={"position": position, "max_seq_len": 40}, steps=1)
    scores = MEASURES["length"](fit(described), length=60)
    assert len(scores["loss_by_position"]) == len(scores["accuracy_by_position"]) == positions


class Memory(torch.nn.Module):
    """Knows by heart the windows of 32 that begin at ``first`` in each block, and nothing else."""

    def __init__(self, blocks: Tensor, vocab_size: int, first: int) -> None:
        super().__init__()
        self.guess = torch.zeros(32, vocab_size)
        self.known = {
            tuple(block[at : at + 32].tolist()): 100.0
            * torch.nn.functional.one_hot(block[at + 1 : at + 33], vocab_size)
            for block in blocks
            for at in range(first, len(block) - 32, 32)
        }

    def forward(self, ids: Tensor, *, positions: Tensor | None = None) -> Tensor:
        assert positions is None
        return torch.stack([self.known.get(tuple(row), self.guess) for row in ids.tolist()])


@pytest.mark.parametrize(("first", "known"), [(0, "loss_aligned"), (16, "loss_shifted")])
def test_windows_are_shifted_by_half_their_length(first: int, known: str) -> None:
    described = run(task="text", task_options={"size": 3000}, seq_len=32)
    data = Data(described)
    memory = Memory(data.train_blocks, data.vocab_size, first)
    trained = Trained(described, memory, [], data, 0.0)  # type: ignore[arg-type]
    scores = MEASURES["shift"](trained)
    (other,) = scores.keys() - {known}
    assert scores[known] == pytest.approx(0)
    assert scores[other] == pytest.approx(math.log(data.vocab_size), rel=0.01)


def with_table(rows: Tensor) -> Trained:
    """A model whose learned table starts with these rows, of which as many are read."""
    described = run(task_options={"k": 2, "seq_len": len(rows)})
    data = Data(described)
    model = build_model(described, data)
    table: Any = model.state_dict()["input_embedding.pos_embedding.embedding.weight"]
    table[: len(rows)] = rows
    table[len(rows) :] = 1e6
    return Trained(described, model, [], data, 0.0)


def test_a_table_that_alternates_has_a_similarity_that_alternates() -> None:
    rows = torch.ones(12, 16)
    rows[1::2] = -1
    scores = MEASURES["positions"](with_table(3 * rows + 1), lags=5)
    assert scores["cosine_by_lag"] == pytest.approx([1, -1, 1, -1, 1, -1], abs=1e-6)
    assert scores["row_norm"] == pytest.approx((16 + 8) / 2)  # entries of 4 and of -2
    assert len(MEASURES["positions"](with_table(rows))["cosine_by_lag"]) == 12
    many = torch.ones(40, 16).cumsum(0)
    assert len(MEASURES["positions"](with_table(many))["cosine_by_lag"]) == 33  # lags 0 to 32


def test_a_table_is_compared_with_sinusoids_off_the_diagonal() -> None:
    def similarities(rows: Tensor) -> list[float]:
        rows = rows - rows.mean(0)
        pairs = [(a, b) for a in range(12) for b in range(12) if a != b]
        return [torch.cosine_similarity(rows[a], rows[b], dim=0).item() for a, b in pairs]

    # Vaswani et al. 2017, 3.5: pair i turns by 10000^(-2i/d) a position.
    angles = torch.arange(12)[:, None] * 10000.0 ** (-torch.arange(0, 16, 2) / 16)
    sinusoids = torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)
    drawn = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    wanted = statistics.correlation(similarities(drawn), similarities(sinusoids))
    for rows, correlation in ((5 * sinusoids, 1.0), (drawn, wanted)):
        found = MEASURES["positions"](with_table(rows))["correlation_with_sinusoid"]
        assert found == pytest.approx(correlation, abs=1e-5)


def test_positions_of_a_scheme_without_rows_are_refused() -> None:
    described = run(model={"position": "rope"}, steps=1, measures={"positions": {}})
    with pytest.raises(ValueError, match=r"= 'rope': only a learned table has rows to look at\.$"):
        train(described)
