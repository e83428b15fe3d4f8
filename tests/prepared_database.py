"""A SQLite file with Buildbot's tables and ours, made once per process and copied for each master.

To make the tables takes longer than many a test that needs them. What makes them has tests of its
own.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from buildbot.db import enginestrategy
from buildbot.db.model import Model
from buildbot.db.pool import DBThreadPool
from twisted.internet import reactor

from buildbot_drydock.store import migrations

_made: list[Path] = []


async def copy_database(path: Path) -> None:
    """Put a fresh database at *path*, unless one is there."""
    if path.exists():
        return
    if not _made:
        _made.append(await _make())
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_made[0], path)


async def _make() -> Path:
    directory = tempfile.mkdtemp(prefix="drydock-database-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    engine = enginestrategy.create_engine("sqlite:///state.sqlite", basedir=directory)
    pool: Any = DBThreadPool(engine, reactor)
    pool.start()
    try:
        await Model(SimpleNamespace(pool=pool)).upgrade()
        await migrations.upgrade(pool)
    finally:
        await pool.stop()
    return Path(directory, "state.sqlite")
