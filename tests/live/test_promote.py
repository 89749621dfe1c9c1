"""Promotion: what is pinned, what is measured, what is refused, and that nothing of it can be rewritten."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quantkit as qk
from quantkit import Bars, Costs, Policy
from quantkit.core.policy import RiskLimits
from quantkit.errors import BadData, ConfigError, Refused
from quantkit.live import promote as promoting
from quantkit.live.promote import Promotion, PromotionStore, SessionRecord, pins_of, require_promotion, standing_of
from quantkit.live.promotion.evidence import adv_shares, check_gates
from quantkit.live.promotion.gates import live_gates, paper_gates
from quantkit.research import runs
from quantkit.strategy import load_strategy
from quantkit.trading.events import Kind
from tests.backtest.factories import random_bars

RULE = '''
"""A rule to promote."""
import numpy as np
from quantkit import Bars, Policy, Strategy, param, ta
from helper import SHARE


class Switch(Strategy):
    """Hold what rose over some bars."""

    span: int = param(3, low=2, high=50)
    policy = Policy(weighting="equal")

    @property
    def warmup(self) -> int:
        return self.span

    def targets(self, bars: Bars):
        before = np.vstack([np.full((self.span, bars.shape[1]), np.inf), bars.close[: -self.span]])[: len(bars)]
        return bars.close > before * SHARE
'''
NOW = 1_700_000_000_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("SHARE = 1.0\n", encoding="utf-8")
    path = tmp_path / "switch.py"
    path.write_text(RULE, encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> PromotionStore:
    return PromotionStore(tmp_path / "deep" / "promotions.sqlite")


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Two years of three names that trade a lot."""
    given = random_bars(400, 3)
    fields = {name: getattr(given.raw, name) for name in ("open", "high", "low", "close")}
    return Bars(times=given.times, symbols=given.symbols, fields={**fields, "volume": np.full(given.shape, 1e6)},
                names=given.names, freq="1d")  # fmt: skip


def made(file: Path, **params: Any) -> Any:
    return load_strategy(file)(**params)


def replayed(strategy: Any, bars: Bars, **settings: Any) -> Any:
    """A replay that goes as the backtest did."""
    return qk.backtest(strategy, bars, **settings)


SETTINGS: dict[str, Any] = {"cash": 10_000_000, "costs": Costs.kis()}


def attempt(
    strategy: Any, bars: Bars, store: PromotionStore, *, to: str = "paper", override: str = "", **given: Any
) -> Promotion:
    settings = SETTINGS | given.pop("settings", {})
    return promoting.promote(
        strategy, bars, to=to, store=store, time=NOW, by="tester", settings=settings, override=override,
        **({"replay": replayed} | given),
    )  # fmt: skip


def granted(strategy: Any, store: PromotionStore, bars: Bars, after: str = "paper") -> Promotion:
    """A promotion written down without measuring anything, as if all gates had been passed."""
    one = Promotion(time=NOW, pins=pins_of(strategy), before="research", after=after, granted=True, gates=(),
                    data=promoting.data_of(bars), by="tester")  # fmt: skip
    return replace(one, id=store.add(one))


def passed(promotion: Promotion) -> dict[str, bool]:
    return {gate.name: gate.passed for gate in promotion.gates}


# --- research to paper ------------------------------------------------------------------------------------------------


def test_every_gate_but_the_walk_forward_is_passed_by_an_honest_rule(
    file: Path, store: PromotionStore, bars: Bars
) -> None:
    found = attempt(made(file), bars, store)
    assert passed(found) == {"fill": True, "short": True, "no_look_ahead": True, "warmup": True, "replay": True,
                             "out_of_sample": False, "trades": True, "costs": True, "capacity": True}  # fmt: skip
    assert not found.granted
    assert all(gate.advice for gate in found.shut)
    assert not any(gate.advice for gate in found.gates if gate.passed)
    with pytest.raises(Refused, match="never promoted"):
        require_promotion(made(file), "paper", store=store)


def test_a_walk_forward_of_this_very_code_opens_the_last_gate(
    file: Path, store: PromotionStore, bars: Bars, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: runs.log_to(None))
    runs.log_to(tmp_path / "log")
    qk.walk_forward(load_strategy(file), bars, train="1Y", test="3M", span=[3, 5], cash=10_000_000)
    told: list[Promotion] = []
    found = attempt(made(file), bars, store, tell=told.append)
    assert found.granted, [gate.to_dict() for gate in found.shut]
    assert told == [found]
    assert require_promotion(made(file), "paper", store=store).promotion == found
    (tmp_path / "helper.py").write_text("SHARE = 1.01\n", encoding="utf-8")
    gate = next(gate for gate in attempt(made(file), bars, store).gates if gate.name == "out_of_sample")
    assert (gate.passed, gate.figure) == (False, "none of this code, 1 of others")


def test_an_override_opens_gates_and_its_reason_is_kept(file: Path, store: PromotionStore, bars: Bars) -> None:
    found = attempt(made(file), bars, store, override="  a trial of the machinery ")
    assert found.granted
    assert found.override == "a trial of the machinery"
    assert store.get(found.id) == found
    entry = promoting.entry_of(found)
    assert (entry.kind, entry.payload["reason"]) == (Kind.COMMAND_RECEIVED, "a trial of the machinery")
    assert entry.payload["arguments"]["shut"] == ["out_of_sample"]
    with pytest.raises(ConfigError, match="reason"):
        attempt(made(file), bars, store, override=" ")


def test_a_rule_that_looks_ahead_is_refused_and_says_where(tmp_path: Path, store: PromotionStore, bars: Bars) -> None:
    path = tmp_path / "tomorrow.py"
    path.write_text("import numpy as np\nfrom quantkit import Strategy\n\n\nclass Tomorrow(Strategy):\n"
                    "    def targets(self, bars):\n        return np.roll(bars.close, -1, axis=0) > bars.close\n",
                    encoding="utf-8")  # fmt: skip
    found = attempt(made(path), bars, store)
    gate = next(gate for gate in found.gates if gate.name == "no_look_ahead")
    assert not gate.passed
    assert "lookahead in targets" in gate.advice


def test_what_cannot_be_sent_or_was_not_checked_no_override_opens(
    file: Path, store: PromotionStore, bars: Bars
) -> None:
    for settings in ({"fill": "close"}, {"short": "simulate"}):
        found = attempt(made(file), bars, store, override="please", settings=settings)
        assert not found.granted
        assert [gate.final for gate in found.shut] == [True]
    able = attempt(made(file), bars, store, override="the broker lends", settings={"short": "simulate"}, shorts=True)
    assert able.granted
    few = attempt(made(file), bars.slice(0, 5), store, override="please")
    assert not few.granted
    assert [gate.name for gate in few.shut if gate.final] == ["no_look_ahead"]


def test_a_replay_that_differs_shuts_its_gate_and_names_the_first_cause(
    file: Path, store: PromotionStore, bars: Bars
) -> None:
    def dearer(strategy: Any, bars: Bars, **settings: Any) -> Any:
        return qk.backtest(strategy, bars, **(settings | {"costs": Costs.kiwoom()}))

    gate = next(gate for gate in attempt(made(file), bars, store, replay=dearer).gates if gate.name == "replay")
    assert not gate.passed
    assert "first cause: cost" in gate.advice
    none = next(gate for gate in attempt(made(file), bars, store, replay=None).gates if gate.name == "replay")
    assert none.figure == "not replayed"


def test_a_run_without_costs_trades_or_volume_says_what_is_missing(
    file: Path, store: PromotionStore, bars: Bars
) -> None:
    free = passed(attempt(made(file), bars, store, settings={"costs": Costs.free()}))
    assert not free["costs"]
    rich = passed(attempt(made(file), bars, store, settings={"cash": 10_000_000_000_000}))
    assert not rich["capacity"]
    short = passed(attempt(made(file), bars.slice(0, 40), store))
    assert not short["trades"]


def test_a_rule_that_declares_too_little_history_fails_its_gate(file: Path, bars: Bars) -> None:
    class Short(load_strategy(file)):  # type: ignore[misc]
        warmup = 0

        def targets(self, bars: Bars) -> np.ndarray:
            return bars.close > np.cumsum(bars.close, axis=0) / np.arange(1, len(bars) + 1)[:, None]

    gates = {gate.name: gate for gate in check_gates(Short(), bars)}
    assert not gates["warmup"].passed
    assert gates["no_look_ahead"].passed


def test_the_part_of_the_daily_volume_is_that_of_the_twenty_sessions_before(bars: Bars) -> None:
    targets = np.zeros(bars.shape, bool)
    targets[30:, 0] = True
    result = qk.backtest(targets=targets, bars=bars, cash=10_000_000)
    (part,) = adv_shares(result)
    assert part == pytest.approx(result.fills["quantity"].iloc[0] / 1e6)


# --- what a promotion holds for ---------------------------------------------------------------------------------------


def test_what_is_changed_is_not_promoted_and_the_answer_says_what(
    file: Path, store: PromotionStore, bars: Bars, tmp_path: Path
) -> None:
    granted(made(file), store, bars)
    assert standing_of(pins_of(made(file)), store).state == "paper"
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("params.span: 4, promoted with 3", {"span": 4}, {}),
        ("policy.stop_loss: 0.05, promoted with None", {}, {"policy": Policy(weighting="equal", stop_loss=0.05)}),
        ("limits", {}, {"limits": RiskLimits(max_weight=0.5)}),
        ("universe.symbols", {}, {"symbols": ["005930"]}),
        ("fill: 'next_close'", {}, {"fill": "next_close"}),
        ("freq: '1h'", {}, {"freq": "1h"}),
    ]
    for words, params, given in cases:
        with pytest.raises(Refused, match="not what was promoted") as refused:
            require_promotion(made(file, **params), "paper", store=store, **given)
        assert refused.value.code == "NOT_PROMOTED"
        assert words in str(refused.value)
    (tmp_path / "helper.py").write_text("SHARE = 1.02\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"helper\.py changed"):
        require_promotion(made(file), "paper", store=store)
    (tmp_path / "helper.py").write_text("SHARE = 1.0\n", encoding="utf-8")
    file.write_text(RULE + "\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"switch\.py changed"):
        require_promotion(made(file), "paper", store=store)


def test_another_version_of_a_package_is_another_promotion(
    file: Path, store: PromotionStore, bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = granted(made(file), store, bars)
    monkeypatch.setattr(promoting, "package_versions", lambda: {**before.pins.packages, "numpy": "99"})
    assert pins_of(made(file)).digest == before.pins.digest
    with pytest.raises(Refused, match=r"packages\.numpy: '99'"):
        require_promotion(made(file), "paper", store=store)


def test_new_bars_do_not_revoke_and_a_restated_past_raises_an_alarm(
    file: Path, store: PromotionStore, bars: Bars
) -> None:
    granted(made(file), store, bars.slice(0, 300))
    assert require_promotion(made(file), "paper", store=store, bars=bars).alarms == ()
    fields = {name: getattr(bars.raw, name).copy() for name in ("open", "high", "low", "close", "volume")}
    fields["close"][100, 1] += 1
    restated = Bars(times=bars.times, symbols=bars.symbols, fields=fields, names=bars.names, freq="1d")
    found = require_promotion(made(file), "paper", store=store, bars=restated)
    assert found.state == "paper"
    assert found.alarms[0].startswith("RESTATED: prices from")
    fewer = require_promotion(made(file), "paper", store=store, bars=bars.select(bars.symbols[:2]))
    assert "1 names of the evidence are gone" in fewer.alarms[0]


def test_paper_does_not_allow_live_and_live_needs_paper_first(file: Path, store: PromotionStore, bars: Bars) -> None:
    with pytest.raises(Refused, match="never promoted"):
        attempt(made(file), bars, store, to="live")
    granted(made(file), store, bars)
    with pytest.raises(Refused, match="it is promoted to paper"):
        require_promotion(made(file), "live", store=store)
    with pytest.raises(ConfigError, match="choose paper or live"):
        attempt(made(file), bars, store, to="moon")
    with pytest.raises(ConfigError, match="choose paper or live"):
        require_promotion(made(file), "moon", store=store)


def test_what_has_no_file_cannot_be_promoted() -> None:
    class Typed(qk.Strategy):
        def targets(self, bars: Bars) -> np.ndarray:
            return bars.close > 0

    Typed.__module__ = "nowhere"
    with pytest.raises(ConfigError, match="has no file"):
        pins_of(Typed())


# --- paper to live ----------------------------------------------------------------------------------------------------


def session(day: int, mode: str = "paper", **changes: Any) -> SessionRecord:
    usual: dict[str, Any] = {
        "date": f"2026-10-{day:02d}", "mode": mode, "alike": 4, "decisions": 4, "bars": 1000, "mismatched": 1,
        "denials": {"STALE_QUOTE": 1}, "slippage_bps": (3.0, 5.0), "model_bps": (4.0, 8.0), "ordered": 100,
        "filled": 95, "model_filled": 97, "restarts": 1,
    }  # fmt: skip
    return SessionRecord(**(usual | changes))


def shut(gates: Any) -> list[str]:
    return [gate.name for gate in gates if not gate.passed]


def test_ten_good_sessions_open_live_with_a_twentieth_of_the_capital_and_ten_more_all_of_it(
    file: Path, store: PromotionStore, bars: Bars
) -> None:
    strategy = made(file)
    pins = granted(strategy, store, bars).pins
    assert shut(attempt(strategy, bars, store, to="live").gates)[-5:] == [
        "sessions", "decisions", "unresolved", "data", "denials"]  # fmt: skip
    told = {"paper": [session(day) for day in range(1, 11)], "live": [session(day, "live") for day in range(11, 21)]}

    def sessions(digest: str, mode: str) -> list[SessionRecord]:
        assert digest == pins.digest
        return told[mode]

    capped = attempt(strategy, bars, store, to="live", override="its lake keeps no run log", sessions=sessions)
    assert shut(capped.gates) == ["out_of_sample"]
    assert (capped.granted, capped.after, capped.capital) == (True, "live_capped", 0.05)
    assert require_promotion(strategy, "live", store=store).state == "live_capped"
    whole = attempt(strategy, bars, store, to="live", override="its lake keeps no run log", sessions=sessions)
    assert (whole.before, whole.after, whole.capital, shut(whole.gates)) == (
        "live_capped", "live", 1.0, ["out_of_sample"])  # fmt: skip


def test_each_fault_on_paper_shuts_its_own_gate() -> None:
    good = [session(day) for day in range(1, 11)]
    assert shut(paper_gates(good)) == []
    assert shut(paper_gates(good[:9])) == ["sessions"]
    cases = {"decisions": {"alike": 3}, "unresolved": {"unresolved": 1}, "data": {"mismatched": 60},
             "denials": {"unexplained": 1}}  # fmt: skip
    for name, fault in cases.items():
        bad = [*good[:-1], session(10, **fault)]
        assert shut(paper_gates(bad)) == [name]
    assert "2026-10-10" in next(g for g in paper_gates([*good[:-1], session(10, alike=3)]) if not g.passed).advice
    mended = [session(1, alike=0), *(session(day) for day in range(2, 12))]
    assert shut(paper_gates(mended)) == []  # what was wrong before the last ten does not stand for ever


def test_each_fault_with_little_money_shuts_its_own_gate() -> None:
    good = [session(day, "live") for day in range(1, 11)]
    assert shut(live_gates(good)) == []
    assert shut(live_gates([])) == ["sessions", "slippage", "fill_ratio", "adoptions", "restart"]
    cases = {"slippage": {"slippage_bps": (50.0,) * 40}, "fill_ratio": {"filled": 0, "ordered": 900},
             "adoptions": {"adoptions": 1}}  # fmt: skip
    for name, fault in cases.items():
        assert shut(live_gates([*good[:-1], session(10, "live", **fault)])) == [name]
    assert shut(live_gates([session(day, "live", restarts=0) for day in range(1, 11)])) == ["restart"]


# --- the store --------------------------------------------------------------------------------------------------------


def test_the_file_itself_refuses_to_change_or_forget(file: Path, store: PromotionStore, bars: Bars) -> None:
    granted(made(file), store, bars)
    with sqlite3.connect(store.place) as database:
        for statement in ("UPDATE promotions SET granted = 0", "DELETE FROM promotions"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                database.execute(statement)
    database.close()
    assert len(store.promotions()) == 1


def test_a_store_that_is_not_there_is_empty_and_one_that_is_none_is_an_error(tmp_path: Path) -> None:
    assert PromotionStore(tmp_path / "none.sqlite").promotions() == []
    assert not (tmp_path / "none.sqlite").exists()
    with pytest.raises(BadData, match="no promotion 7"):
        PromotionStore(tmp_path / "none.sqlite").get(7)
    (tmp_path / "text.sqlite").write_text("no database, only words in a file that is long enough", encoding="utf-8")
    with pytest.raises(BadData, match="cannot be read"):
        PromotionStore(tmp_path / "text.sqlite").promotions()
    empty = tmp_path / "empty.sqlite"
    sqlite3.connect(empty).close()
    assert PromotionStore(empty).promotions() == []
