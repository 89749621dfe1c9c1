"""A folder in which `quantkit paper` and `quantkit live` can run: settings, a strategy, bars, a promotion."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from quantkit.cli.app import run
from quantkit.live.promote import Promotion, PromotionStore, pins_of
from quantkit.settings import load
from quantkit.strategy import load_strategy

SYMBOLS = "000010,000020"
SETTINGS = """
[accounts.first]
broker = "paper"
cash = 1_000_000

[accounts.second]
broker = "emulator"
cash = 20_000_000
armed = true
limits = { max_weight = 0.6 }
"""
STRATEGY = '''
"""Always half and half."""

import numpy as np
import quantkit as qk


class Both(qk.Strategy):
    """Holds every name; swap=True: one of them, in turn."""

    swap: bool = qk.param(False)
    policy = qk.Policy(weighting="equal", funding="cash")

    def targets(self, bars):
        wanted = np.ones(bars.shape, bool)
        if self.swap:
            wanted[:, 0] = np.arange(len(bars)) % 2 == 0
            wanted[:, 1] = ~wanted[:, 0]
        return wanted
'''


def lay_out(folder: Path) -> None:
    """Write settings and strategy into a folder."""
    (folder / "quantkit.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "both.py").write_text(STRATEGY, encoding="utf-8")


def events(arguments: list[str]) -> list[dict[str, Any]]:
    """What a run with --json tells, an event a line; the last but one is how the account stands at its end."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run([*arguments, "--json"]) == 0
    found: list[dict[str, Any]] = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [each["event"] for each in found[-2:]] == ["status", "end"]
    assert found[-1]["down"] == {}
    return found


def kis_account(folder: Path, rest: str, stream: str, *, real: bool, cash: int, max_weight: float) -> None:
    """Write settings of an account at an emulated KIS, armed where that one speaks as the real one."""
    (folder / "quantkit.toml").write_text(
        f"""
[accounts.first]
broker = "kis"
cash = {cash}
options = {{ environment = "{"real" if real else "paper"}", emulator = "{rest}", stream = "{stream}", rate = 500 }}
limits = {{ max_weight = {max_weight} }}
armed = {str(real).lower()}
""",
        encoding="utf-8",
    )


def promoted(
    to: str, *, account: str = "first", symbols: str | None = SYMBOLS, store: str = "data/promotions.sqlite",
    freq: str = "1d", **params: bool,
) -> None:  # fmt: skip
    """Write a promotion of both.py, as `quantkit promote --override` would."""
    strategy = load_strategy("both.py")(**params)
    pins = pins_of(strategy, limits=load().account(account).risk_limits, freq=freq,
                   symbols=None if symbols is None else symbols.split(","))  # fmt: skip
    Path(store).parent.mkdir(parents=True, exist_ok=True)
    data = {"source": None, "version": None, "symbols": [], "first": "2025-01-02", "last": "2025-01-02", "bars": 0}
    before = {"paper": "research", "live_capped": "paper", "live": "live_capped"}[to]
    PromotionStore(store).add(
        Promotion(
            time=1, pins=pins, before=before, after=to, granted=True, gates=(), data={**data, "sha256": ""}, by="test",
            override="a test", capital=0.05 if to == "live_capped" else 1.0,
        )
    )  # fmt: skip
