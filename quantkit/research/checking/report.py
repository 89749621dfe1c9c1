"""The report of a check: what was looked at, what was found, as plain data and as text.

Contract: a report is evidence: frozen, plain values only, the same after `CheckReport.from_dict(report.to_dict())`, and
it names what it was made on: the code's hash, parameters, the data's digest, the seed and how much was looked at.
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from quantkit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

REPORT_VERSION = 1
_WIDTH = 116


@dataclass(frozen=True, slots=True)
class Finding:
    """One output that knows what it cannot know.

    kind     "lookahead": it changes with later bars. "universe": it changes with names not listed yet, or the members
             are chosen knowing what came. "random": two evaluations of the same bars differ. "state": it depends on
             what was evaluated before. "live": run bar by bar it differs. "error": it fails on fewer bars.
    time     the first bar that differs, as text ("2014-03-05", or with the minute)
    symbol   the first name that differs in that bar
    column   "targets", "rank", "member", "signals['name']" or "orders"
    detail   what differed, when, and how often
    cause    what the pattern of differences (and the source's text) says it is; "" where they do not tell
    """

    kind: str
    time: str
    symbol: str
    column: str
    detail: str
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What `quantkit.check` found; `ok` when nothing knows tomorrow.

    warmup           bars after which the decisions no longer depend on where the history starts, measured on these
                     bars; None where they never stop to, or nothing could be measured
    declared_warmup  what the strategy says
    cuts, changes, live, starts   how many were made of each kind of probe
    notes            what a reader should know, without being a fault
    """

    strategy: str
    params: Mapping[str, Any]
    source_hash: str
    data: Mapping[str, Any]
    columns: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    warmup: int | None
    declared_warmup: int
    history: int | str
    cuts: int
    changes: int
    live: int
    starts: int
    seed: int
    packages: Mapping[str, str] = field(default_factory=dict)
    version: int = REPORT_VERSION

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"ok": self.ok, **{name: plain(value) for name, value in asdict(self).items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CheckReport:
        """The report that `to_dict` wrote."""
        kept = {name: value for name, value in values.items() if name != "ok"}
        kept["findings"] = tuple(Finding(**one) for one in kept["findings"])
        kept["columns"], kept["notes"] = tuple(kept["columns"]), tuple(kept["notes"])
        return cls(**kept)

    @property
    def looked_at(self) -> str:
        """In one sentence, what was done."""
        return (
            f"{_many(self.cuts, 'cut')} of the future, {_many(self.changes, 'change')} of what comes next, "
            f"{_many(self.live, 'bar')} as a live run sees them, {_many(self.starts, 'later start')}"
        )

    @property
    def warmup_text(self) -> str:
        """In words, how much history the decisions need."""
        declared = f"declared {self.declared_warmup}"
        if self.warmup is None:
            return f"never stable ({declared})" if self.starts else f"not measured ({declared})"
        return f"{_many(self.warmup, 'bar')} ({declared})"

    def __repr__(self) -> str:
        data = self.data
        verdict = "nothing looks ahead" if self.ok else _many(len(self.findings), "finding")
        given = ", ".join(f"{name}={value!r}" for name, value in self.params.items())
        lines = [
            f"{self.strategy}({given}): {verdict}",
            f"  bars     {data['bars']:,} x {len(data['symbols'])}, {data['first']} to {data['last']}, {data['freq']}",
            f"  judged   {', '.join(self.columns)}",
            f"  looked   {self.looked_at}",
            f"  warm-up  {self.warmup_text}",
        ]
        for number, finding in enumerate(self.findings, start=1):
            cause = finding.cause or "no pattern that has a name"
            title = f"  {number}. {finding.kind} in {finding.column}: {cause}"
            lines += ["", textwrap.fill(title, _WIDTH, subsequent_indent=" " * 5, break_on_hyphens=False)]
            lines.append(f"     first on {finding.time}, {finding.symbol}")
            lines.append(textwrap.fill(finding.detail, _WIDTH, initial_indent=" " * 5, subsequent_indent=" " * 5))
        if self.notes:
            lines.append("")
        lines += [
            textwrap.fill(note, _WIDTH, initial_indent="  note: ", subsequent_indent=" " * 8) for note in self.notes
        ]
        return "\n".join(lines)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
