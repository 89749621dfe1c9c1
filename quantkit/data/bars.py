"""Bars: prices of N symbols over T bars, in memory, as every other part of quantkit reads them.

Contract: every field is a (T, N) float64 array, time first, C-contiguous, in units of price (won) or shares; it is
loaded when first asked for and kept. Rows are stamped with the bar's close in UTC microseconds; a daily bar carries
its date at 00:00 in Seoul. `bars.raw` holds prices as traded; `bars.open`, `high`, `low`, `close` are adjusted
forward: raw times the factors of the actions on or before that bar, so a value once seen never changes when bars are
added. While a symbol is listed every bar has a row (see `carry`); outside its listing all is NaN. Slices share memory
with their parent: treat every array as read-only.

Built by `Bars.from_pandas` and by the lake; read by strategies, the compiled core and reports.

>>> ones = {name: np.ones((2, 1)) for name in REQUIRED}
>>> bars = Bars(times=midnights([19724, 19725]), symbols=("005930",), fields=ones)
>>> bars.shape, bars.close is bars.raw.close
((2, 1), True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.data.actions import changes, factor_matrix, make_actions
from quantkit.data.carry import FIRST_DAY, LIQUIDATION, LISTED, MEMBER, TRADED, VALID
from quantkit.data.dates import DAY_US, SEOUL_US, day_text, is_intraday, midnights
from quantkit.data.features import Features, feature_of
from quantkit.data.views import RawPrices, Session
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIRST_DAY", "LIQUIDATION", "LISTED", "MEMBER", "TRADED", "VALID", "Bars", "midnights"]

T = TypeVar("T")

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FlagArray = NDArray[np.uint8]
Field = FloatArray | Callable[[], FloatArray]

REQUIRED = ("open", "high", "low", "close", "volume")


class Bars:
    """Prices of N symbols over T bars.

    times       (T,) int64 UTC microseconds, strictly increasing: the bar's close; daily: its date at 00:00 Seoul.
    days        (T,) int64 epoch days of each bar's session. Default: the date in Seoul.
    symbols     codes, unique, in the caller's order; columns of every matrix.
    fields      name -> (T, N) float64 or a zero-argument callable giving it: open, high, low, close (as traded),
                volume, optionally value and base (the exchange's reference price of the session).
    flags       (T, N) uint8 of LISTED | TRADED | VALID | MEMBER | LIQUIDATION | FIRST_DAY (all bars of the day a symbol
                was listed on), or a callable giving it. Default: as the close and volume say.
    actions     an action table (`actions.make_actions` accepts what may be given). All of them count, also those
                before the first bar: leave out those on or before a symbol's first *stored* bar.
    markets     market of each symbol at its last bar (one text for all, or N); `market_changes` (day, symbol, market)
                rows say when it was another one.
    prices      "raw", or "adjusted" when only adjusted prices are at hand: tick and limit rules are then off.
    leverage    (N,) float64 multiples of leveraged products, which widen price limits.
    minor_unit  account units in one unit of price: 1 (won) or 100 (cents).
    features    what became known at some date beside prices; `feature(name)` gives it bar by bar.
    """

    def __init__(
        self,
        *,
        times: IntArray,
        symbols: Sequence[str],
        fields: Mapping[str, Field],
        flags: FlagArray | Callable[[], FlagArray] | None = None,
        actions: object = None,
        markets: str | Sequence[str] | None = None,
        market_changes: Sequence[tuple[int, str, str]] = (),
        names: Mapping[str, str] | None = None,
        prices: Literal["raw", "adjusted"] = "raw",
        freq: str = "1d",
        version: object = None,
        leverage: FloatArray | None = None,
        source: str | None = None,
        minor_unit: int = 1,
        days: IntArray | None = None,
        features: Features | None = None,
    ) -> None:
        self.times: IntArray = np.ascontiguousarray(times, dtype=np.int64)
        self.days: IntArray = (
            (self.times + SEOUL_US) // DAY_US if days is None else np.ascontiguousarray(days, np.int64)
        )
        self.symbols: tuple[str, ...] = tuple(symbols)
        self._fields: dict[str, Field] = dict(fields)
        self._cache: dict[str, object] = {}
        self._whole: Bars | None = None  # the longer panel this one is a slice of
        self.actions: NDArray[np.void] = make_actions(actions)
        one = markets if isinstance(markets, str) else "KOSPI"
        self.markets: tuple[str, ...] = (
            (one,) * len(self.symbols) if markets is None or isinstance(markets, str) else tuple(markets)
        )
        self.market_changes: list[tuple[int, str, str]] = sorted(market_changes)
        self.names: dict[str, str] = dict(names or {})
        self.prices: Literal["raw", "adjusted"] = prices
        self.freq = freq
        self.version = version
        self.source = source
        self.minor_unit = minor_unit
        self.features = Features() if features is None else features
        self.leverage: FloatArray = np.ones(len(self.symbols)) if leverage is None else np.asarray(leverage, np.float64)
        self._check()
        self._flags: FlagArray | Callable[[], FlagArray] = self._default_flags() if flags is None else flags
        if not callable(self._flags):
            self.flags = self._flags

    def _check(self) -> None:
        """Refuse a panel whose axes do not fit together."""
        if self.times.ndim != 1 or self.days.shape != self.times.shape:
            raise BadData(
                f"times {self.times.shape} and days {self.days.shape} must be one-dimensional and of one length"
            )
        steps = np.flatnonzero(np.diff(self.times) <= 0)
        if len(steps):
            row = int(steps[0]) + 1
            raise BadData(f"times must increase: row {row} ({day_text(self.days[row])}) is not after row {row - 1}")
        if len(set(self.symbols)) != len(self.symbols):
            twice = next(symbol for symbol in self.symbols if self.symbols.count(symbol) > 1)
            raise BadData(f"symbol {twice!r} appears twice; every column needs its own code")
        missing = [name for name in REQUIRED if name not in self._fields]
        if missing:
            raise BadData(f"fields lack {', '.join(missing)}; given: {', '.join(self._fields)}")
        if len(self.markets) != len(self.symbols) or self.leverage.shape != (len(self.symbols),):
            raise BadData(f"markets ({len(self.markets)}) and leverage {self.leverage.shape} need one entry per symbol")
        if self.prices not in ("raw", "adjusted"):
            raise ConfigError(f'prices={self.prices!r}: choose "raw" or "adjusted"')

    def _default_flags(self) -> FlagArray:
        listed = ~np.isnan(self.field("close"))
        flags = listed.astype(np.uint8) * np.uint8(LISTED | VALID | MEMBER)
        flags |= (listed & (self.field("volume") > 0)).astype(np.uint8) * np.uint8(TRADED)
        return flags

    # --- axes -----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N)."""
        return len(self.times), len(self.symbols)

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        span = f"{day_text(self.days[0])}..{day_text(self.days[-1])}" if len(self) else "empty"
        who = ", ".join(self.symbols[:3]) + (", ..." if len(self.symbols) > 3 else "")
        return f"<Bars {self.freq} {len(self)} x {len(self.symbols)} [{who}] {span} {self.prices}>"

    @property
    def intraday(self) -> bool:
        """Whether several bars make a session."""
        return is_intraday(self.freq)

    @property
    def index(self) -> pd.DatetimeIndex:
        """Close of each bar in Asia/Seoul; a daily bar shows its date at 00:00."""

        def build() -> pd.DatetimeIndex:
            import pandas as pd

            if self.intraday:
                stamps = pd.DatetimeIndex(self.times.astype("datetime64[us]")).tz_localize("UTC")
                return stamps.tz_convert("Asia/Seoul")
            dates = pd.DatetimeIndex(self.days.astype("datetime64[D]").astype("datetime64[us]"))
            # Seoul kept summer time at midnight in a few years before 1961; such a date starts an hour late.
            return dates.tz_localize("Asia/Seoul", nonexistent="shift_forward", ambiguous=np.ones(len(dates), bool))

        return self._once("index", build)

    @property
    def currency(self) -> str:
        """Currency of prices and cash."""
        return "USD" if self.markets and set(self.markets) == {"US"} else "KRW"

    # --- fields ---------------------------------------------------------------------------------------------------

    def field(self, name: str) -> FloatArray:
        """A stored field as traded, (T, N) float64, loaded on first use. ConfigError for a name that is not stored."""
        stored = self._fields.get(name)
        if stored is None:
            raise ConfigError(f"bars have no field {name!r}; they have {', '.join(sorted(self._fields))}")
        if not callable(stored):
            if stored.shape == self.shape and stored.dtype == np.float64 and stored.flags.c_contiguous:
                return stored
            loaded = np.ascontiguousarray(stored, dtype=np.float64)
        else:
            loaded = np.ascontiguousarray(stored(), dtype=np.float64)
        if loaded.shape != self.shape:
            raise BadData(f"field {name!r} has shape {loaded.shape}; the panel is {self.shape}")
        self._fields[name] = loaded
        return loaded

    def has(self, name: str) -> bool:
        """Whether the field was given (not derived)."""
        return name in self._fields

    def loaded(self) -> tuple[str, ...]:
        """Names of the stored fields that are in memory."""
        return tuple(name for name, stored in self._fields.items() if not callable(stored))

    def arrays(self) -> Iterator[NDArray[Any]]:
        """The arrays that the panel holds in memory now, with those of panels made of it (`at`)."""
        for held in (*self._fields.values(), *self._cache.values()):
            if isinstance(held, np.ndarray):
                yield held
            elif isinstance(held, Bars | Session) and held is not self:
                yield from held.arrays()

    @property
    def raw(self) -> RawPrices:
        """Prices and volumes as traded."""
        return RawPrices(self)

    @property
    def open(self) -> FloatArray:
        """Open, adjusted forward."""
        return self._adjusted("open")

    @property
    def high(self) -> FloatArray:
        """High, adjusted forward."""
        return self._adjusted("high")

    @property
    def low(self) -> FloatArray:
        """Low, adjusted forward."""
        return self._adjusted("low")

    @property
    def close(self) -> FloatArray:
        """Close, adjusted forward."""
        return self._adjusted("close")

    @property
    def volume(self) -> FloatArray:
        """Volume in shares of the symbol's first stored bar: as traded divided by the share ratios so far."""
        if not changes(self.actions, self.symbols, field="share_ratio"):
            return self.field("volume")
        return self._once("volume", lambda: self.field("volume") / self.share_factor)

    @property
    def value(self) -> FloatArray:
        """Money traded; close x volume (as traded) where it was not given."""
        if self.has("value"):
            return self.field("value")
        return self._once("value", lambda: self.field("close") * self.field("volume"))

    @property
    def base(self) -> FloatArray:
        """Reference price of the session, on which price limits stand, as traded.

        The exchange's where given; elsewhere the last close of the session before, on the price basis of this one.
        NaN on a symbol's first session.
        """
        return self._once("base", self._base)

    def _base(self) -> FloatArray:
        from quantkit.data.windows import reference_prices

        return reference_prices(self)

    @property
    def prior_close(self) -> FloatArray:
        """(N,) adjusted close before the first session here, where this is part of a longer panel; else NaN."""

        def build() -> FloatArray:
            from quantkit.data.windows import close_before

            return close_before(self)

        return self._once("prior_close", build)

    @property
    def factor(self) -> FloatArray:
        """Forward price factor (T, N): adjusted = raw x factor; 1 at the symbol's first stored bar."""
        return self._once("factor", lambda: factor_matrix(self.actions, self.days, self.symbols))

    @property
    def share_factor(self) -> FloatArray:
        """Forward share ratio (T, N): shares now for one share at the symbol's first stored bar."""
        return self._once(
            "share_factor", lambda: factor_matrix(self.actions, self.days, self.symbols, field="share_ratio")
        )

    def _adjusted(self, name: str) -> FloatArray:
        if not self._once("moves", lambda: changes(self.actions, self.symbols)):
            return self.field(name)
        return self._once(name, lambda: self.field(name) * self.factor)

    def _once(self, name: str, build: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = build()
        return cast("T", self._cache[name])

    def feature(self, name: str, *, lag: int = 0, fill: float | None = None) -> FloatArray:
        """What was known of a feature at each bar's close, (T, N) float64, NaN where nothing was: see `features`.

        lag   sessions to wait beyond that.      fill   in place of NaN, as 0 for flags of membership.

        A figure dated D counts from the session after D. ConfigError for an unknown name lists those there are.
        """
        return feature_of(self, name, lag=lag, fill=fill)

    def feature_labels(self, name: str) -> tuple[str, ...]:
        """The texts that the numbers of a text feature are places in; () for one of numbers."""
        return self.features.rows(name, self.symbols).labels or ()

    def with_feature(self, name: str, frame: pd.DataFrame, *, blank: Literal["clear", "skip"] = "clear") -> Bars:
        """The same panel with a feature of your own: see `featureframes.with_feature`."""
        from quantkit.data.featureframes import with_feature

        return with_feature(self, name, frame, blank=blank)

    # --- flags ----------------------------------------------------------------------------------------------------

    @property
    def flags(self) -> FlagArray:
        """(T, N) uint8 of LISTED | TRADED | VALID | MEMBER | LIQUIDATION."""
        if callable(self._flags):
            self.flags = self._flags()
        return cast("FlagArray", self._flags)

    @flags.setter
    def flags(self, flags: FlagArray) -> None:
        if flags.shape != self.shape or flags.dtype != np.uint8:
            raise BadData(f"flags are {flags.dtype} {flags.shape}; expected uint8 {self.shape}")
        self._flags = np.ascontiguousarray(flags)

    @property
    def listed(self) -> BoolArray:
        """(T, N): the symbol is listed; elsewhere every field is NaN."""
        return self._flag("listed", LISTED)

    @property
    def traded(self) -> BoolArray:
        """(T, N): a trade happened in this bar; without one nothing can fill."""
        return self._flag("traded", TRADED)

    @property
    def valid(self) -> BoolArray:
        """(T, N): listed and the data is complete; a target elsewhere reads as "leave"."""
        return self._flag("valid", VALID)

    @property
    def member(self) -> BoolArray:
        """(T, N): in the universe as of this bar."""
        return self._flag("member", MEMBER)

    @property
    def status(self) -> FlagArray:
        """(T, N) uint8, an index in `status.STATUS`: trading, halted, locked at a limit, liquidation, not listed."""

        def build() -> FlagArray:
            from quantkit.data.status import status_of

            return status_of(self)

        return self._once("status", build)

    def _flag(self, name: str, bit: int) -> BoolArray:
        return self._once(name, lambda: (self.flags & np.uint8(bit)) != 0)

    def with_member(self, member: BoolArray) -> Bars:
        """The same panel with another universe: `member` (T, N) bool, counted only where listed."""
        from quantkit.data.windows import with_member

        return with_member(self, member)

    # --- parts ----------------------------------------------------------------------------------------------------

    def slice(self, start_row: int, stop_row: int) -> Bars:
        """Rows start_row..stop_row (exclusive) as a panel that shares memory with this one."""
        from quantkit.data.windows import slice_rows

        return slice_rows(self, start_row, stop_row)

    def window(self, start: object = None, end: object = None) -> Bars:
        """Bars from the session `start` to the session `end`, both included: see `windows.window`."""
        from quantkit.data.windows import window

        return window(self, start, end)

    def select(self, symbols: Sequence[str]) -> Bars:
        """These symbols in this order. ConfigError names a symbol the panel does not have."""
        from quantkit.data.windows import select

        return select(self, symbols)

    def frame(self, name: str) -> pd.DataFrame:
        """One field as a DataFrame, index x symbols: "close", "raw.close", "status" (in words), a feature, ..."""
        import pandas as pd

        owner, _, attribute = name.rpartition(".")
        source = self.raw if owner == "raw" else self
        values = getattr(source, attribute, None)
        if values is None and name in self.features:
            values = self.feature(name)
        if owner not in ("", "raw") or not isinstance(values, np.ndarray) or values.shape != self.shape:
            raise ConfigError(
                f"no (T, N) field {name!r}; for example 'close', 'raw.close', 'volume', 'traded', 'member'"
            )
        if name == "status":
            from quantkit.data.status import STATUS

            values = np.array(STATUS, object)[values]
        return pd.DataFrame(values, index=self.index, columns=pd.Index(self.symbols, name="symbol"))

    def __getstate__(self) -> dict[str, object]:
        """Arrays instead of loaders and parents, so that a panel can be sent to another process."""
        kept: dict[str, object] = {"prior_close": self.prior_close}
        fields = {name: self.field(name) for name in tuple(self._fields)}
        return {**self.__dict__, "_flags": self.flags, "_fields": fields, "_cache": kept, "_whole": None,
                "features": self.features.carried(self.symbols)}  # fmt: skip

    # --- timeframes and frames ------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """Running open, high, low, volume and value of the session."""
        return self._once("session", lambda: Session(self))

    def resample(self, freq: str) -> Bars:
        """Coarser bars, completed ones only: see `timeframes.resample`."""
        from quantkit.data.timeframes import resample

        return resample(self, freq)

    def at(self, freq: str) -> Bars:
        """`resample`, computed once and kept; the panel itself at its own frequency."""
        return self if freq == self.freq else self._once(f"at {freq}", lambda: self.resample(freq))

    def align(self, values: NDArray[Any], coarse: Bars) -> NDArray[Any]:
        """Values of the coarser panel as known at each bar of this one: see `timeframes.align`."""
        from quantkit.data.timeframes import align

        return align(self, values, coarse)

    @classmethod
    def from_pandas(
        cls,
        frame: pd.DataFrame,
        *,
        market: str | Mapping[str, str] | None = None,
        prices: Literal["raw", "adjusted"] = "raw",
        actions: object = None,
        instruments: pd.DataFrame | None = None,
        symbol: str | None = None,
        freq: str | None = None,
        stamp: Literal["close", "open"] = "close",
        zone: str | None = None,
        minor_unit: int | None = None,
        source: str = "frame",
        features: pd.DataFrame | None = None,
    ) -> Bars:
        """Bars of a DataFrame, long or of one symbol: see `frames.from_pandas` for the columns and options.

        features   a table of what became known when, as `Lake.ingest_features` takes it.
        """
        from quantkit.data import frames

        options: dict[str, Any] = {"actions": actions, "instruments": instruments, "minor_unit": minor_unit}
        options |= {"symbol": symbol, "freq": freq, "stamp": stamp, "zone": zone, "source": source}
        bars = frames.from_pandas(frame, market=market, prices=prices, **options)
        if features is None:
            return bars
        from quantkit.data.featureframes import with_features

        return with_features(bars, features)
