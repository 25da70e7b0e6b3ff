"""Finish each rendered page: nothing dead, nothing from elsewhere, nothing in a reader's way.

Sphinx hands a page to the disk as one string; this extension takes it just before that, applies the
fixes below to it, and passes it on. To fix the finished markup, rather than to override the theme's
templates, survives another version of the theme: a fix leaves alone what it does not find.
"""

import re
from functools import cache
from urllib.parse import unquote

import soupsieve
from bs4 import BeautifulSoup, Tag
from docutils.nodes import make_id
from sphinx.util import logging

from _ext.book_search import SCRIPT as SEARCH_SCRIPT
from simplellm.cards import CODE

log = logging.getLogger(__name__)


def warn(subtype, message, *args):
    log.warning(message, *args, type="book", subtype=subtype)


def drop_fontawesome_script(soup, page):
    """1.5 MB on every page, to draw icons that the stylesheet and its web font already draw."""
    for script in soup.select('script[src*="scripts/fontawesome.js"]'):
        script.decompose()


def search_with_our_own_index(soup, page):
    """Sphinx's index would come with every page; ours (_ext/book_search.py) with the search."""
    for name in ("searchtools.js", "searchindex.js", "language_data.js"):
        for script in soup.select(f'script[src*="{name}"]'):
            script.decompose()
    if page == "search":
        for script in soup.select("script:not([src])"):
            if "Search.loadIndex" in (script.string or "") or "searchInput" in (
                script.string or ""
            ):
                script.decompose()
        soup.head.append(soup.new_tag("script", src=f"_static/{SEARCH_SCRIPT}", defer=""))


def load_scripts_of_tabs_where_there_are_tabs(soup, page):
    if not soup.select(".sd-tab-set"):
        for script in soup.select('script[src*="design-tabs.js"]'):
            script.decompose()


def keep_head_elements_once(soup, page):
    """Sphinx 7.4 emits body-only scripts twice; a `const` declared twice throws on every page."""
    seen = set()
    for tag in soup.select("head > script, head > meta[name=viewport]"):
        key = tag.get("name") or str(tag)
        if key in seen:
            tag.decompose()
        seen.add(key)


def keep_code_of_outputs_once(soup, page):
    """Each heatmap carries its code, to work alone in a notebook; a page needs it once.

    The style goes into the head: after its element, it would come into force when the reader sees
    the element already.
    """
    for name in ("heatmap", *CODE):
        for kind in ("script", "style"):
            first, *rest = soup.select(f"{kind}.simplellm-{name}-code") or [None]
            for tag in rest:
                if tag.string != first.string:
                    warn(
                        "heatmap",
                        "%s: two different %s %ss; refresh its notebook",
                        page,
                        name,
                        kind,
                    )
                tag.decompose()
            if first and kind == "style":
                soup.head.append(first.extract())


def lead_cards_to_pages(soup, page):
    """In an output's HTML a link names a notebook and a heading, as Jupyter opens them."""
    for link in soup.select('.simplellm-card a[href*=".ipynb"]'):
        path, _, place = link["href"].partition("#")
        target = f"#{make_id(unquote(place))}" if place else ""
        link["href"] = f"{path.removesuffix('.ipynb')}.html{target}"


def remove_live_widgets(soup, page):
    """A kernel-backed widget cannot work here; leave no empty box where it would have been."""
    for script in soup.select('script[type^="application/vnd.jupyter.widget"]'):
        box = script.find_parent(class_="cell_output")
        script.decompose()
        if box and not box.find(True):
            box.decompose()


def wrap_sentences(soup, page):
    """An output of sentences takes new lines, as in JupyterLab; one that is a table scrolls."""
    for block in soup.select(".cell_output .stream pre"):
        # Columns are set apart by two spaces or more; a sentence has them only at its beginning.
        if not re.search(r"\S {2,}\S", block.get_text()):
            block["class"] = [*block.get("class", []), "sentences"]


PHONE = 38  # characters of a printed line that a phone shows
LONGEST_NAME = 26  # a longer one would leave no room for the numbers
# What stands before the first colon, or before two spaces.
ROW_NAME = re.compile(
    r"^(?P<indent> *)(?P<name>(?=\S)(?:[^:\n]{1,24}:(?= +\S)|\S{1,24}(?: \S+)*?(?= {2,}\S)))"
    r"(?P<room> +)",
    re.MULTILINE,
)


def keep_names_of_rows_in_view(soup, page):
    """A printed table that is wider than a phone scrolls beside the names of its rows."""
    for block in soup.select(".cell_output .stream pre"):
        text = block.get_text()
        strings = [string for string in block.find_all(string=True) if string]
        wide = max(map(len, text.splitlines()), default=0) > PHONE
        if "sentences" in block.get("class", []) or not wide or len(strings) != 1:
            continue  # (what is colored is no table)
        names = [row for row in ROW_NAME.finditer(text) if len(row["name"]) <= LONGEST_NAME]
        # All as wide as the widest, or numbers would show between them.
        ends = [row.end("name") - row.start() for row in names]
        width = max((end for end in ends if end <= LONGEST_NAME), default=0)
        pieces, done = [], 0
        for row, end in zip(names, ends, strict=True):
            start = row.start() if end <= width else row.start("name")
            stop = min(max(row.start() + width, row.end("name")), row.end("room"))
            name = soup.new_tag("span", attrs={"class": "row-name"})
            name.string = text[start:stop]
            pieces += [text[done:start], name]
            done = stop
        strings[0].replace_with(*pieces, text[done:])


def fold_with_details(soup, page):
    """A `dropdown` admonition becomes <details>: it opens by key, by link and without JavaScript.

    (sphinx-togglebutton, the stock way, throws when the link in a solution's title is clicked.)
    """
    for box in soup.select("div.admonition.dropdown"):
        title = box.find(class_="admonition-title", recursive=False)
        for link in title.find_all("a"):  # the exercise is right above; a click is to open
            link.unwrap()
        box.name, title.name = "details", "summary"
    if soup.select(".toggle"):
        warn("fold", '%s: nothing folds "toggle"; write `:class: dropdown`', page)


def show_the_logo_once(soup, page):
    """The theme brings one for light and one for dark, and shows both until its script has run.

    Ours is the same in both. Its size holds its place until it is there.
    """
    for light, dark in zip(
        soup.select("img.logo__image.only-light"),
        soup.select("img.logo__image.only-dark"),
        strict=True,
    ):
        if light["src"] == dark["src"]:
            dark.decompose()
            light["class"] = ["logo__image"]
            light["width"], light["height"] = 216, 72


def say_what_needs_a_script(soup, page):
    """A chapter says "press Play" and "move the slider": whoever has no scripts is told why not."""
    heading = soup.select_one("article h1")
    if heading and soup.select_one(".simplellm-heatmap, .simplellm-card"):
        note = soup.new_tag("noscript")
        words = soup.new_tag("p", attrs={"class": "no-script"})
        words.string = (
            "JavaScript is off, so the heatmaps are still pictures and there is no search. All of "
            "the text, the formulas, the code and its results are here."
        )
        note.append(words)
        heading.insert_after(note)


# What "auto" comes to, before the first paint. The theme's own script finds out at the end of a
# page; until then a dark reader would see a light one.
RESOLVED_THEME = """
    {
      const root = document.documentElement, kept = (key) => localStorage.getItem(key) || "auto";
      const wanted = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      root.dataset.mode = kept("mode");
      root.dataset.theme = root.dataset.mode === "auto" ? wanted : root.dataset.mode;
    }
  """


def choose_the_theme_before_the_first_paint(soup, page):
    """The theme starts with what it kept: nothing on a first visit, and yesterday's later."""
    for script in soup.select("head > script:not([src])"):
        if "documentElement.dataset.theme" in (script.string or ""):
            script.string = RESOLVED_THEME


def name_landmarks(soup, page):
    """axe `region`: the logo is in a sidebar that is no landmark."""
    for sidebar in soup.select("div#pst-primary-sidebar"):
        sidebar["role"] = "navigation"
        sidebar["aria-label"] = "Book"


def let_visible_text_be_the_name(soup, page):
    """axe `label-content-name-mismatch`: what reads "Search Ctrl+K" was labelled "Search"."""
    for control in soup.select(".search-button-field[aria-label], details.hide > summary"):
        del control["aria-label"], control["title"]


def make_citation_lists_lists(soup, page):
    """axe: doc-biblioentry is deprecated, and a role=list must hold list items."""
    for entry in soup.select('.citation-list > [role="doc-biblioentry"]'):
        entry["role"] = "listitem"


def drop_repeated_ids(soup, page):
    """sphinx-exercise gives the content of every exercise on a page the same id."""
    for section in soup.select("section#exercise-content, section#solution-content"):
        section.name = "div"
        del section["id"]


def make_downloads_download(soup, page):
    """Save the notebook under its name instead of showing its JSON in a new tab."""
    for link in soup.select("a.btn-download-source-button"):
        del link["target"]
        link["download"] = link["href"].rsplit("/", 1)[-1]
        if link["href"].endswith(".ipynb"):
            link["title"] = "Download this chapter as a notebook"


def warn_about_other_hosts(soup, page):
    """With -W a page that would load from elsewhere fails the build. (It may link to there.)"""
    loads = [
        tag[name]
        for tag in soup.select("script, img, iframe, source, video, audio, embed, object, link")
        for name in ("src", "srcset", "href", "data", "poster")
        if tag.get(name) and tag.get("rel") != ["canonical"]
    ]
    for style in soup.select("style"):
        loads += re.findall(r"(?:url\(|@import)[\s'\"]*([^\s'\")]+)", style.string or "")
    for url in loads:
        if not url.startswith("data:") and ("://" in url or url.startswith("//")):
            warn("offline", "%s would load %s", page, url)


FIXES = [
    drop_fontawesome_script,
    search_with_our_own_index,
    load_scripts_of_tabs_where_there_are_tabs,
    keep_head_elements_once,
    keep_code_of_outputs_once,
    lead_cards_to_pages,
    remove_live_widgets,
    wrap_sentences,
    keep_names_of_rows_in_view,
    fold_with_details,
    show_the_logo_once,
    say_what_needs_a_script,
    choose_the_theme_before_the_first_paint,
    name_landmarks,
    let_visible_text_be_the_name,
    make_citation_lists_lists,
    drop_repeated_ids,
    make_downloads_download,
    warn_about_other_hosts,
]


# ---- a page, taken apart and put together


class Page:
    """A page's elements, found without a walk over the page for each question.

    One walk notes the elements by id, class and name. A selector is then asked only of those that
    can match its last part; of these it is soupsieve that decides.
    """

    def __init__(self, soup):
        self.soup, self.head, self.new_tag = soup, soup.head, soup.new_tag
        self.noted: dict[str, dict[int, Tag]] = {}
        for place, tag in enumerate(soup.find_all(True)):
            keys = ["*", tag.name, *(f".{name}" for name in tag.get("class", []))]
            for key in (*keys, f"#{tag.get('id')}"):
                self.noted.setdefault(key, {})[place] = tag

    def select(self, selector: str) -> list[Tag]:
        """The elements that match, in their order on the page as it was read."""
        found = {}
        for key in last_parts(selector):
            found.update(self.noted.get(key, {}))
        tags = [tag for _, tag in sorted(found.items()) if not tag.decomposed]
        matches = soupsieve.compile(selector).match
        return tags if selector in self.noted else [tag for tag in tags if matches(tag)]

    def select_one(self, selector: str) -> Tag | None:
        return next(iter(self.select(selector)), None)


@cache
def last_parts(selector: str) -> list[str]:
    """What an element must have to match: for `a > b.c[d], e` it is .c or e."""
    bare = re.sub(r"\[[^\]]*\]|:[\w-]+(\([^()]*\))?", "", selector)
    found = []
    for part in bare.split(","):
        names = re.findall(r"[#.]?[\w-]+", re.split(r"[\s>]", part)[-1]) or ["*"]
        found.append(min(names, key=lambda name: "#.".find(name[0]) % 3))
    return found


# Four of five elements of the book are in these, where there is nothing to fix: colored code, plain
# paragraphs, formulas, signatures on one line. (Of what a cell printed the text is looked at.)
PLAIN = re.compile(
    r'(?P<open><div class="[^"]*highlight-(?!myst-ansi)[^"]*"><div class="highlight"><pre>)'
    r"(?P<code>.*?)(?=</pre>)"
    r"|<(?P<name>script|p|math|dt)\b(?P<attributes>[^>]*)>(?P<inside>.*?)</(?P=name)>",
    re.DOTALL,
)
TO_FIX = re.compile(r"<(?:img|script|style|dl)\b|\.ipynb|●")


def finish(html: str, page: str) -> str:
    aside: list[str] = []

    def put_aside(found: re.Match) -> str:
        name, opened = found["name"], found["open"] or ""
        signature = name == "dt" and found["attributes"].startswith(' class="sig ')
        plain = name == "math" or signature or (name == "p" and not found["attributes"])
        if name and (not plain or TO_FIX.search(found["inside"])):
            return found[0]
        aside.append(found[0][len(opened) :])
        return f"{opened}<!--aside {len(aside) - 1}-->"

    start, article, rest = html.partition("<article")
    article, end, rest = rest.partition("</article>")
    body = PLAIN.sub(put_aside, article)
    soup = BeautifulSoup(f"{start}<article{body}{end}{rest}" if end else html, "html.parser")
    elements = Page(soup)
    for fix in FIXES:
        fix(elements, page)
    return re.sub(r"<!--aside (\d+)-->", lambda found: aside[int(found[1])], str(soup))


def take_pages_before_they_are_written(app):
    templates = getattr(app.builder, "templates", None)
    if app.builder.format != "html" or templates is None:
        return
    render = templates.render

    def render_and_finish(template, context):
        html = render(template, context)
        # The theme also renders each part of its frame by itself, to see whether it is empty.
        whole = "pagename" in context and "<html" in html[:1000]
        return finish(html, context["pagename"]) if whole else html

    templates.render = render_and_finish


def setup(app):
    app.connect("builder-inited", take_pages_before_they_are_written)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
