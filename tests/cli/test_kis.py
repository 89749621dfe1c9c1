"""`quantkit kis` end to end: the catalogue, and calls over a socket of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantkit.cli.app import run
from tests.brokers.kis.server import ACCOUNT, APP_KEY, APP_SECRET, Kis, Reply, done, refused, serving
from tests.cli.servers import beside

PRICE = ("GET", "/uapi/domestic-stock/v1/quotations/inquire-price", "FHKST01010100")


@pytest.fixture
def kis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kis]:
    """A server in a thread of its own, a folder without settings, and keys in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    for name, value in (("APP_KEY", APP_KEY), ("APP_SECRET", APP_SECRET), ("ACCOUNT_NO", f"{ACCOUNT}-01")):
        monkeypatch.setenv(f"KIS_{name}", value)
    monkeypatch.delenv("KIS_IS_PAPER", raising=False)
    monkeypatch.delenv("QUANTKIT_VAULT_KEY", raising=False)
    with beside(serving(Kis())) as state:
        yield state


def test_the_catalogue_is_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kis", "ls", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["calls"]) == 338
    assert run(["kis", "ls", "잔고", "--category", "bond"]) == 0
    assert "bond_inquire_balance" in capsys.readouterr().out
    assert run(["kis", "ls", "zzz"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "no call has 'zzz' in its names; `quantkit kis ls` lists all\n")
    assert run(["kis", "show", "주식현재가 시세"]) == 0
    shown = capsys.readouterr().out
    assert "real: FHKST01010100" in shown
    assert "주식 현재가" in shown
    assert run(["kis", "show", "inquire_daily_ccld", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["paper"] == {"within3m": "VTTC0081R", "older": "VTSC9215R"}
    for name, words in (("order_cash", "leave only through the broker"), ("ccnl_krx", "It is a stream")):
        assert run(["kis", "show", name]) == 0
        assert words in capsys.readouterr().out


def test_a_call_is_asked_and_shown(kis: Kis, capsys: pytest.CaptureFixture[str]) -> None:
    kis.at(*PRICE, Reply(done(output={"stck_prpr": "000070000", "prdy_ctrt": "-0.70", "stck_shrn_iscd": "005930"})))
    arguments = ["kis", "call", "inquire_price", "market=J", "FID_INPUT_ISCD=005930", "--emulator", kis.base]
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["blocks"]["output"] == [{"price": 70000, "change_rate": -0.7, "symbol": "005930"}]
    assert run(arguments) == 0
    assert "현재가" in capsys.readouterr().out
    assert len(kis.tokens) == 1


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["inquire_prise"], 2, "near it: inquire_price"),
    (["inquire_price"], 2, "missing FID_COND_MRKT_DIV_CODE"),
    (["inquire_price", "J"], 2, "expected field=value"),
    (["inquire_price", "market=J", "market=J"], 2, "given twice"),
    (["inquire_price", "market=J", "symbol=005930", "foo=1"], 2, "no field 'foo'"),
    (["inquire_price", "market=J", "symbol=005930"], 1, "MCA05918: 종목코드 오류"),
    (["order_cash", "PDNO=005930"], 1, "ORDER_BY_CALL"),
    (["ccnl_krx"], 2, "is a stream"),
    (["bond_inquire_price", "market=B", "symbol=KR1"], 1, "PAPER_UNSUPPORTED"),
    (["inquire_daily_ccld", "PDNO="], 2, "variant=None"),
])  # fmt: skip
def test_what_is_wrong_is_one_line_and_a_code(
    kis: Kis, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    kis.at(*PRICE, Reply(refused("MCA05918", "종목코드 오류")))
    assert run(["kis", "call", *arguments, "--emulator", kis.base]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert ACCOUNT not in said.err + said.out


def test_an_account_of_the_settings_has_keys_and_options(
    kis: Kis, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KIS_APP_KEY")
    kis.at(*PRICE, Reply(done(output={"stck_prpr": "1"})))
    settings = tmp_path / "quantkit.toml"
    settings.write_text(f"""
[accounts.first]
broker = "kis"
options = {{ environment = "real", emulator = "{kis.base}" }}
secrets = {{ app_key = "{APP_KEY}", app_secret = "{APP_SECRET}", account_no = "{ACCOUNT}-01" }}
[accounts.second]
broker = "paper"
[accounts.third]
broker = "kis"
options = {{ enviroment = "real" }}
""")
    arguments = ["kis", "call", "inquire_price", "market=J", "symbol=005930", "--account"]
    assert run([*arguments, "first"]) == 0
    assert kis.asked_for(PRICE[2])[0].headers["appkey"] == APP_KEY
    assert [path.name[:9] for path in (tmp_path / "cache" / "tokens").glob("*.json")] == ["kis-real-"]
    capsys.readouterr()
    for name, words in (("second", "expected kis"), ("third", "options.enviroment is not known"), ("no", "no account")):
        assert run([*arguments, name]) == 2
        assert words in capsys.readouterr().err


def test_without_keys_it_says_where_they_belong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("KIS_APP_KEY", raising=False)
    assert run(["kis", "call", "inquire_price", "market=J", "symbol=005930"]) == 2
    assert "KIS_APP_KEY" in capsys.readouterr().err
