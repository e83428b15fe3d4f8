"""What every store must do about resources that are parked and woken."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock import events
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import Observed, Power, Resource
from buildbot_drydock.testing.money_contract import MoneyContract
from buildbot_drydock.testing.store_case import NOON, RELEASED, RESOURCE_BROKEN, RESOURCE_RELEASED


def changed(power: Power) -> events.ResourcePowerChanged:
    return events.ResourcePowerChanged(power=power.value, reason="as the test wants it")


class PowerContract(MoneyContract):
    """A part of ``StoreContract``."""

    async def powered(self, seen: Resource, *powers: Power) -> Resource:
        row: Resource | None = seen
        for power in powers:
            assert row is not None
            row = await self.store.set_power(row, power, changed(power))
        assert row is not None
        return row

    async def test_a_resource_runs_at_first(self) -> None:
        resource = await self.active()
        self.assertEqual((resource.power, resource.power_since), (Power.RUNNING, None))
        self.assertEqual(resource.parked_seconds, 0.0)

    async def test_that_it_is_to_be_parked_is_written_down_with_its_time(self) -> None:
        resource = await self.active()
        self.clock.advance(7)
        parking = await self.powered(resource, Power.PARKING)
        expected = replace(
            resource, version=resource.version + 1, power=Power.PARKING, power_since=NOON + 7
        )
        self.assertEqual(parking, expected)
        self.assertEqual((await self.other.rows()).resources, (expected,))
        last = (await self.recorded(resource=resource.id))[-1]
        self.assertEqual(last, changed(Power.PARKING))

    async def test_how_long_it_was_parked_is_added_up(self) -> None:
        resource = await self.active()
        for seconds in (100.0, 20.5):
            resource = await self.powered(resource, Power.PARKING)
            self.clock.advance(9)
            resource = await self.powered(resource, Power.PARKED)
            self.clock.advance(seconds)
            resource = await self.powered(resource, Power.WAKING)
            self.clock.advance(11)
            resource = await self.powered(resource, Power.RUNNING)
        self.assertAlmostEqual(resource.parked_seconds, 120.5, places=3)
        self.assertEqual(await self.other.resource(resource.id), resource)

    async def test_where_it_is_found_when_it_runs_again_is_written_down(self) -> None:
        waking = await self.powered(await self.active(), Power.PARKING, Power.PARKED, Power.WAKING)
        host = Observed(token=waking.token, identity="i-1", address="10.0.0.7", data={"a": "b"})
        running = await self.store.set_power(
            waking, Power.RUNNING, changed(Power.RUNNING), observed=host
        )
        assert running is not None
        self.assertEqual((running.identity, running.address), ("i-1", "10.0.0.7"))
        self.assertEqual(dict(running.data), {"a": "b"})
        self.assertEqual(await self.other.resource(running.id), running)

    async def test_what_a_lease_holds_a_slot_of_is_not_parked(self) -> None:
        resource = await self.active()
        lease, resource = await self.leased(resource)
        for seen in (resource, await self.after(lease, resource)):
            before = await self.store.events()
            refused = await self.other.set_power(seen, Power.PARKING, changed(Power.PARKING))
            self.assertIsNone(refused)
            await self.assert_unchanged_by([seen], [], before)

    async def after(self, lease: object, resource: Resource) -> Resource:
        """Return the resource once its lease was released, and its slot not vacated yet."""
        (held,) = (await self.store.rows()).leases
        self.assertEqual(held, lease)
        await self.store.move_lease(held, LeaseEvent.RELEASE, RELEASED)
        row = await self.store.resource(resource.id)
        assert row is not None
        return row

    async def test_what_was_leased_since_it_was_seen_is_not_parked(self) -> None:
        seen = await self.active()
        await self.leased(seen)
        refused = await self.other.set_power(seen, Power.PARKING, changed(Power.PARKING))
        self.assertIsNone(refused)

    async def test_a_slot_is_claimed_only_while_it_runs(self) -> None:
        resource = await self.active()
        pending = await self.requested()
        for power in (Power.PARKING, Power.PARKED, Power.WAKING):
            resource = await self.powered(resource, power)
            self.assertEqual(
                list(await self.store.acquire([self.claim(pending, resource)])), [None]
            )
        resource = await self.powered(resource, Power.RUNNING)
        (lease,) = await self.store.acquire([self.claim(pending, resource)])
        self.assertIsNotNone(lease)

    async def test_a_claim_made_before_it_was_parked_is_refused(self) -> None:
        seen = await self.active()
        pending = await self.requested()
        await self.powered(seen, Power.PARKING)
        self.assertEqual(list(await self.store.acquire([self.claim(pending, seen)])), [None])

    async def test_of_two_masters_one_parks_or_wakes_it(self) -> None:
        seen = await self.active()
        for power in (Power.PARKING, Power.PARKED, Power.WAKING):
            won = await self.store.set_power(seen, power, changed(power))
            before = await self.store.events()
            self.assertIsNone(await self.other.set_power(seen, power, changed(power)))
            assert won is not None
            await self.assert_unchanged_by([won], [], before)
            seen = won

    async def test_what_has_ended_is_neither_parked_nor_woken(self) -> None:
        for event, record in (
            (ResourceEvent.RELEASE, RESOURCE_RELEASED),
            (ResourceEvent.BREAK, RESOURCE_BROKEN),
        ):
            ended = await self.moved(await self.active(), (event, record))
            before = await self.store.events()
            self.assertIsNone(
                await self.store.set_power(ended, Power.PARKING, changed(Power.PARKING))
            )
            await self.assert_unchanged_by([ended], [], before)
            await self.moved(ended, (ResourceEvent.GONE, events.ResourceDestroyed()))

    async def test_what_is_parked_can_be_released(self) -> None:
        parked = await self.powered(await self.active(), Power.PARKING, Power.PARKED)
        released = await self.moved(parked, (ResourceEvent.RELEASE, RESOURCE_RELEASED))
        self.assertEqual(released.power, Power.PARKED)

    async def test_to_wake_within_a_budget_gives_the_blueprint_a_new_version(self) -> None:
        parked = await self.powered(await self.active(), Power.PARKING, Power.PARKED)
        seen = await self.state()
        record = changed(Power.WAKING)
        waking = await self.store.set_power(parked, Power.WAKING, record, within=seen)
        self.assertIsNotNone(waking)
        self.assertEqual(await self.state(), replace(seen, version=seen.version + 1))

    async def test_to_wake_on_a_stale_budget_leaves_nothing_behind(self) -> None:
        parked = await self.powered(await self.active(), Power.PARKING, Power.PARKED)
        first = await self.state()
        await self.launched(5, first)
        second = await self.state()
        await self.launched(6, second)
        now, before = await self.state(), await self.store.events()
        record = changed(Power.WAKING)
        for stale in (first, second):
            woken = await self.store.set_power(parked, Power.WAKING, record, within=stale)
            self.assertIsNone(woken)
        self.assertEqual(await self.state(), now)
        await self.assert_unchanged_by([parked], [], before)

    async def test_what_can_not_be_woken_spends_nothing(self) -> None:
        stale = await self.powered(await self.active(), Power.PARKING)
        await self.powered(stale, Power.PARKED)
        seen = await self.state()
        record = changed(Power.WAKING)
        self.assertIsNone(await self.store.set_power(stale, Power.WAKING, record, within=seen))
        self.assertEqual(await self.state(), seen)
