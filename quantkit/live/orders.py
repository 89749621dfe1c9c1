"""What would be sent in the next window, without any broker: the fold of the history, and the morning after it.

    1. fold the bars as a backtest does; or make an account with given holdings and let the last bars decide for it
    2. take the morning of the next session (steps 1 and 2): prices on the grid, buys cut to the cash there is
    3. say of each order why it is there, of each that is not why not, and what is watched while the session runs

Contract: nothing is sent and nothing stored. The next session and its hours come from the market's calendar; its base
prices are not known yet, so the last close stands for them (after the actions that are known), and limits are the
policy's collar around it. Money is in units of price. With `funding="cash"` quantities are final: what does not fit the
cash at the limit is cut here. With `funding="proceeds"` buys may be paid with what the same window's sales bring and
are cut at its prices, which nobody knows: they are shown whole, and a note says when they need more than there is.
Stops of the policy are no orders yet: `watched` says at which prices they would be. `fill="close"` is refused: that
close is over.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from quantkit.backtest.pieces import Terms, decide_rows
from quantkit.backtest.run import backtest, default_costs, first_row
from quantkit.backtest.universe import in_universe
from quantkit.core.fold import plan_of
from quantkit.core.prepare import dates_in, first_state, has_universe
from quantkit.core.state import (
    DROPPED,
    FRESH_GOAL,
    N_ACTIVE,
    N_ORDERS,
    ORDER_STATUS,
    REASONS,
    SETTLED,
    UNMET,
    WAITING,
    copy_state,
)
from quantkit.data.stamps import step_us
from quantkit.errors import BadData, ConfigError
from quantkit.hooks import silently
from quantkit.live.book import Book
from quantkit.live.deciding import Decider, inputs_from
from quantkit.live.dispatch import window_of
from quantkit.live.sleeves import Sleeve
from quantkit.live.turn import Settings
from quantkit.live.windows import clock_text, next_span, session_of, windows_of
from quantkit.plain import plain
from quantkit.strategy.fitting import models_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.core.state import Floats, Inputs, Record, State
    from quantkit.data.bars import Bars
    from quantkit.live.wanted import Wanted
    from quantkit.market.costs import Costs
    from quantkit.strategy import Strategy

__all__ = ["Dropped", "Holding", "NextOrder", "NextOrders", "Watched", "next_orders"]

_SECOND: Final = 1_000_000_000
_SEOUL: Final = 9 * 3600 * _SECOND
_DAY: Final = 86_400 * _SECOND
GIVEN: Final = "as given"


@dataclass(frozen=True, slots=True)
class NextOrder:
    """One order of the next session. limit None: at the market. opens, closes: when it may be sent, Seoul's time. cut:
    shares that did not fit, and why."""

    symbol: str
    name: str
    side: str
    quantity: int
    limit: float | None
    reference: float
    value: float
    phase: str
    opens: str
    closes: str
    tif: str
    reason: str
    held: int
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """An order that ended on the last bar, or never came to be, without all its shares."""

    symbol: str
    name: str
    side: str
    quantity: int
    filled: int
    reason: str
    decided: str


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held at the last close."""

    symbol: str
    name: str
    shares: int
    close: float
    value: float


@dataclass(frozen=True, slots=True)
class Watched:
    """Prices at which a stop or a held order of a name would act while the session runs; None: none on that side."""

    symbol: str
    name: str
    below: float | None
    above: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextOrders:
    """The next window. opens, closes: Seoul's time, when orders may be sent; prints: when the auction ends."""

    session: str
    phase: str
    opens: str
    closes: str
    last_bar: str
    account: str
    cash: float
    equity: float
    currency: str
    collar: float | None
    orders: tuple[NextOrder, ...]
    dropped: tuple[Dropped, ...]
    holdings: tuple[Holding, ...]
    watched: tuple[Watched, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {name: plain(value) for name, value in asdict(self).items()}


def next_orders(
    strategy: Strategy,
    bars: Bars,
    *,
    cash: float = 100_000_000,
    start: object = None,
    end: object = None,
    costs: Costs | None = None,
    fill: str = "next_open",
    limits: RiskLimits | None = None,
    policy: Policy | None = None,
    deposits: object = None,
    holdings: Mapping[str, tuple[int, float | None]] | None = None,
    interpret: bool = False,
) -> NextOrders:
    """What a strategy would send next.

    cash, start, ...   as for `backtest`
    holdings   symbol -> (shares, average price or None): a real account, with `cash` its money, in place of the
               simulated one. What it holds and the strategy wants is left as it is until the strategy or the policy
               changes it; what the strategy does not want is sold; what it wants and the account lacks is bought.

    ConfigError for `fill="close"` and "next_bar_vwap", which no order can do, and for holdings with an `on_bar` rule,
    whose memory belongs to its own account.
    """
    if fill not in ("next_open", "next_close"):
        raise ConfigError(f"orders(fill={fill!r}): no order can be sent for it; choose next_open or next_close")
    if holdings is not None and strategy.is_rule:
        raise ConfigError(f"{strategy.name} acts on what it did before (on_bar): leave the holdings out")
    rules, paid = policy or strategy.policy, costs or default_costs(bars.intraday)
    terms = Terms(strategy=strategy, policy=rules, costs=paid, limits=limits, fill=fill, interpret=interpret)
    if holdings is None:
        found = _simulated(terms, bars, cash=cash, start=start, end=end, deposits=deposits)
    else:
        found = _real(terms, bars, cash=cash, start=start, end=end, holdings=holdings)
    return found.say()


class _Evening:
    """An account after the last bar, with everything that is needed to say what comes next."""

    def __init__(
        self, terms: Terms, bars: Bars, book: Book, *, lost: tuple[Dropped, ...], account: str, notes: tuple[str, ...],
        dated: bool, targets: Floats | None = None,
    ) -> None:  # fmt: skip
        self.targets = targets
        self.terms, self.bars, self.book = terms, bars, book
        self.lost, self.account, self.notes, self.dated = lost, account, notes, dated
        self.cash, self.equity = book.cash, book.equity
        self._sleeve = Sleeve(name="", book=book, capital=0, load=partial(_kept, book))
        if bars.intraday:
            self._sleeve.step = step_us(bars.freq) * 1_000

    def say(self) -> NextOrders:
        """Take the morning of the next session and put it into words."""
        bars, book = self.bars, self.book
        day, phase, opens, closes = _window(bars, self.terms.fill)
        row = Decider(self.terms, bars).opens(int(np.datetime64(day, "D").astype(np.int64)), (), 0)
        morning = book.morning(row.row, row.events)
        unit, state = bars.minor_unit, book.state
        asked = {int(order["id"]): order for order in state.orders[: int(state.account[N_ORDERS])]}
        orders = tuple(self._order(wanted, asked.get(wanted.order)) for wanted in morning.wanted)
        return NextOrders(
            session=day,
            phase=phase,
            opens=opens,
            closes=closes,
            last_bar=str(bars.index[-1])[:10] if not bars.intraday else str(bars.index[-1])[:16],
            account=self.account,
            cash=self.cash / unit,
            equity=self.equity / unit,
            currency=bars.currency,
            collar=self.terms.policy.collar,
            orders=tuple(order for order in orders if order.quantity > 0),
            dropped=(*self.lost, *(self._empty(order) for order in orders if order.quantity == 0)),
            holdings=self._holdings(),
            watched=self._watched(),
            notes=(*self.notes, *self._short_of_cash(orders)),
        )

    def _short_of_cash(self, orders: tuple[NextOrder, ...]) -> tuple[str, ...]:
        """What buys would cost more than there is, at the last closes."""
        if self.terms.policy.funding == "cash":
            return ()
        buys, sales = (sum(one.value for one in orders if one.side == side) for side in ("buy", "sell"))
        room = self.book.available() / self.bars.minor_unit
        if buys <= room:
            return ()
        said = (
            f"buys need {buys:,.0f} at the last closes, cash is {room:,.0f} and the sales would bring {sales:,.0f}",
            'with funding="proceeds" they are cut at the prices of the window, and a broker takes what cash covers',
        )
        return (": ".join(said),)

    def _name(self, symbol: int) -> tuple[str, str]:
        code = self.bars.symbols[symbol]
        return code, self.bars.names.get(code, "")

    def _order(self, wanted: Wanted, asked: Record | None) -> NextOrder:
        s, state = wanted.symbol, self.book.state
        close = float(self.bars.raw.close[-1, s])
        cut = ""
        if asked is not None and wanted.quantity + int(asked["filled"]) < int(asked["want"]):
            cut = f"{int(asked['want']) - int(asked['filled']):,} wanted: {REASONS[int(asked['reason'])]}"
        held = int(state.names["shares"][s])
        window = window_of(
            self._sleeve, wanted.kind, _end(self.bars), Settings(market=_market(self.bars)), tif=wanted.tif
        )
        return NextOrder(
            *self._name(s),
            side="buy" if wanted.side > 0 else "sell",
            quantity=int(wanted.quantity),
            limit=None if wanted.limit != wanted.limit else float(wanted.limit),
            reference=close,
            value=close * wanted.quantity,
            phase=window.phase,
            opens=clock_text(window.opens),
            closes=clock_text(window.closes),
            tif=wanted.tif,
            reason=self._why(wanted, held),
            held=held,
            cut=cut,
        )

    def _why(self, wanted: Wanted, held: int) -> str:
        """In words, what made an order."""
        if wanted.rule == "own":
            return f"own order of on_bar, tag {wanted.tag}" if wanted.tag else "own order of on_bar"
        if wanted.rule == "max_holding":
            return f"held for max_holding = {self.terms.policy.max_holding} bars"
        code = self.bars.symbols[wanted.symbol]
        again = next((lost for lost in self.lost if lost.symbol == code and lost.decided != self._last), None)
        if again is not None and self.terms.policy.retry:
            return f"again: {again.reason} before"
        goal = int(self.book.state.names["goal"][wanted.symbol])
        before, now = (np.nan, np.nan) if self.targets is None else self.targets[-2:, wanted.symbol].tolist()
        step = f"to {goal:,} from {held:,}"
        if now == now and before != now:
            return f"target changed, {before:g} to {now:g}: {step}"
        if self.dated:
            return f"rebalance: {step}"
        return f"wanted before and not yet had: {step}" if self.account == GIVEN else f"goal moved: {step}"

    @property
    def _last(self) -> str:
        return _bar_text(self.bars, len(self.bars) - 1)

    def _empty(self, order: NextOrder) -> Dropped:
        """An order of which nothing is left to send."""
        wanted, _, reason = order.cut.partition(" wanted: ")
        count = int(wanted.replace(",", "")) if wanted else 0
        return Dropped(order.symbol, order.name, order.side, count, 0, reason or "HALTED", self._last)

    def _holdings(self) -> tuple[Holding, ...]:
        names, close = self.book.state.names, self.bars.raw.close[-1]
        owned = names["shares"] + names["due"]
        return tuple(
            Holding(*self._name(int(s)), int(owned[s]), float(close[s]), float(close[s] * owned[s]))
            for s in np.flatnonzero(owned)
        )

    def _watched(self) -> tuple[Watched, ...]:
        found = []
        names = self.book.state.names
        for s in np.flatnonzero((names["shares"] != 0) | (names["resting"] > 0)):
            below, above = self.book.bench.levels(int(s))
            low, high = (float(level) if np.isfinite(level) and level > 0 else None for level in (below, above))
            if low is not None or high is not None:
                found.append(Watched(*self._name(int(s)), low, high))
        return tuple(found)


def _kept(book: Book, _data: bytes) -> Book:
    return book


def _bar_text(bars: Bars, row: int) -> str:
    return str(bars.index[row])[: 16 if bars.intraday else 10]


def _window(bars: Bars, fill: str) -> tuple[str, str, str, str]:
    """(date, phase, first and last moment to send) of the window that follows the last bar."""
    market, after = _market(bars), _end(bars)
    day = np.datetime64(int(bars.days[-1]), "D").item()
    span = next_span(after, market=market)
    kind = "closing_auction" if fill == "next_close" else "opening_auction"
    if bars.intraday and span.date == day:
        kind = "closing_auction" if fill == "next_close" and after >= span.closes - 600 * _SECOND else "continuous"
    window = next(window for window in windows_of(span.date, market=market) if window.phase == kind)
    return span.date.isoformat(), kind, clock_text(window.opens), clock_text(window.closes)


def _market(bars: Bars) -> str:
    return (*bars.markets, "KOSPI")[0]


def _end(bars: Bars) -> int:
    """When the last bar was over, UTC nanoseconds."""
    if bars.intraday:
        return int(bars.times[-1]) * 1000
    day: dt.date = np.datetime64(int(bars.days[-1]), "D").item()
    span = session_of(day, market=_market(bars))
    if span is not None:
        return span.closes
    return (np.datetime64(day, "D").astype(np.int64).item() + 1) * _DAY - _SEOUL - 1


# --- the simulated account --------------------------------------------------------------------------------------------


def _simulated(terms: Terms, bars: Bars, *, cash: float, start: object, end: object, deposits: object) -> _Evening:
    """The account of a backtest up to the last bar."""
    with silently():
        result = backtest(
            terms.strategy, bars, policy=terms.policy, cash=cash, start=start, end=end, costs=terms.costs,
            fill=terms.fill, limits=terms.limits, deposits=deposits, interpret=terms.interpret,
        )  # fmt: skip
    own: Any = result.run.state
    run = result.bars
    plan = plan_of(terms.policy, terms.costs, terms.limits, fill=terms.fill, minor_unit=run.minor_unit,
                   grid=run.prices == "raw", has_universe=has_universe(run.flags))  # fmt: skip
    book = Book(run.symbols, copy_state(own), plan, intraday=run.intraday, strategy=terms.strategy,
                interpret=terms.interpret)  # fmt: skip
    orders = result.run.orders
    lost = []
    for k in np.flatnonzero((orders["done_bar"] == len(run) - 1) & (orders["filled"] < orders["quantity"])):
        code = run.symbols[int(orders["symbol"][k])]
        reason = REASONS[int(orders["reason"][k])] or ORDER_STATUS[DROPPED].upper()
        lost.append(Dropped(code, run.names.get(code, ""), "buy" if orders["side"][k] > 0 else "sell",
                            int(orders["quantity"][k]), int(orders["filled"][k]), reason,
                            _bar_text(run, int(orders["bar"][k]))))  # fmt: skip
    dated = bool(dates_in(run, terms.policy)["rebalance"][-1]) and terms.policy.rebalance != "change"
    return _Evening(terms, run, book, lost=tuple(lost), account=f"simulated from {_bar_text(run, 0)}", notes=(),
                    dated=dated, targets=_last_targets(terms, bars, end))  # fmt: skip


def _last_targets(terms: Terms, bars: Bars, end: object) -> Floats | None:
    """(2, N) row values of the last two bars, to tell what changed; None for an `on_bar` rule, or one bar."""
    strategy = terms.strategy
    if strategy is None or strategy.is_rule:
        return None
    seen = in_universe(bars.window(None, end) if end is not None else bars, strategy)
    if len(seen) < 2:
        return None
    made = replace(terms, models=models_of(strategy, seen.times, seen.days))
    return decide_rows(made, seen, needed=len(seen) - 2).targets[-2:]


# --- a real account ---------------------------------------------------------------------------------------------------


def _real(
    terms: Terms, bars: Bars, *, cash: float, start: object, end: object,
    holdings: Mapping[str, tuple[int, float | None]],
) -> _Evening:  # fmt: skip
    """A given account, for which the last two bars decide: the bar before, to know what the strategy held, and the
    last, to know what it changes."""
    strategy = terms.strategy
    seen = bars.window(None, end) if end is not None else bars
    seen = seen if strategy is None else in_universe(seen, strategy)
    first = first_row(seen, start)
    if len(seen) - first < 2:
        raise BadData("orders: two bars at least are needed, to see what changes on the last")
    inputs, weights = inputs_from(terms, seen, first=first)
    run = seen.slice(first, len(seen))
    plan = plan_of(terms.policy, terms.costs, terms.limits, fill=terms.fill, minor_unit=run.minor_unit,
                   grid=run.prices == "raw", float_targets=weights,
                   has_universe=has_universe(inputs.flags))  # fmt: skip
    state = first_state(run.slice(len(run) - 2, len(run)), cash=round(cash * run.minor_unit), policy=terms.policy)
    strange = _lay_in(state, run, holdings)
    book = Book(run.symbols, state, plan, intraday=run.intraday)
    _decide(book, inputs.rows(len(run) - 2, len(run) - 1))
    _keep_held(book, cash=round(cash * run.minor_unit))
    _decide(book, inputs.rows(len(run) - 1, len(run)))
    notes = [f"{symbol}: not among the bars; left alone, and not in the equity" for symbol in strange]
    if terms.policy.max_holding:
        notes.append("max_holding counts from today: the account does not say since when it holds")
    dated = bool(inputs.dates["rebalance"][-1]) and terms.policy.rebalance != "change"
    return _Evening(terms, run, book, lost=(), account=GIVEN, notes=tuple(notes), dated=dated)


def _lay_in(state: State, bars: Bars, holdings: Mapping[str, tuple[int, float | None]]) -> list[str]:
    """Put shares into a state; symbols that the bars do not have."""
    places = {symbol: k for k, symbol in enumerate(bars.symbols)}
    names, before = state.names, bars.raw.close[-1]
    for symbol, (shares, price) in holdings.items():
        if shares < 0:
            raise BadData(f"holdings: {symbol} {shares}: shares are 0 or more")
        s = places.get(symbol)
        if s is None or shares == 0:
            continue
        paid = float(before[s]) if price is None else float(price)
        names["shares"][s], names["entry_qty"][s] = shares, float(shares)
        names["entry_value"][s] = round(paid * shares * bars.minor_unit)
        names["peak"][s] = max(paid, float(before[s]))
        names["last_entry"][s] = paid
        slot = int(state.account[N_ACTIVE])
        names["slot"][s], names["active"][slot] = slot, s
        state.account[N_ACTIVE] = slot + 1
    state.account[[UNMET, WAITING]] = 1
    return sorted(symbol for symbol in holdings if symbol not in places)


def _decide(book: Book, row: Inputs) -> None:
    """One bar on which nothing is filled, and its decision."""
    book.morning(row)
    book.evening(row)


def _keep_held(book: Book, *, cash: int) -> None:
    """What the strategy wanted on the bar before, it holds as the account does; what it lacks is still to be had."""
    state = book.state
    for order in state.orders["id"][: int(state.account[N_ORDERS])].tolist():
        book.drop(order, "CANCELLED")
    names = state.names
    kept = (names["goal"] > 0) & (names["shares"] > 0)
    names["goal"][kept] = names["shares"][kept]
    names["marks"][(names["goal"] != names["shares"])] |= FRESH_GOAL
    state.account[[UNMET, WAITING]] = 1
    if int(state.account[SETTLED]) != cash:
        state.account[SETTLED] = cash
