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
import operator
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
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
LARGEST, LEAST = 1e150, 1e-150  # squares of these are still numbers, in Python and in the browser

State = dict[str, Any]


@prints_anywhere
class Interactive:
    """What both kinds share: everything shown is a function of one plain dictionary, the state.

    The state travels in the page, so a committed output can be rebuilt from itself and compared.
    """

    def __init__(self, state: State) -> None:
        _check_words(name=state["name"], title=state["title"])
        if not re.fullmatch(r"[a-z][a-z0-9-]*", state["name"]):
            raise ValueError(
                f"name must be lower-case letters, digits and hyphens, got {state['name']!r}. It "
                "becomes the element's id and stands in links."
            )
        if not state["title"].strip():
            raise ValueError("title is empty: say in it what there is to see.")
        self.state = state

    def values(self) -> NDArray[np.float64]:
        """What the first frame on view holds, ``(rows, columns)``."""
        raise NotImplementedError

    def facts(self) -> list[str]:
        """Three key numbers, for readers who see only the still picture."""
        raise NotImplementedError

    def picture(self) -> bytes:
        """The still picture, a PNG."""
        with plots.still_style():
            return plots.to_png(self.figure())

    def figure(self) -> Figure:
        """The still picture before it is drawn; draw it inside :func:`plots.still_style`."""
        raise NotImplementedError

    def frame_note(self) -> str:
        """Which of its frames the still picture shows, and which others there are."""
        return ""

    @property
    def alt(self) -> str:
        """What a seeing reader would take from the picture."""
        return " ".join(filter(None, (f"{self.state['title']}.", self.frame_note(), *self.facts())))

    def html(self) -> str:
        """The element with its still picture, style and script: all that a page needs."""
        return self._html(base64.b64encode(self.picture()).decode())

    def _html(self, picture: str) -> str:
        data = html.escape(json.dumps(self.state, separators=(",", ":"), ensure_ascii=False))
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

    def mimebundle(self, picture: bytes) -> dict[str, str]:
        """What a notebook keeps of a cell that shows this, around a still that was drawn before."""
        text = base64.b64encode(picture).decode()
        return {"text/html": self._html(text), "image/png": text + "\n", "text/plain": repr(self)}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.mimebundle(self.picture())

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
        d_model, positions = int(d_model), int(positions)
        for argument, side in (("d_model", d_model), ("positions", positions)):
            if side > MAX_SIDE:
                raise ValueError(f"{argument} must be at most {MAX_SIDE}, got {side}.")
        if columns not in ("interleaved", "halves"):
            raise ValueError(f"columns must be 'interleaved' or 'halves', got {columns!r}.")
        super().__init__(
            {
                "kind": "encoding",
                "name": name,
                "title": title,
                "d_model": d_model,
                "positions": positions,
                "base": base if isinstance(base, (int, float)) else float(base),
                "columns": columns,
                "row": _place("row", row, positions),
                "column": _place("column", column, d_model),
                "pin": None if pin is None else _place("pin", pin, positions),
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

    def figure(self) -> Figure:
        return plots.still_figure(
            self.values(), self.state["title"], "position", "column", "value", (-1.0, 1.0)
        )


class Heatmap(Interactive):
    """Any numbers with two named axes, and a slider over a third.

    Args:
        values: ``(rows, columns)`` or ``(frames, rows, columns)``, real: an array, a nested list
            or a tensor. At most 2048 rows, 2048 columns and 1 048 576 numbers, none beyond ±1e150.
            NaN and what a masked array masks are shown as "no value" and set no scale.
        title: States the finding.
        name: Identifies the heatmap within its page: lower-case letters, digits, hyphens.
        rows, columns, frames: What one row, column and frame is, in the singular.
        value: What one number is.
        unit: Its unit, if it has one.
        row_labels, column_labels, frame_labels: A name for each, if numbers do not say enough.
        limits: Lowest and highest value of the colour scale. By default the data decide: signed
            values get a scale that is symmetric around zero, others run from least to greatest,
            and so do values below zero that lie so close together that it would hide what sets
            them apart. Values beyond an end have its colour, and the legend marks that end.
        row, column, frame: Where the cursor and the slider stand at first.
        pin: The row that is pinned at first, to be compared with the one under the cursor.

    Raises:
        TypeError: If values are complex or no numbers, or names and labels are no texts.
        ValueError: If values are empty, too many, infinite or all missing, or labels do not fit.

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
        row_labels: Sequence[object] | None = None,
        column_labels: Sequence[object] | None = None,
        frame_labels: Sequence[object] | None = None,
        limits: tuple[float, float] | None = None,
        row: int = 0,
        column: int = 0,
        frame: int = 0,
        pin: int | None = None,
    ) -> None:
        _check_words(rows=rows, columns=columns, frames=frames, value=value, unit=unit)
        array = _as_frames(values)
        n_frames, n_rows, n_columns = array.shape
        low, high = _limits(array, limits)
        stored = _stored(array)
        super().__init__(
            {
                "kind": "grid",
                "name": name,
                "title": title,
                "shape": list(array.shape),
                "dtype": str(stored.dtype),
                "values": _encode(stored),
                "rows": _axis(rows, "row_labels", row_labels, n_rows),
                "columns_axis": _axis(columns, "column_labels", column_labels, n_columns),
                "frames": _axis(frames, "frame_labels", frame_labels, n_frames),
                "value": {
                    "name": value,
                    "unit": unit,
                    "low": low,
                    "high": high,
                    "diverging": low < 0 < high,
                },
                "row": _place("row", row, n_rows),
                "column": _place("column", column, n_columns),
                "frame": _place("frame", frame, n_frames),
                "pin": None if pin is None else _place("pin", pin, n_rows),
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
        missing = int(np.isnan(array).sum())
        if missing:
            size += f", {missing} without a value"
        low, high = float(np.nanmin(array)), float(np.nanmax(array))
        rms = math.sqrt(float(np.nanmean(array**2)))
        # Values that lie close together need more digits than three to be told apart.
        ratio = max(-low, high) / (high - low) if low < high else 1.0
        digits = min(17, 3 + max(0, math.floor(math.log10(ratio))))
        return [
            f"{size}.",
            f"{s['value']['name']}: {low:.{digits}g} to {high:.{digits}g}{unit}.",
            f"Root mean square {rms:.{digits}g}.",
        ]

    def frame_note(self) -> str:
        return _frame_note(self.state["frames"], self.state["frame"], self.state["shape"][0])

    def figure(self) -> Figure:
        s = self.state
        return plots.still_figure(
            self.values(),
            s["title"],
            s["rows"]["name"],
            s["columns_axis"]["name"],
            s["value"]["name"] + (f" ({s['value']['unit']})" if s["value"]["unit"] else ""),
            (s["value"]["low"], s["value"]["high"]),
            row_labels=s["rows"].get("labels"),
            column_labels=s["columns_axis"].get("labels"),
            note=self.frame_note(),
        )


class SentenceExplorer(Interactive):
    """The reader's own sentence through an input layer: token rows, position rows, their sum.

    The sentence becomes bytes (UTF-8), a byte becomes the id ``byte + 3``, BOS and EOS stand
    around them: so PAD, BOS and EOS keep the ids 0, 1 and 2. The layer's two tables travel in the
    page, and the browser does the rest.

    Args:
        layer: Its vocabulary must hold 259 ids, and it must have places for BOS and EOS. What it
            adds in evaluation is shown, so no dropout.
        text: The sentence it starts with; what finds no position is left out.
        row, column: Where the cursor stands at first.
        frame: 0 shows token rows, 1 position rows, 2 their sum.
        name: Identifies the heatmap within its page: lower-case letters, digits, hyphens.
        title: States what there is to see.

    Raises:
        TypeError: If layer is no :class:`InputEmbedding`, or text no ``str``.
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
        tokens, positions = self._tables(layer)
        _check_words(text=text)
        try:
            n_bytes = len(text.encode())
        except UnicodeEncodeError as error:
            raise ValueError(f"text cannot be written in UTF-8: {error}.") from error
        n_tokens = min(n_bytes, len(positions) - 2) + 2
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
                "row": _place("row", row, n_tokens),
                "column": _place("column", column, tokens.shape[1]),
                "frame": _place("frame", frame, 3),
            }
        )

    def _tables(self, layer: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The two tables of the layer, or an error that says why they cannot be shown."""
        if not isinstance(layer, InputEmbedding):
            raise TypeError(
                f"layer must be an InputEmbedding, got {type(layer).__name__}; of a SimpleLLM, "
                "give its input_embedding."
            )
        place = layer.pos_embedding
        table = place.pe[0] if isinstance(place, PositionalEncoding) else place.embedding.weight
        vocab_size, n_positions = len(layer.token_embedding.embedding.weight), len(table)
        if vocab_size != self.VOCAB_SIZE:
            raise ValueError(
                f"layer must have a vocabulary of {self.VOCAB_SIZE} ids (PAD, BOS, EOS and 256 "
                f"bytes), got {vocab_size}."
            )
        if not 2 <= n_positions <= MAX_SIDE:
            raise ValueError(
                f"layer must have 2 to {MAX_SIDE} positions, got {n_positions}: BOS and EOS need "
                "one each, and all of them travel in the page. Build it with another max_seq_len."
            )
        tables = _as_floats(layer.token_embedding.embedding.weight), _as_floats(table)
        if not all(np.isfinite(table).all() for table in tables):
            raise ValueError("layer holds NaN or infinity in its tables: nothing can be added up.")
        return tables

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

    def frame_note(self) -> str:
        return _frame_note(self.state["frames"], self.state["frame"], 3)

    def figure(self) -> Figure:
        s = self.state
        return plots.still_figure(
            self.values(),
            f"{s['title']}: {s['text']!r}",
            "position",
            "column",
            "value",
            (s["value"]["low"], s["value"]["high"]),
            note=self.frame_note(),
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
    # Whole lines of comment stay behind: a reader of the code has them in the package.
    module = re.sub(r"^ *//.*\n|^ */\*\*[\s\S]*?\*/\n", "", module, flags=re.MULTILINE)
    body = re.sub(r"^export (?=function|class|const)", "", module, flags=re.MULTILINE)
    return (
        f"// simplellm/heatmap.js, which explains itself there\n(() => {{\n{body}\nmountAll();\n"
        'document.addEventListener("DOMContentLoaded", mountAll);\n})();'
    )


def _axis(name: str, argument: str, labels: Sequence[object] | None, size: int) -> State:
    if labels is None:
        return {"name": name}
    if isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        raise TypeError(f"{argument} must be a list with one label for each, got {labels!r}.")
    texts = [str(label) for label in labels]
    if len(texts) != size:
        raise ValueError(f"{argument} has {len(texts)} entries, values need {size}.")
    return {"name": name, "labels": texts}


def _frame_note(axis: State, frame: int, count: int) -> str:
    if count == 1:
        return ""
    labels = axis.get("labels")
    if labels is None:
        return f"Shown: {axis['name']} {frame}, of 0 to {count - 1}."
    others = " · ".join(label for i, label in enumerate(labels) if i != frame)
    return f"Shown: {axis['name']} {labels[frame]} ({frame + 1} of {count}); the others: {others}."


def _encode(array: NDArray[Any]) -> str:
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _decode(text: str, dtype: str) -> NDArray[np.float64]:
    raw = np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<"))
    return raw.astype(np.float64)


def _check_words(**words: object) -> None:
    for argument, word in words.items():
        if not isinstance(word, str):
            hint = " Decode it first." if isinstance(word, bytes) else ""
            raise TypeError(
                f"{argument} must be a str, got {word!r} of type {type(word).__name__}.{hint}"
            )


def _place(argument: str, index: object, size: int) -> int:
    """A row, column, frame or pin as a plain int (so that JSON takes it) within its axis."""
    try:
        place = operator.index(index)  # type: ignore[arg-type]
    except TypeError:
        place = None
    if place is None or isinstance(index, bool):
        raise TypeError(f"{argument} must be an int, got {index!r} of type {type(index).__name__}.")
    if not 0 <= place < size:
        raise ValueError(f"{argument} must be at least 0 and below {size}, got {place}.")
    return place


def _as_floats(values: Any) -> NDArray[np.float64]:
    """Values in float64, what is masked as NaN, or an error that says what is wrong."""
    if hasattr(values, "detach"):  # a tensor, possibly with a gradient, on a GPU or in bfloat16
        if values.is_complex():
            raise TypeError(
                f"values must be real numbers, got dtype {values.dtype}. Show values.real, "
                "values.imag or values.abs()."
            )
        if values.is_meta:
            raise ValueError("values are a tensor on the device meta, which holds no numbers.")
        values = values.detach().cpu()
        values = values.dequantize() if values.is_quantized else values.to_dense()
        if values.is_floating_point():
            values = values.double()  # NumPy has no bfloat16
        values = values.numpy()
    parts = (np.ndarray, list, tuple)
    if isinstance(values, (list, tuple)) and any(
        isinstance(part, parts) or hasattr(part, "detach") for part in values
    ):
        # Part by part: NumPy drops masks within a list, and takes no tensor with gradient.
        arrays = [_as_floats(part) for part in values]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise ValueError(f"values are ragged: their parts have the shapes {sorted(shapes)}.")
        return np.stack(arrays)
    array = np.ma.asarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"values must be real numbers, got dtype {array.dtype}; NaN stands for no value."
        )
    floats = np.ma.filled(array.astype(np.float64), np.nan)
    if array.dtype.kind in "iu" and np.nanmax(np.abs(floats), initial=0.0) > 2.0**53:
        raise ValueError(
            "values hold whole numbers beyond 2**53, where float64 no longer tells neighbours "
            "apart. Subtract what they have in common."
        )
    return np.asarray(floats)


def _as_frames(values: Any) -> NDArray[np.float64]:
    """Values as ``(frames, rows, columns)`` in float64, or an error that says what is wrong."""
    array = _as_floats(values)
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
    infinite = np.isinf(array)
    if infinite.any():
        first = tuple(int(i) for i in np.argwhere(infinite)[0])
        raise ValueError(
            f"values hold {int(infinite.sum())} infinite entries, the first at "
            f"(frame, row, column) = {first}. A colour cannot show them: make them NaN, which is "
            "shown as no value, or replace them."
        )
    if np.isnan(array).all():
        raise ValueError("values are all NaN or masked: there is no number to show.")
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    largest, span = max(-low, high), high - low
    if largest > LARGEST or 0 < largest < LEAST or 0 < span < LEAST:
        raise ValueError(
            f"values run from {low!r} to {high!r}: numbers beyond ±{LARGEST:g}, or closer together "
            f"than {LEAST:g}, cannot be drawn. Divide or multiply them first."
        )
    return array


def _stored(array: NDArray[np.float64]) -> NDArray[Any]:
    """The same numbers in float32, which halves the page, or in float64 where it would be seen."""
    with np.errstate(over="ignore", under="ignore"):
        short = array.astype(np.float32)
        off = np.nan_to_num(np.abs(short - array))  # NaN stays NaN in both
    size = np.nan_to_num(np.abs(array))
    spans = [np.nanmax(f) - np.nanmin(f) for f in array if not np.isnan(f).all()]
    least = min((span for span in spans if span > 0), default=math.inf)
    seen = (off > 5e-7) | (off > 1e-6 * size) | (off > 1e-4 * least)
    return array if seen.any() else short


def _limits(array: NDArray[np.float64], limits: tuple[float, float] | None) -> tuple[float, float]:
    if limits is not None:
        try:
            low, high = map(float, limits)
        except (TypeError, ValueError) as error:
            raise TypeError(f"limits must be two numbers (low, high), got {limits!r}.") from error
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"limits must be finite with low < high, got ({low}, {high}).")
        if max(-low, high) > LARGEST or high - low < LEAST:
            raise ValueError(
                f"limits must lie within ±{LARGEST:g} and {LEAST:g} apart, got ({low}, {high})."
            )
        if low < 0 < high and low != -high:
            raise ValueError(
                f"limits on both sides of zero must be symmetric, got ({low}, {high}): the middle "
                "of the colour scale means zero."
            )
        return low, high
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    if low == high >= 0:
        return low, low + max(1.0, low)  # 1e20 + 1 would be 1e20 again
    # Around zero, -1e9 and -1e9 - 1 would have one colour.
    if low >= 0 or (low < high < 0 and -low > 8 * (high - low)):
        return low, high
    high = max(-low, high)
    return -high, high
