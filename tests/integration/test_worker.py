"""What goes wrong with Buildbot's latent workers, point by point, and does not with ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from buildbot.plugins import util
from buildbot.process.results import CANCELLED, EXCEPTION, RETRY, SUCCESS
from buildbot.test.fake.step import ControllableBuildStep
from twisted.internet.defer import Deferred

from buildbot_drydock.errors import HostError
from buildbot_drydock.events import LeaseReleased, ModeChanged
from buildbot_drydock.latent.synthetic import Failure
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import BlueprintState, Lease, LeaseStatus, Mode
from tests.integration.masters import PORT, DrydockMasterTestCase


class Case(DrydockMasterTestCase):
    def let_fail(self, verb: str, *, times: int | None = None, message: str = "no luck") -> None:
        failure = Failure(verb=verb, error=HostError, message=message, times=times)
        self.cloud.script = replace(self.cloud.script, failures=(failure,))

    def let_hang(self, *verbs: str) -> None:
        self.cloud.script = replace(
            self.cloud.script, latency_seconds=dict.fromkeys(verbs, 100_000.0)
        )

    async def start_building(self) -> int:
        """Bring a build to its step; return the number of its lease."""
        await self.request_build()
        (lease,) = await self.leases()
        await self.log_in()
        self.assertTrue(self.step.running)
        return lease.id

    async def start_idling(self) -> int:
        """Bring a worker to waiting for its next build; return the number of its lease."""
        number = await self.start_building()
        await self.finish(SUCCESS)
        return number

    async def set_mode(self, mode: Mode) -> None:
        store = self.service.store
        seen = (await store.rows()).blueprints.get("linux", BlueprintState(name="linux"))
        record = ModeChanged(actor="somebody", mode=mode.value, reason="a test", until=None)
        await store.change_blueprint(seen, replace(seen, mode=mode), record)
        self.service.wake()
        await self.settle()


class StartTests(Case):
    async def test_a_build_runs_on_a_leased_host_and_its_worker_stays_for_the_idle_time(
        self,
    ) -> None:
        await self.start()
        await self.request_build()
        (lease,) = await self.leases()
        self.assertEqual(self.processes(), [lease.tag])
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS])
        await self.advance(599)
        self.assertEqual(self.processes(), [lease.tag])
        await self.advance(2)
        self.assertEqual((self.processes(), await self.leases()), ([], []))
        await self.stop()

    async def test_a_lease_tells_who_holds_it_and_for_which_build(self) -> None:
        await self.start()
        await self.start_building()
        (lease,) = await self.leases()
        self.assertEqual(lease.owner, "worker/linux-001")
        self.assertEqual(lease.master, self.master.masterid)
        self.assertEqual(
            lease.attributes,
            {"builder": "tests", "build": "1", "buildid": "1", "buildrequests": "1"},
        )
        await self.finish()
        await self.stop()

    async def test_every_build_links_to_its_lease_and_resource(self) -> None:
        await self.start()
        number = await self.start_idling()
        await self.request_build()  # a second one, on the worker that is there already
        await self.settle()
        await self.finish(SUCCESS)
        base = self.master.config.buildbotURL
        for build in (1, 2):
            properties = await self.master.data.get(("builds", build, "properties"))
            self.assertEqual(
                {name: value for name, value in properties.items() if name.startswith("drydock_")},
                {
                    "drydock_lease": (number, "Drydock"),
                    "drydock_resource": (1, "Drydock"),
                    "drydock_blueprint": ("linux", "Drydock"),
                },
            )
            steps = await self.master.data.get(("builds", build, "steps"))
            self.assertEqual(
                [(url["name"], url["url"]) for url in steps[0]["urls"]],
                [
                    (f"lease {number}", f"{base}#/drydock/leases/{number}"),
                    ("resource 1", f"{base}#/drydock/resources/1"),
                ],
            )
        await self.stop()

    async def test_a_worker_tells_where_its_lease_is_looked_at(self) -> None:
        await self.start()
        number = await self.start_building()
        (worker,) = [
            each for each in await self.master.data.get(("workers",)) if each["name"] == "linux-001"
        ]
        self.assertEqual(
            worker["workerinfo"]["access_uri"],
            f"{self.master.config.buildbotURL}#/drydock/leases/{number}",
        )
        await self.finish()
        await self.stop()

    async def test_a_build_stopped_while_its_lease_waits_ends_at_once(self) -> None:
        self.blueprint["boot_seconds"] = 500
        await self.start()
        await self.request_build()
        (lease,) = await self.leases()
        self.assertEqual(lease.status, LeaseStatus.PENDING)
        await self.stop_build()
        self.assertEqual(await self.results(), [CANCELLED])
        self.assertEqual(await self.leases(), [])
        await self.stop()

    async def test_a_build_stopped_while_its_host_hangs_ends_at_once(self) -> None:
        await self.start()
        self.let_hang("start")
        await self.request_build()
        await self.stop_build()
        self.assertEqual(await self.results(), [CANCELLED])
        self.assertEqual(await self.leases(), [])
        await self.stop()

    async def test_a_build_stopped_while_its_worker_logs_in_ends_at_once(self) -> None:
        await self.start()
        await self.request_build()
        await self.stop_build()
        self.assertEqual(await self.results(), [CANCELLED])
        self.assertEqual((self.processes(), await self.leases()), ([], []))
        await self.stop()

    async def test_a_lease_that_arrives_after_its_build_was_stopped_is_given_back(self) -> None:
        await self.start()
        leases = self.service.leases
        request, asked = leases.request, Deferred[None]()

        async def slow_request(**arguments: Any) -> Lease:
            await asked
            return await request(**arguments)

        self.patch(leases, "request", slow_request)
        await self.request_build()
        await self.stop_build()
        self.assertEqual(await self.results(), [CANCELLED])
        asked.callback(None)
        await self.settle()
        self.assertEqual((await self.lease(1)).reason, "it was asked for in vain")
        self.assertEqual(await self.leases(), [])
        await self.stop()

    async def test_a_worker_whose_start_was_stopped_serves_the_next_build(self) -> None:
        await self.start()
        await self.request_build()
        await self.stop_build()
        await self.start_idling()
        self.assertEqual(await self.results(), [CANCELLED, SUCCESS])
        await self.stop()

    async def test_a_build_fails_after_so_many_failed_starts_naming_the_reasons(self) -> None:
        self.pool["max_start_attempts"] = 3
        await self.start()
        self.let_fail("start", message="the disk is full")
        request = await self.request_build()
        await self.advance(200)
        self.assertEqual(await self.results(), [RETRY, RETRY, EXCEPTION])
        self.assertTrue(await self.is_complete(request))
        self.assertIn("in 3 attempts: the disk is full", await self.texts())
        self.assertEqual(await self.leases(), [])
        self.flushLoggedErrors()
        await self.stop()

    async def test_failed_starts_are_forgotten_when_one_succeeds(self) -> None:
        self.pool["max_start_attempts"] = 2
        await self.start()
        self.let_fail("start", times=1)
        request = await self.request_build()
        await self.advance(30)
        await self.log_in()
        self.assertEqual(await self.results(), [RETRY, None])
        self.assertEqual(self.service.attempts.reasons(request), ())
        await self.finish()
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_host_that_hangs_is_given_up_and_the_build_tried_again(self) -> None:
        await self.start()
        self.let_hang("start")
        await self.request_build()
        await self.advance(119)
        self.assertEqual(await self.results(), [None])
        self.cloud.script = replace(self.cloud.script, latency_seconds={})
        await self.advance(30)
        self.assertEqual(await self.results(), [RETRY, None])
        self.assertIn("took more than 120 s", await self.texts())
        await self.log_in()
        await self.finish()
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_worker_that_never_logs_in_is_given_up_with_the_end_of_its_log(self) -> None:
        await self.start()
        await self.request_build()
        (machine,) = self.cloud.hosts()
        machine.files["worker-0/twistd.log"] = b"starting\nconnection refused\n"
        await self.advance(125)
        self.assertEqual((await self.results())[0], RETRY)
        self.assertRegex(
            await self.texts(),
            "did not log in within 120 s; see that its host reaches the master at "
            rf"\S+:{PORT}, or give its pool another masterFQDN; its log",
        )
        self.assertIn("connection refused", await self.texts())
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_process_that_ends_before_it_logs_in_is_noticed_early(self) -> None:
        await self.start()
        await self.request_build()
        self.cloud.hosts()[0].processes.clear()
        await self.advance(15)
        self.assertEqual((await self.results())[0], RETRY)
        self.assertIn("buildbot-worker ended", await self.texts())
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_build_that_no_blueprint_can_ever_serve_fails_at_once(self) -> None:
        self.blueprint["choices"] = {"os": ["debian", "fedora"]}
        self.pool["requires"] = {"os": util.Property("os")}
        await self.start()
        request = await self.request_build(os="plan9")
        await self.advance(30)
        self.assertEqual(await self.results(), [EXCEPTION])
        self.assertTrue(await self.is_complete(request))
        self.assertIn("os=plan9 is required, it offers debian or fedora", await self.texts())
        self.flushLoggedErrors()
        await self.stop()

    async def test_waiting_in_vain_for_a_slot_counts_as_no_attempt(self) -> None:
        self.blueprint["boot_seconds"] = 10_000
        self.blueprint["boot_timeout"] = 20_000
        self.pool.update(missing_timeout=300, max_start_attempts=1)
        await self.start()
        request = await self.request_build()
        await self.advance(310)
        self.assertEqual((await self.results())[0], RETRY)
        self.assertFalse(await self.is_complete(request))
        self.assertIn("linux is booting", await self.texts())
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_lease_lost_during_the_start_ends_the_start(self) -> None:
        self.blueprint["boot_seconds"] = 500
        await self.start()
        await self.request_build()
        (lease,) = await self.leases()
        await self.release_behind_its_back(lease.id)
        self.assertEqual((await self.results())[0], RETRY)
        self.assertIn("somebody wanted it back", await self.texts())
        self.flushLoggedErrors()
        await self.stop()

    async def release_behind_its_back(self, number: int) -> None:
        record = LeaseReleased(actor="somebody", reason="somebody wanted it back")
        await self.service.store.move_lease(
            await self.lease(number), LeaseEvent.RELEASE, record, reason=record.reason
        )
        self.service.wake()
        await self.settle()


class StopTests(Case):
    async def test_without_idle_time_each_build_gets_a_lease_of_its_own_and_none_is_lost(
        self,
    ) -> None:
        self.pool["build_wait_timeout"] = 0
        await self.start()
        await self.request_build()
        await self.request_build()
        await self.log_in()
        await self.finish(SUCCESS)
        await self.advance(1)
        (second,) = await self.leases()
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        self.assertGreater(second.id, 1)
        self.assertEqual((self.processes(), await self.leases()), ([], []))
        await self.stop()

    async def test_an_idle_time_of_minus_one_keeps_the_worker_for_ever(self) -> None:
        self.pool["build_wait_timeout"] = -1
        await self.start()
        number = await self.start_idling()
        await self.advance(5_000)
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        await self.stop()

    async def test_a_process_that_cannot_be_stopped_does_not_keep_the_lease(self) -> None:
        await self.start()
        number = await self.start_idling()
        self.let_fail("stop")
        await self.advance(605)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.DESTROYED)
        self.assertEqual(self.processes(), [], "the loop ends what was left")
        self.assertIn("no luck", str(self.flushLoggedErrors()))
        await self.start_idling()
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        self.cloud.script = replace(self.cloud.script, failures=())
        await self.stop()

    async def test_a_worker_that_is_being_stopped_is_given_no_build_until_it_has_been(
        self,
    ) -> None:
        await self.start()
        await self.request_build()
        self.let_hang("stop")
        await self.stop_build()
        self.cloud.script = replace(self.cloud.script, latency_seconds={})
        await self.request_build()
        self.assertEqual(await self.results(), [CANCELLED])
        await self.advance(32)
        self.assertEqual(await self.results(), [CANCELLED, None])
        await self.log_in()
        await self.finish()
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_process_that_hangs_when_stopped_does_not_hold_up_the_master(self) -> None:
        await self.start()
        await self.start_idling()
        self.let_hang("stop")
        before = self.reactor.seconds()
        await self.stop()
        self.assertLess(self.reactor.seconds() - before, 100)
        self.assertTrue(self.flushLoggedErrors())

    async def test_a_stopped_master_gives_everything_back_unless_told_to_keep_it(self) -> None:
        await self.start()
        number = await self.start_idling()
        cloud = self.cloud
        await self.stop()
        self.assertEqual(cloud.tags(), {"synthetic-1": frozenset()})
        await self.start()
        self.assertEqual((await self.lease(number)).status, LeaseStatus.DESTROYED)
        await self.stop()


class ConnectionTests(Case):
    async def test_an_idle_worker_whose_connection_broke_may_come_back(self) -> None:
        await self.start()
        number = await self.start_idling()
        await self.log_out()
        await self.advance(20)
        await self.log_in()
        await self.request_build()
        self.assertTrue(self.step.running)
        await self.finish(SUCCESS)
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_no_build_is_given_to_a_worker_that_has_yet_to_come_back(self) -> None:
        await self.start()
        await self.start_idling()
        await self.log_out()
        await self.request_build()
        self.assertEqual(await self.results(), [SUCCESS])
        await self.log_in()
        self.assertEqual(await self.results(), [SUCCESS, None])
        await self.finish()
        await self.stop()

    async def test_a_worker_that_does_not_come_back_is_stopped_and_replaced(self) -> None:
        await self.start()
        number = await self.start_idling()
        await self.log_out()
        await self.request_build()
        await self.advance(95)
        (lease,) = await self.leases()
        self.assertGreater(lease.id, number)
        self.assertIn("did not come back", (await self.lease(number)).reason)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_the_idle_time_begins_anew_when_a_worker_has_come_back(self) -> None:
        await self.start()
        number = await self.start_idling()
        await self.log_out()
        await self.log_in()
        await self.advance(599)
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        await self.advance(2)
        self.assertEqual(await self.leases(), [])
        await self.stop()

    async def test_a_build_that_loses_its_connection_is_tried_again_on_the_same_lease(
        self,
    ) -> None:
        await self.start()
        number = await self.start_building()
        await self.log_out()
        self.assertEqual(await self.results(), [RETRY])
        await self.log_in()
        await self.advance(1)
        self.assertEqual(await self.results(), [RETRY, None])
        await self.finish(SUCCESS)
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        await self.stop()

    async def test_a_build_that_takes_long_to_notice_is_tried_again_on_the_same_lease_too(
        self,
    ) -> None:
        self.patch(ControllableBuildStep, "interrupt", lambda step, reason: None)
        await self.start()
        number = await self.start_building()
        await self.log_out()
        await self.advance(5)
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [RETRY])
        await self.log_in()
        await self.advance(1)
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [RETRY, SUCCESS])
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        await self.stop()

    async def test_a_lease_lost_during_a_build_ends_the_build_at_once(self) -> None:
        await self.start()
        number = await self.start_building()
        (machine,) = self.cloud.hosts()
        self.cloud.lose(machine.token)
        await self.advance(61)
        self.assertEqual((await self.results())[0], RETRY)
        self.assertEqual(
            (await self.lease(number)).reason, "resource 1 was lost: its host has gone"
        )
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [RETRY, SUCCESS])
        await self.stop()

    async def test_nor_does_it_stop_the_next_start_of_a_worker_without_idle_time(self) -> None:
        """It depends on what is noticed first: the end of the connection or that of the build."""
        self.blueprint["sweep_interval"] = 5.0
        self.pool["build_wait_timeout"] = 0
        await self.start()
        await self.start_building()
        times = 6
        for _ in range(times):
            (machine,) = self.cloud.hosts()
            self.cloud.lose(machine.token)
            await self.advance(15)
            await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [RETRY] * times + [SUCCESS])
        await self.stop()

    async def test_a_process_of_an_earlier_lease_cannot_log_in(self) -> None:
        await self.start()
        first = await self.lease(await self.start_idling())
        self.assertEqual(self.worker().password, self.service.password(first))
        await self.advance(605)
        self.assertEqual(await self.leases(), [])
        self.assertNotEqual(self.worker().password, self.service.password(first))
        await self.start_idling()
        self.assertNotEqual(self.worker().password, self.service.password(first))
        await self.stop()

    async def test_nor_can_it_while_the_next_lease_waits(self) -> None:
        await self.start()
        first = await self.lease(await self.start_building())
        (machine,) = self.cloud.hosts()
        self.cloud.lose(machine.token)
        self.cloud.script = replace(self.cloud.script, boot_seconds=500)
        await self.advance(61)
        (second,) = await self.leases()
        self.assertEqual(second.status, LeaseStatus.PENDING)
        self.assertNotEqual(self.worker().password, self.service.password(first))
        await self.stop()

    async def test_an_unexpected_connection_is_refused(self) -> None:
        await self.start()
        with self.assertRaisesRegex(RuntimeError, "not trying to substantiate"):
            await self.log_in()
        await self.stop()


class RestartTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.pool["keep_on_shutdown"] = True

    async def test_a_worker_that_outlived_its_master_is_taken_up_again(self) -> None:
        await self.start()
        number = await self.start_idling()
        await self.stop()
        await self.start()
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        await self.log_in()
        await self.request_build()
        self.assertTrue(self.step.running)
        await self.finish(SUCCESS)
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        await self.advance(601)
        self.assertEqual((self.processes(), await self.leases()), ([], []))
        self.pool["keep_on_shutdown"] = False
        await self.stop()

    async def test_a_worker_taken_up_that_serves_no_build_is_stopped_after_its_idle_time(
        self,
    ) -> None:
        await self.start()
        await self.start_idling()
        await self.stop()
        await self.start()
        await self.log_in()
        await self.advance(605)
        self.assertEqual((self.processes(), await self.leases()), ([], []))
        await self.stop()

    async def test_a_worker_that_did_not_outlive_its_master_is_released(self) -> None:
        await self.start()
        number = await self.start_idling()
        await self.stop()
        await self.start()
        await self.request_build()
        self.assertEqual(await self.results(), [SUCCESS])
        await self.advance(95)
        self.assertIn("did not come back", (await self.lease(number)).reason)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_a_lease_lives_on_while_its_master_is_down_for_less_than_its_lifetime(
        self,
    ) -> None:
        await self.start()
        number = await self.start_idling()
        await self.stop()
        self.reactor.advance(400)  # longer than a lease lives: nobody has looked yet
        await self.start()
        self.assertEqual((await self.lease(number)).status, LeaseStatus.ACTIVE)
        await self.log_in()
        await self.advance(700)
        await self.stop()

    async def test_a_lease_that_no_worker_comes_for_expires(self) -> None:
        await self.start()
        number = await self.start_idling()
        await self.stop()
        self.pool["name_prefix"] = "renamed-"
        self.reactor.advance(400)  # it would have expired, but nobody has looked
        await self.start()
        self.assertEqual((await self.lease(number)).status, LeaseStatus.ACTIVE)
        await self.advance(400)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.DESTROYED)
        self.assertEqual(self.processes(), [])
        await self.stop()

    async def test_what_a_crash_left_of_a_connection_is_taken_back(self) -> None:
        await self.start()
        number = await self.master.data.updates.findWorkerId("linux-001")
        await self.master.data.updates.workerConnected(
            workerid=number, masterid=self.master.masterid, workerinfo={}
        )
        await self.stop()
        await self.start()
        row = await self.master.data.get(("workers", number))
        self.assertEqual(row["connected_to"], [])
        await self.stop()


class ReconfigurationTests(Case):
    async def test_a_pool_grows_without_disturbing_a_build(self) -> None:
        await self.start()
        await self.start_building()
        self.pool["size"], self.blueprint["limit"] = 3, 3
        await self.reconfigure()
        await self.request_build()
        self.assertEqual(await self.results(), [None, None])
        self.assertEqual(len(await self.leases()), 2)
        self.step.auto_finish_step(SUCCESS)
        await self.settle()
        for name in ("linux-002", "linux-003"):
            if self.worker(name)._tenancy is not None:
                await self.log_in(name)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_a_worker_removed_from_the_configuration_gives_its_lease_back(self) -> None:
        self.pool["size"] = 2
        await self.start()
        await self.request_build()
        (name,) = [n for n in ("linux-001", "linux-002") if self.worker(n)._tenancy is not None]
        await self.log_in(name)
        await self.finish(SUCCESS)
        self.pool["name_prefix"] = "new-"
        await self.reconfigure()
        self.assertEqual((self.processes(), await self.leases()), ([], []))
        await self.stop()

    async def test_a_builder_that_is_removed_and_added_again_finds_its_workers(self) -> None:
        await self.start()
        self.builders = ["docs"]
        await self.reconfigure()
        self.builders = ["tests", "docs"]
        await self.reconfigure()
        await self.start_idling()
        self.assertEqual(await self.results(), [SUCCESS])
        await self.stop()

    async def test_a_worker_that_is_taken_from_a_builder_and_given_back_serves_it(self) -> None:
        await self.start()
        self.builders_without_workers = {"tests"}
        await self.reconfigure()
        self.builders_without_workers = set()
        await self.reconfigure()
        await self.start_idling()
        self.assertEqual(await self.results(), [SUCCESS])
        await self.stop()

    async def test_a_builder_added_again_finds_a_worker_that_stayed_connected(self) -> None:
        await self.start()
        await self.start_idling()
        self.builders = ["docs"]
        await self.reconfigure()
        self.builders = ["tests", "docs"]
        await self.reconfigure()
        await self.request_build()
        self.assertTrue(self.step.running)
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_a_builder_that_comes_back_during_its_build_is_served_afterwards(self) -> None:
        await self.start()
        await self.start_building()
        self.builders_without_workers = {"tests"}
        await self.reconfigure()
        self.builders_without_workers = set()
        await self.reconfigure()
        await self.finish(SUCCESS)
        wfb = self.worker().workerforbuilders["tests"]
        self.assertTrue(wfb.remoteCommands, "the worker was told of its builder anew")
        await self.request_build()
        self.assertTrue(self.step.running)
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_a_connected_worker_keeps_its_password_when_it_is_reconfigured(self) -> None:
        await self.start()
        number = await self.start_building()
        self.pool["priority"] = 5
        await self.reconfigure()
        self.assertEqual(self.worker().terms.priority, 5)
        self.assertEqual(self.worker().password, self.service.password(await self.lease(number)))
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS])
        await self.stop()


class GracefulStopTests(Case):
    async def control(self, action: str) -> None:
        number = await self.master.data.updates.findWorkerId("linux-001")
        await self.master.data.control(action, {"reason": "a test"}, ("workers", str(number)))
        await self.settle()

    async def is_graceful(self) -> bool:
        number = await self.master.data.updates.findWorkerId("linux-001")
        return bool((await self.master.data.get(("workers", number)))["graceful"])

    async def test_a_worker_stopped_while_idle_gives_its_lease_back_and_serves_again(self) -> None:
        await self.start()
        await self.start_idling()
        await self.control("stop")
        self.assertEqual((self.processes(), await self.leases()), ([], []))
        self.assertFalse(await self.is_graceful())
        await self.start_idling()
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_a_worker_stopped_while_building_finishes_its_build_first(self) -> None:
        await self.start()
        number = await self.start_building()
        await self.control("stop")
        self.assertTrue(await self.is_graceful())
        self.assertEqual([lease.id for lease in await self.leases()], [number])
        await self.finish(SUCCESS)
        self.assertEqual((await self.results(), await self.leases()), ([SUCCESS], []))
        self.assertFalse(await self.is_graceful())
        await self.start_idling()
        await self.stop()

    async def test_a_worker_that_has_no_lease_is_not_put_out_of_service(self) -> None:
        await self.start()
        await self.control("stop")
        await self.start_idling()
        self.assertEqual(await self.results(), [SUCCESS])
        await self.stop()

    async def test_a_worker_that_is_killed_has_its_build_tried_again(self) -> None:
        await self.start()
        number = await self.start_building()
        await self.control("kill")
        await self.advance(1)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.DESTROYED)
        self.assertEqual((await self.results())[0], RETRY)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [RETRY, SUCCESS])
        await self.stop()


class OfferTests(Case):
    async def test_no_worker_is_offered_while_its_blueprint_is_paused_and_builders_are_woken(
        self,
    ) -> None:
        await self.start()
        await self.set_mode(Mode.PAUSED)
        await self.request_build()
        await self.advance(60)
        self.assertEqual((await self.results(), await self.leases()), ([], []))
        await self.set_mode(Mode.ENABLED)
        self.assertEqual(await self.results(), [None])
        await self.log_in()
        await self.finish()
        await self.stop()

    async def test_builds_wait_for_a_worker_of_their_kind_rather_than_each_for_a_lease(
        self,
    ) -> None:
        self.pool["size"] = 5
        self.blueprint["limit"] = 2
        await self.start()
        self.step.auto_finish_step(SUCCESS)
        for _ in range(6):
            await self.request_build()
        self.assertEqual(await self.results(), [None, None])
        self.assertEqual(len(await self.leases()), 2)
        await self.log_in_started()
        await self.advance(3)
        self.assertEqual(await self.results(), [SUCCESS] * 6)
        self.assertEqual(len(await self.leases()), 2)
        await self.stop()

    async def test_an_idle_worker_makes_way_for_a_lease_that_waits_for_its_slot(self) -> None:
        self.builders, self.builders_without_workers = ["tests", "docs"], {"docs"}
        await self.start()
        number = await self.start_idling()
        await self.request_build("docs")
        await self.advance(1)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.DESTROYED)
        await self.log_in("other-001")
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_a_busy_worker_makes_way_between_two_builds(self) -> None:
        self.builders, self.builders_without_workers = ["tests", "docs"], {"docs"}
        await self.start()
        number = await self.start_building()
        await self.request_build("tests")
        await self.request_build("docs")
        await self.finish(SUCCESS)
        await self.advance(1)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.DESTROYED)
        await self.log_in("other-001")
        await self.finish(SUCCESS)
        self.assertEqual((await self.results())[:2], [SUCCESS, SUCCESS])
        await self.advance(5)
        await self.log_in()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS] * 3)
        await self.stop()

    async def test_a_warm_worker_is_preferred_to_another_lease(self) -> None:
        self.pool["size"] = self.blueprint["limit"] = 4
        await self.start()
        await self.request_build()
        await self.log_in_started()
        await self.finish(SUCCESS)
        for _ in range(4):
            await self.request_build()
            self.assertTrue(self.step.running)
            await self.finish(SUCCESS)
        self.assertEqual(len(await self.leases()), 1)
        await self.stop()

    async def test_a_host_that_is_idle_for_one_kind_of_build_is_given_to_another(self) -> None:
        self.blueprint.update(choices={"os": ["debian", "fedora"]})
        self.pool.update(size=2, requires={"os": util.Property("os")})
        await self.start()
        await self.request_build(os="debian")
        await self.log_in_started()
        await self.finish(SUCCESS)
        await self.request_build(os="fedora")
        await self.advance(5)
        (lease,) = await self.leases()
        self.assertEqual((lease.status, lease.requires["os"]), (LeaseStatus.ACTIVE, "fedora"))
        await self.log_in_started()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_builds_that_require_different_hosts_do_not_share_one(self) -> None:
        self.blueprint.update(limit=2, choices={"os": ["debian", "fedora"]})
        self.pool.update(size=2, requires={"os": util.Property("os")})
        await self.start()
        await self.request_build(os="debian")
        await self.log_in_started()
        await self.finish(SUCCESS)
        await self.request_build(os="fedora")
        requires = sorted(lease.requires["os"] for lease in await self.leases())
        self.assertEqual(requires, ["debian", "fedora"])
        await self.log_in_started()
        await self.finish(SUCCESS)
        await self.request_build(os="debian")
        self.assertTrue(self.step.running, "the idle worker that fits is used again")
        await self.finish(SUCCESS)
        self.assertEqual(len(await self.leases()), 2)
        await self.stop()

    async def log_in_started(self) -> None:
        """Let all workers log in whose processes have been started."""
        for worker in list(self.master.workers.workers.values()):
            if worker._tenancy is not None and worker.conn is None:
                await self.log_in(worker.name)
