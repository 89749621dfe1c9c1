"""What the tests against other engines share."""

from __future__ import annotations

import warnings
from typing import Any

import pytest


@pytest.fixture(scope="session")
def vbt() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("vectorbt", reason="the extra [oracles] brings vectorbt")


@pytest.fixture(scope="session")
def backtesting() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("backtesting", reason="the extra [oracles] brings backtesting.py")
