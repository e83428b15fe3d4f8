"""Buildbot's own database pool on the databases that the tests run on.

The pool is made of Buildbot's parts without ``buildbot.test``, which patches Twisted when it is
imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from buildbot.db import enginestrategy
from buildbot.db.pool import DBThreadPool
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from buildbot_drydock.store import migrations
from buildbot_drydock.store.schema import metadata
from tests.prepared_database import copy_database

POSTGRESQL = "DRYDOCK_TEST_POSTGRESQL"
MARIADB = "DRYDOCK_TEST_MARIADB"


def needs(variable: str) -> pytest.MarkDecorator:
    """Skip a class of tests if the address of its server is not known."""
    return pytest.mark.skipif(
        not os.environ.get(variable),
        reason=f"{variable} is not set to the SQLAlchemy URL of a server;"
        f" `make test-all` starts the servers and sets it",
    )


def make_pool(case: TestCase, url: str) -> Any:
    """Return a started pool that is stopped after the test."""
    pool = DBThreadPool(enginestrategy.create_engine(url, basedir="/"), reactor)
    pool.start()
    case.addCleanup(pool.stop)
    return pool


class OnSqlite:
    """A fresh file each time."""

    mktemp: Callable[[], str]  # of the test case that this is mixed into

    def url(self) -> str:
        if not hasattr(self, "_url"):
            self._url = f"sqlite:///{os.path.abspath(self.mktemp())}"
        return self._url


class OnPostgresql:
    def url(self) -> str:
        return os.environ[POSTGRESQL]


class OnMariadb:
    def url(self) -> str:
        return os.environ[MARIADB]


async def make_empty(pool: Any) -> None:
    """Bring the tables up to date, and delete all rows."""
    file = pool.engine.url.database if pool.engine.dialect.name == "sqlite" else None
    if file:
        await copy_database(Path(file))
    await migrations.upgrade(pool)
    await pool.do_with_transaction(_delete_all)


async def drop_all(pool: Any) -> None:
    """Leave nothing of ours in the database."""

    def drop(connection: Any) -> None:
        metadata.drop_all(connection)
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {migrations.VERSION_TABLE}")

    await pool.do_with_transaction(drop)


def _delete_all(connection: Any) -> None:
    for table in metadata.sorted_tables:
        connection.execute(table.delete())
