"""What a page of a list costs with a long history: 10,000 resources, 100,000 leases, 1,000,000 events.

Counted are the steps of SQLite's machine, of which reading a row takes several: they must not grow
with the history. Times are shown beside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import sqlalchemy as sa
from bench_results import Measured, counted, measured

from buildbot_drydock.queries import Condition, Query
from buildbot_drydock.store.listings import EVENTS, LEASES, RESOURCES, Listing, answer
from buildbot_drydock.store.schema import events, leases, metadata, resources
from buildbot_drydock.store.usage import find_usage

RESOURCES_THERE, LEASES_THERE, EVENTS_THERE = 10_000, 100_000, 1_000_000
LIVING = 1_000  # leases; the others have ended
STEPS = 20  # of the machine, between two counts

BLUEPRINTS = ("linux", "gpu", "windows", "mac")
KINDS = ("lease-requested", "lease-acquired", "lease-released", "launch-failed")


def _is(field: str, *values: Any) -> tuple[Condition, ...]:
    return (Condition(field, "eq", values),)


PAGES: tuple[tuple[str, Listing, Query], ...] = (
    ("resources", RESOURCES, Query(order=("-resourceid",))),
    ("resources_active", RESOURCES, Query(conditions=_is("status", "active"))),
    ("resources_of_blueprint", RESOURCES, Query(conditions=_is("blueprint", "linux"))),
    ("leases", LEASES, Query(order=("-leaseid",))),
    ("leases_waiting", LEASES, Query(conditions=_is("status", "pending"))),
    (
        "leases_living",
        LEASES,
        Query(conditions=(Condition("status", "ne", ("destroyed",)),), order=("-leaseid",)),
    ),
    ("leases_of_owner", LEASES, Query(conditions=_is("owner", "worker/7"), order=("-leaseid",))),
    ("leases_lately", LEASES, Query(order=("-since",))),
    ("events", EVENTS, Query(order=("-eventid",))),
    ("events_far_back", EVENTS, Query(order=("-eventid",), offset=10_000)),
    ("events_of_kind", EVENTS, Query(order=("-eventid",), conditions=_is("kind", KINDS[3]))),
    ("events_of_blueprint", EVENTS, Query(order=("-eventid",), conditions=_is("blueprint", "gpu"))),
    ("events_of_lease", EVENTS, Query(order=("-eventid",), conditions=_is("leaseid", 5))),
    (
        "events_by_actor",
        EVENTS,
        Query(order=("-eventid",), conditions=(Condition("actor", "contains", ("ana",)),)),
    ),
)


async def listings(directory: str) -> list[Measured]:
    small, _ = _measure(f"{directory}/tenth.sqlite", 10)
    large, times = _measure(f"{directory}/whole.sqlite", 1)
    growth = max(large[name] / max(small[name], 10 * STEPS) for name in large)
    slowest = max(times, key=lambda name: times[name])
    return [
        counted("listings.growth_of_steps", growth, "ten times the history", "<= 1.5"),
        counted("listings.most_steps", max(large.values()), "steps of SQLite a page"),
        measured(f"listings.slowest ({slowest})", times[slowest] * 1000, "ms a page"),
        measured("listings.overview", times["overview"] * 1000, "ms"),
    ]


def _measure(path: str, part: int) -> tuple[dict[str, int], dict[str, float]]:
    """Return steps and seconds of each page, with so small a part of the history."""
    engine = sa.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    steps, times = {}, {}
    with engine.connect() as connection:
        for table, rows in (
            (resources, _resources(RESOURCES_THERE)),
            (leases, _leases(LEASES_THERE // part)),
            (events, _events(EVENTS_THERE // part)),
        ):
            _fill(connection, table, rows)
        connection.commit()
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        for name, listing, query in PAGES:
            counted = [0]
            driver.set_progress_handler(lambda counted=counted: counted.append(1), STEPS)
            answer(connection, listing, query)
            driver.set_progress_handler(None, STEPS)
            steps[name] = len(counted) * STEPS
            began = perf_counter()
            answer(connection, listing, query)
            times[name] = perf_counter() - began
        began = perf_counter()
        find_usage(connection)
        times["overview"] = perf_counter() - began
    engine.dispose()
    return steps, times


def _fill(connection: Any, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
    some: list[dict[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == 5_000:
            connection.execute(table.insert(), some)
            some = []
    if some:
        connection.execute(table.insert(), some)


def _resources(number: int) -> Iterator[dict[str, Any]]:
    for each in range(1, number + 1):
        yield {
            **{"id": each, "blueprint": BLUEPRINTS[each % 4], "token": f"drydock-{each}"},
            **{"place": each, "status": ("active", "destroyed")[each % 10 > 0], "version": 3},
            **{"since": 1e9 + each, "created_at": 1e9 + each, "labels": '{"os": "debian"}'},
            **{"identity": f"i-{each}", "address": "10.0.0.1", "data": "{}", "uses": 1},
            **{"locks": "[]", "reason": ""},
        }


def _leases(number: int) -> Iterator[dict[str, Any]]:
    for each in range(1, number + 1):
        living = each > number - LIVING
        yield {
            **{"id": each, "owner": f"worker/{each % 100}", "nonce": "n", "type": "host"},
            **{"requires": "{}", "blueprints": "[]", "priority": 0, "authorized_by": ""},
            **{"attributes": '{"builder": "tests"}', "version": 4, "requested_at": 1e9 + each},
            **{"status": ("active", "pending")[each % 2] if living else "destroyed"},
            **{"since": 1e9 + each, "resource": each % RESOURCES_THERE + 1, "slot": 0},
            **{"locks": "[]", "renewed_at": 1e9, "returns": "[]", "reason": "done"},
        }


def _events(number: int) -> Iterator[dict[str, Any]]:
    for each in range(1, number + 1):
        yield {
            **{"id": each, "at": 1e9 + each, "kind": KINDS[each % 4], "data": '{"reason": "x"}'},
            **{"actor": ("drydock", "ana")[each % 5 == 0], "blueprint": BLUEPRINTS[each % 3]},
            **{"resource": each % RESOURCES_THERE + 1, "lease": each % (number // 10) + 1},
        }
