"""The tasks: each target is checked by a plain-Python reading of what the model would see."""

from __future__ import annotations

import doctest
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import simplellm.tasks
from simplellm.tasks import TASKS, Task, task
from simplellm.vocabulary import BOS, EOS, PAD

quick = settings(max_examples=60, deadline=None, database=None)

each_task = pytest.mark.parametrize("name", list(TASKS))
seeds = st.integers(0, 2**32)
sizes = st.integers(1, 9)


def rows(made: Task, seed: int, length: int | None = None) -> list[tuple[list[int], list[int]]]:
    """Four examples as pairs of lists."""
    batch = made.sample(4, torch.Generator().manual_seed(seed), length)
    assert batch.ids.shape == batch.targets.shape == (4, length or made.seq_len)
    return list(zip(batch.ids.tolist(), batch.targets.tolist(), strict=True))


def said(ids: list[int], targets: list[int], first: int) -> list[int]:
    """The answer that begins at index `first`, once it is clear that the model is led along it.

    Before it nothing is scored, and after a symbol was to be said, it is what is read next.
    """
    assert targets[:first] == [PAD] * first
    assert PAD not in targets[first:]
    assert ids[first + 1 :] == targets[first:-1]
    return targets[first:]


# -- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer"),
    [("copy", list), ("reverse", lambda s: s[::-1]), ("sort", sorted)],
    ids=["copy", "reverse", "sort"],
)
@quick
@given(n=sizes, symbols=sizes, seed=seeds)
def test_copy_reverse_and_sort_answer_after_the_separator(
    name: str, answer: Any, n: int, symbols: int, seed: int
) -> None:
    separator = 3 + symbols
    for ids, targets in rows(task(name, n=n, symbols=symbols), seed):
        given_symbols = ids[1 : n + 1]
        assert ids[0] == BOS
        assert all(3 <= i < separator for i in given_symbols)
        assert ids[n + 1] == separator
        assert said(ids, targets, n + 1) == answer(given_symbols)


@quick
@given(k=sizes, more=sizes, other=sizes, symbols=sizes, seed=seeds)
def test_token_back_says_the_token_k_places_before(
    k: int, more: int, other: int, symbols: int, seed: int
) -> None:
    made = task("token_back", k=k, seq_len=k + more, symbols=symbols)
    for length in (None, k + other):
        for ids, targets in rows(made, seed, length):
            assert all(3 <= i < 3 + symbols for i in ids)
            assert targets == [ids[t - k] if t >= k else PAD for t in range(len(ids))]


@quick
@given(n=sizes, symbols=sizes, queries=sizes, seed=seeds)
def test_position_lookup_says_the_symbol_at_the_position_asked_for(
    n: int, symbols: int, queries: int, seed: int
) -> None:
    first_query = 3 + symbols  # asks for position 0
    for ids, targets in rows(task("position_lookup", n=n, symbols=symbols, queries=queries), seed):
        assert all(3 <= i < 3 + symbols for i in ids[:n])
        assert targets[:n] == [PAD] * n
        for query, target in zip(ids[n:], targets[n:], strict=True):
            position = query - first_query
            assert 0 <= position < n
            assert target == ids[position]


@quick
@given(digits=st.integers(1, 17), seed=seeds)
def test_addition_says_the_digits_of_the_sum(digits: int, seed: int) -> None:
    written = {3 + d: str(d) for d in range(10)} | {13: "+", 14: "="}
    for ids, targets in rows(task("addition", digits=digits), seed):
        assert ids[0] == BOS
        total = "".join(written[i] for i in said(ids, targets, 2 * digits + 2))
        problem = "".join(written[i] for i in ids[1 : 2 * digits + 3])
        a, b = problem.removesuffix("=").split("+")
        assert len(a) == len(b) == digits
        assert total == f"{int(a) + int(b):0{digits + 1}d}"


@quick
@given(modulus=sizes, seq_len=sizes, other=st.integers(1, 40), symbols=sizes, seed=seeds)
def test_position_modulo_says_the_place_mod_m_whatever_is_read(
    modulus: int, seq_len: int, other: int, symbols: int, seed: int
) -> None:
    made = task("position_modulo", modulus=modulus, seq_len=seq_len, symbols=symbols)
    for length in (None, other):
        for ids, targets in rows(made, seed, length):
            assert all(3 <= i < 3 + symbols for i in ids)
            assert targets == [3 + t % modulus for t in range(len(ids))]


# -- what all tasks share -------------------------------------------------------------------------


@each_task
def test_ids_are_within_the_vocabulary_and_all_of_it_is_used(name: str) -> None:
    made = task(name)
    batch = made.sample(2000, torch.Generator().manual_seed(0))
    assert batch.ids.dtype == batch.targets.dtype == torch.int64
    used = set(torch.cat([batch.ids, batch.targets]).unique().tolist())
    assert used - {PAD, BOS} == set(range(3, made.vocab_size))
    assert PAD not in batch.ids
    assert {BOS, EOS}.isdisjoint(batch.targets.unique().tolist())


@each_task
def test_the_generator_decides_the_draw(name: str) -> None:
    made = task(name)
    generator = torch.Generator().manual_seed(3)
    first, second = made.sample(4, generator), made.sample(4, generator)
    again = made.sample(4, torch.Generator().manual_seed(3))
    assert torch.equal(first.ids, again.ids) and torch.equal(first.targets, again.targets)
    assert not torch.equal(first.ids, second.ids)


@each_task
def test_sampling_leaves_the_global_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    task(name).sample(4, torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)


@each_task
def test_guessing_among_the_answers_is_right_as_often_as_chance_says(name: str) -> None:
    made = task(name)
    targets = made.sample(4000, torch.Generator().manual_seed(0)).targets
    targets = targets[targets != PAD]
    answers = targets.unique()
    assert len(answers) == made.answers
    guesses = answers[torch.randint(len(answers), targets.shape, generator=torch.Generator())]
    measured = (guesses == targets).double().mean().item()
    assert measured == pytest.approx(made.chance, abs=0.01)


@pytest.mark.parametrize("name", ["copy", "reverse", "token_back", "position_lookup"])
def test_no_guess_that_knows_the_place_alone_beats_chance(name: str) -> None:
    made = task(name)
    targets = made.sample(20_000, torch.Generator().manual_seed(0)).targets
    for column in targets.T[targets[0] != PAD]:
        most = column.bincount().max().item() / len(column)
        assert most == pytest.approx(made.chance, abs=0.01)


def test_token_back_with_its_defaults_has_a_chance_of_one_in_16() -> None:
    assert task("token_back").chance == 1 / 16


@pytest.mark.parametrize("name", ["copy", "reverse", "sort"])
def test_the_copying_tasks_have_16_symbols_to_say(name: str) -> None:
    batch = task(name).sample(1, torch.Generator())
    assert (batch.targets != PAD).sum() == 16


def test_tasks_are_named_as_in_the_register() -> None:
    assert set(TASKS) == {
        *["copy", "reverse", "sort", "token_back", "position_lookup"],
        *["addition", "position_modulo"],
    }
    for name, kind in TASKS.items():
        assert task(name) == kind()
        assert task(name).name == name


def test_a_task_is_a_value() -> None:
    made = task("token_back", k=3, seq_len=12)
    assert repr(made) == "TokenBack(k=3, seq_len=12, symbols=16)"
    assert pickle.loads(pickle.dumps(made)) == made != task("token_back", k=4, seq_len=12)
    with pytest.raises(AttributeError):
        made.k = 4  # type: ignore[attr-defined]


# -- bad arguments --------------------------------------------------------------------------------


def drawn(name: str, batch: Any = 1, generator: Any = None, length: Any = None) -> Any:
    return task(name).sample(batch, generator or torch.Generator(), length)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: task("token-back"), ValueError, "one of copy, .*token_back.*got 'token-back'"),
        (lambda: task("copy", k=3), TypeError, "copy has no option 'k'; it takes n, symbols"),
        (lambda: task("copy", n=0), ValueError, "n must be at least 1, got 0"),
        (lambda: task("copy", n="16"), TypeError, "n must be an int, got '16'"),
        (lambda: task("token_back", k=0), ValueError, "k must be at least 1, got 0"),
        (lambda: task("token_back", k=32), ValueError, "seq_len must be above k = 32, got 32"),
        (lambda: task("addition", digits=18), ValueError, "digits must be at most 17, got 18"),
        (lambda: task("position_modulo", modulus=True), TypeError, "modulus must be an int"),
        (lambda: drawn("copy", batch=0), ValueError, "batch must be at least 1, got 0"),
        (lambda: drawn("copy", generator=1), TypeError, "must be a torch.Generator, got int"),
        (lambda: drawn("token_back", length=5), ValueError, "length must be above k = 5, got 5"),
        (lambda: drawn("position_modulo", length=0), ValueError, "length must be at least 1"),
        (
            lambda: drawn("copy", length=40),
            ValueError,
            r"length must be 33 in Copy\(n=16.*got 40.*token_back, position_modulo",
        ),
    ],
)
def test_a_bad_argument_is_named_with_value_and_limit(
    call: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_length_that_is_the_tasks_own_may_be_given() -> None:
    assert drawn("copy", length=33).ids.shape == (1, 33)


def test_the_examples_run() -> None:
    results = doctest.testmod(simplellm.tasks)
    assert results.attempted > 0 and results.failed == 0


def test_sizes_of_any_number_type_are_plain_numbers() -> None:
    task = TASKS["copy"](n=np.int8(100), symbols=np.uint8(200))
    assert task == TASKS["copy"](n=100, symbols=200) and type(task.symbols) is int
    assert (task.seq_len, task.vocab_size) == (TASKS["copy"](n=100).seq_len, 204)
