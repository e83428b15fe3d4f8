"""News of the database: each once, in whatever order transactions end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock.store import journal
from buildbot_drydock.store.journal import PATIENCE_SECONDS, Journal
from buildbot_drydock.store.schema import events
from buildbot_drydock.testing.store_case import StoreCase
from tests.contract.databases import (
    MARIADB,
    POSTGRESQL,
    OnMariadb,
    OnPostgresql,
    OnSqlite,
    make_empty,
    make_pool,
    needs,
)
from tests.contract.listed_rows import event_row


class JournalContract(TestCase):
    url: Callable[[], str]

    async def setUp(self) -> None:  # type: ignore[override]
        self.pool = make_pool(self, self.url())
        await make_empty(self.pool)
        self.clock = Clock()
        self.journal = Journal(self.pool, self.clock)

    async def happen(self, *numbers: int) -> None:
        """Let the transactions of these events end."""
        rows = [event_row(number) for number in numbers]
        await self.pool.do_with_transaction(lambda c: c.execute(events.insert(), rows).close())

    async def read(self) -> list[int]:
        return [event["eventid"] for event in (await self.journal.read()).events]

    async def test_each_event_is_news_once(self) -> None:
        await self.happen(1, 2)
        await self.journal.begin()
        self.assertEqual(await self.read(), [])
        await self.happen(3, 4)
        self.assertEqual(await self.read(), [3, 4])
        self.assertEqual(await self.read(), [])

    async def test_an_event_whose_transaction_ends_late_is_not_missed(self) -> None:
        await self.journal.begin()
        await self.happen(1, 4)
        self.assertEqual(await self.read(), [1, 4])
        await self.happen(3, 5)
        self.assertEqual(await self.read(), [3, 5])
        self.clock.advance(PATIENCE_SECONDS - 1)
        await self.happen(2)
        self.assertEqual(await self.read(), [2])
        self.assertEqual(await self.read(), [])

    async def test_what_never_comes_is_waited_for_no_longer(self) -> None:
        await self.journal.begin()
        await self.happen(1, 4)
        await self.read()
        self.clock.advance(PATIENCE_SECONDS)
        await self.read()
        self.assertEqual(self.journal._skipped, {})

    async def test_many_events_come_in_parts(self) -> None:
        self.patch(journal, "MOST_AT_ONCE", 3)
        await self.journal.begin()
        await self.happen(1, 2, 3, 4)
        news = await self.journal.read()
        self.assertEqual(([e["eventid"] for e in news.events], news.more), ([1, 2, 3], True))
        news = await self.journal.read()
        self.assertEqual(([e["eventid"] for e in news.events], news.more), ([4], False))


class TestJournalOnSqlite(OnSqlite, JournalContract):
    pass


@needs(POSTGRESQL)
class TestJournalOnPostgresql(OnPostgresql, JournalContract):
    pass


@needs(MARIADB)
class TestJournalOnMariadb(OnMariadb, JournalContract):
    pass


class TestNewsOfRows(OnSqlite, StoreCase, TestCase):
    async def make_store(self) -> Any:
        from buildbot_drydock.store.sql import SqlStore

        self.pool = make_pool(self, self.url())
        await make_empty(self.pool)
        return SqlStore(self.pool, self.clock)

    async def test_news_bring_the_rows_they_are_about_as_they_are_by_now(self) -> None:
        read = Journal(self.pool, self.clock)
        await read.begin()
        resource = await self.active(0)
        lease = await self.requested()
        news = await read.read()
        self.assertEqual([row["resourceid"] for row in news.resources], [resource.id])
        self.assertEqual(news.resources[0]["status"], "active")
        self.assertEqual([row["leaseid"] for row in news.leases], [lease.id])


del JournalContract  # or it would be collected, without a database
