"""Several masters at once on one database, each with a pool of its own, in real threads.

A deadlock that escaped a store would be logged by Buildbot's pool, and trial turns what is logged
as an error into a failure of the test.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock import events, slotlocks
from buildbot_drydock.errors import RetryLater
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import (
    Authorization,
    AuthorizationStatus,
    BlueprintState,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Resource,
    ResourceRequest,
)
from buildbot_drydock.store import transactions
from buildbot_drydock.store.schema import slot_locks
from buildbot_drydock.store.sql import SqlStore
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

T = TypeVar("T")

APPROVED, DECLINED = AuthorizationStatus.APPROVED, AuthorizationStatus.DECLINED
REQUESTED = events.ResourceRequested(built_for=None)
READY = events.ResourceReady(address="", seconds=1.0)


async def together(awaitables: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Return all results of what runs at the same time."""

    async def run(awaitable: Awaitable[T]) -> T:
        return await awaitable

    return await gatherResults([Deferred.fromCoroutine(run(each)) for each in awaitables])


def claim(lease: Lease, resource: Resource, slot: int) -> Claim:
    record = events.LeaseAcquired(slot=slot, waited=0.0)
    return Claim(lease=lease, resource=resource, slot=slot, activate=True, record=record)


class Contention(TestCase):
    url: Callable[[], str]

    async def setUp(self) -> None:  # type: ignore[override]
        clock = Clock()
        self.pools = [make_pool(self, self.url()) for _ in range(3)]
        await make_empty(self.pools[0])
        self.stores = [SqlStore(pool, clock) for pool in self.pools]

    async def resource(self, place: int = 0) -> Resource:
        request = ResourceRequest(
            blueprint="linux",
            token=f"t{place}",
            place=place,
            locks=(slotlocks.place("linux", place),),
        )
        row = await self.stores[0].add_resource(request, REQUESTED)
        assert row is not None
        active = await self.stores[0].move_resource(row, ResourceEvent.READY, READY)
        assert active is not None
        return active

    async def leases(self, count: int) -> Sequence[Lease]:
        record = events.LeaseRequested(owner="w", requires={})
        return [
            await self.stores[0].request_lease(LeaseRequest(owner="w", nonce=str(n)), record)
            for n in range(count)
        ]

    async def locks(self) -> list[str]:
        def work(connection: Connection) -> list[str]:
            keys = connection.execute(sa.select(slot_locks.c.lock_key)).scalars()
            return sorted(keys)

        return await transactions.read(self.pools[0], work)

    async def test_as_many_leases_win_as_there_are_slots(self) -> None:
        resource = await self.resource()
        leases = await self.leases(30)

        async def compete(store: SqlStore, lease: Lease) -> int | None:
            """Try each slot until one is got, or none is left."""
            taken: set[int] = set()
            while len(taken) < 5:
                rows = await store.rows()
                taken = {row.slot for row in rows.leases if row.slot is not None}
                (now,) = rows.resources
                for slot in sorted(set(range(5)) - taken)[:1]:
                    (got,) = await store.acquire([claim(lease, now, slot)])
                    if got is not None:
                        return slot
            return None

        slots = await together(compete(self.stores[n % 3], lease) for n, lease in enumerate(leases))
        self.assertEqual(sorted(slot for slot in slots if slot is not None), [0, 1, 2, 3, 4])
        rows = await self.stores[0].rows()
        self.assertEqual([row.uses for row in rows.resources], [5])
        active = [row for row in rows.leases if row.status is LeaseStatus.ACTIVE]
        self.assertEqual(
            sorted(row.slot for row in active if row.slot is not None), [0, 1, 2, 3, 4]
        )
        keys = [slotlocks.slot(resource.id, slot) for slot in range(5)]
        self.assertEqual(await self.locks(), sorted([*keys, *resource.locks]))

    async def test_what_is_read_in_one_transaction_is_of_one_moment(self) -> None:
        begun, written = threading.Event(), threading.Event()
        query = sa.select(sa.func.count()).select_from(slot_locks)

        def read_twice(connection: Connection) -> list[int | None]:
            before = connection.execute(query).scalar()
            begun.set()
            self.assertTrue(written.wait(60))
            return [before, connection.execute(query).scalar()]

        def insert(connection: Connection) -> bool:
            self.assertTrue(begun.wait(60))
            connection.execute(slot_locks.insert(), {"lock_key": "k", "owner": "o"})
            return True

        async def change() -> list[int | None]:
            await transactions.write(self.pools[2], insert)
            written.set()
            return []

        reading = transactions.read(self.pools[1], read_twice)
        self.assertEqual((await together([reading, change()]))[0], [0, 0])
        self.assertEqual(await self.locks(), ["k"])

    async def test_of_many_masters_that_claim_a_place_one_gets_it(self) -> None:
        def request(number: int) -> ResourceRequest:
            # Several locks, in different orders.
            names = ["a", "b", "c"][number % 3 :] + ["a", "b", "c"][: number % 3]
            locks = tuple(slotlocks.host(name) for name in names)
            return ResourceRequest(blueprint="linux", token=str(number), place=0, locks=locks)

        rows = await together(
            self.stores[n % 3].add_resource(request(n), REQUESTED) for n in range(12)
        )
        self.assertEqual(len([row for row in rows if row is not None]), 1)
        self.assertEqual(len((await self.stores[0].rows()).resources), 1)
        self.assertEqual(await self.locks(), ["host(a)", "host(b)", "host(c)"])

    async def test_a_resource_is_leased_or_released_but_not_both(self) -> None:
        for place in range(8):
            resource = await self.resource(place)
            (lease,) = await self.leases(1)
            released = events.ResourceReleased(reason="idle")
            (got,), moved = await together(
                [
                    self.stores[1].acquire([claim(lease, resource, 0)]),
                    self.stores[2].move_resource(resource, ResourceEvent.RELEASE, released),
                ]
            )
            self.assertEqual((got is None, moved is None).count(True), 1)

    async def test_of_masters_with_a_first_state_one_wins(self) -> None:
        seen = BlueprintState(name="linux")
        record = events.ModeChanged(mode="paused", reason="", until=None)
        states = await together(
            self.stores[n % 3].change_blueprint(seen, seen, record) for n in range(9)
        )
        self.assertEqual(len([state for state in states if state is not None]), 1)

    async def test_no_lease_begins_between_a_withdrawal_and_the_next_approval(self) -> None:
        resources = [await self.resource(place) for place in range(24)]
        leases = await self.leases(24)

        async def decide(store: SqlStore) -> None:
            for number in range(12):
                status = (APPROVED, DECLINED)[number % 2]
                row = None
                while row is None:
                    seen = (await store.rows(authorizations_of=["linux"])).authorizations.get(
                        ("linux", "builder/tests"),
                        Authorization(blueprint="linux", subject="builder/tests"),
                    )
                    record = events.AuthorizationDecided(
                        subject="builder/tests", status=status.value, before="", reason=""
                    )
                    row = await store.decide_authorization(seen, status, record, author="ana")

        async def ask(store: SqlStore, some: Sequence[int]) -> None:
            for number in some:
                rows = await store.rows(authorizations_of=["linux"])
                known = rows.authorizations.get(("linux", "builder/tests"))
                state = rows.blueprints.get("linux", BlueprintState(name="linux"))
                if known is not None and known.status is APPROVED:
                    wanted = claim(leases[number], resources[number], 0)
                    await store.acquire([replace(wanted, within=state)])

        await together(
            [
                decide(self.stores[0]),
                ask(self.stores[1], range(12)),
                ask(self.stores[2], range(12, 24)),
            ]
        )
        approved = False
        for entry in await self.stores[0].events(limit=10_000):
            if isinstance(entry.event, events.AuthorizationDecided):
                approved = entry.event.status == "approved"
            if isinstance(entry.event, events.LeaseAcquired):
                self.assertTrue(approved, entry)

    async def test_no_lease_begins_after_the_first_decision(self) -> None:
        async def decline(store: SqlStore, blueprint: str) -> None:
            seen = Authorization(blueprint=blueprint, subject="builder/tests")
            record = events.AuthorizationDecided(
                subject="builder/tests", status="declined", before="", reason=""
            )
            while not await store.decide_authorization(seen, DECLINED, record, author="ana"):
                pass

        for number, lease in enumerate(await self.leases(16)):
            resource, blueprint = await self.resource(number), f"linux-{number}"
            wanted = replace(claim(lease, resource, 0), within=BlueprintState(name=blueprint))
            await together([self.stores[1].acquire([wanted]), decline(self.stores[2], blueprint)])
            kinds = [entry.event.kind for entry in await self.stores[0].events(limit=2)]
            self.assertEqual(kinds[-1], "authorization-decided")

    async def test_batches_in_opposite_orders_give_each_slot_once(self) -> None:
        resources = [await self.resource(place) for place in range(10)]
        first, second = await self.leases(10), await self.leases(10)
        there = [claim(lease, row, 0) for lease, row in zip(first, resources, strict=True)]
        back = [
            claim(lease, row, 0) for lease, row in zip(second, reversed(resources), strict=True)
        ]
        answers = await together([self.stores[1].acquire(there), self.stores[2].acquire(back)])
        won = [answer for batch in answers for answer in batch if answer is not None]
        self.assertEqual(sorted(row.resource or 0 for row in won), [row.id for row in resources])
        self.assertEqual(len(await self.locks()), 20)

    async def test_what_happens_all_the_time_does_not_get_in_its_own_way(self) -> None:
        """Renewals, acquisitions and releases of the same rows, from three masters at once."""
        resources = [await self.resource(place) for place in range(4)]
        leases = await self.leases(12)
        numbers = [lease.id for lease in leases]

        async def use(store: SqlStore, lease: Lease, place: int) -> int:
            """Lease and let go, against those who renew; return how often it was refused."""
            refused = 0
            while True:
                row = await store.lease(lease.id)
                resource = await store.resource(resources[place].id)
                assert row is not None
                assert resource is not None
                moved: Lease | None
                if row.status is LeaseStatus.PENDING:
                    (moved,) = await store.acquire([claim(row, resource, lease.id % 3)])
                elif row.status is LeaseStatus.ACTIVE:
                    record: events.Event = events.LeaseReleased(reason="done")
                    moved = await store.move_lease(row, LeaseEvent.RELEASE, record)
                else:
                    record = events.LeaseDestroyed()
                    moved = await store.move_lease(row, LeaseEvent.VACATE, record)
                    if moved is not None:
                        return refused
                refused += moved is None

        async def renew(store: SqlStore) -> int:
            """Renew a few times: each renewal makes what the users have seen stale."""
            for number in range(10):
                await store.renew(numbers, expires_at=100.0 + number)
            return 10

        users = [use(self.stores[n % 3], lease, n // 3) for n, lease in enumerate(leases)]
        await together([*users, renew(self.stores[0]), renew(self.stores[1])])
        rows = await self.stores[0].rows()
        self.assertEqual((rows.leases, [row.uses for row in rows.resources]), ((), [3] * 4))
        self.assertEqual(len(await self.locks()), 4)


class Deadlock(TestCase):
    """Work that a database rolls back in favour of other work is done again."""

    url: Callable[[], str]

    async def setUp(self) -> None:  # type: ignore[override]
        self.pool = make_pool(self, self.url())
        await self.pool.do_with_transaction(self.make_table)
        self.addCleanup(self.pool.do_with_transaction, self.drop_table)

    def make_table(self, connection: Connection) -> None:
        self.drop_table(connection)
        table = sa.Table(
            "drydock_test",
            sa.MetaData(),
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("n", sa.Integer),
            mariadb_engine="InnoDB",
            mysql_engine="InnoDB",
        )
        table.create(connection)
        connection.exec_driver_sql("INSERT INTO drydock_test VALUES (1, 0), (2, 0)")

    def drop_table(self, connection: Connection) -> None:
        connection.exec_driver_sql("DROP TABLE IF EXISTS drydock_test")

    async def test_the_one_that_a_deadlock_ended_is_done_again(self) -> None:
        both = threading.Barrier(2, timeout=60)
        attempts: list[int] = []

        def counting(first: int, second: int) -> Callable[[Connection], int]:
            def work(connection: Connection) -> int:
                attempts.append(first)
                add(connection, first)
                if attempts.count(first) == 1:
                    both.wait()  # now each holds what the other wants
                add(connection, second)
                return first

            return work

        def add(connection: Connection, number: int) -> None:
            connection.exec_driver_sql(f"UPDATE drydock_test SET n = n + 1 WHERE id = {number}")

        results = await together(
            transactions.write(self.pool, counting(*order)) for order in ((1, 2), (2, 1))
        )
        self.assertEqual(list(results), [1, 2])
        self.assertGreater(len(attempts), 2)
        self.assertEqual(await self.counts(), [2, 2])

    async def test_after_so_many_tries_it_is_left_for_later(self) -> None:
        tries: list[int] = []

        def work(connection: Connection) -> int:
            tries.append(1)
            connection.exec_driver_sql("UPDATE drydock_test SET n = n + 1")
            connection.exec_driver_sql(self.conflict)
            raise AssertionError("the statement before this one fails")

        failure = await self.assertFailure(
            Deferred.fromCoroutine(transactions.write(self.pool, work)), RetryLater
        )
        self.assertIn(f"{transactions.MOST_TRIES} times", str(failure))
        self.assertEqual(len(tries), transactions.MOST_TRIES)
        self.assertEqual(await self.counts(), [0, 0])

    conflict: str  # a statement that fails as the loser of a conflict does

    async def counts(self) -> list[Any]:
        def work(connection: Connection) -> list[Any]:
            query = "SELECT n FROM drydock_test ORDER BY id"
            return list(connection.exec_driver_sql(query).scalars())

        return await transactions.read(self.pool, work)


class TestContentionOnSqlite(OnSqlite, Contention):
    pass


@needs(POSTGRESQL)
class TestContentionOnPostgresql(OnPostgresql, Contention):
    pass


@needs(MARIADB)
class TestContentionOnMariadb(OnMariadb, Contention):
    pass


@needs(POSTGRESQL)
class TestDeadlockOnPostgresql(OnPostgresql, Deadlock):
    conflict = "DO $$ BEGIN RAISE EXCEPTION 'unlucky' USING ERRCODE = '40001'; END $$"


@needs(MARIADB)
class TestDeadlockOnMariadb(OnMariadb, Deadlock):
    conflict = "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'unlucky'"


del Contention, Deadlock  # or they would be collected, without a database
