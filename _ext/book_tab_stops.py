"""Leave what is folded away out of the theme's tab stops until it is opened.

The theme's script asks each box of a page whether it scrolls, to give it a tab stop. For a box in a
closed fold, of which solutions are made, a browser has to lay out what nobody sees, again for each
box: on a page of many folds that was the longest task of its loading. Opened, a fold is asked.
"""

import re
from pathlib import Path

from sphinx.errors import ExtensionError

SCRIPT = "_static/scripts/pydata-sphinx-theme.js"
SETS_STOPS = re.compile(
    r"\.forEach\((?P<box>\w)=>\{(?P<sets>(?P=box)\.tabIndex=[^;{}]*)\}\)\},"
    r"(?P<late>\w=\w\((?P<all>\w),300\);)"
)
OPEN_ONLY = (
    r'.forEach(\g<box>=>{\g<box>.closest("details:not([open])")||(\g<sets>)})},'
    r'\g<late>document.addEventListener("toggle",\g<all>,!0);'
)


def with_stops_in_open_folds_only(script: str) -> str:
    """The theme's script, which passes over closed folds and looks again when one is opened.

    Raises:
        ExtensionError: it does not hold what is to be replaced; another version of the theme?
    """
    changed, times = SETS_STOPS.subn(OPEN_ONLY, script)
    if times != 1:
        raise ExtensionError(
            f"{SCRIPT} sets tab stops {times} times in the way that _ext/book_tab_stops.py mends, "
            "not once: look at what the theme does now, and mend or drop that file."
        )
    return changed


def mend_at_the_end(app, exception):
    if exception is None and app.builder.name == "html":
        file = Path(app.outdir) / SCRIPT
        file.write_text(with_stops_in_open_folds_only(file.read_text("utf-8")), encoding="utf-8")


def setup(app):
    app.connect("build-finished", mend_at_the_end)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
