"""What every store must do about who may use a blueprint."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock import events
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import (
    Authorization,
    Authorizations,
    AuthorizationStatus,
    BlueprintState,
    Lease,
    LeaseStatus,
)
from buildbot_drydock.testing.money_contract import MoneyContract
from buildbot_drydock.testing.store_case import NOON, RETURNED

ASKED = events.AuthorizationRequested(subject="builder/tests")
APPROVED, DECLINED = AuthorizationStatus.APPROVED, AuthorizationStatus.DECLINED


class AccessContract(MoneyContract):
    """A part of ``StoreContract``."""

    async def known(self, *blueprints: str) -> Authorizations:
        rows = await self.other.rows(authorizations_of=blueprints)
        return rows.authorizations

    async def asked(
        self, subject: str = "builder/tests", blueprint: str = "linux"
    ) -> Authorization:
        record = events.AuthorizationRequested(subject=subject)
        row = await self.store.request_authorization(blueprint, subject, record, lease=7)
        assert row is not None
        return row

    async def decided(
        self, seen: Authorization, status: AuthorizationStatus, reason: str = ""
    ) -> Authorization | None:
        record = events.AuthorizationDecided(
            actor="ana",
            subject=seen.subject,
            status=status.value,
            before=seen.status.value,
            reason=reason,
        )
        return await self.store.decide_authorization(
            seen, status, record, author="ana", reason=reason
        )

    async def test_a_lease_remembers_in_whose_name_it_asks(self) -> None:
        subjects = ("builder/tésts", "project/lab", "worker/linux-001")
        lease = await self.requested(subjects=subjects)
        self.assertEqual(lease.subjects, subjects)
        self.assertEqual((await self.other.rows()).leases, (lease,))

    async def test_a_request_is_noted_with_its_time_and_lease(self) -> None:
        row = await self.asked()
        expected = Authorization(
            id=row.id,
            blueprint="linux",
            subject="builder/tests",
            version=1,
            requested_at=NOON,
            lease=7,
        )
        self.assertEqual(row, expected)
        self.assertEqual(await self.known("linux"), {("linux", "builder/tests"): expected})
        self.assertEqual(await self.recorded(lease=7), [ASKED])
        (entry,) = await self.store.events()
        self.assertEqual((entry.blueprint, entry.lease), ("linux", 7))

    async def test_of_two_masters_that_ask_for_the_same_one_adds_a_row(self) -> None:
        row = await self.asked()
        before = await self.store.events()
        again = await self.other.request_authorization("linux", "builder/tests", ASKED, lease=8)
        self.assertIsNone(again)
        self.assertEqual(await self.known("linux"), {("linux", "builder/tests"): row})
        self.assertEqual(list(await self.store.events()), list(before))

    async def test_what_differs_in_anything_is_asked_for_separately(self) -> None:
        subjects = ("builder/tests", "builder/Tests", "builder/tésts", "project/tests")
        rows = [await self.asked(subject) for subject in subjects]
        rows += [await self.asked("builder/tests", "Linux")]
        self.assertEqual(len({row.id for row in rows}), 5)
        self.assertEqual(len(await self.known("linux")), 4)

    async def test_only_what_was_decided_of_the_blueprints_named_is_read(self) -> None:
        linux, gpu = await self.asked(), await self.asked(blueprint="gpu")
        self.assertEqual(await self.known(), {})
        self.assertEqual(await self.known("gpu"), {("gpu", "builder/tests"): gpu})
        self.assertEqual(list((await self.known("gpu", "linux")).values()), [linux, gpu])

    async def test_a_decision_is_written_down_with_author_time_and_reason(self) -> None:
        asked = await self.asked()
        self.clock.advance(7)
        row = await self.decided(asked, APPROVED, "for a week")
        expected = replace(
            asked,
            status=APPROVED,
            version=2,
            author="ana",
            decided_at=NOON + 7,
            reason="for a week",
        )
        self.assertEqual(row, expected)
        self.assertEqual(await self.known("linux"), {("linux", "builder/tests"): expected})
        entry = (await self.store.events())[-1]
        self.assertEqual((entry.event.actor, entry.blueprint), ("ana", "linux"))

    async def test_what_nobody_asked_for_can_be_decided(self) -> None:
        seen = Authorization(blueprint="linux", subject="person/bob")
        row = await self.decided(seen, DECLINED)
        assert row is not None
        self.assertEqual((row.version, row.requested_at, row.lease), (1, NOON, None))
        self.assertEqual(await self.known("linux"), {("linux", "person/bob"): row})
        self.assertIsNone(await self.decided(seen, APPROVED))
        record = events.AuthorizationRequested(subject="person/bob")
        again = await self.other.request_authorization("linux", "person/bob", record)
        self.assertIsNone(again)

    async def test_a_decision_from_a_stale_row_changes_nothing(self) -> None:
        asked = await self.asked()
        approved = await self.decided(asked, APPROVED)
        state = await self.state()
        before = await self.store.events()
        self.assertIsNone(await self.decided(asked, DECLINED))
        self.assertEqual(await self.known("linux"), {("linux", "builder/tests"): approved})
        self.assertEqual(await self.state(), state)
        self.assertEqual(list(await self.store.events()), list(before))

    async def test_each_decision_gives_the_blueprint_a_new_version_and_keeps_its_state(
        self,
    ) -> None:
        asked = await self.asked()
        self.assertEqual(await self.state(), BlueprintState(name="linux"))
        approved = await self.decided(asked, APPROVED)
        assert approved is not None
        self.assertEqual(await self.state(), BlueprintState(name="linux", version=1))
        wanted = BlueprintState(name="linux", failures=3, last_error="no capacity")
        record = events.LaunchFailed(
            error="no capacity", failures=3, retry_at=None, budget_spent=False
        )
        await self.store.change_blueprint(await self.state(), wanted, record)
        await self.decided(approved, DECLINED)
        self.assertEqual(await self.state(), replace(wanted, version=3))

    async def given(self, within: BlueprintState | None) -> Lease | None:
        """Try to give a lease a slot, as of a state of the blueprint."""
        resource, lease = await self.active(), await self.requested()
        claim = replace(self.claim(lease, resource), within=within, authorized_by="allow *")
        (row,) = await self.other.acquire([claim])
        return row

    async def test_a_lease_that_is_given_says_what_authorized_it(self) -> None:
        row = await self.given(None)
        assert row is not None
        self.assertEqual(row.authorized_by, "allow *")
        self.assertEqual((await self.store.rows()).leases, (row,))

    async def test_a_returned_lease_is_authorized_by_nothing_any_more(self) -> None:
        resource, lease = await self.active(), await self.requested()
        claim = replace(self.claim(lease, resource, activate=False), authorized_by="allow *")
        (row,) = await self.store.acquire([claim])
        assert row is not None
        back = await self.store.move_lease(row, LeaseEvent.RETURN, RETURNED)
        assert back is not None
        self.assertEqual((back.status, back.authorized_by), (LeaseStatus.PENDING, ""))
        self.assertEqual((await self.other.rows()).leases, (back,))

    async def test_no_lease_is_given_once_the_approval_was_withdrawn(self) -> None:
        approved = await self.decided(await self.asked(), APPROVED)
        assert approved is not None
        seen = await self.state()
        await self.decided(approved, DECLINED)
        self.assertIsNone(await self.given(seen))
        rows = await self.store.rows()
        self.assertEqual([lease.status for lease in rows.leases], [LeaseStatus.PENDING])
        self.assertEqual([resource.uses for resource in rows.resources], [0])

    async def test_no_lease_is_given_after_the_first_decision_was_not_seen(self) -> None:
        seen = await self.state()
        await self.decided(Authorization(blueprint="linux", subject="person/bob"), DECLINED)
        self.assertIsNone(await self.given(seen))

    async def test_a_lease_is_given_while_nothing_was_decided(self) -> None:
        self.assertIsNotNone(await self.given(await self.state()))
        self.assertEqual(await self.state(), BlueprintState(name="linux", version=1))

    async def test_a_lease_is_given_after_a_decision_that_was_seen(self) -> None:
        await self.decided(await self.asked(), APPROVED)
        self.assertIsNotNone(await self.given(await self.state()))

    async def test_a_decision_about_another_blueprint_does_not_matter(self) -> None:
        await self.decided(await self.asked(), APPROVED)
        seen = await self.state()
        await self.decided(await self.asked(blueprint="gpu"), DECLINED)
        self.assertIsNotNone(await self.given(seen))

    async def test_of_a_batch_only_what_the_decision_is_about_fails(self) -> None:
        gpu, linux = await self.active(blueprint="gpu"), await self.active(1)
        unseen = BlueprintState(name="gpu")
        await self.decided(await self.asked(blueprint="gpu"), DECLINED)
        one, two, three = [await self.requested() for _ in range(3)]
        claims = [
            replace(self.claim(one, gpu), within=unseen),
            self.claim(two, linux),
            replace(self.claim(three, gpu, 1), within=replace(unseen, version=1)),
        ]
        found = await self.store.acquire(claims)
        self.assertEqual([row is not None for row in found], [False, True, True])
