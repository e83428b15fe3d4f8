"""The ways out of the pure core: hosts, rows and time.

Providers and stores each have several implementations and one contract suite, in
``buildbot_drydock.testing``, that every implementation must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from buildbot_drydock.events import Event
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import (
    Authorization,
    AuthorizationStatus,
    BlueprintState,
    Charge,
    HostState,
    Labels,
    Lease,
    LeaseRequest,
    Notice,
    Observed,
    Power,
    Resource,
    ResourceRequest,
    Rows,
    Use,
)


class Clock(Protocol):
    """The part of a reactor, or of a test clock, that the core needs. Seconds since the epoch."""

    def seconds(self) -> float: ...


class ReactorTime(Clock, Protocol):
    """A clock that also calls back: any reactor, or ``twisted.internet.task.Clock``.

    Twisted's own ``IReactorTime`` is a zope interface, which a type checker cannot call.
    """

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Any:
        """Call after *delay* seconds; returns an ``IDelayedCall``."""
        ...


# --- hosts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ran to its end. A signal that ended it is a negative exit code."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Host(Protocol):
    """Runs commands and moves files on one host.

    All methods raise ``HostError`` (``HostUnreachable``, ``CommandTimedOut``) for failures of the
    host; the exit code of a command is an answer, not a failure.
    """

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        idle_timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        """Run a command to its end, at most *timeout* seconds, *idle_timeout* without output.

        Cancelling the call, or running into a limit, ends the command's whole process group.
        """
        ...

    async def start(
        self,
        argv: Sequence[str],
        *,
        tag: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        log: str | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> None:
        """Start a process that outlives the call and the master, marked with *tag*.

        Does nothing if a process so marked is running. *log* is a file on the host for its output.
        *file* is the path and the content of one that is written before, which no others may read:
        what other users must not see can't be among the arguments.
        What was stopped is never started again: a start may be under way when somebody else gives
        up on it, and arrive long after, as when a network comes back. It raises ``HostError``.
        """
        ...

    async def running(self, tag: str) -> bool:
        """Tell whether any process marked with *tag* is left."""
        ...

    async def stop(self, tag: str) -> None:
        """End all processes marked with *tag* for good, and return once none is left."""
        ...

    async def read(self, path: str) -> bytes: ...

    async def write(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        """Replace a file atomically, making its directories."""
        ...

    async def exists(self, path: str) -> bool: ...

    async def remove(self, path: str) -> None:
        """Remove a file or a whole directory; nothing if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """What a provider is asked to build."""

    labels: Labels = field(default_factory=dict)
    place: int = 0  # tells apart the hosts of one blueprint
    host: str = ""  # which listed host it is to be, if the provider lists hosts


class Provider(Protocol):
    """Builds and destroys hosts of one kind. Four verbs.

    The loop calls again until the world agrees with it, so no verb retries, sleeps, polls or waits
    for slow work to finish: it starts the work and returns. Failures are raised as
    ``buildbot_drydock.errors``; anything else is a bug.
    """

    async def inventory(self) -> Sequence[Observed]:
        """Return every host we own, by the token stamped on each.

        A host is absent once it can no longer cost money or run a build. One that was only just
        asked for may be absent too, if the provider is slow to list. Two hosts with one token are
        both returned. One that the provider took away without notice may be returned once more,
        as ``has_ended``, with the reason.
        """
        ...

    async def create(self, token: str, spec: HostSpec) -> None:
        """Start a host and stamp it with *token*; nothing if one has it already."""
        ...

    async def destroy(self, token: str, identity: str = "") -> None:
        """Start tearing down what bears *token*, or of it only *identity*; nothing if it is gone."""
        ...

    def connect(self, resource: Resource) -> Host:
        """Return the way to run things on an active resource."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One lease to be given one slot of one resource, all as last seen."""

    lease: Lease
    resource: Resource
    slot: int
    activate: bool
    record: Event
    authorized_by: str = ""
    within: BlueprintState | None = None  # where use has to be approved
    quotas: tuple[str, ...] = ()  # further slot locks, which nobody else may hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event as it was stored."""

    id: int
    at: float
    event: Event
    blueprint: str | None = None
    resource: int | None = None
    lease: int | None = None


class Store(Protocol):
    """The Drydock tables.

    Every write takes the row as the caller last saw it, answers with the row as it is now, and
    with ``None`` if the row has changed since: losing a race is an answer, not an exception. A
    move that ``lifecycle`` calls late changes nothing and answers with the row as seen. One that
    it forbids raises ``IllegalMove``. A change and the event that records it are one transaction.
    """

    async def rows(
        self, *, authorizations_of: Collection[str] = (), spent_by: Collection[str] = ()
    ) -> Rows:
        """Return all rows that are not destroyed, read in one transaction, ordered by id.

        Of authorizations, only those of the blueprints named. *spent_by* are the blueprints to tell
        of what their destroyed resources cost in the last day.
        """
        ...

    async def add_resource(
        self, request: ResourceRequest, record: Event, *, within: BlueprintState | None = None
    ) -> Resource | None:
        """Add a pending resource and take its slot locks; ``None`` if one of them is held.

        With *within*, only if that blueprint's state is as seen, and the state gets a new version:
        so of two masters that saw the same money left, only one spends it.
        """
        ...

    async def move_resource(
        self,
        seen: Resource,
        event: ResourceEvent,
        record: Event,
        *,
        reason: str = "",
        observed: Observed | None = None,
        charges: Sequence[Charge] = (),
    ) -> Resource | None:
        """Change a resource's status; with *observed*, also what is known of its host.

        *charges* are written down with it. A destroyed resource gives its slot locks back. RELEASE is refused while a lease holds a
        slot of it.
        """
        ...

    async def set_faults(
        self, seen: Resource, faults: int, record: Event, *, reason: str = ""
    ) -> Resource | None:
        """Write down how many leases in a row could not use a resource, and why the last one.

        It gets a new version, so that a claim made before does not succeed after it.
        """
        ...

    async def give_notice(self, seen: Resource, notice: Notice, record: Event) -> Resource | None:
        """Write down that a resource's host is to end.

        It gets a new version, so that a claim made before does not succeed after it. The event is
        stored beside the resource, and once more beside each lease that may still use it.
        """
        ...

    async def set_price(
        self, seen: Resource, hourly_price: float, record: Event
    ) -> Resource | None:
        """Write down what an hour of a resource costs, and that this is known since now."""
        ...

    async def set_power(
        self,
        seen: Resource,
        power: Power,
        record: Event,
        *,
        observed: Observed | None = None,
        within: BlueprintState | None = None,
    ) -> Resource | None:
        """Write down whether an active resource is to run; with *observed*, where it is found now.

        It is refused while a lease holds a slot of it, and no claim on it succeeds until it is
        running. With *within*, only if that blueprint's state is as seen, and the state gets a new
        version, as for a resource that is added.
        """
        ...

    async def request_lease(self, request: LeaseRequest, record: Event) -> Lease:
        """Add a pending lease."""
        ...

    async def acquire(self, claims: Sequence[Claim]) -> Sequence[Lease | None]:
        """Give many leases their slots, in few transactions; each claim succeeds or fails alone.

        A claim succeeds if its lease is as seen, its resource is active and as seen but for other
        claims of the same call, it is running, and the slot and the locks of ``quotas`` are free. Then the lease
        is acquired (or active), these are locked, and the resource has one use more.

        With ``within``, only if that blueprint's state is as seen, which each decision about an
        authorization gives a new version: so no lease begins on an approval that was withdrawn. A
        blueprint without a state gets its first one, for others to change.
        """
        ...

    async def move_lease(
        self,
        seen: Lease,
        event: LeaseEvent,
        record: Event,
        *,
        reason: str = "",
        charges: Sequence[Charge] = (),
    ) -> Lease | None:
        """Change a lease's status.

        RETURN gives its slot locks back and remembers *reason* in ``returns``. VACATE gives them
        back and marks the resource as last used now. Both forget its uses. *charges* are written
        down with it.
        """
        ...

    async def begin_use(self, lease: int, build: int, builder: str) -> None:
        """Write down that a build begins to run on a lease; nothing if the lease has ended."""
        ...

    async def end_use(self, lease: int, build: int) -> None:
        """Write down that a build has ended; nothing if it had, or none of the lease is known."""
        ...

    async def end_uses(self, lease: int) -> None:
        """Write down that all builds on a lease have ended: its master was restarted."""
        ...

    async def uses(self, lease: int) -> Sequence[Use]:
        """Return the builds that run, or ran, on a lease that is not closed yet, by their ids."""
        ...

    async def charged(self, resource: int) -> float:
        """Return the sum of all that is charged of a resource, as far as it is known."""
        ...

    async def renew(self, leases: Collection[int], *, expires_at: float) -> frozenset[int]:
        """Put off the expiry of many leases in one statement.

        Returns those that are still pending, acquired or active; the others have been lost.
        """
        ...

    async def lease(self, number: int) -> Lease | None:
        """Return a lease, destroyed ones included."""
        ...

    async def resource(self, number: int) -> Resource | None:
        """Return a resource, destroyed ones included."""
        ...

    async def resources_of(self, blueprint: str) -> Sequence[Resource]:
        """Return the resources of a blueprint that are not destroyed, ordered by id."""
        ...

    async def change_blueprint(
        self, seen: BlueprintState, wanted: BlueprintState, record: Event
    ) -> BlueprintState | None:
        """Replace a blueprint's state. Version 0 is that of a blueprint without a row yet."""
        ...

    async def change_host(
        self, seen: HostState, wanted: HostState, record: Event
    ) -> HostState | None:
        """Replace a listed host's state. Version 0 is that of a host without a row yet.

        The living resource that is this host gets a new version, so that a claim made before the
        change does not succeed after it.
        """
        ...

    async def request_authorization(
        self, blueprint: str, subject: str, record: Event, *, lease: int | None = None
    ) -> Authorization | None:
        """Note that a subject needs approval; ``None`` if that, or a decision, is noted already."""
        ...

    async def decide_authorization(
        self,
        seen: Authorization,
        status: AuthorizationStatus,
        record: Event,
        *,
        author: str,
        reason: str = "",
    ) -> Authorization | None:
        """Write down what was decided about a subject; the blueprint's state gets a new version.

        Version 0 is that of an authorization without a row yet.
        """
        ...

    async def record(
        self,
        event: Event,
        *,
        blueprint: str | None = None,
        resource: int | None = None,
        lease: int | None = None,
    ) -> None:
        """Store an event that reports no change of a row."""
        ...

    async def events(
        self, *, resource: int | None = None, lease: int | None = None, limit: int = 100
    ) -> Sequence[Recorded]:
        """Return the latest events, of one resource or lease if asked for, oldest first."""
        ...
