"""`quantkit doctor --broker kis`, against emulated servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit.cli.app import run
from quantkit.emulator.session import SECOND
from tests.cli.servers import environment, serving
from tests.emulator.kis.wire import CLOCK, NAME, exchange

WALK = ["doctor", "--broker", "kis", "--symbol", NAME, "--patience", "2"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    for name in ("KIS_APP_KEY", "KIS_APP_SECRET", "KIS_ACCOUNT_NO", "KIS_CONFIG", "KIS_EMULATOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_walk_ends_and_says_what_it_saw(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(exchange(), paper=True, speed=300.0, ping=0.1, calls=10**6, start=CLOCK.open + 600 * SECOND) as server:
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        code = run([*WALK, "--json"])
        said = capsys.readouterr()
        found = {each["name"]: each for each in json.loads(said.out)["checked"]}
        assert code == 0
        assert [line for line in said.err.splitlines() if "one token a minute" not in line] == []
        assert found["ORDER_CODES"]["state"] == "confirmed"
        assert found["ORDER_CODES"]["seen"] == "buy 40600000, change 40620000, cancel 40630000"
        assert found["CHANGE_NOTICE"]["state"] == found["PINGS"]["state"] == "confirmed"
        assert found["THROTTLED_ORDER"]["state"] == "not testable"
        assert run([*WALK, "--no-orders"]) == 0
        lines = capsys.readouterr().out
        assert "confirmed     ACCOUNT_ANSWERS" in lines
        assert "0 refuted" in lines.splitlines()[-1]
    for secret in (server.customers[0].appkey, server.customers[0].account[:8]):
        assert secret not in said.out + lines


def test_what_is_wrong_is_said_before_anything_is_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--broker", "ls"]) == 2
    assert "expected kis" in capsys.readouterr().err
    assert run(WALK) == 2
    assert "no keys of KIS" in capsys.readouterr().err
