"""What the model costs: each scheme, PyTorch's own encoder layers, the cache, and the sweep.

Run ``python -m benchmarks.model`` (a few minutes). It prints Markdown; nothing is asserted.

Each round runs every candidate once, in a shuffled order, and ratios are taken within a round, so
that what the machine does meanwhile hits numerator and denominator alike. Medians over rounds are
reported, with the middle half as their spread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simplellm import InputEmbedding, SimpleLLM, SimpleLLMConfig
from simplellm.experiments import MICROSCOPE, Experiment
from simplellm.model import POSITIONS, next_token_loss
from simplellm.sweep import run_sweep
from simplellm.training import train
from tools.machine.timing import as_ratio, as_time, measure, print_table

VOCAB_SIZE, BATCH, SEQ_LEN = 106, 32, 64  # those of the microscope on text


class FromEncoderLayers(nn.Module):
    """The microscope with sinusoids, its blocks from `nn.TransformerEncoderLayer`."""

    def __init__(self) -> None:
        super().__init__()
        width = MICROSCOPE["d_model"]
        self.input = InputEmbedding(VOCAB_SIZE, width, MICROSCOPE["max_seq_len"], 0.0)
        layer = nn.TransformerEncoderLayer(
            width,
            MICROSCOPE["n_heads"],
            4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, MICROSCOPE["n_layers"], nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.output = nn.Linear(width, VOCAB_SIZE, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.output(self.layers(self.input(ids), mask=mask, is_causal=True))


def microscope(position: str) -> SimpleLLM:
    """The model of the book's experiments."""
    settings = {**MICROSCOPE, "position": position, "max_seq_len": 512}
    return SimpleLLM(SimpleLLMConfig(vocab_size=VOCAB_SIZE, **settings))


def training_step(model: nn.Module) -> Callable[[], object]:
    """A whole step: forward, loss, backward, clipping and the optimiser."""
    ids = torch.randint(3, VOCAB_SIZE, (BATCH, SEQ_LEN + 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        next_token_loss(model(ids[:, :-1]), ids[:, 1:]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def forward(model: nn.Module) -> Callable[[], object]:
    """Reading a batch without gradients."""
    ids = torch.randint(3, VOCAB_SIZE, (BATCH, SEQ_LEN))

    def run() -> None:
        with torch.no_grad():
            model(ids)

    return run


def report_schemes(rounds: int) -> None:
    """A training step and a forward pass of each scheme, beside PyTorch's own layers."""
    models: dict[str, nn.Module] = {name: microscope(name) for name in POSITIONS}
    models["TransformerEncoderLayer, sinusoidal"] = FromEncoderLayers()
    steps = measure({name: training_step(model) for name, model in models.items()}, 1, rounds)
    reads = measure({name: forward(model.eval()) for name, model in models.items()}, 1, rounds)
    rows = []
    for name in models:
        rate = BATCH * SEQ_LEN / statistics.median(steps[name])
        beside = as_ratio(steps[name], steps["sinusoidal"], None)[1]
        rows.append([name, as_time(steps[name]), beside, f"{rate:,.0f}", as_time(reads[name])])
    print_table(
        f"The microscope, {BATCH} × {SEQ_LEN} tokens, one thread",
        ["scheme", "training step", "ratio to sinusoidal", "tokens/s in training", "forward"],
        rows,
    )


def report_generation(rounds: int, new_tokens: int = 128) -> None:
    """Greedy generation with and without the cache."""
    prompt = torch.randint(3, VOCAB_SIZE, (1, 16))
    rows = []
    for name in POSITIONS:
        generate = partial(microscope(name).generate, prompt, new_tokens)
        ways = {"with": generate, "without": partial(generate, use_cache=False)}
        seconds = measure(ways, 1, rounds)
        rates = [f"{new_tokens / statistics.median(seconds[way]):.0f}" for way in ways]
        rows.append([name, *rates, as_ratio(seconds["without"], seconds["with"], None)[1]])
    print_table(
        f"Generating {new_tokens} tokens after 16, tokens per second",
        ["scheme", "with cache", "without", "times as fast"],
        rows,
    )


def report_sweep(runs: int) -> None:
    """The same runs by one process and by two: how much of the second is used."""
    common: dict[str, Any] = {"task": "token_back", "model": MICROSCOPE, "steps": 150}
    experiment = Experiment(
        name="benchmark",
        title="Throughput",
        common=common,
        arms={"one": {}},
        rates=(3e-3,),
        seeds=tuple(range(runs)),
    )
    seconds: dict[int, list[float]] = {}
    for jobs in (1, 2, 1, 2):
        with tempfile.TemporaryDirectory() as out:
            begin = time.perf_counter()
            run_sweep({"benchmark": experiment}, train, Path(out), jobs=jobs)
            seconds.setdefault(jobs, []).append(time.perf_counter() - begin)
    best = {jobs: min(values) for jobs, values in seconds.items()}
    rows = [[str(jobs), f"{best[jobs]:.1f} s", f"{runs / best[jobs]:.2f}"] for jobs in best]
    print_table(
        f"The sweep, {runs} runs of 150 steps, starting of processes included",
        ["processes", "time, best of two", "runs/s"],
        rows,
    )
    print(f"\nEfficiency of two: {best[1] / (2 * best[2]):.2f} (aim: at least 0.9)")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=12, help="of the sweep")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"## Model\n\ntorch {torch.__version__}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}")
    report_sweep(options.runs)
    report_schemes(options.rounds)
    report_generation(max(3, options.rounds // 3))


if __name__ == "__main__":
    main()
