"""Interactive heatmaps that need no kernel and no network.

An object from this package, as the last line of a notebook cell, shows itself: a still picture
where scripts do not run, and controls, linked views and a keyboard cursor where they do. What is
drawn in the browser stands in ``js/``; its look in ``heatmap.css``.

Needs matplotlib besides torch and numpy (``pip install simplellm[plots]``).
"""

from __future__ import annotations

from .code import script
from .interactive import Interactive
from .kinds import ConventionExplorer, EncodingExplorer, Heatmap, SentenceExplorer, from_html

__all__ = [
    "ConventionExplorer",
    "EncodingExplorer",
    "Heatmap",
    "Interactive",
    "SentenceExplorer",
    "from_html",
    "script",
]
