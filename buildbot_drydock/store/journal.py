"""What has happened since one last looked: the events that are new, and the rows they are about.

Each change of a row is one transaction with its event, so that the events tell of every change, of
all masters. Their ids grow, but where transactions overlap a smaller one may appear after a
greater one: ids that were skipped are looked for again for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.store import transactions
from buildbot_drydock.store.authorization_listing import AUTHORIZATIONS
from buildbot_drydock.store.listings import EVENTS, LEASES, RESOURCES, find_rows
from buildbot_drydock.store.schema import authorizations, events

MOST_AT_ONCE: Final = 500  # events
MOST_SKIPPED: Final = 200  # ids that are looked for again
PATIENCE_SECONDS: Final = 10.0  # with a transaction that has not ended yet


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    events: list[dict[str, Any]] = field(default_factory=list)  # ordered by id
    resources: list[dict[str, Any]] = field(default_factory=list)  # as they are by now
    leases: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False  # there are, or may be, others already


class Journal:
    """Reads news, each once. Begins with what comes after ``begin``."""

    def __init__(self, pool: transactions.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._last = 0
        self._skipped: dict[int, float] = {}  # ids not seen yet, and since when

    async def begin(self) -> None:
        """Take all that has happened so far as known."""
        query = sa.select(sa.func.max(events.c.id))
        last = await transactions.read(self._pool, lambda c: c.execute(query).scalar())
        self._last = last or 0

    async def read(self) -> News:
        """Return what is new, at most ``MOST_AT_ONCE`` events of it."""
        last, skipped = self._last, sorted(self._skipped)
        news = await transactions.read(self._pool, lambda c: _news(c, last, skipped))
        self._note([event["eventid"] for event in news.events])
        return news

    def _note(self, numbers: list[int]) -> None:
        now = self._clock.seconds()
        for number in numbers:
            self._skipped.pop(number, None)
            if number > self._last:
                unseen = range(max(self._last + 1, number - MOST_SKIPPED), number)
                self._skipped.update(dict.fromkeys(unseen, now))
                self._last = number
        kept = [each for each in self._skipped.items() if now - each[1] < PATIENCE_SECONDS]
        self._skipped = dict(kept[-MOST_SKIPPED:])


def _news(connection: Connection, last: int, skipped: list[int]) -> News:
    after = sa.select(events.c.id).where(events.c.id > last).order_by(events.c.id)
    numbers = list(connection.execute(after.limit(MOST_AT_ONCE)).scalars())
    more = len(numbers) == MOST_AT_ONCE
    if skipped:
        late = sa.select(events.c.id).where(events.c.id.in_(skipped))
        numbers += connection.execute(late).scalars()
    found = find_rows(connection, EVENTS, numbers) if numbers else []
    return News(
        events=found,
        resources=find_rows(connection, RESOURCES, _numbers(found, "resourceid")),
        leases=find_rows(connection, LEASES, _numbers(found, "leaseid")),
        authorizations=_authorizations(connection, found),
        more=more,
    )


def _numbers(found: list[dict[str, Any]], name: str) -> set[int]:
    return {event[name] for event in found if event[name] is not None}


def _authorizations(connection: Connection, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the authorizations that events are about, each of which names its subject."""
    of: dict[str, set[str]] = {}
    for event in found:
        if event["kind"].startswith("authorization-"):
            of.setdefault(event["blueprint"], set()).add(event["data"].get("subject", ""))
    numbers: list[int] = []
    for blueprint, subjects in of.items():
        query = sa.select(authorizations.c.id).where(
            authorizations.c.blueprint == blueprint, authorizations.c.subject.in_(subjects)
        )
        numbers += connection.execute(query).scalars()
    return find_rows(connection, AUTHORIZATIONS, numbers) if numbers else []
