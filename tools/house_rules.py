"""House rules that no linter knows, checked over the whole repository. Exit 1 when one is broken.

- `quantkit/core`, `trading` and `live` read no clock and draw no random number: equal input, equal state, to the last
  bit. The one door is `live/clock.py`, which everything live is handed a clock from
- the library prints nothing (the command line speaks through `cli.console`) and has no bare `except`
- no file names a package registry's host or a place on somebody's machine
- constraints.txt pins every installed package that quantkit and its extras bring in, one exact version each
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep", "localtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
PURE = ("quantkit/core", "quantkit/trading", "quantkit/live")
THE_DOOR = Path("quantkit/live/clock.py")
MEASURES = Path("quantkit/doctor.py")  # times the machine it looks at
FORBIDDEN_WHERE_PURE = {"time", "random", "secrets", "uuid"}
# Assembled from pieces, so that this file does not break its own rule.
HOSTS = re.compile(
    "|".join(("pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.(?:org|com)", "anaconda" + r"\.org"))
)
MACHINE = re.compile(r"(?<![\w.~$}])(?:/(?:root|home/\w+|Users/\w+|work)/|[A-Z]:\\Users\\)")
LOCK_FILES = ("uv.lock", "poetry.lock", "package-lock.json")


def tracked() -> list[Path]:
    """Files that git knows or would know."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return [path for name in sorted(set(listed)) if name and (path := Path(name)).is_file()]


def time_is_given(path: Path, tree: ast.AST) -> Iterator[str]:
    """Imports of clocks and of randomness, and NumPy's own generator, in the compiled heart and in live trading."""
    if path == THE_DOOR or not any(path.is_relative_to(folder) for folder in PURE):
        return
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Attribute) and node.attr == "random":
            yield f"{path}:{node.lineno}: randomness; pass numbers in"
        for module in modules:
            if module.split(".")[0] in FORBIDDEN_WHERE_PURE or module.startswith("numpy.random"):
                yield f"{path}:{node.lineno}: imports {module}; clock and randomness are passed in"


def library_is_quiet(path: Path, tree: ast.AST) -> Iterator[str]:
    """`print` in the package, and bare `except`."""
    if path.parts[0] != "quantkit":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{path}:{node.lineno}: print in the library"
        if isinstance(node, ast.ExceptHandler):
            empty = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            if node.type is None or (empty and getattr(node.type, "id", "") in ("Exception", "BaseException")):
                yield f"{path}:{node.lineno}: an except that hides every error"


def clocks(path: Path, tree: ast.AST) -> Iterator[str]:
    """Calls that read the wall clock where results are made; the lake and the command line may know what time it is."""
    if path.parts[0] != "quantkit" or path.parts[1] in ("cli", "data") or path in (THE_DOOR, MEASURES):
        return
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
        if node.func.attr in CLOCKS.get(name, ()):
            yield f"{path}:{node.lineno}: {name}.{node.func.attr}() reads the clock; take the time as an argument"


def names_no_machine(path: Path, text: str) -> Iterator[str]:
    """Registry hosts and machine paths, in any text file."""
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in ((HOSTS, "a registry's host name"), (MACHINE, "a path of one machine")):
            if pattern.search(line):
                yield f"{path}:{number}: {what}: {line.strip()[:80]}"


def versions_are_pinned() -> Iterator[str]:
    """Installed packages of the closure of quantkit's extras that constraints.txt does not pin at their version."""
    pins = {}
    for line in Path("constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, sign, version = line.partition("==")
            if not sign or "://" in line or "--hash" in line:
                yield f"constraints.txt: {line!r}: write name==version"
            pins[canonicalize_name(name)] = version
    waiting, seen = [Requirement("quantkit[demo,korean,download,vectorbt,oracles,notebook,research,dev]")], set()
    while waiting:
        wanted = waiting.pop()
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:
            continue  # an extra that is not installed here
        name = canonicalize_name(wanted.name)
        extras = sorted(wanted.extras) or [""]
        if name not in ("quantkit", "pip", "setuptools") and name not in seen and pins.get(name) != found.version:
            yield f"constraints.txt: {name} {found.version} is installed, {pins.get(name, 'nothing')} is pinned"
        for text in found.requires or () if (name, *extras) not in seen else ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
        seen |= {name, (name, *extras)}


def main() -> int:
    """Print every broken rule; 1 when there is one."""
    broken = list(versions_are_pinned())
    for path in tracked():
        if path.suffix in (".png", ".parquet", ".gz") or path.name in LOCK_FILES:
            continue
        text = path.read_text(encoding="utf-8")
        broken += names_no_machine(path, text)
        if path.suffix == ".py":
            tree = ast.parse(text, str(path))
            for rule in (time_is_given, library_is_quiet, clocks):
                broken += rule(path, tree)
    print("\n".join(broken) if broken else "house rules: all kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
