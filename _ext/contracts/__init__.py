"""What each class promises, as cases: one list for the contract pages and for the tests.

The build runs every case and shows what came out (`book_contracts.py`); the tests run the same
cases and hold them to what is expected here. So a page cannot claim what no test has seen, and a
case that stops holding turns a test red and stops the build.
"""

from . import (
    input_embedding,
    learned_positional_embedding,
    positional_encoding,
    simple_llm,
    token_embedding,
)

CONTRACTS = {
    module.CONTRACT.name: module.CONTRACT
    for module in (
        token_embedding,
        positional_encoding,
        learned_positional_embedding,
        input_embedding,
        simple_llm,
    )
}
