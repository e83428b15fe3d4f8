"""That EC2 takes a spot instance back: what it says of that, and what is known of each instance.

Its spot request says so from the warning on, and after the end too, why it came ("Spot request
status" in the EC2 user guide). The same warning, and recommendations to rebalance, come as events of
EventBridge ("Spot Instance interruption notices", "EC2 instance rebalance recommendations").
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from buildbot_drydock.latent.ec2.requests import Pool

NOTICE_SECONDS: Final = 120.0  # from a warning to the end
PAGE_SIZE: Final = 1000  # the most that DescribeSpotInstanceRequests takes
INTERRUPTION: Final = "spot interruption notice"
REBALANCE: Final = "rebalance recommendation"

_WARNED: Final = ("marked-for-termination", "marked-for-stop")
# A user's own termination, and a schedule that has ended, interrupt nothing.
_TAKEN_BACK: Final = {
    "instance-terminated-by-price": "the spot price rose above the maximum",
    "instance-terminated-no-capacity": "EC2 needs the capacity",
    "instance-terminated-capacity-oversubscribed": "EC2 needs the capacity",
    "instance-terminated-by-service": "EC2 ended it",
    "instance-terminated-launch-group-constraint": "its launch group could not be kept",
    "instance-stopped-by-price": "the spot price rose above the maximum",
    "instance-stopped-no-capacity": "EC2 needs the capacity",
    "instance-stopped-capacity-oversubscribed": "EC2 needs the capacity",
}
_WARNING_EVENT: Final = "EC2 Spot Instance Interruption Warning"
_REBALANCE_EVENT: Final = "EC2 Instance Rebalance Recommendation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What EC2 has said about the end of an instance. Times are in seconds since the epoch."""

    instance: str  # its id
    at: float  # when it was said
    ends_at: float | None  # None if there need be no end
    reason: str

    @property
    def is_of_the_end(self) -> bool:
        return self.ends_at is not None


def request_for_notices(pool: Pool) -> dict[str, Any]:
    """Return the parameters of DescribeSpotInstanceRequests that list what is being taken back.

    Requests whose instances just run are not listed, so that there are few, however many run.
    """
    codes = {"Name": "status-code", "Values": [*_WARNED, *_TAKEN_BACK]}
    return {"Filters": [*pool.filters(), codes], "MaxResults": PAGE_SIZE}


def of_requests(pages: Iterable[Mapping[str, Any]]) -> Iterator[Notice]:
    """Yield the notices in replies of DescribeSpotInstanceRequests."""
    for page in pages:
        for request in page.get("SpotInstanceRequests", ()):
            status = request.get("Status") or {}
            updated: datetime | None = status.get("UpdateTime")
            number = request.get("InstanceId")
            if updated is None or not number:
                continue
            at, code = updated.timestamp(), status.get("Code") or ""
            if code in _WARNED:
                yield Notice(
                    instance=number, at=at, ends_at=at + NOTICE_SECONDS, reason=INTERRUPTION
                )
            elif code in _TAKEN_BACK:
                reason = f"spot instance taken back without notice: {_TAKEN_BACK[code]}"
                yield Notice(instance=number, at=at, ends_at=at, reason=reason)


def of_message(body: str) -> Notice | None:
    """Return the notice in a message of EventBridge; ``None`` if it is none."""
    try:
        event = json.loads(body)
        kind, number = event["detail-type"], str(event["detail"]["instance-id"])
        at = datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    said = (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()
    if kind == _WARNING_EVENT:
        return Notice(instance=number, at=said, ends_at=said + NOTICE_SECONDS, reason=INTERRUPTION)
    if kind == _REBALANCE_EVENT:
        return Notice(instance=number, at=said, ends_at=None, reason=REBALANCE)
    return None


def _is_well_before(notice: Notice, known: Notice) -> bool:
    if notice.ends_at is None or known.ends_at is None:
        return known.ends_at is None
    return notice.ends_at < known.ends_at - NOTICE_SECONDS


class Notices:
    """What is known of the instances of one pool."""

    def __init__(self, *, heeds_rebalance: bool) -> None:
        self._heeds_rebalance = heeds_rebalance
        self._by_instance: dict[str, Notice] = {}

    def of(self, number: str) -> Notice | None:
        return self._by_instance.get(number)

    def hear(self, notice: Notice) -> bool:
        """Take note; tell whether that is news.

        The first time that an end is told of counts, unless another one comes well before it, as
        an interruption may before a retirement: the times of one end differ by less.
        """
        known = self._by_instance.get(notice.instance)
        if not notice.is_of_the_end and (known is not None or not self._heeds_rebalance):
            return False
        if known is not None and not _is_well_before(notice, known):
            return False
        self._by_instance[notice.instance] = notice
        return True

    def forget_all_but(self, instances: Collection[str]) -> None:
        self._by_instance = {
            number: notice for number, notice in self._by_instance.items() if number in instances
        }
