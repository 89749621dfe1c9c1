"""Settings from the file, the environment and `.env`; secrets stay unseen; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantkit import settings
from quantkit.core.policy import RiskLimits
from quantkit.errors import ConfigError

PASSWORD = "hunter2-of-the-journal"
FILE = f"""
lake = "my/lake"

[accounts.first]
cash = 5_000_000
journal = "postgresql://me:{PASSWORD}@localhost/quantkit"
limits = {{ max_weight = 0.2, max_names = 5 }}

[accounts.second]
broker = "emulator"

[alerts]
urls = ["tgram://token-{PASSWORD}/1"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUANTKIT_CONFIG", raising=False)
    return tmp_path


def test_without_a_file_there_are_defaults(folder: Path) -> None:
    found = settings.load()
    assert found.accounts == {}
    assert found.account("any") == settings.Account()
    assert found.account("any").armed is False
    assert found.journal_of("any") == str(Path("data/journals/any.sqlite"))


def test_the_file_is_read(folder: Path) -> None:
    (folder / "quantkit.toml").write_text(FILE)
    found = settings.load()
    assert found.lake == Path("my/lake")
    assert found.account("first").cash == 5_000_000
    assert found.account("first").risk_limits == RiskLimits(max_weight=0.2, max_names=5)
    assert found.account("second").risk_limits is None
    assert found.journal_of("first").startswith("postgresql://me:")
    assert found.journal_of("second") == str(Path("data/journals/second.sqlite"))


def test_the_environment_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "quantkit.toml").write_text(FILE)
    (folder / ".env").write_text("QUANTKIT_ACCOUNTS__FIRST__CASH=6000000\nQUANTKIT_LAKE=from/dotenv\nOTHER=1\n")
    monkeypatch.setenv("QUANTKIT_ACCOUNTS__FIRST__CASH", "7000000")
    found = settings.load()
    assert found.account("first").cash == 7_000_000
    assert found.lake == Path("from/dotenv")


def test_no_secret_is_shown(folder: Path) -> None:
    (folder / "quantkit.toml").write_text(FILE)
    found = settings.load()
    assert PASSWORD not in repr(found)
    assert PASSWORD not in str(found.model_dump())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[accounts.first]\ncash = -1\n", "accounts.first.cash"),
        ("[accounts.first]\ncsah = 1\n", "accounts.first.csah"),
        ("[accounts.first]\nlimits = { max_wieght = 1 }\n", "max_wieght"),
        ("[accounts.first]\nexternal = 'ignore'\n", "'tolerate', 'claim' or 'halt'"),
        ("[accounts.first\n", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, says: str) -> None:
    (folder / "quantkit.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        settings.load()


def test_a_wrong_secret_is_not_shown(folder: Path) -> None:
    (folder / "quantkit.toml").write_text(f"[accounts.first]\njournal = ['{PASSWORD}']\n")
    with pytest.raises(ConfigError) as caught:
        settings.load()
    assert PASSWORD not in str(caught.value)
    assert "accounts.first.journal" in str(caught.value)


def test_an_unknown_account_is_refused_where_others_are_known(folder: Path) -> None:
    (folder / "quantkit.toml").write_text(FILE)
    with pytest.raises(ConfigError, match=r"no account 'frist'.*first, second"):
        settings.load().account("frist")


def test_another_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other.toml").write_text("lake = 'elsewhere'\n")
    monkeypatch.setenv("QUANTKIT_CONFIG", "other.toml")
    assert settings.load().lake == Path("elsewhere")
    monkeypatch.setenv("QUANTKIT_CONFIG", "missing.toml")
    with pytest.raises(ConfigError, match="no such file"):
        settings.load()
