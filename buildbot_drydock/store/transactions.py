"""Transactions on Buildbot's own pool of database threads.

What ``DBThreadPool.do`` runs, it runs again after a dropped connection, and it logs every
exception that leaves it as fatal. So work is one transaction, harmless when repeated, and what
goes wrong in it comes out as a value and is raised on the reactor's side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from buildbot_drydock.errors import DrydockError, RetryLater

T = TypeVar("T")

# How often a transaction is tried that the database ended to resolve a conflict with another one.
# The one it let through is done by then, so to try again at once is right.
MOST_TRIES = 8

# SQLSTATE, of PostgreSQL: serialization failure, deadlock.
_CONFLICT_STATES = frozenset({"40001", "40P01"})
# Of MySQL and MariaDB: lock wait timeout, deadlock, record changed since last read.
_CONFLICT_NUMBERS = frozenset({1205, 1213, 1020})

_UTF8MB4 = "drydock_utf8mb4"


class Pool(Protocol):
    """The part of Buildbot's ``DBThreadPool`` that the store needs."""

    @property
    def engine(self) -> Engine: ...

    def do(self, callable: Callable[..., Any], /, *args: Any) -> Awaitable[Any]:
        """Run *callable* with a connection, in a thread."""
        ...


async def read(pool: Pool, work: Callable[[Connection], T]) -> T:
    """Run *work* in a transaction in which all that it reads is of one moment."""

    def attempt(connection: Connection) -> T:
        with connection.begin():
            _begin_reading(connection)
            return work(connection)

    result: T = _answer(await pool.do(_guarded, attempt))
    return result


async def write(pool: Pool, work: Callable[[Connection], T | None]) -> T | None:
    """Run *work* in one transaction; undo all of it if it answers ``None``, or a key is taken.

    Raises ``RetryLater`` if the database keeps choosing other transactions over this one.
    """

    def attempt(connection: Connection) -> T | None:
        try:
            with connection.begin() as transaction:
                _begin_writing(connection)
                result = work(connection)
                if result is None:
                    transaction.rollback()
                return result
        except sa.exc.IntegrityError:
            return None

    result: T | None = _answer(await pool.do(_guarded, attempt))
    return result


def _guarded(
    connection: Connection, attempt: Callable[[Connection], T]
) -> tuple[T | None, DrydockError | None]:
    """Return the result, or the error that is ours to handle."""
    for tries in range(1, MOST_TRIES + 1):
        try:
            return attempt(connection), None
        except DrydockError as error:
            return None, error
        except sa.exc.DBAPIError as error:
            if not _is_conflict(error):
                raise
            problem = f"the database ended a transaction {tries} times: {error.orig}"
    return None, RetryLater(problem)


def _answer(outcome: tuple[Any, DrydockError | None]) -> Any:
    result, error = outcome
    if error is not None:
        raise error
    return result


def _is_conflict(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the database rolled this transaction back in favour of another one."""
    cause = error.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    number = cause.args[0] if cause is not None and cause.args else None
    return state in _CONFLICT_STATES or number in _CONFLICT_NUMBERS


def _begin_reading(connection: Connection) -> None:
    """Make all that follows see one moment, which is not every database's default."""
    name = connection.dialect.name
    if name == "sqlite":
        # The driver begins a transaction of its own before the first change only.
        connection.exec_driver_sql("BEGIN")
    elif name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    else:
        _speak_utf8mb4(connection)


def _begin_writing(connection: Connection) -> None:
    name = connection.dialect.name
    if name == "sqlite":
        # A transaction that reads first and writes later cannot wait for its turn: it fails at
        # once if another process wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif name in ("mysql", "mariadb"):
        _speak_utf8mb4(connection)


def _speak_utf8mb4(connection: Connection) -> None:
    """Let this connection carry all of Unicode: Buildbot's speak MySQL's ``utf8``, without emoji."""
    if _UTF8MB4 not in connection.info:
        connection.exec_driver_sql("SET NAMES utf8mb4")
        connection.info[_UTF8MB4] = True


class KeptOpen:
    """One idle connection to a SQLite file, without a transaction.

    Buildbot closes its connection after each piece of work. The last one to be closed copies the
    write-ahead log into the file and deletes it, which takes longer than a small transaction
    does. While this one is open, none is the last: writing is about twice as fast.
    """

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection

    def close(self) -> None:
        """Close the connection. Harmless when repeated."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def keep_open(engine: Engine) -> KeptOpen:
    """Keep a SQLite file open until ``close``; for any other database, do nothing.

    Blocks while it opens the file. The two calls may come from different threads.
    """
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return KeptOpen(None)
    if engine.url.database == ":memory:":
        return KeptOpen(None)
    connection = engine.connect()
    # Opening is lazy: the file and its log are opened by the first read.
    connection.exec_driver_sql("SELECT 1 FROM sqlite_master").close()
    connection.rollback()
    return KeptOpen(connection)
