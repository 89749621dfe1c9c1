"""What to do with a target: sizes, stops, rebalance dates, funding. Pure data, written into every manifest.

Contract: frozen values, checked when built; no arrays, no clock, no compiled code. `core.fold` turns a policy into the
numbers its compiled steps read. `docs/execution.md` says, row by row, what each setting does.

>>> Policy(weighting="equal", stop_loss=0.08).to_dict()["stop_loss"]
0.08
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

from quantkit.errors import ConfigError

WEIGHTINGS = ("weight", "equal", "equal_held", "cash", "shares", "buying_power")
FUNDINGS = ("proceeds", "cash")
SHORTFALLS = ("scale", "sequence", "reject")
ROUNDINGS = ("goal", "order")
TRADE_ON = ("change", "rebalance")
FILLS = ("next_open", "next_close", "close", "next_bar_vwap")
LIMIT_FILLS = ("through", "touch")
PATHS = ("nearer", "pessimistic", "optimistic")
CAPS = ("cap_name", "cap_group", "cap_gross")

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


def _check_count(owner: str, name: str, value: object, low: int) -> None:
    if type(value) is not int or not low <= value < 1 << 31:
        raise _refuse(owner, name, value, f"expected a whole number, {low} or more")


def _checked_groups(groups: object) -> dict[str, str]:
    """A copy that nobody else can change."""
    if not isinstance(groups, Mapping) or not all(isinstance(text, str) for pair in groups.items() for text in pair):
        raise _refuse("Policy", "groups", groups, 'expected a mapping of symbol to group, {"005930": "chips"}')
    return dict(groups)


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
    path           the order of a bar's extremes: the "nearer" to the open first; or, for what is held,
                   the low ("pessimistic": stops before takes) or the high ("optimistic"). `Result.paths()` runs all.
    participation  largest part of a bar's volume that fills may take; None: no cap.
    short          None: targets from 0 only. "simulate": negative targets are short positions, which no retail account
                   in Korea may take by ordinary orders; bans by date hold, the fee is `Costs(borrow=)`.
    short_margin   part of a short position's value that is tied up besides the proceeds of its sale.
    slippage_on    "both" sides, or "entry" only (a spread paid once a round trip).

    The last three exist to repeat other engines exactly; leave them alone otherwise.
    What shapes sizes and orders; all off by default, all may be combined (docs/execution.md, "Policies"):

    threshold      float targets are strengths: a value of at least this is in, a smaller one out, and where no rank is
                   given the strongest are chosen first. Any weighting but "weight".
    vol_target     annual volatility a name should have: its size is multiplied by vol_target / its own, at most
                   `vol_cap` (1.0), measured over `vol_window` (20) bars.
    cap_name, cap_group, cap_gross   most of equity in one name, in one group, in all; room goes by rank.
    groups         symbol -> name of its group.
    drift          a name that is re-sized keeps its goal within this fraction of the new size.
    max_turnover   most of equity that the orders of one decision may be worth; exits always go.
    min_trade_value   a gap to the goal worth less money than this is not traded, unless the goal is 0.
    max_holding    bars after which a position is sold; the name stays out until its target has been 0.
    pyramid        most units of a name: another one each time the close is `pyramid_step` (a fraction) above the price
                   of the last.
    cooldown       bars after the end of a position on which the name is not bought again.

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
    short: Literal["simulate"] | None = None
    short_margin: float = 0.5
    threshold: float | None = None
    vol_target: float | None = None
    vol_window: int = 20
    vol_cap: float = 1.0
    cap_name: float | None = None
    cap_group: float | None = None
    cap_gross: float | None = None
    groups: Mapping[str, str] | None = field(default=None, hash=False)
    drift: float | None = None
    max_turnover: float | None = None
    min_trade_value: float | None = None
    max_holding: int | None = None
    pyramid: int = 1
    pyramid_step: float = 0.0
    cooldown: int | None = None

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
        if self.short not in (None, "simulate"):
            raise _refuse("Policy", "short", self.short, 'choose None or "simulate"')
        _check_number("Policy", "short_margin", self.short_margin, 0.0, 10.0)
        if self.participation is not None:
            _check_number("Policy", "participation", self.participation, 0.0, 1.0, open_low=True)
        if self.take_profit is not None:
            _check_number("Policy", "take_profit", self.take_profit, 0.0, 1e6, open_low=True)
        if self.max_names is not None:
            _check_count("Policy", "max_names", self.max_names, 1)
        every = self.rebalance
        if every not in ("change", "week", "month") and not (type(every) is int and every >= 1):
            raise _refuse(
                "Policy", "rebalance", every, 'choose "change", "week", "month" or a number of bars, 1 or more'
            )
        if self.trade_on == "rebalance" and every == "change":
            raise _refuse(
                "Policy", "trade_on", self.trade_on, 'needs rebalance dates: give rebalance="month", "week" or n'
            )
        if self.groups is not None:
            object.__setattr__(self, "groups", _checked_groups(self.groups))
        _check_shaping(self)

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


def _check_shaping(policy: Policy) -> None:
    """Refuse thresholds, targets, caps and counts that are out of range or do nothing where they are given."""
    tops = {"threshold": 1e15, "vol_target": 10.0, "vol_cap": 100.0, "cap_name": 100.0, "cap_group": 100.0}
    tops |= {"cap_gross": 100.0, "drift": 100.0, "max_turnover": 1e6, "min_trade_value": 1e15}
    for name, top in tops.items():
        if getattr(policy, name) is not None:
            _check_number("Policy", name, getattr(policy, name), 0.0, top, open_low=True)
    for name, low in (("max_holding", 1), ("cooldown", 1), ("pyramid", 1), ("vol_window", 2)):
        if getattr(policy, name) is not None:
            _check_count("Policy", name, getattr(policy, name), low)
    _check_number("Policy", "pyramid_step", policy.pyramid_step, 0.0, 100.0, open_low=policy.pyramid > 1)
    if policy.threshold is not None and policy.weighting == "weight":
        raise _refuse("Policy", "threshold", policy.threshold, 'needs a weighting that sizes names, as "equal"')
    if policy.cap_group is not None and not policy.groups:
        raise _refuse("Policy", "cap_group", policy.cap_group, "needs groups={symbol: group}")
    if policy.drift is not None and policy.rebalance == "change" and policy.weighting != "equal_held":
        raise _refuse("Policy", "drift", policy.drift, 'needs rebalance dates: give rebalance="month", "week" or n')


def shaping_of(policy: Policy) -> dict[str, float]:
    """The numbers the compiled steps read of what `_check_shaping` checks, by their names in `state.PLAN`."""

    def or_else(value: float | None, off: float) -> float:
        return off if value is None else float(value)

    numbers = {name: or_else(getattr(policy, name), float("inf")) for name in CAPS}
    numbers |= {name: or_else(getattr(policy, name), 0.0) for name in ("max_holding", "cooldown", "min_trade_value")}
    return numbers | {
        "max_turnover": or_else(policy.max_turnover, float("inf")),
        "drift": or_else(policy.drift, -1.0),
        "scaled": policy.vol_target is not None,
        "pyramid": policy.pyramid,
        "pyramid_step": float(policy.pyramid_step),
    }


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
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if value is not None:
                top = 1.0 if name in ("max_daily_loss", "max_drawdown") else 1e15
                _check_number("RiskLimits", name, value, 0.0, top, open_low=name != "min_cash")

    def to_dict(self) -> dict[str, object]:
        """Field names to plain values, for manifests."""
        return asdict(self)
