"""Encodings in the wild: the table of the survey, and the finder that names a convention."""

from __future__ import annotations

import base64
import io
import itertools
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from simplellm import Convention, identify
from simplellm.conventions import CONVENTIONS
from simplellm.heatmap import ConventionExplorer
from simplellm.in_the_wild import ConventionFinder, RelativeTable, SurveyTable, is_the_papers
from simplellm.in_the_wild.finder import EXAMPLE
from simplellm.survey import Surveyed, relative, survey
from tools.machine.browser import chromium

KNOWN = list(dict.fromkeys([*CONVENTIONS.values(), *(o.convention for o in survey())]))
FOLLOWED = [convention for convention in KNOWN if convention is not None]


class Cells(HTMLParser):
    """The rows of a table, as a dictionary from head to text, by their ids."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: dict[str, dict[str, str]] = {}
        self.values: dict[str, dict[str, str | None]] = {}
        self.row = self.label = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "tr" and values.get("id"):
            self.row = str(values["id"])
            self.rows[self.row] = {}
            self.values[self.row] = values
        if values.get("data-label"):
            self.label = str(values["data-label"])
            self.rows[self.row][self.label] = ""

    def handle_data(self, data: str) -> None:
        if self.row and self.label:
            self.rows[self.row][self.label] += data


TABLE = SurveyTable()
PAGE = Cells(TABLE.html())


def row_of(package: str, name: str) -> dict[str, str]:
    return next(
        row
        for row in PAGE.rows.values()
        if package in row["Class"] and row["Class"].startswith(name)
    )


# ---- the table


def test_every_surveyed_class_has_a_row_of_its_own_with_its_file() -> None:
    assert len(PAGE.rows) == len(survey())
    for one, row in zip(survey(), PAGE.rows.values(), strict=True):
        assert row["Class"] == f"{one.name}{one.package} {one.version}{one.file}"
        assert list(row) == [column.head for column in SurveyTable.columns]


def test_a_row_says_what_the_record_says() -> None:
    row = row_of("transformers", "M2M100SinusoidalPositionalEmbedding")
    said = {
        "Columns": "halves",
        "Exponents": "i/(d/2-1)",
        "Base": "10,000",
        "First position": "2",
        "Size": "1",
        "Error to 5,000": "4e−4",
        "Past the end": "goes on",
        "Odd width": "ends in zeros",
        "After half and back": "2e−4",
        "In state_dict": "no",
    }
    assert {key: row[key] for key in said} == said
    assert row_of("coqui-tts", "PositionalEncoding (generic)")["Base"] == "0.0001"
    assert row_of("demucs", "create_sin_embedding")["Columns"] == "halves,cosines first"
    assert row_of("espnet", "ScaledPositionalEncoding")["In state_dict"] == "alpha (trained)"
    assert row_of("chunkformer", "PositionalEncoding")["Token factor"] == "√d"
    for package, name in (
        ("torch-geometric", "PositionalEncoding"),
        ("x-transformers", "ScaledSinusoidalEmbedding"),  # whose rows are small: a share of them
    ):
        assert row_of(package, name)["After half and back"] == "0.12"


def test_what_was_not_run_says_why_and_shows_no_number() -> None:
    for one, row in zip(survey(), PAGE.rows.values(), strict=True):
        if not one.was_run:
            assert row["Columns"].startswith("not run: ")
            others = [text for head, text in row.items() if head not in ("Class", "Columns")]
            assert set(others) == {"–"}


def test_every_choice_of_a_filter_leaves_some_rows_and_together_they_leave_all_that_ran() -> None:
    table = next(iter(json.loads(part) for part in filters_of(TABLE.html())))
    ran = [one for one in survey() if one.convention is not None]
    for key, _, _, *options in table["filters"]:
        values = [row[f"data-{key}"] for row in PAGE.values.values()]
        assert all(option in values for option in options)
        assert sum(value in options for value in values) >= len(ran)


def filters_of(source: str) -> Iterator[str]:
    parser = HTMLParser()
    found: list[str] = []
    parser.handle_starttag = lambda tag, attrs: found.extend(  # type: ignore[method-assign]
        value for name, value in attrs if name == "data-table" and value
    )
    parser.feed(source)
    return iter(found)


def test_the_papers_way_is_the_convention_alone() -> None:
    assert is_the_papers(replace(survey()[0], convention=Convention()))
    assert not is_the_papers(replace(survey()[0], convention=Convention(first=1)))
    assert not is_the_papers(replace(survey()[0], convention=None))
    written = [values["data-written"] for values in PAGE.values.values()]
    assert written.count("as the paper says") == sum(map(is_the_papers, survey()))


def test_no_name_of_a_package_becomes_markup() -> None:
    odd = Surveyed("<i>p</i>", "1", "<b>&amp;", None, {}, 'not run: "<u>"')
    source = SurveyTable([odd]).html()
    assert Cells(source).rows[next(iter(Cells(source).rows))]["Class"] == "<b>&amp;<i>p</i> 1"
    assert "<u>" not in source


def test_an_empty_survey_is_refused() -> None:
    with pytest.raises(ValueError, match=r"surveyed is empty: give some of what survey\(\)"):
        SurveyTable([])


def test_hosts_without_html_read_what_is_there() -> None:
    assert (
        repr(TABLE) == f"{len(survey())} classes of {len({o.package for o in survey()})} packages"
    )
    assert repr(ConventionFinder()).endswith("In Python: simplellm.identify(table).")


@pytest.mark.parametrize("shown", [TABLE, ConventionFinder()])
def test_the_page_needs_nothing_from_elsewhere(shown) -> None:
    source = shown.html()
    assert "://" not in source and "@import" not in source and "fetch(" not in source


# ---- the heatmap of two conventions


def test_the_heatmap_shows_both_and_their_difference() -> None:
    shown = ConventionExplorer("paper", "mlx", d_model=16, positions=20)
    first, second, difference = shown.parts()
    assert np.array_equal(first, Convention().table(20, 16, dtype=torch.float64))
    assert np.array_equal(second, Convention.named("mlx").table(20, 16, dtype=torch.float64))
    assert np.array_equal(difference, first - second)
    assert np.array_equal(shown.values(), difference)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": "vaswani"}, "convention = 'vaswani' is no known name"),
        ({"d_model": 48}, r"d_model must be one of \(8, 16, 32, 64, 128, 256\), got 48"),
        ({"positions": 513}, "positions must be from 2 to 512, got 513"),
        ({"frame": 3}, "frame"),
    ],
)
def test_the_heatmap_names_a_bad_argument(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        ConventionExplorer(**arguments)


# ---- in a browser


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    page: Path = tmp_path_factory.mktemp("wild") / "page.html"
    body = TABLE.html() + ConventionExplorer().html() + ConventionFinder().html()
    page.write_text(
        '<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Wild</title></head>'
        f"<body><main><h1>Wild</h1>{body}</main></body></html>",
        encoding="utf-8",
    )
    return page.as_uri()


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser, address):
    opened = browser.new_page()
    opened.goto(address)
    yield opened
    opened.close()


def packed(table: Tensor) -> list:
    numbers = table.double().numpy()
    return [base64.b64encode(numbers.tobytes()).decode(), table.shape[1]]


UNPACK = """([data, d_model]) => [
    new Float64Array(Uint8Array.from(atob(data), c => c.charCodeAt(0)).buffer), d_model]"""
NAME = f"""given => {{
    const [values, d_model] = ({UNPACK})(given);
    const {{ conventions }} = document.querySelector('#finder').finder;
    const found = simplellmConventions.identify(values, d_model, Object.values(conventions));
    const words = simplellmConventions.inWords;
    return [found.convention && words(found.convention), found.firstRow,
        found.candidates.map(words), found.why];
}}"""


@pytest.mark.browser
def test_the_page_computes_every_convention_as_the_package_does(page) -> None:
    ask = """([says, d_model, places, length]) => {
        try { return [...simplellmConventions.rows(says, d_model, places, length)]; }
        catch { return null; }
    }"""
    for says, d_model in itertools.product(FOLLOWED, (2, 10, 64, 33)):
        places = [0, 1, 7, 500]
        found = page.evaluate(ask, [says.changes, d_model, places, 600])
        try:
            rows = says.rows(places, d_model, 600)
        except ValueError:
            assert found is None
            continue
        limit = 1e-9 * max(
            1.0, *(float(rate.max()) for rate in says.rates(d_model, 600) if len(rate))
        )
        assert np.abs(np.reshape(found, rows.shape) - rows.numpy()).max() < limit, (says, d_model)


@pytest.mark.browser
def test_the_page_says_a_convention_in_the_words_of_the_package(page) -> None:
    more = [Convention(base=0.37), Convention(amplitude=1e-9), Convention(base=1e7, fastest=2.5)]
    for says in [*FOLLOWED, *more]:
        assert page.evaluate("s => simplellmConventions.inWords(s)", says.changes) == repr(says)


def variants(says: Convention) -> Iterator[Tensor]:
    table = says.table(512, 64)
    yield table
    yield table.half()
    yield torch.cat((torch.zeros(1, 64), table.bfloat16().float()))
    yield says.table(40, 256)


@pytest.mark.browser
def test_the_page_names_every_convention_that_somebody_follows(page) -> None:
    for says in FOLLOWED:
        for number, table in enumerate(variants(says)):
            name, first_row, candidates, _ = page.evaluate(NAME, packed(table))
            assert name == repr(says), (says, number, candidates)
            assert first_row == (number == 2)


@pytest.mark.browser
def test_the_page_answers_as_the_package_where_there_is_something_to_say(page) -> None:
    torch.manual_seed(0)
    paper = Convention()
    for table in (
        torch.randn(64, 64),
        paper.table(9, 64)[8:9],
        paper.table(12, 4),
        paper.table(256, 64) + 0.003 * torch.randn(256, 64),
        Convention(base=37.0).table(100, 32),
        Convention(amplitude=0.37, base=500.0).table(100, 32),
        Convention(columns="halves", first=900).table(100, 32),
        paper.table(64, 33),
        Convention(columns="halves", exponents="i/(d/2-1)").table(64, 33),
        torch.ones(20, 10),
        paper.table(300, 64).T.contiguous(),
    ):
        found = identify(table)
        name, first_row, candidates, why = page.evaluate(NAME, packed(table))
        assert name == (None if found.convention is None else repr(found.convention))
        assert first_row == found.first_row
        assert sorted(candidates) == sorted(map(repr, found.candidates))
        assert why == found.why
    assert page.evaluate(NAME, packed(torch.zeros(4, 4)))[3] == identify(torch.zeros(4, 4)).why


ANSWER = "#finder .answer"


@pytest.mark.browser
def test_the_example_is_named_with_its_code_and_its_followers(page) -> None:
    page.get_by_role("button", name="Put in an example").click()
    page.locator(ANSWER).get_by_text("In Python").wait_for()
    said = page.locator(ANSWER).inner_text()
    assert f"{EXAMPLE[0]} rows of width {EXAMPLE[1]}: {Convention.named('m2m100')!r}." in said
    assert Convention.named("m2m100").code.replace("'", '"') in said
    assert "Known as fairseq, m2m100." in said
    assert "fair-esm 2.0.0: SinusoidalPositionalEmbedding" in said


def lines(table: Tensor, between: str, *, first: str = "", numbered: bool = False) -> str:
    rows = [between.join(f"{n:.5f}" for n in row) for row in table.tolist()]
    rows = [f"{n},{row}" for n, row in enumerate(rows)] if numbered else rows
    return "\n".join([first] * bool(first) + rows)


MUSICGEN = Convention.named("musicgen").table(9, 12)
COLUMNS = ",".join(map(str, range(12)))


@pytest.mark.browser
@pytest.mark.parametrize(
    "text",
    [
        str(MUSICGEN.numpy()),
        str(MUSICGEN),
        str(MUSICGEN.half()),
        lines(MUSICGEN, ", "),
        lines(MUSICGEN, "\t"),
        lines(MUSICGEN, ",", first=",".join("abcdefghijkl")),
        lines(MUSICGEN, ",", first=f",{COLUMNS}", numbered=True),
        lines(MUSICGEN, ";").replace(".", ","),
        lines(MUSICGEN, " ").replace("-", "−"),
    ],
    ids=["numpy", "torch", "half", "comma", "tab", "named", "pandas", "spreadsheet", "minus"],
)
def test_a_table_is_read_however_it_was_printed(page, text: str) -> None:
    page.get_by_label("Paste rows").fill(text)
    page.get_by_role("button", name="Name it").click()
    page.locator(ANSWER).get_by_text("Known as musicgen").wait_for()


def npy(table: Tensor, dtype: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.save(file, table.numpy().astype(dtype))
    return file.getvalue()


def safetensors(tensors: dict[str, tuple[str, Tensor]]) -> bytes:
    header: dict[str, dict] = {}
    data = b""
    for name, (kind, table) in tensors.items():
        dtype = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}.get(kind)
        numbers = table if dtype is None else table.to(dtype)
        raw = numbers.contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(table.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def give(page, name: str, content: bytes) -> None:
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("or a file").set_input_files([file])


@pytest.mark.browser
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_an_array_file_is_read(page, dtype: str) -> None:
    give(page, "pe.npy", npy(Convention.named("marian").table(300, 32).unsqueeze(0), dtype))
    page.locator(ANSWER).get_by_text("300 rows of width 32").wait_for()
    assert "Known as marian." in page.locator(ANSWER).inner_text()


@pytest.mark.browser
def test_an_array_that_is_stored_by_columns_is_read(page) -> None:
    columns = np.asfortranarray(Convention.named("marian").table(300, 32).numpy())
    file = io.BytesIO()
    np.save(file, columns)
    give(page, "pe.npy", file.getvalue())
    page.locator(ANSWER).get_by_text("Known as marian.").wait_for()


@pytest.mark.browser
def test_rows_of_zeros_are_named_wherever_they_stand(page) -> None:
    table = Convention(columns="halves", exponents="i/(d/2-1)").table(60, 32)
    table[1] = 0  # the padding row of M2M100: row 0 is there
    give(page, "pe.npy", npy(table))
    said = page.locator(ANSWER).get_by_text("Zeros in row 1; the first token gets row 2.")
    said.wait_for()


@pytest.mark.browser
def test_of_a_checkpoint_the_likeliest_table_is_named_and_any_other_can_be(page) -> None:
    weights = {
        "lm_head.weight": ("F32", torch.randn(20, 16)),
        "step": ("I64", torch.tensor([3])),
        "norm.weight": ("F32", torch.ones(16)),
        "other": ("BF16", Convention.named("paper").table(5000, 16)),
        "encoder.embed_positions": ("F16", Convention.named("fairseq").table(64, 16)),
    }
    give(page, "model.safetensors", safetensors(weights))
    page.locator(ANSWER).get_by_text("Known as fairseq").wait_for()
    choice = page.get_by_label("Table in this file")
    assert choice.locator("option").all_inner_texts() == [
        "encoder.embed_positions (64 × 16)",
        "lm_head.weight (20 × 16)",
        "other (5000 × 16)",
    ]
    choice.select_option("other (5000 × 16)")
    page.locator(ANSWER).get_by_text("5000 rows of width 16, BF16").wait_for()
    assert "Known as paper." in page.locator(ANSWER).inner_text()
    choice.select_option("lm_head.weight (20 × 16)")
    page.locator(ANSWER).get_by_text("Not recognised").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no numbers in it"),
        ("1 2\n3", "row 1 has 1 numbers, row 0 has 2: give whole rows"),
        ("0.5 zwei", 'row 0 holds "zwei", which is no number'),
        ("[[0.1, ..., 0.2]]", "the print leaves numbers out (…): in PyTorch first torch.set_print"),
        ("1\n2", "a row has 1 number: a table has 2 to 8192 columns"),
    ],
)
def test_text_that_is_no_table_says_what_is_wrong(page, text: str, message: str) -> None:
    page.get_by_label("Paste rows").fill(text)
    page.get_by_role("button", name="Name it").click()
    page.locator(ANSWER).get_by_text("It could not be read").wait_for()
    assert message in page.locator(ANSWER).inner_text()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", b"PK", "A pickle is read by PyTorch alone"),
        ("a.gguf", b"GGUF", "a.gguf is not read here: give .safetensors, .npy, .csv or .txt"),
        ("a.npy", b"no", "this is no .npy file"),
        ("a.npy", npy(torch.ones(3, 4), "<i4"), "it must hold floating-point numbers"),
        ("a.npy", npy(torch.ones(3)), "its shape is (3): save one table of (length, d_model)"),
        ("a.npy", npy(torch.ones(30, 4))[:-5], "the file ends before its numbers do"),
        ("a.npy", npy(torch.full((3, 4), torch.nan)), "row 0, column 0 is NaN"),
        ("a.safetensors", b"\xff" * 20, "its header does not fit into it"),
        ("a.safetensors", struct.pack("<Q", 4) + b"{,,}", "its header is no JSON"),
        (
            "a.safetensors",
            struct.pack("<Q", 21) + b'{"a":{"dtype":"F32"}}',
            "its header says no shape or no place for a",
        ),
        (
            "a.safetensors",
            safetensors({"ids": ("I64", torch.ones(3, dtype=torch.int64))}),
            "this file holds no table of two axes in floating point",
        ),
    ],
)
def test_a_file_that_holds_no_table_says_what_is_wrong(page, name, content, message) -> None:
    give(page, name, content)
    page.locator(ANSWER).get_by_text("It could not be read").wait_for()
    assert message in page.locator(ANSWER).inner_text()
    page.get_by_role("button", name="Put in an example").click()  # and nothing is lost
    page.locator(ANSWER).get_by_text("Known as fairseq, m2m100.").wait_for()


VISIBLE = "[...document.querySelectorAll('#survey tbody tr:not([hidden])')].map(row => row.id)"


@pytest.mark.browser
def test_numbers_are_sorted_by_size_and_what_has_none_comes_last(page) -> None:
    column = [c.head for c in SurveyTable.columns].index("Error at 100,000")
    ask = f"""[...document.querySelectorAll('#survey tbody tr')].map(row =>
        row.cells[{column}].dataset.sort)"""
    button = page.get_by_role("button", name="Error at 100,000")
    for down in (False, True):
        button.click()
        found = page.evaluate(ask)
        numbers = [float(one) for one in found if one]
        assert numbers == sorted(numbers, reverse=down) and len(numbers) > 100
        assert not any(found[len(numbers) :])


@pytest.mark.browser
def test_filters_of_the_survey_are_taken_together(page) -> None:
    page.get_by_label("Columns", exact=True).select_option("halves")
    page.get_by_label("First position", exact=True).select_option("2")
    expected = [o for o in survey() if o.convention and o.convention.first == 2]
    assert len(page.evaluate(VISIBLE)) == len(expected)
    assert f"{len(expected)} of {len(survey())} classes" in page.locator("#survey").inner_text()


@pytest.mark.browser
def test_every_choice_of_the_heatmap_shows_what_the_package_computes(page) -> None:
    ask = """([first, second, d_model, positions, frame]) => {
        const { heatmap } = document.querySelector('.simplellm-heatmap');
        heatmap.set({ first, second, d_model, positions, frame });
        const { source } = heatmap;
        return Array.from({ length: positions * d_model }, (_, i) =>
            source.value(Math.floor(i / d_model), i % d_model));
    }"""
    names = list(CONVENTIONS)
    for number, first in enumerate(names):
        second, width = names[-number - 1], ConventionExplorer.WIDTHS[number % 4]
        shown = ConventionExplorer(first, second, width, 24, frame=number % 3)
        found = page.evaluate(ask, [first, second, width, 24, number % 3])
        assert np.abs(np.reshape(found, (24, width)) - shown.values()).max() < 1e-6


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_axe_finds_nothing_and_nothing_is_too_wide(browser, address, theme, width) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(address)
    opened.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    opened.get_by_role("button", name="Put in an example").click()
    opened.locator(ANSWER).get_by_text("In Python").wait_for()
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.evaluate(axe.axe_script)
    found = opened.evaluate("async () => (await axe.run()).violations")
    assert [(v["id"], v["nodes"][0]["html"][:100]) for v in found] == []
    opened.close()


@pytest.mark.browser
def test_without_a_script_the_table_is_read_and_no_control_is_there(browser, address) -> None:
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(address)
    assert plain.locator("#survey tbody tr").count() == len(survey())
    assert plain.locator("input, select, button, textarea").count() == 0
    assert plain.get_by_text("simplellm.identify(table)").is_visible()
    context.close()


# ---- rotations and biases


def test_every_rotation_and_bias_has_a_row_with_what_was_measured() -> None:
    rows = Cells(RelativeTable().html()).rows
    assert len(rows) == len(relative())
    for one, row in zip(relative(), rows.values(), strict=True):
        assert row["Class"] == f"{one.name}{one.package} {one.version}"
        assert list(row) == [column.head for column in RelativeTable.columns]
        assert row["Pairs"] == (one.layout or "–")
        assert (row["Vectors in bfloat16"] == "–") == (one.kind == "bias")
    with pytest.raises(ValueError, match=r"shown is empty: give some of what relative\(\)"):
        RelativeTable([])


def test_rounded_frequencies_keep_scores_and_rounded_positions_do_not() -> None:
    """What the survey measured; the finding about rotary modules shows it again."""
    by_name = {(one.package, one.name): one.cast["bfloat16"] for one in relative()}
    llama = by_name["transformers", "LlamaRotaryEmbedding"]
    assert llama["vectors"] > 1 and llama["scores"] < 0.005
    assert by_name["x-transformers", "RotaryEmbedding"]["scores"] > 0.1
    assert by_name["torchtune", "RotaryPositionalEmbeddings"]["vectors"] < 0.1
    assert by_name["transformers", "build_alibi_tensor (Bloom)"]["nearest 8 steps"] > 10
