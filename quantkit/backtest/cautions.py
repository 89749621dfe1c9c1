"""What a reader should know before believing a result: plain sentences, read off the run itself.

Contract: pure; each check looks at arrays, never at what the caller said it did, so a result cannot hide anything.
The gravest come first. Shown at the top of the report and in `Result.warnings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.backtest.holdings import short_names
from quantkit.backtest.wording import count, percent
from quantkit.core.state import ENTRY_UNKNOWN, ORDER_STATUS, REASONS, RULES
from quantkit.market import KRX_MARKETS
from quantkit.strategy.blocks import history_of

if TYPE_CHECKING:
    from quantkit.backtest.result import Result

__all__ = ["REASON_WORDS", "cautions", "unfilled"]

FEW_TRADES, SHORT_YEARS, LARGE_SHARE = 30, 1.0, 0.05

REASON_WORDS = {
    "": "no reason given",
    "INSUFFICIENT_CASH": "not enough cash",
    "INSUFFICIENT_SHARES": "fewer shares held than ordered",
    "HALTED": "halted, or no trade in that bar",
    "LIMIT_LOCKED": "locked at the daily price limit",
    "COLLAR": "opened beyond the collar around the reference price",
    "STOPPED": "a stop closed the position first",
    "DELISTED": "left the list",
    "ORDER_TOO_LARGE": "order larger than the risk limit",
    "MAX_WEIGHT": "would exceed the weight limit of one name",
    "MAX_POSITIONS": "would exceed the number of positions allowed",
    "MAX_EXPOSURE": "would exceed the exposure allowed",
    "DAILY_LOSS": "daily loss limit reached",
    "DRAWDOWN": "drawdown limit reached",
    "PARTICIPATION": "more than the allowed part of the bar's volume",
    "EXPIRED": "its time ran out",
    "CANCELLED": "cancelled by the strategy",
    "REPLACED": "replaced by the strategy",
    "OCO": "another order of its group filled",
    "PARENT": "its entry ended unfilled",
    "OUT_OF_LIMITS": "price outside the day's limits",
    "NOT_ACCEPTED": "the exchange takes no such order then",
    "SHORT_BANNED": "short sales were banned",
    "MARGIN": "not enough margin",
    "TURNOVER": "turnover limit of the policy",
    "TOO_MANY_ORDERS": "more orders at work than the strategy has room for",
    "BAD_ORDER": "what it was given does not fit together",
}


# Ends that the rule itself chose or foresaw: nobody refused anything.
FORESEEN = frozenset(("EXPIRED", "CANCELLED", "REPLACED", "OCO", "PARENT"))


def unfilled(result: Result) -> list[tuple[str, str, int]]:
    """(status, reason code, number) of orders that were cut or dropped, most frequent first."""
    orders = result.run.orders
    found = []
    for status in ("cut", "dropped"):
        rows = orders["status"] == ORDER_STATUS.index(status)
        numbers = np.bincount(orders["reason"][rows].astype(np.int64), minlength=len(REASONS))
        found += [(status, REASONS[code], int(many)) for code, many in enumerate(numbers) if many]
    return sorted(found, key=lambda row: -row[2])


def _plural(number: float, one: str, many: str = "") -> str:
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def _prices(result: Result) -> list[str]:
    """How the fills were priced and what the prices are."""
    run, bars = result.run, result.bars
    said = []
    short = short_names(run)
    if len(short):
        korean = any(bars.markets[column] in KRX_MARKETS for column in short)
        whom = " No retail account in Korea can trade this: its orders cannot sell short." if korean else ""
        said.append(
            f'{_plural(len(short), "name")} sold short in simulation (short="simulate").{whom} Whether shares could be '
            "borrowed, recalls, the uptick rule and calls for margin are not in it."
        )
    same = int((run.fills["rule"] == RULES.index("same_close")).sum())
    if same:
        said.append(
            f'{_plural(same, "fill")} at the very close the decision was made on (fill="close"). Nobody can trade a '
            "price they needed to know first: expect less live."
        )
    if bars.prices == "adjusted":
        said.append(
            "The prices are adjusted, not as traded: tick sizes and price limits were off, share counts and minimum "
            "commissions are approximate, and dividends may already be in the prices."
        )
    actions = run.actions
    unknown = int((actions["kind"] == ENTRY_UNKNOWN).sum())
    if unknown:
        said.append(
            f"{_plural(unknown, 'corporate action')} of unknown kind on held names: treated as a split that leaves the "
            "value unchanged. Look them up."
        )
    sold = int(actions["assumed"].sum()) - unknown
    if sold:
        said.append(
            f"{_plural(sold, 'right')} (or part of a company spun off) of held names taken as sold at the theoretical "
            "value: what they would have fetched is not in the data."
        )
    return said


def _inside_the_day(result: Result) -> list[str]:
    """What bars shorter than a day take for granted."""
    run = result.run
    said: list[str] = []
    if not result.bars.intraday or not len(run.fills["bar"]):
        return said
    lost = int(run.fills["slippage"].sum())
    early = "the next bar's open is printed before an order decided on this one can be there"
    if lost == 0:
        said.append(f"Fills inside the day without slippage: {early}. Expect less live.")
    else:
        share = lost / float((run.fills["price"] * run.fills["quantity"]).sum() * result.bars.minor_unit)
        said.append(f"Fills inside the day pay {percent(share, digits=2)} of their value in slippage: {early}.")
    strategy = result.strategy
    if strategy is not None and not strategy.is_rule and history_of(strategy, intraday=True) == 0:
        said.append(
            f"{result.name} declares no warm-up: each session is evaluated from its first bar, so the rule sees its own"
            " session only. If it looks further back, give its class `warmup`."
        )
    return said


def _sample(result: Result) -> list[str]:
    """Whether there is enough to judge by."""
    stats = result.figures
    said = []
    if result.years < SHORT_YEARS:
        days = int(result.bars.days[-1] - result.bars.days[0]) + 1
        said.append(f"The run covers {_plural(days, 'day')}: yearly figures are extrapolated from less than a year.")
    if stats["trades"] < FEW_TRADES:
        said.append(
            f"{_plural(stats['trades'], 'closed round trip')}: fewer than {FEW_TRADES} say little about the next."
        )
    if np.any(result.run.equity <= 0):
        said.append("The account lost everything; figures after that point mean nothing.")
    return said


def _money(result: Result) -> list[str]:
    """What moved the result besides the rule."""
    stats, said = result.figures, []
    share = stats["proceeds_funded_share"]
    if share > LARGE_SHARE:
        said.append(
            f"{percent(share)} of what was bought was paid with sales of the same bar. A broker may not allow that "
            'at the open; funding="cash" shows the result without it.'
        )
    costs = stats["commission"] + stats["tax"] + stats["slippage"]
    gross = stats["profit"] + costs
    if costs > 0.5 * abs(gross) and costs > 0.0:
        said.append(
            f"Costs are {percent(costs / abs(gross), digits=0) if gross else 'all'} of the profit before costs."
        )
    still = int(stats["open_trades"])
    if still:
        said.append(
            f"{_plural(still, 'trade')} still open at the end, valued at the last close; closing costs are not in."
        )
    return said


def _paths(result: Result) -> list[str]:
    """Trades that hang on what a bar does not tell."""
    unsure = int(result.figures["ambiguous_trades"])
    if not unsure:
        return []
    some = f"{_plural(unsure, 'trade')} of {len(result.round_trips)}"
    return [f"{some} hang on which came first, the high or the low of a bar; result.paths() runs the other orders."]


def _orders(result: Result) -> list[str]:
    """Orders that did not fill in full."""
    rows = [row for row in unfilled(result) if row[1] not in FORESEEN]
    total = len(result.run.orders["bar"])
    lost = sum(many for _, _, many in rows)
    if not total or lost <= LARGE_SHARE * total:
        return []
    most = "; ".join(f"{count(many)} {status}: {REASON_WORDS.get(reason, reason)}" for status, reason, many in rows[:3])
    return [f"{count(lost)} of {_plural(total, 'order')} cut or dropped ({most})."]


def cautions(result: Result) -> list[str]:
    """All that applies to this result; empty when nothing does."""
    checks = (_prices, _inside_the_day, _sample, _orders, _paths, _money)
    said = [sentence for check in checks for sentence in check(result)]
    if not len(result.run.fills["bar"]):
        said.insert(0, "Nothing was ever traded.")
    return said
