"""Leases of people, and what people do to leases: request, renew, release.

Nobody renews a person's lease but that person: it lives as long as was asked for, on whichever
master, and through restarts of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from buildbot_drydock import events
from buildbot_drydock.authorization import PERSON
from buildbot_drydock.interfaces import Clock, Store
from buildbot_drydock.lifecycle import LeaseEvent
from buildbot_drydock.model import LIVING_LEASES, Labels, Lease, LeaseRequest


def owner_of(person: str) -> str:
    """Return what stands as the owner in a person's leases."""
    return PERSON + person


def person_of(owner: str) -> str | None:
    """Return which person owns a lease, if one does."""
    return owner.removeprefix(PERSON) if owner.startswith(PERSON) else None


class People:
    """*changed* hears of each lease changed here, so that its holder on this master is told."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        new_nonce: Callable[[], str],
        changed: Callable[[Lease], None],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_nonce = new_nonce
        self._changed = changed
        self._wake = wake

    async def request(
        self,
        person: str,
        *,
        seconds: float,
        type: str = "host",
        requires: Labels | None = None,
        blueprints: Sequence[str] = (),
        priority: int = 0,
        attributes: Mapping[str, str] | None = None,
        until: float | None = None,
    ) -> Lease:
        """Ask for a lease, which ends after *seconds* unless it is renewed, and at *until* anyway.

        Raises ``ValueError`` naming the argument if a value can't be right.
        """
        now = self._clock.seconds()
        if until is not None and until <= now:
            raise ValueError("until: it has passed; give a time to come, or none")
        wanted = dict(requires or {})
        request = LeaseRequest(
            owner=owner_of(person),
            nonce=self._new_nonce(),
            type=type,
            requires=wanted,
            blueprints=tuple(blueprints),
            priority=priority,
            attributes=dict(attributes or {}),
            expires_at=now + seconds,
            until=until,
        )
        record = events.LeaseRequested(actor=person, owner=request.owner, requires=wanted)
        lease = await self._store.request_lease(request, record)
        self._wake()
        return lease

    async def renew(self, number: int, *, actor: str, seconds: float) -> Lease | None:
        """Let a lease live on for *seconds* from now, or longer if it does anyway.

        ``None`` if there is none, or it has ended.
        """
        lease = await self._store.lease(number)
        if lease is None or lease.status not in LIVING_LEASES:
            return None
        expires_at = self._clock.seconds() + seconds
        if lease.expires_at is None or lease.expires_at >= expires_at:
            return lease
        if not await self._store.renew([number], expires_at=expires_at):
            return None
        record = events.LeaseRenewed(actor=actor, expires_at=expires_at, seconds=seconds)
        await self._store.record(record, lease=number)
        self._wake()
        return await self._store.lease(number)

    async def release(self, number: int, *, actor: str, reason: str = "") -> Lease | None:
        """End a lease, whoever holds it; nothing if it has ended. ``None`` if there is none."""
        why = f"{actor} released it" + (f": {reason}" if reason else "")
        lease = await self._store.lease(number)
        while lease is not None and lease.status in LIVING_LEASES:
            record = events.LeaseReleased(actor=actor, reason=why)
            moved = await self._store.move_lease(lease, LeaseEvent.RELEASE, record, reason=why)
            if moved is not None:
                self._changed(moved)
                self._wake()
                return moved
            lease = await self._store.lease(number)  # changed meanwhile: by a renewal, for one
        return lease
