"""The numbers that stand for words in a run: places, kinds, rules, reasons, bits.

Contract: a name's number is its place in the tuple beside it, which is how tables and reports show it. `core.state`
passes all of them on, so the compiled steps have one place to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BUY, SELL = 1, -1
i64 = cast("Callable[[float], int]", np.int64)  # a whole number as compiled code counts them

# Places in State.account.
DAY, SETTLED, NEXT_1, NEXT_2, RECEIVABLE, EQUITY, DAY_START, PEAK_EQUITY = range(8)
LATCH, N_ACTIVE, N_ORDERS, NEXT_ID, N_PAY, WAITING, BARS, CASH_BEFORE = range(8, 16)
NEW_SESSION, PREV_ROW, EVENT, SET_CHANGED, UNMET, POOL, NEXT_GROUP = range(16, 23)
UNCLOSED, OWN_CASH, OWN_WORKING, SESSION_BAR, SHORT_VALUE, AT_PRINTS, ENDED, QUIET = range(23, 31)
# WAITING: values to size or places to give; UNMET: some goal may differ from its shares.
# UNCLOSED: the session so far had no bar with its closing auction.
# OWN_WORKING: own orders that work. AT_PRINTS: orders that may fill at a print of this bar. ENDED: 1 when own orders
# have ended and are still in the table. QUIET: orders that rest as they did on the bar before, 0 when anything has
# happened to one; then `NAME.above` and `NAME.below` say where the next one acts.
# SESSION_BAR: bars of this session before this one.
# OWN_CASH: what the sales of one name on its path have brought so far.
# POOL: what buys on the bar's path may still spend.
# SHORT_VALUE: what the short positions were worth at the last mark.
ACCOUNT_SIZE = 32

# ORDER.short: made by a goal to sell short, or to buy back; 0: neither.
OPENS, COVERS = 1, 2

# Bits of State.marks, one word a name.
IN, BLOCKED, FRESH_VALUE, FRESH_GOAL, OPEN_ENTRY, CLOSE_ENTRY, SCRATCH, UNIT_DUE, HELD_OUT, STILL = (
    1 << n for n in range(10)
)

# Tags of orders that a policy made for another reason than the target; a strategy's own are its own numbers.
TAG_HELD_OUT = -1

# Bits of account[LATCH].
DAILY_LOSS_LATCH, DRAWDOWN_LATCH = 1, 2

# Bits of dates["phase"]: the bar holds the print of the session's opening auction, of its closing auction.
OPENING, CLOSING, AUCTION_ONLY = 1, 2, 4

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
    "vwap",
    "limit",
    "limit_open",
    "conditional_close",
    "stop",
    "stop_open",
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
    RULE_VWAP,
    RULE_LIMIT,
    RULE_LIMIT_OPEN,
    RULE_CONDITIONAL,
    RULE_HELD,
    RULE_HELD_OPEN,
) = range(16)

# The first four fill once, at a print; the next four are the policy's own; the rest are a strategy's orders.
ORDER_KINDS = (
    "at_open",
    "at_close",
    "same_close",
    "vwap",
    "stop_loss",
    "trailing_stop",
    "take_profit",
    "delisting",
    "limit",
    "conditional",
    "stop",
    "stop_limit",
    "trailing",
    "from_open",
)
KIND_OPEN, KIND_CLOSE, KIND_SAME_CLOSE, KIND_VWAP, KIND_STOP, KIND_TRAIL, KIND_TAKE, KIND_DELISTING = range(8)
KIND_LIMIT, KIND_CONDITIONAL, KIND_HELD_STOP, KIND_STOP_LIMIT, KIND_HELD_TRAIL, KIND_FROM_OPEN = range(8, 14)

# How long an order of a strategy lives.
TIFS = ("day", "ioc", "fok", "gtc", "conditional")
TIF_DAY, TIF_IOC, TIF_FOK, TIF_GTC, TIF_CONDITIONAL = range(5)
ATS = ("", "open", "close")
AT_ANY, AT_OPEN, AT_CLOSE = range(3)

# Where it stands: decided, waiting for its entry, live at the exchange or with us, triggered.
STAGE_NEW, STAGE_CHILD, STAGE_LIVE, STAGE_TRIGGERED, STAGE_OVER = range(5)

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
    "PARTICIPATION",
    "EXPIRED",
    "CANCELLED",
    "REPLACED",
    "OCO",
    "PARENT",
    "OUT_OF_LIMITS",
    "NOT_ACCEPTED",
    "SHORT_BANNED",
    "MARGIN",
    "TURNOVER",
    "TOO_MANY_ORDERS",
    "BAD_ORDER",
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
    TOO_THIN,
    EXPIRED,
    CANCELLED,
    REPLACED,
    ONE_CANCELS_OTHER,
    PARENT_GONE,
    OUT_OF_LIMITS,
    NOT_ACCEPTED,
    SHORT_BANNED,
    NO_MARGIN,
    OVER_TURNOVER,
    TOO_MANY_ORDERS,
    BAD_ORDER,
) = range(27)

EVENT_KINDS = ("deposit", "action", "market", "delisted")
EVENT_DEPOSIT, EVENT_ACTION, EVENT_MARKET, EVENT_DELISTED = range(4)
