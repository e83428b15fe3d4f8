"""Telling of changes: what is told, how often, by whom, and that a failure of it stops nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock.planner import Plan
from buildbot_drydock.reasons import Booting, Full, Reason
from buildbot_drydock.store.journal import News
from buildbot_drydock.store.usage import BlueprintUsage, HostUsage, Usage
from buildbot_drydock.testing.builders import blueprint
from buildbot_drydock.www import announcements
from buildbot_drydock.www.announcements import (
    INTERVAL_SECONDS,
    MOST_TIMES,
    ROWS_AT_A_TIME,
    SUMMARY_SECONDS,
    Announcements,
    OwnTimes,
)

FULL = Full(blueprint="linux", limit=1, leased=1, slots=1, ending=0)
BOOTING = Booting(blueprint="linux", resource=1, since=0.0, boot_timeout=9.0)


def event(number: int, kind: str, at: float = 0.0, **about: Any) -> dict[str, Any]:
    about = {"blueprint": None, "resourceid": None, "leaseid": None, **about}
    return {"eventid": number, "kind": kind, "at": at, "actor": "a", "data": {}, **about}


def lease(number: int, **fields: Any) -> dict[str, Any]:
    return {"leaseid": number, "owner": "worker/w", "status": "pending", "masterid": 1, **fields}


class FakeJournal:
    def __init__(self) -> None:
        self.news: list[Any] = []
        self.reads = 0

    async def read(self) -> News:
        self.reads += 1
        found = self.news.pop(0) if self.news else News()
        if isinstance(found, Deferred):
            return await found  # type: ignore[no-any-return]
        return found  # type: ignore[no-any-return]


class FakeService:
    """What announcements ask of the service."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reasons: dict[int, tuple[Reason, ...]] = {}
        self.listings = SimpleNamespace(rows=self._rows)
        self.leases = SimpleNamespace(reasons=lambda number: self.reasons.get(number, ()))

    @property
    def controller(self) -> Any:
        world = SimpleNamespace(inventories={})
        return SimpleNamespace(plan=Plan(reasons=dict(self.reasons)), world=world)

    async def _rows(self, listing: Any, numbers: list[int]) -> list[dict[str, Any]]:
        return [lease(number, masterid=number) for number in numbers]

    def now(self) -> float:
        return self._clock.seconds()

    def is_own(self, master: int | None) -> bool:
        return master in (None, 1)

    def blueprints(self, now: float, states: Any = None) -> list[Any]:
        return [blueprint()]

    def definitions(self) -> dict[str, Any]:
        return {}

    async def usage(self) -> Usage:
        used = BlueprintUsage(resources={"active": 1}, leased=1)
        return Usage(
            blueprints={"linux": used},
            hosts={"a": HostUsage(resource=1, status="active", leased=1)},
        )


class AnnouncementTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = FakeJournal()
        self.service: Any = FakeService(self.clock)
        self.told: list[tuple[str, str, Any]] = []
        self.ours: set[float] | None = None
        self.counted: list[int] = []
        self.announcements = Announcements(
            self.service,
            self.journal,  # type: ignore[arg-type]
            self.clock,
            self.note,
            ours=lambda time: self.ours is None or time in self.ours,
            counted=lambda row: self.counted.append(row["eventid"]),
        )

    def note(self, name: str, row: Mapping[str, Any], event: str) -> None:
        key = next(k for k in ("eventid", "leaseid", "resourceid", "name") if k in row)
        self.told.append((name.removeprefix("drydock_"), event, row[key]))

    def look(self, *news: Any) -> list[tuple[str, str, Any]]:
        self.journal.news += news
        self.told.clear()
        self.announcements.nudge()
        self.clock.pump([INTERVAL_SECONDS] + [0] * 10)
        return self.told

    def test_an_event_and_what_it_is_about_are_told_of(self) -> None:
        news = News(
            events=[event(5, "lease-requested", leaseid=1), event(6, "lease-acquired", leaseid=2)],
            leases=[lease(1), lease(2)],
        )
        self.assertEqual(
            self.look(news),
            [("lease", "new", 1), ("lease", "update", 2), ("event", "new", 5), ("event", "new", 6)],
        )

    def test_nothing_is_told_if_there_is_no_news(self) -> None:
        self.assertEqual(self.look(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_others_have_the_reactor_between_many_messages(self) -> None:
        news = News(events=[event(number, "lease-broken") for number in range(ROWS_AT_A_TIME + 1)])
        self.journal.news.append(news)
        self.announcements.nudge()
        seen: list[int] = []
        self.clock.callLater(0, lambda: seen.append(len(self.told)))
        self.clock.advance(0)
        self.assertEqual((seen, len(self.told)), ([ROWS_AT_A_TIME], ROWS_AT_A_TIME + 1))

    def test_news_do_not_wait_for_a_summary_that_is_due_later(self) -> None:
        for number in (1, 2):
            self.look(News(events=[event(number, "resource-ready", blueprint="linux")]))
        self.assertEqual(self.look(News(events=[event(3, "lease-broken")])), [("event", "new", 3)])

    def test_looks_are_some_time_apart(self) -> None:
        self.look()
        self.clock.advance(INTERVAL_SECONDS)
        self.announcements.nudge()
        self.clock.advance(0)
        self.assertEqual(self.journal.reads, 2)  # the first was long ago
        self.announcements.nudge()
        self.clock.advance(0)
        self.assertEqual(self.journal.reads, 2)

    def test_many_nudges_are_two_looks(self) -> None:
        waiting: Deferred[News] = Deferred()
        self.look(waiting)
        for _ in range(10):
            self.announcements.nudge()
        self.assertEqual(self.journal.reads, 1)
        waiting.callback(News())
        self.clock.advance(INTERVAL_SECONDS)
        self.assertEqual(self.journal.reads, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_news_that_come_in_parts_are_told_of_to_the_end(self) -> None:
        self.look(News(more=True), News(more=True), News(events=[event(7, "lease-broken")]))
        self.clock.pump([INTERVAL_SECONDS, 0, INTERVAL_SECONDS, 0, 0])
        self.assertEqual(self.told, [("event", "new", 7)])

    def test_a_blueprint_is_told_of_at_most_once_a_second(self) -> None:
        news = News(events=[event(1, "resource-ready", blueprint="linux")])
        self.assertIn(("blueprint", "update", "linux"), self.look(news))
        news = News(events=[event(2, "resource-ready", blueprint="linux")])
        self.assertEqual(self.look(news), [("event", "new", 2)])
        self.clock.advance(SUMMARY_SECONDS)
        self.assertEqual(self.told, [("event", "new", 2), ("blueprint", "update", "linux")])

    def test_one_queue_for_all_masters_hears_of_each_event_from_one_of_them(self) -> None:
        self.ours = {3.0}
        news = News(
            events=[
                event(1, "lease-acquired", at=2.0, leaseid=1, blueprint="linux"),
                event(2, "lease-acquired", at=3.0, leaseid=2),
            ],
            leases=[lease(1), lease(2)],
        )
        self.assertEqual(self.look(news), [("lease", "update", 2), ("event", "new", 2)])

    def test_every_event_is_counted_once_whoever_tells_of_it(self) -> None:
        self.ours = {3.0}
        self.look(News(events=[event(1, "lease-broken", at=2.0), event(2, "lease-broken", at=3.0)]))
        self.look(News(events=[event(3, "lease-broken", at=3.0)]))
        self.assertEqual(self.counted, [1, 2, 3])

    def test_a_lease_of_this_master_that_waits_for_something_else_is_told_of(self) -> None:
        self.service.reasons = {1: (FULL,), 2: (FULL,)}
        told = self.look()
        self.assertIn(("lease", "update", 1), told)
        self.assertNotIn(("lease", "update", 2), told)  # another master's
        self.service.reasons = {1: (Full(blueprint="linux", limit=1, leased=0, slots=1, ending=1),)}
        self.assertNotIn(("lease", "update", 1), self.look())
        self.service.reasons = {1: (BOOTING,)}
        self.assertIn(("lease", "update", 1), self.look())

    def test_many_leases_that_wait_for_something_else_are_told_of_in_parts(self) -> None:
        self.patch(announcements, "MOST_REASONS", 2)
        self.patch(self.service, "is_own", lambda master: True)
        self.service.reasons = {number: (FULL,) for number in range(1, 6)}
        told = [each for each in self.look() if each[0] == "lease"]
        self.assertEqual(len(told), 2)
        self.clock.pump([INTERVAL_SECONDS, 0, 0, INTERVAL_SECONDS, 0, 0, INTERVAL_SECONDS, 0, 0])
        told = [number for name, _, number in self.told if name == "lease"]
        self.assertEqual(told, [1, 2, 3, 4, 5])

    def test_a_failure_is_logged_and_the_next_look_goes_on(self) -> None:
        failing: Deferred[News] = Deferred()
        self.look(failing)
        failing.errback(RuntimeError("no database"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        news = News(events=[event(7, "lease-broken")])
        self.assertEqual(self.look(news), [("event", "new", 7)])

    def test_what_is_under_way_is_waited_for_at_the_end(self) -> None:
        waiting: Deferred[News] = Deferred()
        self.look(waiting)
        stopped = Deferred.fromCoroutine(self.announcements.stop())
        self.assertNoResult(stopped)
        waiting.callback(News(more=True))
        self.successResultOf(stopped)
        self.announcements.nudge()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_left_to_be_called_after_the_end(self) -> None:
        self.announcements.nudge()
        self.successResultOf(Deferred.fromCoroutine(self.announcements.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class OwnTimesTests(TestCase):
    def test_a_time_that_was_said_is_known_and_no_other(self) -> None:
        clock = Clock()
        times = OwnTimes(clock)
        clock.advance(5)
        self.assertEqual(times.seconds(), 5.0)
        self.assertIn(5.0, times)
        self.assertNotIn(6.0, times)

    def test_times_long_ago_are_forgotten(self) -> None:
        clock = Clock()
        times = OwnTimes(clock)
        for _ in range(MOST_TIMES + 1):
            times.seconds()
            clock.advance(1)
        self.assertNotIn(0.0, times)
        self.assertIn(1.0, times)
        self.assertEqual(len(times._said), MOST_TIMES)
