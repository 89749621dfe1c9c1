"""What the gates look at and what they answer: `View`, `GateLimits`, `Denied`.

Contract: values, made by the engine for one order at one moment; a gate sees nothing else. Prices are in the money of
the day, amounts int64 minor units, quantities shares, times UTC nanoseconds. What is not known is None (or NaN), and a
gate that needs it denies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.live.switch import Modes
    from quantkit.market.costs import Costs
    from quantkit.trading.orders import Order
    from quantkit.trading.ports import InstrumentDay

BLOCKABLE: Final = ("halted", "managed", "liquidation", "single_price")
EXIT_COLLAR: Final = 0.30
SETS_REDUCING: Final = frozenset({"DAILY_LOSS", "DRAWDOWN", "LOSS_STREAK"})
_OF_THE_FOLD: Final = (
    "max_order_value", "max_order_shares", "max_weight", "max_names", "max_exposure", "max_daily_loss", "max_drawdown",
    "min_cash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Denied:
    """An order that may not be sent: a stable code, and what was found."""

    code: str
    detail: str

    @property
    def sets_reducing(self) -> bool:
        """Whether the deployment is to be REDUCING from now on; a DAILY_LOSS until the next session."""
        return self.code in SETS_REDUCING


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """The numbers of the gates. The money limits are those of the fold, `RiskLimits`; None: no limit.

    stale_ms          oldest price that an order in continuous trading may rest on, milliseconds
    collar            farthest that an order may reach beyond the last price, a fraction; for what the fold priced, that
                      far beyond the policy's own collar
    policy_collar     the policy's own, around the day's base price in auctions
    exit_collar       the same for exits, wider
    blocked           states of a name in which it is not bought, of BLOCKABLE; "halted" takes no order at all
    max_order_weight  one order's share of equity            (ORDER_TOO_LARGE)
    max_order_adv     one order's share of the average daily volume    (ORDER_TOO_LARGE)
    per_minute, per_day   orders of one deployment           (ORDER_RATE)
    max_loss_streak   losing trades in a row                 (LOSS_STREAK)
    short             sales beyond what is held pass: for simulated accounts only

    ConfigError names the field that is out of range.
    """

    stale_ms: int = 3_000
    collar: float = 0.03
    policy_collar: float = 0.10
    exit_collar: float = EXIT_COLLAR
    blocked: frozenset[str] = frozenset(BLOCKABLE)
    max_order_value: float | None = None
    max_order_shares: int | None = None
    max_order_weight: float | None = None
    max_order_adv: float | None = None
    max_names: int | None = None
    max_weight: float | None = None
    max_exposure: float | None = None
    min_cash: float | None = None
    per_minute: int = 1_000
    per_day: int = 20_000
    max_daily_loss: float | None = None
    max_drawdown: float | None = None
    max_loss_streak: int | None = None
    short: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "blocked":
                if not value <= set(BLOCKABLE):
                    raise ConfigError(f"GateLimits(blocked={set(value)!r}): expected some of {', '.join(BLOCKABLE)}")
            elif each.name != "short" and value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"GateLimits({each.name}={value!r}): expected a number from 0")

    @classmethod
    def of(cls, limits: RiskLimits | None = None, policy: Policy | None = None, **more: Any) -> GateLimits:
        """The gates of a deployment: its money limits and its policy's collar; `more` sets any other number."""
        given: dict[str, Any] = {} if limits is None else {name: getattr(limits, name) for name in _OF_THE_FOLD}
        if policy is not None:
            given["short"] = policy.short is not None
            if policy.collar is not None:
                given["policy_collar"] = policy.collar
                given["exit_collar"] = max(EXIT_COLLAR, 2.0 * policy.collar)
        return cls(**{**given, **more})


@dataclass(slots=True, kw_only=True)
class View:
    """Everything a gate may look at when it judges one order; made for that, and gone after.

    ask            "new" order, "modify" (the order carries what it shall become) or "cancel"
    slot_busy      an unacknowledged or unresolved order stands for the same account, symbol and side
    reconciling    the order stream is not connected, or is being reconciled after it was
    phase          the phase now, as `market.calendar.phases` names them; None where nothing takes orders
    seen           ids of intents that were sent before
    working        orders of the account that stand or may stand at the broker, without the one that is judged
    available      cash that this order may bind: reservations of all working and unresolved orders are taken off
    sellable       shares that may be sold, those of working sales taken off
    equity, positions, prices   of the deployment's sleeve (a person's order: of the account), at the last mark; shares
                   by symbol, prices for each of them
    adv            average daily volume, shares
    sent_last_minute, sent_today   orders of the deployment
    day_start_equity, peak_equity, losses_in_row   of the deployment; the first as persisted in the morning
    costs          commission that a buy needs cash for; None: none
    unit           minor units in one unit of price: 1 for won, 100 for cents
    raw            False for adjusted prices, which stand on no grid and know no limits
    """

    now: int
    modes: Modes
    market: str
    date: dt.date
    phase: str | None
    slot_busy: bool
    reconciling: bool
    seen: Collection[str]
    working: Sequence[Order]
    available: int
    sellable: int
    equity: int
    positions: Mapping[str, int]
    prices: Mapping[str, float]
    sent_last_minute: int
    sent_today: int
    limits: GateLimits
    ask: Literal["new", "modify", "cancel"] = "new"
    last_price: float | None = None
    last_time: int | None = None
    base: float | None = None
    instrument: InstrumentDay | None = None
    adv: float | None = None
    day_start_equity: int | None = None
    peak_equity: int | None = None
    losses_in_row: int | None = None
    costs: Costs | None = None
    unit: int = 1
    raw: bool = True
