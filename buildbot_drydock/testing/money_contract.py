"""What every store must do about money."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock import events, slotlocks
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import BlueprintState, Observed, Power, Resource, ResourceRequest
from buildbot_drydock.testing.notice_contract import NoticeContract
from buildbot_drydock.testing.store_case import NOON, RESOURCE_BROKEN

PRICED = events.ResourcePriced(hourly_price=0.0416, before=None)


class MoneyContract(NoticeContract):
    """A part of ``StoreContract``."""

    async def launched(self, place: int, within: BlueprintState | None) -> Resource | None:
        request = ResourceRequest(
            blueprint="linux",
            token=f"drydock-{place}",
            place=place,
            locks=(slotlocks.place("linux", place),),
        )
        record = events.ResourceRequested(built_for=None)
        return await self.store.add_resource(request, record, within=within)

    async def state(self) -> BlueprintState:
        rows = await self.other.rows()
        return rows.blueprints.get("linux", BlueprintState(name="linux"))

    async def test_a_price_is_written_down_with_its_time(self) -> None:
        resource = await self.active()
        self.clock.advance(7)
        priced = await self.store.set_price(resource, 0.0416, PRICED)
        expected = replace(
            resource, version=resource.version + 1, hourly_price=0.0416, priced_at=NOON + 7
        )
        self.assertEqual(priced, expected)
        self.assertEqual((await self.other.rows()).resources, (expected,))
        self.assertEqual((await self.recorded(resource=resource.id))[-1], PRICED)

    async def spent(self, *blueprints: str) -> dict[str, float]:
        rows = await self.other.rows(spent_by=blueprints)
        return {name: round(cost, 6) for name, cost in rows.spent.items()}

    async def test_what_is_destroyed_has_cost_its_life_as_far_as_that_is_of_the_last_day(
        self,
    ) -> None:
        """It lived for two hours, of which it was parked for one."""
        priced = await self.store.set_price(await self.active(), 0.5, PRICED)
        other = await self.store.set_price(await self.active(blueprint="other"), 8.0, PRICED)
        unpriced = await self.active(1)
        assert priced is not None
        assert other is not None
        self.clock.advance(3600)
        record = events.ResourcePowerChanged(power="parked", reason="")
        parked = await self.store.set_power(priced, Power.PARKED, record)
        assert parked is not None
        self.clock.advance(3600)
        self.assertEqual(await self.spent("linux", "other"), {}, "they live")
        for row in (parked, other, unpriced):
            await self.destroyed(row)
        self.assertEqual(await self.spent("linux", "other"), {"linux": 0.5, "other": 16.0})
        self.assertEqual((await self.spent("linux"), await self.spent()), ({"linux": 0.5}, {}))
        self.clock.advance(23 * 3600)
        self.assertEqual(await self.spent("linux", "other"), {"linux": 0.5, "other": 8.0})
        self.clock.advance(3600)
        self.assertEqual(await self.spent("linux", "other"), {})

    async def test_a_price_of_a_stale_resource_changes_nothing(self) -> None:
        stale = await self.active()
        broken = await self.moved(stale, (ResourceEvent.BREAK, RESOURCE_BROKEN))
        before = await self.store.events()
        self.assertIsNone(await self.other.set_price(stale, 0.0416, PRICED))
        await self.assert_unchanged_by([broken], [], before)

    async def test_a_price_that_is_seen_with_a_host_stays_known(self) -> None:
        added = await self.added()
        record = events.ResourceReady(address="", seconds=1.0, hourly_price=0.0416)
        host = Observed(token=added.token, hourly_price=0.0416)
        active = await self.store.move_resource(added, ResourceEvent.READY, record, observed=host)
        assert active is not None
        self.assertEqual((active.hourly_price, active.priced_at), (0.0416, NOON))
        broken = await self.store.move_resource(
            active, ResourceEvent.BREAK, RESOURCE_BROKEN, observed=Observed(token=added.token)
        )
        assert broken is not None
        self.assertEqual((broken.hourly_price, broken.priced_at), (0.0416, NOON))
        self.assertEqual(await self.other.resource(added.id), broken)

    async def test_a_launch_within_a_budget_gives_its_blueprint_a_new_version(self) -> None:
        seen = await self.state()
        self.assertIsNotNone(await self.launched(0, seen))
        now = await self.state()
        self.assertEqual(now, replace(seen, version=1))
        self.assertIsNotNone(await self.launched(1, now))
        self.assertEqual((await self.state()).version, 2)

    async def test_a_launch_on_a_stale_budget_leaves_nothing_behind(self) -> None:
        seen = await self.state()
        await self.launched(0, seen)
        now, before = await self.state(), await self.store.events()
        for stale in (seen, replace(now, version=now.version + 1)):
            self.assertIsNone(await self.launched(1, stale))
        self.assertEqual(await self.state(), now)
        self.assertEqual(list(await self.store.events()), list(before))
        self.assertIsNotNone(await self.launched(1, now), "its place was not taken")

    async def test_a_launch_for_want_of_a_place_spends_nothing(self) -> None:
        seen = await self.state()
        await self.launched(0, seen)
        now = await self.state()
        self.assertIsNone(await self.launched(0, now))
        self.assertEqual(await self.state(), now)

    async def test_a_launch_keeps_what_else_is_known_of_its_blueprint(self) -> None:
        wanted = BlueprintState(name="linux", failures=3, last_error="throttled", retry_at=9.5)
        record = events.LaunchFailed(
            error="throttled", failures=3, retry_at=9.5, budget_spent=False
        )
        state = await self.store.change_blueprint(BlueprintState(name="linux"), wanted, record)
        assert state is not None
        await self.launched(0, state)
        self.assertEqual(await self.state(), replace(wanted, version=2))
