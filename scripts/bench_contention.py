"""Fifty leases compete for five slots, each held for one second; ideal are ten seconds.

One master's loop gives them out, on a synthetic provider of five hosts of one slot each. At each
acquisition the rows are looked at too: never more than five living leases may hold a resource.
Afterwards, with the slots free and the hosts warm, one lease at a time is asked for.
"""

from __future__ import annotations

import statistics
from time import perf_counter
from typing import Any

import sqlalchemy as sa
from bench_database import Database, open_database
from bench_master import BenchMaster
from bench_results import Measured, counted, measured, percentile
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from buildbot_drydock.latent.synthetic import SyntheticCloud, SyntheticProvider
from buildbot_drydock.model import LIVING_LEASES, Blueprint
from buildbot_drydock.store.schema import leases

SLOTS, COMPETITORS, HOLD_SECONDS, ONE_BY_ONE = 5, 50, 1.0, 50

_HELD = sa.select(sa.func.count(leases.c.id)).where(
    leases.c.resource.is_not(None),
    leases.c.status.in_([status.value for status in LIVING_LEASES]),
)


class Contention:
    def __init__(self, database: Database) -> None:
        clock: Any = reactor
        blueprint = Blueprint(
            name="bench", kind="synthetic", limit=SLOTS, vacates=True, idle_timeout=None
        )
        provider = SyntheticProvider(SyntheticCloud(clock), "bench")
        self._pool = database.pool
        self.master = BenchMaster(database.store, [blueprint], {"bench": provider})
        self._in_use: dict[tuple[int | None, int | None], int] = {}  # the lease on each slot
        self._released_at: dict[tuple[int | None, int | None], float] = {}
        self.most_at_once = 0
        self.most_in_rows = 0
        self.first_active = 0.0  # seconds from the beginning
        self.handovers: list[float] = []  # seconds from a release to the next lease's active

    async def compete(self) -> float:
        """Return how many seconds all of it takes."""
        began = perf_counter()
        await gatherResults(
            [Deferred.fromCoroutine(self._one(f"bench/{n}")) for n in range(COMPETITORS)]
        )
        took = perf_counter() - began
        self.first_active -= began
        return took

    async def _one(self, owner: str) -> None:
        lease = await self.master.leases.request(owner=owner)
        active = await self.master.leases.when_active(lease.id)
        slot = (active.resource, active.slot)
        self._note_active(slot, lease.id)
        rest = deferLater(reactor, HOLD_SECONDS)
        held: int = await self._pool.do(lambda connection: connection.execute(_HELD).scalar())
        self.most_in_rows = max(self.most_in_rows, held)
        await rest
        del self._in_use[slot]
        self._released_at[slot] = perf_counter()
        await self.master.leases.release(lease.id, "done")

    def _note_active(self, slot: tuple[int | None, int | None], lease: int) -> None:
        now = perf_counter()
        if slot in self._in_use:
            raise AssertionError(
                f"slot {slot} was given to leases {self._in_use[slot]} and {lease}"
            )
        self._in_use[slot] = lease
        self.most_at_once = max(self.most_at_once, len(self._in_use))
        self.first_active = self.first_active or now
        if slot in self._released_at:
            self.handovers.append(now - self._released_at.pop(slot))

    async def one_by_one(self) -> list[float]:
        """Return the seconds from each request to its active lease, on a warm and free slot."""
        seconds = []
        for number in range(ONE_BY_ONE):
            began = perf_counter()
            lease = await self.master.leases.request(owner=f"single/{number}")
            await self.master.leases.when_active(lease.id)
            seconds.append(perf_counter() - began)
            await self.master.leases.release(lease.id, "done")
            await deferLater(reactor, 0.02)  # until the slot is vacated, and the loop at rest
        return seconds


async def contention(directory: str) -> list[Measured]:
    async with open_database(directory) as database:
        run = Contention(database)
        run.master.loop.start()
        took = await run.compete()
        single = await run.one_by_one()
        await run.master.loop.stop()
    ideal = COMPETITORS / SLOTS * HOLD_SECONDS
    return [
        measured("contention.ratio", took / ideal, "times the ideal 10 s", "<= 1.1"),
        counted("contention.most_at_once", run.most_at_once, "leases on 5 slots", "<= 5"),
        counted("contention.most_at_once_in_rows", run.most_in_rows, "leases on 5 slots", "<= 5"),
        measured("contention.first_active_ms", run.first_active * 1000, "ms"),
        measured("contention.handover_ms_p50", statistics.median(run.handovers) * 1000, "ms"),
        measured("lease.warm_ms_p50", percentile(single, 50) * 1000, "ms"),
        measured("lease.warm_ms_p95", percentile(single, 95) * 1000, "ms"),
    ]
