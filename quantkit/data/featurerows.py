"""Rows of features out of tables of any shape: which columns say what, dates, values, and what cannot be used.

    long    symbol, as_of, [period], name, value             one row a value (`name=` where the table has one feature)
    wide    symbol, as_of, [period], per, pbr, ...           one column a feature

Contract: a table must say when its numbers became known; without an as-of column it is refused, since a number whose
publication date nobody knows cannot be used without looking ahead. What concerns one row (no date, no number, two rows
that disagree) comes back as `Rejects` with a reason, for the lake to set aside or the caller to refuse. Pure.
Called by `featurestore` and by `Bars.with_feature`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.data.columns import NAMES, canonical
from quantkit.data.featuredates import NO_DAY32, read_as_of, read_periods
from quantkit.data.featuremerge import equal, same_key, sorted_rows
from quantkit.data.features import EVERY, NO_PERIOD, FeatureRows, check_name
from quantkit.data.ingest import Options, clean_symbol, read_symbols
from quantkit.data.parts import labels
from quantkit.data.rows import Labels
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from quantkit.data.files import Source

FloatArray = NDArray[np.float64]
Blank = Literal["clear", "skip"]
_IGNORED = str.maketrans("", "", " _.-")
_AS_OF = (
    "asof", "asofdate", "known", "knownat", "knownon", "published", "publishedat", "publicationdate", "announced",
    "announcementdate", "filed", "fileddate", "filingdate", "rceptdt", "공시일", "공시일자", "공시일시", "발표일",
    "발표일자", "접수일", "접수일자",
)  # fmt: skip
_PERIOD = ("period", "periodend", "fiscalperiod", "fiscalperiodend", "quarter", "결산기", "결산월", "회계기간", "분기")
_FEATURE = ("name", "feature", "item", "field", "account", "항목", "항목명", "계정", "계정명", "지표")
_VALUE = ("value", "값", "금액")
REASONS = {
    "as_of": "no as-of date, so nobody can say when it became known",
    "symbol": "no symbol",
    "period": "no period, or one that cannot be read",
    "number": "the value is no number",
    "infinite": "the value is infinite",
    "name": "no feature name",
    "conflict": "two rows of one symbol, period and as-of date with different values",
}


@dataclass(frozen=True)
class Rejects:
    """Rows that cannot be used: for each its line, symbol, as-of text and what is wrong."""

    rows: list[tuple[int, str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What one source holds, by feature; `ignored` columns were not understood as features."""

    features: dict[str, FeatureRows]
    rejects: Rejects
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class _Roles:
    """Which column is what; `wide` maps a feature's name to its column."""

    symbol: str | None
    as_of: str
    period: str | None
    feature: str | None
    value: str | None
    wide: dict[str, str]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class How:
    """How a table is to be read: see `Lake.ingest_features`."""

    name: str | None = None
    symbol: str | None = None
    as_of: str | None = None
    blank: Blank = "clear"

    def __post_init__(self) -> None:
        if self.blank not in ("clear", "skip"):
            raise ConfigError(f'blank={self.blank!r}: "clear" (an empty cell ends the value before it) or "skip"')


def roles_of(source: Source, how: How) -> _Roles:
    """The columns of a source by what they say. BadData names what is missing and what was found."""
    columns = [str(column) for column in source.columns]
    plain = {column: column.strip().casefold().translate(_IGNORED) for column in columns}

    def found(spellings: tuple[str, ...], what: str) -> str | None:
        hits = [column for column in columns if plain[column] in spellings]
        if len(hits) > 1:
            raise BadData(f"{source.name}: columns {hits[0]!r} and {hits[1]!r} both mean {what}; keep one of them")
        return hits[0] if hits else None

    symbol, period = found(NAMES["symbol"], "the symbol"), found(_PERIOD, "the period")
    as_of = _as_of_column(source, columns, how.as_of, found)
    if symbol is None and how.symbol is None:
        raise BadData(
            f'{source.name}: no symbol column; add one, or pass symbol="005930", or symbol="{EVERY}" for what holds '
            "for the whole market"
        )
    value = found(_VALUE, "the value")
    used = {column for column in (symbol, as_of, period) if column is not None}
    rest = [column for column in columns if column not in used]
    if value is not None:
        feature = None if how.name is not None else found(_FEATURE, "the feature's name")
        if feature is None and how.name is None:
            raise BadData(
                f"{source.name}: a column {value!r} but none that names the feature; pass name=, or add a column name"
            )
        ignored = tuple(column for column in rest if column not in (value, feature))
        return _Roles(symbol, as_of, period, feature, value, {}, ignored)
    return _wide(source, how, _Roles(symbol, as_of, period, None, None, {}, ()), rest)


def _as_of_column(source: Source, columns: list[str], asked: str | None, found: Any) -> str:
    if asked is not None:
        if asked not in columns:
            raise BadData(f"{source.name}: as_of={asked!r} is no column; it has {', '.join(columns) or 'none'}")
        return asked
    column = found(_AS_OF, "the as-of date")
    if column is not None:
        return str(column)
    dates = [str(theirs) for theirs, ours in canonical(columns, source=source.name).items() if ours == "date"]
    hint = f" If {dates[0]!r} is that day, say so: as_of={dates[0]!r}." if dates else ""
    raise BadData(
        f"{source.name}: no as-of column (as_of, published, 공시일, ...); found {', '.join(columns) or 'none'}. "
        "A feature needs the date on which each number became known: without it a backtest would use numbers before "
        f"anybody had them.{hint}"
    )


def _wide(source: Source, how: How, roles: _Roles, rest: list[str]) -> _Roles:
    """Every column that is left is a feature, but those that describe the row."""
    about = canonical(rest, source=source.name)
    ignored = tuple(column for column in rest if about.get(column) in ("date", "name", "market"))
    features = [column for column in rest if column not in ignored]
    if how.name is not None:
        if len(features) != 1:
            raise BadData(
                f"{source.name}: name={how.name!r} names one feature, but {len(features)} columns could be it "
                f"({', '.join(features[:5]) or 'none'}); call its column value"
            )
        wide = {check_name(how.name): features[0]}
    else:
        wide = {}
        for column in features:
            name = check_name(column)
            if name in wide:
                raise BadData(f"{source.name}: columns {wide[name]!r} and {column!r} are both feature {name!r}")
            wide[name] = column
    if not wide:
        raise BadData(f"{source.name}: no feature column beside {', '.join(map(str, source.columns))}")
    return _Roles(roles.symbol, roles.as_of, roles.period, None, None, wide, ignored)


def read_source(source: Source, how: How, texts: Mapping[str, bool] | None = None) -> Reading:
    """Rows of one source by feature, sorted and each key once. `texts`: features whose kind is known, True for text."""
    import pyarrow as pa

    roles = roles_of(source, how)
    pieces = list(source.pieces())
    if not pieces:
        raise BadData(f"{source.name}: no rows")
    table = pa.concat_tables([piece for piece, _ in pieces], promote_options="permissive")
    return _Reader(source, how, roles, table, pieces[0][1], texts or {}).read()


class _Reader:
    """One source in memory."""

    def __init__(
        self, source: Source, how: How, roles: _Roles, table: pa.Table, line: int, texts: Mapping[str, bool]
    ) -> None:
        self.source, self.how, self.roles, self.table, self.texts = source, how, roles, table, texts
        length = table.num_rows
        self.lines = np.arange(line, line + length)
        self.rejects = Rejects()
        if how.symbol is None and roles.symbol is not None:
            self.symbol = read_symbols(table, {"symbol": roles.symbol}, source, Options("1d"))
        else:
            self.symbol = Labels.constant(clean_symbol(str(how.symbol)), length)
        self.day, self.moment = read_as_of(table[roles.as_of], source.name)
        if roles.period is None:
            self.period = np.full(length, NO_PERIOD, np.int32)
        else:
            self.period = read_periods(table[roles.period])

    def read(self) -> Reading:
        """All features."""
        length = self.table.num_rows
        usable = np.ones(length, np.bool_)
        usable = self._without(usable, self.day == NO_DAY32, "as_of")
        usable = self._without(usable, self.symbol.codes < 0, "symbol")
        if self.roles.period is not None:
            usable = self._without(usable, self.period == NO_PERIOD, "period")
        features = {}
        for name, column, rows in self._columns(usable):
            features[name] = self._feature(name, column, rows)
        return Reading(features, self.rejects, self.roles.ignored)

    def _columns(self, usable: NDArray[np.bool_]) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
        """(feature, column of its values, rows of the table that speak of it)."""
        if self.roles.value is None:
            for name, column in self.roles.wide.items():
                yield name, column, np.flatnonzero(usable)
        elif self.roles.feature is None:
            yield check_name(str(self.how.name)), self.roles.value, np.flatnonzero(usable)
        else:
            names = labels(self.table[self.roles.feature])
            usable = self._without(usable, names.codes < 0, "name")
            checked = [check_name(name) for name in names.names]
            for name in dict.fromkeys(checked):
                codes = [code for code, one in enumerate(checked) if one == name]
                rows = np.flatnonzero(usable & np.isin(names.codes, codes))
                if len(rows):
                    yield name, self.roles.value, rows

    def _feature(self, name: str, column: str, rows: NDArray[np.int64]) -> FeatureRows:
        """Rows of one feature; those that cannot be used go to the rejects."""
        import pyarrow as pa

        content = self.table[column].take(pa.array(rows))
        value, text = self._values(name, column, content, rows)
        good = np.ones(len(rows), np.bool_)
        if text is None:
            blank = np.asarray(content.is_null().to_numpy(), np.bool_) | _empty(content)
            wrong = np.isnan(value) & ~blank & ~_is_nan(content)
            for bad, reason in ((wrong, "number"), (np.isinf(value), "infinite")):
                self._reject(rows[bad & good], reason, name)
                good &= ~bad
            none = np.isnan(value)
        else:
            none = text.codes < 0
            value = np.where(none, np.nan, text.codes)
        if self.how.blank == "skip":
            good &= ~none
        made = sorted_rows(
            self.symbol.take(rows[good]), self.day[rows[good]], self.moment[rows[good]], self.period[rows[good]],
            value[good], None if text is None else text.names, at=rows[good],
        )  # fmt: skip
        return self._without_conflicts(name, *made)

    def _values(
        self, name: str, column: str, content: Any, rows: NDArray[np.int64]
    ) -> tuple[FloatArray, Labels | None]:
        """Numbers, or labels where the feature is text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = content.type
        known = self.texts.get(name)
        if pa.types.is_dictionary(kind):
            content, kind = content.cast(kind.value_type), kind.value_type
        if pa.types.is_null(kind):
            return np.full(len(rows), np.nan), Labels.constant(None, len(rows)) if known else None
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        if not is_text:
            if known:
                raise BadData(f"{self.source.name}: feature {name!r} is stored as text; {column!r} holds {kind}")
            if not (
                pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
                or pa.types.is_boolean(kind)
            ):  # fmt: skip
                raise BadData(f"{self.source.name}: column {column!r} holds {kind}; expected numbers, flags or text")
            numbers = pc.cast(content, pa.float64(), safe=False)
            return np.asarray(numbers.to_numpy(), np.float64), None
        coded = labels(content)
        stripped = [text.strip() for text in coded.names]
        numbers_of = np.array([*map(_number, stripped), np.nan])
        blank = np.array([not text or text.casefold() in _NOTHING for text in stripped], np.bool_)
        reads = np.isfinite(numbers_of[:-1]).sum()
        if known or (known is None and reads * 2 < (~blank).sum()):
            codes = np.append(np.where(blank, -1, np.arange(len(stripped))), -1).astype(np.int32)
            return np.zeros(len(rows)), Labels.of(stripped, codes[coded.codes])
        return numbers_of[coded.codes], None

    def _without_conflicts(self, name: str, rows: FeatureRows, at: NDArray[np.int64]) -> FeatureRows:
        """One row a key: equal ones become one, all of those that disagree are rejected."""
        same = same_key(rows)
        if not same.any():
            return rows
        groups = np.cumsum(np.append(True, ~same)) - 1
        other = np.append(False, same & ~equal(rows.value[1:], rows.value[:-1]))
        bad = np.isin(groups, groups[other])
        self._reject(at[bad], "conflict", name)
        return rows.chosen(~bad & np.append(True, ~same))

    def _without(self, usable: NDArray[np.bool_], bad: NDArray[np.bool_], reason: str) -> NDArray[np.bool_]:
        self._reject(np.flatnonzero(usable & bad), reason, None)
        return usable & ~bad

    def _reject(self, rows: NDArray[np.int64], reason: str, name: str | None) -> None:
        if not len(rows):
            return
        symbols = self.symbol.take(rows).texts()
        stamps = self.table[self.roles.as_of]
        text = REASONS[reason] if name is None else f"{name}: {REASONS[reason]}"
        self.rejects.rows.extend(
            (int(self.lines[row]), symbol or "", str(stamps[row].as_py() or ""), text)
            for row, symbol in zip(rows.tolist(), symbols.tolist(), strict=True)
        )


_NOTHING = ("-", "nan", "na", "n/a", "none", "null")
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\Z")


def _number(text: str) -> float:
    """A number as Korean and English sources write it, NaN for anything else; flags count as 1 and 0."""
    plain = text.replace(",", "")
    if _PLAIN.match(plain):
        return float(plain)
    if plain.casefold() in ("inf", "+inf", "-inf", "infinity", "-infinity"):
        return np.inf
    return {"true": 1.0, "false": 0.0}.get(plain.casefold(), np.nan)


def _empty(content: Any) -> NDArray[np.bool_]:
    """Cells of text that say nothing."""
    import pyarrow as pa

    if not pa.types.is_string(content.type) and not pa.types.is_large_string(content.type):
        return np.zeros(len(content), np.bool_)
    coded = labels(content)
    nothing = np.array([not (text := name.strip()) or text.casefold() in _NOTHING for name in coded.names] + [True])
    return np.asarray(nothing[coded.codes], np.bool_)


def _is_nan(content: Any) -> NDArray[np.bool_]:
    """Cells of numbers that are NaN: as good as empty."""
    import pyarrow as pa

    if not pa.types.is_floating(content.type):
        return np.zeros(len(content), np.bool_)
    return np.isnan(np.asarray(content.to_numpy(), np.float64))
