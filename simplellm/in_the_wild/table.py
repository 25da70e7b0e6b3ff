"""The survey of libraries as a page shows it: one row a class, to sort and to filter."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from ..cards import Cell, Column, Filter, Row, card, sortable_table
from ..conventions import Convention
from ..printing import prints_anywhere
from ..survey import Relative, Surveyed, relative, size_of, survey

#: What stands where nothing was measured.
NONE = "–"


@prints_anywhere
class SurveyTable:
    """What shipped libraries compute as sinusoidal positions: a row for each class that was run.

    Args:
        surveyed: Rows to show; by default all that :func:`simplellm.survey.survey` reads.

    Raises:
        ValueError: If there are none.

    Example:
        >>> SurveyTable(survey()[:2])
        2 classes of 2 packages
    """

    columns = (
        Column("Class"),
        Column("Columns"),
        Column("Exponents"),
        Column("Base"),
        Column("First position"),
        Column("Size"),
        Column("Token factor"),
        Column("Error to 5,000"),
        Column("Error at 100,000"),
        Column("Past the end"),
        Column("Odd width"),
        Column("After half and back"),
        Column("In state_dict"),
    )

    def __init__(self, surveyed: Iterable[Surveyed] | None = None) -> None:
        self.surveyed = survey() if surveyed is None else tuple(surveyed)
        if not self.surveyed:
            raise ValueError("surveyed is empty: give some of what survey() returns.")

    def html(self) -> str:
        """All that a page needs."""
        rows = [_row(one) for one in self.surveyed]

        def options(key: str) -> tuple[str, ...]:
            return tuple(sorted({row.values[key] for row in rows} - {NONE}, key=_natural))

        inside = sortable_table(
            "Errors, at width 512, are the largest difference to the same formula in float64, over "
            "positions 0 to 4,999 and at 100,000, as a share of the size. <i>Past the end</i>: 48 "
            "tokens to a table of 32. <i>Odd width</i>: 65. <i>After half and back</i>: by how "
            "much <code>.half().float()</code> changes 512 rows, as a share of the size. The table "
            "is wider than most screens: scroll it, or use its arrow keys.",
            self.columns,
            rows,
            (
                Filter("columns", "Columns", "all", options("columns")),
                Filter("exponents", "Exponents", "all", options("exponents")),
                Filter("first", "First position", "all", options("first")),
                Filter("written", "Written", "in any way", ("as the paper says", "otherwise")),
            ),
            noun="classes",
        )
        return _card("survey", "Table of classes", inside)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        packages = len({one.package for one in self.surveyed})
        return f"{len(self.surveyed)} classes of {packages} packages"


def is_the_papers(one: Surveyed) -> bool:
    """Whether a class computes what a reader of the paper would write, whatever its arithmetic.

    Example:
        >>> sum(map(is_the_papers, survey())) < len(survey()) / 2
        True
    """
    return one.convention == Convention()


@prints_anywhere
class RelativeTable:
    """What libraries' rotations and biases lose when their module is cast to half precision.

    Args:
        shown: Rows to show; by default all that :func:`simplellm.survey.relative` reads.

    Raises:
        ValueError: If there are none.

    Example:
        >>> RelativeTable()
        15 rotations and biases of 10 packages
    """

    columns = (
        Column("Class"),
        Column("Pairs"),
        Column("Error in float32"),
        Column("Scores in float16"),
        Column("Scores in bfloat16"),
        Column("Vectors in bfloat16"),
        Column("Compiled"),
        Column("Exported"),
    )

    def __init__(self, shown: Iterable[Relative] | None = None) -> None:
        self.shown = relative() if shown is None else tuple(shown)
        if not self.shown:
            raise ValueError("shown is empty: give some of what relative() returns.")

    def html(self) -> str:
        """All that a page needs."""
        inside = sortable_table(
            "Within 4,096 positions, heads of 64 columns. <i>Scores</i>: the largest error of a "
            "score of the last 256 queries with the nine nearest keys, as a share of their "
            "lengths; of ALiBi, of the steps between the eight nearest keys, in slopes. "
            "<i>Vectors</i>: the largest error of a rotated vector of standard normal numbers.",
            self.columns,
            map(_relative_row, self.shown),
            (Filter("kind", "Kind", "both", ("rotation", "bias")),),
            noun="classes",
        )
        return _card("relative", "Table of rotations and biases", inside)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        packages = len({one.package for one in self.shown})
        return f"{len(self.shown)} rotations and biases of {packages} packages"


def _relative_row(one: Relative) -> Row:
    def lost(dtype: str, key: str) -> Cell:
        return _error(one.cast[dtype].get(key))

    near = "scores" if one.kind == "rotation" else "nearest 8 steps"
    cells = (
        _head("relative", one.package, one.version, one.name),
        Cell(one.layout or NONE),
        _error(one.error),
        lost("float16", near),
        lost("bfloat16", near),
        lost("bfloat16", "vectors"),
        Cell(html.escape(one.compile)),
        Cell(html.escape(one.export)),
    )
    return Row(_id("relative", one.package, one.version, one.name), cells, {"kind": one.kind})


def _card(name: str, label: str, inside: str) -> str:
    """The card of a wide table; whoever has no mouse scrolls it with the arrows."""
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
    return card(
        "table",
        name,
        f"{scroll}{inside}</div>",
        classes="simplellm-wild",
        code_of=("wild", "table"),
    )


def _head(table: str, package: str, version: str, name: str, file: str = "") -> Cell:
    """The name, as a link to its row, and where it comes from."""
    said = html.escape(name).replace("_", "_<wbr>")
    origin = html.escape(f"{package} {version}")
    path = (
        f'<span class="package">{html.escape(file).replace("/", "/<wbr>")}</span>' if file else ""
    )
    return Cell(
        f'<a href="#{_id(table, package, version, name)}">{said}</a>'
        f'<span class="package">{origin}</span>{path}',
        f"{package} {name}",
    )


def _id(table: str, package: str, version: str, name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", f"{package} {version} {name}".lower())
    return f"{table}-{slug.strip('-')}"


def _natural(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


def _row(one: Surveyed) -> Row:
    says, m = one.convention, one.measured
    columns = says.columns + ", cosines first" * says.cosines_first if says else NONE
    values = {
        "columns": columns,
        "exponents": says.exponents if says else NONE,
        "first": str(says.first) if says else NONE,
        "written": "as the paper says" if is_the_papers(one) else "otherwise",
    }
    cells = [_head("survey", one.package, one.version, one.name, one.file)]
    if says is None:
        why = html.escape(one.why.removeprefix("not run: "))
        cells += [Cell(f"{'not run' if not m else 'no sinusoids'}: {why}", "")]
        cells += [Cell(NONE, "")] * 4
    else:
        cells += [
            Cell(columns.replace(", ", ",<br>")),
            Cell(says.exponents),
            Cell(_base(says), says.base),
            Cell(str(says.first)),
            Cell(_size(says), size_of(says)),
        ]
    cells += [
        _factor(m),
        *(_error(one.error(key), m.get(key)) for key in ("error to 5000", "error at 100000")),
        Cell(_past_the_end(m.get("past the end"))),
        Cell(_odd_width(m.get("odd width"))),
        _error(one.error("float16, then float32")),
        Cell(_saved(m)),
    ]
    return Row(_id("survey", one.package, one.version, one.name), tuple(cells), values)


def _base(says: Convention) -> str:
    return f"{says.base:,.0f}" if says.base >= 1 else f"{says.base:g}"


def _size(says: Convention) -> str:
    known = {"d^-0.5": "1/√d", "(2/d)^0.5": "√(2/d)", 1.0: "1"}
    said = [known.get(says.amplitude, f"{says.amplitude}")]
    if says.normalised:
        said = ["normalised over its length"]
    if says.fastest == "d/length":
        said.append("angles × d/length")
    elif says.fastest != 1.0:
        said.append("angles × 2π")
    return "; ".join(said)


def _factor(measured: dict[str, Any]) -> Cell:
    factor = measured.get("factor on the input")
    if factor is None:
        return Cell(NONE, "")
    return Cell("√d" if factor == measured["sqrt(d)"] else f"{factor:g}", factor)


def _error(value: float | None, said: Any = None) -> Cell:
    """An error in one digit, or why there is none."""
    if value is None:
        slow = isinstance(said, str) and said.startswith("TimeoutError")
        return Cell("too slow" if slow else NONE, "")
    digits, power = f"{value:.0e}".split("e")
    words = f"{value:.2g}" if value >= 0.01 or not value else f"{digits}e−{-int(power)}"
    return Cell(words, value)


def _past_the_end(said: str | None) -> str:
    if said is None:
        return NONE
    if said == "goes on with the formula":
        return "goes on"
    if said == "no table":
        return "has no end"
    if said.startswith("returns 32 rows"):
        return "shorter, silently"
    return f"refuses: {said.partition(':')[0]}"


def _odd_width(said: str | None) -> str:
    if said is None:
        return NONE
    if "columns" in said.split():
        return f"65 gives {said}"
    if ":" in said:
        return f"refuses: {said.partition(':')[0]}"
    last, _, formula = said.partition("; ")
    what = (
        "ends in zeros" if last.endswith("zero") else "ends in a sine" if "begins 0" in last else ""
    )
    return (what or "ends in a cosine") + (
        "" if formula == "as the convention says" else ", another formula"
    )


def _saved(measured: dict[str, Any]) -> str:
    saved = measured.get("state_dict")
    if saved is None:
        return NONE
    trained = set(measured["trained"])
    if not saved:
        return "no"
    return ", ".join(f"{html.escape(name)}{' (trained)' * (name in trained)}" for name in saved)
