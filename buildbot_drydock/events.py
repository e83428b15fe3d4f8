"""What happened, one class per kind, each with its sentence.

An event is stored in the transaction of the change it reports, beside the blueprint, resource and
lease it is about. Log, web page and command line print the same sentence.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any

from buildbot_drydock.access_events import AuthorizationDecided as AuthorizationDecided
from buildbot_drydock.access_events import AuthorizationRequested as AuthorizationRequested
from buildbot_drydock.costs import money
from buildbot_drydock.event_base import DRYDOCK as DRYDOCK
from buildbot_drydock.event_base import Event as Event
from buildbot_drydock.model import Notice
from buildbot_drydock.parking_events import ResourcePowerChanged as ResourcePowerChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRequested(Event):
    kind = "resource-requested"
    built_for: int | None

    def sentence(self) -> str:
        purpose = "to keep one warm" if self.built_for is None else f"for lease {self.built_for}"
        return f"A resource was requested {purpose}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReady(Event):
    kind = "resource-ready"
    address: str
    seconds: float
    hourly_price: float | None = None

    def sentence(self) -> str:
        where = f" at {self.address}" if self.address else ""
        price = (
            "" if self.hourly_price is None else f" It costs {money(self.hourly_price)} an hour."
        )
        return f"The host answers{where}, {self.seconds:.1f} s after it was requested.{price}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReleased(Event):
    kind = "resource-released"
    reason: str

    def sentence(self) -> str:
        return f"The resource was released: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceBroken(Event):
    kind = "resource-broken"
    reason: str

    def sentence(self) -> str:
        return f"The resource broke: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFaulty(Event):
    """A lease could not use it; it is held back, for longer each time."""

    kind = "resource-faulty"
    reason: str
    faults: int

    def sentence(self) -> str:
        times = "" if self.faults == 1 else f", the {self.faults}th in a row"
        return f"A lease could not use the resource{times}: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceTrusted(Event):
    kind = "resource-trusted"
    faults: int

    def sentence(self) -> str:
        return f"A lease could use the resource, after {self.faults} that could not."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceGivenNotice(Event):
    """Its provider is going to take its host away. Recorded beside each lease on it, too."""

    kind = "resource-given-notice"
    reason: str
    ends_at: float | None
    seconds: float | None  # from now until then
    host: str = ""  # the provider's own name for it
    hourly_price: float | None = None

    @classmethod
    def of(
        cls, notice: Notice, now: float, *, host: str = "", hourly_price: float | None = None
    ) -> ResourceGivenNotice:
        return cls(
            reason=notice.reason,
            ends_at=notice.ends_at,
            seconds=None if notice.ends_at is None else notice.ends_at - now,
            host=host,
            hourly_price=hourly_price,
        )

    def sentence(self) -> str:
        host = f"The host {self.host}" if self.host else "The host"
        price = "" if self.hourly_price is None else f", at {money(self.hourly_price)} an hour,"
        when = "soon" if self.seconds is None else f"in {max(0.0, self.seconds):.0f} s"
        return f"{host}{price} will end {when}: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePriced(Event):
    kind = "resource-priced"
    hourly_price: float
    before: float | None  # None if no price was known

    def sentence(self) -> str:
        before = "" if self.before is None else f", and no longer {money(self.before)}"
        return f"The resource costs {money(self.hourly_price)} an hour{before}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDestroyed(Event):
    kind = "resource-destroyed"
    cost: float | None = None  # from its request until now
    unattributed: float | None = None  # and what of that no lease had

    def sentence(self) -> str:
        cost = "" if self.cost is None else f" It cost {money(self.cost)} in all."
        return f"The provider has nothing left of the resource.{cost}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequested(Event):
    kind = "lease-requested"
    owner: str
    requires: dict[str, str]

    def sentence(self) -> str:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(self.requires.items()))
        return f"{self.owner} asked for a lease" + (f" with {wanted}." if wanted else ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAcquired(Event):
    kind = "lease-acquired"
    slot: int
    waited: float
    active: bool = False  # there was nothing to prepare

    def sentence(self) -> str:
        return f"The lease got slot {self.slot} after {self.waited:.2f} s."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseActivated(Event):
    kind = "lease-activated"
    waited: float | None = None  # since it was requested

    def sentence(self) -> str:
        return "What the lease needed is prepared; it is active."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReturned(Event):
    kind = "lease-returned"
    reason: str

    def sentence(self) -> str:
        return f"The lease went back to the pool: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReleased(Event):
    kind = "lease-released"
    reason: str

    def sentence(self) -> str:
        return f"The lease was released: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRenewed(Event):
    """Somebody renewed a lease by hand. What masters renew for their workers is no event."""

    kind = "lease-renewed"
    expires_at: float
    seconds: float

    def sentence(self) -> str:
        return f"{self.actor} renewed the lease for {self.seconds:.0f} s."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBroken(Event):
    kind = "lease-broken"
    reason: str

    def sentence(self) -> str:
        return f"The lease broke: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseDestroyed(Event):
    kind = "lease-destroyed"
    cost: float | None = None  # of its slot, from when it got it until now
    # What each build is charged of that: "builder", "build", "seconds", "cost".
    builds: list[dict[str, Any]] | None = None

    def sentence(self) -> str:
        cost = "" if self.cost is None else f" It cost {money(self.cost)}."
        return f"Nothing of the lease is left on its slot.{cost}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchFailed(Event):
    """The blueprint backs off."""

    kind = "launch-failed"
    error: str
    failures: int
    retry_at: float | None
    budget_spent: bool

    def sentence(self) -> str:
        text = f"A launch failed ({self.failures} in a row): {self.error}."
        if self.budget_spent:
            text += " The failure budget is spent: from now on one host at a time is tried."
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueprintMisconfigured(Event):
    kind = "blueprint-misconfigured"
    error: str

    def sentence(self) -> str:
        return f"No launch can succeed as configured: {self.error}."


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchesRecovered(Event):
    kind = "launches-recovered"
    failures: int

    def sentence(self) -> str:
        return f"A launch succeeded after {self.failures} failed ones."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChanged(Event):
    kind = "mode-changed"
    mode: str
    reason: str
    until: float | None

    def sentence(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.actor} made the blueprint {self.mode}{why}."


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueprintEdited(Event):
    """Somebody changed fields at run time, or reset them to what is configured."""

    kind = "blueprint-edited"
    before: dict[str, Any]  # what was in force, by field
    after: dict[str, Any]
    reset: list[str]
    reason: str

    def sentence(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        changes = [
            f"{name} from {self.before.get(name)} to {value}"
            + (" as configured" if name in self.reset else "")
            for name, value in self.after.items()
        ]
        return f"{self.actor} changed {', '.join(changes) or 'nothing'}{why}."


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayDestroyed(Event):
    kind = "stray-destroyed"
    token: str
    identity: str
    reason: str

    def sentence(self) -> str:
        name = f"{self.token} ({self.identity})" if self.identity else self.token
        return f"The host {name} is being destroyed: {self.reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed(Event):
    """A provider call failed, and will be made again."""

    kind = "call-failed"
    verb: str
    error: str
    failures: int

    def sentence(self) -> str:
        times = "" if self.failures == 1 else f" for the {self.failures}th time in a row"
        return f"The provider failed to {self.verb}{times}: {self.error}."


@dataclass(frozen=True, slots=True, kw_only=True)
class HostModeChanged(Event):
    """An operator took a listed host out of service, or put it back."""

    kind = "host-mode-changed"
    host: str
    mode: str
    reason: str
    until: float | None
    at_once: bool

    def sentence(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        at_once = ", and ended its leases" if self.at_once else ""
        return f"{self.actor} made host {self.host} {self.mode}{at_once}{why}."


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLost(Event):
    """A listed host cannot be used until it answers again, or somebody follows the remedy."""

    kind = "host-lost"
    host: str
    phase: str  # what was being done, such as "connecting"
    reason: str
    remedy: str

    def sentence(self) -> str:
        remedy = f" Remedy: {self.remedy}." if self.remedy else ""
        doing = f" while {self.phase}" if self.phase else ""
        return f"Host {self.host} failed{doing}: {self.reason}.{remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReturned(Event):
    kind = "host-returned"
    host: str
    seconds: float  # since it was lost

    def sentence(self) -> str:
        return f"Host {self.host} is back in service after {self.seconds:.0f} s."


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWarned(Event):
    """Something is odd about a listed host, which is used all the same."""

    kind = "host-warned"
    host: str
    reason: str
    remedy: str

    def sentence(self) -> str:
        return f"Host {self.host}: {self.reason}. Remedy: {self.remedy}."


@dataclass(frozen=True, slots=True, kw_only=True)
class HostListBroken(Event):
    """The file that lists hosts cannot be read; what it said before stays in force."""

    kind = "host-list-broken"
    path: str
    error: str

    def sentence(self) -> str:
        return (
            f"The list of hosts in {self.path} cannot be used, the last good one is: {self.error}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostListRead(Event):
    kind = "host-list-read"
    path: str
    added: list[str]
    removed: list[str]
    changed: list[str]

    def sentence(self) -> str:
        parts = [
            f"{what} {', '.join(names)}"
            for what, names in (
                ("added", self.added),
                ("removed", self.removed),
                ("changed", self.changed),
            )
            if names
        ]
        return f"The list of hosts in {self.path} was read: {'; '.join(parts) or 'as before'}."


KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        ResourceRequested,
        ResourceReady,
        ResourceReleased,
        ResourceBroken,
        ResourceFaulty,
        ResourceTrusted,
        ResourceGivenNotice,
        ResourcePriced,
        ResourcePowerChanged,
        ResourceDestroyed,
        LeaseRequested,
        LeaseAcquired,
        LeaseActivated,
        LeaseReturned,
        LeaseReleased,
        LeaseRenewed,
        LeaseBroken,
        LeaseDestroyed,
        LaunchFailed,
        BlueprintMisconfigured,
        LaunchesRecovered,
        ModeChanged,
        BlueprintEdited,
        StrayDestroyed,
        CallFailed,
        HostModeChanged,
        HostLost,
        HostReturned,
        HostWarned,
        HostListBroken,
        HostListRead,
        AuthorizationRequested,
        AuthorizationDecided,
    )
}


def restore(kind: str, actor: str, data: dict[str, Any]) -> Event:
    """Return the event that a row holds; one that an earlier version stored may lack what is optional.

    Raises ``ValueError`` naming the kind or the field if the row is of a later version.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of event: {kind!r}")
    cls = KINDS[kind]
    known = {f.name for f in fields(cls)} - {"actor"}
    needed = {f.name for f in fields(cls) if f.default is MISSING}
    if odd := (set(data) - known) | (needed - set(data)):
        raise ValueError(f"event {kind!r}: unexpected or missing fields: {sorted(odd)}")
    return cls(actor=actor, **data)
