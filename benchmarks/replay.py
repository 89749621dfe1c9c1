"""One-minute bars of one symbol, an SMA cross, through a live engine with its checks and a simulated broker.

    python benchmarks/replay.py [--bars N] [--peer-python PYTHON] [--json]        default: 1,000,000 bars

Sides, each in a process of its own over the same bars, which are made once from a seed:

    quantkit   `qk.replay`: reduce, gates, journal in memory, simulated broker
    nautilus   NautilusTrader's BacktestEngine with its risk engine, logs off; needs a Python that has it, named by
               `--peer-python` or QUANTKIT_PEER_PYTHON. Without one, ours alone is printed.

The same work: fast 20 over slow 60 closes buys 100 shares with a market order, below sells them; fills are counted on
both sides. Ours fills at the next open, theirs at once. `run_s` is the engine's run over all bars: theirs computes its
averages inside, ours before, so `whole_s` of ours is the whole call: averages, backtest, replay, comparison. The ratio
is of `whole_s` to their `run_s`; `cpu_s` is the processor's time for the same, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import SEED, versions

FAST, SLOW, SHARES, CASH = 20, 60, 100, 1_000_000_000
_COLUMNS = ("open", "high", "low", "close", "volume", "stamps")
PER_DAY = 380  # minutes that close from 09:01 to 15:20


def build(path: Path, bars: int) -> None:
    """Write the bars: stamps in nanoseconds, prices on a grid of 50 won."""
    from quantkit.market.calendar import sessions

    random = np.random.default_rng(SEED)
    days = sessions("2010-01-04", "2026-06-30")[: -(-bars // PER_DAY)]
    minutes = np.arange(541, 541 + PER_DAY) * 60_000_000_000
    stamps = (days.astype(np.int64)[:, None] * 86_400_000_000_000 - 9 * 3_600_000_000_000 + minutes).ravel()[:bars]
    close = np.clip(700 + np.cumsum(random.integers(-1, 2, len(stamps))), 420, 980).astype(np.float64)
    opens = np.append(700.0, close[:-1])
    high, low = np.maximum(opens, close) + 1, np.minimum(opens, close) - 1
    volume = random.integers(10_000, 1_000_000, len(stamps)).astype(np.float64)
    np.savez(path, stamps=stamps, open=50 * opens, high=50 * high, low=50 * low, close=50 * close, volume=volume)


def ours(path: Path, runs: int) -> dict[str, float]:
    """`qk.replay` over the bars."""
    import pandas as pd

    import quantkit as qk

    class Cross(qk.Strategy):
        """Hold 100 shares while the fast average stands above the slow one."""

        policy = qk.Policy(weighting="shares", amount=SHARES, collar=None)
        warmup = SLOW
        history = "all"

        def targets(self, bars: qk.Bars) -> Any:
            return qk.ta.sma(bars.close, FAST) > qk.ta.sma(bars.close, SLOW)

    data = np.load(path)
    frame = pd.DataFrame({name: data[name] for name in ("open", "high", "low", "close", "volume")})
    frame["date"] = pd.to_datetime(data["stamps"], utc=True).tz_convert("Asia/Seoul")
    frame["symbol"] = "005930"
    bars = qk.Bars.from_pandas(frame, market="KOSPI", freq="1m")
    work: dict[str, Any] = {"cash": CASH, "costs": qk.Costs.free(), "checked_before": True}
    qk.replay(Cross(), bars.slice(0, 5_000), **work)  # compiles
    found, whole, cpu = [], [], []
    for _ in range(runs):
        start, before = time.perf_counter(), time.process_time()
        found.append(qk.replay(Cross(), bars, **work))
        whole.append(time.perf_counter() - start)
        cpu.append(time.process_time() - before)
    last = found[-1]
    if not last.same or last.denied:
        raise AssertionError(repr(last))
    place = int(np.argsort(whole)[len(whole) // 2])
    return {
        "bars": len(bars), "run_s": found[place].seconds, "whole_s": whole[place], "cpu_s": cpu[place],
        "bars_per_s": len(bars) / whole[place], "fills": len(last.fills), "entries": last.entries,
    }  # fmt: skip


def nautilus(path: Path) -> dict[str, float]:
    """NautilusTrader over the same bars."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig, StrategyConfig
    from nautilus_trader.indicators import SimpleMovingAverage
    from nautilus_trader.model.currencies import KRW
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.trading.strategy import Strategy

    data, venue = np.load(path), Venue("XKRX")
    name = InstrumentId(Symbol("005930"), venue)
    equity = Equity(
        instrument_id=name, raw_symbol=Symbol("005930"), currency=KRW, price_precision=0,
        price_increment=Price.from_str("50"), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
    )  # fmt: skip
    kind = BarType.from_str("005930.XKRX-1-MINUTE-LAST-EXTERNAL")

    class Cross(Strategy):  # type: ignore[misc]
        """The same rule."""

        def __init__(self, config: StrategyConfig) -> None:
            super().__init__(config)
            self.fast, self.slow, self.held = SimpleMovingAverage(FAST), SimpleMovingAverage(SLOW), False
            self.fills = 0

        def on_start(self) -> None:
            self.register_indicator_for_bars(kind, self.fast)
            self.register_indicator_for_bars(kind, self.slow)
            self.subscribe_bars(kind)

        def on_bar(self, bar: Bar) -> None:  # noqa: ARG002 - its averages have taken the bar already
            if not self.slow.initialized:
                return
            above = self.fast.value > self.slow.value
            if above != self.held:
                self.held = above
                side = OrderSide.BUY if above else OrderSide.SELL
                self.submit_order(self.order_factory.market(name, side, Quantity.from_int(SHARES)))

        def on_order_filled(self, event: object) -> None:  # noqa: ARG002
            self.fills += 1

    rows = zip(*(data[column].astype(np.int64).tolist() for column in _COLUMNS), strict=True)
    bars = [Bar(kind, *(Price(p, 0) for p in prices), Quantity(v, 0), t, t) for *prices, v, t in rows]
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(venue=venue, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=KRW,
                     starting_balances=[Money(CASH, KRW)])  # fmt: skip
    engine.add_instrument(equity)
    engine.add_data(bars)
    strategy = Cross(StrategyConfig())
    engine.add_strategy(strategy)
    start, before = time.perf_counter(), time.process_time()
    engine.run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - before
    count, fills = len(bars), strategy.fills
    return {"bars": count, "run_s": seconds, "cpu_s": cpu, "bars_per_s": count / seconds, "fills": fills}


def main() -> None:
    """Build the bars, run the sides one after the other, print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="of ours, of which the median counts")
    parser.add_argument("--peer-python", default=os.environ.get("QUANTKIT_PEER_PYTHON"))
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument("--side", choices=("quantkit", "nautilus"), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        found = ours(chosen.data, chosen.runs) if chosen.side == "quantkit" else nautilus(chosen.data)
        packages = ("quantkit", "numpy", "numba") if chosen.side == "quantkit" else ("nautilus_trader",)
        print(json.dumps({"figures": found, "versions": versions(*packages)}))
        return
    sides = {"quantkit": sys.executable} | ({"nautilus": chosen.peer_python} if chosen.peer_python else {})
    said: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "bars.npz"
        build(data, chosen.bars)
        for side, python in sides.items():
            command = [python, __file__, "--side", side, "--data", str(data), "--runs", str(chosen.runs)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{side}: failed\n{done.stderr[-1200:]}", file=sys.stderr)
                continue
            said[side] = json.loads(done.stdout.strip().splitlines()[-1])
    if chosen.json:
        print(json.dumps(said))
        return
    print(f"SMA cross over {chosen.bars:,} one-minute bars of one symbol, bar by bar through a live engine")
    print(f"  {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for side, row in said.items():
        cells = "  ".join(f"{key} {value:,.4g}" for key, value in row["figures"].items())
        print(f"  {side:<10} {cells}  ({', '.join(f'{k} {v}' for k, v in row['versions'].items())})")
    if len(said) == 2:
        mine, theirs = (said[side]["figures"] for side in ("quantkit", "nautilus"))
        print(f"  {mine['bars_per_s'] / theirs['bars_per_s']:.1f} x NautilusTrader", end="")
        print(f", {theirs['cpu_s'] / mine['cpu_s']:.1f} x by the processor's time")
    elif not chosen.peer_python:
        print("  NautilusTrader was not run: name a Python that has it with --peer-python")


if __name__ == "__main__":
    main()
