"""Rows to values and back.

A row that cannot be read raises ``UnreadableRow`` and is not skipped: a row left out would make
its host nobody's, and the sweep would destroy it. So as long as one row is damaged, nothing is
planned, and nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from enum import Enum
from functools import lru_cache
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from buildbot_drydock import events
from buildbot_drydock.errors import UnreadableRow
from buildbot_drydock.interfaces import Recorded
from buildbot_drydock.model import (
    Authorization,
    AuthorizationStatus,
    BlueprintState,
    HostState,
    Lease,
    LeaseStatus,
    Mode,
    Override,
    Power,
    Resource,
    ResourceStatus,
)
from buildbot_drydock.store import schema

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

RawRow = Sequence[Any]
Values = dict[str, Any]

# --- values to columns -----------------------------------------------------------------------


def clean(text: str) -> str:
    """Return *text* with what some database cannot hold replaced by the replacement character.

    PostgreSQL refuses NUL, and no encoding has lone surrogates. Both occur in what hosts print.
    """
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cleaned(row: T, *fields: str) -> T:
    """Return the row with these texts cleaned; the JSON columns escape what is odd."""
    odd = {
        name: better
        for name in fields
        if (better := clean(getattr(row, name))) is not getattr(row, name)
    }
    return replace(row, **odd) if odd else row  # type: ignore[type-var]


def dump_object(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value)) if value else "{}"


def dump_list(value: Sequence[str]) -> str:
    return json.dumps(list(value)) if value else "[]"


def resource_values(row: Resource) -> Values:
    """Return all columns but the id."""
    return {
        "blueprint": row.blueprint,
        "token": row.token,
        "place": row.place,
        "status": row.status.value,
        "version": row.version,
        "since": row.since,
        "created_at": row.created_at,
        "labels": dump_object(row.labels),
        "built_for": row.built_for,
        "parent_lease": row.parent_lease,
        "identity": row.identity,
        "address": row.address,
        "data": dump_object(row.data),
        "uses": row.uses,
        "last_used_at": row.last_used_at,
        "locks": dump_list(row.locks),
        "reason": row.reason,
        "host": row.host,
        "faults": row.faults,
        "fault_at": row.fault_at,
        "fault": row.fault,
        "ends_at": row.ends_at,
        "end_reason": row.end_reason,
        "hourly_price": row.hourly_price,
        "priced_at": row.priced_at,
        "power": row.power.value,
        "power_since": row.power_since,
        "parked_seconds": row.parked_seconds,
    }


def lease_values(row: Lease) -> Values:
    """Return all columns but the id."""
    return {
        "owner": row.owner,
        "nonce": row.nonce,
        "master": row.master,
        "type": row.type,
        "requires": dump_object(row.requires),
        "blueprints": dump_list(row.blueprints),
        "priority": row.priority,
        "attributes": dump_object(row.attributes),
        "authorized_by": row.authorized_by,
        "status": row.status.value,
        "version": row.version,
        "requested_at": row.requested_at,
        "since": row.since,
        "resource": row.resource,
        "slot": row.slot,
        "locks": dump_list(row.locks),
        "renewed_at": row.renewed_at,
        "expires_at": row.expires_at,
        "until": row.until,
        "returns": dump_list(row.returns),
        "reason": row.reason,
        "held_since": row.held_since,
        "subjects": dump_list(row.subjects),
    }


def blueprint_values(row: BlueprintState) -> Values:
    return {
        "name": row.name,
        "version": row.version,
        "mode": row.mode.value,
        "mode_reason": row.mode_reason,
        "mode_author": row.mode_author,
        "mode_until": row.mode_until,
        "failures": row.failures,
        "retry_at": row.retry_at,
        "last_error": row.last_error,
        "misconfigured": int(row.misconfigured),
        "overrides": dump_object({name: asdict(each) for name, each in row.overrides.items()}),
    }


def host_values(row: HostState) -> Values:
    return {
        "name": row.name,
        "version": row.version,
        "mode": row.mode.value,
        "at_once": int(row.at_once),
        "mode_reason": row.mode_reason,
        "mode_author": row.mode_author,
        "mode_until": row.mode_until,
    }


def authorization_values(row: Authorization) -> Values:
    """Return all columns but the id."""
    return {
        "blueprint": row.blueprint,
        "subject": row.subject,
        "status": row.status.value,
        "version": row.version,
        "requested_at": row.requested_at,
        "lease": row.lease,
        "author": row.author,
        "decided_at": row.decided_at,
        "reason": row.reason,
    }


def event_values(
    event: events.Event,
    at: float,
    *,
    blueprint: str | None = None,
    resource: int | None = None,
    lease: int | None = None,
) -> Values:
    return {
        "at": at,
        "kind": event.kind,
        "actor": clean(event.actor),
        "data": dump_object(event.data()),
        "blueprint": blueprint,
        "resource": resource,
        "lease": lease,
    }


# --- columns to values -----------------------------------------------------------------------


class _Unreadable(Exception):
    """A column that cannot be read; the reader of the row adds which row it is in."""


def _status(kinds: type[E]) -> Callable[[str], E]:
    known: dict[str, E] = {kind.value: kind for kind in kinds}

    def read(text: str) -> E:
        try:
            return known[text]
        except KeyError:
            raise _Unreadable(f"{text!r} is none of {', '.join(known)}") from None

    return read


def _json(text: str, expected: type[T]) -> T:
    try:
        value = json.loads(text)
    except (TypeError, ValueError) as error:
        raise _Unreadable(f"{_shortened(text)} is not JSON ({error})") from None
    if not isinstance(value, expected):
        raise _Unreadable(f"{_shortened(text)} is not a JSON {expected.__name__}")
    return value


@lru_cache(maxsize=4096)
def _shared_object(text: str) -> dict[str, Any]:
    return _json(text, dict)


def _object(text: str) -> Mapping[str, Any]:
    """Return what *text* says; equal texts share it, as many rows have the same labels."""
    return _shared_object(text)


def _overrides(text: str | None) -> dict[str, Override]:
    found = {} if text is None else _json(text, dict)
    try:
        return {str(name): Override(**each) for name, each in found.items()}
    except TypeError as error:
        raise _Unreadable(f"{_shortened(text)} is not what was edited ({error})") from None


def _texts(text: str) -> tuple[str, ...]:
    if text == "[]":
        return ()
    return tuple(_json(text, list))


def _shortened(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else shown[:77] + "..."


class Reader(Generic[T]):
    """Makes values of the rows of one table, and remembers those it made last.

    Almost all rows are the same each time, and to find that out is cheaper than to make the value
    anew. It also leaves next to no new objects behind, and what is remembered of a row is a plain
    tuple of plain values, which the garbage collector need not look into: the more new objects it
    has to look after, the sooner it looks through all of the process, and everybody waits.

    Each thing remembered is let go of when its row has been read again, not all at once at the
    end, which would take a while in which no other thread can run. Safe in several threads: of
    two that read at once, one may find some of it gone, and makes these values anew.
    """

    def __init__(
        self,
        table: sa.Table,
        build: type[T],
        special: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        self.columns = tuple(table.c)
        self._table = table
        self._build = build
        self._names = tuple(column.name for column in table.c)
        self._special = {self._names.index(name): read for name, read in special.items()}
        self._last: tuple[dict[Any, RawRow], dict[Any, T]] = ({}, {})

    def read(self, raw: RawRow) -> T:
        """Return the value of one row. Raises ``UnreadableRow``."""
        values = list(raw)
        for position, convert in self._special.items():
            try:
                values[position] = convert(values[position])
            except _Unreadable as error:
                raise self._unreadable(raw[0], self._names[position], error) from None
        return self._build(**dict(zip(self._names, values, strict=True)))

    def read_all(self, raws: Iterable[RawRow]) -> list[T]:
        """Return the values of all rows there are. Raises ``UnreadableRow``."""
        known_raws, known_values = self._last
        fresh_raws: dict[Any, RawRow] = {}
        values: dict[Any, T] = {}
        # Rows share what is equal in one column: to look through them then takes half the time.
        shared: list[dict[Any, Any]] = [{} for _ in self._names]
        for row in raws:
            raw = tuple(row)
            key = raw[0]
            known = known_raws.pop(key, None)
            value = None if known is None else known_values.pop(key)
            if value is not None and known == raw:
                fresh_raws[key], values[key] = known, value
            else:
                raw = tuple(
                    first.setdefault(each, each) for first, each in zip(shared, raw, strict=True)
                )
                fresh_raws[key], values[key] = raw, self.read(raw)
        self._last = (fresh_raws, values)
        return list(values.values())

    def _unreadable(self, key: object, column: str, error: Exception) -> UnreadableRow:
        return UnreadableRow(self._table.name, f"{self._table.c[0].name}={key}", column, str(error))


def resource_reader() -> Reader[Resource]:
    special = {
        "status": _status(ResourceStatus),
        "labels": _object,
        "data": _object,
        "locks": _texts,
        "fault": lambda text: text or "",  # older rows have none
        "end_reason": lambda text: text or "",
        "power": _status(Power),
    }
    return Reader(schema.resources, Resource, special)


def lease_reader() -> Reader[Lease]:
    special = {
        "status": _status(LeaseStatus),
        "requires": _object,
        "blueprints": _texts,
        "attributes": _object,
        "locks": _texts,
        "returns": _texts,
        "subjects": lambda text: _texts(text or "[]"),  # older rows have none
    }
    return Reader(schema.leases, Lease, special)


def blueprint_reader() -> Reader[BlueprintState]:
    special: dict[str, Callable[[Any], Any]] = {
        "mode": _status(Mode),
        "misconfigured": bool,
        "overrides": _overrides,
    }
    return Reader(schema.blueprints, BlueprintState, special)


def host_reader() -> Reader[HostState]:
    return Reader(schema.hosts, HostState, {"mode": _status(Mode), "at_once": bool})


def authorization_reader() -> Reader[Authorization]:
    special = {"status": _status(AuthorizationStatus)}
    return Reader(schema.authorizations, Authorization, special)


def read_event(raw: RawRow) -> Recorded:
    """Return the event of a whole row of ``drydock_events``. Raises ``UnreadableRow``."""
    number, at, kind, actor, data, blueprint, resource, lease = raw
    column = "data"
    try:
        fields: dict[str, Any] = _json(data, dict)
        column = "data" if kind in events.KINDS else "kind"
        event = events.restore(kind, actor, fields)
    except (_Unreadable, ValueError) as error:
        raise UnreadableRow(schema.events.name, f"id={number}", column, str(error)) from None
    return Recorded(
        id=number, at=at, event=event, blueprint=blueprint, resource=resource, lease=lease
    )
