"""The store contract on each database that Buildbot can use, through Buildbot's own pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import TestCase

from buildbot_drydock.interfaces import Store
from buildbot_drydock.store import migrations
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.testing.store_contract import StoreContract
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


class OnTwoPools(StoreContract):
    """The other handle is another master's: on a pool, and so on connections, of its own."""

    url: Callable[[], str]

    async def make_store(self) -> Store:
        pool = make_pool(self, self.url())
        await make_empty(pool)
        return SqlStore(pool, self.clock)

    async def another_handle(self) -> Store:
        return SqlStore(make_pool(self, self.url()), self.clock)


class TestSqliteStore(OnSqlite, OnTwoPools, TestCase):
    pass


class TestSqliteStoreInMemory(StoreContract, TestCase):
    async def make_store(self) -> Store:
        pool: Any = make_pool(self, "sqlite://")
        await migrations.upgrade(pool)
        return SqlStore(pool, self.clock)


@needs(POSTGRESQL)
class TestPostgresqlStore(OnPostgresql, OnTwoPools, TestCase):
    pass


@needs(MARIADB)
class TestMariadbStore(OnMariadb, OnTwoPools, TestCase):
    pass
