"""What providers say exists beside what the rows say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.synthetic import SyntheticProvider
from buildbot_drydock.ledger import Entry, Verdict, entries
from buildbot_drydock.model import Call, CallKey, Health, Inventory, ResourceStatus, World
from buildbot_drydock.planner import plan
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.strays import Strays
from buildbot_drydock.testing.builders import NOW, blueprint, observed, resource
from tests.unit.core import CoreTestCase


def ledger(world: World) -> list[Entry]:
    return list(entries(Survey(world)))


def a_world(*, hosts=(), resources=(), error="", **calls):  # type: ignore[no-untyped-def]
    by_token: dict[str, tuple[object, ...]] = {}
    for host in hosts:
        by_token[host.token] = (*by_token.get(host.token, ()), host)
    return World(
        now=NOW,
        blueprints=(blueprint("linux"),),
        resources=tuple(resources),
        inventories={"linux": Inventory(asked_at=NOW - 1, hosts=by_token, error=error)},  # type: ignore[arg-type]
        calls={CallKey(verb.replace("_", "-"), "linux", "t"): call for verb, call in calls.items()},
    )


class LedgerTests(SynchronousTestCase):
    def the_one(self, world: World) -> Entry:
        (found,) = ledger(world)
        return found

    def test_an_orphan_tells_its_fate(self) -> None:
        host = observed("t", created_at=NOW - 3600, hourly_price=0.5)
        for call, words, leaving in (
            (Call(), "destroyed in the next turn", False),
            (Call(running=True), "is being destroyed", True),
            (Call(succeeded_at=NOW - 12), "told to go 12 s ago, and is told again in 48 s", True),
            (Call(failures=3, retry_at=NOW + 240, error="no"), "failed 3 times, and is tried again in 4 min: no", False),
            (Call(failures=1, retry_at=NOW + 4, error="no", succeeded_at=NOW - 99), "failed once", False),
        ):  # fmt: skip
            found = self.the_one(a_world(hosts=[host], destroy_stray=call))
            self.assertEqual((found.verdict, found.is_nobodys), (Verdict.ORPHAN, True))
            self.assertIn(words, found.why)
            self.assertEqual(found.leaving, leaving, call)
            self.assertEqual((found.age(NOW), found.cost(NOW)), (3600, 0.5))

    def test_an_orphan_of_a_provider_that_does_not_answer_stays(self) -> None:
        found = self.the_one(a_world(hosts=[observed("t")], error="throttled"))
        self.assertIn("until its provider lists its hosts again", found.why)
        self.assertIn("throttled", found.why)

    def test_rows_and_hosts_belong_together_by_token_and_identity(self) -> None:
        row = resource(1, token="t", identity="i-1", status=ResourceStatus.ACTIVE, since=NOW - 99)
        own, twin = ledger(
            a_world(hosts=[observed("t", identity="i-2"), observed("t", identity="i-1")], resources=[row])
        )  # fmt: skip
        self.assertEqual((own.verdict, own.identity), (Verdict.MATCHED, "i-1"))
        self.assertEqual((twin.verdict, twin.identity), (Verdict.TWIN, "i-2"))
        self.assertEqual((own.is_nobodys, twin.is_nobodys), (False, True))

    def test_a_twin_that_was_told_to_go_is_leaving_and_the_host_that_counts_is_not(self) -> None:
        hosts = [observed("t", identity="i-1"), observed("t", identity="i-2")]
        for status, key, leaving in (
            (ResourceStatus.ACTIVE, CallKey("destroy-stray", "linux", "t i-2"), True),
            (ResourceStatus.ACTIVE, CallKey("destroy-stray", "linux", "t i-9"), False),
            (ResourceStatus.ACTIVE, CallKey("destroy", "linux", "t"), False),
            (ResourceStatus.RELEASED, CallKey("destroy", "linux", "t"), True),
        ):
            row = resource(1, token="t", identity="i-1", status=status, since=NOW - 99)
            given = replace(
                a_world(hosts=hosts, resources=[row]), calls={key: Call(succeeded_at=NOW - 1)}
            )
            own, twin = ledger(given)
            self.assertEqual((own.leaving, twin.leaving), (False, leaving), (status, key))

    def test_a_twin_is_nobodys_only_if_the_sweep_would_destroy_it(self) -> None:
        """The ledger and the planner agree, whatever status the row has."""
        hosts = [observed("t", identity="i-1"), observed("t", identity="i-2")]
        for status in (ResourceStatus.PENDING, ResourceStatus.ACTIVE, ResourceStatus.BROKEN):
            for identity in ("", "i-1"):
                row = resource(1, token="t", identity=identity, status=status, since=NOW - 99)
                world = a_world(hosts=hosts, resources=[row])
                free = {e.identity for e in ledger(world) if e.is_nobodys}
                swept = {getattr(a, "identity", None) for a in plan(world).actions} - {None}
                self.assertLessEqual(free, swept, (status, identity))

    def test_a_twin_is_somebodys_while_the_row_remembers_no_host(self) -> None:
        row = resource(1, token="t", identity="", since=NOW - 99)
        found = ledger(
            a_world(hosts=[observed("t", identity="i-1"), observed("t", identity="i-2")], resources=[row])
        )  # fmt: skip
        self.assertEqual([each.verdict for each in found], [Verdict.MATCHED, Verdict.TWIN])
        self.assertEqual([each.is_nobodys for each in found], [False, False])

    def test_a_twin_has_neither_the_price_nor_the_age_of_the_resource(self) -> None:
        row = resource(1, token="t", identity="i-1", created_at=NOW - 3600, hourly_price=2.0)
        own, twin = ledger(
            a_world(hosts=[observed("t", identity="i-1"), observed("t", identity="i-2")], resources=[row])
        )  # fmt: skip
        self.assertEqual((own.hourly_price, own.age(NOW), own.cost(NOW)), (2.0, 3600, 2.0))
        self.assertEqual((twin.hourly_price, twin.age(NOW), twin.cost(NOW)), (None, None, None))

    def test_a_row_of_another_blueprint_accounts_for_its_host(self) -> None:
        row = resource(1, of="other", token="t")
        world = a_world(hosts=[observed("t")], resources=[row])
        both = replace(world, blueprints=(*world.blueprints, blueprint("other")))
        found = next(each for each in ledger(both) if each.blueprint == "linux")
        self.assertEqual((found.blueprint, found.verdict), ("linux", Verdict.MATCHED))
        self.assertIn("resource 1 of blueprint other", found.why)
        self.assertFalse(found.is_nobodys)

    def test_a_host_that_was_asked_for_is_late_once_it_should_be_listed(self) -> None:
        row = resource(1, token="t", identity="", status=ResourceStatus.PENDING, since=NOW - 60)
        delay = blueprint("linux").listing_delay
        for ago, verdict in ((delay + 2, Verdict.LATE), (0.0, Verdict.STARTING)):
            world = a_world(resources=[row], create=Call(succeeded_at=NOW - ago))
            found = self.the_one(world)
            self.assertIs(found.verdict, verdict, found.why)

    def test_a_row_without_a_host(self) -> None:
        for status, since, error, verdict in (
            (ResourceStatus.PENDING, NOW - 1, "", Verdict.STARTING),
            (ResourceStatus.PENDING, NOW - 9999, "", Verdict.LATE),
            (ResourceStatus.ACTIVE, NOW - 99, "", Verdict.MISSING),
            (ResourceStatus.ACTIVE, NOW - 1, "", Verdict.UNKNOWN),
            (ResourceStatus.ACTIVE, NOW - 99, "throttled", Verdict.UNKNOWN),
            (ResourceStatus.RELEASED, NOW - 1, "", Verdict.ENDING),
        ):
            row = resource(1, token="t", status=status, since=since)
            found = self.the_one(a_world(resources=[row], error=error))
            self.assertEqual((status, found.verdict), (status, verdict), found.why)
            self.assertFalse(found.is_nobodys)

    def test_a_host_that_starts_or_fails(self) -> None:
        row = resource(1, token="t", identity="", status=ResourceStatus.PENDING, since=NOW - 1)
        starting = observed("t", health=Health.STARTING)
        self.assertIs(self.the_one(a_world(hosts=[starting], resources=[row])).verdict, Verdict.STARTING)  # fmt: skip
        failing = observed("t", health=Health.FAILING, reason="no disk")
        self.assertIn("no disk", self.the_one(a_world(hosts=[failing], resources=[row])).why)

    def test_a_row_of_another_masters_blueprint(self) -> None:
        row = resource(1, of="other", token="t")
        found = self.the_one(a_world(resources=[row]))
        self.assertIs(found.verdict, Verdict.UNKNOWN)
        self.assertIn("not configured on this master", found.why)


class StraysTests(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.strays = Strays(
            self.store, self.calls, lambda now, states: self.blueprints, self.clock
        )

    def destroy(self, of: str, token: str, identity: str) -> Any:
        return self.strays.destroy(of, token, identity, actor="ana")

    def assert_refused(self, work: Any, words: str) -> None:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), ValueError)
        self.assertIn(words, str(failure.value))

    def test_a_row_that_came_meanwhile_protects_its_host(self) -> None:
        """However a host is named, what counts are the rows as they are now."""
        self.request()
        self.settle()
        (host,) = self.cloud.hosts()
        self.assert_refused(
            self.destroy("linux", host.token, host.identity), "reclaim that resource"
        )
        self.assertIsNone(self.now(self.destroy("linux", host.token, "")))
        self.assertEqual(self.cloud.living(), 1)

    def test_a_host_that_is_asked_for_while_the_rows_are_read_is_not_nobodys(self) -> None:
        read = self.store.rows

        async def slowly() -> Any:
            rows = await read()
            with mock.patch.object(self.store, "rows", read):
                self.request()
                self.settle()
            return rows

        with mock.patch.object(self.store, "rows", slowly):
            world = self.now(self.strays.world())
        (host,) = self.cloud.hosts()
        self.assertIn(host.token, self.calls.inventories()["linux"].hosts)
        self.assertEqual([each for each in ledger(world) if each.is_nobodys], [])

    def test_the_row_of_another_blueprint_protects_its_host(self) -> None:
        """As of two blueprints whose providers list the same hosts."""
        self.providers["other"] = SyntheticProvider(self.cloud, "linux")
        self.configure(blueprint("linux"), blueprint("other"))
        self.request()
        self.settle()
        (host,) = self.cloud.hosts()
        self.calls.list_hosts("other")
        self.assertIn(host.token, self.calls.inventories()["other"].hosts)
        self.assert_refused(
            self.destroy("other", host.token, host.identity), "reclaim that resource"
        )
        self.assertEqual(self.cloud.living(), 1)

    def test_of_an_orphan_all_that_bears_its_token_goes(self) -> None:
        self.cloud.create("linux", "lost", HostSpec())
        self.cloud.make_twin("lost")
        self.calls.list_hosts("linux")
        first, _ = self.cloud.hosts()
        self.assertIsNotNone(self.now(self.destroy("linux", "lost", first.identity)))
        self.assertEqual(self.cloud.living(), 0)
