"""`Result.report()`: the run on one page that needs nothing else.

Contract: one HTML file without links to anywhere; pictures are inline SVG, so names in Hangul use the reader's fonts
and a page stays under about 1.5 MB whatever the run's length. The same result gives the same bytes. Gains are red and
losses blue, as on Korean screens. Sections live in `sections` and `tear_sections`, lines in `charts`, other pictures in
`shapes`, look and behaviour in `report_template.html`.
"""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from quantkit import hooks
from quantkit.backtest import sections, tear_sections
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from quantkit.backtest.regression import Regression
    from quantkit.backtest.result import Result

__all__ = ["page", "render", "write_page", "write_report"]

_TEMPLATE = Path(__file__).with_name("report_template.html")


def render(result: Result, *, factors: Regression | None = None) -> str:
    """The page as text."""
    first, last = result.span
    parts = (
        sections.header,
        sections.warnings,
        sections.cards,
        sections.equity,
        sections.price,
        lambda result: hooks.ask("verdict_section", result),
        sections.months,
        tear_sections.rolling,
        tear_sections.drawdowns,
        tear_sections.distribution,
        sections.all_figures,
        sections.costs_and_orders,
        tear_sections.turnover,
        tear_sections.regression,
        lambda _: "" if factors is None else tear_sections.factors(factors),
        tear_sections.capacity,
        sections.by_symbol,
        sections.open_positions,
        sections.trades,
        sections.manifest,
    )
    return page(f"{result.name}, {first} to {last}", (part(result) for part in parts), currency=result.bars.currency)


def page(title: str, parts: Iterable[str], *, currency: str = "KRW") -> str:
    """One self-contained page of such parts, in the look of all our pages."""
    from quantkit import __version__

    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        body="\n".join(filter(None, parts)),
        footer=f"quantkit {escape(__version__)}. Past results of a simulation; not advice.",
        sign="₩" if currency == "KRW" else "$",
    )


def write_page(text: str, path: str | Path) -> Path:
    """Write a page; an existing file is replaced whole or not at all. ConfigError where it cannot be written."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"the report cannot be written to {target}: {error.strerror or error}") from error
    return target


def write_report(
    result: Result, path: str | Path, *, capacity: bool = False, factors: pd.DataFrame | None = None
) -> Path:
    """`Result.report()`."""
    if capacity and result.capacities is None:
        result.capacity()
    fitted = None if factors is None else result.regression(factors)
    return write_page(render(result, factors=fitted), path)
