"""Reading rows for people: filtered, ordered, page by page, destroyed ones included.

However much has happened before, one call reads a bounded number of rows. A page is cut from a
*window*: the first rows that an index has in the order asked for, of each value that an indexed
filter names. What other filters leave of the window is the answer. If the window ends before the
page is full, the question is refused, and the refusal says how to narrow it; an answer is never
short without saying so.

Only the columns named here can be read. What a row keeps to itself (a lease's nonce, what else a
provider tells of a host) is not among them.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.authorization import PERSON
from buildbot_drydock.queries import (
    MOST_INTEGER,
    MOST_READ,
    Condition,
    Kind,
    Page,
    Query,
    QueryProblem,
    check,
    descends,
    ordered_by,
)
from buildbot_drydock.store import transactions
from buildbot_drydock.store.schema import events, leases, resources

# Values of an indexed filter that are looked up one by one.
MOST_LOOKED_UP: Final = 8
IDS_AT_A_TIME: Final = 500

_CHAIN: Final = ("lt", "le", "gt", "ge", "eq", "in")


def _given(value: Any) -> Any:
    return value


def _object(text: Any) -> dict[str, Any]:
    """Return what a column says; one that is damaged says nothing to people."""
    value = _loaded(text)
    return value if isinstance(value, dict) else {}


def _list(text: Any) -> list[Any]:
    value = _loaded(text)
    return value if isinstance(value, list) else []


def _loaded(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None


# The columns of a table, or of some rows of it.
Columns: TypeAlias = "sa.sql.base.ReadOnlyColumnCollection[str, sa.ColumnElement[Any]]"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a listing: the column it is made of, what is in it, and how it is shown."""

    column: str
    kind: Kind
    read: Callable[[Any], Any] = _given
    express: Callable[[Columns], sa.ColumnElement[Any]] | None = None  # in SQL, if not as it is
    beside: tuple[str, ...] = ()  # the other columns that *express* reads

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, *self.beside)

    def of(self, columns: Columns) -> sa.ColumnElement[Any]:
        return columns[self.column] if self.express is None else self.express(columns)


def _integer(column: str) -> Field:
    return Field(column, Kind.INTEGER)


def _number(column: str) -> Field:
    return Field(column, Kind.NUMBER)


def _words(column: str) -> Field:
    return Field(column, Kind.TEXT)


def _attribute(name: str) -> Field:
    def read(text: Any) -> Any:
        return _object(text).get(name)

    return Field(
        "attributes", Kind.ATTRIBUTE, read, express=_attributes_of_workers, beside=("owner",)
    )


def _attributes_of_workers(columns: Columns) -> sa.ColumnElement[Any]:
    """Leave out what people wrote down about their leases: who may not read it may not ask for it."""
    is_of_person = sa.func.substr(columns["owner"], 1, len(PERSON)) == PERSON
    return sa.case((is_of_person, sa.literal("{}")), else_=columns["attributes"])


def _later_words(column: str) -> Field:
    """Describe a text that older rows have not."""
    return Field(column, Kind.TEXT, express=lambda columns: sa.func.coalesce(columns[column], ""))


def _blueprint_of_resource(columns: Columns) -> sa.ColumnElement[Any]:
    """Look the blueprint of each row's resource up; a join may read all resources there ever were."""
    found = sa.select(resources.c.blueprint).where(resources.c.id == columns["resource"])
    return found.correlate_except(resources).scalar_subquery()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A table as people see it."""

    table: sa.Table
    key: str  # the field that is its primary key
    fields: Mapping[str, Field]
    # By the field that rows are ordered by, the fields that an index has before it.
    indices: Mapping[str, tuple[str, ...]]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of fields with few

    @property
    def kinds(self) -> dict[str, Kind]:
        return {name: each.kind for name, each in self.fields.items()}


RESOURCES: Final = Listing(
    table=resources,
    key="resourceid",
    fields={
        "resourceid": _integer("id"),
        "blueprint": _words("blueprint"),
        "token": _words("token"),
        "place": _integer("place"),
        "status": _words("status"),
        "version": _integer("version"),
        "since": _number("since"),
        "created_at": _number("created_at"),
        "labels": Field("labels", Kind.OBJECT, _object),
        "host": _words("host"),
        "built_for": _integer("built_for"),
        "parent_lease": _integer("parent_lease"),
        "identity": _words("identity"),
        "address": _words("address"),
        "uses": _integer("uses"),
        "last_used_at": _number("last_used_at"),
        "locks": Field("locks", Kind.OBJECT, _list),
        "reason": _words("reason"),
        "faults": _integer("faults"),
        "fault_at": _number("fault_at"),
        "fault": _later_words("fault"),
        "ends_at": _number("ends_at"),
        "end_reason": _later_words("end_reason"),
        "hourly_price": _number("hourly_price"),
        "power": _words("power"),
        "power_since": _number("power_since"),
        "parked_seconds": _number("parked_seconds"),
    },
    indices={"resourceid": ("blueprint", "status", "host"), "since": ()},
    values={"status": ("pending", "active", "released", "broken", "destroyed")},
)

LEASES: Final = Listing(
    table=leases,
    key="leaseid",
    fields={
        "leaseid": _integer("id"),
        "owner": _words("owner"),
        "masterid": _integer("master"),
        "type": _words("type"),
        "requires": Field("requires", Kind.OBJECT, _object),
        "blueprints": Field("blueprints", Kind.OBJECT, _list),
        "priority": _integer("priority"),
        "attributes": Field("attributes", Kind.OBJECT, _object),
        "builder": _attribute("builder"),
        "build": _attribute("build"),
        "buildid": _attribute("buildid"),
        "authorized_by": _words("authorized_by"),
        "subjects": Field("subjects", Kind.OBJECT, _list),
        "status": _words("status"),
        "version": _integer("version"),
        "requested_at": _number("requested_at"),
        "since": _number("since"),
        "resourceid": _integer("resource"),
        "blueprint": Field("resource", Kind.TEXT, express=_blueprint_of_resource),
        "slot": _integer("slot"),
        "held_since": _number("held_since"),
        "locks": Field("locks", Kind.OBJECT, _list),
        "renewed_at": _number("renewed_at"),
        "expires_at": _number("expires_at"),
        "until": _number("until"),
        "returns": Field("returns", Kind.OBJECT, _list),
        "reason": _words("reason"),
    },
    indices={"leaseid": ("resourceid", "status"), "since": ()},
    values={"status": ("pending", "acquired", "active", "released", "broken", "destroyed")},
)

EVENTS: Final = Listing(
    table=events,
    key="eventid",
    fields={
        "eventid": _integer("id"),
        "at": _number("at"),
        "kind": _words("kind"),
        "actor": _words("actor"),
        "data": Field("data", Kind.OBJECT, _object),
        "blueprint": _words("blueprint"),
        "resourceid": _integer("resource"),
        "leaseid": _integer("lease"),
    },
    indices={"eventid": ("leaseid", "resourceid", "kind", "blueprint")},
)


class Listings:
    """The tables behind *pool*, for people to read."""

    def __init__(self, pool: transactions.Pool) -> None:
        self._pool = pool

    async def page(self, listing: Listing, query: Query) -> Page:
        """Answer a query. Raises ``QueryProblem``."""

        def work(connection: Connection) -> Page | QueryProblem:
            try:
                return answer(connection, listing, query)
            except QueryProblem as problem:
                return problem

        found = await transactions.read(self._pool, work)
        if isinstance(found, QueryProblem):
            raise found
        return found

    async def rows(self, listing: Listing, numbers: Collection[int]) -> list[dict[str, Any]]:
        """Return the rows with these ids, as far as there are any, ordered by them."""
        return await transactions.read(
            self._pool, lambda connection: find_rows(connection, listing, numbers)
        )


def answer(connection: Connection, listing: Listing, query: Query) -> Page:
    """Answer a query. Raises ``QueryProblem``."""
    check(query, listing.kinds)
    return _Question(listing, query).answer(connection)


def find_rows(
    connection: Connection, listing: Listing, numbers: Collection[int]
) -> list[dict[str, Any]]:
    """Return the rows with these ids, as far as there are any, ordered by them."""
    wanted = sorted(number for number in numbers if 0 < number <= MOST_INTEGER)
    names = tuple(listing.fields)
    columns = listing.table.c
    key = listing.fields[listing.key].of(columns)
    shown = [listing.fields[name].of(columns) for name in names]
    found: list[dict[str, Any]] = []
    for start in range(0, len(wanted), IDS_AT_A_TIME):
        some = wanted[start : start + IDS_AT_A_TIME]
        statement = sa.select(*shown).where(key.in_(some)).order_by(key)
        found += [_read(listing, names, raw) for raw in connection.execute(statement)]
    return found


class _Question:
    """A query of one listing, taken apart: what an index answers, and the rest."""

    def __init__(self, listing: Listing, query: Query) -> None:
        self._listing = listing
        self._query = query
        self._order, self._descending = self._ordered()
        self._values: tuple[Any, ...] = ()  # of the indexed filter, if there is one
        self._leading: str | None = None
        self._inside: list[Condition] = []  # of the field that rows are ordered by
        self._rest: list[Condition] = []
        for condition in query.conditions:
            self._take(_as_columns_are(condition, listing.fields[condition.field].kind))
        self._end = query.offset + query.limit

    def _ordered(self) -> tuple[str, bool]:
        if not self._query.order:
            return self._listing.key, False
        names = [ordered_by(each) for each in self._query.order]
        if len(names) > 1 or names[0] not in self._listing.indices:
            known = " or ".join(self._listing.indices)
            raise QueryProblem(f"order: rows cannot be ordered by {', '.join(names)}; give {known}")
        return names[0], descends(self._query.order[0])

    def _take(self, condition: Condition) -> None:
        name = condition.field
        if name == self._order and condition.operator in _CHAIN:
            self._inside.append(condition)
        elif self._leading is None and name in self._listing.indices[self._order]:
            values = self._looked_up(condition)
            if values is None:
                self._rest.append(condition)
            else:
                self._leading, self._values = name, values
        else:
            self._rest.append(condition)

    def _looked_up(self, condition: Condition) -> tuple[Any, ...] | None:
        """Return the values that a filter leaves, if they are few enough to look each up."""
        known = self._listing.values.get(condition.field)
        if known is not None and condition.operator != "contains":
            return tuple(value for value in known if condition.holds(value))
        values = tuple(dict.fromkeys(condition.values))
        if condition.operator in ("eq", "in") and len(values) <= MOST_LOOKED_UP:
            return values
        return None

    def answer(self, connection: Connection) -> Page:
        if self._leading is not None and not self._values:
            return Page()
        total = self._total(connection)
        if self._rest and total < self._end:
            self._refuse_if_cut_off(connection)
        rows = [
            _read(self._listing, self._names, raw)
            for raw in connection.execute(self._page(connection))
        ]
        return Page(rows=rows, total=total)

    @property
    def _names(self) -> tuple[str, ...]:
        return self._query.fields or tuple(self._listing.fields)

    def _page(self, connection: Connection) -> sa.Select[Any]:
        size = MOST_READ + 1 if self._rest else max(1, self._end)
        fields = [self._listing.fields[name] for name in self._names]
        window = self._window(size, [column for each in fields for column in each.columns])
        shown = [each.of(window.c) for each in fields]
        statement = self._remaining(sa.select(*shown).select_from(window), window, connection)
        by: list[sa.ColumnElement[Any]] = [window.c[self._position], window.c[self._key]]
        statement = statement.order_by(*(each.desc() for each in by) if self._descending else by)
        return statement.limit(self._query.limit).offset(self._query.offset)

    def _total(self, connection: Connection) -> int:
        window = self._window(MOST_READ + 1)
        counted = sa.select(sa.func.count()).select_from(window)
        return int(connection.execute(self._remaining(counted, window, connection)).scalar_one())

    def _refuse_if_cut_off(self, connection: Connection) -> None:
        window = self._window(MOST_READ + 1)
        edge = sa.func.min if self._descending else sa.func.max
        query = sa.select(sa.func.count(), edge(window.c[self._position])).select_from(window)
        read, last = connection.execute(query).one()
        if read <= MOST_READ:
            return
        names = ", ".join(self._listing.indices[self._order])
        within = f"{self._order}__{'gt' if self._descending else 'lt'}={last}"
        wrong = ", ".join(sorted({condition.field for condition in self._rest}))
        raise QueryProblem(
            f"{wrong}: of the first {MOST_READ} rows too few match, and no more are looked "
            f"through; add {within} to be content with those, or a filter by "
            f"{names or 'a range of ' + self._order}"
        )

    # --- statements --------------------------------------------------------------------------

    @property
    def _key(self) -> str:
        return self._listing.fields[self._listing.key].column

    @property
    def _position(self) -> str:
        return self._listing.fields[self._order].column

    def _remaining(
        self, statement: sa.Select[Any], window: sa.Subquery, connection: Connection
    ) -> sa.Select[Any]:
        """Restrict a statement to the rows of the window that the rest of the filters leave."""
        for condition in self._rest:
            found = self._listing.fields[condition.field]
            statement = statement.where(_clause(found, condition, window.c, connection))
        return statement

    def _window(self, size: int, shown: Sequence[str] = ()) -> sa.Subquery:
        """Select the first rows, as the index has them, with the columns that are needed of them."""
        fields = [self._listing.fields[condition.field] for condition in self._rest]
        rest = [column for each in fields for column in each.columns]
        names = tuple(dict.fromkeys([self._key, self._position, *rest, *shown]))
        columns = self._listing.table.c
        start = sa.select(*(columns[name] for name in names))
        for condition in self._inside:
            start = start.where(_compared(columns[self._position], condition))
        if self._leading is None:
            return self._first(start, columns, size).subquery()
        leading = columns[self._listing.fields[self._leading].column]
        parts = [
            self._first(start.where(leading == value), columns, size).subquery()
            for value in self._values
        ]
        if len(parts) == 1:
            return parts[0]
        united = sa.union_all(*(sa.select(*part.c) for part in parts)).subquery()
        return self._first(sa.select(*united.c), united.c, size).subquery()

    def _first(self, statement: sa.Select[Any], columns: Columns, size: int) -> sa.Select[Any]:
        by = [columns[name] for name in dict.fromkeys([self._position, self._key])]
        if self._descending:
            return statement.order_by(*(each.desc() for each in by)).limit(size)
        return statement.order_by(*by).limit(size)


def _read(listing: Listing, names: Sequence[str], raw: Sequence[Any]) -> dict[str, Any]:
    return {name: listing.fields[name].read(value) for name, value in zip(names, raw, strict=True)}


def _as_columns_are(condition: Condition, kind: Kind) -> Condition:
    """Make numbers of one type: PostgreSQL would take them all to be what the first one is."""
    if kind is not Kind.NUMBER:
        return condition
    return replace(condition, values=tuple(map(float, condition.values)))


def _clause(
    found: Field, condition: Condition, columns: Columns, connection: Connection
) -> sa.ColumnElement[bool]:
    column = found.of(columns)
    if found.kind is Kind.ATTRIBUTE:
        return _attribute_clause(condition, column, connection)
    if condition.operator == "contains":
        return sa.or_(*(_has(column, each, connection) for each in condition.values))
    return _compared(column, condition)


def _compared(column: sa.ColumnElement[Any], condition: Condition) -> sa.ColumnElement[bool]:
    values = condition.values
    match condition.operator:
        case "eq" | "in":
            return column.in_(values)
        case "ne" | "notin":
            return sa.or_(column.is_(None), column.not_in(values))
    compare: Callable[[Any, Any], sa.ColumnElement[bool]] = getattr(operator, condition.operator)
    return compare(column, values[0])


def _attribute_clause(
    condition: Condition, column: sa.ColumnElement[Any], connection: Connection
) -> sa.ColumnElement[bool]:
    """Compare a text within a JSON object, which is written as ``json.dumps`` writes it.

    A quotation mark within a text is written with a backslash, so nothing else looks the same.
    """
    pairs = [f"{json.dumps(condition.field)}: {json.dumps(value)}" for value in condition.values]
    has = sa.or_(*(_has(column, pair, connection) for pair in pairs))
    return has if condition.operator in ("eq", "in") else sa.not_(has)


def _has(
    column: sa.ColumnElement[Any], text: str, connection: Connection
) -> sa.ColumnElement[bool]:
    """Tell whether a column has a text in it, letter by letter: LIKE of SQLite ignores the case."""
    postgresql = connection.dialect.name == "postgresql"
    place: sa.ColumnElement[int] = (
        sa.func.strpos(column, text) if postgresql else sa.func.instr(column, text)
    )
    return place > 0
