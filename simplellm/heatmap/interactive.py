"""What every heatmap is: a state, a still picture of it, and a page that holds both."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import plots
from ..printing import prints_anywhere
from .code import needed, script, stylesheet
from .values import check_words

State = dict[str, Any]


@prints_anywhere
class Interactive:
    """What all kinds share: everything shown is a function of one plain dictionary, the state.

    The state travels in the page, so a committed output can be rebuilt from itself and compared.
    """

    #: Scripts that this kind needs besides, by their names in ``js/``.
    needs: tuple[str, ...] = ()

    def __init__(self, state: State) -> None:
        check_words(name=state["name"], title=state["title"])
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
            + "".join(map(needed, self.needs))
            + f'<script class="simplellm-heatmap-code">{script()}</script>'
        )

    def mimebundle(self, picture: bytes) -> dict[str, str]:
        """What a notebook keeps of a cell that shows this, around a still that was drawn before."""
        text = base64.b64encode(picture).decode()
        return {"text/html": self._html(text), "image/png": text + "\n", "text/plain": repr(self)}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.mimebundle(self.picture())

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.state['name']!r}: {self.state['title']}"
