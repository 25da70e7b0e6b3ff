"""What works with a class: what is done with a module and an argument, and what comes of it."""

from __future__ import annotations

import copy
import io
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from simplellm import PositionalEncoding
from simplellm.cache import KeyValueCache

from .cases import CLOSE, INTEGERS, SAME, Ability


def difference(got: Tensor, wanted: Tensor) -> str:
    """SAME, or how two outputs differ."""
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return f"{got.dtype} {tuple(got.shape)} instead of {wanted.dtype} {tuple(wanted.shape)}"
    if torch.equal(got, wanted):
        return SAME
    return f"numbers up to {(got.double() - wanted.double()).abs().max():.1g} off"


def near(got: Tensor, wanted: Tensor) -> str:
    """CLOSE, or how two outputs differ: for sums that are added up in another order."""
    if got.shape == wanted.shape and (got - wanted).abs().max() < 1e-5:
        return CLOSE
    return difference(got, wanted)


def lengths(other: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor) -> str:
    """Whether another form of a module computes the same, at two lengths."""
    found = [difference(other(part), module(part)) for part in (x, x[:, :2])]
    return next((text for text in found if text != SAME), SAME)


def compiled(module: nn.Module, x: Tensor) -> str:
    # "eager" runs the graph as it was recorded: whether it is one graph needs no C++ compiler.
    torch.compiler.reset()
    return lengths(torch.compile(module, fullgraph=True, backend="eager"), module, x)


def exported(module: nn.Module, x: Tensor) -> str:
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq_len", max=16)}
    program = torch.export.export(module, (torch.cat([x] * 3),), dynamic_shapes=(free,))
    return lengths(program.module(), module, x)


def under_autocast(module: nn.Module, x: Tensor) -> str:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = module(x)
    return difference(got, module(x))


def in_chunks(module: nn.Module, x: Tensor) -> str:
    chunks = [module(x[:, :2], start=0), module(x[:, 2:], start=2)]
    return difference(torch.cat(chunks, dim=1), module(x))


def at_positions(module: nn.Module, x: Tensor) -> str:
    return difference(module(x, positions=torch.arange(x.shape[1])), module(x))


def past_the_end(module: nn.Module, x: Tensor) -> str:
    far = module(x, start=1000)
    return difference(far, x + PositionalEncoding(x.shape[2], 1005).pe[:, 1000:])


def saved_and_loaded(module: nn.Module, x: Tensor) -> str:
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(module)
    for tensor in other.state_dict().values():
        tensor.zero_()
    other.load_state_dict(torch.load(file, weights_only=True))
    return difference(other(x), module(x))


def copied(module: nn.Module, x: Tensor) -> str:
    twins = (copy.deepcopy(module), pickle.loads(pickle.dumps(module)))
    found = [difference(twin(x), module(x)) for twin in twins]
    return next((text for text in found if text != SAME), SAME)


def reset_from_meta(module: nn.Module, x: Tensor) -> str:
    """What fresh memory holds is replaced: drawn from the same seed, the tables are the same."""
    other = copy.deepcopy(module).to("meta").to_empty(device="cpu")
    for made in (other, module):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made.reset_parameters()
    return difference(other(x), module(x))


def in_cached_pieces(module: nn.Module, ids: Tensor) -> str:
    cache = KeyValueCache(module.config.n_layers)
    pieces = [module(piece, cache=cache) for piece in (ids[:, :2], ids[:, 2:])]
    return near(torch.cat(pieces, dim=1), module(ids))


def padded_on_the_left(module: nn.Module, ids: Tensor) -> str:
    padded = torch.nn.functional.pad(ids, (3, 0), value=7)  # no PAD: only the mask can hide it
    mask = torch.arange(padded.shape[1]).expand_as(padded) >= 3
    return near(module(padded, attention_mask=mask)[:, 3:], module(ids))


def packed_in_a_row(module: nn.Module, ids: Tensor) -> str:
    packed, texts = torch.cat((ids, ids[:, 1:]), dim=1), torch.tensor([[0] * 5 + [1] * 4])
    logits = module(packed, segment_ids=texts.expand(len(ids), -1))
    return near(logits, torch.cat((module(ids), module(ids[:, 1:])), dim=1))


def with_rows_selected(module: nn.Module, ids: Tensor) -> str:
    both = torch.cat((ids, ids.flip(1)))
    cache = KeyValueCache(module.config.n_layers)
    module(both[:, :3], cache=cache)
    beams = both[[1, 1, 0]]
    return near(module(beams[:, 3:], cache=cache.select([1, 1, 0])), module(beams)[:, 3:])


def in_one_file(module: nn.Module, ids: Tensor) -> str:
    with tempfile.TemporaryDirectory() as folder:
        module.save(Path(folder, "model.pt"))
        other = type(module).load(Path(folder, "model.pt"))
    return difference(other.eval()(ids), module(ids))


def any_integers(module: nn.Module, ids: Tensor) -> str:
    ids = ids % 128  # what the shortest of them can hold
    found = [difference(module(ids.to(dtype)), module(ids)) for dtype in INTEGERS]
    return next((text for text in found if text != SAME), SAME)


COMPILE = Ability("`torch.compile(…, fullgraph=True)`", compiled, slow=True)
EXPORT = Ability(
    "`torch.export.export`, batch and length (up to 16) left open", exported, slow=True
)
AUTOCAST = Ability("`torch.autocast` to bfloat16", under_autocast)
SAVE = Ability(
    "`torch.save` of the `state_dict`, and `torch.load(…, weights_only=True)`", saved_and_loaded
)
COPY = Ability("`copy.deepcopy` and `pickle`", copied)
META = Ability("`to_empty` on the meta device, then `reset_parameters()`", reset_from_meta)
CHUNKS = Ability("two chunks, the second with `start=2`", in_chunks)
POSITIONS = Ability("`positions=torch.arange(seq_len)`", at_positions)
INTEGER_IDS = Ability("ids of any integer dtype, 8 to 64 bits, signed or not", any_integers)
CACHE = Ability("two pieces that share a `KeyValueCache`", in_cached_pieces, outcome=CLOSE)
PADDED = Ability(
    "other ids on the left, hidden by `attention_mask`", padded_on_the_left, outcome=CLOSE
)
SEGMENTS = Ability(
    "two texts packed into a row, told apart by `segment_ids`", packed_in_a_row, outcome=CLOSE
)
SELECT = Ability(
    "rows of a `KeyValueCache` repeated and reordered by `select`",
    with_rows_selected,
    outcome=CLOSE,
)
ONE_FILE = Ability("`save`, and `SimpleLLM.load`", in_one_file)
PAST = Ability("`start=1000`, past the table: the rows of a longer table", past_the_end)
