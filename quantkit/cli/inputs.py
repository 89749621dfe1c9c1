"""What a command line says, turned into strategies, bars, costs and a run.

Contract: a `Request` is plain data; `run` is the only place where it meets the Python interface. A wrong option is a
ConfigError that names the option. Bars are always loaded from the first one stored, so that a strategy has the same
history whatever `--start` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from quantkit.cli import console
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from quantkit import Bars, Costs, Lake, Result, Strategy
    from quantkit.data.stream import BarStream

STREAM_ABOVE = 1 << 30
"""Bytes of a panel above which minutes are run chunk by chunk."""

COSTS = ("kis", "kiwoom", "free")

Symbols = Annotated[str | None, typer.Option(help="Codes separated by commas. Default: all there are.")]
Start = Annotated[str | None, typer.Option(help="First session to trade; bars before it only warm up.")]
End = Annotated[str | None, typer.Option(help="Last session.")]
Params = Annotated[list[str] | None, typer.Option("--param", help="A parameter as name=value; may be repeated.")]
Cash = Annotated[float, typer.Option(help="Money at the start.")]
LakePath = Annotated[Path, typer.Option("--lake", help="Folder of the lake.")]
DataFile = Annotated[Path | None, typer.Option("--data", help="CSV or Parquet file to use instead of the lake.")]
Market = Annotated[
    str | None, typer.Option(help="Market of the symbols in --data. Default: its market column, or KOSPI.")
]
Prices = Annotated[str, typer.Option(help="Prices in --data: raw, or adjusted for splits.")]
Freq = Annotated[str, typer.Option(help="Bars of the lake to use: 1d, 5m, 1h, ...")]
Fill = Annotated[str, typer.Option(help="When decisions fill: next_open, next_close, close.")]
CostsName = Annotated[
    str, typer.Option("--costs", help="Whose commission: kis, kiwoom, free (which has no tax either).")
]
SlippageTicks = Annotated[
    float | None, typer.Option(help="Ticks lost on every fill. Default: 1 inside the day, else 0.", show_default=False)
]
SlippageBps = Annotated[float, typer.Option(help="Basis points lost on every fill.")]
Interpret = Annotated[bool, typer.Option("--interpret", help="Run on_bar in Python, so that breakpoints hold.")]
BenchmarkName = Annotated[str | None, typer.Option("--benchmark", help="hold, a code, or a file with date and close.")]
Deposit = Annotated[float | None, typer.Option(help="Money paid in on the first session of every month.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A backtest as asked for on a command line."""

    strategy: str
    params: dict[str, str] = field(default_factory=dict)
    symbols: tuple[str, ...] | None = None
    start: str | None = None
    end: str | None = None
    cash: float = 100_000_000
    lake: Path = Path("data/lake")
    data: Path | None = None
    market: str | None = None
    prices: str = "raw"
    freq: str = "1d"
    fill: str = "next_open"
    costs: str = "kis"
    slippage_ticks: float | None = None
    slippage_bps: float = 0.0
    benchmark: str | None = None
    deposit: float | None = None
    interpret: bool = False

    def run(self) -> Result:
        """Load what is needed and run the backtest."""
        from quantkit.backtest.run import backtest
        from quantkit.strategy import load_strategy

        check_dates(self.start, self.end)
        rule = load_strategy(self.strategy)
        strategy = rule(**rule.parse(self.params))
        bars = self.bars(strategy)
        return backtest(
            strategy,
            bars,
            cash=self.cash,
            start=self.start,
            end=self.end,
            costs=self.costs_of(bars),
            fill=self.fill,
            benchmark=self.benchmark_of(bars),
            deposits=self.deposit,
            interpret=self.interpret,
        )

    def costs_of(self, bars: Bars | BarStream) -> Costs:
        """The broker's costs, with the slippage asked for."""
        return costs_named(self.costs, ticks=self._ticks(bars), bps=self.slippage_bps)

    def _ticks(self, bars: Bars | BarStream) -> float:
        """Ticks of slippage: those asked for, else what `backtest` itself would take."""
        from quantkit.backtest.run import default_costs

        return default_costs(bars.intraday).slippage_ticks if self.slippage_ticks is None else self.slippage_ticks

    def bars(self, strategy: Strategy) -> Bars | BarStream:
        """The bars of the data file or of the lake."""
        if self.data is not None:
            return bars_of_file(self.data, market=self.market, prices=self.prices, symbols=self.symbols)
        return bars_of_lake(self.lake, strategy, symbols=self.symbols, end=self.end, freq=self.freq)

    def benchmark_of(self, bars: Bars | BarStream) -> object:
        """What `backtest` takes: a word, a symbol of the bars, or closes from a file or the lake."""
        name = self.benchmark
        if name is None or name == "hold" or name in bars.symbols:
            return name
        if Path(name).suffix.lower() in (".csv", ".parquet", ".pq"):
            return _closes(Path(name))
        if self.data is not None:
            raise ConfigError(f"--benchmark {name}: not a code in {self.data}; give hold, one of its codes, or a file")
        return open_lake(self.lake).bars([name], None, self.end).frame("close")[name]


def bars_of_lake(
    path: Path,
    strategy: Strategy,
    *,
    symbols: Sequence[str] | None,
    end: str | None,
    freq: str = "1d",
    start: str | None = None,
    version: str | None = None,
) -> Bars | BarStream:
    """Bars of the lake; a universe of symbols or a query is answered by the lake, as of each date.

    More minutes than fit `STREAM_ABOVE` come as a stream, where the strategy says how much history it needs.
    """
    from quantkit.data.dates import is_intraday
    from quantkit.data.stream import CELL_BYTES
    from quantkit.strategy.blocks import history_of

    lake = open_lake(path)
    universe = strategy.universe
    asked = None if callable(universe) else universe
    wanted = None if symbols is None else list(symbols)
    if f"bars_{freq}" in lake.tables() and is_intraday(freq) and history_of(strategy, intraday=True) != "all":
        stream = lake.stream(wanted, start, end, freq, version)
        rows, names = stream.shape
        if rows * names * CELL_BYTES > STREAM_ABOVE:
            console.note(f"{rows:,} bars of {names:,} names: run in {len(stream.cuts) - 1} chunks, the state carried")
            return stream
    return lake.bars(wanted, start, end, freq, version, universe=asked)


def open_lake(path: Path) -> Lake:
    """The lake at `path`; ConfigError when there is none, for reading would otherwise find an empty one."""
    from quantkit.data.lake import Lake

    if not path.is_dir():
        raise ConfigError(
            f"no lake at {path}: fill one with `quantkit data ingest FILE --lake {path}`, try `quantkit demo`, "
            "or give a file with --data"
        )
    return Lake(path)


def bars_of_file(path: Path, *, market: Any, prices: str, symbols: Sequence[str] | None) -> Bars:
    """Bars of a CSV or Parquet file. A file of one symbol has its code as its name."""
    from quantkit.data.frames import from_pandas

    if prices not in ("raw", "adjusted"):
        raise ConfigError(f"--prices {prices}: choose raw or adjusted")
    kind = cast('Literal["raw", "adjusted"]', prices)
    bars = from_pandas(read_frame(path), market=market, prices=kind, symbol=path.stem, source=str(path))
    return bars if symbols is None else bars.select(list(symbols))


def read_frame(path: Path) -> pd.DataFrame:
    """A table file as a DataFrame; codes stay text. BadData when it cannot be read as one."""
    import pandas as pd

    from quantkit.data.columns import canonical

    if not path.is_file():
        raise BadData(f"no such file: {path}")
    suffix = path.suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        encoding = "utf-8-sig" if _is_utf8(path) else "cp949"  # the exchange's own downloads are CP949
        names = canonical(pd.read_csv(path, nrows=0, encoding=encoding).columns, source=str(path))
        codes = {str(column): "str" for column, name in names.items() if name == "symbol"}
        return pd.read_csv(path, encoding=encoding, dtype=codes)
    except (ValueError, OSError) as problem:
        if isinstance(problem, BadData):
            raise
        raise BadData(
            f"{path} cannot be read as {'Parquet' if suffix in ('.parquet', '.pq') else 'CSV'}: {problem}"
        ) from problem


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _closes(path: Path) -> pd.Series[float]:
    """A column of closes by date, for a benchmark."""
    import pandas as pd

    from quantkit.data.columns import canonical

    frame = read_frame(path)
    names = {name: column for column, name in canonical(frame.columns, source=str(path)).items()}
    if "close" not in names or "date" not in names:
        raise BadData(
            f"{path}: a benchmark needs the columns date and close; it has {', '.join(map(str, frame.columns))}"
        )
    dates = pd.DatetimeIndex(pd.to_datetime(frame[names["date"]].astype(str)))
    return pd.Series(frame[names["close"]].to_numpy("float64"), index=dates, name=path.stem)


def check_dates(start: str | None, end: str | None, *, names: tuple[str, str] = ("--start", "--end")) -> None:
    """ConfigError for a --start or --end that is no date, or the wrong way round. names: of the two options."""
    from quantkit.data.dates import epoch_day, last_day

    found = []
    for option, text, read in ((names[0], start, epoch_day), (names[1], end, last_day)):
        try:
            found.append(None if text is None else read(text, what=option))
        except BadData as problem:
            raise ConfigError(str(problem)) from problem
    first, last = found
    if first is not None and last is not None and first > last:
        raise ConfigError(f"{names[0]} {start} is after {names[1]} {end}; swap them")


def costs_named(name: str, *, ticks: float = 0.0, bps: float = 0.0) -> Costs:
    """A broker's costs with slippage. ConfigError for a name that is none."""
    from quantkit.market.costs import Costs

    if name not in COSTS:
        raise ConfigError(f"--costs {name}: choose one of {', '.join(COSTS)}")
    broker = {"kis": Costs.kis, "kiwoom": Costs.kiwoom, "free": Costs.free}[name]
    return replace(broker(), slippage_ticks=ticks, slippage_bps=bps)


def parse_params(given: Sequence[str] | None) -> dict[str, str]:
    """`["fast=10", "mode=close"]` as {"fast": "10", "mode": "close"}; the strategy says what the texts mean."""
    found: dict[str, str] = {}
    for text in given or ():
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name.isidentifier():
            raise ConfigError(f"--param {text}: write it as name=value")
        if name in found:
            raise ConfigError(f"--param {name} is given twice")
        found[name] = value
    return found


def parse_symbols(text: str | None) -> tuple[str, ...] | None:
    """`"005930,000660"` as a tuple; None for None."""
    if text is None:
        return None
    codes = tuple(code.strip() for code in text.split(",") if code.strip())
    if not codes:
        raise ConfigError("--symbols is empty: give codes separated by commas, or leave it out for all")
    if len(set(codes)) != len(codes):
        raise ConfigError(f"--symbols {text}: a code appears twice")
    return codes
