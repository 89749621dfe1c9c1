"""The daily drift report: what trading cost beside what the model says it costs, and whether reality still follows it.

    shortfall of a fill = delay + spread + impact + fees, against the price it was decided on
        delay    from the decision to the moment the order was sent (mid of the quote then)
        spread   from the mid to the better side of the book that an order had to pay
        impact   from there to the price it got
        fees     commission and tax
    unfilled     what shares that did not come would have earned from the decision to the close

Contract: plain tables in, a value out; no clock, nothing stored. Money is in units of price, a cost is positive. In an
auction there is no quote to arrive at: the print the model filled at stands for it, and the spread is 0. Where neither
is known the whole price difference is `unsplit`. The parts of a fill sum to its shortfall. bps are of the decision's
value. The model's band is the middle half of the model's own shortfalls of the day, a basis point wider on each side;
three days in a row with the median outside raise an alert.

>>> sorted(PARTS)
['delay', 'fees', 'impact', 'spread', 'unsplit']
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from quantkit.errors import BadData
from quantkit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["PARTS", "DriftReport", "drift", "write_drift"]

PARTS: Final = ("delay", "spread", "impact", "fees", "unsplit")
DAYS: Final = 3
WIDER_BPS: Final = 1.0
FILL_FIELDS: Final = ("order", "quantity", "price", "commission", "tax", "time")
FILL_COLUMNS: Final = (
    "time", "order", "symbol", "side", "phase", "quantity", "decision", "arrival", "model", "price", *PARTS, "total",
    "bps", "model_bps",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One day of one account.

    fills      a row a fill: prices, the parts of its shortfall, their total, bps and the model's
    unfilled   a row an order that was not filled whole: shares left, what they cost, why
    latency    a row a phase and gateway: milliseconds from sending to acknowledgement and to the first fill
    positions  names of which the account holds other than expected
    equity     expected, real
    band       lowest and highest of the model's band, bps; NaN where the model filled nothing
    days       this day and those before: date, median, low, high, outside
    bridge     (cause, today, since the start): what lies between expected and real equity, to the last unit of money
    ledger     first causes up to the day, oldest first: time, cause, symbol, detail, amount
    """

    date: str
    account: str
    currency: str
    fills: pd.DataFrame
    unfilled: pd.DataFrame
    latency: pd.DataFrame
    positions: pd.DataFrame
    equity: tuple[float, float]
    ordered: int
    filled: int
    model_filled: int
    band: tuple[float, float]
    days: tuple[Mapping[str, Any], ...]
    alerts: tuple[str, ...]
    bridge: tuple[tuple[str, float, float], ...] = ()
    ledger: tuple[Mapping[str, Any], ...] = ()

    @property
    def median_bps(self) -> float:
        """Median shortfall of the day's fills, weighted by nothing; NaN without fills."""
        return float(self.fills["bps"].median()) if len(self.fills) else float("nan")

    @property
    def parts(self) -> dict[str, float]:
        """Sum of each part over the day, and of what did not fill."""
        found = {name: float(self.fills[name].sum()) for name in PARTS}
        return {**found, "unfilled": float(self.unfilled["cost"].sum())}

    def measured(self) -> dict[str, Any]:
        """The fields of a `promotion.SessionRecord` that this report measures."""
        known = self.fills.dropna(subset=["model_bps"])
        return {
            "slippage_bps": tuple(known["bps"].tolist()),
            "model_bps": tuple(known["model_bps"].tolist()),
            "ordered": self.ordered,
            "filled": self.filled,
            "model_filled": self.model_filled,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `days` go into the next day's report."""
        tables = {name: getattr(self, name).to_dict("records") for name in
                  ("fills", "unfilled", "latency", "positions")}  # fmt: skip
        values = {
            "date": self.date, "account": self.account, "currency": self.currency, "alerts": self.alerts,
            "equity": {"expected": self.equity[0], "real": self.equity[1]}, "parts": self.parts,
            "median_bps": self.median_bps, "band": self.band, "ordered": self.ordered, "filled": self.filled,
            "model_filled": self.model_filled, "days": self.days,
            "bridge": [{"cause": cause, "today": today, "since": since} for cause, today, since in self.bridge],
            "ledger": self.ledger, **tables,
        }  # fmt: skip
        return {name: plain(value) for name, value in values.items()}


def drift(
    *,
    date: str,
    account: str,
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    quotes: pd.DataFrame | None = None,
    model: pd.DataFrame | None = None,
    positions: pd.DataFrame | None = None,
    equity: tuple[float, float] = (float("nan"), float("nan")),
    history: Sequence[Mapping[str, Any]] = (),
    bridge: Sequence[tuple[str, float, float]] = (),
    ledger: Sequence[Mapping[str, Any]] = (),
    currency: str = "KRW",
) -> DriftReport:
    """The report of a day.

    orders     id, symbol, side, quantity, phase, decision (price), close (price), submitted, accepted (UTC nanoseconds,
               NaN: never); gateway and reason where known
    fills      order, quantity, price, commission, tax, time (UTC nanoseconds)
    quotes     order, bid, ask: when it was sent
    model      order, quantity, price, commission, tax: what the simulated broker makes of the same orders
    positions  symbol, expected, real
    equity     expected, real
    history    `days` of yesterday's report
    bridge     the parity ledger by cause, in units of price: (cause, what it did today, since the start)
    ledger     its rows: time, cause, symbol, detail, amount

    BadData for a table without a column it needs, or a fill of an order that is not there.
    """
    orders = _with(orders, "orders", ("id", "symbol", "side", "quantity", "phase", "decision", "close", "submitted",
                                      "accepted")).set_index("id", drop=False)  # fmt: skip
    fills = _with(fills, "fills", FILL_FIELDS)
    lost = sorted(set(fills["order"]) - set(orders.index))
    if lost or not orders.index.is_unique:
        raise BadData(f"drift: {f'fills of unknown orders: {lost[:3]}' if lost else 'an order stands twice'}")
    modelled = _modelled(model)
    rows = _fill_rows(orders, fills, _quoted(quotes), modelled)
    band = _band(rows)
    median = float(rows["bps"].median()) if len(rows) else float("nan")
    outside = bool(median < band[0] or median > band[1])
    today = {"date": date, "median": median, "low": band[0], "high": band[1], "outside": outside}
    days = (*[day for day in history if day["date"] < date], today)
    held = _differing(positions)
    return DriftReport(
        date=date,
        account=account,
        currency=currency,
        fills=rows,
        unfilled=_unfilled(orders, fills),
        latency=_latency(orders, fills),
        positions=held,
        equity=equity,
        ordered=int(orders["quantity"].sum()),
        filled=int(fills["quantity"].sum()),
        model_filled=int(modelled["quantity"].sum()),
        band=band,
        days=days,
        alerts=_alerts(days, held),
        bridge=tuple(bridge),
        ledger=tuple(ledger),
    )


def _with(table: pd.DataFrame, name: str, columns: Sequence[str]) -> pd.DataFrame:
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise BadData(f"drift: the table of {name} lacks {', '.join(lacking)}")
    return table


def _quoted(quotes: pd.DataFrame | None) -> pd.DataFrame:
    """Quotes by order."""
    if quotes is None:
        return pd.DataFrame(columns=["bid", "ask"])
    return _with(quotes, "quotes", ("order", "bid", "ask")).drop_duplicates("order").set_index("order")


def _modelled(model: pd.DataFrame | None) -> pd.DataFrame:
    """Model fills by order: quantity, price (mean over its fills), fees."""
    if model is None or not len(model):
        return pd.DataFrame(columns=["quantity", "price", "fees"], dtype=np.float64)
    model = _with(model, "model fills", ("order", "quantity", "price", "commission", "tax"))
    value, fees = model["price"] * model["quantity"], model["commission"] + model["tax"]
    table = model.assign(value=value, fees=fees).groupby("order")[["quantity", "value", "fees"]].sum()
    return table.assign(price=table["value"] / table["quantity"])


def _by_order(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Rows by their index, as plain dicts."""
    names = [str(name) for name in table.columns]
    return {
        str(key): dict(zip(names, row, strict=True)) for key, row in zip(table.index, table.to_numpy(), strict=True)
    }


def _fill_rows(orders: pd.DataFrame, fills: pd.DataFrame, quotes: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    """A row a fill, by time."""
    asked, quoted, modelled = _by_order(orders), _by_order(quotes), _by_order(model)
    sorted_fills = fills.sort_values("time", kind="stable")
    found = []
    for place, number in enumerate(sorted_fills["order"]):
        fill = {name: sorted_fills[name].iloc[place] for name in FILL_FIELDS}
        found.append(_fill_row(asked[number], fill, quoted.get(number), modelled.get(number)))
    return pd.DataFrame(found, columns=list(FILL_COLUMNS))


def _fill_row(
    order: dict[str, Any], fill: dict[str, Any], quote: dict[str, Any] | None, model: dict[str, Any] | None
) -> dict[str, Any]:
    """One fill with the parts of its shortfall."""
    sign, decision = (1.0 if order["side"] == "buy" else -1.0), float(order["decision"])
    price, quantity, fees = float(fill["price"]), int(fill["quantity"]), float(fill["commission"] + fill["tax"])
    theirs = math.nan if model is None else float(model["price"])
    usual = math.nan
    if model is not None:
        usual = (sign * (theirs - decision) + float(model["fees"]) / float(model["quantity"])) / decision * 1e4
    arrival = touch = theirs
    if quote is not None:
        arrival, touch = (quote["bid"] + quote["ask"]) / 2.0, quote["ask" if sign > 0 else "bid"]
    parts = dict.fromkeys(PARTS, 0.0) | {"fees": fees}
    if math.isnan(arrival):
        parts["unsplit"] = sign * (price - decision) * quantity
    else:
        steps = (decision, arrival, touch, price)
        parts |= {
            name: sign * (steps[k + 1] - steps[k]) * quantity for k, name in enumerate(("delay", "spread", "impact"))
        }
    total = sign * (price - decision) * quantity + fees
    return {
        "time": int(fill["time"]), "order": order["id"], "symbol": order["symbol"], "side": order["side"],
        "phase": order["phase"], "quantity": quantity, "decision": decision, "arrival": arrival, "model": theirs,
        "price": price, **parts, "total": total, "bps": total / (decision * quantity) * 1e4, "model_bps": usual,
    }  # fmt: skip


def _unfilled(orders: pd.DataFrame, fills: pd.DataFrame) -> pd.DataFrame:
    """Orders that were not filled whole, the dearest first."""
    done = fills.groupby("order")["quantity"].sum()
    left = orders["quantity"] - done.reindex(orders.index, fill_value=0)
    open_ = orders[left > 0]
    sign = np.where(open_["side"] == "buy", 1.0, -1.0)
    cost = sign * (open_["close"].to_numpy(np.float64) - open_["decision"].to_numpy(np.float64)) * left[left > 0]
    table = open_[["id", "symbol", "side", "quantity"]].assign(
        left=left[left > 0], cost=cost.astype(np.float64), reason=open_.get("reason", "")
    )
    return table.sort_values("cost", ascending=False, kind="stable").reset_index(drop=True)


def _latency(orders: pd.DataFrame, fills: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds from sending to acknowledgement and to the first fill, by phase and gateway."""
    sent = orders[orders["submitted"].notna()]
    gateway = sent["gateway"] if "gateway" in sent else pd.Series("", index=sent.index)
    first = fills.groupby("order")["time"].min().reindex(sent.index)
    times = pd.DataFrame({
        "phase": sent["phase"], "gateway": gateway,
        "accepted": (sent["accepted"] - sent["submitted"]).astype(np.float64) / 1e6,
        "filled": (first - sent["submitted"]).astype(np.float64) / 1e6,
    })  # fmt: skip
    found = []
    for key, group in times.groupby(["phase", "gateway"], sort=True):
        row: dict[str, Any] = dict(zip(("phase", "gateway"), key, strict=True)) | {"orders": len(group)}
        for name in ("accepted", "filled"):
            known = group[name].dropna().to_numpy()
            for part in (50, 95):
                row[f"{name}_p{part}"] = float(np.percentile(known, part)) if len(known) else float("nan")
        found.append(row)
    columns = ["phase", "gateway", "orders", "accepted_p50", "accepted_p95", "filled_p50", "filled_p95"]
    return pd.DataFrame(found, columns=columns)


def _differing(positions: pd.DataFrame | None) -> pd.DataFrame:
    """Names whose shares are not as expected."""
    if positions is None:
        return pd.DataFrame(columns=["symbol", "expected", "real"])
    table = _with(positions, "positions", ("symbol", "expected", "real"))
    return table[table["expected"] != table["real"]][["symbol", "expected", "real"]].reset_index(drop=True)


def _band(rows: pd.DataFrame) -> tuple[float, float]:
    """The middle half of what the model's fills cost, a little wider."""
    known: NDArray[np.float64] = rows["model_bps"].dropna().to_numpy(np.float64)
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, (25, 75))
    return float(low) - WIDER_BPS, float(high) + WIDER_BPS


def _alerts(days: Sequence[Mapping[str, Any]], held: pd.DataFrame) -> tuple[str, ...]:
    """What a person must know."""
    found = []
    traded = [day for day in days if day["median"] is not None and day["median"] == day["median"]]
    last = traded[-DAYS:]
    if len(last) == DAYS and last[-1] is days[-1] and all(day["outside"] for day in last):
        told = ", ".join(f"{day['median']:.1f}" for day in last)
        found.append(f"DRIFT_OUTSIDE_BAND: median shortfall of {told} bp, outside the model's band three days running")
    found += [
        f"POSITION_DIFFERS: {row['symbol']} expected {row['expected']:,}, real {row['real']:,}"
        for row in held.to_dict("records")
    ]
    return tuple(found)


def write_drift(report: DriftReport, folder: str | Path) -> tuple[Path, Path]:
    """Write `drift-ACCOUNT-DATE.html` and `.json` into a folder; their paths."""
    from quantkit.backtest.report import write_page
    from quantkit.live.drift_page import drift_page

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    name = f"drift-{report.account}-{report.date}"
    page = write_page(drift_page(report), place / f"{name}.html")
    text = json.dumps(report.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)
    return page, write_page(text + "\n", place / f"{name}.json")
