"""The whole core of one master, on a test clock, a store in memory and a synthetic cloud.

Turns are run by hand, so that a test sees what each of them does.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from buildbot_drydock import events
from buildbot_drydock.calls import CallLog
from buildbot_drydock.controller import Controller
from buildbot_drydock.executor import Executor
from buildbot_drydock.latent.synthetic import Failure, Script, SyntheticCloud, SyntheticProvider
from buildbot_drydock.launches import Launches
from buildbot_drydock.leases import Leases
from buildbot_drydock.model import (
    Blueprint,
    BlueprintState,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Resource,
    ResourceStatus,
)
from buildbot_drydock.provider_calls import ProviderCalls
from buildbot_drydock.store.memory import MemoryStore
from buildbot_drydock.testing.builders import NOW, blueprint

T = TypeVar("T")

LIMIT_SECONDS = 300.0


class CoreTestCase(TestCase):
    """A core with one blueprint; ``configure`` replaces it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryStore(self.clock)
        self.cloud = SyntheticCloud(self.clock, reactor=self.clock)
        self.wakes = 0
        self.tokens = 0
        self.providers: dict[str, Any] = {}
        self.launches = Launches(self.store, self.clock, lambda: 0.0)
        self.leases = Leases(
            self.store,
            self.clock,
            master=1,
            lease_seconds=100.0,
            new_nonce=lambda: "a nonce",
            wake=self.wake,
        )
        self.changes: list[Lease] = []
        self.calls = ProviderCalls(
            self.store,
            self.providers,
            CallLog(lambda: 0.0),
            self.launches,
            clock=self.clock,
            wake=self.wake,
            lease_changed=self.lease_changed,
            limit_seconds=LIMIT_SECONDS,
        )
        self.executor = Executor(
            self.store,
            self.calls,
            self.launches,
            clock=self.clock,
            new_token=self.new_token,
            lease_changed=self.lease_changed,
        )
        self.configure(blueprint())

    def configure(self, *blueprints: Blueprint) -> None:
        self.blueprints = blueprints
        for each in blueprints:
            self.providers.setdefault(each.name, SyntheticProvider(self.cloud, each.name))
        self.controller = Controller(
            self.store,
            self.calls,
            self.executor,
            lambda now, states: self.blueprints,
            clock=self.clock,
            master=1,
            observed=self.leases.observed,
        )

    def wake(self) -> None:
        self.wakes += 1

    def new_token(self) -> str:
        self.tokens += 1
        return f"token-{self.tokens}"

    def lease_changed(self, lease: Lease) -> None:
        self.changes.append(lease)
        self.leases.lease_changed(lease)

    # --- steps -------------------------------------------------------------------------------

    def now(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of what does not wait for the clock."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def turn(self) -> bool:
        return self.now(self.controller.turn())

    def settle(self, most: int = 20) -> None:
        """Run turns until no further one is due at once."""
        for _ in range(most):
            wakes = self.wakes
            if not self.turn() and self.wakes == wakes:
                return
        self.fail(f"{most} turns were not enough")

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def script(self, *failures: Failure, **fields: Any) -> None:
        self.cloud.script = Script(failures=failures, **fields)

    def request(self, owner: str = "worker/linux-001", **fields: Any) -> Lease:
        """A lease without a holder who renews it."""
        wanted = LeaseRequest(owner=owner, nonce=f"nonce-of-{owner}", **fields)
        record = events.LeaseRequested(owner=owner, requires=dict(wanted.requires))
        return self.now(self.store.request_lease(wanted, record))

    # --- what there is -----------------------------------------------------------------------

    def resources(self) -> Sequence[Resource]:
        return self.now(self.store.rows()).resources

    def resource(self, number: int = 1) -> Resource:
        row = self.now(self.store.resource(number))
        assert row is not None
        return row

    def lease(self, number: int = 1) -> Lease:
        row = self.now(self.store.lease(number))
        assert row is not None
        return row

    def state(self, name: str = "linux") -> BlueprintState:
        rows = self.now(self.store.rows())
        return rows.blueprints.get(name, BlueprintState(name=name))

    def statuses(self) -> tuple[list[ResourceStatus], list[LeaseStatus]]:
        rows = self.now(self.store.rows())
        return [r.status for r in rows.resources], [each.status for each in rows.leases]

    def recorded(self, *kinds: type[events.Event]) -> list[events.Event]:
        everything = self.now(self.store.events(limit=10_000))
        return [each.event for each in everything if isinstance(each.event, kinds)]

    def change_state(self, name: str = "linux", **fields: Any) -> BlueprintState:
        """As another master, or a person, would change it."""
        seen = self.state(name)
        record = events.ModeChanged(actor="ana", mode="enabled", reason="", until=None)
        changed = self.now(self.store.change_blueprint(seen, replace(seen, **fields), record))
        assert changed is not None
        return changed


def raising(error: Exception) -> Callable[..., Any]:
    """A verb of a provider that has a bug."""

    async def verb(*arguments: object) -> None:
        raise error

    return verb


def hanging() -> Callable[..., Any]:
    """A verb of a provider that never answers."""

    async def verb(*arguments: object) -> None:
        await Deferred()

    return verb
