"""Load a strategy class from a file or a module, with errors a person can act on.

Contract: `path/file.py[:Class]` or `package.module[:Class]`. A file may import modules from its own folder; two
folders may each have a module of the same name. A file whose text, and whose local modules' text, has not changed is
not run again, so its classes stay the same objects. Every failure is a ConfigError naming the file, the line where
there is one, and what to do. Classes loaded from a file can be pickled: another process loads the same file and
refuses it if its text has changed.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from quantkit.errors import ConfigError, QuantkitError
from quantkit.strategy.sources import FILE_MARK, local_modules, module_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantkit.strategy.base import Strategy

_PRINT = "__strategy_print__"  # fingerprint of a loaded file with its local modules
_beside: dict[str, str] = {}  # local modules that a load ran: name -> hash of their text


def load_strategy(spec: str | Path) -> type[Strategy]:
    """The strategy class that `spec` names. Without `:Class` the file or module must define exactly one."""
    place, wanted = _split(str(spec))
    path = Path(place).expanduser()
    if place.endswith(".py") or path.exists() or "/" in place or "\\" in place:
        module = _load_file(path)
        where = str(path)
    else:
        module, where = _import(place), f"module {place}"
    return _choose(module, wanted, where)


def restore(path: str, name: str, sha256: str, params: Mapping[str, object]) -> Strategy:
    """Rebuild a strategy that another process sent; ConfigError when the file's text is not the same any more."""
    cls = load_strategy(f"{path}:{name}")
    found = hashlib.sha256(getattr(sys.modules[cls.__module__], FILE_MARK)).hexdigest()
    if found != sha256:
        raise ConfigError(f"{path} has changed since {name} was built ({sha256[:12]}, now {found[:12]}); load it again")
    return cls(**params)


def _split(spec: str) -> tuple[str, str | None]:
    """File or module, and the class after the last colon (a drive letter's colon is none)."""
    place, colon, name = spec.rpartition(":")
    if colon and name.isidentifier() and len(place) > 1:
        return place, name
    if colon and not name:
        raise ConfigError(f"{spec!r}: a class name is missing after the colon, as in strategies/sma_cross.py:SmaCross")
    return spec, None


def _load_file(path: Path) -> ModuleType:
    """Run a strategy file as a module of its own, or give the one that ran it before."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name the strategy file in it")
    if not path.is_file():
        near = sorted(file.name for file in path.parent.glob("*.py")) if path.parent.is_dir() else []
        hint = f"; {path.parent} has {', '.join(near[:8])}" if near else ""
        raise ConfigError(f"no strategy file {path}{hint}")
    full = path.resolve()
    text = full.read_bytes()
    code = _compile(text, path, full)
    helpers = {module_name(full.parent, file): file for file in local_modules(full, text)}
    hashes = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in helpers.items()}
    fingerprint = hashlib.sha256(text + repr(sorted(hashes.items())).encode()).hexdigest()
    name = f"strategy_{full.stem}_{hashlib.sha256(str(full).encode()).hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, _PRINT, None) == fingerprint:
        return known
    module = ModuleType(name)
    module.__file__ = str(full)
    setattr(module, FILE_MARK, text)
    setattr(module, _PRINT, fingerprint)
    _forget(helpers, hashes)
    sys.modules[name] = module
    sys.path.insert(0, str(full.parent))
    try:
        exec(code, module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise _failed(error, path, full) from error
    finally:
        sys.path.remove(str(full.parent))
    _beside.update(hashes)
    return module


def _compile(text: bytes, path: Path, full: Path) -> CodeType:
    try:
        return compile(text, str(full), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise ConfigError(f"{path}, line {error.lineno}: {error.msg}: {line}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not Python text: {error}") from None


def _forget(helpers: Mapping[str, Path], hashes: Mapping[str, str]) -> None:
    """Drop modules that share a helper's name but not its file or text, so that the right one is imported."""
    for name, file in helpers.items():
        loaded = sys.modules.get(name)
        if loaded is None:
            continue
        other = Path(getattr(loaded, "__file__", None) or "?").resolve() != file
        if other or _beside.get(name, hashes[name]) != hashes[name]:
            del sys.modules[name]
            # Python takes bytecode for current when size and second of the file agree, as after two quick edits.
            Path(cache_from_source(str(file))).unlink(missing_ok=True)


def _failed(error: Exception, path: Path, full: Path) -> ConfigError:
    """What went wrong while a file ran, with the last line of it that was running."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(full):
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f"{path}, line {line}" if line else str(path)
    if isinstance(error, ModuleNotFoundError):
        return ConfigError(f"{where}: no module {error.name!r}; install it or put {error.name}.py beside the strategy")
    kind = "" if isinstance(error, QuantkitError) else f"{type(error).__name__}: "
    return ConfigError(f"{where}: {kind}{error}")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise ConfigError(f"no file and no module {name!r}; a strategy file ends in .py") from None
        raise ConfigError(f"module {name}: no module {error.name!r}; install it") from error
    except (ValueError, SyntaxError) as error:
        raise ConfigError(f"module {name!r} cannot be imported: {error}") from error


def _choose(module: ModuleType, wanted: str | None, where: str) -> type[Strategy]:
    from quantkit.strategy.base import Strategy

    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy
    }
    own = [name for name, value in classes.items() if value.__module__ == module.__name__ and not name.startswith("_")]
    if wanted is not None:
        if wanted not in classes:
            raise ConfigError(f"{where} has no Strategy class {wanted!r}; it has {', '.join(own) or 'none'}")
        return classes[wanted]
    if not own:
        raise ConfigError(f"{where} defines no Strategy class; write class Name(Strategy) with targets(self, bars)")
    if len(own) > 1:
        raise ConfigError(f"{where} defines {', '.join(own)}; choose one, as in {where}:{own[0]}")
    return classes[own[0]]
