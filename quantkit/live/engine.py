"""The live engine: one account, one input at a time.

    engine, entries, effects = reduce(engine, given)

1 the input is handed to who knows it    a session or a bar `days`, prices `days`, answers and the stream `life`,
                                         looks `reconcile` and `looks`, unanswered orders `outcomes`, people `commands`
2 what may be sent now is sent           `dispatch`, through the gates; what the opening call left goes back `auction`
3 the runner journals the entries in one transaction, with `engine.snapshot()` where `engine.due`, and only then carries
  out the effects; their answers come back as inputs

Contract: deterministic; no clock, no randomness, no I/O. The engine is changed in place and returned. Inputs of one
account come one at a time, in any order that a broken network can make. An exception means a bug: the runner halts the
account and keeps the input. After a restart `recovery.recover` gives the engine that the journal describes, and the
first input makes it look for what was in flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from quantkit.live import auction, commands, days, dispatch, life, outcomes, reconcile, replaying
from quantkit.live.messages import (
    Acted,
    Answered,
    BarClosed,
    BarsAhead,
    Command,
    ConnectionChanged,
    Looked,
    MarketData,
    Noticed,
    PathSeen,
    SessionOpens,
    TimerFired,
)
from quantkit.live.turn import Engine, External, Settings, Turn, fold

if TYPE_CHECKING:
    from quantkit.live.messages import Effect, Input
    from quantkit.trading.events import Entry

__all__ = ["Engine", "External", "Settings", "fold", "reduce"]


_MAY_CHANGE: Final = (Answered, BarClosed, Command, ConnectionChanged, Noticed, SessionOpens)
"""What may change why the gates denied a stop. Prices, looks and timers do not."""


def reduce(engine: Engine, given: Input) -> tuple[Engine, list[Entry], list[Effect]]:
    """The engine after an input, the entries to journal, the effects to carry out once they are safe."""
    engine.due = False
    turn = Turn(engine, given.time)
    if not engine.now.awake:
        engine.now.awake = True
        outcomes.begin_all(turn)
    _hand(turn, given)
    if isinstance(given, _MAY_CHANGE):
        engine.now.denied.clear()
    prices = isinstance(given, MarketData)
    if not prices or turn.entries or engine.now.standing:
        dispatch.pump(turn)
    if not prices:
        if engine.working:
            auction.end(turn)
        reconcile.keep_asking(turn)
    return engine, turn.entries, turn.effects


def _hand(turn: Turn, given: Input) -> None:
    """Hand an input to who knows it."""
    match given:
        case SessionOpens():
            days.opens(turn, given)
        case BarClosed():
            days.closes(turn, given)
        case MarketData():
            days.prices(turn, given)
        case Answered():
            life.on_answer(turn, given)
        case Noticed():
            life.heard(turn, given.notice)
        case Looked():
            reconcile.looked(turn, given)
        case TimerFired():
            _timer(turn, given.name)
        case Command():
            commands.command(turn, given)
        case ConnectionChanged():
            reconcile.connection(turn, given)
        case BarsAhead():
            replaying.ahead(turn, given)
        case Acted():
            replaying.acted(turn, given)
        case PathSeen():
            replaying.seen(turn, given)
        case _:
            assert_never(given)


def _timer(turn: Turn, name: str) -> None:
    """A moment that was asked for."""
    known = turn.engine.now.timers.get(name)
    if known is not None and known <= turn.time:
        del turn.engine.now.timers[name]
    what, _, of = name.partition(":")
    match what:
        case "hunt":
            outcomes.look_again(turn, of)
        case "ask":
            reconcile.ask(turn)
        case "positions":
            reconcile.positions(turn)
        case "reconcile":
            reconcile.begin(turn)
        case "sweep":
            reconcile.sweep(turn)
        case _:
            pass  # "windows", "opening": the queue and the calls are looked at after every input
