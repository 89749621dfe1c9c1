"""Corporate actions: what happened to a share on which ex-date, and the forward-adjustment factors it implies.

Contract: an action table is a NumPy structured array of `ACTION_DTYPE`, sorted by ex-day and symbol. Days are epoch
days (int64, days since 1970-01-01) of the exchange's date. On and after `ex_day`

    adjusted price = raw price * price_factor        (every earlier action multiplied in)
    shares held    = shares * share_ratio            and `cash_per_share` is due per share held before the ex-date

so a 50-for-1 split has price_factor = share_ratio = 50, a 10-to-1 reduction 0.1 and 0.1, and a cash dividend 1, 1 and
its amount: vendors' adjusted prices on KRX do not include cash dividends either. From the exchange's base price,
price_factor = last close / base. Factors of actions on or before a bar are multiplied in date order, so the factor of
a bar never changes when later bars or actions are added. Nothing here reads a file or a clock.

>>> split = make_actions([Action("005930", "2018-05-04", "split", share_ratio=50.0)])
>>> factor_matrix(split, days=np.array([17654, 17655]), symbols=("005930",))
array([[ 1.],
       [50.]])
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.data.dates import NO_DAY, epoch_day
from quantkit.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

KINDS = ("split", "bonus", "stock_dividend", "reduction", "rights", "dividend", "spinoff", "merger", "unknown")
KIND_ID = {kind: number for number, kind in enumerate(KINDS)}
# Kinds that change the number of shares and nothing else: price and share count move by the same ratio.
_NEUTRAL = frozenset(("split", "bonus", "stock_dividend", "reduction"))
_NEUTRAL_TOLERANCE = 0.05  # base prices are rounded to the tick, bonus ratios to the share

ACTION_DTYPE = np.dtype(
    [
        ("symbol", "U16"),
        ("ex_day", np.int64),
        ("kind", np.int8),  # index in KINDS
        ("price_factor", np.float64),
        ("share_ratio", np.float64),  # NaN for an unknown kind: treated as price_factor, so that no value appears
        ("cash_per_share", np.float64),  # in units of price, before withholding
        ("pay_day", np.int64),  # NO_DAY when unknown
        ("receivable", np.bool_),  # new shares arrive on pay_day, not on the ex-date
    ]
)


@dataclass(frozen=True, slots=True)
class Action:
    """One corporate action; dates as ISO text, `date` or epoch day. A ratio left out follows from the kind."""

    symbol: str
    ex_date: object
    kind: str
    price_factor: float | None = None
    share_ratio: float | None = None
    cash_per_share: float = 0.0
    pay_date: object = None
    receivable: bool = False


class LocatedActions(NamedTuple):
    """Actions placed in a panel: arrays of equal length sorted by row, then column."""

    row: IntArray  # first bar on or after the ex-date
    column: IntArray
    table: NDArray[np.void]  # the same actions, ACTION_DTYPE


def no_actions() -> NDArray[np.void]:
    """An empty action table."""
    return np.empty(0, dtype=ACTION_DTYPE)


def make_actions(source: object) -> NDArray[np.void]:
    """Build a checked, sorted action table from None, a table, a DataFrame, or rows (`Action` or mappings).

    Mappings and frames use the field names of `Action`. BadData names the row and what would be right.
    """
    if source is None:
        return no_actions()
    if isinstance(source, np.ndarray) and source.dtype == ACTION_DTYPE:
        return _sorted(source)
    if hasattr(source, "to_dict") and hasattr(source, "columns"):
        rows: Iterable[object] = cast("pd.DataFrame", source).to_dict("records")
    elif isinstance(source, Iterable) and not isinstance(source, str | bytes | Mapping):
        rows = source
    else:
        raise BadData(f"actions: expected a DataFrame or a list of Action rows, got {type(source).__name__}")
    table = np.array([_checked(row, number) for number, row in enumerate(rows)], dtype=ACTION_DTYPE)
    return _sorted(table)


def factor_matrix(
    actions: NDArray[np.void], days: IntArray, symbols: Sequence[str], *, field: str = "price_factor"
) -> FloatArray:
    """Product of `field` over the actions on or before each bar: (T, N) float64, 1 before the first action.

    `days` (T,) are the bars' session dates, increasing. Actions before the first bar count too: what a panel starts
    with was decided by whoever chose the actions (1 at the first *stored* bar, which may be older than the panel).
    `field` is "price_factor" for prices or "share_ratio" for volumes.
    """
    matrix = np.ones((len(days), len(symbols)))
    column_of = {symbol: column for column, symbol in enumerate(symbols)}
    for action in _sorted(actions):
        ratio = float(action["price_factor"] if np.isnan(action[field]) else action[field])
        column = column_of.get(str(action["symbol"]))
        if column is not None and ratio != 1.0:
            matrix[np.searchsorted(days, action["ex_day"]) :, column] *= ratio
    return matrix


def changes(actions: NDArray[np.void], symbols: Sequence[str], *, field: str = "price_factor") -> bool:
    """Whether any action changes `field` of one of these symbols, that is whether a factor matrix is worth building."""
    ratio = np.where(np.isnan(actions[field]), actions["price_factor"], actions[field])
    moving = actions["symbol"][ratio != 1.0]
    return len(moving) > 0 and bool(np.isin(moving, np.asarray(symbols)).any())


def locate(actions: NDArray[np.void], days: IntArray, symbols: Sequence[str]) -> LocatedActions:
    """Place actions on a panel: the row of the first bar on or after each ex-date, and the symbol's column.

    Actions of other symbols, after the last bar, or before the first bar's date are left out: nothing in the panel
    happens on them. An ex-date on the first bar itself is placed on row 0.
    """
    column_of = {symbol: column for column, symbol in enumerate(symbols)}
    columns = np.array([column_of.get(str(symbol), -1) for symbol in actions["symbol"]], dtype=np.int64)
    rows = np.searchsorted(days, actions["ex_day"]).astype(np.int64)
    inside = (columns >= 0) & (rows < len(days))
    if len(days):
        inside &= actions["ex_day"] >= days[0]
    order = np.lexsort((columns[inside], rows[inside]))
    return LocatedActions(rows[inside][order], columns[inside][order], actions[inside][order])


def actions_frame(actions: NDArray[np.void]) -> pd.DataFrame:
    """The table as a DataFrame with dates and kind names, as a person reads it and `make_actions` takes it back."""
    import pandas as pd

    frame = pd.DataFrame({name: actions[name] for name in ("symbol", "ex_day", "kind")})
    frame["symbol"] = frame["symbol"].astype("str")
    frame["kind"] = [KINDS[kind] for kind in actions["kind"]]
    frame["ex_day"] = actions["ex_day"].astype("datetime64[D]").astype("datetime64[s]")
    frame = frame.rename(columns={"ex_day": "ex_date"})
    for name in ("price_factor", "share_ratio", "cash_per_share"):
        frame[name] = actions[name]
    paid = actions["pay_day"]
    frame["pay_date"] = np.where(
        paid == NO_DAY, np.datetime64("NaT"), paid.astype("datetime64[D]").astype("datetime64[s]")
    )
    frame["receivable"] = actions["receivable"]
    return frame


def _sorted(table: NDArray[np.void]) -> NDArray[np.void]:
    """By ex-day, then symbol; a table already in order comes back as it is."""
    if len(table) < 2:
        return table
    order = np.lexsort((table["kind"], table["symbol"], table["ex_day"]))
    return table if np.array_equal(order, np.arange(len(table))) else table[order]


def _checked(row: object, number: int) -> tuple[object, ...]:
    """One row as a tuple in ACTION_DTYPE order, ratios filled in from the kind."""
    where = f"actions row {number}"
    action = _as_action(row, where)
    if not _is_code(action.symbol):
        raise BadData(f"{where}: symbol {action.symbol!r} is not a code such as '005930' (text, at most 16 characters)")
    where = f"{where} ({action.symbol}, {action.ex_date})"
    if action.kind not in KIND_ID:
        raise BadData(f"{where}: kind {action.kind!r} is not one of {', '.join(KINDS)}")
    price_factor, share_ratio = _ratios(action, where)
    cash = _number(action.cash_per_share)
    cash = 0.0 if math.isnan(cash) else cash
    if cash < 0 or not math.isfinite(cash):
        raise BadData(f"{where}: cash_per_share {cash} must be a finite amount, zero or more")
    pay_day = NO_DAY if _absent(action.pay_date) else epoch_day(action.pay_date, what=f"{where}: pay_date")
    ex_day = epoch_day(action.ex_date, what=f"{where}: ex_date")
    kind = KIND_ID[action.kind]
    return action.symbol, ex_day, kind, price_factor, share_ratio, cash, pay_day, bool(action.receivable)


def _as_action(row: object, where: str) -> Action:
    if isinstance(row, Action):
        return row
    if not isinstance(row, Mapping):
        raise BadData(f"{where}: expected an Action or a mapping, got {type(row).__name__}")
    known = set(Action.__dataclass_fields__)
    unknown = sorted(str(key) for key in row if key not in known)
    missing = [key for key in ("symbol", "ex_date", "kind") if key not in row]
    if unknown or missing:
        raise BadData(
            f"{where}: missing {missing}, unknown {unknown}; fields are {', '.join(Action.__dataclass_fields__)}"
        )
    return Action(**{key: value for key, value in row.items() if not (key == "receivable" and _absent(value))})


def _ratios(action: Action, where: str) -> tuple[float, float]:
    """(price_factor, share_ratio), each finite and positive; what is left out follows from the kind."""
    price, share = _number(action.price_factor), _number(action.share_ratio)
    neutral = action.kind in _NEUTRAL
    if neutral and math.isnan(price) and math.isnan(share):
        raise BadData(f"{where}: a {action.kind} needs share_ratio (new shares for one old), for example 50 for 50:1")
    if action.kind == "rights" and math.isnan(price):
        raise BadData(f"{where}: rights need price_factor = last close / ex-rights base price")
    if action.kind == "rights" and not math.isnan(share) and share != 1.0:
        raise BadData(f"{where}: rights change no shares (share_ratio {share}): they are taken as sold; leave it out")
    paid = _number(action.cash_per_share) > 0.0
    if action.kind == "reduction" and paid and math.isnan(price):
        raise BadData(f"{where}: a reduction that pays cash needs price_factor = last close / base price")
    if neutral:
        price, share = (share if math.isnan(price) else price), (price if math.isnan(share) else share)
    price = 1.0 if math.isnan(price) else price
    if action.kind == "unknown" and math.isnan(share):
        if not (math.isfinite(price) and price > 0):
            raise BadData(f"{where}: price_factor {price} must be a finite number above 0")
        return price, share
    share = 1.0 if math.isnan(share) else share
    for name, value in (("price_factor", price), ("share_ratio", share)):
        if not (math.isfinite(value) and value > 0):
            raise BadData(f"{where}: {name} {value} must be a finite number above 0")
    if neutral and not paid and abs(price / share - 1.0) > _NEUTRAL_TOLERANCE:
        raise BadData(
            f"{where}: price_factor {price} and share_ratio {share} disagree for a {action.kind}; price_factor is what "
            f"raw prices are multiplied by from the ex-date on (last close / base), here about {share}"
        )
    return price, share


def _is_code(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 16


def _number(value: object) -> float:
    """A float; what is absent is NaN."""
    return math.nan if _absent(value) else float(cast("float", value))


def _absent(value: object) -> bool:
    """None, NaN, NaT or NA, without importing pandas."""
    return value is None or str(value) in ("nan", "NaT", "<NA>")
