"""A lock on two masters that share a database: looked at from outside, it is never held too often."""

from __future__ import annotations

import os
import sqlite3
from random import Random
from typing import Any

from buildbot.config import BuilderConfig
from buildbot.plugins import util
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import SUCCESS
from buildbot.test.util.integration import TestedMaster
from buildbot.worker.local import LocalWorker
from twisted.internet.defer import Deferred

from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.named_lock import NamedLock
from buildbot_drydock.steps import LeaseResource
from tests.integration.masters import DrydockMasterTestCase

SLOTS = 2
BUILDERS = 3  # of each master
ROUNDS = 60
HELD = "SELECT count(*) FROM drydock_slot_locks WHERE owner LIKE 'lease/%'"


class Seats:
    """What the licence's own server would count: builds that use it at this moment."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.most = 0
        self.mixed = False  # builds of both masters at once

    def enter(self, builder: str) -> None:
        self.users.append(builder)
        self.most = max(self.most, len(self.users))
        self.mixed = self.mixed or len({name[0] for name in self.users}) > 1


class Using(BuildStep):
    def __init__(self, seats: Seats, random: Random, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seats = seats
        self.random = random

    def run(self) -> Deferred[int]:
        assert self.build is not None
        assert self.master is not None
        name = self.build.builder.name
        self.seats.enter(name)
        used: Deferred[int] = Deferred()
        used.addCallback(lambda result: (self.seats.users.remove(name), result)[1])
        self.master.reactor.callLater(self.random.choice([1, 5, 20]), used.callback, SUCCESS)
        return used


class TwoMastersTests(DrydockMasterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seats = Seats()
        self.random = Random(8)

    def configuration_of(self, letter: str) -> dict[str, Any]:
        names = [f"{letter}{number}" for number in range(BUILDERS)]
        factory = util.BuildFactory(
            [LeaseResource("licence", patience=None), Using(self.seats, self.random)]
        )
        config: dict[str, Any] = {
            "protocols": {"null": {}},
            "multiMaster": True,
            "db_url": f"sqlite:///{self.basedir}/state.sqlite",
            "workers": [LocalWorker(f"{name}-worker") for name in names],
            "builders": [
                BuilderConfig(
                    name=name,
                    workernames=[f"{name}-worker"],
                    factory=factory,
                    collapseRequests=False,
                )
                for name in names
            ],
        }
        Drydock(blueprints=[NamedLock("licence", SLOTS)]).configure(config)
        return config

    async def start_masters(self) -> list[Any]:
        masters = []
        self.all_tested = []
        for letter in "ab":
            tested = TestedMaster()
            self.all_tested.append(tested)
            basedir = self.basedir if letter == "a" else os.path.abspath(self.mktemp())
            configuration = self.configuration_of(letter)
            masters.append(
                await tested.create_master(self, self.reactor, configuration, basedir=basedir)
            )
            await self.settle()
        return masters

    def held(self) -> int:
        """Count the leases that hold a slot, whatever their status says."""
        with sqlite3.connect(f"file:{self.basedir}/state.sqlite?mode=ro", uri=True) as connection:
            (found,) = connection.execute(HELD).fetchone()
        connection.close()
        return int(found)

    async def settle(self) -> None:
        await super().settle()
        if os.path.exists(f"{self.basedir}/state.sqlite") and self.seats.most:
            self.assertLessEqual(self.held(), SLOTS)

    async def test_builds_of_both_take_turns_and_never_hold_more_than_there_is(self) -> None:
        masters = await self.start_masters()
        self.assertNotEqual(masters[0].masterid, masters[1].masterid)
        for letter, self.master in zip("ab", masters, strict=True):
            for number in range(BUILDERS):
                for _ in range(2):
                    await self.request_build(f"{letter}{number}")
        wanted = 2 * 2 * BUILDERS
        for _ in range(ROUNDS):
            if await self.results() == [SUCCESS] * wanted:
                break
            await self.advance(15)
        self.assertEqual(await self.results(), [SUCCESS] * wanted)
        self.assertEqual(self.seats.most, SLOTS)
        self.assertTrue(self.seats.mixed, "both masters had some of it at once")
        for tested in self.all_tested:
            stopping = tested.shutdown()
            while not stopping.called:
                await self.advance(1)
            await stopping
        self.assertEqual(self.held(), 0)
