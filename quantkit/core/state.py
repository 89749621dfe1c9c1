"""The one record a run is made of, what the compiled steps read, and the codes they write.

Contract: every field is an array of int64 and float64 columns, so a state is plain bytes, moves between machines, and
means the same to a backtest, a chunk of one, and the live engine. Money is int64 in the market's minor unit. The steps
in `account`, `matching`, `decide` and `fold` change it in place and own nothing else.

>>> state = new_state(2, cash=1_000_000)
>>> restored, symbols = from_bytes(to_bytes(state, ("005930", "000660")))
>>> int(restored.account[SETTLED]), symbols
(1000000, ('005930', '000660'))
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantkit.core.codes import *  # noqa: F403 - whoever reads a state needs its codes
from quantkit.core.codes import ACCOUNT_SIZE, DAY, DAY_START, EQUITY, PEAK_EQUITY, PREV_ROW, SETTLED
from quantkit.data.actions import KIND_ID, KINDS
from quantkit.errors import BadData
from quantkit.market import MARKETS
from quantkit.market.rules import RuleTables, rule_tables

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Record: TypeAlias = Any  # np.record
Records: TypeAlias = Any  # `records`; the attributes of their rows cannot be typed

STATE_VERSION = 3
_MAGIC = b"quantkit-state"

NAME = np.dtype(
    [
        ("shares", np.int64),
        ("goal", np.int64),  # shares the name should have
        ("entry_value", np.int64),  # money paid for the buys since the position was opened
        ("entry_qty", np.float64),  # their shares, in the shares of today
        ("peak", np.float64),  # highest price since the entry, in the won of today
        ("marks", np.int64),  # bits: IN, BLOCKED, FRESH_VALUE, FRESH_GOAL, OPEN_ENTRY, CLOSE_ENTRY
        ("noted", np.int64),  # last reason written for the present goal
        ("market", np.int64),  # index in quantkit.market.MARKETS
        ("last_close", np.float64),  # close of the bar before
        ("session_close", np.float64),  # close of the session before
        ("base_factor", np.float64),  # price factor of the actions of `base_day`
        ("base_day", np.int64),
        ("slot", np.int64),  # place in the list of active names, or -1
        ("active", np.int64),  # that list: the first account[N_ACTIVE] rows name the names that need a look each bar
        ("tie", np.int64),  # place of the symbol in alphabetical order
        ("leverage", np.float64),  # multiple of the price limit
        ("due", np.int64),  # shares on their way (a bonus issue before its listing): owned, not yet to be sold
        ("used", np.int64),  # shares matched on this bar, which the participation cap counts
        ("resting", np.int64),  # orders of this name that live on from bar to bar
        ("group", np.int64),  # its group for caps, or -1
        ("entry_bar", np.int64),  # bar the position was opened on
        ("exit_bar", np.int64),  # bar it was last closed on, or a large negative number
        ("units", np.int64),  # pyramiding: units taken so far
        ("last_entry", np.float64),  # pyramiding: price of the last unit, in the won of today
        ("first", np.int64),  # the first of its own orders in the table, or -1; on a bar that has some
        ("high", np.float64),  # running high and low of the session, for orders priced from the open
        ("low", np.float64),
        ("range", np.float64),  # high - low of the last session it traded in
        ("above", np.float64),  # where the next of its own orders acts, above and below; while account[QUIET]
        ("below", np.float64),
    ]
)

ORDER = np.dtype(
    [
        ("id", np.int64),
        ("symbol", np.int64),
        ("side", np.int64),  # +1 buy, -1 sell
        ("want", np.int64),  # quantity when decided
        ("qty", np.int64),  # quantity now (cut to cash, scaled by splits)
        ("filled", np.int64),
        ("kind", np.int64),  # KIND_OPEN, KIND_CLOSE, KIND_SAME_CLOSE
        ("reason", np.int64),  # why it was cut so far
        ("bar", np.int64),  # bar it was decided on, counted from the first bar of the run
        ("limit", np.float64),  # limit price as given, in the won of today (nan: none)
        ("stop", np.float64),  # trigger price as given, in the won of today (nan: none)
        ("own", np.int64),  # 1: made by a strategy's rule, 0: by a goal
        ("at", np.int64),  # the print it waits for: AT_ANY, AT_OPEN, AT_CLOSE
        ("next", np.int64),  # the next own order of its name in the table, or -1; on one bar
        ("mute", np.int64),  # 1: cannot act any more on this bar
        ("fresh", np.int64),  # 1: placed on this bar, 2: a trigger made it a limit that is placed on the next
        ("kids", np.int64),  # 1: other orders wait for its fills
        ("level", np.float64),  # price it acts at today, on the grid
        ("trail", np.float64),  # trailing: fraction of the extreme (nan: none)
        ("extreme", np.float64),  # trailing: highest (sell) or lowest (buy) price since it went live
        ("from_open", np.float64),  # multiple of yesterday's range, from the coming open (nan: none)
        ("tif", np.int64),  # TIF_DAY, ...
        ("until", np.int64),  # sessions it has left
        ("stage", np.int64),  # STAGE_NEW, ...
        ("group", np.int64),  # orders of one group: a fill of one takes as much off the others; 0: none
        ("parent", np.int64),  # id of the entry that brings it to life; -1: none
        ("tag", np.int64),  # the strategy's own number
        ("short", np.int64),  # made by a goal to sell short (OPENS) or to buy back (COVERS); 0: neither
        ("value", np.int64),  # money filled in this session, for commissions by order and day
        ("fee", np.int64),  # commission charged on it so far
    ]
)

PAY = np.dtype(  # what is on its way, by the day it comes: money (symbol -1), or shares of one name
    [("day", np.int64), ("amount", np.int64), ("symbol", np.int64), ("shares", np.int64)]
)

EVENT_ROW = np.dtype(
    [
        ("bar", np.int64),  # counts from the first row of the inputs the events go with
        ("symbol", np.int64),
        ("kind", np.int64),  # index in EVENT_KINDS
        ("price_factor", np.float64),
        ("share_ratio", np.float64),  # nan: unknown
        ("cash", np.float64),  # per share (action) or in all (deposit), in money
        ("pay_day", np.int64),  # epoch day; <= today: at once
        ("value", np.int64),  # id of a market, or of an action's kind
        ("receivable", np.int64),  # 1: new shares come on the pay day
    ]
)

FILL_ROW = np.dtype(
    [
        ("bar", np.int64),
        ("symbol", np.int64),
        ("side", np.int64),
        ("quantity", np.int64),
        ("price", np.float64),
        ("value", np.int64),
        ("commission", np.int64),
        ("tax", np.int64),
        ("slippage", np.int64),  # minor units paid against the unslipped price
        ("order_id", np.int64),
        ("rule", np.int64),
        ("from_proceeds", np.int64),
        ("ambiguous", np.int64),  # 1: the order of the bar's extremes, which is not known, decides this fill
    ]
)

ORDER_ROW = np.dtype(
    [(name, np.int64) for name in ("order_id", "bar", "symbol", "side", "quantity", "filled", "kind", "status",
                                   "reason", "done_bar", "tag")]
)  # fmt: skip

ENTRY_KINDS = (*KINDS, "interest", "borrow")
ENTRY_DIVIDEND, ENTRY_RIGHTS = KIND_ID["dividend"], KIND_ID["rights"]
ENTRY_SPINOFF, ENTRY_UNKNOWN = KIND_ID["spinoff"], KIND_ID["unknown"]
ENTRY_INTEREST, ENTRY_BORROW = len(KINDS), len(KINDS) + 1

ACTION_ROW = np.dtype(
    [
        ("bar", np.int64),
        ("symbol", np.int64),  # -1: interest, borrowing
        ("kind", np.int64),  # index in ENTRY_KINDS
        ("share_delta", np.int64),
        ("cash", np.int64),  # after tax, also where it is paid later; a cost is negative
        ("tax", np.int64),  # withheld
        ("assumed", np.int64),  # 1: nothing says what it was worth; see docs/execution.md
    ]
)

WORK = np.dtype([("i", np.int64), ("j", np.int64), ("f", np.float64)])

# The exchange's rules by date ride in the same record, under the names `market.kernels` reads.
RULES_OF_DATES = RuleTables._fields[1:]
TABLES: tuple[NDArray[Any], ...] = rule_tables(np.zeros(0, np.int64))[1:]

PLAN = np.dtype(
    [
        ("weighting", np.int64),
        ("max_names", np.int64),  # 0: no limit
        ("periodic", np.int64),  # 1: rebalance is by date, 0: on change
        ("read_on_dates", np.int64),  # 1: trade_on="rebalance"
        ("funding_cash", np.int64),
        ("retry", np.int64),
        ("shortfall", np.int64),
        ("rounding_order", np.int64),
        ("slip_entry_only", np.int64),
        ("fill_kind", np.int64),  # not "fill", a method of NumPy records; KIND_OPEN, KIND_CLOSE, KIND_SAME_CLOSE
        ("has_universe", np.int64),
        ("coasts", np.int64),  # 1: nothing looks at a bar on which no target changes
        ("per_order_day", np.int64),  # 1: commission on an order's fills of a session together
        ("shorting", np.int64),  # 1: sells may go below nothing held
        ("touch", np.int64),  # 1: a limit order fills when its price is touched
        ("path", np.int64),  # index in core.policy.PATHS
        ("participation", np.float64),  # most of a bar's volume that fills may take; inf: no cap
        ("amount", np.float64),
        ("gross", np.float64),
        ("stop_loss", np.float64),  # 0: none, as the next two
        ("take_profit", np.float64),
        ("trailing_stop", np.float64),
        ("collar", np.float64),  # < 0: none
        ("cash_buffer", np.float64),
        ("slip_ticks", np.float64),
        ("slip_bps", np.float64),
        ("impact", np.float64),
        ("minimum", np.float64),  # minor units, as `fixed`
        ("truncate_to", np.float64),
        ("interest", np.float64),  # a year, on settled cash
        ("borrow", np.float64),  # a year, on the value of short positions
        ("short_margin", np.float64),
        ("fixed", np.float64),
        ("tax", np.float64),  # < 0: the market's own
        ("unit", np.float64),  # minor units in one unit of price
        ("max_order_value", np.float64),
        ("max_order_shares", np.float64),
        ("max_weight", np.float64),
        ("max_positions", np.float64),
        ("max_exposure", np.float64),
        ("max_daily_loss", np.float64),
        ("max_drawdown", np.float64),
        ("min_cash", np.float64),
        ("cap_name", np.float64),  # inf: none, as the next three
        ("cap_group", np.float64),
        ("cap_gross", np.float64),
        ("max_turnover", np.float64),
        ("drift", np.float64),  # < 0: none
        ("min_trade_value", np.float64),  # 0: none, as the next two
        ("scaled", np.int64),  # 1: sizes are multiplied by Inputs.scale
        ("max_holding", np.int64),
        ("cooldown", np.int64),
        ("pyramid", np.int64),  # most units; 1: no pyramid
        ("pyramid_step", np.float64),
        ("commission", np.float64, (len(MARKETS),)),  # rate by market id
        ("dividend_tax", np.float64, (len(MARKETS),)),
        *((name, table.dtype, table.shape) for name, table in zip(RULES_OF_DATES, TABLES, strict=True)),
        ("lot", np.int64, (len(MARKETS),)),  # fewest shares of an order by market id, and its steps
    ]
)


class State(NamedTuple):
    """Everything a run knows between two bars; N names, K pay dates, C working orders."""

    account: Ints  # (32,) cash by settlement day, equity, counters; see the names above
    names: Records  # (N,) NAME
    target: Floats  # (N,) last row value that counted
    orders: Records  # (C,) ORDER, the first account[N_ORDERS] are working
    pays: Records  # (K,) PAY, the first account[N_PAY] are outstanding
    user: Bytes  # a strategy's own record


DATE = np.dtype(
    [
        ("day", np.int32),  # epoch day of the session
        ("row", np.int16),  # which row of the dated rules holds
        ("rebalance", np.int8),  # 1 on rebalance dates
        ("phase", np.int8),  # bits OPENING, CLOSING, AUCTION_ONLY: see quantkit.core.phases
    ]
)


class Inputs(NamedTuple):
    """What the steps read of the market: T bars of N names, one row a bar. Prices are the won of the day."""

    open: Floats  # (T, N)
    high: Floats
    low: Floats
    close: Floats
    base: Floats  # (T, N) the exchange's base price, or (0, 0)
    flags: Bytes  # (T, N) bits of quantkit.data.bars
    targets: Floats  # (T, N) row values
    rank: Floats  # (T, N) higher is chosen first, or (0, 0)
    liquidity: Floats  # (T, N) 20-bar traded value, or (0, 0)
    volume: Floats  # (T, N) shares traded, or (0, 0) where nothing asks for it
    vwap: Floats  # (T, N) average price of the bar, or (0, 0)
    scale: Floats  # (T, N) factor on sizes, nan: not known yet, or (0, 0)
    dates: Records  # (T,) DATE

    def rows(self, start: int, stop: int) -> Inputs:
        """The bars start..stop as views."""
        return Inputs._make([column[start:stop] if len(column) else column for column in self])


class Log(NamedTuple):
    """Buffers the steps write to; `used` holds how many fills, orders and actions are in them. The rest is work
    space."""

    used: Ints  # (3,)
    fills: Records  # FILL_ROW
    orders: Records  # ORDER_ROW
    actions: Records  # ACTION_ROW
    work: Records  # (C,) WORK
    kept: Records  # (C,) ORDER: orders as they were before a bar's path
    kept_name: Records  # (1,) NAME
    kept_account: Ints  # (32,)


def records(table: NDArray[Any]) -> Records:
    """A structured array whose rows have their columns as attributes.

    No `np.recarray`, which is that too: reading a column of one takes twenty times as long.
    """
    return table.view(np.dtype((np.record, table.dtype)))


def no_records(size: int, kind: np.dtype[np.void]) -> Records:
    """A table of zeros."""
    return records(np.zeros(size, kind))


def no_events() -> Records:
    """An empty table of events."""
    return no_records(0, EVENT_ROW)


def event_rows(events: Records, start: int, stop: int) -> Records:
    """The events of bars start..stop, counted from `start`."""
    if not len(events):
        return events
    low, high = np.searchsorted(events["bar"], [start, stop])
    cut = copied(events[low:high])
    cut["bar"] -= start
    return cut


def new_state(
    names: int, *, cash: int, market: Ints | None = None, tie: Ints | None = None, leverage: Floats | None = None,
    user: Bytes | None = None, orders: int = 0,
) -> State:  # fmt: skip
    """A state before its first bar: `cash` minor units settled, nothing held; room for `orders` resting orders."""
    account = np.zeros(ACCOUNT_SIZE, np.int64)
    account[[SETTLED, EQUITY, DAY_START, PEAK_EQUITY]] = cash
    account[DAY] = np.iinfo(np.int64).min
    account[PREV_ROW] = -1
    rows = no_records(names, NAME)
    rows["market"] = 0 if market is None else market
    rows["last_close"] = rows["session_close"] = np.nan
    rows["base_factor"] = rows["leverage"] = 1.0
    rows["units"] = 1  # where nothing pyramids, too: a state must not tell which kernel made it
    rows["tie"] = np.arange(names) if tie is None else tie
    if leverage is not None:
        rows["leverage"] = leverage
    rows["base_day"] = rows["slot"] = rows["group"] = -1
    rows["exit_bar"] = -(1 << 40)
    rows["first"] = -1
    rows["high"], rows["low"], rows["range"] = -np.inf, np.inf, np.nan
    rows["above"], rows["below"] = np.inf, -np.inf
    return State(
        account=account,
        names=rows,
        target=np.zeros(names),
        orders=no_records(2 * names + 64 + orders, ORDER),
        pays=no_records(512, PAY),
        user=np.zeros(0, np.uint8) if user is None else user,
    )


def copied(table: Records) -> Records:
    """A copy of a table, byte by byte: NumPy's own goes through it column by column, ten times as slowly."""
    return table.view(np.uint8).copy().view(table.dtype) if len(table) else table


class Mirror:
    """The bytes of a state, and of the one it was last copied from: to look up what lies where takes longer than to
    copy it."""

    def __init__(self, state: State) -> None:
        self._mine = _bytes_of(state)
        self._other, self._theirs = state, self._mine

    def copy(self, other: State, *names: str) -> None:
        """Be as another state of the same shape; names: in these tables alone."""
        if self._other is not other:
            self._other, self._theirs = other, _bytes_of(other)
        for name in names or State._fields:
            self._mine[name][:] = self._theirs[name]


def _bytes_of(state: State) -> dict[str, Bytes]:
    return {name: array.view(np.uint8) for name, array in state._asdict().items()}


def copy_state(state: State) -> State:
    """A state that can go its own way."""
    return State._make(copied(array) for array in state)


def to_bytes(state: State, symbols: tuple[str, ...]) -> bytes:
    """Serialise: a magic word, a JSON header (version, symbols, fields with their columns), the arrays in order."""
    fields = [
        [name, array.dtype.descr if array.dtype.names else array.dtype.str, len(array)]
        for name, array in zip(State._fields, state, strict=True)
    ]
    header = json.dumps({"version": STATE_VERSION, "symbols": list(symbols), "fields": fields}).encode()
    return b"".join([_MAGIC, len(header).to_bytes(8, "little"), header, *(array.tobytes() for array in state)])


def from_bytes(data: bytes) -> tuple[State, tuple[str, ...]]:
    """Read what `to_bytes` wrote.

    Raises BadData for anything else, for a cut file, and for a state written by another version.
    """
    start = len(_MAGIC) + 8
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise BadData("these bytes are not a quantkit state (the magic word is missing)")
    size = int.from_bytes(data[len(_MAGIC) : start], "little")
    try:
        header = json.loads(data[start : start + size])
    except ValueError as error:
        raise BadData(f"the header of this quantkit state cannot be read: {error}") from None
    if header["version"] != STATE_VERSION:
        raise BadData(f"this state has version {header['version']}; this quantkit reads version {STATE_VERSION}")
    arrays, place = [], start + size
    for name, columns, length in header["fields"]:
        dtype = np.dtype(columns if isinstance(columns, str) else [(column, kind) for column, kind in columns])
        step = dtype.itemsize * length
        if place + step > len(data):
            raise BadData(f"this quantkit state ends inside {name!r}: {len(data)} bytes are too few")
        array = np.frombuffer(data, dtype, length, place).copy()
        arrays.append(records(array) if dtype.names else array)
        place += step
    return State._make(arrays), tuple(header["symbols"])


def room_for_bar(names: int, orders: int = 0) -> int:
    """Rows of fills, orders or actions that one bar can write at most, with room for `orders` resting orders."""
    return 6 * names + 3 * orders + 64


def new_log(names: int, *, rows: int | None = None, orders: int = 0) -> Log:
    """Buffers for at least one bar of `names` names; `rows` fills before they must be emptied."""
    size = room_for_bar(names, orders) + (rows if rows is not None else max(4096, 4 * names))
    return Log(
        used=np.zeros(3, np.int64),
        fills=no_records(size, FILL_ROW),
        orders=no_records(size, ORDER_ROW),
        actions=no_records(size, ACTION_ROW),
        work=no_records(2 * names + 64 + orders, WORK),
        kept=no_records(orders, ORDER),
        kept_name=no_records(1, NAME),
        kept_account=np.zeros(ACCOUNT_SIZE, np.int64),
    )
