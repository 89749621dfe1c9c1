"""What looks for secrets finds them, wherever they come out."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from quantkit.brokers.kis import wire
from quantkit.brokers.kis.server import Account, RealKeys
from quantkit.brokers.kis.sources import find_keys
from quantkit.errors import ConfigError, Refused
from tests.planted import Watch, watched

KEY = "planted-" + "k" * 28


@pytest.fixture(autouse=True)
def no_secret_comes_out() -> None:
    """Here they do, to be found."""


def keys() -> RealKeys:
    return RealKeys(app_key=SecretStr(KEY), app_secret=SecretStr("s" * 180), account=Account("73019482"))


def test_a_log_a_message_a_file_and_its_name_are_looked_at(tmp_path: Path) -> None:
    with watched() as watch:
        keys()
        assert watch.leaks(tmp_path) == []
        logging.getLogger("httpx").debug("asked with %s", KEY)
        (tmp_path / "journal.bin").write_bytes(b"\0\1" + KEY.encode() + b"\2")
        (tmp_path / "73019482.json").write_text("{}")
        (tmp_path / "kis_devlp.yaml").write_text(KEY)  # it is there to hold keys
        for error in (ConfigError(f"bad key {KEY}"), Refused("CODE", "account 73019482-01")):
            assert str(error)
        wire.Exchange("t", "GET", "/", f"CANO={'73019482'}", 200, "", 0, 0)
    leaks = watch.leaks(tmp_path)
    assert [leak.split(":")[0] for leak in leaks] == [
        "error ConfigError", "error Refused", "file journal.bin", "log httpx", "name of 73019482.json", "wire log",
    ]  # fmt: skip
    assert not any(KEY in leak or "73019482-01" in leak for leak in leaks)


def test_what_was_printed_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    with watched() as watch:
        watch.plant(KEY)
        sys.stdout.write(f"key {KEY}")
        capsys.readouterr()
    assert watch.leaks() == ["output: key <36 characters of a secret>"]


def test_a_repr_that_tells_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "__repr__", lambda self: f"Account({self.number})")
    with watched() as watch:
        keys()
    assert [leak.split(":")[0] for leak in watch.leaks()] == ["repr of keys"]


def test_what_is_no_key_is_a_secret_all_the_same() -> None:
    said = {"KIS_APP_KEY": KEY, "KIS_APP_SECRET": "s" * 180, "KIS_ACCOUNT_NO": "7301-9482", "KIS_IS_PAPER": "true"}
    with watched() as watch:
        with pytest.raises(ConfigError, match="eight digits"):
            find_keys(said)
        assert watch.leaks() == []
        logging.getLogger("quantkit").debug("7301-9482 is no account")
    assert watch.leaks() == ["log quantkit: quantkit <9 characters of a secret> is no account"]
    assert KEY not in repr(watch)


def test_what_another_process_left_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "kis_emulator.yaml").write_text(f'KIS_APP_KEY: {KEY}\nKIS_ACCOUNT_NO: "7301948201"\n')
    (tmp_path / "kis-paper-1.json").write_text(json.dumps({"asked": 1, "token": "eyJ0eXAi.planted"}))
    (tmp_path / "log").write_text(f"asked with {KEY}")
    (tmp_path / "journal").write_text("Bearer eyJ0eXAi.planted")
    (tmp_path / "report.html").write_text("of 7301948201")
    (tmp_path / "clean").write_text("nothing")
    assert Watch().leaks(tmp_path) == ["file journal", "file log", "file report.html"]
