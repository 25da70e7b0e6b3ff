"""For nbval: the numbers of a heatmap are compared as numbers, for they hang on the processor.

    pytest -p tests.close_heatmaps --nbval …

A sum comes out otherwise in its last bits where a processor adds eight numbers at a time and not
sixteen (AVX2, AVX-512). What is printed is rounded and must be the same to the letter; a heatmap
holds whole numbers of float32 and float64, and nbval compares texts. So where two states differ in
numbers alone, and by less than any eye or rule could see, the fresh one counts as the committed.
"""

from __future__ import annotations

import html
import json
import math
import re
from typing import Any

import numpy as np
from nbval.plugin import IPyNbCell

from simplellm.heatmap.values import decode

STATE = re.compile(r'(?<=data-state=")[^"]*')
CLOSE = 1e-5  # of the largest: float32 holds 1e-7, and colours are 1 of 257
TABLES = {"values", "tokens", "positions"}  # numbers as base64 where they are texts


def close(a: Any, b: Any, dtype: str = "float32", key: str = "") -> bool:
    """Whether two states say the same, apart from the last bits of numbers."""
    if isinstance(a, dict) and isinstance(b, dict):
        dtype = a.get("dtype", "float32")
        return a.keys() == b.keys() and all(close(a[k], b[k], dtype, k) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(close(x, y, dtype) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=CLOSE)
    if isinstance(a, str) and isinstance(b, str) and key in TABLES and a != b:
        x, y = decode(a, dtype), decode(b, dtype)
        largest = np.nanmax(np.abs(y), initial=0)
        return x.shape == y.shape and np.allclose(x, y, 0, CLOSE * largest, equal_nan=True)
    return a == b


def with_states_of(fresh: str, committed: str) -> str:
    """Fresh HTML, each state that is close to the committed one replaced by it."""
    states = iter(STATE.findall(committed))

    def choose(found: re.Match[str]) -> str:
        state = next(states, "")
        if state in ("", found[0]):
            return found[0]
        same = close(*(json.loads(html.unescape(text)) for text in (found[0], state)))
        return state if same else found[0]

    return STATE.sub(choose, fresh)


def compare_outputs(self: IPyNbCell, test: list, ref: list, skip_compare: Any = None) -> bool:
    """nbval's own comparison, after that."""
    for fresh, committed in zip(test, ref, strict=False):
        new, old = (output.get("data", {}) for output in (fresh, committed))
        if "text/html" in new and "text/html" in old:
            fresh["data"] = {**new, "text/html": with_states_of(new["text/html"], old["text/html"])}
    return compare_texts(self, test, ref, skip_compare)


compare_texts = IPyNbCell.compare_outputs
IPyNbCell.compare_outputs = compare_outputs
