"""Plans of faults: deterministic, countable, readable from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quantkit.cli import emulate
from quantkit.emulator.faults import CONCERNS, FORMS, Fault, FaultKind, FaultPlan
from quantkit.emulator.session import SECOND, session_clock
from quantkit.errors import ConfigError

OPEN = session_clock("2025-06-02").open
LOST = FaultKind.ANSWER_LOST


def hits(plan: FaultPlan, what: str, count: int, now: int = OPEN) -> list[int]:
    return [n for n in range(1, count + 1) if plan.strikes(what, now)]


def test_counts_choose_requests() -> None:
    plan = FaultPlan([Fault(LOST, on=("submit",), nth=(2, 5))])
    assert not plan.strikes("cancel", OPEN)
    assert hits(plan, "submit", 6) == [2, 5]
    assert plan.injected == {LOST: 2}


def test_the_same_seed_decides_the_same_and_another_decides_otherwise() -> None:
    fault = Fault(LOST, on=("submit",), probability=0.3, seconds=(1.0, 9.0))
    once, again, other = (FaultPlan([fault], seed=seed) for seed in (1, 1, 2))
    first = [once.strikes("submit", OPEN) for _ in range(200)]
    assert first == [again.strikes("submit", OPEN) for _ in range(200)]
    assert first != [other.strikes("submit", OPEN) for _ in range(200)]
    assert 30 <= once.injected[LOST] <= 90
    assert all(1.0 <= strike[LOST].seconds < 9.0 for strike in first if strike)


def test_one_fault_does_not_move_another() -> None:
    fault = Fault(LOST, on=("submit",), probability=0.3)
    alone, together = FaultPlan([fault]), FaultPlan([fault, Fault(FaultKind.GARBAGE, probability=0.5)])
    assert hits(alone, "submit", 100) == [n for n in range(1, 101) if LOST in together.strikes("submit", OPEN)]


def test_spans_are_times_of_day_in_seoul() -> None:
    plan = FaultPlan([Fault(FaultKind.SOCKET_DROP, on=("prices",), since="09:00", until="09:00:05")])
    assert not plan.strikes("prices", OPEN - 1)
    assert plan.strikes("prices", OPEN)
    assert plan.strikes("prices", OPEN + 4 * SECOND)
    assert not plan.strikes("prices", OPEN + 5 * SECOND)
    part = FaultPlan([Fault(LOST, since="10:00", nth=(2,))])
    assert hits(part, "submit", 3) == []
    assert hits(part, "submit", 3, OPEN + 3600 * SECOND) == [2]


def test_only_named_symbols_are_concerned() -> None:
    plan = FaultPlan([Fault(LOST, probability=1.0, symbols=("000660",))])
    assert not plan.strikes("submit", OPEN, "005930")
    assert plan.strikes("submit", OPEN, "000660")


def test_the_clock_is_off_all_the_time() -> None:
    plan = FaultPlan([Fault(FaultKind.CLOCK_SKEW, seconds=(-2.0, -2.0))])
    assert plan.skew(OPEN) == plan.skew(OPEN + SECOND) == -2 * SECOND
    assert FaultPlan().skew(OPEN) == 0


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_plan_is_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    plan = FaultPlan(
        [
            Fault(LOST, on=("submit",), probability=0.25, seconds=(1.0, 2.0)),
            Fault(FaultKind.SOCKET_STALL, since="09:00", until="09:10", nth=(1, 2), symbols=("005930",)),
            Fault(FaultKind.FRAME_GARBAGE, on=("tick",), forms=("cut", "bytes")),
        ],
        seed=7,
    )
    file = tmp_path / f"plan{suffix}"
    if suffix == ".json":
        plan.write(file)
    else:
        file.write_text(
            'seed = 7\n[[faults]]\nkind = "answer_lost"\non = ["submit"]\nprobability = 0.25\nseconds = [1.0, 2.0]\n'
            '[[faults]]\nkind = "socket_stall"\nsince = "09:00"\nuntil = "09:10"\nnth = [1, 2]\n'
            'symbols = ["005930"]\n'
            '[[faults]]\nkind = "frame_garbage"\non = ["tick"]\nforms = ["cut", "bytes"]\n'
        )
    found = FaultPlan.read(file)
    assert (found.faults, found.seed) == (plan.faults, plan.seed)


@pytest.mark.parametrize(
    "data",
    [
        {"faults": [{"kind": "earthquake"}]},
        {"faults": [{"kind": "answer_lost", "chance": 1}]},
        {"fault": []},
        {"faults": [{"kind": "list_lags", "on": ["submit"]}]},
        {"faults": [{"kind": "answer_lost", "probability": 2.0}]},
        {"faults": [{"kind": "answer_lost", "nth": [0]}]},
        {"faults": [{"kind": "answer_late", "seconds": [2.0, 1.0]}]},
        {"faults": [{"kind": "answer_late", "seconds": [-2.0, 1.0]}]},
        {"faults": [{"kind": "answer_late", "since": "9:00"}]},
        {"faults": [{"kind": "garbage", "forms": ["strange"]}]},
        {"faults": [{"kind": "answer_lost", "forms": ["cut"]}]},
    ],
)
def test_what_a_plan_cannot_hold_is_named(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FaultPlan.from_dict(data)


def test_garbage_has_any_of_its_forms() -> None:
    for kind, forms in FORMS.items():
        any_, one = (FaultPlan([Fault(kind, probability=1.0, forms=given)]) for given in ((), forms[:1]))
        what = CONCERNS[kind][0]
        assert {any_.strikes(what, OPEN)[kind].form for _ in range(100)} == set(forms)
        assert {one.strikes(what, OPEN)[kind].form for _ in range(20)} == {forms[0]}


def test_every_kind_and_form_is_in_the_page_and_every_kind_in_the_help() -> None:
    page = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
    names = [*map(str, FaultKind), *(form for forms in FORMS.values() for form in forms)]
    assert [name for name in names if f"`{name}`" not in page] == []
    told = emulate.kis.__doc__ or ""
    assert [kind for kind in FaultKind if kind not in told] == []


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        FaultPlan.read(tmp_path / "nowhere.json")
    (tmp_path / "bad.toml").write_text("seed = [")
    with pytest.raises(ConfigError, match="bad"):
        FaultPlan.read(tmp_path / "bad.toml")


def test_a_storm_has_some_of_everything() -> None:
    plan = FaultPlan.storm(3, rate=0.5)
    assert {fault.kind for fault in plan.faults} == set(FaultKind)
    for what in {name for names in CONCERNS.values() for name in names} - {"tick", "time"}:
        for _ in range(2_000):
            plan.strikes(what, OPEN)
    assert set(plan.injected) == set(FaultKind) - {FaultKind.CLOCK_SKEW}
