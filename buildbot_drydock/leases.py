"""What workers, steps and people call: request a lease, wait until it is active, renew, release.

One object a master. It changes leases only in their holders' name; what the loop decides about them
it hears of through ``lease_changed`` and ``observed``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from buildbot_drydock import events
from buildbot_drydock.errors import LeaseBroken
from buildbot_drydock.interfaces import Clock, Store
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import (
    LIVING_LEASES,
    Labels,
    Lease,
    LeaseRequest,
    LeaseStatus,
    Notice,
    ResourceStatus,
    Rows,
)
from buildbot_drydock.reasons import Reason


@dataclass(slots=True)
class _Hold:
    """What the holder of a lease wants to hear of, and has heard."""

    lost: Callable[[Lease], None] | None = None
    warned: Callable[[Lease, Notice], None] | None = None
    notice: Notice | None = None  # the last it was told


class Leases:
    """The leases of one master's holders.

    A lease is renewed from its request on, until it is released, dropped or lost, as long as the
    master calls ``renew_held`` more often than every *lease_seconds*. *reasons* answers why a
    lease waits, by its id, as of the last plan.
    """

    log = Logger()

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        master: int | None,
        lease_seconds: float,
        new_nonce: Callable[[], str],
        wake: Callable[[], None],
        reasons: Callable[[int], tuple[Reason, ...]] = lambda lease: (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._master = master
        self.lease_seconds = lease_seconds  # may be changed at any time
        self._new_nonce = new_nonce
        self._wake = wake
        self._reasons = reasons
        self._held: dict[int, _Hold] = {}
        self._waiting: dict[int, list[Deferred[Lease]]] = {}
        self._active: dict[int, Lease] = {}  # those held; spares a read when they are waited for
        self._watched: dict[int, Callable[[tuple[Reason, ...]], None]] = {}  # while they wait
        self._told: dict[int, tuple[Reason, ...]] = {}  # the reasons that those were told last
        self._left_over: dict[str, list[int]] | None = None  # from before the start, by owner
        self._asked: set[str] = set()  # owners who have asked for theirs

    async def request(
        self,
        *,
        owner: str,
        type: str = "host",
        requires: Labels | None = None,
        blueprints: Sequence[str] = (),
        priority: int = 0,
        attributes: Mapping[str, str] | None = None,
        authorized_by: str = "",
        until: float | None = None,
        subjects: Sequence[str] = (),
    ) -> Lease:
        """Ask for a lease, in the name of *subjects*; it is renewed from now on."""
        requires = dict(requires or {})
        request = LeaseRequest(
            owner=owner,
            nonce=self._new_nonce(),
            master=self._master,
            type=type,
            requires=requires,
            blueprints=tuple(blueprints),
            priority=priority,
            attributes=dict(attributes or {}),
            authorized_by=authorized_by,
            expires_at=self._expiry(),
            until=until,
            subjects=tuple(subjects),
        )
        record = events.LeaseRequested(actor=owner, owner=owner, requires=requires)
        lease = await self._store.request_lease(request, record)
        self._held[lease.id] = _Hold()
        self._wake()
        return lease

    def when_active(self, number: int) -> Deferred[Lease]:
        """Fire with the lease once it is active; fail with ``LeaseBroken`` if it never will be.

        Cancelling only stops the waiting: release the lease as well.
        """
        if number in self._active:
            return succeed(self._active[number])
        if number not in self._held:
            return fail(LeaseBroken(f"lease {number} is not held any more"))
        waiting: Deferred[Lease] = Deferred(lambda d: self._waiting[number].remove(d))
        self._waiting.setdefault(number, []).append(waiting)
        self._wake()
        return waiting

    def hold(
        self,
        number: int,
        lost: Callable[[Lease], None],
        warned: Callable[[Lease, Notice], None] | None = None,
    ) -> None:
        """Call *lost* once if somebody else ends the lease.

        Before that, call *warned* once if its host is to be taken away, and again should that
        turn out to be sooner. The lease goes on until then; nothing has to be done.

        Raises ``LeaseBroken`` if that has happened already.
        """
        if number not in self._held:
            raise LeaseBroken(f"lease {number} was lost before its holder could use it")
        self._held[number] = _Hold(lost, warned)

    def watch(self, number: int, told: Callable[[tuple[Reason, ...]], None]) -> None:
        """Call *told* whenever the reasons have changed why the lease waits, until it does no more."""
        if number in self._held and number not in self._active:
            self._watched[number] = told

    def planned(self) -> None:
        """Tell those who watch how their leases wait, what the last plan has found."""
        for number, told in list(self._watched.items()):
            reasons = self._reasons(number)
            if reasons and reasons != self._told.get(number):
                self._told[number] = reasons
                self._tell(number, partial(told, reasons))

    def _unwatch(self, number: int) -> None:
        self._watched.pop(number, None)
        self._told.pop(number, None)

    def drop(self, number: int) -> None:
        """Renew the lease no more, and leave it as it is: it is adopted later, or expires."""
        self._held.pop(number, None)
        self._active.pop(number, None)
        self._unwatch(number)

    async def release(self, number: int, reason: str, *, actor: str = events.DRYDOCK) -> None:
        """Give a lease back, in whichever status it is. Nothing if it has ended."""
        self.drop(number)
        self._fail_waiting(number, f"it was released: {reason}")
        lease = await self._store.lease(number)
        while lease is not None and lease.status in LIVING_LEASES:
            record = events.LeaseReleased(actor=actor, reason=reason)
            if await self._store.move_lease(lease, LeaseEvent.RELEASE, record, reason=reason):
                break
            lease = await self._store.lease(number)  # changed meanwhile: by a renewal, for one
        self._wake()

    async def blame(self, number: int, reason: str) -> None:
        """Write down that a lease could not use a resource, which is held back for a while.

        To be called before that lease is given back, or another one gets the same resource.
        """
        resource = await self._store.resource(number)
        while resource is not None and resource.status is ResourceStatus.ACTIVE:
            faults = resource.faults + 1
            record = events.ResourceFaulty(reason=reason, faults=faults)
            if await self._store.set_faults(resource, faults, record, reason=reason):
                return
            resource = await self._store.resource(number)  # changed meanwhile

    async def trust(self, number: int) -> None:
        """Write down that a lease could use a resource, if that was in doubt."""
        resource = await self._store.resource(number)
        while resource is not None and resource.faults:
            record = events.ResourceTrusted(faults=resource.faults)
            if await self._store.set_faults(resource, 0, record):
                return
            resource = await self._store.resource(number)

    async def build_begins(self, number: int, build: int, builder: str) -> None:
        """Write down that a build begins to run on a lease, which is charged to it later."""
        await self._store.begin_use(number, build, builder)

    async def build_ends(self, number: int, build: int) -> None:
        """Write down that it has ended."""
        await self._store.end_use(number, build)

    async def await_holders(self, is_gone: Callable[[str], bool] = lambda owner: False) -> None:
        """After a restart, let all leases of this master live until their holders adopt them.

        Those that nobody comes for expire; those of owners that are gone for good are released.
        """
        rows = await self._store.rows()
        ours = [lease for lease in rows.leases if self._is_ours(lease)]
        for lease in ours:
            if is_gone(lease.owner):
                await self.release(lease.id, "its holder ended with the master's last run")
        mine = [lease for lease in ours if not is_gone(lease.owner)]
        self._left_over = {}
        for lease in mine:
            self._left_over.setdefault(lease.owner, []).append(lease.id)
        if mine:
            numbers = [lease.id for lease in mine]
            await self._store.renew(numbers, expires_at=self._expiry())

    def _is_ours(self, lease: Lease) -> bool:
        return lease.master == self._master and lease.status in LIVING_LEASES

    async def adopt(self, owner: str) -> Lease | None:
        """After a restart, return the owner's newest active lease, and release its other ones.

        A lease that was not active yet had nobody using it, so it is released too.
        """
        mine = await self._leases_of(owner)
        active = [lease for lease in mine if lease.status is LeaseStatus.ACTIVE]
        adopted = active[-1] if active else None
        for lease in mine:
            if lease is not adopted:
                await self.release(lease.id, "its holder was restarted")
        if adopted is None:
            return None
        if not await self._store.renew([adopted.id], expires_at=self._expiry()):
            return None
        await self._store.end_uses(adopted.id)  # no build has survived
        self._held[adopted.id] = _Hold()
        self._active[adopted.id] = adopted
        return adopted

    async def _leases_of(self, owner: str) -> list[Lease]:
        """Return what an owner has of this master, oldest first.

        At the start every holder asks, and to read all rows for each would take long.
        """
        if self._left_over is None or owner in self._asked:
            rows = await self._store.rows()
            found = [lease for lease in rows.leases if lease.owner == owner]
        else:
            numbers = self._left_over.pop(owner, [])
            found = [row for n in numbers if (row := await self._store.lease(n)) is not None]
        self._asked.add(owner)
        return [lease for lease in found if self._is_ours(lease)]

    async def renew_held(self) -> None:
        """Renew all held leases in one statement; holders of lost ones are told."""
        held = set(self._held)
        if not held:
            return
        renewed = await self._store.renew(sorted(held), expires_at=self._expiry())
        for number in sorted(held - renewed):
            lease = await self._store.lease(number)
            if lease is not None:
                self.lease_changed(lease)

    def held(self) -> frozenset[int]:
        return frozenset(self._held)

    def reasons(self, number: int) -> tuple[Reason, ...]:
        return self._reasons(number)

    def lease_changed(self, lease: Lease) -> None:
        """Tell those who wait for a lease, or hold it, what has become of it."""
        if lease.id not in self._held:
            return
        if lease.status is LeaseStatus.ACTIVE:
            self._active[lease.id] = lease
            self._unwatch(lease.id)
            for waiting in self._waiting.pop(lease.id, []):
                waiting.callback(lease)
        elif lease.status not in LIVING_LEASES:
            lost = self._held[lease.id].lost
            self.drop(lease.id)
            self._fail_waiting(lease.id, lease.reason or f"it is {lease.status.value}")
            if lost is not None:
                self._tell(lease.id, lambda: lost(lease))

    def _tell(self, number: int, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:  # noqa: BLE001 - one holder's bug must not end the turn of all
            self.log.failure("the holder of lease {number} failed to listen", number=number)

    def observed(self, rows: Rows) -> None:
        """Look through the rows of a turn: another master may have moved a lease of ours."""
        held, active = self._held, self._active
        changed = [
            lease
            for lease in rows.leases
            if lease.id in held and (lease.id in active) is not (lease.status is LeaseStatus.ACTIVE)
        ]
        for lease in changed:
            self.lease_changed(lease)
        notices = {row.id: row.notice for row in rows.resources if row.end_reason}
        if notices:
            self._pass_on(notices, rows)

    def _pass_on(self, notices: Mapping[int, Notice | None], rows: Rows) -> None:
        """Tell the holders of leases that their hosts were given notice."""
        for lease in rows.leases:
            hold = self._held.get(lease.id)
            notice = notices.get(lease.resource or 0)
            if hold is None or hold.warned is None or notice in (None, hold.notice):
                continue
            if lease.status in LIVING_LEASES:
                hold.notice = notice
                self._tell(lease.id, partial(hold.warned, lease, notice))

    def _fail_waiting(self, number: int, reason: str) -> None:
        for waiting in self._waiting.pop(number, []):
            waiting.errback(LeaseBroken(f"lease {number}: {reason}"))

    def _expiry(self) -> float:
        return self._clock.seconds() + self.lease_seconds
