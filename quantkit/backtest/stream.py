"""A backtest over a lake that does not fit into memory: chunk by chunk, the state carried.

    for each chunk:  its members -> what is decided of its rows -> fold -> keep equity, cash, fills, orders; drop it

Contract: the result equals that of `backtest(strategy, lake.bars(...))` to the last bit, whatever the chunks: the rows
are the same (`data.stream`), what looks back is evaluated in the same blocks (`strategy.blocks`), the state is carried,
and what belongs to a date (rebalance dates, auctions, deposits) comes from the whole range's days. Called by `run`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.backtest.benchmark import Held, benchmark_levels
from quantkit.backtest.manifest import rows_digest
from quantkit.backtest.pieces import Terms, decide_rows, events_from, fold_rows
from quantkit.backtest.run import Span, deposit_rows, first_row, result_of
from quantkit.backtest.universe import history_needed, members_from
from quantkit.core.fold import Output
from quantkit.core.prepare import dates_in, events_of, first_state, valid_after_warmup
from quantkit.data.bars import LISTED, MEMBER
from quantkit.data.dates import last_day
from quantkit.errors import BadData, ConfigError
from quantkit.strategy.fitting import fit_history_of, is_fitted, models_of
from quantkit.strategy.rules import signals_of, with_room
from quantkit.strategy.targets import no_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.backtest.result import Result
    from quantkit.core.state import Bytes, Ints, State
    from quantkit.data.bars import Bars
    from quantkit.data.stream import BarStream
    from quantkit.strategy.rules import Signals


class Rows(NamedTuple):
    """A chunk as a run sees it: `bars` with their members; rows before `first` are history."""

    bars: Bars
    first: int
    row: int  # of the stream, for row `first` here
    flags: Bytes  # of rows `first` on, names still warming up not valid


def run_stream(terms: Terms, stream: BarStream, span: Span) -> Result:
    """The result of a strategy over a stream. ConfigError when it asks for all of the history."""
    _refuse_endless(terms, stream)
    stop = len(stream)
    if span.end is not None:
        stop = int(np.searchsorted(stream.days, last_day(span.end, what="end"), side="right"))
    if stop == 0:
        raise BadData("no bars to run on: the stream is empty in the range asked for")
    first = first_row(stream, span.start)
    if first >= stop:
        raise ConfigError(f"start {span.start} is after end {span.end}; swap them")
    run_bars = stream.part(first, stop)
    paid = deposit_rows(run_bars.days, span.deposits)
    dates = dates_in(run_bars, terms.policy, after=int(stream.days[stop]) if stop < len(stream) else None)
    state: State | None = None
    parts: list[Output] = []
    held = Held() if span.benchmark == "hold" else None
    valued = False
    terms = replace(terms, models=models_of(terms.strategy, stream.times[:stop], stream.days[:stop]))
    for rows in _chunks(terms, stream, stop):
        length = len(rows.bars) - rows.first
        skipped = max(0, first - rows.row)  # rows before the run's first
        if terms.models is not None:
            terms.models.reach(rows.bars, rows.first)
        if skipped >= length:
            continue
        found = decide_rows(terms, rows.bars, first=rows.first, allow_empty=True, needed=rows.first + skipped)
        valued = valued or not no_value(found.targets)
        go, row = rows.first + skipped, rows.row + skipped - first
        piece = rows.bars.slice(go, len(rows.bars))
        due = [(at - row, amount) for at, amount in paid if row <= at < row + len(piece)]
        if state is None:
            cash = round(span.cash * piece.minor_unit)
            state = with_room(terms.strategy, first_state(piece, cash=cash, policy=terms.policy))
            events = events_of(piece, due)
        else:
            events = events_from(rows.bars, go, due)
        parts.append(
            fold_rows(
                terms, state, rows.bars, found.rows(skipped), first=go, flags=rows.flags[skipped:], events=events,
                dates=dates[row : row + len(piece)], signals=_signals(terms, rows, skipped),
            )
        )  # fmt: skip
        if held is not None:
            held.add(piece)
    if terms.models is not None:
        terms.models.refuse_none(stream.part(first, stop))
    if state is None or not valued:
        raise BadData(f"{terms.strategy!r}.targets: no value at all, every target is NaN")
    levels = benchmark_levels(span.benchmark, run_bars, held=held)

    def digest() -> str:
        pieces = (
            rows.bars.slice(rows.first + max(0, first - rows.row), len(rows.bars))
            for rows in _chunks(terms, stream, stop)
        )
        return rows_digest(pieces, run_bars.actions)

    return result_of(
        terms, span, run_bars, _joined(parts), state, paid, levels, history=int(stream.days[0]), data_digest=digest
    )


def _refuse_endless(terms: Terms, stream: BarStream) -> None:
    strategy = terms.strategy
    if terms.history(intraday=stream.intraday) == "all":
        name = "the strategy" if strategy is None else strategy.name
        raise ConfigError(
            f"{name} asks for all of the history, which a stream does not hold; say how many bars it looks back, "
            f"for example `history = 250` in its class, or run it on lake.bars(...)"
        )
    if (
        terms.strategy is not None
        and is_fitted(terms.strategy)
        and fit_history_of(terms.strategy, intraday=stream.intraday) == "all"
    ):
        raise ConfigError(
            f"{terms.strategy.name} fits its models on all of the history, which a stream does not hold; say how many "
            "bars a fit is shown, for example `fit_history = 5000` in its class, or run it on lake.bars(...)"
        )


def _signals(terms: Terms, rows: Rows, skipped: int) -> Signals | None:
    """What `prepare` gives for the rows that are folded; None without a rule."""
    if terms.strategy is None or not terms.strategy.is_rule:
        return None
    found = signals_of(
        terms.strategy, rows.bars, first=rows.first, needed=rows.first + skipped, models=terms.models, allow_empty=True
    )
    return {name: values[skipped:] for name, values in found.items()}


def _chunks(terms: Terms, stream: BarStream, stop: int) -> Iterator[Rows]:
    """The stream up to row `stop`, with the strategy's universe as members and the warm-up taken off."""
    strategy = terms.strategy
    history = terms.history(intraday=stream.intraday)
    needs = [terms.reach, 1, history if isinstance(history, int) else 0]
    if terms.models is not None:
        shown = terms.models.history(intraday=stream.intraday)
        needs.append(shown if isinstance(shown, int) else 0)
    needs.append(0 if strategy is None else history_needed(strategy))
    listed: Ints = np.zeros(len(stream.symbols), np.int64)  # bars of each name before the chunk's own rows
    kept = np.zeros((0, len(stream.symbols)), np.bool_)  # membership of the rows before them
    for bars, first, row in stream.chunks(lead=max(needs)):
        if row >= stop:
            return
        part = bars.slice(0, first + stop - row) if row + len(bars) - first > stop else bars
        here = (part.flags & np.uint8(LISTED)) != 0
        if strategy is not None:
            known = listed - here[:first].sum(axis=0)
            member = members_from(part, strategy, first=first, listed_before=known)
            if member is not None:
                member = np.concatenate([kept[len(kept) - first :], member])
                part = part.with_member(member)
                kept = (part.flags & np.uint8(MEMBER)) != 0
        flags = valid_after_warmup(part.flags[first:], terms.warmup, listed_before=listed)
        yield Rows(part, first, row, flags)
        listed = listed + here[first:].sum(axis=0)


def _joined(parts: list[Output]) -> Output:
    """Outputs one after another."""
    return Output._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
