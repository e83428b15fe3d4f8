"""What a worker does whose host is about to be taken away, and what becomes of its builds."""

from __future__ import annotations

from buildbot.process.results import RETRY, SUCCESS

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.events import ResourceGivenNotice
from buildbot_drydock.model import ResourceStatus
from tests.integration.test_worker import Case

NAMES = ("linux-001", "linux-002")


class NoticeCase(Case):
    def setUp(self) -> None:
        super().setUp()
        self.blueprint |= {"limit": 2, "sweep_interval": 5.0}
        self.pool |= {"size": 2}

    async def log_in(self, name: str = "") -> None:
        """Let the worker connect that waits for it: Buildbot takes any of the two."""
        names = [each for each in NAMES if self.awaits_connection(each)]
        await super().log_in(*names)

    def awaits_connection(self, name: str) -> bool:
        worker = self.master.workers.workers.get(name)
        return worker is not None and hooks.awaits_connection(worker)

    async def log_out(self, name: str = "") -> None:
        for each in [name] if name else list(self.remotes):
            await super().log_out(each)

    async def interrupt(self, seconds: float | None = 120) -> str:
        """Announce the end of the oldest host, and let that be heard of; return its token."""
        token = self.cloud.hosts()[0].token
        self.cloud.give_notice(token, "interrupted", seconds=seconds)
        await self.advance(6)
        return token

    async def properties(self, build: int) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = await self.master.data.get(
            ("builds", build, "properties")
        )
        return found


class WarningTests(NoticeCase):
    async def test_a_build_goes_on_and_is_said_to_be_in_danger(self) -> None:
        await self.start()
        number = await self.start_building()
        await self.interrupt()
        self.assertTrue(self.step.running)
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        text, source = (await self.properties(1))["drydock_notice"]
        self.assertRegex(text, r"The host will end in 11\d s: interrupted\.")
        self.assertEqual(source, "Drydock")
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS])
        await self.stop()

    async def test_it_is_recorded_once_beside_the_lease(self) -> None:
        await self.start()
        number = await self.start_building()
        await self.interrupt()
        await self.advance(20)
        recorded = await self.service.store.events(lease=number)
        given = [each for each in recorded if isinstance(each.event, ResourceGivenNotice)]
        self.assertEqual(len(given), 1)
        await self.finish(SUCCESS)
        await self.stop()

    async def test_after_its_build_a_worker_gives_its_host_back_and_serves_again_elsewhere(
        self,
    ) -> None:
        self.pool["size"] = 1
        await self.start()
        number = await self.start_building()
        token = await self.interrupt()
        await self.finish(SUCCESS)
        self.assertNotIn(number, [lease.id for lease in await self.leases()])
        await self.advance(1)
        self.assertNotIn(token, self.cloud.tokens())
        await self.request_build()
        (lease,) = await self.leases()
        self.assertNotEqual(lease.resource, 1)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_it_takes_no_other_build_meanwhile_which_gets_a_host_at_once(self) -> None:
        await self.start()
        await self.start_building()
        await self.interrupt()
        await self.request_build()
        first, second = await self.leases()
        self.assertEqual((first.resource, second.resource), (1, 2))
        await self.finish(SUCCESS)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_nor_one_of_another_builder_that_it_could_run_at_the_same_time(self) -> None:
        self.builders = ["tests", "docs"]
        self.blueprint["limit"] = 1
        self.pool |= {"size": 1, "max_builds": 2}
        await self.start()
        await self.start_building()
        await self.interrupt()
        await self.request_build("docs")
        self.assertEqual(await self.results(), [None], "the other build waits")
        await self.finish(SUCCESS)
        await self.advance(1)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_an_idle_worker_gives_its_host_back_at_once(self) -> None:
        await self.start()
        await self.start_idling()
        token = await self.interrupt(None)
        await self.advance(1)
        self.assertEqual((await self.leases(), self.processes()), ([], []))
        self.assertNotIn(token, self.cloud.tokens())
        await self.stop()

    async def test_a_build_that_a_worker_is_being_started_for_runs_all_the_same(self) -> None:
        await self.start()
        await self.request_build()
        await self.interrupt()
        await self.log_in()
        self.assertTrue(self.step.running)
        self.assertIn("drydock_notice", await self.properties(1))
        await self.finish(SUCCESS)
        self.assertEqual((await self.results(), await self.leases()), ([SUCCESS], []))
        await self.stop()

    async def test_an_idle_worker_without_connection_does_not_wait_for_its_return(self) -> None:
        await self.start()
        await self.start_idling()
        await self.log_out()
        await self.interrupt()
        self.assertEqual(await self.leases(), [])
        await self.stop()


class EndTests(NoticeCase):
    async def test_a_build_that_the_end_cuts_off_is_tried_again_on_another_host(self) -> None:
        await self.start()
        number = await self.start_building()
        await self.interrupt(30)
        await self.advance(60)
        reason = (await self.lease(number)).reason
        self.assertEqual(reason, "resource 1 was lost: its host has gone: interrupted")
        self.assertEqual((await self.results())[0], RETRY)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [RETRY, SUCCESS])
        await self.stop()

    async def test_a_worker_taken_up_by_a_restarted_master_hears_of_it_and_leaves(self) -> None:
        self.pool["keep_on_shutdown"] = True
        await self.start()
        number = await self.start_idling()
        cloud = self.cloud
        await self.stop()
        cloud.give_notice(cloud.hosts()[0].token, "interrupted")
        await self.start()
        await self.advance(6)
        self.assertNotIn(number, [lease.id for lease in await self.leases()])
        await self.advance(1)
        rows = await self.service.store.rows()
        active = [row for row in rows.resources if row.status is ResourceStatus.ACTIVE]
        self.assertEqual(active, [])
        await self.stop()
