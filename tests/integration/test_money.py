"""What a master makes of hosts that cost money."""

from __future__ import annotations

from buildbot.process.results import SUCCESS

from buildbot_drydock.events import LeaseDestroyed, ResourceDestroyed, ResourceReady
from buildbot_drydock.reasons import OverBudget
from tests.integration.test_worker import Case


class MoneyTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.blueprint |= {"limit": 3, "hourly_price": 2.0, "max_hourly_cost": 3.0}

    async def test_the_planner_knows_what_may_be_spent_and_what_the_next_host_costs(self) -> None:
        await self.start()
        (linux,) = self.service.blueprints(0.0)
        self.assertEqual((linux.max_hourly_cost, linux.expected_price), (3.0, 2.0))
        await self.stop()

    async def test_a_lease_that_there_is_no_money_for_waits_and_says_so(self) -> None:
        await self.start()
        await self.start_building()
        leases = self.service.leases
        waiting = await leases.request(owner="person/ana")
        await self.settle()
        told = OverBudget(blueprint="linux", spent=2.0, limit=3.0, price=2.0)
        self.assertEqual(leases.reasons(waiting.id), (told,))
        self.assertEqual(len(self.cloud.tokens()), 1)
        await leases.release(waiting.id, "done")
        await self.finish(SUCCESS)
        await self.stop()

    async def test_a_lease_that_there_is_no_money_for_in_a_day_waits_and_says_so(self) -> None:
        self.blueprint |= {"max_hourly_cost": None, "max_daily_cost": 3.0, "idle_timeout": 0}
        await self.start()
        first = await self.service.leases.request(owner="person/ana")
        await self.advance(1)
        waiting = await self.service.leases.request(owner="person/bob")
        await self.advance(1)
        (told,) = self.service.leases.reasons(waiting.id)
        assert isinstance(told, OverBudget)
        self.assertEqual((told.period, told.limit, told.price), ("day", 3.0, 2.0))
        self.assertAlmostEqual(told.spent, 2.0, delta=0.01)
        await self.service.leases.release(first.id, "done")
        await self.advance(30)
        living = {lease.id: lease.status.value for lease in await self.leases()}
        self.assertEqual(living, {waiting.id: "active"}, "less than an hour was spent in the end")
        await self.service.leases.release(waiting.id, "done")
        await self.advance(30)
        rows = await self.service.store.rows(spent_by=["linux"])
        self.assertGreater(rows.spent["linux"], 0)
        self.assertEqual(self.service.controller.world.spent.keys(), {"linux"})
        await self.stop()

    async def test_an_idle_worker_makes_way_for_a_lease_that_waits_for_money(self) -> None:
        self.blueprint["choices"] = {"image": ["old", "new"]}
        await self.start()
        number = await self.start_idling()
        waiting = await self.service.leases.request(owner="person/ana", requires={"image": "new"})
        await self.advance(3)
        living = {lease.id: lease.resource for lease in await self.leases()}
        self.assertNotIn(number, living)
        self.assertEqual(living[waiting.id], 2)
        await self.service.leases.release(waiting.id, "done")
        await self.stop()

    async def test_what_a_host_and_a_lease_cost_is_in_the_events(self) -> None:
        self.blueprint["idle_timeout"] = 0
        await self.start()
        await self.start_idling()
        await self.advance(1000)
        events = [each.event for each in await self.service.store.events(limit=1000)]
        (ready,) = [each for each in events if isinstance(each, ResourceReady)]
        self.assertEqual(ready.hourly_price, 2.0)
        (lease,) = [each for each in events if isinstance(each, LeaseDestroyed)]
        (host,) = [each for each in events if isinstance(each, ResourceDestroyed)]
        assert lease.cost is not None
        assert host.cost is not None
        # A worker waits 600 s for its next build.
        self.assertGreaterEqual(lease.cost, 600 / 3600 * 2)
        self.assertLess(lease.cost, 700 / 3600 * 2)
        self.assertLessEqual(lease.cost, host.cost)
        await self.stop()
