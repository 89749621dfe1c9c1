"""`ctx` in compiled code, part three: what its actions become.

`ctx.buy(s, 10, limit=p)` becomes one call of `asking.ask` by the address in `Frame.now`. Arguments are those of the
methods of `Context`. Texts (`at="close"`) are read when the rule compiles; one that is no choice, or is not written in
the call, does not compile.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, Signature
from numba.extending import intrinsic, lower_builtin, overload_method

from quantkit.core.context import LOOKED, NOW_ASK, NOW_DETAIL, NOW_ERROR, NOW_NAME, RuleError, now_of, state_of
from quantkit.core.interface import ARGUMENTS, ORDER_VIEW, REQUESTS, TEXTS, Context
from quantkit.core.kinds import MARK, METHODS, OVERLOADED, ContextType
from quantkit.core.reading import Reader
from quantkit.core.state import BARS, BUY, N_ORDERS, SELL, STAGE_OVER
from quantkit.jit import njit_shared

_KINDS = (  # the frame, the request, its arguments
    types.int64,
    types.int64,
    *(types.int64 if isinstance(value, int) else types.float64 for value in ARGUMENTS.values()),
)

# Method: which request it is, what it fixes, which of its arguments have another name in `ask`, what it returns.
CALLS: dict[str, tuple[str, dict[str, float], dict[str, str], Any]] = {
    "buy": ("place", {"side": BUY}, {}, types.int64),
    "sell": ("place", {"side": SELL}, {}, types.int64),
    "cancel": ("cancel", {}, {"order": "s"}, types.boolean),
    "cancel_all": ("cancel_all", {}, {}, types.int64),
    "replace": ("replace", {}, {"order": "s"}, types.int64),
    "oco": ("oco", {}, {"order": "s", "other": "side"}, types.boolean),
    "target": ("target", {}, {"weight": "limit"}, types.none),
    "target_shares": ("target_shares", {}, {"shares": "quantity"}, types.none),
    "close_position": ("target_shares", {"quantity": 0.0}, {}, types.none),
    "working": ("working", {}, {"order": "s"}, types.boolean),
    "filled": ("filled", {}, {"order": "s"}, types.int64),
}


def _pysig(method: str) -> inspect.Signature:
    """How a method is called, without self."""
    whole = inspect.signature(getattr(Context, method))
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def _argument(method: str, name: str, given: Any, in_act: str) -> Any:
    """The type an argument is passed as."""
    if name in TEXTS:
        choices = ", ".join(map(repr, TEXTS[name]))
        if isinstance(given, types.NoneType | types.Omitted):
            return types.none
        if not isinstance(given, types.StringLiteral):
            raise TypingError(f"{MARK}ctx.{method}({name}=...) takes a text written in the call, one of {choices}")
        if given.literal_value not in TEXTS[name]:
            raise TypingError(f"{MARK}ctx.{method}({name}={given.literal_value!r}): choose one of {choices}")
        return given
    if isinstance(given, types.NoneType | types.Omitted):
        return types.none
    whole = isinstance(ARGUMENTS[in_act], int)
    if not isinstance(given, types.Integer | types.Boolean) and (whole or not isinstance(given, types.Float)):
        wanted = "a whole number; int(x) makes one of a float" if whole else "a number"
        raise TypingError(f"{MARK}ctx.{method}({name}=...) takes {wanted}, and got {given}")
    return types.int64 if whole else types.float64


def _template(method: str) -> type[AbstractTemplate]:
    """The typing of one method."""
    pysig, renamed = _pysig(method), CALLS[method][2]

    def generic(self: Any, args: Any, kws: Any) -> Any:
        try:
            bound = pysig.bind(*args, **kws)
        except TypeError as error:
            raise TypingError(f"{MARK}ctx.{method}: {error}; it is called as {method}{_shown(pysig)}") from None
        given = [
            types.none if name not in bound.arguments
            else _argument(method, name, bound.arguments[name], renamed.get(name, name))
            for name in pysig.parameters
        ]  # fmt: skip
        plain = pysig.replace(parameters=[_plain(one) for one in pysig.parameters.values()])
        return Signature(CALLS[method][3], tuple(given), self.this, pysig=plain)

    return type(f"_{method}", (AbstractTemplate,), {"key": f"ctx.{method}", "generic": generic, "prefer_literal": True})


def _plain(one: inspect.Parameter) -> inspect.Parameter:
    """A parameter as Numba's lowering takes it: not by keyword only, and None where it is not given."""
    default = one.default if one.default is inspect.Parameter.empty else None
    return one.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _shown(pysig: inspect.Signature) -> str:
    """A signature without its types."""
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in pysig.parameters.values()]
    return str(pysig.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _lowered(method: str, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The call of `ask` that one method becomes."""
    request, fixed, renamed, answer = CALLS[method]
    values = {
        name: context.get_constant(kind, ARGUMENTS[name]) for name, kind in zip(ARGUMENTS, _KINDS[2:], strict=True)
    }
    for name, value in fixed.items():
        values[name] = context.get_constant(types.int64 if isinstance(value, int) else types.float64, value)
    for name, kind, value in zip(_pysig(method).parameters, signature.args[1:], args[1:], strict=True):
        if isinstance(kind, types.StringLiteral):
            values[name] = context.get_constant(types.int64, TEXTS[name][kind.literal_value])
        elif kind != types.none:
            values[renamed.get(name, name)] = value
    reader = Reader(context, builder, args[0])
    native = context.call_conv.get_function_type(types.int64, _KINDS)
    callee = builder.inttoptr(reader.now(NOW_ASK), native.as_pointer())
    passed = [builder.ptrtoint(args[0], ir.IntType(64)), context.get_constant(types.int64, REQUESTS.index(request))]
    status, result = context.call_conv.call_function(builder, callee, types.int64, _KINDS, [*passed, *values.values()])
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    if answer == types.none:
        return context.get_dummy_value()
    return result if answer == types.int64 else builder.icmp_signed("!=", result, reader.constant(0))


for _name in CALLS:
    METHODS[_name] = _template(_name)
    lower_builtin(f"ctx.{_name}", ContextType, types.VarArg(types.Any))(partial(_lowered, _name))


# --- orders: the one answer that is a list -------------------------------------------------------------------------


@intrinsic
def _address_of(_typing: Any, ctx: types.Type) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], ir.IntType(64))

    return types.int64(ctx), codegen


_address: Any = _address_of


@njit_shared
def orders_of(frame: Any, s: int) -> Any:
    """The working orders of a name, as ORDER_VIEW rows; compiled once for all rules."""
    state, now = state_of(frame), now_of(frame)
    if s < 0 or s >= len(state.names):
        now[NOW_ERROR], now[NOW_DETAIL], now[NOW_NAME] = LOOKED, 0, s
        raise RuleError
    count = 0
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.symbol == s and order.own and order.stage != STAGE_OVER:
            count += 1
    found = np.empty(count, ORDER_VIEW)
    count = 0
    for k in range(state.account[N_ORDERS]):
        order = state.orders[k]
        if order.symbol == s and order.own and order.stage != STAGE_OVER:
            seen = found[count]
            seen.id = order.id
            seen.side = order.side
            seen.quantity = order.qty - order.filled
            seen.filled = order.filled
            seen.limit = order.limit
            seen.stop = order.stop
            seen.tag = order.tag
            seen.age = state.account[BARS] - order.bar
            count += 1
    return found


@overload_method(ContextType, "orders")
def _orders(ctx: Any, s: Any) -> Any:  # noqa: ARG001 - the names are those of the call
    if not isinstance(s, types.Integer):
        raise TypingError(f"{MARK}ctx.orders(s) takes the number of a name")

    def read(ctx: Any, s: Any) -> Any:
        return orders_of(_address(ctx), s)

    return read


OVERLOADED.add("orders")
