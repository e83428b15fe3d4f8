"""What every store must do about hosts that are given notice."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock import events
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import Notice
from buildbot_drydock.testing.listed_host_contract import ListedHostContract
from buildbot_drydock.testing.store_case import NOON, RELEASED, RETURNED

NOTICE = Notice(reason="interrupted", ends_at=NOON + 120.25)
GIVEN = events.ResourceGivenNotice.of(NOTICE, NOON)


class NoticeContract(ListedHostContract):
    """A part of ``StoreContract``."""

    async def test_a_notice_is_written_down_and_a_newer_one_replaces_it(self) -> None:
        resource = await self.active()
        first = await self.store.give_notice(resource, NOTICE, GIVEN)
        assert first is not None
        self.assertEqual(
            first,
            replace(
                resource,
                version=resource.version + 1,
                ends_at=NOTICE.ends_at,
                end_reason="interrupted",
            ),
        )
        self.assertEqual((await self.other.rows()).resources, (first,))
        soon = Notice(reason="soon")
        second = await self.other.give_notice(first, soon, events.ResourceGivenNotice.of(soon, 0))
        assert second is not None
        self.assertEqual((second.ends_at, second.notice), (None, soon))
        self.assertEqual(await self.store.resource(resource.id), second)

    async def test_a_notice_to_a_stale_resource_changes_nothing(self) -> None:
        stale = await self.active()
        first = await self.store.give_notice(stale, NOTICE, GIVEN)
        assert first is not None
        before = await self.store.events()
        self.assertIsNone(await self.other.give_notice(stale, Notice(reason="late"), GIVEN))
        await self.assert_unchanged_by([first], [], before)

    async def test_a_claim_made_before_a_notice_was_seen_is_refused(self) -> None:
        resource = await self.active()
        pending = await self.requested()
        await self.store.give_notice(resource, NOTICE, GIVEN)
        self.assertEqual(list(await self.store.acquire([self.claim(pending, resource)])), [None])
        self.assertEqual((await self.store.rows()).leases, (pending,))

    async def test_a_notice_is_recorded_beside_each_lease_that_may_use_the_host(self) -> None:
        resource = await self.active()
        ended, resource = await self.leased(resource, 0)
        await self.store.move_lease(ended, LeaseEvent.RELEASE, RELEASED)
        used, resource = await self.leased(resource, 1)
        prepared, resource = await self.leased(resource, 2, activate=False)
        elsewhere, _ = await self.leased(await self.active(1))
        await self.store.give_notice(resource, NOTICE, GIVEN)
        for lease in (used, prepared):
            (*_, last) = await self.store.events(lease=lease.id)
            self.assertEqual((last.event, last.blueprint), (GIVEN, "linux"))
        for lease in (ended, elsewhere):
            self.assertNotIn(GIVEN, await self.recorded(lease=lease.id))
        self.assertEqual((await self.recorded(resource=resource.id)).count(GIVEN), 1)

    async def test_a_lease_remembers_since_when_it_has_its_slot(self) -> None:
        resource = await self.active()
        self.clock.advance(5)
        lease, _ = await self.leased(resource, activate=False)
        self.assertEqual(lease.held_since, NOON + 5)
        self.clock.advance(5)
        record = events.LeaseActivated()
        active = await self.store.move_lease(lease, LeaseEvent.ACTIVATE, record)
        assert active is not None
        self.assertEqual(active.held_since, NOON + 5)
        self.assertEqual(await self.other.lease(lease.id), active)
        ended = await self.vacated(active)
        self.assertEqual((ended.held_since, ended.since), (NOON + 5, NOON + 10))

    async def test_a_lease_that_went_back_has_no_slot(self) -> None:
        lease, _ = await self.leased(await self.active(), activate=False)
        back = await self.store.move_lease(lease, LeaseEvent.RETURN, RETURNED, reason="lost")
        assert back is not None
        self.assertIsNone(back.held_since)
        self.assertEqual(await self.other.lease(lease.id), back)
