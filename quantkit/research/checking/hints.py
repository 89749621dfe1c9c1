"""What a strategy's text says about how it might look ahead: words for a cause, never a finding.

Contract: the text of the class and of the functions of its file that it names is read as a syntax tree; nothing is run.
A hint has the line where it stands. No text, no hints.

    shift        x.shift(-k), np.roll(x, -k)       slice     x[k:], written over earlier rows
    centre       rolling(..., center=True)         reverse   x[::-1]
    backfill     bfill, fillna(method="bfill")     interpolate
    resample     resample, groupby, pd.Grouper     filter    filtfilt, savgol_filter, fft, ...
    full         mean, std, max, quantile, rank over all rows
    fit          fit, fit_transform, polyfit, qcut, ...
    last         x[-1], x[-n:], .tail              length    len(bars), bars.shape[0]
    actions      bars.actions                      random, clock, files
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import NamedTuple

_CALLS = {
    "bfill": "backfill", "backfill": "backfill", "interpolate": "interpolate", "interp": "interpolate",
    "resample": "resample", "transform": "resample", "groupby": "resample", "Grouper": "resample",
    "to_period": "resample", "fit": "fit", "fit_transform": "fit", "fit_predict": "fit", "polyfit": "fit",
    "lstsq": "fit", "qcut": "fit", "cut": "fit", "svd": "fit", "eigh": "fit", "detrend": "fit", "kmeans": "fit",
    "mean": "full", "nanmean": "full", "std": "full", "nanstd": "full", "var": "full", "min": "full", "max": "full",
    "nanmin": "full", "nanmax": "full", "median": "full", "nanmedian": "full", "quantile": "full",
    "nanquantile": "full", "percentile": "full", "nanpercentile": "full", "rank": "full", "zscore": "full",
    "corrcoef": "full", "cov": "full", "argsort": "full", "sum": "full", "nansum": "full", "ptp": "full",
    "argmax": "full", "argmin": "full", "idxmax": "full", "idxmin": "full",
    "filtfilt": "filter", "sosfiltfilt": "filter", "savgol_filter": "filter", "fft": "filter", "rfft": "filter",
    "hilbert": "filter", "gaussian_filter1d": "filter", "wiener": "filter", "lowess": "filter", "decompose": "filter",
    "seasonal_decompose": "filter", "hpfilter": "filter", "medfilt": "centre", "convolve": "centre",
    "uniform_filter1d": "centre", "median_filter": "centre",
    "flip": "reverse", "flipud": "reverse", "tail": "last", "last": "last", "len": "length",
    "default_rng": "random", "rand": "random", "randn": "random", "normal": "random", "uniform": "random",
    "random": "random", "choice": "random", "randint": "random", "integers": "random", "permutation": "random",
    "shuffle": "random", "now": "clock", "today": "clock", "time": "clock", "perf_counter": "clock",
    "read_csv": "files", "read_parquet": "files", "load": "files", "open": "files", "loadtxt": "files",
    "sql": "files", "get": "", "urlopen": "files",
}  # fmt: skip


class Hint(NamedTuple):
    """A word in the text."""

    kind: str
    line: int  # in the file, from 1
    text: str
    steps: int = 0  # of a shift: bars into the future


def hints_of(cls: type) -> list[Hint]:
    """Hints in the class's text, in its order; empty where there is no text."""
    found: list[Hint] = []
    for text, first in _texts(cls):
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            for kind, steps in _kinds(node):
                line = getattr(node, "lineno", 1)
                shown = " ".join(ast.unparse(node).split())
                found.append(Hint(kind, first + line - 1, shown if len(shown) <= 60 else shown[:57] + "...", steps))
    return sorted(found, key=lambda hint: (hint.line, len(hint.text)))


def _texts(cls: type) -> list[tuple[str, int]]:
    """(text, first line) of the class, of its own ancestors, and of functions of its module that they name."""
    texts = []
    named: set[str] = set()
    module = inspect.getmodule(cls)
    for one in cls.__mro__:
        if one is object or one.__module__.startswith("quantkit."):
            continue
        try:
            lines, first = inspect.getsourcelines(one)
        except (OSError, TypeError):
            continue
        text = textwrap.dedent("".join(lines))
        texts.append((text, max(first, 1)))
        named |= {word for word in text.replace("(", " ").replace(".", " ").split() if word.isidentifier()}
    for name in sorted(named):
        function = getattr(module, name, None)
        if inspect.isfunction(function) and function.__module__ == cls.__module__:
            try:
                lines, first = inspect.getsourcelines(function)
            except (OSError, TypeError):
                continue
            texts.append((textwrap.dedent("".join(lines)), max(first, 1)))
    return texts


def _kinds(node: ast.AST) -> list[tuple[str, int]]:
    """What one node of the tree hints at."""
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Subscript):
        return _subscript(node)
    if isinstance(node, ast.Attribute) and node.attr == "actions":
        return [("actions", 0)]
    return []


def _call(node: ast.Call) -> list[tuple[str, int]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keywords = {one.arg: one.value for one in node.keywords}
    found = []
    if name in ("shift", "roll", "diff", "pct_change", "lead"):
        given = [*node.args, *(keywords[key] for key in ("periods", "shift", "n") if key in keywords)]
        steps = min((number for one in given if (number := _number(one)) is not None), default=0)
        negative = any(isinstance(one, ast.UnaryOp) and isinstance(one.op, ast.USub) for one in given)
        if negative or name == "lead":
            found.append(("shift", abs(steps)))
    centre = keywords.get("center")
    if isinstance(centre, ast.Constant) and centre.value is True:
        found.append(("centre", 0))
    method = keywords.get("method")
    if isinstance(method, ast.Constant) and method.value in ("bfill", "backfill"):
        found.append(("backfill", 0))
    rolling = isinstance(node.func, ast.Attribute) and _windowed(node.func.value)
    kind = _CALLS.get(name, "")
    if kind and not (kind == "full" and (rolling or _across(node, keywords))):
        found.append((kind, 0))
    return found


def _windowed(node: ast.AST) -> bool:
    """Whether a chain of calls goes through a window that looks back."""
    names = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    return bool(names & {"rolling", "expanding", "ewm"})


def _across(node: ast.Call, keywords: dict[str | None, ast.expr]) -> bool:
    """Whether a statistic is taken across names, or is our own and causal."""
    axis = keywords.get("axis")
    if axis is not None and _number(axis) == 1:
        return True
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id == "ta"


def _subscript(node: ast.Subscript) -> list[tuple[str, int]]:
    if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
        return [("length", 0)] if _number(node.slice) == 0 else []
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    first = parts[0]
    if isinstance(first, ast.Slice):
        if first.step is not None and (_number(first.step) or 0) < 0:
            return [("reverse", 0)]
        low = _number(first.lower) if first.lower is not None else None
        if low is not None and low > 0 and first.upper is None:
            return [("slice", low)]
        if low is not None and low < 0:
            return [("last", 0)]
        return []
    number = _number(first)
    return [("last", 0)] if number is not None and number < 0 else []


def _number(node: ast.AST) -> int | None:
    """A whole number written out."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None
