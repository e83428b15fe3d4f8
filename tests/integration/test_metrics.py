"""``/drydock/metrics`` of a real master: what it says, who may read it, and what it never says."""

from __future__ import annotations

from threading import Event
from typing import Any

import treq
from buildbot.plugins import util
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import REGISTRY
from twisted.internet.defer import Deferred

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.latent.synthetic import SyntheticPool
from buildbot_drydock.people import People
from buildbot_drydock.service import PROVIDER_THREADS
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.www.authz import DrydockEndpointMatcher
from buildbot_drydock.www.folder import publish
from tests.integration.web import ANA, BOB, Visitor, WebTestCase, wait_for

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class MetricsTestCase(WebTestCase):
    async def scrape(self, visitor: Visitor | None = None, accept: str = "") -> tuple[int, Any]:
        """Return the status and the response, whose text is ``content``."""
        visitor = visitor or self.anyone
        response = await treq.get(
            f"{self.url}drydock/metrics",
            headers={"Accept": accept} if accept else {},
            cookies=visitor._cookies,
            persistent=False,
        )
        self.content = (await response.content()).decode()
        return response.code, response

    async def samples(self) -> dict[tuple[str, ...], float]:
        """Return each sample, by its name and the values of its labels in order of their names."""
        code, _ = await self.scrape()
        self.assertEqual(code, 200, self.content)
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.content)
            for sample in family.samples
        }

    async def become(self, *sample: str, at_least: float = 1.0) -> dict[tuple[str, ...], float]:
        """Wait until a sample has at least that value; return all."""

        async def look() -> Any:
            found = await self.samples()
            return found if found.get(sample, -1.0) >= at_least else None

        found: dict[tuple[str, ...], float] = await wait_for(look)
        return found


class CountingTests(MetricsTestCase):
    async def test_what_there_is_and_what_happened_is_told_by_blueprint(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        number = await self.active_lease(ana, blueprints=["gpu"])
        found = await self.become("drydock_wait_seconds_count", "gpu")
        self.assertEqual(found["drydock_wait_seconds_count", "gpu"], 1)
        self.assertEqual(found["drydock_boot_seconds_count", "gpu"], 1)
        self.assertEqual(found["drydock_boot_seconds_bucket", "gpu", "+Inf"], 1)
        self.assertEqual(found["drydock_launches_total", "gpu"], 1)
        self.assertEqual(found["drydock_launches_total", "linux"], 0)
        self.assertEqual(found["drydock_lease_requests_total",], 1)
        self.assertEqual(found["drydock_failures_total", "linux", "launch-failed"], 0)
        self.assertEqual((found["drydock_limit", "linux"], found["drydock_limit", "gpu"]), (2, 1))
        found = await self.become("drydock_leases", "gpu", "active")
        self.assertEqual(found["drydock_resources", "gpu", "active"], 1)
        self.assertEqual(found["drydock_resources", "gpu", "pending"], 0)
        self.assertEqual(found["drydock_leases", "", "pending"], 0)
        self.assertEqual(found["drydock_oldest_wait_seconds",], 0)
        await ana.act(f"drydock_leases/{number}", "release")
        await self.become("drydock_lease_releases_total", "gpu")

    async def test_who_waits_is_told_with_the_reason(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        await self.active_lease(ana, blueprints=["gpu"])
        await ana.act("drydock_leases", "request", requires={"gpu": "yes"})
        found = await self.become("drydock_waiting_leases", "gpu", "full")
        self.assertEqual(found["drydock_waiting_leases", "gpu", "full"], 1)
        self.assertEqual(found["drydock_waiting_leases", "linux", "does-not-fit"], 1)
        self.assertEqual(found["drydock_leases", "", "pending"], 1)
        first = found["drydock_oldest_wait_seconds",]
        self.assertGreater((await self.samples())["drydock_oldest_wait_seconds",], first)

    async def test_money_is_told_while_it_is_spent_and_when_it_was(self) -> None:
        self.blueprints = [
            SyntheticPool(
                "linux",
                limit=1,
                labels={"os": "debian"},
                boot_seconds=0,
                hourly_price=3600.0,
                idle_timeout=0,
            )
        ]
        await self.start()
        ana = await self.visitor(ANA)
        number = await self.active_lease(ana)
        found = await self.become("drydock_hourly_cost", "linux")
        self.assertEqual(found["drydock_hourly_cost", "linux"], 3600.0)
        self.assertEqual(found["drydock_cost_total", "linux"], 0)
        await self.become("drydock_living_cost", "linux", at_least=0.001)
        await ana.act(f"drydock_leases/{number}", "release")
        found = await self.become("drydock_cost_total", "linux", at_least=0.001)
        row = next(
            each
            for each in await self.anyone.rows("drydock_events?kind=resource-destroyed")
            if each["blueprint"] == "linux"
        )
        self.assertAlmostEqual(found["drydock_cost_total", "linux"], row["data"]["cost"])

    async def test_a_wait_lasts_until_the_lease_has_been_prepared(self) -> None:
        self.blueprints = [
            SyntheticPool("linux", labels={"os": "debian"}, boot_seconds=0, prepare_seconds=0.5)
        ]
        await self.start()
        await self.active_lease(await self.visitor(ANA))
        found = await self.become("drydock_wait_seconds_count", "linux")
        self.assertEqual(found["drydock_wait_seconds_count", "linux"], 1)
        self.assertGreaterEqual(found["drydock_wait_seconds_sum", "linux"], 0.5)
        self.assertEqual(found["drydock_wait_seconds_bucket", "linux", "0.1"], 0)

    async def test_what_another_master_did_is_counted_there_and_not_here(self) -> None:
        await self.start()
        elsewhere = People(
            SqlStore(self.master.db.pool, self.master.reactor),
            self.master.reactor,
            new_nonce=lambda: "n",
            changed=lambda lease: None,
            wake=lambda: None,
        )
        await elsewhere.request("zoe", seconds=60, blueprints=["gpu"])
        await self.active_lease(await self.visitor(ANA))
        found = await self.become("drydock_wait_seconds_count", "linux")
        self.assertEqual(found["drydock_lease_requests_total",], 1)

    async def test_how_the_loop_fares_is_told(self) -> None:
        await self.start()
        found = await self.become("drydock_reactor_hold_seconds_count")
        self.assertGreater(found["drydock_turn_seconds_count",], 0)
        self.assertGreater(found["drydock_planning_seconds_count",], 0)
        self.assertEqual(found["drydock_failed_turns_total",], 0)
        before = found["drydock_database_round_trips_total",]
        self.assertGreater(before, 0)
        await self.service.usage()
        self.assertGreater((await self.samples())["drydock_database_round_trips_total",], before)


class PageTests(MetricsTestCase):
    async def test_both_formats_of_prometheus_are_spoken(self) -> None:
        await self.start()
        _, response = await self.scrape()
        (kind,) = response.headers.getRawHeaders("content-type")
        self.assertTrue(kind.startswith("text/plain; version="), kind)
        _, response = await self.scrape(accept=OPEN_METRICS)
        (kind,) = response.headers.getRawHeaders("content-type")
        self.assertTrue(kind.startswith("application/openmetrics-text"), kind)
        self.assertTrue(self.content.endswith("# EOF\n"))

    async def test_a_scrape_does_not_need_the_database(self) -> None:
        await self.start()
        await self.become("drydock_turn_seconds_count")
        answers: Deferred[None] = Deferred()
        do = self.master.db.pool.do

        def hang(work: Any, *arguments: Any) -> Deferred[Any]:
            answer: Deferred[Any] = Deferred()
            answers.addCallback(lambda _: do(work, *arguments).chainDeferred(answer))
            return answer

        self.patch(self.master.db.pool, "do", hang)
        self.addCleanup(answers.callback, None)
        code, _ = await self.scrape()
        self.assertEqual(code, 200)
        self.assertIn('drydock_limit{blueprint="linux"} 2.0', self.content)

    async def test_a_scrape_does_not_need_a_thread_of_the_providers(self) -> None:
        await self.start()
        answered = Event()
        self.addCleanup(answered.set)
        for _ in range(PROVIDER_THREADS):
            self.service._threads.callInThread(answered.wait)
        self.assertEqual((await self.scrape())[0], 200)

    async def test_who_may_not_read_blueprints_may_not_read_this(self) -> None:
        self.authz = util.Authz(
            allowRules=[DrydockEndpointMatcher(action="get", role="admins")],
            roleMatchers=[util.RolesFromUsername(roles=["admins"], usernames=[ANA])],
        )
        await self.start()
        for visitor, expected in (
            (self.anyone, 403),
            (await self.visitor(BOB), 403),
            (await self.visitor(ANA), 200),
        ):
            code, _ = await self.scrape(visitor)
            self.assertEqual(code, expected, self.content)
            self.assertEqual("drydock_limit" in self.content, code == 200)

    async def test_it_says_so_when_drydock_is_not_there_or_not_ready(self) -> None:
        await self.start()
        self.service.is_ready = False
        code, _ = await self.scrape()
        self.assertEqual((code, "starting" in self.content), (503, True))
        self.patch(self.master.service_manager, "namedServices", {})
        code, _ = await self.scrape()
        self.assertEqual((code, "configuration" in self.content), (404, True))

    async def test_nothing_but_counts_and_names_of_blueprints_and_builders_is_told(self) -> None:
        await self.start()
        number = await self.active_lease(await self.visitor(ANA))
        await self.become("drydock_wait_seconds_count", "linux")
        lease = await self.service.store.lease(number)
        assert lease is not None
        resource = await self.service.resource_of(lease)
        for text in (lease.nonce, lease.owner, ANA, resource.token, self.service._secret):
            self.assertNotIn(text, self.content)
        labels = {
            name
            for family in text_string_to_metric_families(self.content)
            for sample in family.samples
            for name in sample.labels
        }
        self.assertEqual(labels, {"blueprint", "builder", "status", "kind", "le"})

    async def test_the_registry_of_the_process_is_left_alone(self) -> None:
        await self.start()
        names = [family.name for family in REGISTRY.collect()]
        self.assertEqual([name for name in names if name.startswith("drydock")], [])


class PlaceTests(MetricsTestCase):
    async def test_the_root_that_pages_are_added_to_is_that_of_the_site(self) -> None:
        await self.start()
        www: Any = self.master.www
        root = www.apps.get(www.base_plugin_name).resource
        self.assertIs(www.site.resource, root)
        self.assertIn(b"drydock", root.children)

    async def test_it_stays_over_a_reconfiguration(self) -> None:
        await self.start()
        await self.become("drydock_turn_seconds_count")
        self.master.config_loader.config_dict = self.configuration()
        await self.master.doReconfig()
        found = await self.samples()
        self.assertGreater(found["drydock_turn_seconds_count",], 0)

    async def test_a_page_of_the_same_name_is_replaced(self) -> None:
        await self.start()
        publish(self.master)
        publish(self.master)
        self.assertEqual((await self.scrape())[0], 200)

    async def test_a_master_without_web_pages_serves_none(self) -> None:
        await self.start()
        self.patch(self.master.www, "apps", {})
        hooks.serve(self.master, b"drydock", None)
        self.assertEqual((await self.scrape())[0], 200)
