"""The parts of a Markdown cell, read with the parser that builds the site.

MyST's parser (markdown-it-py with the extensions that _config.yml names) gives tokens; `parts`
makes of them what a reader sees: words, code, formulas, pictures. What is only an address (the
target of a link, a label, an option of a directive, a comment) is in none of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from tools.machine.common import ROOT

# Directives whose body is shown verbatim or is no text at all.
VERBATIM = {"code", "code-block", "code-cell", "literalinclude", "mermaid", "raw", "eval-rst"}
LISTS = {"bibliography", "glossary-list", "include", "tableofcontents", "toctree"}
PICTURES = {"figure", "image"}
# Directives whose argument is a file, a label or a kind of exercise.
NAMED = {*PICTURES, "exercise-start", "exercise-end", "glue", "solution", "solution-start"}
OPTION = re.compile(r":(?P<name>[\w-]+):\s*(?P<value>.*)")


@dataclass(frozen=True)
class Part:
    """A piece of what a cell shows.

    Attributes:
        kind: "words", "code", "block" (of code), "formula", "display" (a formula on lines of its
            own), "picture", "role" or "tag".
        text: Its text; of a picture the alt text, and None where there is none.
        name: Of a role its name, of a block of code its language.
        folded: Whether it opens with a click only.
    """

    kind: str
    text: str | None
    name: str = ""
    folded: bool = False


@functools.cache
def parser() -> MarkdownIt:
    """Return MyST's parser as the site uses it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    extensions = set(config["parse"]["myst_enable_extensions"])
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


class _Html(HTMLParser):
    """Collects what a reader sees of a piece of HTML: its words and its pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Part] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up a picture; hide what follows a script or a style."""
        self.hidden += tag in ("script", "style")
        picture = tag == "img"
        self.parts.append(Part("picture" if picture else "tag", dict(attrs).get("alt")))

    def handle_endtag(self, tag: str) -> None:
        """Show again."""
        if tag in ("script", "style"):
            self.hidden = max(0, self.hidden - 1)
        self.parts.append(Part("tag", None))

    def handle_data(self, data: str) -> None:
        """Keep what is not hidden."""
        if not self.hidden:
            self.parts.append(Part("words", data))


def html_parts(source: str) -> list[Part]:
    """Return the words and the pictures of a piece of HTML, with a "tag" where a tag parts them."""
    collector = _Html()
    collector.feed(source)
    collector.close()
    return collector.parts


def _options(content: str) -> tuple[dict[str, str], str]:
    """Split the content of a directive into its options and its body."""
    lines = content.splitlines()
    if lines and lines[0].strip() == "---" and "---" in map(str.strip, lines[1:]):
        end = 1 + [line.strip() for line in lines[1:]].index("---")
        found = yaml.safe_load("\n".join(lines[1:end])) or {}
        return {key: str(value) for key, value in found.items()}, "\n".join(lines[end + 1 :])
    options = {}
    while lines and (option := OPTION.match(lines[0].strip())):
        options[option["name"]] = option["value"].strip()
        lines.pop(0)
    return options, "\n".join(lines)


def _fence(token: Token) -> Iterator[Part]:
    """Yield the parts of a directive, or of a block of code."""
    directive = re.match(r"\s*\{(?P<name>[^}\s]+)\}\s*(?P<argument>.*)", token.info)
    if not directive:
        yield Part("block", token.content, token.info.partition(" ")[0].strip())
        return
    name, argument = directive["name"], directive["argument"]
    options, body = _options(token.content)
    if name == "math":
        yield Part("display", body)
    elif name in VERBATIM:
        yield Part("block", body, argument.strip() or name)
    elif name not in LISTS:
        if name in PICTURES:
            yield Part("picture", options.get("alt"))
        if argument and name not in NAMED:
            yield from parts(argument)
        yield from parts(options.get("caption", ""))
        folded = name == "dropdown" or "dropdown" in options.get("class", "").split()
        for part in parts(body):
            yield replace(part, folded=folded or part.folded)


def _inline(token: Token) -> Iterator[Part]:
    """Yield the parts of a token within a line."""
    title = token.attrs.get("title")
    if token.type in ("softbreak", "hardbreak"):
        yield Part("words", "\n")
    elif token.type in ("text", "text_special"):
        yield Part("words", token.content)
    elif token.type == "code_inline":
        yield Part("code", token.content)
    elif token.type.startswith("math_inline"):
        yield Part("display" if "double" in token.type else "formula", token.content)
    elif token.type == "myst_role":
        name = token.meta["name"]
        yield Part("formula" if name == "math" else "role", token.content, name)
    elif token.type == "html_inline":
        yield from html_parts(token.content)
    elif token.type == "image":
        yield Part("picture", token.content)
    if title:
        yield Part("words", f" {title} ")


def parts(markdown: str) -> Iterator[Part]:
    """Yield what a cell shows, in its order; a block ends in words that are a line's end."""
    automatic = False
    for token in parser().parse(markdown):
        if token.type in ("fence", "colon_fence"):
            yield from _fence(token)
        elif token.type in ("math_block", "math_block_label", "amsmath"):
            yield Part("display", token.content)
        elif token.type == "code_block":
            yield Part("block", token.content)
        elif token.type == "html_block":
            yield from html_parts(token.content)
        elif token.type == "heading_open":
            yield Part("words", f"{token.markup} ")
        elif token.type in ("th_open", "td_open"):
            yield Part("words", "| ")
        for child in token.children or []:
            if child.type in ("link_open", "link_close"):  # <https://…> shows an address
                automatic = child.type == "link_open" and child.markup == "autolink"
            if not automatic:
                yield from _inline(child)
        if token.type in ("th_close", "td_close"):
            yield Part("words", " ")
        elif token.nesting == -1 or (token.nesting == 0 and token.type != "inline"):
            yield Part("words", "\n")
