"""Leases given through the store on SQLite, beside as many bare transactions.

* ``store_throughput``: as the loop does it, many acquired together;
* ``single_leases``: one by one, from a request to an acquired lease, which is two transactions.
"""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import sqlalchemy as sa
from bench_database import Database, open_database
from bench_results import Measured, measured

from buildbot_drydock import events, slotlocks
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Lease, LeaseRequest, Resource, ResourceRequest
from buildbot_drydock.store.sql import SqlStore

ROUNDS, LEASES_A_ROUND = 5, 200


async def store_throughput(directory: str) -> list[Measured]:
    batched, bare = [], []
    async with open_database(directory) as database:
        for number in range(ROUNDS):
            resource = await ready_resource(database.store, number)
            claims = [
                claim(await request(database.store, slot), resource, slot)
                for slot in range(LEASES_A_ROUND)
            ]
            batched.append(await per_second(lambda claims=claims: acquire(database, claims)))
            bare.append(await per_second(lambda: bare_transactions(database)))
    return [
        measured("store.leases_per_second", statistics.median(batched), "1/s"),
        measured("store.bare_transactions_per_second", statistics.median(bare), "1/s"),
        measured(
            "store.leases_per_second_ratio",
            median_ratio(batched, bare),
            "leases to transactions",
            ">= 1",
        ),
    ]


async def single_leases(directory: str) -> list[Measured]:
    """Request and acquire leases one by one; two transactions each, so half as fast is ideal."""
    single, acquired, bare = [], [], []
    async with open_database(directory) as database:
        for number in range(ROUNDS):
            resource = await ready_resource(database.store, number)
            began = perf_counter()
            leases = [await request(database.store, slot) for slot in range(LEASES_A_ROUND)]
            requesting = perf_counter() - began
            began = perf_counter()
            for slot, lease in enumerate(leases):
                # Each acquisition adds one to the version of the resource.
                seen = replace(resource, version=resource.version + slot)
                await acquire(database, [claim(lease, seen, slot)])
            acquiring = perf_counter() - began
            acquired.append(LEASES_A_ROUND / acquiring)
            single.append(LEASES_A_ROUND / (requesting + acquiring))
            bare.append(await per_second(lambda: bare_transactions(database)))
    return [
        measured("store.single_leases_per_second", statistics.median(single), "1/s"),
        measured("store.single_leases_ratio", median_ratio(single, bare), "leases to transactions"),
        measured(
            "store.single_acquisitions_ratio",
            median_ratio(acquired, bare),
            "acquired to transactions",
        ),
    ]


async def per_second(work: Callable[[], Awaitable[None]]) -> float:
    began = perf_counter()
    await work()
    return LEASES_A_ROUND / (perf_counter() - began)


def median_ratio(ours: Sequence[float], bare: Sequence[float]) -> float:
    """Return the median of the rounds' ratios: each compares two neighbours in time."""
    return statistics.median(a / b for a, b in zip(ours, bare, strict=True))


async def acquire(database: Database, claims: Sequence[Claim]) -> None:
    given = await database.store.acquire(claims)
    if not all(given):
        raise AssertionError("a claim on a free slot was refused")


async def bare_transactions(database: Database) -> None:
    for _ in range(LEASES_A_ROUND):
        await database.pool.do_with_transaction(bare_transaction)


def bare_transaction(connection: Any) -> None:
    connection.execute(
        sa.text("INSERT INTO drydock_slot_locks (lock_key, owner) VALUES (:key, 'bench')"),
        {"key": secrets.token_hex(16)},
    )


async def ready_resource(store: SqlStore, number: int) -> Resource:
    requested = await store.add_resource(
        ResourceRequest(
            blueprint="bench",
            token=f"bench-{number}",
            place=number,
            locks=(slotlocks.place("bench", number),),
        ),
        events.ResourceRequested(built_for=None),
    )
    assert requested is not None
    ready = events.ResourceReady(address="", seconds=0.0)
    resource = await store.move_resource(requested, ResourceEvent.READY, ready)
    assert resource is not None
    return resource


async def request(store: SqlStore, number: int) -> Lease:
    wanted = LeaseRequest(owner=f"bench/{number}", nonce=secrets.token_hex(16))
    return await store.request_lease(wanted, events.LeaseRequested(owner=wanted.owner, requires={}))


def claim(lease: Lease, resource: Resource, slot: int) -> Claim:
    record = events.LeaseAcquired(slot=slot, waited=0.0)
    return Claim(lease=lease, resource=resource, slot=slot, activate=True, record=record)
