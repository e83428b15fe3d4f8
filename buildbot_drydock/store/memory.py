"""The store without a database: a verified fake, and what the simulator runs on.

It passes the same contract as the SQL store. Rows that are destroyed are kept, apart from the
living ones, so that reading the world costs the same however much has happened before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from buildbot_drydock.daily_costs import cost_of_ended
from buildbot_drydock.events import Event
from buildbot_drydock.interfaces import Claim, Clock, Recorded
from buildbot_drydock.lifecycle import (
    LEASE_MOVES,
    RESOURCE_MOVES,
    LeaseEvent,
    ResourceEvent,
    advance,
)
from buildbot_drydock.model import (
    LIVING_LEASES,
    Authorization,
    AuthorizationStatus,
    BlueprintState,
    Charge,
    HostState,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Notice,
    Observed,
    Power,
    Resource,
    ResourceRequest,
    ResourceStatus,
    Rows,
    Use,
)
from buildbot_drydock.store.changes import (
    acquired_lease,
    decided_authorization,
    judged_resource,
    locks_of,
    moved_lease,
    moved_resource,
    new_authorization,
    new_lease,
    new_resource,
    noticed_resource,
    powered_resource,
    priced_resource,
    raised,
    takes_leases,
    winners,
)


class MemoryStore:
    """Keeps all rows in dictionaries. No method ever waits, so each is one transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._blueprints: dict[str, BlueprintState] = {}
        self._hosts: dict[str, HostState] = {}
        self._resources: dict[int, Resource] = {}  # living ones; insertion order is id order
        self._leases: dict[int, Lease] = {}
        self._ended_resources: dict[int, Resource] = {}
        self._ended_leases: dict[int, Lease] = {}
        self._owners: dict[str, str] = {}  # slot lock -> owner
        self._occupants: dict[int, set[int]] = {}  # resource -> leases that hold a slot of it
        self._authorizations: dict[tuple[str, str], Authorization] = {}
        self._events: list[Recorded] = []
        self._uses: dict[int, dict[int, Use]] = {}  # by lease and build
        self._charges: list[Charge] = []
        self._rows: Rows | None = None  # the last answer, until something changes

    @property
    def slot_locks(self) -> dict[str, str]:
        """All slot locks held, with their owners, such as ``lease/12``. For tests."""
        return dict(self._owners)

    @property
    def charges(self) -> list[Charge]:
        """All that was charged, oldest first. For tests."""
        return list(self._charges)

    async def rows(
        self, *, authorizations_of: Collection[str] = (), spent_by: Collection[str] = ()
    ) -> Rows:
        rows = self._all_rows()
        if spent_by:
            rows = replace(rows, spent=self._spent_by(spent_by))
        if not authorizations_of:
            return rows
        known = {
            key: row for key, row in self._authorizations.items() if key[0] in authorizations_of
        }
        return replace(rows, authorizations=known)

    def _spent_by(self, blueprints: Collection[str]) -> dict[str, float]:
        spent: dict[str, float] = {}
        for row in self._ended_resources.values():
            cost = cost_of_ended(row, self._clock.seconds())
            if row.blueprint in blueprints and cost:
                spent[row.blueprint] = spent.get(row.blueprint, 0.0) + cost
        return spent

    def _all_rows(self) -> Rows:
        if self._rows is None:
            self._rows = Rows(
                blueprints=dict(self._blueprints),
                hosts=dict(self._hosts),
                resources=tuple(self._resources.values()),
                leases=tuple(self._leases.values()),
            )
        return self._rows

    async def add_resource(
        self, request: ResourceRequest, record: Event, *, within: BlueprintState | None = None
    ) -> Resource | None:
        if any(key in self._owners for key in request.locks):
            return None
        if not self._spend(within):
            return None
        number = len(self._resources) + len(self._ended_resources) + 1
        row = new_resource(number, request, self._clock.seconds())
        self._lock(row.locks, f"resource/{row.id}")
        self._put_resource(row)
        self._remember(record, blueprint=row.blueprint, resource=row.id)
        return row

    def _spend(self, within: BlueprintState | None) -> bool:
        """Give a blueprint's state a new version, if it is as seen, and there is one to compare."""
        if within is not None:
            if within.version != self._version_of(within.name):
                return False
            self._blueprints[within.name] = raised(within)
            self._rows = None
        return True

    def _version_of(self, blueprint: str) -> int:
        state = self._blueprints.get(blueprint)
        return 0 if state is None else state.version

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
        status = advance(RESOURCE_MOVES, seen.status, event)
        if status is seen.status:
            return seen
        now = self._resources.get(seen.id)
        if now is None or now.version != seen.version:
            return None
        if event is ResourceEvent.RELEASE and self._occupants.get(seen.id):
            return None
        row = moved_resource(now, status, self._clock.seconds(), reason=reason, observed=observed)
        if not row.locks:
            self._unlock(now.locks)
        self._charges += charges
        self._put_resource(row)
        self._remember(record, blueprint=row.blueprint, resource=row.id)
        return row

    async def set_faults(
        self, seen: Resource, faults: int, record: Event, *, reason: str = ""
    ) -> Resource | None:
        now = self._resources.get(seen.id)
        if now is None or now.version != seen.version:
            return None
        row = judged_resource(now, faults, self._clock.seconds(), reason=reason)
        self._put_resource(row)
        self._remember(record, blueprint=row.blueprint, resource=row.id)
        return row

    async def give_notice(self, seen: Resource, notice: Notice, record: Event) -> Resource | None:
        now = self._resources.get(seen.id)
        if now is None or now.version != seen.version:
            return None
        row = noticed_resource(now, notice)
        self._put_resource(row)
        self._remember(record, blueprint=row.blueprint, resource=row.id)
        for number in sorted(self._occupants.get(row.id, ())):
            if self._leases[number].status in LIVING_LEASES:
                self._remember(record, blueprint=row.blueprint, lease=number)
        return row

    async def set_price(
        self, seen: Resource, hourly_price: float, record: Event
    ) -> Resource | None:
        now = self._resources.get(seen.id)
        if now is None or now.version != seen.version:
            return None
        row = priced_resource(now, hourly_price, self._clock.seconds())
        self._put_resource(row)
        self._remember(record, blueprint=row.blueprint, resource=row.id)
        return row

    async def set_power(
        self,
        seen: Resource,
        power: Power,
        record: Event,
        *,
        observed: Observed | None = None,
        within: BlueprintState | None = None,
    ) -> Resource | None:
        now = self._resources.get(seen.id)
        if now is None or now.version != seen.version or now.status is not ResourceStatus.ACTIVE:
            return None
        if self._occupants.get(seen.id):
            return None
        if not self._spend(within):
            return None
        row = powered_resource(now, power, self._clock.seconds(), observed=observed)
        self._put_resource(row)
        self._remember(record, blueprint=row.blueprint, resource=row.id)
        return row

    async def request_lease(self, request: LeaseRequest, record: Event) -> Lease:
        number = len(self._leases) + len(self._ended_leases) + 1
        row = new_lease(number, request, self._clock.seconds())
        self._put_lease(row)
        self._remember(record, lease=row.id)
        return row

    async def acquire(self, claims: Sequence[Claim]) -> Sequence[Lease | None]:
        now = self._clock.seconds()
        wanted = [acquired_lease(claim, now) for claim in claims]
        leases = [self._leases.get(claim.lease.id) for claim in claims]
        resources = [self._resources.get(claim.resource.id) for claim in claims]
        won = winners(
            claims,
            leases={row.id: row.version for row in leases if row},
            resources={row.id: row.version for row in resources if row and takes_leases(row)},
            held=self._owners.keys(),
            states={state.name: state.version for state in self._blueprints.values()},
        )
        for claim, row, succeeds in zip(claims, wanted, won, strict=True):
            if claim.within is not None and claim.within.name not in self._blueprints:
                self._raise_blueprint(claim.within.name)
            if succeeds:
                self._give(claim, row, now)
        return [row if succeeds else None for row, succeeds in zip(wanted, won, strict=True)]

    def _give(self, claim: Claim, row: Lease, now: float) -> None:
        resource = self._resources[claim.resource.id]
        self._put_resource(
            replace(
                resource,
                version=resource.version + 1,
                uses=resource.uses + 1,
                last_used_at=now,
            )
        )
        self._lock(locks_of(claim), f"lease/{row.id}")
        self._occupants.setdefault(resource.id, set()).add(row.id)
        self._put_lease(row)
        self._remember(
            claim.record, blueprint=resource.blueprint, resource=resource.id, lease=row.id
        )

    async def move_lease(
        self,
        seen: Lease,
        event: LeaseEvent,
        record: Event,
        *,
        reason: str = "",
        charges: Sequence[Charge] = (),
    ) -> Lease | None:
        status = advance(LEASE_MOVES, seen.status, event)
        if status is seen.status:
            return seen
        now = self._leases.get(seen.id)
        if now is None or now.version != seen.version:
            return None
        row = moved_lease(now, event, status, self._clock.seconds(), reason=reason)
        if event in (LeaseEvent.RETURN, LeaseEvent.VACATE):
            self._vacate(now, used=event is LeaseEvent.VACATE)
            self._uses.pop(now.id, None)
        self._charges += charges
        self._put_lease(row)
        self._remember(
            record, blueprint=self._blueprint_of(now), resource=now.resource, lease=now.id
        )
        return row

    def _vacate(self, lease: Lease, *, used: bool) -> None:
        self._unlock(lease.locks)
        if lease.resource is None:
            return
        self._occupants.get(lease.resource, set()).discard(lease.id)
        resource = self._resources.get(lease.resource)
        if used and resource is not None:
            # The version stays: claims on the other slots of the resource remain valid.
            self._put_resource(replace(resource, last_used_at=self._clock.seconds()))

    def _blueprint_of(self, lease: Lease) -> str | None:
        if lease.resource is None:
            return None
        row = self._resources.get(lease.resource) or self._ended_resources[lease.resource]
        return row.blueprint

    async def begin_use(self, lease: int, build: int, builder: str) -> None:
        row = self._leases.get(lease)
        if row is not None and row.status in LIVING_LEASES:
            use = Use(lease=lease, build=build, builder=builder, began_at=self._clock.seconds())
            self._uses.setdefault(lease, {}).setdefault(build, use)

    async def end_use(self, lease: int, build: int) -> None:
        uses = self._uses.get(lease, {})
        if build in uses and uses[build].ended_at is None:
            uses[build] = replace(uses[build], ended_at=self._clock.seconds())

    async def end_uses(self, lease: int) -> None:
        for build in self._uses.get(lease, {}):
            await self.end_use(lease, build)

    async def uses(self, lease: int) -> Sequence[Use]:
        return [use for _, use in sorted(self._uses.get(lease, {}).items())]

    async def charged(self, resource: int) -> float:
        return sum(each.cost or 0.0 for each in self._charges if each.resource == resource)

    async def renew(self, leases: Collection[int], *, expires_at: float) -> frozenset[int]:
        now = self._clock.seconds()
        renewed = set()
        for number in leases:
            row = self._leases.get(number)
            if row is not None and row.status in LIVING_LEASES:
                self._put_lease(
                    replace(row, version=row.version + 1, renewed_at=now, expires_at=expires_at)
                )
                renewed.add(number)
        return frozenset(renewed)

    async def lease(self, number: int) -> Lease | None:
        return self._leases.get(number) or self._ended_leases.get(number)

    async def resource(self, number: int) -> Resource | None:
        return self._resources.get(number) or self._ended_resources.get(number)

    async def resources_of(self, blueprint: str) -> Sequence[Resource]:
        return [row for row in self._resources.values() if row.blueprint == blueprint]

    async def change_blueprint(
        self, seen: BlueprintState, wanted: BlueprintState, record: Event
    ) -> BlueprintState | None:
        if seen.version != self._version_of(seen.name):
            return None
        row = replace(wanted, name=seen.name, version=seen.version + 1)
        self._blueprints[row.name] = row
        self._rows = None
        self._remember(record, blueprint=row.name)
        return row

    async def change_host(
        self, seen: HostState, wanted: HostState, record: Event
    ) -> HostState | None:
        now = self._hosts.get(seen.name)
        if seen.version != (0 if now is None else now.version):
            return None
        row = replace(wanted, name=seen.name, version=seen.version + 1)
        self._hosts[row.name] = row
        self._rows = None
        for resource in list(self._resources.values()):
            if resource.host == row.name:
                self._put_resource(replace(resource, version=resource.version + 1))
        self._remember(record)
        return row

    async def request_authorization(
        self, blueprint: str, subject: str, record: Event, *, lease: int | None = None
    ) -> Authorization | None:
        if (blueprint, subject) in self._authorizations:
            return None
        row = new_authorization(blueprint, subject, lease, self._clock.seconds())
        row = replace(row, id=len(self._authorizations) + 1)
        self._authorizations[blueprint, subject] = row
        self._remember(record, blueprint=blueprint, lease=lease)
        return row

    async def decide_authorization(
        self,
        seen: Authorization,
        status: AuthorizationStatus,
        record: Event,
        *,
        author: str,
        reason: str = "",
    ) -> Authorization | None:
        now = self._authorizations.get((seen.blueprint, seen.subject))
        if seen.version != (0 if now is None else now.version):
            return None
        row = decided_authorization(
            seen, status, self._clock.seconds(), author=author, reason=reason
        )
        if now is None:
            row = replace(row, id=len(self._authorizations) + 1)
        self._authorizations[row.blueprint, row.subject] = row
        self._raise_blueprint(row.blueprint)
        self._remember(record, blueprint=row.blueprint)
        return row

    def _raise_blueprint(self, name: str) -> None:
        state = self._blueprints.get(name, BlueprintState(name=name))
        self._blueprints[name] = raised(state)
        self._rows = None

    async def record(
        self,
        event: Event,
        *,
        blueprint: str | None = None,
        resource: int | None = None,
        lease: int | None = None,
    ) -> None:
        self._remember(event, blueprint=blueprint, resource=resource, lease=lease)

    async def events(
        self, *, resource: int | None = None, lease: int | None = None, limit: int = 100
    ) -> Sequence[Recorded]:
        matching = (
            entry
            for entry in reversed(self._events)
            if (resource is None or entry.resource == resource)
            and (lease is None or entry.lease == lease)
        )
        return list(islice(matching, limit))[::-1]

    def _put_resource(self, row: Resource) -> None:
        self._rows = None
        if row.status is ResourceStatus.DESTROYED:
            self._resources.pop(row.id, None)
            self._ended_resources[row.id] = row
        else:
            self._resources[row.id] = row

    def _put_lease(self, row: Lease) -> None:
        self._rows = None
        if row.status is LeaseStatus.DESTROYED:
            self._leases.pop(row.id, None)
            self._ended_leases[row.id] = row
        else:
            self._leases[row.id] = row

    def _lock(self, keys: Iterable[str], owner: str) -> None:
        for key in keys:
            self._owners[key] = owner

    def _unlock(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self._owners[key]

    def _remember(
        self,
        event: Event,
        *,
        blueprint: str | None = None,
        resource: int | None = None,
        lease: int | None = None,
    ) -> None:
        self._events.append(
            Recorded(
                id=len(self._events) + 1,
                at=self._clock.seconds(),
                event=event,
                blueprint=blueprint,
                resource=resource,
                lease=lease,
            )
        )
