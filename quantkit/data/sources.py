"""Download port: anything that can fetch daily prices of symbols, and two libraries behind it.

Contract: a `PriceSource` yields one long DataFrame a symbol, in the columns that `columns` understands; it stores
nothing. The network is the library's business: what it raises becomes one error that names the symbol. A symbol
without data is skipped and reported, since a list of names always holds some that were not listed yet. Prices are raw
or adjusted as a whole.

    pykrx               the exchange's own table, raw, with traded value
    FinanceDataReader   the portal's table for Korean codes (split-adjusted), Yahoo's for others (split-adjusted)

Both are optional: `pip install quantkit[pykrx]` or `quantkit[fdr]`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from quantkit.data.dates import day_text, epoch_day, last_day
from quantkit.errors import BadData, ConfigError, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

SOURCES = ("pykrx", "fdr")


class PriceSource(Protocol):
    """Where daily prices come from."""

    @property
    def prices(self) -> Literal["raw", "adjusted"]:
        """Whether splits are already worked into the prices."""

    def fetch(self, symbols: Sequence[str], start: str, end: str) -> Iterator[pd.DataFrame]:
        """One long frame a symbol with data, from `start` to `end` (ISO dates, both included)."""


@dataclass(frozen=True, slots=True)
class PykrxSource:
    """Daily prices from the exchange through pykrx: raw by default, or the portal's adjusted ones."""

    prices: Literal["raw", "adjusted"] = "raw"

    def fetch(self, symbols: Sequence[str], start: str, end: str) -> Iterator[pd.DataFrame]:
        """See `PriceSource`."""
        try:
            from pykrx import stock
        except ImportError as error:
            raise ConfigError("the source pykrx is not installed; pip install quantkit[pykrx]") from error
        first, last = start.replace("-", ""), end.replace("-", "")
        for symbol in symbols:
            with _named(symbol, "pykrx"):
                frame = stock.get_market_ohlcv_by_date(first, last, symbol, adjusted=self.prices == "adjusted")
            if len(frame):
                yield _long(frame, symbol)


@dataclass(frozen=True, slots=True)
class FdrSource:
    """Daily prices through FinanceDataReader; its default sources give split-adjusted prices."""

    prices: Literal["raw", "adjusted"] = "adjusted"

    def fetch(self, symbols: Sequence[str], start: str, end: str) -> Iterator[pd.DataFrame]:
        """See `PriceSource`."""
        try:
            import FinanceDataReader as fdr  # noqa: N813  # the name its documentation uses
        except ImportError as error:
            raise ConfigError("the source fdr is not installed; pip install quantkit[fdr]") from error
        for symbol in symbols:
            with _named(symbol, "FinanceDataReader"):
                frame = fdr.DataReader(symbol, start, end)
            if len(frame):
                yield _long(frame, symbol)


def source_by_name(name: str) -> PriceSource:
    """`pykrx` or `fdr`. ConfigError for another name."""
    if name == "pykrx":
        return PykrxSource()
    if name in ("fdr", "FinanceDataReader"):
        return FdrSource()
    raise ConfigError(f"source {name!r} is not known; choose {' or '.join(SOURCES)}")


def fetch_frames(source: PriceSource, symbols: Sequence[str], *, start: object, end: object) -> list[pd.DataFrame]:
    """All frames of a download. BadData when nothing came, or dates are the wrong way round."""
    first, last = epoch_day(start, what="start"), last_day(end, what="end")
    if first > last:
        raise BadData(f"start {start} is after end {end}; swap them")
    if not symbols:
        raise ConfigError("name at least one symbol to download")
    frames = list(source.fetch(tuple(symbols), day_text(first), day_text(last)))
    if not frames:
        raise BadData(f"no prices for {', '.join(symbols[:5])} from {day_text(first)} to {day_text(last)}")
    return frames


def _long(frame: pd.DataFrame, symbol: str) -> pd.DataFrame:
    """The library's frame (dates in the index) with its symbol; its index name may be absent."""
    label = "date" if frame.index.name is None else str(frame.index.name)
    named = frame.rename_axis(index=label)
    return named.reset_index().assign(symbol=symbol)


@contextmanager
def _named(symbol: str, library: str) -> Iterator[None]:
    """Errors of a foreign library as one of ours that names the symbol."""
    try:
        yield
    except OSError as error:  # requests' and urllib's errors are OSErrors
        raise RetryLater(f"{library}: the network failed for {symbol}: {error}") from error
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise BadData(f"{library}: no usable answer for {symbol}: {type(error).__name__} {error}") from error
