"""Counters and gauges of live trading, set where things happen and read by whoever exposes them.

Contract: one registry of our own (`REGISTRY`), nothing is served here. Names begin with quantkit_, times are seconds.
An account's figures carry its label.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()
_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

INPUTS: Final = Counter("quantkit_inputs", "Inputs reduced", ["account", "kind"], registry=REGISTRY)
ENTRIES: Final = Counter("quantkit_entries", "Journal entries written", ["account", "kind"], registry=REGISTRY)
APPEND_SECONDS: Final = Histogram(
    "quantkit_append_seconds", "One transaction of the journal", ["account"], registry=REGISTRY, buckets=_FAST
)
QUEUE_DEPTH: Final = Gauge("quantkit_queue_depth", "Inputs that wait", ["account"], registry=REGISTRY)
ORDERS: Final = Gauge("quantkit_orders", "Orders of this run by status", ["account", "status"], registry=REGISTRY)
ANSWERS: Final = Counter(
    "quantkit_answers", "Answers of the broker by request and outcome", ["account", "request", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
ANSWER_SECONDS: Final = Histogram(
    "quantkit_answer_seconds", "From a request to its answer", ["account", "request"], registry=REGISTRY, buckets=_FAST
)
LOOKS_FAILED: Final = Counter("quantkit_looks_failed", "Looks that were none", ["account"], registry=REGISTRY)
CONNECTED: Final = Gauge("quantkit_connected", "1 while a connection stands", ["owner", "what"], registry=REGISTRY)
RECONNECTS: Final = Counter("quantkit_reconnects", "Connections lost or refused", ["owner", "what"], registry=REGISTRY)
FAILURES: Final = Counter("quantkit_failures", "Accounts or services that stopped by an error", ["owner", "code"],
                          registry=REGISTRY)  # fmt: skip
LOOP_LAG: Final = Gauge("quantkit_loop_lag_seconds", "How late the event loop last woke", registry=REGISTRY)
CLOCK_OFFSET: Final = Gauge("quantkit_clock_offset_seconds", "The servers' clock less ours", registry=REGISTRY)

TICKS: Final = Counter("quantkit_ticks", "Ticks and quotes taken in", ["feed"], registry=REGISTRY)
TICKS_LEFT_OUT: Final = Counter(
    "quantkit_ticks_left_out", "Ticks of a dead socket, outside the session, or no trades", ["feed", "why"],
    registry=REGISTRY,
)  # fmt: skip
LATE_TICKS: Final = Counter("late_ticks", "Ticks of a bar that had been given", ["feed", "freq"], registry=REGISTRY)
BAR_AGE: Final = Gauge("quantkit_bar_age_seconds", "From a bar's end to its being given", ["feed", "freq"],
                       registry=REGISTRY)  # fmt: skip
BARS: Final = Counter("quantkit_bars", "Bars given", ["feed", "freq", "complete"], registry=REGISTRY)
FEED: Final = Gauge("quantkit_feed", "What came over a feed's connection, and what was wrong with it", ["feed", "what"],
                    registry=REGISTRY)  # fmt: skip
GAPS: Final = Counter("quantkit_gaps", "Spans that the feed missed", ["feed"], registry=REGISTRY)
MISMATCH: Final = Gauge("quantkit_bar_mismatch_ratio", "Own bars that differ from the broker's chart", ["feed"],
                        registry=REGISTRY)  # fmt: skip
JOBS: Final = Counter("quantkit_jobs", "Scheduled jobs by result", ["job", "result"], registry=REGISTRY)


def value(name: str, **labels: str) -> float:
    """One figure by its exposed name ("late_ticks_total"); 0 where it was never set."""
    found = REGISTRY.get_sample_value(name, labels)
    return 0.0 if found is None else found
