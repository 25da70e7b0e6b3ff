"""Training: the settings of a run, the training loop, and what is measured afterwards.

A :class:`Run` holds everything that decides a training run: the task, the model, how it is trained,
and what is measured afterwards. :func:`fit` trains it and returns the model, for a chapter to look
into; :func:`train` returns the numbers alone, for the sweep to keep.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_int, check_number, check_positive_int, check_positive_number
from .corpus import CORPORA, aligned_windows, random_windows, split_blocks
from .learned_positional_embedding import LearnedPositionalEmbedding
from .model import SimpleLLM, SimpleLLMConfig, next_token_loss
from .plain import plain
from .positional_encoding import PositionalEncoding
from .records import settings_key
from .similarity import centred_cosine, mean_pair_cosine
from .sinusoids import rounded_encoding, sinusoidal_encoding
from .stretching import stretch
from .tasks import task as make_task
from .vocabulary import BOS, EOS, PAD, Vocabulary

#: Called after each step with the step, the number of steps and the loss.
Progress = Callable[[int, int, float], None]
#: Called before each step and after the last with the step and the model.
OnStep = Callable[[int, SimpleLLM], None]

#: Settings that came after the first records, with what those meant: keys stay the same.
ADDED_SETTINGS: dict[str, Any] = {
    "weight_decay": 0.0,
    "last_gain": 1.0,
    "keep_best": 0,
    "stretch": {},
}

#: Share of a text's ids that a bidirectional model is to fill in.
MASKED = 0.15

#: Ids in one block of text: 512 inputs, and one more target for the last.
BLOCK = 513


@dataclass(frozen=True, kw_only=True)
class Run:
    """The settings of a training run, and what to measure when it is over.

    Args:
        experiment, arm: Which question it belongs to, and which of the answers compared it is.
        stage: ``"select"`` while the learning rate is chosen, ``"final"`` for what is reported.
            Text is scored on one half of the validation blocks in the first and on the other half
            in the second.
        seed: Decides initialisation and data.
        task: A task of :mod:`simplellm.tasks`, or ``"text"``.
        task_options: Its options. For text: ``corpus`` (a name of
            :data:`~simplellm.corpus.CORPORA`); ``bpe`` (number of tokens) or ``bytes`` (True for
            one token per byte; characters without either); ``size`` (train on that many ids from
            the start only; tests are on all of the text); ``bos`` (True puts BOS before each
            window); ``masked`` (True asks for ids that are hidden behind EOS, one in seven, and
            not for the next one: for a model that is not causal).
        model: Arguments of :class:`SimpleLLMConfig` but for ``vocab_size``.
        table: Distribution the token table is drawn from, ``"normal"`` or ``"uniform"``, of the
            same standard deviation.
        seq_len: Tokens in a training window; for text, which has no length of its own.
        batch, steps: Windows in one step, and steps.
        lr: Peak learning rate; reached after ``warmup`` steps, then a cosine down to a tenth.
        warmup: Steps in which the learning rate rises.
        clip: Largest norm of the whole gradient; None for no limit.
        table_lr: Factor on the learning rate of the token table alone.
        weight_decay: By what share of the learning rate AdamW shrinks every parameter in a step.
        offsets: Positions of a training window start at a random number up to this one.
        windows: For text, ``"random"`` crops or ``"aligned"`` windows at fixed places.
        measures: What is measured at the end: names of :data:`MEASURES` with their options.
        last_gain: What the gain of the last norm starts from.
        keep_best: Every so many steps the loss is measured on the half of the validation data that
            chooses rates, and the run ends with the weights of the lowest; 0 for those of the last
            step.
        stretch: What happens to rotary positions after the last step: ``by`` and ``factor`` as in
            :func:`~simplellm.stretching.stretch`, and ``steps`` of further training on windows that
            are as much longer and as many fewer, at a tenth of the rate.

    Example:
        >>> run = Run(experiment="demo", arm="learned", task="token_back",
        ...           task_options={"k": 3, "seq_len": 16}, steps=5, lr=3e-3,
        ...           model={"d_model": 32, "n_layers": 1, "n_heads": 2, "max_seq_len": 16,
        ...                  "position": "learned"})
        >>> Run.from_dict(run.to_dict()) == run
        True
    """

    experiment: str
    arm: str
    stage: str = "final"
    seed: int = 0
    task: str
    task_options: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any]
    table: str = "normal"
    seq_len: int = 64
    batch: int = 32
    steps: int
    lr: float
    warmup: int = 50
    clip: float | None = 1.0
    table_lr: float = 1.0
    offsets: int = 0
    windows: str = "random"
    measures: Mapping[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    last_gain: float = 1.0
    keep_best: int = 0
    stretch: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            object.__setattr__(self, setting.name, plain(getattr(self, setting.name)))
        for name in ("seq_len", "batch", "steps"):
            check_positive_int(name, getattr(self, name))
        check_positive_number("lr", self.lr)
        check_positive_number("table_lr", self.table_lr)
        check_positive_number("last_gain", self.last_gain)
        if check_int("keep_best", self.keep_best) < 0:
            raise ValueError(f"keep_best must be at least 0, got {self.keep_best}.")
        if self.stretch and set(self.stretch) != {"by", "factor", "steps"}:
            raise ValueError(
                f"stretch must have by, factor and steps, got {', '.join(self.stretch)}."
            )
        if check_number("weight_decay", self.weight_decay) < 0:
            raise ValueError(f"weight_decay must be at least 0, got {self.weight_decay}.")
        for name, choices in (
            ("stage", ("select", "final")),
            ("table", ("normal", "uniform")),
            ("windows", ("random", "aligned")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be {' or '.join(map(repr, choices))}, got "
                    f"{getattr(self, name)!r}."
                )
        if unknown := sorted(set(self.measures) - set(MEASURES)):
            raise ValueError(
                f"measures must be among {', '.join(MEASURES)}, got {', '.join(unknown)}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as JSON values, but for added ones that are left as they were."""
        settings: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for name, default in ADDED_SETTINGS.items():
            if settings[name] == default:
                del settings[name]
        return settings

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Run:
        """Make the run whose settings :meth:`to_dict` has returned."""
        return cls(**settings)

    @property
    def key(self) -> str:
        """The hash of the settings: 16 hexadecimal digits."""
        return settings_key(self.to_dict())


@dataclass
class Trained:
    """A trained model, with its run and its losses.

    Attributes:
        run: What was asked for.
        model: The trained model, in evaluation mode.
        losses: Loss of each step, in nats per token, before the step was taken.
        data: Where its batches came from.
        seconds: How long the steps took.
        best_step: After how many steps the weights are those of the model; None for all.
    """

    run: Run
    model: SimpleLLM
    losses: list[float]
    data: Data
    seconds: float
    best_step: int | None = None


# -- data ------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _text_ids(corpus: str, bpe: int | None, in_bytes: bool) -> tuple[Tensor, Vocabulary]:
    """A corpus as ids, and the vocabulary: kept, because every run of a sweep asks for it."""
    if corpus not in CORPORA:
        raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, got {corpus!r}.")
    text = CORPORA[corpus]()
    if bpe is not None:
        vocabulary = Vocabulary.bpe(text, bpe)
    elif in_bytes:
        vocabulary = Vocabulary.bytes()
    else:
        vocabulary = Vocabulary.characters(text, byte_fallback=False)
    return torch.tensor(vocabulary.encode(text)), vocabulary


class Data:
    """Training and test batches, of the task or the text of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.generator = torch.Generator().manual_seed(1_000_003 * (run.seed + 1))
        if run.task == "text":
            options = dict(run.task_options)
            bpe, in_bytes = options.pop("bpe", None), options.pop("bytes", False)
            self.bos, self.masked = options.pop("bos", False), options.pop("masked", False)
            corpus = options.pop("corpus", "python")
            if bpe is not None and in_bytes:
                raise ValueError("task_options of text must have bpe or bytes, got both.")
            ids, self.vocabulary = _text_ids(corpus, bpe, in_bytes)
            size = options.pop("size", len(ids))
            if options:
                raise ValueError(
                    "task_options of text must be among bos, bpe, bytes, corpus, masked, size, "
                    f"got {', '.join(options)}."
                )
            train_blocks, held_out = split_blocks(ids, block=BLOCK)
            self.train_blocks = train_blocks[: max(1, size // BLOCK)]
            # One half chooses the learning rate, the other half judges what was chosen.
            self.test_blocks = {"select": held_out[0::2], "final": held_out[1::2]}
            self.aligned = aligned_windows(self.train_blocks, run.seq_len)
            self.vocab_size, self.seq_len = self.vocabulary.vocab_size, run.seq_len
        else:
            self.task = make_task(run.task, **run.task_options)
            self.vocab_size, self.seq_len = self.task.vocab_size, self.task.seq_len

    def train_batch(self, longer: int = 1) -> tuple[Tensor, Tensor, Tensor | None]:
        """Draw ids and targets ``(batch, seq_len)``, and positions where they do not start at 0.

        Args:
            longer: Windows are so many times as long and as many times fewer.
        """
        run = self.run
        batch = max(1, run.batch // longer)
        if run.task != "text":
            length = None if longer == 1 else longer * self.seq_len
            ids, targets = self.task.sample(batch, self.generator, length=length)
        else:
            if run.windows == "aligned":
                rows = torch.randint(len(self.aligned), (batch,), generator=self.generator)
                windows = self.aligned[rows]
            else:
                windows = random_windows(
                    self.train_blocks, batch, longer * run.seq_len, generator=self.generator
                )
            ids, targets = self._asked(windows, self.generator)
        if not run.offsets:
            return ids, targets, None
        starts = torch.randint(run.offsets + 1, (batch, 1), generator=self.generator)
        return ids, targets, starts + torch.arange(ids.shape[1])

    def test_batch(
        self, length: int | None = None, sequences: int = 256, stage: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return held-out ids and targets ``(sequences, length)``, always the same.

        Args:
            length: Another length than that of training.
            sequences: How many; of text there may be fewer.
            stage: Whose half of them, that of the run by default.
        """
        length = length or self.seq_len
        stage = stage or self.run.stage
        generator = torch.Generator().manual_seed(17 if stage == "select" else 23)
        if self.run.task != "text":
            ids, targets = self.task.sample(sequences, generator, length=length)
            return ids, targets
        windows = aligned_windows(self.test_blocks[stage], length)
        if len(windows) > sequences:
            # Spread over the text, not its beginning.
            windows = windows[torch.linspace(0, len(windows) - 1, sequences).long()]
        return self._asked(windows, generator)

    def _asked(self, windows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The ids and targets of windows of text: what is read, and what is asked."""
        ids, targets = windows[:, :-1], windows[:, 1:]
        if self.masked:
            hidden = torch.rand(ids.shape, generator=generator) < MASKED
            return ids.masked_fill(hidden, EOS), ids.masked_fill(~hidden, PAD)
        if self.bos:
            # The first id of a window is not asked for, so that what is asked stays the same.
            column = torch.ones_like(ids[:, :1])
            ids = torch.cat((BOS * column, ids), dim=1)
            targets = torch.cat((PAD * column, targets), dim=1)
        return ids, targets


# -- training --------------------------------------------------------------------------------------


def build_model(run: Run, data: Data) -> SimpleLLM:
    """Build the model of a run at step 0: the same for the same seed."""
    torch.manual_seed(run.seed)
    model = SimpleLLM(SimpleLLMConfig(vocab_size=data.vocab_size, **run.model))
    if run.table == "uniform":
        # Uniform on [-a, a] has standard deviation a / √3.
        width = model.config.init_std * math.sqrt(3)
        nn.init.uniform_(model.input_embedding.token_embedding.embedding.weight, -width, width)
    with torch.no_grad():
        model.norm.weight.mul_(run.last_gain)
    return model


def learning_rate(step: int, run: Run) -> float:
    """Return the learning rate's factor at a step: linear warmup, then a cosine to a tenth."""
    if step < run.warmup:
        return (step + 1) / run.warmup
    share = (step - run.warmup) / max(1, run.steps - run.warmup)
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share))


def fit(
    run: Run,
    *,
    progress: Progress | None = None,
    on_step: OnStep | None = None,
    stop: int | None = None,
) -> Trained:
    """Train the model of a run.

    Args:
        run: What to train.
        progress: Called after each step with the step, the number of steps and the loss;
            :func:`progress_bar` makes one that draws.
        on_step: Called before each step, and once after the last, with the step and the model:
            where a chapter takes its snapshots.
        stop: Stop after this many steps, with the learning rates of the whole run: enough to see
            that a run begins as in its record.

    Example:
        >>> run = Run(experiment="demo", arm="learned", task="token_back", batch=4,
        ...           task_options={"k": 3, "seq_len": 16}, steps=3, lr=3e-3,
        ...           model={"d_model": 32, "n_layers": 1, "n_heads": 2, "max_seq_len": 16})
        >>> len(fit(run).losses)
        3

    Source: Loshchilov and Hutter 2019 (AdamW); second beta 0.98 as in Vaswani et al. 2017, 5.3.
    """
    data = Data(run)
    model = build_model(run, data).train()
    table = model.input_embedding.token_embedding.embedding.weight
    others = [p for p in model.parameters() if p is not table]
    optimizer = torch.optim.AdamW(
        [{"params": others, "lr": run.lr}, {"params": [table], "lr": run.lr * run.table_lr}],
        betas=(0.9, 0.98),
        weight_decay=run.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, run))
    parameters = list(model.parameters())
    losses = []
    best = Best(data)
    begin = time.perf_counter()
    steps = run.steps if stop is None else min(stop, run.steps)

    def take_step(longer: int = 1) -> float:
        ids, targets, positions = data.train_batch(longer)
        loss = next_token_loss(model(ids, positions=positions), targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if run.clip is not None:
            nn.utils.clip_grad_norm_(parameters, run.clip)
        optimizer.step()
        return loss.item()

    for step in range(steps):
        if on_step is not None:
            on_step(step, model)
        losses.append(take_step())
        schedule.step()
        if progress is not None:
            progress(step + 1, steps, losses[-1])
        if run.keep_best and (step + 1) % run.keep_best == 0:
            best.look(step + 1, model)
    if best.step is not None:
        model.load_state_dict(best.weights)
    if run.stretch and steps == run.steps:
        by, factor, further = (run.stretch[name] for name in ("by", "factor", "steps"))
        stretch(model, by, factor, data.seq_len)
        for _ in range(further):  # at the tenth of the rate that the cosine has come down to
            take_step(longer=factor)
    seconds = time.perf_counter() - begin
    if on_step is not None:
        on_step(steps, model)
    return Trained(run, model.eval(), losses, data, seconds, best.step)


class Best:
    """The weights of the step that is best on the validation data that choose rates.

    Args:
        data: Of the run.
    """

    def __init__(self, data: Data) -> None:
        self.data = data
        self.loss = math.inf
        self.step: int | None = None
        self.weights: dict[str, Tensor] = {}

    def look(self, step: int, model: SimpleLLM) -> None:
        """Measure the loss after a step, and keep the weights where it is the lowest so far."""
        loss, _ = _outcomes(model.eval(), *self.data.test_batch(stage="select"), 0)
        model.train()
        if (mean := loss.nanmean().item()) < self.loss:
            self.loss, self.step = mean, step
            self.weights = {name: each.clone() for name, each in model.state_dict().items()}


def train(run: Run, *, progress: Progress | None = None) -> dict[str, Any]:
    """Train the model of a run and return its losses, scores and seconds: a record's numbers.

    Returns:
        ``losses``, thinned to at most 30 pairs of a step and the mean loss up to it since the pair
        before; ``scores``, with ``steps_to_0.1`` (the first step from which the mean loss of ten
        is below 0.1, None if there is none) and what ``run.measures`` asks for; ``seconds`` of
        training.
    """
    trained = fit(run, progress=progress)
    scores: dict[str, Any] = {"steps_to_0.1": steps_to(trained.losses, 0.1)}
    if trained.best_step is not None:
        scores["best_step"] = trained.best_step
    with torch.no_grad():
        for name, options in run.measures.items():
            scores.update(MEASURES[name](trained, **options))
    return {"losses": thin(trained.losses), "scores": scores, "seconds": trained.seconds}


def steps_to(losses: list[float], limit: float, window: int = 10) -> int | None:
    """Return the first step after which the mean of the last ``window`` losses is below a limit."""
    for end in range(window, len(losses) + 1):
        if sum(losses[end - window : end]) / window < limit:
            return end
    return None


def thin(losses: list[float], points: int = 30) -> list[list[float]]:
    """Thin losses to at most ``points`` pairs ``[step, mean loss since the pair before]``."""
    ends = sorted({round(len(losses) * (i + 1) / points) for i in range(points)} - {0})
    starts = [0, *ends[:-1]]
    return [[end, sum(losses[a:end]) / (end - a)] for a, end in zip(starts, ends, strict=True)]


def progress_bar(description: str = "training") -> Progress:
    """Make a progress bar of step, loss and time left; needs tqdm."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    bar: Any = None

    def show(step: int, steps: int, loss: float) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=steps, desc=description, leave=False)
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        bar.update(step - bar.n)
        if step == steps:
            bar.close()

    return show


# -- measures --------------------------------------------------------------------------------------


@torch.no_grad()
def _outcomes(
    model: SimpleLLM, ids: Tensor, targets: Tensor, start: int, *, keep_first: bool = False
) -> tuple[Tensor, Tensor]:
    """Loss and right-or-wrong of each target, ``(sequences, length)``; NaN where none is asked.

    Positions begin at ``start``; with ``keep_first`` the first token is at 0 all the same.
    """
    losses, hits = [], []
    positions = None
    if start:
        positions = torch.arange(start, start + ids.shape[1])
        if keep_first:
            positions[0] = 0
    for some_ids, some_targets in zip(torch.split(ids, 64), torch.split(targets, 64), strict=True):
        logits = model(some_ids, positions=positions)
        asked = some_targets != PAD
        loss = F.cross_entropy(logits.transpose(1, 2), some_targets, reduction="none")
        hit = (logits.argmax(-1) == some_targets).float()
        losses.append(loss.masked_fill(~asked, math.nan))
        hits.append(hit.masked_fill(~asked, math.nan))
    return torch.cat(losses), torch.cat(hits)


def _numbers(values: Tensor) -> list[float | None]:
    """A list for a record: None where nothing was asked, because JSON has no NaN."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def measure_test(trained: Trained) -> dict[str, Any]:
    """Measure loss (nats per token) and accuracy on test data of the trained length."""
    loss, hit = _outcomes(trained.model, *trained.data.test_batch(), 0)
    return {"loss": loss.nanmean().item(), "accuracy": hit.nanmean().item()}


def measure_length(trained: Trained, length: int) -> dict[str, Any]:
    """Measure loss and accuracy at each position of windows longer than those trained on.

    The model is causal, so the numbers for every shorter window are the first ones of these.
    """
    ids, targets = trained.data.test_batch(length)
    if trained.run.model.get("position") == "learned":
        longest = int(trained.model.config.max_seq_len)
        ids, targets = ids[:, :longest], targets[:, :longest]
    loss, hit = _outcomes(trained.model, ids, targets, 0)
    return {
        "loss_by_position": _numbers(loss.nanmean(0)),
        "accuracy_by_position": _numbers(hit.nanmean(0)),
    }


def measure_offsets(
    trained: Trained, offsets: list[int], keep_first: bool = False
) -> dict[str, Any]:
    """Measure loss and accuracy on windows whose positions start at each offset.

    With ``keep_first`` also on windows whose first token is at 0 all the same ("…_first_kept").
    """
    scores: dict[str, Any] = {}
    for kept in (False, True) if keep_first else (False,):
        ends = "_first_kept" if kept else ""
        found = [
            _outcomes(trained.model, *trained.data.test_batch(), offset, keep_first=kept)
            for offset in offsets
        ]
        scores[f"loss_by_offset{ends}"] = [loss.nanmean().item() for loss, _ in found]
        scores[f"accuracy_by_offset{ends}"] = [hit.nanmean().item() for _, hit in found]
    return scores


#: Ways to compute sinusoids: the dtypes that frequencies and angles are rounded to; None is exact.
RECIPES: dict[str, dict[str, torch.dtype] | None] = {
    "exact": None,
    "float32": {},
    "float16_rates": {"rates": torch.float16},
    "bfloat16_rates": {"rates": torch.bfloat16},
    "bfloat16_angles": {"angles": torch.bfloat16},
}


def measure_recipes(trained: Trained, offset: int) -> dict[str, Any]:
    """Measure loss and accuracy at positions from `offset` on, whose rows are computed in each way.

    "…_error" is the largest error of a row. The model was trained on exact rows.
    """
    place = getattr(trained.model.input_embedding, "pos_embedding", None)
    if not isinstance(place, PositionalEncoding):
        raise ValueError(
            f"measures must not ask for recipes with position = {trained.model.config.position!r}: "
            "only sinusoids are computed."
        )
    ids, targets = trained.data.test_batch()
    far = torch.arange(offset, offset + ids.shape[1])
    exact = place.amplitude * sinusoidal_encoding(far, place.d_model, place.base)
    first = place.pe[0, : len(far)].clone()
    scores: dict[str, Any] = {}
    for name, recipe in RECIPES.items():
        rows = exact
        if recipe is not None:
            rows = place.amplitude * rounded_encoding(far, place.d_model, place.base, **recipe)
        place.pe[0, : len(far)] = rows  # the model reads these as its first
        loss, hit = _outcomes(trained.model, ids, targets, 0)
        scores[f"{name}_loss"] = loss.nanmean().item()
        scores[f"{name}_accuracy"] = hit.nanmean().item()
        scores[f"{name}_error"] = (rows - exact).abs().max().item()
    place.pe[0, : len(far)] = first
    return scores


def measure_shift(trained: Trained) -> dict[str, Any]:
    """Measure the loss on the training text, cut as in training and half a window later."""
    scores = {}
    seq_len = trained.data.seq_len
    for name, shift in (("loss_aligned", 0), ("loss_shifted", seq_len // 2)):
        windows = aligned_windows(trained.data.train_blocks, seq_len, shift=shift)
        loss, _ = _outcomes(trained.model, windows[:, :-1], windows[:, 1:], 0)
        scores[name] = loss.nanmean().item()
    return scores


def measure_positions(trained: Trained, lags: int = 32) -> dict[str, Any]:
    """Measure a learned position table: similarity by lag, and row norms, of the trained rows."""
    positions = getattr(trained.model.input_embedding, "pos_embedding", None)
    if not isinstance(positions, LearnedPositionalEmbedding):
        raise ValueError(
            f"measures must not ask for positions with position = {trained.model.config.position!r}"
            ": only a learned table has rows to look at."
        )
    rows = positions.embedding.weight[: trained.data.seq_len].detach()
    return measure_rows(rows, lags)


def measure_rows(rows: Tensor, lags: int = 32) -> dict[str, Any]:
    """Measure a table of positions, ``(positions, d_model)``: similarity by lag, and row norms.

    Returns:
        "cosine_by_lag", the mean centred cosine of rows 0, 1, … ``lags`` apart;
        "correlation_with_sinusoid", that of all centred cosines of two rows with those of as many
        sinusoids; "row_norm", the mean.
    """
    similarity = centred_cosine(rows)
    sinusoid = centred_cosine(sinusoidal_encoding(torch.arange(len(rows)), rows.shape[1]).float())
    off = ~torch.eye(len(rows), dtype=torch.bool)
    both = torch.stack((similarity[off], sinusoid[off]))
    return {
        "cosine_by_lag": [
            similarity.diagonal(lag).mean().item() for lag in range(min(lags, len(rows) - 1) + 1)
        ],
        "correlation_with_sinusoid": torch.corrcoef(both)[0, 1].item(),
        "row_norm": rows.norm(dim=1).mean().item(),
    }


def measure_unused(trained: Trained) -> dict[str, Any]:
    """Measure the rows of tokens that the training text never has, at the start and now.

    The rows are those of the output projection ("output"), which is the token table where it is
    tied, and those of the token table ("table"). Of each: "cosine" of two of them (mean over all
    pairs), "norm" (mean length), "spread" (RMS about their mean row), and "moved" (mean length of
    the way from where they were, over their length then). "against_hidden" is the cosine of the
    mean way in the output projection with the mean vector that is projected.
    """
    run, data, model = trained.run, trained.data, trained.model
    if run.task != "text":
        raise ValueError(f"measures must not ask for unused with task = {run.task!r}: text only.")
    unused = torch.bincount(data.train_blocks.flatten(), minlength=data.vocab_size) == 0
    start = build_model(run, data)
    scores: dict[str, Any] = {"unused_count": int(unused.sum())}

    def tables(of: SimpleLLM) -> dict[str, Tensor]:
        table = of.input_embedding.token_embedding.embedding.weight
        return {"output": of.output_weight.detach()[unused], "table": table.detach()[unused]}

    before, after = tables(start), tables(model)
    for name, rows in after.items():
        way = rows - before[name]
        scores[f"{name}_moved"] = (way.norm(dim=1) / before[name].norm(dim=1)).mean().item()
        for when, each in (("", rows), ("_at_start", before[name])):
            scores[f"{name}_cosine{when}"] = mean_pair_cosine(each)
            scores[f"{name}_norm{when}"] = each.norm(dim=1).mean().item()
            scores[f"{name}_spread{when}"] = (each - each.mean(0)).square().mean().sqrt().item()
    projected: list[Tensor] = []
    hook = model.norm.register_forward_hook(lambda _, __, out: projected.append(out))
    model(data.test_batch(sequences=64)[0])
    hook.remove()
    mean = projected[0].detach().flatten(0, 1).mean(0)
    way = (after["output"] - before["output"]).mean(0)
    scores["against_hidden"] = F.cosine_similarity(way, mean, dim=0).item()
    return scores


#: The functions that measure a trained model, by the names that a run's ``measures`` has.
MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "test": measure_test,
    "length": measure_length,
    "offsets": measure_offsets,
    "recipes": measure_recipes,
    "shift": measure_shift,
    "positions": measure_positions,
    "unused": measure_unused,
}
