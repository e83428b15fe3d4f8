"""A keeper with a machine in memory and a clock, for its tests."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import events
from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.keeper import Keeper, Rules
from buildbot_drydock.model import Health
from buildbot_drydock.testing.machines import Machine, MachineLink

NOON = 1_700_000_000.0
TOKEN = "drydock-1@build1"
OTHER = "drydock-2@build1"
OURS = "our-installation"


class Kept(SynchronousTestCase):
    """One keeper, or several of several masters, and one machine."""

    rules = Rules(
        installation=OURS,
        directory="drydock",
        boot_timeout=900.0,
        lost_after=60.0,
        probe_interval=60.0,
        min_free_bytes=500_000_000,
    )

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOON)
        self.machine = Machine(self.clock)
        self.events: list[events.Event] = []
        self.changes = 0
        self.keepers: list[Keeper] = []
        self.python: str | HostError = "/home/ci/drydock/venv/bin/python"
        self.keeper = self.new_keeper()
        self.addCleanup(self.close)

    def new_keeper(self, rules: Rules | None = None) -> Keeper:
        keeper = Keeper(
            "build1",
            "10.0.0.5",
            lambda lost: MachineLink(self.machine, lost),
            rules or self.rules,
            find_interpreter=self.find_interpreter,
            clock=self.clock,
            uniform=lambda: 0.5,
            changed=self.count_change,
            report=self.events.append,
        )
        self.keepers.append(keeper)
        return keeper

    def close(self) -> None:
        for keeper in self.keepers:
            self.successResultOf(Deferred.fromCoroutine(keeper.close()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def count_change(self) -> None:
        self.changes += 1

    async def find_interpreter(self, host: Host) -> str:
        await host.run(["python3", "-"], timeout=60)
        if isinstance(self.python, HostError):
            raise self.python
        return self.python

    def taken(self, token: str = TOKEN) -> None:
        """Have the machine in use for a resource."""
        self.keeper.begin()
        self.keeper.use(token)
        self.assertEqual(self.listed(), {token: Health.READY})

    def listed(self, keeper: Keeper | None = None) -> dict[str, Health]:
        return {each.token: each.health for each in (keeper or self.keeper).listing()}

    def reason(self, token: str = TOKEN) -> str:
        (found,) = [each.reason for each in self.keeper.listing() if each.token == token]
        return found

    def start(self, tag: str, token: str = TOKEN, keeper: Keeper | None = None) -> None:
        host = (keeper or self.keeper).host(token)
        self.successResultOf(Deferred.fromCoroutine(host.start(["sleep", "600"], tag=tag)))

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)

    def told(self, kind: type[events.Event]) -> list[str]:
        return [each.sentence() for each in self.events if isinstance(each, kind)]
