"""`{worksheets}`: links to every chapter as a worksheet, which is written beside the pages."""

import sys
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import chapter_map, solutions

FOLDER = "worksheets"


class Worksheets(SphinxDirective):
    """A list of the chapters, each a file to save."""

    def run(self):
        up = "../" * self.env.docname.count("/")
        items = []
        for chapter in chapter_map.load(Path(self.env.srcdir)):
            file = f"{chapter.file}.ipynb"
            link = (
                f'<a href="{up}{FOLDER}/{file}" download="{file}">'
                f"{chapter.number} {escape(chapter.title)}</a>"
            )
            items.append(nodes.list_item("", nodes.raw("", f"<p>{link}</p>", format="html")))
        return [nodes.bullet_list("", *items, classes=["worksheets"])]


def write_worksheets(app, error):
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir, FOLDER)
    folder.mkdir(exist_ok=True)
    for name, text in solutions.worksheets(Path(app.srcdir)).items():
        (folder / name).write_bytes(text)


def setup(app):
    app.add_directive("worksheets", Worksheets)
    app.connect("build-finished", write_worksheets)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
