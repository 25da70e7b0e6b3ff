"""Claims about the input layer as a part: shapes, tying, dropout, memory, order."""

from __future__ import annotations

import itertools

import torch

from ..attention import AttentionContext, CausalSelfAttention
from ..input_embedding import InputEmbedding
from ..model import SimpleLLM, SimpleLLMConfig, next_token_loss
from ..padding import positions_from_mask
from ..positional_encoding import PositionalEncoding
from .claim import EXACT, Claim, Measured, microscope, scores
from .rules import Above, Below, Between

_LAYER = "08_the_input_layer"
_MODEL = "10_into_the_model"


def _order_seen() -> Measured:
    """How much a shuffle of the other words changes what the last word gets, relatively."""
    d, n = 64, 8
    everyone = AttentionContext(visible=torch.ones(1, 1, n, n, dtype=torch.bool))
    torch.manual_seed(0)
    x = torch.randn(1, n, d)
    shuffled = x[:, [*torch.randperm(n - 1).tolist(), n - 1]]
    attention = CausalSelfAttention(d, n_heads=4)

    def change(before: torch.Tensor, after: torch.Tensor) -> float:
        return ((after - before)[:, -1].norm() / before[:, -1].norm()).item()

    found = {
        "no mask": change(attention(x, everyone), attention(shuffled, everyone)),
        "causal mask, one layer": change(attention(x), attention(shuffled)),
    }
    model = SimpleLLM(SimpleLLMConfig(19, **microscope(position="none", scale=False))).eval()
    ids = torch.randint(3, 19, (64, n))
    found["causal mask, two blocks"] = change(
        model(ids), model(ids[:, [*range(n - 2, -1, -1), n - 1]])
    )
    return found


def _sees_order() -> Measured:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return _order_seen()


def _shapes_fit() -> Measured:
    table = PositionalEncoding(16, 32).pe.transpose(0, 1)  # (32, 1, 16), as in sequence-first code
    x = torch.zeros(4, 8, 16)
    wrong = x + table[: x.size(0)]  # (4, 8, 16): no error, the right shape

    def difference(rows: torch.Tensor) -> float:
        return max((a - b).abs().max().item() for a, b in itertools.pairwise(rows[0]))

    return {
        "rows taken along the sequence": difference(PositionalEncoding(16, 32)(x)),
        "rows taken along the batch": difference(wrong),
    }


def _rows_reached() -> Measured:
    """Share of the rows of a token table that a batch does not name and that get a gradient."""

    def share(tied: bool) -> float:
        torch.manual_seed(0)
        model = SimpleLLM(SimpleLLMConfig(200, 32, 1, 2, 32, tie_weights=tied))
        ids = torch.randint(3, 100, (4, 17))
        table = model.input_embedding.token_embedding.embedding.weight
        (grad,) = torch.autograd.grad(next_token_loss(model(ids[:, :-1]), ids[:, 1:]), table)
        return (grad[100:] != 0).any(1).double().mean().item()

    with torch.random.fork_rng(devices=[]):
        return {"head of its own": share(False), "tied head": share(True)}


def _saving() -> Measured:
    def parameters(tied: bool) -> int:
        model = SimpleLLM(SimpleLLMConfig(1000, **microscope(tie_weights=tied)))
        return sum(p.numel() for p in model.parameters())

    with torch.random.fork_rng(devices=[]):
        return {"1,000 ids, width 64": 1 - parameters(True) / parameters(False)}


def _cost_of_tying() -> Measured:
    loss = scores("tying")
    return {
        kind: loss[f"tied, {kind}"] - loss[f"untied, {kind}"] for kind in ("sinusoidal", "learned")
    }


def _ends() -> Measured:
    """The gradient that reaches a tied table from the head, over that from the input."""

    def ratio(scale: bool) -> float:
        torch.manual_seed(0)
        model = SimpleLLM(SimpleLLMConfig(500, 64, 2, 4, 64, scale=scale))
        table = model.input_embedding.token_embedding.embedding.weight
        ids = torch.randint(3, 500, (4, 33))
        targets = ids[:, 1:]
        # The head's part: the same logits from rows that do not know the table.
        kept: list[torch.Tensor] = []
        hook = model.norm.register_forward_hook(lambda *call: kept.append(call[-1]))
        whole = torch.autograd.grad(next_token_loss(model(ids[:, :-1]), targets), table)[0]
        hook.remove()
        logits = torch.nn.functional.linear(kept[0].detach(), table)
        head = torch.autograd.grad(next_token_loss(logits, targets), table)[0]
        return (head.norm() / (whole - head).norm()).item()

    with torch.random.fork_rng(devices=[]):
        return {"without the factor": ratio(False), "with the factor": ratio(True)}


def _gap() -> Measured:
    """Test loss minus loss on the text it was trained on."""
    test, seen = scores("dropout"), scores("dropout", "loss_aligned")
    return {f"dropout {p}": test[p] - seen[p] for p in ("0.1", "0.3", "0.1 everywhere")}


def _gap_closed() -> Measured:
    test, seen = scores("dropout"), scores("dropout", "loss_aligned")
    without = test["0"] - seen["0"]
    return {f"dropout {p}": without - (test[p] - seen[p]) for p in ("0.1", "0.3")}


def _places_memorised() -> Measured:
    """Loss on the trained text, its windows moved, minus loss on the windows as trained."""
    moved, aligned = scores("dropout", "loss_shifted"), scores("dropout", "loss_aligned")
    arms = {"0.1": "0.1", "0.3": "0.3", "0.1 and random crops": "0.1, random crops"}
    return {f"dropout {name}": moved[arm] - aligned[arm] for name, arm in arms.items()}


def _megabytes() -> Measured:
    number = PositionalEncoding(2, 1).pe.element_size()  # bytes

    def size(length: int, d: int) -> float:
        return length * d * number / 1e6

    return {"5,000 × 512": size(5000, 512), "131,072 × 4,096": size(131_072, 4096)}


def _padding() -> Measured:
    """What padding changes in the vectors of the running example's tokens."""
    torch.manual_seed(0)
    layer = InputEmbedding(256, 64, 16, 0.0).eval()
    ids = torch.tensor([[1, 15, 234, 89, 2]])
    pads = torch.zeros(1, 3, dtype=torch.long)
    right, left = torch.cat((ids, pads), 1), torch.cat((pads, ids), 1)
    alone = layer(ids)
    positions = positions_from_mask(left != 0)

    def change(x: torch.Tensor) -> float:
        return (x - alone).abs().max().item()

    return {
        "on the right": change(layer(right)[:, :5]),
        "on the left": change(layer(left)[:, 3:]),
        "on the left, positions_from_mask": change(layer(left, positions=positions)[:, 3:]),
    }


def _padding_changes() -> Measured:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return _padding()


def _special_rows() -> Measured:
    def length(padding_idx: int | None) -> float:
        torch.manual_seed(0)
        layer = InputEmbedding(256, 64, 8, 0.0, padding_idx=padding_idx)
        return layer.token_embedding(torch.tensor([[0]])).norm().item()

    with torch.random.fork_rng(devices=[]):
        return {"by default": length(None), "padding_idx=0": length(0)}


#: The claims about the input layer as a part.
CLAIMS = (
    Claim(
        key="attention-blind",
        text="Attention without positions cannot see the order of the words.",
        made="every introduction to positions",
        number="change of the last word's answer when the 7 others are shuffled, relative",
        measure=_sees_order,
        rule=Below(1e-5),
        scale="untrained, width 64, 8 words",
        chapter="02_why_order_matters",
        section="What the causal mask leaks",
        instead="Without a mask, or in one layer, it cannot. From the second block on a causal "
        "mask leaks some order.",
    ),
    Claim(
        key="shapes-fit",
        text="If the output has the right shape, the positions are right.",
        made="code that was shipped so: anlp-fall2025-code #1, influenza_transformer #9, "
        "pytorch/tutorials #1547",
        number="largest difference between what two neighbouring words are given",
        measure=_shapes_fit,
        rule=Above(0.01),
        scale="4 texts of 8 words, width 16",
        chapter="09_silent_bug_lab",
        section="The test that everybody writes",
        instead="A table indexed along the batch gives every word of a text the same position, "
        "and raises nothing. Test values.",
    ),
    Claim(
        key="rows-reached",
        text="Only the rows of tokens in the batch get a gradient.",
        made="explanations of embeddings as look-ups",
        number="share of the other rows that get one",
        measure=_rows_reached,
        rule=Below(0.001),
        scale="untrained, 200 ids",
        chapter="01_from_text_to_vectors",
        section="Gradients reach only the rows that were used",
        instead="True of the look-up. With a tied head every row is also an output and gets one.",
    ),
    Claim(
        key="special-zero",
        text="PAD has a vector of zeros.",
        made="tutorials; pytorch #6495 and fairseq #4076 are about its consequences",
        number="length of PAD's row in a new layer",
        measure=_special_rows,
        rule=Below(1e-6),
        scale=EXACT,
        chapter="01_from_text_to_vectors",
        section="PAD, BOS and EOS",
        instead="By default PAD is a row like any other. `padding_idx` makes it zero and keeps it.",
    ),
    Claim(
        key="padding",
        text="Padding does not change what the real tokens are given.",
        made="batched generation code; threads such as nnsight #672",
        number="largest change in the vectors of five tokens, three PAD beside them",
        measure=_padding_changes,
        rule=Below(1e-6),
        scale=EXACT,
        chapter=_LAYER,
        section="Lengths, chunks and padding",
        instead="On the left it does, unless positions count from the first real token.",
    ),
    Claim(
        key="free-table",
        text="The fixed table costs no memory.",
        made="a table of costs that says 0 bytes, because it has no parameters",
        number="size of the stored table in float32",
        unit="MB",
        measure=_megabytes,
        rule=Below(0.001),
        scale=EXACT,
        chapter=_LAYER,
        section="What it stores",
        instead="No parameters and no optimiser state, but 4·T·d bytes.",
    ),
    Claim(
        key="tying-saves",
        text="Tying the head to the token table saves parameters.",
        made="Press & Wolf 2017",
        number="share of all parameters that is saved",
        measure=_saving,
        rule=Above(0.05),
        scale=EXACT,
        chapter=_MODEL,
        section="One table at both ends",
        instead="V·d of them: much in a small model, little in a large one.",
    ),
    Claim(
        key="tying-free",
        text="Tying costs no quality.",
        made="summaries of weight tying",
        number="loss tied minus loss untied, after 300 steps",
        unit="nats",
        measure=_cost_of_tying,
        rule=Below(0.01),
        scale="about 100,000 parameters without the tables, pieces of words, 5 seeds",
        chapter=_MODEL,
        section="One table at both ends",
        instead="At equal steps it costs here. It depends on size, data and the table's start.",
        elsewhere="Qwen3 ties its models up to 4 billion parameters and unties from 8 billion on "
        "(its report).",
    ),
    Claim(
        key="both-ends",
        text="A tied table learns from both ends alike.",
        made="explanations of weight tying as sharing",
        number="gradient from the head over gradient from the input",
        unit="times",
        measure=_ends,
        rule=Between(0.5, 2.0),
        scale="untrained model of 2 blocks, width 64",
        chapter=_MODEL,
        section="One table at both ends",
        instead="At first the head teaches it, several times to dozens of times as strongly.",
    ),
    Claim(
        key="dropout-reduces",
        text="Dropout on the sum reduces overfitting.",
        made="Vaswani et al. 2017, section 5.4, and every course after it",
        number="gap between new and trained text without dropout minus the gap with it",
        unit="nats",
        measure=_gap_closed,
        rule=Above(0.05),
        scale="about 100,000 parameters, 20,000 characters, 5 seeds",
        chapter=_LAYER,
        section="Dropout, once, on the sum",
        instead="It does, on little data seen many times.",
        elsewhere="Vaswani et al. 2017 vary all dropout at once: perplexity 5.77 at 0, 4.92 at "
        "0.1, 4.95 at 0.2.",
    ),
    Claim(
        key="dropout-prevents",
        text="Dropout on the sum prevents overfitting.",
        made="the same sentence with a stronger verb",
        number="loss on new text minus loss on trained text",
        unit="nats",
        measure=_gap,
        rule=Below(0.1),
        scale="about 100,000 parameters, 20,000 characters, 5 seeds",
        chapter=_LAYER,
        section="Dropout, once, on the sum",
        instead="It reduces it.",
    ),
    Claim(
        key="dropout-places",
        text="Dropout on the sum keeps a model from memorising which token stood where.",
        made="given as what dropout after adding the position is for",
        number="loss on trained text with its windows moved minus loss as trained",
        unit="nats",
        measure=_places_memorised,
        rule=Below(0.1),
        scale="about 100,000 parameters, 20,000 characters, 5 seeds",
        chapter=_LAYER,
        section="What dropout does to memorised places",
        instead="Dropout lessens it. Windows cut at random places end it, with dropout or without.",
    ),
)
