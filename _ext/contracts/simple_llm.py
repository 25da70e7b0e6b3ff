"""The contract of SimpleLLM."""

import os

from .abilities import (
    CACHE,
    COMPILE,
    COPY,
    EXPORT,
    INTEGER_IDS,
    META,
    ONE_FILE,
    PADDED,
    POSITIONS,
    SAVE,
    SEGMENTS,
    SELECT,
)
from .cases import ID_SHAPES, IDS, Contract, R, T, V, X, called, refuse
from .refused import (
    AT_LEAST_0,
    BAD_IDS,
    COUNT,
    EVEN,
    FLAG,
    FLOAT_DTYPE,
    ID,
    POSITIVE,
    SHARE,
    SHARE_OR_NONE,
    each,
)

CONTRACT = Contract(
    name="SimpleLLM",
    instance="model",
    made="SimpleLLM(SimpleLLMConfig(259, 64, 1, 4, 128))",
    variants={
        how: f"SimpleLLM(SimpleLLMConfig(259, 64, 1, 4, 128, {argument}))"
        for how, argument in {
            "learned": "position='learned'",
            "rope": "position='rope'",
            "alibi": "position='alibi'",
            "t5": "position='t5'",
            "partly rotary": "position='rope', rotary_share=0.25",
            "none": "position='none'",
            "untied": "tie_weights=False",
        }.items()
    },
    argument="ids",
    sample=IDS,
    shapes=ID_SHAPES,
    small="SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16))",
    small_variants={
        "learned": "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='learned'))",
        "t5": "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='t5'))",
    },
    arguments=(
        *each(
            *("SimpleLLMConfig", "vocab_size=10, d_model=8, n_layers=1, n_heads=1, max_seq_len=16"),
            vocab_size=COUNT,
            d_model=EVEN,
            n_layers=COUNT,
            n_heads=COUNT,
            max_seq_len=COUNT,
            dropout=SHARE,
            block_dropout=SHARE_OR_NONE,
            tie_weights=FLAG,
            scale=FLAG,
            init_std=AT_LEAST_0,
            position_rms=POSITIVE,
            padding_idx=ID,
            base=POSITIVE,
            max_distance=COUNT,
            causal=FLAG,
            embedding_norm=FLAG,
        ),
        refuse("SimpleLLMConfig(3, 8, 1, 2, 16)", V, "vocab_size", "at least 4", "got 3", "EOS"),
        refuse("SimpleLLMConfig(10, 8, 1, 3, 16)", V, "n_heads", "d_model = 8", "got 3"),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='rotary')",
            *(
                V,
                "position",
                "'rotary'",
                "none, sinusoidal, learned, rope, alibi, t5, nope_every_4, two_bases",
            ),
        ),
        refuse(
            "SimpleLLMConfig(10, 6, 1, 2, 16, position='rope')",
            *(V, "d_model / n_heads", "even", "6 / 2 = 3"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='rope', position_rms=0.1)",
            *(V, "position_rms", "None", "'rope'", "0.1"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 3, 2, 16, position='nope_every_4')",
            *(V, "n_layers", "at least 4", "got 3", "no block would be without positions"),
        ),
        refuse(
            "SimpleLLMConfig(10, 16, 1, 2, 16, position='rope', rotary_share=0.3)",
            *(V, "rotary_share", "even number of the 8 columns", "0.3", "0.25, 0.5, 0.75, 1"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='t5', rotary_share=0.5)",
            *(V, "rotary_share", "left at 1", "'t5'", "0.5"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='t5', base=500.0)",
            *(V, "base", "10000", "'t5'", "500.0"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='t5', max_distance=16)",
            *(V, "max_distance", "more than n_buckets / 2 = 16", "got 16"),
        ),
        refuse(
            "SimpleLLMConfig(10, 8, 1, 2, 16, position='t5', causal=False)",
            *(V, "causal", "True", '"t5"', "False"),
        ),
        refuse("SimpleLLM(10)", T, "config", "SimpleLLMConfig", "int"),
        *each("SimpleLLM", "config=SimpleLLMConfig(10, 8, 1, 2, 16)", dtype=FLOAT_DTYPE),
    ),
    inputs=called(
        (
            *BAD_IDS,
            refuse(
                "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='learned'))"
                "(torch.zeros(1, 17).long())",
                *(V, "0 + 17", "max_seq_len = 16"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), positions=torch.arange(3))",
                *(V, "positions", "(3,)", "(2,)", "(1, 2)"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), positions=torch.zeros(2))",
                *(T, "positions", "float32", "integers"),
            ),
            refuse("{0}(torch.tensor([[3, 4]]), positions=[0, 1])", T, "positions", "list"),
            refuse(
                "{0}(torch.tensor([[3, 4]]), attention_mask=torch.ones(1, 3).bool())",
                *(V, "attention_mask", "(1, 2)", "(1, 3)", "cache"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), attention_mask=torch.ones(1, 2))",
                *(T, "attention_mask", "float32", ".bool()"),
            ),
            refuse("{0}(torch.tensor([[3, 4]]), segment_ids=[[0, 1]])", T, "segment_ids", "list"),
            refuse(
                "{0}(torch.tensor([[3, 4]]), segment_ids=torch.zeros(1, 2))",
                *(T, "segment_ids", "float32", ".long()"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), segment_ids=torch.tensor([0, 1]))",
                *(V, "segment_ids", "(1, 2)", "(2,)", "expand_as(ids)"),
            ),
            refuse(
                "{0}(torch.tensor([[3, 4]]), segment_ids=torch.tensor([[0, 1]]), "
                "cache=KeyValueCache(1))",
                *(V, "segment_ids", "None with a cache"),
            ),
        ),
        "model",
    ),
    caching=(
        refuse("model(torch.tensor([[5]]), cache=[])", T, "cache", "KeyValueCache", "list"),
        refuse(
            "model(torch.tensor([[5]]), cache=KeyValueCache(2))",
            *(V, "cache", "n_layers = 1", "got 2", "KeyValueCache(1)"),
        ),
        refuse(
            "model(torch.tensor([[5], [6]]), cache=cached(model))",
            *(V, "cache", "2, got 1", "cache.select(rows)"),
        ),
        refuse(
            "model(torch.tensor([[5]]), cache=cached(SimpleLLM(model.config)))",
            *(V, "cache", "filled by this model", "2 tokens of another"),
        ),
        refuse("KeyValueCache(0)", V, "n_layers", "at least 1", "got 0"),
        refuse("KeyValueCache(1).select([0])", V, "cache", "empty"),
        refuse("cached(model).select([0, 1])", X, "rows", "batch = 1", "got 1", "rows[1]"),
        refuse("cached(model).select([True])", T, "rows", "bool", "nonzero()"),
        refuse("cached(model).select([[0]])", V, "rows", "(new_batch,)", "(1, 1)"),
    ),
    losses=(
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.zeros(1, 2).long())",
            *(V, "targets", "PAD = 0", "(1, 2)"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.tensor([[-100, 5]]))",
            *(X, "targets[0, 0]", "got -100", "vocab_size = 8", "masked_fill"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.tensor([[5, 8]]))",
            *(X, "targets[0, 1]", "got 8", "vocab_size = 8"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 2, 8), torch.zeros(1, 2))",
            *(T, "targets", "float32", "integers"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 8, 2), torch.tensor([[5, 6]]))",
            *(V, "targets", "(1, 2)", "(1, 8, 2)", "transpose(1, 2)"),
        ),
        refuse(
            "next_token_loss(torch.zeros(1, 3, 8), torch.tensor([[5, 6]]))",
            *(V, "targets", "(1, 2)", "(1, 3, 8)", "one apart"),
        ),
        refuse("next_token_loss([[0.0]], torch.tensor([[5]]))", T, "logits", "tensor", "list"),
    ),
    generation=(
        refuse("model.generate([[3, 4]], 5)", T, "ids", "list", "tensor"),
        refuse("model.generate(torch.tensor([3, 4]), 5)", V, "ids", "(2,)", "unsqueeze(0)"),
        refuse("model.generate(torch.tensor([[3, 10]]), 5)", X, "ids[0, 1]", "vocab_size = 10"),
        refuse("model.generate(torch.zeros(1, 0).long(), 5)", V, "ids", "(1, 0)", "BOS"),
        refuse("model.generate('once', 5)", T, "ids", "str", "Encode the text"),
        refuse(
            "model.generate(torch.tensor([[3, 0]]), 5)",
            *(V, "ids[0, 1]", "PAD = 0", "attention_mask=ids != 0"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature=1.0, generator=0)",
            *(T, "generator", "torch.Generator", "int", "manual_seed"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), -1)", V, "max_new_tokens", "-1"),
        refuse("model.generate(torch.tensor([[3, 4]]), 2.5)", T, "max_new_tokens", "2.5", "int"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature=-1.0)",
            *(V, "temperature", "-1.0", "at least 0"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature='1')",
            *(T, "temperature", "'1'", "number"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, temperature=math.inf)",
            *(V, "temperature", "inf", "finite"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, top_k=0)", V, "top_k", "0", "at least 1"),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, top_k=1.5)", T, "top_k", "1.5", "int"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, eos_id=10)",
            *(V, "eos_id", "vocab_size = 10", "got 10"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, eos_id=0)",
            *(V, "eos_id", "not PAD = 0", "got 0"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, eos_id='2')", T, "eos_id", "'2'", "int"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, attention_mask=torch.ones(1, 3).bool())",
            *(V, "attention_mask", "(1, 2)", "(1, 3)"),
        ),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, attention_mask=[[1, 1]])",
            *(T, "attention_mask", "tensor", "list"),
        ),
        refuse("model.generate(torch.tensor([[3, 4]]), 5, use_cache=1)", T, "use_cache", "1"),
        refuse(
            "model.generate(torch.tensor([[3, 4]]), 5, attention_mask=torch.tensor([[1, 0]]))",
            *(V, "attention_mask", "padding on the left"),
        ),
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, position='learned'))"
            ".generate(torch.tensor([[3, 4]]), 16)",
            *(V, "2 prompt tokens", "max_new_tokens = 16", "17", "max_seq_len = 16"),
        ),
    ),
    loading=(
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16)).load_state_dict("
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, tie_weights=False)).state_dict())",
            *(R, "Unexpected key", "output.weight"),
        ),
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16, tie_weights=False)).load_state_dict("
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16)).state_dict())",
            *(R, "Missing key", "output.weight"),
        ),
        refuse("SimpleLLM.load('missing.pt')", FileNotFoundError, "missing.pt"),
        refuse("SimpleLLM.load(os.devnull)", V, os.devnull, "empty"),
        refuse("SimpleLLM.load('.')", V, "SimpleLLM.save", "folder"),
        refuse(
            "SimpleLLM(SimpleLLMConfig(10, 8, 1, 2, 16)).save('nowhere/model.pt')",
            *(FileNotFoundError, "path", "model.pt", "make it first"),
        ),
    ),
    abilities=(
        *(INTEGER_IDS, POSITIONS, CACHE, SELECT, PADDED, SEGMENTS, COMPILE, EXPORT),
        *(META, SAVE, ONE_FILE, COPY),
    ),
)
