"""`quantkit paper`: a strategy on live prices and money that is not real."""

from __future__ import annotations

from pathlib import Path

from quantkit.cli import inputs as given
from quantkit.cli import trading


def paper(
    strategy: trading.File,
    account: trading.AccountName,
    symbols: given.Symbols = None,
    param: given.Params = None,
    lake: given.LakePath = Path("data/lake"),
    data: given.DataFile = None,
    market: given.Market = None,
    freq: given.Freq = "1d",
    fill: given.Fill = "next_open",
    broker: trading.Broker = None,
    prices: trading.PricesName = None,
    first: trading.First = None,
    last: trading.Last = None,
    speed: trading.Speed = "1",
    seed: trading.Seed = None,
    tick_seconds: trading.TickSeconds = 1.0,
    capital: trading.Capital = None,
    interpret: given.Interpret = False,
    store: trading.Store = None,
    metrics: trading.MetricsFile = None,
    as_json: trading.AsLines = False,
) -> None:
    """Run a strategy on paper: prices as they come, orders filled from them, nobody's money.

    quantkit paper strategies/sma_cross.py --account first --symbols 005930,000660 --from 2025-10-01 --speed 60

    Asks for a promotion to paper (`quantkit promote FILE --to paper`). Ctrl-C ends it in good order, a second one at
    once; the same command goes on where the account stands, also after a kill. `quantkit halt` works from elsewhere.
    """
    trading.trade(
        trading.Asked(
            mode="paper", file=strategy, account=account, symbols=symbols, param=param, lake=lake, data=data,
            market=market, freq=freq, fill=fill, broker=broker, prices=prices, first=first, last=last, speed=speed,
            seed=seed, tick_seconds=tick_seconds, capital=capital, interpret=interpret, store=store, metrics=metrics,
            as_json=as_json,
        )
    )  # fmt: skip
