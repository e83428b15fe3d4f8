"""A host on which no worker starts: it is held back, and breaks no build after another."""

from __future__ import annotations

from dataclasses import replace

from buildbot.process.results import RETRY, SUCCESS

from buildbot_drydock import events
from buildbot_drydock.errors import HostError
from buildbot_drydock.latent.synthetic import Failure, Moment
from buildbot_drydock.model import Resource
from tests.integration.masters import DrydockMasterTestCase


class FaultyHostTests(DrydockMasterTestCase):
    async def resource(self, number: int) -> Resource:
        found = await self.service.store.resource(number)
        assert found is not None
        return found

    def let_fail_on(self, resource: Resource) -> None:
        async def hook(moment: Moment) -> None:
            if (moment.verb, moment.subject) == ("start", resource.token):
                raise HostError("the disk is full")

        self.cloud.hook = hook

    def let_fail(self, times: int) -> None:
        failure = Failure(verb="start", error=HostError, message="the disk is full", times=times)
        self.cloud.script = replace(self.cloud.script, failures=(failure,))

    async def test_the_build_goes_elsewhere_and_so_do_those_after_it(self) -> None:
        self.blueprint.update(limit=3, min_ready=3)
        self.pool["build_wait_timeout"] = 0
        await self.start()
        await self.advance(2)
        bad = await self.resource(1)
        self.let_fail_on(bad)
        for _ in range(3):
            await self.request_build()
            await self.advance(15)
            await self.log_in()
            await self.finish(SUCCESS)
            await self.advance(1)
        results = await self.results()
        self.assertEqual(results.count(SUCCESS), 3)
        self.assertLessEqual(results.count(RETRY), 2)
        self.assertGreaterEqual((await self.resource(bad.id)).faults, 1)
        self.assertIn("the disk is full", (await self.resource(bad.id)).fault)
        self.flushLoggedErrors()
        await self.stop()

    async def test_the_only_host_is_tried_again_later_and_trusted_once_it_served(self) -> None:
        await self.start()
        self.let_fail(2)
        await self.request_build()
        self.assertEqual(await self.results(), [RETRY])
        self.assertEqual(await self.leases(), [], "no worker is offered what is held back")
        await self.advance(60)
        await self.log_in()
        self.assertEqual(await self.results(), [RETRY, RETRY, None])
        self.assertEqual((await self.resource(1)).faults, 0)
        told = [each.event for each in await self.service.store.events(resource=1)]
        self.assertIn(events.ResourceTrusted(faults=2), told)
        await self.finish(SUCCESS)
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_build_that_was_stopped_leaves_no_blame(self) -> None:
        await self.start()
        await self.request_build()
        await self.stop_build()
        self.assertEqual((await self.resource(1)).faults, 0)
        await self.stop()
