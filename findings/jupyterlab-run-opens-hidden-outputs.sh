#!/bin/sh
# JupyterLab 4.6.6 (ipykernel 7.4.0), Linux, Chromium.
#
# Guess: a code cell whose metadata say {"jupyter": {"source_hidden": true, "outputs_hidden": true}}
# hides both until somebody opens it, also when Run > Run All Cells runs it. (So one can hand out a
# notebook with folded answers.)
#
# Behaviour: only the source stays hidden. To run a cell opens its outputs, and the key is taken out of
# the notebook with it, so that the next save loses it. And a hidden source is not hidden: its
# placeholder shows the first line. What does stay closed is what stands under a collapsed heading
# (metadata {"jp-MarkdownHeadingCollapsed": true} of the heading's cell): those cells run, unseen.
#
# Output seen:
#   by metadata, before: source hidden True, outputs hidden True, placeholder 'answer = 6 * 7'
#   by metadata, after:  source hidden True, outputs hidden False, outputs_hidden in the file False
#   under a heading, before: cell hidden True
#   under a heading, after:  cell hidden True, and it printed ['42\n']
#
# Needs: python3 with venv, a Chromium (CHROMIUM=/path, else the first of chromium, chromium-browser,
# google-chrome on PATH), and pip's access to a package index. Exits with 1 if JupyterLab does otherwise.
set -eu
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install \
    jupyterlab==4.6.6 ipykernel==7.4.0 playwright==1.61.0
cat > try.py <<'PYTHON'
import json, os, subprocess, sys, time
from pathlib import Path
from playwright.sync_api import sync_playwright

folder = Path.cwd()
work = folder / "work"
work.mkdir()


def code(**metadata):
    return {"cell_type": "code", "id": f"c{len(cells)}", "metadata": metadata, "outputs": [
        {"output_type": "stream", "name": "stdout", "text": ["42\n"]}], "execution_count": 1,
        "source": "answer = 6 * 7\nprint(answer)"}


def markdown(source, **metadata):
    return {"cell_type": "markdown", "id": f"c{len(cells)}", "metadata": metadata, "source": source}


cells = []
cells.append(markdown("# Questions"))
cells.append(code(jupyter={"source_hidden": True, "outputs_hidden": True}))
cells.append(markdown("## Answer", **{"jp-MarkdownHeadingCollapsed": True}))
cells.append(code())
cells.append(markdown("## More"))
kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}
(work / "a.ipynb").write_text(json.dumps(notebook))
home = {"HOME": str(folder), "PATH": f"{folder}/venv/bin:{os.environ['PATH']}"}
for kind in ("CONFIG", "DATA", "RUNTIME"):
    home[f"JUPYTER_{kind}_DIR"] = str(folder / kind)
server = subprocess.Popen(
    [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--ServerApp.ip=127.0.0.1",
     "--ServerApp.allow_root=True", "--IdentityProvider.token=", "--LabApp.news_url=None",
     "--LabApp.expose_app_in_browser=True"],
    cwd=work, env=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    note = folder / "RUNTIME" / f"jpserver-{server.pid}.json"
    for _ in range(600):
        if note.exists() and note.read_text().strip().endswith("}"):
            break
        time.sleep(0.1)
    url = json.loads(note.read_text())["url"]
    with sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(url + "lab/tree/a.ipynb")
        N = "jupyterapp.shell.currentWidget"
        page.wait_for_function(
            f"() => window.jupyterapp && {N}?.content?.widgets?.[2]?.numberChildNodes"
            f" && {N}.sessionContext.session?.kernel?.status === 'idle'", timeout=60_000)

        def seen():
            return page.evaluate(f"""() => {{
                const [, one,, two] = {N}.content.widgets;
                return {{
                    source: one.inputHidden, outputs: one.outputHidden, cell: two.isHidden,
                    text: one.node.querySelector('.jp-InputPlaceholder')?.textContent.trim() ?? '',
                    kept: 'outputs_hidden' in (one.model.getMetadata('jupyter') ?? {{}}),
                    printed: two.model.toJSON().outputs.map(output => [output.text].flat().join('')),
                }};
            }}""")

        before = seen()
        page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(f"() => {N}.sessionContext.session.kernel.status === 'idle'")
        after = seen()
        chromium.close()
finally:
    server.terminate()
    server.wait()
print(f"by metadata, before: source hidden {before['source']}, outputs hidden {before['outputs']}, "
      f"placeholder {before['text']!r}")
print(f"by metadata, after:  source hidden {after['source']}, outputs hidden {after['outputs']}, "
      f"outputs_hidden in the file {after['kept']}")
print(f"under a heading, before: cell hidden {before['cell']}")
print(f"under a heading, after:  cell hidden {after['cell']}, and it printed {after['printed']}")
as_found = (
    before["source"] and before["outputs"] and "6 * 7" in before["text"] and before["cell"]
    and after["source"] and not after["outputs"] and not after["kept"] and after["cell"]
    and after["printed"] == ["42\n"]
)
sys.exit(0 if as_found else 1)
PYTHON
venv/bin/python try.py "$browser"
