"""What each provider says exists, beside what the rows say, and what becomes of the difference.

A pure comparison of one world, by the same rules as the planner's own: rows and hosts belong
together by token and by identity, so that two hosts with one token are two entries. What is said of
a host is what its master last heard from the provider, and when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from buildbot_drydock.costs import HOUR_SECONDS, resource_cost
from buildbot_drydock.model import (
    Blueprint,
    Call,
    Health,
    Inventory,
    Observed,
    Resource,
    ResourceStatus,
)
from buildbot_drydock.planner.survey import ENDED, Survey
from buildbot_drydock.policy import (
    CLOCK_TOLERANCE_SECONDS,
    DESTROY_AGAIN_SECONDS,
    keeper,
)

_MINUTE = 60.0
_LONGEST_IN_SECONDS = 120.0  # longer times are told in minutes


class Verdict(Enum):
    MATCHED = "matched"  # a row and its host
    STARTING = "starting"  # a row whose host is on its way
    LATE = "starting-late"  # one whose host should have been there by now
    ENDING = "ending"  # a row whose host is being torn down
    MISSING = "missing"  # a row whose host the provider does not list
    ORPHAN = "orphan"  # a host without a living row
    TWIN = "twin"  # a host whose token a living row has, and which is not the one that counts
    UNKNOWN = "unknown"  # a row of whose host nothing can be said here


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One host, or one row without a host that is listed."""

    blueprint: str
    token: str
    verdict: Verdict
    why: str  # and what will happen to it
    due_at: float | None = None  # when that happens, if it is known
    leaving: bool = False  # of a host that is nobody's: it is told to go, or was
    resource: Resource | None = None
    host: Observed | None = None
    listing: Inventory | None = None  # None if nothing was ever listed

    @property
    def identity(self) -> str:
        if self.host is not None:
            return self.host.identity
        return "" if self.resource is None else self.resource.identity

    @property
    def hourly_price(self) -> float | None:
        if self.host is not None and self.host.hourly_price is not None:
            return self.host.hourly_price
        return None if self._own is None else self._own.hourly_price

    @property
    def created_at(self) -> float | None:
        """When the host came to be; when it was asked for, if the provider does not tell."""
        if self.host is not None and self.host.created_at is not None:
            return self.host.created_at
        return None if self._own is None else self._own.created_at

    @property
    def _own(self) -> Resource | None:
        """The row, unless it is that of another host with the same token."""
        return None if self.verdict is Verdict.TWIN else self.resource

    def age(self, now: float) -> float | None:
        return None if self.created_at is None else max(0.0, now - self.created_at)

    def cost(self, now: float) -> float | None:
        """Return what it has cost until *now*, if that is known."""
        if self._own is not None and self._own.hourly_price is not None:
            return resource_cost(self._own, now)
        price, age = self.hourly_price, self.age(now)
        return None if price is None or age is None else price * age / HOUR_SECONDS

    @property
    def is_nobodys(self) -> bool:
        """Tell whether it may be destroyed without any row being changed."""
        if self.verdict is Verdict.ORPHAN:
            return True
        # While the row remembers no host, two masters could keep one each, and destroy both.
        row = self.resource
        return (
            self.verdict is Verdict.TWIN
            and bool(self.identity)
            and row is not None
            and row.status is ResourceStatus.ACTIVE
            and bool(row.identity)
            and row.identity != self.identity
        )


def entries(survey: Survey) -> Iterator[Entry]:
    """Yield all there is, by blueprint, first what rows tell of."""
    living = {resource.token: resource for resource in survey.world.resources}
    for name, resources in survey.of_blueprint.items():
        blueprint = survey.blueprints.get(name)
        if blueprint is None:
            yield from (_of_another_master(resource) for resource in resources)
            continue
        for resource in resources:
            yield from _of_a_row(survey, blueprint, resource)
        for token, hosts in sorted(survey.inventory(name).hosts.items()):
            resource_of = living.get(token)
            if resource_of is None:
                yield from (_orphan(survey, name, host) for host in hosts)
            elif resource_of.blueprint != name:
                yield from (_of_another_blueprint(survey, name, resource_of, h) for h in hosts)


def _of_another_master(resource: Resource) -> Entry:
    return Entry(
        blueprint=resource.blueprint,
        token=resource.token,
        verdict=Verdict.UNKNOWN,
        why=f"blueprint {resource.blueprint} is not configured on this master; ask the master "
        "that has it",
        resource=resource,
    )


def _of_another_blueprint(survey: Survey, name: str, resource: Resource, host: Observed) -> Entry:
    return Entry(
        blueprint=name,
        token=host.token,
        verdict=Verdict.MATCHED,
        why=f"resource {resource.id} of blueprint {resource.blueprint} accounts for it",
        resource=resource,
        host=host,
        listing=survey.inventory(name),
    )


# --- rows, with their hosts ------------------------------------------------------------------


def _of_a_row(survey: Survey, blueprint: Blueprint, resource: Resource) -> Iterator[Entry]:
    hosts = survey.inventory(blueprint.name).hosts.get(resource.token, ())
    kept = keeper(hosts, resource)
    match resource.status:
        case ResourceStatus.PENDING:
            verdict, why, due_at = _pending(survey, blueprint, resource, kept)
        case ResourceStatus.ACTIVE:
            verdict, why, due_at = _active(survey, blueprint, resource, kept)
        case _:
            verdict, why, due_at = _ending(survey, blueprint, resource)
    yield _entry(survey, resource, kept, verdict, why, due_at)
    for host in hosts:
        if host is not kept:
            why, due_at = _of_a_twin(survey, resource, host, kept)
            twin = _entry(survey, resource, host, Verdict.TWIN, why, due_at)
            yield replace(twin, leaving=_is_twin_leaving(survey, resource, host))


def _entry(
    survey: Survey,
    resource: Resource,
    host: Observed | None,
    verdict: Verdict,
    why: str,
    due_at: float | None,
) -> Entry:
    return Entry(
        blueprint=resource.blueprint,
        token=resource.token,
        verdict=verdict,
        why=why,
        due_at=due_at,
        resource=resource,
        host=host,
        listing=survey.world.inventories.get(resource.blueprint),
    )


_Told = tuple[Verdict, str, float | None]


def _pending(
    survey: Survey, blueprint: Blueprint, resource: Resource, host: Observed | None
) -> _Told:
    deadline = resource.since + blueprint.boot_timeout
    late = deadline <= survey.now
    if host is not None and host.health is Health.READY:
        return Verdict.MATCHED, f"its host answers; resource {resource.id} becomes active", None
    if host is not None and host.health is Health.FAILING:
        reason = host.reason or "no reason given"
        why = f"its host failed to start ({reason}); resource {resource.id} breaks"
        return Verdict.MATCHED, why, None
    if host is not None:
        doing = f"it is starting ({host.reason})" if host.reason else "it is starting"
    else:
        doing, overdue = _asked_for(survey, blueprint, resource)
        late = late or overdue
    if deadline <= survey.now:
        inventory = survey.inventory(blueprint.name)
        held = "" if inventory.known else ", once its provider lists its hosts again"
        return Verdict.LATE, f"{doing}; it took too long, and is given up{held}", None
    why = f"{doing}; it is given up {_in(deadline - survey.now)}"
    return Verdict.LATE if late else Verdict.STARTING, why, deadline


def _asked_for(survey: Survey, blueprint: Blueprint, resource: Resource) -> tuple[str, bool]:
    """Say how far the request for a host is, and whether the host should be listed by now."""
    inventory = survey.inventory(blueprint.name)
    asked = survey.call("create", blueprint.name, resource.token)
    if asked.failures:
        again = _in(asked.retry_at - survey.now)
        return f"asking for it failed, and is tried again {again}: {asked.error}", False
    if not inventory.known:
        return f"its provider lists nothing: {inventory.error}", False
    if asked.running:
        return "it is being asked for", False
    if asked.succeeded_at is None:
        return "it was written down, and is asked for", False
    if inventory.asked_at > asked.succeeded_at + blueprint.listing_delay:
        return "it was asked for and is not listed; it is asked for again", True
    return "it was asked for, and is not listed yet", False


def _active(
    survey: Survey, blueprint: Blueprint, resource: Resource, host: Observed | None
) -> _Told:
    inventory = survey.inventory(blueprint.name)
    if host is not None and host.health is Health.FAILING and inventory.known:
        why = f"its host is failing ({host.reason or 'no reason given'}); the resource breaks"
        return Verdict.MATCHED, why, None
    if host is not None:
        ends = f"; its host is to end: {resource.end_reason}" if resource.end_reason else ""
        return Verdict.MATCHED, f"resource {resource.id} accounts for it{ends}", resource.ends_at
    if not inventory.known:
        why = f"its provider lists nothing: {inventory.error}; until it does nothing is given up"
        return Verdict.UNKNOWN, why, _asked_again(survey, blueprint)
    if survey.listed_host(resource) is not None:
        why = "its machine does not say that it is used so; it is told again"
        return Verdict.MISSING, why, None
    seen_from = resource.since + blueprint.listing_delay + CLOCK_TOLERANCE_SECONDS
    if inventory.asked_at <= seen_from:
        why = "it became active after this master last listed the hosts"
        return Verdict.UNKNOWN, why, _asked_again(survey, blueprint)
    why = f"its host has gone; resource {resource.id} breaks, and the leases on it"
    return Verdict.MISSING, why, None


def _asked_again(survey: Survey, blueprint: Blueprint) -> float | None:
    """Return when the provider is asked again, if that is to be put off."""
    retry_at = survey.call("inventory", blueprint.name).retry_at
    return retry_at if retry_at > survey.now else None


def _ending(survey: Survey, blueprint: Blueprint, resource: Resource) -> _Told:
    subject = f"resource {resource.id} is {resource.status.value}"
    if survey.host_is_gone(resource):
        return Verdict.ENDING, f"{subject}, nothing of its host is left, and it is closed", None
    inventory = survey.inventory(blueprint.name)
    destroyed = survey.call("destroy", blueprint.name, resource.token)
    if resource.token not in inventory.hosts and destroyed.succeeded_at is not None:
        held = "" if inventory.known else f" ({inventory.error})"
        why = f"{subject}; it is closed once a listing shows that its host has gone{held}"
        return Verdict.ENDING, why, _asked_again(survey, blueprint)
    fate, due_at = _fate(survey, destroyed)
    return Verdict.ENDING, f"{subject}; {fate}", due_at


def _of_a_twin(
    survey: Survey, resource: Resource, host: Observed, kept: Observed | None
) -> tuple[str, float | None]:
    what = f"it is a twin of resource {resource.id}"
    if resource.status is ResourceStatus.PENDING:
        return f"{what}; once that is active, the host that it does not use is destroyed", None
    if resource.status in ENDED:
        destroyed = survey.call("destroy", resource.blueprint, resource.token)
        fate, due_at = _fate(survey, destroyed)
        return f"{what}, which is {resource.status.value}; {fate}", due_at
    if kept is None:
        return f"{what}, whose own host is not listed; it is destroyed with that resource", None
    fate, due_at = _fate_of_stray(survey, resource.blueprint, resource.token, host.identity)
    return f"{what}; {fate}", due_at


def _is_twin_leaving(survey: Survey, resource: Resource, host: Observed) -> bool:
    if resource.status in ENDED:
        return _is_told(survey.call("destroy", resource.blueprint, resource.token))
    return _is_told(_call_on_stray(survey, resource.blueprint, resource.token, host.identity))


# --- hosts without rows ----------------------------------------------------------------------


def _orphan(survey: Survey, blueprint: str, host: Observed) -> Entry:
    fate, due_at = _fate_of_stray(survey, blueprint, host.token, "")
    return Entry(
        blueprint=blueprint,
        token=host.token,
        verdict=Verdict.ORPHAN,
        why=f"no living resource accounts for it; {fate}",
        due_at=due_at,
        leaving=_is_told(_call_on_stray(survey, blueprint, host.token, "")),
        host=host,
        listing=survey.inventory(blueprint),
    )


def _fate_of_stray(
    survey: Survey, blueprint: str, token: str, identity: str
) -> tuple[str, float | None]:
    inventory = survey.inventory(blueprint)
    destroyed = _call_on_stray(survey, blueprint, token, identity)
    untouched = not destroyed.running and destroyed.succeeded_at is None
    if not inventory.known and untouched:
        retry_at = survey.call("inventory", blueprint).retry_at
        when = _in(retry_at - survey.now) if retry_at > survey.now else "soon"
        return (
            f"it stays until its provider lists its hosts again, which is asked for {when}: "
            f"{inventory.error}",
            retry_at if retry_at > survey.now else None,
        )
    return _fate(survey, destroyed)


def _call_on_stray(survey: Survey, blueprint: str, token: str, identity: str) -> Call:
    return survey.call("destroy-stray", blueprint, f"{token} {identity}".rstrip())


def _is_told(destroyed: Call) -> bool:
    """Tell whether a host is being told to go, or was, without a failure since."""
    return destroyed.running or (destroyed.succeeded_at is not None and not destroyed.failures)


def _fate(survey: Survey, destroyed: Call) -> tuple[str, float | None]:
    """Say what the sweep, or the end of a resource, does to a host, and when."""
    if destroyed.running:
        return "it is being destroyed", None
    if destroyed.failures:
        wait = _in(destroyed.retry_at - survey.now)
        times = "once" if destroyed.failures == 1 else f"{destroyed.failures} times"
        why = f"destroying it failed {times}, and is tried again {wait}: {destroyed.error}"
        return why, destroyed.retry_at
    if destroyed.succeeded_at is not None:
        ago = max(0.0, survey.now - destroyed.succeeded_at)
        again = destroyed.succeeded_at + DESTROY_AGAIN_SECONDS
        wait = _in(again - survey.now)
        return f"it was told to go {_time(ago)} ago, and is told again {wait} if it stays", again
    return "it is destroyed in the next turn", survey.now


def _in(seconds: float) -> str:
    return "now" if seconds <= 0 else f"in {_time(seconds)}"


def _time(seconds: float) -> str:
    if seconds < _LONGEST_IN_SECONDS:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min"


def find(found: Sequence[Entry], token: str, identity: str) -> Entry | None:
    """Return the entry of one host, if there is one."""
    of_token = (each for each in found if each.token == token)
    return next((each for each in of_token if each.identity == identity), None)
