"""The corpus: text from Python or a file, the split, and the windows drawn from it."""

from __future__ import annotations

import doctest
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import simplellm.corpus
from simplellm.corpus import (
    aligned_windows,
    python_topics,
    random_windows,
    read_text,
    split_blocks,
)

quick = settings(max_examples=150, deadline=None, database=None)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


TOPICS_OF_3_11_7 = "71f2ff5d99bdc1f9c48c5c2353ad138201c5ca1c377e0226857ef8fa89b8bcee"

# -- text -----------------------------------------------------------------------------------------


def test_python_topics_are_those_of_one_version_whichever_python_runs() -> None:
    text = python_topics()
    assert hashlib.sha256(text.encode()).hexdigest() == TOPICS_OF_3_11_7
    assert text.count(" the ") > 1000


def test_python_topics_are_nearly_those_of_the_running_python() -> None:
    topics = pytest.importorskip("pydoc_data.topics").topics
    ours = set(python_topics().splitlines())
    theirs = {line for topic in topics.values() for line in topic.splitlines()}
    # 87 % of 3.11.2, 90 % of 3.13.5: not a text that somebody made up.
    assert len(ours & theirs) > 0.7 * len(ours)


@quick
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff")))
@example(text="one\ntwo\n\nfour\n")
def test_a_file_gives_its_text(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(text.strip())
    path = tmp_path_factory.getbasetemp() / "text.txt"
    for before, end in ((b"", "\n"), (b"\xef\xbb\xbf", "\n"), (b"", "\r\n"), (b"", "\r")):
        path.write_bytes(before + text.replace("\n", end).encode())
        assert read_text(path, min_length=1) == text
        assert read_text(str(path), min_length=len(text)) == text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"is empty"),
        (b" \n\n", r"is empty"),
        (
            b"x" * 999,
            r"too short: 999 characters, min_length is 1000\. Take a longer text, or pass a",
        ),
        (
            b"ab\xe4c" + b"x" * 1000,
            r"not UTF-8: byte 0xE4 at offset 2 does not fit\. Save the file as UTF-8, or read it "
            r"with its own encoding: open\(path, encoding=",
        ),
        (b"\xef\xbb\xbfab\xe4c", r"byte 0xE4 at offset 5 "),
        ("größer".encode("utf-16"), r"byte 0xFF at offset 0 "),
        (b"abc\xe2\x82", r"byte 0xE2 at offset 3 "),
    ],
)
def test_a_file_that_is_no_corpus_is_named_with_the_reason(
    data: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"text\.txt' .*{words}"):
        read_text(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.txt' does not exist; the current folder"):
        read_text(tmp_path / "absent.txt")
    with pytest.raises(IsADirectoryError, match=r"is a folder: name a text file"):
        read_text(tmp_path)


# -- the split ------------------------------------------------------------------------------------


@quick
@given(
    length=st.integers(1, 300),
    block=st.integers(1, 20),
    every=st.integers(2, 12),
)
def test_every_kth_block_is_for_validation_and_nothing_is_lost(
    length: int, block: int, every: int
) -> None:
    ids = torch.arange(length)
    if length < every * block:
        with pytest.raises(ValueError, match=f"at least {every * block} ids are needed"):
            split_blocks(ids, block=block, validation=1 / every)
        return
    train, validation = split_blocks(ids, block=block, validation=1 / every)
    blocks = [list(range(i, i + block)) for i in range(0, length - block + 1, block)]
    assert validation.tolist() == blocks[every - 1 :: every]
    assert train.tolist() == [b for i, b in enumerate(blocks) if i % every != every - 1]
    # Both together are the text, less a last block that is not full.
    both = sorted(train.flatten().tolist() + validation.flatten().tolist())
    assert both == list(range(len(both)))
    assert length - block < len(both) <= length


def test_the_split_of_a_real_text_sets_one_tenth_aside() -> None:
    train, validation = split_blocks(torch.zeros(465_000, dtype=torch.int64))
    assert train.shape[1] == validation.shape[1] == 1024
    assert len(validation) / (len(train) + len(validation)) == pytest.approx(0.1, abs=0.01)


def test_the_parts_are_copies() -> None:
    ids = torch.arange(8)
    for part in split_blocks(ids, block=2, validation=0.5):
        part.zero_()
    assert ids.tolist() == list(range(8))


# -- windows --------------------------------------------------------------------------------------


@quick
@given(data=st.data(), rows=st.integers(1, 5), block=st.integers(2, 20), seed=st.integers(0, 99))
def test_a_random_window_is_a_piece_of_one_block(
    data: st.DataObject, rows: int, block: int, seed: int
) -> None:
    seq_len = data.draw(st.integers(1, block - 1))
    blocks = torch.arange(rows * block).reshape(rows, block)
    windows = random_windows(blocks, 7, seq_len, generator=seeded(seed))
    assert windows.shape == (7, seq_len + 1)
    for first, *others in windows.tolist():
        assert others == list(range(first + 1, first + seq_len + 1))
        assert first // block == others[-1] // block


def test_random_windows_reach_every_place_equally_often() -> None:
    blocks = torch.arange(20).reshape(2, 10)  # windows of 8 start at 0, 1 or 2 of either block
    windows = random_windows(blocks, 6000, 7, generator=seeded())
    starts, counts = windows[:, 0].unique(return_counts=True)
    assert starts.tolist() == [0, 1, 2, 10, 11, 12]
    assert (counts - 1000).abs().max() < 150  # five standard deviations


def test_the_generator_decides_the_draw() -> None:
    blocks = torch.arange(1000).reshape(10, 100)
    generator = seeded(1)
    first, second = (random_windows(blocks, 8, 5, generator=generator) for _ in range(2))
    assert torch.equal(first, random_windows(blocks, 8, 5, generator=seeded(1)))
    assert not torch.equal(first, second)


@quick
@given(data=st.data(), rows=st.integers(1, 4), block=st.integers(2, 30))
def test_aligned_windows_predict_each_id_once(data: st.DataObject, rows: int, block: int) -> None:
    seq_len = data.draw(st.integers(1, block - 1))
    shift = data.draw(st.integers(0, block - 1 - seq_len))
    blocks = torch.arange(rows * block).reshape(rows, block)
    expected = [
        list(range(row * block + start, row * block + start + seq_len + 1))
        for row in range(rows)
        for start in range(shift, block - seq_len, seq_len)
    ]
    windows = aligned_windows(blocks, seq_len, shift=shift)
    assert windows.tolist() == expected
    predicted = windows[:, 1:].flatten().tolist()
    assert len(predicted) == len(set(predicted))


def test_a_shift_puts_the_same_text_at_other_positions() -> None:
    text = torch.arange(50).unsqueeze(0)
    aligned, shifted = aligned_windows(text, 8), aligned_windows(text, 8, shift=3)
    assert torch.equal(aligned[1, 3:], shifted[1, :-3])


def test_windows_are_copies() -> None:
    for rows in (1, 2):
        blocks = torch.arange(20).reshape(rows, -1)
        aligned_windows(blocks, 3).zero_()
        random_windows(blocks, 2, 3, generator=seeded()).zero_()
        assert blocks.flatten().tolist() == list(range(20))


def test_random_windows_of_aligned_windows_are_whole_rows() -> None:
    aligned = aligned_windows(torch.arange(33).unsqueeze(0), 8)
    drawn = random_windows(aligned, 50, 8, generator=seeded())
    assert {tuple(row) for row in drawn.tolist()} == {tuple(row) for row in aligned.tolist()}


@pytest.fixture
def another_default_device() -> Iterator[None]:
    """Stands for `torch.set_default_device("cuda")`, as in many notebooks."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def test_text_is_cut_where_it_is_whatever_the_default_device(another_default_device: None) -> None:
    parts = split_blocks(BLOCKS.flatten(), block=10, validation=0.5)
    windows = random_windows(BLOCKS, 4, 3, generator=seeded())
    assert {part.device.type for part in (*parts, windows)} == {"cpu"}


# -- bad arguments --------------------------------------------------------------------------------

IDS = torch.arange(100)
BLOCKS = IDS.reshape(10, 10)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: read_text("text.txt", min_length=0), ValueError, "min_length must be at least 1"),
        (lambda: split_blocks([1, 2]), TypeError, r"got list.*torch\.tensor\(ids\)"),
        (lambda: split_blocks(torch.rand(9)), TypeError, "integer tensor, got dtype torch.float32"),
        (lambda: split_blocks(BLOCKS), ValueError, r"\(number of ids,\), got \(10, 10\)"),
        (lambda: split_blocks(IDS, block=0), ValueError, "block must be at least 1, got 0"),
        (lambda: split_blocks(IDS, block=11), ValueError, "100 ids are 9 blocks of 11.*110 ids"),
        (lambda: split_blocks(IDS, validation=0), ValueError, "above 0 and at most 0.5, got 0"),
        (lambda: split_blocks(IDS, validation=0.6), ValueError, "at most 0.5, got 0.6"),
        (lambda: split_blocks(IDS, validation=float("nan")), ValueError, "got nan"),
        (lambda: split_blocks(IDS, validation="0.1"), TypeError, "must be a number, got '0.1'"),
        (lambda: split_blocks(IDS, validation=True), TypeError, "must be a number, got True"),
        (lambda: random_windows(BLOCKS, 0, 3, generator=seeded()), ValueError, "batch must be at"),
        (
            lambda: random_windows(BLOCKS, 1, 3, generator=0),
            TypeError,
            r"torch\.Generator, got int\. Make one: torch\.Generator\(\)\.manual_seed",
        ),
        (
            lambda: random_windows(BLOCKS, 1, 10, generator=seeded()),
            ValueError,
            r"at most 9, got 10: .*\+ 1 ids, and a block has 10\. .*larger blocks: split_blocks\(",
        ),
        (lambda: random_windows(IDS, 1, 3, generator=seeded()), ValueError, r"ids\.unsqueeze\(0\)"),
        (lambda: aligned_windows(BLOCKS[:0], 3), ValueError, r"one block, got \(0, 10\)"),
        (lambda: aligned_windows([[1, 2]], 1), TypeError, "blocks must be a tensor.*got list"),
        (lambda: aligned_windows(BLOCKS, 0), ValueError, "seq_len must be at least 1, got 0"),
        (lambda: aligned_windows(BLOCKS, 3, shift=-1), ValueError, "shift must be at least 0"),
        (lambda: aligned_windows(BLOCKS, 3, shift=1.0), TypeError, "shift must be an int"),
        (lambda: aligned_windows(BLOCKS, 5, shift=5), ValueError, "at most 4, got 5.*shift = 5"),
    ],
)
def test_a_bad_argument_is_named_with_value_and_limit(
    call: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()


def test_the_examples_run() -> None:
    results = doctest.testmod(simplellm.corpus)
    assert results.attempted > 0 and results.failed == 0


@pytest.mark.parametrize("start", ["", "\N{DAGGER}"])  # two bytes that are no zeros
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_byte_order_mark_is_refused_with_its_encoding(
    encoding: str, start: str, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes((start + "plain words " * 200).encode(encoding))
    offset = path.read_bytes().index(b"\0")
    words = rf"text\.txt.*zero byte at offset {offset}\. .*encoding='{encoding}'"
    with pytest.raises(ValueError, match=words):
        read_text(path)
