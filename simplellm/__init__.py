"""SimpleLLM: the first layer of a transformer, small enough to read and tested like a library.

Needs torch and numpy only. What chapters draw with (`simplellm.heatmap`, `simplellm.plots`) is
imported where it is used, because it needs matplotlib as well.
"""

from .conventions import Convention
from .identify import Identification, identify
from .input_embedding import InputEmbedding
from .learned_positional_embedding import LearnedPositionalEmbedding
from .model import SimpleLLM, SimpleLLMConfig
from .padding import positions_from_mask
from .positional_encoding import PositionalEncoding
from .sinusoids import (
    frequencies,
    offset_kernel,
    shift_rotation,
    sinusoidal_encoding,
    wavelengths,
)
from .token_embedding import TokenEmbedding
from .vocabulary import Vocabulary

__version__ = "0.1.0"

__all__ = [
    "Convention",
    "Identification",
    "InputEmbedding",
    "LearnedPositionalEmbedding",
    "PositionalEncoding",
    "SimpleLLM",
    "SimpleLLMConfig",
    "TokenEmbedding",
    "Vocabulary",
    "frequencies",
    "identify",
    "offset_kernel",
    "positions_from_mask",
    "shift_rotation",
    "sinusoidal_encoding",
    "wavelengths",
]
