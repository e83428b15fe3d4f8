#!/usr/bin/env python
"""Measure, print a table, and write ``build/bench.json``. Ratios are of one run on one machine.

* contention: fifty leases compete for five slots, each held for one second; ideal are ten seconds;
* store: leases given through the store on SQLite, beside as many bare transactions;
* planner: 10,000 resources and 1,000 waiting leases, and how long a turn holds the reactor.
"""

from __future__ import annotations

import json
import secrets
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import sqlalchemy as sa
from buildbot.db import enginestrategy
from buildbot.db.pool import DBThreadPool
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.internet.threads import deferToThread

from buildbot_drydock import events, slotlocks
from buildbot_drydock.calls import CallLog
from buildbot_drydock.controller import Controller
from buildbot_drydock.executor import Executor
from buildbot_drydock.interfaces import Claim, Store
from buildbot_drydock.latent.synthetic import SyntheticCloud, SyntheticProvider
from buildbot_drydock.launches import Launches
from buildbot_drydock.leases import Leases
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.loop import Loop
from buildbot_drydock.model import (
    Blueprint,
    Inventory,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Observed,
    Resource,
    ResourceRequest,
    ResourceStatus,
    World,
)
from buildbot_drydock.offers import Offers
from buildbot_drydock.planner import plan
from buildbot_drydock.provider_calls import ProviderCalls
from buildbot_drydock.store import migrations
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.store.transactions import keep_open

ROOT = Path(__file__).resolve().parents[1]
SLOTS, COMPETITORS, HOLD_SECONDS = 5, 50, 1.0
ROUNDS, LEASES_A_ROUND = 5, 200
MANY_RESOURCES, MANY_LEASES = 10_000, 1_000
Measured = dict[str, Any]


def measured(name: str, value: float, unit: str, target: str | None = None) -> Measured:
    """Return one row; *target* is such as ``<= 1.1``."""
    met = None
    if target is not None:
        sign, bound = target.split()
        met = value <= float(bound) if sign == "<=" else value >= float(bound)
    return {"name": name, "value": round(value, 4), "unit": unit, "target": target, "met": met}


async def open_pool(directory: str) -> Any:
    url = f"sqlite:///{directory}/{secrets.token_hex(4)}.sqlite"
    pool = DBThreadPool(enginestrategy.create_engine(url, basedir="/"), reactor)
    pool.start()
    await migrations.upgrade(pool)
    return pool


# --- contention ------------------------------------------------------------------------------


def start_loop(store: Store) -> tuple[Leases, Loop]:
    """Wire one master, with a synthetic provider of five hosts of one slot each."""
    clock: Any = reactor
    uniform = secrets.SystemRandom().random
    blueprint = Blueprint(
        name="bench", kind="synthetic", limit=SLOTS, vacates=True, idle_timeout=None
    )
    provider = SyntheticProvider(SyntheticCloud(clock), "bench")
    launches = Launches(store, clock, uniform)
    leases = Leases(
        store,
        clock,
        master=1,
        lease_seconds=300.0,
        new_nonce=lambda: secrets.token_hex(8),
        wake=lambda: loop.wake(),
    )
    calls = ProviderCalls(
        store,
        {"bench": provider},
        CallLog(uniform),
        launches,
        clock=clock,
        wake=lambda: loop.wake(),
        lease_changed=leases.lease_changed,
    )
    executor = Executor(
        store,
        calls,
        launches,
        clock=clock,
        new_token=lambda: secrets.token_hex(8),
        lease_changed=leases.lease_changed,
    )
    controller = Controller(
        store,
        calls,
        executor,
        lambda now: [blueprint],
        clock=clock,
        master=1,
        observed=leases.observed,
    )
    loop = Loop(controller.turn, lambda: controller.plan.wake_at, clock)
    loop.start()
    return leases, loop


async def contention(directory: str) -> list[Measured]:
    pool = await open_pool(directory)
    kept = await deferToThread(keep_open, pool.engine)
    leases, loop = start_loop(SqlStore(pool, reactor))
    in_use: set[tuple[int | None, int | None]] = set()
    most = 0
    waits: list[float] = []

    async def one(number: int) -> None:
        nonlocal most
        lease = await leases.request(owner=f"bench/{number}")
        active = await leases.when_active(lease.id)
        waits.append(perf_counter() - began)
        slot = (active.resource, active.slot)
        if slot in in_use:
            raise AssertionError(f"slot {slot} was given twice")
        in_use.add(slot)
        most = max(most, len(in_use))
        await deferLater(reactor, HOLD_SECONDS)
        in_use.remove(slot)
        await leases.release(lease.id, "done")

    began = perf_counter()
    await gatherResults([Deferred.fromCoroutine(one(n)) for n in range(COMPETITORS)])
    took = perf_counter() - began
    await loop.stop()
    kept.close()
    await pool.stop()
    ideal = COMPETITORS / SLOTS * HOLD_SECONDS
    return [
        measured("contention.ratio", took / ideal, "times the ideal 10 s", "<= 1.1"),
        measured("contention.most_at_once", most, "leases on 5 slots", "<= 5"),
        measured("contention.first_active_ms", min(waits) * 1000, "ms"),
    ]


# --- the store -------------------------------------------------------------------------------


async def store_throughput(directory: str) -> list[Measured]:
    pool = await open_pool(directory)
    kept = await deferToThread(keep_open, pool.engine)
    store = SqlStore(pool, reactor)
    batched, bare = [], []
    for number in range(ROUNDS):
        claims = await prepare_claims(store, number)
        began = perf_counter()
        given = await store.acquire(claims)
        batched.append(LEASES_A_ROUND / (perf_counter() - began))
        assert all(given)
        began = perf_counter()
        for _ in range(LEASES_A_ROUND):
            await pool.do_with_transaction(bare_transaction)
        bare.append(LEASES_A_ROUND / (perf_counter() - began))
    kept.close()
    await pool.stop()
    ratio = statistics.median(a / b for a, b in zip(batched, bare, strict=True))
    return [
        measured("store.leases_per_second", statistics.median(batched), "1/s"),
        measured("store.bare_transactions_per_second", statistics.median(bare), "1/s"),
        measured("store.leases_per_second_ratio", ratio, "leases to transactions", ">= 1"),
    ]


async def prepare_claims(store: SqlStore, number: int) -> Sequence[Claim]:
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
    claims = []
    for slot in range(LEASES_A_ROUND):
        request = LeaseRequest(owner=f"bench/{slot}", nonce="bench")
        lease = await store.request_lease(
            request, events.LeaseRequested(owner=request.owner, requires={})
        )
        record = events.LeaseAcquired(slot=slot, waited=0.0)
        claims.append(
            Claim(lease=lease, resource=resource, slot=slot, activate=True, record=record)
        )
    return claims


def bare_transaction(connection: Any) -> None:
    connection.execute(
        sa.text("INSERT INTO drydock_slot_locks (lock_key, owner) VALUES (:key, 'bench')"),
        {"key": secrets.token_hex(16)},
    )


# --- the planner -----------------------------------------------------------------------------


def large_world() -> World:
    """Ten blueprints: most resources leased, some idle, some coming, and many leases waiting."""
    names = [f"pool-{n}" for n in range(10)]
    size = MANY_RESOURCES // len(names)
    blueprints = tuple(
        Blueprint(
            name=name,
            kind="synthetic",
            limit=size + 10,
            labels={"pool": name},
            choices={"image": ("old", "new")},
            vacates=True,
        )
        for name in names
    )
    resources = tuple(
        Resource(
            id=number,
            blueprint=names[number % len(names)],
            token=f"host-{number}",
            place=number // len(names),
            status=ResourceStatus.PENDING if number % 50 == 0 else ResourceStatus.ACTIVE,
            since=1_000.0,
            created_at=900.0,
            labels={"pool": names[number % len(names)], "image": ("old", "new")[number % 2]},
            identity=f"i-{number}",
        )
        for number in range(MANY_RESOURCES)
    )
    leased = tuple(
        Lease(
            id=r.id,
            owner=f"worker/{r.id}",
            nonce="bench",
            status=LeaseStatus.ACTIVE,
            resource=r.id,
            slot=0,
            expires_at=2_000.0,
        )
        for r in resources
        if r.status is ResourceStatus.ACTIVE and r.id % 20
    )
    waiting = tuple(
        Lease(
            id=MANY_RESOURCES + n,
            owner=f"worker/{MANY_RESOURCES + n}",
            nonce="bench",
            requires={"image": ("old", "new")[n % 2], "pool": names[n % len(names)]},
            requested_at=1_000.0 + n / 1_000,
            expires_at=2_000.0,
        )
        for n in range(MANY_LEASES)
    )
    inventories = {
        name: Inventory(
            asked_at=1_090.0,
            hosts={
                r.token: (Observed(token=r.token, identity=r.identity),)
                for r in resources
                if r.blueprint == name and r.status is ResourceStatus.ACTIVE
            },
        )
        for name in names
    }
    return World(
        now=1_100.0,
        blueprints=blueprints,
        resources=resources,
        leases=(*leased, *waiting),
        inventories=inventories,
        master=1,
    )


def plan_as_the_service_does(world: World) -> float:
    began = perf_counter()
    plan(world)
    Offers(world)
    return perf_counter() - began


async def planner(directory: str) -> list[Measured]:
    world = large_world()
    seconds = [plan_as_the_service_does(world) for _ in range(ROUNDS)]
    idle = await longest_hold(lambda: deferLater(reactor, max(seconds)))
    held = [
        await longest_hold(lambda: deferToThread(plan_as_the_service_does, world))
        for _ in range(ROUNDS)
    ]
    return [
        measured("planner.seconds", statistics.median(seconds), "s", "<= 0.5"),
        measured("reactor.longest_hold_ms", statistics.median(held), "ms", "<= 20"),
        measured("reactor.longest_hold_idle_ms", idle, "ms"),
    ]


async def longest_hold(work: Callable[[], Deferred[Any]]) -> float:
    """Return the longest that the reactor did not come round while *work* was under way, in ms."""
    longest, last = 0.0, perf_counter()

    def beat() -> None:
        nonlocal longest, last
        now = perf_counter()
        longest, last = max(longest, now - last), now

    heart = LoopingCall(beat)
    heart.start(0.0)
    await work()
    beat()
    heart.stop()
    return longest * 1000


async def main(_: Any) -> None:
    rows: list[Measured] = []
    with tempfile.TemporaryDirectory() as directory:
        for part in (planner, store_throughput, contention):
            rows += await part(directory)
    for row in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row["met"]]
        print(
            f"{row['name']:36} {row['value']:12.3f}  {row['unit']:24} {row['target'] or '':8} {verdict}"
        )
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(react(lambda clock: Deferred.fromCoroutine(main(clock))))
