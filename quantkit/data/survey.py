"""Survey: what a daily table holds and how well it keeps the exchange's rules; the content of `quantkit data check`.

Contract: reads, never writes. Symbols are taken in groups, so memory is bounded by about `CHUNK_ROWS` rows. Gaps are
of two kinds: sessions on which a calendar group has no row at all, and sessions between a symbol's first and last row
on which it alone has none (halted names that the source leaves out, or holes). Called by the command line and
`Lake.check`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.dates import day_text
from quantkit.data.parts import read_columns, time_values, values
from quantkit.data.reference import Instruments
from quantkit.data.rows import (
    ADJUSTED,
    BEYOND_LIMIT,
    NO_TRADE,
    OFF_GRID,
    OFF_HOURS,
    PRICES,
    WIDENED,
)  # fmt: skip
from quantkit.data.tables import Table
from quantkit.data.versions import Parts
from quantkit.errors import BadData
from quantkit.market import MARKET_ID, MARKETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

CHUNK_ROWS = 1_500_000
MAX_LISTED = 200  # defects and actions listed by name; the counts are of all
FLAGS = {
    "no_trade": NO_TRADE, "off_grid": OFF_GRID, "beyond_limit": BEYOND_LIMIT, "adjusted": ADJUSTED,
    "off_hours": OFF_HOURS, "widened": WIDENED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RegimeCount:
    """Bars of one market while its rules stood still, and how many keep them; `reasons` counts the exceptions."""

    market: str
    since: str | None
    until: str | None
    bars: int
    on_grid: tuple[int, ...]
    judged: int
    inside: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Defect:
    """A bar that no rule explains."""

    symbol: str
    date: str
    prices: tuple[float, float, float, float]
    base: float


@dataclass(slots=True)
class Survey:
    """What a survey found."""

    table: str
    version: int
    rows: int
    symbols: int
    first: str
    last: str
    flags: Counter[str] = field(default_factory=Counter)
    regimes: list[RegimeCount] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    defect_count: int = 0
    market_gaps: list[str] = field(default_factory=list)
    symbol_gaps: int = 0
    gap_symbols: list[tuple[str, int]] = field(default_factory=list)
    quarantine: dict[str, int] = field(default_factory=dict)
    unknown_actions: list[tuple[str, str, float]] = field(default_factory=list)
    unknown_market: list[str] = field(default_factory=list)


def survey(root: Path, *, version: int | None = None) -> Survey:
    """Survey `bars_1d` of the lake under `root`."""
    table = Table(root / "bars_1d")
    number = table.delta(version).version()
    parts = Parts(table, number)
    spans = parts.summary()
    if not spans:
        raise BadData(f"{root}: bars_1d is empty; fill it with lake.ingest")
    instruments = Instruments.load(Table(root / "instruments"))
    first, last = min(one.first for one in spans.values()), max(one.last for one in spans.values())
    rows = sum(one.rows for one in spans.values())
    found = Survey("bars_1d", number, rows, len(spans), day_text(first), day_text(last))
    stored = parts.times({0}, first, last)
    found.market_gaps = _market_gaps(stored)
    totals: dict[tuple[str, object, object], RegimeCount] = {}
    gaps: Counter[str] = Counter()
    for names in _chunks({symbol: one.rows for symbol, one in spans.items()}):
        chunk = _read(parts, names)
        for name, bit in FLAGS.items():
            found.flags[name] += int((chunk.flag & bit != 0).sum())
        _count_gaps(chunk, parts, spans[names[0]].group, gaps)
        _judge(chunk, instruments, stored, totals, found)
    found.regimes = [totals[key] for key in sorted(totals, key=lambda key: (MARKETS.index(key[0]), str(key[1] or "")))]
    found.symbol_gaps, found.gap_symbols = sum(gaps.values()), gaps.most_common(20)
    _side_tables(root, found)
    found.unknown_market = sorted(symbol for symbol, one in spans.items() if one.market < 0)
    return found


@dataclass(slots=True)
class _Chunk:
    names: list[str]
    code: IntArray
    day: IntArray
    market: IntArray
    flag: IntArray
    prices: dict[str, FloatArray]
    volume: FloatArray
    base: FloatArray


def _chunks(rows: Mapping[str, int]) -> Iterator[list[str]]:
    names: list[str] = []
    total = 0
    for symbol in sorted(rows):
        names.append(symbol)
        total += rows[symbol]
        if total >= CHUNK_ROWS:
            yield names
            names, total = [], 0
    if names:
        yield names


def _read(parts: Parts, names: list[str]) -> _Chunk:
    """Rows of these symbols (neighbours in order), sorted by symbol and day."""
    place = {symbol: number for number, symbol in enumerate(names)}
    columns = [*PRICES, "volume", "base"]
    pieces: list[list[NDArray[np.generic]]] = []
    for part in parts.parts:
        index = part.index
        codes = np.array([place.get(symbol, -1) for symbol in index.symbols], np.int64)
        chosen = np.flatnonzero(codes >= 0)
        if not len(chosen):
            continue
        rows = slice(int(index.start[chosen[0]]), int(index.start[chosen[-1] + 1]))
        table = read_columns(part.path, ["date", *columns, "flag", "market"], None).slice(
            rows.start, rows.stop - rows.start
        )
        # Symbols are sorted, so those of a chunk lie side by side in every file.
        code = np.repeat(codes, np.diff(index.start))[rows]
        market = np.array([MARKET_ID.get(text or "", -1) for text in table["market"].to_pylist()], np.int64)
        pieces.append([code, time_values(table["date"]), market, table["flag"].to_numpy().astype(np.int64),
                       *(values(table[name]) for name in columns)])  # fmt: skip
    arrays = [np.concatenate(group) for group in zip(*pieces, strict=True)]
    order = np.lexsort((arrays[1], arrays[0]))
    code, day, market, flag, *numbers = (array[order] for array in arrays)
    prices = dict(zip(PRICES, numbers[:4], strict=True))
    return _Chunk(names, code, day, market, flag, prices, numbers[4], numbers[5])


def _market_gaps(stored: IntArray) -> list[str]:
    """Korean sessions between the first and last stored day without any row, as dates."""
    from quantkit.market.calendar import sessions

    if len(stored) < 2:
        return []
    known = sessions(day_text(int(stored[0])), day_text(int(stored[-1]))).astype(np.int64)
    return [day_text(int(day)) for day in np.setdiff1d(known, stored)]


def _count_gaps(chunk: _Chunk, parts: Parts, group: int, gaps: Counter[str]) -> None:
    """Sessions of the table between a symbol's first and last row on which it has none."""
    every = parts.times({group}, int(chunk.day.min()), int(chunk.day.max()))
    place = np.searchsorted(every, chunk.day)
    step = place[1:] - place[:-1] - 1
    missing = np.where(chunk.code[1:] == chunk.code[:-1], np.maximum(step, 0), 0)
    totals = np.bincount(chunk.code[1:], weights=missing, minlength=len(chunk.names))
    gaps.update({chunk.names[code]: int(totals[code]) for code in np.flatnonzero(totals).tolist()})


def _judge(
    chunk: _Chunk,
    instruments: Instruments,
    stored: IntArray,
    totals: dict[tuple[str, object, object], RegimeCount],
    found: Survey,
) -> None:
    """Hold raw Korean prices against the rules and add up the regimes."""
    from quantkit.market.conformity import conformity

    keep = (chunk.market >= 0) & (chunk.market < MARKET_ID["US"]) & (chunk.flag & ADJUSTED == 0)
    if not keep.any():
        return
    code, day = chunk.code[keep], chunk.day[keep]
    known = [instruments.get(symbol) for symbol in chunk.names]
    leverage = np.array([(one.leverage if one else None) or 1.0 for one in known])
    listed = np.array([-1 if one is None or one.listing is None else one.listing for one in known], np.int64)
    starts = np.array([one.liquidation_from if one and one.liquidation_from is not None else 0 for one in known])
    ends = np.array([one.liquidation_to if one and one.liquidation_to is not None else -1 for one in known])
    # Carried rows of halted names hold a price; without volume the judge takes them for no trade, as they are.
    opening = np.append(True, code[1:] != code[:-1]) & (day > stored[0])
    result = conformity(
        code,
        day,
        chunk.market[keep],
        {name: prices[keep] for name, prices in chunk.prices.items()},
        chunk.volume[keep],
        base=chunk.base[keep],
        leverage=leverage[code],
        listed_on=np.where(opening & (listed[code] < 0), day, listed[code]),
        liquidation=(day >= starts[code]) & (day <= ends[code]),
        session=np.searchsorted(stored, day),
    )
    for regime in result.regimes:
        since, until = (None if date is None else date.isoformat() for date in (regime.since, regime.until))
        key = (regime.market, since, until)
        count = RegimeCount(
            regime.market, since, until, regime.bars, regime.on_grid, regime.judged, regime.inside, dict(regime.reasons)
        )
        totals[key] = _sum(totals[key], count) if key in totals else count
    found.defect_count += len(result.defects)
    rows = np.flatnonzero(keep)
    for cell in rows[result.defects][: max(0, MAX_LISTED - len(found.defects))].tolist():
        opens, highs, lows, close = (float(chunk.prices[name][cell]) for name in PRICES)
        name, date = chunk.names[chunk.code[cell]], day_text(int(chunk.day[cell]))
        found.defects.append(Defect(name, date, (opens, highs, lows, close), float(chunk.base[cell])))


def _sum(left: RegimeCount, right: RegimeCount) -> RegimeCount:
    return replace(
        left,
        bars=left.bars + right.bars,
        on_grid=tuple(a + b for a, b in zip(left.on_grid, right.on_grid, strict=True)),
        judged=left.judged + right.judged,
        inside=left.inside + right.inside,
        reasons=dict(Counter(left.reasons) + Counter(right.reasons)),
    )


def _side_tables(root: Path, found: Survey) -> None:
    quarantine = Table(root / "quarantine").read()
    found.quarantine = dict(Counter(quarantine["reason"].to_pylist()).most_common())
    unknown: Sequence[Mapping[str, object]] = [
        row for row in Table(root / "actions").read().to_pylist() if row["kind"] == "unknown"
    ]
    found.unknown_actions = [
        (str(row["symbol"]), str(row["ex_date"]), float(str(row["price_factor"]))) for row in unknown
    ]
