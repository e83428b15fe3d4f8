"""Metrics: what an event adds, how a world is counted, how holds are seen, and what the docs say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import events
from buildbot_drydock.metrics import tally
from buildbot_drydock.metrics.census import Census, take_census
from buildbot_drydock.metrics.holds import BEAT_SECONDS, INTERVAL_SECONDS, Holds
from buildbot_drydock.metrics.registry import MOST_BUILDERS, OTHER_BUILDERS, Metrics
from buildbot_drydock.metrics.tally import COUNTED, FAILURE_KINDS, NOT_COUNTED, Sample, sample_of
from buildbot_drydock.model import LeaseStatus, Notice, Power, ResourceStatus
from buildbot_drydock.reasons import BackingOff, Booting, DoesNotFit
from buildbot_drydock.store.counting import CountedPool
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    lease,
    parked,
    pending,
    resource,
    world,
)
from tests.unit.test_events import SENTENCES

DOCS = Path(__file__).resolve().parents[2] / "docs"


def row(
    event: events.Event, *, blueprint: str = "linux", lease: int | None = None
) -> dict[str, Any]:
    """Return an event as the journal reads it."""
    return {
        "kind": event.kind,
        "data": event.data(),
        "blueprint": blueprint,
        "resourceid": 1,
        "leaseid": lease,
    }


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    text, _ = metrics.exposition("")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


class TallyTests(SynchronousTestCase):
    def test_every_kind_of_event_is_counted_or_listed_as_not_counted(self) -> None:
        self.assertEqual(COUNTED.keys() & NOT_COUNTED.keys(), set())
        self.assertEqual(sorted({*COUNTED, *NOT_COUNTED}), sorted(events.KINDS))
        self.assertTrue(all(NOT_COUNTED.values()))

    def test_every_event_can_be_counted_and_adds_only_to_what_there_is(self) -> None:
        metrics = Metrics(Clock())
        seen = set()
        for event, _ in SENTENCES:
            for number in (None, 3):
                metrics.count(row(event, lease=number))
                sample = sample_of(row(event, lease=number))
                self.assertFalse(sample and event.kind in NOT_COUNTED, event)
                if sample is not None:
                    self.assertIn(sample.metric, tally.LABELS)
                    seen.add(event.kind)
        # Of these the sentences have only one that cannot be counted.
        self.assertLessEqual(COUNTED.keys() - seen, {"lease-acquired", "lease-activated"})

    def test_one_of_an_unknown_kind_or_without_data_adds_nothing(self) -> None:
        metrics = Metrics(Clock())
        before = samples(metrics)
        metrics.count({"kind": "of-a-later-version", "data": {}, "blueprint": "x", "leaseid": None})
        for kind in ("resource-ready", "resource-destroyed", "lease-activated"):
            for data in ({}, {"seconds": None, "cost": None, "waited": None}, {"seconds": -1.0}):
                metrics.count({"kind": kind, "data": data, "blueprint": "x", "leaseid": None})
        self.assertEqual(
            {k: v for k, v in samples(metrics).items() if v}, {k: v for k, v in before.items() if v}
        )

    def test_a_wait_ends_when_the_lease_is_active(self) -> None:
        for event, expected in (
            (events.LeaseAcquired(slot=0, waited=7.0, active=True), Sample(tally.WAITS, 7.0)),
            (events.LeaseAcquired(slot=0, waited=7.0), None),
            (events.LeaseActivated(waited=9.0), Sample(tally.WAITS, 9.0)),
        ):
            self.assertEqual(sample_of(row(event)), expected, event)

    def test_an_announced_end_counts_once_however_many_leases_it_concerns(self) -> None:
        notice = events.ResourceGivenNotice.of(Notice(reason="spot"), NOW)
        self.assertEqual(sample_of(row(notice)), Sample(tally.INTERRUPTIONS))
        self.assertIsNone(sample_of(row(notice, lease=3)))

    def test_what_builders_cost_adds_up_to_what_resources_cost(self) -> None:
        metrics = Metrics(Clock())
        builds = [
            {"builder": "tests", "build": 7, "seconds": 1.0, "cost": 2.0},
            {"builder": "docs", "build": 8, "seconds": 1.0, "cost": 1.0},
            {"builder": "tests", "build": 9, "seconds": 1.0, "cost": 0.5},
        ]
        metrics.count(row(events.LeaseDestroyed(cost=3.5, builds=builds)))
        metrics.count(row(events.LeaseDestroyed(cost=4.0)))
        metrics.count(row(events.LeaseDestroyed()))
        metrics.count(row(events.ResourceDestroyed(cost=10.0, unattributed=2.5)))
        metrics.count(row(events.ResourceDestroyed(cost=0.0, unattributed=-1.0)))
        found = samples(metrics)
        of = {
            name: found["drydock_builder_cost_total", "linux", name]
            for name in ("tests", "docs", "")
        }
        self.assertEqual(of, {"tests": 2.5, "docs": 1.0, "": 6.5})
        self.assertEqual(sum(of.values()), found["drydock_cost_total", "linux"])

    def test_there_are_never_more_than_so_many_builders(self) -> None:
        metrics = Metrics(Clock())
        for number in range(MOST_BUILDERS + 3):
            build = {"builder": f"b{number}", "build": 1, "seconds": 1.0, "cost": 1.0}
            for _ in range(2):
                metrics.count(row(events.LeaseDestroyed(cost=1.0, builds=[build])))
        found = samples(metrics)
        named = [key for key in found if key[0] == "drydock_builder_cost_total"]
        self.assertEqual(len(named), MOST_BUILDERS + 1)
        self.assertEqual(found["drydock_builder_cost_total", "linux", OTHER_BUILDERS], 6)

    def test_failures_are_told_apart_by_their_kind(self) -> None:
        metrics = Metrics(Clock())
        metrics.see(Census(limits={"linux": 1}))
        failed = events.CallFailed(verb="create", error="secret", failures=1)
        metrics.count(row(failed))
        metrics.count(row(failed))
        found = samples(metrics)
        counts = {kind: found["drydock_failures_total", "linux", kind] for kind in FAILURE_KINDS}
        self.assertEqual(counts, {**dict.fromkeys(FAILURE_KINDS, 0.0), "call-failed": 2.0})

    def test_an_event_of_no_blueprint_is_counted_without_one(self) -> None:
        metrics = Metrics(Clock())
        metrics.count({**row(events.LeaseReleased(reason="x")), "blueprint": None})
        metrics.count({**row(events.LeaseRequested(owner="x", requires={})), "blueprint": None})
        found = samples(metrics)
        self.assertEqual(found["drydock_lease_releases_total", ""], 1)
        self.assertEqual(found["drydock_lease_requests_total",], 1)


class CensusTests(SynchronousTestCase):
    def test_everything_is_counted_by_blueprint_and_status(self) -> None:
        busy = resource(1, hourly_price=2.0, created_at=NOW - 1800)
        coming = pending(2, hourly_price=1.0, created_at=NOW)
        other = resource(3, of="gpu")
        waiting = lease(8, status=LeaseStatus.PENDING, requested_at=NOW - 60)
        later = lease(9, status=LeaseStatus.PENDING, requested_at=NOW - 5)
        census = take_census(
            world(
                blueprint("linux", limit=4),
                blueprint("gpu", limit=1),
                resources=[busy, coming, other],
                leases=[lease(7, on=busy), waiting, later],
            ),
            {
                8: (_booting(), DoesNotFit(blueprint="gpu", label="os", wanted="x", offered=())),
                9: (_booting(), BackingOff(blueprint="gpu", failures=1, retry_at=NOW, error="x")),
            },
        )
        self.assertEqual(census.limits, {"linux": 4, "gpu": 1})
        self.assertEqual(
            {pair: count for pair, count in census.resources.items() if count},
            {("linux", "active"): 1, ("linux", "pending"): 1, ("gpu", "active"): 1},
        )
        self.assertEqual(
            {pair: count for pair, count in census.leases.items() if count},
            {("linux", "active"): 1, ("", "pending"): 2},
        )
        self.assertEqual(
            census.waiting,
            {("linux", "booting"): 2, ("gpu", "does-not-fit"): 1, ("gpu", "backing-off"): 1},
        )
        self.assertEqual(census.oldest_request, NOW - 60)
        self.assertEqual(census.hourly_costs, {"linux": 3.0, "gpu": 0.0})
        self.assertEqual(census.costs, {"linux": 1.0, "gpu": 0.0})

    def test_what_there_is_none_of_is_counted_too(self) -> None:
        census = take_census(world(blueprint("linux")), {})
        living = {each.value for each in ResourceStatus} - {"destroyed"}
        self.assertEqual(census.resources, {("linux", status): 0 for status in living})
        self.assertEqual(census.leases["", "pending"], 0)
        self.assertIsNone(census.oldest_request)

    def test_what_is_parked_is_counted_apart_where_anything_may_be(self) -> None:
        parks = blueprint("linux", parks=True)
        rows = [
            resource(1),
            parked(2, hourly_price=1.0),
            resource(3, power=Power.PARKING),
            resource(4, power=Power.WAKING),
            parked(5, status=ResourceStatus.RELEASED),
        ]
        census = take_census(world(parks, resources=rows), {})
        counts = {status: count for (_, status), count in census.resources.items() if count}
        self.assertEqual(counts, {"active": 2, "parked": 2, "released": 1})
        self.assertEqual(census.hourly_costs, {"linux": 0.0})
        self.assertEqual(take_census(world(parks), {}).resources["linux", "parked"], 0)

    def test_the_oldest_wait_grows_between_two_turns(self) -> None:
        clock = Clock()
        metrics = Metrics(clock)
        clock.advance(100)
        metrics.see(Census(oldest_request=90.0))
        self.assertEqual(samples(metrics)["drydock_oldest_wait_seconds",], 10)
        clock.advance(5)
        self.assertEqual(samples(metrics)["drydock_oldest_wait_seconds",], 15)
        metrics.see(Census())
        self.assertEqual(samples(metrics)["drydock_oldest_wait_seconds",], 0)

    def test_the_series_are_as_many_as_blueprints_and_not_as_rows(self) -> None:
        def lines(resources: int) -> int:
            some = [resource(n) for n in range(1, resources + 1)]
            metrics = Metrics(Clock())
            metrics.see(take_census(world(blueprint(), resources=some), {}))
            for each in some:
                ready = events.ResourceReady(address=f"host-{each.id}", seconds=1.0)
                metrics.count(row(ready))
            return len(samples(metrics))

        self.assertEqual(lines(3), lines(300))


def _booting() -> Booting:
    return Booting(blueprint="linux", resource=None, since=NOW, boot_timeout=900)


class HoldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.seen: list[float] = []
        self.holds = Holds(self.clock, self.seen.append)

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds / BEAT_SECONDS)):
            self.clock.advance(BEAT_SECONDS)

    def test_the_longest_hold_of_each_interval_is_seen(self) -> None:
        self.holds.start()
        self.run_for(1)
        self.clock.advance(0.3 + BEAT_SECONDS)  # as if something had held the reactor
        self.clock.advance(0.2 + BEAT_SECONDS)
        self.run_for(INTERVAL_SECONDS)
        self.assertEqual([round(each, 6) for each in self.seen], [0.3])
        self.run_for(INTERVAL_SECONDS)
        self.assertEqual([round(each, 6) for each in self.seen], [0.3, 0.0])

    def test_it_beats_no_more_once_stopped(self) -> None:
        self.holds.start()
        self.holds.stop()
        self.holds.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


def families() -> dict[str, Any]:
    """Return all metrics there are, by name."""
    metrics = Metrics(Clock())
    pairs = {("linux", "x"): 1}
    metrics.see(
        Census(
            limits={"linux": 1},
            resources=pairs,
            leases=pairs,
            waiting=pairs,
            hourly_costs={"linux": 1.0},
            costs={"linux": 1.0},
        )
    )
    return {family.name: family for family in metrics.registry.collect()}


def table() -> list[str]:
    """Return the table of docs/metrics.md."""
    lines = ["| metric | type | labels | what it tells |", "|---|---|---|---|"]
    for name, family in families().items():
        shown = f"{name}_total" if family.type == "counter" else name
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        named = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{shown}` | {family.type} | {named} | {family.documentation} |")
    return lines


def expressions(value: Any) -> Iterator[str]:
    """Yield all queries of a dashboard."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("expr", "query", "definition") and isinstance(each, str):
                yield each
            else:
                yield from expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from expressions(each)


class RoundTripTests(SynchronousTestCase):
    def test_each_piece_of_work_is_counted_and_handed_on(self) -> None:
        done: list[Any] = []
        pool: Any = SimpleNamespace(engine="engine", do=lambda *given: done.append(given))
        metrics = Metrics(Clock())
        counted: Any = CountedPool(pool, metrics.round_trips.inc)
        counted.do(len, [1])
        counted.do(len, [2])
        self.assertEqual((done, counted.engine), ([(len, [1]), (len, [2])], "engine"))
        self.assertEqual(samples(metrics)["drydock_database_round_trips_total",], 2)


class DocumentationTests(SynchronousTestCase):
    def test_the_table_of_metrics_is_as_the_metrics_are(self) -> None:
        text = (DOCS / "metrics.md").read_text("utf-8")
        found = [line for line in text.splitlines() if line.startswith("| `drydock_")]
        self.assertEqual(
            found, table()[2:], "put this into docs/metrics.md:\n" + "\n".join(table())
        )

    def test_the_text_names_no_metric_that_there_is_not(self) -> None:
        text = (DOCS / "metrics.md").read_text("utf-8")
        known = {sample.name for family in families().values() for sample in family.samples}
        named = set(re.findall(r"\bdrydock_\w+", text)) - {"drydock_blueprints"}  # of the API
        self.assertEqual(named - known - families().keys(), set())

    def test_every_kind_of_failure_and_of_what_is_not_counted_is_documented(self) -> None:
        text = (DOCS / "metrics.md").read_text("utf-8")
        for kind in (*FAILURE_KINDS, *NOT_COUNTED):
            self.assertIn(f"\n| `{kind}` | ", text)

    def test_the_dashboard_asks_only_for_metrics_and_labels_that_there_are(self) -> None:
        dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text("utf-8"))
        known: dict[str, set[str]] = {}
        for family in families().values():
            for sample in family.samples:
                known.setdefault(sample.name, set()).update(sample.labels)
        queries = list(expressions(dashboard))
        self.assertGreater(len(queries), 10)
        asked = {name for query in queries for name in re.findall(r"\bdrydock_\w+", query)}
        self.assertEqual(asked - known.keys(), set())
        # Each family is shown somewhere, and a query names only labels of its own metrics.
        for name in families():
            self.assertTrue(any(each.startswith(name) for each in asked), name)
        for query in queries:
            used = set(re.findall(r"(\w+)\s*=~?", query)) | {
                label.strip()
                for group in re.findall(r"by \(([^)]*)\)", query)
                for label in group.split(",")
            }
            has = {label for name in re.findall(r"\bdrydock_\w+", query) for label in known[name]}
            self.assertLessEqual(used, has, query)

    def test_the_panels_of_the_dashboard_are_named_and_do_not_overlap(self) -> None:
        dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text("utf-8"))
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            self.assertTrue(panel["title"])
            self.assertEqual(cells & taken, set(), panel["title"])
            self.assertLessEqual(max(x for x, _ in cells), 23)
            taken |= cells
        numbers = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(set(numbers)), len(numbers))
