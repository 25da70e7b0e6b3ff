#!/usr/bin/env bash
# torch 2.13.0 and mypy 2.4.1 --strict (Python 3.11): what a layer and its tests call.
#
# A guess: torch ships py.typed, and mypy --strict is quiet on programs that use it as documented. If
# a function has no annotations, it is one of the old, rare ones, and its method has none either.
#
# What it does: `Tensor.backward`, the one call that every training loop makes, is an "untyped
# function" to strict mypy, and so are `register_hook`, `split` and `unique` as methods, although
# torch.split and torch.unique as functions are typed. All that is documented for one or two tensors
# alike in NumPy's words (atleast_1d, _2d, _3d, block_diag, broadcast_tensors) has no annotations;
# einsum, cdist, meshgrid and tensordot beside them have. So a strictly typed project either switches
# no-untyped-call off for all of torch, or hears of its own training loop.
#
# Output seen:
#   torch 2.13.0, mypy 2.4.1
#   untyped: Tensor.backward Tensor.register_hook Tensor.split Tensor.unique atleast_2d block_diag
#   broadcast_tensors skip_init
#   typed: AdamW.step Tensor.norm cdist clip_grad_norm_ einsum meshgrid split tensordot unique
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 mypy==2.4.1 numpy \
  2> pip.log || { cat pip.log; exit 1; }

cat > check.py <<'PY'
import re
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files

CALLS = {
    "Tensor.backward": "x.sum().backward()",
    "Tensor.register_hook": "x.register_hook(lambda grad: grad)",
    "Tensor.split": "x.split(2)",
    "Tensor.unique": "x.unique()",
    "Tensor.norm": "x.norm()",
    "split": "torch.split(x, 2)",
    "unique": "torch.unique(x)",
    "atleast_2d": "torch.atleast_2d(x)",
    "block_diag": "torch.block_diag(x, x)",
    "broadcast_tensors": "torch.broadcast_tensors(x, x)",
    "einsum": 'torch.einsum("ij->i", x)',
    "cdist": "torch.cdist(x, x)",
    "meshgrid": 'torch.meshgrid(x[0], x[0], indexing="ij")',
    "tensordot": "torch.tensordot(x, x, 2)",
    "skip_init": "torch.nn.utils.skip_init(torch.nn.Embedding, 2, 3)",
    "clip_grad_norm_": "torch.nn.utils.clip_grad_norm_([x], 1.0)",
    "AdamW.step": "torch.optim.AdamW([x]).step()",
}
UNTYPED = {
    "Tensor.backward",
    "Tensor.register_hook",
    "Tensor.split",
    "Tensor.unique",
    "atleast_2d",
    "block_diag",
    "broadcast_tensors",
    "skip_init",
}

assert files("torch").joinpath("py.typed").is_file()
with open("program.py", "w") as file:
    file.write("import torch\n\nx = torch.ones(2, 2, requires_grad=True)\n")
    file.writelines(f"{call}\n" for call in CALLS.values())
exec(compile("import torch\nx = torch.ones(2, 2, requires_grad=True)\nx.sum().backward()", "", "exec"))
said = subprocess.run(
    [sys.executable, "-m", "mypy", "--strict", "program.py"], capture_output=True, text=True
).stdout
lines = {int(number) for number in re.findall(r"program\.py:(\d+): .*\[no-untyped-call\]", said)}
names = list(CALLS)
untyped = {names[line - 4] for line in lines}
print(f"torch {version('torch').partition('+')[0]}, mypy {version('mypy')}")
print("untyped:", *sorted(untyped))
print("typed:", *sorted(set(names) - untyped))
if other := [line for line in said.splitlines() if "error" in line and "untyped" not in line]:
    print(*other, sep="\n")
raise SystemExit(untyped != UNTYPED)
PY
env/bin/python check.py
