"""Clients that other people wrote, driven against the emulated KIS: `make conformance`.

Each client lives in a virtual environment of its own and runs in a process of its own; it is pointed at loopback
before it says a word. What it read is compared with what the exchange knows. What a client cannot do is listed
with the reason.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock
from quantkit.emulator.kis import KisEmulator
from quantkit.emulator.session import SECOND, day_of
from quantkit.trading.orders import Side

HERE = Path(__file__).parent
PLACE = Path(".venv-conformance")
CLIENTS = {  # what to install (neither names all that it imports), script, columns of the stream it can read
    "python-kis": ("python-kis==2.1.6 typing_extensions", "pykis_client.py", "2025"),
    "mojito2": ("mojito2==0.1.6 pandas requests websockets pycryptodome", "mojito_client.py", "2026-09"),
}
CANNOT = {
    ("mojito2", "stream"): "its stream has KIS's address inside a function and cannot be pointed at loopback",
    ("mojito2", "paper order list"): "it asks for modifiable orders, which KIS does not serve on paper",
    ("python-kis", "stream of 2026"): "it raises on columns that KIS has added since 2025",
    ("python-kis", "paper only"): "it asks the real servers for prices whatever the account is",
}
NEEDED = (
    "token", "quote", "daily chart", "minute chart", "balance", "market buy", "limit buy", "modify", "order list",
    "cancel", "market sell",
)  # fmt: skip
NAME, MONEY = "000010", 100_000_000


def interpreter(client: str) -> Path:
    """The Python of a client's own environment, made where there is none."""
    place = PLACE / client
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *CLIENTS[client][0].split()], check=True)
    return python.absolute()


def market() -> tuple[Exchange, int]:
    """A made-up market, and a minute of its coming session: clients hold tokens against their own clock."""
    today = dt.datetime.now(dt.UTC).date()
    bars = random_bars(seed=5, symbols=[NAME, "000020"], start=str(today - dt.timedelta(days=60)), sessions_count=60)
    bars = bars.slice(0, int((bars.days <= (today - dt.date(1970, 1, 1)).days).sum()) + 1)
    day = int(bars.days[-1])
    return Exchange(BarSource(bars, start=day, tick_seconds=2.0)), session_clock(day).open + 600 * SECOND


async def driven(client: str) -> dict[str, dict[str, Any]]:
    """What a client did, step by step."""
    exchange, start = market()
    exchange.advance(start)
    async with KisEmulator(
        exchange, paper=False, accounts=1, cash=MONEY, start=start, columns=CLIENTS[client][2]
    ) as server:
        me, issue = server.customers[0], exchange.issues[NAME]
        day = dt.date(1970, 1, 1) + dt.timedelta(days=day_of(start))
        low = int(issue.lower)
        told = {
            "rest": server.rest, "stream": server.stream, "paper": False, "appkey": me.appkey,
            "appsecret": me.appsecret, "account": me.account, "hts_id": me.hts_id, "symbol": NAME, "low": low,
            "step": int(issue.grid.tick(low)), "since": f"{day - dt.timedelta(days=30):%Y%m%d}",
            "until": f"{day:%Y%m%d}", "hour": "091000",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            str(interpreter(client)), str(HERE / CLIENTS[client][1]), json.dumps(told),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 120)
        lines = [line for line in out.decode().splitlines() if line.startswith("{")]  # clients also log
        steps = {row["step"]: row for row in map(json.loads, lines)}
        if process.returncode:
            steps["ended"] = {"step": "ended", "error": err.decode()[-400:]}
        for name in NEEDED:
            steps.setdefault(name, {"step": name, "error": "it was never asked"})
        return judged(steps, exchange)


def judged(steps: dict[str, dict[str, Any]], exchange: Exchange) -> dict[str, dict[str, Any]]:
    """Compare what was read with what the exchange knows."""
    account = exchange.desk.account("kis1")
    orders = list(account.orders.values())
    issue = exchange.issues[NAME]
    prices = {price for _, price, _ in issue.trades()}
    bought = sum(order.filled for order in orders if order.side is Side.BUY)
    want = {
        "token": lambda read: read.strip() == "Bearer",
        "orderable": lambda read: int(read) == MONEY,
        "order book": lambda read: len(read) > 1 and list(map(int, read)) == sorted({*map(int, read)}),
        "quote": lambda read: float(read) in prices,
        "minute chart": lambda read: len(read) > 5 if isinstance(read, list) else read > 5,
        "daily chart": lambda read: len(read) > 15 and all(float(each) > 0 for each in read),
        "market buy": lambda read: int(read) == int(orders[0].number),
        "balance": lambda read: read == [[NAME, str(bought)]],
        "limit buy": lambda read: int(read) == int(orders[1].number),
        "modify": lambda read: int(read) == int(orders[2].number) and orders[2].original == orders[1].number,
        "cancel": lambda _: orders[2].status == "canceled" and not orders[2].filled,
        "market sell": lambda _: orders[3].side is Side.SELL and orders[3].filled == 4,
        "refused order": lambda read: read != "0",
        "first fill heard": lambda read: read[0] and float(read[1][0][1]) > 0,
        "first price heard": lambda read: all(read),
        "order list": lambda read: len(read) == 1 and int(read[0][0]) == int(orders[2].number),
        "day's orders": lambda read: read == len(orders),
    }
    for name, row in steps.items():
        if "error" not in row and name in want and not want[name](row["read"]):
            row["error"] = f"read {row['read']!r}, which is not what the exchange knows"
    return steps


def shown(read: Any) -> str:
    """What was read, for people: the first five of a list."""
    if isinstance(read, list):
        return ", ".join(map(shown, read[:5])) + (f", ... ({len(read)})" if len(read) > 5 else "")
    return "done" if read is None else str(read)


def main() -> int:
    """Drive each client; 0 when every step of each held."""
    console, failed = Console(), 0
    for client in CLIENTS:
        steps = asyncio.run(driven(client))
        table = Table("step", "what it read", title=CLIENTS[client][0].split()[0])
        for name, row in steps.items():
            failed += "error" in row
            table.add_row(name, f"[red]{row['error']}[/]" if "error" in row else shown(row["read"]))
        for (whose, what), why in CANNOT.items():
            if whose == client:
                table.add_row(f"[dim]{what}[/]", f"[dim]cannot: {why}[/]")
        console.print(table)
    console.print("every step held" if not failed else f"[red]{failed} steps failed[/]")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
