"""The hash chain: every row of a journal carries the hash of the row before it.

Contract: pure. The hash of a row is SHA-256, in hexadecimal, over the hash of the row before it (`GENESIS` before the
first) followed by the row as canonical JSON: the columns account_id, client_order_id, epoch, kind, payload, seq,
strategy_id and ts_ns in that order, keys of payloads sorted, no spaces, text as UTF-8. So one row cannot be changed,
dropped, added or moved without changing the last hash, which can be told to somebody every day.

>>> canonical({"b": 1, "a": "삼성전자"})
'{"a":"삼성전자","b":1}'
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import Bug

if TYPE_CHECKING:
    from quantkit.trading.events import Entry

GENESIS: Final = "0" * 64
"""What stands for the hash of the row before the first."""

encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_text = json.encoder.encode_basestring


def canonical(payload: dict[str, Any]) -> str:
    """JSON of a payload in its one form; Bug where it holds what JSON cannot say (NaN, NumPy's numbers, sets)."""
    try:
        return encode(payload)
    except (TypeError, ValueError) as error:
        raise Bug(f"a journal entry holds what JSON cannot say: {error}: {payload!r:.300}") from error


def row_hash(account: str, seq: int, epoch: int, entry: Entry, payload: str, prev_hash: str) -> str:
    """Hash of one row, whose payload is given as `canonical` wrote it."""
    order = "null" if entry.order is None else _text(entry.order)
    deployment = "null" if entry.deployment is None else _text(entry.deployment)
    row = (
        f'{prev_hash}{{"account_id":{_text(account)},"client_order_id":{order},"epoch":{epoch},'
        f'"kind":{_text(entry.kind)},"payload":{payload},"seq":{seq},"strategy_id":{deployment},"ts_ns":{entry.time}}}'
    )
    return hashlib.sha256(row.encode()).hexdigest()
