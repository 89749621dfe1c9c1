"""How a result moves under the other orders of a bar's high and low.

Contract: a bar tells its extremes, not which came first; `Policy.path` assumes one order. `path_table` runs the same
backtest under each of them. The spread between the rows is what finer bars would decide; no row is a bound: a rule that
rests bids gains where the low comes first, which is where a held name's stops lose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from quantkit.core.policy import PATHS
from quantkit.errors import ConfigError
from quantkit.hooks import silently

if TYPE_CHECKING:
    import pandas as pd

    from quantkit.backtest.result import Result
    from quantkit.core.policy import Path

FIGURES = ("total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate", "ambiguous_trades", "final_equity")


def path_table(result: Result) -> pd.DataFrame:
    """`Result.paths()`: one row a path, the run's own first. ConfigError where it cannot be run again."""
    import pandas as pd

    if result.again is None or result.policy is None:
        raise ConfigError("paths: this result was not made by backtest(), so it cannot be run under another path")
    own = result.policy.path
    runs = {own: result}
    for path in cast("tuple[Path, ...]", PATHS):
        if path != own:
            with silently():  # the same try under another assumption
                runs[path] = result.again(replace(result.policy, path=path))
    rows = {path: [run.figures[name] for name in FIGURES] for path, run in runs.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=pd.Index(FIGURES)).rename_axis("path")
