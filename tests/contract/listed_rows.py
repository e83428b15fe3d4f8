"""Rows in all statuses, and a plain model of how listings answer, to hold a store's to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from buildbot_drydock.queries import (
    MOST_READ,
    OPERATORS,
    SINGLE,
    Condition,
    Kind,
    Page,
    Query,
    descends,
    ordered_by,
)
from buildbot_drydock.store.listings import EVENTS, LEASES, RESOURCES, Listing
from buildbot_drydock.store.schema import events, leases, resources

NAMES = ("linux", "Linux", "gpu", "gpu%", "g_u", "über")
RESOURCE_STATUSES = RESOURCES.values["status"]
LEASE_STATUSES = LEASES.values["status"]
CANARY = "canary-6c1f"


def resource_row(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "blueprint": NAMES[number % len(NAMES)],
        "token": f"drydock-{number}",
        "place": number % 4,
        "status": RESOURCE_STATUSES[number % len(RESOURCE_STATUSES)],
        "version": number,
        "since": 100.5 + number % 7,
        "created_at": 100.0 + number,
        "labels": json.dumps({"os": "debian", "number": str(number)}),
        "built_for": None if number % 3 else number,
        "parent_lease": None,
        "identity": f"i-{number}",
        "address": f"10.0.0.{number}",
        "data": json.dumps({"user_data": CANARY}),
        "uses": number % 5,
        "last_used_at": None if number % 2 else 200.0 + number,
        "locks": json.dumps([f"blueprint(x).resource({number})"]),
        "reason": "idle 100%" if number % 2 else "",
        "host": "" if number % 3 else f"build{number % 2}",
        "faults": 0,
        "fault_at": None,
        "fault": None if number % 4 else "no python",
        "ends_at": None if number % 5 else 900.0 + number,
        "end_reason": None if number % 5 else "spot interruption",
        "hourly_price": None if number % 2 else 0.25,
        "power": "running" if number % 3 else "parked",
        "power_since": None if number % 3 else 1000.5 + number,
        "parked_seconds": 0.0 if number % 3 else 2.5,
        "priced_at": None,
    }


def lease_row(number: int) -> dict[str, Any]:
    attributes = {"builder": NAMES[number % 3], "buildid": str(number % 4)} if number % 5 else {}
    return {
        "id": number,
        "owner": f"{'worker' if number % 7 else 'person'}/{NAMES[number % len(NAMES)]}",
        "nonce": CANARY,
        "master": None if number % 4 else 1,
        "type": "host",
        "requires": json.dumps({"os": "debian"}),
        "blueprints": json.dumps(["linux"]),
        "priority": number % 3 - 1,
        "attributes": json.dumps(attributes),
        "authorized_by": "",
        "status": LEASE_STATUSES[number % len(LEASE_STATUSES)],
        "version": number,
        "requested_at": 100.0 + number,
        "since": 100.25 + number % 6,
        "resource": None if number % 3 == 0 else number % 9 + 1,
        "slot": None if number % 3 == 0 else number % 2,
        "locks": "[]",
        "renewed_at": 150.0,
        "expires_at": None if number % 2 else 300.0 + number,
        "until": None,
        "returns": json.dumps(["its host vanished"] if number % 7 == 0 else []),
        "reason": "",
        "held_since": None if number % 3 == 0 else 120.0 + number,
        "subjects": json.dumps([f"builder/b{number % 4}"] if number % 5 else []),
    }


def event_row(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "at": 100.0 + number // 2,
        "kind": ("lease-requested", "lease-broken", "launch-failed")[number % 3],
        "actor": "drydock" if number % 2 else "ana@example.org",
        "data": json.dumps({"reason": "it's over", "number": number}),
        "blueprint": None if number % 4 == 0 else NAMES[number % len(NAMES)],
        "resource": None if number % 3 else number % 9 + 1,
        "lease": None if number % 5 == 0 else number % 11 + 1,
    }


TABLES: dict[str, tuple[Listing, Any, Callable[[int], dict[str, Any]], int]] = {
    "resources": (RESOURCES, resources, resource_row, 30),
    "leases": (LEASES, leases, lease_row, 60),
    "events": (EVENTS, events, event_row, 80),
}


def insert_all(connection: Connection) -> None:
    for _, table, row, number in TABLES.values():
        connection.execute(table.insert(), [row(each) for each in range(1, number + 1)])


def shown(name: str) -> list[dict[str, Any]]:
    """Return the rows of a table as people are to see them, ordered by id."""
    _, _, row, number = TABLES[name]
    return [_shown(name, row(each)) for each in range(1, number + 1)]


def _shown(name: str, raw: dict[str, Any]) -> dict[str, Any]:
    row = dict(raw)
    row[f"{name[:-1]}id"] = row.pop("id")
    for secret in ("nonce",) if name == "leases" else ("data",) if name == "resources" else ():
        del row[secret]
    for json_field in (
        "labels",
        "locks",
        "requires",
        "blueprints",
        "attributes",
        "returns",
        "subjects",
        "data",
    ):
        if json_field in row:
            row[json_field] = json.loads(row[json_field])
    if name == "resources":
        row["fault"], row["end_reason"] = row["fault"] or "", row["end_reason"] or ""
        del row["priced_at"]
    if name == "leases":
        row["resourceid"], row["masterid"] = row.pop("resource"), row.pop("master")
        found = row["resourceid"]
        row["blueprint"] = None if found is None else resource_row(found)["blueprint"]
        for each in ("builder", "build", "buildid"):
            of_worker = row["owner"].startswith("worker/")
            row[each] = row["attributes"].get(each) if of_worker else None
    if name == "events":
        row["resourceid"], row["leaseid"] = row.pop("resource"), row.pop("lease")
    return row


def expected(name: str, query: Query) -> Page:
    """Answer a query in the plainest way."""
    found = shown(name)
    for condition in query.conditions:
        found = [row for row in found if _holds(row[condition.field], condition)]
    for order in query.order:
        by = ordered_by(order)
        found.sort(key=lambda row: (row[by], row[f"{name[:-1]}id"]), reverse=descends(order))
    page = found[query.offset :][: query.limit]
    fields = query.fields
    if fields is not None:
        page = [{each: row[each] for each in fields} for row in page]
    assert len(found) <= MOST_READ
    return Page(rows=page, total=len(found))


def _holds(value: Any, condition: Condition) -> bool:
    first = condition.values[0]
    answers: dict[str, Callable[[], bool]] = {
        "eq": lambda: value in condition.values,
        "in": lambda: value in condition.values,
        "ne": lambda: value not in condition.values,
        "notin": lambda: value not in condition.values,
        "contains": lambda: value is not None and any(part in value for part in condition.values),
        "lt": lambda: value is not None and value < first,
        "le": lambda: value is not None and value <= first,
        "gt": lambda: value is not None and value > first,
        "ge": lambda: value is not None and value >= first,
    }
    return bool(answers[condition.operator]())


def _values(name: str, field: str, kind: Kind) -> st.SearchStrategy[Any]:
    there = sorted({row[field] for row in shown(name) if row[field] is not None})
    known = st.sampled_from(there) if there else st.nothing()
    if kind is Kind.INTEGER:
        return known | st.integers(-5, 90)
    if kind is Kind.NUMBER:
        return known | st.integers(95, 250)
    return known | st.sampled_from(["", "%", "_", "LINUX", "lin", "ü", "'", '"', "\\", "100%"])


@st.composite
def conditions(draw: st.DrawFn, name: str) -> Condition:
    kinds = {f: kind for f, kind in TABLES[name][0].kinds.items() if OPERATORS[kind]}
    field = draw(st.sampled_from(sorted(kinds)))
    operator = draw(st.sampled_from(OPERATORS[kinds[field]]))
    values = st.lists(
        _values(name, field, kinds[field]), min_size=1, max_size=1 if operator in SINGLE else 10
    )
    return Condition(field, operator, tuple(draw(values)))


@st.composite
def queries(draw: st.DrawFn, name: str) -> Query:
    listing = TABLES[name][0]
    order = draw(st.none() | st.sampled_from(sorted(listing.indices)))
    fields = st.lists(st.sampled_from(sorted(listing.fields)), min_size=1, max_size=4, unique=True)
    return Query(
        fields=draw(st.none() | fields.map(tuple)),
        conditions=tuple(draw(st.lists(conditions(name), max_size=3))),
        order=() if order is None else (draw(st.sampled_from(["", "-"])) + order,),
        limit=draw(st.sampled_from([0, 1, 2, 5, 100])),
        offset=draw(st.sampled_from([0, 0, 1, 3, 50, 1000])),
    )
