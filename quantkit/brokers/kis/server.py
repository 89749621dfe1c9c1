"""Where KIS answers, and who asks: servers, keys and accounts of 실전 and 모의투자, which cannot be mixed.

Contract: `RealKeys` and `PaperKeys` are different types, and an environment follows from the type alone. A `Server` is
one of KIS's two, or an emulated one on this machine: no other host can be written down, so keys and orders cannot go
anywhere else. Nothing here shows a secret: keys, account numbers and HTS ids have no repr and no text.

>>> Server.official(Environment.PAPER).rest.split(":")[0], Server.emulated(Environment.REAL, "http://127.0.0.1:8080").name
('https', 'real-127.0.0.1-8080')
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias
from urllib.parse import urlsplit

from quantkit.brokers.kis.codes import MASTERS, REST, STREAM, Environment
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_ACCOUNT = re.compile(r"(\d{8})-?(\d{2})?")
KEY_LENGTH, SECRET_LENGTH = 36, 180


@dataclass(frozen=True, slots=True)
class Server:
    """One server of an environment. Made by `official` and `emulated`; ConfigError for a host that is neither."""

    environment: Environment
    rest: str
    stream: str
    is_emulated: bool = False

    @classmethod
    def official(cls, environment: Environment) -> Server:
        """KIS's own."""
        return cls(environment, REST[environment], STREAM[environment])

    @classmethod
    def emulated(cls, environment: Environment, rest: str, stream: str = "") -> Server:
        """An emulator on this machine, in the guise of an environment. The stream defaults to the same port."""
        rest = rest.rstrip("/")
        return cls(environment, rest, (stream or rest.replace("http://", "ws://", 1)).rstrip("/"), is_emulated=True)

    def __post_init__(self) -> None:
        if not self.is_emulated:
            if (self.rest, self.stream) != (REST[self.environment], STREAM[self.environment]):
                raise ConfigError(f"{self.rest}, {self.stream}: not the servers of {self.environment} at KIS")
            return
        for address, scheme in ((self.rest, "http"), (self.stream, "ws")):
            try:
                parts = urlsplit(address)
                known = (parts.scheme, parts.path, parts.port is not None) == (scheme, "", True)
            except ValueError:  # a port that is no number
                known = False
            if not known or parts.hostname not in LOOPBACK or parts.username is not None:
                raise ConfigError(
                    f"emulator address {address!r}: an emulator runs on this machine; expected {scheme}://127.0.0.1:PORT"
                )

    @property
    def masters(self) -> str:
        """Where master files are had: a host of their own, or the emulator."""
        return self.rest if self.is_emulated else MASTERS

    @property
    def name(self) -> str:
        """A word for files: the environment, and for an emulator its host and port."""
        if not self.is_emulated:
            return str(self.environment)
        parts = urlsplit(self.rest)
        return f"{self.environment}-{(parts.hostname or '').replace(':', '_')}-{parts.port}"


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """An account at KIS: eight digits (CANO) and a product (ACNT_PRDT_CD, 01 for stocks)."""

    number: str
    product: str = "01"

    @classmethod
    def parse(cls, text: str, product: str = "") -> Account:
        """12345678-01, 1234567801, or 12345678 with the product beside it. ConfigError that does not repeat it."""
        found = _ACCOUNT.fullmatch(text.strip())
        second = product.strip()
        if found is None or (second and not re.fullmatch(r"\d{2}", second)):
            raise ConfigError("account number: expected eight digits and a product of two, such as 12345678-01")
        if second and found[2] and second != found[2]:
            raise ConfigError(f"account number: it ends with product {found[2]}, and product {second} was given too")
        return cls(found[1], found[2] or second or "01")

    def fields(self) -> dict[str, str]:
        """As requests carry it."""
        return {"CANO": self.number, "ACNT_PRDT_CD": self.product}

    def __repr__(self) -> str:
        return f"Account(***-{self.product})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """An app key, its secret, the account they open, and the HTS id that fill notices are subscribed by. emulator,
    stream: addresses of the emulator that made them, which they alone open; "": KIS did."""

    environment: ClassVar[Environment]

    app_key: SecretStr
    app_secret: SecretStr
    account: Account
    hts_id: SecretStr | None = None
    source: str = field(default="", compare=False)  # where they were found, for messages
    emulator: str = ""
    stream: str = ""

    def __post_init__(self) -> None:
        for name, secret in (("app key", self.app_key), ("app secret", self.app_secret)):
            value = secret.get_secret_value()
            if not value or not value.isascii() or not value.isprintable() or value.split() != [value]:
                raise ConfigError(f"{self.source or 'keys'}: the {name} is empty, or has blanks or letters no key has")

    @property
    def fingerprint(self) -> str:
        """What tells app keys apart in file names, and tells nothing of them."""
        return hashlib.sha256(b"quantkit kis " + self.app_key.get_secret_value().encode()).hexdigest()[:16]

    def secrets(self) -> tuple[str, ...]:
        """All values that no log may show."""
        said = [self.app_key, self.app_secret, *([self.hts_id] if self.hts_id is not None else [])]
        account = self.account
        forms = (f"{account.number}-{account.product}", f"{account.number}{account.product}", account.number)
        return (*(each.get_secret_value() for each in said), *forms)

    def check_lengths(self) -> None:
        """ConfigError where they cannot be KIS's: its keys have 36 characters and its secrets 180."""
        for name, secret, length in (("key", self.app_key, KEY_LENGTH), ("secret", self.app_secret, SECRET_LENGTH)):
            found = len(secret.get_secret_value())
            if found != length:
                raise ConfigError(
                    f"{self.source or 'keys'}: the app {name} has {found} characters, KIS's have {length}: was it cut?"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class RealKeys(_Keys):
    """Keys that move money."""

    environment: ClassVar[Environment] = Environment.REAL


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperKeys(_Keys):
    """Keys of 모의투자."""

    environment: ClassVar[Environment] = Environment.PAPER


Keys: TypeAlias = RealKeys | PaperKeys


def server_of(keys: Keys, server: Server | None = None) -> Server:
    """The server that these keys are for. ConfigError where the one given is of the other environment, or KIS's own and
    the keys an emulator's."""
    if server is None:
        server = (
            Server.emulated(keys.environment, keys.emulator, keys.stream)
            if keys.emulator
            else Server.official(keys.environment)
        )
    if server.environment is not keys.environment:
        raise ConfigError(
            f"{keys.source or 'keys'}: keys of {keys.environment} do not open the server of {server.environment}; "
            "real and paper are two accounts with two pairs of keys"
        )
    if not server.is_emulated:
        if keys.emulator:
            raise ConfigError(f"{keys.source or 'keys'}: keys of the emulator at {keys.emulator} do not open KIS")
        keys.check_lengths()
    return server
