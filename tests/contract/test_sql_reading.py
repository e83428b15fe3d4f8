"""What ``SqlStore.rows`` keeps of one reading for the next."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock import events
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import LeaseRequest
from buildbot_drydock.store import migrations
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.store.statements import ROWS_AT_A_TIME
from tests.contract.databases import OnSqlite, make_pool

ASKED = events.LeaseRequested(owner="w", requires={})


class TestReadingAgain(OnSqlite, TestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        self.pool = make_pool(self, self.url())
        await migrations.upgrade(self.pool)
        self.store = SqlStore(self.pool, Clock())

    async def request(self, number: int) -> None:
        wanted = LeaseRequest(owner=f"w{number}", nonce="n", requires={"number": str(number)})
        await self.store.request_lease(wanted, ASKED)

    async def test_rows_that_are_the_same_are_the_same_objects(self) -> None:
        """Anything else would be thousands of new objects for the garbage collector each turn."""
        for number in range(3):
            await self.request(number)
        before = (await self.store.rows()).leases
        renewed = before[1]
        await self.store.renew([renewed.id], expires_at=50.0)
        after = (await self.store.rows()).leases
        self.assertIs(after[0], before[0])
        self.assertEqual(after[1].expires_at, 50.0)
        self.assertEqual(renewed.expires_at, None)
        self.assertIs(after[2], before[2])
        self.assertIs((await self.store.rows()).leases[1], after[1])

    async def test_nothing_is_kept_of_rows_that_are_gone(self) -> None:
        await self.request(0)
        await self.request(1)
        first, second = (await self.store.rows()).leases
        released = events.LeaseReleased(reason="")
        await self.store.move_lease(first, LeaseEvent.RELEASE, released)
        (ended, _) = (await self.store.rows()).leases
        await self.store.move_lease(ended, LeaseEvent.VACATE, events.LeaseDestroyed())
        self.assertEqual((await self.store.rows()).leases, (second,))
        remembered = self.store._leases._last
        self.assertEqual([list(each) for each in remembered], [[second.id], [second.id]])

    async def test_all_rows_are_read_in_order_however_many_there_are(self) -> None:
        number = ROWS_AT_A_TIME * 2 + 1
        for each in range(number):
            await self.request(each)
        leases = (await self.store.rows()).leases
        self.assertEqual([lease.owner for lease in leases], [f"w{n}" for n in range(number)])
