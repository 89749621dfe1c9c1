"""Settings: `quantkit.toml`, the environment and `.env`, in one checked place.

    [accounts.first]                # a name of your own
    broker = "paper"                # who fills orders: "paper", "emulator", "kis"
    cash = 10_000_000               # what a new paper account starts with
    limits = { max_weight = 0.2 }   # money limits, as RiskLimits

    [alerts]
    urls = ["tgram://..."]          # where alerts go, as Apprise writes addresses

Contract: read once a command, never written. The environment goes before the file: `QUANTKIT_ACCOUNTS__FIRST__CASH=5e6`
(two underscores a level). What may be a secret is a `SecretStr`: no repr, log or error shows it. A wrong setting is a
ConfigError that names the key and where it stands. `QUANTKIT_CONFIG` names another file than `./quantkit.toml`.

>>> Settings().accounts
{}
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.core.policy import RiskLimits

FILE = "quantkit.toml"
_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Account(BaseModel):
    """One account: who fills its orders, where its journal lies, and whether it may trade money."""

    model_config = _STRICT

    broker: str = "paper"
    feed: str = ""  # where prices come from; "" means the broker's own, or what the command line says
    armed: bool = False  # true: `quantkit live` may send orders to it
    cash: float = Field(default=100_000_000, gt=0, lt=9e15)
    journal: SecretStr | None = None  # a file, a folder or postgresql://...; a file of its own in `journals` if absent
    external: Literal["tolerate", "claim", "halt"] = "halt"  # orders that somebody else sent
    limits: dict[str, float] = Field(default_factory=dict)
    secrets: dict[str, SecretStr] = Field(default_factory=dict)  # keys at the broker, where the environment has none
    options: dict[str, Any] = Field(default_factory=dict)  # the broker's own

    @field_validator("limits")
    @classmethod
    def _known_limits(cls, value: dict[str, float]) -> dict[str, float]:
        from dataclasses import fields

        from quantkit.core.policy import RiskLimits

        known = [each.name for each in fields(RiskLimits)]
        for name in value:
            if name not in known:
                raise ValueError(f"no limit {name!r}; there are {', '.join(known)}")
        return value

    @property
    def risk_limits(self) -> RiskLimits | None:
        """The limits as the fold reads them; None where none is set."""
        from quantkit.core.policy import RiskLimits

        whole = {"max_names", "max_order_shares"}
        given: dict[str, Any] = {name: int(value) if name in whole else value for name, value in self.limits.items()}
        return RiskLimits(**given) if given else None


class Alerts(BaseModel):
    """Where alerts go and from what level on."""

    model_config = _STRICT

    urls: tuple[SecretStr, ...] = ()
    least: Literal["info", "warning", "critical"] = "warning"


class Logs(BaseModel):
    """What is logged, and how."""

    model_config = _STRICT

    level: Literal["debug", "info", "warning", "error"] = "info"
    form: Literal["text", "json"] = "text"
    file: Path | None = None  # besides standard error


class Settings(BaseSettings):
    """All settings. `load()` reads them with errors a person can act on."""

    model_config = SettingsConfigDict(
        env_prefix="QUANTKIT_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True,
        hide_input_in_errors=True,
    )  # fmt: skip

    lake: Path = Path("data/lake")
    journals: Path = Path("data/journals")
    accounts: dict[str, Account] = Field(default_factory=dict)
    alerts: Alerts = Alerts()
    logs: Logs = Logs()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before `.env` before the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=_file())
        return init_settings, env_settings, dotenv_settings, file

    def account(self, name: str) -> Account:
        """The settings of an account. ConfigError where the file knows others only; a bare one where it knows none."""
        if name in self.accounts:
            return self.accounts[name]
        if self.accounts:
            raise ConfigError(f"no account {name!r} in {_file()}; it has {', '.join(sorted(self.accounts))}")
        return Account()

    def journal_of(self, name: str) -> str:
        """Where an account's journal lies: a URL, or the path of a file."""
        told = self.account(name).journal
        where = "" if told is None else told.get_secret_value()
        if "://" in where:
            return where
        path = Path(where) if where else self.journals
        return str(path if path.suffix in (".sqlite", ".db") else path / f"{name}.sqlite")


def _file() -> Path:
    return Path(os.environ.get("QUANTKIT_CONFIG") or FILE)


def load() -> Settings:
    """The settings of this folder and environment; ConfigError that names the key where one is wrong."""
    path = _file()
    if os.environ.get("QUANTKIT_CONFIG") and not path.is_file():
        raise ConfigError(f"QUANTKIT_CONFIG={path}: no such file")
    try:
        return Settings()
    except ValidationError as problem:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in problem.errors(include_input=False)
        )
        raise ConfigError(f"{path}, .env or QUANTKIT_...: {wrong}") from None
    except ValueError as problem:  # TOML's own
        raise ConfigError(f"{path} cannot be read: {problem}") from None
