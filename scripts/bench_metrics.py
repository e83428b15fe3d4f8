"""What metrics cost with 10,000 resources in 10 blueprints: counting the rows of a turn, which is
done where the planning is, and the text for one scrape, which depends on the blueprints alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter

from bench_results import Measured, measured
from bench_turns import large_world
from twisted.internet.task import Clock

from buildbot_drydock.events import KINDS
from buildbot_drydock.metrics.census import take_census
from buildbot_drydock.metrics.registry import Metrics
from buildbot_drydock.planner import plan

ROUNDS = 20


def milliseconds(work: Callable[[], object]) -> float:
    """Return how long *work* takes, in the middle of several rounds."""
    taken = []
    for _ in range(ROUNDS):
        began = perf_counter()
        work()
        taken.append((perf_counter() - began) * 1000)
    return statistics.median(taken)


async def metrics(directory: str) -> list[Measured]:
    world = large_world(1_000_000.0)
    reasons = plan(world).reasons
    told = Metrics(Clock())
    told.see(take_census(world, reasons))
    data = {"seconds": 1.0, "waited": 1.0, "cost": 1.0, "active": True}
    for blueprint in world.blueprints:
        for kind in KINDS:
            told.count({"kind": kind, "data": data, "blueprint": blueprint.name, "leaseid": None})
    return [
        measured("metrics.census_ms", milliseconds(lambda: take_census(world, reasons)), "ms"),
        measured("metrics.scrape_ms", milliseconds(lambda: told.exposition("")), "ms", "<= 20"),
    ]
