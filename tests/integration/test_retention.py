"""A master deletes old history by itself, as far as its configuration says."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.config import Drydock
from buildbot_drydock.errors import RetryLater
from buildbot_drydock.model import LeaseStatus
from buildbot_drydock.retention import INTERVAL_SECONDS
from buildbot_drydock.store import retention as tables
from buildbot_drydock.store.retention import Limits
from tests.integration.masters import DrydockMasterTestCase

HOUR = 3_600.0


class RetentionTests(DrydockMasterTestCase):
    async def ended(self) -> int:
        """Return a lease of a person that has ended, on a resource that lives on."""
        people = self.service.people
        lease = await people.request("ana@example.org", seconds=60.0)
        await self.settle()
        await people.release(lease.id, actor="ana@example.org", reason="done")
        await self.settle()
        self.assertIs((await self.lease(lease.id)).status, LeaseStatus.DESTROYED)
        return lease.id

    async def two_ended(self) -> tuple[int, int]:
        """Return two such leases, none of which its resource was built for."""
        await self.ended()
        return await self.ended(), await self.ended()

    async def pass_by(self, seconds: float) -> None:
        self.reactor.advance(seconds)
        await self.settle()

    async def test_what_is_too_old_is_deleted_after_a_while(self) -> None:
        self.settings = {"keep_history": 2 * HOUR}
        await self.start()
        old, newest = await self.two_ended()
        await self.pass_by(INTERVAL_SECONDS)
        self.assertIsNotNone(await self.service.store.lease(old))
        await self.pass_by(2 * INTERVAL_SECONDS)
        self.assertIsNone(await self.service.store.lease(old))
        self.assertIsNotNone(await self.service.store.lease(newest))
        await self.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    async def test_another_limit_counts_after_a_reconfiguration(self) -> None:
        await self.start()
        old, _ = await self.two_ended()
        await self.pass_by(24 * HOUR)
        self.assertIsNotNone(await self.service.store.lease(old))
        self.settings = {"keep_history": HOUR, "most_events": None, "most_ended": 5_000}
        await self.reconfigure()
        limits = Limits(seconds=HOUR, events=None, ended=5_000)
        self.assertEqual(self.service.retention.limits, limits)
        await self.pass_by(INTERVAL_SECONDS)
        self.assertIsNone(await self.service.store.lease(old))
        await self.stop()

    async def test_a_failure_is_logged_and_the_next_hour_is_another_try(self) -> None:
        self.settings = {"keep_history": HOUR}
        await self.start()
        old, _ = await self.two_ended()
        find_bounds = tables.find_bounds

        async def failing(*arguments: Any) -> Any:
            raise RetryLater("the database is busy")

        self.patch(tables, "find_bounds", failing)
        await self.pass_by(2 * HOUR)
        self.assertEqual(len(self.flushLoggedErrors(RetryLater)), 1)
        self.patch(tables, "find_bounds", find_bounds)
        await self.pass_by(INTERVAL_SECONDS)
        self.assertIsNone(await self.service.store.lease(old))
        await self.stop()


class DefaultTests(SynchronousTestCase):
    def test_unless_said_otherwise_a_quarter_of_a_year_is_kept(self) -> None:
        settings = Drydock().settings
        assert settings is not None
        kept = (settings.keep_history, settings.most_events, settings.most_ended)
        self.assertEqual(kept, (90 * 24 * HOUR, 1_000_000, 100_000))
