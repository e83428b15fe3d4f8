"""Telling those who listen what has changed: messages on Buildbot's queue, from this one place.

The events in the database tell of each change, whichever master made it, once its transaction has
ended. Every master reads them and tells its own listeners: so what other masters do is seen here,
whether their messages reach this one or not. Where one queue serves all masters (``wamp``), each
tells only of what it did itself, or listeners would hear of it from all of them.

Leases that masters renew for their workers, all of them every minute, are no news.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from buildbot_drydock.interfaces import Clock, ReactorTime
from buildbot_drydock.reasons import Reason
from buildbot_drydock.store.journal import Journal, News
from buildbot_drydock.store.listings import LEASES
from buildbot_drydock.www import authorizations, overview

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

INTERVAL_SECONDS: Final = 0.25  # between two looks at what is new
SUMMARY_SECONDS: Final = 1.0  # between two messages about blueprints and hosts
MOST_REASONS: Final = 200  # leases whose reasons changed, in one go
MOST_TIMES: Final = 10_000
ROWS_AT_A_TIME: Final = 50  # told of before others have the reactor

_OF_HOSTS: Final = ("host-mode-changed", "host-lost", "host-returned", "host-list-read")
_OF_AUTHORIZATIONS: Final = ("authorization-requested", "authorization-decided")
_BEGINNINGS: Final = {"lease-requested": "leaseid", "resource-requested": "resourceid"}

# Sends one message: the name of the resource type, the row, and "new" or "update".
Produce = Callable[[str, Mapping[str, Any], str], None]


class OwnTimes:
    """A clock that remembers what it said, so that a master knows its own events by their times."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._order: deque[float] = deque()
        self._said: set[float] = set()

    def seconds(self) -> float:
        now = self._clock.seconds()
        if now not in self._said:
            self._said.add(now)
            self._order.append(now)
        if len(self._order) > MOST_TIMES:
            self._said.remove(self._order.popleft())
        return now

    def __contains__(self, time: object) -> bool:
        return time in self._said


class Announcements:
    """*ours* tells whether an event with that time is this master's to tell of.

    *counted* hears of every event, once, whoever it is to be told by.
    """

    log = Logger()

    def __init__(
        self,
        service: DrydockService,
        journal: Journal,
        clock: ReactorTime,
        produce: Produce,
        *,
        ours: Callable[[float], bool] = lambda time: True,
        counted: Callable[[Mapping[str, Any]], None] = lambda event: None,
    ) -> None:
        self._service = service
        self._journal = journal
        self._clock = clock
        self._produce = produce
        self._ours = ours
        self._counted = counted
        self._due: Any = None  # the delayed call of the next look
        self._looking: Deferred[None] | None = None
        self._again = False
        self._stopped = False
        self._why: dict[int, tuple[tuple[str, str], ...]] = {}  # why each waiting lease waits
        self._blueprints: set[str] = set()  # to be told of
        self._hosts = False
        self._not_before = 0.0  # of the next look
        self._summary_at = 0.0  # the same of summaries

    def nudge(self) -> None:
        """Look for news soon, as there may be some."""
        if self._stopped:
            return
        if self._looking is not None:
            self._again = True
        else:
            self._look_at(self._not_before)

    async def stop(self) -> None:
        self._stopped = True
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._looking is not None:
            await self._looking

    def _look_at(self, time: float) -> None:
        """Look at *time*, or earlier if that is due already."""
        if self._due is not None:
            if self._due.getTime() <= time:
                return
            self._due.cancel()
        self._due = self._clock.callLater(max(0.0, time - self._clock.seconds()), self._look)

    def _look(self) -> None:
        self._due = None
        self._again = False
        self._not_before = self._clock.seconds() + INTERVAL_SECONDS
        self._looking = Deferred.fromCoroutine(self._tell())
        self._looking.addErrback(
            lambda failure: self.log.failure("changes could not be told of", failure)
        )
        self._looking.addCallback(lambda _: self._looked())

    def _looked(self) -> None:
        self._looking = None
        if self._stopped:
            return
        if self._again:
            self._look_at(self._not_before)
        elif self._blueprints or self._hosts:
            self._look_at(self._summary_at)

    async def _tell(self) -> None:
        news = await self._journal.read()
        self._again = self._again or news.more
        told = await self._tell_news(news)
        await self._tell_reasons(told)
        await self._tell_summaries()

    async def _tell_news(self, news: News) -> set[int]:
        """Tell of events, and of what they are about; return which leases were told of."""
        for event in news.events:
            self._counted(event)
        own = [event for event in news.events if self._ours(event["at"])]
        await self._tell_rows("drydock_resource", "resourceid", news.resources, own)
        await self._tell_rows("drydock_lease", "leaseid", news.leases, own)
        for some in _parts(own):
            for event in overview.events(some):
                self._produce("drydock_event", event, "new")
            await self._breathe()
        self._tell_authorizations(news, own)
        self._blueprints.update(event["blueprint"] for event in own if event["blueprint"])
        self._hosts = self._hosts or any(event["kind"] in _OF_HOSTS for event in own)
        return _numbers(own, "leaseid")

    async def _tell_rows(
        self, kind: str, name: str, rows: list[dict[str, Any]], own: list[dict[str, Any]]
    ) -> None:
        """Tell of those rows that this master's own events are about."""
        changed, new = _numbers(own, name), _numbers(_begun(own, name), name)
        for some in _parts([row for row in rows if row[name] in changed]):
            shown = (
                overview.leases(self._service, some)
                if kind == "drydock_lease"
                else overview.resources(self._service, some)
            )
            for row in shown:
                self._produce(kind, row, "new" if row[name] in new else "update")
            await self._breathe()

    def _tell_authorizations(self, news: News, own: list[dict[str, Any]]) -> None:
        changed = {
            (event["blueprint"], event["data"].get("subject"))
            for event in own
            if event["kind"] in _OF_AUTHORIZATIONS
        }
        rows = [row for row in news.authorizations if (row["blueprint"], row["subject"]) in changed]
        for row in authorizations.shown(self._service, rows):
            self._produce("drydock_authorization", row, "new" if row["version"] == 1 else "update")

    async def _breathe(self) -> None:
        """Let others have the reactor."""
        turn: Deferred[None] = Deferred()
        self._clock.callLater(0, turn.callback, None)
        await turn

    async def _tell_reasons(self, told: set[int]) -> None:
        """Tell of leases that now wait for something else."""
        reasons = self._service.controller.plan.reasons
        why = {number: _kinds(some) for number, some in reasons.items()}
        before, self._why = self._why, why
        for blueprint in {name for some in why.items() ^ before.items() for name, _ in some[1]}:
            self._blueprints.add(blueprint)
        changed = [n for n, some in why.items() if before.get(n) != some and n not in told]
        if not changed:
            return
        for number in changed[MOST_REASONS:]:  # their turn comes with the next look
            why[number] = before.get(number, ())
            self._again = True
        rows = await self._service.listings.rows(LEASES, changed[:MOST_REASONS])
        for some in _parts([row for row in rows if self._service.is_own(row["masterid"])]):
            for row in overview.leases(self._service, some):
                self._produce("drydock_lease", row, "update")
            await self._breathe()

    async def _tell_summaries(self) -> None:
        now = self._clock.seconds()
        if now < self._summary_at or not (self._blueprints or self._hosts):
            return
        self._summary_at = now + SUMMARY_SECONDS
        names, self._blueprints = self._blueprints, set()
        with_hosts, self._hosts = self._hosts, False
        for row in await overview.blueprints(self._service):
            if row["name"] in names:
                self._produce("drydock_blueprint", {**row, "schema": None}, "update")
        for row in await overview.hosts(self._service) if with_hosts else ():
            self._produce("drydock_host", row, "update")


def _parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        yield rows[start : start + ROWS_AT_A_TIME]


def _begun(events: Iterable[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return [event for event in events if _BEGINNINGS.get(event["kind"]) == name]


def _numbers(events: Iterable[Mapping[str, Any]], name: str) -> set[int]:
    return {event[name] for event in events if event[name] is not None}


def _kinds(reasons: Sequence[Reason]) -> tuple[tuple[str, str], ...]:
    return tuple((reason.blueprint, reason.kind) for reason in reasons)
