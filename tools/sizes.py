"""Size report: files over 500 lines and functions over 60 fail, those over 400 and 40 are listed.

    python tools/sizes.py            the whole repository, exit 1 when something is too long

Lines of a function are those of its body without the docstring: contracts may be as long as they need to be.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_AIM, FILE_LIMIT = 400, 500
FUNCTION_AIM, FUNCTION_LIMIT = 40, 60


def python_files() -> list[Path]:
    """Python files that git knows or would know."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return [path for name in sorted(set(listed)) if name and (path := Path(name)).is_file()]


def functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """(name, line, length) of every function of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            first = body[0].lineno if body else node.lineno
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - first + 1


def main() -> int:
    """Print what is long; 1 when something is too long."""
    long, too_long = [], []
    for path in python_files():
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > FILE_AIM:
            (too_long if lines > FILE_LIMIT else long).append(f"{path}: {lines} lines")
        for name, line, length in functions(path):
            if length > FUNCTION_AIM:
                (too_long if length > FUNCTION_LIMIT else long).append(f"{path}:{line}: {name} has {length} lines")
    if long:
        print(f"over the aim of {FILE_AIM} lines a file and {FUNCTION_AIM} a function:")
        print("\n".join(f"  {one}" for one in long))
    if too_long:
        print(f"error: over the limit of {FILE_LIMIT} lines a file and {FUNCTION_LIMIT} a function:")
        print("\n".join(f"  {one}" for one in too_long))
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
