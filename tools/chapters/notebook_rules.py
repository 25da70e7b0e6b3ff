"""The rules for committed chapters. Each takes a notebook and returns what breaks it.

    python -m tools.chapters.notebook_rules chapters/01.ipynb      (the rules alone, in a second)

A rule is a function, so that tests/test_notebooks.py can apply it to every chapter and also
to small notebooks that break it: a rule that cannot fail protects nobody.
"""

from __future__ import annotations

import base64
import copy
import io
import itertools
import re
import sys
import tokenize
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbval.plugin import find_comment_markers, find_metadata_tags

from tools.chapters import install_cell, redrawing, solutions
from tools.chapters.address import read_address
from tools.chapters.markdown_cells import html_parts, parts
from tools.chapters.prose_numbers import evidence_of, unsupported
from tools.machine.common import ROOT

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PICTURES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif")
DESCRIPTION = range(50, 161)  # characters: search engines and link previews show about as many
SHORTEST_ALT = 20  # characters; less cannot describe what a seeing reader takes from a picture


def code_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """Yield (number, cell) for the code cells; cells are counted from 1, as a reader does."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            yield number, cell


def tags(cell: NotebookNode) -> set[str]:
    """Return a cell's tags."""
    return set(cell.metadata.get("tags", []))


def told_to_nbval(cell: NotebookNode) -> dict[str, bool]:
    """Return what a cell's tags and comments ask of nbval, as nbval itself reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two with the same text
        return dict(find_metadata_tags(cell.metadata)) | dict(find_comment_markers(cell.source))


def outputs(notebook: NotebookNode, kind: str) -> Iterator[tuple[int, str]]:
    """Yield (cell number, content) for each output that has the MIME type `kind`."""
    for number, cell in code_cells(notebook):
        for output in cell.outputs:
            if kind in output.get("data", {}):
                yield number, output.data[kind]


def printed(output: NotebookNode) -> str:
    """Return all that an output shows as text, without the pictures inside its HTML."""
    data = output.get("data", {})
    texts = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    texts += [text for kind, text in data.items() if kind.startswith("text/")]
    return re.sub(r"data:[\w/+]+;base64,[A-Za-z0-9+/=\s]+", "", "\n".join(texts))


# ---- executed, and without a fault ---------------------------------------------------------------


def executed(notebook: NotebookNode) -> list[str]:
    """Every code cell was executed, from the first to the last in one go.

    nbval compares nothing where the count is null and no output is stored, and passes.
    """
    problems = []
    for place, (number, cell) in enumerate(code_cells(notebook), 1):
        if not isinstance(cell.execution_count, int):
            problems.append(f"cell {number} is not executed; run make refresh")
        elif cell.execution_count != place:
            problems.append(
                f"cell {number} was executed as number {cell.execution_count}, but stands as "
                f"number {place}; run make refresh"
            )
    return problems


def checked(notebook: NotebookNode) -> list[str]:
    """No cell is taken out of the checks: skipping one is not ignoring its output."""
    problems = []
    for number, cell in code_cells(notebook):
        if "skip-execution" in tags(cell) or told_to_nbval(cell).get("skip"):
            problems.append(
                f"cell {number} is skipped by nbval; tag it nbval-ignore-output at most"
            )
    return problems


def no_errors(notebook: NotebookNode) -> list[str]:
    """No error is committed that the cell does not announce, and an announced one came."""
    problems = []
    for number, cell in code_cells(notebook):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        expected = told_to_nbval(cell).get("check_exception")
        if errors and not expected:
            problems.append(f"cell {number} shows {errors[0].ename}: {errors[0].evalue}")
        if expected and not errors:
            problems.append(f"cell {number} announces an exception and raises nothing")
    return problems


def no_warnings(notebook: NotebookNode) -> list[str]:
    """Nothing is written to stderr: no warning, no log line, no text progress bar."""
    return [
        f"cell {number} writes to stderr: {output.text.strip().partition(chr(10))[0]}"
        for number, cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


# ---- pictures ------------------------------------------------------------------------------------


def alt_problem(alt: object) -> str | None:
    """Return what is wrong with an alt text, or None."""
    if not isinstance(alt, str) or not alt.strip():
        return "has no alt text"
    alt = " ".join(alt.split())
    if re.fullmatch(r"\S*[/\\]\S*|\S+\.(?:png|svg|jpe?g|gif|webp)", alt):
        return f"has a file's name for alt text: {alt!r}"
    if len(alt) < SHORTEST_ALT:
        return f"has an alt text that says nothing: {alt!r}"
    return None


def is_picture(output: NotebookNode) -> bool:
    """Return whether the page shows this output as a picture (HTML, where there is any, wins)."""
    data = output.get("data", {})
    return "text/html" not in data and any(kind in data for kind in PICTURES)


def alt_of_cell(cell: NotebookNode) -> object:
    """Return the alt text that the site uses for the pictures a code cell shows."""
    node: object = cell.metadata
    for key in ("mystnb", "image", "alt"):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def alt_texts(notebook: NotebookNode) -> list[str]:
    """Every picture has an alt text with what a seeing reader takes from it.

    The alt text of a figure is in the cell's metadata, mystnb: {image: {alt: …}}; the default
    is a file path, and no accessibility checker objects to that.
    """
    problems = []
    for number, cell in enumerate(notebook.cells, 1):
        alts: list[object] = []
        if cell.cell_type == "markdown":
            alts += [part.text for part in parts(cell.source) if part.kind == "picture"]
        elif cell.cell_type == "code":
            alts += [alt_of_cell(cell) for output in cell.outputs if is_picture(output)]
            for output in cell.outputs:
                shown = html_parts(output.get("data", {}).get("text/html", ""))
                alts += [part.text for part in shown if part.kind == "picture"]
        for alt in alts:
            problem = alt_problem(alt)
            if problem:
                problems.append(f"a picture in cell {number} {problem}")
    return problems


def one_picture_per_cell(notebook: NotebookNode) -> list[str]:
    """A cell shows one picture at most, because its alt text belongs to the cell."""
    problems = []
    for number, cell in code_cells(notebook):
        count = sum(is_picture(output) for output in cell.outputs)
        if count > 1:
            problems.append(f"cell {number} shows {count} pictures under one alt text")
    return problems


# ---- stable outputs ------------------------------------------------------------------------------


def no_trailing_semicolons(notebook: NotebookNode) -> list[str]:
    """No line ends in `;`: it hides an output here, and not from nbval. Write `_ = …`."""
    problems = []
    for number, cell in code_cells(notebook):
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(cell.source).readline))
        except (tokenize.TokenError, SyntaxError):  # such as a magic
            ends = [line for line in cell.source.splitlines() if line.rstrip().endswith(";")]
        else:
            last = (tokenize.NEWLINE, tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER)
            ends = [
                token.line
                for token, following in itertools.pairwise(tokens)
                if token.type == tokenize.OP and token.string == ";" and following.type in last
            ]
        problems += [f"cell {number} ends a line in a semicolon: {end.strip()}" for end in ends]
    return problems


MACHINE_PATH = re.compile(
    r"(?<![\w.:/~-])(?:/(?:home|Users|root|tmp|private|var/folders|mnt|opt|content)/\S*)"
    r"|\b[A-Za-z]:\\+Users\\\S*|\bsite-packages/\S*"
)


def no_machine_paths(notebook: NotebookNode) -> list[str]:
    """A notebook holds no path of the machine that executed it."""
    here = {str(ROOT), sys.prefix, str(Path.home())} - {"/"}
    problems = []
    for number, cell in enumerate(notebook.cells, 1):
        texts = [cell.source, *map(printed, cell.get("outputs", []))]
        for text in texts:
            found = [match.group() for match in MACHINE_PATH.finditer(text)]
            found += [path for path in here if path + "/" in text or path + "'" in text]
            if found:
                problems.append(f"cell {number} names a path of one machine: {found[0]}")
                break
    return problems


def no_addresses(notebook: NotebookNode) -> list[str]:
    """No output shows where in memory an object lay; give its class a __repr__."""
    return [
        f"cell {number} shows a memory address: {match.group()}"
        for number, cell in code_cells(notebook)
        for output in cell.outputs
        if (match := re.search(r"\bat 0x(?:[0-9a-fA-F]{6,}|ADDR)", printed(output)))
    ]


def no_unstable_calls(notebook: NotebookNode) -> list[str]:
    """Nothing redraws its output: such a cell never gives the same outputs twice."""
    cells = list(code_cells(notebook))
    found = redrawing.find([cell.source for _, cell in cells])
    return [
        f"cell {number} redraws its output ({what}); see tqdm.auto, widgets.Image"
        for (number, _), what in zip(cells, found, strict=True)
        if what
    ]


def no_widget_state(notebook: NotebookNode) -> list[str]:
    """No widget state is stored, and no output offers a widget and HTML (hosts then hang)."""
    problems = []
    if "widgets" in notebook.metadata:
        problems.append("the notebook stores widget state; run make refresh")
    for number, cell in code_cells(notebook):
        for output in cell.outputs:
            if {WIDGET_VIEW, "text/html"} <= set(output.get("data", {})):
                problems.append(f"cell {number} has a widget view and HTML in one output")
    return problems


IMPORTS_TORCH = re.compile(r"^\s*(?:import torch\b|from torch[\w.]* import)", re.MULTILINE)
# What draws random numbers in torch: by name, by initialisation, by dropout, by sampling.
TORCH_RANDOM = re.compile(
    r"\btorch\.(?:rand\w*|normal|bernoulli|multinomial)\b|\.(?:normal_|uniform_|bernoulli_|random_)\("
    r"|\bnn\.(?:Embedding|Linear|Dropout|MultiheadAttention|Transformer\w*|init)\b"
    r"|\b(?:TokenEmbedding|LearnedPositionalEmbedding|InputEmbedding|SimpleLLM)\s*\("
    r"|\.generate\(|\btrain\w*\("
)
NUMPY_RANDOM = re.compile(
    r"\b(?:np|numpy)\.random\.(?!default_rng|seed|Generator|SeedSequence)\w+\("
)


def settled(notebook: NotebookNode) -> list[str]:
    """The first cell that imports torch takes one thread, and a seed where chance plays a part."""
    sources = [(number, cell.source) for number, cell in code_cells(notebook)]
    code = "\n".join(source for _, source in sources)
    problems = []
    first = next(((n, source) for n, source in sources if IMPORTS_TORCH.search(source)), None)
    if first:
        number, source = first
        if not re.search(r"\btorch\.set_num_threads\(1\)", source):
            problems.append(f"cell {number} imports torch without torch.set_num_threads(1)")
        drawing = TORCH_RANDOM.search(code)
        if drawing and not re.search(r"\bmanual_seed\(\s*\w+\s*\)", source):
            problems.append(
                f"cell {number} imports torch without a torch.manual_seed(…), and the notebook "
                f"calls {drawing.group().rstrip('(')}"
            )
    unseeded = re.search(r"\bdefault_rng\(\s*\)", code)
    if unseeded or (NUMPY_RANDOM.search(code) and "random.seed(" not in code):
        problems.append("numpy draws random numbers without a seed; np.random.default_rng(0)")
    return problems


# ---- around a chapter ----------------------------------------------------------------------------


def described(notebook: NotebookNode) -> list[str]:
    """The notebook's metadata describe it in a sentence, for search engines and link previews.

    It is where MyST looks for it, myst: {html_meta: {description: …}}, and Sphinx puts it into
    the head of the page.
    """
    node: object = notebook.metadata
    for key in ("myst", "html_meta", "description"):
        node = node.get(key) if isinstance(node, dict) else None
    if not isinstance(node, str):
        return ["its metadata have no myst: {html_meta: {description: …}}"]
    if len(node) not in DESCRIPTION or node != " ".join(node.split()):
        return [
            f"its description has {len(node)} characters; it must be one line of "
            f"{DESCRIPTION.start} to {DESCRIPTION.stop - 1}"
        ]
    return []


def installs(notebook: NotebookNode) -> list[str]:
    """The first code cell is today's install cell, if the notebook imports the package."""
    if not install_cell.is_needed(notebook):
        return []
    number, first = next(code_cells(notebook))
    wanted = install_cell.source(read_address(ROOT))
    if (first.get("id"), first.source, tags(first)) != (
        install_cell.ID,
        wanted,
        {install_cell.TAG},
    ):
        return [f"cell {number} is not the install cell of today; run make refresh"]
    return []


def folded(notebook: NotebookNode) -> list[str]:
    """Every solution is under a collapsed heading, so that no answer is seen below its question."""
    today = copy.deepcopy(notebook)
    solutions.fold(today)
    return solutions.seen_when_folded(today) + [
        f"cell {number} is not folded as it should be; run make refresh"
        for number, (cell, other) in enumerate(zip(notebook.cells, today.cells, strict=True), 1)
        if cell != other
    ]


def numbered(notebook: NotebookNode) -> list[str]:
    """Exercises are numbered by chapter and in order, 4.1, 4.2: JupyterLab and the site show it."""
    today = copy.deepcopy(notebook)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    chapter = re.search(r"(?m)^:enumerator: (\d+)\.", source)
    solutions.number(today, int(chapter[1]) if chapter else 0)
    return [
        f"cell {number} does not have its exercise's number; run make refresh"
        for number, (cell, other) in enumerate(zip(notebook.cells, today.cells, strict=True), 1)
        if cell != other
    ]


# ---- true ----------------------------------------------------------------------------------------


def numbers_in_prose(notebook: NotebookNode) -> list[str]:
    """Every decimal and every integer of three digits or more in the prose is in a result."""
    evidence = evidence_of(notebook)
    problems = []
    for number, cell in enumerate(notebook.cells, 1):
        alt = alt_of_cell(cell)
        prose = cell.source if cell.cell_type == "markdown" else alt if isinstance(alt, str) else ""
        problems += [
            f"cell {number}: {missing} in “…{around}…” stands in no output and no code"
            for missing, around in unsupported(prose, evidence)
        ]
    return problems


HEATMAP = 'class="simplellm-heatmap"'


def heatmaps(notebook: NotebookNode) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (cell number, MIME bundle) for every committed interactive heatmap."""
    for number, cell in code_cells(notebook):
        for output in cell.outputs:
            if HEATMAP in output.get("data", {}).get("text/html", ""):
                yield number, output.data


Rebuild = Callable[[str], dict[str, object]]  # from committed HTML to today's MIME bundle


def rebuild_heatmap(source: str) -> dict[str, object]:
    """Make a heatmap again from the data inside its committed HTML, with today's package."""
    from simplellm.heatmap import from_html

    return dict(from_html(source)._repr_mimebundle_())


def as_bytes(picture: object) -> bytes:
    """Return a picture's bytes, however a MIME bundle carries them."""
    return picture if isinstance(picture, bytes) else base64.b64decode(str(picture))


def heatmaps_current(notebook: NotebookNode, rebuild: Rebuild = rebuild_heatmap) -> list[str]:
    """Every committed heatmap is what today's package makes of the data it holds.

    nbval does not compare script, style and pixels, so last month's could remain unnoticed.
    """
    problems = []
    for number, data in heatmaps(notebook):
        fresh = rebuild(data["text/html"])
        if fresh.get("text/html") != data["text/html"]:
            problems.append(f"the heatmap in cell {number} is not today's; run make restamp")
        if "image/png" in data and as_bytes(data["image/png"]) != as_bytes(
            fresh.get("image/png", b"")
        ):
            problems.append(
                f"the still picture of the heatmap in cell {number} was not made from the data "
                "beside it; run make restamp"
            )
    return problems


RULES: list[Callable[[NotebookNode], list[str]]] = [
    executed,
    checked,
    no_errors,
    no_warnings,
    alt_texts,
    one_picture_per_cell,
    no_trailing_semicolons,
    no_machine_paths,
    no_addresses,
    no_unstable_calls,
    no_widget_state,
    settled,
    described,
    installs,
    folded,
    numbered,
    numbers_in_prose,
    heatmaps_current,
]


def main() -> int:
    """Print what breaks a rule in the notebooks named."""
    count = 0
    for name in sys.argv[1:]:
        notebook = nbformat.read(name, as_version=4)
        for rule in RULES:
            for problem in rule(notebook):
                print(f"{name}: {rule.__name__}: {problem}")
                count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
