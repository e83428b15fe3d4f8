"""Counting what the database is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.engine import Engine

from buildbot_drydock.store.transactions import Pool


class CountedPool:
    """A pool that calls *counted* before each piece of work that it hands on."""

    def __init__(self, pool: Pool, counted: Callable[[], None]) -> None:
        self._pool = pool
        self._counted = counted

    @property
    def engine(self) -> Engine:
        return self._pool.engine

    def do(self, callable: Callable[..., Any], /, *args: Any) -> Awaitable[Any]:
        self._counted()
        return self._pool.do(callable, *args)
