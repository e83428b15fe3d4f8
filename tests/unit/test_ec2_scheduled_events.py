"""What EC2 says of scheduled events, and when that is told of."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.ec2.interruptions import Notice
from buildbot_drydock.latent.ec2.scheduled_events import (
    ASKED_EVERY_SECONDS,
    NEAR_SECONDS,
    ScheduledEvents,
    near,
    of_statuses,
    request_for_events,
)

NOW = 1_800_000_000.0
HOUR = 3600.0
CODES = (
    "instance-retirement",
    "instance-stop",
    "instance-reboot",
    "system-reboot",
    "system-maintenance",
)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def event(code: str = "instance-retirement", **changes: Any) -> dict[str, Any]:
    found = {"Code": code, "Description": "degraded hardware", "NotBefore": moment(NOW + HOUR)}
    return {key: value for key, value in {**found, **changes}.items() if value is not None}


def status(*events: dict[str, Any], number: str = "i-1") -> dict[str, Any]:
    return {"InstanceId": number, "Events": list(events)}


def told(*events: dict[str, Any]) -> list[Notice]:
    return list(of_statuses([{"InstanceStatuses": [status(*events)]}], NOW))


class TestStatuses(SynchronousTestCase):
    def test_each_kind_ends_when_it_may_begin_and_says_why(self) -> None:
        for code in CODES:
            (notice,) = told(event(code, NotBeforeDeadline=moment(NOW + 90 * HOUR)))
            self.assertEqual((notice.instance, notice.ends_at), ("i-1", NOW + HOUR))
            self.assertEqual(notice.reason, f"EC2 has scheduled {code}: degraded hardware")

    def test_without_a_description_the_code_says_it(self) -> None:
        for description in (None, "", "  "):
            (notice,) = told(event(Description=description))
            self.assertEqual(notice.reason, "EC2 has scheduled instance-retirement")

    def test_the_deadline_counts_if_there_is_nothing_else(self) -> None:
        (notice,) = told(event(NotBefore=None, NotBeforeDeadline=moment(NOW + 2 * HOUR)))
        self.assertEqual(notice.ends_at, NOW + 2 * HOUR)
        self.assertEqual(told(event(NotBefore=None)), [])

    def test_what_is_completed_canceled_or_past_is_none(self) -> None:
        for mark in ("[Completed]", "[Canceled]", "[completed]"):
            self.assertEqual(told(event(Description=f"{mark} degraded hardware")), [])
        past = {"NotBefore": moment(NOW - 2 * HOUR)}
        self.assertEqual(told(event(**past, NotAfter=moment(NOW - HOUR))), [])
        (under_way,) = told(event(**past, NotAfter=moment(NOW + HOUR)))
        self.assertEqual(under_way.ends_at, NOW - 2 * HOUR)

    def test_a_mark_within_the_description_is_no_mark(self) -> None:
        self.assertEqual(len(told(event(Description="after [Completed] checks"))), 1)

    def test_an_unknown_kind_is_none(self) -> None:
        self.assertEqual(told(event("instance-birthday"), {}), [])

    def test_all_events_of_all_pages_are_told_of(self) -> None:
        pages = [
            {"InstanceStatuses": [status(event(), event("system-reboot")), {"InstanceId": "i-9"}]},
            {},
            {"InstanceStatuses": [status(event(), number="i-2")]},
        ]
        found = [each.instance for each in of_statuses(pages, NOW)]
        self.assertEqual(found, ["i-1", "i-1", "i-2"])

    def test_the_request_names_the_kinds_and_no_instances(self) -> None:
        request = request_for_events()
        (codes,) = request["Filters"]
        self.assertEqual((codes["Name"], sorted(codes["Values"])), ("event.code", sorted(CODES)))
        self.assertNotIn("InstanceIds", request)


class TestNear(SynchronousTestCase):
    def ending(self, *left: float | None) -> list[Notice]:
        return [
            Notice(instance="i-1", at=NOW, ends_at=None if each is None else NOW + each, reason="x")
            for each in left
        ]

    def test_two_weeks_off_is_not_near(self) -> None:
        self.assertEqual(near(self.ending(14 * 24 * HOUR, NEAR_SECONDS + 1), NOW), [])

    @given(st.lists(st.floats(-1e6, 1e6)))
    def test_what_is_near_is_told_with_the_soonest_first(self, left: list[float]) -> None:
        found = [each.ends_at for each in near(self.ending(*left), NOW)]
        expected = [NOW + each for each in left if NOW + each <= NOW + NEAR_SECONDS]
        self.assertEqual(found, sorted(expected))


class Counted:
    """Calls that are counted, and answered with one event."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    async def pages(self, operation: str, request: Any, *, about: str = "") -> list[dict[str, Any]]:
        self.operations.append(operation)
        return [{"InstanceStatuses": [status(event())]}]

    async def call(self, *arguments: Any, **others: Any) -> dict[str, Any]:
        raise AssertionError("one page would not be all")


class TestHowOften(SynchronousTestCase):
    def test_a_look_soon_after_another_costs_nothing(self) -> None:
        clock, calls = Clock(), Counted()
        clock.advance(NOW)
        scheduled = ScheduledEvents(calls, clock)

        def look() -> int:
            return len(self.successResultOf(Deferred.fromCoroutine(scheduled.look())))

        self.assertEqual(look(), 1)
        clock.advance(ASKED_EVERY_SECONDS - 1)
        self.assertEqual((look(), len(calls.operations)), (0, 1))
        clock.advance(1)
        self.assertEqual((look(), len(calls.operations)), (1, 2))
