"""Give any class the face that promises expect: find its sizes, build it, call it."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .variants import Call, Maker, Subject

Build = Callable[[int, int, int, float], nn.Module]

#: What other people call it. The first name that a constructor has is taken.
ARGUMENTS = {
    "vocab_size": ("vocab_size", "num_embeddings", "n_vocab", "vocab", "ntoken", "num_tokens",
        "num_embed"),
    "d_model": (
        "d_model", "embedding_dim", "embed_dim", "hidden_size", "n_embd", "emb_size", "dim",
        "size", "channels", "num_hiddens", "input_dim", "input_size", "width", "model_dim",
        "embedding_size", "encoding_dim", "out_channels",
    ),
    "max_seq_len": (
        "max_seq_len", "max_len", "maxlen", "max_position_embeddings", "block_size",
        "context_length", "n_positions", "max_length", "seq_len",
        "num_positions", "max_seq_length", "max_sequence_length", "seq_length", "length",
        "max_tokens",
    ),
    "dropout": ("dropout", "dropout_prob", "hidden_dropout_prob", "drop_rate", "dropout_rate",
        "dropout_p", "p"),
}  # fmt: skip
SIZES = ("vocab_size", "d_model", "max_seq_len")
STARTS = ("start", "offset", "start_pos", "past_length", "past_key_values_length")
POSITIONS = ("positions", "position_ids")
CONFIGS = ("config", "cfg", "args", "opt", "hparams", "params", "model_args")

HOW_TO_BUILD = "build=lambda vocab_size, d_model, max_seq_len, dropout: "


@dataclass(frozen=True)
class Adapted:
    """A class made ready for the bench.

    Attributes:
        make: Makes layers of it.
        unset: The constructor's arguments that are left at their defaults, and the defaults.
        knows_width: Whether the width reaches the constructor.
        by_build: Whether ``build=`` makes them, and nobody knows what it passes on.
    """

    make: Maker
    unset: dict[str, Any]
    knows_width: bool
    by_build: bool


class Vectors(nn.Module):
    """A token table, and behind it a module that takes vectors."""

    def __init__(self, vocab_size: int, d_model: int, behind: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.behind = behind


def adapt(
    layer_class: Callable[..., nn.Module],
    batch_first: bool,
    build: Build | None,
    call: Call | None,
    arguments: dict[str, Any],
) -> Adapted:
    """Find out how a class is built and called.

    Raises:
        ValueError, TypeError: If it cannot be built; says which arguments are in the way.
    """
    if build:
        if arguments:
            raise TypeError(
                f"{', '.join(arguments)}: with build= nothing else reaches the constructor. "
                "Write it into build."
            )
        names: dict[str, str] = {}
        unset: dict[str, Any] = {}
    else:
        _check_sizes(arguments)
        parameters = inspect.signature(layer_class).parameters
        # A class that asks which axis comes first is told what the bench was told.
        if "batch_first" in parameters:
            arguments = {**arguments, "batch_first": batch_first}
        names = _argument_names(layer_class, arguments)
        known = {*names.values(), *arguments}
        unset = {
            name: parameter.default
            for name, parameter in parameters.items()
            if name not in known and parameter.default is not inspect.Parameter.empty
        }

    def inner(*sizes: Any) -> nn.Module:
        if build:
            return build(*sizes)
        given = dict(zip((*SIZES, "dropout"), sizes, strict=True))
        return _construct(layer_class, {**arguments, **{own: given[n] for n, own in names.items()}})

    # No usual number of tokens, positions or columns, so that a table shows by its shape.
    trial = _try(layer_class, inner, (97, 16, 64, 0.0), bool(build))
    ids_wanted = _wants_ids(trial, 97, call, batch_first) if build else "vocab_size" in names
    forward = inspect.signature(trial.forward).parameters
    start_name = next((name for name in STARTS if name in forward), None)
    positions_name = next((name for name in POSITIONS if name in forward), None)

    def construct(vocab_size: int, d_model: int, max_seq_len: int, dropout: float) -> nn.Module:
        module = inner(vocab_size, d_model, max_seq_len, dropout)
        return module if ids_wanted else Vectors(vocab_size, d_model, module)

    def own_call(module: nn.Module, x: Tensor, start: int) -> Tensor:
        if start_name:
            return module(x, **{start_name: start})
        if positions_name and start:
            length = x.shape[1 if batch_first else 0]
            places = torch.arange(start, start + length, device=x.device)
            return module(x, **{positions_name: places})
        return module(x)

    def call_with_ids(module: nn.Module, ids: Tensor, start: int) -> Tensor:
        inner = module
        x = ids.clone() if batch_first else ids.T.clone()  # a module may write into what it gets
        if isinstance(module, Vectors):
            x = module.embedding(x)
            inner = module.behind
        out = (call or own_call)(inner, x, start)
        whole = isinstance(out, Tensor) and out.dim() == 3
        return out if batch_first or not whole else out.transpose(0, 1)

    make = Maker(
        construct,
        call=call_with_ids,
        takes_start=bool(call or start_name or positions_name),
        takes_dropout=bool(build or "dropout" in names),
        takes_length=bool(build or "max_seq_len" in names),
    )
    return Adapted(make, unset, bool(build or "d_model" in names), bool(build))


def watched(layer: Subject, ids: Tensor, start: int = 0) -> tuple[list[Any], bool]:
    """What the module inside is called with, and whether it changes that in place."""
    module = layer.inner.behind if isinstance(layer.inner, Vectors) else layer.inner
    seen: list[tuple[Any, Any]] = []

    def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        values = (*args, *kwargs.values())
        seen.extend((v, v.clone() if isinstance(v, Tensor) else v) for v in values)

    handle = module.register_forward_pre_hook(look, with_kwargs=True)
    try:
        with torch.no_grad():
            layer(ids, start=start)
    finally:
        handle.remove()
    return [before for _, before in seen], not all(same(after, before) for after, before in seen)


def same(one: Any, other: Any) -> bool:
    """Whether two arguments are equal, tensors or not."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _check_sizes(arguments: dict[str, Any]) -> None:
    """Refuse what cannot be a size, under any name that is known for one."""
    for name, value in arguments.items():
        if not any(name in ARGUMENTS[kind] for kind in SIZES):
            continue
        if isinstance(value, (bool, float, complex, str, bytes)):
            raise TypeError(
                f"{name} = {value!r} is no size: it must be a whole number. Leave it out."
            )
        try:
            positive = operator.index(value) >= 1
        except TypeError:  # None, or a tuple: the class may have a use for it
            continue
        if not positive:
            raise ValueError(f"{name} = {value} is no size: it must be at least 1. Leave it out.")


def _argument_names(layer_class: Callable[..., Any], given: dict[str, Any]) -> dict[str, str]:
    """For each size, the name that this constructor has for it."""
    parameters = inspect.signature(layer_class).parameters
    called = getattr(layer_class, "__name__", str(layer_class))
    names = {}
    for size, candidates in ARGUMENTS.items():
        found = next((name for name in candidates if name in parameters), None)
        if found and found not in given:
            names[size] = found
        elif found and size in ("vocab_size", "d_model"):
            raise ValueError(
                f"{found} = {given[found]!r}: the bench builds {called} in several sizes and sets "
                f"{found} itself. Leave it out."
            )
    missing = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        and parameter.name not in names.values()
        and parameter.name not in given
    ]
    if missing:
        several = len(missing) > 1
        way_out = f"{HOW_TO_BUILD}{called}({', '.join(f'{name}=…' for name in missing)})"
        if any(name in CONFIGS for name in missing):
            advice = f"A config holds sizes, and the bench needs several: {way_out}"
        else:
            advice = (
                f"Pass {'them' if several else 'it'} to bench by name, or say how to build one: "
                f"{way_out}"
            )
        listed = " and ".join(filter(None, [", ".join(map(repr, missing[:-1])), repr(missing[-1])]))
        raise TypeError(
            f"{called} needs the argument{'s' if several else ''} {listed}, "
            f"{'none of which is a name' if several else 'which is not one of the names'} known "
            f"for a size. {advice}"
        )
    return names


def _construct(layer_class: Callable[..., Any], values: dict[str, Any]) -> Any:
    """Call a constructor; what it takes by position alone is given by position."""
    by_position = []
    for name, parameter in inspect.signature(layer_class).parameters.items():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            by_position.append(values.get(name, parameter.default))
            values = {key: value for key, value in values.items() if key != name}
    return layer_class(*by_position, **values)


def _try(
    layer_class: Callable[..., Any],
    inner: Callable[..., nn.Module],
    sizes: tuple[int, int, int, float],
    by_build: bool,
) -> nn.Module:
    """Build one, or say in words why it cannot be built."""
    called = "build" if by_build else getattr(layer_class, "__name__", str(layer_class))
    way_out = (
        f"It must take vocab_size, d_model, max_seq_len, dropout = {sizes}."
        if by_build
        else f"Pass other arguments by name, or say how to build one: {HOW_TO_BUILD}{called}(…)"
    )
    try:
        module = inner(*sizes)
    except Exception as error:  # somebody else's constructor may do anything
        kind = TypeError if isinstance(error, TypeError) else ValueError
        said = f"{type(error).__name__}: {error}".rstrip(".")
        raise kind(f"{called} raises {said}. {way_out}") from error
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"{called} returns a {type(module).__name__}, not a module. Wrap it in an nn.Module "
            "whose forward adds it to its input."
        )
    return module


def _wants_ids(module: nn.Module, vocab_size: int, call: Call | None, batch_first: bool) -> bool:
    """Whether a module is a whole layer: it holds something for each id, or answers to ids."""
    tensors = (*module.parameters(), *module.buffers())
    if any(vocab_size in tensor.shape for tensor in tensors):
        return True
    answers = []
    try:
        with torch.no_grad():
            for word in (3, 5):
                ids = torch.full((2, 7), word)
                x = ids if batch_first else ids.T
                answers.append(call(module, x, 0) if call else module(x))
        shape = (2, 7, 16) if batch_first else (7, 2, 16)
        return answers[0].shape == shape and not torch.equal(*answers)
    except Exception:  # it wants something else
        return False
