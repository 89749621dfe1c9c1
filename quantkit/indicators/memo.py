"""Indicators shared between runs over the same bars: computed once, and kept while there is room.

    with sharing(Memo(limit)) as memo:      a sweep does this, nobody else
        memo.watch(bars)
        ta.sma(bars.close, 20)              computed
        ta.sma(bars.close, 20)              the same array again

Contract: a call is known by its function, its numbers, and the very arrays it was given, and only where these belong to
a watched panel or were themselves kept here; any other array (a slice, a sum) may change or vanish, so a call with one
is simply made. Kept arrays cannot be written to. The least recently used go first. Safe for threads; active only in
the context that entered `sharing`.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantkit.data.bars import Bars

P = ParamSpec("P")
R = TypeVar("R")

_PLAIN = frozenset({int, float, bool, str, type(None)})
_current: ContextVar[Memo | None] = ContextVar("quantkit_memo", default=None)


def shared(function: Callable[P, R]) -> Callable[P, R]:
    """An indicator that a sweep computes once for equal arguments."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        memo = _current.get()
        return function(*args, **kwargs) if memo is None else cast("R", memo.call(function, args, kwargs))

    return call


@contextmanager
def sharing(memo: Memo | None) -> Iterator[Memo | None]:
    """Let indicators called inside be shared; None: let them not be."""
    token = _current.set(memo)
    try:
        yield memo
    finally:
        _current.reset(token)


class Memo:
    """Results of indicators, at most `limit` bytes of them; `hits` and `misses` count the calls.

    off: from now on every call is made, as without a memo.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used, self.off = limit, 0, False
        self.hits, self.misses = 0, 0
        self._lock = Lock()
        self._panels: list[Bars] = []
        self._known: dict[int, tuple[np.ndarray[Any, Any], object]] = {}  # id of an array -> itself, its mark
        self._kept: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def watch(self, bars: Bars) -> None:
        """Let the arrays of a panel identify calls; the panel lives as long as this."""
        with self._lock:
            if not any(panel is bars for panel in self._panels):
                self._panels.append(bars)

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`function(*args, **kwargs)`, from memory where it can be."""
        key = None if self.off else self._key(function, args, kwargs)
        if key is None:
            return function(*args, **kwargs)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                self.hits += 1
                return found[0]
            self.misses += 1
        return self._keep(key, function(*args, **kwargs))

    def _key(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, ...] | None:
        parts: list[Any] = [function]
        for value in args:
            if type(value) in _PLAIN:
                parts += (type(value), value)
            elif isinstance(value, np.ndarray):
                mark = self._mark(value)
                if mark is None:
                    return None
                parts.append(mark)
            else:
                return None
        if kwargs:
            for name in sorted(kwargs):
                inner = self._key(function, (kwargs[name],), {})
                if inner is None:
                    return None
                parts += (name, inner)
        return tuple(parts)

    def _mark(self, array: np.ndarray[Any, Any]) -> object | None:
        """What stands for an array in keys, never used for another one; None for an array nobody here holds."""
        found = self._known.get(id(array))
        if found is None:
            with self._lock:
                for panel in self._panels:
                    for owned in panel.arrays():
                        if id(owned) not in self._known:
                            self._known[id(owned)] = (owned, object())
                found = self._known.get(id(array))
        return None if found is None or found[0] is not array else found[1]

    def _keep(self, key: tuple[Any, ...], result: Any) -> Any:
        arrays = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(array, np.ndarray) for array in arrays):
            return result
        size = sum(array.nbytes for array in arrays)
        if size > self.limit:
            return result
        with self._lock:
            if key in self._kept:  # another thread was first: one array for all
                return self._kept[key][0]
            for array in arrays:
                array.flags.writeable = False
                self._known[id(array)] = (array, object())
            self._kept[key] = (result, size)
            self.used += size
            while self.used > self.limit:
                _, (old, freed) = self._kept.popitem(last=False)
                self.used -= freed
                for array in old if isinstance(old, tuple) else (old,):
                    del self._known[id(array)]
        return result
