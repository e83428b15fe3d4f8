"""Each use of what Buildbot does not document: what it stands on is still there, and does that."""

from __future__ import annotations

import os
from typing import Any

from buildbot.data import base, types
from buildbot.data.exceptions import InvalidQueryParameter
from buildbot.plugins import util
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import RunMasterBase
from buildbot.worker.base import AbstractWorker
from buildbot.worker.latent import AbstractLatentWorker, States
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.service import DrydockService
from buildbot_drydock.www import registration
from buildbot_drydock.www.endpoints import DrydockLease, DrydockLeaseEndpoint
from buildbot_drydock.www.registration import RESOURCE_TYPES
from tests.integration.masters import DrydockMasterTestCase
from tests.integration.test_worker_process import configuration

NAMES = ("linux-001", "linux-002")


class OverriddenMethodTests(SynchronousTestCase):
    def test_what_the_worker_overrides_is_what_buildbot_calls(self) -> None:
        for name in (
            *("startService", "stopService", "reconfigService", "checkConfig", "updateWorker"),
            *("canStartBuild", "isCompatibleWithBuild", "buildStarted", "buildFinished"),
            *("start_instance", "stop_instance", "check_instance", "insubstantiate"),
            *("attached", "detached", "shutdownRequested", "shutdown"),
            *("_soft_disconnect", "_substantiation_failed", "_missing_timer_fired"),
        ):
            self.assertTrue(callable(getattr(AbstractLatentWorker, name, None)), name)

    def test_the_states_are_those_that_are_known(self) -> None:
        self.assertEqual(
            {state.name for state in States},
            {
                *("NOT_SUBSTANTIATED", "SUBSTANTIATING", "SUBSTANTIATING_STARTING"),
                *("SUBSTANTIATED", "INSUBSTANTIATING", "INSUBSTANTIATING_SUBSTANTIATING"),
                "SHUT_DOWN",
            },
        )


class MasterHookTests(DrydockMasterTestCase):
    async def test_all_who_ask_for_the_secret_of_the_cluster_get_the_same(self) -> None:
        await self.start()
        secret = await hooks.cluster_secret(self.master)
        self.assertEqual(len(secret), 2 * hooks.SECRET_BYTES)
        self.assertEqual(await hooks.cluster_secret(self.master), secret)
        await self.stop()
        await self.start()
        self.assertEqual(await hooks.cluster_secret(self.master), secret)
        await self.stop()

    async def test_a_master_has_started_when_all_of_it_has(self) -> None:
        seen: list[bool] = []
        start_renewing = DrydockService._start_renewing

        def look(service: DrydockService) -> None:
            seen.append(hooks.has_started(service.master))
            start_renewing(service)

        self.patch(DrydockService, "_start_renewing", look)
        await self.start()
        self.assertTrue(hooks.has_started(self.master))
        self.assertFalse(seen[0])
        await self.stop()

    async def test_a_service_is_found_by_its_name(self) -> None:
        await self.start()
        self.assertIs(hooks.service_named(self.master, "drydock"), self.service)
        self.assertIsNone(hooks.service_named(self.master, "another"))
        await self.stop()

    async def test_a_master_is_stopping_from_the_first_moment_of_its_stop(self) -> None:
        await self.start()
        self.assertFalse(hooks.is_stopping(self.master))
        seen = []
        stop = self.service.stopService

        def stop_and_look() -> Any:
            seen.append(hooks.is_stopping(self.master))
            return stop()

        self.patch(self.service, "stopService", stop_and_look)
        await self.stop()
        self.assertEqual(seen, [True])

    async def test_what_is_produced_is_consumed_by_its_key(self) -> None:
        await self.start()
        heard: list[tuple[str, ...]] = []
        consumer = await hooks.consume(self.master, ("drydock", None, "wake"), heard.append)
        hooks.produce(self.master, ("drydock", "17", "wake"), {})
        hooks.produce(self.master, ("other", "17", "wake"), {})
        await self.settle()
        self.assertEqual(heard, [("drydock", "17", "wake")])
        consumer.stopConsuming()
        await self.stop()

    async def test_builders_are_woken_by_the_name_of_a_worker(self) -> None:
        await self.start()
        self.patch(AbstractLatentWorker, "canStartBuild", lambda worker: False)
        await self.request_build()
        self.assertEqual(await self.results(), [])
        self.patch(AbstractLatentWorker, "canStartBuild", AbstractWorker.canStartBuild)
        hooks.wake_builders_of(self.master, "linux-001")
        await self.settle()
        self.assertEqual(await self.results(), [None])
        await self.log_in()
        await self.finish()
        await self.stop()


class DataHookTests(DrydockMasterTestCase):
    async def test_types_are_registered_once(self) -> None:
        await self.start()
        self.assertIsInstance(self.master.data.rtypes.drydock_lease, DrydockLease)
        self.assertFalse(hooks.register_types(self.master, RESOURCE_TYPES))
        endpoint, path = self.master.data.getEndpoint(("drydock_leases", "7"))
        self.assertEqual((type(endpoint), path), (DrydockLeaseEndpoint, {"leaseid": 7}))
        await self.stop()

    async def test_types_that_are_new_are_in_the_specification_at_once(self) -> None:
        await self.start()
        paths = {each["path"] for each in self.master.data.allEndpoints()}
        self.assertIn("drydock_leases/n:leaseid", paths)
        self.assertNotIn("hook_tests", paths)
        self.assertTrue(hooks.register_types(self.master, [HookTest]))
        paths = {each["path"] for each in self.master.data.allEndpoints()}
        self.assertIn("hook_tests", paths)
        await self.stop()

    async def test_arguments_of_a_url_are_seen_before_buildbot_fails_on_them(self) -> None:
        await self.start()
        entity = self.master.data.rtypes.drydock_lease.entityType
        builder = self.master.data.rtypes.builder.entityType
        decode = type(self.master.data).resultspec_from_jsonapi
        for arguments in ({b"order": [b""]}, {b"owner": [b"\xff"]}):
            # What the check is for: without it these are server errors.
            self.assertRaises(
                (IndexError, UnicodeDecodeError, InvalidQueryParameter),
                *(decode, self.master.data, arguments, entity, True),
            )
            self.assertRaises(
                InvalidQueryParameter,
                *(self.master.data.resultspec_from_jsonapi, arguments, entity, True),
            )
        unheeded = {b"owner__foo": [b"x"]}
        self.assertEqual(decode(self.master.data, unheeded, entity, True).filters, [])
        spec = self.master.data.resultspec_from_jsonapi({b"name": [b"x"]}, builder, True)
        self.assertEqual([each.field for each in spec.filters], ["name"])
        await self.stop()

    async def test_messages_of_a_type_go_where_buildbot_would_send_them(self) -> None:
        await self.start()
        heard: list[tuple[str, ...]] = []
        consumer = await hooks.consume(self.master, ("hook_tests", None, None), heard.append)
        hooks.register_types(self.master, [HookTest])
        self.master.data.rtypes.hook_test.produceEvent({"number": 7}, "new")
        registration.produce(self.master, "hook_test", {"number": 7}, "new")
        await self.settle()
        self.assertEqual(heard, [("hook_tests", "7", "new")] * 2)
        consumer.stopConsuming()
        await self.stop()

    async def test_a_queue_is_one_masters_own_unless_it_is_configured_otherwise(self) -> None:
        await self.start()
        self.assertFalse(hooks.shares_its_queue(self.master))
        self.master.config.mq = {"type": "wamp", "router_url": "ws://localhost"}
        self.assertTrue(hooks.shares_its_queue(self.master))
        await self.stop()


class HookTestsEndpoint(base.Endpoint):
    kind = base.EndpointKind.COLLECTION
    pathPatterns = ["/hook_tests"]


class HookTest(base.ResourceType):
    name = "hook_test"
    plural = "hook_tests"
    endpoints = [HookTestsEndpoint]
    eventPathPatterns = ["/hook_tests/:number"]
    entityType = types.Entity("hook_test")


class WorkerHookTests(DrydockMasterTestCase):
    async def test_what_the_builds_of_a_worker_are_told_is_seen_at_once(self) -> None:
        self.builders = ["tests", "docs"]
        self.pool["size"] = 2
        await self.start()
        await self.request_build()
        (busy,) = [each for each in map(self.worker, NAMES) if each.building]
        (idle,) = [each for each in map(self.worker, NAMES) if not each.building]
        await hooks.tell_builds(busy, "told", "the busy one")
        await hooks.tell_builds(idle, "also_told", "the idle one")
        properties = await self.master.data.get(("builds", 1, "properties"))
        self.assertEqual(properties["told"], ("the busy one", "Drydock"))
        self.assertNotIn("also_told", properties)
        await self.log_in(busy.name)
        await self.finish(SUCCESS)
        await self.stop()

    async def test_the_questions_about_a_worker_follow_its_life(self) -> None:
        await self.start()
        worker = self.worker()
        self.assertTrue(hooks.is_idle(worker))
        self.assertTrue(hooks.is_at_rest(worker))
        await self.request_build()
        self.assertTrue(hooks.awaits_connection(worker))
        self.assertFalse(hooks.is_at_rest(worker))
        await self.log_in()
        self.assertTrue(hooks.is_attached(worker))
        self.assertFalse(hooks.awaits_connection(worker))
        await self.finish()
        await self.stop()
        self.assertTrue(hooks.is_at_rest(worker))
        self.assertFalse(hooks.is_idle(worker), "it was shut down")

    async def test_a_worker_is_being_stopped_while_its_instance_is(self) -> None:
        await self.start()
        worker = self.worker()
        stopping: Deferred[bool] = Deferred()
        await self.request_build()
        self.patch(worker, "stop_instance", lambda fast=False: stopping)
        worker.insubstantiate()
        self.assertTrue(hooks.is_being_stopped(worker))
        stopping.callback(True)
        await self.settle()
        self.assertFalse(hooks.is_being_stopped(worker))
        self.flushLoggedErrors()
        await self.stop()

    async def test_a_worker_is_expected_and_looked_after_without_a_build(self) -> None:
        await self.start()
        worker, looks, fired = self.worker(), [], []
        self.patch(worker, "check_instance", lambda: looks.append(1) or (True, ""))
        self.patch(worker, "_missing_timer_fired", lambda: fired.append(self.reactor.seconds()))
        hooks.expect_connection(worker)
        hooks.watch_process(worker)
        hooks.start_missing_timer(worker, 35)
        before = self.reactor.seconds()
        for _ in range(31):
            await self.advance(1)
        self.assertEqual((len(looks), fired), (3, []))
        await self.advance(5)
        self.assertGreaterEqual(fired[0] - before, 35)
        await self.log_in()
        self.assertTrue(hooks.is_attached(worker))
        await self.stop()

    async def test_a_lost_connection_is_seen(self) -> None:
        await self.start()
        worker = self.worker()
        await self.request_build()
        await self.log_in()
        self.assertFalse(hooks.lost_its_connection(worker))
        self.patch(type(worker), "_await_return", lambda self: None)
        await self.log_out()
        self.assertTrue(hooks.lost_its_connection(worker))
        await self.stop()

    async def test_the_idle_timer_is_buildbots(self) -> None:
        await self.start()
        worker = self.worker()
        hooks.start_idle_timer(worker)
        self.assertEqual(
            worker.build_wait_timer.getTime() - self.reactor.seconds(), worker.build_wait_timeout
        )
        worker._clearBuildWaitTimer()
        await self.stop()

    async def test_the_end_of_a_build_starts_the_next_and_no_timer(self) -> None:
        await self.start()
        worker, woken = self.worker(), []
        self.patch(self.master.botmaster, "maybeStartBuildsForWorker", woken.append)
        hooks.build_finished(worker, None)
        self.assertEqual((woken, worker.build_wait_timer), (["linux-001"], None))
        await self.stop()

    async def test_a_graceful_stop_is_remembered_and_forgotten_in_the_database_too(self) -> None:
        await self.start()
        worker = self.worker()

        async def row() -> bool:
            await self.settle()
            return bool((await self.master.data.get(("workers", worker.workerid)))["graceful"])

        hooks.stop_gracefully(worker)
        self.assertTrue(hooks.wants_graceful_stop(worker))
        self.assertTrue(await row())
        self.assertFalse(AbstractLatentWorker.canStartBuild(worker))
        hooks.forget_graceful_stop(worker)
        self.assertFalse(hooks.wants_graceful_stop(worker))
        self.assertFalse(await row())
        await self.stop()

    async def test_stopping_waits_for_what_is_done_in_the_background(self) -> None:
        await self.start()
        work: Deferred[None] = Deferred()
        hooks.in_background(self.worker(), work)
        stopping = self.worker().stopService()
        await self.settle()
        self.assertFalse(stopping.called)
        work.callback(None)
        await stopping
        self.patch(self.worker(), "stopService", lambda: None)
        await self.stop()

    async def test_the_builders_of_a_worker_are_those_that_it_is_attached_to(self) -> None:
        self.builders = ["tests", "docs"]
        await self.start()
        self.assertEqual(hooks.builders_of(self.worker()), {"tests", "docs"})
        await self.stop()

    async def test_the_builders_of_a_worker_have_the_projects_that_are_configured(self) -> None:
        self.builders = ["tests", "docs"]
        configuration = self.configuration

        def with_a_project() -> dict[str, Any]:
            config = configuration()
            config["projects"] = [util.Project(name="lab")]
            config["builders"][0].project = "lab"
            return config

        self.patch(self, "configuration", with_a_project)
        await self.start()
        found = hooks.projects_of_builders(self.worker())
        self.assertEqual(found, {"tests": "lab", "docs": None})
        await self.stop()

    async def test_a_builder_that_dropped_a_worker_is_forgotten_unless_it_is_building(self) -> None:
        await self.start()
        worker = self.worker()
        await self.request_build()
        await self.log_in()
        builder = self.master.botmaster.builders["tests"]
        builder.workers.clear()
        self.assertFalse(hooks.forget_lost_builders(worker), "it is building")
        await self.finish(SUCCESS)
        self.assertEqual([wfb.worker for wfb in builder.workers], [worker], "it was repaired")
        self.assertFalse(hooks.forget_lost_builders(worker))
        await self.stop()

    async def test_a_build_tells_its_requests_and_what_it_is(self) -> None:
        await self.start()
        request = await self.request_build()
        (build,) = self.master.botmaster.builders["tests"].building
        self.assertEqual(hooks.request_numbers(build), (request,))
        self.assertEqual(
            hooks.describe_build(build),
            {"builder": "tests", "build": "1", "buildid": "1", "buildrequests": str(request)},
        )
        self.assertEqual((hooks.request_numbers(None), hooks.describe_build(None)), ((), {}))
        await self.log_in()
        await self.finish()
        await self.stop()


class LoginHookTests(RunMasterBase):
    async def test_a_worker_logs_in_with_its_present_password_only_and_on_a_known_port(
        self,
    ) -> None:
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        await self.setup_master(configuration(directory), startWorker=False)
        worker = self.master.workers.workers["local-001"]
        await hooks.set_password(worker, "first")
        await hooks.set_password(worker, "second")
        (dispatcher,) = self.master.pbmanager.dispatchers.values()
        self.assertEqual(hooks.login_port(worker), dispatcher.port.getHost().port)
        accepted = await dispatcher.requestAvatarId(UsernamePassword(b"local-001", b"second"))
        self.assertEqual(accepted, b"local-001")
        with self.assertRaises(UnauthorizedLogin):
            await dispatcher.requestAvatarId(UsernamePassword(b"local-001", b"first"))
        await self.tested_master.shutdown()

    async def test_a_master_on_which_no_worker_can_log_in_says_so(self) -> None:
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        config = {**configuration(directory), "protocols": {"null": {}}}
        await self.setup_master(config, startWorker=False)
        with self.assertRaisesRegex(LookupError, "c\\['protocols'\\]"):
            hooks.login_port(self.master.workers.workers["local-001"])
        await self.tested_master.shutdown()
