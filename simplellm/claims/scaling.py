"""Claims about multiplying token rows by √d_model, and about how tables start."""

from __future__ import annotations

import math

import torch

from ..input_embedding import InputEmbedding
from ..model import SimpleLLM, SimpleLLMConfig, next_token_loss
from .claim import TASK, TEXT, Claim, Measured, scores
from .rules import Above, Below, Between

_CHAPTER = "03_scaling_by_sqrt_d_model"
_BOTH_TEXTS = (
    "about 100,000 parameters, 64 positions, text by character (ALiBi: 228,096 and pieces of "
    "words), 5 seeds"
)


def _size(rows: torch.Tensor) -> float:
    return rows.detach().pow(2).mean().sqrt().item()


def _balance() -> Measured:
    def ratio(d: int, std: float) -> float:
        layer = InputEmbedding(256, d, 128, 0.0, init_std=std)
        return _size(layer.token_embedding(torch.arange(256)[None])) / math.sqrt(0.5)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {
            "std 1/√d, width 64": ratio(64, 64**-0.5),
            "std 1/√d, width 512": ratio(512, 512**-0.5),
            "std 0.02, width 64": ratio(64, 0.02),
            "std 0.02, width 512": ratio(512, 0.02),
            "std 1, width 64": ratio(64, 1.0),
        }


def _unscaled_accuracy() -> Measured:
    accuracy = scores("scaling", "accuracy")
    return {
        "sinusoidal": accuracy["sinusoidal, 0.02, not scaled"],
        "learned": accuracy["learned, 0.02, not scaled"],
    }


def _gain_of_scaling() -> Measured:
    text, pieces = scores("scaling_text"), scores("scaling_alibi")
    return {
        "sinusoidal": text["sinusoidal, not scaled"] - text["sinusoidal, scaled"],
        "learned": text["learned, not scaled"] - text["learned, scaled"],
        "ALiBi": pieces["not scaled"] - pieces["scaled"],
    }


def _gain_beyond_balance() -> Measured:
    text, pieces = scores("scaling_text"), scores("scaling_alibi")
    return {
        "sinusoidal": text["sinusoidal, larger table"] - text["sinusoidal, scaled"],
        "ALiBi": pieces["larger table"] - pieces["scaled"],
    }


def _gradients(d: int, position: str, tied: bool) -> tuple[float, float]:
    """Length of the loss's gradient at the token table and behind the layer."""
    torch.manual_seed(0)
    config = SimpleLLMConfig(256, d, 2, 4, 128, position=position, tie_weights=tied, scale=True)
    model = SimpleLLM(config)
    outputs: list[torch.Tensor] = []
    model.input_embedding.register_forward_hook(lambda *call: outputs.append(call[-1]))
    ids = torch.randint(3, 256, (4, 33))
    loss = next_token_loss(model(ids[:, :-1]), ids[:, 1:])
    table = model.input_embedding.token_embedding.embedding.weight
    both = torch.autograd.grad(loss, (table, outputs[0]))
    return both[0].norm().item(), both[1].norm().item()


def _gradient_growth() -> Measured:
    found = {}
    with torch.random.fork_rng(devices=[]):
        for name, position, tied in (
            ("sinusoidal", "sinusoidal", False),
            ("learned, tied head", "learned", True),
        ):
            small, large = (_gradients(d, position, tied) for d in (32, 256))
            found[f"{name}: at the table"] = large[0] / small[0]
            found[f"{name}: behind the layer"] = large[1] / small[1]
    return found


def _movement() -> Measured:
    def moved(scale: bool, d: int = 64) -> float:
        torch.manual_seed(0)
        layer = InputEmbedding(256, d, 8, 0.0, scale=scale).token_embedding
        ids = torch.arange(256)[:, None]
        before = layer(ids).detach()
        (layer(ids) * torch.randn(256, 1, d)).sum().backward()
        table = layer.embedding.weight
        assert table.grad is not None
        with torch.no_grad():  # Adam's first step: every entry by the rate, along its sign
            table -= 1e-3 * table.grad.sign()
        return _size(layer(ids) - before)

    with torch.random.fork_rng(devices=[]):
        return {"width 64, first step of Adam": moved(True) / moved(False)}


def _first_loss() -> Measured:
    def excess(std: float, tied: bool) -> float:
        torch.manual_seed(0)
        model = SimpleLLM(
            SimpleLLMConfig(1000, 64, 2, 4, 64, init_std=std, scale=False, tie_weights=tied)
        ).eval()
        ids = torch.randint(3, 1000, (8, 65))
        with torch.no_grad():
            return next_token_loss(model(ids[:, :-1]), ids[:, 1:]).item() - math.log(1000)

    with torch.random.fork_rng(devices=[]):
        return {
            "std 0.02, head of its own": excess(0.02, False),
            "std 0.02, tied head": excess(0.02, True),
            "std 1, head of its own": excess(1.0, False),
            "std 1, tied head": excess(1.0, True),
        }


def _normal_lead() -> Measured:
    loss = scores("initialisation")
    return {"text": loss["uniform"] - loss["normal"]}


#: The claims about scaling and initialisation.
CLAIMS = (
    Claim(
        key="balance",
        text="Multiplying by √d_model balances tokens and positions.",
        made="the usual answer to pytorch/tutorials #2849 and #2655, annotated-transformer #121, "
        "keras-io #655",
        number="size of token rows over size of sinusoids, with the factor, in a new layer",
        measure=_balance,
        rule=Between(0.5, 2.0),
        scale="a new layer, 256 ids",
        chapter=_CHAPTER,
        section="Two sizes",
        instead="With a spread of 1/√d it does, at every width. With 0.02 the ratio is "
        "0.02·√(2d), and tokens are the smaller part up to a width of 1,250.",
        elsewhere="tensor2tensor and fairseq start from 1/√d and multiply; GPT-2 starts from 0.02 "
        "and does not (their sources).",
    ),
    Claim(
        key="drowned",
        text="Without √d_model the positions drown the tokens, and the model cannot learn.",
        made="reasons given in threads, as khirotaka/SAnD #3",
        number="accuracy without the factor, at the rate that suits it",
        measure=_unscaled_accuracy,
        rule=Below(0.9),
        scale=TASK,
        chapter=_CHAPTER,
        section="What training makes of it",
        instead="In a new layer sinusoids do drown tokens of 0.02. At a rate that suits it, the "
        "table grows out of that within the first steps.",
    ),
    Claim(
        key="scaling-helps",
        text="Multiplying by √d_model makes a model learn better.",
        made="tutorials and lecture notes that take the factor over from Vaswani et al. 2017, "
        "section 3.4, where no reason is given",
        number="loss without the factor minus loss with it, after 200 steps",
        unit="nats",
        measure=_gain_of_scaling,
        rule=Above(0.01),
        scale=_BOTH_TEXTS,
        chapter=_CHAPTER,
        section="Balance, or learning rate?",
        instead="Beside sinusoids it helps, beside a small learned table it does harm. Say which "
        "positions, and at which rate.",
        elsewhere="Gemma multiplies by √d with rotary positions, where there is nothing to balance "
        "(its source).",
    ),
    Claim(
        key="balance-is-why",
        text="√d_model helps because it balances.",
        made="the same answers",
        number="what the factor still gains over a table that merely starts 8 times larger",
        unit="nats",
        measure=_gain_beyond_balance,
        rule=Below(0.01),
        scale=_BOTH_TEXTS,
        chapter=_CHAPTER,
        section="Balance, or learning rate?",
        instead="Balance is part of it beside sinusoids. The rest is that a step of Adam moves "
        "the rows √d times as far, and that helps where there is nothing to balance.",
    ),
    Claim(
        key="only-a-size",
        text="The factor only makes the vectors larger; training does not see it.",
        made="a guess readers make: a constant that the table could absorb",
        number="how far one step moves the token rows, with the factor over without",
        unit="times",
        measure=_movement,
        rule=Between(0.9, 1.1),
        scale="one step, 256 rows",
        chapter="10_into_the_model",
        section="What √d really is",
        instead="Under Adam the factor is also a learning rate for the table, √d times larger.",
    ),
    Claim(
        key="stable-gradients",
        text="√d_model keeps gradients stable across model sizes.",
        made="course notes and generated explanations; “numerical stability” in "
        "annotated-transformer #121",
        number="length of the loss's gradient at width 256 over that at 32, with the factor",
        unit="times",
        measure=_gradient_growth,
        rule=Between(0.67, 1.5),
        scale="untrained models of 2 blocks, random ids",
        chapter=_CHAPTER,
        section="What the factor does to the gradient",
        instead="The table's gradient grows with the width, with the factor or without. Name the "
        "place and the model.",
    ),
    Claim(
        key="first-loss",
        text="Before training the loss is about ln V.",
        made="advice on checking a new model",
        number="first loss minus ln V, 1,000 ids",
        unit="nats",
        measure=_first_loss,
        rule=Below(1.0),
        scale="untrained models of width 64",
        chapter="10_into_the_model",
        section="The first loss",
        instead="It is, if the logits start small. With a tied head they do not from a spread of 1 "
        "(the default of `nn.Embedding`), nor in a wide model with the factor.",
    ),
    Claim(
        key="normal-start",
        text="The token table should be drawn from a normal distribution.",
        made="tutorials that give N(0, 0.02) as the recipe",
        number="loss of a uniform start minus loss of a normal one of the same spread",
        unit="nats",
        measure=_normal_lead,
        rule=Above(0.01),
        scale=TEXT,
        chapter="01_from_text_to_vectors",
        section="What the rows start as",
        instead="The spread is what counts. Of the shape five seeds show nothing.",
    ),
)
