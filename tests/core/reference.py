"""The fold again, slow and plain: what `docs/execution.md` says, one function per step, nothing compiled.

Contract: pure; plain floats, ints, lists and dicts. `simulate` folds a `Panel` and gives an `Account` with
`fills`, `orders`, `cash` and `equity` per bar. Money is in minor units. Written from the page alone, so that agreement
with the compiled fold means something. From target to order is in `reference_decide`, a strategy's own orders in
`reference_orders`, the path of a bar in `reference_path`, prices and costs in `reference_prices`.

    1 open_bar  2 release  3 match_open  4 match_path  5 match_close  6 expire  7 mark  8 decide
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isnan, nan

from quantkit.core.policy import Policy, RiskLimits
from quantkit.market.costs import Costs
from tests.core import reference_decide, reference_orders, reference_path, reference_short
from tests.core.reference_orders import PRINTS, Command
from tests.core.reference_prices import Prices
from tests.core.reference_state import LISTED, TRADED, Account, Event, Fill, Order, Panel, whole


class Run(Prices):
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
        script: Sequence[Sequence[Command]] = (),
        max_orders: int = 64,
    ) -> None:
        self.panel, self.targets, self.boolean, self.rank = panel, targets, boolean, rank
        self.policy, self.costs, self.limits, self.fill = policy, costs, limits, fill
        self.deposits = deposits or {}
        self.account = Account(panel, cash)
        self.script, self.max_orders = script, max_orders
        names = len(panel.symbols)
        self.session = 0  # its number, the first being 1
        self.session_range: list[tuple[float, float] | None] = [None] * names  # low and high of the session so far
        self.last_range = [nan] * names  # high - low of the last session that traded

    # --- 1 ----------------------------------------------------------------------------------------------------------

    def open_bar(self, t: int) -> None:
        account = self.account
        if self.new_session(t):
            today = self.panel.days[t]
            if t:
                settled = account.cash - sum(account.unsettled)
                days = today - self.panel.days[t - 1]
                account.cash += max(0, floor(settled * self.costs.interest * days / 365 + 1e-6))
                account.cash -= floor(account.short_value * self.costs.borrow * days / 365 + 1e-6)
            account.unsettled = [account.unsettled[1], 0]
            account.cash += sum(amount for day, amount in account.receivable if day <= today)
            account.receivable = [(day, amount) for day, amount in account.receivable if day > today]
            for day, s, shares in account.shares_due:
                account.shares[s] += shares if day <= today else 0
            account.shares_due = [due for due in account.shares_due if due[0] > today]
            account.day_equity = account.equity
            account.no_buys_today = False
            self.roll_ranges()
        account.used = [0] * len(self.panel.symbols)
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
        reference_orders.end_of_yesterday(self, t)
        for order in self.live_orders():
            if order.open == 0 and order.stage != "child":  # all actions of the day left nothing of it
                order.end(t, "EXPIRED" if order.own else "")
        reference_orders.end_orphans(self, t)
        for s in range(len(self.panel.symbols)):
            if not self.panel.has(t, s, LISTED):
                self.settle_delisted(t, s)
        account.cash_before = account.cash

    def roll_ranges(self) -> None:
        self.session += 1
        for s, seen in enumerate(self.session_range):
            if seen is not None:
                self.last_range[s] = seen[1] - seen[0]
                self.session_range[s] = None

    def last_of_session(self, t: int) -> bool:
        return t + 1 == len(self.panel.days) or self.panel.days[t + 1] != self.panel.days[t]

    def cash_of_action(self, t: int, event: Event, ratio: float) -> int:
        """A dividend after tax, or what a right or a part of the company is taken to fetch."""
        s, each = event.column, event.cash_per_share
        if each == 0 and event.kind in ("rights", "spinoff"):
            last = self.panel.close[t - 1][s]
            each = max(last - last / event.price_factor * ratio, 0.0)
        held = self.account.owned(s)
        amount = self.money(each, abs(held))
        if held < 0:
            return -amount
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
        if event.receivable and ratio > 1 and owned > 0:
            new = floor(owned * ratio + 1e-9) - owned
            if event.pay_day is not None and later:
                account.shares_due.append((event.pay_day, s, new))
            else:
                account.shares[s] += new
        elif ratio != 1:
            account.shares[s] = whole(account.shares[s] * ratio)
            account.shares_due = [
                (day, k, floor(n * ratio + 1e-9) if k == s else n) for day, k, n in account.shares_due
            ]
        fraction = owned * ratio - account.owned(s)
        if abs(fraction) > 1e-9:
            worth = self.money(self.panel.close[t - 1][s] / event.price_factor * abs(fraction), 1)
            amount += worth if fraction > 0 else -worth
        if later:
            assert event.pay_day is not None
            account.receivable.append((event.pay_day, amount))
        else:
            account.cash += amount
        account.last_buy[s] /= event.price_factor
        account.mark_price[s] /= event.price_factor
        if owned and not account.owned(s):
            account.left[s] = t
        if owned:
            account.bought[s] *= event.price_factor
            account.peak[s] /= event.price_factor
        account.goals[s] = whole(account.goals[s] * ratio)
        self.last_range[s] /= event.price_factor
        for order in account.waiting:
            if order.column == s and order.status == "working":
                allowed = floor((order.filled + order.open) * ratio + 1e-9)
                order.quantity, order.filled = (floor(n * ratio + 1e-9) for n in (order.quantity, order.filled))
                order.open = allowed - order.filled
                for name in ("limit", "stop", "extreme"):
                    setattr(order, name, getattr(order, name) / event.price_factor)

    def settle_delisted(self, t: int, s: int) -> None:
        account = self.account
        account.shares[s] = account.owned(s)
        account.shares_due = [due for due in account.shares_due if due[1] != s]
        if account.shares[s]:
            price = self.panel.close[t - 1][s]
            side, quantity = -1 if account.shares[s] > 0 else 1, abs(account.shares[s])
            account.apply(Fill(t, s, side, quantity, price, self.money(price, quantity), 0, 0, 0, "delisting"))
        for order in self.live_orders():
            if order.column == s:
                order.end(t, "DELISTED")
        account.goals[s], account.counted[s], account.stopped[s] = 0, None, False
        account.places.discard(s)
        account.waiting_names.discard(s)

    def goal_of(self, s: int, shares: float) -> int:
        """A goal in whole lots, cut toward none; below none only where short positions are simulated."""
        held = self.account.owned(s) if self.policy.rounding == "order" else 0
        goal = held + whole((shares - held) / self.lot(s)) * self.lot(s)
        return goal if self.policy.short else max(0, goal)

    # --- 2 ----------------------------------------------------------------------------------------------------------

    def release(self, t: int) -> None:
        reference_orders.take_effect(self, t)
        if self.policy.funding != "cash":
            return
        new = [o for o in self.live_orders() if o.side > 0 and o.kind in PRINTS and isnan(o.reserve_price)]
        buys = [order for order in new if reference_orders.is_placed(self, t, order)]
        closing = [order for order in buys if reference_short.closes(self, order)]
        for order in closing:
            order.reserve_price = self.reserve_price(t, order)
        buys = [order for order in buys if order not in closing]
        prices = [self.reserve_price(t, order) for order in buys]
        cash = reference_short.buying_power(self, self.account.cash_before) - reference_orders.reserved(self, t)
        for order, price, quantity in zip(buys, prices, self.fit_cash(t, buys, prices, cash), strict=True):
            order.reserve_price = price
            self.cut_to(t, order, quantity)
        reference_orders.reserve_limits(self, t)
        reference_orders.end_orphans(self, t)

    def cut_to(self, t: int, order: Order, quantity: int, reason: str = "INSUFFICIENT_CASH") -> None:
        """What is above `quantity` ends."""
        if quantity < order.open:
            order.open, order.reason = quantity, reason
            if quantity == 0:
                order.end(t)

    def reserve_price(self, t: int, order: Order) -> float:
        limit = self.rounded_limit(t, order) if not isnan(order.limit) else self.order_limit(t, order)
        upper = self.price_limits(t, order.column)[1]
        if not isnan(limit):
            return limit
        return upper if upper != float("inf") else self.reference_price(t, order.column)

    def unspendable(self) -> int:
        return floor((self.limits.min_cash or 0) * self.panel.unit + 0.5)

    def spendable(self, t: int, *orders: Order) -> int:
        """What these buys may spend before `RiskLimits.min_cash`, proceeds of the path aside."""
        if self.policy.funding == "proceeds":
            return reference_short.buying_power(self, self.account.cash - self.account.path_sales)
        cash = reference_short.buying_power(self, min(self.account.cash, self.account.cash_before))
        return cash - reference_orders.reserved(self, t, *orders)

    def spend(self, amount: int) -> bool:
        """Take a buy's cost from the cash held before the bar; whether it needed more."""
        before = self.account.cash_before
        self.account.cash_before -= min(amount, before)
        return amount > before

    def fit_cash(self, t: int, buys: list[Order], prices: list[float], cash: int) -> list[int]:
        """How many shares of each buy the cash allows, as `shortfall` says."""
        left = cash - self.unspendable()
        wanted = [order.open for order in buys]

        def cost(i: int, quantity: int) -> int:
            return self.buy_cost(t, buys[i].column, prices[i], quantity)

        needed = sum(cost(i, quantity) for i, quantity in enumerate(wanted))
        if needed <= left:
            return wanted
        if self.policy.shortfall == "scale":
            ratio = left / needed if left > 0 else 0.0
            result = self.cut(buys, wanted, ratio)
            while sum(cost(i, quantity) for i, quantity in enumerate(result)) > left and any(result):
                ratio *= 0.999
                result = self.cut(buys, wanted, ratio)
            return result
        result = [0] * len(buys)
        for i in self.turns(buys, prices):
            if cost(i, wanted[i]) <= left:
                result[i] = wanted[i]
            elif self.policy.shortfall == "sequence":
                low, high = 0, wanted[i]
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if cost(i, middle) <= left else (low, middle)
                result[i] = self.in_lots(buys[i].column, low)
            left -= cost(i, result[i])
        return result

    def cut(self, buys: list[Order], wanted: list[int], ratio: float) -> list[int]:
        """Each order's shares times a ratio, in whole lots."""
        return [self.in_lots(order.column, floor(n * ratio)) for order, n in zip(buys, wanted, strict=True)]

    def lot(self, s: int) -> int:
        """The fewest shares of an order."""
        return 10 if self.panel.market[0][s] == "ELW" else 1

    def in_lots(self, s: int, shares: int) -> int:
        """Shares cut to whole lots."""
        return shares // self.lot(s) * self.lot(s)

    def turns(self, buys: list[Order], prices: list[float]) -> list[int]:
        """The places of buys in the order in which they fill, as `shortfall` says."""
        places = list(range(len(buys)))
        if self.policy.shortfall != "scale":
            places.sort(key=lambda i: self.panel.symbols[buys[i].column])
        if self.policy.shortfall == "sequence":
            places.sort(key=lambda i: self.money(prices[i], buys[i].open))
        return places

    # --- 3 and 5 ----------------------------------------------------------------------------------------------------

    def live_orders(self) -> list[Order]:
        return [order for order in self.account.waiting if order.status == "working"]

    def match(self, t: int, *kinds: str) -> None:
        """What closes positions first, then short sales, then all other buys together."""
        ready = [order for order in self.live_orders() if reference_orders.due(self, t, order, kinds)]
        shorts: list[Order] = []
        buys: list[Order] = []
        taken = [0] * len(self.panel.symbols)  # shares of the cap that older orders plan to use
        for order in ready:
            if order.status == "working" and self.can_fill(t, order):
                if order.role == "opens" and self.account.owned(order.column) != self.account.shares[order.column]:
                    self.cut_to(t, order, 0, "INSUFFICIENT_SHARES")  # none is sold short while shares are due
                elif order.role == "opens":
                    self.cap(t, order, taken[order.column])
                    taken[order.column] += order.open
                    shorts += [order] if order.status == "working" else []
                elif order.side < 0 or reference_short.closes(self, order):
                    self.close(t, order, taken[order.column])
                else:
                    self.cap(t, order, taken[order.column])
                    taken[order.column] += order.open
                    buys.append(order)
        buys = [order for order in buys if order.status == "working"]
        cash = reference_short.sell_short(self, t, shorts, self.spendable(t, *buys))
        prints = [self.print_of(t, order) for order in buys]
        prices = [
            self.slipped(t, o.column, 1, o.open, p, self.order_limit(t, o)) for o, p in zip(buys, prints, strict=True)
        ]
        spent, made = 0, []
        quantities = self.fit_cash(t, buys, prices, cash)
        for i in self.turns(buys, prices):
            order, price, printed, planned = buys[i], prices[i], prints[i], quantities[i]
            quantity = min(planned, order.open)  # a fill before may have taken shares off it
            if planned < order.open:
                order.reason = "INSUFFICIENT_CASH"
            if quantity:
                fill = self.make_fill(t, order, quantity, price, printed, self.print_rule(order))
                made.append(fill)
                spent += fill.value + fill.commission
            if order.status == "working":
                order.end(t)
        if self.spend(spent) and self.policy.funding == "proceeds":
            for fill in made:
                fill.from_proceeds = True
        reference_orders.end_orphans(self, t)

    def print_of(self, t: int, order: Order) -> float:
        rows = {"at_open": self.panel.open, "vwap": self.panel.average}.get(order.kind, self.panel.close)
        return rows[t][order.column]

    def print_rule(self, order: Order) -> str:
        rules = {"at_open": "open", "at_close": "close", "conditional": "conditional_close"}
        return rules.get(order.kind, order.kind)

    def cap(self, t: int, order: Order, planned: int) -> None:
        """Cut an order for one print to what the participation cap leaves beside what older ones plan to take."""
        left = self.in_lots(order.column, max(0, self.cap_left(t, order.column) - planned))
        self.cut_to(t, order, min(order.open, left), "PARTICIPATION")

    def cap_left(self, t: int, s: int) -> int:
        if self.policy.participation is None:
            return 1 << 60
        left = floor(self.policy.participation * self.panel.volume[t][s]) - self.account.used[s]
        return self.in_lots(s, max(0, left))

    def close(self, t: int, order: Order, taken: int) -> None:
        """A sale of what is held, or a buy that closes a short position: never cut for cash."""
        s, side = order.column, order.side
        self.cut_to(t, order, min(order.open, max(0, -side * self.account.shares[s])), "INSUFFICIENT_SHARES")
        if order.status == "working":
            self.cap(t, order, taken)
        if order.status == "working":
            price = self.print_of(t, order)
            slipped = self.slipped(t, s, side, order.open, price, self.order_limit(t, order))
            fill = self.make_fill(t, order, order.open, slipped, price, self.print_rule(order))
            if side > 0:
                self.spend(fill.value + fill.commission)
            if order.status == "working":
                order.end(t)

    def can_fill(self, t: int, order: Order) -> bool:
        """Whether the order fills at its print; if not it ends, with its reason."""
        price = self.print_of(t, order)
        limit = self.order_limit(t, order)
        if not self.panel.has(t, order.column, TRADED):
            order.end(t, "HALTED")
        elif self.locked(t, order.column, order.side, price):
            order.end(t, "EXPIRED" if order.kind == "conditional" else "LIMIT_LOCKED")
        elif not isnan(limit) and (price - limit) * order.side > 0:
            order.end(t, "COLLAR")
        return order.status == "working"

    def make_fill(self, t: int, order: Order, quantity: int, price: float, printed: float, rule: str) -> Fill:
        """Book a fill of an order with its costs, and what follows from it."""
        s, side = order.column, order.side
        value = self.money(price, quantity)
        lost = (value - self.money(printed, quantity)) * side
        tax = self.tax(t, s, value) if side < 0 else 0
        fill = Fill(t, s, side, quantity, price, value, self.charge(t, order, value), tax, lost, rule)
        order.day_value, order.day_fee = order.day_value + value, order.day_fee + fill.commission
        fill.order, fill.tag = order.id, order.tag
        self.account.apply(fill)
        self.account.used[s] += quantity
        order.filled += quantity
        order.open -= quantity
        if order.open == 0:
            order.end(t)
        if order.own:
            reference_orders.filled(self, t, order, quantity)
        return fill

    # --- 4 ----------------------------------------------------------------------------------------------------------

    def match_path(self, t: int) -> None:
        names = sorted(range(len(self.panel.symbols)), key=lambda k: self.panel.symbols[k])
        names = [s for s in names if self.panel.has(t, s, TRADED)]
        for s in names:
            if self.account.shares[s] < 0:
                reference_path.walk(self, t, s, short=True)
        for s in names:
            reference_path.walk(self, t, s)
        self.account.path_sales = self.account.path_freed = 0
        reference_orders.end_orphans(self, t)

    # --- 6, 7, 8 ----------------------------------------------------------------------------------------------------

    def expire(self, t: int, *kinds: str) -> None:
        for order in self.live_orders():
            if reference_orders.due(self, t, order, kinds):
                order.end(t)
        for order in self.account.waiting:
            wrote = order.side > 0 or order.role == "opens" or order.reason == "TURNOVER"
            if not order.own and wrote and order.status in ("cut", "dropped"):
                self.account.said[order.column] = order.reason
        self.account.waiting = self.live_orders()

    def mark(self, t: int) -> None:
        account = self.account
        held = [account.owned(s) for s in range(len(account.shares))]
        value = sum(self.money(self.panel.close[t][s], n) for s, n in enumerate(held) if n)
        account.equity = account.cash + sum(amount for _, amount in account.receivable) + value
        account.highest_equity = max(account.highest_equity, account.equity)
        account.mark_price = list(self.panel.close[t])
        account.short_value = reference_short.short_value(self)
        daily, drawdown = self.limits.max_daily_loss, self.limits.max_drawdown
        if daily is not None and account.day_equity - account.equity > daily * account.day_equity:
            account.no_buys_today = True
        if drawdown is not None and account.highest_equity - account.equity > drawdown * account.highest_equity:
            account.no_buys = True

    def bar(self, t: int) -> None:
        account = self.account
        self.open_bar(t)
        self.release(t)
        self.match(t, "at_open")
        self.match_path(t)
        self.match(t, "vwap")
        self.match(t, "at_close", "conditional")
        reference_orders.expire_own(self, t)
        self.expire(t, "at_open", "at_close", "vwap")
        self.mark(t)
        kind = {"next_open": "at_open", "next_close": "at_close", "close": "same_close", "next_bar_vwap": "vwap"}
        self.see_range(t)
        if self.script:
            reference_orders.on_bar(self, t, self.script[t], kind[self.fill])
        decided = reference_decide.decide(self, t, kind[self.fill])
        for order in decided:
            order.id, account.next_id = account.next_id, account.next_id + 1
        account.waiting += decided
        account.orders += decided
        if self.fill == "close":
            self.match(t, "same_close")
            self.expire(t, "same_close")
            self.mark(t)
        account.cash_by_bar.append(account.cash)
        account.equity_by_bar.append(account.equity)

    def see_range(self, t: int) -> None:
        for s, seen in enumerate(self.session_range):
            if self.panel.has(t, s, TRADED):
                low, high = self.panel.low[t][s], self.panel.high[t][s]
                self.session_range[s] = (low, high) if seen is None else (min(seen[0], low), max(seen[1], high))


def simulate(panel: Panel, targets: list[list[float]], **settings: object) -> Account:
    """Fold the whole panel; `settings` are `Run`'s."""
    run = Run(panel, targets, **settings)  # type: ignore[arg-type]
    for t in range(len(panel.days)):
        run.bar(t)
    return run.account
