"""Small random markets for property tests, biased so that limits, halts, gaps, stops and actions really happen.

Contract: `cases()` draws a `Case`: bars on the tick grid with KRX-like days, targets, and all settings of a run. The
content comes from byte strings in which zero is "nothing special", so that shrinking leads to quiet bars. Prices stay
inside the day's limits (as `market.krx` rounds them) unless the name is in liquidation trading.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from quantkit.core.policy import Policy, RiskLimits
from quantkit.data.actions import ACTION_DTYPE, KIND_ID, KINDS
from quantkit.data.bars import FIRST_DAY, LIQUIDATION, LISTED, MEMBER, TRADED, VALID, Bars, midnights
from quantkit.data.dates import NO_DAY, epoch_day
from quantkit.market import krx
from quantkit.market.costs import Costs
from tests.core.reference_decide import next_session
from tests.core.reference_orders import Command
from tests.core.reference_state import Event, Panel, grid_ceil, grid_floor, limit_prices
from tests.core.scripts import scripts

SYMBOLS = ("005930", "000660", "035720", "0009K0", "068270", "247540")
FIRST_PRICES = (9_950.0, 49_500.0, 19_900.0, 187_000.0, 1_990.0, 980.0)
STARTS = ("2024-03-26", "2015-06-05", "2019-05-24", "2022-12-22", "2024-12-20", "2010-09-28", "2003-07-15")
SHORT_STARTS = (
    "2025-03-24",
    "2015-06-05",
    "2020-03-05",
    "2019-05-24",
    "2010-09-28",
    "2003-07-15",
)  # not banned for long
HOUR_US = 3_600_000_000
ACTIONS: tuple[tuple[str, float, float, float], ...] = (  # kind, price factor, share ratio, cash per share
    ("dividend", 1.0, 1.0, 361.0),
    ("split", 5.0, 5.0, 0.0),
    ("reduction", 0.1, 0.1, 0.0),
    ("bonus", 1.07, 1.07, 0.0),
    ("unknown", 1.3, np.nan, 0.0),
    ("rights", 1.05, 1.0, 0.0),
    ("stock_dividend", 1.1, 1.1, 0.0),  # listed later where it has a pay day
    ("spinoff", 1.6, 0.7, 0.0),
    ("reduction", 1.25, 0.5, 250.0),
    ("merger", 1.2, 1.2, 100.0),
)


@dataclass(frozen=True)
class Case:
    """One run: the panel and everything `backtest` is given."""

    bars: Bars
    targets: np.ndarray
    policy: Policy = field(default_factory=Policy)
    costs: Costs = field(default_factory=Costs.free)
    limits: RiskLimits = field(default_factory=RiskLimits)
    fill: str = "next_open"
    cash: int = 10_000_000
    deposits: dict[int, int] = field(default_factory=dict)  # bar -> minor units
    rank: np.ndarray | None = None
    script: list[list[Command]] | None = None  # own orders, bar by bar
    max_orders: int = 64

    def but(self, **changes: Any) -> Case:
        return replace(self, **changes)

    def rows(self, stop: int) -> Case:
        """The first `stop` bars only."""
        return self.but(
            bars=self.bars.slice(0, stop),
            targets=self.targets[:stop],
            rank=None if self.rank is None else self.rank[:stop],
            deposits={t: paid for t, paid in self.deposits.items() if t < stop},
            script=None if self.script is None else self.script[:stop],
        )

    @classmethod
    def example(cls) -> Case:
        """Two names over six quiet days, bought on the first and sold on the fourth."""
        bytes_ = np.full((6, 2, 5), 3, np.uint8)
        bytes_[..., 0] = 0
        bars = make_bars("2024-03-26", bytes_, listed=[(0, 5)] * 2, markets=["KOSPI", "KOSDAQ"], actions=[])
        return cls(bars, np.repeat([[True], [True], [True], [False], [False], [False]], 2, axis=1))


def signed(byte: int) -> int:
    """0, 1, -1, 2, -2, ... for 0, 1, 2, 3, 4, ..."""
    return (byte + 1) // 2 * (1 if byte % 2 else -1)


class Walk:
    """One name's prices, bar by bar, inside the limits and on the grid."""

    def __init__(self, days: list[int], market: str, price: float) -> None:
        self.days, self.market, self.price = days, market, price
        self.bounds = (0.0, float("inf"))

    def session(self, t: int, factor: float, free: bool) -> float:
        """Open a session: the base price, and the limits from it."""
        base = grid_ceil(self.price / factor, self.days[t], self.market)
        self.bounds = (0.0, float("inf")) if free else limit_prices(base, self.days[t], self.market, 1.0)
        self.price = base
        return base

    def near(self, t: int, price: float) -> float:
        low, high = self.bounds
        return max(grid_floor(min(max(price, low, 20.0), high), self.days[t], self.market), low)

    def bar(self, t: int, kind: int, gap: int, move: int, reach: int) -> tuple[float, float, float, float]:
        low, high = self.bounds
        last = self.price
        if kind == 1 and high < float("inf"):  # locked at the upper limit, all day
            prices = (high,) * 4
        elif kind == 2 and low > 0:
            prices = (low,) * 4
        else:
            wide = 0.004 if kind == 3 else 0.0008
            o = self.near(t, last * (1 + signed(gap) * wide))
            c = self.near(t, o * (1 + signed(move) * 0.0008))
            top = self.near(t, max(o, c) * (1 + reach % 16 * 0.003))
            bottom = self.near(t, min(o, c) * (1 - reach // 16 * 0.003))
            prices = (o, max(top, o, c), min(bottom, o, c), c)
            if kind == 4 and prices[1] > prices[2] + 2:  # a mid-price print, off the grid
                c = prices[2] + 1.0
                prices = (min(max(o, prices[2]), prices[1]), prices[1], prices[2], c)
        self.price = prices[3]
        return prices


def bar_kind(byte: int) -> int:
    """1 limit up, 2 limit down, 3 gap, 4 off the grid, 5 halted, 6 missing, 7 no member, 8 liquidation, 9 not valid."""
    for kind, start in enumerate((246, 240, 220, 214, 208, 202, 194, 192, 188), start=1):
        if byte >= start:
            return kind
    return 0


def make_bars(
    start: str,
    bytes_: np.ndarray,
    *,
    listed: list[tuple[int, int]],
    markets: list[str],
    actions: list[tuple[int, ...]],
    per_day: int = 1,
    freq: str = "1h",
    to_close: bool = False,
    begins: int = 0,
    unit: int = 1,
    base: bool = False,
    prices: str = "raw",
    transfer: int | None = None,
) -> Bars:
    """`bytes_` (T, N, 5) uint8: kind, gap, move, reach, volume. `listed` gives first and last row of each name.

    per_day: bars a session, of `freq`; to_close: its last one ends with the closing auction; begins: half bars by which
    the first one is later than the one with the opening auction (below 0: one before the open).
    """
    rows, names = bytes_.shape[:2]
    days = [next_session(epoch_day(start) - 1)]
    for t in range(1, rows):
        days.append(days[-1] if t % per_day else next_session(days[-1]))
    events = [(t - t % per_day, s, *rest) for t, s, *rest in actions if listed[s][0] < t - t % per_day <= listed[s][1]]
    fields = {name: np.full((rows, names), np.nan) for name in ("open", "high", "low", "close", "volume", "base")}
    flags = np.zeros((rows, names), np.uint8)
    changes = []
    for s in range(names):
        walk = Walk(days, markets[s], FIRST_PRICES[s])
        for t in range(listed[s][0], listed[s][1] + 1):
            if transfer is not None and s == 0 and t == transfer - transfer % per_day:
                changes = [(int(np.datetime64("1990-01-01").astype(int)), SYMBOLS[0], markets[0]),
                           (days[t], SYMBOLS[0], "KOSPI")]  # fmt: skip
                walk.market = "KOSPI"
            kind = bar_kind(int(bytes_[t, s, 0]))
            liquidation = bar_kind(int(bytes_[t - t % per_day, s, 0])) == 8  # all day, or not at all
            if t % per_day == 0 or t == listed[s][0]:
                factor = float(np.prod([ACTIONS[e[2]][1] for e in events if e[:2] == (t, s)]))
                day_base = walk.session(t, factor, free=liquidation or prices == "adjusted")
            fields["base"][t, s] = day_base
            quiet = kind in (5, 6)
            bar = (walk.price,) * 4 if quiet else walk.bar(t, kind, *(int(b) for b in bytes_[t, s, 1:4]))
            for name, price in zip(("open", "high", "low", "close"), bar, strict=True):
                fields[name][t, s] = price
            fields["volume"][t, s] = 0.0 if quiet else 1000.0 + float(bytes_[t, s, 4]) * 37
            flags[t, s] = LISTED | (0 if quiet else TRADED) | (0 if kind in (6, 9) else VALID)
            flags[t, s] |= (0 if kind == 7 else MEMBER) | (LIQUIDATION if liquidation else 0)
            flags[t, s] |= FIRST_DAY if 0 < listed[s][0] <= t and days[t] == days[listed[s][0]] else 0
    if not base:
        del fields["base"]
    table = np.array(
        [
            (
                SYMBOLS[s],
                days[t],
                KIND_ID[ACTIONS[k][0]],
                *ACTIONS[k][1:],
                days[t] + wait if wait else NO_DAY,
                ACTIONS[k][0] == "stock_dividend",
            )
            for t, s, k, wait in events
        ],
        dtype=ACTION_DTYPE,
    )
    times = midnights(days) if per_day == 1 else midnights(days) + stamps(days, per_day, freq, to_close, begins)
    return Bars(
        times=times, symbols=SYMBOLS[:names], fields=fields, flags=flags, actions=table,
        markets=["KOSPI" if changes and s == 0 else market for s, market in enumerate(markets)],
        market_changes=changes, prices=prices, freq="1d" if per_day == 1 else freq, minor_unit=unit,  # type: ignore[arg-type]
    )  # fmt: skip


def stamps(days: list[int], per_day: int, freq: str, to_close: bool, begins: int = 0) -> np.ndarray:
    """Microseconds after midnight: bars that follow each other from the open, the last at the session's close."""
    step = HOUR_US if freq == "1h" else HOUR_US // 6
    result = []
    for t, day in enumerate(days):
        hours = krx.session(np.datetime64(day, "D").astype(object))
        assert hours is not None
        start, end = (clock.hour * HOUR_US + clock.minute * HOUR_US // 60 for clock in hours)
        last = t % per_day == per_day - 1
        result.append(end if last and to_close else start + (t % per_day + 1) * step + begins * step // 2)
    return np.array(result, np.int64)


def panel_of(bars: Bars) -> Panel:
    """The reference's plain lists."""
    days, symbols = bars.days.tolist(), bars.symbols
    market = [list(bars.markets) for _ in days]
    for s, symbol in enumerate(symbols):
        for day, name, to in bars.market_changes:
            if name == symbol:
                for t, today in enumerate(days):
                    market[t][s] = to if today >= day else market[t][s]
    events = []
    for action in bars.actions:
        row = int(np.searchsorted(bars.days, action["ex_day"]))
        if action["ex_day"] >= days[0] and row < len(days) and str(action["symbol"]) in symbols:
            pay = int(action["pay_day"])
            events.append(
                Event(row, symbols.index(str(action["symbol"])), float(action["price_factor"]),
                      float(action["share_ratio"]), float(action["cash_per_share"]), None if pay == NO_DAY else pay,
                      KINDS[action["kind"]], bool(action["receivable"]))
            )  # fmt: skip
    raw = {name: bars.field(name).tolist() for name in ("open", "high", "low", "close", "volume")}
    worth = bars.field("value").tolist() if bars.has("value") else (bars.field("close") * bars.field("volume")).tolist()
    return Panel(
        days, symbols, raw["open"], raw["high"], raw["low"], raw["close"], bars.flags.tolist(), worth, market, events,
        bars.field("base").tolist() if bars.has("base") else None, bars.leverage.tolist(), bars.minor_unit,
        bars.prices == "raw", raw["volume"], average_prices(bars), *auctions(bars),
        {"1h": 252.0 * 7, "10m": 252.0 * 39}.get(bars.freq, 252.0),
    )  # fmt: skip


def average_prices(bars: Bars) -> list[list[float]]:
    """Money over shares where the data has money, else the mean of the bar's four prices; inside the bar."""
    o, h, low, c, volume = (bars.field(name) for name in ("open", "high", "low", "close", "volume"))
    mean = (o + h + low + c) / 4
    if bars.has("value"):
        with np.errstate(divide="ignore", invalid="ignore"):
            paid = bars.field("value") / volume
        mean = np.where(np.isfinite(paid) & (paid > 0), paid, mean)
    return np.minimum(np.maximum(mean, low), h).tolist()  # type: ignore[no-any-return]


def auctions(bars: Bars) -> tuple[list[bool], list[bool], list[bool]]:
    """Which bars hold the opening auction, the closing one, and nothing but the closing one, by the session's hours."""
    opening, closing, alone = [], [], []
    step = {"1h": 3600, "10m": 600, "1m": 60}.get(bars.freq, 0)
    seconds = (bars.times // 1_000_000 + 9 * 3600) % 86_400
    begun = -1  # the last day that has opened
    for t, day in enumerate(bars.days.tolist()):
        hours = krx.session(np.datetime64(day, "D").astype(object))
        assert hours is not None
        start, end = (clock.hour * 3600 + clock.minute * 60 for clock in hours)
        stamp = int(seconds[t])
        opening.append(step == 0 or (begun != day and start <= stamp <= start + step))
        begun = day if stamp >= start else begun
        closing.append(step == 0 or end <= stamp <= end + max(step, 60))
        alone.append(0 < step <= 600 and closing[-1])
    return opening, closing, alone


def make_targets(bytes_: np.ndarray, kind: str) -> np.ndarray:
    """(T, N) bool or float64 from (T, N) uint8: the last value goes on until a byte says otherwise."""
    weights = (0.5, 0.25, 0.0, 1.0, 0.1, 0.75, 1 / 3, 0.0)
    rows, names = bytes_.shape
    values = np.zeros((rows, names))
    for s in range(names):
        now = 1.0 if kind != "weights" else 0.5
        for t in range(rows):
            byte = int(bytes_[t, s])
            if byte >= 176:
                now = float(now == 0.0) if kind != "weights" else weights[byte % 8]
            values[t, s] = np.nan if kind != "bool" and 160 <= byte < 176 else now
    return values.astype(np.bool_) if kind == "bool" else values


RATES = st.sampled_from((None, None, 0.03, 0.08, 0.15))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    weighting = draw(st.sampled_from(("equal", "weight", "equal_held", "cash", "shares", "buying_power")))
    amount = {"cash": 3_000_000.0, "shares": 40.0, "buying_power": 0.4}.get(weighting, 0.0)
    rebalance = draw(st.sampled_from(("change", "change", 1, 3, 7, "week", "month")))
    return Policy(
        weighting=weighting,
        amount=amount,
        gross=draw(st.sampled_from((1.0, 0.9, 1.5))),
        max_names=draw(st.sampled_from((None, None, 1, 2, 3))),
        rebalance=rebalance,
        trade_on="change" if rebalance == "change" else draw(st.sampled_from(("change", "rebalance"))),
        stop_loss=draw(RATES),
        take_profit=draw(RATES),
        trailing_stop=draw(RATES),
        funding=draw(st.sampled_from(("proceeds", "cash"))),
        collar=draw(st.sampled_from((0.10, 0.05, None, 0.02))),
        cash_buffer=draw(st.sampled_from((0.0, 0.02))),
        retry=draw(st.sampled_from((True, True, False))),
        shortfall=draw(st.sampled_from(("scale", "scale", "sequence", "reject"))),
        rounding=draw(st.sampled_from(("goal", "order"))),
        slippage_on=draw(st.sampled_from(("both", "entry"))),
        path=draw(st.sampled_from(("nearer", "nearer", "pessimistic", "optimistic"))),
        limit_fill=draw(st.sampled_from(("through", "touch"))),
        participation=draw(st.sampled_from((None, None, None, 0.001, 0.01))),
    )


COSTS = st.builds(
    Costs,
    commission=st.sampled_from((0.0, 0.00015, {"default": 0.000140527, "ETF": 0.000146527}, 0.002)),
    minimum=st.sampled_from((0, 0, 1_000)),
    truncate_to=st.sampled_from((1, 10)),
    tax=st.sampled_from((None, None, 0.0, 0.003)),
    slippage_ticks=st.sampled_from((0.0, 0.0, 1.0, 2.5)),
    slippage_bps=st.sampled_from((0.0, 0.0, 7.0)),
    fixed=st.sampled_from((0.0, 0.0, 250.0)),
    per=st.sampled_from(("fill", "order_day")),
    impact=st.sampled_from((0.0, 0.0, 0.0, 0.02)),
    interest=st.sampled_from((0.0, 0.0, 0.03)),
    dividend_tax=st.sampled_from((None, 0.0, 0.22)),
)


@st.composite
def risk_limits(draw: st.DrawFn) -> RiskLimits:
    """None at all, or up to three of them."""
    values: dict[str, tuple[float, ...]] = {
        "max_order_value": (2_000_000.0,), "max_weight": (0.2, 0.4), "max_names": (1, 2), "max_exposure": (0.5, 0.8),
        "max_daily_loss": (0.01, 0.03), "max_drawdown": (0.02, 0.08), "min_cash": (1_000_000.0,),
        "max_order_shares": (30,),
    }  # fmt: skip
    names = draw(st.lists(st.sampled_from(sorted(values)), max_size=3, unique=True))
    return RiskLimits(**{name: draw(st.sampled_from(values[name])) for name in names})  # type: ignore[arg-type]


def byte_grid(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8).reshape(shape)


@st.composite
def cases(
    draw: st.DrawFn, max_bars: int = 40, max_names: int = 6, calm: bool = False, starts: tuple[str, ...] = STARTS,
    markets_of: tuple[str, ...] = (),
) -> Case:  # fmt: skip
    """A whole run. `calm`: no actions, deposits, risk limits or delistings (for laws that need a simple account).
    markets_of: those that names are in; ELWs where they are asked for, as they have no actions."""
    rows, names = draw(st.integers(3, max_bars)), draw(st.integers(1, max_names))
    listed = [(0, rows - 1)] * names
    actions: list[tuple[int, ...]] = []
    transfer, deposits = None, {}
    if not calm:
        for s in range(names):
            first = draw(st.sampled_from((0, 0, 0, rows // 3)))
            listed[s] = (first, draw(st.sampled_from((rows - 1, rows - 1, rows - 1, max(first, rows - 1 - rows // 4)))))
        one = st.tuples(
            st.integers(1, rows - 1),
            st.integers(0, names - 1),
            st.integers(0, len(ACTIONS) - 1),
            st.sampled_from((0, 3, 20)),
        )
        actions = [tuple(a) for a in draw(st.lists(one, max_size=3, unique_by=lambda a: (a[0], a[1])))]
        transfer = draw(st.sampled_from((None, None, None, rows // 2)))
        deposits = draw(st.dictionaries(st.integers(0, rows - 1), st.sampled_from((500_000, 3_000_000)), max_size=2))
    per_day = draw(st.sampled_from((1, 1, 1, 3, 4, 6)))
    deposits = {t - t % per_day: amount for t, amount in deposits.items()}  # a deposit comes on a session's first bar
    choice = markets_of or ("KOSPI", "KOSDAQ", "ETF", "KOSPI")
    markets = [draw(st.sampled_from(choice)) for _ in range(names)]
    if transfer is not None and markets[0] in ("KOSPI", "ELW"):
        markets[0] = "KOSDAQ"
    bars = make_bars(
        draw(st.sampled_from(starts)), byte_grid(draw, (rows, names, 5)),
        listed=listed, markets=markets, actions=actions,
        per_day=per_day,
        begins=draw(st.sampled_from((0, 0, 0, 2, -3))) if per_day < 6 else 0,
        freq=draw(st.sampled_from(("1h", "10m"))), to_close=draw(st.booleans()),
        unit=draw(st.sampled_from((1, 1, 1, 100))), base=draw(st.booleans()),
        prices=draw(st.sampled_from(("raw", "raw", "raw", "adjusted"))), transfer=transfer,
    )  # fmt: skip
    targets = make_targets(byte_grid(draw, (rows, names)), draw(st.sampled_from(("bool", "bool", "ones", "weights"))))
    rank = draw(st.sampled_from((None, "rank")))
    policy = draw(policies())
    if policy.collar is None and "ELW" in markets:  # nobody takes their market orders
        policy = replace(policy, collar=0.10)
    return Case(
        bars, targets, policy, draw(COSTS), RiskLimits() if calm else draw(risk_limits()),
        draw(st.sampled_from(("next_open", "next_open", "next_close", "close", "next_bar_vwap"))),
        draw(st.sampled_from((10_000_000, 300_000, 1_000_000_000))), deposits,
        None if rank is None else (byte_grid(draw, (rows, names)) % 5).astype(np.float64),
    )  # fmt: skip


@st.composite
def scripted_cases(draw: st.DrawFn, max_bars: int = 24, max_names: int = 3, starts: tuple[str, ...] = STARTS) -> Case:
    """A run whose strategy makes its own orders, and now and then a target."""
    case = draw(cases(max_bars=max_bars, max_names=max_names, starts=starts))
    return case.but(
        targets=np.full(case.bars.shape, np.nan), script=draw(scripts(case.bars)),
        max_orders=draw(st.sampled_from((64, 64, 64, 5))),
    )  # fmt: skip
