"""Bringing the tables up to date, on each database and with several masters at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from buildbot.db.model import Model
from sqlalchemy.engine import Connection
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock import events
from buildbot_drydock.errors import DatabaseTooNew
from buildbot_drydock.model import BlueprintState, LeaseRequest, ResourceRequest
from buildbot_drydock.store import migrations
from buildbot_drydock.store.schema import metadata
from buildbot_drydock.store.sql import SqlStore
from tests.contract.databases import (
    MARIADB,
    POSTGRESQL,
    OnMariadb,
    OnPostgresql,
    OnSqlite,
    drop_all,
    make_pool,
    needs,
)


def ours(name: str | None, kind: str, *_: Any) -> bool:
    """Leave Buildbot's tables and our version table out of a comparison."""
    return kind != "table" or (name or "") in metadata.tables


class Migrations(TestCase):
    url: Callable[[], str]

    async def setUp(self) -> None:  # type: ignore[override]
        self.pool = make_pool(self, self.url())
        await drop_all(self.pool)

    async def revisions(self) -> list[str]:
        def work(connection: Connection) -> list[str]:
            query = sa.text(f"SELECT version_num FROM {migrations.VERSION_TABLE}")
            return list(connection.execute(query).scalars())

        revisions: list[str] = await self.pool.do(work)
        return revisions

    async def differences(self) -> list[Any]:
        def work(connection: Connection) -> list[Any]:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "include_name": ours}
            )
            return list(compare_metadata(context, metadata))

        found: list[Any] = await self.pool.do(work)
        return found

    async def test_an_upgraded_database_is_what_the_schema_says(self) -> None:
        await migrations.upgrade(self.pool)
        self.assertEqual(await self.differences(), [])
        self.assertEqual(await self.revisions(), [migrations.newest_revision()])

    async def test_a_database_that_is_not_upgraded_differs(self) -> None:
        self.assertEqual(
            sorted(
                difference[1].name
                for difference in await self.differences()
                if difference[0] == "add_table"
            ),
            sorted(metadata.tables),
        )

    async def test_a_second_upgrade_changes_nothing(self) -> None:
        await migrations.upgrade(self.pool)
        store = SqlStore(self.pool, Clock())
        record = events.LeaseRequested(owner="w", requires={})
        lease = await store.request_lease(LeaseRequest(owner="w", nonce="n"), record)
        await migrations.upgrade(self.pool)
        self.assertEqual((await store.rows()).leases, (lease,))
        self.assertEqual(await self.revisions(), [migrations.newest_revision()])

    async def test_masters_that_start_at_once_do_not_disturb_each_other(self) -> None:
        pools = [make_pool(self, self.url()) for _ in range(4)]
        await gatherResults([Deferred.fromCoroutine(migrations.upgrade(pool)) for pool in pools])
        self.assertEqual(await self.differences(), [])
        self.assertEqual(await self.revisions(), [migrations.newest_revision()])

    async def test_a_newer_database_is_refused(self) -> None:
        await migrations.upgrade(self.pool)
        await self.pool.do_with_transaction(
            lambda connection: connection.exec_driver_sql(
                f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9876'"
            ).close()
        )
        failure = await self.assertFailure(
            Deferred.fromCoroutine(migrations.upgrade(self.pool)), DatabaseTooNew
        )
        for part in ("9876", migrations.newest_revision(), "Install", "backup"):
            self.assertIn(part, str(failure))
        self.assertEqual(await self.revisions(), ["9876"])

    async def test_an_upgrade_that_was_cut_off_is_finished(self) -> None:
        """On MySQL each table is there at once, and the revision is written last."""
        await migrations.upgrade(self.pool)

        def cut_off(connection: Connection) -> None:
            connection.exec_driver_sql(f"DELETE FROM {migrations.VERSION_TABLE}")
            connection.exec_driver_sql("DROP TABLE drydock_events")

        await self.pool.do_with_transaction(cut_off)
        await migrations.upgrade(self.pool)
        self.assertEqual(await self.differences(), [])
        self.assertEqual(await self.revisions(), [migrations.newest_revision()])

    async def test_rows_of_an_older_version_can_be_read(self) -> None:
        """Before hosts were given notice and cost money, and leases told since when they have slots."""
        await migrations.upgrade(self.pool)
        store = SqlStore(self.pool, Clock())
        requested = events.ResourceRequested(built_for=None)
        request = ResourceRequest(blueprint="linux", token="t", place=0)
        resource = await store.add_resource(request, requested)
        record = events.LeaseRequested(owner="w", requires={})
        lease = await store.request_lease(LeaseRequest(owner="w", nonce="n"), record)
        unborn = BlueprintState(name="linux")
        state = await store.change_blueprint(unborn, unborn, requested)

        def downgrade(connection: Connection) -> None:
            for column in ("ends_at", "end_reason", "hourly_price", "priced_at"):
                connection.exec_driver_sql(f"ALTER TABLE drydock_resources DROP COLUMN {column}")
            connection.exec_driver_sql("ALTER TABLE drydock_leases DROP COLUMN held_since")
            connection.exec_driver_sql("ALTER TABLE drydock_blueprints DROP COLUMN overrides")
            connection.exec_driver_sql(
                f"UPDATE {migrations.VERSION_TABLE} SET version_num = '0002'"
            )

        await self.pool.do_with_transaction(downgrade)
        await migrations.upgrade(self.pool)
        self.assertEqual(await self.differences(), [])
        rows = await SqlStore(self.pool, Clock()).rows()
        self.assertEqual((rows.resources, rows.leases), ((resource,), (lease,)))
        self.assertEqual(rows.blueprints, {"linux": state})

    async def test_every_table_can_be_rolled_back(self) -> None:
        """Buildbot asks MySQL for tables that cannot."""
        await migrations.upgrade(self.pool)

        def insert_and_roll_back(connection: Connection) -> int:
            table = metadata.tables["drydock_slot_locks"]
            connection.execute(table.insert(), {"lock_key": "k", "owner": "o"})
            connection.rollback()
            return len(connection.execute(table.select()).all())

        self.assertEqual(await self.pool.do(insert_and_roll_back), 0)


class TestMigrationsOnSqlite(OnSqlite, Migrations):
    async def test_buildbots_own_upgrade_does_not_mind(self) -> None:
        """Ours before its first upgrade, between, and after: neither loses anything."""
        await migrations.upgrade(self.pool)
        store = SqlStore(self.pool, Clock())
        record = events.LeaseRequested(owner="w", requires={})
        lease = await store.request_lease(LeaseRequest(owner="w", nonce="n"), record)
        model = Model(self)  # type: ignore[arg-type]
        model.db = self  # type: ignore[assignment]
        self.assertFalse(await model.is_current())
        await model.upgrade()
        self.assertTrue(await model.is_current())
        await migrations.upgrade(self.pool)
        self.assertTrue(await model.is_current())
        await model.upgrade()
        self.assertEqual((await store.rows()).leases, (lease,))
        self.assertEqual(await self.differences(), [])


@needs(POSTGRESQL)
class TestMigrationsOnPostgresql(OnPostgresql, Migrations):
    pass


@needs(MARIADB)
class TestMigrationsOnMariadb(OnMariadb, Migrations):
    pass


del Migrations  # or it would be collected, without a database
