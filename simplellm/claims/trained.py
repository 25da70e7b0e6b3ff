"""Claims about what trained models do: learned tables, other schemes, longer texts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ..experiments import EXPERIMENTS
from ..learned_positional_embedding import LearnedPositionalEmbedding
from .claim import DRAWN, TASK, TEXT, Claim, Measured, Source, drawn, scores
from .rules import Above, Below, Between
from .sources import BORGI, vaswani

_TABLE = "06_learned_positions"
_VERSUS = "07_learned_versus_fixed"
_BEYOND = "11_beyond_absolute_positions"

#: The tasks' names in conditions, by experiment.
TASKS = {
    "copy": "copy",
    "reverse": "reverse",
    "token_back": "5 back",
    "lookup": "lookup",
    "sort": "sort",
    "addition": "addition",
    "text": "text",
}
#: Experiments that both kinds of positions solve, so that their speeds can be compared.
SOLVED = ("copy", "reverse", "token_back", "lookup")
#: For how many steps models have learned to look places up.
LOOKUPS = (200, 600)
#: One number for each seed.
Seeds = NDArray[np.float64]


def _both_solve(accuracy: Mapping[str, Seeds], *arms: str) -> bool:
    """Whether a task cannot tell arms apart, because all of them solve it."""
    return all(0.99 < accuracy[arm].mean() <= 1 for arm in arms)


def _lead_at_equal_length() -> Measured:
    found = {}
    for task, name in TASKS.items():
        accuracy = scores(task, "accuracy")
        if not _both_solve(accuracy, "learned", "sinusoidal"):
            found[name] = accuracy["learned"] - accuracy["sinusoidal"]
    return found


def _lead_of_sinusoids_on_text() -> Measured:
    loss = scores("size_text")
    found = {"usual recipes": loss["learned, small, no factor"] - loss["sinusoidal, large, factor"]}
    for size in ("large", "small"):
        for factor in ("factor", "no factor"):
            arm = f"{size}, {factor}"
            found[f"both {arm}"] = loss[f"learned, {arm}"] - loss[f"sinusoidal, {arm}"]
    return found


def _steps_sooner() -> Measured:
    found = {}
    for task in SOLVED:
        steps = scores(task, "steps_to_0.1")
        found[TASKS[task]] = steps["sinusoidal"] - steps["learned"]
        found[f"{TASKS[task]}, both large"] = steps["sinusoidal"] - steps["learned, large"]
    return found


def _resembles_waves() -> Measured:
    return {
        name: scores(task, "correlation_with_sinusoid")["learned"] for task, name in TASKS.items()
    }


def _neighbours() -> Measured:
    return {name: scores(task, "cosine_by_lag")["learned"][:, 1] for task, name in TASKS.items()}


def _new_positions() -> Measured:
    """Accuracy of windows that start where no training window did, on sinusoids."""
    accuracy = scores("extrapolation", "accuracy_by_offset")["sinusoidal"]
    offsets = EXPERIMENTS["extrapolation"].common["measures"]["offsets"]["offsets"]
    return {f"start at {o}": accuracy[:, i] for i, o in enumerate(offsets) if o}


def _offsets_repair() -> Measured:
    accuracy = scores("extrapolation", "accuracy_by_offset")
    return {
        kind: accuracy[f"{kind}, random offsets"].min(axis=1) for kind in ("sinusoidal", "learned")
    }


def _offsets_cost() -> Measured:
    loss = scores("text")
    return {
        kind: loss[f"{kind}, random offsets"] - loss[kind] for kind in ("sinusoidal", "learned")
    }


def _unused_row_moves() -> Measured:
    def moved(decay: float) -> float:
        layer = LearnedPositionalEmbedding(64, 16)
        before = layer.embedding.weight.detach().clone()
        for _ in range(20):
            layer.zero_grad()
            layer(torch.zeros(1, 32, 16)).square().sum().backward()
            table = layer.embedding.weight
            assert table.grad is not None
            with torch.no_grad():  # AdamW, but for its memory: decay first, then the step
                table *= 1 - 0.01 * decay
                table -= 0.01 * table.grad.sign()
        after = layer.embedding.weight.detach()
        return ((after - before)[32:].norm() / before[32:].norm()).item()

    return {
        "no weight decay": drawn(lambda: moved(0.0)),
        "weight decay 0.1": drawn(lambda: moved(0.1)),
    }


def _lost_past_the_edge(scheme: str) -> Measured:
    """Accuracy on positions trained minus accuracy on as many after them.

    Of each scheme the settings that the book varies: RoPE's rates, ALiBi's heads and steps, the end
    of T5's buckets.
    """

    def on_task(experiment: str, arm: str) -> Seeds:
        right = scores(experiment, "accuracy_by_position")[arm]
        lost: Seeds = right[:, 3:32].mean(1) - right[:, 32:64].mean(1)
        return lost

    def on_text(experiment: str, arm: str) -> Seeds:
        right = scores(experiment, "accuracy_by_position")[arm]
        lost: Seeds = right[:, 32:64].mean(1) - right[:, 64:128].mean(1)
        return lost

    if scheme == "rope":
        found = {
            f"symbol 3 back, rate {rate}": on_task("rope_rates", rate)
            for rate in EXPERIMENTS["rope_rates"].arms
        }
    elif scheme == "alibi":
        found = {
            f"symbol 3 back, {heads}, {steps:,} steps": on_task(f"alibi_{steps}", heads)
            for steps in (300, 1200)
            for heads in EXPERIMENTS["alibi_300"].arms
        }
    elif scheme == "t5":
        found = {
            f"symbol 3 back, buckets {end}": on_task("buckets", end)
            for end in EXPERIMENTS["buckets"].arms
        }
        return found | {
            f"text, buckets {end}": on_text("buckets_text", end)
            for end in EXPERIMENTS["buckets_text"].arms
        }
    else:
        found = {"symbol 3 back": on_task("extrapolation", scheme)}
    return found | {"text": on_text("text", scheme)}


def _against_none() -> Measured:
    """What no positions at all are ahead by, on every position past the trained length."""
    loss = scores("text", "loss_by_position")
    task = scores("extrapolation", "loss_by_position")
    return {
        "symbol 3 back": (task["none"] - task["sinusoidal"])[:, 32:].mean(1),
        "text": (loss["none"] - loss["sinusoidal"])[:, 64:].mean(1),
    }


def _none_is_close() -> Measured:
    loss = scores("text")
    return {
        "to learned": loss["none"] - loss["learned"],
        "to sinusoidal": loss["none"] - loss["sinusoidal"],
    }


def _judges_agree() -> Measured:
    """By how much whoever reads text better also looks places up better: a scheme or a table."""
    text = scores("text")
    found: dict[str, Seeds] = {}
    for scheme, name in _SCHEME_NAMES.items():
        reads_better = 1 if text[scheme].mean() < text["learned"].mean() else -1
        for steps in LOOKUPS:
            accuracy = scores(f"lookup_{steps}", "accuracy")
            if not _both_solve(accuracy, scheme, "learned"):
                lead = accuracy[scheme] - accuracy["learned"]
                found[f"{name}, {steps:,} steps"] = reads_better * lead
    return found


_SCHEME_NAMES = {
    "sinusoidal": "sinusoids",
    "rope": "RoPE",
    "alibi": "ALiBi",
    "t5": "T5 bias",
    "none": "no positions",
}
_PRESS = "Press et al. 2022, WikiText-103, perplexity at the trained 512 tokens and at 1,012: "


def _beyond(
    scheme: str, key: str, text: str, sources: tuple[Source, ...], instead: str, elsewhere: str
) -> Claim:
    return Claim(
        key=key,
        text=text,
        sources=sources,
        number="accuracy on trained positions minus accuracy on as many positions past them",
        measure=lambda: _lost_past_the_edge(scheme),
        rule=Below(0.05),
        trained=True,
        scale="about 100,000 parameters, trained on 32 positions (task) or 64 (text), 5 seeds"
        + (", 20 of RoPE on the task" if scheme == "rope" else ""),
        chapter=_VERSUS if scheme == "sinusoidal" else _BEYOND,
        section="One position past the edge"
        if scheme == "sinusoidal"
        else "Six schemes past the trained length",
        instead=instead,
        elsewhere=elsewhere,
    )


_ALIBI_PAPER = "https://arxiv.org/abs/2108.12409"
_EVERYWHERE = "about 100,000 parameters, six tasks and text, 5 seeds"

#: The claims about trained models.
CLAIMS = (
    Claim(
        key="learned-better",
        text="At a fixed length learned positions are better than sinusoids.",
        sources=(
            Source(
                "A. Borgi's blog",
                f"{BORGI}/pe-learned/",
                "Often matches or slightly beats sinusoidal on standard benchmarks",
            ),
        ),
        number="accuracy of the learned table minus that of sinusoids, each at its usual size",
        measure=_lead_at_equal_length,
        rule=Above(0.01),
        trained=True,
        scale=_EVERYWHERE,
        chapter=_VERSUS,
        section="Kind and size",
        instead="On text they are not. Of six tasks both solve four, and on sorting and adding "
        "five seeds do not settle it.",
        elsewhere="Haviv et al. 2022, the Pile, perplexity of a small and a large model: learned "
        "22.04 and 13.05, sinusoidal 21.49 and 12.93.",
    ),
    Claim(
        key="nearly-identical",
        text="Learned positions and sinusoids give nearly identical results.",
        sources=(
            vaswani(
                "section 3.5 and table 3, row E",
                "the two versions produced nearly identical results",
            ),
        ),
        number="accuracy of the learned table minus that of sinusoids, each at its usual size",
        measure=_lead_at_equal_length,
        rule=Between(-0.01, 0.01),
        trained=True,
        scale=_EVERYWHERE,
        chapter=_VERSUS,
        section="Kind and size",
        instead="Both solve four of six tasks, which is no evidence that they are alike. On text, "
        "sorting and adding they differ, or five seeds do not settle it.",
        elsewhere="Vaswani et al. 2017, translation: 25.7 BLEU learned, 25.8 sinusoidal.",
    ),
    Claim(
        key="sinusoids-on-text",
        text="On text sinusoids are better than a learned table.",
        number="loss of the learned table minus that of sinusoids, after 600 steps",
        unit="nats",
        measure=_lead_of_sinusoids_on_text,
        rule=Above(0.01),
        trained=True,
        scale=TEXT,
        chapter=_VERSUS,
        section="Kind and size",
        instead="They are if both are large, with the factor or without. If both are small, a "
        "learned table grows along, and sinusoids drown.",
    ),
    Claim(
        key="learned-sooner",
        text="A learned table learns sooner.",
        number="steps to a loss of 0.1 with sinusoids minus steps with a learned table",
        unit="steps",
        measure=_steps_sooner,
        rule=Above(0.0),
        trained=True,
        scale=TASK,
        chapter=_VERSUS,
        section="Kind and size",
        instead="It does on tasks that both solve, each at its own best rate.",
    ),
    Claim(
        key="learns-waves",
        text="A learned table comes to look like the sinusoids.",
        sources=(
            Source(
                "Yamamoto and Matsuzaki 2023, title",
                "https://openreview.net/forum?id=zpayaLaUhL",
                "Absolute Position Embedding Learns Sinusoid-like Waves",
            ),
        ),
        number="correlation of the table's similarities with those of sinusoids",
        measure=_resembles_waves,
        rule=Above(0.3),
        trained=True,
        scale=_EVERYWHERE,
        chapter=_TABLE,
        section="What the task asks for",
        instead="It comes to look like what the task asks for. On text and in sorting that is "
        "nearness; where places are only names it is nothing of the kind.",
    ),
    Claim(
        key="neighbours-alike",
        text="In a trained table neighbouring positions are similar.",
        sources=(
            Source(
                "Dosovitskiy et al. 2021, section 4.5",
                "https://arxiv.org/abs/2010.11929",
                "closer patches tend to have more similar position embeddings",
            ),
        ),
        number="mean similarity of neighbours, centred",
        measure=_neighbours,
        rule=Above(0.3),
        trained=True,
        scale=_EVERYWHERE,
        chapter=_TABLE,
        section="What the task asks for",
        instead="They are if the task rewards nearness. Copying is solved perfectly without it.",
    ),
    Claim(
        key="every-row-trained",
        text="Only a learned table needs training data for every position; sinusoids do not.",
        sources=(
            Source(
                "a course's page on learned positions",
                "https://attention.kryvik.com/topics/14-learned-positional-embeddings.html",
                "Limited to seen positions | Can extrapolate to unseen positions",
            ),
        ),
        number="accuracy of sinusoids on windows that start elsewhere, trained from 0",
        measure=_new_positions,
        rule=Above(0.9),
        share=True,
        trained=True,
        scale=TASK,
        chapter=_VERSUS,
        section="Further on, and from elsewhere",
        instead="Sinusoids have the row, but the model has not learned to read it. They fall off "
        "more slowly than a learned table does.",
    ),
    Claim(
        key="offsets-repair",
        text="Random starting positions in training repair that.",
        sources=(Source("Kiyono et al. 2021, abstract", "https://arxiv.org/abs/2109.05644"),),
        number="accuracy at the worst of nine starts, 0 to 96",
        measure=_offsets_repair,
        rule=Above(0.99),
        share=True,
        trained=True,
        scale=TASK,
        chapter=_VERSUS,
        section="The repair, and its price",
        instead="They do, for starts that training has seen. Longer windows are another matter.",
    ),
    Claim(
        key="offsets-free",
        text="The repair costs nothing.",
        number="loss with random offsets minus loss without, at the usual start",
        unit="nats",
        measure=_offsets_cost,
        rule=Below(0.01),
        trained=True,
        scale=TEXT,
        chapter=_VERSUS,
        section="The repair, and its price",
        instead="On text and at equal steps it costs, a learned table more than sinusoids.",
    ),
    Claim(
        key="unused-rows-stay",
        text="A row that no text reaches stays as it was initialised.",
        number="how far such rows move, over their length",
        measure=_unused_row_moves,
        rule=Below(1e-6),
        scale=f"20 steps on 32 of 64 rows, {DRAWN}",
        chapter=_TABLE,
        section="Rows that never move",
        instead="It does without weight decay. With it such rows shrink towards zero and stay "
        "noise.",
    ),
    _beyond(
        "sinusoidal",
        "sinusoids-longer",
        "Sinusoids let a model read texts longer than those it was trained on.",
        (
            vaswani(
                "section 3.5", "it may allow the model to extrapolate to sequence lengths longer"
            ),
        ),
        "The formula goes on, the model does not.",
        f"{_PRESS}20.05 and 43.54.",
    ),
    _beyond(
        "rope",
        "rope-longer",
        "RoPE lets a model read texts longer than those it was trained on.",
        (
            Source(
                "Su et al. 2021, abstract",
                "https://arxiv.org/abs/2104.09864",
                "the flexibility of sequence length",
            ),
        ),
        "It loses less than sinusoids do, but it does lose, and how much depends on the learning "
        "rate and the seed. Models that need more stretch the angles.",
        f"{_PRESS}20.07 and 21.37. Kazemnejad et al. 2023 rank it low on ten tasks, 0.33.",
    ),
    _beyond(
        "alibi",
        "alibi-longer",
        "ALiBi lets a model read texts longer than those it was trained on.",
        (Source("Press et al. 2022, title", _ALIBI_PAPER, "Train Short, Test Long"),),
        "On text it does. On a task that asks for one place it does with enough heads and steps.",
        f"{_PRESS}19.73 and 18.73. Kazemnejad et al. 2023, ten tasks: 0.50.",
    ),
    _beyond(
        "t5",
        "t5-longer",
        "T5's bias lets a model read texts longer than those it was trained on.",
        (Source("Press et al. 2022, section 2.2 and figure 1", _ALIBI_PAPER),),
        "It does if its buckets end within the trained windows. If they go on, those of larger "
        "distances hold untrained numbers.",
        f"{_PRESS}19.65 and 18.79. Kazemnejad et al. 2023, ten tasks: 0.55.",
    ),
    Claim(
        key="no-length-limit",
        text="Use sinusoids: they have no length limit.",
        sources=(
            Source(
                "a course's page on positional encoding",
                "https://thanh31596.github.io/data/data5000/positional-encoding-visualization.html",
                "Works for any sequence length without retraining",
            ),
        ),
        number="loss without positions minus loss with sinusoids, past the trained length",
        unit="nats",
        measure=_against_none,
        rule=Above(0.0),
        trained=True,
        scale="about 100,000 parameters, trained on 32 positions (task) or 64 (text), 5 seeds",
        chapter=_VERSUS,
        section="Further on, and from elsewhere",
        instead="There is no error message. Past the trained length they are worse than no "
        "positions at all.",
        elsewhere="Kazemnejad et al. 2023, ten tasks at twice the length, mean reciprocal rank: "
        "none 0.69, sinusoidal 0.22.",
    ),
    Claim(
        key="none-is-close",
        text="A causal model without positions is nearly as good.",
        sources=(
            Source(
                "Haviv et al. 2022, abstract, of models from 125 million parameters",
                "https://arxiv.org/abs/2203.16634",
                "still competitive with standard models",
            ),
        ),
        number="loss without positions minus loss with them",
        unit="nats",
        measure=_none_is_close,
        rule=Below(0.1),
        trained=True,
        scale=f"{TEXT}, 2 blocks, no BOS",
        chapter=_BEYOND,
        section="Why no scheme at all is not blind",
        instead="At this size it is not. The mask leaks order, and larger models make more of it.",
        elsewhere="Haviv et al. 2022, the Pile, perplexity of a small and a large model: none "
        "22.15 and 13.10, learned 22.04 and 13.05, ALiBi 19.94 and 12.51.",
    ),
    Claim(
        key="loss-is-judge",
        text="The scheme with the better language model also finds places better.",
        number="accuracy at looking a position up, of whichever reads text better minus the other: "
        "the scheme or a learned table",
        measure=_judges_agree,
        rule=Above(0.0),
        trained=True,
        scale=TASK,
        chapter=_BEYOND,
        section="Two judges",
        instead="Schemes that know distances only read text well and look places up badly. RoPE "
        "needs time: after 600 steps it never errs, and is left out there.",
    ),
)
