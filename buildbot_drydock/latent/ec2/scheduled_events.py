"""What EC2 has scheduled for instances, such as their retirement, and when that is told of.

DescribeInstanceStatus lists such events, and for up to a week those that are over, with a mark in
their description ("InstanceStatusEvent" in the EC2 API reference, "Scheduled events for your
instances" in the EC2 user guide). It has no filter for tags, so that the events of the whole
account in the region are asked for, whose number does not grow with that of the instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from twisted.logger import Logger

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.causes import CallFailed
from buildbot_drydock.latent.ec2.images import Calls
from buildbot_drydock.latent.ec2.interruptions import Notice

# EC2 tells of an event days before, as a rule.
ASKED_EVERY_SECONDS: Final = 300.0
# An event is told of when less than this is left. Most builds that have begun before will have
# ended by then; earlier would give up a host that is good for many builds yet, or whose event is
# cancelled, as an announcement counts for good.
NEAR_SECONDS: Final = 4 * 3600.0
PAGE_SIZE: Final = 1000  # the most that DescribeInstanceStatus takes

# No build survives any of these: maintenance means a reboot, or a loss of network or power.
_CODES: Final = (
    "instance-retirement",
    "instance-stop",
    "instance-reboot",
    "system-reboot",
    "system-maintenance",
)
_MARKS_OF_WHAT_IS_OVER: Final = ("[completed]", "[canceled]")


def request_for_events() -> dict[str, Any]:
    """Return the parameters of DescribeInstanceStatus that list instances with events."""
    return {"Filters": [{"Name": "event.code", "Values": list(_CODES)}], "MaxResults": PAGE_SIZE}


def of_statuses(pages: Iterable[Mapping[str, Any]], now: float) -> Iterator[Notice]:
    """Yield the notices in replies of DescribeInstanceStatus: of all events that are not over."""
    for page in pages:
        for status in page.get("InstanceStatuses", ()):
            for event in status.get("Events") or ():
                begins_at = _begin(event)
                if begins_at is not None and not _is_over(event, now):
                    yield Notice(
                        instance=status["InstanceId"],
                        at=now,
                        ends_at=begins_at,
                        reason=_reason(event),
                    )


def near(notices: Iterable[Notice], now: float) -> list[Notice]:
    """Return those whose end is to be told of by now, the soonest first."""
    ends = [(each.ends_at, each) for each in notices if each.ends_at is not None]
    due = [(ends_at, each) for ends_at, each in ends if ends_at <= now + NEAR_SECONDS]
    return [each for _, each in sorted(due, key=lambda pair: pair[0])]


def _begin(event: Mapping[str, Any]) -> float | None:
    """Return the earliest time at which an event may begin. Its deadline is the latest."""
    if event.get("Code") not in _CODES:
        return None
    moment: datetime | None = event.get("NotBefore") or event.get("NotBeforeDeadline")
    return None if moment is None else moment.timestamp()


def _is_over(event: Mapping[str, Any], now: float) -> bool:
    if _description(event).lower().startswith(_MARKS_OF_WHAT_IS_OVER):
        return True
    ended: datetime | None = event.get("NotAfter")
    return ended is not None and ended.timestamp() < now


def _reason(event: Mapping[str, Any]) -> str:
    reason = f"EC2 has scheduled {event['Code']}"
    description = _description(event).rstrip(".")
    return f"{reason}: {description}" if description else reason


def _description(event: Mapping[str, Any]) -> str:
    return str(event.get("Description") or "").strip()


class ScheduledEvents:
    """Asks for events now and then, however often instances are listed."""

    log = Logger()

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._asked_at = float("-inf")

    async def look(self) -> Sequence[Notice]:
        """Return what is to be told of by now; nothing if the last look was not long ago.

        A look that fails tells nothing: the next one will.
        """
        now = self._clock.seconds()
        if now < self._asked_at + ASKED_EVERY_SECONDS:
            return []
        self._asked_at = now
        try:
            pages = await self._calls.pages("DescribeInstanceStatus", request_for_events())
        except CallFailed as failed:
            self.log.warn("no word of scheduled events: {failed}", failed=failed)
            return []
        return near(of_statuses(pages, now), now)
