"""Classes for the bench that are right, for tests to spoil."""

from torch import Tensor, nn

from simplellm import sinusoidal_encoding
from simplellm.silent_bugs import LayerConvention

PLAIN = LayerConvention(scale=False)


def sinusoids(length: int, d_model: int) -> Tensor:
    return sinusoidal_encoding(range(length), d_model).float()


class Adds(nn.Module):
    """Adds the paper's rows to vectors, and refuses what is too long."""

    def __init__(self, d_model: int, max_len: int = 5000) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoids(max_len, d_model))

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        if start + x.shape[1] > len(self.pe):
            raise ValueError("too long")
        return x + self.pe[start : start + x.shape[1]]


class Factorised(nn.Module):
    """A narrow table of tokens and a map to the model's width."""

    def __init__(self, vocab_size: int, d_model: int, max_len: int) -> None:
        super().__init__()
        self.narrow = nn.Embedding(vocab_size, 5)
        self.widen = nn.Linear(5, d_model, bias=False)
        self.register_buffer("pe", sinusoids(max_len, d_model))

    def forward(self, ids: Tensor) -> Tensor:
        if ids.shape[1] > len(self.pe):
            raise ValueError("too long")
        return self.widen(self.narrow(ids)) + self.pe[: ids.shape[1]]
