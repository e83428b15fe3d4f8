"""Old history is deleted, on each database, and nothing that is still needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred, DeferredList
from twisted.trial.unittest import TestCase

from buildbot_drydock import events, retention
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import Charge, Lease, Resource
from buildbot_drydock.retention import Retention
from buildbot_drydock.store import retention as tables
from buildbot_drydock.store.retention import DUTY_SECONDS, RECENT_SECONDS, Limits
from buildbot_drydock.store.schema import costs, slot_locks
from buildbot_drydock.store.schema import events as events_table
from buildbot_drydock.store.schema import leases as leases_table
from buildbot_drydock.store.schema import resources as resources_table
from buildbot_drydock.store.spending import read_spending
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.testing.store_case import RELEASED, VACATED, StoreCase
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

DAY = 86_400.0
A_WEEK = Limits(seconds=7 * DAY)


class RetentionContract(StoreCase, TestCase):
    timeout = 120  # of real seconds, for a busy machine
    url: Callable[[], str]

    async def make_store(self) -> Any:
        self.pool = make_pool(self, self.url())
        await make_empty(self.pool)
        self.patch(retention, "PAUSE_SECONDS", 0)
        return SqlStore(self.pool, self.clock)

    def retention(self, limits: Limits = A_WEEK, *, master: int = 1, pool: Any = None) -> Retention:
        made = Retention(pool or self.pool, self.clock, master=master)
        made.limits = limits
        return made

    async def delete(self, limits: Limits = A_WEEK, **more: Any) -> dict[str, int]:
        """Delete what may go; return how many leases, resources and events were."""
        running = Deferred.fromCoroutine(self.retention(limits, **more).run())
        found: dict[str, int] = await self.driven(running)
        return {name.removeprefix("drydock_"): number for name, number in found.items()}

    async def driven(self, running: Deferred[Any]) -> Any:
        """Wait for what also waits for the clock."""
        while not running.called:
            self.clock.advance(retention.PAUSE_SECONDS)
            await self.pool.do(lambda connection: None)
        return await running

    async def numbers(self, table: sa.Table) -> list[int]:
        query = sa.select(table.c.id).order_by(table.c.id)
        found: list[int] = await self.pool.do(lambda c: list(c.execute(query).scalars()))
        return found

    async def ended(self, place: int = 0, **fields: Any) -> tuple[Lease, Resource]:
        """Return a lease and its resource, both of which have ended; they cost something."""
        resource = await self.active(place, **fields)
        lease, resource = await self.leased(resource)
        await self.store.begin_use(lease.id, 7, "tests")
        released = await self.store.move_lease(lease, LeaseEvent.RELEASE, RELEASED)
        assert released is not None
        charge = Charge(
            resource=resource.id, lease=lease.id, build=7, builder="tests", seconds=60.0, cost=0.5
        )
        vacated = await self.store.move_lease(
            released, LeaseEvent.VACATE, VACATED, charges=[charge]
        )
        assert vacated is not None
        now = await self.store.resource(resource.id)
        assert now is not None
        return vacated, await self.destroyed(now)

    async def newest(self) -> None:
        """Let the newest row of each table be another one: those are always kept."""
        await self.ended(place=90)

    # --- what goes, and what stays -----------------------------------------------------------

    async def test_what_ended_long_ago_goes_with_its_events_and_its_costs_stay(self) -> None:
        lease, resource = await self.ended()
        self.clock.advance(8 * DAY)
        await self.newest()
        spent = await read_spending(self.pool, [])
        events_before = await self.numbers(events_table)
        deleted = await self.delete()
        self.assertEqual((deleted["leases"], deleted["resources"]), (1, 1))
        self.assertIsNone(await self.store.lease(lease.id))
        self.assertIsNone(await self.store.resource(resource.id))
        self.assertEqual(await self.recorded(lease=lease.id), [])
        self.assertEqual(await self.recorded(resource=resource.id), [])
        left = await self.numbers(events_table)
        self.assertEqual(left, events_before[-len(left) :])
        self.assertEqual(await read_spending(self.pool, []), spent)
        self.assertEqual(len(await self.numbers(costs)), 2)
        self.assertEqual(await self.store.charged(resource.id), 0.5)
        self.assertEqual(await self.delete(), {"leases": 0, "resources": 0, "events": 0})

    async def test_what_lives_stays_with_its_events_however_old_it_is(self) -> None:
        waiting = await self.requested()
        lease, resource = await self.leased(await self.active(1))
        broken = await self.store.move_lease(
            await self.requested(), LeaseEvent.BREAK, events.LeaseBroken(reason="lost")
        )
        assert broken is not None
        self.clock.advance(400 * DAY)
        await self.newest()
        before = await self.store.rows(), await self.store.events(limit=1_000)
        self.assertEqual(await self.delete(), {"leases": 0, "resources": 0, "events": 0})
        self.assertEqual((await self.store.rows(), await self.store.events(limit=1_000)), before)
        self.assertTrue(await self.recorded(lease=waiting.id))
        self.assertTrue(await self.recorded(resource=resource.id))
        self.assertTrue(await self.recorded(lease=lease.id))

    async def test_what_others_name_stays_until_they_go(self) -> None:
        built_for, of_lease = await self.ended()
        asked_for, _ = await self.ended(place=1)
        await self.added(2, built_for=built_for.id)
        await self.store.request_authorization(
            "gpu",
            "builder/tests",
            events.LeaseRequested(owner="x", requires={}),
            lease=asked_for.id,
        )
        self.clock.advance(8 * DAY)
        await self.newest()
        deleted = await self.delete()
        self.assertEqual((deleted["leases"], deleted["resources"]), (0, 0))
        self.assertEqual(await self.store.lease(built_for.id), built_for)
        self.assertEqual(await self.store.resource(of_lease.id), of_lease)
        self.assertEqual(await self.store.lease(asked_for.id), asked_for)

    async def test_a_parent_lease_stays_while_its_resource_lives(self) -> None:
        parent, _ = await self.ended()
        child = await self.added(1)
        change = resources_table.update().where(resources_table.c.id == child.id)
        stands_on = change.values(parent_lease=parent.id)
        await self.pool.do_with_transaction(lambda c: c.execute(stands_on).close())
        self.clock.advance(8 * DAY)
        await self.newest()
        self.assertEqual((await self.delete())["leases"], 0)

    async def test_the_newest_rows_stay_so_that_no_number_is_given_twice(self) -> None:
        lease, resource = await self.ended()
        self.clock.advance(8 * DAY)
        await self.delete()
        last = (await self.numbers(events_table))[-1]
        again, another = await self.ended()
        self.assertGreater(again.id, lease.id)
        self.assertGreater(another.id, resource.id)
        self.assertGreater((await self.numbers(events_table))[-1], last)
        self.assertEqual(len(await self.numbers(leases_table)), 2)

    async def test_what_is_too_much_goes_oldest_first_but_nothing_recent(self) -> None:
        rows = [await self.ended(place) for place in range(3)]
        most = Limits(events=1, ended=1)
        self.assertEqual(await self.delete(most), {"leases": 0, "resources": 0, "events": 0})
        self.clock.advance(RECENT_SECONDS + 1)
        last = (await self.numbers(events_table))[-1]
        deleted = await self.delete(most)
        self.assertEqual((deleted["leases"], deleted["resources"]), (2, 2))
        self.assertEqual(await self.numbers(leases_table), [rows[-1][0].id])
        self.assertEqual(await self.numbers(resources_table), [rows[-1][1].id])
        self.assertEqual(await self.numbers(events_table), [last])

    async def test_of_what_is_not_too_much_all_stays(self) -> None:
        for place in range(3):
            await self.ended(place)
        self.clock.advance(RECENT_SECONDS + 1)
        number = len(await self.numbers(events_table))
        most = Limits(events=number - 2, ended=3)
        self.assertEqual(await self.delete(most), {"leases": 0, "resources": 0, "events": 2})

    async def test_what_counts_in_the_costs_of_a_day_stays_for_that(self) -> None:
        record = events.ResourcePriced(hourly_price=2.0, before=None)
        priced = await self.store.set_price(await self.active(), 2.0, record)
        assert priced is not None
        self.clock.advance(1800)
        gone = await self.destroyed(priced)
        _, unpriced = await self.ended(place=1)
        await self.newest()
        self.clock.advance(23 * 3600)
        short = Limits(seconds=RECENT_SECONDS)
        self.assertEqual((await self.delete(short))["resources"], 1)
        self.assertIsNone(await self.store.resource(unpriced.id))
        rows = await self.store.rows(spent_by=["linux"])
        self.assertEqual(dict(rows.spent), {"linux": 1.0})
        self.clock.advance(3600 + 1)
        self.assertEqual((await self.delete(short))["resources"], 1)
        self.assertIsNone(await self.store.resource(gone.id))

    async def test_without_limits_everything_stays(self) -> None:
        await self.ended()
        self.clock.advance(4_000 * DAY)
        await self.newest()
        self.assertEqual(await self.delete(Limits()), {"leases": 0, "resources": 0, "events": 0})

    # --- a little at a time, by one master at a time -----------------------------------------

    async def test_no_transaction_deletes_more_than_a_batch(self) -> None:
        self.patch(tables, "BATCH_ROWS", 2)
        for place in range(5):
            await self.ended(place)
        await self.leased(await self.active(7))  # in the middle, and stays
        for place in range(5):
            await self.ended(place)
        self.clock.advance(8 * DAY)
        await self.newest()
        sizes: list[int] = []
        delete_some = tables.delete_some

        async def noted(*arguments: Any, **more: Any) -> Any:
            batch = await delete_some(*arguments, **more)
            assert batch is not None
            sizes.append(batch.deleted)
            return batch

        self.patch(tables, "delete_some", noted)
        deleted = await self.delete()
        self.assertEqual((deleted["leases"], deleted["resources"]), (10, 10))
        self.assertLessEqual(max(sizes), 2)
        self.assertEqual(sum(sizes), sum(deleted.values()))

    async def test_rows_of_one_moment_are_each_looked_at(self) -> None:
        self.patch(tables, "BATCH_ROWS", 2)
        ended = [await self.ended(place) for place in range(4)]
        await self.added(9, built_for=ended[0][0].id)  # which keeps the first
        self.clock.advance(8 * DAY)
        await self.newest()
        deleted = await self.delete()
        self.assertEqual((deleted["leases"], deleted["resources"]), (3, 3))

    async def test_two_masters_at_once_delete_everything_once(self) -> None:
        self.patch(tables, "BATCH_ROWS", 3)
        for place in range(8):
            await self.ended(place)
        number = len(await self.numbers(events_table))
        self.clock.advance(8 * DAY)
        await self.newest()
        other = make_pool(self, self.url())
        both = [self.retention(master=1), self.retention(master=2, pool=other)]
        running = DeferredList([Deferred.fromCoroutine(each.run()) for each in both])
        results = await self.driven(running)  # type: ignore[arg-type]
        self.assertEqual([succeeded for succeeded, _ in results], [True, True])
        sums = {
            name: sum(deleted[name] for _, deleted in results)
            for name in ("drydock_leases", "drydock_resources", "drydock_events")
        }
        expected = {"drydock_leases": 8, "drydock_resources": 8, "drydock_events": number}
        self.assertEqual(sums, expected)

    async def test_while_one_is_on_duty_no_other_deletes_and_none_waits(self) -> None:
        await self.ended()
        self.clock.advance(8 * DAY)
        await self.newest()
        await self.be_on_duty(1)
        self.assertEqual(await self.delete(master=2), {"leases": 0, "resources": 0, "events": 0})
        self.clock.advance(DUTY_SECONDS - 1)
        self.assertEqual((await self.delete(master=2))["leases"], 0)
        self.clock.advance(2)  # the first was killed
        self.assertEqual((await self.delete(master=2))["leases"], 1)

    async def test_a_master_that_was_killed_goes_on_when_it_is_back(self) -> None:
        await self.ended()
        self.clock.advance(8 * DAY)
        await self.newest()
        await self.be_on_duty(1)
        self.assertEqual((await self.delete(master=1))["leases"], 1)

    async def be_on_duty(self, master: int) -> None:
        bounds = await tables.find_bounds(self.pool, Limits(), self.clock.seconds())
        batch = await tables.delete_some(
            *(self.pool, leases_table, bounds, tables.START),
            master=master,
            now=self.clock.seconds(),
        )
        self.assertIsNotNone(batch)

    async def test_nobody_is_on_duty_afterwards(self) -> None:
        await self.delete()
        locks = await self.pool.do(lambda c: c.execute(sa.select(slot_locks.c.lock_key)).all())
        self.assertEqual(locks, [])

    async def test_a_master_that_stops_ends_after_a_batch(self) -> None:
        self.patch(tables, "BATCH_ROWS", 1)
        self.patch(retention, "PAUSE_SECONDS", 3.0)
        for place in range(3):
            await self.ended(place)
        self.clock.advance(8 * DAY)
        await self.newest()
        made = self.retention()
        made.start()
        self.clock.advance(retention.INTERVAL_SECONDS)
        while not self.clock.getDelayedCalls():  # it pauses after the first batch
            await self.pool.do(lambda connection: None)
        await made.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(await self.numbers(leases_table)), 3)
        self.assertEqual((await self.delete(master=2))["leases"], 2)


class TestRetentionOnSqlite(OnSqlite, RetentionContract):
    pass


@needs(POSTGRESQL)
class TestRetentionOnPostgresql(OnPostgresql, RetentionContract):
    pass


@needs(MARIADB)
class TestRetentionOnMariadb(OnMariadb, RetentionContract):
    pass


del RetentionContract  # or it would be collected, without a database
