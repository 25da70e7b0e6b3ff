"""Records: what one run of an experiment left, as one line of JSON that is checked when read.

A record holds every setting of its run, the versions it ran with, and what was measured, so that
a figure can be drawn, and the run repeated, from the record alone. Its key is a hash of its
settings: the same settings have the same key on every machine.

Files are JSON lines (`*.jsonl`). Keys are sorted, there are no spaces, and measured floats are
rounded to 6 significant digits, so a file is small and equal records are equal bytes. A number
that is not finite, as a diverged loss, is written as null, because JSON has no word for it, and
read as nan. Settings are never rounded: they decide the key.
"""

from __future__ import annotations

from .files import dump_records, load, read_records, shipped_records
from .record import (
    Record,
    RecordError,
    RunLike,
    make_record,
    settings_key,
    versions,
)
from .scores import (
    final_scores,
    holm,
    mean_and_interval,
    mean_and_range,
    t_probability,
    t_quantile,
)

__all__ = [
    "Record",
    "RecordError",
    "RunLike",
    "dump_records",
    "final_scores",
    "holm",
    "load",
    "make_record",
    "mean_and_interval",
    "mean_and_range",
    "read_records",
    "settings_key",
    "shipped_records",
    "t_probability",
    "t_quantile",
    "versions",
]
