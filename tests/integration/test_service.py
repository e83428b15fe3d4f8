"""The service: it starts before the workers, serves them to the last, and wakes when it should."""

from __future__ import annotations

import gc
import socket
from typing import Any

import sqlalchemy as sa
from buildbot.process.results import SUCCESS
from buildbot.worker import Worker
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import buildbot_hooks
from buildbot_drydock import service as service_module
from buildbot_drydock.errors import DatabaseTooNew, HostUnreachable
from buildbot_drydock.events import HostReturned
from buildbot_drydock.latent.attempts import MOST_REQUESTS, Attempts
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.synthetic import SyntheticCloud, SyntheticPool, SyntheticProvider
from buildbot_drydock.model import LeaseStatus, ListedHost, ResourceStatus
from tests.integration import masters
from tests.integration.masters import DrydockMasterTestCase


class Case(DrydockMasterTestCase):
    async def rows(self) -> Any:
        return await self.service.store.rows()

    async def idle(self) -> int:
        await self.request_build()
        (lease,) = await self.leases()
        await self.log_in()
        await self.finish(SUCCESS)
        return lease.id


class StartAndStopTests(Case):
    async def test_the_tables_are_there_when_the_service_has_started(self) -> None:
        await self.start()
        names = await self.master.db.pool.do(lambda c: sa.inspect(c).get_table_names())
        self.assertIn("drydock_leases", names)
        await self.stop()

    async def test_what_a_started_master_has_in_memory_is_left_out_of_collections(self) -> None:
        await self.start()
        self.assertTrue(gc.get_freeze_count())
        await self.stop()
        self.assertEqual(gc.get_freeze_count(), 0)

    async def test_it_is_left_out_before_the_first_turn_and_once_all_has_started(self) -> None:
        spared: list[bool] = []

        def note() -> None:
            (service,) = services
            spared.append(buildbot_hooks.has_started(service.master))

        services: list[Any] = []
        started = service_module.DrydockService._start

        async def start(service: Any) -> None:
            services.append(service)
            await started(service)

        self.patch(service_module, "spare_what_stays", note)
        self.patch(service_module.DrydockService, "_start", start)
        await self.start()
        await self.advance(60)
        self.assertEqual(spared, [False, True])
        await self.stop()

    async def test_a_database_of_a_later_version_is_refused(self) -> None:
        await self.start()
        await self.stop()
        engine = sa.create_engine(f"sqlite:///{self.basedir}/state.sqlite")
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE drydock_alembic_version SET version_num = 'later'"))
        engine.dispose()
        await self.start()
        self.assertTrue(self.flushLoggedErrors(DatabaseTooNew))
        self.assertTrue(self.reactor.stop_called)
        await self.tested_master.shutdown()

    async def test_a_stopping_master_waits_until_its_workers_have_given_everything_back(
        self,
    ) -> None:
        await self.start()
        await self.idle()
        given_back: list[str] = []
        service = self.service
        release = service.leases.release

        async def slow_release(number: int, reason: str) -> None:
            later: Deferred[None] = Deferred()
            self.reactor.callLater(5, later.callback, None)
            await later
            await release(number, reason)
            given_back.append(f"running={service._loop._started}")

        self.patch(service.leases, "release", slow_release)
        await self.stop()
        self.assertEqual(given_back, ["running=True"])
        self.assertFalse(service._loop._started)

    async def test_nothing_is_left_to_be_called_when_the_service_has_stopped(self) -> None:
        await self.start()
        await self.idle()
        await self.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    async def test_a_stopping_service_offers_nothing(self) -> None:
        await self.start()
        worker = self.worker()
        self.assertTrue(worker.canStartBuild())
        self.service.crew.closed = True
        self.assertFalse(worker.canStartBuild())
        await self.stop()

    async def test_the_leases_of_a_master_live_on_until_its_workers_have_come_back(self) -> None:
        self.pool["keep_on_shutdown"] = True
        await self.start()
        number = await self.idle()
        await self.stop()
        self.reactor.advance(10_000)
        await self.start()
        self.assertEqual((await self.lease(number)).status, LeaseStatus.ACTIVE)
        await self.log_in()
        await self.stop()


class ReconfigurationTests(Case):
    async def test_a_changed_limit_takes_effect(self) -> None:
        self.pool["size"] = 2
        await self.start()
        await self.request_build()
        await self.request_build()
        self.assertEqual(len(await self.leases()), 1)
        self.blueprint["limit"] = 2
        await self.reconfigure()
        await self.advance(1)
        self.assertEqual(len(await self.leases()), 2)
        self.step.auto_finish_step(SUCCESS)
        await self.stop()

    async def test_a_provider_keeps_its_memory_unless_its_blueprint_changed(self) -> None:
        await self.start()
        provider = self.service._providers["linux"]
        self.pool["priority"] = 3
        await self.reconfigure()
        self.assertIs(self.service._providers["linux"], provider)
        self.blueprint["limit"] = 7
        await self.reconfigure()
        self.assertIsNot(self.service._providers["linux"], provider)
        await self.stop()

    async def test_a_blueprint_that_left_lets_go_of_its_resources_and_is_forgotten(self) -> None:
        await self.start()
        await self.idle()
        await self.advance(601)
        cloud = self.cloud
        self.assertEqual(cloud.living(), 1)
        self.blueprint_name = "other"
        await self.reconfigure()
        await self.advance(120)
        self.assertEqual(cloud.living(), 0)
        self.assertEqual(list(self.service._providers), ["other"])
        await self.stop()

    async def test_a_blueprint_that_left_keeps_what_is_leased_until_it_is_given_back(self) -> None:
        await self.start()
        number = await self.idle()
        cloud = self.cloud
        self.blueprint_name = "other"
        await self.reconfigure()
        await self.advance(100)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.ACTIVE)
        await self.advance(700)
        self.assertEqual(cloud.living(), 0)
        await self.stop()

    async def test_renewals_follow_a_changed_interval(self) -> None:
        await self.start()
        self.settings = {"renew_interval": 10.0, "lease_seconds": 40.0}
        await self.reconfigure()
        self.assertEqual(self.service._renewing.interval, 10)
        number = await self.idle()
        await self.advance(100)
        lease = await self.lease(number)
        self.assertLessEqual(self.reactor.seconds() - lease.renewed_at, 10)
        assert lease.expires_at is not None
        self.assertEqual(lease.expires_at, lease.renewed_at + 40)
        await self.stop()

    async def test_a_drydock_that_left_gives_everything_back_after_the_reconfiguration(
        self,
    ) -> None:
        await self.start()
        number = await self.idle()
        service, cloud = self.service, self.cloud
        config = self.configuration()
        config.update(services=[], workers=[Worker("own", "password")], builders=[])
        self.master.config_loader.config_dict = config
        await self.master.doReconfig()
        await self.advance(2)
        lease = await service.store.lease(number)
        assert lease is not None
        self.assertIn(lease.status, (LeaseStatus.RELEASED, LeaseStatus.DESTROYED))
        self.assertEqual([list(tags) for tags in cloud.tags().values()], [[]])
        self.assertFalse(service._loop._started)
        await self.stop()


class HostsProvider(SyntheticProvider):
    """Synthetic hosts that are on a list, and something to be closed."""

    names = ("a", "b")
    closed = False

    def listed(self) -> list[ListedHost]:
        return [ListedHost(name=name) for name in self.names]

    async def close(self) -> None:
        self.closed = True
        if self.names == ("broken",):
            raise RuntimeError("it cannot be closed")


class HostsPool(SyntheticPool):
    provider_class = HostsProvider

    def provider(self, surroundings: Surroundings) -> HostsProvider:
        self.surroundings = surroundings
        return HostsProvider(SyntheticCloud(surroundings.reactor), self.name)


class ListedHostsTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.patch(masters, "SyntheticPool", HostsPool)

    @property
    def provider(self) -> HostsProvider:
        provider = self.service._providers["linux"]
        assert isinstance(provider, HostsProvider)
        return provider

    async def test_a_build_takes_the_first_host_and_a_disabled_one_is_passed_over(self) -> None:
        await self.start()
        await self.service.maintenance.disable_host("a", actor="ana")
        await self.request_build()
        (resource,) = (await self.rows()).resources
        self.assertEqual(resource.host, "b")
        self.assertRegex(resource.token, "^drydock-[0-9a-f]+@b$")
        self.assertIn("host(b)", resource.locks)
        await self.stop_build()
        await self.stop()

    async def test_the_list_is_asked_for_at_each_turn(self) -> None:
        await self.start()
        self.provider.names = ("c",)
        await self.request_build()
        self.assertEqual([each.host for each in (await self.rows()).resources], ["c"])
        await self.stop_build()
        await self.stop()

    async def test_a_provider_is_closed_when_it_is_replaced_and_when_the_master_stops(
        self,
    ) -> None:
        await self.start()
        first = self.provider
        self.blueprint["limit"] = 7
        await self.reconfigure()
        second = self.provider
        self.assertEqual((first.closed, second.closed), (True, False))
        await self.stop()
        self.assertTrue(second.closed)

    async def test_a_provider_of_a_blueprint_that_left_is_closed_once_it_has_let_go(self) -> None:
        await self.start()
        await self.idle()
        provider = self.provider
        self.blueprint_name = "other"
        await self.reconfigure()
        self.assertFalse(provider.closed)
        await self.advance(800)
        self.assertTrue(provider.closed)
        await self.stop()

    async def test_one_that_cannot_be_closed_holds_nothing_up(self) -> None:
        await self.start()
        self.provider.names = ("broken",)
        await self.stop()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_what_a_provider_reports_is_stored_with_its_blueprint(self) -> None:
        await self.start()
        surroundings = self.service.definitions()["linux"].surroundings  # type: ignore[attr-defined]
        reported = HostReturned(host="a", seconds=3.0)
        surroundings.report("linux", reported)
        await self.settle()
        (stored,) = [e for e in await self.service.store.events() if e.event == reported]
        self.assertEqual(stored.blueprint, "linux")
        await self.stop()

    async def test_an_installation_keeps_its_name_and_does_not_tell_its_secret(self) -> None:
        names = []
        for _ in range(2):
            await self.start()
            surroundings = self.service.definitions()["linux"].surroundings  # type: ignore[attr-defined]
            names.append(surroundings.installation)
            secret = self.service._secret
            await self.stop()
        self.assertEqual(names[0], names[1])
        self.assertRegex(names[0], "^[0-9a-f]{16}$")
        self.assertNotIn(names[0], secret)


class LoopTests(Case):
    async def test_held_leases_are_renewed_for_as_long_as_they_are_held(self) -> None:
        await self.start()
        self.pool["build_wait_timeout"] = 5000
        await self.reconfigure()
        number = await self.idle()
        await self.advance(1500)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.ACTIVE)
        await self.stop()

    async def test_a_failed_renewal_is_logged_and_made_again(self) -> None:
        await self.start()
        number = await self.idle()
        renew, failures = self.service.store.renew, [RuntimeError("the database is away")]

        async def failing(*arguments: Any, **more: Any) -> Any:
            if failures:
                raise failures.pop()
            return await renew(*arguments, **more)

        self.patch(self.service.store, "renew", failing)
        await self.advance(400)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((await self.lease(number)).status, LeaseStatus.ACTIVE)
        await self.stop()

    async def test_other_masters_are_told_of_a_change_and_a_master_does_not_wake_itself(
        self,
    ) -> None:
        await self.start()
        heard: list[tuple[str, ...]] = []
        consumer = await buildbot_hooks.consume(
            self.master, ("drydock", None, "wake"), heard.append
        )
        await self.request_build()
        self.assertEqual(set(heard), {("drydock", str(self.master.masterid), "wake")})
        consumer.stopConsuming()
        woken: list[int] = []
        self.patch(self.service, "wake", lambda: woken.append(1))
        buildbot_hooks.produce(self.master, ("drydock", str(self.master.masterid), "wake"), {})
        self.assertEqual(woken, [])
        buildbot_hooks.produce(self.master, ("drydock", "77", "wake"), {})
        self.assertEqual(woken, [1])
        await self.stop()

    async def test_a_large_world_is_planned_in_a_thread(self) -> None:
        await self.start()
        self.patch(service_module, "MANY_ROWS", 1)
        planning = self.service._planning
        before = planning.calls
        await self.idle()
        self.assertGreater(planning.calls, before)
        await self.stop()


class AnswerTests(Case):
    async def test_a_lease_without_a_resource_has_no_host(self) -> None:
        await self.start()
        lease = await self.service.leases.request(owner="somebody")
        with self.assertRaisesRegex(HostUnreachable, "no resource"):
            await self.service.resource_of(lease)
        await self.service.leases.release(lease.id, "a test")
        await self.stop()

    async def test_a_resource_of_an_unknown_blueprint_cannot_be_reached(self) -> None:
        await self.start()
        await self.idle()
        (resource,) = (await self.rows()).resources
        self.assertEqual(resource.status, ResourceStatus.ACTIVE)
        del self.service._providers["linux"]
        with self.assertRaisesRegex(HostUnreachable, "'linux', which is not configured"):
            self.service.connect(resource)
        await self.stop()

    async def test_the_name_of_its_machine_is_looked_up_once_and_in_a_thread(self) -> None:
        await self.start()
        threads = self.service._threads
        before = threads.calls
        self.assertEqual(await self.service.machine_name(), socket.getfqdn())
        self.assertEqual(await self.service.machine_name(), socket.getfqdn())
        self.assertEqual(threads.calls, before + 1)
        await self.stop()

    async def test_why_a_lease_waits_is_always_known(self) -> None:
        self.blueprint["boot_seconds"] = 100
        await self.start()
        await self.request_build()
        (lease,) = await self.leases()
        (reason,) = self.service.leases.reasons(lease.id)
        self.assertEqual((reason.kind, reason.blueprint), ("booting", "linux"))
        await self.stop_build()
        await self.stop()


class AttemptsTests(SynchronousTestCase):
    def test_attempts_are_counted_for_each_request_and_forgotten(self) -> None:
        attempts = Attempts()
        self.assertEqual(attempts.fail([1, 2], "no disk"), 1)
        self.assertEqual(attempts.fail([1], "no net"), 2)
        self.assertEqual(attempts.reasons(1), ("no disk", "no net"))
        attempts.forget([1])
        self.assertEqual((attempts.reasons(1), attempts.reasons(2)), ((), ("no disk",)))
        self.assertEqual(attempts.fail([], "nobody asked"), 0)

    def test_no_more_requests_are_remembered_than_a_master_could_have(self) -> None:
        attempts = Attempts()
        for number in range(MOST_REQUESTS + 1):
            attempts.fail([number], "no disk")
        self.assertEqual((attempts.reasons(0), attempts.reasons(1)), ((), ("no disk",)))
