"""Cards: what a cell shows as HTML that is no heatmap, and a table to sort and to filter in one.

A card can be read without a script; the script adds the controls. Each carries its style and its
script, to work alone in a notebook; the site keeps one of each per page.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ..palette import with_colors

#: Where the styles and scripts of cards are, by the name in their element's class.
CODE: dict[str, tuple[str, ...]] = {
    "card": ("cards/card.css",),
    "table": ("cards/table.js",),
    "claims": ("claims/claims.css",),
    "strip": ("claims/strip.js",),
    "conventions": ("heatmap/js/conventions.js",),
    "wild": ("in_the_wild/wild.css",),
    "finder": ("in_the_wild/identify.js", "in_the_wild/tables.js", "in_the_wild/finder.js"),
}


@cache
def code(name: str) -> str:
    """The text of a style, with the palette's colours, or of a script.

    Raises:
        KeyError: If there is none of the name.
    """
    texts = [files("simplellm").joinpath(path).read_text(encoding="utf-8") for path in CODE[name]]
    return with_colors("".join(texts)) if _is_style(name) else "".join(texts)


def card(kind: str, name: str, inside: str, *, classes: str, code_of: Sequence[str]) -> str:
    """A card as a page gets it: the element, and the code it needs.

    Args:
        kind: What its script looks for in ``data-kind``.
        name: The element's id, which links use.
        inside: HTML.
        classes: Further classes, after ``simplellm-card``.
        code_of: Names in :data:`CODE`, besides that of every card.
    """
    return (
        f'<div class="simplellm-card {classes}" data-kind="{kind}" id="{name}">{inside}</div>'
        + "".join(map(_element, ("card", *code_of)))
    )


def _is_style(name: str) -> bool:
    return CODE[name][0].endswith(".css")


def _element(name: str) -> str:
    tag = "style" if _is_style(name) else "script"
    return f'<{tag} class="simplellm-{name}-code">{code(name)}</{tag}>'


# ---- a table to sort and to filter


@dataclass(frozen=True)
class Column:
    """A column of a table: what its head says, and whether a click on it sorts."""

    head: str
    sortable: bool = True


@dataclass(frozen=True)
class Filter:
    """A choice above a table: rows whose ``data-key`` is the chosen one stay.

    Attributes:
        key: Letters; also its name in the page's address.
        label: What stands before the choice.
        every: What the choice is called that leaves all rows.
        options: The values to choose from, in order.
    """

    key: str
    label: str
    every: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A cell: its HTML, and what it is sorted by, if not by its text."""

    html: str
    sort: str | float | None = None


@dataclass(frozen=True)
class Row:
    """A row: its id, its cells (the first is its heading), and the values that filters look at."""

    name: str
    cells: tuple[Cell, ...]
    values: Mapping[str, str]


def sortable_table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Row],
    filters: Sequence[Filter],
    *,
    noun: str,
) -> str:
    """The inside of a card of kind "table"; its ``code_of`` must name "table".

    The roles stand there because a phone shows rows as cards, and a browser then forgets that they
    are a table's.

    Args:
        caption: HTML.
        columns: One for each cell of a row.
        rows: In the order they have before anybody sorts.
        filters: Choices beside the search for words.
        noun: What a row is, in the plural, for the count.
    """
    choices = [[f.key, f.label, f.every, *f.options] for f in filters]
    said = html.escape(json.dumps({"noun": noun, "filters": choices}, ensure_ascii=False))
    head = "".join(
        f'<th scope="col" role="columnheader"{" data-sortable" * column.sortable}>'
        f"{html.escape(column.head)}</th>"
        for column in columns
    )
    body = "".join(_row(row, [html.escape(column.head) for column in columns]) for row in rows)
    return (
        f'<table role="table" data-table="{said}"><caption>{caption}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def _row(row: Row, heads: Sequence[str]) -> str:
    values = "".join(f' data-{key}="{html.escape(value)}"' for key, value in row.values.items())
    cells = []
    for index, (cell, head) in enumerate(zip(row.cells, heads, strict=True)):
        tag, role = ("td", "cell") if index else ("th", 'rowheader" scope="row')
        sort = "" if cell.sort is None else f' data-sort="{html.escape(str(cell.sort))}"'
        cells.append(f'<{tag} role="{role}" data-label="{head}"{sort}>{cell.html}</{tag}>')
    return f'<tr role="row" id="{html.escape(row.name)}"{values}>{"".join(cells)}</tr>'
