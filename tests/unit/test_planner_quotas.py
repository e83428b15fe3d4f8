"""How many leases some may hold at once, and what the planner makes of it."""

from __future__ import annotations

from typing import Any

from buildbot_drydock import slotlocks
from buildbot_drydock.actions import AcquireLease, BuildResource, SettleResource
from buildbot_drydock.model import Lease, LeaseStatus
from buildbot_drydock.quota import LONGEST_NAME, Quota, as_key, limits_of
from buildbot_drydock.reasons import Booting, DoesNotFit, Full, QuotaReached
from buildbot_drydock.sharing import Sharing
from buildbot_drydock.testing.builders import NOW, blueprint, lease, pending, resource, world
from tests.unit.planned import PlannerTestCase

NIGHTLY = Quota(kind="builder", pattern="nightly-*", leases=2)


def nightly(number: int, *, lock: int | None = None, **fields: Any) -> Lease:
    row = lease(number, **{"subjects": (f"builder/nightly-{number}", "project/lab"), **fields})
    return row if lock is None else locked(row, "builder/nightly-*", lock)


def locked(row: Lease, name: str, number: int) -> Lease:
    from dataclasses import replace

    return replace(row, locks=(*row.locks, slotlocks.quota(name, number)))


def sharing(*quotas: Quota) -> Sharing:
    return Sharing(quotas=quotas or (NIGHTLY,))


class TestWhatItCounts(PlannerTestCase):
    def counted(self, quota: Quota, owner: str, *subjects: str) -> list[str]:
        return list(limits_of([quota], owner, subjects))

    def test_builders_projects_and_owners(self) -> None:
        asked = ("worker/w", "builder/nightly-1", "project/lab")
        for quota, name in (
            (NIGHTLY, "builder/nightly-*"),
            (Quota(kind="project", pattern="lab", leases=1), "project/lab"),
            (Quota(kind="owner", pattern="worker/*", leases=1), "worker/*"),
            (Quota(kind="builder", pattern="*", leases=1, each=True), "each builder/nightly-1"),
            (Quota(kind="owner", pattern="worker/*", leases=1, each=True), "each worker/w"),
        ):
            self.assertEqual(self.counted(quota, *asked), [name])
        for quota in (
            Quota(kind="builder", pattern="lab", leases=1),
            Quota(kind="builder", pattern="Nightly-*", leases=1),
            Quota(kind="project", pattern="nightly-*", leases=1),
            Quota(kind="owner", pattern="w", leases=1),
            Quota(kind="owner", pattern="builder/*", leases=1),
        ):
            self.assertEqual(self.counted(quota, *asked), [], quota)
        self.assertEqual(self.counted(NIGHTLY, "worker/w", "builder/Nightly-1"), [])

    def test_of_two_that_count_the_same_the_lower_one_holds(self) -> None:
        quotas = [Quota(kind="builder", pattern="a", leases=n) for n in (3, 1, 2)]
        self.assertEqual(limits_of(quotas, "worker/w", ["builder/a"]), {"builder/a": 1})

    def test_keys_are_what_databases_keep_apart(self) -> None:
        long = ["x" * LONGEST_NAME, "x" * (LONGEST_NAME + 1), "x" * (LONGEST_NAME + 2)]
        names = [*long, "a\0", "a\ud800", "a", "a "]
        keys = [slotlocks.quota(as_key(name), 12345) for name in names]
        self.assertEqual(len(set(keys)), len(names))
        self.assertLess(max(map(len, keys)), 190)
        for key in keys:
            self.assertNotIn("\0", key)
            key.encode()

    def test_a_lock_tells_its_quota(self) -> None:
        for name in ("builder/a", "each person/x).lease(1)", "two\nlines"):
            self.assertEqual(slotlocks.quota_of(slotlocks.quota(name, 7)), (name, 7))
        for other in (slotlocks.slot(1, 2), slotlocks.place("quota", 1)):
            self.assertIsNone(slotlocks.quota_of(other))


class TestPlanning(PlannerTestCase):
    def test_a_lease_takes_the_lowest_free_lock_of_each_quota_that_counts_it(self) -> None:
        lab = Quota(kind="project", pattern="lab", leases=9)
        held = nightly(1, on=1, lock=1)
        waits = nightly(2)
        given = world(
            blueprint(limit=2),
            resources=[resource(1), resource(2)],
            leases=[held, waits],
            sharing=sharing(NIGHTLY, lab),
        )
        locks = (slotlocks.quota("builder/nightly-*", 0), slotlocks.quota("project/lab", 0))
        self.assert_plans(given, AcquireLease(waits, resource(2), 0, True, quotas=locks))

    def test_what_has_reached_one_waits_whatever_is_free(self) -> None:
        held = [nightly(1, on=1, lock=0), nightly(2, on=2, lock=1)]
        given = world(
            blueprint(limit=9),
            resources=[resource(1), resource(2), resource(3)],
            leases=[*held, nightly(3), lease(4)],
            sharing=sharing(),
        )
        self.assert_plans(given, AcquireLease(lease(4), resource(3), 0, True))
        reached = QuotaReached(
            quota="builder/nightly-*",
            limit=2,
            held=2,
            holders=(
                "lease 1 of worker/linux-001 for builder/nightly-1",
                "lease 2 of worker/linux-002 for builder/nightly-2",
            ),
        )
        self.assert_reasons(given, 3, reached)

    def test_no_more_is_built_than_quotas_let_be_used(self) -> None:
        given = world(
            blueprint(limit=9), leases=[nightly(n) for n in (1, 2, 3, 4)], sharing=sharing()
        )
        self.assertEqual(len(self.planned(given, BuildResource)), 2)
        booting = Booting(blueprint="linux", resource=None, since=NOW, boot_timeout=900.0)
        self.assert_reasons(given, 2, booting)
        reached = QuotaReached(quota="builder/nightly-*", limit=2, held=0, holders=(), awaited=2)
        self.assert_reasons(given, 3, reached)
        self.assert_reasons(given, 4, reached)

    def test_what_is_on_its_way_counts_in_the_next_turn_too(self) -> None:
        given = world(
            blueprint(limit=9),
            resources=[pending(1), pending(2)],
            leases=[nightly(n) for n in (1, 2, 3)],
            sharing=sharing(),
        )
        self.assertEqual(self.planned(given, BuildResource), [])

    def test_nothing_is_reclaimed_for_what_has_reached_one(self) -> None:
        given = world(
            blueprint(limit=2, choices={"image": ("old", "new")}),
            resources=[resource(1), resource(2, labels={"image": "old"})],
            leases=[
                nightly(1, on=1, lock=0),
                nightly(2, requires={"image": "new"}),
            ],
            sharing=sharing(Quota(kind="builder", pattern="nightly-*", leases=1)),
        )
        self.assertEqual(self.planned(given, SettleResource), [])

    def test_one_that_gets_nothing_leaves_its_share_to_the_next(self) -> None:
        """The first waits for a full blueprint; the second could use another one."""
        first, second = nightly(2, blueprints=("linux",)), nightly(3, blueprints=("spare",))
        given = world(
            blueprint(limit=1),
            blueprint("spare"),
            resources=[resource(1), resource(2, "spare", place=0)],
            leases=[lease(1, on=1), first, second],
            sharing=sharing(Quota(kind="builder", pattern="nightly-*", leases=1)),
        )
        (acquired,) = self.planned(given, AcquireLease)
        self.assertEqual(acquired.lease, second)
        self.assert_reasons(given, 2, Full(blueprint="linux", limit=1, leased=1, slots=1, ending=0))

    def test_an_ended_lease_counts_until_its_slot_is_vacated(self) -> None:
        ended = nightly(1, on=1, lock=0, status=LeaseStatus.RELEASED)
        given = world(
            blueprint(limit=2, vacates=True),
            resources=[resource(1), resource(2)],
            leases=[ended, nightly(2)],
            sharing=sharing(Quota(kind="builder", pattern="nightly-*", leases=1)),
        )
        self.assertEqual(self.planned(given, AcquireLease), [])

    def test_a_lease_that_is_older_than_the_quota_counts(self) -> None:
        given = world(
            blueprint(limit=9),
            resources=[resource(n) for n in (1, 2, 3)],
            leases=[nightly(1, on=1), nightly(2, on=2), nightly(3)],
            sharing=sharing(),
        )
        self.assertEqual(self.planned(given, AcquireLease), [])

    def test_a_limit_that_was_lowered_holds_from_then_on(self) -> None:
        rows = [resource(n) for n in (1, 2, 3)]
        held = [nightly(1, on=1, lock=3), nightly(2, on=2, lock=4)]
        for limit, locks in ((2, []), (3, [0])):
            given = world(
                blueprint(limit=9),
                resources=rows,
                leases=[*held, nightly(3)],
                sharing=sharing(Quota(kind="builder", pattern="nightly-*", leases=limit)),
            )
            acquired = self.planned(given, AcquireLease)
            numbers = [slotlocks.quota_of(key) for each in acquired for key in each.quotas]
            self.assertEqual([found[1] for found in numbers if found], locks)

    def test_each_counts_for_each(self) -> None:
        each = Quota(kind="builder", pattern="*", leases=1, each=True)
        same = {"subjects": ("builder/a",)}
        given = world(
            blueprint(limit=9),
            leases=[lease(1, **same), lease(2, **same), lease(3, subjects=("builder/b",))],
            sharing=sharing(each),
        )
        built = [action.built_for for action in self.planned(given, BuildResource)]
        self.assertEqual(built, [1, 3])
        (reached,) = self.plan_of(given, 2)
        self.assertEqual((reached.quota, reached.limit), ("each builder/a", 1))

    def plan_of(self, given, number):
        from buildbot_drydock.planner import plan

        return plan(given).reasons[number]

    def test_what_never_fits_is_said_too(self) -> None:
        given = world(
            blueprint(limit=2),
            blueprint("gpu", labels={"gpu": "yes"}),
            resources=[resource(1)],
            leases=[
                nightly(1, on=1, lock=0),
                nightly(2, requires={"gpu": "yes"}),
            ],
            sharing=sharing(Quota(kind="builder", pattern="nightly-*", leases=1)),
        )
        reached, never = self.plan_of(given, 2)
        self.assertIsInstance(reached, QuotaReached)
        self.assertIsInstance(never, DoesNotFit)
