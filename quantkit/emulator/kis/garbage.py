"""What a fault makes of an answer or a frame that was whole: the forms of `faults.FORMS`.

Contract: pure; the same strike makes the same of the same. Bytes are wrong where no digit could stand, so that who
reads carefully can tell: a digit that became another one could not be told by anybody.

>>> from quantkit.emulator.faults import FaultKind, Strike
>>> frames("0|H0STCNT0|001|a^b^c^d", Strike(FaultKind("frame_garbage"), 0.0, 0.5, "fields"))
['0|H0STCNT0|001|a^b^d']
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quantkit.emulator.kis.http import Reply

if TYPE_CHECKING:
    from quantkit.emulator.faults import Strike

_PAGE = b"<html><body>Service Temporarily Unavailable</body></html>"


def reply(good: Reply, strike: Strike) -> Reply:
    """An answer that cannot be read, or lacks every other field of its rows."""
    place = int(len(good.body) * strike.chance)
    match strike.form:
        case "html":
            return Reply(200 if strike.chance < 0.5 else 502, _PAGE, good.headers, "text/html")
        case "cut":
            return replace(good, body=good.body[:place])
        case "empty":
            return replace(good, body=b"")
        case "glued":
            return replace(good, body=good.body + good.body)
        case "fields":
            return replace(good, body=json.dumps(_halved(json.loads(good.body)), ensure_ascii=False).encode())
        case _:
            return replace(good, body=good.body[:place] + b"\xff\xfe" + good.body[place + 2 :])


def _halved(body: dict[str, Any]) -> dict[str, Any]:
    def half(row: dict[str, Any]) -> dict[str, Any]:
        return dict(list(row.items())[::2])

    if "rt_cd" not in body:  # of a token or a key
        return half(body)
    rows = {name: [half(row) for row in block] for name, block in body.items() if isinstance(block, list)}
    single = {name: half(block) for name, block in body.items() if isinstance(block, dict)}
    return body | rows | single


def frames(text: str, strike: Strike) -> list[str | bytes]:
    """What is sent instead of a frame of records."""
    head, bar, payload = text.rpartition("|")
    place = int(len(payload) * strike.chance)
    match strike.form:
        case "cut":
            return [text[: int(len(text) * strike.chance)]]
        case "doubled":
            return [text, text]
        case "glued":
            return [text + text]
        case "fields":
            columns = payload.split("^")
            del columns[int(len(columns) * strike.chance)]
            return [f"{head}{bar}{'^'.join(columns)}"]
        case "bytes" if text.startswith("1"):  # of a cipher, which opens to nothing that could be read
            return [f"{head}{bar}{payload[:place]}{'A' if payload[place] != 'A' else 'B'}{payload[place + 1 :]}"]
        case "bytes":
            return [f"{head}{bar}{payload[:place]}".encode() + b"\xff" + payload[place + 1 :].encode()]
        case _:
            return [f"0|H0STXXX0|001|{payload}"]
