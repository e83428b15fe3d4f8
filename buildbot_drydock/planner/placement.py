"""Find a slot for each waiting lease, in the order of ``order``, and say why one still waits.

Where a quota is reached a lease waits, and nothing is built for it. Otherwise, in order: a free
slot; a slot of a resource that is coming; a parked one; room to build; and only if what could serve
is *full*, one that is being parked, or one idle resource less to make room. A provider's failure
never leads to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from buildbot_drydock.actions import (
    AcquireLease,
    Action,
    BreakLease,
    BuildResource,
    SetPower,
    SettleResource,
)
from buildbot_drydock.authorization import Grant, Refusal, Subjects
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Lease, LeaseStatus, Power, Resource
from buildbot_drydock.planner.labels import LabelKey, label_key
from buildbot_drydock.planner.order import order_of_service
from buildbot_drydock.planner.permission import Permission
from buildbot_drydock.planner.quotas import Quotas
from buildbot_drydock.planner.stock import Coming, Site, Stock
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.policy import misfit
from buildbot_drydock.reasons import (
    Booting,
    Declined,
    DoesNotFit,
    Parking,
    QuotaReached,
    Reason,
    Reclaiming,
)

Signature = tuple[str, LabelKey, tuple[str, ...], Subjects]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which blueprints could serve leases of one kind, in the order configured."""

    fitting: tuple[Stock, ...]
    misfits: tuple[DoesNotFit, ...]  # never will
    refusals: tuple[Refusal, ...]  # would fit, and may not be used
    grants: Mapping[str, Grant]  # what lets it use those that fit, by blueprint

    @property
    def may_serve(self) -> bool:
        """Tell whether one may come to serve, be it after somebody changed his mind."""
        return bool(self.fitting) or any(not isinstance(r, Declined) for r in self.refusals)


class Placement:
    """Places the waiting leases of one world. ``reasons`` holds those of leases left waiting."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self.stocks = {
            blueprint.name: Stock(survey, blueprint) for blueprint in survey.world.blueprints
        }
        self._permission = Permission(survey.world)
        self._quotas = Quotas(survey.world)
        self._candidates: dict[Signature, Candidates] = {}
        self._waiting: list[tuple[Lease, Candidates, Reason | None]] = []
        self._general: dict[tuple[str, LabelKey], Reason | None] = {}

    def place(self) -> Iterator[Action]:
        world, ending = self._survey.world, self._survey.ending
        waiting = [
            lease
            for lease in world.leases
            if lease.status is LeaseStatus.PENDING and lease.id not in ending
        ]
        held = (lease for lease in world.leases if lease.resource is not None)
        for lease in order_of_service(waiting, held, world.sharing, world.now):
            yield from self._place_one(lease)

    def keep_warm(self) -> Iterator[Action]:
        """Build what ``min_ready`` asks for beyond what waiting leases will use."""
        for stock in self.stocks.values():
            for _ in range(stock.blueprint.min_ready - stock.unpromised()):
                if (parked := stock.wake({})) is not None:
                    yield self._woken(parked, "to keep one warm")
                elif (site := stock.site({})) is not None:
                    yield _build(stock, site, None)
                else:
                    break

    def reasons(self) -> dict[int, tuple[Reason, ...]]:
        """Return why each lease still waits: one reason per candidate blueprint."""
        return {
            lease.id: self._reasons(lease, candidates, own)
            for lease, candidates, own in self._waiting
        }

    def _place_one(self, lease: Lease) -> Iterator[Action]:
        candidates = self._candidates_of(lease)
        if not candidates.may_serve:
            yield from self._refuse(lease, candidates)
            return
        if (reached := self._quotas.reached(lease)) is not None:
            self._waiting.append((lease, candidates, reached))
            return
        action, reason = (
            self._free_slot(lease, candidates)
            or self._coming_slot(lease, candidates)
            or self._wake(lease, candidates)
            or self._build(lease, candidates)
            or self._stopping(lease, candidates)
            or self._reclaim(lease, candidates)
            or (None, None)
        )
        if action is not None or reason is not None:
            quotas = self._quotas.take(lease)
            action = replace(action, quotas=quotas) if isinstance(action, AcquireLease) else action
        if action is not None:
            yield action
        elif reason is None:  # nothing that it may use is on its way
            yield from self._permission.ask(lease, candidates.refusals)
        if not isinstance(action, AcquireLease):
            self._waiting.append((lease, candidates, reason))

    def _candidates_of(self, lease: Lease) -> Candidates:
        subjects = self._permission.subjects(lease)
        signature = (lease.type, label_key(lease.requires), lease.blueprints, subjects)
        if signature not in self._candidates:
            self._candidates[signature] = self._find_candidates(lease, subjects)
        return self._candidates[signature]

    def _find_candidates(self, lease: Lease, subjects: Subjects) -> Candidates:
        fitting: list[Stock] = []
        misfits: list[DoesNotFit] = []
        refusals: list[Refusal] = []
        grants: dict[str, Grant] = {}
        for stock in self.stocks.values():
            blueprint = stock.blueprint
            if blueprint.retired or blueprint.provides != lease.type:
                continue
            if lease.blueprints and blueprint.name not in lease.blueprints:
                continue
            unmet = misfit(blueprint, lease.requires)
            if unmet is not None:
                misfits.append(unmet)
                continue
            answer = self._permission.judge(blueprint, subjects)
            if isinstance(answer, Grant):
                fitting.append(stock)
                grants[blueprint.name] = answer
            else:
                refusals.append(answer)
        return Candidates(tuple(fitting), tuple(misfits), tuple(refusals), grants)

    def _refuse(self, lease: Lease, candidates: Candidates) -> Iterator[Action]:
        """Break what no configured blueprint could ever satisfy.

        Another master may have blueprints that this one has not, so each judges its own leases.
        """
        if lease.master not in (None, self._survey.world.master):
            self._waiting.append((lease, candidates, None))
            return
        self._survey.ending.add(lease.id)
        never = (*candidates.refusals, *candidates.misfits)
        sentences = [reason.sentence(self._survey.now) for reason in never]
        allowed = f" among {', '.join(lease.blueprints)}" if lease.blueprints else ""
        nothing = f"no configured blueprint{allowed} provides a {lease.type}"
        yield BreakLease(lease, "; ".join(sentences) or nothing)

    def _free_slot(
        self, lease: Lease, candidates: Candidates
    ) -> tuple[Action | None, Reason | None] | None:
        for stock in candidates.fitting:
            if stock.out_of_service is not None:
                continue
            found = stock.take_slot(lease.requires)
            if found is not None:
                resource, slot = found
                self._survey.moving.add(resource.id)
                activate = not stock.blueprint.prepares
                grant = candidates.grants[stock.blueprint.name]
                return AcquireLease(lease, resource, slot, activate, grant.by), None
        return None

    def _coming_slot(
        self, lease: Lease, candidates: Candidates
    ) -> tuple[Action | None, Reason | None] | None:
        for stock in candidates.fitting:
            if stock.out_of_service is not None:
                continue
            coming = stock.promise(lease.requires)
            if coming is not None:
                return None, _booting(stock, coming)
        return None

    def _wake(
        self, lease: Lease, candidates: Candidates
    ) -> tuple[Action | None, Reason | None] | None:
        for stock in candidates.fitting:
            resource = stock.wake(lease.requires)
            if resource is not None:
                action = self._woken(resource, f"lease {lease.id} needs it")
                coming = stock.promise(lease.requires)
                return action, _booting(stock, coming) if coming is not None else None
        return None

    def _woken(self, resource: Resource, reason: str) -> SetPower:
        self._survey.moving.add(resource.id)
        return SetPower(resource, Power.WAKING, reason)

    def _build(
        self, lease: Lease, candidates: Candidates
    ) -> tuple[Action | None, Reason | None] | None:
        for stock in candidates.fitting:
            site = stock.site(lease.requires)
            if site is not None:
                action = _build(stock, site, lease.id)
                coming = stock.promise(lease.requires)
                return action, _booting(stock, coming) if coming is not None else None
        return None

    def _stopping(
        self, lease: Lease, candidates: Candidates
    ) -> tuple[Action | None, Reason | None] | None:
        """Wait for what can be woken soon, rather than end it to build another in its place."""
        for stock in candidates.fitting:
            resource = stock.stopping(lease.requires) if stock.is_full(lease.requires) else None
            if resource is not None:
                return None, Parking(blueprint=stock.blueprint.name, resource=resource.id)
        return None

    def _reclaim(
        self, lease: Lease, candidates: Candidates
    ) -> tuple[Action | None, Reason | None] | None:
        """Make room where only the limit is in the way: at most one resource for each lease."""
        for stock in candidates.fitting:
            ending = self._ending(stock, lease) if stock.is_full(lease.requires) else None
            if ending is not None:
                stock.reserve(lease.requires)
                return None, Reclaiming(blueprint=stock.blueprint.name, resource=ending.id)
        for stock in candidates.fitting:
            if not stock.is_full(lease.requires):
                continue
            resource = self._to_reclaim(stock, lease)
            if resource is not None:
                stock.reserve(lease.requires)
                self._survey.moving.add(resource.id)
                self._survey.leaving.add(resource.id)
                reason = f"it is reclaimed for lease {lease.id}"
                return (
                    SettleResource(resource, ResourceEvent.RELEASE, reason),
                    Reclaiming(blueprint=stock.blueprint.name, resource=resource.id),
                )
        return None

    def _ending(self, stock: Stock, lease: Lease) -> Resource | None:
        """Find what is being torn down already, and makes room for this lease."""
        if not stock.lacks_a_host(lease.requires):
            return stock.ending.popleft() if stock.ending else None
        for resource in self._users(stock, lease):
            owner = self.stocks.get(resource.blueprint)
            if owner is not None and resource in owner.ending:
                owner.ending.remove(resource)
                return resource
        return None

    def _to_reclaim(self, stock: Stock, lease: Lease) -> Resource | None:
        """Find an idle resource whose end brings this lease closer to a place and a host."""
        if not stock.lacks_a_host(lease.requires):
            return stock.reclaim()
        idle = [each for each in self._users(stock, lease) if each.id in self._idle_of(each)]
        if stock.at_its_limit:
            own = [each for each in idle if each.blueprint == stock.blueprint.name]
            if not own:
                # Without room of its own, another's host would be freed in vain.
                return stock.reclaim() if idle else None
            idle = own
        return self._idle_of(idle[0]).pop(idle[0].id) if idle else None

    def _users(self, stock: Stock, lease: Lease) -> Iterator[Resource]:
        """Yield what uses the listed hosts that would serve, of whichever blueprint it is."""
        assert stock.hosts is not None
        return (self._survey.host_users[name] for name in stock.hosts.in_use(lease.requires))

    def _idle_of(self, resource: Resource) -> dict[int, Resource]:
        owner = self.stocks.get(resource.blueprint)
        return {} if owner is None else owner.idle

    def _reasons(
        self, lease: Lease, candidates: Candidates, own: Reason | None
    ) -> tuple[Reason, ...]:
        if isinstance(own, QuotaReached):
            return (own, *candidates.refusals, *candidates.misfits)
        reasons: list[Reason] = []
        for stock in candidates.fitting:
            if own is not None and own.blueprint == stock.blueprint.name:
                reasons.append(own)
            elif (reason := self._reason(stock, lease)) is not None:
                reasons.append(reason)
        return (*reasons, *candidates.refusals, *candidates.misfits)

    def _reason(self, stock: Stock, lease: Lease) -> Reason | None:
        """All leases that one blueprint does not serve share one value, but for listed hosts."""
        needs = lease.requires if stock.hosts is not None else {}
        key = (stock.blueprint.name, label_key(needs))
        if key not in self._general:
            self._general[key] = stock.reason(needs)
        return self._general[key]


def _build(stock: Stock, site: Site, built_for: int | None) -> BuildResource:
    return BuildResource(
        stock.blueprint.name, stock.take(site), site.labels, built_for, host=site.host
    )


def _booting(stock: Stock, coming: Coming) -> Booting:
    return Booting(
        blueprint=stock.blueprint.name,
        resource=coming.resource.id if coming.resource is not None else None,
        since=coming.since,
        boot_timeout=stock.blueprint.boot_timeout,
    )
