"""Every committed chapter keeps to the rules, and every rule catches what it is for.

That the outputs are those of today's code is nbval's part (`make test` runs it); here stands what
nbval does not see. The rules are in tools/chapters/notebook_rules.py and prose_numbers.py.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.chapters import install_cell
from tools.chapters import notebook_rules as rules
from tools.chapters.address import read_address
from tools.chapters.prose_numbers import Evidence, evidence_of, unsupported

CHAPTERS = sorted(
    path
    for path in (Path(__file__).parent.parent / "chapters").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)


def test_there_are_chapters() -> None:
    assert CHAPTERS, "no chapters/*.ipynb: everything below would pass without looking at anything"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_chapter_keeps_rule(path: Path, rule: Callable[[NotebookNode], list[str]]) -> None:
    problems = rule(nbformat.read(path, as_version=4))
    assert not problems, "\n".join(
        [f"{path.name}: {rule.__doc__.splitlines()[0]}", *(f"  {problem}" for problem in problems)]
    )


# ---- the rules themselves ------------------------------------------------------------------------

PNG = base64.b64encode(b"\x89PNG").decode()
ALT = "Two bars, and the token's is a third of the position's."


def code(source: str = "1 + 1", *outputs: NotebookNode, count: int | None = 1, **metadata: Any):
    return new_code_cell(
        source, outputs=list(outputs), execution_count=count, metadata=NotebookNode(metadata)
    )


def shows(**data: Any) -> NotebookNode:
    """An output; its MIME types are given as text_html=…, image_png=… or in full."""
    return new_output(
        "display_data", data={kind.replace("_", "/", 1): value for kind, value in data.items()}
    )


def prints(text: str, name: str = "stdout") -> NotebookNode:
    return new_output("stream", text=text, name=name)


def book(*cells: NotebookNode) -> NotebookNode:
    return nbformat.from_dict(new_notebook(cells=list(cells)))


def alt(text: str) -> dict[str, Any]:
    return {"mystnb": {"image": {"alt": text}}}


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
TORCH = "import torch\ntorch.set_num_threads(1)\n_ = torch.manual_seed(0)"
WIDGET = {"model_id": "0", "version_major": 2, "version_minor": 0}
VIEW = "application/vnd.jupyter.widget-view+json"

GOOD = {
    "executed": [code(), code(count=2)],
    "checked": [code("x = 1  # NBVAL_SKIP is only named here", tags=["nbval-ignore-output"])],
    "no_errors": [
        code("raise ValueError('no')", ERROR, tags=["raises-exception"]),
        code("# NBVAL_RAISES_EXCEPTION\nraise ValueError('no')", ERROR),
        code("raise ValueError('no')", ERROR, tags=["nbval-raises-exception"]),
        code("x = 1  # NBVAL_RAISES_EXCEPTION is only named here"),
    ],
    "no_warnings": [code("print(1)", prints("1\n"))],
    "alt_texts": [
        code("plot()", shows(image_png=PNG, text_plain="<Figure>"), **alt(ALT)),
        code("heatmap", shows(text_html=f'<img alt="{ALT}">', image_png=PNG)),
        new_markdown_cell(f"![{ALT}](a.png) and `![](b.png)` is how one writes it"),
        new_markdown_cell(f":::{{figure}} a.png\n:alt: {ALT}\nA caption.\n:::"),
    ],
    "one_picture_per_cell": [
        code("x", shows(image_png=PNG), shows(text_html="<p>", image_png=PNG))
    ],
    "no_trailing_semicolons": [code("x = 1; y = 2\n# not this;\ns = 'nor this;'")],
    "no_machine_paths": [
        code("open('data/a.txt')", prints("home/work, /5 and and/or https://a.org/home/x")),
        code("x", shows(text_html=f'<img src="data:image/png;base64,/home/{PNG}">')),
    ],
    "no_addresses": [code("x", prints("0x7f3a12345678 is a number"))],
    "no_unstable_calls": [
        code("from tqdm.auto import tqdm\nimport tqdm.notebook\nstate.update(lr=0.1)"),
        code("from IPython.display import Image, clear_output, display\ndisplay(Image(png))"),
        code("# clear_output()\nprint('clear_output() and update_display() are not for here')"),
        code("state = {}\nstate.update(display(1) or {})\nmodel.state.update(a=1)"),
        code("handle = display(1, display_id=True)"),
        code("def handle():\n    rows = {}\n    rows.update(a=1)"),
        code("import tqdm.auto as t\nfrom tqdm import auto, notebook"),
    ],
    "no_widget_state": [code("w", shows(text_plain="IntSlider()", **{VIEW: WIDGET}))],
    "settled": [
        code("import math"),
        code(TORCH),
        code("torch.randn(3)"),
        code("np.random.default_rng(0).normal()"),
    ],
    "numbers_in_prose": [
        code("base = 10_000", prints("loss 0.416 at 25,014")),
        new_markdown_cell("The loss is 0.416 at 25 014."),
    ],
}

BROKEN: list[tuple[str, str, list[NotebookNode]]] = [
    ("executed", "cell 1 is not executed", [code(count=None)]),
    ("executed", "executed as number 7", [code(count=7)]),
    ("executed", "executed as number 3", [code(), code(count=3)]),
    ("checked", "is skipped", [code(tags=["nbval-skip"])]),
    ("checked", "is skipped", [code("# NBVAL_SKIP\n1 + 1")]),
    ("checked", "is skipped", [code(tags=["skip-execution"])]),
    ("no_errors", "ValueError: no", [code("raise ValueError('no')", ERROR)]),
    ("no_errors", "raises nothing", [code(tags=["raises-exception"])]),
    ("no_errors", "raises nothing", [code("# NBVAL_RAISES_EXCEPTION\n1 + 1")]),
    ("no_errors", "raises nothing", [code("if x:\n    ## NBVAL_RAISES_EXCEPTION\n    y")]),
    ("no_errors", "raises nothing", [code(tags=["nbval-raises-exception"])]),
    ("no_warnings", "UserWarning", [code("x", prints("UserWarning: old\n", name="stderr"))]),
    ("alt_texts", "no alt text", [code("plot()", shows(image_png=PNG))]),
    ("alt_texts", "file's name", [code("p", shows(image_png=PNG), **alt("../_images/ab12.png"))]),
    ("alt_texts", "says nothing", [code("p", shows(image_png=PNG), **alt("A heatmap."))]),
    ("alt_texts", "no alt text", [code("p", shows(**{"image/svg+xml": "<svg/>"}))]),
    ("alt_texts", "no alt text", [code("p", shows(text_html="<div><img src='a.png'></div>"))]),
    ("alt_texts", "no alt text", [code("p", shows(text_html="<img alt='' src='a.png'>"))]),
    ("alt_texts", "no alt text", [new_markdown_cell("![](a.png)")]),
    ("alt_texts", "no alt text", [new_markdown_cell('<img src="a.png">')]),
    ("alt_texts", "no alt text", [new_markdown_cell("```{figure} a.png\n:width: 5\ncaption\n```")]),
    ("alt_texts", "no alt text", [new_markdown_cell(":::{image} a.png\n:::")]),
    (
        "one_picture_per_cell",
        "shows 2 pictures",
        [code("p", shows(image_png=PNG), shows(image_png=PNG), **alt(ALT))],
    ),
    ("no_trailing_semicolons", "semicolon: plot();", [code("x = 1\nplot();")]),
    ("no_trailing_semicolons", "plot(); # quiet", [code("plot(); # quiet")]),
    ("no_trailing_semicolons", "plot();", [code("%matplotlib inline\nplot();")]),
    ("no_machine_paths", "/home/ada/x", [code("open('/home/ada/x')")]),
    ("no_machine_paths", "/Users/ada", [new_markdown_cell("Look into /Users/ada/book.")]),
    ("no_machine_paths", "site-packages", [code("x", prints("lib/site-packages/torch/a.py"))]),
    ("no_machine_paths", "names a path", [code("x", prints(f"{rules.ROOT}/simplellm/a.py"))]),
    ("no_machine_paths", "Users", [code("x", prints("C:\\Users\\ada\\book"))]),
    ("no_addresses", "at 0x7f3a", [code("x", shows(text_plain="<A at 0x7f3a12345678>"))]),
    ("no_addresses", "at 0xADDR", [code("x", prints("<function f at 0xADDR>"))]),
    *[
        ("no_unstable_calls", message, [code(source)])
        for message, source in [
            ("clear_output", "clear_output(wait=True)"),
            ("clear_output", "from IPython.display import clear_output as c\nc()"),
            ("clear_output", "from IPython import display as d\nd.clear_output()"),
            ("clear_output", "import IPython\nIPython.display.clear_output()"),
            ("clear_output", "import IPython.display as d\nd.clear_output(wait=True)"),
            ("clear_output", "from IPython.core.display_functions import *\nclear_output()"),
            ("clear_output", "out = widgets.Output()\nout.clear_output()"),
            ("clear_output", "wipe = clear_output"),
            ("clear_output", "slider.observe(lambda _: display.clear_output())"),
            ("clear_output", "%matplotlib inline\nclear_output()"),
            ("clear_output", "%%time\nclear_output()"),
            ("update_display", "update_display(1, display_id='a')"),
            ("update_display", "from IPython.display import update_display as u\nu(1)"),
            ("update", "display(1, display_id='a', update=True)"),
            ("update", "from IPython.display import display as show\nshow(1, update=True)"),
            ("update", "handle = display(1, display_id=True)\nhandle.update(2)"),
            ("update", "display(1, display_id=True).update(2)"),
            ("update", "self.handle = display(1, display_id='a')\nself.handle.update(2)"),
            ("update", "h: DisplayHandle = display(1, display_id=True)\nh.update(2)"),
            ("update", "if (h := display(1, display_id=True)):\n    h.update(2)"),
            ("update", "h = d.display(1, display_id=True)\nother = h\nother.update(2)"),
            ("update", "from IPython.display import DisplayHandle as D\nh = D()\nh.update(2)"),
            (
                "update",
                "hs = [display(i, display_id=True) for i in x]\nfor h in hs:\n    h.update(2)",
            ),
            ("update", "hs = {}\nhs[1] = display(1, display_id=True)\nhs[1].update(2)"),
            ("update", "a, b = 1, display(1, display_id=True)\nredraw = b.update"),
            ("tqdm", "from tqdm import tqdm"),
            ("tqdm", "import tqdm"),
            ("tqdm", "import tqdm as t"),
            ("tqdm", "from tqdm import trange as bar"),
            ("tqdm", "from tqdm.std import tqdm"),
            ("tqdm", "import torch, tqdm"),
            ("ProgressBar", "from IPython.display import ProgressBar\nfor i in ProgressBar(3): i"),
        ]
    ],
    (
        "no_unstable_calls",
        "cell 2",
        [code("handle = display(1, display_id=True)"), code("handle.update(2)", count=2)],
    ),
    (
        "no_unstable_calls",
        "cell 2",
        [code("from IPython.display import clear_output as c"), code("c()", count=2)],
    ),
    (
        "no_widget_state",
        "widget view and HTML",
        [code("w", shows(text_html="<p>x", **{VIEW: WIDGET}))],
    ),
    ("settled", "set_num_threads", [code("import torch")]),
    ("settled", "set_num_threads", [code("from torch import nn"), code(TORCH, count=2)]),
    (
        "settled",
        "manual_seed",
        [code("import torch\ntorch.set_num_threads(1)"), code("torch.randn(3)", count=2)],
    ),
    (
        "settled",
        "manual_seed",
        [code("import torch\ntorch.set_num_threads(1)"), code("TokenEmbedding(5, 4)", count=2)],
    ),
    ("settled", "numpy", [code("rng = np.random.default_rng()")]),
    ("settled", "numpy", [code("np.random.normal(3)")]),
    ("numbers_in_prose", "0.417", [code("x", prints("0.416")), new_markdown_cell("It is 0.417.")]),
    ("numbers_in_prose", "0.99", [code("x", shows(image_png=PNG), **alt("It ends at 0.99."))]),
]


def rule_named(name: str) -> Callable[[NotebookNode], list[str]]:
    return next(rule for rule in rules.RULES if rule.__name__ == name)


@pytest.mark.parametrize(
    ("name", "message", "cells"), BROKEN, ids=[f"{name}-{message}" for name, message, _ in BROKEN]
)
def test_rule_catches(name: str, message: str, cells: list[NotebookNode]) -> None:
    problems = rule_named(name)(book(*cells))
    assert len(problems) == 1, problems
    assert message in problems[0]


@pytest.mark.parametrize("name", GOOD)
def test_rule_accepts(name: str) -> None:
    assert rule_named(name)(book(*GOOD[name])) == []


def test_no_rule_goes_untried() -> None:
    # `folded` and `numbered` are tried in test_solutions.py.
    tried_below = {"described", "installs", "heatmaps_current", "folded", "numbered"}
    names = {rule.__name__ for rule in rules.RULES} - tried_below
    assert names == set(GOOD) == {name for name, _, _ in BROKEN}


def test_stored_widget_state_is_caught() -> None:
    notebook = book(code())
    notebook.metadata["widgets"] = {"state": {}}
    assert "widget state" in rules.no_widget_state(notebook)[0]


def test_problems_name_the_cell_as_a_reader_counts() -> None:
    notebook = book(new_markdown_cell("# One"), code(), new_markdown_cell("It is 0.417."))
    assert rules.numbers_in_prose(notebook)[0].startswith("cell 3: 0.417 in “…It is 0.417.…”")


@pytest.mark.parametrize(
    "path", [path for path in CHAPTERS if path.stem[:2].isdigit()], ids=lambda path: path.stem
)
def test_exercises_have_the_number_of_their_chapter(path: Path) -> None:
    numbers = re.findall(r"(?<=:enumerator: )\d+", path.read_text(encoding="utf-8"))
    assert len(numbers) >= 4 and {int(number) for number in numbers} == {int(path.stem[:2])}


# ---- descriptions, and the install cell ----------------------------------------------------------


def test_no_two_chapters_have_one_description() -> None:
    notebooks = [nbformat.read(path, as_version=4) for path in CHAPTERS]
    texts = [notebook.metadata.myst.html_meta.description for notebook in notebooks]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("d" * 50, None),
        ("d" * 160, None),
        ("d" * 49, "has 49 characters"),
        ("d" * 161, "has 161 characters; it must be one line of 50 to 160"),
        ("two\nlines" * 8, "one line"),
        (None, "no myst: {html_meta: {description: …}}"),
    ],
)
def test_description_is_one_line_of_50_to_160_characters(
    text: str | None, problem: str | None
) -> None:
    notebook = book(code())
    if text is not None:
        notebook.metadata["myst"] = {"html_meta": {"description": text}}
    found = rules.described(notebook)
    assert (problem in found[0]) if problem else (found == [])


def package_user() -> NotebookNode:
    notebook = book(new_markdown_cell("# A"), code("import simplellm"))
    install_cell.write(notebook, read_address(rules.ROOT))
    return notebook


def test_install_cell_of_today_passes() -> None:
    assert rules.installs(package_user()) == []
    assert rules.installs(book(code("import math"))) == []  # nothing to install


def test_install_cell_that_is_not_today_s_is_caught() -> None:
    edited, shown, moved, gone = (package_user() for _ in range(4))
    edited.cells[1].source += "\nx = 1"
    shown.cells[1].metadata["tags"] = []
    moved.cells.append(moved.cells.pop(1))
    del gone.cells[1]
    for notebook in (edited, shown, moved, gone):
        assert rules.installs(notebook) == [
            "cell 2 is not the install cell of today; run make refresh"
        ]


# ---- heatmaps are today's ------------------------------------------------------------------------


def heatmap_cell(**data: Any) -> NotebookNode:
    return code("explorer", shows(**data))


def test_real_heatmap_is_current_and_a_changed_byte_is_not() -> None:
    heatmap = pytest.importorskip("simplellm.heatmap")
    data = heatmap.EncodingExplorer(d_model=8, positions=4)._repr_mimebundle_()
    html, png = data["text/html"], data["image/png"]
    assert list(rules.heatmaps(book(heatmap_cell(text_html=html)))), "the page's class has changed"
    assert rules.heatmaps_current(book(heatmap_cell(text_html=html, image_png=png))) == []

    stale_script = html.replace("</script>", "/* last month's */</script>", 1)
    (problem,) = rules.heatmaps_current(book(heatmap_cell(text_html=stale_script, image_png=png)))
    assert "heatmap in cell 1 is not today's" in problem

    other = heatmap.EncodingExplorer(d_model=8, positions=5)._repr_mimebundle_()["image/png"]
    (problem,) = rules.heatmaps_current(book(heatmap_cell(text_html=html, image_png=other)))
    assert "still picture of the heatmap in cell 1" in problem


# ---- numbers in prose ----------------------------------------------------------------------------

RESULTS = book(
    code(
        "d_model = 512; base = 10_000; lr = 3e-3  # 777 in a comment is no result\nassert x < 6.25",
        prints("loss 0.4160, difference -0.0021, 3e-08, longest 25,014 and 60611\n[ 1  15 234]"),
        shows(text_html="<style>a{width:888px}</style><td>1 234.5</td><p title='999'>99.5&nbsp;%"),
    )
)


@pytest.mark.parametrize(
    "prose",
    [
        "The loss is 0.416, or 0.4160, and **0.416** in `loss = 0.416`.",
        "It changes by −0.0021, that is by 0.0021, or $-0.0021$.",
        "25014, 25 014, 25\u202f014, 25,014, $25\\,014$, $25{,}014$ and 60 611.",
        "An error of 3e-8, $3 \\times 10^{-8}$ or 3 × 10⁻⁸.",
        "With 512 columns, `[1, 15, 234]`, a base of 10 000, a rate of 0.003 and a bound of 6.25.",
        "In the table: 1 234.5 and 99.5 %.",
        "Two digits, 64 and 7, are not looked at; nor are float32, d2l, x_100 and 0x7f00ff.",
        # what is exempt
        "$10000^{2i/d}$, $10\\,000$ and $2\\pi \\cdot 10{,}000$ are the definition's.",
        "```{math}\n\\frac{1}{10000}\n```",
        "Vaswani et al. (2017, section 3.4), Press & Wolf (2017), Press (2022) and June 2017.",
        "{cite}`vaswani2017attention`, §3.41, Sections 3.45 and 3.5, [arXiv:1706.03762](https://a.org/1706.03762).",
        "[a thread](https://a.org/issues/2849), #2849, <https://a.org/1234>, https://a.org/777.",
        "[a thread][t777]\n\n[t777]: https://a.org/888",
        "[t777]: <a/888.html> 'A title'\n[t778]: 889.html \"Another\"",
        "Said below.[^777] And here.[^b]\n\n[^777]: With 512 columns.\n[^b]: See [it](888.html).",
        "Python 3.11, PyTorch 2.13, torch 2.13.0, CC BY 4.0.",
        ":::{figure} images/777.png\n:width: 640px\n:name: fig-999\nA caption.\n:::",
        "```{bibliography}\n:keyprefix: a123-\n```",
        "```bash\npip install a==9.99\n```",
        "{glue:text}`loss:.3f`, {ref}`fig-999`, {doc}`a/777`.",
        "(target-777)=\n## 3.4 A heading",
        "<!-- 777 --> a comment\n% 777 another",
    ],
)
def test_number_that_stands_or_is_exempt_passes(prose: str) -> None:
    assert unsupported(prose, evidence_of(RESULTS)) == []


@pytest.mark.parametrize(
    ("prose", "number"),
    [
        ("The loss is 0.42.", "0.42"),  # the printed rounding is 0.4160
        ("The loss is 0.41600001.", "0.41600001"),
        ("The loss is 0.16.", "0.16"),  # a whole number, not the end of 0.4160
        ("It is 1.5x faster.", "1.5"),
        ("It changes by −0.416.", "−0.416"),  # the sign was lost
        ("Longest is 25 015.", "25 015"),
        ("Longest is $25\\,015$.", "25\\,015"),
        ("A wavelength of 25 and of 014.5.", "014.5"),
        ("It is 777.", "777"),  # stands in a comment
        ("It is 888 wide.", "888"),  # stands in a style
        ("It is 999.", "999"),  # stands in an attribute
        ("`d_model = 768`", "768"),
        ("A base of 20000: $20000^{2i/d}$", "20000"),
        ("$\\sqrt{640} = 25.3$", "640"),
        ("An error of $4 \\times 10^{-8}$.", "4 \\times 10^{-8}"),
        ("With 2048 positions.", "2048"),
        ("After 2000 steps.", "2000"),
        ("![At 0.99 the curve turns](a.png)", "0.99"),
        (":::{figure} a.png\n:alt: At 0.99 the curve turns\n:::", "0.99"),
        (":::{figure} a.png\n:width: 5\n\nAt 0.99 it turns.\n:::", "0.99"),
        ("````{admonition} About 0.99\n```{tip}\ntext\n```\n````", "0.99"),
        ("```\nshape (1, 640)\n```", "640"),
        ("| scheme | loss |\n|---|---|\n| none | 0.99 |", "0.99"),
        ("| scheme | loss |\n|---|---|\n| a table | 1.99 |", "1.99"),  # it is not Table 1.99
        ("% a comment\n\nIt is 0.99.", "0.99"),
        ('<img alt="At 0.99 the curve turns" src="a.png">', "0.99"),
        ("It is.[^1]\n\n[^1]: The loss is 0.99.", "0.99"),
        ("It is.[^why]\n\n  [^why]: The loss\n    is 0.99.", "0.99"),
        ("[Note]: the loss is 0.99", "0.99"),  # no address stands there, so it is a paragraph
        ("[a curve](a.html 'It turns at 0.99')", "0.99"),
        ('![A curve](a.png "It turns at 0.99")', "0.99"),
    ],
)
def test_number_that_stands_nowhere_is_named(prose: str, number: str) -> None:
    missing = [text for text, _ in unsupported(prose, evidence_of(RESULTS))]
    assert missing[:1] == [number]


def test_numbers_side_by_side_stand_alone_and_joined() -> None:
    evidence = Evidence()
    evidence.add("[  1  15 234  89] and [1,15,235] and 60 611")
    for prose in ("234", "235", "60 611", "60611", "`[15 234 89]`", "[15 235]"):
        assert unsupported(prose, evidence) == []
    for prose in ("60 234", "`[15 236]`", "`60` and 60 234"):
        assert unsupported(prose, evidence) != []
