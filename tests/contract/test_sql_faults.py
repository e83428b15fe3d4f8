"""What can go wrong between the SQL store and its database."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock import events
from buildbot_drydock.errors import UnreadableRow
from buildbot_drydock.interfaces import Claim
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import BlueprintState, LeaseRequest, LeaseStatus, ResourceRequest
from buildbot_drydock.store import migrations
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.store.transactions import keep_open
from tests.contract.databases import OnSqlite, make_pool

REQUESTED = events.ResourceRequested(built_for=None)
ASKED = events.LeaseRequested(owner="w", requires={})


class OnFile(OnSqlite, TestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        self.pool = make_pool(self, self.url())
        await migrations.upgrade(self.pool)
        self.store = SqlStore(self.pool, Clock())

    async def sql(self, statement: str) -> None:
        await self.pool.do_with_transaction(
            lambda connection: connection.execute(sa.text(statement)).close()
        )


class TestUnreadableRows(OnFile):
    """A damaged row stops everything and loses nothing."""

    async def unreadable(self, call: Callable[[], Any]) -> str:
        failure = await self.assertFailure(Deferred.fromCoroutine(call()), UnreadableRow)
        self.assertIn("Repair", str(failure))
        return str(failure)

    async def add_resources(self) -> None:
        for token in ("a", "b"):
            request = ResourceRequest(
                blueprint="linux", token=token, place=0, labels={"k": "v"}, locks=(token,)
            )
            await self.store.add_resource(request, REQUESTED)

    async def test_an_unknown_status_is_named_with_table_row_and_column(self) -> None:
        await self.add_resources()
        await self.sql("UPDATE drydock_resources SET status = 'hibernating' WHERE id = 2")
        text = await self.unreadable(self.store.rows)
        for part in ("drydock_resources", "id=2", "column status", "'hibernating'", "pending"):
            self.assertIn(part, text)

    async def test_bad_json_is_named_with_table_row_and_column(self) -> None:
        await self.store.request_lease(LeaseRequest(owner="w", nonce="n"), ASKED)
        for bad in ("{", "null", "[1]"):
            await self.sql(f"UPDATE drydock_leases SET requires = '{bad}'")
            text = await self.unreadable(self.store.rows)
            for part in ("drydock_leases", "id=1", "column requires", bad):
                self.assertIn(part, text)
            await self.unreadable(lambda: self.store.lease(1))

    async def test_a_row_damaged_after_it_was_read_is_noticed(self) -> None:
        await self.add_resources()
        await self.store.rows()
        await self.sql("UPDATE drydock_resources SET locks = '{}' WHERE id = 1")
        self.assertIn("column locks", await self.unreadable(self.store.rows))

    async def test_a_repaired_row_is_as_it_was(self) -> None:
        await self.add_resources()
        before = await self.store.rows()
        await self.sql("UPDATE drydock_resources SET status = 'hibernating' WHERE id = 2")
        await self.unreadable(self.store.rows)
        await self.sql("UPDATE drydock_resources SET status = 'pending' WHERE id = 2")
        self.assertEqual(await self.store.rows(), before)

    async def test_an_unknown_mode_of_a_blueprint_is_named(self) -> None:
        state = BlueprintState(name="linux")
        record = events.ModeChanged(mode="paused", reason="", until=None)
        await self.store.change_blueprint(state, state, record)
        await self.sql("UPDATE drydock_blueprints SET mode = 'asleep'")
        text = await self.unreadable(self.store.rows)
        for part in ("drydock_blueprints", "name=linux", "column mode", "'asleep'"):
            self.assertIn(part, text)

    async def test_an_event_of_an_unknown_kind_is_named(self) -> None:
        await self.store.record(REQUESTED)
        await self.sql("UPDATE drydock_events SET kind = 'resource-sang'")
        text = await self.unreadable(self.store.events)
        for part in ("drydock_events", "id=1", "column kind", "resource-sang"):
            self.assertIn(part, text)

    async def test_an_event_with_other_fields_is_named(self) -> None:
        await self.store.record(REQUESTED)
        for bad in ("{}", "[]", "{"):
            await self.sql(f"UPDATE drydock_events SET data = '{bad}'")
            self.assertIn("column data", await self.unreadable(self.store.events))


class Repeating:
    """A pool that runs all work again after it was committed, as after a dropped connection."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.engine = pool.engine

    def do(self, callable: Callable[..., Any], /, *args: Any) -> Any:
        def twice(connection: Connection) -> Any:
            callable(connection, *args)
            return callable(connection, *args)

        return self._pool.do(twice)


class TestRepeatedWork(OnFile):
    """Work that is done again has its effect once, and the answer is one the caller can live with."""

    async def test_a_request_writes_one_lease(self) -> None:
        repeating = SqlStore(Repeating(self.pool), Clock())
        lease = await repeating.request_lease(LeaseRequest(owner="w", nonce="n"), ASKED)
        self.assertEqual((await self.store.rows()).leases, (lease,))
        self.assertEqual(len(await self.store.events()), 1)

    async def test_changes_happen_once_and_are_found_in_the_rows(self) -> None:
        repeating = SqlStore(Repeating(self.pool), Clock())
        request = ResourceRequest(blueprint="linux", token="t", place=0, locks=("place",))
        self.assertIsNone(await repeating.add_resource(request, REQUESTED))
        (resource,) = (await self.store.rows()).resources
        ready = events.ResourceReady(address="", seconds=1.0)
        self.assertIsNone(await repeating.move_resource(resource, ResourceEvent.READY, ready))
        (resource,) = (await self.store.rows()).resources
        lease = await self.store.request_lease(LeaseRequest(owner="w", nonce="n"), ASKED)
        record = events.LeaseAcquired(slot=0, waited=0.0)
        claim = Claim(lease=lease, resource=resource, slot=0, activate=True, record=record)
        self.assertEqual(list(await repeating.acquire([claim])), [None])
        rows = await self.store.rows()
        self.assertEqual((rows.leases[0].status, rows.resources[0].uses), (LeaseStatus.ACTIVE, 1))
        released = events.LeaseReleased(reason="done")
        answer = await repeating.move_lease(rows.leases[0], LeaseEvent.RELEASE, released)
        self.assertIsNone(answer)
        kinds = [entry.event.kind for entry in await self.store.events()]
        self.assertEqual(
            kinds,
            [
                "resource-requested",
                "resource-ready",
                "lease-requested",
                "lease-acquired",
                "lease-released",
            ],
        )

    async def test_a_repeated_renewal_renews(self) -> None:
        repeating = SqlStore(Repeating(self.pool), Clock())
        lease = await self.store.request_lease(LeaseRequest(owner="w", nonce="n"), ASKED)
        self.assertEqual(await repeating.renew([lease.id], expires_at=9.0), {lease.id})


class TestKeepingTheFileOpen(OnFile):
    def log(self) -> str:
        return self.url().removeprefix("sqlite:///") + "-wal"

    async def test_the_write_ahead_log_outlives_a_transaction_only_while_kept_open(self) -> None:
        await self.store.record(REQUESTED)
        self.assertFalse(os.path.exists(self.log()))
        kept = keep_open(self.pool.engine)
        self.addCleanup(kept.close)
        await self.store.record(REQUESTED)
        self.assertTrue(os.path.exists(self.log()))
        kept.close()
        kept.close()
        await self.store.record(REQUESTED)
        self.assertFalse(os.path.exists(self.log()))

    async def test_it_holds_no_transaction(self) -> None:
        kept = keep_open(self.pool.engine)
        self.addCleanup(kept.close)

        def checkpoint(connection: Connection) -> int:
            statement = "PRAGMA wal_checkpoint(TRUNCATE)"
            return int(connection.exec_driver_sql(statement).one()[0])

        await self.store.record(REQUESTED)
        self.assertEqual(await self.pool.do(checkpoint), 0)  # nobody was in the way

    async def test_a_database_in_memory_is_left_alone(self) -> None:
        pool = make_pool(self, "sqlite://")
        keep_open(pool.engine).close()
        await migrations.upgrade(pool)
        self.assertEqual((await SqlStore(pool, Clock()).rows()).leases, ())


del OnFile  # or it would be collected again
