"""What people ask for: halt, resume, flatten, panic, adopt, order, cancel, stop.

Contract: pure. A command is journalled before it is acted on, and one whose id was seen before does nothing. What
cannot be done is refused with an alarm that carries the command's id; nothing is half done. Only a person resumes or
adopts, and gives a reason. Arguments, by command:

    halt      scope ("account"), name, mode ("halted" or "reducing"), cancel (False)
    resume    scope, name
    flatten   scope ("account" or "deployment"), name: cancel all of it, then sell what is held
    panic     cancel everything, halt the account
    adopt     symbol, quantity, deployment (None: unassigned) | cash=True, amount | order, with the broker's number, or
              with outcome="not_found", or of a cancel or a replacement that nobody answered outcome="ended" |
              assign, deployment, symbol or cash=True: what is nobody's becomes a deployment's (below 0: back)
    order     symbol, side, quantity, price (None: market), deployment (None: unassigned), phase
    cancel    order
    stop      cancel (False): nothing is sent until the next start
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import BadData, ConfigError, Refused
from quantkit.live import life, outcomes
from quantkit.live.switch import ALL, Mode, Scope, change, rule, who
from quantkit.live.windows import next_window
from quantkit.trading.events import Kind, intent_to_json
from quantkit.trading.orders import NOT_FOUND, Intent, Order, OrderType, Side, Status, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.live.messages import Command
    from quantkit.live.sleeves import Sleeve
    from quantkit.live.turn import Turn

_PHASES: Final = ("opening_auction", "continuous", "closing_auction")


def command(turn: Turn, given: Command) -> None:
    """Do it once."""
    if given.id in turn.engine.commands:
        return
    turn.write(Kind.COMMAND_RECEIVED, {
        "id": given.id, "command": given.name, "arguments": given.arguments, "by": given.by, "reason": given.reason,
    })  # fmt: skip
    try:
        _COMMANDS.get(given.name, _unknown)(turn, given)
    except (Refused, BadData, ConfigError, KeyError, ValueError, TypeError) as error:
        code = error.code if isinstance(error, Refused) else "BAD_COMMAND"
        turn.alarm("COMMAND_REFUSED", f"{given.name} {given.id}: {code}: {error}", key=given.id)


def _unknown(turn: Turn, given: Command) -> None:  # noqa: ARG001 - as every command
    raise Refused("UNKNOWN_COMMAND", f"{given.name}: expected one of {', '.join(_COMMANDS)}")


# --- the switch -----------------------------------------------------------------------------------------------------


def _scope(turn: Turn, arguments: dict[str, Any]) -> tuple[Scope, str]:
    scope = Scope(arguments.get("scope", "account"))
    default = {Scope.ACCOUNT: turn.engine.account, Scope.GLOBAL: ALL, Scope.USER: turn.engine.settings.user}
    name = arguments.get("name") or default.get(scope)
    if not name:
        raise Refused("NEEDS_NAME", f"which {scope}?")
    return scope, str(name)


def _turn_switch(turn: Turn, given: Command, scope: Scope, name: str, mode: Mode) -> None:
    reason = given.reason or ("" if mode is Mode.RUNNING else given.name)
    _, entries = change(turn.engine.switches, scope, name, mode, reason=reason, by=who(given.by), time=turn.time)
    for entry in entries:
        turn.keep(entry)


def _within(turn: Turn, scope: Scope, name: str) -> list[Order]:
    """Orders that are not over, of a scope."""
    orders = [turn.engine.orders[i] for i in (*turn.engine.waiting, *turn.engine.working)]
    match scope:
        case Scope.DEPLOYMENT:
            return [order for order in orders if order.intent.deployment == name]
        case Scope.SYMBOL:
            return [order for order in orders if order.intent.symbol == name]
        case _:
            return orders


def _halt(turn: Turn, given: Command) -> None:
    scope, name = _scope(turn, given.arguments)
    _turn_switch(turn, given, scope, name, Mode(given.arguments.get("mode", "halted")))
    if given.arguments.get("cancel"):
        for order in _within(turn, scope, name):
            life.cancel(turn, order, "HALT")


def _resume(turn: Turn, given: Command) -> None:
    scope, name = _scope(turn, given.arguments)
    _turn_switch(turn, given, scope, name, Mode.RUNNING)


def _panic(turn: Turn, given: Command) -> None:
    _turn_switch(turn, given, Scope.ACCOUNT, turn.engine.account, Mode.HALTED)
    for order in _within(turn, Scope.ACCOUNT, ""):
        life.cancel(turn, order, "PANIC")
    turn.look("ask")


def _flatten(turn: Turn, given: Command) -> None:
    """What waits is ended, what stands is taken back; what is held once nothing else of a name stands is sold."""
    scope, name = _scope(turn, given.arguments)
    if scope not in (Scope.ACCOUNT, Scope.DEPLOYMENT):
        raise Refused("BAD_SCOPE", f"flatten {scope}: expected account or deployment")
    _turn_switch(turn, given, scope, name, Mode.FLATTEN)
    for order in _within(turn, scope, name):
        life.cancel(turn, order, "FLATTEN")
    for sleeve in turn.engine.sleeves.values():
        if scope is Scope.ACCOUNT or sleeve.name == name:
            for symbol, shares in _to_sell(turn, sleeve).items():
                _intend(
                    turn, f"{given.id}:{sleeve.name}:{symbol}", symbol, Side.SELL, shares, None,
                    deployment=sleeve.name, window=_soon(turn, None), rule="flatten", source="strategy",
                )  # fmt: skip


def _to_sell(turn: Turn, sleeve: Sleeve) -> dict[str, int]:
    """Shares by name that a sleeve holds, or may hold once its purchases are back."""
    found = {symbol: shares for symbol, shares in sleeve.positions().items() if shares > 0}
    for order in (turn.engine.orders[name] for name in turn.engine.working):
        if order.intent.deployment == sleeve.name and order.intent.side is Side.BUY:
            found.setdefault(order.intent.symbol, order.leaves)
    return found


def _stop(turn: Turn, given: Command) -> None:
    if given.arguments.get("cancel"):
        for order in _within(turn, Scope.ACCOUNT, ""):
            life.cancel(turn, order, "STOP")
    turn.engine.now.stopped = True
    turn.write(Kind.RUN_ENDED, {"reason": given.reason or "stop"})


# --- orders ---------------------------------------------------------------------------------------------------------


def _soon(turn: Turn, phase: str | None) -> Window:
    """The first window of a kind, or of any kind, that is still open or will be."""
    market = turn.engine.settings.market
    kinds = (phase,) if phase else _PHASES
    return min((next_window(kind, turn.time, market=market) for kind in kinds), key=lambda window: window.opens)


def _intend(
    turn: Turn, name: str, symbol: str, side: Side, quantity: int, price: float | None, *, deployment: str,
    window: Window, rule: str, source: str,
) -> None:  # fmt: skip
    sleeve = turn.engine.sleeves.get(deployment)
    held = turn.engine.unassigned.get(symbol, 0) if sleeve is None else sleeve.shares(symbol)
    intent = Intent(
        id=name, deployment=deployment, symbol=symbol, side=side, quantity=quantity,
        type=OrderType.MARKET if price is None else OrderType.LIMIT, window=window, price=price, bar=turn.time,
        rule=rule, source=source, kind="market",
        reduces=rule == "flatten" or (side is Side.SELL and quantity <= held),
    )  # fmt: skip
    turn.write(Kind.ORDER_INITIALIZED, {"intent": intent_to_json(intent)}, order=name, deployment=deployment or None)


def _order(turn: Turn, given: Command) -> None:
    asked = given.arguments
    deployment = asked.get("deployment") or ""
    sleeve = turn.engine.sleeves.get(deployment)
    if deployment and (sleeve is None or asked["symbol"] not in sleeve.columns):
        raise Refused("UNKNOWN_DEPLOYMENT", f"{deployment} does not trade {asked['symbol']} here")
    price = asked.get("price")
    _intend(
        turn, f"manual:{given.id}", str(asked["symbol"]), Side(asked["side"]), int(asked["quantity"]),
        None if price is None else float(price), deployment=deployment, window=_soon(turn, asked.get("phase")),
        rule="manual", source="manual",
    )  # fmt: skip


def _cancel(turn: Turn, given: Command) -> None:
    order = turn.engine.orders.get(given.arguments["order"])
    if order is None:
        raise Refused("UNKNOWN_ORDER", f"{given.arguments['order']} is no order of today")
    life.cancel(turn, order, "MANUAL")


# --- adoption -------------------------------------------------------------------------------------------------------


def _adopt(turn: Turn, given: Command) -> None:
    if not given.reason.strip():
        raise Refused("NEEDS_REASON", "say why the difference is right")
    asked = given.arguments
    if "order" in asked:
        _adopt_order(turn, given)
    elif "assign" in asked:
        _assign(turn, given)
    elif asked.get("cash"):
        _adopt_cash(turn, given)
    else:
        _adopt_shares(turn, given)


def _adopt_order(turn: Turn, given: Command) -> None:
    """A person says what became of an unanswered order."""
    order = turn.engine.orders[given.arguments["order"]]
    lost = order.status is Status.REJECTED and order.reason == NOT_FOUND
    if order.unresolved_since is None and not lost:
        raise Refused("NOT_UNRESOLVED", f"order {order.id} is {order.status}")
    number, outcome = given.arguments.get("number"), given.arguments.get("outcome")
    sought = lost or order.status is Status.SUBMITTED
    if number and sought:
        owner = turn.owner(str(number), order.submitted or turn.time)
        if owner is not None:
            raise Refused("NUMBER_TAKEN", f"{number} is order {owner.id}")
        order = outcomes.reopen(turn, order, str(number), filled=0, value=0)
        life.adopt_orphans(turn, order, str(number))
        turn.look("ask")
    elif outcome == "not_found" and order.status is Status.SUBMITTED:
        turn.order(Kind.ORDER_REJECTED, order, {"code": NOT_FOUND, "detail": f"by {given.by}: {given.reason}"})
        turn.engine.now.hunts.pop(order.id, None)
    elif outcome == "ended" and not sought:
        life.finish(turn, order, Status.EXPIRED, f"by {given.by}: {given.reason}")
        turn.engine.now.hunts.pop(order.id, None)
    else:
        raise Refused("NEEDS_OUTCOME", "give the broker's number or outcome=not_found; outcome=ended for a cancel or a "
                      "replacement that nobody answered")  # fmt: skip


def _adopt_cash(turn: Turn, given: Command) -> None:
    """The broker's cash is right: what the sleeves do not hold is unassigned."""
    told = given.arguments.get("amount")
    if told is None:
        raise Refused("NEEDS_AMOUNT", "give the broker's cash, settled or on its way, in minor units")
    cash = _by_now(turn, "cash", turn.engine.cash(), int(told))
    spare = cash - sum(sleeve.cash() for sleeve in turn.engine.sleeves.values())
    turn.write(Kind.ACCOUNT_STATE, {
        "positions": {}, "cash": None, "adopted": True, "unassigned_cash": spare, "equal_cash": True,
        "amount": cash, "by": given.by, "reason": given.reason,
    })  # fmt: skip
    _clear(turn, given, Scope.ACCOUNT, turn.engine.account, "CASH_DIFFERENCE", "COST_DIFFERENCE", "CAPITAL_TOO_LARGE")


def _by_now(turn: Turn, key: str, here: int, told: int) -> int:
    """What a person read off a look that differed is of its time: what was traded since comes on top."""
    return told + here - turn.engine.now.differed.pop(key, {}).get(told, here)


def _adopt_shares(turn: Turn, given: Command) -> None:
    """The broker's count of a name is right; the difference is nobody's, or a deployment's."""
    asked = given.arguments
    symbol, after = str(asked["symbol"]), int(asked["quantity"])
    deployment = asked.get("deployment")
    if deployment and symbol not in turn.engine.sleeves[deployment].columns:
        raise Refused("UNKNOWN_DEPLOYMENT", f"{deployment} does not trade {symbol} here")
    before = turn.engine.shares(symbol)
    after = _by_now(turn, f"shares:{symbol}", before, after)
    last = turn.engine.now.prices.get(symbol)
    turn.write(Kind.POSITION_ADOPTED, {
        "symbol": symbol, "before": before, "after": after, "reason": given.reason, "by": given.by,
        "deployment": deployment, "price": None if last is None else last[0],
    })  # fmt: skip
    turn.engine.now.mismatch.pop(f"shares:{symbol}", None)
    _clear(turn, given, Scope.SYMBOL, symbol, "POSITION_DIFFERENCE", "NOT_IN_LIST")


def _assign(turn: Turn, given: Command) -> None:
    """Shares or money of nobody become a deployment's, or its own nobody's again: no difference to the broker."""
    asked = given.arguments
    name, more = str(asked["deployment"]), int(asked["assign"])
    sleeve = turn.engine.sleeves.get(name)
    symbol = None if asked.get("cash") else str(asked["symbol"])
    if sleeve is None or (symbol is not None and symbol not in sleeve.columns):
        raise Refused("UNKNOWN_DEPLOYMENT", f"{name} does not trade {symbol or ''} here")
    what = "money" if symbol is None else f"shares of {symbol}"
    spare = turn.engine.unassigned_cash if symbol is None else turn.engine.unassigned.get(symbol, 0)
    held = sleeve.cash_parts()[0] if symbol is None else sleeve.shares(symbol)
    if more == 0 or more > max(spare, 0) or -more > max(held, 0):
        raise Refused("NOT_THERE", f"{more:+,} {what}: {spare:,} are nobody's, {name} has {held:,}")
    if symbol is None:
        turn.write(Kind.ACCOUNT_STATE, {
            "positions": {}, "cash": None, "assigned": {name: more}, "by": given.by, "reason": given.reason,
        })  # fmt: skip
    else:
        last = turn.engine.now.prices.get(symbol)
        turn.write(Kind.POSITION_ADOPTED, {
            "symbol": symbol, "before": held, "after": held + more, "reason": given.reason, "by": given.by,
            "deployment": name, "price": None if last is None else last[0], "from_unassigned": True,
        })  # fmt: skip


def _clear(turn: Turn, given: Command, scope: Scope, name: str, *codes: str) -> None:
    """Open a latch that the difference itself had closed; one that was closed for another reason stays."""
    latch = turn.engine.switches.latches.get((scope, name))
    if latch is not None and latch.by in {str(rule(code)) for code in codes}:
        _turn_switch(turn, given, scope, name, Mode.RUNNING)


def _capital(turn: Turn, given: Command) -> None:
    """What a deployment may use from the next morning on."""
    name = str(given.arguments["deployment"])
    if name not in turn.engine.sleeves:
        raise Refused("UNKNOWN_DEPLOYMENT", f"{name} is not deployed here")
    turn.engine.sleeves[name].capital = int(given.arguments["amount"])


_COMMANDS: Final[dict[str, Callable[[Turn, Command], None]]] = {
    "halt": _halt, "resume": _resume, "flatten": _flatten, "panic": _panic, "adopt": _adopt, "order": _order,
    "cancel": _cancel, "stop": _stop, "capital": _capital,
}  # fmt: skip
