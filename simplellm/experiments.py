"""The runs of the book's sweep: which questions, which arms, which seeds.

Every experiment compares arms that differ in one thing and share the rest. Each arm is given the
learning rate that does best *for it*: a first round trains every arm once at each candidate rate
and keeps the one with the lowest loss on validation data; a second round trains it at that rate
with several seeds, on which initialisation and data depend, and scores it on test data that the
first round has not seen.

Candidates on the ladder (`LADDER`) go on for as long as an arm's choice is at an end of them, and
of rates whose losses differ by less than `EQUAL` the smallest is taken. The experiments whose
candidates are `RATES` are older: those have three rates and no more.

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

#: All rates that there are to go on to, a bit more than a factor of two apart.
LADDER = (2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1)
#: Candidates on the ladder to begin with: for trainings of some hundred steps, and of thousands.
SHORT, LONG = LADDER[7:10], LADDER[6:9]
#: Losses, in nats, that differ by less count as equal when a rate is chosen.
EQUAL = 0.01

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
        rates: Candidate learning rates; with one there is nothing to choose, nor for an arm that
            has an ``lr`` of its own.
        ladder: Whether there are more candidates, those of `LADDER`, where an arm needs them.
        seeds: Seeds of the runs that are reported.
    """

    name: str
    title: str
    common: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    rates: tuple[float, ...] = RATES
    seeds: tuple[int, ...] = field(default=SEEDS)
    ladder: bool = False

    def _run(self, arm: str, stage: str, seed: int, rate: float) -> Run:
        settings = {"lr": rate, **self.common}
        for name, value in self.arms[arm].items():
            merged = name in ("model", "measures")
            settings[name] = {**settings.get(name, {}), **value} if merged else value
        if stage == "select":
            settings["measures"] = {"test": {}}
        return Run(experiment=self.name, arm=arm, stage=stage, seed=seed, **settings)

    @property
    def _choosing(self) -> list[str]:
        """The arms whose rate is to be chosen."""
        if len(self.rates) == 1:
            return []
        return [arm for arm, settings in self.arms.items() if "lr" not in settings]

    def selection_runs(self, records: Iterable[Record] = ()) -> list[Run]:
        """Return a run for each arm and candidate rate; none where there is one candidate.

        Args:
            records: Of the selection runs that have finished. Where those of an arm say that the
                choice is at an end of its candidates, the next rate of the ladder is one more.
        """
        found = {record.key: record for record in records}
        runs = []
        for arm in self._choosing:
            rates = list(self.rates)
            while True:
                tried = [self._run(arm, "select", SELECTION_SEED, rate) for rate in rates]
                if not self.ladder or any(run.key not in found for run in tried):
                    break
                losses = {run.lr: _loss(found[run.key]) for run in tried}
                lowest, highest = LADDER.index(rates[0]), LADDER.index(rates[-1])
                choice = _choice(losses)
                if choice == rates[0] and lowest > 0:
                    rates.insert(0, LADDER[lowest - 1])
                elif choice == rates[-1] and highest + 1 < len(LADDER):
                    rates.append(LADDER[highest + 1])
                else:
                    break
            runs += tried
        return runs

    def chosen_rates(self, records: Iterable[Record]) -> dict[str, float]:
        """Return for each arm the candidate rate with the lowest validation loss.

        Raises:
            ValueError: If the record of a selection run is missing; names the arm and the rate.
        """
        found = {record.key: record for record in records}
        losses: dict[str, dict[float, float]] = {}
        for run in self.selection_runs(found.values()):
            if run.key not in found:
                raise ValueError(
                    f"{self.name} has no record of its selection run {run.arm!r} at lr = "
                    f"{run.lr:g}: run the sweep again to complete it."
                )
            losses.setdefault(run.arm, {})[run.lr] = _loss(found[run.key])
        equal = EQUAL if self.ladder else 0.0
        chosen = {arm: _choice(losses[arm], equal) for arm in losses}
        return {
            arm: chosen.get(arm, settings.get("lr", self.rates[0]))
            for arm, settings in self.arms.items()
        }

    def final_runs(self, records: Iterable[Record]) -> list[Run]:
        """Return a run for each arm and seed, at the rate that the selection runs chose."""
        rates = self.chosen_rates(records)
        return [
            self._run(arm, "final", seed, rates[arm]) for arm in self.arms for seed in self.seeds
        ]


def _loss(record: Record) -> float:
    """A selection run's loss; of one that diverged, which must not win, it is infinite."""
    loss = record.scores["loss"]
    return math.inf if loss is None or math.isnan(loss) else float(loss)


def _choice(losses: Mapping[float, float], equal: float = EQUAL) -> float:
    """The smallest of the rates whose losses are equal to the lowest."""
    lowest = min(losses.values())
    return min(rate for rate, loss in losses.items() if loss - lowest <= equal or loss == lowest)


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

# -- the second round: longer, larger, and each suspect by itself ----------------------------------

#: The symbol 3 places back: trained on 32 positions, read on 128.
_THREE_BACK: dict[str, Any] = {
    "task": "token_back",
    "task_options": {"k": 3},
    "model": MICROSCOPE,
    "steps": 300,
    "measures": {"test": {}, "length": {"length": 128}},
}

# 28 windows a step, so that 6,000 steps read the long text less than twice.
_LONG_TEXT: dict[str, Any] = {
    **_TEXT,
    "task_options": {"corpus": "django"},
    "batch": 28,
}


def _of_lengths() -> Iterable[Experiment]:
    """Looking places up, at several lengths of training."""
    for steps in (200, 600):
        yield Experiment(
            name=f"lookup_{steps}",
            title=f"The symbol at the position asked for, {steps} steps",
            common={
                "task": "position_lookup",
                "model": MICROSCOPE,
                "steps": steps,
                "measures": {"test": {}},
            },
            arms={
                name: {"model": POSITION_ARMS[name]}
                for name in ("none", "sinusoidal", "learned", "rope", "alibi", "t5")
            },
            rates=SHORT,
            ladder=True,
        )


def _of_heads() -> Iterable[Experiment]:
    """ALiBi on the task, by number of heads and length of training."""
    for steps in (300, 1200):
        yield Experiment(
            name=f"alibi_{steps}",
            title=f"ALiBi with 4, 8 and 16 heads, {steps} steps: the symbol 3 places back",
            common={
                **_THREE_BACK,
                "model": {**MICROSCOPE, **POSITION_ARMS["alibi"]},
                "steps": steps,
            },
            arms={f"{heads} heads": {"model": {"n_heads": heads}} for heads in (4, 8, 16)},
            rates=SHORT if steps < 1000 else LONG,
            ladder=True,
        )


def _with_model(arm: Mapping[str, Any], **model: Any) -> dict[str, Any]:
    """An arm with more settings of its model."""
    return {**arm, "model": {**arm.get("model", {}), **model}}


_SIZES = {"small": 0.02, "large": math.sqrt(0.5)}
_FACTORS: dict[str, dict[str, Any]] = {
    "factor": {"model": {"scale": True}},
    "no factor": {"model": {"scale": False}},
    "no factor, faster table": {"model": {"scale": False}, "table_lr": 8.0},
}


_SECOND_ROUND = (
    *_of_lengths(),
    *_of_heads(),
    Experiment(
        name="buckets",
        title="T5's buckets ending at 24, 48 and 128: the symbol 3 places back",
        common={**_THREE_BACK, "model": {**MICROSCOPE, **POSITION_ARMS["t5"]}},
        arms={f"to {far}": {"model": {"max_distance": far}} for far in (24, 48, 128)},
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="buckets_text",
        title="The same on text, read on four times the trained length",
        common={
            **_TEXT,
            "model": {**MICROSCOPE, **POSITION_ARMS["t5"]},
            "steps": 600,
            "measures": {"test": {}, "length": {"length": 256}},
        },
        arms={f"to {far}": {"model": {"max_distance": far}} for far in (24, 48, 96, 128)},
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="rope_rates",
        title="RoPE past the trained length at every rate, 20 seeds: the symbol 3 places back",
        common={**_THREE_BACK, "model": {**MICROSCOPE, **POSITION_ARMS["rope"]}},
        arms={f"{rate:g}": {"lr": rate} for rate in RATES},
        seeds=tuple(range(20)),
    ),
    Experiment(
        name="size_text",
        title="Size of the positions × √d_model × rate of the token table, on text",
        common={**_TEXT, "steps": 600},
        arms={
            f"{kind}, {size}, {factor}": _with_model(arm, position=kind, position_rms=rms)
            for kind in ("sinusoidal", "learned")
            for size, rms in _SIZES.items()
            for factor, arm in _FACTORS.items()
        },
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="balance",
        title="Start × rate of the token table with sinusoids, 600 steps of a long text",
        common={
            **_LONG_TEXT,
            "model": {**MICROSCOPE, "position": "sinusoidal", "scale": False},
            "steps": 600,
        },
        arms={
            f"{start}, {rate}": {"model": {"init_std": std}, "table_lr": times}
            for start, std in (("small", 0.02), ("8 times larger", 0.16))
            for rate, times in (("usual rate", 1.0), ("8 times faster", 8.0))
        },
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="tying_start",
        title="One table at both ends or two, by spread of the table and gain of the last norm",
        common={**_TEXT, "task_options": {"bpe": 1000}, "steps": 300},
        arms={
            f"{tied}, {kind}, std {spread}, gain {gain}": {
                "model": {**POSITION_ARMS[kind], "tie_weights": tied == "tied", "init_std": std},
                "last_gain": value,
            }
            for kind in ("sinusoidal", "learned")
            for tied in ("untied", "tied")
            for spread, std in (("0.02", 0.02), ("d^-1/2", 0.125))
            for gain, value in (("1", 1.0), ("d^-1/2", 0.125))
            if tied == "tied" or gain == "1"
        },
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="masked",
        title="Hidden characters filled in by a model that sees both sides",
        common={
            **_LONG_TEXT,
            "task_options": {"corpus": "django", "masked": True},
            "model": {**MICROSCOPE, "causal": False},
            "steps": 1000,
        },
        arms={
            name: {"model": POSITION_ARMS[name]}
            for name in ("none", "sinusoidal", "learned", "rope", "alibi")
        },
        rates=LONG,
        ladder=True,
    ),
    Experiment(
        name="rotary_kinds",
        title="RoPE as models have it now, in 4 blocks: trained on 64 positions, read on 256",
        common={
            **_LONG_TEXT,
            "model": {**MICROSCOPE, "n_layers": 4, "scale": False},
            "steps": 600,
            "measures": {"test": {}, "length": {"length": 256}},
        },
        arms={
            "all blocks, all columns": {"model": {"position": "rope"}},
            "no positions in the fourth block": {"model": {"position": "nope_every_4"}},
            "a quarter of the columns": {"model": {"position": "rope", "rotary_share": 0.25}},
            "two bases": {"model": {"position": "two_bases"}},
            "no positions": {"model": {"position": "none"}},
        },
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="stretched",
        title="RoPE stretched to four times the trained length, without further training and with",
        common={
            **_LONG_TEXT,
            "model": {**MICROSCOPE, **POSITION_ARMS["rope"]},
            "steps": 600,
            "measures": {"test": {}, "length": {"length": 256}},
        },
        arms={
            f"{by}, {further} further steps": {
                "stretch": {"by": by, "factor": 4, "steps": further},
            }
            for by in ("none", "interpolation", "ntk", "yarn")
            for further in (0, 60)
        },
        rates=(1e-2,),
    ),
    Experiment(
        name="first_row",
        title="Windows from elsewhere, with the first token at 0 all the same: 3 places back",
        common={
            **_THREE_BACK,
            "measures": {
                "test": {},
                "offsets": {"offsets": [1, 2, 4, 8, 16], "keep_first": True},
            },
        },
        arms=_arms({kind: POSITION_ARMS[kind] for kind in ("sinusoidal", "learned")}),
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="first_row_text",
        title="The same on text",
        common={
            **_TEXT,
            "steps": 600,
            "measures": {
                "test": {},
                "offsets": {"offsets": [1, 2, 4, 8, 16, 64], "keep_first": True},
            },
        },
        arms=_arms({kind: POSITION_ARMS[kind] for kind in ("sinusoidal", "learned")}),
        rates=SHORT,
        ladder=True,
    ),
    Experiment(
        name="dropout_crops",
        title="Dropout on the sum with fixed windows and with crops, each at its best step",
        common={
            **_TEXT,
            "task_options": {"size": 20_000},
            "model": {**MICROSCOPE, **POSITION_ARMS["learned"], "block_dropout": 0.0},
            "steps": 500,
            "keep_best": 25,
            "measures": {"test": {}, "shift": {}},
        },
        arms={
            f"{dropout}, {windows}": {"model": model, "windows": windows}
            for dropout, model in (
                ("0", {}),
                ("0.1", {"dropout": 0.1}),
                ("0.3", {"dropout": 0.3}),
                ("0.1 everywhere", {"dropout": 0.1, "block_dropout": 0.1}),
            )
            for windows in ("aligned", "random")
        },
        rates=LONG,
        ladder=True,
    ),
)

#: The book's experiments, by name.
EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment for experiment in (*_EXPERIMENTS, *_SECOND_ROUND)
}
