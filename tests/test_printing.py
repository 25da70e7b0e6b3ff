"""What the package prints can be printed: on any console, through any pipe."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simplellm import claims, printing
from simplellm.exercises import check, exercises
from simplellm.silent_bugs import CORRECT, FROM_LIFE, MUTANTS, PROMISES, LayerConvention

ROOT = Path(__file__).parent.parent
CONSOLES = ["cp1252", "cp437", "shift_jis", "ascii", "utf-8"]


@contextlib.contextmanager
def console(encoding: str) -> Iterator[io.BytesIO]:
    """Make standard output a pipe with this code page; yields the bytes that arrive."""
    arrived = io.BytesIO()
    stream = io.TextIOWrapper(arrived, encoding=encoding, write_through=True)
    with contextlib.redirect_stdout(stream):
        yield arrived
    stream.detach()


@pytest.mark.parametrize("encoding", CONSOLES)
def test_every_check_prints_on_every_console(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with console(encoding) as arrived:
        for label, exercise in exercises().items():
            check(label)
            check(label, object())
            pairs = getattr(exercise, "mistakes", None) or getattr(exercise, "why", {}).items()
            reasons = [part for pair in pairs for part in pair if isinstance(part, str)]
            for verdict in (None, *reasons):
                with monkeypatch.context() as judged:
                    judged.setattr(type(exercise), "judge", lambda *_, verdict=verdict: verdict)
                    check(label, 0)
    assert arrived.getvalue().count(b"Right. ") == len(exercises())


@pytest.fixture(scope="module")
def reports() -> list[object]:
    """One of everything that is made to be printed."""
    from simplellm.heatmap import Heatmap

    judged = [claims.judge(claim) for claim in claims.CLAIMS[:3]]
    return [
        *CORRECT.values(),
        *MUTANTS.values(),
        *FROM_LIFE.values(),
        *PROMISES.values(),
        LayerConvention(),
        LayerConvention(scale=False),
        *judged,
        claims.ClaimsTable(judged),
        claims.ClaimsStrip(judged),
        Heatmap([[1.0, 2.0]], title="√d → ∞ in 東京", name="a"),
    ]


@pytest.mark.parametrize("encoding", CONSOLES)
def test_every_report_prints_on_every_console(encoding: str, reports: list[object]) -> None:
    with console(encoding) as arrived:
        for shown in reports:
            print(shown)
            print([shown])
    assert arrived.getvalue().decode(encoding).count("\n") >= 2 * len(reports)


BENCH = """
import torch
from simplellm import InputEmbedding
from simplellm.exercises import check
from simplellm.silent_bugs import bench
print(bench(InputEmbedding))
check("ex-wavelength", 3)
"""


@pytest.mark.parametrize(
    "words",
    [["-c", BENCH], *(["-m", "simplellm.sweep", word] for word in ("list", "summary"))],
    ids=["bench and check", "sweep list", "sweep summary"],
)
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_script_and_command_run_to_their_end_with_any_encoding(
    words: list[str], encoding: str
) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode(encoding).strip()


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("tokens × √d", "tokens x sqrt d"),
        ("10⁻³ ≤ ½", "10^-^3 <= 1/2"),
        ("naïve", "naive"),
        ("☕", "\\u2615"),
        ("\ud800", "\\ud800"),
        ("plain", "plain"),
    ],
)
def test_character_that_an_output_lacks_is_spelled_out(text: str, spelled: str) -> None:
    assert text.encode("ascii", printing.SPELLED).decode("ascii") == spelled


def test_every_spelling_is_ascii() -> None:
    assert all(spelling.isascii() for spelling in printing.SPELLINGS.values())


def test_output_that_has_all_characters_gets_the_text_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert printing.printable("tokens × √d ☕") == "tokens × √d ☕"


def test_output_that_names_no_encoding_gets_the_text_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", object())
    assert printing.printable("tokens × √d ☕") == "tokens × √d ☕"


def test_importing_the_package_leaves_standard_output_alone() -> None:
    code = "import sys; b = sys.stdout.encoding, sys.stdout.errors; import simplellm.silent_bugs\n"
    code += "print(b == (sys.stdout.encoding, sys.stdout.errors), b)"
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252:strict"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "True ('cp1252', 'strict')\n", done.stderr


def test_class_that_prints_anywhere_keeps_its_words_and_their_docstring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @printing.prints_anywhere
    class Root:
        def __repr__(self) -> str:
            """The root of two."""
            return "√2"

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert repr(Root()) == "√2" and Root.__repr__.__doc__ == "The root of two."
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert repr(Root()) == "sqrt 2"


def test_command_can_print_anything_and_leaves_what_is_no_stream_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived = io.BytesIO()
    stream = io.TextIOWrapper(arrived, encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", object())  # as in a notebook: nothing to configure
    monkeypatch.setattr(sys, "stderr", stream)
    printing.print_anywhere()
    print("√2", file=sys.stderr)
    assert arrived.getvalue().split() == [b"sqrt", b"2"]
