"""Where the book is public, and what follows: buttons, canonical links, link previews, sitemap.

Everything comes from `repository: url:` in _config.yml (see tools/chapters/address.py). While
that line is empty, no page names an address. Descriptions are there always: each page has its own.

The extensions that exist do less here: sphinxext-opengraph takes its description from the first
lines of text, never from the page's own, and cannot see the front door. sphinx-sitemap would do,
and be one dependency more for eleven lines.
"""

import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote

from sphinx.errors import ConfigError
from sphinx.util import logging

from tools.chapters.address import read_address

log = logging.getLogger(__name__)

BINDER, COLAB = "https://mybinder.org", "https://colab.research.google.com"
CARD = "_static/social-card.png"
CARD_SIZE = 1200, 630
CARD_COLUMNS, CARD_POSITIONS, CARD_CELL = 100, 36, 12
CARD_ALT = (
    f"The sinusoidal encoding as a heatmap: {CARD_POSITIONS} positions by {CARD_COLUMNS} columns, "
    "fast stripes on the left, slow ones on the right."
)

# Pages that Sphinx makes and nobody writes.
GENERATED = {
    "search": "Search every chapter for a term, a symbol or a function, without a server.",
    "genindex": "Every indexed name and term, each with the place where it is explained.",
}


# ---- settings


def settle_the_address(app, config):
    # From the file: Jupyter Book replaces the theme's options as a whole by those that
    # _config.yml lists for Sphinx, and with them what it had taken from `repository:`.
    try:
        address = read_address(Path(app.srcdir))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    config.html_baseurl = address.site  # Sphinx makes each page's canonical link from it
    if address.repository:
        config.html_theme_options.update(
            repository_url=address.repository,
            repository_branch=address.branch,
            use_repository_button=True,
            use_issues_button=True,
            launch_buttons={
                "binderhub_url": BINDER,
                "colab_url": COLAB,
                "notebook_interface": "jupyterlab",
            },
        )


# ---- the head of a page


def tag(name, content, kind="property"):
    return f'<meta {kind}="{name}" content="{escape(content)}">\n'


def preview(config, title, description, page):
    """What a link to the page looks like where it is shared; nothing while it has no address."""
    if not config.html_baseurl:
        return ""
    facts = {
        "og:type": "article" if page else "website",
        "og:site_name": config.html_title,
        "og:title": title,
        "og:description": description,
        "og:url": config.html_baseurl + page,
        "og:image": config.html_baseurl + CARD,
        "og:image:type": "image/png",
        "og:image:width": str(CARD_SIZE[0]),
        "og:image:height": str(CARD_SIZE[1]),
        "og:image:alt": CARD_ALT,
    }
    tags = [tag(name, content) for name, content in facts.items()]
    # The rest of a Twitter card is read from the tags above.
    return "".join(tags) + tag("twitter:card", "summary_large_image", "name")


def own_description(metatags):
    """The description among the tags that docutils wrote for the page, or None."""
    for found in re.findall(r"<meta [^>]*>", metatags):
        if re.search(r'\bname="description"', found):
            return unescape(re.search(r'\bcontent="([^"]*)"', found)[1])
    return None


def write_the_head(app, pagename, templatename, context, doctree):
    metatags = context.get("metatags") or ""
    description = own_description(metatags)
    if description is None and pagename in GENERATED:
        description = GENERATED[pagename]
        metatags += tag("description", description, "name")
    if description is None:
        log.warning(
            "%s has no description; give it one in its metadata, myst: html_meta: description:",
            pagename,
            type="book",
            subtype="description",
        )
        return
    title = unescape(re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title))
    page = app.builder.get_target_uri(pagename)
    context["metatags"] = metatags + preview(app.config, title, description, page)


def front_head(config):
    """The same for the front door, which is no page of Sphinx's."""
    head = tag("description", config.book_description, "name")
    if config.html_baseurl:
        head += f'<link rel="canonical" href="{escape(config.html_baseurl)}">\n'
    return head + preview(config, config.html_title, config.book_description, "")


def open_the_form(app, pagename, templatename, context, doctree):
    """The issue button opens the form for broken pages, with the page filled in."""

    def fill_in(buttons):
        for button in buttons:
            fill_in(button.get("buttons", []))
            if button.get("label") == "source-issues-button":
                place = quote(f"{app.builder.get_target_uri(pagename)}")
                base = button["url"].partition("?")[0]
                button["url"] = f"{base}?template=broken-page.yml&place={place}"

    fill_in(context.get("header_buttons", []))


# ---- the site's files


def write_the_sitemap(app, exception):
    """Pages that are written; the search and the index are no place to arrive at."""
    if exception is not None or app.builder.name != "html" or not app.config.html_baseurl:
        return
    places = [app.builder.get_target_uri(name) for name in sorted(app.env.found_docs)]
    lines = [f"<url><loc>{escape(app.config.html_baseurl + place)}</loc></url>" for place in places]
    text = '<?xml version="1.0" encoding="utf-8"?>\n'
    text += '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    text += "\n".join(lines) + "\n</urlset>\n"
    Path(app.outdir, "sitemap.xml").write_text(text, encoding="utf-8")


def draw_the_card(path, title):
    """The book's own table in true values, with the title below it."""
    from PIL import Image, ImageDraw, ImageFont

    from _ext.draw_marks import colour, value

    card = Image.new("RGB", CARD_SIZE, "#fbf9f5")
    draw = ImageDraw.Draw(card)
    for position in range(CARD_POSITIONS):
        for column in range(CARD_COLUMNS):
            x, y = column * CARD_CELL, position * CARD_CELL
            fill = colour(value(position, column, CARD_COLUMNS, 10000.0))
            draw.rectangle((x, y, x + CARD_CELL - 1, y + CARD_CELL - 1), fill)
    top = CARD_POSITIONS * CARD_CELL
    size = 60
    while draw.textlength(title, ImageFont.load_default(size)) > CARD_SIZE[0] - 96:
        size -= 1
    middle = (48, (top + CARD_SIZE[1]) // 2)
    draw.text(middle, title, fill="#1f2328", font=ImageFont.load_default(size), anchor="lm")
    card.save(path, optimize=True)


def write_the_card(app, exception):
    if exception is None and app.builder.name == "html" and app.config.html_baseurl:
        draw_the_card(Path(app.outdir, CARD), app.config.html_title)


def setup(app):
    app.add_config_value("book_description", "", "html")
    app.connect("config-inited", settle_the_address, priority=100)  # before the theme looks
    app.connect("html-page-context", write_the_head, priority=900)
    app.connect("html-page-context", open_the_form, priority=950)  # the theme has made its buttons
    app.connect("build-finished", write_the_sitemap)
    app.connect("build-finished", write_the_card)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
