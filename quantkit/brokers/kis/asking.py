"""Any call of the catalogue but orders and streams, asked by its name: what `KisClient.call` does.

    arguments   checked before anything is sent, the account filled in                            `calling`
    lists       paged to the end; charts that run backwards one page, or as many as are wanted    `continuing`
    keys        asked for like anything else; what is made is kept and not shown

Contract: errors as the client's. Called by `KisClient.call` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.brokers.kis import catalogue, continuing
from quantkit.brokers.kis.calling import Record, Result, arguments, chosen, result
from quantkit.brokers.kis.limiter import Lane
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantkit.brokers.kis.answers import Envelope
    from quantkit.brokers.kis.client import KisClient


async def ask(
    client: KisClient, name: str, fields: Mapping[str, object], *, variant: str | None, pages: int | None
) -> Result:
    """The answer, all pages or the first `pages`. ConfigError for arguments, Refused for a call that paper does not
    have, and for one that orders."""
    call = catalogue.find(name)
    if call.kind == "auth":
        return await _key(client, call, fields)
    told = chosen(call, client.environment, variant)
    params = arguments(call, continuing.first_page(call, fields), client.account)
    lane = Lane.QUERY if "/trading/" in call.path else Lane.DATA
    if pages is not None and pages < 1:
        raise ConfigError(f"pages={pages}: expected 1 or more, or None for all")
    if continuing.runs_backwards(call):

        async def page(params: Mapping[str, str]) -> Envelope:
            return await client.wire.read(told, call.path, params, lane=lane)

        found, more = await continuing.pages(page, call, params, pages or 1)
        return result(call, found, more=more)
    found = await client.wire.pages(told, call.path, params, lane=lane, most=pages)
    return result(call, found, more=found[-1].more)


async def _key(client: KisClient, call: catalogue.Call, fields: Mapping[str, object]) -> Result:
    """Keys are ours to keep: what is shown of them is that there is one. A hash key is no secret: fields are those of
    the order whose hash is wanted."""
    if call.name == "hashkey":
        body = {name.upper(): str(value) for name, value in fields.items()}
        return Result(call, {"output": (Record({"hash": await client.wire.hash_key(body)}),)}, "0", "")
    if fields:
        raise ConfigError(f"{call.name}: the fields come from the keys; do not give {', '.join(fields)}")
    if call.name == "revoke_token":
        return Result(call, {}, "0", await client.wire.revoke())
    await (client.wire.tokens.token() if call.name == "auth_token" else client.approval_key())
    return Result(call, {}, "0", f"KIS gave a key of {client.environment}; it is kept and not shown")
