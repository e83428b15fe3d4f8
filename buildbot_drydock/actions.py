"""Everything the planner may ask for: a closed set of small values.

An action carries the rows it was decided from. The store refuses it if they have changed since, so
a stale plan is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass

from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Labels, Lease, Notice, Observed, Power, Resource


@dataclass(frozen=True, slots=True)
class ListHosts:
    """Ask a provider what exists."""

    blueprint: str


@dataclass(frozen=True, slots=True)
class BuildResource:
    """Claim a place under a blueprint's limit, and a listed host if it lists them; write the row;
    then ask for the host."""

    blueprint: str
    place: int
    labels: Labels
    built_for: int | None  # the lease it is meant for; None for a warm one
    host: str = ""  # the listed host to take into use, if the blueprint lists hosts


@dataclass(frozen=True, slots=True)
class CreateHost:
    """Ask again for a host that has not appeared."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class SettleResource:
    """Write down what has become of a resource."""

    resource: Resource
    event: ResourceEvent
    reason: str
    observed: Observed | None = None
    launch_failed: bool = False  # counts against the blueprint's failure budget


@dataclass(frozen=True, slots=True)
class GiveNotice:
    """Write down that a resource's host is to end, which its leases' holders are then told."""

    resource: Resource
    notice: Notice
    hourly_price: float | None = None  # what an hour of it costs, if that is known


@dataclass(frozen=True, slots=True)
class SetPrice:
    """Write down what an hour of a resource costs."""

    resource: Resource
    hourly_price: float


@dataclass(frozen=True, slots=True)
class SetPower:
    """Write down whether a resource is to run; then ask its provider for that, if it is not so."""

    resource: Resource
    power: Power
    reason: str
    observed: Observed | None = None


@dataclass(frozen=True, slots=True)
class ParkHost:
    """Ask again for a host to be stopped that still runs."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class WakeHost:
    """Ask again for a host to be started that is still parked."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class DestroyHost:
    """Tear down the host of a resource that has ended."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class DestroyStray:
    """Tear down a host that no living row accounts for, or the twin of one that a row does."""

    blueprint: str
    token: str
    identity: str  # empty for all that bear the token
    reason: str


@dataclass(frozen=True, slots=True)
class AcquireLease:
    """Lock a slot for a lease; it becomes active at once if nothing has to be prepared."""

    lease: Lease
    resource: Resource
    slot: int
    activate: bool
    authorized_by: str = ""  # what lets it use the blueprint, where that is not for everybody
    quotas: tuple[str, ...] = ()  # the slot locks of the quotas that count it


@dataclass(frozen=True, slots=True)
class RequestApproval:
    """Ask the administrators, once, whether a subject may use a blueprint."""

    blueprint: str
    subject: str
    lease: int  # the one that needs it


@dataclass(frozen=True, slots=True)
class PrepareLease:
    """Do the per-lease set-up, then activate."""

    lease: Lease
    resource: Resource


@dataclass(frozen=True, slots=True)
class ReturnLease:
    """Put a lease back into the pool: its resource was lost before it became active."""

    lease: Lease
    reason: str


@dataclass(frozen=True, slots=True)
class BreakLease:
    lease: Lease
    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseLease:
    lease: Lease
    reason: str


@dataclass(frozen=True, slots=True)
class VacateLease:
    """End what an ended lease left on its resource, then give its slot back."""

    lease: Lease
    resource: Resource
    hourly_share: float | None = None  # what an hour of the slot costs, if that is known


@dataclass(frozen=True, slots=True)
class CloseLease:
    """Give the slot of an ended lease back: nothing of it can be left."""

    lease: Lease
    hourly_share: float | None = None  # likewise


Action = (
    ListHosts
    | BuildResource
    | CreateHost
    | SettleResource
    | GiveNotice
    | SetPrice
    | SetPower
    | ParkHost
    | WakeHost
    | DestroyHost
    | DestroyStray
    | AcquireLease
    | RequestApproval
    | PrepareLease
    | ReturnLease
    | BreakLease
    | ReleaseLease
    | VacateLease
    | CloseLease
)
