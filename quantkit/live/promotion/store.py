"""Where promotions are kept: one SQLite file, every attempt, granted or not, with the pins and the gates as found.

Contract: nothing is changed or deleted, and the file itself refuses to (triggers). Times are UTC nanoseconds, given.
The place is a path, or an SQLAlchemy URL. A file that is not there is made by the first write; reading finds nothing.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from quantkit.errors import BadData
from quantkit.live.promotion.gates import Gate
from quantkit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.live.promote import Promotion

__all__ = ["FILE", "PromotionStore"]

FILE: Final = "promotions.sqlite"
_meta = sa.MetaData()
_promotions = sa.Table(
    "promotions",
    _meta,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("strategy", sa.Text, nullable=False, index=True),
    sa.Column("digest", sa.Text, nullable=False, index=True),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("granted", sa.Boolean, nullable=False),
    sa.Column("override", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("capital", sa.Float, nullable=False),
    sa.Column("pins", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("gates", sa.Text, nullable=False),
)
for _act in ("UPDATE", "DELETE"):
    sa.event.listen(
        _promotions,
        "after_create",
        sa.DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER promotions_{_act.lower()} BEFORE {_act} ON promotions "
            "BEGIN SELECT RAISE(ABORT, 'rows are only ever added'); END"
        ).execute_if(dialect="sqlite"),
    )


class PromotionStore:
    """The promotions of one place."""

    def __init__(self, place: str | Path) -> None:
        self.place = str(place)
        url = self.place if "://" in self.place else f"sqlite:///{Path(self.place).absolute()}"
        self._path = None if "://" in self.place else Path(self.place)
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool)

    def __repr__(self) -> str:
        return f"<PromotionStore {self.place}>"

    def add(self, promotion: Promotion) -> int:
        """Write an attempt; its number."""
        row = {
            "time": promotion.time,
            "strategy": promotion.pins.strategy,
            "digest": promotion.pins.digest,
            "before": promotion.before,
            "after": promotion.after,
            "granted": promotion.granted,
            "override": promotion.override,
            "by": promotion.by,
            "capital": promotion.capital,
            "pins": _json(promotion.pins.to_dict()),
            "data": _json(promotion.data),
            "gates": _json([gate.to_dict() for gate in promotion.gates]),
        }
        with self._writing() as connection:
            (number,) = connection.execute(sa.insert(_promotions).values(row)).inserted_primary_key or (0,)
        return int(number)

    def promotions(
        self, *, strategy: str | None = None, digest: str | None = None, granted: bool | None = None
    ) -> list[Promotion]:
        """Attempts, oldest first."""
        query = sa.select(_promotions).order_by(_promotions.c.id)
        for column, wanted in ((_promotions.c.strategy, strategy), (_promotions.c.digest, digest),
                               (_promotions.c.granted, granted)):  # fmt: skip
            if wanted is not None:
                query = query.where(column == wanted)
        return [_promotion(row) for row in self._rows(query)]

    def get(self, number: int) -> Promotion:
        """One attempt. BadData where there is none of that number."""
        rows = self._rows(sa.select(_promotions).where(_promotions.c.id == number))
        if not rows:
            raise BadData(f"no promotion {number} in {self.place}")
        return _promotion(rows[0])

    def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        if self._path is not None and not self._path.is_file():
            return []
        try:
            with self._engine.connect() as connection:
                if not sa.inspect(connection).has_table(_promotions.name):
                    return []
                return [dict(row) for row in connection.execute(query).mappings()]
        except sa.exc.DatabaseError as problem:
            raise BadData(f"{self.place} cannot be read as a store of promotions: {problem.orig}") from problem

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction: all of the block or nothing."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._engine.begin() as connection:
                _meta.create_all(connection)
                yield connection
        except sa.exc.DatabaseError as problem:
            raise BadData(f"{self.place} cannot be written: {problem.orig}") from problem


def _promotion(row: dict[str, Any]) -> Promotion:
    from quantkit.live.promote import Pins, Promotion

    return Promotion(
        id=row["id"],
        time=row["time"],
        before=row["before"],
        after=row["after"],
        granted=bool(row["granted"]),
        override=row["override"],
        by=row["by"],
        capital=row["capital"],
        pins=Pins.from_dict(json.loads(row["pins"])),
        data=json.loads(row["data"]),
        gates=tuple(Gate.from_dict(gate) for gate in json.loads(row["gates"])),
    )


def _json(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
