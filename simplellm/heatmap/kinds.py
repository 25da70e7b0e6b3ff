"""The kinds of heatmap: an encoding or two of them, given numbers, and a typed sentence."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .. import plots
from ..checks import check_base, check_even_d_model, check_positive_int
from ..conventions import CONVENTIONS, Convention
from ..input_embedding import InputEmbedding
from ..positional_encoding import PositionalEncoding
from ..sinusoids import DEFAULT_BASE, sinusoidal_encoding, wavelengths
from .interactive import Interactive, State
from .values import (
    MAX_SIDE,
    as_floats,
    as_frames,
    check_words,
    decode,
    encode,
    place_in,
    scale_limits,
    stored_form,
)


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
                "row": place_in("row", row, positions),
                "column": place_in("column", column, d_model),
                "pin": None if pin is None else place_in("pin", pin, positions),
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
        check_words(rows=rows, columns=columns, frames=frames, value=value, unit=unit)
        array = as_frames(values)
        n_frames, n_rows, n_columns = array.shape
        low, high = scale_limits(array, limits)
        stored = stored_form(array)
        super().__init__(
            {
                "kind": "grid",
                "name": name,
                "title": title,
                "shape": list(array.shape),
                "dtype": str(stored.dtype),
                "values": encode(stored),
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
                "row": place_in("row", row, n_rows),
                "column": place_in("column", column, n_columns),
                "frame": place_in("frame", frame, n_frames),
                "pin": None if pin is None else place_in("pin", pin, n_rows),
            }
        )

    def all_values(self) -> NDArray[np.float64]:
        """Every number as the page holds it, ``(frames, rows, columns)``."""
        return decode(self.state["values"], self.state["dtype"]).reshape(self.state["shape"])

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
        check_words(text=text)
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
                "tokens": encode(tokens.astype(np.float32)),
                "positions": encode(positions.astype(np.float32)),
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
                "row": place_in("row", row, n_tokens),
                "column": place_in("column", column, tokens.shape[1]),
                "frame": place_in("frame", frame, 3),
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
        tables = as_floats(layer.token_embedding.embedding.weight), as_floats(table)
        if not all(np.isfinite(table).all() for table in tables):
            raise ValueError("layer holds NaN or infinity in its tables: nothing can be added up.")
        return tables

    def ids(self) -> list[int]:
        """The token ids of the sentence, as many as there are positions for."""
        s = self.state
        room = len(decode(s["positions"], "float32")) // s["d_model"] - 2
        body = [byte + s["first_byte"] for byte in s["text"].encode()[:room]]
        return [s["bos"], *body, s["eos"]]

    def parts(self) -> NDArray[np.float64]:
        """Token rows, position rows and their sum: ``(3, tokens, d_model)``."""
        s = self.state
        ids = self.ids()
        table = decode(s["tokens"], "float32").reshape(-1, s["d_model"])
        positions = decode(s["positions"], "float32").reshape(-1, s["d_model"])[: len(ids)]
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


class ConventionExplorer(Interactive):
    """Two conventions of sinusoidal positions side by side: the rows of each, and the difference.

    Args:
        first, second: Their names in :data:`simplellm.conventions.CONVENTIONS`.
        d_model: Width it starts with: 8, 16, 32, 64, 128 or 256.
        positions: Number of tokens it starts with, 2 to 512. Where a convention looks at the
            length of its table, this is it.
        row, column: Where the cursor stands at first.
        frame: 0 shows the first, 1 the second, 2 the first minus the second.
        name: Identifies the heatmap within its page: lower-case letters, digits, hyphens.
        title: States what there is to see.

    Raises:
        TypeError, ValueError: For each bad argument, by name.

    Example:
        >>> ConventionExplorer("paper", "whisper", d_model=16, positions=32)
        ConventionExplorer 'conventions': Two conventions and their difference
    """

    WIDTHS = (8, 16, 32, 64, 128, 256)
    LONGEST = 512
    needs = ("conventions",)

    def __init__(
        self,
        first: str = "paper",
        second: str = "tensor2tensor",
        d_model: int = 64,
        positions: int = 128,
        *,
        row: int = 0,
        column: int = 0,
        frame: int = 2,
        name: str = "conventions",
        title: str = "Two conventions and their difference",
    ) -> None:
        for convention in (first, second):
            Convention.named(convention)
        check_positive_int("d_model", d_model)
        check_positive_int("positions", positions)
        if d_model not in self.WIDTHS:
            raise ValueError(f"d_model must be one of {self.WIDTHS}, got {d_model}.")
        if not 2 <= positions <= self.LONGEST:
            raise ValueError(f"positions must be from 2 to {self.LONGEST}, got {positions}.")
        super().__init__(
            {
                "kind": "conventions",
                "name": name,
                "title": title,
                "conventions": {name: said.changes for name, said in CONVENTIONS.items()},
                "first": first,
                "second": second,
                "d_model": int(d_model),
                "positions": int(positions),
                "frames": {"name": "shown", "labels": ["first", "second", "first − second"]},
                "row": place_in("row", row, positions),
                "column": place_in("column", column, d_model),
                "frame": place_in("frame", frame, 3),
            }
        )

    def parts(self) -> NDArray[np.float64]:
        """Rows of the first, of the second, and their difference: ``(3, tokens, d_model)``."""
        s = self.state
        first, second = (
            Convention.named(s[key])
            .table(s["positions"], s["d_model"], dtype=torch.float64)
            .numpy()
            for key in ("first", "second")
        )
        return np.stack((first, second, first - second))

    def values(self) -> NDArray[np.float64]:
        return self.parts()[self.state["frame"]]

    def facts(self) -> list[str]:
        s = self.state
        difference = self.parts()[2]
        largest, rms = _largest(difference), math.sqrt(float((difference**2).mean()))
        return [
            f"{s['first']}: {Convention.named(s['first'])!r}.",
            f"{s['second']}: {Convention.named(s['second'])!r}.",
            f"Largest difference {largest:.3g}, root mean square {rms:.3g}.",
        ]

    def frame_note(self) -> str:
        return _frame_note(self.state["frames"], self.state["frame"], 3)

    def figure(self) -> Figure:
        s = self.state
        high = _largest(self.parts())
        return plots.still_figure(
            self.values(),
            f"{s['title']}: {s['first']}, {s['second']}",
            "token",
            "column",
            "value",
            (-high, high),
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
    kinds: dict[str, type[Interactive]] = {
        "encoding": EncodingExplorer,
        "conventions": ConventionExplorer,
        "grid": Heatmap,
        "sentence": SentenceExplorer,
    }
    kind = kinds[state["kind"]]
    heatmap = kind.__new__(kind)
    Interactive.__init__(heatmap, state)
    return heatmap


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).max())


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
