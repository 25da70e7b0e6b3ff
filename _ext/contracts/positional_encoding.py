"""The contract of PositionalEncoding."""

from .abilities import AUTOCAST, CHUNKS, COMPILE, COPY, EXPORT, META, PAST, POSITIONS, SAVE
from .cases import VECTOR_SHAPES, VECTORS, Contract, R, called, refuse
from .refused import BAD_VECTORS, CONVENTION, COUNT, EVEN, FLOAT_DTYPE, POSITIVE, each

CONTRACT = Contract(
    name="PositionalEncoding",
    instance="positions",
    made="PositionalEncoding(64, 128)",
    argument="x",
    sample=VECTORS,
    shapes=VECTOR_SHAPES,
    small="PositionalEncoding(6, 10)",
    arguments=(
        *each(
            *("PositionalEncoding", "d_model=6, max_seq_len=10"),
            d_model=EVEN,
            max_seq_len=COUNT,
            base=POSITIVE,
            amplitude=POSITIVE,
            convention=CONVENTION,
            dtype=FLOAT_DTYPE,
        ),
    ),
    inputs=called(BAD_VECTORS, "positions"),
    loading=(
        refuse(
            "PositionalEncoding(8, 16).load_state_dict("
            "PositionalEncoding(8, 16, base=500.0).state_dict())",
            *(R, "pe", "other numbers", "base = 10000", "base = 500", "strict=False"),
        ),
        refuse(
            "PositionalEncoding(8, 16).load_state_dict("
            "PositionalEncoding(8, 16, amplitude=0.02).state_dict())",
            *(R, "pe", "other numbers", "amplitude = 1", "strict=False"),
        ),
        refuse(
            "PositionalEncoding(8, 16).load_state_dict({'pe': torch.zeros(16, 8)})",
            *(R, "pe", "(16, 8)", "d_model = 8", "unsqueeze(0)"),
        ),
        refuse(
            "PositionalEncoding(8, 16).load_state_dict("
            "{'pe': torch.ones(1, 16, 8, dtype=torch.int64)})",
            *(R, "pe", "int64", "fractions"),
        ),
        refuse("PositionalEncoding(8, 16).load_state_dict({})", R, "Missing key", "pe"),
    ),
    abilities=(CHUNKS, POSITIONS, PAST, COMPILE, EXPORT, AUTOCAST, META, SAVE, COPY),
)
