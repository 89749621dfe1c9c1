"""Rules that mean what another engine means, in our own words: `on_bar` over columns the test gives."""

from __future__ import annotations

from typing import Any

import numpy as np

import quantkit as qk


class Told(qk.Strategy):
    """A rule whose columns are given, not computed: `told(Rule, {"enter": array}, ...)`."""

    columns: dict[str, np.ndarray]

    def prepare(self, bars: qk.Bars) -> dict[str, np.ndarray]:
        return self.columns

    def on_bar(self, ctx: qk.Context) -> None:
        """Nothing; subclasses act."""


def told(rule: type[Told], columns: dict[str, np.ndarray], **params: Any) -> Told:
    made = rule(**params)
    made.columns = {name: np.asarray(values, float) for name, values in columns.items()}
    return made


class SignalsAtClose(Told):
    """vectorbt's `from_signals` with its defaults: trade at the close of the signal's bar, stops from the next bar on,
    a trailing stop that knows the highs of the bars before, the signals of a stop's bar lost, both signals ignored."""

    shares: int = qk.param(10)
    stop: float = qk.param(0.0, doc="0: none")
    trailing: bool = qk.param(False)
    take: float = qk.param(0.0, doc="0: none")
    symbol_state = {"inside": bool, "peak": float, "stop": int}

    def on_bar(self, ctx: qk.Context) -> None:
        for s in range(ctx.n):
            kept = ctx.symbol_state[s]
            enter, leave = ctx.signals["enter"][s] > 0, ctx.signals["leave"][s] > 0
            price = ctx.close[0, s]
            if kept.inside and ctx.position[s] == 0:
                kept.inside = False  # stopped out
            elif kept.inside and leave and not enter and ctx.traded[s]:
                ctx.cancel_all(s)
                ctx.sell(s, ctx.position[s])
                kept.inside = False
            elif kept.inside and self.trailing and self.stop > 0 and ctx.traded[s]:
                kept.peak = max(kept.peak, ctx.high[0, s])
                kept.stop = ctx.replace(kept.stop, stop=kept.peak * (1 - self.stop))
            elif not kept.inside and enter and not leave and ctx.traded[s]:
                ctx.buy(s, self.shares)
                a = b = -1
                if self.stop > 0:
                    a = kept.stop = ctx.sell(s, self.shares, stop=price * (1 - self.stop))
                if self.take > 0:
                    b = ctx.sell(s, self.shares, limit=price * (1 + self.take), tif="gtc")
                if a >= 0 and b >= 0:
                    ctx.oco(a, b)
                kept.inside, kept.peak = True, price


class SignalsAtOpen(Told):
    """The same with `price=open` and signals moved down a bar: decided at a close, filled at the next open, watched by
    its stops from the bar after that. base: the close of the entry's bar, or the price paid."""

    shares: int = qk.param(10)
    stop: float = qk.param(0.0, doc="0: none")
    trailing: bool = qk.param(False)
    take: float = qk.param(0.0, doc="0: none")
    from_fill: bool = qk.param(False)
    symbol_state = {"inside": bool, "peak": float, "stop": int}

    def on_bar(self, ctx: qk.Context) -> None:
        for s in range(ctx.n):
            kept = ctx.symbol_state[s]
            enter, leave = ctx.signals["enter"][s] > 0, ctx.signals["leave"][s] > 0
            if ctx.position[s] == 0:
                kept.inside = False
                if enter and not leave:
                    ctx.buy(s, self.shares)
                continue
            if not kept.inside:
                kept.inside, kept.peak = True, ctx.entry[s] if self.from_fill else ctx.close[0, s]
                a = b = -1
                if self.stop > 0:
                    a = kept.stop = ctx.sell(s, self.shares, stop=kept.peak * (1 - self.stop))
                if self.take > 0:
                    b = ctx.sell(s, self.shares, limit=kept.peak * (1 + self.take), tif="gtc")
                if a >= 0 and b >= 0:
                    ctx.oco(a, b)
            elif self.trailing and self.stop > 0:
                kept.peak = max(kept.peak, ctx.high[0, s])
                kept.stop = ctx.replace(kept.stop, stop=kept.peak * (1 - self.stop))
            if leave and not enter:
                ctx.cancel_all(s)
                ctx.sell(s, ctx.position[s])


class GoalsAtClose(Told):
    """`from_signals` with goals and the policy's own stops: so many shares, or all of the money in; all out."""

    shares: int = qk.param(0, doc="0: all of the money; below 0: sold short")
    symbol_state = {"inside": bool}

    def on_bar(self, ctx: qk.Context) -> None:
        for s in range(ctx.n):
            kept = ctx.symbol_state[s]
            enter, leave = ctx.signals["enter"][s] > 0, ctx.signals["leave"][s] > 0
            if kept.inside and ctx.position[s] == 0:
                kept.inside = False  # stopped out
            elif kept.inside and leave and not enter:
                ctx.close_position(s)
                kept.inside = False
            elif not kept.inside and enter and not leave:
                if self.shares != 0:
                    ctx.target_shares(s, self.shares)
                else:
                    ctx.target(s, 1.0)
                kept.inside = True


class DayOrders(Told):
    """One order a name and bar, good for the next bar: a limit, or a stop, or a limit in the opening auction."""

    at_open: bool = qk.param(False)

    def on_bar(self, ctx: qk.Context) -> None:
        for s in range(ctx.n):
            size, limit, stop = ctx.signals["size"][s], ctx.signals["limit"][s], ctx.signals["stop"][s]
            if size > 0 and limit > 0 and self.at_open:
                ctx.buy(s, size, limit=limit, at="open")
            elif size > 0 and limit > 0:
                ctx.buy(s, size, limit=limit)
            elif size > 0:
                ctx.buy(s, size, stop=stop, days=1)
            elif size < 0 and limit > 0 and self.at_open:
                ctx.sell(s, -size, limit=limit, at="open")
            elif size < 0 and limit > 0:
                ctx.sell(s, -size, limit=limit)
            elif size < 0:
                ctx.sell(s, -size, stop=stop, days=1)


class AlwaysIn(Told):
    """Wants its shares back on every bar without them."""

    def on_bar(self, ctx: qk.Context) -> None:
        for s in range(ctx.n):
            if ctx.position[s] == 0:
                ctx.target_shares(s, 10)


class Scripted(Told):
    """backtesting.py's orders, one a bar: `buy(size, limit, stop, sl, tp)` and `position.close()`. Exits of entries
    that waited work from the bar after the fill; a stop-limit with its limit below its stop waits for the bar after."""

    symbol_state = {
        "used": (int, 100),  # 1: an entry to look after
        "id": (int, 100),  # of the entry; -1: a stop-limit whose stop is still to come
        "size": (float, 100),
        "limit": (float, 100),
        "stop": (float, 100),
        "sl": (float, 100),
        "tp": (float, 100),
    }

    def on_bar(self, ctx: qk.Context) -> None:
        kept = ctx.symbol_state[0]
        for k in range(100):
            if kept.used[k] == 0:
                continue
            if kept.id[k] < 0 and ctx.high[0, 0] >= kept.stop[k]:
                kept.id[k] = ctx.buy(0, kept.size[k], limit=kept.limit[k], tif="gtc")
            elif kept.id[k] >= 0 and not ctx.working(kept.id[k]):
                kept.used[k] = 0
                exits(ctx, kept.size[k], kept.sl[k], kept.tp[k])
        if ctx.signals["close"][0] > 0 and ctx.position[0] > 0:
            for order in ctx.orders(0):
                if order.side < 0:
                    ctx.cancel(order.id)
            ctx.sell(0, ctx.position[0])
        size, limit, stop = ctx.signals["size"][0], ctx.signals["limit"][0], ctx.signals["stop"][0]
        sl, tp = ctx.signals["sl"][0], ctx.signals["tp"][0]
        if size > 0 and not limit > 0 and not stop > 0:
            ctx.buy(0, size, stop_loss=sl, take_profit=tp)
        elif size > 0:
            k = 0
            while kept.used[k] > 0:
                k += 1
            kept.used[k] = 1
            kept.size[k], kept.limit[k], kept.stop[k], kept.sl[k], kept.tp[k] = size, limit, stop, sl, tp
            waits = limit < stop  # False where one of them is not given
            kept.id[k] = -1 if waits else ctx.buy(0, size, limit=limit, stop=stop, tif="gtc")


class Bracketed(Told):
    """Up to two orders a bar, with our own brackets."""

    def on_bar(self, ctx: qk.Context) -> None:
        order(ctx, ctx.signals["size"][0], ctx.signals["limit"][0], ctx.signals["stop"][0], ctx.signals["sl"][0],
              ctx.signals["tp"][0])  # fmt: skip
        order(ctx, ctx.signals["size 2"][0], ctx.signals["limit 2"][0], ctx.signals["stop 2"][0],
              ctx.signals["sl 2"][0], ctx.signals["tp 2"][0])  # fmt: skip


def order(ctx: qk.Context, size: float, limit: float, stop: float, sl: float, tp: float) -> None:
    """An order as backtesting.py spells it, which rests until it fills; NaN: not given."""
    if size > 0:
        ctx.buy(0, size, limit=limit, stop=stop, stop_loss=sl, take_profit=tp, tif="gtc")
    elif size < 0:
        ctx.sell(0, -size, limit=limit, stop=stop, tif="gtc")


def exits(ctx: qk.Context, size: float, sl: float, tp: float) -> None:
    """A stop and a limit that sell, of which one ends the other; NaN: without it."""
    a = b = -1
    if sl > 0:
        a = ctx.sell(0, size, stop=sl)
    if tp > 0:
        b = ctx.sell(0, size, limit=tp, tif="gtc")
    if a >= 0 and b >= 0:
        ctx.oco(a, b)


class Book(Told):
    """Orders that rest until they fill or all are cancelled; a sale only of shares that no other sale waits for."""

    def on_bar(self, ctx: qk.Context) -> None:
        if ctx.signals["cancel"][0] > 0:
            ctx.cancel_all(0)
        free = ctx.position[0]
        for order in ctx.orders(0):
            if order.side < 0:
                free -= order.quantity
        size, limit, stop = ctx.signals["size"][0], ctx.signals["limit"][0], ctx.signals["stop"][0]
        if size > 0:
            ctx.buy(0, size, limit=limit, stop=stop, tif="gtc")
        elif size < 0 and free >= -size:
            ctx.sell(0, -size, limit=limit, stop=stop, tif="gtc")


class Trail(Told):
    """A stop that follows the close at a distance, from the close of the entry's bar on."""

    symbol_state = {"stop": int, "level": float}

    def on_bar(self, ctx: qk.Context) -> None:
        kept = ctx.symbol_state[0]
        if ctx.position[0] > 0:
            level = max(kept.level, ctx.close[0, 0] - ctx.signals["distance"][0])
            if kept.level == 0:
                kept.stop = ctx.sell(0, ctx.position[0], stop=level)
            else:
                kept.stop = ctx.replace(kept.stop, stop=level)
            kept.level = level
            if ctx.signals["leave"][0] > 0:
                ctx.cancel_all(0)
                ctx.sell(0, ctx.position[0])
        else:
            kept.level = 0
            if ctx.signals["enter"][0] > 0:
                ctx.buy(0, 10)
