"""Decisions of administrators."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.approvals import Approvals
from buildbot_drydock.model import Authorization, AuthorizationStatus, Rows
from buildbot_drydock.testing.builders import NOW
from tests.unit.core import CoreTestCase

APPROVED, DECLINED = AuthorizationStatus.APPROVED, AuthorizationStatus.DECLINED


class TestDeciding(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.approvals = Approvals(self.store, self.wake, lambda: ["linux"])

    def decide(
        self,
        status: AuthorizationStatus = APPROVED,
        blueprint: str = "linux",
        subject: str = "builder/tests",
        **fields: str,
    ) -> Authorization:
        arguments = {"actor": "ana", **fields}
        return self.now(self.approvals.decide(blueprint, subject, status, **arguments))

    def asked(self) -> None:
        record = events.AuthorizationRequested(subject="builder/tests")
        self.now(self.store.request_authorization("linux", "builder/tests", record, lease=3))

    def test_it_is_written_down_with_its_author_and_asks_for_a_turn(self) -> None:
        self.asked()
        row = self.decide(reason="for a week")
        self.assertEqual(
            (row.status, row.author, row.decided_at, row.reason, row.lease),
            (APPROVED, "ana", NOW, "for a week", 3),
        )
        self.assertEqual(self.wakes, 1)
        self.assertEqual(
            self.recorded(events.AuthorizationDecided),
            [
                events.AuthorizationDecided(
                    actor="ana",
                    subject="builder/tests",
                    status="approved",
                    before="requested",
                    reason="for a week",
                )
            ],
        )

    def test_it_may_come_before_anybody_asks(self) -> None:
        self.assertEqual((self.decide().version, self.decide(DECLINED).version), (1, 2))
        befores = [event.before for event in self.recorded(events.AuthorizationDecided)]
        self.assertEqual(befores, ["", "approved"])

    def test_the_same_again_changes_nothing_but_another_reason_does(self) -> None:
        first = self.decide(reason="x")
        self.assertEqual(self.decide(reason="x", actor="bob"), first)
        self.assertEqual(self.wakes, 1)
        self.assertEqual(self.decide(reason="y", actor="bob").author, "bob")

    def test_of_two_the_later_one_counts(self) -> None:
        self.asked()
        rows, others = self.store.rows, [DECLINED]

        async def overtaken(**arguments: Any) -> Rows:
            found = await rows(**arguments)
            if others:
                seen = found.authorizations["linux", "builder/tests"]
                record = events.AuthorizationDecided(
                    subject="builder/tests", status="declined", before="", reason=""
                )
                await self.store.decide_authorization(seen, others.pop(), record, author="bob")
            return found

        self.patch(self.store, "rows", overtaken)
        row = self.decide()
        self.assertEqual((row.status, row.author, row.version), (APPROVED, "ana", 3))

    def test_what_would_change_nothing_is_refused_with_a_remedy(self) -> None:
        for fields, message in (
            ({"blueprint": "gpu"}, "blueprint: 'gpu' needs no approval.*needs_approval=True"),
            ({"subject": "tests"}, "subject: 'tests' is neither.*builder/NAME"),
            ({"subject": "worker/linux-001"}, "subject"),
            ({"subject": "builder/"}, "subject"),
            ({"subject": "builder/tests "}, "subject"),
        ):
            arguments = {"blueprint": "linux", "subject": "builder/tests", **fields}
            deciding = self.approvals.decide(status=APPROVED, actor="ana", **arguments)
            failure = self.failureResultOf(Deferred.fromCoroutine(deciding), ValueError)
            self.assertRegex(str(failure.value), message)
        self.assertEqual(self.recorded(events.AuthorizationDecided), [])
