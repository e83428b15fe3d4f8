"""Builds and people that quotas count, on one master."""

from __future__ import annotations

from buildbot.process.results import SUCCESS

from buildbot_drydock import Quota
from buildbot_drydock.model import LeaseStatus
from buildbot_drydock.reasons import QuotaReached
from tests.integration.masters import _SOURCE
from tests.integration.test_authorized_builds import Case as TwoBuilders


class Case(TwoBuilders):
    def setUp(self) -> None:
        super().setUp()
        self.blueprint["limit"] = 3
        self.pool["size"] = 3

    def limit(self, **fields: object) -> None:
        self.settings["quotas"] = [Quota(**fields)]

    async def pending(self) -> list[int]:
        return [row.id for row in await self.leases() if row.status is LeaseStatus.PENDING]


class QuotaTests(Case):
    async def test_a_lease_over_a_quota_waits_and_says_who_holds_it(self) -> None:
        self.limit(owner="person/*", leases=1)
        await self.start()
        ana = await self.service.leases.request(owner="person/ana")
        await self.advance(1)
        bob = await self.service.leases.request(owner="person/bob")
        await self.settle()
        (reason,) = self.service.leases.reasons(bob.id)
        self.assertEqual(
            reason,
            QuotaReached(quota="person/*", limit=1, held=1, holders=("lease 1 of person/ana",)),
        )
        self.assertEqual(len(self.cloud.tokens()), 1, "nothing is launched for what waits")
        self.limit(owner="person/*", leases=2)
        await self.reconfigure()
        await self.advance(1)
        self.assertEqual(await self.pending(), [])
        for lease in (ana, bob):
            await self.service.leases.release(lease.id, "done")
        await self.stop()

    async def test_a_quota_that_comes_with_a_reconfig_counts_what_is_held(self) -> None:
        await self.start()
        ana = await self.service.leases.request(owner="person/ana")
        await self.advance(1)
        self.limit(owner="person/*", leases=1)
        await self.reconfigure()
        bob = await self.service.leases.request(owner="person/bob")
        await self.settle()
        self.assertEqual(await self.pending(), [bob.id])
        await self.service.leases.release(ana.id, "done")
        await self.advance(5)
        self.assertEqual(await self.pending(), [])
        await self.service.leases.release(bob.id, "done")
        await self.stop()

    async def test_builds_of_a_builder_run_only_on_leases_that_count_for_it(self) -> None:
        """The worker of another builder is warm, and gives its host back for that."""
        self.limit(builder="docs", leases=1)
        self.blueprint["limit"] = 1
        self.pool["size"] = 1
        await self.start()
        await self.build("tests")
        (warm,) = await self.leases()
        await self.request_build("docs")
        await self.advance(5)
        (lease,) = await self.leases()
        self.assertNotEqual(lease.id, warm.id)
        self.assertEqual(lease.subjects, ("builder/docs",))
        self.assertIn("quota(builder/docs).lease(0)", lease.locks)
        await self.log_in_leased()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_others_build_while_a_quota_keeps_one_build_waiting(self) -> None:
        self.limit(builder="docs", leases=0)
        self.blueprint["limit"] = 1
        await self.start()
        await self.request_build("docs")
        await self.request_build("docs")
        (waits,) = await self.leases()
        self.assertEqual(await self.pending(), [waits.id])
        await self.request_build("tests")
        (lease,) = [row for row in await self.leases() if row.id != waits.id]
        await self.log_in(lease.owner.removeprefix("worker/"))
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [None, SUCCESS], "only one of docs has begun")
        await self.stop()

    async def test_a_lease_is_as_urgent_as_the_build_request_it_is_for(self) -> None:
        self.pool["priority"] = 10
        await self.start()
        number = await self.master.data.updates.findBuilderId("tests")
        await self.master.data.updates.addBuildset(
            waited_for=False, builderids=[number], sourcestamps=[_SOURCE], priority=7
        )
        await self.advance(1)
        (lease,) = await self.leases()
        self.assertEqual(lease.priority, 17)
        await self.log_in_leased()
        await self.finish(SUCCESS)
        await self.stop()
