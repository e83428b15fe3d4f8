"""Whose turn it is: priority, ageing, and a fair share."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.actions import AcquireLease
from buildbot_drydock.model import Lease
from buildbot_drydock.planner import plan
from buildbot_drydock.planner.order import order_of_service, sharer, urgency
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.testing.builders import NOW, blueprint, lease, resource, world

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=300)
AGEING = 64.0  # all times are whole, so that none is rounded
OLDEST = Sharing(fair_share=None, ageing_seconds=AGEING)


def asked(number: int, ago: float = 0.0, builder: str = "a", **fields: Any) -> Lease:
    return lease(number, requested_at=NOW - ago, **{"subjects": (f"builder/{builder}",), **fields})


def order(
    waiting: list[Lease], held: list[Lease] | None = None, sharing: Sharing = OLDEST
) -> list[int]:
    return [row.id for row in order_of_service(waiting, held or [], sharing, NOW)]


@st.composite
def some_leases(draw: st.DrawFn, most: int = 12) -> list[Lease]:
    count = draw(st.integers(0, most))
    return [
        asked(
            number,
            ago=draw(st.integers(0, 1000)),
            builder=draw(st.sampled_from("abc")),
            priority=draw(st.integers(-3, 9)),
        )
        for number in range(1, count + 1)
    ]


SHARINGS = st.builds(
    Sharing,
    fair_share=st.sampled_from([None, "builder", "project", "owner"]),
    ageing_seconds=st.sampled_from([1.0, AGEING, 4096.0]),
)


class TestOrder(SynchronousTestCase):
    def test_it_is_by_priority_then_age_then_number(self) -> None:
        last, third = asked(1, 40.0), asked(5, 30.0, priority=1)
        first, second = asked(2, 10.0, priority=2), asked(3, 10.0, priority=2)
        self.assertEqual(order([last, third, second, first]), [2, 3, 5, 1])

    def test_who_waits_becomes_more_urgent(self) -> None:
        old, urgent = asked(1, 3 * AGEING - 1), asked(2, priority=2)
        self.assertEqual(order([old, urgent]), [1, 2], "it is as urgent, and older")
        urgent = asked(2, priority=3)
        self.assertEqual(order([old, urgent]), [2, 1])
        older = asked(1, 3 * AGEING)
        self.assertEqual(order([older, urgent]), [1, 2])

    def test_whoever_holds_the_fewest_goes_first(self) -> None:
        fair = Sharing(fair_share="builder", ageing_seconds=AGEING)
        waiting = [asked(1, 5, "a"), asked(2, 4, "b"), asked(3, 3, "c")]
        held = [asked(7, builder="a"), asked(8, builder="a"), asked(9, builder="b")]
        self.assertEqual(order(waiting, held, fair), [3, 2, 1])
        self.assertEqual(order(waiting, held), [1, 2, 3])

    def test_they_take_turns(self) -> None:
        fair = Sharing(fair_share="builder", ageing_seconds=AGEING)
        waiting = [asked(n, 60 - n, "a") for n in (1, 2, 3)] + [asked(4, 1, "b"), asked(5, 0, "b")]
        self.assertEqual(order(waiting, [], fair), [1, 4, 2, 5, 3])
        urgent = asked(6, 0, "a", priority=1)
        self.assertEqual(order([*waiting, urgent], [], fair), [6, 4, 1, 5, 2, 3])

    def test_in_whose_share_a_lease_counts(self) -> None:
        subjects = ("builder/a", "project/lab")
        for fair_share, name in (
            ("builder", "builder/a"),
            ("project", "project/lab"),
            ("owner", "worker/linux-001"),
            (None, ""),
        ):
            self.assertEqual(sharer(lease(subjects=subjects), Sharing(fair_share=fair_share)), name)
        person = lease(owner="person/ana")
        for fair_share in ("builder", "project", "owner"):
            self.assertEqual(sharer(person, Sharing(fair_share=fair_share)), "person/ana")

    def test_the_plan_goes_by_it(self) -> None:
        held = asked(1, builder="a", on=1)
        waiting = [asked(2, 9, "a"), asked(3, 5, "b")]
        for fair_share, served in (("builder", 3), (None, 2)):
            given = world(
                blueprint(leases_per_resource=2),
                resources=[resource(1)],
                leases=[held, *waiting],
                sharing=Sharing(fair_share=fair_share),
            )
            (acquired,) = (a for a in plan(given).actions if isinstance(a, AcquireLease))
            self.assertEqual(acquired.lease.id, served)


class TestNothingStarves(SynchronousTestCase):
    @EXAMPLES
    @given(some_leases(), some_leases(), SHARINGS, st.integers(0, 10_000))
    def test_who_is_so_much_older_that_no_priority_makes_up_for_it_goes_first(
        self, waiting: list[Lease], held: list[Lease], sharing: Sharing, later: int
    ) -> None:
        """Whatever is held, and whenever that is looked at."""
        ordered = order_of_service(waiting, held, sharing, NOW + later)
        self.assertEqual(sorted(row.id for row in ordered), sorted(row.id for row in waiting))
        place = {row.id: number for number, row in enumerate(ordered)}
        for one in waiting:
            for other in waiting:
                ahead = other.requested_at - one.requested_at
                if ahead >= (other.priority - one.priority + 1) * sharing.ageing_seconds:
                    self.assertLess(place[one.id], place[other.id])

    @EXAMPLES
    @given(some_leases(), some_leases(), SHARINGS)
    def test_of_equally_urgent_ones_none_is_two_ahead_of_another(
        self, waiting: list[Lease], held: list[Lease], sharing: Sharing
    ) -> None:
        """One who waits is never passed by another who holds more than he does."""
        ordered = order_of_service(waiting, held, sharing, NOW)
        urgencies = [urgency(row, sharing, NOW) for row in ordered]
        self.assertEqual(urgencies, sorted(urgencies, reverse=True))
        shares = Counter(sharer(row, sharing) for row in held)
        for number, row in enumerate(ordered):
            equal = [r for r, u in zip(ordered, urgencies, strict=True) if u == urgencies[number]]
            still = [r for r in equal if r in ordered[number:]]
            if sharing.fair_share is not None:
                least = min(shares[sharer(each, sharing)] for each in still)
                self.assertEqual(shares[sharer(row, sharing)], least)
            shares[sharer(row, sharing)] += 1

    @EXAMPLES
    @given(some_leases(), SHARINGS)
    def test_of_one_sharer_the_older_of_equally_urgent_ones_goes_first(
        self, waiting: list[Lease], sharing: Sharing
    ) -> None:
        ordered = order_of_service(waiting, [], sharing, NOW)
        for name in {sharer(row, sharing) for row in ordered}:
            of_it = [row for row in ordered if sharer(row, sharing) == name]
            for one, other in pairwise(of_it):
                if urgency(one, sharing, NOW) == urgency(other, sharing, NOW):
                    self.assertLess((one.requested_at, one.id), (other.requested_at, other.id))

    @settings(EXAMPLES, max_examples=20)
    @given(
        st.integers(0, 5),
        st.sampled_from([60.0, 300.0]),
        st.sampled_from([None, "builder"]),
        st.integers(1, 3),
    )
    def test_it_is_served_however_many_more_urgent_ones_keep_coming(
        self, priority: int, ageing: float, fair_share: str | None, newcomers: int
    ) -> None:
        """One slot comes free each minute, and nobody who comes holds anything."""
        sharing = Sharing(fair_share=fair_share, ageing_seconds=ageing)
        patient = asked(1, builder="patient", priority=priority)
        holds = [asked(2, builder="patient")]
        waiting, now, number, early = [patient], NOW, 2, 0
        since_when_none_passes_it = NOW + (5 - priority + 1) * ageing
        minutes = 0
        while patient in waiting and minutes < 1000:
            for _ in range(newcomers):
                number += 1
                waiting.append(asked(number, NOW - now, str(number), priority=5))
                early += now < since_when_none_passes_it
            first = order_of_service(waiting, holds, sharing, now)[0]
            waiting.remove(first)
            minutes += first is not patient
            now += 60.0
        self.assertNotIn(patient, waiting)
        self.assertLessEqual(minutes, early)
