"""Why a lease waits: each candidate blueprint is named, with its numbers."""

from buildbot_drydock.model import Call, CallKey, LeaseStatus, Mode, ResourceStatus
from buildbot_drydock.planner import plan
from buildbot_drydock.reasons import (
    BackingOff,
    Booting,
    DoesNotFit,
    Full,
    Misconfigured,
    OutOfService,
    Probing,
    Reclaiming,
)
from buildbot_drydock.testing.builders import (
    A_WHILE_AGO,
    NOW,
    blueprint,
    lease,
    pending,
    resource,
    state,
    world,
)
from tests.unit.planned import PlannerTestCase


def going(number: int, of: str = "linux"):
    return resource(number, of, status=ResourceStatus.BROKEN)


def being_destroyed(*resources):
    return {CallKey("destroy", r.blueprint, r.token): Call(running=True) for r in resources}


class TestFull(PlannerTestCase):
    def test_it_counts_the_slots_leased_and_the_limit(self) -> None:
        linux = blueprint(limit=3, leases_per_resource=4)
        resources = [resource(number) for number in (1, 2, 3)]
        leases = [lease(4 * n + s, on=n, slot=s) for n in (1, 2, 3) for s in range(4)]
        full = world(linux, resources=resources, leases=[*leases, lease(99)])
        reason = Full(blueprint="linux", limit=3, leased=12, slots=12, ending=0)
        self.assert_reasons(full, 99, reason)
        self.assertEqual(reason.sentence(NOW), "linux is full: 12 of 12 slots leased, limit 3")

    def test_a_slot_that_is_given_away_in_this_turn_counts_as_leased(self) -> None:
        taken = world(blueprint(), resources=[resource()], leases=[lease(1), lease(2)])
        self.assert_reasons(taken, 2, Full(blueprint="linux", limit=1, leased=1, slots=1, ending=0))

    def test_a_slot_that_is_not_vacated_yet_counts_as_leased(self) -> None:
        ended = lease(1, on=1, status=LeaseStatus.RELEASED)
        busy = world(blueprint(vacates=True), resources=[resource()], leases=[ended, lease(2)])
        self.assert_reasons(busy, 2, Full(blueprint="linux", limit=1, leased=1, slots=1, ending=0))

    def test_all_that_is_being_torn_down_is_counted(self) -> None:
        ending = [going(1), going(2)]
        full = world(
            blueprint(limit=2),
            resources=ending,
            leases=[lease(1), lease(2), lease(3)],
            calls=being_destroyed(*ending),
        )
        self.assert_reasons(full, 3, Full(blueprint="linux", limit=2, leased=0, slots=0, ending=2))


class TestBooting(PlannerTestCase):
    def test_it_names_the_resource_that_is_waited_for(self) -> None:
        coming = world(blueprint(boot_timeout=300.0), resources=[pending(7)], leases=[lease()])
        reason = Booting(blueprint="linux", resource=7, since=A_WHILE_AGO, boot_timeout=300.0)
        self.assert_reasons(coming, 1, reason)
        self.assertEqual(
            reason.sentence(NOW), "linux is booting resource 7: 100 s of at most 300 s"
        )

    def test_one_that_is_only_just_asked_for_has_no_name(self) -> None:
        asked = world(blueprint(), leases=[lease()])
        self.assert_reasons(
            asked, 1, Booting(blueprint="linux", resource=None, since=NOW, boot_timeout=900.0)
        )


class TestReclaiming(PlannerTestCase):
    images = {"image": ("bookworm", "trixie")}

    def test_it_names_the_resource_that_makes_room(self) -> None:
        idle = resource(5, labels={"image": "bookworm"})
        asking = lease(requires={"image": "trixie"})
        full = world(blueprint(choices=self.images), resources=[idle], leases=[asking])
        self.assert_reasons(full, 1, Reclaiming(blueprint="linux", resource=5))

    def test_one_that_is_ending_already_makes_room_too(self) -> None:
        ending = going(5)
        full = world(
            blueprint(), resources=[ending], leases=[lease()], calls=being_destroyed(ending)
        )
        self.assert_reasons(full, 1, Reclaiming(blueprint="linux", resource=5))


class TestTrouble(PlannerTestCase):
    def test_backing_off_says_how_often_it_failed_when_it_retries_and_why(self) -> None:
        failing = blueprint(state=state(failures=2, retry_at=NOW + 24, last_error="throttled"))
        backing_off = world(failing, leases=[lease()])
        reason = BackingOff(blueprint="linux", failures=2, retry_at=NOW + 24, error="throttled")
        self.assert_reasons(backing_off, 1, reason)
        self.assert_wakes(backing_off, NOW + 24)
        self.assertEqual(
            reason.sentence(NOW),
            "linux is backing off after 2 failed launches, retry in 24 s: throttled",
        )

    def test_paused_says_by_whom_until_when_and_why(self) -> None:
        stopped = state(
            mode=Mode.PAUSED, mode_author="ana", mode_until=NOW + 60, mode_reason="new image"
        )
        paused = world(blueprint(state=stopped), resources=[resource()], leases=[lease()])
        reason = OutOfService(
            blueprint="linux", mode="paused", by="ana", until=NOW + 60, why="new image"
        )
        self.assert_reasons(paused, 1, reason)
        self.assertEqual(reason.sentence(NOW), "linux is paused by ana for another 60 s: new image")

    def test_draining_and_disabled_are_told_apart(self) -> None:
        for mode in (Mode.DRAINING, Mode.DISABLED):
            stopped = world(blueprint(state=state(mode=mode)), leases=[lease()])
            (reason,) = plan(stopped).reasons[1]
            self.assertEqual(reason.data()["mode"], mode.value)

    def test_misconfigured_says_what_is_wrong(self) -> None:
        wrong = state(misconfigured=True, failures=1, retry_at=NOW + 9, last_error="no such image")
        self.assert_reasons(
            world(blueprint(state=wrong), leases=[lease()]),
            1,
            Misconfigured(blueprint="linux", error="no such image", retry_at=NOW + 9),
        )

    def test_probing_says_that_the_budget_is_spent(self) -> None:
        spent = blueprint(
            limit=9, failure_budget=3, state=state(failures=4, last_error="bad image")
        )
        probing = world(spent, leases=[lease(1), lease(2)])
        self.assert_reasons(
            probing,
            1,
            Booting(blueprint="linux", resource=None, since=NOW, boot_timeout=900.0),
        )
        self.assert_reasons(
            probing, 2, Probing(blueprint="linux", failures=4, budget=3, error="bad image")
        )


class TestSeveralCandidates(PlannerTestCase):
    def test_each_is_named_with_its_own_reason_in_the_order_configured(self) -> None:
        images = {"image": ("bookworm", "trixie")}
        failing = state(failures=2, retry_at=NOW + 24, last_error="throttled")
        wrong = state(misconfigured=True, failures=1, retry_at=NOW + 9, last_error="no image")
        spent = state(failures=5, last_error="bad image")
        blueprints = [
            blueprint("full", limit=1, choices=images),
            blueprint("failing", choices=images, state=failing),
            blueprint("paused", choices=images, state=state(mode=Mode.PAUSED, mode_author="ana")),
            blueprint("wrong", choices=images, state=wrong),
            blueprint("probing", limit=9, choices=images, state=spent),
            blueprint("other", labels={"image": "sid"}),
        ]
        trixie = {"image": "trixie"}
        resources = [
            resource(1, "full", labels=trixie),
            pending(2, "probing", labels={"image": "bookworm"}),
        ]
        waiting = world(
            *blueprints,
            resources=resources,
            leases=[lease(1, on=1), lease(2, requires=trixie)],
        )
        self.assert_plans(waiting)
        self.assert_reasons(
            waiting,
            2,
            Full(blueprint="full", limit=1, leased=1, slots=1, ending=0),
            BackingOff(blueprint="failing", failures=2, retry_at=NOW + 24, error="throttled"),
            OutOfService(blueprint="paused", mode="paused", by="ana", until=None, why=""),
            Misconfigured(blueprint="wrong", error="no image", retry_at=NOW + 9),
            Probing(blueprint="probing", failures=5, budget=5, error="bad image"),
            DoesNotFit(blueprint="other", label="image", wanted="trixie", offered=("sid",)),
        )

    def test_the_one_that_will_serve_is_named_beside_those_that_can_not(self) -> None:
        failing = state(failures=1, retry_at=NOW + 5, last_error="throttled")
        waiting = world(
            blueprint("a", state=failing),
            blueprint("b"),
            resources=[pending(3, "b")],
            leases=[lease()],
        )
        self.assert_reasons(
            waiting,
            1,
            BackingOff(blueprint="a", failures=1, retry_at=NOW + 5, error="throttled"),
            Booting(blueprint="b", resource=3, since=A_WHILE_AGO, boot_timeout=900.0),
        )

    def test_one_that_it_does_not_allow_is_no_candidate(self) -> None:
        waiting = world(
            blueprint("a"),
            blueprint("b"),
            resources=[resource(1, "b")],
            leases=[lease(1, on=1), lease(2, blueprints=("b",))],
        )
        self.assert_reasons(waiting, 2, Full(blueprint="b", limit=1, leased=1, slots=1, ending=0))

    def test_another_masters_lease_that_fits_nothing_here_is_told_so(self) -> None:
        asking = lease(master=2, requires={"os": "bsd"})
        self.assert_reasons(
            world(blueprint(), leases=[asking], master=1),
            1,
            DoesNotFit(blueprint="linux", label="os", wanted="bsd", offered=()),
        )


class TestWhoWaits(PlannerTestCase):
    def test_a_lease_that_gets_a_slot_has_no_reason_to_wait(self) -> None:
        served = world(blueprint(), resources=[resource()], leases=[lease()])
        self.assertEqual(plan(served).reasons, {})

    def test_nor_has_one_that_breaks_or_that_has_a_resource(self) -> None:
        refused = world(blueprint(), leases=[lease(type="windows")])
        self.assertEqual(plan(refused).reasons, {})
        active = world(blueprint(), resources=[resource()], leases=[lease(on=1)])
        self.assertEqual(plan(active).reasons, {})
