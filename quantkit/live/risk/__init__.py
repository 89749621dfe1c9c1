"""The risk gates: `check(order, view)` says whether an order may leave. `pipeline` has the gates and their order."""

from quantkit.live.risk.pipeline import GATES, check
from quantkit.live.risk.view import Denied, GateLimits, View

__all__ = ["GATES", "Denied", "GateLimits", "View", "check"]
