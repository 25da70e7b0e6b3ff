"""The cases of the contract pages, held to what they promise: the pages show the same ones."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from _ext import book_contracts
from _ext.contract_cases import (
    CONTRACTS,
    FLOATS,
    NAMES,
    SAME,
    Ability,
    Contract,
    Refusal,
    make,
    refuse,
)
from simplellm import InputEmbedding, LearnedPositionalEmbedding, PositionalEncoding

every_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=str)
WITH_IDS = ("TokenEmbedding", "InputEmbedding")

REFUSALS = [
    pytest.param(contract, case, small, id=f"{kind}{case}")
    for contract in CONTRACTS.values()
    for kind, small in {"": contract.small, **contract.small_variants}.items()
    for case in (
        *([] if kind else [*contract.arguments, *contract.loading]),
        *contract.inputs,
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
    for word in case.words:
        assert word in message


@pytest.mark.filterwarnings("ignore")  # torch.compile's and torch.export's own
@pytest.mark.parametrize(("contract", "made", "case"), ABILITIES)
def test_what_the_page_says_works_gives_the_same_numbers(
    contract: Contract, made: str, case: Ability
) -> None:
    assert case.run(make(made).eval(), make(contract.sample)) == SAME


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


# ---- each table of a page, against what follows from the contract


@every_contract
def test_the_table_of_shapes_is_what_the_contract_says(contract: Contract) -> None:
    rows = {shape: result for shape, result in book_contracts.shapes(contract)}
    assert list(rows) == list(contract.shapes)
    for text, result in rows.items():
        shape = eval(text)
        if contract.name in WITH_IDS:
            right = len(shape) == 2
            wanted = str((*shape, 64))
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
    assert rows == [[name, name, name] for name in names]


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


@every_contract
def test_the_tables_are_the_same_each_time(contract: Contract) -> None:
    for part in (book_contracts.shapes, book_contracts.dtypes, book_contracts.works):
        assert part(contract) == part(contract)
    for group in ("arguments", "inputs", "loading"):
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


def test_variants_are_of_the_class_of_their_contract() -> None:
    for contract, size in product(CONTRACTS.values(), ("made", "small")):
        made = make(getattr(contract, size))
        assert type(made).__name__ == contract.name
    assert isinstance(make(CONTRACTS["InputEmbedding"].made), InputEmbedding)
