"""`Decider`: what a strategy makes of the bars, one bar at a time, as a backtest would.

Contract: everything is evaluated from a fixed start by the code a backtest calls (`backtest.pieces.decide_rows`): all
of the history, or the blocks that `history` says, with models fitted at the same dates; so each row is to the last bit
the row that the same bars give in research. Rows before `first` are history only. Nothing here looks at a clock: times
come with what is told. Called by the runner, and by an honest replay.

    opens    the morning of a session   SessionOpens
    closes   a finished bar             BarClosed
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.pieces import Terms, decide_rows
from quantkit.backtest.universe import in_universe
from quantkit.core.bench import Seen
from quantkit.core.fold import dates_of
from quantkit.core.phases import intraday_phases
from quantkit.core.prepare import events_of, has_universe, inputs_of, rebalance_dates, valid_after_warmup
from quantkit.core.state import CLOSING, OPENING, Inputs, Records, event_rows
from quantkit.data.bars import FIRST_DAY, LIQUIDATION, LISTED, MEMBER, TRADED, VALID, Bars
from quantkit.data.dates import DAY_US, SEOUL_US
from quantkit.data.stamps import step_us
from quantkit.errors import BadData
from quantkit.live.messages import BarClosed, SessionOpens
from quantkit.strategy.blocks import blocks
from quantkit.strategy.fitting import models_of
from quantkit.strategy.rules import past_of, signals_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantkit.core.state import Bytes, Floats
    from quantkit.strategy.fitting import Models
    from quantkit.trading.ports import Candle, InstrumentDay

_NONE = np.empty((0, 0))
_PRICES = ("open", "high", "low", "close")


class Decider:
    """Holds the history of one deployment. bars: up to the last closed bar; first: row of the deployment's first bar
    (default: the next one); deposits: money by epoch day."""

    def __init__(
        self,
        terms: Terms,
        bars: Bars,
        *,
        deployment: str = "",
        first: int | None = None,
        deposits: Mapping[int, float] | None = None,
    ) -> None:
        if terms.strategy is None:
            raise BadData("a decider needs a strategy: given targets are rows that are there already")
        self.terms, self.bars, self.deployment = terms, bars, deployment
        self.first = len(bars) if first is None else first
        self.deposits = dict(deposits or {})
        self.models: Models | None = terms.models
        self._base: Floats | None = None

    # --- what the runner tells ----------------------------------------------------------------------------------------

    def opens(self, day: int, instruments: Sequence[InstrumentDay], time: int) -> SessionOpens:
        """The morning of a session. A name that nobody tells of stays as it was, without a base price of its own."""
        known = {each.symbol: each for each in instruments}
        bars, last = self.bars, self.bars.flags[-1]
        base, flags = np.full((1, len(bars.symbols)), np.nan), np.zeros((1, len(bars.symbols)), np.uint8)
        for s, symbol in enumerate(bars.symbols):
            today = known.get(symbol)
            flags[0, s] = (last[s] & LISTED) if today is None else LISTED
            if today is not None:
                base[0, s] = today.base if today.base > 0 else np.nan
                flags[0, s] |= LIQUIDATION if today.liquidation else 0
                flags[0, s] |= 0 if last[s] & LISTED else FIRST_DAY
        self._base = base if bars.prices == "raw" and not np.isnan(base).all() else None
        phase = np.array([OPENING if bars.intraday else OPENING | CLOSING], np.uint8)
        dates = dates_of(np.array([day]), phase=phase)
        row = _blank(len(bars.symbols))._replace(flags=flags, dates=dates)
        if self._base is not None:
            row = row._replace(base=self._base)
        return SessionOpens(time, self.deployment, day, tuple(instruments), row, self._events(day, flags))

    def closes(
        self, candles: Sequence[Candle], close: int, time: int, *, complete: bool = True, backfill: bool = False,
        missing: Sequence[str] = (), day: int | None = None, last: bool | None = None, after: int | None = None,
    ) -> BarClosed:  # fmt: skip
        """Take in a finished bar, and decide it. close: its end, UTC nanoseconds.

        missing: names of which the feed lacks a part; they are not valid on it. day: epoch day of the session, where
        the stamp does not say it. last, after: see `row_of`.
        """
        before = len(self.bars)
        self.bars = self._longer(candles, close // 1000, day, frozenset(missing))
        events = self._events(int(self.bars.days[-1]), self.bars.flags[-1:])
        opened = before == 0 or self.bars.days[-1] != self.bars.days[before - 1]
        row, seen = self.row_of(self.bars, last=last, after=after)
        return BarClosed(
            time, self.deployment, close, row, events if opened else events[:0], seen, complete=complete,
            backfill=backfill,
        )  # fmt: skip

    # --- what it decides ----------------------------------------------------------------------------------------------

    def row_of(
        self, bars: Bars, *, last: bool | None = None, after: int | None = None
    ) -> tuple[Inputs, Seen | tuple[()]]:
        """What is decided on the last of these bars: its row of the fold, and what `on_bar` may look at.

        last: whether it ends its session (default: daily bars, and those that hold the closing auction). after: epoch
        day of the session that follows (default: the calendar's).
        """
        strategy, terms, now = self.terms.strategy, self.terms, len(bars) - 1
        if strategy is None:
            raise BadData("a decider without a strategy decides nothing")
        bars = in_universe(bars, strategy)
        terms = self._with_models(bars)
        found = decide_rows(terms, bars, first=self._start(bars), allow_empty=True, needed=now)
        cut = found.rows(len(found.targets) - 1)
        flags = valid_after_warmup(bars.flags, terms.warmup)[now:]
        seen = self._seen(terms, bars) if strategy.is_rule else ()
        row = inputs_of(
            bars.slice(now, now + 1), cut.targets, policy=terms.policy, flags=flags, rank=cut.rank,
            liquidity=cut.liquidity, volume=terms.reads_volume, vwap=terms.fill == "next_bar_vwap",
            dates=self._dates(bars, last, after), scale=cut.scale,
        )  # fmt: skip
        if self._base is not None and not bars.has("base"):
            row = row._replace(base=self._base)
        return row, seen

    # --- inside -------------------------------------------------------------------------------------------------------

    def _with_models(self, bars: Bars) -> Terms:
        """The terms with the models of these bars; those fitted before are kept."""
        made = models_of(self.terms.strategy, bars.times, bars.days)
        if made is not None and self.models is not None:
            made.take(self.models)
        self.models = made
        return replace(self.terms, models=made)

    def _start(self, bars: Bars) -> int:
        """Row where the block of the last bar starts; all of the history: the bar itself."""
        history = self.terms.history(intraday=bars.intraday)
        return len(bars) - 1 if history == "all" else blocks(bars.days, history, bars.freq)[-1].start

    def _seen(self, terms: Terms, bars: Bars) -> Seen:
        """What `on_bar` may look at: as many bars back as it says it needs."""
        strategy, now = terms.strategy, len(bars) - 1
        if strategy is None:
            raise BadData("nobody looks")
        start = self._start(bars)
        signals = signals_of(strategy, bars, first=start, needed=now, models=terms.models, allow_empty=True)
        begins = strategy.warmup if terms.models is None else max(strategy.warmup, terms.models.begins(bars))
        low = max(0, now - strategy.warmup)
        past = past_of(bars)
        past = past._replace(**{name: np.ascontiguousarray(column[low:]) if len(column) else column
                                for name, column in past._asdict().items()})  # fmt: skip
        return Seen(past, now - low, {name: column[-1:] for name, column in signals.items()}, 0, begins - low)

    def _dates(self, bars: Bars, last: bool | None, after: int | None) -> Records:
        days, policy, market = bars.days, self.terms.policy, (*bars.markets, "KOSPI")[0]
        phase = np.array([OPENING | CLOSING], np.uint8)
        if bars.intraday:
            same = int(np.searchsorted(days, days[-1]))
            times, step = bars.times[same:], step_us(bars.freq)
            phase = intraday_phases(times, days[same:], step=step, market=market)[-1:]
        ends = bool(phase[0] & CLOSING) if last is None else last
        following = after if ends else int(days[-1])
        marked = rebalance_dates(days[self.first :], policy, after=following, market=market)[-1:]
        return dates_of(days[-1:], marked, phase)

    def _events(self, day: int, flags: Bytes) -> Records:
        """Events of a session's morning: actions, transfers, deposits, names that are gone; of bar 0."""
        bars = self.bars
        end = int(np.searchsorted(bars.days, day))
        tail = bars.slice(max(0, end - 1), end)
        both = np.concatenate([tail.flags, flags])
        nothing = np.zeros(both.shape)
        times = np.append(tail.times, day * DAY_US - SEOUL_US)
        ahead = Bars(
            times=times, days=np.append(tail.days, day), symbols=bars.symbols,
            fields=dict.fromkeys((*_PRICES, "volume"), nothing), flags=both,
            actions=bars.actions, markets=bars.markets, market_changes=bars.market_changes,
            prices=bars.prices, freq=bars.freq, minor_unit=bars.minor_unit,
        )  # fmt: skip
        paid = [(len(tail), self.deposits[day])] if day in self.deposits else []
        return event_rows(events_of(ahead, paid), len(tail), len(tail) + 1)

    def _longer(self, candles: Sequence[Candle], time: int, day: int | None, missing: frozenset[str]) -> Bars:
        """The history with one more bar."""
        bars, known = self.bars, {candle.symbol: candle for candle in candles}
        if not bars.intraday:
            day = (time + SEOUL_US) // DAY_US if day is None else day
            time = day * DAY_US - SEOUL_US
        elif day is None:
            day = (time + SEOUL_US) // DAY_US
        if len(bars) and time <= bars.times[-1]:
            raise BadData(f"{self.deployment}: a bar that ends at {time} us, after the one at {int(bars.times[-1])} us")
        names = [name for name in (*_PRICES, "volume", "value") if bars.has(name)]
        fresh = {name: np.zeros((1, len(bars.symbols))) for name in names}
        flags = np.zeros((1, len(bars.symbols)), np.uint8)
        for s, symbol in enumerate(bars.symbols):
            flags[0, s] = self._row_of_name(s, known.get(symbol), fresh, missing=symbol in missing)
        fields: dict[str, Any] = {name: np.concatenate([bars.field(name), fresh[name]]) for name in names}
        if bars.has("base"):
            base = np.full((1, len(bars.symbols)), np.nan) if self._base is None else self._base
            fields["base"] = np.concatenate([bars.field("base"), base])
        return Bars(
            times=np.append(bars.times, time), days=np.append(bars.days, day), symbols=bars.symbols, fields=fields,
            flags=np.concatenate([bars.flags, flags]), actions=bars.actions, markets=bars.markets,
            market_changes=bars.market_changes, names=bars.names, prices=bars.prices, freq=bars.freq,
            version=bars.version, leverage=bars.leverage, source=bars.source, minor_unit=bars.minor_unit,
            features=bars.features,
        )  # fmt: skip

    def _row_of_name(self, s: int, candle: Candle | None, fresh: dict[str, Floats], *, missing: bool) -> int:
        """Write one name's row; its flags. Without a candle it is carried."""
        before = int(self.bars.flags[-1, s]) if len(self.bars) else LISTED | MEMBER
        if candle is None or candle.volume == 0:
            price = float(self.bars.raw.close[-1, s]) if candle is None else candle.close
            for name in _PRICES:
                fresh[name][0, s] = price
            return (before & (LISTED | MEMBER)) | (0 if missing or candle is None else VALID)
        for name in (*_PRICES, "volume"):
            fresh[name][0, s] = float(getattr(candle, name))
        if "value" in fresh:
            fresh["value"][0, s] = candle.close * candle.volume if candle.value is None else candle.value
        member = before & MEMBER if before & LISTED and has_universe(self.bars.flags) else MEMBER
        return LISTED | TRADED | member | (0 if missing else VALID)


def inputs_from(terms: Terms, bars: Bars, *, first: int) -> tuple[Inputs, bool]:
    """(rows of the fold from row `first` on, whether targets are weights): what a backtest that starts there decides.

    bars: in the strategy's universe already. A rule with `on_bar` has no targets in them.
    """
    terms = replace(terms, models=models_of(terms.strategy, bars.times, bars.days))
    found = decide_rows(terms, bars, needed=first)
    run, cut = bars.slice(first, len(bars)), found.rows(first)
    inputs = inputs_of(
        run, cut.targets, policy=terms.policy, flags=valid_after_warmup(bars.flags, terms.warmup)[first:],
        rank=cut.rank, liquidity=cut.liquidity, volume=terms.reads_volume, scale=cut.scale,
    )  # fmt: skip
    return inputs, cut.weights


def _blank(names: int) -> Inputs:
    """A row of which nothing is known."""
    prices = np.full((1, names), np.nan)
    none = np.empty(0, [("day", np.int32)])
    return Inputs(
        prices, prices, prices, prices, _NONE, np.zeros((1, names), np.uint8), prices, _NONE, _NONE, _NONE, _NONE,
        _NONE, none,
    )  # fmt: skip
