"""The contract of InputEmbedding."""

from .abilities import AUTOCAST, CHUNKS, COMPILE, COPY, EXPORT, INTEGER_IDS, META, POSITIONS, SAVE
from .cases import ID_SHAPES, IDS, Contract, T, V, called, refuse
from .refused import AT_LEAST_0, BAD_IDS, COUNT, EVEN, FLAG, FLOAT_DTYPE, ID, POSITIVE, SHARE, each

CONTRACT = Contract(
    name="InputEmbedding",
    instance="layer",
    made="InputEmbedding(256, 64, 128, 0.1)",
    variants={"learned": "InputEmbedding(256, 64, 128, 0.1, use_learned_pe=True)"},
    argument="ids",
    sample=IDS,
    shapes=ID_SHAPES,
    small="InputEmbedding(10, 8, 16, 0.1)",
    small_variants={"learned": "InputEmbedding(10, 8, 16, 0.1, use_learned_pe=True)"},
    arguments=(
        *each(
            *("InputEmbedding", "vocab_size=10, d_model=8, max_seq_len=16, dropout=0.1"),
            vocab_size=COUNT,
            d_model=EVEN,
            max_seq_len=COUNT,
            dropout=SHARE,
            use_learned_pe=FLAG,
            scale=FLAG,
            dtype=FLOAT_DTYPE,
            padding_idx=ID,
            init_std=AT_LEAST_0,
            base=POSITIVE,
            position_rms=POSITIVE,
        ),
        refuse("InputEmbedding(10, 0, 16, 0.1, True)", V, "d_model", "0", "at least 1"),
        refuse("InputEmbedding(10, 8, -1, 0.1, True)", V, "max_seq_len", "-1", "at least 1"),
        refuse(
            "InputEmbedding(10, 8, 16, 0.1, True, base=5.0)",
            *(V, "base", "5.0", "10000", "learned"),
        ),
    ),
    inputs=called(
        (
            *BAD_IDS,
            refuse("{0}(torch.tensor([[1, 2]]), start=-2)", V, "start", "-2", "at least 0"),
            refuse("{0}(torch.tensor([[1, 2]]), start=0.5)", T, "start", "0.5", "int"),
            refuse(
                "{0}(torch.tensor([[1, 2]]), positions=torch.arange(3))",
                *(V, "positions", "(3,)", "(2,)", "(1, 2)"),
            ),
            refuse(
                "{0}(torch.tensor([[1, 2]]), positions=torch.zeros(2))",
                *(T, "positions", "float32", "integers"),
            ),
        ),
        "layer",
    ),
    abilities=(INTEGER_IDS, CHUNKS, POSITIONS, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)
