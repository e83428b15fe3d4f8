"""What may be asked of a listing: which rows, in which order, how many of them.

The stores answer a ``Query`` in SQL; ``select`` answers it for the few rows that are made in memory.
What is odd about a question is a ``QueryProblem``, which names the field and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

USUAL_LIMIT: Final = 100  # rows of a page, if nobody says
MOST_LIMIT: Final = 1_000
MOST_OFFSET: Final = 10_000
MOST_VALUES: Final = 100  # of one condition
MOST_CONDITIONS: Final = 20
# Rows that one call looks through, and counts, at most.
MOST_READ: Final = 10_000

LEAST_INTEGER: Final = -(2**31)  # what an integer column holds
MOST_INTEGER: Final = 2**31 - 1


class QueryProblem(ValueError):
    """A question that cannot be answered as it is put."""


class Kind(Enum):
    """What a field holds, and so how it can be compared."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    ATTRIBUTE = "attribute"  # a text within an object
    BOOLEAN = "boolean"
    OBJECT = "object"


_EQUAL: Final = ("eq", "ne", "in", "notin")
_ORDERED: Final = (*_EQUAL, "lt", "le", "gt", "ge")
OPERATORS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.INTEGER: _ORDERED,
    Kind.NUMBER: _ORDERED,
    Kind.TEXT: (*_EQUAL, "contains"),
    Kind.ATTRIBUTE: _EQUAL,
    Kind.BOOLEAN: ("eq", "ne"),
    Kind.OBJECT: (),
}
SINGLE: Final = ("lt", "le", "gt", "ge")  # operators that take one value


@dataclass(frozen=True, slots=True)
class Condition:
    """A field, how it is compared, and with what; several values are alternatives.

    What is not known (``None``) equals nothing, differs from everything, and is neither less nor
    more.
    """

    field: str
    operator: str
    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        match self.operator:
            case "eq" | "in":
                return value in self.values
            case "ne" | "notin":
                return value not in self.values
            case "contains":
                return value is not None and any(part in value for part in self.values)
        if value is None:
            return False
        limit = self.values[0]
        match self.operator:
            case "lt":
                return bool(value < limit)
            case "le":
                return bool(value <= limit)
            case "gt":
                return bool(value > limit)
        return bool(value >= limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    fields: tuple[str, ...] | None = None  # those wanted; all, if it is None
    conditions: tuple[Condition, ...] = ()
    order: tuple[str, ...] = ()  # fields, with "-" before them to begin with the greatest
    limit: int = USUAL_LIMIT
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0  # rows there are; counted no further than ``MOST_READ + 1``


def descends(order: str) -> bool:
    return order.startswith("-")


def ordered_by(order: str) -> str:
    return order.removeprefix("-")


def check(query: Query, kinds: Mapping[str, Kind]) -> None:
    """Raise ``QueryProblem`` for what no listing with these fields can answer."""
    for name in (*(query.fields or ()), *map(ordered_by, query.order)):
        if name not in kinds:
            raise QueryProblem(f"{name}: there is no such field; the fields are {_list(kinds)}")
    if not 0 <= query.limit <= MOST_LIMIT:
        raise QueryProblem(f"limit: {_short(query.limit)} is not between 0 and {MOST_LIMIT}")
    if not 0 <= query.offset <= MOST_OFFSET:
        raise QueryProblem(
            f"offset: {_short(query.offset)} is not between 0 and {MOST_OFFSET}; to go further, "
            "order by the id and ask for what comes after the last one seen, by __lt or __gt"
        )
    if len(query.conditions) > MOST_CONDITIONS:
        raise QueryProblem(f"{len(query.conditions)} filters are given, {MOST_CONDITIONS} may be")
    for condition in query.conditions:
        _check_condition(condition, kinds)


def _check_condition(condition: Condition, kinds: Mapping[str, Kind]) -> None:
    name, kind = condition.field, kinds.get(condition.field)
    if kind is None:
        raise QueryProblem(f"{name}: there is no such field; the fields are {_list(kinds)}")
    operators = OPERATORS[kind]
    if condition.operator not in operators:
        remedy = (
            f"use {' or '.join(f'{name}__{each}' for each in operators)}"
            if operators
            else f"filter by one of {_list(n for n, k in kinds.items() if OPERATORS[k])}"
        )
        raise QueryProblem(f"{name}: it cannot be filtered by {condition.operator!r}; {remedy}")
    if not 1 <= len(condition.values) <= MOST_VALUES:
        raise QueryProblem(
            f"{name}: {len(condition.values)} values are given; give 1 to {MOST_VALUES}"
        )
    if condition.operator in SINGLE and len(condition.values) != 1:
        raise QueryProblem(f"{name}__{condition.operator}: give one value")
    for value in condition.values:
        _check_value(name, kind, value)


def _check_value(name: str, kind: Kind, value: Any) -> None:
    if kind is Kind.INTEGER and not LEAST_INTEGER <= value <= MOST_INTEGER:
        raise QueryProblem(f"{name}: {_short(value)} is out of range; give a number below 2**31")
    if kind in (Kind.TEXT, Kind.ATTRIBUTE) and not is_plain(value):
        raise QueryProblem(f"{name}: {value!r} has characters that no row has; leave them out")


def is_plain(text: str) -> bool:
    """Tell whether every database can hold a text: neither NUL nor half a character is in it."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def select(rows: Iterable[Mapping[str, Any]], query: Query, kinds: Mapping[str, Kind]) -> Page:
    """Answer a query from rows in memory. Raises ``QueryProblem``."""
    check(query, kinds)
    found = [
        dict(row)
        for row in rows
        if all(condition.holds(row[condition.field]) for condition in query.conditions)
    ]
    for order in reversed(query.order):
        name = ordered_by(order)
        if not OPERATORS[kinds[name]]:
            raise QueryProblem(f"order: rows cannot be ordered by {name}; order by another field")
        found.sort(key=lambda row: _sortable(row[name]), reverse=descends(order))
    some = found[query.offset : query.offset + query.limit]
    if query.fields is not None:
        some = [{name: row[name] for name in query.fields} for row in some]
    return Page(rows=some, total=min(len(found), MOST_READ + 1))


def _sortable(value: Any) -> tuple[bool, Any]:
    """What is not known comes first."""
    return (value is not None, value)


def _list(names: Iterable[str]) -> str:
    found: Sequence[str] = sorted(names)
    return ", ".join(found)


def _short(number: Any) -> str:
    """Write a number; one of thousands of digits cannot even be written."""
    if isinstance(number, int) and abs(number) > 10**20:
        return "a number of more than 20 digits"
    return str(number)
