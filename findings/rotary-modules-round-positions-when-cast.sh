#!/usr/bin/env bash
# x-transformers 2.31.10, rotary-embedding-torch 0.9.1, local-attention 1.11.2, torchtune 0.6.1,
# torch 2.13.0 (CPU), rotary positions of a module in bfloat16.
#
# A guess: casting the module rounds its frequencies. Queries and keys are then turned by slightly
# other angles, the same for both, and the score of two neighbours stays what it was, as with Llama's
# module in transformers.
#
# What it does: in the first three the positions take the frequencies' dtype as well. bfloat16 holds
# no whole numbers between 2048 and 2064, so sixteen positions in a row are turned alike: tokens that
# lie side by side cannot be told apart by place, and then come two that seem 16 apart. No message.
# torchtune's keeps a table of cosines in float32 until it is cast, and rounds those alone.
#
# Output seen (positions 2048 to 2111, one vector at all of them; how many come out different):
#   x-transformers         float32 64  bfloat16  5
#   rotary-embedding-torch float32 64  bfloat16  5
#   local-attention        float32 64  bfloat16  5
#   torchtune              float32 64  bfloat16 64
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 numpy x-transformers==2.31.10 rotary-embedding-torch==0.9.1 \
  local-attention==1.11.2 torchtune==0.6.1 torchao==0.14.1 2> pip.log || { cat pip.log; exit 1; }

cat > check.py <<'PY'
import warnings
from importlib.metadata import version

import torch
from local_attention.rotary import SinusoidalEmbeddings
from local_attention.rotary import apply_rotary_pos_emb as turn_both
from rotary_embedding_torch import RotaryEmbedding as Rotary
from x_transformers.x_transformers import RotaryEmbedding, apply_rotary_pos_emb

warnings.simplefilter("ignore")
from torchtune.modules import RotaryPositionalEmbeddings  # noqa: E402

for name, tested in {
    "torch": "2.13.0",
    "x-transformers": "2.31.10",
    "rotary-embedding-torch": "0.9.1",
    "local-attention": "1.11.2",
    "torchtune": "0.6.1",
}.items():
    assert version(name).split("+")[0] == tested, name
WIDTH, LENGTH = 64, 2112
torch.manual_seed(0)
vector = torch.randn(WIDTH)
LIBRARIES = {
    "x-transformers": (
        lambda: RotaryEmbedding(WIDTH),
        lambda m, x: apply_rotary_pos_emb(x, *m.forward_from_seq_len(LENGTH)),
    ),
    "rotary-embedding-torch": (lambda: Rotary(WIDTH), lambda m, x: m.rotate_queries_or_keys(x)),
    "local-attention": (
        lambda: SinusoidalEmbeddings(WIDTH),
        lambda m, x: turn_both(x, x, *m(x))[0],
    ),
    "torchtune": (
        lambda: RotaryPositionalEmbeddings(WIDTH, LENGTH),
        lambda m, x: m(x[:, :, None])[:, :, 0],
    ),
}
for name, (make, turn) in LIBRARIES.items():
    kept = []
    for dtype in (torch.float32, torch.bfloat16):
        module = make().to(dtype)
        x = vector.to(dtype).expand(1, LENGTH, WIDTH)
        turned = turn(module, x)[0, 2048:].float()
        kept.append(len(torch.unique(turned, dim=0)))
    print(f"{name:22s} float32 {kept[0]}  bfloat16 {kept[1]:2d}")
    assert kept == [64, 64 if name == "torchtune" else 5], name
PY
env/bin/python check.py
