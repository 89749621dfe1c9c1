"""Pages of a sweep and of a walk-forward, in the look of a result's page.

Contract: as `backtest.report`: one HTML file without links to anywhere, pictures as inline SVG, the same bytes for the
same result. A sweep of 10,000 runs gives about 0.1 MB, whatever the bars. Called by `SweepResult.report` and
`WalkForwardResult.report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantkit.backtest import sections, tear_sections
from quantkit.backtest.report import page, write_page
from quantkit.research import sweep_sections, walk_sections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quantkit.research.sweep_sections import Swept
    from quantkit.research.walk_sections import Walked

__all__ = ["sweep_page", "walk_forward_page", "write_sweep", "write_walk_forward"]


def sweep_page(result: Swept, *, overfitting: float | None = None) -> str:
    """The page of a sweep as text. overfitting: its probability (`result.overfit()`), where it is known."""
    parts = (
        sweep_sections.header(result),
        sweep_sections.meaning(result, overfitting),
        sweep_sections.cards(result),
        sweep_sections.maps(result),
        sweep_sections.spread(result),
        sweep_sections.stability(result),
        sweep_sections.best_runs(result),
        sweep_sections.failures(result),
    )
    return page(f"{result.strategy_class.__name__}, sweep", parts, currency=result.bars.currency)


def write_sweep(result: Swept, path: str | Path, *, overfitting: float | None = None) -> Path:
    """Write the page; ConfigError where it cannot be written."""
    return write_page(sweep_page(result, overfitting=overfitting), path)


def walk_forward_page(found: Walked, cautions: Sequence[str] = ()) -> str:
    """The page of a walk-forward as text: windows and parameters, then the tear sheet of the one account.

    cautions: plain sentences that stand above the account's own warnings.
    """
    result = found.result
    own = (
        sections.months, tear_sections.rolling, tear_sections.drawdowns, tear_sections.distribution,
        sections.all_figures, sections.costs_and_orders, tear_sections.turnover, tear_sections.regression,
        sections.by_symbol, sections.trades, sections.manifest,
    )  # fmt: skip
    parts = [
        walk_sections.header(found),
        walk_sections.warnings(found, list(cautions)),
        sections.cards(result),
        walk_sections.equity(found),
        walk_sections.promised(found),
        walk_sections.chosen(found),
        walk_sections.windows(found),
        *(part(result) for part in own),
    ]
    first, last = result.span
    title = f"{found.strategy_class.__name__}, walk-forward, {first} to {last}"
    return page(title, parts, currency=result.bars.currency)


def write_walk_forward(found: Walked, path: str | Path, cautions: Sequence[str] = ()) -> Path:
    """Write the page; ConfigError where it cannot be written."""
    return write_page(walk_forward_page(found, cautions), path)
