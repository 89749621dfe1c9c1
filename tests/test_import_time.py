"""What must not be loaded until it is used. No clock: the modules that are there decide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "deltalake", "duckdb", "exchange_calendars", "matplotlib", "numba", "pandas", "polars", "pyarrow", "rich", "scipy",
    "vectorbt",
}  # fmt: skip


def loaded_by(code: str, folder: Path | None = None) -> set[str]:
    """Top-level modules loaded after running `code` in a new process."""
    report = (
        "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_quantkit_loads_nothing_heavy() -> None:
    assert not loaded_by("import quantkit") & (HEAVY | {"numpy", "typer", "pydantic"})


@pytest.mark.parametrize("module", ["quantkit.data.bars", "quantkit.data.lake", "quantkit.strategy", "quantkit.market"])
def test_what_strategies_are_written_against_loads_numpy_at_most(module: str) -> None:
    assert not loaded_by(f"import {module}") & HEAVY


def test_asking_for_help_loads_no_numbers() -> None:
    for arguments in (["--help"], ["backtest", "--help"], ["--version"]):
        found = loaded_by(f"from quantkit.cli.app import run\nassert run({arguments}) == 0")
        assert not found & (HEAVY - {"rich"} | {"numpy"})


def test_a_backtest_on_a_cached_answer_loads_no_store_and_no_plots(demo_folder: Path, sma_cross: str) -> None:
    arguments = ["backtest", sma_cross, "--symbols", "AAPL", "--cash", "100000"]
    code = f"from quantkit.cli.app import run\nassert run({arguments}) == 0"
    loaded_by(code, demo_folder)  # fills the column cache
    unwanted = {"duckdb", "deltalake", "pyarrow", "pandas", "matplotlib", "exchange_calendars", "vectorbt"}
    assert not loaded_by(code, demo_folder) & unwanted


def test_a_kernel_loads_scipy_only_where_it_needs_a_blas() -> None:
    pytest.importorskip("scipy")
    code = """
import sys
import numba, numpy as np
import quantkit.jit

assert numba.njit(lambda x: x + 1)(1) == 2
assert "scipy.linalg" not in sys.modules
assert numba.njit(lambda a: np.dot(a, a))(np.arange(3.0)) == 5.0
assert "scipy.linalg" in sys.modules
"""
    loaded_by(code)
