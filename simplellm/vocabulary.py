"""From text to token ids and back: characters, bytes, or byte-level BPE."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from .byte_pairs import byte_pair_encoder, learn_merges
from .checks import check_bool, check_int, check_positive_int
from .files import write_atomically

#: The id of padding.
PAD = 0
#: The id at the beginning of a sequence.
BOS = 1
#: The id at the end of a sequence.
EOS = 2
#: The names of PAD, BOS and EOS.
SPECIALS = ("<pad>", "<bos>", "<eos>")

#: The bytes of one id; inside the class, `bytes` is a constructor.
Piece = bytes
#: The pieces of one byte.
BYTES = tuple(Piece([byte]) for byte in range(256))
#: The size of a BPE vocabulary without merges.
SMALLEST_BPE = len(SPECIALS) + len(BYTES)

#: The name of the format, in every file.
FORMAT = "simplellm vocabulary"
#: The version of the format.
VERSION = 1


class Vocabulary:
    r"""A vocabulary: encodes text as token ids and decodes ids to text.

    Built with ``Vocabulary.characters(text)``, ``Vocabulary.bytes()`` or
    ``Vocabulary.bpe(text, vocab_size)``. Ids 0, 1 and 2 are PAD, BOS and EOS, and no text encodes
    to them: "<bos>" in a text is five ordinary characters. Every other id is that of a few bytes
    of UTF-8, its *piece*, so that any Unicode text comes back exactly as it was. The rows:

    - characters: the text's characters in sorted order from id 3; then, for characters that the
      text did not have, one row per byte.
    - bytes: byte + 3.
    - bpe: byte + 3; then one row per merge of two pieces, in the order in which they were learned.

    Args:
        kind: "characters", "bytes" or "bpe".
        characters: The known characters, for kind "characters".
        byte_fallback: Whether there are rows for the bytes of unknown characters.
        merges: For kind "bpe": pairs of ids, each merged into one piece.

    Attributes:
        kind: As given.
        vocab_size: Number of ids, PAD, BOS and EOS among them; also ``len(vocabulary)``.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is nothing to build from, or text holds half of a surrogate pair.

    Example:
        >>> vocabulary = Vocabulary.characters("dog bites man")
        >>> vocabulary.encode("dog", bos=True)
        [1, 6, 12, 8]
        >>> vocabulary.tokens(vocabulary.encode("a é"))
        ['a', '␣', '<0xC3>', '<0xA9>']
        >>> vocabulary.decode(vocabulary.encode("a é", eos=True))
        'a é'

    Source: Sennrich et al. 2016 (BPE); Radford et al. 2019 (on bytes).
    """

    def __init__(
        self,
        kind: str,
        *,
        characters: str = "",
        byte_fallback: bool = True,
        merges: Iterable[Sequence[int]] = (),
    ) -> None:
        check_bool("byte_fallback", byte_fallback)
        if kind not in {"characters", "bytes", "bpe"}:
            raise ValueError(f'kind must be "characters", "bytes" or "bpe", got {kind!r}.')
        self.kind = kind
        self._merges = tuple((_piece_id(left), _piece_id(right)) for left, right in merges)
        pieces = [b""] * len(SPECIALS)
        if kind == "characters":
            _utf8(characters)  # refuses what is no text
            known = sorted(set(characters))
            pieces += [character.encode() for character in known]
            self._id_of = {character: len(SPECIALS) + i for i, character in enumerate(known)}
        self._first_byte = len(pieces) if kind != "characters" or byte_fallback else None
        if self._first_byte is not None:
            pieces += BYTES
        seen = set(pieces)
        for pair in self._merges:
            for i in pair:
                if not len(SPECIALS) <= i < len(pieces):
                    raise ValueError(f"merges must join ids of earlier pieces, got {list(pair)}.")
            merged = pieces[pair[0]] + pieces[pair[1]]
            if merged not in seen:  # two merges may lead to one piece
                seen.add(merged)
                pieces.append(merged)
        self._pieces = tuple(pieces)

    @classmethod
    def characters(cls, text: str, *, byte_fallback: bool = True) -> Vocabulary:
        """Build one row per character of ``text``.

        Args:
            text: What the characters are taken from.
            byte_fallback: Add a row per byte, so that every other character can be written too.
                Without it, encoding an unknown character raises.
        """
        _check_text(text)
        return cls("characters", characters=text, byte_fallback=byte_fallback)

    @classmethod
    def bytes(cls) -> Vocabulary:
        """Build one row per byte: 259 ids, whatever the text."""
        return cls("bytes")

    @classmethod
    def bpe(cls, text: str, vocab_size: int) -> Vocabulary:
        """Learn pieces from ``text``: the most frequent pair of neighbours is merged, repeatedly.

        The same text gives the same pieces. Merges stay within a word and the space before it.

        Args:
            text: What the pieces are learned from.
            vocab_size: Number of ids, at least 259. A short text gives fewer: a pair that occurs
                only once is not merged.

        Raises:
            ImportError: If the ``tokenizers`` package is missing.
        """
        _check_text(text)
        vocab_size = check_positive_int("vocab_size", vocab_size)
        if vocab_size < SMALLEST_BPE:
            raise ValueError(
                f"vocab_size must be at least {SMALLEST_BPE} (256 bytes, PAD, BOS and EOS), "
                f"got {vocab_size}."
            )
        return cls("bpe", merges=learn_merges(text, vocab_size, first_byte=len(SPECIALS)))

    @property
    def vocab_size(self) -> int:
        """Number of ids, PAD, BOS and EOS among them."""
        return len(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> list[int]:
        """Turn text into ids.

        Args:
            text: Any Unicode text, also an empty one.
            bos: Put BOS before it.
            eos: Put EOS after it.

        Raises:
            ValueError: If a character is unknown and there are no rows for bytes, or text holds
                half of a surrogate pair.
            ImportError: For kind "bpe", if the ``tokenizers`` package is missing.
        """
        check_bool("bos", bos)
        check_bool("eos", eos)
        data = _utf8(text)
        if self.kind == "bytes":
            ids = [len(SPECIALS) + byte for byte in data]
        elif self.kind == "bpe":
            ids = self._encoder.encode(text, add_special_tokens=False).ids
        else:
            ids = self._encode_characters(text)
        return [BOS] * bos + ids + [EOS] * eos

    def _encode_characters(self, text: str) -> list[int]:
        ids = []
        for index, character in enumerate(text):
            known = self._id_of.get(character)
            if known is not None:
                ids.append(known)
            elif self._first_byte is not None:
                ids += [self._first_byte + byte for byte in character.encode()]
            else:
                raise ValueError(
                    f"text holds {character!r} at index {index}, which is none of the "
                    f"{len(self._id_of)} characters of this vocabulary. Build it from a text that "
                    "has it, or with byte_fallback=True."
                )
        return ids

    @cached_property
    def _encoder(self) -> Any:
        return byte_pair_encoder(self._pieces, self._merges)

    def decode(self, ids: Sequence[int] | Tensor) -> str:
        """Turn ids into text; PAD, BOS and EOS leave no trace.

        Bytes that are no valid UTF-8, as a model may write them, become the replacement
        character "\N{REPLACEMENT CHARACTER}".

        Args:
            ids: A list, or a tensor of shape ``(seq_len,)``.

        Raises:
            IndexError: If an id is outside the vocabulary.
        """
        return b"".join(self._pieces[i] for i in self._checked(ids)).decode(errors="replace")

    def tokens(self, ids: Sequence[int] | Tensor) -> list[str]:
        """Name each id for the axis of a picture: spaces, newlines and bytes become visible.

        Args:
            ids: A list, or a tensor of shape ``(seq_len,)``.

        Raises:
            IndexError: If an id is outside the vocabulary.
        """
        return [self._name(i) for i in self._checked(ids)]

    def _name(self, i: int) -> str:
        if i < len(SPECIALS):
            return SPECIALS[i]
        piece = self._pieces[i]
        # There may be a row for "a" and one for the byte 0x61, and their names must differ.
        fallback = self.kind == "characters" and i >= len(SPECIALS) + len(self._id_of)
        try:
            text = "" if fallback else piece.decode()
        except UnicodeDecodeError:
            text = ""
        if not text:
            return "".join(f"<0x{byte:02X}>" for byte in piece)
        text = text.replace(" ", "␣").replace("\n", "↵")
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)

    def _checked(self, ids: Sequence[int] | Tensor) -> list[int]:
        if isinstance(ids, Tensor):
            if ids.dim() != 1:
                raise ValueError(
                    f"ids must have shape (seq_len,), got {tuple(ids.shape)}. Take one row: ids[0]."
                )
            ids = ids.tolist()
        for index, i in enumerate(ids):
            if type(i) is not int:  # quick for what a list should hold
                check_int(f"ids[{index}]", i)
            if not 0 <= i < len(self):
                raise IndexError(
                    f"ids must be at least 0 and below vocab_size = {len(self)}, got {i} at "
                    f"index {index}."
                )
        return list(ids)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole vocabulary as JSON; a reader sees the old file or the new one.

        Args:
            path: The file, in a folder that exists.
        """
        content: dict[str, object] = {"format": FORMAT, "version": VERSION, "kind": self.kind}
        if self.kind == "characters":
            content["characters"] = "".join(self._id_of)
            content["byte_fallback"] = self._first_byte is not None
        if self.kind == "bpe":
            content["merges"] = self._merges
        write_atomically(Path(path), json.dumps(content).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read what ``save`` wrote.

        Args:
            path: The file.

        Raises:
            ValueError: If the file holds something else, or is damaged.
        """
        wrong = f"path {os.fspath(path)!r} is no vocabulary that Vocabulary.save wrote"
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:  # no UTF-8, or no JSON
            raise ValueError(f"{wrong}: {error}.") from error
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise ValueError(f'{wrong}: it has no "format": "{FORMAT}".')
        version = content.pop("version", None)
        if version != VERSION:
            raise ValueError(f"{wrong}: its version is {version!r}, this package reads {VERSION}.")
        wanted = {"characters": {"characters", "byte_fallback"}, "bpe": {"merges"}, "bytes": set()}
        kind = content.pop("kind", None)
        if not isinstance(kind, str) or set(content) != wanted.get(kind):
            raise ValueError(f"{wrong}: it says kind {kind!r} and {sorted(content)}.")
        try:
            return cls(kind, **content)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{wrong}: {error}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.kind, self._pieces, self._merges

    def __repr__(self) -> str:
        return f"Vocabulary(kind={self.kind!r}, vocab_size={len(self)})"


def _piece_id(value: object) -> int:
    return check_int("an id in merges", value)


def _check_text(text: object) -> None:
    """Refuse what no vocabulary can be built from."""
    if not _utf8(text):
        raise ValueError("text is empty: a vocabulary is built from the text it is to write.")


def _utf8(text: object) -> Piece:
    """Encode a text as UTF-8; the error names the place that cannot be encoded."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {type(text).__name__}.")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text holds {text[error.start]!r} at index {error.start}, half of a surrogate pair, "
            'which no UTF-8 can hold. Remove it: text.encode(errors="replace").decode().'
        ) from error
