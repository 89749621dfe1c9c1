"""`Result.report()`: the run on one page that needs nothing else.

Contract: one HTML file without links to anywhere; pictures are inline SVG, so names in Hangul use the reader's fonts
and a page stays under about 1.5 MB whatever the run's length. The same result gives the same bytes. Gains are red and
losses blue, as on Korean screens. Sections live in `sections`, lines in `charts`, look and behaviour in
`report_template.html`.
"""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from quantkit.backtest import sections
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.backtest.result import Result

__all__ = ["render", "write_report"]

_TEMPLATE = Path(__file__).with_name("report_template.html")


def render(result: Result) -> str:
    """The page as text."""
    from quantkit import __version__

    first, last = result.span
    parts = (
        sections.header,
        sections.warnings,
        sections.cards,
        sections.equity,
        sections.price,
        sections.months,
        sections.all_figures,
        sections.costs_and_orders,
        sections.by_symbol,
        sections.open_positions,
        sections.trades,
        sections.manifest,
    )
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(f"{result.name}, {first} to {last}"),
        body="\n".join(filter(None, (part(result) for part in parts))),
        footer=f"quantkit {escape(__version__)}. Past results of a simulation; not advice.",
        sign="₩" if result.bars.currency == "KRW" else "$",
    )


def write_report(result: Result, path: str | Path) -> Path:
    """Write the page; an existing file is replaced whole or not at all. ConfigError where it cannot be written."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    page = render(result)
    try:
        draft.write_text(page, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"the report cannot be written to {target}: {error.strerror or error}") from error
    return target
