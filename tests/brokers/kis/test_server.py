"""Servers, accounts and keys: real and paper cannot be mixed, and nothing goes anywhere but to KIS or this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.codes import REST, STREAM, Environment, order_code, transaction
from quantkit.brokers.kis.server import Account, PaperKeys, RealKeys, Server, server_of
from quantkit.brokers.kis.sources import environment, find_keys, seal, token_folder
from quantkit.errors import ConfigError, Refused
from quantkit.trading.orders import OrderType, TimeInForce
from tests.brokers.kis.conftest import JumpClock, keys
from tests.brokers.kis.server import APP_KEY, APP_SECRET

GOOD = {"KIS_APP_KEY": APP_KEY, "KIS_APP_SECRET": APP_SECRET, "KIS_ACCOUNT_NO": "73019482-01"}


@pytest.mark.parametrize("address", [
    "https://127.0.0.1:8080", "http://127.0.0.1", "http://example.com:8080", "http://127.0.0.1.example.com:80",
    "http://127.0.0.1:8080/path", "http://user@127.0.0.1:80", "http://127.0.0.1@example.com:80", "127.0.0.1:8080", "",
    "http://10.0.0.1:80", "http://0.0.0.0:80", "http://127.0.0.1:port", REST[Environment.REAL],
])  # fmt: skip
def test_an_emulator_is_on_this_machine_or_nowhere(address: str) -> None:
    with pytest.raises(ConfigError, match="an emulator runs on this machine"):
        Server.emulated(Environment.REAL, address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:65535"])
def test_addresses_of_this_machine_are_taken(address: str) -> None:
    made = Server.emulated(Environment.PAPER, f"{address}/")
    assert (made.rest, made.stream) == (address, address.replace("http", "ws"))
    assert made.name.startswith("paper-")
    with pytest.raises(ConfigError, match="ws://127"):
        Server.emulated(Environment.PAPER, address, "ws://example.com:1")


def test_kis_has_two_servers_and_no_third_can_be_written() -> None:
    for kind, other in zip(Environment, reversed(Environment), strict=True):
        assert Server.official(kind) == Server(kind, REST[kind], STREAM[kind])
        with pytest.raises(ConfigError, match=f"not the servers of {kind}"):
            Server(kind, REST[other], STREAM[other])
        with pytest.raises(ConfigError, match="not the servers"):
            Server(kind, REST[kind], STREAM[other])


def test_keys_of_one_world_do_not_open_the_other(tmp_path: Path) -> None:
    for kind, other in zip(Environment, reversed(Environment), strict=True):
        for server in (Server.official(other), Server.emulated(other, "http://127.0.0.1:1")):
            with pytest.raises(ConfigError, match=f"keys of {kind} do not open the server of {other}"):
                KisClient(keys(kind), clock=JumpClock(), folder=tmp_path, server=server)
        assert server_of(keys(kind)) == Server.official(kind)


def test_transactions_and_order_types_are_of_one_world() -> None:
    for what in ("order_buy", "order_sell", "order_change", "orders", "balance", "buyable"):
        real, paper = (transaction(what, kind) for kind in Environment)
        assert real[1:] == paper[1:]
        assert (real[0], paper[0]) in (("T", "V"), ("C", "V"))
    with pytest.raises(Refused, match="PAPER_UNSUPPORTED: sellable"):
        transaction("sellable", Environment.PAPER)
    assert order_code(OrderType.LIMIT, TimeInForce.IOC, "SOR", Environment.REAL) == "11"
    for venue, words in (("NYSE", "VENUE"), ("NXT", "ORDER_KIND")):
        with pytest.raises(Refused, match=words):
            order_code(OrderType.CONDITIONAL, TimeInForce.DAY, venue, Environment.REAL)


@pytest.mark.parametrize(("text", "product", "found"), [
    ("73019482-01", "", "01"), ("7301948203", "", "03"), ("73019482", "", "01"), (" 73019482 ", "22", "22"),
    ("73019482-01", "01", "01"),
])  # fmt: skip
def test_accounts_have_eight_digits_and_a_product(text: str, product: str, found: str) -> None:
    assert Account.parse(text, product).fields() == {"CANO": "73019482", "ACNT_PRDT_CD": found}


@pytest.mark.parametrize(("text", "product"), [
    ("7301948", ""), ("730194820", ""), ("73019482-1", ""), ("", ""), ("7301948a-01", ""), ("73019482-01", "03"),
    ("73019482", "1"), ("７３０１９４８２", "x"),
])  # fmt: skip
def test_wrong_accounts_are_refused_and_not_repeated(text: str, product: str) -> None:
    with pytest.raises(ConfigError, match="account number") as said:
        Account.parse(text, product)
    assert not text or text not in str(said.value)


@pytest.mark.parametrize("bad", ["", " ", "with blank", "줄\n", "키키"])
def test_a_key_that_no_key_looks_like_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="app key is empty, or has blanks"):
        RealKeys(app_key=SecretStr(bad), app_secret=SecretStr("x"), account=Account("73019482"))


def test_a_key_that_was_cut_is_refused_before_kis_sees_it(tmp_path: Path) -> None:
    cut = keys(app_key=APP_KEY[:-1], source="the environment")
    with pytest.raises(ConfigError, match="the app key has 35 characters, KIS's have 36: was it cut") as said:
        KisClient(cut, clock=JumpClock(), folder=tmp_path)
    assert APP_KEY[:-1] not in str(said.value)


def test_keys_come_from_the_environment() -> None:
    paper = find_keys(GOOD)
    assert isinstance(paper, PaperKeys)
    assert (paper.source, paper.account.product) == ("the environment", "01")
    for word in ("false", "NO", "0"):
        assert isinstance(find_keys(GOOD | {"KIS_IS_PAPER": word}, wanted=Environment.REAL), RealKeys)
    with pytest.raises(ConfigError, match=r"has keys of paper \(KIS_IS_PAPER is not set\), and real was asked for"):
        find_keys(GOOD, wanted=Environment.REAL)
    with pytest.raises(ConfigError, match="KIS_IS_PAPER is neither true nor false"):
        find_keys(GOOD | {"KIS_IS_PAPER": "maybe"})
    with pytest.raises(ConfigError, match="KIS_APP_SECRET, KIS_ACCOUNT_NO are missing"):
        find_keys({"KIS_APP_KEY": APP_KEY})
    with pytest.raises(ConfigError, match="KIS_ACCOUNT_NO: account number"):
        find_keys(GOOD | {"KIS_ACCOUNT_NO": "12"})


def test_keys_come_from_the_settings_before_the_environment() -> None:
    secrets = {"app_key": SecretStr("k" * 36), "app_secret": SecretStr("s"), "account_no": SecretStr("11112222-01")}
    found = find_keys(GOOD, secrets=secrets, wanted=Environment.REAL)
    assert isinstance(found, RealKeys)
    assert found.app_key.get_secret_value() == "k" * 36
    assert isinstance(find_keys(GOOD, secrets=secrets), PaperKeys)
    with pytest.raises(ConfigError, match="'app_id' is not known"):
        find_keys({}, secrets=secrets | {"app_id": SecretStr("x")})


def written(folder: Path, text: str) -> dict[str, str]:
    path = folder / "kis_devlp.yaml"
    path.write_text(text, encoding="utf-8")
    return {"KIS_CONFIG": str(path)}


def test_keys_come_from_the_file_with_their_zeros(tmp_path: Path) -> None:
    told = written(tmp_path, f"# 설정\nKIS_APP_KEY: {APP_KEY}\nKIS_APP_SECRET: '{APP_SECRET}'\n"
                             "KIS_ACCOUNT_NO: 0123456701\nKIS_IS_PAPER: false\nKIS_HTS_ID: 007\n")  # fmt: skip
    found = find_keys(told)
    assert isinstance(found, RealKeys)
    assert found.account.fields() == {"CANO": "01234567", "ACNT_PRDT_CD": "01"}
    assert found.hts_id is not None
    assert found.hts_id.get_secret_value() == "007"
    assert find_keys({}, folder=tmp_path).app_key == found.app_key


SAMPLE = f"""
my_app: "{APP_KEY}"
my_sec: "{APP_SECRET}"
paper_app: "X{APP_KEY[1:]}"
paper_sec: "{APP_SECRET}"
my_htsid: "user"
my_acct_stock: "01234567"
my_acct_future: "선물옵션 계좌 8자리"
my_paper_stock: "50001234"
my_prod: "01"
prod: "https://example.com:9443"
"""


def test_the_samples_of_kis_keep_both_pairs_in_one_file(tmp_path: Path) -> None:
    told = written(tmp_path, SAMPLE)
    real, paper = find_keys(told, wanted=Environment.REAL), find_keys(told)
    assert (real.account.number, paper.account.number) == ("01234567", "50001234")
    assert isinstance(paper, PaperKeys)
    assert paper.app_key.get_secret_value().startswith("X")
    only = written(tmp_path, SAMPLE.replace(f'"X{APP_KEY[1:]}"', '"모의투자 앱키"'))
    assert isinstance(find_keys(only), RealKeys)
    with pytest.raises(ConfigError, match=r"has no keys of paper \(paper_app\), only of real"):
        find_keys(only, wanted=Environment.PAPER)


@pytest.mark.parametrize(("text", "words"), [
    ("- a\n- b\n", "expected lines such as KIS_APP_KEY"), ("", "found nothing"), ("a: [", "is no YAML in line"),
    ("x: 1\n", "has no keys: fill in KIS_APP_KEY"), (f"KIS_APP_KEY = {APP_KEY}", "found one text"),
])  # fmt: skip
def test_a_file_that_is_no_such_file_says_so(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as said:
        find_keys(written(tmp_path, text))
    assert APP_KEY not in str(said.value)


def test_sealed_keys_open_with_the_vault_key_alone(tmp_path: Path) -> None:
    told, vault = written(tmp_path, SAMPLE), {"QUANTKIT_VAULT_KEY": "5a" * 32}
    place = tmp_path / "kis_devlp.sealed"
    with pytest.raises(ConfigError, match="QUANTKIT_VAULT_KEY is not set"):
        seal(Path(told["KIS_CONFIG"]), place, {})
    seal(Path(told["KIS_CONFIG"]), place, vault)
    assert place.stat().st_mode & 0o777 == 0o600
    assert not [word for word in (APP_KEY, APP_SECRET, "01234567") if word in place.read_text()]
    Path(told["KIS_CONFIG"]).unlink()
    for found in (find_keys(vault, folder=tmp_path), find_keys(vault, file=str(place))):  # as the yaml would say
        assert found == find_keys(written(tmp_path, SAMPLE))
    for wrong, words in (({}, "is sealed and QUANTKIT_VAULT_KEY is not set"),
                         ({"QUANTKIT_VAULT_KEY": "6b" * 32}, "does not open with this")):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            find_keys(wrong, file=str(place))
    place.write_text("[]")
    with pytest.raises(ConfigError, match="make it anew with `quantkit kis seal`"):
        find_keys(vault, file=str(place))
    with pytest.raises(ConfigError, match=r"options.keys=nowhere.*no such file"):
        find_keys(GOOD, file="nowhere")
    empty = tmp_path / "empty.yaml"
    empty.write_text("x: 1\n")
    with pytest.raises(ConfigError, match="has no keys: fill in"):
        seal(empty, tmp_path / "other.sealed", vault)
    assert not (tmp_path / "other.sealed").exists()


def test_keys_of_an_emulator_open_nothing_else(tmp_path: Path) -> None:
    made = find_keys(GOOD | {"KIS_EMULATOR": "http://127.0.0.1:1", "KIS_EMULATOR_STREAM": "ws://127.0.0.1:2"})
    assert server_of(made) == Server.emulated(Environment.PAPER, "http://127.0.0.1:1", "ws://127.0.0.1:2")
    with pytest.raises(ConfigError, match="do not open KIS"):
        KisClient(made, clock=JumpClock(), folder=tmp_path, server=Server.official(Environment.PAPER))
    with pytest.raises(ConfigError, match="an emulator runs on this machine"):
        server_of(find_keys(GOOD | {"KIS_EMULATOR": "http://example.com:1"}))


def test_no_keys_at_all_says_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with pytest.raises(ConfigError, match="no keys of KIS: set KIS_APP_KEY"):
        find_keys({}, folder=tmp_path)
    with pytest.raises(ConfigError, match="KIS_CONFIG=nowhere"):
        find_keys({"KIS_CONFIG": "nowhere"})


def test_dotenv_stands_behind_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("KIS_APP_KEY=from-file\nKIS_ACCOUNT_NO=01234567-01\nOTHER=1\n", encoding="utf-8")
    monkeypatch.setenv("KIS_APP_KEY", "from-environment")
    monkeypatch.delenv("OTHER", raising=False)
    monkeypatch.delenv("KIS_ACCOUNT_NO", raising=False)
    found = environment(tmp_path)
    assert (found["KIS_APP_KEY"], found["KIS_ACCOUNT_NO"], "OTHER" in found) == (
        "from-environment",
        "01234567-01",
        False,
    )


def test_tokens_lie_in_the_users_cache() -> None:
    assert token_folder({"QUANTKIT_CACHE": "somewhere"}) == Path("somewhere/tokens")
    assert token_folder({"XDG_CACHE_HOME": "cache"}) == Path("cache/quantkit/tokens")
