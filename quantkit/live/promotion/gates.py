"""The gates between research, paper and live: what the machine measured, what it must be, what would make it so.

    research -> paper         look-ahead, warm-up, replay, out-of-sample, trades, costs, capacity   `promotion.evidence`
    paper -> live_capped      sessions, decisions, unresolved orders, data, denials                 `paper_gates`
    live_capped -> live       sessions, slippage, fill ratio, adoptions, restart                    `live_gates`

Contract: pure; records in, gates out. A gate fails closed: what was not measured has not passed. Sessions are judged by
the last ten: what was wrong before them and has been mended does not stand for ever.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from quantkit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Gate", "SessionRecord", "live_gates", "paper_gates"]

SESSIONS: Final = 10
MISMATCH: Final = 0.005  # of all bars
FILL_BAND: Final = 0.05  # by which the fill ratio may be under the model's


@dataclass(frozen=True, slots=True)
class Gate:
    """One question and its answer.

    figure   what was found, as a person reads it
    need     what passes
    advice   what would make it pass; "" where it has
    facts    the numbers behind it, plain values
    final    True: no override opens it
    """

    name: str
    passed: bool
    figure: str
    need: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    final: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Gate:
        """What `to_dict` wrote."""
        return cls(**values)


def gate(name: str, passed: bool, figure: str, need: str, advice: str, *, final: bool = False, **facts: Any) -> Gate:
    """A gate; its advice is kept only where it is needed."""
    return Gate(name, passed, figure, need, "" if passed else advice, facts, final and not passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """One session on paper or live, measured after its close.

    date             the exchange's, "2026-11-20"
    alike, decisions   orders that the recorded session and its backtest decided alike, and all of either
    unresolved       orders whose outcome was not known at the close
    bars, mismatched   own bars compared with the exchange's, and those that differ
    denials          orders denied, by gate
    unexplained      denials that the parity ledger does not name, and other rows it cannot explain
    slippage_bps     of each fill against its decision price; model_bps: what the cost model says of the same
    ordered, filled, model_filled   shares
    adoptions        positions and orders a person had to adopt
    restarts         restarts in the session after which everything was as before
    """

    date: str
    mode: str
    alike: int = 0
    decisions: int = 0
    unresolved: int = 0
    bars: int = 0
    mismatched: int = 0
    denials: Mapping[str, int] = field(default_factory=dict)
    unexplained: int = 0
    slippage_bps: tuple[float, ...] = ()
    model_bps: tuple[float, ...] = ()
    ordered: int = 0
    filled: int = 0
    model_filled: int = 0
    adoptions: int = 0
    restarts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SessionRecord:
        """What `to_dict` wrote."""
        lists = {name: tuple(values[name]) for name in ("slippage_bps", "model_bps")}
        return cls(**{**values, **lists})


def paper_gates(sessions: Sequence[SessionRecord]) -> list[Gate]:
    """What paper must have shown before money: of the sessions of one digest, oldest first."""
    last = list(sessions)[-SESSIONS:]
    alike, decisions = sum(one.alike for one in last), sum(one.decisions for one in last)
    unresolved, unexplained = sum(one.unresolved for one in last), sum(one.unexplained for one in last)
    bars, wrong = sum(one.bars for one in last), sum(one.mismatched for one in last)
    denied: Counter[str] = Counter()
    for one in last:
        denied.update(dict(one.denials))
    days = [one.date for one in last if one.alike < one.decisions]
    return [
        _sessions(last, "paper"),
        gate(
            "decisions", decisions > 0 and alike == decisions, f"{alike:,} of {decisions:,} alike",
            "every decision as the backtest makes it",
            f"a difference is a fault, not noise: read the parity ledger of {', '.join(days)}" if days
            else "nothing was decided yet; let it trade", alike=alike, decisions=decisions, days=days,
        ),
        gate(
            "unresolved", bool(last) and unresolved == 0, f"{unresolved} orders", "none at any close",
            "settle what the broker says of them, and run further sessions" if unresolved else "no session yet",
            unresolved=unresolved,
        ),
        gate(
            "data", bars > 0 and wrong < MISMATCH * bars, f"{wrong:,} of {bars:,} bars differ",
            f"under {MISMATCH:.1%} of the bars", "compare the feed with the exchange's bars after each close"
            if not bars else "find what the feed loses: quantkit journal show tells of its gaps",
            bars=bars, mismatched=wrong,
        ),
        gate(
            "denials", bool(last) and unexplained == 0, f"{sum(denied.values())} denied, {unexplained} unexplained",
            "every denial named by the parity ledger", "read the rows of the ledger that have no cause"
            if unexplained else "no session yet", denials=dict(denied), unexplained=unexplained,
        ),
    ]  # fmt: skip


def live_gates(sessions: Sequence[SessionRecord]) -> list[Gate]:
    """What capped money must have shown before the cap is lifted."""
    last = list(sessions)[-SESSIONS:]
    real = [value for one in last for value in one.slippage_bps]
    model = [value for one in last for value in one.model_bps]
    median = float(np.median(real)) if real else float("nan")
    most = float(np.quantile(model, 0.75)) if model else float("nan")
    ordered = sum(one.ordered for one in last)
    ratio, usual = (
        sum(getattr(one, name) for one in last) / ordered if ordered else float("nan")
        for name in ("filled", "model_filled")
    )
    adoptions, restarts = sum(one.adoptions for one in last), sum(one.restarts for one in last)
    return [
        _sessions(last, "live"),
        gate(
            "slippage", median <= most, f"median {median:.1f} bp, model's upper quarter {most:.1f} bp",
            "median within the model's three quarters",
            "raise the slippage of the cost model and see whether the rule still earns, or trade smaller",
            median=median,
            most=most, fills=len(real),
        ),
        gate(
            "fill_ratio", ratio >= usual - FILL_BAND, f"{ratio:.1%} filled, model {usual:.1%}",
            f"at most {FILL_BAND:.0%} under the model's",
            "look at unfilled orders in the drift report: a wider collar, or thicker names", ratio=ratio, model=usual,
        ),
        gate(
            "adoptions", bool(last) and adoptions == 0, f"{adoptions}", "none by a person",
            "ten sessions without a position that had to be adopted", adoptions=adoptions,
        ),
        gate(
            "restart", restarts > 0, f"{restarts} passed", "one restart inside a session, nothing lost",
            "stop it with a kill inside a session and start it again", restarts=restarts,
        ),
    ]  # fmt: skip


def _sessions(last: Sequence[SessionRecord], mode: str) -> Gate:
    more = SESSIONS - len(last)
    span = f", {last[0].date} to {last[-1].date}" if last else ""
    return gate("sessions", more <= 0, f"{len(last)}{span}", f"{SESSIONS} sessions on {mode}",
                f"{more} more session{'' if more == 1 else 's'} with this very code, parameters and policy",
                sessions=len(last), record=[_line(one) for one in last])  # fmt: skip


def _line(one: SessionRecord) -> dict[str, Any]:
    """A session in a line, as it is kept with a promotion and shown."""
    shortfall = float(np.median(one.slippage_bps)) if one.slippage_bps else None
    return {
        "date": one.date, "decisions": f"{one.alike}/{one.decisions}", "filled": f"{one.filled}/{one.ordered}",
        "median_bps": shortfall, "denied": sum(one.denials.values()), "unresolved": one.unresolved,
        "mismatched": one.mismatched, "adoptions": one.adoptions, "restarts": one.restarts,
    }  # fmt: skip
