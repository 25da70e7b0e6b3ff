"""Timing candidates in alternation, on a machine that does other things as well."""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable


def measure(
    candidates: dict[str, Callable[[], object]], calls: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds per call of each candidate, one number a round."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    order = list(candidates)
    for name in order * 3:  # caches, the allocator and the branch predictor warm up
        candidates[name]()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            random.shuffle(order)
            for name in order:
                candidate = candidates[name]
                # The candidate before left the allocator holding blocks of its own sizes; whether
                # these fit decides over page faults that cost as much as the arithmetic.
                candidate()
                began = time.perf_counter()
                for _ in range(calls):
                    candidate()
                seconds[name].append((time.perf_counter() - began) / calls)
    finally:
        gc.enable()
    return seconds


def middle(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile."""
    low, median, high = statistics.quantiles(values, n=4)
    return low, median, high


def as_time(seconds: list[float]) -> str:
    """Median and middle half, in microseconds below a millisecond and milliseconds above."""
    low, median, high = middle(seconds)
    unit, factor = ("µs", 1e6) if high < 1e-3 else ("ms", 1e3)
    return f"{median * factor:.3g} {unit} ({low * factor:.3g}–{high * factor:.3g})"


def as_ratio(numerator: list[float], denominator: list[float], target: float | None) -> list[str]:
    """The cells target, ratio and verdict."""
    ratios = [above / below for above, below in zip(numerator, denominator, strict=True)]
    low, median, high = middle(ratios)
    ratio = f"{median:.2f} ({low:.2f}–{high:.2f})"
    if target is None:
        return ["–", ratio, "–"]
    verdict = "met" if median <= target else "**missed**"
    if low <= target < high:
        verdict += ", unsettled"  # the middle half lies on both sides of the target
    return [f"≤ {target:.2f}", ratio, verdict]


def print_table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """A Markdown table under a heading."""
    print(f"\n### {title}\n")
    for cells in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(cells) + " |")
    sys.stdout.flush()
