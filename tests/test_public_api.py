"""What can be imported from the top, and that each name explains itself."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from typing import Any

import pytest
import torch
from torch import nn

import simplellm

THE_INTERFACE = {
    "InputEmbedding",
    "LearnedPositionalEmbedding",
    "PositionalEncoding",
    "TokenEmbedding",
    "frequencies",
    "offset_kernel",
    "positions_from_mask",
    "shift_rotation",
    "sinusoidal_encoding",
    "wavelengths",
}

every_public_name = pytest.mark.parametrize("name", sorted(simplellm.__all__))


def public(name: str) -> Any:
    return getattr(simplellm, name)


def test_the_names_of_the_interface_are_importable_from_the_top() -> None:
    assert set(simplellm.__all__) >= THE_INTERFACE
    assert len(simplellm.__all__) == len(set(simplellm.__all__))
    for name in simplellm.__all__:
        assert hasattr(simplellm, name)


def test_the_version_can_be_read() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", simplellm.__version__)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("token_embedding", "TokenEmbedding"),
        ("positional_encoding", "PositionalEncoding"),
        ("learned_positional_embedding", "LearnedPositionalEmbedding"),
        ("input_embedding", "InputEmbedding"),
        ("sinusoids", "sinusoidal_encoding"),
        ("padding", "positions_from_mask"),
        ("model", "SimpleLLM"),
        ("vocabulary", "Vocabulary"),
    ],
)
def test_there_is_one_file_for_each_concept(module: str, name: str) -> None:
    assert getattr(importlib.import_module(f"simplellm.{module}"), name) is public(name)


@pytest.mark.parametrize(
    ("name", "positional", "keyword_only"),
    [
        ("TokenEmbedding", ["vocab_size", "d_model"], {"scale", "init_std", "padding_idx"}),
        ("PositionalEncoding", ["d_model", "max_seq_len"], set()),
        ("LearnedPositionalEmbedding", ["max_seq_len", "d_model"], set()),
        (
            "InputEmbedding",
            ["vocab_size", "d_model", "max_seq_len", "dropout", "use_learned_pe"],
            {"scale", "init_std", "padding_idx"},
        ),
        ("frequencies", ["d_model", "base"], set()),
        ("wavelengths", ["d_model", "base"], set()),
        ("sinusoidal_encoding", ["positions", "d_model", "base"], set()),
        ("shift_rotation", ["k", "d_model", "base"], set()),
        ("offset_kernel", ["offsets", "d_model", "base"], set()),
        ("positions_from_mask", ["mask"], set()),
    ],
)
def test_argument_names_and_their_order_are_those_of_the_interface(
    name: str, positional: list[str], keyword_only: set[str]
) -> None:
    parameters = inspect.signature(public(name)).parameters.values()
    assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == positional
    assert {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} >= keyword_only


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("TokenEmbedding", {"scale": True, "init_std": 0.02, "padding_idx": None}),
        (
            "InputEmbedding",
            {"use_learned_pe": False, "scale": True, "init_std": 0.02, "padding_idx": None},
        ),
        ("frequencies", {"base": 10_000}),
        ("wavelengths", {"base": 10_000}),
        ("sinusoidal_encoding", {"base": 10_000}),
        ("shift_rotation", {"base": 10_000}),
        ("offset_kernel", {"base": 10_000}),
    ],
)
def test_defaults_are_those_of_the_interface(name: str, defaults: dict[str, Any]) -> None:
    parameters = inspect.signature(public(name)).parameters
    assert {key: parameters[key].default for key in defaults} == defaults


@pytest.mark.parametrize(
    "name", ["PositionalEncoding", "LearnedPositionalEmbedding", "InputEmbedding"]
)
def test_start_and_positions_are_keyword_only_in_forward(name: str) -> None:
    parameters = inspect.signature(public(name).forward).parameters
    assert (
        parameters["start"].kind is parameters["positions"].kind is inspect.Parameter.KEYWORD_ONLY
    )
    assert parameters["start"].default == 0
    assert parameters["positions"].default is None


def test_every_module_can_be_reset() -> None:
    modules = [n for n in simplellm.__all__ if inspect.isclass(public(n))]
    modules = [n for n in modules if issubclass(public(n), nn.Module)]
    assert set(modules) >= {n for n in THE_INTERFACE if n[0].isupper()}
    for name in THE_INTERFACE & set(modules):
        assert callable(public(name).reset_parameters)


# -- each name explains itself --------------------------------------------------------------------


@every_public_name
def test_a_docstring_opens_with_one_sentence(name: str) -> None:
    first = inspect.getdoc(public(name)).split("\n\n")[0]
    assert first.endswith(".")
    assert "\n" not in first


@every_public_name
def test_a_docstring_names_every_argument(name: str) -> None:
    doc = inspect.getdoc(public(name))
    assert doc is not None
    for argument in inspect.signature(public(name)).parameters:
        assert re.search(rf"^ {{4}}(\w+, )*{argument}(, \w+)*:", doc, re.MULTILINE), argument


@pytest.mark.parametrize("name", sorted(THE_INTERFACE))
def test_a_docstring_gives_shapes_what_is_raised_an_example_and_the_source(name: str) -> None:
    doc = inspect.getdoc(public(name))
    assert doc is not None
    assert re.search(r"``\([^`]+\)``|[Tt]he shape of", doc)  # ``(batch, seq_len)``
    for heading in ("Raises:", "Example:", "Source:"):
        assert heading in doc


@every_public_name
def test_the_example_in_the_docstring_runs(name: str) -> None:
    names = {"torch": torch, **{n: public(n) for n in simplellm.__all__}}
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(public(name), name, globs=names)
    assert test.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(
        verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    report: list[str] = []
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", sorted(n for n in THE_INTERFACE if n[0].isupper()))
def test_forward_says_its_shapes(name: str) -> None:
    doc = inspect.getdoc(public(name).forward)
    assert doc is not None and "(batch, seq_len" in doc
