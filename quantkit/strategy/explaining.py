"""Why a rule does not compile: which line, what compiled code cannot do there, and what to write instead.

Contract: one ConfigError for whatever Numba says; its own report stays as the cause. The line is the first one of the
person's that Numba names, or that of the instruction that could have raised it. Reasons: `_TABLE`, first match first.

>>> people("add(float64, Literal[str](a))")
"add(a number, the text 'a')"
"""

from __future__ import annotations

import builtins
import difflib
import dis
import linecache
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_OURS = ("kinds.py", "reading.py", "calling.py")  # of quantkit.core
MARK = "on_bar: "  # begins every message of `core.kinds` and `core.calling`
_PREPARE = "compute it in prepare(bars), which is plain Python"
_KEEP = "declare what the rule keeps in state or symbol_state, or use a NumPy array"


class Place(NamedTuple):
    """A line of a person's code."""

    file: str
    line: int


def explained(error: BaseException, cls: type, function: Any) -> ConfigError:
    """What a person can do about an error of the compiler."""
    message = str(error)
    reason, instead = _reason(error, message, function)
    place = _place(error, message, function)
    shown = linecache.getline(place.file, place.line).strip()
    head = f"{_named(place.file)}, line {place.line}: {cls.__name__}.on_bar does not compile: {reason}"
    parts = [head, f"    {shown}" if shown else "", f"Instead: {instead}" if instead else ""]
    return ConfigError("\n".join(part for part in parts if part))


def _named(file: str) -> str:
    """A file as a person knows it."""
    path = Path(file)
    if path.parent.name.startswith("ipykernel_"):
        return "this notebook cell"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


# --- where ----------------------------------------------------------------------------------------------------------

_PLACES = (
    re.compile(r"(?:at|Raised from) (?P<file>.+?) \((?P<line>\d+)\)"),
    re.compile(r'File "(?P<file>.+?)", line (?P<line>\d+)'),
)


def _place(error: BaseException, message: str, function: Any) -> Place:
    """The first line of a person's code that the message names; else the instruction that looks guilty."""
    code = function.__code__
    for pattern in _PLACES:
        for found in pattern.finditer(message):
            file = found["file"]
            parts = Path(file).parts
            if not {"numba", "site-packages"} & set(parts) and parts[-1] not in _OURS:
                same = Path(file).name == Path(code.co_filename).name
                return Place(code.co_filename if same else file, int(found["line"]))
    return Place(code.co_filename, _guilty(error, message, function) or code.co_firstlineno)


def _guilty(error: BaseException, message: str, function: Any) -> int | None:
    """The line of the instruction that an error without a place is about."""
    wanted: Callable[[dis.Instruction], bool]
    named = re.search(r"name '(\w+)' is not defined", message)
    if named:
        wanted = lambda one: one.argval == named[1]  # noqa: E731
    elif isinstance(error, KeyError) and error.args:
        wanted = lambda one: one.argval == error.args[0]  # noqa: E731
    elif "with (context manager)" in message:
        wanted = lambda one: one.opname == "BEFORE_WITH"  # noqa: E731
    else:
        return None
    lines = (one.positions.lineno for one in dis.get_instructions(function) if one.positions and wanted(one))
    return next(lines, None)


# --- why ------------------------------------------------------------------------------------------------------------


def _reason(error: BaseException, message: str, function: Any) -> tuple[str, str]:
    """(what compiled code cannot do, what to write instead)."""
    if MARK in message:
        return people(message.split(MARK, 1)[1].split("\n", 1)[0].strip()), ""
    if isinstance(error, KeyError) and error.args:
        return f"there is no field {error.args[0]!r}", "an order has id, side, quantity, filled, limit, stop, tag, age"
    for pattern, answer in _TABLE:
        found = re.search(pattern, message, re.DOTALL)
        if found:
            reason, instead = answer(found, function) if callable(answer) else answer
            return people(reason), instead
    lines = [line.strip() for line in message.splitlines()]
    first = next((line for line in lines if line and not line.startswith("Failed in")), type(error).__name__)
    return people(first), f"{_PREPARE}; or look closer with backtest(..., interpret=True)"


def people(text: str) -> str:
    """Numba's names of types in plain words."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text


_WORDS = (
    (r"Literal\[str\]\((.*?)\)", r"the text '\1'"),
    (r"Literal\[int\]\(-?\d+\)", "a whole number"),
    (r"Literal\[bool\]\(\w+\)", "True or False"),
    (r"BoundFunction\((ctx\.\w+) for [^)]*\)", r"\1"),
    (r"(ctx\.\w+)#\d+\.[0-9a-f]{64}", r"\1"),
    (r"(ctx|self|ctx\.state|ctx\.symbol_state\[s\])#[0-9a-f]{64}", r"\1"),
    (r"(?:unaligned )?array\([^()]*(?:\([^()]*\))?[^()]*\)", "an array"),
    (r"(?:reflected )?list\([^()]*\)(?:<iv=[^>]*>)?", "a list"),
    (r"Tuple\(|UniTuple\(", "a tuple of ("),
    (r"\bu?int(?:8|16|32|64)\b", "a whole number"),
    (r"\bfloat(?:32|64)\b", "a number"),
    (r"\bunicode_type\b", "a text"),
    (r"\bbool(?:ean)?\b", "True or False"),
    (r"\bnone\b", "None"),
)


def _undefined(found: re.Match[str], function: Any) -> tuple[str, str]:
    name = found[1]
    near = difflib.get_close_matches(name, [*function.__code__.co_varnames, *function.__globals__], n=1)
    return f"{name} is not defined", f"did you mean {near[0]}?" if near else ""


def _outside(found: re.Match[str], function: Any) -> tuple[str, str]:
    """A global name whose value has no meaning in compiled code."""
    name = found[1]
    if name in ("any", "all"):
        return f"{name}() does not exist in compiled code", "write a loop, or np.any(array) and np.all(array)"
    if name == "super":
        return "super() does not exist in compiled code", "call a function of the module that both classes use"
    if hasattr(builtins, name):
        return f"{name}() does not exist in compiled code", _PREPARE
    kind = type(function.__globals__.get(name)).__name__
    return (
        f"{name} is a {kind} from outside of on_bar, which compiled code cannot hold",
        "from outside it reads numbers, texts, tuples, NumPy arrays and functions; a list can be a tuple",
    )


def _operation(found: re.Match[str], _function: Any) -> tuple[str, str]:
    """A call of something with types it does not know."""
    name, given = found[2], found[3]
    view = re.search(r"ctx\.(\w+)#", given)
    if "BoundFunction" in given:
        return "a method of ctx is called with round brackets, as in ctx.cancel_all(s)", ""
    if view:
        return (
            f"{name} of ctx.{view[1]}: it is no array, ctx.{view[1]}[...] gives one value",
            "read what is needed in a loop: for k in range(n): ctx.close[k, s]",
        )
    if "LiteralStrKey" in given or "DictType" in given:
        return "a dict with values of several kinds", _KEEP
    given = people(given)
    if name == "setitem":
        return f"{given.rsplit(', ', 1)[-1]} cannot be put into {given.split(', ')[0]}", ""
    symbol = _SIGNS.get(name)
    shown = f" {symbol} ".join(given.split(", ")) if symbol and given.count(", ") == 1 else f"{name}({given})"
    if "None" in given:
        return f"{shown}: something is None here", "start the name with a number, such as 0.0 or np.nan"
    return f"it does not know {shown}", _PREPARE


_SIGNS = {
    "add": "+", "iadd": "+=", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!=", "contains": "in",
}  # fmt: skip

_Answer = tuple[str, str] | Any
_TABLE: tuple[tuple[str, _Answer], ...] = (
    (r"name '(\w+)' is not defined", _undefined),
    (
        r"Unknown attribute '(\w+)' of type Module\(<module '([\w.]+)'",
        lambda found, _: (f"{found[2]}.{found[1]} works on whole columns, in Python", _PREPARE),
    ),
    (
        r"Use of unsupported NumPy function '([\w.]+)'",
        lambda found, _: (f"{found[1]} does not exist in compiled code", _PREPARE),
    ),
    (r"Untyped global name '(\w+)'", _outside),
    (
        r"reflected list.*?variable '(\w+)' in globals",
        lambda found, _: (f"{found[1]} is a list from outside of on_bar, which would never change", _KEEP),
    ),
    (
        r"Exception matching is limited|exception_match",
        (
            "it cannot catch errors of one kind",
            "ask before: if price > 0: ...; a division by zero gives inf, not an error",
        ),
    ),
    (r"f-string", ("it cannot format text", "print(name, value), or look closer with interpret=True")),
    (r"IMPORT_NAME", ("it cannot import", "import at the top of the file")),
    (r"'with \(context manager\)", ("it cannot use with", _PREPARE)),
    (r"yield in a closure|generator", ("it cannot sum up a generator", "write a loop, or a list: sum([x for ...])")),
    (
        r"Cannot unify (.+?) and (.+?) for '(\w+?)(?:\.\d+)?'",
        lambda found, _: (
            f"{found[3]} is {found[1]} in one place and {found[2]} in another",
            "let a name hold one kind of value; start it with 0.0, False or np.nan, or use two names",
        ),
    ),
    (
        r"No conversion from (.+?) to none for '\$\w*return",
        (
            "on_bar returns something",
            "it acts through ctx, as in ctx.target(s, 0.1), and returns nothing",
        ),
    ),
    (r"Cannot mutate a literal dictionary|LiteralStrKey", ("a dict with values of several kinds", _KEEP)),
    (r"Cannot cast (.+?) to (\w+)", lambda found, _: (f"{found[1]} cannot be kept where {found[2]} is declared", "")),
    (
        r"Unknown attribute '(\w+)' of type (.+)",
        lambda found, _: (f"{found[2].splitlines()[0]} has no {found[1]!r}", _PREPARE),
    ),
    (
        r"Invalid use of (ctx\.\w+)#",
        lambda found, _: (f"{found[1]} takes square brackets, as in ctx.close[0, s] or ctx.position[s]", ""),
    ),
    (r"Key must be None or a Numba JIT", ("key= takes a function of your own", "def key(x): ... in the module")),
    (r"No implementation of function Function\((.+?)\) found for signature:\s*>>> (\w+)\((.*?)\)\s*\n", _operation),
)
