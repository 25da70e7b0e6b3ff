"""What the input layer costs, beside the idiom everybody writes and beside the bare lookup.

Run ``python -m benchmarks.layer`` (about a minute). It prints Markdown; the targets are reported
beside the measurements and never asserted, because a busy machine is no defect.

Each round runs every candidate once, in a shuffled order, and a ratio is taken *within* a round:
what the machine does meanwhile then hits numerator and denominator alike. The median over rounds
is reported, with the middle half of the rounds as its spread.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from simplellm import InputEmbedding
from tools.machine.compiler import MISSING, find_compiler
from tools.machine.timing import as_ratio, as_time, measure, print_table

VOCAB_SIZE = 32_768
DROPOUT = 0.1


@dataclass(frozen=True)
class Size:
    """One size of input, with the ratios to the idiom that are aimed for."""

    batch: int
    seq_len: int
    d_model: int
    calls: int  # per round, so that a round of a tiny input is longer than the clock's grain
    forward: float
    compiled: float

    def __str__(self) -> str:
        return f"({self.batch}, {self.seq_len}, {self.d_model})"


SIZES = [
    Size(4, 64, 64, calls=50, forward=1.3, compiled=0.85),
    Size(8, 128, 512, calls=5, forward=1.1, compiled=0.6),
    Size(16, 512, 512, calls=1, forward=1.0, compiled=0.5),
]
TRAINING_TARGET = 1.15


class Idiom(nn.Module):
    """The layer as it is usually written: right for good input, silent or cryptic for bad."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.d_model = size.d_model
        self.embedding = nn.Embedding(VOCAB_SIZE, size.d_model)
        position = torch.arange(size.seq_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, size.d_model, 2) * (-math.log(1e4) / size.d_model))
        pe = torch.zeros(1, size.seq_len, size.d_model)
        pe[0, :, 0::2] = torch.sin(position * div_term)
        pe[0, :, 1::2] = torch.cos(position * div_term)
        self.pe: Tensor
        self.register_buffer("pe", pe)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) * math.sqrt(self.d_model)
        x = x + self.pe[:, : x.size(1)]
        return self.dropout(x)


class LearnedIdiom(nn.Module):
    """The same with a second table. Training it is more work, so it has a row of its own."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.d_model = size.d_model
        self.embedding = nn.Embedding(VOCAB_SIZE, size.d_model)
        self.positions = nn.Embedding(size.seq_len, size.d_model)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) * math.sqrt(self.d_model)
        x = x + self.positions(torch.arange(ids.size(1), device=ids.device))
        return self.dropout(x)


def build(size: Size) -> dict[str, nn.Module]:
    """The candidates, under the names of the tables below."""
    shape = (VOCAB_SIZE, size.d_model, size.seq_len, DROPOUT)
    return {
        "sinusoidal": InputEmbedding(*shape),
        "learned": InputEmbedding(*shape, use_learned_pe=True),
        "idiom": Idiom(size),
        "learned idiom": LearnedIdiom(size),
    }


def random_ids(size: Size) -> Tensor:
    """Ids as a batch of real text would give them: any of the vocabulary."""
    return torch.randint(0, VOCAB_SIZE, (size.batch, size.seq_len))


@torch.no_grad()
def report_forward(rounds: int) -> None:
    """Forward pass in evaluation, beside the idiom and the bare lookup."""
    rows = []
    for size in SIZES:
        ids, modules = random_ids(size), build(size)
        bare = nn.Embedding(VOCAB_SIZE, size.d_model)
        candidates: dict[str, Callable[[], object]] = {"bare lookup": partial(bare, ids)}
        for name, module in modules.items():
            candidates[name] = partial(module.eval(), ids)
        seconds = measure(candidates, size.calls, rounds)
        for name in candidates:
            target = size.forward if name in ("sinusoidal", "learned") else None
            rows.append([str(size), name, as_time(seconds[name])])
            rows[-1] += as_ratio(seconds[name], seconds["idiom"], target)
    head = ["(batch, seq_len, d_model)", "what", "time", "target", "ratio to the idiom", ""]
    print_table("Forward, evaluation", head, rows)


def training_step(module: nn.Module, ids: Tensor) -> None:
    """All of a step but the optimiser's part."""
    module.zero_grad(set_to_none=True)
    module(ids).square().mean().backward()


def report_training(rounds: int) -> None:
    """Forward with dropout, a mean square as loss, and backward, beside the idiom's."""
    rows = []
    for size in SIZES:
        ids, modules = random_ids(size), build(size)
        candidates: dict[str, Callable[[], object]] = {
            name: partial(training_step, module.train(), ids) for name, module in modules.items()
        }
        seconds = measure(candidates, max(1, size.calls // 5), max(5, rounds // 2))
        for name, beside in (("sinusoidal", "idiom"), ("learned", "learned idiom")):
            rows.append([str(size), name, as_time(seconds[name]), as_time(seconds[beside])])
            rows[-1] += as_ratio(seconds[name], seconds[beside], TRAINING_TARGET)
    head = ["(batch, seq_len, d_model)", "what", "time", "its idiom", "target", "ratio", ""]
    print_table(
        "Training step: forward with dropout, loss, backward; no optimiser, whose work is the same",
        head,
        rows,
    )


@torch.no_grad()
def report_compiled(rounds: int) -> None:
    """Compiled forward, beside the idiom as it is.

    Compiled, the idiom and the layer are one kernel to the letter, so the idiom's row is the floor:
    at the smallest size the compiler's own way to that kernel costs as much as all of the idiom.
    """
    if find_compiler() is None:
        print(f"\nCompiled forward: left out, {MISSING}.")
        return
    rows = []
    for size in SIZES:
        torch.compiler.reset()
        ids, modules = random_ids(size), build(size)
        candidates: dict[str, Callable[[], object]] = {}
        for name, module in modules.items():
            module.eval()
            if name == "idiom":
                candidates["idiom, eager"] = partial(module, ids)
            if name != "learned idiom":
                compiled = torch.compile(module, fullgraph=True)
                candidates[f"{name}, compiled"] = partial(compiled, ids)
        seconds = measure(candidates, size.calls, rounds)
        for name in candidates:
            target = size.compiled if name.startswith(("sinusoidal", "learned")) else None
            rows.append([str(size), name, as_time(seconds[name])])
            rows[-1] += as_ratio(seconds[name], seconds["idiom, eager"], target)
    head = ["(batch, seq_len, d_model)", "what", "time", "target", "ratio to the eager idiom", ""]
    print_table(f"Compiled forward, evaluation ({find_compiler()})", head, rows)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes that operations allocate, and the most that were alive at one time."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.tensors_of: dict[int, int] = {}  # storage address: how many tensors show it
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.allocated = self.live = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self._watch(tensor)
        return out

    def _watch(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self.known:
            return
        if self.tensors_of.get(address, 0) == 0:
            self.allocated += size
            self.live += size
            self.peak = max(self.peak, self.live)
        self.tensors_of[address] = self.tensors_of.get(address, 0) + 1
        weakref.finalize(tensor, self._release, address, size)

    def _release(self, address: int, size: int) -> None:
        self.tensors_of[address] -= 1
        if self.tensors_of[address] == 0:
            self.live -= size


@torch.no_grad()
def report_memory() -> None:
    """What evaluation allocates beside its output, in tensors of the output's size."""
    rows = []
    for size in SIZES:
        ids = random_ids(size)
        counts: dict[str, tuple[float, float]] = {}
        for name, module in build(size).items():
            module.eval()
            known = [ids, *module.state_dict().values()]
            with LiveBytes(known) as bytes_:
                out = module(ids)
            output = out.untyped_storage().nbytes()
            counts[name] = (bytes_.allocated / output - 1, bytes_.peak / output - 1)
        for name in ("sinusoidal", "learned"):
            allocated, peak = counts[name]
            met = max(allocated, peak) <= 1.001 and all(
                ours <= theirs for ours, theirs in zip(counts[name], counts["idiom"], strict=True)
            )
            rows.append([str(size), name, "≤ 1 and ≤ idiom"])
            rows[-1] += [f"{n:.2f}" for n in (allocated, peak, *counts["idiom"])]
            rows[-1] += ["met" if met else "**missed**"]
    head = ["(batch, seq_len, d_model)", "what", "target", "allocated", "peak"]
    head += ["idiom allocated", "idiom peak", ""]
    print_table(
        "Memory in evaluation: bytes beside the output, in tensors of the output's size; allocated "
        "in all, and at the peak",
        head,
        rows,
    )


def cpu_model() -> str:
    """The processor's own name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="more rounds, narrower spread")
    rounds = max(5, parser.parse_args().rounds)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    print("## The input layer, measured\n")
    print(
        f"{cpu_model()}; {torch.get_num_threads()} thread; torch {torch.__version__}; Python "
        f"{platform.python_version()}; vocab_size {VOCAB_SIZE}, float32; medians over rounds of "
        "interleaved runs, middle half in brackets. Unsettled: the middle half lies on both sides "
        "of the target; run again on a quieter machine, or with more --rounds."
    )
    report_forward(rounds)
    report_training(rounds)
    report_compiled(rounds)
    report_memory()


if __name__ == "__main__":
    main()
