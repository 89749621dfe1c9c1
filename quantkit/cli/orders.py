"""`quantkit orders`: what would be sent in the next window, without any broker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from quantkit.live.orders import NextOrders

_NAMES = {"symbol": ("symbol", "종목코드", "code"), "quantity": ("quantity", "수량", "shares", "보유수량"),
          "price": ("average price", "average_price", "price", "평균단가", "매입단가")}  # fmt: skip


def orders(
    strategy: Annotated[str, typer.Argument(help="file.py, file.py:Class or module:Class.", show_default=False)],
    symbols: given.Symbols = None,
    start: Annotated[str | None, typer.Option(help="First session of the simulated account.")] = None,
    end: Annotated[str | None, typer.Option(help="Last session to look at; the orders are for the one after.")] = None,
    param: given.Params = None,
    cash: given.Cash = 100_000_000,
    positions: Annotated[
        str | None,
        typer.Option(
            help="A real account's shares, with --cash its money: FILE.csv (symbol, quantity and, where known, "
            'average price), or SYMBOL=SHARES,...; "none" for cash alone. Default: those of the backtest.'
        ),
    ] = None,
    lake: given.LakePath = Path("data/lake"),
    data: given.DataFile = None,
    market: given.Market = None,
    prices: given.Prices = "raw",
    freq: given.Freq = "1d",
    fill: given.Fill = "next_open",
    costs: given.CostsName = "kis",
    slippage_ticks: given.SlippageTicks = None,
    slippage_bps: given.SlippageBps = 0.0,
    deposit: given.Deposit = None,
    interpret: given.Interpret = False,
    as_json: given.AsJson = False,
) -> None:
    """Print the orders of the next window: symbol, quantity, limit, what they come to, and why.

    quantkit orders strategies/sma_cross.py --symbols 005930,000660 --start 2024-01-02

    quantkit orders strategies/sma_cross.py --symbols 005930,000660 --positions account.csv --cash 3200000

    quantkit orders strategies/sma_cross.py --symbols 005930,000660 --positions 005930=12 --cash 3200000
    """
    from quantkit import Bars
    from quantkit.live.orders import next_orders
    from quantkit.strategy import load_strategy

    given.check_dates(start, end)
    asked = given.Request(
        strategy=strategy, params=given.parse_params(param), symbols=given.parse_symbols(symbols), start=start, end=end,
        cash=cash, lake=lake, data=data, market=market, prices=prices, freq=freq, fill=fill, costs=costs,
        slippage_ticks=slippage_ticks, slippage_bps=slippage_bps,
    )  # fmt: skip
    rule = load_strategy(strategy)
    made = rule(**rule.parse(asked.params))
    bars = asked.bars(made)
    if not isinstance(bars, Bars):
        raise ConfigError("these bars are run in chunks; take fewer names (--symbols) or coarser bars (--freq)")
    found = next_orders(
        made, bars, cash=cash, start=start, end=end, costs=asked.costs_of(bars), fill=fill, deposits=deposit,
        holdings=None if positions is None else read_positions(positions), interpret=interpret,
    )  # fmt: skip
    if as_json:
        console.emit(found.to_dict())
    else:
        show(found)


def read_positions(text: str) -> dict[str, tuple[int, float | None]]:
    """Shares by symbol, with their average prices where known, from a file's name or from words."""
    if text.casefold() == "none":
        return {}
    if "=" not in text:
        return read_holdings(Path(text))
    found: dict[str, tuple[int, float | None]] = {}
    for word in filter(None, map(str.strip, text.split(","))):
        symbol, _, count = (part.strip() for part in word.partition("="))
        if not symbol or not count.isdecimal():
            raise ConfigError(f"--positions {word!r}: SYMBOL=SHARES with a whole number of shares is needed")
        if symbol in found:
            raise ConfigError(f"--positions: {symbol} stands twice")
        found[symbol] = int(count), None
    return found


def read_holdings(path: Path) -> dict[str, tuple[int, float | None]]:
    """A real account's shares from a CSV file: symbol, quantity and, where there is one, the average price."""
    import pandas as pd

    frame = given.read_frame(path)
    lower = {str(column).strip().casefold(): column for column in frame.columns}
    found = {name: next((lower[word] for word in words if word in lower), None) for name, words in _NAMES.items()}
    if found["symbol"] is None or found["quantity"] is None:
        raise BadData(
            f"{path}: the columns symbol and quantity are needed; it has {', '.join(map(str, frame.columns))}"
        )
    shares = pd.to_numeric(frame[found["quantity"]], errors="coerce")
    codes = frame[found["symbol"]].astype(str).str.strip()
    wrong = shares.isna() | (shares != shares.round()) | (shares < 0)
    if wrong.any():
        raise BadData(f"{path}: {codes[wrong].iloc[0]} has no whole number of shares")
    if codes.duplicated().any():
        raise BadData(f"{path}: {codes[codes.duplicated()].iloc[0]} stands twice")
    prices = pd.Series(float("nan"), index=frame.index)
    if found["price"] is not None:
        prices = pd.to_numeric(frame[found["price"]], errors="coerce")
    return {
        code: (int(count), float(price) if price == price and price > 0 else None)
        for code, count, price in zip(codes, shares, prices, strict=True)
    }


def show(found: NextOrders) -> None:
    """The window, its orders, what is missing and what is held."""
    digits = 0 if found.currency == "KRW" else 2
    phase = found.phase.replace("_", " ")
    console.say(f"{found.session}, {phase}: orders from {found.opens} to {found.closes} (Seoul)")
    console.say(f"after the bar of {found.last_bar}; account {found.account}: equity {found.equity:,.{digits}f}, "
                f"cash {found.cash:,.{digits}f} {found.currency}")  # fmt: skip
    if found.orders:
        rows = [
            [one.symbol, one.name, one.side, f"{one.quantity:,}",
             "market" if one.limit is None else f"{one.limit:,.{digits}f}", f"{one.reference:,.{digits}f}",
             f"{one.value:,.{digits}f}", f"{one.held:,}",
             f"{one.opens}-{one.closes}", "; ".join(filter(None, (one.reason, one.cut)))]
            for one in found.orders
        ]  # fmt: skip
        head = ("Symbol", "Name", "Side", "Shares", "Limit", "Last close", "Value", "Held", "Sent", "Why")
        console.table("to be sent", head, rows, right=3)
        if found.collar is not None:
            console.say(f"limits: {found.collar:.0%} around the last close, on the tick grid; the day's base price may "
                        "move them")  # fmt: skip
    else:
        console.say("nothing to send")
    if found.dropped:
        rows = [[one.symbol, one.name, one.side, f"{one.filled:,} of {one.quantity:,}", one.reason, one.decided]
                for one in found.dropped]  # fmt: skip
        console.table("not had", ("Symbol", "Name", "Side", "Filled", "Why", "Decided"), rows, right=9)
    if found.holdings:
        rows = [[one.symbol, one.name, f"{one.shares:,}", f"{one.close:,.{digits}f}", f"{one.value:,.{digits}f}"]
                for one in found.holdings]  # fmt: skip
        console.table("held", ("Symbol", "Name", "Shares", "Last close", "Value"), rows, right=2)
    if found.watched:
        rows = [
            [one.symbol, one.name, *("" if level is None else f"{level:,.2f}" for level in (one.below, one.above))]
            for one in found.watched
        ]
        console.table("watched while the session runs", ("Symbol", "Name", "Acts below", "Acts above"), rows, right=2)
    for note in found.notes:
        console.say(f"! {note}")
