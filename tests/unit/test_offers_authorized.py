"""Capacity for those who may use it, and one lease of those who wait to be approved."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.model import AuthorizationStatus, Mode, World
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.testing.builders import (
    authorization,
    blueprint,
    lease,
    resource,
    state,
    world,
)
from tests.unit.test_crew import Case, Worker

REQUESTED, APPROVED, DECLINED = AuthorizationStatus
TESTS, DOCS = ("builder/tests", "project/lab"), ("builder/docs",)
ANY = demand_of("host", {}, ())
LISTED = blueprint("linux", limit=3, allow=("builder/docs",))
NEEDY = blueprint("linux", limit=3, needs_approval=True)


def room(of: World, subjects: tuple[str, ...], backlog: int = 0) -> int:
    return Offers(of).room(ANY, subjects, idle=[], backlog=backlog)


class RoomTests(SynchronousTestCase):
    def test_only_who_may_use_it_has_room(self) -> None:
        self.assertEqual((room(world(LISTED), DOCS), room(world(LISTED), TESTS, 1)), (3, 0))
        both = world(LISTED, blueprint("farm", limit=2))
        self.assertEqual((room(both, DOCS), room(both, TESTS)), (5, 2))

    def test_where_everybody_may_use_everything_it_makes_no_difference_who_asks(self) -> None:
        offers = Offers(world(blueprint(limit=3), leases=[lease(1, subjects=TESTS)]))
        self.assertFalse(offers.by_subject)
        rooms = {offers.room(ANY, each, idle=[], backlog=0) for each in (TESTS, DOCS, ())}
        self.assertEqual((rooms, len(offers._forecasts)), ({2}, 1))
        self.assertEqual(offers.refused_by(TESTS), frozenset())

    def test_who_may_not_use_it_takes_nothing_of_who_may(self) -> None:
        there = world(LISTED, leases=[lease(n, subjects=TESTS) for n in (1, 2, 3)])
        self.assertEqual(room(there, DOCS), 3)
        there = world(LISTED, leases=[lease(n, subjects=DOCS) for n in (1, 2)])
        self.assertEqual(room(there, DOCS), 1)

    def test_one_lease_of_each_may_wait_for_approval(self) -> None:
        self.assertEqual(room(world(NEEDY), TESTS), 1)
        there = world(NEEDY, leases=[lease(1, subjects=TESTS)])
        self.assertEqual((room(there, TESTS), room(there, TESTS, 1), room(there, DOCS)), (0, 0, 1))

    def test_who_is_approved_has_what_there_is(self) -> None:
        yes = authorization("project/lab", APPROVED)
        there = world(NEEDY, leases=[lease(1, subjects=DOCS)], authorizations=[yes])
        self.assertEqual((room(there, TESTS), room(there, DOCS)), (3, 0))

    def test_none_waits_for_approval_while_something_else_may_serve_it(self) -> None:
        paused = blueprint("farm", state=state(mode=Mode.PAUSED))
        self.assertEqual(room(world(NEEDY, paused), TESTS, 1), 0)

    def test_who_was_declined_is_told_so_at_once(self) -> None:
        no = authorization("builder/tests", DECLINED)
        there = world(NEEDY, authorizations=[no])
        self.assertEqual((room(there, TESTS), room(there, DOCS)), (1, 1))
        self.assertTrue(Offers(there).is_hopeless(ANY, TESTS))
        self.assertFalse(Offers(there).is_hopeless(ANY, DOCS))
        self.assertFalse(Offers(world(LISTED)).is_hopeless(ANY, TESTS), "a list may change")
        other = world(NEEDY, blueprint("farm", limit=0), authorizations=[no])
        self.assertFalse(Offers(other).is_hopeless(ANY, TESTS))


class CrewTests(Case):
    def test_a_worker_is_offered_if_one_of_its_builders_may_use_something(self) -> None:
        both = self.enlist("a", askers=[TESTS, DOCS], builders=frozenset({"tests", "docs"}))
        tests = self.enlist("b", askers=[TESTS])
        self.see(world(LISTED))
        self.assertEqual((self.offered(both), self.offered(tests)), (["a"], []))

    def test_a_build_is_started_for_who_may_use_something(self) -> None:
        (worker,) = self.enlist("a", askers=[TESTS, DOCS])
        self.see(world(LISTED))
        self.assertTrue(self.crew.may_start(worker, {}, ANY, DOCS))
        self.assertFalse(self.crew.may_start(worker, {}, ANY, TESTS))

    def test_a_build_runs_on_what_its_own_builder_may_use(self) -> None:
        (worker,) = self.enlist("a")
        self.assertFalse(self.crew.may_use(worker, resource(), DOCS), "nobody knows yet")
        self.see(world(LISTED))
        self.assertEqual(self.woken, ["a"])
        self.assertTrue(self.crew.may_use(worker, resource(), DOCS))
        self.assertFalse(self.crew.may_use(worker, resource(), TESTS))

    def test_a_warm_worker_that_it_may_not_use_keeps_no_build_from_starting(self) -> None:
        warm, cold = self.enlist("a", "b", askers=[TESTS, DOCS])
        warm.idle_on = resource()
        self.see(world(LISTED, blueprint("farm")))
        self.assertTrue(self.crew.may_start(cold, {}, ANY, TESTS))
        self.assertFalse(self.crew.may_start(cold, {}, ANY, DOCS))

    def test_builders_are_woken_when_something_was_decided_about_them(self) -> None:
        worker: Worker
        (worker,) = self.enlist("a", askers=[TESTS, DOCS])
        self.see(world(LISTED))
        self.crew.may_use(worker, resource(), TESTS)
        self.see(world(LISTED))
        self.assertEqual(self.woken, [])
        self.see(world(blueprint("linux", limit=3, allow=("*",))))
        self.see(world(blueprint("linux", limit=3, allow=("*",))))
        self.assertEqual(self.woken, ["a"])

    def test_so_they_are_if_a_start_was_refused(self) -> None:
        (worker,) = self.enlist("a", askers=[TESTS, DOCS])
        self.see(world(LISTED))
        self.crew.may_start(worker, {}, ANY, TESTS)
        self.see(world(blueprint("linux", limit=3, allow=("*",))))
        self.assertEqual(self.woken, ["a"])
