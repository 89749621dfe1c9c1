"""What holds for every order and every view: no NaN passes, cancels pass, what reduces does, limits are kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.live.risk import Denied, GateLimits, View, check, exchange
from quantkit.live.risk.judged import judged
from quantkit.live.switch import Mode, Modes
from quantkit.market import KRX_MARKETS, krx
from quantkit.trading.approval import Approved
from quantkit.trading.orders import Intent, Order, OrderType, Side, Status, Window, new_order
from quantkit.trading.ports import InstrumentDay

S = 1_000_000_000
NOW = 1_790_000_000 * S
DAY = dt.date(2026, 9, 21)
NAMES = ("005930", "000660", "035720")
PRICES = st.sampled_from([69_000.0, 69_900.0, 70_000.0, 70_100.0, 72_000.0, 90_000.0, 70_050.0])
NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf])
CAPS = {
    "max_order_value": st.floats(1e5, 1e8), "max_order_weight": st.floats(0.01, 2.0),
    "max_weight": st.floats(0.01, 2.0), "max_exposure": st.floats(0.01, 2.0),
    "max_names": st.integers(1, 4), "max_order_shares": st.integers(1, 300),
    "max_daily_loss": st.floats(0.001, 1.0), "max_drawdown": st.floats(0.001, 1.0), "min_cash": st.floats(0, 1e7),
    "max_loss_streak": st.integers(1, 5), "max_order_adv": st.floats(0.01, 1.0),
}  # fmt: skip


@st.composite
def orders(draw: st.DrawFn, number: int = 0) -> Order:
    """Orders of three names, limit and market, of two deployments."""
    price = draw(st.none() | PRICES)
    made = new_order(
        Intent(
            id=f"d:1:{number}", deployment=draw(st.sampled_from("de")), symbol=draw(st.sampled_from(NAMES)),
            side=draw(st.sampled_from(Side)), quantity=draw(st.integers(1, 200)), price=price,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            window=Window("continuous", NOW - S, NOW + S), decision_price=draw(st.none() | PRICES),
            fold_order=draw(st.integers(-1, 0)), reduces=draw(st.booleans()),
        )
    )  # fmt: skip
    return made if number == 0 else made.to(Status.SUBMITTED)


@st.composite
def views(draw: st.DrawFn) -> View:
    """Accounts in any state, most of which a gate objects to."""
    caps = {name: draw(st.none() | how) for name, how in CAPS.items()}
    modes = Modes(*(draw(st.sampled_from([Mode.RUNNING] * 5 + list(Mode))) for _ in range(5)))
    return View(
        now=NOW, modes=modes, market=draw(st.sampled_from(["KOSPI", "KOSDAQ", "ETF"])), date=DAY, phase="continuous",
        slot_busy=draw(st.integers(0, 9)) == 0, reconciling=draw(st.integers(0, 9)) == 0, seen=(),
        working=tuple(draw(orders(number)) for number in range(1, draw(st.integers(0, 4)) + 1)),
        available=draw(st.integers(0, 40_000_000)), sellable=draw(st.integers(0, 300)),
        equity=draw(st.integers(1_000_000, 40_000_000)),
        positions={name: draw(st.integers(-100, 300)) for name in NAMES}, prices=dict.fromkeys(NAMES, 70_000.0),
        sent_last_minute=draw(st.integers(0, 5)), sent_today=0, last_price=draw(PRICES), last_time=NOW, base=70_000.0,
        limits=GateLimits(**{**caps, "per_minute": draw(st.integers(1, 6)), "short": draw(st.booleans())}),
        instrument=InstrumentDay(
            symbol="", base=70_000.0, previous_close=70_000.0, managed=draw(st.integers(0, 9)) == 0
        ),
        adv=draw(st.floats(0, 1e5)), day_start_equity=draw(st.integers(1_000_000, 40_000_000)),
        peak_equity=draw(st.integers(1_000_000, 40_000_000)), losses_in_row=draw(st.integers(0, 5)),
    )  # fmt: skip


@given(orders(), views(), st.sampled_from(["price", "last_price", "base", "available", "equity", "adv", "sellable"]),
       NUMBERS)  # fmt: skip
@settings(max_examples=250, deadline=None)
def test_no_number_that_is_none_passes(asked: Order, seen: View, where: str, number: float) -> None:
    """Whatever is NaN or infinite, the order is denied, unless no gate needs that number for this order."""
    if where == "price":
        assert isinstance(check(dataclasses.replace(asked, price=number), seen), Denied)
        return
    answer = check(asked, dataclasses.replace(seen, **{where: number}))
    if where == "last_price" or where == "base":
        assert isinstance(answer, Denied)
    if isinstance(answer, Approved) and not number > 0:  # plus infinity of cash is more than enough
        facts, limits = judged(asked, seen), seen.limits
        if where == "available":
            assert asked.intent.side is Side.SELL or (facts.reduces and limits.short)
        elif where == "sellable":
            assert asked.intent.side is Side.BUY or limits.short
        elif where == "adv":
            assert facts.reduces or limits.max_order_adv is None
        else:
            caps = (limits.max_order_weight, limits.max_weight, limits.max_exposure, limits.max_daily_loss,
                    limits.max_drawdown)  # fmt: skip
            assert facts.reduces or not any(cap is not None for cap in caps)


@given(orders(), views(), st.sampled_from(Status))
@settings(max_examples=100, deadline=None)
def test_a_cancel_is_never_denied(asked: Order, seen: View, status: Status) -> None:
    """I8: whatever the switch, the stream, the session or the account say."""
    stood = dataclasses.replace(asked, status=status, price=math.nan)
    assert isinstance(check(stood, dataclasses.replace(seen, ask="cancel", phase=None, base=None)), Approved)


@given(orders(), views())
@settings(max_examples=250, deadline=None)
def test_what_reduces_never_makes_a_position_larger_or_turns_it(asked: Order, seen: View) -> None:
    """Even when all that is on its way to the same side fills before it."""
    facts = judged(asked, seen)
    intent = asked.intent
    before = seen.positions[intent.symbol]
    others = sum(
        each.leaves for each in seen.working
        if (each.intent.symbol, each.intent.side, each.intent.deployment)
        == (intent.symbol, intent.side, intent.deployment)
    )  # fmt: skip
    after = before + intent.side.sign * (others + asked.quantity)
    if facts.reduces:
        assert 0 <= after * (1 if before > 0 else -1) < abs(before)
    reducing = Modes(Mode.RUNNING, Mode.RUNNING, Mode.RUNNING, Mode.REDUCING)
    if isinstance(check(asked, dataclasses.replace(seen, modes=reducing)), Approved):
        assert abs(after) < abs(before)


@given(orders(), views())
@settings(max_examples=250, deadline=None)
def test_an_approval_keeps_every_limit(asked: Order, seen: View) -> None:
    """Said again in plain words, apart from the gates' own arithmetic."""
    if not isinstance(check(asked, seen), Approved):
        return
    assert seen.modes.strictest is not Mode.HALTED
    assert not any((seen.slot_busy, seen.reconciling))
    limits, buy = seen.limits, asked.intent.side is Side.BUY
    at = asked.price if asked.price is not None else 91_000.0
    facts = judged(asked, seen)
    if buy and not facts.reduces:
        assert at * asked.quantity <= seen.available - (limits.min_cash or 0) + 1
        mark = asked.intent.decision_price or at
        if limits.max_order_value is not None:
            assert mark * asked.quantity <= limits.max_order_value + 1
        if limits.max_weight is not None:
            held = max(0, seen.positions[asked.intent.symbol])
            assert mark * asked.quantity + held * 70_000.0 <= limits.max_weight * seen.equity + 1
        if limits.max_daily_loss is not None:
            assert seen.day_start_equity is not None
            assert seen.equity >= seen.day_start_equity * (1 - limits.max_daily_loss) - 1
    if not buy and not limits.short:
        assert asked.quantity <= min(seen.sellable, seen.positions[asked.intent.symbol])


@given(orders(), views())
@settings(max_examples=100, deadline=None)
def test_the_same_question_has_the_same_answer(asked: Order, seen: View) -> None:
    first, second = check(asked, seen), check(asked, seen)
    assert type(first) is type(second)
    if isinstance(first, Denied):
        assert first == second


@given(
    base=st.floats(-1.0, 2e6) | NUMBERS, market=st.sampled_from(KRX_MARKETS),
    date=st.dates(dt.date(1996, 1, 2), dt.date(2026, 12, 30)), leverage=st.sampled_from([1.0, 2.0, -1.0, math.nan]),
)  # fmt: skip
def test_limits_of_a_day_are_those_of_the_market(base: float, market: str, date: dt.date, leverage: float) -> None:
    expected = krx.price_limits(base, date, market, leverage=leverage)
    assert repr(exchange.limits(base, date, market, leverage, False, False)) == repr(expected)
