"""The gates, one by one: what each lets through, what it denies, and with which code."""

from __future__ import annotations

import ast
import dataclasses
import datetime as dt
import math
from pathlib import Path
from typing import Any

import pytest

from quantkit.core.policy import Policy, RiskLimits
from quantkit.errors import Bug, ConfigError
from quantkit.live.risk import GATES, Denied, GateLimits, View, check, money, pricing
from quantkit.live.risk.judged import judged
from quantkit.live.switch import FREE, Mode, Modes
from quantkit.market.costs import Costs
from quantkit.trading.approval import Approved
from quantkit.trading.orders import Intent, Order, OrderType, Side, Status, TimeInForce, Window, new_order
from quantkit.trading.ports import InstrumentDay

REPOSITORY = Path(__file__).parents[2]
S = 1_000_000_000
NOW = 1_790_000_000 * S
DAY = dt.date(2026, 9, 21)
NAME = "005930"
RUNNING = Mode.RUNNING


def intent(side: Side = Side.BUY, quantity: int = 10, price: float | None = 70_000.0, **changes: Any) -> Intent:
    """A limit order in continuous trading, decided at 70,000 by the fold."""
    window = Window(changes.pop("window", "continuous"), changes.pop("opens", NOW - S), changes.pop("closes", NOW + S))
    kind = changes.pop("type", OrderType.LIMIT if price is not None else OrderType.MARKET)
    given = {"id": "d:1:0", "deployment": "d", "symbol": NAME, "fold_order": 0, "decision_price": 70_000.0}
    return Intent(side=side, quantity=quantity, type=kind, price=price, window=window, **{**given, **changes})


def order(side: Side = Side.BUY, quantity: int = 10, price: float | None = 70_000.0, **changes: Any) -> Order:
    return new_order(intent(side, quantity, price, **changes))


def working(side: Side, quantity: int = 10, price: float | None = 70_000.0, **changes: Any) -> Order:
    """Another order of the account, which stands at the broker."""
    made = order(side, quantity, price, **{"id": "d:0:9", **changes})
    return made.to(Status.SUBMITTED).to(Status.ACCEPTED)


def day(**changes: Any) -> InstrumentDay:
    return InstrumentDay(symbol=NAME, base=70_000.0, previous_close=70_000.0, **changes)


def view(limits: dict[str, Any] | None = None, **changes: Any) -> View:
    """A quiet account with 10 million in cash, holding 100 shares: everything passes."""
    given: dict[str, Any] = {
        "now": NOW, "modes": FREE, "market": "KOSPI", "date": DAY, "phase": "continuous", "slot_busy": False,
        "reconciling": False, "seen": set(), "working": (), "available": 10_000_000, "sellable": 100,
        "equity": 17_000_000, "positions": {NAME: 100}, "prices": {NAME: 70_000.0}, "sent_last_minute": 0,
        "sent_today": 0, "last_price": 70_000.0, "last_time": NOW, "base": 70_000.0, "instrument": day(),
    }  # fmt: skip
    return View(limits=GateLimits(**(limits or {})), **{**given, **changes})


def code(asked: Order, seen: View) -> str:
    """ "" for an approval of exactly that order, else the code of the denial."""
    answer = check(asked, seen)
    if isinstance(answer, Denied):
        assert answer.detail
        return answer.code
    assert isinstance(answer, Approved)
    assert (answer.order, answer.quantity, answer.price) == (asked, asked.quantity, asked.price)
    return ""


BUY, SELL = Side.BUY, Side.SELL
EXIT = {"reduces": True, "rule": "stop_loss"}
HALT = Modes(RUNNING, RUNNING, Mode.HALTED, RUNNING)
REDUCE = Modes(RUNNING, RUNNING, RUNNING, Mode.REDUCING)
AUCTION = {"window": "opening_auction"}
AT_OPEN: dict[str, Any] = {"phase": "opening_orders", "last_price": None, "last_time": None}


def test_a_quiet_account_may_buy_and_sell() -> None:
    assert code(order(BUY), view()) == ""
    assert code(order(SELL), view()) == ""
    assert code(order(BUY, price=None), view()) == ""


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("mode", [Mode.REDUCING, Mode.FLATTEN, Mode.HALTED])
def test_each_scope_of_the_switch_holds_buys_back(place: int, mode: Mode) -> None:
    modes = Modes(*(mode if at == place else RUNNING for at in range(5)))
    wanted = "TRADING_HALTED" if mode is Mode.HALTED else "TRADING_REDUCING"
    assert code(order(BUY), view(modes=modes)) == wanted
    assert code(order(SELL), view(modes=modes)) == ("TRADING_HALTED" if mode is Mode.HALTED else "")


def test_reducing_lets_through_no_more_than_is_held_and_not_on_sale() -> None:
    assert code(order(SELL, 100), view(modes=REDUCE)) == ""
    assert code(order(SELL, 101), view(modes=REDUCE, sellable=200)) == "TRADING_REDUCING"
    assert code(order(SELL, 91), view(modes=REDUCE, working=(working(SELL),))) == "TRADING_REDUCING"
    assert code(order(SELL, 90), view(modes=REDUCE, working=(working(SELL),))) == ""


def test_an_order_that_only_says_it_reduces_is_not_believed() -> None:
    assert code(order(BUY, **EXIT), view(modes=REDUCE)) == "TRADING_REDUCING"


def test_a_short_position_is_reduced_by_buying() -> None:
    short = {"positions": {NAME: -20}, "modes": REDUCE}
    assert code(order(BUY, 20), view({"short": True}, available=0, **short)) == ""
    assert code(order(BUY, 21), view({"short": True}, **short)) == "TRADING_REDUCING"
    assert code(order(BUY, 20), view(available=0, **short)) == "INSUFFICIENT_CASH"


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        ("UNRESOLVED_SLOT", {"slot_busy": True}),
        ("STREAM_RECONCILING", {"reconciling": True}),
        ("STALE_QUOTE", {"last_price": None}),
        ("STALE_QUOTE", {"last_price": math.nan}),
        ("STALE_QUOTE", {"last_price": 0.0}),
        ("STALE_QUOTE", {"last_time": None}),
        ("STALE_QUOTE", {"last_time": NOW - 3 * S - 1_000_000}),
        ("STALE_QUOTE", {"last_time": NOW + 3 * S + 1_000_000}),
        ("", {"last_time": NOW - 3 * S}),
        ("SESSION_PHASE", {"phase": None}),
        ("SESSION_PHASE", {"phase": "closing_auction", "last_price": None}),
        ("SESSION_PHASE", {"phase": "at_close"}),
        ("SESSION_PHASE", {"now": NOW + S, "last_time": NOW + S}),
        ("SESSION_PHASE", {"now": NOW - 2 * S}),
        ("SESSION_PHASE", {"market": "ELSEWHERE"}),
        ("", {"phase": "vi_auction"}),
        ("INSTRUMENT_BLOCKED", {"instrument": None}),
        ("INSTRUMENT_BLOCKED", {"instrument": day(halted=True)}),
        ("INSTRUMENT_BLOCKED", {"instrument": day(managed=True)}),
        ("INSTRUMENT_BLOCKED", {"instrument": day(liquidation=True)}),
        ("INSTRUMENT_BLOCKED", {"instrument": day(single_price=True)}),
        ("DUPLICATE_SIGNAL", {"seen": {"d:1:0"}}),
        ("PRICE_LIMIT", {"base": None}),
        ("PRICE_LIMIT", {"base": math.nan}),
        ("INSUFFICIENT_CASH", {"available": 699_999}),
        ("", {"available": 700_000}),
        ("INSUFFICIENT_CASH", {"available": math.nan}),
        ("ORDER_RATE", {"sent_last_minute": 1_000}),
        ("ORDER_RATE", {"sent_today": 20_000}),
    ],
)  # fmt: skip
def test_what_a_buy_is_denied_for(wanted: str, changes: dict[str, Any]) -> None:
    assert code(order(BUY), view(**changes)) == wanted


def test_orders_into_an_auction_rest_on_the_base_price() -> None:
    assert code(order(BUY, **AUCTION), view(**AT_OPEN)) == ""
    assert code(order(BUY, **AUCTION), view(**{**AT_OPEN, "base": None})) == "STALE_QUOTE"
    assert code(order(BUY, **AUCTION), view(**{**AT_OPEN, "phase": "opening_auction"})) == ""
    assert code(order(BUY, price=77_000.0, **AUCTION), view(**AT_OPEN)) == ""
    assert code(order(BUY, price=77_100.0, **AUCTION), view(**AT_OPEN)) == "PRICE_COLLAR"
    assert code(order(BUY, **AUCTION), view()) == "SESSION_PHASE"  # its auction is over


def test_an_order_for_the_whole_session_goes_out_in_any_phase_before_the_closing_call() -> None:
    whole = order(BUY, window="session")
    assert code(whole, view(**AT_OPEN)) == ""
    assert code(whole, view()) == ""
    assert code(whole, view(phase="vi_auction")) == ""
    assert code(whole, view(phase="closing_auction")) == "SESSION_PHASE"


def test_a_replacement_is_not_held_to_the_window_it_was_sent_in() -> None:
    stands = order(BUY, **AUCTION, closes=NOW).to(Status.SUBMITTED).to(Status.ACCEPTED)
    assert code(stands, view(ask="modify")) == ""
    assert code(stands, view(ask="modify", last_price=60_000.0)) == "PRICE_COLLAR"  # measured against the market now
    assert code(stands, view(ask="modify", phase=None)) == "SESSION_PHASE"
    shrinks = working(BUY, type=OrderType.CONDITIONAL)
    assert code(shrinks, view(ask="modify", phase="closing_auction")) == ""


def test_kinds_that_a_phase_or_a_name_does_not_take() -> None:
    immediate = order(BUY, tif=TimeInForce.IOC, **AUCTION)
    assert code(immediate, view(**AT_OPEN)) == "SESSION_PHASE"
    conditional = order(BUY, type=OrderType.CONDITIONAL)
    assert code(conditional, view()) == ""
    assert code(order(BUY, type=OrderType.CONDITIONAL, tif=TimeInForce.FOK), view()) == "SESSION_PHASE"
    for state in ("liquidation", "managed", "single_price"):
        seen = view(limits={"blocked": frozenset()}, instrument=day(**{state: True}))
        assert code(conditional, seen) == "SESSION_PHASE"
        assert code(order(BUY), seen) == ""


def test_names_in_trouble_may_be_left_but_a_halted_one_not() -> None:
    assert code(order(SELL), view(instrument=day(managed=True))) == ""
    assert code(order(SELL), view(instrument=day(halted=True))) == "INSTRUMENT_BLOCKED"


def test_an_order_that_has_left_before_does_not_leave_again() -> None:
    sent = order(BUY).to(Status.SUBMITTED)
    assert code(sent, view()) == "DUPLICATE_SIGNAL"
    assert code(order(BUY).to(Status.TRIGGERED), view()) == ""
    accepted = dataclasses.replace(sent.to(Status.ACCEPTED), quantity=20)
    assert code(accepted, view(ask="modify", slot_busy=True, seen={"d:1:0"})) == ""


@pytest.mark.parametrize(
    ("wanted", "price"),
    [
        ("PRICE_TICK", 70_050.0), ("PRICE_TICK", math.nan), ("PRICE_TICK", math.inf), ("PRICE_TICK", -100.0),
        ("PRICE_TICK", 0.0), ("PRICE_LIMIT", 91_100.0), ("PRICE_LIMIT", 48_900.0), ("PRICE_COLLAR", 91_000.0),
        ("", 49_000.0), ("", 79_300.0), ("PRICE_COLLAR", 79_400.0),
    ],
)  # fmt: skip
def test_prices_of_a_buy(wanted: str, price: float) -> None:
    assert code(order(BUY, 1, price), view()) == wanted


@pytest.mark.parametrize(
    ("wanted", "price", "more"),
    [
        ("", 61_200.0, {}),
        ("PRICE_COLLAR", 61_000.0, {}),
        ("", 67_900.0, {"fold_order": -1}),
        ("PRICE_COLLAR", 67_800.0, {"fold_order": -1}),
        ("", 49_000.0, EXIT),
    ],
)
def test_prices_of_a_sale(wanted: str, price: float, more: dict[str, Any]) -> None:
    assert code(order(SELL, 10, price, **more), view()) == wanted


def test_a_persons_buy_stays_near_the_last_price() -> None:
    assert code(order(BUY, 1, 72_100.0, fold_order=-1), view()) == ""
    assert code(order(BUY, 1, 72_200.0, fold_order=-1), view()) == "PRICE_COLLAR"


def test_a_collar_needs_something_to_be_measured_against() -> None:
    """The gate itself fails closed, though the one before it would have denied already."""

    asked, seen = order(BUY), view(last_price=math.nan)
    answer = pricing.collar(asked, seen, judged(asked, seen))
    assert answer is not None
    assert answer.code == "PRICE_COLLAR"


def test_a_conditional_order_does_not_stand_at_the_limit_where_it_would_be_last() -> None:
    at_top, at_bottom = {"last_price": 91_000.0}, {"last_price": 49_000.0}
    assert code(order(BUY, 1, 91_000.0, type=OrderType.CONDITIONAL), view(**at_top)) == "PRICE_LIMIT"
    assert code(order(SELL, 1, 49_000.0, type=OrderType.CONDITIONAL), view(**at_bottom)) == "PRICE_LIMIT"
    assert code(order(SELL, 1, 91_000.0, type=OrderType.CONDITIONAL), view(**at_top)) == ""


def test_limits_follow_what_a_name_is_today() -> None:
    wide = {"last_price": 120_000.0, "available": 10**9}
    assert code(order(BUY, 1, 120_000.0), view(**wide)) == "PRICE_LIMIT"
    assert code(order(BUY, 1, 120_000.0), view(instrument=day(first_day=True), **wide)) == ""
    assert code(order(BUY, 1, 120_000.0), view(market="ETF", instrument=day(leverage=2.0), **wide)) == "PRICE_LIMIT"
    assert code(order(BUY, 1, 112_000.0), view(market="ETF", instrument=day(leverage=2.0), **wide)) == ""
    ending = view(limits={"blocked": frozenset()}, instrument=day(liquidation=True), **wide)
    assert code(order(BUY, 1, 120_000.0), ending) == ""


def test_adjusted_prices_stand_on_no_grid_and_other_markets_on_their_own() -> None:
    assert code(order(BUY, 1, 70_000.5), view(raw=False)) == ""
    assert code(order(BUY, 1, 70_000.55), view(market="US")) == ""
    assert code(order(BUY, 1, 70_000.555), view(market="US")) == "PRICE_TICK"
    assert code(order(BUY, 1, 70_000.555), view(market="NONE")) == ""


def test_no_market_that_nobody_knows_passes_a_price_gate() -> None:

    asked, seen = order(BUY), view(market="ELSEWHERE")
    facts = judged(asked, seen)
    assert [getattr(gate(asked, seen, facts), "code", "") for gate in (pricing.tick, pricing.limit)] == [
        "PRICE_TICK",
        "PRICE_LIMIT",
    ]


@pytest.mark.parametrize("side", Side)
def test_an_elw_is_ordered_in_lots_of_ten(side: Side) -> None:
    known = {"market": "ELW", "instrument": dataclasses.replace(day(), base=1_000.0), "base": 1_000.0,
             "prices": {NAME: 1_000.0}, "last_price": 1_000.0}  # fmt: skip
    for quantity, said in ((10, ""), (100, ""), (25, "BAD_ORDER"), (5, "BAD_ORDER")):
        assert code(order(side, quantity, 1_000.0), view(**known)) == said
    assert code(order(side, 20, 1_050.0 if side is Side.SELL else 980.0), view(**known)) == ""
    assert code(order(side, 20, 1_002.0), view(**known)) == "PRICE_TICK"
    assert code(order(side, 20, None), view(**known)) == "SESSION_PHASE"
    answer = check(order(side, 25, 1_000.0), view(**known))
    assert isinstance(answer, Denied)
    assert answer.detail == "ORDER_LOT quantity=25 market=ELW: a multiple of 10 is needed, such as 20 or 30"


@pytest.mark.parametrize("quantity", [0, -1, 1.5, True, math.nan])
def test_only_whole_shares_are_ordered(quantity: Any) -> None:
    assert code(dataclasses.replace(order(BUY), quantity=quantity), view()) == "BAD_ORDER"


@pytest.mark.parametrize(
    ("wanted", "limits", "changes"),
    [
        ("ORDER_TOO_LARGE", {"max_order_shares": 9}, {}),
        ("", {"max_order_shares": 10}, {}),
        ("ORDER_TOO_LARGE", {"max_order_value": 699_999.0}, {}),
        ("", {"max_order_value": 700_000.0}, {}),
        ("ORDER_TOO_LARGE", {"max_order_weight": 0.04}, {}),
        ("", {"max_order_weight": 0.05}, {}),
        ("ORDER_TOO_LARGE", {"max_order_weight": 0.05}, {"equity": math.nan}),
        ("ORDER_TOO_LARGE", {"max_order_adv": 0.1}, {"adv": 99.0}),
        ("", {"max_order_adv": 0.1}, {"adv": 100.0}),
        ("ORDER_TOO_LARGE", {"max_order_adv": 0.1}, {}),
        ("ORDER_TOO_LARGE", {"max_order_adv": 0.1}, {"adv": math.nan}),
        ("MAX_WEIGHT", {"max_weight": 0.45}, {}),
        ("", {"max_weight": 0.46}, {}),
        ("MAX_WEIGHT", {"max_weight": 0.46}, {"working": (working(BUY, 5),)}),
        ("", {"max_weight": 0.46}, {"working": (working(BUY, 5, deployment="other"), working(SELL, 5, 80_000.0))}),
        ("MAX_WEIGHT", {"max_weight": 1.0}, {"prices": {}}),
        ("MAX_WEIGHT", {"max_weight": 1.0}, {"equity": math.nan}),
        ("", {"max_weight": 0.1}, {"positions": {}, "prices": {}}),
        ("MAX_EXPOSURE", {"max_exposure": 0.45}, {}),
        ("", {"max_exposure": 0.46}, {}),
        ("MAX_EXPOSURE", {"max_exposure": 0.46}, {"working": (working(BUY, 5, symbol="000660"),)}),
        ("", {"max_exposure": 0.42}, {"working": (working(SELL, 10, 80_000.0),)}),
        ("MAX_EXPOSURE", {"max_exposure": 9.0}, {"positions": {NAME: 100, "000660": 1}}),
        ("", {"max_exposure": 9.0}, {"positions": {NAME: 100, "000660": 0}}),
        ("MAX_EXPOSURE", {"max_exposure": 9.0}, {"prices": {NAME: math.nan}}),
        ("MAX_POSITIONS", {"max_names": 1}, {"positions": {"000660": 5, "000020": 0}}),
        ("", {"max_names": 2}, {"positions": {"000660": 5}}),
        ("", {"max_names": 1}, {}),
        ("MAX_POSITIONS", {"max_names": 1}, {"positions": {}, "working": (working(BUY, symbol="000660"),)}),
        ("", {"max_names": 1}, {"positions": {}, "working": (working(BUY),)}),
        ("INSUFFICIENT_CASH", {"min_cash": 9_300_001.0}, {}),
        ("", {"min_cash": 9_300_000.0}, {}),
        ("DAILY_LOSS", {"max_daily_loss": 0.05}, {"day_start_equity": 18_000_000}),
        ("", {"max_daily_loss": 0.05}, {"day_start_equity": 17_500_000}),
        ("DAILY_LOSS", {"max_daily_loss": 0.05}, {}),
        ("DAILY_LOSS", {"max_daily_loss": 0.05}, {"day_start_equity": 17_000_000, "equity": math.nan}),
        ("DRAWDOWN", {"max_drawdown": 0.1}, {"peak_equity": 19_000_000}),
        ("DRAWDOWN", {"max_drawdown": 0.1}, {}),
        ("", {"max_drawdown": 0.2}, {"peak_equity": 19_000_000}),
        ("LOSS_STREAK", {"max_loss_streak": 3}, {"losses_in_row": 3}),
        ("LOSS_STREAK", {"max_loss_streak": 3}, {}),
        ("", {"max_loss_streak": 3}, {"losses_in_row": 2}),
    ],
)  # fmt: skip
def test_money_limits_of_a_buy(wanted: str, limits: dict[str, Any], changes: dict[str, Any]) -> None:
    assert code(order(BUY), view(limits, **changes)) == wanted


def test_money_limits_without_a_price_deny() -> None:
    seen = {"market": "NONE", "base": None}
    for wanted, limits in (
        ("ORDER_TOO_LARGE", {"max_order_value": 1e9}), ("MAX_WEIGHT", {"max_weight": 9.0}),
        ("MAX_EXPOSURE", {"max_exposure": 9.0}), ("INSUFFICIENT_CASH", {}),
    ):  # fmt: skip
        asked = order(BUY, decision_price=None, price=None)

        sight = view(limits, last_price=None, **seen)
        facts = judged(asked, sight)
        codes = [
            denied.code
            for gate in (money.size, money.weight, money.exposure, money.cash)
            if (denied := gate(asked, sight, facts)) is not None
        ]
        assert wanted in codes
    unpriced = working(BUY, price=None, symbol="000660", decision_price=None)
    assert code(order(BUY), view({"max_exposure": 9.0}, working=(unpriced,))) == "MAX_EXPOSURE"
    assert code(order(BUY), view({"max_weight": 9.0}, working=(working(BUY, price=None, decision_price=math.nan),))) \
        == "MAX_WEIGHT"  # fmt: skip


def test_a_market_order_binds_the_upper_limit_and_commission() -> None:
    asked = order(BUY, 10, None)
    assert code(asked, view(available=910_000)) == ""
    assert code(asked, view(available=909_999)) == "INSUFFICIENT_CASH"
    assert code(asked, view(available=910_000, costs=Costs.kis())) == "INSUFFICIENT_CASH"
    assert code(asked, view(available=910_127, costs=Costs.kis())) == ""
    abroad = {"market": "US", "unit": 100, "base": 70_000.0}
    assert code(asked, view(available=70_000_000, **abroad)) == ""
    assert code(asked, view(available=69_999_999, **abroad)) == "INSUFFICIENT_CASH"


def test_sales_are_bounded_by_what_is_held_and_sellable() -> None:
    assert code(order(SELL, 100), view()) == ""
    assert code(order(SELL, 101), view()) == "INSUFFICIENT_SHARES"
    assert code(order(SELL, 100), view(sellable=99)) == "INSUFFICIENT_SHARES"
    assert code(order(SELL, 100), view(positions={NAME: 40}, sellable=100)) == "INSUFFICIENT_SHARES"
    assert code(order(SELL, 101), view({"short": True})) == ""
    assert code(order(SELL, 10), view({"short": True, "max_weight": 0.1}, positions={})) == ""
    assert code(order(SELL, 100), view({"short": True, "max_weight": 0.1}, positions={})) == "MAX_WEIGHT"


def test_exits_skip_size_rate_and_losses_and_other_sales_all_but_the_rate() -> None:
    tight = {"max_order_value": 1.0, "max_weight": 0.01, "max_exposure": 0.01, "max_names": 1, "max_daily_loss": 0.01,
             "per_minute": 1, "max_loss_streak": 1, "max_drawdown": 0.01}  # fmt: skip
    seen = view(tight, sent_last_minute=1)
    assert code(order(SELL, **EXIT), seen) == ""
    assert code(order(SELL), seen) == "ORDER_RATE"
    assert code(order(SELL), view({**tight, "per_minute": 2}, sent_last_minute=1)) == ""


@pytest.mark.parametrize(
    ("wanted", "side", "price", "other", "changes"),
    [
        ("SELF_CROSS", BUY, 70_000.0, 70_000.0, {}),
        ("", BUY, 69_900.0, 70_000.0, {}),
        ("SELF_CROSS", SELL, 70_000.0, 70_000.0, {}),
        ("", SELL, 70_100.0, 70_000.0, {}),
        ("SELF_CROSS", BUY, None, 70_000.0, {}),
        ("SELF_CROSS", SELL, 70_000.0, None, {}),
        ("SELF_CROSS", SELL, 70_000.0, 70_000.0, {"deployment": "other"}),
        ("", SELL, 70_000.0, 70_000.0, {"symbol": "000660"}),
        ("SELF_CROSS", SELL, 70_000.0, math.nan, {}),
    ],
)  # fmt: skip
def test_no_trade_with_oneself(wanted: str, side: Side, price: float, other: float, changes: dict[str, Any]) -> None:
    against = working(SELL if side is BUY else BUY, 1, other, **changes)
    assert code(order(side, 1, price, **EXIT), view(working=(against,))) == wanted
    alike = working(side, 1, other, **changes)
    assert code(order(side, 1, price), view(working=(alike,))) == ""
    assert code(order(side, 1, price), view(working=(against.to(Status.CANCELED),))) == ""


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.PENDING_CANCEL])
def test_a_cancel_passes_whatever_stands(status: Status) -> None:
    asked = dataclasses.replace(working(BUY), status=status)
    seen = view(
        modes=HALT, reconciling=True, slot_busy=True, phase=None, instrument=None, last_price=None, ask="cancel"
    )
    assert code(asked, seen) == ""


def test_the_first_gate_that_says_no_decides() -> None:
    names = [gate.__name__ for gate in GATES]
    assert names == [
        "trading", "slot", "stream", "quote", "phase", "instrument", "duplicate", "quantity", "tick", "limit", "collar",
        "size", "names", "weight", "exposure", "cash", "shares", "crossing", "rate", "losses",
    ]  # fmt: skip
    assert code(order(BUY), view(modes=HALT, slot_busy=True, available=0)) == "TRADING_HALTED"
    assert code(order(BUY), view(slot_busy=True, available=0)) == "UNRESOLVED_SLOT"


def test_losses_ask_for_reducing() -> None:
    for each in ("DAILY_LOSS", "DRAWDOWN", "LOSS_STREAK"):
        assert Denied(each, "").sets_reducing
    assert not Denied("ORDER_RATE", "").sets_reducing


def test_gate_limits_are_those_of_the_fold_and_of_the_policy() -> None:
    limits = RiskLimits(max_order_value=1e6, max_order_shares=10, max_weight=0.2, max_names=3, max_exposure=0.9,
                        max_daily_loss=0.02, max_drawdown=0.3, min_cash=1000)  # fmt: skip
    made = GateLimits.of(limits, Policy(collar=0.2))
    assert {name: getattr(made, name) for name in limits.to_dict()} == limits.to_dict()
    assert (made.policy_collar, made.exit_collar, made.short, made.collar) == (0.2, 0.4, False, 0.03)
    bare = GateLimits.of(policy=Policy(collar=None, short="simulate", weighting="weight"), per_day=7)
    assert (bare.policy_collar, bare.exit_collar, bare.short, bare.per_day) == (0.1, 0.3, True, 7)
    assert GateLimits.of() == GateLimits()


@pytest.mark.parametrize("given", [{"collar": -0.1}, {"collar": math.nan}, {"max_weight": math.inf},
                                   {"blocked": frozenset({"pretty"})}])  # fmt: skip
def test_gate_limits_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        GateLimits(**given)


def test_only_the_gates_approve() -> None:
    """No module but the pipeline of the gates calls `approve` or makes an `Approved`."""
    callers = set()
    for path in (REPOSITORY / "quantkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in ("approve", "Approved"):
                    callers.add(str(path.relative_to(REPOSITORY / "quantkit")))
            if isinstance(node, ast.ImportFrom) and any(alias.name in ("approve", "_SEAL") for alias in node.names):
                callers.add(str(path.relative_to(REPOSITORY / "quantkit")))
    assert callers == {"trading/approval.py", "live/risk/pipeline.py"}


def test_approved_cannot_be_made_by_hand() -> None:
    with pytest.raises(Bug, match="did not pass the gates"):
        Approved(order(BUY), 10, 70_000.0, object())


def test_every_code_of_the_gates_is_asked_for_here_and_stands_on_the_page() -> None:
    gates = [path.read_text() for path in (REPOSITORY / "quantkit" / "live" / "risk").glob("*.py")]
    calls = [node for text in gates for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    codes = {
        call.args[0].value for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "Denied" and isinstance(call.args[0], ast.Constant)
    }  # fmt: skip
    assert len(codes) > 20
    page, tests = (REPOSITORY / "docs" / "live.md").read_text(), Path(__file__).read_text()
    assert [code for code in sorted(codes) if f"`{code}`" not in page or f'"{code}"' not in tests] == []
