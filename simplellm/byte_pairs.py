"""Byte-pair encoding on bytes: learning the merges and applying them, by the tokenizers library.

The library names each byte by a letter and counts rows in its own way. Neither leaves this file:
outside, a merge is a pair of ids, and ids are fixed by the bytes and the merges alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def learn_merges(text: str, vocab_size: int, *, first_byte: int) -> list[tuple[int, int]]:
    """Learn which pairs of neighbours to merge, the most frequent first.

    Merges stay within a word and the space before it, and a pair that occurs once is left alone.

    Args:
        text: What to learn from.
        vocab_size: Number of ids to stop at.
        first_byte: The id of byte 0. Byte 255 is followed by the merged pieces in order.

    Returns:
        Pairs of ids.

    Raises:
        ImportError: If the ``tokenizers`` package is missing.

    Example:
        >>> learn_merges("so so so", 258, first_byte=0)  # "s" + "o", then " " + "so"
        [(115, 111), (32, 256)]

    Source: Sennrich et al. 2016, section 3.2.
    """
    tokenizers = _import_tokenizers()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - first_byte,
        min_frequency=2,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner = _on_bytes(tokenizers, tokenizers.models.BPE())
    learner.train_from_iterator([text], trainer)
    id_of = {letter: first_byte + byte for byte, letter in enumerate(_letters(tokenizers))}
    merges = []
    for left, right in json.loads(learner.to_str())["model"]["merges"]:
        merges.append((id_of[left], id_of[right]))
        id_of.setdefault(left + right, first_byte + len(id_of))  # two merges may give one piece
    return merges


def byte_pair_encoder(pieces: Sequence[bytes], merges: Sequence[tuple[int, int]]) -> Any:
    """Make a tokenizer that gives the ids of these pieces, for any text.

    Args:
        pieces: The bytes of each id; an id without bytes is never given.
        merges: Pairs of ids, first merges first.

    Returns:
        A tokenizer of the tokenizers library.

    Raises:
        ImportError: If the ``tokenizers`` package is missing.

    Example:
        >>> pieces = [bytes([byte]) for byte in range(256)] + [b"so", b" so"]
        >>> byte_pair_encoder(pieces, [(115, 111), (32, 256)]).encode("so so").ids
        [256, 257]
    """
    tokenizers = _import_tokenizers()
    letters = _letters(tokenizers)
    spelled = ["".join(letters[byte] for byte in piece) for piece in pieces]
    rows = {name: i for i, name in enumerate(spelled) if name}
    pairs = [(spelled[left], spelled[right]) for left, right in merges]
    return _on_bytes(tokenizers, tokenizers.models.BPE(rows, pairs))


def _import_tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            "BPE needs the tokenizers package: pip install tokenizers. "
            "Vocabulary.characters and Vocabulary.bytes do without it."
        ) from error
    return tokenizers


def _on_bytes(tokenizers: Any, model: Any) -> Any:
    """A tokenizer that sees the bytes of each word, and adds nothing of its own."""
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _letters(tokenizers: Any) -> list[str]:
    """The letter by which the library writes each byte: itself if printable, else one past 255."""
    printable = set(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    spare = iter(range(256, 512))
    return [chr(b) if chr(b) in printable else chr(next(spare)) for b in range(256)]
