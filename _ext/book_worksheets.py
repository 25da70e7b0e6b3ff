"""`{worksheets}`: links to every chapter as a worksheet, and to all of them in one folder."""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from _ext.book_downloads import zipped
from tools.chapters import chapter_map, solutions

FOLDER = "worksheets"
ALL = "worksheets.zip"


class Worksheets(SphinxDirective):
    """A list of the chapters, each a file to save."""

    def run(self):
        files = {
            f"{chapter.file}.ipynb": f"{chapter.number} {escape(chapter.title)}"
            for chapter in chapter_map.load(Path(self.env.srcdir))
        }
        up = "../" * self.env.docname.count("/")
        items = []
        for file, words in {
            ALL: "All, in one folder: so their links to one another work",
            **files,
        }.items():
            link = f'<a href="{up}{FOLDER}/{file}" download="{file}">{words}</a>'
            items.append(nodes.list_item("", nodes.raw("", f"<p>{link}</p>", format="html")))
        return [nodes.bullet_list("", *items, classes=["worksheets"])]


def write_worksheets(app, error):
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir, FOLDER)
    folder.mkdir(exist_ok=True)
    sheets = solutions.worksheets(Path(app.srcdir))
    for name, text in sheets.items():
        (folder / name).write_bytes(text)
    inside = {f"{FOLDER}/{name}": text for name, text in sheets.items()}
    (folder / ALL).write_bytes(zipped(inside))


def setup(app):
    app.add_directive("worksheets", Worksheets)
    app.connect("build-finished", write_worksheets)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
