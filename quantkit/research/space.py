"""The space a sweep looks at: which values of which parameters, and which of them belong together.

Contract: a keyword that is a parameter of the strategy sweeps it; else one that is a field of `Policy` sweeps the
policy's field; anything else is a ConfigError that lists both. Values are checked where they enter. A point is a tuple
of values in the order of `names`; `where` sees it as attributes, with the defaults of parameters that are not swept.

>>> space = Space.of(Example, {"fast": range(2, 5), "slow": [10, 20]})       # doctest: +SKIP
>>> space.grid()[0], len(space.grid())                                       # doctest: +SKIP
((2, 10), 6)
"""

from __future__ import annotations

import difflib
import itertools
import math
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.core.policy import Policy
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from quantkit.strategy import Strategy
    from quantkit.strategy.params import Param

Point = tuple[Any, ...]
MOST = 20_000_000  # points of a grid that are looked at one by one


@dataclass(frozen=True, slots=True)
class Axis:
    """The values of one name; or, for a search that draws, every number from `low` to `high`."""

    name: str
    values: tuple[Any, ...]
    low: float = math.nan
    high: float = math.nan

    @property
    def drawn(self) -> bool:
        """Whether values are drawn from a range, and not listed."""
        return not self.values

    @property
    def numeric(self) -> bool:
        """Whether the values have an order."""
        return self.drawn or all(_is_number(value) for value in self.values)

    def plain(self) -> object:
        """For records: the values, or the two ends."""
        return {"low": self.low, "high": self.high} if self.drawn else list(self.values)


@dataclass(frozen=True, slots=True)
class Space:
    """Axes in the order they were given; those of the policy are named in `of_policy`."""

    strategy: type[Strategy]
    axes: tuple[Axis, ...]
    of_policy: frozenset[str]
    where: Callable[[Any], object] | None = None
    caller: str = "sweep"  # what messages call the search

    @classmethod
    def of(
        cls, strategy: type[Strategy], given: Mapping[str, object], *, where: Callable[[Any], object] | None = None,
        drawn: bool = False,
    ) -> Space:  # fmt: skip
        """The space of keywords. drawn: without any, the declared ranges of all parameters (for searches that draw)."""
        declared, policy = strategy.parameters(), policy_names(strategy, given, caller="sweep")
        axes = []
        for name, values in given.items():
            listed = _values(name, values)
            own = dict.fromkeys(listed) if name in policy else _checked(strategy, listed, declared[name])
            axes.append(Axis(name, tuple(own)))
        if not axes and drawn:
            axes = [_declared_axis(name, one) for name, one in declared.items() if _has_range(one)]
        if not axes:
            raise ConfigError(
                f"sweep({strategy.__name__}): nothing to sweep; give values by name, as in "
                f"{next(iter(declared), 'stop_loss')}=range(5, 60, 5). Its parameters: {', '.join(declared) or 'none'}"
            )
        return cls(strategy, tuple(axes), policy, where)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def size(self) -> int | None:
        """Points before `where`; None where values are drawn from ranges."""
        if any(axis.drawn for axis in self.axes):
            return None
        return math.prod(len(axis.values) for axis in self.axes)

    def grid(self) -> list[Point]:
        """Every point that `where` lets through, the last axis fastest. ConfigError when there is none."""
        size = self.size
        if size is None:
            drawn = next(axis.name for axis in self.axes if axis.drawn)
            raise ConfigError(f"sweep: {drawn} has no list of values; give them, or search at random")
        if size > MOST:
            raise ConfigError(f"sweep: a grid of {size:,} points; take fewer values, or search='random' with runs=...")
        points = itertools.product(*(axis.values for axis in self.axes))
        found = list(points) if self.where is None else list(self.let_through(points))
        if not found:
            raise ConfigError(
                f"sweep: `where` lets none of the {size:,} points through; it may contradict the values of "
                + ", ".join(self.names)
            )
        return found

    def allows(self, point: Point) -> bool:
        """Whether `where` lets a point through."""
        return next(iter(self.let_through([point])), None) is not None

    def let_through(self, points: Iterable[Point]) -> Iterable[Point]:
        """The points that `where` lets through. ConfigError where it asks for a name that no point has."""
        if self.where is None:
            yield from points
            return
        defaults = {name: one.default for name, one in self.strategy.parameters().items()}
        shown = SimpleNamespace(**defaults)
        place = vars(shown)
        names = self.names
        for point in points:
            place.update(zip(names, point, strict=True))
            try:
                passes = bool(self.where(shown))
            except AttributeError as error:
                raise ConfigError(
                    f"{self.caller}(where=...): {error}; a point has {', '.join(sorted({*defaults, *names}))}"
                ) from error
            except Exception as error:
                error.add_note(f"in {self.caller}'s where, at {dict(zip(names, point, strict=True))}")
                raise
            if passes:
                yield point

    def split(self, point: Point) -> tuple[dict[str, Any], dict[str, Any]]:
        """(parameters of the strategy, fields of the policy) of a point."""
        pairs = dict(zip(self.names, point, strict=True))
        policy = {name: pairs.pop(name) for name in self.names if name in self.of_policy}
        return pairs, policy

    def plain(self) -> dict[str, object]:
        """Plain data, for records."""
        return {axis.name: axis.plain() for axis in self.axes}


def _values(name: str, values: object) -> list[Any]:
    """A list of plain values; one value stands for itself."""
    listed: list[Any]
    if isinstance(values, str | bytes | dict) or values is None or not hasattr(values, "__iter__"):
        listed = [values]
    else:
        listed = list(values)
    if not listed:
        raise ConfigError(f"sweep({name}={values!r}): no values")
    plain = [value.item() if isinstance(value, np.generic) else value for value in listed]
    for value in plain:
        if value is not None and not isinstance(value, int | float | str):
            raise ConfigError(f"sweep({name}=...): {value!r} is no number, text, True, False or None")
    return plain


def _checked(strategy: type[Strategy], values: list[Any], declared: Param) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(declared.check(strategy.__name__, value) for value in values))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_range(one: Param) -> bool:
    return one.choices is not None or one.type is bool or (one.low is not None and one.high is not None)


def _declared_axis(name: str, one: Param) -> Axis:
    """All values a parameter is declared to have."""
    if one.choices is not None:
        return Axis(name, one.choices)
    if one.type is bool:
        return Axis(name, (False, True))
    low, high = float(one.low or 0.0), float(one.high or 0.0)
    if one.type is int:
        return Axis(name, tuple(range(int(low), int(high) + 1, int(one.step or 1))))
    if one.step is not None:
        return Axis(name, tuple(low + k * one.step for k in range(int((high - low) / one.step + 1e-9) + 1)))
    return Axis(name, (), low, high)


def policy_names(strategy: type[Strategy], names: Iterable[str], *, caller: str) -> frozenset[str]:
    """Which of the names are the policy's: a parameter of the strategy comes first. ConfigError for one nobody has."""
    declared, known = strategy.parameters(), {field.name for field in fields(Policy)}
    for name in names:
        if name not in declared and name not in known:
            near = difflib.get_close_matches(name, [*declared, *known], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"{caller}: {name!r} is neither a parameter of {strategy.__name__} "
                f"({', '.join(declared) or 'it has none'}) nor a field of Policy ({', '.join(sorted(known))}){hint}"
            )
    return frozenset(name for name in names if name not in declared)
