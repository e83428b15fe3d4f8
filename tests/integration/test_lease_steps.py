"""Builds that take leases by their steps: whatever becomes of them, all is given back."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.plugins import util
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, RETRY, SKIPPED, SUCCESS
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.events import ResourceBroken
from buildbot_drydock.latent.synthetic import SyntheticPool
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Lease, LeaseStatus
from buildbot_drydock.sharing_fields import Quota
from buildbot_drydock.steps import LeaseResource, ReleaseLease
from tests.integration.leasing import LeasingTestCase


class Exploding(BuildStep):
    def run(self) -> Any:
        raise RuntimeError("a bug")


class TakingTests(LeasingTestCase):
    async def test_a_build_holds_what_it_leased_until_its_end(self) -> None:
        await self.start()
        await self.request_build()
        self.assertEqual((self.working(), await self.owners()), (["tests"], ["build/1"]))
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS])
        self.assertEqual(await self.unclosed(), [])
        self.assertEqual((await self.lease(1)).reason, "its build has ended")
        self.assertEqual(len(self.service.build_leases), 0)
        await self.stop()

    async def test_of_two_builds_one_waits_and_is_served_as_soon_as_the_other_ends(self) -> None:
        await self.start()
        await self.request_build("tests")
        await self.request_build("others")
        self.assertEqual(self.working(), ["tests"])
        self.assertEqual(await self.owners(LeaseStatus.PENDING), ["build/2"])
        await self.finish(SUCCESS, "tests")
        self.assertEqual((self.working(), await self.owners()), (["others"], ["build/2"]))
        await self.finish(SUCCESS, "others")
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        self.assertEqual(await self.unclosed(), [])
        await self.stop()

    async def test_as_many_have_it_as_it_has_slots(self) -> None:
        self.slots = 2
        await self.start()
        await self.request_build("tests")
        await self.request_build("others")
        self.assertEqual(self.working(), ["tests", "others"])
        self.assertEqual({lease.slot for lease in await self.leases()}, {0, 1})
        for name in self.builders:
            await self.finish(SUCCESS, name)
        await self.stop()

    async def test_the_step_says_why_it_waits_and_its_log_each_change_of_that(self) -> None:
        await self.start()
        await self.request_build("tests")
        await self.request_build("others")
        await self.advance(2)
        waiting = await self.step_row(2, "lease matlab")
        self.assertEqual(
            waiting["state_string"],
            "waiting for lease 2: matlab is full: 1 of 1 slots leased",
        )
        await self.finish(SUCCESS, "tests")
        await self.finish(SUCCESS, "others")
        log = await self.log(2, "lease matlab", "lease")
        told = [line[1:].split("s  ", 1)[1] for line in log.splitlines()]
        self.assertEqual(told[0], "lease 2 is asked for")
        self.assertEqual(told[1], "matlab is full: 1 of 1 slots leased")
        self.assertIn("lease 2 is active: slot 0 of resource 1 of matlab", told[-1])
        self.assertEqual(len(told), len(set(told)))
        done = await self.step_row(2, "lease matlab")
        self.assertEqual(done["state_string"], "lease 2 on matlab")
        await self.stop()

    async def test_build_and_step_tell_of_the_lease(self) -> None:
        self.steps["tests"][0] = LeaseResource("linux", lease="server")
        await self.start()
        await self.request_build()
        self.assertEqual(
            await self.properties(1),
            {
                "drydock_lease_server": 1,
                "drydock_resource_server": 2,
                "drydock_blueprint_server": "linux",
                "drydock_address_server": (await self.service.store.resource(2)).address,  # type: ignore[union-attr]
                "drydock_slot_server": 0,
            },
        )
        base = self.master.config.buildbotURL
        self.assertEqual(
            [each["url"] for each in (await self.step_row(1, "lease server"))["urls"]],
            [f"{base}#/drydock/leases/1", f"{base}#/drydock/resources/2"],
        )
        await self.finish()
        await self.stop()

    async def test_a_lease_asks_in_the_name_of_the_build(self) -> None:
        self.lock["allow"] = ["builder/others"]
        self.steps["tests"][0] = LeaseResource("matlab", priority=3)
        await self.start()
        await self.request_build()
        (lease,) = await self.leases()
        self.assertEqual(lease.status, LeaseStatus.PENDING)
        self.assertEqual(lease.subjects, ("builder/tests",))
        self.assertEqual((lease.priority, lease.type), (3, "lock"))
        self.assertEqual(
            lease.attributes,
            {"builder": "tests", "build": "1", "buildid": "1", "buildrequests": "1"},
        )
        await self.advance(2)
        self.assertIn(
            "may not be used by builder/tests",
            (await self.step_row(1, "lease matlab"))["state_string"],
        )
        await self.request_build("others")
        self.assertEqual(self.working(), ["others"])
        await self.finish(builder="others")
        await self.stop_build(1)
        await self.stop()

    async def test_a_quota_counts_what_builds_lease(self) -> None:
        self.slots = 2
        self.settings["quotas"] = [Quota(builder="*", leases=1)]
        await self.start()
        await self.request_build("tests")
        await self.request_build("others")
        self.assertEqual(self.working(), ["tests"])
        await self.advance(2)
        self.assertIn("quota", (await self.step_row(2, "lease matlab"))["state_string"])
        await self.finish(builder="tests")
        await self.finish(builder="others")
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_the_build_is_charged_with_what_its_lease_costs(self) -> None:
        self.blueprint["hourly_price"] = 36.0
        self.steps["tests"][0] = LeaseResource("linux")
        await self.start()
        await self.request_build()
        await self.advance(10)
        await self.finish()
        await self.advance(1)
        (event,) = [
            each.event.data()
            for each in await self.service.store.events(lease=1)
            if each.event.kind == "lease-destroyed"
        ]
        self.assertEqual([each["build"] for each in event["builds"]], [1])
        self.assertGreater(event["cost"], 0)
        await self.stop()

    async def test_several_are_held_at_once_and_are_given_back_one_by_one(self) -> None:
        after = self.works["others"]
        self.steps["tests"] = [
            LeaseResource("matlab"),
            LeaseResource(requires={}, blueprint="linux", lease="server"),
            self.works["tests"].step,
            ReleaseLease("matlab"),
            after.step,
        ]
        await self.start()
        await self.request_build()
        self.assertEqual(len(await self.owners()), 2)
        await self.finish()
        self.assertTrue(after.running)
        (left,) = await self.leases()
        self.assertEqual(left.blueprints, ("linux",))
        self.assertEqual((await self.lease(1)).reason, "its build needs it no more")
        await self.finish(builder="others")
        self.assertEqual(await self.results(), [SUCCESS])
        self.assertEqual(await self.leases(), [])
        await self.stop()

    async def test_what_was_released_can_be_taken_again_and_what_is_not_held_is_skipped(
        self,
    ) -> None:
        self.steps["tests"] = [
            ReleaseLease(),
            LeaseResource("matlab"),
            ReleaseLease(),
            LeaseResource("matlab"),
            self.works["tests"].step,
        ]
        await self.start()
        await self.request_build()
        self.assertEqual(self.working(), ["tests"])
        skipped = await self.step_row(1, "release lease")
        self.assertEqual(skipped["results"], SKIPPED)
        self.assertEqual(skipped["state_string"], "the build has no lease")
        self.assertEqual([lease.id for lease in await self.leases()], [2])
        await self.finish()
        self.assertEqual(await self.results(), [SUCCESS])
        await self.stop()


class EndingTests(LeasingTestCase):
    """Whatever becomes of a build."""

    async def assert_all_is_given_back(self) -> None:
        await self.advance(1)
        self.assertEqual(await self.unclosed(), [])
        self.assertEqual(self.service.leases.held(), frozenset())
        self.assertEqual(len(self.service.build_leases), 0)

    async def waiting(self) -> None:
        """Bring a build to waiting for a lease that another one has."""
        await self.request_build("tests")
        await self.request_build("others")
        self.assertEqual(await self.owners(LeaseStatus.PENDING), ["build/2"])

    async def test_a_build_that_fails(self) -> None:
        await self.start()
        await self.request_build()
        await self.finish(FAILURE)
        self.assertEqual(await self.results(), [FAILURE])
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_a_step_that_raises(self) -> None:
        self.steps["tests"][1] = Exploding()
        await self.start()
        await self.request_build()
        self.assertEqual(await self.results(), [EXCEPTION])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_a_build_that_is_stopped_while_it_works(self) -> None:
        await self.start()
        await self.request_build()
        await self.stop_build()
        self.assertEqual(await self.results(), [CANCELLED])
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_a_build_that_is_stopped_while_it_waits(self) -> None:
        await self.start()
        await self.waiting()
        await self.stop_build(2)
        self.assertEqual(await self.results(), [None, CANCELLED])
        self.assertEqual(await self.owners(), ["build/1"])
        self.assertEqual((await self.lease(2)).reason, "its step was interrupted")
        await self.finish()
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_a_build_that_is_stopped_while_its_lease_is_being_asked_for(self) -> None:
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
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_a_build_that_is_stopped_just_as_its_lease_is_active(self) -> None:
        await self.start()
        find, found = self.service.store.resource, Deferred[None]()

        async def slow_find(number: int) -> Any:
            await found
            return await find(number)

        self.patch(self.service.store, "resource", slow_find)
        await self.request_build()
        self.assertEqual((await self.owners(), self.working()), (["build/1"], []))
        await self.stop_build()
        self.assertEqual(await self.results(), [CANCELLED])
        found.callback(None)
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_an_interrupted_step_gives_back_what_it_waits_for(self) -> None:
        await self.start()
        await self.waiting()
        self.running("others").currentStep.interrupt("no more")
        await self.settle()
        self.assertEqual((await self.step_row(2, "lease matlab"))["results"], CANCELLED)
        self.assertEqual(await self.owners(), ["build/1"])
        await self.finish()
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_a_build_whose_worker_is_lost(self) -> None:
        await self.start()
        await self.request_build()
        self.master.workers.workers["tests-worker"].conn.loseConnection()
        self.works["tests"].auto_finish_step(SUCCESS)
        await self.settle()
        self.assertEqual((await self.results())[0], RETRY)
        self.assertEqual((await self.lease(1)).reason, "its build has ended")
        await self.advance(1)
        await self.stop()

    async def test_a_build_that_waits_when_its_worker_is_lost(self) -> None:
        await self.start()
        await self.waiting()
        self.master.workers.workers["others-worker"].conn.loseConnection()
        await self.settle()
        self.assertEqual((await self.results())[1], RETRY)
        self.assertEqual((await self.lease(2)).reason, "its step was interrupted")
        await self.stop_build(1)
        await self.stop()

    async def test_a_master_that_stops(self) -> None:
        await self.start()
        await self.request_build()
        service = self.service
        await self.stop()
        self.assertEqual(len(service.build_leases), 0)
        await self.start()
        self.assertEqual((await self.lease(1)).reason, "its build has ended")
        await self.stop()

    async def test_a_build_that_the_next_run_of_a_killed_master_does_not_know(self) -> None:
        await self.start()
        lease = await self.service.leases.request(
            owner="build/77", type="lock", blueprints=["matlab"]
        )
        await self.settle()
        self.assertEqual(await self.owners(), ["build/77"])
        await self.stop()
        await self.start()
        await self.advance(1)
        self.assertEqual(
            (await self.lease(lease.id)).reason, "its holder ended with the master's last run"
        )
        await self.request_build()
        self.assertEqual(self.working(), ["tests"])
        await self.finish()
        await self.stop()

    async def test_a_service_that_leaves_lets_builds_keep_what_they_have(self) -> None:
        self.settings.update(lease_seconds=60.0, renew_interval=20.0)
        await self.start()
        await self.request_build()
        service = self.service
        configuration = self.configuration()
        configuration["services"] = []
        self.master.config_loader.config_dict = configuration
        await self.master.doReconfig()
        await self.advance(120)
        found = await service.store.lease(1)
        assert found is not None
        self.assertEqual(found.status, LeaseStatus.ACTIVE)
        self.assertGreater(found.expires_at or 0, self.reactor.seconds(), "it is still renewed")
        await self.finish()
        await self.advance(1)
        found = await service.store.lease(1)
        assert found is not None
        self.assertEqual(found.reason, "its build has ended")
        self.finish_build()
        await self.stop()

    async def test_a_lease_that_is_not_had_in_time(self) -> None:
        self.steps["others"][0] = LeaseResource("matlab", patience=30)
        await self.start()
        await self.waiting()
        await self.advance(31)
        self.assertEqual(await self.results(), [None, FAILURE])
        self.assertEqual(
            (await self.step_row(2, "lease matlab"))["state_string"],
            "waiting for lease 2 took more than 30 s: matlab is full: 1 of 1 slots leased",
        )
        await self.finish()
        await self.assert_all_is_given_back()
        await self.stop()

    async def test_a_lease_that_nothing_could_ever_serve(self) -> None:
        self.steps["tests"][0] = LeaseResource(requires={"os": "plan9"})
        await self.start()
        await self.request_build()
        self.assertEqual(await self.results(), [FAILURE])
        self.assertIn("os=plan9 is required", (await self.step_row(1, "lease"))["state_string"])
        await self.assert_all_is_given_back()
        await self.stop()


class LossTests(LeasingTestCase):
    """What becomes of builds whose leases somebody else ends."""

    async def lose(self, **options: Any) -> None:
        self.steps["tests"][0] = LeaseResource("linux", lease="server", **options)
        await self.start()
        await self.request_build()
        (lease,) = await self.leases()
        resource = await self.service.store.resource(lease.resource or 0)
        assert resource is not None
        record = ResourceBroken(reason="it burns")
        await self.service.store.move_resource(
            resource, ResourceEvent.BREAK, record, reason="it burns"
        )
        self.service.wake()
        await self.advance(2)

    REASON = "lease 1 (server) was lost: resource 2 was lost: it burns"

    async def test_the_build_is_interrupted_and_says_why(self) -> None:
        await self.lose()
        self.assertEqual(await self.results(), [EXCEPTION])
        build = await self.master.data.get(("builds", 1))
        self.assertIn(self.REASON, build["state_string"])
        self.assertEqual((await self.properties(1))["drydock_lost_server"], self.REASON)
        await self.stop()

    async def test_the_build_is_tried_again(self) -> None:
        await self.lose(if_lost="retry")
        self.assertEqual((await self.results())[0], RETRY)
        await self.advance(5)
        self.assertEqual((self.working(), await self.owners()), (["tests"], ["build/2"]))
        await self.finish()
        self.assertEqual(await self.results(), [RETRY, SUCCESS])
        await self.stop()

    async def test_the_build_goes_on_and_is_told(self) -> None:
        self.steps["tests"].append(ReleaseLease("server"))
        await self.lose(if_lost="continue")
        self.assertEqual(self.working(), ["tests"])
        self.assertEqual((await self.properties(1))["drydock_lost_server"], self.REASON)
        await self.finish()
        self.assertEqual(await self.results(), [SUCCESS])
        self.assertEqual((await self.step_row(1, "release server"))["state_string"], self.REASON)
        await self.stop()

    async def test_a_person_who_releases_the_lease_of_a_build_ends_it(self) -> None:
        await self.start()
        await self.request_build()
        await self.service.people.release(1, actor="ana", reason="it hangs")
        await self.advance(1)
        self.assertEqual(await self.results(), [EXCEPTION])
        await self.stop()

    async def test_a_build_is_told_that_its_host_is_to_end(self) -> None:
        self.blueprint.update(lifetime_seconds=100.0, notice_seconds=60.0)
        self.steps["tests"][0] = LeaseResource("linux")
        await self.start()
        await self.request_build()
        await self.advance(75)
        self.assertIn("lease 1: ", (await self.properties(1))["drydock_notice"])
        self.assertEqual(self.working(), ["tests"])
        await self.finish()
        await self.stop()


class LockTests(LeasingTestCase):
    async def test_a_lock_is_there_without_being_asked_for_and_stays(self) -> None:
        await self.start()
        await self.advance(5)
        (resource,) = (await self.service.store.rows()).resources
        self.assertEqual((resource.blueprint, resource.status.value), ("matlab", "active"))
        await self.advance(1000)
        self.assertEqual((await self.service.store.rows()).resources[0].id, resource.id)
        await self.stop()

    async def test_a_lock_and_who_has_it_outlive_a_restart(self) -> None:
        await self.start()
        lease = await self.service.people.request(
            "ana", seconds=10_000, type="lock", blueprints=["matlab"]
        )
        await self.settle()
        await self.stop()
        await self.start()
        await self.advance(100)
        found = await self.lease(lease.id)
        self.assertEqual((found.status, found.resource), (LeaseStatus.ACTIVE, 1))
        await self.request_build()
        self.assertEqual(self.working(), [])
        await self.service.people.release(lease.id, actor="ana")
        await self.settle()
        self.assertEqual(self.working(), ["tests"])
        await self.finish()
        await self.stop()

    async def test_a_lock_that_has_fewer_slots_than_are_leased_is_given_to_nobody(self) -> None:
        self.slots = 3
        await self.start()
        for who in ("ana", "bob", "cid"):
            await self.service.people.request(
                who, seconds=10_000, type="lock", blueprints=["matlab"]
            )
        await self.settle()
        self.slots = 1
        await self.reconfigure()
        await self.service.people.release(1, actor="ana")  # of slot 0
        await self.request_build()
        self.assertEqual(self.working(), [])
        for number in (2, 3):
            self.assertEqual(self.working(), [])
            await self.service.people.release(number, actor="ana")
            await self.settle()
        self.assertEqual(self.working(), ["tests"])
        await self.finish()
        await self.stop()

    async def test_a_lock_that_left_the_configuration_goes_once_nobody_has_it(self) -> None:
        await self.start()
        await self.request_build()
        self.blueprints = [SyntheticPool("linux")]
        await self.reconfigure()
        await self.advance(5)
        self.assertEqual(self.working(), ["tests"])
        await self.finish()
        await self.advance(5)
        rows = await self.service.store.rows()
        self.assertEqual([row.blueprint for row in rows.resources], [])
        await self.stop()


class ArgumentTests(SynchronousTestCase):
    """What is wrong is said, and what to do about it."""

    def assert_refused(self, make: Any, *words: str) -> None:
        error = self.assertRaises(ConfigErrors, make)
        text = "; ".join(error.errors)
        for word in words:
            self.assertIn(word, text)

    def test_wrong_arguments_are_refused_when_the_configuration_is_read(self) -> None:
        self.assert_refused(lambda: LeaseResource(), "neither blueprint nor requires", "Remedy")
        self.assert_refused(lambda: LeaseResource(["a", "b"]), "blueprint is ['a', 'b']", "Remedy")
        self.assert_refused(lambda: LeaseResource(requires={"a": []}), "requires['a'] is []")
        self.assert_refused(lambda: LeaseResource(requires="linux"), "requires is 'linux'")
        self.assert_refused(lambda: LeaseResource("a", patience=0), "patience is 0", "Remedy")
        self.assert_refused(lambda: LeaseResource("a", patience="1"), "patience is '1'")
        self.assert_refused(lambda: LeaseResource("a", if_lost="no"), "if_lost is 'no'", "'retry'")
        self.assert_refused(lambda: LeaseResource("a", lease="a b"), "lease is 'a b'", "Remedy")
        self.assert_refused(lambda: ReleaseLease(7), "lease is 7", "Remedy")


class RefusalTests(LeasingTestCase):
    """What a build turns out to ask for."""

    async def refused(self, *steps: Any) -> str:
        self.steps["tests"] = list(steps)
        await self.start()
        await self.request_build()
        self.assertEqual(await self.results(), [EXCEPTION])
        found = await self.master.data.get(("builds", 1, "steps"))
        await self.stop()
        return str(found[-1]["state_string"])

    async def test_a_blueprint_that_there_is_not(self) -> None:
        text = await self.refused(LeaseResource("matlap"))
        self.assertEqual(text, "there is no blueprint 'matlap'; there are: 'matlab', 'linux'")

    async def test_a_name_that_is_taken(self) -> None:
        text = await self.refused(LeaseResource("matlab"), LeaseResource("linux", lease="matlab"))
        self.assertIn("the build has a lease 'matlab' already", text)

    async def test_labels_that_a_build_does_not_know(self) -> None:
        text = await self.refused(LeaseResource(requires={"os": util.Property("os")}))
        self.assertIn("requires['os'] is None", text)

    async def test_a_master_without_drydock(self) -> None:
        self.steps["tests"] = [LeaseResource("matlab")]
        configuration = self.configuration()
        configuration["services"] = []
        self.patch(self, "configuration", lambda: configuration)
        await self.start()
        await self.request_build()
        self.assertEqual(await self.results(), [EXCEPTION])
        text = (await self.step_row(1, "lease matlab"))["state_string"]
        self.assertIn("there is no service named 'drydock'", text)
        await self.stop()
