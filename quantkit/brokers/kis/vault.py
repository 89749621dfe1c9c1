"""Small files that hold secrets: one owner, whole or not at all, sealed where there is a vault key.

Contract: a file is written beside its place and renamed, with permissions for its owner only; a folder it makes is the
owner's only, too. With `QUANTKIT_VAULT_KEY` set the contents are AES-256-GCM, bound to what they are (`label`): under
another name they do not open. A file that does not open is a ConfigError that says what to do, never silently replaced.
`FileLock` holds between processes; it waits on the clock it is given.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import ConfigError, RetryLater

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from quantkit.brokers.kis.limiter import Clock

VAULT_KEY: Final = "QUANTKIT_VAULT_KEY"
_NONCE = 12
_POLL_NS = 50_000_000


def vault_key(environ: Mapping[str, str]) -> bytes | None:
    """The key of the environment, 32 bytes in hex or Base64; None where there is none. ConfigError for others."""
    text = environ.get(VAULT_KEY, "").strip()
    if not text:
        return None
    for read in (bytes.fromhex, lambda given: base64.b64decode(given, validate=True)):
        with contextlib.suppress(ValueError, binascii.Error):
            found = read(text)
            if len(found) == 32:
                return found
    raise ConfigError(f"{VAULT_KEY}: expected 32 bytes in hex or Base64, as `openssl rand -hex 32` gives them")


class SealedFile:
    """One document of JSON in a file of its owner's. label: what it is, bound to the contents when they are sealed."""

    def __init__(self, path: Path, label: str, key: bytes | None) -> None:
        self.path, self._label, self._key = path, label.encode(), key

    def read(self) -> dict[str, Any] | None:
        """The document; None where there is no file, or one that was cut off. ConfigError where it is sealed with
        another key."""
        try:
            if self.path.stat().st_mode & 0o077 and sys.platform != "win32":
                self.path.chmod(0o600)
            document = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return None
        except OSError as problem:
            raise ConfigError(f"{self.path} cannot be read: {problem.strerror}") from None
        if not isinstance(document, dict):
            return None
        if "sealed" not in document:
            return document
        return self._opened(document["sealed"])

    def _opened(self, sealed: object) -> dict[str, Any]:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        remedy = f"set {VAULT_KEY} to what it was, or delete the file"
        if self._key is None:
            raise ConfigError(f"{self.path} is sealed and {VAULT_KEY} is not set: {remedy}")
        try:
            raw = base64.b64decode(str(sealed), validate=True)
            opened = json.loads(AESGCM(self._key).decrypt(raw[:_NONCE], raw[_NONCE:], self._label))
        except (InvalidTag, ValueError):
            opened = None
        if not isinstance(opened, dict):
            raise ConfigError(f"{self.path} does not open with this {VAULT_KEY}: {remedy}")
        return opened

    def write(self, document: Mapping[str, Any]) -> None:
        """Replace the contents. ConfigError where the folder takes no files."""
        text = json.dumps(dict(document)).encode()
        if self._key is not None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            nonce = os.urandom(_NONCE)
            sealed = base64.b64encode(nonce + AESGCM(self._key).encrypt(nonce, text, self._label)).decode()
            text = json.dumps({"sealed": sealed}).encode()
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(handle)
            new.replace(self.path)
        except OSError as problem:
            new.unlink(missing_ok=True)
            raise ConfigError(f"{self.path} cannot be written: {problem.strerror}") from None

    def delete(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)


class FileLock:
    """One process at a time. The file stays; what holds is the system's lock on it, which ends with its process."""

    def __init__(self, path: Path, clock: Clock, *, patience_s: float = 90.0) -> None:
        self._path, self._clock, self._patience = path, clock, round(patience_s * 1e9)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold it. RetryLater where another process does not let go."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise ConfigError(f"{self._path} cannot be written: {problem.strerror}") from None
        try:
            until = self._clock.now_ns() + self._patience
            while not _try_lock(handle):
                if self._clock.now_ns() >= until:
                    raise RetryLater(f"another process holds {self._path}")
                await self._clock.sleep_until(self._clock.now_ns() + _POLL_NS)
            yield
        finally:
            os.close(handle)  # which lets go


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
