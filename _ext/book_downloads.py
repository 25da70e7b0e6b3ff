"""What a page offers to save comes as a zip too, for readers who opened the site from disk.

A browser saves a file from a server because the link says `download`. A page on the disk it does
not obey in this, and shows a notebook as the text of its JSON. A zip it cannot show, so it saves
it: _static/book.js leads the links there (only there).
"""

import io
import zipfile
from pathlib import Path

KINDS = ("*.ipynb", "*.md")
OFFERED = ("_sources", "worksheets")


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of files, by their names in it; the same bytes for the same files."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)  # without a time: that of the build would be in it
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def write_zips(app, error):
    if error or app.builder.format != "html":
        return
    for folder in OFFERED:
        for kind in KINDS:
            for path in sorted(Path(app.outdir, folder).rglob(kind)):
                packed = zipped({path.name: path.read_bytes()})
                path.with_name(f"{path.name}.zip").write_bytes(packed)


def setup(app):
    app.connect("build-finished", write_zips, priority=900)  # the worksheets are there
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
