"""Generation says what is wrong with a prompt, and leaves the model as it was."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from simplellm.generation import check_sampling, choose
from simplellm.vocabulary import BOS, EOS, PAD
from tests.small_models import model, prompt


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (
            torch.tensor([[5, 6, PAD]]),
            ValueError,
            r"no PAD = 0 without attention_mask.*ids\[0, 2\]",
        ),
        (
            torch.tensor([[5, 6], [PAD, 6]]),
            ValueError,
            r"ids\[1, 0\].* where it is: attention_mask=ids != 0\.$",
        ),
        ("once upon", TypeError, "ids must be a tensor .* got str. Encode the text first"),
        (["once", "upon"], TypeError, "ids must be a tensor .* got list. Encode the text first"),
        ([[5, 6]], TypeError, r"got list. Wrap them: torch.tensor\(ids\)"),
        ([5, 6], TypeError, r"got list. Wrap them: torch.tensor\(\[ids\]\)"),
        (torch.tensor([5, 6]), ValueError, r"got \(2,\).*ids.unsqueeze\(0\)"),
        ([], TypeError, "ids must be a tensor"),
        (
            torch.zeros(2, 0).long(),
            ValueError,
            r"at least one token .* got shape \(2, 0\)\. Begin with BOS to .* from nothing\.$",
        ),
    ],
)
@pytest.mark.parametrize("new", [0, 3])
def test_a_prompt_that_nothing_can_follow_is_refused(
    ids: Any, error: type[Exception], message: str, new: int
) -> None:
    with pytest.raises(error, match=message):
        model().generate(ids, new)


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (
            {"generator": 0},
            TypeError,
            r"Generator, got int\. Make one: torch\.Generator\(\)\.manual_seed\(0\)\.$",
        ),
        ({"generator": np.random.default_rng()}, TypeError, "got Generator. Make one"),
        ({"temperature": True}, TypeError, "temperature must be a number, got True of type bool"),
        ({"temperature": "1"}, TypeError, "temperature must be a number, got '1' of type str"),
        ({"temperature": np.float32(-1)}, ValueError, "temperature must be .* got -1.0"),
        ({"temperature": float("nan")}, ValueError, "temperature must be finite .* got nan"),
        ({"temperature": float("inf")}, ValueError, "temperature must be finite .* got inf"),
        ({"top_k": np.int64(0)}, ValueError, "^top_k must be at least 1, got 0"),
        ({"eos_id": np.int64(40)}, ValueError, "eos_id must be .* got 40"),
        ({"eos_id": 1.5}, TypeError, "^eos_id must be an int, got 1.5"),
        ({"max_new_tokens": True}, TypeError, "max_new_tokens must be an int, got True"),
    ],
)
def test_a_request_that_cannot_be_is_refused(
    request_: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model().generate(prompt(1, 3), **{"max_new_tokens": 2, **request_})


def test_numbers_of_any_library_are_taken() -> None:
    def say(*numbers: Any) -> list[list[int]]:
        new, temperature, top_k, eos = numbers
        generator = torch.Generator().manual_seed(0)
        options = {"temperature": temperature, "top_k": top_k, "eos_id": eos}
        drawn = model().generate(prompt(2, 3), new, generator=generator, **options)
        return drawn.tolist()  # type: ignore[no-any-return]

    want = say(5, 1.5, 4, 2)
    assert say(np.int8(5), np.float32(1.5), np.int64(4), np.uint8(2)) == want
    assert say(torch.tensor(5), Decimal("1.5"), torch.tensor(4), torch.tensor(2)) == want


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [5e-324, 1e-46, 1e-30, 1e-3])
def test_a_tiny_temperature_draws_the_likeliest(dtype: torch.dtype, temperature: float) -> None:
    logits = torch.tensor([[-torch.inf, 90.0, 88.0, -90.0], [-torch.inf, -7.0, -9.0, -5.0]])
    assert choose(logits.to(dtype), temperature, None, None).tolist() == [[1], [3]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_huge_temperature_draws_all_alike_but_what_is_never_chosen(dtype: torch.dtype) -> None:
    # A difference that float16 cannot hold.
    logits = torch.tensor([[-torch.inf, 4e4, -4e4]]).to(dtype).expand(400, -1)
    drawn = (
        choose(logits, 1e308, None, torch.Generator().manual_seed(0))
        .flatten()
        .bincount(minlength=3)
    )
    assert drawn[0] == 0 and (drawn[1:] > 150).all()


def test_a_cold_draw_tells_doubles_apart_as_far_as_doubles_go() -> None:
    logits = torch.tensor([[1.0, 1.0 + 1e-12]], dtype=torch.float64).expand(50, -1)
    assert choose(logits, 1e-15, None, None).eq(1).all()


def test_few_rows_draw_from_the_likeliest_too() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    assert {int(choose(logits, 1e3, 1, None)) for _ in range(30)} == {3}
    assert {int(choose(logits, 1e3, 2, None)) for _ in range(60)} == {2, 3}


def test_a_generator_of_another_device_is_refused_with_the_way_out() -> None:
    message = r"on the device of ids, meta, got cpu\. Make one there: torch\.Generator\('meta'\)"
    with pytest.raises(ValueError, match=message):
        check_sampling(1.0, None, None, torch.Generator(), 40, torch.device("meta"))


def test_nothing_asked_and_no_rows_are_answered_with_as_much() -> None:
    ids = prompt(2, 4)
    assert torch.equal(model().generate(ids, 0), ids)
    for mask in (None, torch.ones(0, 4).bool()):
        assert model().generate(ids[:0], 3, attention_mask=mask).shape == (0, 7)
    # No row needs a position: the table of 16 is long enough for any number.
    mask = torch.ones(0, 4).bool()
    assert model("learned").generate(ids[:0], 17, attention_mask=mask).shape == (0, 21)


def test_a_prompt_longer_than_a_learned_table_is_said_before_anything_is_read() -> None:
    message = r"17 prompt tokens .* need 17 .* = 16: a learned table .* its end\. Ask .* scheme\.$"
    with pytest.raises(ValueError, match=message):
        model("learned").generate(prompt(1, 17), 1)
    assert model("rope").generate(prompt(1, 17), 1).shape == (1, 18)


def test_tables_that_have_grown_count_with_what_they_hold() -> None:
    module = model("learned")
    layer = module.input_embedding
    layer.pos_embedding.embedding.weight = nn.Parameter(torch.randn(24, 32).double())
    layer.token_embedding.embedding.weight = nn.Parameter(torch.randn(50, 32).double())
    assert module.generate(prompt(1, 17) + 8, 8, eos_id=49).shape[0] == 1
    with pytest.raises(ValueError, match="need 25 positions, more than max_seq_len = 24"):
        module.generate(prompt(1, 17), 9)


@pytest.mark.parametrize("fails", [False, True])
def test_each_part_keeps_the_mode_it_was_in(fails: bool) -> None:
    module = model(dropout=0.5).train()
    module.blocks[0].eval()  # frozen, while the rest trains
    before = {name: part.training for name, part in module.named_modules()}
    if fails:
        with pytest.raises(IndexError, match="got 99"):
            module.generate(torch.tensor([[BOS, 99]]), 2)
    else:
        module.generate(prompt(1, 3), 2, eos_id=EOS)
    assert {name: part.training for name, part in module.named_modules()} == before
    assert before["blocks.1"] and not before["blocks.0.dropout"]
