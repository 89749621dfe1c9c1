"""The picture of running accounts, as text."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from quantkit.cli.status_view import age_text, render
from quantkit.live.status import OrderLine, PositionLine, Status

SECOND = 1_000_000_000
NINE = 1_759_276_800 * SECOND  # 2025-10-01 09:00 in Seoul

STATUS = Status(
    account="first", time=NINE, phase="opening_auction", link="ready", modes={"Sma": "running"}, equity=10_100_000,
    cash=4_000_000, day_start=10_000_000, bar_ages={"Sma": 90 * SECOND}, connections={"orders": True, "prices": False},
    positions=(PositionLine("Sma", "005930", 85, 70_000.0, 71_000.0, 6_035_000, 85_000),),
    orders=(
        OrderLine("Sma:1:1", "000660", "buy", 10, 0, None, "initialized", None, False, "opening_auction"),
        OrderLine("Sma:1:2", "005930", "sell", 20, 5, 71_500.0, "partially_filled", 3 * SECOND, False, "continuous"),
    ),
)  # fmt: skip


def shown(status: Status, *, width: int = 100) -> str:
    console = Console(width=width, color_system=None, file=io.StringIO())
    with console.capture() as said:
        console.print(render([status]))
    return said.get()


def test_everything_a_person_looks_for_is_there() -> None:
    text = shown(STATUS)
    for words in (
        "first  2025-10-01 09:00:00 Seoul  opening auction",
        "equity 10,100,000   cash 4,000,000   today +100,000 (+1.00%)",
        "Sma: running   last bar 2 min ago", "account ready   orders up   prices down", "005930", "+85,000", "5/20",
        "71,500.00  partially filled  3 s", "0/10", "waits for         opening auction",
    ):  # fmt: skip
        assert words in text


def test_an_order_that_waits_has_no_price_yet_and_one_without_a_limit_says_so() -> None:
    waits, sent = STATUS.orders
    assert "market" not in shown(STATUS)
    assert "market" in shown(replace(STATUS, orders=(replace(sent, price=None),)))
    assert "unresolved" in shown(replace(STATUS, orders=(replace(sent, unresolved=True),)))
    assert "waits for" not in shown(replace(STATUS, orders=(replace(waits, age=SECOND, status="submitted"),)))


def test_before_anything_has_happened() -> None:
    text = shown(replace(STATUS, day_start=None, bar_ages={"Sma": None}, positions=(), orders=()))
    assert "today -" in text
    assert "no bar yet" in text


def test_alarms_and_halts_are_seen_and_long_lists_are_counted() -> None:
    many = tuple(replace(STATUS.positions[0], symbol=f"{number:06d}") for number in range(15))
    text = shown(replace(STATUS, modes={"Sma": "halted"}, alarms=("LOOP_LAG 300 ms",), positions=many))
    assert "Sma: halted" in text
    assert "alarm  LOOP_LAG 300 ms" in text
    assert "and 3 more" in text


def test_ages_are_told_in_the_largest_unit_that_says_them() -> None:
    ages = (None, 5 * SECOND, 120 * SECOND, 7_200 * SECOND, 3 * 86_400 * SECOND)
    assert [age_text(age) for age in ages] == ["never", "5 s", "2 min", "2 h", "3 d"]
