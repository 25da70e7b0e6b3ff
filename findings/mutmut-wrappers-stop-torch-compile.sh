#!/usr/bin/env bash
# mutmut 3.8.1 with PyTorch 2.13.0 (CPU) and pytest 9.2.0: mutation testing of a package one test of
# which compiles it with torch.compile(fullgraph=True).
#
# A guess: mutmut first runs the tests on the unchanged code, and a green suite is green there; what
# a mutant breaks is then seen. backend="eager" compiles nothing, so nothing else can go wrong.
#
# What it does: it puts a wrapper around every function, and the wrapper reads a ContextVar, which
# Dynamo cannot trace. The run on unchanged code fails, mutmut ends with "failed to collect stats"
# and exit status 1, and no mutant is ever tried. One such test in a suite is enough; without
# fullgraph the graph breaks in silence and the same suite gets through.
#
# Output seen:
#   pytest alone: 2 passed
#   mutmut with fullgraph=True: exit 1, failed to collect stats. runner returned 1
#   Dynamo's reason: Dynamo does not know how to trace method `get` of class `ContextVar`
#   mutmut with fullgraph=False: exit 0, mutants killed: yes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 numpy==2.4.6 pytest==9.2.0 mutmut==3.8.1 2> pip.log || { cat pip.log; exit 1; }

mkdir -p doubling tests
echo > doubling/__init__.py
cat > doubling/core.py <<'PY'
def double(x):
    return x * 2
PY
cat > tests/test_core.py <<'PY'
import torch

from doubling.core import double


def test_twice_three_is_six():
    assert double(3) == 6


def test_it_compiles():
    torch.compiler.reset()
    compiled = torch.compile(double, fullgraph=True, backend="eager")
    assert compiled(torch.ones(2)).tolist() == [2.0, 2.0]
PY
cat > pyproject.toml <<'TOML'
[tool.pytest.ini_options]
pythonpath = ["."]

[tool.mutmut]
source_paths = ["doubling"]
pytest_add_cli_args_test_selection = ["tests"]
debug = true
TOML

alone=$(env/bin/python -m pytest -q tests 2>&1 | tail -n 1)
echo "pytest alone: $(grep -o '2 passed' <<< "$alone")"

status=0
PATH="$folder/env/bin:$PATH" env/bin/python -m mutmut run > whole.log 2>&1 || status=$?
echo "mutmut with fullgraph=True: exit $status, $(grep -ao 'failed to collect stats.*' whole.log | head -n 1)"
echo "Dynamo's reason: $(grep -ao 'Dynamo does not know.*' whole.log | head -n 1)"

sed -i 's/fullgraph=True/fullgraph=False/' tests/test_core.py
rm -rf mutants
loose=0
PATH="$folder/env/bin:$PATH" env/bin/python -m mutmut run > loose.log 2>&1 || loose=$?
killed=$(env/bin/python - <<'PY'
import json
print("yes" if 1 in json.load(open("mutants/doubling/core.py.meta"))["exit_code_by_key"].values() else "no")
PY
)
echo "mutmut with fullgraph=False: exit $loose, mutants killed: $killed"

[ "$status" = 1 ] && grep -aq 'failed to collect stats' whole.log && grep -aq 'class `ContextVar`' whole.log \
  && [ "$loose" = 0 ] && [ "$killed" = yes ]
