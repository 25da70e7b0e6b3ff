"""Interactive heatmaps that need no kernel and no network.

An object from this module, as the last line of a notebook cell, shows itself: a still picture
where scripts do not run, and controls, linked views and a keyboard cursor where they do. What is
drawn in the browser stands in ``heatmap.js``; its look in ``heatmap.css``.

Needs matplotlib besides torch and numpy (``pip install simplellm[plots]``).
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import plots
from .checks import check_base, check_even_d_model, check_positive_int
from .input_embedding import InputEmbedding
from .palette import stylesheet
from .positional_encoding import PositionalEncoding
from .printing import prints_anywhere
from .sinusoids import DEFAULT_BASE, sinusoidal_encoding, wavelengths

MAX_SIDE = 2048
MAX_VALUES = 1 << 20

State = dict[str, Any]


@prints_anywhere
class Interactive:
    """What both kinds share: everything shown is a function of one plain dictionary, the state.

    The state travels in the page, so a committed output can be rebuilt from itself and compared.
    """

    def __init__(self, state: State) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", state["name"]):
            raise ValueError(
                f"name must be lower-case letters, digits and hyphens, got {state['name']!r}. It "
                "becomes the element's id and stands in links."
            )
        self.state = state

    def values(self) -> NDArray[np.float64]:
        """What the first frame on view holds, ``(rows, columns)``."""
        raise NotImplementedError

    def facts(self) -> list[str]:
        """Three key numbers, for readers who see only the still picture."""
        raise NotImplementedError

    def picture(self) -> bytes:
        """The still picture, a PNG."""
        raise NotImplementedError

    @property
    def alt(self) -> str:
        """What a seeing reader would take from the picture."""
        return f"{self.state['title']}. {' '.join(self.facts())}"

    def html(self) -> str:
        """The element with its still picture, style and script: all that a page needs."""
        data = html.escape(json.dumps(self.state, separators=(",", ":"), ensure_ascii=False))
        picture = base64.b64encode(self.picture()).decode()
        alt = html.escape(self.alt)
        width, height = plots.STILL_PIXELS
        facts = html.escape(" ".join(self.facts()))
        return (
            f'<div class="simplellm-heatmap" id="heatmap-{self.state["name"]}" '
            f'data-state="{data}">'
            f'<figure class="still"><img src="data:image/png;base64,{picture}" alt="{alt}" '
            f'width="{width}" height="{height}"><figcaption>{facts}</figcaption></figure></div>'
            f'<style class="simplellm-heatmap-code">{stylesheet()}</style>'
            f'<script class="simplellm-heatmap-code">{script()}</script>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {
            "text/html": self.html(),
            "image/png": base64.b64encode(self.picture()).decode() + "\n",
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.state['name']!r}: {self.state['title']}"


class EncodingExplorer(Interactive):
    """The sinusoidal encoding under the reader's hands: its width, length, base and columns.

    Args:
        d_model: Width it starts with; even, at most 2048.
        positions: Number of positions it starts with; at most 2048.
        base: The constant the paper sets to 10 000.
        columns: ``"interleaved"`` (sine, cosine, sine, …, as in the paper) or ``"halves"`` (all
            sines, then all cosines).
        row, column: Where the cursor stands at first.
        pin: A position to compare with from the start: its hand stands dashed beside the other.
        name: Identifies the heatmap within its page: lower-case letters, digits, hyphens.
        title: States what there is to see.

    Raises:
        TypeError, ValueError: For each bad argument, by name.

    Example:
        >>> EncodingExplorer(d_model=64, positions=128)
        EncodingExplorer 'explorer': The sinusoidal encoding of positions
    """

    def __init__(
        self,
        d_model: int = 64,
        positions: int = 128,
        base: float = DEFAULT_BASE,
        columns: Literal["interleaved", "halves"] = "interleaved",
        *,
        row: int = 0,
        column: int = 0,
        pin: int | None = None,
        name: str = "explorer",
        title: str = "The sinusoidal encoding of positions",
    ) -> None:
        check_even_d_model(d_model)
        check_positive_int("positions", positions)
        check_base(base)
        for argument, side in (("d_model", d_model), ("positions", positions)):
            if side > MAX_SIDE:
                raise ValueError(f"{argument} must be at most {MAX_SIDE}, got {side}.")
        if columns not in ("interleaved", "halves"):
            raise ValueError(f"columns must be 'interleaved' or 'halves', got {columns!r}.")
        _check_cell(row, column, positions, d_model)
        _check_pin(pin, positions)
        super().__init__(
            {
                "kind": "encoding",
                "name": name,
                "title": title,
                "d_model": d_model,
                "positions": positions,
                "base": base,
                "columns": columns,
                "row": row,
                "column": column,
                "pin": pin,
            }
        )

    def values(self) -> NDArray[np.float64]:
        s = self.state
        table = sinusoidal_encoding(range(s["positions"]), s["d_model"], s["base"]).numpy()
        if s["columns"] == "halves":
            table = np.concatenate((table[:, 0::2], table[:, 1::2]), axis=1)
        return np.asarray(table, dtype=np.float64)

    def facts(self) -> list[str]:
        s = self.state
        lengths = wavelengths(s["d_model"], s["base"])
        turned = int((lengths <= s["positions"]).sum())
        return [
            f"{s['positions']} positions by {s['d_model']} columns, base {s['base']:g}.",
            f"Wavelengths run from {lengths[0]:.4g} to {float(lengths[-1]):,.0f} positions.",
            f"{turned} of {len(lengths)} pairs turn at least once within these positions.",
        ]

    def picture(self) -> bytes:
        return plots.still(
            self.values(), self.state["title"], "position", "column", "value", (-1.0, 1.0)
        )


class Heatmap(Interactive):
    """Any numbers with two named axes, and a slider over a third.

    Args:
        values: ``(rows, columns)`` or ``(frames, rows, columns)``, real and finite: an array, a
            nested list or a tensor. At most 2048 rows, 2048 columns and 1 048 576 numbers.
        title: States the finding.
        name: Identifies the heatmap within its page: lower-case letters, digits, hyphens.
        rows, columns, frames: What one row, column and frame is, in the singular.
        value: What one number is.
        unit: Its unit, if it has one.
        row_labels, column_labels, frame_labels: A name for each, if numbers do not say enough.
        limits: Lowest and highest value of the colour scale. By default the data decide: signed
            values get a scale that is symmetric around zero, others run from least to greatest.
        row, column, frame: Where the cursor and the slider stand at first.
        pin: The row that is pinned at first, to be compared with the one under the cursor.

    Raises:
        ValueError: If values are empty, too many, NaN or infinite, or labels do not fit.

    Example:
        >>> Heatmap([[0.0, 1.0], [2.0, 3.0]], title="Four numbers", name="four")
        Heatmap 'four': Four numbers
    """

    def __init__(
        self,
        values: ArrayLike,
        *,
        title: str,
        name: str,
        rows: str = "row",
        columns: str = "column",
        frames: str = "frame",
        value: str = "value",
        unit: str = "",
        row_labels: list[str] | None = None,
        column_labels: list[str] | None = None,
        frame_labels: list[str] | None = None,
        limits: tuple[float, float] | None = None,
        row: int = 0,
        column: int = 0,
        frame: int = 0,
        pin: int | None = None,
    ) -> None:
        array = _as_frames(values)
        n_frames, n_rows, n_columns = array.shape
        for argument, labels, size in (
            ("row_labels", row_labels, n_rows),
            ("column_labels", column_labels, n_columns),
            ("frame_labels", frame_labels, n_frames),
        ):
            if labels is not None and len(labels) != size:
                raise ValueError(f"{argument} has {len(labels)} entries, values need {size}.")
        _check_cell(row, column, n_rows, n_columns)
        _check_pin(pin, n_rows)
        if not 0 <= frame < n_frames:
            raise ValueError(f"frame must be at least 0 and below {n_frames}, got {frame}.")
        low, high = _limits(array, limits)
        # float32 halves the page; float64 only where rounding would be seen.
        short = array.astype(np.float32)
        stored = short if np.abs(short - array).max() <= 5e-7 else array
        super().__init__(
            {
                "kind": "grid",
                "name": name,
                "title": title,
                "shape": list(array.shape),
                "dtype": str(stored.dtype),
                "values": _encode(stored),
                "rows": _axis(rows, row_labels),
                "columns_axis": _axis(columns, column_labels),
                "frames": _axis(frames, frame_labels),
                "value": {
                    "name": value,
                    "unit": unit,
                    "low": low,
                    "high": high,
                    "diverging": low < 0 < high,
                },
                "row": row,
                "column": column,
                "frame": frame,
                "pin": pin,
            }
        )

    def all_values(self) -> NDArray[np.float64]:
        """Every number as the page holds it, ``(frames, rows, columns)``."""
        return _decode(self.state["values"], self.state["dtype"]).reshape(self.state["shape"])

    def values(self) -> NDArray[np.float64]:
        return self.all_values()[self.state["frame"]]

    def facts(self) -> list[str]:
        s = self.state
        n_frames, n_rows, n_columns = s["shape"]
        array = self.all_values()
        unit = f" {s['value']['unit']}" if s["value"]["unit"] else ""
        size = f"{n_rows} × {n_columns} ({s['rows']['name']} × {s['columns_axis']['name']})"
        if n_frames > 1:
            size += f" in {n_frames} frames ({s['frames']['name']})"
        rms = math.sqrt(float((array**2).mean()))
        return [
            f"{size}.",
            f"{s['value']['name']}: {array.min():.3g} to {array.max():.3g}{unit}.",
            f"Root mean square {rms:.3g}.",
        ]

    def picture(self) -> bytes:
        s = self.state
        title = s["title"]
        if s["shape"][0] > 1:
            labels = s["frames"].get("labels")
            title += f" ({s['frames']['name']} {labels[s['frame']] if labels else s['frame']})"
        return plots.still(
            self.values(),
            title,
            s["rows"]["name"],
            s["columns_axis"]["name"],
            s["value"]["name"] + (f" ({s['value']['unit']})" if s["value"]["unit"] else ""),
            (s["value"]["low"], s["value"]["high"]),
            row_labels=s["rows"].get("labels"),
            column_labels=s["columns_axis"].get("labels"),
        )


class SentenceExplorer(Interactive):
    """The reader's own sentence through an input layer: token rows, position rows, their sum.

    The sentence becomes bytes (UTF-8), a byte becomes the id ``byte + 3``, BOS and EOS stand
    around them: so PAD, BOS and EOS keep the ids 0, 1 and 2. The layer's two tables travel in the
    page, and the browser does the rest.

    Args:
        layer: Its vocabulary must hold 259 ids. What it adds in evaluation is shown, so no
            dropout.
        text: The sentence it starts with; what finds no position is left out.
        row, column: Where the cursor stands at first.
        frame: 0 shows token rows, 1 position rows, 2 their sum.
        name: Identifies the heatmap within its page: lower-case letters, digits, hyphens.
        title: States what there is to see.

    Raises:
        ValueError: If the vocabulary has another size, or by name for another bad argument.

    Example:
        >>> from simplellm import InputEmbedding
        >>> SentenceExplorer(InputEmbedding(259, 32, 48, dropout=0.1), "order matters")
        SentenceExplorer 'sentence': Your sentence as the model receives it
    """

    BOS, EOS, FIRST_BYTE = 1, 2, 3
    VOCAB_SIZE = FIRST_BYTE + 256

    def __init__(
        self,
        layer: InputEmbedding,
        text: str,
        *,
        row: int = 0,
        column: int = 0,
        frame: int = 2,
        name: str = "sentence",
        title: str = "Your sentence as the model receives it",
    ) -> None:
        tokens = _as_frames(layer.token_embedding.embedding.weight)[0]
        if isinstance(layer.pos_embedding, PositionalEncoding):
            positions = _as_frames(layer.pos_embedding.pe)[0]
        else:
            positions = _as_frames(layer.pos_embedding.embedding.weight)[0]
        if len(tokens) != self.VOCAB_SIZE:
            raise ValueError(
                f"layer must have a vocabulary of {self.VOCAB_SIZE} ids (PAD, BOS, EOS and 256 "
                f"bytes), got {len(tokens)}."
            )
        scale = math.sqrt(tokens.shape[1]) if layer.token_embedding.scale else 1.0
        limit = float(np.abs(tokens).max() * scale + np.abs(positions).max())
        super().__init__(
            {
                "kind": "sentence",
                "name": name,
                "title": title,
                "text": text,
                "tokens": _encode(tokens.astype(np.float32)),
                "positions": _encode(positions.astype(np.float32)),
                "d_model": tokens.shape[1],
                "scale": scale,
                "bos": self.BOS,
                "eos": self.EOS,
                "first_byte": self.FIRST_BYTE,
                "columns_axis": {"name": "column"},
                "frames": {"name": "part", "labels": ["token", "position", "token + position"]},
                "value": {
                    "name": "value",
                    "unit": "",
                    "low": -limit,
                    "high": limit,
                    "diverging": True,
                },
                "row": row,
                "column": column,
                "frame": frame,
            }
        )
        _check_cell(row, column, len(self.ids()), tokens.shape[1])

    def ids(self) -> list[int]:
        """The token ids of the sentence, as many as there are positions for."""
        s = self.state
        room = len(_decode(s["positions"], "float32")) // s["d_model"] - 2
        body = [byte + s["first_byte"] for byte in s["text"].encode()[:room]]
        return [s["bos"], *body, s["eos"]]

    def parts(self) -> NDArray[np.float64]:
        """Token rows, position rows and their sum: ``(3, tokens, d_model)``."""
        s = self.state
        ids = self.ids()
        table = _decode(s["tokens"], "float32").reshape(-1, s["d_model"])
        positions = _decode(s["positions"], "float32").reshape(-1, s["d_model"])[: len(ids)]
        tokens = table[ids] * s["scale"]
        return np.stack((tokens, positions, tokens + positions))

    def values(self) -> NDArray[np.float64]:
        return self.parts()[self.state["frame"]]

    def facts(self) -> list[str]:
        token, position, _ = (math.sqrt(float((part**2).mean())) for part in self.parts())
        return [
            f"{len(self.ids())} tokens, {self.state['d_model']} columns.",
            f"Root mean square of the token rows: {token:.3g}.",
            f"Root mean square of the position rows: {position:.3g}.",
        ]

    def picture(self) -> bytes:
        s = self.state
        return plots.still(
            self.values(),
            f"{s['title']}: {s['text']!r}",
            "position",
            "column",
            "value",
            (s["value"]["low"], s["value"]["high"]),
        )


def from_html(text: str) -> Interactive:
    """The heatmap whose output this is, rebuilt from the state inside it.

    With it a test can ask whether a committed output is what the package makes today.

    Args:
        text: An output of :meth:`Interactive.html`.

    Raises:
        ValueError: If there is no heatmap in the text.

    Example:
        >>> from_html(EncodingExplorer(d_model=8, positions=4).html())
        EncodingExplorer 'explorer': The sinusoidal encoding of positions
    """
    found = re.search(r'class="simplellm-heatmap"[^>]*data-state="([^"]*)"', text)
    if not found:
        raise ValueError("the text holds no element of class simplellm-heatmap with a data-state.")
    state = json.loads(html.unescape(found.group(1)))
    kinds = {"encoding": EncodingExplorer, "grid": Heatmap, "sentence": SentenceExplorer}
    kind: type[Interactive] = kinds[state["kind"]]
    heatmap = kind.__new__(kind)
    Interactive.__init__(heatmap, state)
    return heatmap


@cache
def script() -> str:
    """``heatmap.js`` as a classic script that mounts every heatmap of its page.

    Classic, because module scripts do not run from ``file://``; and twice, because a page built
    from several outputs carries the script once, before its later heatmaps are parsed.
    """
    module = files("simplellm").joinpath("heatmap.js").read_text(encoding="utf-8")
    module = module.split("\n/** The front end of simplellm.live_heatmap")[0]  # for a kernel only
    body = re.sub(r"^export (?=function|class|const)", "", module, flags=re.MULTILINE)
    return (
        f"(() => {{\n{body}\nmountAll();\n"
        'document.addEventListener("DOMContentLoaded", mountAll);\n})();'
    )


def _axis(name: str, labels: list[str] | None) -> State:
    return {"name": name} if labels is None else {"name": name, "labels": [str(x) for x in labels]}


def _encode(array: NDArray[Any]) -> str:
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _decode(text: str, dtype: str) -> NDArray[np.float64]:
    raw = np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<"))
    return raw.astype(np.float64)


def _check_cell(row: int, column: int, n_rows: int, n_columns: int) -> None:
    for argument, index, size in (("row", row, n_rows), ("column", column, n_columns)):
        if not 0 <= index < size:
            raise ValueError(f"{argument} must be at least 0 and below {size}, got {index}.")


def _check_pin(pin: int | None, n_rows: int) -> None:
    if pin is not None and not 0 <= pin < n_rows:
        raise ValueError(f"pin must be at least 0 and below {n_rows}, got {pin}.")


def _as_frames(values: Any) -> NDArray[np.float64]:
    """Values as ``(frames, rows, columns)`` in float64, or an error that says what is wrong."""
    if hasattr(values, "detach"):  # a tensor, possibly with a gradient, on a GPU or in bfloat16
        values = values.detach().cpu().double().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"values must be real numbers, got dtype {array.dtype}.")
    array = array.astype(np.float64)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3:
        raise ValueError(
            f"values must have shape (rows, columns) or (frames, rows, columns), got {array.shape}."
        )
    if array.size == 0:
        raise ValueError(f"values are empty: shape {array.shape} holds no number to show.")
    if array.size > MAX_VALUES or max(array.shape[1:]) > MAX_SIDE:
        raise ValueError(
            f"values of shape {array.shape} hold {array.size} numbers; a page shows at most "
            f"{MAX_VALUES}, with {MAX_SIDE} rows and columns. Show a part, or every n-th row."
        )
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"values hold {int(bad.sum())} NaN or infinite entries, the first at "
            f"(frame, row, column) = {first}. A colour cannot show them: remove or replace them."
        )
    return array


def _limits(array: NDArray[np.float64], limits: tuple[float, float] | None) -> tuple[float, float]:
    if limits is not None:
        low, high = map(float, limits)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"limits must be finite with low < high, got ({low}, {high}).")
        if low < 0 < high and low != -high:
            raise ValueError(
                f"limits on both sides of zero must be symmetric, got ({low}, {high}): the middle "
                "of the colour scale means zero."
            )
        return low, high
    low, high = float(array.min()), float(array.max())
    if low < 0:
        high = max(-low, high)
        return -high, high
    return (low, high) if low < high else (low, low + 1.0)
