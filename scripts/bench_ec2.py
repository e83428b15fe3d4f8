"""What a pool of EC2 instances costs in calls to AWS, by the list of the test server.

Its provider is the real one, and is asked as often as the loop would: every ``poll_interval`` while
instances come or go, and every ``sweep_interval`` otherwise. Then, once what launching has left is
deleted, time passes in which nothing changes: a sixth of an hour is counted six times, and one of
ten instances that end ten times, as a thousand of them take a while. All that is done every few
minutes has its place in a sixth of an hour, whenever that begins.

* ``ec2.calls_per_idle_hour_N``: of that hour, for N instances;
* ``ec2.calls_per_lease_hour_N``: of that hour, and of launching, booting, tidying up after that
  and ending them all, for each of N leases of an hour that begin at once: the worst case, as nothing
  is used twice;
* ``ec2.idle_calls_growth``: how many times as many calls as for one instance the most expensive idle
  hour took, beyond the pages that its instances fill.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench_results import Measured, counted
from twisted.internet.defer import maybeDeferred

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for what tests share

from buildbot_drydock import EC2Pool  # noqa: E402
from buildbot_drydock.interfaces import HostSpec  # noqa: E402
from buildbot_drydock.latent.ec2.launch_templates import KEPT_SECONDS  # noqa: E402
from buildbot_drydock.latent.ec2.listing import PAGE_SIZE  # noqa: E402
from buildbot_drydock.model import Health  # noqa: E402
from tests.ec2_pools import InSimulatedEC2  # noqa: E402

NUMBERS = (1, 100, 1000)
BOOT_SECONDS, END_SECONDS = 30.0, 30.0
HOUR = 3600.0
PARTS_OF_HOUR = 6
ONE_OF = 10  # so many instances is ended


class Account(InSimulatedEC2):
    """One account with one pool. What a test would undo at its end is undone by ``close``."""

    def __init__(self, instances: int) -> None:
        super().__init__("runTest")
        self._undo: list[Callable[[], Any]] = []
        self.begin()
        self.server.timings.pending = BOOT_SECONDS
        self.server.timings.shutting_down = END_SECONDS
        self.provider = self.new_provider(limit=instances)
        self.intervals = EC2Pool("cloud", **self.fields()).blueprint(0.0)
        self.tokens = [f"drydock-{number}" for number in range(instances)]

    def runTest(self) -> None:
        """Nothing: it is no test here."""

    def addCleanup(self, undo: Callable[..., Any], *arguments: Any, **others: Any) -> None:
        self._undo.append(lambda: undo(*arguments, **others))

    async def close(self) -> None:
        for undo in reversed(self._undo):
            await maybeDeferred(undo)

    async def counted(self, work: Awaitable[None]) -> int:
        """Have something done; return how many calls that took."""
        self.server.inspector.forget_calls()
        await work
        return int(self.server.inspector.count_calls())

    async def launch(self) -> None:
        for place, token in enumerate(self.tokens):
            await self.provider.create(token, HostSpec(place=place))
        ready = 0
        while ready < len(self.tokens):
            self.pass_time(self.intervals.poll_interval)
            listed = await self.provider.inventory()
            ready = sum(each.health is Health.READY for each in listed)

    async def tidy(self) -> None:
        """Have deleted what instances were launched from, which is due some minutes later."""
        self.pass_time(KEPT_SECONDS)
        while self.server.inspector.launch_templates():
            await self.provider.inventory()

    async def idle_for_a_part_of_an_hour(self) -> None:
        for _ in range(round(HOUR / PARTS_OF_HOUR / self.intervals.sweep_interval)):
            self.pass_time(self.intervals.sweep_interval)
            await self.provider.inventory()

    @property
    def doomed(self) -> list[str]:
        """One of so many."""
        return self.tokens[::ONE_OF]

    async def begin_to_end_some(self) -> None:
        for token in self.doomed:
            await self.provider.destroy(token)

    async def see_them_end(self) -> None:
        while len(await self.provider.inventory()) > len(self.tokens) - len(self.doomed):
            self.pass_time(self.intervals.poll_interval)


async def calls_for(instances: int) -> tuple[int, float]:
    """Return how many calls the idle hour took, and how many everything together."""
    account = Account(instances)
    try:
        launching = await account.counted(account.launch())
        tidying = await account.counted(account.tidy())
        idle = PARTS_OF_HOUR * await account.counted(account.idle_for_a_part_of_an_hour())
        ending = await account.counted(account.begin_to_end_some())
        waiting = await account.counted(account.see_them_end())
        begun = launching + tidying
        return idle, begun + idle + ending * instances / len(account.doomed) + waiting
    finally:
        await account.close()


async def ec2_calls(directory: str) -> list[Measured]:
    rows, growth = [], 0.0
    alone = 0
    for number in NUMBERS:
        idle, everything = await calls_for(number)
        alone = alone or idle
        growth = max(growth, idle / alone / math.ceil(number / PAGE_SIZE))
        rows += [
            counted(f"ec2.calls_per_idle_hour_{number}", idle, "calls"),
            counted(f"ec2.calls_per_lease_hour_{number}", everything / number, "calls"),
        ]
    return [*rows, counted("ec2.idle_calls_growth", growth, "times as many", "<= 1")]
