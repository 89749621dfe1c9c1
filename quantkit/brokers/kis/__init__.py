"""한국투자증권 (KIS): its REST and WebSocket servers, and our ports over them.

broker   our Broker port    feed   our Feed port     polled     own orders heard by asking, where there is no stream
client   all questions and orders, typed            codes      servers' addresses, transaction ids, error codes
wire     one call: token, limiter, repeats, pages   transport  bytes out and in
tokens   the access token, kept on disk             limiter    requests a second, by lane
catalogue, calling, asking   all 338 calls by name  charts     days and minutes, whole
answers  what an answer means                       server     keys, accounts, servers
quotes, ledger   records of prices and of accounts  figures    texts as numbers
frames, columns, sealed   what the stream says      stream     one WebSocket session
notices  own orders of an account on the stream     desk       feed and broker over one client and one session
sources, vault   where keys lie, files of secrets   continuing   lists that go on from their last row
shared   one reading at a time, for all who ask
history, landing, adjusted, masters   the past into the lake: days, minutes, actions, names
assumptions, rehearsal   what nobody has seen yet   wirelog    what the journal keeps of the wire
"""

from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.server import Account, PaperKeys, RealKeys, Server

__all__ = ["Account", "Environment", "KisClient", "Options", "PaperKeys", "RealKeys", "Server"]
