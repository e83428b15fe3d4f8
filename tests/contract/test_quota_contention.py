"""Quotas on one database that several masters plan on, each with a pool of its own, in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock import events, slotlocks
from buildbot_drydock.actions import AcquireLease
from buildbot_drydock.authorization import subjects_of
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import Blueprint, Lease, LeaseRequest, LeaseStatus, ResourceRequest
from buildbot_drydock.planner import plan
from buildbot_drydock.quota import Quota, limits_of
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.testing.builders import blueprint, world
from tests.contract.databases import (
    MARIADB,
    POSTGRESQL,
    OnMariadb,
    OnPostgresql,
    OnSqlite,
    make_empty,
    make_pool,
    needs,
)
from tests.contract.test_sql_contention import together

READY = events.ResourceReady(address="", seconds=1.0)
HOSTS, LEASES = 12, 24
BUILDERS = ("nightly-a", "nightly-b", "docs")


def quotas(nightly: int) -> Sharing:
    return Sharing(
        quotas=(
            Quota(kind="builder", pattern="nightly-*", leases=nightly),
            Quota(kind="builder", pattern="*", leases=2, each=True),
            Quota(kind="project", pattern="lab", leases=4),
        )
    )


class Contention(TestCase):
    url: Callable[[], str]

    async def setUp(self) -> None:  # type: ignore[override]
        clock = Clock()
        self.pools = [make_pool(self, self.url()) for _ in range(3)]
        await make_empty(self.pools[0])
        self.stores = [SqlStore(pool, clock) for pool in self.pools]
        self.blueprint: Blueprint = blueprint("linux", limit=HOSTS)
        for place in range(HOSTS):
            await self.add_host(place)
        for number in range(LEASES):
            await self.request(BUILDERS[number % len(BUILDERS)])

    async def add_host(self, place: int) -> None:
        request = ResourceRequest(
            blueprint="linux",
            token=f"t{place}",
            place=place,
            locks=(slotlocks.place("linux", place),),
        )
        requested = events.ResourceRequested(built_for=None)
        row = await self.stores[0].add_resource(request, requested)
        assert row is not None
        await self.stores[0].move_resource(row, ResourceEvent.READY, READY)

    async def request(self, builder: str) -> None:
        request = LeaseRequest(
            owner=f"worker/{builder}",
            nonce=builder,
            subjects=(f"builder/{builder}", "project/lab"),
        )
        record = events.LeaseRequested(owner=request.owner, requires={})
        await self.stores[0].request_lease(request, record)

    async def turn(self, store: SqlStore, sharing: Sharing) -> int:
        """Plan and give leases as a master does; return how many it could give."""
        rows = await store.rows()
        seen = world(self.blueprint, resources=rows.resources, leases=rows.leases, sharing=sharing)
        claims = [
            Claim(
                lease=action.lease,
                resource=action.resource,
                slot=action.slot,
                activate=True,
                record=events.LeaseAcquired(slot=action.slot, waited=0.0),
                quotas=action.quotas,
            )
            for action in plan(seen).actions
            if isinstance(action, AcquireLease)
        ]
        return sum(row is not None for row in await store.acquire(claims))

    async def vacate(self, store: SqlStore, lease: Lease) -> None:
        row = await store.move_lease(lease, LeaseEvent.RELEASE, events.LeaseReleased(reason="x"))
        assert row is not None
        await store.move_lease(row, LeaseEvent.VACATE, events.LeaseDestroyed())

    def assert_kept(self, held: Sequence[Lease], sharing: Sharing) -> None:
        counted: dict[str, int] = {}
        limits: dict[str, int] = {}
        for lease in held:
            for name, limit in limits_of(sharing.quotas, lease.owner, subjects_of(lease)).items():
                limits[name], counted[name] = limit, counted.get(name, 0) + 1
        over = {name: count for name, count in counted.items() if count > limits[name]}
        self.assertEqual(over, {})

    async def held(self) -> list[Lease]:
        rows = await self.stores[0].rows()
        return [row for row in rows.leases if row.status is LeaseStatus.ACTIVE]

    async def test_masters_that_give_leases_at_once_exceed_no_quota(self) -> None:
        sharing, served = quotas(3), 0
        for _ in range(60):
            given = await together(self.turn(store, sharing) for store in self.stores)
            held = await self.held()
            self.assert_kept(held, sharing)
            served += sum(given)
            if not held:
                break
            # Those that were given away come free while others are being given.
            await together(
                [
                    self.vacate(self.stores[0], held[0]),
                    self.turn(self.stores[1], sharing),
                    self.turn(self.stores[2], sharing),
                ]
            )
            self.assert_kept(await self.held(), sharing)
        self.assertEqual((await self.stores[0].rows()).leases, ())

    async def test_all_that_quotas_allow_is_given(self) -> None:
        sharing = quotas(3)
        while sum(await together(self.turn(store, sharing) for store in self.stores)):
            pass
        held = await self.held()
        builders = [subjects_of(lease)[0] for lease in held]
        self.assertEqual(len(held), 4, "of the project")
        self.assertLessEqual(max(builders.count(name) for name in builders), 2)

    async def test_a_limit_that_is_lowered_holds_once_it_was_reached(self) -> None:
        while sum(await together(self.turn(store, quotas(4)) for store in self.stores)):
            pass
        lower = quotas(1)
        for lease in await self.held():
            before = {row.id for row in await self.held()}
            await together(
                [
                    self.vacate(self.stores[0], lease),
                    *(self.turn(store, lower) for store in self.stores[1:]),
                ]
            )
            held = await self.held()
            nightly = [row for row in held if "nightly" in row.owner]
            begun = [row for row in nightly if row.id not in before]
            self.assertTrue(not begun or len(nightly) <= 1, held)


class TestContentionOnSqlite(OnSqlite, Contention):
    pass


@needs(POSTGRESQL)
class TestContentionOnPostgresql(OnPostgresql, Contention):
    pass


@needs(MARIADB)
class TestContentionOnMariadb(OnMariadb, Contention):
    pass


del Contention  # or it would be collected, without a database
