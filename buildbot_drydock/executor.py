"""Carry out actions: change rows here, leave the providers to ``provider_calls``.

Changes of rows are made in the order planned, each by compare-and-set. Every branch is safe to run
late, to run twice, and to abandon half way: a row that has changed since it was seen is left alone
and the world is planned again; a host's row is written before the host is asked for; what a dead
master had begun looks like work not done yet, and is simply done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from typing_extensions import assert_never

from buildbot_drydock import events, slotlocks
from buildbot_drydock.actions import (
    AcquireLease,
    Action,
    BreakLease,
    BuildResource,
    CloseLease,
    CreateHost,
    DestroyHost,
    DestroyStray,
    GiveNotice,
    ListHosts,
    ParkHost,
    PrepareLease,
    ReleaseLease,
    RequestApproval,
    ReturnLease,
    SetPower,
    SetPrice,
    SettleResource,
    VacateLease,
    WakeHost,
)
from buildbot_drydock.closing import close_lease, close_resource
from buildbot_drydock.costs import is_limited
from buildbot_drydock.interfaces import Claim, ReactorTime, Store
from buildbot_drydock.launches import Launches
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import Blueprint, BlueprintState, Lease, Power, ResourceRequest
from buildbot_drydock.provider_calls import ProviderCalls


class Executor:
    """Carries out plans of one master.

    *new_token* names a new host. *lease_changed* hears of every lease changed here, at once.
    """

    def __init__(
        self,
        store: Store,
        calls: ProviderCalls,
        launches: Launches,
        *,
        clock: ReactorTime,
        new_token: Callable[[], str],
        lease_changed: Callable[[Lease], None],
    ) -> None:
        self._store = store
        self._calls = calls
        self._launches = launches
        self._clock = clock
        self._new_token = new_token
        self._lease_changed = lease_changed
        # The states of blueprints whose money is limited, or whose use has to be approved, as of
        # this plan and its own launches.
        self._budgets: dict[str, BlueprintState] = {}
        self._approved: dict[str, BlueprintState] = {}

    async def run(self, actions: Sequence[Action], blueprints: Sequence[Blueprint]) -> bool:
        """Carry out a plan; tell whether rows changed, or were found changed by somebody else.

        In either case the world is no longer the one planned for, and another turn is due.
        """
        self._launches.observe(blueprints)
        self._budgets = {each.name: each.state for each in blueprints if is_limited(each)}
        self._approved = {each.name: each.state for each in blueprints if each.needs_approval}
        moved = False
        for batch, group in groupby(actions, key=lambda a: isinstance(a, AcquireLease)):
            if batch:
                await self._acquire([a for a in group if isinstance(a, AcquireLease)])
                moved = True
            else:
                for action in group:
                    moved = await self._run_one(action) or moved
        return moved

    async def _run_one(self, action: Action) -> bool:
        match action:
            case ListHosts(blueprint):
                self._calls.list_hosts(blueprint)
            case CreateHost(resource):
                self._calls.create(resource)
            case DestroyHost(resource):
                self._calls.destroy(resource)
            case DestroyStray(blueprint, token, identity, reason):
                self._calls.destroy_stray(blueprint, token, identity, reason)
            case ParkHost(resource):
                self._calls.park_host(resource)
            case WakeHost(resource):
                self._calls.wake_host(resource)
            case PrepareLease(lease, resource):
                self._calls.prepare(lease, resource)
            case VacateLease(lease, resource, share):
                self._calls.vacate(lease, resource, share)
            case RequestApproval(blueprint, subject, number):
                asked = events.AuthorizationRequested(subject=subject)
                await self._store.request_authorization(blueprint, subject, asked, lease=number)
                return True
            case _:
                await self._change_rows(action)
                return True
        return False

    async def _change_rows(
        self,
        action: BuildResource
        | SettleResource
        | GiveNotice
        | SetPrice
        | SetPower
        | AcquireLease
        | ReturnLease
        | BreakLease
        | ReleaseLease
        | CloseLease,
    ) -> None:
        match action:
            case BuildResource():
                await self._build(action)
            case SettleResource():
                await self._settle(action)
            case GiveNotice() | SetPrice() | SetPower():
                await self._note(action)
            case AcquireLease():
                await self._acquire([action])
            case ReturnLease(lease, reason):
                record: events.Event = events.LeaseReturned(reason=reason)
                await self._move_lease(lease, LeaseEvent.RETURN, record, reason)
            case BreakLease(lease, reason):
                record = events.LeaseBroken(reason=reason)
                await self._move_lease(lease, LeaseEvent.BREAK, record, reason)
            case ReleaseLease(lease, reason):
                record = events.LeaseReleased(reason=reason)
                await self._move_lease(lease, LeaseEvent.RELEASE, record, reason)
            case CloseLease(lease, share):
                self._tell(await close_lease(self._store, lease, share, self._clock.seconds()))
            case _:
                assert_never(action)

    async def _note(self, action: GiveNotice | SetPrice | SetPower) -> None:
        """Write down what is new of a resource that keeps its status."""
        match action:
            case GiveNotice(resource, notice, price):
                given = events.ResourceGivenNotice.of(
                    notice, self._clock.seconds(), host=resource.identity, hourly_price=price
                )
                await self._store.give_notice(resource, notice, given)
            case SetPrice(resource, price):
                priced = events.ResourcePriced(hourly_price=price, before=resource.hourly_price)
                await self._store.set_price(resource, price, priced)
            case SetPower():
                await self._set_power(action)
            case _:
                assert_never(action)

    async def _build(self, action: BuildResource) -> None:
        token, locks = self._new_token(), [slotlocks.place(action.blueprint, action.place)]
        if action.host:
            token = f"{token}@{action.host}"
            locks.append(slotlocks.host(action.host))
        within = self._budgets.get(action.blueprint)
        resource = await self._store.add_resource(
            ResourceRequest(
                blueprint=action.blueprint,
                token=token,
                place=action.place,
                labels=action.labels,
                host=action.host,
                built_for=action.built_for,
                locks=tuple(locks),
            ),
            events.ResourceRequested(built_for=action.built_for),
            within=within,
        )
        if resource is None:
            return
        self._spent(within)
        self._calls.create(resource)

    async def _set_power(self, action: SetPower) -> None:
        """To wake a resource takes money, as to launch one does."""
        seen, power = action.resource, action.power
        within = self._budgets.get(seen.blueprint) if power is Power.WAKING else None
        took = None if power in (Power.PARKING, Power.WAKING) else seen.power_since
        record = events.ResourcePowerChanged(
            power=power.value,
            reason=action.reason,
            seconds=None if took is None else self._clock.seconds() - took,
        )
        resource = await self._store.set_power(
            seen, power, record, observed=action.observed, within=within
        )
        if resource is None:
            return
        self._spent(within)
        if power is Power.PARKING:
            self._calls.park_host(resource)
        elif power is Power.WAKING:
            self._calls.wake_host(resource)

    def _spent(self, within: BlueprintState | None) -> None:
        """Take note of the version that a change within a budget gave the blueprint's state."""
        if within is None:
            return
        raised = replace(within, version=within.version + 1)
        self._budgets[within.name] = raised
        if within.name in self._approved:
            self._approved[within.name] = raised

    async def _settle(self, action: SettleResource) -> None:
        if action.event is ResourceEvent.GONE:
            now = self._clock.seconds()
            await close_resource(self._store, action.resource, now, reason=action.reason)
            return
        resource = await self._store.move_resource(
            action.resource,
            action.event,
            self._record_of(action),
            reason=action.reason,
            observed=action.observed,
        )
        if resource is None:
            return
        if action.event is ResourceEvent.READY:
            await self._launches.succeeded(resource.blueprint)
        elif action.launch_failed:
            await self._launches.failed(resource.blueprint, action.reason)

    def _record_of(self, action: SettleResource) -> events.Event:
        match action.event:
            case ResourceEvent.READY:
                return self._record_of_ready(action)
            case ResourceEvent.RELEASE:
                return events.ResourceReleased(reason=action.reason)
            case ResourceEvent.BREAK:
                return events.ResourceBroken(reason=action.reason)
            case _:
                raise ValueError(f"{action.event} is recorded where it is settled")

    def _record_of_ready(self, action: SettleResource) -> events.Event:
        host = action.observed
        return events.ResourceReady(
            address="" if host is None else host.address,
            seconds=self._clock.seconds() - action.resource.created_at,
            hourly_price=None if host is None else host.hourly_price,
        )

    async def _acquire(self, actions: Sequence[AcquireLease]) -> None:
        """A claim that fails needs no more than the turn that follows."""
        now = self._clock.seconds()
        claims = [
            Claim(
                lease=action.lease,
                resource=action.resource,
                slot=action.slot,
                activate=action.activate,
                record=events.LeaseAcquired(
                    slot=action.slot,
                    waited=now - action.lease.requested_at,
                    active=action.activate,
                ),
                authorized_by=action.authorized_by,
                within=self._approved.get(action.resource.blueprint),
                quotas=action.quotas,
            )
            for action in actions
        ]
        for lease in await self._store.acquire(claims):
            if lease is not None:
                self._lease_changed(lease)

    async def _move_lease(
        self, seen: Lease, event: LeaseEvent, record: events.Event, reason: str
    ) -> None:
        self._tell(await self._store.move_lease(seen, event, record, reason=reason))

    def _tell(self, lease: Lease | None) -> None:
        if lease is not None:
            self._lease_changed(lease)
