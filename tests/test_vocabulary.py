"""Vocabulary: any Unicode text to ids and back, and a file that holds it whole."""

from __future__ import annotations

import copy
import doctest
import json
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import simplellm.byte_pairs
import simplellm.vocabulary
from simplellm.byte_pairs import learn_merges
from simplellm.vocabulary import BOS, EOS, PAD, Vocabulary

quick = settings(max_examples=150, deadline=None, database=None)

# Words that repeat, so that BPE finds merges, in letters of one to four bytes.
TRAINING = "the dog bites the man, the man bites the dog – größer, größer, größer 🙂🙂🙂\n" * 3
VOCABULARIES = {
    "characters": Vocabulary.characters(TRAINING),
    "characters, no bytes": Vocabulary.characters(TRAINING, byte_fallback=False),
    "bytes": Vocabulary.bytes(),
    "bpe": Vocabulary.bpe(TRAINING, 300),
}
FOR_ANY_TEXT = ["characters", "bytes", "bpe"]

any_text = st.text(st.characters(exclude_categories=["Cs"]))
each_vocabulary = pytest.mark.parametrize("name", list(VOCABULARIES))


# -- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOR_ANY_TEXT)
@quick
@given(text=any_text)
@example(text="")
@example(text="\x00 \r\n\t  \u2028 \ufeff\ufffd é é 👩‍👩‍👧 \U0010ffff")
@example(text="<bos><pad><eos><0x41>␣Ġ")
def test_any_text_comes_back_exactly(name: str, text: str) -> None:
    vocabulary = VOCABULARIES[name]
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize("name", FOR_ANY_TEXT)
@quick
@given(text=st.one_of(any_text, st.sampled_from(["<pad>", "<bos>", "<eos>", "<s>", "</s>"])))
def test_no_text_encodes_to_pad_bos_or_eos(name: str, text: str) -> None:
    vocabulary = VOCABULARIES[name]
    assert all(EOS < i < len(vocabulary) for i in vocabulary.encode(text))


def test_pad_bos_and_eos_are_0_1_and_2() -> None:
    assert (PAD, BOS, EOS) == (0, 1, 2)


@each_vocabulary
def test_bos_and_eos_are_put_around_on_request_and_leave_no_trace(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    plain = vocabulary.encode("the man")
    whole = vocabulary.encode("the man", bos=True, eos=True)
    assert whole == [BOS, *plain, EOS]
    assert vocabulary.encode("", bos=True) == [BOS]
    assert vocabulary.decode([*whole, PAD, PAD]) == "the man"


@each_vocabulary
def test_a_list_and_a_tensor_decode_alike(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    ids = vocabulary.encode("the größer man")
    for tensor in (torch.tensor(ids), torch.tensor(ids, dtype=torch.int32)):
        assert vocabulary.decode(tensor) == "the größer man"
        assert vocabulary.tokens(tensor) == vocabulary.tokens(ids)


@pytest.mark.parametrize("name", FOR_ANY_TEXT)
def test_bytes_that_are_no_text_become_the_replacement_character(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    start = vocabulary.encode("\x00")[0]  # no character of the training text: the row of byte 0
    assert vocabulary.decode([start + 0x64, start + 0xE2, start + 0x82]) == "d\ufffd"


# -- which ids ------------------------------------------------------------------------------------


@quick
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_characters_are_numbered_from_3_in_sorted_order(text: str) -> None:
    order = sorted(set(text))
    for byte_fallback, rows in ((False, 3 + len(order)), (True, 3 + len(order) + 256)):
        vocabulary = Vocabulary.characters(text, byte_fallback=byte_fallback)
        assert vocabulary.encode(text) == [3 + order.index(c) for c in text]
        assert len(vocabulary) == vocabulary.vocab_size == rows


@quick
@given(known=st.text("abc", min_size=1), unknown=st.characters(exclude_categories=["Cs"]))
@example(known="a", unknown="é")
def test_an_unknown_character_becomes_its_utf_8_bytes(known: str, unknown: str) -> None:
    if unknown in known:
        return
    after = 3 + len(set(known))
    expected = [after + byte for byte in unknown.encode("utf-8")]
    assert Vocabulary.characters(known).encode(unknown) == expected


def test_without_byte_rows_an_unknown_character_is_named_with_its_place() -> None:
    words = r"'é' at index 2, .* 1 characters .*from a text that has it, or with byte_fallback=True"
    with pytest.raises(ValueError, match=words):
        Vocabulary.characters("a", byte_fallback=False).encode("aaé")


def test_a_vocabulary_of_no_characters_is_the_bytes() -> None:
    assert len(Vocabulary("characters")) == 259
    assert Vocabulary("characters").encode("é") == Vocabulary.bytes().encode("é")


@quick
@given(text=any_text)
def test_a_byte_is_its_value_plus_3(text: str) -> None:
    assert Vocabulary.bytes().encode(text) == [byte + 3 for byte in text.encode("utf-8")]
    assert len(Vocabulary.bytes()) == 259


@quick
@given(text=any_text)
def test_bpe_with_no_merges_is_the_bytes(text: str) -> None:
    assert Vocabulary.bpe(TRAINING, 259).encode(text) == Vocabulary.bytes().encode(text)


# -- BPE ------------------------------------------------------------------------------------------


def most_frequent_pairs(words: dict[tuple[str, ...], int], number: int) -> list[tuple[str, str]]:
    """Merge the most frequent pair, again and again, in plain Python."""
    merges: list[tuple[str, str]] = []
    for _ in range(number):
        counts: dict[tuple[str, str], int] = {}
        for word, times in words.items():
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + times
        best = max(counts, key=lambda pair: counts[pair])
        merges.append(best)
        merged: dict[tuple[str, ...], int] = {}
        for word, times in words.items():
            parts: list[str] = []
            for letter in word:
                if parts and (parts[-1], letter) == best:
                    parts[-1] += letter
                else:
                    parts.append(letter)
            merged[tuple(parts)] = times
        words = merged
    return merges


def test_bpe_merges_the_most_frequent_pair_first() -> None:
    # Counts that never tie: t-h 10, then th-e 9, then space-the 7.
    text = "the" + " the" * 7 + "\nthe" + " th" + " ma" * 5
    words = {
        ("t", "h", "e"): 2,
        (" ", "t", "h", "e"): 7,
        (" ", "t", "h"): 1,
        (" ", "m", "a"): 5,
    }
    expected = most_frequent_pairs(words, 3)
    pieces = [*map(chr, range(256))]
    for left, right in learn_merges(text, 259, first_byte=0):
        pieces.append(pieces[left] + pieces[right])
    assert pieces[256:] == [left + right for left, right in expected] == ["th", "the", " the"]


def test_two_merges_may_lead_to_one_piece_which_has_one_id() -> None:
    a, b, ab = 3 + ord("a"), 3 + ord("b"), 259
    merges = [(a, b), (b, a), (ab, a), (a, 260), (261, 261)]  # "aba" in two ways, then twice
    vocabulary = Vocabulary("bpe", merges=merges)
    assert len(vocabulary) == 263
    assert [vocabulary.decode([i]) for i in range(259, 263)] == ["ab", "ba", "aba", "abaaba"]


def test_bpe_learns_merges_of_bytes_that_cannot_be_printed() -> None:
    assert Vocabulary.bpe("\0\0 \0\0", 260).decode([259]) == "\0\0"


def test_bpe_needs_fewer_ids_than_bytes() -> None:
    assert len(VOCABULARIES["bpe"].encode(TRAINING)) < len(TRAINING.encode()) / 3


def test_bpe_stops_at_vocab_size_and_earlier_where_no_pair_occurs_twice() -> None:
    assert len(Vocabulary.bpe(TRAINING, 270)) == 270
    assert len(Vocabulary.bpe("abc", 1000)) == 259


def test_the_same_text_gives_the_same_bpe_also_in_a_fresh_process() -> None:
    vocabulary = Vocabulary.bpe(TRAINING, 300)
    assert vocabulary == VOCABULARIES["bpe"]
    program = (
        "import sys; from simplellm.vocabulary import Vocabulary; "
        "v = Vocabulary.bpe(sys.argv[1], 300); print(v._merges, v.encode(sys.argv[1]))"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", program, TRAINING], capture_output=True, text=True, check=True
    )
    assert fresh.stdout == f"{vocabulary._merges} {vocabulary.encode(TRAINING)}\n"


def test_without_the_tokenizers_library_bpe_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    way_out = r"^BPE needs the tokenizers package: pip install tokenizers\. Vocabulary\.char"
    with pytest.raises(ImportError, match=way_out):
        Vocabulary.bpe(TRAINING, 300)
    assert Vocabulary.bytes().encode("a") == [100]


def test_importing_the_vocabulary_does_not_import_tokenizers() -> None:
    program = "import sys, simplellm.vocabulary; sys.exit('tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# -- names for pictures ---------------------------------------------------------------------------


def test_tokens_make_spaces_newlines_and_bytes_visible() -> None:
    vocabulary = Vocabulary.characters("a b\n\t\\")
    ids = [BOS, *vocabulary.encode("a b\n\t\\é~\0"), EOS, PAD]
    assert vocabulary.tokens(ids) == [
        *["<bos>", "a", "␣", "b", "↵", "\\t", "\\"],
        *["<0xC3>", "<0xA9>", "<0x7E>", "<0x00>", "<eos>", "<pad>"],
    ]


def test_tokens_of_bpe_name_each_byte_of_a_piece_that_is_no_text() -> None:
    vocabulary = Vocabulary("bpe", merges=[(3 + 0xE2, 3 + 0x82)])  # two bytes of three
    assert vocabulary.tokens([259]) == ["<0xE2><0x82>"]


def test_tokens_of_bpe_are_pieces_of_words() -> None:
    vocabulary = Vocabulary.bpe(TRAINING, 300)
    tokens = vocabulary.tokens(vocabulary.encode("dog the man"))
    assert "".join(tokens) == "dog␣the␣man"
    assert "␣the" in tokens


@each_vocabulary
def test_every_id_has_a_name_that_can_be_printed(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    names = vocabulary.tokens(range(len(vocabulary)))
    assert all(token and token.isprintable() and " " not in token for token in names)


# -- equality, copies, files ----------------------------------------------------------------------


def test_vocabularies_are_equal_when_they_encode_alike() -> None:
    assert Vocabulary.characters("ab") == Vocabulary.characters("ba")
    assert hash(Vocabulary.characters("ab")) == hash(Vocabulary.characters("ba"))
    different = [*VOCABULARIES.values(), Vocabulary.characters("ab"), Vocabulary.bpe(TRAINING, 280)]
    assert len(set(different)) == len(set(map(hash, different))) == len(different)
    assert Vocabulary.bytes() != "bytes"


@each_vocabulary
def test_saved_and_loaded_it_encodes_alike(name: str, tmp_path: Path) -> None:
    vocabulary = VOCABULARIES[name]
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(str(tmp_path / "vocabulary.json"))
    assert loaded == vocabulary
    assert loaded.kind == vocabulary.kind
    assert loaded.encode(TRAINING) == vocabulary.encode(TRAINING)
    assert [path.name for path in tmp_path.iterdir()] == ["vocabulary.json"]


@each_vocabulary
def test_copied_and_pickled_it_encodes_alike(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    vocabulary.encode(TRAINING)  # whatever is kept for the next call is kept by now
    for twin in (copy.deepcopy(vocabulary), pickle.loads(pickle.dumps(vocabulary))):
        assert twin == vocabulary
        assert twin.encode(TRAINING) == vocabulary.encode(TRAINING)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vocabulary.json"
    Vocabulary.bytes().save(path)
    before = path.read_bytes()

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        VOCABULARIES["bpe"].save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["vocabulary.json"]


GOOD = {"format": "simplellm vocabulary", "version": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "utf-8"),
        (b'{"format": "simplellm voc', "char"),
        (b"[]", '"format"'),
        (b'{"model": {}}', '"format"'),
        ({**GOOD, "version": 2, "kind": "bytes"}, "version is 2, this package reads 1"),
        ({"format": "simplellm vocabulary", "kind": "bytes"}, "version is None"),
        (GOOD, "kind None"),
        ({**GOOD, "kind": "words"}, "kind 'words'"),
        ({**GOOD, "kind": ["bpe"]}, "kind"),
        ({**GOOD, "kind": "bpe"}, r"kind 'bpe' and \[\]"),
        ({**GOOD, "kind": "bytes", "merges": []}, "merges"),
        ({**GOOD, "kind": "bpe", "merges": [[3, 700]]}, r"earlier pieces, got \[3, 700\]"),
        ({**GOOD, "kind": "bpe", "merges": [[3, 259]]}, r"earlier pieces, got \[3, 259\]"),
        ({**GOOD, "kind": "bpe", "merges": [[3, 2]]}, r"earlier pieces, got \[3, 2\]"),
        (
            {**GOOD, "kind": "bpe", "merges": [[3.0, 4]]},
            ": an id in merges must be an int",
        ),
        ({**GOOD, "kind": "bpe", "merges": [[3]]}, "unpack"),
        ({**GOOD, "kind": "bpe", "merges": 7}, "iterable"),
        ({**GOOD, "kind": "characters", "characters": 7, "byte_fallback": True}, "str, got int"),
        (
            {**GOOD, "kind": "characters", "characters": "a", "byte_fallback": "yes"},
            "byte_fallback must be True or False",
        ),
        (
            {**GOOD, "kind": "characters", "characters": "\ud800", "byte_fallback": True},
            "half of a surrogate pair",
        ),
    ],
)
def test_a_file_that_is_no_vocabulary_is_named_with_the_reason(
    content: Any, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=rf"(?s)wrong\.json.*Vocabulary\.save.*{words}"):
        Vocabulary.load(path)


def test_a_file_or_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        Vocabulary.load(tmp_path / "absent.json")
    with pytest.raises(FileNotFoundError, match=r"absent.*folder"):
        Vocabulary.bytes().save(tmp_path / "absent" / "vocabulary.json")


# -- bad arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOR_ANY_TEXT)
def test_half_of_a_surrogate_pair_is_named_with_its_place(name: str) -> None:
    words = r"'\\ud83d' at index 4, .*surrogate pair, which no UTF-8 can hold\. Remove it: text\."
    with pytest.raises(ValueError, match=words):
        VOCABULARIES[name].encode("dog \ud83d")


@pytest.mark.parametrize("build", [Vocabulary.characters, lambda text: Vocabulary.bpe(text, 300)])
@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", ValueError, "^text is empty: a vocabulary is built from"),
        (b"dog", TypeError, "text must be a str, got bytes"),
        ("a\udc00", ValueError, "at index 1"),
    ],
)
def test_a_text_that_gives_no_vocabulary_is_refused(
    build: Any, text: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        build(text)


@pytest.mark.parametrize(
    ("vocab_size", "error", "words"),
    [(258, ValueError, "at least 259.*got 258"), (300.0, TypeError, "vocab_size must be an int")],
)
def test_a_bpe_that_cannot_hold_the_bytes_is_refused(
    vocab_size: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Vocabulary.bpe(TRAINING, vocab_size)


@each_vocabulary
@pytest.mark.parametrize("method", ["decode", "tokens"])
@pytest.mark.parametrize(
    ("ids", "error", "words"),
    [
        ([3, -1], IndexError, "got -1 at index 1"),
        ([99_999], IndexError, "below vocab_size = .*got 99999 at index 0"),
        ([3.0], TypeError, r"ids\[0\] must be an int, got 3.0"),
        ([True], TypeError, r"ids\[0\] must be an int, got True"),
        (torch.tensor([[3, 4]]), ValueError, r"\(seq_len,\), got \(1, 2\).*ids\[0\]"),
    ],
    ids=["negative", "too large", "float", "bool", "2-D"],
)
def test_bad_ids_are_named(
    name: str, method: str, ids: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        getattr(VOCABULARIES[name], method)(ids)


@each_vocabulary
def test_the_first_id_past_the_last_is_named_with_the_size(name: str) -> None:
    size = len(VOCABULARIES[name])
    with pytest.raises(IndexError, match=f"below vocab_size = {size}, got {size} at index 1"):
        VOCABULARIES[name].decode([size - 1, size])


def test_flags_and_kinds_are_checked() -> None:
    for name in ("bos", "eos"):
        with pytest.raises(TypeError, match=f"^{name} must be True or False"):
            Vocabulary.bytes().encode("a", **{name: 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'"characters", "bytes" or "bpe", got .x'):
        Vocabulary("x")


def test_repr_names_kind_and_size() -> None:
    assert repr(Vocabulary.bytes()) == "Vocabulary(kind='bytes', vocab_size=259)"


@pytest.mark.parametrize("module", [simplellm.vocabulary, simplellm.byte_pairs])
def test_the_examples_run(module: Any) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0 and results.failed == 0
