"""The runs of the book's sweep: which questions, which arms, which seeds.

Every experiment compares arms that differ in one thing and share the rest. Each arm is given the
learning rate that does best *for it*: a first round trains every arm once at each candidate rate
and keeps the one with the lowest loss on validation data; a second round trains it at that rate
with several seeds, on which initialisation and data depend, and scores it on test data that the
first round has not seen.

The models are microscopes: about 100 000 parameters, two blocks, a width of 64. The head is not
tied to the token table in them, so that what an arm does at the input does not change the output
as well; tying has an experiment of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .records import Record
from .training import Run

#: Seeds of the final runs.
SEEDS = (0, 1, 2, 3, 4)
#: Seed of the selection runs: data and initialisation that no reported run has.
SELECTION_SEED = 100
#: Candidate learning rates.
RATES = (3e-3, 1e-2, 3e-2)

#: Settings of the small model that all experiments train.
MICROSCOPE: dict[str, Any] = {
    "d_model": 64,
    "n_layers": 2,
    "n_heads": 4,
    "max_seq_len": 256,
    "tie_weights": False,
}

#: What each position scheme adds to the microscope. The sizes are part of the comparison:
#: the recipe this book teaches scales the tokens and has sinusoids of root mean square 0.71; a
#: learned table starts from 0.02, as unscaled tokens do, as in GPT-2. The two "matched" arms swap
#: the sizes, to separate the kind of an encoding from its size.
POSITION_ARMS: dict[str, dict[str, Any]] = {
    "none": {"position": "none", "scale": False},
    "sinusoidal": {"position": "sinusoidal", "scale": True},
    "sinusoidal, small": {"position": "sinusoidal", "scale": False, "position_rms": 0.02},
    "learned": {"position": "learned", "scale": False},
    "learned, large": {"position": "learned", "scale": True, "position_rms": math.sqrt(0.5)},
    "rope": {"position": "rope", "scale": False},
    "alibi": {"position": "alibi", "scale": False},
    "t5": {"position": "t5", "scale": False},
}


@dataclass(frozen=True)
class Experiment:
    """An experiment: arms to compare, and the settings they share.

    Attributes:
        name: What it is called on the command line, and the name of its file of records.
        title: The question, in one line.
        common: Arguments of :class:`Run` that all arms share.
        arms: For each arm, the arguments in which it differs; ``model`` and ``measures`` are
            added to those in common.
        rates: Candidate learning rates; with one there is nothing to choose.
        seeds: Seeds of the runs that are reported.
    """

    name: str
    title: str
    common: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    rates: tuple[float, ...] = RATES
    seeds: tuple[int, ...] = field(default=SEEDS)

    def _run(self, arm: str, stage: str, seed: int, rate: float) -> Run:
        settings = dict(self.common)
        for name, value in self.arms[arm].items():
            merged = name in ("model", "measures")
            settings[name] = {**settings.get(name, {}), **value} if merged else value
        if stage == "select":
            settings["measures"] = {"test": {}}
        return Run(experiment=self.name, arm=arm, stage=stage, seed=seed, lr=rate, **settings)

    def selection_runs(self) -> list[Run]:
        """Return a run for each arm and candidate rate; none where there is one candidate."""
        if len(self.rates) == 1:
            return []
        return [
            self._run(arm, "select", SELECTION_SEED, rate)
            for arm in self.arms
            for rate in self.rates
        ]

    def chosen_rates(self, records: Iterable[Record]) -> dict[str, float]:
        """Return for each arm the candidate rate with the lowest validation loss.

        Raises:
            ValueError: If the record of a selection run is missing; names the arm and the rate.
        """
        if len(self.rates) == 1:
            return dict.fromkeys(self.arms, self.rates[0])
        found = {record.key: record for record in records}
        best: dict[str, tuple[float, float]] = {}
        for run in self.selection_runs():
            if run.key not in found:
                raise ValueError(
                    f"{self.name} has no record of its selection run {run.arm!r} at lr = "
                    f"{run.lr:g}: run the sweep again to complete it."
                )
            loss = found[run.key].scores["loss"]
            # A run that diverged has no number for a loss, and must not win.
            loss = math.inf if loss is None or math.isnan(loss) else loss
            best[run.arm] = min(best.get(run.arm, (math.inf, run.lr)), (loss, run.lr))
        return {arm: rate for arm, (_, rate) in best.items()}

    def final_runs(self, records: Iterable[Record]) -> list[Run]:
        """Return a run for each arm and seed, at the rate that the selection runs chose."""
        rates = self.chosen_rates(records)
        return [
            self._run(arm, "final", seed, rates[arm]) for arm in self.arms for seed in self.seeds
        ]


def _arms(models: Mapping[str, Mapping[str, Any]], **shared: Any) -> dict[str, dict[str, Any]]:
    """Arms that differ in the model alone, learned tables of positions looked at afterwards."""
    arms: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        arms[name] = {"model": dict(model), **shared}
        if model["position"] == "learned":
            arms[name]["measures"] = {"positions": {}}
    return arms


def _task(
    name: str, title: str, task: str, steps: int, rates: tuple[float, ...] = RATES, **options: int
) -> Experiment:
    return Experiment(
        name=name,
        title=title,
        common={
            "task": task,
            "task_options": options,
            "model": MICROSCOPE,
            "steps": steps,
            "measures": {"test": {}},
        },
        arms=_arms(POSITION_ARMS),
        rates=rates,
    )


def _with_offsets(offsets: int) -> dict[str, dict[str, Any]]:
    """The two absolute schemes again, trained at random starting positions."""
    absolute = {
        f"{name}, random offsets": POSITION_ARMS[name] for name in ("sinusoidal", "learned")
    }
    return _arms(absolute, offsets=offsets)


def _scaling_arms(kinds: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Every kind × spread of the token table × factor."""
    width = MICROSCOPE["d_model"]
    spreads = {"0.02": 0.02, "d^-1/2": width**-0.5, "1": 1.0}
    return {
        f"{kind}, {name}, {'scaled' if scale else 'not scaled'}": {
            "model": {"position": kind, "init_std": std, "scale": scale}
        }
        for kind in kinds
        for name, std in spreads.items()
        for scale in (False, True)
    }


# √64 = 8 larger from the start, and eight times the learning rate of the table alone: the two
# things that multiplying by √d_model does at once, one at a time.
_WHAT_SCALING_DOES: dict[str, dict[str, Any]] = {
    "not scaled": {"model": {"scale": False}},
    "scaled": {"model": {"scale": True}},
    "larger table": {"model": {"scale": False, "init_std": 0.16}},
    "faster table": {"model": {"scale": False}, "table_lr": 8.0},
}

_TEXT: dict[str, Any] = {
    "task": "text",
    "model": MICROSCOPE,
    "seq_len": 64,
    "measures": {"test": {}},
}

_SMALLER: dict[str, Any] = {"d_model": 32, "n_layers": 1, "n_heads": 2, "max_seq_len": 32}

# Trained at positions up to 100,000, so that the far ones are no news to the model.
_FAR_OUT: dict[str, Any] = {
    "model": {**MICROSCOPE, **POSITION_ARMS["sinusoidal"]},
    "offsets": 100_000,
    "steps": 300,
    "measures": {"test": {}, "recipes": {"offset": 100_000}},
}

_EXPERIMENTS = (
    _task("copy", "Copy 16 symbols", "copy", 200),
    _task("reverse", "Say 16 symbols backwards", "reverse", 200),
    _task("token_back", "Say the symbol 5 places back", "token_back", 200),
    _task("lookup", "Say the symbol at the position asked for", "position_lookup", 200),
    # In these two the slowest of the usual rates was the best for some arms.
    _task("sort", "Sort 16 symbols", "sort", 200, rates=(1e-3, *RATES)),
    _task("addition", "Add two numbers of 4 digits", "addition", 500, rates=(1e-3, *RATES)),
    Experiment(
        name="extrapolation",
        title="Trained on 32 positions, read on 128: the symbol 3 places back",
        common={
            "task": "token_back",
            "task_options": {"k": 3},
            "model": MICROSCOPE,
            "steps": 300,
            "measures": {
                "test": {},
                "length": {"length": 128},
                "offsets": {"offsets": [0, 1, 2, 4, 8, 16, 32, 64, 96]},
            },
        },
        arms={**_arms(POSITION_ARMS), **_with_offsets(96)},
    ),
    Experiment(
        name="text",
        title="Characters of Python's help: trained on 64 positions, read on 256",
        common={
            **_TEXT,
            "steps": 600,
            "measures": {
                "test": {},
                "length": {"length": 256},
                "offsets": {"offsets": [0, 16, 64, 128, 192]},
            },
        },
        arms={**_arms(POSITION_ARMS), **_with_offsets(192)},
    ),
    Experiment(
        name="scaling",
        title="Spread of the token table × √d_model × kind of positions: the symbol 5 places back",
        common={
            "task": "token_back",
            "model": MICROSCOPE,
            "steps": 150,
            "measures": {"test": {}},
        },
        arms=_scaling_arms(("sinusoidal", "learned")),
    ),
    Experiment(
        name="scaling_text",
        title="What √d_model does on text: a larger table, a faster table, or both",
        common={**_TEXT, "steps": 200},
        arms={
            f"{kind}, {name}": {**arm, "model": {**arm["model"], "position": kind}}
            for kind in ("sinusoidal", "learned")
            for name, arm in _WHAT_SCALING_DOES.items()
        },
    ),
    Experiment(
        name="scaling_alibi",
        title="The same with ALiBi, where there are no position vectors to balance",
        common={
            **_TEXT,
            "task_options": {"bpe": 1000},
            "model": {**MICROSCOPE, "position": "alibi"},
            "steps": 200,
        },
        arms=_WHAT_SCALING_DOES,
    ),
    Experiment(
        name="tying",
        title="One table at both ends, or two",
        common={**_TEXT, "task_options": {"bpe": 1000}, "steps": 300},
        arms={
            f"{tied}, {kind}": {
                "model": {**POSITION_ARMS[kind], "tie_weights": tied == "tied"},
            }
            for kind in ("sinusoidal", "learned")
            for tied in ("untied", "tied")
        },
    ),
    Experiment(
        name="stripes",
        title="A learned table when the target is the position modulo 7",
        common={
            "task": "position_modulo",
            "model": {**MICROSCOPE, **POSITION_ARMS["learned"]},
            "steps": 100,
            "measures": {"test": {}, "positions": {}},
        },
        arms={"learned": {}},
    ),
    Experiment(
        name="dropout",
        title="Dropout on the sum of token and position, against moving the windows",
        common={
            **_TEXT,
            "task_options": {"size": 20_000},
            "model": {**MICROSCOPE, **POSITION_ARMS["learned"], "block_dropout": 0.0},
            "windows": "aligned",
            "steps": 500,
            "measures": {"test": {}, "shift": {}},
        },
        arms={
            "0": {},
            "0.1": {"model": {"dropout": 0.1}},
            "0.3": {"model": {"dropout": 0.3}},
            "0.1 everywhere": {"model": {"dropout": 0.1, "block_dropout": 0.1}},
            "0, random offsets": {"offsets": 64},
            "0, random crops": {"windows": "random"},
            "0.1, random crops": {"windows": "random", "model": {"dropout": 0.1}},
        },
        rates=(3e-3,),
    ),
    Experiment(
        name="initialisation",
        title="A token table drawn from a normal or a uniform distribution of the same spread",
        common={**_TEXT, "model": {**MICROSCOPE, **POSITION_ARMS["learned"]}, "steps": 200},
        arms={"normal": {}, "uniform": {"table": "uniform"}},
        rates=(3e-3,),
    ),
    # Smaller than the microscope, so that a chapter trains all arms of a seed while one waits.
    Experiment(
        name="unused_rows",
        title="Rows of the bytes that a text never has: one table or two, with decay or without",
        common={
            "task": "text",
            "task_options": {"bytes": True},
            "model": {**MICROSCOPE, **POSITION_ARMS["learned"], **_SMALLER},
            "seq_len": 32,
            "batch": 8,
            "steps": 200,
            "measures": {"test": {}, "unused": {}},
        },
        arms={
            f"{tied}, {decay}": {"model": {"tie_weights": tied == "tied"}, "weight_decay": by}
            for tied in ("untied", "tied")
            for decay, by in (("no decay", 0.0), ("decay 0.1", 0.1))
        },
        rates=(1e-2,),
    ),
    Experiment(
        name="recipes",
        title="Sinusoids at position 100,000, computed as libraries do: the symbol 3 places back",
        common={"task": "token_back", "task_options": {"k": 3}, **_FAR_OUT},
        arms={"sinusoidal": {}},
        rates=(1e-2,),
    ),
    Experiment(
        name="recipes_text",
        title="The same on text",
        common={"task": "text", "seq_len": 64, **_FAR_OUT},
        arms={"sinusoidal": {}},
        rates=(1e-2,),
    ),
)

#: The book's experiments, by name.
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _EXPERIMENTS}
