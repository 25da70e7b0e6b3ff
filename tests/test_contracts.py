"""The cases of the contract pages, held to what they promise: the pages show the same ones."""

from __future__ import annotations

import dataclasses
import re
from itertools import product
from typing import Any

import pytest
import torch

from _ext import book_contracts
from _ext.contracts import CONTRACTS
from _ext.contracts.abilities import CACHE, PADDED
from _ext.contracts.cases import (
    CLOSE,
    FLOATS,
    NAMES,
    SAME,
    Ability,
    Contract,
    Refusal,
    make,
    refuse,
)
from simplellm import (
    InputEmbedding,
    LearnedPositionalEmbedding,
    PositionalEncoding,
    SimpleLLM,
    SimpleLLMConfig,
)

every_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=str)
WITH_IDS = {"TokenEmbedding": 64, "InputEmbedding": 64, "SimpleLLM": 259}  # to what width

REFUSALS = [
    pytest.param(contract, case, small, id=f"{kind}{case}")
    for contract in CONTRACTS.values()
    for kind, small in {"": contract.small, **contract.small_variants}.items()
    for case in (
        *([] if kind else [*contract.arguments, *contract.loading, *contract.losses]),
        *contract.inputs,
        *contract.generation,
        *contract.caching,
    )
]
ABILITIES = [
    pytest.param(contract, made, case, id=f"{contract}-{kind}{case}")
    for contract in CONTRACTS.values()
    for kind, made in {"": contract.made, **contract.variants}.items()
    for case in contract.abilities
]


# ---- each case


@pytest.mark.parametrize(("contract", "case", "small"), REFUSALS)
def test_a_bad_call_is_refused_with_argument_value_and_limit(
    contract: Contract, case: Refusal, small: str
) -> None:
    message = case.message(**{contract.instance: make(small)})
    argument, *others = case.words
    assert re.search(rf"(?<!\w){re.escape(argument)}(?!\w)", message)  # its name, whole
    for word in others:
        assert word in message


@pytest.mark.filterwarnings("ignore")  # torch.compile's and torch.export's own
@pytest.mark.parametrize(("contract", "made", "case"), ABILITIES)
def test_what_the_page_says_works_gives_the_same_numbers(
    contract: Contract, made: str, case: Ability
) -> None:
    assert case.run(make(made).eval(), make(contract.sample)) == case.outcome


def test_a_learned_layer_refuses_input_with_the_words_of_the_sinusoidal_one() -> None:
    contract = CONTRACTS["InputEmbedding"]
    layers = [make(contract.small), make(contract.small_variants["learned"])]
    assert isinstance(layers[1].pos_embedding, LearnedPositionalEmbedding)
    for case in contract.inputs:
        assert case.message(layer=layers[0]) == case.message(layer=layers[1])


def test_every_argument_of_a_constructor_is_refused_once_at_least() -> None:
    # `device` is torch's to judge.
    for contract in CONTRACTS.values():
        words = {word for case in contract.arguments for word in case.words[:1]}
        names = set(NAMES[contract.name].__init__.__annotations__) - {"return"}
        assert names - {"device"} <= words | {"scale"}, contract.name


def test_every_field_of_the_models_configuration_is_refused_once_at_least() -> None:
    words = {case.words[0] for case in CONTRACTS["SimpleLLM"].arguments}
    assert {field.name for field in dataclasses.fields(SimpleLLMConfig)} <= words


# ---- each table of a page, against what follows from the contract


@every_contract
def test_the_table_of_shapes_is_what_the_contract_says(contract: Contract) -> None:
    rows = {shape: result for shape, result in book_contracts.shapes(contract)}
    assert list(rows) == list(contract.shapes)
    for text, result in rows.items():
        shape = eval(text)
        if contract.name in WITH_IDS:
            right = len(shape) == 2
            wanted = str((*shape, WITH_IDS[contract.name]))
        else:
            right = len(shape) == 3 and shape[2] == 64
            if contract.name == "LearnedPositionalEmbedding" and right:
                right = shape[1] <= 128
            wanted = text
        assert result == (wanted if right else "ValueError")
    assert "ValueError" in rows.values() and len(set(rows.values())) > 3


@every_contract
def test_the_table_of_dtypes_is_what_the_contract_says(contract: Contract) -> None:
    rows = book_contracts.dtypes(contract)
    names = [str(dtype).removeprefix("torch.") for dtype in FLOATS]
    if contract.name == "SimpleLLM":  # its matrix products are what autocast is for
        under = ["float64", "bfloat16", "bfloat16", "RuntimeError"]
    else:
        under = names
    assert rows == [[name, name, low] for name, low in zip(names, under, strict=True)]


def test_the_table_of_accuracy_is_half_a_step_of_each_dtype() -> None:
    rows = dict(book_contracts.precision(CONTRACTS["PositionalEncoding"]))
    for dtype in FLOATS:
        # Below 1 the numbers of a dtype are eps / 2 apart; a float64 table holds float32 numbers.
        step = torch.finfo(torch.float32 if dtype == torch.float64 else dtype).eps / 2
        name = str(dtype).removeprefix("torch.")
        assert step / 4 < float(rows[name]) <= step / 2 * 1.05


def test_the_tables_of_checkpoint_entries_are_the_interface() -> None:
    tokens = ["token_embedding.embedding.weight", "(256, 64)", "parameter"]
    layer = CONTRACTS["InputEmbedding"]
    assert book_contracts.state(CONTRACTS["TokenEmbedding"]) == [
        ["embedding.weight", "(256, 64)", "parameter"]
    ]
    assert book_contracts.state(CONTRACTS["PositionalEncoding"]) == [
        ["pe", "(1, 128, 64)", "buffer"]
    ]
    assert book_contracts.state(CONTRACTS["LearnedPositionalEmbedding"]) == [
        ["embedding.weight", "(128, 64)", "parameter"]
    ]
    assert book_contracts.state(layer) == [
        tokens,
        ["pos_embedding.pe", "(1, 128, 64)", "buffer"],
    ]
    assert book_contracts.state(layer, "learned") == [
        tokens,
        ["pos_embedding.embedding.weight", "(128, 64)", "parameter"],
    ]


def test_the_tables_of_a_models_entries_are_the_interface() -> None:
    contract = CONTRACTS["SimpleLLM"]
    entries = {name: shape for name, shape, _ in book_contracts.state(contract)}
    linear = {
        **{f"attention.{part}": (64, 64) for part in ("query", "key", "value", "output")},
        **{"widen": (256, 64), "narrow": (64, 256)},
    }
    wanted = {
        "input_embedding.token_embedding.embedding.weight": "(259, 64)",
        "input_embedding.pos_embedding.pe": "(1, 128, 64)",
        **{f"blocks.0.{name}.weight": str(shape) for name, shape in linear.items()},
        **{f"blocks.0.{name}.bias": str(shape[:1]) for name, shape in linear.items()},
        **{
            f"{norm}.{part}": "(64,)"
            for norm in ("blocks.0.attention_norm", "blocks.0.mlp_norm", "norm")
            for part in ("weight", "bias")
        },
    }
    assert entries == wanted
    kinds = [kind for _, _, kind in book_contracts.state(contract)]
    assert kinds.count("buffer") == 1 and kinds[1] == "buffer"
    added = {how: book_contracts.added(contract, how) for how in contract.variants}
    assert added == {
        "learned": [["input_embedding.pos_embedding.embedding.weight", "(128, 64)", "parameter"]],
        "t5": [["position_bias.embedding.weight", "(32, 4)", "parameter"]],
        "untied": [["output.weight", "(259, 64)", "parameter"]],
        **{how: [] for how in ("rope", "alibi", "partly rotary", "none")},
    }


def test_the_table_of_trained_numbers_counts_a_tied_table_once() -> None:
    contract = CONTRACTS["SimpleLLM"]
    table = book_contracts.parameters(contract)
    found = {call: int(count.replace(",", "")) for call, count in table}
    # Token table; two norms, four square projections and the wide pair; the last norm.
    tied = 259 * 64 + 2 * 128 + 4 * (64 * 64 + 64) + (64 * 256 + 256) + (256 * 64 + 64) + 128
    more = {"learned": 128 * 64, "t5": 32 * 4, "untied": 259 * 64}
    assert found.pop(contract.made) == tied
    assert found == {call: tied + more.get(how, 0) for how, call in contract.variants.items()}


@every_contract
def test_the_tables_are_the_same_each_time(contract: Contract) -> None:
    for part in (book_contracts.shapes, book_contracts.dtypes, book_contracts.works):
        assert part(contract) == part(contract)
    for group in ("arguments", "inputs", "generation", "caching", "losses", "loading"):
        assert book_contracts.refusals(contract, group) == book_contracts.refusals(contract, group)


# ---- the checks themselves


def test_a_call_that_raises_nothing_or_something_else_is_no_refusal() -> None:
    with pytest.raises(AssertionError, match="raises nothing"):
        refuse("TokenEmbedding(10, 4)", ValueError).message()
    with pytest.raises(AssertionError, match="TypeError"):
        refuse("TokenEmbedding(10, '4')", ValueError).message()


class Off(PositionalEncoding):
    """Right in shape, wrong by one position past the first chunk."""

    def forward(self, x: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        kwargs["start"] = 0
        return super().forward(x, **kwargs)


def test_a_module_that_breaks_a_promise_is_seen() -> None:
    contract = CONTRACTS["PositionalEncoding"]
    found = {
        case.label: case.run(Off(64, 128), make(contract.sample))
        for case in contract.abilities
        if not case.slow
    }
    broken = [label for label, result in found.items() if result != SAME]
    assert len(broken) == 2 and all("start" in label for label in broken)


class Forgetful(SimpleLLM):
    """Right in shape, deaf to the mask and without memory."""

    def forward(self, ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return super().forward(ids)


@pytest.mark.parametrize("case", [CACHE, PADDED], ids=str)
def test_a_model_without_memory_or_mask_is_seen(case: Ability) -> None:
    contract = CONTRACTS["SimpleLLM"]
    right, ids = make(contract.made).eval(), make(contract.sample)
    wrong = Forgetful(right.config).eval()
    wrong.load_state_dict(right.state_dict())
    assert case.run(right, ids) == CLOSE
    assert case.run(wrong, ids) != CLOSE


def test_variants_are_of_the_class_of_their_contract() -> None:
    for contract, size in product(CONTRACTS.values(), ("made", "small")):
        made = make(getattr(contract, size))
        assert type(made).__name__ == contract.name
    assert isinstance(make(CONTRACTS["InputEmbedding"].made), InputEmbedding)
