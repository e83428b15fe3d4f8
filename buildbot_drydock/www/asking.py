"""From what a visitor asks by URL to a query, or to a complaint that says what to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from buildbot.data.exceptions import InvalidQueryParameter
from buildbot.data.resultspec import ResultSpec

from buildbot_drydock.queries import (
    OPERATORS,
    SINGLE,
    USUAL_LIMIT,
    Condition,
    Kind,
    Query,
    QueryProblem,
    check,
    ordered_by,
)
from buildbot_drydock.www.entities import DrydockEntity

_PLAIN: Final = ("limit", "offset", "order", "field")


def check_arguments(arguments: Mapping[bytes | str, Sequence[bytes | str]], entity: Any) -> None:
    """Raise ``InvalidQueryParameter`` for what Buildbot would stumble over, or not heed at all.

    *arguments* are those of a URL as Buildbot gets them, for a type of ours or of others.
    """
    if not isinstance(entity, DrydockEntity):
        return
    for raw, values in arguments.items():
        name = _decoded(raw)
        for value in values:
            text = _decoded(value)
            if name in ("order", "field") and not text.lstrip("-"):
                raise InvalidQueryParameter(f"{name}: it is empty; give the name of a field")
        _check_name(name, entity)
        if name.endswith(tuple(f"__{each}" for each in SINGLE)) and len(values) != 1:
            raise InvalidQueryParameter(f"{name}: give one value")


def _decoded(raw: bytes | str) -> str:
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidQueryParameter(f"{raw!r} is not UTF-8") from None


def _check_name(name: str, entity: DrydockEntity) -> None:
    if name in _PLAIN or name in entity.kinds:
        return
    field, _, operator = name.rpartition("__")
    kind = entity.kinds.get(field)
    if kind is None:
        raise InvalidQueryParameter(
            f"{name}: there is no such parameter; there are {', '.join(_PLAIN)} and the fields: "
            f"{', '.join(sorted(entity.kinds))}"
        )
    if operator not in OPERATORS[kind]:
        known = " or ".join(f"{field}__{each}" for each in OPERATORS[kind])
        raise InvalidQueryParameter(
            f"{name}: " + (f"use {known}" if known else f"rows cannot be filtered by {field}")
        )


def query_of(
    asked: ResultSpec, kinds: Mapping[str, Kind], more: Sequence[Condition] = ()
) -> tuple[Query, Callable[[dict[str, Any]], dict[str, Any]]]:
    """Return the query of a collection, and what cuts a whole row to the fields asked for.

    What was asked is taken out of *asked*, or Buildbot would do all of it once again. Raises
    ``InvalidQueryParameter``.
    """
    conditions = [Condition(each.field, each.op, tuple(each.values)) for each in asked.filters]
    query = Query(
        fields=None if not asked.fields else tuple(dict.fromkeys(asked.fields)),
        conditions=(*conditions, *more),
        order=tuple(asked.order or ()),
        limit=USUAL_LIMIT if asked.limit is None else asked.limit,
        offset=0 if asked.offset is None else asked.offset,
    )
    asked.filters, asked.properties = [], []
    asked.fields = asked.order = asked.limit = asked.offset = None
    try:
        check(query, kinds)
    except QueryProblem as problem:
        raise InvalidQueryParameter(str(problem)) from None
    wanted = query.fields

    def cut(row: dict[str, Any]) -> dict[str, Any]:
        return row if wanted is None else {name: row[name] for name in wanted}

    return query, cut


def fields_to_read(
    query: Query, kinds: Mapping[str, Kind], needed: Sequence[str]
) -> tuple[str, ...] | None:
    """Return which of a row's own fields an answer takes, *needed* ones for what is worked out."""
    if query.fields is None:
        return None
    own = [name for name in query.fields if name in kinds]
    ordered = [ordered_by(each) for each in query.order]
    worked_out = [] if len(own) == len(query.fields) else list(needed)
    return tuple(dict.fromkeys([*own, *ordered, *worked_out])) or (next(iter(kinds)),)
