"""The claims as a page shows them: a strip of verdicts, and a table to sort and to filter.

Both are HTML that can be read without a script; the script adds the controls. Links lead to
notebooks, as Jupyter opens them; on the website the build turns them into links to pages.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from itertools import groupby
from typing import Any
from urllib.parse import quote

from ..cards import Cell, Column, Filter, Row, card, sortable_table
from ..printing import prints_anywhere
from .claim import CHAPTERS, Claim, Judged
from .rules import Outcome, Verdict

#: The sign of each verdict.
SIGNS = {Verdict.HOLDS: "✓", Verdict.HOLDS_IF: "◐", Verdict.FAILS: "✗", Verdict.OPEN: "?"}
#: The chapter that shows what models people use say to a claim.
MODELS_CHAPTER = "13_real_models"
#: The sign of each outcome.
MARKS = {Outcome.TRUE: "✓", Outcome.FALSE: "✗", Outcome.OPEN: "?"}
#: More conditions than these are folded.
FOLDED = 6
#: What follows the number of a condition that Holm's correction left open.
LOST = " (open after Holm's correction)"
#: The groups of claims, by whether a claim has a source.
GROUPS = {True: "Sentences that somebody made", False: "Guesses that readers make"}
#: The class of both, for the style and the links.
_CLASS = "simplellm-claims"
_CLASSES = {
    Verdict.HOLDS: "holds",
    Verdict.HOLDS_IF: "if",
    Verdict.FAILS: "fails",
    Verdict.OPEN: "open",
}


class _Shown:
    """What the strip and the table share."""

    def __init__(self, judged: Iterable[Judged]) -> None:
        self.judged = tuple(judged)
        if not self.judged:
            raise ValueError("judged is empty: give the claims to show, as judge_all returns them.")

    def html(self) -> str:
        """All that a page needs."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": repr(self)}


@prints_anywhere
class ClaimsStrip(_Shown):
    """All verdicts at a glance: a line for each chapter, a cell for each claim.

    Sentences that somebody made come first, guesses of readers after them.

    Args:
        judged: Claims with their verdicts, as :func:`judge_all` returns them.
        title: States the finding.

    Raises:
        ValueError: If there are none.

    Example:
        >>> from simplellm.claims import CLAIMS, judge
        >>> ClaimsStrip(map(judge, CLAIMS[:2]), title="Two of many")
        Two of many: each sign leads to its row in the table of claims.
    """

    def __init__(self, judged: Iterable[Judged], *, title: str = "The verdicts") -> None:
        super().__init__(judged)
        self.title = title

    def html(self) -> str:
        groups = "".join(
            f'<p class="group">{html.escape(GROUPS[made])}</p><ul class="lines">{_lines(some)}</ul>'
            for made in (True, False)
            if (some := [j for j in self.judged if bool(j.claim.sources) is made])
        )
        legend = "".join(
            f'<li><span class="sign {_CLASSES[v]}" aria-hidden="true">{SIGNS[v]}</span> {v}</li>'
            for v in Verdict
        )
        longest = max(map(_label, self.judged), key=len)  # what is below must not jump
        inside = (
            f'<p class="headline">{html.escape(self.title)}</p>'
            f'<ul class="legend">{legend}</ul>'
            f'<div class="room" data-longest="{html.escape(longest)}">'
            '<p class="said">Each sign leads to its row in the table of claims.</p></div>'
            f"{groups}"
        )
        return card("strip", "claims-strip", inside, classes=_CLASS, code_of=("claims", "strip"))

    def __repr__(self) -> str:
        return f"{self.title}: each sign leads to its row in the table of claims."


def _lines(judged: Iterable[Judged]) -> str:
    order = list(Verdict)
    lines = []
    for chapter, group in groupby(judged, lambda j: j.claim.chapter):
        cells = "".join(map(_cell, sorted(group, key=lambda j: order.index(j.verdict))))
        lines.append(
            f'<li><span class="name">{html.escape(CHAPTERS[chapter])}</span>'
            f'<ul class="cells">{cells}</ul></li>'
        )
    return "".join(lines)


@prints_anywhere
class ClaimsTable(_Shown):
    """Every claim with who says it, what was measured, the rule and the verdict.

    Args:
        judged: Claims with their verdicts, as :func:`judge_all` returns them.

    Raises:
        ValueError: If there are none.

    Example:
        >>> from simplellm.claims import CLAIMS, judge
        >>> "</table>" in ClaimsTable(map(judge, CLAIMS[:2])).html()
        True
    """

    columns = (
        Column("Claim"),
        Column("Who says it"),
        Column("Measured here", sortable=False),
        Column("Verdict"),
        Column("Shown in"),
    )

    def html(self) -> str:
        chapters = dict.fromkeys(
            CHAPTERS[c] for c in sorted({j.claim.chapter for j in self.judged})
        )
        inside = sortable_table(
            "A number after ± is half a 95 % interval over five seeds; in brackets are the lowest "
            "and the highest seed of a share. A number with neither has no chance in it, or is of "
            "one model that people use. ✓ true, ✗ not true, ? open: what the rule says under each "
            "condition.",
            self.columns,
            map(_row, self.judged),
            (
                Filter("verdict", "Verdict", "all verdicts", tuple(map(str, Verdict))),
                Filter("chapter", "Chapter", "all chapters", tuple(chapters)),
                Filter("group", "Made by", "all", tuple(GROUPS.values())),
            ),
            noun="claims",
        )
        return card("table", "claims", inside, classes=_CLASS, code_of=("claims", "table"))

    def __repr__(self) -> str:
        return "\n".join(f"{SIGNS[j.verdict]} {_as_text(j)}" for j in self.judged)


def link(claim: Claim) -> str:
    """Address of the section that shows a claim, as Jupyter opens it.

    Example:
        >>> from simplellm.claims import CLAIMS
        >>> link(next(claim for claim in CLAIMS if claim.key == "balance"))
        '03_scaling_by_sqrt_d_model.ipynb#Two-sizes'
    """
    return _address(claim.chapter, claim.section)


# -- inside ----------------------------------------------------------------------------------------


def _address(chapter: str, section: str) -> str:
    place = f"#{quote(section.replace(' ', '-'))}" if section else ""
    return f"{chapter}.ipynb{place}"


def _hidden(text: str) -> str:
    return f'<span class="unseen">{html.escape(text)}</span>'


def _label(judged: Judged) -> str:
    return f"{judged.claim.text} {judged.words[0].upper()}{judged.words[1:]}."


def _cell(judged: Judged) -> str:
    label = _label(judged)
    return (
        f'<li><a class="sign {_CLASSES[judged.verdict]}" href="#claim-{judged.claim.key}" '
        f'title="{html.escape(label)}"><span aria-hidden="true">{SIGNS[judged.verdict]}</span>'
        f"{_hidden(label)}</a></li>"
    )


def _code_words(text: str) -> str:
    """Escape a text for HTML, with what is in backticks as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _said_at(claim: Claim) -> str:
    """The sources of a claim, each a link with the words that are there."""
    said = "".join(
        f'<li><a href="{html.escape(s.url)}">{html.escape(s.where)}</a>'
        f"{html.escape(f': “{s.says}”') if s.says else ''}</li>"
        for s in claim.sources
    )
    return f"<ul>{said}</ul>" if said else "a guess readers make"


def _findings(judged: Judged) -> str:
    """What was measured, by condition; many conditions are folded under how many are true."""
    found = "".join(
        f'<li><span class="outcome {f.outcome.name.lower()}" aria-hidden="true">{MARKS[f.outcome]}'
        f"</span>{_hidden(f'{f.outcome}: ')}{html.escape(f.condition)} "
        f"<b>{html.escape(f.number(judged.claim.unit))}</b>{LOST if f.lost else ''}</li>"
        for f in judged.findings
    )
    if len(judged.findings) <= FOLDED:
        return f"<ul>{found}</ul>"
    true = len(judged.conditions(Outcome.TRUE))
    summary = f"true under {true} of {len(judged.findings)} conditions"
    return f"<details><summary>{summary}</summary><ul>{found}</ul></details>"


def _row(judged: Judged) -> Row:
    claim = judged.claim
    lead = "Add" if judged.verdict is Verdict.HOLDS else "Say instead"
    instead = (
        f'<p class="instead"><b>{lead}:</b> {_code_words(claim.instead)}</p>'
        if claim.instead
        else ""
    )
    findings = _findings(judged)
    elsewhere = (
        f'<p class="elsewhere"><b>Measured by others:</b> {html.escape(claim.elsewhere)}</p>'
        if claim.elsewhere
        else ""
    )
    in_models = "".join(
        f'<li><span class="outcome {found.outcome.name.lower()}" aria-hidden="true">'
        f"{MARKS[found.outcome]}</span>{html.escape(judged.said_by(found))}: "
        f'<a href="{_address(MODELS_CHAPTER, said.section)}">{html.escape(said.number)}</a> '
        f"<b>{html.escape(found.number(said.unit))}</b></li>"
        for said, found in zip(claim.in_models, judged.in_models, strict=True)
    )
    models = f'<p class="models">In models people use</p><ul>{in_models}</ul>' if in_models else ""
    under = f"<p>{html.escape(judged.under)}</p>" if judged.under else ""
    rule = html.escape(claim.rule.sentence(claim.unit))
    chapter = CHAPTERS[claim.chapter]
    place = f": {html.escape(claim.section)}" if claim.section else ""
    cells = (
        Cell(f'<p class="claim">{_code_words(claim.text)}</p>{instead}', claim.text),
        Cell(_said_at(claim), claim.sources[0].where if claim.sources else GROUPS[False]),
        Cell(
            f"<p>{html.escape(claim.number)}</p>{findings}"
            f'<p class="scale">Scale: {html.escape(claim.scale)}.</p>{models}{elsewhere}'
        ),
        Cell(
            f'<p class="verdict"><span class="sign {_CLASSES[judged.verdict]}" aria-hidden="true">'
            f"{SIGNS[judged.verdict]}</span> <b>{judged.verdict}</b></p>{under}"
            f'<p class="rule">{rule}</p>',
            list(Verdict).index(judged.verdict),
        ),
        Cell(f'<a href="{link(claim)}">{html.escape(chapter)}{place}</a>'),
    )
    values = {
        "verdict": str(judged.verdict),
        "chapter": chapter,
        "group": GROUPS[bool(claim.sources)],
    }
    return Row(f"claim-{claim.key}", cells, values)


def _as_text(judged: Judged) -> str:
    numbers = "; ".join(
        f"{f.condition} {f.number(judged.claim.unit)}{LOST if f.lost else ''}"
        for f in judged.findings
    )
    said = "".join(
        f" ({judged.said_by(found)}: {found.number(m.unit)}, {m.number})"
        for m, found in zip(judged.claim.in_models, judged.in_models, strict=True)
    )
    return f"{judged.claim.text} – {judged.words}. {judged.claim.number}: {numbers}.{said}"
