"""Bars of a lake that need not fit into memory: read in chunks of whole sessions, one after another.

    stream = lake.stream(["005930", "000660"], start="2020", freq="1m")
    for bars in stream: ...                       # each a `Bars`; one after another they are `lake.bars(...)`
    result = qk.backtest(strategy, stream)        # the state is carried from chunk to chunk

Contract: a stream pins its version. The rows of a chunk are, to the last bit, those that `lake.bars` of the whole range
would have there: flags, closes carried over long halts, forward factors, base prices. `chunks(lead=n)` shows at least
`n` rows before a chunk's own (whole sessions, as far as the range goes). A chunk ends with a session; with a month in
daily tables. Only the chunk at hand and what a loaded field needs of the one before are in memory; the axes (`times`,
`days`) are whole. Nothing goes through the column cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.data.bars import Bars
from quantkit.data.dates import anchors, day_text, is_intraday, midnights
from quantkit.data.lake import features_at
from quantkit.data.laying import StreamPanel
from quantkit.data.reading import Context, Query, actions_of, axes, facts_of, make_panel, open_context
from quantkit.data.rows import session_days
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantkit.data.bars import FlagArray, FloatArray, IntArray
    from quantkit.data.carry import Carry
    from quantkit.data.panel import Panel

BUDGET_BYTES = 128 << 20
"""Size of a chunk's panel when nobody says how many sessions it should have."""
CELL_BYTES = 50
"""Bytes a cell of a panel is counted with: five prices and volumes, flags, a little for what a strategy makes of it."""


class Chunk(NamedTuple):
    """Bars whose rows before `first` are history; row `first` is row `row` of the stream."""

    bars: Bars
    first: int
    row: int


class BarStream:
    """Bars of `symbols` over `times`, a chunk at a time. Made by `Lake.stream`.

    times, days   (T,) as of `Bars`
    cuts          (K + 1,) row at which each chunk begins, then T
    """

    def __init__(self, root: Path, query: Query, *, chunk: int | None = None) -> None:
        if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int | np.integer) or chunk < 1):
            raise ConfigError(f"stream(chunk={chunk!r}): a number of sessions, 1 or more, or None")
        self._context: Context = open_context(root, query)
        self.symbols, self._times = axes(self._context, query)
        self._actions = actions_of(self._context, self.symbols)
        self.freq = self._context.freq
        self.days: IntArray = session_days(self._times, self.freq)
        self.times: IntArray = self._times if self.intraday else midnights(self._times)
        self._facts = facts_of(self._context, self.symbols, self._times, query, self._actions)
        self.features = features_at(root, query.pinned)
        self._carries: list[Carry | None] = [None]
        self._closes: dict[Panel, FloatArray] = {}  # of the chunk at hand
        self.cuts = _cuts(self.days, self.freq, len(self.symbols), chunk)

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N) of all chunks together."""
        return len(self.times), len(self.symbols)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def intraday(self) -> bool:
        """Whether several bars make a session."""
        return is_intraday(self.freq)

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return 1 + int(np.count_nonzero(np.diff(self.days)))

    @property
    def version(self) -> str:
        """The pinned versions, as of `Bars.version`."""
        return str(self._facts["version"])

    def __repr__(self) -> str:
        rows, names = self.shape
        span = f"{day_text(int(self.days[0]))}..{day_text(int(self.days[-1]))}"
        return f"<BarStream {self.freq} {rows} x {names} {span} in {len(self.cuts) - 1} chunks>"

    def __iter__(self) -> Iterator[Bars]:
        for chunk in self.chunks():
            yield chunk.bars.slice(chunk.first, len(chunk.bars)) if chunk.first else chunk.bars

    def chunks(self, *, lead: int = 0) -> Iterator[Chunk]:
        """Chunks in order, each with at least `lead` rows of history (at least one, where there is one)."""
        tail = _Tail(0, 0, {}, None)
        for number in range(len(self.cuts) - 1):
            start, stop = int(self.cuts[number]), int(self.cuts[number + 1])
            panel = self._panel(number)
            bars = self._bars(panel, tail, start)
            hidden = 1 if start - len(tail) > 0 else 0  # the row before the history: its close is the first base
            yield Chunk(bars.slice(hidden, len(bars)) if hidden else bars, len(tail) - hidden, start)
            if stop < len(self.times):
                if len(self._carries) == number + 1:
                    bars.field("close")
                    self._carries.append(panel.carry_after())
                first = int(np.searchsorted(self.days, self.days[max(0, stop - max(lead, 1))]))
                tail = _Tail.of(bars, start - len(tail), max(0, first - 1), stop)

    @property
    def panel(self) -> Bars:
        """The whole range as `Bars` whose fields are read when asked for, all at once: for a look at one symbol."""
        return self.part(0)

    def part(self, first: int, stop: int | None = None) -> Bars:
        """`panel` from row `first` to row `stop` (exclusive)."""
        return LakeBars(self, first, len(self) if stop is None else stop)

    # --- reading --------------------------------------------------------------------------------------------------

    def _panel(self, number: int) -> Panel:
        """The chunk's own rows, nothing decoded yet but flags."""
        for known in range(len(self._carries) - 1, number):
            self._carries.append(self._panel(known).carry_after())
        rows = slice(int(self.cuts[number]), int(self.cuts[number + 1]))
        return make_panel(
            self._context, self.symbols, self._times[rows], self._actions, self._carries[number], kind=StreamPanel
        )

    def _bars(self, panel: Panel, tail: _Tail, start: int) -> Bars:
        """A panel's rows as bars, those of the tail before them."""
        fields = {name: partial(self._field, panel, tail, name) for name in self._facts["fields"]}
        flags = panel.flags if tail.flags is None else np.concatenate([tail.flags, panel.flags])
        return self._made(slice(start - len(tail), start + len(panel.times)), self.symbols, fields, flags)

    def _field(self, panel: Panel, tail: _Tail, name: str) -> FloatArray:
        if name != "close":
            self._close(panel, tail)  # first, so that it is laid where it stays
            return self._joined(panel, tail, name)
        return self._close(panel, tail)

    def _close(self, panel: Panel, tail: _Tail) -> FloatArray:
        if panel not in self._closes:
            self._closes = {panel: self._joined(panel, tail, "close")}
        return self._closes[panel]

    def _joined(self, panel: Panel, tail: _Tail, name: str) -> FloatArray:
        """A field of the tail and the panel, one below the other."""
        out = np.empty((len(tail) + len(panel.times), len(self.symbols)))
        if len(tail):
            before = tail.fields.get(name)
            out[: len(tail)] = self.rows(name, tail.start, tail.stop) if before is None else before
        panel.field(name, out[len(tail) :])
        return out

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows of one field, read chunk by chunk."""
        out = np.empty((stop - start, len(self.symbols)))
        self._read(start, stop, lambda panel: panel.field(name), out)
        return out

    def flag_rows(self, start: int, stop: int) -> FlagArray:
        """Rows of the flags."""
        out = np.empty((stop - start, len(self.symbols)), np.uint8)
        self._read(start, stop, lambda panel: panel.flags, out)
        return out

    def _read(self, start: int, stop: int, matrix: Callable[[Panel], NDArray[Any]], out: NDArray[Any]) -> None:
        first = int(np.searchsorted(self.cuts, start, side="right")) - 1
        last = int(np.searchsorted(self.cuts, stop))
        for number in range(first, last):
            begin = int(self.cuts[number])
            low, high = max(start, begin), min(stop, int(self.cuts[number + 1]))
            out[low - start : high - start] = matrix(self._panel(number))[low - begin : high - begin]

    def columns(self, symbols: Sequence[str], first: int, stop: int) -> Bars:
        """Some symbols over rows first..stop, read at once."""
        wanted = tuple(symbols)
        panel = make_panel(self._context, wanted, self._times, self._actions)
        fields = {name: partial(panel.field, name) for name in self._facts["fields"]}
        bars = self._made(slice(0, len(self)), wanted, fields, panel.flags)
        return bars.slice(first, stop)

    def _made(
        self, rows: slice, symbols: tuple[str, ...], fields: dict[str, Any], flags: FlagArray | Callable[[], FlagArray]
    ) -> Bars:
        return Bars(times=self.times[rows], days=self.days[rows], symbols=symbols, fields=fields, flags=flags,
                    **self.facts(symbols))  # fmt: skip

    def facts(self, symbols: Sequence[str] | None = None) -> dict[str, Any]:
        """What `Bars` of these symbols (None: all) are given besides axes, fields and flags."""
        facts = self._facts
        kept = {name: facts[name] for name in ("actions", "names", "prices", "freq", "version", "source", "minor_unit")}
        place = {symbol: column for column, symbol in enumerate(self.symbols)}
        columns = [place[symbol] for symbol in symbols or self.symbols]
        return {
            **kept,
            "features": self.features,
            "markets": [facts["markets"][column] for column in columns],
            "market_changes": [(day, symbol, market) for day, symbol, market in facts["market_changes"]],
            "leverage": np.array([facts["leverage"][column] for column in columns], np.float64),
        }


class LakeBars(Bars):
    """The range of a stream as bars: axes and facts at hand, matrices read from the lake when asked for."""

    def __init__(self, stream: BarStream, first: int, stop: int) -> None:
        self._stream, self._rows = stream, (first, stop)
        super().__init__(
            times=stream.times[first:stop],
            days=stream.days[first:stop],
            symbols=stream.symbols,
            fields={name: partial(stream.rows, name, first, stop) for name in stream._facts["fields"]},
            flags=partial(stream.flag_rows, first, stop),
            **stream.facts(),
        )

    @property
    def prior_close(self) -> FloatArray:
        """(N,) adjusted close before the first session here; NaN where the stream begins."""
        row = int(np.searchsorted(self._stream.days, self.days[0])) - 1
        return super().prior_close if row < 0 else LakeBars(self._stream, row, row + 1).close[0]

    def select(self, symbols: Sequence[str]) -> Bars:
        """These symbols in this order, read by symbol. ConfigError names one the stream does not have."""
        wanted = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        unknown = [symbol for symbol in wanted if symbol not in self.symbols]
        if unknown:
            raise ConfigError(f"no bars for {', '.join(map(repr, unknown))}; the stream has {len(self.symbols)} others")
        return self._stream.columns(wanted, *self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """As plain bars, everything read."""
        return self.slice, (0, len(self))


@dataclass(frozen=True, slots=True)
class _Tail:
    """Rows start..stop of the stream, copied out of a chunk: fields that were loaded there, and the flags."""

    start: int
    stop: int
    fields: dict[str, FloatArray]
    flags: FlagArray | None

    def __len__(self) -> int:
        return self.stop - self.start

    @classmethod
    def of(cls, bars: Bars, offset: int, start: int, stop: int) -> _Tail:
        """Rows start..stop of a chunk whose bars begin at row `offset` of the stream."""
        rows = slice(start - offset, stop - offset)
        loaded = {name: bars.field(name)[rows].copy() for name in bars.loaded()}
        return cls(start, stop, loaded, bars.flags[rows].copy())


def _cuts(days: IntArray, freq: str, names: int, chunk: int | None) -> IntArray:
    """Rows at which chunks begin, and the number of rows. A chunk ends where an evaluation block may end."""
    starts = np.flatnonzero(np.append(True, np.diff(anchors(days, freq)) != 0))
    if chunk is not None:
        sessions = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        places = np.searchsorted(starts, sessions[::chunk])  # the first block at or after every n-th session
        kept = starts[np.unique(places[places < len(starts)])]
    else:
        kept = _by_size(days, starts, freq, max(1, BUDGET_BYTES // (CELL_BYTES * names)))
    return np.append(kept, len(days)).astype(np.int64)


def _by_size(days: IntArray, starts: IntArray, freq: str, rows: int) -> IntArray:
    """Of the rows where a chunk may begin those that keep chunks within `rows`, where files begin if possible."""
    unit = "datetime64[Y]" if freq == "1d" else "datetime64[M]"
    files = days[starts].astype("datetime64[D]").astype(unit).astype(np.int64)
    begins = np.append(True, np.diff(files) != 0)
    kept, last_file, stops = [0], 0, np.append(starts[1:], len(days))
    for place, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        if begins[place]:
            last_file = start
        if stop - kept[-1] > rows and start > kept[-1]:
            kept.append(last_file if last_file > kept[-1] else start)
            if stop - kept[-1] > rows and start > kept[-1]:
                kept.append(start)
    return np.array(kept, np.int64)
