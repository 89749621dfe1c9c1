"""What `quantkit paper` and `quantkit live` have in common: from a command line to a run, everything checked before it.

    Asked    the command line, as plain data
    plan     settings, strategy, promotion, prices, history, where everything lies -> Plan
    trade    runs a plan until it is over; the exit code

Contract: what is wrong is said before anything is started: ConfigError for settings and options, Refused NOT_PROMOTED,
BadData for prices. A plan writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError, Refused

if TYPE_CHECKING:
    from quantkit.cli.brokers import Way
    from quantkit.cli.prices import Prices
    from quantkit.data.bars import Bars
    from quantkit.host import Deployment
    from quantkit.live.promote import Pins, PromotionStore, Standing
    from quantkit.settings import Account, Settings
    from quantkit.strategy import Strategy

File = Annotated[str, typer.Argument(help="file.py or file.py:Class.", show_default=False)]
AccountName = Annotated[str, typer.Option("--account", help="Account of quantkit.toml.", show_default=False)]
Broker = Annotated[
    str | None,
    typer.Option("--broker", help="paper, emulator or kis. Default: what the account says.", show_default=False),
]
PricesName = Annotated[
    str | None,
    typer.Option("--prices", help="emulator or kis. Default: the account's feed, or the broker's.", show_default=False),
]
First = Annotated[
    str | None, typer.Option("--from", help="First session to replay. Default: the last of the lake. Not with KIS.")
]  # fmt: skip
Last = Annotated[
    str | None,
    typer.Option("--to", help="Last session to replay. Default: the last of the lake. With KIS: when the run ends."),
]
Speed = Annotated[str, typer.Option(help="Times real time, or max: as fast as it can be computed. Not with KIS.")]
Seed = Annotated[int | None, typer.Option(help="Of the path inside each bar, and of prices the lake lacks.")]
TickSeconds = Annotated[float, typer.Option(help="Seconds between two trades of a name that is replayed.")]
Capital = Annotated[float | None, typer.Option(help="Money the strategy may use. Default: the account's cash.")]
Store = Annotated[
    Path | None, typer.Option("--store", help="File of promotions. Default: promotions.sqlite beside the lake.")
]
MetricsFile = Annotated[
    Path | None, typer.Option("--metrics", help="Write counters and gauges here, as Prometheus reads them.")
]
AsLines = Annotated[bool, typer.Option("--json", help="Print one JSON line an event.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says. mode: "paper" or "live"."""

    mode: str
    file: str
    account: str
    broker: str | None = None
    prices: str | None = None
    symbols: str | None = None
    param: Sequence[str] | None = None
    lake: Path = Path("data/lake")
    data: Path | None = None
    market: str | None = None
    freq: str = "1d"
    fill: str = "next_open"
    first: str | None = None
    last: str | None = None
    speed: str = "1"
    seed: int | None = None
    tick_seconds: float = 1.0
    capital: float | None = None
    interpret: bool = False
    store: Path | None = None
    metrics: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run, ready to begin. start: UTC nanoseconds; whole, capital: money it may use when promoted in full, and as it
    stands; resumed: whether the account has been run before."""

    asked: Asked
    told: Settings
    strategy: Strategy
    prices: Prices
    way: Way
    standing: Standing
    pins: Pins
    start: int
    whole: float
    capital: float
    resumed: bool

    @property
    def account(self) -> Account:
        """The settings of the account."""
        return self.told.account(self.asked.account)

    def deployment(self, bars: Bars) -> Deployment:
        """The strategy with a history, under the account's costs and limits."""
        from quantkit.backtest.run import default_costs
        from quantkit.cli.brokers import account_costs
        from quantkit.host import Deployment

        ticks = default_costs(bars.intraday).slippage_ticks
        return Deployment(
            name=self.strategy.name, strategy=self.strategy, bars=bars, capital=self.capital,
            costs=replace(account_costs(self.told, self.asked.account), slippage_ticks=ticks),
            limits=self.account.risk_limits, interpret=self.asked.interpret,
        )  # fmt: skip

    def allowed(self) -> float:
        """What the strategy may use by now: a promotion may have come while it ran."""
        from quantkit.live.promote import standing_of

        standing = standing_of(self.pins, store_of(self.asked))
        return self.capital if standing.promotion is None else self.whole * _part(self.asked, standing)

    @property
    def folder(self) -> Path:
        """Where the account's files lie."""
        return Path(self.told.journals)

    def beside(self, ending: str) -> Path:
        """A file of the account."""
        return self.folder / f"{self.asked.account}.{ending}"


def plan(asked: Asked) -> Plan:
    """Everything a run needs, or what is wrong."""
    from quantkit import settings
    from quantkit.cli.brokers import way_of
    from quantkit.cli.prices import Wanted, prices_of
    from quantkit.live.promote import pins_of
    from quantkit.strategy import load_strategy

    told = settings.load()
    account = told.account(asked.account)
    _sendable(asked, account)
    rule = load_strategy(asked.file)
    strategy = rule(**rule.parse(given.parse_params(asked.param)))
    broker = asked.broker or _usual(asked, told)
    way = way_of(broker)
    _fits(asked, told, way, broker)
    symbols = given.parse_symbols(asked.symbols)
    pins = pins_of(strategy, limits=account.risk_limits, symbols=symbols, fill=asked.fill, freq=asked.freq)
    _promoted(asked, pins, strategy, symbols, account)
    prices = prices_of(
        asked.prices or account.feed or way.prices,
        Wanted(
            strategy=strategy, file=asked.file, symbols=symbols, lake=asked.lake, data=asked.data, market=asked.market,
            freq=asked.freq, first=asked.first, last=asked.last, speed=asked.speed, seed=asked.seed,
            tick_seconds=asked.tick_seconds, account=asked.account,
            real=asked.mode == "live" if broker == "kis" else None,
        ),
    )  # fmt: skip
    after = max(way.last(told, asked.account), journal_time(told, asked.account))
    start = prices.start(after)
    standing = _promoted(asked, pins, strategy, symbols, account, bars=prices.history(start))
    whole = account.cash if asked.capital is None else asked.capital
    if not 0 < whole <= account.cash:
        raise ConfigError(f"--capital {whole:,.0f}: above 0 and at most the account's cash, {account.cash:,.0f}")
    return Plan(
        asked=asked, told=told, strategy=strategy, prices=prices, way=way, standing=standing, pins=pins, start=start,
        whole=whole, capital=whole * _part(asked, standing), resumed=after > 0,
    )  # fmt: skip


def _part(asked: Asked, standing: Standing) -> float:
    """How much of its money a strategy may use."""
    return standing.promotion.capital if standing.promotion is not None and asked.mode == "live" else 1.0


def _sendable(asked: Asked, account: Account) -> None:
    """What the command itself asks of settings and options."""
    if asked.mode == "live" and not account.armed:
        raise ConfigError(
            f"account {asked.account} is not armed: `quantkit live` sends nothing to it. Write `armed = true` under "
            f"[accounts.{asked.account}] of quantkit.toml when its orders are meant"
        )
    if asked.fill == "close":
        raise ConfigError("--fill close: the close a rule decides on is over when it decides; use next_open")
    if asked.fill != "next_open":
        raise ConfigError(f"--fill {asked.fill}: live orders go into the next window (next_open)")
    if asked.freq != "1d" and asked.freq[-1:] in ("t", "M", "W"):
        raise ConfigError(f"--freq {asked.freq}: 1d, or a length within the day such as 5m")


def _usual(asked: Asked, told: Settings) -> str:
    """The broker that nobody named: paper never takes one that moves money."""
    from quantkit.cli.brokers import WAYS

    named = told.account(asked.account).broker
    known = WAYS.get(named)
    moves = known is None or known.trades_money(told, asked.account)
    return "paper" if asked.mode == "paper" and moves else named


def _fits(asked: Asked, told: Settings, way: Way, name: str) -> None:
    """Paper with no money, live with more than paper."""
    if asked.mode == "paper" and way.trades_money(told, asked.account):
        raise ConfigError(
            f"--broker {name} trades money with these keys: `quantkit live` does; paper takes paper, emulator, or kis "
            "with keys of 모의투자"
        )
    if asked.mode == "live" and name == "paper":
        raise ConfigError(
            f"account {asked.account}: its broker is paper (`quantkit paper`); --broker emulator rehearses live"
        )


def _promoted(
    asked: Asked, pins: Pins, strategy: Strategy, symbols: tuple[str, ...] | None, account: Account,
    bars: Bars | None = None,
) -> Standing:  # fmt: skip
    """The standing of exactly this strategy; Refused with the command that would promote it."""
    from quantkit.live.promote import require_promotion

    try:
        return require_promotion(
            strategy, asked.mode, store=store_of(asked), limits=account.risk_limits, symbols=symbols, fill=asked.fill,
            freq=asked.freq, bars=bars,
        )  # fmt: skip
    except Refused as refused:
        from quantkit.live.promote import standing_of

        why = str(refused).partition(": ")[2].partition("; run `")[0]
        state = standing_of(pins, store_of(asked)).state
        to = "live" if asked.mode == "live" and state == "paper" else "paper"
        raise Refused(refused.code, f"{why}. Run:  {promote_line(asked, to)}") from None


def store_of(asked: Asked) -> PromotionStore:
    """Where promotions are kept."""
    from quantkit.live.promote import PromotionStore, beside

    return PromotionStore(asked.store or beside(asked.lake))


def promote_line(asked: Asked, to: str) -> str:
    """The command that would promote what was asked for."""
    words = ["quantkit promote", asked.file, "--to", to, "--account", asked.account]
    words += [] if asked.symbols is None else ["--symbols", asked.symbols]
    for text in asked.param or ():
        words += ["--param", text]
    if asked.freq != "1d":
        words += ["--freq", asked.freq]
    for option, value, usual in (("--lake", asked.lake, Path("data/lake")), ("--data", asked.data, None),
                                 ("--store", asked.store, None)):  # fmt: skip
        if value != usual:
            words += [option, str(value)]
    return " ".join(words)


def journal_time(told: Settings, name: str) -> int:
    """When the last entry of an account's journal was written, UTC nanoseconds; 0 where there is none."""
    from quantkit.live.journal import read_journal

    try:
        journal = read_journal(told.journal_of(name), name)
    except ConfigError:
        return 0  # none yet
    try:
        seq, _ = journal.head()
        return 0 if not seq else int(journal.rows(seq - 1, 1)[0][2])
    finally:
        journal.close()


def trade(asked: Asked) -> None:
    """Plan and run; the command's exit code."""
    from quantkit.cli.running import run

    made = plan(asked)
    for alarm in made.standing.alarms:
        console.note(f"! {alarm}")
    code = run(made)
    if code:
        raise typer.Exit(code)
