"""The text behind a strategy class: its hash, its file, and the local modules it imports.

Contract: nothing is imported or run; imports are read from the syntax tree. The hash is the SHA-256 of the strategy
file's bytes as they were loaded; of the class's own text in a notebook; of its compiled code where no text exists
(typed into a prompt). Local modules are those found beside the strategy file, followed through their own imports.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import marshal
import sys
from pathlib import Path
from types import CodeType
from typing import NamedTuple

FILE_MARK = "__strategy_source__"  # on modules made by `loading`: the bytes that were executed


class Source(NamedTuple):
    """Where a class came from."""

    path: Path | None  # None in a notebook or at a prompt
    sha256: str
    local_modules: tuple[Path, ...]


def source_of(cls: type) -> Source:
    """The source of a class."""
    module = sys.modules.get(cls.__module__)
    name = getattr(module, "__file__", None)
    path = Path(name).resolve() if name and not name.startswith("<") else None
    kept = getattr(module, FILE_MARK, None)
    if path is not None and path.suffix == ".py" and (kept is not None or path.is_file()):
        text = kept if kept is not None else path.read_bytes()
        return Source(path, hashlib.sha256(text).hexdigest(), local_modules(path, text))
    try:
        own = inspect.getsource(cls).encode()
    except (OSError, TypeError):
        own = _compiled(cls)
    return Source(None, hashlib.sha256(own).hexdigest(), ())


def local_modules(path: Path, text: bytes | None = None) -> tuple[Path, ...]:
    """Files below the folder of `path` that it imports, directly or through each other, sorted."""
    root, found, waiting = path.resolve().parent, set[Path](), [path.resolve()]
    texts = {} if text is None else {path.resolve(): text}
    while waiting:
        current = waiting.pop()
        for name in _imported(texts.get(current) or current.read_bytes(), current, root):
            for file in _files(root, name):
                if file not in found and file != path.resolve():
                    found.add(file)
                    waiting.append(file)
    return tuple(sorted(found))


def module_name(root: Path, file: Path) -> str:
    """The dotted name under which a file below `root` is imported."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(text: bytes, file: Path, root: Path) -> set[str]:
    """Dotted names that a file may import; a name imported from a package may itself be a module."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = file.parent.relative_to(root).parts if node.level else ()
            base = ".".join((*parents[: len(parents) - node.level + 1], *filter(None, [node.module])))
            names.update(filter(None, [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]))
    return {name for name in names if name.partition(".")[0] != "quantkit"}


def _files(root: Path, name: str) -> list[Path]:
    """Files that importing `name` from `root` runs: packages on the way and the module itself."""
    files, folder = [], root
    for part in name.split("."):
        module, package = folder / f"{part}.py", folder / part / "__init__.py"
        if package.is_file():
            files.append(package.resolve())
        elif module.is_file():
            return [*files, module.resolve()]
        elif not (folder / part).is_dir():
            return files
        folder = folder / part
    return files


def _compiled(cls: type) -> bytes:
    """Bytes of a class without text: its name, constants and functions' code."""
    pieces = [cls.__qualname__.encode()]
    for name, value in sorted(vars(cls).items()):
        code = getattr(getattr(value, "fget", value), "__code__", None)
        if isinstance(code, CodeType):
            pieces.append(marshal.dumps(code))
        elif not name.startswith("_"):
            pieces.append(f"{name}={value!r}".encode())
    return b"\n".join(pieces)
