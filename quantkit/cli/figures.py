"""Results as tables of a terminal: figures, the line that says what was run, warnings.

Contract: words and formats of figures are those of `backtest.wording`, so that the terminal and the report say the
same. A figure that no column has (no benchmark, no dividends) has no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quantkit.backtest.wording import FIGURES, show
from quantkit.cli import console

if TYPE_CHECKING:
    from quantkit import Result

_ONLY_WHEN_THERE = frozenset(
    {"deposits", "commission", "slippage", "dividends", "open_trades", "tax", "proceeds_funded_share"}
)
_NAN = float("nan")


def figure_rows(columns: Sequence[tuple[Mapping[str, float | None], str]]) -> list[list[str]]:
    """One row a figure: its words, then its value in each column of (figures, currency)."""
    drawn = []
    for name, (words, _) in FIGURES.items():
        values = [_NAN if (value := figures.get(name)) is None else value for figures, _ in columns]
        missing = all(value != value for value in values)
        if missing or (name in _ONLY_WHEN_THERE and not any(values)):
            continue
        drawn.append(
            [words, *(show(name, value, currency) for value, (_, currency) in zip(values, columns, strict=True))]
        )
    return drawn


def headline(result: Result) -> str:
    """What was run, over which bars: one line."""
    symbols = result.bars.symbols
    names = ", ".join(result.label(symbol) for symbol in symbols[:5])
    more = f" and {len(symbols) - 5} more" if len(symbols) > 5 else ""
    first, last = result.span
    return f"{names}{more}; {first} to {last}, {len(result.bars):,} bars"


def print_result(result: Result) -> None:
    """The table of figures and the warnings of one result."""
    title = repr(result.strategy) if result.strategy is not None else result.name
    console.say(headline(result))
    console.table(title, ("Figure", "Value"), figure_rows([(result.figures, result.bars.currency)]))
    for warning in result.warnings:
        console.say(f"! {warning}")


def document(result: Result) -> dict[str, Any]:
    """What `--json` prints: figures, warnings, manifest, currency, the run's number in the run log."""
    return {**result.to_dict(), "currency": result.bars.currency, "run": result.run_id}
