"""Names as KIS writes them: an ETN has a Q before its code, an ELW is asked for in a market of its own (W).

Contract: pure. An old code of a stock may carry an A. What does not fit a name's market is a name that is not there.

>>> coded("500001", "ETN"), bare("Q500001"), bare("005930")
('Q500001', '500001', '005930')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantkit.emulator.issue import Issue

MARKETS: Final = ("J", "NX", "UN", "W")  # FID_COND_MRKT_DIV_CODE


def coded(symbol: str, market: str) -> str:
    """KIS's code of a name."""
    return f"Q{symbol}" if market == "ETN" else symbol


def bare(code: str) -> str:
    """A code without its letter."""
    return code[1:] if len(code) == 7 and code[0] in "AQ" else code


def find(issues: Mapping[str, Issue], code: str, market: str | None = None) -> Issue | None:
    """The name of a code, asked for in a market (None: in none, as orders are)."""
    issue = issues.get(bare(code))
    if issue is None or (issue.market == "ETN") != code.startswith("Q"):
        return None
    return issue if market is None or (market == "W") == (issue.market == "ELW") else None
