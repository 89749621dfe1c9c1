"""The public names are a list, and nothing is public by accident."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import quantkit

CONTRACT = {
    "BadData", "Bars", "Bug", "CheckReport", "ConfigError", "Context", "Costs", "Lake", "OutcomeUnknown", "Policy",
    "QuantkitError", "Refused", "Result", "RetryLater", "RiskLimits", "Strategy", "backtest", "check", "from_signals",
    "holdout", "load_strategy", "replay",
    "param", "runs", "ta", "walk_forward",
    "sweep",
}  # fmt: skip


def test_the_public_names_are_exactly_these() -> None:
    assert set(quantkit.__all__) == CONTRACT
    assert list(quantkit.__all__) == sorted(quantkit.__all__)


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_every_public_name_loads_and_says_what_it_is(name: str) -> None:
    value = getattr(quantkit, name)
    assert (inspect.getdoc(value) or "").strip()
    assert name in dir(quantkit)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Barz'"):
        quantkit.Barz  # noqa: B018  # the look-up is the test


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from quantkit import *", names)
    assert set(names) - {"__builtins__"} == CONTRACT


@pytest.mark.parametrize(
    "first", ["import quantkit.backtest.metrics", "from quantkit.backtest.run import backtest", "import quantkit"]
)
def test_backtest_can_be_called_whatever_was_imported_first(first: str) -> None:
    lines = (
        first,
        "import quantkit as qk, quantkit.backtest.metrics as metrics, inspect",
        "assert callable(qk.backtest) and metrics.sharpe",
        "assert list(inspect.signature(qk.backtest).parameters)[:2] == ['strategy', 'bars']",
        "try: qk.backtest(None, None)",
        "except qk.ConfigError as error: print(error)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "give Bars" in done.stdout


def test_the_version_is_a_release_number() -> None:
    assert [part.isdigit() for part in quantkit.__version__.split(".")] == [True, True, True]
