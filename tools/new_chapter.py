"""Start a chapter: a small executed page to the book's pattern, and its place in the contents.

    python tools/new_chapter.py 13_my_topic "My topic"

The page is a real one. It claims one small thing, measures it, and passes every check as it stands;
replace it section by section, and it can be checked at every step on the way. CONTRIBUTING.md says
what belongs in each section. Labels are made from the file's name, so that no two chapters clash.
With the page comes the module that judges the answers to its exercises.
"""

# ruff: noqa: E501 (a paragraph of a notebook is one line)
from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.common import ROOT, main_guard, run, say, way_in, write_atomically

USAGE = (
    'make chapter FILE=13_my_topic TITLE="My topic"'
    if os.environ.get("MAKELEVEL")
    else 'python tools/book.py chapter 13_my_topic "My topic"'
)
NAME = re.compile(r"(?P<number>\d\d)_(?P<words>[a-z][a-z0-9]*(?:_[a-z0-9]+)*)")
IN_CONTENTS = re.compile(r"(?P<indent>\s*)- file: chapters/(?P<number>\d\d)_")
IN_MAP = re.compile(r"^- file: (?P<number>\d\d)_", re.MULTILINE)

# ---- the page ------------------------------------------------------------------------------------

# For search engines and link previews; 50 to 160 characters, and no other page's.
DESCRIPTION = (
    "@title@: how far apart two rows of a sinusoidal encoding stand, measured on every pair."
)

# What chapters/map.yml says about it; the two numbers are measured.
ENTRY = """\
- file: @name@
  core: false
  also: Python, the sine function, and the length of a vector
  helps: [0]
  teaches: [the distance between neighbours]
  takes: how far apart two rows of the encoding stand
  read: 1
  run: 1
"""

# (kind, source, metadata) for each cell; @title@ and @slug@ are filled in.
CELLS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "markdown",
        r"""
# @title@

A sinusoidal encoding gives every position a row of numbers. How far apart are two of these rows? The heatmap below holds the answer for the first 64 positions: one cell for each two of them.""",
        {},
    ),
    (
        "code",
        r"""
import torch
from simplellm import PositionalEncoding
from simplellm.heatmap import Heatmap

torch.set_num_threads(1)
torch.manual_seed(0)  # nothing below is random; the seed keeps it so

rows = PositionalEncoding(64, 64).pe[0].double()  # (64 positions, 64 columns)
Heatmap(
    (rows[:, None] - rows).norm(dim=-1),
    title="Two rows are as far apart as their offset says, wherever they stand",
    name="@slug@",
    rows="position",
    columns="other position",
    value="distance",
    row=20,
    column=21,
)""",
        {"tags": ["hide-input"]},
    ),
    (
        "markdown",
        r"""
Walk along a diagonal, one step down and one to the right at a time: the value stays the same. Walk along a row, and it does not.

:::{admonition} What you will learn
:class: tip

- Measure how far apart neighbouring rows are, at any width.
- Say why that distance does not depend on where the two stand.
:::

**You need:** Python, the sine function, and the length of a vector; the page [Start here](00_start_here.ipynb) helps. **Time:** about five minutes to read, seconds to run.""",
        {},
    ),
    (
        "markdown",
        r"""
## One step has one length

Each pair of columns is a hand on a circle. From one position to the next, the hand of pair $i$ turns by its frequency $\omega_i$, and its tip moves along a chord of length $2\sin(\omega_i/2)$. A row holds $d/2$ such hands, so the distance between neighbours is

$$
\lVert \mathrm{PE}(p+1) - \mathrm{PE}(p) \rVert = \sqrt{\textstyle\sum_i 4 \sin^2(\omega_i/2)} .
$$

There is no $p$ on the right. The next cell takes every step of three tables and compares it with the formula.""",
        {},
    ),
    (
        "code",
        r"""
from simplellm import frequencies


def steps(d_model, length):  # the distance from each row to the next
    table = PositionalEncoding(d_model, length).pe[0].double()
    return table.diff(dim=0).norm(dim=1)  # (length - 1,)


measured = {d_model: steps(d_model, 256) for d_model in (16, 64, 256)}
for d_model, step in measured.items():
    formula = (4 * (frequencies(d_model) / 2).sin() ** 2).sum().sqrt()
    assert torch.allclose(step, formula, atol=1e-6)
    print(f"d_model {d_model:3d}: shortest step {step.min():.2f}", end=", ")
    print(f"longest {step.max():.2f}, formula {formula:.2f}")""",
        {},
    ),
    (
        "code",
        r"""
import matplotlib.pyplot as plt
from simplellm import plots

plots.use_style()
figure, panel = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
for (d_model, step), line in zip(
    measured.items(), (":", "--", "-"), strict=True
):
    panel.plot(step, line, color=plots.INK, label=f"d_model = {d_model}")
panel.set(xlabel="position →", ylabel="distance to the next row", ylim=(0, 3.2))
panel.set_title("A step is as long at the end as at the beginning")
_ = panel.legend(ncols=3, loc="lower right")""",
        {
            "mystnb": {
                "image": {
                    "alt": "Distance to the next row over the position: three level lines, one above the other, for the widths 16, 64 and 256."
                }
            }
        },
    ),
    (
        "markdown",
        r"""
The lines are level. A wider row takes longer steps, because it has more hands: 1.01 at width 16, 1.47 at width 64 and 2.67 at width 256.""",
        {},
    ),
    (
        "markdown",
        r"""
:::{admonition} What people get wrong
:class: warning

*"Far into a text, neighbouring positions blur into each other."* The slow columns do hardly change from one row to the next, but they hardly change at the beginning either. The cell below measures a step at the start and one 10,000 positions later.
:::""",
        {},
    ),
    (
        "code",
        r"""
early, *_, late = steps(64, 10_002)
print(f"from 0 to 1: {early:.4f}, from 10,000 to 10,001: {late:.4f}")
assert torch.isclose(early, late, atol=1e-6)""",
        {},
    ),
    (
        "markdown",
        r"""
## Check yourself

:::{admonition} Why are the values along a diagonal of the heatmap equal?
:class: dropdown

Along a diagonal the two positions keep their offset, and the distance depends on nothing else.
:::

:::{admonition} How long is a step when a row has two columns only?
:class: dropdown

$2\sin(1/2)$: there is one hand, it turns by one radian, and its tip moves along that chord.
:::""",
        {},
    ),
    (
        "markdown",
        r"""
## Exercises

Try each before you open its solution; the solutions are cells that have been run. In a notebook, `check` says whether your answer is right and, if not, why.""",
        {},
    ),
    (
        "markdown",
        r"""
```{exercise-start} Recall
:label: ex-@slug@-step
```

Compute the step at `d_model = 4` from its two frequencies, 1 and 0.01. Which of the two hands decides it?

```{exercise-end}
```""",
        {},
    ),
    (
        "code",
        r"""
from simplellm.exercises import check

# Put your answer in place of None.
check("ex-@slug@-step", None)""",
        {},
    ),
    (
        "markdown",
        r"""
```{solution-start} ex-@slug@-step
:class: dropdown
```""",
        {},
    ),
    (
        "code",
        r"""
import math

fast, slow = 2 * math.sin(1 / 2), 2 * math.sin(0.01 / 2)
by_hand = math.hypot(fast, slow)
print(f"hands {fast:.4f} and {slow:.4f}, together {by_hand:.4f}")
assert math.isclose(by_hand, steps(4, 2)[0].item(), abs_tol=1e-6)
check("ex-@slug@-step", by_hand)""",
        {},
    ),
    (
        "markdown",
        r"""
The fast one. The slow hand changes nothing that four decimals could show.

```{solution-end}
```""",
        {},
    ),
    (
        "markdown",
        r"""
```{exercise-start} Apply
:label: ex-@slug@-width
```

You want neighbouring rows to be more than 2 apart. How narrow may the table be?

```{exercise-end}
```""",
        {},
    ),
    (
        "code",
        r"""
# Put your answer in place of None.
check("ex-@slug@-width", None)""",
        {},
    ),
    (
        "markdown",
        r"""
```{solution-start} ex-@slug@-width
:class: dropdown
```""",
        {},
    ),
    (
        "code",
        r"""
wide_enough = next(d for d in range(2, 512, 2) if steps(d, 2)[0] > 2)
for d in (wide_enough - 2, wide_enough):
    print(f"d_model {d:3d}: a step of {steps(d, 2)[0]:.3f}")
check("ex-@slug@-width", wide_enough)""",
        {},
    ),
    (
        "markdown",
        r"""
Every hand adds to the *square* of the step, so steps grow more slowly than widths: from 16 columns to 64 a step does not even double.

```{solution-end}
```""",
        {},
    ),
    (
        "markdown",
        r"""
```{exercise-start} Prove
:label: ex-@slug@-everywhere
```

The cell above measured single steps. Show that *no* distance depends on the place: that of the rows $p$ and $p + k$ is the same for every $p$. Then check it for an offset of your choice.

```{exercise-end}
```""",
        {},
    ),
    (
        "markdown",
        r"""
```{solution-start} ex-@slug@-everywhere
:class: dropdown
```""",
        {},
    ),
    (
        "code",
        r"""
k = 7
apart = (rows[k:] - rows[:-k]).norm(dim=1)  # (57,)  p = 0 … 56
assert torch.allclose(apart, apart[0], atol=1e-6)
print(f"rows {k} apart: {apart[0]:.3f}, wherever they stand")""",
        {},
    ),
    (
        "markdown",
        r"""
From $p$ to $p + k$ the hand of pair $i$ turns by $\omega_i k$, so its tip moves along a chord of length $2\sin(\omega_i k/2)$, whichever way it pointed before. The squared distance of the two rows is the sum of the squares of these chords, and there is no $p$ in it.

```{solution-end}
```""",
        {},
    ),
    (
        "markdown",
        r"""
```{exercise-start} Explore
:label: ex-@slug@-two
```

Are rows two positions apart twice as far from each other as neighbours? Predict, then measure at width 64.

```{exercise-end}
```""",
        {},
    ),
    (
        "markdown",
        r"""
```{solution-start} ex-@slug@-two
:class: dropdown
```""",
        {},
    ),
    (
        "code",
        r"""
one, two = (rows[k] - rows[0] for k in (1, 2))
print(f"two steps cover {two.norm() / one.norm():.2f} times the way of one")
assert two.norm() < 2 * one.norm()""",
        {},
    ),
    (
        "markdown",
        r"""
Less than twice: each hand goes round a circle, and the chord of two steps cuts the corner.

```{solution-end}
```""",
        {},
    ),
    (
        "markdown",
        r"""
## Live lab

Run this page as a notebook, and the sliders drive the package's own `PositionalEncoding`: every move builds a new module and measures its rows. On the website you see the still below; there, use the heatmap at the top, which computes in your browser.""",
        {},
    ),
    (
        "code",
        r"""
import ipywidgets as widgets

width = widgets.SelectionSlider(
    description="d_model", options=[4, 16, 64, 256], value=64
)
length = widgets.IntSlider(description="positions", min=8, max=128, value=64)
picture = widgets.Image(format="png", width=720)


def draw(change=None):
    table = PositionalEncoding(width.value, length.value).pe[0].double()
    distance = (table[:, None] - table).norm(dim=-1)
    title = f"At width {width.value} one step is {distance[0, 1]:.2f} long"
    limits = (0, distance.max().item())
    picture.value = plots.still(
        distance.numpy(), title, "position", "position", "distance", limits
    )


for slider in (width, length):
    slider.observe(draw, names="value")
draw()
widgets.VBox([width, length, picture])""",
        {"tags": ["remove-output"]},
    ),
    (
        "code",
        r"""
from IPython.display import Image

Image(picture.value)  # what the lab shows before you move a slider""",
        {
            "mystnb": {
                "image": {
                    "alt": "The lab's picture before any slider is moved: the distances between 64 positions at width 64, zero on the diagonal and larger away from it, the same along every diagonal. Its title says that one step is 1.47 long."
                }
            },
            "tags": ["hide-input"],
        },
    ),
    (
        "markdown",
        r"""
## Summary

- Neighbouring rows of a sinusoidal encoding are equally far apart everywhere: 1.47 at width 64.
- Its square is a sum over hands, so a wider row takes a longer step.

## Further reading

The encoding is defined in section 3.5 of {cite:t}`@slug@-vaswani2017attention`.

```{bibliography}
:filter: docname in docnames
:keyprefix: @slug@-
```""",
        {},
    ),
]

# What judges the exercises; @slug@ and @name@ are filled in.
EXERCISES = '''\
"""The exercises of chapters/@name@.ipynb that have an answer."""

import math

from ..sinusoids import frequencies
from .kinds import Exercise, Number


def step(d_model: int) -> float:
    """How far a row stands from the next: the tip of each hand moves along a chord."""
    return float((2 * (frequencies(d_model) / 2).sin()).norm())


def narrowest(longer_than: float) -> int:
    """The smallest width whose step is longer."""
    return next(d_model for d_model in range(2, 1_000, 2) if step(d_model) > longer_than)


EXERCISES: tuple[Exercise, ...] = (
    Number(
        label="ex-@slug@-step",
        answer=lambda: step(4),
        right="A tip moves along a chord, 2 sin(ω/2), and the fast hand's is nearly all of it.",
        mistakes=(
            (
                lambda: float(frequencies(4).norm()),
                "Those are the arcs. The rows are as far apart as the *chords*, 2 sin(ω/2).",
            ),
            (
                lambda: step(4) / 2,
                "A chord is twice the sine of half the angle: the factor 2 is missing.",
            ),
            (
                lambda: float(frequencies(4).sin().norm()),
                "So far do the sines move from row 0 to row 1. The cosines move as well.",
            ),
        ),
    ),
    Number(
        label="ex-@slug@-width",
        answer=lambda: narrowest(2),
        whole=True,
        unit="columns",
        right="Every hand adds to the square of a step, so steps grow more slowly than widths.",
        mistakes=(
            (
                lambda: narrowest(2) // 2,
                "So many pairs it takes. Each of them has two columns.",
            ),
            (
                lambda: narrowest(math.sqrt(2)),
                "There the *square* of the step passes 2. Take the root, then compare.",
            ),
            (
                lambda: narrowest(2) - 1,
                "The next one is even, and a table's width must be.",
            ),
        ),
    ),
)
'''


def page(slug: str, title: str) -> NotebookNode:
    """Return the new chapter, not yet executed and still without its install cell."""
    make = {"markdown": new_markdown_cell, "code": new_code_cell}
    description = DESCRIPTION.replace("@title@", title)
    return new_notebook(
        metadata={"myst": {"html_meta": {"description": description}}},
        cells=[
            make[kind](
                source.strip().replace("@slug@", slug).replace("@title@", title),
                id=f"cell-{number:02d}",
                metadata=metadata,
            )
            for number, (kind, source, metadata) in enumerate(CELLS, 1)
        ],
    )


def exercises(name: str, slug: str) -> str:
    """Return the module that judges the exercises of the new chapter."""
    return EXERCISES.replace("@name@", name).replace("@slug@", slug)


# ---- its place -----------------------------------------------------------------------------------


def check(root: Path, name: str, title: str) -> tuple[int, str]:
    """Return the number and the slug of a chapter that can be made.

    Raises:
        ValueError: it cannot; the message says why and what to do.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(
            f"FILE is {name!r}; it must be two digits and lower-case words joined by _, without a "
            f"folder and without .ipynb.\n  {USAGE}"
        )
    if not title.strip() or "\n" in title.strip():
        raise ValueError(f"TITLE is {title!r}; give the chapter a title of one line.\n  {USAGE}")
    if (root / "chapters" / f"{name}.ipynb").exists():
        raise ValueError(f"chapters/{name}.ipynb exists already; edit it, or choose another name.")
    slug = match["words"].replace("_", "-")
    for path in sorted((root / "chapters").glob("*.ipynb")):
        if path.name.startswith(match["number"]):
            raise ValueError(f"the number {match['number']} is taken by {path.name}.")
        if f":keyprefix: {slug}-\\n" in path.read_text(encoding="utf-8"):
            raise ValueError(f"{path.name} uses the prefix {slug}- already; choose other words.")
    if judge(root, match["words"]).exists():
        raise ValueError(
            f"simplellm/exercises/{match['words']}.py exists already; choose other words."
        )
    return int(match["number"]), slug


def judge(root: Path, words: str) -> Path:
    """Where the module stands that judges a chapter's exercises."""
    return root / "simplellm" / "exercises" / f"{words}.py"


def with_line(contents: str, name: str, number: int) -> str:
    """Return _toc.yml with a line for the chapter, in the order of the numbers.

    Raises:
        ValueError: the contents list no numbered chapter to stand beside.
    """
    lines = contents.splitlines()
    entries = [(at, found) for at, line in enumerate(lines) if (found := IN_CONTENTS.match(line))]
    if not entries:
        raise ValueError(
            f"_toc.yml lists no numbered chapter; add the line - file: chapters/{name} by hand."
        )
    after = [(at, found) for at, found in entries if int(found["number"]) > number]
    at, beside = after[0] if after else (entries[-1][0] + 1, entries[-1][1])
    lines.insert(at, f"{beside['indent']}- file: chapters/{name}")
    return "\n".join(lines) + "\n"


def with_entry(text: str, name: str, number: int) -> str:
    """Return chapters/map.yml with an entry for the chapter, in the order of the numbers."""
    after = [found.start() for found in IN_MAP.finditer(text) if int(found["number"]) > number]
    at = after[0] if after else len(text)
    return text[:at] + ENTRY.replace("@name@", name) + text[at:]


def create(root: Path, name: str, title: str) -> int:
    """Write and execute the chapter, list it, measure it and check it; return the exit status."""
    contents, chapter_map = root / "_toc.yml", root / "chapters" / "map.yml"
    path = root / "chapters" / f"{name}.ipynb"
    number, slug = check(root, name, title)
    module = judge(root, slug.replace("-", "_"))
    listed = with_line(contents.read_text(encoding="utf-8"), name, number)
    done = False
    try:
        write_atomically(module, exercises(name, slug).encode())
        write_atomically(path, nbformat.writes(page(slug, title.strip())).encode())
        done = run([sys.executable, "tools/refresh.py", str(path)], cwd=root) == 0
    finally:
        if not done:
            path.unlink(missing_ok=True)
            module.unlink(missing_ok=True)
    if not done:
        say("chapter", "the new page did not run (see above), so nothing was added")
        return 1
    write_atomically(contents, listed.encode())
    entry = with_entry(chapter_map.read_text(encoding="utf-8"), name, number)
    write_atomically(chapter_map, entry.encode())
    say("chapter", f"added chapters/{name}.ipynb, executed, and its line in _toc.yml")
    say("chapter", f"added {module.relative_to(root)}, which judges its exercises")
    if run([sys.executable, "tools/measure_chapters.py", "--run", str(path)], cwd=root):
        return 1
    if run([sys.executable, "tools/notebook_rules.py", str(path)], cwd=root):
        say(
            "chapter",
            "the page breaks the rules above; is there a number in the title, or is it very long?",
        )
        return 1
    say("chapter", f"next: {way_in('lab')}, and fill it as CONTRIBUTING.md says")
    return 0


def main() -> int:
    """Make the chapter named on the command line: its file and its title."""
    if len(sys.argv) != 3:
        sys.exit(f"Give a file name and a title.\n  {USAGE}")
    try:
        return create(ROOT, *sys.argv[1:])
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main_guard(main)
