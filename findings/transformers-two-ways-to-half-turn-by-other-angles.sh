#!/usr/bin/env bash
# transformers 5.24.0, torch 2.13.0 (CPU), Llama's rotary positions in float16 and bfloat16.
#
# A guess: LlamaRotaryEmbedding's forward says that it forces float32 (it multiplies inv_freq.float()
# by positions.float() with autocast off), so a model in half precision turns by the angles of
# float32, and it is the same whether it was loaded with dtype=torch.float16 or converted by .half().
#
# What it does: inv_freq is a buffer. from_pretrained(dtype=...) leaves it in float32, and cosines and
# sines are off by their own rounding only. .to(dtype) rounds inv_freq itself, and the float32 in
# forward multiplies the rounded frequencies: within 8192 positions, a length such models are trained
# for, cosines are off by up to 1.7 (float16) and 2.0 (bfloat16), where 2 is the most there can be.
# .float() afterwards brings back the dtype and keeps the rounding. No message at any step.
#
# Output seen (largest error of cosines, positions 0 to 8191, head width 128, base 10000):
#   float32                                 inv_freq float32   5e-04
#   float16: from_pretrained(dtype)         inv_freq float32   6e-04
#   float16: .to(dtype)                     inv_freq float16   1.7
#   float16: .to(dtype).float()             inv_freq float32   1.7
#   bfloat16: from_pretrained(dtype)        inv_freq float32   0.002
#   bfloat16: .to(dtype)                    inv_freq bfloat16  2
#   bfloat16: .to(dtype).float()            inv_freq float32   2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.24.0 numpy 2> pip.log || { cat pip.log; exit 1; }

cat > check.py <<'PY'
import tempfile
from importlib.metadata import version

import torch
from transformers import LlamaConfig, LlamaModel
from transformers.utils import logging

logging.disable_progress_bar()
assert (version("torch").split("+")[0], version("transformers")) == ("2.13.0", "5.24.0")
LENGTH, HEAD = 8192, 128
config = LlamaConfig(
    vocab_size=64,
    hidden_size=2 * HEAD,
    intermediate_size=64,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    max_position_embeddings=LENGTH,
)
places = torch.arange(LENGTH)
rates = 10_000.0 ** (-torch.arange(0, HEAD, 2, dtype=torch.float64) / HEAD)
exact = torch.cat((places[:, None] * rates,) * 2, dim=-1).cos()


def off(name, model):
    """Print and return the largest error of the cosines that the model turns by."""
    x = torch.zeros(1, LENGTH, 2 * HEAD, dtype=model.dtype)
    cosines, _ = model.rotary_emb(x, places[None])
    error = (cosines[0].double() - exact).abs().max().item()
    kept = str(model.rotary_emb.inv_freq.dtype).removeprefix("torch.")
    print(f"{name:38s}  inv_freq {kept:9s} {error:.1g}" if error < 0.1 else
          f"{name:38s}  inv_freq {kept:9s} {error:.2g}")
    return error


fine = [off("float32", LlamaModel(config))]
wrong = []
for dtype in (torch.float16, torch.bfloat16):
    name = str(dtype).removeprefix("torch.")
    model = LlamaModel(config)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        loaded = LlamaModel.from_pretrained(folder, dtype=dtype)
    fine.append(off(f"{name}: from_pretrained(dtype)", loaded))
    wrong.append(off(f"{name}: .to(dtype)", model.to(dtype)))
    wrong.append(off(f"{name}: .to(dtype).float()", model.float()))
assert max(fine) < 0.01, "loading in half precision no longer keeps the angles"
assert min(wrong) > 1, "converting no longer rounds the frequencies"
print("as described")
PY
env/bin/python check.py
