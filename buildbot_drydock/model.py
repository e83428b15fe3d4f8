"""The nouns of Drydock, as immutable values.

A *blueprint* says how to build a kind of *resource* (a build host) and how many there may be.
A *lease* is somebody's claim on a resource. *Slot locks* are the keys that the database lets only
one owner hold: a place under a blueprint's limit, a slot on a resource.

Nothing here performs I/O, reads a clock or draws a random number. A row is replaced, never edited
in place. All times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from buildbot_drydock.sharing import Sharing

Labels: TypeAlias = Mapping[str, str]

LOCK: Final = "lock"  # the type of what stands for a name, and has no host


class ResourceStatus(Enum):
    PENDING = "pending"  # wanted; the provider may or may not have heard of it
    ACTIVE = "active"  # answering; its slots may be leased
    RELEASED = "released"  # no new leases; being torn down
    BROKEN = "broken"  # failed; being torn down
    DESTROYED = "destroyed"  # the provider has nothing left of it


class LeaseStatus(Enum):
    PENDING = "pending"  # waits for a slot
    ACQUIRED = "acquired"  # holds a slot that is being prepared
    ACTIVE = "active"  # holds a slot; its holder may use the resource
    RELEASED = "released"  # its holder is done; the slot is still to be vacated
    BROKEN = "broken"  # cannot be satisfied, or lost its resource; the slot is still to be vacated
    DESTROYED = "destroyed"  # holds nothing


# A lease in one of these may still be used, or come to be used; in the others it has ended.
LIVING_LEASES: Final = (LeaseStatus.PENDING, LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE)


class Mode(Enum):
    """What an operator wants of a blueprint."""

    ENABLED = "enabled"
    PAUSED = "paused"  # no new resources, no new leases; what is leased goes on
    DRAINING = "draining"  # as paused, and idle resources are released
    DISABLED = "disabled"  # as draining; meant to last


class Health(Enum):
    """What a provider says of a host that exists."""

    STARTING = "starting"
    READY = "ready"
    FAILING = "failing"

    PARKING = "parking"  # on its way to being parked, whoever wanted that
    PARKED = "parked"  # stopped: it keeps its disks, runs nothing, and can be woken


class Power(Enum):
    """Whether an active resource is to run: the wish that its host is brought to.

    Only the resource's row decides. Its slots are to be had while it is running, and at no other
    time; decision 0017 says why.
    """

    RUNNING = "running"  # it was seen to run since that was wished for
    PARKING = "parking"  # to be stopped
    PARKED = "parked"  # it was seen stopped since that was wished for
    WAKING = "waking"  # to run again


class AuthorizationStatus(Enum):
    """What was decided about a subject's use of a blueprint."""

    REQUESTED = "requested"  # nothing yet
    APPROVED = "approved"
    DECLINED = "declined"


class Placement(Enum):
    PACK = "pack"  # fill the fullest resource first, so that others become idle
    SPREAD = "spread"  # use the emptiest resource first


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What somebody gave a field of a blueprint at run time, in place of what is configured."""

    value: Any  # as JSON has it
    author: str = ""
    reason: str = ""
    at: float = 0.0  # when


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueprintState:
    """The run-time state of a blueprint, shared by all masters through one row."""

    name: str
    version: int = 0
    mode: Mode = Mode.ENABLED
    mode_reason: str = ""
    mode_author: str = ""
    mode_until: float | None = None  # after this the blueprint counts as enabled again
    failures: int = 0  # launches failed in a row
    retry_at: float | None = None  # no launch before this
    last_error: str = ""
    misconfigured: bool = False  # the provider says that no launch can succeed as configured
    overrides: Mapping[str, Override] = field(default_factory=dict)  # by field

    def mode_at(self, now: float) -> Mode:
        expired = self.mode_until is not None and self.mode_until <= now
        return Mode.ENABLED if expired else self.mode


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What an operator wants of a listed host, shared by all masters through one row."""

    name: str
    version: int = 0
    mode: Mode = Mode.ENABLED  # or DISABLED: a listed host knows nothing in between
    at_once: bool = False  # leases on it are broken instead of awaited
    mode_reason: str = ""
    mode_author: str = ""
    mode_until: float | None = None  # after this the host counts as enabled again

    def disabled_at(self, now: float) -> bool:
        expired = self.mode_until is not None and self.mode_until <= now
        return self.mode is Mode.DISABLED and not expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Whether a subject may use a blueprint that needs approval: asked for once, then decided."""

    id: int = 0
    blueprint: str
    subject: str  # such as ``builder/tests``, ``project/linux`` or ``person/ana``
    status: AuthorizationStatus = AuthorizationStatus.REQUESTED
    version: int = 0
    requested_at: float = 0.0
    lease: int | None = None  # the one that needed it first; None if it was decided beforehand
    author: str = ""  # who decided last
    decided_at: float | None = None
    reason: str = ""  # and why


# What is known of a blueprint and a subject, by their names.
Authorizations: TypeAlias = Mapping[tuple[str, str], Authorization]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedHost:
    """A machine that a blueprint lists, as its provider knows it at the moment."""

    name: str  # of its slot lock ``host(NAME)``
    labels: Labels = field(default_factory=dict)
    slots: int = 1  # leases at once
    disabled: str = ""  # why, if the list itself takes it out of service
    unavailable: str = ""  # why it cannot be used for the time being, if it does not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a provider says of the end of a host that still runs."""

    reason: str
    ends_at: float | None = None  # None: soon, and nobody knows when


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What is configured, as far as the planner needs to know it.

    ``choices`` are labels fixed only when a resource is built: ``{"image": ("bookworm", "trixie")}``
    offers both, and a resource gets the one that the lease it is built for requires.
    """

    name: str
    kind: str
    provides: str = "host"  # the type of resource, matched with the type a lease asks for
    limit: int = 1  # living resources at once
    leases_per_resource: int = 1
    labels: Labels = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    placement: Placement = Placement.PACK
    min_ready: int = 0  # idle resources kept warm
    idle_timeout: float | None = 600.0  # seconds; 0 releases on last use, None keeps for ever
    minimum_billing: float = 0.0  # seconds from its request that a resource is paid for in any case
    max_uses: int | None = None  # leases a resource may serve in its life
    max_age: float | None = None  # seconds from its request until it takes no further lease
    boot_timeout: float = 900.0  # seconds a host may take to become ready
    listing_delay: float = 0.0  # seconds a new host may be missing from the provider's listing
    poll_interval: float = 5.0  # seconds between listings while something is expected to change
    sweep_interval: float = 60.0  # seconds between listings otherwise
    failure_budget: int = 5  # failed launches in a row until it only probes, one host at a time
    max_hourly_cost: float | None = None  # of its living resources together
    max_daily_cost: float | None = None  # of its resources in the last 24 hours together
    expected_price: float | None = None  # what an hour of the next resource costs at most
    parks: bool = False  # idle resources are parked, where their provider can, and not released
    park_for: float | None = None  # seconds until one that is parked is released; None for ever
    max_parked: int | None = None  # resources parked at once; None for as many as there may be
    prepares: bool = False  # its provider has per-lease set-up
    vacates: bool = False  # its provider must end what a lease left behind
    retired: bool = False  # no longer configured: only lets go of what it has
    hosts: tuple[ListedHost, ...] | None = None  # what it may use, unless it builds its hosts
    allow: tuple[str, ...] | None = None  # patterns of who may use it unasked; None for no list
    needs_approval: bool = False  # an administrator decides about everybody else
    approvers: str = ""  # who that is, in words
    state: BlueprintState = field(default_factory=lambda: BlueprintState(name=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    id: int
    blueprint: str
    token: str  # the name stamped on its host, so that it can be found again
    place: int  # the N of its slot lock ``blueprint(NAME).resource(N)``
    status: ResourceStatus = ResourceStatus.PENDING
    version: int = 0
    since: float = 0.0  # when the status last changed
    created_at: float = 0.0
    labels: Labels = field(default_factory=dict)
    host: str = ""  # the listed host that it is, if its blueprint lists hosts
    built_for: int | None = None  # the lease whose demand it was built for
    parent_lease: int | None = None  # the lease on another resource that this one stands on
    identity: str = ""  # the provider's own name for the host, such as an instance id
    address: str = ""
    data: Mapping[str, str] = field(default_factory=dict)  # what else the provider tells
    uses: int = 0  # leases it has served, the present ones included
    last_used_at: float | None = None  # when a lease on it last began or ended
    locks: tuple[str, ...] = ()  # the slot locks it holds
    reason: str = ""  # why it has the status it has
    faults: int = 0  # leases in a row that could not use it
    fault_at: float | None = None  # when the last one could not
    fault: str = ""  # and why
    ends_at: float | None = None  # when its provider takes its host away, if it told
    end_reason: str = ""  # why it does; empty unless its host was given notice
    hourly_price: float | None = None  # what an hour of it costs, once that is known
    priced_at: float | None = None  # when that was written down
    power: Power = Power.RUNNING
    power_since: float | None = None  # when that last changed; None if it never did
    parked_seconds: float = 0.0  # how long it was parked in all, but for the present time

    @property
    def notice(self) -> Notice | None:
        """The notice that its host was given, which nothing takes back."""
        return Notice(reason=self.end_reason, ends_at=self.ends_at) if self.end_reason else None

    @property
    def idle_since(self) -> float:
        """Meaningful while nothing leases it."""
        return max(self.since, self.last_used_at or 0.0, self.power_since or 0.0)

    @property
    def started_at(self) -> float:
        """When it was asked for: the host itself, or that it runs again."""
        return self.created_at if self.power_since is None else self.power_since

    def parked_until(self, now: float) -> float:
        """Return for how many seconds it has been parked in all."""
        if self.power is not Power.PARKED or self.power_since is None:
            return self.parked_seconds
        return self.parked_seconds + max(0.0, now - self.power_since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    id: int
    owner: str  # who asks, such as ``worker/linux-007``
    nonce: str  # random; secrets of this lease are derived from it
    master: int | None = None  # the Buildbot master that asked, if one did
    type: str = "host"
    requires: Labels = field(default_factory=dict)
    blueprints: tuple[str, ...] = ()  # the only ones allowed; empty for all
    priority: int = 0  # higher goes first
    attributes: Mapping[str, str] = field(default_factory=dict)  # builder, build, ...
    authorized_by: str = ""
    status: LeaseStatus = LeaseStatus.PENDING
    version: int = 0
    requested_at: float = 0.0
    since: float = 0.0  # when the status last changed
    resource: int | None = None
    slot: int | None = None
    locks: tuple[str, ...] = ()  # the slot locks it holds
    renewed_at: float = 0.0
    expires_at: float | None = None  # unless renewed before
    until: float | None = None  # released then, renewed or not
    returns: tuple[str, ...] = ()  # why it went back to the pool, each time
    reason: str = ""  # why it ended
    held_since: float | None = None  # when it got its slot
    subjects: tuple[str, ...] = ()  # in whose name it asks, the most specific first

    @property
    def tag(self) -> str:
        """What its processes on a host are marked with."""
        return f"drydock-lease-{self.id}-{self.nonce[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What a holder writes down when it asks for a lease."""

    owner: str
    nonce: str
    master: int | None = None
    type: str = "host"
    requires: Labels = field(default_factory=dict)
    blueprints: tuple[str, ...] = ()
    priority: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)
    authorized_by: str = ""
    expires_at: float | None = None
    until: float | None = None
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A build that runs, or ran, on a lease that is not closed yet."""

    lease: int
    build: int
    builder: str
    began_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A part of what a resource cost: what a build had of a lease, or what no build had."""

    resource: int
    lease: int | None = None  # None: of time in which no lease had it
    build: int | None = None
    builder: str | None = None
    seconds: float | None = None  # for which the build ran
    cost: float | None = None  # None: nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRequest:
    """What is written down before a provider hears of a new host."""

    blueprint: str
    token: str
    place: int
    labels: Labels = field(default_factory=dict)
    host: str = ""
    built_for: int | None = None
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A host that a provider says exists."""

    token: str
    identity: str = ""  # tells two hosts with one token apart; empty where that cannot happen
    health: Health = Health.READY
    created_at: float | None = None  # when the provider started it
    address: str = ""
    reason: str = ""  # why it is failing, or what it is still waiting for
    # A host whose end is announced, by a reason, a time or both, is given up as soon as its leases
    # allow. Not of listed hosts, which their list says to be unavailable instead.
    ends_at: float | None = None  # when the provider takes it away, if that is known
    end_reason: str = ""  # and why it does
    hourly_price: float | None = None  # what an hour of it costs while it runs, if that is known
    has_ended: bool = False  # it exists no more, and is listed once to tell why, by ``end_reason``
    parkable: bool = False  # its provider could park it
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def notice(self) -> Notice | None:
        if not self.end_reason and self.ends_at is None:
            return None
        return Notice(reason=self.end_reason or "its provider ends it", ends_at=self.ends_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All hosts of one blueprint, as its provider listed them.

    A listing that fails leaves the hosts of the last one in place with ``error`` set: then nothing
    may be judged gone, and nothing swept. One that is whole but for some places tells which they are:
    then nothing that may be there is judged gone.
    """

    asked_at: float  # the listing reflects what was so at this time or later
    hosts: Mapping[str, tuple[Observed, ...]] = field(default_factory=dict)  # by token
    ended: Mapping[str, tuple[Observed, ...]] = field(default_factory=dict)  # those it tells of
    error: str = ""
    stale: bool = False  # whether its provider is known to have others by now
    unlisted: frozenset[str] = frozenset()  # addresses of which it is not known what is there

    @property
    def known(self) -> bool:
        return not self.error

    def hides(self, resource: Resource) -> bool:
        """Tell whether a resource that is not listed may be in a place that could not be listed.

        One that nobody has seen yet may be anywhere.
        """
        if not resource.address:
            return bool(self.unlisted)
        return resource.address in self.unlisted


@dataclass(frozen=True, slots=True)
class CallKey:
    """One provider call: which verb, of which blueprint, on what."""

    verb: str  # inventory, create, destroy, park, wake, prepare, vacate
    blueprint: str
    subject: str = ""  # a resource's token, a lease's tag, or a token and an identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What this master remembers of a provider call. Forgotten in a crash, which is harmless."""

    running: bool = False
    succeeded_at: float | None = None  # when the last successful one was begun
    failures: int = 0  # in a row
    retry_at: float = 0.0  # not again before this
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All living rows, read in one transaction."""

    blueprints: Mapping[str, BlueprintState] = field(default_factory=dict)
    hosts: Mapping[str, HostState] = field(default_factory=dict)
    resources: tuple[Resource, ...] = ()
    leases: tuple[Lease, ...] = ()
    authorizations: Authorizations = field(default_factory=dict)  # of the blueprints asked for
    spent: Mapping[str, float] = field(default_factory=dict)  # in a day, by destroyed resources


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that the planner may know.

    Inventories are listed before the rows are read. A row is always written before its host is
    asked for, so a listed host without a row is nobody's, not merely new.
    """

    now: float
    blueprints: tuple[Blueprint, ...] = ()  # in the order configured
    hosts: Mapping[str, HostState] = field(
        default_factory=dict
    )  # listed ones with a state, by name
    resources: tuple[Resource, ...] = ()
    leases: tuple[Lease, ...] = ()
    inventories: Mapping[str, Inventory] = field(default_factory=dict)  # by blueprint
    calls: Mapping[CallKey, Call] = field(default_factory=dict)
    master: int | None = None  # which master plans; it alone refuses what it asked for itself
    authorizations: Authorizations = field(default_factory=dict)  # where approval is needed
    spent: Mapping[str, float] = field(default_factory=dict)  # in a day, by destroyed resources
    sharing: Sharing = field(default_factory=Sharing)
