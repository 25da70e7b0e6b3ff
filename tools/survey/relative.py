"""Measure what libraries do with relative positions: rotations (RoPE) and ALiBi's biases.

    python -m tools.survey.relative          all of ENTRIES; writes simplellm/relative.jsonl

Outside the tests, because it downloads packages. Each is installed alone, pinned, into a folder
that is deleted again, and runs in a process of its own on this environment's PyTorch. Of each:
which formula it follows, how far it is off within 4,096 positions in float32, what a cast of the
module leaves, and whether `torch.compile` and `torch.export` take it.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simplellm.relative_positions import alibi_slopes
from simplellm.survey import RELATIVE
from tools.machine.common import ROOT
from tools.survey.__main__ import unpacked
from tools.survey.taking import Taker

LENGTH, WIDTH, HEADS = 4096, 64, 12
MARK = "measured: "

_HUB = (
    "huggingface_hub==2.4.0 regex==2026.11.19 tokenizers==0.23.3 safetensors==0.8.0 tqdm==4.70.1 "
    "httpx==0.28.1 httpcore==1.0.9 h11==0.16.0 hf_xet==1.8.0 shellingham==1.5.4 typer_slim==0.24.0 "
    "typer==0.29.2 rich==15.0.0"
)
_LUCID = "einops==0.8.2 einx==0.4.3 frozendict==2.5.1 loguru==0.7.3 torch_einops_utils==0.2.0"


@dataclass(frozen=True)
class Entry:
    """A class or function of a package.

    Attributes:
        package: As pinned; `beside` are pins of what it imports.
        name: What the record calls it.
        take: `module` to import, or `file` to take definitions from without importing.
        names: Of what is taken, in the order in which `make` and `ask` get them.
        make: An expression for the module, or "" if there is none.
        ask: An expression: rotated vectors for x ``(1, length, WIDTH)``, or the bias ``(HEADS,
            queries, keys)`` of n positions.
    """

    package: str
    name: str
    take: str
    names: str
    make: str
    ask: str
    beside: str = ""

    @property
    def is_rotation(self) -> bool:
        """Whether vectors are turned, rather than a bias made."""
        return "x" in self.ask.replace("max", "")


def _transformers(model: str, config: str) -> Entry:
    """One of the rotations in transformers, which all are used in the same way."""
    kind = f"transformers.models.{model}"
    # Their defaults differ: Cohere's base is not 10,000, and GPT-NeoX turns a quarter of a head.
    rope = "{'rope_type': 'default', 'rope_theta': 10000.0, 'partial_rotary_factor': 1.0}"
    options = f"hidden_size={WIDTH}, num_attention_heads=1, rope_parameters={rope}"
    names = f"{config.removesuffix('Config')}RotaryEmbedding apply_rotary_pos_emb {config}"
    places = "torch.arange(x.shape[1])[None]"
    return Entry(
        "transformers==5.24.0",
        f"{config.removesuffix('Config')}RotaryEmbedding",
        f"{kind}.modeling_{model}",
        names,
        f"a(c({options}))",
        f"(lambda t: b(x[:, None], x[:, None], *t)[0][:, 0])(m(x, {places}))",
        _HUB,
    )


ENTRIES = (
    _transformers("llama", "LlamaConfig"),
    _transformers("gpt_neox", "GPTNeoXConfig"),
    _transformers("cohere", "CohereConfig"),
    Entry(
        "x-transformers==2.31.10",
        "RotaryEmbedding",
        "x_transformers.x_transformers",
        "RotaryEmbedding apply_rotary_pos_emb",
        "a(d)",
        "b(x, *m.forward_from_seq_len(x.shape[1]))",
        _LUCID,
    ),
    Entry(
        "rotary-embedding-torch==0.9.1",
        "RotaryEmbedding",
        "rotary_embedding_torch",
        "RotaryEmbedding",
        "a(d)",
        "m.rotate_queries_or_keys(x)",
        _LUCID,
    ),
    Entry(
        "local-attention==1.11.2",
        "SinusoidalEmbeddings",
        "local_attention/rotary.py",
        "SinusoidalEmbeddings apply_rotary_pos_emb",
        "a(d)",
        "b(x, x, *m(x))[0]",
        "einops==0.8.2",
    ),
    Entry(
        "torchtune==0.6.1",
        "RotaryPositionalEmbeddings",
        "torchtune/modules/position_embeddings.py",
        "RotaryPositionalEmbeddings",
        f"a(d, {LENGTH})",
        "m(x[:, :, None])[:, :, 0]",
    ),
    Entry(
        "litgpt==0.5.12",
        "build_rope_cache, apply_rope",
        "litgpt/model.py",
        "build_rope_cache apply_rope",
        "",
        "b(x, *(t[None].to(x.dtype) for t in a(x.shape[1], d)))",
    ),
    Entry(
        "curated-transformers==2.0.1",
        "RotaryEmbeddings",
        "curated_transformers/layers/embeddings.py",
        "RotaryEmbeddings",
        f"a(d, seq_len={LENGTH})",
        "m(x[:, None])[:, 0]",
    ),
    Entry(
        "fair-esm==2.0.0",
        "RotaryEmbedding",
        "esm/rotary_embedding.py",
        "RotaryEmbedding",
        "a(d)",
        "m(x, x)[0]",
    ),
    Entry(
        "labml-nn==0.5.1",
        "RotaryPositionalEmbeddings",
        "labml_nn/transformers/rope/__init__.py",
        "RotaryPositionalEmbeddings",
        "a(d)",
        "m(x.transpose(0, 1)[:, :, None])[:, :, 0].transpose(0, 1)",
    ),
    Entry(
        "torchscale==0.3.0",
        "fixed_pos_embedding, apply_rotary_pos_emb",
        "torchscale/component/xpos_relative_position.py",
        "fixed_pos_embedding apply_rotary_pos_emb",
        "",
        "b(x, *a(x[0, :, : d // 2]))",
    ),
    Entry(
        "transformers==5.24.0",
        "build_alibi_tensor (Bloom)",
        "transformers.models.bloom.modeling_bloom",
        "build_alibi_tensor",
        "",
        "a(torch.ones(1, n), heads, dtype)",
        _HUB,
    ),
    Entry(
        "transformers==5.24.0",
        "build_mpt_alibi_tensor",
        "transformers.models.mpt.modeling_mpt",
        "build_mpt_alibi_tensor",
        "",
        "a(heads, n).to(dtype)",
        _HUB,
    ),
    Entry(
        "x-transformers==2.31.10",
        "AlibiPositionalBias",
        "x_transformers.x_transformers",
        "AlibiPositionalBias",
        "a(heads)",
        "m(n, n)",
        _LUCID,
    ),
)


# ---- in the process of a package


def _names(entry: Entry, folder: str) -> dict[str, Any]:
    sys.path.insert(0, folder)
    if entry.take.endswith(".py"):
        taker = Taker(Path(folder))
        found = [taker.take(entry.take, name) for name in entry.names.split()]
    else:
        module = importlib.import_module(entry.take)
        transformers = importlib.import_module("transformers") if "Config" in entry.names else None
        found = [
            getattr(module, name, None) or getattr(transformers, name)
            for name in entry.names.split()
        ]
    return {**dict(zip("abc", found, strict=False)), "torch": torch, "d": WIDTH, "heads": HEADS}


def _ask(
    entry: Entry,
    names: dict[str, Any],
    dtype: torch.dtype,
    *,
    cast: bool = False,
    back: bool = False,
) -> Callable[..., Tensor]:
    """The function that is asked, of a module that was cast (and cast back), or was not."""
    made = eval(entry.make, names) if entry.make else None
    if isinstance(made, nn.Module):
        made = made.eval().to(dtype if cast else torch.float32)
        made = made.float() if back else made
    code = compile(entry.ask, entry.name, "eval")
    space = names | {"m": made, "dtype": dtype}
    return lambda given: eval(code, space | {"x" if entry.is_rotation else "n": given})


def turned(x: Tensor, interleaved: bool) -> Tensor:
    """The rotation by the formula, float64; pairs are adjacent columns, or half a width apart."""
    _, length, width = x.shape
    rates = 10_000.0 ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    x = x.double()
    one, two = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, dim=-1)
    parts = one * angles.cos() - two * angles.sin(), one * angles.sin() + two * angles.cos()
    return torch.stack(parts, -1).flatten(-2) if interleaved else torch.cat(parts, -1)


def _differences(bias: Tensor) -> Tensor:
    """What the last query's bias gives to each key more than to the one before, per slope."""
    row = bias.reshape(HEADS, -1, bias.shape[-1])[:, -1].double()
    return row.diff(dim=-1) / alibi_slopes(HEADS)[:, None]


def _scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Scores of the last queries with the nine nearest keys, as a share of the vectors' sizes."""
    queries, keys = queries[0].double(), keys[0].double()
    ends = torch.arange(LENGTH - 256, LENGTH)
    near = keys[ends[:, None] - torch.arange(9)]
    found = (queries[ends, None] * near).sum(-1)
    return found / (queries[ends, None].norm(dim=-1) * near.norm(dim=-1))


def _cast(entry: Entry, names: dict[str, Any], layout: str) -> dict[str, Any]:
    """What a cast leaves of a rotation: of the vectors, and of scores of neighbours."""
    said: dict[str, Any] = {}
    queries, keys = torch.randn(2, 1, LENGTH, WIDTH)
    for dtype in (torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        for back in (False, True):
            given = [x if back else x.to(dtype) for x in (queries, keys)]
            right = [turned(x, layout == "interleaved") for x in given]
            key = f"{name}, then float32" if back else name
            try:
                ask = _ask(entry, names, dtype, cast=True, back=back)
                found = [ask(x) for x in given]
            except (RuntimeError, TypeError) as trouble:
                said[key] = type(trouble).__name__
                continue
            off = (_scores(*found) - _scores(*right)).abs().max()
            said[key] = {
                "vectors": float((found[0].double() - right[0]).abs().max()),
                "scores": float(off),
            }
    return said


def _layout(entry: Entry, names: dict[str, Any]) -> str:
    """Which of the two layouts an entry's float32 rotation is nearest to."""
    x = torch.randn(1, 32, WIDTH)
    found = _ask(entry, names, torch.float32)(x).double()
    off = {
        k: (found - turned(x, k == "interleaved")).abs().max() for k in ("interleaved", "halves")
    }
    return min(off, key=off.__getitem__)


def measured(entry: Entry, folder: str) -> dict[str, Any]:
    """Everything about one entry."""
    names = _names(entry, folder)
    torch.manual_seed(0)
    x = torch.randn(1, LENGTH, WIDTH)
    said: dict[str, Any] = {}
    if entry.is_rotation:
        layout = _layout(entry, names)
        error = _ask(entry, names, torch.float32)(x).double() - turned(x, layout == "interleaved")
        said |= {"layout": layout, "error": float(error.abs().max())} | _cast(entry, names, layout)
    else:
        bias = _ask(entry, names, torch.float32)(LENGTH)
        said |= {"error": float((_differences(bias) - 1.0).abs().max())}
        for dtype in (torch.float16, torch.bfloat16):
            steps = _differences(_ask(entry, names, dtype, cast=True)(LENGTH))
            off = (steps[:, -8:] - 1.0).abs().max()
            said[str(dtype).removeprefix("torch.")] = {"nearest 8 steps": float(off)}
    return said | _traced(entry, names, x)


class _Asking(nn.Module):
    """An entry as a module, which is what export wants."""

    def __init__(self, entry: Entry, names: dict[str, Any]) -> None:
        super().__init__()
        made = eval(entry.make, names) if entry.make else None
        self.made = made.eval() if isinstance(made, nn.Module) else None
        body = entry.ask.replace("dtype", "torch.float32") if not entry.is_rotation else entry.ask
        space = dict(names)
        exec(f"def ask(m, x, n):\n    return {body}", space)
        self.ask = space["ask"]

    def forward(self, x: Tensor) -> Tensor:
        return self.ask(self.made, x, x.shape[1])  # type: ignore[no-any-return]


def _traced(entry: Entry, names: dict[str, Any], x: Tensor) -> dict[str, Any]:
    """Whether it is compiled as one graph and exported, at a length that may change, unchanged."""
    said: dict[str, Any] = {}
    x = x[:, :64]
    plain = _Asking(entry, names)(x)
    tries: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "compile": lambda: torch.compile(_Asking(entry, names), fullgraph=True),
        "export": lambda: torch.export.export(
            _Asking(entry, names),
            (x,),
            dynamic_shapes=({1: torch.export.Dim.DYNAMIC},),
            strict=False,
        ).module(),
    }
    for name, make in tries.items():
        try:
            found = make()
            same = float((found(x) - plain).abs().max())
            other = float((found(x[:, :48]) - _Asking(entry, names)(x[:, :48])).abs().max())
            said[name] = "same" if max(same, other) < 1e-5 else f"off by {max(same, other):.2g}"
        except Exception as trouble:  # whatever a library or a compiler raises
            said[name] = type(trouble).__name__
    return said


def _child(index: int, folder: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with torch.no_grad():
        print(MARK + json.dumps(measured(ENTRIES[index], folder)))


def main() -> None:
    """Measure all entries, and write the records."""
    lines = []
    for index, entry in enumerate(ENTRIES):
        package, _, version = entry.package.partition("==")
        with tempfile.TemporaryDirectory() as folder:
            said: dict[str, Any] = {"why": unpacked([entry.package, *entry.beside.split()], folder)}
            if not said["why"]:
                done = subprocess.run(
                    [
                        sys.executable,
                        "-W",
                        "ignore",
                        "-m",
                        "tools.survey.relative",
                        str(index),
                        folder,
                    ],
                    capture_output=True,
                    text=True,
                    cwd=ROOT,
                )
                answers = [o for o in done.stdout.splitlines() if o.startswith(MARK)]
                said = (
                    json.loads(answers[0].removeprefix(MARK))
                    if answers
                    else {"why": (done.stderr.strip().splitlines() or ["ended early"])[-1][:200]}
                )
        record = {"package": package, "version": version, "name": entry.name}
        record["kind"] = "rotation" if entry.is_rotation else "bias"
        lines.append(json.dumps(record | said, ensure_ascii=False))
        print(lines[-1])
    RELATIVE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _child(int(sys.argv[1]), sys.argv[2])
    else:
        main()
