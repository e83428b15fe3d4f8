"""Why a lease waits: one typed reason per blueprint, with its numbers.

Reasons are data. ``sentence`` is their text form, ``data`` their JSON form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from buildbot_drydock.costs import money

_MOST_SHOWN: Final = 5  # of a list, in a sentence; the data has them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    kind: ClassVar[str]
    blueprint: str

    def sentence(self, now: float) -> str:
        """Say it in words, with times relative to *now*."""
        raise NotImplementedError

    def data(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Full(Reason):
    """Every place under the limit is taken, and every slot of what fits is leased."""

    kind = "full"
    limit: int | None  # None of a lock, whose slots are all there is
    leased: int  # slots leased
    slots: int  # slots there are
    ending: int  # resources being torn down, whose places come free
    out_of_service: int = 0  # listed hosts that would fit, and cannot be used
    given_notice: int = 0  # resources that their provider ends, and that take no further lease

    def sentence(self, now: float) -> str:
        text = f"{self.blueprint} is full: {self.leased} of {self.slots} slots leased"
        if self.limit is not None:
            text += f", limit {self.limit}"
        if self.ending:
            text += f", {self.ending} being torn down"
        if self.given_notice:
            text += f", {self.given_notice} about to be taken away"
        return text + (f", {self.out_of_service} out of service" if self.out_of_service else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget(Reason):
    """Another resource would cost more than its blueprint may, in an hour or in a day."""

    kind = "over-budget"
    spent: float  # an hour, by the resources there are; or in the last day, by all
    limit: float
    price: float | None  # of an hour of the next one, if that is known
    period: str = "hour"  # or "day"

    def sentence(self, now: float) -> str:
        amounts = f"{money(self.spent)} of at most {money(self.limit)}"
        if self.period == "day":
            text = f"{self.blueprint} has spent {amounts} in 24 hours"
            return (
                text
                if self.price is None
                else f"{text}, and another costs {money(self.price)} an hour"
            )
        text = f"{self.blueprint} spends {amounts} an hour"
        return text if self.price is None else f"{text}, and another costs {money(self.price)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booting(Reason):
    """A resource is coming, and has a slot to spare for this lease."""

    kind = "booting"
    resource: int | None  # None if it is only just being requested
    since: float
    boot_timeout: float

    def sentence(self, now: float) -> str:
        name = "a new resource" if self.resource is None else f"resource {self.resource}"
        waited = max(0.0, now - self.since)
        return f"{self.blueprint} is booting {name}: {waited:.0f} s of at most {self.boot_timeout:.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaiming(Reason):
    """An idle resource, or one that has ended, is being torn down to make room."""

    kind = "reclaiming"
    resource: int

    def sentence(self, now: float) -> str:
        return f"{self.blueprint} is tearing down resource {self.resource} to make room"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking(Reason):
    """A resource that would serve is on its way to being parked, and can be woken after that."""

    kind = "parking"
    resource: int

    def sentence(self, now: float) -> str:
        return f"{self.blueprint} is parking resource {self.resource}, which can be woken then"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingOff(Reason):
    kind = "backing-off"
    failures: int
    retry_at: float
    error: str

    def sentence(self, now: float) -> str:
        left = max(0.0, self.retry_at - now)
        return f"{self.blueprint} is backing off after {self.failures} failed launches, retry in {left:.0f} s: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing(Reason):
    """The failure budget is spent, and the one host that may be tried is on its way."""

    kind = "probing"
    failures: int
    budget: int
    error: str

    def sentence(self, now: float) -> str:
        return f"{self.blueprint} tries one host at a time after {self.failures} failed launches (budget {self.budget}): {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misconfigured(Reason):
    kind = "misconfigured"
    error: str
    retry_at: float | None

    def sentence(self, now: float) -> str:
        return f"{self.blueprint} is misconfigured: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack(Reason):
    """What has a free slot could not be used lately, and is tried again only after a while."""

    kind = "held-back"
    resource: int
    faults: int
    retry_at: float
    error: str

    def sentence(self, now: float) -> str:
        left = max(0.0, self.retry_at - now)
        times = "once" if self.faults == 1 else f"{self.faults} times in a row"
        return f"{self.blueprint} holds resource {self.resource} back, which could not be used {times}, for another {left:.0f} s: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfService(Reason):
    """An operator paused, drained or disabled the blueprint, or it left the configuration."""

    kind = "out-of-service"
    mode: str
    by: str
    until: float | None
    why: str

    def sentence(self, now: float) -> str:
        text = f"{self.blueprint} is {self.mode}"
        if self.by:
            text += f" by {self.by}"
        if self.until is not None:
            text += f" for another {max(0.0, self.until - now):.0f} s"
        return text + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableHost:
    """A listed host, and why it is out of service."""

    name: str
    why: str
    until: float | None = None

    def sentence(self, now: float) -> str:
        left = "" if self.until is None else f" for another {max(0.0, self.until - now):.0f} s"
        return f"{self.name} {self.why}{left}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHostInService(Reason):
    """All listed hosts that would fit are disabled, or do not answer."""

    kind = "no-host-in-service"
    hosts: tuple[UnusableHost, ...]

    def sentence(self, now: float) -> str:
        hosts = "; ".join(_shortened([host.sentence(now) for host in self.hosts]))
        return f"{self.blueprint} has no host in service that would fit: {hosts}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoesNotFit(Reason):
    """The blueprint can never satisfy the lease."""

    kind = "does-not-fit"
    label: str  # the first requirement that is not met
    wanted: str
    offered: tuple[str, ...]

    def sentence(self, now: float) -> str:
        offers = " or ".join(_shortened(self.offered)) if self.offered else "nothing"
        return f"{self.blueprint} never fits: {self.label}={self.wanted} is required, it offers {offers}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAuthorized(Reason):
    """The configuration names who may use the blueprint, and this is not one of them."""

    kind = "not-authorized"
    subjects: tuple[str, ...]  # in whose name the lease asks
    allow: tuple[str, ...]

    def sentence(self, now: float) -> str:
        who = " or ".join(_shortened(self.subjects))
        allowed = ", ".join(_shortened(self.allow)) or "nobody"
        return f"{self.blueprint} may not be used by {who}: its configuration allows {allowed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingApproval(Reason):
    """The blueprint needs approval, which nobody has given or declined yet."""

    kind = "awaiting-approval"
    subject: str  # that is to be approved
    approvers: str
    authorization: int | None  # its id; None if it is not asked for yet
    requested_at: float | None = None

    def sentence(self, now: float) -> str:
        who = self.approvers or "an administrator"
        text = f"{self.blueprint} needs approval for {self.subject}, by {who}"
        if self.requested_at is None:
            return text
        return f"{text}: requested {max(0.0, now - self.requested_at):.0f} s ago"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined(Reason):
    """An administrator declined: the blueprint will not serve the lease, unless that changes."""

    kind = "declined"
    subject: str
    by: str
    why: str
    authorization: int

    def sentence(self, now: float) -> str:
        text = f"{self.blueprint} may not be used by {self.subject}, which {self.by} declined"
        return f"{text}: {self.why}" if self.why else text


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaReached(Reason):
    """As many leases as a quota allows are held, or are on their way to those who were first.

    It holds for all blueprints, and names none.
    """

    kind = "quota"
    blueprint: str = ""
    quota: str
    limit: int
    held: int  # leases; more than the limit, if that was lowered
    holders: tuple[str, ...]  # the same in words
    awaited: int = 0  # leases that will be given before

    def sentence(self, now: float) -> str:
        text = f"the quota of {self.quota} is {self.limit} leases, of which {self.held} are held"
        if self.awaited:
            text += f" and {self.awaited} on their way"
        return text + (f": by {', '.join(_shortened(self.holders))}" if self.holders else "")


def _shortened(texts: Sequence[str]) -> list[str]:
    if len(texts) <= _MOST_SHOWN:
        return list(texts)
    return [*texts[:_MOST_SHOWN], f"{len(texts) - _MOST_SHOWN} others"]
