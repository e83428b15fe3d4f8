"""A store on a fresh SQLite file, as a master has it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from buildbot.db import enginestrategy
from buildbot.db.pool import DBThreadPool
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from buildbot_drydock.store import migrations
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.store.transactions import keep_open


@dataclass(frozen=True, slots=True)
class Database:
    pool: Any
    store: SqlStore


@asynccontextmanager
async def open_database(directory: str) -> AsyncIterator[Database]:
    url = f"sqlite:///{directory}/{secrets.token_hex(4)}.sqlite"
    pool = DBThreadPool(enginestrategy.create_engine(url, basedir="/"), reactor)
    pool.start()
    try:
        await migrations.upgrade(pool)
        kept = await deferToThread(keep_open, pool.engine)
        try:
            yield Database(pool, SqlStore(pool, reactor))
        finally:
            kept.close()
    finally:
        await pool.stop()
