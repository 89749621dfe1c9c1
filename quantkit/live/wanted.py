"""What a book asks for: orders that should stand at the exchange, and what became of those that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from quantkit.core.state import (
    AT_CLOSE,
    AT_OPEN,
    CLOSING,
    KIND_CLOSE,
    KIND_CONDITIONAL,
    KIND_LIMIT,
    KIND_OPEN,
    KIND_SAME_CLOSE,
    KIND_STOP_LIMIT,
    KIND_VWAP,
    OPENING,
    REASONS,
    RULE_CLOSE,
    RULE_HELD,
    RULE_LIMIT,
    RULE_OPEN,
    RULE_SAME_CLOSE,
    RULE_STOP,
    RULE_STOP_GAP,
    RULE_TAKE,
    RULE_TAKE_GAP,
    RULE_TRAIL,
    RULE_TRAIL_GAP,
    RULE_VWAP,
    TAG_HELD_OUT,
    TIFS,
    Records,
)

if TYPE_CHECKING:
    from quantkit.core.outside import Standing


class Wanted(NamedTuple):
    """An order of the fold that should stand at the exchange, or will in the next window."""

    order: int  # id in the fold
    symbol: int  # column
    side: int  # +1 buy, -1 sell
    quantity: int  # shares still to fill
    limit: float  # price to send, on the day's grid, collar included; nan: market, or not known before the morning
    kind: str  # "open", "close", "at_open", "at_close", "limit", "conditional", "market", "vwap", "same_close"
    tif: str  # "day", "ioc", "fok"
    rule: str  # "target", "own", "stop_loss", "take_profit", "trailing_stop", "max_holding"
    tag: int


class Ended(NamedTuple):
    """An order of the fold whose life is over."""

    order: int
    reason: str  # "" where it filled whole
    filled: int


class Morning(NamedTuple):
    """What a book says before a bar's first trade."""

    wanted: tuple[Wanted, ...]
    ended: tuple[Ended, ...]


class Evening(NamedTuple):
    """What a book says when a bar is over."""

    decided: tuple[Wanted, ...]
    ended: tuple[Ended, ...]
    equity: int
    cash: int


class Advanced(NamedTuple):
    """What a book says when it has run over quiet bars."""

    row: int  # the first bar that must be gone through part by part, or the number of rows
    decided: tuple[Wanted, ...]  # on the bar before it
    ended: tuple[Ended, ...]


STOP_RULES = {
    RULE_STOP: "stop_loss",
    RULE_STOP_GAP: "stop_loss",
    RULE_TRAIL: "trailing_stop",
    RULE_TRAIL_GAP: "trailing_stop",
    RULE_TAKE: "take_profit",
    RULE_TAKE_GAP: "take_profit",
}
_AUCTIONS = {AT_OPEN: "at_open", AT_CLOSE: "at_close"}  # whichever bar comes first
_KINDS = {
    KIND_LIMIT: "limit",
    KIND_STOP_LIMIT: "limit",
    KIND_CONDITIONAL: "conditional",
    KIND_SAME_CLOSE: "same_close",
    KIND_VWAP: "vwap",
}
_RULES = {
    KIND_OPEN: RULE_OPEN,
    KIND_CLOSE: RULE_CLOSE,
    KIND_SAME_CLOSE: RULE_SAME_CLOSE,
    KIND_VWAP: RULE_VWAP,
    KIND_LIMIT: RULE_LIMIT,
    KIND_CONDITIONAL: RULE_LIMIT,
    KIND_STOP_LIMIT: RULE_LIMIT,
}


def rule_of_kind(kind: int) -> int:
    """What a fill of an order of this kind is booked as."""
    return _RULES.get(kind, RULE_HELD)


def wanted_of(row: Standing, phase: int | None) -> Wanted:
    """A standing order in words. phase: of the bar it may fill in, `DATE.phase`; None: not yet known."""
    kind, own = row.kind, bool(row.own)
    if row.at:
        word = _AUCTIONS[row.at]
    elif kind == KIND_OPEN:
        word = "open" if phase is None or phase & OPENING else "market"
    elif kind == KIND_CLOSE:
        word = "close" if phase is None or phase & CLOSING else "market"
    else:
        word = _KINDS.get(kind, "market")
    if word == "limit" and row.limit != row.limit:
        word = "market"
    tif = TIFS[row.tif]
    rule = "own" if own else "max_holding" if row.tag == TAG_HELD_OUT else "target"
    return Wanted(
        row.order, row.symbol, row.side, row.quantity, row.limit, word, tif if tif in ("ioc", "fok") else "day", rule,
        row.tag,
    )  # fmt: skip


def ended_of(orders: Records) -> tuple[Ended, ...]:
    """ORDER_ROW rows in words."""
    names = ("order_id", "reason", "filled")
    return tuple(
        Ended(order, REASONS[reason], filled)
        for order, reason, filled in zip(*(orders[name].tolist() for name in names), strict=True)
    )


def reason_code(reason: str) -> int:
    """The fold's number for a reason; what it has no word for was cancelled."""
    return REASONS.index(reason if reason in REASONS else "CANCELLED")
