"""One master without Buildbot: the core, wired as the service wires it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from twisted.internet import reactor

from buildbot_drydock.calls import CallLog
from buildbot_drydock.controller import Controller, plan_here
from buildbot_drydock.executor import Executor
from buildbot_drydock.interfaces import Provider, Store
from buildbot_drydock.launches import Launches
from buildbot_drydock.leases import Leases
from buildbot_drydock.loop import Loop
from buildbot_drydock.model import Blueprint, World
from buildbot_drydock.planner import Plan
from buildbot_drydock.provider_calls import ProviderCalls

MASTER = 1
LEASE_SECONDS = 300.0


class BenchMaster:
    """Its ``loop`` runs turns once started; a benchmark may run ``controller.turn`` instead."""

    def __init__(
        self,
        store: Store,
        blueprints: Sequence[Blueprint],
        providers: Mapping[str, Provider],
        *,
        planner: Callable[[World], Awaitable[Plan]] = plan_here,
    ) -> None:
        clock: Any = reactor
        uniform = secrets.SystemRandom().random
        launches = Launches(store, clock, uniform)
        self.leases = Leases(
            store,
            clock,
            master=MASTER,
            lease_seconds=LEASE_SECONDS,
            new_nonce=lambda: secrets.token_hex(16),
            wake=lambda: self.loop.wake(),
        )
        calls = ProviderCalls(
            store,
            providers,
            CallLog(uniform),
            launches,
            clock=clock,
            wake=lambda: self.loop.wake(),
            lease_changed=self.leases.lease_changed,
        )
        executor = Executor(
            store,
            calls,
            launches,
            clock=clock,
            new_token=lambda: f"drydock-{secrets.token_hex(8)}",
            lease_changed=self.leases.lease_changed,
        )
        self.calls = calls
        self.controller = Controller(
            store,
            calls,
            executor,
            lambda now, states: blueprints,
            clock=clock,
            master=MASTER,
            planner=planner,
            observed=self.leases.observed,
        )
        self.loop = Loop(self.controller.turn, lambda: self.controller.plan.wake_at, clock)
