"""Make provider calls, beside the turn. Nothing else calls a provider's verbs.

A call that is slow, hangs or fails holds up nothing but what it is about. Its outcome is written
down and wakes the loop. Each is bounded by one time limit, and none is made twice at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger
from typing_extensions import assert_never

from buildbot_drydock import events
from buildbot_drydock.abilities import ListsInPart, Parks, Prepares, TellsNews, Vacates
from buildbot_drydock.calls import CallLog
from buildbot_drydock.closing import close_lease
from buildbot_drydock.errors import Disposition, DrydockError, RetryLater
from buildbot_drydock.interfaces import HostSpec, Provider, ReactorTime, Store
from buildbot_drydock.launches import Launches
from buildbot_drydock.lifecycle import LeaseEvent, ResourceEvent
from buildbot_drydock.model import (
    Call,
    CallKey,
    Inventory,
    Lease,
    LeaseStatus,
    Observed,
    Power,
    Resource,
    ResourceStatus,
)

T = TypeVar("T")


class ProviderCalls:
    """The provider calls of one master, with their latest inventories and outcomes.

    *providers* may gain and lose entries while calls are under way.
    """

    log = Logger()

    def __init__(
        self,
        store: Store,
        providers: Mapping[str, Provider],
        calls: CallLog,
        launches: Launches,
        *,
        clock: ReactorTime,
        wake: Callable[[], None],
        lease_changed: Callable[[Lease], None],
        limit_seconds: float = 300.0,
    ) -> None:
        self._store = store
        self._providers = providers
        self._calls = calls
        self._launches = launches
        self._clock = clock
        self._wake = wake
        self._lease_changed = lease_changed
        self._limit_seconds = limit_seconds
        self._inventories: dict[str, Inventory] = {}
        self._under_way: set[Deferred[None]] = set()

    def inventories(self) -> Mapping[str, Inventory]:
        return {name: self._aged(name, each) for name, each in self._inventories.items()}

    def _aged(self, blueprint: str, inventory: Inventory) -> Inventory:
        provider = self._providers.get(blueprint)
        if isinstance(provider, TellsNews) and provider.has_news():
            return replace(inventory, stale=True)
        return inventory

    def snapshot(self) -> Mapping[CallKey, Call]:
        return self._calls.snapshot()

    def forget_all_but(self, resources: tuple[Resource, ...], leases: tuple[Lease, ...]) -> None:
        """Drop the memory of calls that nobody asks for any more.

        Those about resources and leases that are no more; and those about active ones that run,
        which have led to what they were made for. So what is left is little, however many hosts there are. A
        call on a stray host is remembered while that is listed, and one on an active resource
        while that is not: nothing else tells of them.
        """
        ended = self._calls.ended()
        if not ended:
            return
        subjects = {key.subject for key in ended}  # few, whereas rows may be many
        tokens = {
            row.token
            for row in resources
            if row.token in subjects
            and not (
                row.status is ResourceStatus.ACTIVE
                and row.power is Power.RUNNING
                and self._lists(row)
            )
        }
        tags = {row.tag for row in leases if row.status is not LeaseStatus.ACTIVE}
        known = tokens | tags
        self._calls.forget(
            key for key in ended if key.subject not in known and not self._lists_stray(key)
        )

    def _lists(self, resource: Resource) -> bool:
        inventory = self._inventories.get(resource.blueprint)
        return inventory is not None and resource.token in inventory.hosts

    def _lists_stray(self, key: CallKey) -> bool:
        if key.verb != "destroy-stray" or key.blueprint not in self._inventories:
            return False
        token = key.subject.partition(" ")[0]
        return token in self._inventories[key.blueprint].hosts

    def abandon(self) -> None:
        """Stop waiting for all calls, as this master stops. What they began, another turn ends.

        So each of them lets ``CancelledError`` pass, which is nobody's failure.
        """
        for call in list(self._under_way):
            call.cancel()

    # --- the verbs -----------------------------------------------------------------------------

    def list_hosts(self, blueprint: str) -> None:
        self._start(CallKey("inventory", blueprint), self._list_hosts)

    def create(self, resource: Resource) -> None:
        key = CallKey("create", resource.blueprint, resource.token)
        self._start(key, lambda key: self._create(key, resource))

    def destroy(self, resource: Resource) -> None:
        key = CallKey("destroy", resource.blueprint, resource.token)
        self._start(key, lambda key: self._destroy(key, resource))

    def destroy_stray(
        self, blueprint: str, token: str, identity: str, reason: str, *, actor: str = events.DRYDOCK
    ) -> None:
        key = CallKey("destroy-stray", blueprint, f"{token} {identity}".rstrip())
        record = events.StrayDestroyed(actor=actor, token=token, identity=identity, reason=reason)
        self._start(key, lambda key: self._destroy_stray(key, record))

    def park_host(self, resource: Resource) -> None:
        key = CallKey("park", resource.blueprint, resource.token)
        self._start(key, lambda key: self._park(key, resource))

    def wake_host(self, resource: Resource) -> None:
        key = CallKey("wake", resource.blueprint, resource.token)
        self._start(key, lambda key: self._wake_up(key, resource))

    def prepare(self, lease: Lease, resource: Resource) -> None:
        key = CallKey("prepare", resource.blueprint, lease.tag)
        self._start(key, lambda key: self._prepare(key, lease, resource))

    def vacate(self, lease: Lease, resource: Resource, hourly_share: float | None = None) -> None:
        key = CallKey("vacate", resource.blueprint, lease.tag)
        self._start(key, lambda key: self._vacate(key, lease, resource, hourly_share))

    # --- what each does, and what becomes of its failure ----------------------------------------

    async def _list_hosts(self, key: CallKey) -> None:
        before = self._inventories.get(key.blueprint, Inventory(asked_at=float("-inf")))
        asked_at = self._clock.seconds()
        provider = self._providers[key.blueprint]
        try:
            listed = await self._limited(provider.inventory())
        except DrydockError as error:
            self._inventories[key.blueprint] = replace(before, error=str(error))
            await self._failed(key, error)
            return
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a provider's bug must not stop the others
            self.log.failure("listing the hosts of {blueprint}", blueprint=key.blueprint)
            self._inventories[key.blueprint] = replace(before, error=repr(error))
            await self._failed(key, RetryLater(repr(error)))
            return
        unlisted = frozenset(provider.unlisted() if isinstance(provider, ListsInPart) else ())
        self._inventories[key.blueprint] = Inventory(
            asked_at=asked_at,
            hosts=_by_token(host for host in listed if not host.has_ended),
            ended=_by_token(host for host in listed if host.has_ended),
            unlisted=unlisted,
        )
        self._calls.succeed(key, asked_at)

    async def _create(self, key: CallKey, resource: Resource) -> None:
        begun_at = self._clock.seconds()
        spec = HostSpec(labels=resource.labels, place=resource.place, host=resource.host)
        try:
            await self._limited(self._providers[key.blueprint].create(resource.token, spec))
        except DrydockError as error:
            await self._failed(key, error)
            await self._not_created(resource, error)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - it breaks only the row it concerns
            self.log.failure("creating {token}", token=resource.token)
            await self._break_resource(resource, repr(error))
            await self._launches.failed(key.blueprint, repr(error))
            self._calls.fail(key, repr(error), now=self._clock.seconds())
        else:
            self._calls.succeed(key, begun_at)

    async def _not_created(self, resource: Resource, error: DrydockError) -> None:
        text = str(error)
        match error.disposition:
            case Disposition.RETRY:
                after = error.after if isinstance(error, RetryLater) else 0.0
                await self._launches.refused(resource.blueprint, text, after=after)
            case Disposition.ELSEWHERE:
                await self._launches.refused(resource.blueprint, text)
                record = events.ResourceReleased(reason=text)
                await self._store.move_resource(
                    resource, ResourceEvent.RELEASE, record, reason=text
                )
            case Disposition.STOP:
                await self._launches.misconfigured(resource.blueprint, text)
                await self._break_resource(resource, text)
            case Disposition.REJECT:
                await self._break_resource(resource, text)
                await self._reject(resource, text)
            case Disposition.CRASH:
                raise error
            case _:
                assert_never(error.disposition)

    async def _reject(self, resource: Resource, reason: str) -> None:
        """Break the lease whose request can never succeed; a warm resource counts as failed."""
        asker = (
            await self._store.lease(resource.built_for) if resource.built_for is not None else None
        )
        if asker is not None and asker.status is LeaseStatus.PENDING:
            await self._break_lease(asker, reason)
        else:
            await self._launches.failed(resource.blueprint, reason)

    async def _destroy(self, key: CallKey, resource: Resource) -> None:
        provider = self._providers[key.blueprint]
        await self._repeatable(key, provider.destroy(resource.token))

    async def _destroy_stray(self, key: CallKey, record: events.StrayDestroyed) -> None:
        await self._store.record(record, blueprint=key.blueprint)
        provider = self._providers[key.blueprint]
        await self._repeatable(key, provider.destroy(record.token, record.identity))

    async def _park(self, key: CallKey, resource: Resource) -> None:
        provider = self._providers[key.blueprint]
        assert isinstance(provider, Parks)
        if not await self._is_wished_still(key, resource):
            return
        error = await self._attempt(key, provider.park(resource.token, resource.identity))
        if error is not None and error.disposition is Disposition.REJECT:
            reason = f"it can't be parked: {error}"
            record = events.ResourceReleased(reason=reason)
            await self._store.move_resource(resource, ResourceEvent.RELEASE, record, reason=reason)

    async def _wake_up(self, key: CallKey, resource: Resource) -> None:
        provider = self._providers[key.blueprint]
        assert isinstance(provider, Parks)
        if not await self._is_wished_still(key, resource):
            return
        error = await self._attempt(key, provider.wake(resource.token, resource.identity))
        if error is not None:
            await self._not_woken(resource, error)

    async def _is_wished_still(self, key: CallKey, resource: Resource) -> bool:
        """Tell whether a call is still what the row wishes for.

        Most of the time that a call may be late by is spent before it, while this master is busy
        or asleep; a host that somebody has woken since is not to be stopped.
        """
        row = await self._store.resource(resource.id)
        wish = (resource.status, resource.power, resource.power_since)
        if row is not None and (row.status, row.power, row.power_since) == wish:
            return True
        self._calls.succeed(key, self._clock.seconds())
        return False

    async def _not_woken(self, resource: Resource, error: DrydockError) -> None:
        """What can't be woken just now stays parked, and what needs it goes elsewhere."""
        text = str(error)
        match error.disposition:
            case Disposition.RETRY:
                return
            case Disposition.ELSEWHERE:
                await self._park_again(resource, text)
            case Disposition.STOP:
                await self._launches.misconfigured(resource.blueprint, text)
                await self._park_again(resource, text)
            case Disposition.REJECT:
                await self._break_resource(resource, text)
                await self._launches.failed(resource.blueprint, text)
            case Disposition.CRASH:
                raise error
            case _:
                assert_never(error.disposition)

    async def _park_again(self, resource: Resource, error: str) -> None:
        record = events.ResourcePowerChanged(
            power=Power.PARKED.value, reason=f"it could not be woken: {error}"
        )
        await self._store.set_power(resource, Power.PARKED, record)

    async def _prepare(self, key: CallKey, lease: Lease, resource: Resource) -> None:
        provider = self._providers[key.blueprint]
        assert isinstance(provider, Prepares)
        begun_at = self._clock.seconds()
        try:
            await self._limited(provider.prepare(resource, lease))
        except DrydockError as error:
            await self._failed(key, error)
            if error.disposition is Disposition.REJECT:
                await self._break_lease(lease, str(error))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - it breaks only the row it concerns
            self.log.failure("preparing {tag}", tag=lease.tag)
            self._calls.fail(key, repr(error), now=self._clock.seconds())
            await self._break_lease(lease, repr(error))
        else:
            await self._activate(lease)
            self._calls.succeed(key, begun_at)

    async def _activate(self, prepared: Lease) -> None:
        """Its holder may have renewed the lease meanwhile; then its row as it is now counts."""
        lease: Lease | None = prepared
        while lease is not None and lease.status is LeaseStatus.ACQUIRED:
            if lease.resource != prepared.resource:
                return
            waited = self._clock.seconds() - lease.requested_at
            active = await self._store.move_lease(
                lease, LeaseEvent.ACTIVATE, events.LeaseActivated(waited=waited)
            )
            if active is not None:
                self._lease_changed(active)
                return
            lease = await self._store.lease(lease.id)

    async def _vacate(
        self, key: CallKey, lease: Lease, resource: Resource, hourly_share: float | None
    ) -> None:
        provider = self._providers[key.blueprint]
        assert isinstance(provider, Vacates)
        if await self._repeatable(key, provider.vacate(resource, lease)):
            now = self._clock.seconds()
            closed = await close_lease(self._store, lease, hourly_share, now)
            if closed is not None:
                self._lease_changed(closed)

    # --- what they share -------------------------------------------------------------------------

    def _start(
        self, key: CallKey, work: Callable[[CallKey], Coroutine[Deferred[Any], Any, None]]
    ) -> None:
        if key.blueprint not in self._providers or not self._calls.begin(key):
            return
        call = Deferred.fromCoroutine(work(key))
        self._under_way.add(call)
        call.addErrback(self._bug, key)
        call.addBoth(self._ended, call)

    def _bug(self, failure: Any, key: CallKey) -> None:
        if failure.check(CancelledError) is None:
            self.log.failure(
                "{verb} of {blueprint}", failure, verb=key.verb, blueprint=key.blueprint
            )
        self._calls.fail(key, repr(failure.value), now=self._clock.seconds())

    def _ended(self, _: object, call: Deferred[None]) -> None:
        self._under_way.discard(call)
        self._wake()

    async def _repeatable(self, key: CallKey, call: Coroutine[Any, Any, None]) -> bool:
        """Make a call whose every failure means no more than: again, later."""
        return await self._attempt(key, call) is None

    async def _attempt(self, key: CallKey, call: Coroutine[Any, Any, None]) -> DrydockError | None:
        """Make a call and take note of its outcome; return what it failed with, if it did."""
        begun_at = self._clock.seconds()
        try:
            await self._limited(call)
        except DrydockError as error:
            await self._failed(key, error)
            return error
        except CancelledError:
            raise
        except Exception as bug:  # noqa: BLE001 - a provider's bug must not stop the others
            self.log.failure("{verb} of {blueprint}", verb=key.verb, blueprint=key.blueprint)
            meaning = RetryLater(repr(bug))
            await self._failed(key, meaning)
            return meaning
        self._calls.succeed(key, begun_at)
        return None

    def _limited(self, call: Coroutine[Any, Any, T]) -> Awaitable[T]:
        limit = self._limit_seconds

        def say_so(outcome: Any, _: float) -> Any:
            outcome.trap(CancelledError, TimeoutError)
            raise RetryLater(f"the provider gave no answer within {limit:.0f} s")

        return Deferred.fromCoroutine(call).addTimeout(limit, cast(Any, self._clock), say_so)

    async def _failed(self, key: CallKey, error: DrydockError) -> None:
        after = error.after if isinstance(error, RetryLater) else 0.0
        call = self._calls.fail(key, str(error), now=self._clock.seconds(), after=after)
        if call.failures & (call.failures - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: not each one
            record = events.CallFailed(verb=key.verb, error=str(error), failures=call.failures)
            await self._store.record(record, blueprint=key.blueprint)

    async def _break_resource(self, resource: Resource, reason: str) -> None:
        record = events.ResourceBroken(reason=reason)
        await self._store.move_resource(resource, ResourceEvent.BREAK, record, reason=reason)

    async def _break_lease(self, lease: Lease, reason: str) -> None:
        record = events.LeaseBroken(reason=reason)
        broken = await self._store.move_lease(lease, LeaseEvent.BREAK, record, reason=reason)
        if broken is not None:
            self._lease_changed(broken)


def _by_token(listed: Iterable[Observed]) -> dict[str, tuple[Observed, ...]]:
    found: dict[str, tuple[Observed, ...]] = {}
    for host in listed:
        found[host.token] = (*found.get(host.token, ()), host)
    return found
