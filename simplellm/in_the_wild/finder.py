"""Which convention made my table? A card that answers on the page, without a kernel."""

from __future__ import annotations

import html
import json
from typing import Any

from ..cards import card
from ..conventions import CONVENTIONS, Convention
from ..printing import prints_anywhere
from ..survey import survey

#: Rows that the example prints, as PyTorch prints them.
EXAMPLE = (6, 8)


@prints_anywhere
class ConventionFinder:
    """A place to paste or open a table of positions; it names the convention and who follows it.

    What :func:`simplellm.identify` does, done by the page itself: nothing leaves it. It reads
    printed and comma-separated numbers, ``.npy`` and ``.safetensors``.

    Example:
        >>> "textarea" in ConventionFinder().html()  # in its script, which makes the controls
        True
    """

    def html(self) -> str:
        """All that a page needs."""
        example = str(Convention.named("m2m100").table(*EXAMPLE))
        known = {
            "conventions": {name: says.changes for name, says in CONVENTIONS.items()},
            "followers": [[says.changes, names] for says, names in _followers().items()],
            "example": example,
        }
        data = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
        inside = (
            f'<p class="headline" data-known="{html.escape(data)}">'
            "Which convention made my table?</p>"
            "<p>A file stays on your machine: this page reads it by itself. In Python, "
            "<code>simplellm.identify(table)</code> does the same.</p>"
        )
        return card(
            "finder",
            "finder",
            inside,
            classes="simplellm-wild",
            code_of=("wild", "conventions", "finder"),
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return (
            f"A finder of conventions: {len(CONVENTIONS)} names, {len(_followers())} conventions "
            "in use. In Python: simplellm.identify(table)."
        )


def _followers() -> dict[Convention, list[str]]:
    """The surveyed classes by what they follow."""
    found: dict[Convention, list[str]] = {}
    for one in survey():
        if one.convention is not None:
            found.setdefault(one.convention, []).append(f"{one.package} {one.version}: {one.name}")
    return found
