"""The one record a run is made of, what the compiled steps read, and the codes they write.

Contract: every field is an int64 or float64 array, so a state is plain bytes, moves between machines, and means the same
to a backtest, a chunk of one, and the live engine. Money is int64 in the market's minor unit. The steps in `account`,
`matching`, `decide` and `fold` change it in place and own nothing else.

>>> state = new_state(2, cash=1_000_000)
>>> restored, symbols = from_bytes(to_bytes(state, ("005930", "000660")))
>>> int(restored.account[SETTLED]), symbols
(1000000, ('005930', '000660'))
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import BadData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

STATE_VERSION = 1
_MAGIC = b"quantkit-state"

# Places in State.account.
DAY, SETTLED, NEXT_1, NEXT_2, RECEIVABLE, EQUITY, DAY_START, PEAK_EQUITY = range(8)
LATCH, N_ACTIVE, N_ORDERS, NEXT_ID, N_PAY, WAITING, BARS, CASH_BEFORE = range(8, 16)
NEW_SESSION, PREV_ROW, EVENT, UNKNOWN_ACTIONS, SET_CHANGED = range(16, 21)
ACCOUNT_SIZE = 24

# Bits of State.marks, one word a name.
IN, BLOCKED, FRESH_VALUE, FRESH_GOAL, OPEN_ENTRY, CLOSE_ENTRY = 1, 2, 4, 8, 16, 32

# Bits of account[LATCH].
DAILY_LOSS_LATCH, DRAWDOWN_LATCH = 1, 2

RULES = (
    "open",
    "close",
    "same_close",
    "stop_loss",
    "stop_loss_gap",
    "trailing_stop",
    "trailing_stop_gap",
    "take_profit",
    "take_profit_gap",
    "delisting",
)
(
    RULE_OPEN,
    RULE_CLOSE,
    RULE_SAME_CLOSE,
    RULE_STOP,
    RULE_STOP_GAP,
    RULE_TRAIL,
    RULE_TRAIL_GAP,
    RULE_TAKE,
    RULE_TAKE_GAP,
    RULE_DELISTING,
) = range(10)

ORDER_KINDS = ("at_open", "at_close", "same_close", "stop_loss", "trailing_stop", "take_profit", "delisting")
KIND_OPEN, KIND_CLOSE, KIND_SAME_CLOSE, KIND_STOP, KIND_TRAIL, KIND_TAKE, KIND_DELISTING = range(7)

ORDER_STATUS = ("working", "filled", "cut", "dropped")
WORKING, FILLED, CUT, DROPPED = range(4)

REASONS = (
    "",
    "INSUFFICIENT_CASH",
    "INSUFFICIENT_SHARES",
    "HALTED",
    "LIMIT_LOCKED",
    "COLLAR",
    "STOPPED",
    "DELISTED",
    "ORDER_TOO_LARGE",
    "MAX_WEIGHT",
    "MAX_POSITIONS",
    "MAX_EXPOSURE",
    "DAILY_LOSS",
    "DRAWDOWN",
)
(
    NO_REASON,
    NO_CASH,
    NO_SHARES,
    HALTED,
    LOCKED,
    BEYOND_COLLAR,
    STOPPED,
    GONE,
    TOO_LARGE,
    OVER_WEIGHT,
    TOO_MANY_NAMES,
    OVER_EXPOSURE,
    LOST_TODAY,
    DRAWN_DOWN,
) = range(14)

EVENT_KINDS = ("deposit", "action", "market")
EVENT_DEPOSIT, EVENT_ACTION, EVENT_MARKET = range(3)


class State(NamedTuple):
    """Everything a run knows between two bars; N names, K pay dates, C working orders."""

    account: Ints  # (24,) cash by settlement day, equity, counters; see the names above
    shares: Ints  # (N,)
    goal: Ints  # (N,) shares the name should have
    target: Floats  # (N,) last row value that counted
    entry_value: Ints  # (N,) money paid for the buys since the position was opened
    entry_qty: Floats  # (N,) their shares, in the shares of today
    peak: Floats  # (N,) highest price since the entry, in the won of today
    marks: Ints  # (N,) bits: IN, BLOCKED, FRESH_VALUE, FRESH_GOAL, OPEN_ENTRY, CLOSE_ENTRY
    noted: Ints  # (N,) last reason written for the present goal
    market: Ints  # (N,) index in quantkit.market.MARKETS
    last_close: Floats  # (N,) close of the bar before
    session_close: Floats  # (N,) close of the session before
    base_factor: Floats  # (N,) price factor of the actions of `base_day`
    base_day: Ints  # (N,)
    active: Ints  # (N,) names that need a look each bar, the first account[N_ACTIVE] of them
    slot: Ints  # (N,) place in `active`, or -1
    pay_day: Ints  # (K,) pay dates of dividends
    pay_amount: Ints  # (K,)
    order_id: Ints  # (C,) working orders, the first account[N_ORDERS] of them
    order_symbol: Ints
    order_side: Ints  # +1 buy, -1 sell
    order_want: Ints  # quantity when decided
    order_qty: Ints  # quantity now (cut to cash, scaled by splits)
    order_filled: Ints
    order_kind: Ints  # KIND_OPEN, KIND_CLOSE, KIND_SAME_CLOSE
    order_reason: Ints  # why it was cut so far
    order_bar: Ints  # bar it was decided on, counted from the first bar of the run
    order_limit: Floats  # a resting order's limit price (nan: none)
    order_stop: Floats  # a resting order's trigger price (nan: none)
    user: Bytes  # a strategy's own record


class Inputs(NamedTuple):
    """What the steps read of the market: T bars of N names, one row a bar. Prices are the won of the day."""

    open: Floats  # (T, N)
    high: Floats
    low: Floats
    close: Floats
    base: Floats  # (T, N) the exchange's base price, or (0, 0)
    flags: Bytes  # (T, N) bits of quantkit.data.bars
    day: Ints  # (T,) epoch day of the session
    targets: Floats  # (T, N) row values
    rank: Floats  # (T, N) higher is chosen first, or (0, 0)
    liquidity: Floats  # (T, N) 20-bar traded value, or (0, 0)
    rebalance: Bytes  # (T,) 1 on rebalance dates

    def rows(self, start: int, stop: int) -> Inputs:
        """The bars start..stop as views."""
        return Inputs(*(column[start:stop] if len(column) else column for column in self))


class Events(NamedTuple):
    """Deposits, actions and market transfers, sorted by bar; `bar` counts from the first row of the inputs they go with."""

    bar: Ints
    symbol: Ints
    kind: Ints  # index in EVENT_KINDS
    price_factor: Floats
    share_ratio: Floats  # nan: unknown
    cash: Floats  # per share (action) or in all (deposit), in money
    pay_day: Ints  # epoch day; <= today: at once
    value: Ints  # market id

    def rows(self, start: int, stop: int) -> Events:
        """The events of bars start..stop, counted from `start`."""
        low, high = np.searchsorted(self.bar, [start, stop])
        cut = Events(*(column[low:high] for column in self))
        return cut._replace(bar=cut.bar - start)


class Plan(NamedTuple):
    """Policy, costs and limits as the numbers the compiled steps read (built by `core.fold.plan_of`)."""

    weighting: int
    amount: float
    gross: float
    max_names: int  # 0: no limit
    periodic: int  # 1: rebalance is by date, 0: on change
    read_on_dates: int  # 1: trade_on="rebalance"
    stop_loss: float  # 0: none
    take_profit: float
    trailing_stop: float
    funding_cash: int
    collar: float  # < 0: none
    cash_buffer: float
    retry: int
    shortfall: int
    rounding_order: int
    slip_entry_only: int
    fill: int  # KIND_OPEN, KIND_CLOSE, KIND_SAME_CLOSE
    slip_ticks: float
    slip_bps: float
    commission: Floats  # (M,) rate by market id
    minimum: float  # minor units
    truncate_to: float
    fixed: float
    tax: float  # < 0: the market's own
    unit: float  # minor units in one unit of price
    leverage: Floats  # (N,) multiple of the price limit
    tie: Ints  # (N,) place of the symbol in alphabetical order
    has_universe: int
    max_order_value: float
    max_order_shares: float
    max_weight: float
    max_positions: float
    max_exposure: float
    max_daily_loss: float
    max_drawdown: float
    min_cash: float


class Log(NamedTuple):
    """Buffers the steps write to; `count` holds how many fills, orders and actions are in them. The rest is work space."""

    count: Ints  # (3,)
    fill_bar: Ints
    fill_symbol: Ints
    fill_side: Ints
    fill_quantity: Ints
    fill_price: Floats
    fill_value: Ints
    fill_commission: Ints
    fill_tax: Ints
    fill_slippage: Ints
    fill_order: Ints
    fill_rule: Ints
    fill_proceeds: Ints
    order_id: Ints
    order_bar: Ints
    order_symbol: Ints
    order_side: Ints
    order_quantity: Ints
    order_filled: Ints
    order_kind: Ints
    order_status: Ints
    order_reason: Ints
    order_done: Ints
    action_bar: Ints
    action_symbol: Ints
    action_shares: Ints
    action_cash: Ints
    action_unknown: Ints
    work_i: Ints  # (C,)
    work_j: Ints  # (C,)
    work_f: Floats  # (C,)


FILL_COLUMNS = tuple(name for name in Log._fields if name.startswith("fill_"))
ORDER_COLUMNS = tuple(name for name in Log._fields if name.startswith("order_"))
ACTION_COLUMNS = tuple(name for name in Log._fields if name.startswith("action_"))


def new_state(names: int, *, cash: int, market: Ints | None = None, user: Bytes | None = None) -> State:
    """A state before its first bar: `cash` minor units settled, nothing held."""
    orders, pays = 2 * names + 64, 512

    def ints(size: int, value: int = 0) -> Ints:
        return np.full(size, value, np.int64)

    def floats(size: int, value: float = 0.0) -> Floats:
        return np.full(size, value, np.float64)

    account = ints(ACCOUNT_SIZE)
    account[[SETTLED, EQUITY, DAY_START, PEAK_EQUITY]] = cash
    account[DAY] = np.iinfo(np.int64).min
    account[PREV_ROW] = -1
    return State(
        account=account,
        shares=ints(names),
        goal=ints(names),
        target=floats(names),
        entry_value=ints(names),
        entry_qty=floats(names),
        peak=floats(names),
        marks=ints(names),
        noted=ints(names),
        market=ints(names) if market is None else market.astype(np.int64),
        last_close=floats(names, np.nan),
        session_close=floats(names, np.nan),
        base_factor=floats(names, 1.0),
        base_day=ints(names, -1),
        active=ints(names),
        slot=ints(names, -1),
        pay_day=ints(pays),
        pay_amount=ints(pays),
        order_id=ints(orders),
        order_symbol=ints(orders),
        order_side=ints(orders),
        order_want=ints(orders),
        order_qty=ints(orders),
        order_filled=ints(orders),
        order_kind=ints(orders),
        order_reason=ints(orders),
        order_bar=ints(orders),
        order_limit=floats(orders, np.nan),
        order_stop=floats(orders, np.nan),
        user=np.zeros(0, np.uint8) if user is None else user,
    )


def copy_state(state: State) -> State:
    """A state that can go its own way."""
    return State(*(array.copy() for array in state))


def to_bytes(state: State, symbols: tuple[str, ...]) -> bytes:
    """Serialise: a magic word, a JSON header (version, symbols, fields with dtype and size), the arrays in order."""
    fields = [[name, array.dtype.str, len(array)] for name, array in zip(State._fields, state, strict=True)]
    header = json.dumps({"version": STATE_VERSION, "symbols": list(symbols), "fields": fields}).encode()
    return b"".join([_MAGIC, len(header).to_bytes(8, "little"), header, *(array.tobytes() for array in state)])


def from_bytes(data: bytes) -> tuple[State, tuple[str, ...]]:
    """Read what `to_bytes` wrote.

    Raises BadData for anything else, for a cut file, and for a state written by a newer version.
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
    for name, dtype, length in header["fields"]:
        step = np.dtype(dtype).itemsize * length
        if place + step > len(data):
            raise BadData(f"this quantkit state ends inside {name!r}: {len(data)} bytes are too few")
        arrays.append(np.frombuffer(data, dtype, length, place).copy())
        place += step
    return State(*arrays), tuple(header["symbols"])


def new_log(names: int, *, rows: int | None = None) -> Log:
    """Buffers for at least one bar of `names` names; `rows` fills before they must be emptied."""
    size = 4 * names + 64 + (rows if rows is not None else max(4096, 4 * names))
    work = 2 * names + 64
    columns: list[Ints | Floats] = []
    for name in Log._fields:
        kind = np.float64 if name in ("fill_price", "work_f") else np.int64
        columns.append(np.zeros(3 if name == "count" else work if name.startswith("work") else size, kind))
    return Log(*columns)  # type: ignore[arg-type]
