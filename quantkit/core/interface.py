"""`Context`: what a rule with memory sees and may do, in Python.

Contract: `Strategy.on_bar(self, ctx)` is called with one on every bar. In a usual run the rule is compiled and `ctx` is
an address (`kinds`, `reading`, `calling`); interpreted, for debugging, it is this class over the same arrays: the same
names and the same answers to the bit. Prices are in the won of today, quantities in shares; names are columns `s` from
0 to n - 1; `k` counts bars back, 0 is this bar. What lies before a name's listing is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from quantkit.core.state import (
    BARS,
    BUY,
    EQUITY,
    N_ORDERS,
    NEW_SESSION,
    NEXT_1,
    NEXT_2,
    SELL,
    SESSION_BAR,
    SETTLED,
    STAGE_OVER,
    TIFS,
)
from quantkit.core.views import Cells, Factor, Flags, Held, PerName, Record, Signal
from quantkit.data.carry import MEMBER, TRADED, VALID
from quantkit.data.dates import DAY_US, SEOUL_US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantkit.core.context import Frame

REQUESTS = ("place", "cancel", "cancel_all", "replace", "oco", "target", "target_shares", "working", "filled")
TEXTS = {
    "at": {"open": 1, "close": 2},  # as AT_OPEN, AT_CLOSE
    "tif": {name: code for code, name in enumerate(TIFS)},
}
_NAN = float("nan")
ARGUMENTS: dict[str, float] = {  # of `ask`, after the frame and the request: what stands for "not given"
    "s": 0, "side": 0, "quantity": _NAN, "limit": _NAN, "stop": _NAN, "trail": _NAN, "from_open": _NAN,
    "at": 0, "tif": -1, "days": -1, "take_profit": _NAN, "stop_loss": _NAN, "tag": 0,
}  # fmt: skip

ORDER_VIEW = np.dtype(
    [
        ("id", np.int64),
        ("side", np.int64),  # +1 buy, -1 sell
        ("quantity", np.int64),  # shares still to fill
        ("filled", np.int64),
        ("limit", np.float64),  # in the won of today; NaN: none
        ("stop", np.float64),
        ("tag", np.int64),
        ("age", np.int64),  # bars since it was made
    ]
)


class Context:
    """The market, the account and the orders of a strategy on one bar."""

    def __init__(
        self, frame: Frame, address: Any, ask: Callable[..., int], *, params: Any, signals: Mapping[str, Any],
        state: Any, symbol_state: Any,
    ) -> None:  # fmt: skip
        self._frame, self._address, self._ask = frame, address, ask
        self._params, self._state, self._symbol_state = params, state, symbol_state
        self._signals = {name: Signal(self, values) for name, values in signals.items()}

    # --- where and when -------------------------------------------------------------------------------------------

    @property
    def i(self) -> int:
        """Bars of the run before this one."""
        return int(self._frame.state.account[BARS])

    @property
    def n(self) -> int:
        """How many names there are."""
        return len(self._frame.state.names)

    @property
    def time(self) -> int:
        """Close of this bar, UTC microseconds; a daily bar: its date at 00:00 in Seoul."""
        return int(self._frame.past.times[self._row()])

    @property
    def day(self) -> int:
        """Epoch day of the session."""
        return int(self._frame.past.days[self._row()])

    @property
    def minute(self) -> int:
        """Minutes after midnight in Seoul at the bar's close; 0 on daily bars."""
        return (self.time + SEOUL_US) % DAY_US // 60_000_000

    @property
    def new_session(self) -> bool:
        """Whether this is the first bar of a session."""
        return bool(self._frame.state.account[NEW_SESSION])

    @property
    def session_bar(self) -> int:
        """Bars of this session before this one: 0 on its first."""
        return int(self._frame.state.account[SESSION_BAR])

    # --- prices ---------------------------------------------------------------------------------------------------

    @property
    def open(self) -> Cells:
        """`open[k, s]`: the open of name s, k bars ago, in the won of today."""
        return Cells(self, self._frame.past.open, self._frame.past.factor)

    @property
    def high(self) -> Cells:
        """`high[k, s]`: the high."""
        return Cells(self, self._frame.past.high, self._frame.past.factor)

    @property
    def low(self) -> Cells:
        """`low[k, s]`: the low."""
        return Cells(self, self._frame.past.low, self._frame.past.factor)

    @property
    def close(self) -> Cells:
        """`close[k, s]`: the close."""
        return Cells(self, self._frame.past.close, self._frame.past.factor)

    @property
    def volume(self) -> Cells:
        """`volume[k, s]`: shares traded, in the shares of today."""
        return Cells(self, self._frame.past.volume, self._frame.past.share_factor, shares=True)

    @property
    def factor(self) -> Factor:
        """`factor[s]`: the forward price factor of today. A price of `bars.close` (adjusted forward) over it is in the
        won of today; a price of today times it can be kept over an ex-date."""
        return Factor(self)

    @property
    def signals(self) -> Mapping[str, Signal]:
        """`signals["name"][s]`: what `prepare` computed for this bar."""
        return self._signals

    @property
    def valid(self) -> Flags:
        """`valid[s]`: listed, warmed up, data complete. Elsewhere `target` leaves the name as it is."""
        return Flags(self, VALID)

    @property
    def traded(self) -> Flags:
        """`traded[s]`: a trade happened in this bar."""
        return Flags(self, TRADED)

    @property
    def member(self) -> Flags:
        """`member[s]`: in the universe as of this bar."""
        return Flags(self, MEMBER)

    # --- account --------------------------------------------------------------------------------------------------

    @property
    def cash(self) -> float:
        """All cash, settled or not, in units of price."""
        account = self._frame.state.account
        return float((account[SETTLED] + account[NEXT_1] + account[NEXT_2]) / self._frame.plan["unit"])

    @property
    def equity(self) -> float:
        """Cash, dividends on their way and holdings at this close."""
        return float(self._frame.state.account[EQUITY] / self._frame.plan["unit"])

    @property
    def position(self) -> Held:
        """`position[s]`: shares held."""
        return Held(self, "shares")

    @property
    def entry(self) -> Held:
        """`entry[s]`: average entry price in the won of today; NaN where nothing is held."""
        return Held(self, "entry")

    # --- the strategy's own ---------------------------------------------------------------------------------------

    @property
    def params(self) -> Any:
        """The parameters: the same as `self` in on_bar."""
        return self._params

    @property
    def state(self) -> Any:
        """The record the class declares as `state`; zeros on the first bar."""
        if self._state is None:
            raise AttributeError("the class declares no state; say what it holds: state = {'last': float}")
        return self._state

    @property
    def symbol_state(self) -> Sequence[Any]:
        """`symbol_state[s]`: the record of one name, as the class declares it."""
        if self._symbol_state is None:
            raise AttributeError("the class declares no symbol_state; say what it holds: symbol_state = {'adds': int}")
        return PerName(self, self._symbol_state)  # type: ignore[return-value]

    # --- orders ---------------------------------------------------------------------------------------------------

    def buy(
        self, s: int, quantity: float, *, limit: float | None = None, stop: float | None = None,
        trail: float | None = None, from_open: float | None = None, at: Literal["open", "close"] | None = None,
        tif: Literal["day", "ioc", "fok", "gtc", "conditional"] | None = None, days: int | None = None,
        take_profit: float | None = None, stop_loss: float | None = None, tag: int = 0,
    ) -> int:  # fmt: skip
        """Order shares from the next bar on; returns the order's id. What is given decides its kind.

        nothing: market, once. limit: at that price or better. stop: a market order (with limit: that limit) once the
        price is met. trail: a stop that follows the price at that fraction. from_open: a stop at the coming open + this
        many ranges of the session before. at: one of the session's two auctions. tif and days: how long it lives.
        take_profit, stop_loss: prices of the two orders that wait for this one to fill. tag: a number of your own.
        """
        return self._order(BUY, s, quantity, limit, stop, trail, from_open, at, tif, days, take_profit, stop_loss, tag)

    def sell(
        self, s: int, quantity: float, *, limit: float | None = None, stop: float | None = None,
        trail: float | None = None, from_open: float | None = None, at: Literal["open", "close"] | None = None,
        tif: Literal["day", "ioc", "fok", "gtc", "conditional"] | None = None, days: int | None = None,
        take_profit: float | None = None, stop_loss: float | None = None, tag: int = 0,
    ) -> int:  # fmt: skip
        """Order shares away, as `buy` says; from_open: at the coming open - this many ranges."""
        return self._order(SELL, s, quantity, limit, stop, trail, from_open, at, tif, days, take_profit, stop_loss, tag)

    def cancel(self, order: int) -> bool:
        """End a working order, at once; False where there is none of that id."""
        return bool(self._do("cancel", s=order))

    def cancel_all(self, s: int) -> int:
        """End all working orders of a name; returns how many."""
        return self._do("cancel_all", s=s)

    def replace(
        self, order: int, *, quantity: float | None = None, limit: float | None = None, stop: float | None = None
    ) -> int:
        """Put another order in the place of a working one, with what is given changed; returns its id, or -1."""
        return self._do("replace", s=order, quantity=quantity, limit=limit, stop=stop)

    def oco(self, order: int, other: int) -> bool:
        """Let a fill of one of two working orders of a name take as much off the other."""
        return bool(self._do("oco", s=order, side=other))

    def target(self, s: int, weight: float) -> None:
        """Let a name be worth this part of equity: its goal, which the policy orders from bar to bar."""
        self._do("target", s=s, limit=weight)

    def target_shares(self, s: int, shares: float) -> None:
        """Let a name's goal be that many shares."""
        self._do("target_shares", s=s, quantity=shares)

    def close_position(self, s: int) -> None:
        """Let a name's goal be none."""
        self._do("target_shares", s=s, quantity=0.0)

    def working(self, order: int) -> bool:
        """Whether an order still works."""
        return bool(self._do("working", s=order))

    def filled(self, order: int) -> int:
        """Shares a working order has filled so far; -1 once it has ended."""
        return self._do("filled", s=order)

    def orders(self, s: int) -> Sequence[Any]:
        """A name's working orders, oldest first: id, side, quantity, filled, limit, stop, tag, age."""
        self._check(0, s)
        bars = self.i
        rows = []
        for row in self._frame.state.orders[: int(self._frame.state.account[N_ORDERS])]:
            if row["symbol"] == s and row["own"] and row["stage"] != STAGE_OVER:
                seen = np.zeros((), ORDER_VIEW)
                for name in ("id", "side", "filled", "limit", "stop", "tag"):
                    seen[name] = row[name]
                seen["quantity"], seen["age"] = row["qty"] - row["filled"], bars - row["bar"]
                rows.append(Record(seen[()]))
        return rows

    # --- inside ---------------------------------------------------------------------------------------------------

    def _order(
        self, side: int, s: int, quantity: float, limit: Any, stop: Any, trail: Any, from_open: Any, at: Any, tif: Any,
        days: Any, take_profit: Any, stop_loss: Any, tag: int,
    ) -> int:  # fmt: skip
        return self._do(
            "place", side=side, s=s, quantity=quantity, limit=limit, stop=stop, trail=trail, from_open=from_open,
            at=at, tif=tif, days=days, take_profit=take_profit, stop_loss=stop_loss, tag=tag,
        )  # fmt: skip

    def _do(self, what: str, **given: Any) -> int:
        values = dict(ARGUMENTS)
        for name, value in given.items():
            if value is None:
                continue
            if name in TEXTS:
                if value not in TEXTS[name]:
                    raise ValueError(f"{name}={value!r}: choose one of {', '.join(TEXTS[name])}")
                value = TEXTS[name][value]
            values[name] = type(ARGUMENTS[name])(value)
        return int(self._ask(self._address, REQUESTS.index(what), *values.values()))

    def _row(self) -> int:
        from quantkit.core.context import NOW_LEAD, NOW_ROW

        return int(self._frame.now[NOW_ROW] + self._frame.now[NOW_LEAD])

    def _check(self, k: int, s: int) -> None:
        """RuleError where the cell does not exist."""
        from quantkit.core.context import LOOKED, NOW_DETAIL, NOW_ERROR, NOW_NAME, NOW_REACH, RuleError

        now = self._frame.now
        if not (0 <= k <= now[NOW_REACH] and 0 <= s < self.n):
            now[NOW_ERROR], now[NOW_DETAIL], now[NOW_NAME] = LOOKED, k, s
            raise RuleError
