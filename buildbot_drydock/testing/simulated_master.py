"""A master as the simulator runs it: the product's loop, and holders that use what they lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any, cast

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from buildbot_drydock.calls import CallLog
from buildbot_drydock.controller import Controller
from buildbot_drydock.errors import HostError, LeaseBroken
from buildbot_drydock.executor import Executor
from buildbot_drydock.interfaces import Provider, Store
from buildbot_drydock.launches import Launches
from buildbot_drydock.leases import Leases
from buildbot_drydock.loop import Loop
from buildbot_drydock.model import Blueprint, Labels, Lease, Notice, World
from buildbot_drydock.planner import Plan, plan
from buildbot_drydock.provider_calls import ProviderCalls
from buildbot_drydock.sharing import USUAL, Sharing
from buildbot_drydock.testing.simulated_access import some_subjects
from buildbot_drydock.testing.stepping import Process, SteppedProvider, SteppedStore

LEASE_SECONDS = 120.0
RENEW_SECONDS = 30.0


class SimulatedMaster:
    """One run of one master. When it dies, another run of the same number may follow."""

    def __init__(
        self,
        number: int,
        clock: Clock,
        random: Random,
        store: Any,
        providers: Mapping[str, Any],
        blueprints: Callable[[], Sequence[Blueprint]],
        *,
        skew_seconds: float,
        holders: int,
        wishes: Sequence[Labels],
        sharing: Callable[[], Sharing] = lambda: USUAL,
        priority: Callable[[], int] = lambda: 0,
        examine: Callable[[World, Plan], None] = lambda world, plan: None,
    ) -> None:
        self.number = number
        self.random = random
        self.process = Process(clock, skew_seconds)
        self.store = cast(Store, SteppedStore(store, self.process.stop))
        self.providers: dict[str, Provider] = {
            name: SteppedProvider(provider, self.process.stop)
            for name, provider in providers.items()
        }
        self.rounds_left: int | None = None  # per holder; None while the storm lasts
        self.bugs: list[Failure] = []
        self.warnings: list[tuple[int, Notice]] = []  # that holders were told, with their leases
        self._wishes = wishes
        self._sharing = sharing
        self._examine = examine
        self.priority = priority
        self._wire(blueprints)
        self.holders = [Holder(self, f"worker/{number}-{n}") for n in range(holders)]
        self._start = Deferred.fromCoroutine(self._run())
        self._start.addErrback(self.bugs.append)

    def _wire(self, blueprints: Callable[[], Sequence[Blueprint]]) -> None:
        clock = self.process
        launches = Launches(self.store, clock, self.random.random)
        self.leases = Leases(
            self.store,
            clock,
            master=self.number,
            lease_seconds=LEASE_SECONDS,
            new_nonce=lambda: f"{self.random.getrandbits(64):016x}",
            wake=lambda: self.loop.wake(),
        )
        calls = ProviderCalls(
            self.store,
            self.providers,
            CallLog(self.random.random),
            launches,
            clock=clock,
            wake=lambda: self.loop.wake(),
            lease_changed=self.leases.lease_changed,
        )
        executor = Executor(
            self.store,
            calls,
            launches,
            clock=clock,
            new_token=lambda: f"host-{self.random.getrandbits(48):012x}",
            lease_changed=self.leases.lease_changed,
        )
        self.controller = Controller(
            self.store,
            calls,
            executor,
            lambda now, states: blueprints(),
            clock=clock,
            master=self.number,
            planner=self._plan,
            observed=self.leases.observed,
            sharing=self._sharing,
        )
        self.loop = Loop(self.controller.turn, lambda: self.controller.plan.wake_at, clock)

    async def _plan(self, world: World) -> Plan:
        made = plan(world)
        self._examine(world, made)
        return made

    async def _run(self) -> None:
        """Start as the service does: what this master held before lives on until its holders come."""
        await self.leases.await_holders()
        self.loop.start()
        self._renew_later()
        for holder in self.holders:
            holder.start()

    def _renew_later(self) -> None:
        self.process.callLater(RENEW_SECONDS, self._renew)

    def _renew(self) -> None:
        self._renewing = Deferred.fromCoroutine(self.leases.renew_held())
        self._renewing.addErrback(self.bugs.append)
        self._renew_later()

    def wish(self) -> Labels:
        return self.random.choice(self._wishes)

    def die(self) -> None:
        self.process.alive = False

    @property
    def at_rest(self) -> bool:
        return all(holder.done for holder in self.holders)

    async def sleep(self, seconds: float) -> None:
        slept: Deferred[None] = Deferred()
        self.process.callLater(seconds, slept.callback, None)
        await slept


class Holder:
    """Uses leases as a worker does: adopts one, or asks, waits, starts a process, stops, releases."""

    def __init__(self, master: SimulatedMaster, owner: str) -> None:
        self.owner = owner
        self.done = False
        self.served = 0
        self.using: Lease | None = None
        self._master = master

    def start(self) -> None:
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(self._master.bugs.append)

    async def _live(self) -> None:
        master = self._master
        adopted = await master.leases.adopt(self.owner)
        if adopted is not None:
            await self._use(adopted)
        while master.rounds_left is None or self.served < master.rounds_left:
            await master.sleep(master.random.choice([0.0, 1.0, 10.0, 60.0]))
            await self._one_round()
        self.done = True

    async def _one_round(self) -> None:
        master = self._master
        lease = await master.leases.request(
            owner=self.owner,
            requires=master.wish(),
            priority=master.priority(),
            subjects=some_subjects(master.random, self.owner),
        )
        waiting = master.leases.when_active(lease.id)
        calm = master.rounds_left is not None
        patience = 1e9 if calm else master.random.choice([1.0, 60.0, 1e9])
        waiting.addTimeout(patience, cast(Any, master.process))
        try:
            active = await waiting
        except LeaseBroken:
            self.served += 1
            return
        except TimeoutError:
            await master.leases.release(lease.id, "its holder lost patience")
            return
        await self._use(active)
        self.served += 1

    async def _use(self, lease: Lease) -> None:
        master = self._master
        lost: Deferred[None] = Deferred()
        cautious = master.random.choice([True, False])

        def end(lease: Lease) -> None:
            if not lost.called:
                lost.callback(None)

        def warned(lease: Lease, notice: Notice) -> None:
            master.warnings.append((lease.id, notice))
            if cautious:
                end(lease)

        try:
            master.leases.hold(lease.id, end, warned)
        except LeaseBroken:
            return
        self.using = lease
        host = await self._host(lease)
        if host is not None:
            await self._start_worker(host, lease)
            if not lost.called:
                pause = master.random.choice([0.0, 5.0, 50.0, 300.0])
                lost.addTimeout(pause, cast(Any, master.process), lambda _, __: None)
                await lost
            with suppress(HostError):  # whoever vacates the slot ends what is left
                await host.stop(lease.tag)
        self.using = None
        await master.leases.release(lease.id, "its holder is done")

    async def _start_worker(self, host: Any, lease: Lease) -> None:
        """If it fails the worker never connects, and the lease is given back all the same."""
        assert lease.resource is not None
        try:
            await host.start(["worker"], tag=lease.tag)
        except HostError as error:
            await self._master.leases.blame(lease.resource, str(error))
        else:
            await self._master.leases.trust(lease.resource)

    async def _host(self, lease: Lease) -> Any:
        assert lease.resource is not None
        resource = await self._master.store.resource(lease.resource)
        assert resource is not None
        provider = self._master.providers.get(resource.blueprint)
        return provider.connect(resource) if provider is not None else None
