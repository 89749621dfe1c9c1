"""`quantkit emulate kis`: a server of its own process, and the file of keys that makes it yours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.server import Server
from quantkit.cli.app import run
from quantkit.emulator.faults import FaultKind
from quantkit.errors import ConfigError
from quantkit.kis import time_of

SERVE = [sys.executable, "-m", "quantkit", "emulate", "kis", "--port", "0", "--stream-port", "0", "--random", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings or keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("KIS_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def served(here: Path) -> Iterator[list[str]]:
    """The real profile for two accounts, in a process; the lines it says first."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [*SERVE, "--names", "2", "--real", "--accounts", "2", "--from", "10:00"], cwd=here, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield [process.stdout.readline() for _ in range(3)]
    finally:
        process.terminate()
        (here / "said").write_text("".join(process.communicate(timeout=20)), encoding="utf-8")  # looked at for keys
        assert process.returncode == 0


def test_what_it_says_to_ask_can_be_asked(
    here: Path, served: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "KIS real, emulated: http://127.0.0.1:" in served[0]
    setting, command = served[2].removeprefix("ask it: ").strip().split(" quantkit ")
    assert (here / "kis_emulator.yaml").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv(*setting.split("="))
    assert run([*command.split(), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["blocks"]["output"][0]["price"] > 0
    with pytest.raises(ConfigError, match="is one of real, and keys of paper were given"):
        time_of(Server.emulated(Environment.PAPER, served[0].split()[3]))
    assert run(["kis", "call", "inquire_account_balance", "INQR_DVSN_1=", "BSPR_BF_DT_APLY_YN="]) == 0
    monkeypatch.setenv("QUANTKIT_VAULT_KEY", "5a" * 32)  # the same keys, sealed
    capsys.readouterr()
    assert run(["kis", "seal", "kis_emulator.yaml", "--to", "first.sealed"]) == 0
    monkeypatch.setenv("KIS_CONFIG", "first.sealed")
    assert run([*command.split(), "--json"]) == 0


@pytest.mark.parametrize(("given", "words"), [
    (["--random", "1", "--sessions", "0"], "at least one"), (["--random", "1", "--accounts", "0"], "at least one"),
    (["--random", "1", "--date", "1999-01-04"], "there is no bar of that day"),
    (["--random", "1", "--from", "25:00"], "a time of day"),
    (["--random", "1", "--from", "05:59"], "day begins at 06:00, and the last one ends at 16:30"),
    (["--random", "1", "--from", "16:30"], "ends at 16:30"), (["--faults", "none.json"], "none.json"),
    (["--random", "1", "--port", "70000"], "--port 70000"),
    (["--lake", "nowhere"], "no lake at nowhere: fill one with `quantkit data ingest`, or make"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], given: list[str], words: str
) -> None:
    assert here.is_dir()
    assert run(["emulate", "kis", *given]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_the_help_names_every_kind_of_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emulate", "kis", "--help"]) == 0
    said = capsys.readouterr().out.split()
    assert [kind for kind in FaultKind if f"{kind}" not in {word.strip(";.") for word in said}] == []
