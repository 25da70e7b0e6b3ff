"""A heatmap in a running notebook that tells Python where its reader points.

A heatmap from :mod:`simplellm.heatmap` needs no kernel and tells nobody. Use this one where Python
has something to answer. Needs anywidget besides (``pip install simplellm[notebook]``).
"""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from ..printing import prints_anywhere
from . import code
from .interactive import Interactive

#: What the controls of each kind set; a sentence's state has a table of positions besides, which is
#: no control.
CONTROLS = {
    "encoding": ("d_model", "positions", "base", "columns", "pin"),
    "grid": ("frame", "pin"),
    "sentence": ("frame", "text"),
    "conventions": ("first", "second", "d_model", "positions", "frame", "pin"),
}


@prints_anywhere
class LiveHeatmap(anywidget.AnyWidget):
    """The same heatmap as an ipywidget: Python sees every move and can show another state.

    Args:
        heatmap: What it shows at first.

    Raises:
        TypeError: If it is no heatmap.

    Attributes:
        view: Where the reader is, as the browser's ``state()`` gives it: ``row``, ``column``, and
            what the controls were set to. Observe it: ``live.observe(answer, names="view")``.

    Example:
        >>> from simplellm.heatmap import EncodingExplorer
        >>> live = LiveHeatmap(EncodingExplorer(d_model=8, positions=16, row=3))
        >>> live.view["row"]
        3
        >>> live.show(EncodingExplorer(d_model=16, positions=16, row=5))
        >>> live.view["row"], live.view["d_model"]
        (5, 16)
    """

    _esm = code.module()
    _css = code.stylesheet()
    state = traitlets.Dict().tag(sync=True)
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, heatmap: Interactive, **options: Any) -> None:
        _check(heatmap)
        super().__init__(state=heatmap.state, view=_view(heatmap), **options)

    def show(self, heatmap: Interactive) -> None:
        """Show another heatmap in the same place."""
        _check(heatmap)
        self.view = _view(heatmap)
        self.state = heatmap.state

    def __repr__(self) -> str:
        return f"LiveHeatmap {self.state['name']!r}: {self.state['title']}"


def _check(heatmap: object) -> None:
    if not isinstance(heatmap, Interactive):
        raise TypeError(
            f"heatmap must be a Heatmap, an EncodingExplorer or a SentenceExplorer, "
            f"got {type(heatmap).__name__}. Give an array to Heatmap first."
        )


def _view(heatmap: Interactive) -> dict[str, Any]:
    """What the browser will report, so that Python can answer before it has."""
    state = heatmap.state
    return {key: state[key] for key in ("row", "column", *CONTROLS[state["kind"]])}
