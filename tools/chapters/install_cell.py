"""The first code cell of every chapter: on Colab it fetches what is missing; elsewhere, nothing.

Its text is here and nowhere else. `make refresh` writes it into each notebook that imports
`simplellm`, with the address of the repository in it, and a rule in notebook_rules.py sees that
it is current. The tag keeps it off the website, where there is nothing to install.
"""

from __future__ import annotations

import re

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tools.chapters.address import Address

ID = "install"
TAG = "remove-cell"
IMPORTS_PACKAGE = re.compile(r"^\s*(?:import|from) simplellm\b", re.MULTILINE)

# What chapters import and Colab does not have: anywidget, and what anywidget itself imports.
COLAB_LACKS = ("anywidget", "psygnal")

WITH_ADDRESS = """\
# On Colab this installs what is missing. Anywhere else it installs nothing.
import importlib.util
import subprocess
import sys

colab = "google.colab" in sys.modules
packages = {{
    "simplellm": "{archive}",
}}
if colab:  # what a chapter needs and Colab does not have
    packages |= {{name: name for name in {lacks}}}
missing = [name for name in packages if not importlib.util.find_spec(name)]
if missing and colab:
    # --no-deps: pip installs what is named here and nothing else. torch above
    # all stays Colab's own, which fits the GPU there; so do numpy, matplotlib
    # and ipywidgets, which the kernel may have in use already.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *(packages[name] for name in missing)], check=True)
    importlib.invalidate_caches()
elif missing:
    raise ModuleNotFoundError(
        "This notebook needs the package simplellm, and the Python it runs "
        "with does not have it. Run this in a cell, then go on: %pip install "
        f'"simplellm[notebook] @ {{packages["simplellm"]}}"'
    )
if colab:
    from google.colab import output

    output.enable_custom_widget_manager()  # Colab shows anywidget only with it
"""

WITHOUT_ADDRESS = """\
# Says what to do where the package is missing. Otherwise it does nothing.
import importlib.util

if not importlib.util.find_spec("simplellm"):
    raise ModuleNotFoundError(
        "This notebook needs the package simplellm, and the Python it runs "
        "with does not have it. It belongs to the book, which has no public "
        "address yet: in a copy of the book's folder, `make lab` opens the "
        "chapters with everything in place. Elsewhere (Colab, say), make a "
        "file of it in that folder with `python -m pip wheel --no-deps .`, "
        "upload the file beside this notebook, and run in a cell: "
        "%pip install --no-deps simplellm-*.whl"
    )
"""


def source(address: Address) -> str:
    """Return the text of the cell."""
    if not address.repository:
        return WITHOUT_ADDRESS.strip()
    lacks = f"({', '.join(repr(name) for name in COLAB_LACKS)})".replace("'", '"')
    return WITH_ADDRESS.format(archive=address.archive, lacks=lacks).strip()


def is_needed(notebook: NotebookNode) -> bool:
    """Return whether a notebook imports the package."""
    return any(
        IMPORTS_PACKAGE.search(cell.source) for cell in notebook.cells if cell.cell_type == "code"
    )


def write(notebook: NotebookNode, address: Address) -> None:
    """Make the cell the first code cell of a notebook that imports the package, in place.

    The title stays the first cell of all: it is the page's.
    """
    if not is_needed(notebook):
        return
    cells = [cell for cell in notebook.cells if cell.get("id") != ID]
    place = next(at for at, cell in enumerate(cells) if cell.cell_type == "code")
    cells.insert(place, new_code_cell(source(address), id=ID, metadata={"tags": [TAG]}))
    notebook.cells = cells
