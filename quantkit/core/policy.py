"""What to do with a target: sizes, stops, rebalance dates, funding. Pure data, written into every manifest.

Contract: frozen values, checked when built; no arrays, no clock, no compiled code. `core.fold` turns a policy into the
numbers its compiled steps read. `docs/execution.md` says, row by row, what each setting does.

>>> Policy(weighting="equal", stop_loss=0.08).to_dict()["stop_loss"]
0.08
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Literal

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

WEIGHTINGS = ("weight", "equal", "equal_held", "cash", "shares", "buying_power")
FUNDINGS = ("proceeds", "cash")
SHORTFALLS = ("scale", "sequence", "reject")
ROUNDINGS = ("goal", "order")
TRADE_ON = ("change", "rebalance")
FILLS = ("next_open", "next_close", "close", "next_bar_vwap")
LIMIT_FILLS = ("through", "touch")
PATHS = ("nearer", "pessimistic", "optimistic")

Weighting = Literal["weight", "equal", "equal_held", "cash", "shares", "buying_power"]
Funding = Literal["proceeds", "cash"]
Shortfall = Literal["scale", "sequence", "reject"]
Rounding = Literal["goal", "order"]
TradeOn = Literal["change", "rebalance"]
LimitFill = Literal["through", "touch"]
Path = Literal["nearer", "pessimistic", "optimistic"]


def _refuse(owner: str, name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"{owner}({name}={value!r}): {wanted}")


def _check_choice(owner: str, name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise _refuse(owner, name, value, f"choose one of {', '.join(choices)}")


def _check_number(
    owner: str, name: str, value: object, low: float, high: float, *, open_low: bool = False, open_high: bool = False
) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or (open_low and value == low) or (open_high and value == high):  # type: ignore[operator]
        raise _refuse(
            owner,
            name,
            value,
            f"expected a number {'above' if open_low else 'from'} {low:g} {'below' if open_high else 'to'} {high:g}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How targets become orders.

    weighting      how a True target is sized: "equal" (gross / max_names, or / members at that bar; sized when it
                   flips), "equal_held" (gross / number of True names, all re-sized on rebalance dates), "cash"
                   (`amount` of money), "shares" (`amount` shares), "buying_power" (`amount` as a fraction of it).
                   Float targets are weights of equity under "weight", "equal" and "equal_held"; under the other
                   three the float multiplies `amount`.
    amount         money, shares or fraction for the last three weightings.
    gross          sum of weights that "equal" and "equal_held" spread over names.
    max_names      at most so many names in; chosen by `Strategy.rank`, else by 20-bar traded value. None: no limit.
    rebalance      "change" (only when a target changes), "week" or "month" (last session of it), or every n bars.
    trade_on       "change": a changed target trades at once, rebalance dates re-size besides; "rebalance": targets are
                   read on rebalance dates only.
    stop_loss, take_profit, trailing_stop   fractions of the average entry price (trailing: of the peak since entry).
    funding        "proceeds": buys may use the same bar's sales (marked on the fill); "cash": only cash held before
                   the bar, reserved at the limit price, as a broker does.
    collar         "at open" and "at close" orders are limits this fraction from the day's reference price; None:
    market. cash_buffer    fraction of equity that sizing leaves alone.
    retry          order again what was cut or lost while the goal stands.
    shortfall      buys that do not fit the cash: "scale" all together, fill in "sequence" of size, or "reject" whole.
    rounding       "goal": the goal is cut to whole shares; "order": the order is (both toward zero).
    limit_fill     a limit order fills when the price goes "through" it, or already when it is touched ("touch").
    path           the order of a bar's extremes: the "nearer" to the open first, or the one that hurts
                   ("pessimistic") or helps ("optimistic").
    participation  largest part of a bar's volume that fills may take; None: no cap.
    slippage_on    "both" sides, or "entry" only (a spread paid once a round trip).

    The last three exist to repeat other engines exactly; leave them alone otherwise.
    Raises ConfigError naming the field, its value and what would be right.
    """

    weighting: Weighting = "equal"
    amount: float = 0.0
    gross: float = 1.0
    max_names: int | None = None
    rebalance: str | int = "change"
    trade_on: TradeOn = "change"
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    funding: Funding = "proceeds"
    collar: float | None = 0.10
    cash_buffer: float = 0.0
    retry: bool = True
    shortfall: Shortfall = "scale"
    rounding: Rounding = "goal"
    slippage_on: Literal["both", "entry"] = "both"
    limit_fill: LimitFill = "through"
    path: Path = "nearer"
    participation: float | None = None

    def __post_init__(self) -> None:
        for name, choices in (
            ("weighting", WEIGHTINGS),
            ("trade_on", TRADE_ON),
            ("funding", FUNDINGS),
            ("shortfall", SHORTFALLS),
            ("rounding", ROUNDINGS),
            ("slippage_on", ("both", "entry")),
            ("limit_fill", LIMIT_FILLS),
            ("path", PATHS),
        ):
            _check_choice("Policy", name, getattr(self, name), choices)
        if self.weighting in ("cash", "shares", "buying_power"):
            top = 1.0 if self.weighting == "buying_power" else 1e15
            _check_number("Policy", "amount", self.amount, 0.0, top, open_low=True)
        _check_number("Policy", "gross", self.gross, 0.0, 100.0, open_low=True)
        _check_number("Policy", "cash_buffer", self.cash_buffer, 0.0, 1.0, open_high=True)
        for name in ("stop_loss", "trailing_stop", "collar"):
            if getattr(self, name) is not None:
                _check_number("Policy", name, getattr(self, name), 0.0, 1.0, open_low=True, open_high=True)
        if self.participation is not None:
            _check_number("Policy", "participation", self.participation, 0.0, 1.0, open_low=True)
        if self.take_profit is not None:
            _check_number("Policy", "take_profit", self.take_profit, 0.0, 1e6, open_low=True)
        if self.max_names is not None and (type(self.max_names) is not int or self.max_names < 1):
            raise _refuse("Policy", "max_names", self.max_names, "expected a whole number of names, 1 or more, or None")
        every = self.rebalance
        if every not in ("change", "week", "month") and not (type(every) is int and every >= 1):
            raise _refuse(
                "Policy", "rebalance", every, 'choose "change", "week", "month" or a number of bars, 1 or more'
            )
        if self.trade_on == "rebalance" and every == "change":
            raise _refuse(
                "Policy", "trade_on", self.trade_on, 'needs rebalance dates: give rebalance="month", "week" or n'
            )

    def to_dict(self) -> dict[str, object]:
        """Field names to plain values, for manifests; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Policy:
        """Build from `to_dict`'s answer; unknown names raise ConfigError."""
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise ConfigError(f"Policy has no field {name!r}; it has {', '.join(sorted(known))}")
        return cls(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Money limits, checked inside the fold, the same in backtest and live. None: no limit.

    max_order_value     money in one order (ORDER_TOO_LARGE)
    max_weight          one name's share of equity after the order (MAX_WEIGHT)
    max_names           names held or being bought (MAX_POSITIONS)
    max_exposure        sum of positions over equity (MAX_EXPOSURE; buys are scaled together to fit)
    max_daily_loss      fraction of the day's starting equity lost, then no buys until the next session (DAILY_LOSS)
    max_drawdown        fraction below the highest equity, then no buys again in the run (DRAWDOWN)
    min_cash            money that buys must leave (INSUFFICIENT_CASH)
    max_order_shares    shares in one order (ORDER_TOO_LARGE)

    Sells are never denied: a limit may stop risk from growing, not from shrinking.
    """

    max_order_value: float | None = None
    max_weight: float | None = None
    max_names: int | None = None
    max_exposure: float | None = None
    max_daily_loss: float | None = None
    max_drawdown: float | None = None
    min_cash: float | None = None
    max_order_shares: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                top = 1.0 if field.name in ("max_daily_loss", "max_drawdown") else 1e15
                _check_number("RiskLimits", field.name, value, 0.0, top, open_low=field.name != "min_cash")

    def to_dict(self) -> dict[str, object]:
        """Field names to plain values, for manifests."""
        return asdict(self)
