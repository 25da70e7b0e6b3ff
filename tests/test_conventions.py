"""Conventions of sinusoidal positions: said, computed, and read off a table again."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from simplellm import Convention, PositionalEncoding, identify, sinusoidal_encoding
from simplellm.conventions import CONVENTIONS

every_named = pytest.mark.parametrize("name", CONVENTIONS)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def by_hand(says: Convention, length: int, d: int) -> Tensor:
    """The same rows number by number, sharing nothing with the package; even widths."""
    rows = []
    for place in range(length):
        p = place + says.first
        stretch = d / length if says.fastest == "d/length" else float(says.fastest)

        def angle(column: int, p: int = p, stretch: float = stretch) -> float:
            pair = column // 2
            exponent = {
                "2i/d": 2 * pair / d,
                "4i/d": 4 * pair / d,
                "i/(d/2-1)": pair / (d / 2 - 1),
                "j/d": column / d,
                "2j/d": 2 * column / d,
            }[says.exponents]
            return stretch * p / says.base**exponent

        if says.columns == "summed":
            rows.append([math.sin(angle(j)) + math.cos(angle(j)) for j in range(d)])
            continue
        sines = [math.sin(angle(j)) for j in range(0, d, 2)]
        cosines = [math.cos(angle(j)) for j in range(1, d, 2)]
        one, two = (cosines, sines) if says.cosines_first else (sines, cosines)
        halves = says.columns == "halves"
        rows.append(
            one + two if halves else [v for both in zip(one, two, strict=True) for v in both]
        )
    table = torch.tensor(rows, dtype=torch.float64)
    if says.normalised:
        table = (table - table.mean()) / (10 * table.std())
    size = {"d^-0.5": d**-0.5, "(2/d)^0.5": math.sqrt(2 / d)}.get(says.amplitude, says.amplitude)
    return size * table


@every_named
def test_rows_are_those_computed_number_by_number(name: str) -> None:
    says = CONVENTIONS[name]
    rows = says.table(40, 16, dtype=torch.float64)
    # multiplied positions make angles of 10 ** 6, of which float64 keeps fewer digits
    assert torch.allclose(
        rows, by_hand(says, 40, 16), atol=1e-8 if says.base < 1 else 1e-12, rtol=0
    )


@pytest.mark.parametrize("d_model", [2, 6, 64, 512])
@pytest.mark.parametrize("base", [500.0, 10_000.0])
def test_the_papers_rows_are_the_packages_own_to_the_last_bit(d_model: int, base: float) -> None:
    rows = Convention(base=base).table(300, d_model, dtype=torch.float64)
    assert torch.equal(rows, sinusoidal_encoding(torch.arange(300), d_model, base))
    module = PositionalEncoding(d_model, 300, base=base)
    assert torch.equal(module.pe[0], rows.float())
    assert list(module.state_dict()) == ["pe"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_table_is_rounded_once(dtype: torch.dtype) -> None:
    says = Convention.named("fairseq")
    assert torch.equal(
        says.table(50, 8, dtype=dtype), says.table(50, 8, dtype=torch.float64).to(dtype)
    )


@every_named
def test_a_layer_built_by_name_adds_the_rows_of_its_convention(name: str) -> None:
    module = PositionalEncoding(8, 20, convention=name)
    assert torch.equal(module.pe[0], CONVENTIONS[name].table(20, 8))
    again = PositionalEncoding(8, 20, convention=CONVENTIONS[name])
    again.load_state_dict(module.state_dict())
    if name != "paper":
        assert (
            repr(module)
            == f"PositionalEncoding(d_model=8, max_seq_len=20, convention={module.convention.code})"
            or (module.convention.code.startswith("Convention(base="))
        )


@every_named
def test_the_code_of_a_convention_makes_it(name: str) -> None:
    assert eval(CONVENTIONS[name].code) == CONVENTIONS[name]


def test_past_the_table_and_at_given_positions_the_convention_goes_on() -> None:
    module, x = PositionalEncoding(8, 5, convention="m2m100"), torch.zeros(1, 12, 8)
    rows = CONVENTIONS["m2m100"].table(12, 8)
    assert torch.equal(module(x)[0], rows)
    assert torch.equal(module(x[:, :3], start=7)[0], rows[7:10])
    assert torch.equal(module(x[:, :2], positions=torch.tensor([11, 0]))[0], rows[[11, 0]])


def test_a_foreign_table_is_refused_with_the_name_of_its_convention_and_then_loads() -> None:
    saved = {"pe": CONVENTIONS["whisper"].table(40, 16)[None]}
    with pytest.raises(RuntimeError) as caught:
        PositionalEncoding(16, 40).load_state_dict(saved)
    message = str(caught.value)
    assert "(as in tensor2tensor, whisper). Build the module with convention=" in message
    code = message.split("with convention=")[1].split(". To load")[0]
    PositionalEncoding(16, 40, convention=eval(code)).load_state_dict(saved)


def test_a_padding_row_in_a_checkpoint_is_named_and_cut_as_the_message_says() -> None:
    table = replace(CONVENTIONS["m2m100"], first=0).table(42, 16)
    table[1] = 0
    state_dict, key = {"pe": table[None]}, "pe"
    with pytest.raises(RuntimeError) as caught:
        PositionalEncoding(16, 40).load_state_dict(state_dict)
    message = str(caught.value)
    assert "Row 1 of it is zero, for padding" in message
    exec(message.split("rows before: ")[1].split(". To load")[0], None, locals())
    PositionalEncoding(16, 40, convention="m2m100").load_state_dict(state_dict)


# ---- what cannot be said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"columns": "thirds"}, "columns = 'thirds' must be one of 'interleaved'"),
        ({"exponents": "i/d"}, "exponents = 'i/d' must be one of '2i/d'"),
        ({"amplitude": "d"}, "amplitude = 'd' must be a number or one of 'd^-0.5'"),
        ({"base": 0}, "base must be"),
        ({"columns": "summed"}, "exponents must be one of"),
        ({"columns": "summed", "exponents": "j/d", "cosines_first": True}, "leave it out"),
    ],
)
def test_a_convention_that_there_is_not_is_refused(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Convention(**arguments)
    assert words in str(caught.value)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"convention = 'bert' is no known name.*paper, tensor2"):
        PositionalEncoding(8, 8, convention="bert")
    with pytest.raises(TypeError, match="convention must be a Convention or the name of one"):
        PositionalEncoding(8, 8, convention=3)


@pytest.mark.parametrize("given", [{"base": 500.0}, {"amplitude": 2.0}])
def test_a_number_beside_a_convention_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is given beside convention"):
        PositionalEncoding(8, 8, convention="fairseq", **given)


@pytest.mark.parametrize("name", ["tape", "patchtst"])
def test_a_row_that_depends_on_the_length_asks_for_it(name: str) -> None:
    with pytest.raises(ValueError, match="length must be given where"):
        CONVENTIONS[name].rows([0, 1], 8)


def test_odd_widths_end_as_libraries_end_them_or_are_refused() -> None:
    paper = Convention().table(9, 7, dtype=torch.float64)
    assert torch.allclose(paper[:, 6], torch.arange(9).double().mul(1e4 ** (-6 / 7)).sin())
    padded = CONVENTIONS["fairseq"].table(9, 7)
    assert torch.equal(padded[:, :6], CONVENTIONS["fairseq"].table(9, 6))
    assert not padded[:, 6].any()
    with pytest.raises(ValueError, match="d_model must be even for this convention, got 7"):
        Convention(exponents="i/(d/2-1)").table(9, 7)


# ---- which one is it?


@every_named
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_convention_is_known_again(name: str, dtype: torch.dtype) -> None:
    found = identify(CONVENTIONS[name].table(200, 64, dtype=dtype))
    assert found.convention == CONVENTIONS[name]
    assert found.difference <= torch.finfo(dtype).eps and found.why == ""


def test_a_table_that_was_rounded_and_cast_back_is_known_again() -> None:
    assert identify(Convention().table(90, 64).half().float()).convention == Convention()


def test_a_slice_says_where_it_begins() -> None:
    found = identify(CONVENTIONS["tensor2tensor"].table(140, 64)[100:])
    assert found.convention == replace(CONVENTIONS["tensor2tensor"], first=100)


@pytest.mark.parametrize("padding", [0, 1])
def test_a_row_of_zeros_is_padding_and_tokens_begin_after_it(padding: int) -> None:
    table = CONVENTIONS["tensor2tensor"].table(80, 64)
    table[padding] = 0
    found = identify(table)
    assert (found.first_row, found.zero_rows) == (padding + 1, (padding,))
    assert found.convention == replace(CONVENTIONS["tensor2tensor"], first=padding + 1)


def test_odd_widths_are_known_again() -> None:
    for says in (Convention(), CONVENTIONS["fairseq"], CONVENTIONS["marian"]):
        assert identify(says.table(60, 33)).convention == says


def test_any_base_and_size_is_read_off() -> None:
    for says in (Convention(base=37.0), Convention(base=1230.0, first=7, amplitude=0.3)):
        assert identify(says.table(128, 64)).convention == says


@pytest.mark.parametrize("seed", range(5))
def test_a_random_table_follows_none_and_the_reason_is_said(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    found = identify(torch.randn(64, 32, generator=generator))
    assert found.convention is None and not found.candidates
    assert "learned or random" in repr(found)


def test_trained_sinusoids_are_unknown_and_the_nearest_is_named() -> None:
    table = Convention().table(64, 32)
    found = identify(table + 0.01 * torch.randn(64, 32, generator=torch.Generator().manual_seed(0)))
    assert found.convention is None and 0.005 < found.difference < 0.1
    assert "the nearest convention is interleaved, base 10000" in found.why


@pytest.mark.parametrize("table", [Convention().table(1, 64), Convention().table(50, 2)])
def test_too_few_rows_or_columns_list_the_candidates(table: Tensor) -> None:
    found = identify(table)
    assert found.convention is None and len(found.candidates) > 1
    assert Convention() in found.candidates and "undecided" in repr(found)


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        ([[0.0, 1.0]], TypeError, "table must be a tensor, got a list"),
        (torch.zeros(4, 4, dtype=torch.int64), TypeError, "floating point, got torch.int64"),
        (torch.zeros(2, 3, 4), ValueError, "got (2, 3, 4)"),
        (torch.zeros(4), ValueError, "got (4,)"),
        (torch.tensor([[0.0, 1.0], [math.nan, 1.0]]), ValueError, "got nan in row 1, column 0"),
        (torch.empty(4, 4, device="meta"), ValueError, "meta device"),
    ],
)
def test_what_is_no_table_is_refused(table: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        identify(table)
    assert words in str(caught.value)


def test_zeros_alone_are_said_to_be_zeros() -> None:
    assert identify(torch.zeros(5, 4)).why == "all its rows are zero"


def test_a_table_with_its_positions_in_the_columns_is_told_to_turn() -> None:
    found = identify(Convention.named("marian").table(300, 64).T)
    assert found.convention is None and found.difference < 1e-6
    assert found.why == (
        "its positions are in the columns: they follow halves, base 10000. Turn it with table.T"
    )
