"""What a Markdown cell says, and what in it is only an address, a setting or a comment."""

from __future__ import annotations

import pytest

from tools.chapters.markdown_cells import parts


def said(markdown: str, *kinds: str) -> list[str | None]:
    return [
        part.text if part.text is None else part.text.strip()
        for part in parts(markdown)
        if part.kind in kinds and (part.text is None or part.text.strip())
    ]


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("See [two words](a/path.ipynb 'a title').", "See a title two words."),
        ("[one][label]\n\n[label]: a/path.html", "one"),
        ("<https://a.org/1234> shows", "shows"),
        ("One.[^note]\n\n[^note]: Two.", "One. Two."),
        ("(target)=\n% a comment\n<!-- another -->\nOne", "One"),
        ("```{exercise-start} Recall\n:label: ex-a\n```\nOne\n```{exercise-end}\n```", "One"),
        (":::{admonition} One\n:class: tip\n\nTwo\n:::", "One Two"),
        ("````{admonition} One\n```{tip}\nTwo\n```\n````", "One Two"),
        ("```{figure} a.png\n---\nalt: Three\ncaption: One\n---\nTwo\n```", "One Two"),
        ("```{bibliography}\n:filter: docname in docnames\n```", ""),
        ('<p title="x">One</p><style>a { b: c }</style>', "One"),
        ("Costs \\$5 and 5&nbsp;%", "Costs $5 and 5\u00a0%"),
        ("| one | 2 |\n|---|---|\n| table | 3 |", "| one | 2 | table | 3"),
    ],
)
def test_words_are_those_that_a_reader_sees(markdown: str, words: str) -> None:
    shown = "".join(part.text or "" for part in parts(markdown) if part.kind == "words")
    assert shown.split() == words.split()


@pytest.mark.parametrize(
    ("markdown", "alt"),
    [
        ("![One [two]](a.png)", "One [two]"),
        ("![One][a]\n\n[a]: a.png", "One"),
        ("<img src='a.png' alt='One'>", "One"),
        ("<p>It <img alt='One' src='a.png'> shows</p>", "One"),
        ("<img src='a.png'>", None),
        (":::{figure} a.png\n:alt: One\n:::", "One"),
        ("```{image} a.png\n:width: 3px\n```", None),
        ("````{admonition} A\n```{image} a.png\n:alt: One\n```\n````", "One"),
    ],
)
def test_every_form_of_a_picture_gives_its_alt_text(markdown: str, alt: str | None) -> None:
    assert said(markdown, "picture") == [alt]


@pytest.mark.parametrize("code", ["`![x](a.png)`", "```\n![x](a.png)\n```", "    ![x](a.png)"])
def test_a_picture_in_code_is_none(code: str) -> None:
    assert said(code, "picture") == []
    assert said(code, "code", "block") == ["![x](a.png)"]


@pytest.mark.parametrize(
    ("markdown", "kind"),
    [
        ("It is $a_i$.", "formula"),
        ("It is {math}`a_i`.", "formula"),
        ("$$\na_i\n$$", "display"),
        ("```{math}\n:label: eq-a\na_i\n```", "display"),
        ("\\begin{align}\na_i\n\\end{align}", "display"),
    ],
)
def test_every_form_of_a_formula_is_one(markdown: str, kind: str) -> None:
    (formula,) = said(markdown, kind)
    assert "a_i" in str(formula)
    assert "a_i" not in "".join(map(str, said(markdown, "words")))


def test_what_opens_with_a_click_is_folded_and_its_title_is_not() -> None:
    markdown = "Out\n\n:::{admonition} Title\n:class: tip dropdown\n\nIn *all* of `it`\n:::\n\nOut"
    folded = {part.text: part.folded for part in parts(markdown) if part.text.strip()}
    assert folded == {
        "Out": False,
        "Title": False,
        "In ": True,
        "all": True,
        " of ": True,
        "it": True,
    }
