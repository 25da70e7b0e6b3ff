"""The contract of LearnedPositionalEmbedding."""

from .abilities import AUTOCAST, CHUNKS, COMPILE, COPY, EXPORT, META, POSITIONS, SAVE
from .cases import VECTOR_SHAPES, VECTORS, Contract, R, V, X, called, refuse
from .refused import AT_LEAST_0, BAD_VECTORS, COUNT, FLOAT_DTYPE, each

CONTRACT = Contract(
    name="LearnedPositionalEmbedding",
    instance="learned",
    made="LearnedPositionalEmbedding(128, 64)",
    argument="x",
    sample=VECTORS,
    shapes=VECTOR_SHAPES,
    small="LearnedPositionalEmbedding(10, 6)",
    arguments=(
        *each(
            *("LearnedPositionalEmbedding", "max_seq_len=10, d_model=6"),
            max_seq_len=COUNT,
            d_model=COUNT,
            init_std=AT_LEAST_0,
            dtype=FLOAT_DTYPE,
        ),
    ),
    inputs=called(
        (
            *BAD_VECTORS,
            refuse("{0}(torch.zeros(1, 11, 6))", V, "0 + 11", "max_seq_len = 10", "PositionalEnc"),
            refuse("{0}(torch.zeros(1, 3, 6), start=8)", V, "8 + 3", "max_seq_len = 10"),
            refuse(
                "{0}(torch.zeros(1, 3, 6), positions=torch.tensor([0, 10, 2]))",
                *(X, "positions[1]", "got 10", "max_seq_len = 10"),
            ),
            refuse(
                "{0}(torch.zeros(1, 3, 6), positions=torch.tensor([0, -1, 2]))",
                *(X, "positions[1]", "got -1", "at least 0"),
            ),
        ),
        "learned",
    ),
    loading=(
        refuse(
            "LearnedPositionalEmbedding(12, 6).load_state_dict("
            "LearnedPositionalEmbedding(10, 6).state_dict())",
            *(R, "size mismatch", "[10, 6]", "[12, 6]"),
        ),
    ),
    abilities=(CHUNKS, POSITIONS, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)
