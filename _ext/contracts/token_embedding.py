"""The contract of TokenEmbedding."""

from .abilities import AUTOCAST, COMPILE, COPY, EXPORT, INTEGER_IDS, META, SAVE
from .cases import ID_SHAPES, IDS, Contract, called
from .refused import AT_LEAST_0, BAD_IDS, COUNT, FLAG, FLOAT_DTYPE, ID, each

CONTRACT = Contract(
    name="TokenEmbedding",
    instance="tokens",
    made="TokenEmbedding(256, 64)",
    argument="ids",
    sample=IDS,
    shapes=ID_SHAPES,
    small="TokenEmbedding(10, 4)",
    arguments=(
        *each(
            *("TokenEmbedding", "vocab_size=10, d_model=4"),
            vocab_size=COUNT,
            d_model=COUNT,
            scale=FLAG,
            init_std=AT_LEAST_0,
            padding_idx=ID,
            dtype=FLOAT_DTYPE,
        ),
    ),
    inputs=called(BAD_IDS, "tokens"),
    abilities=(INTEGER_IDS, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)
