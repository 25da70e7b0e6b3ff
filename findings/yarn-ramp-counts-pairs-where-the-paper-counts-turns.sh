#!/usr/bin/env bash
# transformers 5.24.0, torch 2.13.0 (CPU), YaRN's rotary frequencies.
#
# A guess: _compute_yarn_parameters mixes old and interpolated frequencies by the paper's ramp. Peng
# et al. 2024 (section 3.2) define it on r, the turns that a pair makes within the original length:
# nothing is kept of the old frequency at r <= beta_slow, all of it at r >= beta_fast, and the share
# kept is linear in r in between.
#
# What it does: its ramp has the same two ends, and is linear in the number of the pair, so in the
# logarithm of r. Pairs in the middle of the ramp keep far more of their frequency than in the paper.
# With the settings of DeepSeek-V3 (factor 40, 4096 positions, 64 columns, base 10,000) pair 16 keeps
# 0.54 of it and not 0.18; its frequency is 2.8 times that of the paper's ramp, pair 19's four times.
# The authors' own code does the same (asked in github.com/jquesnelle/yarn/issues/60, open since 2024),
# and so does OpenAI's for gpt-oss, so this is what models are trained and shipped with.
#
# Output seen (pair; turns in the original length; share of the old frequency kept by the paper's ramp
# and by the package; frequency of the package over that of the paper):
#   DeepSeek-V3, factor 40
#     pair 12  turns 20.61  paper 0.633  package 0.846  ratio 1.32
#     pair 16  turns  6.52  paper 0.178  package 0.538  ratio 2.77
#     pair 19  turns  2.75  paper 0.056  package 0.308  ratio 4.06
#   gpt-oss, factor 32
#     pair 10  turns 15.73  paper 0.475  package 0.795  ratio 1.63
#     pair 13  turns  5.15  paper 0.134  package 0.473  ratio 3.04
#     pair 16  turns  1.68  paper 0.022  package 0.150  ratio 3.36
#   as described
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.24.0 numpy 2> pip.log || { cat pip.log; exit 1; }

cat > check.py <<'PY'
import math
from importlib.metadata import version

import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

assert (version("torch").split("+")[0], version("transformers")) == ("2.13.0", "5.24.0")
HEAD, TRAINED, SLOW, FAST = 64, 4096, 1.0, 32.0


def compare(name, base, factor, shown, **settings):
    """Print pairs of the ramp; return the package's frequencies over those of the paper's ramp."""
    config = LlamaConfig(
        hidden_size=2 * HEAD,
        num_attention_heads=2,
        head_dim=HEAD,
        max_position_embeddings=int(factor) * TRAINED,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": base,
            "factor": factor,
            "beta_fast": FAST,
            "beta_slow": SLOW,
            "original_max_position_embeddings": TRAINED,
            **settings,
        },
    )
    package, _ = ROPE_INIT_FUNCTIONS["yarn"](config)
    package = package.double()
    rates = base ** (-torch.arange(0, HEAD, 2, dtype=torch.float64) / HEAD)
    turns = TRAINED * rates / (2 * math.pi)
    kept = ((turns - SLOW) / (FAST - SLOW)).clamp(0, 1)
    paper = kept * rates + (1 - kept) * rates / factor
    share = (package / rates - 1 / factor) / (1 - 1 / factor)
    ratio = package / paper
    print(f"{name}, factor {factor:.0f}")
    for i in shown:
        print(f"  pair {i}  turns {turns[i]:5.2f}  paper {kept[i]:.3f}  package {share[i]:.3f}  "
              f"ratio {ratio[i]:.2f}")
    inside = share[(share > 1e-4) & (share < 1 - 1e-4)]
    assert inside.diff().std() < 1e-4, f"{name}: no longer linear in the number of the pair"
    assert torch.allclose(package[kept == 1], rates[kept == 1]), f"{name}: the ends differ"
    return ratio


deepseek = compare("DeepSeek-V3", 10_000.0, 40.0, (12, 16, 19))
oss = compare("gpt-oss", 150_000.0, 32.0, (10, 13, 16), truncate=False)
for ratio in (deepseek, oss):
    assert ratio.max() > 2.5, "the package's ramp is now the paper's"
print("as described")
PY
env/bin/python check.py
