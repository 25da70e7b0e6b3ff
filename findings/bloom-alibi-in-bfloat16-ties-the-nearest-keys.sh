#!/usr/bin/env bash
# transformers 5.24.0, torch 2.13.0 (CPU), Bloom's ALiBi bias in bfloat16.
#
# A guess: ALiBi's bias is a slope times a distance, with slopes that are powers of two. So in
# bfloat16 it is exact for the nearest keys, and coarse only for far ones, which get little weight.
#
# What it does: build_alibi_tensor gives each key its slope times its place from the beginning of the
# text, which a softmax takes for the same. Rounded to bfloat16, it is exact at the beginning and
# coarsest at the end, next to the query: with 2048 tokens, the length of Bloom's own training, seven
# to nine neighbours get one bias, and then comes a step of eight slopes at once. MPT's, in the same
# package, counts from the last key, and is exact where it matters.
#
# Output seen (8 heads; steps from one key to the next among the 16 nearest of 2048 keys, in slopes):
#   Bloom float32   1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
#   Bloom bfloat16  0 0 0 0 8 0 0 0 0 0 0 8 0 0 0
#   MPT bfloat16    1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.24.0 numpy 2> pip.log || { cat pip.log; exit 1; }

cat > check.py <<'PY'
from importlib.metadata import version

import torch
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

assert (version("torch").split("+")[0], version("transformers")) == ("2.13.0", "5.24.0")
HEADS, LENGTH = 8, 2048
slopes = 2.0 ** -torch.arange(1, HEADS + 1, dtype=torch.float64)


def steps(name, bias):
    """Print and return what each of the nearest keys gets more than the one before, in slopes."""
    near = bias.reshape(HEADS, -1)[:, -16:].double().diff(dim=-1) / slopes[:, None]
    assert (near == near[0]).all()  # the same for every head
    found = [round(step, 3) for step in near[0].tolist()]
    print(f"{name:15s}", *(f"{step:g}" for step in found))
    return found


mask = torch.ones(1, LENGTH)
assert steps("Bloom float32", build_alibi_tensor(mask, HEADS, torch.float32)) == [1.0] * 15
rounded = steps("Bloom bfloat16", build_alibi_tensor(mask, HEADS, torch.bfloat16))
assert rounded == [0.0] * 4 + [8.0] + [0.0] * 6 + [8.0] + [0.0] * 3
assert steps("MPT bfloat16", build_mpt_alibi_tensor(HEADS, LENGTH).bfloat16()) == [1.0] * 15
PY
env/bin/python check.py
