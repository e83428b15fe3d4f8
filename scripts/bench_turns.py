"""Whole turns over 10,000 resources and 10,400 leases, 1,000 of them waiting, and the plan alone.

The rows are in SQLite, the leases are held by this master, 1,000 of them by workers of its crew,
and planning is done in a thread, as the service does it. Each turn finds that some leases were
released and others requested meanwhile; before some of them all leases were renewed, so that every
row of a lease is a new one.

The reactor must never be held for long, so what counts is the longest hold of all turns, the very
first included, which reads every row for the first time. See ``reactor_holds`` for what a hold is:
a gap between two beats, without the time in which the kernel ran something else.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Iterable, Sequence
from itertools import count, islice
from time import perf_counter
from typing import Any

from bench_database import Database, open_database
from bench_master import MASTER, BenchMaster
from bench_results import Measured, measured
from reactor_holds import Heart, longest_hold_ms
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from buildbot_drydock.authorization import Subjects
from buildbot_drydock.crew import Crew
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.metrics.census import Census, take_census
from buildbot_drydock.model import (
    Blueprint,
    Inventory,
    Lease,
    LeaseStatus,
    Observed,
    Resource,
    ResourceStatus,
    World,
)
from buildbot_drydock.offers import Demand, Offers, demand_of
from buildbot_drydock.planner import Plan, plan
from buildbot_drydock.service import spare_what_stays
from buildbot_drydock.store import schema
from buildbot_drydock.store.rows import lease_values, resource_values

POOLS, RESOURCES, WAITING = 10, 10_000, 1_000
WORKERS, CHANGED_EACH_TURN, TURNS, ROUNDS = 1_000, 20, 20, 5
TURNS_A_RENEWAL = 4
IMAGES = ("old", "new")


def pool_name(number: int) -> str:
    return f"pool-{number % POOLS}"


def many_blueprints() -> tuple[Blueprint, ...]:
    return tuple(
        Blueprint(
            name=pool_name(number),
            kind="synthetic",
            limit=RESOURCES // POOLS + 10,
            labels={"pool": pool_name(number)},
            choices={"image": IMAGES},
            vacates=True,
        )
        for number in range(POOLS)
    )


def many_resources(now: float) -> tuple[Resource, ...]:
    """Most are active, some are coming."""
    return tuple(
        Resource(
            id=number,
            blueprint=pool_name(number),
            token=f"host-{number}",
            place=number // POOLS,
            status=ResourceStatus.PENDING if number % 50 == 0 else ResourceStatus.ACTIVE,
            since=now - 100.0,
            created_at=now - 200.0,
            labels={"pool": pool_name(number), "image": IMAGES[number % 2]},
            identity=f"i-{number}",
        )
        for number in range(1, RESOURCES + 1)
    )


def many_leases(resources: Iterable[Resource], now: float) -> tuple[Lease, ...]:
    """Most active resources are leased; a thousand leases wait, for one pool and image each."""
    common: dict[str, Any] = {"master": MASTER, "expires_at": now + 900.0}
    leased = (
        Lease(
            id=resource.id,
            owner=f"worker/{resource.id}",
            nonce=f"{resource.id:032x}",
            status=LeaseStatus.ACTIVE,
            resource=resource.id,
            slot=0,
            **common,
        )
        for resource in resources
        if resource.status is ResourceStatus.ACTIVE and resource.id % 20
    )
    waiting = (
        Lease(
            id=number,
            owner=f"worker/{number}",
            nonce=f"{number:032x}",
            requires={"image": IMAGES[number % 2], "pool": pool_name(number)},
            requested_at=now - 100.0 + number / RESOURCES,
            **common,
        )
        for number in range(RESOURCES + 1, RESOURCES + WAITING + 1)
    )
    return (*leased, *waiting)


class Listed:
    """The hosts of one blueprint, ready as soon as they are created.

    Each listing is made of new objects in a thread, as that of a real cloud is.
    """

    def __init__(self, hosts: Iterable[Observed]) -> None:
        self._identities = {host.token: host.identity for host in hosts}

    async def inventory(self) -> Sequence[Observed]:
        return await deferToThread(self._list)

    def _list(self) -> Sequence[Observed]:
        return [
            Observed(token=token, identity=identity)
            for token, identity in list(self._identities.items())
        ]

    async def create(self, token: str, spec: HostSpec) -> None:
        self._identities.setdefault(token, f"i-{token}")

    async def destroy(self, token: str, identity: str = "") -> None:
        self._identities.pop(token, None)

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        """Nothing runs on these hosts."""

    def connect(self, resource: Resource) -> Any:
        raise NotImplementedError("nobody connects to these hosts")


def hosts_of(blueprint: str, resources: Iterable[Resource]) -> list[Observed]:
    return [
        Observed(token=resource.token, identity=resource.identity)
        for resource in resources
        if resource.blueprint == blueprint and resource.status is ResourceStatus.ACTIVE
    ]


# --- the plan alone --------------------------------------------------------------------------


def large_world(now: float) -> World:
    resources = many_resources(now)
    return World(
        now=now,
        blueprints=many_blueprints(),
        resources=resources,
        leases=many_leases(resources, now),
        inventories={
            blueprint.name: Inventory(
                asked_at=now - 10.0,
                hosts={host.token: (host,) for host in hosts_of(blueprint.name, resources)},
            )
            for blueprint in many_blueprints()
        },
        master=MASTER,
    )


def plan_and_count(world: World) -> tuple[Plan, Offers, Census]:
    made = plan(world)
    return made, Offers(world), take_census(world, made.reasons)


def planning_seconds(world: World) -> float:
    began = perf_counter()
    plan_and_count(world)
    return perf_counter() - began


async def planner(directory: str) -> list[Measured]:
    world = large_world(1_000_000.0)
    seconds = [planning_seconds(world) for _ in range(ROUNDS)]
    return [measured("planner.seconds", statistics.median(seconds), "s", "<= 0.5")]


# --- whole turns -----------------------------------------------------------------------------


class Worker:
    """A worker as its crew sees it: busy on a lease, idle on one, or without any."""

    builders = frozenset({"tests"})
    askers: Sequence[Subjects] = ()  # as no blueprint asks who uses it

    def __init__(self, number: int, lease: Lease | None, idle_on: Resource | None) -> None:
        self.name = f"worker-{number}"
        self.demand: Demand = demand_of("host", {"pool": pool_name(number)}, ())
        self.lease = lease
        self.idle_on = idle_on

    @property
    def has_lease(self) -> bool:
        return self.lease is not None

    def is_willing(self) -> bool:
        return self.lease is None

    def is_warm(self) -> bool:
        return self.idle_on is not None

    def make_way(self) -> None:
        self.idle_on = None


class Turns:
    """A master with many rows, and what its holders do between two turns."""

    def __init__(self, database: Database, now: float) -> None:
        self.resources = many_resources(now)
        self.rows = many_leases(self.resources, now)
        providers = {
            blueprint.name: Listed(hosts_of(blueprint.name, self.resources))
            for blueprint in many_blueprints()
        }
        self._pool = database.pool
        self._offers: Offers | None = None
        self.master = BenchMaster(
            database.store, many_blueprints(), providers, planner=self._plan_in_thread
        )
        self.crew = Crew(lambda worker: None)
        self._active = [lease for lease in self.rows if lease.status is LeaseStatus.ACTIVE]
        self._releases = islice(self._active, WORKERS, None)
        self._requests = count()
        self._leaseless: list[Worker] = []

    async def prepare(self) -> None:
        """Write the rows, and let the holders of the active leases be on this master."""
        await self._pool.do_with_transaction(self._insert)
        leases = self.master.leases
        # As ``adopt`` leaves it, which reads all rows for each of them.
        leases._held.update((lease.id, None) for lease in self.rows)
        leases._active.update((lease.id, lease) for lease in self._active)
        by_id = {resource.id: resource for resource in self.resources}
        for number in range(WORKERS):
            lease = self._active[number] if number % 10 else None
            idle = number % 10 == 1 and lease is not None
            resource = by_id[lease.id] if lease is not None and idle else None
            worker = Worker(number, lease, resource)
            self.crew.enlist(worker)
            if lease is None:
                self._leaseless.append(worker)
        await leases.await_holders()
        spare_what_stays()

    def _insert(self, connection: Any) -> None:
        resources = [{"id": row.id, **resource_values(row)} for row in self.resources]
        connection.execute(schema.resources.insert(), resources)
        leases = [{"id": row.id, **lease_values(row)} for row in self.rows]
        connection.execute(schema.leases.insert(), leases)

    async def _plan_in_thread(self, world: World) -> Plan:
        made, self._offers, _ = await deferToThread(plan_and_count, world)
        return made

    async def turn(self) -> None:
        await self.master.controller.turn()
        assert self._offers is not None
        self.crew.see(self.master.controller.world, self.master.controller.plan, self._offers)

    async def change(self) -> None:
        """Let some holders release their leases, others ask, and builders look for workers."""
        for lease in islice(self._releases, CHANGED_EACH_TURN):
            await self.master.leases.release(lease.id, "done")
        for number in islice(self._requests, CHANGED_EACH_TURN):
            await self.master.leases.request(
                owner=f"late/{number}", requires={"pool": pool_name(number)}
            )
        for worker in self._leaseless:
            self.crew.offers(worker)


async def turns(directory: str) -> list[Measured]:
    clock: Any = reactor
    idle = await longest_hold_ms(clock, lambda: deferLater(clock, 0.5))
    async with open_database(directory) as database:
        many = Turns(database, clock.seconds())
        await many.prepare()
        held: list[float] = []
        seconds: list[float] = []
        for number in range(TURNS):
            with Heart(clock) as heart:
                began = perf_counter()
                await many.turn()
                seconds.append(perf_counter() - began)
            held.append(heart.longest_ms)
            await many.change()
            if number % TURNS_A_RENEWAL == 0:
                await many.master.leases.renew_held()
    gc.unfreeze()
    return [
        measured("turn.seconds", statistics.median(seconds), "s"),
        measured("reactor.longest_hold_ms", max(held), f"ms, of {TURNS} turns", "<= 20"),
        measured("reactor.typical_hold_ms", statistics.median(held), f"ms, of {TURNS} turns"),
        measured("reactor.longest_hold_idle_ms", idle, "ms"),
    ]
