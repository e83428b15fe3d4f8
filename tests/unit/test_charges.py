"""Who is charged with what a lease and a resource cost."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import events, slotlocks
from buildbot_drydock.closing import close_lease, close_resource
from buildbot_drydock.costs import charges_of_lease, rest_of_resource
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import (
    Charge,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Observed,
    Resource,
    ResourceRequest,
    Use,
)
from buildbot_drydock.store.memory import MemoryStore
from buildbot_drydock.testing.builders import NOW, lease, resource

SLOTS = 2


def ended(**fields: Any) -> Lease:
    """A lease that had its slot for the 100 s before NOW, and is still to be closed."""
    values = {"status": LeaseStatus.RELEASED, "held_since": NOW - 100, "since": NOW, **fields}
    return lease(on=1, **values)


def use(build: int, began: float, finished: float | None, builder: str = "tests") -> Use:
    """A use, in seconds from when the lease got its slot."""
    start = NOW - 100
    end = None if finished is None else start + finished
    return Use(lease=1, build=build, builder=builder, began_at=start + began, ended_at=end)


class TestSharing(SynchronousTestCase):
    def shares(self, *uses: Use, cost: float | None = 6.0) -> dict[int | None, float | None]:
        charges = charges_of_lease(ended(), cost, uses)
        return {each.build: each.cost for each in charges}

    def test_builds_share_all_of_it_by_how_long_each_ran(self) -> None:
        self.assertEqual(self.shares(use(7, 10, 30), use(8, 50, 60)), {7: 4.0, 8: 2.0})

    def test_builds_that_ran_at_once_do_as_well(self) -> None:
        self.assertEqual(self.shares(use(7, 10, 30), use(8, 20, 30)), {7: 4.0, 8: 2.0})

    def test_one_that_still_ran_when_the_lease_ended_ran_until_then(self) -> None:
        self.assertEqual(self.shares(use(7, 0, 50), use(8, 50, None)), {7: 3.0, 8: 3.0})
        late = use(8, 50, 500)
        self.assertEqual(self.shares(use(7, 0, 50), late), {7: 3.0, 8: 3.0})

    def test_builds_that_took_no_time_share_it_equally(self) -> None:
        self.assertEqual(self.shares(use(7, 5, 5), use(8, 9, 2)), {7: 3.0, 8: 3.0})

    def test_what_nobody_knows_is_unknown_and_not_nothing(self) -> None:
        self.assertEqual(self.shares(use(7, 0, 5), use(8, 5, 9), cost=None), {7: None, 8: None})
        self.assertIsNone(rest_of_resource(resource(), None, 0.0).cost)

    def test_the_charge_says_how_long_the_build_ran_and_where(self) -> None:
        (charge,) = charges_of_lease(ended(), 6.0, [use(7, 10, 30)])
        expected = Charge(resource=1, lease=1, build=7, builder="tests", seconds=20.0, cost=6.0)
        self.assertEqual(charge, expected)

    def test_a_build_that_never_came_to_run_is_charged_with_what_it_asked_for(self) -> None:
        asked = ended(attributes={"builder": "tests", "buildid": "7"})
        (charge,) = charges_of_lease(asked, 6.0, [])
        self.assertEqual((charge.builder, charge.build, charge.seconds), ("tests", 7, 0.0))
        self.assertEqual(charge.cost, 6.0)
        (charge,) = charges_of_lease(asked, 6.0, [use(9, 0, 5, "docs")])
        self.assertEqual((charge.builder, charge.build), ("docs", 9), "another one ran instead")

    def test_what_a_person_took_is_charged_to_no_build_whatever_the_attributes_say(self) -> None:
        claimed = {"builder": "tests", "buildid": "7"}
        for taken in (
            ended(owner="person/eve", attributes=claimed),
            ended(),
            ended(attributes={**claimed, "buildid": "-1"}),
        ):
            (charge,) = charges_of_lease(taken, 6.0, [])
            self.assertEqual(charge, Charge(resource=1, lease=1, cost=6.0))

    def test_a_lease_that_has_no_slot_is_charged_to_nobody(self) -> None:
        self.assertEqual(charges_of_lease(lease(status=LeaseStatus.RELEASED), None, []), [])

    def test_a_resource_leaves_what_no_lease_had(self) -> None:
        self.assertEqual(rest_of_resource(resource(), 10.0, 6.0), Charge(resource=1, cost=4.0))

    def test_if_the_price_fell_leases_may_have_had_more_than_all_of_it(self) -> None:
        self.assertEqual(rest_of_resource(resource(), 4.0, 6.0), Charge(resource=1, cost=-2.0))


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0, 5000)),
    st.tuples(st.just("price"), st.floats(0, 50)),
    st.tuples(st.just("acquire"), st.integers(0, SLOTS - 1)),
    st.tuples(st.just("begin"), st.integers(0, SLOTS - 1)),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("release"), st.integers(0, SLOTS - 1)),
    st.tuples(st.just("close"), st.integers(0, SLOTS - 1)),
)


class History:
    """One resource with two slots, whatever happens to it, and its end."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryStore(self.clock)
        request = ResourceRequest(blueprint="linux", token="t", place=0)
        record = events.ResourceRequested(built_for=None)
        added = self.now(self.store.add_resource(request, record))
        self.number = added.id
        host = Observed(token="t", hourly_price=1.0)
        ready = events.ResourceReady(address="", seconds=0.0)
        self.now(self.store.move_resource(added, ResourceEvent.READY, ready, observed=host))
        self.leases: dict[int, int] = {}  # by slot
        self.builds = 0
        self.begun: set[int] = set()  # the builds that were told of while their lease lived

    def now(self, work: Any) -> Any:
        return self.test.successResultOf(Deferred.fromCoroutine(work))

    def resource(self) -> Resource:
        found: Resource = self.now(self.store.resource(self.number))
        return found

    def lease(self, slot: int) -> Lease | None:
        found: Lease | None = self.now(self.store.lease(self.leases.get(slot, 0)))
        return found

    def do(self, step: str, value: Any) -> None:
        getattr(self, step)(value)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def price(self, price: float) -> None:
        record = events.ResourcePriced(hourly_price=price, before=None)
        self.now(self.store.set_price(self.resource(), price, record))

    def acquire(self, slot: int) -> None:
        if slot in self.leases:
            return
        request = LeaseRequest(owner="worker/x", nonce="n")
        asked = self.now(
            self.store.request_lease(request, events.LeaseRequested(owner="x", requires={}))
        )
        claim = Claim(
            lease=asked,
            resource=self.resource(),
            slot=slot,
            activate=True,
            record=events.LeaseAcquired(slot=slot, waited=0.0),
        )
        self.test.assertIsNotNone(self.now(self.store.acquire([claim]))[0])
        self.test.assertIn(slotlocks.slot(self.number, slot), self.store.slot_locks)
        self.leases[slot] = asked.id

    def begin(self, slot: int) -> None:
        self.builds += 1
        builder = "tests" if self.builds % 3 else "docs"
        lease = self.lease(slot)
        if lease is not None and lease.status is LeaseStatus.ACTIVE:
            self.begun.add(self.builds)
        self.now(self.store.begin_use(self.leases.get(slot, 0), self.builds, builder))

    def end(self, build: int) -> None:
        for number in self.leases.values():
            self.now(self.store.end_use(number, build))

    def release(self, slot: int) -> None:
        lease = self.lease(slot)
        if lease is not None and lease.status is LeaseStatus.ACTIVE:
            record = events.LeaseReleased(reason="done")
            self.now(self.store.move_lease(lease, LeaseEvent.RELEASE, record))

    def close(self, slot: int) -> None:
        lease, price = self.lease(slot), self.resource().hourly_price
        if lease is not None and lease.status is LeaseStatus.RELEASED:
            share = None if price is None else price / SLOTS
            self.now(close_lease(self.store, lease, share, self.clock.seconds()))
            del self.leases[slot]

    def finish(self) -> None:
        for slot in list(self.leases):
            self.release(slot)
            self.close(slot)
        record = events.ResourceReleased(reason="done")
        self.now(self.store.move_resource(self.resource(), ResourceEvent.RELEASE, record))
        self.now(close_resource(self.store, self.resource(), self.clock.seconds(), reason="gone"))

    def recorded(self, kind: type[Any]) -> list[Any]:
        entries = self.now(self.store.events(limit=100_000))
        return [each.event for each in entries if isinstance(each.event, kind)]


class TestExactness(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(st.lists(STEPS, max_size=40))
    def test_builds_and_what_is_not_attributed_add_up_to_what_the_resource_cost(
        self, steps: list[tuple[str, Any]]
    ) -> None:
        history = History(self)
        for step, value in steps:
            history.do(step, value)
        history.finish()
        charges = history.store.charges
        (end,) = history.recorded(events.ResourceDestroyed)
        self.assert_close(sum(each.cost or 0.0 for each in charges), end.cost)
        of_leases = sum(each.cost for each in history.recorded(events.LeaseDestroyed))
        charged = [each.cost or 0.0 for each in charges if each.lease is not None]
        self.assert_close(sum(charged), of_leases)
        self.assert_close(of_leases + end.unattributed, end.cost)
        ran = {each.build for each in charges if each.build is not None}
        self.assertEqual(ran, history.begun, "each build that ran on a lease is charged")
        told = [
            each["cost"]
            for event in history.recorded(events.LeaseDestroyed)
            for each in event.builds or ()
        ]
        of_builds = [each.cost or 0.0 for each in charges if each.build is not None]
        self.assert_close(sum(told), sum(of_builds))
        self.assertEqual(history.now(history.store.uses(1)), [], "none is left over")

    def assert_close(self, one: float, other: float) -> None:
        self.assertTrue(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9), (one, other))
