"""Random scripts of own orders, and the rule that plays a script in the compiled fold.

Contract: a script is a list of commands for each bar (`reference_orders.Command`). `scripts` draws one for given bars:
prices lie around the prints of the coming bar, on the grid and off it, at the limits and beyond them, so that orders
act; a zero byte is "nothing", so that shrinking leads to quiet bars. `scripted(script)` is a strategy that plays one.
"""

from __future__ import annotations

from math import isnan
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st

from quantkit import Context, Strategy
from quantkit.data.bars import Bars
from tests.core.reference_orders import Command

Script = list[list[Command]]
WIDTH = 9  # bytes of a command
KINDS = (
    "market", "limit", "limit", "limit", "limit_gtc", "limit_days", "conditional", "conditional", "ioc", "ioc_market",
    "fok", "open", "close", "open_limit", "close_limit", "stop", "stop", "stop_day", "stop_limit", "stop_limit",
    "stop_limit_day", "trail", "trail_days", "from_open", "from_open_gtc", "from_open_down",
)  # fmt: skip
BAD = (
    {"limit": -5.0}, {"stop": 0.0}, {"trail": 1.5}, {"days": 0, "limit": 9_000.0}, {"tif": "conditional"},
    {"stop": 9_000.0, "trail": 0.1}, {"trail": 0.1, "limit": 9_000.0}, {"at": "open", "tif": "ioc"},
    {"take_profit": -1.0}, {"tif": "fok", "days": 2, "limit": 9_000.0}, {"quantity": 0},
)  # fmt: skip


def signed(byte: int) -> int:
    """0, 1, -1, 2, -2, ... for 0, 1, 2, 3, 4, ..."""
    return (byte + 1) // 2 * (1 if byte % 2 else -1)


class Prices:
    """Prices near what a name will trade at on the next bar."""

    def __init__(self, bars: Bars) -> None:
        self.rows = [bars.field(name) for name in ("open", "high", "low", "close")]
        self.last = len(bars) - 1

    def near(self, t: int, s: int, byte: int) -> float:
        """One of the coming bar's four prints, moved by some half ticks, a limit's width, or not at all."""
        row = self.rows[byte % 4][min(t + 1, self.last)]
        price = float(row[s])
        if isnan(price):
            return 10_000.0
        move = byte // 4
        if move >= 60:
            return price * (1.4, 0.6, 1.3, 0.7)[move - 60]
        step = 0.5 if price < 2_000 else 2.5 if price < 20_000 else 25.0
        return max(1.0, price + signed(move % 20) * step * (1, 2, 9)[move // 20])


def keywords(prices: Prices, t: int, s: int, b: list[int]) -> dict[str, Any]:
    """What the order is given: `b` are the bytes kind, price, other price, bracket."""
    kind = KINDS[b[0] % len(KINDS)]
    near, other = prices.near(t, s, b[1]), prices.near(t, s, b[2])
    fraction = 0.001 + b[1] % 32 * 0.002
    given: dict[str, Any] = {
        "market": {}, "limit": {"limit": near}, "limit_gtc": {"limit": near, "tif": "gtc"},
        "limit_days": {"limit": near, "days": 1 + b[2] % 3}, "conditional": {"limit": near, "tif": "conditional"},
        "ioc": {"limit": near, "tif": "ioc"}, "ioc_market": {"tif": "ioc"}, "fok": {"limit": near, "tif": "fok"},
        "open": {"at": "open"}, "close": {"at": "close"}, "open_limit": {"at": "open", "limit": near},
        "close_limit": {"at": "close", "limit": near}, "stop": {"stop": near}, "stop_day": {"stop": near, "tif": "day"},
        "stop_limit": {"stop": near, "limit": other}, "stop_limit_day": {"stop": near, "limit": other, "tif": "day"},
        "trail": {"trail": fraction}, "trail_days": {"trail": fraction, "days": 1 + b[2] % 3},
        "from_open": {"from_open": 0.1 * (b[1] % 10)}, "from_open_gtc": {"from_open": 0.1 * (b[1] % 8), "tif": "gtc"},
        "from_open_down": {"from_open": -0.1 * (b[1] % 10)},
    }[kind]  # fmt: skip
    if b[3] >= 128:
        given["take_profit"] = prices.near(t, s, (b[3] * 7 + 1) % 256)
    if b[3] % 128 >= 64:
        given["stop_loss"] = prices.near(t, s, (b[3] * 5 + 2) % 256)
    return given


def command_of(prices: Prices, names: int, t: int, made: int, b: list[int]) -> Command | None:
    """One command from its bytes: what, name, quantity, kind, prices, bracket, which order."""
    what, s = b[0], b[1] % names
    if what < 110:
        return None
    if what < 206:
        given = keywords(prices, t, s, b[3:7])
        quantity = 1 + b[2] % 50 if b[2] < 240 else 3_000_000
        return Command("buy" if what % 3 else "sell", s, quantity, given | {"tag": made + 1})
    if what < 212:
        given = BAD[b[3] % len(BAD)] | {"tag": made + 1}
        return Command("buy", s, given.pop("quantity", 5), given)
    which = made - 1 - b[7] % 6
    if what < 220:
        return Command("cancel", order=which)
    if what < 223:
        return Command("cancel_all", s)
    if what < 237:
        changes = ({"limit": prices.near(t, s, b[4])}, {"stop": prices.near(t, s, b[4])}, {"quantity": b[2] % 50})
        return Command("replace", order=which, keywords=changes[b[3] % 3])
    if what < 248:
        return Command("oco", order=which, other=made - 1 - b[8] % 6)
    if what < 253:
        return Command("target", s, weight=(0.0, 0.3, 0.5, 0.1)[b[3] % 4])
    return Command("target_shares", s, weight=(0.0, 20.0, 7.9)[b[3] % 3])


def script_of(bars: Bars, bytes_: np.ndarray) -> Script:
    """`bytes_` (T, K, WIDTH) uint8: up to K commands a bar."""
    prices, made, script = Prices(bars), 0, []
    for t, row in enumerate(bytes_.tolist()):
        commands = [c for b in row if (c := command_of(prices, bars.shape[1], t, made, b)) is not None]
        made += sum(c.name in ("buy", "sell") for c in commands)
        script.append([c for c in commands if c.name not in ("cancel", "replace", "oco") or min(c.order, c.other) >= 0])
    return script


@st.composite
def scripts(draw: st.DrawFn, bars: Bars) -> Script:
    shape = (len(bars), 2, WIDTH)
    size = int(np.prod(shape))
    return script_of(bars, np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8).reshape(shape))


class Scripted(Strategy):
    """A rule that plays a script; `made` are the ids of the orders made so far."""

    script: ClassVar[Script] = []

    def on_bar(self, ctx: Context) -> None:
        made: list[int] = self.made  # type: ignore[attr-defined]
        for c in self.script[ctx.i]:
            old, other = (made[k] if k < len(made) else -1 for k in (c.order, c.other))
            if c.name in ("buy", "sell"):
                made.append(getattr(ctx, c.name)(c.column, c.quantity, **c.keywords))
            elif c.name == "replace":
                new = ctx.replace(old, **c.keywords)
                made.extend([new] if new >= 0 else [])
            elif c.name == "cancel":
                ctx.cancel(old)
            elif c.name == "cancel_all":
                ctx.cancel_all(c.column)
            elif c.name == "oco":
                ctx.oco(old, other)
            elif c.name == "target":
                ctx.target(c.column, c.weight)
            elif c.name == "target_shares":
                ctx.target_shares(c.column, c.weight)


def scripted(script: Script, max_orders: int) -> Strategy:
    """A strategy that plays the script once, interpreted."""
    cls = type("Scripted", (Scripted,), {"script": script, "max_orders": max_orders, "__module__": __name__})
    strategy = cls()
    strategy.made = []
    return strategy  # type: ignore[no-any-return]
