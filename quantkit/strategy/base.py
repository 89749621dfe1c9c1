"""Strategy: the class a trading rule is written in.

Contract: parameters are declared with `param`, given by keyword when built, and fixed then. Two strategies are equal
when their class and parameters are. `targets(bars)` answers for every bar at once, (T, N), and may look back only; the
module `targets` says what it may return. Everything else has a default: the policy (equal weights, on change), no
universe of its own, no rank, no warm-up, all of the history.
"""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from quantkit.errors import ConfigError
from quantkit.strategy.blocks import history_of
from quantkit.strategy.fitting import evaluate_blocks, is_fitted, models_of
from quantkit.strategy.loading import restore
from quantkit.strategy.memory import check_rule
from quantkit.strategy.params import Param
from quantkit.strategy.sources import FILE_MARK, Source, source_of
from quantkit.strategy.targets import as_targets, is_plain, no_value, refuse_empty

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from quantkit.core.interface import Context
    from quantkit.core.policy import Policy
    from quantkit.data.bars import Bars
    from quantkit.strategy.fitting import Models
    from quantkit.strategy.targets import Targets

    Universe = str | Sequence[str] | Callable[[Bars], Any] | None


_COUNTED = ("equal", "equal_held")  # weightings under which whole numbers 0 and 1 are out and in


class Strategy:
    """Base of every trading rule.

    Override `targets`, and any of: `policy` (attribute, or property that reads the parameters), `universe` (symbols,
    a query, or a method of the bars; evaluated as of each date, seen as `bars.member`), `rank` (which names come
    first when there are too many), `warmup` (bars before the first target that counts), `history` ("all", or the
    number of bars an evaluation starts from).

    A rule with memory overrides `on_bar` in the place of `targets`, and may override `prepare` (columns computed once),
    `state` and `symbol_state` (what it keeps from bar to bar: a run's record, and one for each name, as in
    `{"last": float, "levels": (float, 10)}`), and `max_orders` (room for resting orders).

    A rule with a model defines `fit(bars)` and says with `refit` when it is made anew; `targets`, or `prepare`, then
    takes the model too (`fitting`). `seed`, an attribute or a parameter, is what a fit's randomness starts from.
    """

    state: ClassVar[Mapping[str, Any]] = {}
    symbol_state: ClassVar[Mapping[str, Any]] = {}
    max_orders: ClassVar[int] = 1024
    seed: int = 0

    _declared: ClassVar[dict[str, Param]] = {}

    def __init__(self, **params: Any) -> None:
        owner = type(self).__name__
        for name in params:
            if name not in self._declared:
                raise self._unknown(name)
        for name, declared in self._declared.items():
            self.__dict__[name] = declared.check(owner, params.get(name, declared.default))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        declared: dict[str, Param] = {}
        for ancestor in reversed(cls.__mro__):
            for name, value in vars(ancestor).items():
                if isinstance(value, Param):
                    declared[name] = value
                elif name in declared:
                    del declared[name]  # a subclass made it a plain attribute
        taken = [name for name in declared if name.startswith("_") or (hasattr(Strategy, name) and name != "seed")]
        if taken:
            raise ConfigError(
                f"{cls.__name__}: a parameter cannot be called {taken[0]!r}; Strategy uses the name itself"
            )
        for own in declared.values():
            own.check_declaration(cls.__name__)
        cls._declared = declared
        if cls.on_bar is not Strategy.on_bar:
            check_rule(cls, Strategy.targets)

    # --- what a user overrides ------------------------------------------------------------------------------------

    def targets(self, bars: Bars, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - as `rank`
        """Targets of every bar (T, N): bool, in or out; or float weights of equity, NaN to leave a name as it is.

        With `fit` it is called as targets(bars, model).
        """
        raise ConfigError(f"{type(self).__name__} defines no targets(self, bars), so nothing to do on {bars!r}")

    def on_bar(self, ctx: Context) -> None:
        """Act on one bar: read `ctx`, order, set goals. Compiled; it sees this bar and those before it."""
        raise ConfigError(f"{type(self).__name__} defines no on_bar(self, ctx), so nothing to do on {ctx!r}")

    def prepare(self, bars: Bars, *args: Any, **kwargs: Any) -> Mapping[str, Any]:  # noqa: ARG002 - as `rank`
        """Causal columns, read as `ctx.signals[name][s]`: name -> (T, N) array, or (T,) for all names.

        With `fit` it is called as prepare(bars, model).
        """
        return {}

    def rank(self, bars: Bars, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - the name is the contract
        """(T, N) numbers, higher first, that choose among more names than `max_names`; None: traded value decides.

        With `fit` it may be written rank(bars, model).
        """
        return None

    def fit(self, bars: Bars) -> Any:
        """A model of these bars, which end before the first bar it is used on; None: keep the one before."""
        raise ConfigError(f"{type(self).__name__} defines no fit(self, bars), so there is no model of {bars!r}")

    @property
    def refit(self) -> str | int | None:
        """When `fit` makes a new model: "1Y", "3M", "1M", "2W", "5D" (sessions) or a number of bars; see `fitting`."""
        return None

    @property
    def fit_history(self) -> Literal["all"] | int | None:
        """Bars that `fit` is shown: "all" of those before, or at least that many. None: as `history`, else all."""
        return None

    @property
    def policy(self) -> Policy:
        """How targets become orders."""
        return _plain_policy()

    @property
    def universe(self) -> Universe:
        """Symbols, a query, or a callable of bars giving (T, N) bool; None: whatever bars are given."""
        return None

    @property
    def warmup(self) -> int:
        """Bars before the first one whose target counts."""
        return 0

    @property
    def history(self) -> Literal["all"] | int | None:
        """Bars that an evaluation starts from, re-anchored at each session: "all", or at least that many.

        None: all of daily bars, `warmup` bars of intraday ones. See `blocks`.
        """
        return None

    # --- what others read -----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

    @property
    def is_rule(self) -> bool:
        """Whether `on_bar` acts, not `targets`."""
        return type(self).on_bar is not Strategy.on_bar

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` makes models for it. ConfigError where `fit` and `refit` do not go together."""
        return is_fitted(self)

    @property
    def params(self) -> dict[str, Any]:
        """Parameter values by name, in the order of declaration."""
        return {name: self.__dict__[name] for name in self._declared}

    @classmethod
    def parameters(cls) -> dict[str, Param]:
        """Declared parameters by name."""
        return dict(cls._declared)

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Parameter values from a command line's texts; ConfigError names what does not fit."""
        for name in texts:
            if name not in cls._declared:
                raise cls._unknown(name)
        return {name: cls._declared[name].parse(cls.__name__, text) for name, text in texts.items()}

    def replace(self, **changes: Any) -> Strategy:
        """The same strategy with other parameter values."""
        return type(self)(**(self.params | changes))

    @property
    def source(self) -> Source:
        """File, hash and local modules behind the class."""
        return source_of(type(self))

    @property
    def source_hash(self) -> str:
        """SHA-256 of the strategy file, or of the class's text where there is no file."""
        return self.source.sha256

    @property
    def local_modules(self) -> tuple[Path, ...]:
        """Files beside the strategy file that it imports."""
        return self.source.local_modules

    def evaluate(
        self, bars: Bars, *, allow_empty: bool = False, first: int = 0, needed: int = 0, models: Models | None = None
    ) -> Targets:
        """`targets(bars)`, checked, as a C-contiguous (T, N) array of bool or float64 (NaN = leave).

        A finite `history` is evaluated block by block (see `blocks`), one with models period by period (see
        `fitting`). first: give rows `first` on only; it must be where a block starts, and the rows before it are
        history. needed: rows before it are not read, so a strategy with models may leave them empty. models: those of
        the run; None: its own.
        BadData when the answer has the wrong shape, labels or type, is infinite, or holds no value at all (unless
        `allow_empty`). An error inside `targets` keeps its type and says which strategy was running.
        """
        history = history_of(self, intraday=bars.intraday)
        models = models_of(self, bars.times, bars.days) if models is None else models
        whole = history == "all" and models is None
        owner = "" if whole else f"{self!r}.targets"

        def compute(part: Bars, *model: object) -> Targets:
            try:
                values = self.targets(part, *model)
            except Exception as error:
                error.add_note(f"while computing the targets of {self!r} on {part!r}")
                raise
            if is_plain(values, part):
                return values
            empty = allow_empty or not whole
            whole_is_bool = self.policy.weighting in _COUNTED
            return as_targets(values, part, owner=f"{self!r}.targets", whole_is_bool=whole_is_bool, allow_empty=empty)

        found = evaluate_blocks(compute, bars, history, models=models, first=first, needed=needed, owner=owner)
        targets = np.zeros(bars.shape, np.bool_) if found is None else found
        if models is not None and no_value(targets) and self.policy.weighting in _COUNTED:
            targets = np.zeros(targets.shape, np.bool_)  # as the rows before the first model of a longer panel
        if not whole and not allow_empty:
            if models is not None:
                models.refuse_none(bars)
            refuse_empty(targets, bars, owner)
        return targets

    def describe(self) -> dict[str, Any]:
        """Plain values for manifests, reports and `--json`."""
        source = self.source
        universe = self.universe
        declared = {name: one.describe() | {"value": self.__dict__[name]} for name, one in self._declared.items()}
        return {
            "name": self.name,
            "doc": (type(self).__doc__ or "").strip(),
            "file": None if source.path is None else str(source.path),
            "source_hash": source.sha256,
            "local_modules": [str(path) for path in source.local_modules],
            "params": self.params,
            "parameters": declared,
            "policy": self.policy.to_dict(),
            "universe": universe if universe is None or isinstance(universe, str) else _plain(universe),
            "warmup": self.warmup,
            "history": self.history,
            **({"refit": self.refit, "fit_history": self.fit_history, "seed": self.seed} if is_fitted(self) else {}),
        }

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.params.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strategy) and type(other) is type(self) and other.params == self.params

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.params.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by file where there is one, so that a process without the module can rebuild it."""
        import sys

        module = sys.modules.get(type(self).__module__)
        if module is not None and hasattr(module, FILE_MARK):
            return restore, (str(module.__file__), type(self).__name__, self.source_hash, self.params)
        return _build, (type(self), self.params)

    @classmethod
    def _unknown(cls, name: str) -> ConfigError:
        near = difflib.get_close_matches(name, cls._declared, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return ConfigError(
            f"{cls.__name__} has no parameter {name!r}{hint} It has {', '.join(cls._declared) or 'none'}"
        )


@cache
def _plain_policy() -> Policy:
    """The policy of a strategy that says nothing about it: built once, since checking one takes longer than a run."""
    from quantkit.core.policy import Policy

    return Policy()


def _build(cls: type[Strategy], params: dict[str, Any]) -> Strategy:
    return cls(**params)


def _plain(universe: Any) -> object:
    """Symbols as a list, a callable as its name."""
    return getattr(universe, "__qualname__", repr(universe)) if callable(universe) else list(universe)
