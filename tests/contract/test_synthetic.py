"""The synthetic provider and its hosts pass the suites that real ones pass."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from buildbot_drydock.errors import CommandTimedOut, HostUnreachable, NoCapacity, RetryLater
from buildbot_drydock.interfaces import Host, HostSpec, Provider
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.synthetic import (
    Answer,
    Failure,
    Moment,
    Script,
    Stage,
    SyntheticCloud,
    SyntheticHost,
    SyntheticPool,
    SyntheticProvider,
)
from buildbot_drydock.model import Health, Notice
from buildbot_drydock.testing.host_contract import FilesContract, TagsContract
from buildbot_drydock.testing.parking_contract import ParksContract
from buildbot_drydock.testing.provider_contract import TwinContract

T = TypeVar("T")


class TestSyntheticProvider(TwinContract, ParksContract, TestCase):
    def make_provider(self) -> Provider:
        self.clock = Clock()
        script = Script(
            boot_seconds=30, listing_delay_seconds=10, teardown_seconds=5, park_seconds=20
        )
        self.cloud = SyntheticCloud(self.clock, script)
        return SyntheticProvider(self.cloud, "linux")

    def living(self) -> int:
        return self.cloud.living()

    def running(self) -> int:
        return self.cloud.living() - self.cloud.parked()

    async def settle(self) -> None:
        self.clock.advance(60)

    async def make_twin(self, token: str) -> None:
        self.cloud.make_twin(token)


class _OnSyntheticHost:
    def make_host(self) -> Host:
        cloud = SyntheticCloud(Clock())
        cloud.create("linux", "drydock-linux-1", HostSpec())
        return SyntheticHost(cloud, "drydock-linux-1")


class TestSyntheticFiles(_OnSyntheticHost, FilesContract, TestCase):
    pass


class TestSyntheticTags(_OnSyntheticHost, TagsContract, TestCase):
    pass


class TestScript(SynchronousTestCase):
    """What the script says is what happens."""

    def setUp(self) -> None:
        self.clock = Clock()

    def given(self, **script: Any) -> SyntheticProvider:
        self.cloud = SyntheticCloud(self.clock, Script(**script), reactor=self.clock)
        return SyntheticProvider(self.cloud, "linux")

    def done(self, call: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(call))

    def fails(self, call: Coroutine[Deferred[Any], Any, object], error: type[Exception]) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(call), error).value)

    def listed(self, provider: SyntheticProvider) -> list[Health]:
        return [each.health for each in self.done(provider.inventory())]

    def test_a_host_boots_for_as_long_as_the_script_says(self) -> None:
        provider = self.given(boot_seconds=30)
        self.done(provider.create("a", HostSpec()))
        self.clock.advance(29)
        self.assertEqual(self.listed(provider), [Health.STARTING])
        host = SyntheticHost(self.cloud, "a")
        self.fails(host.run(["true"], timeout=1), HostUnreachable)
        self.clock.advance(1)
        self.assertEqual(self.listed(provider), [Health.READY])
        self.assertEqual(self.done(host.run(["true"], timeout=1)).exit_code, 0)

    def test_capacity_is_that_of_the_whole_cloud(self) -> None:
        provider = self.given(capacity=1)
        self.done(SyntheticProvider(self.cloud, "other").create("a", HostSpec()))
        self.fails(provider.create("b", HostSpec()), NoCapacity)
        self.done(SyntheticProvider(self.cloud, "other").destroy("a"))
        self.done(provider.create("b", HostSpec()))

    def test_blueprints_do_not_list_or_destroy_each_others_hosts(self) -> None:
        provider = self.given()
        other = SyntheticProvider(self.cloud, "other")
        self.done(other.create("a", HostSpec()))
        self.assertEqual(self.listed(provider), [])
        self.done(provider.destroy("a"))
        self.assertEqual(self.listed(other), [Health.READY])

    def test_a_new_host_is_missing_from_listings_for_a_while(self) -> None:
        provider = self.given(listing_delay_seconds=10)
        self.done(provider.create("a", HostSpec()))
        self.assertEqual(self.listed(provider), [])
        self.assertEqual(self.cloud.tokens(), ["a"])
        self.clock.advance(10)
        self.assertEqual(self.listed(provider), [Health.READY])

    def test_a_slow_listing_says_what_was_so_when_it_was_asked_for(self) -> None:
        provider = self.given(latency_seconds={"inventory": 5})
        asked = Deferred.fromCoroutine(provider.inventory())
        self.done(provider.create("a", HostSpec()))
        self.assertNoResult(asked)
        self.clock.advance(5)
        self.assertEqual(self.successResultOf(asked), [])

    def test_a_slow_change_happens_only_at_its_end(self) -> None:
        provider = self.given(latency_seconds={"create": 5})
        asked = Deferred.fromCoroutine(provider.create("a", HostSpec()))
        self.assertEqual(self.cloud.living(), 0)
        self.clock.advance(5)
        self.successResultOf(asked)
        self.assertEqual(self.cloud.living(), 1)

    def test_a_cancelled_call_changes_nothing(self) -> None:
        provider = self.given(latency_seconds={"create": 5})
        asked = Deferred.fromCoroutine(provider.create("a", HostSpec()))
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.clock.advance(5)
        self.assertEqual(self.cloud.living(), 0)

    def test_so_many_calls_fail_before_one_succeeds(self) -> None:
        provider = self.given(failures=(Failure(verb="create", error=NoCapacity, times=2),))
        for _ in range(2):
            self.fails(provider.create("a", HostSpec()), NoCapacity)
        self.assertEqual(self.cloud.living(), 0)
        self.done(provider.create("a", HostSpec()))

    def test_failures_are_counted_for_all_masters_of_a_cloud(self) -> None:
        provider = self.given(failures=(Failure(verb="create", times=1),))
        self.fails(provider.create("a", HostSpec()), RetryLater)
        self.done(SyntheticProvider(self.cloud, "linux").create("a", HostSpec()))

    def test_a_failure_without_a_count_is_for_ever(self) -> None:
        provider = self.given(failures=(Failure(verb="destroy", message="no way"),))
        self.done(provider.create("a", HostSpec()))
        for _ in range(3):
            self.assertEqual(self.fails(provider.destroy("a"), RetryLater), "no way")
        self.assertEqual(self.cloud.living(), 1)

    def test_a_lost_reply_leaves_the_host_made(self) -> None:
        provider = self.given(failures=(Failure(verb="create", times=1, stage=Stage.AFTER),))
        self.fails(provider.create("a", HostSpec()), RetryLater)
        self.assertEqual(self.cloud.tokens(), ["a"])
        self.done(provider.create("a", HostSpec()))
        self.assertEqual(self.cloud.tokens(), ["a"])

    def test_first_hosts_hang_then_some_fail_then_all_is_well(self) -> None:
        provider = self.given(hanging_boots=1, failing_boots=1)
        for token in ("a", "b", "c"):
            self.done(provider.create(token, HostSpec()))
        self.clock.advance(1_000)
        self.assertEqual(self.listed(provider), [Health.STARTING, Health.FAILING, Health.READY])

    def test_the_script_can_make_twins(self) -> None:
        provider = self.given(twin_creates=1)
        self.done(provider.create("a", HostSpec()))
        self.done(provider.create("b", HostSpec()))
        self.assertEqual(self.cloud.tokens(), ["a", "a", "b"])

    def test_a_host_vanishes_after_its_lifetime(self) -> None:
        provider = self.given(lifetime_seconds=60)
        self.done(provider.create("a", HostSpec()))
        self.clock.advance(60)
        self.assertEqual(self.listed(provider), [])

    def test_before_that_its_end_is_announced(self) -> None:
        provider = self.given(lifetime_seconds=60, notice_seconds=20)
        self.done(provider.create("a", HostSpec()))
        self.clock.advance(39)
        (host,) = self.done(provider.inventory())
        self.assertIsNone(host.notice)
        self.clock.advance(1)
        (host,) = self.done(provider.inventory())
        self.assertEqual(host.notice, Notice(reason="the script lets it end", ends_at=60.0))
        self.clock.advance(20)
        self.assertEqual(self.listed(provider), [])

    def test_an_end_can_be_announced_behind_the_back(self) -> None:
        provider = self.given()
        for token in ("a", "b"):
            self.done(provider.create(token, HostSpec()))
        self.cloud.give_notice("a", "interrupted", seconds=120)
        self.cloud.give_notice("b", "it may be interrupted")
        notices = [each.notice for each in self.done(provider.inventory())]
        expected = [
            Notice(reason="interrupted", ends_at=120.0),
            Notice(reason="it may be interrupted"),
        ]
        self.assertEqual(notices, expected)
        self.clock.advance(120)
        self.assertEqual([each.token for each in self.done(provider.inventory())], ["b"])

    def test_a_host_that_is_destroyed_is_not_announced_to_end(self) -> None:
        provider = self.given(teardown_seconds=60)
        self.done(provider.create("a", HostSpec()))
        self.cloud.give_notice("a", "interrupted", seconds=120)
        self.done(provider.destroy("a"))
        self.cloud.give_notice("a", "interrupted again", seconds=120)
        (host,) = self.done(provider.inventory())
        self.assertIsNone(host.notice)
        self.clock.advance(60)
        self.assertEqual(self.listed(provider), [])

    def test_hosts_cost_what_the_script_says_until_they_are_repriced(self) -> None:
        provider = self.given(hourly_price=0.5)
        self.assertEqual(provider.expected_price(), 0.5)
        self.done(provider.create("a", HostSpec()))
        self.done(provider.create("b", HostSpec()))
        self.cloud.reprice("b", 0.25)
        listing = self.done(provider.inventory())
        self.assertEqual([each.hourly_price for each in listing], [0.5, 0.25])
        self.assertIsNone(self.given().expected_price())

    def test_a_destroyed_host_is_listed_and_takes_room_until_it_is_gone(self) -> None:
        provider = self.given(teardown_seconds=5, capacity=1)
        self.done(provider.create("a", HostSpec()))
        self.done(provider.destroy("a"))
        self.assertEqual(self.listed(provider), [Health.FAILING])
        self.fails(provider.create("b", HostSpec()), NoCapacity)
        self.clock.advance(3)
        self.done(provider.destroy("a"))  # which does not put it off
        self.clock.advance(2)
        self.assertEqual(self.listed(provider), [])

    def test_commands_answer_as_the_script_says(self) -> None:
        self.given(
            answers=(
                Answer(pattern="git fetch *", exit_code=128, stderr=b"no route", times=1),
                Answer(pattern="git *", stdout=b"fine"),
                Answer(pattern="reboot", error=HostUnreachable),
            )
        )
        self.cloud.create("linux", "a", HostSpec())
        host = SyntheticHost(self.cloud, "a")
        first = self.done(host.run(["git", "fetch", "origin"], timeout=1))
        self.assertEqual((first.exit_code, first.stderr), (128, b"no route"))
        second = self.done(host.run(["git", "fetch", "origin"], timeout=1))
        self.assertEqual((second.exit_code, second.stdout), (0, b"fine"))
        self.fails(host.run(["reboot"], timeout=1), HostUnreachable)

    def test_a_slow_command_runs_into_its_limit(self) -> None:
        self.given(answers=(Answer(pattern="*", seconds=100),))
        self.cloud.create("linux", "a", HostSpec())
        host = SyntheticHost(self.cloud, "a")
        for limits, word in (
            ({"timeout": 5.0}, "its timeout"),
            ({"timeout": 50.0, "idle_timeout": 5.0}, "its idle_timeout"),
        ):
            call = Deferred.fromCoroutine(host.run(["make"], **limits))
            self.clock.advance(4)
            self.assertNoResult(call)
            self.clock.advance(1)
            self.assertIn(word, str(self.failureResultOf(call, CommandTimedOut).value))

    def test_a_hook_sees_both_sides_of_a_call_and_may_raise(self) -> None:
        provider = self.given()
        seen = []

        async def hook(moment: Moment) -> None:
            seen.append((moment.verb, moment.subject, moment.stage, self.cloud.living()))
            if moment.stage is Stage.AFTER:
                raise RetryLater("lost")

        self.cloud.hook = hook
        self.fails(provider.create("a", HostSpec()), RetryLater)
        self.assertEqual(seen, [("create", "a", Stage.BEFORE, 0), ("create", "a", Stage.AFTER, 1)])

    def test_what_happens_behind_the_back_is_seen(self) -> None:
        provider = self.given()
        for token in ("a", "b", "c", "d"):
            self.done(provider.create(token, HostSpec()))
        self.cloud.lose("a")
        self.cloud.hang("b")
        self.cloud.fail("c", "struck by lightning")
        self.cloud.silence("d")
        listing = self.done(provider.inventory())
        self.assertEqual([each.token for each in listing], ["b", "c", "d"])
        self.assertEqual(
            [each.health for each in listing], [Health.STARTING, Health.FAILING, Health.READY]
        )
        self.assertEqual(listing[1].reason, "struck by lightning")
        for token in ("a", "b", "d"):
            self.fails(SyntheticHost(self.cloud, token).exists("x"), HostUnreachable)

    def test_the_cloud_tells_what_runs_where(self) -> None:
        self.given()
        self.cloud.create("linux", "a", HostSpec())
        self.cloud.create("linux", "b", HostSpec())
        self.done(SyntheticHost(self.cloud, "b").start(["true"], tag="t"))
        (_, second) = self.cloud.hosts()
        self.assertEqual(self.cloud.running("t"), {second.identity})
        self.cloud.lose("b")
        self.assertEqual(self.cloud.running("t"), frozenset())

    def test_a_script_that_takes_time_needs_a_reactor(self) -> None:
        cloud = SyntheticCloud(self.clock, Script(latency_seconds={"create": 1}))
        self.fails(SyntheticProvider(cloud, "linux").create("a", HostSpec()), ValueError)


class TestSyntheticPool(SynchronousTestCase):
    def provider(self, pool: SyntheticPool, basedir: str) -> SyntheticProvider:
        surroundings = Surroundings(
            reactor=self.clock, basedir=basedir, thread_pool=ThreadPool(), uniform=lambda: 0.5
        )
        return pool.provider(surroundings)

    def setUp(self) -> None:
        self.clock = Clock()

    def listed(self, provider: SyntheticProvider) -> list[str]:
        listing = self.successResultOf(Deferred.fromCoroutine(provider.inventory()))
        return [each.token for each in listing]

    def test_its_fields_are_the_script(self) -> None:
        provider = self.provider(SyntheticPool("linux", fail_creates=1, capacity=1), "here")
        call = Deferred.fromCoroutine(provider.create("a", HostSpec()))
        self.failureResultOf(call, NoCapacity)
        for token, error in (("a", None), ("b", NoCapacity)):
            call = Deferred.fromCoroutine(provider.create(token, HostSpec()))
            if error is None:
                self.successResultOf(call)
            else:
                self.failureResultOf(call, error)

    def test_notice_and_price_are_part_of_it(self) -> None:
        fields = {"lifetime_seconds": 60, "notice_seconds": 30, "hourly_price": 0.5}
        provider = self.provider(SyntheticPool("linux", max_hourly_cost=1, **fields), "here")
        self.successResultOf(Deferred.fromCoroutine(provider.create("a", HostSpec())))
        self.clock.advance(30)
        (host,) = self.successResultOf(Deferred.fromCoroutine(provider.inventory()))
        self.assertEqual((host.ends_at, host.hourly_price), (60.0, 0.5))
        self.assertEqual(provider.expected_price(), 0.5)

    def test_what_makes_no_sense_is_said(self) -> None:
        for fields, names, words in (
            ({"notice_seconds": 30}, ("notice_seconds", "lifetime_seconds"), "never vanish"),
            ({"max_hourly_cost": 2}, ("max_hourly_cost", "hourly_price"), "nobody knows"),
            (
                {"max_hourly_cost": 2, "hourly_price": 2.5},
                ("max_hourly_cost", "hourly_price"),
                "an hour of one host costs 2.5, more than 2",
            ),
            ({"max_daily_cost": 2}, ("max_daily_cost", "hourly_price"), "nobody knows"),
            (
                {"max_daily_cost": 2, "hourly_price": 2.5},
                ("max_daily_cost", "hourly_price"),
                "raise max_daily_cost to 2.5 or more",
            ),
        ):
            (problem,) = SyntheticPool("linux", **fields).problems
            self.assertEqual(problem.field, names[0])
            for word in (*names, words):
                self.assertIn(word, f"{problem.field} {problem.message} {problem.remedy}")

    def test_its_hosts_are_still_there_when_a_reconfig_has_changed_it(self) -> None:
        before = self.provider(SyntheticPool("linux"), "here")
        self.successResultOf(Deferred.fromCoroutine(before.create("a", HostSpec())))
        after = self.provider(SyntheticPool("linux", boot_seconds=5.0), "here")
        self.assertEqual(self.listed(after), ["a"])
        self.assertEqual(self.listed(self.provider(SyntheticPool("linux"), "elsewhere")), [])

    def test_leases_are_prepared_only_if_that_takes_time(self) -> None:
        self.assertFalse(SyntheticPool("linux").blueprint(0.0).prepares)
        self.assertTrue(SyntheticPool("linux", prepare_seconds=1.0).blueprint(0.0).prepares)

    def test_it_parks_if_that_is_wished(self) -> None:
        self.assertFalse(SyntheticPool("linux").blueprint(0.0).parks)
        pool = SyntheticPool("linux", park="stop", park_for=60.0, max_parked=2)
        blueprint = pool.blueprint(0.0)
        self.assertEqual(
            (blueprint.parks, blueprint.park_for, blueprint.max_parked), (True, 60.0, 2)
        )

    def healths(self, provider: SyntheticProvider) -> list[Health]:
        listing = self.successResultOf(Deferred.fromCoroutine(provider.inventory()))
        return [each.health for each in listing]

    def test_the_first_wakes_find_no_capacity_if_the_script_says_so(self) -> None:
        pool = SyntheticPool("linux", park="stop", fail_wakes=1, park_seconds=3.0)
        provider = self.provider(pool, "here")
        self.successResultOf(Deferred.fromCoroutine(provider.create("token", HostSpec())))
        self.successResultOf(Deferred.fromCoroutine(provider.park("token", "")))
        healths = []
        for seconds in (0.0, 3.0):
            self.clock.advance(seconds)
            healths += self.healths(provider)
        self.assertEqual(healths, [Health.PARKING, Health.PARKED])
        self.failureResultOf(Deferred.fromCoroutine(provider.wake("token", "")), NoCapacity)
        self.successResultOf(Deferred.fromCoroutine(provider.wake("token", "")))
        self.assertEqual(self.healths(provider), [Health.READY])
