"""Fitted models on disk: kept under everything they were made of, and loaded only when we wrote them.

    <lake>/models/3f/3f9a....model      magic, a line of facts (JSON), the pickled model

Contract: the key of a model is the SHA-256 of the strategy's code (its file, the local modules it imports, and those of
its bases), parameters, seed, the versions of the packages that the file imports, the date, and every value of the bars
that its fit was shown. Another value anywhere is another key, so nothing is ever out of date and nothing is replaced.
Loading a pickle executes code: a file is read only if it carries a signature made with the secret of this user
(mode 0600, in the user's cache folder); a file that does not is made anew. Writes go to a draft that is moved into
place. A class that is not found in a file under its own name (typed into a notebook, made by a function) may read what
no hash sees: its models live as long as the run. Bars of a lake keep their models in `<lake>/models`, other bars in
the user's cache folder; `QUANTKIT_MODELS` names another folder, or "off".
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import importlib
import io
import json
import os
import pickle
import sys
import threading
from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import ConfigError
from quantkit.strategy.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantkit.data.bars import Bars
    from quantkit.strategy.base import Strategy

__all__ = ["RowsDigest", "afresh", "code_of", "folder_of", "kept_model", "key_of"]

MAGIC = b"quantkit model 1\n"
MEMORY_BYTES = 64 << 20
DISK_BYTES = 2 << 30
_PRUNE_EVERY = 256  # writes of this process between looks at the folder's size

_lock = threading.Lock()
_memory: OrderedDict[str, bytes] = OrderedDict()
_written = 0
_own: ContextVar[OrderedDict[str, bytes] | None] = ContextVar("quantkit_models", default=None)


# --- the key ----------------------------------------------------------------------------------------------------------


def code_of(cls: type[Strategy]) -> str:
    """Hash of the code behind a class and the versions it runs on; empty where a file of it is unknown."""
    return _code(cls)  # type: ignore[arg-type]  # a class has a hash; its instances have one of their own


@lru_cache(maxsize=64)
def _code(cls: type[Strategy]) -> str:
    from quantkit import __version__
    from quantkit.strategy.base import Strategy

    total = hashlib.sha256(f"{__version__} {sys.version_info[:2]} {np.__version__}".encode())
    for one in cls.__mro__[: cls.__mro__.index(Strategy)]:
        source = source_of(one)
        named = getattr(sys.modules.get(one.__module__), one.__qualname__, None)
        if source.path is None or named is not one:
            return ""
        total.update(f"{one.__qualname__} {source.sha256} ".encode())
        for file in (source.path, *source.local_modules):
            text = file.read_bytes()
            total.update(hashlib.sha256(text).digest())
            total.update(repr(_versions(text, {path.stem for path in source.local_modules})).encode())
    return total.hexdigest()


def _versions(text: bytes, local: set[str]) -> list[tuple[str, str]]:
    """Versions of the packages that a file imports, wherever in it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    found = []
    for name in sorted(names - sys.stdlib_module_names - local - {"quantkit"}):
        try:
            found.append((name, str(getattr(importlib.import_module(name), "__version__", ""))))
        except ImportError:
            found.append((name, "missing"))
    return found


def key_of(strategy: Strategy, data: str, stamp: int) -> str:
    """What the model of a strategy fitted for `stamp` on bars of the digest `data` is kept under."""
    facts = {
        "code": code_of(type(strategy)),
        "strategy": type(strategy).__qualname__,
        "params": strategy.params,
        "seed": strategy.seed,
        "attributes": {name: getattr(strategy, name) for name in _plain_attributes(type(strategy))},
        "stamp": stamp,
        "data": data,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()


def _plain_attributes(cls: type[Strategy]) -> list[str]:
    """Class attributes of plain values, which a program may have set after the file was read."""
    values: dict[str, object] = {}
    for one in reversed(cls.__mro__[:-1]):
        values |= vars(one)
    return sorted(name for name, value in values.items() if isinstance(value, bool | int | float | str | tuple))


class RowsDigest:
    """SHA-256 of all that rows of a panel say: axes, every stored field, flags, actions up to then.

    A digest from row 0 goes on where the last one ended, so that growing windows are read once.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._hashers: list[Any] = []
        self._row = 0

    def of(self, bars: Bars, begin: int, stop: int) -> str:
        """Of rows begin..stop, remembered with the bars."""
        name = f"digest {begin} {stop}"
        if name not in bars._cache:
            bars._cache[name] = self._made(bars, begin, stop)
        return str(bars._cache[name])

    def _made(self, bars: Bars, begin: int, stop: int) -> str:
        columns: list[Any] = [bars.times, bars.flags, *(bars.field(name) for name in sorted(bars._fields))]
        goes_on = begin == 0 and self._bars is bars and self._row <= stop
        if not goes_on:
            self._bars, self._row, self._hashers = bars, begin, [hashlib.sha256() for _ in columns]
        for hasher, column in zip(self._hashers, columns, strict=True):
            if stop > self._row:
                hasher.update(np.ascontiguousarray(column[self._row : stop]).view(np.uint8).data)
        self._row = stop
        axes = (bars.symbols, bars.markets, bars.freq, bars.prices, bars.minor_unit, bars.leverage.tolist())
        total = hashlib.sha256(repr(axes).encode())
        for hasher in self._hashers:
            total.update(hasher.digest())
        actions: Any = bars.actions
        known = actions["ex_day"] <= (int(bars.days[stop - 1]) if stop else 0)
        total.update(repr(actions[known].tolist()).encode())
        return total.hexdigest()


# --- the store --------------------------------------------------------------------------------------------------------


def folder_of(bars: Bars) -> Path | None:
    """Where the models of a run on these bars are kept; None: nowhere."""
    asked = os.environ.get("QUANTKIT_MODELS", "").strip()
    if asked:
        return None if asked.casefold() == "off" else Path(asked).expanduser()
    source = Path(bars.source) if bars.source else None
    return source / "models" if source is not None and source.is_dir() else cache_home() / "models"


def cache_home() -> Path:
    """The user's own folder for things that can be made again; `QUANTKIT_CACHE` names another."""
    asked = os.environ.get("QUANTKIT_CACHE", "").strip()
    if asked:
        return Path(asked).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "quantkit"


def kept_model(key: str, fit: Callable[[], object], *, bars: Bars, strategy: Strategy, date: str) -> object:
    """The model kept under `key`, else what `fit` gives, kept from now on.

    What is handed out was always read back from its bytes, so a second run sees what the first one did. A model that
    cannot be pickled is handed out as it is and not kept.
    """
    folder = folder_of(bars) if _own.get() is None else None
    payload = _memory_get(key)
    if payload is None and folder is not None:
        payload = _read(folder, key)
        if payload is not None:
            _memory_put(key, payload)
    if payload is not None:
        return pickle.loads(payload)
    model = fit()
    draft = io.BytesIO()
    try:
        pickle.Pickler(draft, protocol=5).dump(model)
        payload = draft.getvalue()
        handed: object = pickle.loads(payload)
    except (pickle.PicklingError, AttributeError, TypeError):  # a lambda, a local class, an open handle
        return model
    _memory_put(key, payload)
    if folder is not None:
        facts = {"key": key, "strategy": strategy.name, "params": strategy.params, "date": date}
        _write(folder, key, payload, facts)
    return handed


def _memory_get(key: str) -> bytes | None:
    memory = _kept()
    with _lock:
        payload = memory.get(key)
        if payload is not None:
            memory.move_to_end(key)
        return payload


def _memory_put(key: str, payload: bytes) -> None:
    memory = _kept()
    with _lock:
        memory[key] = payload
        memory.move_to_end(key)
        while sum(map(len, memory.values())) > MEMORY_BYTES and len(memory) > 1:
            memory.popitem(last=False)


def _kept() -> OrderedDict[str, bytes]:
    own = _own.get()
    return _memory if own is None else own


@contextmanager
def afresh() -> Iterator[None]:
    """In this block (of this thread) no model kept before is used, and none is kept beyond it or on disk."""
    before = _own.set(OrderedDict())
    try:
        yield
    finally:
        _own.reset(before)


def forget() -> None:
    """Empty the models in memory; those on disk stay."""
    with _lock:
        _memory.clear()


def _secret() -> bytes | None:
    """The user's own key for signatures, made when first needed; None where it cannot be kept."""
    path = cache_home() / "secret"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(os.urandom(32))
        secret = path.read_bytes()
    except FileExistsError:  # another process was first
        secret = path.read_bytes()
    except OSError:
        return None
    return secret if len(secret) == 32 else None


def _signature(secret: bytes, key: str, payload: bytes) -> str:
    return hmac.new(secret, key.encode() + payload, hashlib.sha256).hexdigest()


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key}.model"


def _read(folder: Path, key: str) -> bytes | None:
    """The pickle of a model that this user wrote under this key; None where there is none, or somebody else's."""
    try:
        text = _path(folder, key).read_bytes()
    except OSError:
        return None
    secret = _secret()
    head, _, payload = text.removeprefix(MAGIC).partition(b"\n")
    if secret is None or not text.startswith(MAGIC):
        return None
    try:
        signature = str(json.loads(head)["signature"])
    except (ValueError, KeyError, TypeError):
        return None
    return payload if hmac.compare_digest(signature, _signature(secret, key, payload)) else None


def _write(folder: Path, key: str, payload: bytes, facts: dict[str, Any]) -> None:
    """Keep a model; a folder that cannot be written to keeps none, which costs the next run a fit."""
    global _written
    secret = _secret()
    if secret is None:
        return
    head = json.dumps(facts | {"signature": _signature(secret, key, payload)}, default=repr).encode()
    path = _path(folder, key)
    draft = path.with_name(f".{key}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(MAGIC + head + b"\n" + payload)
        draft.replace(path)
    except FileNotFoundError as error:  # the folder's own drive or parent is gone: worth saying
        raise ConfigError(f"models cannot be kept in {folder}: {error.strerror}; set QUANTKIT_MODELS") from error
    except OSError:
        draft.unlink(missing_ok=True)
        return
    with _lock:
        _written += 1
        due = _written % _PRUNE_EVERY == 0
    if due:
        prune(folder)


def prune(folder: Path, *, most: int = DISK_BYTES) -> int:
    """Delete the oldest models until the folder is within `most` bytes; the number deleted."""
    found = []
    for path in folder.glob("??/*.model"):
        try:
            about = path.stat()
        except OSError:  # another process pruned it
            continue
        found.append((about.st_mtime, about.st_size, path))
    total, deleted = sum(size for _, size, _ in found), 0
    for _, size, path in sorted(found):
        if total <= most:
            break
        path.unlink(missing_ok=True)
        total, deleted = total - size, deleted + 1
    return deleted
