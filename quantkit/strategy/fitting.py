"""Fitted models: when a strategy fits one, on which bars, and for which rows it holds.

    rows     0 ........ r1 ............ r2 ............ r3 ......
    fit         ......|    ...........|
    targets            model 1          model 2          model 3

Contract: `fit` is called for the first bar of every period that `refit` names and is shown the bars before that bar,
never the bar itself; its model is handed to `targets(bars, model)` for the bars of the period. Those bars are shown up
to the period's end, so that a model cannot meet prices of the next one. Periods are those of the calendar (or count
bars from the first), so neither chunks nor the start of a run move them. Models are kept (`artifacts`), and the global
generators of `random` and NumPy are seeded around a fit and put back after it; fits of threads wait for each other.
Called by `Strategy.evaluate`, for ranks and signals, and by backtests, which share one `Models` a run.

>>> refit_rows("1Y", np.array([10954, 10956, 10957, 10958]), 0).tolist()  # 2000 begins on day 10957
[2]
"""

from __future__ import annotations

import hashlib
import inspect
import re
import threading
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.data.actions import changes
from quantkit.data.dates import day_text
from quantkit.errors import BadData, ConfigError
from quantkit.strategy.artifacts import RowsDigest, code_of, kept_model, key_of
from quantkit.strategy.blocks import Block, begin_of, blocks, history_of, in_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantkit.data.bars import Bars
    from quantkit.strategy.base import Strategy
    from quantkit.strategy.blocks import History

__all__ = ["Models", "evaluate_blocks", "models_of", "refit_rows"]

Ints = NDArray[np.int64]

_PERIOD = re.compile(r"([1-9]\d*)([YMWD])")
_LOCK = threading.RLock()  # the generators that a fit may draw from are the process's


def refit_rows(refit: str | int, days: Ints, warmup: int) -> Ints:
    """Rows at which a model is fitted on the bars before them: none before row `warmup`, none at row 0.

    refit: "1Y", "3M", "2W" (periods of the calendar, weeks begin on Monday), "5D" (sessions) or a number of bars.
    ConfigError for anything else.
    """
    if isinstance(refit, bool) or not isinstance(refit, str | int | np.integer):
        raise _unreadable(refit)
    if isinstance(refit, str):
        found = _PERIOD.fullmatch(refit)
        if found is None:
            raise _unreadable(refit)
        count, unit = int(found[1]), found[2]
        if unit == "D":
            periods = np.cumsum(np.diff(days, prepend=days[:1]) != 0) // count
        elif unit == "W":
            periods = (days + 3) // 7 // count
        else:
            months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
            periods = (months if unit == "M" else months // 12) // count
        rows = np.flatnonzero(np.diff(periods, prepend=periods[:1]))
        return rows[rows >= max(1, warmup)].astype(np.int64)
    if refit < 1:
        raise _unreadable(refit)
    return np.arange(warmup if warmup > 0 else int(refit), len(days), int(refit), dtype=np.int64)


def _unreadable(refit: object) -> ConfigError:
    return ConfigError(
        f'refit={refit!r}: give a period such as "1Y", "3M", "2W" or "5D" (years, months, weeks, sessions), '
        f"or a number of bars, 1 or more"
    )


def is_fitted(strategy: Strategy) -> bool:
    """Whether the strategy fits models. ConfigError for `fit` without `refit` and for `refit` without `fit`."""
    cls = type(strategy)
    fits = cls.fit is not _base().fit
    refit: object = strategy.refit
    if fits and refit is None:
        raise ConfigError(f'{cls.__name__} defines fit and does not say when; add refit = "1Y" (or "3M", "1M", bars)')
    if refit is not None and not fits:
        raise ConfigError(f"{cls.__name__}.refit = {refit!r}, and it defines no fit(self, bars) that returns a model")
    if fits:
        wanting = cls.prepare if strategy.is_rule else cls.targets
        if not takes_model(wanting):
            name = wanting.__name__
            raise ConfigError(f"{cls.__name__}.{name} takes no model; with fit, write {name}(self, bars, model)")
    return fits


def _base() -> type[Strategy]:
    from quantkit.strategy.base import Strategy

    return Strategy


def takes_model(method: Callable[..., Any]) -> bool:
    """Whether a method can be called with bars and a model."""
    try:
        inspect.signature(method).bind(None, None, None)
    except TypeError:
        return False
    return True


def models_of(strategy: Strategy | None, times: Ints, days: Ints) -> Models | None:
    """The models of a strategy over these axes; None where it fits none."""
    if strategy is None or not is_fitted(strategy):
        return None
    return Models(strategy, times, days)


def fit_history_of(strategy: Strategy, *, intraday: bool) -> History:
    """Bars that a fit is shown: `fit_history`, else `history` where it is given, else all."""
    asked: object = strategy.fit_history
    if asked is None:
        return history_of(strategy, intraday=intraday) if strategy.history is not None else "all"
    if isinstance(asked, str) and asked == "all":
        return "all"
    if isinstance(asked, bool) or not isinstance(asked, int | np.integer) or asked < 1:
        raise ConfigError(f'{strategy.name}.fit_history = {asked!r}: give "all", or a number of bars, 1 or more')
    return int(asked)


class Models:
    """The models of one strategy over one range of bars, fitted when first asked for.

    times, days   (T,) of the whole range, as of `Bars`; pieces of it are found by their times
    fitted        one row a model that was asked for: date, bars it saw, key it is kept under
    """

    def __init__(self, strategy: Strategy, times: Ints, days: Ints) -> None:
        self.strategy = strategy
        rows = refit_rows(strategy.refit or 0, days, strategy.warmup)
        self.times, self.days = times[rows], days[rows]
        self._found: dict[int, object] = {}  # by number; None: the fit gave none
        self._facts: dict[int, dict[str, Any]] = {}
        self._used: set[int] = set()
        self._digest = RowsDigest()

    @property
    def fitted(self) -> list[dict[str, Any]]:
        """Plain facts of the models that were asked for, in order of time."""
        return [self._facts[number] for number in sorted(self._used)]

    def take(self, before: Models) -> None:
        """Know the models that were found over the same bars when there were fewer."""
        if before is not self:
            self._found, self._facts, self._used = dict(before._found), dict(before._facts), set(before._used)

    def history(self, *, intraday: bool) -> History:
        """Bars that a fit is shown."""
        return fit_history_of(self.strategy, intraday=intraday)

    def cuts(self, bars: Bars, start: int, stop: int) -> list[int]:
        """Rows of `bars` between start and stop at which another model begins."""
        rows = np.searchsorted(bars.times, self.times)
        return [int(row) for row in rows if start < row < stop]

    def at(self, bars: Bars, row: int) -> object:
        """The model that holds at `row` of `bars`, fitted on rows of `bars` where it is not yet; None before any."""
        number = int(np.searchsorted(self.times, bars.times[row], side="right")) - 1
        while number >= 0:
            if number not in self._found:
                self._found[number] = self._fit(bars, number)
            self._used.add(number)
            if self._found[number] is not None:
                return self._found[number]
            number -= 1  # a fit that gave none leaves the model before it
        return None

    def begins(self, bars: Bars) -> int:
        """First row of `bars` that a model found so far holds for; len(bars) where there is none."""
        numbers = [number for number, model in self._found.items() if model is not None]
        return int(np.searchsorted(bars.times, self.times[min(numbers)])) if numbers else len(bars)

    def reach(self, bars: Bars, first: int) -> None:
        """Fit for every period that begins in rows `first` on: what a stream needs that shows each row once."""
        for number, row in enumerate(np.searchsorted(bars.times, self.times).tolist()):
            if first <= row < len(bars) and number not in self._found:
                self._found[number] = self._fit(bars, number)

    def refuse_none(self, bars: Bars) -> None:
        """BadData where no period of these bars has a model: too few bars, or fits that gave none."""
        if any(self._found[number] is not None for number in self._used):
            return
        strategy, begun = self.strategy, [str(fact["date"]) for fact in self.fitted]
        if not begun:
            raise BadData(
                f"{strategy!r}: no model could be fitted on {bars!r}: refit={strategy.refit!r} names no first bar of a "
                f"period with warmup={strategy.warmup} bars before it; give more bars, or refit more often"
            )
        raise BadData(
            f"{strategy!r}.fit gave None at every date ({', '.join(begun[:3])}{', ...' if len(begun) > 3 else ''}); "
            "give it more bars"
        )

    def _fit(self, bars: Bars, number: int) -> object:
        strategy = self.strategy
        stop = int(np.searchsorted(bars.times, self.times[number]))
        history = self.history(intraday=bars.intraday)
        begin = 0 if history == "all" else begin_of(bars.days, stop, history)
        shown = bars.slice(begin, stop)
        date = day_text(int(self.days[number]))

        def fit() -> object:
            with seeded(strategy, int(self.times[number])):
                try:
                    return strategy.fit(shown)
                except Exception as error:
                    error.add_note(f"while {strategy!r}.fit for {date} ran on {shown!r}")
                    raise

        key = key_of(strategy, self._digest.of(bars, begin, stop), int(self.times[number]))
        model = kept_model(key, fit, bars=bars, strategy=strategy, date=date) if code_of(type(strategy)) else fit()
        self._facts[number] = {"date": date, "bars": len(shown), "model": model is not None, "key": key}
        return model


@contextmanager
def seeded(strategy: Strategy, stamp: int) -> Iterator[None]:
    """The generators of `random` and NumPy seeded by the strategy's seed, name and date; put back after."""
    import random

    text = f"{strategy.name} {strategy.seed} {stamp}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
    with _LOCK:
        before = random.getstate(), np.random.get_state()  # noqa: NPY002 - what libraries draw from when given no seed
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def evaluate_blocks(
    compute: Callable[..., NDArray[Any] | None],
    bars: Bars,
    history: History,
    *,
    models: Models | None = None,
    first: int = 0,
    needed: int = 0,
    owner: str = "",
) -> NDArray[Any] | None:
    """`compute(bars)`, or `compute(bars, model)` where there are models, for rows `first` on, block by block.

    Rows without a model, and those before `needed` that nobody reads, are NaN, or False in a bool array.
    """
    if models is None:
        return in_blocks(compute, bars, history, first=first, owner=owner)
    if changes(bars.actions, bars.symbols):
        _ = bars.factor  # once, not once a block
    found: list[tuple[Block, NDArray[Any]]] = []
    for block in _cut(bars, history, models, first):
        if block.stop <= needed:
            continue
        model = models.at(bars, block.start)
        if model is None:
            continue
        values = compute(bars.slice(block.begin, block.stop), model)
        if values is None:
            return None
        found.append((block, values[block.start - block.begin :]))
    return _laid(found, bars, first, owner)


def _cut(bars: Bars, history: History, models: Models, first: int) -> Iterator[Block]:
    """The blocks of a strategy, cut where another model begins."""
    whole = [Block(0, first, len(bars))] if len(bars) > first else []
    for block in whole if history == "all" else blocks(bars.days, history, bars.freq, first=first):
        edges = [block.start, *models.cuts(bars, block.start, block.stop), block.stop]
        for start, stop in pairwise(edges):
            yield Block(block.begin, start, stop)


def _laid(found: list[tuple[Block, NDArray[Any]]], bars: Bars, first: int, owner: str) -> NDArray[Any]:
    """Values of blocks in one array."""
    kinds: list[np.dtype[Any]] = sorted({values.dtype for _, values in found}, key=str)
    if len(kinds) > 1:
        raise BadData(f"{owner}: {' in one period, '.join(map(str, kinds))} in another; give one type always")
    if not found:
        return np.full((len(bars) - first, len(bars.symbols)), np.nan)
    shape = (len(bars) - first, *found[0][1].shape[1:])
    out: NDArray[Any] = np.zeros(shape, np.bool_) if kinds[0] == np.bool_ else np.full(shape, np.nan)
    for block, values in found:
        out[block.start - first : block.stop - first] = values
    return out
