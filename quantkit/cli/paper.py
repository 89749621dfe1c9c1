"""`quantkit paper` and `quantkit live`: a strategy on live prices, with nobody's money or with real orders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantkit.cli import inputs as given
from quantkit.cli import trading

if TYPE_CHECKING:
    from collections.abc import Callable

PAPER = """Run a strategy on paper: prices as they come, orders filled from them, nobody's money.

quantkit paper strategies/sma_cross.py --account first --symbols 005930,000660 --from 2025-10-01 --speed 60

Asks for a promotion to paper (`quantkit promote FILE --to paper`). Ctrl-C ends it in good order, a second one at
once; the same command goes on where the account stands, also after a kill. `quantkit halt` works from elsewhere.
"""

LIVE = """Run a strategy with the orders of its account's broker.

quantkit live strategies/sma_cross.py --account first --symbols 005930,000660

Refuses unless the account is armed (`armed = true` in quantkit.toml) and exactly this file, with these parameters,
policy, limits and symbols, is promoted to live; a first promotion allows a twentieth of the capital. Ctrl-C ends it
in good order, a second one at once; the same command goes on where the account stands. `quantkit halt` and
`quantkit panic` work from elsewhere. `--broker emulator` rehearses all of it on an emulated exchange.
"""


def _command(mode: str, words: str) -> Callable[..., None]:
    """The command of a mode: both take the same and differ in what they ask of account and promotion."""

    def run(
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
        trading.trade(
            trading.Asked(
                mode=mode, file=strategy, account=account, symbols=symbols, param=param, lake=lake, data=data,
                market=market, freq=freq, fill=fill, broker=broker, prices=prices, first=first, last=last, speed=speed,
                seed=seed, tick_seconds=tick_seconds, capital=capital, interpret=interpret, store=store,
                metrics=metrics, as_json=as_json,
            )
        )  # fmt: skip

    run.__name__, run.__doc__ = mode, words
    return run


paper = _command("paper", PAPER)
live = _command("live", LIVE)
