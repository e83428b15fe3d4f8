"""What is offered to builds that quotas count."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.model import World
from buildbot_drydock.offers import Offers, demand_of
from buildbot_drydock.quota import Quota
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.testing.builders import blueprint, lease, resource, world
from tests.unit.test_crew import Case

NIGHTLY, DOCS = ("builder/nightly",), ("builder/docs", "project/lab")
ANY = demand_of("host", {}, ())
TWO = Sharing(quotas=(Quota(kind="builder", pattern="nightly", leases=2),))


def room(of: World, subjects: tuple[str, ...], backlog: int = 0) -> int:
    return Offers(of).room(ANY, subjects, idle=[], backlog=backlog)


def of_nightly(number: int, **fields):
    return lease(number, subjects=NIGHTLY, **fields)


class RoomTests(SynchronousTestCase):
    def test_no_more_are_offered_than_a_quota_leaves(self) -> None:
        for leases, left in (
            ([], 2),
            ([of_nightly(1)], 1),
            ([of_nightly(1, on=1)], 1),
            ([lease(1, on=1, subjects=DOCS)], 2),
            ([of_nightly(1, on=1), of_nightly(2)], 0),
        ):
            there = world(blueprint(limit=9), resources=[resource()], leases=leases, sharing=TWO)
            self.assertEqual(room(there, NIGHTLY), left, leases)
            self.assertEqual(room(there, DOCS), 9 - len(leases))

    def test_one_lease_may_wait_for_a_quota_so_that_all_see_it_wait(self) -> None:
        rows = [resource(1), resource(2)]
        held = [of_nightly(1, on=1), of_nightly(2, on=2)]
        there = world(blueprint(limit=9), resources=rows, leases=held, sharing=TWO)
        self.assertEqual(room(there, NIGHTLY), 1)
        there = world(
            blueprint(limit=9), resources=rows, leases=[*held, of_nightly(3)], sharing=TWO
        )
        self.assertEqual((room(there, NIGHTLY), room(there, NIGHTLY, 1)), (0, 0))

    def test_what_a_quota_keeps_waiting_takes_nothing_of_others(self) -> None:
        none = Quota(kind="owner", pattern="worker/linux-005", leases=0)
        for sharing, taken in ((TWO, 3), (Sharing(quotas=(*TWO.quotas, none)), 2)):
            waiting = [of_nightly(n) for n in (1, 2, 3, 4)] + [lease(5, subjects=DOCS)]
            there = world(blueprint(limit=9), leases=waiting, sharing=sharing)
            self.assertEqual(room(there, DOCS), 9 - taken)

    def test_without_quotas_it_makes_no_difference_who_asks(self) -> None:
        of_owners = Sharing(quotas=(Quota(kind="owner", pattern="*", leases=5),))
        for sharing in (Sharing(), of_owners):
            offers = Offers(world(blueprint(limit=3), leases=[of_nightly(1)], sharing=sharing))
            self.assertFalse(offers.by_subject)
            self.assertEqual(offers.room(ANY, NIGHTLY, idle=[], backlog=0), 2)
            self.assertTrue(offers.quotas.counts("worker/a", NIGHTLY))


class CrewTests(Case):
    def held(self, *subjects: tuple[str, ...], limit: int = 9, sharing: Sharing = TWO) -> World:
        """A lease of worker ``a``, ``b`` and so on, for each of these."""
        rows = [resource(n) for n in range(1, len(subjects) + 1)]
        leases = [
            lease(n, on=n, owner=f"worker/{'abc'[n - 1]}", subjects=each)
            for n, each in enumerate(subjects, 1)
        ]
        return world(blueprint(limit=limit), resources=rows, leases=leases, sharing=sharing)

    def warm(self, name: str, number: int):
        (worker,) = self.enlist(
            name,
            has_lease=True,
            idle_on=resource(number),
            askers=[NIGHTLY, DOCS],
        )
        return worker

    def test_a_build_runs_on_a_lease_that_counts_wherever_it_does(self) -> None:
        docs, nightly = self.warm("a", 1), self.warm("b", 2)
        self.see(self.held(DOCS, NIGHTLY))
        self.assertTrue(self.crew.may_use(nightly, resource(2), NIGHTLY))
        self.assertTrue(self.crew.may_use(nightly, resource(2), DOCS))
        self.assertTrue(self.crew.may_use(docs, resource(1), DOCS))
        self.enlist("c", askers=[NIGHTLY, DOCS])
        self.assertFalse(self.crew.may_use(docs, resource(1), NIGHTLY))
        self.assertEqual(docs.made_way, [], "another one can be had")

    def test_one_that_does_not_count_makes_way_if_no_other_can_be_had(self) -> None:
        for others, limit in ((False, 9), (True, 1)):
            self.setUp()
            docs = self.warm("a", 1)
            if others:
                self.enlist("b", askers=[NIGHTLY, DOCS])
            self.see(self.held(DOCS, limit=limit))
            self.assertFalse(self.crew.may_use(docs, resource(1), NIGHTLY))
            self.assertEqual(docs.made_way, [True])
            docs.has_lease = False
            self.see(world(blueprint(limit=limit), resources=[resource(1)], sharing=TWO))
            self.assertIn("a", self.woken)

    def test_none_makes_way_while_it_builds(self) -> None:
        docs = self.warm("a", 1)
        docs.idle_on = None
        self.see(self.held(DOCS))
        self.assertFalse(self.crew.may_use(docs, resource(1), NIGHTLY))
        self.assertEqual(docs.made_way, [])

    def test_none_makes_way_for_what_a_quota_keeps_waiting(self) -> None:
        docs = self.warm("c", 3)
        self.see(self.held(NIGHTLY, NIGHTLY, DOCS, limit=3))
        self.assertFalse(self.crew.may_use(docs, resource(3), NIGHTLY))
        self.assertEqual(docs.made_way, [])

    def test_a_warm_worker_that_does_not_count_keeps_no_build_from_starting(self) -> None:
        self.warm("a", 1)
        (cold,) = self.enlist("b", askers=[NIGHTLY, DOCS])
        self.see(self.held(DOCS))
        self.assertTrue(self.crew.may_start(cold, {}, ANY, NIGHTLY))
        self.assertFalse(self.crew.may_start(cold, {}, ANY, DOCS))

    def test_builders_are_woken_once_a_quota_has_room(self) -> None:
        (cold,) = self.enlist("d", askers=[NIGHTLY, DOCS])
        full = self.held(NIGHTLY, NIGHTLY)
        waits = world(
            *full.blueprints,
            resources=full.resources,
            leases=[*full.leases, of_nightly(3)],
            sharing=TWO,
        )
        self.see(waits)
        self.assertFalse(self.crew.may_start(cold, {}, ANY, NIGHTLY))
        self.see(waits)
        self.assertEqual(self.woken, [])
        self.see(self.held(NIGHTLY))
        self.assertEqual(self.woken, ["d"])

    def test_an_idle_worker_gives_its_share_of_a_quota_to_a_lease_that_waits(self) -> None:
        nightly, docs = self.warm("a", 1), self.warm("b", 2)
        one = Sharing(quotas=(Quota(kind="builder", pattern="nightly", leases=1),))
        held = self.held(NIGHTLY, DOCS, sharing=one)
        waits = lease(3, subjects=NIGHTLY, requires={"image": "new"})
        self.see(
            world(
                blueprint(limit=9, choices={"image": ("old", "new")}),
                resources=held.resources,
                leases=[*held.leases, waits],
                sharing=one,
            )
        )
        self.assertEqual((nightly.made_way, docs.made_way), ([True], []))
