"""Parameters of a strategy: typed, ranged, fixed when the strategy is built.

Contract: a parameter is int, float, bool or str, as its default is (an int default under a `float` annotation is a
float). Every value is checked where it enters: ConfigError names the strategy, the parameter, the value and what it
may be. `step` is the spacing a search uses, not a rule for values.

>>> Param(20, low=2, high=120).wanted()
'a whole number from 2 to 120'
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, TypeVar, cast, overload

import numpy as np

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

Value = int | float | bool | str
V = TypeVar("V", int, float, bool, str)

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Param:
    """One declared parameter; a descriptor that gives the value on an instance and itself on the class."""

    def __init__(
        self,
        default: Value,
        *,
        low: float | None = None,
        high: float | None = None,
        choices: Sequence[Value] | None = None,
        step: float | None = None,
        doc: str | None = None,
    ) -> None:
        self.default = default
        self.low, self.high, self.step = low, high, step
        self.choices = None if choices is None else tuple(choices)
        self.doc = doc
        self.name = "parameter"
        self.type: type[Value] = type(default)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        annotation = inspect.get_annotations(owner).get(name)
        if annotation in ("float", float) and self.type is int:
            self.type, self.default = float, float(self.default)

    @overload
    def __get__(self, instance: None, owner: type) -> Param: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> Param | Value:
        return self if instance is None else cast("Value", instance.__dict__[self.name])

    def __set__(self, instance: object, value: Value) -> None:
        owner = type(instance).__name__
        raise ConfigError(f"{owner}.{self.name} is fixed; build another one: strategy.replace({self.name}={value!r})")

    def __repr__(self) -> str:
        return f"param({self.default!r}: {self.wanted()})"

    def check(self, owner: str, value: object) -> Value:
        """The value as the parameter's type; ConfigError when it cannot be one or is out of range."""
        if isinstance(value, np.generic):
            value = value.item()
        if self.type is float and type(value) is int:
            value = float(value)
        fits = type(value) is self.type and not (isinstance(value, float) and not math.isfinite(value))
        if fits and self.choices is not None:
            fits = value in self.choices
        if fits and isinstance(value, int | float) and not isinstance(value, bool):
            fits = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        if not fits:
            raise ConfigError(f"{owner}({self.name}={value!r}): expected {self.wanted()}")
        return cast("Value", value)

    def parse(self, owner: str, text: str) -> Value:
        """The value that a command line's text means."""
        value: object = text
        try:
            if self.type is bool:
                lowered = text.strip().casefold()
                value = True if lowered in _TRUE else False if lowered in _FALSE else text
            elif self.type is not str:
                value = self.type(text)
        except ValueError:
            value = text
        return self.check(owner, value)

    def wanted(self) -> str:
        """In words, what a value may be."""
        if self.choices is not None:
            return "one of " + ", ".join(map(repr, self.choices))
        words = _WORDS[self.type]
        if self.low is not None and self.high is not None:
            return f"{words} from {self.low} to {self.high}"
        if self.low is not None:
            return f"{words}, {self.low} or more"
        return words if self.high is None else f"{words}, {self.high} or less"

    def describe(self) -> dict[str, object]:
        """Plain values for manifests and `--json`."""
        choices = None if self.choices is None else list(self.choices)
        return {
            "type": self.type.__name__,
            "default": self.default,
            "low": self.low,
            "high": self.high,
            "step": self.step,
            "choices": choices,
            "doc": self.doc,
        }

    def check_declaration(self, owner: str) -> None:
        """ConfigError when the declaration contradicts itself."""
        where = f"{owner}.{self.name}"
        if self.type not in _WORDS:
            raise ConfigError(f"{where}: a default of type {self.type.__name__}; use int, float, bool or str")
        ranged = self.low is not None or self.high is not None or self.step is not None
        if ranged and self.type not in (int, float):
            raise ConfigError(f"{where}: low, high and step are for numbers, the default is {self.default!r}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ConfigError(f"{where}: low {self.low} is above high {self.high}")
        if self.step is not None and not self.step > 0:
            raise ConfigError(f"{where}: step {self.step} must be above 0")
        self.check(owner, self.default)


def param(
    default: V,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[V] | None = None,
    step: float | None = None,
    doc: str | None = None,
) -> V:
    """Declare a parameter in the body of a Strategy: `fast: int = param(20, low=2, high=120)`.

    low, high   inclusive; choices the only values there are; step the spacing of a search; doc one line for people.
    """
    return cast("V", Param(default, low=low, high=high, choices=choices, step=step, doc=doc))
