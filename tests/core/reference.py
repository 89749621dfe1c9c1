"""The fold again, slow and plain: what `docs/execution.md` says, one function per step, nothing compiled.

Contract: pure; plain floats, ints, lists and dicts. `simulate` folds a `Panel` and gives an `Account` with
`fills`, `orders`, `cash` and `equity` per bar. Money is in minor units. Written from the page alone, so that agreement
with the compiled fold means something. From target to order is in `reference_decide`.

    1 open_bar  2 release  3 match_open  4 match_stops  5 match_close  6 expire  7 mark  8 decide
"""

from __future__ import annotations

from math import floor, isnan, nan, sqrt

from quantkit.core.policy import Policy, RiskLimits
from quantkit.market.costs import Costs
from tests.core import reference_decide
from tests.core.reference_state import (
    FIRST_DAY,
    LIQUIDATION,
    LISTED,
    TRADED,
    Account,
    Event,
    Fill,
    Order,
    Panel,
    grid_ceil,
    grid_floor,
    limit_prices,
    tax_rate,
    tick,
)

WIDE_SINCE = 19534  # 2023-06-26: first days from then on move between 60 % and 400 % of the offer price


class Run:
    """One simulation: what does not change (panel, settings) and the account that does."""

    def __init__(
        self,
        panel: Panel,
        targets: list[list[float]],
        *,
        policy: Policy,
        costs: Costs,
        limits: RiskLimits,
        cash: int,
        fill: str = "next_open",
        boolean: bool = False,
        rank: list[list[float]] | None = None,
        deposits: dict[int, int] | None = None,
    ) -> None:
        self.panel, self.targets, self.boolean, self.rank = panel, targets, boolean, rank
        self.policy, self.costs, self.limits, self.fill = policy, costs, limits, fill
        self.deposits = deposits or {}
        self.account = Account(panel, cash)
        self.session_base = [nan] * len(panel.symbols)
        self.held_before = [0] * len(panel.symbols)

    # --- prices -----------------------------------------------------------------------------------------------------

    def floor_tick(self, t: int, s: int, price: float) -> float:
        return grid_floor(price, self.panel.days[t], self.panel.market[t][s]) if self.panel.grid else price

    def ceil_tick(self, t: int, s: int, price: float) -> float:
        return grid_ceil(price, self.panel.days[t], self.panel.market[t][s]) if self.panel.grid else price

    def money(self, price: float, quantity: float) -> int:
        return floor(price * quantity * self.panel.unit + 0.5)

    def new_session(self, t: int) -> bool:
        return t == 0 or self.panel.days[t] != self.panel.days[t - 1]

    def base_price(self, t: int, s: int) -> float:
        """The exchange's base price of the session that bar t belongs to."""
        first = t
        while not self.new_session(first):
            first -= 1
        given = self.panel.base[t][s] if self.panel.base else nan
        if not isnan(given) and given > 0:
            return given
        if first == 0:
            return nan
        price = self.panel.close[first - 1][s]
        for event in self.panel.events:
            if event.bar == first and event.column == s:
                price /= event.price_factor
        return price if isnan(price) else self.ceil_tick(t, s, price)

    def reference_price(self, t: int, s: int) -> float:
        """What the collar is measured from."""
        return self.base_price(t, s) if self.new_session(t) else self.panel.close[t - 1][s]

    def price_limits(self, t: int, s: int) -> tuple[float, float]:
        base, market = self.base_price(t, s), self.panel.market[t][s]
        first_day = self.panel.has(t, s, FIRST_DAY)
        wide = self.panel.days[t] >= WIDE_SINCE and market in ("KOSPI", "KOSDAQ")
        if first_day and not wide and market in ("KOSPI", "KOSDAQ", "KONEX") and self.new_session(t):
            base = self.panel.open[t][s]
        if not self.panel.grid or isnan(base) or self.panel.has(t, s, LIQUIDATION):
            return 0.0, float("inf")
        if first_day and wide:
            return self.ceil_tick(t, s, base * 0.6), self.floor_tick(t, s, base * 4.0)
        return limit_prices(base, self.panel.days[t], self.panel.market[t][s], self.panel.leverage[s])

    def order_limit(self, t: int, order: Order) -> float:
        """The limit price of an order; NaN for a market order."""
        if self.policy.collar is None or order.kind == "same_close":
            return nan
        s, reference = order.column, self.reference_price(t, order.column)
        if order.side > 0:
            return self.floor_tick(t, s, reference * (1 + self.policy.collar))
        return self.ceil_tick(t, s, reference * (1 - self.policy.collar))

    def slipped(self, t: int, s: int, side: int, quantity: int, price: float, limit: float = nan) -> float:
        """The price after slippage: to the grid against the trader, inside the bar, not past the order's limit."""
        if side < 0 and self.policy.slippage_on == "entry":
            return price
        step = tick(price, self.panel.days[t], self.panel.market[t][s]) if self.panel.grid else 0.0
        loss = self.costs.slippage_ticks * step + price * (self.costs.slippage_bps / 10_000)
        if self.costs.impact and self.panel.volume[t][s] > 0:
            loss += self.costs.impact * price * sqrt(quantity / self.panel.volume[t][s])
        if loss == 0:
            return price
        if side > 0:
            result = min(self.ceil_tick(t, s, price + loss), self.panel.high[t][s])
            return result if isnan(limit) else min(result, limit)
        result = max(self.floor_tick(t, s, price - loss), self.panel.low[t][s])
        return result if isnan(limit) else max(result, limit)

    def commission(self, t: int, s: int, value: int) -> int:
        amount = value * self.costs.rate(self.panel.market[t][s]) + self.costs.fixed
        cut = self.costs.truncate_to
        return floor((max(amount, float(self.costs.minimum)) + 1e-6) / cut) * cut

    def tax(self, t: int, s: int, value: int) -> int:
        rate = self.costs.tax
        if rate is None:
            rate = tax_rate(self.panel.days[t], self.panel.market[t][s])
        return floor(value * rate + 1e-6)

    def buy_cost(self, t: int, s: int, price: float, quantity: int) -> int:
        value = self.money(price, quantity)
        return value + self.commission(t, s, value) if quantity else 0

    # --- 1 ----------------------------------------------------------------------------------------------------------

    def open_bar(self, t: int) -> None:
        account = self.account
        if self.new_session(t):
            today = self.panel.days[t]
            if t:
                settled = account.cash - sum(account.unsettled)
                days = today - self.panel.days[t - 1]
                account.cash += max(0, floor(settled * self.costs.interest * days / 365 + 1e-6))
            account.unsettled = [account.unsettled[1], 0]
            account.cash += sum(amount for day, amount in account.receivable if day <= today)
            account.receivable = [(day, amount) for day, amount in account.receivable if day > today]
            for day, s, shares in account.shares_due:
                account.shares[s] += shares if day <= today else 0
            account.shares_due = [due for due in account.shares_due if due[0] > today]
            account.day_equity = account.equity
            account.no_buys_today = False
        paid_in = self.deposits.get(t, 0)
        account.cash += paid_in
        account.day_equity += paid_in  # a deposit is no gain, and does not hide a loss
        account.highest_equity += paid_in
        for event in self.panel.events:
            if event.bar == t and (event.cash_per_share or event.kind in ("rights", "spinoff")):
                self.change_shares(t, event)
        for event in self.panel.events:
            if event.bar == t and not (event.cash_per_share or event.kind in ("rights", "spinoff")):
                self.change_shares(t, event)
        for s in range(len(self.panel.symbols)):
            if not self.panel.has(t, s, LISTED):
                self.settle_delisted(t, s)
        account.cash_before = account.cash
        self.held_before = list(account.shares)

    def cash_of_action(self, t: int, event: Event, ratio: float) -> int:
        """A dividend after tax, or what a right or a part of the company is taken to fetch."""
        s, each = event.column, event.cash_per_share
        if each == 0 and event.kind in ("rights", "spinoff"):
            last = self.panel.close[t - 1][s]
            each = max(last - last / event.price_factor * ratio, 0.0)
        amount = self.money(each, self.account.owned(s))
        if event.kind != "dividend":
            return amount
        rate = self.costs.dividend_tax
        if rate is None:
            rate = {"US": 0.15, "NONE": 0.0}.get(self.panel.market[t][s], 0.154)
        return amount - floor(amount * rate + 1e-6)

    def change_shares(self, t: int, event: Event) -> None:
        account, s = self.account, event.column
        ratio = event.price_factor if isnan(event.share_ratio) else event.share_ratio
        owned, later = account.owned(s), event.pay_day is not None and event.pay_day > self.panel.days[t]
        amount = self.cash_of_action(t, event, ratio)
        if ratio != 1 and event.receivable and later and ratio > 1:
            new = floor(owned * ratio + 1e-9) - owned
            assert event.pay_day is not None
            account.shares_due.append((event.pay_day, s, new))
        elif ratio != 1:
            account.shares[s] = floor(account.shares[s] * ratio + 1e-9)
            account.shares_due = [
                (day, k, floor(n * ratio + 1e-9) if k == s else n) for day, k, n in account.shares_due
            ]
        fraction = owned * ratio - account.owned(s)
        if fraction > 1e-9:
            amount += self.money(self.panel.close[t - 1][s] / event.price_factor * fraction, 1)
        if later:
            assert event.pay_day is not None
            account.receivable.append((event.pay_day, amount))
        else:
            account.cash += amount
        if owned:
            account.bought[s] *= event.price_factor
            account.peak[s] /= event.price_factor
        account.goals[s] = floor(account.goals[s] * ratio + 1e-9)
        for order in account.waiting:
            if order.column == s:
                order.quantity, order.open = floor(order.quantity * ratio + 1e-9), floor(order.open * ratio + 1e-9)
                if order.open == 0:
                    order.end(t)

    def settle_delisted(self, t: int, s: int) -> None:
        account = self.account
        account.shares[s] = account.owned(s)
        account.shares_due = [due for due in account.shares_due if due[1] != s]
        if account.shares[s]:
            price = self.panel.close[t - 1][s]
            value = self.money(price, account.shares[s])
            account.apply(Fill(t, s, -1, account.shares[s], price, value, 0, 0, 0, "delisting"))
        for order in account.waiting:
            if order.column == s:
                order.end(t, "DELISTED")
        account.goals[s], account.counted[s], account.stopped[s] = 0, None, False
        account.places.discard(s)

    # --- 2 ----------------------------------------------------------------------------------------------------------

    def release(self, t: int) -> None:
        if self.policy.funding != "cash":
            return
        buys = [order for order in self.live_orders() if order.side > 0]
        prices = [self.reserve_price(t, order) for order in buys]
        for order, quantity in zip(buys, self.fit_cash(t, buys, prices, self.account.cash_before), strict=True):
            if quantity < order.open:
                order.open, order.reason = quantity, "INSUFFICIENT_CASH"
                if quantity == 0:
                    order.end(t)

    def reserve_price(self, t: int, order: Order) -> float:
        limit = self.order_limit(t, order)
        upper = self.price_limits(t, order.column)[1]
        if not isnan(limit):
            return limit
        return upper if upper != float("inf") else self.reference_price(t, order.column)

    def fit_cash(self, t: int, buys: list[Order], prices: list[float], cash: int) -> list[int]:
        """How many shares of each buy the cash allows, as `shortfall` says."""
        unspendable = floor((self.limits.min_cash or 0) * self.panel.unit + 0.5)
        left = cash - unspendable
        wanted = [order.open for order in buys]

        def cost(i: int, quantity: int) -> int:
            return self.buy_cost(t, buys[i].column, prices[i], quantity)

        needed = sum(cost(i, quantity) for i, quantity in enumerate(wanted))
        if needed <= left:
            return wanted
        if self.policy.shortfall == "scale":
            ratio = left / needed if left > 0 else 0.0
            result = [floor(quantity * ratio) for quantity in wanted]
            while sum(cost(i, quantity) for i, quantity in enumerate(result)) > left and any(result):
                ratio *= 0.999
                result = [floor(quantity * ratio) for quantity in wanted]
            return result
        result = [0] * len(buys)
        by_symbol = sorted(range(len(buys)), key=lambda i: self.panel.symbols[buys[i].column])
        if self.policy.shortfall == "sequence":
            by_symbol.sort(key=lambda i: self.money(prices[i], wanted[i]))
        for i in by_symbol:
            if cost(i, wanted[i]) <= left:
                result[i] = wanted[i]
            elif self.policy.shortfall == "sequence":
                low, high = 0, wanted[i]
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if cost(i, middle) <= left else (low, middle)
                result[i] = low
            left -= cost(i, result[i])
        return result

    # --- 3 and 5 ----------------------------------------------------------------------------------------------------

    def live_orders(self) -> list[Order]:
        return [order for order in self.account.waiting if order.status == "working"]

    def match_open(self, t: int) -> None:
        self.match(t, "at_open", "open", self.panel.open[t])

    def match_close(self, t: int, kind: str = "at_close") -> None:
        self.match(t, kind, "same_close" if kind == "same_close" else "close", self.panel.close[t])

    def match(self, t: int, kind: str, rule: str, prints: list[float]) -> None:
        """Sells first, then all buys together."""
        account = self.account
        ready = [order for order in self.live_orders() if order.kind == kind]
        for order in ready:
            if order.side < 0:
                self.sell(t, order, rule, prints[order.column])
        buys = [order for order in ready if order.side > 0 and self.can_fill(t, order, prints[order.column])]
        prices = [self.slipped(t, o.column, 1, o.open, prints[o.column], self.order_limit(t, o)) for o in buys]
        cash = min(account.cash, account.cash_before) if self.policy.funding == "cash" else account.cash
        spent, made = 0, []
        for order, price, quantity in zip(buys, prices, self.fit_cash(t, buys, prices, cash), strict=True):
            if quantity < order.open:
                order.reason = "INSUFFICIENT_CASH"
            if quantity:
                fill = self.make_fill(t, order.column, 1, quantity, price, prints[order.column], rule)
                made.append(fill)
                spent += fill.value + fill.commission
                account.apply(fill)
                order.filled += quantity
            order.end(t)
        if self.policy.funding == "proceeds" and spent > account.cash_before:
            for fill in made:
                fill.from_proceeds = True

    def sell(self, t: int, order: Order, rule: str, price: float) -> None:
        s = order.column
        held = self.account.shares[s]
        if not self.can_fill(t, order, price):
            return
        if order.open > held:
            order.open, order.reason = held, "INSUFFICIENT_SHARES"
            if held == 0:
                order.end(t)
                return
        sold = self.slipped(t, s, -1, order.open, price, self.order_limit(t, order))
        self.account.apply(self.make_fill(t, s, -1, order.open, sold, price, rule))
        order.filled += order.open
        order.end(t)

    def can_fill(self, t: int, order: Order, price: float) -> bool:
        """Whether the order fills at this print; if not it ends, with its reason."""
        lower, upper = self.price_limits(t, order.column)
        limit = self.order_limit(t, order)
        if not self.panel.has(t, order.column, TRADED):
            order.end(t, "HALTED")
        elif (order.side > 0 and price >= upper) or (order.side < 0 and price <= lower):
            order.end(t, "LIMIT_LOCKED")
        elif not isnan(limit) and (price - limit) * order.side > 0:
            order.end(t, "COLLAR")
        return order.status == "working"

    def make_fill(self, t: int, s: int, side: int, quantity: int, price: float, printed: float, rule: str) -> Fill:
        value = self.money(price, quantity)
        lost = (value - self.money(printed, quantity)) * side
        tax = self.tax(t, s, value) if side < 0 else 0
        return Fill(t, s, side, quantity, price, value, self.commission(t, s, value), tax, lost, rule)

    # --- 4 ----------------------------------------------------------------------------------------------------------

    def match_stops(self, t: int) -> None:
        for s in range(len(self.panel.symbols)):
            if self.account.shares[s] and self.panel.has(t, s, TRADED):
                rule, price = self.stop_sale(t, s)
                if rule:
                    self.sell_by_stop(t, s, rule, price)
                self.account.peak[s] = max(self.account.peak[s], self.panel.high[t][s])

    def levels(self, s: int, peak: float) -> tuple[float, str]:
        """The higher of stop and trail, and its name; -inf without either."""
        entry = self.account.paid[s] / self.panel.unit / self.account.bought[s]
        level, name = float("-inf"), ""
        if self.policy.stop_loss is not None:
            level, name = entry * (1 - self.policy.stop_loss), "stop_loss"
        if self.policy.trailing_stop is not None and peak * (1 - self.policy.trailing_stop) > level:
            level, name = peak * (1 - self.policy.trailing_stop), "trailing_stop"
        return level, name

    def stop_sale(self, t: int, s: int) -> tuple[str, float]:
        """Walk the bar's path; the rule that sells and its price before slippage, or ("", nan)."""
        o, h, low, c = (rows[t][s] for rows in (self.panel.open, self.panel.high, self.panel.low, self.panel.close))
        account, policy = self.account, self.policy
        entry = account.paid[s] / self.panel.unit / account.bought[s]
        take = float("inf")
        if policy.take_profit is not None:
            take = self.ceil_tick(t, s, entry * (1 + policy.take_profit))
        level, name = self.levels(s, account.peak[s])
        if self.held_before[s] and o <= level:
            return f"{name}_gap", o
        if self.held_before[s] and o >= take:
            return "take_profit_gap", o
        low_first = o - low <= h - o
        account.peak[s] = max(account.peak[s], o if low_first else h)
        level, name = self.levels(s, account.peak[s])
        if low <= level:
            return name, min(max(self.floor_tick(t, s, level), low), h)
        if h >= take:
            return "take_profit", max(take, low)
        new_level, new_name = self.levels(s, max(account.peak[s], h))
        if low_first and c <= new_level and new_name == "trailing_stop":
            return new_name, min(max(self.floor_tick(t, s, new_level), low), h)
        return "", nan

    def sell_by_stop(self, t: int, s: int, rule: str, price: float) -> None:
        account = self.account
        kind = rule.removesuffix("_gap")
        order = Order(t, s, -1, account.shares[s], kind, open=account.shares[s])
        account.orders.append(order)
        if price <= self.price_limits(t, s)[0]:
            order.end(t, "LIMIT_LOCKED")
            return
        account.apply(self.make_fill(t, s, -1, order.open, self.slipped(t, s, -1, order.open, price), price, rule))
        order.filled = order.quantity
        order.end(t)
        account.goals[s], account.stopped[s] = 0, account.counted[s] not in (None, 0.0)
        account.places.discard(s)
        for other in self.live_orders():
            if other.column == s and other.side > 0:
                other.end(t, "STOPPED")

    # --- 6, 7, 8 ----------------------------------------------------------------------------------------------------

    def expire(self, t: int) -> None:
        for order in self.live_orders():
            order.end(t)
        for order in self.account.waiting:
            if order.side > 0 and order.status in ("cut", "dropped"):
                self.account.said[order.column] = order.reason
        self.account.waiting = []

    def mark(self, t: int) -> None:
        account = self.account
        held = [account.owned(s) for s in range(len(account.shares))]
        value = sum(self.money(self.panel.close[t][s], n) for s, n in enumerate(held) if n)
        account.equity = account.cash + sum(amount for _, amount in account.receivable) + value
        account.highest_equity = max(account.highest_equity, account.equity)
        daily, drawdown = self.limits.max_daily_loss, self.limits.max_drawdown
        if daily is not None and account.day_equity - account.equity > daily * account.day_equity:
            account.no_buys_today = True
        if drawdown is not None and account.highest_equity - account.equity > drawdown * account.highest_equity:
            account.no_buys = True

    def bar(self, t: int) -> None:
        self.open_bar(t)
        self.release(t)
        self.match_open(t)
        self.match_stops(t)
        self.match_close(t)
        self.expire(t)
        self.mark(t)
        kind = {"next_open": "at_open", "next_close": "at_close", "close": "same_close"}[self.fill]
        self.account.waiting = reference_decide.decide(self, t, kind)
        self.account.orders += self.account.waiting
        if self.fill == "close":
            self.match_close(t, "same_close")
            self.expire(t)
            self.mark(t)
        self.account.cash_by_bar.append(self.account.cash)
        self.account.equity_by_bar.append(self.account.equity)


def simulate(panel: Panel, targets: list[list[float]], **settings: object) -> Account:
    """Fold the whole panel; `settings` are `Run`'s."""
    run = Run(panel, targets, **settings)  # type: ignore[arg-type]
    for t in range(len(panel.days)):
        run.bar(t)
    return run.account
