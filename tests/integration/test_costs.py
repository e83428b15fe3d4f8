"""What builds and builders cost, as a real master charges them and tells over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from buildbot.interfaces import LatentWorkerCannotSubstantiate
from buildbot.process.results import SUCCESS

from buildbot_drydock.events import LeaseDestroyed, LeaseReleased, ResourceDestroyed
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import Charge
from buildbot_drydock.store import spending
from tests.integration.test_worker import Case
from tests.integration.web import BOB, WebTestCase


class ChargingTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.blueprint |= {"limit": 1, "hourly_price": 3.6, "idle_timeout": 0}

    async def charged(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.master.data.get(("drydock_costs",))
        return rows

    async def told(self, kind: type[Any]) -> list[Any]:
        recorded = [each.event for each in await self.service.store.events(limit=1000)]
        return [each for each in recorded if isinstance(each, kind)]

    async def test_builds_on_one_connected_worker_share_its_lease_by_how_long_they_ran(
        self,
    ) -> None:
        await self.start()
        await self.start_building()
        await self.advance(30)
        await self.finish(SUCCESS)
        await self.request_build()
        await self.advance(90)
        await self.finish(SUCCESS)
        self.assertEqual(list(await self.charged()), [], "the worker waits for its next build")
        await self.advance(2000)
        first, second, rest = await self.charged()
        self.assertEqual((first["buildid"], second["buildid"]), (1, 2))
        self.assertEqual({first["builder"], second["builder"]}, {"tests"})
        self.assertAlmostEqual(first["seconds"], 30, delta=5)
        self.assertAlmostEqual(second["seconds"], 90, delta=5)
        self.assertAlmostEqual(second["cost"] / first["cost"], second["seconds"] / first["seconds"])
        self.assertIsNone(rest["leaseid"])
        (lease,) = await self.told(LeaseDestroyed)
        (host,) = await self.told(ResourceDestroyed)
        self.assertAlmostEqual(first["cost"] + second["cost"], lease.cost)
        self.assertAlmostEqual(lease.cost + rest["cost"], host.cost)
        self.assertGreater(lease.cost, (600 + 120) / 1000, "the wait for a next build is in it")
        await self.stop()

    async def test_a_build_that_never_began_is_charged_with_the_lease_taken_for_it(self) -> None:
        self.pool |= {"login_timeout": 20.0, "max_start_attempts": 1}
        await self.start()
        await self.request_build()
        await self.advance(100)
        self.flushLoggedErrors(LatentWorkerCannotSubstantiate)
        charged = [each for each in await self.charged() if each["buildid"] is not None]
        self.assertEqual(charged[0]["buildid"], 1)
        self.assertEqual(charged[0]["seconds"], 0)
        self.assertGreater(charged[0]["cost"], 0)
        await self.stop()

    async def test_without_a_price_nobody_knows_and_that_is_not_nothing(self) -> None:
        del self.blueprint["hourly_price"]
        await self.start()
        await self.start_building()
        await self.finish(SUCCESS)
        await self.advance(2000)
        self.assertEqual({each["cost"] for each in await self.charged()}, {None})
        sums = await self.master.data.get(("drydock_spending",))
        self.assertEqual([each["cost"] for each in sums], [None, None])
        self.assertEqual([each["unpriced"] for each in sums], [1, 1])
        await self.stop()


class SpendingTests(WebTestCase):
    async def charge(self, *charges: Charge) -> None:
        """Have a person's lease end, and these charges written down with that."""
        number = await self.active_lease(await self.visitor(BOB))
        while True:
            lease = await self.service.store.lease(number)
            assert lease is not None
            assert lease.resource is not None
            own = [replace(each, resource=lease.resource, lease=number) for each in charges]
            record = LeaseReleased(reason="done")
            move = self.service.store.move_lease(lease, LeaseEvent.RELEASE, record, charges=own)
            if await move is not None:
                return

    async def test_costs_are_listed_and_added_up_by_builder(self) -> None:
        await self.start()
        (builder,) = [each for each in await self.anyone.rows("builders") if each["builderid"] == 1]
        name = builder["name"]
        await self.charge(
            Charge(resource=0, build=7, builder=name, seconds=20.0, cost=0.5),
            Charge(resource=0, build=8, builder=name, seconds=10.0, cost=0.25),
            Charge(resource=0, build=9, builder="docs", seconds=10.0),
        )
        await self.charge(Charge(resource=0, build=8, builder=name, seconds=5.0, cost=1.0))
        of_build = await self.anyone.rows("builds/8/drydock_costs")
        self.assertEqual([each["cost"] for each in of_build], [0.25, 1.0])
        (first,) = await self.anyone.rows(f"drydock_costs/{of_build[0]['costid']}")
        self.assertEqual(first, of_build[0])
        for path in ("builders/1/drydock_costs", f"drydock_costs?builder={name}"):
            self.assertEqual(len(await self.anyone.rows(path)), 3)
        for path in (
            f"drydock_leases/{first['leaseid']}",
            f"drydock_resources/{first['resourceid']}",
        ):
            self.assertIn(first, await self.anyone.rows(f"{path}/drydock_costs"))
        (sums,) = await self.anyone.rows("builders/1/drydock_spending")
        self.assertEqual((sums["builder"], sums["blueprint"]), (name, "linux"))
        self.assertEqual((sums["cost"], sums["unpriced"], sums["seconds"]), (1.75, 0, 35.0))
        self.assertEqual((sums["builds"], sums["leases"]), (2, 2))
        (docs,) = await self.anyone.rows("drydock_spending?builder=docs")
        self.assertEqual((docs["cost"], docs["unpriced"]), (None, 1))
        self.assertEqual(len(await self.anyone.rows("drydock_spending?unpriced=0&cost__gt=1")), 1)
        (one,) = await self.anyone.rows("builds/8/drydock_spending?field=cost")
        self.assertEqual(one, {"cost": 1.25})

    async def test_sums_are_of_a_time(self) -> None:
        await self.start()
        await self.charge(Charge(resource=0, build=7, builder="docs", cost=0.5))
        ((cost),) = await self.anyone.rows("drydock_costs?builder=docs")
        at = cost["at"]
        for times, found in ((f"at__ge={at - 1}&at__lt={at + 1}", 1), (f"at__lt={at - 1}", 0)):
            rows = await self.anyone.rows(f"drydock_spending?builder=docs&{times}")
            self.assertEqual(len(rows), found, times)

    async def test_what_cannot_be_answered_is_refused_with_a_way_out(self) -> None:
        await self.start()
        for path, code, words in (
            ("drydock_spending?at=5", 400, "give at__ge and at__lt"),
            ("drydock_spending?colour=5", 400, "no such parameter"),
            ("builders/99/drydock_spending", 404, "no such builder"),
            ("builders/99/drydock_costs", 404, "no such builder"),
            (f"builders/{10**30}/drydock_spending", 404, "no such builder"),
            (f"builds/{10**30}/drydock_spending", 400, "out of range"),
        ):
            found, answer = await self.anyone.ask(path)
            self.assertEqual(found, code, answer)
            self.assertIn(words, str(answer))
        with mock.patch.object(spending, "MOST_READ", 1):
            await self.charge(
                Charge(resource=0, build=7, builder="docs", cost=0.5),
                Charge(resource=0, build=8, builder="docs", cost=0.5),
            )
            found, answer = await self.anyone.ask("drydock_spending")
            self.assertEqual(found, 400)
            self.assertIn("give a shorter time", str(answer))
