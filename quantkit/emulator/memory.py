"""An exchange that outlives its process: what was asked of it is kept in a file, and asked again.

Contract: an exchange is deterministic, so its seed, its prices and the requests at their times are all there is to
remember. A request is in the file before it is done; a line that was cut short was never done. A file that belongs to
other prices is a ConfigError, one that cannot be read BadData, one that cannot be written RetryLater, and then nothing
was done. One process writes a file.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from quantkit.emulator.exchange import Exchange
from quantkit.errors import BadData, ConfigError, Refused, RetryLater
from quantkit.trading.orders import OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from pathlib import Path

    from quantkit.emulator.accounts import Placed
    from quantkit.emulator.sources import Source
    from quantkit.market.costs import Costs

VERSION: Final = 1


class RememberedExchange(Exchange):
    """An exchange with one account, whose requests are kept in `path`.

    about: what its prices are, as JSON's own types; a file that says otherwise is refused. Options as of `Exchange`.
    """

    def __init__(
        self, source: Source, path: Path, *, account: str, cash: int, about: dict[str, Any], costs: Costs | None = None,
        seed: int = 0, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(source, costs=costs, seed=seed, **options)
        self.path, self.remembers = path, False
        self.begins = {"version": VERSION, "account": account, "cash": cash, "seed": seed, **about}
        self.open_account(account, cash, costs=costs)
        _mended(path)
        kept = read_lines(path)
        if kept:
            self._check(kept[0])
            for line in kept[1:]:
                self._again(line)
        self.remembers = True

    def _check(self, found: dict[str, Any]) -> None:
        differ = [name for name in self.begins if found.get(name) != self.begins[name]]
        if differ:
            said = ", ".join(f"{name} {found.get(name)!r}, now {self.begins[name]!r}" for name in differ)
            raise ConfigError(f"{self.path} is the memory of another emulated exchange: it began with {said}")

    def _again(self, line: dict[str, Any]) -> None:
        """Ask what was asked, when it was asked."""
        self.advance(line["time"])
        try:
            match line["what"]:
                case "submit":
                    self.submit(
                        line["account"], line["symbol"], Side(line["side"]), line["quantity"],
                        type=OrderType(line["type"]), price=line["price"], tif=TimeInForce(line["tif"]),
                        tag=line["tag"],
                    )  # fmt: skip
                case "cancel":
                    self.cancel(line["account"], line["number"], line["quantity"])
                case "replace":
                    self.replace(line["account"], line["number"], line["quantity"], line["price"])
                case other:
                    raise BadData(f"{self.path}: {other!r} is nothing that an exchange can be asked")
        except Refused:
            return  # as it was the first time

    # --- requests -------------------------------------------------------------------------------------------------

    def submit(
        self, account: str, symbol: str, side: Side, quantity: int, *, type: OrderType = OrderType.LIMIT,  # noqa: A002
        price: float | None = None, tif: TimeInForce = TimeInForce.DAY, tag: str | None = None,
    ) -> Placed:  # fmt: skip
        """Send an order now. Refused with a code."""
        self._keep("submit", account=account, symbol=symbol, side=side.value, quantity=quantity, type=type.value,
                   price=price, tif=tif.value, tag=tag)  # fmt: skip
        return super().submit(account, symbol, side, quantity, type=type, price=price, tif=tif, tag=tag)

    def cancel(self, account: str, number: str, quantity: int | None = None) -> str:
        """Cancel what is left of an order, or `quantity` of it; the number of the cancel. Refused: nothing is left."""
        self._keep("cancel", account=account, number=number, quantity=quantity)
        return super().cancel(account, number, quantity)

    def replace(self, account: str, number: str, quantity: int, price: float | None) -> Placed:
        """Replace what is left of an order; the new one. Refused with a code, and the old one stands."""
        self._keep("replace", account=account, number=number, quantity=quantity, price=price)
        return super().replace(account, number, quantity, price)

    def _keep(self, what: str, **asked: Any) -> None:
        """Write a request down before it is done."""
        if not self.remembers:
            return
        try:
            fresh = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                if fresh:
                    file.write(json.dumps(self.begins, ensure_ascii=False) + "\n")
                file.write(json.dumps({"time": self.now, "what": what, **asked}, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise RetryLater(f"{self.path}: {problem.strerror or problem}; nothing was sent") from problem


def _mended(path: Path) -> None:
    """Take a last line that was cut short off a file."""
    if path.exists():
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What a file remembers: its first line, then the requests; empty where there is none."""
    if not path.exists():
        return []
    data, found = path.read_bytes(), []
    whole = data[: data.rfind(b"\n") + 1]
    for number, text in enumerate(whole.splitlines(), start=1):
        try:
            line = json.loads(text)
            _ = line["version" if number == 1 else "time"]
        except (ValueError, KeyError, TypeError) as problem:
            raise BadData(f"{path}:{number} is no line of an emulated exchange's memory: {problem}") from problem
        found.append(line)
    return found


def last_time(path: Path) -> int:
    """When the exchange was last asked something, UTC nanoseconds; 0 where it never was."""
    kept = read_lines(path)
    return int(kept[-1]["time"]) if len(kept) > 1 else 0
