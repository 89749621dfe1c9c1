"""What the unknown order of a bar's extremes decides: marked, counted, run the other way."""

from __future__ import annotations

import numpy as np
import pytest

import quantkit as qk
from quantkit.errors import ConfigError
from tests.core.hand import hand_bars

BOTH = (10_000, 10_600, 9_400, 10_200)  # stop at 9,500 and take at 10,500 in one bar
POLICY = qk.Policy(weighting="shares", amount=10, collar=None, stop_loss=0.05, take_profit=0.05)


def result(**policy: object) -> qk.Result:
    from dataclasses import replace

    bars = hand_bars([10_000, 10_000, BOTH, 10_200])
    return qk.backtest(
        targets=np.ones((4, 1), bool), bars=bars, policy=replace(POLICY, **policy), costs=qk.Costs.free()
    )


def test_a_trade_that_met_stop_and_take_in_one_bar_is_ambiguous() -> None:
    run = result()
    assert run.trades[["exit_rule", "ambiguous"]].to_numpy().tolist() == [["stop_loss", True]]
    assert run.stats["ambiguous_trades"] == 1
    assert any("result.paths()" in sentence for sentence in run.warnings)
    quiet = result(stop_loss=0.30)
    assert quiet.stats["ambiguous_trades"] == 0
    assert not any("result.paths()" in sentence for sentence in quiet.warnings)


def test_paths_runs_the_other_orders_of_the_extremes() -> None:
    table = result().paths()
    assert table.index.tolist() == ["nearer", "pessimistic", "optimistic"]
    assert table["final_equity"].tolist() == [99_995_000.0, 99_995_000.0, 100_005_000.0]
    assert result(path="optimistic").paths().index[0] == "optimistic"


def test_a_result_made_by_hand_cannot_be_run_again() -> None:
    run = result()
    alone = qk.Result(bars=run.bars, run=run.run)
    with pytest.raises(ConfigError, match="not made by backtest"):
        alone.paths()
