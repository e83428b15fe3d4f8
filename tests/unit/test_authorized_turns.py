"""Turns of a master whose blueprint is not for everybody."""

from __future__ import annotations

from typing import Any

from buildbot_drydock import events
from buildbot_drydock.actions import AcquireLease, BuildResource, RequestApproval, SettleResource
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import (
    Authorization,
    AuthorizationStatus,
    LeaseStatus,
    Observed,
    Resource,
    Rows,
)
from buildbot_drydock.testing.builders import blueprint
from tests.unit.core import CoreTestCase

APPROVED, DECLINED = AuthorizationStatus.APPROVED, AuthorizationStatus.DECLINED
TESTS = ("builder/tests",)


class TurnsTestCase(CoreTestCase):
    def decide(self, status: AuthorizationStatus, subject: str = "builder/tests") -> None:
        seen = self.known().get(
            ("linux", subject), Authorization(blueprint="linux", subject=subject)
        )
        record = events.AuthorizationDecided(
            actor="ana", subject=subject, status=status.value, before="", reason="no"
        )
        decided = self.store.decide_authorization(seen, status, record, author="ana", reason="no")
        self.assertIsNotNone(self.now(decided))

    def known(self) -> Any:
        return self.now(self.store.rows(authorizations_of=["linux"])).authorizations

    def active(self) -> Resource:
        token = f"token-{self.tokens + 1}"
        self.now(self.executor.run([BuildResource("linux", 0, {}, None)], self.blueprints))
        (row,) = self.resources()
        ready = SettleResource(row, ResourceEvent.READY, "it answers", Observed(token=token))
        self.now(self.executor.run([ready], self.blueprints))
        return self.resource(row.id)


class TestTurns(TurnsTestCase):
    def test_approval_is_asked_for_once_and_given_later(self) -> None:
        self.configure(blueprint(needs_approval=True))
        self.request(subjects=TESTS)
        self.settle()
        self.assertEqual(
            self.recorded(events.AuthorizationRequested),
            [events.AuthorizationRequested(subject="builder/tests")],
        )
        self.assertEqual((len(self.resources()), self.lease().status), (0, LeaseStatus.PENDING))
        self.decide(APPROVED)
        self.settle()
        self.later(1.0)
        self.assertEqual(self.lease().status, LeaseStatus.ACTIVE)
        self.assertEqual(self.lease().authorized_by, "approval of builder/tests by ana")

    def test_what_is_declined_breaks_with_the_reason(self) -> None:
        self.configure(blueprint(needs_approval=True))
        self.request(subjects=TESTS)
        self.settle()
        self.decide(DECLINED)
        self.settle()
        self.assertIn("ana declined: no", self.now(self.store.lease(1)).reason)

    def test_decisions_are_read_only_where_they_count(self) -> None:
        asked: list[tuple[str, ...]] = []
        rows = self.store.rows

        async def noted(*, authorizations_of: Any = ()) -> Rows:
            asked.append(tuple(authorizations_of))
            return await rows(authorizations_of=authorizations_of)

        self.patch(self.store, "rows", noted)
        self.turn()
        self.configure(blueprint(allow=("*",)))
        self.turn()
        self.assertEqual(asked, [(), ()])
        self.configure(blueprint(needs_approval=True), blueprint("gpu"))
        self.turn()
        self.assertEqual(asked[2:], [(), ("linux",)], "the first turn after a reconfig")
        self.turn()
        self.assertEqual(asked[4:], [("linux",)])

    def test_a_reconfig_while_rows_are_read_does_not_make_decisions_unknown(self) -> None:
        self.decide(DECLINED)
        rows = self.store.rows

        async def reconfigured(**arguments: Any) -> Rows:
            self.blueprints = (blueprint(allow=("*",), needs_approval=True),)
            return await rows(**arguments)

        self.patch(self.store, "rows", reconfigured)
        world = self.now(self.controller.observe())
        self.assertEqual([key[1] for key in world.authorizations], ["builder/tests"])


class TestExecuting(TurnsTestCase):
    def claim(self, resource: Resource) -> AcquireLease:
        return AcquireLease(self.lease(), resource, 0, True, authorized_by="*")

    def test_a_claim_planned_before_a_withdrawal_fails(self) -> None:
        self.configure(blueprint(needs_approval=True))
        resource = self.active()
        self.request(subjects=TESTS)
        seen = self.blueprints
        self.decide(DECLINED)
        self.assertTrue(self.now(self.executor.run([self.claim(resource)], seen)))
        self.assertEqual(self.lease().status, LeaseStatus.PENDING)

    def test_where_no_approval_is_needed_it_does_not_matter_what_was_decided(self) -> None:
        self.configure(blueprint(allow=("*",)))
        resource = self.active()
        self.request(subjects=TESTS)
        seen = self.blueprints
        self.decide(DECLINED)
        self.now(self.executor.run([self.claim(resource)], seen))
        self.assertEqual(self.lease().authorized_by, "*")

    def test_launches_of_the_same_plan_do_not_make_its_claims_fail(self) -> None:
        self.configure(
            blueprint(limit=9, needs_approval=True, max_hourly_cost=9.0, expected_price=1.0)
        )
        resource = self.active()
        self.configure(
            blueprint(
                limit=9,
                needs_approval=True,
                max_hourly_cost=9.0,
                expected_price=1.0,
                state=self.state(),
            )
        )
        self.request(subjects=TESTS)
        plan = [BuildResource("linux", 1, {}, None), self.claim(resource)]
        self.now(self.executor.run(plan, self.blueprints))
        self.assertEqual(self.lease().status, LeaseStatus.ACTIVE)

    def test_of_two_requests_for_the_same_the_second_changes_nothing(self) -> None:
        for _ in range(2):
            self.now(
                self.executor.run([RequestApproval("linux", "person/bob", 1)], self.blueprints)
            )
        self.assertEqual(len(self.recorded(events.AuthorizationRequested)), 1)
        self.assertEqual(list(self.known()), [("linux", "person/bob")])
