"""MathJax from the site's own files, in parts, without its context menu.

The menu weighs 0.4 MB, puts a tab stop on every formula, and has commands that load what is not
there. A screen reader gets each formula as MathML all the same, from `assistive-mml`.
"""

from pathlib import Path

# output/chtml fetches its font itself. To name the font here too is a race: over http it
# may run before what it extends, and then no formula appears.
PARTS = ["core", "input/tex", "output/chtml", "a11y/assistive-mml"]
FETCHED_WHEN_NEEDED = ["input/tex/extensions", "output/chtml/fonts"]


def drop_other_parts(app, exception):
    """The package copies 24 MB: every renderer, the speech rules, the menu."""
    if exception is not None or app.builder.name != "html":
        return
    mathjax = Path(app.outdir, "_static", "mathjax")
    kept = [mathjax / f"{part}.js" for part in ["startup", *PARTS]]
    kept += [f for folder in FETCHED_WHEN_NEEDED for f in (mathjax / folder).rglob("*")]
    for path in sorted(mathjax.rglob("*"), reverse=True):  # what is inside before what holds it
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()


def setup(app):
    app.setup_extension("sphinx-mathjax-offline")  # the dashes in the name are right
    app.config.mathjax_path = "mathjax/startup.js"  # here: its setup overrides _config.yml
    app.config.mathjax3_config = {"loader": {"load": PARTS}}
    app.connect("build-finished", drop_other_parts, priority=900)  # after it has copied them
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
