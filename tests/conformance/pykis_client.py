"""python-kis, driven against an emulator; run by its own interpreter. One JSON line a step: name, what it read."""

import datetime as dt
import json
import sys
import threading
import time

import pykis.client.websocket as sockets
import pykis.kis as module
from pykis import KisAuth, PyKis

given = json.loads(sys.argv[1])
module.REAL_DOMAIN = module.VIRTUAL_DOMAIN = given["rest"]
sockets.WEBSOCKET_REAL_DOMAIN = sockets.WEBSOCKET_VIRTUAL_DOMAIN = given["stream"]


def step(name, work):
    try:
        print(json.dumps({"step": name, "read": work()}, default=str), flush=True)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        print(json.dumps({"step": name, "error": f"{type(error).__name__}: {error}"}), flush=True)


auth = KisAuth(
    id=given["hts_id"],
    account=f"{given['account'][:8]}-{given['account'][8:]}",
    appkey=given["appkey"],
    secretkey=given["appsecret"],
    virtual=False,
)
kis = PyKis(auth, keep_token=False)
NAME, LOW, STEP = given["symbol"], given["low"], given["step"]
stock, account = kis.stock(NAME), kis.account()
since, until = (dt.date.fromisoformat(given[name]) for name in ("since", "until"))

step("token", lambda: kis.token.type)
step("quote", lambda: str(int(stock.quote().price)))
step("order book", lambda: [str(int(level.price)) for level in stock.orderbook().asks])
step("daily chart", lambda: [str(int(bar.close)) for bar in stock.daily_chart(start=since, end=until).bars])
step("minute chart", lambda: len(stock.day_chart(start=dt.time(9), end=dt.time(15, 30)).bars))
step("orderable", lambda: str(int(stock.orderable_amount(price=LOW).amount)))

heard, fills = threading.Event(), threading.Event()
ticks, notices = [], []


def on_price(sender, event):
    ticks.append(str(int(event.response.price)))
    heard.set()


def on_fill(sender, event):
    notices.append([event.response.order_number.number, str(int(event.response.quantity))])
    fills.set()


tickets = []


def waited(seconds):
    """Wait until prices and notices are acknowledged; how many registrations there are."""
    for _ in range(int(seconds * 10)):
        found = kis.websocket._registered_subscriptions  # it tells nobody otherwise
        if {"H0STCNT0", "H0STCNI0"} <= {one.id for one in found}:
            return len(found)
        time.sleep(0.1)
    raise TimeoutError(str(found))


step("stream prices", lambda: tickets.append(stock.on("price", on_price)))
step("stream notices", lambda: tickets.append(account.on("execution", on_fill)))
step("registered", lambda: waited(10))
step("market buy", lambda: stock.buy(qty=10).number)
step("first fill heard", lambda: [fills.wait(10), notices[:1]])
step("first price heard", lambda: [heard.wait(20), len(ticks) > 0])
step("balance", lambda: [[one.symbol, str(int(one.qty))] for one in account.balance("KR").stocks])
orders = {}
step("limit buy", lambda: orders.setdefault("first", stock.buy(price=LOW, qty=5)).number)
step("modify", lambda: orders.setdefault("second", orders["first"].modify(price=LOW + STEP)).number)
step(
    "order list",
    lambda: [[one.order_number.number, str(int(one.pending_qty))] for one in account.pending_orders("KR").orders],
)
step("cancel", lambda: orders["second"].cancel().number)
step("market sell", lambda: stock.sell(qty=4).number)
step("day's orders", lambda: len(account.daily_orders(start=until, end=until, country="KR").orders))
for ticket in tickets:
    ticket.unsubscribe()
kis.close()
