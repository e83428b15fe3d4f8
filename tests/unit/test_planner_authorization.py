"""Leases of those who may not use everything."""

from __future__ import annotations

from typing import Any

from buildbot_drydock.actions import AcquireLease, BreakLease, BuildResource, RequestApproval
from buildbot_drydock.model import AuthorizationStatus, Blueprint, LeaseStatus
from buildbot_drydock.reasons import AwaitingApproval, Booting, Declined, Full, NotAuthorized
from buildbot_drydock.testing.builders import (
    A_WHILE_AGO,
    authorization,
    blueprint,
    lease,
    pending,
    resource,
    state,
    world,
)
from tests.unit.planned import PlannerTestCase

REQUESTED, APPROVED, DECLINED = AuthorizationStatus
TESTS = ("builder/tests", "project/lab", "worker/linux-001")


def gpu(**fields: Any) -> Blueprint:
    return blueprint("gpu", **{"needs_approval": True, "limit": 2, **fields})


def waits(number: int = 1, **fields: Any) -> Any:
    return lease(number, **{"subjects": TESTS, **fields})


def awaiting(**fields: Any) -> AwaitingApproval:
    defaults = {"blueprint": "gpu", "subject": "builder/tests", "approvers": ""}
    return AwaitingApproval(**{**defaults, "authorization": None, **fields})


def declined(blueprint: str = "gpu", **fields: Any) -> Declined:
    defaults = {"subject": "builder/tests", "by": "ana", "why": "no"}
    return Declined(blueprint=blueprint, **{**defaults, "authorization": 1, **fields})


NO = authorization("builder/tests", DECLINED, "gpu", reason="no")


class TestLists(PlannerTestCase):
    def test_whoever_is_on_the_list_gets_a_slot_and_it_is_written_down_why(self) -> None:
        listed, free, one = (
            gpu(needs_approval=False, allow=("builder/t*",)),
            resource(1, "gpu"),
            waits(),
        )
        by = "builder/t* on the allow list"
        self.assert_plans(
            world(listed, resources=[free], leases=[one]),
            AcquireLease(one, free, 0, activate=True, authorized_by=by),
        )

    def test_whoever_is_not_waits_and_nothing_is_built_or_asked_for(self) -> None:
        listed = gpu(needs_approval=False, allow=("builder/release",), idle_timeout=None)
        for free in ([], [resource(1, "gpu")], [pending(1, "gpu")]):
            here = world(listed, resources=free, leases=[waits()])
            self.assert_plans(here)
            refused = NotAuthorized(blueprint="gpu", subjects=TESTS, allow=("builder/release",))
            self.assert_reasons(here, 1, refused)

    def test_what_is_on_its_way_is_not_promised_to_it(self) -> None:
        listed = gpu(needs_approval=False, allow=("person/ana",), limit=1)
        ana = lease(2, owner="person/ana")
        here = world(listed, resources=[pending(1, "gpu")], leases=[waits(), ana])
        self.assertIsInstance(self.reasons_of(here, 2)[0], Booting)

    def test_nothing_is_reclaimed_for_it(self) -> None:
        listed = gpu(
            needs_approval=False, allow=("person/ana",), limit=1, choices={"os": ("a", "b")}
        )
        idle = resource(1, "gpu", labels={"os": "a"})
        here = world(listed, resources=[idle], leases=[waits(requires={"os": "b"})])
        self.assert_plans(here)

    def test_another_blueprint_that_it_may_use_serves_it(self) -> None:
        listed, linux = gpu(needs_approval=False, allow=()), blueprint("linux")
        one = waits()
        self.assert_plans(
            world(listed, linux, leases=[one]), BuildResource("linux", 0, {}, built_for=1)
        )

    def test_who_holds_a_slot_keeps_it_when_the_list_shrinks(self) -> None:
        for status in (LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE):
            on = resource(1, "gpu")
            held = waits(on=on, status=status, authorized_by="builder/t* on the allow list")
            here = world(
                gpu(needs_approval=False, allow=(), prepares=False), resources=[on], leases=[held]
            )
            kinds = [type(action).__name__ for action in self.planned(here, object)]
            self.assertNotIn("BreakLease", kinds)
            self.assertNotIn("ReleaseLease", kinds)

    def reasons_of(self, here: Any, number: int) -> Any:
        from buildbot_drydock.planner import plan

        return plan(here).reasons[number]


class TestApproval(PlannerTestCase):
    def test_a_lease_that_needs_approval_waits_and_has_it_asked_for(self) -> None:
        here = world(gpu(approvers="the lab"), leases=[waits()])
        self.assert_plans(here, RequestApproval("gpu", "builder/tests", 1))
        self.assert_reasons(here, 1, awaiting(approvers="the lab"))

    def test_it_is_asked_for_once(self) -> None:
        here = world(gpu(), leases=[waits(1), waits(2)])
        self.assert_plans(here, RequestApproval("gpu", "builder/tests", 1))
        asked = authorization("builder/tests", REQUESTED, "gpu", id=4)
        here = world(gpu(), leases=[waits(1), waits(2)], authorizations=[asked])
        self.assert_plans(here)
        self.assert_reasons(here, 2, awaiting(authorization=4, requested_at=A_WHILE_AGO))

    def test_it_is_asked_for_each_subject_and_blueprint(self) -> None:
        here = world(gpu(), gpu(), leases=[waits(1), lease(2, owner="person/bob")])
        self.assertEqual(
            self.planned(
                world(gpu(), leases=[waits(1), lease(2, owner="person/bob")]), RequestApproval
            ),
            [RequestApproval("gpu", "builder/tests", 1), RequestApproval("gpu", "person/bob", 2)],
        )
        other = blueprint("farm", needs_approval=True)
        here = world(gpu(), other, leases=[waits(1)])
        self.assertEqual(
            self.planned(here, RequestApproval),
            [
                RequestApproval("gpu", "builder/tests", 1),
                RequestApproval("farm", "builder/tests", 1),
            ],
        )

    def test_it_is_not_asked_for_while_something_else_comes(self) -> None:
        linux = blueprint("linux")
        self.assert_plans(
            world(gpu(), linux, leases=[waits()]), BuildResource("linux", 0, {}, built_for=1)
        )
        here = world(gpu(), linux, resources=[pending(1)], leases=[waits()])
        self.assert_plans(here)
        self.assertIsInstance(self.reasons(here)[0], Booting)
        self.assertEqual(self.reasons(here)[1], awaiting())

    def test_it_is_asked_for_when_all_else_is_full(self) -> None:
        linux, busy = blueprint("linux"), resource(1)
        here = world(gpu(), linux, resources=[busy], leases=[waits(), lease(2, on=busy)])
        self.assert_plans(here, RequestApproval("gpu", "builder/tests", 1))
        self.assertIsInstance(self.reasons(here)[0], Full)

    def test_what_no_row_can_hold_is_not_asked_for(self) -> None:
        for name in ("x" * 200, "a\0b", "\ud800", "blank "):
            one = lease(owner=f"person/{name}")
            here = world(gpu(), leases=[one])
            self.assert_plans(here)
            self.assert_reasons(here, 1, awaiting(subject=f"person/{name}"))

    def test_an_approved_lease_is_served_as_any_other(self) -> None:
        yes, one = authorization("project/lab", APPROVED, "gpu"), waits()
        self.assert_plans(
            world(gpu(), leases=[one], authorizations=[yes]),
            BuildResource("gpu", 0, {}, built_for=1),
        )
        free = resource(1, "gpu")
        self.assert_plans(
            world(gpu(), resources=[free], leases=[one], authorizations=[yes]),
            AcquireLease(one, free, 0, True, authorized_by="approval of project/lab by ana"),
        )

    def test_who_waits_for_approval_does_not_hold_up_who_has_it(self) -> None:
        free, ana = resource(1, "gpu"), lease(2, owner="person/ana")
        yes = authorization("person/ana", APPROVED, "gpu")
        (given,) = self.planned(
            world(gpu(), resources=[free], leases=[waits(), ana], authorizations=[yes]),
            AcquireLease,
        )
        self.assertEqual((given.lease, given.authorized_by), (ana, "approval of person/ana by ana"))

    def test_a_paused_blueprint_is_asked_for_all_the_same(self) -> None:
        from buildbot_drydock.model import Mode

        here = world(gpu(state=state(mode=Mode.PAUSED)), leases=[waits()])
        self.assert_plans(here, RequestApproval("gpu", "builder/tests", 1))

    def reasons(self, here: Any, number: int = 1) -> Any:
        from buildbot_drydock.planner import plan

        return plan(here).reasons[number]


class TestDeclining(PlannerTestCase):
    def test_what_was_declined_breaks_if_nothing_else_could_serve_it(self) -> None:
        one = waits()
        self.assert_plans(
            world(gpu(), leases=[one], authorizations=[NO]),
            BreakLease(one, "gpu may not be used by builder/tests, which ana declined: no"),
        )

    def test_what_does_not_fit_could_not_serve_it_either(self) -> None:
        one = waits(requires={"gpu": "yes"})
        fitting, other = gpu(labels={"gpu": "yes"}), blueprint("linux")
        here = world(fitting, other, leases=[one], authorizations=[NO])
        (broken,) = self.planned(here, BreakLease)
        self.assertIn("which ana declined: no; linux never fits", broken.reason)

    def test_it_waits_if_another_blueprint_could_serve_it_some_day(self) -> None:
        from buildbot_drydock.model import Mode

        for other in (
            blueprint("linux", state=state(mode=Mode.DISABLED)),
            blueprint("linux", limit=0),
            blueprint("linux", allow=()),
            blueprint("linux", needs_approval=True),
        ):
            here = world(gpu(), other, leases=[waits()], authorizations=[NO])
            self.assertEqual(self.planned(here, BreakLease), [])
            from buildbot_drydock.planner import plan

            self.assertIn(declined(), plan(here).reasons[1])

    def test_a_blueprint_that_it_did_not_ask_for_could_not(self) -> None:
        one = waits(blueprints=("gpu",))
        here = world(gpu(), blueprint("linux"), leases=[one], authorizations=[NO])
        self.assertEqual([each.lease for each in self.planned(here, BreakLease)], [one])

    def test_each_master_judges_its_own_leases(self) -> None:
        here = world(gpu(), leases=[waits(master=2)], authorizations=[NO])
        self.assert_plans(here)
        self.assert_reasons(here, 1, declined())

    def test_who_holds_a_slot_keeps_it_when_its_approval_is_withdrawn(self) -> None:
        on = resource(1, "gpu")
        held = waits(on=on)
        self.assert_plans(world(gpu(), resources=[on], leases=[held], authorizations=[NO]))

    def test_a_lease_that_went_back_to_the_pool_is_judged_anew(self) -> None:
        one = waits(returns=("its host vanished",))
        here = world(gpu(), leases=[one], authorizations=[NO])
        self.assertEqual([each.lease for each in self.planned(here, BreakLease)], [one])
