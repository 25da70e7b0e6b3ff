"""The examples in the docstrings of simplellm.real_models run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from simplellm import real_models

MODULES = [module.name for module in pkgutil.iter_modules(real_models.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(f"simplellm.real_models.{name}")
    done = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.failed == 0
