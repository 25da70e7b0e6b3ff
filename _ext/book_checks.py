"""Warn (so that -W fails the build) about what Sphinx lets pass; keep the built folder lean."""

import json
import posixpath
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

from _ext.book_address import front_head

log = logging.getLogger(__name__)

EXPECTED_ERROR_TAGS = {"raises-exception", "nbval-raises-exception"}


# ---- committed outputs


def unexpected_errors(notebook: dict) -> list[str]:
    """The errors in a notebook's committed outputs, but for cells tagged as raising on purpose."""
    found = []
    for number, cell in enumerate(notebook.get("cells", [])):
        if EXPECTED_ERROR_TAGS & set(cell.get("metadata", {}).get("tags", [])):
            continue
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                found.append(f"cell {number}: {output.get('ename')}: {output.get('evalue')}")
    return found


def warn_about_committed_errors(app, docname, source):
    """With execution off, an error output is published in silence."""
    if app.env.doc2path(docname).endswith(".ipynb"):
        for error in unexpected_errors(json.loads(source[0])):
            log.warning(
                "committed error output, %s", error, location=docname, type="book", subtype="error"
            )


# ---- links, over the built site, so that raw HTML is seen too


SCRIPT = re.compile(r"(<script\b[^>]*>).*?(?=</script>)", re.DOTALL)
TAG = re.compile(r"<[a-zA-Z][^<>]*>")
ATTRIBUTE = re.compile(r'\s(id|name|href|src)="([^"]*)"')


class BuiltPage:
    """Places and links of a page as book_pages writes it: every value in double quotes.

    (A parser takes five times as long, of a second and a half for the book.)
    """

    def __init__(self, html):
        self.ids, self.links = set(), []
        for tag in TAG.findall(SCRIPT.sub(r"\1", html)):
            for name, value in ATTRIBUTE.findall(tag):
                if name == "id" or (name == "name" and tag.startswith("<a ")):
                    self.ids.add(unescape(value))
                elif name in ("href", "src"):
                    self.links.append(unescape(value))


def broken_links(site: Path) -> list[tuple[str, str, str]]:
    """(page, link, what is wrong) for every link inside the built site that leads nowhere.

    A link must also work from file:// and in a subfolder of a host: a bare folder or a leading
    slash is wrong.
    """
    # _static holds the theme's own parts and no page of ours
    pages = {
        f.relative_to(site).as_posix(): BuiltPage(f.read_text("utf-8"))
        for f in sorted(site.rglob("*.html"))
        if f.relative_to(site).parts[0] != "_static"
    }
    broken = []
    for here, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            path, place = unquote(url.path), unquote(url.fragment)
            target = posixpath.normpath(
                posixpath.join(posixpath.dirname(here), path or Path(here).name)
            )
            # a heatmap's address carries its state after its id: #heatmap-explorer?d_model=64
            names = {url.fragment, place, place.split("?")[0].split("&")[0]}
            if path.startswith("/"):
                broken.append((here, link, "starts at the host's root"))
            elif not (site / target).is_file():
                broken.append((here, link, "no such file"))
            elif place and target in pages and not names & pages[target].ids:
                broken.append((here, link, "no such place on that page"))
    return broken


def warn_about_broken_links(app, exception):
    if exception is None and app.builder.name == "html":
        for page, link, why in broken_links(Path(app.outdir)):
            log.warning("%s links to %s: %s", page, link, why, type="book", subtype="link")


# ---- the built folder


FRONT_DOOR = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
{head}<link rel="icon" href="_static/favicon.svg">
<meta http-equiv="refresh" content="0; url={first}">
</head>
<body><main><h1>{title}</h1><a href="{first}">Start here</a></main></body>
</html>
"""


def write_the_front_door(app, exception):
    """The stock redirect has no title, language or favicon; the last costs a 404."""
    if exception is None and app.builder.name == "html":
        page = FRONT_DOOR.format(
            title=app.config.html_title,
            head=front_head(app.config),
            first=f"{app.config.root_doc}.html",
        )
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def drop_unused_files(app, exception):
    """Copied by the theme, loaded by no page: 10 MB that an offline bundle would carry."""
    if exception is None and app.builder.name == "html":
        static = Path(app.outdir, "_static")
        Path(app.outdir, "searchindex.js").unlink(missing_ok=True)  # book_search makes another
        for folder in ("locales", "vendor"):  # the icons are in the style sheet
            shutil.rmtree(static / folder, ignore_errors=True)
        for pattern in ("scripts/fontawesome.js", "searchtools.js", "*macros.html", "**/*.map"):
            for path in static.glob(pattern):
                path.unlink()
        for path in static.glob("**/*.js"):
            code = path.read_text("utf-8")
            path.write_text(re.sub(r"//# sourceMappingURL=\S+\s*$", "", code), "utf-8")


def setup(app):
    # Jupyter Book always sets this, for an extension that we do without
    app.add_config_value("comments_config", {}, "")
    app.connect("source-read", warn_about_committed_errors)
    # the front door before the table of contents writes its own, the rest when all files are there
    app.connect("build-finished", write_the_front_door, priority=400)
    app.connect("build-finished", drop_unused_files, priority=900)
    app.connect("build-finished", warn_about_broken_links, priority=950)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
