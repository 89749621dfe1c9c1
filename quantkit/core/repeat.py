"""Call the fold from compiled code, many times for one call from Python.

Python hands a kernel some thirty arrays, which takes longer than to fold years of quiet bars. A kernel that runs the
fold again and again calls it by address (`fold.address_of_run`), so that it need not compile the fold a second time.
With `NUMBA_DISABLE_JIT=1` the address is the function itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable


@intrinsic
def _call(
    _typing: Any, _address: Any, _state: Any, _inputs: Any, _events: Any, _plan: Any, _log: Any, _equity: Any,
    _cash: Any, _start: Any, _room: Any, _rare: Any, _extra: Any, _rule: Any, _plain: Any,
) -> Any:  # fmt: skip
    kinds = (_state, _inputs, _events, _plan, _log, _equity, _cash, _start, _room, _rare, _extra, _rule, _plain)

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        form = context.call_conv.get_function_type(types.int64, kinds)
        callee = builder.inttoptr(args[0], form.as_pointer())
        status, answer = context.call_conv.call_function(builder, callee, types.int64, kinds, args[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return answer

    return types.int64(_address, *kinds), codegen


def _python(address: Any, *arguments: Any) -> int:
    return int(address(*arguments))


_PLAIN = bool(getattr(numba.config, "DISABLE_JIT", 0))
call_fold: Callable[..., int] = cast("Any", _python if _PLAIN else _call)
"""`call_fold(address, *arguments of core.fold._run)`: the next bar to fold."""
