"""What the search knows of a page: sections, terms and names, each with its own text."""

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from sphinx import addnodes

from _ext import book_search

PAGE = """
Waves
=====

A *first*, second.

Pairs
-----

Of pairs.

::

    code_of(pairs)

.. raw:: html

    <style>p { color: red }</style><p title="no">Tom&#x27;s <b>row</b></p>
"""


def page(text: str = PAGE) -> nodes.document:
    return publish_doctree(text, settings_overrides={"doctitle_xform": False})


def entry(place: str, entries: list[dict]) -> dict:
    return next(found for found in entries if found["place"] == place)


def test_section_is_an_entry_with_its_own_words_only():
    first, second = book_search.entries_of(page(), "a/page")
    assert (first["title"], first["kind"], first["page"]) == ("Waves", "page", "a/page")
    assert first["text"] == "A first, second."
    assert (second["title"], second["kind"]) == ("Pairs", "section")
    assert second["text"] == "Of pairs. Tom's row"
    assert second["code"] == "code_of pairs"


def test_section_without_a_heading_belongs_to_the_one_around_it():
    doctree = page()
    doctree.children[0].append(nodes.section("", nodes.paragraph("", "asked"), ids=["content"]))
    assert book_search.entries_of(doctree, "p")[0]["text"].endswith("asked")


def test_term_and_name_are_entries():
    term = nodes.term("", "key/value cache", ids=["term-cache"])
    meaning = nodes.definition("", nodes.paragraph("", "What is kept."))
    signature = addnodes.desc_signature("", "lift(x)", ids=["simplellm.lift"])
    content = addnodes.desc_content("", nodes.paragraph("", "Lift it."))
    section = nodes.section("", nodes.title("", "Names"), ids=["names"])
    section += nodes.definition_list("", nodes.definition_list_item("", term, meaning))
    section += addnodes.desc("", signature, content)
    doctree = page("")
    doctree += section
    entries = book_search.entries_of(doctree, "p")
    assert entry("term-cache", entries)["text"] == "What is kept."
    assert entry("term-cache", entries)["kind"] == "term"
    assert entry("simplellm.lift", entries)["title"] == "lift"
    assert entry("simplellm.lift", entries)["text"] == "Lift it."


@pytest.mark.parametrize(
    ("tex", "typed"),
    [
        (r"\sqrt{d_{\text{model}}}", "sqrt d_model"),
        (r"\frac{1}{2}", "1 2"),
        (r"10000^{2i/d}", "10000 2i/d"),
    ],
)
def test_formula_is_found_by_what_one_would_type(tex, typed):
    assert book_search.one_line(book_search.words_of_formula(tex)) == typed


def test_entry_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "a.html").write_text('<p id="here"></p>')
    places = [("a", "here"), ("a", ""), ("a", "gone"), ("b", "")]
    entries = [{"page": page, "place": place} for page, place in places]
    assert book_search.dead_entries(tmp_path, entries) == ["a.html#gone", "b.html#"]
