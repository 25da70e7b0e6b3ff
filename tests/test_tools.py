"""What `make` promises: it starts over cleanly, does nothing twice, and says what is wrong."""

from __future__ import annotations

import base64
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from simplellm import cards
from simplellm.claims import CLAIMS, ClaimsTable, judge
from simplellm.heatmap import EncodingExplorer, Interactive, interactive
from tools import build_book, mutants, refresh, restamp, run_tests, setup_env
from tools.chapters.address import Address
from tools.machine import browser, common, jupyter

ROOT = Path(__file__).parent.parent
on_posix = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")


# ---- setup ---------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path) -> tuple[Path, Path]:
    """A finished environment (a stand-in), and where the marker would be."""
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")
    (venv / ".stamp").write_text(f"key {venv}\n")
    return venv, tmp_path / "setup.running"


def test_setup_does_nothing_twice(environment: tuple[Path, Path]) -> None:
    assert setup_env.plan(*environment, "key", "3.11")[0] == "nothing"


def test_setup_keeps_an_environment_of_another_python_that_nobody_asked_to_change(
    environment: tuple[Path, Path],
) -> None:
    assert setup_env.plan(*environment, "key", "")[0] == "nothing"
    assert setup_env.plan(*environment, "another key", "")[0] == "update"


def test_setup_updates_when_a_requirement_changed(environment: tuple[Path, Path]) -> None:
    assert setup_env.plan(*environment, "another key", "3.11")[0] == "update"


def test_interrupted_setup_starts_over(environment: tuple[Path, Path]) -> None:
    venv, marker = environment
    marker.touch()
    assert setup_env.plan(venv, marker, "key", "3.11") == (
        "create",
        "the last set-up was interrupted",
    )


def test_moved_folder_gets_a_new_environment(environment: tuple[Path, Path]) -> None:
    venv, marker = environment
    moved = venv.rename(venv.with_name("moved"))
    assert setup_env.plan(moved, marker, "key", "3.11")[0] == "create"


def test_another_chosen_python_gets_a_new_environment(environment: tuple[Path, Path]) -> None:
    assert setup_env.plan(*environment, "key", "3.12")[0] == "create"


def test_environment_without_python_is_made_again(environment: tuple[Path, Path]) -> None:
    venv, marker = environment
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nowhere/python3")
    assert setup_env.plan(venv, marker, "key", "3.11")[0] == "create"


def test_somebody_elses_environment_is_never_thrown_away(environment: tuple[Path, Path]) -> None:
    venv, marker = environment
    (venv / ".stamp").unlink()
    assert setup_env.plan(venv, marker, "key", "3.11")[0] == "update"
    assert setup_env.plan(venv, marker, "key", "3.12")[0] == "refuse"


@pytest.mark.parametrize(
    ("pip_says", "we_say"),
    [
        ("WARNING: Retrying (Retry(total=4, ...)) after connection broken by ...", "network"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for torch==2.13.0", platform.machine()),
        ("ERROR: No matching distribution found for torch==2.13.0", "python3.12"),
        ("ERROR: something nobody thought of", "message is above"),
    ],
)
def test_pip_failure_is_explained(pip_says: str, we_say: str) -> None:
    assert we_say in setup_env.explain(pip_says)


def test_missing_network_stops_setup_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    venv = Path(sys.prefix)
    with (
        common.locked(tmp_path / "lock", "test") as lock,
        pytest.raises(SystemExit, match="package index cannot be reached"),
    ):
        setup_env.pip_install(venv, lock, "--no-deps", "a-package-that-nobody-has")
    assert "No matching distribution" in capfd.readouterr().err  # pip's own words are not hidden


# ---- locks and stamps ----------------------------------------------------------------------------


def test_digest_sees_contents_names_and_new_files(tmp_path: Path) -> None:
    folder = tmp_path / "chapters"
    folder.mkdir()
    (folder / "a.ipynb").write_text("1")
    seen = {common.digest(tmp_path, ["chapters", "*.bib"])}
    (folder / "a.ipynb").write_text("2")
    seen.add(common.digest(tmp_path, ["chapters", "*.bib"]))
    (folder / "a.ipynb").rename(folder / "b.ipynb")
    seen.add(common.digest(tmp_path, ["chapters", "*.bib"]))
    (tmp_path / "new.bib").write_text("")
    seen.add(common.digest(tmp_path, ["chapters", "*.bib"]))
    assert len(seen) == 4
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("")
    (folder / ".ruff_cache").mkdir()
    (folder / ".ruff_cache" / "0").write_text("")
    assert common.digest(tmp_path, ["chapters", "*.bib"]) in seen


@on_posix
def test_second_make_waits_for_what_a_killed_one_left_running(tmp_path: Path) -> None:
    """The lock lives in the children: pip goes on when make is killed, and must be waited for."""
    start = time.monotonic()
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from tools.machine.common import Lock, run\n"
            "lock = Lock(Path(sys.argv[1]), 'first')\n"
            "print('locked', flush=True)\n"
            "run([sys.executable, '-c', 'import time; time.sleep(2)'], lock=lock)",
            str(tmp_path / "lock"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    worker.stdout.readline()
    time.sleep(0.5)  # until the child runs
    worker.kill()
    worker.wait()
    worker.stdout.close()
    with common.locked(tmp_path / "lock", "second"):
        assert time.monotonic() - start > 1.5


# ---- book ----------------------------------------------------------------------------------------

SMALL_BUILD = """
import pathlib, sys
html = pathlib.Path("_build/html")
assert not html.exists(), "not from scratch"
html.mkdir(parents=True)
with open("log", "a") as log:
    log.write("built ")
if pathlib.Path("chapters/a.md").read_text() == "broken":
    (html / "half.html").write_text("half")
    sys.exit(1)
(html / "index.html").write_text("done")
"""


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "a.md").write_text("good")
    return tmp_path


def build_small(book: Path) -> int:
    return build_book.build(book, [sys.executable, "-c", SMALL_BUILD])


def test_book_is_built_again_only_when_an_input_changed(small_book: Path) -> None:
    assert [build_small(small_book), build_small(small_book)] == [0, 0]
    assert (small_book / "log").read_text() == "built "
    (small_book / "chapters" / "a.md").write_text("better")
    assert build_small(small_book) == 0
    assert (small_book / "log").read_text() == "built built "


def test_failed_build_fails_again_until_it_is_mended(small_book: Path) -> None:
    assert build_small(small_book) == 0
    (small_book / "chapters" / "a.md").write_text("broken")
    assert [build_small(small_book), build_small(small_book)] == [1, 1]
    (small_book / "chapters" / "a.md").write_text("good")  # as it was when it last succeeded
    assert build_small(small_book) == 0
    assert not (small_book / "_build" / "html" / "half.html").exists()


@on_posix
def test_killed_build_is_not_taken_for_a_finished_one(small_book: Path) -> None:
    assert build_small(small_book) == 0
    (small_book / "chapters" / "a.md").write_text("better")
    die = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from tools.build_book import build\n"
            "build(Path(sys.argv[1]), [sys.executable, '-c', sys.argv[2]])",
            str(small_book),
            die,
        ],
        cwd=ROOT,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    (small_book / "chapters" / "a.md").write_text("good")
    assert build_small(small_book) == 0
    assert (small_book / "log").read_text() == "built built "


# ---- a Jupyter server of the tests' own ----------------------------------------------------------

LATE_SERVER = """
import json, os, pathlib, socket, time
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
port = listener.getsockname()[1]
runtime = pathlib.Path(os.environ["JUPYTER_RUNTIME_DIR"])
runtime.mkdir()
told = {"url": f"http://127.0.0.1:{port}/", "port": port}
(runtime / "jpserver-1.json").write_text(json.dumps(told))
time.sleep(0.5)
listener.listen()
time.sleep(60)
"""


def test_server_that_told_its_port_too_early_is_waited_for(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "late_server.py").write_text(LATE_SERVER)
    monkeypatch.setitem(jupyter.HOSTS, "late", ("late_server", ""))
    with jupyter.serve("late", tmp_path, []) as url:
        port = int(url.rstrip("/").rsplit(":", 1)[1])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()  # it is not refused


# ---- serve ---------------------------------------------------------------------------------------


@on_posix
def test_served_book_is_read_on_this_machine_and_never_from_a_cache(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("a page")
    (tmp_path / "a.js").write_text("1")
    server = subprocess.Popen(
        [sys.executable, "-m", "tools.serve", "--folder", str(tmp_path), "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http"))
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as page:
            assert page.read() == b"a page"
            assert page.headers["Cache-Control"] == "no-cache"
        with urllib.request.urlopen(address + "a.js") as script:
            assert script.headers.get_content_type() == "text/javascript"
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            urllib.request.urlopen(address + "none")
        missing.value.close()
    finally:
        server.send_signal(signal.SIGINT)
        out, errors = server.communicate(timeout=10)
    assert server.returncode == 0
    assert "stopped" in out
    assert "404" in errors  # what is missing is logged; what is found is not
    assert "200" not in errors


@pytest.mark.parametrize("port", ["abc", "-1", "65536", "80.5", ""])
def test_port_that_is_none_is_named(port: str) -> None:
    done = subprocess.run(
        [sys.executable, "tools/book.py", "serve", f"--port={port}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"{port!r} is not a port" in done.stderr
    assert "[setup]" not in done.stdout


def test_serving_without_a_book_says_how_to_build_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.serve", "--folder", str(tmp_path), "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert common.way_in("book") in done.stderr


# ---- refresh -------------------------------------------------------------------------------------


def refresh_all(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.refresh", *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def write(path: Path, *sources: str, **metadata: object) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# A"), *map(new_code_cell, sources)])
    notebook.cells[1].metadata.update(metadata)
    # Ids are random by default, and notebooks from older programs have none at all.
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        del cell["id"]
    nbformat.write(notebook, path)


@pytest.mark.slow
def test_refresh_is_byte_stable_and_leaves_a_failing_notebook_untouched(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ipynb", tmp_path / "bad.ipynb"
    write(
        good,
        "import time, ipywidgets\nprint('a', flush=True)\ntime.sleep(0.3)\nprint('b')",
        "slider = ipywidgets.IntSlider()\nslider",
        "slider",
        "object()",
        "raise ValueError('expected')",
        "import pathlib\nprint(pathlib.Path.cwd().name)",
        execution={"iopub.status.busy": "2026-01-01"},
        collapsed=True,
    )
    notebook = nbformat.read(good, as_version=4)
    notebook.cells[5].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, good)
    write(bad, "x = 1", "# the reason\nraise ValueError('boo')")
    before = bad.read_bytes()

    first = refresh_all(good, bad)
    assert first.returncode == 1
    assert f"{bad.name}, cell 3 ('# the reason'): ValueError: boo" in first.stdout
    assert bad.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.ipynb", "good.ipynb"]

    once = good.read_bytes()
    second = refresh_all(good)
    assert second.returncode == 0
    assert "unchanged" in second.stdout
    assert good.read_bytes() == once

    notebook = nbformat.read(good, as_version=4)
    cells = notebook.cells[1:]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5, 6]
    assert [output.text for output in cells[0].outputs] == ["a\nb\n"]
    assert cells[0].metadata == {}
    models = [cell.outputs[0].data[refresh.WIDGET_VIEW]["model_id"] for cell in cells[1:3]]
    assert models == ["0" * 32, "0" * 32]  # one widget shown twice stays one
    assert cells[3].outputs[0].data["text/plain"] == "<object at 0xADDR>"
    assert cells[4].outputs[0].traceback == ["ValueError: expected"]
    assert cells[5].outputs[0].text == f"{tmp_path.name}\n"
    assert [cell.id for cell in notebook.cells] == [f"cell-{index}" for index in range(7)]
    assert notebook.metadata == {
        "kernelspec": refresh.KERNELSPEC,
        "language_info": refresh.LANGUAGE_INFO,
    }
    assert b"3.11" not in once
    assert once.endswith(b"}\n")


def test_refresh_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = refresh_all(tmp_path / "none.ipynb")
    assert done.returncode != 0
    assert "no such notebook" in done.stderr


# ---- restamp -------------------------------------------------------------------------------------

OLD = "// the script of last month\n"


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A notebook with a heatmap, claims, a text and a widget; its first cell must not run again."""
    monkeypatch.setattr(restamp, "STILLS", tmp_path / "stills")
    heatmap = EncodingExplorer(d_model=8, positions=4)._repr_mimebundle_()
    claims = ClaimsTable(map(judge, CLAIMS[:1]))._repr_mimebundle_()
    widget = {refresh.WIDGET_VIEW: {"model_id": "0" * 32}, "text/plain": "IntSlider(value=1)"}
    page = {"text/html": "<p>A table of its own.</p>", "text/plain": "<table>"}
    cells = [new_code_cell("raise SystemExit('executed')")]
    for data in (heatmap, claims, widget, page):
        output = new_output("execute_result", data, execution_count=1)
        cells.append(new_code_cell("x", id=f"c{len(cells)}", outputs=[output]))
    cells[0]["id"] = "c0"
    path = tmp_path / "shown.ipynb"
    path.write_bytes(restamp.as_written(new_notebook(cells=cells)))
    return path


def data_of(path: Path) -> list[dict]:
    return [cell.outputs[0].data for cell in nbformat.read(path, as_version=4).cells[1:]]


def test_restamp_changes_nothing_that_is_today_s(shown: Path) -> None:
    before = shown.read_bytes()
    assert restamp.restamp(shown).startswith("unchanged")
    assert shown.read_bytes() == before


def test_restamp_brings_every_script_style_and_still_and_executes_nothing(
    shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = shown.read_bytes()
    monkeypatch.setattr(interactive, "script", lambda: OLD)
    monkeypatch.setattr(interactive, "stylesheet", lambda: "p { color: old }")
    monkeypatch.setattr(Interactive, "picture", lambda _: b"another picture")
    monkeypatch.setattr(
        cards, "code", lambda name: OLD if name in ("strip", "table") else "p { color: old }"
    )
    assert "2 output(s)" in restamp.restamp(shown)
    heatmap, claims, *others = data_of(shown)
    for page, styles in ((heatmap["text/html"], 1), (claims["text/html"], 2)):
        assert f'-code">{OLD}</script>' in page
        assert page.count("p { color: old }") == page.count("<style") == styles
    assert base64.b64decode(heatmap["image/png"]) == b"another picture"
    monkeypatch.undo()
    assert others == [dict(data) for data in data_of(shown)[2:]]
    shutil.rmtree(shown.parent / "stills")
    monkeypatch.setattr(restamp, "STILLS", shown.parent / "stills")
    restamp.restamp(shown)
    assert shown.read_bytes() == today  # and so nothing else was touched either


def test_still_is_drawn_once_for_the_same_data(
    shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = (EncodingExplorer(d_model=8, positions=n) for n in (4, 5))
    drawn = restamp.still(first)
    monkeypatch.setattr(Interactive, "picture", lambda _: b"drawn anew")
    assert (restamp.still(first), restamp.still(other)) == (drawn, b"drawn anew")
    monkeypatch.setattr(restamp, "_drawn_by", lambda: "something else draws")
    assert restamp.still(first) == b"drawn anew"


def test_refresh_executes_only_what_something_changed_for(
    shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, executed = shown.parent, []
    page = book / "chapters" / shown.name
    page.parent.mkdir()
    page.write_bytes(shown.read_bytes())
    monkeypatch.setattr(refresh, "ROOT", book)
    monkeypatch.setattr(refresh, "execute", lambda *_: executed.append(1))

    def executions(anew: bool = False) -> int:
        executed.clear()
        line, ran = refresh.refresh(page, Address("", "", ""), anew)
        assert ran, line
        return len(executed)

    assert [executions(), executions(), executions(anew=True)] == [1, 0, 1]
    scripts = book / "simplellm" / "claims"
    scripts.mkdir(parents=True)
    (scripts / "table.js").write_text("another script")
    monkeypatch.setattr(interactive, "script", lambda: OLD)
    assert executions() == 0
    assert OLD in data_of(page)[0]["text/html"]
    (scripts / "rules.py").write_text("another rule")
    assert [executions(), executions()] == [1, 0]
    page.write_text(page.read_text("utf-8").replace("A table of its own", "Mended"), "utf-8")
    assert [executions(), executions()] == [1, 0]


def test_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        common.write_atomically(path, b"new")
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("a.ipynb", "old")]


# ---- test ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("1", ["make serve PORT=8001", "make test ONLY=unit", "make book"]),
        (
            "",
            [
                "python tools/book.py serve --port 8001",
                "python tools/book.py test unit",
                "python tools/book.py book",
            ],
        ),
    ],
    ids=["make", "book.py"],
)
def test_way_out_is_told_in_the_words_of_the_way_in(
    monkeypatch: pytest.MonkeyPatch, level: str, words: list[str]
) -> None:
    monkeypatch.setenv("MAKELEVEL", level)
    told = [("serve", "port", "8001"), ("test", "", "unit"), ("book",)]
    assert [common.way_in(*one) for one in told] == words


def step(name: str, status: int, *needs: str) -> run_tests.Step:
    return run_tests.Step(name, "", lambda: status, needs)


def test_every_step_runs_and_every_failure_is_in_the_summary() -> None:
    results = run_tests.run_steps(
        [step("a", 0), step("b", 1), step("c", 0), step("d", 0, "a", "b"), step("e", 0, "d")]
    )
    assert [verdict for verdict, _, _ in results.values()] == [
        "ok",
        "FAILED",
        "ok",
        "not run",
        "not run",
    ]
    text = run_tests.summary(results, 1.0)
    assert "2 ok, 1 FAILED, 2 not run" in text
    assert f"alone: {common.way_in('test', '', 'b')}" in text
    assert "needs b" in text


def test_a_parallel_step_has_begun_before_its_turn_and_is_reported_in_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "begun"
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); print('built √'); sys.exit(3)"
    command = [sys.executable, "-c", code, str(mark)]

    def wait_for_it() -> int:
        end = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < end:
            time.sleep(0.01)
        return 0 if mark.exists() else 1

    results = run_tests.run_steps(
        [
            run_tests.Step("first", "", wait_for_it),
            run_tests.Step("book", "", command, parallel=True),
            step("last", 0, "book"),
        ]
    )
    assert {name: verdict for name, (verdict, _, _) in results.items()} == {
        "first": "ok",
        "book": "FAILED",
        "last": "not run",
    }
    said = capfd.readouterr().out
    assert said.index("=== first: ok") < said.index("built √") < said.index("=== book: FAILED")


def test_test_run_fails_when_a_step_fails_or_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for steps, status in (
        ([step("a", 0)], 0),
        ([step("a", 0), step("b", 2), step("c", 0)], 1),
        ([step("a", 0), step("c", 0, "b")], 0),  # what was not asked for is not waited for
    ):
        monkeypatch.setattr(run_tests, "STEPS", steps)
        monkeypatch.setattr(sys, "argv", ["run_tests.py"])
        assert run_tests.main() == status


def test_chosen_steps_bring_what_they_need_and_unknown_ones_are_named() -> None:
    assert [chosen.name for chosen in run_tests.choose(["browser"])] == [
        "chromium",
        "book",
        "browser",
    ]
    assert run_tests.choose([]) == run_tests.STEPS
    with pytest.raises(SystemExit, match="no such step: lint"):
        run_tests.choose(["unit,lint"])


# ---- browser -------------------------------------------------------------------------------------


def test_chosen_browser_comes_before_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mine", "chromium"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    assert browser.find_browser() == str(tmp_path / "chromium")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "mine"))
    assert browser.find_browser() == str(tmp_path / "mine")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nobody"))
    with pytest.raises(RuntimeError, match="CHROMIUM="):
        browser.find_browser()


def test_browser_without_a_window_comes_before_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chromium", "chromium-headless-shell"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    assert browser.find_browser() == str(tmp_path / "chromium-headless-shell")


def test_browser_is_found_where_windows_installers_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chrome = tmp_path / "Program Files" / "Google" / "Chrome" / "Application" / "chrome.exe"
    chrome.parent.mkdir(parents=True)
    chrome.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("ProgramFiles", str(tmp_path / "Program Files"))
    assert Path(browser.find_browser()) == chrome


def test_missing_browser_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither a browser nor apt-get
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(RuntimeError, match="apt-get install chromium"):
        browser.find_browser()
    assert run_tests.have_browser() == 1
    assert "apt-get install chromium" in capsys.readouterr().out


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing but an apt-get, which notes what it is asked for and brings it."""
    (tmp_path / "apt-get").write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/log"\ncase "$*" in *install*)\nfor name; do :; done\n'
        f'echo "#!/bin/sh" > "{tmp_path}/$name"; /bin/chmod +x "{tmp_path}/$name";; esac\n'
    )
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)  # put back afterwards
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    return tmp_path


def asked_of(debian: Path) -> list[str]:
    log = debian / "log"
    return [line.split()[-1] for line in log.read_text().splitlines()] if log.exists() else []


def test_root_on_debian_gets_a_browser_installed(debian: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run_tests.have_browser() == 1  # an ordinary user is told, and nothing is installed
    assert asked_of(debian) == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert run_tests.have_browser() == 0
    assert asked_of(debian) == ["update", "chromium-headless-shell"]
    assert run_tests.have_browser() == 0
    assert len(asked_of(debian)) == 2  # and not again


def test_whole_browser_does_where_the_other_cannot_be_installed(debian: Path, capsys) -> None:
    (debian / "chromium").touch(mode=0o755)
    (debian / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> "{debian}/log"\nexit 100\n')
    assert run_tests.have_browser() == 0
    assert asked_of(debian) == ["update"]
    assert capsys.readouterr().out.rstrip().endswith(f"chromium: {debian}/chromium")


def test_browser_that_was_chosen_is_the_only_one_asked_for(debian: Path, monkeypatch) -> None:
    monkeypatch.setenv("CHROMIUM", str(debian / "nobody"))
    assert run_tests.have_browser() == 1
    assert asked_of(debian) == []


# ---- mutants -------------------------------------------------------------------------------------


def test_every_module_that_is_mutated_has_tests_that_answer_for_it() -> None:
    for module in mutants.modules():
        assert mutants.tests_of(mutants.topic_of(module)), module


@pytest.mark.parametrize("mutant", mutants.equivalents(), ids=lambda mutant: mutant["becomes"])
def test_a_mutant_that_means_nothing_is_of_lines_that_are_there(mutant: dict[str, str]) -> None:
    module = ROOT / "simplellm" / f"{mutant['module']}.py"
    lines = [line.strip() for line in module.read_text(encoding="utf-8").splitlines()]
    assert {line.strip() for line in mutant["was"].strip().splitlines()} <= set(lines)
