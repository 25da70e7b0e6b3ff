"""Run the experiments of the book, resume what was interrupted, and sum up the records.

    python -m simplellm.sweep list                      what there is, and what is done
    python -m simplellm.sweep run [EXPERIMENT ...]      run it, or what is left of it
    python -m simplellm.sweep summary [EXPERIMENT ...]  mean ± 95 % interval over seeds

Runs are independent, so each goes to a process of its own kind: one torch thread, one run at a
time. They are handed out one by one, longest first, those that choose a learning rate before all
others, and an experiment's final runs join the queue when its last choice is made: no worker
waits for another.

A finished run is put as one file, written under another name and then renamed, into
`OUT/.parts/`; at the end these files are gathered into `OUT/EXPERIMENT.jsonl`. So the sweep may be
killed at any moment: what was finished is found again, and only what was not is run.
"""

from __future__ import annotations

from .command import main
from .interface import ExperimentLike, Failure, Outcome, SweepError, Train
from .report import listing, summary
from .runner import run_sweep

__all__ = [
    "ExperimentLike",
    "Failure",
    "Outcome",
    "SweepError",
    "Train",
    "listing",
    "main",
    "run_sweep",
    "summary",
]
