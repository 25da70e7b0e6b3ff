"""The interface of a position scheme, with one method for each place where a model asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from ..token_embedding import TokenEmbedding

if TYPE_CHECKING:
    from ..attention import AttentionContext
    from ..config import SimpleLLMConfig
    from ..input_embedding import InputEmbedding


class TokensOnly(nn.Module):
    """Token rows, then dropout: the input of a model that is told about positions elsewhere.

    Takes the arguments of :class:`InputEmbedding`'s forward, and adds no positions.
    """

    def __init__(self, token_embedding: TokenEmbedding, dropout: float) -> None:
        super().__init__()
        self.token_embedding = token_embedding
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Draw the token table anew."""
        self.token_embedding.reset_parameters()

    def forward(self, ids: Tensor, *, start: int = 0, positions: Tensor | None = None) -> Tensor:
        """ids ``(batch, seq_len)`` to ``(batch, seq_len, d_model)``."""
        return self.dropout(self.token_embedding(ids))


def distances(query_positions: Tensor, key_positions: Tensor) -> Tensor:
    """The distance of each query to each key, ``(batch, queries, keys)``; negative for keys ahead.

    Example:
        >>> import torch
        >>> distances(torch.tensor([[5]]), torch.tensor([[3, 4, 5]]))
        tensor([[[2, 1, 0]]])
    """
    return query_positions.unsqueeze(2) - key_positions.unsqueeze(1)


class PositionScheme:
    """A position scheme: how a model is told where its tokens stand.

    A scheme is one subclass, and overrides the methods of the places where it does something; by
    itself this class does nothing anywhere. It holds no parameters: the input layer and the bias
    that it makes are parts of the model.

    - at the input: :meth:`input_embedding`;
    - on queries and keys: :meth:`rotations`, and :meth:`in_block` where blocks differ;
    - as a bias on the scores: :meth:`bias_module` and :meth:`bias`;
    - past the end of a table: :meth:`max_positions`;
    - with a cache: keys are cached as they were rotated, and :meth:`bias` is given the positions of
      cached keys as of new ones, so a scheme has nothing to do there.

    Args:
        config: Of the model. A scheme may be made while the configuration is being checked.

    Attributes:
        settings: Names of the settings that this scheme reads, of those that not every scheme has:
            ``"base"``, ``"position_rms"``, ``"rotary_share"``, ``"max_distance"``. Others must
            keep their defaults.
    """

    settings: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: SimpleLLMConfig) -> None:
        self.config = config

    def check(self) -> None:
        """Check what this scheme asks of the configuration.

        Raises:
            ValueError: Names the setting.
        """

    def input_embedding(self, **factory: Any) -> InputEmbedding | TokensOnly:
        """The input layer: token rows, with positions added in an absolute scheme.

        Args:
            factory: ``device`` and ``dtype``.
        """
        config = self.config
        table = TokenEmbedding(
            config.vocab_size,
            config.d_model,
            scale=config.scale,
            init_std=config.init_std,
            padding_idx=config.padding_idx,
            **factory,
        )
        return TokensOnly(table, config.dropout)

    def rotations(self, positions: Tensor) -> Tensor | None:
        """The rotations of queries and keys, ``(batch, 1, tokens, pairs)``, complex; None for none.

        Args:
            positions: ``(batch, tokens)``, integer.
        """
        return None

    def in_block(
        self, layer: int, context: AttentionContext, positions: Tensor
    ) -> AttentionContext:
        """The context of one block: by itself that of all the others.

        Args:
            layer: The block's number, from 0.
            context: With this scheme's rotations and bias.
            positions: Of the queries, ``(batch, queries)``, integer.
        """
        return context

    def bias_module(self, **factory: Any) -> nn.Module | None:
        """The trained part of the attention bias, one for all blocks; None for none."""
        return None

    def bias(
        self, query_positions: Tensor, key_positions: Tensor, module: nn.Module | None
    ) -> Tensor | None:
        """The attention bias, ``(batch, n_heads, queries, keys)``; None for none.

        Args:
            query_positions: ``(batch, queries)``, integer.
            key_positions: ``(batch, keys)``, integer, of cached keys before new ones.
            module: What :meth:`bias_module` gave.
        """
        return None

    def max_positions(self, input_embedding: nn.Module) -> int | None:
        """The number of positions that there are; None where they have no end.

        Args:
            input_embedding: What :meth:`input_embedding` gave.
        """
        return None
