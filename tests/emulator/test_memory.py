"""An emulated exchange that is begun again from what was asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quantkit.emulator.exchange import BarSource, random_bars, session_clock
from quantkit.emulator.memory import RememberedExchange, last_time
from quantkit.errors import BadData, ConfigError, Refused, RetryLater
from quantkit.trading.orders import OrderType, Side

SECOND = 1_000_000_000
NAMES = ("000010", "000020")
CLOCK = session_clock("2025-06-02")


def exchange(path: Path, *, cash: int = 50_000_000, seed: int = 3, **about: Any) -> RememberedExchange:
    source = BarSource(random_bars(seed=3, symbols=list(NAMES), sessions_count=2), seed=seed, tick_seconds=30.0)
    return RememberedExchange(source, path, account="a", cash=cash, seed=seed, about={"first": "2025-06-02", **about})


def state(on: RememberedExchange) -> tuple[Any, ...]:
    """All that an account is."""
    return on.now, on.orders("a"), on.positions("a"), on.cash("a")


def worked(on: RememberedExchange) -> RememberedExchange:
    """A morning of orders: some trade, one is replaced, one cancelled, one refused."""
    on.advance(CLOCK.orders)
    first = on.submit("a", NAMES[0], Side.BUY, 20, type=OrderType.MARKET)
    on.advance(CLOCK.open + 600 * SECOND)
    assert first.status == "filled"
    low = on.quote(NAMES[1]).bids[3][0]
    rests = on.submit("a", NAMES[1], Side.BUY, 30, price=low)
    on.advance(on.now + SECOND)
    again = on.replace("a", rests.number, 20, low)
    on.cancel("a", again.number, 5)
    with pytest.raises(Refused):
        on.submit("a", NAMES[1], Side.SELL, 1_000, type=OrderType.MARKET)
    return on


def test_an_exchange_that_is_begun_again_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    before = worked(exchange(path))
    after = exchange(path)
    assert state(after) == state(before)
    assert last_time(path) == before.now
    for on in (before, after):
        on.advance(CLOCK.close + 60 * SECOND)
    assert state(after) == state(before)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 6  # what was refused was asked, too


def test_a_request_that_was_cut_short_was_never_made(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    before = worked(exchange(path))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"time": 9')
    after = exchange(path)
    assert state(after) == state(before)
    after.submit("a", NAMES[0], Side.SELL, 5, type=OrderType.MARKET)
    assert state(exchange(path)) == state(after)


@pytest.mark.parametrize("other", [{"seed": 4}, {"cash": 1}, {"first": "2025-06-03"}])
def test_other_prices_are_another_exchange(tmp_path: Path, other: dict[str, Any]) -> None:
    worked(exchange(tmp_path / "a.jsonl"))
    with pytest.raises(ConfigError, match=f"memory of another emulated exchange: it began with {next(iter(other))}"):
        exchange(tmp_path / "a.jsonl", **other)


@pytest.mark.parametrize(
    "text", ["nonsense\n", "[]\n", '{"version": 1}\n{"what": "submit"}\n', '{"version": 1}\nnonsense\n']
)
def test_a_file_that_is_no_memory_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match="no line of an emulated exchange's memory"):
        exchange(tmp_path / "a.jsonl")


def test_what_an_exchange_cannot_be_asked_is_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    worked(exchange(path))
    with path.open("a", encoding="utf-8") as file:
        file.write(f'{{"time": {CLOCK.close}, "what": "bribe"}}\n')
    with pytest.raises(BadData, match="bribe"):
        exchange(path)


def test_what_cannot_be_written_was_not_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    on = exchange(tmp_path / "file" / "a.jsonl")
    on.advance(CLOCK.orders)
    with pytest.raises(RetryLater, match="nothing was sent"):
        on.submit("a", NAMES[0], Side.BUY, 1, type=OrderType.MARKET)
    assert on.orders("a") == []
