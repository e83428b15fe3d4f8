"""Pools on the simulated EC2: one master's provider, with instances that answer in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, Final
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock import SSH, EC2Pool, events
from buildbot_drydock.errors import DrydockError, HostError, HostUnreachable
from buildbot_drydock.interfaces import Host, HostSpec
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.latent.keeper import Keeper
from buildbot_drydock.latent.ssh_pool import keeper_rules
from buildbot_drydock.model import Health, Observed
from buildbot_drydock.testing.machines import Machine, MachineLink
from tests.ec2 import EC2Server, Instance
from tests.ec2.clock import ScriptedClock
from tests.ec2.views import hibernates

INSTALLATION = "0123456789abcdef"
TOKEN, OTHER = "drydock-1", "drydock-2"
_TYPES: Final = re.compile(r"[.&]InstanceType=([^&]+)")


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
        self.wakes: DeferredQueue[None] = DeferredQueue()  # turns that were asked for
        self.started: dict[str, float] = {}  # when those that were reached were last started
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
            wake=lambda: self.wakes.put(None),
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
        self._started = test.started
        self._server = test.server
        self._number = number

    async def open(self) -> None:
        instance = self._server.instance(self._number)
        if self._number in self._unreachable or instance.state != "running":
            raise HostUnreachable("it does not answer", phase="connecting")
        before = self._started.setdefault(self._number, instance.launched_at)
        if before != instance.launched_at and not hibernates(instance):
            self._started[self._number] = instance.launched_at
            self.machine.restart()  # it was stopped and started meanwhile
        await super().open()

    async def turn(self, what: str) -> None:
        if self._server.instance(self._number).state != "running":
            raise HostUnreachable("it does not answer", phase="connected")
        await super().turn(what)


class OnEC2(InSimulatedEC2):
    """A day on EC2, which a test makes a bad one."""

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def tearDown(self) -> None:
        self.assertEqual(self.server.inspector.doubled_tokens(), {})
        self.assertEqual(self.server.inspector.hook_errors(), [])
        self.assertEqual(self.server.inspector.crashes, [])

    def living(self) -> list[Instance]:
        return list(self.server.inspector.living)

    def asked_for(self) -> list[str]:
        """Return the types and markets that instances were asked for, in order."""
        return [
            f"{' '.join(dict.fromkeys(_TYPES.findall(call.body)))} "
            f"{'spot' if 'TargetCapacityType=spot' in call.body else 'on-demand'}"
            for call in self.server.inspector.calls
            if call.action in ("RunInstances", "CreateFleet")
        ]

    async def error_of(self, awaitable: Any) -> DrydockError:
        try:
            await awaitable
        except DrydockError as error:
            return error
        raise AssertionError("nothing was raised")

    async def only(self, provider: EC2Provider) -> Observed:
        (observed,) = await provider.inventory()
        return observed

    def told_of(self, what: str, observed: Observed) -> str:
        """Return why an instance ends, as a listing says it."""
        instance = self.server.instance(observed.identity)
        return f"{what} ({instance.instance_type} in {instance.zone})"

    async def ready(self, provider: EC2Provider, token: str = TOKEN) -> Observed:
        await provider.create(token, HostSpec())
        await provider.inventory()
        self.pass_time(1)
        await provider.inventory()
        (found,) = [each for each in await provider.inventory() if each.token == token]
        self.assertEqual((found.health, found.reason), (Health.READY, ""))
        return found
