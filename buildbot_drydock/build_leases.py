"""The leases that builds take by their steps, each known by a name within its build.

What a build has is given back when it ends, however it does. That its master was killed is seen to
by the next start, or by the leases' expiry: nobody renews them any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from buildbot.process.results import EXCEPTION, RETRY
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.errors import LeaseBroken
from buildbot_drydock.events import ResourceGivenNotice
from buildbot_drydock.latent import badges
from buildbot_drydock.latent.tenancy import attempt
from buildbot_drydock.latent.waiting import uninterrupted, within
from buildbot_drydock.model import Labels, Lease, Notice, Resource
from buildbot_drydock.reasons import Reason

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

RELEASE_SECONDS: Final = 30.0  # then it is left to expire


class IfLost(Enum):
    """What becomes of a build that loses a lease which it has taken."""

    STOP = "stop"  # it is interrupted, and ends as EXCEPTION
    RETRY = "retry"  # it is interrupted, and its request is built again
    CONTINUE = "continue"  # it is told by a property


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a step asks for."""

    type: str
    requires: Labels
    blueprints: tuple[str, ...] = ()
    priority: int = 0
    patience: float | None = None  # seconds to wait; None for ever
    if_lost: IfLost = IfLost.STOP


@dataclass(frozen=True, slots=True)
class Holding:
    """An active lease of a build, by its name there."""

    name: str
    lease: Lease
    resource: Resource
    has_host: bool

    def properties(self) -> dict[str, Any]:
        """Return what the build is told of it."""
        return {
            f"drydock_lease_{self.name}": self.lease.id,
            f"drydock_resource_{self.name}": self.resource.id,
            f"drydock_blueprint_{self.name}": self.resource.blueprint,
            f"drydock_address_{self.name}": self.resource.address,
            f"drydock_slot_{self.name}": self.lease.slot,
        }


class NotHeld(Exception):
    """A build has no lease of that name. The message says why."""


class LeasesOfBuild:
    """What one build has leased, and has asked for."""

    log = Logger()

    def __init__(self, service: DrydockService, build: Any, reactor: Any) -> None:
        self._service = service
        self._build = build
        self._reactor = reactor
        self._asked: dict[str, int | None] = {}  # the leases that are waited for, once they exist
        self._held: dict[str, Holding] = {}
        self._losses: dict[str, str] = {}
        self._ends_as: int | None = None  # as it was interrupted for a loss
        self._in_background: set[Deferred[Any]] = set()

    # --- what there is -----------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted(self._held)

    def is_taken(self, name: str) -> bool:
        return name in self._held or name in self._asked

    def holding(self, name: str | None) -> Holding:
        """Return what the build has under a name, or, without one, the only thing it has.

        Raises ``NotHeld``.
        """
        if name is None:
            if len(self._held) == 1:
                return next(iter(self._held.values()))
            if len(self._held) > 1:
                raise NotHeld(f"the build has several leases: {self._all()}; say which is meant")
        elif name in self._held:
            return self._held[name]
        if name in self._losses:
            raise NotHeld(self._losses[name])
        if name is None:
            raise NotHeld("; ".join(["the build has no lease", *self._losses.values()]))
        raise NotHeld(f"the build has no lease {name!r}; it has {self._all() or 'none'}")

    def _all(self) -> str:
        return ", ".join(map(repr, self.names()))

    # --- taking ------------------------------------------------------------------------------

    async def take(
        self,
        name: str,
        wish: Wish,
        *,
        requested: Callable[[Lease], Awaitable[None]],
        waits: Callable[[Sequence[Reason]], None],
    ) -> Holding:
        """Ask for a lease and return once it is active; then it is held until the build ends.

        *requested* hears of the lease as soon as there is one, *waits* why it waits. Raises
        ``LeaseBroken`` if it never will be active, and ``TookTooLong``. However this ends but well,
        cancelled above all, what was asked for is given back.
        """
        self._asked[name] = None
        self._losses.pop(name, None)
        leases = self._service.leases
        try:
            lease = await uninterrupted(self._request(name, wish))
            leases.watch(lease.id, waits)
            await requested(lease)
            active = await self._wait(lease.id, wish)
            resource = await self._service.resource_of(active)
            holding = Holding(name, active, resource, self._service.has_host(resource))
            leases.hold(active.id, lambda lost: self._lost(name, wish.if_lost, lost), self._warned)
            if self._asked.pop(name, None) is None:
                raise LeaseBroken(f"lease {lease.id}: its build has ended")
        except CancelledError:
            self._give_up(name, "its step was interrupted")
            raise
        except Exception as error:
            self._give_up(name, str(error))
            raise
        self._held[name] = holding
        number, builder = hooks.identify_build(self._build)
        self._go_on(leases.build_begins(active.id, number, builder))
        return holding

    async def _request(self, name: str, wish: Wish) -> Lease:
        lease = await self._service.leases.request(
            owner=hooks.owner_of_build(self._build),
            type=wish.type,
            requires=wish.requires,
            blueprints=wish.blueprints,
            priority=wish.priority + hooks.priority_of(self._build),
            attributes=hooks.describe_build(self._build),
            subjects=hooks.subjects_of(self._build),
        )
        if name in self._asked:
            self._asked[name] = lease.id
        else:
            await self._release(lease, "it was asked for in vain")
        return lease

    async def _wait(self, number: int, wish: Wish) -> Lease:
        waiting = self._service.leases.when_active(number)
        if wish.patience is None:
            return await waiting
        return await within(self._reactor, wish.patience, waiting, f"waiting for lease {number}")

    def _give_up(self, name: str, reason: str) -> None:
        number = self._asked.pop(name, None)
        if number is not None:
            self._go_on(self._release_by_number(number, reason))

    # --- while it is held --------------------------------------------------------------------

    def _lost(self, name: str, if_lost: IfLost, lease: Lease) -> None:
        """Somebody else ended the lease, or its resource was lost."""
        reason = f"lease {lease.id} ({name}) was lost: {lease.reason or lease.status.value}"
        self._held.pop(name, None)
        self._losses[name] = reason
        self.log.warn("{build}: {reason}", build=self._build, reason=reason)
        self._go_on(hooks.tell_build(self._build, {f"drydock_lost_{name}": reason}))
        if if_lost is not IfLost.CONTINUE and not hooks.is_stopped(self._build):
            self._ends_as = RETRY if if_lost is IfLost.RETRY else EXCEPTION
            self._go_on(hooks.stop_build(self._build, reason, self._ends_as))

    def verdict(self, results: int) -> int:
        """Return what the build ends as, if its steps make it end as *results*."""
        return results if self._ends_as is None else self._ends_as

    def _warned(self, lease: Lease, notice: Notice) -> None:
        """The host of a lease is to end: what runs there goes on until then."""
        text = ResourceGivenNotice.of(notice, self._reactor.seconds()).sentence()
        self._go_on(hooks.tell_build(self._build, {badges.NOTICE: f"lease {lease.id}: {text}"}))

    # --- giving back -------------------------------------------------------------------------

    async def give_back(self, name: str | None, reason: str) -> Holding:
        """Release a lease. Raises ``NotHeld``."""
        holding = self.holding(name)
        del self._held[holding.name]
        await uninterrupted(self._release(holding.lease, reason))
        return holding

    async def end(self) -> None:
        """Give all back that is left, and return once it is. Never raises."""
        reason = "its build has ended"
        for name in list(self._asked):
            self._give_up(name, reason)
        for name in list(self._held):
            self._go_on(self._release(self._held.pop(name).lease, reason))
        while self._in_background:
            await DeferredList(list(self._in_background), consumeErrors=True)

    async def _release_by_number(self, number: int, reason: str) -> None:
        lease = await self._service.store.lease(number)
        if lease is not None:
            await self._release(lease, reason)

    async def _release(self, lease: Lease, reason: str) -> None:
        """Never raises; if it fails, the lease expires."""
        leases = self._service.leases
        releasing = leases.release(lease.id, reason)
        if not await attempt(
            self._reactor, RELEASE_SECONDS, releasing, "releasing the lease", lease
        ):
            leases.drop(lease.id)

    def _go_on(self, work: Any) -> None:
        """Do something that nobody waits for before the build ends."""
        doing = Deferred.fromCoroutine(work)
        self._in_background.add(doing)

        def done(result: Any) -> None:
            self._in_background.discard(doing)

        doing.addErrback(
            lambda failure: self.log.failure(
                "{build}: {error}", failure, build=self._build, error=failure.value
            )
        )
        doing.addBoth(done)


class BuildLeases:
    """Of each build that has taken a lease what it has, until that is given back."""

    def __init__(self, service: DrydockService, ended: Callable[[], None]) -> None:
        """*ended* is called whenever a build has given all back."""
        self._service = service
        self._ended = ended
        self._builds: dict[Any, LeasesOfBuild] = {}

    def __len__(self) -> int:
        return len(self._builds)

    def names(self) -> list[str]:
        return sorted(map(hooks.owner_of_build, self._builds))

    def of(self, build: Any) -> LeasesOfBuild:
        found = self._builds.get(build)
        if found is None:
            found = LeasesOfBuild(self._service, build, build.master.reactor)
            self._builds[build] = found
            hooks.when_finished(
                build, lambda: Deferred.fromCoroutine(self._finish(build)), found.verdict
            )
        return found

    async def _finish(self, build: Any) -> None:
        await self._builds[build].end()
        del self._builds[build]
        self._ended()
