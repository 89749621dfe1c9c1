"""The paper broker: real prices, no real money.

broker   the port, latency, the account's file      desk     orders in, fills out, the day's list
sight    what trades against an order               ledger   money and shares
hours    the session's phases                       store    the file
"""

from quantkit.brokers.paper.broker import Latency, PaperBroker, WatchedFeed

__all__ = ["Latency", "PaperBroker", "WatchedFeed"]
