"""A space of parameters as a command line writes it.

    --param fast=5:60:5        5, 10, ..., 60 (the end counts when a step meets it)
    --param mode=close,open    these two
    --param stop_loss=none,0.05,0.1
    --where "fast < slow"

Contract: texts become values by the strategy's own declaration, or by the type of the policy's field; ConfigError names
the option and what it may be. `where` knows names, numbers, comparisons, arithmetic, and, or, not; nothing is executed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit import Strategy

Space = Annotated[
    list[str] | None,
    typer.Option("--param", help="Values to try: name=5:60:5, or name=5,10,20; may be repeated. A Policy field too."),
]
Where = Annotated[str | None, typer.Option(help='Which sets count, as in "fast < slow".')]

MOST = 100_000  # values of one range: more is a slip of the pen
_WORDS: dict[str, object] = {"none": None, "true": True, "false": False}
_DOING: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


def space_of(cls: type[Strategy], texts: Sequence[str] | None) -> dict[str, list[Any]]:
    """The values of each name.

    ConfigError for a text that says no values, and a name that is neither the strategy's nor a field of `Policy`.
    """
    from quantkit.core.policy import Policy

    known = {field.name for field in fields(Policy)}
    found: dict[str, list[Any]] = {}
    for name, text in given.parse_params(texts).items():
        parts = [part for piece in text.split(",") for part in _range(name, piece.strip())]
        if not text.strip():
            raise ConfigError(f"--param {name}= is empty; write {name}=5:60:5 or {name}=5,10,20")
        if name in cls.parameters():
            found[name] = [cls.parse({name: part})[name] for part in parts]
        elif name not in known:
            raise ConfigError(
                f"--param {name}: {cls.__name__} has the parameters {', '.join(cls.parameters()) or 'none'}, and "
                f"Policy has {', '.join(sorted(known))}"
            )
        else:
            found[name] = [_policy_value(part) for part in parts]
    return found


def _range(name: str, text: str) -> list[str]:
    """`5:60:5` as its values; anything else as it is."""
    parts = text.split(":")
    if len(parts) == 1:
        return [text]
    try:
        low, high, *rest = (Decimal(part) for part in parts)
        step = rest[0] if rest else Decimal(1)
    except (InvalidOperation, ValueError):
        raise ConfigError(f"--param {name}={text}: a range is low:high or low:high:step, in numbers") from None
    if len(parts) > 3 or step <= 0 or high < low:
        raise ConfigError(f"--param {name}={text}: a range is low:high:step with low <= high and a step above 0")
    count = int((high - low) / step) + 1
    if count > MOST:
        raise ConfigError(f"--param {name}={text}: {count:,} values; at most {MOST:,}")
    return [str(low + step * place) for place in range(count)]


def _policy_value(text: str) -> object:
    """None, yes or no, a number, else the text: `Policy` checks the rest."""
    if text.casefold() in _WORDS:
        return _WORDS[text.casefold()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def where_of(text: str | None) -> Callable[[Any], bool] | None:
    """A condition on a parameter set. ConfigError for what is no condition."""
    if text is None:
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ConfigError(f'--where {text!r} cannot be read; write it like "fast < slow"') from None

    def holds(parameters: Any) -> bool:
        return bool(_value(tree, vars(parameters), text))

    return holds


def _value(node: ast.AST, names: Mapping[str, Any], text: str) -> Any:
    """The value of an expression over parameters."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise ConfigError(f"--where {text!r}: {node.id!r} is not tried; there are {', '.join(names) or 'none'}")
        return names[node.id]
    if isinstance(node, ast.BoolOp):
        joined = all if isinstance(node.op, ast.And) else any
        return joined(_value(part, names, text) for part in node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        inner = _value(node.operand, names, text)
        return not inner if isinstance(node.op, ast.Not) else -inner
    if isinstance(node, ast.BinOp) and type(node.op) in _DOING:
        return _DOING[type(node.op)](_value(node.left, names, text), _value(node.right, names, text))
    if isinstance(node, ast.Compare) and all(type(op) in _DOING for op in node.ops):
        sides = [_value(side, names, text) for side in (node.left, *node.comparators)]
        return all(_DOING[type(op)](a, b) for op, a, b in zip(node.ops, sides, sides[1:], strict=False))
    raise ConfigError(f"--where {text!r}: only names, numbers, comparisons, + - * / // %, and, or, not")
