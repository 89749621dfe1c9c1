"""Where an account's keys are looked for, and where its tokens are kept.

    1 the settings       accounts.NAME.secrets: app_key, app_secret, account_no, hts_id; or the file that
                         accounts.NAME.options.keys names
    2 the environment    KIS_APP_KEY, KIS_APP_SECRET, KIS_ACCOUNT_NO, KIS_IS_PAPER, KIS_HTS_ID; also from .env
    3 a file             the one that `KIS_CONFIG` names, else kis_devlp.sealed, else kis_devlp.yaml, here or in
                         ~/KIS/config; with the names above, or those of KIS's samples (my_app, my_sec, my_acct_stock,
                         my_prod, my_htsid and paper_app, paper_sec, my_paper_stock)

Contract: the first place that has an app key has everything: two places are never mixed. Whether keys are real or paper
must be said where they lie (KIS_IS_PAPER, `environment` in the settings); where it is not, they are paper. A caller who
wants the other environment gets a ConfigError, never the wrong keys. KIS_EMULATOR and KIS_EMULATOR_STREAM beside keys
say that an emulator made them. Values of the file are text: a number keeps its zeros. A sealed file (`seal`) opens with
`QUANTKIT_VAULT_KEY`. Nothing here shows a value.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml
from pydantic import SecretStr

from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.server import Account, Keys, PaperKeys, RealKeys
from quantkit.brokers.kis.vault import VAULT_KEY, SealedFile, vault_key
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = "kis_devlp.yaml"
SEALED: Final = "kis_devlp.sealed"
SECRETS: Final = ("KIS_APP_KEY", "KIS_APP_SECRET", "KIS_ACCOUNT_NO", "KIS_IS_PAPER", "KIS_HTS_ID")
NAMES: Final = (*SECRETS, "KIS_CONFIG", "KIS_EMULATOR", "KIS_EMULATOR_STREAM")
_LABEL: Final = "quantkit|kis|keys|1"
_YES, _NO = ("1", "true", "yes", "y", "on", "paper", "vts"), ("0", "false", "no", "n", "off", "real", "prod")
_SAMPLES: Final = {
    Environment.REAL: ("my_app", "my_sec", "my_acct_stock"),
    Environment.PAPER: ("paper_app", "paper_sec", "my_paper_stock"),
}


def token_folder(environ: Mapping[str, str]) -> Path:
    """Where tokens of all accounts lie, for every process of this user: `QUANTKIT_CACHE`, else the user's cache."""
    told = environ.get("QUANTKIT_CACHE", "").strip()
    base = told or environ.get("XDG_CACHE_HOME") or environ.get("LOCALAPPDATA") or str(Path.home() / ".cache")
    return Path(base).expanduser() / "tokens" if told else Path(base) / "quantkit" / "tokens"


def environment(folder: Path | None = None) -> dict[str, str]:
    """The environment, and what `.env` of a folder (default: this one) says of KIS besides."""
    found = dict(os.environ)
    file = (folder or Path()) / ".env"
    if file.is_file():
        from dotenv import dotenv_values

        for name, value in dotenv_values(file, interpolate=False).items():
            if value is not None and name in (*NAMES, VAULT_KEY):
                found.setdefault(name, value)
    return found


def find_keys(
    environ: Mapping[str, str], *, wanted: Environment | None = None, secrets: Mapping[str, SecretStr] | None = None,
    file: str = "", folder: Path | None = None,
) -> Keys:  # fmt: skip
    """The keys of an account. wanted: which environment the caller is about to use; None: whichever the keys are of.
    file: the one that the settings name.

    ConfigError where there are none, where they are not whole, or of the other environment.
    """
    if secrets:
        said = {f"KIS_{name.upper()}": value.get_secret_value() for name, value in secrets.items()}
        unknown = sorted(name for name in said if name not in SECRETS)
        if unknown:
            raise ConfigError(f"accounts.*.secrets: {unknown[0][4:].lower()!r} is not known; app_key, app_secret, ...")
        return _checked(said, "the settings", wanted, default=wanted)
    if file:
        return _from_file(_named(file, "options.keys"), environ, wanted)
    if environ.get("KIS_APP_KEY", "").strip():
        return _checked(environ, "the environment", wanted)
    path = _file(environ, folder or Path())
    if path is None:
        raise ConfigError(
            "no keys of KIS: set KIS_APP_KEY, KIS_APP_SECRET, KIS_ACCOUNT_NO and KIS_IS_PAPER, "
            f"or keep them in {FILE}, here or in ~/KIS/config"
        )
    return _from_file(path, environ, wanted)


def seal(path: Path, to: Path, environ: Mapping[str, str]) -> None:
    """Write the keys of a file sealed; the file stays. ConfigError where it has none, or there is no vault key."""
    key = vault_key(environ)
    if key is None:
        raise ConfigError(f"{VAULT_KEY} is not set: make one with `openssl rand -hex 32`, and keep it elsewhere")
    _from_file(path, environ, None)
    SealedFile(to, _LABEL, key).write(_read(path, environ))


def _file(environ: Mapping[str, str], folder: Path) -> Path | None:
    told = environ.get("KIS_CONFIG", "").strip()
    if told:
        return _named(told, "KIS_CONFIG")
    places = (place / name for place in (folder, Path.home() / "KIS" / "config") for name in (SEALED, FILE))
    return next((place for place in places if place.is_file()), None)


def _named(text: str, where: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise ConfigError(f"{where}={text}: no such file")
    return path


def _from_file(path: Path, environ: Mapping[str, str], wanted: Environment | None) -> Keys:
    said = _read(path, environ)
    if said.get("KIS_APP_KEY"):
        return _checked(said, str(path), wanted)
    return _checked(_of_samples(said, path, wanted), str(path), wanted)


def _read(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What a file says, sealed or not."""
    if path.suffix == ".sealed":
        document = SealedFile(path, _LABEL, vault_key(environ)).read()
        if document is None:
            raise ConfigError(f"{path} is no sealed file of keys: make it anew with `quantkit kis seal`")
        return {str(name): str(value) for name, value in document.items()}
    try:
        document = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} cannot be read ({type(problem).__name__})") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise ConfigError(f"{path} is no YAML{where}; expected lines such as KIS_APP_KEY: ...") from None
    if not isinstance(document, dict):  # what it is instead may be a secret
        found = "a list" if isinstance(document, list) else "one text" if document else "nothing"
        raise ConfigError(f"{path}: expected lines such as KIS_APP_KEY: ...; found {found}")
    return {str(name): value.strip() for name, value in document.items() if isinstance(value, str)}


def _of_samples(said: Mapping[str, str], path: Path, wanted: Environment | None) -> dict[str, str]:
    """The names of KIS's own samples, with both pairs of keys in one file. Their placeholders are Korean words."""
    there = [kind for kind in Environment if (key := said.get(_SAMPLES[kind][0], "")) and key.isascii()]
    kind = wanted if wanted is not None else Environment.PAPER if Environment.PAPER in there else Environment.REAL
    if not there:
        raise ConfigError(f"{path} has no keys: fill in KIS_APP_KEY, or my_app or paper_app, and what belongs to it")
    if kind not in there:
        raise ConfigError(f"{path} has no keys of {kind} ({_SAMPLES[kind][0]}), only of {', '.join(there)}")
    key, secret, account = (said.get(name, "") for name in _SAMPLES[kind])
    product = said.get("my_prod", "") if "-" not in account and len(account) == 8 else ""
    return {
        "KIS_APP_KEY": key, "KIS_APP_SECRET": secret, "KIS_ACCOUNT_NO": f"{account}{product}",
        "KIS_HTS_ID": said.get("my_htsid", ""), "KIS_IS_PAPER": str(kind is Environment.PAPER),
    }  # fmt: skip


def _checked(
    said: Mapping[str, str], source: str, wanted: Environment | None, default: Environment | None = None
) -> Keys:
    """Keys from KIS_* names."""
    missing = [name for name in NAMES[:3] if not said.get(name, "").strip()]
    if missing:
        raise ConfigError(f"{source}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    paper = said.get("KIS_IS_PAPER", "").strip().lower()
    if paper and paper not in (*_YES, *_NO):
        raise ConfigError(f"{source}: KIS_IS_PAPER is neither true nor false")
    kind = default if not paper and default is not None else Environment.REAL if paper in _NO else Environment.PAPER
    if wanted is not None and kind is not wanted:
        raise ConfigError(
            f"{source} has keys of {kind}{'' if paper else ' (KIS_IS_PAPER is not set)'}, and {wanted} was asked for"
        )
    hts_id = said.get("KIS_HTS_ID", "").strip()
    try:
        account = Account.parse(said["KIS_ACCOUNT_NO"])
    except ConfigError as problem:
        raise ConfigError(f"{source}: KIS_ACCOUNT_NO: {problem}") from None
    make = RealKeys if kind is Environment.REAL else PaperKeys
    return make(
        app_key=SecretStr(said["KIS_APP_KEY"].strip()), app_secret=SecretStr(said["KIS_APP_SECRET"].strip()),
        account=account, hts_id=SecretStr(hts_id) if hts_id else None, source=source,
        emulator=said.get("KIS_EMULATOR", "").strip(), stream=said.get("KIS_EMULATOR_STREAM", "").strip(),
    )  # fmt: skip
