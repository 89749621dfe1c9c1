"""The examples in docstrings run and give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import quantkit

MODULES = [
    found.name for found in pkgutil.walk_packages(quantkit.__path__, "quantkit.") if "__main__" not in found.name
]


@pytest.mark.parametrize("name", ["quantkit", *MODULES])
def test_docstring_examples_give_what_they_say(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert failed == 0
