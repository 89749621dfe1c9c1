"""paper and live with KIS's broker and prices, as a person runs them, against emulated servers in a thread."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from quantkit import Bars, load_strategy, replay
from quantkit.cli.app import run
from quantkit.cli.kis_prices import KisPrices
from quantkit.emulator.kis import KisEmulator
from quantkit.emulator.session import SECOND
from quantkit.kis import client_of, run_at
from quantkit.live.clock import Clock, SystemClock
from quantkit.live.journal import read_journal, verify
from quantkit.settings import load
from quantkit.trading.events import Kind, fold_orders
from quantkit.trading.orders import Side
from tests.cli.servers import environment, serving
from tests.cli.trades import STRATEGY, SYMBOLS, kis_account, promoted
from tests.emulator.kis.wire import BARS, CLOCK, exchange

RUN = ["both.py", "--account", "first", "--symbols", SYMBOLS, "--data", "bars.csv", "--market", "KOSPI"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a strategy and the bars before the session that is emulated."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "both.py").write_text(STRATEGY, encoding="utf-8")
    raw, known = BARS.raw, 25
    long = pd.DataFrame({
        "date": BARS.index[:known].strftime("%Y-%m-%d").repeat(len(BARS.symbols)),
        "symbol": list(BARS.symbols) * known,
        **{name: getattr(raw, name)[:known].ravel() for name in ("open", "high", "low", "close", "volume")},
    })  # fmt: skip
    long.to_csv(tmp_path / "bars.csv", index=False)
    return tmp_path


def entries() -> list[Any]:
    journal = read_journal("data/journals/first.sqlite", "first")
    try:
        assert verify(journal).good
        return [recorded.entry for recorded in journal.read()]
    finally:
        journal.close()


def arranged(folder: Path, monkeypatch: pytest.MonkeyPatch, server: KisEmulator) -> None:
    """Settings and keys of the emulator's first customer; armed where it speaks as the real one."""
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    kis_account(folder, server.rest, server.stream, real=not server.paper, cash=10_000_000, max_weight=0.6)


def wire_log() -> list[str]:
    """What the journal kept of the wire."""
    with closing(sqlite3.connect("data/journals/first.sqlite")) as file:
        return [text for (text,) in file.execute("SELECT text FROM wire_log ORDER BY rowid")]


def hurried(monkeypatch: pytest.MonkeyPatch, server: KisEmulator) -> None:
    """Let a run begin five minutes before the open, however long it took to prepare, and end two after it: the less is
    played the slower it may be, and what a busy machine takes is so much less of the session."""
    made, runs = KisPrices.__init__, KisPrices.run

    def shorter(self: KisPrices, wanted: Any) -> None:
        made(self, wanted)
        self.until = CLOCK.open + 120 * SECOND

    def later(self: KisPrices, main: Any, *, start: int) -> Any:
        server.pace.skip(max(0, CLOCK.open - 300 * SECOND - server.pace.now()) / SECOND)
        return runs(self, main, start=start)

    monkeypatch.setattr(KisPrices, "__init__", shorter)
    monkeypatch.setattr(KisPrices, "run", later)


@pytest.mark.parametrize("mode", ["paper", pytest.param("live", marks=pytest.mark.slow)])
def test_a_morning_at_kis_fills_what_the_strategy_wants(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    real = mode == "live"
    replay(
        load_strategy("both.py")(), Bars.from_pandas(pd.read_csv("bars.csv", dtype={"symbol": str}), market="KOSPI")
    )  # compiles, for time runs
    with serving(exchange(), paper=not real, speed=40.0, calls=10**6, start=CLOCK.open - 6_000 * SECOND) as server:
        arranged(here, monkeypatch, server)
        promoted(mode)
        hurried(monkeypatch, server)
        code = run([mode, *RUN, "--metrics", "figures.prom"])
        said = capsys.readouterr()
        assert code == 0, said.err + said.out
        held = server.exchange.positions("kis1")
    (counted,) = re.findall(r"prices: .*frames ([\d,]+)", said.out)
    figures = (here / "figures.prom").read_text(encoding="utf-8")
    assert f'quantkit_feed{{feed="prices",what="frames"}} {int(counted.replace(",", ""))}.0\n' in figures
    found = entries()
    assert [entry.kind for entry in found].count(Kind.ORDER_FILLED) == 2, said.out
    assert not [entry.payload for entry in found if entry.kind is Kind.ALARM and "REST" not in entry.payload["code"]]
    assert {one.symbol: one.quantity for one in held} == shares(found)
    assert set(shares(found)) == set(SYMBOLS.split(","))
    texts = wire_log()
    assert sum("POST /uapi/domestic-stock/v1/trading/order-cash" in text for text in texts) == 2
    me = server.customers[0]
    assert not any(secret in text for text in texts for secret in (me.appkey, me.appsecret, me.account[:8], me.hts_id))


def shares(found: list[Any]) -> dict[str, int]:
    """Shares that the journal's orders bought, by name."""
    orders: dict[str, Any] = {}
    for entry in found:
        fold_orders(orders, entry)
    return {order.intent.symbol: order.filled for order in orders.values() if order.filled}


def test_panic_cancels_what_stands_at_kis(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(exchange(), paper=True, speed=100.0, calls=10**6, start=CLOCK.open + 600 * SECOND) as server:
        arranged(here, monkeypatch, server)
        told = load()

        async def place(clock: Clock) -> None:
            async with client_of(told, "first", clock, pace=100.0) as client:
                await client.submit("000010", Side.BUY, 3, price=(await client.price("000010")).lower)

        run_at(client_of(told, "first", SystemClock()).server, place)
        (order,) = server.exchange.orders("kis1")
        assert order.leaves == 3
        assert run(["panic", "first", "--yes", "--json"]) == 0, capsys.readouterr().err
        assert json.loads(capsys.readouterr().out)["cancelled"] == ["0000000001"]
        assert not any(each.leaves for each in server.exchange.orders("kis1"))


def test_what_does_not_fit_is_said_before_anything_starts(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begins = CLOCK.open - 600 * SECOND
    with serving(exchange(), paper=True, speed=1.0, calls=10**6, start=begins) as server:
        arranged(here, monkeypatch, server)
        promoted("paper")
        for more, words in (
            (["--from", "2025-07-09"], "--from 2025-07-09: prices of KIS come as they come"),
            (["--speed", "max"], "--speed max: prices of KIS come as they come"),
            (["--to", "2025-07-08"], "the run would end at"),
            (["--to", "2025-07-06"], "the exchange is closed on that day"),
            (["--prices", "emulator", "--seed", "1"], "use --prices kis"),
        ):
            assert run(["paper", *RUN, *more]) == 2, words
            assert words in capsys.readouterr().err
        promoted("live")
        (here / "quantkit.toml").write_text(
            (here / "quantkit.toml").read_text().replace("armed = false", "armed = true")
        )
        assert run(["live", *RUN]) == 2
        assert "keys of paper" in capsys.readouterr().err
        assert server.requests < 30
        assert not server.exchange.orders("kis1")
    assert run(["paper", *RUN]) == 2
    assert "no emulator answers" in capsys.readouterr().err


def test_paper_never_trades_with_keys_of_money(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(exchange(), paper=False, speed=1.0, calls=10**6, start=CLOCK.open) as server:
        arranged(here, monkeypatch, server)
        promoted("paper")
        assert run(["paper", *RUN, "--broker", "kis"]) == 2
        assert "trades money with these keys" in capsys.readouterr().err
        assert not server.exchange.orders("kis1")
