"""The verdict on a result: what would have to be true for it to be real, and how that stands, in plain words.

    1. tried      what was tried was counted                                      research.runs
    2. luck       it beats what the best of that many worthless tries shows        overfit: deflated Sharpe ratio
    3. record     the record is long enough to tell                                overfit: minimum track record length
       holdout    of a run over a holdout: nobody had looked at it before           holdout
    4. choice     what is best in one half of the time is not lost in the other    overfit: CSCV, with a sweep
    5. costs      trading may cost more than was charged                           noise.break_even, cost_stress
    6. settings   settings nearby earn as well                                     noise.parameter_noise
    7. trades, names, years   the profit does not hang on a few trades, on one name, on one year

Contract: nothing is promised; each point says what was found, with its figure, and whether it stands (True), does not
(False) or is not known (None). 5 and 6 run the strategy again, some forty times, which the log does not count; with
`again=False`, as in a report nobody asked a verdict for, they are not known. The same result and log give the same
text.
Called by `Result.verdict` and by the report, through `quantkit.hooks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.wording import count, number, percent
from quantkit.errors import BadData
from quantkit.research import noise, overfit, runs

if TYPE_CHECKING:
    from quantkit.backtest.result import Result
    from quantkit.progress import Shown
    from quantkit.research.runs import Trials

__all__ = ["Point", "Verdict", "verdict"]

SURE = 0.95  # the confidence that is usually asked
LUCKY_CHOICE, FAIR_CHOICE = 0.5, 0.1
DOUBLE, MARGIN_BPS = 2.0, 5.0
FEW, LEFT = 0.05, 0.1  # of the trades, the best; of the profit, what must be left without them
OTHERS = 0.4  # of the profit, what must be left without the best name


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that would have to be true."""

    name: str
    condition: str
    stands: bool | None  # None: not known
    found: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Headline and points; `figures` holds all their numbers. Printing it gives the text."""

    headline: str
    points: tuple[Point, ...]
    closing: str

    @property
    def figures(self) -> dict[str, float]:
        """Every number behind the points, by name."""
        return {name: value for point in self.points for name, value in point.figures.items()}

    @property
    def text(self) -> str:
        """The whole as plain text."""
        words = {True: "stands", False: "does not stand", None: "not known"}
        lines = [f"- {point.condition} [{words[point.stands]}]\n  {point.found}" for point in self.points]
        return "\n".join([self.headline, "For it to be real, this would have to be true:", *lines, self.closing])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an infinite figure is None."""
        plain = {name: value if math.isfinite(value) else None for name, value in self.figures.items()}
        points = [{"name": p.name, "condition": p.condition, "stands": p.stands, "found": p.found} for p in self.points]
        return {"headline": self.headline, "points": points, "closing": self.closing, "figures": plain}


def verdict(result: Result, sweep: object = None, *, again: bool = True, progress: Shown = False) -> Verdict:
    """What would have to be true for a result to be real.

    sweep      the sweep the strategy was chosen from, or the (T, runs) returns of what was tried: judges the choice
    again      run the strategy again with other costs and parameters
    progress   True: a bar on a terminal; or called with (done, total) during those runs
    """
    traded = len(result.run.fills["bar"]) > 0
    try:
        moments = overfit.moments(_excess(result))
    except BadData:
        traded = False
    if not traded:
        return Verdict("Nothing was traded, so there is nothing to judge.", (), "")
    trials = _trials(result)
    points = [_tried(result, trials), *_luck(result, moments, trials), *_holdout(result)]
    if sweep is not None:
        points.append(_choice(sweep))
    points += [_costs(result, again, progress), _settings(result, again, progress)]
    points += [_few_trades(result), _one_name(result), _one_year(result)]
    return Verdict(_headline(result, points), tuple(points), _closing(sweep is not None))


def _excess(result: Result) -> np.ndarray[Any, np.dtype[np.float64]]:
    from quantkit.backtest import figures

    returns = figures.session_returns(result.growth, figures.session_ends(result.bars.days))
    return returns - result.risk_free / result.periods


def _headline(result: Result, points: list[Point]) -> str:
    against = [point for point in points if point.stands is False]
    unknown = [point for point in points if point.stands is None]
    if result.figures["profit"] <= 0.0:
        return "It loses money: there is no gain that would have to be explained."
    if against:
        return f"This could well be luck, or gone once it is traded: {_of(against, points)} not stand."
    if unknown:
        few = len(unknown) == 1
        return f"Nothing found here speaks against it, but {_of(unknown, points, 'is' if few else 'are')} not known."
    return f"Nothing found here speaks against it: all {len(points)} points stand. That is not a proof."


def _of(some: list[Point], points: list[Point], verb: str | None = None) -> str:
    return f"{len(some)} of {len(points)} points {verb or ('does' if len(some) == 1 else 'do')}"


def _closing(chosen: bool) -> str:
    rest = "" if chosen else " verdict(sweep) judges the choice of the settings."
    return (
        "Not looked at here: whether it peeks at tomorrow (quantkit check) and how it does on years it was not chosen "
        f"on (quantkit walkforward).{rest}"
    )


# --- luck -------------------------------------------------------------------------------------------------------------


def _trials(result: Result) -> Trials | None:
    """What the run log knows of the strategy's family; None where nothing was counted."""
    path = runs.place_of(result.bars)
    if path is None:
        return None
    strategy = result.strategy
    source = None if strategy is None else strategy.source.path
    days = float(result.bars.days[-1] - result.bars.days[0]) + 1.0
    try:
        found = runs.RunLog(path).trials(result.name, file=source, periods=result.periods, days=days)
    except (BadData, OSError):
        return None
    return found if found.count else None


def _tried(result: Result, trials: Trials | None) -> Point:
    condition = "What was tried was counted."
    if trials is None:
        why = "these bars are of no lake" if runs.place_of(result.bars) is None else "the log has nothing of it"
        said = (
            f"Nothing was counted ({why}): it is judged as the only thing ever tried, which flatters it if it was not."
        )
        return Point("tried", condition, None, said, {"trials": 1.0, "counted": 0.0})
    what = "One setting" if trials.count == 1 else f"{count(trials.count)} settings"
    said = (
        f"{what} of {result.name} and its file tried on this lake, by the run log; repeats are not counted. Tries "
        "elsewhere, and ideas dropped without a run, are not known to it."
    )
    return Point("tried", condition, True, said, {"trials": float(trials.count), "counted": 1.0})


def _luck(result: Result, moments: overfit.Moments, trials: Trials | None) -> list[Point]:
    """Points 2 and 3."""
    year = math.sqrt(result.periods)
    tries = 1 if trials is None else trials.count
    spread = math.nan if trials is None else trials.variance
    spread = spread if math.isfinite(spread) else 1.0 / moments.observations  # of a ratio whose true value is 0
    luck = overfit.expected_maximum_sharpe(tries, spread)
    plain = overfit.probabilistic_sharpe_ratio(*moments)
    sure = overfit.deflated_sharpe_ratio(*moments, tries, spread)
    sharpe = f"Its Sharpe ratio (mean return over its spread, a year) is {number(moments.sharpe * year)}"
    shape = "With its length, and as lopsided and jumpy as its returns are, the chance that it is truly above 0 is"
    asked = f"{percent(SURE, digits=0)} is what one asks for."
    if tries > 1:
        said = (
            f"{sharpe}; the best of {count(tries)} worthless tries would be expected to show {number(luck * year)}. "
            f"{shape} {_chance(sure)} after the tries ({_chance(plain)} if it had been the only one); {asked}"
        )
    else:
        said = f"{sharpe}. {shape} {_chance(sure)}; {asked}"
    figures = {"sharpe": moments.sharpe * year, "luck_sharpe": luck * year, "probabilistic_sharpe": plain,
               "deflated_sharpe": sure, "trial_variance": spread}  # fmt: skip
    condition = "It is better than luck among what was tried." if tries > 1 else "Its gain is more than luck."
    point = Point("luck", condition, sure >= SURE, said, figures)
    return [point, _record(result, moments, luck)]


def _chance(value: float) -> str:
    """A probability without claiming certainty."""
    return "over 99.9%" if value > 0.999 else "under 0.1%" if value < 0.001 else percent(value)


def _record(result: Result, moments: overfit.Moments, luck: float) -> Point:
    years = moments.observations / result.periods
    needed = overfit.minimum_track_record_length(moments.sharpe, moments.skew, moments.kurtosis, luck, SURE)
    needed /= result.periods
    figures = {"years": years, "years_needed": needed}
    condition = "The record is long enough to tell."
    if math.isinf(needed):
        said = "No length would do: the Sharpe ratio is not above what luck alone would show."
    else:
        said = (
            f"With returns like these it takes {number(needed)} years to be {percent(SURE, digits=0)} sure; "
            f"the run has {number(years)}."
        )
    return Point("record", condition, needed <= years, said, figures)


def _holdout(result: Result) -> list[Point]:
    """Whether the years of a run over a holdout were still untouched; nothing for other runs."""
    facts = result.__dict__.get("manifest", {}).get("holdout")
    if facts is None:
        return []
    opening, before = int(facts["opening"]), int(facts["versions_before"])
    said = f"These years were put aside from {facts['start']} on, and this is the first look at them."
    if before:
        said = (
            f"This is opening {count(opening)} of the holdout that begins on {facts['start']}; with each look it "
            "proves less."
        )
    figures = {"holdout_opening": float(opening)}
    return [Point("holdout", "Nobody had looked at these years before.", before == 0, said, figures)]


def _choice(sweep: object) -> Point:
    """Point 4."""
    judge = getattr(sweep, "overfit", None)
    found: Any = judge() if callable(judge) else overfit.cscv(np.asarray(sweep, np.float64))
    pbo = float(getattr(found, "pbo", found))
    said = (
        f"Cutting the time in halves in every way, the settings that were best in one half were no better than the "
        f"middle of all in the other half {percent(pbo, digits=0)} of the time; choosing by chance gives 50%."
    )
    stands = True if pbo <= FAIR_CHOICE else False if pbo >= LUCKY_CHOICE else None
    return Point("choice", "Choosing the best settings finds good ones, not lucky ones.", stands, said, {"pbo": pbo})


# --- runs again -------------------------------------------------------------------------------------------------------


def _costs(result: Result, again: bool, progress: Shown) -> Point:
    """Point 5."""
    condition = "Trading costs no more than it can bear."
    fills = result.run.fills
    traded = float((fills["price"] * fills["quantity"]).sum())
    paid = sum(result.figures[name] for name in ("commission", "tax", "slippage"))
    charged = 1e4 * paid / traded
    figures = {"charged_bps": charged}
    basis = f"{number(charged)} basis points (hundredths of a percent)" if charged > 0.0 else "nothing"
    start = f"Of what it traded it was charged {basis}"
    if not again or result.again is None or result.cost_model is None:
        return Point("costs", condition, None, f"{start}; it was not run with other costs.", figures)
    even = noise.break_even(result, progress=progress)
    table = noise.cost_stress(result, times=(DOUBLE, 5.0), progress=progress)
    twice, five = (float(table["total_return"].iloc[row]) for row in (0, 1))
    figures |= {"break_even_bps": even, "return_at_double_costs": twice, "return_at_five_times_costs": five}
    if math.isinf(even):
        tail = "it makes money at any cost that was tried"
    elif even == 0.0:
        tail = "it makes no money as it is"
    else:
        tail = f"it stops making money when each fill costs {number(even)} basis points more"
    said = f"{start}; {tail}."
    if charged > 0.0:
        said += (
            f" With commission, slippage and impact twice as large it returns {percent(twice)}, five times "
            f"{percent(five)}; as it is, {percent(result.figures['total_return'])}."
        )
    return Point("costs", condition, twice > 0.0 and even >= max(charged, MARGIN_BPS), said, figures)


def _settings(result: Result, again: bool, progress: Shown) -> Point:
    """Point 6."""
    condition = "The exact settings do not matter."
    if result.strategy is None:
        return Point("settings", condition, None, "Targets were given, not a strategy: it has no settings.")
    if not noise.near(result.strategy):
        return Point("settings", condition, True, f"{result.name} has no number that could be a little off.")
    if not again or result.again is None:
        return Point("settings", condition, None, "It was not run with settings nearby.")
    table = noise.parameter_noise(result, progress=progress)
    if table.empty:
        return Point("settings", condition, None, "The strategy refuses every setting nearby.")
    own = result.figures["sharpe"]
    sharpe = np.nan_to_num(table["sharpe"].to_numpy(np.float64))
    middle, gain = float(np.median(sharpe)), float((table["total_return"] > 0.0).mean())
    better = float((sharpe >= own).mean())
    said = (
        f"Of {count(len(table))} settings nearby (each number up to 10% off, or a step) {percent(gain, digits=0)} make "
        f"money; the middle one has a Sharpe ratio of {number(middle)}, this one {number(own)}, and "
        f"{percent(better, digits=0)} are as good or better."
    )
    figures = {"neighbours": float(len(table)), "neighbours_gaining": gain, "neighbours_sharpe": middle,
               "neighbours_as_good": better}  # fmt: skip
    return Point("settings", condition, gain >= 0.8 and middle >= 0.5 * own and own > 0.0, said, figures)


# --- what the profit hangs on -----------------------------------------------------------------------------------------


def _few_trades(result: Result) -> Point:
    trades = result.round_trips
    condition = "The profit does not hang on a few trades."
    pnl = np.sort(trades.pnl)[::-1]
    total, many = float(pnl.sum()), max(1, math.ceil(FEW * len(pnl)))
    best = float(pnl[:many].sum())
    figures = {"trades": float(len(pnl)), "profit_without_best_trades": total - best}
    if total <= 0.0:
        return Point("trades", condition, False, f"{count(len(pnl))} trades lose money together.", figures)
    needed = int(np.searchsorted(np.cumsum(pnl), total)) + 1
    whom = "the best one" if many == 1 else f"the best {count(many)}"
    said = (
        f"Of {count(len(pnl))} trades, {whom} made {percent(best / total, digits=0)} of the profit; the best "
        f"{count(needed)} together made as much as all."
    )
    enough = len(pnl) >= 30
    if not enough:
        said += " So few trades say little about the next one."
    figures["trades_for_all_profit"] = float(needed)
    return Point("trades", condition, enough and total - best >= LEFT * total, said, figures)


def _one_name(result: Result) -> Point:
    trades = result.round_trips
    condition = "The profit does not hang on one name."
    names = np.unique(trades.symbol)
    if len(names) < 2:
        return Point("names", condition, None, f"It traded one name only, {result.label(_symbol(result, names[0]))}.")
    earned = np.bincount(trades.symbol, weights=trades.pnl)
    total, best = float(earned.sum()), int(earned.argmax())
    figures = {"names": float(len(names)), "profit_without_best_name": total - float(earned[best])}
    if total <= 0.0:
        return Point("names", condition, False, f"{count(len(names))} names lose money together.", figures)
    said = (
        f"Of {count(len(names))} names, {result.label(_symbol(result, best))} made "
        f"{percent(float(earned[best]) / total, digits=0)} of the profit."
    )
    return Point("names", condition, total - float(earned[best]) >= OTHERS * total, said, figures)


def _symbol(result: Result, column: int) -> str:
    return result.bars.symbols[int(column)]


def _one_year(result: Result) -> Point:
    table = result.monthly["year"].dropna()
    condition = "The profit does not hang on one year."
    if len(table) < 3:
        return Point(
            "years", condition, None, f"The run has {count(len(table))} calendar years: too few to leave one out."
        )
    values = table.to_numpy(np.float64)
    best = int(values.argmax())
    without = float(np.prod(1.0 + np.delete(values, best))) - 1.0
    lost = int((values < 0.0).sum())
    total = result.figures["total_return"]
    said = (
        f"Without {table.index[best]}, its best year, it would have made {percent(without)} in place of "
        f"{percent(total)}; it lost in {count(lost)} of {count(len(values))} years."
    )
    return Point(
        "years", condition, without > 0.0, said, {"return_without_best_year": without, "losing_years": float(lost)}
    )


# --- on the page ------------------------------------------------------------------------------------------------------


def verdict_section(result: Result) -> str:
    """The verdict as a part of the report page: the one that was asked for, else one without further runs."""
    from html import escape

    from quantkit.backtest.tear_sections import section

    found = result.judged or verdict(result, again=False)
    if not found.points:
        return ""
    marks = {True: ("", "stands"), False: ("loss", "does not stand"), None: ("", "not known")}
    rows = "".join(
        f'<tr><td class="text wrap"><b>{escape(point.condition)}</b><div>{escape(point.found)}</div></td>'
        f'<td class="{marks[point.stands][0]}">{marks[point.stands][1]}</td></tr>'
        for point in found.points
    )
    hint = "" if result.judged else " result.verdict() before the report runs it again with other costs and settings."
    return section(
        "Is it real?",
        f'<p class="sub">{escape(found.headline)} For it to be real, this would have to be true:</p>'
        f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'
        f'<p class="note">{escape(found.closing + hint)}</p>',
    )
