"""Pools on the simulated EC2: one master's provider, with instances that answer in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock import SSH, EC2Pool, events
from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.latent.keeper import Keeper
from buildbot_drydock.latent.ssh_pool import keeper_rules
from buildbot_drydock.testing.machines import Machine, MachineLink
from tests.ec2 import EC2Server
from tests.ec2.clock import ScriptedClock

INSTALLATION = "0123456789abcdef"


class Steered(Clock):
    """A clock that is moved on by hand, and hears of threads as the reactor does."""

    def callFromThread(self, call: Callable[..., object], *args: object, **kw: object) -> None:
        reactor.callFromThread(call, *args, **kw)  # type: ignore[attr-defined]


class InSimulatedEC2(TestCase):
    """A server, and providers for it. Nothing passes the time but ``pass_time``."""

    def begin(self) -> None:
        self.server = EC2Server(clock=ScriptedClock()).start()
        self.addCleanup(self.server.stop)
        patched = mock.patch.dict(os.environ, self.server.environment())
        patched.start()
        self.addCleanup(patched.stop)
        self.clock = Steered()
        self.clock.advance(self.server.clock.seconds())
        self.threads = ThreadPool(0, 10)
        self.threads.start()
        self.addCleanup(self.threads.stop)
        self.machines: dict[str, Machine] = {}  # by instance id
        self.told: list[events.Event] = []
        self.unreachable: set[str] = set()  # ids of instances that answer nobody

    def fields(self) -> dict[str, Any]:
        """Return the fields of a pool; a test changes them."""
        return {
            "region": self.server.region,
            "endpoint_url": self.server.url,
            "image": self.server.catalogue.newest_image,
            "instance_types": ["m7i.large", "c7i.large"],
            "subnets": list(self.server.catalogue.subnets().values())[:2],
            "ssh": SSH(user="admin", agent=False),
            "limit": 10,
            "min_free_disk": 0,
        }

    def new_provider(self, name: str = "cloud", **fields: Any) -> EC2Provider:
        pool = EC2Pool(name, **{**self.fields(), **fields})
        self.assertEqual([each.sentence() for each in pool.problems], [])
        surroundings = Surroundings(
            reactor=self.clock,
            basedir=".",
            thread_pool=self.threads,
            uniform=lambda: 0.5,
            installation=INSTALLATION,
            report=lambda blueprint, event: self.told.append(event),
        )

        def make_keeper(number: str, token: str, address: str, report: Any) -> Keeper:
            self.machines.setdefault(number, Machine(self.clock))
            return Keeper(
                number,
                address,
                lambda lost: InstanceLink(self, number, lost),
                keeper_rules(pool.pool_fields, pool.pool_fields.ssh, INSTALLATION),
                find_interpreter=find_interpreter,
                clock=self.clock,
                uniform=lambda: 0.5,
                changed=lambda: None,
                report=report,
            )

        async def find_interpreter(host: Host) -> str:
            return "/usr/bin/python3"

        provider: EC2Provider = pool.provider_with(surroundings, make_keeper)
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.close()))
        return provider

    def pass_time(self, seconds: float) -> None:
        self.server.advance(seconds)
        self.clock.advance(seconds)


class InstanceLink(MachineLink):
    """A link to an instance: there is nobody to answer once that has ended."""

    def __init__(
        self, test: InSimulatedEC2, number: str, lost: Callable[[HostError], None]
    ) -> None:
        super().__init__(test.machines[number], lost)
        self._unreachable = test.unreachable
        self._server = test.server
        self._number = number

    async def open(self) -> None:
        is_running = self._server.instance(self._number).state == "running"
        if self._number in self._unreachable or not is_running:
            raise HostUnreachable("it does not answer", phase="connecting")
        await super().open()
