"""Conventions of sinusoidal positions: said, computed, and read off a table again."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from simplellm import Convention, PositionalEncoding, identify, sinusoidal_encoding
from simplellm.conventions import CONVENTIONS
from simplellm.identify import Identification, Match, allowed, digits_of, rounding_of

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


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (Convention(), "interleaved, base 10000"),
        (Convention("halves", cosines_first=True), "halves, cosines first, base 10000"),
        (Convention("summed", "j/d"), "sine and cosine summed, exponents j/d, base 10000"),
        (
            Convention(base=1e-3, first=-2),
            "interleaved, base 0.001 (positions times 1000 ** exponent), first position -2",
        ),
        (Convention(base=1.0), "interleaved, base 1"),
        (Convention(fastest="d/length"), "interleaved, base 10000, angles times d/length"),
        (Convention(fastest=math.tau), "interleaved, base 10000, angles times 2π"),
        (
            Convention(fastest=0.5, normalised=True),
            "interleaved, base 10000, angles times 0.5, normalised over its length",
        ),
        (Convention(amplitude=0.25), "interleaved, base 10000, amplitude 0.25"),
        (Convention(amplitude="d^-0.5"), "interleaved, base 10000, amplitude d^-0.5"),
    ],
)
def test_a_convention_prints_what_is_said_of_it(says: Convention, words: str) -> None:
    assert repr(says) == words


def test_rates_are_radians_per_position_of_sines_and_cosines() -> None:
    for says, sines, cosines in (
        (Convention(base=16.0), [1, 1 / 4], [1, 1 / 4]),
        (Convention(base=16.0, exponents="i/(d/2-1)"), [1, 1 / 16], [1, 1 / 16]),
        (Convention(base=16.0, exponents="4i/d"), [1, 1 / 16], [1, 1 / 16]),
        (Convention(base=16.0, exponents="j/d"), [1, 1 / 4], [1 / 2, 1 / 8]),
        (Convention(base=16.0, exponents="2j/d"), [1, 1 / 16], [1 / 4, 1 / 64]),
        (Convention(base=16.0, fastest=3.0), [3, 3 / 4], [3, 3 / 4]),
        (
            Convention("summed", "j/d", base=16.0),
            [1, 1 / 2, 1 / 4, 1 / 8],
            [1, 1 / 2, 1 / 4, 1 / 8],
        ),
    ):
        found = says.rates(4)
        assert [rates.tolist() for rates in found] == [
            pytest.approx(sines),
            pytest.approx(cosines),
        ]
        assert {rates.dtype for rates in found} == {torch.float64}
    sines, cosines = Convention(fastest="d/length").rates(4, 8)
    assert sines.tolist() == cosines.tolist() == [0.5, 0.005]
    sines, cosines = Convention(base=27.0).rates(3)  # a sine more than cosines
    assert sines.tolist() == pytest.approx([1, 1 / 9]) and cosines.tolist() == [1]
    assert len(CONVENTIONS["fairseq"].rates(7)[1]) == 3  # the last of seven columns is zero
    assert Convention(exponents="i/(d/2-1)").rates(2)[0].tolist() == [1]


def test_a_width_of_one_is_refused() -> None:
    for says in (Convention(), Convention(exponents="i/(d/2-1)"), CONVENTIONS["fairseq"]):
        with pytest.raises(ValueError, match=r"got 1: no library says .* holds\. Use 2\."):
            says.rates(1)
    with pytest.raises(ValueError, match=r"got 5: no library says .* holds\. Use 4 or 6\."):
        Convention(cosines_first=True).rows(0, 5)


@pytest.mark.parametrize(
    ("says", "pads"),
    [
        (Convention(), False),
        (Convention("halves"), False),
        (Convention("halves", cosines_first=True), True),
        (Convention("halves", "i/(d/2-1)", cosines_first=True), True),
        (Convention("halves", exponents="2j/d"), False),
        (Convention("summed", "j/d"), False),
    ],
)
def test_an_odd_width_ends_with_a_sine_or_with_zeros(says: Convention, pads: bool) -> None:
    table = says.table(9, 7)
    assert table.shape == (9, 7)
    assert bool((table[:, 6] == 0).all()) == pads
    if pads:
        assert torch.equal(table[:, :6], says.table(9, 6))


def test_rows_have_the_shape_of_the_positions_and_their_place_in_float64() -> None:
    says = CONVENTIONS["musicgen"]
    grid = torch.tensor([[0, 5, 2], [1, 1, 7]])
    rows = says.rows(grid, 6)
    assert rows.shape == (2, 3, 6) and rows.dtype == torch.float64
    assert torch.equal(rows, says.table(8, 6, dtype=torch.float64)[grid])
    assert torch.equal(says.rows([0.5, 3], 6)[1], says.rows(3, 6))
    exact = 123_456.7  # float32 has no such number
    assert says.rows(exact, 6)[3].item() == pytest.approx(math.sin(exact), abs=1e-9)


def test_a_factor_is_a_number_for_each_width() -> None:
    sizes = {0.3: 0.3, "d^-0.5": 0.25, "(2/d)^0.5": math.sqrt(1 / 8)}
    for amplitude, factor in sizes.items():
        assert Convention(amplitude=amplitude).factor(16) == pytest.approx(factor)


def test_a_convention_needs_a_length_where_rows_depend_on_it() -> None:
    needing = {name for name, says in CONVENTIONS.items() if says.needs_length}
    assert needing == {"tape", "patchtst"}
    for says, what in (
        (Convention(normalised=True), "normalised = True"),
        (Convention(fastest="d/length"), "fastest = 'd/length'"),
    ):
        with pytest.raises(ValueError, match=f"length must be given where {what}: each row"):
            says.rows(0, 4)
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        Convention(normalised=True).rows(0, 4, 0)
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        Convention().table(0, 4)


def test_names_are_those_of_the_same_convention() -> None:
    assert CONVENTIONS["whisper"].names == ("tensor2tensor", "whisper")
    assert Convention(base=9.0).names == ()
    assert Convention(first=3, amplitude="d^-0.5").code == "Convention(first=3, amplitude='d^-0.5')"
    assert Convention().code == "Convention()"


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
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match="is given beside convention") as caught:
        PositionalEncoding(8, 8, convention="whisper", **given)
    own = "Convention(columns='halves', exponents='i/(d/2-1)')"
    assert str(caught.value) == (
        f"{name} = {value:g} is given beside convention = {own}, which has a {name} of its own: "
        f"say it there, Convention(…, {name}={value:g})."
    )


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


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"first": 1.5}, TypeError, "first must be"),
        ({"amplitude": 0}, ValueError, "amplitude must be"),
        ({"fastest": -1}, ValueError, "fastest must be"),
        ({"fastest": "d"}, ValueError, "fastest = 'd' must be a number or one of 'd/length'."),
        (
            {"columns": 3},
            ValueError,
            "columns = 3 must be one of 'interleaved', 'halves', 'summed'.",
        ),
        ({"cosines_first": 1}, TypeError, "cosines_first must be"),
        ({"normalised": "no"}, TypeError, "normalised must be"),
        (
            {"columns": "summed"},
            ValueError,
            "exponents = '2i/d' are for pairs of columns, and columns = 'summed' has none: "
            "exponents must be one of ('j/d', '2j/d').",
        ),
        (
            {"columns": "summed", "exponents": "j/d", "cosines_first": True},
            ValueError,
            "cosines_first = True says nothing where columns = 'summed': leave it out.",
        ),
    ],
)
def test_an_argument_that_says_nothing_is_named(
    arguments: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        Convention(**arguments)
    assert words in str(caught.value)


# ---- which one is it?


LIBRARIES = tuple(f"library {i}" for i in range(6))


def test_an_identification_prints_what_it_found() -> None:
    found = Identification(CONVENTIONS["whisper"], 1.234e-7, 7, (0, 1, 3, 5, 6), (), LIBRARIES)
    assert repr(found) == (
        "halves, exponents i/(d/2-1), base 10000: largest difference 1.2e-07\n"
        "known as tensor2tensor, whisper\n"
        "zeros in row 0, 1, 3, 5, …; the first token gets row 7\n"
        "used by library 0; library 1; library 2; library 3; and 2 more"
    )
    assert repr(replace(found, libraries=LIBRARIES[:5])).endswith("library 3; and 1 more")
    found = replace(found, zero_rows=(0, 1, 3, 5), libraries=LIBRARIES[:4])
    assert repr(found).splitlines()[2:] == [
        "zeros in row 0, 1, 3, 5; the first token gets row 7",
        "used by library 0; library 1; library 2; library 3",
    ]
    plain = Identification(Convention(base=9.0), 0.5)
    assert repr(plain) == "interleaved, base 9: largest difference 0.5"


def test_candidates_are_listed_to_the_eighth() -> None:
    many = tuple(Convention(base=float(base)) for base in range(1, 11))
    lines = [f"  interleaved, base {base}" for base in range(1, 9)]
    for count, more in ((8, []), (9, ["  … and 1 more"]), (10, ["  … and 2 more"])):
        found = Identification(None, 0.0, candidates=many[:count], why="few rows")
        assert repr(found).split("\n") == ["undecided: few rows", *lines, *more]
    assert repr(Identification(None, 0.0, why="no sinusoids")) == "unknown: no sinusoids"


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (Convention(), 0),
        (Convention("halves", "i/(d/2-1)", first=5, amplitude=0.123), 0),
        (Convention(base=500.0), 1),
        (Convention(base=12_345.0), 5),
        (Convention(base=1e8), 2),
        (Convention(exponents="4i/d"), 1),
        (Convention(exponents="j/d", normalised=True), 2),
        (Convention(fastest="d/length"), 1),
        (Convention(fastest=2.0), 2),
        (Convention(fastest=2.0 * math.tau), 2),
        (Convention(fastest=2.5, base=10.0), 4),
    ],
)
def test_what_is_rare_takes_more_to_say(says: Convention, words: int) -> None:
    assert Match(says, 0.0, True).words == words


def test_unlikely_sizes_count_as_a_digit_more() -> None:
    numbers = [1.0, 250.0, 0.5, 1.0000001, 1.1e-5, 999_999.0, 1e-5, 1e6]
    assert [digits_of(number) for number in numbers] == [1, 2, 1, 8, 2, 6, 2, 2]


def test_conventions_are_unlike_in_as_many_arguments_as_differ() -> None:
    match = Match(Convention("halves", first=2, base=9.0), 0.0, True)
    assert match.unlike(Convention("halves", first=2, base=9.0)) == 0
    assert match.unlike(Convention()) == 3


def test_rounding_is_seen_in_the_numbers() -> None:
    table = Convention().table(20, 8)
    assert rounding_of(table) == 1e-6
    assert rounding_of(table.half()) == rounding_of(table.half().double()) == 2**-11
    assert rounding_of(table.bfloat16().float()) == 2**-8


def test_float32_may_be_off_by_more_the_larger_the_angle() -> None:
    places = torch.tensor([0.0, 100.0]).double()
    step = 2.0**-22
    for says, off in (
        (Convention(), [0, 100]),
        (Convention(first=3, amplitude=7.0), [3, 103]),
        (Convention(first=-40), [40, 60]),
        (Convention(fastest=5.0), [0, 500]),
        (Convention(fastest=0.1), [0, 100]),
        (Convention(base=1 / 16, exponents="2j/d"), [0, 100 * 64]),
        (Convention(fastest="d/length"), [0, 100 * 4 / 2]),
    ):
        limits = allowed(says, places, 4, 2)
        assert limits.shape == (2, 1)
        assert limits.flatten().tolist() == pytest.approx([1e-6 + step * n for n in off])


def test_a_table_may_have_an_axis_of_one_sequence_before_or_after_its_length() -> None:
    table = CONVENTIONS["fairseq"].table(40, 16)
    for shaped in (table[None], table[:, None], table.double(), table.clone().requires_grad_()):
        assert identify(shaped).convention == CONVENTIONS["fairseq"]
    with pytest.raises(ValueError, match=r"d_model at least 2, got \(4, 1\)\. Take one sequence"):
        identify(torch.zeros(4, 1))
    with pytest.raises(ValueError, match=r"got \(0, 4\)"):
        identify(torch.zeros(0, 4))
    with pytest.raises(ValueError, match=r"got \(40, 16, 1\)"):
        identify(table[..., None])
    with pytest.raises(ValueError, match=r"got \(1, 1, 40, 16\)"):
        identify(table[None, None])
    broken = table.clone()
    broken[2, 5] = broken[7, 1] = -math.inf
    with pytest.raises(ValueError, match="finite, got -inf in row 2, column 5"):
        identify(broken)


def test_a_table_of_two_parts_is_of_no_convention() -> None:
    table = Convention().table(6000, 16)
    table[5000:] = Convention().table(1000, 16)
    found = identify(table)
    assert found.convention is None and found.difference == pytest.approx(2, abs=0.1)
    assert found.why == (
        f"part of it is interleaved, base 10000, and other rows are off by {found.difference:.2g}"
    )


def test_the_difference_is_that_of_all_rows_but_zeros() -> None:
    table = CONVENTIONS["tensor2tensor"].table(5000, 16)
    table[[0, 1, 100]] = 0
    table[4500, 3] += 1e-4  # as float32 may be off so far out
    found = identify(table)
    assert found.convention == replace(CONVENTIONS["tensor2tensor"], first=101)
    assert (found.first_row, found.zero_rows) == (101, (0, 1, 100))
    assert found.difference == pytest.approx(1e-4, rel=0.01)


def test_a_long_table_is_known_by_its_first_rows_and_its_length() -> None:
    says = CONVENTIONS["tape"]
    assert identify(says.table(4200, 8)).convention == says


def test_rows_of_zeros_are_said_also_where_nothing_else_is_known() -> None:
    noise = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    noise[0] = 0
    for table in (noise, torch.cat((torch.zeros(1, 2), Convention().table(2, 2)))):
        found = identify(table)
        assert found.convention is None and found.why
        assert (found.first_row, found.zero_rows) == (1, (0,))


def test_few_rows_say_how_many_conventions_they_fit() -> None:
    for length, rows in ((1, "1 row"), (2, "2 rows")):
        found = identify(Convention().table(length, 2))
        many = len(found.candidates)
        fit, way_out = (
            f"{rows} of width 2 fit {many} conventions",
            "Give more rows, or a wider table",
        )
        assert found.why == f"{fit}. {way_out}"


# ---- which one is it, of known ones?


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
        ([[0.0, 1.0]], TypeError, "got a list: torch.as_tensor(table) makes one of an array."),
        (torch.zeros(4, 4, dtype=torch.int64), TypeError, "floating point, got torch.int64"),
        (torch.zeros(2, 3, 4), ValueError, "got (2, 3, 4)"),
        (torch.zeros(4), ValueError, "got (4,)"),
        (torch.tensor([[0.0, 1.0], [math.nan, 1.0]]), ValueError, "got nan in row 1, column 0"),
        (
            torch.empty(4, 4, device="meta"),
            ValueError,
            "table must hold numbers, got one on the meta device: load it first.",
        ),
    ],
)
def test_what_is_no_table_is_refused(table: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        identify(table)
    assert words in str(caught.value)


def test_zeros_alone_are_said_to_be_zeros() -> None:
    found = identify(torch.zeros(3, 4))
    assert found.why == "all its rows are zero"
    assert (found.first_row, found.zero_rows) == (0, (0, 1, 2))


def test_a_table_with_its_positions_in_the_columns_is_told_to_turn() -> None:
    found = identify(Convention.named("marian").table(300, 64).T)
    assert found.convention is None and found.difference < 1e-6
    assert found.why == (
        "its positions are in the columns: they follow halves, base 10000. Turn it with table.T"
    )
